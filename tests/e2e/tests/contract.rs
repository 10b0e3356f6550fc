//! The adapters on the local stack's emulator, held to the contracts that the fakes of `testkit` keep.
//!
//! `ORDERHOOK_OUTPUTS` names the file that `cargo local up` writes. Tables, queues, the bucket and the secrets
//! are made for each test and taken away after it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::panic::resume_unwind;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws::client::{Access, Aws};
use aws::dynamo::receipts::read::read_delivery;
use aws::dynamo::receipts::write::DynamoReceipts;
use aws::dynamo::records::{DynamoRecords, RecordFormat, read_record};
use aws::dynamo::tokens::DynamoTokens;
use aws::s3::S3Oversize;
use aws::secrets::SigningSecrets;
use aws::secrets::write::AccountSecrets;
use aws::sns::SnsTopics;
use aws::sqs::SqsQueues;
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType, TableStatus,
};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use domain::account::{AccountName, TokenEntry, TokenHash};
use domain::identity::DeliveryId;
use domain::ports::QueueUrl;
use domain::record::RecordKey;
use domain::signature::SigningKeys;
use domain::subscription::Secrets as _;
use http::Method;
use serde::Deserialize;
use testkit::contract::{
    self, EMULATOR_LAXITY, KeyStore, LANE_MESSAGES, Lane, Laxity, QueueReader, QueueSet,
    ReadReceipt, ReadRecord, ReceiptReader, RecordReader, TokenStore,
};
use testkit::fakes::Sent;

/// How long anything may take to come about.
const DEADLINE: Duration = Duration::from_secs(30);

/// How to reach the emulator.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outputs {
    endpoint_url: String,
    region: String,
    access_key_id: String,
    secret_access_key: String,
}

/// AWS as the emulator plays it, and a name for what one test makes there.
#[derive(Clone)]
struct Place {
    aws: Aws,
    caller: local::aws::Aws,
    region: String,
    name: String,
}

impl Place {
    async fn of(test: &str) -> Self {
        let path = std::env::var("ORDERHOOK_OUTPUTS").expect(
            "ORDERHOOK_OUTPUTS has to name .local/outputs.json, which `cargo local up` writes",
        );
        let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let outputs: Outputs = serde_json::from_slice(&text).unwrap();
        let caller = local::aws::Aws::new(
            &outputs.endpoint_url,
            &outputs.region,
            &outputs.access_key_id,
            &outputs.secret_access_key,
        );
        let credentials = Credentials::new(
            outputs.access_key_id,
            outputs.secret_access_key,
            None,
            None,
            "outputs",
        );
        let access = Access {
            region: outputs.region.clone(),
            endpoint: Some(outputs.endpoint_url),
            credentials,
        };
        #[expect(clippy::disallowed_methods, reason = "every run has another time")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Self {
            aws: Aws::new(access).unwrap(),
            caller: caller.unwrap(),
            region: outputs.region,
            name: format!("contract-{test}-{}", now.as_nanos()),
        }
    }

    async fn table(&self, suffix: &str, keys: &[(&str, KeyType)]) -> String {
        let table = format!("{}-{suffix}", self.name);
        let mut call = self
            .aws
            .dynamo()
            .create_table()
            .table_name(&table)
            .billing_mode(BillingMode::PayPerRequest);
        for (name, key) in keys {
            let attribute = AttributeDefinition::builder()
                .attribute_name(*name)
                .attribute_type(ScalarAttributeType::S);
            let key = KeySchemaElement::builder()
                .attribute_name(*name)
                .key_type(key.clone());
            call = call
                .attribute_definitions(attribute.build().unwrap())
                .key_schema(key.build().unwrap());
        }
        call.send().await.unwrap();
        until("the table is active", async || {
            let answer = self.aws.dynamo().describe_table().table_name(&table);
            let answer = answer.send().await.unwrap();
            answer.table().unwrap().table_status() == Some(&TableStatus::Active)
        })
        .await;
        table
    }

    async fn sorted_table(&self, suffix: &str) -> String {
        let keys = [("pk", KeyType::Hash), ("sk", KeyType::Range)];
        self.table(suffix, &keys).await
    }

    async fn drop_table(&self, table: &str) {
        let call = self.aws.dynamo().delete_table().table_name(table);
        call.send().await.unwrap();
    }

    async fn bucket(&self) -> S3Oversize {
        let path = format!("/{}", self.name);
        let place = format!(
            "<CreateBucketConfiguration><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
            self.region
        );
        let made = self.caller.s3(Method::PUT, &path, place.into());
        made.await.unwrap();
        S3Oversize::of(&self.aws, &self.name)
    }

    async fn drop_bucket(&self) {
        let path = format!("/{}", self.name);
        let objects = self
            .caller
            .s3(Method::GET, &path, Vec::new())
            .await
            .unwrap();
        let objects = String::from_utf8(objects).unwrap();
        let objects = roxmltree::Document::parse(&objects).unwrap();
        let keys = objects
            .descendants()
            .filter(|node| node.tag_name().name() == "Key");
        for key in keys.filter_map(|node| node.text()) {
            let path = format!("{path}/{}", domain::uri::path(key));
            self.caller
                .s3(Method::DELETE, &path, Vec::new())
                .await
                .unwrap();
        }
        self.caller
            .s3(Method::DELETE, &path, Vec::new())
            .await
            .unwrap();
    }

    async fn queue(&self, suffix: &str, attributes: &[(QueueAttributeName, &str)]) -> QueueUrl {
        let mut call = self.aws.sqs().create_queue();
        for (name, value) in attributes {
            call = call.attributes(name.clone(), *value);
        }
        let answer = call
            .queue_name(format!("{}{suffix}", self.name))
            .send()
            .await;
        QueueUrl::new(answer.unwrap().queue_url().unwrap())
    }

    async fn drop_queue(&self, queue: &QueueUrl) {
        let call = self.aws.sqs().delete_queue().queue_url(queue.as_str());
        call.send().await.unwrap();
    }
}

