//! Apideck: a webhook for each unified API, signed with the application's API key, validated by a call while it is made,
//! and disabled in view of the subscriber when a delivery failed for good.
//!
//! | request | answer |
//! |---|---|
//! | `POST /webhook/webhooks` | 201; the webhook is disabled where its URL could not be validated |
//! | `GET /webhook/webhooks?cursor&limit` | the webhooks, oldest first, with cursors |
//! | `GET`, `PATCH`, `DELETE /webhook/webhooks/{id}` | 200; a changed `delivery_url` is validated |
//!
//! A site's client id is the application, its secret the API key. Reasoned: to enable a webhook whose URL failed, or of a
//! plan that is used up, has no effect; another URL that is validated enables the first.
//!
//! <https://developers.apideck.com>

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::api::{self, Api, Call};
use crate::clock;
use crate::event::EventText;
use crate::faults::Door;
use crate::json::{Object, raw, texts};
use crate::key::{SigningKey, hex};
use crate::payload::{self, PackError, Payload, RawDelivery};
use crate::random;
use crate::sender::Target;
use crate::site::{Site, Webhook, is_acceptable_endpoint};
use crate::source::{self, Attempt, Dressed, Provider, Schedule};
use crate::switches::{RetryPolicy, Switches};
use crate::world::World;

const EVENT_NAMES: [&str; 21] = [
    "ecommerce.order.created",
    "ecommerce.order.updated",
    "ecommerce.order.deleted",
    "ecommerce.product.created",
    "ecommerce.product.updated",
    "ecommerce.product.deleted",
    "ecommerce.customer.created",
    "ecommerce.customer.updated",
    "ecommerce.customer.deleted",
    "vault.connection.created",
    "vault.connection.updated",
    "vault.connection.disabled",
    "vault.connection.deleted",
    "vault.connection.callable",
    "vault.connection.revoked",
    "vault.connection.migrated",
    "vault.connection.token_refresh.failed",
    "vault.connection.token_refresh.pending",
    "vault.connection.token_refresh.recovered",
    "vault.connection.downstream.degraded",
    "vault.connection.downstream.recovered",
];

/// Minutes between attempts. The last lies beyond the 24 hours that the documentation names beside it.
const WAITS: [u32; 9] = [3, 5, 10, 30, 60, 120, 240, 480, 720];

const VALIDATION: &str = r#"{"message":"Validating delivery URL"}"#;

/// What Apideck does not publish, or says in two ways.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Time for the validation's answer; absent: five seconds.
    validation_timeout_ms: Option<u64>,
    /// API keys that are taken besides the site's, as while one replaces the other.
    further_keys: Vec<String>,
}

/// The members of every object in the order of their names, without white space.
fn sorted(value: &RawValue) -> String {
    if let Some(Object(mut members)) = Object::parse(value.get()) {
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (_, value) in &mut members {
            let text = RawValue::from_string(sorted(value));
            *value = text.unwrap_or_else(|_| value.clone());
        }
        return Object(members).to_string();
    }
    match serde_json::from_str::<Vec<Box<RawValue>>>(value.get()) {
        Ok(items) => {
            let items: Vec<String> = items.iter().map(|item| sorted(item)).collect();
            format!("[{}]", items.join(","))
        }
        _ => value.get().to_owned(),
    }
}

fn type_of(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    Some(body.pointer("/payload/event_type")?.as_str()?.to_owned())
}

pub(crate) struct Apideck;

impl Provider for Apideck {
    fn routes(&self) -> Router<World> {
        api::routes(&Self)
    }

    fn error(&self, status: StatusCode, text: &str) -> Response {
        let reason = status.canonical_reason();
        let body = json!({ "status_code": status.as_u16(), "error": reason, "type_name": "RequestError",
                           "message": text, "detail": text, "ref": "https://developers.apideck.com/errors" });
        (status, Json(body)).into_response()
    }

