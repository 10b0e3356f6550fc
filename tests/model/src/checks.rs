//! The invariants, held against every step as it is taken, and against what is left at the end.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use domain::account::AccountName;
use domain::ports::{Marker, Message, QueueUrl, Receipt};
use serde::Deserialize;
use serde_json::value::RawValue;
use testkit::rng::word;

use crate::deliveries::{About, Event};
use crate::faults::Step;
use crate::lock;
use crate::oracle::{self, LANES, Seen};
use crate::plan::{BUDGET, CHECKS_EVERY, Habit, KEYS_REREAD, KEYS_TTL, KEYS_UNREADABLE, LEASE};
use crate::ports::TO_COME;
use crate::truth;
use crate::world::{
    Accepted, Key, KeysRead, Ledger, Place, RetryOf, Row, ShadowMarker, Subject, World,
};

/// How many contents a record remembers.
const REMEMBERED: usize = 8;

/// What must hold whatever goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// 200 means that every event is in a lane, or its bytes are kept and quarantine points at them.
    Durable,
    /// What a lane accepted reaches every team that wants it, or waits behind an alarm; it is taken out of
    /// its lane only then.
    Delivered,
    /// A record is what all its events make of it, in the order of first sight or of the source's time; a delete is final.
    State,
    /// A retry of a refused delivery keeps its identity, and nothing else has it.
    Identity,
    /// `possibleduplicate` stands where it must and nowhere where it cannot be.
    Marks,
    /// What was sent comes out as it was sent, under the right names.
    Verbatim,
    /// Who is not verified causes no write and no message, and at most one read of each kind; and however often he comes,
    /// he cannot make an instance read keys at will.
    Unauthenticated,
    /// A message that is no event stays, until it is a dead letter.
    Unreadable,
    /// A genuine delivery is answered in time, and is refused only where something went wrong.
    Answers,
    /// One call sends a FIFO queue the events of a record in the order of first sight.
    Order,
    /// A record says what the source said last, but for causes that the design allows: see [`truth`].
    Truth,
    /// It ends: an invocation in its time and without a panic, and with faults over all lanes.
    Ends,
}

impl Invariant {
    /// The invariant in one word, and the promise that it states.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable (promise 1)",
            Self::Delivered => "delivered (promise 2)",
            Self::State => "state (promise 3)",
            Self::Identity => "identity (promise 4)",
            Self::Marks => "marks (promise 4)",
            Self::Verbatim => "verbatim (promise 5)",
            Self::Unauthenticated => "unauthenticated (promise 7)",
            Self::Unreadable => "unreadable (promise 2)",
            Self::Answers => "answers (promise 1)",
            Self::Order => "order (FIFO)",
            Self::Truth => "truth (promise 3)",
            Self::Ends => "ends",
        }
    }
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant.as_str(), self.what)
    }
}

/// An event as a story names it.
pub(crate) fn name(key: Key) -> String {
    format!("event {}.{}", crate::world::since(key.0), key.1)
}

impl World {
    // What inbound does.

    fn attempt_of(&self, actor: usize) -> Option<usize> {
        lock(&self.ledger).actors.get(actor)?.attempt
    }

    fn retry_of(ledger: &Ledger, attempt: usize) -> Option<RetryOf> {
        let attempt = ledger.attempts.get(attempt)?;
        Some(attempt.retry_of())
    }

    /// The identity in the marker that an attempt can take: valid, and held by nobody.
    pub(crate) fn shadow_of(&self, actor: usize) -> Option<u64> {
        let attempt = self.attempt_of(actor)?;
        let ledger = lock(&self.ledger);
        let now = ledger.attempts.get(attempt)?.now;
        let marker = ledger.markers.get(&Self::retry_of(&ledger, attempt)?)?;
        (marker.expires > now && marker.leased_until <= now).then_some(marker.identity)
    }

    pub(crate) fn asks_for_marker(&self, actor: usize) {
        self.with_attempt(actor, |attempt| attempt.told = false);
    }

    pub(crate) fn read_marker(&self, actor: usize, shadow: Option<u64>) {
        self.with_attempt(actor, |attempt| {
            attempt.told = true;
            attempt.read = Some(shadow);
        });
    }

    pub(crate) fn leased(&self, actor: usize, leased: bool) {
        self.with_attempt(actor, |attempt| attempt.leased = Some(leased));
    }

    fn with_attempt(&self, actor: usize, change: impl FnOnce(&mut crate::world::Attempt)) {
        if let Some(number) = self.attempt_of(actor)
            && let Some(attempt) = lock(&self.ledger).attempts.get_mut(number)
        {
            change(attempt);
        }
    }

    /// A lease was given.
    pub(crate) fn leases(&self, actor: usize, until: u64) {
        let Some(attempt) = self.attempt_of(actor) else {
            return;
        };
        let mut ledger = lock(&self.ledger);
        let Some(bytes) = Self::retry_of(&ledger, attempt) else {
            return;
        };
        let now = ledger.attempts[attempt].now;
        if let Some(marker) = ledger.markers.get_mut(&bytes) {
            let held = marker.leased_until;
            marker.leased_until = until;
            ledger.attempts[attempt].lease = Some(until);
            drop(ledger);
            self.tell(|| format!("  attempt {attempt} leases the retry marker"));
            if held > now {
                self.broken(Invariant::Identity, || {
                    format!("attempt {attempt} leased a marker that another holds")
                });
            }
        }
    }

