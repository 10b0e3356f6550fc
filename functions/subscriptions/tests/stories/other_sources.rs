//! Sources unlike Orderspace, played by a script: our own secrets, keys that are credentials, no list, other conditions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use domain::account::WebhookId;
use domain::signature::{LiveSecrets, Policy};
use domain::source::Source;
use domain::subscription::{
    Access, Api, ApiCall, ApiError, Apis, Caller, Condition, CredentialField, Credentials,
    KeyOrigin, LifeCycle, NewWebhook, OurSecret, RegisteredWebhook, Remedy, Removed, WebhookChange,
};
use domain::timestamp::Timestamp;
use rstest::rstest;
use serde_json::{Value, json};

use crate::world::World;

const KEY: CredentialField = CredentialField {
    name: "api_key",
    is_secret: true,
};
const APP: CredentialField = CredentialField {
    name: "app_id",
    is_secret: false,
};

const OURS: LifeCycle = LifeCycle {
    credentials: &[KEY, APP],
    keys: KeyOrigin::OursSent,
    rotates: true,
    enables: true,
    attempts: None,
    quiet_seconds: 60,
};

const BY_KEY: LifeCycle = LifeCycle {
    keys: KeyOrigin::Credential("api_key"),
    ..OURS
};

/// What the source did.
#[derive(Default)]
struct State {
    webhooks: Mutex<Vec<RegisteredWebhook>>,
    /// Label and secrets of what was to be registered.
    asked: Mutex<Vec<(String, LiveSecrets)>>,
    loses_answers: AtomicBool,
    is_unlisted: AtomicBool,
    cannot_remove: AtomicBool,
}

#[derive(Clone, Default)]
struct Scripted(Arc<State>);

fn done<'a, T: Send + 'a>(answer: Result<T, ApiError>) -> ApiCall<'a, T> {
    Box::pin(async { answer })
}

impl Api for Scripted {
    fn secrets(&self) -> &'static [OurSecret] {
        &[OurSecret::MacKey, OurSecret::Basic, OurSecret::Header]
    }

    fn authenticate<'a>(&'a self, _: &'a Credentials, _: Timestamp) -> ApiCall<'a, Access> {
        done(Ok(Access::by_credentials()))
    }

    fn list<'a>(&'a self, caller: &'a Caller) -> ApiCall<'a, Vec<RegisteredWebhook>> {
        assert_eq!(caller.credentials.get("app_id"), Some("app"));
        if self.0.is_unlisted.load(Ordering::SeqCst) {
            return done(Err(ApiError::NoSuchCall("list webhooks")));
        }
        let mut webhooks = self.0.webhooks.lock().unwrap().clone();
        webhooks.reverse();
        done(Ok(webhooks))
    }

    fn create<'a>(&'a self, _: &'a Caller, new: NewWebhook<'a>) -> ApiCall<'a, RegisteredWebhook> {
        let mut asked = self.0.asked.lock().unwrap();
        asked.push((new.label.to_owned(), new.secrets.clone()));
        let webhook = RegisteredWebhook {
            id: WebhookId::new(format!("wh_{}", asked.len())),
            endpoint: None,
            events: new.events.names().to_vec(),
            key: None,
            label: Some(new.label.to_owned()),
            condition: Condition::Active,
        };
        self.0.webhooks.lock().unwrap().push(webhook.clone());
        done(match self.0.loses_answers.load(Ordering::SeqCst) {
            true => Err(ApiError::TimeOut),
            false => Ok(webhook),
        })
    }

    fn update<'a>(
        &'a self,
        _: &'a Caller,
        _: &'a WebhookId,
        _: WebhookChange<'a>,
    ) -> ApiCall<'a, RegisteredWebhook> {
        done(Err(ApiError::NoSuchCall("change a webhook")))
    }

    fn remove<'a>(&'a self, _: &'a Caller, webhook: &'a WebhookId) -> ApiCall<'a, Removed> {
        if self.0.cannot_remove.load(Ordering::SeqCst) {
            return done(Err(ApiError::NoSuchCall("remove a webhook")));
        }
        self.0
            .webhooks
            .lock()
            .unwrap()
            .retain(|known| known.id != *webhook);
        done(Ok(Removed::Now))
    }

    fn enable<'a>(
        &'a self,
        _: &'a Caller,
        webhook: &'a WebhookId,
    ) -> ApiCall<'a, RegisteredWebhook> {
        let mut webhooks = self.0.webhooks.lock().unwrap();
        let known = webhooks.iter_mut().find(|known| known.id == *webhook);
        done(known.map_or(Err(ApiError::NoSuchWebhook), |known| {
            known.condition = Condition::Active;
            Ok(known.clone())
        }))
    }
}

