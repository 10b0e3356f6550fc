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
    Accepted, Attempt, Key, KeysRead, Ledger, Place, Row, ShadowMarker, Subject, World,
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

impl World {
    // What inbound does.

    /// The identity in the marker that an attempt can take: valid, and held by nobody.
    pub(crate) fn shadow_of(&self, actor: usize) -> Option<u64> {
        let attempt = self.attempt_of(actor);
        let ledger = lock(&self.ledger);
        let attempt = &ledger.attempts[attempt];
        let marker = ledger.markers.get(&attempt.retry_of())?;
        let is_free = marker.expires > attempt.now && marker.leased_until <= attempt.now;
        is_free.then_some(marker.identity)
    }

    pub(crate) fn asks_for_marker(&self, actor: usize) {
        let attempt = self.attempt_of(actor);
        lock(&self.ledger).attempts[attempt].told = false;
    }

    pub(crate) fn read_marker(&self, actor: usize, shadow: Option<u64>) {
        let attempt = self.attempt_of(actor);
        let attempt = &mut lock(&self.ledger).attempts[attempt];
        attempt.told = true;
        attempt.read = Some(shadow);
    }

    pub(crate) fn leased(&self, actor: usize, leased: bool) {
        let attempt = self.attempt_of(actor);
        lock(&self.ledger).attempts[attempt].leased = Some(leased);
    }

    /// A lease was given.
    pub(crate) fn leases(&self, actor: usize, until: u64) {
        let attempt = self.attempt_of(actor);
        let mut guard = lock(&self.ledger);
        let ledger = &mut *guard;
        let by = &mut ledger.attempts[attempt];
        let Some(marker) = ledger.markers.get_mut(&by.retry_of()) else {
            return;
        };
        let held = marker.leased_until;
        marker.leased_until = until;
        by.lease = Some(until);
        let is_free = held <= by.now;
        drop(guard);
        self.tell(|| format!("  attempt {attempt} leases the retry marker"));
        self.holds(Invariant::Identity, is_free, || {
            format!("attempt {attempt} leased a marker that another holds")
        });
    }

    pub(crate) fn marks(&self, actor: usize, marker: &Marker) {
        let attempt = self.attempt_of(actor);
        let mut ledger = lock(&self.ledger);
        let by = &ledger.attempts[attempt];
        let (bytes, begun) = (by.retry_of(), by.now);
        let anothers = |present: &ShadowMarker| {
            present.leased_until != begun + LEASE && present.expires > begun
        };
        if ledger.markers.get(&bytes).is_some_and(anothers) {
            drop(ledger);
            self.tell(|| format!("  attempt {attempt} leaves another attempt's retry marker"));
            return;
        }
        if ledger.actors[actor].ended {
            ledger.overtaken.insert(bytes.clone());
        }
        let shadow = ShadowMarker {
            identity: marker.delivery.first_seen().millis(),
            left: self.now(),
            expires: begun + self.plan.marker_ttl * 1000,
            leased_until: 0,
        };
        ledger.markers.insert(bytes, shadow);
        ledger.attempts[attempt].marked = Some(shadow);
        drop(ledger);
        self.tell(|| format!("  attempt {attempt} leaves a retry marker"));
    }

    pub(crate) fn unmarks(&self, actor: usize, until: u64) {
        let attempt = self.attempt_of(actor);
        if let Some(missing) = self.missing(attempt) {
            self.broken(Invariant::Identity, || {
                format!("attempt {attempt} removes the retry marker, and {missing}")
            });
        }
        let mut ledger = lock(&self.ledger);
        let bytes = ledger.attempts[attempt].retry_of();
        let marker = ledger.markers.get(&bytes);
        if marker.is_some_and(|marker| marker.leased_until == until) {
            ledger.markers.remove(&bytes);
            drop(ledger);
            self.tell(|| format!("  attempt {attempt} removes the retry marker"));
        }
    }

