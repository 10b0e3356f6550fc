//! What a stack costs while nothing happens, by the list prices of us-east-1.

use super::alarms::alarms;
use super::rules::sources;
use super::{Template, alarm_rules, referred};

/// Dollars a month for each metric that an alarm reads at a resolution of a minute: <https://aws.amazon.com/cloudwatch/pricing/>
const ALARM_METRIC: f64 = 0.10;
/// Dollars a month for a dashboard beyond the third of an AWS account.
const DASHBOARD: f64 = 3.0;
/// Dashboards of an AWS account that cost nothing.
const FREE_DASHBOARDS: usize = 3;
/// Dollars a month for a metric of our own that is published in every hour.
const OWN_METRIC: f64 = 0.30;
/// Dollars for a request of a standard queue: <https://aws.amazon.com/sqs/pricing/>
const SQS_REQUEST: f64 = 0.40 / 1e6;
/// Dollars for an invocation by Scheduler: <https://aws.amazon.com/eventbridge/pricing/>
const SCHEDULED: f64 = 1.00 / 1e6;
/// Dollars for a request to Lambda: <https://aws.amazon.com/lambda/pricing/>
const INVOCATION: f64 = 0.20 / 1e6;
/// Dollars for a second of a gigabyte of memory, on arm64.
const GIGABYTE_SECOND: f64 = 0.000_013_333_4;

/// A month, as AWS counts it.
const HOURS: f64 = 730.0;
/// Lambda polls a queue that has nothing with five long polls of 20 seconds at the same time.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>
const POLLS_AN_HOUR: f64 = 5.0 * 3.0 * 60.0;
/// The metrics of ours that have values in every hour: `ScheduleRuns` by the stack, and by the stack and each schedule.
const ALIVE: usize = 4;
/// Seconds that a schedule's run takes where there is nothing to do, on the safe side.
const RUN: f64 = 0.5;

/// Dollars a month, by what they are for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Idle {
    /// How many metrics the alarms read, which is what they cost.
    pub alarm_metrics: usize,
    /// The alarms.
    pub alarms: f64,
    /// The dashboards, if they are the only ones of their AWS account.
    pub dashboards: f64,
    /// Lambda's polling of the queues.
    pub polling: f64,
    /// The metrics of ours that are always there.
    pub metrics: f64,
    /// The runs of the schedules.
    pub schedules: f64,
}

impl Idle {
    /// What this template costs. Without free tiers, and without accounts: each has two secrets.
    pub fn of(template: &Template) -> Self {
        let alarm_metrics = alarms(template)
            .iter()
            .map(|alarm| alarm.series.len())
            .sum();
        let dashboards = template.of_kind("AWS::CloudWatch::Dashboard").count();
        let schedules = template
            .of_kind("AWS::Scheduler::Schedule")
            .map(|schedule| {
                let minutes = alarm_rules::minutes(schedule)
                    .and_then(|name| template.number(&serde_json::json!({ "Ref": name })));
                let memory = referred(schedule.property("/Target/Arn"))
                    .and_then(|function| template.resource(function))
                    .and_then(|function| {
                        template.number(template.of_function(function, "/MemorySize"))
                    });
                let runs = HOURS * 60.0 / number(minutes.unwrap_or(1));
                let run = GIGABYTE_SECOND * RUN * number(memory.unwrap_or(1024)) / 1024.0;
                runs * (SCHEDULED + INVOCATION + run)
            });
        Self {
            alarm_metrics,
            alarms: ALARM_METRIC * count(alarm_metrics),
            dashboards: DASHBOARD * count(dashboards.saturating_sub(FREE_DASHBOARDS)),
            polling: count(sources(template).len()) * HOURS * POLLS_AN_HOUR * SQS_REQUEST,
            metrics: OWN_METRIC * count(ALIVE),
            schedules: schedules.sum(),
        }
    }

    /// All of it.
    pub fn total(&self) -> f64 {
        self.alarms + self.dashboards + self.polling + self.metrics + self.schedules
    }
}

fn count(many: usize) -> f64 {
    u32::try_from(many).map_or(f64::MAX, f64::from)
}

fn number(many: i64) -> f64 {
    i32::try_from(many).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HALF_A_CENT: f64 = 0.005;

    #[rstest]
    #[case::nothing("Resources: {}\n", 0.0)]
    #[case::an_alarm(
        "Resources:\n  A:\n    Type: AWS::CloudWatch::Alarm\n    Properties: { MetricName: X }\n",
        0.10
    )]
    #[case::math_over_two_metrics(
        "Resources:\n  A:\n    Type: AWS::CloudWatch::Alarm\n    Properties:\n      Metrics:\n        \
         - { Id: a, MetricStat: { Stat: Sum } }\n        - { Id: b, MetricStat: { Stat: Sum } }\n        \
         - { Id: c, Expression: a + b }\n",
        0.20
    )]
    #[case::a_poller(
        "Resources:\n  A:\n    Type: AWS::Lambda::EventSourceMapping\n    Properties: {}\n",
        0.26
    )]
    #[case::a_schedule(
        "Parameters:\n  P: { Default: 1 }\nResources:\n  A:\n    Type: AWS::Scheduler::Schedule\n    \
         Properties: { ScheduleExpression: !Sub 'rate(${P} minutes)' }\n",
        0.34
    )]
    #[case::four_dashboards(
        "Resources:\n  A: { Type: AWS::CloudWatch::Dashboard }\n  B: { Type: AWS::CloudWatch::Dashboard }\n  \
         C: { Type: AWS::CloudWatch::Dashboard }\n  D: { Type: AWS::CloudWatch::Dashboard }\n",
        3.0
    )]
    fn what_is_there_costs(#[case] yaml: &str, #[case] dollars: f64) {
        let idle = Idle::of(&Template::parse(yaml).unwrap());
        let found = idle.total() - idle.metrics;
        assert!((found - dollars).abs() < HALF_A_CENT, "{found}");
    }
}
