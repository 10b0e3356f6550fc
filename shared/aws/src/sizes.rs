//! How large the futures of the ports are: dozens are waited for together, and each is moved several times on its way there.

use aws_sdk_dynamodb::config::BehaviorVersion;
use domain::envelope::{Body, DataRef};
use domain::fold::Change;
use domain::identity::{ContentHash, DeliveryId, EventIndex};
use domain::ports::{ClaimCheck, Message, QueueUrl, Queues, Records, Redelivery, Update};
use domain::record::{RecordId, RecordKey};
use domain::timestamp::Timestamp;

use crate::client::{Aws, access};
use crate::dynamo::offline;
use crate::dynamo::records::{DynamoRecords, RecordFormat};
use crate::s3::S3Oversize;
use crate::sns::SnsTopics;
use crate::sqs::SqsQueues;

/// In bytes. What an SDK's future has besides is tens of thousands, and is in a box of its own.
const MOST: usize = 4096;

#[test]
fn futures_that_wait_together_are_small() {
    let latest = BehaviorVersion::latest;
    let s3 = S3Oversize::of(&Aws::new(access("http://127.0.0.1:9")).unwrap(), "bucket");
    let sqs = aws_sdk_sqs::Config::builder().behavior_version(latest());
    let sqs = SqsQueues::new(aws_sdk_sqs::Client::from_conf(sqs.build()));
    let sns = aws_sdk_sns::Config::builder().behavior_version(latest());
    let sns = SnsTopics::new(aws_sdk_sns::Client::from_conf(sns.build()));
    let records = DynamoRecords::new(offline(), "records", s3.clone(), RecordFormat::Native);

    let (place, queue) = (DataRef::new("bucket", "key"), QueueUrl::new("queue"));
    let messages = [Message {
        text: Body::whole("{}".to_owned()),
        group: None,
        deduplication: None,
        attributes: Vec::new(),
        trace: None,
    }];
    let key = RecordKey {
        account: "acme".parse().unwrap(),
        kind: "order".to_owned(),
        id: RecordId::new("or_1").unwrap(),
    };
    let delivery = DeliveryId::new(Timestamp::from_millis(7), &[7; 10]);
    let change = Change {
        id: delivery.event(EventIndex::saturating(0)),
        sequence: None,
        delete: false,
        hash: ContentHash::of("order.created", b"{}"),
    };
    let update = Update {
        latest: change,
        before: &[],
        event_type: "order.created",
        data: "{}",
        occurrences: &[],
    };
    let sizes = [
        ("put", size_of_val(&s3.put("key", b"{}"))),
        ("get", size_of_val(&s3.get(&place))),
        ("send", size_of_val(&sqs.send(&queue, &messages))),
        ("delay", size_of_val(&sqs.delay(&queue, &[]))),
        ("publish", size_of_val(&sns.send(&queue, &messages))),
        ("update", size_of_val(&records.update(&key, &update))),
        ("delete", size_of_val(&records.delete(&key, &change))),
    ];
    assert!(sizes.iter().all(|(_, bytes)| *bytes <= MOST), "{sizes:?}");
}
