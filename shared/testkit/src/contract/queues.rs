//! [`Queues`]: what is said to be accepted arrives, once and unchanged; what is refused does not.

use std::collections::BTreeSet;
use std::future::Future;

use domain::envelope::Body;
use domain::ports::{BATCH_BYTES, BATCH_COUNT, Message, PortError, QueueUrl, Queues};

use super::Laxity;
use crate::fakes::{FakeQueues, Sent};

/// Empty queues for the suite.
#[derive(Debug, Clone)]
pub struct QueueSet {
    /// A standard queue that takes messages of 1 MiB.
    pub standard: QueueUrl,
    /// A FIFO queue without content-based deduplication.
    pub fifo: QueueUrl,
    /// A queue that does not exist.
    pub missing: QueueUrl,
}

/// What reads the queues of the suite.
pub trait QueueReader: Sync {
    /// Takes the messages out of a queue, as many as are expected, or those that there are after a while.
    fn take(&self, queue: &QueueUrl, expected: usize) -> impl Future<Output = Vec<Sent>> + Send;

    /// Whether a message that is read has the X-Ray header with which it was sent.
    fn keeps_traces(&self) -> bool {
        true
    }
}

impl QueueReader for FakeQueues {
    async fn take(&self, queue: &QueueUrl, _: usize) -> Vec<Sent> {
        let messages = self.messages(queue);
        self.purge();
        messages
    }
}

pub(super) fn message(body: &str) -> Message<'static> {
    Message {
        text: Body::whole(body.to_owned()),
        group: None,
        deduplication: None,
        attributes: Vec::new(),
        trace: None,
    }
}

/// A message with X-Ray's header.
pub(super) fn traced() -> Message<'static> {
    let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    Message {
        trace: Some(header.parse().unwrap()),
        ..message("traced")
    }
}

pub(super) fn fifo_message(body: &str, group: &str, deduplication: &str) -> Message<'static> {
    Message {
        group: Some(group.to_owned()),
        deduplication: Some(deduplication.to_owned()),
        ..message(body)
    }
}

pub(super) fn accepted(answers: &[Result<(), PortError>]) -> usize {
    answers.iter().filter(|answer| answer.is_ok()).count()
}

