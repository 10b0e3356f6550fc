//! Replays: what is chosen, what is refused before anything is sent, and what a replay that is killed leaves.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where it is"
)]

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::envelope::Envelope;
use domain::identity::{DeliveryId, EventId, EventIndex};
use domain::record::Subject;
use domain::route::Pattern;
use domain::timestamp::Timestamp;
use operate::loopback::Reply;
use operate::loopback_stack::{LoopbackStack, Stored};
use operate::replay::{Counts, Replay, Request, What, Whose};
use operate::{Error, Exit, Stack};
use rstest::rstest;
use serde_json::{Value, json};

/// 2026-11-20T12:00:00Z.
const NOON: u64 = 1_795_176_000_000;
const HOUR: u64 = 3_600_000;

const ACCOUNTS: &str = "execute-api GET /v1/accounts";

const ROUTES: &str = r#"[{"team":"sales","queue":"http://q/0/sales","types":["order.*"],"accounts":["acme"]},
    {"team":"all","queue":"http://q/0/all","types":["*"],"accounts":["*"]},
    {"team":"unified","queue":"http://q/0/unified","types":["ecommerce.order.*"],"accounts":["*"],"format":"unified"}]"#;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

async fn stack() -> LoopbackStack {
    LoopbackStack::with_account(ROUTES).await
}

fn packed(text: &str) -> String {
    STANDARD.encode(zstd::bulk::compress(text.as_bytes(), 3).unwrap())
}

/// A delivery that came at a time, with its body.
fn keep(stack: &LoopbackStack, millis: u64, body: &str) -> DeliveryId {
    keep_of(stack, "acme", millis, body)
}

fn keep_of(stack: &LoopbackStack, account: &str, millis: u64, body: &str) -> DeliveryId {
    let id = DeliveryId::new(at(millis), &[7; 10]);
    let partition = format!("{account}#{}", id.first_seen().day());
    let receipt = json!({ "pk": { "S": partition }, "sk": { "S": id.to_string() }, "body": { "B": packed(body) } });
    stack.put_item("receipts", &receipt);
    id
}

fn orders(first: usize, count: usize) -> String {
    let order = |number: usize| json!({ "event": "order.created", "data": { "order": { "id": format!("or_{number}") } } });
    json!((first..first + count).map(order).collect::<Vec<_>>()).to_string()
}

const CUSTOMER: &str =
    r#"[{"event":"customer.created","data":{"customer":{"id":"cu_1", "n":1.50}}}]"#;

fn request(what: What) -> Request {
    Request {
        whose: Whose::One("acme".parse().unwrap()),
        what,
        types: Vec::new(),
        subject: None,
        team: None,
        rate: 100_000,
        job: "r1".parse().unwrap(),
        is_long: false,
    }
}

fn span(from: u64, to: u64) -> What {
    What::Span {
        from: at(from),
        to: at(to),
        after: None,
    }
}

fn pattern(text: &str) -> Pattern {
    serde_json::from_value(json!(text)).unwrap()
}

/// Another account of this source.
fn connect(stack: &LoopbackStack, account: &str, source: &str) {
    let (account, source) = (account.to_owned(), source.to_owned());
    stack.with(|state| state.accounts.insert(account, source));
}

/// What is sent of the hour after noon.
async fn sent_of_hour(stack: &LoopbackStack) -> Result<Counts, Error> {
    sent(stack, &request(span(NOON, NOON + HOUR))).await
}

async fn counted(stack: &LoopbackStack, request: &Request) -> Result<Counts, Error> {
    let calls = stack.calls();
    let found = Stack::find(&calls, "shop").await.unwrap();
    let replay = Replay::prepare(&calls, &found, request, at(NOON + HOUR)).await?;
    replay.count().await
}

async fn sent(stack: &LoopbackStack, request: &Request) -> Result<Counts, Error> {
    let calls = stack.calls();
    let found = Stack::find(&calls, "shop").await.unwrap();
    let replay = Replay::prepare(&calls, &found, request, at(NOON + HOUR)).await?;
    replay.run(&mut |_| {}).await
}

fn ids(messages: &[Stored]) -> Vec<EventId> {
    let id = |message: &Stored| Envelope::parse(&message.body).unwrap().id;
    messages.iter().map(id).collect()
}

