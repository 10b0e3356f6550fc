//! CloudWatch: alarms, and numbers of metrics.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Operations.html>

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::xml::{find, members, text};
use super::{Calls, Error, Service, instant};

/// Metrics that one call may ask for.
pub const METRICS_AT_ONCE: usize = 500;

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// Since when.
    pub since: Option<OffsetDateTime>,
    /// Whether it notifies anybody.
    pub notifies: bool,
    /// What it means.
    pub description: String,
}

/// One page of alarms.
#[derive(Debug, Clone)]
pub struct Alarms {
    /// The alarms.
    pub alarms: Vec<Alarm>,
    /// What the next page is asked with; none on the last one.
    pub next: Option<String>,
}

/// A metric of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// The namespace, such as `AWS/SQS`.
    pub namespace: String,
    /// The metric's name.
    pub name: String,
    /// Names and values of its dimensions.
    pub dimensions: Vec<(String, String)>,
    /// `Maximum`, `Sum` and so on.
    pub statistic: String,
}

/// A page of the alarms whose names begin so: the first, or the one that `next` names.
///
/// # Errors
/// [`Error`] says what went wrong.
pub async fn alarms(calls: &Calls, prefix: &str, next: Option<&str>) -> Result<Alarms, Error> {
    let mut input = vec![("AlarmNamePrefix", prefix), ("MaxRecords", "100")];
    input.extend(next.map(|next| ("NextToken", next)));
    let reply = calls
        .query(Service::CloudWatch, "DescribeAlarms", &input)
        .await?;
    reply.read(|root| {
        let result = find(root, "DescribeAlarmsResult")?;
        let alarm = |member| {
            let since = text(member, "StateTransitionedTimestamp");
            let since = since.or_else(|| text(member, "StateUpdatedTimestamp"));
            Some(Alarm {
                name: text(member, "AlarmName")?.to_owned(),
                state: text(member, "StateValue")?.to_owned(),
                since: since.and_then(instant),
                notifies: members(member, "AlarmActions").next().is_some(),
                description: text(member, "AlarmDescription")
                    .unwrap_or_default()
                    .to_owned(),
            })
        };
        Some(Alarms {
            alarms: members(result, "MetricAlarms").filter_map(alarm).collect(),
            next: text(result, "NextToken")
                .filter(|token| !token.is_empty())
                .map(str::to_owned),
        })
    })
}

/// The latest value of each of these metrics within a span of time, in minutes of a minute each; none where there is no
/// value. One call for up to [`METRICS_AT_ONCE`].
///
/// # Errors
/// [`Error`] says what went wrong.
pub async fn latest(
    calls: &Calls,
    metrics: &[Metric],
    from: OffsetDateTime,
    to: OffsetDateTime,
) -> Result<Vec<Option<f64>>, Error> {
    let written = |time: OffsetDateTime| {
        time.format(&Rfc3339)
            .map_err(|error| Error::unreadable("a time", error))
    };
    let mut latest = Vec::new();
    for metrics in metrics.chunks(METRICS_AT_ONCE) {
        let mut input = vec![
            ("StartTime".to_owned(), written(from)?),
            ("EndTime".to_owned(), written(to)?),
            ("ScanBy".to_owned(), "TimestampDescending".to_owned()),
        ];
        for (index, metric) in metrics.iter().enumerate() {
            let query = format!("MetricDataQueries.member.{}", index + 1);
            let stat = format!("{query}.MetricStat");
            input.push((format!("{query}.Id"), format!("m{index}")));
            input.push((format!("{stat}.Period"), "60".to_owned()));
            input.push((format!("{stat}.Stat"), metric.statistic.clone()));
            input.push((format!("{stat}.Metric.Namespace"), metric.namespace.clone()));
            input.push((format!("{stat}.Metric.MetricName"), metric.name.clone()));
            for (number, (name, value)) in metric.dimensions.iter().enumerate() {
                let dimension = format!("{stat}.Metric.Dimensions.member.{}", number + 1);
                input.push((format!("{dimension}.Name"), name.clone()));
                input.push((format!("{dimension}.Value"), value.clone()));
            }
        }
        let input: Vec<(&str, &str)> = input
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let reply = calls
            .query(Service::CloudWatch, "GetMetricData", &input)
            .await?;
        let mut page = vec![None; metrics.len()];
        reply.read(|root| {
            for result in members(find(root, "GetMetricDataResult")?, "MetricDataResults") {
                let index = text(result, "Id").and_then(|id| id.strip_prefix('m')?.parse().ok());
                let place: Option<&mut Option<f64>> =
                    index.and_then(|index: usize| page.get_mut(index));
                let value = members(result, "Values").next();
                if let (Some(place), Some(value)) = (place, value) {
                    *place = value.text().and_then(|value| value.trim().parse().ok());
                }
            }
            Some(())
        })?;
        latest.extend(page);
    }
    Ok(latest)
}
