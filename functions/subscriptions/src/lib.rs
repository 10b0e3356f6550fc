//! Subscriptions: the admin API that connects accounts to their source and disconnects them.
//!
//! | route | does |
//! |---|---|
//! | `PUT /v1/accounts/{account}` | [`connect`]: brings the source in line with what is asked for; the same call again changes nothing |
//! | `GET /v1/accounts`, `GET /v1/accounts/{account}` | list, and show with health and history |
//! | `PATCH /v1/accounts/{account}` | [`check`]: selects other events, then the same |
//! | `POST /v1/accounts/{account}/check` | [`check`]: compares with the source and corrects what differs |
//! | `POST /v1/accounts/{account}/rotate` | [`rotate`]: another webhook, token and key take over from those in use |
//! | `POST /v1/accounts/{account}/endpoint` | [`manual`]: a URL for a source at which a person registers it, shown once |
//! | `POST /v1/accounts/{account}/erasure` | [`erase`]: what is kept of the account, or of one record, is to be deleted |
//! | `GET /v1/accounts/{account}/erasure/{erasure}` | how far that is |
//! | `DELETE /v1/accounts/{account}` | [`disconnect`]: no webhook of ours, no delivery taken, secrets scheduled for deletion |
//!
//! The schedule checks every account by itself ([`schedule`]), and between that whoever has become silent
//! ([`silence`]), by way of a queue that this function also reads;
//! [`event`] tells apart what invokes it.
//!
//! | struct | knows |
//! |---|---|
//! | [`Health`] | what our own tables say of an account's deliveries |
//! | [`Reconciler`] | the source: observes it, plans and applies what is left to do; asks `Health` about a rotation |
//! | [`Subscriptions`] | the calls: each holds the account's lock, keeps the desired state and has it reconciled |
//!
//! Callers are authorized by the gateway (IAM). Whatever changes an account holds its lease. Every answer is
//! JSON; every one that is no success says in `message` what to do.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control-iam.html>

#![warn(clippy::too_many_lines)]

pub mod account_events;
mod account_lock;
mod admission;
pub mod answer;
mod apply;
mod check;
pub mod config;
mod connect;
mod disconnect;
mod erase;
pub mod event;
pub mod health;
mod history;
mod manual;
mod reconciler;
mod request;
mod rotate;
mod route;
pub mod schedule;
mod session;
mod silence;
pub mod view;
mod withdrawal;

use std::time::Duration;

use domain::account::AccountName;
use domain::erasure::Retention;
use domain::ports::PortError;
use domain::signature::Policy;
use domain::source::Source;
use domain::subscription::{Accounts, Apis, Deliveries, HooksUrl, LifeCycle, Principal, Secrets};
use domain::timestamp::Timestamp;
use lambda_http::{Body, Request, Response};
use sources::facts;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, info, info_span, warn};

use crate::account_events::Announce;
use crate::account_lock::Ports;
use crate::answer::{Failure, Outcome};
use crate::health::Health;
use crate::reconciler::Reconciler;
use crate::request::{Change, Connect, Rules};
use crate::route::Route;
use crate::view::{AccountList, Detail, LastDelivery};

pub use crate::reconciler::MOST_REQUESTS;

/// How long the work of a call may take. What comes after it (saying in the account how far it got) still has
/// to fit into the function's 29 seconds.
const BUDGET: Duration = Duration::from_secs(20);

/// How long an old webhook waits for the first delivery of the new one, in hours, unless the configuration says
/// otherwise.
const ROTATION_HOURS: u64 = 24;
/// How long retries of deliveries of a webhook that is gone are taken, in hours, unless the configuration says
/// otherwise.
const GRACE_HOURS: u64 = 72;

/// How many failed deliveries in a row are too many, unless the configuration says otherwise.
const FAILURES_ALARM: usize = 3;

/// For how long receipts and large events are kept, unless the configuration says otherwise.
const RETENTION: Retention = Retention {
    receipt_days: 30,
    event_days: 30,
};

/// The stack's name, unless the configuration says otherwise.
const STACK: &str = "orderhook";

/// Settings that are neither clients nor names of resources.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where webhooks arrive.
    pub hooks: HooksUrl,
    /// So many failed deliveries in a row raise an alarm.
    pub failures_alarm: usize,
    /// How long an old webhook waits for the first delivery of the one that takes over, in hours.
    pub rotation_hours: u64,
    /// How long retries of deliveries of a webhook that is gone are taken, in hours.
    pub grace_hours: u64,
    /// What a webhook's life depends on at a source.
    pub life_cycle: fn(Source) -> &'static LifeCycle,
    /// What becomes of a source's unproved requests, unless the account says otherwise.
    pub policy: fn(Source) -> Policy,
    /// What this stack's alarms know its metrics by: another one may stand beside it.
    pub stack: String,
    /// How long a call may work before it says how far it got.
    pub budget: Duration,
    /// For how long things are kept that no erasure deletes.
    pub retention: Retention,
}

