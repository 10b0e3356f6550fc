//! The program starts with the variables of every release that its own may meet, and obeys them.

use rstest::rstest;
use testkit::start::Program;

const PROGRAM: Program = Program {
    function: "consumer",
    path: env!("CARGO_BIN_EXE_consumer"),
    // 0.1.0 did not set them: metrics have the stack's default name then, and nothing is packed with a dictionary.
    with_default: &["COMPRESSION_DICTIONARY", "STACK_NAME"],
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
#[case("COMPRESSION_DICTIONARY", "2")]
#[case("FIRST_RETRY_SECONDS", "-2")]
#[case("INLINE_LIMIT_BYTES", "many")]
#[case("LOG_LEVEL", "loud")]
#[case("RECORD_FORMAT", "xml")]
#[case("ROUTES", "{}")]
fn what_a_variable_cannot_be_ends_the_start_with_its_name(#[case] name: &str, #[case] value: &str) {
    PROGRAM.assert_refuses(name, value);
}
