//! What tests share: deliveries as Orderspace makes them, the payloads in which AWS hands them over, and
//! stand-ins for everything outside.
//!
//! A dev-dependency, never part of a function. Whatever is wrong here stops the test with a panic that says
//! what: a fixture that changed, a fake that was asked for what it cannot do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's own tools stop the test where they are misused"
)]

pub mod contract;
pub mod delivery;
pub mod fakes;
pub mod fixtures;
pub mod gateway;
pub mod log;
pub mod openapi;
pub mod releases;
pub mod rng;
pub mod signing;
pub mod sqs_event;
pub mod start;
