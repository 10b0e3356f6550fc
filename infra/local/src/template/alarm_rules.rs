//! The rules about alarms, the logs that their metrics stand in, and what is invoked without somebody who waits.

use serde_json::Value;

use super::alarms::{
    AGE, ALARMED, Alarm, IN_FLIGHT, NAMESPACE, STACK, Says, Series, VISIBLE, alarms as read,
    dashboard,
};
use super::rules::{Complaint, functions, listed, sources};
use super::{Resource, Template, referred};

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
pub(super) fn alarms(template: &Template) -> Vec<Complaint> {
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
    let unwatched = needs
        .filter(|need| !alarms.iter().any(|alarm| need.is_met_by(alarm, template)))
        .map(|need| {
            let place = need.resource.unwrap_or_else(|| NAMESPACE.to_owned());
            let (least, greatest) = need.after;
            let text = format!(
                "no alarm watches its {} and rings after {least} to {greatest} s",
                need.metric
            );
            (place, text)
        });
    let too_late = alarms.iter().filter_map(|alarm| {
        let is_flight = alarm.series.iter().any(|series| series.metric == IN_FLIGHT);
        let threshold = template.number(alarm.resource.property("/Threshold"))?;
        (is_flight && threshold >= MOST_IN_FLIGHT).then(|| {
            let text = format!("at {MOST_IN_FLIGHT} messages in flight it is too late");
            (alarm.resource.id.to_owned(), text)
        })
    });
    unwatched.chain(too_late).collect()
}

fn is_deployed(template: &Template, resource: Resource<'_>) -> bool {
    let condition = resource.attribute("Condition").as_str();
    condition.is_none_or(|condition| template.is_met(condition) == Some(true))
}

/// An alarm or a dashboard on a metric that is not published is silent, and nobody notices.
pub(super) fn alarm_metrics(template: &Template) -> Vec<Complaint> {
    let of_alarms = read(template).into_iter().flat_map(|alarm| {
        let complaints = alarm.series.iter();
        let complaints = complaints.filter_map(|series| series.complaint(template));
        complaints
            .map(|text| (alarm.resource.id.to_owned(), text))
            .collect::<Vec<_>>()
    });
    let dashboards: Vec<Resource<'_>> = template.of_kind("AWS::CloudWatch::Dashboard").collect();
    let none = dashboards
        .is_empty()
        .then(|| ("Resources".to_owned(), "there is no dashboard".to_owned()));
    let shown = dashboards.into_iter().flat_map(|resource| {
        let complaints: Vec<String> = match dashboard(resource) {
            Err(text) => vec![text],
            Ok(series) => series
                .iter()
                .filter_map(|series| series.complaint(template))
                .collect(),
        };
        complaints
            .into_iter()
            .map(|text| (resource.id.to_owned(), text))
    });
    of_alarms.chain(shown).chain(none).collect()
}

/// What CloudWatch refuses, or takes in another sense than meant: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html>
///
/// - periods are multiples of a minute (shorter ones cost more, and no metric here is as fine);
/// - all periods together are a day at most, or seven days where each is an hour or more;
/// - an alarm reads ten metrics and has ten expressions at most, of which it watches one;
/// - on a metric of DynamoDB it keeps its state while there is no data, whatever TreatMissingData says, so the math has to fill it.
pub(super) fn alarm_windows(template: &Template) -> Vec<Complaint> {
    const MOST: usize = 10;
    let mut complaints = Vec::new();
    for alarm in read(template) {
        let mut complain =
            |text: &str| complaints.push((alarm.resource.id.to_owned(), text.to_owned()));
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
    complaints
}

/// After a count, no news is no good news: only what is published for as long as a state lasts may say OK. Only of a
/// heartbeat silence is bad news.
pub(super) fn alarm_states(template: &Template) -> Vec<Complaint> {
    let complain = |alarm: Alarm<'_>| {
        let is_heartbeat = alarm
            .series
            .iter()
            .any(|series| series.metric == "ScheduleRuns");
        let missing = alarm.resource.property("/TreatMissingData");
        let expected = if is_heartbeat {
            "breaching"
        } else {
            "notBreaching"
        };
        let says_ok = !listed(Some(alarm.resource.property("/OKActions"))).is_empty();
        let is_state = alarm
            .series
            .iter()
            .all(|series| series.says() == Says::State);
        let text = if missing != expected {
            format!("TreatMissingData has to be {expected}")
        } else if says_ok && !is_state {
            "it says OK though nothing is known to be well: no OKActions".to_owned()
        } else {
            return None;
        };
        Some((alarm.resource.id.to_owned(), text))
    };
    read(template).into_iter().filter_map(complain).collect()
}

