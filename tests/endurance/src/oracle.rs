//! The oracle: what must have become of the deliveries in a log, worked out from the log alone.
//!
//! It reads messages and records as the text that they are, and shares no code with what it judges. It holds that
//!
//! 1. every event of a request that was answered with its source's status of success is in the team's queue, or waits with
//!    a reason in a dead-letter, quarantine or undelivered queue, under as many ids as it was accepted times; no request is
//!    answered with another source's success;
//! 2. every message is one that was sent: its record byte for byte, its source, type, account and subject, the source's id
//!    and time of it, and an id whose time is that of a request with this event at this place;
//! 3. every record is that of the event with the greatest id, and deleted where any event said so; where the source's times
//!    count, that of the latest event by them, but by none later than first sight, and deleted where a delete is later
//!    still; by the log alone, it is that of the event which was sent last or has the latest time, or of one that was sent
//!    again or under way when that one was sent;
//! 4. no event is marked as a possible duplicate of something that was never there.
//!
//! Repeats under other ids, and how many of them are not marked, are counted: a refused delivery whose retry marker
//! was lost, or one that was accepted and never heard so, comes again as new.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::collect::QueueMessage;
use crate::events::{Event, Key};
use crate::log::{Attempt, Log};
use crate::records::{Record, RecordKey, of_text};
use crate::sources;

/// How far the gateway's clock and this program's may be apart, in milliseconds: it is one clock, rounded.
const ROUNDING: u64 = 3;
/// How much later than its request's end the gateway may first see a request that got no answer, in milliseconds.
const UNANSWERED: u64 = 60_000;

/// What was found where.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    /// What was sent.
    pub(crate) log: &'a Log,
    /// The team's queue.
    pub(crate) team: &'a [QueueMessage],
    /// The queue for what the team's queue refused.
    pub(crate) undelivered: &'a [QueueMessage],
    /// All dead-letter queues.
    pub(crate) dead: &'a [QueueMessage],
    /// What is in quarantine.
    pub(crate) notices: &'a [Notice],
    /// Records that travel apart, by their references.
    pub(crate) objects: &'a BTreeMap<String, String>,
    /// The records table.
    pub(crate) records: &'a BTreeMap<RecordKey, Record>,
}

/// A quarantine message, and the hash of the bytes that it points at.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Notice {
    /// Whose.
    pub(crate) account: String,
    /// Which delivery.
    pub(crate) deliveryid: String,
    /// Why none of it could be read.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// Which parts could not be used, and why.
    #[serde(default)]
    pub(crate) elements: Vec<NoticeElement>,
    /// The receipt's key.
    pub(crate) receipt: NoticeReceipt,
    /// The receipt's hash of the body, once it was read.
    #[serde(skip)]
    pub(crate) hash: Option<String>,
}

/// A part of a delivery that is in quarantine.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NoticeElement {
    /// Its place.
    pub(crate) index: usize,
    /// Why.
    pub(crate) reason: String,
}

/// The key of a receipt.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NoticeReceipt {
    /// Partition.
    pub(crate) pk: String,
    /// Sort key.
    pub(crate) sk: String,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// Events that were sent, each counted once.
    pub(crate) events_sent: usize,
    /// Events that were answered with success at least once.
    pub(crate) events_accepted: usize,
    /// The events that were sent, by their source.
    pub(crate) sent_by_source: BTreeMap<&'static str, usize>,
    /// The events that were answered with success, by their source.
    pub(crate) accepted_by_source: BTreeMap<&'static str, usize>,
    /// Different ids that were seen anywhere.
    pub(crate) ids: usize,
    /// Ids in the team's queue.
    pub(crate) ids_in_the_teams_queue: usize,
    /// Ids in the undelivered queue.
    pub(crate) ids_undelivered: usize,
    /// Ids among them that are in the team's queue as well.
    pub(crate) ids_in_both: usize,
    /// Ids in dead-letter queues.
    pub(crate) ids_dead: usize,
    /// Events, and elements that are none, in quarantine.
    pub(crate) quarantined: usize,
    /// Ids whose record has the number of a later attempt than the first.
    pub(crate) ids_of_a_later_attempt: usize,
    /// Ids whose record came as a pointer.
    pub(crate) ids_by_pointer: usize,
    /// Messages of the team beyond the first of each id.
    pub(crate) duplicates_by_id: usize,
    /// Ids of an event beyond its first.
    pub(crate) repeats: usize,
    /// Those among them that are not marked as possible duplicates.
    pub(crate) unmarked_repeats: usize,
    /// Deliveries refused with 503 that came again whole, with no other answer before the success.
    pub(crate) refused_and_accepted: usize,
    /// Those among them whose events kept the ids of an attempt that was refused.
    pub(crate) kept_their_identity: usize,
    /// Those among the refused and later accepted whose retries have other bytes, and are known by the source's id.
    pub(crate) accepted_in_other_bytes: usize,
    /// Those among them whose event kept the id of an attempt that was refused.
    pub(crate) kept_in_other_bytes: usize,
    /// Records that were compared.
    pub(crate) records_compared: usize,
    /// Records that are not deleted although an event said so, because their source's time of another is later.
    pub(crate) deletes_undone: usize,
    /// Records that were held against the log alone.
    pub(crate) records_held_against_the_log: usize,
    /// Those among them that say an event which was sent later than the last accepted one, and never accepted.
    pub(crate) records_of_one_refused: usize,
    /// Those that say an earlier event, which came again after the last accepted one.
    pub(crate) records_of_one_sent_again: usize,
    /// Those that say an earlier event, which was under way when the last accepted one was sent, or has the same time.
    pub(crate) records_of_one_at_the_same_time: usize,
}

