//! What is common to the clients of the sources' APIs: ids in paths, what must not be repeated of an error, and answers whose
//! forms are not published.
//!
//! Ordermentum and OneStock document their requests and hardly an answer: what is meant is looked for in every place where it
//! may stand. What one status means to one call of one source is in its client.
//!
//! | answer | becomes |
//! |---|---|
//! | 401 that is no page | [`ApiError::AccessRefused`] |
//! | 403 that is no page | [`ApiError::PermissionMissing`] |
//! | 404 or 410 that is no page | [`ApiError::NoSuchWebhook`] |
//! | 400, 409 or 422 that is no page | [`ApiError::Invalid`], in the source's words if there are any |
//! | 429 | [`ApiError::TooManyRequests`] |
//! | 5xx | [`ApiError::Down`] |
//! | a page, a redirect, anything else | [`ApiError::BadAnswer`] |

use domain::account::WebhookId;
use domain::subscription::{ApiError, Credentials, Endpoint, RegisteredWebhook};
use reqwest::StatusCode;
use serde_json::{Map, Value};

use crate::http::{Answer, bad_answer};

/// What stands in the place of a secret that has no better name.
pub(crate) const SECRET: &str = "[a secret]";
/// The longest message of a source's that is passed on, in characters.
pub(crate) const LONGEST_MESSAGE: usize = 500;

/// What an answer that is no success says.
pub(crate) fn failure(answer: &Answer) -> ApiError {
    let status = answer.status;
    match status {
        StatusCode::TOO_MANY_REQUESTS => ApiError::TooManyRequests {
            pause: answer.pause,
        },
        _ if status.is_server_error() => ApiError::Down(status.as_u16()),
        _ if answer.is_page() => answer.bad_answer("a page that is none of the API's"),
        StatusCode::UNAUTHORIZED => ApiError::AccessRefused,
        StatusCode::FORBIDDEN => ApiError::PermissionMissing,
        StatusCode::NOT_FOUND | StatusCode::GONE => ApiError::NoSuchWebhook,
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
            ApiError::Invalid(message(answer))
        }
        _ => answer.bad_answer("nothing that can be understood"),
    }
}

/// The same for an answer to a login: a 401 or 403 is about the credentials there. A page is a proxy's, and must not make
/// anybody give an account up.
pub(crate) fn login_failure(answer: &Answer) -> ApiError {
    match failure(answer) {
        ApiError::AccessRefused | ApiError::PermissionMissing => ApiError::CredentialsRefused,
        ApiError::NoSuchWebhook => answer.bad_answer("nothing that can be understood"),
        other => other,
    }
}

/// What a success says: null where it is empty.
///
/// # Errors
/// It is no success, or its body is neither empty nor JSON.
pub(crate) fn success(answer: &Answer) -> Result<Value, ApiError> {
    if !answer.status.is_success() {
        return Err(failure(answer));
    }
    if answer.is_empty() {
        return Ok(Value::Null);
    }
    let unreadable = || answer.bad_answer("a body that cannot be read");
    answer.json().ok_or_else(unreadable)
}

/// Why something was refused, in the source's words.
fn message(answer: &Answer) -> String {
    let body: Option<Value> = answer.json();
    let body = body.unwrap_or_default();
    let at = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let said = ["/message", "/error/message", "/error", "/error_description"];
    let said = said.into_iter().find_map(at).map(str::to_owned);
    said.unwrap_or_else(|| format!("status {} without a reason", answer.status.as_u16()))
}

/// Takes out of the source's words what is secret and was sent, should it be repeated there, and cuts them afterwards: half
/// of a secret would not be found. Each secret has what stands in its place.
pub(crate) fn without<'a>(
    error: ApiError,
    endpoint: Option<&Endpoint>,
    secrets: impl IntoIterator<Item = (&'a str, &'static str)>,
) -> ApiError {
    let ApiError::Invalid(mut said) = error else {
        return error;
    };
    if let Some(endpoint) = endpoint {
        said = said.replace(endpoint.expose(), "[the endpoint]");
        if let Some(token) = endpoint.token() {
            said = said.replace(token.expose(), "[the token]");
        }
    }
    let secrets = secrets.into_iter().filter(|(secret, _)| !secret.is_empty());
    for (secret, name) in secrets {
        said = said.replace(secret, name);
    }
    ApiError::Invalid(said.chars().take(LONGEST_MESSAGE).collect())
}

/// A credential, empty where there is none.
pub(crate) fn credential<'a>(credentials: &'a Credentials, name: &str) -> &'a str {
    credentials.get(name).unwrap_or_default()
}

