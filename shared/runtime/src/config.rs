//! Configuration: environment variables, read once at start. One that is missing or malformed stops the start
//! with its name; its value is not repeated, since a mistake may have put a secret there.

use std::collections::HashMap;
use std::str::FromStr;

use thiserror::Error;

/// The stack's name where no variable names it: the functions of the release before had none, and code is replaced before
/// its variables.
const STACK: &str = "orderhook";

/// The variables of the process.
#[derive(Clone, Default)]
pub struct Variables(HashMap<String, String>);

/// A variable that does not serve.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ConfigError {
    /// It is not set, or empty.
    #[error(
        "the environment variable {0} is not set: the template sets it for every function that needs it"
    )]
    Missing(&'static str),
    /// It is set to what it cannot be.
    #[error("the environment variable {name} is malformed: {reason}")]
    Malformed {
        /// Its name.
        name: &'static str,
        /// What is wrong with the value.
        reason: String,
    },
}

impl Variables {
    /// The variables of this process; those that are no Unicode are as good as not set.
    #[must_use]
    pub fn from_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        )
    }

    /// A variable's text.
    ///
    /// # Errors
    /// It is not set, or empty.
    pub fn text(&self, name: &'static str) -> Result<&str, ConfigError> {
        let value = self
            .0
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty());
        value.ok_or(ConfigError::Missing(name))
    }

    /// A variable as what its text says.
    ///
    /// # Errors
    /// It is not set, or does not parse.
    pub fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &'static str,
    ) -> Result<T, ConfigError> {
        let parsed = self.text(name)?.parse::<T>();
        parsed.map_err(|error| ConfigError::Malformed {
            name,
            reason: error.to_string(),
        })
    }

    /// A variable as what its text says, or the default where it is not set or empty: that of a variable that the release
    /// before did not have, since code is replaced before its variables.
    ///
    /// # Errors
    /// It does not parse.
    pub fn parsed_or<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &'static str,
        default: T,
    ) -> Result<T, ConfigError> {
        match self.parsed(name) {
            Err(ConfigError::Missing(_)) => Ok(default),
            parsed => parsed,
        }
    }

    /// The name of the stack, by which alarms know its metrics: another one may stand beside it.
    #[must_use]
    pub fn stack(&self) -> String {
        self.text("STACK_NAME").unwrap_or(STACK).to_owned()
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Variables {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_with_a_default_may_be_missing_and_not_malformed() {
        let variables = Variables::from([("EMPTY", " "), ("NUMBER", "seven"), ("GOOD", "7")]);
        for (name, expected) in [("ABSENT", 0), ("EMPTY", 0), ("GOOD", 7_u32)] {
            assert_eq!(variables.parsed_or(name, 0), Ok(expected), "{name}");
        }
        let error = variables.parsed_or("NUMBER", 0_u32).unwrap_err();
        assert!(error.to_string().contains("NUMBER"), "{error}");
    }

    #[test]
    fn a_stack_has_a_name_also_without_the_variable() {
        let named = Variables::from([("STACK_NAME", "shop")]);
        assert_eq!(named.stack(), "shop");
        assert_eq!(Variables::default().stack(), "orderhook");
    }

    #[test]
    fn a_variable_that_does_not_serve_is_named() {
        let variables = Variables::from([("EMPTY", " "), ("NUMBER", "seven"), ("GOOD", "7")]);
        assert_eq!(
            variables.text("ABSENT"),
            Err(ConfigError::Missing("ABSENT"))
        );
        assert_eq!(variables.text("EMPTY"), Err(ConfigError::Missing("EMPTY")));
        assert_eq!(variables.parsed("GOOD"), Ok(7_u32));
        let error = variables.parsed::<u32>("NUMBER").unwrap_err().to_string();
        assert!(
            error.contains("NUMBER") && !error.contains("seven"),
            "{error}"
        );
    }
}
