//! S3: what is too large for a message or an item, or of characters that a queue does not take.
//!
//! Keys are made from ids, so writing the same thing twice leaves one object.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>

use std::sync::{Arc, LazyLock};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use domain::envelope::DataRef;
use domain::erasure::{Cursor, ErasableObjects, Page};
use domain::ports::{ClaimCheck, PortError};

use crate::client::Aws;
use crate::failure::port_error;

/// The largest object that is read, in bytes: a delivery is at most 6 MB, so anything larger is not ours.
const LARGEST: usize = 16 * 1024 * 1024;

/// How many versions are erased with one call: what S3 does well within the time that a call may take. It takes 1,000.
const VERSIONS_AT_ONCE: i32 = 250;

const PUTTING: &str = "putting an object";
const GETTING: &str = "getting an object";
const LISTING: &str = "listing versions of objects";
const ERASING: &str = "erasing objects";

/// Whether a code says that the content was refused. An object that is not there is no such code: a version
/// of it may be restored.
fn is_permanent(code: &str) -> bool {
    matches!(code, "EntityTooLarge" | "KeyTooLongError" | "InvalidURI")
}

/// An object above [`LARGEST`].
const TOO_LARGE: &str = "too_large";
/// A reference to another bucket, or to none.
const FOREIGN: &str = "foreign_reference";

/// One bucket. A reference to another one is not followed, whoever wrote it.
#[derive(Debug, Clone)]
pub struct S3Oversize {
    client: Arc<Lazy>,
    bucket: String,
}

/// A client that is made when it is first used.
type Lazy = LazyLock<Client, Box<dyn FnOnce() -> Client + Send>>;

impl S3Oversize {
    /// Keeps objects in this bucket.
    #[must_use]
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self::made_by(move || client, bucket)
    }

    /// Keeps objects in this bucket of `aws`. The client is made with the first object: few starts ever see one.
    #[must_use]
    pub fn of(aws: &Aws, bucket: impl Into<String>) -> Self {
        let aws = aws.clone();
        Self::made_by(move || aws.s3(), bucket)
    }

    fn made_by(make: impl FnOnce() -> Client + Send + 'static, bucket: impl Into<String>) -> Self {
        Self {
            client: Arc::new(LazyLock::new(Box::new(make))),
            bucket: bucket.into(),
        }
    }
}

impl ClaimCheck for S3Oversize {
    // Boxed, or every event and every record would carry the state of a call that few of them make.
    async fn put(&self, key: &str, bytes: &[u8]) -> Result<DataRef, PortError> {
        Box::pin(self.put_object(key, bytes)).await
    }

    async fn get(&self, place: &DataRef) -> Result<Vec<u8>, PortError> {
        Box::pin(self.get_object(place)).await
    }
}

impl S3Oversize {
    async fn put_object(&self, key: &str, bytes: &[u8]) -> Result<DataRef, PortError> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .body(ByteStream::from(bytes.to_vec()))
            .send()
            .await
            .map_err(|error| port_error(PUTTING, &error, is_permanent))?;
        Ok(DataRef::new(&self.bucket, key))
    }

    async fn get_object(&self, place: &DataRef) -> Result<Vec<u8>, PortError> {
        let key = match place.object() {
            Some((bucket, key)) if bucket == self.bucket => key,
            _ => return Err(PortError::transient(GETTING, FOREIGN)),
        };
        let mut object = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
            .map_err(|error| port_error(GETTING, &error, is_permanent))?;
        let announced = object.content_length().unwrap_or_default();
        if usize::try_from(announced).is_ok_and(|length| length > LARGEST) {
            return Err(PortError::permanent(GETTING, TOO_LARGE));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or_default());
        while let Some(part) = object.body.next().await {
            let part = part.map_err(|_| PortError::transient(GETTING, "connection"))?;
            // The announced length is only what the answer says of itself.
            if bytes.len() + part.len() > LARGEST {
                return Err(PortError::permanent(GETTING, TOO_LARGE));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }
}

impl ErasableObjects for S3Oversize {
    /// A page's versions are deleted with one call. Markers of deletions go with them.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>
    async fn erase_objects(
        &self,
        prefix: &str,
        chosen: &(dyn Fn(&str) -> bool + Sync),
        after: Option<&Cursor>,
    ) -> Result<Page, PortError> {
        let marker = |place| after.and_then(|after| after.0.get(place)).cloned();
        let page = self
            .client
            .list_object_versions()
            .bucket(&self.bucket)
            .prefix(prefix)
            .max_keys(VERSIONS_AT_ONCE)
            .set_key_marker(marker(0))
            .set_version_id_marker(marker(1))
            .send()
            .await
            .map_err(|error| port_error(LISTING, &error, is_permanent))?;
        let versions = page.versions().iter();
        let versions = versions.map(|version| (version.key(), version.version_id()));
        let markers = page.delete_markers().iter();
        let markers = markers.map(|marker| (marker.key(), marker.version_id()));
        let chosen = versions.chain(markers).filter_map(|(key, version)| {
            let (key, version) = (key?, version?);
            chosen(key.strip_prefix(prefix)?).then_some((key, version))
        });
        let building = |_| PortError::permanent(ERASING, "construction");
        let objects = chosen.map(|(key, version)| {
            let object = ObjectIdentifier::builder().key(key).version_id(version);
            object.build().map_err(building)
        });
        let objects = objects.collect::<Result<Vec<_>, _>>()?;
        let erased = u64::try_from(objects.len()).unwrap_or(u64::MAX);
        if !objects.is_empty() {
            let delete = Delete::builder().set_objects(Some(objects)).quiet(true);
            let answer = self
                .client
                .delete_objects()
                .bucket(&self.bucket)
                .delete(delete.build().map_err(building)?)
                .send()
                .await
                .map_err(|error| port_error(ERASING, &error, is_permanent))?;
            // The call succeeds also where single objects stay.
            if let Some(kept) = answer.errors().first() {
                let code = kept.code().unwrap_or("unknown");
                return Err(PortError::transient(ERASING, code));
            }
        }
        let next = page.is_truncated() == Some(true);
        let next = next.then(|| page.next_key_marker()).flatten();
        Ok(Page {
            erased,
            next: next.map(|key| {
                let version = page.next_version_id_marker();
                Cursor(
                    std::iter::once(key)
                        .chain(version)
                        .map(str::to_owned)
                        .collect(),
                )
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::Credentials;
    use domain::ports::ErrorKind;

    use super::*;
    use crate::client::Access;

    /// A bucket where nothing listens: the discard port of this machine.
    fn bucket() -> S3Oversize {
        let access = Access {
            region: "eu-west-1".to_owned(),
            endpoint: Some("http://127.0.0.1:9".to_owned()),
            credentials: Credentials::new("id", "secret", None, None, "test"),
        };
        S3Oversize::of(&Aws::new(access).unwrap(), "bucket")
    }

    #[tokio::test]
    async fn the_client_is_made_once_and_with_the_first_object() {
        let bucket = bucket();
        let same = bucket.clone();
        assert!(LazyLock::get(&bucket.client).is_none());
        let error = same.put("key", b"{}").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Transient);
        assert!(LazyLock::get(&bucket.client).is_some());
    }
}
