//! StackOne: events of many systems relayed to webhooks that a person makes on a dashboard. Here the control API is the
//! dashboard: it adds webhooks, and a second signing secret beside the first.
//!
//! | request | does |
//! |---|---|
//! | `POST /webhooks/{id}/events` `[{"event","record_id"}]` | sends test events; 207 |
//! | `GET /accounts` · `GET /requests/logs` | the linked account · the sendings |
//! | `POST /native/{account}` | what Orderspace sends to StackOne, which goes on to the webhooks |
//!
//! A site's client id is the account, its secret the API key. Retries are not published.
//!
//! <https://docs.stackone.com/guides/webhooks>

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{self, Api, Call};
use crate::control::{self, Deliver};
use crate::event::EventText;
use crate::faults::Door;
use crate::json::{Object, raw};
use crate::orderspace::events::EVENT_NAMES;
use crate::site::{Site, Webhook};
use crate::source::{self, Attempt, Dressed, Provider, Schedule};
use crate::switches::RetryPolicy;
use crate::world::World;

/// What StackOne does not publish.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Whether a connector's event is sent as a public client reads it, under `payload` and without the record's fields.
    current: bool,
    /// Whether ids that are digits are sent as numbers.
    number_ids: bool,
    padded: bool,
    /// Whether the older of two secrets signs.
    previous_secret: bool,
    /// Attempts per delivery; absent: 3.
    attempts: Option<u32>,
}

pub(crate) struct StackOne;

impl Provider for StackOne {
    fn routes(&self, _: &World) -> Router<World> {
        api::routes(&Self)
    }

    fn error(&self, status: StatusCode, text: &str) -> Response {
        let body = json!({ "statusCode": status.as_u16(), "message": text });
        (status, Json(body)).into_response()
    }

    fn event_names(&self) -> &'static [&'static str] {
        &EVENT_NAMES
    }

    fn check_settings(&self, settings: &Value) -> Result<(), serde_json::Error> {
        source::settings::<Settings>(settings).map(drop)
    }

    fn generations(&self) -> usize {
        2
    }

    /// Platform events are for all.
    fn wants(&self, webhook: &Webhook, event: &EventText) -> bool {
        event
            .name()
            .is_none_or(|name| !EVENT_NAMES.contains(&name) || webhook.subscribes_to(name))
    }

    fn dress(&self, attempt: &Attempt<'_>) -> Dressed {
        let settings: Settings = source::settings(attempt.settings).unwrap_or_default();
        let mut dressed = Dressed::new(attempt.payload.body.clone());
        if let Some(event) = attempt.payload.events.first()
            && let Some(mut event) = Object::parse(event.as_str())
            && (settings.current || settings.number_ids)
        {
            if settings.current
                && let Some(inner) = event.object("raw_event")
            {
                let kept = ["event", "account_id", "provider"];
                event.0.retain(|(name, _)| kept.contains(&name.as_str()));
                event.set("payload", inner.into_raw());
            }
            for (name, value) in &mut event.0 {
                let text = value.get().trim_matches('"');
                if settings.number_ids
                    && matches!(name.as_str(), "account_id" | "record_id")
                    && let Ok(number) = text.parse::<u64>()
                {
                    *value = raw(number);
                }
            }
            dressed.body = event.to_string().into_bytes();
        }
        let key = match attempt.keys {
            [_, previous] if settings.previous_secret => Some(previous),
            keys => keys.first(),
        };
        if let Some(key) = key {
            let engine = if settings.padded {
                URL_SAFE
            } else {
                URL_SAFE_NO_PAD
            };
            let signature = engine.encode(key.mac(&dressed.body));
            dressed.put("x-stackone-signature", &signature);
        }
        dressed
    }

    fn schedule(&self, policy: &RetryPolicy, settings: &Value) -> Schedule {
        let settings: Settings = source::settings(settings).unwrap_or_default();
        Schedule {
            attempts: settings.attempts.unwrap_or(3),
            disable_after: u32::MAX,
            ..Schedule::of(policy)
        }
    }
}

impl Api for StackOne {
    fn caller(&self, world: &World, call: &Call) -> (Door, Option<String>) {
        if let ["native", account] = call.parts().as_slice() {
            return (Door::Api, world.site_where(|id, _| id == *account));
        }
        let pair = call
            .authorization("basic")
            .and_then(|text| STANDARD.decode(text).ok());
        let is_key =
            |site: &Site| pair.as_deref() == Some(format!("{}:", site.client_secret).as_bytes());
        (Door::Api, world.site_where(|_, site| is_key(site)))
    }

    fn answer(&self, site: &mut Site, call: &Call) -> Response {
        match call.path.as_str() {
            "/requests/logs" => Json(json!({ "data": site.run_reports() })).into_response(),
            _ => self.error(StatusCode::NOT_FOUND, "there is no such path"),
        }
    }

    fn serve<'a>(
        &'a self,
        world: &'a World,
        site: &'a str,
        call: &'a Call,
    ) -> BoxFuture<'a, Option<Response>> {
        async move {
            let listed = call.body.as_array().cloned().unwrap_or_default();
            let frame = |event: &Value, rest: Value| {
                let mut framed =
                    json!({ "event": event, "account_id": site, "provider": "orderspace" });
                if let (Some(framed), Some(rest)) = (framed.as_object_mut(), rest.as_object()) {
                    framed.extend(rest.clone());
                }
                raw(framed)
            };
            let send = async |only, events| {
                let deliver = Deliver {
                    events,
                    ..Deliver::default()
                };
                control::send(world, site, only, deliver).await.is_ok()
            };
            let status = match (call.method.as_str(), call.parts().as_slice()) {
                ("POST", ["webhooks", id, "events"]) => {
                    let event = |one: &Value| {
                        frame(&one["event"], json!({ "record_id": one["record_id"] }))
                    };
                    let is_known = world.with_site(site, |site| site.shows(id))?
                        && call.header("x-account-id") == Some(site);
                    let sent =
                        is_known && send(Some(*id), listed.iter().map(event).collect()).await;
                    if sent {
                        StatusCode::MULTI_STATUS
                    } else {
                        StatusCode::NOT_FOUND
                    }
                }
                ("POST", ["native", _]) => {
                    let event = |one: &Value| frame(&one["event"], json!({ "raw_event": one }));
                    send(None, listed.iter().map(event).collect()).await;
                    StatusCode::OK
                }
                ("GET", ["accounts"]) => {
                    let account =
                        json!([{ "id": site, "provider": "orderspace", "status": "active" }]);
                    return Some(Json(account).into_response());
                }
                _ => return world.with_site(site, |site| self.answer(site, call)),
            };
            Some(self.error(status, status.as_str()))
        }
        .boxed()
    }
}
