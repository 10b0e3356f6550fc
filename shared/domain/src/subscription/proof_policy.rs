//! The words for what becomes of unproved requests, as they are stored and called.

use std::str::FromStr;

use thiserror::Error;

use crate::signature::Policy;

/// A word that names no [`Policy`].
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("it has to be one of: require, observe")]
pub struct PolicyError;

impl Policy {
    /// The word that is stored, and that the admin API has.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::Observe => "observe",
        }
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "require" => Ok(Self::Require),
            "observe" => Ok(Self::Observe),
            _ => Err(PolicyError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_by_its_word_and_by_no_other() {
        for policy in [Policy::Require, Policy::Observe] {
            assert_eq!(policy.as_str().parse(), Ok(policy));
        }
        for word in ["", "Require", "none"] {
            assert_eq!(word.parse::<Policy>(), Err(PolicyError));
        }
    }
}
