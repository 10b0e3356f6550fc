//! The plan of a schedule: everything that the seed decides beforehand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use domain::account::{AccountName, UrlToken};
use domain::signature::LiveSecrets;
use testkit::fakes::FakeKeys;
use testkit::rng::Rng;
use testkit::signing::{Signer, sign_in_hex};

use crate::deliveries::{self, Delivery, Element, Outside, Sender};
use crate::faults::{Kind, Step};
use crate::life::{self, Turn};
use crate::lock;
use crate::world::url_token;

/// The wall clock at the beginning: 2026-11-20T12:00:00.000Z, in milliseconds.
pub(crate) const WALL: u64 = 1_795_176_000_000;
/// How long inbound may take for an answer, in milliseconds.
pub(crate) const BUDGET: u64 = 3000;
/// What inbound keeps of it for a retry marker. A wrong value here makes stories less repeatable, no more.
pub(crate) const SENDING: u64 = 700;
/// After how many milliseconds Lambda ends inbound.
pub(crate) const INBOUND_TIMEOUT: u64 = 10_000;
/// How long an attempt holds a retry marker, in milliseconds.
pub(crate) const LEASE: u64 = 15_000;
/// How long a signing key is kept, and how soon it may be read again, in seconds.
pub(crate) const KEYS_TTL: u64 = 300;
/// How long what a token stands for is believed, in milliseconds.
pub(crate) const ENTRIES_BELIEVED: u64 = 10_000;
/// The least time between two reads of keys that do not fit, in seconds.
pub(crate) const KEYS_REREAD: u64 = 10;
/// The least time between two reads of keys that could not be read, in milliseconds.
pub(crate) const KEYS_UNREADABLE: u64 = 200;

/// The queue of account checks.
pub(crate) const CHECK_QUEUE: &str = "checks";
/// The least time between two checks of an account that wrong signatures can cause, in milliseconds.
pub(crate) const CHECKS_EVERY: u64 = 300_000;

/// What happens besides a delivery that is sent once, and nobody says beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Habit {
    /// It sends a delivery again.
    Retry,
    /// The retry has other bytes, and the same events.
    Respace,
    /// The retry has a part of the events; the others come by themselves.
    Split,
    /// The retry has the events of another delivery too.
    Merge,
    /// It disables the webhook of an account.
    Disable,
    /// An account has another registration beside one that is about to go, or anew.
    Register,
    /// It sends by a registration that is retired, and is refused.
    Retired,
    /// A function of the next release writes what this one cannot read.
    NextRelease,
    /// It asks whether somebody answers at a URL.
    Greeting,
    /// It sends without a signature, where signatures are but observed.
    Observed,
    /// A header names another type than the event.
    ForgedType,
}

impl Habit {
    /// Every habit, and how often it was seen, in words that follow the number.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Retry, "retries"),
        (Self::Respace, "with other bytes"),
        (Self::Split, "with a part of the events"),
        (Self::Merge, "with another delivery's events"),
        (Self::Disable, "webhooks disabled"),
        (Self::Register, "registrations made while deliveries flow"),
        (Self::Retired, "refused with a retired token"),
        (Self::NextRelease, "events written by the next release"),
        (Self::Greeting, "greetings"),
        (
            Self::Observed,
            "without a signature, where those are but observed",
        ),
        (Self::ForgedType, "with another type in a header"),
    ];
}

/// An account that is connected.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: AccountName,
    pub(crate) sender: Sender,
    pub(crate) token: Arc<UrlToken>,
    pub(crate) retired: UrlToken,
    pub(crate) key: String,
    /// The key of the retired registration, which is still stored.
    pub(crate) retired_key: String,
    /// Whether signatures are required where its source's are but observed.
    pub(crate) is_strict: bool,
    /// When its signing key is stored, in milliseconds: 0 from the beginning.
    pub(crate) keys_held_from: u64,
    /// How its registrations change, and when.
    pub(crate) life: Vec<(u64, Turn)>,
}

impl Account {
    /// How its deliveries are proved.
    fn signer(&self) -> Signer {
        Signer::of(self.sender.as_str())
    }

