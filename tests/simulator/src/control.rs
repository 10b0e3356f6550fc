//! `/_simulator/`: what a test or a demonstration does to the simulated source, besides using its API.
//!
//! | request | does |
//! |---|---|
//! | `GET health` | `{"status":"ok"}` |
//! | `POST sites` | create one ([`NewSite`], answer [`Credentials`]; 409 if taken) |
//! | `GET sites/{id}/requests` · `DELETE` | the requests received ([`LoggedRequest`]) · forget them |
//! | `POST sites/{id}/faults` · `PUT` · `DELETE` | add a [`Fault`] · set the list · clear |
//! | `POST sites/{id}/clock` | `{"advance_ms":n}`: tokens age, the throttle's wait passes |
//! | `PUT sites/{id}/settings` | the source's own settings from now on (the type `Settings` of its module) |
//! | `DELETE sites/{id}/tokens` | all access tokens become invalid |
//! | `GET sites/{id}/webhooks` · `POST` | list with status ([`WebhookStatus`]) · add one ([`ForeignWebhook`]) |
//! | `PATCH sites/{id}/webhooks/{wh}` · `DELETE` | change ([`WebhookChange`]) · delete without a trace |
//! | `POST sites/{id}/deliver` | send ([`Deliver`]); answers with a list of [`RunReport`] |
//! | `GET sites/{id}/deliveries` | every sending so far, also those under way |
//!
//! Errors are `{"message": ..}` with 400, 404, 409 or 422.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use axum::{Json, Router};
use futures::future;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::event::EventText;
use crate::faults::Fault;
use crate::journal::Journal;
use crate::key::SigningKey;
use crate::payload::RawDelivery;
use crate::random;
use crate::rate_limit::RateLimit;
use crate::sender::Target;
use crate::site::{LoggedRequest, Run, RunReport, Site, SiteSettings, Webhook};
use crate::switches::{RetryPolicy, Switches};
use crate::world::World;

/// Large enough for a raw delivery beyond every limit of a gateway.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// A site to be created. What is absent is generated or as documented. It has no `Debug`: it holds a secret.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewSite {
    /// The client id.
    pub client_id: Option<String>,
    /// The client secret.
    pub client_secret: Option<String>,
    /// Requests per minute before 429.
    pub requests_per_minute: Option<usize>,
    /// Whether a disabled webhook disappears from the API; Orderspace does not say.
    pub hides_disabled: bool,
    /// The source's own settings; null: as they are by default.
    pub settings: Value,
}

/// The credentials of a site's integration.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The client id, also the site's name in the control API.
    pub client_id: String,
    /// The client secret.
    pub client_secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// A webhook as only the provider sees it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookStatus {
    /// `wh_` and eight characters.
    pub id: String,
    /// Where it goes.
    pub endpoint: String,
    /// What it is for.
    pub events: Vec<String>,
    /// How it is signed.
    pub signing_key: String,
    /// Whether it is still served.
    pub enabled: bool,
    /// Failed attempts since the last success.
    pub consecutive_failures: u32,
    /// What only the source knows of it.
    #[serde(default)]
    pub details: Map<String, Value>,
}

impl std::fmt::Debug for WebhookStatus {
    // Neither the key nor the endpoint, whose path has the receiver's URL token in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookStatus")
            .field("id", &self.id)
            .field("events", &self.events)
            .field("enabled", &self.enabled)
            .field("consecutive_failures", &self.consecutive_failures)
            .finish_non_exhaustive()
    }
}

impl From<&Webhook> for WebhookStatus {
    fn from(webhook: &Webhook) -> Self {
        let standing = webhook.standing();
        Self {
            id: webhook.id.clone(),
            endpoint: webhook.endpoint.clone(),
            events: webhook.events.clone(),
            signing_key: webhook
                .keys
                .first()
                .map_or("", SigningKey::reveal)
                .to_owned(),
            enabled: standing.enabled,
            consecutive_failures: standing.consecutive_failures,
            details: webhook.details.clone(),
        }
    }
}

/// A webhook that somebody else registered at the site. It is not validated. It has no `Debug`: an endpoint may
/// hold the receiver's URL token.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignWebhook {
    /// Where it goes.
    pub endpoint: String,
    /// What it is for; absent: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<String>>,
}

