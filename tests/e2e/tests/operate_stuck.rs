//! What operators do about what waits, and replays, on the stack: what is released or replayed goes through the lanes, and
//! the stack's own consumer forwards it.
//!
//! Each story has waiting rooms of its own, so that what another test puts aside is not in its counts.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where it is"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use consumer_here::ConsumerHere;
use e2e::scratch::unique;
use e2e::team::TeamEvent;
use e2e::{Stack, World};
use operate::Calls;
use operate::replay::{Replay, Request, What, Whose};
use operate::stuck::{Done, Filter, Listing, Options, Room, drop_all, list, release, show};
use operate::when::{self, now};
use serde_json::{Value, json};
use testkit::delivery::delivery;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

mod consumer_here;

/// The stack's one team.
const TEAM: &str = "example";

const FAST: Options = Options {
    rate: 1000,
    most: usize::MAX,
};

async fn make_queue(stack: &Stack, role: &str) -> String {
    let name = unique(&format!("stuck-{role}-"));
    stack.make_queue(&name, &[]).await
}

/// An operator, and waiting rooms of a story's own.
struct Operator {
    stack: Stack,
    calls: Calls,
    found: operate::Stack,
    undelivered: String,
    quarantine: String,
}

impl Operator {
    async fn new(story: &str) -> Self {
        let stack = Stack::here().await;
        let target = stack.target();
        let undelivered = make_queue(&stack, &format!("{story}-undelivered")).await;
        let quarantine = make_queue(&stack, &format!("{story}-quarantine")).await;
        let found = target.stack().await.unwrap();
        let found = found
            .with_output("UndeliveredQueueUrl", &undelivered)
            .with_output("QuarantineQueueUrl", &quarantine);
        Self {
            stack,
            calls: target.calls,
            found,
            undelivered,
            quarantine,
        }
    }

    async fn put_unreadable(&self) {
        let body = "no event at all";
        self.stack.put_message(&self.undelivered, body).await;
    }

    async fn put_undelivered(&self, team: &str, envelope: &str) {
        let body = format!(
            r#"{{"team":"{team}","queue":"q","reason":"QueueDoesNotExist","envelope":{envelope}}}"#
        );
        self.stack.put_message(&self.undelivered, &body).await;
    }

    /// Messages that are shown in a queue, and those that are hidden.
    async fn counts(&self, queue: &str) -> (usize, usize) {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let ask = self.stack.sqs.get_queue_attributes().queue_url(queue);
        let ask = ask.set_attribute_names(Some(names.to_vec()));
        let attributes = ask.send().await.unwrap().attributes.unwrap();
        let [shown, hidden] = names.map(|name| attributes[&name].parse().unwrap());
        (shown, hidden)
    }

    fn of_team(team: &str) -> Filter {
        Filter {
            rooms: vec![Room::Undelivered],
            team: Some(team.to_owned()),
            ..Filter::default()
        }
    }

    async fn list(&self, filter: &Filter) -> Listing {
        let listing = list(&self.calls, &self.found, filter, 1000).await;
        listing.unwrap()
    }

    async fn release(&self, filter: &Filter) -> Done {
        let done = release(&self.calls, &self.found, filter, FAST, &mut |_| {}).await;
        done.unwrap()
    }

    async fn remove(self) {
        for queue in [&self.undelivered, &self.quarantine] {
            self.stack.drop_queue(queue).await;
        }
    }
}

/// Delivers orders, and returns the envelopes as the team got them.
async fn delivered(world: &World, events: usize) -> Vec<String> {
    let answer = world.post(&delivery().orders(events).body()).await;
    assert_eq!(answer.status, 200);
    let events = world.team.wait_for(events).await;
    events.into_iter().map(|event| event.message.body).collect()
}

#[tokio::test]
async fn what_waits_is_listed_without_being_taken() {
    let operator = Operator::new("list").await;
    let world = World::planted().await;
    operator.put_unreadable().await;
    for envelope in delivered(&world, 12).await {
        operator.put_undelivered("sales", &envelope).await;
    }
    let before = operator.counts(&operator.undelivered).await;
    assert_eq!(before, (13, 0));
    let filter = Filter {
        rooms: vec![Room::Undelivered, Room::Quarantine],
        ..Filter::default()
    };
    let listing = operator.list(&filter).await;
    assert_eq!((listing.entries.len(), listing.is_whole()), (13, true));
    let entries = listing.entries.iter();
    let sales = entries.filter(|entry| entry.team.as_deref() == Some("sales"));
    assert_eq!(sales.count(), 12);
    assert_eq!(operator.counts(&operator.undelivered).await, before);
    let again = operator.list(&filter).await;
    assert_eq!(again.entries.len(), 13, "at once, with nothing hidden");
    operator.remove().await;
}

