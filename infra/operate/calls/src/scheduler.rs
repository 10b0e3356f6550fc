//! EventBridge Scheduler: whether a schedule runs.
//!
//! <https://docs.aws.amazon.com/scheduler/latest/APIReference/API_GetSchedule.html>

use serde::Deserialize;

use super::client::escaped;
use super::{Calls, Error, Service};

/// A schedule.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// `ENABLED` or `DISABLED`.
    pub state: Option<String>,
    /// When it runs.
    pub schedule_expression: Option<String>,
}

/// A schedule of the default group.
///
/// # Errors
/// [`Error::NotFound`] where there is none of this name.
pub async fn schedule(calls: &Calls, name: &str) -> Result<Schedule, Error> {
    let path = format!("/schedules/{}", escaped(name));
    let schedule = calls.rest(Service::Scheduler, "GetSchedule", &path);
    let named = |error: Error| error.naming(format!("schedule {name}"));
    schedule.await.map_err(named)
}