/// Changes to a webhook behind the API's back; what is absent stays. It has no `Debug`, for its endpoint.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookChange {
    /// Enable or disable.
    pub enabled: Option<bool>,
    /// Sign with a new random key from now on.
    pub new_signing_key: bool,
    /// Sign with this key from now on.
    pub signing_key: Option<String>,
    /// Where it goes.
    pub endpoint: Option<String>,
    /// What it is for.
    pub events: Option<Vec<String>>,
    /// Members to set among what only the source knows of it.
    pub details: Map<String, Value>,
}

/// A body that is sent as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawBody {
    /// The body; absent: empty.
    pub text: Option<String>,
    /// Headers that replace the sender's own or come in addition.
    pub headers: Vec<(String, String)>,
}

/// A sending to every enabled webhook of a site.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deliver {
    /// Events, sent verbatim to the webhooks that subscribe to them. An element without a known name goes to all.
    pub events: Vec<Box<RawValue>>,
    /// Raw bodies, sent to all.
    pub raw: Vec<RawBody>,
    /// What the sender does differently.
    pub switches: Switches,
    /// When it tries again.
    pub policy: RetryPolicy,
    /// Whether the answer comes after the last attempt (the default), or at once.
    pub wait: bool,
}

impl Default for Deliver {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            raw: Vec::new(),
            switches: Switches::default(),
            policy: RetryPolicy::default(),
            wait: true,
        }
    }
}

impl Deliver {
    /// A sending of events with the default schedule.
    pub fn events(events: &[EventText]) -> Self {
        Self {
            events: events.iter().map(EventText::to_raw_value).collect(),
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    /// Milliseconds. 32 bits are 49 days, far from where an `Instant` overflows.
    advance_ms: u32,
}

/// Why the control API refuses.
pub(crate) enum Refusal {
    NoSite,
    NoWebhook,
    SiteTaken,
    BadRequest(String),
    Unprocessable(String),
    NoRandomness,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::NoSite => (StatusCode::NOT_FOUND, "there is no such site".to_owned()),
            Self::NoWebhook => (StatusCode::NOT_FOUND, "there is no such webhook".to_owned()),
            Self::SiteTaken => (
                StatusCode::CONFLICT,
                "there is a site with this client_id already".to_owned(),
            ),
            Self::BadRequest(text) => (StatusCode::BAD_REQUEST, text),
            Self::Unprocessable(text) => (StatusCode::UNPROCESSABLE_ENTITY, text),
            Self::NoRandomness => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the operating system gave no random bytes".to_owned(),
            ),
        };
        (status, Json(json!({ "message": text }))).into_response()
    }
}

impl From<getrandom::Error> for Refusal {
    fn from(_: getrandom::Error) -> Self {
        Self::NoRandomness
    }
}

/// A JSON body, whatever content type it was sent with, so that a bare `curl -d` works.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(|error| Refusal::BadRequest(error.body_text()))?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(bytes)
            .map(Self)
            .map_err(|error| Refusal::BadRequest(format!("the body is not as expected: {error}")))
    }
}

type Answer<T> = Result<Json<T>, Refusal>;

