//! The life of a webhook at every source that has an API, each played by its simulator: what is promised of all of them.
//! What one of them alone does is in a file of its own.

use domain::delivery::Request;
use domain::signature::{Assurance, MacKey, Policy, Screened, SharedSecret};
use domain::source::Source;
use domain::source::Source::{Apideck, OneStock, Ordermentum, Orderspace};
use domain::subscription::basic_credentials;
use http::{HeaderMap, HeaderName, HeaderValue};
use rstest::rstest;
use serde_json::{Value, json};
use simulator::FaultKind;
use simulator::control::WebhookStatus;
use sources::protocol;

use crate::world::{World, act, each_mishap, put, token_of};

/// A world in which this source is played: one that lists its webhooks, where that is a setting.
async fn playing(source: Source) -> World {
    let settings = match source {
        OneStock => json!({ "list": 200, "delete": 200 }),
        _ => json!({}),
    };
    World::playing(source, settings).await
}

/// Whether what a webhook sends is proved by what is held for its registration.
pub(crate) fn is_proved(world: &World, webhook: &WebhookStatus) -> bool {
    if world.source == Ordermentum {
        return proof_by_secret(world, webhook) == Some(Assurance::SharedSecret);
    }
    let held = world.macs_of(&token_of(webhook));
    held.first() == Some(&webhook.signing_key)
}

/// What a delivery of this webhook of Ordermentum's is proved by, which has the credentials that we registered.
fn proof_by_secret(world: &World, webhook: &WebhookStatus) -> Option<Assurance> {
    let mut headers = HeaderMap::new();
    let secrets = world.held_of(&token_of(webhook));
    let sent = &webhook.details["authentication"]["basicAuth"];
    let [user, password] = ["username", "password"].map(|name| sent[name].as_str().unwrap());
    let sent = Some((user.to_owned(), password.to_owned()));
    let mut shared = secrets.shared.iter();
    let basic = shared.find(|secret| basic_credentials(secret) == sent)?;
    let basic = HeaderValue::try_from(basic.expose()).unwrap();
    headers.insert("authorization", basic);
    for (name, value) in webhook.details["headers"].as_object().unwrap() {
        let name: HeaderName = name.parse().unwrap();
        headers.insert(name, value.as_str().unwrap().parse().unwrap());
    }
    let request = Request {
        headers: &headers,
        part: "",
        body: b"{}",
    };
    let source = protocol(Ordermentum);
    let Screened::Delivery(offer) = source.screen(request).unwrap() else {
        panic!("no delivery");
    };
    let verified = offer.verify(request, &secrets, Policy::Require, |request, form| {
        source.signed(request, form)
    });
    verified.map(|verified| verified.assurance())
}

/// One webhook is there, enabled and proved, and it is the account's.
async fn assert_connected(world: &World) -> WebhookStatus {
    let webhook = world.only_webhook().await;
    assert!(webhook.enabled);
    assert!(is_proved(world, &webhook), "{webhook:?}");
    let account = world.account().unwrap();
    assert_eq!(account.last_error, None);
    assert!(account.events.is(&webhook.events), "{:?}", webhook.events);
    let live = account.live().unwrap();
    assert_eq!(live.token, token_of(&webhook).hash());
    let entry = world.token_entry(&token_of(&webhook)).unwrap();
    assert!(entry.status.takes_deliveries());
    assert_eq!(entry.webhook, live.webhook);
    assert_eq!(
        entry.keys, live.keys,
        "who caches keys sees which are meant"
    );
    webhook
}

/// The webhook in use.
async fn serving(world: &World) -> WebhookStatus {
    let live = world.account().unwrap().live().unwrap().token;
    let mut webhooks = world.webhooks().await.into_iter();
    let serving = webhooks.find(|webhook| token_of(webhook).hash() == live);
    serving.unwrap()
}

/// `is_named`: whether the source says which id the webhook has.
#[rstest]
#[case::orderspace(Orderspace, json!({}), true)]
#[case::apideck(Apideck, json!({}), true)]
#[case::ordermentum_shows_a_name(Ordermentum, json!({}), true)]
#[case::ordermentum_shows_the_url(Ordermentum, json!({ "shows_url": true }), true)]
#[case::ordermentum_answers_200(Ordermentum, json!({ "create_status": 200 }), true)]
#[case::onestock_lists(OneStock, json!({ "list": 200, "delete": 200 }), true)]
#[case::onestock_id_below(OneStock, json!({ "id_in": "webhook" }), true)]
#[case::onestock_id_in_location(OneStock, json!({ "id_in": "location", "list": 405 }), true)]
#[case::onestock_id_in_the_list(OneStock, json!({ "id_in": "nowhere", "list": 200 }), true)]
#[case::onestock_id_nowhere(OneStock, json!({ "id_in": "nowhere", "list": 501 }), false)]
#[tokio::test]
// requirement: subscription-one
async fn connected_once_and_proved(
    #[case] source: Source,
    #[case] settings: Value,
    #[case] is_named: bool,
) {
    let world = World::playing(source, settings).await;
    let answer = world.connect().await.expect(200);
    assert_eq!(answer.body["state"], "connected");
    for _ in 0..2 {
        world.check().await.expect(200);
    }
    let account = world.account();
    world.connect().await.expect(200);
    assert_eq!(world.account(), account, "the same again changes nothing");
    let webhook = assert_connected(&world).await;
    let shown = world.show("acme").await.body;
    let id = shown["webhook"].as_str().unwrap();
    assert_eq!(id == webhook.id, is_named, "{id}");
    assert_eq!(id.starts_with("unnamed-"), !is_named, "{id}");
    let held = world.held_of(&token_of(&webhook));
    let secrets = held.macs.iter().map(MacKey::expose);
    for secret in secrets.chain(held.shared.iter().map(SharedSecret::expose)) {
        let answered = format!("{} {shown}", answer.body);
        assert!(!answered.contains(secret), "{answered}");
    }
}