    pub(crate) fn marks(&self, actor: usize, marker: &Marker) {
        let Some(attempt) = self.attempt_of(actor) else {
            return;
        };
        let mut ledger = lock(&self.ledger);
        let Some(bytes) = Self::retry_of(&ledger, attempt) else {
            return;
        };
        let begun = ledger.attempts[attempt].now;
        let present = ledger.markers.get(&bytes);
        let anothers = |present: &ShadowMarker| {
            present.leased_until != begun + LEASE && present.expires > begun
        };
        if present.is_some_and(anothers) {
            drop(ledger);
            self.tell(|| format!("  attempt {attempt} leaves another attempt's retry marker"));
            return;
        }
        let expires = begun + self.plan.marker_ttl * 1000;
        if ledger.actors[actor].ended {
            ledger.overtaken.insert(bytes.clone());
        }
        let shadow = ShadowMarker {
            identity: marker.delivery.first_seen().millis(),
            left: self.now(),
            expires,
            leased_until: 0,
        };
        ledger.markers.insert(bytes, shadow);
        ledger.attempts[attempt].marked = Some(shadow);
        drop(ledger);
        self.tell(|| format!("  attempt {attempt} leaves a retry marker"));
    }

    pub(crate) fn unmarks(&self, actor: usize, until: u64) {
        let Some(attempt) = self.attempt_of(actor) else {
            return;
        };
        let missing = self.missing(attempt);
        if let Some(missing) = missing {
            self.broken(Invariant::Identity, || {
                format!("attempt {attempt} removes the retry marker, and {missing}")
            });
        }
        let mut ledger = lock(&self.ledger);
        let Some(bytes) = Self::retry_of(&ledger, attempt) else {
            return;
        };
        if ledger
            .markers
            .get(&bytes)
            .is_some_and(|marker| marker.leased_until == until)
        {
            ledger.markers.remove(&bytes);
            drop(ledger);
            self.tell(|| format!("  attempt {attempt} removes the retry marker"));
        }
    }

    pub(crate) fn sees_receipt(&self, actor: usize, receipt: &Receipt<'_>) {
        self.sees_identity(actor, receipt.delivery.first_seen().millis());
        let Some(number) = self.attempt_of(actor) else {
            return;
        };
        let wrong = {
            let mut ledger = lock(&self.ledger);
            let attempt = &mut ledger.attempts[number];
            attempt.receipt = true;
            let kept: Vec<(&str, &[u8])> = receipt
                .headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect();
            let (delivery, account) = (&attempt.delivery, attempt.account);
            let sent = delivery.outside.header.iter();
            let headers = sent.map(|(name, value)| (*name, value.as_bytes()));
            let wrong = if *delivery.body != *receipt.body {
                Some("other bytes")
            } else if !headers.eq(kept) || delivery.outside.part != receipt.part {
                Some("another topic beside its bytes")
            } else {
                None
            };
            let came_by = ledger.attempts[number].registration;
            let token = ledger.registrations[account][came_by].token.hash();
            wrong.or((token != receipt.registration).then_some("another registration"))
        };
        if let Some(wrong) = wrong {
            self.broken(Invariant::Verbatim, || {
                format!("the receipt of attempt {number} has {wrong}")
            });
        }
    }

    /// An attempt shows the identity that it has given its events.
    pub(crate) fn sees_identity(&self, actor: usize, identity: u64) {
        let Some(number) = self.attempt_of(actor) else {
            return;
        };
        let free = self.shadow_of(actor);
        let mut ledger = lock(&self.ledger);
        let faults = ledger.actors[actor].faults;
        let attempt = &mut ledger.attempts[number];
        match attempt.identity {
            Some(known) if known == identity => return,
            Some(_) => {
                drop(ledger);
                return self.broken(Invariant::Identity, || {
                    format!("attempt {number} has two identities")
                });
            }
            None => attempt.identity = Some(identity),
        }
        let (read, leased, own) = (attempt.read, attempt.leased, attempt.epoch);
        drop(ledger);
        let kept = matches!((read, leased), (Some(Some(marked)), Some(true)) if marked == identity);
        let wrong = if identity == own {
            let lost = matches!((read, leased), (Some(Some(_)), Some(true)));
            let unasked = read.is_none() && faults == 0 && free.is_some();
            let unleased = matches!(read, Some(Some(_))) && leased.is_none() && faults == 0;
            (lost || unasked || unleased)
                .then_some("is the retry of a refused delivery, and takes an identity of its own")
        } else {
            (!kept).then_some("takes an identity without holding a valid retry marker that has it")
        };
        if let Some(wrong) = wrong {
            self.broken(Invariant::Identity, || format!("attempt {number} {wrong}"));
        }
    }

    /// What of an attempt's delivery is not durable.
    fn missing(&self, attempt: usize) -> Option<String> {
        let ledger = lock(&self.ledger);
        let attempt = ledger.attempts.get(attempt)?;
        if attempt.delivery.readable && attempt.delivery.elements.is_empty() {
            return None;
        }
        let Some(identity) = attempt.identity else {
            return Some("nothing was ever sent or kept".to_owned());
        };
        let whole = ledger.quarantined.contains(&(identity, None));
        if !attempt.delivery.readable {
            return (!whole).then(|| "no message in quarantine points at it".to_owned());
        }
        for (index, element) in (0..).zip(&attempt.delivery.elements) {
            let queued =
                element.event.is_some() && ledger.accepted.contains_key(&(identity, index));
            if !queued && !ledger.quarantined.contains(&(identity, Some(index))) {
                return Some(format!(
                    "{} is in no lane and not in quarantine",
                    name((identity, index))
                ));
            }
        }
        None
    }

