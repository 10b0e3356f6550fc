//! One schedule, from its first request to the last look at what is left.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use testkit::rng::word;

use crate::checks::{Broken, Invariant};
use crate::deliveries::Sender;
use crate::faults::Coverage;
use crate::plan::{Habit, Plan};
use crate::scheduler::perform;
use crate::truth::Cause;
use crate::world::{Key, Team, World};
use crate::{inbounds, lanes, lock, oracle};

/// What came of a schedule.
#[derive(Debug)]
pub struct Outcome {
    /// The invariant that did not hold.
    pub broken: Option<Broken>,
    /// What happened, where it was asked for.
    pub story: Vec<String>,
    /// How much there was of everything.
    pub counts: Counts,
    /// How often which fault met which step.
    pub coverage: Coverage,
    /// What the teams got, in the order of ids: position of the delivery among all requests, position of the
    /// event, and how often.
    pub received: Vec<Vec<(usize, u32, u32)>>,
}

/// How much there was in a schedule, or in several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Deliveries that the source had.
    pub deliveries: u64,
    /// Those among them of each source, in the order of [`Sender::ALL`].
    pub by_sender: [u64; Sender::ALL.len()],
    /// Requests, retries and unauthenticated requests included.
    pub attempts: u64,
    /// Events that lanes accepted.
    pub events: u64,
    /// Accounts.
    pub accounts: u64,
    /// Teams.
    pub teams: u64,
    /// Schedules of which no team has a FIFO queue.
    pub without_fifo: u64,
    /// Invocations of both handlers.
    pub invocations: u64,
    /// How often the source did what it does at times, in the order of [`Habit::ALL`].
    pub habits: [u64; Habit::ALL.len()],
    /// Records that say something earlier than the source does, in the order of [`Cause::ALL`].
    pub stale: [u64; Cause::ALL.len()],
}

impl Counts {
    /// Adds those of another schedule.
    pub fn add(&mut self, other: &Self) {
        self.deliveries += other.deliveries;
        self.attempts += other.attempts;
        self.events += other.events;
        self.accounts += other.accounts;
        self.teams += other.teams;
        self.without_fifo += other.without_fifo;
        self.invocations += other.invocations;
        add(&mut self.by_sender, &other.by_sender);
        add(&mut self.habits, &other.habits);
        add(&mut self.stale, &other.stale);
    }
}

/// Adds numbers one by one.
pub(crate) fn add(sums: &mut [u64], seen: &[u64]) {
    for (sum, seen) in sums.iter_mut().zip(seen) {
        *sum += seen;
    }
}

/// Runs a plan. With `story`, keeps what happened in words.
#[must_use]
pub fn run(plan: Plan, story: bool) -> Outcome {
    let mut kept = None;
    perform(|agenda| {
        let world = World::new(agenda, plan, story);
        kept = Some(Arc::clone(&world));
        schedule(world)
    });
    outcome(&kept.expect("a schedule has a world"))
}

async fn schedule(world: Arc<World>) {
    for (number, genuine) in world.plan.genuine.iter().enumerate() {
        inbounds::deliver(&world, number, genuine.clone());
    }
    for (number, tried) in world.plan.unauthenticated.iter().enumerate() {
        inbounds::intrude(&world, number, *tried);
    }
    for (number, greeting) in world.plan.greetings.iter().enumerate() {
        inbounds::greet(&world, number, *greeting);
    }
    for (at, lane) in world.plan.garbage.clone() {
        let inner = Arc::clone(&world);
        world.agenda.spawn(async move {
            inner.agenda.turn(at, word("garbage")).await;
            inner.enters_lane(lane, "{\"not\":\"an event\"}", None);
            lanes::wake(&inner);
        });
    }
    for (number, account) in world.plan.accounts.iter().enumerate() {
        world.live(number, account.life.clone());
        if account.keys_held_from > 0 {
            let (inner, at) = (Arc::clone(&world), account.keys_held_from);
            world.agenda.spawn(async move {
                inner.agenda.turn(at, word("keys")).await;
                inner.plan.accounts[number].store_keys(&inner.keys);
                inner.tell(|| format!("the signing key of account {number} is stored"));
            });
        }
    }
    finish(&world).await;
}

async fn finish(world: &Arc<World>) {
    let garbage = world.plan.garbage.iter().map(|(at, _)| *at);
    let last_unverified = garbage.max().unwrap_or_default();
    // the source is done with everything, taken or given up, or time is up: then faults are over.
    while world.now() < world.plan.quiet_at && !(is_done(world) && world.now() > last_unverified) {
        if !step(world).await {
            return;
        }
    }
    {
        let mut ledger = lock(&world.ledger);
        ledger.quiet = true;
        ledger.outages.clear();
        ledger.poisoned.clear();
    }
    world.tell(|| "faults are over".to_owned());
    for redriven in [false, true] {
        if redriven {
            lanes::redrive(world);
        }
        let begun = world.now();
        while !is_done(world) {
            if world.now() - begun > 12 * 3_600_000 {
                return world.broken(Invariant::Ends, || {
                    "hours after the last fault something still goes on".to_owned()
                });
            }
            if !step(world).await {
                return;
            }
        }
        world.check_rest(redriven);
    }
}

/// Lets some time pass. `false` if there is nothing more to see.
async fn step(world: &Arc<World>) -> bool {
    world.agenda.turn(world.now() + 5_000, word("finish")).await;
    !world.is_broken()
}

/// Whether nobody sends any more, no function runs, and lanes are empty.
fn is_done(world: &World) -> bool {
    let ledger = lock(&world.ledger);
    ledger.senders + ledger.invocations + ledger.late + oracle::left(&ledger) == 0
}

fn outcome(world: &World) -> Outcome {
    let (mut ledger, plan) = (lock(&world.ledger), &world.plan);
    let mut by_sender = [0; Sender::ALL.len()];
    for genuine in &plan.genuine {
        by_sender[plan.accounts[genuine.account].sender as usize] += 1;
    }
    let mut queues = plan.teams.iter().map(|team| &team.queue);
    let counts = Counts {
        by_sender,
        deliveries: plan.genuine.len() as u64,
        attempts: ledger.attempts.len() as u64,
        events: ledger.accepted.len() as u64,
        accounts: plan.accounts.len() as u64,
        teams: plan.teams.len() as u64,
        without_fifo: u64::from(!queues.any(|queue| queue.ends_with(".fifo"))),
        invocations: ledger.actors.len() as u64,
        habits: ledger.habits,
        stale: ledger.stale,
    };
    let received = |team: &Team| {
        let named = team.got.iter().filter_map(|(Key(millis, index), times)| {
            Some((*ledger.by_epoch.get(millis)?, *index, *times))
        });
        named.collect()
    };
    let received = ledger.teams.iter().map(received).collect();
    Outcome {
        broken: ledger.broken.take(),
        story: ledger.story.take().unwrap_or_default(),
        counts,
        coverage: std::mem::take(&mut ledger.coverage),
        received,
    }
}
