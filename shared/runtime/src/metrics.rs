//! Metrics in the log, in `CloudWatch`'s embedded metric format: they cost no call, and one line an invocation.
//!
//! [`Metric`] is the table of all of them. What is counted while [`invocation`] runs is collected and written when it ends,
//! however it ends: also where it panics or is given up. A metric that was not counted is not written. A report of the
//! invocation ([`report`]) stands in the same line, whose bytes are paid for: `CloudWatch` reads of it what its directives name,
//! and Logs Insights all of it.
//!
//! Every metric is published by [`STACK`] alone, so that an alarm needs one time series and another stack beside this one
//! has its own; those of the table that have dimensions are published by these as well.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::timestamp::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::clock;

/// The namespace of all of Orderhook's metrics.
pub const NAMESPACE: &str = "Orderhook";

/// The dimension that every metric has: the name of the stack.
pub const STACK: &str = "Stack";

/// The most metrics that `CloudWatch` reads from a line.
const MOST_METRICS: usize = 100;
/// The most values that it reads of a metric.
const MOST_VALUES: usize = 100;

/// What a metric's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// How many: what one invocation counts is added up.
    Count,
    /// Seconds, each value by itself.
    Seconds,
    /// Milliseconds, each value by itself.
    Milliseconds,
}

impl Unit {
    /// The unit as `CloudWatch` names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Seconds => "Seconds",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// What is measured. Alarms rest on these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Inbound: deliveries that were answered with the source's success status.
    Deliveries,
    /// Inbound: requests that were answered 503, so that they come again.
    DeliveriesRefused,
    /// Inbound: requests that were answered 401.
    Unauthenticated,
    /// Inbound: deliveries, or parts of them, that were not understood.
    Quarantined,
    /// Inbound: receipts that could not be written; the events are in their lanes.
    ReceiptsLost,
    /// Inbound: attempts that did not find out whether they are retries, and were taken as new.
    RetryMarkersUnread,
    /// Inbound: markers that may have stayed: the next delivery of the same bytes would be taken for a retry.
    RetryMarkersKept,
    /// Inbound: markers of refused deliveries that could not be written: their retries get new ids.
    RetryMarkersLost,
    /// Inbound: how old the identity of a retry is.
    RetryMarkerAge,
    /// Inbound: failed deliveries that could not be recorded: the account does not show them.
    FailedDeliveriesLost,
    /// Inbound: checks that a wrong signature asked for.
    ChecksAsked,
    /// Inbound: events that are ordered by their source's time and bring none that can be read.
    EventTimesUnread,
    /// Inbound: which form of signing fitted, at sources with several.
    SignatureForms,
    /// Consumer: events that are applied and forwarded.
    Events,
    /// Consumer and subscriptions: messages that are given back to come again.
    Retried,
    /// Consumer: events that a team's queue refused, once for each team.
    Undelivered,
    /// Consumer: messages that only a newer release can read.
    NewerEnvelopes,
    /// Consumer: events that bring a record's contents of before its last.
    EarlierContents,
    /// Consumer: events that fit a route of unified events and have no unified form.
    NotUnified,
    /// Consumer: how long after its first sight an event was with its teams; replays are left out.
    ForwardAgeMs,
    /// Subscriptions and erasure: runs of a schedule that sent every check that was due, or worked on every erasure.
    ScheduleRuns,
    /// Subscriptions: checks of accounts.
    Checks,
    /// Subscriptions: checks that could not be sent to their queue.
    ChecksUnsent,
    /// Subscriptions: accounts whose deliveries keep being refused, counted by each of their checks.
    FailedDeliveryRuns,
    /// Subscriptions: accounts that fell silent.
    Silences,
    /// Subscriptions: accounts that cannot be read, and that nobody checks.
    AccountsUnreadable,
    /// Subscriptions: events about accounts that a team's queue did not take; the next check sends them.
    AccountEventsUnsent,
    /// Subscriptions: events about accounts that were given up because too many waited.
    AccountEventsGivenUp,
    /// Subscriptions: credentials that are kept and cannot be read.
    SecretsUnreadable,
    /// Subscriptions: how often an account's deliveries could not be looked at.
    HealthUnread,
    /// Subscriptions: what checks found to be otherwise than it should be.
    SubscriptionFindings,
    /// Subscriptions: what checks did at sources.
    SubscriptionActs,
    /// Erasure: erasures that did not get on in a run; the next run tries again.
    ErasuresFailed,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 33] = [
        Self::Deliveries,
        Self::DeliveriesRefused,
        Self::Unauthenticated,
        Self::Quarantined,
        Self::ReceiptsLost,
        Self::RetryMarkersUnread,
        Self::RetryMarkersKept,
        Self::RetryMarkersLost,
        Self::RetryMarkerAge,
        Self::FailedDeliveriesLost,
        Self::ChecksAsked,
        Self::EventTimesUnread,
        Self::SignatureForms,
        Self::Events,
        Self::Retried,
        Self::Undelivered,
        Self::NewerEnvelopes,
        Self::EarlierContents,
        Self::NotUnified,
        Self::ForwardAgeMs,
        Self::ScheduleRuns,
        Self::Checks,
        Self::ChecksUnsent,
        Self::FailedDeliveryRuns,
        Self::Silences,
        Self::AccountsUnreadable,
        Self::AccountEventsUnsent,
        Self::AccountEventsGivenUp,
        Self::SecretsUnreadable,
        Self::HealthUnread,
        Self::SubscriptionFindings,
        Self::SubscriptionActs,
        Self::ErasuresFailed,
    ];

    /// The table: name, unit, and the dimensions by which it is published besides [`STACK`] alone.
    fn row(self) -> (&'static str, Unit, &'static [&'static str]) {
        use Unit::{Count, Milliseconds, Seconds};
        match self {
            Self::Deliveries => ("Deliveries", Count, &[]),
            Self::DeliveriesRefused => ("DeliveriesRefused", Count, &["Cause"]),
            Self::Unauthenticated => ("Unauthenticated", Count, &["Cause"]),
            Self::Quarantined => ("Quarantined", Count, &[]),
            Self::ReceiptsLost => ("ReceiptsLost", Count, &[]),
            Self::RetryMarkersUnread => ("RetryMarkersUnread", Count, &[]),
            Self::RetryMarkersKept => ("RetryMarkersKept", Count, &[]),
            Self::RetryMarkersLost => ("RetryMarkersLost", Count, &[]),
            Self::RetryMarkerAge => ("RetryMarkerAge", Seconds, &[]),
            Self::FailedDeliveriesLost => ("FailedDeliveriesLost", Count, &[]),
            Self::ChecksAsked => ("ChecksAsked", Count, &[]),
            Self::EventTimesUnread => ("EventTimesUnread", Count, &["Source"]),
            Self::SignatureForms => ("SignatureForms", Count, &["Source", "Form"]),
            Self::Events => ("Events", Count, &[]),
            Self::Retried => ("Retried", Count, &["Lane", "Failure"]),
            Self::Undelivered => ("Undelivered", Count, &[]),
            Self::NewerEnvelopes => ("NewerEnvelopes", Count, &[]),
            Self::EarlierContents => ("EarlierContents", Count, &[]),
            Self::NotUnified => ("NotUnified", Count, &[]),
            Self::ForwardAgeMs => ("ForwardAgeMs", Milliseconds, &[]),
            Self::ScheduleRuns => ("ScheduleRuns", Count, &["Schedule"]),
            Self::Checks => ("Checks", Count, &[]),
            Self::ChecksUnsent => ("ChecksUnsent", Count, &[]),
            Self::FailedDeliveryRuns => ("FailedDeliveryRuns", Count, &[]),
            Self::Silences => ("Silences", Count, &[]),
            Self::AccountsUnreadable => ("AccountsUnreadable", Count, &[]),
            Self::AccountEventsUnsent => ("AccountEventsUnsent", Count, &[]),
            Self::AccountEventsGivenUp => ("AccountEventsGivenUp", Count, &[]),
            Self::SecretsUnreadable => ("SecretsUnreadable", Count, &[]),
            Self::HealthUnread => ("HealthUnread", Count, &[]),
            Self::SubscriptionFindings => ("SubscriptionFindings", Count, &["Finding"]),
            Self::SubscriptionActs => ("SubscriptionActs", Count, &["Act"]),
            Self::ErasuresFailed => ("ErasuresFailed", Count, &[]),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// What its values are.
    #[must_use]
    pub fn unit(self) -> Unit {
        self.row().1
    }

    /// The dimensions by which it is published besides [`STACK`] alone; none for most.
    #[must_use]
    pub fn dimensions(self) -> &'static [&'static str] {
        self.row().2
    }
}

tokio::task_local! {
    /// What the invocation that is running has counted.
    static COUNTED: Counted;
    /// Where lines go in place of standard output.
    static CAPTURED: Lines;
}

type Lines = Arc<Mutex<Vec<String>>>;

/// A metric's values by the values of its dimensions. Only words of ours can be dimensions, never what was received.
type Series = BTreeMap<(Metric, Vec<&'static str>), Vec<u64>>;

/// Does the work of one invocation, and writes what it counted. `stack` is the name of the stack.
pub async fn invocation<T>(stack: &str, work: impl Future<Output = T>) -> T {
    let counted = Counted {
        stack: stack.to_owned(),
        series: Mutex::default(),
        reports: Mutex::default(),
        lines: CAPTURED.try_with(Arc::clone).ok(),
    };
    COUNTED.scope(counted, work).await
}

/// Does some work, and returns beside its result the lines that its invocations would have written to standard output.
pub async fn captured<T>(work: impl Future<Output = T>) -> (T, Vec<String>) {
    let lines = Lines::default();
    let result = CAPTURED.scope(Arc::clone(&lines), work).await;
    let lines = std::mem::take(&mut *lock(&lines));
    (result, lines)
}

/// Counts something. Nothing is counted outside an invocation.
pub fn count(metric: Metric, value: usize) {
    count_by(metric, value, &[]);
}

/// Counts something by the metric's [dimensions](Metric::dimensions), in their order.
pub fn count_by(metric: Metric, value: usize, dimensions: &[&'static str]) {
    debug_assert_eq!(metric.unit(), Unit::Count, "{metric:?} is no count");
    if value > 0 {
        add(metric, u64::try_from(value).unwrap_or(u64::MAX), dimensions);
    }
}

/// Notes one value of a metric: how long something took or how old it is, in the metric's unit.
pub fn observe(metric: Metric, value: u64) {
    debug_assert_ne!(metric.unit(), Unit::Count, "{metric:?} is a count");
    add(metric, value, &[]);
}

/// Adds the members of an object to the line of this invocation. A second report, and one of an invocation that counts nothing,
/// has a line of its own with a `timestamp`. Nothing is reported outside an invocation.
///
/// It is written whatever the level of the log is: whoever reports asks [`tracing::enabled!`] first.
pub fn report(about: &impl Serialize) {
    // What is reported is texts, numbers and lists of them, which are always JSON.
    if let Ok(members) = serde_json::to_string(about) {
        let _ = COUNTED.try_with(|counted| lock(&counted.reports).push(members));
    }
}

fn add(metric: Metric, value: u64, dimensions: &[&'static str]) {
    let expected = metric.dimensions().len();
    debug_assert_eq!(dimensions.len(), expected, "dimensions of {metric:?}");
    // An error is that nothing collects.
    let _ = COUNTED.try_with(|counted| {
        let mut series = lock(&counted.series);
        let values = series.entry((metric, dimensions.to_vec())).or_default();
        match (metric.unit(), values.first_mut()) {
            (Unit::Count, Some(sum)) => *sum = sum.saturating_add(value),
            (Unit::Count, None) | (Unit::Seconds | Unit::Milliseconds, _) => values.push(value),
        }
    });
}

/// What an invocation has counted so far.
struct Counted {
    stack: String,
    series: Mutex<Series>,
    /// JSON objects.
    reports: Mutex<Vec<String>>,
    lines: Option<Lines>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let series = std::mem::take(&mut *lock(&self.series));
        let reports = std::mem::take(&mut *lock(&self.reports));
        let now = clock::now();
        for line in with_reports(now, lines(now.millis(), &self.stack, &series), reports) {
            match &self.lines {
                Some(lines) => lock(lines).push(line),
                // A metric that cannot be written must not cost the delivery that it is about.
                None => drop(writeln!(std::io::stdout().lock(), "{line}")),
            }
        }
    }
}

/// The lines as text, each with a report as far as there are any, and the reports that are left over in lines of their own.
fn with_reports(now: Timestamp, lines: Vec<Value>, reports: Vec<String>) -> Vec<String> {
    let mut reports = reports.into_iter();
    let mut written: Vec<String> = Vec::new();
    for line in lines {
        written.push(match reports.next() {
            Some(report) => joined(&line.to_string(), &report),
            None => line.to_string(),
        });
    }
    let alone = json!({ "timestamp": now.to_string() }).to_string();
    written.extend(reports.map(|report| joined(&alone, &report)));
    written
}

/// The members of two JSON objects in one. Neither is empty, and none has a member of the other.
fn joined(one: &str, other: &str) -> String {
    let before = one.strip_suffix('}').unwrap_or(one);
    let after = other.strip_prefix('{').unwrap_or(other);
    format!("{before},{after}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line, as far as it is filled.
#[derive(Default)]
struct Line<'s> {
    metrics: BTreeMap<Metric, &'s [u64]>,
    dimensions: BTreeMap<&'static str, &'static str>,
}

/// The lines for what was counted: one, unless a dimension has several values or something exceeds what `CloudWatch` reads
/// from a line, where a metric and a dimension have one place each.
fn lines(millis: u64, stack: &str, series: &Series) -> Vec<Value> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for ((metric, values), numbers) in series {
        let named = || {
            metric
                .dimensions()
                .iter()
                .copied()
                .zip(values.iter().copied())
        };
        for numbers in numbers.chunks(MOST_VALUES) {
            let place = lines.iter().position(|line| {
                let agrees =
                    |(name, value)| line.dimensions.get(name).is_none_or(|held| *held == value);
                line.metrics.len() < MOST_METRICS
                    && !line.metrics.contains_key(metric)
                    && named().all(agrees)
            });
            let place = place.unwrap_or_else(|| {
                lines.push(Line::default());
                lines.len() - 1
            });
            if let Some(line) = lines.get_mut(place) {
                line.metrics.insert(*metric, numbers);
                line.dimensions.extend(named());
            }
        }
    }
    lines
        .iter()
        .map(|line| line.to_json(millis, stack))
        .collect()
}

impl Line<'_> {
    fn to_json(&self, millis: u64, stack: &str) -> Value {
        // What has the same dimensions shares a directive.
        let mut directives: BTreeMap<&[&str], Vec<Value>> = BTreeMap::new();
        for metric in self.metrics.keys() {
            let row = match metric.unit() {
                // What has no unit is a count.
                Unit::Count => json!({ "Name": metric.name() }),
                unit => json!({ "Name": metric.name(), "Unit": unit.as_str() }),
            };
            directives.entry(metric.dimensions()).or_default().push(row);
        }
        let directives = directives.into_iter().map(|(dimensions, metrics)| {
            let mut sets = vec![vec![STACK]];
            if !dimensions.is_empty() {
                sets.push([&[STACK], dimensions].concat());
            }
            json!({ "Namespace": NAMESPACE, "Dimensions": sets, "Metrics": metrics })
        });
        let directives: Vec<Value> = directives.collect();
        let mut line = Map::new();
        line.insert(
            "_aws".to_owned(),
            json!({ "Timestamp": millis, "CloudWatchMetrics": directives }),
        );
        line.insert(STACK.to_owned(), stack.into());
        for (name, value) in &self.dimensions {
            line.insert((*name).to_owned(), (*value).into());
        }
        for (metric, numbers) in &self.metrics {
            let value = match numbers {
                [one] => json!(one),
                many => json!(many),
            };
            line.insert(metric.name().to_owned(), value);
        }
        Value::Object(line)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::panic::AssertUnwindSafe;

    use futures::FutureExt as _;
    use futures::future::join;

    use super::*;

    /// The lines that an invocation writes, without their times.
    async fn written(work: impl Future<Output = ()>) -> Vec<Value> {
        let ((), lines) = captured(invocation("orderhook", work)).await;
        lines.iter().map(|line| parsed(line)).collect()
    }

    fn parsed(line: &str) -> Value {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let at = line["_aws"]["Timestamp"].take();
        assert!(at.as_u64().unwrap() > 1_700_000_000_000, "{at}");
        line["_aws"].as_object_mut().unwrap().remove("Timestamp");
        line
    }

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        let series = Series::from([
            ((Metric::Deliveries, vec![]), vec![1]),
            ((Metric::RetryMarkerAge, vec![]), vec![86_400]),
        ]);
        let lines = lines(7, "shop", &series);
        assert_eq!(
            lines,
            [json!({
                "_aws": { "Timestamp": 7, "CloudWatchMetrics": [{
                    "Namespace": "Orderhook",
                    "Dimensions": [["Stack"]],
                    "Metrics": [
                        { "Name": "Deliveries" },
                        { "Name": "RetryMarkerAge", "Unit": "Seconds" },
                    ],
                }]},
                "Stack": "shop",
                "Deliveries": 1,
                "RetryMarkerAge": 86_400,
            })]
        );
    }

    #[tokio::test]
    async fn an_invocation_writes_one_line_of_what_it_counted() {
        let lines = written(async {
            count(Metric::Events, 2);
            count(Metric::Events, 3);
            count(Metric::Undelivered, 0);
            count_by(Metric::Retried, 1, &["orders", "transient"]);
            observe(Metric::ForwardAgeMs, 700);
            observe(Metric::ForwardAgeMs, 900);
        });
        assert_eq!(
            lines.await,
            [json!({
                "_aws": { "CloudWatchMetrics": [
                    {
                        "Namespace": "Orderhook",
                        "Dimensions": [["Stack"]],
                        "Metrics": [
                            { "Name": "Events" },
                            { "Name": "ForwardAgeMs", "Unit": "Milliseconds" },
                        ],
                    },
                    {
                        "Namespace": "Orderhook",
                        "Dimensions": [["Stack"], ["Stack", "Lane", "Failure"]],
                        "Metrics": [{ "Name": "Retried" }],
                    },
                ]},
                "Stack": "orderhook",
                "Lane": "orders",
                "Failure": "transient",
                "Events": 5,
                "ForwardAgeMs": [700, 900],
                "Retried": 1,
            })]
        );
    }

    #[tokio::test]
    async fn a_report_stands_in_the_line_of_the_invocation() {
        let reports = |counted: bool, count_of: usize| async move {
            let work = async move {
                if counted {
                    count(Metric::Events, 1);
                }
                for number in 0..count_of {
                    report(&json!({ "message": "done", "number": number }));
                }
            };
            let ((), lines) = captured(invocation("orderhook", work)).await;
            let read = |line: &String| serde_json::from_str::<Value>(line).unwrap();
            lines.iter().map(read).collect::<Vec<_>>()
        };
        let one = reports(true, 1).await;
        assert_eq!(one.len(), 1);
        assert_eq!(
            (&one[0]["Events"], &one[0]["message"]),
            (&json!(1), &json!("done"))
        );
        assert!(one[0]["_aws"]["Timestamp"].is_u64() && one[0]["timestamp"].is_null());
        let two = reports(true, 2).await;
        assert_eq!((two.len(), &two[1]["number"]), (2, &json!(1)));
        assert!(two[1]["_aws"].is_null() && two[1]["timestamp"].is_string());
        let alone = reports(false, 1).await;
        assert_eq!((alone.len(), &alone[0]["number"]), (1, &json!(0)));
        assert!(alone[0]["timestamp"].is_string());
        let ((), lines) = captured(async { report(&json!({ "a": 1 })) }).await;
        assert_eq!(lines, [] as [String; 0], "outside an invocation");
    }

    #[tokio::test]
    async fn what_counts_nothing_writes_nothing() {
        assert_eq!(
            written(async { count(Metric::Events, 0) }).await,
            [] as [Value; 0]
        );
        let ((), lines) = captured(async { count(Metric::Events, 1) }).await;
        assert_eq!(lines, [] as [String; 0], "outside an invocation");
    }

    /// A place in a line can have one value: two of a dimension are two lines, whose sums are those of both.
    #[tokio::test]
    async fn two_values_of_a_dimension_are_two_lines() {
        let lines = written(async {
            count_by(Metric::Retried, 2, &["orders", "transient"]);
            count_by(Metric::Retried, 1, &["orders", "unreadable"]);
            count(Metric::Events, 4);
        });
        let lines = lines.await;
        let read = |line: &Value| {
            (
                line["Failure"].clone(),
                line["Retried"].clone(),
                line["Events"].clone(),
            )
        };
        let read: Vec<_> = lines.iter().map(read).collect();
        assert_eq!(
            read,
            [
                (json!("transient"), json!(2), json!(4)),
                (json!("unreadable"), json!(1), Value::Null)
            ]
        );
    }

    #[tokio::test]
    async fn more_values_than_a_line_takes_go_into_another() {
        let lines = written(async {
            for age in 0..250 {
                observe(Metric::ForwardAgeMs, age);
            }
        });
        let lines = lines.await;
        let ages = lines
            .iter()
            .flat_map(|line| line["ForwardAgeMs"].as_array().unwrap());
        let ages: Vec<u64> = ages.map(|age| age.as_u64().unwrap()).collect();
        assert_eq!(ages, (0..250).collect::<Vec<_>>());
        assert_eq!(lines.len(), 3);
    }

    #[tokio::test]
    async fn an_invocation_that_ends_in_a_panic_writes_what_it_counted() {
        let lines = written(async {
            let isolated = AssertUnwindSafe(async {
                count(Metric::Events, 1);
                panic!("a message's");
            });
            isolated.catch_unwind().await.unwrap_err();
        });
        assert_eq!(lines.await[0]["Events"], 1);
        let whole = AssertUnwindSafe(invocation("orderhook", async {
            count(Metric::Events, 1);
            panic!("the invocation's");
        }));
        let (ended, lines) = captured(whole.catch_unwind()).await;
        ended.unwrap_err();
        assert_eq!(parsed(&lines[0])["Events"], 1);
    }

    #[tokio::test]
    async fn an_invocation_that_is_given_up_writes_what_it_counted() {
        let endless = invocation("orderhook", async {
            count(Metric::Events, 1);
            std::future::pending::<()>().await;
        });
        let (ended, lines) = captured(async { Box::pin(endless).now_or_never() }).await;
        assert_eq!(ended, None);
        assert_eq!(parsed(&lines[0])["Events"], 1);
    }

    #[tokio::test]
    async fn invocations_side_by_side_do_not_mix() {
        let work = |stack: &'static str, value| {
            captured(invocation(stack, async move {
                count(Metric::Events, value);
                tokio::task::yield_now().await;
                count(Metric::Events, value);
            }))
        };
        let (((), one), ((), other)) = join(work("one", 1), work("other", 10)).await;
        let read = |lines: &[String]| {
            let line = parsed(&lines[0]);
            (lines.len(), line["Stack"].clone(), line["Events"].clone())
        };
        assert_eq!(read(&one), (1, json!("one"), json!(2)));
        assert_eq!(read(&other), (1, json!("other"), json!(20)));
    }

    /// The names in backticks.
    fn named(cell: &str) -> Vec<&str> {
        cell.split('`').skip(1).step_by(2).collect()
    }

    /// The operators' table has every metric with its dimensions, and no other.
    #[test]
    fn the_operators_table_is_this_one() {
        let page = include_str!("../../../infra/docs/operations.md");
        let (_, section) = page.split_once("\n## Metrics\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let mut described = BTreeMap::new();
        for row in section.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, names, functions, dimensions, meaning, ""] = cells[..] else {
                panic!("{row}");
            };
            assert!(!functions.is_empty() && !meaning.is_empty(), "{row}");
            // Metrics of one row have the same dimensions, or each its own behind a semicolon.
            let dimensions: Vec<_> = dimensions.split(';').map(named).collect();
            let names = named(names);
            assert!([1, names.len()].contains(&dimensions.len()), "{row}");
            for (name, dimensions) in names.iter().zip(dimensions.iter().cycle()) {
                let other = described.insert(*name, dimensions.clone());
                assert_eq!(other, None, "{name} is there twice");
            }
        }
        let ours = Metric::ALL.iter();
        let ours = ours.map(|metric| (metric.name(), metric.dimensions().to_vec()));
        assert_eq!(described, ours.collect::<BTreeMap<_, _>>());
    }

    #[test]
    fn every_metric_stands_in_the_list_once() {
        let names: BTreeSet<&str> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        for (place, metric) in Metric::ALL.iter().enumerate() {
            // A variant that is added and not listed moves those behind it.
            assert_eq!(*metric as usize, place, "{metric:?}");
            // The stack is one of the thirty that `CloudWatch` takes.
            assert!(metric.dimensions().len() < 30);
        }
        assert!(Metric::ALL.len() <= MOST_METRICS);
    }
}
