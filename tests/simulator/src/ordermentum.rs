//! Ordermentum: webhooks with credentials of the subscriber's choice instead of a signature, and three attempts.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/auth` `{"username","password"}` (deprecated) | `{"access_token","token_type"}`, for 24 hours |
//! | `POST /v1/webhooks` | 201 with the webhook; 422 for what is not acceptable |
//! | `GET /v1/webhooks?pageNo&pageSize&supplierId` | `{"meta","links","data"}`, oldest first |
//! | `GET`, `PUT`, `DELETE /v1/webhooks/{id}` | the webhook; 404 |
//!
//! A site's client id is the user, its secret both the password and the API key. The form of errors, the order of the
//! list and whether an update may be partial are not published: errors have a `message`, an update needs all fields.
//!
//! <https://docs.ordermentum.io>

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{self, Api, Call};
use crate::clock;
use crate::faults::Door;
use crate::json::{Object, raw, texts};
use crate::key::SigningKey;
use crate::random;
use crate::site::{Site, Webhook, is_acceptable_endpoint};
use crate::source::{self, Attempt, Dressed, Provider, Schedule};
use crate::switches::RetryPolicy;
use crate::world::World;

const EVENT_NAMES: [&str; 10] = [
    "order_created",
    "order_updated",
    "purchaser_created",
    "purchaser_updated",
    "invoice_created",
    "invoice_updated",
    "credit_note_created",
    "credit_note_updated",
    "credit_note_completed",
    "credit_note_cancelled",
];

const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

const DEFAULT_PAGE_SIZE: usize = 25;

/// How the API's callers prove who they are.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Access {
    #[default]
    Both,
    ApiKey,
    Bearer,
}

/// What Ordermentum does not publish.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    access: Access,
    /// Absent: 201.
    create_status: Option<u16>,
    /// Whether answers have the webhook's `url`.
    shows_url: bool,
    /// Whether a deleted webhook stays in the list, with `deletedAt`.
    lists_deleted: bool,
    /// Whether a second webhook for an event is refused.
    one_webhook_per_event: bool,
    /// Attempts per delivery; absent: 3.
    attempts: Option<u32>,
    /// Whether a delivery that failed for good disables the webhook, which no answer shows.
    disables: bool,
}

pub(crate) struct Ordermentum;

impl Provider for Ordermentum {
    fn routes(&self) -> Router<World> {
        api::routes(&Self)
    }

    fn error(&self, status: StatusCode, text: &str) -> Response {
        (status, Json(json!({ "message": text }))).into_response()
    }

    fn event_names(&self) -> &'static [&'static str] {
        &EVENT_NAMES
    }

    fn check_settings(&self, settings: &Value) -> Result<(), serde_json::Error> {
        source::settings::<Settings>(settings).map(drop)
    }

    fn dress(&self, attempt: &Attempt<'_>) -> Dressed {
        let mut dressed = Dressed::new(attempt.payload.body.clone());
        if !attempt.payload.is_raw()
            && let Some(body) = with_timestamp(attempt)
        {
            dressed.body = body.into_bytes();
        }
        let text = |pointer: &str| {
            let authentication = attempt.details.get("authentication");
            authentication.and_then(|value| value.pointer(pointer)?.as_str())
        };
        if let (Some(user), Some(password)) =
            (text("/basicAuth/username"), text("/basicAuth/password"))
        {
            let pair = format!("{user}:{password}");
            dressed.put("authorization", &format!("Basic {}", STANDARD.encode(pair)));
        }
        let headers = attempt.details.get("headers").and_then(Value::as_object);
        for (name, value) in headers.into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            dressed.put(&name.to_ascii_lowercase(), value);
        }
        dressed
    }

    fn schedule(&self, policy: &RetryPolicy, settings: &Value) -> Schedule {
        let settings: Settings = source::settings(settings).unwrap_or_default();
        Schedule {
            attempts: settings.attempts.unwrap_or(3),
            disable_after: u32::MAX,
            disables: settings.disables,
            ..Schedule::of(policy)
        }
    }
}

/// The event with a `timestamp`; none where it stays as the test wrote it.
fn with_timestamp(attempt: &Attempt<'_>) -> Option<String> {
    let text = std::str::from_utf8(&attempt.payload.body).ok()?;
    let mut event = Object::parse(text)?;
    if event.get("data").is_none() || event.get("timestamp").is_some() {
        return None;
    }
    event.set("timestamp", raw(clock::rfc3339(clock::now())));
    Some(event.to_string())
}

