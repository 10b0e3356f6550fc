//! A server on this machine that plays AWS: it answers as it was set to, and keeps what it was asked.
//!
//! For tests alone. A request is known by the service in its signature and the operation: `sqs GetQueueAttributes`,
//! `sts GetCallerIdentity`, and where the operation is a path, `lambda GET /2016-08-19/account-settings/`.
#![allow(
    clippy::expect_used,
    reason = "a test stops where its server cannot be made"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, Method, Uri};
use serde_json::Value;

use crate::calls::{Access, Calls, Retries};

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Reply {
    /// Success, with JSON.
    #[must_use]
    pub fn json(body: &Value) -> Self {
        Self::status(200, body.to_string())
    }

    /// Success, with XML or anything else.
    #[must_use]
    pub fn text(body: impl Into<String>) -> Self {
        Self::status(200, body)
    }

    /// Any status.
    #[must_use]
    pub fn status(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Service and operation.
    pub action: String,
    /// The path with its query.
    pub path: String,
    /// The body.
    pub body: String,
}

struct Rule {
    action: String,
    containing: String,
    replies: VecDeque<Reply>,
}

/// Something that answers requests by what happened before.
type Player = Box<dyn FnMut(&Seen) -> Option<Reply> + Send>;

#[derive(Default)]
struct Script {
    rules: Vec<Rule>,
    player: Option<Player>,
    seen: Vec<Seen>,
}

/// The server. It ends with the test.
#[derive(Clone)]
pub struct Loopback {
    endpoint: String,
    script: Arc<Mutex<Script>>,
}

impl Loopback {
    /// Starts a server that answers nothing yet.
    ///
    /// # Panics
    /// No port can be had.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port of this machine");
        let address = listener.local_addr().expect("the port's address");
        let script = Arc::new(Mutex::new(Script::default()));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            endpoint: format!("http://{address}"),
            script,
        }
    }

    /// The server's address.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How to call it.
    #[must_use]
    pub fn access(&self) -> Access {
        Access::fixed(&self.endpoint, "eu-west-1", "AKID", "marker-secret-key")
    }

    /// A caller of it, which waits for milliseconds where AWS is given seconds.
    ///
    /// # Panics
    /// No HTTP client can be made.
    #[must_use]
    pub fn calls(&self) -> Calls {
        let retries = Retries {
            attempts: 3,
            first: Duration::from_millis(1),
            longest: Duration::from_millis(2),
        };
        Calls::with_retries(self.access(), retries).expect("a client for 127.0.0.1 can be made")
    }

    /// Answers an action so from now on.
    pub fn on(&self, action: &str, reply: Reply) -> &Self {
        self.on_each(action, "", [reply])
    }

    /// Answers an action so where its path or body contains a text. What was said last counts.
    pub fn on_containing(&self, action: &str, containing: &str, reply: Reply) -> &Self {
        self.on_each(action, containing, [reply])
    }

    /// Answers an action with each of these in turn, and then with the last of them.
    pub fn on_each(
        &self,
        action: &str,
        containing: &str,
        replies: impl IntoIterator<Item = Reply>,
    ) -> &Self {
        self.script().rules.push(Rule {
            action: action.to_owned(),
            containing: containing.to_owned(),
            replies: replies.into_iter().collect(),
        });
        self
    }

    /// Answers what no rule answers so: for services that remember.
    pub fn play(&self, player: impl FnMut(&Seen) -> Option<Reply> + Send + 'static) -> &Self {
        self.script().player = Some(Box::new(player));
        self
    }

    /// Everything that it was asked.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.script().seen.clone()
    }

    /// What it was asked of one action.
    #[must_use]
    pub fn seen_of(&self, action: &str) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|seen| seen.action == action);
        seen
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> http::Response<axum::body::Body> {
    let body = String::from_utf8_lossy(&body).into_owned();
    let action = action(&method, &uri, &headers, &body);
    let path = uri.to_string();
    let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |rule: &&mut Rule| {
        rule.action == action
            && (path.contains(&rule.containing) || body.contains(&rule.containing))
    };
    let reply =
        script
            .rules
            .iter_mut()
            .rev()
            .find(fits)
            .and_then(|rule| match rule.replies.len() {
                0 | 1 => rule.replies.front().cloned(),
                _ => rule.replies.pop_front(),
            });
    let seen = Seen { action, path, body };
    let played = || script.player.as_mut().and_then(|player| player(&seen));
    let reply = reply.or_else(played);
    let reply =
        reply.unwrap_or_else(|| Reply::status(501, format!("nothing was set for {}", seen.action)));
    script.seen.push(seen);
    let mut response = http::Response::new(axum::body::Body::from(reply.body));
    *response.status_mut() = http::StatusCode::from_u16(reply.status).expect("a status");
    for (name, value) in reply.headers {
        let value = http::HeaderValue::from_str(&value).expect("a header's value");
        response.headers_mut().insert(name, value);
    }
    response
}

fn action(method: &Method, uri: &Uri, headers: &HeaderMap, body: &str) -> String {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scope = header("authorization").and_then(|value| value.split("Credential=").nth(1));
    let service = scope.and_then(|scope| scope.split('/').nth(3));
    let service = service.unwrap_or("unsigned");
    let target = header("x-amz-target").and_then(|target| target.split('.').nth(1));
    let query = body.strip_prefix("Action=");
    let query = query.and_then(|query| query.split('&').next());
    match target.or(query) {
        Some(operation) => format!("{service} {operation}"),
        None => format!("{service} {method} {}", uri.path()),
    }
}
