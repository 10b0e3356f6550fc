//! Schedules on all cores. Each core has a process of its own: handlers write metrics to their standard
//! output, which is thrown away there, and reports come over the error stream.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use model::deliveries::Sender;
use model::faults::{Coverage, Kind, Step, unreachable};
use model::is_of_a_schedule;
use model::plan::{Habit, Plan};
use model::run::{Counts, Outcome, run as run_plan};
use model::truth::Cause;
use serde::{Deserialize, Serialize};

/// What 100,000 schedules must reach in every cell; fewer schedules, as much less.
const CELL: u64 = 100;
/// A cause for a record to be behind the source takes several of them.
const RARE: u64 = 10;
/// How many schedules that is said of.
const FULL: u64 = 100_000;
/// Every so many schedules, one is run a second time, and must tell the same story.
const REPLAYED: u64 = 50;

/// A share of the schedules.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Share {
    /// The first seed.
    #[arg(long)]
    first: u64,
    /// How far the next seed is.
    #[arg(long)]
    stride: u64,
    /// How many.
    #[arg(long)]
    count: u64,
    /// Stop after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 5)]
    failures: usize,
}

/// What a share reports at its end.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Report {
    schedules: u64,
    counts: Counts,
    replayed: u64,
    coverage: Coverage,
    broken: Vec<Failure>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Failure {
    seed: u64,
    what: String,
}

/// Lets panics that are told to happen happen in silence.
fn hush() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !is_of_a_schedule(panic.payload()) {
            loud(panic);
        }
    }));
}

/// Ends this process when the command that started it is gone, however that came: nobody is left to read the report.
fn end_with_the_command() {
    thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}

/// Runs a share of the schedules, and reports.
pub(crate) fn share(share: Share) {
    end_with_the_command();
    hush();
    let begun = Instant::now();
    let mut report = Report::default();
    for number in 0..share.count {
        let is_over = |seconds| begun.elapsed() >= Duration::from_secs(seconds);
        if share.seconds.is_some_and(is_over) || report.broken.len() >= share.failures {
            break;
        }
        let seed = share.first + number * share.stride;
        let outcome = run_plan(Plan::of(seed), false);
        report.schedules += 1;
        report.counts.add(&outcome.counts);
        report.coverage.add(&outcome.coverage);
        if let Some(broken) = &outcome.broken {
            report.broken.push(Failure {
                seed,
                what: broken.to_string(),
            });
        } else if number % REPLAYED == 0 {
            report.replayed += 1;
            if let Some(what) = differs(&outcome, &run_plan(Plan::of(seed), false)) {
                report.broken.push(Failure { seed, what });
            }
        }
    }
    if let Ok(report) = serde_json::to_string(&report) {
        eprintln!("{REPORT}{report}");
    }
}

/// What a line of a share begins with that is its report.
const REPORT: &str = "report ";

/// Whether two runs of one seed told different stories.
fn differs(first: &Outcome, second: &Outcome) -> Option<String> {
    let same = first.counts == second.counts
        && first.coverage == second.coverage
        && first.received == second.received;
    (!same).then(|| "replay: the seed tells another story when it is run again".to_owned())
}

impl Report {
    fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.counts.add(&other.counts);
        self.replayed += other.replayed;
        self.coverage.add(&other.coverage);
        self.broken.extend(other.broken);
    }
}

/// Runs schedules on all cores. `true` if all is well.
pub(crate) fn run(from: u64, schedules: u64, seconds: Option<u64>) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let mut total = Report::default();
    for share in start(&program, from, schedules, seconds, 5)? {
        total.add(collect(share)?);
    }
    total.broken.sort_by_key(|failure| failure.seed);
    judge(&total, begun.elapsed())
}

