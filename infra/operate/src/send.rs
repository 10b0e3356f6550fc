//! A genuine delivery to one's own stack: made and proved as the account's source does, posted at the real door.
//!
//! The secret that proves it is read with the operator's own permission. The URL is not: its token is stored nowhere, so that the operator has
//! to copy it from where it is registered. It is held against the registrations that have keys, so that no other address
//! ever gets a proof.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use domain::account::{AccountName, UrlToken};
use domain::delivery::Delivery;
use domain::event::{Effect, EventType};
use domain::identity::{BodyHash, DeliveryId, EventIndex};
use domain::ports::Receipt;
use domain::record::Subject;
use domain::signature::{LiveSecrets, MacKey, Place, SharedSecret};
use domain::source::Source;
use domain::timestamp::Timestamp;
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use sources::{Protocol, SignedDelivery, protocol};
use tokio::time::Instant;

use crate::kept;
use crate::stack::Stack;
use calls::dynamodb::{self, Item};
use calls::{Calls, Error, secrets};

/// How long to wait between two looks at a record.
const PAUSE: Duration = Duration::from_millis(500);

/// Receipts that are looked through for the delivery's own.
const RECEIPTS: u32 = 20;

/// One event of every type of every source, by the types that teams see: `infra/events/examples`.
static EXAMPLES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// The record of the published example of a type; none where this release has none.
#[must_use]
pub fn example(source: Source, event_type: &EventType) -> Option<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Example {
        data: Box<RawValue>,
    }
    let name = format!("{source}.{event_type}");
    let (_, text) = EXAMPLES.iter().find(|(named, _)| *named == name)?;
    serde_json::from_str::<Example>(text)
        .ok()
        .map(|example| example.data)
}

/// A hook's URL, whose last segment is a secret.
#[derive(Clone)]
pub struct HookUrl(SecretString);

impl HookUrl {
    /// Takes a URL.
    #[must_use]
    pub fn new(url: SecretString) -> Self {
        Self(url)
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookUrl(_)")
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// The status that the source would have seen.
    pub status: u16,
    /// Whether the source would take that for success.
    pub is_accepted: bool,
    /// The delivery, as far as its receipt is found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// Its event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// What the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whether the record has the event's data; none where events of this type leave no record, or it was not looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_applied: Option<bool>,
}

/// What is kept of an account's keys, until it is where it cannot print: without `Debug`. Other members are passed over.
#[derive(Deserialize)]
struct Signing {
    #[serde(default)]
    registrations: BTreeMap<String, Registration>,
}

#[derive(Deserialize)]
struct Registration {
    #[serde(default)]
    macs: Vec<String>,
    #[serde(default)]
    basic: Vec<String>,
    #[serde(default)]
    header: Vec<String>,
}

impl Registration {
    fn secrets(&self) -> LiveSecrets {
        let at = |place| move |secret: &String| SharedSecret::new(place, secret.clone());
        let basic = self.basic.iter().map(at(Place::Basic));
        let header = self.header.iter().map(at(Place::Header));
        LiveSecrets {
            macs: self.macs.iter().cloned().map(MacKey::new).collect(),
            shared: basic.chain(header).collect(),
        }
    }
}

/// Sends an event, and waits up to `patience` until its record has it.
///
/// # Errors
/// [`Error::Usage`] where the URL is none of the account's, brings no events of this type, or has no secret that proves its
/// deliveries, and where the record says that it is of another type; [`Error::Permission`] where the caller may not read the
/// secrets.
pub async fn send(
    calls: &Calls,
    stack: &Stack,
    account: &AccountName,
    url: &HookUrl,
    (event_type, record): (&EventType, &RawValue),
    patience: Duration,
) -> Result<Sent, Error> {
    let source = kept::source_of(calls, stack, account).await?;
    let protocol = protocol(source);
    let part = protocol.part(event_type.as_str());
    let secrets = secrets_of(calls, stack, account, (source, part), url).await?;
    let title = protocol.facts().title;
    let delivery = protocol.signed_delivery(&secrets, event_type, record, crate::when::now());
    let delivery = delivery.ok_or_else(|| {
        Error::Usage(format!(
            "account {account} has no key for a webhook with this URL that {title} would prove its deliveries with: \
             orderhook accounts check {account}"
        ))
    })?;
    let found = type_of(protocol, &delivery, part);
    if found.as_ref() != Some(event_type) {
        let found = found.map_or_else(|| "no event".to_owned(), |found| found.to_string());
        return Err(Error::Usage(format!(
            "{title} names the type in the record, and this one is {found}: give the record of a {event_type}"
        )));
    }
    let (hash, body) = (BodyHash::of(&delivery.body), delivery.body);
    #[expect(clippy::disallowed_methods, reason = "the one place that posts to it")]
    let address = url.0.expose_secret();
    let status = calls
        .deliver(address.trim(), &delivery.headers, body)
        .await?;
    let mut sent = Sent {
        status,
        is_accepted: status == protocol.facts().success,
        delivery: None,
        event: None,
        subject: None,
        is_applied: None,
    };
    if !sent.is_accepted {
        return Ok(sent);
    }
    let Some(id) = find(calls, stack, account, hash).await? else {
        return Ok(sent);
    };
    sent.delivery = Some(id.to_string());
    let Some(kept) = kept::delivery(calls, stack, account, id).await? else {
        return Ok(sent);
    };
    let Ok(split) = protocol.split(kept.delivery()) else {
        return Ok(sent);
    };
    let Some(event) = split.events.first() else {
        return Ok(sent);
    };
    let envelope = sources::envelope(source, protocol.facts(), account, id, event);
    sent.event = Some(envelope.id.to_string());
    sent.subject = Some(envelope.subject.to_string());
    if event.meaning.effect != Effect::Fact {
        let applied = applied(calls, stack, account, (&envelope.subject, id), patience);
        sent.is_applied = applied.await?;
    }
    Ok(sent)
}

/// The type of the event that a delivery has, as inbound would read it.
fn type_of(protocol: &dyn Protocol, sent: &SignedDelivery, part: &str) -> Option<EventType> {
    let mut headers = HeaderMap::new();
    for (name, value) in &sent.headers {
        headers.insert(*name, HeaderValue::from_str(value).ok()?);
    }
    let delivery = Delivery {
        headers: &protocol.facts().kept(&headers),
        part,
        body: &sent.body,
    };
    let split = protocol.split(delivery).ok()?;
    split.events.first().map(|event| event.event_type.clone())
}

/// The secrets of the registration that the URL is of. The URL has to be that of the part whose events are sent.
async fn secrets_of(
    calls: &Calls,
    stack: &Stack,
    account: &AccountName,
    (source, part): (Source, &str),
    url: &HookUrl,
) -> Result<LiveSecrets, Error> {
    let hooks = format!(
        "{}/{source}/",
        stack.output("HooksUrl")?.trim_end_matches('/')
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "its token is looked for, and nothing of it is kept"
    )]
    let rest = url
        .0
        .expose_secret()
        .trim()
        .strip_prefix(&hooks)
        .map(str::to_owned);
    let (token, given) = match rest
        .as_deref()
        .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    {
        Some((token, given)) => (token.parse::<UrlToken>().ok(), given),
        None => (None, ""),
    };
    let token = token.ok_or_else(|| {
        Error::Usage(format!(
            "the URL is none of this stack's: it begins with {hooks}"
        ))
    })?;
    if given != part {
        return Err(Error::Usage(match part {
            "" => {
                "events of this type come by the URL that has nothing behind its token".to_owned()
            }
            part => format!("events of this type come by the URL that ends in /{part}"),
        }));
    }
    let name = format!("{}/signing/{account}", stack.name);
    let text = secrets::text(calls, &name).await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "it is read here, and its keys go where they cannot print"
    )]
    let stored: Signing = serde_json::from_str(text.expose_secret())
        // The parser's words could repeat a part of a key.
        .map_err(|_| Error::unreadable(format!("secret {name}"), "it holds no signing keys"))?;
    let registration = stored.registrations.get(&token.hash().to_string());
    Ok(registration.map(Registration::secrets).unwrap_or_default())
}

