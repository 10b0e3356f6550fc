//! Consumer: from the lanes to the records table and the teams' queues.
//!
//! Every lane is an event source of the one function. A batch is from one queue, whose ARN says which lane it is
//! ([`LaneQueues::lane`](runtime::lane_queues::LaneQueues::lane)). A batch from any other queue fails whole, untouched: its
//! messages come again after that queue's own visibility timeout.
//!
//! A batch starts as "all failed", and what succeeded is taken out: a message is a success once its event is
//! applied to its record ([`apply`]) and every team that wants it has it, or the undelivered queue has it for
//! them ([`forward`]). A crash in between repeats: teams get events at least once, always with the same id.
//!
//! One message cannot harm another: what cannot be read fails alone, and so does what makes us panic. What
//! failed becomes visible again after a delay of its own ([`backoff`]): also an event that only a newer release
//! can read, which waits in its lane until that release is rolled out. What became of the events stands in one line of the
//! log ([`report`]).
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>

#![warn(clippy::too_many_lines)]

pub mod apply;
pub mod backoff;
pub mod config;
pub mod forward;
mod rendering;
mod report;

use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use domain::control::{Control, JOB, ONLY};
use domain::envelope::{Envelope, EnvelopeError};
use domain::lane::Lane;
use domain::ports::{ClaimCheck, Queues, Records, Redelivery};
use domain::timestamp::Timestamp;
use domain::trace::{TRACE_HEADER, TRACEPARENT, Trace};
use runtime::clock;
use runtime::deadline::in_time;
use runtime::metrics::{self, Metric};
use sources::{Protocols, protocol};
use tokio::time::Instant;
use tracing::{Instrument as _, error, info_span, warn};

use crate::apply::Arrived;
use crate::backoff::Failure;
use crate::config::Config;
use crate::report::{Batch, Reported};

/// How long before the deadline forwarding stops, to set the delays of failed messages: a quarter of the time left, if less.
const DELAYING: Duration = Duration::from_secs(1);

/// The function, with what it needs from the outside.
#[derive(Debug)]
pub struct Consumer<'p, R, Q, O, D> {
    records: &'p R,
    queues: &'p Q,
    oversize: &'p O,
    redelivery: &'p D,
    config: Config,
    protocols: Protocols,
    clock: fn() -> Timestamp,
}

impl<'p, R: Records, Q: Queues, O: ClaimCheck, D: Redelivery> Consumer<'p, R, Q, O, D> {
    /// Puts the function together.
    pub fn new(
        records: &'p R,
        queues: &'p Q,
        oversize: &'p O,
        redelivery: &'p D,
        config: Config,
    ) -> Self {
        Self {
            records,
            queues,
            oversize,
            redelivery,
            config,
            protocols: protocol,
            clock: clock::now,
        }
    }

    /// Serves another table of sources, for tests of what no source does yet.
    #[must_use]
    pub fn with_protocols(self, protocols: Protocols) -> Self {
        Self { protocols, ..self }
    }

