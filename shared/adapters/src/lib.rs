//! Adapters: the ports of `domain` on AWS, and the clients of the sources.
//!
//! The AWS SDK is known here and nowhere else but in the functions' `main.rs`. An adapter is named for the
//! thing it speaks to; errors carry what was asked and the service's code, never a payload.

pub mod aws;
pub mod dynamo;
mod failure;
pub mod orderspace;
pub mod s3;
pub mod secrets;
pub mod sqs;
