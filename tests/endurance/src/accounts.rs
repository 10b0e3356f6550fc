//! Accounts of a run, connected as an operator connects them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use http::Method;
use local::progress::Progress;
use serde_json::json;
use simulator::control::NewSite;
use simulator::{Control, SigningKey, Target};

use crate::log::now;
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
    /// Where Orderspace sends for each.
    pub(crate) targets: Vec<Target>,
}

/// Connects so many accounts by the admin API, each to a site of its own at the simulator.
///
/// # Errors
/// One cannot be connected.
pub(crate) async fn connect(
    stack: &TestStack,
    count: usize,
    progress: Progress,
) -> Result<Accounts> {
    let mut step = progress.step(format!("Connecting {count} accounts"));
    let url = stack.outputs.simulator_url.as_deref();
    let simulator =
        Control::new(url.context("the stack has another Orderspace than the simulator")?)?;
    // No two runs on one stack have the same.
    let marker = format!("endurance-{:x}-", now());
    let mut accounts = Accounts {
        marker: marker.clone(),
        names: Vec::new(),
        targets: Vec::new(),
    };
    for number in 0..count {
        let name = format!("{marker}{number}");
        let new = NewSite {
            client_id: Some(name.clone()),
            ..NewSite::default()
        };
        let credentials = simulator.create_site(&new).await?;
        let desired = json!({
            "source": "orderspace", "client_id": credentials.client_id,
            "client_secret": credentials.client_secret, "events": ["*"],
        });
        let path = format!("{}/accounts/{name}", stack.output("AdminUrl")?);
        let begun = Instant::now();
        loop {
            let answer = stack.aws.api(Method::PUT, &path, Some(&desired)).await?;
            if answer.status == 200 {
                break;
            }
            if begun.elapsed() > PATIENCE {
                bail!(
                    "{name} was not connected: {} {}",
                    answer.status,
                    answer.body
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let webhooks = simulator.site(&name).webhooks().await?;
        let [webhook] = webhooks.as_slice() else {
            bail!("{} webhooks after connecting {name}", webhooks.len());
        };
        let key = SigningKey::new(webhook.signing_key.clone());
        accounts.targets.push(Target::new(&webhook.endpoint, key)?);
        accounts.names.push(name);
        step.update(&format!("{} of {count}", number + 1));
    }
    step.done("");
    Ok(accounts)
}
