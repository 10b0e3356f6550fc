//! SQS: messages into queues, and failed messages back into the queue they came from.
//!
//! A batch is answered entry by entry, so every message has its own result; an entry that the answer does not
//! mention counts as not accepted.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html>

use std::collections::HashMap;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue,
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, SendMessageBatchRequestEntry,
    SendMessageBatchResultEntry,
};
use domain::ports::{BATCH_COUNT, Message, PortError, QueueUrl, Queues, Redelivery};
use domain::trace::XRayHeader;
use futures::future::join_all;

use crate::batch;
use crate::failure::port_error;

/// What SQS puts before the codes that its older protocol had.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-faqs.html>
const OLD_PREFIX: &str = "AWS.SimpleQueueService.";

/// Whether a code says that the content was refused: sent again, it is refused again.
///
/// Everything else may pass: throttling, the service's own errors and whatever code comes to be tomorrow.
fn is_permanent(code: &str) -> bool {
    matches!(
        code.strip_prefix(OLD_PREFIX).unwrap_or(code),
        // Characters that SQS does not take.
        "InvalidMessageContents"
            // A message, or a request, above the queue's limit.
            | "BatchRequestTooLong"
            | "MessageTooLong"
            | "RequestEntityTooLarge"
            | "http_413"
            // Attributes, group ids and deduplication ids of characters that they must not have; also too long.
            | "InvalidAttributeValue"
            | "InvalidParameterValue"
            | "InvalidParameterValueException"
            | "ValidationException"
    )
}

/// Whether a code says that the queue takes nothing from us: there is none, or we have no permission or key.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html#API_SendMessageBatch_Errors>
fn is_closed(code: &str) -> bool {
    matches!(
        code.strip_prefix(OLD_PREFIX).unwrap_or(code),
        "NonExistentQueue"
            | "QueueDoesNotExist"
            | "QueueDeletedRecently"
            | "InvalidAddress"
            | "AccessDenied"
            | "AccessDeniedException"
            | "KmsAccessDenied"
            | "KmsDisabled"
            | "KmsInvalidKeyUsage"
            | "KmsInvalidState"
            | "KmsNotFound"
            | "KmsOptInRequired"
            | "KMS.AccessDeniedException"
            | "KMS.DisabledException"
            | "KMS.InvalidStateException"
            | "KMS.NotFoundException"
    )
}

/// A refusal, with whether it is the queue's.
fn of_queue(error: PortError) -> PortError {
    match is_closed(&error.code) {
        true => PortError::closed(error.what, error.code),
        false => error,
    }
}

/// What became of one entry. The service's own fault is never the content's, whatever the code.
fn entry_error(what: &'static str, failed: &BatchResultErrorEntry) -> PortError {
    let code = failed.code();
    if failed.sender_fault() && is_permanent(code) {
        PortError::permanent(what, code)
    } else {
        of_queue(PortError::transient(what, code))
    }
}

/// The queues of an AWS account, and those of others that let us send.
#[derive(Debug, Clone)]
pub struct SqsQueues {
    client: Client,
}

const SENDING: &str = "sending messages";
const DELAYING: &str = "delaying failed messages";

/// The longest that a message can stay hidden, in seconds: 12 hours, counted from its receipt.
const LONGEST_DELAY: u32 = 43_200;

impl SqsQueues {
    /// Sends by this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn delay_batch(
        &self,
        queue: &QueueUrl,
        messages: &[(String, u32)],
    ) -> Result<(), PortError> {
        let entry = |(position, (receipt, seconds)): (usize, &(String, u32))| {
            let seconds = i32::try_from((*seconds).min(LONGEST_DELAY)).unwrap_or_default();
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(receipt)
                .visibility_timeout(seconds)
                .build()
        };
        let entries = messages
            .iter()
            .enumerate()
            .map(entry)
            .collect::<Result<_, _>>();
        let call = self
            .client
            .change_message_visibility_batch()
            .queue_url(queue.as_str())
            .set_entries(Some(entries.map_err(|_| construction(DELAYING))?));
        let answer = Box::pin(call.send())
            .await
            .map_err(|error| port_error(DELAYING, &error, is_permanent))?;
        match answer.failed().first() {
            Some(failed) => Err(entry_error(DELAYING, failed)),
            None => Ok(()),
        }
    }
}

