//! All versions of objects, for erasing: the only calls that the SDK's crate for S3 makes, so that the function that erases
//! is the only one that links it.

use std::sync::OnceLock;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use domain::erasure::{Cursor, ErasableObjects, Page};
use domain::ports::PortError;

use super::is_permanent;
use crate::client::Aws;
use crate::failure::port_error;

/// How many versions are erased with one call: what S3 does well within the time that a call may take. It takes 1,000.
const VERSIONS_AT_ONCE: i32 = 250;

const LISTING: &str = "listing versions of objects";
const ERASING: &str = "erasing objects";

/// The objects of one bucket. The client is made with the first page: most runs of the function have nothing to erase.
#[derive(Debug, Clone)]
pub struct S3ErasableObjects {
    aws: Aws,
    client: OnceLock<Client>,
    bucket: String,
}

impl S3ErasableObjects {
    /// Erases in this bucket of `aws`.
    #[must_use]
    pub fn of(aws: &Aws, bucket: impl Into<String>) -> Self {
        Self {
            aws: aws.clone(),
            client: OnceLock::new(),
            bucket: bucket.into(),
        }
    }

    #[cfg(test)]
    pub(super) fn has_client(&self) -> bool {
        self.client.get().is_some()
    }
}

impl ErasableObjects for S3ErasableObjects {
    /// A page's versions are deleted with one call. Markers of deletions go with them.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>
    async fn erase_objects(
        &self,
        prefix: &str,
        chosen: &(dyn Fn(&str) -> bool + Sync),
        after: Option<&Cursor>,
    ) -> Result<Page, PortError> {
        let client = self.client.get_or_init(|| self.aws.s3());
        let marker = |place| after.and_then(|after| after.0.get(place)).cloned();
        let page = client
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
            let answer = client
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
