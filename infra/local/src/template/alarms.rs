//! What alarms and dashboard watch: which metrics there are, and how an alarm reads them.
//!
//! CloudWatch takes an alarm on a metric that nobody publishes, or that is published by other dimensions, and it never
//! rings. No linter sees that, so every metric that the template names is held against two tables here: [`OURS`], and the
//! reviewed list of those of AWS ([`AWS`]).

use domain::lane::Lane;
use serde_json::Value;

use super::{Resource, Template, referred};

/// The namespace of the metrics that our functions write.
pub const NAMESPACE: &str = "Orderhook";
/// The dimension that each of them has: all stacks of an AWS account write into one namespace.
pub const STACK: &str = "Stack";

/// What a search takes for a dimension whose value it does not name.
const ANY: &str = "*";

/// What the absence of a metric means for what it measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    /// It is there, or counted again and again, for as long as a state lasts: without it, the state is over.
    State,
    /// It is counted when something happens: without it, nothing is known of what happened before.
    Event,
}

/// Metrics of AWS that are published alike.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Their namespace.
    pub namespace: &'static str,
    /// The dimension by which the template may read them, and the type of the resource that this names.
    pub by: (&'static str, &'static str),
    /// The only statistic that makes sense of them. A percentile is `p`.
    pub statistic: &'static str,
    /// What their absence means.
    pub says: Says,
    /// Their names.
    pub metrics: &'static [&'static str],
}

impl Published {
    /// The row of [`AWS`] that has a metric.
    fn of(namespace: &str, metric: &str) -> Option<&'static Self> {
        let mut rows = AWS.iter();
        rows.find(|row| row.namespace == namespace && row.metrics.contains(&metric))
    }
}

const QUEUE: (&str, &str) = ("QueueName", "AWS::SQS::Queue");
const API: (&str, &str) = ("ApiId", "AWS::ApiGatewayV2::Api");
const FUNCTION: (&str, &str) = ("FunctionName", "AWS::Serverless::Function");
const TABLE: (&str, &str) = ("TableName", "AWS::DynamoDB::Table");
const LOG: (&str, &str) = ("LogGroupName", "AWS::Logs::LogGroup");

/// Messages that can be received. A queue with messages publishes it.
pub const VISIBLE: &str = "ApproximateNumberOfMessagesVisible";
/// Messages in flight: received, and not yet visible again.
pub const IN_FLIGHT: &str = "ApproximateNumberOfMessagesNotVisible";
/// Seconds. Leaves out what was received three times.
pub const AGE: &str = "ApproximateAgeOfOldestMessage";

/// The metrics of AWS that may be watched. Each was read in AWS's pages:
///
/// - SQS: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>
/// - HTTP APIs, whose names are in lower case, other than those of REST APIs:
///   <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html>
/// - Lambda: <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>, and its Function URLs:
///   <https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html>
/// - DynamoDB: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html>
/// - the embedded metric format: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html>
pub const AWS: [Published; 7] = [
    Published {
        namespace: "AWS/SQS",
        by: QUEUE,
        statistic: "Maximum",
        says: Says::State,
        metrics: &[VISIBLE, IN_FLIGHT, AGE],
    },
    Published {
        namespace: "AWS/ApiGateway",
        by: API,
        statistic: "Sum",
        says: Says::Event,
        metrics: &["Count", "4xx", "5xx"],
    },
    Published {
        namespace: "AWS/ApiGateway",
        by: API,
        statistic: "p",
        says: Says::Event,
        metrics: &["Latency"],
    },
    Published {
        namespace: "AWS/Lambda",
        by: FUNCTION,
        statistic: "Sum",
        says: Says::Event,
        metrics: &[
            "Errors",
            "Throttles",
            "UrlRequestCount",
            "Url4xxCount",
            "Url5xxCount",
        ],
    },
    Published {
        namespace: "AWS/Lambda",
        by: FUNCTION,
        statistic: "p",
        says: Says::Event,
        metrics: &["Duration", "UrlRequestLatency"],
    },
    Published {
        namespace: "AWS/DynamoDB",
        by: TABLE,
        statistic: "Sum",
        says: Says::Event,
        metrics: &["ReadThrottleEvents", "WriteThrottleEvents"],
    },
    Published {
        namespace: "AWS/Logs",
        by: LOG,
        statistic: "Sum",
        says: Says::Event,
        metrics: &["EMFParsingErrors", "EMFValidationErrors", "IncomingBytes"],
    },
];

