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

fn refuse(code: &str) -> Value {
    json!({ "refuse": { "status": 400, "code": code } })
}

/// The faults that may be met at any time, each by so many of a thousand calls.
fn at_all_times() -> Vec<(Kind, Value)> {
    let share = |thousandths: u32| f64::from(thousandths) / 1000.0;
    // Of a batch, the events of one colour.
    let part = |tint: &str, code: &str, permanent: bool| {
        json!({ "refuse_entries": {
            "contains": format!(r#""tint":"{tint}""#), "code": code, "sender_fault": permanent,
        }})
    };
    let of = |kind, thousandths, operation: &str, fault: Value| {
        let share = share(thousandths);
        let rule = json!({ "operation": operation, "fault": fault, "share": share });
        (kind, rule)
    };
    let throttled =
        |thousandths, operation, code| of(Kind::Throttled, thousandths, operation, refuse(code));
    let any = |kind, thousandths, fault: Value| {
        let rule = json!({ "fault": fault, "share": share(thousandths) });
        (kind, rule)
    };
    let unavailable = part("t3", "ServiceUnavailable", false);
    let internal = part("t5", "InternalError", false);
    // The content is to blame, says the queue: such an event travels as a pointer.
    let to_blame = json!({
        "operation": SEND, "resource": "OrdersQueue", "fault": part("t9", "InvalidMessageContents", true),
        "share": share(300),
    });
    vec![
        throttled(25, UPDATE, "ProvisionedThroughputExceededException"),
        throttled(20, UPDATE, "ThrottlingException"),
        throttled(25, SEND, "RequestThrottled"),
        throttled(20, GET, "ThrottlingException"),
        of(Kind::PartialBatch, 200, SEND, unavailable),
        of(Kind::PartialBatch, 100, SEND, internal),
        (Kind::PartialBatch, to_blame),
        any(Kind::ServerError, 10, json!({ "status": 500 })),
        any(Kind::ServerError, 10, json!({ "status": 503 })),
        any(Kind::ServerError, 5, json!({ "work_then_status": 500 })),
        any(Kind::Reset, 8, json!("drop")),
        any(Kind::Reset, 8, json!("work_then_drop")),
        any(Kind::Truncated, 10, json!("work_then_truncate")),
        any(Kind::Late, 15, json!({ "delay_ms": 300 })),
        // Longer than the functions wait for one attempt.
        any(Kind::Late, 3, json!({ "delay_ms": 2_300 })),
    ]
}

/// The outages, one of which is met by every call that it is for: the team's queue refuses, the orders' lane is throttled, the
/// records table is down, the receipts table is out of reach, the inventory lane is down.
fn outages() -> [(Kind, Value); 5] {
    let of = |operation: &str, resource: &str, fault: Value| json!({ "operation": operation, "resource": resource, "fault": fault });
    let gone = of(SEND, "ExampleTeam", refuse("QueueDoesNotExist"));
    let throttled = of(SEND, "OrdersQueue", refuse("RequestThrottled"));
    let records_down = of(UPDATE, "Records", json!({ "status": 503 }));
    let out_of_reach = json!({ "resource": "Receipts", "fault": "drop" });
    let lane_down = of(SEND, "InventoryQueue", json!({ "status": 500 }));
    [
        (Kind::TeamRefused, gone),
        (Kind::Throttled, throttled),
        (Kind::ServerError, records_down),
        (Kind::Reset, out_of_reach),
        (Kind::ServerError, lane_down),
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
            let spare = json!({ "operation": DELAY, "fault": { "delay_ms": 0 } });
            disturbance.add(&spare).await?;
        }
        for (kind, rule) in at_all_times() {
            let id = disturbance.add(&rule).await?;
            disturbance.rules.insert(id, kind);
        }
        Ok(disturbance)
    }

    async fn add(&self, rule: &Value) -> Result<u64> {
        #[derive(Deserialize)]
        struct Added {
            id: u64,
        }
        let added = self.http.post(&self.base).json(rule).send().await;
        let added = added.and_then(reqwest::Response::error_for_status);
        let added: Added = added.context("the proxy takes no rule")?.json().await?;
        Ok(added.id)
    }

    async fn met(&self) -> Result<Vec<Active>> {
        let rules = self.http.get(&self.base).send().await;
        let rules = rules.context("the proxy does not show its rules")?;
        Ok(rules.json().await?)
    }

    /// Has outages come and go until it is dropped.
    pub(crate) async fn outages(&mut self, mut rng: Rng, longest: Duration) -> Result<()> {
        let all = outages();
        // Each once, and then by chance.
        for round in 0.. {
            let (kind, rule) = match all.get(round) {
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

/// Takes every rule away, whoever set it, as a run that was cut short must.
pub(crate) async fn calm(proxy: &str) -> Result<()> {
    local_client()?.delete(rules_of(proxy)).send().await?;
    Ok(())
}
