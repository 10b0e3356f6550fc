//! Apideck: its key is a credential, it calls our URL while it creates a webhook, and it shows what it disabled.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use domain::account::{TokenStatus, UrlToken, WebhookId};
use domain::source::Source;
use domain::subscription::{Endpoint, State};
use rstest::rstest;
use serde_json::{Value, json};
use simulator::control::{NewSite, WebhookStatus};
use sources::apideck::api::{Apideck, ApideckUrls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::world::{Answer, Mishap, World};

const TYPES: [&str; 9] = [
    "ecommerce.order.created",
    "ecommerce.order.updated",
    "ecommerce.order.deleted",
    "ecommerce.product.created",
    "ecommerce.product.updated",
    "ecommerce.product.deleted",
    "ecommerce.customer.created",
    "ecommerce.customer.updated",
    "ecommerce.customer.deleted",
];

/// What was held for a URL when Apideck called it.
#[derive(Debug, PartialEq, Eq)]
struct Greeting {
    takes_deliveries: bool,
    keys: Vec<String>,
}

/// Apideck, us, and the door at which Apideck validates our URL.
struct Play {
    world: World,
    door: TcpListener,
    /// What a greeting by a URL that is known is answered with.
    status: AtomicU16,
    greetings: Mutex<Vec<Greeting>>,
}

impl Play {
    async fn new() -> Self {
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = NewSite {
            settings: json!({ "further_keys": ["second", "third"] }),
            ..NewSite::default()
        };
        let played = simulator::Source::Apideck;
        let mut world = World::of(Source::Apideck, played, site, |http, api| {
            Box::new(Apideck::new(http, ApideckUrls { api }))
        })
        .await;
        let hooks = format!("http://{}/hooks", door.local_addr().unwrap());
        // It lives as long as the program, as a constant does.
        world.hooks = Box::leak(hooks.into_boxed_str());
        Self {
            world,
            door,
            status: AtomicU16::new(200),
            greetings: Mutex::default(),
        }
    }

    fn desired(&self, key: &str, events: &[&str]) -> Value {
        json!({ "source": "apideck", "api_key": key, "app_id": self.world.site.client_id, "events": events })
    }

    /// Works while the door answers.
    async fn open<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.greet() => {}
            }
        }
    }

    /// Answers one call to our URL as inbound does: by what is stored for its token.
    async fn greet(&self) {
        let (mut stream, _) = self.door.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(br#"{"message":"Validating delivery URL"}"#) {
            let count = stream.read_buf(&mut request).await.unwrap();
            assert_ne!(count, 0, "{}", String::from_utf8_lossy(&request));
        }
        let request = String::from_utf8(request).unwrap();
        let path = request.split(' ').nth(1).unwrap();
        let token = path.strip_prefix("/hooks/apideck/").unwrap();
        let token: UrlToken = token.split('/').next().unwrap().parse().unwrap();
        let entry = self.world.token_entry(&token);
        let keys = self.world.signing_keys();
        let keys = keys.of(&token.hash(), None);
        let macs = keys
            .map(|keys| keys.secrets.macs.clone())
            .unwrap_or_default();
        let greeting = Greeting {
            takes_deliveries: entry.is_some_and(|entry| entry.status.takes_deliveries()),
            keys: macs.iter().map(|key| key.expose().to_owned()).collect(),
        };
        let status = match greeting.takes_deliveries {
            true => self.status.load(Ordering::SeqCst),
            false => 401,
        };
        self.greetings.lock().unwrap().push(greeting);
        let answer =
            format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    async fn put(&self, key: &str, events: &[&str]) -> Answer {
        let desired = self.desired(key, events);
        self.open(self.world.put("acme", &desired)).await
    }

    async fn connect(&self) -> Answer {
        let key = self.world.site.client_secret.clone();
        self.put(&key, &["*"]).await
    }

    async fn check(&self) -> Answer {
        self.open(self.world.check()).await
    }

    /// The keys that are held for the account's webhook in use.
    fn keys(&self) -> Vec<String> {
        let account = self.world.account().unwrap();
        let live = account.live().unwrap();
        let keys = self.world.signing_keys();
        let keys = keys.of(&live.token, live.webhook.as_ref()).unwrap();
        let macs = keys.secrets.macs.iter();
        macs.map(|key| key.expose().to_owned()).collect()
    }

    /// Shows a webhook as disabled for this reason.
    async fn disable(&self, id: &str, reason: &str) {
        let change = json!({ "enabled": false, "details": { "disabled_reason": reason } });
        self.world.change_webhook(id, change).await;
    }

    /// One enabled webhook is there, it is the account's, and its key is held.
    async fn assert_connected(&self) {
        let webhooks = self.world.webhooks().await;
        let [webhook] = &webhooks[..] else {
            panic!("{webhooks:?}");
        };
        assert!(webhook.enabled);
        let account = self.world.account().unwrap();
        assert_eq!(
            (account.state(), &account.last_error),
            (State::Connected, &None)
        );
        assert!(account.events.is(&webhook.events), "{:?}", webhook.events);
        let entry = self.world.token_entry(&token(webhook)).unwrap();
        assert_eq!(entry.status, TokenStatus::Live);
        assert_eq!(entry.webhook, Some(WebhookId::new(webhook.id.as_str())));
        assert_eq!(self.keys(), [self.world.site.client_secret.as_str()]);
        let live = account.live().unwrap().keys;
        assert_eq!(
            entry.keys, live,
            "who caches keys sees which version is meant"
        );
    }
}

