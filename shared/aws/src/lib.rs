//! AWS: the ports of `domain` on its services.
//!
//! The AWS SDK is known here and nowhere else but in the functions' `main.rs`. An adapter is named for the service that it
//! calls; errors carry what was asked and the service's code, never a payload.
//!
//! Every call of the functions that take deliveries and messages is boxed. The SDK's futures have tens of kilobytes, and who
//! waits for one carries it along, and moves it with itself, whether or not the call is ever made.

#![warn(clippy::too_many_lines)]

mod batch;
pub mod client;
pub mod dynamo;
mod failure;
pub mod s3;
pub mod secrets;
#[cfg(test)]
mod sizes;
mod slow_start;
pub mod sns;
pub mod sqs;