#[tokio::test]
async fn a_span_is_sent_in_order_under_the_ids_that_it_had() {
    let stack = stack().await;
    // Two days, and more than a page.
    let first = keep(&stack, NOON - 24 * HOUR, &orders(0, 3));
    for (millis, first) in (NOON..).zip([10, 14, 18, 22, 26]) {
        keep(&stack, millis, &orders(first, 4));
    }
    keep(&stack, NOON + 10, CUSTOMER);
    keep(&stack, NOON - 25 * HOUR, &orders(900, 1));
    keep(&stack, NOON + HOUR, &orders(901, 1));
    let request = request(span(NOON - 24 * HOUR, NOON + HOUR));
    let dry = counted(&stack, &request).await.unwrap();
    assert_eq!((dry.read, dry.held, dry.events), (7, 24, 24));
    assert_eq!(dry.types["order.created"], 23);
    assert!(stack.queue("orders").is_empty(), "counting sends nothing");

    let done = sent(&stack, &request).await.unwrap();
    assert_eq!(done.events, 24);
    let lane = stack.queue("orders");
    let sent_ids = ids(&lane);
    assert!(sent_ids.is_sorted(), "the oldest first");
    assert_eq!((sent_ids.len(), sent_ids[0].delivery()), (23, first));
    for message in lane.iter().chain(&stack.queue("customers")) {
        assert_eq!(message.group.as_deref(), Some("acme~replay"));
        assert_eq!(message.attribute("job"), Some("r1"));
        assert_eq!(message.attribute("only"), None);
        let envelope = Envelope::parse(&message.body).unwrap();
        assert!(envelope.marks.replayed && envelope.marks.replay_job.is_none());
    }
    let customer = &stack.queue("customers")[0].body;
    let data = r#""data":{"id":"cu_1", "n":1.50}}"#;
    assert!(customer.ends_with(data), "byte for byte: {customer}");
}

#[rstest]
#[case::the_team_s_routes(Some("sales"), &[], None, 3)]
#[case::all_types(Some("all"), &[], None, 4)]
#[case::unified(Some("unified"), &[], None, 4)]
#[case::by_type(None, &["customer.*"], None, 1)]
#[case::by_the_source_s_type(None, &["orderspace.order.created"], None, 3)]
#[case::another_source(None, &["onestock.*"], None, 0)]
#[case::team_and_type(Some("sales"), &["customer.*"], None, 0)]
#[case::by_record(None, &[], Some("order/or_1"), 1)]
#[case::another_record(None, &[], Some("order/or_9"), 0)]
#[tokio::test]
async fn what_is_chosen(
    #[case] team: Option<&str>,
    #[case] types: &[&str],
    #[case] subject: Option<&str>,
    #[case] expected: u64,
) {
    let stack = stack().await;
    keep(&stack, NOON, &orders(0, 3));
    keep(&stack, NOON + 1, CUSTOMER);
    let request = Request {
        team: team.map(str::to_owned),
        types: types.iter().map(|name| pattern(name)).collect(),
        subject: subject.map(|text| Subject::parse(text).unwrap()),
        ..request(span(NOON, NOON + HOUR))
    };
    assert_eq!(counted(&stack, &request).await.unwrap().events, expected);
    assert_eq!(sent(&stack, &request).await.unwrap().events, expected);
    let messages = [stack.queue("orders"), stack.queue("customers")].concat();
    assert_eq!(messages.len(), usize::try_from(expected).unwrap());
    for message in messages {
        assert_eq!(message.attribute("only"), team);
    }
}

#[tokio::test]
async fn parts_that_are_in_quarantine_are_left_out_and_counted() {
    let stack = stack().await;
    let partly = r#"[7,{"event":"order.created","data":{"order":{"id":"or_1"}}}]"#;
    keep(&stack, NOON, partly);
    keep(&stack, NOON + 1, "no json");
    let done = sent_of_hour(&stack).await.unwrap();
    assert_eq!((done.read, done.unreadable, done.events), (2, 2, 1));
    assert_eq!(ids(&stack.queue("orders"))[0].index().get(), 1);
}

#[tokio::test]
async fn one_delivery_alone() {
    let stack = stack().await;
    keep(&stack, NOON, &orders(0, 3));
    let id = keep(&stack, NOON + 1, &orders(3, 2));
    let one = request(What::Delivery { id, after: None });
    let done = sent(&stack, &one).await.unwrap();
    assert_eq!((done.read, done.events), (1, 2));
    let events = ids(&stack.queue("orders"));
    assert!(events.iter().all(|event| event.delivery() == id));
}

