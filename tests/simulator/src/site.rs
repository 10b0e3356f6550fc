//! One customer site of the source: its credentials, tokens, webhooks, throttle, faults, and what was asked of it.
//!
//! Everything here is told the time, so that a site's clock can be moved by a test.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::faults::Fault;
use crate::health::{Health, Standing};
use crate::journal::{Journal, Report};
use crate::key::SigningKey;
use crate::random;
use crate::rate_limit::RateLimiter;
use crate::source;

/// Requests remembered per site; older ones are forgotten, so that a long-running simulator does not grow.
const LOG_LIMIT: usize = 10_000;

/// A request that a site received. It has neither headers nor bodies, so it holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedRequest {
    /// The method.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// The status of the answer; absent where a fault kept the answer back.
    pub status: Option<u16>,
}

/// A webhook at the provider. No `Debug`: an endpoint holds the receiver's URL token.
#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) endpoint: String,
    pub(crate) events: Vec<String>,
    /// Newest first; none where nothing is signed.
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) health: Arc<Health>,
    /// Held while a source that keeps the order sends.
    pub(crate) queue: Arc<tokio::sync::Mutex<()>>,
    /// What only the source knows of it.
    pub(crate) details: Map<String, Value>,
}

impl Webhook {
    pub(crate) fn generate(endpoint: String, events: Vec<String>, key: SigningKey) -> Self {
        Self {
            id: format!("wh_{}", random::alphanumeric(8)),
            endpoint,
            events,
            keys: vec![key],
            health: Arc::default(),
            queue: Arc::default(),
            details: Map::new(),
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        self.health.standing()
    }

    /// Signs with `key` from now on; so many keys stay live.
    pub(crate) fn take_key(&mut self, key: SigningKey, generations: usize) {
        self.keys.insert(0, key);
        self.keys.truncate(generations);
    }

    /// A text among the details.
    pub(crate) fn detail(&self, name: &str) -> Option<&str> {
        self.details.get(name).and_then(Value::as_str)
    }

    pub(crate) fn set_detail(&mut self, name: &str, value: impl Into<Value>) {
        self.details.insert(name.to_owned(), value.into());
    }

    pub(crate) fn subscribes_to(&self, name: &str) -> bool {
        self.events.iter().any(|event| event == name)
    }
}

/// Sources take `https` only. A loopback `http` URL is taken besides, because a local stack has no certificate.
pub(crate) fn is_acceptable_endpoint(endpoint: &str) -> bool {
    reqwest::Url::parse(endpoint).is_ok_and(|url| match url.scheme() {
        "https" => true,
        "http" => matches!(url.host_str(), Some("127.0.0.1" | "localhost")),
        _ => false,
    })
}

/// Sendings remembered per site.
const RUN_LIMIT: usize = 1_000;

/// One sending to one webhook.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) webhook: String,
    pub(crate) journal: Journal,
    pub(crate) finished: Arc<AtomicBool>,
}

/// What one sending to one webhook came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// The webhook.
    pub webhook: String,
    /// Whether the last attempt has been made.
    pub finished: bool,
    /// Whether it is finished and everything arrived.
    pub accepted: bool,
    /// Every delivery with its attempts.
    pub deliveries: Report,
}

impl From<&Run> for RunReport {
    fn from(run: &Run) -> Self {
        // Read before the journal, which may lack deliveries that are yet to be begun.
        let finished = run.finished.load(Ordering::Acquire);
        let deliveries = run.journal.report();
        Self {
            webhook: run.webhook.clone(),
            finished,
            accepted: finished && deliveries.is_accepted(),
            deliveries,
        }
    }
}

/// What is not published and may therefore be either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiteSettings {
    pub(crate) requests_per_minute: usize,
    /// Whether a disabled webhook disappears from the API's answers.
    pub(crate) hides_disabled: bool,
    /// The source's own settings.
    pub(crate) own: Arc<Value>,
}

pub(crate) struct Site {
    pub(crate) client_secret: String,
    pub(crate) settings: SiteSettings,
    /// Oldest first.
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) faults: Vec<Fault>,
    runs: VecDeque<Run>,
    tokens: HashMap<String, Instant>,
    limiter: RateLimiter,
    log: VecDeque<LoggedRequest>,
    clock_ahead: Duration,
}

impl Site {
    pub(crate) fn new(client_secret: String, settings: SiteSettings) -> Self {
        Self {
            limiter: RateLimiter::new(settings.requests_per_minute),
            client_secret,
            settings,
            webhooks: Vec::new(),
            faults: Vec::new(),
            runs: VecDeque::new(),
            tokens: HashMap::new(),
            log: VecDeque::new(),
            clock_ahead: Duration::ZERO,
        }
    }

    /// The site's own time.
    pub(crate) fn now(&self) -> Instant {
        Instant::now() + self.clock_ahead
    }

    pub(crate) fn advance_clock(&mut self, by: Duration) {
        self.clock_ahead += by;
    }

    pub(crate) fn issue_token(&mut self, lifetime: Duration) -> String {
        let token = random::alphanumeric(43);
        self.tokens.insert(token.clone(), self.now() + lifetime);
        token
    }

    pub(crate) fn knows_token(&self, token: &str) -> bool {
        self.tokens.contains_key(token)
    }

    /// Whether a token can be used now.
    pub(crate) fn honours_token(&self, token: &str) -> bool {
        self.tokens
            .get(token)
            .is_some_and(|expires| self.now() < *expires)
    }

    /// Counts a request, and says whether the throttle lets it pass.
    pub(crate) fn admits(&mut self) -> bool {
        let now = self.now();
        self.limiter.admits(now)
    }

    /// The source's own settings, or how they are by default.
    pub(crate) fn own<T: serde::de::DeserializeOwned + Default>(&self) -> T {
        source::settings(&self.settings.own).unwrap_or_default()
    }

    pub(crate) fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }

    pub(crate) fn log(&mut self, request: LoggedRequest) {
        if self.log.len() >= LOG_LIMIT {
            self.log.pop_front();
        }
        self.log.push_back(request);
    }

    pub(crate) fn requests(&self) -> Vec<LoggedRequest> {
        self.log.iter().cloned().collect()
    }

    pub(crate) fn remember(&mut self, runs: &[Run]) {
        self.runs.extend(runs.iter().cloned());
        let surplus = self.runs.len().saturating_sub(RUN_LIMIT);
        self.runs.drain(..surplus);
    }

    pub(crate) fn run_reports(&self) -> Vec<RunReport> {
        self.runs.iter().map(RunReport::from).collect()
    }

    pub(crate) fn forget_requests(&mut self) {
        self.log.clear();
    }

    /// The webhooks that the provider's API shows, newest first.
    pub(crate) fn visible_webhooks(&self) -> impl Iterator<Item = &Webhook> {
        self.webhooks
            .iter()
            .rev()
            .filter(|webhook| !self.settings.hides_disabled || webhook.health.standing().enabled)
    }

    /// Whether the provider's API shows a webhook of this id.
    pub(crate) fn shows(&self, id: &str) -> bool {
        self.visible_webhooks().any(|webhook| webhook.id == id)
    }

    pub(crate) fn webhook_mut(&mut self, id: &str) -> Option<&mut Webhook> {
        self.webhooks.iter_mut().find(|webhook| webhook.id == id)
    }

    /// Whether there was one.
    pub(crate) fn remove_webhook(&mut self, id: &str) -> bool {
        let before = self.webhooks.len();
        self.webhooks.retain(|webhook| webhook.id != id);
        self.webhooks.len() < before
    }
}
