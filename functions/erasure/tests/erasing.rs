//! Erasures as they are worked off: cut off anywhere, twice at once, page by page; and what they leave.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a story that cannot go on stops where it is"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use domain::account::AccountName;
use domain::erasure::{
    Begun, Erased, Erasure, ErasureId, Erasures as _, Progress, Removal, Retention, Stage,
};
use domain::fold::Change;
use domain::identity::{ContentHash, DeliveryId, EventId, EventIndex};
use domain::ports::{ClaimCheck as _, Records as _, Update};
use domain::record::{RecordId, RecordKey, Subject};
use domain::timestamp::Timestamp;
use erasure::{Eraser, RunError};
use rstest::rstest;
use runtime::metrics::captured;
use serde_json::{Value, json};
use testkit::fakes::{FakeErasures, FakeOversize, FakeRecords, Fault, Script};
use tokio::time::Instant;

/// As long as a run may take, in the template.
const LONG: Duration = Duration::from_secs(240);

/// When erasures are asked for, in milliseconds since 1970.
const BEGUN: u64 = 1_795_176_000_000;

#[derive(Default)]
struct World {
    jobs: FakeErasures,
    records: FakeRecords,
    objects: FakeOversize,
}

fn name(account: &str) -> AccountName {
    account.parse().unwrap()
}

fn key(account: &str, kind: &str, id: &str) -> RecordKey {
    RecordKey {
        account: name(account),
        kind: kind.to_owned(),
        id: RecordId::new(id).unwrap(),
    }
}

/// An event that was first seen so many milliseconds after the erasure was asked for, or before.
fn event(millis: i64) -> EventId {
    let at = Timestamp::from_millis(BEGUN.checked_add_signed(millis).unwrap());
    DeliveryId::new(at, &[1; 10]).event(EventIndex::new(0).unwrap())
}

fn now() -> Timestamp {
    Timestamp::from_millis(BEGUN + 60_000)
}

impl World {
    async fn write(&self, key: &RecordKey, event: EventId) {
        let update = Update {
            latest: Change {
                id: event,
                sequence: None,
                delete: false,
                hash: ContentHash::of("order.updated", event.to_string().as_bytes()),
            },
            before: &[],
            event_type: "order.updated",
            data: "{}",
            occurrences: &[],
        };
        self.records.update(key, &update).await.unwrap();
    }

    async fn put(&self, keys: &[String]) {
        for key in keys {
            self.objects.put(key, b"{}").await.unwrap();
        }
    }

    /// An account with records of several kinds and forms, its objects and its tokens.
    async fn fill(&self, account: &str) {
        for number in 0..7_i64 {
            let event = event(-1_000 - number);
            let kind = ["order", "customer"][number as usize % 2];
            let key = key(account, kind, &format!("r_{number}"));
            self.write(&key, event).await;
            self.put(&[
                key.object(&event),
                format!("events/{account}/{event}"),
                format!("unified/{account}/{event}"),
                format!("receipts/{account}/{}", event.delivery()),
            ])
            .await;
        }
        let name = name(account);
        for token in 0..5 {
            let token = format!("{account}-{token}");
            self.jobs.keep_token(&name, &token);
        }
        self.jobs.keep_account(&name, Removal::Gone);
    }

    /// A world with these accounts.
    async fn with(accounts: &[&str]) -> Self {
        let world = Self::default();
        for account in accounts {
            world.fill(account).await;
        }
        world
    }

    async fn begin(&self, account: &str, subject: Option<&str>) -> Erasure {
        let subject = subject.map(|subject| Subject::parse(subject).unwrap());
        let retention = Retention {
            receipt_days: 30,
            event_days: 30,
        };
        let at = Timestamp::from_millis(BEGUN);
        let new = Erasure::begin(name(account), subject, None, at, retention);
        assert_eq!(self.jobs.begin_erasure(&new).await, Ok(Begun::Now));
        new
    }

    async fn handle(&self, event: &Value, time: Duration) -> Result<Value, RunError> {
        let eraser = Eraser::new(&self.jobs, &self.records, &self.objects, "shop".to_owned());
        eraser.handle(event, now(), Instant::now() + time).await
    }

    async fn run_for(&self, time: Duration) -> Result<Value, RunError> {
        self.handle(&json!({ "schedule": "erasure" }), time).await
    }

    async fn run(&self) -> Value {
        self.run_for(LONG).await.unwrap()
    }

    /// A run that does so many erasures, and leaves so many.
    async fn expect_run(&self, done: usize, left: usize) {
        assert_eq!(self.run().await, json!({ "done": done, "left": left }));
    }

