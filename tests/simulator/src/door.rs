//! What every request to Orderspace's own paths goes through: the request id, the site it belongs to, its faults, the
//! throttle, the access token, and the log.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::faults::{Door, FaultKind};
use crate::orderspace::answers::{self, TokenRefusal};
use crate::random;
use crate::site::{LoggedRequest, Verdict};
use crate::world::World;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The site that a request was let in for, as a request extension.
#[derive(Clone)]
pub(crate) struct ClientId(pub(crate) String);

/// Puts an `X-Request-Id` on every answer.
pub(crate) async fn number(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    if let Some(id) = random::request_id()
        .ok()
        .and_then(|id| HeaderValue::try_from(id).ok())
    {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}

/// Lets an API request in for the site of its access token, or answers for it.
pub(crate) async fn admit(
    State(world): State<World>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some((client_id, token)) = bearer(request.headers())
        .and_then(|token| Some((world.site_of_token(token)?, token.to_owned())))
    else {
        return answers::unauthorized(TokenRefusal::Invalid);
    };
    let visit = Visit::new(&world, &client_id, &request);
    let fault = visit.fault(Door::Api);
    request.extensions_mut().insert(ClientId(client_id.clone()));
    let judged = async {
        let verdict = world.with_site(&client_id, |site| {
            let now = site.now();
            site.judge(&token, now)
        });
        match verdict {
            Some(Verdict::Serve) => next.run(request).await,
            Some(Verdict::TooMany) => answers::empty(StatusCode::TOO_MANY_REQUESTS),
            Some(Verdict::Expired) => answers::unauthorized(TokenRefusal::Expired),
            None => answers::unauthorized(TokenRefusal::Invalid),
        }
    };
    visit
        .answer(fault, judged, || {
            answers::unauthorized(TokenRefusal::Invalid)
        })
        .await
}

/// A request to a path that does not exist; it needs no token, but is logged for the site if it has one.
pub(crate) async fn lost(State(world): State<World>, request: Request) -> Response {
    let answer = answers::no_such_page().await;
    if let Some(client_id) = bearer(request.headers()).and_then(|token| world.site_of_token(token))
    {
        Visit::new(&world, &client_id, &request).log(Some(answer.status()));
    }
    answer
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// One request to one site, from its faults to its line in the log.
pub(crate) struct Visit<'a> {
    world: &'a World,
    client_id: String,
    method: String,
    path: String,
}

impl<'a> Visit<'a> {
    pub(crate) fn new(world: &'a World, client_id: &str, request: &Request) -> Self {
        Self::of(
            world,
            client_id,
            request.method().as_str(),
            request.uri().path(),
        )
    }

    pub(crate) fn of(world: &'a World, client_id: &str, method: &str, path: &str) -> Self {
        Self {
            world,
            client_id: client_id.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
        }
    }

    pub(crate) fn fault(&self, door: Door) -> Option<FaultKind> {
        self.world
            .with_site(&self.client_id, |site| site.meet_fault(door, &self.method))
            .flatten()
    }

    fn log(&self, status: Option<StatusCode>) {
        self.world.with_site(&self.client_id, |site| {
            site.log(LoggedRequest {
                method: self.method.clone(),
                path: self.path.clone(),
                status: status.map(|status| status.as_u16()),
            });
        });
    }

    /// Serves the request as the fault says. `work` does nothing unless it is awaited.
    pub(crate) async fn answer(
        &self,
        fault: Option<FaultKind>,
        work: impl Future<Output = Response>,
        refusal: impl FnOnce() -> Response,
    ) -> Response {
        let answer = match fault {
            None => work.await,
            Some(FaultKind::SlowMs(ms)) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                work.await
            }
            Some(FaultKind::Status(status)) => answers::empty_with(status),
            Some(FaultKind::Refuse) => refusal(),
            Some(FaultKind::Unprocessable) => answers::message(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Validation failed: Endpoint can't be reached",
            ),
            Some(FaultKind::Html) => answers::proxy_page(),
            Some(FaultKind::TimeOutMs(ms)) => return self.silence(ms).await,
            Some(FaultKind::WorkThenStatus(status)) => {
                work.await;
                answers::empty_with(status)
            }
            Some(FaultKind::WorkThenTimeOutMs(ms)) => {
                work.await;
                return self.silence(ms).await;
            }
            Some(FaultKind::Cut) => cut(work.await).await,
        };
        self.log(Some(answer.status()));
        answer
    }

    /// Logged before the wait: the client will be gone after it, and this task with it.
    async fn silence(&self, ms: u64) -> Response {
        self.log(None);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        answers::empty(StatusCode::GATEWAY_TIMEOUT)
    }
}

/// The first half of the body, under headers that belong to it.
async fn cut(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let Ok(mut bytes) = to_bytes(body, usize::MAX).await else {
        return answers::empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    bytes.truncate(bytes.len() / 2);
    parts.headers.remove(header::CONTENT_LENGTH);
    (parts, Body::from(bytes)).into_response()
}
