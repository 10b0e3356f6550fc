//! Inbound: from a source's POST to durable events, and only then the answer it takes for success.
//!
//! [`Inbound::handle`] reads as the delivery goes: [`keyring`] finds the account and proves the signature,
//! `domain` splits the body, [`attempt`] gives the delivery its identity, [`lanes`] makes its events durable,
//! [`quarantine`] keeps what was not understood, and [`answer`] holds the table of answers. At its end every request has one
//! line in the log, that of [`report`].
//!
//! A request that is not verified causes no write and no message, but one: a known token with a wrong signature asks for
//! its account's check, at most once in five minutes ([`check_request`]). An unknown token costs one cached read, a wrong
//! signature one more, that of the keys.

#![warn(clippy::too_many_lines)]

pub mod answer;
pub mod attempt;
mod budget;
mod check_request;
pub mod config;
pub mod keyring;
pub mod lanes;
pub mod quarantine;
mod report;
mod request;

use domain::account::AccountName;
use domain::delivery::{Split, Unreadable};
use domain::identity::BodyHash;
use domain::ports::{
    CheckClaims, ClaimCheck, DeliveryFailure, Keys, MarkerKey, Markers, PortError, Queues, Receipt,
    Receipts, Tokens,
};
use domain::signature::{Assurance, Form, Policy, Screened};
use domain::timestamp::Timestamp;
use lambda_http::{Body, Request, Response};
use runtime::deadline::in_time;
use runtime::gateway::{self, GatewayEvent};
use runtime::metrics::{self, Metric};
use serde_json::Value;
use sources::{Protocols, protocol};
use tokio::time::{Instant, timeout_at};
use tracing::field::{Empty, display};
use tracing::{Instrument as _, Span, info_span, warn};

use crate::answer::{Answer, Refused, Unverified};
use crate::attempt::Attempt;
use crate::budget::Budget;
use crate::check_request::CheckRequests;
use crate::config::Config;
use crate::keyring::{Admitted, Keyring, Proven};
use crate::quarantine::Quarantined;
use crate::report::{Proved, Report};
use crate::request::{Posted, body_of};

/// The function, with what it needs from the outside.
#[derive(Debug)]
pub struct Inbound<'p, T, K, Q, R, O> {
    keyring: Keyring<'p, T, K>,
    queues: &'p Q,
    receipts: &'p R,
    oversize: &'p O,
    checks: CheckRequests,
    config: Config,
    protocols: Protocols,
}

