//! SNS: what teams that have a topic are sent.
//!
//! A topic is published to as a queue is sent to: in batches that are answered entry by entry, with the same attributes, which
//! a subscription's filter policy reads, and in a FIFO topic with the same group and deduplication ids. A topic has no place
//! for a message's own X-Ray header: what traces actively is traced by the call, and `traceparent` is an attribute.
//!
//! <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>

use std::collections::HashMap;

use aws_sdk_sns::Client;
use aws_sdk_sns::error::BuildError;
use aws_sdk_sns::types::{
    BatchResultErrorEntry, MessageAttributeValue, PublishBatchRequestEntry, PublishBatchResultEntry,
};
use domain::ports::{Message, PortError, QueueUrl, Queues};

use crate::batch::results;
use crate::client::Aws;
use crate::failure::port_error;
use crate::sqs::SqsQueues;

const PUBLISHING: &str = "publishing messages";

/// Whether a code says that the content was refused: published again, it is refused again.
fn is_permanent(code: &str) -> bool {
    matches!(
        code,
        // A message or a request that is too large.
        "BatchRequestTooLong"
            | "http_413"
            // Characters, attributes, group ids and deduplication ids that SNS does not take.
            | "InvalidParameter"
            | "InvalidParameterValue"
            | "ParameterValueInvalid"
            | "ValidationException"
    )
}

/// Whether a code says that the topic takes nothing from us: there is none, or we have no permission or key.
/// <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html#API_PublishBatch_Errors>
fn is_closed(code: &str) -> bool {
    matches!(
        code,
        "NotFound"
            | "NotFoundException"
            | "AuthorizationError"
            | "AuthorizationErrorException"
            | "AccessDenied"
            | "AccessDeniedException"
            | "InvalidSecurity"
            | "KMSAccessDenied"
            | "KMSDisabled"
            | "KMSInvalidState"
            | "KMSNotFound"
            | "KMSOptInRequired"
    )
}

/// A refusal, with whether it is the topic's.
fn of_topic(error: PortError) -> PortError {
    match is_closed(&error.code) {
        true => PortError::closed(error.what, error.code),
        false => error,
    }
}

/// What became of one entry. The service's own fault is never the content's, whatever the code.
fn entry_error(failed: &BatchResultErrorEntry) -> PortError {
    let code = failed.code();
    match failed.sender_fault() && is_permanent(code) {
        true => PortError::permanent(PUBLISHING, code),
        false => of_topic(PortError::transient(PUBLISHING, code)),
    }
}

/// The topics of an AWS account, and those of others that let us publish.
#[derive(Debug, Clone)]
pub struct SnsTopics {
    client: Client,
}

impl SnsTopics {
    /// Publishes by this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Queues for SnsTopics {
    async fn send(
        &self,
        topic: &QueueUrl,
        batch: &[Message<'_>],
    ) -> Result<Vec<Result<(), PortError>>, PortError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let entries = batch.iter().enumerate().map(entry);
        let entries = entries
            .collect::<Result<Vec<_>, _>>()
            // A required member is missing, which of ours none is.
            .map_err(|_| PortError::transient(PUBLISHING, "construction"))?;
        let call = self
            .client
            .publish_batch()
            .topic_arn(topic.as_str())
            .set_publish_batch_request_entries(Some(entries));
        let answer = Box::pin(call.send())
            .await
            .map_err(|error| of_topic(port_error(PUBLISHING, &error, is_permanent)))?;
        let accepted = answer.successful().iter();
        let accepted = accepted.filter_map(PublishBatchResultEntry::id);
        let failed = answer.failed().iter();
        let answered = accepted
            .map(|id| (id, Ok(())))
            .chain(failed.map(|entry| (entry.id(), Err(entry_error(entry)))));
        Ok(results(PUBLISHING, batch.len(), answered))
    }
}

