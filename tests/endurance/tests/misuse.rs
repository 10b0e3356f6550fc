//! The command misused, or left alone by its stack: it says so, ends with 2, and leaves no process behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;

/// How long anything may take that builds and starts nothing.
const PATIENCE: Duration = Duration::from_secs(60);

fn endurance(state: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_endurance"))
        .arg("--state")
        .arg(state)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Its end, which must come by itself.
fn end(mut child: Child) -> (Option<i32>, String) {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it did not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[rstest]
#[case::a_seed_that_is_none(&["faults", "--seed", "0x1g"], "--seed")]
#[case::no_events(&["faults", "--events", "0"], "--events")]
#[case::fewer_accounts_than_sources(&["faults", "--accounts", "4"], "--accounts")]
#[case::no_command(&[], "Usage")]
#[case::no_stack(&["--running", "faults"], "No stack is up")]
#[case::both_kinds_of_stack(&["--running", "--port", "4566", "faults"], "--port")]
// requirement: check-misuse
fn what_cannot_be_run_ends_with_two_and_says_why(#[case] arguments: &[&str], #[case] says: &str) {
    let state = tempfile::tempdir().unwrap();
    let (code, text) = end(endurance(state.path(), arguments));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains(says), "{text}");
    assert!(!state.path().join("log/emulator.log").exists());
}

#[test]
// requirement: check-misuse
fn a_port_that_is_taken_is_said_before_anything_is_built() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let state = tempfile::tempdir().unwrap();
    let (code, text) = end(endurance(state.path(), &["--port", &port, "faults"]));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains(&port) && text.contains("in use"), "{text}");
    assert!(!text.contains("Building"), "{text}");
    assert!(!state.path().join("log/emulator.log").exists());
}

#[rstest]
#[case::in_its_own_directory(&["--running", "faults"])]
#[case::with_figures_for_programs(&["--running", "--json", "faults"])]
// requirement: check-misuse
fn an_emulator_that_ends_during_the_run_is_said(#[case] arguments: &[&str]) {
    // A stack that takes connections and never answers.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut emulator = Command::new("sleep").arg("600").spawn().unwrap();
    let state = tempfile::tempdir().unwrap();
    let outputs = json!({
        "EndpointUrl": url, "Region": "eu-west-1", "AccessKeyId": "test", "SecretAccessKey": "test",
        "SimulatorUrl": url, "ProxyUrl": url, "StackName": "orderhook", "OrdersQueueUrl": format!("{url}/0/Orders"),
        "AdminUrl": format!("{url}/v1"), "EmulatorPid": emulator.id(),
    });
    std::fs::write(state.path().join("outputs.json"), outputs.to_string()).unwrap();
    let lock = File::create(state.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let child = endurance(state.path(), arguments);
    // It has begun once it calls.
    silent.set_nonblocking(true).unwrap();
    let begun = Instant::now();
    let call = loop {
        match silent.accept() {
            Ok(call) => break Some(call),
            Err(_) if begun.elapsed() > PATIENCE => break None,
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    emulator.kill().unwrap();
    emulator.wait().unwrap();
    assert!(call.is_some(), "it never called");
    // Nobody is left to answer.
    drop((silent, call));
    let (code, text) = end(child);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("the emulator"), "{text}");
}
