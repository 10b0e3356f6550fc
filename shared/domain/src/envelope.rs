//! The envelope: what travels through the lanes and what teams get. CloudEvents 1.0, structured JSON.
//!
//! The record stands in it byte for byte as the source sent it: an envelope is written as text around the
//! record, never as a tree that contains it.
//!
//! While a release is rolled out, functions of two releases run side by side. So **readers learn a member one
//! release before writers send it**: a member that is new here is read and passed on, and written first by the
//! release after. What this release does not know all the same is a newer one's, and no reason to give an event
//! up: [`EnvelopeError::Unknown`] says that it can be read later, by another.
//!
//! | member | read since | written since |
//! |---|---|---|
//! | `sourceid`, `sourcetime`, `sequence` | 0.2.0 | 0.2.0, for sources that send an id or a time alone |
//! | `sourcetype` | 0.2.0 | 0.2.0, in unified events: they go to teams and never back into a lane |
//! | `replayjob` | 0.2.0 | not yet |
//! | all others | 0.1.0 | 0.1.0 |
//!
//! `sourceid`, `sourcetime` and `sequence` need not wait for a release: only sources bring them whose accounts no release
//! before 0.2.0 can connect, so none of its functions is there to read them.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::str::FromStr;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::account::AccountName;
use crate::event::EventType;
use crate::identity::{DeliveryId, EventId};
use crate::provenance::{Provenance, ReplayJobId, Sequence};
use crate::record::Subject;
use crate::source::Source;
use crate::timestamp::Timestamp;
use crate::unified::{Unified, UnifiedType};

/// An event on its way.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// The event's id; sorts by first sight.
    pub id: EventId,
    /// The system it came from.
    pub source: Source,
    /// The account it came from.
    pub account: AccountName,
    /// What happened, as the source names it.
    pub event_type: EventType,
    /// To what.
    pub subject: Subject,
    /// What the source sends about it besides the record.
    pub provenance: Provenance,
    /// What we say of it besides.
    pub marks: Marks,
    /// The record.
    pub content: Content<'a>,
}

/// What an envelope says besides the event itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Type and bytes equal those of the record's previous event: perhaps the same, perhaps it happened twice.
    pub possible_duplicate: bool,
    /// An operator sent the event again.
    pub replayed: bool,
    /// The job by which an operator did.
    pub replay_job: Option<ReplayJobId>,
}

/// A record, here or elsewhere.
#[derive(Debug, Clone)]
pub enum Content<'a> {
    /// The record's bytes.
    Inline(&'a RawValue),
    /// Where the record's bytes are kept: too large for a message, or of characters that a queue refuses.
    Stored(DataRef),
}

/// Where a record's bytes are kept, as `s3://bucket/key`; the CloudEvents claim-check extension `dataref`.
///
/// <https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/dataref.md>
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DataRef(String);

impl DataRef {
    /// The reference to an object.
    #[must_use]
    pub fn new(bucket: &str, key: &str) -> Self {
        Self(format!("s3://{bucket}/{key}"))
    }

    /// Reads a reference; `None` for text that names no bucket and key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let place = Self(text.to_owned());
        place.object().is_some().then_some(place)
    }

    /// The reference as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Bucket and key, where the text names both.
    #[must_use]
    pub fn object(&self) -> Option<(&str, &str)> {
        self.0.strip_prefix("s3://")?.split_once('/')
    }
}

/// The largest body of a message, in bytes, less what attributes and marks may add.
///
/// A queue may take as little as 256 KiB of a message, attributes included, so that is what the default keeps
/// to. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InlineLimit(usize);

/// What attributes (a type, an account, a subject of 1 KiB with their names) and marks may add to a body.
const HEADROOM: usize = 2048;

impl InlineLimit {
    /// A limit in bytes for a message with its attributes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(bytes)
    }

    /// Whether a body may travel in a message: it is small enough, and every character is one that SQS takes.
    #[must_use]
    pub fn admits(self, text: &Body<'_>) -> bool {
        text.len() + HEADROOM <= self.0 && text.is_sendable()
    }
}

