//! Stand-ins for the ports of `domain`, in memory, for the tests of the functions.
//!
//! A fake refuses what AWS refuses, counts what it is asked, and fails where a test asks it to: see [`Script`]. It has
//! no clock and nothing random. That it behaves like the real thing is what [`crate::contract`] is for.

mod keys;
mod oversize;
mod queues;
mod receipts;
mod records;
mod redelivery;
mod script;
mod tokens;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use keys::FakeKeys;
pub use oversize::FakeOversize;
pub use queues::{FakeQueues, Sent};
pub use receipts::{FakeReceipts, KeptReceipt, RecordedFailure};
pub use records::{FakeRecords, StoredRecord};
pub use redelivery::FakeRedelivery;
pub use script::{Fault, Faults, Journal, Script, Step};
pub use tokens::FakeTokens;

/// Takes a lock; a test that panicked while it held one has said enough already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