    pub(crate) fn sees_receipt(&self, actor: usize, receipt: &Receipt<'_>) {
        self.sees_identity(actor, receipt.delivery.first_seen().millis());
        let number = self.attempt_of(actor);
        let mut ledger = lock(&self.ledger);
        ledger.attempts[number].receipt = true;
        let attempt = &ledger.attempts[number];
        let (delivery, outside) = (&attempt.delivery, &attempt.delivery.outside);
        let kept = receipt.headers.iter();
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let sent = outside.header.iter();
        let sent = sent.map(|(name, value)| (*name, value.as_bytes()));
        let wrong = if *delivery.body != *receipt.body {
            Some("other bytes")
        } else if !sent.eq(kept) || outside.part != receipt.part {
            Some("another topic beside its bytes")
        } else if ledger.registration_of(attempt).token.hash() != receipt.registration {
            Some("another registration")
        } else {
            None
        };
        drop(ledger);
        if let Some(wrong) = wrong {
            self.broken(Invariant::Verbatim, || {
                format!("the receipt of attempt {number} has {wrong}")
            });
        }
    }

    /// An attempt shows the identity that it has given its events.
    pub(crate) fn sees_identity(&self, actor: usize, identity: u64) {
        let number = self.attempt_of(actor);
        let free = self.shadow_of(actor);
        let mut ledger = lock(&self.ledger);
        let faults = ledger.actors[actor].faults;
        let attempt = &mut ledger.attempts[number];
        let known = attempt.identity;
        attempt.identity = known.or(Some(identity));
        let (read, leased, own) = (attempt.read, attempt.leased, attempt.epoch);
        drop(ledger);
        if let Some(known) = known {
            return self.holds(Invariant::Identity, known == identity, || {
                format!("attempt {number} has two identities")
            });
        }
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
        let attempt = &ledger.attempts[attempt];
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
            let key = Key(identity, index);
            let queued = element.event.is_some() && ledger.accepted.contains_key(&key);
            if !queued && !ledger.quarantined.contains(&(identity, Some(index))) {
                return Some(format!("{key} is in no lane and not in quarantine"));
            }
        }
        None
    }

    /// Inbound has answered an attempt.
    pub(crate) fn answered(&self, number: usize, actor: usize, status: u16) {
        self.tell(|| format!("attempt {number} is answered {status}"));
        let mut ledger = lock(&self.ledger);
        ledger.attempts[number].answer = Some(status);
        let (attempt, by) = (&ledger.attempts[number], &ledger.actors[actor]);
        let (genuine, greets, identity) = (attempt.genuine, attempt.greets, attempt.identity);
        let (has_receipt, faults, begun) = (attempt.receipt, by.faults, by.begun);
        let marked = by.count(Step::LeaveMarker) > 0;
        // Keys that could not be read are not asked for again at once, unless others are still held.
        let last = ledger.keys_read.get(&attempt.whose());
        let was_readable = last.is_none_or(|last| {
            last.held.is_some() || begun.saturating_sub(last.at) >= KEYS_UNREADABLE
        });
        // Where signatures are but observed, keys decide nothing.
        let observes = self.plan.accounts[attempt.account].observes();
        let keys_held = (attempt.keys_held && was_readable) || observes;
        drop(ledger);
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
            // A fault elsewhere may have taken the time for keeping the receipt.
            self.holds(Invariant::Durable, has_receipt || faults > 0, || {
                format!("attempt {number} is answered 200 and has no receipt")
            });
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
        } else {
            self.holds(Invariant::Identity, identity.is_none() || marked, || {
                format!("attempt {number} is refused and tries to leave no retry marker")
            });
        }
        // What is left of the budget when sending ends is enough for a few more milliseconds, no more.
        let took = self.now() - begun;
        self.holds(Invariant::Answers, took <= BUDGET + 10, || {
            format!("attempt {number} is answered after {took} ms")
        });
    }

    /// A greeting is answered with success by a token that is live, and leaves nothing; keys decide nothing of it.
    fn answered_greeting(&self, number: usize, actor: usize, status: u16, is_ours: bool) {
        let ledger = lock(&self.ledger);
        let by = &ledger.actors[actor];
        let did_more = by.counts.keys().any(|step| *step != Step::FindToken);
        let faults = by.faults;
        let first = ledger.registration_of(&ledger.attempts[number]);
        let is_retired = first.retired.is_some();
        drop(ledger);
        let wrong = match status {
            _ if did_more => Some("makes more calls than the look-up of its token"),
            200 if !is_ours => Some("is answered with success by a token that is not live"),
            401 if is_ours && !is_retired => Some("is refused"),
            503 if faults == 0 => Some("is answered 503 without a fault"),
            200 | 401 | 503 => None,
            _ => Some("is answered otherwise than with success, 401 or 503"),
        };
        if let Some(wrong) = wrong {
            self.broken(Invariant::Unauthenticated, || {
                format!("attempt {number}, a greeting, {wrong} ({status})")
            });
        } else if status == 200 {
            self.check_token(number, actor);
        }
    }

    /// A delivery was taken without knowing whether there is a retry marker for its bytes: if there was one,
    /// the next delivery of these bytes, which may be another, would be taken for the one that was refused.
    fn check_unknown_marker(&self, number: usize, actor: usize) {
        let ledger = lock(&self.ledger);
        let (attempt, by) = (&ledger.attempts[number], &ledger.actors[actor]);
        let unknown = attempt.read.is_none()
            || (matches!(attempt.read, Some(Some(_))) && attempt.leased.is_none());
        let marker = ledger.markers.get(&attempt.retry_of());
        let stays = marker
            .is_some_and(|marker| marker.left < by.begun && marker.leased_until <= attempt.now);
        let excused = by.faulted.contains(&Step::RemoveMarker)
            || (by.count(Step::ReadMarker) > 1 && !attempt.told)
            || ledger.late > 0;
        drop(ledger);
        self.holds(Invariant::Identity, !unknown || !stays || excused, || {
            format!("attempt {number} is answered 200 and leaves a retry marker of which it does not know")
        });
    }

    /// A request makes its instance ask for keys. an unauthenticated request may only where they were not asked for just before, or where
    /// it had the token looked up: its webhook may be younger than the keys. Unauthenticated requests come long before keys are too old.
    pub(crate) fn asks_for_keys(&self, actor: usize) {
        let number = self.attempt_of(actor);
        let mut ledger = lock(&self.ledger);
        let attempt = &ledger.attempts[number];
        let (of, genuine) = (attempt.whose(), attempt.genuine);
        ledger.keys_asked.insert(of, self.now());
        let may = genuine || ledger.actors[actor].count(Step::FindToken) > 0;
        let last = ledger.keys_read.get(&of).filter(|_| !may).copied();
        drop(ledger);
        let Some(last) = last else {
            return;
        };
        let (what, since, least) = match last.held {
            Some(read) if read == last.at => ("were read", read, KEYS_REREAD * 1000),
            Some(_) => ("were asked for in vain", last.asked, KEYS_REREAD * 1000),
            None => ("could not be read", last.at, KEYS_UNREADABLE),
        };
        let ago = self.now() - since;
        self.holds(Invariant::Unauthenticated, ago >= least, || {
            format!("attempt {number}, unauthenticated, has keys read that {what} {ago} ms ago")
        });
    }

    /// An instance is told keys, or that they cannot be read.
    pub(crate) fn is_told_keys(&self, actor: usize, asked: u64, read: bool) {
        let number = self.attempt_of(actor);
        let at = self.now();
        let mut ledger = lock(&self.ledger);
        let of = ledger.attempts[number].whose();
        let before = ledger.keys_read.get(&of).and_then(|last| last.held);
        let held = match read {
            true => Some(at),
            false => before.filter(|held| at - held < KEYS_TTL * 1000),
        };
        ledger.keys_read.insert(of, KeysRead { asked, at, held });
    }

    /// An instance writes to claim an account's check. Whoever knows a token may cause that once in five minutes.
    pub(crate) fn claims_check(&self, actor: usize, account: &AccountName) {
        let number = self.attempt_of(actor);
        let at = self.now();
        let mut ledger = lock(&self.ledger);
        let of = (ledger.attempts[number].instance, account.to_string());
        let before = ledger.claims.insert(of, at);
        drop(ledger);
        let is_due = before.is_none_or(|before| at - before >= CHECKS_EVERY);
        self.holds(Invariant::Unauthenticated, is_due, || {
            format!("attempt {number} claims a check of {account} that its instance claimed")
        });
    }

    /// Accounts are to be checked: each at most once in five minutes, whatever instances ask.
    pub(crate) fn is_asked_for_checks(&self, orders: &[Message<'_>]) {
        for order in orders {
            let order = order.text.to_text();
            let at = self.now();
            let before = lock(&self.ledger).checks.insert(order.clone(), at);
            let is_due = before.is_none_or(|before| at - before >= CHECKS_EVERY);
            self.holds(Invariant::Unauthenticated, is_due, || {
                format!("{order} is asked for again")
            });
        }
    }

    fn answered_unverified(&self, number: usize, actor: usize, status: u16) {
        let ledger = lock(&self.ledger);
        let by = &ledger.actors[actor];
        let (found, read) = (by.count(Step::FindToken), by.count(Step::ReadKeys));
        let calls: u32 = by.counts.values().sum();
        drop(ledger);
        let wrong = match status {
            200 => Some("is answered 200"),
            _ if calls > found + read => Some("causes a write or a message"),
            _ if found > 1 => Some("has its token looked up twice"),
            _ if read > 1 => Some("has keys read twice"),
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
        let what = |attempt: &Attempt| -> BTreeSet<u32> {
            let elements = attempt.delivery.elements.iter();
            elements.map(|element| element.occurrence).collect()
        };
        let this = &ledger.attempts[number];
        let other = ledger.attempts.iter().position(|other| {
            other.genuine
                && other.answer == Some(200)
                && other.identity == this.identity
                && what(other) != what(this)
        });
        let bytes = this.retry_of();
        let marker = ledger.markers.get(&bytes);
        let left = marker.is_some_and(|marker| Some(marker.identity) == this.identity);
        let late = ledger.late > 0 || ledger.overtaken.contains(&bytes);
        drop(ledger);
        if let Some(other) = other.filter(|_| !late) {
            self.broken(Invariant::Identity, || {
                format!("attempts {other} and {number} brought different deliveries, were both answered 200, and have one identity")
            });
        }
        self.holds(Invariant::Identity, !left || late, || {
            format!("attempt {number} is answered 200, and its retry marker is still there")
        });
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
                        let mut of_group = last.iter().filter(|(other, _)| *other == group);
                        let is_last = of_group.all(|(_, before)| *before <= key);
                        self.holds(Invariant::Order, is_last, || {
                            format!("{key} is sent behind a later event of its record")
                        });
                        last.push((group, key));
                    }
                }
            }
        }
    }

    /// A message, with the account and the event that its id names.
    fn named<'b>(&self, body: &'b str) -> Result<(Key, Seen<'b>, usize, Arc<Event>), String> {
        let seen: Seen<'b> = serde_json::from_str(body)
            .map_err(|error| format!("a message is no envelope ({error}): {body}"))?;
        let key = oracle::key(seen.id).ok_or_else(|| format!("{:?} is no event id", seen.id))?;
        let ledger = lock(&self.ledger);
        let number = ledger.by_epoch.get(&key.0);
        let attempt = number.map(|number| &ledger.attempts[*number]);
        let event = attempt.and_then(|attempt| attempt.delivery.event(key.1));
        let sent = attempt.map(|attempt| attempt.account).zip(event.cloned());
        let (account, event) = sent.ok_or_else(|| format!("{key} was never sent by the source"))?;
        Ok((key, seen, account, event))
    }

    /// Reads a message and holds it against the event that its id names.
    fn read<'b>(&self, body: &'b str) -> Option<(Key, Seen<'b>, usize, Arc<Event>)> {
        let named = self.named(body);
        let named = named.map_err(|what| self.broken(Invariant::Verbatim, || what));
        let (key, seen, account, event) = named.ok()?;
        let event_type = (event.sender.as_str(), event.event_type);
        let is_json = seen.datacontenttype == "application/json";
        let position = seen.id.strip_prefix(seen.deliveryid);
        let time = event.changed.as_ref().map(|time| &*time.text);
        let sequence = oracle::sequence(key, seen.id, &event);
        let same = [
            ("specversion", seen.specversion == "1.0"),
            ("source", seen.source == oracle::source(&self.plan, account)),
            (
                "account",
                seen.account == self.plan.accounts[account].name.as_str(),
            ),
            ("type", seen.event_type.split_once('.') == Some(event_type)),
            ("time", seen.time == oracle::rfc3339(key.0)),
            ("datacontenttype", is_json),
            ("deliveryid", position.is_some_and(|rest| rest.len() == 6)),
            ("sourceid", seen.sourceid == event.source_id),
            ("sourcetime", seen.sourcetime == time),
            ("sequence", seen.sequence == sequence.as_deref()),
            ("replayed", !seen.replayed),
            ("subject", self.is_subject(&seen, account, &event)),
            ("data", self.is_record(&seen, &event)),
        ];
        if let Some((member, _)) = same.iter().find(|(_, same)| !same) {
            self.broken(Invariant::Verbatim, || {
                format!("{key} has another {member} than was sent: {body}")
            });
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
        let payments = &mut lock(&self.ledger).payments;
        let known = payments.entry(text.clone()).or_insert(subject.clone());
        let same = *known == subject;
        let mut named = payments.iter().filter(|(_, whose)| **whose == subject);
        let starts = format!("payment/{invoice}/");
        same && named.all(|(name, _)| *name == text) && seen.subject.starts_with(&starts)
    }

    fn is_record(&self, seen: &Seen<'_>, event: &Event) -> bool {
        match (seen.data, seen.dataref) {
            (Some(data), None) => event.is(data.get()),
            (None, Some(place)) => {
                let key = place.strip_prefix("s3://oversize/").unwrap_or_default();
                let objects = self.oversize.objects();
                let bytes = objects.get(key);
                let record = bytes.and_then(|bytes| str::from_utf8(bytes).ok());
                record.is_some_and(|record| event.is(record))
            }
            _ => false,
        }
    }

    fn arrive_in_lane(&self, name: &str, body: &str, message: &Message<'_>, actor: usize) {
        let known = body.replacen(TO_COME, "{", 1);
        if known != body {
            self.has(Habit::NextRelease);
        }
        let Some((key, seen, account, event)) = self.read(&known) else {
            return;
        };
        self.sees_identity(actor, key.0);
        let is_there = oracle::lane(event.event_type) == name;
        self.holds(Invariant::Verbatim, is_there, || {
            format!("{key} is in lane {name}")
        });
        let group = self.plan.accounts[account].name.as_str();
        let is_fair = message.group.as_deref() == Some(group);
        self.holds(Invariant::Verbatim, is_fair, || {
            format!("{key} has no fair group")
        });
        let attempt = self.attempt_of(actor);
        let lane = LANES.iter().position(|lane| *lane == name).unwrap();
        let mut ledger = lock(&self.ledger);
        let here = ledger.attempts[attempt].retry_of();
        let origin = ledger.attempts[ledger.by_epoch[&key.0]].retry_of();
        let accepted = ledger.accepted.entry(key).or_insert_with(|| Accepted {
            lane,
            event,
            account,
            delivery: seen.deliveryid.to_owned(),
        });
        let wrong = if here != origin {
            Some("has the identity of another delivery")
        } else if accepted.delivery != seen.deliveryid {
            Some("has two ids")
        } else {
            None
        };
        drop(ledger);
        if let Some(wrong) = wrong {
            self.broken(Invariant::Identity, || format!("{key} {wrong}"));
        }
        self.tell(|| format!("  {key} is in lane {name}"));
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
        let mut ledger = lock(&self.ledger);
        if notice.reason.is_some() {
            ledger.quarantined.insert((identity, None));
        }
        let elements = notice
            .elements
            .iter()
            .map(|element| (identity, Some(element.index)));
        ledger.quarantined.extend(elements);
        // A retry under the same identity may have other bytes.
        let was_sent = |body: &[u8]| {
            ledger.attempts.iter().any(|attempt| {
                let identities = [attempt.identity, Some(attempt.epoch)];
                let is_it = attempt.genuine && identities.contains(&Some(identity));
                is_it && *attempt.delivery.body == *body
            })
        };
        let (pk, sk) = (notice.receipt.pk, notice.receipt.sk);
        let day = &oracle::rfc3339(identity)[..10];
        let is_named = sk == notice.deliveryid && pk == format!("{}#{day}", notice.account);
        let mut kept = self.receipts.kept().into_iter();
        let is_kept = kept.any(|kept| kept.delivery.to_string() == sk && was_sent(&kept.body));
        drop(ledger);
        self.holds(Invariant::Durable, is_named && is_kept, || {
            format!(
                "a message in quarantine points at no receipt with the bytes that were sent: {body}"
            )
        });
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
        let mut teams = self.plan.teams.iter();
        let team = teams.position(|team| team.name == wrapped.team);
        if let (Some((key, ..)), Some(team)) = (self.read(wrapped.envelope.get()), team) {
            lock(&self.ledger).undelivered.insert((team, key));
            self.tell(|| format!("  {key} is undelivered for {}", wrapped.team));
        }
    }

    fn arrive_at_team(
        &self,
        queue: &str,
        body: &str,
        message: &Message<'_>,
        actor: usize,
    ) -> Option<Key> {
        let mut teams = self.plan.teams.iter().enumerate();
        let (number, team) = teams.find(|(_, team)| team.queue == queue)?;
        let (key, seen, account, event) = self.read(body)?;
        let is_wanted = oracle::wants(team, &event, account);
        self.holds(Invariant::Verbatim, is_wanted, || {
            format!("{key} comes to {}, which does not want it", team.name)
        });
        let attribute = |name: &str| {
            let found = message.attributes.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| value.as_str())
        };
        let named = attribute("type") == Some(seen.event_type)
            && attribute("account") == Some(seen.account)
            && attribute("subject") == Some(&*seen.subject);
        self.holds(Invariant::Verbatim, named, || {
            format!("{key} has other attributes than members")
        });
        let fifo = queue.ends_with(".fifo");
        let is_as_asked = message.deduplication.as_deref() == fifo.then_some(seen.id)
            && message.group.is_some() == fifo;
        self.holds(Invariant::Verbatim, is_as_asked, || {
            format!("{key} has another group or deduplication id than its queue asks")
        });
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
            let mark = match seen.possibleduplicate {
                true => ", marked as a possible duplicate",
                false => "",
            };
            format!("  {key} is with {queue}{mark}")
        });
        Some(key)
    }

    // What the consumer does.

    pub(crate) fn fetches(&self, actor: usize, event: Option<Key>, done: bool) {
        let actor = &mut lock(&self.ledger).actors[actor];
        // Of two copies in one batch, one may be had and the other not.
        let events = match done {
            true => &mut actor.fetched,
            false => &mut actor.unfetched,
        };
        events.extend(event);
    }

    fn event(ledger: &Ledger, key: Key) -> Option<(Subject, Arc<Event>)> {
        let accepted = ledger.accepted.get(&key)?;
        Some((accepted.subject(), Arc::clone(&accepted.event)))
    }

    /// An event's place among those of its record. What no lane accepted has that of its first sight.
    fn place(ledger: &Ledger, key: Key) -> (u64, Key) {
        let event = ledger.accepted.get(&key);
        event.map_or((key.0, key), |accepted| oracle::place(key, &accepted.event))
    }

    /// The events of an invocation's batch that are about one record, and that it could read.
    fn group(ledger: &Ledger, actor: usize, subject: &Subject) -> Vec<(Key, Arc<Event>)> {
        let actor = &ledger.actors[actor];
        let mut group: Vec<(Key, Arc<Event>)> = actor
            .batch
            .iter()
            .filter(|key| !actor.unfetched.contains(key) || actor.fetched.contains(key))
            .filter_map(|key| Some((*key, Self::event(ledger, *key)?)))
            .filter_map(|(key, (about, event))| (about == *subject).then_some((key, event)))
            .collect();
        group.sort_by_key(|(key, event)| oracle::place(*key, event));
        group.dedup_by_key(|(key, _)| *key);
        group
    }

    fn remember(ledger: &mut Ledger, actor: usize, subject: &Subject) -> Row {
        let row = ledger.table.get(subject).cloned().unwrap_or_default();
        let known = &mut ledger.actors[actor].known;
        let known = known.entry(subject.clone()).or_insert(row.clone());
        // Of deletes counts what was known first, of data what was known last.
        known.latest = row.latest;
        known.memory.clone_from(&row.memory);
        row
    }

    /// The table is told to take an event's data, after other events of the same batch. It refuses if it knows the first of
    /// them, or a later one.
    pub(crate) fn updates(&self, actor: usize, key: Key, before: &[Key], data: &str) {
        let Some((subject, event)) = self.applied(key) else {
            return;
        };
        let mut ledger = lock(&self.ledger);
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
        self.tell(|| match taken {
            true => format!("  {key} is written to its record"),
            false => format!("  {key} is too late for its record"),
        });
        self.holds(Invariant::Verbatim, event.is(data), || {
            format!("{key} is written with other data")
        });
    }

    /// The table is told to delete a record.
    pub(crate) fn deletes(&self, actor: usize, key: Key) {
        let Some((subject, event)) = self.applied(key) else {
            return;
        };
        let mut ledger = lock(&self.ledger);
        let mut row = Self::remember(&mut ledger, actor, &subject);
        row.last_delete = row.last_delete.max(Some(oracle::place(key, &event)));
        row.deleted.get_or_insert((key, Arc::clone(&event)));
        ledger.table.insert(subject, row);
        drop(ledger);
        self.tell(|| format!("  {key} deletes its record"));
    }

    /// What is applied to a record: an event that a lane accepted.
    fn applied(&self, key: Key) -> Option<(Subject, Arc<Event>)> {
        let event = Self::event(&lock(&self.ledger), key);
        self.holds(Invariant::State, event.is_some(), || {
            format!("{key} is applied, which no lane accepted")
        });
        event
    }

    /// Holds a mark against what could be known.
    ///
    /// Decided: an event is marked if another one says the same, of those that the record remembers and of those before it
    /// in its batch; where the record remembers the event itself, of those before it; where it may have forgotten it, of
    /// none. None is marked that no other event of its record equals.
    fn check_mark(&self, actor: usize, key: Key, event: &Arc<Event>, account: usize, marked: bool) {
        let ledger = lock(&self.ledger);
        let subject = (account, event.about.clone());
        let mut others = ledger.accepted.iter().filter(|(other, _)| **other != key);
        let equal = others.any(|(_, accepted)| accepted.says_what(account, event));
        let expected = if event.about.leaves_a_record() {
            ledger.actors[actor].known.get(&subject).and_then(|known| {
                let group = Self::group(&ledger, actor, &subject);
                let latest = known.latest.map(|latest| Self::place(&ledger, latest));
                expected_mark(known, latest, &group, key, event)
            })
        } else {
            Some(false)
        };
        drop(ledger);
        self.holds(Invariant::Marks, !marked || equal, || {
            format!("{key} is marked, and no other event of its record says the same")
        });
        let is_as_expected = expected.is_none_or(|expected| expected == marked);
        self.holds(Invariant::Marks, is_as_expected, || {
            let is = if marked { "is marked" } else { "is not marked" };
            format!("{key} {is}, against what its record remembers")
        });
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
        let event = &accepted.event;
        let missing = self.unserved(&ledger, key, accepted);
        let place = |key| Self::place(&ledger, key);
        let row = ledger.table.get(&accepted.subject());
        let last = row.and_then(|row| match event.deletes() {
            true => row.last_delete,
            false => row.latest.map(place),
        });
        // Where a delete is final, the first is as good as any.
        let is_final = event.deletes() && !oracle::is_timed(event.sender, event.about.kind());
        let is_applied = !event.about.leaves_a_record()
            || last.is_some_and(|last| is_final || last >= place(key));
        drop(ledger);
        if let Some(missing) = missing {
            self.broken(Invariant::Delivered, || {
                format!("{key} is taken for done, and {missing} has not got it")
            });
        }
        self.holds(Invariant::State, is_applied, || {
            format!("{key} is taken for done, and its record has not got it")
        });
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
        let messages = || ledger.lanes.iter().flatten();
        let dead = messages().filter(|message| message.place == Place::DeadLetters);
        let dead: BTreeSet<Key> = dead.filter_map(|message| message.key).collect();
        let lost = ledger.accepted.iter().find_map(|(key, accepted)| {
            let waits = !redriven && dead.contains(key);
            let missing = self.unserved(&ledger, *key, accepted).filter(|_| !waits)?;
            let lane = LANES[accepted.lane];
            Some(format!(
                "{key} was accepted by lane {lane}, and {missing} has not got it"
            ))
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
        let mut unreadable = messages().filter(|message| message.key.is_none());
        let is_dead = unreadable.all(|message| message.place == Place::DeadLetters);
        drop(ledger);
        self.holds(Invariant::Ends, left == 0, || {
            format!("{left} messages are still in their lanes")
        });
        if let Some(lost) = lost {
            self.broken(Invariant::Delivered, || lost);
        }
        if let Some(key) = untrue {
            self.broken(Invariant::Marks, || {
                format!("{key} is marked, and so is every event of its record that says the same")
            });
        }
        self.holds(Invariant::Unreadable, is_dead, || {
            "a message that is no event is no dead letter".to_owned()
        });
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
            let mut accounts = self.plan.accounts.iter();
            let account = accounts.position(|account| account.name == key.account);
            let (account, id) = (account.unwrap_or_default(), key.id.as_str());
            let is_it = |about: &About| matches!(about, About::Record(kind, of) if **kind == *key.kind && of == id);
            let mut subjects = expected.keys();
            let subject = match &*key.kind {
                "payment" => payments.get(&format!("{account}/payment/{id}")),
                _ => subjects.find(|(whose, about)| *whose == account && is_it(about)),
            };
            let subject = subject.cloned();
            let Some(wanted) = subject.and_then(|subject| expected.remove(&subject)) else {
                return self.broken(Invariant::State, || {
                    format!("there is a record {key}, and no event is about it")
                });
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
                latest: stored.known.latest.map(|latest| latest.id.into()),
                deleted: stored.is_deleted(),
                occurrences: stored.occurrences.iter().copied().map(Key::from).collect(),
            };
            self.holds(Invariant::State, found == wanted, || {
                format!("record {key} is {found:?}, and its events make it {wanted:?}")
            });
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
        let mut deletes = group.iter().filter(|(_, event)| event.deletes());
        let first = match &known.deleted {
            Some(first) => Some(first),
            // Of those in the order of the sender's times, the last counts.
            None if oracle::is_timed(event.sender, event.about.kind()) => deletes.next_back(),
            None => deletes.next(),
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
