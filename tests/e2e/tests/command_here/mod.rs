//! The operators' command, run in the test on the stack that is up.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use clap::Parser as _;
use e2e::Stack;
use operate::{Access, Calls, Exit, Target};
use orderhook::Stop;
use orderhook::cli::Cli;
use orderhook::screen::Screen;

/// What a command printed on standard output, in all, and how it ended.
pub struct Ended {
    pub out: String,
    pub all: String,
    pub exit: Exit,
}

/// The stack, asked as its administrator.
pub fn target(stack: &Stack) -> Target {
    let outputs = &stack.outputs;
    target_as(stack, &outputs.access_key_id, &outputs.secret_access_key)
}

/// The stack, asked by the owner of a key.
pub fn target_as(stack: &Stack, id: &str, key: &str) -> Target {
    let outputs = &stack.outputs;
    let access = Access::fixed(&outputs.endpoint_url, &outputs.region, id, key);
    Target {
        name: outputs.stack_name.clone(),
        calls: Calls::new(access).unwrap(),
    }
}

/// Runs a command on a stack.
pub async fn give_on(target: &Target, line: &[&str]) -> Ended {
    let cli = Cli::try_parse_from(["orderhook"].iter().chain(line)).unwrap();
    let (mut screen, printed) = Screen::of_test(cli.global.json);
    let (exit, complaint) = match orderhook::on(&cli, target, &mut screen).await {
        Ok(exit) => (exit, String::new()),
        Err(Stop::Failed(error)) => (error.exit(), error.to_string()),
        Err(Stop::Closed) => (Exit::Done, String::new()),
    };
    Ended {
        out: printed.out(),
        all: printed.out() + &printed.err() + &complaint,
        exit,
    }
}

/// Runs a command as the stack's administrator.
pub async fn give(stack: &Stack, line: &[&str]) -> Ended {
    give_on(&target(stack), line).await
}
