//! What waits: looked at without being taken, released through the lanes, dropped into a file. On a stack of this machine
//! that plays AWS.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where it is"
)]

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::identity::{DeliveryId, EventIndex};
use domain::timestamp::Timestamp;
use operate::loopback_stack::{LoopbackStack, Stored};
use operate::stuck::{Done, Filter, Listing, Options, Room, drop_all, list, release, show};
use operate::{Error, Exit, Stack};
use rstest::rstest;
use serde_json::{Value, json};

const FAST: Options = Options {
    rate: 100_000,
    most: usize::MAX,
};

const ROUTES: &str = r#"[{"team":"sales","queue":"http://q/0/sales","types":["*"],"accounts":["*"]},
    {"team":"finance","queue":"http://q/0/finance","types":["*"],"accounts":["*"]}]"#;

fn delivery() -> DeliveryId {
    DeliveryId::new(Timestamp::from_millis(1_795_176_000_123), &[1; 10])
}

fn event_id(index: usize) -> String {
    let index = EventIndex::new(index).unwrap();
    delivery().event(index).to_string()
}

fn envelope(index: usize) -> String {
    let (id, delivery) = (event_id(index), delivery());
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/orderspace/acme","type":"orderspace.order.created","subject":"order/or_{index}","time":"{}","datacontenttype":"application/json","account":"acme","deliveryid":"{delivery}","data":{{"id":"or_{index}", "net":20.10}}}}"#,
        delivery.first_seen()
    )
}

fn undelivered(team: &str, envelope: &str) -> String {
    format!(
        r#"{{"team":"{team}","queue":"http://q/0/{team}","reason":"QueueDoesNotExist","envelope":{envelope}}}"#
    )
}

fn notice(reason: Option<&str>, elements: &[usize]) -> String {
    let element = |index| json!({ "index": index, "reason": "element_without_type" });
    let elements: Vec<Value> = elements.iter().map(element).collect();
    let (id, day) = (delivery().to_string(), delivery().first_seen().day());
    json!({
        "account": "acme", "deliveryid": id, "time": "t", "reason": reason, "elements": elements,
        "receipt": { "pk": format!("acme#{day}"), "sk": id },
    })
    .to_string()
}

async fn stack() -> LoopbackStack {
    LoopbackStack::with_account(ROUTES).await
}

fn keep_receipt(stack: &LoopbackStack, body: &str) {
    let packed = STANDARD.encode(zstd::bulk::compress(body.as_bytes(), 3).unwrap());
    let day = delivery().first_seen().day();
    let item = json!({
        "pk": { "S": format!("acme#{day}") }, "sk": { "S": delivery().to_string() }, "body": { "B": packed },
    });
    stack.put_item("receipts", &item);
}

async fn released(stack: &LoopbackStack, filter: &Filter) -> Result<Done, Error> {
    let calls = stack.calls();
    let found = Stack::find(&calls, "shop").await.unwrap();
    release(&calls, &found, filter, FAST, &mut |_| {}).await
}

async fn listed(stack: &LoopbackStack, filter: &Filter, limit: usize) -> Listing {
    let calls = stack.calls();
    let found = Stack::find(&calls, "shop").await.unwrap();
    list(&calls, &found, filter, limit).await.unwrap()
}

fn of_team(team: &str) -> Filter {
    Filter {
        team: Some(team.to_owned()),
        ..Filter::default()
    }
}

fn in_room(room: Room) -> Filter {
    Filter {
        rooms: vec![room],
        ..Filter::default()
    }
}

fn bodies(messages: &[Stored]) -> BTreeSet<String> {
    let bodies = messages.iter().map(|message| message.body.clone());
    bodies.collect()
}

/// Events of these numbers wait for a team.
fn put_undelivered(stack: &LoopbackStack, team: &str, numbers: Range<usize>) {
    for number in numbers {
        stack.put("undelivered", undelivered(team, &envelope(number)));
    }
}