/// The routes below `/_simulator`.
pub(crate) fn routes() -> Router<World> {
    Router::new()
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
        .route("/sites", post(create_site))
        .route(
            "/sites/{id}/requests",
            get(requests).delete(forget_requests),
        )
        .route(
            "/sites/{id}/faults",
            post(add_fault).put(set_faults).delete(clear_faults),
        )
        .route("/sites/{id}/clock", post(advance_clock))
        .route("/sites/{id}/settings", put(change_settings))
        .route("/sites/{id}/tokens", delete(revoke_tokens))
        .route("/sites/{id}/webhooks", get(list_webhooks).post(add_webhook))
        .route(
            "/sites/{id}/webhooks/{webhook}",
            patch(change_webhook).delete(remove_webhook),
        )
        .route("/sites/{id}/deliver", post(deliver))
        .route("/sites/{id}/deliveries", get(deliveries))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

/// Creates a site; also the way for a program that has the simulator in its own process.
pub(crate) fn create(world: &World, new: NewSite) -> Result<Option<Credentials>, getrandom::Error> {
    let credentials = Credentials {
        client_id: new.client_id.map_or_else(|| random::alphanumeric(32), Ok)?,
        client_secret: new
            .client_secret
            .map_or_else(|| random::alphanumeric(48), Ok)?,
    };
    let requests = new
        .requests_per_minute
        .unwrap_or_else(|| world.provider().requests_per_minute());
    let settings = SiteSettings {
        rate_limit: RateLimit {
            requests,
            ..RateLimit::default()
        },
        hides_disabled: new.hides_disabled,
        own: Arc::new(new.settings),
    };
    let mut sites = world.sites();
    if sites.contains_key(&credentials.client_id) {
        return Ok(None);
    }
    sites.insert(
        credentials.client_id.clone(),
        Site::new(credentials.client_secret.clone(), settings),
    );
    Ok(Some(credentials))
}

fn at<T>(world: &World, id: &str, work: impl FnOnce(&mut Site) -> T) -> Result<T, Refusal> {
    world.with_site(id, work).ok_or(Refusal::NoSite)
}

fn done(world: &World, id: &str, work: impl FnOnce(&mut Site)) -> Result<StatusCode, Refusal> {
    at(world, id, work).map(|()| StatusCode::NO_CONTENT)
}

async fn create_site(
    State(world): State<World>,
    Body(new): Body<NewSite>,
) -> Result<(StatusCode, Json<Credentials>), Refusal> {
    check(&world, &new.settings)?;
    create(&world, new)?
        .map(|credentials| (StatusCode::CREATED, Json(credentials)))
        .ok_or(Refusal::SiteTaken)
}

fn check(world: &World, settings: &Value) -> Result<(), Refusal> {
    world
        .provider()
        .check_settings(settings)
        .map_err(|error| Refusal::BadRequest(format!("the settings are not the source's: {error}")))
}

async fn change_settings(
    State(world): State<World>,
    Path(id): Path<String>,
    Body(settings): Body<Value>,
) -> Result<StatusCode, Refusal> {
    check(&world, &settings)?;
    done(&world, &id, |site| site.settings.own = Arc::new(settings))
}

async fn requests(
    State(world): State<World>,
    Path(id): Path<String>,
) -> Answer<Vec<LoggedRequest>> {
    at(&world, &id, |site| site.requests()).map(Json)
}

async fn forget_requests(
    State(world): State<World>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    done(&world, &id, Site::forget_requests)
}

async fn add_fault(
    State(world): State<World>,
    Path(id): Path<String>,
    Body(fault): Body<Fault>,
) -> Result<StatusCode, Refusal> {
    done(&world, &id, |site| site.faults.push(fault))
}

async fn set_faults(
    State(world): State<World>,
    Path(id): Path<String>,
    Body(faults): Body<Vec<Fault>>,
) -> Result<StatusCode, Refusal> {
    done(&world, &id, |site| site.faults = faults)
}

async fn clear_faults(
    State(world): State<World>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    done(&world, &id, |site| site.faults.clear())
}

async fn advance_clock(
    State(world): State<World>,
    Path(id): Path<String>,
    Body(advance): Body<Advance>,
) -> Result<StatusCode, Refusal> {
    done(&world, &id, |site| {
        site.advance_clock(Duration::from_millis(u64::from(advance.advance_ms)));
    })
}

async fn revoke_tokens(
    State(world): State<World>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    done(&world, &id, Site::revoke_tokens)
}

async fn list_webhooks(
    State(world): State<World>,
    Path(id): Path<String>,
) -> Answer<Vec<WebhookStatus>> {
    at(&world, &id, |site| {
        site.webhooks
            .iter()
            .rev()
            .map(WebhookStatus::from)
            .collect()
    })
    .map(Json)
}

async fn add_webhook(
    State(world): State<World>,
    Path(id): Path<String>,
    Body(foreign): Body<ForeignWebhook>,
) -> Result<(StatusCode, Json<WebhookStatus>), Refusal> {
    let provider = world.provider();
    let events = foreign.events.unwrap_or_else(|| {
        provider
            .event_names()
            .iter()
            .map(ToString::to_string)
            .collect()
    });
    let key = at(&world, &id, |site| provider.key(site))??;
    let webhook = Webhook::generate(foreign.endpoint, events, key)?;
    let status = WebhookStatus::from(&webhook);
    at(&world, &id, |site| site.webhooks.push(webhook))?;
    Ok((StatusCode::CREATED, Json(status)))
}

async fn change_webhook(
    State(world): State<World>,
    Path((id, webhook)): Path<(String, String)>,
    Body(change): Body<WebhookChange>,
) -> Answer<WebhookStatus> {
    let key = match change.signing_key {
        Some(key) => Some(SigningKey::new(key)),
        None => change
            .new_signing_key
            .then(SigningKey::generate)
            .transpose()?,
    };
    let generations = world.provider().generations();
    at(&world, &id, |site| {
        let webhook = site.webhook_mut(&webhook).ok_or(Refusal::NoWebhook)?;
        if let Some(key) = key {
            webhook.take_key(key, generations);
        }
        if let Some(enabled) = change.enabled {
            webhook.health.set_enabled(enabled);
        }
        if let Some(endpoint) = change.endpoint {
            webhook.endpoint = endpoint;
        }
        if let Some(events) = change.events {
            webhook.events = events;
        }
        webhook.details.extend(change.details);
        Ok(Json(WebhookStatus::from(&*webhook)))
    })?
}

async fn remove_webhook(
    State(world): State<World>,
    Path((id, webhook)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    if at(&world, &id, |site| site.remove_webhook(&webhook))? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::NoWebhook)
    }
}

