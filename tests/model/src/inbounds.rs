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
use runtime::gateway::GatewayEvent;
use testkit::gateway::hook;
use testkit::rng::{Rng, word};
use tokio::sync::{mpsc, oneshot};

use crate::checks::Invariant;
use crate::deliveries::{self, Delivery, Element, Sender};
use crate::faults::{Kind, Step};
use crate::plan::{
    BUDGET, CHECK_QUEUE, Genuine, Greeting, Habit, INBOUND_TIMEOUT, KEYS_REREAD, KEYS_TTL, LEASE,
    Unauthenticated, WALL,
};
use crate::ports::Wire;
use crate::world::{Attempt, Instance, World, seconds, since, url_token, variables};
use crate::{is_of_a_schedule, lock};

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
        Poll::Ready(Err(panic)) if is_of_a_schedule(&*panic) => Poll::Ready(Ended::Crashed),
        Poll::Ready(Err(_)) => Poll::Ready(Ended::Failed("panics")),
        Poll::Pending if world.has_crashed(actor) => Poll::Ready(Ended::Crashed),
        Poll::Pending => Poll::Pending,
    });
    let ended = tokio::time::timeout(Duration::from_millis(limit), running).await;
    lock(&world.ledger).actors[actor].ended = true;
    ended.unwrap_or(Ended::Failed("is not done when its time is over"))
}

