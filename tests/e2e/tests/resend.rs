//! `orderhook resend`: what a team's queue refused goes to it again, whatever else lies in the undelivered queue.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is"
)]

use std::time::{SystemTime, UNIX_EPOCH};

use e2e::Stack;
use orderhook::resend::{Caller, Done, Resend, resend};

/// An undelivered queue and a team's queue of one test's own.
struct Queues {
    stack: Stack,
    undelivered: String,
    team: String,
}

impl Queues {
    async fn new(test: &str) -> Self {
        let stack = Stack::here().await;
        #[expect(clippy::disallowed_methods, reason = "every run has another time")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let make = async |role: &str| {
            let name = format!("resend-{test}-{role}-{}", now.as_nanos());
            let made = stack.sqs.create_queue().queue_name(name).send().await;
            made.unwrap().queue_url.unwrap()
        };
        let (undelivered, team) = (make("undelivered").await, make("team").await);
        Self {
            stack,
            undelivered,
            team,
        }
    }

    async fn put(&self, body: &str) {
        let send = self.stack.sqs.send_message().queue_url(&self.undelivered);
        send.message_body(body).send().await.unwrap();
    }

    async fn put_for(&self, team: &str, number: usize) {
        let envelope = format!(
            r#"{{"id":"e.{number:05}","type":"orderspace.order.created","account":"acme","subject":"order/or_{number}"}}"#
        );
        self.put(&format!(
            r#"{{"team":"{team}","queue":"q","reason":"QueueDoesNotExist","envelope":{envelope}}}"#
        ))
        .await;
    }

    async fn resend_to(&self, team_queue: &str) -> anyhow::Result<Done> {
        let outputs = &self.stack.outputs;
        let caller = Caller::of(
            &outputs.endpoint_url,
            &outputs.region,
            &outputs.access_key_id,
            &outputs.secret_access_key,
        );
        let arguments = Resend {
            team: "sales".to_owned(),
            from: self.undelivered.clone(),
            to: team_queue.to_owned(),
        };
        resend(&caller, &arguments).await
    }

    async fn visible(&self, queue: &str) -> usize {
        let name = aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages;
        let ask = self.stack.sqs.get_queue_attributes().queue_url(queue);
        let answer = ask.attribute_names(name.clone()).send().await.unwrap();
        answer.attributes.unwrap()[&name].parse().unwrap()
    }

    async fn remove(self) {
        for queue in [&self.undelivered, &self.team] {
            let removed = self.stack.sqs.delete_queue().queue_url(queue).send().await;
            removed.unwrap();
        }
    }
}

#[tokio::test]
async fn whatever_lies_in_front_of_it_a_team_s_event_is_sent_again() {
    let queues = Queues::new("front").await;
    queues.put("no event at all").await;
    for number in 0..35 {
        queues.put_for("finance", number).await;
    }
    queues.put(r#"{"team":"sales","envelope":7}"#).await;
    for number in 35..40 {
        queues.put_for("sales", number).await;
    }
    let done = queues.resend_to(&queues.team).await.unwrap();
    assert_eq!((done.sent, done.others, done.hidden), (5, 35, 0));
    assert_eq!(done.unreadable.len(), 2, "{:?}", done.unreadable);
    assert!(!done.is_complete(), "somebody has to look at the others");
    assert_eq!(queues.visible(&queues.team).await, 5);
    assert_eq!(
        queues.visible(&queues.undelivered).await,
        37,
        "all else is shown again"
    );
    queues.remove().await;
}

#[tokio::test]
async fn right_after_a_failed_run_everything_is_there() {
    let queues = Queues::new("failed").await;
    for number in 0..12 {
        queues.put_for("sales", number).await;
    }
    let gone = format!("{}-gone", queues.team);
    let error = queues.resend_to(&gone).await.unwrap_err();
    assert!(format!("{error:#}").contains("refuses still"), "{error:#}");
    let done = queues.resend_to(&queues.team).await.unwrap();
    assert_eq!((done.sent, done.others), (12, 0));
    assert!(done.is_complete());
    queues.remove().await;
}

#[tokio::test]
async fn what_somebody_else_hides_is_not_called_nothing() {
    let queues = Queues::new("hidden").await;
    queues.put_for("sales", 1).await;
    let receive = queues.stack.sqs.receive_message();
    let receive = receive
        .queue_url(&queues.undelivered)
        .visibility_timeout(60);
    let hidden = receive.send().await.unwrap();
    assert_eq!(hidden.messages().len(), 1);
    let done = queues.resend_to(&queues.team).await.unwrap();
    assert_eq!((done.sent, done.hidden), (0, 1));
    assert!(!done.is_complete());
    queues.remove().await;
}
