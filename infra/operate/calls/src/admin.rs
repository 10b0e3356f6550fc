//! The stack's own admin API, which takes requests that are signed with IAM credentials.

use http::Method;
use serde_json::Value;

use super::client::{Repeat, failure};
use super::{Calls, Error};

/// What the admin API answered: a refusal is an answer too.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; `Null` where it is not JSON.
    pub body: Value,
    /// After how many seconds the same call can help, where it says so.
    pub retry_after: Option<u64>,
}

/// Calls the admin API: `path` such as `/accounts/acme` follows the stack's output `AdminUrl`. Calls that change nothing
/// and those that may be made twice are made again where there was no answer.
///
/// # Errors
/// [`Error::Permission`] and [`Error::Credentials`] where the gateway turns the caller away, [`Error::Unreachable`] where
/// there is no answer, or only the gateway's.
pub async fn call(
    calls: &Calls,
    admin_url: &str,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, Error> {
    let url = format!("{}{path}", admin_url.trim_end_matches('/'));
    // Another POST would make another URL, or begin another rotation.
    let repeat = match method {
        Method::GET => Repeat::Always,
        _ => Repeat::Unhandled,
    };
    let action = format!("execute-api:Invoke on {method}");
    let answer = calls.api(method, &url, body, repeat).await?;
    let status = answer.status.as_u16();
    // The API itself never answers these: it is the gateway that does, before any function runs.
    if matches!(status, 401 | 403 | 429) {
        return Err(failure(&action, &answer));
    }
    Ok(Answer {
        status,
        retry_after: answer.retry_after().map(|after| after.as_secs()),
        body: serde_json::from_slice(&answer.body).unwrap_or(Value::Null),
    })
}