fn all_shown(stack: &LoopbackStack, queue: &str) -> bool {
    stack.queue(queue).iter().all(|message| !message.is_hidden)
}

#[tokio::test]
async fn a_list_takes_nothing_and_changes_nothing() {
    let stack = stack().await;
    stack.put("undelivered", "no event at all");
    put_undelivered(&stack, "finance", 0..30);
    put_undelivered(&stack, "sales", 30..35);
    stack.put("orders-dlq", envelope(40));
    stack.put("quarantine", notice(Some("no_event_list"), &[]));
    let all = listed(&stack, &Filter::default(), 1000).await;
    assert_eq!(all.entries.len(), 38);
    assert!(all.is_whole());
    let unreadable = all.entries.iter().filter(|entry| !entry.is_readable);
    assert_eq!(unreadable.count(), 1);
    let sales = listed(&stack, &of_team("sales"), 1000).await;
    assert_eq!((sales.entries.len(), sales.rooms.len()), (5, 1));
    let sent: Vec<_> = sales.entries.iter().map(|entry| entry.sent).collect();
    assert!(sent.is_sorted(), "the oldest first");
    for (queue, count) in [("undelivered", 36), ("orders-dlq", 1), ("quarantine", 1)] {
        assert_eq!(stack.queue(queue).len(), count);
        assert!(all_shown(&stack, queue), "{queue}");
    }
    for change in ["DeleteMessageBatch", "SendMessageBatch", "PurgeQueue"] {
        let mut asked = stack.server.seen().into_iter();
        assert!(!asked.any(|seen| seen.action.ends_with(change)));
    }
}

#[tokio::test]
async fn a_list_ends_at_its_limit_and_says_so() {
    let stack = stack().await;
    put_undelivered(&stack, "sales", 0..35);
    let some = listed(&stack, &Filter::default(), 20).await;
    assert_eq!((some.entries.len(), some.is_whole()), (20, false));
    assert_eq!(some.rooms[0].messages, 35);
    assert!(all_shown(&stack, "undelivered"));
}

