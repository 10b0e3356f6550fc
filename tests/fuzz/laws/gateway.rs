//! The event of API Gateway or of a Function URL, through the whole of inbound among fakes.

use domain::account::{AccountName, KeysVersion, TokenEntry, TokenStatus, UrlToken, WebhookId};
use domain::source::Source;
use domain::ports::QueueUrl;
use domain::timestamp::Timestamp;
use inbound::Inbound;
use inbound::config::Config;
use runtime::config::Variables;
use runtime::gateway::GatewayEvent;
use testkit::fakes::{FakeKeys, FakeOversize, FakeQueues, FakeReceipts, FakeTokens};
use testkit::gateway::{RECEIVED_MILLIS, hook};
use testkit::signing::SIGNING_KEY;

/// An event that is none, an unauthenticated request or a genuine one gets an answer of the table. an unauthenticated request leaves nothing; a
/// genuine one, made of the input as its body, is kept whole.
pub fn gateway(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        if let Ok(text) = std::str::from_utf8(data) {
            as_it_came(GatewayEvent::parse(text)).await;
        }
        genuine(data).await;
    });
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
    async fn answer(&self, event: GatewayEvent) -> u16 {
        let account: AccountName = "acme".parse().expect("a name");
        self.tokens.put(
            token().hash(),
            TokenEntry {
                account: account.clone(),
                source: Source::Orderspace,
                webhook: Some(WebhookId::new("wh_1q4qn43v")),
                keys: KeysVersion::default(),
                status: TokenStatus::Live,
                policy: None,
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
        let answer = function.respond(event, now).await;
        let status = answer["statusCode"].as_u64();
        status.and_then(|status| u16::try_from(status).ok()).expect("a status")
    }

    fn is_untouched(&self) -> bool {
        self.queues.counts().is_empty()
            && self.receipts.calls().values().all(|calls| *calls == 0)
            && self.oversize.calls().values().all(|calls| *calls == 0)
    }
}

async fn as_it_came(event: GatewayEvent) {
    let fakes = Fakes::default();
    match fakes.answer(event).await {
        200 => assert_eq!(fakes.receipts.kept().len(), 1),
        401 | 404 => assert!(fakes.is_untouched(), "an unauthenticated request left something"),
        other => panic!("{other} is no answer while everything works"),
    }
}

async fn genuine(body: &[u8]) {
    let request = hook(token().expose(), body).signed(SIGNING_KEY);
    let event = GatewayEvent::parse(&request.to_json());
    let fakes = Fakes::default();
    assert_eq!(fakes.answer(event).await, 200);
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
