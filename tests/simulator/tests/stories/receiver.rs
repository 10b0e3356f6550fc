//! A webhook receiver on 127.0.0.1 that answers from a script and keeps what it got.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn signature(&self) -> &str {
        self.headers["x-orderspace-signature"].to_str().unwrap()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Status(u16),
    Redirect,
    Silence,
}

#[derive(Default)]
struct Inner {
    script: VecDeque<Reply>,
    received: Vec<Received>,
    open: usize,
    most_open: usize,
    hold_until: usize,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Inner>>);

pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Shared,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Answers with the script's replies in turn, then with 200.
    pub(crate) async fn start(script: &[Reply]) -> Self {
        let shared = Shared::default();
        shared.0.lock().unwrap().script = script.iter().copied().collect();
        let routes = Router::new()
            .fallback(receive)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(shared.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/hooks/x", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            axum::serve(listener, routes).await.unwrap();
        });
        Self { url, shared, task }
    }

    /// No request is answered before so many are open at the same time.
    pub(crate) fn hold_until_open(&self, open: usize) {
        self.shared.0.lock().unwrap().hold_until = open;
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.0.lock().unwrap().received.clone()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        let received = self.received();
        received.iter().map(|one| one.text().to_owned()).collect()
    }

    pub(crate) fn most_open(&self) -> usize {
        self.shared.0.lock().unwrap().most_open
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(
    State(shared): State<Shared>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (reply, hold_until) = {
        let mut inner = shared.0.lock().unwrap();
        inner.received.push(Received {
            path: uri.path().to_owned(),
            headers,
            body: body.to_vec(),
        });
        inner.open += 1;
        inner.most_open = inner.most_open.max(inner.open);
        let reply = inner.script.pop_front().unwrap_or(Reply::Status(200));
        (reply, inner.hold_until)
    };
    // Bounded, so that a sender that never opens the second request fails the test instead of hanging it.
    for _ in 0..2_000 {
        if shared.0.lock().unwrap().most_open >= hold_until {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let answer = match reply {
        Reply::Status(status) => {
            (StatusCode::from_u16(status).unwrap(), "an answer").into_response()
        }
        Reply::Redirect => Redirect::temporary("/elsewhere").into_response(),
        Reply::Silence => std::future::pending().await,
    };
    shared.0.lock().unwrap().open -= 1;
    answer
}