#[tokio::test]
// requirement: resend-complete
async fn whatever_lies_in_front_of_it_a_teams_events_are_released_for_it_alone() {
    let stack = stack().await;
    stack.put("undelivered", "no event at all");
    put_undelivered(&stack, "finance", 0..35);
    stack.put("undelivered", r#"{"team":"sales","envelope":7}"#);
    put_undelivered(&stack, "sales", 35..40);
    let done = released(&stack, &of_team("sales")).await.unwrap();
    assert_eq!((done.messages, done.events, done.hidden), (5, 5, 0));
    assert_eq!(done.left.len(), 1, "{:?}", done.left);
    assert!(!done.is_complete(), "somebody has to look at the other");
    let lane = stack.queue("orders");
    let expected: BTreeSet<String> = (35..40).map(envelope).collect();
    assert_eq!(bodies(&lane), expected, "byte for byte");
    for message in &lane {
        assert_eq!(message.attribute("only"), Some("sales"));
        assert_eq!(message.attribute("job"), None);
        assert_eq!(message.group.as_deref(), Some("acme"));
    }
    assert_eq!(stack.queue("undelivered").len(), 37);
    assert!(all_shown(&stack, "undelivered"), "all else is shown again");
    let again = released(&stack, &of_team("finance")).await.unwrap();
    assert_eq!((again.messages, again.is_complete()), (35, true));
}

#[tokio::test]
// requirement: resend-complete
async fn what_somebody_else_hides_is_not_called_nothing() {
    let stack = stack().await;
    stack.put("undelivered", undelivered("sales", &envelope(1)));
    stack.with(|state| state.queues.get_mut("undelivered").unwrap()[0].is_hidden = true);
    let done = released(&stack, &of_team("sales")).await.unwrap();
    assert_eq!((done.messages, done.hidden), (0, 1));
    assert!(!done.is_complete());
}

#[tokio::test]
// requirement: resend-complete
async fn what_comes_round_again_before_all_is_seen_ends_a_run_that_says_so() {
    let stack = stack().await;
    put_undelivered(&stack, "finance", 0..35);
    put_undelivered(&stack, "sales", 35..36);
    stack.with(|state| state.is_forgetful = true);
    let done = released(&stack, &of_team("sales")).await.unwrap();
    assert_eq!((done.messages, done.unseen), (0, 26));
    assert!(!done.is_complete());
    let some = listed(&stack, &of_team("sales"), 1000).await;
    assert!(some.entries.is_empty() && !some.is_whole());
}

#[tokio::test]
async fn what_its_lane_refuses_stays_and_is_shown() {
    let stack = stack().await;
    stack.put("undelivered", undelivered("sales", &envelope(1)));
    stack.with(|state| state.refusing.push("orders".to_owned()));
    let done = released(&stack, &of_team("sales")).await.unwrap();
    assert_eq!((done.messages, done.events, done.left.len()), (0, 0, 1));
    assert!(done.left[0].reason.contains("Refused"), "{:?}", done.left);
    assert_eq!(stack.queue("undelivered").len(), 1);
    assert!(all_shown(&stack, "undelivered"));
}

#[tokio::test]
async fn a_team_that_no_route_names_stays_as_it_is() {
    let stack = stack().await;
    stack.put("undelivered", undelivered("gone", &envelope(1)));
    let done = released(&stack, &Filter::default()).await.unwrap();
    assert!(done.left[0].reason.contains("team gone"), "{:?}", done.left);
    assert!(stack.queue("orders").is_empty());
}

#[rstest]
#[case("0.1.0")]
#[case("99.0.0")]
#[tokio::test]
async fn a_stack_of_another_release_is_not_touched(#[case] version: &str) {
    let stack = stack().await;
    stack.put("undelivered", undelivered("sales", &envelope(1)));
    stack.with(|state| version.clone_into(&mut state.version));
    let error = released(&stack, &of_team("sales")).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Left);
    assert!(error.to_string().contains(version), "{error}");
    assert_eq!(stack.queue("undelivered").len(), 1);
    assert!(stack.server.seen_of("sqs ReceiveMessage").is_empty());
}

#[tokio::test]
async fn no_more_than_is_allowed_is_released() {
    let stack = stack().await;
    put_undelivered(&stack, "sales", 0..12);
    let calls = stack.calls();
    let found = Stack::find(&calls, "shop").await.unwrap();
    let options = Options { most: 3, ..FAST };
    let done = release(&calls, &found, &of_team("sales"), options, &mut |_| {}).await;
    let done = done.unwrap();
    assert_eq!((done.messages, done.is_cut_off), (3, true));
    let expected: BTreeSet<String> = (0..3).map(envelope).collect();
    assert_eq!(bodies(&stack.queue("orders")), expected, "the oldest");
    assert!(all_shown(&stack, "undelivered"));
}

#[tokio::test]
async fn killed_at_any_call_a_release_loses_nothing_and_sends_at_most_a_batch_twice() {
    const EVENTS: usize = 34;
    let mut killed = 0;
    for at in 1..24 {
        let stack = stack().await;
        put_undelivered(&stack, "sales", 0..EVENTS);
        let filter = of_team("sales");
        let first = stack.killed_after(at, released(&stack, &filter)).await;
        killed += usize::from(first.is_none());
        let there = |queue: &str| stack.queue(queue).len();
        assert!(there("orders") + there("undelivered") >= EVENTS, "at {at}");
        stack.show_all();
        released(&stack, &filter).await.unwrap();
        assert!(stack.queue("undelivered").is_empty(), "at {at}");
        let lane = stack.queue("orders");
        let expected: BTreeSet<String> = (0..EVENTS).map(envelope).collect();
        assert_eq!(bodies(&lane), expected, "at {at}");
        assert!(lane.len() <= EVENTS + 10, "at {at}: {}", lane.len());
    }
    assert!(killed >= 10, "{killed}");
}

