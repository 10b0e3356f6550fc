//! Batches as Lambda's event source mapping hands them over from SQS, as JSON text.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>

use serde_json::{Value, json};

/// A batch of messages, so far empty.
#[must_use]
pub fn batch(queue_arn: &str) -> SqsBatch {
    SqsBatch {
        arn: queue_arn.to_owned(),
        records: Vec::new(),
    }
}

/// A batch in the making. The message at position `n` has the id [`message_id`]`(n)` and the receipt handle
/// [`receipt_handle`]`(n)`.
#[derive(Debug, Clone)]
pub struct SqsBatch {
    arn: String,
    records: Vec<Value>,
}

/// The id of the message at a position.
#[must_use]
pub fn message_id(position: usize) -> String {
    format!("00000000-0000-4000-8000-{position:012}")
}

/// The receipt handle of the message at a position.
#[must_use]
pub fn receipt_handle(position: usize) -> String {
    format!("handle-{position}")
}

impl SqsBatch {
    /// Adds a message that is received for the first time.
    #[must_use]
    pub fn message(self, body: &str) -> Self {
        self.received(body, 1)
    }

    /// Adds a message that is received for the `count`th time.
    #[must_use]
    pub fn received(self, body: &str, count: u32) -> Self {
        let position = self.records.len();
        let record = json!({
            "messageId": message_id(position),
            "receiptHandle": receipt_handle(position),
            "body": body,
            "attributes": {
                "ApproximateReceiveCount": count.to_string(),
                "SentTimestamp": "1795176000200",
                "SenderId": "AROAEXAMPLE:inbound",
                "ApproximateFirstReceiveTimestamp": "1795176000300",
            },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": self.arn,
            "awsRegion": "eu-west-1",
        });
        self.record(record)
    }

    /// Gives the last message an attribute of type `String`.
    ///
    /// # Panics
    /// There is no message.
    #[must_use]
    pub fn with_attribute(mut self, name: &str, value: &str) -> Self {
        let last = self.records.last_mut().expect("a message");
        last["messageAttributes"][name] = json!({
            "stringValue": value,
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "String",
        });
        self
    }

    /// Gives the last message an attribute of SQS's own, such as `AWSTraceHeader`.
    ///
    /// # Panics
    /// There is no message.
    #[must_use]
    pub fn with_system_attribute(mut self, name: &str, value: &str) -> Self {
        let last = self.records.last_mut().expect("a message");
        last["attributes"][name] = value.into();
        self
    }

    /// Adds a record as it stands, for what a well-behaved queue would not send.
    #[must_use]
    pub fn record(mut self, record: Value) -> Self {
        self.records.push(record);
        self
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The event.
    #[must_use]
    pub fn to_json(&self) -> String {
        json!({ "Records": self.records }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_order_and_receive_count() {
        let arn = "arn:aws:sqs:eu-west-1:000000000000:orders";
        let event = batch(arn).message("a").received("b", 3).to_json();
        let event: Value = serde_json::from_str(&event).unwrap();
        assert_eq!(event["Records"][0]["body"], "a");
        assert_eq!(event["Records"][1]["messageId"], message_id(1));
        assert_eq!(event["Records"][1]["receiptHandle"], receipt_handle(1));
        assert_eq!(
            event["Records"][1]["attributes"]["ApproximateReceiveCount"],
            "3"
        );
        assert_eq!(event["Records"][1]["eventSourceARN"], arn);
    }
}