/// The commands that a description may ask for.
const COMMANDS: [&str; 2] = ["aws ", "orderhook stuck "];

/// An alarm wakes somebody who knows none of this: what it means, what to look at, what to type.
pub(super) fn alarm_words(template: &Template) -> Vec<Complaint> {
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    const LONGEST: usize = 1024;
    // A name in place of a reference is longer than the reference.
    const NAME: usize = 80;
    let complain = |alarm: Alarm<'_>| {
        let description = alarm.resource.property("/AlarmDescription");
        let text = description.get("Fn::Sub").unwrap_or(description).as_str();
        let text = text.unwrap_or_default();
        let parts = text
            .split_once(". Look at: ")
            .and_then(|(means, rest)| Some((means, rest.split_once(". Type: ")?)));
        let complaint = match parts {
            None => "its description has to say what it means, `Look at:` and `Type:`",
            Some((_, (_, command))) if !COMMANDS.iter().any(|known| command.starts_with(known)) => {
                "its description asks to type what is no command"
            }
            Some(_) if text.len() + NAME * text.matches("${").count() > LONGEST => {
                "its description is too long"
            }
            Some(_) => return None,
        };
        Some((alarm.resource.id.to_owned(), complaint.to_owned()))
    };
    read(template).into_iter().filter_map(complain).collect()
}

/// What comes once a run is looked at over three of them, however far apart they are: two may fail before a schedule is
/// missed, and what each check counts is one mail. Minutes of a parameter times three minutes are three times as long.
pub(super) fn heartbeat(template: &Template) -> Vec<Complaint> {
    const THREE_TIMES: i64 = 3 * MINUTE;
    const ONCE_A_CHECK: [&str; 4] = [
        "AccountsUnreadable",
        "SecretsUnreadable",
        "AccountEventsUnsent",
        "FailedDeliveryRuns",
    ];
    let complain = |alarm: Alarm<'_>| {
        let series = alarm.series.first()?;
        let schedule = match series.dimensions.get(1) {
            Some((_, schedule)) if series.metric == "ScheduleRuns" => schedule.as_str(),
            _ if ONCE_A_CHECK.contains(&series.metric.as_str()) => "check",
            _ if series.metric == "ErasuresFailed" => "erasure",
            _ => return None,
        };
        let every = template
            .of_kind("AWS::Scheduler::Schedule")
            .find(|found| {
                found.property("/Target/Input") == &format!(r#"{{"schedule":"{schedule}"}}"#)
            })
            .and_then(|found| minutes(found))?;
        let periods = referred(alarm.resource.property("/EvaluationPeriods"));
        let fits = alarm.period() == Some(THREE_TIMES) && periods == Some(every);
        (!fits).then(|| {
            let text = format!("it has to look at {every} periods of {THREE_TIMES} s");
            (alarm.resource.id.to_owned(), text)
        })
    };
    let alarms = read(template);
    let missed = ["check", "watch", "erasure"]
        .into_iter()
        .filter(|schedule| {
            !alarms.iter().any(|alarm| {
                let is_missed = |series: &Series| {
                    let by = series.dimensions.get(1).map(|(_, value)| value.as_str());
                    series.metric == "ScheduleRuns" && by == Some(schedule)
                };
                alarm.series.iter().all(is_missed)
            })
        });
    let missed: Vec<Complaint> = missed
        .map(|schedule| {
            let text = format!("no alarm misses the runs of schedule {schedule}");
            ("Resources".to_owned(), text)
        })
        .collect();
    alarms
        .into_iter()
        .filter_map(complain)
        .chain(missed)
        .collect()
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
pub(super) fn logging(template: &Template) -> Vec<Complaint> {
    let expected = [
        ("/LoggingConfig/LogFormat", "JSON"),
        ("/LoggingConfig/SystemLogLevel", "WARN"),
        ("/LoggingConfig/ApplicationLogLevel", "TRACE"),
    ];
    let complain = |function: Resource<'_>| {
        let mut complaints: Vec<String> = expected
            .iter()
            .filter(|(path, expected)| template.of_function(function, path) != expected)
            .map(|(path, expected)| format!("{path} is not {expected}"))
            .collect();
        let log = referred(function.property("/LoggingConfig/LogGroup"));
        if log.is_none_or(|log| template.resource(log).is_none()) {
            complaints.push("it has no log group of this template".to_owned());
        }
        let stack = template.of_function(function, "/Environment/Variables/STACK_NAME");
        if stack["Ref"] != "AWS::StackName" {
            complaints.push(format!(
                "STACK_NAME is not the stack's name, by which alarms know its metrics ({STACK})"
            ));
        }
        let place = function.id.to_owned();
        complaints
            .into_iter()
            .map(move |text| (place.clone(), text))
    };
    functions(template).flat_map(complain).collect()
}

