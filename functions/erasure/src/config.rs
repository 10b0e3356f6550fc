//! The configuration of erasure, read once at start.

use runtime::config::{ConfigError, Variables};

/// What erasure needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The accounts table, where erasures are kept too.
    pub accounts_table: String,
    /// The records table.
    pub records_table: String,
    /// The bucket for what is too large for a message or an item.
    pub oversize_bucket: String,
    /// The stack's name, by which its metrics are known.
    pub stack: String,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// A variable that is missing, by its name.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let text = |name| variables.text(name).map(str::to_owned);
        Ok(Self {
            accounts_table: text("ACCOUNTS_TABLE")?,
            records_table: text("RECORDS_TABLE")?,
            oversize_bucket: text("OVERSIZE_BUCKET")?,
            stack: variables.stack(),
        })
    }
}
