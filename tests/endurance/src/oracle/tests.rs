//! The oracle on a small world that is right, and on the same world with one thing wrong at a time.

use rstest::rstest;
use simulator::Source;
use testkit::rng::Rng;

use super::*;
use crate::events::{Delivery, Element, about};
use crate::sources::Moment;

const ACCOUNT: &str = "endurance-1-0";

#[derive(Default)]
struct World {
    log: Log,
    team: Vec<QueueMessage>,
    undelivered: Vec<QueueMessage>,
    dead: Vec<QueueMessage>,
    notices: Vec<Notice>,
    objects: BTreeMap<String, String>,
    records: BTreeMap<RecordKey, Record>,
}

fn id(millis: u64, index: usize) -> String {
    let hex = format!("{millis:012x}");
    let (high, low) = hex.split_at(8);
    format!("{high}-{low}-7000-8000-000000000000.{index:05}")
}

fn envelope(event: &Event, id: &str, mark: bool) -> String {
    let key = key(event);
    let mark = match mark {
        true => r#","possibleduplicate":true"#,
        false => "",
    };
    let source = sources::name(event.source);
    let (delivery, _) = id.split_once('.').unwrap();
    let mut members = String::new();
    if let Some(id) = &event.source_id {
        members += &format!(r#","sourceid":"{id}""#);
    }
    if let Some(Moment { text, .. }) = &event.time {
        members += &format!(r#","sourcetime":"{text}""#);
    }
    if let Some(time) = event.counting_time() {
        let (_, seen, _) = read_id(id).unwrap();
        members += &format!(r#","sequence":"{:015}.{id}""#, time.min(seen));
    }
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/{source}/{ACCOUNT}","type":"{source}.{}","subject":"{}/{key}","account":"{ACCOUNT}","deliveryid":"{delivery}"{members}{mark},"data":{}}}"#,
        event.name, event.kind, event.record
    )
}

fn key(event: &Event) -> &str {
    match &event.key {
        Key::Is(key) => key,
        Key::Begins(..) => panic!("a key of its own"),
    }
}

fn delivery(elements: Vec<Element>) -> Delivery {
    Delivery::new(0, Source::Orderspace, elements)
}

fn good(name: &'static str, record: &str, mark: usize) -> Element {
    let event = about(&mut Rng::of(&[mark as u64]), "order", name, record, mark);
    let text = event.record.clone();
    (Some(event), text)
}

fn event(world: &World, delivery: usize, place: usize) -> Event {
    let (event, _) = &world.log.deliveries[delivery].elements[place];
    event.clone().unwrap()
}

fn record(event: &Event, id: String, deleted: bool) -> Record {
    Record {
        data: of_text(&event.record).ok(),
        event_id: Some(id),
        deleted,
        event_ids: BTreeSet::new(),
    }
}

fn attempt(delivery: usize, elements: usize, at: u64, status: Option<u16>) -> Attempt {
    Attempt {
        delivery,
        part: 0..elements,
        after: at,
        before: at + 20,
        status,
    }
}

fn message(body: String) -> QueueMessage {
    QueueMessage { body, sent: 0 }
}

/// Three deliveries: two orders and a bad element; one of the same orders, refused once and accepted under its first
/// ids; a delete that is undelivered.
fn world() -> World {
    let first = vec![
        good("order.created", "1", 0),
        (None, "7".to_owned()),
        good("order.created", "2", 1),
    ];
    let second = vec![good("order.updated", "1", 2)];
    let third = vec![good("order.deleted", "2", 3)];
    let mut world = World {
        log: Log {
            accounts: vec![ACCOUNT.to_owned()],
            deliveries: vec![delivery(first), delivery(second), delivery(third)],
            attempts: vec![
                attempt(0, 3, 1000, Some(200)),
                attempt(1, 1, 2000, Some(503)),
                attempt(1, 1, 3000, Some(200)),
                attempt(2, 1, 4000, Some(200)),
            ],
        },
        ..World::default()
    };
    let body = world.log.deliveries[0].body(0..3);
    world.notices.push(Notice {
        account: ACCOUNT.to_owned(),
        deliveryid: "d".to_owned(),
        reason: None,
        elements: vec![NoticeElement {
            index: 1,
            reason: "not_an_object".to_owned(),
        }],
        receipt: NoticeReceipt {
            pk: String::new(),
            sk: String::new(),
        },
        hash: Some(sha256(&body)),
    });
    let one = event(&world, 0, 0);
    let two = event(&world, 0, 2);
    let newer = event(&world, 1, 0);
    let delete = event(&world, 2, 0);
    world.team = vec![
        message(envelope(&one, &id(1005, 0), false)),
        message(envelope(&two, &id(1005, 2), false)),
        message(envelope(&newer, &id(2010, 0), false)),
        message(envelope(&newer, &id(2010, 0), false)),
    ];
    world.undelivered = vec![message(format!(
        r#"{{"team":"example","queue":"q","reason":"QueueDoesNotExist","envelope":{}}}"#,
        envelope(&delete, &id(4001, 0), false)
    ))];
    let key = |id: &str| (ACCOUNT.to_owned(), "order".to_owned(), format!("or_{id}"));
    world.records = BTreeMap::from([
        (key("1"), record(&newer, id(2010, 0), false)),
        (key("2"), record(&two, id(1005, 2), true)),
    ]);
    world
}

fn judged(world: &World) -> Judgement {
    judge(&Evidence {
        log: &world.log,
        team: &world.team,
        undelivered: &world.undelivered,
        dead: &world.dead,
        notices: &world.notices,
        objects: &world.objects,
        records: &world.records,
    })
}

/// The figures of a world in which nothing is wrong.
#[track_caller]
fn right(world: &World) -> Figures {
    let Judgement { figures, problems } = judged(world);
    assert_eq!(problems, Vec::<String>::new());
    figures
}

/// That this is among what is wrong in a world.
#[track_caller]
fn is_wrong(world: &World, problem: &str) {
    let problems = judged(world).problems;
    let is_found = problems.iter().any(|found| found.contains(problem));
    assert!(is_found, "{problems:#?}");
}

#[test]
fn a_world_that_is_right_has_no_problem_and_is_counted() {
    let figures = right(&world());
    assert_eq!(figures.events_sent, 4);
    assert_eq!(figures.events_accepted, 4);
    assert_eq!(figures.ids, 4);
    assert_eq!(figures.ids_in_the_teams_queue, 3);
    assert_eq!(figures.ids_undelivered, 1);
    assert_eq!((figures.quarantined, figures.duplicates_by_id), (1, 1));
    assert_eq!(figures.refused_and_accepted, 1);
    assert_eq!(figures.kept_their_identity, 1);
    assert_eq!(figures.records_compared, 2);
    assert_eq!(figures.records_held_against_the_log, 2);
}

#[rstest]
#[case::an_event_is_lost(|world: &mut World| drop(world.team.remove(1)), "taken 1 times")]
#[case::an_undelivered_event_is_lost(|world: &mut World| world.undelivered.clear(), "taken 1 times")]
#[case::a_bad_element_is_lost(|world: &mut World| world.notices.clear(), "taken 1 times")]
#[case::a_byte_is_changed(|world: &mut World| replace(world, 0, r#""mark":0"#, r#""mark": 0"#), "not what was sent")]
#[case::an_event_was_never_sent(|world: &mut World| replace(world, 0, r#""mark":0"#, r#""mark":9"#), "never sent")]
#[case::another_account(|world: &mut World| replace(world, 0, "/orderspace/endurance-1-0", "/orderspace/x"), "not what was sent")]
#[case::another_subject(|world: &mut World| replace(world, 0, "order/or_1", "order/or_2"), "not what was sent")]
#[case::an_id_of_another_time(|world: &mut World| replace(world, 0, &id(1005, 0)[..20], &id(1900, 0)[..20]), "time or place")]
#[case::an_id_of_another_place(|world: &mut World| replace(world, 0, ".00000", ".00001"), "time or place")]
#[case::a_false_mark(|world: &mut World| replace(world, 0, r#","data""#, r#","possibleduplicate":true,"data""#), "duplicate of nothing")]
#[case::an_older_record(|world: &mut World| {
    let older = event(world, 0, 0);
    let record = world.records.values_mut().next().unwrap();
    record.data = of_text(&older.record).ok();
    record.event_id = Some(id(1005, 0));
}, "was last told")]
#[case::a_delete_is_forgotten(|world: &mut World| world.records.values_mut().last().unwrap().deleted = false, "must be")]
#[case::a_record_is_missing(|world: &mut World| drop(world.records.pop_first()), "is None")]
#[case::a_record_too_many(|world: &mut World| {
    let (mut key, record) = world.records.pop_first().unwrap();
    world.records.insert(key.clone(), record.clone());
    key.2 = "or_9".to_owned();
    world.records.insert(key, record);
}, "nobody was told")]
#[case::no_reason(|world: &mut World| {
    let body = world.undelivered[0].body.replace("QueueDoesNotExist", "");
    world.undelivered = vec![message(body)];
}, "without a reason")]
#[case::other_bytes_in_quarantine(|world: &mut World| world.notices[0].hash = Some(sha256("other")), "never sent")]
#[case::no_bytes_in_quarantine(|world: &mut World| world.notices[0].hash = None, "points at no receipt")]
#[case::the_wrong_part_in_quarantine(|world: &mut World| world.notices[0].elements[0].index = 0, "taken 1 times")]
fn each_thing_that_is_wrong_is_a_problem(#[case] wrong: fn(&mut World), #[case] problem: &str) {
    let mut world = world();
    wrong(&mut world);
    is_wrong(&world, problem);
}