    /// Inbound has answered an attempt.
    pub(crate) fn answered(&self, number: usize, actor: usize, status: u16) {
        let (genuine, identity, keys_held, faults, marked, begun) = {
            let mut ledger = lock(&self.ledger);
            let (faults, counts, begun) = {
                let actor = &ledger.actors[actor];
                (actor.faults, actor.counts.clone(), actor.begun)
            };
            let attempt = &mut ledger.attempts[number];
            attempt.answer = Some(status);
            let marked = counts.contains_key(&Step::LeaveMarker);
            let of = (attempt.instance, attempt.account);
            let (genuine, identity, held) = (attempt.genuine, attempt.identity, attempt.keys_held);
            // Keys that could not be read are not asked for again at once, unless others are still held.
            let was_told = ledger.keys_read.get(&of).is_none_or(|last| {
                last.held.is_some() || begun.saturating_sub(last.at) >= KEYS_UNREADABLE
            });
            // Where signatures are but observed, keys decide nothing.
            let is_ready = (held && was_told) || self.plan.accounts[of.1].observes();
            (genuine, identity, is_ready, faults, marked, begun)
        };
        self.tell(|| format!("attempt {number} is answered {status}"));
        let greets = lock(&self.ledger).attempts[number].greets;
        if let Some(is_ours) = greets {
            return self.answered_greeting(number, actor, status, is_ours);
        }
        if !genuine {
            return self.answered_unverified(number, actor, status);
        }
        if status == 200 {
            if let Some(missing) = self.missing(number) {
                self.broken(Invariant::Durable, || {
                    format!("attempt {number} is answered 200, and {missing}")
                });
            }
            self.check_receipt(number, faults);
            self.acknowledged(number);
            self.check_unknown_marker(number, actor);
            self.check_token(number, actor);
        } else if identity.is_none()
            && (faults == 0 || status == 401)
            && self.may_be_refused(number, status)
        {
            // Nothing is proved, so nothing may be left.
            self.answered_unverified(number, actor, status);
        } else if status != 503 || (faults == 0 && keys_held) {
            self.broken(Invariant::Answers, || {
                format!("attempt {number}, genuine, is answered {status}; {faults} faults met it")
            });
        } else if identity.is_some() && !marked {
            self.broken(Invariant::Identity, || {
                format!("attempt {number} is refused and tries to leave no retry marker")
            });
        }
        // What is left of the budget when sending ends is enough for a few more milliseconds, no more.
        let took = self.now() - begun;
        if took > BUDGET + 10 {
            self.broken(Invariant::Answers, || {
                format!("attempt {number} is answered after {took} ms")
            });
        }
    }

    /// A greeting is answered with success by a token that is live, and leaves nothing; keys decide nothing of it.
    fn answered_greeting(&self, number: usize, actor: usize, status: u16, is_ours: bool) {
        let (did_more, faults, retired) = {
            let ledger = lock(&self.ledger);
            let (attempt, actor) = (&ledger.attempts[number], &ledger.actors[actor]);
            let first = &ledger.registrations[attempt.account][attempt.registration];
            let did_more = actor.counts.keys().any(|step| *step != Step::FindToken);
            (did_more, actor.faults, first.retired.is_some())
        };
        let wrong = match status {
            _ if did_more => Some("makes more calls than the look-up of its token"),
            200 if !is_ours => Some("is answered with success by a token that is not live"),
            401 if is_ours && !retired => Some("is refused"),
            503 if faults == 0 => Some("is answered 503 without a fault"),
            200 | 401 | 503 => None,
            _ => Some("is answered otherwise than with success, 401 or 503"),
        };
        match wrong {
            Some(wrong) => self.broken(Invariant::Unauthenticated, || {
                format!("attempt {number}, a greeting, {wrong} ({status})")
            }),
            None if status == 200 => self.check_token(number, actor),
            None => {}
        }
    }

    /// What is taken without a fault has its receipt. A fault elsewhere may have taken the time for keeping it.
    fn check_receipt(&self, number: usize, faults: u32) {
        let kept = lock(&self.ledger).attempts[number].receipt;
        if !kept && faults == 0 {
            self.broken(Invariant::Durable, || {
                format!("attempt {number} is answered 200 and has no receipt")
            });
        }
    }

    /// A delivery was taken without knowing whether there is a retry marker for its bytes: if there was one,
    /// the next delivery of these bytes, which may be another, would be taken for the one that was refused.
    fn check_unknown_marker(&self, number: usize, actor: usize) {
        let ledger = lock(&self.ledger);
        let (attempt, actor) = (&ledger.attempts[number], &ledger.actors[actor]);
        let unknown = attempt.read.is_none()
            || (matches!(attempt.read, Some(Some(_))) && attempt.leased.is_none());
        let bytes = attempt.retry_of();
        let stays = ledger
            .markers
            .get(&bytes)
            .is_some_and(|marker| marker.left < actor.begun && marker.leased_until <= attempt.now);
        let asked_again = actor
            .counts
            .get(&Step::ReadMarker)
            .is_some_and(|count| *count > 1);
        let excused = actor.faulted.contains(&Step::RemoveMarker)
            || (asked_again && !attempt.told)
            || ledger.late > 0;
        drop(ledger);
        if unknown && stays && !excused {
            self.broken(Invariant::Identity, || {
                format!("attempt {number} is answered 200 and leaves a retry marker of which it does not know")
            });
        }
    }

    /// A request makes its instance ask for keys. an unauthenticated request may only where they were not asked for just before, or where
    /// it had the token looked up: its webhook may be younger than the keys. Unauthenticated requests come long before keys are too old.
    pub(crate) fn asks_for_keys(&self, actor: usize) {
        let Some(number) = self.attempt_of(actor) else {
            return;
        };
        let mut ledger = lock(&self.ledger);
        let of = ledger.attempts[number].whose();
        ledger.keys_asked.insert(of, self.now());
        let attempt = &ledger.attempts[number];
        let looked_up = ledger.actors[actor].counts.contains_key(&Step::FindToken);
        let last = ledger.keys_read.get(&of);
        let Some(last) = last.filter(|_| !attempt.genuine && !looked_up).copied() else {
            return;
        };
        drop(ledger);
        let (what, since, least) = match last.held {
            Some(read) if read == last.at => ("were read", read, KEYS_REREAD * 1000),
            Some(_) => ("were asked for in vain", last.asked, KEYS_REREAD * 1000),
            None => ("could not be read", last.at, KEYS_UNREADABLE),
        };
        let ago = self.now() - since;
        if ago < least {
            self.broken(Invariant::Unauthenticated, || {
                format!("attempt {number}, unauthenticated, has keys read that {what} {ago} ms ago")
            });
        }
    }

