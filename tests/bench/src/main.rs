//! `cargo benchmark`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the command's output"
)]

use std::process::ExitCode;

use anyhow::Result;
use bench::guard;
use clap::{Parser, Subcommand};
use local::places::Places;
use local::progress::Progress;
use local::refusal;
use local::tools::Tools;
use local::verify::report::Outcome;

/// What the functions cost, measured in one run on a stand that plays AWS, beside peers in Python and for Node.
///
/// Writes infra/docs/performance.md, infra/docs/cost.md and the README's table. Needs valgrind, node and npm. Nothing is
/// written of a run in which a program did less than it should.
#[derive(Debug, Parser)]
#[command(name = "bench", bin_name = "cargo benchmark", version)]
struct Cli {
    /// Take the programs that are in target/lambda, instead of building them.
    #[arg(long, global = true)]
    built: bool,
    /// What to do instead of measuring.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare what a delivery, a batch and a start cost with tests/scale.json. Needs valgrind.
    Guard {
        /// Write what is counted into tests/scale.json.
        #[arg(long)]
        write: bool,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(refusal::exit_code(&error))
        }
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let places = Places::of(None)?;
    let progress = Progress::new();
    let tools = Tools::install(&places, progress).await?;
    match cli.command {
        None => {
            bench::run::published(&places, &tools, cli.built, progress).await?;
            println!("infra/docs/performance.md and infra/docs/cost.md are those of this run");
        }
        Some(Command::Guard { write }) => {
            let outcome = guard::run(&places, &tools, write, cli.built, progress).await?;
            // `cargo verify` reads the last line.
            match outcome {
                Outcome::Passed(figures) => println!("the guard held: {figures}"),
                Outcome::NotChecked(why) => println!("NOT CHECKED: {why}"),
            }
        }
    }
    Ok(())
}