impl Api for Ordermentum {
    fn caller(&self, world: &World, call: &Call) -> (Door, Option<String>) {
        if call.path == "/v1/auth" {
            let user = call.text("/username");
            return (Door::Token, world.site_where(|id, _| Some(id) == user));
        }
        let access = |site: &Site| site.own::<Settings>().access;
        let (key, token) = (call.header("x-api-key"), call.authorization("bearer"));
        let site = world.site_where(|_, site| {
            let by_key = key == Some(&site.client_secret) && access(site) != Access::Bearer;
            by_key
                || token.is_some_and(|token| {
                    site.honours_token(token) && access(site) != Access::ApiKey
                })
        });
        (Door::Api, site)
    }

    fn answer(&self, site: &mut Site, call: &Call) -> Response {
        let settings: Settings = site.own();
        match (&call.method, call.parts().as_slice()) {
            (&Method::POST, ["v1", "auth"]) => self.token(site, call),
            (&Method::POST, ["v1", "webhooks"]) => self.create(site, call, &settings),
            (&Method::GET, ["v1", "webhooks"]) => self.list(site, call, &settings),
            (method, ["v1", "webhooks", id]) => {
                let found = site.webhook_mut(id);
                let Some(webhook) = found.filter(|webhook| !is_deleted(webhook)) else {
                    return self.error(StatusCode::NOT_FOUND, "there is no such webhook");
                };
                match *method {
                    Method::GET => Json(shown(webhook, &settings)).into_response(),
                    Method::PUT => {
                        if let Some(complaint) = complaint(&call.body) {
                            return self.error(StatusCode::UNPROCESSABLE_ENTITY, &complaint);
                        }
                        fill(webhook, &call.body);
                        Json(shown(webhook, &settings)).into_response()
                    }
                    Method::DELETE => {
                        webhook.set_detail("deletedAt", clock::rfc3339(clock::now()));
                        webhook.health.set_enabled(false);
                        let answer = Json(shown(webhook, &settings)).into_response();
                        if !settings.lists_deleted {
                            site.remove_webhook(id);
                        }
                        answer
                    }
                    _ => self.error(StatusCode::METHOD_NOT_ALLOWED, "not for this path"),
                }
            }
            _ => self.error(StatusCode::NOT_FOUND, "there is no such path"),
        }
    }
}

impl Ordermentum {
    fn token(&self, site: &mut Site, call: &Call) -> Response {
        let settings: Settings = site.own();
        if call.text("/password") != Some(&site.client_secret) || settings.access == Access::ApiKey
        {
            return self.error(StatusCode::UNAUTHORIZED, "user or password is not right");
        }
        let token = site.issue_token(TOKEN_LIFETIME);
        Json(json!({ "access_token": token, "token_type": "Bearer" })).into_response()
    }

    fn create(&self, site: &mut Site, call: &Call, settings: &Settings) -> Response {
        let unprocessable = |text: &str| self.error(StatusCode::UNPROCESSABLE_ENTITY, text);
        if let Some(complaint) = complaint(&call.body) {
            return unprocessable(&complaint);
        }
        let mut webhook = Webhook::generate(String::new(), Vec::new(), SigningKey::generate());
        webhook.id = random::uuid();
        fill(&mut webhook, &call.body);
        let is_taken = |event: &String| {
            let mut others = site.webhooks.iter();
            others.any(|known| !is_deleted(known) && known.subscribes_to(event))
        };
        if settings.one_webhook_per_event && webhook.events.iter().any(is_taken) {
            return unprocessable("there is a webhook for one of these events already");
        }
        let status = StatusCode::from_u16(settings.create_status.unwrap_or(201))
            .unwrap_or(StatusCode::CREATED);
        let answer = (status, Json(shown(&webhook, settings))).into_response();
        site.webhooks.push(webhook);
        answer
    }

