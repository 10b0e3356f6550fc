//! Lanes as SQS and Lambda's poller run them: visibility, receive counts, batches, reports, dead letters.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use consumer::Consumer;
use consumer::config::Config;
use serde_json::json;
use testkit::rng::{Rng, word};
use tokio::time::Instant;

use crate::checks::Invariant;
use crate::faults::{Kind, Step};
use crate::inbounds::{Ended, run};
use crate::lock;
use crate::oracle::LANES;
use crate::ports::{TO_COME, Wire};
use crate::world::{Key, LaneMessage, Place, World, variables};

/// What of the function's time is left for its answer.
const RESERVE: u64 = 1000;
/// What of it is left for delaying what failed. A wrong value here makes stories less repeatable, no more.
const DELAYING: u64 = 1000;

/// A message as a poller hands it over.
struct Received {
    position: usize,
    handle: u64,
    receives: u64,
    body: Arc<str>,
    key: Option<Key>,
}

impl Received {
    /// The event as a story names it, or what is said of a message that is none.
    fn named(&self, no_event: &str) -> String {
        self.key.map_or(no_event.to_owned(), |key| key.to_string())
    }
}

impl World {
    /// A lane has accepted a message.
    pub(crate) fn enters_lane(&self, lane: usize, body: &str, key: Option<Key>) {
        let mut ledger = lock(&self.ledger);
        ledger.lanes[lane].push(LaneMessage {
            body: body.into(),
            key,
            receives: 0,
            visible_at: self.now(),
            handle: 0,
            place: Place::Lane,
            ghost: false,
        });
        let position = ledger.lanes[lane].len() - 1;
        ledger.woken.push((lane, position));
    }

    /// The consumer asks that a lane's message comes again after a delay.
    pub(crate) fn delays(&self, queue: &str, handle: &str, delay: u32, millis: u64) {
        self.holds(Invariant::Ends, (1..=900).contains(&delay), || {
            format!("a message is delayed by {delay} seconds")
        });
        let now = self.now();
        let ledger = &mut *lock(&self.ledger);
        // A queue knows no receipt handle of another.
        let Some(lane) = LANES.iter().position(|name| *name == queue) else {
            return;
        };
        for (position, message) in ledger.lanes[lane].iter_mut().enumerate() {
            if message.place == Place::Lane && message.handle.to_string() == handle {
                message.visible_at = now + millis;
                ledger.woken.push((lane, position));
            }
        }
    }
}

/// Lets pollers look for messages whose time has come or will come.
pub(crate) fn wake(world: &Arc<World>) {
    let woken = std::mem::take(&mut lock(&world.ledger).woken);
    for (lane, position) in woken {
        let inner = Arc::clone(world);
        world
            .agenda
            .spawn(async move { poll(&inner, lane, position).await });
    }
}

/// Waits until a message is visible, and takes it with others of its lane, unless somebody else did.
async fn poll(world: &Arc<World>, lane: usize, position: usize) {
    let (visible_at, receives) = {
        let ledger = lock(&world.ledger);
        let message = &ledger.lanes[lane][position];
        (message.visible_at, message.receives)
    };
    let mut rng = world.rng(&[
        word("poll"),
        lane as u64,
        position as u64,
        receives,
        visible_at,
    ]);
    let mut at = visible_at.max(world.now()) + rng.between(0, world.plan.unseen);
    let fault = world.decide_transport(Step::Receive, &mut rng);
    match fault {
        Some(Kind::Slow) => at += rng.between(2_000, 120_000),
        Some(Kind::Reordered) => at += rng.between(1_200, 20_000),
        _ => {}
    }
    world.agenda.turn(at, rng.number()).await;
    let batch = take(world, lane, position, fault, &mut rng);
    if fault == Some(Kind::Lost) {
        return;
    }
    if !batch.is_empty() {
        lock(&world.ledger).invocations += 1;
        invoke(world, lane, batch, &mut rng).await;
        lock(&world.ledger).invocations -= 1;
    }
}

/// Receives a batch, the message at `position` among it.
fn take(
    world: &Arc<World>,
    lane: usize,
    position: usize,
    fault: Option<Kind>,
    rng: &mut Rng,
) -> Vec<Received> {
    let now = world.now();
    let plan = &world.plan;
    let mut ledger = lock(&world.ledger);
    let is_visible =
        |message: &LaneMessage| message.place == Place::Lane && message.visible_at <= now;
    if !is_visible(&ledger.lanes[lane][position]) {
        return Vec::new();
    }
    let mut others: Vec<usize> = (0..ledger.lanes[lane].len())
        .filter(|other| *other != position && is_visible(&ledger.lanes[lane][*other]))
        .collect();
    rng.shuffle(&mut others);
    others.truncate(rng.index(plan.largest_batch));
    others.push(position);
    rng.shuffle(&mut others);
    let mut batch = Vec::new();
    for position in others {
        ledger.handles += 1;
        let handle = ledger.handles;
        let message = &mut ledger.lanes[lane][position];
        message.receives += 1;
        message.handle = handle;
        if message.receives > plan.most_receives {
            message.place = Place::DeadLetters;
            continue;
        }
        message.visible_at = now + plan.visibility;
        match fault {
            Some(Kind::TwiceAtOnce) => message.visible_at = now + rng.below(2_000),
            Some(Kind::TwiceAfter) => message.ghost = true,
            _ => {}
        }
        batch.push(Received {
            position,
            handle,
            receives: message.receives,
            body: Arc::clone(&message.body),
            key: message.key,
        });
        ledger.woken.push((lane, position));
    }
    drop(ledger);
    wake(world);
    batch
}