impl Queues for SqsQueues {
    async fn send(
        &self,
        queue: &QueueUrl,
        batch: &[Message<'_>],
    ) -> Result<Vec<Result<(), PortError>>, PortError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let entries = batch
            .iter()
            .enumerate()
            .map(entry)
            .collect::<Result<_, _>>();
        let call = self
            .client
            .send_message_batch()
            .queue_url(queue.as_str())
            .set_entries(Some(entries.map_err(|_| construction(SENDING))?));
        let answer = Box::pin(call.send())
            .await
            .map_err(|error| of_queue(port_error(SENDING, &error, is_permanent)))?;
        let accepted = answer
            .successful()
            .iter()
            .map(SendMessageBatchResultEntry::id);
        Ok(results(batch.len(), accepted, answer.failed()))
    }
}

/// A message as an entry. Its id is its position: an event id has a dot, which an entry's id must not have.
fn entry(
    (position, message): (usize, &Message<'_>),
) -> Result<SendMessageBatchRequestEntry, BuildError> {
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
    let trace = message.trace.as_ref().map(trace_header).transpose()?;
    SendMessageBatchRequestEntry::builder()
        .id(position.to_string())
        .message_body(message.text.to_text())
        .set_message_system_attributes(trace.map(|trace| HashMap::from([trace])))
        .set_message_group_id(message.group.clone())
        .set_message_deduplication_id(message.deduplication.clone())
        .set_message_attributes((!attributes.is_empty()).then_some(attributes))
        .build()
}

/// X-Ray's header as a system attribute. It overrides what the call itself has of X-Ray, which is the invocation's: the
/// messages of one call are of different traces.
fn trace_header(
    header: &XRayHeader,
) -> Result<
    (
        MessageSystemAttributeNameForSends,
        MessageSystemAttributeValue,
    ),
    BuildError,
> {
    let value = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(header.to_string())
        .build()?;
    Ok((MessageSystemAttributeNameForSends::AwsTraceHeader, value))
}

/// One result per message.
fn results<'a>(
    count: usize,
    accepted: impl Iterator<Item = &'a str>,
    failed: &[BatchResultErrorEntry],
) -> Vec<Result<(), PortError>> {
    let failed = failed
        .iter()
        .map(|entry| (entry.id(), Err(entry_error(SENDING, entry))));
    let answered = accepted.map(|id| (id, Ok(()))).chain(failed);
    batch::results(SENDING, count, answered)
}

/// A request that the SDK does not make: a required member is missing, which ours never is.
fn construction(what: &'static str) -> PortError {
    PortError::transient(what, "construction")
}

