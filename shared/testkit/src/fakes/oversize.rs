//! Objects as S3 keeps them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use domain::envelope::DataRef;
use domain::erasure::{Cursor, ErasableObjects, Page};
use domain::ports::{ClaimCheck, PortError};

use super::script::{Journal, Script};
use super::{lock, page};

/// The name of the bucket in the references that [`FakeOversize`] gives.
const BUCKET: &str = "oversize";

/// Objects by key.
#[derive(Debug)]
pub struct FakeOversize {
    script: Script,
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Default for FakeOversize {
    fn default() -> Self {
        Self {
            script: Script::new(
                "oversize",
                &[
                    ("put", "oversize.put"),
                    ("get", "oversize.get"),
                    ("erase", "oversize.erase"),
                ],
            ),
            objects: Mutex::default(),
        }
    }
}

impl FakeOversize {
    /// A store that writes into a journal which others share.
    #[must_use]
    pub fn sharing(journal: &Journal) -> Self {
        let mut oversize = Self::default();
        oversize.script.share(journal);
        oversize
    }

    /// The faults; calls are distinguished by the object's key.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// How often each operation was called.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.script.calls()
    }

    /// Every object.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.objects).clone()
    }
}

impl ClaimCheck for FakeOversize {
    async fn put(&self, key: &str, bytes: &[u8]) -> Result<DataRef, PortError> {
        let begun = self.script.begin("put", key).await?;
        // <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
        if key.is_empty() || key.len() > 1024 {
            return Err(begun.permanent("KeyTooLongError"));
        }
        lock(&self.objects).insert(key.to_owned(), bytes.to_vec());
        begun.done(DataRef::new(BUCKET, key))
    }

    async fn get(&self, place: &DataRef) -> Result<Vec<u8>, PortError> {
        let (bucket, key) = place.object().unwrap_or_default();
        let begun = self.script.begin("get", key).await?;
        let bytes = lock(&self.objects).get(key).cloned();
        match bytes {
            Some(bytes) if bucket == BUCKET => begun.done(bytes),
            _ => Err(begun.transient("NoSuchKey")),
        }
    }
}

impl ErasableObjects for FakeOversize {
    async fn erase_objects(
        &self,
        prefix: &str,
        chosen: &(dyn Fn(&str) -> bool + Sync),
        after: Option<&Cursor>,
    ) -> Result<Page, PortError> {
        let begun = self.script.begin("erase", prefix).await?;
        let page = {
            let mut objects = lock(&self.objects);
            let all = objects.keys().filter(|key| key.starts_with(prefix));
            let (keys, next) = page(all.cloned().collect(), after);
            let before = objects.len();
            objects.retain(|key, _| {
                let rest = key.strip_prefix(prefix);
                !keys.contains(key) || !rest.is_some_and(chosen)
            });
            let erased = u64::try_from(before - objects.len()).expect("few objects");
            Page { erased, next }
        };
        begun.done(page)
    }
}
