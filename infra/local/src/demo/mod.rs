//! `cargo demo`: one account, every example event, and what came of them, read back from queues and tables; then a
//! webhook that Orderspace disables, and that a check replaces; then one account of each other source.

pub mod examples;
pub mod indent;
pub(crate) mod queue;
pub mod repairing;
pub mod sources;
pub mod story;
pub mod tables;

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::Demo;
use crate::outputs::Outputs;
use crate::places::Places;
use crate::ports;
use crate::progress::Progress;
use crate::stack::{self, Options, Stack};

use self::story::Seen;

/// Runs the demonstration. The code is 0 only if everything that was sent was seen again.
///
/// # Errors
/// The stack does not start, or does not answer.
pub async fn run(places: &Places, arguments: &Demo, progress: Progress) -> Result<ExitCode> {
    let outcome = if arguments.running {
        let outputs = stack::running(places)?;
        tell(places, &outputs, arguments, progress).await
    } else {
        let port = match arguments.port {
            Some(port) => port,
            None => ports::free()?,
        };
        let options = Options {
            port,
            ..Options::default()
        };
        let stack = Stack::up(places, &options, progress).await?;
        let outcome = tell(places, &stack.outputs, arguments, progress).await;
        let step = progress.step("Stopping the stack");
        drop(stack);
        step.done("");
        outcome
    };
    let seen = outcome?;
    if arguments.json {
        tables::print_json(&seen)?;
    } else {
        tables::print_end(&seen, places, arguments.running);
    }
    Ok(if seen.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn tell(
    places: &Places,
    outputs: &Outputs,
    arguments: &Demo,
    progress: Progress,
) -> Result<Seen> {
    let fixtures = places.root.join("tests/fixtures");
    let examples = examples::read(&fixtures.join("orderspace"))?;
    let others = sources::read(&fixtures)?;
    let patience = arguments.patience();
    let seen = story::tell(outputs, &examples, &others, patience, progress).await?;
    if !arguments.json {
        tables::print(&seen);
    }
    Ok(seen)
}
