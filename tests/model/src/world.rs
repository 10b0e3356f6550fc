//! The world of a schedule: the fakes, the queues, and the log of what happened.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use domain::account::{KeysVersion, TokenEntry, TokenHash, TokenStatus, UrlToken, WebhookId};
use domain::identity::EventId;
use domain::signature::Policy;
use domain::source::Source;
use futures::future::FutureExt as _;
use runtime::config::Variables;
use testkit::fakes::{FakeKeys, FakeOversize, FakeQueues, FakeReceipts, FakeRecords, FakeTokens};
use testkit::rng::Rng;

use crate::checks::{Broken, Invariant};
use crate::deliveries::{About, Delivery, Element, Event};
use crate::faults::{Coverage, Kind, Step, kinds};
use crate::life::{Registration, TokenRead};
use crate::lock;
use crate::oracle::LANES;
use crate::plan::{Account, BUDGET, Habit, Plan, SENDING, WALL};
use crate::scheduler::Agenda;
use crate::truth::Stale;

/// An event's identity as the log knows it: the millisecond in its id, which no two attempts share, and its
/// position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) u64, pub(crate) u32);

/// As a story names it.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {}.{}", since(self.0), self.1)
    }
}

impl From<EventId> for Key {
    fn from(id: EventId) -> Self {
        Self(id.delivery().first_seen().millis(), id.index().get())
    }
}

/// What a delivery and its retries have in common: account, registration, and by what the source lets them be recognised.
pub(crate) type RetryOf = (usize, usize, Arc<[u8]>);

/// Which record, and whose.
pub(crate) type Subject = (usize, About);

pub(crate) struct World {
    pub(crate) agenda: Arc<Agenda>,
    pub(crate) plan: Plan,
    pub(crate) tokens: FakeTokens,
    pub(crate) keys: FakeKeys,
    pub(crate) queues: FakeQueues,
    pub(crate) receipts: FakeReceipts,
    pub(crate) records: FakeRecords,
    pub(crate) oversize: FakeOversize,
    pub(crate) ledger: Mutex<Ledger>,
}

/// Everything that was seen.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) coverage: Coverage,
    /// Whether faults are over.
    pub(crate) quiet: bool,
    pub(crate) actors: Vec<Actor>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) by_epoch: HashMap<u64, usize>,
    pub(crate) last_epoch: BTreeSet<u64>,
    pub(crate) outages: BTreeMap<Step, u64>,
    /// Words for a queue and a body that it refuses.
    pub(crate) poisoned: HashSet<u64>,
    /// What lanes accepted, once by key.
    pub(crate) accepted: BTreeMap<Key, Accepted>,
    pub(crate) lanes: Vec<Vec<LaneMessage>>,
    pub(crate) teams: Vec<Team>,
    /// Events that a team got marked as possible duplicates.
    pub(crate) marked: BTreeSet<Key>,
    /// What the undelivered queue has: team and event.
    pub(crate) undelivered: BTreeSet<(usize, Key)>,
    /// What quarantine has: delivery and position, or none for all of a delivery.
    pub(crate) quarantined: BTreeSet<(u64, Option<u32>)>,
    pub(crate) markers: HashMap<RetryOf, ShadowMarker>,
    /// RetryOf whose marker was left after its attempt had ended: what a success removed may be there again.
    pub(crate) overtaken: HashSet<RetryOf>,
    /// The registrations of each account, the first one first.
    pub(crate) registrations: Vec<Vec<Registration>>,
    /// What an instance of inbound knows of a token.
    pub(crate) tokens_read: HashMap<(usize, TokenHash), TokenRead>,
    pub(crate) table: BTreeMap<Subject, Row>,
    pub(crate) payments: BTreeMap<String, Subject>,
    pub(crate) instances: Vec<Instance>,
    /// Deliveries that the source has not done with, unauthenticated requests included.
    pub(crate) senders: usize,
    pub(crate) invocations: usize,
    pub(crate) late: usize,
    pub(crate) handles: u64,
    /// Messages for which a poller has to look.
    pub(crate) woken: Vec<(usize, usize)>,
    pub(crate) failures: Vec<usize>,
    pub(crate) disabled: BTreeSet<usize>,
    /// Deliveries of an account that the source sends with another one, if there is one.
    pub(crate) parked: Vec<(usize, Vec<Element>)>,
    /// How often the source did what it does at times.
    pub(crate) habits: [u64; Habit::ALL.len()],
    /// What an instance of inbound knows of an account's keys.
    pub(crate) keys_read: HashMap<(usize, usize), KeysRead>,
    /// When an instance of inbound last asked for an account's keys.
    pub(crate) keys_asked: HashMap<(usize, usize), u64>,
    /// When an account's check was last asked for, and when an instance last wrote to claim it.
    pub(crate) checks: HashMap<String, u64>,
    pub(crate) claims: HashMap<(usize, String), u64>,
    /// How many records say something earlier than the source does, by cause.
    pub(crate) stale: Stale,
    pub(crate) story: Option<Vec<String>>,
    pub(crate) broken: Option<Broken>,
}

