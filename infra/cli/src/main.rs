//! `orderhook`: the operators' command.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's output is its purpose"
)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use orderhook::resend::{Caller, Resend, resend};

/// What an alarm asks operators to do.
///
/// Credentials and region are taken from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_REGION:
/// `eval "$(aws configure export-credentials --format env)"` sets the first three.
#[derive(Debug, Parser)]
#[command(name = "orderhook", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send what a team's queue refused to that team again, once its queue is repaired.
    ///
    /// Takes the team's messages from the undelivered queue one after the other, sends each envelope as it is, under the
    /// id that it had, and deletes a message only after the team's queue has accepted it. Stops at the first refusal of the
    /// team's queue; a message that cannot be read stops no other, and is reported. What stays is shown in the queue again.
    /// Exits with 0 when nothing of the team's is left, with 1 otherwise.
    Resend(Resend),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Command::Resend(arguments) = Cli::parse().command;
    let outcome = match Caller::from_env() {
        Ok(caller) => resend(&caller, &arguments).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(done) => {
            println!(
                "{} sent again, {} of other teams left",
                done.sent, done.others
            );
            for unreadable in &done.unreadable {
                eprintln!("orderhook: left in the queue, {unreadable}");
            }
            if done.hidden > 0 {
                eprintln!(
                    "orderhook: {} messages are hidden by another run, or by one that was killed. They show again within \
                     15 minutes: run the command again then",
                    done.hidden
                );
            }
            match done.is_complete() {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            eprintln!("orderhook: {error:#}");
            ExitCode::FAILURE
        }
    }
}