/// What the oracle found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judgement {
    /// Counts.
    pub(crate) figures: Figures,
    /// Broken promises, each in a line.
    pub(crate) problems: Vec<String>,
}

/// A message as a team reads it.
#[derive(Deserialize)]
struct Envelope<'a> {
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    event_type: &'a str,
    subject: String,
    account: &'a str,
    deliveryid: &'a str,
    sourceid: Option<String>,
    sourcetime: Option<String>,
    sequence: Option<String>,
    #[serde(default)]
    possibleduplicate: bool,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    dataref: Option<&'a str>,
}

#[derive(Deserialize)]
struct Undelivered<'a> {
    team: String,
    reason: String,
    #[serde(borrow)]
    envelope: &'a RawValue,
}

/// The reference in a message to a record that travels apart.
pub(crate) fn reference(body: &str) -> Option<String> {
    let envelope = match serde_json::from_str::<Undelivered<'_>>(body) {
        Ok(undelivered) => undelivered.envelope.get(),
        Err(_) => body,
    };
    let envelope: Envelope<'_> = serde_json::from_str(envelope).ok()?;
    envelope.dataref.map(str::to_owned)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Team,
    Undelivered,
    Dead,
}

/// What was seen of one id.
#[derive(Debug, Default)]
struct Sight {
    places: BTreeSet<Place>,
    marked: bool,
    subject: String,
    /// The attempts whose bytes the record had.
    attempts: BTreeSet<usize>,
}

/// Where an event is in the log: its delivery and its place there.
type Spot = (usize, usize);

struct Court<'a> {
    log: &'a Log,
    objects: &'a BTreeMap<String, String>,
    by_mark: BTreeMap<usize, (Spot, &'a Event)>,
    attempts: BTreeMap<usize, Vec<&'a Attempt>>,
    seen: BTreeMap<usize, BTreeMap<String, Sight>>,
    quarantined: BTreeMap<Spot, usize>,
    unreadable: BTreeSet<usize>,
    found: Judgement,
}

/// Judges.
pub(crate) fn judge(evidence: &Evidence<'_>) -> Judgement {
    let mut court = Court::new(evidence.log, evidence.objects);
    for (place, messages) in [
        (Place::Team, evidence.team),
        (Place::Undelivered, evidence.undelivered),
        (Place::Dead, evidence.dead),
    ] {
        for message in messages {
            court.hear(place, &message.body);
        }
    }
    for notice in evidence.notices {
        court.hear_notice(notice);
    }
    court.answers_are_the_sources();
    court.count(evidence.team.len());
    court.nothing_is_lost();
    court.marks_are_true();
    court.identities_are_kept();
    court.records_are_right(evidence.records);
    court.found
}

