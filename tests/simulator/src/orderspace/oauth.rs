//! `POST /oauth/token`: access tokens for client credentials, valid for 30 minutes, any number at a time.
//!
//! Success is as documented. Orderspace does not document the errors; these are RFC 6749's, which the server's other
//! answers suggest. Several parameters at fault are reported in the order grant, client, scope.
//!
//! <https://apidocs.orderspace.com/#authentication> · <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>

use std::time::Duration;

use axum::extract::{FromRequest as _, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Form, Json};
use serde::Deserialize;
use serde_json::json;

use crate::door::Visit;
use crate::faults::Door;
use crate::orderspace::answers;
use crate::world::World;

/// How long an access token is valid; Orderspace says `"expires_in": 1800`.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(1_800);

const SCOPE: &str = "read write";

#[derive(Deserialize)]
struct TokenRequest {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
}

pub(crate) async fn token(State(world): State<World>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let asked = match read(request, &world).await {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    let known = asked
        .client_id
        .clone()
        .filter(|client_id| world.sites().contains_key(client_id));
    let Some(client_id) = known else {
        return issue(&world, &asked);
    };
    let visit = Visit::of(&world, &client_id, "POST", &path);
    let fault = visit.fault(Door::Token);
    visit
        .answer(
            fault,
            async { issue(&world, &asked) },
            answers::invalid_client,
        )
        .await
}

async fn read(request: Request, world: &World) -> Result<TokenRequest, Response> {
    let is_json = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"));
    if is_json {
        Json::from_request(request, world)
            .await
            .map(|Json(asked)| asked)
            .map_err(|_| answers::empty(StatusCode::BAD_REQUEST))
    } else {
        Form::from_request(request, world)
            .await
            .map(|Form(asked)| asked)
            .map_err(|_| missing("grant_type"))
    }
}

fn missing(parameter: &str) -> Response {
    answers::oauth_error(
        StatusCode::BAD_REQUEST,
        "invalid_request",
        &format!("Missing required parameter: {parameter}."),
    )
}

fn issue(world: &World, asked: &TokenRequest) -> Response {
    match asked.grant_type.as_deref() {
        None | Some("") => return missing("grant_type"),
        Some("client_credentials") => {}
        Some(_) => {
            return answers::oauth_error(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "The authorization grant type is not supported by the authorization server.",
            );
        }
    }
    let (Some(client_id), Some(client_secret)) = (&asked.client_id, &asked.client_secret) else {
        return answers::invalid_client();
    };
    let mut sites = world.sites();
    let Some(site) = sites
        .get_mut(client_id)
        .filter(|site| site.client_secret == *client_secret)
    else {
        return answers::invalid_client();
    };
    let scope_is_known = asked.scope.as_deref().is_none_or(|scope| {
        scope
            .split(' ')
            .all(|one| SCOPE.split(' ').any(|known| known == one))
    });
    if !scope_is_known {
        return answers::oauth_error(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            "The requested scope is invalid, unknown, or malformed.",
        );
    }
    match site.issue_token(TOKEN_LIFETIME) {
        Ok(token) => (
            [(header::CACHE_CONTROL, "no-store")],
            Json(json!({
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": TOKEN_LIFETIME.as_secs(),
                "scope": SCOPE,
            })),
        )
            .into_response(),
        Err(_) => answers::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