/// Whatever became of the call that registers, the next check ends with one webhook whose secrets are held.
#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn a_registration_whose_answer_was_lost_is_found_or_made_again(
    #[values(Orderspace, Apideck, Ordermentum, OneStock)] source: Source,
    #[values(FaultKind::WorkThenStatus(504), FaultKind::Status(500))] fault: FaultKind,
) {
    let world = playing(source).await;
    world.next("POST", fault).await;
    let answer = world.connect().await;
    assert!(answer.status >= 500, "{}", answer.body);
    let registered = world.webhooks().await;
    world.check().await.expect(200);
    let webhook = assert_connected(&world).await;
    let found = registered.first().map(|known| known.id.as_str());
    assert!(found.is_none_or(|id| id == webhook.id));
    let shown = world.show("acme").await.body;
    assert_eq!(shown["webhook"], json!(webhook.id));
}

#[rstest]
#[tokio::test]
// requirement: subscription-repair
async fn a_missing_webhook_is_registered_again_and_those_of_others_are_left_alone(
    #[values(Orderspace, Apideck, Ordermentum, OneStock)] source: Source,
) {
    let world = playing(source).await;
    world.connect().await.expect(200);
    let gone = assert_connected(&world).await;
    world.remove_webhook(&gone.id).await;
    let foreign = world.add_foreign_webhook("https://other.example/in").await;
    world.check().await.expect(200);
    let webhooks = world.webhooks().await;
    assert_eq!(webhooks.len(), 2);
    assert!(webhooks.contains(&foreign));
    world.remove_webhook(&foreign.id).await;
    assert_ne!(assert_connected(&world).await.id, gone.id);
    world.assert_noted(&format!("{} is missing", gone.id));
}

/// A source that shows no key loses its webhook to another one, since nobody knows any more what proves its deliveries.
#[rstest]
#[case::shown_by_the_source(Orderspace, false)]
#[case::a_credential(Apideck, false)]
#[case::ours(Ordermentum, true)]
#[case::ours_too(OneStock, true)]
#[tokio::test]
async fn secrets_that_are_lost_are_held_again(#[case] source: Source, #[case] replaces: bool) {
    let world = playing(source).await;
    world.connect().await.expect(200);
    let before = world.newest_webhook().await;
    world.lose_keys();
    world.check().await.expect(200);
    let serving = serving(&world).await;
    assert!(is_proved(&world, &serving));
    assert_eq!(serving.id != before.id, replaces);
    let history = world.notes();
    assert_eq!(history.contains("are lost"), replaces, "{history}");
}

/// `removes`: whether the API can remove a webhook; else it is stopped, and the answer says what a person has to do.
#[rstest]
#[case::orderspace(Orderspace, json!({}), true)]
#[case::apideck(Apideck, json!({}), true)]
#[case::ordermentum(Ordermentum, json!({}), true)]
#[case::onestock(OneStock, json!({ "list": 200, "delete": 200 }), true)]
#[case::onestock_that_stops(OneStock, json!({}), false)]
#[tokio::test]
// requirement: subscription-disconnect
async fn rotated_and_disconnected(
    #[case] source: Source,
    #[case] settings: Value,
    #[case] removes: bool,
) {
    let world = World::playing(source, settings).await;
    world.connect().await.expect(200);
    let old = world.newest_webhook().await;
    let answer = world.rotate().await.expect(200);
    assert_eq!(world.webhooks().await.len(), 2);
    let new = world.webhook_beside(&old).await;
    assert_eq!(answer.body["webhook"], json!(new.id));
    assert!(is_proved(&world, &new) && is_proved(&world, &old));
    let secrets = [&old, &new].map(|webhook| world.held_of(&token_of(webhook)));
    let is_credential = source == Apideck;
    assert_eq!(secrets[0].same(&secrets[1]), is_credential);

    world.pass(3600);
    world.deliver_to(token_of(&new).hash());
    world.check().await.expect(200);
    let left = world.webhooks().await;
    assert_eq!(left.len(), if removes { 1 } else { 2 });
    assert!(left.iter().any(|webhook| webhook.id == new.id));
    let grace = world.status_of(&token_of(&old));
    assert!(grace.takes_deliveries(), "retries of the old one are taken");

    world.asked().await;
    let answer = world.disconnect().await.expect(200);
    assert_eq!(answer.body["state"], "disconnected");
    assert!(world.oauth().is_none());
    assert!(world.signing_keys().registrations().is_empty());
    let ended = world.status_of(&token_of(&new));
    assert!(!ended.takes_deliveries());
    if removes {
        assert!(world.webhooks().await.is_empty());
        assert_eq!(answer.body["last_error"], json!(null));
    } else {
        let paused = format!("PATCH /v2/webhooks/{}/status -> 200", new.id);
        assert!(world.asked().await.contains(&paused));
        let left = answer.last_error();
        assert!(left.contains(&new.id) && left.contains("by hand"), "{left}");
    }
    world.connect().await.expect(200);
    assert!(is_proved(&world, &serving(&world).await));
}