#[tokio::test]
async fn a_dead_letter_goes_back_to_its_lane_as_it_was_sent() {
    let stack = stack().await;
    stack.put("orders-dlq", envelope(1));
    stack.put("orders-dlq", "no envelope");
    stack.with(|state| {
        let dead = state.queues.get_mut("orders-dlq").unwrap();
        dead[0].attributes = json!({ "only": { "DataType": "String", "StringValue": "sales" } });
    });
    let rooms = Room::named("dead-letters").unwrap();
    let filter = Filter {
        rooms,
        ..Filter::default()
    };
    let done = released(&stack, &filter).await.unwrap();
    assert_eq!((done.messages, done.left.len()), (1, 1));
    let lane = stack.queue("orders");
    assert_eq!(lane[0].body, envelope(1));
    assert_eq!(lane[0].attribute("only"), Some("sales"));
    assert_eq!(stack.queue("orders-dlq").len(), 1);
}

#[rstest]
#[case::of_a_release_without_the_parameter(None, Some("acme"))]
#[case::fair(Some("true"), Some("acme"))]
#[case::not_fair(Some("false"), None)]
#[tokio::test]
// requirement: parameters-keep-promises
async fn what_is_released_has_a_group_where_queues_are_fair(
    #[case] parameter: Option<&str>,
    #[case] group: Option<&str>,
    #[values("orders-dlq", "undelivered")] queue: &str,
) {
    let stack = stack().await;
    let given = parameter.map(|value| ("FairQueues".to_owned(), value.to_owned()));
    stack.with(|state| state.parameters.extend(given));
    let message = match queue {
        "undelivered" => undelivered("sales", &envelope(1)),
        _ => envelope(1),
    };
    stack.put(queue, message);
    let done = released(&stack, &Filter::default()).await.unwrap();
    assert_eq!(done.messages, 1, "{:?}", done.left);
    assert_eq!(stack.queue("orders")[0].group.as_deref(), group);
}

const DELIVERY: &str = r#"[{"event":"order.created","data":{"order":{"id":"or_0", "net":20.10}}},
    {"event":"customer.created","data":{"customer":{"id":"cu_1"}}},7]"#;

#[tokio::test]
async fn a_quarantined_delivery_is_split_again_from_its_receipt() {
    let stack = stack().await;
    keep_receipt(&stack, DELIVERY);
    stack.put("quarantine", notice(None, &[0]));
    let done = released(&stack, &in_room(Room::Quarantine)).await.unwrap();
    assert_eq!((done.messages, done.events), (1, 1));
    assert!(done.is_complete());
    let lane = stack.queue("orders");
    let as_by_inbound = BTreeSet::from([envelope(0)]);
    assert_eq!(bodies(&lane), as_by_inbound);
    assert_eq!(lane[0].attribute("only"), None);
    let others = stack.queue("customers");
    assert!(others.is_empty(), "only what the notice names");
}

#[tokio::test]
async fn what_cannot_be_read_still_stays_and_what_can_is_released() {
    let stack = stack().await;
    keep_receipt(&stack, DELIVERY);
    stack.put("quarantine", notice(Some("not_json"), &[]));
    let done = released(&stack, &in_room(Room::Quarantine)).await.unwrap();
    assert_eq!((done.messages, done.events, done.left.len()), (0, 2, 1));
    assert_eq!(stack.queue("quarantine").len(), 1);
    assert_eq!(stack.queue("orders").len(), 1);
    assert_eq!(stack.queue("customers").len(), 1);
}

