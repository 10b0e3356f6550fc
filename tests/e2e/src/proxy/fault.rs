//! Faults: what may happen to a call between a function and AWS.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderValue, Response, StatusCode};
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::request::Request;

/// How long the first half of an answer has to be on its way before the connection breaks.
const FIRST_HALF: Duration = Duration::from_millis(20);

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Not passed on; refused as AWS refuses, with this status (400, mostly) and this error code.
    Refuse {
        /// The HTTP status.
        status: u16,
        /// The code, such as `AccessDeniedException` or `QueueDoesNotExist`.
        code: String,
    },
    /// Of a batch of messages, those that contain the text are refused with this code, as AWS does inside an
    /// answer of status 200; the others are passed on. This alone changes what is passed on, and therefore whose name
    /// it is passed on in: the emulator's administrator signs it.
    RefuseEntries {
        /// The text; every message contains the empty one.
        contains: String,
        /// The code.
        code: String,
        /// Whether AWS says that the message is to blame.
        sender_fault: bool,
    },
    /// Not passed on; answered with this status (500, 503) and no code.
    Status(u16),
    /// Passed on, so many milliseconds late.
    DelayMs(u64),
    /// Not passed on; the connection breaks without an answer.
    Drop,
    /// Passed on and done, but the connection breaks before the answer.
    WorkThenDrop,
    /// Passed on and done, but answered with this status.
    WorkThenStatus(u16),
    /// Passed on and done, but the answer breaks off half-way.
    WorkThenTruncate,
}

impl Fault {
    /// A refusal for the caller's own fault: status 400 and a code.
    #[must_use]
    pub fn refuse(code: &str) -> Self {
        Self::Refuse {
            status: 400,
            code: code.to_owned(),
        }
    }

    /// A refusal of the messages of a batch that contain a text, whose content is to blame or is not.
    #[must_use]
    pub fn refuse_entries(contains: &str, code: &str, sender_fault: bool) -> Self {
        Self::RefuseEntries {
            contains: contains.to_owned(),
            code: code.to_owned(),
            sender_fault,
        }
    }

    /// Whether it can happen to this call: of a batch without such a message nothing is refused.
    pub(super) fn concerns(&self, request: &Request) -> bool {
        let Self::RefuseEntries {
            contains,
            code,
            sender_fault,
        } = self
        else {
            return true;
        };
        Parted::of(&request.body, contains, code, *sender_fault).is_some()
    }

    /// The fault in one word, for what is noted of calls.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Refuse { .. } => "refuse",
            Self::RefuseEntries { .. } => "refuse_entries",
            Self::Status(_) => "status",
            Self::DelayMs(_) => "delay_ms",
            Self::Drop => "drop",
            Self::WorkThenDrop => "work_then_drop",
            Self::WorkThenStatus(_) => "work_then_status",
            Self::WorkThenTruncate => "work_then_truncate",
        }
    }
}

/// An answer with a status and nothing that a client could read.
pub(super) fn bare(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
}

/// The first half of an answer that promises all of itself: its caller waits for the rest until the connection breaks.
pub(super) fn truncated(response: Response<Bytes>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let length = HeaderValue::from(body.len());
    let half = body.slice(..body.len() / 2);
    // Whatever follows at once would keep the first half from ever being written.
    let broken = stream::once(async {
        tokio::time::sleep(FIRST_HALF).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let pieces = stream::iter([Ok(half)]).chain(broken);
    parts.headers.insert(CONTENT_LENGTH, length);
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// A refusal as the service of the call words it: JSON with a type, or S3's XML.
pub(super) fn refusal(request: &Request, status: u16, code: &str) -> Response<Body> {
    let is_s3 = request.operation.starts_with("s3:");
    let (content_type, body) = if is_s3 {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>injected</Message></Error>"
        );
        ("application/xml", body)
    } else {
        let body = json!({ "__type": code, "message": "injected" });
        ("application/x-amz-json-1.0", body.to_string())
    };
    let mut response = bare(status);
    *response.body_mut() = Body::from(body);
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(content_type));
    if let Ok(code) = HeaderValue::from_str(code) {
        headers.insert("x-amzn-errortype", code);
    }
    response
}

/// A batch of messages, parted into those that are passed on and the refusal of the others.
#[derive(Debug)]
pub(super) struct Parted {
    /// What is passed on; `None` if nothing is left.
    pub(super) passed: Option<Value>,
    refused: Vec<Value>,
}

impl Parted {
    /// `None` if the body is no batch, or none of it is refused.
    pub(super) fn of(body: &[u8], contains: &str, code: &str, sender_fault: bool) -> Option<Self> {
        let mut batch: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let entries = batch.get_mut("Entries")?.as_array_mut()?;
        let is_refused = |entry: &Value| {
            let text = entry.get("MessageBody").and_then(Value::as_str);
            text.is_none_or(|text| text.contains(contains))
        };
        let refused = entries.extract_if(.., |entry| is_refused(entry));
        let refused = refused.map(|entry| {
            json!({
                "Id": entry.get("Id"), "Code": code, "Message": "injected",
                "SenderFault": sender_fault,
            })
        });
        let refused: Vec<Value> = refused.collect();
        if refused.is_empty() {
            return None;
        }
        let is_left = !entries.is_empty();
        let passed = is_left.then_some(Value::Object(batch));
        Some(Self { passed, refused })
    }

    /// The answer to the whole batch, from the answer to what was passed on.
    pub(super) fn answer(self, passed: Value) -> Value {
        let mut answer = match passed {
            Value::Object(answer) => answer,
            _ => Map::new(),
        };
        answer.entry("Successful").or_insert_with(|| json!([]));
        let failed = answer.entry("Failed").or_insert_with(|| json!([]));
        if let Some(failed) = failed.as_array_mut() {
            failed.extend(self.refused);
        }
        Value::Object(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_parted_and_its_answers_joined() {
        let body = r#"{"QueueUrl":"q","Entries":[{"Id":"0","MessageBody":"a"},{"Id":"1","MessageBody":"bad"}]}"#;
        let parted = Parted::of(body.as_bytes(), "bad", "InvalidMessageContents", true).unwrap();
        let passed = parted.passed.as_ref().unwrap();
        assert_eq!(passed["Entries"], json!([{"Id":"0","MessageBody":"a"}]));
        let answer = parted.answer(json!({"Successful": [{"Id": "0"}]}));
        assert_eq!(answer["Successful"], json!([{"Id":"0"}]));
        assert_eq!(answer["Failed"][0]["Id"], "1");
        assert_eq!(answer["Failed"][0]["Code"], "InvalidMessageContents");
        assert_eq!(answer["Failed"][0]["SenderFault"], true);
    }

    #[test]
    fn of_a_batch_that_is_refused_altogether_nothing_is_passed_on() {
        let body = r#"{"Entries":[{"Id":"0","MessageBody":"a"}]}"#;
        let parted = Parted::of(body.as_bytes(), "", "KmsThrottled", false).unwrap();
        assert!(parted.passed.is_none());
        let answer = parted.answer(Value::Null);
        assert_eq!(answer["Failed"].as_array().unwrap().len(), 1);
        assert!(Parted::of(b"{}", "", "x", false).is_none());
    }

    #[test]
    fn the_json_form_of_a_fault_is_short() {
        let fault: Fault = serde_json::from_str(r#"{"delay_ms":5}"#).unwrap();
        assert_eq!(fault, Fault::DelayMs(5));
        let fault: Fault = serde_json::from_str(r#""work_then_drop""#).unwrap();
        assert_eq!(fault, Fault::WorkThenDrop);
    }
}
