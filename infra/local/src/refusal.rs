//! What keeps a command from starting: a missing prerequisite, a port in use, a stack that is already up.
//!
//! A refusal is told in one paragraph and ends the program with 2, so that a script can tell "did not try" from "failed".

use thiserror::Error;

/// The reason for which a command did not start, with what to do about it.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Refusal(String);

impl Refusal {
    /// An error that ends the program with 2.
    pub fn error(paragraph: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self(paragraph.into()))
    }
}

/// The exit code where nothing was tried, or what it was to be tried on went away.
pub const NOT_TRIED: u8 = 2;

/// The exit code for an error: 2 when nothing was tried, 1 when something failed.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<Refusal>().is_some() {
        NOT_TRIED
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_refusal_ends_with_two_even_below_a_context() {
        let error = Err::<(), _>(Refusal::error("the port is in use"))
            .context("starting")
            .unwrap_err();
        assert_eq!(exit_code(&error), 2);
        assert_eq!(exit_code(&anyhow::anyhow!("it broke")), 1);
    }
}
