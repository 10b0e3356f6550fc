//! The consumer with routes of a test's own: the stack's has one team, so this one runs in the test, on the stack's table.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use aws::dynamo::records::{DynamoRecords, RecordFormat};
use aws::s3::S3Oversize;
use aws_lambda_events::sqs::SqsEvent;
use consumer::config::Config;
use domain::ports::QueueUrl;
use e2e::Stack;
use runtime::config::Variables;
use serde_json::Value;
use testkit::sqs_event::{SqsBatch, batch};

/// The stack's records table.
pub fn records(stack: &Stack) -> DynamoRecords<S3Oversize> {
    DynamoRecords::new(
        stack.dynamo.clone(),
        stack.output("RecordsTable"),
        stack.oversize.clone(),
        RecordFormat::Native,
    )
}

/// The configuration of a consumer of the stack's lanes with these routes.
pub fn config(stack: &Stack, routes: &Value, undelivered: &str) -> Config {
    let output = |name| stack.output(name);
    Config::read(&Variables::from([
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
    ]))
    .unwrap()
}

/// Messages of the orders' lane, as its event source mapping hands them over.
pub fn batch_of_orders<'a>(stack: &Stack, bodies: impl Iterator<Item = &'a str>) -> SqsEvent {
    let orders = QueueUrl::new(stack.output("OrdersQueueUrl"));
    let arn = format!("arn:aws:sqs:eu-west-1:000000000000:{}", orders.name());
    let messages = bodies.fold(batch(&arn), SqsBatch::message);
    serde_json::from_str(&messages.to_json()).unwrap()
}
