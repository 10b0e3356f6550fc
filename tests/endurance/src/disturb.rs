//! Faults between the functions and AWS: some at all times, by chance, and outages that come and go by the seed.
//!
//! They are rules of the end-to-end tests' proxy, which counts the calls that meet each.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::Method;
use local::aws::local_client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use testkit::rng::Rng;

/// What a fault is to whoever meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Refused because there was too much.
    Throttled,
    /// Answered with a status of 500 and above, with the work done or not.
    ServerError,
    /// The connection broke before the answer, with the work done or not.
    Reset,
    /// Late, also beyond the caller's patience.
    Late,
    /// Some messages of a batch refused.
    PartialBatch,
    /// An answer that breaks off half-way.
    Truncated,
    /// A team's queue that refuses, as a deleted one does.
    TeamRefused,
}

impl Kind {
    /// Every kind: a run in which one of them did not happen proves nothing.
    pub(crate) const ALL: [Self; 7] = [
        Self::Throttled,
        Self::ServerError,
        Self::Reset,
        Self::Late,
        Self::PartialBatch,
        Self::Truncated,
        Self::TeamRefused,
    ];

    /// The kind as the report names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::ServerError => "5xx",
            Self::Reset => "connection reset",
            Self::Late => "late",
            Self::PartialBatch => "part of a batch refused",
            Self::Truncated => "answer cut off",
            Self::TeamRefused => "a team's queue refuses",
        }
    }
}

const UPDATE: &str = "dynamodb:UpdateItem";
const SEND: &str = "sqs:SendMessageBatch";
const GET: &str = "dynamodb:GetItem";
/// The call that sets when a failed message comes again.
const DELAY: &str = "sqs:ChangeMessageVisibilityBatch";