    /// What is stored for deliveries that this key proves.
    pub(crate) fn secrets(&self, key: &str) -> LiveSecrets {
        match self.sender {
            Sender::StackOne => self.signer().secrets(&[key, &second(key)]),
            _ => self.signer().secrets(&[key]),
        }
    }

    /// Stores the keys of its first registration, and of the retired one.
    pub(crate) fn store_keys(&self, keys: &FakeKeys) {
        for (token, key) in [
            (&*self.token, &self.key),
            (&self.retired, &self.retired_key),
        ] {
            keys.put_secrets(&self.name, token.hash(), 0, self.secrets(key));
        }
    }

    /// The key of its registration of this number, or the one that all its registrations share.
    pub(crate) fn key_of(&self, account: usize, number: usize) -> String {
        match self.sender {
            Sender::Apideck => self.key.clone(),
            _ => format!("signing-key-{account}-{number}"),
        }
    }

    /// Whether its signatures decide nothing: the URL's token proves what comes.
    pub(crate) fn observes(&self) -> bool {
        self.sender == Sender::OneStock && !self.is_strict
    }

    /// The header that proves a body, and its value; none where the source sends none this time.
    pub(crate) fn proof(
        &self,
        key: &str,
        body: &[u8],
        rng: &mut Rng,
    ) -> Option<(&'static str, String)> {
        let signer = self.signer();
        let proof = match (self.sender, rng.below(4)) {
            // By the reference's words, and by the guide's.
            (Sender::Apideck, 0) => sign_in_hex(key, body),
            (Sender::StackOne, 0 | 1) => signer.sign(&second(key), body),
            (Sender::OneStock, 0) if self.observes() => return None,
            (Sender::OneStock, 1) if self.observes() => signer.sign("another-key", body),
            _ => signer.sign(key, body),
        };
        Some((signer.header, proof))
    }
}

/// The second of two signing secrets.
fn second(key: &str) -> String {
    format!("{key}-second")
}

/// A request that only asks whether somebody answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Greeting {
    pub(crate) account: usize,
    pub(crate) at: u64,
}

/// A team and what it wants.
#[derive(Debug, Clone)]
pub(crate) struct TeamPlan {
    pub(crate) name: String,
    pub(crate) queue: String,
    pub(crate) types: &'static str,
    pub(crate) account: Option<usize>,
}

/// A delivery that the source has, and when.
#[derive(Debug, Clone)]
pub(crate) struct Genuine {
    pub(crate) account: usize,
    pub(crate) at: u64,
    pub(crate) delivery: Delivery,
    /// How long the source waits for an answer.
    pub(crate) patience: u64,
    /// After how many attempts it gives up.
    pub(crate) most: u64,
    /// Its first pause before a retry.
    pub(crate) backoff: u64,
}

/// What an unauthenticated request tries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unauthenticated {
    UnknownToken,
    Retired,
    WrongKey,
    /// By the key of another registration, which does not send any more.
    RetiredKey,
    NoSignature,
}

/// Faults that are written down beforehand, for named stories.
#[derive(Debug, Default)]
pub struct Script(Mutex<Option<Vec<Scripted>>>);

#[derive(Debug)]
struct Scripted {
    step: Step,
    attempt: Option<usize>,
    kinds: VecDeque<Option<Kind>>,
}

impl Script {
    fn active() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }

    fn is_active(&self) -> bool {
        lock(&self.0).is_some()
    }

    fn add(&self, step: Step, attempt: Option<usize>, kinds: &[Option<Kind>]) {
        if let Some(rules) = &mut *lock(&self.0) {
            rules.push(Scripted {
                step,
                attempt,
                kinds: kinds.iter().copied().collect(),
            });
        }
    }

    /// The next fault for a step of an attempt, or of anybody, if one is written down for it.
    pub(crate) fn take(&self, step: Step, attempt: Option<usize>) -> Option<Option<Kind>> {
        let mut rules = lock(&self.0);
        let rules = rules.as_mut()?.iter_mut();
        let mut wanted = rules.filter(|rule| rule.step == step && rule.attempt == attempt);
        wanted.find_map(|rule| rule.kinds.pop_front())
    }
}

