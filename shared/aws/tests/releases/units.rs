//! The write units that orders cost with a dictionary: DynamoDB takes one for each KB that is begun.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>

use aws::dynamo::Dictionary;
use aws::dynamo::receipts::read::read_body;
use aws::dynamo::records::{DynamoRecords, RecordFormat, read_record};
use domain::account::{UrlToken, WebhookId};
use domain::fold::Change;
use domain::identity::{BodyHash, ContentHash, DeliveryId, EventIndex};
use domain::ports::{Receipt, Receipts as _, Records as _, Update};
use domain::record::{RecordId, RecordKey};
use domain::signature::Assurance;
use domain::timestamp::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::fakes::FakeOversize;

use crate::service::Service;
use crate::{TABLE, item_at, receipts};

/// What differs between orders: the fixture's text, and another as long.
const DIFFERENT: [(&str, &str); 18] = [
    ("or_l5DYqeDn", "or_7pXw2LmQ"),
    ("1204", "5821"),
    ("2020-04-08T15:03:55Z", "2026-03-17T09:41:22Z"),
    ("cu_gpbOljAn", "cu_mz83kd0q"),
    ("or_68ogydlx", "or_q91kWc3e"),
    ("Sample Customer", "Blackwater Food"),
    ("07911 123456", "01614 960843"),
    ("sample@orderspace.com", "buy@blackwaterfood.io"),
    ("34 Edgar Buildings", "14b Trafford Mills"),
    ("George Street", "Guinness Road"),
    ("BA1 2FJ", "M17 1SB"),
    ("336 Hargrave Rd", "2299 Deansgates"),
    ("ol_NdOLvlpw", "ol_qq7dh2k1"),
    ("AM-D-CHR-10", "HON-340-12X"),
    ("Amelia Dress", "Heather Jars"),
    ("Colour: Charcoal", "Weights: 340 gra"),
    ("Special Delivery", "Pallet Overnight"),
    ("New York", "Hulme So"),
];

fn with_other_values(order: &str) -> String {
    let order = order.to_owned();
    DIFFERENT.iter().fold(order, |order, (text, other)| {
        assert!(order.contains(text) && text.len() == other.len(), "{text}");
        order.replace(text, other)
    })
}

fn without_second_line(order: &str) -> String {
    let line = order.find(r#",{"id":"ol_9mq3971w""#).unwrap();
    let end = order.find(r#"],"currency""#).unwrap();
    format!("{}{}", &order[..line], &order[end..])
}

/// The bytes of an item, by DynamoDB's rules.
fn size(item: &Value) -> usize {
    let base64 = |text: &str| text.trim_end_matches('=').len() * 3 / 4;
    let attributes = item.as_object().unwrap().iter();
    let sizes = attributes.map(|(name, value)| {
        let (form, value) = value.as_object().unwrap().iter().next().unwrap();
        let value = match (form.as_str(), value) {
            ("S", Value::String(text)) => text.len(),
            ("B", Value::String(text)) => base64(text),
            // Two digits a byte, and one more.
            ("N", Value::String(digits)) => digits.len().div_ceil(2) + 1,
            ("BOOL" | "NULL", _) => 1,
            other => panic!("{other:?} is none of these items'"),
        };
        name.len() + value
    });
    sizes.sum()
}

#[rstest]
#[case::two_lines(1_400..1_530, |order: &str| order.to_owned())]
#[case::one_line(1_200..1_300, without_second_line)]
#[tokio::test]
async fn an_order_costs_one_write_unit_with_a_dictionary(
    #[case] bytes: std::ops::Range<usize>,
    #[case] lines: fn(&str) -> String,
) {
    let fixture = String::from_utf8(testkit::fixtures::body("current/order.created.json")).unwrap();
    let body = lines(&with_other_values(&fixture));
    assert!(bytes.contains(&body.len()), "{}", body.len());
    let (_, record) = body.split_once(r#""order":"#).unwrap();
    let record = record.trim_end().strip_suffix("}}]").unwrap();
    let mut sizes = Vec::new();
    for dictionary in [Dictionary::None, Dictionary::First] {
        let service = Service::start().await;
        let stored = [
            kept_receipt(&service, body.as_bytes(), dictionary).await,
            kept_record(&service, record, dictionary).await,
        ];
        sizes.push(stored.each_ref().map(size));
    }
    let [plain, packed] = sizes.try_into().unwrap();
    for (plain, packed) in plain.into_iter().zip(packed) {
        // Room for a source that says more.
        assert!(
            packed <= 768 && packed + 250 < plain,
            "{packed} of {plain} bytes"
        );
    }
}

/// The item of a receipt, which reads back.
async fn kept_receipt(service: &Service, body: &[u8], dictionary: Dictionary) -> Value {
    let account = "blackwater-fine-foods".parse().unwrap();
    let delivery = delivery();
    let receipt = Receipt {
        account: &account,
        delivery,
        registration: UrlToken::from_random(&[1; 32]).hash(),
        webhook: Some(&WebhookId::new("wh_7pXw2LmQ")),
        assurance: Assurance::Signature,
        form: None,
        received: delivery.first_seen(),
        hash: BodyHash::of(body),
        events: 1,
        headers: &http::HeaderMap::new(),
        part: "",
        body,
    };
    let receipts = receipts(service, 250_000).with_dictionary(dictionary);
    receipts.keep(&receipt).await.unwrap();
    let key = json!({
        "pk": { "S": receipt.partition() },
        "sk": { "S": delivery.to_string() },
    });
    let item = item_at(service, &key).await;
    let read = read_body(&item, &FakeOversize::default()).await.unwrap();
    assert_eq!(read, body);
    service.item_like(&key)
}

/// The item of a record, which reads back.
async fn kept_record(service: &Service, record: &str, dictionary: Dictionary) -> Value {
    let id = delivery().event(EventIndex::new(0).unwrap());
    let key = RecordKey {
        account: "blackwater-fine-foods".parse().unwrap(),
        kind: "order".to_owned(),
        id: RecordId::new("or_7pXw2LmQ").unwrap(),
    };
    let update = Update {
        latest: Change {
            id,
            sequence: None,
            delete: false,
            hash: ContentHash::of("order.created", record.as_bytes()),
        },
        before: &[],
        event_type: "order.created",
        data: record,
        occurrences: &[],
    };
    let (client, oversize) = (service.aws.dynamo(), FakeOversize::default());
    let records = DynamoRecords::new(client, TABLE, oversize, RecordFormat::Compact)
        .with_dictionary(dictionary);
    records.update(&key, &update).await.unwrap();
    let key = json!({
        "pk": { "S": key.partition() },
        "sk": { "S": key.id.as_str() },
    });
    let item = item_at(service, &key).await;
    let read = read_record(&item, &FakeOversize::default()).await.unwrap();
    assert_eq!(read.as_deref(), Some(record));
    service.item_like(&key)
}

fn delivery() -> DeliveryId {
    DeliveryId::new(Timestamp::from_millis(1_795_176_000_000), &[9; 10])
}
