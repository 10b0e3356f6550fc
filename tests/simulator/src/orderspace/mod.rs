//! What is Orderspace's own: its bodies and errors, its OAuth endpoint, its webhook API, and how it packs and signs.

pub(crate) mod answers;
pub(crate) mod events;
pub(crate) mod oauth;
mod pack;
pub(crate) mod signature;
mod webhooks;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{self, Api, Call};
use crate::event::EventText;
use crate::faults::Door;
use crate::payload::{PackError, Payload};
use crate::site::Site;
use crate::source::{self, Attempt, Dressed, Provider, Schedule};
use crate::switches::{RetryPolicy, Switches};
use crate::world::World;

pub(crate) struct Orderspace;

/// Orderspace has none.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

impl Provider for Orderspace {
    fn routes(&self) -> Router<World> {
        api::routes(&Self)
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

impl Api for Orderspace {
    fn caller(&self, world: &World, call: &Call) -> (Door, Option<String>) {
        if call.path == oauth::PATH {
            let id = call.text("/client_id");
            return (Door::Token, world.site_where(|known, _| Some(known) == id));
        }
        let token = call.authorization("bearer");
        (
            Door::Api,
            token.and_then(|token| world.site_of_token(token)),
        )
    }

    /// A path that does not exist needs no token.
    fn refusal(&self, _: &World, call: &Call) -> Response {
        match call.parts().as_slice() {
            ["oauth", "token"] => oauth::refusal(call),
            ["v1", "webhooks", ..] => answers::unauthorized(answers::TokenRefusal::Invalid),
            _ => answers::no_such_page(),
        }
    }

    fn answer(&self, site: &mut Site, call: &Call) -> Response {
        let token = call.authorization("bearer").unwrap_or_default();
        match (&call.method, call.parts().as_slice()) {
            (&Method::POST, ["oauth", "token"]) => oauth::token(site, call),
            (method, ["v1", "webhooks", rest @ ..]) => match site.honours_token(token) {
                true => webhooks::answer(site, method, rest, call),
                false => answers::unauthorized(answers::TokenRefusal::Expired),
            },
            _ => answers::no_such_page(),
        }
    }
}