/// When the first delivery of the other sources is sent: after everything that they say of has happened.
const SENT: u64 = 1_732_107_600_000;

/// One event of a source, at so many seconds after noon.
fn of(source: Source, name: &str, seconds: Option<usize>, mark: usize) -> Element {
    let mut types = sources::types(source).iter();
    let of_type = *types.find(|(known, _)| *known == name).unwrap();
    let time = seconds.map(|seconds| match seconds {
        FAR => Moment::far(),
        seconds => Moment::after_noon(seconds),
    });
    let mut rng = Rng::of(&[mark as u64]);
    let (event, text) = sources::about(&mut rng, source, of_type, "1", time.as_ref(), mark);
    (Some(event), text)
}

/// A time that is still to come.
const FAR: usize = usize::MAX;

/// Deliveries of all other sources: two of Apideck's, of which the first has the later time and came in its second attempt;
/// a record of StackOne's whose delete has this time and comes after an update; OneStock's of an order, with a time that is
/// still to come, and of a shipment, whose times do not count; one of Ordermentum's with no time but the delivery's.
fn others(deleted_at: usize) -> World {
    let made = [
        (Source::Apideck, "ecommerce.order.updated", Some(30)),
        (Source::Apideck, "ecommerce.order.updated", Some(10)),
        (Source::Stackone, "order.updated", Some(20)),
        (Source::Stackone, "order.deleted", Some(deleted_at)),
        (Source::Onestock, "order_state_changed", Some(FAR)),
        (Source::Onestock, "shipment_created", Some(1)),
        (Source::Ordermentum, "order_updated", None),
    ];
    let mut world = World::default();
    world.log.accounts.push(ACCOUNT.to_owned());
    for (number, (source, name, seconds)) in made.into_iter().enumerate() {
        let at = SENT + 1000 * number as u64;
        let elements = vec![of(source, name, seconds, number)];
        let delivery = Delivery::new(0, source, elements);
        world.log.deliveries.push(delivery);
        let success = Some(sources::success(source));
        let attempts = match number {
            0 => vec![(at, Some(503)), (at + 500, success)],
            _ => vec![(at, success)],
        };
        for (at, status) in attempts {
            world.log.attempts.push(attempt(number, 1, at, status));
        }
        let mut event = event(&world, number, 0);
        if number == 0 {
            event.record = event.record_of(2).into_owned();
        }
        let id = id(at + 5, 0);
        world.team.push(message(envelope(&event, &id, false)));
        // Of the first record its second event is the earlier one, and of the second one the delete has no data.
        if number != 1 && number != 3 {
            let key = [ACCOUNT, event.kind, key(&event)].map(str::to_owned);
            let record = record(&event, id, number == 2 && deleted_at > 20);
            world.records.insert(key.into(), record);
        }
    }
    world
}