/// Traces cost, so they are asked for; and then Lambda refuses a function whose role may not write them.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html>
pub(super) fn tracing(template: &Template) -> Vec<Complaint> {
    let only_then =
        serde_json::json!(["IsTraced", [{"Ref": "TracingPolicy"}], {"Ref": "AWS::NoValue"}]);
    let complain = |function: Resource<'_>| {
        let role = template.resource(referred(function.property("/Role"))?);
        let policies = role.map(|role| role.property("/ManagedPolicyArns/Fn::If"));
        let text = if referred(template.of_function(function, "/Tracing")) != Some("Tracing") {
            "it is not the parameter Tracing that says whether it is traced"
        } else if policies != Some(&only_then) {
            "its role has to have TracingPolicy where Tracing is Active, and only there"
        } else {
            return None;
        };
        Some((function.id.to_owned(), text.to_owned()))
    };
    functions(template).filter_map(complain).collect()
}

/// Nobody waits for the answer of what Scheduler invokes. What fails has to be seen, and must not run hours later, beside
/// the runs that came after it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>
pub(super) fn asynchronous(template: &Template) -> Vec<Complaint> {
    let alarms = read(template);
    let mut invoked: Vec<&str> = template
        .of_kind("AWS::Scheduler::Schedule")
        .filter_map(|schedule| referred(schedule.property("/Target/Arn")))
        .collect();
    invoked.dedup();
    let complain = |function: &str| {
        let found = template
            .of_kind("AWS::Lambda::EventInvokeConfig")
            .find(|found| referred(found.property("/FunctionName")) == Some(function));
        let Some(found) = found else {
            return Some("Lambda would retry its events for six hours".to_owned());
        };
        let number = |path| template.number(found.property(path)).unwrap_or(i64::MAX);
        if number("/MaximumRetryAttempts") > 1 || number("/MaximumEventAgeInSeconds") > 120 {
            return Some("its events are retried for longer than until the next run".to_owned());
        }
        let destination = found.property("/DestinationConfig/OnFailure/Destination");
        let queue = referred(destination).unwrap_or_default();
        let need = Need::of(VISIBLE, queue, AT_ONCE);
        if !alarms.iter().any(|alarm| need.is_met_by(alarm, template)) {
            return Some("what fails goes where no alarm sees it".to_owned());
        }
        let role = template
            .resource(function)
            .and_then(|function| template.resource(referred(function.property("/Role"))?));
        let may_send = role.is_some_and(|role| {
            let policies = listed(Some(role.property("/Policies"))).into_iter();
            let statements =
                policies.flat_map(|policy| listed(policy.pointer("/PolicyDocument/Statement")));
            statements.into_iter().any(|statement| {
                let actions = listed(statement.get("Action"));
                let sends = actions.iter().any(|action| **action == "sqs:SendMessage");
                let resources = listed(statement.get("Resource"));
                sends && resources.iter().any(|found| referred(found) == Some(queue))
            })
        });
        (!may_send).then(|| format!("its role may not send to {queue}"))
    };
    invoked
        .into_iter()
        .filter_map(|function| Some((function.to_owned(), complain(function)?)))
        .collect()
}
