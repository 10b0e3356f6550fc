//! SNS: who is subscribed to a topic.
//!
//! <https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptionsByTopic.html>

use super::xml::{find, members, text};
use super::{Calls, Error, Service};

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// `email`, `sqs` and so on.
    pub protocol: String,
    /// The address.
    pub endpoint: String,
    /// Whether the address has confirmed it. Before that it gets nothing.
    pub is_confirmed: bool,
}

/// The first hundred subscriptions of a topic.
///
/// # Errors
/// [`Error::NotFound`] where there is no such topic.
pub async fn subscriptions(calls: &Calls, topic: &str) -> Result<Vec<Subscription>, Error> {
    let listed = calls
        .query(
            Service::Sns,
            "ListSubscriptionsByTopic",
            &[("TopicArn", topic)],
        )
        .await;
    let reply = listed.map_err(|error| error.naming(format!("topic {topic}")))?;
    reply.read(|root| {
        let subscription = |member| {
            Some(Subscription {
                protocol: text(member, "Protocol")?.to_owned(),
                endpoint: text(member, "Endpoint")?.to_owned(),
                // Else it is the word PendingConfirmation.
                is_confirmed: text(member, "SubscriptionArn")?.starts_with("arn:"),
            })
        };
        let result = find(root, "ListSubscriptionsByTopicResult")?;
        Some(
            members(result, "Subscriptions")
                .filter_map(subscription)
                .collect(),
        )
    })
}

/// Sends a message to a topic's subscribers.
///
/// # Errors
/// [`Error::NotFound`] where there is no such topic.
pub async fn publish(
    calls: &Calls,
    topic: &str,
    subject: &str,
    message: &str,
) -> Result<(), Error> {
    let input = [
        ("TopicArn", topic),
        ("Subject", subject),
        ("Message", message),
    ];
    let sent = calls.query(Service::Sns, "Publish", &input).await;
    sent.map(drop)
        .map_err(|error| error.naming(format!("topic {topic}")))
}
