//! Teams: their routes, and whether their queues can be reached.

use std::collections::BTreeMap;

use domain::ports::QueueUrl;
use domain::route::Routes;
use futures::StreamExt as _;
use futures::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::log_lines;
use crate::queues::AT_ONCE;
use crate::stack::{Function, Stack};
use calls::sqs::{self, name_of};
use calls::{Calls, Error, iam, logs, sns, ssm};

/// A route as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Route {
    /// The team's name.
    pub team: String,
    /// The URL of its queue, or the ARN of its topic.
    #[serde(alias = "topic")]
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
        /// Its ARN, where it says so.
        #[serde(skip_serializing_if = "Option::is_none")]
        arn: Option<String>,
        /// Whether the stack's role may send to it, where that was asked.
        sendable: Option<bool>,
    },
    /// A topic that is there.
    Topic {
        /// Its confirmed subscriptions, a hundred at most. Events go to nobody where there is none.
        subscriptions: usize,
        /// Whether the stack's role may publish to it, where that was asked.
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

/// A team's queue or topic, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The team's name.
    pub team: String,
    /// The URL of its queue, or the ARN of its topic.
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
            Reach::Reachable { sendable, .. } | Reach::Topic { sendable, .. } => {
                *sendable == Some(false)
            }
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

/// What a team's queue got within the last hour, by the consumer's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Events that its queue accepted.
    pub accepted: u64,
    /// Events that were set aside since its queue refused them.
    pub set_aside: u64,
    /// Within how many milliseconds of being received 95 of 100 events were at the queue.
    pub p95_ms: Option<u64>,
}

/// What every team's queue got within the last hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LastHour {
    /// By team.
    pub teams: BTreeMap<String, Traffic>,
    /// Whether the whole hour was read: of a busy one the first pages are.
    pub is_complete: bool,
}

/// Pages of a log that are read for it, of up to a megabyte each.
const PAGES: usize = 20;

/// Reads the consumer's log of the last hour.
///
/// # Errors
/// [`Error`] says what went wrong.
pub async fn last_hour(
    calls: &Calls,
    stack: &Stack,
    now: OffsetDateTime,
) -> Result<LastHour, Error> {
    let from = (now - Duration::hours(1))
        .unix_timestamp()
        .saturating_mul(1000);
    let filter = logs::Filter {
        group: stack.log_group(Function::Consumer)?,
        pattern: "\"batch\"",
        from_ms: Some(from),
        ..logs::Filter::default()
    };
    let (mut hour, mut ages) = (LastHour::default(), BTreeMap::<String, Vec<u64>>::new());
    let mut next = None;
    for _ in 0..PAGES {
        let page = logs::filter(calls, &filter, next.as_deref()).await?;
        for line in &page.events {
            count(&line.message, &mut hour.teams, &mut ages);
        }
        next = page.next_token;
        if next.is_none() {
            hour.is_complete = true;
            break;
        }
    }
    for (team, mut ages) in ages {
        ages.sort_unstable();
        let place = (ages.len() * 95).div_ceil(100).saturating_sub(1);
        if let Some(traffic) = hour.teams.get_mut(&team) {
            traffic.p95_ms = ages.get(place).copied();
        }
    }
    Ok(hour)
}

/// An event of a batch.
#[derive(Deserialize)]
struct Logged {
    #[serde(default)]
    teams: Vec<String>,
    #[serde(default)]
    undelivered: Vec<String>,
    age_ms: Option<u64>,
}

fn count(line: &str, teams: &mut BTreeMap<String, Traffic>, ages: &mut BTreeMap<String, Vec<u64>>) {
    let events = log_lines::batch(line).into_iter();
    let events = events.filter_map(|event| serde_json::from_value::<Logged>(event).ok());
    for event in events {
        for team in event.teams {
            ages.entry(team.clone()).or_default().extend(event.age_ms);
            teams.entry(team).or_default().accepted += 1;
        }
        for team in event.undelivered {
            teams.entry(team).or_default().set_aside += 1;
        }
    }
}