/// A seed at which an invariant breaks in another build of this program, and what breaks: that of the core which finds one
/// first.
pub(crate) fn any_broken(program: &Path, schedules: u64) -> anyhow::Result<Option<(u64, String)>> {
    let (tell, reports) = mpsc::channel();
    let mut open = Vec::new();
    for mut share in start(program, 1, schedules, None, 1)? {
        // While this end of the pipe is open, the share goes on: see `end_with_the_command`.
        open.push(share.stdin.take());
        let tell = tell.clone();
        thread::spawn(move || {
            // Nobody listens any more when another core has found one.
            let _ = tell.send(collect(share));
        });
    }
    drop(tell);
    for report in reports {
        if let Some(failure) = report?.broken.into_iter().next() {
            return Ok(Some((failure.seed, failure.what)));
        }
    }
    Ok(None)
}

/// Starts a share of the schedules on each core.
fn start(
    program: &Path,
    from: u64,
    schedules: u64,
    seconds: Option<u64>,
    failures: usize,
) -> anyhow::Result<Vec<Child>> {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let cores = cores.clamp(1, 8).min(schedules);
    let mut shares = Vec::new();
    for core in 0..cores {
        let count = schedules / cores + u64::from(core < schedules % cores);
        let mut command = Command::new(program);
        command.arg("share");
        command.args(["--first", &(from + core).to_string()]);
        command.args(["--stride", &cores.to_string()]);
        command.args(["--count", &count.to_string()]);
        command.args(["--failures", &failures.to_string()]);
        if let Some(seconds) = seconds {
            command.args(["--seconds", &seconds.to_string()]);
        }
        // It ends when this end of the pipe does: see `end_with_the_command`.
        command.stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let share = command.spawn();
        shares.push(share.context("a share of the schedules cannot be started")?);
    }
    Ok(shares)
}

/// Waits for a share and reads its report; whatever else it says is passed on.
fn collect(mut share: Child) -> anyhow::Result<Report> {
    let errors = share.stderr.take().context("a share has no error stream")?;
    let mut found = None;
    for line in BufReader::new(errors).lines() {
        let line = line?;
        match line.strip_prefix(REPORT) {
            Some(report) => found = Some(serde_json::from_str(report).context("a share's report")?),
            None => eprintln!("{line}"),
        }
    }
    let ended = share.wait()?;
    match found {
        Some(report) => Ok(report),
        None => bail!("a share of the schedules ended without a report ({ended})"),
    }
}

