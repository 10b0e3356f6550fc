//! OneStock: credentials in the JSON body of every call, one flat message a delivery, a queue for each webhook that an
//! unacknowledged message holds up, and a signature whose form is not published: here it covers the time, a dot and the body.
//!
//! | request (all also under `/v2`) | answer |
//! |---|---|
//! | `POST /login` `{"site_id","user_id","password"}` | `{"token"}`, for 24 hours |
//! | `POST /webhooks` `{"site_id","token","webhook":{..}}` | 201; where the id stands is a setting |
//! | `PATCH /webhooks/{id}/status` | 200; a pause keeps the messages, enabling lets them go |
//! | `GET /webhooks` · `DELETE /webhooks/{id}` | not documented: 404, or as set |
//!
//! A site's client id is the `site_id`, its secret the password of any user. An event is given as
//! `{"event":TOPIC,"data":MESSAGE}`; the message alone is sent, since the body does not name its topic.
//!
//! <https://onestock.atlassian.net/wiki/spaces/DOCUMENTAT/pages/620429319/>

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{self, Api, Call};
use crate::clock;
use crate::event::EventText;
use crate::faults::Door;
use crate::json::{Object, texts};
use crate::key::{SigningKey, hex};
use crate::site::{Site, Webhook, is_acceptable_endpoint};
use crate::source::{self, Attempt, Dressed, Provider, Schedule};
use crate::switches::RetryPolicy;
use crate::world::World;

const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// `retry_intervals`, in seconds.
const WAITS: [u32; 6] = [30, 60, 120, 240, 480, 840];

/// Where the answer to a creation has the webhook's id.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum IdIn {
    #[default]
    Top,
    Webhook,
    Location,
    Nowhere,
}

/// What OneStock does not publish.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// No signature header.
    unsigned: bool,
    id_in: IdIn,
    /// What listing and deleting answer in place of doing so; 200: they work. Absent: 404.
    list: Option<u16>,
    delete: Option<u16>,
}

pub(crate) struct Onestock;

impl Provider for Onestock {
    fn routes(&self) -> Router<World> {
        api::routes(&Self)
    }

    fn error(&self, status: StatusCode, text: &str) -> Response {
        (status, Json(json!({ "error": text }))).into_response()
    }

    fn event_names(&self) -> &'static [&'static str] {
        &["order_state_changed", "parcel_state_changed"]
    }

    fn check_settings(&self, settings: &Value) -> Result<(), serde_json::Error> {
        source::settings::<Settings>(settings).map(drop)
    }

    fn generations(&self) -> usize {
        3
    }

    /// Topics may be a site's own, so only what is selected is sent.
    fn wants(&self, webhook: &Webhook, event: &EventText) -> bool {
        event.name().is_some_and(|name| webhook.subscribes_to(name))
    }

    fn dress(&self, attempt: &Attempt<'_>) -> Dressed {
        let settings: Settings = source::settings(attempt.settings).unwrap_or_default();
        let mut dressed = Dressed::new(attempt.payload.body.clone());
        if let Some(event) = attempt.payload.events.first() {
            dressed.body = message(event).into_bytes();
        }
        if settings.unsigned || attempt.keys.is_empty() {
            return dressed;
        }
        let time = clock::now().as_secs().to_string();
        let signed = [time.as_bytes(), b".", &dressed.body].concat();
        let mut parts = vec![format!("t={time}")];
        for (generation, key) in attempt.keys.iter().enumerate() {
            parts.push(format!("h{generation}={}", hex(&key.mac(&signed))));
        }
        dressed.put("onestock-signature", &parts.join(","));
        dressed
    }

    fn accepts(&self, status: u16) -> bool {
        matches!(status, 200 | 202)
    }

    fn schedule(&self, _: &RetryPolicy, _: &Value) -> Schedule {
        Schedule {
            attempts: 1 + 6,
            disable_after: u32::MAX,
            waits: &WAITS,
            disables: true,
            in_order: true,
        }
    }
}

/// The message of an event, as it is sent.
fn message(event: &EventText) -> String {
    let frame = Object::parse(event.as_str());
    let message = frame.and_then(|frame| frame.object("data"));
    message.map_or_else(|| event.as_str().to_owned(), |message| message.to_string())
}

impl Api for Onestock {
    fn caller(&self, world: &World, call: &Call) -> (Door, Option<String>) {
        let id = call.text("/site_id");
        let token = call.text("/token").unwrap_or_default();
        if call.path == "/v2/login" || call.path == "/login" {
            return (Door::Token, world.site_where(|known, _| Some(known) == id));
        }
        let is_caller = |known: &str, site: &Site| Some(known) == id && site.honours_token(token);
        (Door::Api, world.site_where(is_caller))
    }

