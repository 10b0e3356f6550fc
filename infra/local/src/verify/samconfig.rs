//! What `sam deploy` takes from `samconfig.toml`, as the SAM CLI itself reads it: it cuts a value of a list at the first
//! quote, and what is left of a team's route would be refused by AWS at the end of a deployment, or name another team.
//!
//! Every environment is held against the template: its parameters are there, its values are what the parameters allow, and
//! together they keep the template's rules.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use domain::route::Routes;
use regex_lite::Regex;
use serde::Deserialize;
use serde_json::Value;
use sources::routes::problems;

use crate::emulator::REGION;
use crate::job;
use crate::places::Places;
use crate::template::{Template, rules};
use crate::tools::Tools;

/// Prints what the SAM CLI reads.
const READER: &str = include_str!("samconfig.py");

/// What the lines of the shipped example begin with.
const COMMENTED: &str = "#   ";

/// An environment as `sam deploy` takes it.
#[derive(Debug, Deserialize)]
struct Environment {
    stack_name: Option<String>,
    region: Option<String>,
    #[serde(default)]
    parameter_overrides: BTreeMap<String, String>,
}

type Environments = BTreeMap<String, Environment>;

/// Reads the project's settings, and once more with the example teams that stand in them as a comment.
///
/// # Errors
/// The SAM CLI does not read them, or an environment could not be deployed as it is meant; with what is wrong.
pub(super) async fn check(places: &Places, tools: &Tools) -> Result<String> {
    let path = places.root.join("samconfig.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} could not be read", path.display()))?;
    let template = places.template();
    let template = std::fs::read_to_string(&template)
        .with_context(|| format!("{} could not be read", template.display()))?;
    let template = Template::parse(&template)?;
    let environments = read(places, tools, &text).await?;
    let mut wrong = complaints(&environments, &template)?;
    if let Some((text, teams)) = with_example(&text) {
        let example = read(places, tools, &text).await?;
        let found = example
            .values()
            .filter_map(|environment| environment.parameter_overrides.get("Teams"));
        if !found.into_iter().any(|found| same_json(found, &teams)) {
            wrong
                .push("the SAM CLI does not read the example teams as they stand there".to_owned());
        }
        wrong.extend(complaints(&example, &template)?);
    }
    ensure!(
        wrong.is_empty(),
        "samconfig.toml cannot be deployed as it stands\n    {}",
        wrong.join("\n    ")
    );
    let names: Vec<&str> = environments.keys().map(String::as_str).collect();
    Ok(format!("{} as they are meant", names.join(", ")))
}

/// What the SAM CLI makes of a file with this text.
async fn read(places: &Places, tools: &Tools, text: &str) -> Result<Environments> {
    let directory = places.scratch().join("samconfig");
    std::fs::create_dir_all(&directory)?;
    let (script, config) = (directory.join("read.py"), directory.join("samconfig.toml"));
    std::fs::write(&script, READER)?;
    std::fs::write(&config, text)?;
    let mut command = tools.sam_program("python");
    command
        .arg(&script)
        .arg(&config)
        .arg(places.template())
        .current_dir(&directory);
    let log = places.log_of("samconfig");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let mut printed = String::new();
    job::succeed(
        "reading samconfig.toml with the SAM CLI",
        command,
        &log,
        |line| {
            if line.starts_with('{') {
                line.clone_into(&mut printed);
            }
        },
    )
    .await?;
    serde_json::from_str(&printed).context("the SAM CLI read no environments")
}

/// What keeps the environments from being deployed as they are meant.
fn complaints(environments: &Environments, template: &Template) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let mut stacks = BTreeSet::new();
    for (name, environment) in environments {
        let stack = environment.stack_name.as_deref().unwrap_or_default();
        if stack.is_empty() || !stacks.insert(stack) {
            complaints.push(format!("{name}: it needs a stack_name of its own"));
        }
        let mut known = Vec::new();
        for (parameter, value) in &environment.parameter_overrides {
            match refused(template, parameter, value)? {
                Some(why) => complaints.push(format!("{name}: {parameter} {why}")),
                None => known.push(format!("{parameter}={value}")),
            }
        }
        let deployed = template.clone().with_parameters(&known)?;
        complaints.extend(environment.of_teams().map(|text| format!("{name}: {text}")));
        let broken = rules::check(&deployed).into_iter();
        complaints.extend(broken.map(|finding| format!("{name}: {finding}")));
    }
    Ok(complaints)
}

