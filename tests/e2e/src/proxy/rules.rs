//! Rules: which calls meet which fault, and how often.

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::request::Request;

/// A fault with the calls that meet it. What is absent does not restrict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Only this operation, such as `sqs:SendMessageBatch` or `s3:PUT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Only where the name of the queue, table, secret or object contains this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Only where the path or the body contains this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// So many matching calls pass first.
    #[serde(default)]
    pub skip: u32,
    /// So many calls meet it; absent: until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The share of the matching calls that meet it, from 0 to 1, by chance; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// What happens.
    pub fault: Fault,
}

impl Rule {
    /// A rule for every call, until it is removed.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self {
            operation: None,
            resource: None,
            contains: None,
            skip: 0,
            times: None,
            share: None,
            fault,
        }
    }

    /// The same for one operation only.
    #[must_use]
    pub fn operation(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// The same where the resource's name contains this text only.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// The same where the path or the body contains this text only.
    #[must_use]
    pub fn contains(mut self, text: impl Into<String>) -> Self {
        self.contains = Some(text.into());
        self
    }

    /// The same after so many matching calls.
    #[must_use]
    pub fn skip(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// The same for so many calls only.
    #[must_use]
    pub fn times(mut self, calls: u32) -> Self {
        self.times = Some(calls);
        self
    }

    /// The same for a share of the calls, from 0 to 1.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.share = Some(share);
        self
    }

    fn fits(&self, request: &Request) -> bool {
        let fits =
            |only: &Option<String>, fits: &dyn Fn(&str) -> bool| only.as_deref().is_none_or(fits);
        fits(&self.operation, &|operation| operation == request.operation)
            && fits(&self.resource, &|resource| {
                request.resource.contains(resource)
            })
            && fits(&self.contains, &|text| request.contains(text))
    }
}

/// A rule that is in force, with what is left of its counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActiveRule {
    /// Its number.
    pub id: u64,
    /// The rule; `skip` and `times` count down.
    pub rule: Rule,
    /// How many calls met it.
    pub met: u64,
}

/// The rules in force, oldest first.
#[derive(Debug, Default)]
pub(super) struct Rules {
    added: u64,
    active: Vec<ActiveRule>,
}

impl Rules {
    pub(super) fn add(&mut self, rule: Rule) -> u64 {
        self.added += 1;
        let id = self.added;
        self.active.push(ActiveRule { id, rule, met: 0 });
        id
    }

    pub(super) fn remove(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|active| active.id != id);
        self.active.len() < before
    }

    pub(super) fn clear(&mut self) {
        self.active.clear();
    }

    pub(super) fn all(&self) -> &[ActiveRule] {
        &self.active
    }

    /// The fault of the first rule that a call meets, and counts it. `rng` gives numbers from 0 to 1.
    pub(super) fn meet(&mut self, request: &Request, rng: impl Fn() -> f64) -> Option<Fault> {
        for ActiveRule { rule, met, .. } in &mut self.active {
            if rule.times == Some(0) || !rule.fits(request) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            if rule.share.is_some_and(|share| rng() >= share) || !rule.fault.concerns(request) {
                continue;
            }
            rule.times = rule.times.map(|times| times - 1);
            *met += 1;
            return Some(rule.fault.clone());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::request::tests::targeted;

    fn send(queue: &str, body: &str) -> Request {
        let body = format!(r#"{{"QueueUrl":"{queue}","Entries":["{body}"]}}"#);
        targeted("/", "AmazonSQS.SendMessageBatch", &body)
    }

    fn meets(rules: &mut Rules, queue: &str, body: &str) -> bool {
        rules.meet(&send(queue, body), || 0.5).is_some()
    }

    #[test]
    fn a_rule_is_met_by_the_calls_it_is_for_and_as_often_as_it_says() {
        let mut rules = Rules::default();
        let rule = Rule::new(Fault::Status(503))
            .operation("sqs:SendMessageBatch")
            .resource("Orders")
            .contains("acme");
        let id = rules.add(rule.skip(1).times(2));
        assert!(!meets(&mut rules, "Billing", "acme"));
        assert!(!meets(&mut rules, "Orders", "other"));
        assert!(!meets(&mut rules, "Orders", "acme"), "the first passes");
        assert!(meets(&mut rules, "Orders", "acme"));
        assert!(meets(&mut rules, "Orders", "acme"));
        assert!(!meets(&mut rules, "Orders", "acme"), "it is used up");
        assert_eq!(rules.all()[0].met, 2);
        assert!(rules.remove(id));
        assert!(!rules.remove(id));
    }

    #[test]
    fn a_share_is_met_by_chance() {
        let mut rules = Rules::default();
        rules.add(Rule::new(Fault::Drop).share(0.25));
        assert!(rules.meet(&send("q", "b"), || 0.24).is_some());
        assert!(rules.meet(&send("q", "b"), || 0.25).is_none());
    }

    #[test]
    fn what_refuses_messages_is_not_met_by_a_batch_without_them() {
        let mut rules = Rules::default();
        let fault = Fault::refuse_entries("bad", "InternalError", false);
        rules.add(Rule::new(fault));
        let batch = |text: &str| {
            let mut request = send("q", "");
            let body = format!(r#"{{"Entries":[{{"Id":"0","MessageBody":"{text}"}}]}}"#);
            request.body = body.into();
            request
        };
        assert!(rules.meet(&batch("good"), || 0.0).is_none());
        assert_eq!(rules.all()[0].met, 0);
        assert!(rules.meet(&batch("bad"), || 0.0).is_some());
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let mut rules = Rules::default();
        rules.add(Rule::new(Fault::Drop).times(1));
        rules.add(Rule::new(Fault::Status(500)));
        assert_eq!(rules.meet(&send("q", "b"), || 0.0), Some(Fault::Drop));
        assert_eq!(
            rules.meet(&send("q", "b"), || 0.0),
            Some(Fault::Status(500))
        );
        rules.clear();
        assert!(!meets(&mut rules, "q", "b"));
    }
}