/// Asks until the answer is yes.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < DEADLINE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
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
            let received = self.receive(queue).await;
            let is_empty = received.is_empty();
            for (sent, _, receipt) in received {
                let call = self.aws.sqs().delete_message().queue_url(queue.as_str());
                call.receipt_handle(receipt).send().await.unwrap();
                taken.push(sent);
            }
            // One look more than it takes, for what should not be there.
            if is_empty && (taken.len() >= expected || begin.elapsed() > DEADLINE) {
                return taken;
            }
        }
    }

    /// The emulator drops what a batch has beside the messages' own attributes.
    fn keeps_traces(&self) -> bool {
        false
    }
}

impl Place {
    /// What is visible: message, body and receipt handle.
    async fn receive(&self, queue: &QueueUrl) -> Vec<(Sent, String, String)> {
        let answer = self
            .aws
            .sqs()
            .receive_message()
            .queue_url(queue.as_str())
            .max_number_of_messages(10)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .unwrap();
        let messages = answer.messages.unwrap_or_default().into_iter();
        messages
            .map(|message| {
                let system = message.attributes.unwrap_or_default();
                let own = message.message_attributes.unwrap_or_default();
                let body = message.body.unwrap_or_default();
                let sent = Sent {
                    body: body.clone(),
                    group: system
                        .get(&MessageSystemAttributeName::MessageGroupId)
                        .cloned(),
                    deduplication: system
                        .get(&MessageSystemAttributeName::MessageDeduplicationId)
                        .cloned(),
                    attributes: own
                        .into_iter()
                        .map(|(name, value)| (name, value.string_value.unwrap_or_default()))
                        .collect::<BTreeMap<_, _>>(),
                    trace: system
                        .get(&MessageSystemAttributeName::AwsTraceHeader)
                        .cloned(),
                };
                (sent, body, message.receipt_handle.unwrap())
            })
            .collect()
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
        place.drop_queue(&set.standard).await;
        place.drop_queue(&set.fifo).await;
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
            self.place.drop_queue(queue).await;
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
    let store = place.bucket().await;
    let suite = async move {
        contract::oversize(&store).await;
        contract::oversize_laxity(&store).await
    };
    let lax = clean_after(suite, place.drop_bucket()).await;
    assert_eq!(lax, laxity_among(&Laxity::OF_OVERSIZE));
}

struct Accounts {
    place: Place,
    table: String,
}

impl TokenStore for Accounts {
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
        self.place
            .aws
            .dynamo()
            .put_item()
            .table_name(&self.table)
            .set_item(Some(
                item.map(|(name, value)| (name.to_owned(), value)).collect(),
            ))
            .send()
            .await
            .unwrap();
    }
}

#[tokio::test]
// requirement: check-fakes
async fn tokens() {
    let place = Place::of("tokens").await;
    let table = place.table("accounts", &[("pk", KeyType::Hash)]).await;
    let accounts = Accounts {
        place: place.clone(),
        table: table.clone(),
    };
    let suite = async move {
        let tokens = DynamoTokens::new(accounts.place.aws.dynamo(), &accounts.table);
        contract::tokens(&tokens, &accounts).await;
    };
    clean_after(suite, place.drop_table(&table)).await;
}