#[tokio::test]
// requirement: lost-team
async fn a_team_whose_queue_was_deleted_gets_what_it_missed_and_the_other_misses_nothing() {
    const EVENTS: usize = 12;
    let operator = Operator::new("deleted").await;
    let world = World::planted().await;
    let bodies = delivered(&world, EVENTS).await;
    let gone = make_queue(&operator.stack, "deleted-gone").await;
    let finance = make_queue(&operator.stack, "deleted-finance").await;
    operator.stack.drop_queue(&gone).await;
    let route = |team: &str, queue: &str| json!({ "team": team, "queue": queue, "types": ["*"], "accounts": [world.account] });
    let routes = json!([route(TEAM, &gone), route("finance", &finance)]);
    let consumer = ConsumerHere::new(&operator.stack, &routes, &operator.undelivered);
    consumer.handle(bodies.iter().map(String::as_str)).await;
    let (shown, _) = operator.counts(&finance).await;
    assert_eq!(shown, EVENTS, "the other team misses nothing");
    assert_eq!(operator.counts(&operator.undelivered).await, (EVENTS, 0));

    let done = operator.release(&Operator::of_team(TEAM)).await;
    assert_eq!(done.messages, u64::try_from(EVENTS).unwrap());
    assert!(done.is_complete(), "{done:?}");
    assert_eq!(operator.counts(&operator.undelivered).await, (0, 0));
    // Once when they came, and once more.
    let got = world.team.wait_for_messages(2 * EVENTS).await;
    let ids: BTreeSet<String> = got.iter().map(|event| event.id.clone()).collect();
    assert_eq!((got.len(), ids.len()), (2 * EVENTS, EVENTS));
    let got: BTreeSet<String> = got.into_iter().map(|event| event.message.body).collect();
    let expected: BTreeSet<String> = bodies.into_iter().collect();
    assert_eq!(got, expected, "byte for byte, under their own ids");
    operator.stack.drop_queue(&finance).await;
    operator.remove().await;
}

#[tokio::test]
// requirement: resend-complete
async fn what_is_not_released_is_said_and_shown_again() {
    let operator = Operator::new("left").await;
    let world = World::planted().await;
    let bodies = delivered(&world, 3).await;
    operator.put_unreadable().await;
    for _ in 0..15 {
        operator.put_undelivered("finance", &bodies[0]).await;
    }
    operator.put_undelivered(TEAM, "7").await;
    operator.put_undelivered(TEAM, &bodies[1]).await;
    let done = operator.release(&Operator::of_team(TEAM)).await;
    assert_eq!((done.messages, done.left.len(), done.hidden), (1, 1, 0));
    assert!(!done.is_complete());
    assert_eq!(operator.counts(&operator.undelivered).await, (17, 0));
    operator.remove().await;
}

#[tokio::test]
async fn a_quarantined_part_that_can_be_read_goes_its_way_and_what_cannot_stays() {
    let operator = Operator::new("quarantine").await;
    let world = World::connected().await;
    let body = delivery().orders(2).element("7").body();
    assert_eq!(world.post(&body).await.status, 200);
    let id = world.team.wait_for(2).await[0].delivery.clone();
    let parsed: domain::identity::DeliveryId = id.parse().unwrap();
    let pk = format!("{}#{}", world.account, parsed.first_seen().day());
    let notice = |index: u32| {
        json!({
            "account": world.account, "deliveryid": id, "time": "t", "receipt": { "pk": pk, "sk": id },
            "elements": [{ "index": index, "reason": "element_not_an_object" }],
        })
    };
    for index in [0, 2] {
        let notice = notice(index).to_string();
        operator
            .stack
            .put_message(&operator.quarantine, &notice)
            .await;
    }
    let filter = Filter {
        rooms: vec![Room::Quarantine],
        ..Filter::default()
    };
    let done = operator.release(&filter).await;
    let counts = (done.messages, done.events, done.left.len());
    assert_eq!(counts, (1, 1, 1), "{done:?}");
    let got = world.team.wait_for_messages(3).await;
    let first = format!("{id}.00000");
    assert_eq!(got.iter().filter(|event| event.id == first).count(), 2);
    assert_eq!(operator.counts(&operator.quarantine).await, (1, 0));
    let shown = show(&operator.calls, &operator.found, &id, 1000).await;
    let shown = shown.unwrap();
    let part = shown.iter().find_map(|shown| shown.parts.get(&2));
    assert_eq!(part.map(String::as_str), Some("7"));
    operator.remove().await;
}