/// The delivery with these bytes, among the latest that came today or, right after midnight, yesterday.
async fn find(
    calls: &Calls,
    stack: &Stack,
    account: &AccountName,
    hash: BodyHash,
) -> Result<Option<DeliveryId>, Error> {
    const DAY_MILLIS: i128 = 86_400_000;
    let now = time::OffsetDateTime::from(calls::now()).unix_timestamp_nanos() / 1_000_000;
    let there = now + calls.skew_ms().unwrap_or_default();
    for millis in [there, there - DAY_MILLIS, there + DAY_MILLIS] {
        let at = Timestamp::from_millis(u64::try_from(millis).unwrap_or_default());
        let input = json!({
            "TableName": stack.output("ReceiptsTable")?, "KeyConditionExpression": "pk = :pk", "Limit": RECEIPTS,
            "ScanIndexForward": false, "ConsistentRead": true, "ProjectionExpression": "sk, #hash",
            "ExpressionAttributeNames": { "#hash": "hash" },
            "ExpressionAttributeValues": { ":pk": { "S": Receipt::partition_of(account, &at.day()) } },
        });
        let page = dynamodb::query(calls, &input, None).await?;
        let wanted = hash.to_string();
        let mut found = page
            .items
            .iter()
            .filter(|item| item.text("hash") == Some(&wanted));
        if let Some(id) = found.find_map(|item| item.text("sk")?.parse().ok()) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Whether the record has the data of the delivery's first event, or of a later one. None where the event has no record.
async fn applied(
    calls: &Calls,
    stack: &Stack,
    account: &AccountName,
    (subject, delivery): (&Subject, DeliveryId),
    patience: Duration,
) -> Result<Option<bool>, Error> {
    let event = delivery.event(EventIndex::saturating(0));
    let Some(key) = subject.record(account, event) else {
        return Ok(None);
    };
    let key = Item::key(&[("pk", &key.partition()), ("sk", key.id.as_str())]);
    let begun = Instant::now();
    let wanted = event.to_string();
    loop {
        let table = stack.output("RecordsTable")?;
        let item = dynamodb::get(calls, table, &key, &["event_id", "deleted_by"]).await?;
        let is_applied = item.is_some_and(|item| {
            let of = |name| item.text(name).is_some_and(|id| id >= wanted.as_str());
            of("event_id") || of("deleted_by")
        });
        if is_applied || begun.elapsed() >= patience {
            return Ok(Some(is_applied));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
