//! `faults`: deliveries from several accounts while calls fail and functions are killed; then every promise by id.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use futures::future::join_all;
use http::Method;
use local::progress::{Progress, seconds};
use serde::Serialize;
use serde_json::{Value, json};
use testkit::rng::Rng;

use crate::accounts;
use crate::collect::{QueueMessage, QueueReader};
use crate::disturb::{Disturbance, Kind};
use crate::events;
use crate::kill::{self, Victims};
use crate::log::Log;
use crate::oracle::{self, Evidence, Figures, Notice};
use crate::records;
use crate::report::{Run, line};
use crate::sending::{self, Sent};
use crate::sources;
use crate::test_stack::{LANES, TestStack};

/// The events of a long run.
pub(crate) const EVENTS: u32 = 20_000;
/// How often what is going on is shown.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);

/// Arguments of `faults`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Faults {
    /// Events to send.
    #[arg(long, default_value_t = EVENTS, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) events: u32,
    /// Makes the deliveries, the outages and the choice of what is killed. Which call meets a fault by chance is not
    /// in it: that depends on what runs beside what.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Accounts that they come from: one of each source, and the more of Orderspace.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(5..=50))]
    accounts: u8,
    /// Minutes after which the run ends as broken.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) minutes: u64,
    /// Milliseconds between two kills, on average.
    #[arg(long, default_value_t = 2_500, value_parser = clap::value_parser!(u64).range(100..))]
    kill_every: u64,
}

/// What a run came to.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    seed: u64,
    seconds: u64,
    deliveries: usize,
    requests: usize,
    answers: BTreeMap<String, usize>,
    faults: BTreeMap<Kind, u64>,
    killed: BTreeMap<String, u64>,
    visibility_seconds: u64,
    #[serde(flatten)]
    figures: Figures,
    /// Broken promises, and what makes the run prove nothing.
    pub(crate) problems: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// The stack does not do what every run needs.
pub(crate) async fn run(stack: &TestStack, faults: &Faults, progress: Progress) -> Result<Outcome> {
    let begun = Instant::now();
    let rng = Rng::of(&[faults.seed]);
    let (visibility, gentle) = stack.visibility().await?;
    let victims = match gentle {
        true => Victims::Inbound,
        false => Victims::All,
    };
    let sources = sources::of_accounts(usize::from(faults.accounts));
    let accounts = accounts::connect(stack, &sources, progress).await?;
    let events = usize::try_from(faults.events)?;
    let mut log = Log {
        deliveries: events::deliveries(&mut rng.apart(1), events, &sources),
        accounts: accounts.names.clone(),
        ..Log::default()
    };
    let boxes = Boxes::new(stack, &accounts.marker)?;

    let mut step = progress.step(format!(
        "Sending {events} events in {} deliveries, with faults",
        log.deliveries.len()
    ));
    let mut disturbance = Disturbance::begin(&stack.proxy, gentle).await?;
    let killed = RefCell::new(BTreeMap::new());
    let sent = Sent::default();
    let longest = Duration::from_millis(if gentle { 2_000 } else { 4_000 });
    log.attempts = tokio::select! {
        attempts = sending::send(&accounts, &log.deliveries, &sent) => attempts?,
        outages = disturbance.outages(rng.apart(2), longest) => {
            outages?;
            bail!("the outages ended before the sending did");
        }
        () = kill::at_random(stack.emulator, victims, rng.apart(3), Duration::from_millis(faults.kill_every), &killed) => {
            bail!("the killing ended before the sending did");
        }
        () = boxes.keep_collecting() => bail!("the collecting ended before the sending did"),
        () = show(&mut step, || format!(
            "{} deliveries, {} requests of which {} were not answered with success, {} events with the team",
            sent.deliveries.load(Ordering::Relaxed),
            sent.requests.load(Ordering::Relaxed),
            sent.refused.load(Ordering::Relaxed),
            boxes.team.count(),
        )) => bail!("the display ended before the sending did"),
    };
    let met = disturbance.finish().await?;
    step.done(&format!("{} requests", log.attempts.len()));

    boxes.drain(stack, progress).await?;
    let step = progress.step("Judging by the log");
    let judgement = boxes.judge(stack, &log).await?;
    step.done(&format!("{} ids", judgement.figures.ids));

    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    for attempt in &log.attempts {
        let status = attempt.status.map(|status| status.to_string());
        let answer = status.unwrap_or("none".to_owned());
        *answers.entry(answer).or_default() += 1;
    }
    let killed = killed.into_inner();
    let mut problems = judgement.problems;
    for kind in Kind::ALL {
        if met.get(&kind).is_none_or(|met| *met == 0) {
            let name = kind.name();
            problems.push(format!(
                "no call met \"{name}\": this run proves too little"
            ));
        }
    }
    problems.extend(too_little(&judgement.figures));
    let is_killed = |name: &str| killed.contains_key(name);
    if !is_killed("Inbound") || victims == Victims::All && !is_killed("Consumer") {
        problems.push("too few functions were killed: this run proves too little".to_owned());
    }
    Ok(Outcome {
        seed: faults.seed,
        seconds: begun.elapsed().as_secs(),
        deliveries: log.deliveries.len(),
        requests: log.attempts.len(),
        answers,
        faults: met,
        killed,
        visibility_seconds: visibility,
        figures: judgement.figures,
        problems,
    })
}

