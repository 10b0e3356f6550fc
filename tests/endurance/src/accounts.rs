//! Accounts of a run, connected as an operator connects them.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use http::Method;
use local::aws::Answer;
use local::connecting::desired_by_name;
use local::progress::Progress;
use serde_json::{Value, json};
use simulator::control::NewSite;
use simulator::{Control, SigningKey, Source, Target};

use crate::log::now;
use crate::patience::until;
use crate::sources;
use crate::test_stack::TestStack;

/// How long connecting one account may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Connected accounts.
#[derive(Debug)]
pub(crate) struct Accounts {
    /// What all their names begin with, and nobody else's.
    pub(crate) marker: String,
    /// Their names.
    pub(crate) names: Vec<String>,
    /// The source of each.
    pub(crate) sources: Vec<Source>,
    /// Where the source sends for each.
    pub(crate) targets: Vec<Target>,
}

/// Connects an account of each of these sources by the admin API, each to a site of its own at the source's simulator.
///
/// # Errors
/// One cannot be connected.
pub(crate) async fn connect(
    stack: &TestStack,
    sources: &[Source],
    progress: Progress,
) -> Result<Accounts> {
    let count = sources.len();
    let mut step = progress.step(format!("Connecting {count} accounts"));
    // No two runs on one stack have the same.
    let marker = format!("endurance-{:x}-", now());
    let mut accounts = Accounts {
        marker: marker.clone(),
        names: Vec::new(),
        sources: sources.to_vec(),
        targets: Vec::new(),
    };
    for (number, source) in sources.iter().enumerate() {
        let name = format!("{marker}{number}");
        let target = account(stack, *source, &name).await;
        let target = target.with_context(|| format!("an account of {}", sources::name(*source)))?;
        accounts.targets.push(target);
        accounts.names.push(name);
        step.update(&format!("{} of {count}", number + 1));
    }
    step.done("");
    Ok(accounts)
}

/// Connects one account, and says where its source sends.
async fn account(stack: &TestStack, source: Source, name: &str) -> Result<Target> {
    let source_name = sources::name(source);
    let url = stack.outputs.simulators.get(source_name);
    let url = url.context("the stack has another source of that name than the simulator")?;
    let simulator = Control::new(url)?;
    let new = NewSite {
        client_id: Some(name.to_owned()),
        settings: settings(source),
        ..NewSite::default()
    };
    let credentials = simulator.create_site(&new).await?;
    let (site, secret) = (&credentials.client_id, &credentials.client_secret);
    let events = sources::selected(source);
    let desired = desired_by_name(source_name, site, secret, &events);
    let desired = desired.context("the product knows no source of that name")?;
    let connected = done(stack, Method::PUT, name, "", Some(&desired)).await?;
    // A person enters the URL on the dashboard.
    if connected.get("state").and_then(Value::as_str) == Some("waiting") {
        let made = done(stack, Method::POST, name, "/endpoint", None).await?;
        let endpoint = made.get("endpoint").and_then(Value::as_str);
        let endpoint = endpoint.context("the admin API shows no URL")?;
        return Ok(Target::new(endpoint, SigningKey::new(secret.as_str()))?);
    }
    let webhooks = simulator.site(name).webhooks().await?;
    let [webhook] = webhooks.as_slice() else {
        bail!("{} webhooks after connecting {name}", webhooks.len());
    };
    Ok(Target::shown(webhook)?)
}

/// What a source's simulator is to do otherwise than by default.
fn settings(source: Source) -> Value {
    match source {
        // A function may be starting while the URL is validated.
        Source::Apideck => json!({ "validation_timeout_ms": 20_000 }),
        Source::Onestock => json!({ "list": 200, "delete": 200 }),
        Source::Orderspace | Source::Ordermentum | Source::Stackone => Value::Null,
    }
}

/// Calls the admin API about an account until it answers with 200.
async fn done(
    stack: &TestStack,
    method: Method,
    name: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value> {
    let url = format!("{}/accounts/{name}{path}", stack.output("AdminUrl")?);
    until(PATIENCE, Duration::from_millis(200), async || {
        let Answer { status, body, .. } = stack.aws.api(method.clone(), &url, body).await?;
        ensure!(
            status == 200,
            "{method} {name}{path} is not done: {status} {body}"
        );
        Ok(body)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_of_every_source_is_connected_for_the_events_that_are_sent() {
        for source in sources::ALL {
            let (name, events) = (sources::name(source), sources::selected(source));
            let body = desired_by_name(name, "site", "secret", &events).unwrap();
            assert_eq!(body.get("source"), Some(&json!(name)));
            assert_eq!(body.get("events"), Some(&json!(events)));
            assert!(body.to_string().contains("secret"), "{name}");
            let is_sent = |event: &&str| {
                let types = sources::types(source);
                *event == "*" || types.iter().any(|(known, _)| known == event)
            };
            assert!(!events.is_empty() && events.iter().all(is_sent));
        }
        assert_eq!(desired_by_name("simulator", "site", "secret", &["*"]), None);
    }
}