impl Environment {
    fn value(&self, parameter: &str) -> &str {
        let value = self.parameter_overrides.get(parameter);
        value.map_or("", String::as_str)
    }

    /// What is wrong with the teams' routes, where they can be read.
    fn of_teams(&self) -> impl Iterator<Item = String> {
        let routes = Routes::parse(self.value("Teams")).unwrap_or_default();
        let arns = self.value("TeamQueueArns");
        let allowed: Vec<&str> = arns.split(',').map(str::trim).collect();
        let of_first = allowed.first().and_then(|arn| arn.split(':').nth(3));
        let region = self.region.as_deref().or(of_first).unwrap_or(REGION);
        let mut complaints: Vec<String> = problems(&routes, region)
            .into_iter()
            .map(|problem| format!("team {}: {}", problem.team, problem.text))
            .collect();
        for route in routes.all() {
            let place = route.queue.as_str();
            // A topic is named by its ARN, a queue by a URL that ends as its ARN does.
            let mut parts = place.rsplit('/');
            let end = match (parts.next(), parts.next()) {
                (Some(name), Some(account)) => format!(":{account}:{name}"),
                _ => place.to_owned(),
            };
            if !allowed.iter().any(|arn| arn.ends_with(&end)) {
                let team = &route.team;
                complaints.push(format!("team {team}: TeamQueueArns has no ARN of {place}"));
            }
        }
        complaints.into_iter()
    }
}

/// Why CloudFormation refuses a value for a parameter.
fn refused(template: &Template, parameter: &str, value: &str) -> Result<Option<String>> {
    let declared = template.at(&format!("/Parameters/{parameter}"));
    if declared.is_null() {
        return Ok(Some("is no parameter of the template".to_owned()));
    }
    if let Some(allowed) = declared.get("AllowedValues").and_then(Value::as_array) {
        let texts = allowed.iter().map(|allowed| template.text(allowed));
        let texts: Vec<String> = texts.collect();
        if !texts.iter().any(|allowed| allowed == value) {
            return Ok(Some(format!("is one of {}", texts.join(", "))));
        }
    }
    if let Some(pattern) = declared.get("AllowedPattern").and_then(Value::as_str)
        && !Regex::new(pattern)?.is_match(value)
    {
        let why = declared
            .get("ConstraintDescription")
            .and_then(Value::as_str);
        return Ok(Some(why.unwrap_or("is not what it may be").to_owned()));
    }
    Ok(None)
}

