//! The record of what a sender did: every delivery with every attempt, without times, addresses or secrets.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// An HTTP answer; which statuses are a success is the source's.
    Answered {
        /// The status.
        status: u16,
        /// The first 4 KiB of the body, as text.
        body: String,
    },
    /// No answer in time.
    TimedOut,
    /// No connection, or it broke before an answer.
    Unreachable,
}

impl Outcome {
    /// The status of an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } => Some(*status),
            Self::TimedOut | Self::Unreachable => None,
        }
    }
}

/// One request that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The delivery's number in this journal, from 1.
    pub delivery: u32,
    /// The attempt's number within the delivery, from 1; a re-batched delivery counts on from its predecessor.
    pub attempt: u32,
    /// Events in the body; 0 for a raw delivery.
    pub events: usize,
    /// Bytes of the body.
    pub bytes: usize,
    /// What came of it.
    pub outcome: Outcome,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Still under way.
    Pending,
    /// Answered with a status that the source accepts; with Orderspace, 200.
    Accepted,
    /// The attempts were used up.
    GaveUp,
    /// The webhook was disabled, before or by this delivery.
    Disabled,
    /// Failed, and its events went on in other deliveries.
    Rebatched,
}

/// One delivery with its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// Number in this journal, from 1.
    pub delivery: u32,
    /// Events in the body; 0 for a raw delivery.
    pub events: usize,
    /// Whether this is the second sending of an equal body.
    pub repeat: bool,
    /// How it ended.
    pub end: End,
    /// Its requests in order.
    pub attempts: Vec<Attempt>,
}

/// All deliveries of one sending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Report {
    /// In the order in which they were begun.
    pub deliveries: Vec<DeliveryReport>,
}

impl Report {
    /// Whether everything arrived: each delivery was accepted, or went on in one that was.
    pub fn is_accepted(&self) -> bool {
        self.deliveries
            .iter()
            .all(|delivery| matches!(delivery.end, End::Accepted | End::Rebatched))
    }

    /// Every attempt, delivery by delivery.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.deliveries
            .iter()
            .flat_map(|delivery| &delivery.attempts)
    }

    /// The statuses in that order; 0 stands for no answer.
    pub fn statuses(&self) -> Vec<u16> {
        let statuses = self.attempts().map(|attempt| attempt.outcome.status());
        statuses.map(Option::unwrap_or_default).collect()
    }
}

type Observer = dyn Fn(&Attempt) + Send + Sync;

/// Where a sender writes while it works; clones share the same record, so it can be read meanwhile.
#[derive(Clone, Default)]
pub struct Journal {
    report: Arc<Mutex<Report>>,
    observer: Option<Arc<Observer>>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").finish_non_exhaustive()
    }
}

impl Journal {
    /// A journal that also shows each attempt to `observer` when it is made.
    pub fn with_observer(observer: impl Fn(&Attempt) + Send + Sync + 'static) -> Self {
        Self {
            report: Arc::default(),
            observer: Some(Arc::new(observer)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was done so far.
    pub fn report(&self) -> Report {
        self.lock().clone()
    }

    pub(crate) fn begin(&self, events: usize, repeat: bool) -> u32 {
        let mut report = self.lock();
        let delivery = u32::try_from(report.deliveries.len() + 1).unwrap_or(u32::MAX);
        report.deliveries.push(DeliveryReport {
            delivery,
            events,
            repeat,
            end: End::Pending,
            attempts: Vec::new(),
        });
        delivery
    }

    pub(crate) fn attempted(&self, attempt: Attempt) {
        if let Some(observer) = &self.observer {
            observer(&attempt);
        }
        let mut report = self.lock();
        if let Some(delivery) = entry(&mut report, attempt.delivery) {
            delivery.attempts.push(attempt);
        }
    }

    pub(crate) fn ended(&self, delivery: u32, end: End) {
        if let Some(delivery) = entry(&mut self.lock(), delivery) {
            delivery.end = end;
        }
    }
}

fn entry(report: &mut Report, delivery: u32) -> Option<&mut DeliveryReport> {
    report
        .deliveries
        .iter_mut()
        .find(|entry| entry.delivery == delivery)
}