    async fn erasure(&self, account: &str, subject: Option<&str>) -> Erasure {
        let subject = subject.map(|subject| Subject::parse(subject).unwrap());
        let id = ErasureId::of(subject.as_ref());
        let kept = self.jobs.erasure(&name(account), &id).await;
        kept.unwrap().unwrap()
    }

    fn keys_of(&self, account: &str) -> Vec<String> {
        let marker = format!("/{account}/");
        let keys = self.objects.objects().into_keys();
        keys.filter(|key| key.contains(&marker)).collect()
    }

    fn records_of(&self, account: &str) -> usize {
        let (records, account) = (self.records.records(), name(account));
        let of_account = records.keys().filter(|key| key.account == account);
        of_account.count()
    }

    fn scripts(&self) -> [&Script; 3] {
        [
            self.jobs.script(),
            self.records.script(),
            self.objects.script(),
        ]
    }

    #[track_caller]
    fn assert_erased(&self, account: &str) {
        assert_eq!(self.records_of(account), 0);
        let left = self.keys_of(account);
        let is_receipt = |key: &String| key.starts_with("receipts/");
        assert!(left.iter().all(is_receipt), "{left:?}");
        assert_eq!(left.len(), 7, "receipts stay");
        assert!(!self.jobs.tokens().contains(&name(account)));
        assert!(!self.jobs.accounts().contains(&name(account)));
    }

    #[track_caller]
    fn assert_whole(&self, account: &str) {
        assert_eq!(self.records_of(account), 7);
        assert_eq!(self.keys_of(account).len(), 28);
        let mut owners = self.jobs.tokens();
        owners.retain(|owner| *owner == name(account));
        assert_eq!(owners.len(), 5);
        assert!(self.jobs.accounts().contains(&name(account)));
    }
}

#[tokio::test]
// requirement: secret-erasure
async fn an_account_is_erased_and_no_other() {
    // A name that begins like another's, and one that another's begins with.
    let world = World::with(&["acme", "acme-2", "acm"]).await;
    world.begin("acme", None).await;
    world.expect_run(1, 0).await;
    world.assert_erased("acme");
    world.assert_whole("acme-2");
    world.assert_whole("acm");
    let erasure = world.erasure("acme", None).await;
    assert_eq!(erasure.progress, Progress::Done(now()));
    let erased = Erased {
        records: 7,
        objects: 21,
    };
    assert_eq!(erasure.erased, erased);
    world.expect_run(0, 0).await;
}

#[tokio::test]
// requirement: secret-erasure
async fn a_record_is_erased_with_its_objects_and_no_other() {
    let world = World::with(&["acme", "beta"]).await;
    let record = key("acme", "order", "r_0");
    // What a release before wrote, of an event that the item still remembers; and an earlier state, of one that it does not.
    let remembered = event(-1_000);
    let before = event(-9_000);
    world
        .put(&[
            format!("records/acme/order/{remembered}"),
            record.object(&before),
            format!("records/acme/order/{before}"),
        ])
        .await;
    world.begin("acme", Some("order/r_0")).await;
    world.expect_run(1, 0).await;
    assert_eq!(world.records.record(&record), None);
    assert_eq!(world.records_of("acme"), 6);
    let left: BTreeSet<String> = world.keys_of("acme").into_iter().collect();
    for gone in [
        record.object(&remembered),
        record.object(&before),
        format!("records/acme/order/{remembered}"),
        format!("events/acme/{remembered}"),
        format!("unified/acme/{remembered}"),
    ] {
        assert!(!left.contains(&gone), "{gone}");
    }
    // Whose record it is cannot be read from its key.
    assert!(left.contains(&format!("records/acme/order/{before}")));
    assert!(left.contains(&format!("receipts/acme/{}", remembered.delivery())));
    assert_eq!(left.len(), 28 - 3 + 1);
    world.assert_whole("beta");
    assert!(world.jobs.accounts().contains(&name("acme")));
    let erasure = world.erasure("acme", Some("order/r_0")).await;
    let erased = Erased {
        records: 1,
        objects: 5,
    };
    assert_eq!(erasure.erased, erased);
    assert_eq!(erasure.subject, None);
}

#[tokio::test]
async fn a_record_that_is_not_there_is_erased_at_once() {
    let world = World::with(&["acme"]).await;
    world.begin("acme", Some("order/nobody")).await;
    world.expect_run(1, 0).await;
    world.assert_whole("acme");
    let erasure = world.erasure("acme", Some("order/nobody")).await;
    assert_eq!(erasure.erased, Erased::default());
}

