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

use std::collections::btree_map::Entry;
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
        let key = webhook.keys.first().map_or("", SigningKey::reveal);
        Self {
            id: webhook.id.clone(),
            endpoint: webhook.endpoint.clone(),
            events: webhook.events.clone(),
            signing_key: key.to_owned(),
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
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    fn no_such(what: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    fn bad_request(text: String) -> Self {
        Self(StatusCode::BAD_REQUEST, text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, text) = self;
        (status, Json(json!({ "message": text }))).into_response()
    }
}

/// A JSON body, whatever content type it was sent with, so that a bare `curl -d` works.
struct Body<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let bytes = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(|error| Refusal::bad_request(error.body_text()))?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(bytes)
            .map(Self)
            .map_err(|error| Refusal::bad_request(format!("the body is not as expected: {error}")))
    }
}

type Answer<T> = Result<Json<T>, Refusal>;
type Created<T> = Result<(StatusCode, Json<T>), Refusal>;
type Done = Result<StatusCode, Refusal>;

/// The site that a path names, if there is one.
type At = (State<World>, Path<String>);

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

/// Creates a site, unless its client id is taken; also the way for a program that has the simulator in its own process.
pub(crate) fn create(world: &World, new: NewSite) -> Option<Credentials> {
    let generated = |length| move || random::alphanumeric(length);
    let credentials = Credentials {
        client_id: new.client_id.unwrap_or_else(generated(32)),
        client_secret: new.client_secret.unwrap_or_else(generated(48)),
    };
    let published = || world.provider().requests_per_minute();
    let settings = SiteSettings {
        requests_per_minute: new.requests_per_minute.unwrap_or_else(published),
        hides_disabled: new.hides_disabled,
        own: Arc::new(new.settings),
    };
    let site = Site::new(credentials.client_secret.clone(), settings);
    match world.sites().entry(credentials.client_id.clone()) {
        Entry::Occupied(_) => None,
        Entry::Vacant(free) => {
            free.insert(site);
            Some(credentials)
        }
    }
}

fn at<T>(world: &World, id: &str, work: impl FnOnce(&mut Site) -> T) -> Result<T, Refusal> {
    let found = world.with_site(id, work);
    found.ok_or_else(|| Refusal::no_such("site"))
}

fn done(world: &World, id: &str, work: impl FnOnce(&mut Site)) -> Done {
    at(world, id, work).map(|()| StatusCode::NO_CONTENT)
}

async fn create_site(State(world): State<World>, Body(new): Body<NewSite>) -> Created<Credentials> {
    check(&world, &new.settings)?;
    let taken = "there is a site with this client_id already";
    create(&world, new)
        .map(|credentials| (StatusCode::CREATED, Json(credentials)))
        .ok_or_else(|| Refusal(StatusCode::CONFLICT, taken.to_owned()))
}

fn check(world: &World, settings: &Value) -> Result<(), Refusal> {
    let checked = world.provider().check_settings(settings);
    checked.map_err(|error| {
        Refusal::bad_request(format!("the settings are not the source's: {error}"))
    })
}

async fn change_settings((State(world), Path(id)): At, Body(settings): Body<Value>) -> Done {
    check(&world, &settings)?;
    done(&world, &id, |site| site.settings.own = Arc::new(settings))
}

async fn requests((State(world), Path(id)): At) -> Answer<Vec<LoggedRequest>> {
    at(&world, &id, |site| site.requests()).map(Json)
}

async fn forget_requests((State(world), Path(id)): At) -> Done {
    done(&world, &id, Site::forget_requests)
}

async fn add_fault((State(world), Path(id)): At, Body(fault): Body<Fault>) -> Done {
    done(&world, &id, |site| site.faults.push(fault))
}

async fn set_faults((State(world), Path(id)): At, Body(faults): Body<Vec<Fault>>) -> Done {
    done(&world, &id, |site| site.faults = faults)
}

async fn clear_faults((State(world), Path(id)): At) -> Done {
    done(&world, &id, |site| site.faults.clear())
}

async fn advance_clock((State(world), Path(id)): At, Body(advance): Body<Advance>) -> Done {
    let by = Duration::from_millis(u64::from(advance.advance_ms));
    done(&world, &id, |site| site.advance_clock(by))
}

async fn revoke_tokens((State(world), Path(id)): At) -> Done {
    done(&world, &id, Site::revoke_tokens)
}

async fn list_webhooks((State(world), Path(id)): At) -> Answer<Vec<WebhookStatus>> {
    at(&world, &id, |site| {
        let newest_first = site.webhooks.iter().rev();
        Json(newest_first.map(WebhookStatus::from).collect())
    })
}

async fn add_webhook(
    (State(world), Path(id)): At,
    Body(foreign): Body<ForeignWebhook>,
) -> Created<WebhookStatus> {
    let provider = world.provider();
    let names = provider.event_names().iter();
    let all = || names.map(ToString::to_string).collect();
    let events = foreign.events.unwrap_or_else(all);
    at(&world, &id, |site| {
        let webhook = Webhook::generate(foreign.endpoint, events, provider.key(site));
        let status = WebhookStatus::from(&webhook);
        site.webhooks.push(webhook);
        (StatusCode::CREATED, Json(status))
    })
}

async fn change_webhook(
    State(world): State<World>,
    Path((id, webhook)): Path<(String, String)>,
    Body(change): Body<WebhookChange>,
) -> Answer<WebhookStatus> {
    let given = change.signing_key.map(SigningKey::new);
    let key = given.or_else(|| change.new_signing_key.then(SigningKey::generate));
    let generations = world.provider().generations();
    at(&world, &id, |site| {
        let found = site.webhook_mut(&webhook);
        let webhook = found.ok_or_else(|| Refusal::no_such("webhook"))?;
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
) -> Done {
    match at(&world, &id, |site| site.remove_webhook(&webhook))? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refusal::no_such("webhook")),
    }
}

async fn deliveries((State(world), Path(id)): At) -> Answer<Vec<RunReport>> {
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

/// Sends to the webhooks of a site.
async fn deliver(
    (State(world), Path(id)): At,
    Body(deliver): Body<Deliver>,
) -> Answer<Vec<RunReport>> {
    let events: Vec<EventText> = deliver.events.into_iter().map(EventText::from).collect();
    let raw: Arc<Vec<RawDelivery>> = Arc::new(deliver.raw.into_iter().map(From::from).collect());
    let (consignments, own) = at(&world, &id, |site| {
        let consignments = consign(&world, site, &events, !raw.is_empty());
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
            let text = format!("{}: {error}", webhook.id);
            Refusal(StatusCode::UNPROCESSABLE_ENTITY, text)
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
    at(&world, &id, |site| site.remember(&runs))?;
    // A task of its own, so that a client that goes away does not stop the sender.
    let sending = tokio::spawn(future::join_all(work));
    if deliver.wait {
        let _ = sending.await;
    }
    Ok(Json(runs.iter().map(RunReport::from).collect()))
}