#[tokio::test]
async fn what_is_dropped_is_kept_in_a_file_and_sent_nowhere() {
    let operator = Operator::new("drop").await;
    let world = World::planted().await;
    let bodies = delivered(&world, 2).await;
    for body in &bodies {
        operator.put_undelivered(TEAM, body).await;
    }
    operator.put_undelivered("finance", &bodies[0]).await;
    let mut file = Vec::new();
    let filter = Operator::of_team(TEAM);
    let (calls, found) = (&operator.calls, &operator.found);
    let done = drop_all(calls, found, &filter, FAST, &mut file, &mut |_| {}).await;
    assert_eq!(done.unwrap().messages, 2);
    assert_eq!(String::from_utf8(file).unwrap().lines().count(), 2);
    assert_eq!(operator.counts(&operator.undelivered).await, (1, 0));
    let got = world.team.messages().await;
    assert_eq!(got.len(), 2, "as they came, and no more");
    operator.remove().await;
}

fn request(world: &World, what: What) -> Request {
    Request {
        whose: Whose::One(world.account.parse().unwrap()),
        what,
        types: Vec::new(),
        subject: None,
        team: Some(TEAM.to_owned()),
        rate: 1000,
        job: "r1".parse().unwrap(),
        is_long: false,
    }
}

/// Records by id, with everything that an item has.
async fn records(world: &World, count: usize) -> Vec<String> {
    let mut records = Vec::new();
    for number in 0..count {
        let record = world.record("order", &format!("or_{number:05}")).await;
        records.push(format!("{:?}", record.unwrap()));
    }
    records
}

fn is_replayed(event: &TeamEvent) -> bool {
    event.message.body.contains(r#""replayed":true"#)
}

/// `orderhook` as a process, on the stack of these tests.
struct Process {
    child: Child,
    lines: UnboundedReceiver<String>,
    after: Option<String>,
}

impl Process {
    /// Starts the command, which is built beside these tests.
    fn start(outputs: &Path, line: &[&str]) -> Self {
        let tests = std::env::current_exe().unwrap();
        let program = tests.ancestors().nth(2).unwrap().join("orderhook");
        let mut child = Command::new(&program)
            .arg(format!("--local={}", outputs.display()))
            .args(line)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{} (cargo build --workspace): {error}", program.display())
            });
        let printed = BufReader::new(child.stdout.take().unwrap());
        let (line, lines) = unbounded_channel();
        std::thread::spawn(move || {
            let mut printed = printed.lines().map_while(Result::ok);
            printed.try_for_each(|printed| line.send(printed))
        });
        Self {
            child,
            lines,
            after: None,
        }
    }

    /// Reads a line; `false` behind the last one. The last line of a process that is killed may be a part of one.
    async fn read(&mut self) -> bool {
        let line = tokio::time::timeout(e2e::waiting::PATIENCE, self.lines.recv()).await;
        let Some(line) = line.unwrap() else {
            return false;
        };
        let step: Option<Value> = serde_json::from_str(&line).ok();
        if let Some(after) = step.and_then(|step| Some(step["after"].as_str()?.to_owned())) {
            self.after = Some(after);
        }
        true
    }

    /// Reads to the end, and answers how it ended and what it reported last.
    async fn end(mut self) -> (ExitStatus, Option<String>) {
        while self.read().await {}
        (self.child.wait().unwrap(), self.after)
    }

    /// Ends it with SIGKILL some time after it has reported so many batches.
    async fn kill(mut self, batches: u64, later: Duration) -> (ExitStatus, Option<String>) {
        for _ in 0..batches {
            self.read().await;
        }
        tokio::time::sleep(later).await;
        self.child.kill().unwrap();
        self.end().await
    }
}

