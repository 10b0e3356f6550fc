//! Lambda: functions, their event sources, and the account's concurrency.
//!
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html>

use serde::Deserialize;

use super::client::escaped;
use super::{Calls, Error, Service};

/// What an AWS account may run at a time in a region.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountSettings {
    /// The limits.
    pub account_limit: AccountLimit,
}

/// Limits of an account in a region.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountLimit {
    /// Executions at a time.
    pub concurrent_executions: u64,
    /// Of these, what no function has reserved.
    pub unreserved_concurrent_executions: Option<u64>,
}

/// A function's configuration, without its environment.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Function {
    /// Its name.
    pub function_name: String,
    /// `Active`, `Pending`, `Inactive` or `Failed`.
    pub state: Option<String>,
    /// Why it is in that state.
    pub state_reason: Option<String>,
    /// `Successful`, `InProgress` or `Failed`.
    pub last_update_status: Option<String>,
    /// When it was last changed.
    pub last_modified: Option<String>,
    /// `arm64` or `x86_64`.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Seconds.
    pub timeout: Option<u64>,
}

/// What feeds a function from a queue.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventSource {
    /// The mapping's id.
    #[serde(rename = "UUID")]
    pub id: String,
    /// The queue's ARN.
    pub event_source_arn: Option<String>,
    /// The function's ARN.
    pub function_arn: Option<String>,
    /// `Enabled`, `Disabled`, or on the way to one of them.
    pub state: Option<String>,
    /// What came of the last poll, where there is something to say.
    pub last_processing_result: Option<String>,
}

/// One page of event sources.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventSources {
    /// The event sources.
    #[serde(default)]
    pub event_source_mappings: Vec<EventSource>,
    /// What the next page is asked with; none on the last one.
    pub next_marker: Option<String>,
}

/// What the account may run at a time.
///
/// # Errors
/// [`Error`] says what went wrong.
pub async fn account_settings(calls: &Calls) -> Result<AccountSettings, Error> {
    let path = "/2016-08-19/account-settings/";
    calls
        .rest(Service::Lambda, "GetAccountSettings", path)
        .await
}

/// A function's configuration.
///
/// # Errors
/// [`Error::NotFound`] where there is no such function.
pub async fn function(calls: &Calls, name: &str) -> Result<Function, Error> {
    let path = format!("/2015-03-31/functions/{}/configuration", escaped(name));
    let function = calls.rest(Service::Lambda, "GetFunctionConfiguration", &path);
    let named = |error: Error| error.naming(format!("function {name}"));
    function.await.map_err(named)
}

/// A page of a function's event sources: the first, or the one that `marker` names.
///
/// # Errors
/// [`Error::NotFound`] where there is no such function.
pub async fn event_sources(
    calls: &Calls,
    function: &str,
    marker: Option<&str>,
) -> Result<EventSources, Error> {
    let mut path = format!(
        "/2015-03-31/event-source-mappings/?FunctionName={}",
        escaped(function)
    );
    if let Some(marker) = marker {
        path = format!("{path}&Marker={}", escaped(marker));
    }
    let sources = calls.rest(Service::Lambda, "ListEventSourceMappings", &path);
    let named = |error: Error| error.naming(format!("function {function}"));
    sources.await.map_err(named)
}
