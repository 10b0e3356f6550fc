//! The rules about alarms, the logs that their metrics stand in, and what is invoked without somebody who waits.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::alarms::{
    AGE, ALARMED, Alarm, IN_FLIGHT, NAMESPACE, STACK, Says, Series, VISIBLE, alarms as read,
    dashboard,
};
use super::rules::{Complaints, allowed, functions, listed, sources, texts};
use super::{NO_VALUE, Resource, Template, VARIABLES, referred};

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// From so many messages in flight on, SQS gives out no more of a standard queue.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const MOST_IN_FLIGHT: i64 = 120_000;

/// Something that has to be watched, and how long it may last before an alarm rings.
struct Need {
    metric: &'static str,
    /// Its logical id; `None` for a metric of ours.
    resource: Option<String>,
    /// The least and the greatest number of seconds.
    after: (i64, i64),
}

impl Need {
    fn of(metric: &'static str, resource: &str, after: (i64, i64)) -> Self {
        Self {
            metric,
            resource: Some(resource.to_owned()),
            after,
        }
    }

    fn is_met_by(&self, alarm: &Alarm<'_>, template: &Template) -> bool {
        let (least, greatest) = self.after;
        let in_time = alarm
            .rings_after(template)
            .is_some_and(|after| (least..=greatest).contains(&after));
        in_time
            && alarm.notifies()
            && alarm.series.iter().any(|series| {
                series.metric == self.metric
                    && match &self.resource {
                        Some(resource) => series.watches() == Some(resource),
                        None => series.namespace == NAMESPACE,
                    }
            })
    }
}

/// At the first time that it is seen.
const AT_ONCE: (i64, i64) = (0, MINUTE);
/// Once it is more than a moment's.
const SOON: (i64, i64) = (0, 15 * MINUTE);
/// With the run that counts it, however long it looks back; a schedule is missed after a day at most.
const WITH_THE_NEXT_RUN: (i64, i64) = (0, DAY);

/// What waits behind an alarm is not lost; what waits without one is. What waits for a person rings at once, and again
/// after three and after seven days; a queue keeps it for fourteen.
pub(super) fn alarms(template: &Template, complaints: &mut Complaints) {
    let sources = sources(template);
    let queues: Vec<Resource<'_>> = sources.iter().filter_map(|source| source.queue).collect();
    let dead = queues
        .iter()
        .filter_map(|queue| referred(queue.property("/RedrivePolicy/deadLetterTargetArn")));
    let waiting = dead.chain(["QuarantineQueue", "UndeliveredQueue"]);
    let waiting = waiting.flat_map(|queue| {
        [AT_ONCE, (3 * DAY, 3 * DAY), (7 * DAY, 7 * DAY)]
            .map(|after| Need::of(VISIBLE, queue, after))
    });
    let ages = queues.iter().map(|queue| Need::of(AGE, queue.id, SOON));
    let flights = sources.iter().filter(|source| source.is_lane());
    let flights = flights.filter_map(|source| Some(Need::of(IN_FLIGHT, source.queue?.id, SOON)));
    let of_functions = functions(template).flat_map(|function| {
        let log = referred(template.of_function(function, "/LoggingConfig/LogGroup"));
        let log = log.unwrap_or_default().to_owned();
        [
            Need::of("Errors", function.id, AT_ONCE),
            Need::of("Throttles", function.id, AT_ONCE),
            Need::of("EMFParsingErrors", &log, SOON),
            Need::of("EMFValidationErrors", &log, SOON),
        ]
    });
    let of_tables = template.of_kind("AWS::DynamoDB::Table").flat_map(|table| {
        ["ReadThrottleEvents", "WriteThrottleEvents"].map(|metric| Need::of(metric, table.id, SOON))
    });
    // Ordermentum sends a delivery three times: the first refusal has to ring.
    let of_apis = template.of_kind("AWS::ApiGatewayV2::Api").flat_map(|api| {
        [
            Need::of("5xx", api.id, AT_ONCE),
            Need::of("4xx", api.id, SOON),
        ]
    });
    let of_urls = template
        .of_kind("AWS::Lambda::Url")
        .filter(|url| is_deployed(template, *url))
        .filter_map(|url| referred(url.property("/TargetFunctionArn")))
        .flat_map(|function| {
            [
                Need::of("Url5xxCount", function, AT_ONCE),
                Need::of("Url4xxCount", function, SOON),
            ]
        });
    let ours = ALARMED.into_iter().map(|metric| Need {
        metric,
        resource: None,
        after: match metric {
            "DeliveriesRefused" => AT_ONCE,
            "Retried" => SOON,
            _ => WITH_THE_NEXT_RUN,
        },
    });
    let needs = waiting
        .chain(ages)
        .chain(flights)
        .chain(of_functions)
        .chain(of_tables)
        .chain(of_apis)
        .chain(of_urls)
        .chain(ours);
    let alarms = read(template);
    for need in needs {
        let is_met = alarms.iter().any(|alarm| need.is_met_by(alarm, template));
        let (least, greatest) = need.after;
        let text = format!(
            "no alarm watches its {} and rings after {least} to {greatest} s",
            need.metric
        );
        complaints.require(is_met, need.resource.as_deref().unwrap_or(NAMESPACE), text);
    }
    for alarm in &alarms {
        let is_flight = alarm.series.iter().any(|series| series.metric == IN_FLIGHT);
        let threshold = template.number(alarm.resource.property("/Threshold"));
        let is_late = threshold.is_some_and(|threshold| threshold >= MOST_IN_FLIGHT);
        let text = format!("at {MOST_IN_FLIGHT} messages in flight it is too late");
        complaints.require(!is_flight || !is_late, alarm.resource.id, text);
    }
}

