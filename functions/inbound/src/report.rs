//! The report: what became of a request, in the line that has its metrics. Warnings about single steps are lines of their own.

use std::sync::OnceLock;
use std::time::Duration;

use domain::account::AccountName;
use domain::identity::DeliveryId;
use domain::source::Source;
use runtime::metrics;
use serde::Serialize;
use tracing::{Level, enabled};

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
    /// The part of the registration that it came by; empty where there are no parts.
    pub(crate) part: String,
    /// How many events were found in it.
    pub(crate) events: usize,
    /// Which attempt at the delivery this is, as far as its retry marker knows; the first is 1.
    pub(crate) attempt: u32,
}

/// What is said of a request. What most deliveries have in common is left out: that one event was accepted with a 200 at the
/// first attempt. The source and the webhook of a delivery are in its receipt.
#[derive(Debug, Serialize)]
struct Line<'r> {
    message: &'static str,
    /// Left out for `INFO`.
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    part: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<usize>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<u16>,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
}

impl Report {
    /// Writes the line, where the log's level is for it.
    pub(crate) fn write(&self, answer: Answer, elapsed: Duration) {
        let is_success = match answer {
            Answer::Accepted { .. } | Answer::Quarantined { .. } | Answer::Greeted { .. } => true,
            Answer::Unverified(_) | Answer::NotReady(_) | Answer::Refused(_) => false,
        };
        let (level, is_written) = match is_success {
            true => (None, enabled!(target: "inbound", Level::INFO)),
            false => (Some("WARN"), enabled!(target: "inbound", Level::WARN)),
        };
        if !is_written {
            return;
        }
        let proved = self.proved.get();
        let source = self.source.get().map(|source| source.as_str());
        metrics::report(&Line {
            message: "delivery",
            level,
            account: self.account.get().map(AccountName::as_str),
            source: source.filter(|_| proved.is_none()),
            delivery: proved.map(|proved| proved.delivery.to_string()),
            part: proved.map_or("", |proved| &proved.part),
            events: proved
                .map(|proved| proved.events)
                .filter(|events| *events != 1),
            bytes: self.bytes,
            attempt: proved
                .map(|proved| proved.attempt)
                .filter(|attempt| *attempt != 1),
            answer: Some(answer.status()).filter(|status| *status != 200),
            duration_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            outcome: match answer {
                Answer::Accepted { .. } => None,
                _ => Some(answer.outcome()),
            },
            cause: answer.cause(),
        });
    }
}