#[tokio::test]
async fn what_arrived_after_the_call_stays() {
    let world = World::default();
    let record = key("acme", "order", "r_1");
    let (old, new) = (event(-5), event(5));
    world.write(&record, old).await;
    world.begin("acme", Some("order/r_1")).await;
    world.write(&record, new).await;
    let objects = [&old, &new].map(|event| record.object(event));
    let events = [&old, &new].map(|event| format!("events/acme/{event}"));
    world.put(&objects).await;
    world.put(&events).await;
    world.expect_run(1, 0).await;
    let stored = world.records.record(&record).unwrap();
    assert_eq!(stored.known.latest.unwrap().id, new);
    assert_eq!(world.keys_of("acme"), [&*events[1], &*objects[1]]);
}

/// An event that was received before the call and applied while its record was being erased.
#[tokio::test(start_paused = true)]
// requirement: secret-erasure
async fn a_record_that_is_written_meanwhile_is_erased_again() {
    let world = World::default();
    let record = key("acme", "order", "r_1");
    let (first, late) = (event(-50), event(-5));
    world.write(&record, first).await;
    world.begin("acme", Some("order/r_1")).await;
    let minute = Duration::from_secs(60);
    let slow = world.records.script().on("erase_record");
    slow.fault(Fault::nothing().after(minute));
    let meanwhile = async {
        tokio::time::sleep(minute / 2).await;
        world.write(&record, late).await;
        world.put(&[record.object(&late)]).await;
    };
    let (answer, ()) = tokio::join!(world.run(), meanwhile);
    assert_eq!(answer, json!({ "done": 1, "left": 0 }));
    assert_eq!(world.records.record(&record), None);
    assert_eq!(world.keys_of("acme"), [""; 0]);
}

/// Every operation of every store, cut off before and after it did its work, each time it is called.
#[rstest]
#[case::account(None)]
#[case::record(Some("order/r_0"))]
#[tokio::test]
async fn whatever_cuts_it_off_the_next_run_goes_on(#[case] subject: Option<&str>) {
    const OPERATIONS: [(usize, &str); 8] = [
        (0, "running"),
        (0, "advance"),
        (0, "erase_tokens"),
        (0, "erase_account"),
        (1, "erase_records"),
        (1, "trace"),
        (1, "erase_record"),
        (2, "erase"),
    ];
    let mut cut = 0;
    for (store, operation) in OPERATIONS {
        for fault in [Fault::transient("Busy"), Fault::lost()] {
            for nth in 0.. {
                let world = World::with(&["acme", "beta"]).await;
                world.begin("acme", subject).await;
                let script = world.scripts()[store];
                script.on(operation).times(nth).fault(Fault::nothing());
                script.on(operation).fault(fault.clone());
                let first = world.run_for(LONG).await;
                let calls = script.calls().get(operation).copied().unwrap_or_default();
                if calls <= nth {
                    break;
                }
                cut += 1;
                script.repair();
                if first.is_err() || world.erasure("acme", subject).await.is_running() {
                    world.run().await;
                }
                let what = format!("{operation} {nth} {fault:?}");
                assert!(!world.erasure("acme", subject).await.is_running(), "{what}");
                match subject {
                    None => world.assert_erased("acme"),
                    Some(_) => {
                        assert_eq!(world.records_of("acme"), 6, "{what}");
                        assert_eq!(world.keys_of("acme").len(), 25, "{what}");
                    }
                }
                world.assert_whole("beta");
            }
        }
    }
    assert!(cut > 40, "only {cut}");
}

/// The function is ended while a call is under way: nothing after it is done.
#[tokio::test(start_paused = true)]
// requirement: secret-erasure
async fn a_run_that_is_killed_leaves_what_the_next_goes_on_with() {
    for (store, operation) in [(0, "advance"), (1, "erase_records"), (2, "erase")] {
        for nth in 0..3 {
            let world = World::with(&["acme"]).await;
            world.begin("acme", None).await;
            let script = world.scripts()[store];
            script.on(operation).times(nth).fault(Fault::nothing());
            script.on(operation).fault(Fault::hang());
            let killed = tokio::time::timeout(Duration::from_secs(1), world.run());
            assert!(killed.await.is_err());
            script.repair();
            world.expect_run(1, 0).await;
            world.assert_erased("acme");
        }
    }
}

#[tokio::test]
async fn two_runs_at_once_do_no_harm() {
    let world = World::with(&["acme", "beta"]).await;
    world.begin("acme", None).await;
    world.begin("acme", Some("order/r_0")).await;
    tokio::join!(world.run(), world.run(), world.run());
    world.run().await;
    world.assert_erased("acme");
    world.assert_whole("beta");
    let erasures = world.jobs.erasures();
    assert!(!erasures.iter().any(Erasure::is_running));
}

