//! The life of an account while its deliveries flow: another registration takes over, the account is disconnected, and
//! connected anew. Instances of inbound know of it as late as their caches allow.

use std::sync::Arc;

use domain::account::{TokenHash, TokenStatus, UrlToken};
use testkit::rng::{Rng, word};

use crate::checks::Invariant;
use crate::faults::Step;
use crate::lock;
use crate::plan::{ENTRIES_BELIEVED, Habit, KEYS_REREAD, KEYS_TTL};
use crate::world::{World, entry, url_token};

/// A turn in the life of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A second webhook takes over. Retries of the first one's deliveries are taken for so many milliseconds.
    Rotate { grace: u64 },
    /// The webhook is removed, its token retired and its key deleted.
    Disconnect,
    /// A webhook is registered where there is none.
    Connect,
}

/// The lives that an account can have.
pub(crate) fn draw(rng: &mut Rng) -> Vec<(u64, Turn)> {
    let rotate = |rng: &mut Rng| Turn::Rotate {
        grace: rng.pick(&[2_000, 20_000, 120_000]),
    };
    let turns = match rng.below(4) {
        0 => vec![rotate(rng)],
        1 => vec![Turn::Disconnect, Turn::Connect],
        2 => vec![rotate(rng), Turn::Disconnect, Turn::Connect],
        _ => vec![Turn::Disconnect, Turn::Connect, rotate(rng)],
    };
    let mut at = 0;
    turns
        .into_iter()
        .map(|turn| {
            at += rng.pick(&[300, 3_000, 9_000, 15_000, 40_000]) + rng.below(1_000);
            (at, turn)
        })
        .collect()
}

/// A webhook of an account, as the source and we have it.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    pub(crate) token: Arc<UrlToken>,
    pub(crate) key: String,
    /// Whether the source has it: new deliveries come by it.
    sends: bool,
    /// Since when its token is retired.
    pub(crate) retired: Option<u64>,
}

impl Registration {
    /// A webhook that the source has.
    pub(crate) fn new(token: &Arc<UrlToken>, key: &str) -> Self {
        Self {
            token: Arc::clone(token),
            key: key.to_owned(),
            sends: true,
            retired: None,
        }
    }
}

/// What an instance knows of a token, and since when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenRead {
    at: u64,
    live: bool,
}

impl World {
    /// The registration by which the source sends an account's new deliveries, if it has a webhook of ours.
    pub(crate) fn current(&self, account: usize) -> Option<usize> {
        let ledger = lock(&self.ledger);
        ledger.registrations[account]
            .iter()
            .rposition(|registration| registration.sends)
    }

    pub(crate) fn registration(&self, account: usize, number: usize) -> Registration {
        lock(&self.ledger).registrations[account][number].clone()
    }

    /// Lets an account's life take its turns.
    pub(crate) fn live(self: &Arc<Self>, account: usize, turns: Vec<(u64, Turn)>) {
        for (at, turn) in turns {
            let world = Arc::clone(self);
            self.agenda.spawn(async move {
                world.agenda.turn(at, word("life")).await;
                match turn {
                    Turn::Connect => world.register(account),
                    Turn::Disconnect => world.disconnect(account),
                    Turn::Rotate { grace } => {
                        let Some(old) = world.current(account) else {
                            return;
                        };
                        world.register(account);
                        lock(&world.ledger).registrations[account][old].sends = false;
                        world.agenda.turn(world.now() + grace, word("grace")).await;
                        world.retire(account, old);
                    }
                }
            });
        }
    }

    /// Stores a registration's key and its token's entry, and lets the source have the webhook.
    fn register(&self, account: usize) {
        let connected = &self.plan.accounts[account];
        let mut ledger = lock(&self.ledger);
        let registrations = &mut ledger.registrations[account];
        let number = registrations.len();
        let words = [self.plan.seed, account as u64, 10 + number as u64];
        let token = Arc::new(url_token(&words));
        let key = connected.key_of(account, number);
        registrations.push(Registration::new(&token, &key));
        let secrets = connected.secrets(&key);
        self.keys
            .put_secrets(&connected.name, token.hash(), 0, secrets);
        let live = entry(connected, account, TokenStatus::Live);
        self.tokens.put(token.hash(), live);
        drop(ledger);
        self.has(Habit::Register);
        self.tell(|| format!("registration {number} of account {account} is live"));
    }

    fn retire(&self, account: usize, number: usize) {
        let (connected, now) = (&self.plan.accounts[account], self.now());
        let mut ledger = lock(&self.ledger);
        let registration = &mut ledger.registrations[account][number];
        registration.sends = false;
        registration.retired.get_or_insert(now);
        let token = registration.token.hash();
        drop(ledger);
        let retired = entry(connected, account, TokenStatus::Retired);
        self.tokens.put(token, retired);
        self.tell(|| format!("registration {number} of account {account} is retired"));
    }

    fn disconnect(&self, account: usize) {
        let count = lock(&self.ledger).registrations[account].len();
        for number in 0..count {
            self.retire(account, number);
        }
        self.keys.remove(&self.plan.accounts[account].name);
    }

    /// An instance is answered what a token stands for.
    pub(crate) fn knows_token(&self, actor: usize, token: TokenHash, live: bool) {
        let at = self.now();
        let attempt = self.attempt_of(actor);
        let mut ledger = lock(&self.ledger);
        let instance = ledger.attempts[attempt].instance;
        let read = TokenRead { at, live };
        ledger.tokens_read.insert((instance, token), read);
    }

    /// A genuine delivery is taken: its instance knew the token as a live one, and not for too long.
    pub(crate) fn check_token(&self, number: usize, actor: usize) {
        let ledger = lock(&self.ledger);
        let (attempt, actor) = (&ledger.attempts[number], &ledger.actors[actor]);
        let token = ledger.registration_of(attempt).token.hash();
        let known = ledger.tokens_read.get(&(attempt.instance, token)).copied();
        // Where the table does not answer, what was known serves as long as keys do.
        let most = match actor.faulted.contains(&Step::FindToken) {
            true => KEYS_TTL * 1000,
            false => ENTRIES_BELIEVED,
        };
        let begun = actor.begun;
        drop(ledger);
        if !known.is_some_and(|known| known.live && begun <= known.at + most) {
            self.broken(Invariant::Unauthenticated, || {
                format!("attempt {number} is taken, and what is known of its token is {known:?}, at {begun} ms")
            });
        }
    }

    /// Why a genuine delivery may be answered otherwise than 200 although no call of its own failed: its registration is
    /// retired, or its instance asked for the newest keys a moment ago and was not answered.
    pub(crate) fn may_be_refused(&self, number: usize, status: u16) -> bool {
        let ledger = lock(&self.ledger);
        let attempt = &ledger.attempts[number];
        let is_retired = ledger.registration_of(attempt).retired.is_some();
        let read = ledger.keys_read.get(&attempt.whose());
        let asked = ledger.keys_asked.get(&attempt.whose());
        let in_vain = asked.is_some_and(|asked| {
            let is_answered =
                read.is_some_and(|read| read.asked == *asked && read.held == Some(read.at));
            !is_answered && self.now() <= asked + KEYS_REREAD * 1000
        });
        match status {
            401 => is_retired,
            503 => is_retired || (attempt.registration > 0 && in_vain),
            _ => false,
        }
    }
}
