//! Account events: teams that name them are sent what happens to an account, and nobody waits for a team's queue.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::ports::QueueUrl;
use domain::route::Routes;
use jsonschema::Validator;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::FaultKind;
use testkit::fakes::{Fault, Sent};

use crate::world::{Mishap, World, put};

const TEAM: &str = "https://sqs.eu-west-1.amazonaws.com/000000000000/team";
const OTHER: &str = "https://sqs.eu-west-1.amazonaws.com/000000000000/other";
const FIFO: &str = "https://sqs.eu-west-1.amazonaws.com/000000000000/team.fifo";
const ALL: &str = "orderhook.account.*";
const HOUR: usize = 3600;

fn queue(url: &str) -> QueueUrl {
    QueueUrl::new(url)
}

/// A world in which these queues' routes name these types.
async fn world(routes: &[(&str, &str)]) -> World {
    let mut world = World::new().await;
    world.routes = routes_of(routes);
    world
}

fn routes_of(routes: &[(&str, &str)]) -> Routes {
    let routes = routes.iter().map(|(queue, types)| {
        json!({ "team": "a", "queue": queue, "types": [types], "accounts": ["acme"] })
    });
    Routes::parse(&Value::from_iter(routes).to_string()).unwrap()
}

/// All that a queue was sent, each held against the published schema with no attribute more.
fn sent(world: &World, url: &str) -> Vec<Sent> {
    let schema = schema();
    let messages = world.queues.messages(&queue(url));
    for message in &messages {
        let json = message.json();
        let valid = schema.validate(&json);
        valid.unwrap_or_else(|error| panic!("{error}: {}", message.body));
    }
    messages
}

fn schema() -> Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../infra/events/orderhook-account.schema.json");
    let text = std::fs::read(path).unwrap();
    let mut schema: Value = serde_json::from_slice(&text).unwrap();
    for examples in schema["examples"].as_array().unwrap() {
        let open = jsonschema::validator_for(&schema).unwrap();
        assert!(open.is_valid(examples), "{examples}");
    }
    schema["additionalProperties"] = json!(false);
    schema["properties"]["data"]["additionalProperties"] = json!(false);
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema).unwrap()
}

/// What was sent since the last look: the last part of each type.
fn news(world: &World) -> Vec<String> {
    let types = sent(world, TEAM).iter().map(last_of_type).collect();
    world.queues.purge();
    types
}

fn last_of_type(message: &Sent) -> String {
    let kind = message.json()["type"].as_str().unwrap().to_owned();
    kind.strip_prefix("orderhook.account.").unwrap().to_owned()
}

/// What was sent, each event once, in the order of their ids.
fn by_id(world: &World, url: &str) -> BTreeMap<String, Value> {
    let mut events: BTreeMap<String, Value> = BTreeMap::new();
    for message in sent(world, url) {
        let event = message.json();
        let id = event["id"].as_str().unwrap().to_owned();
        let is_same = events.get(&id).is_none_or(|known| *known == event);
        assert!(is_same, "a repeat is the same");
        events.insert(id, event);
    }
    events
}

fn whats(events: &BTreeMap<String, Value>) -> Vec<String> {
    let what = |event: &Value| event["data"]["what"].as_str().unwrap().to_owned();
    events.values().map(what).collect()
}

#[tokio::test]
async fn each_of_the_six_is_sent_when_it_happens() {
    let world = world(&[(TEAM, ALL)]).await;
    world.connect().await.expect(200);
    assert_eq!(news(&world), ["connected"]);
    world.check().await.expect(200);
    assert_eq!(news(&world), [""; 0], "nothing happened");

    let id = world.newest_webhook().await.id;
    let change = json!({ "events": ["order.created"] });
    world.change_webhook(&id, change).await;
    world.check().await.expect(200);
    assert_eq!(news(&world), ["failed", "repaired"]);

    world.remove_webhook(&id).await;
    world.check().await.expect(200);
    let found = news(&world);
    assert!(found.starts_with(&["failed".to_owned()]), "{found:?}");
    assert!(found.contains(&"connected".to_owned()), "{found:?}");

    world.next("GET", FaultKind::Status(500)).await;
    world.check().await.expect(502);
    assert_eq!(news(&world), ["failed"]);
    world.check().await.expect(200);
    world.queues.purge();

    world.live_for_three_weeks();
    world.pass(2 * HOUR);
    world.check().await.expect(200);
    assert_eq!(news(&world), ["suspect"]);
    world.deliver("acme", world.now());
    world.check().await.expect(200);
    assert_eq!(news(&world), ["repaired"]);

    world.rotate().await.expect(200);
    assert_eq!(news(&world), ["changed", "connected", "changed"]);
    world.disconnect().await.expect(200);
    assert_eq!(news(&world), ["changed", "changed", "disconnected"]);
}

#[tokio::test]
async fn every_entry_of_the_history_is_one_event_with_its_words() {
    let world = world(&[(TEAM, ALL)]).await;
    world.connect().await.expect(200);
    world.pass(60);
    world.rotate().await.expect(200);
    world.pass(60);
    world.disconnect().await.expect(200);
    let events = by_id(&world, TEAM);
    assert_eq!(whats(&events), world.history());
    assert_eq!(sent(&world, TEAM).len(), events.len(), "each is sent once");
    let last = events.values().last().unwrap();
    assert_eq!(last["source"], "/orderhook/acme");
    assert_eq!(last["subject"], "account/acme");
    assert_eq!(last["data"]["source"], "orderspace");
    assert_eq!(last["data"]["status"], "disconnected");
    assert_eq!(last["time"], world.now().to_string());
    assert_eq!(world.account().unwrap().unsent, []);
    let message = sent(&world, TEAM).pop().unwrap();
    let attributes = json!({
        "type": "orderhook.account.disconnected", "account": "acme", "subject": "account/acme",
    });
    assert_eq!(json!(message.attributes), attributes);
    assert_eq!((message.group, message.deduplication), (None, None));
    let secret = world.site.client_secret.as_str();
    for message in sent(&world, TEAM) {
        assert!(!message.body.contains(secret), "{}", message.body);
    }
}