#[tokio::test]
async fn a_large_event_is_put_into_the_bucket_only_where_it_is_gone() {
    let stack = stack().await;
    let note = "x".repeat(300_000);
    let body =
        json!([{ "event": "order.created", "data": { "order": { "id": "or_1", "note": note } } }]);
    let id = keep(&stack, NOON, &body.to_string());
    sent_of_hour(&stack).await.unwrap();
    let path = format!("/bucket/events/acme/{id}.00000");
    let object = stack.with(|state| state.objects[&path].clone());
    assert!(object.starts_with(r#"{"id":"or_1""#));
    let message = &stack.queue("orders")[0].body;
    assert!(message.contains(&format!("s3:/{path}")), "{message}");
    sent_of_hour(&stack).await.unwrap();
    assert_eq!(stack.server.seen_of(&format!("s3 PUT {path}")).len(), 1);
    assert_eq!(stack.server.seen_of(&format!("s3 HEAD {path}")).len(), 2);
}

#[tokio::test]
async fn killed_at_any_call_a_replay_goes_on_with_at_most_a_batch_twice() {
    const EVENTS: usize = 154;
    let mut killed = 0;
    for call in 1..24 {
        let stack = stack().await;
        for (millis, first) in (NOON..).zip((0..EVENTS).step_by(11)) {
            keep(&stack, millis, &orders(first, 11));
        }
        let calls = stack.calls();
        let found = Stack::find(&calls, "shop").await.unwrap();
        let mut after = None;
        let asked = request(span(NOON, NOON + HOUR));
        let run = async {
            let replay = Replay::prepare(&calls, &found, &asked, at(NOON + HOUR)).await;
            let mut progress = |counts: &Counts| after.clone_from(&counts.after);
            replay.unwrap().run(&mut progress).await.unwrap();
        };
        let ended = stack.killed_after(call, run).await;
        killed += usize::from(ended.is_none());
        let after = after.map(|id| id.parse().unwrap());
        let what = What::Span {
            from: at(NOON),
            to: at(NOON + HOUR),
            after,
        };
        sent(&stack, &request(what)).await.unwrap();
        let all = ids(&stack.queue("orders"));
        let distinct: BTreeSet<EventId> = all.iter().copied().collect();
        assert_eq!(distinct.len(), EVENTS, "killed at {call}");
        assert!(all.len() <= EVENTS + 10, "killed at {call}: {}", all.len());
    }
    assert!(killed >= 10, "{killed}");
}

#[tokio::test]
async fn a_lane_that_refuses_ends_a_replay_with_what_was_accepted() {
    let stack = stack().await;
    keep(&stack, NOON, &orders(0, 3));
    stack.with(|state| state.refusing.push("orders".to_owned()));
    let error = sent_of_hour(&stack).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Left, "{error}");
}

#[rstest]
#[case::turned_around(span(NOON, NOON - 1), None, Exit::Usage)]
#[case::empty(span(NOON, NOON), None, Exit::Usage)]
#[case::before_the_oldest_receipt(span(NOON - 31 * 24 * HOUR, NOON), None, Exit::Usage)]
#[case::too_long(span(NOON - 20 * 24 * HOUR, NOON + 12 * 24 * HOUR), None, Exit::Usage)]
#[case::a_team_that_there_is_not(span(NOON - HOUR, NOON), Some("sale"), Exit::NotFound)]
#[case::the_state_for_everybody(What::State { after: None }, None, Exit::Usage)]
#[case::a_delivery_that_is_too_old(What::Delivery { id: DeliveryId::new(at(NOON - 40 * 24 * HOUR), &[1; 10]), after: None }, None, Exit::Usage)]
#[tokio::test]
async fn what_cannot_be_whole_is_refused_before_anything_is_read(
    #[case] what: What,
    #[case] team: Option<&str>,
    #[case] exit: Exit,
) {
    let stack = stack().await;
    let request = Request {
        team: team.map(str::to_owned),
        ..request(what)
    };
    let error = sent(&stack, &request).await.unwrap_err();
    assert_eq!(error.exit(), exit, "{error}");
    assert!(stack.server.seen_of("dynamodb Query").is_empty());
}

#[tokio::test]
async fn another_release_and_another_account_are_refused() {
    let stack = stack().await;
    let other = Request {
        whose: Whose::One("other".parse().unwrap()),
        ..request(span(NOON - HOUR, NOON))
    };
    let error = sent(&stack, &other).await.unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound, "{error}");
    stack.with(|state| "0.1.0".clone_into(&mut state.version));
    let error = sent_of_hour(&stack).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Left, "{error}");
}

