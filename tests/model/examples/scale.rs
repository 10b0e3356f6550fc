//! The work that `cargo benchmark guard` counts: deliveries that inbound handles, or batches that the consumer handles, on
//! the fakes of `testkit`.
//!
//! `scale delivery 50 24` handles 24 deliveries of 50 events. What one of them costs is the difference between two runs
//! of different length. All is prepared before the first is handled, and as much in a short run as in a long one, so
//! that only their handling makes the difference. The last line of the output has the calls that the last one made.
//!
//! `scale delivery 50 24 clone-the-body` makes a mistake with every event besides, which the guard has to notice.
#![allow(clippy::print_stdout, reason = "a command's output is its purpose")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aws_lambda_events::sqs::SqsEvent;
use clap::{Parser, ValueEnum};
use consumer::Consumer;
use domain::account::{AccountName, KeysVersion, TokenEntry, TokenStatus, UrlToken, WebhookId};
use domain::delivery::Delivery;
use domain::envelope::{Body, InlineLimit};
use domain::identity::DeliveryId;
use domain::ports::QueueUrl;
use domain::source::Source;
use domain::timestamp::Timestamp;
use inbound::Inbound;
use lambda_http::Request;
use lambda_http::http::HeaderMap;
use runtime::config::Variables;
use runtime::gateway::GatewayEvent;
use runtime::telemetry;
use serde::de::IgnoredAny;
use sources::protocol;
use testkit::fakes::{
    FakeKeys, FakeOversize, FakeQueues, FakeReceipts, FakeRecords, FakeRedelivery, FakeTokens, Sent,
};
use testkit::gateway::{RECEIVED_MILLIS, hook};
use testkit::signing::SIGNING_KEY;
use testkit::{fixtures, sqs_event};
use tokio::time::Instant;
use tracing::info;

/// As many as a run can handle, and as every run prepares.
const MOST: usize = 32;

/// The lane of the fixtures' events.
const LANE: &str = "inventory";

/// Handles the same work so many times.
#[derive(Debug, Parser)]
struct Cli {
    /// What is handled.
    work: Work,
    /// How many events it has: a delivery 1 or 50, a batch up to 50.
    #[arg(value_parser = clap::value_parser!(u16).range(1..=50))]
    events: u16,
    /// How many times.
    #[arg(value_parser = clap::value_parser!(u64).range(1..=MOST as u64))]
    times: u64,
    /// What is done wrong with every event of a delivery.
    mistake: Option<Mistake>,
}

/// What a change could bring in without a test that fails.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mistake {
    /// The body is copied.
    CloneTheBody,
    /// A line is logged.
    LogALine,
}

impl Mistake {
    fn make(self, request: &Request) {
        match self {
            Self::CloneTheBody => {
                black_box(request.body().to_vec());
            }
            // As inbound's own: other crates' lines below `warn` are left out.
            Self::LogALine => info!(target: "inbound", "an event is queued"),
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Work {
    /// A delivery of stock levels, by inbound.
    Delivery,
    /// A delivery of orders, by inbound.
    Orders,
    /// The splitting of a delivery of stock levels, and its events' messages.
    SplitStock,
    /// The splitting of a delivery of orders, and its events' messages.
    SplitOrders,
    /// One pass over a delivery of stock levels as JSON, which nothing that reads it can do without.
    PassStock,
    /// One pass over a delivery of orders as JSON.
    PassOrders,
    /// A batch of messages that inbound sent, by the consumer.
    Batch,
}

impl Work {
    /// A delivery of so many events.
    fn body(self, events: usize) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Orders | Self::SplitOrders | Self::PassOrders => {
                let list = fixtures::body("current/order.created.json");
                let order = list
                    .strip_prefix(b"[")
                    .and_then(|list| list.strip_suffix(b"]"));
                let orders = vec![order.context("the fixture is no list")?; events];
                [b"[", &*orders.join(&b','), b"]"].concat()
            }
            Self::Delivery | Self::Batch | Self::SplitStock | Self::PassStock => {
                fixtures::body(&format!("made/events-{events}.json"))
            }
        })
    }
}

/// Calls by port and operation.
type Calls = BTreeMap<String, usize>;

#[derive(Debug, Default)]
struct Fakes {
    tokens: FakeTokens,
    keys: FakeKeys,
    queues: FakeQueues,
    receipts: FakeReceipts,
    oversize: FakeOversize,
    records: FakeRecords,
    lane: FakeRedelivery,
}

