//! S3: what is too large for a message or an item, or of characters that a queue does not take.
//!
//! Keys are made from ids, so writing the same thing twice leaves one object.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html>

use std::sync::OnceLock;

use domain::envelope::DataRef;
use domain::ports::{ClaimCheck, PortError};

use crate::client::Aws;
use crate::failure::port_error;
use operation::{Get, GetObject, Put, PutObject};

pub mod erase;
mod operation;
mod versions;

/// The largest object that is read, in bytes: a delivery is at most 6 MB, so anything larger is not ours.
const LARGEST: usize = 16 * 1024 * 1024;

const PUTTING: &str = "putting an object";
const GETTING: &str = "getting an object";

/// Whether a code says that the content was refused. An object that is not there is no such code: a version
/// of it may be restored.
fn is_permanent(code: &str) -> bool {
    matches!(code, "EntityTooLarge" | "KeyTooLongError" | "InvalidURI")
}

/// An object above [`LARGEST`].
const TOO_LARGE: &str = "too_large";
/// A reference to another bucket, or to none.
const FOREIGN: &str = "foreign_reference";

/// One bucket. A reference to another one is not followed, whoever wrote it. Its calls are prepared with the first object: few
/// starts ever see one.
#[derive(Debug, Clone)]
pub struct S3Oversize {
    aws: Aws,
    put: OnceLock<PutObject>,
    get: OnceLock<GetObject>,
    bucket: String,
}

impl S3Oversize {
    /// Keeps objects in this bucket of `aws`.
    #[must_use]
    pub fn of(aws: &Aws, bucket: impl Into<String>) -> Self {
        Self {
            aws: aws.clone(),
            put: OnceLock::new(),
            get: OnceLock::new(),
            bucket: bucket.into(),
        }
    }
}

impl ClaimCheck for S3Oversize {
    // Boxed, or every event and every record would carry the state of a call that few of them make.
    async fn put(&self, key: &str, bytes: &[u8]) -> Result<DataRef, PortError> {
        Box::pin(self.put_object(key, bytes)).await
    }

    async fn get(&self, place: &DataRef) -> Result<Vec<u8>, PortError> {
        Box::pin(self.get_object(place)).await
    }
}

impl S3Oversize {
    async fn put_object(&self, key: &str, bytes: &[u8]) -> Result<DataRef, PortError> {
        let input = Put {
            key: key.to_owned(),
            bytes: bytes.to_vec(),
        };
        let put = || operation::put(&self.aws, &self.bucket);
        let answer = self.put.get_or_init(put).invoke(input).await;
        answer.map_err(|error| port_error(PUTTING, &error, is_permanent))?;
        Ok(DataRef::new(&self.bucket, key))
    }

