//! The configuration of subscriptions, read once at start.

use domain::ports::QueueUrl;
use runtime::config::{ConfigError, Variables};
use sources::orderspace::api::OrderspaceUrls;

use crate::Settings;

/// What subscriptions needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// The accounts table.
    pub accounts_table: String,
    /// The receipts table, for the time of the last delivery.
    pub receipts_table: String,
    /// What the names of the secrets with credentials begin with.
    pub oauth_prefix: String,
    /// What the names of the secrets with signing keys begin with.
    pub signing_prefix: String,
    /// Where Orderspace is.
    pub orderspace: OrderspaceUrls,
    /// Where accounts wait to be checked.
    pub check_queue: QueueUrl,
    /// What is neither a client nor a resource's name.
    pub settings: Settings,
    /// For how many days a deleted secret can be restored.
    pub recovery_days: u8,
}

/// The days that Secrets Manager takes for a recovery window.
const RECOVERY_DAYS: std::ops::RangeInclusive<u8> = 7..=30;

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// A variable that is missing or malformed, by its name.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let text = |name| variables.text(name).map(str::to_owned);
        let url = |name| text(name).map(|url| url.trim_end_matches('/').to_owned());
        let recovery_days = variables.parsed("SECRET_RECOVERY_DAYS")?;
        if !RECOVERY_DAYS.contains(&recovery_days) {
            return Err(ConfigError::Malformed {
                name: "SECRET_RECOVERY_DAYS",
                reason: "Secrets Manager takes 7 to 30 days".to_owned(),
            });
        }
        Ok(Self {
            accounts_table: text("ACCOUNTS_TABLE")?,
            receipts_table: text("RECEIPTS_TABLE")?,
            oauth_prefix: text("OAUTH_SECRET_PREFIX")?,
            signing_prefix: text("SIGNING_SECRET_PREFIX")?,
            orderspace: OrderspaceUrls {
                api: url("ORDERSPACE_API_URL")?,
                identity: url("ORDERSPACE_IDENTITY_URL")?,
            },
            check_queue: QueueUrl::new(text("CHECK_QUEUE_URL")?),
            settings: Settings {
                failures_alarm: variables.parsed("STRIKES_ALARM")?,
                rotation_hours: variables.parsed("ROTATION_HOURS")?,
                grace_hours: variables.parsed("TOKEN_GRACE_HOURS")?,
                stack: text("STACK_NAME")?,
                ..Settings::new(variables.parsed("HOOKS_URL")?)
            },
            recovery_days,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const GOOD: [(&str, &str); 13] = [
        ("ACCOUNTS_TABLE", "accounts"),
        ("RECEIPTS_TABLE", "receipts"),
        ("OAUTH_SECRET_PREFIX", "stack/oauth/"),
        ("SIGNING_SECRET_PREFIX", "stack/signing/"),
        ("HOOKS_URL", "https://example.com/hooks"),
        ("ORDERSPACE_API_URL", "https://api.example.com/"),
        ("ORDERSPACE_IDENTITY_URL", "https://identity.example.com"),
        ("SECRET_RECOVERY_DAYS", "7"),
        ("STRIKES_ALARM", "3"),
        ("ROTATION_HOURS", "24"),
        ("TOKEN_GRACE_HOURS", "72"),
        ("STACK_NAME", "orderhook"),
        ("CHECK_QUEUE_URL", "https://sqs.example.com/1/checks"),
    ];

    fn with(name: &str, value: &str) -> Variables {
        Variables::from(GOOD.map(|(known, good)| (known, if known == name { value } else { good })))
    }

    #[test]
    fn urls_end_without_a_slash() {
        let config = Config::read(&with("", "")).unwrap();
        assert_eq!(config.orderspace.api, "https://api.example.com");
    }

    #[rstest]
    fn every_variable_is_needed(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)] which: usize) {
        let (name, _) = GOOD[which];
        assert_eq!(
            Config::read(&with(name, "")).unwrap_err(),
            ConfigError::Missing(name)
        );
    }

    #[rstest]
    #[case("SECRET_RECOVERY_DAYS", "6")]
    #[case("SECRET_RECOVERY_DAYS", "31")]
    #[case("SECRET_RECOVERY_DAYS", "soon")]
    #[case("TOKEN_GRACE_HOURS", "-1")]
    #[case("HOOKS_URL", "example.com")]
    fn what_cannot_be_is_named(#[case] name: &'static str, #[case] value: &str) {
        let error = Config::read(&with(name, value)).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}
