//! `/v1/webhooks`: create, list, retrieve, update, delete, with the documented bodies.
//!
//! Not published, and decided here: an update may leave out a field, which then stays; an update keeps the signing
//! key and does not enable a disabled webhook; a webhook has no status in any answer.
//!
//! <https://apidocs.orderspace.com/#webhooks>

use axum::Json;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::api::Call;
use crate::key::SigningKey;
use crate::orderspace::answers;
use crate::orderspace::events::EVENT_NAMES;
use crate::site::{Site, Webhook, is_acceptable_endpoint};

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
fn read(call: &Call) -> Option<Fields> {
    let content_type = call.header(header::CONTENT_TYPE.as_str())?;
    let webhook = call.body.get("webhook")?;
    let fields = Fields::deserialize(webhook).ok()?;
    content_type
        .starts_with("application/json")
        .then_some(fields)
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

/// The answer to a request, with what follows `/v1/webhooks` in its path.
pub(crate) fn answer(site: &mut Site, method: &Method, rest: &[&str], call: &Call) -> Response {
    let wrapped = |webhook: &Webhook| Json(json!({ "webhook": shown(webhook) })).into_response();
    match (method, rest) {
        (&Method::GET, []) => {
            let webhooks: Vec<Value> = site.visible_webhooks().map(shown).collect();
            Json(json!({ "webhooks": webhooks })).into_response()
        }
        (&Method::POST, []) => create(site, call),
        (&Method::GET, [id]) => {
            let mut visible = site.visible_webhooks();
            let found = visible.find(|webhook| webhook.id == *id);
            found.map_or_else(|| not_found(id), wrapped)
        }
        (&Method::PUT, [id]) => update(site, id, call),
        (&Method::DELETE, [id]) => match site.shows(id) && site.remove_webhook(id) {
            true => Json(json!({ "webhook": { "id": id, "deleted": true } })).into_response(),
            false => not_found(id),
        },
        _ => answers::no_such_page(),
    }
}

fn create(site: &mut Site, call: &Call) -> Response {
    let Some(fields) = read(call) else {
        return answers::empty(StatusCode::BAD_REQUEST);
    };
    let endpoint = fields.endpoint.unwrap_or_default();
    let events = fields.events.unwrap_or_default();
    if let Some(complaint) = complaints(&endpoint, &events) {
        return answers::message(StatusCode::UNPROCESSABLE_ENTITY, &complaint);
    }
    let webhook = Webhook::generate(endpoint, events, SigningKey::generate());
    let answer = Json(json!({ "webhook": shown(&webhook) })).into_response();
    site.webhooks.push(webhook);
    answer
}

fn update(site: &mut Site, id: &str, call: &Call) -> Response {
    let Some(fields) = read(call) else {
        return answers::empty(StatusCode::BAD_REQUEST);
    };
    let is_shown = site.shows(id);
    let Some(webhook) = site.webhook_mut(id).filter(|_| is_shown) else {
        return not_found(id);
    };
    let endpoint = fields.endpoint.unwrap_or_else(|| webhook.endpoint.clone());
    let events = fields.events.unwrap_or_else(|| webhook.events.clone());
    if let Some(complaint) = complaints(&endpoint, &events) {
        return answers::message(StatusCode::UNPROCESSABLE_ENTITY, &complaint);
    }
    webhook.endpoint = endpoint;
    webhook.events = events;
    Json(json!({ "webhook": shown(webhook) })).into_response()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::https("https://example.com/hooks/x", None)]
    #[case::loopback_http("http://127.0.0.1:8080/hooks", None)]
    #[case::localhost_http("http://localhost/hooks", None)]
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
