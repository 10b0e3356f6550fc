//! The program starts with the variables of every release that its own may meet, and obeys them.

use rstest::rstest;
use testkit::start::Program;

const PROGRAM: Program = Program {
    function: "subscriptions",
    path: env!("CARGO_BIN_EXE_subscriptions"),
    // Empty where each source is at its own addresses, and without them no team gets account events: 0.1.0 set neither. The
    // stack has a name without its variable. A template that does not say for how long things are kept has the usual days.
    with_default: &[
        "SOURCE_URLS",
        "ROUTES",
        "STACK_NAME",
        "RECEIPT_TTL_DAYS",
        "OVERSIZE_EXPIRY_DAYS",
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
#[case("HOOKS_URL", "hooks")]
#[case("LOG_LEVEL", "loud")]
#[case("OVERSIZE_EXPIRY_DAYS", "x")]
#[case("RECEIPT_TTL_DAYS", "x")]
#[case("ROTATION_HOURS", "x")]
#[case("ROUTES", "{}")]
#[case("SECRET_RECOVERY_DAYS", "6")]
#[case("SOURCE_URLS", "shop=https://a.example")]
#[case("STRIKES_ALARM", "-3")]
#[case("TOKEN_GRACE_HOURS", "x")]
fn what_a_variable_cannot_be_ends_the_start_with_its_name(#[case] name: &str, #[case] value: &str) {
    PROGRAM.assert_refuses(name, value);
}