#[rstest]
#[case::no_json("nothing", "the body is not JSON")]
#[case::no_receipt("", "its receipt is gone")]
#[tokio::test]
async fn a_delivery_that_is_still_unreadable_is_left(#[case] body: &str, #[case] reason: &str) {
    let stack = stack().await;
    if !body.is_empty() {
        keep_receipt(&stack, body);
    }
    stack.put("quarantine", notice(Some("not_json"), &[]));
    let done = released(&stack, &in_room(Room::Quarantine)).await.unwrap();
    assert_eq!((done.messages, done.events), (0, 0));
    assert!(done.left[0].reason.contains(reason), "{:?}", done.left);
    assert!(all_shown(&stack, "quarantine"));
}

#[tokio::test]
async fn a_unified_event_goes_back_in_its_native_form() {
    let stack = stack().await;
    let more = r#","sourcetype":"orderspace.order.created","possibleduplicate":true,"data""#;
    let unified = envelope(0)
        .replace("orderspace.order.created", "ecommerce.order.created")
        .replace(r#","data""#, more);
    stack.put("undelivered", undelivered("sales", &unified));
    let left = released(&stack, &of_team("sales")).await.unwrap().left;
    assert!(left[0].reason.contains("receipt"), "{left:?}");
    keep_receipt(&stack, DELIVERY);
    let done = released(&stack, &of_team("sales")).await.unwrap();
    assert!(done.is_complete(), "{done:?}");
    let lane = stack.queue("orders");
    let expected = envelope(0).replace(r#","data""#, r#","possibleduplicate":true,"data""#);
    assert_eq!(bodies(&lane), BTreeSet::from([expected]));
    assert_eq!(lane[0].attribute("only"), Some("sales"));
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Drops what waits for the team sales.
async fn dropped(stack: &LoopbackStack, file: &mut (impl Write + Send)) -> Result<Done, Error> {
    let calls = stack.calls();
    let found = Stack::find(&calls, "shop").await.unwrap();
    let filter = of_team("sales");
    drop_all(&calls, &found, &filter, FAST, file, &mut |_| {}).await
}

#[tokio::test]
async fn what_is_dropped_is_in_the_file_first() {
    let stack = stack().await;
    put_undelivered(&stack, "sales", 0..3);
    put_undelivered(&stack, "finance", 3..4);
    assert!(dropped(&stack, &mut Full).await.is_err());
    assert_eq!(stack.queue("undelivered").len(), 4);
    assert!(all_shown(&stack, "undelivered"), "and shown again");

    let mut file = Vec::new();
    assert_eq!(dropped(&stack, &mut file).await.unwrap().messages, 3);
    let file = String::from_utf8(file).unwrap();
    assert_eq!(file.lines().count(), 3);
    let lines = file.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>().unwrap();
    assert_eq!(lines[0]["body"], undelivered("sales", &envelope(0)));
    assert_eq!(stack.queue("undelivered").len(), 1);
    assert!(stack.queue("orders").is_empty(), "nothing is sent anywhere");
}

#[tokio::test]
async fn one_thing_is_shown_by_any_of_its_ids() {
    let stack = stack().await;
    keep_receipt(&stack, DELIVERY);
    stack.put("undelivered", undelivered("sales", &envelope(0)));
    stack.put("quarantine", notice(None, &[2]));
    let calls = stack.calls();
    let found = Stack::find(&calls, "shop").await.unwrap();
    let shown = async |id: &str| show(&calls, &found, id, 1000).await;
    let by_event = shown(&event_id(0)).await.unwrap();
    assert_eq!(by_event.len(), 1);
    assert_eq!(by_event[0].entry.team.as_deref(), Some("sales"));
    let by_delivery = shown(&delivery().to_string()).await.unwrap();
    assert_eq!(by_delivery.len(), 2, "the event and the notice");
    assert_eq!(by_delivery[1].parts.get(&2).map(String::as_str), Some("7"));
    let missing = shown("nothing").await.unwrap_err();
    assert_eq!(missing.exit(), Exit::NotFound);
    assert!(all_shown(&stack, "undelivered") && all_shown(&stack, "quarantine"));
}
