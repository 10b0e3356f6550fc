//! The adapters on the local stack's emulator, held to the contracts that the fakes of `testkit` keep.
//!
//! Tables, queues, the bucket and the secrets are made for each test and taken away after it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::ops::Deref;
use std::panic::resume_unwind;
use std::time::{Duration, Instant};

use aws::dynamo::receipts::read::read_delivery;
use aws::dynamo::receipts::write::DynamoReceipts;
use aws::dynamo::records::{DynamoRecords, RecordFormat, read_record};
use aws::dynamo::tokens::DynamoTokens;
use aws::s3::S3Oversize;
use aws::secrets::SigningSecrets;
use aws::secrets::write::AccountSecrets;
use aws::sns::SnsTopics;
use aws::sqs::SqsQueues;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use domain::account::{AccountName, TokenEntry, TokenHash};
use domain::identity::DeliveryId;
use domain::ports::QueueUrl;
use domain::record::RecordKey;
use domain::signature::SigningKeys;
use domain::subscription::Secrets as _;
use e2e::scratch::Scratch;
use e2e::tables::text;
use http::Method;
use testkit::contract::{
    self, EMULATOR_LAXITY, KeyStore, LANE_MESSAGES, Lane, Laxity, QueueReader, QueueSet,
    ReadReceipt, ReadRecord, ReceiptReader, RecordReader, TokenStore,
};
use testkit::fakes::Sent;

/// How long anything may take to come about.
const DEADLINE: Duration = Duration::from_secs(30);

/// What one test makes on the emulator, with its eyes and hands there: a table, a bucket, queues and secrets of one name.
#[derive(Clone)]
struct Place(Scratch);

impl Deref for Place {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.0
    }
}

impl Place {
    async fn of(test: &str) -> Self {
        Self(Scratch::of(&format!("contract-{test}")).await)
    }

    fn oversize(&self) -> S3Oversize {
        S3Oversize::of(&self.aws, &self.name)
    }

    async fn make_bucket(&self) {
        let region = &self.stack.outputs.region;
        let place = format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        );
        let path = format!("/{}", self.name);
        self.stack.s3(Method::PUT, &path, place.into()).await;
    }

    async fn drop_bucket(&self) {
        let path = format!("/{}", self.name);
        let objects = self.stack.s3(Method::GET, &path, Vec::new()).await;
        let objects = roxmltree::Document::parse(&objects).unwrap();
        let nodes = objects.descendants();
        let keys = nodes.filter(|node| node.tag_name().name() == "Key");
        for key in keys.filter_map(|node| node.text()) {
            let path = format!("{path}/{}", domain::uri::path(key));
            self.stack.s3(Method::DELETE, &path, Vec::new()).await;
        }
        self.stack.s3(Method::DELETE, &path, Vec::new()).await;
    }

    /// A table and a bucket.
    async fn make_stores(&self) {
        self.make_table(&["pk", "sk"]).await;
        self.make_bucket().await;
    }

    async fn drop_stores(&self) {
        self.drop_table().await;
        self.drop_bucket().await;
    }

    async fn queue(&self, suffix: &str, attributes: &[(QueueAttributeName, &str)]) -> QueueUrl {
        let name = format!("{}{suffix}", self.name);
        QueueUrl::new(self.stack.make_queue(&name, attributes).await)
    }
}

