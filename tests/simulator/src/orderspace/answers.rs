//! The forms of Orderspace's answers: JSON where it works, and the bodies that a Rails server gives where it does not
//! (empty `text/html` for 400 and 401, an HTML page for an unknown path).
//!
//! <https://apidocs.orderspace.com/#errors>

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use serde_json::json;

/// Why an access token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenRefusal {
    Expired,
    Invalid,
}

/// An empty body of type `text/html`.
pub(crate) fn empty(status: StatusCode) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html")]).into_response()
}

/// 401: the reason is in the header alone.
pub(crate) fn unauthorized(refusal: TokenRefusal) -> Response {
    let reason = HeaderValue::from_static(match refusal {
        TokenRefusal::Expired => {
            "Bearer realm=\"Orderspace\", error=\"invalid_token\", error_description=\"The access token expired\""
        }
        TokenRefusal::Invalid => {
            "Bearer realm=\"Orderspace\", error=\"invalid_token\", error_description=\"The access token is invalid\""
        }
    });
    let mut answer = empty(StatusCode::UNAUTHORIZED);
    answer
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, reason);
    answer
}

/// `{"message": ..}`
pub(crate) fn message(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "message": text }))).into_response()
}

/// 404 for a path that the API does not have.
pub(crate) fn no_such_page() -> Response {
    let page = "<!DOCTYPE html>\n<html>\n<head>\n  <title>The page you were looking for doesn't exist (404)</title>\n\
                </head>\n<body>\n  <h1>The page you were looking for doesn't exist.</h1>\n</body>\n</html>\n";
    (StatusCode::NOT_FOUND, Html(page)).into_response()
}

/// An RFC 6749 error of the token endpoint.
pub(crate) fn oauth_error(status: StatusCode, error: &str, description: &str) -> Response {
    let body = json!({ "error": error, "error_description": description });
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// RFC 6749 `invalid_client`.
pub(crate) fn invalid_client() -> Response {
    oauth_error(
        StatusCode::UNAUTHORIZED,
        "invalid_client",
        "Client authentication failed due to unknown client, no client authentication included, or unsupported \
         authentication method.",
    )
}