/// A metric of ours: its name, the dimensions that it is published by besides the stack alone, and what its absence means.
pub type Own = (&'static str, &'static [&'static str], Says);

/// The metrics that the functions write. Each is published by `Stack`, and by `Stack` with the dimensions named here.
pub const OURS: [Own; 33] = [
    ("Deliveries", &[], Says::Event),
    ("DeliveriesRefused", &["Cause"], Says::Event),
    ("Unauthenticated", &["Cause"], Says::Event),
    ("Quarantined", &[], Says::Event),
    ("ReceiptsLost", &[], Says::Event),
    ("RetryMarkersUnread", &[], Says::Event),
    ("RetryMarkersKept", &[], Says::Event),
    ("RetryMarkersLost", &[], Says::Event),
    ("RetryMarkerAge", &[], Says::Event),
    ("FailedDeliveriesLost", &[], Says::Event),
    ("ChecksAsked", &[], Says::Event),
    ("EventTimesUnread", &["Source"], Says::Event),
    ("SignatureForms", &["Source", "Form"], Says::Event),
    ("Events", &[], Says::Event),
    ("Retried", &["Lane", "Failure"], Says::State),
    ("Undelivered", &[], Says::Event),
    ("NewerEnvelopes", &[], Says::Event),
    ("EarlierContents", &[], Says::Event),
    ("NotUnified", &[], Says::Event),
    ("ForwardAgeMs", &[], Says::Event),
    ("ScheduleRuns", &["Schedule"], Says::State),
    ("Checks", &[], Says::Event),
    ("ChecksUnsent", &[], Says::Event),
    ("FailedDeliveryRuns", &[], Says::Event),
    ("Silences", &[], Says::Event),
    ("AccountsUnreadable", &[], Says::Event),
    ("AccountEventsUnsent", &[], Says::Event),
    ("AccountEventsGivenUp", &[], Says::Event),
    ("SecretsUnreadable", &[], Says::Event),
    ("HealthUnread", &[], Says::Event),
    ("SubscriptionFindings", &["Finding"], Says::Event),
    ("SubscriptionActs", &["Act"], Says::Event),
    ("ErasuresFailed", &[], Says::Event),
];

/// Those of [`OURS`] that need an alarm.
pub const ALARMED: [&str; 13] = [
    "DeliveriesRefused",
    "ReceiptsLost",
    "RetryMarkersUnread",
    "RetryMarkersKept",
    "RetryMarkersLost",
    "Retried",
    "ScheduleRuns",
    "FailedDeliveryRuns",
    "Silences",
    "AccountsUnreadable",
    "AccountEventsUnsent",
    "SecretsUnreadable",
    "ErasuresFailed",
];

/// One time series that the template reads.
#[derive(Clone, Debug)]
pub struct Series {
    /// The namespace. That of the stack's own metric filters is `${AWS::StackName}`.
    pub namespace: String,
    /// The metric's name.
    pub metric: String,
    /// Dimensions with their values; one that refers to a resource is `${Id…}`.
    pub dimensions: Vec<(String, String)>,
    /// The statistic, such as `Sum` or `p95`.
    pub statistic: String,
    /// Seconds, where this is written as a number.
    pub period: Option<i64>,
}

impl Series {
    /// The logical id that a dimension refers to.
    pub fn watches(&self) -> Option<&str> {
        self.dimensions.first().and_then(|(_, value)| inside(value))
    }

    /// What is wrong with it, if anything.
    pub fn complaint(&self, template: &Template) -> Option<String> {
        let metric = &self.metric;
        match self.namespace.as_str() {
            NAMESPACE => self.complaint_about_ours(),
            "${AWS::StackName}" => {
                let made = template
                    .of_kind("AWS::Logs::MetricFilter")
                    .any(|filter| makes(filter, metric));
                (!made).then(|| format!("no metric filter makes {metric}"))
            }
            namespace => self.complaint_about_aws(namespace, template),
        }
    }

    fn complaint_about_aws(&self, namespace: &str, template: &Template) -> Option<String> {
        let (metric, statistic) = (&self.metric, &self.statistic);
        let Some(known) = Published::of(namespace, metric) else {
            return Some(format!("{namespace} {metric} is not in the reviewed table"));
        };
        let (dimension, kind) = known.by;
        let is_of_kind = |id: &str| {
            let found = template.resource(id);
            found.is_some_and(|found| found.kind() == kind)
        };
        let is_by = match self.dimensions.as_slice() {
            [(name, value)] => name == dimension && inside(value).is_some_and(is_of_kind),
            _ => false,
        };
        if !is_by {
            return Some(format!(
                "{namespace} publishes {metric} by {dimension} of a {kind}"
            ));
        }
        let percentile = statistic.strip_prefix('p');
        let fits = match known.statistic {
            "p" => percentile.is_some_and(|rest| rest.parse::<f64>().is_ok()),
            known => known == statistic,
        };
        (!fits).then(|| format!("{statistic} says nothing of {metric}: {}", known.statistic))
    }

    fn complaint_about_ours(&self) -> Option<String> {
        let metric = &self.metric;
        let Some((_, more, _)) = OURS.iter().find(|(name, ..)| name == metric) else {
            return Some(format!("no function writes {metric}"));
        };
        let Some(((stack, value), rest)) = self.dimensions.split_first() else {
            return Some(format!("it watches {metric} of other stacks too"));
        };
        if stack != STACK || value != "${AWS::StackName}" {
            return Some(format!("it watches {metric} of other stacks too"));
        }
        let names: Vec<&str> = rest.iter().map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() && names != *more {
            return Some(format!(
                "{metric} is published by {STACK} and {more:?}, not {names:?}"
            ));
        }
        rest.iter().find_map(|(name, value)| {
            let known = match name.as_str() {
                "Schedule" => ["check", "watch", "erasure"].contains(&value.as_str()),
                "Lane" => value == "checks" || Lane::ALL.iter().any(|lane| lane.as_str() == value),
                _ => true,
            };
            (!known && value != ANY).then(|| format!("there is no {name} {value}"))
        })
    }

    /// What the absence of the metric means.
    pub fn says(&self) -> Says {
        let ours = OURS
            .iter()
            .filter(|_| self.namespace == NAMESPACE)
            .find_map(|(name, _, says)| (*name == self.metric).then_some(*says));
        let known = || Published::of(&self.namespace, &self.metric).map(|known| known.says);
        ours.or_else(known).unwrap_or(Says::Event)
    }
}

fn makes(filter: Resource<'_>, metric: &str) -> bool {
    let made = |path: &str| filter.property(&format!("/MetricTransformations/0/{path}"));
    made("MetricName") == metric && made("MetricNamespace/Ref") == "AWS::StackName"
}

/// The logical id in `${Id}` or `${Id.Attribute}`.
fn inside(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    name.split('.').next()
}

/// A value as a substitution writes it: a reference is `${Id}`.
fn written(value: &Value) -> String {
    match (value.as_str(), referred(value)) {
        (Some(text), _) => text.to_owned(),
        (None, Some(id)) => format!("${{{id}}}"),
        (None, None) => value.to_string(),
    }
}

/// An alarm.
#[derive(Clone, Debug)]
pub struct Alarm<'a> {
    /// Its resource.
    pub resource: Resource<'a>,
    /// The series that it reads: each is charged.
    pub series: Vec<Series>,
    /// The queries of its math, of which there are none where it reads one metric.
    pub queries: Vec<Value>,
    /// The expressions among them.
    pub expressions: Vec<String>,
}

impl<'a> Alarm<'a> {
    fn of(template: &Template, resource: Resource<'a>) -> Self {
        let queries = match template.resolved(resource.property("/Metrics")) {
            Value::Array(queries) => queries,
            _ => Vec::new(),
        };
        let (mut series, mut expressions) = (Vec::new(), Vec::new());
        for query in &queries {
            let stat = &query["MetricStat"];
            if stat.is_null() {
                expressions.push(query["Expression"].as_str().unwrap_or_default().to_owned());
            } else {
                series.push(one(&stat["Metric"], &stat["Stat"], &stat["Period"]));
            }
        }
        if queries.is_empty() {
            let metric = resource.attribute("Properties");
            series.push(one(metric, &metric["Statistic"], &metric["Period"]));
        }
        Self {
            resource,
            series,
            queries,
            expressions,
        }
    }

    /// How many periods it looks at (N), and how many of them have to breach (M): the least and the greatest number.
    pub fn periods(&self, template: &Template) -> Option<[(i64, i64); 2]> {
        let of = |path| template.range(self.resource.property(path));
        Some([of("/EvaluationPeriods")?, of("/DatapointsToAlarm")?])
    }

    /// The length of its periods in seconds, where they are all the same.
    pub fn period(&self) -> Option<i64> {
        let first = self.series.first()?.period?;
        let same = self
            .series
            .iter()
            .all(|series| series.period == Some(first));
        same.then_some(first)
    }

    /// Whether it notifies anybody when it rings.
    pub fn notifies(&self) -> bool {
        let actions = self.resource.property("/AlarmActions").as_array();
        actions.is_some_and(|actions| !actions.is_empty())
    }

    /// How long its series have to breach before it rings, in seconds.
    pub fn rings_after(&self, template: &Template) -> Option<i64> {
        let [_, (_, datapoints)] = self.periods(template)?;
        self.period()?.checked_mul(datapoints)
    }
}

fn one(metric: &Value, statistic: &Value, period: &Value) -> Series {
    let dimensions = metric["Dimensions"].as_array().into_iter().flatten();
    Series {
        namespace: written(&metric["Namespace"]),
        metric: written(&metric["MetricName"]),
        dimensions: dimensions
            .map(|dimension| (written(&dimension["Name"]), written(&dimension["Value"])))
            .collect(),
        statistic: written(statistic),
        period: period.as_i64(),
    }
}

/// Every alarm of a template.
pub fn alarms(template: &Template) -> Vec<Alarm<'_>> {
    template
        .of_kind("AWS::CloudWatch::Alarm")
        .map(|resource| Alarm::of(template, resource))
        .collect()
}

