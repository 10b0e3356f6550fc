//! `POST /oauth/token`: access tokens for client credentials, valid for 30 minutes, any number at a time.
//!
//! Success is as documented. Orderspace does not document the errors; these are RFC 6749's, which the server's other
//! answers suggest. Several parameters at fault are reported in the order grant, client, scope.
//!
//! <https://apidocs.orderspace.com/#authentication> · <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>

use std::time::Duration;

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::api::Call;
use crate::orderspace::answers;
use crate::site::Site;

/// Where tokens are given out.
pub(crate) const PATH: &str = "/oauth/token";

/// How long an access token is valid; Orderspace says `"expires_in": 1800`.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_secs(1_800);

const SCOPE: &str = "read write";

/// What is wrong with the grant that is asked for.
fn complaint(call: &Call) -> Option<Response> {
    let (error, description) = match call.text("/grant_type") {
        Some("client_credentials") => return None,
        None | Some("") => ("invalid_request", "Missing required parameter: grant_type."),
        Some(_) => (
            "unsupported_grant_type",
            "The authorization grant type is not supported by the authorization server.",
        ),
    };
    let status = StatusCode::BAD_REQUEST;
    Some(answers::oauth_error(status, error, description))
}

/// The answer to a client that is not known.
pub(crate) fn refusal(call: &Call) -> Response {
    complaint(call).unwrap_or_else(answers::invalid_client)
}

/// The answer to a client that is known by its id.
pub(crate) fn token(site: &mut Site, call: &Call) -> Response {
    if let Some(complaint) = complaint(call) {
        return complaint;
    }
    if call.text("/client_secret") != Some(&site.client_secret) {
        return answers::invalid_client();
    }
    let is_known = |scope: &str| SCOPE.split(' ').any(|known| known == scope);
    let asked = call.text("/scope");
    if !asked.is_none_or(|asked| asked.split(' ').all(is_known)) {
        return answers::oauth_error(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            "The requested scope is invalid, unknown, or malformed.",
        );
    }
    let body = json!({
        "access_token": site.issue_token(TOKEN_LIFETIME),
        "token_type": "Bearer",
        "expires_in": TOKEN_LIFETIME.as_secs(),
        "scope": SCOPE,
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
