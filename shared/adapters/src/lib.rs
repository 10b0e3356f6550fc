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
mod source_urls;
pub mod sqs;

use domain::sources::Source;
use domain::subscription::{Api, Apis};
use orderspace::{Orderspace, OrderspaceError};

pub use source_urls::{SourceUrls, SourceUrlsError};

/// The API of every source that accounts can be connected to.
///
/// # Errors
/// TLS or the system's root certificates are unusable.
pub fn apis(urls: SourceUrls) -> Result<Apis, OrderspaceError> {
    let orderspace: Box<dyn Api> = Box::new(Orderspace::new(urls.orderspace)?);
    Ok(Apis::from_iter([(Source::Orderspace, orderspace)]))
}
