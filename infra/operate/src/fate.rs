//! What became of events, by the consumer's log: an event may have several lines, when its message came again or was sent
//! again.

use std::collections::{BTreeMap, BTreeSet};

use domain::identity::{DeliveryId, EventId};
use serde::Serialize;

use crate::log_lines::{EventLine, event_written};

/// The outcome of an event that could not be applied.
const FAILED: &str = "failed";

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// The event.
    #[serde(serialize_with = "event_written")]
    pub id: EventId,
    /// Its account.
    pub account: String,
    /// Its type, as the source names it.
    pub r#type: String,
    /// What it is about.
    pub subject: String,
    /// Its lane.
    pub lane: Option<String>,
    /// What it did to its record: the first time that it did anything, else `failed`.
    pub outcome: String,
    /// The teams whose queues accepted it.
    pub teams: BTreeSet<String>,
    /// The teams for which it waits in the undelivered queue, as far as the log shows.
    pub waiting: BTreeSet<String>,
    /// How long after first sight it was done for the first time, in milliseconds.
    pub after_ms: Option<u64>,
    /// How often it was worked on.
    pub tries: usize,
    /// Whether it says what the record's event before said.
    pub possible_duplicate: bool,
    /// Whether it was sent again by an operator.
    pub replayed: bool,
    /// Whether its message comes again.
    pub again: bool,
}

impl Fate {
    fn of(line: &EventLine) -> Self {
        Self {
            id: line.id,
            account: line.account.clone(),
            r#type: line.r#type.clone(),
            subject: line.subject.clone(),
            lane: line.lane.clone(),
            outcome: FAILED.to_owned(),
            teams: BTreeSet::new(),
            waiting: BTreeSet::new(),
            after_ms: None,
            tries: 0,
            possible_duplicate: false,
            replayed: false,
            again: false,
        }
    }

    fn add(&mut self, line: &EventLine) {
        self.tries += 1;
        if self.outcome == FAILED {
            self.outcome.clone_from(&line.outcome);
        }
        if !line.again && self.after_ms.is_none() {
            self.after_ms = line.age_ms;
        }
        for team in &line.undelivered {
            self.waiting.insert(team.clone());
        }
        // Accepted later, as after a release from the undelivered queue.
        for team in &line.teams {
            self.waiting.remove(team);
            self.teams.insert(team.clone());
        }
        self.possible_duplicate |= line.possible_duplicate;
        self.replayed |= line.replayed;
        self.again = line.again;
    }
}

/// What became of each event that lines speak of. The lines are in the order in which they were written.
#[must_use]
pub fn fates(lines: impl IntoIterator<Item = EventLine>) -> BTreeMap<EventId, Fate> {
    let mut fates = BTreeMap::new();
    for line in lines {
        let fate = fates.entry(line.id).or_insert_with(|| Fate::of(&line));
        fate.add(&line);
    }
    fates
}

/// What became of a delivery's events, in counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Became {
    /// Events by what they did to their records.
    pub outcomes: BTreeMap<String, u64>,
    /// Events that wait in the undelivered queue, by team.
    pub waiting: BTreeMap<String, u64>,
    /// Events whose messages come again.
    pub again: u64,
}

/// What became of the events of each delivery, in counts.
#[must_use]
pub fn by_delivery(fates: &BTreeMap<EventId, Fate>) -> BTreeMap<DeliveryId, Became> {
    let mut deliveries: BTreeMap<DeliveryId, Became> = BTreeMap::new();
    for (id, fate) in fates {
        let became = deliveries.entry(id.delivery()).or_default();
        *became.outcomes.entry(fate.outcome.clone()).or_default() += 1;
        became.again += u64::from(fate.again);
        for team in &fate.waiting {
            *became.waiting.entry(team.clone()).or_default() += 1;
        }
    }
    deliveries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_lines::events;
    use serde_json::{Value, json};

    const ID: &str = "0193b3c8-7c1a-7000-8000-000000000000.00000";

    fn line(more: &Value) -> EventLine {
        let mut event = json!({ "id": ID, "account": "acme", "type": "order.created", "subject": "order/or_1", "outcome": "applied", "age_ms": 900 });
        let more = more.as_object().unwrap().clone();
        event.as_object_mut().unwrap().extend(more);
        let batch = json!({ "message": "batch", "lane": "orders", "events": [event] });
        events(&batch.to_string()).remove(0)
    }

    #[test]
    fn an_event_that_came_again_is_one_event() {
        let failed = line(&json!({ "outcome": "failed", "again": true, "age_ms": 100 }));
        let applied = line(&json!({ "teams": ["sales"], "undelivered": ["finance"] }));
        let found = fates([failed.clone(), applied.clone()]);
        let fate = found.values().next().unwrap();
        assert_eq!((found.len(), fate.tries), (1, 2));
        assert_eq!(
            (fate.outcome.as_str(), fate.after_ms, fate.again),
            ("applied", Some(900), false)
        );
        assert!(fate.teams.contains("sales") && fate.waiting.contains("finance"));
        let counts = by_delivery(&found);
        assert_eq!(counts.values().next().unwrap().waiting["finance"], 1);

        let released = line(&json!({ "outcome": "stale", "teams": ["finance"], "age_ms": 5_000 }));
        let found = fates([failed, applied, released]);
        let fate = found.values().next().unwrap();
        assert!(fate.waiting.is_empty() && fate.teams.len() == 2);
        assert_eq!(
            (fate.outcome.as_str(), fate.after_ms),
            ("applied", Some(900))
        );
    }

    #[test]
    fn what_only_failed_comes_again() {
        let found = fates([line(&json!({ "outcome": "failed", "again": true }))]);
        let fate = found.values().next().unwrap();
        assert!(fate.again && fate.outcome == "failed" && fate.after_ms.is_none());
        assert_eq!(by_delivery(&found).values().next().unwrap().again, 1);
    }
}