async fn world(life_cycle: fn(Source) -> &'static LifeCycle) -> (World, Scripted) {
    let api = Scripted::default();
    let mut world = World::new().await;
    world.apis = Apis::from_iter([(Source::StackOne, Box::new(api.clone()) as Box<dyn Api>)]);
    world.life_cycle = life_cycle;
    (world, api)
}

fn desired(key: &str) -> Value {
    json!({ "source": "stackone", "api_key": key, "app_id": "app", "events": ["order.created"] })
}

impl Scripted {
    fn show(&self, condition: &Condition) {
        for webhook in self.0.webhooks.lock().unwrap().iter_mut() {
            webhook.condition = condition.clone();
        }
    }

    fn ids(&self) -> Vec<String> {
        let webhooks = self.0.webhooks.lock().unwrap();
        webhooks.iter().map(|known| known.id.to_string()).collect()
    }
}

/// The secrets that are held for the account's only registration.
fn held(world: &World) -> LiveSecrets {
    let keys = world.signing_keys();
    let [keys] = keys.registrations().values().collect::<Vec<_>>()[..] else {
        panic!("{keys:?}");
    };
    keys.secrets.clone()
}

#[tokio::test]
async fn our_secrets_are_stored_before_the_webhook_is_created_and_are_those_that_were_sent() {
    let (world, api) = world(|_| &OURS).await;
    api.0.loses_answers.store(true, Ordering::SeqCst);
    world.put("acme", &desired("k")).await.expect(504);
    let (label, sent) = api.0.asked.lock().unwrap()[0].clone();
    assert_eq!((sent.macs.len(), sent.shared.len()), (1, 2));
    assert!(
        held(&world).same(&sent),
        "they are held though the answer was lost"
    );
    let account = world.account().unwrap();
    let token = account.registrations[0].token;
    assert_eq!(label, format!("orderhook/acme/{}", token.label()));
    assert_ne!(account.registrations[0].keys.get(), 0);

    // The next call finds the webhook by its label, and keeps what it was registered with.
    api.0.loses_answers.store(false, Ordering::SeqCst);
    let answer = world.put("acme", &desired("k")).await.expect(200);
    assert_eq!(answer.body["webhook"], "wh_1");
    assert_eq!(api.ids(), ["wh_1"]);
    assert!(held(&world).same(&sent));
    assert!(!answer.body.to_string().contains(sent.macs[0].expose()));
}

#[tokio::test]
async fn what_nothing_came_of_is_forgotten_with_its_secrets() {
    let (world, api) = world(|_| &OURS).await;
    api.0.loses_answers.store(true, Ordering::SeqCst);
    world.put("acme", &desired("k")).await.expect(504);
    api.0.webhooks.lock().unwrap().clear();
    api.0.loses_answers.store(false, Ordering::SeqCst);
    world.check().await.expect(200);
    let asked = api.0.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    assert!(
        !asked[0].1.same(&asked[1].1),
        "each registration has its own"
    );
    assert!(held(&world).same(&asked[1].1));
}

#[tokio::test]
async fn secrets_that_are_lost_let_another_webhook_take_over() {
    let (world, api) = world(|_| &OURS).await;
    world.put("acme", &desired("k")).await.expect(200);
    world.lose_keys();
    let answer = world.check().await.expect(200);
    assert_eq!(answer.body["webhook"], "wh_2");
    assert!(held(&world).same(&api.0.asked.lock().unwrap()[1].1));
    let history = world.history();
    assert!(
        history.iter().any(|what| what.contains("are lost")),
        "{history:?}"
    );
}

#[tokio::test]
async fn a_key_that_is_a_credential_is_held_before_create_and_beside_the_one_that_follows_it() {
    let (world, api) = world(|_| &BY_KEY).await;
    api.0.loses_answers.store(true, Ordering::SeqCst);
    world.put("acme", &desired("first")).await.expect(504);
    let keys = |world: &World| -> Vec<String> {
        let held = held(world).macs;
        held.iter().map(|key| key.expose().to_owned()).collect()
    };
    assert_eq!(keys(&world), ["first"]);
    api.0.loses_answers.store(false, Ordering::SeqCst);
    world.check().await.expect(200);
    for (key, expected) in [
        ("second", vec!["second", "first"]),
        ("second", vec!["second", "first"]),
        ("third", vec!["third", "second"]),
    ] {
        world.put("acme", &desired(key)).await.expect(200);
        assert_eq!(keys(&world), expected);
    }
    assert_eq!(api.ids(), ["wh_1"], "the webhook stays");
}

fn disabled(reason: &str, remedy: Remedy) -> Condition {
    Condition::Disabled {
        reason: Some(reason.to_owned()),
        remedy,
    }
}