fn all_accounts(from: Option<&str>, after: Option<EventId>) -> Request {
    let from = from.map(|from| from.parse().unwrap());
    let what = What::Span {
        from: at(NOON),
        to: at(NOON + HOUR),
        after,
    };
    Request {
        whose: Whose::All { from },
        ..request(what)
    }
}

/// Whose events a lane got, in their order.
fn owners(messages: &[Stored]) -> Vec<String> {
    let owner = |message: &Stored| Envelope::parse(&message.body).unwrap().account.to_string();
    messages.iter().map(owner).collect()
}

#[tokio::test]
async fn all_accounts_are_replayed_one_after_another_each_by_its_own_source() {
    let stack = stack().await;
    connect(&stack, "beau", "ordermentum");
    connect(&stack, "zoe", "orderspace");
    connect(&stack, "none", "onestock");
    let beau = r#"{"event":"order_created","data":{"id":"om_1"}}"#;
    keep_of(&stack, "beau", NOON, beau);
    keep(&stack, NOON + 20, &orders(0, 2));
    keep_of(&stack, "zoe", NOON + 10, &orders(5, 1));
    let dry = counted(&stack, &all_accounts(None, None)).await.unwrap();
    assert_eq!((dry.read, dry.events), (3, 4));
    let lists = stack.server.seen_of(ACCOUNTS);
    assert_eq!(lists.len(), 1);

    let calls = stack.calls();
    let found = Stack::find(&calls, "shop").await.unwrap();
    let request = Request {
        rate: 1,
        ..all_accounts(None, None)
    };
    let replay = Replay::prepare(&calls, &found, &request, at(NOON + HOUR)).await;
    let replay = replay.unwrap();
    assert_eq!(replay.accounts(), 4);
    let mut reports = Vec::new();
    let mut progress = |counts: &Counts| reports.push(counts.after.clone().unwrap());
    // One at a time, and cut off while the second account's event is on its way.
    let cut_off = stack.killed_after(5, replay.run(&mut progress)).await;
    assert!(cut_off.is_none(), "{cut_off:?}");
    let (account, id) = reports.last().unwrap().split_once('/').unwrap();
    let rest = all_accounts(Some(account), Some(id.parse().unwrap()));
    sent(&stack, &rest).await.unwrap();
    let lane = stack.queue("orders");
    assert_eq!(owners(&lane), ["acme", "acme", "beau", "beau", "zoe"]);
    assert_eq!(ids(&lane).into_iter().collect::<BTreeSet<_>>().len(), 4);
    let groups = lane.iter().map(|message| message.group.as_deref().unwrap());
    let groups: BTreeSet<&str> = groups.collect();
    assert_eq!(groups, ["acme~replay", "beau~replay", "zoe~replay"].into());
}

#[tokio::test]
async fn an_account_that_is_gone_since_is_done_and_one_that_nobody_reads_stops_a_replay_of_all() {
    let stack = stack().await;
    connect(&stack, "zoe", "orderspace");
    let gone = keep(&stack, NOON + 5, &orders(0, 1));
    keep_of(&stack, "zoe", NOON, &orders(5, 1));
    // What an earlier run reported of another account says nothing about this one's events.
    let event = gone.event(EventIndex::saturating(0));
    let rest = all_accounts(Some("beau"), Some(event));
    assert_eq!(sent(&stack, &rest).await.unwrap().events, 1);
    assert_eq!(owners(&stack.queue("orders")), ["zoe"]);
    let none = sent(&stack, &all_accounts(Some("zz"), None)).await;
    assert_eq!(none.unwrap().events, 0);

    connect(&stack, "later", "a_later_source");
    let error = sent(&stack, &all_accounts(None, None)).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Left, "{error}");
    assert!(error.to_string().contains("later"), "{error}");
    let unreadable = json!({ "accounts": [], "unreadable": [{ "account": "odd", "explanation": "roll forward" }] });
    stack.server.on(ACCOUNTS, Reply::json(&unreadable));
    let error = sent(&stack, &all_accounts(None, None)).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Left, "{error}");
    assert!(error.to_string().contains("odd"), "{error}");
    let nobody = Reply::json(&json!({ "accounts": [] }));
    stack.server.on(ACCOUNTS, nobody);
    let error = sent(&stack, &all_accounts(None, None)).await.unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound, "{error}");
}

#[tokio::test]
async fn the_state_of_all_accounts_goes_on_behind_a_record_of_one() {
    let stack = stack().await;
    connect(&stack, "beau", "orderspace");
    records(&stack);
    let mut other = state_of("all", Some("order/or_2"));
    other.whose = Whose::All {
        from: Some("acme".parse().unwrap()),
    };
    let done = sent(&stack, &other).await.unwrap();
    assert_eq!(done.events, 1);
    assert_eq!(done.after.as_deref(), Some("acme/order/or_3"));
}

