//! The consumer's configuration, read once at start.

use std::time::Duration;

use domain::envelope::InlineLimit;
use domain::ports::QueueUrl;
use domain::route::Routes;
use runtime::config::{ConfigError, Variables};
use runtime::lane_queues::LaneQueues;
use sources::routes::{Harm, Problem, problems};
use tracing::{error, warn};

/// What the consumer needs to know besides its clients.
#[derive(Debug, Clone)]
pub struct Config {
    /// The queues that batches are from.
    pub lanes: LaneQueues,
    /// Which team's queue gets what.
    pub routes: Routes,
    /// What unified events may be as large as to travel in a message.
    pub inline_limit: InlineLimit,
    /// The queue for what a team's queue refused.
    pub undelivered: QueueUrl,
    /// How long a message that failed for the first time waits.
    pub first_retry: Duration,
    /// How long a team's queue is tried before its events go to the undelivered queue.
    pub patience: Duration,
    /// The stack's name, by which its metrics are known.
    pub stack: String,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// A variable that is missing or malformed, by its name.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let malformed = |error: domain::route::RoutesError| ConfigError::Malformed {
            name: "ROUTES",
            reason: error.to_string(),
        };
        Ok(Self {
            lanes: LaneQueues::read(variables)?,
            routes: Routes::parse(variables.text("ROUTES")?).map_err(malformed)?,
            inline_limit: InlineLimit::new(variables.parsed("INLINE_LIMIT_BYTES")?),
            undelivered: QueueUrl::new(variables.text("UNDELIVERED_QUEUE_URL")?),
            first_retry: Duration::from_secs(variables.parsed("FIRST_RETRY_SECONDS")?),
            patience: Duration::from_secs(2),
            stack: variables.stack(),
        })
    }

    /// Reports what is wrong with a team's route. The function starts all the same: what is good is served, what a team's
    /// place refuses waits in the undelivered queue, and a text that is no list of routes has stopped [`read`](Self::read).
    pub fn report_problems(&self, region: &str) {
        for Problem { team, text, harm } in problems(&self.routes, region) {
            match harm {
                Harm::Refused => error!(team, problem = text, "a team's events will be refused"),
                Harm::Unknown => warn!(team, problem = text, "a route takes nothing by this"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::log::Log;
    use tracing::level_filters::LevelFilter;

    fn config(routes: &str) -> Result<Config, ConfigError> {
        let queue = "https://sqs.eu-west-1.amazonaws.com/1/lane";
        Config::read(&Variables::from([
            ("CUSTOMERS_QUEUE_URL", queue),
            ("ORDERS_QUEUE_URL", queue),
            ("BILLING_QUEUE_URL", queue),
            ("PRODUCTS_QUEUE_URL", queue),
            ("INVENTORY_QUEUE_URL", queue),
            ("OTHER_QUEUE_URL", queue),
            ("UNDELIVERED_QUEUE_URL", queue),
            ("INLINE_LIMIT_BYTES", "250000"),
            ("FIRST_RETRY_SECONDS", "2"),
            ("ROUTES", routes),
        ]))
    }

    const GOOD: &str = r#"{"team":"good","queue":"https://sqs.eu-west-1.amazonaws.com/1/a","types":["*"],"accounts":["*"]}"#;

    #[test]
    fn a_bad_route_is_reported_and_the_others_are_served() {
        let far = r#"{"team":"far","queue":"https://sqs.us-east-1.amazonaws.com/1/a","types":["*"],"accounts":["*"]}"#;
        let typo = r#"{"team":"typo","queue":"https://sqs.eu-west-1.amazonaws.com/1/b","types":["ordr.*"],"accounts":["*"]}"#;
        let config = config(&format!("[{GOOD},{far},{typo}]")).unwrap();
        assert_eq!(config.routes.all().len(), 3);
        let log = Log::default();
        let guard = log.capture(LevelFilter::WARN);
        config.report_problems("eu-west-1");
        drop(guard);
        let teams = |level| {
            let lines = log.lines(level).into_iter();
            lines.map(|line| line["team"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(teams("ERROR"), ["far"]);
        assert_eq!(teams("WARN"), ["typo"]);
    }

    #[test]
    fn what_is_no_list_of_routes_stops_the_start() {
        let unknown_source = GOOD.replace('}', r#","sources":["orderspcae"]}"#);
        for routes in ["{}", &format!("[{unknown_source}]"), "[{"] {
            let error = config(routes).unwrap_err();
            assert!(error.to_string().contains("ROUTES"), "{error}");
        }
    }
}