#[tokio::test]
async fn a_disabled_webhook_is_enabled_where_its_reason_allows_it() {
    let (world, api) = world(|_| &OURS).await;
    world.put("acme", &desired("k")).await.expect(200);
    api.show(&disabled("retry_limit", Remedy::Enable));
    world.check().await.expect(200);
    assert_eq!(
        api.0.webhooks.lock().unwrap()[0].condition,
        Condition::Active
    );
    assert_eq!(world.account().unwrap().stopped, None);
}

#[rstest]
#[case::by_a_person(disabled("none", Remedy::Person), "disabled")]
#[case::paused(Condition::Paused, "paused")]
#[tokio::test]
async fn what_a_person_stopped_is_left_alone_and_shown(
    #[case] condition: Condition,
    #[case] said: &str,
) {
    let (world, api) = world(|_| &OURS).await;
    world.put("acme", &desired("k")).await.expect(200);
    api.show(&condition);
    for _ in 0..2 {
        world.check().await.expect(200);
    }
    assert_eq!(api.0.webhooks.lock().unwrap()[0].condition, condition);
    let shown = world.show("acme").await.expect(200);
    let explanation = shown.body["explanation"].as_str().unwrap();
    assert!(explanation.contains(said), "{explanation}");
    let said_so = |what: &&String| what.contains(said);
    assert_eq!(world.history().iter().filter(said_so).count(), 1);
    api.show(&Condition::Active);
    let answer = world.check().await.expect(200);
    assert!(!answer.body["explanation"].as_str().unwrap().contains(said));
}

#[tokio::test]
async fn a_webhook_that_only_another_can_stand_in_for_is_replaced_once() {
    let (world, api) = world(|_| &OURS).await;
    world.put("acme", &desired("k")).await.expect(200);
    api.show(&disabled("delivery_url_validation_failed", Remedy::Replace));
    for _ in 0..3 {
        world.check().await.expect(200);
    }
    assert_eq!(api.ids(), ["wh_1", "wh_2"], "the old one drains");
    assert_eq!(world.show("acme").await.body["webhook"], "wh_2");
}

#[tokio::test]
async fn without_a_list_nothing_is_registered_twice_and_other_events_take_another_webhook() {
    let (world, api) = world(|_| &OURS).await;
    api.0.is_unlisted.store(true, Ordering::SeqCst);
    world.put("acme", &desired("k")).await.expect(200);
    let answer = world.check().await.expect(200);
    assert_eq!(api.ids(), ["wh_1"]);
    let explanation = answer.body["explanation"].as_str().unwrap();
    assert!(
        explanation.contains("does not list its webhooks"),
        "{explanation}"
    );
    let said_so = |what: &&String| what.contains("does not list");
    assert_eq!(world.history().iter().filter(said_so).count(), 1);
    world.change(&["order.updated"]).await.expect(200);
    assert_eq!(api.ids(), ["wh_1", "wh_2"]);
    assert_eq!(api.0.webhooks.lock().unwrap()[1].events, ["order.updated"]);
}

#[tokio::test]
async fn what_cannot_be_removed_is_left_to_a_person_and_named() {
    let (world, api) = world(|_| &OURS).await;
    world.put("acme", &desired("k")).await.expect(200);
    api.0.cannot_remove.store(true, Ordering::SeqCst);
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    let left = answer.body["last_error"]["message"].as_str().unwrap();
    assert!(left.contains("wh_1") && left.contains("by hand"), "{left}");
}

#[tokio::test]
async fn what_becomes_of_unproved_deliveries_is_chosen_and_reaches_every_token() {
    let (mut world, _) = world(|_| &OURS).await;
    world.policy = |_| Policy::Observe;
    world.put("acme", &desired("k")).await.expect(200);
    let policies = |world: &World| -> Vec<Option<Policy>> {
        let entries = world.token_entries();
        entries.into_iter().map(|(_, entry)| entry.policy).collect()
    };
    assert_eq!(policies(&world), [None]);
    for (word, policy) in [("require", Policy::Require), ("observe", Policy::Observe)] {
        let parameters = json!({ "account": "acme" });
        let change = Some(json!({ "proof": word }));
        let answer = world
            .call("PATCH /v1/accounts/{account}", parameters, change)
            .await
            .expect(200);
        assert_eq!(answer.body["proof"], word);
        assert_eq!(policies(&world), [Some(policy)]);
        assert_eq!(world.account().unwrap().policy, Some(policy));
    }
    let mut again = desired("k");
    again["proof"] = json!("require");
    world.put("acme", &again).await.expect(200);
    assert_eq!(policies(&world), [Some(Policy::Require)]);
    world.policy = |_| Policy::Require;
    let answer = world.put("acme", &again).await.expect(400);
    assert!(
        answer.message().contains("\"proof\""),
        "{}",
        answer.message()
    );
}
