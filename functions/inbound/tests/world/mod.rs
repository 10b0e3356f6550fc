//! The function among fakes: one connected account, and a source that posts.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a harness: each file uses its own part, and what cannot be made ends the test"
)]

pub mod source;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::account::{AccountName, KeysVersion, TokenEntry, TokenStatus, UrlToken, WebhookId};
use domain::identity::{BodyHash, DeliveryId};
use domain::ports::{Marker, MarkerKey, Markers as _, QueueUrl};
use domain::source::Source;
use domain::timestamp::Timestamp;
use inbound::Inbound;
use inbound::config::Config;
use lambda_http::Body;
use runtime::config::Variables;
use runtime::gateway::GatewayEvent;
use serde_json::Value;
use sources::Protocols;
use testkit::fakes::{FakeKeys, FakeOversize, FakeQueues, FakeReceipts, FakeTokens};
use testkit::fakes::{Fault, Faults, Journal, Sent, Step};
use testkit::gateway::{HookRequest, RECEIVED_MILLIS, hook};

pub const KEY: &str = "7R2gNdE4GU8K06WXPV9lOXBic9mSs5LjKMsk46eW";
pub const WEBHOOK: &str = "wh_1q4qn43v";
pub const BUDGET_MS: u64 = 3000;
pub const LEASE_SECONDS: u64 = 20;
pub const ENTRIES_BELIEVED: Duration = Duration::from_secs(10);
pub const KEYS_TTL: Duration = Duration::from_secs(300);

pub type Function = Inbound<'static, FakeTokens, FakeKeys, FakeQueues, FakeReceipts, FakeOversize>;

pub struct World {
    pub function: Function,
    pub tokens: &'static FakeTokens,
    pub keys: &'static FakeKeys,
    pub queues: &'static FakeQueues,
    pub receipts: &'static FakeReceipts,
    pub oversize: &'static FakeOversize,
    pub journal: Journal,
    pub account: AccountName,
    pub token: UrlToken,
}

pub struct Answered {
    pub status: u16,
    pub word: String,
}

/// A world in which `acme` is connected.
pub fn world() -> World {
    let journal = Journal::default();
    // Tests are short, and a leaked fake is simpler to share than one behind a counter.
    let tokens: &FakeTokens = Box::leak(Box::new(FakeTokens::sharing(&journal)));
    let keys: &FakeKeys = Box::leak(Box::new(FakeKeys::sharing(&journal)));
    let queues: &FakeQueues = Box::leak(Box::new(FakeQueues::sharing(&journal)));
    let receipts: &FakeReceipts = Box::leak(Box::new(FakeReceipts::sharing(&journal)));
    let oversize: &FakeOversize = Box::leak(Box::new(FakeOversize::sharing(&journal)));
    let account: AccountName = "acme".parse().unwrap();
    let token = UrlToken::from_random(&[7; 32]);
    let live = entry(&account, Some(WEBHOOK), TokenStatus::Live);
    tokens.put(token.hash(), live);
    keys.put(&account, token.hash(), 0, &[KEY]);
    let function = Inbound::new(tokens, keys, queues, receipts, oversize, config(&[]));
    World {
        function,
        tokens,
        keys,
        queues,
        receipts,
        oversize,
        journal,
        account,
        token,
    }
}

pub fn entry(account: &AccountName, webhook: Option<&str>, status: TokenStatus) -> TokenEntry {
    TokenEntry {
        account: account.clone(),
        source: Source::Orderspace,
        webhook: webhook.map(WebhookId::new),
        keys: KeysVersion::default(),
        status,
        policy: None,
    }
}

fn config(more: &[(&str, &str)]) -> Config {
    let lease = LEASE_SECONDS.to_string();
    let budget = BUDGET_MS.to_string();
    let keep = KEYS_TTL.as_secs().to_string();
    let variables = [
        ("CUSTOMERS_QUEUE_URL", "customers"),
        ("ORDERS_QUEUE_URL", "orders"),
        ("BILLING_QUEUE_URL", "billing"),
        ("PRODUCTS_QUEUE_URL", "products"),
        ("INVENTORY_QUEUE_URL", "inventory"),
        ("OTHER_QUEUE_URL", "other"),
        ("QUARANTINE_QUEUE_URL", "quarantine"),
        ("CHECK_QUEUE_URL", "checks"),
        ("INLINE_LIMIT_BYTES", "250000"),
        ("ANSWER_BUDGET_MS", &budget),
        ("RETRY_MARKER_TTL_SECONDS", "86400"),
        ("RETRY_LEASE_SECONDS", &lease),
        ("KEYS_TTL_SECONDS", &keep),
        ("KEYS_REREAD_SECONDS", "10"),
    ];
    let variables = variables.iter().chain(more);
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::read(&variables.collect::<Variables>()).unwrap()
}

/// The world, with another table of sources.
pub fn world_of(protocols: Protocols) -> World {
    let world = world();
    let function = Function::with_protocols(world.function, protocols);
    World { function, ..world }
}

impl World {
    /// A signed delivery of this body.
    pub fn signed(&self, body: impl Into<Vec<u8>>) -> HookRequest {
        hook(self.token.expose(), body).signed(KEY)
    }

    /// Posts a request, at the gateway's usual time.
    pub async fn post(&self, request: &HookRequest) -> Answered {
        self.post_at(request, RECEIVED_MILLIS).await
    }

    /// Posts a request at a time of our clock.
    pub async fn post_at(&self, request: &HookRequest, now: u64) -> Answered {
        self.post_to(&self.function, request, now).await
    }