/// The plan.
#[derive(Debug)]
pub struct Plan {
    pub(crate) seed: u64,
    pub(crate) accounts: Vec<Account>,
    pub(crate) teams: Vec<TeamPlan>,
    pub(crate) genuine: Vec<Genuine>,
    pub(crate) unauthenticated: Vec<(u64, Unauthenticated, usize)>,
    pub(crate) greetings: Vec<Greeting>,
    /// Lanes in which a message lies that is no event, and when.
    pub(crate) garbage: Vec<(u64, usize)>,
    /// Faults in a thousand calls.
    pub(crate) rate: u64,
    /// When faults are over at the latest.
    pub(crate) quiet_at: u64,
    pub(crate) inline_limit: usize,
    pub(crate) marker_ttl: u64,
    pub(crate) visibility: u64,
    pub(crate) most_receives: u64,
    pub(crate) consumer_timeout: u64,
    pub(crate) largest_batch: usize,
    /// How long a message may lie visible before a poller sees it, in milliseconds.
    pub(crate) unseen: u64,
    /// Whether most events are about one record.
    pub(crate) focused: bool,
    /// While a release is rolled out, half of the instances are of the next one; and until when half of the consumers are not.
    pub(crate) rollout: Option<u64>,
    pub(crate) script: Script,
}