async fn deliveries(State(world): State<World>, Path(id): Path<String>) -> Answer<Vec<RunReport>> {
    at(&world, &id, |site| site.run_reports()).map(Json)
}

/// Which events go to which webhook.
fn consign(
    world: &World,
    site: &Site,
    events: &[EventText],
    has_raw: bool,
) -> Vec<(Webhook, Vec<EventText>)> {
    let provider = world.provider();
    site.webhooks
        .iter()
        .filter(|webhook| webhook.standing().enabled)
        .map(|webhook| {
            let wanted = events.iter().filter(|event| provider.wants(webhook, event));
            (webhook.clone(), wanted.cloned().collect::<Vec<_>>())
        })
        .filter(|(_, wanted)| has_raw || !wanted.is_empty())
        .collect()
}

impl From<RawBody> for RawDelivery {
    fn from(raw: RawBody) -> Self {
        Self {
            body: raw.text.unwrap_or_default().into_bytes(),
            headers: raw.headers,
        }
    }
}

async fn deliver(
    State(world): State<World>,
    Path(id): Path<String>,
    Body(deliver): Body<Deliver>,
) -> Answer<Vec<RunReport>> {
    send(&world, &id, deliver).await.map(Json)
}

/// Sends to the webhooks of a site.
async fn send(world: &World, id: &str, deliver: Deliver) -> Result<Vec<RunReport>, Refusal> {
    let events: Vec<EventText> = deliver.events.into_iter().map(EventText::from).collect();
    let raw: Arc<Vec<RawDelivery>> = Arc::new(deliver.raw.into_iter().map(From::from).collect());
    let (consignments, own) = at(world, id, |site| {
        let consignments = consign(world, site, &events, !raw.is_empty());
        (consignments, Arc::clone(&site.settings.own))
    })?;
    let sender = world
        .sender
        .clone()
        .with_switches(deliver.switches)
        .with_source(world.source, own)
        .with_policy(deliver.policy);

    let mut runs = Vec::new();
    let mut work = Vec::new();
    for (webhook, events) in consignments {
        let unprocessable = |error: crate::sender::SenderError| {
            Refusal::Unprocessable(format!("{}: {error}", webhook.id))
        };
        let target = Target::of(&webhook).map_err(unprocessable)?;
        sender.check(&events, &raw).map_err(unprocessable)?;
        let journal = Journal::default();
        let finished = Arc::<AtomicBool>::default();
        runs.push(Run {
            webhook: webhook.id,
            journal: journal.clone(),
            finished: Arc::clone(&finished),
        });
        let (sender, raw) = (sender.clone(), Arc::clone(&raw));
        work.push(async move {
            // Both were checked above and can't fail on what is to be packed.
            let _ = sender.send_into(&journal, &target, &events).await;
            let _ = sender.send_raw_into(&journal, &target, &raw).await;
            finished.store(true, Ordering::Release);
        });
    }
    at(world, id, |site| site.remember(&runs))?;
    // A task of its own, so that a client that goes away does not stop the sender.
    let sending = tokio::spawn(future::join_all(work));
    if deliver.wait {
        let _ = sending.await;
    }
    Ok(runs.iter().map(RunReport::from).collect())
}
