//! The rules of a source against its deliveries: what the manifest of `tests/fixtures/orderspace` expects of
//! each body, and laws that hold for every body.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::collections::{BTreeMap, BTreeSet};

use domain::account::WebhookId;
use domain::envelope::{Content, DataRef, Envelope, InlineLimit, Marks, is_sendable};
use domain::event::Event;
use domain::identity::{ContentHash, DeliveryId, EventId};
use domain::provenance::Provenance;
use domain::record::Subject;
use domain::signature::{SigningKey, SigningKeys};
use domain::sources::{Proof, ProofError, Source, Split, Unreadable, Verified};
use domain::timestamp::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use testkit::delivery::delivery;
use testkit::fixtures::{self, Expected, ExpectedEvents, Good};
use testkit::signing::{OTHER_SIGNING_KEY, SIGNING_KEY, sign, sign_in_hex};

const SOURCE: Source = Source::Orderspace;

fn proof_of(values: &[&str]) -> Result<Proof, ProofError> {
    let mut headers = HeaderMap::new();
    for value in values {
        let value = HeaderValue::from_str(value).unwrap();
        headers.append(HeaderName::from_static("x-orderspace-signature"), value);
    }
    SOURCE.proof(&headers)
}

fn keys(keys: &[&str]) -> SigningKeys {
    keys.iter()
        .enumerate()
        .map(|(number, key)| {
            (
                WebhookId::new(format!("wh_{number}")),
                SigningKey::new(*key),
            )
        })
        .collect()
}

fn verify<'a>(signature: &str, body: &'a [u8]) -> Option<Verified<'a>> {
    proof_of(&[signature])
        .ok()?
        .verify(body, &keys(&[SIGNING_KEY]))
}

fn split(body: &[u8]) -> Result<Split<'_>, Unreadable> {
    let verified = verify(&sign(SIGNING_KEY, body), body).unwrap();
    assert_eq!(verified.body(), body);
    SOURCE.split(&verified)
}

fn delivery_id() -> DeliveryId {
    DeliveryId::new(Timestamp::from_millis(1_795_176_000_123), &[1; 10])
}

fn id_of(event: &Event<'_>) -> EventId {
    delivery_id().event(event.index)
}

fn subject_of(event: &Event<'_>) -> Subject {
    Subject::new(
        event.event_type.kind(),
        event.record_id.as_ref(),
        id_of(event),
    )
}

fn envelope_of<'a>(event: &Event<'a>, content: Content<'a>) -> Envelope<'a> {
    Envelope {
        id: id_of(event),
        source: SOURCE,
        account: "acme".parse().unwrap(),
        event_type: event.event_type.clone(),
        subject: subject_of(event),
        provenance: Provenance::default(),
        marks: Marks::default(),
        content,
    }
}