    /// An instance is told keys, or that they cannot be read.
    pub(crate) fn is_told_keys(&self, actor: usize, asked: u64, read: bool) {
        let Some(number) = self.attempt_of(actor) else {
            return;
        };
        let at = self.now();
        let mut ledger = lock(&self.ledger);
        let of = ledger.attempts[number].whose();
        let held = match read {
            true => Some(at),
            false => ledger
                .keys_read
                .get(&of)
                .and_then(|last| last.held)
                .filter(|held| at - held < KEYS_TTL * 1000),
        };
        ledger.keys_read.insert(of, KeysRead { asked, at, held });
    }

    /// An instance writes to claim an account's check. Whoever knows a token may cause that once in five minutes.
    pub(crate) fn claims_check(&self, actor: usize, account: &AccountName) {
        let Some(number) = self.attempt_of(actor) else {
            return;
        };
        let at = self.now();
        let mut ledger = lock(&self.ledger);
        let of = (ledger.attempts[number].instance, account.to_string());
        let before = ledger.claims.insert(of, at);
        drop(ledger);
        if before.is_some_and(|before| at - before < CHECKS_EVERY) {
            self.broken(Invariant::Unauthenticated, || {
                format!("attempt {number} claims a check of {account} that its instance claimed")
            });
        }
    }