/// Of so many events some meet even the rarest fault.
const ENOUGH_FOR_ALL: usize = 5_000;
/// So many refused deliveries tell whether retries keep their ids. A function that is killed leaves no marker, and neither
/// does one whose table is away, so not all can.
const ENOUGH_REFUSED: usize = 20;

/// What did not happen, or too seldom, for the run to prove what it should.
fn too_little(figures: &Figures) -> Vec<String> {
    let rare = [
        (figures.ids_by_pointer, "event travelled as a pointer"),
        (
            figures.refused_and_accepted,
            "delivery was refused and came again",
        ),
        (
            figures.ids_of_a_later_attempt,
            "event of Apideck came in the bytes of a later attempt",
        ),
        (
            figures.deletes_undone,
            "record was brought back by a later time than its delete's",
        ),
    ];
    let mut wanted = vec![(
        figures.records_held_against_the_log,
        "record was held against the log alone",
    )];
    wanted.extend(
        rare.into_iter()
            .filter(|_| figures.events_sent >= ENOUGH_FOR_ALL),
    );
    let mut problems: Vec<String> = wanted
        .into_iter()
        .filter(|(count, _)| *count == 0)
        .map(|(_, what)| format!("no {what}: this run proves too little"))
        .collect();
    for source in sources::ALL.map(sources::name) {
        let accepted = figures.accepted_by_source.get(source);
        if accepted.is_none_or(|count| *count == 0) {
            problems.push(format!("no event of {source}: this run proves too little"));
        }
    }
    let retries = [
        (
            "refused deliveries",
            figures.refused_and_accepted,
            figures.kept_their_identity,
        ),
        (
            "refused deliveries that came in other bytes",
            figures.accepted_in_other_bytes,
            figures.kept_in_other_bytes,
        ),
    ];
    for (what, refused, kept) in retries {
        if refused >= ENOUGH_REFUSED && kept * 2 < refused {
            problems.push(format!(
                "of {refused} {what} only {kept} came again under their ids"
            ));
        }
    }
    problems
}

/// Shows what is going on until it is dropped.
pub(crate) async fn show(step: &mut local::progress::Step, text: impl Fn() -> String) {
    loop {
        tokio::time::sleep(SIGN_OF_LIFE).await;
        step.update(&text());
    }
}

/// The queues in which events end.
#[derive(Debug)]
pub(crate) struct Boxes {
    /// The team's queue.
    pub(crate) team: QueueReader,
    /// What the team's queue refused.
    pub(crate) undelivered: QueueReader,
    quarantine: QueueReader,
    /// The dead-letter queues.
    dead: Vec<QueueReader>,
}

impl Boxes {
    /// The boxes for a run whose messages all hold the marker.
    ///
    /// # Errors
    /// The stack lacks one of the queues.
    pub(crate) fn new(stack: &TestStack, marker: &str) -> Result<Self> {
        let mailbox = |output: &str| {
            Ok::<_, anyhow::Error>(QueueReader::new(&stack.aws, stack.output(output)?, marker))
        };
        Ok(Self {
            team: mailbox("ExampleTeamQueueUrl")?,
            undelivered: mailbox("UndeliveredQueueUrl")?,
            quarantine: mailbox("QuarantineQueueUrl")?,
            dead: LANES
                .iter()
                .map(|lane| mailbox(&format!("{lane}DlqUrl")))
                .collect::<Result<_>>()?,
        })
    }

