//! AWS: the ports of `domain` on its services.
//!
//! The AWS SDK is known here and nowhere else but in the functions' `main.rs`. An adapter is named for the service that it
//! calls; errors carry what was asked and the service's code, never a payload.

#![warn(clippy::too_many_lines)]

mod batch;
pub mod client;
pub mod dynamo;
mod failure;
pub mod s3;
pub mod secrets;
pub mod sns;
pub mod sqs;