fn is_deployed(template: &Template, resource: Resource<'_>) -> bool {
    let condition = resource.attribute("Condition").as_str();
    condition.is_none_or(|condition| template.is_met(condition) == Some(true))
}

/// An alarm or a dashboard on a metric that is not published is silent, and nobody notices.
pub(super) fn alarm_metrics(template: &Template, complaints: &mut Complaints) {
    let mut shown: Vec<(&str, Vec<Series>)> = Vec::new();
    for resource in template.of_kind("AWS::CloudWatch::Dashboard") {
        match dashboard(resource) {
            Err(text) => complaints.add(resource.id, text),
            Ok(series) => shown.push((resource.id, series)),
        }
    }
    let mut dashboards = template.of_kind("AWS::CloudWatch::Dashboard");
    complaints.require(
        dashboards.next().is_some(),
        "Resources",
        "there is no dashboard",
    );
    let of_alarms = read(template).into_iter();
    let of_alarms = of_alarms.map(|alarm| (alarm.resource.id, alarm.series));
    for (id, series) in of_alarms.chain(shown) {
        for text in series
            .iter()
            .filter_map(|series| series.complaint(template))
        {
            complaints.add(id, text);
        }
    }
}

/// What CloudWatch refuses, or takes in another sense than meant: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html>
///
/// - periods are multiples of a minute (shorter ones cost more, and no metric here is as fine);
/// - all periods together are a day at most, or seven days where each is an hour or more;
/// - an alarm reads ten metrics and has ten expressions at most, of which it watches one;
/// - on a metric of DynamoDB it keeps its state while there is no data, whatever TreatMissingData says, so the math has to fill it.
pub(super) fn alarm_windows(template: &Template, complaints: &mut Complaints) {
    const MOST: usize = 10;
    for alarm in read(template) {
        let mut complain = |text: &str| complaints.add(alarm.resource.id, text);
        match (alarm.period(), alarm.periods(template)) {
            (Some(period), Some([(least, most), (few, many)])) => {
                let same = alarm.resource.property("/EvaluationPeriods")
                    == alarm.resource.property("/DatapointsToAlarm");
                if period < MINUTE || period % MINUTE != 0 {
                    complain("its Period is no multiple of 60");
                }
                let longest = if period < HOUR { DAY } else { 7 * DAY };
                if most.saturating_mul(period) > longest {
                    complain(
                        "its EvaluationPeriods are more than a day, or than seven days where Period is an hour",
                    );
                }
                if least < 1 || few < 1 || (many > least && !same) {
                    complain("DatapointsToAlarm has to be from 1 to EvaluationPeriods");
                }
            }
            _ => complain("it needs one Period, EvaluationPeriods and DatapointsToAlarm"),
        }
        if alarm.series.len() > MOST || alarm.expressions.len() > MOST {
            complain("it has more than ten metrics or expressions");
        }
        let everything = alarm.expressions.join(" ");
        let reads_dynamodb = alarm
            .series
            .iter()
            .any(|series| series.namespace == "AWS/DynamoDB");
        if reads_dynamodb && !everything.contains("FILL(") {
            complain("it keeps its state while DynamoDB publishes nothing: FILL its metrics");
        }
        let queries = &alarm.queries;
        if queries.is_empty() {
            continue;
        }
        let watched = queries.iter().filter(|query| query["ReturnData"] != false);
        let is_expression = |query: &Value| query["Expression"].is_string();
        if watched.clone().count() != 1 || !watched.clone().all(is_expression) {
            complain("it has to watch one expression: ReturnData is false for all others");
        }
        let words: Vec<&str> = everything
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .collect();
        let is_read = |query: &&Value| {
            let id = query["Id"].as_str().unwrap_or_default();
            words.contains(&id) || (words.contains(&"METRICS") && !is_expression(query))
        };
        let unwatched = queries.iter().filter(|query| query["ReturnData"] == false);
        if !unwatched.clone().all(|query| is_read(&query)) {
            complain("one of its metrics is in no expression");
        }
        if words.contains(&"SEARCH") {
            complain("an alarm cannot SEARCH");
        }
        if alarm.resource.attribute("Condition") != "HasMetricMath" {
            complain("emulators refuse it: its Condition has to be HasMetricMath");
        }
    }
}