/// The series of a dashboard, or why it cannot be read. Those of a search have the dimensions that it searches by, each
/// with any value.
///
/// # Errors
/// What is wrong, in words.
pub fn dashboard(dashboard: Resource<'_>) -> Result<Vec<Series>, String> {
    let text = dashboard.property("/DashboardBody/Fn::Sub");
    let text = text.as_str().ok_or("its body is no !Sub")?;
    let body: Value =
        serde_json::from_str(text).map_err(|error| format!("its body is no JSON: {error}"))?;
    let widgets = body.get("widgets").and_then(Value::as_array);
    let widgets = widgets.ok_or("it has no widgets")?;
    let mut series = Vec::new();
    for properties in widgets.iter().map(|widget| &widget["properties"]) {
        let usual = properties["stat"].as_str().unwrap_or_default();
        for row in properties["metrics"].as_array().into_iter().flatten() {
            let row = row.as_array().ok_or("a metric is no list")?;
            let (names, options) = match row.split_last() {
                Some((last, names)) if last.is_object() => (names, last),
                _ => (row.as_slice(), &Value::Null),
            };
            if let Some(search) = options["expression"].as_str() {
                series.push(searched(search).ok_or_else(|| format!("not understood: {search}"))?);
                continue;
            }
            let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            let [namespace, metric, dimensions @ ..] = names.as_slice() else {
                return Err("a metric has no name".to_owned());
            };
            let pairs = dimensions.chunks(2).map(|pair| match pair {
                [name, value] => Ok(((*name).to_owned(), (*value).to_owned())),
                _ => Err(format!("a dimension of {metric} has no value")),
            });
            series.push(Series {
                namespace: (*namespace).to_owned(),
                metric: (*metric).to_owned(),
                dimensions: pairs.collect::<Result<_, _>>()?,
                statistic: options["stat"].as_str().unwrap_or(usual).to_owned(),
                period: properties["period"].as_i64(),
            });
        }
    }
    Ok(series)
}