    /// Reads the time from another clock, for tests. Nothing but what is reported of events depends on it.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> Timestamp) -> Self {
        Self { clock, ..self }
    }

    /// Takes a batch and says which of its messages have to come again. It is done by `deadline`; what is not forwarded a
    /// little before has to come again.
    pub async fn handle(&self, event: &SqsEvent, deadline: Instant) -> SqsBatchResponse {
        metrics::invocation(&self.config.stack, self.take(event, deadline)).await
    }

    async fn take(&self, event: &SqsEvent, deadline: Instant) -> SqsBatchResponse {
        let begun = Instant::now();
        // Failed until proven otherwise.
        let mut states: Vec<Result<(), Failure>> =
            vec![Err(Failure::Transient); event.records.len()];
        let lane = self.lane_of(&event.records);
        if let Some(lane) = lane {
            let span = info_span!("batch", lane = lane.as_str());
            let work = self.work(lane, &event.records, &mut states, deadline);
            let batch = work.instrument(span).await;
            // Outside of the span, whose field the line has itself.
            batch.write((self.clock)(), begun.elapsed());
        }
        let lane = lane.map_or("none", Lane::as_str);
        for (_, failure) in failed(&event.records, &states) {
            metrics::count_by(Metric::Retried, 1, &[lane, failure.as_str()]);
        }
        response(&event.records, &states)
    }

    /// Applies and forwards what a lane's messages say, and notes which of them are done.
    async fn work(
        &self,
        lane: Lane,
        messages: &[SqsMessage],
        states: &mut [Result<(), Failure>],
        deadline: Instant,
    ) -> Batch<'_> {
        let mut arrived = Vec::with_capacity(messages.len());
        for (position, (message, state)) in messages.iter().zip(&mut *states).enumerate() {
            match read(message) {
                Ok((envelope, control)) => {
                    let protocol = (self.protocols)(envelope.source);
                    let besides = (control, trace(message));
                    arrived.push(Arrived::new(position, lane, envelope, besides, protocol));
                }
                Err(failure) => *state = Err(failure),
            }
        }
        let mut batch = Batch {
            lane,
            messages: messages.len(),
            failed: 0,
            events: arrived.iter().map(Reported::of).collect(),
        };
        let begun = Instant::now();
        let left = deadline.saturating_duration_since(begun);
        let forwarding = begun + (left - DELAYING.min(left / 4));
        // A record that is never written must leave time to forward the others.
        let applying = begun + left / 2;
        let applied = apply::apply(self.records, self.oversize, arrived, applying).await;
        let forwarded = forward::forward(
            self.queues,
            self.oversize,
            &self.config,
            &applied,
            forwarding,
        );
        let mut forwarded = forwarded.await;
        for (arrived, verdict) in &applied {
            let forwarded = forwarded.remove(&arrived.position).unwrap_or_default();
            if let Some(state) = states.get_mut(arrived.position) {
                *state = forwarded.state();
            }
            if verdict.repeats_earlier {
                metrics::count(Metric::EarlierContents, 1);
            }
            batch.conclude(arrived.position, verdict, forwarded);
        }
        self.delay(lane, messages, states, deadline).await;
        batch.failed = failed(messages, states).count();
        batch
    }

    /// The lane that a batch is from. All its messages are from one queue.
    fn lane_of(&self, messages: &[SqsMessage]) -> Option<Lane> {
        let first = messages.first()?;
        let queue = first.event_source_arn.as_deref().unwrap_or_default();
        let lane = self.config.lanes.lane(queue);
        if lane.is_none() {
            error!(
                queue,
                messages = messages.len(),
                "a batch from a queue that is no lane's; its messages are received again"
            );
        }
        lane
    }

    /// Lets what failed become visible again after delays of its own.
    async fn delay(
        &self,
        lane: Lane,
        messages: &[SqsMessage],
        states: &[Result<(), Failure>],
        deadline: Instant,
    ) {
        let delays: Vec<(String, u32)> = failed(messages, states)
            .filter_map(|(message, failure)| {
                let receives = receives(message);
                Some((
                    message.receipt_handle.clone()?,
                    failure.delay(receives, self.config.first_retry),
                ))
            })
            .collect();
        if delays.is_empty() {
            return;
        }
        warn!(
            failed = delays.len(),
            of = messages.len(),
            "messages failed, and are received again"
        );
        let delaying = self.redelivery.delay(self.config.lanes.of(lane), &delays);
        if let Err(error) = in_time(deadline, "delaying failed messages", delaying).await {
            // They keep the queue's visibility timeout: later, but no less surely.
            warn!(messages = delays.len(), %error, "the delays of failed messages could not be set");
        }
    }
}

/// The messages that failed, each with why.
fn failed<'m>(
    messages: &'m [SqsMessage],
    states: &'m [Result<(), Failure>],
) -> impl Iterator<Item = (&'m SqsMessage, Failure)> {
    messages
        .iter()
        .zip(states)
        .filter_map(|(message, state)| Some((message, *state.as_ref().err()?)))
}

/// Names what failed to the poller.
fn response(messages: &[SqsMessage], states: &[Result<(), Failure>]) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed(messages, states)
        .map(|(message, _)| {
            let mut failure = BatchItemFailure::default();
            // A message without an id cannot be named; an empty name makes the whole batch come again.
            failure.item_identifier = message.message_id.clone().unwrap_or_default();
            failure
        })
        .collect();
    response
}

/// Reads the event, and what an operator asks for it.
fn read(message: &SqsMessage) -> Result<(Envelope<'_>, Control), Failure> {
    let control = Control::parse(attribute(message, ONLY), attribute(message, JOB));
    let control = control.map_err(|error| {
        let message_id = message.message_id.as_deref().unwrap_or_default();
        warn!(message_id, %error, "a message that asks for what is not known; it goes to the dead-letter queue");
        Failure::Unreadable
    })?;
    let body = message.body.as_deref().unwrap_or_default();
    let envelope = Envelope::parse(body).map_err(|error| {
        let message_id = message.message_id.as_deref().unwrap_or_default();
        match &error {
            EnvelopeError::Unknown(member) => {
                metrics::count(Metric::NewerEnvelopes, 1);
                warn!(message_id, member, "an event of a newer release; it is received again until that release runs");
                Failure::Newer
            }
            EnvelopeError::Json(_) | EnvelopeError::Member(_) => {
                warn!(message_id, %error, "a message that is no event; it goes to the dead-letter queue");
                Failure::Unreadable
            }
        }
    })?;
    Ok((envelope, control))
}

/// The trace of a message, as far as it has one that can be read.
fn trace(message: &SqsMessage) -> Trace {
    let header = message.attributes.get(TRACE_HEADER).map(String::as_str);
    Trace::read(header, attribute(message, TRACEPARENT))
}

/// A message's own attribute. An attribute that is not text is returned as empty, which no reader accepts.
fn attribute<'m>(message: &'m SqsMessage, name: &str) -> Option<&'m str> {
    let attribute = message.message_attributes.get(name)?;
    Some(attribute.string_value.as_deref().unwrap_or_default())
}

/// How often the message was received, this time included.
fn receives(message: &SqsMessage) -> u32 {
    let count = message.attributes.get("ApproximateReceiveCount");
    count.and_then(|count| count.parse().ok()).unwrap_or(1)
}