    fn all(&self) -> impl Iterator<Item = &QueueReader> {
        [&self.team, &self.undelivered, &self.quarantine]
            .into_iter()
            .chain(&self.dead)
    }

    /// Collects until it is dropped.
    pub(crate) async fn keep_collecting(&self) {
        // The team's queue gets nearly everything.
        let others = self.all().map(QueueReader::keep_collecting);
        futures::join!(join_all(others), self.team.keep_collecting());
    }

    /// Collects until every lane is empty and nothing more comes.
    ///
    /// # Errors
    /// A queue does not answer.
    pub(crate) async fn drain(&self, stack: &TestStack, progress: Progress) -> Result<()> {
        let mut step = progress.step("Waiting until every lane is empty");
        let empty = async {
            loop {
                let (waiting, arrived) = (stack.waiting_in_lanes().await?, self.team.count());
                if waiting == 0 {
                    return Ok::<_, anyhow::Error>(());
                }
                step.update(&format!("{waiting} in the lanes, {arrived} with the team"));
                tokio::time::sleep(SIGN_OF_LIFE).await;
            }
        };
        tokio::select! {
            empty = empty => empty?,
            () = self.keep_collecting() => bail!("the collecting ended before the lanes were empty"),
        }
        for mailbox in self.all() {
            mailbox.empty().await?;
        }
        step.done(&format!("{} messages with the team", self.team.count()));
        Ok(())
    }

    /// Has the oracle judge what was found.
    ///
    /// # Errors
    /// A table or a bucket does not answer.
    pub(crate) async fn judge(&self, stack: &TestStack, log: &Log) -> Result<oracle::Judgement> {
        let (team, undelivered) = (self.team.messages(), self.undelivered.messages());
        let dead: Vec<QueueMessage> = self.dead.iter().flat_map(QueueReader::messages).collect();
        let mut objects = BTreeMap::new();
        for message in team.iter().chain(&undelivered).chain(&dead) {
            if let Some(reference) = oracle::reference(&message.body) {
                let place = reference.strip_prefix("s3://");
                let place = place.with_context(|| format!("{reference} is no reference"))?;
                let path = format!("/{place}");
                let object = stack.aws.s3(Method::GET, &path, Vec::new()).await?;
                objects.insert(reference.clone(), String::from_utf8(object)?);
            }
        }
        let mut notices = Vec::new();
        for message in self.quarantine.messages() {
            let mut notice: Notice = serde_json::from_str(&message.body)
                .with_context(|| format!("a quarantine message: {}", message.body))?;
            notice.hash = hash_of(stack, &notice).await?;
            notices.push(notice);
        }
        let records = stack.output("RecordsTable")?;
        let records = records::read(&stack.aws, records, &log.accounts, &events::kinds()).await?;
        Ok(oracle::judge(&Evidence {
            log,
            team: &team,
            undelivered: &undelivered,
            dead: &dead,
            notices: &notices,
            objects: &objects,
            records: &records,
        }))
    }
}

/// The hash in the receipt that a quarantine message points at.
async fn hash_of(stack: &TestStack, notice: &Notice) -> Result<Option<String>> {
    let key = json!({ "pk": { "S": notice.receipt.pk }, "sk": { "S": notice.receipt.sk } });
    let input = json!({ "TableName": stack.output("ReceiptsTable")?, "Key": key });
    let answer = stack.aws.dynamodb("GetItem", &input).await?;
    let hash = answer.pointer("/Item/hash/S").and_then(Value::as_str);
    Ok(hash.map(str::to_owned))
}

impl Run for Outcome {
    fn summary(&self) -> String {
        format!(
            "{} events, {} calls disturbed, {} functions killed",
            self.figures.events_accepted,
            self.faults.values().sum::<u64>(),
            self.killed.values().sum::<u64>()
        )
    }

