//! The program starts with the variables of every release that its own may meet, and obeys them.

use testkit::start::Program;

const PROGRAM: Program = Program {
    function: "erasure",
    path: env!("CARGO_BIN_EXE_erasure"),
    // Without its variable the stack has a name.
    with_default: &["STACK_NAME"],
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

#[test]
fn what_a_variable_cannot_be_ends_the_start_with_its_name() {
    PROGRAM.assert_refuses("LOG_LEVEL", "loud");
}