fn record(stack: &LoopbackStack, kind: &str, id: &str, event: &str, others: &Value) {
    let mut record = json!({
        "pk": { "S": format!("acme#{kind}") }, "sk": { "S": id }, "event_id": { "S": event },
        "event_type": { "S": format!("{kind}.updated") }, "deleted": { "BOOL": false },
    });
    let others = others.as_object().unwrap().clone();
    record.as_object_mut().unwrap().extend(others);
    stack.put_item("records", &record);
}

fn event(number: u8) -> String {
    let delivery = DeliveryId::new(at(NOON), &[number; 10]);
    format!("{delivery}.00000")
}

fn records(stack: &LoopbackStack) {
    let map = json!({ "data": { "M": { "id": { "S": "or_1" }, "net": { "N": "20.10" } } } });
    record(stack, "order", "or_1", &event(1), &map);
    let text = json!({ "compact": { "B": packed(r#"{"id":"or_2", "net":1e2}"#) } });
    record(stack, "order", "or_2", &event(2), &text);
    let place = json!({ "dataref": { "S": "s3://bucket/records/acme/order/x" } });
    record(stack, "order", "or_3", &event(3), &place);
    let deleted = json!({ "deleted": { "BOOL": true }, "compact": { "B": packed("{}") } });
    record(stack, "order", "or_4", &event(4), &deleted);
    let customer = json!({ "compact": { "B": packed(r#"{"id":"cu_1"}"#) } });
    record(stack, "customer", "cu_1", &event(5), &customer);
    let path = "/bucket/records/acme/order/x".to_owned();
    let object = r#"{"id":"or_3"}"#.to_owned();
    stack.with(|state| state.objects.insert(path, object));
}

fn state_of(team: &str, after: Option<&str>) -> Request {
    let after = after.map(|after| Subject::parse(after).unwrap());
    Request {
        team: Some(team.to_owned()),
        ..request(What::State { after })
    }
}

#[tokio::test]
async fn a_new_team_gets_every_record_once_under_the_id_that_set_it() {
    let stack = stack().await;
    records(&stack);
    let done = sent(&stack, &state_of("all", None)).await.unwrap();
    assert_eq!((done.read, done.deleted, done.events), (5, 1, 4));
    let lane = stack.queue("orders");
    let found: Vec<String> = ids(&lane).iter().map(ToString::to_string).collect();
    assert_eq!(found, [event(1), event(2), event(3)]);
    let data = [
        r#"{"id":"or_1","net":20.10}"#,
        r#"{"id":"or_2", "net":1e2}"#,
        r#"{"id":"or_3"}"#,
    ];
    for (message, data) in lane.iter().zip(data) {
        let (body, end) = (&message.body, format!(r#""data":{data}}}"#));
        assert!(body.ends_with(&end), "{body}");
        assert!(body.contains(r#""type":"orderspace.order.updated""#));
        assert_eq!(message.attribute("only"), Some("all"));
        assert_eq!(message.group.as_deref(), Some("acme~replay"));
    }
    assert_eq!(stack.queue("customers").len(), 1);
}

#[tokio::test]
async fn a_replay_of_the_state_goes_on_after_a_record_and_by_the_team_s_routes() {
    let stack = stack().await;
    records(&stack);
    let rest = state_of("sales", Some("order/or_1"));
    let done = sent(&stack, &rest).await.unwrap();
    assert_eq!(done.events, 2);
    assert_eq!(done.after.as_deref(), Some("order/or_3"));
    assert!(stack.queue("customers").is_empty());
}

#[rstest]
#[case::no_event(json!({ "event_id": { "S": "x" } }))]
#[case::no_type(json!({ "event_type": { "S": "" } }))]
#[case::no_data(json!({}))]
#[case::no_packed_text(json!({ "compact": { "B": "AAAA" } }))]
#[case::no_map(json!({ "data": { "SS": ["a"] } }))]
#[case::another_bucket(json!({ "dataref": { "S": "s3://other/records/x" } }))]
#[tokio::test]
async fn an_item_that_is_no_record_ends_a_replay_with_its_name(#[case] others: Value) {
    let stack = stack().await;
    record(&stack, "order", "or_1", &event(1), &others);
    let error = sent(&stack, &state_of("all", None)).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Left);
    let text = error.to_string();
    assert!(text.contains("or_1") || text.contains("order"), "{text}");
}
