//! Sending events into their lanes again: whatever an operator releases or replays goes the way that it came, so that the
//! consumer's one code decides what a team gets.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::control::Control;
use domain::envelope::{Content, DataRef, Envelope, InlineLimit};
use domain::lane::Lane;
use domain::provenance::ReplayJobId;
use sources::protocol;
use tokio::time::Instant;

use crate::stack::Stack;
use calls::sqs::{self, MessageAttribute, Outgoing};
use calls::{Calls, Error, s3};

/// The most bytes of one call, all messages with their attributes: what SQS takes, less what attributes may come to.
const BATCH_BYTES: usize = 1_048_576 - sqs::BATCH * 4096;

/// How often an entry that a queue did not accept is sent in all.
const ATTEMPTS: u32 = 4;

/// What a message may have where the stack does not say it.
const INLINE_LIMIT: usize = 250_000;

/// What is attached to a message for the consumer.
#[must_use]
pub fn control(only: Option<&str>, job: Option<&ReplayJobId>) -> Control {
    Control {
        only: only.map(str::to_owned),
        job: job.cloned(),
    }
}

/// A message of a lane.
#[derive(Debug, Clone)]
pub struct LaneMessage {
    /// The lane.
    pub lane: Lane,
    /// The message.
    pub message: Outgoing,
}

/// A sender into a stack's lanes.
#[derive(Debug)]
pub struct LaneSender<'a> {
    calls: &'a Calls,
    stack: &'a Stack,
    bucket: &'a str,
    inline_limit: InlineLimit,
    fair_queues: bool,
}

impl<'a> LaneSender<'a> {
    /// A sender into this stack's lanes.
    ///
    /// # Errors
    /// [`Error::Refused`] where the stack is of another release: its consumer may take what is for one team for all of
    /// them, and this command may split a delivery otherwise than the stack does.
    pub fn new(calls: &'a Calls, stack: &'a Stack) -> Result<Self, Error> {
        if let Some(other) = stack.other_release() {
            return Err(Error::Refused(format!(
                "{other}: update one of them, so that both read an event alike"
            )));
        }
        let limit = stack.number("InlineLimitBytes");
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        Ok(Self {
            calls,
            stack,
            bucket: stack.output("OversizeBucket")?,
            inline_limit: InlineLimit::new(limit.unwrap_or(INLINE_LIMIT)),
            fair_queues: stack.parameter("FairQueues") != Some("false"),
        })
    }

    /// A message for an envelope that is passed on byte for byte.
    #[must_use]
    pub fn as_it_is(envelope: &Envelope<'_>, text: &str, control: &Control) -> LaneMessage {
        let attributes = control.attributes().into_iter();
        let attributes =
            attributes.map(|(name, value)| (name.to_owned(), MessageAttribute::text(&value)));
        LaneMessage {
            lane: protocol(envelope.source).meaning(&envelope.event_type).lane,
            message: Outgoing {
                message_body: text.to_owned(),
                message_attributes: attributes.collect(),
                message_group_id: Some(control.group(&envelope.account)),
                message_deduplication_id: None,
            },
        }
    }

    /// A message for an envelope. What no message carries is kept in the bucket, under the key that it had at first, unless
    /// it is there still.
    ///
    /// # Errors
    /// The bucket does not answer, or refuses.
    pub async fn message(
        &self,
        mut envelope: Envelope<'_>,
        control: &Control,
    ) -> Result<LaneMessage, Error> {
        let text = envelope.to_text();
        if self.inline_limit.admits(&text) {
            return Ok(Self::as_it_is(&envelope, &text.to_text(), control));
        }
        if let Content::Inline(record) = envelope.content {
            let key = format!("events/{}/{}", envelope.account, envelope.id);
            if !s3::exists(self.calls, self.bucket, &key).await? {
                let bytes = record.get().as_bytes().to_vec();
                s3::put(self.calls, self.bucket, &key, bytes).await?;
            }
            envelope.content = Content::Stored(DataRef::new(self.bucket, &key));
        }
        let text = envelope.to_text().to_text();
        Ok(Self::as_it_is(&envelope, &text, control))
    }