/// Runs a suite, takes away what was made for it, and only then says what became of it.
async fn clean_after<T: 'static>(
    suite: impl Future<Output = T> + 'static,
    cleaning: impl Future<Output = ()>,
) -> T {
    let result = tokio::task::LocalSet::new()
        .run_until(async { tokio::task::spawn_local(suite).await })
        .await;
    cleaning.await;
    result.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

/// The part of the table that one suite can tell of, so that each test holds its part exactly.
fn laxity_among(all: &[Laxity]) -> BTreeSet<Laxity> {
    let listed = EMULATOR_LAXITY.iter().copied();
    listed.filter(|laxity| all.contains(laxity)).collect()
}

impl QueueReader for Place {
    async fn take(&self, queue: &QueueUrl, expected: usize) -> Vec<Sent> {
        let mut taken = Vec::new();
        let begin = Instant::now();
        loop {
            let received = self.stack.receive(queue.as_str()).await;
            for message in &received {
                self.stack.take_out(queue.as_str(), message).await;
                let message = message.clone();
                let system = message.attributes.unwrap_or_default();
                let system = |name| system.get(&name).cloned();
                let own = message.message_attributes.unwrap_or_default().into_iter();
                taken.push(Sent {
                    body: message.body.unwrap_or_default(),
                    group: system(MessageSystemAttributeName::MessageGroupId),
                    deduplication: system(MessageSystemAttributeName::MessageDeduplicationId),
                    attributes: own
                        .map(|(name, value)| (name, value.string_value.unwrap_or_default()))
                        .collect(),
                    trace: system(MessageSystemAttributeName::AwsTraceHeader),
                });
            }
            // One look more than it takes, for what should not be there.
            if received.is_empty() && (taken.len() >= expected || begin.elapsed() > DEADLINE) {
                return taken;
            }
        }
    }

    /// The emulator drops what a batch has beside the messages' own attributes.
    fn keeps_traces(&self) -> bool {
        false
    }
}

#[tokio::test]
// requirement: check-fakes
async fn queues() {
    let place = Place::of("queues").await;
    let size = (QueueAttributeName::MaximumMessageSize, "1048576");
    let fifo = (QueueAttributeName::FifoQueue, "true");
    let standard = place.queue("", std::slice::from_ref(&size)).await;
    let set = QueueSet {
        fifo: place.queue(".fifo", &[size, fifo]).await,
        missing: QueueUrl::new(format!("{standard}-missing")),
        standard,
    };
    let suite = {
        let (place, set) = (place.clone(), set.clone());
        async move {
            let queues = SqsQueues::new(place.aws.sqs());
            contract::queues(&queues, &set, &place).await;
            contract::queue_laxity(&queues, &set, &place).await
        }
    };
    let cleaning = async {
        for queue in [&set.standard, &set.fifo] {
            place.stack.drop_queue(queue.as_str()).await;
        }
    };
    let lax = clean_after(suite, cleaning).await;
    assert_eq!(lax, laxity_among(&Laxity::OF_QUEUES));
}

/// Topics, each with a queue that is subscribed to it.
#[derive(Clone)]
struct Subscribed {
    place: Place,
    queues: BTreeMap<QueueUrl, QueueUrl>,
}

impl Subscribed {
    /// Makes a topic and its queue, which has everything published to it as it was published.
    async fn topic(&mut self, suffix: &str) -> QueueUrl {
        let name = format!("{}{suffix}", self.place.name);
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"*"}]}"#;
        let mut attributes = vec![(QueueAttributeName::Policy, policy)];
        let mut call = self.place.aws.sns().create_topic().name(&name);
        if suffix.ends_with(".fifo") {
            attributes.push((QueueAttributeName::FifoQueue, "true"));
            call = call.attributes("FifoTopic", "true");
        }
        let topic = call.send().await.unwrap().topic_arn.unwrap();
        let queue = self.place.queue(suffix, &attributes).await;
        let call = self.place.aws.sqs().get_queue_attributes();
        let call = call.queue_url(queue.as_str());
        let known = call.attribute_names(QueueAttributeName::QueueArn);
        let known = known.send().await.unwrap().attributes.unwrap();
        let call = self.place.aws.sns().subscribe().topic_arn(&topic);
        call.protocol("sqs")
            .endpoint(&known[&QueueAttributeName::QueueArn])
            .attributes("RawMessageDelivery", "true")
            .send()
            .await
            .unwrap();
        let topic = QueueUrl::new(topic);
        self.queues.insert(topic.clone(), queue);
        topic
    }

    async fn drop_all(&self) {
        for (topic, queue) in &self.queues {
            let call = self.place.aws.sns().delete_topic();
            call.topic_arn(topic.as_str()).send().await.unwrap();
            self.place.stack.drop_queue(queue.as_str()).await;
        }
    }
}

