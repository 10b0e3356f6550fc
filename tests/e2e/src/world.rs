//! One test's own corner of the shared stack: an account, and a hand that posts as Orderspace does.
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a test stops where its world cannot be made"
)]

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::account::{TokenStatus, UrlToken};
use domain::signature::Assurance;
use domain::source::Source;
use http::{HeaderMap, Method};
use local::aws::Answer as AdminAnswer;
use serde::Deserialize;
use serde_json::{Value, json};
use simulator::SiteControl;
use simulator::control::{WebhookChange, WebhookStatus};
use testkit::signing::Signer;

use crate::operator::Operator;
use crate::proxy::{Call, Fault, Rule};
use crate::queue_reader::{ACCOUNT_PREFIX, QueueMessage, QueueReader};
use crate::scratch::unique;
use crate::stack::Stack;
use crate::tables::Record;
use crate::team::TeamQueue;
use crate::waiting::{until, until_within};

/// How long a delivery is posted again until it is accepted. Orderspace is more patient.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(60);

/// An answer to a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The headers.
    pub headers: HeaderMap,
}

impl Answer {
    /// Whether the delivery is accepted; an error says what is answered instead.
    ///
    /// # Errors
    /// It is not.
    pub fn accepted(&self) -> Result<(), String> {
        match self.status {
            200 => Ok(()),
            status => Err(format!("{status} {}", self.body)),
        }
    }
}

/// A quarantine message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarantined {
    /// Whose delivery.
    pub account: String,
    /// Which one.
    pub deliveryid: String,
    /// When it was received.
    pub time: String,
    /// Why no part of it could be read.
    pub reason: Option<String>,
    /// Which parts could not be used, and why.
    #[serde(default)]
    pub elements: Vec<BadElement>,
    /// Where its bytes are.
    pub receipt: ReceiptKey,
}

/// A part of a delivery that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadElement {
    /// Its position.
    pub index: u32,
    /// Why.
    pub reason: String,
}

/// The key of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptKey {
    /// The partition.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