    /// Sends messages to their lanes, up to ten in a call, and answers for each whether its lane accepted it, or why not.
    /// Their groups are left out where the stack does without fair queues.
    ///
    /// # Errors
    /// A call as a whole did not succeed: what was sent before it is accepted.
    pub async fn send(&self, messages: &[LaneMessage]) -> Result<Vec<Result<(), String>>, Error> {
        let mut answers: Vec<Result<(), String>> = vec![Ok(()); messages.len()];
        let mut lanes: BTreeMap<Lane, Vec<usize>> = BTreeMap::new();
        for (position, message) in messages.iter().enumerate() {
            lanes.entry(message.lane).or_default().push(position);
        }
        for (lane, positions) in lanes {
            let queue = self.stack.lane_queue(lane)?;
            for batch in pack(messages, &positions) {
                for (position, reason) in self.send_batch(queue, messages, batch).await? {
                    if let Some(answer) = answers.get_mut(position) {
                        *answer = Err(reason);
                    }
                }
            }
        }
        Ok(answers)
    }

    /// Sends one batch, and what of it was not accepted again. Answers what was not accepted in the end, and why.
    async fn send_batch(
        &self,
        queue: &str,
        messages: &[LaneMessage],
        mut positions: Vec<usize>,
    ) -> Result<Vec<(usize, String)>, Error> {
        let mut attempt = 1;
        loop {
            let batch: Vec<Outgoing> = positions
                .iter()
                .filter_map(|position| {
                    let mut message = messages.get(*position)?.message.clone();
                    message.message_group_id.take_if(|_| !self.fair_queues);
                    Some(message)
                })
                .collect();
            let failed = sqs::send(self.calls, queue, &batch).await?;
            let failed: Vec<(usize, String)> = failed
                .into_iter()
                .filter_map(|failed| {
                    let position = *positions.get(failed.index)?;
                    let reason = format!("{} {}", failed.code, failed.message);
                    Some((position, reason.trim_end().to_owned()))
                })
                .collect();
            if failed.is_empty() || attempt == ATTEMPTS {
                return Ok(failed);
            }
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
            attempt += 1;
            positions = failed.into_iter().map(|(position, _)| position).collect();
        }
    }
}

/// Packs messages, in their order, into batches that one call can send.
fn pack(messages: &[LaneMessage], positions: &[usize]) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for &position in positions {
        let size = messages
            .get(position)
            .map_or(0, |message| message.message.message_body.len());
        match batches.last_mut() {
            Some(batch) if batch.len() < sqs::BATCH && bytes + size <= BATCH_BYTES => {
                batch.push(position);
                bytes += size;
            }
            _ => {
                batches.push(vec![position]);
                bytes = size;
            }
        }
    }
    batches
}

/// At most so many events a second: it waits before an event is sent, never after the last one.
#[derive(Debug)]
pub struct Rate {
    per_second: u32,
    begun: Instant,
    sent: u64,
}

impl Rate {
    /// At most `per_second` events; at least one.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second: per_second.max(1),
            begun: Instant::now(),
            sent: 0,
        }
    }

    /// How many events are sent at a time: a call's worth, and less where fewer are allowed.
    #[must_use]
    pub fn batch(&self) -> usize {
        usize::try_from(self.per_second).map_or(sqs::BATCH, |rate| rate.min(sqs::BATCH))
    }

    /// Waits until `count` more may be sent.
    pub async fn wait_for(&mut self, count: usize) {
        let due = Duration::from_secs_f64(self.seconds_of(self.sent));
        tokio::time::sleep_until(self.begun + due).await;
        self.sent = self
            .sent
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a wait, in which a millisecond is nothing"
    )]
    fn seconds_of(&self, events: u64) -> f64 {
        events as f64 / f64::from(self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> LaneMessage {
        LaneMessage {
            lane: Lane::Orders,
            message: Outgoing {
                message_body: "x".repeat(bytes),
                ..Outgoing::default()
            },
        }
    }

    #[test]
    fn a_batch_has_ten_messages_and_a_call_s_bytes_at_the_most() {
        let small: Vec<_> = (0..25).map(|_| message(10)).collect();
        let positions: Vec<usize> = (0..25).collect();
        let sizes = |messages: &[LaneMessage], positions: &[usize]| -> Vec<usize> {
            pack(messages, positions).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(&small, &positions), [10, 10, 5]);
        let large: Vec<_> = (0..5).map(|_| message(250_000)).collect();
        assert_eq!(sizes(&large, &[0, 1, 2, 3, 4]), [4, 1]);
        assert_eq!(pack(&small, &[]), Vec::<Vec<usize>>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_waits_before_it_is_exceeded_and_not_after_the_last() {
        let begun = Instant::now();
        let mut rate = Rate::new(50);
        for _ in 0..11 {
            rate.wait_for(rate.batch()).await;
        }
        assert_eq!(begun.elapsed().as_secs(), 2);
        let mut slow = Rate::new(0);
        let begun = Instant::now();
        for _ in 0..3 {
            slow.wait_for(slow.batch()).await;
        }
        assert_eq!(begun.elapsed().as_secs(), 2);
    }
}
