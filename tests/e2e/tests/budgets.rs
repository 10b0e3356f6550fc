//! The budgets of calls, counted where the functions' calls pass: each call to AWS costs money and time.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeMap;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use e2e::World;
use e2e::proxy::Call;
use rstest::rstest;
use serde_json::json;
use testkit::delivery::{Delivery, delivery};

const SEND: &str = "sqs:SendMessageBatch";
const UPDATE: &str = "dynamodb:UpdateItem";
const GET: &str = "dynamodb:GetItem";

/// How many deliveries may go by until one meets an instance that is warm for this account.
const TRIES: usize = 12;

/// How many deliveries of one account come while its token is counted.
const DELIVERIES: usize = 40;

/// Calls by operation and by the part of the stack that they are for.
type Counts = BTreeMap<(String, String), usize>;

/// The parts of the stack, by what their names contain.
const PARTS: [&str; 12] = [
    "Receipts",
    "Records",
    "Accounts",
    "Customers",
    "Orders",
    "Billing",
    "Products",
    "Inventory",
    "Other",
    "ExampleTeam",
    "Undelivered",
    "signing/",
];

fn part(call: &Call) -> String {
    let part = PARTS.iter().find(|part| call.resource.contains(*part));
    part.map_or_else(|| call.resource.clone(), |part| (*part).to_owned())
}

fn counts<'c>(calls: impl IntoIterator<Item = &'c Call>) -> Counts {
    let mut counts = Counts::new();
    for call in calls {
        let what = (call.operation.clone(), part(call));
        *counts.entry(what).or_default() += 1;
    }
    counts
}

fn budget(expected: &[(&str, &str, usize)]) -> Counts {
    let entry = |(operation, part, count): &(&str, &str, usize)| {
        (((*operation).to_owned(), (*part).to_owned()), *count)
    };
    expected.iter().map(entry).collect()
}

/// Whether a call is inbound's; the other ones that name the account are the consumer's.
fn is_inbounds(call: &&Call) -> bool {
    !["Records", "ExampleTeam", "Undelivered"].contains(&part(call).as_str())
}

