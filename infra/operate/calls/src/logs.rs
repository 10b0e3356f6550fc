//! CloudWatch Logs: events by a pattern, and queries of Insights.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html>

use serde::Deserialize;
use serde_json::json;

use super::{Calls, Error, Service};

/// What is looked for in a log group.
#[derive(Debug, Clone, Default)]
pub struct Filter<'a> {
    /// The group.
    pub group: &'a str,
    /// The pattern; everything where it is empty.
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>
    pub pattern: &'a str,
    /// From when, in milliseconds since 1970.
    pub from_ms: Option<i64>,
    /// Before when, in milliseconds since 1970.
    pub to_ms: Option<i64>,
    /// Events of one page at the most.
    pub limit: Option<u32>,
}

/// A line of a log.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The log's id of it.
    #[serde(default)]
    pub event_id: String,
    /// When it was written, in milliseconds since 1970.
    #[serde(default)]
    pub timestamp: i64,
    /// The line.
    #[serde(default)]
    pub message: String,
    /// The stream that it is in.
    #[serde(default)]
    pub log_stream_name: String,
}

/// A page of lines. One may be empty and not the last.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    /// The lines.
    #[serde(default)]
    pub events: Vec<Event>,
    /// What the next page is asked with; none on the last one.
    pub next_token: Option<String>,
}

/// What came of a query of Insights.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// `Scheduled`, `Running`, `Complete`, `Failed`, `Cancelled`, `Timeout` or `Unknown`.
    pub status: String,
    /// Rows of named fields.
    #[serde(default)]
    pub results: Vec<Vec<Field>>,
}

/// A field of a row.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Its name.
    #[serde(default)]
    pub field: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// A page of the lines that a filter lets through: the first, or the one that `next` names.
///
/// # Errors
/// [`Error::NotFound`] where there is no such group.
pub async fn filter(calls: &Calls, filter: &Filter<'_>, next: Option<&str>) -> Result<Page, Error> {
    let mut input = json!({ "logGroupName": filter.group });
    if let Some(input) = input.as_object_mut() {
        let mut set = |name: &str, value| input.insert(name.to_owned(), value);
        if !filter.pattern.is_empty() {
            set("filterPattern", json!(filter.pattern));
        }
        filter.from_ms.map(|from| set("startTime", json!(from)));
        filter.to_ms.map(|to| set("endTime", json!(to)));
        filter.limit.map(|limit| set("limit", json!(limit)));
        next.map(|next| set("nextToken", json!(next)));
    }
    let page = calls.json(Service::Logs, "FilterLogEvents", &input);
    let named = |error: Error| error.naming(format!("log group {}", filter.group));
    page.await.map_err(named)
}

/// Starts a query of Insights over a log group, from and to seconds since 1970. Answers its id.
///
/// # Errors
/// [`Error::NotFound`] where there is no such group.
pub async fn start_query(
    calls: &Calls,
    group: &str,
    query: &str,
    from_seconds: i64,
    to_seconds: i64,
    limit: u32,
) -> Result<String, Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        query_id: String,
    }
    let input = json!({
        "logGroupName": group, "queryString": query, "startTime": from_seconds, "endTime": to_seconds, "limit": limit,
    });
    let answer = calls.json(Service::Logs, "StartQuery", &input);
    let named = |error: Error| error.naming(format!("log group {group}"));
    let answer: Answer = answer.await.map_err(named)?;
    Ok(answer.query_id)
}

/// What came of a query so far.
///
/// # Errors
/// [`Error`] says what went wrong.
pub async fn query_results(calls: &Calls, query_id: &str) -> Result<Results, Error> {
    let input = json!({ "queryId": query_id });
    calls.json(Service::Logs, "GetQueryResults", &input).await
}
