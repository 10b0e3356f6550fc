//! The consumer with routes of a test's own: the stack's has one team, so this one runs in the test, on the stack's table.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::time::Duration;

use aws::dynamo::records::{DynamoRecords, RecordFormat};
use aws::s3::S3Oversize;
use aws::sqs::SqsQueues;
use aws_lambda_events::sqs::SqsEvent;
use consumer::Consumer;
use consumer::config::Config;
use domain::ports::QueueUrl;
use e2e::Stack;
use runtime::config::Variables;
use serde_json::Value;
use testkit::fakes::FakeRedelivery;
use testkit::sqs_event::{SqsBatch, batch};

/// A consumer of the stack's lanes with routes of a test's own.
pub struct ConsumerHere<'s> {
    stack: &'s Stack,
    records: DynamoRecords<S3Oversize>,
    queues: SqsQueues,
    config: Config,
}

impl<'s> ConsumerHere<'s> {
    pub fn new(stack: &'s Stack, routes: &Value, undelivered: &str) -> Self {
        let output = |name| stack.output(name);
        let table = output("RecordsTable");
        let oversize = stack.oversize.clone();
        let config = Config::read(&Variables::from([
            ("CUSTOMERS_QUEUE_URL", output("CustomersQueueUrl")),
            ("ORDERS_QUEUE_URL", output("OrdersQueueUrl")),
            ("BILLING_QUEUE_URL", output("BillingQueueUrl")),
            ("PRODUCTS_QUEUE_URL", output("ProductsQueueUrl")),
            ("INVENTORY_QUEUE_URL", output("InventoryQueueUrl")),
            ("OTHER_QUEUE_URL", output("OtherQueueUrl")),
            ("ROUTES", routes.to_string().as_str()),
            ("UNDELIVERED_QUEUE_URL", undelivered),
            ("FIRST_RETRY_SECONDS", "1"),
            ("INLINE_LIMIT_BYTES", "250000"),
        ]));
        Self {
            records: DynamoRecords::new(
                stack.dynamo.clone(),
                table,
                oversize,
                RecordFormat::Native,
            ),
            queues: SqsQueues::new(stack.sqs.clone()),
            config: config.unwrap(),
            stack,
        }
    }

    /// Handles messages of the orders' lane, as its event source mapping hands them over; every one is done.
    pub async fn handle<'a>(&self, bodies: impl Iterator<Item = &'a str>) {
        let orders = QueueUrl::new(self.stack.output("OrdersQueueUrl"));
        let arn = format!("arn:aws:sqs:eu-west-1:000000000000:{}", orders.name());
        let messages = bodies.fold(batch(&arn), SqsBatch::message);
        let messages: SqsEvent = serde_json::from_str(&messages.to_json()).unwrap();
        let (oversize, redelivery) = (&self.stack.oversize, FakeRedelivery::default());
        let config = self.config.clone();
        let consumer = Consumer::new(&self.records, &self.queues, oversize, &redelivery, config);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        let response = consumer.handle(&messages, deadline).await;
        assert_eq!(response.batch_item_failures, [], "every message is done");
    }
}
