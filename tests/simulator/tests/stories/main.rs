//! The simulated sources: their APIs and their deliveries over HTTP, and the sender alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop"
)]

mod apideck;
mod onestock;
mod ordermentum;
mod orderspace;
mod play;
mod receiver;
mod sender;
mod stackone;
