//! The visibility of messages as SQS changes it.

use std::collections::BTreeMap;

use domain::ports::{PortError, QueueUrl, Redelivery};

use super::{Fake, Kept};

/// The longest visibility time-out, in seconds: twelve hours.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>
const LONGEST: u32 = 43_200;

/// Queues that remember which of their messages were delayed. The scope of a call is the queue's URL.
pub type FakeRedelivery = Fake<State>;

/// Seconds of delay by queue and receipt handle.
#[derive(Debug, Default)]
pub struct State(BTreeMap<(QueueUrl, String), u32>);

impl Kept for State {
    const CALLS: &'static [&'static str] = &["redelivery.delay"];
}

impl FakeRedelivery {
    /// The delays of a queue's messages in seconds, by receipt handle.
    #[must_use]
    pub fn delays(&self, queue: &QueueUrl) -> BTreeMap<String, u32> {
        let delays = self.state().0.clone().into_iter();
        let of_queue = delays.filter(|((delayed, _), _)| delayed == queue);
        of_queue
            .map(|((_, handle), seconds)| (handle, seconds))
            .collect()
    }

    /// Takes out the receipt handles of a queue's messages that have no delay: they can be received again.
    pub fn take_visible(&self, queue: &QueueUrl) -> Vec<String> {
        let mut delays = self.state();
        let visible = delays.0.extract_if(.., |(delayed, _), seconds| {
            delayed == queue && *seconds == 0
        });
        visible.map(|((_, handle), _)| handle).collect()
    }
}

impl Redelivery for FakeRedelivery {
    async fn delay(&self, queue: &QueueUrl, messages: &[(String, u32)]) -> Result<(), PortError> {
        let begun = self.script.begin("delay", queue.as_str()).await?;
        let mut refused = None;
        let mut delays = self.state();
        for (position, (handle, seconds)) in messages.iter().enumerate() {
            match begun.refusal(position, handle) {
                Some(error) => refused = Some(error),
                None if handle.is_empty() => {
                    refused = Some(begun.permanent("InvalidParameterValue"));
                }
                None => {
                    let message = (queue.clone(), handle.clone());
                    delays.0.insert(message, (*seconds).min(LONGEST));
                }
            }
        }
        match refused {
            Some(error) => Err(error),
            None => begun.done(()),
        }
    }
}
