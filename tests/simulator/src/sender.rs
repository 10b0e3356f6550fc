//! The sender: posts what the source writes, retries until the answer is one that the source accepts, and gives up or
//! disables a webhook as the source does.
//!
//! It needs no server, so a test can hold it against a receiver directly. It promises that an event's text is never
//! re-serialised, that no redirect and no proxy is used, and that every request is in the [`Journal`]. Each request
//! has a connection of its own: a connection kept from an earlier one would be retried below this layer, uncounted.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::control::WebhookStatus;
use crate::event::EventText;
use crate::health::Health;
use crate::journal::{Attempt, End, Journal, Outcome, Report};
use crate::key::SigningKey;
use crate::payload::{self, PackError, Payload, RawDelivery};
use crate::site::Webhook;
use crate::source::{self, Provider, Schedule, Source};
use crate::switches::{Rebatch, Repeat, RetryPolicy, Switches};

/// How often a delivery that is held back looks whether it may go.
const HELD_INTERVAL: Duration = Duration::from_millis(10);

/// How much of an answer's body is kept.
const ANSWER_LIMIT: usize = 4_096;

/// Why nothing was sent.
#[derive(Debug, Error)]
pub enum SenderError {
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be built; the source has the reason")]
    Client(#[source] reqwest::Error),
    /// The address is not an HTTP address.
    #[error("the endpoint is not an http or https URL; check its spelling")]
    Endpoint,
    /// The events or headers do not fit the chosen form.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Where deliveries go: an endpoint, its signing keys and its standing.
#[derive(Clone)]
pub struct Target {
    endpoint: reqwest::Url,
    keys: Vec<SigningKey>,
    health: Arc<Health>,
    queue: Arc<tokio::sync::Mutex<()>>,
    details: Arc<Map<String, Value>>,
}

impl fmt::Debug for Target {
    // The endpoint's path has the receiver's URL token in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// A target in good standing.
    ///
    /// # Errors
    /// [`SenderError::Endpoint`] when the endpoint is not an `http` or `https` URL.
    pub fn new(endpoint: &str, key: SigningKey) -> Result<Self, SenderError> {
        let endpoint = reqwest::Url::parse(endpoint).map_err(|_| SenderError::Endpoint)?;
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(SenderError::Endpoint);
        }
        Ok(Self {
            endpoint,
            keys: vec![key],
            health: Arc::default(),
            queue: Arc::default(),
            details: Arc::default(),
        })
    }

    /// A webhook of a site, as the control API shows it: what signs by more than the newest key is not in there.
    ///
    /// # Errors
    /// [`SenderError::Endpoint`] when the endpoint is not an `http` or `https` URL.
    pub fn shown(webhook: &WebhookStatus) -> Result<Self, SenderError> {
        let key = SigningKey::new(webhook.signing_key.as_str());
        let mut target = Self::new(&webhook.endpoint, key)?;
        target.keys.retain(|key| !key.reveal().is_empty());
        target.details = Arc::new(webhook.details.clone());
        Ok(target)
    }

    /// A webhook of a site, with all that the source knows of it.
    pub(crate) fn of(webhook: &Webhook) -> Result<Self, SenderError> {
        Ok(Self {
            keys: webhook.keys.clone(),
            health: Arc::clone(&webhook.health),
            queue: Arc::clone(&webhook.queue),
            details: Arc::new(webhook.details.clone()),
            ..Self::new(&webhook.endpoint, SigningKey::new(""))?
        })
    }

    /// Whether the target is still enabled, and how many attempts in a row it failed.
    pub fn health(&self) -> &Health {
        &self.health
    }
}

/// Sends deliveries; cheap to clone, and without state of its own between sendings.
#[derive(Clone, Debug)]
pub struct Sender {
    client: reqwest::Client,
    policy: RetryPolicy,
    switches: Switches,
    source: Source,
    settings: Arc<Value>,
    schedule: Schedule,
}

impl Sender {
    /// Orderspace's sender, with the given schedule and no switch set.
    ///
    /// # Errors
    /// [`SenderError::Client`], a fault of the machine.
    pub fn new(policy: RetryPolicy) -> Result<Self, SenderError> {
        let client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .build()
            .map_err(SenderError::Client)?;
        Ok(Self {
            client,
            schedule: Schedule::of(&policy),
            policy,
            switches: Switches::default(),
            source: Source::Orderspace,
            settings: Arc::default(),
        })
    }

