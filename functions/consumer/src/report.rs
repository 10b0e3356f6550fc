//! The report: the line that says what became of a batch, with every event that could be read. What failed has warnings of
//! its own besides.

use std::time::Duration;

use domain::fold::Verdict;
use domain::lane::Lane;
use domain::timestamp::Timestamp;
use runtime::metrics::{Metric, count, observe};
use serde::{Serialize, Serializer};
use tracing::info;

use crate::apply::Arrived;
use crate::forward::Forwarded;

/// The most bytes of events in one line. `CloudWatch` cuts an event of its log at 256 KiB, and the line has more than
/// these. <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>
const MOST_BYTES: usize = 200_000;

/// The outcome of an event that could not be applied.
const FAILED: &str = "failed";

/// An event of the batch: what it is, and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Reported<'c> {
    #[serde(skip)]
    position: usize,
    id: String,
    account: String,
    r#type: String,
    subject: String,
    /// What it did to its record.
    outcome: &'static str,
    /// The teams whose queues accepted it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    teams: Vec<&'c str>,
    /// The teams that it was set aside for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    undelivered: Vec<String>,
    /// How long ago it was seen first, in milliseconds.
    #[serde(rename = "age_ms")]
    age: Age,
    #[serde(skip_serializing_if = "is_false")]
    possible_duplicate: bool,
    #[serde(skip_serializing_if = "is_false")]
    replayed: bool,
    /// Whether its message comes again.
    #[serde(skip_serializing_if = "is_false")]
    again: bool,
}

/// When an event was seen first; written as how long ago that was.
#[derive(Debug, Clone, Copy)]
struct Age {
    first_seen: Timestamp,
    millis: u64,
}

impl Serialize for Age {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.millis)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl<'c> Reported<'c> {
    /// An event of which nothing has become yet.
    pub(crate) fn of(arrived: &Arrived<'_>) -> Self {
        let envelope = &arrived.envelope;
        Self {
            position: arrived.position,
            id: envelope.id.to_string(),
            account: envelope.account.to_string(),
            r#type: envelope.event_type.to_string(),
            subject: envelope.subject.to_string(),
            outcome: FAILED,
            teams: Vec::new(),
            undelivered: Vec::new(),
            age: Age {
                first_seen: envelope.time(),
                millis: 0,
            },
            possible_duplicate: false,
            replayed: envelope.marks.replayed,
            again: true,
        }
    }

    /// Notes what became of it.
    fn conclude(&mut self, verdict: &Verdict, forwarded: Forwarded<'c>) {
        self.outcome = verdict.outcome.as_str();
        self.possible_duplicate = verdict.possible_duplicate;
        self.again = forwarded.again;
        self.teams = forwarded.teams;
        self.undelivered = forwarded.undelivered;
    }

    /// Counts it, if it is done.
    fn count(&self) {
        if self.again {
            return;
        }
        count(Metric::Events, 1);
        // How long ago a replayed event was seen first says nothing about how fast it is forwarded.
        if !self.teams.is_empty() && !self.replayed {
            observe(Metric::ForwardAgeMs, self.age.millis);
        }
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

    /// Counts the events and writes the lines: one, unless there are very many events. `now` is the end of the work.
    pub(crate) fn write(&mut self, now: Timestamp, elapsed: Duration) {
        for event in &mut self.events {
            let first_seen = event.age.first_seen.millis();
            event.age.millis = now.millis().saturating_sub(first_seen);
            event.count();
        }
        let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let lane = self.lane.as_str();
        for (part, events) in lists(&self.events).into_iter().enumerate() {
            let events = events.as_bytes();
            match part {
                0 => info!(
                    lane,
                    messages = self.messages,
                    failed = self.failed,
                    duration_ms,
                    events,
                    "batch"
                ),
                // The counts are those of the batch, and stand in its first line alone.
                _ => info!(lane, part, events, "batch"),
            }
        }
    }
}

/// The events as JSON arrays that a line can have; one at least.
fn lists(events: &[Reported<'_>]) -> Vec<String> {
    let mut lists = Vec::new();
    let mut list = String::from("[");
    for event in events {
        // Texts and numbers are always JSON.
        let Ok(event) = serde_json::to_string(event) else {
            continue;
        };
        if list.len() > 1 {
            if list.len() + event.len() > MOST_BYTES {
                list.push(']');
                lists.push(std::mem::replace(&mut list, String::from("[")));
            } else {
                list.push(',');
            }
        }
        list.push_str(&event);
    }
    list.push(']');
    lists.push(list);
    lists
}
