//! Teams: their routes, and whether their queues can be reached.

use std::collections::BTreeMap;

use domain::route::Routes;
use futures::StreamExt as _;
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::calls::sqs::{self, name_of};
use crate::calls::{Calls, Error, iam, ssm};
use crate::queues::AT_ONCE;
use crate::stack::Stack;

/// A route as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Route {
    /// The team's name.
    pub team: String,
    /// The URL of its queue.
    pub queue: String,
    /// Event types that it gets.
    pub types: Vec<String>,
    /// Accounts whose events it gets.
    pub accounts: Vec<String>,
    /// Sources whose events it gets; all where it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// `native` or `unified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// How a team's queue was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "queue")]
pub enum Reach {
    /// It is there.
    Reachable {
        /// Messages that the team has not deleted yet.
        waiting: u64,
        /// Whether the stack's role may send to it, where that was asked.
        sendable: Option<bool>,
    },
    /// It does not exist.
    Missing,
    /// The caller may not look at it. That says nothing about whether events reach it.
    Hidden {
        /// The statement that its owner has to add to its policy, so that events reach it and this command can look.
        statement: Value,
    },
    /// Something else.
    Unclear {
        /// What.
        reason: String,
    },
}

/// A team's queue, and the routes that lead to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The team's name.
    pub team: String,
    /// The URL of its queue.
    pub url: String,
    /// How it was found.
    #[serde(flatten)]
    pub reach: Reach,
}

impl Checked {
    /// Whether a person has to do something.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        match &self.reach {
            Reach::Reachable { sendable, .. } => *sendable == Some(false),
            Reach::Missing => true,
            Reach::Hidden { .. } | Reach::Unclear { .. } => false,
        }
    }
}

/// The routes of a stack: one call.
///
/// # Errors
/// [`Error::Unreadable`] where the parameter is not what the consumer reads.
pub async fn routes(calls: &Calls, stack: &Stack) -> Result<Vec<Route>, Error> {
    let name = stack.output("RoutesParameter")?;
    let text = ssm::parameter(calls, name).await?;
    let what = || format!("parameter {name}");
    // First as the consumer reads it: what it refuses is not shown as if it worked.
    Routes::parse(&text).map_err(|error| Error::unreadable(what(), error))?;
    serde_json::from_str(&text).map_err(|error| Error::unreadable(what(), error))
}

/// Looks at the queue of every team, once each. With `deep`, IAM is asked whether the consumer's role may send to it.
///
/// # Errors
/// [`Error::OlderStack`] where the stack does not say its role. What one queue answers is in its place.
pub async fn check(
    calls: &Calls,
    stack: &Stack,
    routes: &[Route],
    deep: bool,
) -> Result<Vec<Checked>, Error> {
    let role = if deep {
        Some(stack.output("ConsumerRoleArn")?)
    } else {
        None
    };
    let mut teams = BTreeMap::new();
    for route in routes {
        teams.entry((&route.queue, &route.team)).or_insert(());
    }
    let checks = teams.into_keys().map(|(url, team)| async move {
        Checked {
            team: team.clone(),
            url: url.clone(),
            reach: reach(calls, stack, url, role).await,
        }
    });
    let mut checked: Vec<Checked> = stream::iter(checks).buffered(AT_ONCE).collect().await;
    checked.sort_by(|one, other| one.team.cmp(&other.team));
    Ok(checked)
}

async fn reach(calls: &Calls, stack: &Stack, url: &str, role: Option<&str>) -> Reach {
    match sqs::attributes(calls, url).await {
        Ok(attributes) => Reach::Reachable {
            waiting: attributes.messages(),
            sendable: match (role, attributes.arn()) {
                (Some(role), Some(arn)) => {
                    iam::allows(calls, role, "sqs:SendMessage", arn).await.ok()
                }
                _ => None,
            },
        },
        Err(Error::NotFound { .. }) => Reach::Missing,
        Err(Error::Permission { .. }) => Reach::Hidden {
            statement: statement(stack, url),
        },
        Err(error) => Reach::Unclear {
            reason: error.to_string(),
        },
    }
}

/// What the policy of a queue in another account has to say. Its owner adds it as it is.
fn statement(stack: &Stack, url: &str) -> Value {
    let account = stack.account().unwrap_or("THIS_ACCOUNT");
    json!({
        "Sid": "Orderhook",
        "Effect": "Allow",
        "Principal": { "AWS": format!("arn:aws:iam::{account}:root") },
        "Action": ["sqs:SendMessage", "sqs:GetQueueAttributes"],
        "Resource": arn_of(url).unwrap_or_else(|| name_of(url).to_owned()),
    })
}

/// `arn:aws:sqs:eu-west-1:123:sales` of `https://sqs.eu-west-1.amazonaws.com/123/sales`.
fn arn_of(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://sqs.")?;
    let (host, path) = rest.split_once('/')?;
    let (region, _) = host.split_once('.')?;
    let (account, name) = path.split_once('/')?;
    let partition = match region {
        china if china.starts_with("cn-") => "aws-cn",
        government if government.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    Some(format!("arn:{partition}:sqs:{region}:{account}:{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "https://sqs.eu-west-1.amazonaws.com/123/sales",
        Some("arn:aws:sqs:eu-west-1:123:sales")
    )]
    #[case(
        "https://sqs.cn-north-1.amazonaws.com.cn/123/s.fifo",
        Some("arn:aws-cn:sqs:cn-north-1:123:s.fifo")
    )]
    #[case("http://127.0.0.1:4566/123/sales", None)]
    #[case("https://sqs.eu-west-1.amazonaws.com", None)]
    #[case("", None)]
    fn a_queues_arn(#[case] url: &str, #[case] arn: Option<&str>) {
        assert_eq!(arn_of(url).as_deref(), arn);
    }
}