pub(super) async fn send(queues: &impl Queues, queue: &QueueUrl, batch: &[Message<'_>]) {
    let answers = queues.send(queue, batch).await.unwrap();
    assert_eq!(answers, vec![Ok(()); batch.len()]);
}

/// Holds an implementation of [`Queues`] to its contract.
///
/// # Panics
/// It breaks it.
pub async fn queues(queues: &impl Queues, set: &QueueSet, reader: &impl QueueReader) {
    what_is_sent_arrives(queues, set, reader).await;
    a_full_batch_is_taken_and_a_fuller_one_is_not(queues, set, reader).await;
    as_many_bytes_as_allowed_are_taken(queues, set, reader).await;
    one_bad_message_is_told_from_the_others(queues, set, reader).await;
    a_fifo_queue_keeps_order_and_drops_repeats(queues, set, reader).await;
    let nothing = queues.send(&set.standard, &[]).await.unwrap();
    assert_eq!(nothing, vec![], "an empty batch is sent without a word");
    let batch = [message("lost")];
    let error = queues.send(&set.missing, &batch).await.unwrap_err();
    assert!(error.is_transient(), "a missing queue can be made: {error}");
}

async fn what_is_sent_arrives(queues: &impl Queues, set: &QueueSet, reader: &impl QueueReader) {
    let record = r#"{"name":"Panadería 日本 🥐 \ud83c","n":20.0}"#;
    let batch = [
        Message {
            text: Body::wrapping(r#"{"data":"#.to_owned(), record),
            group: Some("acme".to_owned()),
            deduplication: None,
            attributes: vec![
                ("type", "order.created".to_owned()),
                ("subject", "inventory_level/茶 \"1\"\t<&>".to_owned()),
            ],
            trace: traced().trace,
        },
        message(" tab\t line\n feed\r, \u{FFFD}\u{E000}\u{7F}"),
    ];
    send(queues, &set.standard, &batch).await;
    let mut arrived = reader.take(&set.standard, 2).await;
    let mut sent: Vec<_> = batch.iter().map(Sent::from).collect();
    if !reader.keeps_traces() {
        sent.iter_mut().for_each(|sent| sent.trace = None);
    }
    let by_body = |sent: &Sent| sent.body.clone();
    arrived.sort_by_key(by_body);
    sent.sort_by_key(by_body);
    assert_eq!(arrived, sent);
}

pub(super) async fn a_full_batch_is_taken_and_a_fuller_one_is_not(
    queues: &impl Queues,
    set: &QueueSet,
    reader: &impl QueueReader,
) {
    let bodies: Vec<_> = (0..=BATCH_COUNT).map(|n| format!("message {n}")).collect();
    let messages: Vec<_> = bodies.iter().map(|body| message(body)).collect();
    let error = queues.send(&set.standard, &messages).await;
    assert!(error.is_err(), "eleven messages are no batch");
    send(queues, &set.standard, &messages[..BATCH_COUNT]).await;
    let arrived = reader.take(&set.standard, BATCH_COUNT).await.into_iter();
    let arrived: BTreeSet<_> = arrived.map(|sent| sent.body).collect();
    assert_eq!(arrived, bodies[..BATCH_COUNT].iter().cloned().collect());
}

async fn as_many_bytes_as_allowed_are_taken(
    queues: &impl Queues,
    set: &QueueSet,
    reader: &impl QueueReader,
) {
    let half = "x".repeat(BATCH_BYTES / 2);
    send(queues, &set.standard, &[message(&half), message(&half)]).await;
    assert_eq!(reader.take(&set.standard, 2).await.len(), 2);
    let whole = "x".repeat(BATCH_BYTES);
    // X-Ray's header is not counted.
    let text = Body::whole(whole.clone());
    send(queues, &set.standard, &[Message { text, ..traced() }]).await;
    assert_eq!(reader.take(&set.standard, 1).await[0].body, whole);
}

async fn one_bad_message_is_told_from_the_others(
    queues: &impl Queues,
    set: &QueueSet,
    reader: &impl QueueReader,
) {
    let batch = [
        message("good"),
        message("bad \u{FFFF}"),
        message("also good"),
    ];
    // A queue may refuse the bad one or the whole request, but must say which, and that it lasts.
    let said = match queues.send(&set.standard, &batch).await {
        Ok(answers) => {
            let kinds: Vec<_> = answers.iter().map(Result::is_ok).collect();
            assert_eq!(kinds, [true, false, true]);
            let error = answers[1].as_ref().unwrap_err();
            assert!(!error.is_transient(), "the characters stay: {error}");
            2
        }
        Err(error) => {
            assert!(!error.is_transient(), "the characters stay: {error}");
            0
        }
    };
    assert_eq!(reader.take(&set.standard, said).await.len(), said);
}

async fn a_fifo_queue_keeps_order_and_drops_repeats(
    queues: &impl Queues,
    set: &QueueSet,
    reader: &impl QueueReader,
) {
    let group: String = ('!'..='~')
        .chain("0123456789abcdefghijklmnopqrstuvwx".chars())
        .collect();
    assert_eq!(group.len(), 128);
    let batch = [
        fifo_message("1", &group, "id.1"),
        fifo_message("2", &group, &group),
        fifo_message("3", &group, "id.3"),
    ];
    send(queues, &set.fifo, &batch).await;
    send(queues, &set.fifo, &batch[1..]).await;
    let arrived = reader.take(&set.fifo, 3).await;
    let expected: Vec<_> = batch.iter().map(Sent::from).collect();
    assert_eq!(arrived, expected);
}

/// The refusals of SQS that an implementation does not have.
///
/// # Panics
/// It says of a message that it was refused, and the message arrives; or it says of content that is refused
/// for ever that asking again can help.
pub async fn queue_laxity(
    queues: &impl Queues,
    set: &QueueSet,
    reader: &impl QueueReader,
) -> BTreeSet<Laxity> {
    let mut lax = BTreeSet::new();
    for (laxity, is_fifo, batch) in refused() {
        let queue = if is_fifo { &set.fifo } else { &set.standard };
        let answers = match queues.send(queue, &batch).await {
            Ok(answers) => answers,
            Err(error) => vec![Err(error)],
        };
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let lasts = !laxity.is_of_content() || !error.is_transient();
            assert!(lasts, "{laxity:?} will not pass: {error}");
        }
        let accepted = accepted(&answers);
        if accepted > 0 {
            lax.insert(laxity);
        }
        let arrived = reader.take(queue, accepted).await;
        assert_eq!(arrived.len(), accepted, "{laxity:?}");
    }
    lax
}

/// Batches that SQS refuses, and whether to a FIFO queue.
fn refused() -> Vec<(Laxity, bool, Vec<Message<'static>>)> {
    let standard = |laxity, message| (laxity, false, vec![message]);
    let fifo = |laxity, message| (laxity, true, vec![message]);
    let long = "g".repeat(129);
    let group = |group: &str| Message {
        group: Some(group.to_owned()),
        ..message("grouped")
    };
    let attribute = |name: &'static str, value: &str| Message {
        attributes: vec![(name, value.to_owned())],
        ..message("attributed")
    };
    const ELEVEN: [&str; 11] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
    let eleven = Message {
        attributes: ELEVEN.map(|name| (name, "v".to_owned())).to_vec(),
        ..message("attributed")
    };
    let deduplicated = |body| Message {
        deduplication: Some("id.a".to_owned()),
        ..message(body)
    };
    // Larger than SQS takes: by a message, by all together, and by an attribute.
    let half = "x".repeat(BATCH_BYTES / 2);
    let too_large = message(&"x".repeat(BATCH_BYTES + 1));
    let too_large_together = vec![message(&half), message(&format!("{half}x"))];
    let with_attribute = Message {
        attributes: vec![("a", "b".to_owned())],
        ..message(&half)
    };
    let too_large_by_attribute = vec![message(&half), with_attribute];
    vec![
        standard(Laxity::EmptyBody, message("")),
        standard(Laxity::BodyCharacter, message("\u{FFFF}")),
        standard(Laxity::BodyControl, message("bell \u{7}")),
        standard(Laxity::LargeMessage, too_large),
        (Laxity::LargeBatch, false, too_large_together),
        (Laxity::LargeAttributes, false, too_large_by_attribute),
        standard(Laxity::LongGroup, group(&long)),
        standard(Laxity::GroupWithSpace, group("a b")),
        standard(Laxity::GroupOutsideAscii, group("é")),
        fifo(Laxity::LongDeduplication, fifo_message("f", "g", &long)),
        fifo(
            Laxity::DeduplicationOutsideAscii,
            fifo_message("f", "g", "é"),
        ),
        standard(
            Laxity::DeduplicationOnStandardQueue,
            deduplicated("on a standard queue"),
        ),
        fifo(Laxity::FifoWithoutGroup, deduplicated("ungrouped")),
        fifo(Laxity::FifoWithoutDeduplication, group("g")),
        standard(Laxity::EmptyAttribute, attribute("a", "")),
        standard(Laxity::AttributeCharacter, attribute("a", "\u{FFFF}")),
        standard(Laxity::AttributeControl, attribute("a", "bell \u{7}")),
        standard(Laxity::ReservedAttributeName, attribute("AWS.type", "v")),
        standard(Laxity::AttributeNameWithSpace, attribute("a b", "v")),
        standard(Laxity::ElevenAttributes, eleven),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> QueueSet {
        QueueSet {
            standard: QueueUrl::new("https://queues/standard"),
            fifo: QueueUrl::new("https://queues/ordered.fifo"),
            missing: QueueUrl::new("https://queues/missing"),
        }
    }

    #[tokio::test]
    // requirement: check-fakes
    async fn the_fake_keeps_the_contract_and_refuses_what_sqs_refuses() {
        let fake = FakeQueues::default();
        fake.remove(&set().missing);
        queues(&fake, &set(), &fake).await;
        assert_eq!(queue_laxity(&fake, &set(), &fake).await, BTreeSet::new());
        let strict = FakeQueues::default();
        strict.remove(&set().missing);
        strict.refuse_whole_batches();
        queues(&strict, &set(), &strict).await;
    }

    #[tokio::test]
    async fn the_list_of_refusals_is_complete() {
        let refused = refused().into_iter().map(|(laxity, ..)| laxity);
        assert_eq!(refused.collect::<BTreeSet<_>>(), Laxity::OF_QUEUES.into());
    }

    #[tokio::test]
    async fn a_limit_of_the_queue_is_kept() {
        let fake = FakeQueues::default();
        fake.limit(&set().standard, 5);
        let batch = [message("12345"), message("123456")];
        let answers = fake.send(&set().standard, &batch).await.unwrap();
        assert!(matches!(answers[..], [Ok(()), Err(_)]), "{answers:?}");
        assert_eq!(fake.counts()[&set().standard], 1);
    }

    #[tokio::test]
    async fn faults_reach_single_entries() {
        use crate::fakes::Fault;
        use domain::ports::ErrorKind;
        let fake = FakeQueues::default();
        let queue = set().standard;
        fake.script()
            .on("send")
            .within(&queue)
            .fault(Fault::entries_with(
                |body| body.contains("two"),
                ErrorKind::Transient,
                "InternalError",
            ));
        fake.script().on("send").fault(Fault::lost());
        let batch = [message("one"), message("two")];
        let answers = fake.send(&queue, &batch).await.unwrap();
        assert_eq!(
            answers[1],
            Err(PortError::transient("queues.send", "InternalError"))
        );
        assert_eq!(accepted(&answers), 1);
        fake.send(&queue, &batch[1..]).await.unwrap_err();
        let sent = fake.messages(&queue).into_iter();
        let bodies: Vec<_> = sent.map(|sent| sent.body).collect();
        assert_eq!(bodies, ["one", "two"]);
    }
}
