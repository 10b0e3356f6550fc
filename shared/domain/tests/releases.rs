//! The envelopes that every release wrote, read by this one; and those of this one, as it writes them.
#![allow(
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use domain::envelope::{Content, DataRef, Envelope, EnvelopeError};
use serde_json::{Value, json};
use testkit::releases::{self, Kind};

#[test]
// requirement: upgrade-envelope
fn envelopes_of_every_release_are_read() {
    for release in releases::all() {
        for example in release.examples(Kind::Envelope) {
            let stored = example.stored.get();
            let envelope = Envelope::parse(stored)
                .unwrap_or_else(|error| panic!("{}, {}: {error}", release.version, example.what));
            release.expect_read(&example, &shown(&envelope));
            if release.is_current() {
                assert_eq!(envelope.to_text().to_text(), stored, "{}", example.what);
            }
        }
    }
}

/// It waits in its lane until a function of that release is there again: what the member means, nobody here knows.
#[test]
// requirement: upgrade-envelope
fn an_envelope_of_a_release_to_come_waits() {
    for (_, example) in releases::to_come(Kind::Envelope) {
        match Envelope::parse(example.stored.get()) {
            Err(EnvelopeError::Unknown(member)) => assert_eq!(member, "later", "{}", example.what),
            other => panic!("{}: {other:?}", example.what),
        }
    }
}

fn shown(envelope: &Envelope<'_>) -> Value {
    let (record, dataref) = match &envelope.content {
        Content::Inline(record) => (Some(record.get()), None),
        Content::Stored(place) => (None, Some(place)),
    };
    let mut shown = json!({
        "id": envelope.id.to_string(),
        "source": envelope.source.as_str(),
        "account": envelope.account.as_str(),
        "type": envelope.event_type.as_str(),
        "subject": envelope.subject.as_str(),
        "time": envelope.time().to_string(),
        "possible_duplicate": envelope.marks.possible_duplicate,
        "replayed": envelope.marks.replayed,
        "record": record,
        "dataref": dataref.map(DataRef::as_str),
    });
    let provenance = &envelope.provenance;
    let sent = [
        ("source_id", provenance.id.as_ref().map(ToString::to_string)),
        (
            "source_time",
            provenance.time.as_ref().map(ToString::to_string),
        ),
        (
            "sequence",
            provenance.sequence.map(|place| place.to_string()),
        ),
    ];
    // Not every source sends them.
    for (member, value) in sent {
        if let Some(value) = value {
            shown[member] = json!(value);
        }
    }
    shown
}