impl<'p, T: Tokens, K: Keys, Q: Queues, R: Receipts + Markers + CheckClaims, O: ClaimCheck>
    Inbound<'p, T, K, Q, R, O>
{
    /// Puts the function together.
    pub fn new(
        tokens: &'p T,
        keys: &'p K,
        queues: &'p Q,
        receipts: &'p R,
        oversize: &'p O,
        config: Config,
    ) -> Self {
        let keyring = Keyring::new(tokens, keys, config.keyring);
        Self {
            keyring,
            queues,
            receipts,
            oversize,
            checks: CheckRequests::default(),
            config,
            protocols: protocol,
        }
    }

    /// Serves another table of sources, for tests of what no source does yet.
    #[must_use]
    pub fn with_protocols(self, protocols: Protocols) -> Self {
        Self { protocols, ..self }
    }

    /// Takes the gateway's event and makes the gateway's response, whatever was sent. `now` is the time of this invocation.
    pub async fn respond(&self, event: GatewayEvent, now: Timestamp) -> Value {
        let answer = match event.into_request() {
            // Boxed: this future is the deepest of all, and large.
            Some(request) => Box::pin(self.handle(&request, now)).await,
            None => {
                let refused = async { self.refuse_malformed() };
                metrics::invocation(&self.config.stack, refused).await
            }
        };
        gateway::response(&answer)
    }

    /// Answers what cannot even be read as a request.
    fn refuse_malformed(&self) -> Response<Body> {
        let begun = Budget::begin(self.config.answer_budget);
        conclude(
            Answer::Unverified(Unverified::MalformedRequest),
            &Report::default(),
            &begun,
        )
    }

    /// Takes one delivery and answers it, within the time budget. `now` is the time of this invocation.
    pub async fn handle(&self, request: &Request, now: Timestamp) -> Response<Body> {
        // What is empty is recorded as it becomes known. The account is that of the token: only an accepted or refused
        // delivery is proved to be of it.
        let span = info_span!(
            "delivery",
            source = Empty,
            account = Empty,
            delivery.id = Empty
        );
        let report = Report {
            bytes: body_of(request).len(),
            ..Report::default()
        };
        let budget = Budget::begin(self.config.answer_budget);
        metrics::invocation(&self.config.stack, async {
            let taken = self.take(request, now, &budget, &report);
            let answer = taken.instrument(span).await;
            // Outside of the span, whose fields the line has itself.
            conclude(answer, &report, &budget)
        })
        .await
    }

    async fn take(
        &self,
        request: &Request,
        now: Timestamp,
        budget: &Budget,
        report: &Report,
    ) -> Answer {
        let posted = match Posted::read(self.protocols, request, now, report) {
            Ok(posted) => posted,
            Err(cause) => return Answer::Unverified(cause),
        };
        let verifying = self.keyring.verify(&posted, report);
        let proven = match timeout_at(budget.end(), verifying).await {
            Ok(Ok(Admitted::Delivery(proven))) => proven,
            Ok(Ok(Admitted::Greeting)) => {
                let success = posted.protocol.facts().success;
                return Answer::Greeted { success };
            }
            Ok(Err(keyring::Refusal::Unverified(cause))) => return Answer::Unverified(cause),
            Ok(Err(keyring::Refusal::WrongSignature(account))) => {
                self.ask_for_check(&account, now, budget.end()).await;
                return Answer::Unverified(Unverified::WrongSignature);
            }
            Ok(Err(keyring::Refusal::NotReady(cause))) => return Answer::NotReady(cause),
            Err(_) => return Answer::NotReady(answer::NotReady::OutOfTime),
        };
        count_form(&posted, &proven);
        let hash = BodyHash::of(posted.request.body);
        let key = MarkerKey {
            account: &proven.entry.account,
            registration: proven.registration,
            retry: posted.protocol.retry_key(proven.delivery(), hash),
        };
        let attempt = Attempt::begin(
            self.receipts,
            key,
            posted.received,
            now,
            self.config.lease,
            budget.asking(),
        );
        match attempt.await {
            Ok(attempt) => {
                let identity = (&attempt, hash);
                self.answer(&posted, &proven, identity, budget, now, report)
                    .await
            }
            Err(error) => {
                warn!(%error, "no randomness for a delivery id");
                Answer::NotReady(answer::NotReady::NoRandomness)
            }
        }
    }

    async fn ask_for_check(&self, account: &AccountName, now: Timestamp, deadline: Instant) {
        if let Some(queue) = &self.config.checks {
            let through = (self.receipts, self.queues, queue);
            self.checks.ask(through, account, now, deadline).await;
        }
    }

    /// Answers a proven delivery: takes it, or leaves what its retry needs.
    async fn answer(
        &self,
        posted: &Posted<'_>,
        proven: &Proven<'_>,
        (attempt, hash): (&Attempt<'_>, BodyHash),
        budget: &Budget,
        now: Timestamp,
        report: &Report,
    ) -> Answer {
        let account = &proven.entry.account;
        let delivery = attempt.delivery();
        Span::current().record("delivery.id", display(delivery));
        let genuine = proven.delivery();
        let split = posted.protocol.split(genuine);
        let receipt = Receipt {
            account,
            delivery,
            registration: proven.registration,
            webhook: proven.entry.webhook.as_ref(),
            assurance: proven.proof.assurance(),
            form: form_of(posted, proven),
            received: posted.received,
            hash,
            events: split.as_ref().map_or(0, |split| split.events.len()),
            headers: genuine.headers,
            part: genuine.part,
            body: genuine.body,
        };
        let _ = report.proved.set(Proved {
            delivery,
            part: genuine.part.to_owned(),
            events: receipt.events,
            attempt: attempt.number(),
        });
        let success = posted.protocol.facts().success;
        let kept = match self.keep(posted, &receipt, &split, budget.sending()).await {
            Ok(kept) => {
                let ended = attempt.succeed(self.receipts, budget.removing()).await;
                ended.map(|()| kept)
            }
            Err(refused) => Err(refused),
        };
        match kept {
            Ok(Kept::Whole) => Answer::Accepted { success },
            Ok(Kept::InQuarantine) => Answer::Quarantined { success },
            Err(cause) => {
                self.record_failure(attempt, account, cause, now, budget.end())
                    .await;
                Answer::Refused(cause)
            }
        }
    }

    /// Makes the delivery durable: its events in their lanes, and what was not understood in quarantine.
    async fn keep(
        &self,
        posted: &Posted<'_>,
        receipt: &Receipt<'_>,
        split: &Result<Split<'_>, Unreadable>,
        deadline: Instant,
    ) -> Result<Kept, Refused> {
        let nothing = Split::default();
        let (split, unreadable) = match split {
            Ok(split) => (split, None),
            Err(reason) => (&nothing, Some(*reason)),
        };
        let mut quarantined = Quarantined::new(unreadable, &split.bad);
        let sending = lanes::send(
            self.lanes(posted),
            posted.source,
            receipt,
            &split.events,
            deadline,
        );
        if quarantined.is_empty() {
            // The usual way: the receipt is written beside the events, and nothing depends on it.
            let (kept, sent) = tokio::join!(self.keep_receipt(receipt, deadline), sending);
            quarantined.add(sent?);
            match kept {
                Ok(()) => {}
                Err(error) if quarantined.is_empty() => note_lost_receipt(&error),
                Err(_) => self.keep_first(receipt, deadline).await?,
            }
        } else {
            // A quarantine message points at the receipt, so the receipt comes first.
            self.keep_first(receipt, deadline).await?;
            quarantined.add(sending.await?);
        }
        quarantined
            .send(self.queues, &self.config.quarantine, receipt, deadline)
            .await?;
        Ok(match quarantined.is_empty() {
            true => Kept::Whole,
            false => Kept::InQuarantine,
        })
    }

    async fn keep_receipt(
        &self,
        receipt: &Receipt<'_>,
        deadline: Instant,
    ) -> Result<(), PortError> {
        in_time(deadline, "keeping a receipt", self.receipts.keep(receipt)).await
    }

    async fn keep_first(&self, receipt: &Receipt<'_>, deadline: Instant) -> Result<(), Refused> {
        self.keep_receipt(receipt, deadline).await.map_err(|error| {
            warn!(%error, "no receipt to point at");
            Refused::NoReceipt
        })
    }

    fn lanes<'l>(&'l self, posted: &'l Posted<'_>) -> lanes::Lanes<'l, Q, O> {
        lanes::Lanes {
            queues: self.queues,
            oversize: self.oversize,
            urls: &self.config.lanes,
            fair_queues: self.config.fair_queues,
            inline_limit: self.config.inline_limit,
            facts: posted.protocol.facts(),
            trace: &posted.trace,
        }
    }

    /// Leaves what a retry needs to keep its identity, and counts the failure. Whatever of it does not
    /// succeed in time is counted too: the answer is the same.
    async fn record_failure(
        &self,
        attempt: &Attempt<'_>,
        account: &AccountName,
        cause: Refused,
        now: Timestamp,
        deadline: Instant,
    ) {
        let failure = DeliveryFailure {
            account,
            delivery: attempt.delivery(),
            at: now,
            cause: cause.as_str(),
        };
        let expires = now.plus_seconds(self.config.marker_ttl_seconds);
        let (marked, recorded) = tokio::join!(
            in_time(
                deadline,
                "leaving a retry marker",
                attempt.fail(self.receipts, expires)
            ),
            in_time(
                deadline,
                "recording a failed delivery",
                self.receipts.record_failure(&failure)
            ),
        );
        for (what, result) in [
            (Metric::RetryMarkersLost, marked),
            (Metric::FailedDeliveriesLost, recorded),
        ] {
            if let Err(error) = result {
                warn!(%error, lost = what.name(), "after a refused delivery");
                metrics::count(what, 1);
            }
        }
    }
}