impl<'a> Court<'a> {
    fn new(log: &'a Log, objects: &'a BTreeMap<String, String>) -> Self {
        let mut by_mark = BTreeMap::new();
        for (number, delivery) in log.deliveries.iter().enumerate() {
            for (place, (event, _)) in delivery.elements.iter().enumerate() {
                if let Some(event) = event {
                    by_mark.insert(event.mark, ((number, place), event));
                }
            }
        }
        let mut attempts: BTreeMap<usize, Vec<&Attempt>> = BTreeMap::new();
        for attempt in &log.attempts {
            attempts.entry(attempt.delivery).or_default().push(attempt);
        }
        Self {
            log,
            objects,
            by_mark,
            attempts,
            seen: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            found: Judgement::default(),
        }
    }

    fn broken(&mut self, problem: String) {
        self.found.problems.push(problem);
    }

    fn account(&self, delivery: usize) -> &'a str {
        let account = self.log.deliveries.get(delivery).map(|one| one.account);
        account
            .and_then(|account| self.log.accounts.get(account))
            .map_or("", String::as_str)
    }

    /// Whether an attempt's status says to its source that it was taken.
    fn is_taken(&self, attempt: &Attempt) -> bool {
        let delivery = self.log.deliveries.get(attempt.delivery);
        delivery.is_some_and(|delivery| delivery.is_taken_by(attempt.status))
    }

    fn attempts_of(&self, (delivery, place): Spot) -> impl Iterator<Item = &'a Attempt> + use<'a> {
        let attempts = self.attempts.get(&delivery).cloned().unwrap_or_default();
        attempts
            .into_iter()
            .filter(move |attempt| attempt.part.contains(&place))
    }

    /// A message of the team's, as it is or with what is around it.
    fn hear(&mut self, place: Place, body: &str) {
        let envelope = match place {
            Place::Team | Place::Dead => body,
            Place::Undelivered => match serde_json::from_str::<Undelivered<'_>>(body) {
                Ok(undelivered) if undelivered.team.is_empty() || undelivered.reason.is_empty() => {
                    return self.broken(format!(
                        "an undelivered event without a reason: {body:.300}"
                    ));
                }
                Ok(undelivered) => undelivered.envelope.get(),
                Err(error) => {
                    return self.broken(format!("{error} in an undelivered event: {body:.300}"));
                }
            },
        };
        if let Err(problem) = self.take(place, envelope) {
            self.broken(format!("{problem}: {envelope:.400}"));
        }
    }

    fn take(&mut self, place: Place, body: &str) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Marked {
            mark: usize,
        }
        let envelope: Envelope<'_> =
            serde_json::from_str(body).map_err(|error| format!("no envelope ({error})"))?;
        let record = match (envelope.data, envelope.dataref) {
            (Some(data), None) => data.get(),
            (None, Some(reference)) => {
                self.found.figures.ids_by_pointer += 1;
                let object = self.objects.get(reference);
                object.ok_or("a pointer to nothing")?
            }
            _ => return Err("neither or both of data and dataref".to_owned()),
        };
        let marked: Marked = serde_json::from_str(record).map_err(|_| "a record without a mark")?;
        let (spot, event) = *self
            .by_mark
            .get(&marked.mark)
            .ok_or("an event that was never sent")?;
        let account = self.account(spot.0);
        let made = self.attempts.get(&spot.0).map_or(0, Vec::len);
        let said = event.attempt_that_says(record, made);
        let source = sources::name(event.source);
        let same = envelope.account == account
            && envelope.source == format!("/{source}/{account}")
            && envelope.event_type == format!("{source}.{}", event.name)
            && names(&envelope.subject, event);
        let (Some(said), true) = (said, same) else {
            return Err(format!(
                "not what was sent ({} {})",
                event.name, event.record
            ));
        };
        let (delivery, millis, index) = read_id(envelope.id).ok_or("an id that is none")?;
        let time = event.time.as_ref().map(|time| &*time.text);
        if envelope.sourceid != event.source_id || envelope.sourcetime.as_deref() != time {
            return Err(format!(
                "not the source's id and time ({:?} {time:?})",
                event.source_id
            ));
        }
        let sequence = event.counting_time().map(|time| {
            let time = time.min(millis);
            format!("{time:015}.{}", envelope.id)
        });
        if envelope.sequence != sequence {
            return Err(format!("not the place in the order ({sequence:?})"));
        }
        if delivery != envelope.deliveryid {
            return Err("an id that is not of its delivery".to_owned());
        }
        let fits = self
            .attempts_of(spot)
            .any(|attempt| spot.1 - attempt.part.start == index && covers(attempt, millis));
        if !fits {
            return Err("an id from a time or place at which this was not sent".to_owned());
        }
        let sights = self.seen.entry(event.mark).or_default();
        let sight = sights.entry(envelope.id.to_owned()).or_default();
        sight.places.insert(place);
        sight.marked |= envelope.possibleduplicate;
        sight.attempts.insert(said);
        sight.subject = envelope.subject;
        Ok(())
    }

    fn hear_notice(&mut self, notice: &Notice) {
        let at = format!(
            "quarantine, delivery {} of {}",
            notice.deliveryid, notice.account
        );
        let Some(hash) = &notice.hash else {
            return self.broken(format!("{at}: it points at no receipt"));
        };
        let log = self.log;
        let attempt = log.attempts.iter().find(|attempt| {
            log.deliveries
                .get(attempt.delivery)
                .is_some_and(|delivery| {
                    log.accounts.get(delivery.account) == Some(&notice.account)
                        && sha256(&delivery.body(attempt.part.clone())) == *hash
                })
        });
        let Some(attempt) = attempt else {
            return self.broken(format!("{at}: its receipt has bytes that were never sent"));
        };
        let delivery = log.deliveries.get(attempt.delivery);
        let is_unreadable = delivery.is_some_and(|delivery| delivery.unreadable.is_some());
        if is_unreadable {
            if notice.reason.as_ref().is_none_or(String::is_empty) {
                return self.broken(format!("{at}: no reason"));
            }
            self.unreadable.insert(attempt.delivery);
            return;
        }
        if notice.elements.is_empty() {
            return self.broken(format!(
                "{at}: a delivery that can be read ({:?})",
                notice.reason
            ));
        }
        for element in &notice.elements {
            let place = attempt.part.start + element.index;
            if element.reason.is_empty() || !attempt.part.contains(&place) {
                self.broken(format!(
                    "{at}: element {} ({})",
                    element.index, element.reason
                ));
                continue;
            }
            *self
                .quarantined
                .entry((attempt.delivery, place))
                .or_default() += 1;
        }
    }

    /// A source that gets another's success would send again, or take a refusal for one.
    fn answers_are_the_sources(&mut self) {
        let mut wrong = Vec::new();
        for attempt in &self.log.attempts {
            let is_success = attempt
                .status
                .is_some_and(|status| (200..300).contains(&status));
            if is_success && !self.is_taken(attempt) {
                let account = self.account(attempt.delivery);
                wrong.push(format!(
                    "delivery {} of {account} was answered with {:?}, which is not its source's success",
                    attempt.delivery, attempt.status
                ));
            }
        }
        self.found.problems.extend(wrong);
    }

    fn count(&mut self, messages_of_the_team: usize) {
        let sights = || self.seen.values().flat_map(BTreeMap::values);
        let ids = |of: fn(&Sight) -> bool| sights().filter(|sight| of(sight)).count();
        let ids_in = |places: &[Place]| {
            let is_in = |sight: &&Sight| places.iter().all(|place| sight.places.contains(place));
            sights().filter(is_in).count()
        };
        let figures = &mut self.found.figures;
        figures.events_sent = self.by_mark.len();
        for (_, event) in self.by_mark.values() {
            let sent = figures.sent_by_source.entry(sources::name(event.source));
            *sent.or_default() += 1;
        }
        figures.ids_of_a_later_attempt = ids(|sight| sight.attempts.iter().any(|made| *made > 1));
        figures.ids = ids(|_| true);
        figures.ids_in_the_teams_queue = ids_in(&[Place::Team]);
        figures.ids_undelivered = ids_in(&[Place::Undelivered]);
        figures.ids_in_both = ids_in(&[Place::Team, Place::Undelivered]);
        figures.ids_dead = ids_in(&[Place::Dead]);
        figures.quarantined = self.quarantined.len() + self.unreadable.len();
        figures.duplicates_by_id =
            messages_of_the_team.saturating_sub(figures.ids_in_the_teams_queue);
    }

    /// The first promise.
    fn nothing_is_lost(&mut self) {
        let mut lost = Vec::new();
        let mut accepted = 0;
        let mut by_source = BTreeMap::new();
        for (number, delivery) in self.log.deliveries.iter().enumerate() {
            let ok = |attempt: &&Attempt| delivery.is_taken_by(attempt.status);
            if delivery.unreadable.is_some() {
                let answered = self.attempts.get(&number).into_iter().flatten().copied();
                if answered.filter(ok).count() > 0 && !self.unreadable.contains(&number) {
                    lost.push(format!(
                        "the unreadable delivery {number} is not in quarantine"
                    ));
                }
                continue;
            }
            for (place, (event, text)) in delivery.elements.iter().enumerate() {
                let spot = (number, place);
                let times = self.attempts_of(spot).filter(ok).count();
                let in_quarantine = self.quarantined.get(&spot).copied().unwrap_or_default();
                let seen = event.as_ref().and_then(|event| self.seen.get(&event.mark));
                let ids = seen.map_or(0, BTreeMap::len);
                if times > 0 && event.is_some() {
                    accepted += 1;
                    *by_source.entry(sources::name(delivery.source)).or_default() += 1;
                }
                if ids + in_quarantine < times {
                    let account = self.account(number);
                    lost.push(format!(
                        "taken {times} times and found under {ids} ids, {in_quarantine} times in quarantine: \
                         {account} delivery {number}.{place} {text:.200}"
                    ));
                }
            }
        }
        self.found.figures.events_accepted = accepted;
        self.found.figures.accepted_by_source = by_source;
        self.found.problems.extend(lost);
    }

    /// No two events have the same bytes, so of an event's ids one repeats nothing.
    fn marks_are_true(&mut self) {
        let mut wrong = Vec::new();
        for ids in self.seen.values() {
            let figures = &mut self.found.figures;
            figures.repeats += ids.len().saturating_sub(1);
            let marked = ids.values().filter(|sight| sight.marked).count();
            figures.unmarked_repeats += (ids.len() - marked).saturating_sub(1);
            // One of them came first, whichever id that has.
            let first = ids.first_key_value();
            if let Some((id, _)) = first.filter(|_| marked == ids.len()) {
                wrong.push(format!("{id} is marked as a possible duplicate of nothing"));
            }
        }
        self.found.problems.extend(wrong);
    }

    fn identities_are_kept(&mut self) {
        for (number, delivery) in self.log.deliveries.iter().enumerate() {
            let attempts: &[&Attempt] = self.attempts.get(&number).map_or(&[], Vec::as_slice);
            let event = delivery.elements.first();
            let event = event.and_then(|(event, _)| event.as_ref());
            let (Some(first), Some(event)) = (attempts.first(), event) else {
                continue;
            };
            if delivery.splits || delivery.comes_again || first.status != Some(503) {
                continue;
            }
            // A function that is killed during a retry holds the marker until its lease ends: the next retry begins anew.
            let is_answered = |attempt: &&Attempt| {
                attempt.status == Some(503) || delivery.is_taken_by(attempt.status)
            };
            if !attempts.iter().all(is_answered) {
                continue;
            }
            let mut refused = attempts.to_vec();
            refused.retain(|attempt| attempt.status == Some(503));
            let figures = &mut self.found.figures;
            figures.refused_and_accepted += 1;
            let is_a_refused_ones = |id: &String| {
                let millis = read_id(id).map_or(0, |(_, millis, _)| millis);
                refused.iter().any(|attempt| covers(attempt, millis))
            };
            let ids = self.seen.get(&event.mark);
            let kept = ids.is_some_and(|ids| !ids.is_empty() && ids.keys().all(is_a_refused_ones));
            figures.kept_their_identity += usize::from(kept);
            if event.counter.is_some() {
                figures.accepted_in_other_bytes += 1;
                figures.kept_in_other_bytes += usize::from(kept);
            }
        }
    }

    /// The third promise.
    fn records_are_right(&mut self, table: &BTreeMap<RecordKey, Record>) {
        let mut events: BTreeMap<RecordKey, Vec<Said<'_>>> = BTreeMap::new();
        let mut not_applied = BTreeSet::new();
        let mut identities: BTreeMap<(&str, &str), BTreeSet<&Key>> = BTreeMap::new();
        let mut problems = Vec::new();
        for (mark, ids) in &self.seen {
            let Some(((delivery, _), event)) = self.by_mark.get(mark) else {
                continue;
            };
            let account = self.account(*delivery);
            for (id, sight) in ids {
                let (kind, key) = sight.subject.split_once('/').unwrap_or_default();
                let key = (account.to_owned(), kind.to_owned(), key.to_owned());
                if sight.places.contains(&Place::Dead) {
                    not_applied.insert(key.clone());
                }
                let attempts = &sight.attempts;
                events.entry(key).or_default().push(Said {
                    id,
                    event,
                    attempts,
                });
                let keys = identities.entry((account, &sight.subject));
                keys.or_default().insert(&event.key);
            }
        }
        for ((_, subject), keys) in identities {
            if keys.len() > 1 {
                problems.push(format!(
                    "different records have the subject {subject}: {keys:?}"
                ));
            }
        }
        for key in table.keys().filter(|key| !events.contains_key(*key)) {
            problems.push(format!("a record of which nobody was told: {key:?}"));
        }
        let (mut compared, mut undone) = (0, 0);
        for (key, events) in &events {
            if not_applied.contains(key) {
                continue;
            }
            compared += 1;
            let expected = fold(&key.1, events);
            let has_delete = events.iter().any(|said| said.event.is_delete());
            undone += usize::from(has_delete && !expected.iter().any(|record| record.deleted));
            match table.get(key) {
                Some(record) if expected.contains(record) => {}
                found => problems.push(format!("{key:?} must be {expected:?} and is {found:?}")),
            }
        }
        self.found.figures.records_compared = compared;
        self.found.figures.deletes_undone = undone;
        problems.extend(self.decided_by_the_log(table));
        self.found.problems.extend(problems);
    }

    /// What the log alone says of each record, without a message or an id being read: where an event was answered with
    /// success, the record says it, or one that was sent at the same time or again after it. Where the source's times count,
    /// the order of sending decides between those events alone that have none, or one that is still to come.
    fn decided_by_the_log(&mut self, table: &BTreeMap<RecordKey, Record>) -> Vec<String> {
        let mut events: BTreeMap<RecordKey, Vec<Sent<'_>>> = BTreeMap::new();
        for ((delivery, place), event) in self.by_mark.values() {
            let Key::Is(id) = &event.key else { continue };
            if event.is_delete() || self.quarantined.contains_key(&(*delivery, *place)) {
                continue;
            }
            let attempts: Vec<&Attempt> = self.attempts_of((*delivery, *place)).collect();
            let account = self.account(*delivery).to_owned();
            let key = (account, event.kind.to_owned(), id.clone());
            let sent = Sent { event, attempts };
            events.entry(key).or_default().push(sent);
        }
        let mut problems = Vec::new();
        for (key, events) in events {
            let accepted = events.iter().filter(|sent| sent.is_accepted());
            let Some(last) = accepted.max_by_key(|sent| sent.earliest()) else {
                continue;
            };
            let found = table.get(&key).and_then(|record| record.data.clone());
            let said = events
                .iter()
                .filter(|sent| sent.says(found.as_ref()))
                .max_by_key(|sent| sent.latest());
            let figures = &mut self.found.figures;
            figures.records_held_against_the_log += 1;
            match said {
                Some(said) if std::ptr::eq(said.event, last.event) => {}
                Some(said) if said.latest() + ROUNDING < last.earliest() => {
                    problems.push(is_earlier(&key, last, found.as_ref()));
                }
                Some(said) if said.earliest() > last.earliest() => {
                    figures.records_of_one_refused += 1;
                }
                Some(said) if said.comes_again_after(last) => {
                    figures.records_of_one_sent_again += 1;
                }
                Some(_) => figures.records_of_one_at_the_same_time += 1,
                None => problems.push(is_earlier(&key, last, found.as_ref())),
            }
        }
        problems
    }
}

