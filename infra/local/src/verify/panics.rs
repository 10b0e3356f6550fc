//! That no function panicked in any run. A panic that is caught costs one message and not the batch, so no other check
//! fails by it: only the log says so.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::report::Outcome;
use crate::places::Places;

/// What Rust prints when a thread panics, whoever catches it.
const PANICKED: &str = "panicked at";

/// With what the runtime's library panics when the emulator ends an environment that is still starting: the question for the
/// first event is answered with 500 then, and on that the program has to end. Nothing of the project ran.
const ENDED: &str = "missing lambda-runtime-aws-request-id header";

/// What the emulator prints when an invocation failed as a whole: its messages wait for their visibility timeout.
const FAILED: &str = "failed processing SQS batch";

/// How many lines of a log are shown from a panic on.
const SHOWN: usize = 4;

/// Looks through the logs of the runs: of the tests, and of the events with faults.
///
/// # Errors
/// A function panicked, a log cannot be read, or there is none.
pub(super) fn none(places: &Places) -> Result<Outcome> {
    let runs = ["", "faults"];
    let logs = runs.map(|run| places.state.join(run).join("log/emulator.log"));
    let (mut read, mut failed) = (0, 0);
    for log in logs.iter().filter(|log| log.exists()) {
        let bytes =
            std::fs::read(log).with_context(|| format!("{} cannot be read", log.display()))?;
        failed += scan(log, &String::from_utf8_lossy(&bytes))?;
        read += 1;
    }
    ensure!(read > 0, "there is no log of a run");
    Ok(Outcome::Passed(format!(
        "{read} logs without a panic; {failed} invocations failed, killed ones among them"
    )))
}

/// How many invocations failed, by a log.
///
/// # Errors
/// A function panicked.
fn scan(log: &Path, text: &str) -> Result<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let is_panic = |(line, text): (usize, &&str)| {
        let message = lines.get(line + 1).copied();
        text.contains(PANICKED) && message != Some(ENDED)
    };
    if let Some(line) = lines.iter().enumerate().position(is_panic) {
        let shown: Vec<&str> = lines.iter().skip(line).take(SHOWN).copied().collect();
        anyhow::bail!("{}:{}: {}", log.display(), line + 1, shown.join("\n"));
    }
    Ok(lines.iter().filter(|line| line.contains(FAILED)).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_shown_and_failed_invocations_are_counted() {
        let log = Path::new("emulator.log");
        let quiet = "started\nESM: Lambda consumer failed processing SQS batch from orders\n";
        assert_eq!(scan(log, quiet).unwrap(), 1);
        let loud = "started\nthread 'main' (7) panicked at src/lib.rs:3:5:\nindex out of bounds\n";
        let error = scan(log, loud).unwrap_err().to_string();
        assert!(error.starts_with("emulator.log:2: thread"), "{error}");
        assert!(error.ends_with("index out of bounds"), "{error}");
    }

    #[test]
    fn an_environment_that_is_ended_while_it_starts_is_no_panic_of_a_function() {
        let log = Path::new("emulator.log");
        let ended = format!("thread 'main' (9) panicked at types.rs:176:10:\n{ENDED}\n");
        assert_eq!(scan(log, &ended).unwrap(), 0);
        let then = format!("{ended}thread 'main' (7) panicked at src/lib.rs:3:5:\noops\n");
        let error = scan(log, &then).unwrap_err().to_string();
        assert!(error.starts_with("emulator.log:3: thread"), "{error}");
    }
}
