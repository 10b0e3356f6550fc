//! The function among fakes: three teams, one of them with a FIFO queue.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a harness: each file uses its own part, and what cannot be made ends the test"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::sqs::SqsBatchResponse;
use consumer::Consumer;
use consumer::config::Config;
use domain::account::AccountName;
use domain::envelope::{Content, DataRef, Envelope, Marks};
use domain::identity::{DeliveryId, EventId, EventIndex};
use domain::ports::QueueUrl;
use domain::provenance::Provenance;
use domain::record::{RecordId, RecordKey, Subject};
use domain::source::Source;
use domain::timestamp::Timestamp;
use runtime::config::Variables;
use sources::protocol;
use testkit::fakes::{FakeOversize, FakeQueues, FakeRecords, FakeRedelivery};
use testkit::fakes::{Fault, Faults, Sent, StoredRecord};
use testkit::sqs_event::{SqsBatch, batch, message_id};
use tokio::time::Instant;

pub type Function = Consumer<'static, FakeRecords, FakeQueues, FakeOversize, FakeRedelivery>;

pub struct World {
    pub function: Function,
    pub records: &'static FakeRecords,
    pub queues: &'static FakeQueues,
    pub oversize: &'static FakeOversize,
    pub redelivery: &'static FakeRedelivery,
}

/// The queue that batches are from.
pub const ORDERS_ARN: &str = "arn:aws:sqs:eu-west-1:000000000000:orders";

/// `sales` takes orders, `ledger` takes everything into a FIFO queue, `other-firm` takes another account.
const ROUTES: &str = r#"[
    {"team":"sales","queue":"sales","types":["order.*"],"accounts":["*"]},
    {"team":"ledger","queue":"ledger.fifo","types":["*"],"accounts":["*"]},
    {"team":"other-firm","queue":"other-firm","types":["*"],"accounts":["other"]}
]"#;

pub fn world() -> World {
    world_with(ROUTES)
}

/// The function with other routes.
pub fn world_with(routes: &str) -> World {
    let records: &FakeRecords = Box::leak(Box::default());
    let queues: &FakeQueues = Box::leak(Box::default());
    let oversize: &FakeOversize = Box::leak(Box::default());
    let redelivery: &FakeRedelivery = Box::leak(Box::default());
    let config = Config::read(&Variables::from([
        ("CUSTOMERS_QUEUE_URL", "customers"),
        ("ORDERS_QUEUE_URL", "orders"),
        ("BILLING_QUEUE_URL", "billing"),
        ("PRODUCTS_QUEUE_URL", "products"),
        ("INVENTORY_QUEUE_URL", "inventory"),
        ("OTHER_QUEUE_URL", "other"),
        ("ROUTES", routes),
        ("UNDELIVERED_QUEUE_URL", "undelivered"),
        ("FIRST_RETRY_SECONDS", "2"),
        ("INLINE_LIMIT_BYTES", "250000"),
    ]))
    .unwrap();
    World {
        function: Consumer::new(records, queues, oversize, redelivery, config),
        records,
        queues,
        oversize,
        redelivery,
    }
}

/// The id of the event that was seen as the `number`th.
pub fn id(number: u64) -> EventId {
    DeliveryId::new(Timestamp::from_millis(1_795_176_000_000 + number), &[0; 10])
        .event(EventIndex::new(0).unwrap())
}

/// An event as it lies in a lane.
pub fn event(number: u64, event_type: &str, record_id: Option<&str>, record: &str) -> String {
    let content = serde_json::from_str(record).unwrap();
    envelope(number, event_type, record_id, Content::Inline(content))
        .to_text()
        .to_text()
}

/// An event whose record is kept apart.
pub fn stored(number: u64, event_type: &str, record_id: &str, place: DataRef) -> String {
    envelope(number, event_type, Some(record_id), Content::Stored(place))
        .to_text()
        .to_text()
}

