//! API Gateway's event, through the whole of inbound among fakes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::account::{AccountName, KeysVersion, TokenEntry, TokenStatus, UrlToken, WebhookId};
use domain::source::Source;
use domain::ports::QueueUrl;
use domain::timestamp::Timestamp;
use inbound::Inbound;
use inbound::config::Config;
use lambda_http::Request;
use runtime::config::Variables;
use testkit::fakes::{FakeKeys, FakeOversize, FakeQueues, FakeReceipts, FakeTokens};
use testkit::gateway::{RECEIVED_MILLIS, hook};
use testkit::signing::SIGNING_KEY;

/// An event that is none, a stranger's or a genuine one gets an answer of the table. A stranger's leaves nothing; a
/// genuine one, made of the input as its body, is kept whole.
pub fn gateway(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        if let Some(request) = std::str::from_utf8(data)
            .ok()
            .filter(|text| is_of_the_gateway(text))
            .and_then(|text| lambda_http::request::from_str(text).ok())
        {
            as_it_came(&request).await;
        }
        genuine(data).await;
    });
}

/// The gateway encodes a body and names its own domain itself, whatever a stranger sends; the runtime takes its word, and
/// panics on any other.
fn is_of_the_gateway(text: &str) -> bool {
    let Ok(event) = serde_json::from_str::<serde_json::Value>(text) else {
        return false;
    };
    let body = event["body"].as_str().unwrap_or_default();
    let is_encoded = event["isBase64Encoded"] != true || STANDARD.decode(body).is_ok();
    let host = &event["headers"]["host"];
    let path = event["rawPath"].as_str().unwrap_or_default();
    is_encoded
        && path.starts_with("/hooks/")
        && event["requestContext"]["domainName"] == "hooks.example.com"
        && (host.is_null() || *host == "hooks.example.com")
}

#[derive(Default)]
struct Fakes {
    tokens: FakeTokens,
    keys: FakeKeys,
    queues: FakeQueues,
    receipts: FakeReceipts,
    oversize: FakeOversize,
}

/// The token of the one account that is connected.
fn token() -> UrlToken {
    UrlToken::from_random(&[7; 32])
}

impl Fakes {
    async fn answer(&self, request: &Request) -> u16 {
        let account: AccountName = "acme".parse().expect("a name");
        self.tokens.put(
            token().hash(),
            TokenEntry {
                account: account.clone(),
                source: Source::Orderspace,
                webhook: Some(WebhookId::new("wh_1q4qn43v")),
                keys: KeysVersion::default(),
                status: TokenStatus::Live,
            },
        );
        self.keys.put(&account, token().hash(), 0, &[SIGNING_KEY]);
        let function = Inbound::new(
            &self.tokens,
            &self.keys,
            &self.queues,
            &self.receipts,
            &self.oversize,
            config(),
        );
        let now = Timestamp::from_millis(RECEIVED_MILLIS);
        function.handle(request, now).await.status().as_u16()
    }

    fn is_untouched(&self) -> bool {
        self.queues.counts().is_empty()
            && self.receipts.calls().values().all(|calls| *calls == 0)
            && self.oversize.calls().values().all(|calls| *calls == 0)
    }
}

async fn as_it_came(request: &Request) {
    let fakes = Fakes::default();
    match fakes.answer(request).await {
        200 => assert_eq!(fakes.receipts.kept().len(), 1),
        401 => assert!(fakes.is_untouched(), "a stranger left something"),
        other => panic!("{other} is no answer while everything works"),
    }
}

async fn genuine(body: &[u8]) {
    let request = hook(token().expose(), body).signed(SIGNING_KEY);
    let request = lambda_http::request::from_str(&request.to_json()).expect("an event");
    let fakes = Fakes::default();
    assert_eq!(fakes.answer(&request).await, 200);
    let kept = fakes.receipts.kept();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].body, body);
    let quarantined = fakes.queues.messages(&QueueUrl::new("quarantine")).len();
    let queued: usize = fakes.queues.counts().values().sum();
    assert!(quarantined <= 1);
    assert_eq!(
        queued - quarantined,
        kept[0].events,
        "every event has its message"
    );
}

fn config() -> Config {
    Config::read(&Variables::from([
        ("CUSTOMERS_QUEUE_URL", "customers"),
        ("ORDERS_QUEUE_URL", "orders"),
        ("BILLING_QUEUE_URL", "billing"),
        ("PRODUCTS_QUEUE_URL", "products"),
        ("INVENTORY_QUEUE_URL", "inventory"),
        ("OTHER_QUEUE_URL", "other"),
        ("QUARANTINE_QUEUE_URL", "quarantine"),
        ("INLINE_LIMIT_BYTES", "4096"),
        ("ANSWER_BUDGET_MS", "3000"),
        ("RETRY_MARKER_TTL_SECONDS", "86400"),
        ("RETRY_LEASE_SECONDS", "20"),
        ("KEYS_TTL_SECONDS", "300"),
        ("KEYS_REREAD_SECONDS", "10"),
    ]))
    .expect("a configuration")
}