/// Where in the body the record stands: it must be borrowed from there.
fn place_of(event: &Event<'_>, body: &[u8]) -> Option<[usize; 2]> {
    let record = event.record.get();
    let begin = (record.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let end = begin + record.len();
    (body.get(begin..end)? == record.as_bytes()).then_some([begin, end])
}

/// Every position once, each good or bad, each record a part of the body.
fn complaints_about_any(split: &Split<'_>, body: &[u8]) -> Vec<String> {
    let mut complaints = Vec::new();
    let good = split.events.iter().map(|event| event.index.get());
    let bad = split.bad.iter().map(|bad| bad.index.get());
    let mut positions: Vec<_> = good.chain(bad).collect();
    positions.sort_unstable();
    if !positions
        .iter()
        .copied()
        .eq(0..u32::try_from(positions.len()).unwrap())
    {
        complaints.push(format!("positions are {positions:?}"));
    }
    if !split.events.is_sorted_by_key(|event| event.index) {
        complaints.push("events are out of order".to_owned());
    }
    for event in &split.events {
        if place_of(event, body).is_none() {
            complaints.push(format!("{:?} is not borrowed from the body", event.index));
        }
        if !event.record.get().starts_with('{') {
            complaints.push(format!("{:?} is no object", event.index));
        }
        complaints.extend(complaints_about_envelopes(event));
    }
    complaints
}

/// An event can be put into an envelope and taken out of it, and a pointer to it can always be sent.
fn complaints_about_envelopes(event: &Event<'_>) -> Option<String> {
    let text = envelope_of(event, Content::Inline(event.record)).to_text();
    let whole = text.to_text();
    match Envelope::parse(&whole) {
        Ok(read)
            if read.subject == subject_of(event)
                && matches!(read.content, Content::Inline(record) if record.get() == event.record.get()) =>
            {}
        other => return Some(format!("{:?} reads back as {other:?}", event.index)),
    }
    if text.is_sendable() != is_sendable(event.record.get()) {
        return Some(format!(
            "{:?} is sendable or not for no reason",
            event.index
        ));
    }
    let place = DataRef::new("bucket", &format!("events/{}", id_of(event)));
    let pointer = envelope_of(event, Content::Stored(place)).to_text();
    (!InlineLimit::new(250_000).admits(&pointer))
        .then(|| format!("a pointer to {:?} cannot be sent", event.index))
}

fn complaints_about_good(event: &Event<'_>, good: &Good, body: &[u8]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut compare = |what: &str, is: String, should: String| {
        if is != should {
            complaints.push(format!(
                "{what} of {} is {is}, should be {should}",
                good.index
            ));
        }
    };
    let lane = SOURCE.lane(&event.event_type);
    compare(
        "type",
        event.event_type.to_string(),
        good.event_type.clone(),
    );
    compare("lane", lane.to_string(), good.lane.clone());
    compare(
        "sqs_text",
        is_sendable(event.record.get()).to_string(),
        good.sqs_text.to_string(),
    );
    if let Some(at) = good.at {
        compare(
            "place",
            format!("{:?}", place_of(event, body)),
            format!("{:?}", Some(at)),
        );
    }
    let subject = subject_of(event).to_string();
    match good.subject.strip_suffix('*') {
        None => compare("subject", subject, good.subject.clone()),
        // Made at run time: the event's id where there is no key, a hash behind the invoice of a payment.
        Some(beginning) if beginning == format!("{}/", event.event_type.kind()) => {
            compare("subject", subject, format!("{beginning}{}", id_of(event)));
        }
        Some(beginning) => {
            let hash = subject.strip_prefix(beginning).unwrap_or_default();
            let is_hash = hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            compare("hash in the subject", is_hash.to_string(), true.to_string());
        }
    }
    complaints
}

fn complaints_about_events(
    split: &Split<'_>,
    expected: &ExpectedEvents,
    body: &[u8],
) -> Vec<String> {
    let mut complaints = Vec::new();
    let events: BTreeMap<_, _> = split
        .events
        .iter()
        .map(|event| (event.index.get(), event))
        .collect();
    let found: BTreeSet<_> = events.keys().copied().collect();
    let good: BTreeSet<_> = expected.good.iter().map(|good| good.index).collect();
    if found != good {
        complaints.push(format!("good are {found:?}, should be {good:?}"));
        return complaints;
    }
    let bad: Vec<_> = split.bad.iter().map(|bad| bad.index.get()).collect();
    if bad != expected.bad {
        complaints.push(format!("bad are {bad:?}, should be {:?}", expected.bad));
    }
    for good in &expected.good {
        complaints.extend(complaints_about_good(events[&good.index], good, body));
    }
    let hash = |index: &u32| {
        let event = events[index];
        ContentHash::of(event.event_type.as_str(), event.record.get().as_bytes())
    };
    let pairs = [
        ("subject", true, &expected.same_subject),
        ("subject", false, &expected.different_subject),
        ("content", true, &expected.equal_bytes),
        ("content", false, &expected.different_bytes),
    ];
    for (what, equal, pairs) in pairs {
        for [a, b] in pairs {
            let is = match what {
                "subject" => subject_of(events[a]) == subject_of(events[b]),
                _ => hash(a) == hash(b),
            };
            if is != equal {
                complaints.push(format!("equality of {what} of {a} and {b} is {is}"));
            }
        }
    }
    complaints
}