#[test]
fn events_of_every_other_source_are_held_against_what_it_says() {
    let figures = right(&others(5));
    let each = [
        ("apideck", 2),
        ("onestock", 2),
        ("ordermentum", 1),
        ("stackone", 2),
    ];
    assert_eq!(figures.sent_by_source, each.into());
    assert_eq!(figures.accepted_by_source, each.into());
    assert_eq!(figures.ids_of_a_later_attempt, 1);
    assert_eq!(figures.accepted_in_other_bytes, 1);
    assert_eq!(figures.kept_in_other_bytes, 1);
    assert_eq!((figures.records_compared, figures.deletes_undone), (5, 1));
    assert_eq!(figures.records_held_against_the_log, 5);
    assert_eq!(figures.records_of_one_at_the_same_time, 0);
}

#[test]
fn a_delete_with_the_later_time_is_not_undone() {
    assert_eq!(right(&others(25)).deletes_undone, 0);
}

/// Equal times are kept apart by the ids, which the log does not know.
#[test]
fn a_delete_of_the_same_time_counts_by_its_id() {
    let mut world = others(20);
    let problems = judged(&world).problems;
    assert!(problems[0].contains("must be"), "{problems:?}");
    record_of(&mut world, "shopify/45/s1").deleted = true;
    right(&world);
}

