//! What the source said of a record last, and why the record may say something earlier.
//!
//! The sender gives no time and no version, so a record is what the events say in the order of first sight. Where that is
//! not the order at the source, something kept the earlier event from being seen first, or gave the later one the
//! identity of another. Every such cause is one that the design allows, or the schedule fails.

use std::collections::{BTreeMap, HashMap};

use crate::faults::Step;
use crate::oracle::{Expected, is_timed};
use crate::plan::{BUDGET, LEASE, Plan};
use crate::world::{Actor, Attempt, Key, Ledger, Subject};

/// Why a record says something earlier than the last event of it that was answered with 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Cause {
    /// The earlier event was first verified after the later one: it was sent or arrived late.
    SeenLate,
    /// The earlier event was taken before, and sent again: its answer was lost, or the source gave it up too soon.
    SentAgain,
    /// The earlier event was refused, and came again in other bytes, to which no marker belongs.
    OtherBytes,
    /// The earlier event was refused without a retry marker, since a call failed or the function died.
    NoMarker,
    /// The retry marker of the earlier event was too old.
    Expired,
    /// The retry marker of the earlier event could not be read or held.
    Unread,
    /// One of two deliveries with equal bytes took the other's retry marker.
    EqualBytes,
}

impl Cause {
    /// Every cause, in words that follow a number of records.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::SeenLate, "by events that were seen late"),
        (Self::SentAgain, "by taken events that were sent again"),
        (Self::OtherBytes, "by retries in other bytes"),
        (Self::NoMarker, "by refusals without a retry marker"),
        (Self::Expired, "by retry markers that had expired"),
        (
            Self::Unread,
            "by retry markers that could not be read or held",
        ),
        (Self::EqualBytes, "by equal deliveries"),
    ];
}

/// How many records are stale, by cause.
pub(crate) type Stale = [u64; Cause::ALL.len()];

/// When something happened at the source: the delivery's time, its number, and the position in it.
type Moment = (u64, usize, usize);

/// Everything that is known of what the source sent.
struct Sent<'a> {
    ledger: &'a Ledger,
    happened: HashMap<u32, Moment>,
    /// The genuine attempts that carried something, with its position, the first one first.
    carried: HashMap<u32, Vec<(&'a Attempt, u32)>>,
}

/// Counts the stale records by cause.
///
/// # Errors
/// One is stale by no cause that the design allows.
pub(crate) fn stale(
    plan: &Plan,
    ledger: &Ledger,
    records: &BTreeMap<Subject, Expected>,
) -> Result<Stale, String> {
    let sent = Sent::of(plan, ledger);
    let mut stale = Stale::default();
    // Where the sender says times, the record is held against them, and the order of arrival changes nothing.
    let is_dated =
        |(account, about): &&Subject| is_timed(plan.accounts[*account].sender, about.kind());
    for (subject, record) in records.iter().filter(|(subject, _)| !is_dated(subject)) {
        let Some(latest) = record.latest else {
            continue;
        };
        if let Some(cause) = sent.cause(subject, latest)? {
            stale[cause as usize] += 1;
        }
    }
    Ok(stale)
}

impl<'a> Sent<'a> {
    fn of(plan: &Plan, ledger: &'a Ledger) -> Self {
        let mut happened = HashMap::new();
        for (number, genuine) in plan.genuine.iter().enumerate() {
            for (position, element) in genuine.delivery.elements.iter().enumerate() {
                happened.insert(element.occurrence, (genuine.at, number, position));
            }
        }
        let mut carried: HashMap<u32, Vec<(&Attempt, u32)>> = HashMap::new();
        for attempt in ledger.attempts.iter().filter(|attempt| attempt.genuine) {
            for (index, element) in (0..).zip(&attempt.delivery.elements) {
                let of = carried.entry(element.occurrence).or_default();
                of.push((attempt, index));
            }
        }
        for attempts in carried.values_mut() {
            attempts.sort_by_key(|(attempt, _)| attempt.epoch);
        }
        Self {
            ledger,
            happened,
            carried,
        }
    }

    /// What the source said last of a record, deletes aside, of all that was answered with 200 and is not in quarantine; and
    /// the last identity that it was given.
    fn last_word(&self, subject: &Subject) -> Option<(u32, Key)> {
        let (account, about) = subject;
        let says = |(attempt, index): &(&Attempt, u32)| {
            let event = attempt.delivery.event(*index);
            let event = event.filter(|_| attempt.account == *account);
            event.is_some_and(|event| event.about == *about && !event.deletes())
        };
        let is_taken =
            |attempts: &[(&Attempt, u32)]| attempts.iter().any(|(by, _)| by.answer == Some(200));
        self.carried
            .iter()
            .filter(|(_, attempts)| attempts.first().is_some_and(says) && is_taken(attempts))
            .filter_map(|(occurrence, _)| Some((*occurrence, self.keys(*occurrence).max()?)))
            .max_by_key(|(occurrence, _)| self.happened.get(occurrence))
    }