#[test]
fn every_delivery_is_read_as_its_manifest_says() {
    let mut complaints = Vec::new();
    let fixtures = fixtures::all();
    for fixture in &fixtures {
        let found = match (split(&fixture.body), &fixture.expected) {
            (Err(reason), Expected::Unreadable(expected)) if reason.as_str() == expected => vec![],
            (Ok(split), Expected::Undecided { elements }) => {
                let mut found = complaints_about_any(&split, &fixture.body);
                if split.events.len() + split.bad.len() != *elements {
                    found.push("an element is lost".to_owned());
                }
                found
            }
            (Ok(split), Expected::Events(expected)) => {
                let mut found = complaints_about_any(&split, &fixture.body);
                found.extend(complaints_about_events(&split, expected, &fixture.body));
                found
            }
            (result, _) => vec![match result {
                Ok(split) => format!("has {} good, {} bad", split.events.len(), split.bad.len()),
                Err(reason) => format!("is {}", reason.as_str()),
            }],
        };
        let in_file = |complaint| format!("{} ({}): {complaint}", fixture.name, fixture.what);
        complaints.extend(found.into_iter().map(in_file));
    }
    assert!(fixtures.len() > 100, "only {} fixtures", fixtures.len());
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_signed_body_verifies_and_none_with_a_bit_changed() {
    for vector in fixtures::signature_vectors() {
        let keys = keys(&[OTHER_SIGNING_KEY, &vector.key]);
        let proof = proof_of(&[&vector.signature]).unwrap();
        let verified = proof.verify(&vector.body, &keys).unwrap();
        assert_eq!(verified.webhook().as_str(), "wh_1", "{}", vector.name);
        for bit in 0..vector.body.len() * 8 {
            let mut body = vector.body.clone();
            body[bit / 8] ^= 1 << (bit % 8);
            assert!(
                proof.verify(&body, &keys).is_none(),
                "{} with bit {bit}",
                vector.name
            );
        }
        for bit in 0..vector.signature.len() * 8 {
            let mut signature = vector.signature.clone().into_bytes();
            signature[bit / 8] ^= 1 << (bit % 8);
            let mut headers = HeaderMap::new();
            let Ok(value) = HeaderValue::from_bytes(&signature) else {
                continue;
            };
            headers.insert("x-orderspace-signature", value);
            let accepted = SOURCE
                .proof(&headers)
                .is_ok_and(|proof| proof.verify(&vector.body, &keys).is_some());
            assert!(!accepted, "{} with bit {bit} of the signature", vector.name);
        }
    }
}

#[test]
fn a_signature_has_one_spelling() {
    // A body whose signature has both characters that base64's alphabets write differently.
    let body = b"[14]";
    let good = sign(SIGNING_KEY, body);
    assert!(good.contains('+') && good.contains('/'), "{good}");
    assert!(verify(&good, body).is_some());
    assert!(verify(&format!("{good} "), body).is_some());
    assert!(verify(&format!(" {good}\t"), body).is_some());
    let unpadded = good.trim_end_matches('=');
    let halves = good.split_at(22);
    let others = [
        sign_in_hex(SIGNING_KEY, body),
        good.replace('+', "-").replace('/', "_"),
        unpadded.to_owned(),
        format!("{good}={good}"),
        format!("{} {}", halves.0, halves.1),
        format!("sha256={good}"),
        format!("{good},{good}"),
        String::new(),
    ];
    for other in &others {
        assert_eq!(
            proof_of(&[other]).unwrap_err(),
            ProofError::Malformed,
            "{other}"
        );
    }
    assert_eq!(proof_of(&[]).unwrap_err(), ProofError::Missing);
    assert_eq!(
        proof_of(&[&good, &good]).unwrap_err(),
        ProofError::Malformed
    );
}

#[test]
fn without_keys_nothing_is_genuine() {
    let proof = proof_of(&[&sign("", b"[]")]).unwrap();
    assert!(proof.verify(b"[]", &SigningKeys::default()).is_none());
    assert!(proof.verify(b"[]", &keys(&[SIGNING_KEY])).is_none());
}

/// JSON of every spelling: white space, escapes, numbers that no float holds, names twice.
fn json() -> impl Strategy<Value = String> {
    let space = "[ \t\r\n]{0,2}";
    let number = "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?";
    let text = prop_oneof![
        "[^\"\\\\\\x00-\\x1f]{0,12}",
        Just(r#"\ud83c\udf75 \u0026 \/ \n"#.to_owned()),
        Just("\u{FFFF}".to_owned()),
        Just(r"\ud800".to_owned()),
    ]
    .prop_map(|text| format!("\"{text}\""));
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        number,
        text.clone(),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let pairs = proptest::collection::vec((text.clone(), inner.clone(), space), 0..4);
        let items = proptest::collection::vec((inner, space), 0..4);
        prop_oneof![
            pairs.prop_map(|pairs| object(&pairs)),
            items.prop_map(|items| {
                let items = items
                    .iter()
                    .map(|(item, space)| format!("{space}{item}{space}"));
                format!("[{}]", items.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

fn object(pairs: &[(String, String, String)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value, space)| format!("{space}{name}{space}:{space}{value}{space}"));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

fn record() -> impl Strategy<Value = String> {
    let pair = ("\"(id|sku|amount|[a-z]{1,5})\"", json(), "[ \n]{0,1}");
    proptest::collection::vec(pair, 0..5).prop_map(|pairs| object(&pairs))
}

fn event_type() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(SOURCE.event_types().to_vec()).prop_map(str::to_owned),
        "[a-z_]{1,9}(\\.[a-z]{1,9}){0,2}",
    ]
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        key in "[a-zA-Z0-9]{1,80}",
        other in "[a-zA-Z0-9]{1,80}",
        bit in any::<proptest::sample::Index>(),
    ) {
        let proof = proof_of(&[&sign(&key, &body)]).unwrap();
        let live = keys(&[&other, &key]);
        prop_assert!(proof.verify(&body, &live).is_some());
        prop_assert_eq!(proof.verify(&body, &keys(&[&other])).is_some(), key == other);
        let mut longer = body.clone();
        longer.push(0);
        prop_assert!(proof.verify(&longer, &live).is_none());
        if !body.is_empty() {
            let mut changed = body.clone();
            let bit = bit.index(body.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(proof.verify(&changed, &live).is_none());
        }
    }

    #[test]
    fn no_bytes_panic_and_none_of_them_are_made_up(
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Ok(split) = split(&body) {
            prop_assert_eq!(complaints_about_any(&split, &body), Vec::<String>::new());
        }
    }

    #[test]
    fn no_json_panics_and_all_of_it_is_accounted_for(body in json()) {
        match split(body.as_bytes()) {
            Ok(split) => {
                prop_assert_eq!(complaints_about_any(&split, body.as_bytes()), Vec::<String>::new());
                if let Ok(elements) = serde_json::from_str::<Vec<&serde_json::value::RawValue>>(&body) {
                    prop_assert!(split.events.len() + split.bad.len() >= elements.len());
                }
            }
            Err(reason) => prop_assert_eq!(reason, Unreadable::NoEventList),
        }
    }

    #[test]
    fn what_is_split_and_joined_again_is_the_same_bytes(
        events in proptest::collection::vec((event_type(), record()), 0..6),
    ) {
        let join = |events: &[(String, String)]| {
            events.iter().fold(delivery(), |body, (kind, record)| body.event(kind, record)).body()
        };
        let body = join(&events);
        let split = split(&body).unwrap();
        prop_assert_eq!(&split.bad, &vec![]);
        let again: Vec<_> = split
            .events
            .iter()
            .map(|event| (event.event_type.to_string(), event.record.get().to_owned()))
            .collect();
        prop_assert_eq!(join(&again), body.clone());
        prop_assert_eq!(complaints_about_any(&split, &body), Vec::<String>::new());
    }

    #[test]
    fn a_delivery_that_is_damaged_on_the_way_never_panics(
        which in any::<proptest::sample::Index>(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        length in any::<proptest::sample::Index>(),
    ) {
        const FILES: [&str; 6] = [
            "made/all-types.json",
            "made/payment-identity.json",
            "made/bad-nested-lists.json",
            "made/exponents.json",
            "made/lone-surrogate-names.json",
            "seed/order.created.json",
        ];
        let mut body = fixtures::body(FILES[which.index(FILES.len())]);
        for (place, byte) in damage {
            let place = place.index(body.len());
            body[place] = byte;
        }
        body.truncate(body.len() / 2 + length.index(body.len() / 2 + 1));
        if let Ok(split) = split(&body) {
            prop_assert_eq!(complaints_about_any(&split, &body), Vec::<String>::new());
        }
    }
}