    /// The sender of a source that never gives up before the policy does: its packing, its signing, its status of success
    /// and the proportions of its waits, but of its own limits none. It is for tests in which every event has to arrive.
    ///
    /// # Errors
    /// [`SenderError::Client`], a fault of the machine.
    pub fn patient(source: Source, policy: RetryPolicy) -> Result<Self, SenderError> {
        let mut sender = Self::new(policy)?.with_source(source, Arc::default());
        sender.schedule = Schedule {
            waits: sender.schedule.waits,
            in_order: sender.schedule.in_order,
            ..Schedule::of(&sender.policy)
        };
        Ok(sender)
    }

    /// The same sender with other switches.
    #[must_use]
    pub fn with_switches(mut self, switches: Switches) -> Self {
        self.switches = switches;
        self
    }

    /// The same sender with another schedule.
    #[must_use]
    pub fn with_policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self.schedule = self.provider().schedule(&self.policy, &self.settings);
        self
    }

    /// The same sender for a site of another source.
    pub(crate) fn with_source(mut self, source: Source, settings: Arc<Value>) -> Self {
        self.source = source;
        self.settings = settings;
        self.schedule = self.provider().schedule(&self.policy, &self.settings);
        self
    }

    fn provider(&self) -> &'static dyn Provider {
        self.source.provider()
    }

    fn pack(&self, events: &[EventText]) -> Result<Vec<Payload>, PackError> {
        self.provider().pack(events, &self.switches)
    }

    /// Delivers the events and returns when every delivery was accepted, given up or disabled.
    ///
    /// # Errors
    /// [`SenderError::Pack`] before anything is sent. A receiver's failure is in the report, not an error.
    pub async fn send(&self, target: &Target, events: &[EventText]) -> Result<Report, SenderError> {
        let journal = Journal::default();
        self.send_into(&journal, target, events).await?;
        Ok(journal.report())
    }

    /// Like [`Sender::send`], into a journal that can be read meanwhile.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_into(
        &self,
        journal: &Journal,
        target: &Target,
        events: &[EventText],
    ) -> Result<(), SenderError> {
        let payloads = self.pack(events)?;
        self.dispatch(journal, target, payloads).await
    }

    /// Delivers arbitrary bytes, with the same retries. Of the switches, repeats apply.
    ///
    /// # Errors
    /// [`SenderError::Pack`] for a header that is none.
    pub async fn send_raw(
        &self,
        target: &Target,
        deliveries: &[RawDelivery],
    ) -> Result<Report, SenderError> {
        let journal = Journal::default();
        self.send_raw_into(&journal, target, deliveries).await?;
        Ok(journal.report())
    }

    /// Like [`Sender::send_raw`], into a journal that can be read meanwhile.
    ///
    /// # Errors
    /// As [`Sender::send_raw`].
    pub async fn send_raw_into(
        &self,
        journal: &Journal,
        target: &Target,
        deliveries: &[RawDelivery],
    ) -> Result<(), SenderError> {
        self.dispatch(journal, target, packed(deliveries)?).await
    }

    /// Whether these could be sent, without sending them.
    pub(crate) fn check(
        &self,
        events: &[EventText],
        deliveries: &[RawDelivery],
    ) -> Result<(), SenderError> {
        self.pack(events)?;
        packed(deliveries)?;
        Ok(())
    }

    async fn dispatch(
        &self,
        journal: &Journal,
        target: &Target,
        payloads: Vec<Payload>,
    ) -> Result<(), SenderError> {
        let sending = Sending {
            sender: self,
            journal,
            target,
        };
        let _turn = match self.schedule.in_order {
            true => Some(target.queue.lock().await),
            false => None,
        };
        // A raw body has no events to be cut anew.
        let rebatches = self.switches.rebatch != Rebatch::Never
            && payloads.iter().all(|payload| !payload.events.is_empty());
        if rebatches {
            return sending.in_rounds(payloads).await;
        }
        for payload in &payloads {
            match self.switches.repeat {
                Repeat::Once => sending.until_accepted(payload, false).await,
                Repeat::TwiceAtOnce => {
                    tokio::join!(
                        sending.until_accepted(payload, false),
                        sending.until_accepted(payload, true),
                    );
                }
            }
        }
        Ok(())
    }

    /// Whether the source takes an attempt's outcome for a success.
    pub(crate) fn accepts(&self, outcome: &Outcome) -> bool {
        let status = outcome.status();
        status.is_some_and(|status| self.provider().accepts(status))
    }

    /// The wait after attempt number `made` (counted from 1) failed.
    fn delay_after(&self, made: u32) -> Duration {
        let waits = self.schedule.waits;
        let index = usize::try_from(made.saturating_sub(1)).unwrap_or(usize::MAX);
        match (waits.first(), waits.get(index).or(waits.last())) {
            (Some(first), Some(wait)) => {
                let ms =
                    self.policy.first_delay_ms.saturating_mul(u64::from(*wait)) / u64::from(*first);
                Duration::from_millis(ms.min(self.policy.max_delay_ms))
            }
            _ => self.policy.delay_after(made),
        }
    }

    pub(crate) async fn attempt(&self, target: &Target, payload: &Payload, number: u32) -> Outcome {
        let dressed = self.provider().dress(&source::Attempt {
            payload,
            number,
            keys: &target.keys,
            details: &target.details,
            settings: &self.settings,
        });
        let answer = self
            .client
            .post(target.endpoint.clone())
            .timeout(Duration::from_millis(self.policy.timeout_ms))
            .headers(payload.headers(dressed.headers))
            .body(dressed.body)
            .send()
            .await;
        match answer {
            Ok(answer) => Outcome::Answered {
                status: answer.status().as_u16(),
                body: beginning(answer).await,
            },
            Err(error) if error.is_timeout() => Outcome::TimedOut,
            Err(_) => Outcome::Unreachable,
        }
    }
}

