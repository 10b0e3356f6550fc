//! Events: what invokes the function, distinguished once.
//!
//! | event | is |
//! |---|---|
//! | a request of API Gateway's HTTP API, payload version 2.0 | a call of the admin API |
//! | `{"schedule":"check"}`, which the template gives a schedule | time to check all accounts |
//! | `{"schedule":"watch"}`, which it gives another | time to check those that have become silent |
//! | `Records` of SQS | checks of single accounts |
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use aws_lambda_events::sqs::SqsEvent;
use domain::ports::Queues;
use domain::subscription::{Accounts, Deliveries, Secrets};
use domain::timestamp::Timestamp;
use lambda_http::Request;
use runtime::gateway::{self, GatewayEvent};
use runtime::metrics::{self, Metric};
use serde_json::{Value, json};
use thiserror::Error;

use crate::Subscriptions;
use crate::answer::Failure;
use crate::schedule::Schedule;

/// What invoked the function.
#[derive(Debug)]
pub enum Event {
    /// A call of the admin API.
    Call(Box<Request>),
    /// Time to check all accounts.
    Schedule,
    /// Time to check the accounts that have become silent.
    Watch,
    /// Checks of single accounts.
    Checks(SqsEvent),
}

/// Why an event came to nothing. Lambda calls again for it.
#[derive(Debug, Error)]
pub enum EventError {
    /// It is none of those that this function is for.
    #[error(
        "the event is no call of the admin API, no schedule and no batch of checks; see what invokes this function"
    )]
    Unknown,
    /// Not every account has a check on its way.
    #[error("not all accounts could be sent to be checked: {0}")]
    Unscheduled(String),
    /// The answer is no JSON.
    #[error("an answer could not be written as JSON")]
    Unwritten,
}

impl Event {
    /// Reads which of these an event is.
    ///
    /// # Errors
    /// The event is none of them. The error does not repeat it: it may hold a secret.
    pub fn read(event: Value) -> Result<Self, EventError> {
        if event == json!({ "schedule": "check" }) {
            return Ok(Self::Schedule);
        }
        if event == json!({ "schedule": "watch" }) {
            return Ok(Self::Watch);
        }
        if event.get("Records").is_some() {
            return serde_json::from_value(event)
                .map(Self::Checks)
                .map_err(|_| EventError::Unknown);
        }
        GatewayEvent::parse(&event.to_string())
            .into_request()
            .map(|request| Self::Call(Box::new(request)))
            .ok_or(EventError::Unknown)
    }
}

/// Does what an event is for, and returns what Lambda answers. `now` is the time of this invocation.
///
/// # Errors
/// See [`EventError`].
pub async fn dispatch<A, S, D, Q>(
    subscriptions: &Subscriptions<'_, A, S, D>,
    schedule: &Schedule<'_, A, D, Q>,
    event: Value,
    now: Timestamp,
) -> Result<Value, EventError>
where
    A: Accounts,
    S: Secrets,
    D: Deliveries,
    Q: Queues,
{
    let work = Box::pin(serve(subscriptions, schedule, event, now));
    metrics::invocation(&subscriptions.stack, work).await
}

async fn serve<A, S, D, Q>(
    subscriptions: &Subscriptions<'_, A, S, D>,
    schedule: &Schedule<'_, A, D, Q>,
    event: Value,
    now: Timestamp,
) -> Result<Value, EventError>
where
    A: Accounts,
    S: Secrets,
    D: Deliveries,
    Q: Queues,
{
    match Event::read(event)? {
        Event::Call(request) => Ok(gateway::response(
            &Box::pin(subscriptions.handle(&request, now)).await,
        )),
        Event::Schedule => scheduled("check", Box::pin(schedule.run(now)).await),
        Event::Watch => scheduled("watch", Box::pin(schedule.watch(now)).await),
        Event::Checks(batch) => {
            let answer = Box::pin(subscriptions.check_batch(&batch, now)).await;
            serde_json::to_value(answer).map_err(|_| EventError::Unwritten)
        }
    }
}

/// Answers a run of a schedule. Only one that sent everything counts: an alarm rings where none is counted.
fn scheduled(schedule: &'static str, sent: Result<usize, Failure>) -> Result<Value, EventError> {
    let sent = sent.map_err(|failure| EventError::Unscheduled(failure.message()))?;
    metrics::count_by(Metric::ScheduleRuns, 1, &[schedule]);
    Ok(json!({ "accounts": sent }))
}
