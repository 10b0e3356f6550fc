//! A command as a test gives it: what it prints, and how it ends.
#![allow(
    clippy::expect_used,
    reason = "a test stops where its command line is none"
)]

use clap::Parser as _;
use operate::{Exit, Target};

use crate::Stop;
use crate::cli::Cli;
use crate::screen::Screen;

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its output.
    pub out: String,
    /// What it said beside it, and why it ended.
    pub err: String,
    /// Both.
    pub all: String,
    /// How it ended.
    pub exit: Exit,
}

/// Gives a command on a stack: the words behind `orderhook`. Nobody sits at the terminal.
///
/// # Panics
/// The words are no command.
pub async fn give(target: &Target, line: &[&str]) -> Ended {
    give_on(target, line, |screen| screen).await
}

/// The same on another screen.
///
/// # Panics
/// The words are no command.
pub async fn give_on(
    target: &Target,
    line: &[&str],
    change: impl FnOnce(Screen) -> Screen,
) -> Ended {
    let words = ["orderhook"].iter().chain(line);
    let cli = Cli::try_parse_from(words).expect("a command line");
    let (screen, printed) = Screen::of_test(cli.global.json);
    let (exit, complaint) = match crate::on(&cli, target, &mut change(screen)).await {
        Ok(exit) => (exit, String::new()),
        Err(Stop::Failed(error)) => (error.exit(), error.to_string()),
        Err(Stop::Closed) => (Exit::Done, String::new()),
    };
    let (out, err) = (printed.out(), printed.err() + &complaint);
    Ended {
        all: format!("{out}{err}"),
        out,
        err,
        exit,
    }
}