impl Ledger {
    /// The registration by which an attempt comes.
    pub(crate) fn registration_of(&self, attempt: &Attempt) -> &Registration {
        &self.registrations[attempt.account][attempt.registration]
    }
}

/// An invocation of a handler.
#[derive(Default)]
pub(crate) struct Actor {
    pub(crate) begun: u64,
    /// When its sending has to end.
    pub(crate) deadline: u64,
    pub(crate) crashed: bool,
    pub(crate) ended: bool,
    pub(crate) faults: u32,
    /// The steps that a fault met.
    pub(crate) faulted: BTreeSet<Step>,
    pub(crate) calls: HashMap<(Step, u64), u64>,
    pub(crate) sends: HashMap<(Step, u64), Sending>,
    /// The attempt at a delivery that it is.
    pub(crate) attempt: Option<usize>,
    /// The events of its batch.
    pub(crate) batch: Vec<Key>,
    pub(crate) unfetched: BTreeSet<Key>,
    /// Those that a copy was had of.
    pub(crate) fetched: BTreeSet<Key>,
    pub(crate) known: BTreeMap<Subject, Row>,
    pub(crate) counts: BTreeMap<Step, u32>,
}

impl Actor {
    /// How often it took a step.
    pub(crate) fn count(&self, step: Step) -> u32 {
        self.counts.get(&step).copied().unwrap_or_default()
    }
}

/// Where a handler stands in sending to one queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sending {
    answered: Option<u64>,
    pauses: u32,
    round: u64,
    deadline: u64,
}

/// How an instance of inbound last read an account's keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeysRead {
    /// When it asked.
    pub(crate) asked: u64,
    /// When it was answered.
    pub(crate) at: u64,
    /// When the keys that it holds were read: then, if the answer was keys.
    pub(crate) held: Option<u64>,
}

/// One request of the source's, or of an unauthenticated request.
#[derive(Default)]
pub(crate) struct Attempt {
    /// The instance that takes it.
    pub(crate) instance: usize,
    pub(crate) account: usize,
    /// The registration by which it comes.
    pub(crate) registration: usize,
    /// What the source tries to deliver; none for an unauthenticated request.
    pub(crate) genuine: bool,
    /// Whether it only asks whether somebody answers, and if so whether by a token of ours.
    pub(crate) greets: Option<bool>,
    pub(crate) delivery: Delivery,
    pub(crate) epoch: u64,
    /// Our clock when the handler began.
    pub(crate) now: u64,
    pub(crate) answer: Option<u16>,
    /// The identity that it gave its events.
    pub(crate) identity: Option<u64>,
    /// What the marker's read told: none if it was not read, or its answer was lost.
    pub(crate) read: Option<Option<u64>>,
    /// Whether the last read of the marker was answered.
    pub(crate) told: bool,
    pub(crate) leased: Option<bool>,
    /// Until when it held the retry marker.
    pub(crate) lease: Option<u64>,
    /// The retry marker that it left.
    pub(crate) marked: Option<ShadowMarker>,
    /// Whether its receipt was written.
    pub(crate) receipt: bool,
    pub(crate) keys_held: bool,
}

impl Attempt {
    /// To what its retry marker belongs.
    pub(crate) fn retry_of(&self) -> RetryOf {
        let retry = Arc::clone(&self.delivery.retry);
        (self.account, self.registration, retry)
    }

