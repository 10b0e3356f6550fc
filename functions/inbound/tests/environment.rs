//! The program starts with the variables of every release that its own may meet, and obeys them.

use rstest::rstest;
use testkit::start::Program;

const PROGRAM: Program = Program {
    function: "inbound",
    path: env!("CARGO_BIN_EXE_inbound"),
    // 0.1.0 did not set them. Without the queue, wrong signatures ask for no check; without the stack's name, metrics have the
    // default one; without the dictionary's, nothing is packed with one; queues are fair unless it is said that they are not.
    with_default: &[
        "CHECK_QUEUE_URL",
        "COMPRESSION_DICTIONARY",
        "FAIR_QUEUES",
        "STACK_NAME",
    ],
};

#[test]
fn it_starts_with_the_variables_of_every_release() {
    PROGRAM.assert_starts_with_every_release();
}

#[test]
fn it_starts_with_variables_that_it_does_not_know() {
    PROGRAM.assert_starts_with_an_unknown_variable();
}

#[test]
fn without_a_variable_it_has_a_default_or_names_it_and_ends() {
    PROGRAM.assert_defaults_or_names_what_is_missing();
}

#[rstest]
#[case("ANSWER_BUDGET_MS", "soon")]
#[case("COMPRESSION_DICTIONARY", "first")]
#[case("FAIR_QUEUES", "no")]
#[case("INLINE_LIMIT_BYTES", "-1")]
#[case("KEYS_REREAD_SECONDS", "1.5")]
#[case("KEYS_TTL_SECONDS", "x")]
#[case("LOG_LEVEL", "loud")]
#[case("RECEIPT_TTL_DAYS", "a month")]
#[case("RETRY_LEASE_SECONDS", "-15")]
#[case("RETRY_MARKER_TTL_SECONDS", "99999999999999999999")]
fn what_a_variable_cannot_be_ends_the_start_with_its_name(#[case] name: &str, #[case] value: &str) {
    PROGRAM.assert_refuses(name, value);
}