fn is_earlier(key: &RecordKey, last: &Sent<'_>, found: Option<&Value>) -> String {
    let record = &last.event.record;
    format!("{key:?} was last told {record} and is {found:?}")
}

/// An event, and when it was sent.
struct Sent<'a> {
    event: &'a Event,
    attempts: Vec<&'a Attempt>,
}

impl Sent<'_> {
    fn is_accepted(&self) -> bool {
        self.attempts
            .iter()
            .any(|attempt| attempt.status == Some(sources::success(self.event.source)))
    }

    /// Whether a record is this event's, as one of the attempts had it.
    fn says(&self, found: Option<&Value>) -> bool {
        let is = |attempt| of_text(&self.event.record_of(attempt)).ok().as_ref() == found;
        let numbered = match self.event.counter {
            Some(_) => self.attempts.len(),
            None => 1,
        };
        (1..=numbered).any(is)
    }

    /// Its place in the order at the earliest, as a time: its source's, unless it was sent before that.
    fn earliest(&self) -> u64 {
        let first = self.first();
        let time = self.event.counting_time();
        time.map_or(first, |time| time.min(first))
    }

    /// Its place in the order at the latest.
    fn latest(&self) -> u64 {
        let last = self.last();
        let time = self.event.counting_time();
        time.map_or(last, |time| time.min(last))
    }

    /// When it was sent for the first time.
    fn first(&self) -> u64 {
        let sent = self.attempts.iter().map(|attempt| attempt.after);
        sent.min().unwrap_or(u64::MAX)
    }

    /// Until when it may have been seen for the first time.
    fn last(&self) -> u64 {
        let until = self.attempts.iter().map(|attempt| until(attempt));
        until.max().unwrap_or_default()
    }

    /// Whether it was sent before another event and again after it.
    fn comes_again_after(&self, other: &Self) -> bool {
        let mut sent = self.attempts.iter().map(|attempt| attempt.after);
        self.first() < other.first() && sent.any(|after| after > other.first())
    }
}

