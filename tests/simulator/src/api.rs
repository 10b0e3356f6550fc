//! An API that takes and gives JSON, as the sources besides Orderspace have it: the engine reads the request and puts
//! faults, throttle and log around it, the source says whose it is and answers.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::Value;

use crate::door::Visit;
use crate::faults::Door;
use crate::site::Site;
use crate::world::World;

/// More than any request to these APIs has.
const BODY_LIMIT: usize = 1024 * 1024;

/// A request, read whole.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
    /// Null for no body; a form's fields as an object.
    pub(crate) body: Value,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What follows the scheme in `Authorization`.
    pub(crate) fn authorization(&self, scheme: &str) -> Option<&str> {
        let value = self.header(header::AUTHORIZATION.as_str())?;
        let (given, rest) = value.split_once(' ')?;
        given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }

    /// The path's parts.
    pub(crate) fn parts(&self) -> Vec<&str> {
        self.path.split('/').skip(1).collect()
    }

    /// A text of the body, by JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }
}

/// The source's side of its API.
pub(crate) trait Api: Sync {
    /// Whether the request asks for a token, and the site whose it is; none: 401.
    fn caller(&self, world: &World, call: &Call) -> (Door, Option<String>);

    /// The answer to a request of a known site.
    fn answer(&self, site: &mut Site, call: &Call) -> Response;

    /// The answer to a request that is nobody's, and to one that a fault refuses.
    fn refusal(&self, world: &World, _: &Call) -> Response {
        let text = "the credentials are not valid";
        world.provider().error(StatusCode::UNAUTHORIZED, text)
    }

    /// The answer of a source that sends before it answers.
    fn serve<'a>(
        &'a self,
        world: &'a World,
        site: &'a str,
        call: &'a Call,
    ) -> BoxFuture<'a, Option<Response>> {
        let answer = world.with_site(site, |site| self.answer(site, call));
        futures::future::ready(answer).boxed()
    }
}

/// All paths of an API.
pub(crate) fn routes(api: &'static dyn Api) -> Router<World> {
    Router::new().fallback(async move |State(world): State<World>, request: Request| {
        let error = |status, text: &str| world.provider().error(status, text);
        let Some(call) = read(request).await else {
            return error(StatusCode::BAD_REQUEST, "the body is not JSON");
        };
        let (door, site) = api.caller(&world, &call);
        let refusal = || api.refusal(&world, &call);
        let Some(site) = site else {
            return refusal();
        };
        let visit = Visit {
            world: &world,
            client_id: &site,
            call: &call,
        };
        let fault = visit.fault(door);
        let work = async {
            // Where tokens are given out is another host, or not throttled for all that is published.
            let admits = |site: &mut Site| door == Door::Token || site.admits();
            let answer = match world.with_site(&site, admits) {
                Some(true) => api.serve(&world, &site, &call).await,
                Some(false) => Some(error(StatusCode::TOO_MANY_REQUESTS, "too many requests")),
                None => None,
            };
            answer.unwrap_or_else(refusal)
        };
        visit.answer(fault, work, refusal).await
    })
}

async fn read(request: Request) -> Option<Call> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.ok()?;
    let pairs = |text: &str| -> Option<BTreeMap<String, String>> {
        let url = reqwest::Url::parse(&format!("http://localhost/?{text}")).ok()?;
        Some(url.query_pairs().into_owned().collect())
    };
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let is_form = content_type.is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    Some(Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: pairs(parts.uri.query().unwrap_or_default())?,
        headers: parts.headers,
        body: if body.is_empty() {
            Value::Null
        } else if is_form {
            serde_json::to_value(pairs(std::str::from_utf8(&body).ok()?)?).ok()?
        } else {
            serde_json::from_slice(&body).ok()?
        },
    })
}