fn config(world: &World) -> Config {
    let routes: Vec<_> = world
        .plan
        .teams
        .iter()
        .map(|team| {
            let account = team.account.map_or("*", |account| world.plan.accounts[account].name.as_str());
            json!({ "team": team.name, "queue": team.queue, "types": [team.types], "accounts": [account] })
        })
        .collect();
    let own = variables(&[
        ("ROUTES", &json!(routes)),
        ("UNDELIVERED_QUEUE_URL", &"undelivered"),
        ("FIRST_RETRY_SECONDS", &2),
        ("INLINE_LIMIT_BYTES", &250_000),
    ]);
    Config::read(&own).unwrap()
}

/// One invocation of the consumer.
async fn invoke(world: &Arc<World>, lane: usize, batch: Vec<Received>, rng: &mut Rng) {
    let timeout = world.plan.consumer_timeout;
    let deadline = timeout - RESERVE;
    let actor = world.actor(None, world.now() + deadline - DELAYING);
    // While a release is rolled out, some functions are still of the one before, which cannot read what the next one writes.
    let is_next = match world.plan.rollout {
        Some(until) => world.now() >= until || lock(&world.ledger).quiet || rng.percent(50),
        None => false,
    };
    let read = |received: &&Received| is_next || !received.body.starts_with(TO_COME);
    let read = batch.iter().filter(read);
    lock(&world.ledger).actors[actor].batch = read.filter_map(|received| received.key).collect();
    world.tell(|| {
        let names = batch.iter().map(|received| received.named("no event"));
        let (lane, names) = (LANES[lane], names.collect::<Vec<_>>().join(", "));
        format!("invocation {actor} of lane {lane} takes {names}")
    });
    let wire = Wire::new(world, actor);
    let consumer = Consumer::new(&wire, &wire, &wire, &wire, config(world));
    let mut event = SqsEvent::default();
    let record = |received| message(lane, received, is_next);
    event.records = batch.iter().map(record).collect();
    let until = Instant::now() + Duration::from_millis(deadline);
    let ended = run(world, actor, timeout, consumer.handle(&event, until)).await;
    let done = world.now() + rng.between(0, 5);
    world.agenda.turn(done, rng.number()).await;
    let lost = world.decide_transport(Step::Report, rng);
    match ended {
        Ended::Answer(response) if lost.is_none() => report(world, lane, &batch, &response, rng),
        Ended::Failed(how) => world.broken(Invariant::Ends, || format!("invocation {actor} {how}")),
        Ended::Answer(_) | Ended::Crashed => {
            world.tell(|| format!("invocation {actor} ends without a report"));
        }
    }
    wake(world);
}

fn message_id(lane: usize, position: usize) -> String {
    format!("message-{lane}-{position}")
}

fn message(lane: usize, received: &Received, is_next: bool) -> SqsMessage {
    let mut message = SqsMessage::default();
    message.message_id = Some(message_id(lane, received.position));
    message.receipt_handle = Some(received.handle.to_string());
    message.event_source_arn = Some(format!("arn:aws:sqs:eu-west-1:0:{}", LANES[lane]));
    message.body = Some(match is_next {
        true => received.body.replacen(TO_COME, "{", 1),
        false => received.body.to_string(),
    });
    let (name, count) = ("ApproximateReceiveCount", received.receives.to_string());
    message.attributes.insert(name.to_owned(), count);
    message
}

/// The poller takes out of the lane what did not fail.
fn report(
    world: &Arc<World>,
    lane: usize,
    batch: &[Received],
    response: &SqsBatchResponse,
    rng: &mut Rng,
) {
    let failed: HashSet<&str> = response
        .batch_item_failures
        .iter()
        .map(|failure| failure.item_identifier.as_str())
        .collect();
    let ids: HashSet<String> = batch
        .iter()
        .map(|received| message_id(lane, received.position))
        .collect();
    if failed.iter().any(|id| !ids.contains(*id)) {
        // An identifier that is none fails the whole batch.
        return;
    }
    for received in batch {
        if failed.contains(&*message_id(lane, received.position)) {
            continue;
        }
        world.tell(|| {
            let what = received.named("what is no event");
            format!("  {what} is taken out of its lane")
        });
        world.leaves_lane(received.key);
        let now = world.now();
        let mut ledger = lock(&world.ledger);
        let message = &mut ledger.lanes[lane][received.position];
        if message.place != Place::Lane {
            continue;
        }
        if message.ghost {
            // A server of the queue's was away when it was taken out.
            message.ghost = false;
            message.visible_at = now + rng.between(500, 30_000);
            ledger.woken.push((lane, received.position));
        } else {
            message.place = Place::Gone;
        }
    }
}

/// Moves dead letters that are events back into their lanes.
pub(crate) fn redrive(world: &Arc<World>) {
    let now = world.now();
    let mut guard = lock(&world.ledger);
    let ledger = &mut *guard;
    for (lane, messages) in ledger.lanes.iter_mut().enumerate() {
        for (position, message) in messages.iter_mut().enumerate() {
            if message.place == Place::DeadLetters && message.key.is_some() {
                message.place = Place::Lane;
                message.receives = 0;
                message.visible_at = now;
                ledger.woken.push((lane, position));
            }
        }
    }
    drop(guard);
    wake(world);
}