async fn reach(calls: &Calls, stack: &Stack, url: &str, role: Option<&str>) -> Reach {
    if is_topic(url) {
        return reach_topic(calls, stack, url, role).await;
    }
    match sqs::attributes(calls, url).await {
        Ok(attributes) => {
            let asked = match (role, attributes.arn()) {
                (Some(role), Some(arn)) => iam::allows(calls, role, "sqs:SendMessage", arn)
                    .await
                    .map(Some),
                _ => Ok(None),
            };
            match asked {
                Ok(sendable) => Reach::Reachable {
                    waiting: attributes.messages(),
                    arn: attributes.arn().map(str::to_owned),
                    sendable,
                },
                Err(error) => Reach::Unclear {
                    reason: error.to_string(),
                },
            }
        }
        Err(Error::NotFound { .. }) => Reach::Missing,
        Err(Error::Permission { .. }) => Reach::Hidden {
            statement: statement(stack, url),
        },
        Err(error) => Reach::Unclear {
            reason: error.to_string(),
        },
    }
}

async fn reach_topic(calls: &Calls, stack: &Stack, arn: &str, role: Option<&str>) -> Reach {
    let looked = async {
        let subscriptions = sns::subscriptions(calls, arn).await?;
        let sendable = match role {
            Some(role) => Some(iam::allows(calls, role, "sns:Publish", arn).await?),
            None => None,
        };
        Ok(Reach::Topic {
            subscriptions: subscriptions.iter().filter(|one| one.is_confirmed).count(),
            sendable,
        })
    };
    match looked.await {
        Ok(reach) => reach,
        Err(Error::NotFound { what, .. }) if what.contains(arn) => Reach::Missing,
        Err(Error::Permission { action, .. }) if action == "sns:ListSubscriptionsByTopic" => {
            Reach::Hidden {
                statement: statement(stack, arn),
            }
        }
        Err(error) => Reach::Unclear {
            reason: error.to_string(),
        },
    }
}

impl Checked {
    /// What is to be done, a line each: a sentence, or a command that can be run as it is.
    #[must_use]
    pub fn todo(&self, calls: &Calls, stack: &Stack) -> Vec<String> {
        let released = format!("orderhook stuck release --team {}", self.team);
        match &self.reach {
            Reach::Reachable {
                sendable: Some(false),
                arn: Some(arn),
                ..
            } => vec![permission(stack, self, arn), released],
            Reach::Topic {
                sendable: Some(false),
                ..
            } => vec![permission(stack, self, &self.url), released],
            Reach::Topic {
                subscriptions: 0, ..
            } => vec!["its team subscribes a queue to the topic".to_owned()],
            Reach::Reachable { .. } | Reach::Topic { .. } => Vec::new(),
            Reach::Missing => vec![creation(calls, stack, &self.url), released],
            Reach::Hidden { statement } => {
                let own = stack.output("OperatorTeamsArn").ok();
                vec![match own.filter(|_| is_in_account(stack, &self.url)) {
                    Some(policy) => format!("attach the stack's policy to this caller: {policy}"),
                    None => format!("its owner adds to its policy: {statement}"),
                }]
            }
            Reach::Unclear { .. } => vec!["look again".to_owned()],
        }
    }
}

/// Whether what a route leads to is an SNS topic.
fn is_topic(url: &str) -> bool {
    QueueUrl::new(url).is_topic()
}

/// Whether a queue or a topic is in the stack's AWS account.
fn is_in_account(stack: &Stack, url: &str) -> bool {
    let separator = if is_topic(url) { ':' } else { '/' };
    url.rsplit(separator).nth(1) == stack.account()
}

/// How the consumer's role gets to send to a queue. Deploying again gives it nothing that the template had given it
/// already: `CloudFormation` does not compare a role with its template.
fn permission(stack: &Stack, team: &Checked, arn: &str) -> String {
    let example = stack.output("ExampleTeamQueueUrl").ok();
    let arns = stack.parameter("TeamQueueArns").unwrap_or_default();
    let is_granted =
        example == Some(team.url.as_str()) || arns.split(',').any(|granted| granted == arn);
    let role = stack.output("ConsumerRoleArn").unwrap_or_default();
    let role = role.rsplit('/').next().unwrap_or_default();
    match is_granted {
        false => {
            format!("add {arn} to the parameter TeamQueueArns in samconfig.toml, then: sam deploy")
        }
        // The stars are those of the template: emulators name the batch calls apart.
        true => format!(
            "aws iam put-role-policy --role-name {role} --policy-name team-{} --policy-document '{}'",
            team.team,
            json!({ "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Action": if is_topic(arn) { "sns:Publish*" } else { "sqs:SendMessage*" },
                  "Resource": arn } ] })
        ),
    }
}