fn judge(total: &Report, took: Duration) -> anyhow::Result<bool> {
    let (coverage, counts) = (&total.coverage, &total.counts);
    print!("{}", coverage.table());
    println!("\n· cannot be:");
    for (reason, cells) in reasons() {
        println!("  {reason}: {cells}");
    }
    let schedules = total.schedules.max(1);
    let each = |sum| format!("{:.1}", share_of(sum, schedules));
    println!(
        "\n{} schedules in {:.0} s: per schedule {} deliveries in {} requests, {} events, {} accounts, {} teams, \
         {} faults, {} invocations; {} run twice; every fault met every step it can at least {} times",
        total.schedules,
        took.as_secs_f64(),
        each(counts.deliveries),
        each(counts.attempts),
        each(counts.events),
        each(counts.accounts),
        each(counts.teams),
        each(coverage.total()),
        each(counts.invocations),
        total.replayed,
        coverage.least(),
    );
    let senders = Sender::ALL.map(|(.., title)| format!("of {title}"));
    let senders = senders.each_ref().map(String::as_str);
    let habits = Habit::ALL.map(|(_, habit)| habit);
    let causes = Cause::ALL.map(|(_, cause)| cause);
    let least = CELL * schedules / FULL;
    let rare = least / RARE;
    let counted: [(&str, &[u64], &[&str], u64); 3] = [
        ("Deliveries", &counts.by_sender, &senders, least),
        ("Sources", &counts.habits, &habits, least),
        ("Records behind their source", &counts.stale, &causes, rare),
    ];
    for (what, seen, words, _) in counted {
        let seen = seen.iter().zip(words);
        let seen: Vec<String> = seen.map(|(seen, word)| format!("{seen} {word}")).collect();
        println!("{what}: {}", seen.join(", "));
    }
    for failure in total.broken.iter().take(5) {
        println!("\nseed {} breaks {}", failure.seed, failure.what);
        println!("  cargo run --bin model -- --seed {}", failure.seed);
    }
    if let Some(first) = total.broken.first() {
        tell(first.seed)?;
        return Ok(false);
    }
    let mut good = true;
    for (step, kind, met) in coverage.below(least) {
        good = false;
        let (kind, step) = (kind.as_str(), step.as_str());
        println!("{kind} meets {step} only {met} times, {least} are asked");
    }
    for (what, seen, words, least) in counted {
        for (seen, word) in seen.iter().zip(words).filter(|(seen, _)| **seen < least) {
            good = false;
            println!("{what}: {seen} {word}, {least} are asked");
        }
    }
    // What the schedules must have on average. A few may be small ones.
    let averages = [
        ("deliveries", counts.deliveries, 3),
        ("events", counts.events, 8),
        ("accounts", counts.accounts, 2),
        ("teams", counts.teams, 2),
        ("faults", coverage.total(), 2),
    ];
    for (what, found, least) in averages {
        if schedules >= 1000 && found < least * schedules {
            good = false;
            println!("schedules have too few {what}: {least} are asked on average");
        }
    }
    let without_fifo = counts.without_fifo;
    if without_fifo > 0 {
        good = false;
        println!("{without_fifo} schedules have no team with a FIFO queue");
    }
    match good {
        true => println!("every invariant holds"),
        false => println!("not good enough"),
    }
    Ok(good)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "an average to be read by people"
)]
fn share_of(sum: u64, count: u64) -> f64 {
    sum as f64 / count as f64
}

/// Why cells are left out, and which.
fn reasons() -> BTreeMap<&'static str, String> {
    let mut reasons: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    for (step, at) in Step::ALL {
        for (kind, name) in Kind::ALL {
            if let Some(reason) = unreachable(step, kind) {
                let steps = reasons.entry(reason).or_default();
                steps.entry(name).or_default().push(at);
            }
        }
    }
    let line = |kinds: BTreeMap<&str, Vec<&str>>| {
        let mut lines: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (kind, steps) in kinds {
            let steps = match steps.len() {
                0..6 => steps.join(", "),
                count => format!("{count} steps"),
            };
            lines.entry(steps).or_default().push(kind);
        }
        let lines = lines
            .into_iter()
            .map(|(steps, kinds)| format!("{} at {steps}", kinds.join(", ")));
        lines.collect::<Vec<_>>().join("; ")
    };
    reasons
        .into_iter()
        .map(|(reason, kinds)| (reason, line(kinds)))
        .collect()
}

/// Tells the story of one schedule: in a process of its own, whose handlers' metrics do not stand between the
/// lines. `true` if every invariant held.
pub(crate) fn tell(seed: u64) -> anyhow::Result<bool> {
    let program = std::env::current_exe().context("this program does not know where it is")?;
    let mut command = Command::new(program);
    command.arg("story").arg(seed.to_string());
    let told = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    Ok(told.context("a story cannot be told")?.success())
}

/// Runs one schedule, and writes what happened to the error stream. `true` if every invariant held.
pub(crate) fn story(seed: u64) -> bool {
    hush();
    let outcome = run_plan(Plan::of(seed), true);
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "\nthe story of seed {seed}:");
    for line in &outcome.story {
        let _ = writeln!(out, "{line}");
    }
    let _ = match &outcome.broken {
        Some(broken) => writeln!(
            out,
            "\nbroken: {broken}\n\nagain: cargo run --bin model -- --seed {seed}"
        ),
        None => writeln!(out, "\nevery invariant holds"),
    };
    outcome.broken.is_none()
}
