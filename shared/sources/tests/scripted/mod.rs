//! A server that gives answers as they are written down, one for each request, and keeps what was asked.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use domain::account::UrlToken;
use domain::signature::LiveSecrets;
use domain::source::Source;
use domain::subscription::{
    ApiError, Endpoint, EventSelection, HooksUrl, OurSecret, RegisteredWebhook,
};
use serde_json::Value;

/// Status and further headers, and the body.
pub(crate) type Answer<'a> = (&'a str, &'a str);

/// A request as it arrived.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Method and path, with the query.
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    /// Null where it is no JSON.
    pub(crate) body: Value,
}

impl Asked {
    fn read(stream: &mut TcpStream) -> Self {
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        let end = loop {
            if let Some(end) = request.windows(4).position(|end| end == b"\r\n\r\n") {
                break end;
            }
            let count = stream.read(&mut chunk).unwrap();
            assert_ne!(count, 0, "the request ended early");
            request.extend_from_slice(&chunk[..count]);
        };
        let head = String::from_utf8(request[..end].to_vec()).unwrap();
        let mut lines = head.lines();
        let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1");
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut asked = Self {
            line: line.to_owned(),
            headers,
            body: Value::Null,
        };
        let length = asked.header("content-length");
        let length = length.map_or(0, |length| length.parse().unwrap());
        while request.len() < end + 4 + length {
            let count = stream.read(&mut chunk).unwrap();
            request.extend_from_slice(&chunk[..count]);
        }
        if length > 0 {
            asked.body = serde_json::from_slice(&request[end + 4..]).unwrap_or_default();
        }
        asked
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(known, _)| known == name)?;
        Some(value)
    }
}

/// The server. It ends after its last answer.
pub(crate) struct Scripted {
    pub(crate) url: String,
    asked: JoinHandle<Vec<Asked>>,
}

impl Scripted {
    pub(crate) fn new(answers: &[Answer<'_>]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let written = |(head, body): &Answer<'_>| {
            let length = body.len();
            format!(
                "HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
        };
        let answers: Vec<String> = answers.iter().map(written).collect();
        let asked = std::thread::spawn(move || {
            let serve = |answer: String| {
                let (mut stream, _) = listener.accept().unwrap();
                let asked = Asked::read(&mut stream);
                stream.write_all(answer.as_bytes()).unwrap();
                asked
            };
            answers.into_iter().map(serve).collect()
        });
        Self { url, asked }
    }

    /// A server that answers with these pages.
    pub(crate) fn of_pages(pages: &[impl AsRef<str>]) -> Self {
        let answers = pages.iter().map(|page| ("200 OK", page.as_ref()));
        Self::new(&answers.collect::<Vec<_>>())
    }

    /// What was asked; every answer has to have been fetched.
    pub(crate) fn asked(self) -> Vec<Asked> {
        self.asked.join().unwrap()
    }

    /// The only request that was asked.
    pub(crate) fn asked_once(self) -> Asked {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1);
        asked.remove(0)
    }

    /// Methods and paths of what was asked.
    pub(crate) fn lines(self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

/// Why a call fails.
pub(crate) async fn failure<T>(call: impl Future<Output = Result<T, ApiError>>) -> ApiError {
    call.await.err().unwrap()
}

/// The ids of webhooks, in their order.
pub(crate) fn ids(webhooks: &[RegisteredWebhook]) -> Vec<&str> {
    webhooks.iter().map(|webhook| webhook.id.as_str()).collect()
}

/// An endpoint of a source, its token always the same.
pub(crate) fn endpoint(source: Source) -> Endpoint {
    let hooks: HooksUrl = "https://example.com/hooks".parse().unwrap();
    hooks.endpoint(source, &UrlToken::from_random(&[7; 32]))
}

pub(crate) fn selection(names: &[&str]) -> EventSelection {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    EventSelection::stored(names).unwrap()
}

/// Secrets of these kinds, always the same.
pub(crate) fn secrets(kinds: &[OurSecret]) -> LiveSecrets {
    let mut secrets = LiveSecrets::default();
    for kind in kinds {
        kind.add(&[9; 32], &mut secrets);
    }
    secrets
}
