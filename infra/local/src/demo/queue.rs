//! Reading a team's queue that others may read too.

use crate::aws::Aws;
use anyhow::Result;
use serde_json::{Value, json};

/// How long a message that was read stays hidden from others, in seconds.
const HIDDEN_SECONDS: u32 = 60;

/// Receives once. The bodies that are ours leave the queue and are returned; the receipts of the others are added to
/// `others`, for [`give_back`].
///
/// # Errors
/// The queue refuses or does not answer.
pub(crate) async fn receive(
    aws: &Aws,
    queue: &str,
    is_ours: impl Fn(&str) -> bool,
    others: &mut Vec<Value>,
) -> Result<Vec<String>> {
    let input = json!({
        "QueueUrl": queue,
        "MaxNumberOfMessages": 10,
        "WaitTimeSeconds": 1,
        "VisibilityTimeout": HIDDEN_SECONDS,
    });
    let answer = aws.sqs("ReceiveMessage", &input).await?;
    let messages = answer.get("Messages").and_then(Value::as_array);
    let mut bodies = Vec::new();
    for message in messages.into_iter().flatten() {
        let body = message.get("Body").and_then(Value::as_str);
        let body = body.unwrap_or_default();
        let receipt = message.get("ReceiptHandle").cloned().unwrap_or_default();
        if !is_ours(body) {
            others.push(receipt);
            continue;
        }
        let input = json!({ "QueueUrl": queue, "ReceiptHandle": receipt });
        aws.sqs("DeleteMessage", &input).await?;
        bodies.push(body.to_owned());
    }
    Ok(bodies)
}

/// Lets others receive at once what was not ours.
///
/// # Errors
/// The queue refuses or does not answer.
pub(crate) async fn give_back(aws: &Aws, queue: &str, others: Vec<Value>) -> Result<()> {
    for receipt in others {
        let input = json!({ "QueueUrl": queue, "ReceiptHandle": receipt, "VisibilityTimeout": 0 });
        aws.sqs("ChangeMessageVisibility", &input).await?;
    }
    Ok(())
}
