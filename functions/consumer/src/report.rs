//! The report: what became of a batch, with every event that could be read, in the line that has its metrics. What failed has
//! warnings of its own besides.
//!
//! Lines are paid for by their bytes, so what events have in common is said once, and how long ago an event was seen first is not
//! said: its id has that moment.

use std::collections::HashMap;
use std::time::Duration;

use domain::fold::Verdict;
use domain::lane::Lane;
use domain::timestamp::Timestamp;
use runtime::metrics::{Metric, count, observe, report};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tracing::{Level, enabled};

use crate::apply::Arrived;
use crate::forward::Forwarded;

/// The most bytes of events in one line. `CloudWatch` cuts an event of its log at 256 KiB, and the line has more than
/// these. <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>
const MOST_BYTES: usize = 200_000;

/// The outcome of an event that could not be applied.
const FAILED: &str = "failed";

/// An event of the batch: what it is, and what became of it.
#[derive(Debug)]
pub(crate) struct Reported<'c> {
    position: usize,
    id: String,
    r#type: String,
    subject: String,
    fate: Fate<'c>,
    first_seen: Timestamp,
    marks: Marks,
}

/// What events of a batch mostly have in common: whose they are, what became of them, and who has them.
#[derive(Debug, PartialEq, Eq, Hash, Serialize)]
struct Fate<'c> {
    account: String,
    /// What it did to its record.
    outcome: &'static str,
    /// The teams whose queues accepted it.
    teams: Vec<&'c str>,
}

/// What few events have.
#[derive(Debug, Default, Serialize)]
struct Marks {
    /// The teams that it was set aside for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    undelivered: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    possible_duplicate: bool,
    #[serde(skip_serializing_if = "is_false")]
    replayed: bool,
    /// Whether its message comes again.
    #[serde(skip_serializing_if = "is_false")]
    again: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What is said of one event besides its id, type and subject: where it differs from the line's.
#[derive(Debug, Serialize)]
struct Besides<'e> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    teams: Option<&'e [&'e str]>,
    #[serde(flatten)]
    marks: &'e Marks,
}

/// What is said of a batch. `account`, `outcome` and `teams` are those of every event that says nothing else.
#[derive(Debug, Serialize)]
struct Line<'e> {
    message: &'static str,
    lane: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(flatten)]
    fate: Option<&'e Fate<'e>>,
    /// Each as `[id, type, subject]`, with what it has besides.
    events: Vec<&'e RawValue>,
}

impl<'c> Reported<'c> {
    /// An event of which nothing has become yet.
    pub(crate) fn of(arrived: &Arrived<'_>) -> Self {
        let envelope = &arrived.envelope;
        Self {
            position: arrived.position,
            id: envelope.id.to_string(),
            r#type: envelope.event_type.to_string(),
            subject: envelope.subject.to_string(),
            fate: Fate {
                account: envelope.account.to_string(),
                outcome: FAILED,
                teams: Vec::new(),
            },
            first_seen: envelope.time(),
            marks: Marks {
                replayed: envelope.marks.replayed,
                again: true,
                ..Marks::default()
            },
        }
    }

    /// Notes what became of it.
    fn conclude(&mut self, verdict: &Verdict, forwarded: Forwarded<'c>) {
        self.fate.outcome = verdict.outcome.as_str();
        self.fate.teams = forwarded.teams;
        self.marks.possible_duplicate = verdict.possible_duplicate;
        self.marks.again = forwarded.again;
        self.marks.undelivered = forwarded.undelivered;
    }

    /// Counts it, if it is done.
    fn count(&self, now: Timestamp) {
        if self.marks.again {
            return;
        }
        count(Metric::Events, 1);
        // How long ago a replayed event was seen first says nothing about how fast it is forwarded.
        if !self.fate.teams.is_empty() && !self.marks.replayed {
            let age = now.millis().saturating_sub(self.first_seen.millis());
            observe(Metric::ForwardAgeMs, age);
        }
    }

    /// What is said of it in a line of which this is said of all.
    fn to_json(&self, common: &Fate<'_>) -> Option<Box<RawValue>> {
        let (fate, event) = (&self.fate, (&self.id, &self.r#type, &self.subject));
        let besides = Besides {
            account: (fate.account != common.account).then_some(&fate.account),
            outcome: (fate.outcome != common.outcome).then_some(fate.outcome),
            teams: (fate.teams != common.teams).then_some(&fate.teams),
            marks: &self.marks,
        };
        // Texts are always JSON.
        let besides = to_raw_value(&besides).ok()?;
        match besides.get() {
            "{}" => to_raw_value(&event),
            _ => to_raw_value(&(event.0, event.1, event.2, besides)),
        }
        .ok()
    }
}

/// What is known of a batch once it is worked on.
pub(crate) struct Batch<'c> {
    pub(crate) lane: Lane,
    pub(crate) messages: usize,
    pub(crate) failed: usize,
    /// In the order of their messages.
    pub(crate) events: Vec<Reported<'c>>,
}

impl<'c> Batch<'c> {
    /// Notes what became of an event that was applied.
    pub(crate) fn conclude(
        &mut self,
        position: usize,
        verdict: &Verdict,
        forwarded: Forwarded<'c>,
    ) {
        let found = self
            .events
            .binary_search_by_key(&position, |event| event.position);
        if let Some(event) = found.ok().and_then(|found| self.events.get_mut(found)) {
            event.conclude(verdict, forwarded);
        }
    }

    /// Counts the events and reports them: in one line, unless there are very many events. `now` is the end of the work.
    pub(crate) fn write(&self, now: Timestamp, elapsed: Duration) {
        for event in &self.events {
            event.count(now);
        }
        if !enabled!(target: "consumer", Level::INFO) {
            return;
        }
        let common = self.common();
        let fates = self.events.iter();
        let events: Vec<_> = match common {
            Some(common) => fates.filter_map(|event| event.to_json(common)).collect(),
            None => Vec::new(),
        };
        for (part, events) in parts(&events).into_iter().enumerate() {
            // The counts are those of the batch, and stand in its first line alone.
            let first = part == 0;
            report(&Line {
                message: "batch",
                lane: self.lane.as_str(),
                part: (!first).then_some(part),
                messages: first.then_some(self.messages),
                failed: (first && self.failed > 0).then_some(self.failed),
                duration_ms: first.then(|| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)),
                fate: common,
                events,
            });
        }
    }

    /// What is said of most events.
    fn common(&self) -> Option<&Fate<'c>> {
        let mut counts: HashMap<&Fate<'_>, usize> = HashMap::new();
        for event in &self.events {
            *counts.entry(&event.fate).or_default() += 1;
        }
        let most = self
            .events
            .iter()
            .max_by_key(|event| counts.get(&event.fate));
        most.map(|event| &event.fate)
    }
}

/// The events in lists that a line can have; one at least.
fn parts(events: &[Box<RawValue>]) -> Vec<Vec<&RawValue>> {
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for event in events {
        let size = event.get().len() + 1;
        if !part.is_empty() && bytes + size > MOST_BYTES {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += size;
        part.push(&**event);
    }
    parts.push(part);
    parts
}
