//! `cargo run --bin endurance -- faults`: long runs on the local stack that break things on purpose.
//!
//! Role: what only shows when everything happens at once: faults between the functions and AWS, functions killed at
//! random, queues and tables that go away for seconds. Promise: a run is bounded in time, stays on 127.0.0.1, says
//! in figures what it did, and leaves no process behind. It judges by the log of what it sent and shares no code with
//! what it judges; a run in which one kind of fault did not happen is no proof, and fails.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's output is its purpose"
)]

mod accounts;
mod collect;
mod disturb;
mod drill;
mod events;
mod faults;
mod kill;
mod log;
mod oracle;
mod patience;
mod permissions;
mod records;
mod report;
mod sending;
mod sources;
mod test_stack;
mod upgrade;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use local::interrupt::interrupted;
use local::places::Places;
use local::progress::Progress;
use local::refusal::{self, Refusal};
use local::stack;

use crate::report::{Report, Run};
use crate::test_stack::Where;

/// A long run on the local stack that breaks things on purpose, and counts what came of it.
///
/// It starts a stack of its own with short times and stops it, also after Ctrl-C; with --running it uses the one that is
/// up.
#[derive(Debug, Parser)]
#[command(
    name = "endurance",
    version,
    after_help = "\
Examples:
  cargo run --bin endurance -- faults --events 20000 --seed 1
  cargo run --bin endurance -- faults --events 1000 --running

Exit codes: 0 every promise held, 1 one is broken or the run proves too little, 2 nothing was tried or the stack went away."
)]
struct Cli {
    #[command(flatten)]
    place: Where,
    /// Print the figures as JSON on standard output, instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send events of every source while calls fail and functions are killed; then hold every promise, by id.
    ///
    /// Between the functions and AWS calls are throttled, fail with 5xx, lose their connection before or after the work
    /// is done, come late, refuse a part of a batch, or have their answers cut off; queues and tables go away for
    /// seconds; functions are killed. Each source comes again until it is answered with its own status of success,
    /// Orderspace with some of its retries in other batches, Apideck with each in other bytes. At the end every event that
    /// was answered so must be in the team's queue or wait with a reason, and every record must be what the log of
    /// deliveries says.
    Faults(faults::Faults),
    /// Take away one action of each statement of the functions' roles, and see that something needs it.
    ///
    /// A delivery is then refused, an event comes again, a call of the admin API fails; with the action given back all of
    /// them go on. With inbound's permissions, credentials, records and queues cannot be read.
    Permissions(permissions::Permissions),
    /// Delete a team's queue, take its permission, poison a lane and have a webhook disabled; then do what `orderhook doctor`
    /// prints, and nothing else, until it finds nothing wrong.
    ///
    /// Every order that was accepted must be with the team then, and what was dropped in a file.
    Drill(drill::Drill),
    /// Update the stack from an earlier template to the project's and back while events flow, and see that none is lost.
    Upgrade(upgrade::Upgrade),
}

impl Command {
    /// The template that the stack is started with, where it is not the project's.
    fn template(&self) -> Option<&Path> {
        match self {
            Self::Upgrade(upgrade) => Some(&upgrade.from),
            Self::Faults(_) | Self::Permissions(_) | Self::Drill(_) => None,
        }
    }
}

// Not on one thread: the simulators answer while a run is being judged.
#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli).await {
        Ok(report) => report.print(cli.json),
        Err(error) => {
            eprintln!("endurance: {error:#}");
            ExitCode::from(refusal::exit_code(&error))
        }
    }
}

/// Finds a stack, runs the command on it, and leaves nothing behind, whatever happened.
async fn run(cli: &Cli) -> Result<Report> {
    let places = cli.place.places()?;
    // Also where the stack is another process's: two runs would judge each other's events.
    let _lock = stack::lock(
        &places,
        "endurance.lock",
        "another run has this state directory; wait for it, or give this one its own with --state",
    )?;
    let progress = Progress::new();
    let interrupted = interrupted();
    tokio::pin!(interrupted);
    // A stack that cannot be started has stopped itself.
    let stack = tokio::select! {
        stack = cli.place.find(&places, cli.command.template(), progress) => stack?,
        () = &mut interrupted => return Err(interruption(cli)),
    };
    let emulator_gone = || {
        Refusal::error(format!(
            "the emulator ended during the run, and with it all that could be judged; see {}",
            places.shown(&places.log_of("emulator"))
        ))
    };
    let mut outcome = tokio::select! {
        outcome = command(cli, &places, &stack, progress) => outcome,
        () = stack.gone() => Err(emulator_gone()),
        () = &mut interrupted => Err(interruption(cli)),
    };
    // A call that broke off may be the first to tell.
    if outcome.is_err() && !stack.is_up() {
        outcome = Err(emulator_gone());
    }
    let left = stack.leave().await;
    match (outcome, left) {
        (Ok(report), left) => left.map(|()| report),
        // An emulator that is gone cannot be calmed.
        (Err(error), _) => Err(error),
    }
}

fn interruption(cli: &Cli) -> anyhow::Error {
    Refusal::error(if cli.place.running() {
        "interrupted; the stack is disturbed no more and was left up"
    } else {
        "interrupted; nothing was left running"
    })
}

async fn command(
    cli: &Cli,
    places: &Places,
    stack: &test_stack::TestStack,
    progress: Progress,
) -> Result<Report> {
    match &cli.command {
        Command::Faults(faults) => {
            within(faults.minutes, faults::run(stack, faults, progress)).await
        }
        Command::Permissions(arguments) => {
            within(arguments.minutes, permissions::run(stack, progress)).await
        }
        Command::Drill(arguments) => {
            within(arguments.minutes, drill::run(places, stack, progress)).await
        }
        Command::Upgrade(arguments) => {
            let work = upgrade::run(places, stack, arguments, progress);
            within(arguments.minutes, work).await
        }
    }
}

/// The report of a run, or one that says that it took too long.
async fn within<R: Run>(minutes: u64, run: impl Future<Output = Result<R>>) -> Result<Report> {
    match tokio::time::timeout(Duration::from_secs(minutes * 60), run).await {
        Ok(run) => Report::of(&run?),
        Err(_) => Ok(Report::unfinished(format!(
            "it had not ended after {minutes} minutes"
        ))),
    }
}