fn config(world: &World) -> Config {
    let plan = &world.plan;
    let own = variables(&[
        ("QUARANTINE_QUEUE_URL", &"quarantine"),
        ("CHECK_QUEUE_URL", &CHECK_QUEUE),
        ("INLINE_LIMIT_BYTES", &plan.inline_limit),
        ("ANSWER_BUDGET_MS", &BUDGET),
        ("RETRY_MARKER_TTL_SECONDS", &plan.marker_ttl),
        ("RETRY_LEASE_SECONDS", &(LEASE / 1000)),
        ("KEYS_TTL_SECONDS", &KEYS_TTL),
        ("KEYS_REREAD_SECONDS", &KEYS_REREAD),
    ]);
    Config::read(&own).unwrap()
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
        let request = GatewayEvent::parse(&request).into_request();
        let request = request.expect("the gateway's payload can be read");
        let handler = inbound.handle(&request, now);
        let ended = run(&world, actor, INBOUND_TIMEOUT, handler).await;
        let mut rng = world.rng(&[word("answer"), actor as u64]);
        let tie = rng.number();
        let at = world.now() + rng.between(0, 5);
        world.agenda.turn(at, tie).await;
        match ended {
            Ended::Answer(response) => {
                let status = world.status(attempt, response.status().as_u16());
                world.answered(attempt, actor, status);
                lock(&world.ledger).instances[number].free = true;
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
    let fault = match made.genuine {
        true => world.decide_transport(Step::Request, rng),
        false => None,
    };
    match fault {
        Some(Kind::Refused) => return 503,
        Some(Kind::Throttled) => return 429,
        Some(Kind::Lost) => {
            let until = world.now() + patience;
            world.agenda.turn(until, rng.number()).await;
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

/// Lets somebody send in a task of its own, for whose end the schedule waits.
fn sends(world: &Arc<World>, sending: impl AsyncFnOnce(&Arc<World>) + 'static) {
    lock(&world.ledger).senders += 1;
    let inner = Arc::clone(world);
    world.agenda.spawn(async move {
        sending(&inner).await;
        lock(&inner.ledger).senders -= 1;
    });
}

/// The same request once more, whose answer nobody waits for.
fn again(world: &Arc<World>, made: &Made, rng: &mut Rng, least: u64, most: u64) {
    let made = made.clone();
    let mut rng = Rng::of(&[rng.number()]);
    let at = world.now() + rng.between(least, most);
    sends(world, async move |world| {
        world.agenda.turn(at, rng.number()).await;
        let _ = arrive(world, made, &mut rng).await;
    });
}

/// A request that somebody made.
#[derive(Clone, Default)]
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
    let (account, id) = (made.account, since(epoch));
    let body = String::from_utf8_lossy(&made.delivery.body);
    let body: String = body.chars().take(1200).collect();
    ledger.by_epoch.insert(epoch, attempt);
    ledger.attempts.push(Attempt {
        account,
        registration: made.registration,
        genuine: made.genuine,
        greets: made.greets,
        delivery: made.delivery,
        epoch,
        // A missing key may be remembered for as long as a right one.
        keys_held: held_from == 0,
        ..Attempt::default()
    });
    let free: Vec<usize> = (0..ledger.instances.len())
        .filter(|number| ledger.instances[*number].free)
        .collect();
    let number = if free.is_empty() {
        let (jobs, inbox) = mpsc::unbounded_channel();
        let number = ledger.instances.len();
        ledger.instances.push(Instance { free: true, jobs });
        let instance = instance(Arc::clone(world), number, inbox);
        world.agenda.spawn(instance);
        number
    } else {
        rng.pick(&free)
    };
    let instance = &mut ledger.instances[number];
    instance.free = false;
    let job = Job {
        attempt,
        request: request.to_json(),
        reply,
    };
    assert!(instance.jobs.send(job).is_ok(), "who is free is there");
    drop(ledger);
    world.tell(|| format!("attempt {attempt} {what}, account {account}, id {id}: {body}"));
    answer
}

/// The source delivers: it tries until it is answered 200, or gives up.
pub(crate) fn deliver(world: &Arc<World>, number: usize, genuine: Genuine) {
    let rng = world.rng(&[word("orderspace"), number as u64]);
    insist(world, genuine, rng);
}

fn insist(world: &Arc<World>, genuine: Genuine, mut rng: Rng) {
    sends(world, async move |world| {
        try_until_taken(world, genuine, &mut rng).await;
    });
}

async fn try_until_taken(world: &Arc<World>, genuine: Genuine, rng: &mut Rng) {
    let Genuine { account, at, .. } = genuine;
    let (mut delivery, mut backoff) = (genuine.delivery, genuine.backoff);
    world.agenda.turn(at, rng.number()).await;
    // While the account is disconnected the source has no webhook to send to.
    let Some(number) = world.current(account) else {
        return;
    };
    let registration = world.registration(account, number);
    for attempt in 1..=genuine.most {
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
        let status = post(world, made, genuine.patience, rng).await;
        if status == 200 {
            let at = seconds(at);
            world.tell(|| format!("The source is told that attempt at {at} is taken"));
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
        if attempt == genuine.most {
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
                let parked = (account, delivery.elements);
                lock(&world.ledger).parked.push(parked);
                return;
            } else if rng.percent(10) && delivery.elements.len() > 1 {
                world.has(Habit::Split);
                let (first, second) = delivery.elements.split_at(delivery.elements.len() / 2);
                let rest = Genuine {
                    at: world.now() + rng.below(5_000),
                    delivery: deliveries::delivery(second.to_vec(), 0),
                    backoff,
                    ..genuine
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

/// An unauthenticated request of an account tries once.
pub(crate) fn intrude(world: &Arc<World>, number: usize, tried: (u64, Unauthenticated, usize)) {
    let (at, what, account) = tried;
    let mut rng = world.rng(&[word("stranger"), number as u64]);
    sends(world, async move |world| {
        world.agenda.turn(at, rng.number()).await;
        let connected = &world.plan.accounts[account];
        let unknown = url_token(&[rng.number()]);
        let (token, key) = match what {
            Unauthenticated::UnknownToken => (&unknown, Some(&*connected.key)),
            Unauthenticated::Retired => (&connected.retired, Some(&*connected.key)),
            Unauthenticated::WrongKey => (&*connected.token, Some("another-key")),
            Unauthenticated::RetiredKey => (&*connected.token, Some(&*connected.retired_key)),
            Unauthenticated::NoSignature => (&*connected.token, None),
        };
        let elements = vec![deliveries::element(0, deliveries::stock("A 1", "666"))];
        let made = Made {
            account,
            delivery: deliveries::delivery(elements, 0),
            token: token.expose().to_owned(),
            key: key.map(str::to_owned),
            ..Made::default()
        };
        let status = post(world, made, 12_000, &mut rng).await;
        world.holds(Invariant::Unauthenticated, status != 200, || {
            "an unauthenticated request is answered 200".to_owned()
        });
    });
}

/// Apideck asks whether somebody answers at a URL, and signs nothing.
pub(crate) fn greet(world: &Arc<World>, number: usize, greeting: Greeting) {
    let mut rng = world.rng(&[word("greeting"), number as u64]);
    sends(world, async move |world| {
        world.agenda.turn(greeting.at, rng.number()).await;
        let connected = &world.plan.accounts[greeting.account];
        let unknown = url_token(&[rng.number()]);
        let (token, is_ours) = match rng.below(5) {
            0 => (&unknown, false),
            1 => (&connected.retired, false),
            _ => (&*connected.token, true),
        };
        let made = Made {
            account: greeting.account,
            greets: Some(is_ours),
            delivery: deliveries::greeting(&mut rng),
            token: token.expose().to_owned(),
            ..Made::default()
        };
        world.has(Habit::Greeting);
        post(world, made, 12_000, &mut rng).await;
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
        self.holds(Invariant::Answers, !(200..300).contains(&status), || {
            let title = sender.title();
            format!("attempt {attempt} is answered {status}, which is no success to {title}")
        });
        status
    }
}
