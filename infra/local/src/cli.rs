//! The commands and their arguments. What `--help` says is how a newcomer learns them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::build::Build;

/// Orderhook on this machine: the same template, deployed onto an emulator, with simulated sources.
///
/// Everything is kept below .local/: the installed tools, the logs, and outputs.json, which tells programs how to reach
/// the stack.
#[derive(Debug, Parser)]
#[command(
    name = "local",
    bin_name = "cargo local",
    version,
    after_help = "\
Examples:
  cargo demo                      see all of it work, from nothing
  cargo local up                  run a stack until Ctrl-C
  cargo verify                    run the checks of every day
  cargo verify --release          run every check, on the functions as they are deployed

Exit codes: 0 done, 1 something failed, 2 nothing was done (a prerequisite, a port, another stack)."
)]
pub struct Cli {
    /// Directory that keeps this stack's state; two stacks need two. Default: .local
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a stack, send every example event through it, and show what came of them.
    ///
    /// Installs the emulator and the SAM CLI into .local/ (Python 3.10 or newer is needed), builds the functions, deploys
    /// template.yaml onto the emulator, connects an account and sends each file of tests/fixtures/orderspace as Orderspace
    /// would. Every figure that it shows was read from a queue or a table. Stops everything at the end, also after Ctrl-C.
    Demo(Demo),
    /// Run a stack until Ctrl-C.
    ///
    /// Once it is ready, .local/outputs.json says how to reach it: use it from another terminal. The logs are in .local/log/.
    /// Ctrl-C, SIGTERM, and the end of the terminal or of the program that started it end everything; the data is then gone.
    Up(Up),
    /// Run the checks of the project: format, lints, template, and all tests on a stack of their own.
    ///
    /// The last line counts the checks. One that could not be run is NOT CHECKED and counted as skipped; so is one that
    /// belongs to a release, without --release.
    Verify(Verify),
}

/// Arguments of `up`.
#[derive(Debug, Args)]
pub struct Up {
    /// Port of the emulator on 127.0.0.1.
    #[arg(long, default_value_t = 4566)]
    pub port: u16,
    /// Another Orderspace API than the simulator, such as http://127.0.0.1:8700. The same as --source-url
    /// orderspace=URL.
    #[arg(long, requires = "identity_url", value_name = "URL")]
    pub api_url: Option<String>,
    /// Where that Orderspace gives out access tokens. The same as --source-url orderspace-identity=URL.
    #[arg(long, requires = "api_url", value_name = "URL")]
    pub identity_url: Option<String>,
    /// An address of a source's API in place of its simulator's, by a name that the parameter SourceUrls of
    /// template.yaml takes, such as ordermentum=http://127.0.0.1:8701; may be given several times.
    #[arg(long = "source-url", value_name = "NAME=URL")]
    pub source_urls: Vec<String>,
    /// A parameter of template.yaml; may be given several times.
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    pub parameters: Vec<String>,
    /// Put the proxy of the end-to-end tests between the functions and the emulator, so that those tests can be run on
    /// this stack with `cargo nextest run -p e2e`.
    #[arg(long)]
    pub proxy: bool,
    /// Run the functions as they are deployed to AWS, optimised. Their first build takes minutes more.
    #[arg(long)]
    pub release: bool,
}

impl Up {
    /// Which build of the functions the stack runs.
    pub fn build(&self) -> Build {
        match self.release {
            true => Build::Release,
            false => Build::Quick,
        }
    }
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Port of the emulator on 127.0.0.1. Default: a free one.
    #[arg(long, conflicts_with = "running")]
    pub port: Option<u16>,
    /// Use the stack that is up, and leave it up.
    #[arg(long)]
    pub running: bool,
    /// Seconds without a new event after which what is missing is called missing.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub patience: u64,
    /// Print the result as JSON on standard output, instead of tables.
    #[arg(long)]
    pub json: bool,
}

impl Demo {
    /// How long nothing new may come.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Only the checks whose name contains this, and what they need; the others are NOT CHECKED.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Every check, on the functions as they are deployed: their release build, its size and what its start costs too.
    #[arg(long)]
    pub release: bool,
    /// Begin no check once so many minutes have passed: what is left is NOT CHECKED. A check that has begun is finished.
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub minutes: Option<u64>,
    /// Write tests/CONFORMANCE.md from what this run finds, which is all that --release checks. Fails where a verdict
    /// differs from the one that is there.
    #[arg(long, conflicts_with_all = ["only", "minutes"])]
    pub conformance: bool,
}
