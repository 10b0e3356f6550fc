//! The oracle on a small world that is right, and on the same world with one thing wrong at a time.

use rstest::rstest;
use serde_json::Value;

use super::*;
use crate::events::{Delivery, about};
use crate::rng::Rng;

const ACCOUNT: &str = "endurance-1-0";

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
    format!(
        "{}-{}-7000-8000-000000000000.{index:05}",
        &hex[..8],
        &hex[8..]
    )
}

fn envelope(event: &Event, id: &str, mark: bool) -> String {
    let Key::Is(key) = &event.key else {
        panic!("a key of its own")
    };
    let mark = if mark {
        r#","possibleduplicate":true"#
    } else {
        ""
    };
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/orderspace/{ACCOUNT}","type":"orderspace.{}","subject":"{}/{key}","account":"{ACCOUNT}","deliveryid":"{}"{mark},"data":{}}}"#,
        event.name,
        event.kind,
        id.split_once('.').unwrap().0,
        event.record
    )
}

fn delivery(elements: Vec<(Element, String)>) -> Delivery {
    Delivery {
        account: 0,
        elements,
        unreadable: None,
        splits: false,
        comes_again: false,
    }
}

fn good(name: &'static str, record: &str, mark: usize) -> (Element, String) {
    let event = about(&mut Rng::new(mark as u64), "order", name, record, mark);
    let text = event.record.clone();
    (Element::Good(event), text)
}

fn event(world: &World, delivery: usize, place: usize) -> Event {
    match &world.log.deliveries[delivery].elements[place].0 {
        Element::Good(event) => event.clone(),
        Element::Bad => panic!("an event"),
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
        (Element::Bad, "7".to_owned()),
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
        team: Vec::new(),
        undelivered: Vec::new(),
        dead: Vec::new(),
        notices: Vec::new(),
        objects: BTreeMap::new(),
        records: BTreeMap::new(),
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
    let record = |event: &Event, id: String, deleted| Record {
        data: of_text(&event.record).ok(),
        event_id: Some(id),
        deleted,
        event_ids: Vec::new(),
    };
    let key = |id: &str| (ACCOUNT.to_owned(), "order".to_owned(), format!("or_{id}"));
    world
        .records
        .insert(key("1"), record(&newer, id(2010, 0), false));
    world
        .records
        .insert(key("2"), record(&two, id(1005, 2), true));
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

#[test]
fn a_world_that_is_right_has_no_problem_and_is_counted() {
    let Judgement { figures, problems } = judged(&world());
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        (figures.events_sent, figures.events_accepted, figures.ids),
        (4, 4, 4)
    );
    assert_eq!(
        (figures.ids_in_the_teams_queue, figures.ids_undelivered),
        (3, 1)
    );
    assert_eq!((figures.quarantined, figures.duplicates_by_id), (1, 1));
    assert_eq!(
        (figures.refused_and_accepted, figures.kept_their_identity),
        (1, 1)
    );
    assert_eq!(
        (
            figures.records_compared,
            figures.records_held_against_the_log
        ),
        (2, 2)
    );
}

#[rstest]
#[case::an_event_is_lost(|world: &mut World| drop(world.team.remove(1)), "answered with 200")]
#[case::an_undelivered_event_is_lost(|world: &mut World| world.undelivered.clear(), "answered with 200")]
#[case::a_bad_element_is_lost(|world: &mut World| world.notices.clear(), "answered with 200")]
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
#[case::the_wrong_part_in_quarantine(|world: &mut World| world.notices[0].elements[0].index = 0, "answered with 200")]
fn each_thing_that_is_wrong_is_a_problem(#[case] wrong: fn(&mut World), #[case] problem: &str) {
    let mut world = world();
    wrong(&mut world);
    let problems = judged(&world).problems;
    assert!(
        problems.iter().any(|found| found.contains(problem)),
        "{problems:#?}"
    );
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
    world
        .team
        .push(message(envelope(&newer, &id(3010, 0), true)));
    let problems = judged(&world).problems;
    assert!(
        problems.iter().any(|found| found.contains("must be")),
        "{problems:?}"
    );
    let record = world.records.values_mut().next().unwrap();
    record.event_id = Some(id(3010, 0));
    let Judgement { figures, problems } = judged(&world);
    assert_eq!(problems, Vec::<String>::new());
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
    let problems = judged(&world).problems;
    assert!(problems.iter().any(|found| found.contains("was last told")));
    world.log.attempts.push(Attempt {
        part: 0..1,
        ..attempt(0, 3, 5000, Some(200))
    });
    let Judgement { figures, problems } = judged(&world);
    assert_eq!(problems, Vec::<String>::new());
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
    assert!(
        problems[0].contains("2 times and found under 1 ids"),
        "{problems:?}"
    );
}

#[test]
fn a_record_that_travels_apart_is_held_against_the_log_too() {
    let mut world = world();
    let record = event(&world, 0, 0).record;
    replace(
        &mut world,
        0,
        &format!(r#""data":{record}"#),
        r#""dataref":"s3://b/k""#,
    );
    assert!(judged(&world).problems[0].contains("a pointer to nothing"));
    world.objects.insert("s3://b/k".to_owned(), record.clone());
    assert_eq!(judged(&world).problems, Vec::<String>::new());
    assert_eq!(reference(&world.team[0].body).as_deref(), Some("s3://b/k"));
    world
        .objects
        .insert("s3://b/k".to_owned(), format!("{record} "));
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
    assert_eq!(
        problems.len(),
        1,
        "the log alone still says what it was: {problems:?}"
    );
}
