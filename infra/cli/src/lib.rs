//! `orderhook`: what operators ask and do by hand, as commands.
//!
//! Role: a command line, tables and prompts. What decides is in `operate`, and its answers are printed here. Promise:
//! nothing is changed without being asked for, no secret is an argument or is printed, and the exit code says how it ended.

pub mod accounts;
pub mod cli;
pub mod deliveries;
pub mod doctor;
pub mod given;
pub mod logs;
pub mod prompt;
pub mod records;
pub mod replay;
pub mod screen;
pub mod send;
pub mod span;
pub mod status;
pub mod stuck;
pub mod tail;
pub mod teams;
pub mod trace;
pub mod words;

use std::io;
use std::path::Path;

use operate::{Error, Exit, Target};

use crate::cli::{Cli, Command};
use crate::screen::Screen;

/// Why a command ends before its end.
#[derive(Debug)]
pub enum Stop {
    /// What was asked of AWS or of the stack did not succeed.
    Failed(Error),
    /// Nobody reads the output any more, as with `| head`.
    Closed,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(Error::unreadable("standard input or output", error)),
        }
    }
}

/// Runs a command to its end, to an error, or until it is interrupted.
///
/// What was under way when it was interrupted is left as it is: every command can be run again.
pub async fn run(cli: &Cli, directory: &Path, screen: &mut Screen) -> Exit {
    let ended = tokio::select! {
        // A command that ends in a way of its own when it is interrupted comes first.
        biased;
        ended = act(cli, directory, screen) => ended,
        _ = tokio::signal::ctrl_c() => return Exit::Interrupted,
    };
    match ended {
        Ok(exit) => exit,
        Err(Stop::Closed) => Exit::Done,
        Err(Stop::Failed(error)) => {
            screen.complain(&error.to_string());
            error.exit()
        }
    }
}

async fn act(cli: &Cli, directory: &Path, screen: &mut Screen) -> Result<Exit, Stop> {
    // This one needs no stack.
    if let Command::Completions(arguments) = &cli.command {
        return Ok(cli::completions(arguments, screen)?);
    }
    let target = Target::of(&cli.global.target(), directory).await?;
    on(cli, &target, screen).await
}

/// Runs a command on a stack.
///
/// # Errors
/// What the stack or AWS answered, or that nobody reads the output.
pub async fn on(cli: &Cli, target: &Target, screen: &mut Screen) -> Result<Exit, Stop> {
    match &cli.command {
        Command::Doctor(arguments) => doctor::run(arguments, target, screen).await,
        Command::Status(arguments) => status::run(arguments, target, screen).await,
        Command::Trace(arguments) => trace::run(arguments, target, screen).await,
        Command::Deliveries(command) => deliveries::run(command, target, screen).await,
        Command::Records(command) => records::run(command, target, screen).await,
        Command::Tail(arguments) => tail::run(arguments, target, screen).await,
        Command::Logs(arguments) => logs::run(arguments, target, screen).await,
        Command::Accounts(command) => accounts::run(command, cli.global.yes, target, screen).await,
        Command::Teams(command) => teams::run(command, target, screen).await,
        Command::Stuck(command) => stuck::run(command, cli.global.yes, target, screen).await,
        Command::Replay(arguments) => replay::run(arguments, cli.global.yes, target, screen).await,
        Command::Send(arguments) => send::run(arguments, cli.global.yes, target, screen).await,
        Command::Completions(arguments) => Ok(cli::completions(arguments, screen)?),
    }
}
