//! Events into their lanes: one message each, or a pointer where a queue cannot carry the record.

use std::collections::BTreeMap;

use domain::envelope::{Body, Content, Envelope, InlineLimit};
use domain::event::Event;
use domain::identity::EventIndex;
use domain::lane::Lane;
use domain::ports::{ClaimCheck, Message, PortError, Queues, Receipt};
use domain::source::Source;
use domain::trace::Trace;
use futures::future::{join_all, try_join_all};
use runtime::deadline::in_time;
use runtime::enqueue::enqueue;
use runtime::lane_queues::LaneQueues;
use runtime::metrics::{Metric, count_by};
use sources::Facts;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, info_span, warn};

use crate::answer::Refused;

/// Where events go.
#[derive(Debug)]
pub(crate) struct Lanes<'l, Q, O> {
    pub(crate) queues: &'l Q,
    pub(crate) oversize: &'l O,
    pub(crate) urls: &'l LaneQueues,
    pub(crate) fair_queues: bool,
    pub(crate) inline_limit: InlineLimit,
    /// Of the source that the events are from.
    pub(crate) facts: &'static Facts,
    /// Of the delivery that the events are from.
    pub(crate) trace: &'l Trace,
}

/// Sends every event to its lane. Returns the positions of those that their queue refuses for what they are,
/// which are for quarantine.
///
/// # Errors
/// An event is not durable, and a retry of the delivery can help.
pub(crate) async fn send<Q: Queues, O: ClaimCheck>(
    lanes: Lanes<'_, Q, O>,
    source: Source,
    receipt: &Receipt<'_>,
    events: &[Event<'_>],
    deadline: Instant,
) -> Result<Vec<EventIndex>, Refused> {
    let mut by_lane: BTreeMap<Lane, Vec<&Event<'_>>> = BTreeMap::new();
    for event in events {
        by_lane.entry(event.meaning.lane).or_default().push(event);
    }
    count_undated(source, lanes.facts, events);
    let sent = by_lane
        .iter()
        .map(|(lane, events)| lanes.send_lane(*lane, source, receipt, events, deadline));
    // All lanes are waited for also when one refuses: what gets through now is through.
    let sent: Vec<_> = join_all(sent).await;
    let refused: Vec<Vec<EventIndex>> = sent.into_iter().collect::<Result<_, _>>()?;
    Ok(refused.concat())
}

impl<Q: Queues, O: ClaimCheck> Lanes<'_, Q, O> {
    async fn send_lane(
        &self,
        lane: Lane,
        source: Source,
        receipt: &Receipt<'_>,
        events: &[&Event<'_>],
        deadline: Instant,
    ) -> Result<Vec<EventIndex>, Refused> {
        let envelopes = events
            .iter()
            .map(|event| self.envelope(source, receipt, event));
        let envelopes: Vec<_> = envelopes.collect();
        let messages = self.messages(lane, &envelopes, deadline).await?;
        let answers = enqueue(self.queues, self.urls.of(lane), &messages, deadline).await;
        debug_assert_eq!(answers.len(), events.len(), "one answer for every message");
        let mut unsendable = Vec::new();
        for (event, answer) in events.iter().zip(answers) {
            let Err(error) = answer else { continue };
            let _entered = span(lane, &self.envelope(source, receipt, event)).entered();
            if error.is_transient() {
                warn!(%error, "an event is not queued");
                return Err(Refused::QueueRefused);
            }
            warn!(%error, "a queue refuses an event for its content");
            unsendable.push(*event);
        }
        self.send_stored(lane, source, receipt, &unsendable, deadline)
            .await
    }

    /// Sends pointers to events whose content the queue refused.
    async fn send_stored(
        &self,
        lane: Lane,
        source: Source,
        receipt: &Receipt<'_>,
        events: &[&Event<'_>],
        deadline: Instant,
    ) -> Result<Vec<EventIndex>, Refused> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let messages = events
            .iter()
            .map(|event| self.pointer(lane, self.envelope(source, receipt, event), deadline));
        let messages = try_join_all(messages).await?;
        let answers = enqueue(self.queues, self.urls.of(lane), &messages, deadline).await;
        if answers
            .iter()
            .any(|answer| answer.as_ref().is_err_and(PortError::is_transient))
        {
            return Err(Refused::QueueRefused);
        }
        Ok(events
            .iter()
            .zip(answers)
            .filter(|(_, answer)| answer.is_err())
            .map(|(event, _)| event.index)
            .collect())
    }

    fn envelope<'a>(
        &self,
        source: Source,
        receipt: &Receipt<'_>,
        event: &Event<'a>,
    ) -> Envelope<'a> {
        sources::envelope(source, self.facts, receipt.account, receipt.delivery, event)
    }

    /// A message for each event. Only of an event that no message can carry is there something to wait for.
    async fn messages<'a>(
        &self,
        lane: Lane,
        envelopes: &[Envelope<'a>],
        deadline: Instant,
    ) -> Result<Vec<Message<'a>>, Refused> {
        let inline = envelopes.iter().map(|envelope| {
            let text = envelope.to_text();
            let is_admitted = self.inline_limit.admits(&text);
            is_admitted.then(|| self.in_group(envelope, text))
        });
        let inline: Vec<Option<Message<'a>>> = inline.collect();
        let large = envelopes.iter().zip(&inline);
        let large = large.filter(|(_, message)| message.is_none());
        let pointers = large.map(|(envelope, _)| self.pointer(lane, envelope.clone(), deadline));
        let mut pointers = try_join_all(pointers).await?.into_iter();
        let messages = inline.into_iter();
        Ok(messages
            .filter_map(|message| message.or_else(|| pointers.next()))
            .collect())
    }

    /// Keeps the record apart and makes a message that points at it.
    async fn pointer<'a>(
        &self,
        lane: Lane,
        mut envelope: Envelope<'a>,
        deadline: Instant,
    ) -> Result<Message<'a>, Refused> {
        if let Content::Inline(record) = envelope.content {
            let key = format!("events/{}/{}", envelope.account, envelope.id);
            let kept = async {
                let put = self.oversize.put(&key, record.get().as_bytes());
                let kept = in_time(deadline, "keeping a large event", put).await;
                kept.map_err(|error| {
                    warn!(%error, "a large event is not kept");
                    Refused::OversizeRefused
                })
            };
            let place = kept.instrument(span(lane, &envelope)).await?;
            envelope.content = Content::Stored(place);
        }
        Ok(self.in_group(&envelope, envelope.to_text()))
    }

    /// A message of this account's group, so that fair queues keep one account's burst from delaying another; of none where
    /// the stack does without them, as AWS charges for each message that has one.
    ///
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html>
    fn in_group<'a>(&self, envelope: &Envelope<'_>, text: Body<'a>) -> Message<'a> {
        Message {
            text,
            group: self.fair_queues.then(|| envelope.account.to_string()),
            deduplication: None,
            attributes: self.trace.sender().into_iter().collect(),
            trace: self.trace.header.clone(),
        }
    }
}

/// Counts the events that should be ordered by the source's time and bring none that can be read.
fn count_undated(source: Source, facts: &Facts, events: &[Event<'_>]) {
    let is_undated =
        |event: &&Event<'_>| event.source_time.is_none() && facts.is_timed(&event.meaning);
    let undated = events.iter().filter(is_undated).count();
    count_by(Metric::EventTimesUnread, undated, &[source.as_str()]);
}

/// The span of an event of which there is something to log: most go by without one. A line has the fields of its
/// innermost span alone, so those of the delivery are repeated.
fn span(lane: Lane, envelope: &Envelope<'_>) -> Span {
    info_span!(
        "event",
        lane = lane.as_str(),
        account = envelope.account.as_str(),
        delivery.id = %envelope.id.delivery(),
        event.id = %envelope.id,
        event.r#type = envelope.event_type.as_str(),
    )
}
