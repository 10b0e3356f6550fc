//! Queues of teams that refused us outright a moment ago: gone, or without permission or key. What is for them is set aside
//! at once, so that one team's queue slows nobody else's events.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::ports::{PortError, QueueUrl};
use tokio::time::Instant;

/// How long a queue is not asked again.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The queues, each with when and why it refused. There are no more than routes.
#[derive(Debug, Default)]
pub(crate) struct ClosedQueues(Mutex<HashMap<QueueUrl, (Instant, PortError)>>);

impl ClosedQueues {
    /// Why a queue is not asked, if it refused a moment ago.
    pub(crate) fn reason(&self, queue: &QueueUrl) -> Option<PortError> {
        let queues = self.lock();
        let (at, reason) = queues.get(queue)?;
        (at.elapsed() < REMEMBERED).then(|| reason.clone())
    }

    /// Remembers what a queue answered, if it refuses whatever is sent.
    pub(crate) fn note(&self, queue: &QueueUrl, answers: &[Result<(), PortError>]) {
        let mut refusals = answers.iter().filter_map(|answer| answer.as_ref().err());
        if let Some(reason) = refusals.find(|error| error.is_closed()) {
            let now = Instant::now();
            self.lock().insert(queue.clone(), (now, reason.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueUrl, (Instant, PortError)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