    /// The instance, and whose keys it needs.
    pub(crate) fn whose(&self) -> (usize, usize) {
        (self.instance, self.account)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ShadowMarker {
    pub(crate) identity: u64,
    /// When it was left, by the schedule's time.
    pub(crate) left: u64,
    pub(crate) expires: u64,
    pub(crate) leased_until: u64,
}

/// An event that a lane accepted.
pub(crate) struct Accepted {
    pub(crate) lane: usize,
    pub(crate) event: Arc<Event>,
    pub(crate) account: usize,
    pub(crate) delivery: String,
}

impl Accepted {
    pub(crate) fn subject(&self) -> Subject {
        (self.account, self.event.about.clone())
    }

    /// Whether it says the same of the same record as an event of this account.
    pub(crate) fn says_what(&self, account: usize, event: &Event) -> bool {
        self.account == account && self.event.about == event.about && self.event.says_what(event)
    }
}

pub(crate) struct LaneMessage {
    pub(crate) body: Arc<str>,
    pub(crate) key: Option<Key>,
    pub(crate) receives: u64,
    pub(crate) visible_at: u64,
    pub(crate) handle: u64,
    pub(crate) place: Place,
    pub(crate) ghost: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Lane,
    DeadLetters,
    Gone,
}

#[derive(Default)]
pub(crate) struct Team {
    pub(crate) got: BTreeMap<Key, u32>,
    pub(crate) window: HashMap<String, u64>,
}

/// A row of the oracle's own records table.
#[derive(Clone, Default)]
pub(crate) struct Row {
    pub(crate) latest: Option<Key>,
    /// The last contents, the newest first.
    pub(crate) memory: Vec<(Key, Arc<Event>)>,
    pub(crate) deleted: Option<(Key, Arc<Event>)>,
    /// The place of the last delete.
    pub(crate) last_delete: Option<(u64, Key)>,
}

pub(crate) struct Instance {
    pub(crate) free: bool,
    pub(crate) jobs: tokio::sync::mpsc::UnboundedSender<crate::inbounds::Job>,
}

impl World {
    pub(crate) fn new(agenda: &Arc<Agenda>, plan: Plan, story: bool) -> Arc<Self> {
        let (tokens, keys) = (FakeTokens::default(), FakeKeys::default());
        for (number, account) in plan.accounts.iter().enumerate() {
            let live = entry(account, number, TokenStatus::Live);
            tokens.put(account.token.hash(), live);
            let retired = entry(account, number, TokenStatus::Retired);
            tokens.put(account.retired.hash(), retired);
            if account.keys_held_from == 0 {
                account.store_keys(&keys);
            }
        }
        let first = |account: &Account| vec![Registration::new(&account.token, &account.key)];
        let ledger = Ledger {
            lanes: LANES.map(|_| Vec::new()).into(),
            teams: plan.teams.iter().map(|_| Team::default()).collect(),
            failures: vec![0; plan.accounts.len()],
            registrations: plan.accounts.iter().map(first).collect(),
            story: story.then(Vec::new),
            ..Ledger::default()
        };
        Arc::new(Self {
            agenda: Arc::clone(agenda),
            plan,
            tokens,
            keys,
            queues: FakeQueues::default(),
            receipts: FakeReceipts::default(),
            records: FakeRecords::default(),
            oversize: FakeOversize::default(),
            ledger: Mutex::new(ledger),
        })
    }

    pub(crate) fn now(&self) -> u64 {
        self.agenda.now()
    }

    /// A generator of random numbers of its own.
    pub(crate) fn rng(&self, words: &[u64]) -> Rng {
        Rng::of(&[&[self.plan.seed], words].concat())
    }

    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(story) = &mut lock(&self.ledger).story {
            story.push(format!("{:>9.3} s  {}", seconds(now), line()));
        }
    }

    /// Notes that an invariant is broken. The first one counts.
    pub(crate) fn broken(&self, invariant: Invariant, what: impl FnOnce() -> String) {
        let mut ledger = lock(&self.ledger);
        if ledger.broken.is_none() {
            let now = self.now();
            ledger.broken = Some(Broken {
                invariant,
                what: format!("at {:.3} s: {}", seconds(now), what()),
            });
        }
    }

    /// Notes that an invariant is broken, unless this holds.
    pub(crate) fn holds(&self, invariant: Invariant, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken(invariant, what);
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        lock(&self.ledger).broken.is_some()
    }

    pub(crate) fn actor(&self, attempt: Option<usize>, deadline: u64) -> usize {
        let mut ledger = lock(&self.ledger);
        ledger.actors.push(Actor {
            begun: self.now(),
            deadline,
            attempt,
            ..Actor::default()
        });
        ledger.actors.len() - 1
    }

    /// The attempt that an invocation of inbound is.
    pub(crate) fn attempt_of(&self, actor: usize) -> usize {
        let attempt = lock(&self.ledger).actors[actor].attempt;
        attempt.expect("an invocation of inbound is an attempt")
    }

    /// A call begins: when its turn is, its random numbers, and its word among those of its millisecond.
    ///
    /// The product's pauses between two tries of sending are random from half of a length to all of it. Here
    /// every call takes its turn as if the pause had been the whole of it, so what is random in the product
    /// changes nothing.
    pub(crate) fn enter(&self, actor: usize, step: Step, scope: u64) -> (u64, Rng, u64) {
        let now = self.now();
        let mut ledger = lock(&self.ledger);
        let number = actor as u64;
        let actor = &mut ledger.actors[actor];
        let count = actor.calls.entry((step, scope)).or_default();
        *count += 1;
        let mut rng = self.rng(&[number, step as u64, scope, *count]);
        *actor.counts.entry(step).or_default() += 1;
        let mut at = now;
        if step.is_send() {
            let deadline = match step {
                Step::SendTeam | Step::SendFifo => actor.deadline.min(now + 2000),
                _ => actor.deadline,
            };
            let sending = actor.sends.entry((step, scope)).or_insert(Sending {
                deadline,
                ..Sending::default()
            });
            if let Some(answered) = sending.answered {
                let gap = now.saturating_sub(answered);
                if gap > 0 {
                    at = answered + whole_pause(gap);
                    sending.pauses += u32::from(sending.round != answered);
                    sending.round = answered;
                }
            }
        }
        let word = rng.number();
        (at + rng.between(0, 4), rng, word)
    }

    /// When a call's answer comes. Whether there is time for another try must not hang on how long a random
    /// pause is: where it would, the answer comes a little later, when it does not any more.
    pub(crate) fn leave(&self, actor: usize, step: Step, scope: u64, mut at: u64) -> u64 {
        let mut ledger = lock(&self.ledger);
        let Some(sending) = ledger.actors[actor].sends.get_mut(&(step, scope)) else {
            return at;
        };
        let pause = (50_u64 << sending.pauses.min(10)).min(2000);
        let left = sending.deadline.saturating_sub(at);
        if left > 0 && left + 1 >= pause / 2 && left <= pause + 1 {
            at = sending.deadline.saturating_sub(pause / 2 - 1).max(at);
        }
        sending.answered = Some(at.max(sending.answered.unwrap_or_default()));
        at
    }

    /// Whether something goes wrong with a call now, and what.
    pub(crate) fn decide(
        &self,
        actor: usize,
        step: Step,
        entries: usize,
        rng: &mut Rng,
    ) -> Option<Kind> {
        let mut ledger = lock(&self.ledger);
        if ledger.quiet {
            return None;
        }
        let now = self.now();
        let is_out = ledger.outages.get(&step).is_some_and(|until| *until > now);
        let attempt = ledger.actors[actor].attempt;
        let forced = attempt.and_then(|attempt| self.plan.script.take(step, Some(attempt)));
        let kind = match forced {
            Some(kind) => kind,
            None if self.plan.is_scripted() => self.plan.script.take(step, None)?,
            None if is_out => Some(Kind::Throttled),
            None if rng.permille((self.plan.rate * step.weight()).min(600)) => {
                Some(rng.pick(reachable(step)))
            }
            None => None,
        }?;
        let kind = match kind {
            Kind::Part if entries < 2 => Kind::Refused,
            kind => kind,
        };
        if kind == Kind::Throttled {
            let until = now + rng.between(200, 8000);
            if !is_out {
                ledger.outages.insert(step, until);
            }
        }
        ledger.coverage.count(step, kind);
        let by = &mut ledger.actors[actor];
        by.faults += 1;
        by.faulted.insert(step);
        drop(ledger);
        self.tell(|| {
            let (kind, step) = (kind.as_str(), step.as_str());
            match attempt {
                Some(attempt) => format!("  fault: {kind} meets {step} of attempt {attempt}"),
                None => format!("  fault: {kind} meets {step} of invocation {actor}"),
            }
        });
        Some(kind)
    }

    /// Whether something goes wrong on the way, and what.
    pub(crate) fn decide_transport(&self, step: Step, rng: &mut Rng) -> Option<Kind> {
        let mut ledger = lock(&self.ledger);
        if ledger.quiet {
            return None;
        }
        let kind = if self.plan.is_scripted() {
            self.plan.script.take(step, None)??
        } else if rng.permille(self.plan.rate * 2) {
            rng.pick(reachable(step))
        } else {
            return None;
        };
        ledger.coverage.count(step, kind);
        drop(ledger);
        self.tell(|| format!("  fault: {} meets {}", kind.as_str(), step.as_str()));
        Some(kind)
    }

    /// Notes that the source did one of the things that it does at times.
    pub(crate) fn has(&self, habit: Habit) {
        lock(&self.ledger).habits[habit as usize] += 1;
    }

    pub(crate) fn crash(&self, actor: usize) {
        lock(&self.ledger).actors[actor].crashed = true;
    }

    pub(crate) fn has_crashed(&self, actor: usize) -> bool {
        lock(&self.ledger).actors[actor].crashed
    }

    /// Gives a request the gateway's time: a millisecond that no other request has, near our clock's.
    pub(crate) fn epoch(&self, rng: &mut Rng) -> u64 {
        let mut ledger = lock(&self.ledger);
        // The gateway's clocks and ours agree to within some milliseconds.
        let mut epoch = WALL + self.now() - rng.between(0, 20);
        while !ledger.last_epoch.insert(epoch) {
            epoch += 1;
        }
        epoch
    }

    /// Begins an invocation of inbound for an attempt.
    pub(crate) fn begin_attempt(&self, attempt: usize, instance: usize) -> usize {
        let now = self.now();
        let mut ledger = lock(&self.ledger);
        let begun = &mut ledger.attempts[attempt];
        begun.now = WALL + now;
        begun.instance = instance;
        drop(ledger);
        self.actor(Some(attempt), now + BUDGET - SENDING)
    }
}

/// The pause that a random one was a part of.
fn whole_pause(gap: u64) -> u64 {
    [50, 100, 200, 400, 800]
        .into_iter()
        .find(|pause| gap <= *pause)
        .unwrap_or(2000)
}

fn reachable(step: Step) -> &'static [Kind] {
    static TABLE: OnceLock<Vec<Vec<Kind>>> = OnceLock::new();
    &TABLE.get_or_init(|| Step::ALL.map(|(step, _)| kinds(step)).into())[step as usize]
}