    /// The invocation that was an attempt.
    fn actor(&self, attempt: &Attempt) -> Option<&Actor> {
        let number = self.ledger.by_epoch.get(&attempt.epoch)?;
        let mut actors = self.ledger.actors.iter();
        actors.find(|actor| actor.attempt == Some(*number))
    }

    /// The identities that something was given and that a lane accepted.
    fn keys(&self, occurrence: u32) -> impl Iterator<Item = Key> {
        let attempts = self.carried.get(&occurrence).into_iter().flatten();
        attempts
            .filter_map(|(attempt, index)| Some(Key(attempt.identity?, *index)))
            .filter(|key| self.ledger.accepted.contains_key(key))
    }

    /// Why a record whose latest event has this key says something earlier. `None` where it does not.
    fn cause(&self, subject: &Subject, latest: Key) -> Result<Option<Cause>, String> {
        let accepted = &self.ledger.accepted;
        let Some((last, own)) = self.last_word(subject) else {
            return Ok(None);
        };
        if accepted[&own].event.says_what(&accepted[&latest].event) {
            return Ok(None);
        }
        let by = |identity: u64| &self.ledger.attempts[self.ledger.by_epoch[&identity]];
        let mut carried = by(own.0).delivery.elements.iter();
        if carried.all(|element| element.occurrence != last) {
            return Ok(Some(Cause::EqualBytes));
        }
        // The attempt that gave the record's latest event its identity.
        let giver = by(latest.0);
        let Some(earlier) = giver.delivery.elements.get(latest.1 as usize) else {
            return Err(format!("nothing was sent as {latest}"));
        };
        // Of an event that was not answered with 200 the lane may have a part all the same: the record is ahead.
        if self.happened.get(&earlier.occurrence) > self.happened.get(&last) {
            return Ok(None);
        }
        let before: Vec<&Attempt> = self.carried[&earlier.occurrence]
            .iter()
            .map(|(attempt, _)| *attempt)
            .filter(|attempt| attempt.identity.is_some() && attempt.epoch < giver.epoch)
            .collect();
        if before.iter().all(|attempt| attempt.epoch > own.0) {
            return Ok(Some(Cause::SeenLate));
        }
        let cause = self.cause_of_a_retry(giver, &before).map(Some);
        cause.map_err(|what| {
            format!(
                "{latest} of record {subject:?} {what}, and is later than what the source said last"
            )
        })
    }

    /// Why an attempt gave an identity of its own to what had come before.
    fn cause_of_a_retry(
        &self,
        giver: &Attempt,
        before: &[&Attempt],
    ) -> Result<Cause, &'static str> {
        // An attempt that removes the retry marker has made all of it durable, also if it dies before it answers.
        let removes = |attempt: &Attempt| {
            let actor = self.actor(attempt);
            actor.is_some_and(|by| by.counts.contains_key(&Step::RemoveMarker))
        };
        if before
            .iter()
            .any(|attempt| attempt.answer == Some(200) || removes(attempt))
        {
            return Ok(Cause::SentAgain);
        }
        let is_equal = |attempt: &Attempt| {
            attempt.account == giver.account && attempt.delivery.retry == giver.delivery.retry
        };
        let equal = || before.iter().filter(|attempt| is_equal(attempt));
        if equal().next().is_none() {
            return Ok(Cause::OtherBytes);
        }
        let actor = self.actor(giver);
        let begun = actor.map_or(giver.epoch, |actor| actor.begun);
        let marked = || {
            let markers = equal().filter_map(|attempt| attempt.marked);
            markers.filter(|marker| marker.left < begun)
        };
        if marked().next().is_none() {
            let is_disturbed = |attempt: &&&Attempt| {
                let actor = self.actor(attempt);
                actor.is_some_and(|actor| actor.faults > 0 || actor.crashed)
            };
            return match equal().all(|attempt| is_disturbed(&attempt)) {
                true => Ok(Cause::NoMarker),
                false => Err("was refused, undisturbed, without a retry marker"),
            };
        }
        if marked().all(|marker| marker.expires <= giver.now) {
            return Ok(Cause::Expired);
        }
        // Deliveries with equal bytes share their marker. Of two that arrive at once, the later one can hold it.
        let sharing = || self.ledger.attempts.iter().filter(|other| is_equal(other));
        let last_lease = giver.now + BUDGET + LEASE;
        let is_held = sharing().any(|other| {
            let lease = other.lease.filter(|until| *until <= last_lease);
            other.epoch != giver.epoch && lease > Some(giver.now)
        });
        let is_unread = giver.read.is_none() || giver.leased == Some(false);
        let mut steps = [Step::ReadMarker, Step::LeaseMarker].iter();
        let is_disturbed =
            actor.is_some_and(|actor| steps.any(|step| actor.faulted.contains(step)));
        if is_held || is_unread || is_disturbed {
            return Ok(Cause::Unread);
        }
        if sharing().any(|other| other.epoch < giver.epoch && removes(other)) {
            return Ok(Cause::EqualBytes);
        }
        Err("came again, undisturbed, and did not take the retry marker that was left for it")
    }
}
