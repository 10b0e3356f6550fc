//! Inbound's configuration, read once at start.

use std::time::Duration;

use domain::envelope::InlineLimit;
use domain::ports::QueueUrl;
use runtime::config::{ConfigError, Variables};
use runtime::lane_queues::LaneQueues;

use crate::keyring;

/// What inbound needs to know besides its clients.
#[derive(Debug, Clone)]
pub struct Config {
    /// The lanes' queues.
    pub lanes: LaneQueues,
    /// The queue for what was not understood.
    pub quarantine: QueueUrl,
    /// The queue of account checks; without it, none are asked for.
    pub checks: Option<QueueUrl>,
    /// Whether each message of a lane names its account as its group, for fair queues.
    pub fair_queues: bool,
    /// The largest message.
    pub inline_limit: InlineLimit,
    /// How long an answer may take: a source that waits too long counts a failure.
    pub answer_budget: Duration,
    /// How long a retry marker has a meaning, in seconds.
    pub marker_ttl_seconds: u64,
    /// How long one attempt holds a marker, in seconds: longer than the function can run.
    pub lease: u64,
    /// How tokens and keys are cached.
    pub keyring: keyring::Limits,
    /// The stack's name, by which its metrics are known.
    pub stack: String,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// A variable that is missing or malformed, by its name.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        Ok(Self {
            lanes: LaneQueues::read(variables)?,
            quarantine: QueueUrl::new(variables.text("QUARANTINE_QUEUE_URL")?),
            // The release before did not set it, and code is replaced before its variables.
            checks: variables.text("CHECK_QUEUE_URL").ok().map(QueueUrl::new),
            // Nor this one.
            fair_queues: variables.parsed_or("FAIR_QUEUES", true)?,
            inline_limit: InlineLimit::new(variables.parsed("INLINE_LIMIT_BYTES")?),
            answer_budget: Duration::from_millis(variables.parsed("ANSWER_BUDGET_MS")?),
            marker_ttl_seconds: variables.parsed("RETRY_MARKER_TTL_SECONDS")?,
            lease: variables.parsed("RETRY_LEASE_SECONDS")?,
            keyring: keyring::Limits {
                keep: Duration::from_secs(variables.parsed("KEYS_TTL_SECONDS")?),
                reread: Duration::from_secs(variables.parsed("KEYS_REREAD_SECONDS")?),
            },
            stack: variables.stack(),
        })
    }
}