impl Settings {
    /// The settings for webhooks that arrive there.
    #[must_use]
    pub fn new(hooks: HooksUrl) -> Self {
        Self {
            hooks,
            failures_alarm: FAILURES_ALARM,
            rotation_hours: ROTATION_HOURS,
            grace_hours: GRACE_HOURS,
            life_cycle: |source| &facts(source).life_cycle,
            policy: |source| facts(source).policy,
            stack: STACK.to_owned(),
            budget: BUDGET,
            retention: RETENTION,
        }
    }
}

/// The function, with what it needs from the outside.
pub struct Subscriptions<'p, A, S, D> {
    accounts: &'p A,
    events: &'p dyn Announce,
    health: &'p Health<'p, D>,
    reconciler: Reconciler<'p, A, S, D>,
    rules: Rules,
    retention: Retention,
    budget: Duration,
    /// The stack's name, by which its metrics are known.
    stack: String,
}

impl<'p, A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'p, A, S, D> {
    /// Puts the function together.
    pub fn new(
        accounts: &'p A,
        secrets: &'p S,
        apis: &'p Apis,
        health: &'p Health<'p, D>,
        events: &'p dyn Announce,
        settings: Settings,
    ) -> Self {
        Self {
            accounts,
            events,
            health,
            budget: settings.budget,
            retention: settings.retention,
            stack: settings.stack.clone(),
            rules: Rules {
                life_cycle: settings.life_cycle,
                policy: settings.policy,
            },
            reconciler: Reconciler::new(accounts, secrets, apis, health, settings),
        }
    }

    /// What an account's lock needs.
    fn ports(&self, by: Option<&Principal>) -> Ports<'p, A> {
        Ports {
            accounts: self.accounts,
            events: self.events,
            by: by.cloned(),
        }
    }

    /// Answers one request. `now` is the time of this invocation.
    pub async fn handle(&self, request: &Request, now: Timestamp) -> Response<Body> {
        let begun = Instant::now();
        let route = Route::read(request);
        let call = route.as_ref().map_or("unknown", Route::call);
        let account = route.as_ref().ok().and_then(Route::account);
        let span = info_span!("call", call, account = account.map(AccountName::as_str));
        async {
            let outcome = match &route {
                Ok(route) => self.serve(route, request, now, begun).await,
                Err(failure) => Err(failure.clone()),
            };
            let outcome = outcome.unwrap_or_else(Outcome::Failed);
            let status = outcome.status().as_u16();
            let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            match outcome.cause() {
                None => info!(status, duration_ms, "answered"),
                Some(cause) => warn!(status, duration_ms, cause, "answered"),
            }
            outcome.to_response()
        }
        .instrument(span)
        .await
    }

    async fn serve(
        &self,
        route: &Route,
        request: &Request,
        now: Timestamp,
        begun: Instant,
    ) -> Result<Outcome, Failure> {
        let deadline = begun + self.budget;
        let by = &request::caller_of(request);
        let by = by.as_ref();
        match route {
            Route::List => self.list().await,
            Route::Show(name) => self.show(name, now).await,
            Route::Connect(name) => {
                let wanted = Connect::read(request, self.rules)?;
                self.connect(name, &wanted, by, now, deadline).await
            }
            Route::Disconnect(name) => self.disconnect(name, by, now, deadline).await,
            Route::Change(name) => {
                let change = Change::read(request)?;
                self.change(name, &change, by, now, deadline).await
            }
            Route::Check(name) => self.check(name, by, now, deadline).await,
            Route::Rotate(name) => self.rotate(name, by, now, deadline).await,
            Route::Endpoint(name) => self.make_endpoint(name, by, now).await,
            Route::Erase(name) => {
                let subject = request::subject_of(request, name)?;
                self.erase(name, subject, by, now).await
            }
            Route::ShowErasure(name, id) => self.show_erasure(name, id).await,
        }
    }

    async fn list(&self) -> Result<Outcome, Failure> {
        let all = self.accounts.list().await?;
        Ok(Outcome::Listed(AccountList::of(&all)))
    }

    async fn show(&self, name: &AccountName, now: Timestamp) -> Result<Outcome, Failure> {
        let account = self.accounts.find(name).await?;
        let Some(account) = account else {
            // Its URL tokens may be left: then the list has it.
            let is_lost = self.accounts.list().await?.unreadable.contains(name);
            return Err(match is_lost {
                true => Failure::Store(PortError::unreadable("reading an account")),
                false => Failure::UnknownAccount(name.clone()),
            });
        };
        let last = match self.health.last_delivery(&account, now).await? {
            None => None,
            Some(id) => Some(LastDelivery::of(
                id,
                self.health.assurance(&account, id).await?,
            )),
        };
        let failed = self.health.failed_run(name, now).await?;
        let detail = Detail::of(&account, last, &failed);
        Ok(Outcome::Shown(Box::new(detail)))
    }
}

/// Works with a source until the deadline; what is not done by then is left to the next call.
async fn within<T>(
    deadline: Instant,
    source: Source,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let result = timeout_at(deadline, work).await;
    result.unwrap_or(Err(Failure::OutOfTime(source)))
}
