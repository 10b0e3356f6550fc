//! `/v1/webhooks`: create, list, retrieve, update, delete, with the documented bodies.
//!
//! Not published, and decided here: an update may leave out a field, which then stays; an update keeps the signing
//! key and does not enable a disabled webhook; a webhook has no status in any answer.
//!
//! <https://apidocs.orderspace.com/#webhooks>

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::key::SigningKey;
use crate::orderspace::answers;
use crate::orderspace::door::ClientId;
use crate::orderspace::events::EVENT_NAMES;
use crate::site::{Site, Webhook, is_acceptable_endpoint};
use crate::world::World;

#[derive(Deserialize)]
struct Wrapped {
    webhook: Fields,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default, deserialize_with = "given")]
    endpoint: Option<String>,
    #[serde(default, deserialize_with = "given")]
    events: Option<Vec<String>>,
}

/// `null` is a blank value, not an absent one.
fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Some(
        Option::<T>::deserialize(deserializer)?.unwrap_or_default(),
    ))
}

/// Rails reads a body as JSON only if it is declared so; what it cannot read, or lacks the `webhook` key, is a 400.
fn read(headers: &HeaderMap, body: &[u8]) -> Option<Fields> {
    headers
        .get(header::CONTENT_TYPE)?
        .to_str()
        .ok()
        .filter(|value| value.starts_with("application/json"))?;
    let wrapped: Wrapped = serde_json::from_slice(body).ok()?;
    Some(wrapped.webhook)
}

/// Why an endpoint and events are not acceptable, in the provider's words.
fn complaints(endpoint: &str, events: &[String]) -> Option<String> {
    let mut found = Vec::new();
    if endpoint.trim().is_empty() {
        found.push("Endpoint can't be blank");
    }
    if !is_acceptable_endpoint(endpoint) {
        found.push("Endpoint must be a https url");
    }
    if events.is_empty() {
        found.push("Events can't be blank");
    } else if !events
        .iter()
        .all(|event| EVENT_NAMES.contains(&event.as_str()))
    {
        found.push("Events are invalid");
    }
    (!found.is_empty()).then(|| format!("Validation failed: {}", found.join(", ")))
}

fn shown(webhook: &Webhook) -> Value {
    json!({
        "id": webhook.id,
        "endpoint": webhook.endpoint,
        "events": webhook.events,
        "signing_key": webhook.keys.first().map(SigningKey::reveal),
    })
}

fn not_found(id: &str) -> Response {
    answers::message(
        StatusCode::NOT_FOUND,
        &format!("Couldn't find webhook with id {id}"),
    )
}

/// A site that was removed during the request answers as one that never was.
fn at(world: &World, client_id: &ClientId, work: impl FnOnce(&mut Site) -> Response) -> Response {
    world
        .with_site(&client_id.0, work)
        .unwrap_or_else(|| answers::unauthorized(answers::TokenRefusal::Invalid))
}

pub(crate) async fn create(
    State(world): State<World>,
    Extension(client_id): Extension<ClientId>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(fields) = read(&headers, &body) else {
        return answers::empty(StatusCode::BAD_REQUEST);
    };
    let endpoint = fields.endpoint.unwrap_or_default();
    let events = fields.events.unwrap_or_default();
    if let Some(complaint) = complaints(&endpoint, &events) {
        return answers::message(StatusCode::UNPROCESSABLE_ENTITY, &complaint);
    }
    let webhook = SigningKey::generate().and_then(|key| Webhook::generate(endpoint, events, key));
    let Ok(webhook) = webhook else {
        return answers::empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    at(&world, &client_id, |site| {
        let answer = Json(json!({ "webhook": shown(&webhook) })).into_response();
        site.webhooks.push(webhook);
        answer
    })
}

pub(crate) async fn list(
    State(world): State<World>,
    Extension(client_id): Extension<ClientId>,
) -> Response {
    at(&world, &client_id, |site| {
        let webhooks: Vec<Value> = site.visible_webhooks().map(shown).collect();
        Json(json!({ "webhooks": webhooks })).into_response()
    })
}

pub(crate) async fn retrieve(
    State(world): State<World>,
    Extension(client_id): Extension<ClientId>,
    Path(id): Path<String>,
) -> Response {
    at(&world, &client_id, |site| {
        site.visible_webhooks()
            .find(|webhook| webhook.id == id)
            .map_or_else(
                || not_found(&id),
                |webhook| Json(json!({ "webhook": shown(webhook) })).into_response(),
            )
    })
}

pub(crate) async fn update(
    State(world): State<World>,
    Extension(client_id): Extension<ClientId>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(fields) = read(&headers, &body) else {
        return answers::empty(StatusCode::BAD_REQUEST);
    };
    at(&world, &client_id, |site| {
        let is_shown = site.shows(&id);
        let Some(webhook) = site.webhook_mut(&id).filter(|_| is_shown) else {
            return not_found(&id);
        };
        let endpoint = fields.endpoint.unwrap_or_else(|| webhook.endpoint.clone());
        let events = fields.events.unwrap_or_else(|| webhook.events.clone());
        if let Some(complaint) = complaints(&endpoint, &events) {
            return answers::message(StatusCode::UNPROCESSABLE_ENTITY, &complaint);
        }
        webhook.endpoint = endpoint;
        webhook.events = events;
        Json(json!({ "webhook": shown(webhook) })).into_response()
    })
}

pub(crate) async fn delete(
    State(world): State<World>,
    Extension(client_id): Extension<ClientId>,
    Path(id): Path<String>,
) -> Response {
    at(&world, &client_id, |site| {
        if site.shows(&id) && site.remove_webhook(&id) {
            Json(json!({ "webhook": { "id": id, "deleted": true } })).into_response()
        } else {
            not_found(&id)
        }
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::https("https://example.com/hooks/x", None)]
    #[case::loopback_http("http://127.0.0.1:8080/hooks", None)]
    #[case::localhost_http("http://localhost/hooks", None)]
    #[case::blank(
        "",
        Some("Validation failed: Endpoint can't be blank, Endpoint must be a https url")
    )]
    #[case::other_http(
        "http://example.com/",
        Some("Validation failed: Endpoint must be a https url")
    )]
    #[case::looks_like_loopback(
        "http://127.0.0.1.example.com/",
        Some("Validation failed: Endpoint must be a https url")
    )]
    #[case::no_url("hooks", Some("Validation failed: Endpoint must be a https url"))]
    fn endpoints(#[case] endpoint: &str, #[case] expected: Option<&str>) {
        let events = ["order.created".to_owned()];
        assert_eq!(complaints(endpoint, &events).as_deref(), expected);
    }

    #[rstest]
    #[case::none(&[], Some("Validation failed: Events can't be blank"))]
    #[case::unknown(&["order.created", "invoice.updated"], Some("Validation failed: Events are invalid"))]
    #[case::star(&["*"], Some("Validation failed: Events are invalid"))]
    #[case::all(&EVENT_NAMES, None)]
    fn selections(#[case] selection: &[&str], #[case] expected: Option<&str>) {
        let events: Vec<String> = selection.iter().map(|event| (*event).to_owned()).collect();
        assert_eq!(
            complaints("https://example.com", &events).as_deref(),
            expected
        );
    }
}