pub(crate) fn entry(account: &Account, number: usize, status: TokenStatus) -> TokenEntry {
    TokenEntry {
        account: account.name.clone(),
        source: Source::named(account.sender.as_str()).unwrap(),
        webhook: Some(WebhookId::new(format!("wh_{number}"))),
        keys: KeysVersion::default(),
        status,
        policy: account.is_strict.then_some(Policy::Require),
    }
}

/// A URL token of these words.
pub(crate) fn url_token(words: &[u64]) -> UrlToken {
    let mut rng = Rng::of(words);
    let bytes = std::array::from_fn(|_| u8::try_from(rng.below(256)).unwrap_or_default());
    UrlToken::from_random(&bytes)
}

/// What a fake answers: fakes wait for nobody.
pub(crate) fn now<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("a fake answers at once")
}

/// A function's variables: its own, and the lanes' queues.
pub(crate) fn variables(own: &[(&str, &dyn fmt::Display)]) -> Variables {
    let lane = |lane: &str| {
        (
            format!("{}_QUEUE_URL", lane.to_uppercase()),
            lane.to_owned(),
        )
    };
    let own = own
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.to_string()));
    LANES.map(lane).into_iter().chain(own).collect()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a time to be read by people, far below 2^52 milliseconds"
)]
pub(crate) fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// Milliseconds of an id since the schedule's beginning: the gateway's clock may be a little behind.
pub(crate) fn since(millis: u64) -> i64 {
    millis.cast_signed().wrapping_sub(WALL.cast_signed())
}
