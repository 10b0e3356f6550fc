//! The configuration of subscriptions, read once at start.

use domain::erasure::Retention;
use domain::ports::QueueUrl;
use domain::route::{Routes, RoutesError};
use runtime::config::{ConfigError, Variables};
use sources::SourceUrls;

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
    /// Where the sources' APIs are.
    pub source_urls: SourceUrls,
    /// Where accounts wait to be checked.
    pub check_queue: QueueUrl,
    /// Which team's queue gets which account events.
    pub routes: Routes,
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
        let malformed = |error: RoutesError| ConfigError::Malformed {
            name: "ROUTES",
            reason: error.to_string(),
        };
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
            // Empty on AWS: each source is at its own addresses.
            source_urls: variables.parsed_or("SOURCE_URLS", SourceUrls::default())?,
            check_queue: QueueUrl::new(text("CHECK_QUEUE_URL")?),
            // A template of the release before has none: then no team is sent account events.
            routes: match variables.text("ROUTES") {
                Err(ConfigError::Missing(_)) => Routes::default(),
                text => Routes::parse(text?).map_err(malformed)?,
            },
            settings: Settings {
                failures_alarm: variables.parsed("STRIKES_ALARM")?,
                rotation_hours: variables.parsed("ROTATION_HOURS")?,
                grace_hours: variables.parsed("TOKEN_GRACE_HOURS")?,
                stack: variables.stack(),
                retention: retention(variables)?,
                ..Settings::new(variables.parsed("HOOKS_URL")?)
            },
            recovery_days,
        })
    }
}

/// For how long things are kept that no erasure deletes. A template of the release before does not say it.
fn retention(variables: &Variables) -> Result<Retention, ConfigError> {
    let usual = crate::RETENTION;
    Ok(Retention {
        receipt_days: variables.parsed_or("RECEIPT_TTL_DAYS", usual.receipt_days)?,
        event_days: variables.parsed_or("OVERSIZE_EXPIRY_DAYS", usual.event_days)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const GOOD: [(&str, &str); 15] = [
        ("ACCOUNTS_TABLE", "accounts"),
        ("RECEIPTS_TABLE", "receipts"),
        ("OAUTH_SECRET_PREFIX", "stack/oauth/"),
        ("SIGNING_SECRET_PREFIX", "stack/signing/"),
        ("HOOKS_URL", "https://example.com/hooks"),
        ("SECRET_RECOVERY_DAYS", "7"),
        ("STRIKES_ALARM", "3"),
        ("ROTATION_HOURS", "24"),
        ("TOKEN_GRACE_HOURS", "72"),
        ("STACK_NAME", "orderhook"),
        ("CHECK_QUEUE_URL", "https://sqs.example.com/1/checks"),
        ("SOURCE_URLS", "orderspace=https://api.example.com/"),
        (
            "ROUTES",
            r#"[{"team":"a","queue":"q","types":["orderhook.account.*"],"accounts":["*"]}]"#,
        ),
        ("RECEIPT_TTL_DAYS", "60"),
        ("OVERSIZE_EXPIRY_DAYS", "0"),
    ];

    fn with(name: &str, value: &str) -> Variables {
        Variables::from(GOOD.map(|(known, good)| (known, if known == name { value } else { good })))
    }

    #[test]
    fn sources_are_where_the_list_says_or_else_at_their_own_addresses() {
        let config = Config::read(&with("", "")).unwrap();
        assert_eq!(config.source_urls.orderspace.api, "https://api.example.com");
        let config = Config::read(&with("SOURCE_URLS", "")).unwrap();
        assert_eq!(config.source_urls, SourceUrls::default());
    }

    #[test]
    fn the_release_before_names_no_routes() {
        assert_eq!(Config::read(&with("", "")).unwrap().routes.all().len(), 1);
        let config = Config::read(&with("ROUTES", "")).unwrap();
        assert!(config.routes.all().is_empty());
    }

    #[test]
    fn the_release_before_does_not_say_for_how_long_things_are_kept() {
        let read = |name| Config::read(&with(name, "")).unwrap().settings.retention;
        let days = |retention: Retention| (retention.receipt_days, retention.event_days);
        assert_eq!(days(read("")), (60, 0));
        assert_eq!(days(read("RECEIPT_TTL_DAYS")), (30, 0));
        assert_eq!(days(read("OVERSIZE_EXPIRY_DAYS")), (60, 30));
    }

    #[rstest]
    fn every_other_variable_is_needed(#[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 10)] which: usize) {
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
    #[case("RECEIPT_TTL_DAYS", "-1")]
    #[case("OVERSIZE_EXPIRY_DAYS", "never")]
    #[case("ROUTES", "{}")]
    #[case("HOOKS_URL", "example.com")]
    #[case("SOURCE_URLS", "shop=https://api.example.com")]
    #[case("SOURCE_URLS", "orderspace=example.com")]
    fn what_cannot_be_is_named(#[case] name: &'static str, #[case] value: &str) {
        let error = Config::read(&with(name, value)).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}
