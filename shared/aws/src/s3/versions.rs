//! The two calls that erase: a page of all versions of objects, and the deletion of chosen ones. Only the function that erases
//! makes them.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::uri;
use roxmltree::{Document, Node};
use sha2::{Digest as _, Sha256};

use super::operation::{self, Refused};
use crate::client::Aws;

/// The namespace of S3's documents.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// A document that is not as S3 gives it.
const UNREADABLE: &str = "unreadable";

/// One version of an object, or the marker of a deletion, which has a version of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) key: String,
    pub(super) id: String,
}

/// Where a page ended: the key and the id of its last version.
pub(super) type Markers = (String, String);

/// What [`list`] takes.
#[derive(Debug)]
pub(super) struct List {
    pub(super) prefix: String,
    /// How many versions a page has, at most 1,000.
    pub(super) limit: usize,
    /// Where the page begins: [`Listed::next`] of the page before it.
    pub(super) after: Option<Markers>,
}

/// A page of versions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) versions: Vec<Version>,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<Markers>,
}

/// The code of the first version that was kept, where one was: S3 answers 200 all the same.
pub(super) type Kept = Option<String>;

pub(super) type ListVersions = Operation<List, Listed, Refused>;
pub(super) type DeleteVersions = Operation<Vec<Version>, Kept, Refused>;

/// Lists the versions of a bucket's objects.
pub(super) fn list(aws: &Aws, bucket: &str) -> ListVersions {
    operation::builder(aws, bucket, "ListObjectVersions")
        .serializer(|list: List| request("GET", &query(&list), SdkBody::empty()))
        .deserializer(|answer| content(answer, "ListVersionsResult", listed))
        .build()
}

/// Deletes at most 1,000 versions. The checksum is the one that S3 demands of this call.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>
pub(super) fn delete(aws: &Aws, bucket: &str) -> DeleteVersions {
    operation::builder(aws, bucket, "DeleteObjects")
        .serializer(|versions: Vec<Version>| {
            let document = deletion(&versions);
            let length = document.len().to_string();
            let checksum = STANDARD.encode(Sha256::digest(&document));
            let mut request = request("POST", "delete", SdkBody::from(document))?;
            let headers = request.headers_mut();
            headers.insert("content-type", "application/xml");
            headers.insert("content-length", length);
            headers.insert("x-amz-checksum-sha256", checksum);
            Ok(request)
        })
        .deserializer(|answer| content(answer, "DeleteResult", kept))
        .build()
}

/// A request about the bucket itself.
fn request(method: &str, query: &str, body: SdkBody) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(body);
    request.set_method(method)?;
    request.set_uri(format!("/?{query}"))?;
    Ok(request)
}

fn query(list: &List) -> String {
    let mut query = "versions".to_owned();
    let mut add = |name: &str, value: &str| {
        query.push_str(&format!("&{name}={}", uri::query_value(value)));
    };
    let after = list.after.as_ref();
    if let Some((key, _)) = after {
        add("key-marker", key);
    }
    add("max-keys", &list.limit.to_string());
    add("prefix", &list.prefix);
    if let Some((_, version)) = after {
        add("version-id-marker", version);
    }
    query
}

/// The document that names what is deleted. S3's answer names only the versions that it kept.
fn deletion(versions: &[Version]) -> String {
    let mut document = format!("<Delete xmlns=\"{NAMESPACE}\"><Quiet>true</Quiet>");
    for Version { key, id } in versions {
        let (key, id) = (text(key), text(id));
        document.push_str(&format!(
            "<Object><Key>{key}</Key><VersionId>{id}</VersionId></Object>"
        ));
    }
    document.push_str("</Delete>");
    document
}

/// As the text of an element.
fn text(value: &str) -> String {
    value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\r', "&#13;")
}

/// What an answer says. One that is not as S3 gives it, or not whole, is an error: nothing is taken for erased by it.
fn content<T>(
    answer: &HttpResponse,
    root: &str,
    read: fn(Node<'_, '_>) -> Option<T>,
) -> Result<T, OrchestratorError<Refused>> {
    let body = answer.body().bytes().unwrap_or_default();
    let document = std::str::from_utf8(body).ok();
    let document = document.and_then(|text| Document::parse(text).ok());
    let is = |name| {
        let root = document.as_ref().map(Document::root_element);
        root.filter(|root| root.tag_name().name() == name)
    };
    // S3 may have begun to answer with 200 before it fails.
    if !answer.status().is_success() || is("Error").is_some() {
        return Err(OrchestratorError::operation(operation::refused(answer)));
    }
    is(root)
        .and_then(read)
        .ok_or_else(|| OrchestratorError::operation(Refused::with_code(UNREADABLE)))
}

fn listed(root: Node<'_, '_>) -> Option<Listed> {
    let is_version =
        |node: &Node<'_, '_>| matches!(node.tag_name().name(), "Version" | "DeleteMarker");
    let versions = root.children().filter(is_version).map(|node| {
        Some(Version {
            key: child(node, "Key")?,
            id: child(node, "VersionId")?,
        })
    });
    let next = match &*child(root, "IsTruncated")? {
        "false" => None,
        "true" => Some((
            child(root, "NextKeyMarker")?,
            child(root, "NextVersionIdMarker")?,
        )),
        _ => return None,
    };
    Some(Listed {
        versions: versions.collect::<Option<_>>()?,
        next,
    })
}

fn kept(root: Node<'_, '_>) -> Option<Kept> {
    let error = root
        .children()
        .find(|node| node.tag_name().name() == "Error");
    let code = |error| child(error, "Code").filter(|code| operation::is_code(code));
    Some(error.map(|error| code(error).unwrap_or_else(|| UNREADABLE.to_owned())))
}

/// The text of a child that is there and not empty.
fn child(node: Node<'_, '_>, name: &str) -> Option<String> {
    let child = node
        .children()
        .find(|child| child.tag_name().name() == name)?;
    child.text().map(str::to_owned)
}