    /// Accounts are to be checked: each at most once in five minutes, whatever instances ask.
    pub(crate) fn is_asked_for_checks(&self, orders: &[Message<'_>]) {
        for order in orders {
            let order = order.text.to_text();
            let at = self.now();
            let before = lock(&self.ledger).checks.insert(order.clone(), at);
            if before.is_some_and(|before| at - before < CHECKS_EVERY) {
                self.broken(Invariant::Unauthenticated, || {
                    format!("{order} is asked for again")
                });
            }
        }
    }

    fn answered_unverified(&self, number: usize, actor: usize, status: u16) {
        let counts = lock(&self.ledger).actors[actor].counts.clone();
        let count = |step| counts.get(&step).copied().unwrap_or_default();
        let writes: u32 = counts
            .iter()
            .filter(|(step, _)| !matches!(step, Step::FindToken | Step::ReadKeys))
            .map(|(_, count)| count)
            .sum();
        let wrong = match status {
            200 => Some("is answered 200"),
            _ if writes > 0 => Some("causes a write or a message"),
            _ if count(Step::FindToken) > 1 => Some("has its token looked up twice"),
            _ if count(Step::ReadKeys) > 1 => Some("has keys read twice"),
            401 | 503 => None,
            _ => Some("is answered otherwise than 401 or 503"),
        };
        if let Some(wrong) = wrong {
            self.broken(Invariant::Unauthenticated, || {
                format!("attempt {number}, unauthenticated, {wrong}")
            });
        }
    }

    /// Two deliveries that were answered with success must not have one identity.
    fn acknowledged(&self, number: usize) {
        let ledger = lock(&self.ledger);
        let what = |attempt: &crate::world::Attempt| -> BTreeSet<u32> {
            attempt
                .delivery
                .elements
                .iter()
                .map(|element| element.occurrence)
                .collect()
        };
        let this = &ledger.attempts[number];
        let other = ledger.attempts.iter().position(|other| {
            other.genuine
                && other.answer == Some(200)
                && other.identity == this.identity
                && what(other) != what(this)
        });
        let bytes = this.retry_of();
        let left = ledger
            .markers
            .get(&bytes)
            .is_some_and(|marker| Some(marker.identity) == this.identity);
        let late = ledger.late > 0 || ledger.overtaken.contains(&bytes);
        drop(ledger);
        if let Some(other) = other.filter(|_| !late) {
            self.broken(Invariant::Identity, || {
                format!("attempts {other} and {number} brought different deliveries, were both answered 200, and have one identity")
            });
        }
        if left && !late {
            self.broken(Invariant::Identity, || {
                format!("attempt {number} is answered 200, and its retry marker is still there")
            });
        }
    }

    // What queues accept.

    /// Which step a queue belongs to, and a word for it.
    pub(crate) fn step_of(&self, queue: &QueueUrl) -> (Step, u64) {
        let name = queue.as_str();
        let step = match name {
            "quarantine" => Step::SendQuarantine,
            "undelivered" => Step::SendUndelivered,
            _ if LANES.contains(&name) => Step::SendLane,
            _ if queue.is_fifo() => Step::SendFifo,
            _ => Step::SendTeam,
        };
        (step, word(name))
    }

    /// A queue has accepted messages of one call.
    pub(crate) fn arrive(
        &self,
        step: Step,
        queue: &QueueUrl,
        messages: &[(&str, &Message<'_>)],
        actor: usize,
    ) {
        let mut last: Vec<(&str, Key)> = Vec::new();
        for (body, message) in messages {
            match step {
                Step::SendLane => self.arrive_in_lane(queue.as_str(), body, message, actor),
                Step::SendQuarantine => self.arrive_in_quarantine(body, actor),
                Step::SendUndelivered => self.arrive_undelivered(body),
                _ => {
                    let key = self.arrive_at_team(queue.as_str(), body, message, actor);
                    let group = message.group.as_deref();
                    if let (Some(key), Some(group), Step::SendFifo) = (key, group, step) {
                        if last
                            .iter()
                            .any(|(other, before)| *other == group && *before > key)
                        {
                            self.broken(Invariant::Order, || {
                                format!("{} is sent behind a later event of its record", name(key))
                            });
                        }
                        last.push((group, key));
                    }
                }
            }
        }
    }

    /// Reads a message and holds it against the event that its id names.
    fn read<'b>(
        &self,
        body: &'b str,
        origin: Option<(usize, Arc<Event>)>,
    ) -> Option<(Key, Seen<'b>, usize, Arc<Event>)> {
        let verbatim = |what: String| self.broken(Invariant::Verbatim, || what);
        let seen: Seen<'b> = match serde_json::from_str(body) {
            Ok(seen) => seen,
            Err(error) => {
                verbatim(format!("a message is no envelope ({error}): {body}"));
                return None;
            }
        };
        let Some(key) = oracle::key(seen.id) else {
            verbatim(format!("{:?} is no event id", seen.id));
            return None;
        };
        let found = origin.or_else(|| {
            let ledger = lock(&self.ledger);
            let attempt = ledger.attempts.get(*ledger.by_epoch.get(&key.0)?)?;
            let element = attempt
                .delivery
                .elements
                .get(usize::try_from(key.1).ok()?)?;
            Some((attempt.account, element.event.clone()?))
        });
        let Some((account, event)) = found else {
            verbatim(format!("{} was never sent by the source", name(key)));
            return None;
        };
        let account_name = &self.plan.accounts[account].name;
        let same = [
            ("specversion", seen.specversion == "1.0"),
            ("source", seen.source == oracle::source(&self.plan, account)),
            ("account", seen.account == account_name.as_str()),
            (
                "type",
                seen.event_type.split_once('.') == Some((event.sender.as_str(), event.event_type)),
            ),
            ("time", seen.time == oracle::rfc3339(key.0)),
            (
                "datacontenttype",
                seen.datacontenttype == "application/json",
            ),
            (
                "deliveryid",
                seen.id
                    .strip_prefix(seen.deliveryid)
                    .is_some_and(|rest| rest.len() == 6),
            ),
            ("sourceid", seen.sourceid == event.source_id),
            (
                "sourcetime",
                seen.sourcetime == event.changed.as_ref().map(|time| &*time.text),
            ),
            (
                "sequence",
                seen.sequence == oracle::sequence(key, seen.id, &event).as_deref(),
            ),
            ("replayed", !seen.replayed),
            ("subject", self.is_subject(&seen, account, &event)),
            ("data", self.is_record(&seen, &event)),
        ];
        if let Some((member, _)) = same.iter().find(|(_, same)| !same) {
            verbatim(format!(
                "{} has another {member} than was sent: {body}",
                name(key)
            ));
        }
        Some((key, seen, account, event))
    }

    fn is_subject(&self, seen: &Seen<'_>, account: usize, event: &Event) -> bool {
        if let Some(subject) = oracle::subject(event, seen.id) {
            return seen.subject == subject;
        }
        let About::Payment(invoice, _) = &event.about else {
            return false;
        };
        // How a payment is named is the product's to choose: but equal ones equally, others otherwise.
        let text = format!("{account}/{}", seen.subject);
        let subject = (account, event.about.clone());
        let mut ledger = lock(&self.ledger);
        let known = ledger
            .payments
            .entry(text.clone())
            .or_insert_with(|| subject.clone());
        let same = *known == subject;
        let others = ledger
            .payments
            .iter()
            .any(|(other, whose)| *whose == subject && *other != text);
        same && !others && seen.subject.starts_with(&format!("payment/{invoice}/"))
    }

    fn is_record(&self, seen: &Seen<'_>, event: &Event) -> bool {
        match (seen.data, seen.dataref) {
            (Some(data), None) => event.is(data.get()),
            (None, Some(place)) => {
                let key = place.strip_prefix("s3://oversize/").unwrap_or_default();
                let objects = self.oversize.objects();
                objects.get(key).is_some_and(|bytes| {
                    std::str::from_utf8(bytes).is_ok_and(|record| event.is(record))
                })
            }
            _ => false,
        }
    }

    fn arrive_in_lane(&self, lane: &str, body: &str, message: &Message<'_>, actor: usize) {
        let known = body.replacen(TO_COME, "{", 1);
        if known != body {
            self.has(Habit::NextRelease);
        }
        let Some((key, seen, account, event)) = self.read(&known, None) else {
            return;
        };
        self.sees_identity(actor, key.0);
        let delivery = seen.deliveryid.to_owned();
        if oracle::lane(event.event_type) != lane {
            self.broken(Invariant::Verbatim, || {
                format!("{} is in lane {lane}", name(key))
            });
        }
        if message.group.as_deref() != Some(self.plan.accounts[account].name.as_str()) {
            self.broken(Invariant::Verbatim, || {
                format!("{} has no fair group", name(key))
            });
        }
        let wrong = {
            let mut ledger = lock(&self.ledger);
            let number = ledger.actors[actor].attempt.unwrap_or_default();
            let here = Self::retry_of(&ledger, number);
            let origin = ledger
                .by_epoch
                .get(&key.0)
                .and_then(|origin| Self::retry_of(&ledger, *origin));
            let lane = LANES
                .iter()
                .position(|name| *name == lane)
                .unwrap_or_default();
            let accepted = ledger.accepted.entry(key).or_insert_with(|| Accepted {
                lane,
                event,
                account,
                delivery: delivery.clone(),
            });
            if here != origin {
                Some("has the identity of another delivery")
            } else if accepted.delivery != delivery {
                Some("has two ids")
            } else {
                None
            }
        };
        if let Some(wrong) = wrong {
            self.broken(Invariant::Identity, || format!("{} {wrong}", name(key)));
        }
        self.tell(|| format!("  {} is in lane {lane}", name(key)));
        self.enters_lane(lane, body, Some(key));
    }

    fn arrive_in_quarantine(&self, body: &str, actor: usize) {
        #[derive(Deserialize)]
        struct Notice {
            account: String,
            deliveryid: String,
            reason: Option<String>,
            #[serde(default)]
            elements: Vec<Element>,
            receipt: Key,
        }
        #[derive(Deserialize)]
        struct Element {
            index: u32,
        }
        #[derive(Deserialize)]
        struct Key {
            pk: String,
            sk: String,
        }
        let Ok(notice) = serde_json::from_str::<Notice>(body) else {
            return self.broken(Invariant::Durable, || {
                format!("a message in quarantine cannot be read: {body}")
            });
        };
        let identity = oracle::millis(&notice.deliveryid).unwrap_or_default();
        self.sees_identity(actor, identity);
        let sent = {
            let mut ledger = lock(&self.ledger);
            if notice.reason.is_some() {
                ledger.quarantined.insert((identity, None));
            }
            ledger.quarantined.extend(
                notice
                    .elements
                    .iter()
                    .map(|element| (identity, Some(element.index))),
            );
            // A retry under the same identity may have other bytes.
            let attempts = ledger.attempts.iter().filter(|attempt| attempt.genuine);
            attempts
                .filter(|attempt| [attempt.identity, Some(attempt.epoch)].contains(&Some(identity)))
                .map(|attempt| Arc::clone(&attempt.delivery.body))
                .collect::<Vec<_>>()
        };
        let kept = self.receipts.kept().into_iter().any(|kept| {
            kept.delivery.to_string() == notice.receipt.sk
                && notice.receipt.sk == notice.deliveryid
                && notice.receipt.pk
                    == format!("{}#{}", notice.account, &oracle::rfc3339(identity)[..10])
                && sent.iter().any(|bytes| **bytes == *kept.body)
        });
        if !kept {
            self.broken(Invariant::Durable, || {
                format!("a message in quarantine points at no receipt with the bytes that were sent: {body}")
            });
        }
    }

    fn arrive_undelivered(&self, body: &str) {
        #[derive(Deserialize)]
        struct Wrapped<'a> {
            team: &'a str,
            #[serde(borrow)]
            envelope: &'a RawValue,
        }
        let Ok(wrapped) = serde_json::from_str::<Wrapped<'_>>(body) else {
            return self.broken(Invariant::Verbatim, || {
                format!("an undelivered message cannot be read: {body}")
            });
        };
        let team = self
            .plan
            .teams
            .iter()
            .position(|team| team.name == wrapped.team);
        if let (Some((key, ..)), Some(team)) = (self.read(wrapped.envelope.get(), None), team) {
            lock(&self.ledger).undelivered.insert((team, key));
            self.tell(|| format!("  {} is undelivered for {}", name(key), wrapped.team));
        }
    }

    fn arrive_at_team(
        &self,
        queue: &str,
        body: &str,
        message: &Message<'_>,
        actor: usize,
    ) -> Option<Key> {
        let (number, team) = self
            .plan
            .teams
            .iter()
            .enumerate()
            .find(|(_, team)| team.queue == queue)?;
        let (key, seen, account, event) = self.read(body, None)?;
        if !oracle::wants(team, &event, account) {
            self.broken(Invariant::Verbatim, || {
                format!(
                    "{} comes to {}, which does not want it",
                    name(key),
                    team.name
                )
            });
        }
        let attribute = |name: &str| {
            let found = message.attributes.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| value.as_str())
        };
        let named = attribute("type") == Some(seen.event_type)
            && attribute("account") == Some(seen.account)
            && attribute("subject") == Some(&*seen.subject);
        if !named {
            self.broken(Invariant::Verbatim, || {
                format!("{} has other attributes than members", name(key))
            });
        }
        let fifo = queue.ends_with(".fifo");
        let repeat = fifo.then_some(seen.id);
        if message.deduplication.as_deref() != repeat || message.group.is_some() != fifo {
            self.broken(Invariant::Verbatim, || {
                format!(
                    "{} has another group or deduplication id than its queue asks",
                    name(key)
                )
            });
        }
        self.check_mark(actor, key, &event, account, seen.possibleduplicate);
        let mut ledger = lock(&self.ledger);
        if seen.possibleduplicate {
            ledger.marked.insert(key);
        }
        let team = &mut ledger.teams[number];
        // What a FIFO queue drops within five minutes is there already.
        let now = self.now();
        let dropped = fifo && team.window.get(seen.id).is_some_and(|until| *until > now);
        if !dropped {
            team.window.insert(seen.id.to_owned(), now + 300_000);
            *team.got.entry(key).or_default() += 1;
        }
        drop(ledger);
        self.tell(|| {
            let mark = if seen.possibleduplicate {
                ", marked as a possible duplicate"
            } else {
                ""
            };
            format!("  {} is with {queue}{mark}", name(key))
        });
        Some(key)
    }

    // What the consumer does.

    pub(crate) fn fetches(&self, actor: usize, event: Option<Key>, done: bool) {
        let mut ledger = lock(&self.ledger);
        if let (Some(actor), Some(event)) = (ledger.actors.get_mut(actor), event) {
            // Of two copies in one batch, one may be had and the other not.
            if done {
                actor.fetched.insert(event);
            } else {
                actor.unfetched.insert(event);
            }
        }
    }

    fn event(ledger: &Ledger, key: Key) -> Option<(Subject, Arc<Event>)> {
        let accepted = ledger.accepted.get(&key)?;
        Some((
            (accepted.account, accepted.event.about.clone()),
            Arc::clone(&accepted.event),
        ))
    }

    /// An event's place among those of its record. What no lane accepted has that of its first sight.
    fn place(ledger: &Ledger, key: Key) -> (u64, Key) {
        let event = ledger.accepted.get(&key);
        event.map_or((key.0, key), |accepted| oracle::place(key, &accepted.event))
    }

    /// The events of an invocation's batch that are about one record, and that it could read.
    fn group(ledger: &Ledger, actor: usize, subject: &Subject) -> Vec<(Key, Arc<Event>)> {
        let Some(actor) = ledger.actors.get(actor) else {
            return Vec::new();
        };
        let mut group: Vec<(Key, Arc<Event>)> = actor
            .batch
            .iter()
            .filter(|key| !actor.unfetched.contains(key) || actor.fetched.contains(key))
            .filter_map(|key| Some((*key, Self::event(ledger, *key)?)))
            .filter(|(_, (about, _))| about == subject)
            .map(|(key, (_, event))| (key, event))
            .collect();
        group.sort_by_key(|(key, event)| oracle::place(*key, event));
        group.dedup_by_key(|(key, _)| *key);
        group
    }

    fn remember(ledger: &mut Ledger, actor: usize, subject: &Subject) -> Row {
        let row = ledger.table.get(subject).cloned().unwrap_or_default();
        if let Some(actor) = ledger.actors.get_mut(actor) {
            // Of deletes counts what was known first, of data what was known last.
            actor
                .known
                .entry(subject.clone())
                .and_modify(|known| {
                    known.latest = row.latest;
                    known.memory.clone_from(&row.memory);
                })
                .or_insert_with(|| row.clone());
        }
        row
    }

    /// The table is told to take an event's data, after other events of the same batch. It refuses if it knows the first of
    /// them, or a later one.
    pub(crate) fn updates(&self, actor: usize, key: Key, before: &[Key], data: &str) {
        let mut ledger = lock(&self.ledger);
        let Some((subject, event)) = Self::event(&ledger, key) else {
            drop(ledger);
            return self.broken(Invariant::State, || {
                format!("{} is applied, which no lane accepted", name(key))
            });
        };
        let mut row = Self::remember(&mut ledger, actor, &subject);
        let knows = row.latest;
        let first = before.first().copied().unwrap_or(key);
        let place = |key| Self::place(&ledger, key);
        let taken = knows.is_none_or(|knows| place(knows) < place(first));
        if taken {
            for said in before.iter().chain([&key]) {
                if let Some((_, event)) = Self::event(&ledger, *said) {
                    row.memory.insert(0, (*said, event));
                }
            }
            row.memory.truncate(REMEMBERED);
            row.latest = Some(key);
            ledger.table.insert(subject, row);
        }
        drop(ledger);
        self.tell(|| {
            let is = if taken {
                "is written to"
            } else {
                "is too late for"
            };
            format!("  {} {is} its record", name(key))
        });
        if !event.is(data) {
            self.broken(Invariant::Verbatim, || {
                format!("{} is written with other data", name(key))
            });
        }
    }

    /// The table is told to delete a record.
    pub(crate) fn deletes(&self, actor: usize, key: Key) {
        let mut ledger = lock(&self.ledger);
        let Some((subject, event)) = Self::event(&ledger, key) else {
            drop(ledger);
            return self.broken(Invariant::State, || {
                format!("{} is applied, which no lane accepted", name(key))
            });
        };
        let mut row = Self::remember(&mut ledger, actor, &subject);
        row.last_delete = row.last_delete.max(Some(oracle::place(key, &event)));
        row.deleted.get_or_insert((key, Arc::clone(&event)));
        ledger.table.insert(subject, row);
        drop(ledger);
        self.tell(|| format!("  {} deletes its record", name(key)));
    }

    /// Holds a mark against what could be known.
    ///
    /// Decided: an event is marked if another one says the same, of those that the record remembers and of those before it
    /// in its batch; where the record remembers the event itself, of those before it; where it may have forgotten it, of
    /// none. None is marked that no other event of its record equals.
    fn check_mark(&self, actor: usize, key: Key, event: &Arc<Event>, account: usize, marked: bool) {
        let ledger = lock(&self.ledger);
        let subject = (account, event.about.clone());
        let equal = ledger
            .accepted
            .iter()
            .any(|(other, accepted)| *other != key && accepted.says_what(account, event));
        let expected = if matches!(event.about, About::Nothing(_) | About::Fact(..)) {
            Some(false)
        } else {
            let known = ledger
                .actors
                .get(actor)
                .and_then(|actor| actor.known.get(&subject));
            let group = Self::group(&ledger, actor, &subject);
            let latest = known.and_then(|known| Some(Self::place(&ledger, known.latest?)));
            known.and_then(|known| expected_mark(known, latest, &group, key, event))
        };
        drop(ledger);
        if marked && !equal {
            self.broken(Invariant::Marks, || {
                format!(
                    "{} is marked, and no other event of its record says the same",
                    name(key)
                )
            });
        } else if expected.is_some_and(|expected| expected != marked) {
            self.broken(Invariant::Marks, || {
                let is = if marked { "is marked" } else { "is not marked" };
                format!("{} {is}, against what its record remembers", name(key))
            });
        }
    }

    /// A message is taken out of its lane for good.
    pub(crate) fn leaves_lane(&self, key: Option<Key>) {
        let Some(key) = key else {
            return self.broken(Invariant::Unreadable, || {
                "a message that is no event is taken for done".to_owned()
            });
        };
        let ledger = lock(&self.ledger);
        let Some(accepted) = ledger.accepted.get(&key) else {
            return;
        };
        let missing = self.unserved(&ledger, key, accepted);
        let applied = match &accepted.event.about {
            About::Nothing(_) | About::Fact(..) => true,
            about => ledger
                .table
                .get(&(accepted.account, about.clone()))
                .is_some_and(|row| {
                    if accepted.event.deletes() {
                        let event = &accepted.event;
                        // Where a delete is final, the first is as good as any.
                        row.last_delete.is_some_and(|last| {
                            !oracle::is_timed(event.sender, event.about.kind())
                                || last >= oracle::place(key, event)
                        })
                    } else {
                        let place = |key| Self::place(&ledger, key);
                        row.latest.is_some_and(|latest| place(latest) >= place(key))
                    }
                }),
        };
        drop(ledger);
        if let Some(missing) = missing {
            self.broken(Invariant::Delivered, || {
                format!(
                    "{} is taken for done, and {missing} has not got it",
                    name(key)
                )
            });
        }
        if !applied {
            self.broken(Invariant::State, || {
                format!(
                    "{} is taken for done, and its record has not got it",
                    name(key)
                )
            });
        }
    }

    /// A team that wants an event and has it neither in its queue nor among the undelivered.
    fn unserved(&self, ledger: &Ledger, key: Key, accepted: &Accepted) -> Option<String> {
        let mut teams = self.plan.teams.iter().enumerate();
        teams
            .find(|(number, team)| {
                oracle::wants(team, &accepted.event, accepted.account)
                    && !ledger.teams[*number].got.contains_key(&key)
                    && !ledger.undelivered.contains(&(*number, key))
            })
            .map(|(_, team)| team.name.clone())
    }

    // What is left.

    /// Holds what is left against what the source was answered, once faults are over and lanes are still.
    pub(crate) fn check_rest(&self, redriven: bool) {
        let ledger = lock(&self.ledger);
        let left = oracle::left(&ledger);
        let dead: BTreeSet<Key> = ledger
            .lanes
            .iter()
            .flatten()
            .filter(|message| message.place == Place::DeadLetters)
            .filter_map(|message| message.key)
            .collect();
        let lost = ledger.accepted.iter().find_map(|(key, accepted)| {
            let waits = !redriven && dead.contains(key);
            let missing = self.unserved(&ledger, *key, accepted)?;
            (!waits).then(|| {
                format!(
                    "{} was accepted by lane {}, and {missing} has not got it",
                    name(*key),
                    LANES[accepted.lane]
                )
            })
        });
        let unmarked_equal = |event: &Accepted| {
            let mut others = ledger.accepted.iter();
            others.any(|(other, accepted)| {
                !ledger.marked.contains(other) && accepted.says_what(event.account, &event.event)
            })
        };
        let untrue = ledger.marked.iter().copied().find(|key| {
            let accepted = ledger.accepted.get(key);
            accepted.is_some_and(|event| !unmarked_equal(event))
        });
        let unread = ledger
            .lanes
            .iter()
            .flatten()
            .any(|message| message.key.is_none() && message.place != Place::DeadLetters);
        drop(ledger);
        if left > 0 {
            self.broken(Invariant::Ends, || {
                format!("{left} messages are still in their lanes")
            });
        }
        if let Some(lost) = lost {
            self.broken(Invariant::Delivered, || lost);
        }
        if let Some(key) = untrue {
            self.broken(Invariant::Marks, || {
                format!(
                    "{} is marked, and so is every event of its record that says the same",
                    name(key)
                )
            });
        }
        if unread {
            self.broken(Invariant::Unreadable, || {
                "a message that is no event is no dead letter".to_owned()
            });
        }
        if redriven {
            self.check_records();
        }
    }

    fn check_records(&self) {
        let mut expected = oracle::records(&lock(&self.ledger));
        let stale = truth::stale(&self.plan, &lock(&self.ledger), &expected);
        match stale {
            Ok(stale) => lock(&self.ledger).stale = stale,
            Err(what) => self.broken(Invariant::Truth, || what),
        }
        let payments = lock(&self.ledger).payments.clone();
        for (key, stored) in self.records.records() {
            let account = self
                .plan
                .accounts
                .iter()
                .position(|account| account.name == key.account)
                .unwrap_or_default();
            let subject = match &*key.kind {
                "payment" => payments.get(&format!("{account}/payment/{}", key.id.as_str())).cloned(),
                kind => expected
                    .keys()
                    .find(|(whose, about)| *whose == account && matches!(about, About::Record(other, id) if *other == kind && id == key.id.as_str()))
                    .cloned(),
            };
            let Some(wanted) = subject.and_then(|subject| expected.remove(&subject)) else {
                return self.broken(Invariant::State, || {
                    format!("there is a record {key}, and no event is about it")
                });
            };
            let plain = |id: domain::identity::EventId| {
                (id.delivery().first_seen().millis(), id.index().get())
            };
            // Which of the attempts that share an identity was first cannot be known: each is what was sent.
            let as_sent = |data: &String| {
                let ledger = lock(&self.ledger);
                let latest = wanted.latest.and_then(|key| ledger.accepted.get(&key));
                let latest = latest.filter(|accepted| accepted.event.is(data));
                latest.map_or_else(|| data.clone(), |accepted| accepted.event.record.clone())
            };
            let found = oracle::Expected {
                data: stored.data.as_ref().map(as_sent),
                event_type: stored.event_type.clone(),
                latest: stored.known.latest.map(|latest| plain(latest.id)),
                deleted: stored.is_deleted(),
                occurrences: stored.occurrences.iter().copied().map(plain).collect(),
            };
            if found != wanted {
                self.broken(Invariant::State, || {
                    format!("record {key} is {found:?}, and its events make it {wanted:?}")
                });
            }
        }
        if let Some(((_, about), _)) = expected.pop_first() {
            self.broken(Invariant::State, || {
                format!("there is no record of {about:?}")
            });
        }
    }
}