/// An account of its own for one test. No `Debug` of its secrets.
pub struct World {
    /// The stack that all tests share.
    pub stack: Stack,
    /// Whose webhooks come.
    pub source: Source,
    /// The account's name.
    pub account: String,
    /// Orderspace's side, where the account was really connected.
    pub site: Option<SiteControl>,
    /// What the team gets of this account.
    pub team: TeamQueue,
    token: String,
    webhook: String,
    key: String,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl World {
    /// An account that was connected as an operator does it: by the admin API, at a site of its own.
    ///
    /// # Panics
    /// It cannot be connected.
    pub async fn connected() -> Self {
        let operator = Operator::connected().await;
        let webhooks = operator.webhooks().await;
        let [webhook] = webhooks.as_slice() else {
            panic!("{} webhooks after connecting", webhooks.len());
        };
        let token = webhook.endpoint.rsplit('/').next().unwrap_or_default();
        let (stack, account) = (operator.stack, operator.account);
        let key = webhook.signing_key.clone();
        let world = Self::over(stack, account, token.to_owned(), webhook.id.clone(), key);
        Self {
            site: Some(operator.site),
            ..world
        }
    }

    /// An account as connecting would leave it, without Orderspace: quicker where only deliveries matter.
    ///
    /// # Panics
    /// The stack does not take it.
    pub async fn planted() -> Self {
        Self::planted_of(Source::Orderspace).await
    }

    /// The same for any source.
    ///
    /// # Panics
    /// The stack does not take it.
    pub async fn planted_of(source: Source) -> Self {
        let world = Self::without_keys_of(source).await;
        world.give_keys().await;
        world
    }

    /// An account whose URL is known and whose keys are not held yet: the moment between the two steps of
    /// connecting.
    ///
    /// # Panics
    /// The stack does not take it.
    pub async fn without_keys() -> Self {
        Self::without_keys_of(Source::Orderspace).await
    }

    /// The same for any source.
    ///
    /// # Panics
    /// The stack does not take it.
    pub async fn without_keys_of(source: Source) -> Self {
        let stack = Stack::here().await;
        let account = account_name();
        let token = UrlToken::from_random(&random()).expose().to_owned();
        let webhook = format!("wh_{}", &account[ACCOUNT_PREFIX.len()..]);
        let world = Self::over(stack, account, token, webhook, random_digits::<20>());
        let world = Self { source, ..world };
        world.set_token(TokenStatus::Live).await;
        world
    }

    fn over(stack: Stack, account: String, token: String, webhook: String, key: String) -> Self {
        note_secret(&stack, &token);
        note_secret(&stack, &key);
        Self {
            team: TeamQueue::of(&stack, &account),
            stack,
            source: Source::Orderspace,
            account,
            site: None,
            token,
            webhook,
            key,
        }
    }

    /// Stores the URL token with a status.
    ///
    /// # Panics
    /// The table does not take it.
    pub async fn set_token(&self, status: TokenStatus) {
        let key = format!("token#{}", self.token_hash());
        let item = [
            ("pk", key.as_str()),
            ("account", self.account.as_str()),
            ("source", self.source.as_str()),
            ("webhook", self.webhook.as_str()),
            ("status", status.as_str()),
        ];
        let item = item.map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned())));
        let put = self.stack.dynamo.put_item().set_item(Some(item.into()));
        let put = put.table_name(self.stack.output("AccountsTable"));
        put.send().await.expect("the accounts table takes a token");
    }

    /// Stores the signing key.
    ///
    /// # Panics
    /// It is not taken.
    pub async fn give_keys(&self) {
        let place = match Signer::of(self.source.as_str()).assurance {
            Assurance::SharedSecret => "header",
            Assurance::Signature | Assurance::UrlToken => "macs",
        };
        let keys = json!({ "version": 0, place: [&self.key] });
        let keys = json!({ "keys": {}, "registrations": { self.token_hash(): keys } });
        let create = self.stack.secrets.create_secret();
        let create = create.name(self.secret_name("signing"));
        let created = create.secret_string(keys.to_string()).send().await;
        created.expect("a new secret is taken");
    }

    /// The name of an account's secret: `signing` or `oauth`.
    #[must_use]
    pub fn secret_name(&self, kind: &str) -> String {
        let stack = &self.stack.outputs.stack_name;
        format!("{stack}/{kind}/{}", self.account)
    }

    /// An account's secret: `signing` or `oauth`.
    ///
    /// # Panics
    /// There is none.
    pub async fn secret(&self, kind: &str) -> Value {
        let secret = self.stack.secrets.get_secret_value();
        let secret = secret.secret_id(self.secret_name(kind)).send().await;
        let secret = secret.expect("a secret of the account");
        serde_json::from_str(secret.secret_string().unwrap_or_default()).expect("a secret is JSON")
    }

    /// Calls the admin API about the account once; `path` follows its name.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> AdminAnswer {
        let path = format!("/accounts/{}{path}", self.account);
        self.stack.admin(method, &path, body).await
    }

    /// The same until it is done, as an operator does who is asked to retry.
    ///
    /// # Panics
    /// It is not in time.
    pub async fn done(&self, method: Method, path: &str) -> AdminAnswer {
        self.stack.done(&self.account, method, path, None).await
    }

    /// Lets Orderspace sign with another key, and answers the webhook with it.
    ///
    /// # Panics
    /// The account was planted.
    pub async fn change_key(&self) -> WebhookStatus {
        let webhooks = self.site().webhooks().await.expect("the site's webhooks");
        let webhook = webhooks.first().expect("a webhook of the account");
        let change = WebhookChange {
            new_signing_key: true,
            ..WebhookChange::default()
        };
        let changed = self.site().change_webhook(&webhook.id, &change).await;
        let changed = changed.expect("the simulator changes a key");
        self.note_secrets_of(&changed);
        changed
    }

    /// What the accounts table knows the URL token by. No secret.
    ///
    /// # Panics
    /// The token is none.
    #[must_use]
    pub fn token_hash(&self) -> String {
        let token: UrlToken = self.token.parse().expect("a token");
        token.hash().to_string()
    }

    /// The URL that this account's deliveries go to. A secret.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(&self.token)
    }

    /// The URL of another token.
    #[must_use]
    pub fn url_of(&self, token: &str) -> String {
        format!("{}/{}/{token}", self.stack.output("HooksUrl"), self.source)
    }

    /// The URL of this account's token at the route of a source.
    #[must_use]
    pub fn url_at(&self, source: Source) -> String {
        format!("{}/{source}/{}", self.stack.output("HooksUrl"), self.token)
    }

    /// The URL token. A secret.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The signing key. A secret.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Remembers the secrets of another webhook of this account for the test that looks for them in logs.
    ///
    /// # Panics
    /// The stack's directory cannot be written to.
    pub fn note_secrets_of(&self, webhook: &WebhookStatus) {
        let token = webhook.endpoint.rsplit('/').next().unwrap_or_default();
        note_secret(&self.stack, token);
        note_secret(&self.stack, &webhook.signing_key);
    }

    /// Orderspace's side.
    ///
    /// # Panics
    /// The account was planted.
    #[must_use]
    pub fn site(&self) -> &SiteControl {
        self.site
            .as_ref()
            .expect("an account that was really connected")
    }

    /// Posts once, signed as the source signs.
    pub async fn post(&self, body: &[u8]) -> Answer {
        self.post_at(self.source, body).await
    }

    /// Posts once to the route of a source, signed as that source signs, by this account's token and key.
    pub async fn post_at(&self, source: Source, body: &[u8]) -> Answer {
        self.post_signed(source, &self.key, body).await
    }

    /// Posts once, signed by another key.
    pub async fn post_by(&self, key: &str, body: &[u8]) -> Answer {
        self.post_signed(self.source, key, body).await
    }

    async fn post_signed(&self, source: Source, key: &str, body: &[u8]) -> Answer {
        let signer = Signer::of(source.as_str());
        let signature = signer.sign(key, body);
        note_secret(&self.stack, &signature);
        // The gateway hands a body of type JSON over as text, and puts U+FFFD where it is none.
        let content_type = match std::str::from_utf8(body) {
            Ok(_) => "application/json",
            Err(_) => "application/octet-stream",
        };
        let headers = [(signer.header, &*signature), ("content-type", content_type)];
        self.request(&self.url_at(source), body, &headers).await
    }

    /// Posts to any URL with any headers.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn request(&self, url: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        let mut request = self.stack.http.post(url).body(body.to_vec());
        let mut names = headers.iter().map(|(name, _)| name);
        if !names.any(|name| name.eq_ignore_ascii_case("content-type")) {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("an answer of the gateway");
        Answer {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            body: answer.text().await.expect("the answer's body"),
        }
    }

    /// Posts until it is accepted, as Orderspace does, and returns the statuses.
    ///
    /// # Panics
    /// It is not accepted in time.
    pub async fn deliver(&self, body: &[u8]) -> Vec<u16> {
        let mut statuses = Vec::new();
        until_within(DELIVERY_PATIENCE, "the delivery is accepted", async || {
            let answer = self.post(body).await;
            statuses.push(answer.status);
            answer.accepted()
        })
        .await;
        statuses
    }

    /// This account's mail in a queue, by the name of the template's output.
    #[must_use]
    pub fn reader(&self, queue: &str) -> QueueReader {
        QueueReader::new(&self.stack, queue, &self.account)
    }

    /// Waits for so many messages in a queue, and returns all that are there.
    ///
    /// # Panics
    /// They do not come.
    pub async fn messages(&self, queue: &str, count: usize) -> Vec<QueueMessage> {
        self.reader(queue).wait_for(count).await
    }

    /// This account's quarantine messages so far, each once: one whose answer came late or was lost is sent again.
    ///
    /// # Panics
    /// One is malformed.
    pub async fn quarantine(&self) -> Vec<Quarantined> {
        let messages = self.reader("QuarantineQueueUrl").messages().await;
        let bodies: BTreeSet<&str> = messages
            .iter()
            .map(|message| message.body.as_str())
            .collect();
        let read = bodies.into_iter().map(|body| {
            let message: Quarantined =
                serde_json::from_str(body).unwrap_or_else(|error| panic!("{error} in {body}"));
            assert_eq!(message.account, self.account);
            message
        });
        read.collect()
    }

    /// Waits for so many different quarantine messages.
    ///
    /// # Panics
    /// They do not come, there are more, or they are malformed.
    pub async fn quarantined(&self, count: usize) -> Vec<Quarantined> {
        let what = format!("{count} different messages in quarantine");
        let messages = until(&what, async || {
            let messages = self.quarantine().await;
            if messages.len() < count {
                return Err(format!("there are {}", messages.len()));
            }
            Ok(messages)
        })
        .await;
        assert_eq!(messages.len(), count, "messages in quarantine");
        messages
    }

    /// The bytes that a quarantine message points at.
    ///
    /// # Panics
    /// It points nowhere.
    pub async fn quarantined_body(&self, message: &Quarantined) -> Vec<u8> {
        let body = self
            .stack
            .receipt_at(&message.receipt.pk, &message.receipt.sk);
        body.await
            .expect("a quarantine message points at a receipt")
    }

    /// A record of this account.
    pub async fn record(&self, kind: &str, id: &str) -> Option<Record> {
        self.stack.record(&self.account, kind, id).await
    }

    /// Adds a rule to the proxy that only calls about this account meet.
    ///
    /// # Panics
    /// There is no proxy.
    pub async fn disturb(&self, operation: &str, resource: &str, fault: Fault) -> Disturbance {
        let rule = Rule::new(fault)
            .operation(operation)
            .resource(resource)
            .contains(&self.account);
        self.disturb_by(rule).await
    }

    /// Adds any rule to the proxy. It has to be one that other tests' calls do not meet.
    ///
    /// # Panics
    /// There is no proxy.
    pub async fn disturb_by(&self, rule: Rule) -> Disturbance {
        let proxy = self.stack.proxy();
        let id = proxy.add_rule(&rule).await.expect("the proxy takes a rule");
        Disturbance {
            stack: self.stack.clone(),
            id,
        }
    }

    /// Begins to note the functions' calls that name a marker.
    ///
    /// # Panics
    /// There is no proxy.
    pub async fn watch(&self, marker: &str) -> Watch {
        let proxy = self.stack.proxy();
        proxy.watch(marker).await.expect("the proxy watches");
        Watch {
            stack: self.stack.clone(),
            marker: marker.to_owned(),
        }
    }
}