    fn event_names(&self) -> &'static [&'static str] {
        &EVENT_NAMES
    }

    fn check_settings(&self, settings: &Value) -> Result<(), serde_json::Error> {
        source::settings::<Settings>(settings).map(drop)
    }

    fn key(&self, site: &Site) -> SigningKey {
        SigningKey::new(site.client_secret.as_str())
    }

    fn wants(&self, webhook: &Webhook, event: &EventText) -> bool {
        let name = type_of(event.as_str().as_bytes()).unwrap_or_default();
        let is_listed = !EVENT_NAMES.contains(&name.as_str())
            || webhook.subscribes_to("*")
            || webhook.subscribes_to(&name);
        let api = webhook.detail("unified_api");
        is_listed && api.is_none_or(|api| name.split('.').next() == Some(api))
    }

    /// Events are written as they are sent; an event's id, which all attempts share, is made where it is missing.
    fn pack(&self, events: &[EventText], _: &Switches) -> Result<Vec<Payload>, PackError> {
        let pack = |event: &EventText| {
            let not_in_shape = || PackError::NotInShape {
                name: event.name().unwrap_or("-").to_owned(),
                needs: r#"{"payload":{"event_type",..}}"#,
            };
            let mut body = Object::parse(event.as_str()).ok_or_else(not_in_shape)?;
            let mut inner = body.object("payload").ok_or_else(not_in_shape)?;
            inner.set_missing("event_id", || random::uuid().into());
            inner.set_missing("occurred_at", || clock::rfc3339(clock::now()).into());
            body.set("payload", inner.into_raw());
            Ok(Payload::new(vec![event.clone()], body.to_string()))
        };
        events.iter().map(pack).collect()
    }

    fn dress(&self, attempt: &Attempt<'_>) -> Dressed {
        let mut dressed = Dressed::new(attempt.payload.body.clone());
        let text = String::from_utf8_lossy(&dressed.body).into_owned();
        if !attempt.payload.is_raw()
            && let Some(mut body) = Object::parse(&text)
            && let Some(mut inner) = body.object("payload")
        {
            inner.set("execution_attempt", raw(attempt.number));
            body.set("payload", inner.into_raw());
            dressed.body = body.to_string().into_bytes();
        }
        if let Some(name) = type_of(&dressed.body) {
            dressed.put("x-apideck-event-type", &name);
            dressed.put("x-apideck-idempotency-key", &random::uuid());
        }
        if let Some(key) = attempt.keys.first() {
            let body = &dressed.body;
            let signed = serde_json::from_slice(body).map(|body| sorted(body).into_bytes());
            let mac = key.mac(signed.as_ref().unwrap_or(body));
            dressed.put("x-apideck-signature", &hex(&mac));
        }
        dressed
    }

    fn schedule(&self, _: &RetryPolicy, _: &Value) -> Schedule {
        Schedule {
            attempts: 10,
            disable_after: u32::MAX,
            waits: &WAITS,
            disables: true,
            in_order: false,
        }
    }
}

impl Api for Apideck {
    fn caller(&self, world: &World, call: &Call) -> (Door, Option<String>) {
        let key = call.authorization("bearer");
        let app = call.header("x-apideck-app-id");
        let is_key = |key: &str, site: &Site| {
            let further = site.own::<Settings>().further_keys;
            key == site.client_secret || further.iter().any(|known| known == key)
        };
        let is_caller =
            |id: &str, site: &Site| app == Some(id) && key.is_some_and(|key| is_key(key, site));
        (Door::Api, world.site_where(is_caller))
    }

    fn serve<'a>(
        &'a self,
        world: &'a World,
        site: &'a str,
        call: &'a Call,
    ) -> BoxFuture<'a, Option<Response>> {
        async move {
            // Whether the URL that the request brings could be reached, before the request is answered.
            let mut reached = None;
            if let (true, Some(url)) = (complaint(call).is_none(), call.text("/delivery_url")) {
                let is_new = |site: &mut Site| {
                    !site.webhooks.iter().any(|webhook| {
                        call.parts().contains(&webhook.id.as_str()) && webhook.endpoint == url
                    })
                };
                if world.with_site(site, is_new)? {
                    reached = Some(validate(world, site, url).await);
                }
            }
            world.with_site(site, |site| self.answer_after(site, call, reached))
        }
        .boxed()
    }

    fn answer(&self, site: &mut Site, call: &Call) -> Response {
        self.answer_after(site, call, None)
    }
}

/// The signed call to a new URL, while the request that brings it waits.
async fn validate(world: &World, site: &str, url: &str) -> bool {
    let found = world.with_site(site, |site| {
        let target = Target::new(url, Apideck.key(site));
        (target, site.settings.own.clone())
    });
    let header = ["x-apideck-event-type", "apideck.subscription.created"];
    let call = payload::raw(&RawDelivery {
        body: VALIDATION.as_bytes().to_vec(),
        headers: vec![header.map(str::to_owned).into()],
    });
    let (Some((Ok(target), own)), Ok(call)) = (found, call) else {
        return false;
    };
    let settings: Settings = source::settings(&own).unwrap_or_default();
    let policy = RetryPolicy {
        timeout_ms: settings.validation_timeout_ms.unwrap_or(5_000),
        ..RetryPolicy::default()
    };
    let sender = world
        .sender
        .clone()
        .with_source(world.source, own)
        .with_policy(policy);
    sender.accepts(&sender.attempt(&target, &call, 1).await)
}

impl Apideck {
    fn answer_after(&self, site: &mut Site, call: &Call, reached: Option<bool>) -> Response {
        let parts = call.parts();
        let ["webhook", "webhooks", rest @ ..] = parts.as_slice() else {
            return self.error(StatusCode::NOT_FOUND, "there is no such path");
        };
        if let Some(complaint) = complaint(call) {
            return self.error(StatusCode::UNPROCESSABLE_ENTITY, &complaint);
        }
        match (&call.method, rest) {
            (&Method::GET, []) => self.list(site, call),
            (&Method::POST, []) => {
                let mut webhook = Webhook::generate(String::new(), Vec::new(), self.key(site));
                let api = call.body.get("unified_api").cloned();
                webhook.set_detail("unified_api", api.unwrap_or_default());
                webhook.set_detail("created_at", clock::rfc3339(clock::now()));
                change(&mut webhook, &call.body, reached);
                let answer = done(StatusCode::CREATED, &shown(&webhook));
                site.webhooks.push(webhook);
                answer
            }
            (method, [id]) => {
                let Some(webhook) = site.webhook_mut(id) else {
                    return self.error(StatusCode::NOT_FOUND, "there is no such webhook");
                };
                match *method {
                    Method::GET => {}
                    Method::PATCH => change(webhook, &call.body, reached),
                    Method::DELETE => {
                        site.remove_webhook(id);
                        return done(StatusCode::OK, &json!({ "id": id }));
                    }
                    _ => return self.error(StatusCode::METHOD_NOT_ALLOWED, "not for this path"),
                }
                done(StatusCode::OK, &shown(webhook))
            }
            _ => self.error(StatusCode::NOT_FOUND, "there is no such path"),
        }
    }