/// The webhooks with their times of creation, the newest first. In what order a list is says nobody, and where two times are
/// equal or missing it is taken for the order of creation. RFC 3339 in UTC sorts as text.
pub(crate) fn newest_first(
    mut webhooks: Vec<(Option<String>, RegisteredWebhook)>,
) -> Vec<RegisteredWebhook> {
    webhooks.reverse();
    webhooks.sort_by(|(one, _), (other, _)| other.cmp(one));
    webhooks.into_iter().map(|(_, webhook)| webhook).collect()
}

/// The entries of a list: the answer itself, or under one of these names. A success without a body, or null, is an empty
/// list. `None` where there is no list: taken for an empty one, it would have everything registered again.
pub(crate) fn entries(answer: Value, names: &[&str]) -> Option<Vec<Value>> {
    match answer {
        Value::Null => Some(Vec::new()),
        Value::Array(entries) => Some(entries),
        Value::Object(mut members) => {
            let listed = names.iter().find_map(|name| members.remove(*name));
            match listed? {
                Value::Null => Some(Vec::new()),
                Value::Array(entries) => Some(entries),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A webhook in an answer: the object itself where it has an id, else the one under one of these names.
pub(crate) fn webhook<'a>(answer: &'a Value, names: &[&str]) -> Option<&'a Map<String, Value>> {
    let whole = answer.as_object()?;
    if id(whole).is_some() {
        return Some(whole);
    }
    let inner = names.iter().find_map(|name| whole.get(*name)?.as_object());
    Some(inner.unwrap_or(whole))
}

/// A webhook's id: a text or a whole number.
pub(crate) fn id(webhook: &Map<String, Value>) -> Option<WebhookId> {
    ["id", "_id"]
        .iter()
        .find_map(|name| match webhook.get(*name)? {
            Value::String(id) if !id.is_empty() => Some(WebhookId::new(id.as_str())),
            Value::Number(id) if id.is_u64() => Some(WebhookId::new(id.to_string())),
            _ => None,
        })
}

/// A member that is a text and not empty.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = object.get(name)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

/// The texts of a member that is a list; `None` where it is none.
pub(crate) fn texts(object: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    let list = object.get(name)?.as_array()?;
    let texts = list.iter().filter_map(Value::as_str);
    Some(texts.map(str::to_owned).collect())
}

/// A webhook's id as a path segment. Ids are the source's text; one that is no plain word must not reach another path.
pub(crate) fn segment(webhook: &WebhookId, call: &'static str) -> Result<String, ApiError> {
    let id = webhook.as_str();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match !id.is_empty() && id.bytes().all(is_plain) {
        true => Ok(format!("/{id}")),
        false => Err(bad_answer(
            call,
            "a webhook id that is no plain word".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::UrlToken;
    use domain::source::Source;
    use domain::subscription::HooksUrl;
    use rstest::rstest;
    use serde_json::json;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            call: "GET /webhooks",
            status: StatusCode::from_u16(status).unwrap(),
            pause: Some(7),
            challenge: None,
            location: None,
            body: body.into(),
        }
    }

    #[rstest]
    #[case::unauthorized(401, "", "the access token is refused")]
    #[case::unauthorized_by_a_page(401, " <html>", "status 401 and a page")]
    #[case::forbidden(403, "{}", "lacks the permission")]
    #[case::forbidden_by_a_page(403, "<html>", "status 403 and a page")]
    #[case::missing(404, "", "no such webhook")]
    #[case::gone(410, "{}", "no such webhook")]
    #[case::missing_page(404, "<!DOCTYPE html>", "status 404 and a page")]
    #[case::message(400, r#"{"message":"no url"}"#, "not accepted: no url")]
    #[case::error(422, r#"{"error":"no url"}"#, "not accepted: no url")]
    #[case::error_object(409, r#"{"error":{"message":"no url"}}"#, "not accepted: no url")]
    #[case::no_reason(422, "", "not accepted: status 422 without a reason")]
    #[case::reason_of_another_type(
        422,
        r#"{"message":7}"#,
        "not accepted: status 422 without a reason"
    )]
    #[case::throttled(429, "<html>", "too many requests")]
    #[case::down(502, "<html>", "status 502")]
    #[case::redirect(302, "", "status 302 and nothing")]
    #[case::teapot(418, "{}", "status 418 and nothing")]
    fn answers_that_are_no_success(#[case] status: u16, #[case] body: &str, #[case] said: &str) {
        let error = success(&answer(status, body)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }

    #[rstest]
    #[case(401, "{}", true)]
    #[case(401, "", true)]
    #[case(403, "{}", true)]
    #[case::a_proxy_s(401, "<html>", false)]
    #[case::a_wrong_path(404, "{}", false)]
    #[case::too_many(429, "", false)]
    #[case::down(503, "{}", false)]
    fn only_a_refused_login_is_about_the_credentials(
        #[case] status: u16,
        #[case] body: &str,
        #[case] is_refused: bool,
    ) {
        let error = login_failure(&answer(status, body));
        assert_eq!(error == ApiError::CredentialsRefused, is_refused, "{error}");
        assert_ne!(error, ApiError::NoSuchWebhook, "no webhook was asked for");
    }

    #[rstest]
    #[case::nothing("", Some(json!(null)))]
    #[case::space(" \n", Some(json!(null)))]
    #[case::object("{}", Some(json!({})))]
    #[case::page("<html>", None)]
    #[case::cut(r#"{"id":"#, None)]
    fn a_success_is_json_or_empty(#[case] body: &str, #[case] expected: Option<Value>) {
        assert_eq!(success(&answer(204, body)).ok(), expected);
    }

    #[rstest]
    #[case::whole(json!([1]), Some(1))]
    #[case::named(json!({"webhooks":[1, 2]}), Some(2))]
    #[case::other_name(json!({"data":[1]}), Some(1))]
    #[case::null(json!({"data":null}), Some(0))]
    #[case::nothing(json!(null), Some(0))]
    #[case::an_object(json!({"data":{}}), None)]
    #[case::a_text(json!({"data":"[]"}), None)]
    #[case::another_name(json!({"items":[1]}), None)]
    #[case::no_object(json!(7), None)]
    fn what_is_no_list_is_none(#[case] body: Value, #[case] expected: Option<usize>) {
        let listed = entries(body, &["data", "webhooks"]);
        assert_eq!(listed.map(|entries| entries.len()), expected);
    }

    #[rstest]
    #[case::top(json!({"id":"a"}), Some("a"))]
    #[case::number(json!({"id":17}), Some("17"))]
    #[case::other_name(json!({"_id":"a"}), Some("a"))]
    #[case::below(json!({"data":{"id":"a"}}), Some("a"))]
    #[case::null_above(json!({"id":null,"data":{"id":"a"}}), Some("a"))]
    #[case::empty(json!({"id":""}), None)]
    #[case::negative(json!({"id":-1}), None)]
    #[case::object(json!({"id":{}}), None)]
    #[case::nothing(json!({}), None)]
    #[case::list(json!([{"id":"a"}]), None)]
    fn an_id_is_found_where_it_stands(#[case] body: Value, #[case] expected: Option<&str>) {
        let found = webhook(&body, &["data"]).and_then(id);
        assert_eq!(found.as_ref().map(WebhookId::as_str), expected);
    }

    #[rstest]
    #[case("")]
    #[case("a/../b")]
    #[case("a?b=c")]
    #[case("a b")]
    fn an_id_that_is_no_word_is_no_path(#[case] id: &str) {
        assert!(segment(&WebhookId::new(id), "DELETE").is_err());
        assert_eq!(
            segment(&WebhookId::new("a-1_B"), "DELETE").unwrap(),
            "/a-1_B"
        );
    }

    #[test]
    fn what_was_sent_and_is_secret_is_taken_out_before_the_cut() {
        let hooks: HooksUrl = "https://example.com/hooks".parse().unwrap();
        let token = UrlToken::from_random(&[7; 32]);
        let endpoint = hooks.endpoint(Source::OneStock, &token);
        let said = format!(
            "{}{} and {} and s3cret",
            "x".repeat(400),
            endpoint.expose(),
            token.expose()
        );
        let secrets = [("", "[nothing]"), ("s3cret", SECRET)];
        let error = without(ApiError::Invalid(said), Some(&endpoint), secrets).to_string();
        assert!(error.ends_with("[the endpoint] and [the token] and [a secret]"));
        let astride = format!("{}{}", "x".repeat(LONGEST_MESSAGE - 20), endpoint.expose());
        let error = without(ApiError::Invalid(astride), Some(&endpoint), []).to_string();
        assert!(!error.contains("hooks/onestock"), "{error}");
        let other = without(ApiError::TimeOut, Some(&endpoint), secrets);
        assert_eq!(other, ApiError::TimeOut);
    }
}
