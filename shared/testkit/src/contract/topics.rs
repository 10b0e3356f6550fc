//! [`Queues`] where the place is an SNS topic: what is said to be accepted reaches a queue that is subscribed to it with raw
//! delivery, once and unchanged.

use domain::envelope::Body;
use domain::ports::{Message, Queues, TOPIC_BATCH_BYTES};

use super::queues::{
    QueueReader, QueueSet, a_full_batch_is_taken_and_a_fuller_one_is_not, accepted, fifo_message,
    message, send, traced,
};
use crate::fakes::Sent;

/// Holds an implementation of [`Queues`] to its contract for topics. The set names topics, and the reader takes what reached
/// their queues.
///
/// # Panics
/// It breaks it.
pub async fn topics(queues: &impl Queues, set: &QueueSet, reader: &impl QueueReader) {
    let (standard, fifo) = (&set.standard, &set.fifo);
    // A trace header has no place there, and costs the message nothing.
    let record = r#"{"name":"Panadería 日本 🥐 \ud83c","a":"b&c=d","n":20.0}"#;
    let published = Message {
        text: Body::wrapping(r#"{"data":"#.to_owned(), record),
        attributes: vec![
            ("type", "order.created".to_owned()),
            ("subject", "inventory_level/茶 \"1\" <&>".to_owned()),
        ],
        ..traced()
    };
    send(queues, standard, std::slice::from_ref(&published)).await;
    let expected = Sent {
        trace: None,
        ..Sent::from(&published)
    };
    assert_eq!(reader.take(standard, 1).await, [expected]);

    a_full_batch_is_taken_and_a_fuller_one_is_not(queues, set, reader).await;

    let whole = "x".repeat(TOPIC_BATCH_BYTES);
    send(queues, standard, &[message(&whole)]).await;
    assert_eq!(reader.take(standard, 1).await[0].body, whole);
    // One byte more may be refused with the call or by itself, but for ever: the same content is never taken.
    let more = format!("{whole}x");
    let answer = queues.send(standard, &[message(&more)]).await;
    let error = match answer {
        Ok(answers) => {
            assert_eq!(accepted(&answers), 0);
            answers.into_iter().next().and_then(Result::err).unwrap()
        }
        Err(error) => error,
    };
    assert!(!error.is_transient(), "the size stays: {error}");
    assert_eq!(reader.take(standard, 0).await, []);

    let batch = ["1", "2", "3"].map(|body| fifo_message(body, "record", body));
    send(queues, fifo, &batch).await;
    send(queues, fifo, &batch[1..]).await;
    let expected: Vec<_> = batch.iter().map(Sent::from).collect();
    assert_eq!(reader.take(fifo, 3).await, expected);

    let nothing = queues.send(standard, &[]).await.unwrap();
    assert_eq!(nothing, vec![], "an empty batch is sent without a word");
    let error = queues.send(&set.missing, &[message("lost")]).await;
    let error = error.unwrap_err();
    assert!(error.is_closed(), "an operator can make a topic: {error}");
}

#[cfg(test)]
mod tests {
    use domain::ports::QueueUrl;

    use super::*;
    use crate::fakes::FakeQueues;

    #[tokio::test]
    // requirement: check-fakes
    async fn the_fake_keeps_its_contract() {
        let topic = |name| QueueUrl::new(format!("arn:aws:sns:eu-west-1:111122223333:{name}"));
        let set = QueueSet {
            standard: topic("standard"),
            fifo: topic("fifo.fifo"),
            missing: topic("missing"),
        };
        let fake = FakeQueues::default();
        fake.remove(&set.missing);
        topics(&fake, &set, &fake).await;
    }
}