impl Plan {
    /// The plan that a seed makes.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::of(&[seed]);
        let rng = &mut rng;
        let mut plan = Self::empty(seed, 2 + rng.below(2));
        for account in plan.accounts.iter_mut().skip(1) {
            if rng.percent(65) {
                account.sender = rng.pick(&[
                    Sender::Ordermentum,
                    Sender::Apideck,
                    Sender::Apideck,
                    Sender::OneStock,
                    Sender::StackOne,
                ]);
            }
            // All webhooks of an application are signed by one key.
            if account.sender == Sender::Apideck {
                account.retired_key.clone_from(&account.key);
            }
            account.is_strict = account.sender == Sender::OneStock && rng.percent(25);
        }
        plan.teams = teams(rng);
        plan.rate = rng.pick(&[0, 15, 30, 30, 60, 60, 100, 160]);
        plan.quiet_at = rng.between(30_000, 400_000);
        plan.marker_ttl = rng.pick(&[60, 86_400, 86_400]);
        plan.visibility = rng.pick(&[40_000, 190_000]);
        plan.most_receives = rng.between(3, 10);
        plan.consumer_timeout = rng.pick(&[5_000, 30_000]);
        plan.largest_batch = rng.pick(&[1, 4, 10, 10, 30]);
        plan.unseen = rng.pick(&[5, 1200, 1200]);
        plan.focused = rng.percent(25);
        if rng.percent(10)
            && let Some(account) = plan.accounts.last_mut()
        {
            account.keys_held_from = rng.between(1, 30_000);
        } else if rng.percent(25) {
            let account = rng.pick(&[0, 0, plan.accounts.len() - 1]);
            plan.accounts[account].life = life::draw(rng);
        }
        plan.rollout = rng.percent(15).then(|| rng.between(1_000, 100_000));
        plan.compose(rng);
        for _ in 0..rng.below(3) {
            use Unauthenticated as U;
            let what = rng.pick(&[
                U::UnknownToken,
                U::Retired,
                U::WrongKey,
                U::RetiredKey,
                U::NoSignature,
            ]);
            let account = rng.index(plan.accounts.len());
            let connected = &plan.accounts[account];
            let what = match what {
                U::UnknownToken | U::Retired => what,
                // Whoever knows the URL is taken.
                _ if connected.observes() => U::UnknownToken,
                U::RetiredKey if connected.retired_key == connected.key => U::WrongKey,
                _ => what,
            };
            let tried = (rng.below(40_000), what, account);
            plan.unauthenticated.push(tried);
        }
        for account in 0..plan.accounts.len() {
            if plan.accounts[account].sender == Sender::Apideck && rng.percent(30) {
                let at = rng.below(30_000);
                plan.greetings.push(Greeting { account, at });
            }
        }
        if rng.percent(10) {
            plan.flood(rng);
        }
        if rng.percent(15) {
            plan.garbage.push((rng.below(30_000), rng.index(6)));
        }
        plan
    }

    /// A plan in which nothing happens.
    #[must_use]
    pub fn empty(seed: u64, accounts: u64) -> Self {
        let account = |number: u64| Account {
            name: format!("acme-{number}").parse().unwrap(),
            sender: Sender::Orderspace,
            token: Arc::new(url_token(&[seed, number, 1])),
            retired: url_token(&[seed, number, 2]),
            key: format!("signing-key-{number}"),
            retired_key: format!("retired-key-{number}"),
            is_strict: false,
            keys_held_from: 0,
            life: Vec::new(),
        };
        Self {
            seed,
            accounts: (0..accounts).map(account).collect(),
            teams: vec![
                team("all", "all", "*", None),
                team("ledger", "ledger.fifo", "*", None),
            ],
            genuine: Vec::new(),
            unauthenticated: Vec::new(),
            greetings: Vec::new(),
            garbage: Vec::new(),
            rate: 0,
            quiet_at: 600_000,
            inline_limit: 2048 + 900,
            marker_ttl: 86_400,
            visibility: 190_000,
            most_receives: 20,
            consumer_timeout: 30_000,
            largest_batch: 10,
            unseen: 1200,
            focused: false,
            rollout: None,
            script: Script::default(),
        }
    }

    /// Whoever knows a token sends unauthenticated requests by it, one after the other.
    fn flood(&mut self, rng: &mut Rng) {
        let account = rng.index(self.accounts.len());
        if self.accounts[account].observes() {
            return;
        }
        let mut at = rng.below(20_000);
        for _ in 0..rng.between(5, 15) {
            at += rng.pick(&[100, 400, 900, 3_000]);
            let tried = (at, Unauthenticated::WrongKey, account);
            self.unauthenticated.push(tried);
        }
    }

    /// Draws what the source delivers.
    fn compose(&mut self, rng: &mut Rng) {
        let mut occurrence = 0;
        let mut earlier: Vec<(usize, Vec<Element>, u64)> = Vec::new();
        let span = rng.pick(&[2_000, 20_000, 90_000]);
        for _ in 0..rng.between(3, 6) {
            let account = rng.index(self.accounts.len());
            let sender = self.accounts[account].sender;
            let again = earlier.iter().filter(|(whose, ..)| *whose == account);
            let again: Vec<_> = again.collect();
            let (elements, spacing): (Vec<Element>, u64) = if !again.is_empty() && rng.percent(35) {
                // The same bytes once more, and it is not a retry.
                let (_, elements, spacing) = rng.pick(&again);
                let elements = elements.iter().map(|element| {
                    occurrence += 1;
                    deliveries::under_another_topic(Element {
                        occurrence,
                        ..element.clone()
                    })
                });
                (elements.collect(), *spacing)
            } else {
                let count = match rng.below(20) {
                    0 => 0,
                    1 => rng.between(11, 14),
                    2..10 => 1,
                    _ => rng.between(2, 6),
                };
                // Lists of Apideck's are nobody's custom, and taken all the same.
                let count = match sender {
                    Sender::Apideck if rng.percent(75) => 1,
                    _ => count,
                };
                let outside = match sender {
                    Sender::OneStock => deliveries::onestock_outside(rng),
                    _ => Outside::default(),
                };
                let elements = (0..count).map(|_| {
                    occurrence += 1;
                    deliveries::drawn(occurrence, sender, &outside, rng, self.focused)
                });
                (elements.collect(), 0)
            };
            let delivery = if rng.percent(3) {
                deliveries::unreadable(rng, sender)
            } else {
                earlier.push((account, elements.clone(), spacing));
                deliveries::delivery(elements, spacing)
            };
            self.genuine.push(Genuine {
                account,
                at: rng.below(span),
                delivery,
                patience: rng.pick(&[2_000, 5_000, 12_000, 12_000]),
                most: rng.between(3, 9),
                backoff: rng.pick(&[200, 2_000, 10_000, 40_000]),
            });
        }
    }

    /// A plan for a story that is told by a test: nothing goes wrong but what is written down.
    #[must_use]
    pub fn story() -> Self {
        let mut plan = Self::empty(1, 1);
        plan.script = Script::active();
        plan
    }

    /// Whether faults are written down rather than drawn.
    pub(crate) fn is_scripted(&self) -> bool {
        self.script.is_active()
    }

    /// Adds a delivery of the first account, at a time in milliseconds.
    #[must_use]
    pub fn delivers(mut self, at: u64, events: Vec<deliveries::Event>) -> Self {
        let earlier = self
            .genuine
            .iter()
            .map(|genuine| &genuine.delivery.elements);
        let first = 1 + earlier.flatten().count();
        let elements = (first..).zip(events);
        let elements = elements.map(|(number, event)| deliveries::element(number as u32, event));
        let delivery = deliveries::delivery(elements.collect(), 0);
        self.genuine.push(Genuine {
            account: 0,
            at,
            delivery,
            patience: 12_000,
            most: 8,
            backoff: 5_000,
        });
        self
    }

    /// Writes down what happens to a step of an attempt, call by call. Attempts are counted from 0, in the
    /// order in which they are made.
    #[must_use]
    pub fn fault(self, step: Step, attempt: usize, kinds: &[Option<Kind>]) -> Self {
        self.script.add(step, Some(attempt), kinds);
        self
    }

    /// Writes down what happens to a step, call by call, whoever makes it.
    #[must_use]
    pub fn fault_anywhere(self, step: Step, kinds: &[Option<Kind>]) -> Self {
        self.script.add(step, None, kinds);
        self
    }
}