/// A message's body around a record that is copied once, when the message is made.
#[derive(Debug, Clone)]
pub struct Body<'a> {
    before: String,
    record: &'a str,
    after: &'static str,
}

impl<'a> Body<'a> {
    /// A body that consists of its own words.
    #[must_use]
    pub fn whole(text: String) -> Self {
        Self {
            before: text,
            record: "",
            after: "",
        }
    }

    /// A body with JSON of somebody else's as its last member. `before` is open at that point.
    #[must_use]
    pub fn wrapping(before: String, json: &'a str) -> Self {
        Self {
            before,
            record: json,
            after: "}",
        }
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.before.len() + self.record.len() + self.after.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether SQS takes every character.
    #[must_use]
    pub fn is_sendable(&self) -> bool {
        is_sendable(&self.before) && is_sendable(self.record)
    }

    /// The text.
    #[must_use]
    pub fn to_text(&self) -> String {
        [&*self.before, self.record, self.after].concat()
    }
}

/// Whether SQS takes every character: all of XML 1.0's, which leaves out the controls (JSON has none raw, but
/// an attribute may), U+FFFE and U+FFFF.
///
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
#[must_use]
pub fn is_sendable(text: &str) -> bool {
    let is_control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
    let is_refused = |bytes: &[u8]| matches!(bytes, [FIRST_OF_REFUSED, 0xBF, 0xBE | 0xBF]);
    let bytes = text.as_bytes();
    // In chunks that a processor compares in a few steps: nearly none has a byte that is worth another look.
    let (chunks, rest) = bytes.as_chunks::<64>();
    let mut has_first = false;
    for chunk in chunks.iter().map(|chunk| &chunk[..]).chain([rest]) {
        let doubtful = |found, byte: &u8| found | (*byte < 0x20) | (*byte == FIRST_OF_REFUSED);
        if chunk.iter().fold(false, doubtful) {
            if chunk.iter().any(is_control) {
                return false;
            }
            has_first |= chunk.contains(&FIRST_OF_REFUSED);
        }
    }
    !(has_first && bytes.windows(3).any(is_refused))
}

/// The first byte of U+FFFE and U+FFFF in UTF-8: 0xEF, 0xBF, 0xBE or 0xBF.
const FIRST_OF_REFUSED: u8 = 0xEF;

impl<'a> Envelope<'a> {
    /// When the event was first received: a retry of its delivery does not change it.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.id.delivery().first_seen()
    }