/// After a count, no news is no good news: only what is published for as long as a state lasts may say OK. Only of a
/// heartbeat silence is bad news.
pub(super) fn alarm_states(template: &Template, complaints: &mut Complaints) {
    for alarm in read(template) {
        let mut series = alarm.series.iter();
        let is_heartbeat = series.any(|series| series.metric == "ScheduleRuns");
        let expected = match is_heartbeat {
            true => "breaching",
            false => "notBreaching",
        };
        complaints.require_value(alarm.resource, "/TreatMissingData", expected);
        let says_ok = !listed(Some(alarm.resource.property("/OKActions"))).is_empty();
        let mut series = alarm.series.iter();
        let is_state = series.all(|series| series.says() == Says::State);
        complaints.require(
            is_state || !says_ok,
            alarm.resource.id,
            "it says OK though nothing is known to be well: no OKActions",
        );
    }
}

/// The commands that a description may ask for.
const COMMANDS: [&str; 2] = ["aws ", "orderhook stuck "];

/// An alarm wakes somebody who knows none of this: what it means, what to look at, what to type.
pub(super) fn alarm_words(template: &Template, complaints: &mut Complaints) {
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    const LONGEST: usize = 1024;
    // A name in place of a reference is longer than the reference.
    const NAME: usize = 80;
    for alarm in read(template) {
        let description = alarm.resource.property("/AlarmDescription");
        let text = description.get("Fn::Sub").unwrap_or(description).as_str();
        let text = text.unwrap_or_default();
        let action = text.split_once(". Look at: ");
        let command = action.and_then(|(_, rest)| Some(rest.split_once(". Type: ")?.1));
        let is_known = |command: &str| COMMANDS.iter().any(|known| command.starts_with(known));
        let length = text.len() + NAME * text.matches("${").count();
        let complaint = match command {
            None => "its description has to say what it means, `Look at:` and `Type:`",
            Some(command) if !is_known(command) => {
                "its description asks to type what is no command"
            }
            Some(_) if length > LONGEST => "its description is too long",
            Some(_) => continue,
        };
        complaints.add(alarm.resource.id, complaint);
    }
}