/// A message as an entry. Its id is its position, as in a batch to a queue.
fn entry(
    (position, message): (usize, &Message<'_>),
) -> Result<PublishBatchRequestEntry, BuildError> {
    let attributes = message
        .attributes
        .iter()
        .map(|(name, value)| {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()?;
            Ok(((*name).to_owned(), value))
        })
        .collect::<Result<HashMap<_, _>, BuildError>>()?;
    PublishBatchRequestEntry::builder()
        .id(position.to_string())
        .message(message.text.to_text())
        .set_message_group_id(message.group.clone())
        .set_message_deduplication_id(message.deduplication.clone())
        .set_message_attributes((!attributes.is_empty()).then_some(attributes))
        .build()
}

/// The queues, and the topics where a team has one: a client of SNS is made only for these.
#[derive(Debug, Clone)]
pub struct QueuesAndTopics {
    queues: SqsQueues,
    topics: Option<SnsTopics>,
}

impl QueuesAndTopics {
    /// Sends to queues, and to topics where there are any.
    #[must_use]
    pub fn new(queues: SqsQueues, topics: Option<SnsTopics>) -> Self {
        Self { queues, topics }
    }

    /// Sends to these queues, and to topics of `aws` where a team has one.
    #[must_use]
    pub fn of(aws: &Aws, queues: SqsQueues, has_topics: bool) -> Self {
        Self::new(queues, has_topics.then(|| SnsTopics::new(aws.sns())))
    }
}

impl Queues for QueuesAndTopics {
    async fn send(
        &self,
        queue: &QueueUrl,
        batch: &[Message<'_>],
    ) -> Result<Vec<Result<(), PortError>>, PortError> {
        // Boxed, or every event that is forwarded would carry the state of both calls.
        match &self.topics {
            Some(topics) if queue.is_topic() => Box::pin(topics.send(queue, batch)).await,
            Some(_) | None => Box::pin(self.queues.send(queue, batch)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Access;
    use aws_sdk_sqs::config::Credentials;
    use axum::extract::State;
    use domain::envelope::Body;
    use domain::ports::ErrorKind;
    use rstest::rstest;
    use std::sync::{Arc, Mutex};

    #[rstest]
    #[case::size("BatchRequestTooLong", ErrorKind::Permanent)]
    #[case::parameter("InvalidParameter", ErrorKind::Permanent)]
    #[case::value("ParameterValueInvalid", ErrorKind::Permanent)]
    #[case::no_topic("NotFound", ErrorKind::Closed)]
    #[case::permission("AuthorizationError", ErrorKind::Closed)]
    #[case::key("KMSDisabled", ErrorKind::Closed)]
    #[case::key_throttled("KMSThrottling", ErrorKind::Transient)]
    #[case::throttled("Throttled", ErrorKind::Transient)]
    #[case::service("InternalError", ErrorKind::Transient)]
    #[case::unheard_of("SomethingNew", ErrorKind::Transient)]
    fn an_entry_is_refused_for_its_content_or_for_its_topic(
        #[case] code: &str,
        #[case] kind: ErrorKind,
    ) {
        let failed = |sender_fault| {
            let entry = BatchResultErrorEntry::builder().id("0").code(code);
            entry.sender_fault(sender_fault).build().unwrap()
        };
        assert_eq!(entry_error(&failed(true)).kind, kind);
        let of_the_service = entry_error(&failed(false)).kind;
        assert_ne!(of_the_service, ErrorKind::Permanent);
    }

    type Requests = Arc<Mutex<Vec<String>>>;

    /// Answers as SNS, whatever it is asked, and keeps the forms that it was sent.
    async fn sns(status: u16, answer: String) -> (QueuesAndTopics, Requests) {
        let requests = Requests::default();
        let app = axum::Router::new().fallback(
            async move |State(requests): State<Requests>, form: String| {
                requests.lock().unwrap().push(form);
                let status = http::StatusCode::from_u16(status).unwrap();
                (status, [("content-type", "text/xml")], answer)
            },
        );
        let app = app.with_state(requests.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let access = Access {
            region: "eu-west-1".to_owned(),
            endpoint: Some(format!("http://{address}")),
            credentials: Credentials::new("id", "secret", None, None, "test"),
        };
        let aws = Aws::new(access).unwrap();
        let topics = Some(SnsTopics::new(aws.sns()));
        (
            QueuesAndTopics::new(SqsQueues::new(aws.sqs()), topics),
            requests,
        )
    }

    fn batch() -> [Message<'static>; 3] {
        ["{\"a\":1}", "b", "c"].map(|text| Message {
            text: Body::whole(text.to_owned()),
            group: Some("record".to_owned()),
            deduplication: Some(text.to_owned()),
            attributes: vec![("type", "orderspace.order.created".to_owned())],
            trace: None,
        })
    }

    fn topic() -> QueueUrl {
        QueueUrl::new("arn:aws:sns:eu-west-1:111122223333:stock.fifo")
    }

    #[tokio::test]
    async fn every_message_of_a_batch_has_its_own_answer() {
        let answer = r#"<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult>
            <Successful><member><Id>2</Id><MessageId>m</MessageId></member></Successful>
            <Failed><member><Id>0</Id><Code>InvalidParameter</Code><SenderFault>true</SenderFault></member></Failed>
            </PublishBatchResult></PublishBatchResponse>"#;
        let (queues, requests) = sns(200, answer.to_owned()).await;
        let answers = queues.send(&topic(), &batch()).await.unwrap();
        let kinds: Vec<_> = answers
            .iter()
            .map(|answer| {
                answer
                    .as_ref()
                    .err()
                    .map(|error| (&*error.code, error.kind))
            })
            .collect();
        let expected = [
            Some(("InvalidParameter", ErrorKind::Permanent)),
            Some(("unanswered", ErrorKind::Transient)),
            None,
        ];
        assert_eq!(kinds, expected);
        let requests = requests.lock().unwrap();
        let [form] = &**requests else {
            panic!("{requests:?}")
        };
        let entry = "PublishBatchRequestEntries.member.1.";
        for member in [
            "Action=PublishBatch".to_owned(),
            "TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A111122223333%3Astock.fifo".to_owned(),
            format!("{entry}Id=0"),
            format!("{entry}Message=%7B%22a%22%3A1%7D"),
            format!("{entry}MessageGroupId=record"),
            format!("{entry}MessageDeduplicationId=%7B%22a%22%3A1%7D"),
            format!("{entry}MessageAttributes.entry.1.Name=type"),
            format!("{entry}MessageAttributes.entry.1.Value.DataType=String"),
            format!("{entry}MessageAttributes.entry.1.Value.StringValue=orderspace.order.created"),
        ] {
            assert!(
                form.split('&').any(|found| found == member),
                "{member}: {form}"
            );
        }
    }

    #[tokio::test]
    async fn a_topic_that_is_gone_is_closed() {
        let answer = "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code></Error></ErrorResponse>";
        let (queues, requests) = sns(404, answer.to_owned()).await;
        let error = queues.send(&topic(), &batch()).await.unwrap_err();
        assert_eq!((&*error.code, error.is_closed()), ("NotFound", true));
        assert_eq!(queues.send(&topic(), &[]).await, Ok(Vec::new()));
        assert_eq!(requests.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_is_no_topic_is_sent_to_sqs() {
        let (queues, requests) = sns(200, "{}".to_owned()).await;
        let queue = QueueUrl::new("http://127.0.0.1/1/a");
        drop(queues.send(&queue, &batch()).await);
        let requests = requests.lock().unwrap();
        assert!(
            requests.iter().all(|body| body.starts_with('{')),
            "{requests:?}"
        );
        assert_eq!(requests.len(), 1);
    }
}