#[tokio::test]
async fn a_replay_that_is_killed_ten_times_goes_on_and_records_stay_as_they_are() {
    const DELIVERIES: usize = 10;
    const EVENTS: usize = DELIVERIES * 40;
    const KILLS: usize = 10;
    let operator = Operator::new("replay").await;
    let world = World::connected().await;
    let from = when::back(now(), 1);
    for first in (0..EVENTS).step_by(EVENTS / DELIVERIES) {
        let order = |number| format!(r#"{{"id":"or_{number:05}","net":20.10}}"#);
        let numbers = first..first + EVENTS / DELIVERIES;
        let orders = numbers.fold(delivery(), |orders, number| {
            orders.event("order.created", &order(number))
        });
        assert_eq!(world.deliver(&orders.body()).await.last(), Some(&200));
    }
    let bodies = world.team.wait_for(EVENTS).await;
    let bodies: BTreeSet<String> = bodies.into_iter().map(|event| event.message.body).collect();
    let before = records(&world, EVENTS).await;

    let file = operator.stack.directory.join("outputs.json");
    let to = now().plus_seconds(60);
    let start = |after: &Option<String>, rate: &str| {
        let line = format!(
            "replay --json --yes --account {} --team {TEAM} --from {from} --to {to} --job r1 --rate {rate}",
            world.account
        );
        let mut words: Vec<&str> = line.split(' ').collect();
        words.extend(after.iter().flat_map(|after| ["--after", after]));
        Process::start(&file, &words)
    };
    // Ten batches a second, and so few reports that no run comes to its end.
    let mut state: u64 = 0x5161;
    let mut chance = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state >> 33
    };
    let mut after = None;
    for kill in 0..KILLS {
        let (batches, later) = (chance() % 3, Duration::from_millis(chance() % 120));
        let (status, reported) = start(&after, "100").kill(batches, later).await;
        assert_eq!(status.signal(), Some(9), "kill {kill}: {status}");
        assert!(reported.is_some() || batches == 0, "kill {kill}");
        after = reported.or(after);
    }
    assert!(after.is_some(), "it came forward");
    let (status, _) = start(&after, "1000").end().await;
    assert!(status.success(), "{status}");

    let got = e2e::until("every id is replayed", async || {
        let got = world.team.messages().await;
        let replayed = got.iter().filter(|event| is_replayed(event));
        let ids: BTreeSet<&str> = replayed.map(|event| event.id.as_str()).collect();
        match ids.len() {
            EVENTS => Ok(got),
            ids => Err(format!("{ids} of {EVENTS}")),
        }
    })
    .await;
    assert!(
        got.len() <= 2 * EVENTS + 10 * KILLS,
        "at most a batch twice for each kill: {}",
        got.len()
    );
    let replayed = got.iter().filter(|event| is_replayed(event));
    let plain: BTreeSet<String> = replayed
        .map(|event| event.message.body.replace(r#","replayed":true"#, ""))
        .collect();
    // Under the ids that they had.
    assert_eq!(plain, bodies, "byte for byte, but for the mark");
    assert_eq!(records(&world, EVENTS).await, before);
    operator.remove().await;
}

#[tokio::test]
async fn a_new_team_gets_every_record_once_under_the_id_that_set_it() {
    let operator = Operator::new("state").await;
    let world = World::connected().await;
    let body = delivery()
        .orders(3)
        .event("order.updated", r#"{"id":"or_00001","net":20.10}"#)
        .event("order.deleted", r#"{"id":"or_00002"}"#)
        .body();
    assert_eq!(world.post(&body).await.status, 200);
    let events = world.team.wait_for(5).await;
    let delivery = events[0].delivery.clone();
    e2e::until("the records are as they end", async || {
        let last = world.record("order", "or_00002").await;
        match last.is_some_and(|record| record.deleted) {
            true => Ok(()),
            false => Err("not deleted".to_owned()),
        }
    })
    .await;
    let request = request(&world, What::State { after: None });
    let replay = Replay::prepare(&operator.calls, &operator.found, &request, now()).await;
    let replay = replay.unwrap();
    let done = replay.run(&mut |_| {}).await.unwrap();
    assert_eq!((done.events, done.deleted), (2, 1));
    let got = world.team.wait_for_messages(7).await;
    let replayed = got.into_iter().filter(is_replayed);
    let replayed: BTreeSet<String> = replayed.map(|event| event.id).collect();
    let expected = [format!("{delivery}.00000"), format!("{delivery}.00003")];
    assert_eq!(replayed, BTreeSet::from(expected));
    operator.remove().await;
}
