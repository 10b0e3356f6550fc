//! StackOne: events of many systems relayed to webhooks that a person makes on a dashboard. Here the control API is the
//! dashboard: it adds webhooks, and a second signing secret beside the first. Nothing that is tested calls its API, so
//! every path is a 404. Retries are not published.
//!
//! <https://docs.stackone.com/guides/webhooks>

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::orderspace::events::EVENT_NAMES;
use crate::source::{self, Attempt, Dressed, Provider, Schedule};
use crate::switches::RetryPolicy;
use crate::world::World;

/// What StackOne does not publish.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Attempts per delivery; absent: 3.
    attempts: Option<u32>,
}

pub(crate) struct StackOne;

impl Provider for StackOne {
    fn routes(&self) -> Router<World> {
        Router::new().fallback(async || StackOne.error(StatusCode::NOT_FOUND, "no such path"))
    }

    fn error(&self, status: StatusCode, text: &str) -> Response {
        let body = json!({ "statusCode": status.as_u16(), "message": text });
        (status, Json(body)).into_response()
    }

    /// Platform events are not among them, so they are for all.
    fn event_names(&self) -> &'static [&'static str] {
        &EVENT_NAMES
    }

    fn check_settings(&self, settings: &Value) -> Result<(), serde_json::Error> {
        source::settings::<Settings>(settings).map(drop)
    }

    fn generations(&self) -> usize {
        2
    }

    fn dress(&self, attempt: &Attempt<'_>) -> Dressed {
        let mut dressed = Dressed::new(attempt.payload.body.clone());
        if let Some(key) = attempt.keys.first() {
            let signature = URL_SAFE_NO_PAD.encode(key.mac(&dressed.body));
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
