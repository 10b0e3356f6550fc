//! One schedule, from its first request to the last look at what is left.

use std::sync::{Arc, Mutex};

use testkit::rng::word;

use crate::checks::{Broken, Invariant};
use crate::deliveries::Sender;
use crate::faults::Coverage;
use crate::plan::{Habit, Plan, Unauthenticated};
use crate::scheduler::perform;
use crate::truth::Cause;
use crate::world::World;
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

/// How much there was in a schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
    /// Teams with a FIFO queue.
    pub fifo_teams: u64,
    /// Invocations of both handlers.
    pub invocations: u64,
    /// How often the source did what it does at times, in the order of [`Habit::ALL`].
    pub habits: [u64; Habit::ALL.len()],
    /// Records that say something earlier than the source does, in the order of [`Cause::ALL`].
    pub stale: [u64; Cause::ALL.len()],
}

/// Runs a plan. With `story`, keeps what happened in words.
#[must_use]
pub fn run(plan: Plan, story: bool) -> Outcome {
    let result: Arc<Mutex<Option<Arc<World>>>> = Arc::default();
    let kept = Arc::clone(&result);
    perform(|agenda| {
        let world = World::new(agenda, plan, story);
        *lock(&kept) = Some(Arc::clone(&world));
        schedule(world)
    });
    let Some(world) = lock(&result).take() else {
        panic!("a schedule has a world");
    };
    outcome(&world)
}

async fn schedule(world: Arc<World>) {
    for (number, genuine) in world.plan.genuine.iter().enumerate() {
        inbounds::deliver(&world, number, genuine.clone());
    }
    for (number, (at, what, account)) in world.plan.unauthenticated.iter().enumerate() {
        let (at, what, account): (u64, Unauthenticated, usize) = (*at, *what, *account);
        inbounds::intrude(&world, number, at, what, account);
    }
    for (number, greeting) in world.plan.greetings.iter().enumerate() {
        inbounds::greet(&world, number, *greeting);
    }
    for (at, lane) in world.plan.garbage.clone() {
        let inner = Arc::clone(&world);
        world.agenda.spawn(async move {
            inner.agenda.turn(at, word("garbage")).await;
            inner.enters_lane(oracle::LANES[lane], "{\"not\":\"an event\"}", None);
            lanes::wake(&inner);
        });
    }
    for (number, account) in world.plan.accounts.iter().enumerate() {
        world.live(number, account.life.clone());
        if account.keys_held_from > 0 {
            let (inner, at) = (Arc::clone(&world), account.keys_held_from);
            world.agenda.spawn(async move {
                inner.agenda.turn(at, word("keys")).await;
                let account = &inner.plan.accounts[number];
                let token = account.token.hash();
                let secrets = account.secrets(&account.key);
                inner.keys.put_secrets(&account.name, token, 0, secrets);
                let secrets = account.secrets(&account.retired_key);
                let retired = account.retired.hash();
                inner.keys.put_secrets(&account.name, retired, 0, secrets);
                inner.tell(|| format!("the signing key of account {number} is stored"));
            });
        }
    }
    finish(&world).await;
}

async fn finish(world: &Arc<World>) {
    let last_unverified = world
        .plan
        .garbage
        .iter()
        .map(|(at, _)| *at)
        .max()
        .unwrap_or_default();
    // the source is done with everything, taken or given up, or time is up: then faults are over.
    while world.now() < world.plan.quiet_at
        && !(is_sent(world) && is_still(world) && world.now() > last_unverified)
    {
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
        while !(is_sent(world) && is_still(world)) {
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

fn is_sent(world: &World) -> bool {
    lock(&world.ledger).senders == 0
}

fn is_still(world: &World) -> bool {
    let ledger = lock(&world.ledger);
    ledger.invocations == 0 && ledger.late == 0 && oracle::left(&ledger) == 0
}

fn outcome(world: &World) -> Outcome {
    let mut ledger = lock(&world.ledger);
    let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let mut by_sender = [0; Sender::ALL.len()];
    for genuine in &world.plan.genuine {
        by_sender[world.plan.accounts[genuine.account].sender as usize] += 1;
    }
    let counts = Counts {
        by_sender,
        deliveries: count(world.plan.genuine.len()),
        attempts: count(ledger.attempts.len()),
        events: count(ledger.accepted.len()),
        accounts: count(world.plan.accounts.len()),
        teams: count(world.plan.teams.len()),
        fifo_teams: count(
            world
                .plan
                .teams
                .iter()
                .filter(|team| team.queue.ends_with(".fifo"))
                .count(),
        ),
        invocations: count(ledger.actors.len()),
        habits: ledger.habits,
        stale: ledger.stale,
    };
    let received = ledger
        .teams
        .iter()
        .map(|team| {
            let named = team.got.iter().filter_map(|((millis, index), times)| {
                Some((*ledger.by_epoch.get(millis)?, *index, *times))
            });
            named.collect()
        })
        .collect();
    Outcome {
        broken: ledger.broken.take(),
        story: ledger.story.take().unwrap_or_default(),
        counts,
        coverage: std::mem::take(&mut ledger.coverage),
        received,
    }
}