fn token(webhook: &WebhookStatus) -> UrlToken {
    Endpoint::new(webhook.endpoint.as_str()).token().unwrap()
}

/// A webhook is for one unified API, so that of connections has one of its own, with the same key.
#[tokio::test]
// requirement: subscription-one
async fn each_unified_api_has_a_webhook_with_a_life_of_its_own() {
    let play = Play::new().await;
    let key = play.world.site.client_secret.clone();
    let vault = "vault.connection.updated";
    let answer = play.put(&key, &["*", vault]).await.expect(200);
    assert_eq!(answer.body["events"].as_array().unwrap().len(), 10);
    assert_eq!(play.greetings.lock().unwrap().len(), 2);
    for greeting in &*play.greetings.lock().unwrap() {
        assert!(greeting.takes_deliveries);
        assert_eq!(greeting.keys, [key.as_str()]);
    }
    let of = |webhooks: &[WebhookStatus], api: &str| {
        let mut webhooks = webhooks.iter();
        let of = webhooks.find(|webhook| webhook.details["unified_api"] == api);
        of.cloned().unwrap()
    };
    let webhooks = play.world.webhooks().await;
    assert_eq!(webhooks.len(), 2);
    let (shop, connections) = (of(&webhooks, "ecommerce"), of(&webhooks, "vault"));
    assert_eq!(shop.events, TYPES);
    assert_eq!(connections.events, [vault]);
    assert!(shop.endpoint.ends_with(token(&shop).expose()));
    assert!(connections.endpoint.ends_with("/vault"));
    assert_ne!(token(&shop).hash(), token(&connections).hash());
    assert_eq!(answer.body["webhook"], json!(shop.id));
    assert_eq!(answer.body["parts"][1]["part"], "vault");
    assert_eq!(answer.body["parts"][1]["webhook"], json!(connections.id));

    // Disabled and corrected for itself.
    play.disable(&connections.id, "retry_limit").await;
    play.world
        .change_webhook(&shop.id, json!({ "events": ["ecommerce.order.created"] }))
        .await;
    play.check().await.expect(200);
    let webhooks = play.world.webhooks().await;
    assert!(webhooks.iter().all(|webhook| webhook.enabled));
    assert_eq!(of(&webhooks, "ecommerce").events, TYPES);

    // One that is of no use is replaced alone.
    play.disable(&connections.id, "delivery_url_validation_failed")
        .await;
    play.check().await.expect(200);
    play.check().await.expect(200);
    let webhooks = play.world.webhooks().await;
    assert_eq!(webhooks.len(), 3);
    let enabled: Vec<_> = webhooks.iter().filter(|webhook| webhook.enabled).collect();
    assert_eq!(enabled.len(), 2);
    assert!(enabled.iter().any(|webhook| webhook.id == shop.id));

    // A new API key is held for both.
    play.put("second", &["*", vault]).await.expect(200);
    let account = play.world.account().unwrap();
    let keys = play.world.signing_keys();
    for registration in &account.registrations {
        let held = keys.of(&registration.token, registration.webhook.as_ref());
        let macs = held.unwrap().secrets.macs.clone();
        let macs: Vec<&str> = macs.iter().map(|key| key.expose()).collect();
        assert_eq!(macs, ["second", key.as_str()]);
    }

    // Without the type that needs it, it goes.
    play.put("second", &["*"]).await.expect(200);
    let left = play.world.webhooks().await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].id, shop.id);
    play.world.disconnect().await.expect(200);
    assert!(play.world.webhooks().await.is_empty());
}

