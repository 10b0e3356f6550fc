//! The stand: plays the endpoints of AWS on this machine, and counts what they are asked for.
//!
//! Each service has an address of its own, as on AWS, so that a program opens as many connections as there. It answers
//! what a clean run needs and refuses everything else, so that a call nobody expected is not taken for work that was done.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::serve::Listener;
use http::{HeaderMap, Method, StatusCode};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::items;

/// The account that every delivery is of.
pub const ACCOUNT: &str = "acme";

/// A call that opens a connection and asks for nothing.
pub const WARM_UP: &str = "warm-up";

/// More than any request of a clean run has.
const MOST_BYTES: usize = 16 << 20;

/// A request of SQS is billed for each so many bytes. <https://aws.amazon.com/sqs/pricing/>
const SQS_CHUNK: u64 = 64 * 1024;

/// A service of AWS that the functions call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// DynamoDB.
    Dynamo,
    /// SQS.
    Sqs,
    /// Secrets Manager.
    Secrets,
    /// S3.
    S3,
}

impl Service {
    const ALL: [Self; 4] = [Self::Dynamo, Self::Sqs, Self::Secrets, Self::S3];

    const fn name(self) -> &'static str {
        match self {
            Self::Dynamo => "dynamodb",
            Self::Sqs => "sqs",
            Self::Secrets => "secretsmanager",
            Self::S3 => "s3",
        }
    }

    /// The variable by which every SDK of AWS takes another address for the service.
    /// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
    const fn variable(self) -> &'static str {
        match self {
            Self::Dynamo => "AWS_ENDPOINT_URL_DYNAMODB",
            Self::Sqs => "AWS_ENDPOINT_URL_SQS",
            Self::Secrets => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            Self::S3 => "AWS_ENDPOINT_URL_S3",
        }
    }
}

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The last part of the queue's URL.
    pub queue: String,
    /// Its text.
    pub body: String,
}

/// An item that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The table.
    pub table: String,
    /// Its attributes, in DynamoDB's JSON.
    pub attributes: BTreeMap<String, Value>,
}

impl Item {
    /// Its size in bytes, by DynamoDB's rules.
    pub fn bytes(&self) -> u64 {
        items::bytes(&self.attributes)
    }
}

/// What AWS bills.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    /// Write units of DynamoDB.
    pub writes: f64,
    /// Read units of DynamoDB; an eventually consistent read is half a one.
    pub reads: f64,
    /// Requests of SQS, of 64 KB each.
    pub sqs: f64,
    /// Those of them whose messages have a group, which costs extra.
    pub grouped: f64,
    /// Calls of Secrets Manager.
    pub secrets: f64,
    /// Objects put into S3.
    pub puts: f64,
}

/// What the stand was asked for.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Calls by `service.Operation`.
    pub calls: BTreeMap<String, u64>,
    /// Connections that were opened.
    pub connections: u64,
    /// Bytes of the requests, with their headers.
    pub request_bytes: u64,
    /// What AWS would bill.
    pub units: Units,
    /// Messages that were sent.
    pub messages: Vec<Message>,
    /// Items that were written.
    pub items: Vec<Item>,
}

impl Traffic {
    /// Calls that asked for something.
    pub fn asked(&self) -> u64 {
        let asked = self
            .calls
            .iter()
            .filter(|(call, _)| !call.ends_with(WARM_UP));
        asked.map(|(_, count)| count).sum()
    }
}

/// The endpoints, until it is dropped.
#[derive(Debug)]
pub struct Stand {
    shared: Arc<Shared>,
    addresses: BTreeMap<Service, SocketAddr>,
    scheme: &'static str,
    servers: Vec<JoinHandle<()>>,
}

/// What the endpoints know of.
#[derive(Debug)]
struct Shared {
    traffic: Mutex<Traffic>,
    /// The hash of the URL token, in hex.
    token: String,
    key: String,
}