/// The record of a source.
fn record_of<'a>(world: &'a mut World, id: &str) -> &'a mut Record {
    let mut records = world.records.iter_mut();
    let found = records.find(|(key, _)| key.2 == id);
    found.unwrap().1
}

#[rstest]
#[case::another_source(|world: &mut World| replace(world, 2, r#""/stackone/"#, r#""/orderspace/"#), "not what was sent")]
#[case::the_type_of_another_source(|world: &mut World| replace(world, 2, "stackone.order", "orderspace.order"), "not what was sent")]
#[case::no_id_of_the_source(|world: &mut World| replace(world, 0, r#","sourceid":"evt-0""#, ""), "source's id")]
#[case::another_id_of_the_source(|world: &mut World| replace(world, 0, r#","sourceid":"evt-0""#, r#","sourceid":"evt-1""#), "source's id")]
#[case::an_id_of_a_source_that_has_none(|world: &mut World| replace(world, 2, r#","sourcetime""#, r#","sourceid":"evt-2","sourcetime""#), "source's id")]
#[case::another_time(|world: &mut World| replace(world, 6, "12:00:00.000Z", "12:00:01.000Z"), "id and time")]
#[case::no_time(|world: &mut World| replace(world, 5, r#","sourcetime":"2024-11-20T12:00:01.000Z""#, ""), "id and time")]
#[case::the_place_of_a_time_to_come(|world: &mut World| replace(world, 4, r#""sequence":"001732107604005"#, r#""sequence":"004070908800000"#), "place in the order")]
#[case::no_place(|world: &mut World| {
    let place = format!(r#","sequence":"001732104030000.{}""#, id(SENT + 5, 0));
    replace(world, 0, &place, "");
}, "place in the order")]
#[case::a_place_where_times_do_not_count(|world: &mut World| {
    let place = format!(r#","sequence":"001732104001000.{}","data""#, id(SENT + 5005, 0));
    replace(world, 5, r#","data""#, &place);
}, "place in the order")]
#[case::an_attempt_that_was_not_made(|world: &mut World| replace(world, 0, r#""execution_attempt":2"#, r#""execution_attempt":3"#), "not what was sent")]
#[case::an_attempt_of_no_number(|world: &mut World| replace(world, 0, r#""execution_attempt":2"#, r#""execution_attempt":0"#), "not what was sent")]
#[case::onestock_gets_200(|world: &mut World| world.log.attempts[6].status = Some(200), "not its source's success")]
#[case::another_gets_202(|world: &mut World| world.log.attempts[7].status = Some(202), "not its source's success")]
#[case::a_lost_event(|world: &mut World| drop(world.team.remove(6)), "taken 1 times")]
#[case::the_last_that_was_sent_in_place_of_the_latest(|world: &mut World| {
    let earlier = event(world, 1, 0);
    let record = record_of(world, "c1/shopify/e1");
    record.data = of_text(&earlier.record).ok();
    record.event_id = Some(id(SENT + 1005, 0));
}, "was last told")]
#[case::the_bytes_of_an_attempt_that_was_not_seen(|world: &mut World| {
    let first = event(world, 0, 0);
    record_of(world, "c1/shopify/e1").data = of_text(&first.record).ok();
}, "must be")]
#[case::a_delete_that_is_not_undone(|world: &mut World| record_of(world, "shopify/45/s1").deleted = true, "must be")]
fn what_is_wrong_about_another_source_is_a_problem(
    #[case] wrong: fn(&mut World),
    #[case] problem: &str,
) {
    let mut world = others(5);
    wrong(&mut world);
    is_wrong(&world, problem);
}

/// Under one id both attempts may have come in: the record has the bytes of either.
#[test]
fn a_record_has_the_bytes_of_any_attempt_that_was_seen_under_its_id() {
    let mut world = others(5);
    let first = event(&world, 0, 0);
    let both = message(envelope(&first, &id(SENT + 5, 0), false));
    world.team.push(both);
    right(&world);
    record_of(&mut world, "c1/shopify/e1").data = of_text(&first.record).ok();
    right(&world);
}

