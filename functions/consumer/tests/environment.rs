//! The program starts with the variables of every release that its own may meet, and obeys them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeMap;

use rstest::rstest;
use testkit::releases::{self, Release};
use testkit::start::start;

const FUNCTION: &str = "consumer";
const PROGRAM: &str = env!("CARGO_BIN_EXE_consumer");

/// 0.1.0 did not set it: metrics have the stack's default name then.
const WITH_DEFAULT: [&str; 1] = ["STACK_NAME"];

fn current() -> BTreeMap<String, String> {
    let release = releases::all().into_iter().find(Release::is_current);
    release.unwrap().environment(FUNCTION).unwrap()
}

/// Lambda replaces code and variables one after the other, so the programs of a release start with the variables of the
/// release before it.
#[test]
fn it_starts_with_the_variables_of_every_release() {
    let mut started = 0;
    for release in releases::all() {
        let Some(variables) = release.environment(FUNCTION) else {
            continue;
        };
        if let Err(printed) = start(PROGRAM, &variables) {
            panic!("with the variables of {}: {printed}", release.version);
        }
        started += 1;
    }
    assert!(started > 0);
}

/// Going back, it starts with the variables of the release to come, of which it knows some.
#[test]
fn it_starts_with_variables_that_it_does_not_know() {
    let mut variables = current();
    variables.insert("OF_A_RELEASE_TO_COME".to_owned(), "x".to_owned());
    start(PROGRAM, &variables).unwrap();
}

#[test]
fn without_a_variable_it_has_a_default_or_names_it_and_ends() {
    for name in current().keys() {
        for given in [None, Some("")] {
            let mut variables = current();
            variables.remove(name);
            variables.extend(given.map(|value| (name.clone(), value.to_owned())));
            let started = start(PROGRAM, &variables);
            if WITH_DEFAULT.contains(&name.as_str()) {
                assert_eq!(started, Ok(()), "without {name}");
            } else {
                let printed = started.unwrap_err();
                assert!(printed.contains(name.as_str()), "{name}: {printed}");
            }
        }
    }
}

#[rstest]
#[case("FIRST_RETRY_SECONDS", "-2")]
#[case("INLINE_LIMIT_BYTES", "many")]
#[case("LOG_LEVEL", "loud")]
#[case("RECORD_FORMAT", "xml")]
#[case("ROUTES", "{}")]
fn what_a_variable_cannot_be_ends_the_start_with_its_name(#[case] name: &str, #[case] value: &str) {
    let mut variables = current();
    let replaced = variables.insert(name.to_owned(), value.to_owned());
    assert!(replaced.is_some(), "{name} is not one of its variables");
    let printed = start(PROGRAM, &variables).unwrap_err();
    assert!(printed.contains(name), "{printed}");
}