impl Fakes {
    fn calls(&self) -> Calls {
        let ports = [
            ("tokens", self.tokens.calls()),
            ("keys", self.keys.calls()),
            ("queues", self.queues.calls()),
            ("receipts", self.receipts.calls()),
            ("oversize", self.oversize.calls()),
            ("records", self.records.calls()),
            ("lane", self.lane.calls()),
        ];
        let named = ports.into_iter().flat_map(|(port, calls)| {
            calls
                .into_iter()
                .map(move |(operation, count)| (format!("{port}.{operation}"), count))
        });
        named.collect()
    }
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    telemetry::init("info".parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let calls = runtime.block_on(run(&cli))?;
    println!("calls: {}", serde_json::to_string(&calls)?);
    Ok(())
}

async fn run(cli: &Cli) -> Result<Calls> {
    let fakes = Fakes::default();
    let times = usize::try_from(cli.times)?;
    let events = usize::from(cli.events);
    let inbound = Inbound::new(
        &fakes.tokens,
        &fakes.keys,
        &fakes.queues,
        &fakes.receipts,
        &fakes.oversize,
        inbound::config::Config::read(&variables())?,
    );
    let now = Timestamp::from_millis(RECEIVED_MILLIS);
    let mut before = Calls::new();
    match cli.work {
        Work::Delivery | Work::Orders => {
            let body = cli.work.body(events)?;
            for request in requests(&fakes, &body, MOST)?.iter().take(times) {
                before = fakes.calls();
                let answer = inbound.handle(request, now).await;
                for _ in 0..events {
                    cli.mistake.inspect(|mistake| mistake.make(request));
                }
                ensure!(answer.status() == 200, "answered with {}", answer.status());
                fakes.queues.purge();
            }
            return Ok(since(&before, fakes.calls()));
        }
        Work::SplitStock | Work::SplitOrders => {
            let body = cli.work.body(events)?;
            for _ in 0..times {
                ensure!(split(&body)? == events, "events are missing");
            }
            return Ok(Calls::new());
        }
        Work::PassStock | Work::PassOrders => {
            let body = cli.work.body(events)?;
            for _ in 0..times {
                serde_json::from_slice::<IgnoredAny>(black_box(&body))?;
            }
            return Ok(Calls::new());
        }
        Work::Batch => {}
    }
    // No more of it than are needed: whatever is prepared blurs the difference.
    let body = cli.work.body(50)?;
    for request in requests(&fakes, &body, (MOST * events).div_ceil(50))? {
        inbound.handle(&request, now).await;
    }
    let sent = fakes.queues.messages(&QueueUrl::new(LANE));
    let batches: Vec<SqsEvent> = sent
        .chunks(events)
        .take(MOST)
        .map(batch)
        .collect::<Result<_>>()?;
    fakes.queues.purge();
    let consumer = Consumer::new(
        &fakes.records,
        &fakes.queues,
        &fakes.oversize,
        &fakes.lane,
        consumer::config::Config::read(&variables())?,
    );
    let deadline = Instant::now() + Duration::from_secs(20);
    for batch in batches.iter().take(times) {
        before = fakes.calls();
        let answer = consumer.handle(batch, deadline).await;
        ensure!(answer.batch_item_failures.is_empty(), "messages failed");
        fakes.queues.purge();
    }
    Ok(since(&before, fakes.calls()))
}

/// Splits a delivery as inbound does, and makes its events' messages; the number of those that a queue would take.
fn split(body: &[u8]) -> Result<usize> {
    let (source, account) = (Source::Orderspace, "acme".parse()?);
    let protocol = protocol(source);
    let headers = &HeaderMap::new();
    let part = "";
    let split = protocol.split(black_box(Delivery {
        headers,
        part,
        body,
    }))?;
    let delivery = DeliveryId::new(Timestamp::from_millis(RECEIVED_MILLIS), &[7; 10]);
    let limit = InlineLimit::new(250_000);
    let texts = split.events.iter().map(|event| {
        let envelope = sources::envelope(source, protocol.facts(), &account, delivery, event);
        envelope.to_text()
    });
    let texts: Vec<Body<'_>> = texts.collect();
    Ok(texts.iter().filter(|text| limit.admits(text)).count())
}

/// So many signed deliveries of one account, a second apart.
fn requests(fakes: &Fakes, body: &[u8], count: usize) -> Result<Vec<Request>> {
    let account: AccountName = "acme".parse()?;
    let token = UrlToken::from_random(&[7; 32]);
    let entry = TokenEntry {
        account: account.clone(),
        source: Source::Orderspace,
        webhook: Some(WebhookId::new("wh_1q4qn43v")),
        keys: KeysVersion::default(),
        status: TokenStatus::Live,
        policy: None,
    };
    fakes.tokens.put(token.hash(), entry);
    fakes.keys.put(&account, token.hash(), 0, &[SIGNING_KEY]);
    let request = |second: u64| {
        let request = hook(token.expose(), body)
            .signed(SIGNING_KEY)
            .at(RECEIVED_MILLIS + 1000 * second);
        GatewayEvent::parse(&request.to_json())
            .into_request()
            .context("the event is not the gateway's")
    };
    (0..).map(request).take(count).collect()
}

/// Messages of the lane, as the consumer gets them.
fn batch(sent: &[Sent]) -> Result<SqsEvent> {
    let batch = sqs_event::batch("arn:aws:sqs:eu-west-1:000000000000:inventory");
    let batch = sent
        .iter()
        .fold(batch, |batch, sent| batch.message(&sent.body));
    Ok(serde_json::from_str(&batch.to_json())?)
}

/// The calls that were made since.
fn since(before: &Calls, after: Calls) -> Calls {
    let new = after.into_iter().map(|(call, count)| {
        let count = count - before.get(&call).unwrap_or(&0);
        (call, count)
    });
    new.filter(|(_, count)| *count > 0).collect()
}

/// What inbound and the consumer need; either leaves the other's alone.
fn variables() -> Variables {
    Variables::from([
        ("CUSTOMERS_QUEUE_URL", "customers"),
        ("ORDERS_QUEUE_URL", "orders"),
        ("BILLING_QUEUE_URL", "billing"),
        ("PRODUCTS_QUEUE_URL", "products"),
        ("INVENTORY_QUEUE_URL", LANE),
        ("OTHER_QUEUE_URL", "other"),
        ("QUARANTINE_QUEUE_URL", "quarantine"),
        ("INLINE_LIMIT_BYTES", "250000"),
        ("ANSWER_BUDGET_MS", "3000"),
        ("RETRY_MARKER_TTL_SECONDS", "86400"),
        ("RETRY_LEASE_SECONDS", "20"),
        ("KEYS_TTL_SECONDS", "300"),
        ("KEYS_REREAD_SECONDS", "10"),
        (
            "ROUTES",
            r#"[{"team":"stock","queue":"stock","types":["*"],"accounts":["*"]}]"#,
        ),
        ("UNDELIVERED_QUEUE_URL", "undelivered"),
        ("FIRST_RETRY_SECONDS", "2"),
    ])
}