    fn list(&self, site: &Site, call: &Call) -> Response {
        let number = |name: &str, default: usize| match call.query.get(name) {
            None => Some(default),
            Some(text) => text.parse().ok(),
        };
        let (Some(first), Some(limit @ 1..=200)) = (number("cursor", 0), number("limit", 20))
        else {
            return self.error(StatusCode::BAD_REQUEST, "cursor or limit is not right");
        };
        let webhooks = site.webhooks.iter().skip(first).take(limit);
        let webhooks: Vec<Value> = webhooks.map(shown).collect();
        let next = first + webhooks.len();
        let cursors = json!({
            "previous": (first > 0).then(|| first.saturating_sub(limit).to_string()),
            "current": first.to_string(),
            "next": (next < site.webhooks.len()).then(|| next.to_string()),
        });
        let meta = json!({ "items_on_page": webhooks.len(), "cursors": cursors });
        Json(json!({ "status_code": 200, "status": "OK", "data": webhooks, "meta": meta }))
            .into_response()
    }
}

fn done(status: StatusCode, data: &Value) -> Response {
    let reason = status.canonical_reason();
    let body = json!({ "status_code": status.as_u16(), "status": reason, "data": data });
    (status, Json(body)).into_response()
}

/// Why the body of a request is not acceptable. A change may leave out what it does not change.
fn complaint(call: &Call) -> Option<String> {
    let required = match call.method {
        Method::POST => ["delivery_url", "status", "events", "unified_api"].as_slice(),
        Method::PATCH => &[],
        _ => return None,
    };
    let body = &call.body;
    let is_kept = |name: &str, value: &Value| match name {
        "delivery_url" => value.as_str().is_some_and(is_acceptable_endpoint),
        "status" => matches!(value.as_str(), Some("enabled" | "disabled")),
        "events" => value
            .as_array()
            .is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string)),
        "description" => value.is_string() || value.is_null(),
        "unified_api" => {
            call.method == Method::POST && value.as_str().is_some_and(|api| !api.is_empty())
        }
        _ => true,
    };
    let missing = required.iter().find(|name| body.get(**name).is_none());
    let mut members = body.as_object().into_iter().flatten();
    let broken = members.find(|(name, value)| !is_kept(name, value));
    let name = missing.copied().or(broken.map(|(name, _)| name.as_str()))?;
    Some(format!("{name} is not acceptable"))
}

/// Sets what a body gives.
fn change(webhook: &mut Webhook, body: &Value, reached: Option<bool>) {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    if let Some(url) = text("delivery_url") {
        webhook.endpoint = url.to_owned();
    }
    if let Some(events) = body.get("events") {
        webhook.events = texts(events);
    }
    if let Some(description) = body.get("description") {
        webhook.set_detail("description", description.clone());
    }
    webhook.set_detail("updated_at", clock::rfc3339(clock::now()));
    let (reason, status) = (reason(webhook), text("status"));
    let failed = "delivery_url_validation_failed";
    let (enabled, reason) = match (reached, status, reason) {
        (Some(false), _, _) => (false, failed),
        (_, Some("disabled"), _) => (false, "none"),
        (Some(true), _, reason) if reason == failed => (true, "none"),
        (_, Some(_), reason) if reason != failed && reason != "usage_limit" => (true, "none"),
        _ => return,
    };
    webhook.health.set_enabled(enabled);
    webhook.set_detail("disabled_reason", reason);
}

/// Why a webhook is disabled: the sender's reason, or what was set with it.
fn reason(webhook: &Webhook) -> &str {
    match webhook.standing() {
        standing if standing.enabled => "none",
        standing if standing.gave_up => "retry_limit",
        _ => webhook.detail("disabled_reason").unwrap_or("none"),
    }
}

fn shown(webhook: &Webhook) -> Value {
    let detail = |name: &str| webhook.details.get(name).cloned().unwrap_or_default();
    json!({
        "id": webhook.id,
        "description": detail("description"),
        "unified_api": detail("unified_api"),
        "status": if webhook.standing().enabled { "enabled" } else { "disabled" },
        "disabled_reason": reason(webhook),
        "delivery_url": webhook.endpoint,
        "execute_base_url": "https://unify.apideck.com/webhook/webhooks/execute",
        "events": webhook.events,
        "updated_at": detail("updated_at"),
        "created_at": detail("created_at"),
    })
}