#[tokio::test]
async fn the_greeting_comes_while_create_runs_and_finds_the_key_and_the_token() {
    let play = Play::new().await;
    let answer = play.connect().await.expect(200);
    assert_eq!(answer.body["state"], "connected");
    assert_eq!(answer.body["events"], json!(TYPES));
    assert_eq!(answer.body["unselected_events"], json!([]));
    let greeting = Greeting {
        takes_deliveries: true,
        keys: vec![play.world.site.client_secret.clone()],
    };
    assert_eq!(*play.greetings.lock().unwrap(), [greeting]);
    play.assert_connected().await;
    let webhook = &play.world.webhooks().await[0];
    assert_eq!(webhook.details["unified_api"], "ecommerce");
    let label = format!("orderhook/acme/{}", token(webhook).hash().label());
    assert_eq!(webhook.details["description"], json!(label));

    // The same again asks once and changes nothing.
    let account = play.world.account();
    play.world.asked().await;
    play.connect().await.expect(200);
    assert_eq!(play.world.account(), account);
    assert_eq!(play.world.asked().await, ["GET /webhook/webhooks -> 200"]);
    let shown = play.world.show("acme").await.body.to_string();
    assert!(!shown.contains(&play.world.site.client_secret), "{shown}");
}

#[tokio::test]
async fn a_webhook_whose_greeting_was_refused_is_removed_and_created_again() {
    let play = Play::new().await;
    play.status.store(503, Ordering::SeqCst);
    for attempts in 1..=2 {
        let answer = play.connect().await.expect(422);
        assert!(
            answer.message().contains("not answered with success"),
            "{}",
            answer.message()
        );
        assert!(play.world.webhooks().await.is_empty());
        assert_eq!(play.greetings.lock().unwrap().len(), attempts);
        let account = play.world.account().unwrap();
        assert_eq!(account.registrations.len(), 1, "tokens do not pile up");
    }
    play.status.store(200, Ordering::SeqCst);
    play.check().await.expect(200);
    play.assert_connected().await;
}

/// The answer to create is lost, and with it that the webhook is disabled: the list shows it.
#[tokio::test]
async fn a_webhook_that_is_found_disabled_by_its_greeting_is_replaced() {
    let play = Play::new().await;
    play.connect().await.expect(200);
    let old = play.world.webhooks().await[0].clone();
    play.disable(&old.id, "delivery_url_validation_failed")
        .await;
    for _ in 0..3 {
        play.check().await.expect(200);
    }
    let webhooks = play.world.webhooks().await;
    assert_eq!(webhooks.len(), 2, "one takes over from the other, once");
    let shown = play.world.show("acme").await;
    let new = webhooks
        .iter()
        .find(|webhook| webhook.id != old.id)
        .unwrap();
    assert!(new.enabled);
    assert_eq!(shown.body["webhook"], json!(new.id));
    assert_ne!(token(new).hash(), token(&old).hash());
}

