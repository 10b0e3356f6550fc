//! S3: objects of the stack's bucket.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html>

use domain::uri;
use http::Method;

use super::{Calls, Error};

/// An object's bytes.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn get(calls: &Calls, bucket: &str, key: &str) -> Result<Vec<u8>, Error> {
    send(calls, Method::GET, "GetObject", bucket, key, Vec::new()).await
}

/// Whether there is an object. The permission is that of reading it.
///
/// # Errors
/// [`Error`] says what went wrong.
pub async fn exists(calls: &Calls, bucket: &str, key: &str) -> Result<bool, Error> {
    match send(calls, Method::HEAD, "GetObject", bucket, key, Vec::new()).await {
        Ok(_) => Ok(true),
        Err(Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Writes an object.
///
/// # Errors
/// [`Error`] says what went wrong.
pub async fn put(calls: &Calls, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<(), Error> {
    send(calls, Method::PUT, "PutObject", bucket, key, bytes)
        .await
        .map(drop)
}

async fn send(
    calls: &Calls,
    method: Method,
    operation: &str,
    bucket: &str,
    key: &str,
    bytes: Vec<u8>,
) -> Result<Vec<u8>, Error> {
    let path = format!("/{}/{}", uri::path(bucket), uri::path(key));
    let answer = calls.object(method, operation, &path, bytes).await;
    answer.map_err(|error| error.naming(format!("s3://{bucket}/{key}")))
}
