//! A model check over the real handlers.
//!
//! `Inbound::handle` and `Consumer::handle` run as they are, among stand-ins for queues, tables and secrets,
//! in paused time. A seed makes up deliveries, teams and faults; every step is held against the invariants of
//! [`checks`], and what is left at the end against an oracle that shares no code with the product. The same
//! seed tells the same story again.
//!
//! Nothing in the product knows of this. Its random numbers (ids, pauses) change no story: no two requests
//! share a millisecond, which alone orders ids here; calls take their turns as if every random pause had been
//! as long as it can be; and messages come again after delays of the schedule's own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a check stops where it is itself at fault"
)]

pub mod checks;
pub mod deliveries;
pub mod faults;
mod inbounds;
mod lanes;
mod life;
mod oracle;
pub mod plan;
mod ports;
pub mod run;
pub mod scheduler;
pub mod truth;
mod world;

use std::any::Any;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The panic message of a call that a schedule made panic.
const TOLD_TO_PANIC: &str = "a call was told to panic";

/// Whether a panic is that of a call that a schedule made panic.
#[must_use]
pub fn is_of_a_schedule(panic: &(dyn Any + Send)) -> bool {
    let what = panic.downcast_ref::<String>();
    what.is_some_and(|what| what == TOLD_TO_PANIC)
}

/// Takes a lock. A panic that was told to happen happens outside of all of them.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