/// An event of an order with this id.
pub fn order_with(number: u64, id: &str) -> String {
    let record = format!(r#"{{"id":"{id}"}}"#);
    event(number, "order.created", Some(id), &record)
}

/// An event of an order that no other number has.
pub fn order_of_its_own(number: u64) -> String {
    order_with(number, &format!("or_{number}"))
}

/// An event's envelope.
pub fn envelope<'a>(
    number: u64,
    event_type: &str,
    record_id: Option<&str>,
    content: Content<'a>,
) -> Envelope<'a> {
    let event_type: domain::event::EventType = event_type.parse().unwrap();
    let record_id = record_id.map(|id| RecordId::new(id).unwrap());
    let kind = protocol(Source::Orderspace).meaning(&event_type).kind;
    Envelope {
        id: id(number),
        source: Source::Orderspace,
        account: account(),
        subject: Subject::new(&kind, record_id.as_ref(), id(number)),
        event_type,
        provenance: Provenance::default(),
        marks: Marks::default(),
        content,
    }
}

pub fn account() -> AccountName {
    "acme".parse().unwrap()
}

/// An order's event with content of its own.
pub fn order(number: u64, action: &str, content: &str) -> String {
    event(
        number,
        &format!("order.{action}"),
        Some("or_1"),
        &format!(r#"{{"id":"or_1","is":"{content}"}}"#),
    )
}

pub fn messages(bodies: &[String]) -> SqsBatch {
    bodies
        .iter()
        .fold(batch(ORDERS_ARN), |batch, body| batch.message(body))
}

impl World {
    /// Hands over a batch of fresh messages and returns the positions that failed.
    pub async fn take(&self, bodies: &[String]) -> Vec<usize> {
        self.take_batch(&messages(bodies)).await
    }

    pub async fn take_batch(&self, batch: &SqsBatch) -> Vec<usize> {
        let response = self.handle(batch).await;
        let failures = response.batch_item_failures.iter();
        let positions = failures.map(|failure| {
            let mut positions = 0..batch.len();
            positions.find(|position| message_id(*position) == failure.item_identifier)
        });
        positions.map(Option::unwrap).collect()
    }

    /// Hands over a batch of which no message fails.
    pub async fn take_whole(&self, batch: &SqsBatch) {
        assert_eq!(self.take_batch(batch).await, [0; 0]);
    }

    pub async fn handle(&self, batch: &SqsBatch) -> SqsBatchResponse {
        self.handle_within(batch, Duration::from_secs(20)).await
    }

    pub async fn handle_within(&self, batch: &SqsBatch, time: Duration) -> SqsBatchResponse {
        let event = serde_json::from_str(&batch.to_json()).unwrap();
        self.function.handle(&event, Instant::now() + time).await
    }

    pub fn queue(&self, name: &str) -> Vec<Sent> {
        self.queues.messages(&QueueUrl::new(name))
    }

    /// The ids of the events that a queue has.
    pub fn ids(&self, name: &str) -> Vec<EventId> {
        let sent = self.queue(name);
        sent.iter().map(|sent| sent.envelope().id).collect()
    }

    /// Which of the events that a queue has are marked as possible duplicates.
    pub fn marks(&self, name: &str) -> Vec<bool> {
        let sent = self.queue(name);
        let marks = sent.iter().map(|sent| sent.envelope().marks);
        marks.map(|marks| marks.possible_duplicate).collect()
    }

    /// Begins a rule for a call, such as `records.update`.
    pub fn on(&self, call: &str) -> Faults<'_> {
        let (port, operation) = call.split_once('.').unwrap();
        let script = match port {
            "records" => self.records.script(),
            "queues" => self.queues.script(),
            "oversize" => self.oversize.script(),
            "redelivery" => self.redelivery.script(),
            other => panic!("there is no port {other}"),
        };
        script.on(operation)
    }

    /// Lets the next call of this name go wrong.
    pub fn fault(&self, call: &str, fault: Fault) {
        self.on(call).fault(fault);
    }

    /// The delays of messages of the lane that batches are from, by receipt handle.
    pub fn delays(&self) -> BTreeMap<String, u32> {
        self.redelivery.delays(&QueueUrl::new("orders"))
    }

    pub fn record(&self, kind: &str, id: &str) -> StoredRecord {
        let key = RecordKey {
            account: account(),
            kind: kind.to_owned(),
            id: RecordId::new(id).unwrap(),
        };
        self.records
            .record(&key)
            .unwrap_or_else(|| panic!("no record {key}"))
    }

    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        let all = [
            self.records.calls(),
            self.queues.calls(),
            self.oversize.calls(),
            self.redelivery.calls(),
        ];
        all.into_iter()
            .flatten()
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