impl Redelivery for SqsQueues {
    /// Every batch is tried, whatever becomes of the others; the first error is returned.
    async fn delay(&self, queue: &QueueUrl, messages: &[(String, u32)]) -> Result<(), PortError> {
        let batches = messages
            .chunks(BATCH_COUNT)
            .map(|batch| self.delay_batch(queue, batch));
        join_all(batches).await.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::envelope::Body;
    use domain::ports::ErrorKind;
    use rstest::rstest;

    #[rstest]
    #[case::characters("InvalidMessageContents", true)]
    #[case::size("AWS.SimpleQueueService.BatchRequestTooLong", true)]
    #[case::size_by_its_newer_name("BatchRequestTooLong", true)]
    #[case::attribute("InvalidAttributeValue", true)]
    #[case::parameter("InvalidParameterValue", true)]
    #[case::no_queue("AWS.SimpleQueueService.NonExistentQueue", false)]
    #[case::no_queue_by_its_newer_name("QueueDoesNotExist", false)]
    #[case::permission("AccessDenied", false)]
    #[case::permission_by_its_newer_name("AccessDeniedException", false)]
    #[case::key("KMS.DisabledException", false)]
    #[case::key_by_its_newer_name("KmsAccessDenied", false)]
    #[case::throttled("RequestThrottled", false)]
    #[case::service("InternalError", false)]
    #[case::no_answer("timeout", false)]
    #[case::no_connection("connection", false)]
    #[case::gateway("http_503", false)]
    #[case::unheard_of("SomethingNew", false)]
    fn only_the_content_makes_a_refusal_last(#[case] code: &str, #[case] permanent: bool) {
        assert_eq!(is_permanent(code), permanent);
    }

    #[rstest]
    #[case::no_queue("AWS.SimpleQueueService.NonExistentQueue", true)]
    #[case::no_queue_by_its_newer_name("QueueDoesNotExist", true)]
    #[case::permission("AccessDenied", true)]
    #[case::permission_by_its_newer_name("AccessDeniedException", true)]
    #[case::key("KMS.DisabledException", true)]
    #[case::key_by_its_newer_name("KmsAccessDenied", true)]
    #[case::key_throttled("KmsThrottled", false)]
    #[case::throttled("RequestThrottled", false)]
    #[case::content("InvalidMessageContents", false)]
    #[case::no_answer("timeout", false)]
    #[case::unheard_of("SomethingNew", false)]
    fn a_queue_that_takes_nothing_from_us_is_closed(#[case] code: &str, #[case] closed: bool) {
        let error = of_queue(PortError::transient(SENDING, code));
        assert_eq!(error.is_closed(), closed);
        assert!(error.is_transient());
    }

    fn failed(id: &str, code: &str, sender_fault: bool) -> BatchResultErrorEntry {
        BatchResultErrorEntry::builder()
            .id(id)
            .code(code)
            .sender_fault(sender_fault)
            .build()
            .unwrap()
    }

    #[test]
    fn every_message_has_its_own_result_by_its_position() {
        let answered = [
            failed("3", "InvalidMessageContents", true),
            failed("1", "InternalError", false),
            failed("9", "InternalError", false),
            failed("word", "InternalError", false),
            failed("0", "InvalidMessageContents", false),
        ];
        let results = results(5, ["2", "0"].into_iter(), &answered);
        let kinds: Vec<_> = results
            .iter()
            .map(|result| {
                result
                    .as_ref()
                    .err()
                    .map(|error| (error.code.as_str(), error.kind))
            })
            .collect();
        assert_eq!(
            kinds,
            [
                Some(("InvalidMessageContents", ErrorKind::Transient)),
                Some(("InternalError", ErrorKind::Transient)),
                None,
                Some(("InvalidMessageContents", ErrorKind::Permanent)),
                Some(("unanswered", ErrorKind::Transient)),
            ]
        );
    }

    #[test]
    fn an_entry_says_what_the_message_says() {
        let message = Message {
            text: Body::wrapping(r#"{"data":"#.to_owned(), "{}"),
            group: Some("acme".to_owned()),
            deduplication: None,
            attributes: vec![("type", "order.created".to_owned())],
            trace: "Root=1-5759e988-bd862e3fe1be46a994272793".parse().ok(),
        };
        let untraced = Message {
            trace: None,
            ..message.clone()
        };
        let untraced = entry((0, &untraced)).unwrap();
        assert_eq!(untraced.message_system_attributes(), None);
        let entry = entry((7, &message)).unwrap();
        assert_eq!(entry.id(), "7");
        assert_eq!(entry.message_body(), r#"{"data":{}}"#);
        assert_eq!(entry.message_group_id(), Some("acme"));
        assert_eq!(entry.message_deduplication_id(), None);
        let attribute = &entry.message_attributes().unwrap()["type"];
        assert_eq!(attribute.data_type(), "String");
        assert_eq!(attribute.string_value(), Some("order.created"));
        let trace = entry.message_system_attributes().unwrap();
        let trace = &trace[&MessageSystemAttributeNameForSends::AwsTraceHeader];
        assert_eq!(trace.data_type(), "String");
        assert_eq!(
            trace.string_value(),
            Some("Root=1-5759e988-bd862e3fe1be46a994272793")
        );
    }
}