    async fn get_object(&self, place: &DataRef) -> Result<Vec<u8>, PortError> {
        let key = match place.object() {
            Some((bucket, key)) if bucket == self.bucket => key.to_owned(),
            _ => return Err(PortError::transient(GETTING, FOREIGN)),
        };
        let get = || operation::get(&self.aws, &self.bucket);
        let answer = self.get.get_or_init(get).invoke(Get { key }).await;
        let mut object = answer.map_err(|error| port_error(GETTING, &error, is_permanent))?;
        let announced = usize::try_from(object.announced.unwrap_or_default()).unwrap_or(usize::MAX);
        if announced > LARGEST {
            return Err(PortError::permanent(GETTING, TOO_LARGE));
        }
        let mut bytes = Vec::with_capacity(announced);
        while let Some(part) = object.body.next().await {
            let part = part.map_err(|_| PortError::transient(GETTING, "connection"))?;
            // The announced length is only what the answer says of itself.
            if bytes.len() + part.len() > LARGEST {
                return Err(PortError::permanent(GETTING, TOO_LARGE));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
    use domain::ports::ErrorKind;
    use rstest::rstest;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::client::access;

    /// Heads and bodies of the requests.
    pub(super) type Requests = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

    fn aws(endpoint: &str) -> Aws {
        Aws::new(access(endpoint)).unwrap()
    }

    /// S3 that gives these answers, the last one again and again, and closes the connection after each.
    pub(super) async fn s3(answers: Vec<Vec<u8>>) -> (Aws, Requests) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Requests::default();
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                let number = kept.lock().unwrap().len();
                kept.lock().unwrap().push(request);
                let answer = answers.get(number).or(answers.last()).unwrap();
                drop(stream.write_all(answer).await);
            }
        });
        (aws(&format!("http://{address}")), requests)
    }

    async fn read(stream: &mut TcpStream) -> (String, Vec<u8>) {
        let (mut received, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let end = received.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8(received[..end].to_vec()).unwrap();
                let length = header(&head, "content-length").map_or(0, |l| l.parse().unwrap());
                if received.len() == end + 4 + length {
                    return (head, received.split_off(end + 4));
                }
            }
            let length = stream.read(&mut part).await.unwrap();
            assert_ne!(length, 0, "the request is cut off");
            received.extend_from_slice(&part[..length]);
        }
    }

    pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// An answer with its length.
    pub(super) fn answer(status: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
        announcing(status, body.as_ref().len(), body)
    }

    fn announcing(status: u16, length: usize, body: impl AsRef<[u8]>) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status} Any\r\ncontent-length: {length}\r\n");
        [head.as_bytes(), b"connection: close\r\n\r\n", body.as_ref()].concat()
    }

    /// An answer that does not say how long it is.
    fn chunked(body: &[u8], end: &[u8]) -> Vec<u8> {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        let size = format!("{:x}\r\n", body.len());
        [head.as_bytes(), size.as_bytes(), body, b"\r\n", end].concat()
    }

    pub(super) fn xml(code: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>m</Message></Error>"
        )
    }

    fn key_of(place: &DataRef) -> &str {
        place.object().unwrap().1
    }

    const KEY: &str = "events/acme/0199-7f.json";

    /// Neither is needed where no object is: it would be a part of each start.
    #[tokio::test]
    async fn calls_are_prepared_with_the_first_object() {
        let (aws, _) = s3(vec![answer(200, "")]).await;
        let bucket = S3Oversize::of(&aws, "bucket");
        assert!(bucket.put.get().is_none() && bucket.get.get().is_none());
        bucket.put(KEY, b"{}").await.unwrap();
        assert!(bucket.put.get().is_some() && bucket.get.get().is_none());
    }

    #[tokio::test]
    async fn an_object_is_put_with_a_signed_hash_of_its_bytes() {
        let (aws, requests) = s3(vec![answer(200, "")]).await;
        let bucket = S3Oversize::of(&aws, "bucket");
        let place = bucket.put(KEY, b"{}").await.unwrap();
        assert_eq!(place.object(), Some(("bucket", KEY)));
        bucket.put(KEY, &[0, 0xff, b'\r', b'\n']).await.unwrap();
        bucket.put(KEY, b"").await.unwrap();

        let requests = requests.lock().unwrap();
        let bodies: Vec<_> = requests.iter().map(|(_, body)| &**body).collect();
        assert_eq!(bodies, [&b"{}"[..], &[0, 0xff, b'\r', b'\n'], b""]);
        let hashes = requests
            .iter()
            .map(|(head, _)| header(head, "x-amz-content-sha256"));
        let expected = [
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "e9489f37fb3051e9efa1dc916004d7274e7b63975e3209708947267f2393a9be",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ];
        assert_eq!(hashes.flatten().collect::<Vec<_>>(), expected);
        assert_eq!(header(&requests[2].0, "content-length"), Some("0"));

        let (head, _) = &requests[0];
        let line = format!("PUT /bucket/{KEY} HTTP/1.1\r\n");
        assert!(head.starts_with(&line), "{head}");
        let host = aws.s3_endpoint().unwrap();
        assert_eq!(header(head, "host"), host.strip_prefix("http://"));
        assert_eq!(
            header(head, "content-type"),
            Some("application/octet-stream")
        );
        assert_eq!(header(head, "x-amz-security-token"), Some("marker-token"));
        let date = header(head, "x-amz-date").unwrap();
        let authorization = header(head, "authorization").unwrap();
        let day = date.split_once('T').unwrap().0;
        let scope = format!("AWS4-HMAC-SHA256 Credential=id/{day}/eu-west-1/s3/aws4_request, ");
        assert!(authorization.starts_with(&scope), "{authorization}");
        let signed = authorization.split("SignedHeaders=").nth(1).unwrap();
        let signed: Vec<_> = signed.split(',').next().unwrap().split(';').collect();
        for name in [
            "host",
            "x-amz-content-sha256",
            "x-amz-date",
            "x-amz-security-token",
        ] {
            assert!(signed.contains(&name), "{name}: {signed:?}");
        }
        let agent = header(head, "user-agent").unwrap();
        assert!(agent.contains("aws-sdk-rust"), "{agent}");
    }

    #[tokio::test]
    async fn an_object_is_read() {
        let largest = vec![7; LARGEST];
        let answers = vec![
            answer(200, [0, 0xff]),
            answer(200, ""),
            chunked(b"part", b"0\r\n\r\n"),
            answer(200, &largest),
        ];
        let (aws, requests) = s3(answers).await;
        let bucket = S3Oversize::of(&aws, "bucket");
        let place = DataRef::new("bucket", KEY);
        assert_eq!(bucket.get(&place).await.unwrap(), [0, 0xff]);
        assert_eq!(bucket.get(&place).await.unwrap(), b"");
        assert_eq!(bucket.get(&place).await.unwrap(), b"part");
        assert!(bucket.get(&place).await.unwrap() == largest);
        let requests = requests.lock().unwrap();
        let line = format!("GET /bucket/{KEY} HTTP/1.1\r\n");
        assert!(
            requests
                .iter()
                .all(|(head, body)| head.starts_with(&line) && body.is_empty())
        );
        // That of nothing, which a request without a body has to have as well.
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(header(&requests[0].0, "x-amz-content-sha256"), Some(hash));
        assert!(header(&requests[0].0, "authorization").is_some());
    }

    #[rstest]
    #[case::reserved(
        "events/a b#?%é+=&$.json",
        "events/a%20b%23%3F%25%C3%A9%2B%3D%26%24.json"
    )]
    #[case::unreserved("A-z.0_9~", "A-z.0_9~")]
    #[case::encoded("a%2Fb", "a%252Fb")]
    #[case::slashes("/a//b/", "/a//b/")]
    #[case::dots("a/../b/./c", "a/../b/./c")]
    #[case::controls("a\r\nb\0", "a%0D%0Ab%00")]
    #[case::another_plane("\u{1f4e6}", "%F0%9F%93%A6")]
    #[tokio::test]
    async fn a_key_is_sent_with_percent_codes(#[case] key: &str, #[case] path: &str) {
        let (aws, requests) = s3(vec![answer(200, "")]).await;
        let bucket = S3Oversize::of(&aws, "bucket");
        let place = bucket.put(key, b"").await.unwrap();
        assert_eq!(key_of(&place), key);
        bucket.get(&place).await.unwrap();
        let requests = requests.lock().unwrap();
        let lines = requests
            .iter()
            .map(|(head, _)| head.lines().next().unwrap());
        let expected = ["PUT", "GET"].map(|method| format!("{method} /bucket/{path} HTTP/1.1"));
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }

    /// What both calls fail with, and how many requests the first one made.
    async fn errors(refusal: Vec<u8>) -> ([(String, ErrorKind); 2], usize) {
        let (aws, requests) = s3(vec![refusal]).await;
        let bucket = S3Oversize::of(&aws, "bucket");
        let got = bucket.get(&DataRef::new("bucket", KEY)).await.unwrap_err();
        let attempts = requests.lock().unwrap().len();
        let put = bucket.put(KEY, b"{}").await.unwrap_err();
        assert_eq!((got.what, put.what), (GETTING, PUTTING));
        ([got, put].map(|error| (error.code, error.kind)), attempts)
    }

    #[rstest]
    #[case::no_object(404, xml("NoSuchKey"), "NoSuchKey", ErrorKind::Transient, 1)]
    #[case::permission(403, xml("AccessDenied"), "AccessDenied", ErrorKind::Transient, 1)]
    #[case::redirect(
        301,
        xml("PermanentRedirect"),
        "PermanentRedirect",
        ErrorKind::Transient,
        1
    )]
    #[case::size(400, xml("EntityTooLarge"), "EntityTooLarge", ErrorKind::Permanent, 1)]
    #[case::key(
        400,
        xml("KeyTooLongError"),
        "KeyTooLongError",
        ErrorKind::Permanent,
        1
    )]
    #[case::path(400, xml("InvalidURI"), "InvalidURI", ErrorKind::Permanent, 1)]
    #[case::throttled(503, xml("SlowDown"), "SlowDown", ErrorKind::Transient, 3)]
    #[case::service(500, xml("InternalError"), "InternalError", ErrorKind::Transient, 3)]
    #[case::slow(400, xml("RequestTimeout"), "RequestTimeout", ErrorKind::Transient, 3)]
    #[case::no_xml(503, "<html>".to_owned(), "http_503", ErrorKind::Transient, 3)]
    #[case::no_body(404, String::new(), "http_404", ErrorKind::Transient, 1)]
    #[case::no_word(400, xml("two words"), "http_400", ErrorKind::Transient, 1)]
    #[tokio::test]
    async fn a_refused_call_has_the_code_of_s3(
        #[case] status: u16,
        #[case] body: String,
        #[case] code: &str,
        #[case] kind: ErrorKind,
        #[case] attempts: usize,
    ) {
        let expected = (code.to_owned(), kind);
        let expected = ([expected.clone(), expected], attempts);
        assert_eq!(errors(answer(status, body)).await, expected);
    }

    #[tokio::test]
    async fn a_throttled_call_is_made_again() {
        let busy = answer(503, xml("SlowDown"));
        let answers = vec![
            busy.clone(),
            busy.clone(),
            answer(200, ""),
            busy,
            answer(200, "a"),
        ];
        let (aws, requests) = s3(answers).await;
        let bucket = S3Oversize::of(&aws, "bucket");
        let place = bucket.put(KEY, b"{}").await.unwrap();
        assert_eq!(bucket.get(&place).await.unwrap(), b"a");
        let requests = requests.lock().unwrap();
        let bodies: Vec<_> = requests.iter().map(|(_, body)| &**body).collect();
        assert_eq!(bodies, [&b"{}"[..], b"{}", b"{}", b"", b""]);
        // One call is recognised by its id, and each attempt of it by its number.
        let id = |number: usize| header(&requests[number].0, "amz-sdk-invocation-id").unwrap();
        assert_eq!(id(0), id(2));
        assert_ne!(id(2), id(3));
        let attempt = header(&requests[2].0, "amz-sdk-request").unwrap();
        assert!(attempt.contains("attempt=3"), "{attempt}");
    }

    #[rstest]
    #[case::announced(announcing(200, LARGEST + 1, ""), TOO_LARGE, ErrorKind::Permanent)]
    #[case::beyond_any(
        b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551000\r\n\r\n".to_vec(),
        TOO_LARGE,
        ErrorKind::Permanent
    )]
    #[case::streamed(chunked(&vec![7; LARGEST + 1], b"0\r\n\r\n"), TOO_LARGE, ErrorKind::Permanent)]
    #[case::cut_off(announcing(200, 10, "four"), "connection", ErrorKind::Transient)]
    #[case::cut_off_between_chunks(chunked(b"four", b""), "connection", ErrorKind::Transient)]
    #[tokio::test]
    async fn a_body_is_read_to_its_end_and_to_the_limit(
        #[case] answer: Vec<u8>,
        #[case] code: &str,
        #[case] kind: ErrorKind,
    ) {
        let (aws, _) = s3(vec![answer]).await;
        let bucket = S3Oversize::of(&aws, "bucket");
        let error = bucket.get(&DataRef::new("bucket", KEY)).await.unwrap_err();
        assert_eq!((&*error.code, error.kind), (code, kind));
    }

    /// As with every client of the SDK, only a connection that ends is made again.
    #[rstest]
    #[case::no_http(b"SSH-2.0\r\n".to_vec(), 1)]
    #[case::nothing(Vec::new(), 3)]
    #[tokio::test]
    async fn what_is_no_answer_is_a_transient_error(
        #[case] answer: Vec<u8>,
        #[case] attempts: usize,
    ) {
        let expected = ("connection".to_owned(), ErrorKind::Transient);
        let expected = ([expected.clone(), expected], attempts);
        assert_eq!(errors(answer).await, expected);
    }

    #[rstest]
    // Nothing listens on the discard port of this machine.
    #[case::refused("http://127.0.0.1:9")]
    #[case::no_address("nonsense")]
    #[tokio::test]
    async fn a_service_that_is_not_there_is_a_transient_error(#[case] endpoint: &str) {
        let bucket = S3Oversize::of(&aws(endpoint), "bucket");
        let error = bucket.put(KEY, b"{}").await.unwrap_err();
        let expected = ("connection", ErrorKind::Transient);
        assert_eq!((&*error.code, error.kind), expected);
    }

    #[tokio::test]
    async fn an_answer_has_its_time() {
        // What connects waits in the backlog.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let aws = aws(&format!("http://{}", listener.local_addr().unwrap()));
        let short = TimeoutConfig::builder().operation_timeout(Duration::from_millis(50));
        let bucket = S3Oversize::of(&aws.with_timeouts(short.build()), "bucket");
        let error = bucket.put(KEY, b"{}").await.unwrap_err();
        assert_eq!(
            (&*error.code, error.kind),
            ("timeout", ErrorKind::Transient)
        );
    }

    /// A request without a key would be about the bucket: it would make one, or list one.
    #[tokio::test]
    async fn no_request_is_made_without_a_key_or_for_another_bucket() {
        let (aws, requests) = s3(vec![answer(200, "")]).await;
        let bucket = S3Oversize::of(&aws, "bucket");
        let put = bucket.put("", b"{}").await.unwrap_err();
        let got = bucket.get(&DataRef::new("bucket", "")).await.unwrap_err();
        let foreign = bucket.get(&DataRef::new("another", KEY)).await.unwrap_err();
        let codes = [put, got, foreign].map(|error| (error.code, error.kind));
        let expected = ["construction", "construction", FOREIGN];
        assert_eq!(
            codes,
            expected.map(|code| (code.to_owned(), ErrorKind::Transient))
        );
        assert_eq!(requests.lock().unwrap().len(), 0);
    }
}
