//! Routes: which team's queue gets which events.

use serde::Deserialize;
use thiserror::Error;

use crate::account::AccountName;
use crate::event::EventType;
use crate::ports::QueueUrl;

/// One team's interest: a queue and what goes to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The team's name, for logs and the undelivered queue.
    pub team: String,
    /// The URL of the team's queue; one that ends in `.fifo` gets group and deduplication ids.
    pub queue: QueueUrl,
    /// Event types: `order.created`, `order.*`, or `*` for all.
    pub types: Vec<Pattern>,
    /// Account names, or `*` for all.
    pub accounts: Vec<Pattern>,
}

impl Route {
    /// Whether the team wants events of this type from this account.
    #[must_use]
    pub fn takes(&self, event_type: &EventType, account: &AccountName) -> bool {
        let fits =
            |patterns: &[Pattern], name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        fits(&self.types, event_type.as_str()) && fits(&self.accounts, account.as_str())
    }
}

/// A name, or a beginning of names that ends in `*`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Whether the pattern fits the name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.0,
        }
    }
}

/// A text that holds no routes.
#[derive(Debug, Error)]
#[error("the routes are no JSON list of {{\"team\",\"queue\",\"types\",\"accounts\"}}")]
pub struct RoutesError(#[from] serde_json::Error);

/// Every team's routes, as configured.
#[derive(Debug, Clone, Default)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// Reads the routes from their JSON.
    ///
    /// # Errors
    /// Text that is no list of routes, or a route with a field that no route has.
    pub fn parse(json: &str) -> Result<Self, RoutesError> {
        Ok(Self(serde_json::from_str(json)?))
    }

    /// All of them, in the order of the configuration.
    #[must_use]
    pub fn all(&self) -> &[Route] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("*", "order.created", true)]
    #[case("order.*", "order.created", true)]
    #[case("order.*", "orders.created", false)]
    #[case("order.created", "order.created", true)]
    #[case("order.created", "order.created2", false)]
    #[case("", "order.created", false)]
    // requirement: envelope-routes
    fn patterns(#[case] pattern: &str, #[case] name: &str, #[case] fits: bool) {
        assert_eq!(Pattern(pattern.to_owned()).matches(name), fits);
    }

    #[test]
    // requirement: envelope-routes
    fn a_route_needs_type_and_account() {
        let routes = Routes::parse(
            r#"[{"team":"a","queue":"q/a","types":["order.*"],"accounts":["acme"]},
                {"team":"b","queue":"q/b","types":["*"],"accounts":["*"]}]"#,
        )
        .unwrap();
        let teams = |event_type: &str, account: &str| {
            let (event_type, account) = (event_type.parse().unwrap(), account.parse().unwrap());
            let wanted = routes
                .all()
                .iter()
                .filter(|route| route.takes(&event_type, &account));
            wanted.map(|route| route.team.clone()).collect::<Vec<_>>()
        };
        assert_eq!(teams("order.created", "acme"), ["a", "b"]);
        assert_eq!(teams("order.created", "other"), ["b"]);
        assert_eq!(teams("product.created", "acme"), ["b"]);
    }

    #[test]
    // requirement: envelope-routes
    fn a_misspelt_field_is_an_error_not_a_team_without_events() {
        let refused = Routes::parse(r#"[{"team":"a","queue":"q","type":["*"],"accounts":["*"]}]"#);
        assert!(refused.is_err());
    }
}
