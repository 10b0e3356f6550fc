//! What a call to AWS is, read from its request without understanding all of it.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use memchr::memmem;
use serde_json::Value;

/// The header that names the operation of a call in JSON.
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// A call on its way to AWS.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Service and operation, such as `sqs:SendMessageBatch` or `s3:PUT`.
    pub(super) operation: String,
    /// What it is about: a queue, a table, a secret, a bucket with its key. Empty where that is not known.
    pub(super) resource: String,
    /// Messages in a batch; 0 for anything else.
    pub(super) entries: usize,
}

impl Request {
    pub(super) fn read(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Self {
        let operation = operation(&method, &uri, &headers, &body);
        let is_json = headers.contains_key(TARGET);
        let json = is_json.then(|| serde_json::from_slice::<Value>(&body).ok());
        let json = json.flatten().unwrap_or_default();
        let name = |member: &str| json.get(member).and_then(Value::as_str);
        let resource = ["QueueUrl", "TableName", "SecretId"]
            .into_iter()
            .find_map(name)
            .unwrap_or_else(|| uri.path());
        let entries = json.get("Entries").and_then(Value::as_array);
        Self {
            resource: resource.to_owned(),
            entries: entries.map_or(0, Vec::len),
            operation,
            method,
            uri,
            headers,
            body,
        }
    }

    /// Whether a text stands in the path, or in a body that asks for something. S3's bodies ask for nothing: they are
    /// what is kept, megabytes of it.
    pub(super) fn contains(&self, marker: &str) -> bool {
        let is_s3 = self.operation.starts_with("s3:");
        self.uri.path().contains(marker)
            || !is_s3 && memmem::find(&self.body, marker.as_bytes()).is_some()
    }
}

/// AWS's JSON protocols name the operation in a header, its query protocol in the body, S3 by the method.
fn operation(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> String {
    let target = headers
        .get(TARGET)
        .and_then(|value| value.to_str().ok())
        .and_then(|target| target.split_once('.'));
    if let Some((service, operation)) = target {
        let service = service.split('_').next().unwrap_or(service);
        let service = service.strip_prefix("Amazon").unwrap_or(service);
        return format!("{}:{operation}", service.to_ascii_lowercase());
    }
    let action = std::str::from_utf8(body).ok().and_then(|body| {
        body.split('&')
            .find_map(|pair| pair.strip_prefix("Action="))
    });
    match action {
        Some(action) => format!("query:{action}"),
        // A function opens its connections ahead of the first call with this.
        None if uri.path() == "/" => format!("none:{method}"),
        None => format!("s3:{method}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use rstest::rstest;

    /// A call without a target.
    fn plain(method: &str, path: &str, body: &str) -> Request {
        let (method, uri) = (method.parse().unwrap(), path.parse().unwrap());
        Request::read(method, uri, HeaderMap::new(), Bytes::from(body.to_owned()))
    }

    /// A call of one of AWS's JSON protocols.
    pub(in crate::proxy) fn targeted(path: &str, target: &str, body: &str) -> Request {
        let headers = HeaderMap::from_iter([(TARGET, target.parse().unwrap())]);
        let body = Bytes::from(body.to_owned());
        Request::read(Method::POST, path.parse().unwrap(), headers, body)
    }

    #[rstest]
    #[case(
        "AmazonSQS.SendMessageBatch",
        r#"{"QueueUrl":"http://q/1/Orders","Entries":[1,2]}"#,
        "sqs:SendMessageBatch",
        "http://q/1/Orders",
        2
    )]
    #[case(
        "DynamoDB_20120810.GetItem",
        r#"{"TableName":"records"}"#,
        "dynamodb:GetItem",
        "records",
        0
    )]
    #[case(
        "secretsmanager.GetSecretValue",
        r#"{"SecretId":"a/b"}"#,
        "secretsmanager:GetSecretValue",
        "a/b",
        0
    )]
    #[case(
        "AmazonSQS.SendMessageBatch",
        "no json",
        "sqs:SendMessageBatch",
        "/",
        0
    )]
    fn a_call_in_json_is_known_by_operation_and_resource(
        #[case] target: &str,
        #[case] body: &str,
        #[case] operation: &str,
        #[case] resource: &str,
        #[case] entries: usize,
    ) {
        let request = targeted("/", target, body);
        assert_eq!(request.operation, operation);
        assert_eq!(request.resource, resource);
        assert_eq!(request.entries, entries);
    }

    #[rstest]
    #[case("PUT", "/bucket/events/acme/1", "any", "s3:PUT")]
    #[case(
        "POST",
        "/",
        "Action=GetCallerIdentity&Version=1",
        "query:GetCallerIdentity"
    )]
    #[case("GET", "/", "", "none:GET")]
    fn another_call_is_known_by_operation_and_path(
        #[case] method: &str,
        #[case] path: &str,
        #[case] body: &str,
        #[case] operation: &str,
    ) {
        let request = plain(method, path, body);
        assert_eq!(request.operation, operation);
        assert_eq!((request.resource.as_str(), request.entries), (path, 0));
    }

    #[rstest]
    #[case("acme", true)]
    #[case("aacme", true)]
    #[case("acm", true)]
    #[case("acmee", false)]
    #[case("bucket", true)]
    #[case("", true)]
    fn a_marker_is_found_in_path_and_body(#[case] marker: &str, #[case] found: bool) {
        let request = targeted("/bucket/1", "AmazonSQS.SendMessage", "xaaacme");
        assert_eq!(request.contains(marker), found);
    }

    #[test]
    fn what_is_kept_in_s3_is_not_searched() {
        let request = plain("PUT", "/bucket/acme", "other");
        assert!(request.contains("acme"));
        assert!(!request.contains("other"));
    }
}