/// An event under one of its ids.
#[derive(Debug)]
struct Said<'a> {
    id: &'a str,
    event: &'a Event,
    /// The attempts whose bytes were seen.
    attempts: &'a BTreeSet<usize>,
}

impl Said<'_> {
    /// Its place among the events of its record: by the source's time where that counts, but never behind first sight; then
    /// by its id, which begins with first sight.
    fn place(&self) -> (u64, &str) {
        let seen = read_id(self.id).map_or(0, |(_, millis, _)| millis);
        let time = self.event.counting_time();
        (time.map_or(seen, |time| time.min(seen)), self.id)
    }
}

/// What the events of one record make of it, by their places. Where attempts under one id had different bytes, the record has
/// those of any of them.
fn fold(kind: &str, events: &[Said<'_>]) -> Vec<Record> {
    let of = |is_delete: bool| {
        let events = events.iter();
        events.filter(move |said| said.event.is_delete() == is_delete)
    };
    let latest = of(false).max_by_key(|said| said.place());
    let delete = of(true).max_by_key(|said| said.place());
    let is_timed = events.iter().any(|said| said.event.is_timed());
    let deleted = match (delete, latest) {
        (Some(delete), Some(latest)) if is_timed => delete.place() > latest.place(),
        (delete, _) => delete.is_some(),
    };
    let collected = of(false).filter(|_| kind == "payment");
    let event_ids: BTreeSet<String> = collected.map(|said| said.id.to_owned()).collect();
    let record = |data| Record {
        data,
        event_id: latest.map(|said| said.id.to_owned()),
        deleted,
        event_ids: event_ids.clone(),
    };
    match latest {
        None => vec![record(None)],
        Some(said) => {
            let texts = said.attempts.iter().map(|made| said.event.record_of(*made));
            texts.map(|text| record(of_text(&text).ok())).collect()
        }
    }
}

/// Whether a subject names the record of an event.
fn names(subject: &str, event: &Event) -> bool {
    let Some((kind, key)) = subject.split_once('/') else {
        return false;
    };
    kind == event.kind
        && match &event.key {
            Key::Is(id) => key == id,
            Key::Begins(beginning, _) => key.starts_with(beginning.as_str()),
        }
}

/// Until when a request may first have been seen.
fn until(attempt: &Attempt) -> u64 {
    match attempt.status {
        Some(_) => attempt.before,
        None => attempt.before + UNANSWERED,
    }
}

fn covers(attempt: &Attempt, millis: u64) -> bool {
    attempt.after <= millis + ROUNDING && millis <= until(attempt) + ROUNDING
}

/// The delivery, the milliseconds and the place in an event's id: `{uuid}.{five digits}`, the uuid's first twelve
/// digits the milliseconds.
fn read_id(id: &str) -> Option<(&str, u64, usize)> {
    let (delivery, index) = id.split_once('.')?;
    let (high, rest) = delivery.split_at_checked(8)?;
    let low = rest.strip_prefix('-')?.get(..4)?;
    let millis = u64::from_str_radix(&[high, low].concat(), 16).ok()?;
    (delivery.len() == 36 && index.len() == 5).then_some(())?;
    Some((delivery, millis, index.parse().ok()?))
}

pub(crate) fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests;
