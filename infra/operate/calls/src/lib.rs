//! AWS, asked in plain signed requests: one module for each service, with typed answers and a page at a time.
//!
//! Role: everything that the operators' command asks of AWS goes through [`Calls`], and so do the local tool's deployments.
//! Promise: throttled and unanswered
//! calls are made again with growing waits, every request is counted, every failure says which permission, which thing or
//! which service it is about. No SDK: a few requests in JSON, the query protocol and REST.

pub mod admin;
pub mod cloudformation;
pub mod cloudwatch;
pub mod dynamodb;
pub mod iam;
pub mod lambda;
pub mod logs;
pub mod s3;
pub mod scheduler;
pub mod secrets;
pub mod sns;
pub mod sqs;
pub mod ssm;
pub mod sts;

mod access;
mod client;
mod error;
mod instant;
mod policy;
mod sign;
mod xml;

pub use access::{Access, LOCAL_OUTPUTS, Local};
pub use client::{Calls, Retries, Service};
pub use error::{Error, Exit};
pub use instant::{instant, seconds};
pub use policy::{NEEDS, Policy};
pub use sign::{now, sign};