impl QueueReader for Subscribed {
    async fn take(&self, topic: &QueueUrl, expected: usize) -> Vec<Sent> {
        self.place.take(&self.queues[topic], expected).await
    }

    fn keeps_traces(&self) -> bool {
        self.place.keeps_traces()
    }
}

#[tokio::test]
// requirement: check-fakes
async fn topics() {
    let mut subscribed = Subscribed {
        place: Place::of("topics").await,
        queues: BTreeMap::new(),
    };
    let standard = subscribed.topic("").await;
    let set = QueueSet {
        fifo: subscribed.topic(".fifo").await,
        missing: QueueUrl::new(format!("{standard}-missing")),
        standard,
    };
    let suite = {
        let subscribed = subscribed.clone();
        async move {
            let topics = SnsTopics::new(subscribed.place.aws.sns());
            contract::topics(&topics, &set, &subscribed).await;
        }
    };
    clean_after(suite, subscribed.drop_all()).await;
}

#[tokio::test]
// requirement: check-fakes
async fn oversize() {
    let place = Place::of("oversize").await;
    place.make_bucket().await;
    let store = place.oversize();
    let suite = async move {
        contract::oversize(&store).await;
        contract::oversize_laxity(&store).await
    };
    let lax = clean_after(suite, place.drop_bucket()).await;
    assert_eq!(lax, laxity_among(&Laxity::OF_OVERSIZE));
}

impl TokenStore for Place {
    async fn put(&self, token: &TokenHash, entry: &TokenEntry) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let webhook = entry.webhook.as_ref();
        let webhook = webhook.map(|webhook| ("webhook", text(webhook.as_str())));
        let item = [
            ("pk", text(&format!("token#{token}"))),
            ("account", text(entry.account.as_str())),
            ("source", text(entry.source.as_str())),
            ("keys", AttributeValue::N(entry.keys.get().to_string())),
            ("status", text(entry.status.as_str())),
        ];
        let policy = entry.policy.map(|policy| ("policy", text(policy.as_str())));
        let item = item.into_iter().chain(webhook).chain(policy);
        let item = item.map(|(name, value)| (name.to_owned(), value));
        let put = self.stack.dynamo.put_item().table_name(&self.name);
        put.set_item(Some(item.collect())).send().await.unwrap();
    }
}

#[tokio::test]
// requirement: check-fakes
async fn tokens() {
    let place = Place::of("tokens").await;
    place.make_table(&["pk"]).await;
    let store = place.clone();
    let suite = async move {
        let tokens = DynamoTokens::new(store.aws.dynamo(), &store.name);
        contract::tokens(&tokens, &store).await;
    };
    clean_after(suite, place.drop_table()).await;
}

impl KeyStore for Place {
    async fn put(&self, account: &AccountName, keys: &SigningKeys) {
        let [oauth, signing] = ["oauth", "signing"].map(|kind| format!("{}/{kind}/", self.name));
        let secrets = AccountSecrets::new(self.aws.secrets(), oauth, signing, 7);
        secrets.put_keys(account, keys).await.unwrap();
    }
}

#[tokio::test]
// requirement: check-fakes
async fn keys() {
    let place = Place::of("keys").await;
    let store = place.clone();
    let suite = async move {
        let prefix = format!("{}/signing/", store.name);
        let keys = SigningSecrets::new(store.aws.secrets(), prefix);
        contract::keys(&keys, &store).await;
    };
    let cleaning = async {
        for account in ["acme", "other"] {
            let call = place.aws.secrets().delete_secret();
            let name = format!("{}/signing/{account}", place.name);
            let call = call.secret_id(name).force_delete_without_recovery(true);
            call.send().await.unwrap();
        }
    };
    clean_after(suite, cleaning).await;
}