fn team(name: &str, queue: &str, types: &'static str, account: Option<usize>) -> TeamPlan {
    TeamPlan {
        name: name.to_owned(),
        queue: queue.to_owned(),
        types,
        account,
    }
}

/// Two to four teams, one with a FIFO queue.
fn teams(rng: &mut Rng) -> Vec<TeamPlan> {
    let types = rng.pick(&["*", "*", "order.*", "apideck.ecommerce.*"]);
    let mut teams = vec![
        team("ledger", "ledger.fifo", types, None),
        team("all", "all", "*", None),
    ];
    if rng.percent(40) {
        let types = rng.pick(&[
            "order.*",
            "payment.created",
            "inventory_level.*",
            "onestock.order_state_changed",
        ]);
        teams.push(team("sales", "sales", types, None));
    }
    if rng.percent(25) {
        teams.push(team("firm", "firm", "*", Some(rng.index(2))));
    }
    rng.shuffle(&mut teams);
    teams
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each source's accounts get deliveries of that source, with and without times where it says any, and Orderspace has
    /// the most.
    #[test]
    fn schedules_mix_sources() {
        let mut dated = [0; Sender::ALL.len()];
        let mut undated = [0; Sender::ALL.len()];
        let (mut greetings, mut strict) = (0, 0);
        for plan in (0..400).map(Plan::of) {
            assert_eq!(plan.accounts[0].sender, Sender::Orderspace);
            greetings += plan.greetings.len();
            strict += plan.accounts.iter().filter(|one| one.is_strict).count();
            for greeting in &plan.greetings {
                assert_eq!(plan.accounts[greeting.account].sender, Sender::Apideck);
            }
            for genuine in &plan.genuine {
                let elements = genuine.delivery.elements.iter();
                for event in elements.filter_map(|element| element.event.as_ref()) {
                    assert_eq!(event.sender, plan.accounts[genuine.account].sender);
                    match &event.changed {
                        Some(_) => dated[event.sender as usize] += 1,
                        None => undated[event.sender as usize] += 1,
                    }
                }
            }
        }
        assert_eq!(dated[0], 0);
        assert!(dated[1..].iter().all(|count| *count > 100), "{dated:?}");
        assert!(undated[1..].iter().all(|count| *count > 10), "{undated:?}");
        let others: usize = dated[1..].iter().chain(&undated[1..]).sum();
        assert!(undated[0] > others, "{undated:?} {dated:?}");
        assert!(greetings > 10 && strict > 5, "{greetings} {strict}");
    }
}