/// A rule of the proxy.
#[derive(Debug)]
pub struct Disturbance {
    stack: Stack,
    id: u64,
}

impl Disturbance {
    /// How many calls met it.
    ///
    /// # Panics
    /// It was ended.
    pub async fn met(&self) -> u64 {
        let rules = self.stack.proxy().rules().await.expect("the proxy's rules");
        let rule = rules.iter().find(|rule| rule.id == self.id);
        rule.expect("a rule that was not removed").met
    }

    /// Ends it.
    ///
    /// # Panics
    /// It was ended before.
    pub async fn end(self) {
        let removed = self.stack.proxy().remove_rule(self.id).await;
        removed.expect("a rule that was not removed");
    }
}

/// The calls that name a marker.
#[derive(Debug)]
pub struct Watch {
    stack: Stack,
    marker: String,
}

impl Watch {
    /// The calls so far.
    ///
    /// # Panics
    /// There is no proxy any more.
    pub async fn calls(&self) -> Vec<Call> {
        let calls = self.stack.proxy().calls(&self.marker).await;
        calls.expect("a marker that is watched")
    }

    /// Ends it: every watch is one more thing to look for in every call.
    ///
    /// # Panics
    /// There is no proxy any more.
    pub async fn end(self) {
        let forgotten = self.stack.proxy().forget(&self.marker).await;
        forgotten.expect("the proxy forgets");
    }