fn mixed() -> Delivery {
    let orders = delivery().orders(23);
    let with = |body: Delivery, number: usize| {
        body.event("customer.updated", &format!(r#"{{"id":"cu_{number}"}}"#))
    };
    (0..11).fold(orders, with)
}

#[rstest]
#[case::one_event(delivery().orders(1), &[(SEND, "Orders", 1)])]
#[case::ten_events(delivery().orders(10), &[(SEND, "Orders", 1)])]
#[case::fifty_events(delivery().orders(50), &[(SEND, "Orders", 5)])]
#[case::two_lanes(mixed(), &[(SEND, "Orders", 3), (SEND, "Customers", 2)])]
#[case::no_events(delivery(), &[])]
#[tokio::test]
// requirement: budget-inbound
async fn a_warm_delivery_costs_no_more_calls_than_its_budget(
    #[case] body: Delivery,
    #[case] sends: &[(&str, &str, usize)],
) {
    let world = World::planted().await;
    let body = body.body();
    // One read of a retry marker, one write of a receipt, and the messages.
    let warm = [&[(GET, "Receipts", 1), (UPDATE, "Receipts", 1)], sends].concat();
    let cold = budget(&[("secretsmanager:GetSecretValue", "signing/", 1)]);

    let mut was_warm = false;
    for _ in 0..TRIES {
        let watch = world.watch(&world.account).await;
        assert_eq!(world.post(&body).await.status, 200);
        let calls = watch.settled().await;
        watch.end().await;
        let mut counts = counts(calls.iter().filter(is_inbounds));
        if !cold.keys().all(|key| counts.contains_key(key)) {
            was_warm = true;
        }
        counts.retain(|key, count| cold.get(key) != Some(count));
        assert_eq!(counts, budget(&warm));
        if was_warm {
            return;
        }
    }
    panic!("no delivery of {TRIES} met an instance that knew the account");
}

#[tokio::test]
// requirement: budget-inbound
async fn a_known_token_is_not_looked_up_again() {
    let world = World::planted().await;
    let watch = world.watch(&world.token_hash()).await;
    for _ in 0..DELIVERIES {
        assert_eq!(world.post(b"[]").await.status, 200);
    }
    // Receipts name the registration too.
    let table = world.stack.output("AccountsTable");
    let calls = watch.settled().await;
    let lookups = calls.iter().filter(|call| call.resource == table).count();
    // One for each instance that had a part in it.
    assert!(
        (1..=DELIVERIES / 4).contains(&lookups),
        "{lookups} lookups for {DELIVERIES} deliveries"
    );
}

/// Messages of a lane as inbound writes them, ten orders of which so many are different.
fn ten_messages(world: &World, id: &str, records: usize, with_delete: bool) -> Vec<String> {
    let account = &world.account;
    (0..10)
        .map(|index| {
            let action = match with_delete && index == 4 {
                true => "deleted",
                false => "updated",
            };
            let record = format!("or_{}", index % records);
            json!({
                "specversion": "1.0", "id": format!("{id}.{index:05}"), "source": format!("/orderspace/{account}"),
                "type": format!("orderspace.order.{action}"), "subject": format!("order/{record}"),
                "time": domain_time(id), "datacontenttype": "application/json", "account": account,
                "deliveryid": id, "data": { "id": record, "round": id },
            })
            .to_string()
        })
        .collect()
}

fn domain_time(id: &str) -> String {
    let id: domain::identity::DeliveryId = id.parse().unwrap();
    id.first_seen().to_string()
}

/// A delivery id of this account's own: the other cases run on the same stack.
fn new_id(world: &World, round: u64) -> String {
    let at = domain::timestamp::Timestamp::from_millis(1_795_176_000_000 + round);
    let account = testkit::signing::sha256_hex(world.account.as_bytes());
    let mut random = [0; 10];
    random.copy_from_slice(&account.as_bytes()[..10]);
    domain::identity::DeliveryId::new(at, &random).to_string()
}

#[rstest]
#[case::ten_records(10, false, 10)]
#[case::five_records_twice(5, false, 5)]
#[case::one_record_ten_times(1, false, 1)]
#[case::a_delete_among_others(1, true, 2)]
#[tokio::test]
// requirement: budget-consumer
async fn a_consumers_batch_costs_no_more_calls_than_its_budget(
    #[case] records: usize,
    #[case] with_delete: bool,
    #[case] writes: usize,
) {
    let world = World::planted().await;
    // The poller may part the ten messages, or take one of them twice; then the same is tried with ten others.
    for round in 0..TRIES as u64 {
        let id = new_id(&world, round);
        let watch = world.watch(&id).await;
        let messages = ten_messages(&world, &id, records, with_delete);
        let entries = messages.into_iter().enumerate().map(|(index, body)| {
            let entry = SendMessageBatchRequestEntry::builder().id(index.to_string());
            entry.message_body(body).build().unwrap()
        });
        let queue = world.stack.output("OrdersQueueUrl");
        let call = world.stack.sqs.send_message_batch().queue_url(queue);
        let sent = call.set_entries(Some(entries.collect())).send().await;
        assert_eq!(sent.unwrap().successful().len(), 10);
        let count = usize::try_from(round + 1).unwrap() * 10;
        world.team.wait_for(count).await;
        let calls = watch.settled().await;
        let forwards = calls.iter().filter(|call| call.operation == SEND);
        let forwards: Vec<usize> = forwards.map(|call| call.entries).collect();
        let forwarded: usize = forwards.iter().sum();
        assert!(forwarded >= 10, "each message is forwarded: {calls:#?}");
        if forwards == [10] {
            let expected = [(UPDATE, "Records", writes), (SEND, "ExampleTeam", 1)];
            assert_eq!(counts(&calls), budget(&expected));
            return;
        }
    }
    panic!("the poller parted every batch");
}
