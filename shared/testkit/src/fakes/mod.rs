//! Stand-ins for the ports of `domain`, in memory, for the tests of the functions.
//!
//! A fake refuses what AWS refuses, counts what it is asked, and fails where a test asks it to: see [`Script`]. It has
//! no clock and nothing random. That it behaves like the real thing is what [`crate::contract`] is for.

mod erasures;
mod keys;
mod oversize;
mod queues;
mod receipts;
mod records;
mod redelivery;
mod script;
mod tokens;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::erasure::Cursor;

pub use erasures::FakeErasures;
pub use keys::FakeKeys;
pub use oversize::FakeOversize;
pub use queues::{FakeQueues, Sent};
pub use receipts::{FakeReceipts, KeptReceipt, RecordedFailure};
pub use records::{FakeRecords, StoredRecord};
pub use redelivery::FakeRedelivery;
pub use script::{Fault, Faults, Journal, Script, Step};
pub use tokens::FakeTokens;

/// A stand-in for one port: what it keeps, and the script of its faults.
#[derive(Debug)]
pub struct Fake<K> {
    script: Script,
    state: Mutex<K>,
}

/// What a stand-in keeps, with the operations of its port.
pub trait Kept: Default {
    /// The operations as journals name them: `receipts.keep` is `keep` of the port `receipts`.
    const CALLS: &'static [&'static str];
}

impl<K: Kept> Default for Fake<K> {
    fn default() -> Self {
        Self {
            script: Script::new(K::CALLS),
            state: Mutex::default(),
        }
    }
}

impl<K: Kept> Fake<K> {
    /// A stand-in that writes into a journal which others share.
    #[must_use]
    pub fn sharing(journal: &Journal) -> Self {
        let mut fake = Self::default();
        fake.script.share(journal);
        fake
    }

    /// The faults.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// How often each operation was called.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.script.calls()
    }

    fn state(&self) -> MutexGuard<'_, K> {
        lock(&self.state)
    }
}

/// Takes a lock; a test that panicked while it held one has said enough already.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many entries a page of a list has that is erased: few, so that a test need not keep thousands.
const PAGE: usize = 3;

/// The next page of a list in its order, and where the one after it begins.
fn page(mut all: Vec<String>, after: Option<&Cursor>) -> (Vec<String>, Option<Cursor>) {
    all.sort();
    all.dedup();
    all.retain(|entry| after.is_none_or(|after| after.0.first().is_none_or(|last| entry > last)));
    let is_more = all.len() > PAGE;
    all.truncate(PAGE);
    let next = all.last().filter(|_| is_more);
    let next = next.map(|last| Cursor(vec![last.clone()]));
    (all, next)
}
