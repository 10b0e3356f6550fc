//! The teams of a local stack: one that gets every event as it came, and one that gets the unified events of the
//! demonstration's accounts.
//!
//! They reach the stack as on AWS: the queues are there before it, and its parameters `Teams` and `TeamQueueArns` name them.
//! The release build is deployed without them, and so with the template's own example team.

use crate::aws::Aws;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::emulator::REGION;

/// The output that names the queue of the team that gets every event.
pub const EXAMPLE: &str = "ExampleTeamQueueUrl";
/// The output that names the queue of the team that gets unified events.
pub const UNIFIED: &str = "UnifiedTeamQueueUrl";

/// A team: its queue's output, and what its route says besides the queue.
struct Team {
    name: &'static str,
    output: &'static str,
    accounts: &'static str,
    format: &'static str,
}

const TEAMS: [Team; 2] = [
    Team {
        name: "example",
        output: EXAMPLE,
        accounts: "*",
        format: "native",
    },
    Team {
        name: "unified",
        output: UNIFIED,
        accounts: "demo-*",
        format: "unified",
    },
];

/// The teams' queues, which are there.
#[derive(Clone, Debug, Default)]
pub struct Teams {
    /// The outputs that name the queues, with their URLs.
    pub outputs: Vec<(&'static str, String)>,
    /// The template's parameters that name the teams, each `Name=Value`.
    pub parameters: Vec<String>,
}

/// Makes the teams' queues.
///
/// # Errors
/// The emulator does not make one.
pub async fn make(aws: &Aws) -> Result<Teams> {
    let mut outputs = Vec::with_capacity(TEAMS.len());
    for Team { output, .. } in &TEAMS {
        let name = output.strip_suffix("Url").unwrap_or(output);
        let made = aws.sqs("CreateQueue", &json!({ "QueueName": name })).await;
        let made = made.with_context(|| format!("the queue {name} was not made"))?;
        let url = made.get("QueueUrl").and_then(Value::as_str);
        let url = url.with_context(|| format!("the queue {name} has no URL"))?;
        outputs.push((*output, url.to_owned()));
    }
    let parameters = parameters(&outputs)?;
    Ok(Teams {
        outputs,
        parameters,
    })
}

fn parameters(queues: &[(&'static str, String)]) -> Result<Vec<String>> {
    let routes = TEAMS.iter().zip(queues).map(|(team, (_, queue))| {
        json!({
            "team": team.name, "queue": queue, "types": ["*"], "accounts": [team.accounts], "format": team.format,
        })
    });
    let routes = Value::Array(routes.collect());
    let arns = queues.iter().map(|(_, queue)| arn(queue));
    let arns: Vec<String> = arns.collect::<Result<_>>()?;
    Ok(vec![
        format!("Teams={routes}"),
        format!("TeamQueueArns={}", arns.join(",")),
    ])
}

/// The ARN of the queue with this URL, whose last two parts are the AWS account and the name.
fn arn(queue: &str) -> Result<String> {
    let mut parts = queue.rsplit('/');
    let (name, account) = (parts.next(), parts.next());
    let (Some(name), Some(account)) = (name, account) else {
        anyhow::bail!("{queue} is no queue's URL");
    };
    Ok(format!("arn:aws:sqs:{REGION}:{account}:{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Template, rules};
    use domain::route::{Format, Routes};

    const TEMPLATE: &str = include_str!("../../../template.yaml");

    fn made() -> Vec<String> {
        let queue = |output: &'static str| {
            let name = output.strip_suffix("Url").unwrap();
            (output, format!("http://127.0.0.1:4566/000000000000/{name}"))
        };
        parameters(&[queue(EXAMPLE), queue(UNIFIED)]).unwrap()
    }

    #[test]
    fn the_template_takes_the_teams_and_keeps_its_rules() {
        let template = Template::parse(TEMPLATE).unwrap();
        let template = template.with_parameters(&made()).unwrap();
        assert_eq!(rules::check(&template), []);
        for name in ["Teams", "TeamQueueArns"] {
            let pattern = template.at(&format!("/Parameters/{name}/AllowedPattern"));
            let pattern = regex_lite::Regex::new(pattern.as_str().unwrap()).unwrap();
            let value = template.at(&format!("/Parameters/{name}/Default"));
            let value = value.as_str().unwrap();
            assert!(!value.is_empty() && pattern.is_match(value), "{value}");
        }
    }

    #[test]
    fn the_demonstration_s_accounts_have_a_team_for_unified_events() {
        let made = made();
        let routes = Routes::parse(made[0].strip_prefix("Teams=").unwrap()).unwrap();
        let formats: Vec<(&str, Format)> = routes
            .all()
            .iter()
            .map(|route| (route.team.as_str(), route.format))
            .collect();
        assert_eq!(
            formats,
            [("example", Format::Native), ("unified", Format::Unified)]
        );
        let order = "order.created".parse().unwrap();
        for (account, takes) in [("demo-1", true), ("demo", false), ("e2e-1", false)] {
            let account = account.parse().unwrap();
            let source = domain::source::Source::Ordermentum;
            assert_eq!(routes.all()[1].takes(source, &order, &account), takes);
            assert!(routes.all()[0].takes(source, &order, &account));
        }
    }
}