#[tokio::test]
async fn a_fifo_queue_has_a_group_for_the_account_and_drops_repeats() {
    let world = world(&[(FIFO, ALL)]).await;
    world.connect().await.expect(200);
    world.rotate().await.expect(200);
    let messages = sent(&world, FIFO);
    assert_eq!(messages.len(), world.history().len());
    for message in &messages {
        assert_eq!(message.group.as_deref(), Some("account/acme"));
        let id = message.json()["id"].as_str().map(str::to_owned);
        assert_eq!(message.deduplication, id);
    }
    let ids = messages.iter().map(|message| &message.deduplication);
    let is_in_order = ids.is_sorted_by(|one, next| one < next);
    assert!(is_in_order, "each once, in the order in which it happened");
}

#[rstest]
#[case::nobody_names_them("*", 0)]
#[case::one_type_is_named("orderhook.account.disconnected", 1)]
#[tokio::test]
async fn a_team_is_sent_what_its_route_names(#[case] types: &str, #[case] count: usize) {
    let world = world(&[(TEAM, types)]).await;
    world.connect().await.expect(200);
    world.disconnect().await.expect(200);
    world.connect_too("other", &["*"]).await;
    assert_eq!(sent(&world, TEAM).len(), count);
    assert_eq!(world.account().unwrap().unsent, []);
}

#[tokio::test]
async fn a_queue_that_is_gone_is_sent_by_a_check_once_it_is_back() {
    let world = world(&[(TEAM, ALL), (OTHER, ALL)]).await;
    world.queues.remove(&queue(TEAM));
    world.connect().await.expect(200);
    assert_eq!(sent(&world, OTHER).len(), 1, "the others do not wait");
    world.pass(60);
    world.disconnect().await.expect(200);
    let unsent = world.account().unwrap().unsent;
    assert_eq!(unsent.len(), world.history().len());
    assert!(unsent.iter().all(|one| one.queues == [queue(TEAM)].into()));

    // A disconnected account is checked again for this alone.
    let scheduled = json!({ "schedule": "check" });
    for _ in 0..2 {
        let due = world.invoke(scheduled.clone()).await.unwrap();
        assert_eq!(due, json!({ "accounts": 1 }));
        world.pass(60);
        world.check().await.expect(200);
        assert_eq!(world.account().unwrap().unsent, unsent, "all of them stay");
    }
    world.queues.restore(&queue(TEAM));
    world.check().await.expect(200);
    assert_eq!(whats(&by_id(&world, TEAM)), world.history());
    assert_eq!(by_id(&world, TEAM), by_id(&world, OTHER));
    let count = sent(&world, OTHER).len();
    assert_eq!(count, world.history().len(), "no repeats");
    assert_eq!(world.account().unwrap().unsent, []);
    let due = world.invoke(scheduled).await.unwrap();
    assert_eq!(due, json!({ "accounts": 0 }));
}

#[tokio::test]
async fn what_waits_for_a_queue_that_no_route_names_any_more_is_not_sent() {
    let mut world = world(&[(TEAM, ALL)]).await;
    world.queues.remove(&queue(TEAM));
    world.connect().await.expect(200);
    assert_eq!(world.account().unwrap().unsent.len(), 1);
    world.queues.restore(&queue(TEAM));
    world.routes = routes_of(&[(OTHER, ALL)]);
    world.check().await.expect(200);
    assert_eq!(world.account().unwrap().unsent, []);
    assert!(sent(&world, TEAM).is_empty() && sent(&world, OTHER).is_empty());
}

#[tokio::test]
async fn a_queue_that_hangs_delays_no_call_for_long_and_fails_none() {
    let world = world(&[(TEAM, ALL)]).await;
    let faults = world.queues.script().on("send");
    faults.within(TEAM).always().fault(Fault::hang());
    let begun = Instant::now();
    world.connect().await.expect(200);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(world.account().unwrap().unsent.len(), 1);
    assert!(!world.is_leased());
    world.queues.script().repair();
    world.check().await.expect(200);
    assert_eq!(news(&world), ["connected"]);
}

/// Whatever call to the outside the function dies at, or does not get an answer of, each entry arrives.
#[rstest]
#[case::refused(Mishap::Refused)]
#[case::lost(Mishap::Lost)]
#[case::death_before(Mishap::DeathBefore)]
#[case::death_after(Mishap::DeathAfter)]
#[tokio::test]
async fn every_entry_that_is_stored_arrives_wherever_a_call_ends(#[case] mishap: Mishap) {
    let mut repeats = 0;
    for nth in 0.. {
        let world = world(&[(TEAM, ALL)]).await;
        world.fate.plan(nth, mishap);
        world.try_call(put(world.desired(&["*"]))).await;
        let has_happened = world.fate.end();
        world.pass(61);
        world.connect().await.expect(200);
        world.pass(61);
        world.check().await.expect(200);
        let events = by_id(&world, TEAM);
        assert_eq!(whats(&events), world.history(), "call {nth}");
        assert_eq!(world.account().unwrap().unsent, [], "call {nth}");
        repeats += sent(&world, TEAM).len() - events.len();
        if !has_happened {
            assert!(nth > 5, "{nth}");
            break;
        }
    }
    let is_repeated = matches!(mishap, Mishap::DeathBefore | Mishap::Refused);
    assert_eq!(repeats > 0, is_repeated, "{repeats}");
}
