//! The proxy itself: each call is read whole, counted, held against the rules, and passed on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, HeaderName, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use local::aws::Aws;
use local::emulator::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::calls::{Call, Ledger};
use super::fault::{Fault, Parted, bare, refusal, truncated};
use super::line::{Cutter, Lines};
use super::request::Request;
use super::rules::{ActiveRule, Rule, Rules};

/// Large enough for everything that the functions send.
const BODY_LIMIT: usize = 64 * 1024 * 1024;
/// Longer than any of the functions' own time-outs: those are what is tested.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What belongs to one connection and not to what travels over it. `Expect` was answered here already.
/// <https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1>
const OF_THE_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[derive(Debug, Default)]
struct Books {
    rules: Rules,
    ledger: Ledger,
}

#[derive(Debug, Clone)]
struct Shared {
    books: Arc<Mutex<Books>>,
    client: reqwest::Client,
    aws: Aws,
    to: Arc<str>,
}

/// A running proxy. It stops when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Proxy {
    /// Starts a proxy on a port of 127.0.0.1 (0: any) that passes everything on to `to`, a URL without a path.
    ///
    /// # Errors
    /// The port is taken, or no HTTP client can be made.
    pub async fn start(port: u16, to: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .with_context(|| format!("port {port} on 127.0.0.1 cannot be used; choose another"))?;
        let address = listener.local_addr()?;
        let to = to.trim_end_matches('/');
        let shared = Shared {
            books: Arc::default(),
            client: client()?,
            aws: Aws::new(to, REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY)?,
            to: to.into(),
        };
        let service = routes(shared).into_make_service_with_connect_info::<Cutter>();
        let serving = tokio::spawn(async move {
            // It ends with the task: a listener's own errors are retried inside.
            let _ = axum::serve(Lines(listener), service).await;
        });
        Ok(Self { address, serving })
    }

    /// Where the functions and [`super::ProxyControl`] find it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Every call has a connection of its own: one that was kept could be closed by the emulator at any moment, and
/// that would be a fault that nobody asked for.
fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(0)
        .timeout(TIMEOUT)
        .build()?)
}

fn routes(shared: Shared) -> Router {
    let control = Router::new()
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
        .route("/rules", get(list_rules).post(add_rule).delete(clear_rules))
        .route("/rules/{id}", delete(remove_rule))
        .route("/watches", post(watch).delete(forget))
        .route("/calls", post(calls));
    Router::new()
        .nest("/_proxy", control)
        .fallback(pass)
        .with_state(shared)
}

impl Shared {
    /// No code under this lock can panic half-way through a change.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a call on and returns the whole answer.
    async fn forward(&self, request: &Request, body: Bytes) -> Result<Response<Bytes>> {
        let path = request
            .uri
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let answer = self
            .client
            .request(request.method.clone(), format!("{}{path}", self.to))
            .headers(of_the_message(&request.headers))
            .body(body)
            .send()
            .await?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = of_the_message(answer.headers());
        *response.body_mut() = answer.bytes().await?;
        Ok(response)
    }
}

/// The headers without those of the connection.
fn of_the_message(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in &OF_THE_CONNECTION {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers
}

async fn pass(
    State(shared): State<Shared>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: axum::extract::Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return bare(413);
    };
    let request = Request::read(parts.method, parts.uri, parts.headers, body);
    let (fault, number) = {
        let books = &mut *shared.books();
        let fault = books.rules.meet(&request, rng);
        let number = books
            .ledger
            .begin(&request, fault.as_ref().map(Fault::name));
        (fault, number)
    };
    let answer = serve(&shared, &cutter, &request, fault).await;
    if let Some(status) = answer.as_ref().map(|answer| answer.status().as_u16()) {
        shared.books().ledger.answered(number, status);
    }
    // The answer to a dropped call is never written.
    answer.unwrap_or_else(|| bare(502))
}

/// The answer to a call; `None` where its connection was cut.
async fn serve(
    shared: &Shared,
    cutter: &Cutter,
    request: &Request,
    fault: Option<Fault>,
) -> Option<Response<Body>> {
    match fault {
        None => Some(passed(shared, request).await),
        Some(Fault::DelayMs(millis)) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Some(passed(shared, request).await)
        }
        Some(Fault::Status(status)) => Some(bare(status)),
        Some(Fault::Refuse { status, code }) => Some(refusal(request, status, &code)),
        Some(Fault::RefuseEntries {
            contains,
            code,
            sender_fault,
        }) => Some(
            match Parted::of(&request.body, &contains, &code, sender_fault) {
                Some(parted) => joined(shared, parted).await,
                None => passed(shared, request).await,
            },
        ),
        Some(Fault::Drop) => {
            cutter.cut();
            None
        }
        Some(Fault::WorkThenDrop) => {
            passed(shared, request).await;
            cutter.cut();
            None
        }
        Some(Fault::WorkThenStatus(status)) => {
            passed(shared, request).await;
            Some(bare(status))
        }
        Some(Fault::WorkThenTruncate) => {
            Some(match shared.forward(request, request.body.clone()).await {
                Ok(response) => truncated(response),
                Err(_) => bare(502),
            })
        }
    }
}

async fn passed(shared: &Shared, request: &Request) -> Response<Body> {
    match shared.forward(request, request.body.clone()).await {
        Ok(response) => response.map(Body::from),
        Err(_) => bare(502),
    }
}

/// Passes a part of a batch on and answers for the whole.
async fn joined(shared: &Shared, mut parted: Parted) -> Response<Body> {
    let answer = match parted.passed.take() {
        None => Value::Null,
        Some(batch) => match shared
            .aws
            .json("sqs", "AmazonSQS.SendMessageBatch", &batch)
            .await
        {
            Ok(answer) => answer,
            Err(_) => return bare(502),
        },
    };
    let mut response = Response::new(Body::from(parted.answer(answer).to_string()));
    let content_type = header::HeaderValue::from_static("application/x-amz-json-1.0");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// A number from 0 to 1; without randomness, a fault is met.
fn rng() -> f64 {
    getrandom::u32().map_or(0.0, |number| f64::from(number) / f64::from(u32::MAX))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watched {
    marker: String,
}

async fn list_rules(State(shared): State<Shared>) -> Json<Vec<ActiveRule>> {
    Json(shared.books().rules.all().to_vec())
}

async fn add_rule(State(shared): State<Shared>, Json(rule): Json<Rule>) -> Json<Value> {
    Json(json!({ "id": shared.books().rules.add(rule) }))
}

async fn clear_rules(State(shared): State<Shared>) -> StatusCode {
    shared.books().rules.clear();
    StatusCode::NO_CONTENT
}

async fn remove_rule(State(shared): State<Shared>, Path(id): Path<u64>) -> StatusCode {
    if shared.books().rules.remove(id) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

async fn watch(State(shared): State<Shared>, Json(watched): Json<Watched>) -> StatusCode {
    shared.books().ledger.watch(watched.marker);
    StatusCode::NO_CONTENT
}

async fn forget(State(shared): State<Shared>, Json(watched): Json<Watched>) -> StatusCode {
    shared.books().ledger.forget(&watched.marker);
    StatusCode::NO_CONTENT
}

async fn calls(
    State(shared): State<Shared>,
    Json(watched): Json<Watched>,
) -> axum::response::Response {
    match shared.books().ledger.calls(&watched.marker) {
        Some(calls) => Json::<Vec<Call>>(calls.to_vec()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
