//! The consumer's configuration, read once at start.

use std::time::Duration;

use domain::envelope::InlineLimit;
use domain::ports::QueueUrl;
use domain::route::Routes;
use runtime::config::{ConfigError, Variables};
use runtime::lane_queues::LaneQueues;

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
}