/// The faults that may be met at any time, each by so many of a thousand calls.
fn at_all_times() -> Vec<(Kind, u32, Value)> {
    let refuse = |code: &str| json!({ "refuse": { "status": 400, "code": code } });
    // Of a batch, the events of one colour.
    let part = |tint: &str, code: &str, permanent: bool| {
        json!({ "refuse_entries": {
            "contains": format!(r#""tint":"{tint}""#), "code": code, "sender_fault": permanent,
        }})
    };
    let of = |operation: &str, fault: Value| json!({ "operation": operation, "fault": fault });
    let any = |fault: Value| json!({ "fault": fault });
    vec![
        (
            Kind::Throttled,
            25,
            of(UPDATE, refuse("ProvisionedThroughputExceededException")),
        ),
        (
            Kind::Throttled,
            20,
            of(UPDATE, refuse("ThrottlingException")),
        ),
        (Kind::Throttled, 25, of(SEND, refuse("RequestThrottled"))),
        (Kind::Throttled, 20, of(GET, refuse("ThrottlingException"))),
        (
            Kind::PartialBatch,
            200,
            of(SEND, part("t3", "ServiceUnavailable", false)),
        ),
        (
            Kind::PartialBatch,
            100,
            of(SEND, part("t5", "InternalError", false)),
        ),
        // The content is to blame, says the queue: such an event travels as a pointer.
        (
            Kind::PartialBatch,
            300,
            json!({
                "operation": SEND, "resource": "OrdersQueue", "fault": part("t9", "InvalidMessageContents", true),
            }),
        ),
        (Kind::ServerError, 10, any(json!({ "status": 500 }))),
        (Kind::ServerError, 10, any(json!({ "status": 503 }))),
        (
            Kind::ServerError,
            5,
            any(json!({ "work_then_status": 500 })),
        ),
        (Kind::Reset, 8, any(json!("drop"))),
        (Kind::Reset, 8, any(json!("work_then_drop"))),
        (Kind::Truncated, 10, any(json!("work_then_truncate"))),
        (Kind::Late, 15, any(json!({ "delay_ms": 300 }))),
        // Longer than the functions wait for one attempt.
        (Kind::Late, 3, any(json!({ "delay_ms": 2_300 }))),
    ]
}

/// The outages, one of which is met by every call that it is for.
fn outages() -> Vec<(Kind, &'static str, Value)> {
    let gone = json!({ "refuse": { "status": 400, "code": "QueueDoesNotExist" } });
    let throttled = |code: &str| json!({ "refuse": { "status": 400, "code": code } });
    vec![
        (
            Kind::TeamRefused,
            "the team's queue refuses",
            json!({ "operation": SEND, "resource": "ExampleTeam", "fault": gone }),
        ),
        (
            Kind::Throttled,
            "the orders' lane is throttled",
            json!({ "operation": SEND, "resource": "OrdersQueue", "fault": throttled("RequestThrottled") }),
        ),
        (
            Kind::ServerError,
            "the records table is down",
            json!({ "operation": UPDATE, "resource": "Records", "fault": { "status": 503 } }),
        ),
        (
            Kind::Reset,
            "the receipts table is out of reach",
            json!({ "resource": "Receipts", "fault": "drop" }),
        ),
        (
            Kind::ServerError,
            "the inventory lane is down",
            json!({ "operation": SEND, "resource": "InventoryQueue", "fault": { "status": 500 } }),
        ),
    ]
}

/// How often it is looked whether a call met an outage, and how long after each look.
const UNMET_LOOKS: usize = 40;
const UNMET_LOOK: Duration = Duration::from_millis(250);

/// A rule in force.
#[derive(Deserialize)]
struct Active {
    id: u64,
    met: u64,
}

/// The proxy, with the rules of this run.
#[derive(Debug)]
pub(crate) struct Disturbance {
    http: reqwest::Client,
    base: String,
    rules: BTreeMap<u64, Kind>,
    ended: BTreeMap<Kind, u64>,
}

impl Disturbance {
    /// Begins to disturb. `gentle` spares the call without which a failed message waits for its lane's whole visibility
    /// timeout.
    pub(crate) async fn begin(proxy: &str, gentle: bool) -> Result<Self> {
        let mut disturbance = Self {
            http: local_client()?,
            base: rules_of(proxy),
            rules: BTreeMap::new(),
            ended: BTreeMap::new(),
        };
        if gentle {
            // The first rule that fits decides, and this one changes nothing.
            disturbance
                .add(&json!({ "operation": DELAY, "fault": { "delay_ms": 0 } }))
                .await?;
        }
        for (kind, thousandths, mut rule) in at_all_times() {
            if let Some(rule) = rule.as_object_mut() {
                let share = json!(f64::from(thousandths) / 1000.0);
                rule.insert("share".to_owned(), share);
            }
            let id = disturbance.add(&rule).await?;
            disturbance.rules.insert(id, kind);
        }
        Ok(disturbance)
    }

    async fn add(&self, rule: &Value) -> Result<u64> {
        add_at(&self.http, &self.base, rule).await
    }

    async fn met(&self) -> Result<Vec<Active>> {
        let rules = self.http.get(&self.base).send().await;
        Ok(rules
            .context("the proxy does not show its rules")?
            .json()
            .await?)
    }

    /// Has outages come and go until it is dropped.
    pub(crate) async fn outages(&mut self, mut rng: Rng, longest: Duration) -> Result<()> {
        let all = outages();
        // Each once, and then by chance.
        for round in 0.. {
            let (kind, _, rule) = match all.get(round) {
                Some(outage) => outage,
                None => &rng.pick(&all),
            };
            tokio::time::sleep(Duration::from_millis(rng.between(1_500, 5_000))).await;
            let id = self.add(rule).await?;
            self.rules.insert(id, *kind);
            let length = rng.between(1_000, u64::try_from(longest.as_millis())?);
            tokio::time::sleep(Duration::from_millis(length)).await;
            // One that no call met proves nothing: it goes on for a while.
            for _ in 0..UNMET_LOOKS {
                if self.met_by(id).await? > 0 {
                    break;
                }
                tokio::time::sleep(UNMET_LOOK).await;
            }
            self.end(id).await?;
        }
        Ok(())
    }

    async fn met_by(&self, id: u64) -> Result<u64> {
        let rules = self.met().await?;
        let rule = rules.iter().find(|rule| rule.id == id);
        Ok(rule.map_or(0, |rule| rule.met))
    }

    async fn end(&mut self, id: u64) -> Result<()> {
        let met = self.met_by(id).await?;
        let url = format!("{}/{id}", self.base);
        self.http.request(Method::DELETE, url).send().await?;
        if let Some(kind) = self.rules.remove(&id) {
            *self.ended.entry(kind).or_default() += met;
        }
        Ok(())
    }

    /// Ends all disturbance, and says how many calls met which kind.
    pub(crate) async fn finish(mut self) -> Result<BTreeMap<Kind, u64>> {
        for rule in self.met().await? {
            if let Some(kind) = self.rules.get(&rule.id) {
                *self.ended.entry(*kind).or_default() += rule.met;
            }
        }
        self.http.delete(&self.base).send().await?;
        Ok(self.ended)
    }
}

fn rules_of(proxy: &str) -> String {
    format!("{}/_proxy/rules", proxy.trim_end_matches('/'))
}

async fn add_at(http: &reqwest::Client, rules: &str, rule: &Value) -> Result<u64> {
    #[derive(Deserialize)]
    struct Added {
        id: u64,
    }
    let added = http.post(rules).json(rule).send().await;
    let added = added.and_then(reqwest::Response::error_for_status);
    let added: Added = added.context("the proxy takes no rule")?.json().await?;
    Ok(added.id)
}

/// Takes every rule away, whoever set it, as a run that was cut short must.
pub(crate) async fn calm(proxy: &str) -> Result<()> {
    local_client()?.delete(rules_of(proxy)).send().await?;
    Ok(())
}