#[tokio::test]
async fn what_the_source_gave_up_is_enabled_again() {
    let play = Play::new().await;
    play.connect().await.expect(200);
    let id = play.world.webhooks().await[0].id.clone();
    play.disable(&id, "retry_limit").await;
    for _ in 0..2 {
        play.check().await.expect(200);
        play.assert_connected().await;
    }
    let history = play.world.history();
    let said = |text: &str| history.iter().filter(|what| what.contains(text)).count();
    assert_eq!(said("is disabled: retry_limit"), 1, "{history:?}");
    assert_eq!(said("is enabled again"), 1, "{history:?}");
}

#[rstest]
#[case::by_a_person("none", "a person did it")]
#[case::plan("usage_limit", "the plan is used up")]
#[case::not_known("fraud", "fraud")]
#[tokio::test]
async fn what_only_a_person_can_change_is_left_alone_and_shown(
    #[case] reason: &str,
    #[case] said: &str,
) {
    let play = Play::new().await;
    play.connect().await.expect(200);
    let id = play.world.webhooks().await[0].id.clone();
    play.disable(&id, reason).await;
    play.world.asked().await;
    for _ in 0..2 {
        play.check().await.expect(200);
    }
    assert_eq!(
        play.world.asked().await,
        ["GET /webhook/webhooks -> 200"; 2]
    );
    let shown = play.world.show("acme").await.expect(200);
    let explanation = shown.body["explanation"].as_str().unwrap();
    assert!(
        explanation.contains(said) && explanation.contains(&id),
        "{explanation}"
    );
    let history = play.world.history();
    let count = history.iter().filter(|what| what.contains(said)).count();
    assert_eq!(count, 1, "{history:?}");

    // Other events are corrected, and leave it disabled.
    let answer = play.open(play.world.change(&["ecommerce.order.created"]));
    answer.await.expect(200);
    let webhook = &play.world.webhooks().await[0];
    assert_eq!(webhook.events, ["ecommerce.order.created"]);
    assert!(!webhook.enabled);

    play.world
        .change_webhook(&id, json!({ "enabled": true }))
        .await;
    let answer = play.check().await.expect(200);
    let explanation = answer.body["explanation"].as_str().unwrap();
    assert!(!explanation.contains(said), "{explanation}");
}

#[rstest]
#[case::events(json!({ "events": ["*"] }))]
#[case::address(json!({ "endpoint": "https://elsewhere.example/hooks/apideck/TOKEN" }))]
#[tokio::test]
async fn what_differs_is_corrected(#[case] change: Value) {
    let play = Play::new().await;
    play.connect().await.expect(200);
    let webhook = play.world.webhooks().await[0].clone();
    let token = token(&webhook);
    let change = change.to_string().replace("TOKEN", token.expose());
    let change = serde_json::from_str(&change).unwrap();
    play.world.change_webhook(&webhook.id, change).await;
    play.check().await.expect(200);
    play.assert_connected().await;
    let after = &play.world.webhooks().await[0];
    assert_eq!(
        (&after.id, &after.endpoint),
        (&webhook.id, &webhook.endpoint)
    );
}

#[tokio::test]
async fn a_webhook_that_is_missing_is_created_again_and_others_are_not_touched() {
    let play = Play::new().await;
    play.connect().await.expect(200);
    let id = play.world.webhooks().await[0].id.clone();
    play.world.remove_webhook(&id).await;
    let foreign = play
        .world
        .add_foreign_webhook("https://other.example/in")
        .await;
    play.check().await.expect(200);
    let webhooks = play.world.webhooks().await;
    assert_eq!(webhooks.len(), 2);
    assert!(webhooks.contains(&foreign));
    play.world.remove_webhook(&foreign.id).await;
    play.assert_connected().await;
}