/// A position that another run has left behind is not kept again.
#[tokio::test(start_paused = true)]
async fn a_slow_run_does_not_throw_a_faster_one_back() {
    let world = World::with(&["acme"]).await;
    world.begin("acme", None).await;
    let slow = world.objects.script().on("erase");
    slow.fault(Fault::nothing().after(Duration::from_secs(30)));
    tokio::join!(world.expect_run(0, 1), world.expect_run(1, 0));
    assert!(!world.erasure("acme", None).await.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_in_time_and_the_next_goes_on() {
    let world = World::with(&["acme"]).await;
    world.begin("acme", None).await;
    let mut runs = 0;
    while world.erasure("acme", None).await.is_running() {
        let begun = Instant::now();
        let slow = Fault::nothing().after(Duration::from_secs(10));
        let every = world.objects.script().on("erase").always();
        every.fault(slow);
        let answer = world.run_for(Duration::from_secs(60)).await.unwrap();
        assert!(begun.elapsed() <= Duration::from_secs(60));
        world.objects.script().repair();
        runs += 1;
        assert!(runs < 20, "{answer}");
    }
    assert!(runs > 1);
    world.assert_erased("acme");
}

#[tokio::test]
async fn a_large_account_does_not_hold_up_a_single_record() {
    let world = World::with(&["acme", "beta"]).await;
    world.begin("acme", None).await;
    world.begin("beta", Some("order/r_0")).await;
    // Of the account, nothing after its first pages is done.
    let records = world.records.script().on("erase_records");
    records.always().fault(Fault::transient("Busy"));
    let (answer, lines) = captured(world.run()).await;
    assert_eq!(answer, json!({ "done": 1, "left": 1 }));
    assert!(!world.erasure("beta", Some("order/r_0")).await.is_running());
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["ErasuresFailed"], 1);
    assert_eq!(line["ScheduleRuns"], 1);
    assert_eq!(line["Schedule"], "erasure");
    assert_eq!(line["Stack"], "shop");
}

#[tokio::test]
async fn an_account_that_a_call_holds_waits_for_the_next_run() {
    let world = World::with(&["acme"]).await;
    world.jobs.keep_account(&name("acme"), Removal::Held);
    world.begin("acme", None).await;
    let (answer, lines) = captured(world.run()).await;
    assert_eq!(answer, json!({ "done": 0, "left": 1 }));
    assert!(!lines[0].contains("ErasuresFailed"), "{lines:?}");
    let Progress::Running(position) = world.erasure("acme", None).await.progress else {
        panic!("it is done");
    };
    assert_eq!(position.stage, Stage::Account);
    world.jobs.keep_account(&name("acme"), Removal::Gone);
    world.expect_run(1, 0).await;
    world.assert_erased("acme");
}

#[tokio::test]
async fn an_account_that_was_connected_again_stays() {
    let world = World::with(&["acme"]).await;
    world.jobs.keep_account(&name("acme"), Removal::Connected);
    world.begin("acme", None).await;
    world.expect_run(1, 0).await;
    assert_eq!(world.records_of("acme"), 0);
    assert_eq!(world.jobs.accounts(), [name("acme")]);
}

#[tokio::test]
async fn what_cannot_be_read_is_counted_and_stops_nothing() {
    let world = World::with(&["acme"]).await;
    world.jobs.keep_unreadable(2);
    world.begin("acme", None).await;
    let (answer, lines) = captured(world.run()).await;
    assert_eq!(answer, json!({ "done": 1, "left": 2 }));
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(line["ErasuresFailed"], json!(2));
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_no_run() {
    let world = World::default();
    let list = world.jobs.script().on("running");
    list.fault(Fault::transient("Busy"));
    let (answer, lines) = captured(world.run_for(LONG)).await;
    assert!(matches!(answer, Err(RunError::Unlisted(_))), "{answer:?}");
    assert_eq!(lines, [""; 0]);
}

#[rstest]
#[case::another_schedule(json!({ "schedule": "check" }))]
#[case::more(json!({ "schedule": "erasure", "account": "acme" }))]
#[case::nothing(Value::Null)]
#[case::records(json!({ "Records": [] }))]
#[tokio::test]
async fn what_is_no_run_is_refused(#[case] event: Value) {
    let world = World::with(&["acme"]).await;
    world.begin("acme", None).await;
    let answer = world.handle(&event, LONG).await;
    assert!(matches!(answer, Err(RunError::Unknown)), "{answer:?}");
    world.assert_whole("acme");
}