    fn lines(&self) -> Vec<(String, String)> {
        let figures = &self.figures;
        let mut lines = vec![
            line("seed", &self.seed),
            line("time", &seconds(Duration::from_secs(self.seconds))),
            line("deliveries", &self.deliveries),
            line("requests", &self.requests),
        ];
        for (answer, count) in &self.answers {
            lines.push(line(&format!("  answered {answer}"), count));
        }
        for kind in Kind::ALL {
            let met = self.faults.get(&kind).copied().unwrap_or_default();
            lines.push(line(&format!("calls: {}", kind.name()), &met));
        }
        for (name, count) in &self.killed {
            lines.push(line(&format!("killed: {name}"), count));
        }
        if !self.killed.contains_key("Consumer") {
            let hidden = self.visibility_seconds;
            let why = format!("none: a lane hides a message for {hidden} s");
            lines.push(line("killed: Consumer", &why));
        }
        lines.push(line("events sent", &figures.events_sent));
        for source in sources::ALL.map(sources::name) {
            let of =
                |counts: &BTreeMap<&str, usize>| counts.get(source).copied().unwrap_or_default();
            let (sent, accepted) = (of(&figures.sent_by_source), of(&figures.accepted_by_source));
            let counts = format!("{sent}, {accepted} answered with success");
            lines.push(line(&format!("  of {source}"), &counts));
        }
        for (what, count) in [
            ("events answered with success", figures.events_accepted),
            ("different ids seen", figures.ids),
            ("  in the team's queue", figures.ids_in_the_teams_queue),
            ("  undelivered, with a reason", figures.ids_undelivered),
            ("    of these in the team's queue too", figures.ids_in_both),
            ("  in a dead-letter queue", figures.ids_dead),
            ("  whose record came as a pointer", figures.ids_by_pointer),
            (
                "  in the bytes of a later attempt",
                figures.ids_of_a_later_attempt,
            ),
            ("in quarantine, with a reason", figures.quarantined),
            (
                "messages with an id that came before",
                figures.duplicates_by_id,
            ),
            ("repeats under another id", figures.repeats),
            ("  of these not marked", figures.unmarked_repeats),
            (
                "deliveries refused, then accepted",
                figures.refused_and_accepted,
            ),
            (
                "  of these under the refused ids",
                figures.kept_their_identity,
            ),
            ("    of these in other bytes", figures.kept_in_other_bytes),
            ("records compared", figures.records_compared),
            ("  brought back after a delete", figures.deletes_undone),
            (
                "records held against the log alone",
                figures.records_held_against_the_log,
            ),
            (
                "  of these behind by an event sent again",
                figures.records_of_one_sent_again,
            ),
            (
                "  of these behind by one at the same time",
                figures.records_of_one_at_the_same_time,
            ),
            (
                "  of these ahead by one never accepted",
                figures.records_of_one_refused,
            ),
        ] {
            lines.push(line(what, &count));
        }
        lines
    }

    fn problems(&self) -> &[String] {
        &self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a short run comes to that proves enough.
    fn enough() -> Figures {
        Figures {
            events_sent: 1000,
            accepted_by_source: sources::ALL.map(|source| (sources::name(source), 1)).into(),
            records_held_against_the_log: 1,
            ..Figures::default()
        }
    }

    #[test]
    fn a_run_without_a_source_proves_too_little() {
        assert_eq!(too_little(&enough()), Vec::<String>::new());
        for source in sources::ALL.map(sources::name) {
            let mut figures = enough();
            figures.accepted_by_source.insert(source, 0);
            let expected = format!("no event of {source}: this run proves too little");
            assert_eq!(too_little(&figures), [expected.as_str()]);
            figures.accepted_by_source.remove(source);
            assert_eq!(too_little(&figures), [expected]);
        }
    }

    #[test]
    fn a_long_run_has_later_attempts_and_deletes_that_were_undone() {
        let long = Figures {
            events_sent: ENOUGH_FOR_ALL,
            ids_by_pointer: 1,
            refused_and_accepted: 1,
            ..enough()
        };
        let problems = too_little(&long);
        assert_eq!(problems.len(), 2, "{problems:?}");
        let whole = Figures {
            ids_of_a_later_attempt: 1,
            deletes_undone: 1,
            ..long
        };
        assert_eq!(too_little(&whole), Vec::<String>::new());
    }

    #[test]
    fn retries_in_other_bytes_keep_their_ids_as_others_do() {
        let lost = Figures {
            accepted_in_other_bytes: ENOUGH_REFUSED,
            kept_in_other_bytes: ENOUGH_REFUSED / 2 - 1,
            ..enough()
        };
        let problems = too_little(&lost);
        let expected = "in other bytes only 9";
        assert!(problems[0].contains(expected), "{problems:?}");
        let kept = Figures {
            kept_in_other_bytes: ENOUGH_REFUSED / 2,
            ..lost
        };
        assert_eq!(too_little(&kept), Vec::<String>::new());
    }
}