impl Shared {
    fn traffic(&self) -> std::sync::MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stand {
    /// Starts the endpoints. They know one account, by the hash of its URL token, and the key that it signs with.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(tls: Option<TlsAcceptor>, token: String, key: &str) -> Result<Self> {
        let shared = Arc::new(Shared {
            traffic: Mutex::default(),
            token,
            key: key.to_owned(),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut stand = Self {
            shared: Arc::clone(&shared),
            addresses: BTreeMap::new(),
            scheme,
            servers: Vec::new(),
        };
        for service in Service::ALL {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            stand.addresses.insert(service, listener.local_addr()?);
            let endpoint = Endpoint {
                listener,
                tls: tls.clone(),
                shared: Arc::clone(&shared),
            };
            let router = Router::new()
                .fallback(answer)
                .with_state((service, Arc::clone(&shared)));
            stand.servers.push(tokio::spawn(async move {
                // It ends with the stand.
                drop(axum::serve(endpoint, router).await);
            }));
        }
        Ok(stand)
    }

    /// The variables that send a program's calls here.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let all = self.addresses.iter();
        all.map(|(service, address)| {
            let url = format!("{}://{address}", self.scheme);
            (service.variable().to_owned(), url)
        })
        .collect()
    }

    /// The URL of a queue.
    pub fn queue(&self, name: &str) -> String {
        let address = self.addresses.get(&Service::Sqs);
        let address = address.map_or_else(String::new, ToString::to_string);
        format!("{}://{address}/000000000000/{name}", self.scheme)
    }

    /// What was asked for since this was last called.
    pub fn take(&self) -> Traffic {
        std::mem::take(&mut *self.shared.traffic())
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Where a service's connections come in.
struct Endpoint {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
}

impl Endpoint {
    async fn opened(&self) -> Result<(Box<dyn Duplex>, SocketAddr)> {
        let (stream, address): (TcpStream, _) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            None => (Box::new(stream), address),
            Some(tls) => (Box::new(tls.accept(stream).await?), address),
        })
    }
}

impl Listener for Endpoint {
    type Io = Box<dyn Duplex>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // A program that is ended in a handshake leaves a connection that comes to nothing.
            if let Ok(opened) = self.opened().await {
                self.shared.traffic().connections += 1;
                return opened;
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn answer(
    State((service, shared)): State<(Service, Arc<Shared>)>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        return response(StatusCode::PAYLOAD_TOO_LARGE, String::new());
    };
    let operation = operation(service, &head.method, &head.headers);
    let json = serde_json::from_slice(&body).unwrap_or_default();
    let mut traffic = shared.traffic();
    let call = format!("{}.{operation}", service.name());
    *traffic.calls.entry(call).or_default() += 1;
    let uri = head
        .uri
        .path_and_query()
        .map_or(1, |uri| uri.as_str().len());
    let headers = head.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    traffic.request_bytes += count(uri + headers + body.len());
    match replied(&shared, service, &operation, &json, &mut traffic) {
        Some(reply) => response(StatusCode::OK, reply),
        None => response(
            StatusCode::BAD_REQUEST,
            json!({ "__type": "UnknownOperationException" }).to_string(),
        ),
    }
}

/// What is asked for: the header's word, or the method where the service has no such header.
fn operation(service: Service, method: &Method, headers: &HeaderMap) -> String {
    let target = headers
        .get("x-amz-target")
        .and_then(|value| value.to_str().ok());
    match target.and_then(|target| target.rsplit('.').next()) {
        Some(word) => word.to_owned(),
        None if service == Service::S3 => method.to_string(),
        None => WARM_UP.to_owned(),
    }
}

fn response(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("application/x-amz-json-1.0");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, kind);
    response
}

/// The body of the answer; `None` where the stand does not know what is asked for.
fn replied(
    shared: &Shared,
    service: Service,
    operation: &str,
    request: &Value,
    traffic: &mut Traffic,
) -> Option<String> {
    let reply = match (service, operation) {
        (Service::Dynamo, "GetItem") => {
            let is_consistent = request.get("ConsistentRead") == Some(&Value::Bool(true));
            traffic.units.reads += if is_consistent { 1.0 } else { 0.5 };
            let key = request.pointer("/Key/pk/S").and_then(Value::as_str);
            match key == Some(&format!("token#{}", shared.token)) {
                true => json!({ "Item": {
                    "pk": { "S": key },
                    "account": { "S": ACCOUNT },
                    "source": { "S": "orderspace" },
                    "status": { "S": "live" },
                }}),
                false => json!({}),
            }
        }
        (Service::Dynamo, "PutItem" | "UpdateItem") => {
            let item = items::written(request)?;
            traffic.units.writes += items::write_units(items::bytes(&item));
            let table = request.get("TableName").and_then(Value::as_str)?;
            traffic.items.push(Item {
                table: table.to_owned(),
                attributes: item,
            });
            json!({})
        }
        (Service::Sqs, "SendMessageBatch") => sent(request, traffic)?,
        (Service::Secrets, "GetSecretValue") => {
            traffic.units.secrets += 1.0;
            let registration = json!({ "version": 0, "macs": [shared.key] });
            let keys = json!({ "registrations": { &shared.token: registration } });
            json!({ "Name": "signing", "SecretString": keys.to_string() })
        }
        (Service::S3, "PUT") => {
            traffic.units.puts += 1.0;
            return Some(String::new());
        }
        (Service::Dynamo | Service::Sqs | Service::Secrets, WARM_UP) => json!({}),
        _ => return None,
    };
    Some(reply.to_string())
}

fn sent(request: &Value, traffic: &mut Traffic) -> Option<Value> {
    let queue = request.get("QueueUrl")?.as_str()?.rsplit('/').next()?;
    let mut bytes = 0;
    let mut is_grouped = false;
    let mut accepted = Vec::new();
    for entry in request.get("Entries")?.as_array()? {
        let body = entry.get("MessageBody")?.as_str()?;
        bytes += count(body.len()) + attribute_bytes(entry);
        is_grouped |= entry.get("MessageGroupId").is_some();
        accepted.push(json!({
            "Id": entry.get("Id")?,
            "MessageId": format!("{:036}", traffic.messages.len()),
            "MD5OfMessageBody": hex::encode(Md5::digest(body)),
        }));
        traffic.messages.push(Message {
            queue: queue.to_owned(),
            body: body.to_owned(),
        });
    }
    let requests = chunks(bytes, SQS_CHUNK);
    traffic.units.sqs += requests;
    traffic.units.grouped += if is_grouped { requests } else { 0.0 };
    Some(json!({ "Successful": accepted, "Failed": [] }))
}

/// What a message's attributes add to its size.
fn attribute_bytes(entry: &Value) -> u64 {
    let attributes = entry.get("MessageAttributes").and_then(Value::as_object);
    let sizes = attributes.into_iter().flatten().map(|(name, value)| {
        let text = |member| {
            value
                .get(member)
                .and_then(Value::as_str)
                .map_or(0, str::len)
        };
        count(name.len() + text("DataType") + text("StringValue"))
    });
    sizes.sum()
}

/// How many parts of a size something has, at least one.
pub fn chunks(bytes: u64, size: u64) -> f64 {
    let parts = bytes.div_ceil(size).max(1);
    u32::try_from(parts).map_or(f64::MAX, f64::from)
}

fn count(many: usize) -> u64 {
    u64::try_from(many).unwrap_or(u64::MAX)
}

/// TLS for the endpoints, by the certificate that lies in a folder.
///
/// # Errors
/// It cannot be read.
pub fn tls(folder: &std::path::Path) -> Result<TlsAcceptor> {
    let read = |file: &str| {
        let path = folder.join(file);
        std::fs::read(&path).with_context(|| format!("{} could not be read", path.display()))
    };
    let certificate = rustls::pki_types::CertificateDer::from(read("endpoint.der")?);
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(read("endpoint.key")?);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn shared() -> Shared {
        Shared {
            traffic: Mutex::default(),
            token: "abc".to_owned(),
            key: "key".to_owned(),
        }
    }

    /// What the stand answers, and what it noted.
    fn asked(service: Service, operation: &str, request: &Value) -> (Option<Value>, Traffic) {
        let mut traffic = Traffic::default();
        let reply = replied(&shared(), service, operation, request, &mut traffic);
        let reply = reply.map(|text| serde_json::from_str(&text).unwrap_or_default());
        (reply, traffic)
    }

    fn read(key: &str, consistent: bool) -> Value {
        json!({ "Key": { "pk": { "S": key } }, "ConsistentRead": consistent })
    }

    #[rstest]
    #[case::the_token("token#abc", false, true, 0.5)]
    #[case::another_token("token#abd", false, false, 0.5)]
    #[case::a_marker("#retry#acme", true, false, 1.0)]
    fn one_token_is_known(
        #[case] key: &str,
        #[case] consistent: bool,
        #[case] is_known: bool,
        #[case] units: f64,
    ) {
        let (reply, traffic) = asked(Service::Dynamo, "GetItem", &read(key, consistent));
        assert_eq!(reply.unwrap().get("Item").is_some(), is_known);
        assert!((traffic.units.reads - units).abs() < f64::EPSILON);
    }

    #[test]
    fn messages_are_billed_by_64_kilobytes() {
        let entry = |id: &str, group: Option<&str>| {
            let mut entry = json!({ "Id": id, "MessageBody": "x".repeat(40_000) });
            if let Some(group) = group {
                entry["MessageGroupId"] = group.into();
            }
            entry
        };
        let send = |entries: Value| {
            let request = json!({ "QueueUrl": "https://a/0/orders", "Entries": entries });
            asked(Service::Sqs, "SendMessageBatch", &request)
        };
        let (reply, traffic) = send(json!([entry("0", None), entry("1", Some("acme"))]));
        let units = (traffic.units.sqs, traffic.units.grouped);
        assert_eq!(units, (2.0, 2.0));
        assert_eq!(reply.unwrap()["Successful"].as_array().unwrap().len(), 2);
        assert_eq!(traffic.messages.len(), 2);
        assert_eq!(traffic.messages[0].queue, "orders");
        let (_, traffic) = send(json!([entry("0", None)]));
        assert_eq!((traffic.units.sqs, traffic.units.grouped), (1.0, 0.0));
    }

    #[test]
    fn what_is_written_is_noted_and_billed() {
        let item = json!({ "pk": { "S": "p" }, "data": { "S": "d".repeat(1_100) } });
        let request = json!({ "TableName": "records", "Item": item });
        let (reply, traffic) = asked(Service::Dynamo, "PutItem", &request);
        assert_eq!(reply, Some(json!({})));
        assert!((traffic.units.writes - 2.0).abs() < f64::EPSILON);
        assert_eq!(traffic.items[0].table, "records");
        assert_eq!(traffic.items[0].bytes(), 3 + 1_104);
    }

    /// A call that no clean run makes fails, so that nobody takes its answer for work that was done.
    #[rstest]
    #[case(Service::Dynamo, "Scan")]
    #[case(Service::Sqs, "ReceiveMessage")]
    #[case(Service::Secrets, "PutSecretValue")]
    #[case(Service::S3, "GET")]
    #[case(Service::Sqs, "SendMessageBatch")]
    #[case(Service::Dynamo, "UpdateItem")]
    fn what_is_not_known_is_refused(#[case] service: Service, #[case] operation: &str) {
        let (reply, traffic) = asked(service, operation, &json!({}));
        assert_eq!(reply, None);
        assert!(traffic.messages.is_empty() && traffic.items.is_empty());
    }

    #[test]
    fn a_connection_that_asks_for_nothing_is_no_call() {
        let warm_up = format!("sqs.{WARM_UP}");
        let calls = BTreeMap::from([(warm_up, 3), ("sqs.SendMessageBatch".to_owned(), 2)]);
        let traffic = Traffic {
            calls,
            ..Traffic::default()
        };
        assert_eq!(traffic.asked(), 2);
    }
}