/// `SEARCH('{Orderhook,Stack,Cause} MetricName="…" Stack="${AWS::StackName}"', 'Sum', 300)`.
fn searched(expression: &str) -> Option<Series> {
    let (schema, rest) = expression.strip_prefix("SEARCH('{")?.split_once('}')?;
    let (namespace, names) = schema.split_once(',')?;
    let value = |name: &str| {
        let (_, after) = rest.split_once(&format!(" {name}=\""))?;
        Some(after.split_once('"')?.0.to_owned())
    };
    let dimensions = names.split(',').map(|name| {
        (
            name.to_owned(),
            value(name).unwrap_or_else(|| ANY.to_owned()),
        )
    });
    let (_, ending) = rest.split_once("', '")?;
    Some(Series {
        namespace: namespace.to_owned(),
        metric: value("MetricName")?,
        dimensions: dimensions.collect(),
        statistic: ending.split_once('\'')?.0.to_owned(),
        period: None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use regex_lite::Regex;
    use rstest::rstest;

    use super::*;

    fn ours() -> Template {
        Template::parse(include_str!("../../../../template.yaml")).unwrap()
    }

    fn alarm<'a>(template: &'a Template, id: &str) -> Alarm<'a> {
        let found = alarms(template)
            .into_iter()
            .find(|alarm| alarm.resource.id == id);
        found.unwrap_or_else(|| panic!("there is no {id}"))
    }

    /// The table is what the functions write, by name and dimensions. Where the metrics are declared, a row is
    /// `=> ("Name", Unit, &["Dimension"])`.
    #[test]
    fn the_table_of_our_metrics_is_the_one_that_is_written() {
        let names: BTreeSet<&str> = OURS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), OURS.len(), "a metric stands here twice");
        assert!(ALARMED.iter().all(|name| names.contains(name)));

        let declared = include_str!("../../../../shared/runtime/src/metrics.rs");
        let row =
            Regex::new(r#"=>\s*\(\s*"([A-Za-z]+)",\s*[A-Za-z:]+,\s*&\[([A-Za-z", ]*)\],?\s*\)"#);
        let rows: BTreeSet<(String, String)> = row
            .unwrap()
            .captures_iter(declared)
            .map(|row| (row[1].to_owned(), row[2].replace(['"', ' '], "")))
            .collect();
        if declared.contains("enum Metric") {
            let here = OURS
                .iter()
                .map(|(name, dimensions, _)| ((*name).to_owned(), dimensions.join(",")));
            assert_eq!(here.collect::<BTreeSet<_>>(), rows);
        }
    }

    /// Every minute at which an alarm rings that counts something, by the seconds at which it is counted.
    fn rings(alarm: &Alarm<'_>, template: &Template, counted: &[i64], until: i64) -> Vec<i64> {
        let period = alarm.period().unwrap();
        let [(_, periods), (_, datapoints)] = alarm.periods(template).unwrap();
        let threshold = template
            .number(alarm.resource.property("/Threshold"))
            .unwrap();
        let rings = |minute: &i64| {
            let end = minute * 60;
            let breaching = (0..periods).filter(|index| {
                let window = end - (index + 1) * period..end - index * period;
                let sum = counted.iter().filter(|at| window.contains(at)).count();
                i64::try_from(sum).unwrap() >= threshold
            });
            i64::try_from(breaching.count()).unwrap() >= datapoints
        };
        (0..=until / 60).filter(rings).collect()
    }

    /// When a message that always fails is given back: twice as late each time, 15 minutes at most, and by chance up to
    /// half as late.
    fn given_back(first: i64, chance: i64, until: i64) -> Vec<i64> {
        let delays = (0..).map(|count| (first << count.min(16)).min(900) * chance / 100);
        let mut at = 0;
        let all = std::iter::once(0).chain(delays.map(move |delay| {
            at += delay;
            at
        }));
        all.take_while(|at| *at < until).collect()
    }

    /// One message that fails is enough, and it goes on ringing though its retries get rarer. With three periods of three
    /// it would stop while the message still fails.
    #[rstest]
    #[case::late(100)]
    #[case::early(50)]
    #[case::between(75)]
    fn one_message_that_keeps_failing_rings_for_as_long_as_it_does(#[case] chance: i64) {
        const SETTLED: i64 = 20;
        let template = ours();
        let first = template.number(&serde_json::json!({"Ref": "FirstRetrySeconds"}));
        let day = 24 * 3600;
        let retried = given_back(first.unwrap(), chance, day);
        let silent = |template: &Template| {
            let alarm = alarm(template, "RetriedAlarm");
            let rings: BTreeSet<i64> = rings(&alarm, template, &retried, day).into_iter().collect();
            let minutes = SETTLED..=day / 60;
            minutes.filter(|minute| !rings.contains(minute)).count()
        };
        assert_eq!(silent(&template), 0, "minutes in which it does not ring");

        let text = include_str!("../../../../template.yaml");
        let of_three = text.replace("EvaluationPeriods: 12\n", "EvaluationPeriods: 3\n");
        assert!(silent(&Template::parse(&of_three).unwrap()) > 600);
    }

    /// Something is down for all messages: some come again in every minute.
    #[test]
    fn an_outage_rings_within_a_quarter_of_an_hour_and_a_blip_does_not() {
        let template = ours();
        let alarm = alarm(&template, "RetriedAlarm");
        let hour = 3600;
        let outage: Vec<i64> = (0..hour).step_by(30).collect();
        assert!(rings(&alarm, &template, &outage, hour)[0] <= 15);
        let blip: Vec<i64> = (0..60).collect();
        assert_eq!(rings(&alarm, &template, &blip, 2 * hour), [] as [i64; 0]);
    }

    /// A count that comes once a check is one state, not one mail a check.
    #[rstest]
    #[case("AccountsUnreadableAlarm")]
    #[case("AccountEventsUnsentAlarm")]
    #[case("FailedDeliveriesAlarm")]
    fn what_each_check_counts_rings_once(#[case] id: &str) {
        let template = ours();
        let every = template.number(&serde_json::json!({"Ref": "CheckEveryMinutes"}));
        let day = 24 * 3600;
        let checks: Vec<i64> = (0..day)
            .step_by(usize::try_from(every.unwrap() * 60).unwrap())
            .collect();
        let rings = rings(&alarm(&template, id), &template, &checks, day);
        let all: Vec<i64> = (1..=day / 60).collect();
        assert_eq!(rings, all);
    }

    #[rstest]
    #[case(
        r#"SEARCH('{Orderhook,Stack,Cause} MetricName="DeliveriesRefused" Stack="${AWS::StackName}"', 'Sum', 300)"#,
        Some(None)
    )]
    #[case(
        r#"SEARCH('{Orderhook,Stack,Team} MetricName="Undelivered" Stack="${AWS::StackName}"', 'Sum', 300)"#,
        Some(Some("Undelivered is published by Stack"))
    )]
    #[case(
        r#"SEARCH('{Orderhook,Stack,Cause} MetricName="DeliveriesRefused"', 'Sum', 300)"#,
        Some(Some("of other stacks too"))
    )]
    #[case("SUM(METRICS())", None)]
    fn a_search_is_held_against_the_table(
        #[case] search: &str,
        #[case] complaint: Option<Option<&str>>,
    ) {
        let found = searched(search).map(|series| series.complaint(&ours()));
        match (found, complaint) {
            (Some(Some(found)), Some(Some(part))) => assert!(found.contains(part), "{found}"),
            (found, expected) => assert_eq!(found, expected.map(|text| text.map(str::to_owned))),
        }
    }

    /// What a filter's pattern says of a status: a disjunction or a conjunction of comparisons, where a star ends a prefix.
    fn matches(pattern: &str, status: &str) -> bool {
        let inner = pattern.trim_matches(['{', '}', ' ']);
        let one = |term: &str| {
            let term = term.trim().trim_matches(['(', ')']);
            let (operator, value) = term
                .strip_prefix("$.status ")
                .unwrap()
                .split_once(' ')
                .unwrap();
            let value = value.trim_matches('"');
            let is_it = match value.strip_suffix('*') {
                Some(prefix) => status.starts_with(prefix),
                None => status == value,
            };
            match operator {
                "=" => is_it,
                "!=" => !is_it,
                other => panic!("{other} is not known here"),
            }
        };
        if inner.contains("||") {
            inner.split("||").any(one)
        } else {
            inner.split("&&").all(one)
        }
    }

    /// Each refusal in the access log is either the platform's or has its reason, and no success is a refusal.
    #[rstest]
    #[case("200", false, false)]
    #[case("401", false, true)]
    #[case("403", false, true)]
    #[case("404", false, true)]
    #[case("409", false, true)]
    #[case("413", true, false)]
    #[case("429", true, false)]
    #[case("503", false, false)]
    fn a_refusal_is_the_platforms_or_has_its_reason(
        #[case] status: &str,
        #[case] turned_away: bool,
        #[case] explained: bool,
    ) {
        let template = ours();
        let counts = |id: &str| {
            let filter = template.resource(id).unwrap();
            assert!(makes(filter, id), "{id} makes another metric");
            matches(filter.property("/FilterPattern").as_str().unwrap(), status)
        };
        assert_eq!(counts("TurnedAway"), turned_away);
        assert_eq!(counts("ExplainedRefusals"), explained);
        let format = template.at("/Resources/Stage/Properties/AccessLogSettings/Format");
        assert!(
            format
                .as_str()
                .unwrap()
                .contains(r#""status":"$context.status""#)
        );
    }
}