/// The retry whose function was killed holds the marker, so the next one has no ids to keep.
#[test]
fn a_refused_delivery_whose_retry_met_a_killed_function_shows_nothing_of_ids() {
    let mut world = world();
    world.log.attempts.insert(2, attempt(1, 1, 2500, Some(502)));
    let figures = right(&world);
    assert_eq!(figures.refused_and_accepted, 0);
    assert_eq!(figures.kept_their_identity, 0);
}

/// Changes a message of the team's queue.
fn replace(world: &mut World, message: usize, from: &str, to: &str) {
    let body = world.team[message].body.replace(from, to);
    assert_ne!(body, world.team[message].body, "nothing was changed");
    world.team[message].body = body;
}

#[test]
fn a_repeat_under_another_id_is_counted_and_the_greater_id_decides() {
    let mut world = world();
    let newer = event(&world, 1, 0);
    let again = envelope(&newer, &id(3010, 0), true);
    world.team.push(message(again));
    is_wrong(&world, "must be");
    let record = world.records.values_mut().next().unwrap();
    record.event_id = Some(id(3010, 0));
    let figures = right(&world);
    assert_eq!((figures.repeats, figures.unmarked_repeats), (1, 0));
    assert_eq!(figures.kept_their_identity, 0);
    replace(&mut world, 4, r#","possibleduplicate":true"#, "");
    assert_eq!(judged(&world).figures.unmarked_repeats, 1);
}

/// The first event of a record, and a greater id for it: the record says it again.
fn behind(world: &mut World) {
    let older = event(world, 0, 0);
    let late = id(5005, 0);
    world.team.push(message(envelope(&older, &late, true)));
    let record = world.records.values_mut().next().unwrap();
    record.data = of_text(&older.record).ok();
    record.event_id = Some(late);
}

#[test]
// requirement: model-truth
fn a_record_that_a_retry_overtook_is_counted_by_its_cause() {
    let mut world = world();
    behind(&mut world);
    // Nothing was sent at that time.
    is_wrong(&world, "was last told");
    world.log.attempts.push(Attempt {
        part: 0..1,
        ..attempt(0, 3, 5000, Some(200))
    });
    let figures = right(&world);
    assert_eq!(figures.records_held_against_the_log, 2);
    assert_eq!(figures.records_of_one_sent_again, 1);
    // An attempt without an answer may be seen for a minute.
    let mut world = self::world();
    world.log.attempts[0].status = None;
    let older = event(&world, 0, 0);
    let record = world.records.values_mut().next().unwrap();
    record.data = of_text(&older.record).ok();
    let figures = judged(&world).figures;
    assert_eq!(figures.records_of_one_at_the_same_time, 1);
    // What was refused may have come in all the same.
    let mut world = self::world();
    world.log.attempts[2].status = Some(503);
    assert_eq!(judged(&world).figures.records_of_one_refused, 1);
}

#[test]
fn what_comes_again_though_it_was_accepted_must_be_there_twice() {
    let mut world = world();
    world.log.attempts.push(attempt(2, 1, 5000, Some(200)));
    let problems = judged(&world).problems;
    let expected = "2 times and found under 1 ids";
    assert!(problems[0].contains(expected), "{problems:?}");
}

#[test]
fn a_record_that_travels_apart_is_held_against_the_log_too() {
    let mut world = world();
    let record = event(&world, 0, 0).record;
    let data = format!(r#""data":{record}"#);
    replace(&mut world, 0, &data, r#""dataref":"s3://b/k""#);
    assert!(judged(&world).problems[0].contains("a pointer to nothing"));
    let place = || "s3://b/k".to_owned();
    world.objects.insert(place(), record.clone());
    right(&world);
    assert_eq!(reference(&world.team[0].body), Some(place()));
    world.objects.insert(place(), format!("{record} "));
    assert!(judged(&world).problems[0].contains("not what was sent"));
}

#[test]
fn a_dead_letters_record_is_not_compared() {
    let mut world = world();
    let dead = world.team.remove(1);
    world.dead.push(dead);
    world.records.values_mut().last().unwrap().data = Some(Value::Null);
    let Judgement { figures, problems } = judged(&world);
    assert_eq!((figures.ids_dead, figures.records_compared), (1, 1));
    let count = problems.len();
    assert_eq!(
        count, 1,
        "the log alone still says what it was: {problems:?}"
    );
}
