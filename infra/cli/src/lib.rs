//! `orderhook`: what operators ask and do by hand, as commands.
//!
//! Role: a command line, tables and prompts. What decides is in `operate`, and its answers are printed here. Promise:
//! nothing is changed without being asked for, no secret is an argument or is printed, and the exit code says how it ended.

pub mod cli;
pub mod prompt;
pub mod resend;
pub mod screen;
pub mod words;

use std::io;
use std::path::Path;

use operate::{Error, Exit};

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

async fn act(cli: &Cli, _directory: &Path, screen: &mut Screen) -> Result<Exit, Stop> {
    match &cli.command {
        Command::Completions(arguments) => Ok(cli::completions(arguments, screen)?),
        Command::Resend(arguments) => resend::run(arguments, screen).await,
    }
}
