//! What a deployment sets is what the functions do: each parameter that reaches a function's environment changes the
//! configuration that the function reads from it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::collections::{BTreeMap, BTreeSet};

use local::template::Template;
use rstest::rstest;
use runtime::config::{ConfigError, Variables};
use serde_json::Value;
use testkit::releases::{self, Release};

const TEMPLATE: &str = include_str!("../../../template.yaml");

/// Values for parameters that have neither bounds nor a list of values.
const TEXTS: [(&str, &str); 11] = [
    ("AlarmEmail", "oncall@example.com"),
    (
        "CertificateArn",
        "arn:aws:acm:eu-west-1:111122223333:certificate/1a2b",
    ),
    ("DomainName", "hooks.example.com"),
    ("GatewayBaseUrl", "http://127.0.0.1:4566/_aws/execute-api"),
    ("InboundReservedConcurrency", "5"),
    ("OversizeExpiryDays", "60"),
    (
        "PermissionsBoundary",
        "arn:aws:iam::111122223333:policy/boundary",
    ),
    ("SourceUrls", "orderspace=https://api.example.com"),
    ("TeamKeyArns", "arn:aws:kms:eu-west-1:111122223333:key/1a2b"),
    ("TeamQueueArns", "arn:aws:sqs:eu-west-1:111122223333:sales"),
    (
        "Teams",
        r#"[{"team":"sales","queue":"https://sqs.eu-west-1.amazonaws.com/111122223333/sales","types":["*"],"accounts":["*"]}]"#,
    ),
];

/// Variables that a program reads before its configuration. That it reads them, and refuses what they cannot be, is seen
/// by its `tests/environment.rs`.
const READ_AT_START: [(&str, &[&str]); 4] = [
    (
        "inbound",
        &["COMPRESSION_DICTIONARY", "LOG_LEVEL", "RECEIPT_TTL_DAYS"],
    ),
    (
        "consumer",
        &["COMPRESSION_DICTIONARY", "LOG_LEVEL", "RECORD_FORMAT"],
    ),
    ("subscriptions", &["LOG_LEVEL"]),
    ("erasure", &["LOG_LEVEL"]),
];

fn template() -> Template {
    Template::parse(TEMPLATE).unwrap()
}

/// What a function makes of variables.
fn configuration(function: &str, variables: &BTreeMap<String, String>) -> String {
    fn shown<T: std::fmt::Debug>(config: Result<T, ConfigError>) -> String {
        format!("{:?}", config.unwrap())
    }
    let variables: Variables = variables.clone().into_iter().collect();
    match function {
        "inbound" => shown(inbound::config::Config::read(&variables)),
        "consumer" => shown(consumer::config::Config::read(&variables)),
        "subscriptions" => shown(subscriptions::config::Config::read(&variables)),
        "erasure" => shown(erasure::config::Config::read(&variables)),
        other => panic!("{other} is no function"),
    }
}

/// Values that a parameter may have besides its default.
fn others(template: &Template, parameter: &str) -> Vec<String> {
    let at = |member: &str| template.at(&format!("/Parameters/{parameter}/{member}"));
    let text = |value: &Value| template.text(value);
    let default = text(at("Default"));
    let mut values: Vec<String> = match at("AllowedValues").as_array() {
        Some(values) => values.iter().map(text).collect(),
        None => ["MinValue", "MaxValue"]
            .into_iter()
            .map(at)
            .filter(|bound| !bound.is_null())
            .map(text)
            .collect(),
    };
    let texts = TEXTS.iter().filter(|(name, _)| *name == parameter);
    values.extend(texts.map(|(_, value)| (*value).to_owned()));
    values.retain(|value| *value != default);
    assert!(
        !values.is_empty(),
        "{parameter} has no other value; add one to TEXTS"
    );
    values
}

#[rstest]
#[case::inbound("inbound", 8)]
#[case::consumer("consumer", 4)]
#[case::subscriptions("subscriptions", 8)]
#[case::erasure("erasure", 1)]
// requirement: parameters-keep-promises
fn each_parameter_that_reaches_a_function_changes_what_it_does(
    #[case] function: &str,
    #[case] at_least: usize,
) {
    let template = template();
    let variables = template.variables(function);
    let usual = configuration(function, &variables);
    let (_, at_start) = READ_AT_START
        .iter()
        .find(|(name, _)| *name == function)
        .unwrap();
    let mut reaching = BTreeSet::new();
    for parameter in template.at("/Parameters").as_object().unwrap().keys() {
        for value in others(&template, parameter) {
            let set = format!("{parameter}={value}");
            let changed = template
                .clone()
                .with_parameters(std::slice::from_ref(&set))
                .unwrap();
            let changed = changed.variables(function);
            let different: Vec<&str> = changed
                .iter()
                .filter(|(name, value)| variables.get(*name) != Some(value))
                .map(|(name, _)| name.as_str())
                .collect();
            if different.is_empty() {
                continue;
            }
            reaching.insert(parameter.clone());
            if different.iter().all(|name| at_start.contains(name)) {
                continue;
            }
            let config = configuration(function, &changed);
            assert_ne!(
                config, usual,
                "{set} changes {different:?} and nothing else"
            );
        }
    }
    assert!(reaching.len() >= at_least, "only {reaching:?}");
}

/// What the programs are started with by their own tests is what the template gives them.
#[rstest]
fn the_releases_environment_is_that_of_the_template(
    #[values("inbound", "consumer", "subscriptions", "erasure")] function: &str,
) {
    let current = releases::all()
        .into_iter()
        .find(Release::is_current)
        .unwrap();
    let noted = current.environment(function).unwrap();
    let noted: Vec<&String> = noted.keys().collect();
    let given = template().variables(function);
    let given: Vec<&String> = given.keys().collect();
    assert_eq!(
        noted, given,
        "tests/fixtures/releases/{}/environment.json is not what template.yaml gives {function}",
        current.version
    );
}
