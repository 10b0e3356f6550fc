//! The visibility of messages as SQS changes it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use domain::ports::{PortError, QueueUrl, Redelivery};

use super::lock;
use super::script::{Journal, Script};

/// The longest visibility time-out, in seconds: twelve hours.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>
const LONGEST: u32 = 43_200;

/// Queues that remember which of their messages were delayed.
#[derive(Debug)]
pub struct FakeRedelivery {
    script: Script,
    delays: Mutex<BTreeMap<(QueueUrl, String), u32>>,
}

impl Default for FakeRedelivery {
    fn default() -> Self {
        Self {
            script: Script::new("redelivery", &[("delay", "redelivery.delay")]),
            delays: Mutex::default(),
        }
    }
}

impl FakeRedelivery {
    /// Queues that write into a journal which others share.
    #[must_use]
    pub fn sharing(journal: &Journal) -> Self {
        let mut redelivery = Self::default();
        redelivery.script.share(journal);
        redelivery
    }

    /// The faults; the scope of a call is the queue's URL.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// How often each operation was called.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.script.calls()
    }

    /// The delays of a queue's messages in seconds, by receipt handle.
    #[must_use]
    pub fn delays(&self, queue: &QueueUrl) -> BTreeMap<String, u32> {
        lock(&self.delays)
            .iter()
            .filter(|((delayed, _), _)| delayed == queue)
            .map(|((_, handle), seconds)| (handle.clone(), *seconds))
            .collect()
    }

    /// Takes out the receipt handles of a queue's messages that have no delay: they can be received again.
    pub fn take_visible(&self, queue: &QueueUrl) -> Vec<String> {
        let mut delays = lock(&self.delays);
        let visible = delays.extract_if(.., |(delayed, _), seconds| {
            delayed == queue && *seconds == 0
        });
        visible.map(|((_, handle), _)| handle).collect()
    }
}

impl Redelivery for FakeRedelivery {
    async fn delay(&self, queue: &QueueUrl, messages: &[(String, u32)]) -> Result<(), PortError> {
        let begun = self.script.begin("delay", queue.as_str()).await?;
        let mut refused = None;
        for (position, (handle, seconds)) in messages.iter().enumerate() {
            match begun.refusal(position, handle) {
                Some(error) => refused = Some(error),
                None if handle.is_empty() => {
                    refused = Some(begun.permanent("InvalidParameterValue"));
                }
                None => {
                    let seconds = (*seconds).min(LONGEST);
                    lock(&self.delays).insert((queue.clone(), handle.clone()), seconds);
                }
            }
        }
        match refused {
            Some(error) => Err(error),
            None => begun.done(()),
        }
    }
}
