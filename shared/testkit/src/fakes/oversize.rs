//! Objects as S3 keeps them.

use std::collections::BTreeMap;

use domain::envelope::DataRef;
use domain::erasure::{Cursor, ErasableObjects, Page};
use domain::ports::{ClaimCheck, PortError};

use super::{Fake, Kept, page};

/// The name of the bucket in the references that [`FakeOversize`] gives.
const BUCKET: &str = "oversize";

/// Objects by key. The scope of a call is the object's key.
pub type FakeOversize = Fake<State>;

/// Objects by key.
#[derive(Debug, Default)]
pub struct State(BTreeMap<String, Vec<u8>>);

impl Kept for State {
    const CALLS: &'static [&'static str] = &["oversize.put", "oversize.get", "oversize.erase"];
}

impl FakeOversize {
    /// Every object.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().0.clone()
    }
}

impl ClaimCheck for FakeOversize {
    async fn put(&self, key: &str, bytes: &[u8]) -> Result<DataRef, PortError> {
        let begun = self.script.begin("put", key).await?;
        // <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>
        if key.is_empty() || key.len() > 1024 {
            return Err(begun.permanent("KeyTooLongError"));
        }
        self.state().0.insert(key.to_owned(), bytes.to_vec());
        begun.done(DataRef::new(BUCKET, key))
    }

    async fn get(&self, place: &DataRef) -> Result<Vec<u8>, PortError> {
        let (bucket, key) = place.object().unwrap_or_default();
        let begun = self.script.begin("get", key).await?;
        let bytes = self.state().0.get(key).cloned();
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
        let State(objects) = &mut *self.state();
        let all = objects.keys().filter(|key| key.starts_with(prefix));
        let (keys, next) = page(all.cloned().collect(), after);
        let erased = objects.extract_if(.., |key, _| {
            keys.contains(key) && key.strip_prefix(prefix).is_some_and(chosen)
        });
        let erased = erased.count() as u64;
        begun.done(Page { erased, next })
    }
}
