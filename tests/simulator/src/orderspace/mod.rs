//! What is Orderspace's own: its bodies and errors, its OAuth endpoint, its webhook API, and how it packs and signs.

pub(crate) mod answers;
mod door;
pub(crate) mod events;
pub(crate) mod oauth;
mod pack;
pub(crate) mod signature;
mod webhooks;

use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Router, middleware};
use serde::Deserialize;
use serde_json::Value;

use crate::event::EventText;
use crate::payload::{PackError, Payload};
use crate::source::{self, Attempt, Dressed, Provider, Schedule};
use crate::switches::{RetryPolicy, Switches};
use crate::world::World;

pub(crate) struct Orderspace;

/// Orderspace has none.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

impl Provider for Orderspace {
    fn routes(&self, world: &World) -> Router<World> {
        let api = Router::new()
            .route("/v1/webhooks", get(webhooks::list).post(webhooks::create))
            .route(
                "/v1/webhooks/{id}",
                get(webhooks::retrieve)
                    .put(webhooks::update)
                    .delete(webhooks::delete),
            )
            .method_not_allowed_fallback(answers::no_such_page)
            .route_layer(middleware::from_fn_with_state(world.clone(), door::admit));
        Router::new()
            .merge(api)
            .route("/oauth/token", post(oauth::token))
            .fallback(door::lost)
            .method_not_allowed_fallback(door::lost)
    }

    fn error(&self, status: StatusCode, text: &str) -> Response {
        match status {
            StatusCode::UNPROCESSABLE_ENTITY => answers::message(status, text),
            other => answers::empty(other),
        }
    }

    fn requests_per_minute(&self) -> usize {
        60
    }

    fn event_names(&self) -> &'static [&'static str] {
        &events::EVENT_NAMES
    }

    fn check_settings(&self, settings: &Value) -> Result<(), serde_json::Error> {
        source::settings::<Settings>(settings).map(drop)
    }

    fn pack(&self, events: &[EventText], switches: &Switches) -> Result<Vec<Payload>, PackError> {
        pack::pack(events, switches)
    }

    fn dress(&self, attempt: &Attempt<'_>) -> Dressed {
        let mut dressed = Dressed::new(attempt.payload.body.clone());
        if let Some(key) = attempt.keys.first() {
            dressed.put(signature::SIGNATURE_HEADER, &key.sign(&dressed.body));
        }
        dressed
    }

    fn accepts(&self, status: u16) -> bool {
        status == 200
    }

    fn schedule(&self, policy: &RetryPolicy, _: &Value) -> Schedule {
        Schedule::of(policy)
    }
}