/// The settings with the teams that stand in them as a comment, and the JSON of these; none where there is no such comment.
fn with_example(text: &str) -> Option<(String, String)> {
    let is_example = |line: &str| line.starts_with(COMMENTED) && !line.contains(" sam ");
    let example: Vec<&str> = text
        .lines()
        .filter(|line| is_example(line))
        .filter_map(|line| line.strip_prefix(COMMENTED))
        .collect();
    let first = example
        .iter()
        .position(|line| line.starts_with("Teams ="))?;
    let example = example.split_at(first).1;
    let teams = example.join("\n");
    let teams = teams.split(r#"""""#).nth(1)?.to_owned();
    let place = "Teams = \"\"\nTeamQueueArns = \"\"\n";
    let text = text.replacen(place, &format!("{}\n", example.join("\n")), 1);
    text.contains("\nTeams = \"\"\"").then_some((text, teams))
}

fn same_json(one: &str, other: &str) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    parse(one).is_some_and(|value| Some(value) == parse(other))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const SHIPPED: &str = include_str!("../../../../samconfig.toml");

    fn template() -> Template {
        Template::parse(include_str!("../../../../template.yaml")).unwrap()
    }

    fn environments(parameters: &[(&str, &str)]) -> Environments {
        let parameters = parameters.iter();
        let parameter_overrides =
            parameters.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = Environment {
            stack_name: Some("orderhook".to_owned()),
            region: None,
            parameter_overrides: parameter_overrides.collect(),
        };
        Environments::from([("default".to_owned(), environment)])
    }

    #[test]
    fn the_shipped_example_is_a_list_of_teams() {
        let (text, teams) = with_example(SHIPPED).unwrap();
        assert!(text.contains("\nTeamQueueArns = \"arn:"), "{text}");
        let routes = Routes::parse(&teams).unwrap();
        assert!(!routes.all().is_empty());
        assert!(with_example("version = 0.1\n").is_none());
    }

    const ROUTE: &str = r#"{"team":"a","queue":"https://sqs.eu-west-1.amazonaws.com/111122223333/a","types":["*"],"accounts":["*"]}"#;
    const ARN: &str = "arn:aws:sqs:eu-west-1:111122223333:a";
    const TOPIC: &str = r#"[{"team":"a","topic":"arn:aws:sns:eu-west-1:111122223333:a","types":["*"],"accounts":["*"]}]"#;

    #[rstest]
    #[case::nothing(&[], None)]
    #[case::as_shipped(&[("Teams", ""), ("TeamQueueArns", ""), ("Architecture", "arm64")], None)]
    #[case::a_team(&[("Teams", &*format!("[\n{ROUTE}\n]")), ("TeamQueueArns", ARN)], None)]
    #[case::a_topic(&[("Teams", TOPIC), ("TeamQueueArns", "arn:aws:sns:eu-west-1:111122223333:a")], None)]
    #[case::a_topic_that_is_not_allowed(&[("Teams", TOPIC), ("TeamQueueArns", ARN)], Some("team a: TeamQueueArns has no ARN of arn:aws:sns"))]
    #[case::a_team_that_is_not_allowed(&[("Teams", &*format!("[{ROUTE}]"))], Some("team a: TeamQueueArns has no ARN of https://sqs"))]
    #[case::a_team_of_another_account(&[("Teams", &*format!("[{ROUTE}]")), ("TeamQueueArns", "arn:aws:sqs:eu-west-1:444455556666:a")], Some("TeamQueueArns has no ARN of"))]
    #[case::a_team_of_another_region(&[("Teams", &*format!("[{ROUTE}]")), ("TeamQueueArns", "arn:aws:sqs:us-east-1:111122223333:a")], Some("is in eu-west-1"))]
    #[case::a_misspelt_type(&[("Teams", &*format!("[{}]", ROUTE.replace("\"*\"],\"acc", "\"ordr.*\"],\"acc"))), ("TeamQueueArns", ARN)], Some("\"ordr.*\" fits no event"))]
    #[case::cut_at_a_quote(&[("Teams", "[{")], Some("Teams is a JSON list"))]
    #[case::of_an_older_form(&[("Teams", ROUTE)], Some("Teams is a JSON list"))]
    #[case::no_arn(&[("TeamQueueArns", "https://q/a")], Some("TeamQueueArns is not what it may be"))]
    #[case::a_space_in_the_list(&[("TeamQueueArns", "arn:aws:sqs:eu-west-1:111122223333:a, arn:aws:sqs:eu-west-1:111122223333:b")], Some("TeamQueueArns"))]
    #[case::misspelt(&[("TeamQueueARNs", "")], Some("TeamQueueARNs is no parameter"))]
    #[case::another_processor(&[("Architecture", "arm")], Some("Architecture is one of arm64, x86_64"))]
    #[case::a_rule(&[("LaneVisibilityTimeout", "31")], Some("[visibility]"))]
    fn an_environment_is_held_against_the_template(
        #[case] parameters: &[(&str, &str)],
        #[case] complaint: Option<&str>,
    ) {
        let found = complaints(&environments(parameters), &template()).unwrap();
        match complaint {
            None => assert_eq!(found, Vec::<String>::new()),
            Some(words) => assert!(found.iter().any(|one| one.contains(words)), "{found:?}"),
        }
    }

    #[test]
    fn two_environments_are_two_stacks() {
        let mut both = environments(&[]);
        both.extend(
            environments(&[])
                .into_values()
                .map(|one| ("prod".to_owned(), one)),
        );
        let found = complaints(&both, &template()).unwrap();
        assert_eq!(found, ["prod: it needs a stack_name of its own"]);
    }
}
