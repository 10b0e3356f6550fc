//! A small number of schedules, with every normal run of the tests. The large number is
//! `cargo run --bin model -- --schedules 100000`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what cannot be read ends the test"
)]

use std::process::{Command, Output, Stdio};

fn model(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_model"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
// requirement: lost-schedules
fn two_thousand_schedules_hold() {
    let output = model(&["--schedules", "2000"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("every invariant holds"), "{said}");
    assert!(
        said.contains("40 run twice"),
        "a seed tells one story: {said}"
    );
}

/// A seed whose first request is one of Orderspace's.
const SEED: &str = "5";

#[test]
fn a_seed_tells_its_story() {
    let output = model(&["--seed", SEED]);
    let story = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{story}");
    assert!(story.contains("attempt 0 of Orderspace"), "{story}");
    assert!(story.contains("is taken out of its lane"), "{story}");
    let again = model(&["--seed", SEED]);
    assert_eq!(output.stderr, again.stderr);
}

#[test]
// requirement: check-misuse
fn options_that_make_no_sense_are_refused() {
    for wrong in [
        &["--schedules", "many"][..],
        &["--schedules", "0"],
        &["--seed", "1", "--from", "2"],
        &["--fast"],
    ] {
        let output = model(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}");
    }
}

#[test]
fn a_share_ends_with_the_command_that_started_it() {
    let mut share = Command::new(env!("CARGO_BIN_EXE_model"))
        .args(["share", "--first", "1", "--stride", "1"])
        .args(["--count", "10000000", "--failures", "5"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // Waiting closes our end of the pipe, as the command's death does.
    assert_eq!(share.wait().unwrap().code(), Some(1));
}