    fn answer(&self, site: &mut Site, call: &Call) -> Response {
        let settings: Settings = site.own();
        let parts = call.parts();
        let path = parts.strip_prefix(&["v2"]).unwrap_or(&parts);
        let unsupported = |status: Option<u16>| {
            let status = StatusCode::from_u16(status.unwrap_or(404)).ok();
            let status = status.filter(|status| *status != StatusCode::OK);
            status.map(|status| self.error(status, "there is no such path"))
        };
        match (call.method.as_str(), path) {
            ("POST", ["login"]) => self.login(site, call),
            ("POST", ["webhooks"]) => self.create(site, call, settings.id_in),
            ("PATCH", ["webhooks", id, "status"]) => {
                let Some(webhook) = site.webhook_mut(id) else {
                    return self.error(StatusCode::NOT_FOUND, "there is no such webhook");
                };
                match call.text("/status") {
                    Some("enabled") => webhook.health.set_enabled(true),
                    Some("paused") => webhook.health.hold(),
                    Some("disabled") => webhook.health.set_enabled(false),
                    _ => return self.error(StatusCode::UNPROCESSABLE_ENTITY, "status"),
                }
                Json(shown(webhook)).into_response()
            }
            ("GET", ["webhooks"]) => unsupported(settings.list).unwrap_or_else(|| {
                let all: Vec<Value> = site.webhooks.iter().map(shown).collect();
                Json(json!({ "webhooks": all })).into_response()
            }),
            ("DELETE", ["webhooks", id]) => unsupported(settings.delete).unwrap_or_else(|| {
                if let Some(webhook) = site.webhook_mut(id) {
                    webhook.health.set_enabled(false);
                    site.remove_webhook(id);
                    StatusCode::NO_CONTENT.into_response()
                } else {
                    self.error(StatusCode::NOT_FOUND, "there is no such webhook")
                }
            }),
            _ => self.error(StatusCode::NOT_FOUND, "there is no such path"),
        }
    }
}

impl Onestock {
    fn login(&self, site: &mut Site, call: &Call) -> Response {
        let has_user = call.text("/user_id").is_some_and(|user| !user.is_empty());
        if !has_user || call.text("/password") != Some(&site.client_secret) {
            return self.error(StatusCode::UNAUTHORIZED, "user or password is not right");
        }
        Json(json!({ "token": site.issue_token(TOKEN_LIFETIME) })).into_response()
    }

    fn create(&self, site: &mut Site, call: &Call, id_in: IdIn) -> Response {
        let asked = call.body.get("webhook").unwrap_or(&Value::Null);
        let (status, key) = (&asked["status"], &asked["hash_key"]);
        let topics = texts(&asked["topics"]);
        let url = asked["url"].as_str().unwrap_or_default();
        let listed = asked["topics"].as_array().map_or(0, Vec::len);
        let broken = [
            ("url", !is_acceptable_endpoint(url)),
            ("topics", topics.is_empty() || topics.len() != listed),
            ("http_method", asked["http_method"] != "POST"),
            ("status", status != "enabled" && status != "paused"),
            ("hash_key", !key.is_string() && !key.is_null()),
        ];
        if let Some((name, _)) = broken.iter().find(|(_, is_broken)| *is_broken) {
            return self.error(StatusCode::UNPROCESSABLE_ENTITY, name);
        }
        let mut webhook = Webhook::generate(url.to_owned(), topics, SigningKey::new(""));
        webhook.keys = key.as_str().map(SigningKey::new).into_iter().collect();
        if status == "paused" {
            webhook.health.hold();
        }
        let id = webhook.id.clone();
        site.webhooks.push(webhook);
        let created = StatusCode::CREATED;
        match id_in {
            IdIn::Top => (created, Json(json!({ "id": id }))).into_response(),
            IdIn::Webhook => (created, Json(json!({ "webhook": { "id": id } }))).into_response(),
            IdIn::Location => {
                (created, [(header::LOCATION, format!("/webhooks/{id}"))]).into_response()
            }
            IdIn::Nowhere => created.into_response(),
        }
    }
}

/// A webhook in a list. A pause of its own is one whose last attempt failed.
fn shown(webhook: &Webhook) -> Value {
    let status = match webhook.standing() {
        standing if !standing.enabled => "disabled",
        standing if standing.held || standing.consecutive_failures > 0 => "paused",
        _ => "enabled",
    };
    json!({ "id": webhook.id, "url": webhook.endpoint, "topics": webhook.events, "http_method": "POST", "status": status })
}