/// Where a delivery is kept that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// All of it in the lanes.
    Whole,
    /// All or some of it in quarantine.
    InQuarantine,
}

/// Counts and reports an answer, and makes the response.
fn conclude(answer: Answer, report: &Report, budget: &Budget) -> Response<Body> {
    answer.count();
    report.write(answer, budget.elapsed());
    answer.to_response()
}

/// The form in which a delivery was signed, where its source has several: of one, it says nothing.
fn form_of(posted: &Posted<'_>, proven: &Proven<'_>) -> Option<Form> {
    let forms = match &posted.screened {
        Screened::Delivery(offer) => offer.forms().len(),
        Screened::Greeting => 0,
    };
    proven.proof.form().filter(|_| forms > 1)
}

/// Counts which form fitted, where a source has several, and how often none did where signatures are but observed.
fn count_form(posted: &Posted<'_>, proven: &Proven<'_>) {
    let is_observed = posted.protocol.facts().policy == Policy::Observe;
    let form = match (form_of(posted, proven), proven.proof.assurance()) {
        (Some(form), _) => form.0,
        (None, Assurance::UrlToken) if is_observed => "none",
        (None, Assurance::UrlToken | Assurance::Signature | Assurance::SharedSecret) => return,
    };
    let dimensions = [posted.source.as_str(), form];
    metrics::count_by(Metric::SignatureForms, 1, &dimensions);
}

fn note_lost_receipt(error: &PortError) {
    warn!(%error, "the events are queued, the receipt is lost");
    metrics::count(Metric::ReceiptsLost, 1);
}
