//! What every request to the source's own paths goes through: the request id, the site's faults, and the log.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};

use crate::api::Call;
use crate::faults::{self, Door, FaultKind};
use crate::random;
use crate::site::{LoggedRequest, Site};
use crate::world::World;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Puts an `X-Request-Id` on every answer.
pub(crate) async fn number(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    if let Ok(id) = HeaderValue::try_from(random::uuid()) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}

/// One request to one site, from its faults to its line in the log.
pub(crate) struct Visit<'a> {
    pub(crate) world: &'a World,
    pub(crate) client_id: &'a str,
    pub(crate) call: &'a Call,
}

impl Visit<'_> {
    pub(crate) fn fault(&self, door: Door) -> Option<FaultKind> {
        let method = self.call.method.as_str();
        let meet = |site: &mut Site| faults::meet(&mut site.faults, door, method);
        self.world.with_site(self.client_id, meet).flatten()
    }

    /// What is no status is a 500.
    fn status(&self, status: u16) -> Response {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.world.provider().error(status, "a fault of the test")
    }

    fn log(&self, status: Option<StatusCode>) {
        self.world.with_site(self.client_id, |site| {
            site.log(LoggedRequest {
                method: self.call.method.to_string(),
                path: self.call.path.clone(),
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
            Some(FaultKind::DelayMs(ms)) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                work.await
            }
            Some(FaultKind::Status(status)) => self.status(status),
            Some(FaultKind::Refuse) => refusal(),
            Some(FaultKind::Unprocessable) => self.world.provider().error(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Validation failed: Endpoint can't be reached",
            ),
            Some(FaultKind::Html) => proxy_page(),
            Some(FaultKind::TimeOutMs(ms)) => return self.silence(ms).await,
            Some(FaultKind::WorkThenStatus(status)) => {
                work.await;
                self.status(status)
            }
            Some(FaultKind::WorkThenTimeOutMs(ms)) => {
                work.await;
                return self.silence(ms).await;
            }
            Some(FaultKind::WorkThenTruncate) => truncated(work.await).await,
        };
        self.log(Some(answer.status()));
        answer
    }

    /// Logged before the wait: the client will be gone after it, and this task with it.
    async fn silence(&self, ms: u64) -> Response {
        self.log(None);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        self.status(504)
    }
}

/// The first half of the body, under headers that belong to it.
async fn truncated(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let Ok(mut bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    bytes.truncate(bytes.len() / 2);
    parts.headers.remove(header::CONTENT_LENGTH);
    (parts, Body::from(bytes)).into_response()
}

/// 200 with a page, from something in between.
fn proxy_page() -> Response {
    Html("<!DOCTYPE html>\n<html><body><h1>We'll be back soon</h1></body></html>\n").into_response()
}