/// What comes once a run is looked at over three of them, however far apart they are: two may fail before a schedule is
/// missed, and what each check counts is one mail. Minutes of a parameter times three minutes are three times as long.
pub(super) fn heartbeat(template: &Template, complaints: &mut Complaints) {
    const THREE_TIMES: i64 = 3 * MINUTE;
    const ONCE_A_CHECK: [&str; 4] = [
        "AccountsUnreadable",
        "SecretsUnreadable",
        "AccountEventsUnsent",
        "FailedDeliveryRuns",
    ];
    let missed = |series: &Series| {
        let (_, schedule) = series.dimensions.get(1)?;
        (series.metric == "ScheduleRuns").then(|| schedule.clone())
    };
    let alarms = read(template);
    for alarm in &alarms {
        let Some(series) = alarm.series.first() else {
            continue;
        };
        let schedule = match series.metric.as_str() {
            "ErasuresFailed" => "erasure".to_owned(),
            metric if ONCE_A_CHECK.contains(&metric) => "check".to_owned(),
            _ => missed(series).unwrap_or_default(),
        };
        let input = format!(r#"{{"schedule":"{schedule}"}}"#);
        let mut schedules = template.of_kind("AWS::Scheduler::Schedule");
        let found = schedules.find(|found| *found.property("/Target/Input") == *input);
        let Some(every) = found.and_then(minutes) else {
            continue;
        };
        let periods = referred(alarm.resource.property("/EvaluationPeriods"));
        complaints.require(
            alarm.period() == Some(THREE_TIMES) && periods == Some(every),
            alarm.resource.id,
            format!("it has to look at {every} periods of {THREE_TIMES} s"),
        );
    }
    for schedule in ["check", "watch", "erasure"] {
        let misses = |series: &Series| missed(series).is_some_and(|missed| missed == schedule);
        complaints.require(
            alarms.iter().any(|alarm| alarm.series.iter().all(misses)),
            "Resources",
            format!("no alarm misses the runs of schedule {schedule}"),
        );
    }
}

/// The parameter that says how many minutes lie between two runs of a schedule.
pub(super) fn minutes(schedule: Resource<'_>) -> Option<&str> {
    let expression = schedule.property("/ScheduleExpression/Fn::Sub").as_str()?;
    expression
        .strip_prefix("rate(${")?
        .strip_suffix("} minutes)")
}

/// The lines that metrics are read from reach the log, by the name of their stack.
///
/// Lambda takes a line without a level for one of `INFO`, and those with metrics have none:
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>
pub(super) fn logging(template: &Template, complaints: &mut Complaints) {
    for function in functions(template) {
        for (path, expected) in [
            ("/LoggingConfig/LogFormat", "JSON"),
            ("/LoggingConfig/SystemLogLevel", "WARN"),
            ("/LoggingConfig/ApplicationLogLevel", "TRACE"),
        ] {
            let found = template.of_function(function, path);
            let text = format!("{path} is not {expected}");
            complaints.require(found == expected, function.id, text);
        }
        let log = referred(function.property("/LoggingConfig/LogGroup"));
        complaints.require(
            log.is_some_and(|log| template.resource(log).is_some()),
            function.id,
            "it has no log group of this template",
        );
        let stack = template.of_function(function, &format!("{VARIABLES}/STACK_NAME"));
        complaints.require(
            stack["Ref"] == "AWS::StackName",
            function.id,
            format!(
                "STACK_NAME is not the stack's name, by which alarms know its metrics ({STACK})"
            ),
        );
    }
}

/// Traces cost, so they are asked for; and then Lambda refuses a function whose role may not write them.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html>
pub(super) fn tracing(template: &Template, complaints: &mut Complaints) {
    let only_then = json!(["IsTraced", [{"Ref": "TracingPolicy"}], {"Ref": NO_VALUE}]);
    for function in functions(template) {
        let Some(role) = referred(function.property("/Role")) else {
            continue;
        };
        complaints.require(
            referred(template.of_function(function, "/Tracing")) == Some("Tracing"),
            function.id,
            "it is not the parameter Tracing that says whether it is traced",
        );
        let role = template.resource(role);
        let policies = role.map(|role| role.property("/ManagedPolicyArns/Fn::If"));
        complaints.require(
            policies == Some(&only_then),
            function.id,
            "its role has to have TracingPolicy where Tracing is Active, and only there",
        );
    }
}

/// Nobody waits for the answer of what Scheduler invokes. What fails has to be seen, and must not run hours later, beside
/// the runs that came after it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>
pub(super) fn asynchronous(template: &Template, complaints: &mut Complaints) {
    let alarms = read(template);
    let invoked: BTreeSet<&str> = template
        .of_kind("AWS::Scheduler::Schedule")
        .filter_map(|schedule| referred(schedule.property("/Target/Arn")))
        .collect();
    for function in invoked {
        let mut configs = template.of_kind("AWS::Lambda::EventInvokeConfig");
        let config =
            configs.find(|config| referred(config.property("/FunctionName")) == Some(function));
        let Some(config) = config else {
            complaints.add(function, "Lambda would retry its events for six hours");
            continue;
        };
        let number = |path| template.number(config.property(path)).unwrap_or(i64::MAX);
        complaints.require(
            number("/MaximumRetryAttempts") <= 1 && number("/MaximumEventAgeInSeconds") <= 120,
            function,
            "its events are retried for longer than until the next run",
        );
        let destination = config.property("/DestinationConfig/OnFailure/Destination");
        let queue = referred(destination).unwrap_or_default();
        let need = Need::of(VISIBLE, queue, AT_ONCE);
        complaints.require(
            alarms.iter().any(|alarm| need.is_met_by(alarm, template)),
            function,
            "what fails goes where no alarm sees it",
        );
        let role = template
            .resource(function)
            .and_then(|function| template.resource(referred(function.property("/Role"))?));
        let statements = role.map(allowed).unwrap_or_default();
        let may_send = statements.iter().any(|statement| {
            let resources = listed(statement.get("Resource"));
            texts(statement.get("Action")).contains(&"sqs:SendMessage")
                && resources.iter().any(|found| referred(found) == Some(queue))
        });
        complaints.require(
            may_send,
            function,
            format!("its role may not send to {queue}"),
        );
    }
}
