//! The repair: Orderspace disables the webhook, a check finds it missing and registers another, and the next
//! delivery arrives.
//!
//! The simulated site does not list a disabled webhook. Orderspace does not say whether it does; where it does, an
//! account's silence is what tells.

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde::Serialize;
use serde_json::Value;
use simulator::SiteControl;
use simulator::control::WebhookChange;

use crate::aws::Aws;
use crate::demo::examples::{Example, ExampleEvent};
use crate::outputs::Outputs;
use crate::progress::Progress;

/// What was seen of it.
#[derive(Debug, Serialize)]
pub struct Repairing {
    /// The webhook that was disabled.
    pub disabled: String,
    /// How a delivery was answered then: there was none.
    pub while_disabled: Vec<u16>,
    /// What the check found, in the words of the account's history.
    pub found: Option<String>,
    /// The webhook that serves now.
    pub registered: Option<String>,
    /// How the next delivery was answered.
    pub next: Vec<u16>,
    /// Whether its event reached the team's queue.
    pub reached: bool,
}

impl Repairing {
    /// What is missing, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.while_disabled.is_empty() {
            problems.push("A disabled webhook was served all the same.".to_owned());
        }
        if self.found.is_none() || self.registered.is_none() {
            problems.push(format!(
                "The check did not replace the disabled webhook {}.",
                self.disabled
            ));
        }
        if self.next.last() != Some(&200) {
            problems.push(format!(
                "After the repair a delivery was answered with {:?}, where 200 is right.",
                self.next
            ));
        }
        if !self.reached {
            problems.push("After the repair no event reached the team's queue.".to_owned());
        }
        problems
    }
}

/// The delivery that is sent while the webhook is disabled, and again when it is repaired.
pub(super) fn example() -> Example {
    Example {
        file: "repaired".to_owned(),
        what: "an order that is sent after the repair".to_owned(),
        body: r#"[{"event":"order.updated","data":{"order":{"id":"or_repaired"}}}]"#.to_owned(),
        events: vec![ExampleEvent {
            event_type: "order.updated".to_owned(),
            lane: "orders".to_owned(),
            subject: "order/or_repaired".to_owned(),
        }],
    }
}

/// Disables the webhook at Orderspace, and returns its id.
pub(super) async fn disable(site: &SiteControl) -> Result<String> {
    let webhooks = site.webhooks().await?;
    let webhook = webhooks
        .first()
        .context("there is no webhook to disable at Orderspace")?;
    let change = WebhookChange {
        enabled: Some(false),
        ..WebhookChange::default()
    };
    site.change_webhook(&webhook.id, &change).await?;
    Ok(webhook.id.clone())
}

/// Has the account checked, and returns what that found and which webhook serves now.
pub(super) async fn check(
    outputs: &Outputs,
    aws: &Aws,
    site: &SiteControl,
    account: &str,
    disabled: &str,
    progress: Progress,
) -> Result<(Option<String>, Option<String>)> {
    let step = progress.step("Checking the account whose webhook was disabled");
    let url = format!("{}/accounts/{account}/check", outputs.get("AdminUrl")?);
    let answer = aws.api(Method::POST, &url, None).await?;
    if answer.status != 200 {
        bail!(
            "the admin API answered POST /v1/accounts/{account}/check with {}: {}",
            answer.status,
            answer.body
        );
    }
    let history = answer.body.get("history").and_then(Value::as_array);
    let found = history
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("message")?.as_str())
        .rfind(|message| message.starts_with("found:") && message.contains(disabled))
        .map(str::to_owned);
    // Asked at Orderspace itself: what counts is that it will send.
    let hooks = outputs.get("HooksUrl")?;
    let registered = site
        .webhooks()
        .await?
        .into_iter()
        .find(|webhook| webhook.enabled && webhook.endpoint.starts_with(hooks))
        .map(|webhook| webhook.id);
    step.done(registered.as_deref().unwrap_or("no webhook serves"));
    Ok((found, registered))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn good() -> Repairing {
        Repairing {
            disabled: "wh_1".to_owned(),
            while_disabled: Vec::new(),
            found: Some("found: webhook wh_1 is missing at Orderspace".to_owned()),
            registered: Some("wh_2".to_owned()),
            next: vec![503, 200],
            reached: true,
        }
    }

    #[test]
    fn a_healing_has_no_problem() {
        assert_eq!(good().problems(), Vec::<String>::new());
    }

    #[rstest]
    #[case::a_webhook_that_was_not_disabled(|seen: &mut Repairing| seen.while_disabled = vec![200], "served")]
    #[case::nothing_found(|seen: &mut Repairing| seen.found = None, "wh_1")]
    #[case::nothing_registered(|seen: &mut Repairing| seen.registered = None, "wh_1")]
    #[case::a_refused_delivery(|seen: &mut Repairing| seen.next = vec![401], "401")]
    #[case::no_delivery(|seen: &mut Repairing| seen.next = Vec::new(), "200 is right")]
    #[case::no_event(|seen: &mut Repairing| seen.reached = false, "team's queue")]
    fn what_is_missing_is_told(#[case] spoil: fn(&mut Repairing), #[case] word: &str) {
        let mut seen = good();
        spoil(&mut seen);
        let problems = seen.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(word), "{problems:?}");
    }
}