impl ReceiptReader for Place {
    async fn receipt(&self, account: &AccountName, delivery: DeliveryId) -> Option<ReadReceipt> {
        let partition = format!("{account}#{}", delivery.first_seen().day());
        let sort = delivery.to_string();
        let item = self.stack.item(&self.name, &partition, Some(&sort)).await?;
        let text = |name: &str| item[name].as_s().unwrap().clone();
        let optional = |name: &str| item.contains_key(name).then(|| text(name));
        Some(ReadReceipt {
            registration: text("registration"),
            webhook: optional("webhook"),
            proof: text("proof"),
            received: text("received"),
            hash: text("hash"),
            events: item["events"].as_n().unwrap().parse().unwrap(),
            form: optional("form"),
            kept: read_delivery(&item, &self.oversize()).await.unwrap(),
        })
    }

    async fn failures(&self, account: &AccountName) -> usize {
        let partition = format!("#strike#{account}");
        self.stack.query(&self.name, &partition).await.len()
    }
}

#[tokio::test]
// requirement: check-fakes
async fn receipts() {
    let place = Place::of("receipts").await;
    place.make_stores().await;
    let store = place.clone();
    let suite = async move {
        let (client, oversize) = (store.aws.dynamo(), store.oversize());
        let receipts = DynamoReceipts::new(client, &store.name, oversize, 250_000, 86_400);
        contract::receipts(&receipts, &store).await;
    };
    clean_after(suite, place.drop_stores()).await;
}

impl RecordReader for Place {
    async fn read(&self, key: &RecordKey) -> Option<ReadRecord> {
        let (partition, sort) = (key.partition(), Some(key.id.as_str()));
        let item = self.stack.item(&self.name, &partition, sort).await?;
        let ids = item.get("event_ids").and_then(|ids| ids.as_ss().ok());
        let ids = ids.into_iter().flatten();
        Some(ReadRecord {
            data: read_record(&item, &self.oversize()).await.unwrap(),
            event_type: text(&item, "event_type"),
            deleted: item.get("deleted") == Some(&AttributeValue::Bool(true)),
            occurrences: ids.map(|id| id.parse().unwrap()).collect(),
        })
    }
}

async fn records_in(test: &str, format: RecordFormat) {
    let place = Place::of(test).await;
    place.make_stores().await;
    let store = place.clone();
    let suite = async move {
        let (client, oversize) = (store.aws.dynamo(), store.oversize());
        let records = DynamoRecords::new(client, &store.name, oversize, format);
        contract::records(&records, &store).await;
        contract::record_laxity(&records).await
    };
    let lax = clean_after(suite, place.drop_stores()).await;
    assert_eq!(lax, laxity_among(&Laxity::OF_RECORDS));
}

#[tokio::test]
// requirement: record-limits
async fn records_as_maps() {
    records_in("native", RecordFormat::Native).await;
}

#[tokio::test]
// requirement: record-limits
async fn records_as_compressed_text() {
    records_in("compact", RecordFormat::Compact).await;
}

struct LaneQueue {
    place: Place,
    queue: QueueUrl,
}

impl Lane for LaneQueue {
    fn queue(&self) -> &QueueUrl {
        &self.queue
    }

    async fn receive(&self, expected: usize) -> Vec<(String, String)> {
        let mut received = Vec::new();
        let begin = Instant::now();
        loop {
            let more = self.place.stack.receive(self.queue.as_str()).await;
            let is_empty = more.is_empty();
            received.extend(more.into_iter().map(|message| {
                let body = message.body.unwrap_or_default();
                (body, message.receipt_handle.unwrap())
            }));
            if is_empty && (received.len() >= expected || begin.elapsed() > DEADLINE) {
                return received;
            }
        }
    }
}

#[tokio::test]
// requirement: check-fakes
async fn redelivery() {
    let place = Place::of("redelivery").await;
    let visibility = (QueueAttributeName::VisibilityTimeout, "600");
    let lane = LaneQueue {
        queue: place.queue("", &[visibility]).await,
        place: place.clone(),
    };
    let queue = lane.queue.clone();
    let suite = async move {
        let sqs = lane.place.aws.sqs();
        for number in 0..LANE_MESSAGES {
            let body = format!("message {number}");
            let stack = &lane.place.stack;
            stack.put_message(lane.queue.as_str(), &body).await;
        }
        contract::redelivery(&SqsQueues::new(sqs), &lane).await;
    };
    clean_after(suite, place.stack.drop_queue(queue.as_str())).await;
}