    fn list(&self, site: &Site, call: &Call, settings: &Settings) -> Response {
        let number = |name: &str, default: usize| match call.query.get(name) {
            None => Some(default),
            Some(text) => text.parse().ok().filter(|number| *number > 0),
        };
        let (Some(page), Some(size)) = (number("pageNo", 1), number("pageSize", DEFAULT_PAGE_SIZE))
        else {
            return self.error(StatusCode::BAD_REQUEST, "pageNo and pageSize count from 1");
        };
        let supplier = call.query.get("supplierId").map(String::as_str);
        let is_its =
            |webhook: &&Webhook| supplier.is_none_or(|id| webhook.detail("entityId") == Some(id));
        let all = site.webhooks.iter().filter(is_its);
        let all: Vec<Value> = all.map(|webhook| shown(webhook, settings)).collect();
        let pages = all.len().div_ceil(size);
        let first = (page - 1).saturating_mul(size);
        let link = |page: usize| format!("/v1/webhooks?pageNo={page}&pageSize={size}");
        let meta = json!({
            "totalResults": all.len(),
            "totalPages": pages,
            "pageSize": size,
            "pageNo": page,
        });
        let links = json!({
            "self": link(page),
            "prev": (page > 1).then(|| link(page - 1)),
            "next": (page < pages).then(|| link(page + 1)),
        });
        let data: Vec<Value> = all.into_iter().skip(first).take(size).collect();
        Json(json!({ "meta": meta, "links": links, "data": data })).into_response()
    }
}

fn is_deleted(webhook: &Webhook) -> bool {
    webhook.details.contains_key("deletedAt")
}

/// Why a webhook is not acceptable.
fn complaint(body: &Value) -> Option<String> {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let is_event = |name: &Value| EVENT_NAMES.iter().any(|known| name == known);
    let are_events = |names: &Vec<Value>| !names.is_empty() && names.iter().all(is_event);
    let pairs = body["headers"].as_object();
    let is_header = |(name, value): (&String, &Value)| {
        HeaderName::try_from(name.as_str()).is_ok()
            && value
                .as_str()
                .is_some_and(|text| HeaderValue::try_from(text).is_ok())
    };
    let basic = body.pointer("/authentication/basicAuth");
    let is_text = |name: &str| basic.and_then(|basic| basic.get(name)?.as_str()).is_some();
    let rules = [
        ("url", is_acceptable_endpoint(text("url"))),
        ("name", !text("name").trim().is_empty()),
        ("events", body["events"].as_array().is_some_and(are_events)),
        (
            "headers",
            body["headers"].is_null() || pairs.is_some_and(|pairs| pairs.iter().all(is_header)),
        ),
        (
            "authentication",
            body["authentication"].is_null() || (is_text("username") && is_text("password")),
        ),
    ];
    let broken = rules.iter().filter(|(_, is_kept)| !is_kept);
    let broken: Vec<&str> = broken.map(|(name, _)| *name).collect();
    (!broken.is_empty()).then(|| format!("not acceptable: {}", broken.join(", ")))
}

/// Sets all that a body gives; what it leaves out is empty afterwards.
fn fill(webhook: &mut Webhook, body: &Value) {
    webhook.endpoint = body["url"].as_str().unwrap_or_default().to_owned();
    webhook.events = texts(&body["events"]);
    let now = clock::rfc3339(clock::now());
    let mut before = std::mem::take(&mut webhook.details);
    let created = before.remove("createdAt");
    webhook.set_detail("createdAt", created.unwrap_or_else(|| now.clone().into()));
    webhook.set_detail("updatedAt", now);
    for name in [
        "name",
        "entityId",
        "entityType",
        "authentication",
        "headers",
    ] {
        webhook.set_detail(name, body[name].clone());
    }
}

/// A webhook as answers have it: neither its credentials nor, by default, where it goes.
fn shown(webhook: &Webhook, settings: &Settings) -> Value {
    let detail = |name: &str| webhook.details.get(name).cloned().unwrap_or_default();
    let mut shown = json!({
        "id": webhook.id,
        "name": detail("name"),
        "supplierId": detail("entityId"),
        "events": webhook.events,
        "createdAt": detail("createdAt"),
        "createdBy": Value::Null,
        "updatedAt": detail("updatedAt"),
        "updatedBy": Value::Null,
        "deletedAt": detail("deletedAt"),
    });
    if settings.shows_url
        && let Some(shown) = shown.as_object_mut()
    {
        shown.insert("url".to_owned(), webhook.endpoint.clone().into());
    }
    shown
}