#[tokio::test]
async fn a_rotation_greets_a_second_webhook_and_ends_with_its_first_delivery() {
    let play = Play::new().await;
    play.connect().await.expect(200);
    let old = play.world.webhooks().await[0].clone();
    play.open(play.world.rotate()).await.expect(200);
    let webhooks = play.world.webhooks().await;
    assert_eq!(webhooks.len(), 2);
    assert!(webhooks.iter().all(|webhook| webhook.enabled));
    assert_eq!(play.greetings.lock().unwrap().len(), 2);
    let new = webhooks
        .iter()
        .find(|webhook| webhook.id != old.id)
        .unwrap();
    play.world.deliver_to(token(new).hash());
    play.check().await.expect(200);
    play.assert_connected().await;
    assert_eq!(play.world.webhooks().await[0].id, new.id);
    let entry = play.world.token_entry(&token(&old)).unwrap();
    assert_eq!(
        entry.status,
        TokenStatus::Grace,
        "retries of the old one are taken"
    );
}

#[tokio::test]
async fn another_api_key_is_held_beside_the_one_before_and_no_third() {
    let play = Play::new().await;
    play.connect().await.expect(200);
    let first = play.world.site.client_secret.clone();
    let webhooks = play.world.webhooks().await;
    for (key, expected) in [
        ("second", ["second", &first]),
        ("second", ["second", &first]),
        ("third", ["third", "second"]),
    ] {
        let token = token(&webhooks[0]);
        let before = play.world.token_entry(&token).unwrap().keys;
        let held = play.keys();
        play.world.pass(60);
        play.put(key, &["*"]).await.expect(200);
        assert_eq!(play.keys(), expected);
        let after = play.world.token_entry(&token).unwrap().keys;
        assert_eq!(
            after > before,
            play.keys() != held,
            "a new version for new keys"
        );
    }
    assert_eq!(play.world.webhooks().await, webhooks, "the webhook stays");
    let history = play.world.history().join("\n");
    assert!(
        !history.contains(&first) && !history.contains("third"),
        "{history}"
    );
}

#[tokio::test]
async fn a_disconnect_removes_the_webhook_and_lets_the_key_go() {
    let play = Play::new().await;
    play.connect().await.expect(200);
    let webhook = play.world.webhooks().await[0].clone();
    let answer = play.world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    assert_eq!(answer.body["last_error"], json!(null));
    assert!(play.world.webhooks().await.is_empty());
    let entry = play.world.token_entry(&token(&webhook)).unwrap();
    assert_eq!(entry.status, TokenStatus::Retired);
    assert!(play.world.oauth().is_none());
    assert!(play.world.signing_keys().registrations().is_empty());
    play.connect().await.expect(200);
    play.assert_connected().await;
}

#[rstest]
#[case::wrong_key("api_key", json!("wrong"), 422, "compare api_key and app_id")]
#[case::wrong_application("app_id", json!("wrong"), 422, "compare api_key and app_id")]
#[case::no_key("api_key", json!(null), 400, "api_key")]
#[case::a_number("app_id", json!(7), 400, "app_id has to be a text")]
#[case::empty("app_id", json!(""), 400, "app_id: it has to be 1 to 512")]
#[case::with_a_space("api_key", json!("mark er"), 400, "api_key: it has to be 1 to 512")]
#[case::too_long("api_key", json!("m".repeat(513)), 400, "api_key: it has to be 1 to 512")]
#[tokio::test]
async fn wrong_credentials_are_refused_and_change_nothing(
    #[case] field: &str,
    #[case] value: Value,
    #[case] status: u16,
    #[case] said: &str,
) {
    let play = Play::new().await;
    let mut wrong = play.desired(&play.world.site.client_secret, &["*"]);
    wrong[field] = value;
    let refuse = async || {
        let answer = play.world.put("acme", &wrong).await.expect(status);
        assert!(answer.message().contains(said), "{}", answer.message());
        if status == 400 {
            assert_eq!(answer.body["field"], field);
        }
        let kept = answer.body.to_string();
        assert!(
            !kept.contains("mark er") && !kept.contains("mmmm"),
            "{kept}"
        );
    };
    refuse().await;
    assert!(play.world.oauth().is_none() && play.world.webhooks().await.is_empty());
    play.connect().await.expect(200);
    refuse().await;
    play.check().await.expect(200);
    play.assert_connected().await;
}