impl KeyStore for Place {
    async fn put(&self, account: &AccountName, keys: &SigningKeys) {
        let (oauth, signing) = (
            format!("{}/oauth/", self.name),
            format!("{}/signing/", self.name),
        );
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

struct ReceiptsTable {
    place: Place,
    table: String,
    oversize: S3Oversize,
}

impl ReceiptReader for ReceiptsTable {
    async fn receipt(&self, account: &AccountName, delivery: DeliveryId) -> Option<ReadReceipt> {
        let partition = format!("{account}#{}", delivery.first_seen().day());
        let answer = self
            .place
            .aws
            .dynamo()
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(partition))
            .key("sk", AttributeValue::S(delivery.to_string()))
            .consistent_read(true)
            .send()
            .await
            .unwrap();
        let item = answer.item?;
        let text = |name: &str| item[name].as_s().unwrap().clone();
        Some(ReadReceipt {
            registration: text("registration"),
            webhook: item
                .get("webhook")
                .map(|webhook| webhook.as_s().unwrap().clone()),
            proof: text("proof"),
            received: text("received"),
            hash: text("hash"),
            events: item["events"].as_n().unwrap().parse().unwrap(),
            form: item.get("form").map(|form| form.as_s().unwrap().clone()),
            kept: read_delivery(&item, &self.oversize).await.unwrap(),
        })
    }

    async fn failures(&self, account: &AccountName) -> usize {
        let answer = self
            .place
            .aws
            .dynamo()
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(format!("#strike#{account}")))
            .consistent_read(true)
            .send()
            .await
            .unwrap();
        answer.items().len()
    }
}

#[tokio::test]
// requirement: check-fakes
async fn receipts() {
    let place = Place::of("receipts").await;
    let table = ReceiptsTable {
        table: place.sorted_table("receipts").await,
        oversize: place.bucket().await,
        place: place.clone(),
    };
    let name = table.table.clone();
    let suite = async move {
        let client = table.place.aws.dynamo();
        let oversize = table.oversize.clone();
        let receipts = DynamoReceipts::new(client, &table.table, oversize, 250_000, 86_400);
        contract::receipts(&receipts, &table).await;
    };
    let cleaning = async {
        place.drop_table(&name).await;
        place.drop_bucket().await;
    };
    clean_after(suite, cleaning).await;
}

struct RecordsTable {
    place: Place,
    table: String,
    oversize: S3Oversize,
}

impl RecordReader for RecordsTable {
    async fn read(&self, key: &RecordKey) -> Option<ReadRecord> {
        let answer = self
            .place
            .aws
            .dynamo()
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(key.partition()))
            .key("sk", AttributeValue::S(key.id.as_str().to_owned()))
            .consistent_read(true)
            .send()
            .await
            .unwrap();
        let item = answer.item?;
        let text = |name| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        let ids = item.get("event_ids").and_then(|ids| ids.as_ss().ok());
        let ids = ids.into_iter().flatten();
        Some(ReadRecord {
            data: read_record(&item, &self.oversize).await.unwrap(),
            event_type: text("event_type"),
            deleted: item.get("deleted") == Some(&AttributeValue::Bool(true)),
            occurrences: ids.map(|id| id.parse().unwrap()).collect(),
        })
    }
}

async fn records_in(test: &str, format: RecordFormat) {
    let place = Place::of(test).await;
    let table = RecordsTable {
        table: place.sorted_table("records").await,
        oversize: place.bucket().await,
        place: place.clone(),
    };
    let name = table.table.clone();
    let suite = async move {
        let client = table.place.aws.dynamo();
        let records = DynamoRecords::new(client, &table.table, table.oversize.clone(), format);
        contract::records(&records, &table).await;
        contract::record_laxity(&records).await
    };
    let cleaning = async {
        place.drop_table(&name).await;
        place.drop_bucket().await;
    };
    let lax = clean_after(suite, cleaning).await;
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
            let more = self.place.receive(&self.queue).await;
            let is_empty = more.is_empty();
            received.extend(more.into_iter().map(|(_, body, receipt)| (body, receipt)));
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
            let call = sqs.send_message().queue_url(lane.queue.as_str());
            let call = call.message_body(format!("message {number}"));
            call.send().await.unwrap();
        }
        contract::redelivery(&SqsQueues::new(sqs), &lane).await;
    };
    clean_after(suite, place.drop_queue(&queue)).await;
}