/// Whether an event must be marked; none where that cannot be told.
fn expected_mark(
    known: &Row,
    latest: Option<(u64, Key)>,
    group: &[(Key, Arc<Event>)],
    key: Key,
    event: &Event,
) -> Option<bool> {
    if event.deletes() {
        let first = match &known.deleted {
            Some(first) => Some(first),
            // Of those in the order of the sender's times, the last counts.
            None if oracle::is_timed(event.sender, event.about.kind()) => {
                group.iter().rfind(|(_, event)| event.deletes())
            }
            None => group.iter().find(|(_, event)| event.deletes()),
        };
        return first.map(|(first, said)| *first != key && said.says_what(event));
    }
    let is_newer = |(other, event): &&(Key, Arc<Event>)| {
        !event.deletes() && latest.is_none_or(|latest| latest < oracle::place(*other, event))
    };
    let newer = group.iter().rev().filter(is_newer);
    let history: Vec<&(Key, Arc<Event>)> = newer.chain(&known.memory).collect();
    let own = history.iter().position(|(other, _)| *other == key);
    let remembered = history.get(..REMEMBERED);
    let unit = |key, event: &Event| oracle::place(key, event).0 / 1_024;
    let is_later = |(other, said): &&(Key, Arc<Event>)| unit(*other, said) >= unit(key, event);
    let before = match own {
        Some(own) => history.get(own + 1..).unwrap_or_default(),
        None if remembered.is_some_and(|all| all.iter().all(is_later)) => &[],
        None => remembered.unwrap_or(&history),
    };
    let mut before = before.iter();
    Some(before.any(|(_, said)| said.says_what(event)))
}
