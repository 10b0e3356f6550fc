//! [`Redelivery`]: failed messages come back after their own delays.

use std::future::Future;

use domain::ports::{QueueUrl, Redelivery};

/// A queue with messages for the suite.
pub trait Lane: Sync {
    /// Its URL.
    fn queue(&self) -> &QueueUrl;

    /// Receives the messages that are visible, as many as are expected, or those that there are after a
    /// while: each one's body and receipt handle.
    fn receive(&self, expected: usize) -> impl Future<Output = Vec<(String, String)>> + Send;
}

/// How many messages the suite's queue has to have; their visibility time-out has to outlast the suite.
pub const MESSAGES: usize = 13;

/// Holds an implementation of [`Redelivery`] to its contract, on a queue of [`MESSAGES`] messages.
///
/// # Panics
/// It breaks it.
pub async fn redelivery(redelivery: &impl Redelivery, lane: &impl Lane) {
    let received = lane.receive(MESSAGES).await;
    assert_eq!(received.len(), MESSAGES);
    assert_eq!(lane.receive(0).await, [], "what was received is hidden");
    redelivery.delay(lane.queue(), &[]).await.unwrap();

    let delays = |received: &[(String, String)]| -> Vec<(String, u32)> {
        let delay = |(position, (_, handle)): (usize, &(String, String))| {
            // The last one stays away; twelve hours are the most, and more is no error.
            let seconds = if position + 1 == MESSAGES { 100_000 } else { 0 };
            (handle.clone(), seconds)
        };
        received.iter().enumerate().map(delay).collect()
    };
    redelivery
        .delay(lane.queue(), &delays(&received))
        .await
        .unwrap();
    let again = lane.receive(MESSAGES - 1).await;
    let bodies = |received: &[(String, String)]| {
        let mut bodies: Vec<_> = received.iter().map(|(body, _)| body.clone()).collect();
        bodies.sort();
        bodies
    };
    assert_eq!(bodies(&again), bodies(&received[..MESSAGES - 1]));

    // Ten to a call: one bad handle leaves the messages of the other call as they should be.
    let mut with_bad = delays(&again);
    with_bad.insert(0, (String::new(), 0));
    assert!(redelivery.delay(lane.queue(), &with_bad).await.is_err());
    let back = bodies(&lane.receive(3).await);
    let of_second_call = bodies(&again[9..]);
    assert!(
        of_second_call.iter().all(|body| back.contains(body)),
        "{back:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::FakeRedelivery;
    use std::sync::Mutex;

    /// Messages whose bodies are their handles, visible at first and when they were delayed by nothing.
    struct FakeLane<'b> {
        redelivery: &'b FakeRedelivery,
        queue: QueueUrl,
        visible: Mutex<Vec<String>>,
    }

    impl Lane for FakeLane<'_> {
        fn queue(&self) -> &QueueUrl {
            &self.queue
        }

        async fn receive(&self, _: usize) -> Vec<(String, String)> {
            let mut visible = std::mem::take(&mut *self.visible.lock().unwrap());
            visible.extend(self.redelivery.take_visible(&self.queue));
            visible
                .into_iter()
                .map(|handle| (handle.clone(), handle))
                .collect()
        }
    }

    #[tokio::test]
    async fn the_fake_keeps_the_contract() {
        let fake = FakeRedelivery::default();
        let lane = FakeLane {
            redelivery: &fake,
            queue: QueueUrl::new("lane"),
            visible: Mutex::new((0..MESSAGES).map(|n| format!("handle-{n:02}")).collect()),
        };
        redelivery(&fake, &lane).await;
        assert_eq!(fake.delays(&lane.queue)["handle-12"], 43_200);
    }
}
