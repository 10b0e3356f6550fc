//! What every function needs around its own work: configuration, telemetry, and sending to queues until they
//! accept.

#![warn(clippy::too_many_lines)]

pub mod clock;
pub mod config;
pub mod deadline;
pub mod enqueue;
#[cfg(feature = "gateway")]
pub mod gateway;
pub mod jitter;
pub mod lane_queues;
pub mod metrics;
pub mod telemetry;