    /// Writes the envelope around its record.
    #[must_use]
    pub fn to_text(&self) -> Body<'a> {
        let event_type = [self.source.as_str(), ".", self.event_type.as_str()];
        let source_type = self.provenance.event_type.as_ref();
        let before = self.before_data(event_type, source_type);
        match &self.content {
            Content::Inline(record) => around(before, record.get()),
            Content::Stored(place) => pointing(before, place),
        }
    }

    /// Writes the envelope around the event's unified form: `type` is the unified one and `sourcetype` the source's own.
    ///
    /// It is for teams alone: [`Envelope::parse`] reads what lies in lanes, which is always the native form.
    #[must_use]
    pub fn to_unified<'u>(&self, unified: &'u Unified) -> Body<'u> {
        around(self.before_unified(unified.event_type), &unified.resource)
    }

    /// Writes the envelope with a reference to where the event's unified form is kept.
    #[must_use]
    pub fn to_unified_pointer(&self, event_type: UnifiedType, place: &DataRef) -> Body<'static> {
        pointing(self.before_unified(event_type), place)
    }

    fn before_unified(&self, event_type: UnifiedType) -> String {
        let native = format!("{}.{}", self.source, self.event_type);
        self.before_data([event_type.as_str(), "", ""], Some(&native))
    }

    /// The envelope up to the record, open at that point. It is written once an event, so piece by piece: a formatter
    /// costs more than what it writes.
    fn before_data(&self, event_type: [&str; 3], source_type: Option<&impl Display>) -> String {
        let Self {
            id,
            source,
            account,
            subject,
            provenance,
            marks,
            ..
        } = self;
        let mut text = String::with_capacity(512);
        // Ids, names, types and times have no character that JSON escapes; only the subject can.
        text.push_str(r#"{"specversion":"1.0","id":""#);
        let delivery = text.len()..text.len() + DeliveryId::LENGTH;
        push(&mut text, id);
        text.extend([r#"","source":"/"#, source.as_str(), "/", account.as_str()]);
        text.push_str(r#"","type":""#);
        text.extend(event_type);
        text.push_str(r#"","subject":"#);
        push_json(&mut text, subject.as_str());
        text.push_str(r#","time":""#);
        push(&mut text, &self.time());
        text.push_str(r#"","datacontenttype":"application/json","account":""#);
        text.extend([account.as_str(), r#"","deliveryid":""#]);
        // An event's id begins with its delivery's.
        text.extend_from_within(delivery);
        text.push('"');
        append(&mut text, "sourceid", provenance.id.as_ref());
        append(&mut text, "sourcetime", provenance.time.as_ref());
        append(&mut text, "sequence", provenance.sequence.as_ref());
        append(&mut text, "sourcetype", source_type);
        if marks.possible_duplicate {
            text.push_str(r#","possibleduplicate":true"#);
        }
        if marks.replayed {
            text.push_str(r#","replayed":true"#);
        }
        append(&mut text, "replayjob", marks.replay_job.as_ref());
        text
    }

    /// Reads an envelope that [`Envelope::to_text`] wrote, in this release or in one before it.
    ///
    /// # Errors
    /// Text that is no envelope, and an envelope that only a newer release can read.
    pub fn parse(text: &'a str) -> Result<Self, EnvelopeError> {
        let wire: Wire<'a> = serde_json::from_str(text)
            .map_err(|error| unknown_member(text).unwrap_or(EnvelopeError::Json(error)))?;
        wire.check_values()?;
        let (source, account) = wire.origin()?;
        let id: EventId = wire.id.parse().map_err(|_| EnvelopeError::Member("id"))?;
        let sequence: Option<Sequence> = optional("sequence", wire.sequence.as_deref())?;
        let repeats = [
            ("account", wire.account == account.as_str()),
            // The id is spelled as ids are, or it were none.
            (
                "deliveryid",
                wire.id.split_once('.').map(|(delivery, _)| delivery) == Some(&*wire.deliveryid),
            ),
            ("time", wire.time == id.delivery().first_seen().to_string()),
            ("sequence", sequence.is_none_or(|place| place.event() == id)),
        ];
        if let Some((member, _)) = repeats.into_iter().find(|(_, agrees)| !agrees) {
            return Err(EnvelopeError::Member(member));
        }
        Ok(Self {
            id,
            source,
            account,
            event_type: wire.event_type_of(source)?,
            subject: Subject::parse(wire.subject).map_err(|_| EnvelopeError::Member("subject"))?,
            provenance: Provenance {
                id: optional("sourceid", wire.sourceid.as_deref())?,
                time: optional("sourcetime", wire.sourcetime.as_deref())?,
                sequence,
                event_type: optional("sourcetype", wire.sourcetype.as_deref())?,
            },
            marks: Marks {
                possible_duplicate: wire.possibleduplicate,
                replayed: wire.replayed,
                replay_job: optional("replayjob", wire.replayjob.as_deref())?,
            },
            content: match (wire.data, wire.dataref) {
                (Some(record), None) => Content::Inline(record),
                (None, Some(place)) => Content::Stored(place),
                _ => return Err(EnvelopeError::Member("data")),
            },
        })
    }
}

/// An envelope that ends in its record.
fn around(mut text: String, record: &str) -> Body<'_> {
    text.push_str(r#","data":"#);
    Body::wrapping(text, record)
}

/// An envelope that ends in a reference to its record.
fn pointing(mut text: String, place: &DataRef) -> Body<'static> {
    text.push_str(r#","dataref":"#);
    push_json(&mut text, place.as_str());
    text.push('}');
    Body::whole(text)
}

/// Writes a member that not every envelope has.
fn append(text: &mut String, member: &str, value: Option<&impl Display>) {
    if let Some(value) = value {
        text.extend([",\"", member, "\":"]);
        push_json(text, &value.to_string());
    }
}

/// Writes what has a text.
fn push(text: &mut String, value: &impl Display) {
    let written = write!(text, "{value}");
    debug_assert!(
        written.is_ok(),
        "writing to a String cannot end in an error"
    );
}

/// Reads a member that not every envelope has.
fn optional<T: FromStr>(
    member: &'static str,
    value: Option<&str>,
) -> Result<Option<T>, EnvelopeError> {
    let value = value.map(str::parse).transpose();
    value.map_err(|_| EnvelopeError::Member(member))
}

/// The members that this release knows.
const MEMBERS: [&str; 18] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "account",
    "deliveryid",
    "sourceid",
    "sourcetime",
    "sequence",
    "sourcetype",
    "possibleduplicate",
    "replayed",
    "replayjob",
    "data",
    "dataref",
];
/// What makes a JSON object a CloudEvents event.
/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#required-attributes>
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];
/// The version of CloudEvents that this release reads.
const SPECVERSION: &str = "1.0";
/// The longest part of a member's name that is repeated in an error.
const LONGEST_MEMBER: usize = 40;

/// What a newer release has added to an envelope that this one cannot read; none where the text is no envelope.
/// Only asked after a failure, so that it costs nothing.
fn unknown_member(text: &str) -> Option<EnvelopeError> {
    let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).ok()?;
    if !REQUIRED.iter().all(|name| members.contains_key(*name)) {
        return None;
    }
    let version: String = serde_json::from_str(members.get("specversion")?.get()).ok()?;
    if version != SPECVERSION {
        return Some(EnvelopeError::Unknown("specversion".to_owned()));
    }
    let unknown = members
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_ref()));
    unknown.map(|name| EnvelopeError::Unknown(name.chars().take(LONGEST_MEMBER).collect()))
}

/// An envelope's members as they stand. We wrote it, so a member that this release does not know is a newer one's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    #[serde(borrow)]
    specversion: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    subject: String,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    datacontenttype: Cow<'a, str>,
    #[serde(borrow)]
    account: Cow<'a, str>,
    #[serde(borrow)]
    deliveryid: Cow<'a, str>,
    #[serde(borrow, default)]
    sourceid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sourcetime: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sequence: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    sourcetype: Option<Cow<'a, str>>,
    #[serde(default)]
    possibleduplicate: bool,
    #[serde(default)]
    replayed: bool,
    #[serde(borrow, default)]
    replayjob: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    dataref: Option<DataRef>,
}

impl Wire<'_> {
    /// Refuses what has one value in this release, and in a newer one perhaps another.
    fn check_values(&self) -> Result<(), EnvelopeError> {
        let values = [
            ("specversion", &self.specversion, SPECVERSION),
            ("datacontenttype", &self.datacontenttype, "application/json"),
        ];
        match values.iter().find(|(_, value, known)| value != known) {
            Some((member, ..)) => Err(EnvelopeError::Unknown((*member).to_owned())),
            None => Ok(()),
        }
    }

    /// The source and the account in `/{source}/{account}`.
    fn origin(&self) -> Result<(Source, AccountName), EnvelopeError> {
        let malformed = EnvelopeError::Member("source");
        let path = self.source.strip_prefix('/');
        let Some((source, account)) = path.and_then(|path| path.split_once('/')) else {
            return Err(malformed);
        };
        let Ok(account) = account.parse() else {
            return Err(malformed);
        };
        match Source::named(source) {
            Some(source) => Ok((source, account)),
            None => Err(EnvelopeError::Unknown("source".to_owned())),
        }
    }

    /// The event's type as its source names it. A newer release may take names that this one does not.
    fn event_type_of(&self, source: Source) -> Result<EventType, EnvelopeError> {
        let name = self
            .event_type
            .strip_prefix(source.as_str())
            .and_then(|rest| rest.strip_prefix('.'))
            .filter(|name| !name.is_empty())
            .ok_or(EnvelopeError::Member("type"))?;
        name.parse()
            .map_err(|_| EnvelopeError::Unknown("type".to_owned()))
    }
}

/// Why a text could not be read as an envelope.
#[derive(Debug, Error)]
pub enum EnvelopeError {
    /// It is an envelope, and this member of it is unknown here, or says what is unknown here: a newer release
    /// wrote it. A reader of that release can read it.
    #[error("the envelope is a newer release's: its {0:?} says what this release does not know")]
    Unknown(String),
    /// Not JSON, or a member is missing, stands twice or is of another type.
    #[error("the message is no envelope: {0}")]
    Json(#[from] serde_json::Error),
    /// A member says what it cannot say, or contradicts another.
    #[error("the message is no envelope: its {0:?} is malformed or contradicts another member")]
    Member(&'static str),
}

/// A JSON string of characters that a queue takes: U+FFFE and U+FFFF, legal in JSON, are escaped.
#[must_use]
pub fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    push_json(&mut json, text);
    json
}

/// Writes a text as [`json_string`] spells it.
fn push_json(json: &mut String, text: &str) {
    let is_escaped = |byte: &u8| {
        (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\') | (*byte == FIRST_OF_REFUSED)
    };
    // All bytes are looked at, which a processor does faster than to stop at the first one.
    if !text
        .as_bytes()
        .iter()
        .fold(false, |found, byte| found | is_escaped(byte))
    {
        json.extend(["\"", text, "\""]);
        return;
    }
    let quoted = serde_json::Value::from(text).to_string();
    match is_sendable(&quoted) {
        true => json.push_str(&quoted),
        false => json.push_str(
            &quoted
                .replace('\u{FFFE}', r"\ufffe")
                .replace('\u{FFFF}', r"\uffff"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{DeliveryId, EventIndex};
    use crate::record::RecordId;
    use proptest::prelude::*;
    use rstest::rstest;

    fn envelope<'a>(subject: &str, content: Content<'a>) -> Envelope<'a> {
        let id = DeliveryId::new(Timestamp::from_millis(1_795_176_000_123), &[1; 10])
            .event(EventIndex::new(7).unwrap());
        Envelope {
            id,
            source: Source::Orderspace,
            account: "acme".parse().unwrap(),
            event_type: "order.created".parse().unwrap(),
            subject: Subject::new("order", Some(&RecordId::new(subject).unwrap()), id),
            provenance: Provenance::default(),
            marks: Marks::default(),
            content,
        }
    }

    #[rstest]
    #[case("s3://bucket/a/key", Some(("bucket", "a/key")))]
    #[case("s3://bucket", None)]
    #[case("https://bucket/key", None)]
    #[case("", None)]
    fn a_reference_names_a_bucket_and_a_key(
        #[case] text: &str,
        #[case] object: Option<(&str, &str)>,
    ) {
        let reference = DataRef::parse(text);
        assert_eq!(reference.as_ref().and_then(DataRef::object), object);
        let written = object.map(|(bucket, key)| DataRef::new(bucket, key));
        assert_eq!(reference, written);
    }

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    // requirement: envelope-schema
    fn reads_as_documented() {
        let mut envelope = envelope(
            "or_1",
            Content::Inline(raw(r#"{"id": "or_1", "\u0026":20.0}"#)),
        );
        envelope.marks.possible_duplicate = true;
        insta::assert_snapshot!(envelope.to_text().to_text(), @r#"{"specversion":"1.0","id":"01a1f8d3-ea7b-7101-8101-010101010101.00007","source":"/orderspace/acme","type":"orderspace.order.created","subject":"order/or_1","time":"2026-11-20T12:00:00.123Z","datacontenttype":"application/json","account":"acme","deliveryid":"01a1f8d3-ea7b-7101-8101-010101010101","possibleduplicate":true,"data":{"id": "or_1", "\u0026":20.0}}"#);
        envelope.content = Content::Stored(DataRef::new("bucket", "events/acme/1"));
        let text = envelope.to_text().to_text();
        assert!(
            text.ends_with(r#","possibleduplicate":true,"dataref":"s3://bucket/events/acme/1"}"#),
            "{text}"
        );
        let read = Envelope::parse(&text).unwrap();
        assert!(
            matches!(read.content, Content::Stored(place) if place.object() == Some(("bucket", "events/acme/1")))
        );
    }

    #[test]
    fn a_unified_event_has_the_native_one_s_envelope() {
        let mut envelope = envelope("or_1", Content::Inline(raw("{}")));
        envelope.marks.replayed = true;
        envelope.provenance.event_type = Some("stackone.order.created".parse().unwrap());
        let unified = Unified {
            event_type: UnifiedType::OrderCreated,
            resource: r#"{"id":"or_1"}"#.to_owned(),
        };
        insta::assert_snapshot!(envelope.to_unified(&unified).to_text(), @r#"{"specversion":"1.0","id":"01a1f8d3-ea7b-7101-8101-010101010101.00007","source":"/orderspace/acme","type":"ecommerce.order.created","subject":"order/or_1","time":"2026-11-20T12:00:00.123Z","datacontenttype":"application/json","account":"acme","deliveryid":"01a1f8d3-ea7b-7101-8101-010101010101","sourcetype":"orderspace.order.created","replayed":true,"data":{"id":"or_1"}}"#);
        let place = DataRef::new("bucket", "unified/acme/1");
        let text = envelope.to_unified_pointer(UnifiedType::OrderCreated, &place);
        let text = text.to_text();
        assert!(
            text.ends_with(r#","replayed":true,"dataref":"s3://bucket/unified/acme/1"}"#),
            "{text}"
        );
    }

    proptest! {
        #[test]
        // requirement: verbatim-sqs-characters
        fn a_refused_character_is_found_wherever_it_stands(
            before in "[a-z\t\r\n\"\\\\éﬁ日🥐\u{FFFD}]{0,150}",
            character: char,
            after in "[a-z\t\r\n\"\\\\éﬁ日🥐\u{FFFD}]{0,150}",
        ) {
            for character in [character, '\u{0}', '\u{1F}', '\u{7F}', '\u{FFFE}', '\u{FFFF}', '\u{1FFFE}'] {
                let taken = matches!(
                    character,
                    '\t' | '\n' | '\r' | '\u{20}'..='\u{FFFD}' | '\u{10000}'..
                );
                let text = format!("{before}{character}{after}");
                prop_assert_eq!(is_sendable(&text), taken, "{:?}", text);
            }
        }

        #[test]
        fn a_json_string_reads_back_and_can_be_sent(text: String, plain in "[ -~]{0,40}") {
            for text in [text, plain] {
                let json = json_string(&text);
                prop_assert!(is_sendable(&json), "{}", json);
                prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            }
        }

        #[test]
        // requirement: verbatim-split
        fn what_is_written_reads_back(
            subject in "\\PC{1,200}",
            record in "\\{\"a\":\"[^\"\\\\\\x00-\\x1f]{0,40}\"\\}",
            possible_duplicate: bool,
            replayed: bool,
            replay_job in proptest::option::of("[A-Za-z0-9-]{1,64}"),
            source_id in proptest::option::of("\\PC{1,64}"),
            source_time in proptest::option::of("20[0-9]{2}-1[0-2]-[0-2][1-9]T2[0-3]:[0-5][0-9]:00(\\.[0-9]{1,9})?(Z|[+-]0[0-9]:30)"),
            sequence in proptest::option::of(0..=253_402_300_799_999_u64),
            source_type in proptest::option::of("[a-z]{1,12}\\.[a-z][a-zA-Z0-9._@-]{0,80}"),
        ) {
            let mut written = envelope(&subject, Content::Inline(raw(&record)));
            let replay_job = replay_job.map(|id| id.parse().unwrap());
            written.marks = Marks { possible_duplicate, replayed, replay_job };
            written.provenance = Provenance {
                id: source_id.map(|id| id.parse().unwrap()),
                time: source_time.map(|time| time.parse().unwrap()),
                sequence: sequence.map(|at| Sequence::new(Timestamp::from_millis(at), written.id)),
                event_type: source_type.map(|name| name.parse().unwrap()),
            };
            let text = written.to_text();
            prop_assert_eq!(text.len(), text.to_text().len());
            let text = text.to_text();
            let read = Envelope::parse(&text).unwrap();
            prop_assert_eq!(read.id, written.id);
            prop_assert_eq!(&read.subject, &written.subject);
            prop_assert_eq!(&read.marks, &written.marks);
            prop_assert_eq!(&read.provenance, &written.provenance);
            prop_assert!(matches!(read.content, Content::Inline(data) if data.get() == record));
            prop_assert_eq!(read.to_text().to_text(), text);
        }

        #[test]
        // requirement: check-panics
        fn nothing_that_arrives_in_a_queue_panics(text in "\\PC*") {
            prop_assert!(Envelope::parse(&text).is_err());
        }
    }

    #[rstest]
    #[case("plain", true)]
    #[case("tab\tline\r\n", true)]
    #[case("🥐日本é\u{FFFD}\u{E000}", true)]
    #[case("\u{FFFE}", false)]
    #[case("\u{FFFF}", false)]
    #[case("\u{0}", false)]
    #[case("\u{1b}", false)]
    // requirement: verbatim-sqs-characters
    fn characters_that_sqs_takes(#[case] text: &str, #[case] taken: bool) {
        assert_eq!(is_sendable(text), taken);
    }

    #[test]
    // requirement: envelope-attributes
    fn a_subject_of_any_characters_can_be_sent() {
        let envelope = envelope("a\u{FFFF}\u{1}\"", Content::Inline(raw("{}")));
        let text = envelope.to_text();
        assert!(text.is_sendable());
        assert_eq!(
            Envelope::parse(&text.to_text()).unwrap().subject,
            envelope.subject
        );
    }

    #[test]
    // requirement: size-inline
    fn the_limit_counts_what_comes_on_top() {
        let text = Body::whole("x".repeat(1000));
        assert!(InlineLimit::new(1000 + HEADROOM).admits(&text));
        assert!(!InlineLimit::new(999 + HEADROOM).admits(&text));
        assert!(!InlineLimit::new(250_000).admits(&Body::whole("\u{FFFF}".to_owned())));
    }

    /// An envelope with a part of its text replaced by another.
    fn changed(part: &str, instead: &str) -> String {
        let text = envelope("or_1", Content::Inline(raw("{}")))
            .to_text()
            .to_text();
        assert!(text.contains(part), "{text}");
        text.replace(part, instead)
    }

    #[rstest]
    #[case::contradiction("\"account\":\"acme\"", "\"account\":\"other\"", "account")]
    #[case::no_account("\"/orderspace/acme\"", "\"/orderspace/A#B\"", "source")]
    #[case::no_path("\"/orderspace/acme\"", "\"orderspace\"", "source")]
    #[case::other_source("\"orderspace.order", "\"elsewhere.order", "type")]
    #[case::no_type("\"orderspace.order.created\"", "\"orderspace.\"", "type")]
    #[case::no_content(",\"data\":{}", "", "data")]
    #[case::other_time("12:00:00.123Z", "12:00:00.124Z", "time")]
    #[case::source_id(",\"data\"", ",\"sourceid\":\"\",\"data\"", "sourceid")]
    #[case::source_time(",\"data\"", ",\"sourcetime\":\"today\",\"data\"", "sourcetime")]
    #[case::sequence(",\"data\"", ",\"sequence\":\"7\",\"data\"", "sequence")]
    #[case::sequence_of_another_event(
        ",\"data\"",
        ",\"sequence\":\"001795176000123.01a1f8d3-ea7b-7101-8101-010101010101.00008\",\"data\"",
        "sequence"
    )]
    #[case::source_type(",\"data\"", ",\"sourcetype\":\"order\",\"data\"", "sourcetype")]
    #[case::replay_job(",\"data\"", ",\"replayjob\":\"a b\",\"data\"", "replayjob")]
    fn what_no_release_writes_is_malformed(
        #[case] part: &str,
        #[case] instead: &str,
        #[case] member: &str,
    ) {
        let error = Envelope::parse(&changed(part, instead)).unwrap_err();
        assert!(
            matches!(error, EnvelopeError::Member(named) if named == member),
            "{error}"
        );
    }

    #[rstest]
    #[case::unknown_member("\"account\":", "\"extra\":1,\"account\":", "extra")]
    #[case::in_place_of_a_known_one("\"data\":", "\"data_base64\":", "data_base64")]
    #[case::a_long_name("\"data\":", &format!("\"{}\":", "x".repeat(50)), &"x".repeat(40))]
    #[case::other_version("\"1.0\"", "\"2.0\"", "specversion")]
    #[case::other_version_with_other_members(
        "\"1.0\",\"id\"",
        "\"2.0\",\"time\":7,\"id\"",
        "specversion"
    )]
    #[case::other_source("\"/orderspace/acme\"", "\"/elsewhere/acme\"", "source")]
    #[case::other_names_of_types("order.created", "order/created", "type")]
    #[case::other_content("application/json", "application/xml", "datacontenttype")]
    fn what_a_newer_release_may_write_is_unknown(
        #[case] part: &str,
        #[case] instead: &str,
        #[case] member: &str,
    ) {
        let error = Envelope::parse(&changed(part, instead)).unwrap_err();
        assert!(
            matches!(&error, EnvelopeError::Unknown(named) if named == member),
            "{error}"
        );
    }

    #[rstest]
    #[case::no_json("not an event")]
    #[case::no_object("[]")]
    #[case::another_object(r#"{"team":"a"}"#)]
    #[case::an_event_without_its_source(r#"{"specversion":"2.0","id":"1","type":"a.b","extra":1}"#)]
    #[case::a_version_that_is_none(r#"{"specversion":2,"id":"1","source":"/a/b","type":"a.b"}"#)]
    #[case::members_are_missing(r#"{"specversion":"1.0","id":"1","source":"/a/b","type":"a.b"}"#)]
    #[case::a_member_twice(&changed("\"account\":", "\"id\":\"1\",\"account\":"))]
    fn what_is_no_envelope_is_no_newer_one(#[case] text: &str) {
        let error = Envelope::parse(text).unwrap_err();
        assert!(matches!(error, EnvelopeError::Json(_)), "{error}");
    }

    #[test]
    fn the_members_that_are_known_are_those_that_are_read() {
        let error = serde_json::from_str::<Wire<'_>>(r#"{"":0}"#).err().unwrap();
        let known = MEMBERS.map(|member| format!("`{member}`")).join(", ");
        let expected = format!("unknown field ``, expected one of {known} at");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }

    #[test]
    fn a_text_is_as_long_as_its_parts() {
        assert!(Body::whole(String::new()).is_empty());
        let text = Body::wrapping(r#"{"é":"#.to_owned(), "1");
        assert_eq!((text.len(), text.is_empty()), (8, false));
        assert_eq!(text.to_text(), r#"{"é":1}"#);
    }
}