#[tokio::test]
async fn a_key_that_was_revoked_is_reported_and_the_next_one_goes_on() {
    let play = Play::new().await;
    play.put("second", &["*"]).await.expect(200);
    play.world.change_settings(json!({})).await;
    let answer = play.check().await.expect(422);
    assert!(
        answer.message().contains("refuses the credentials"),
        "{}",
        answer.message()
    );
    let before = play.world.webhooks().await;
    play.connect().await.expect(200);
    assert_eq!(play.world.webhooks().await, before);
    let first = play.world.site.client_secret.clone();
    assert_eq!(play.keys(), [first.as_str(), "second"]);
}

#[rstest]
#[case::one(&["vault.connection.updated"], &["vault"])]
#[case::beside_others(&["ecommerce.order.created", "vault.connection.deleted"], &["ecommerce", "vault"])]
#[tokio::test]
async fn events_of_another_unified_api_come_by_its_webhook(
    #[case] events: &[&str],
    #[case] expected: &[&str],
) {
    let play = Play::new().await;
    let key = play.world.site.client_secret.clone();
    play.put(&key, events).await.expect(200);
    let apis = async || {
        let webhooks = play.world.webhooks().await.into_iter();
        let api =
            |webhook: WebhookStatus| webhook.details["unified_api"].as_str().map(str::to_owned);
        let mut apis: Vec<String> = webhooks.filter_map(api).collect();
        apis.sort();
        apis
    };
    assert_eq!(apis().await, expected);
    play.check().await.expect(200);
    assert_eq!(apis().await, expected);
    play.open(play.world.change(&["*"])).await.expect(200);
    play.assert_connected().await;
    let unknown = play.put(&key, &["ecommerce.order.paid"]).await.expect(400);
    assert!(
        unknown.message().contains("is no event type"),
        "{}",
        unknown.message()
    );
}

/// Every call to the outside goes wrong once, in every way; the next connect ends with exactly one webhook.
#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn a_connect_that_is_cut_short_is_completed(#[values(0, 1, 2, 3)] mishap: usize) {
    let mishap = Mishap::ALL[mishap];
    for nth in 0..60 {
        let play = Play::new().await;
        let key = play.world.site.client_secret.clone();
        play.world.fate.plan(nth, mishap);
        let desired = play.desired(&key, &["*"]).to_string();
        let parameters = json!({ "account": "acme" });
        let route = "PUT /v1/accounts/{account}";
        let call = play.world.try_call(route, parameters, Some(desired));
        let _ = play.open(call).await;
        if !play.world.fate.end() {
            assert!(nth > 8, "only {nth} calls");
            return;
        }
        play.world.pass(46);
        play.connect().await.expect(200);
        play.assert_connected().await;
        let greetings = play.greetings.lock().unwrap();
        let is_held = |greeting: &Greeting| greeting.keys == [key.as_str()];
        assert!(
            greetings.iter().all(is_held),
            "{mishap:?} at {nth}: {greetings:?}"
        );
    }
    panic!("the story does not end");
}

/// Whatever the rotation was doing, checks complete it or find that it had not begun.
#[rstest]
#[tokio::test]
async fn a_rotation_that_is_cut_short_is_completed(#[values(0, 1, 2, 3)] mishap: usize) {
    let mishap = Mishap::ALL[mishap];
    for nth in 0..60 {
        let play = Play::new().await;
        play.connect().await.expect(200);
        play.world.fate.plan(nth, mishap);
        let parameters = json!({ "account": "acme", "action": "rotate" });
        let route = "POST /v1/accounts/{account}/{action}";
        let _ = play
            .open(play.world.try_call(route, parameters, None))
            .await;
        if !play.world.fate.end() {
            assert!(nth > 7, "only {nth} calls");
            return;
        }
        play.world.pass(46);
        let is_begun = play.world.account().unwrap().rotation().is_some();
        play.check().await.expect(200);
        assert_eq!(play.world.webhooks().await.len(), 1 + usize::from(is_begun));
        if is_begun {
            let live = play.world.account().unwrap().live().unwrap().token;
            play.world.deliver_to(live);
            play.check().await.expect(200);
        }
        play.assert_connected().await;
    }
    panic!("the story does not end");
}
