//! The report: the one line that says what became of a request. Warnings about single steps are lines of their own.

use std::sync::OnceLock;
use std::time::Duration;

use domain::account::{AccountName, WebhookId};
use domain::identity::DeliveryId;
use domain::source::Source;
use tracing::{info, warn};

use crate::answer::Answer;

/// What is known of a request by the time it is answered. Of one that is not proved, the account is that of its token.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The source that its URL names.
    pub(crate) source: OnceLock<Source>,
    /// The account of its token.
    pub(crate) account: OnceLock<AccountName>,
    /// What is known once it is proved.
    pub(crate) proved: OnceLock<Proved>,
    /// How many bytes its body has.
    pub(crate) bytes: usize,
}

/// What is known of a genuine delivery.
#[derive(Debug)]
pub(crate) struct Proved {
    pub(crate) delivery: DeliveryId,
    pub(crate) webhook: Option<WebhookId>,
    /// The part of the registration that it came by; empty where there are no parts.
    pub(crate) part: String,
    /// How many events were found in it.
    pub(crate) events: usize,
    /// Which attempt at the delivery this is, as far as its retry marker knows; the first is 1.
    pub(crate) attempt: u32,
}

impl Report {
    /// Writes the line.
    pub(crate) fn write(&self, answer: Answer, elapsed: Duration) {
        let (status, outcome, cause) = (answer.status(), answer.outcome(), answer.cause());
        let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let proved = self.proved.get();
        // A macro, since the level is part of what `tracing` makes of the line at compile time.
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    account = self.account.get().map(AccountName::as_str),
                    source = self.source.get().map(|source| source.as_str()),
                    delivery = proved.map(|proved| tracing::field::display(proved.delivery)),
                    webhook = proved
                        .and_then(|proved| proved.webhook.as_ref())
                        .map(WebhookId::as_str),
                    part = proved
                        .map(|proved| proved.part.as_str())
                        .filter(|part| !part.is_empty()),
                    events = proved.map(|proved| proved.events),
                    bytes = self.bytes,
                    attempt = proved.map(|proved| proved.attempt),
                    answer = status,
                    duration_ms,
                    outcome,
                    cause,
                    "delivery"
                )
            };
        }
        match answer {
            Answer::Accepted { .. } | Answer::Quarantined { .. } | Answer::Greeted { .. } => {
                line!(info);
            }
            Answer::Unverified(_) | Answer::NotReady(_) | Answer::Refused(_) => line!(warn),
        }
    }
}