    /// The calls so far that were answered, once none is under way.
    ///
    /// # Panics
    /// One stays under way.
    pub async fn settled(&self) -> Vec<Call> {
        until("no call is under way", async || {
            let calls = self.calls().await;
            let open = |call: &&Call| call.status.is_none() && call.fault.is_none();
            match calls.iter().find(open) {
                Some(call) => Err(format!("{call:?}")),
                None => Ok(calls),
            }
        })
        .await
    }
}

/// A name that no other test has.
pub(crate) fn account_name() -> String {
    unique(ACCOUNT_PREFIX)
}

/// Random bytes as hexadecimal digits; of twenty bytes, a secret that no log can hold by chance.
pub(crate) fn random_digits<const BYTES: usize>() -> String {
    let bytes = random::<BYTES>();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// Remembers a secret for the test that looks for secrets in logs.
pub(crate) fn note_secret(stack: &Stack, secret: &str) {
    let folder = secrets_folder(stack);
    std::fs::create_dir_all(&folder).expect("the stack's directory can be written to");
    let name = testkit::signing::sha256_hex(secret.as_bytes());
    std::fs::write(folder.join(name), secret).expect("the stack's directory can be written to");
}

/// Every secret that a test on this stack has used so far.
///
/// # Panics
/// The folder cannot be read.
#[must_use]
pub fn noted_secrets(stack: &Stack) -> Vec<String> {
    let entries = std::fs::read_dir(secrets_folder(stack)).expect("a test has used a secret");
    entries
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok())
        .collect()
}

fn secrets_folder(stack: &Stack) -> std::path::PathBuf {
    stack.directory.join("tmp/secrets-of-tests")
}
