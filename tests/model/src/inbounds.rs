//! The source, unauthenticated requests, and the instances of inbound that take their requests.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use domain::timestamp::Timestamp;
use futures::FutureExt as _;
use inbound::Inbound;
use inbound::config::Config;
use runtime::config::Variables;
use runtime::gateway::GatewayEvent;
use testkit::gateway::hook;
use testkit::rng::{Rng, word};
use tokio::sync::{mpsc, oneshot};

use crate::checks::Invariant;
use crate::deliveries::{self, Delivery, Element, Sender};
use crate::faults::{Kind, Step};
use crate::plan::{
    Genuine, Greeting, Habit, INBOUND_TIMEOUT, KEYS_REREAD, KEYS_TTL, LEASE, Unauthenticated, WALL,
};
use crate::ports::Wire;
use crate::world::{Attempt, Instance, World, seconds};
use crate::{TOLD_TO_PANIC, lock};

/// A request for an instance.
pub(crate) struct Job {
    attempt: usize,
    request: String,
    reply: oneshot::Sender<u16>,
}

/// How an invocation ended.
pub(crate) enum Ended<T> {
    Answer(T),
    /// It was told to crash or to panic.
    Crashed,
    /// It panicked of itself, or had not answered when Lambda ended it.
    Failed(&'static str),
}

/// Runs a handler until it answers, crashes, panics or is ended by Lambda.
pub(crate) async fn run<T>(
    world: &Arc<World>,
    actor: usize,
    limit: u64,
    handler: impl Future<Output = T>,
) -> Ended<T> {
    let mut handler = pin!(AssertUnwindSafe(handler).catch_unwind());
    let running = poll_fn(|cx| match handler.as_mut().poll(cx) {
        Poll::Ready(Ok(answer)) => Poll::Ready(Ended::Answer(answer)),
        Poll::Ready(Err(panic))
            if panic
                .downcast_ref::<String>()
                .is_some_and(|what| what == TOLD_TO_PANIC) =>
        {
            Poll::Ready(Ended::Crashed)
        }
        Poll::Ready(Err(_)) => Poll::Ready(Ended::Failed("panics")),
        Poll::Pending if world.has_crashed(actor) => Poll::Ready(Ended::Crashed),
        Poll::Pending => Poll::Pending,
    });
    let ended = tokio::time::timeout(Duration::from_millis(limit), running).await;
    if let Some(actor) = lock(&world.ledger).actors.get_mut(actor) {
        actor.ended = true;
    }
    ended.unwrap_or(Ended::Failed("is not done when its time is over"))
}

fn config(world: &World) -> Config {
    let plan = &world.plan;
    let [limit, ttl, lease, keep, reread] = [
        u64::try_from(plan.inline_limit).unwrap_or_default(),
        plan.marker_ttl,
        LEASE / 1000,
        KEYS_TTL,
        KEYS_REREAD,
    ]
    .map(|number| number.to_string());
    let budget = crate::plan::BUDGET.to_string();
    Config::read(&Variables::from([
        ("CUSTOMERS_QUEUE_URL", "customers"),
        ("ORDERS_QUEUE_URL", "orders"),
        ("BILLING_QUEUE_URL", "billing"),
        ("PRODUCTS_QUEUE_URL", "products"),
        ("INVENTORY_QUEUE_URL", "inventory"),
        ("OTHER_QUEUE_URL", "other"),
        ("QUARANTINE_QUEUE_URL", "quarantine"),
        ("CHECK_QUEUE_URL", crate::plan::CHECK_QUEUE),
        ("INLINE_LIMIT_BYTES", &limit),
        ("ANSWER_BUDGET_MS", &budget),
        ("RETRY_MARKER_TTL_SECONDS", &ttl),
        ("RETRY_LEASE_SECONDS", &lease),
        ("KEYS_TTL_SECONDS", &keep),
        ("KEYS_REREAD_SECONDS", &reread),
    ]))
    .unwrap_or_else(|error| panic!("{error}"))
}

/// An instance: one invocation at a time, and what it remembers between them.
async fn instance(world: Arc<World>, number: usize, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let mut wire = Wire::new(&world, 0);
    wire.next = world.plan.rollout.is_some() && number % 2 == 1;
    let inbound = Inbound::new(&wire, &wire, &wire, &wire, &wire, config(&world));
    while let Some(Job {
        attempt,
        request,
        reply,
    }) = jobs.recv().await
    {
        let actor = world.begin_attempt(attempt, number);
        wire.actor.store(actor, Ordering::Relaxed);
        let now = Timestamp::from_millis(WALL + world.now());
        let Some(request) = GatewayEvent::parse(&request).into_request() else {
            panic!("the gateway's payload cannot be read");
        };
        let ended = run(
            &world,
            actor,
            INBOUND_TIMEOUT,
            inbound.handle(&request, now),
        )
        .await;
        let mut rng = world.rng(&[word("answer"), u64::try_from(actor).unwrap_or_default()]);
        let tie = rng.number();
        world
            .agenda
            .turn(world.now() + rng.between(0, 5), tie)
            .await;
        match ended {
            Ended::Answer(response) => {
                let status = world.status(attempt, response.status().as_u16());
                world.answered(attempt, actor, status);
                if let Some(instance) = lock(&world.ledger).instances.get_mut(number) {
                    instance.free = true;
                }
                let _ = reply.send(status);
            }
            Ended::Failed(how) => {
                world.broken(Invariant::Answers, || {
                    format!("attempt {attempt}: inbound {how}")
                });
                let _ = reply.send(502);
                return;
            }
            Ended::Crashed => {
                world.tell(|| format!("attempt {attempt}: inbound ends without an answer"));
                // The gateway answers in our place, and the instance is gone.
                let _ = reply.send(502);
                return;
            }
        }
    }
}

/// Posts a request and waits for its answer. 0 is no answer.
async fn post(world: &Arc<World>, made: Made, patience: u64, rng: &mut Rng) -> u16 {
    let fault = if made.genuine {
        world.decide_transport(Step::Request, rng)
    } else {
        None
    };
    match fault {
        Some(Kind::Refused) => return 503,
        Some(Kind::Throttled) => return 429,
        Some(Kind::Lost) => {
            world
                .agenda
                .turn(world.now() + patience, rng.number())
                .await;
            return 0;
        }
        Some(Kind::Slow) => delay(world, rng, 300, 5_000).await,
        Some(Kind::Reordered) => delay(world, rng, 2_000, 15_000).await,
        Some(Kind::TwiceAtOnce) => {
            let within = rng.pick(&[3, 3, 400]);
            again(world, &made, rng, 0, within);
        }
        Some(Kind::TwiceAfter) => again(world, &made, rng, 4_000, 60_000),
        _ => {}
    }
    let arrived = arrive(world, made, rng);
    let timeout = Duration::from_millis(patience);
    let answer = tokio::time::timeout(timeout, arrived).await;
    world.agenda.turn(world.now(), rng.number()).await;
    let Ok(Ok(status)) = answer else {
        return 0;
    };
    match world.decide_transport(Step::Answer, rng) {
        Some(Kind::Lost) => return 0,
        Some(Kind::Slow) => delay(world, rng, 300, 3_000).await,
        _ => {}
    }
    status
}

async fn delay(world: &Arc<World>, rng: &mut Rng, least: u64, most: u64) {
    let at = world.now() + rng.between(least, most);
    world.agenda.turn(at, rng.number()).await;
}

/// The same request once more, whose answer nobody waits for.
fn again(world: &Arc<World>, made: &Made, rng: &mut Rng, least: u64, most: u64) {
    let (world, made) = (Arc::clone(world), made.clone());
    let mut rng = Rng::of(&[rng.number()]);
    let at = world.now() + rng.between(least, most);
    lock(&world.ledger).senders += 1;
    let agenda = Arc::clone(&world.agenda);
    agenda.spawn(async move {
        world.agenda.turn(at, rng.number()).await;
        let _ = arrive(&world, made, &mut rng).await;
        lock(&world.ledger).senders -= 1;
    });
}

/// A request that somebody made.
#[derive(Clone)]
struct Made {
    account: usize,
    registration: usize,
    genuine: bool,
    greets: Option<bool>,
    delivery: Delivery,
    /// The URL's token, and the key that signs; none for no signature.
    token: String,
    key: Option<String>,
}

/// A request reaches the gateway, which gives it a time and finds an instance.
fn arrive(world: &Arc<World>, made: Made, rng: &mut Rng) -> oneshot::Receiver<u16> {
    let epoch = world.epoch(rng);
    let connected = &world.plan.accounts[made.account];
    let mut request = hook(&made.token, made.delivery.body.to_vec())
        .of_source(connected.sender.as_str())
        .at(epoch);
    if let Some(key) = &made.key {
        match connected.proof(key, &made.delivery.body, rng) {
            Some((header, proof)) => request = request.header(header, &proof),
            None => world.has(Habit::Observed),
        }
    }
    let outside = &made.delivery.outside;
    if let Some((header, value)) = outside.header {
        request = request.header(header, value);
        if value == deliveries::FORGED_TYPE {
            world.has(Habit::ForgedType);
        }
    }
    if !outside.part.is_empty() {
        request = request.with_part(outside.part);
    }
    let (reply, answer) = oneshot::channel();
    let held_from = connected.keys_held_from;
    let mut ledger = lock(&world.ledger);
    let attempt = ledger.attempts.len();
    let what = match (made.genuine, made.greets) {
        (true, _) => ["of ", connected.sender.title()].concat(),
        (false, Some(_)) => "that greets".to_owned(),
        (false, None) => "of an unauthenticated request".to_owned(),
    };
    let line = format!(
        "attempt {attempt} {what}, account {}, id {}: {}",
        made.account,
        crate::world::since(epoch),
        String::from_utf8_lossy(&made.delivery.body)
            .chars()
            .take(1200)
            .collect::<String>()
    );
    ledger.by_epoch.insert(epoch, attempt);
    ledger.attempts.push(Attempt {
        instance: usize::MAX,
        account: made.account,
        registration: made.registration,
        genuine: made.genuine,
        greets: made.greets,
        delivery: made.delivery,
        epoch,
        now: 0,
        answer: None,
        identity: None,
        read: None,
        told: false,
        leased: None,
        lease: None,
        marked: None,
        receipt: false,
        // A missing key may be remembered for as long as a right one.
        keys_held: held_from == 0,
    });
    let free: Vec<usize> = (0..ledger.instances.len())
        .filter(|number| ledger.instances[*number].free)
        .collect();
    let mut job = Job {
        attempt,
        request: request.to_json(),
        reply,
    };
    if !free.is_empty() {
        let number = rng.pick(&free);
        let instance = &mut ledger.instances[number];
        instance.free = false;
        match instance.jobs.send(job) {
            Ok(()) => {
                drop(ledger);
                world.tell(|| line);
                return answer;
            }
            Err(mpsc::error::SendError(unsent)) => job = unsent,
        }
    }
    let (jobs, inbox) = mpsc::unbounded_channel();
    let _ = jobs.send(job);
    let number = ledger.instances.len();
    ledger.instances.push(Instance { free: false, jobs });
    drop(ledger);
    world.tell(|| line);
    world
        .agenda
        .spawn(instance(Arc::clone(world), number, inbox));
    answer
}

/// The source delivers: it tries until it is answered 200, or gives up.
pub(crate) fn deliver(world: &Arc<World>, number: usize, genuine: Genuine) {
    let rng = world.rng(&[
        word("orderspace"),
        u64::try_from(number).unwrap_or_default(),
    ]);
    insist(world, genuine, rng);
}

fn insist(world: &Arc<World>, genuine: Genuine, mut rng: Rng) {
    lock(&world.ledger).senders += 1;
    let world = Arc::clone(world);
    let agenda = Arc::clone(&world.agenda);
    agenda.spawn(async move {
        try_until_taken(&world, genuine, &mut rng).await;
        lock(&world.ledger).senders -= 1;
    });
}

async fn try_until_taken(world: &Arc<World>, genuine: Genuine, rng: &mut Rng) {
    let Genuine {
        account,
        at,
        mut delivery,
        patience,
        most,
        mut backoff,
    } = genuine;
    world.agenda.turn(at, rng.number()).await;
    // While the account is disconnected the source has no webhook to send to.
    let Some(number) = world.current(account) else {
        return;
    };
    let registration = world.registration(account, number);
    for attempt in 1..=most {
        if lock(&world.ledger).disabled.contains(&account) {
            return;
        }
        if attempt > 1 {
            world.has(Habit::Retry);
            merge(world, account, &mut delivery);
            delivery = deliveries::counted(&delivery, attempt);
        }
        let made = Made {
            account,
            registration: number,
            genuine: true,
            greets: None,
            delivery: delivery.clone(),
            token: registration.token.expose().to_owned(),
            key: Some(registration.key.clone()),
        };
        let status = post(world, made, patience, rng).await;
        if status == 200 {
            world.tell(|| {
                format!(
                    "The source is told that attempt at {} is taken",
                    seconds(at)
                )
            });
            lock(&world.ledger).failures[account] = 0;
            return;
        }
        if status == 401 {
            world.has(Habit::Retired);
            world.tell(|| "The source has no such webhook any more".to_owned());
            return;
        }
        let failures = {
            let mut ledger = lock(&world.ledger);
            ledger.failures[account] += 1;
            ledger.failures[account]
        };
        if failures > 14 && !world.plan.is_scripted() {
            world.tell(|| format!("The source disables the webhook of account {account}"));
            if lock(&world.ledger).disabled.insert(account) {
                world.has(Habit::Disable);
            }
        }
        if attempt == most {
            world.tell(|| "The source gives up".to_owned());
            return;
        }
        let pause = backoff + rng.below(backoff / 4 + 1);
        backoff = (backoff * 2).min(300_000);
        // Nothing says that a retry has the same bytes, or the same events.
        if !world.plan.is_scripted() {
            if rng.percent(10) {
                let other = respaced(&delivery, rng);
                if other.body != delivery.body {
                    world.has(Habit::Respace);
                }
                delivery = other;
            } else if rng.percent(5) && !delivery.elements.is_empty() {
                world.tell(|| "The source keeps a delivery for another's retry".to_owned());
                lock(&world.ledger)
                    .parked
                    .push((account, delivery.elements));
                return;
            } else if rng.percent(10) && delivery.elements.len() > 1 {
                world.has(Habit::Split);
                let (first, second) = delivery.elements.split_at(delivery.elements.len() / 2);
                let rest = Genuine {
                    account,
                    at: world.now() + rng.below(5_000),
                    delivery: deliveries::delivery(second.to_vec(), 0),
                    patience,
                    most,
                    backoff,
                };
                delivery = deliveries::delivery(first.to_vec(), 0);
                insist(world, rest, Rng::of(&[rng.number()]));
            }
        }
        world.agenda.turn(world.now() + pause, rng.number()).await;
    }
}

/// Adds the events of a delivery that was kept for the next retry of its account.
fn merge(world: &World, account: usize, delivery: &mut Delivery) {
    let mut ledger = lock(&world.ledger);
    // What stands beside the body stands for all of it.
    let is_alike = |element: &Element| element.outside == delivery.outside;
    let is_mergeable = world.plan.accounts[account].sender != Sender::OneStock;
    let of_account = |(whose, kept): &(usize, Vec<Element>)| {
        *whose == account && (is_mergeable || kept.iter().all(is_alike))
    };
    if !delivery.readable || !ledger.parked.iter().any(of_account) {
        return;
    }
    let mut elements = delivery.elements.clone();
    for (_, parked) in ledger.parked.extract_if(.., |kept| of_account(kept)) {
        elements.extend(parked);
    }
    drop(ledger);
    world.has(Habit::Merge);
    *delivery = deliveries::delivery(elements, 0);
}

fn respaced(delivery: &Delivery, rng: &mut Rng) -> Delivery {
    if delivery.readable {
        deliveries::delivery(delivery.elements.clone(), rng.below(3))
    } else {
        delivery.clone()
    }
}

/// An unauthenticated request tries once.
pub(crate) fn intrude(
    world: &Arc<World>,
    number: usize,
    at: u64,
    what: Unauthenticated,
    account: usize,
) {
    let mut rng = world.rng(&[word("stranger"), u64::try_from(number).unwrap_or_default()]);
    lock(&world.ledger).senders += 1;
    let world = Arc::clone(world);
    let agenda = Arc::clone(&world.agenda);
    agenda.spawn(async move {
        world.agenda.turn(at, rng.number()).await;
        let connected = &world.plan.accounts[account];
        let unknown = crate::world::url_token(&[rng.number()]);
        let (token, key) = match what {
            Unauthenticated::UnknownToken => (unknown.expose(), Some(connected.key.clone())),
            Unauthenticated::Retired => (connected.retired.expose(), Some(connected.key.clone())),
            Unauthenticated::WrongKey => (connected.token.expose(), Some("another-key".to_owned())),
            Unauthenticated::RetiredKey => (
                connected.token.expose(),
                Some(connected.retired_key.clone()),
            ),
            Unauthenticated::NoSignature => (connected.token.expose(), None),
        };
        let elements = vec![deliveries::element(0, deliveries::stock("A 1", "666"))];
        let made = Made {
            account,
            registration: 0,
            genuine: false,
            greets: None,
            delivery: deliveries::delivery(elements, 0),
            token: token.to_owned(),
            key,
        };
        let status = post(&world, made, 12_000, &mut rng).await;
        if status == 200 {
            world.broken(Invariant::Unauthenticated, || {
                "an unauthenticated request is answered 200".to_owned()
            });
        }
        lock(&world.ledger).senders -= 1;
    });
}

/// Apideck asks whether somebody answers at a URL, and signs nothing.
pub(crate) fn greet(world: &Arc<World>, number: usize, greeting: Greeting) {
    let mut rng = world.rng(&[word("greeting"), u64::try_from(number).unwrap_or_default()]);
    lock(&world.ledger).senders += 1;
    let world = Arc::clone(world);
    let agenda = Arc::clone(&world.agenda);
    agenda.spawn(async move {
        world.agenda.turn(greeting.at, rng.number()).await;
        let connected = &world.plan.accounts[greeting.account];
        let unknown = crate::world::url_token(&[rng.number()]);
        let (token, is_ours) = match rng.below(5) {
            0 => (&unknown, false),
            1 => (&connected.retired, false),
            _ => (&connected.token, true),
        };
        let made = Made {
            account: greeting.account,
            registration: 0,
            genuine: false,
            greets: Some(is_ours),
            delivery: deliveries::greeting(&mut rng),
            token: token.expose().to_owned(),
            key: None,
        };
        world.has(Habit::Greeting);
        post(&world, made, 12_000, &mut rng).await;
        lock(&world.ledger).senders -= 1;
    });
}

impl World {
    /// An answer's status as its source sees it: 200 for the one that it takes for success. Another success is none.
    fn status(&self, attempt: usize, status: u16) -> u16 {
        let account = lock(&self.ledger).attempts[attempt].account;
        let sender = self.plan.accounts[account].sender;
        if status == sender.success() {
            return 200;
        }
        if (200..300).contains(&status) {
            self.broken(Invariant::Answers, || {
                let title = sender.title();
                format!("attempt {attempt} is answered {status}, which is no success to {title}")
            });
        }
        status
    }
}