    /// An instance beside the world's own, started with these variables besides: the stores are the same, and nothing else is.
    pub fn instance_with(&self, variables: &[(&str, &str)]) -> Function {
        let (tokens, keys, queues) = (self.tokens, self.keys, self.queues);
        let config = config(variables);
        Inbound::new(tokens, keys, queues, self.receipts, self.oversize, config)
    }

    /// Posts a request once more, at a time that is the gateway's and ours, and returns the status.
    pub async fn post_again(&self, request: &HookRequest, now: u64) -> u16 {
        let request = request.clone().at(now);
        self.post_at(&request, now).await.status
    }

    /// Posts a request to an instance, at a time of our clock.
    pub async fn post_to(&self, instance: &Function, request: &HookRequest, now: u64) -> Answered {
        let event = GatewayEvent::parse(&request.to_json());
        let request = event.into_request().unwrap();
        let response = instance.handle(&request, Timestamp::from_millis(now)).await;
        let word = match response.body() {
            Body::Text(word) => word.clone(),
            other => panic!("an answer is a word, not {other:?}"),
        };
        Answered {
            status: response.status().as_u16(),
            word,
        }
    }

    /// What is answered to a request that was changed on its way.
    pub async fn respond(&self, request: &HookRequest, change: impl FnOnce(&mut Value)) -> Value {
        let mut event = serde_json::from_str(&request.to_json()).unwrap();
        change(&mut event);
        let event = GatewayEvent::parse(&event.to_string());
        let now = Timestamp::from_millis(RECEIVED_MILLIS);
        self.function.respond(event, now).await
    }

    /// Posts a signed delivery and returns the status.
    pub async fn deliver(&self, body: impl Into<Vec<u8>>) -> u16 {
        self.post(&self.signed(body)).await.status
    }

    /// Enters a token of the account's.
    pub fn register(&self, token: &UrlToken, webhook: Option<&str>, status: TokenStatus) {
        let entry = entry(&self.account, webhook, status);
        self.tokens.put(token.hash(), entry);
    }

    /// Stores the keys of one of the account's registrations, in a version.
    pub fn hold(&self, token: &UrlToken, version: u64, keys: &[&str]) {
        self.keys.put(&self.account, token.hash(), version, keys);
    }

    /// Begins a rule for a call, which has the name that it has among all [calls](Self::calls).
    pub fn on(&self, call: &str) -> Faults<'_> {
        let (port, operation) = call.split_once('.').unwrap();
        let script = match port {
            "tokens" => self.tokens.script(),
            "keys" => self.keys.script(),
            "queues" => self.queues.script(),
            "receipts" => self.receipts.script(),
            "oversize" => self.oversize.script(),
            other => panic!("there is no port {other}"),
        };
        script.on(operation)
    }

    /// Lets the next call of this name go wrong.
    pub fn fault(&self, call: &str, fault: Fault) {
        self.on(call).fault(fault);
    }

    /// Where a marker for these bytes lies.
    pub fn marker_key(&self, body: &[u8]) -> MarkerKey<'_> {
        MarkerKey {
            account: &self.account,
            registration: self.token.hash(),
            retry: BodyHash::of(body).into(),
        }
    }

    /// A marker that an attempt of a minute ago left for these bytes.
    pub async fn left_marker(&self, body: &[u8], leased_until: u64, expires: u64) -> Marker {
        let at = Timestamp::from_millis;
        let marker = Marker {
            delivery: DeliveryId::new(at(RECEIVED_MILLIS - 60_000), &[9; 10]),
            expires: at(expires),
            leased_until: at(leased_until),
            attempts: 1,
        };
        let key = self.marker_key(body);
        let left = self.receipts.mark(key, &marker, at(0), at(0));
        left.await.unwrap();
        marker
    }

    /// Makes the queues refuse every event for a transient reason, until they are repaired.
    pub fn refuse_lanes(&self) {
        let unavailable = Fault::transient("ServiceUnavailable");
        self.on("queues.send").always().fault(unavailable);
    }

    /// The messages of a queue.
    pub fn queue(&self, name: &str) -> Vec<Sent> {
        self.queues.messages(&QueueUrl::new(name))
    }

    /// How many messages each queue has.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        self.queues
            .counts()
            .into_iter()
            .map(|(queue, count)| (queue.to_string(), count))
            .collect()
    }

    /// Holds that these queues have so many messages, and no others have any.
    #[track_caller]
    pub fn assert_counts(&self, expected: &[(&str, usize)]) {
        let counts = self.counts();
        let counts = counts.iter().map(|(queue, count)| (queue.as_str(), *count));
        assert_eq!(counts.collect::<Vec<_>>(), expected);
    }

    /// The event ids in a queue.
    pub fn ids(&self, name: &str) -> Vec<String> {
        self.queue(name)
            .iter()
            .map(|sent| sent.envelope().id.to_string())
            .collect()
    }

    /// Whether the receipt was kept before anything was sent to quarantine.
    pub fn receipt_came_first(&self) -> bool {
        let quarantine = |step: &Step| step.call == "queues.send" && step.scope == "quarantine";
        self.journal
            .is_done_before(|step| step.call == "receipts.keep", quarantine)
    }

    /// Every call that was made, by operation.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        let all = [
            ("tokens", self.tokens.calls()),
            ("keys", self.keys.calls()),
            ("queues", self.queues.calls()),
            ("receipts", self.receipts.calls()),
            ("oversize", self.oversize.calls()),
        ];
        let named = all.into_iter().flat_map(|(port, calls)| {
            calls
                .into_iter()
                .map(move |(operation, count)| (format!("{port}.{operation}"), count))
        });
        named.filter(|(_, count)| *count > 0).collect()
    }
}