/// How a queue or a topic is created that is gone.
fn creation(calls: &Calls, stack: &Stack, url: &str) -> String {
    if !is_in_account(stack, url) {
        return format!("its owner creates it again: {url}");
    }
    let name = name_of(url);
    let mut command = match is_topic(url) {
        true => format!("aws sns create-topic --name {name}"),
        false => format!("aws sqs create-queue --queue-name {name}"),
    };
    let region = region_of(url);
    if let Some(region) = region.filter(|region| *region != calls.region()) {
        command += &format!(" --region {region}");
    }
    if name.ends_with(".fifo") {
        let kind = if is_topic(url) { "Topic" } else { "Queue" };
        command += &format!(" --attributes Fifo{kind}=true");
    }
    command
}

/// `eu-west-1` of `https://sqs.eu-west-1.amazonaws.com/123/sales` or of `arn:aws:sns:eu-west-1:123:sales`.
fn region_of(url: &str) -> Option<&str> {
    if is_topic(url) {
        return url.split(':').nth(3);
    }
    let (region, _) = url.strip_prefix("https://sqs.")?.split_once('.')?;
    Some(region)
}

/// What the policy of a queue or a topic in another account has to say. Its owner adds it as it is.
fn statement(stack: &Stack, url: &str) -> Value {
    let account = stack.account().unwrap_or("THIS_ACCOUNT");
    json!({
        "Sid": "Orderhook",
        "Effect": "Allow",
        "Principal": { "AWS": format!("arn:aws:iam::{account}:root") },
        "Action": match is_topic(url) {
            true => ["sns:Publish", "sns:ListSubscriptionsByTopic"],
            false => ["sqs:SendMessage", "sqs:GetQueueAttributes"],
        },
        "Resource": arn_of(url).unwrap_or_else(|| name_of(url).to_owned()),
    })
}

/// `arn:aws:sqs:eu-west-1:123:sales` of `https://sqs.eu-west-1.amazonaws.com/123/sales`.
fn arn_of(url: &str) -> Option<String> {
    if is_topic(url) {
        return Some(url.to_owned());
    }
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
    #[case(
        "arn:aws:sns:eu-west-1:123:sales",
        Some("arn:aws:sns:eu-west-1:123:sales")
    )]
    #[case("http://127.0.0.1:4566/123/sales", None)]
    #[case("https://sqs.eu-west-1.amazonaws.com", None)]
    #[case("", None)]
    fn a_queues_arn(#[case] url: &str, #[case] arn: Option<&str>) {
        assert_eq!(arn_of(url).as_deref(), arn);
    }
    #[rstest]
    #[case::list(r#"{"message":"batch","events":[{"teams":["sales"],"age_ms":5},{"teams":["sales","x"],"undelivered":["finance"],"age_ms":7}]}"#, 2)]
    #[case::in_common(r#"{"message":"batch","account":"acme","outcome":"applied","teams":["sales"],"events":[["0193b3c8-7c1a-7000-8000-000000000000.00001","order.created","order/or_1"],["0193b3c8-7c1a-7000-8000-000000000000.00002","order.created","order/or_2",{"teams":["sales","x"],"undelivered":["finance"]}]]}"#, 2)]
    #[case::text(r#"{"message":"batch","events":"[{\"teams\":[\"sales\"],\"age_ms\":5},{\"teams\":[\"sales\"],\"undelivered\":[\"finance\"]}]"}"#, 2)]
    #[case::another_line(r#"{"message":"other batch","events":[{"teams":["sales"]}]}"#, 0)]
    #[case::no_events(r#"{"message":"batch"}"#, 0)]
    #[case::wrong_type(r#"{"message":"batch","events":[{"teams":"sales"}]}"#, 0)]
    #[case::no_json("START RequestId: batch", 0)]
    fn what_a_line_says_of_a_team(#[case] line: &str, #[case] accepted: u64) {
        let (mut teams, mut ages) = (BTreeMap::new(), BTreeMap::new());
        count(line, &mut teams, &mut ages);
        let of = |team: &str| teams.get(team).cloned().unwrap_or_default();
        assert_eq!(of("sales").accepted, accepted);
        assert_eq!(of("finance").set_aside, u64::from(accepted > 0));
    }
}