fn packed(deliveries: &[RawDelivery]) -> Result<Vec<Payload>, PackError> {
    deliveries.iter().map(payload::raw).collect()
}

/// One sending to one target.
struct Sending<'a> {
    sender: &'a Sender,
    journal: &'a Journal,
    target: &'a Target,
}

impl Sending<'_> {
    async fn until_accepted(&self, payload: &Payload, repeat: bool) {
        let delivery = self.journal.begin(payload.events.len(), repeat);
        let mut made = 0;
        let end = loop {
            match self.step(delivery, payload, made).await {
                Step::Ended(end) => break end,
                Step::Failed => made += 1,
            }
            tokio::time::sleep(self.sender.delay_after(made)).await;
        };
        self.journal.ended(delivery, end);
    }

    /// All deliveries once, then the halves of what failed, and so on.
    async fn in_rounds(&self, mut due: Vec<Payload>) -> Result<(), SenderError> {
        let mut made = 0;
        while !due.is_empty() {
            let mut halves = Vec::new();
            for mut payload in due {
                let delivery = self.journal.begin(payload.events.len(), false);
                match self.step(delivery, &payload, made).await {
                    Step::Ended(end) => self.journal.ended(delivery, end),
                    Step::Failed => {
                        self.journal.ended(delivery, End::Rebatched);
                        let half = payload.events.len().div_ceil(2);
                        let second = payload.events.split_off(half);
                        halves.extend(self.sender.pack(&payload.events)?);
                        halves.extend(self.sender.pack(&second)?);
                    }
                }
            }
            made += 1;
            due = halves;
            if !due.is_empty() {
                tokio::time::sleep(self.sender.delay_after(made)).await;
            }
        }
        Ok(())
    }

    /// One attempt, and what it means for the delivery and the webhook.
    async fn step(&self, delivery: u32, payload: &Payload, attempts_made: u32) -> Step {
        let (schedule, health) = (&self.sender.schedule, &self.target.health);
        while health.standing().held {
            tokio::time::sleep(HELD_INTERVAL).await;
        }
        if !health.standing().enabled {
            return Step::Ended(End::Disabled);
        }
        let number = attempts_made + 1;
        let outcome = self.sender.attempt(self.target, payload, number).await;
        let accepted = self.sender.accepts(&outcome);
        if accepted {
            health.succeeded();
        } else {
            health.failed(schedule.disable_after);
        }
        self.journal.attempted(Attempt {
            delivery,
            attempt: number,
            events: payload.events.len(),
            bytes: payload.body.len(),
            outcome,
        });
        if accepted {
            Step::Ended(End::Accepted)
        } else if !health.standing().enabled {
            Step::Ended(End::Disabled)
        } else if number >= schedule.attempts {
            if schedule.disables {
                health.give_up();
                return Step::Ended(End::Disabled);
            }
            Step::Ended(End::GaveUp)
        } else {
            Step::Failed
        }
    }
}

enum Step {
    Ended(End),
    Failed,
}

/// The status alone decides; a body that breaks off or never ends is kept as far as it came.
async fn beginning(mut answer: reqwest::Response) -> String {
    let mut body = Vec::new();
    while body.len() < ANSWER_LIMIT {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(ANSWER_LIMIT);
    String::from_utf8_lossy(&body).into_owned()
}
