//! Reading queues that all tests share.
//!
//! Tests run at the same time, in processes of their own, and there is one queue for a team. So whoever receives
//! messages sorts them for all: into a directory of the stack, by queue and account, and only then out of the
//! queue. A test waits for its own account's mail and sorts whatever else comes by. No message is received again
//! and again by those whom it does not concern, none is lost, and none is hidden from its owner by somebody
//! else's look.
//!
//! What belongs to no test's account stays in the queue.
#![allow(
    clippy::panic,
    clippy::expect_used,
    reason = "a test's own tools stop the test where they are misused"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use serde::{Deserialize, Serialize};

use crate::stack::Stack;
use crate::waiting::until;

/// What the names of the tests' accounts begin with; 16 hexadecimal digits follow.
pub const ACCOUNT_PREFIX: &str = "e2e-";
/// The length of a test's account name.
pub const ACCOUNT_LENGTH: usize = ACCOUNT_PREFIX.len() + 16;

/// How long a message that is being sorted stays hidden from others, in seconds.
const HIDDEN_SECONDS: i32 = 30;
/// How long a receive waits for messages, in seconds.
const WAIT_SECONDS: i32 = 1;

/// A message, out of its queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueMessage {
    /// The id that the queue gave it.
    pub id: String,
    /// The body.
    pub body: String,
    /// The message attributes that are text.
    pub attributes: BTreeMap<String, String>,
    /// The message group.
    pub group: Option<String>,
}

/// One account's mail in one queue.
#[derive(Debug, Clone)]
pub struct QueueReader {
    stack: Stack,
    queue: String,
    account: String,
    room: PathBuf,
}

impl QueueReader {
    /// The mail of `account` in the queue that the template's output `queue` names.
    #[must_use]
    pub fn new(stack: &Stack, queue: &str, account: &str) -> Self {
        Self {
            queue: stack.output(queue).to_owned(),
            account: account.to_owned(),
            room: stack.directory.join("tmp/mail").join(queue),
            stack: stack.clone(),
        }
    }

    /// Sorts what the queue has at this moment, and returns all of this account's mail so far, each message once.
    pub async fn messages(&self) -> Vec<QueueMessage> {
        self.sort().await;
        self.read()
    }

    /// Waits for so many messages, and returns all that are there.
    ///
    /// # Panics
    /// They do not come.
    pub async fn wait_for(&self, count: usize) -> Vec<QueueMessage> {
        let what = format!("{count} messages in {}", self.queue);
        until(&what, async || {
            let messages = self.messages().await;
            if messages.len() < count {
                return Err(format!("there are {}", messages.len()));
            }
            Ok(messages)
        })
        .await
    }

    async fn sort(&self) {
        let answer = self
            .stack
            .sqs
            .receive_message()
            .queue_url(&self.queue)
            .max_number_of_messages(10)
            .visibility_timeout(HIDDEN_SECONDS)
            .wait_time_seconds(WAIT_SECONDS)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await;
        // The emulator may be busy; whoever waits asks again.
        let Ok(answer) = answer else { return };
        let mut kept = Vec::new();
        for message in answer.messages() {
            if let Some(account) = account_in(message.body().unwrap_or_default()) {
                self.keep(account, &received(message));
                kept.push(message.receipt_handle().expect("a receipt handle"));
            }
        }
        self.remove(&kept).await;
    }

    /// Writes a message into its account's box, whole or not at all.
    fn keep(&self, account: &str, message: &QueueMessage) {
        let own = self.room.join(account);
        std::fs::create_dir_all(&own).expect("the stack's directory can be written to");
        let text = serde_json::to_vec(message).expect("a message is JSON");
        let beside = own.join(format!(".{}-{}", message.id, std::process::id()));
        std::fs::write(&beside, text).expect("the stack's directory can be written to");
        std::fs::rename(&beside, own.join(&message.id))
            .expect("the stack's directory can be written to");
    }

    async fn remove(&self, handles: &[&str]) {
        if handles.is_empty() {
            return;
        }
        let entries = handles.iter().enumerate().map(|(position, handle)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(*handle)
                .build()
                .expect("an entry has an id and a handle")
        });
        let answer = self
            .stack
            .sqs
            .delete_message_batch()
            .queue_url(&self.queue)
            .set_entries(Some(entries.collect()))
            .send();
        // One that stays comes again, and is kept under the same name.
        drop(answer.await);
    }

    fn read(&self) -> Vec<QueueMessage> {
        let Ok(entries) = std::fs::read_dir(self.room.join(&self.account)) else {
            return Vec::new();
        };
        let names: BTreeSet<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| !is_beside(path))
            .collect();
        names.iter().map(|path| read_message(path)).collect()
    }
}

fn is_beside(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn read_message(path: &Path) -> QueueMessage {
    let text = std::fs::read(path).expect("a message that was just listed");
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A message as a message.
///
/// # Panics
/// It has no id.
#[must_use]
pub fn received(message: &Message) -> QueueMessage {
    let attributes = message.message_attributes().into_iter().flatten();
    let group = message
        .attributes()
        .and_then(|attributes| attributes.get(&MessageSystemAttributeName::MessageGroupId));
    QueueMessage {
        id: message.message_id().expect("a message id").to_owned(),
        body: message.body().unwrap_or_default().to_owned(),
        attributes: attributes
            .filter_map(|(name, value)| Some((name.clone(), value.string_value()?.to_owned())))
            .collect(),
        group: group.cloned(),
    }
}

/// The first name of a test's account in a text.
fn account_in(text: &str) -> Option<&str> {
    let mut left = text;
    loop {
        let (_, from) = left.split_at(left.find(ACCOUNT_PREFIX)?);
        let name = from.get(..ACCOUNT_LENGTH)?;
        let digits = name.strip_prefix(ACCOUNT_PREFIX)?;
        if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some(name);
        }
        left = from.get(ACCOUNT_PREFIX.len()..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("x e2e-0123456789abcdef y", Some("e2e-0123456789abcdef"))]
    #[case("e2e-e2e-0123456789abcdef", Some("e2e-0123456789abcdef"))]
    #[case("e2e-0123456789abcde", None)]
    #[case("acme", None)]
    fn the_account_of_a_message_is_found(#[case] text: &str, #[case] account: Option<&str>) {
        assert_eq!(account_in(text), account);
    }
}
