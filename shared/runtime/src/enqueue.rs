//! Sending to a queue until it accepts: packing by count and by size, retries with jitter, and one answer
//! for every message.
//!
//! `SendMessageBatch` answers success also where it refused some of its entries, and one bad entry can make
//! it refuse all. Both end here, so that nobody else has to know.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>

use std::borrow::Cow;
use std::time::Duration;

use domain::ports::{BATCH_COUNT, Message, PortError, QueueUrl, Queues};
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::deadline::{TIMEOUT, in_time};
use crate::jitter;

/// The pause before the second try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

const SENDING: &str = "sending to a queue";
/// The code of a message whose turn did not come.
const NOT_SENT: &str = "not_sent";

/// Sends messages to one queue, and returns for each whether the queue accepted it: as many answers as
/// messages, in their order. What is refused for a transient reason is sent again until `deadline`; what a queue refuses
/// because it is gone or closed to us is not.
pub async fn enqueue<Q: Queues>(
    queues: &Q,
    queue: &QueueUrl,
    messages: &[Message<'_>],
    deadline: Instant,
) -> Vec<Result<(), PortError>> {
    let mut answers = vec![Err(PortError::transient(SENDING, NOT_SENT)); messages.len()];
    let mut open: Vec<usize> = (0..messages.len()).collect();
    let mut pause = FIRST_PAUSE;
    loop {
        for (position, answer) in send_once(queues, queue, messages, &open, deadline).await {
            match answers.get_mut(position) {
                Some(slot) if !says_less(&answer, slot) => *slot = answer,
                Some(_) | None => {}
            }
        }
        open.retain(|position| {
            answers
                .get(*position)
                .is_some_and(|answer| answer.as_ref().is_err_and(is_worth_another_try))
        });
        let jittered = pause.mul_f64(0.5 + jitter::fraction() / 2.0);
        if open.is_empty() || Instant::now() + jittered >= deadline {
            return answers;
        }
        sleep(jittered).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_worth_another_try(error: &PortError) -> bool {
    error.is_transient() && !error.is_closed()
}

/// Whether a try was only cut short by the deadline, and the queue itself had refused an earlier one: that is the
/// reason which an operator needs.
fn says_less(answer: &Result<(), PortError>, before: &Result<(), PortError>) -> bool {
    match (answer, before) {
        (Err(now), Err(before)) => {
            now.code == TIMEOUT && before.code != TIMEOUT && before.code != NOT_SENT
        }
        _ => false,
    }
}

/// Sends the messages at these positions once, each batch that is refused as a whole also one by one.
async fn send_once<Q: Queues>(
    queues: &Q,
    queue: &QueueUrl,
    messages: &[Message<'_>],
    positions: &[usize],
    deadline: Instant,
) -> Vec<(usize, Result<(), PortError>)> {
    let batches = pack(messages, positions, queue.batch_bytes());
    let sent = batches
        .iter()
        .map(|batch| send_batch(queues, queue, messages, batch, deadline));
    if queue.is_fifo() {
        // Order is the point of such a queue, so one batch waits for the other.
        let mut answers = Vec::with_capacity(positions.len());
        for batch in sent {
            answers.extend(batch.await);
        }
        return answers;
    }
    join_all(sent).await.into_iter().flatten().collect()
}

async fn send_batch<Q: Queues>(
    queues: &Q,
    queue: &QueueUrl,
    messages: &[Message<'_>],
    positions: &[usize],
    deadline: Instant,
) -> Vec<(usize, Result<(), PortError>)> {
    let batch = batch(messages, positions);
    match in_time(deadline, SENDING, queues.send(queue, &batch)).await {
        Ok(answers) => {
            let unsaid = || Err(PortError::transient(SENDING, "no_answer"));
            let answers = answers.into_iter().chain(std::iter::repeat_with(unsaid));
            positions.iter().copied().zip(answers).collect()
        }
        Err(error) if error.is_transient() || batch.len() == 1 => positions
            .iter()
            .map(|position| (*position, Err(error.clone())))
            .collect(),
        // One entry is bad, and the answer does not say which.
        Err(_) => {
            let mut answers = Vec::with_capacity(batch.len());
            for (position, message) in positions.iter().zip(batch.chunks(1)) {
                let answer = match in_time(deadline, SENDING, queues.send(queue, message)).await {
                    Ok(one) => one
                        .into_iter()
                        .next()
                        .unwrap_or_else(|| Err(PortError::transient(SENDING, "no_answer"))),
                    Err(error) => Err(error),
                };
                answers.push((*position, answer));
            }
            answers
        }
    }
}

/// The messages at these positions, which grow. Those of a first try follow one another and need not be copied.
fn batch<'b, 'm>(messages: &'b [Message<'m>], positions: &[usize]) -> Cow<'b, [Message<'m>]> {
    if let (Some(first), Some(last)) = (positions.first(), positions.last())
        && last - first + 1 == positions.len()
        && let Some(batch) = messages.get(*first..=*last)
    {
        return Cow::Borrowed(batch);
    }
    let messages = positions
        .iter()
        .filter_map(|position| messages.get(*position));
    Cow::Owned(messages.cloned().collect())
}

/// Packs messages, in their order, into batches that one call can send.
fn pack(messages: &[Message<'_>], positions: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0;
    for &position in positions {
        let size = messages.get(position).map_or(0, Message::size);
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_COUNT && bytes + size <= most => {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use domain::envelope::Body;
    use domain::ports::BATCH_BYTES;
    use rstest::rstest;

    use super::*;

    /// What a queue says to one call.
    type Answer = Result<Vec<Result<(), PortError>>, PortError>;

    /// A queue whose answers are written down beforehand; afterwards it accepts.
    #[derive(Default)]
    struct Scripted {
        answers: Mutex<Vec<Answer>>,
        batches: Mutex<Vec<Vec<String>>>,
    }

    impl Scripted {
        fn answering(answers: Vec<Answer>) -> Self {
            Self {
                answers: Mutex::new(answers.into_iter().rev().collect()),
                ..Self::default()
            }
        }

        fn batches(&self) -> Vec<Vec<String>> {
            self.batches.lock().unwrap().clone()
        }
    }

    impl Queues for Scripted {
        async fn send(&self, _: &QueueUrl, batch: &[Message<'_>]) -> Answer {
            self.batches
                .lock()
                .unwrap()
                .push(batch.iter().map(|message| message.text.to_text()).collect());
            self.answers
                .lock()
                .unwrap()
                .pop()
                .unwrap_or_else(|| Ok(vec![Ok(()); batch.len()]))
        }
    }

    fn messages(bodies: &[&str]) -> Vec<Message<'static>> {
        let message = |body: &&str| Message {
            text: Body::whole((*body).to_owned()),
            group: None,
            deduplication: None,
            attributes: Vec::new(),
            trace: None,
        };
        bodies.iter().map(message).collect()
    }

    fn busy() -> PortError {
        PortError::transient("sending to a queue", "ServiceUnavailable")
    }

    fn bad() -> PortError {
        PortError::permanent("sending to a queue", "InvalidMessageContents")
    }

    #[tokio::test(start_paused = true)]
    // requirement: lost-gone-queue
    async fn a_queue_that_is_closed_is_asked_once() {
        let closed = PortError::closed("sending to a queue", "QueueDoesNotExist");
        let queues = Scripted::answering(vec![Err(closed)]);
        let begun = Instant::now();
        assert_eq!(enqueued(&queues, &["a", "b"]).await, [false, false]);
        assert_eq!(queues.batches().len(), 1);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    async fn enqueued(queues: &Scripted, bodies: &[&str]) -> Vec<bool> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let answers = enqueue(queues, &QueueUrl::new("queue"), &messages(bodies), deadline).await;
        answers.iter().map(Result::is_ok).collect()
    }

    #[rstest]
    #[case::none(&[], &[])]
    #[case::ten(&[1; 10], &[10])]
    #[case::eleven(&[1; 11], &[10, 1])]
    #[case::sizes_add_up(&[2_000, 2_000, 2_000], &[3])]
    #[case::to_the_byte(&[524_288, 524_288, 1], &[2, 1])]
    #[case::one_byte_more(&[524_288, 524_289], &[1, 1])]
    #[case::too_large_for_any_batch(&[1, 2_000_000, 1], &[1, 1, 1])]
    // requirement: size-batch
    fn batches_keep_to_both_limits(#[case] sizes: &[usize], #[case] expected: &[usize]) {
        let bodies: Vec<String> = sizes.iter().map(|size| "x".repeat(*size)).collect();
        let messages = messages(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
        let positions: Vec<usize> = (0..messages.len()).collect();
        let batches = pack(&messages, &positions, BATCH_BYTES);
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), expected);
        assert_eq!(batches.concat(), positions);
    }

    #[tokio::test(start_paused = true)]
    // requirement: size-batch
    async fn a_topic_is_sent_a_quarter_of_what_a_queue_is() {
        let half = "x".repeat(131_072);
        for (place, expected) in [("https://q/a", 1), ("arn:aws:sns:eu-west-1:1:a", 2)] {
            let queues = Scripted::answering(vec![]);
            let deadline = Instant::now() + Duration::from_secs(1);
            let messages = messages(&[&half, &half, "x"]);
            let answers = enqueue(&queues, &QueueUrl::new(place), &messages, deadline).await;
            assert!(answers.iter().all(Result::is_ok));
            assert_eq!(queues.batches().len(), expected, "{place}");
        }
    }

    #[rstest]
    #[case::to_the_byte(524_280, 1)]
    #[case::one_byte_more(524_281, 2)]
    // requirement: size-batch
    fn attributes_count_with_their_names_and_types(#[case] bytes: usize, #[case] batches: usize) {
        let bodies = ["x".repeat(524_280), "x".repeat(bytes)];
        let mut messages = messages(&bodies.each_ref().map(String::as_str));
        for message in &mut messages {
            message.attributes = vec![("a", "b".to_owned())];
        }
        assert_eq!(pack(&messages, &[0, 1], BATCH_BYTES).len(), batches);
    }

    #[tokio::test(start_paused = true)]
    // requirement: durable-partial
    async fn only_the_refused_entries_are_sent_again() {
        let queues = Scripted::answering(vec![Ok(vec![Ok(()), Err(busy()), Ok(())])]);
        assert_eq!(enqueued(&queues, &["a", "b", "c"]).await, [true; 3]);
        assert_eq!(queues.batches(), [vec!["a", "b", "c"], vec!["b"]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_did_not_succeed_is_made_again() {
        let queues = Scripted::answering(vec![Err(busy()), Err(busy())]);
        assert_eq!(enqueued(&queues, &["a", "b"]).await, [true; 2]);
        assert_eq!(queues.batches().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_entry_that_spoils_its_batch_is_found() {
        let queues = Scripted::answering(vec![
            Err(bad()),
            Ok(vec![Ok(())]),
            Err(bad()),
            Ok(vec![Ok(())]),
        ]);
        assert_eq!(
            enqueued(&queues, &["a", "b", "c"]).await,
            [true, false, true]
        );
        assert_eq!(
            queues.batches(),
            [vec!["a", "b", "c"], vec!["a"], vec!["b"], vec!["c"]]
        );
    }

    #[tokio::test(start_paused = true)]
    // requirement: durable-partial
    async fn a_permanent_refusal_is_final_and_a_missing_answer_is_none() {
        let queues = Scripted::answering(vec![Ok(vec![Err(bad())])]);
        assert_eq!(enqueued(&queues, &["a", "b"]).await, [false, true]);
        assert_eq!(queues.batches(), [vec!["a", "b"], vec!["b"]]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_it_with_an_answer_for_every_message() {
        let queues = Scripted::answering((0..1000).map(|_| Err(busy())).collect());
        let begun = Instant::now();
        assert_eq!(enqueued(&queues, &["a", "b"]).await, [false, false]);
        assert!(begun.elapsed() <= Duration::from_secs(5));
        assert!(queues.batches().len() > 3);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_with_jitter_up_to_two_seconds() {
        /// Notes when it is asked, and refuses.
        #[derive(Default)]
        struct Busy(Mutex<Vec<Instant>>);
        impl Queues for Busy {
            async fn send(&self, _: &QueueUrl, _: &[Message<'_>]) -> Answer {
                self.0.lock().unwrap().push(Instant::now());
                Err(busy())
            }
        }
        let mut seventh = Vec::new();
        for _ in 0..20 {
            let (queue, begun) = (Busy::default(), Instant::now());
            let deadline = begun + Duration::from_secs(20);
            enqueue(&queue, &QueueUrl::new("queue"), &messages(&["a"]), deadline).await;
            let asked = queue.0.into_inner().unwrap();
            let pauses: Vec<u128> = asked
                .windows(2)
                .map(|two| (two[1] - two[0]).as_millis())
                .collect();
            let longest = [50, 100, 200, 400, 800, 1600, 2000, 2000, 2000, 2000];
            assert!(pauses.len() >= longest.len(), "{pauses:?}");
            for (pause, longest) in pauses.iter().zip(longest) {
                // The clock's timers are a millisecond late at most.
                assert!((longest / 2..=longest + 1).contains(pause), "{pauses:?}");
            }
            assert!(begun.elapsed() < Duration::from_secs(20));
            seventh.push(pauses[6]);
        }
        seventh.sort_unstable();
        seventh.dedup();
        assert!(seventh.len() > 1, "without jitter all come again at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_the_deadline_cuts_short_does_not_hide_why_the_queue_refused() {
        /// Refuses once, and then never answers.
        struct Gone(Mutex<bool>);
        impl Queues for Gone {
            async fn send(&self, _: &QueueUrl, _: &[Message<'_>]) -> Answer {
                if std::mem::replace(&mut *self.0.lock().unwrap(), true) {
                    std::future::pending::<()>().await;
                }
                Err(PortError::transient(SENDING, "QueueDoesNotExist"))
            }
        }
        let deadline = Instant::now() + Duration::from_secs(1);
        let gone = Gone(Mutex::new(false));
        let answers = enqueue(&gone, &QueueUrl::new("queue"), &messages(&["a"]), deadline).await;
        assert_eq!(
            answers,
            [Err(PortError::transient(SENDING, "QueueDoesNotExist"))]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_never_answers_costs_no_more_than_the_deadline() {
        struct Silent;
        impl Queues for Silent {
            async fn send(&self, _: &QueueUrl, _: &[Message<'_>]) -> Answer {
                std::future::pending().await
            }
        }
        let deadline = Instant::now() + Duration::from_secs(1);
        let answers = enqueue(
            &Silent,
            &QueueUrl::new("queue"),
            &messages(&["a"]),
            deadline,
        )
        .await;
        assert_eq!(
            answers,
            [Err(PortError::transient("sending to a queue", "timeout"))]
        );
        assert!(Instant::now() <= deadline + Duration::from_millis(2));
    }
}
