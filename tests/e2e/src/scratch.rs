//! What one test makes on the emulator for itself, and takes away after it.
#![allow(
    clippy::expect_used,
    reason = "a test stops where its own things cannot be made"
)]

use aws::client::Aws;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};

use crate::stack::Stack;
use crate::waiting::until;
use crate::world::random_digits;

/// A name that nothing else has, on any run.
#[must_use]
pub fn unique(prefix: &str) -> String {
    format!("{prefix}{}", random_digits::<8>())
}

/// AWS as the functions reach it, and a name for what one test makes there.
#[derive(Debug, Clone)]
pub struct Scratch {
    /// The stack that all tests share.
    pub stack: Stack,
    /// The clients, with the functions' own time-outs.
    pub aws: Aws,
    /// The name.
    pub name: String,
}

impl Scratch {
    /// A name for a test.
    ///
    /// # Panics
    /// There is no stack.
    pub async fn of(test: &str) -> Self {
        let stack = Stack::here().await;
        Self {
            aws: stack.clients(),
            stack,
            name: unique(&format!("{test}-")),
        }
    }

    /// Makes a table of the name, with one key or two.
    ///
    /// # Panics
    /// It cannot be made.
    pub async fn make_table(&self, keys: &[&str]) {
        let call = self.aws.dynamo().create_table().table_name(&self.name);
        let mut call = call.billing_mode(BillingMode::PayPerRequest);
        for (name, kind) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
            let attribute = AttributeDefinition::builder()
                .attribute_name(*name)
                .attribute_type(ScalarAttributeType::S);
            let key = KeySchemaElement::builder()
                .attribute_name(*name)
                .key_type(kind);
            call = call
                .attribute_definitions(attribute.build().expect("a whole attribute"))
                .key_schema(key.build().expect("a whole key"));
        }
        call.send().await.expect("a table of its own");
        until("the table is active", async || {
            let call = self.aws.dynamo().describe_table().table_name(&self.name);
            let answer = call.send().await.expect("the table's state");
            match answer.table().and_then(|table| table.table_status()) {
                Some(TableStatus::Active) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// Takes the table away.
    ///
    /// # Panics
    /// There is none.
    pub async fn drop_table(&self) {
        let call = self.aws.dynamo().delete_table().table_name(&self.name);
        call.send().await.expect("the table goes");
    }
}

impl Stack {
    /// Makes a queue, and answers its URL.
    ///
    /// # Panics
    /// It cannot be made.
    pub async fn make_queue(
        &self,
        name: &str,
        attributes: &[(QueueAttributeName, &str)],
    ) -> String {
        let mut call = self.sqs.create_queue().queue_name(name);
        for (name, value) in attributes {
            call = call.attributes(name.clone(), *value);
        }
        let made = call.send().await.expect("a queue of its own");
        made.queue_url.expect("a queue has a URL")
    }

    /// Takes a queue away.
    ///
    /// # Panics
    /// There is none.
    pub async fn drop_queue(&self, queue: &str) {
        let call = self.sqs.delete_queue().queue_url(queue);
        call.send().await.expect("the queue goes");
    }

    /// Puts a message into a queue, and answers its id.
    ///
    /// # Panics
    /// It is not taken.
    pub async fn put_message(&self, queue: &str, body: &str) -> String {
        let call = self.sqs.send_message().queue_url(queue).message_body(body);
        let sent = call.send().await.expect("the queue takes a message");
        sent.message_id.expect("a message has an id")
    }

    /// Receives what is visible in a queue of a test's own, ten messages at most.
    ///
    /// # Panics
    /// There is no such queue.
    pub async fn receive(&self, queue: &str) -> Vec<Message> {
        let call = self.sqs.receive_message().queue_url(queue);
        let call = call
            .max_number_of_messages(10)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All);
        let answer = call.send().await.expect("an answer of the queue");
        answer.messages.unwrap_or_default()
    }

    /// Takes a message that was received out of its queue.
    ///
    /// # Panics
    /// It is not in the queue.
    pub async fn take_out(&self, queue: &str, message: &Message) {
        let call = self.sqs.delete_message().queue_url(queue);
        let handle = message.receipt_handle().expect("a receipt handle");
        let deleted = call.receipt_handle(handle).send().await;
        deleted.expect("the message goes");
    }
}