#[rstest]
#[case(Apideck, "api_key", json!("marker"), 422, "compare api_key and app_id")]
#[case(Apideck, "app_id", json!("marker"), 422, "compare api_key and app_id")]
#[case(Apideck, "api_key", json!(null), 400, "api_key")]
#[case(Apideck, "app_id", json!(7), 400, "app_id has to be a text")]
#[case(Apideck, "app_id", json!(""), 400, "app_id: it has to be 1 to 512")]
#[case(Apideck, "api_key", json!("mark er"), 400, "api_key: it has to be 1 to 512")]
#[case(Apideck, "api_key", json!("marker".repeat(86)), 400, "api_key: it has to be 1 to 512")]
#[case(Ordermentum, "api_key", json!("marker"), 422, "api_key")]
#[case(OneStock, "password", json!("marker"), 422, "password")]
#[case(OneStock, "api_url", json!("https://marker.internal"), 400, "api_url")]
#[case(OneStock, "api_url", json!("http://marker.example.com"), 400, "api_url")]
#[case(Orderspace, "client_secret", json!("marker"), 422, "refuses the credentials")]
#[tokio::test]
async fn wrong_credentials_are_named_by_their_fields_and_change_nothing(
    #[case] source: Source,
    #[case] field: &str,
    #[case] value: Value,
    #[case] status: u16,
    #[case] said: &str,
) {
    let world = playing(source).await;
    let mut wrong = world.desired(&["*"]);
    wrong[field] = value;
    let refuse = async || {
        let answer = world.put("acme", &wrong).await.expect(status);
        answer.assert_says(said);
        if status == 400 {
            assert_eq!(answer.body["field"], field);
        }
        let kept = answer.body.to_string();
        assert!(!kept.contains("marker"), "{kept}");
        assert!(!kept.contains("mark er"), "{kept}");
    };
    refuse().await;
    world.show("acme").await.expect(404);
    assert!(world.oauth().is_none() && world.webhooks().await.is_empty());
    world.connect().await.expect(200);
    let account = world.account();
    refuse().await;
    assert_eq!(world.account(), account);
    world.check().await.expect(200);
    assert_connected(&world).await;
}

/// Every call to the outside goes wrong once, in every way; the next connect ends with exactly one webhook, and whoever
/// called our URL meanwhile found its key.
#[rstest]
#[tokio::test]
// requirement: subscription-crash
async fn a_connect_that_is_cut_short_is_completed(#[values(Apideck, Ordermentum)] source: Source) {
    let begin = async || (playing(source).await, ());
    let call = |world: &World| put(world.desired(&["*"]));
    each_mishap(8, begin, call, async |world: &World, (), at: &str| {
        world.connect().await.expect(200);
        assert_connected(world).await;
        if let Some(greeter) = &world.greeter {
            let greetings = greeter.greetings.lock().unwrap();
            let key = std::slice::from_ref(&world.site.client_secret);
            let mut held = greetings.iter().map(|greeting| &greeting.keys);
            assert!(held.all(|keys| keys == key), "{at}: {greetings:?}");
        }
    })
    .await;
}

/// Whatever the rotation was doing, checks complete it or find that it had not begun.
#[rstest]
#[tokio::test]
async fn a_rotation_that_is_cut_short_is_completed(#[values(Apideck, Ordermentum)] source: Source) {
    let begin = async || {
        let world = playing(source).await;
        world.connect().await.expect(200);
        (world, ())
    };
    let go_on = async |world: &World, (), at: &str| {
        let is_begun = world.account().unwrap().rotation().is_some();
        world.check().await.expect(200);
        let count = world.webhooks().await.len();
        assert_eq!(count, 1 + usize::from(is_begun), "{at}");
        if is_begun {
            let live = world.account().unwrap().live().unwrap().token;
            world.deliver_to(live);
            world.check().await.expect(200);
        }
        assert_connected(world).await;
    };
    each_mishap(7, begin, |_| act("rotate"), go_on).await;
}
