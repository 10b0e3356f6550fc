//! `cargo run --bin model -- --schedules 100000`: runs schedules on all cores, prints how often which fault met
//! which step, and fails if an invariant broke or a cell of that table stayed too empty.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's output is its purpose"
)]

mod mistakes;
mod workers;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Runs the real handlers against seeded deliveries and faults.
#[derive(Debug, Parser)]
#[command(name = "model", arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    range: Range,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Puts each of the known mistakes into a copy of the sources, and sees that it is caught.
    Mistakes(mistakes::Options),
    /// A share of the schedules, for the command itself: reports on the error stream.
    #[command(hide = true)]
    Share(workers::Share),
    /// One schedule's story, for the command itself.
    #[command(hide = true)]
    Story {
        /// Which.
        seed: u64,
    },
}

/// Which schedules to run.
#[derive(Debug, Clone, Copy, Args)]
struct Range {
    /// How many schedules to run.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    schedules: u64,
    /// The seed of the first schedule; each further one counts up.
    #[arg(long, default_value_t = 1, conflicts_with = "seed")]
    from: u64,
    /// Run this one schedule, and tell its story.
    #[arg(long)]
    seed: Option<u64>,
    /// Stop after so many seconds, however many schedules are left.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Mistakes(options)) => mistakes::run(&options),
        Some(Command::Share(share)) => {
            workers::share(share);
            Ok(true)
        }
        Some(Command::Story { seed }) => Ok(workers::story(seed)),
        None => match cli.range.seed {
            Some(seed) => workers::tell(seed),
            None => workers::run(cli.range.from, cli.range.schedules, cli.range.seconds),
        },
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("model: {error:#}");
            ExitCode::FAILURE
        }
    }
}
