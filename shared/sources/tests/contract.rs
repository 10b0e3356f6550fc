//! What holds for every source: its deliveries are read as the manifest of `tests/fixtures/{source}` says, what is
//! signed is genuine and nothing else, and no bytes at all panic. A source without fixtures fails here.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use domain::delivery::{Delivery, Request, Split, Unreadable};
use domain::envelope::{Content, DataRef, Envelope, InlineLimit, Marks, is_sendable};
use domain::event::{Effect, Event, EventType};
use domain::identity::{ContentHash, DeliveryId, EventId};
use domain::lane::Lane;
use domain::provenance::Provenance;
use domain::record::Subject;
use domain::signature::{
    Assurance, LiveSecrets, MacKey, Offer, Place, Policy, ProofError, Screened, SharedSecret,
};
use domain::source::Source;
use domain::timestamp::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::value::RawValue;
use sources::{Facts, protocol};
use testkit::delivery::delivery;
use testkit::fixtures::{Expected, ExpectedEvents, Fixture, Fixtures, Good};
use testkit::signing::{OTHER_SIGNING_KEY, SIGNING_KEY, Signer, sign_in_hex};

fn facts(source: Source) -> &'static Facts {
    protocol(source).facts()
}

fn fixtures(source: Source) -> Fixtures {
    Fixtures::of(source.as_str())
}

/// Every way in which every source proves its requests.
fn signers() -> Vec<(Source, Signer)> {
    let ways = |source: Source| {
        let ways = Signer::all_of(source.as_str());
        assert!(!ways.is_empty(), "how {source} signs is not known");
        ways.iter().map(move |signer| (source, *signer))
    };
    Source::ALL.into_iter().flat_map(ways).collect()
}

/// A request's headers.
fn headers(values: &[(&'static str, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        let value = HeaderValue::from_bytes(value).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn request<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Request<'a> {
    Request {
        headers,
        part: "",
        body,
    }
}

fn offer(
    source: Source,
    values: &[(&'static str, &[u8])],
    body: &[u8],
) -> Result<Offer, ProofError> {
    match protocol(source).screen(request(&headers(values), body))? {
        Screened::Delivery(offer) => Ok(offer),
        Screened::Greeting => panic!("{source} takes a delivery for a greeting"),
    }
}

/// Whether a request is proved in this way under these secrets, by everything that inbound asks of a source. Without that
/// proof it is refused, unless the source's policy takes the URL token's word.
fn is_proved(
    (source, signer): (Source, Signer),
    values: &[(&'static str, &[u8])],
    body: &[u8],
    secrets: &LiveSecrets,
) -> bool {
    let policy = facts(source).policy;
    let headers = headers(values);
    let request = request(&headers, body);
    let Ok(Screened::Delivery(offer)) = protocol(source).screen(request) else {
        // A source that is observed refuses nothing before any look-up.
        assert_eq!(policy, Policy::Require, "{source}");
        return false;
    };
    let signed = |request, form| protocol(source).signed(request, form);
    let verified = offer.verify(request, secrets, policy, signed);
    match (policy, verified.map(|proof| proof.assurance())) {
        (_, Some(assurance)) if assurance == signer.assurance => true,
        (Policy::Require, None) | (Policy::Observe, Some(Assurance::UrlToken)) => false,
        (_, other) => panic!("{source} proved by {other:?}"),
    }
}

/// Asserts that a request offers nothing usable, for this reason; where the source is only observed, nothing at all.
fn assert_offers_nothing(
    source: Source,
    values: &[(&'static str, &[u8])],
    reason: ProofError,
    what: &str,
) {
    match (facts(source).policy, offer(source, values, b"[14]")) {
        (Policy::Require, Err(error)) => assert_eq!(error, reason, "{what} of {source}"),
        (Policy::Observe, Ok(Offer::Nothing)) => {}
        (_, other) => panic!("{what} of {source} offers {other:?}"),
    }
}

fn split(source: Source, body: &[u8]) -> Result<Split<'_>, Unreadable> {
    // What a receipt keeps suffices: here, nothing but the body.
    static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    protocol(source).split(Delivery {
        headers: &NONE,
        part: "",
        body,
    })
}

/// What a delivery may be split by: of its headers, those that a receipt keeps.
fn kept_headers(source: Source, fixture: &Fixture) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, value) in &fixture.headers {
        let is_kept = facts(source).headers.contains(&&**name);
        assert!(is_kept, "{name} is not kept");
        let name: HeaderName = name.parse().unwrap();
        kept.append(name, value.parse().unwrap());
    }
    kept
}

fn delivery_id() -> DeliveryId {
    DeliveryId::new(Timestamp::from_millis(1_795_176_000_123), &[1; 10])
}

fn id_of(event: &Event<'_>) -> EventId {
    delivery_id().event(event.index)
}

fn subject_of(event: &Event<'_>) -> Subject {
    Subject::new(&event.meaning.kind, event.record_id.as_ref(), id_of(event))
}

fn envelope_of<'a>(source: Source, event: &Event<'a>, content: Content<'a>) -> Envelope<'a> {
    Envelope {
        id: id_of(event),
        source,
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
fn complaints_about_any(source: Source, split: &Split<'_>, body: &[u8]) -> Vec<String> {
    let mut complaints = Vec::new();
    let good = split.events.iter().map(|event| event.index.get());
    let bad = split.bad.iter().map(|bad| bad.index.get());
    let mut positions: Vec<_> = good.chain(bad).collect();
    positions.sort_unstable();
    let expected = 0..u32::try_from(positions.len()).unwrap();
    if !expected.eq(positions.iter().copied()) {
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
        complaints.extend(complaints_about_envelopes(source, event));
    }
    complaints
}

/// An event can be put into an envelope and taken out of it, and a pointer to it can always be sent.
fn complaints_about_envelopes(source: Source, event: &Event<'_>) -> Option<String> {
    let text = envelope_of(source, event, Content::Inline(event.record)).to_text();
    let whole = text.to_text();
    match Envelope::parse(&whole) {
        Ok(read)
            if read.subject == subject_of(event)
                && matches!(read.content, Content::Inline(record) if record.get() == event.record.get()) =>
            {}
        other => return Some(format!("{:?} reads back as {other:?}", event.index)),
    }
    if text.is_sendable() != is_sendable(event.record.get()) {
        let index = event.index;
        return Some(format!("{index:?} is sendable or not for no reason"));
    }
    let place = DataRef::new("bucket", &format!("events/{}", id_of(event)));
    let pointer = envelope_of(source, event, Content::Stored(place)).to_text();
    (!InlineLimit::new(250_000).admits(&pointer))
        .then(|| format!("a pointer to {:?} cannot be sent", event.index))
}

fn complaints_about_good(event: &Event<'_>, good: &Good, body: &[u8]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut compare = |what: &str, is: String, should: String| {
        if is != should {
            let index = good.index;
            complaints.push(format!("{what} of {index} is {is}, should be {should}"));
        }
    };
    let meaning = &event.meaning;
    let event_type = event.event_type.to_string();
    compare("type", event_type, good.event_type.clone());
    compare("lane", meaning.lane.to_string(), good.lane.clone());
    let effect = meaning.effect.as_str().to_owned();
    compare("effect", effect, good.effect.clone());
    let is_text = is_sendable(event.record.get()).to_string();
    compare("sqs_text", is_text, good.sqs_text.to_string());
    if let Some(time) = &good.time {
        let found = event.source_time.as_ref().map(ToString::to_string);
        compare("time", found.unwrap_or_default(), time.clone());
    }
    if let Some(at) = good.at {
        let place = format!("{:?}", place_of(event, body));
        compare("place", place, format!("{:?}", Some(at)));
    }
    let subject = subject_of(event).to_string();
    match good.subject.strip_suffix('*') {
        None => compare("subject", subject, good.subject.clone()),
        // Made at run time: the event's id where there is no key, a hash behind the invoice of a payment.
        Some(beginning) if beginning == format!("{}/", meaning.kind) => {
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
    let events = split.events.iter().map(|event| (event.index.get(), event));
    let events: BTreeMap<_, _> = events.collect();
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

/// The names of the folders in a folder, as this crate sees it.
fn folders(path: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn every_source_has_its_folders_and_no_folder_is_left_out() {
    let names: BTreeSet<String> = Source::ALL.map(|source| source.to_string()).into();
    assert_eq!(folders("src"), names, "Source::ALL has the other names");
    let mut fixtures = folders("../../tests/fixtures");
    assert!(fixtures.remove("releases"));
    assert_eq!(fixtures, names, "Source::ALL has the other names");
}

#[test]
fn every_source_says_in_its_readme_what_is_known_of_it() {
    for source in Source::ALL {
        let path = format!("{}/src/{source}/README.md", env!("CARGO_MANIFEST_DIR"));
        let readme = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let title = format!("# {}\n", facts(source).title);
        assert!(readme.starts_with(&title), "{path} begins otherwise");
        for row in ["proof", "keys", "success", "a delivery", "registering"] {
            let row = format!("\n| {row} | ");
            assert!(readme.contains(&row), "{path} has no {row:?}");
        }
        let unknown = readme.contains("\n## What is not known\n");
        assert!(unknown, "{path} does not say what is not known");
    }
}

#[test]
fn every_delivery_is_read_as_its_manifest_says() {
    for source in Source::ALL {
        let mut complaints = Vec::new();
        let fixtures = fixtures(source).all();
        assert!(!fixtures.is_empty(), "{source} has no delivery");
        for fixture in &fixtures {
            let found = complaints_about_fixture(source, fixture);
            let in_file = |complaint| format!("{} ({}): {complaint}", fixture.name, fixture.what);
            complaints.extend(found.into_iter().map(in_file));
        }
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
        let shown = fixtures
            .iter()
            .flat_map(|fixture| shown_types(&fixture.expected));
        let shown: BTreeSet<&str> = shown.collect();
        let mut hidden = facts(source).types.to_vec();
        hidden.retain(|row| !shown.contains(row.name));
        assert!(hidden.is_empty(), "no fixture of {source} shows {hidden:?}");
    }
}

fn complaints_about_fixture(source: Source, fixture: &Fixture) -> Vec<String> {
    let (headers, body) = (kept_headers(source, fixture), &*fixture.body);
    let split = protocol(source).split(Delivery {
        headers: &headers,
        part: &fixture.part,
        body,
    });
    match (split, &fixture.expected) {
        (Err(reason), Expected::Unreadable(expected)) if reason.as_str() == expected => vec![],
        (Ok(split), Expected::Undecided { elements }) => {
            let mut found = complaints_about_any(source, &split, body);
            if split.events.len() + split.bad.len() != *elements {
                found.push("an element is lost".to_owned());
            }
            found
        }
        (Ok(split), Expected::Events(expected)) => {
            let mut found = complaints_about_any(source, &split, body);
            found.extend(complaints_about_events(&split, expected, body));
            found
        }
        (result, _) => vec![match result {
            Ok(split) => format!("has {} good, {} bad", split.events.len(), split.bad.len()),
            Err(reason) => format!("is {}", reason.as_str()),
        }],
    }
}

fn shown_types(expected: &Expected) -> Vec<&str> {
    let good = match expected {
        Expected::Events(events) => &events.good[..],
        Expected::Unreadable(_) | Expected::Undecided { .. } => &[],
    };
    good.iter().map(|good| good.event_type.as_str()).collect()
}

#[test]
fn every_type_has_a_meaning_and_one_that_is_not_known_is_forwarded() {
    for source in Source::ALL {
        let protocol = protocol(source);
        let mut names = BTreeSet::new();
        for row in protocol.facts().types {
            let event_type: EventType = row.name.parse().unwrap();
            assert_eq!(protocol.meaning(&event_type), row.meaning());
            assert!(names.insert(row.name), "{} stands twice", row.name);
            let kind = row.kind;
            assert!(!kind.is_empty() && !kind.contains(['/', '#']), "{kind}");
        }
        let unknown = [
            "refund.created",
            "refund_created",
            "refund@v3",
            "ping",
            "a.b.deleted",
        ];
        for name in unknown {
            let meaning = protocol.meaning(&name.parse().unwrap());
            assert_eq!(meaning.lane, Lane::Other, "{name} of {source}");
            assert!(!meaning.kind.is_empty(), "{name} of {source}");
            assert_ne!(meaning.effect, Effect::Occurrence, "{name} of {source}");
        }
    }
}

#[test]
fn a_source_has_a_title_and_a_success() {
    for source in Source::ALL {
        assert!(!facts(source).title.is_empty());
        assert!((200..300).contains(&facts(source).success), "{source}");
    }
    assert_eq!(facts(Source::Orderspace).success, 200);
    assert_eq!(facts(Source::Orderspace).policy, Policy::Require);
    assert_eq!(facts(Source::Ordermentum).success, 200);
    assert_eq!(facts(Source::OneStock).success, 202);
    let observed = |source: &Source| facts(*source).policy == Policy::Observe;
    // Each needs a reason in its README.
    let observed: Vec<_> = Source::ALL.into_iter().filter(observed).collect();
    assert_eq!(observed, [Source::OneStock]);
}

#[test]
// requirement: unauthenticated-signature
fn every_signed_body_verifies_and_none_with_a_bit_changed() {
    for source in Source::ALL {
        let vectors = fixtures(source).signature_vectors();
        assert!(!vectors.is_empty(), "{source} has no signed body");
        let mut shown = BTreeSet::new();
        for vector in vectors {
            let signer = Signer::at(source.as_str(), vector.header.as_deref());
            shown.insert(signer.header);
            let (name, signature) = (&vector.name, vector.signature.as_bytes());
            let live = signer.secrets(&[OTHER_SIGNING_KEY, &vector.key]);
            let proved = |value: &[u8], body: &[u8]| {
                is_proved((source, signer), &[(signer.header, value)], body, &live)
            };
            assert!(proved(signature, &vector.body), "{name}");
            for bit in 0..vector.body.len() * 8 {
                let mut body = vector.body.clone();
                body[bit / 8] ^= 1 << (bit % 8);
                let expected = !vector.binds_body;
                assert_eq!(proved(signature, &body), expected, "{name} with bit {bit}");
            }
            let mut others = 0;
            for bit in 0..signature.len() * 8 {
                let mut changed = signature.to_vec();
                changed[bit / 8] ^= 1 << (bit % 8);
                if HeaderValue::from_bytes(&changed).is_err() {
                    continue;
                }
                // Where the source writes a proof in two ways, the changed text may still be the same.
                let text = String::from_utf8_lossy(&changed);
                let is_same = signer.proves(&text, &vector.key, &vector.body);
                let is_proved = proved(&changed, &vector.body);
                assert_eq!(is_proved, is_same, "{name} with bit {bit} of the signature");
                others += usize::from(!is_same);
            }
            assert!(others > signature.len(), "{name}: few bits count");
        }
        let all = Signer::all_of(source.as_str());
        let all: BTreeSet<_> = all.iter().map(|signer| signer.header).collect();
        assert_eq!(shown, all, "a way of {source} has no signed body");
    }
}

/// An event of every type, as infra/events publishes it, made by us and proved in every way that its source has.
#[test]
fn a_delivery_of_ours_is_proved_and_split_as_the_source_s_own_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/events/examples");
    for (source, signer) in signers() {
        let secrets = signer.secrets(&[&signer.key(SIGNING_KEY)]);
        let at = Timestamp::from_millis(1_795_176_000_123);
        for row in facts(source).types {
            let name = format!("{source}.{}", row.name);
            let example = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
            let data = example.split_once(r#""data": "#).unwrap().1;
            let mut data = serde_json::Deserializer::from_str(data);
            let record: Box<RawValue> = serde::Deserialize::deserialize(&mut data).unwrap();
            let event_type: EventType = row.name.parse().unwrap();
            let make = |secrets: &LiveSecrets| {
                protocol(source).signed_delivery(secrets, &event_type, &record, at)
            };
            let sent = make(&secrets).unwrap();
            let values = sent.headers.iter();
            let values = values.map(|(name, value)| (*name, value.as_bytes()));
            let values: Vec<(&'static str, &[u8])> = values.collect();
            let proved = |body: &[u8], secrets: &LiveSecrets| {
                is_proved((source, signer), &values, body, secrets)
            };
            assert!(proved(&sent.body, &secrets), "{name}");
            let others = signer.secrets(&[&signer.key(OTHER_SIGNING_KEY)]);
            assert!(!proved(&sent.body, &others), "{name} under another key");
            let unsigned = make(&LiveSecrets::default());
            assert!(unsigned.is_none(), "{name} without a secret");
            let shown = format!("{sent:?}");
            for (_, value) in &values {
                let value = str::from_utf8(value).unwrap();
                assert!(!shown.contains(value), "{shown}");
            }

            let kept = facts(source).kept(&headers(&values));
            let delivery = Delivery {
                body: &sent.body,
                headers: &kept,
                part: protocol(source).part(row.name),
            };
            let split = protocol(source).split(delivery).unwrap();
            let [event] = split.events.as_slice() else {
                panic!("{name}: {split:?}");
            };
            assert_eq!(event.event_type, event_type);
            assert_eq!(event.record.get(), record.get());
        }
    }
}

/// Apideck names the type inside the record: it is entered where a record has none, and never replaced.
#[test]
fn a_record_without_its_type_is_given_it() {
    let source = Source::Apideck;
    let key = LiveSecrets::from(MacKey::new(SIGNING_KEY));
    let event_type: EventType = "ecommerce.order.created".parse().unwrap();
    let other = "ecommerce.order.updated";
    for (record, expected) in [
        ("{}", Some("ecommerce.order.created")),
        (r#"{ "entity_id":"or_1"}"#, Some("ecommerce.order.created")),
        (r#"{"event_type":"ecommerce.order.updated"}"#, Some(other)),
        ("[]", None),
    ] {
        let record: &RawValue = serde_json::from_str(record).unwrap();
        let at = Timestamp::from_millis(0);
        let sent = protocol(source).signed_delivery(&key, &event_type, record, at);
        let named = sent.map(|sent| {
            let split = split(source, &sent.body).unwrap();
            split.events[0].event_type.to_string()
        });
        assert_eq!(named.as_deref(), expected);
    }
}

#[test]
// requirement: unauthenticated-signature
fn a_request_offers_one_signature_or_none() {
    for (source, signer) in signers() {
        let (body, header) = (b"[14]", signer.header);
        let key = signer.key(SIGNING_KEY);
        let secrets = signer.secrets(&[&key]);
        let good = signer.sign(&key, body);
        let proved = |value: &str| {
            let value = (header, value.as_bytes());
            is_proved((source, signer), &[value], body, &secrets)
        };
        for spelling in [good.clone(), format!("{good} "), format!(" {good}\t")] {
            assert!(proved(&spelling), "{spelling}");
        }
        let (begin, end) = good.split_at(22);
        let malformed = [format!("{begin} {end}"), String::new()];
        for other in &malformed {
            let value = (header, other.as_bytes());
            assert_offers_nothing(source, &[value], ProofError::Malformed, other);
        }
        // Hexadecimal is how some sources write it, and base64 the others.
        let elsewhere = match sign_in_hex(SIGNING_KEY, body) {
            hex if hex == good => Signer::of("orderspace").sign(SIGNING_KEY, body),
            hex => hex,
        };
        let doubled = [
            elsewhere,
            format!("{good}={good}"),
            format!("sha256={good}"),
            format!("{good},{good}"),
        ];
        for other in &doubled {
            assert!(!proved(other), "{other} of {source}");
            // A text that is repeated has no form of its own.
            if signer.assurance == Assurance::Signature && !other.starts_with("sha256=t=") {
                let value = (header, other.as_bytes());
                assert_offers_nothing(source, &[value], ProofError::Malformed, other);
            }
        }
        assert_offers_nothing(source, &[], ProofError::Missing, "no header");
        let good = (header, good.as_bytes());
        assert_offers_nothing(source, &[good, good], ProofError::Malformed, "two headers");
    }
}

/// A secret that is repeated at two places has to be right at both.
#[test]
fn every_proof_that_is_offered_has_to_be_right() {
    for source in Source::ALL {
        let [one, other] = Signer::all_of(source.as_str()) else {
            continue;
        };
        let (key, other_key) = (one.key(SIGNING_KEY), other.key(SIGNING_KEY));
        let mut secrets = one.secrets(&[&key]);
        secrets.shared.extend(other.secrets(&[&other_key]).shared);
        let good = (one.header, key.as_bytes());
        let other_good = (other.header, other_key.as_bytes());
        let wrong = other.key(OTHER_SIGNING_KEY);
        let wrong = (other.header, wrong.as_bytes());
        let proved =
            |values: &[(&'static str, &[u8])]| is_proved((source, *one), values, b"[]", &secrets);
        assert!(proved(&[good]) && proved(&[other_good]) && proved(&[good, other_good]));
        assert!(!proved(&[good, wrong]), "{source}");
        let exchanged = [(other.header, good.1), (one.header, other_good.1)];
        assert!(!proved(&exchanged[..1]) && !proved(&exchanged[1..]) && !proved(&exchanged));
    }
}

/// The same characters, held as another sort of secret or for another place, prove nothing.
#[test]
fn a_secret_proves_only_what_it_is_for() {
    for (source, signer) in signers() {
        let body = b"[14]";
        let key = signer.key(SIGNING_KEY);
        let good = signer.sign(&key, body);
        let shared = [Place::Basic, Place::Header].map(|place| SharedSecret::new(place, &*key));
        let proved = |macs: Vec<MacKey>, shared: Vec<SharedSecret>| {
            let secrets = LiveSecrets { macs, shared };
            let value = (signer.header, good.as_bytes());
            is_proved((source, signer), &[value], body, &secrets)
        };
        let [basic, header] = shared;
        let is_shared = signer.assurance == Assurance::SharedSecret;
        let is_basic = signer.header == "authorization";
        let mac = || vec![MacKey::new(&*key)];
        for (macs, shared, proves) in [
            (mac(), vec![], !is_shared),
            (vec![], vec![basic.clone()], is_shared && is_basic),
            (vec![], vec![header], is_shared && !is_basic),
            (mac(), vec![basic], !is_shared || is_basic),
        ] {
            assert_eq!(proved(macs, shared), proves, "{source}");
        }
    }
}

#[test]
fn a_proof_at_the_header_of_another_source_is_none() {
    for (source, signer) in signers() {
        let key = signer.key(SIGNING_KEY);
        let good = signer.sign(&key, b"[14]");
        for (_, other) in signers() {
            if other.header != signer.header {
                let value = (other.header, good.as_bytes());
                let secrets = signer.secrets(&[&key]);
                assert!(!is_proved((source, signer), &[value], b"[14]", &secrets));
            }
        }
    }
}

/// Orderspace's base64 has one alphabet, and its padding.
#[test]
fn a_signature_of_orderspace_has_one_spelling() {
    let (source, body) = (Source::Orderspace, b"[14]");
    // A body whose signature has both characters that base64's alphabets write differently.
    let signer = Signer::of(source.as_str());
    let good = signer.sign(SIGNING_KEY, body);
    assert!(good.contains('+') && good.contains('/'), "{good}");
    for other in [
        good.replace('+', "-").replace('/', "_"),
        good.trim_end_matches('=').to_owned(),
    ] {
        let offered = offer(source, &[(signer.header, other.as_bytes())], body);
        assert_eq!(offered.unwrap_err(), ProofError::Malformed, "{other}");
    }
}

/// Kinds are ordered in one way, whatever the type: a delete and an update of one record have to be compared.
#[test]
fn the_types_of_a_kind_agree_on_its_order() {
    for source in Source::ALL {
        let mut timed = BTreeMap::new();
        for row in facts(source).types {
            let of_kind = *timed.entry(row.kind).or_insert(row.timed);
            assert_eq!(row.timed, of_kind, "{} of {source}", row.name);
        }
        for (kind, timed) in timed {
            let meanings = facts(source).types.iter().filter(|row| row.kind == kind);
            for row in meanings {
                let (begin, _) = row.name.rsplit_once(['.', '_']).unwrap();
                let unknown: EventType = format!("{begin}.seen").parse().unwrap();
                let meaning = protocol(source).meaning(&unknown);
                assert!(meaning.kind != kind || meaning.timed == timed, "{unknown}");
            }
        }
    }
}

#[test]
// requirement: unauthenticated-signature
fn without_keys_nothing_is_genuine() {
    for (source, signer) in signers() {
        for key in ["", SIGNING_KEY] {
            let key = signer.key(key);
            let value = signer.sign(&key, b"[]");
            let proved = |secrets: &LiveSecrets| {
                let value = (signer.header, value.as_bytes());
                is_proved((source, signer), &[value], b"[]", secrets)
            };
            assert!(!proved(&LiveSecrets::default()), "{source}");
            let other = signer.key(OTHER_SIGNING_KEY);
            assert!(!proved(&signer.secrets(&[&other])), "{source}");
        }
    }
}

fn any_source() -> impl Strategy<Value = Source> {
    proptest::sample::select(Source::ALL.to_vec())
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
    let known = facts(Source::Orderspace).types;
    prop_oneof![
        proptest::sample::select(known).prop_map(|row| row.name.to_owned()),
        "[a-z_]{1,9}(\\.[a-z]{1,9}){0,2}",
    ]
}

proptest! {
    #[test]
    // requirement: unauthenticated-signature
    fn what_is_signed_verifies_and_nothing_else(
        (source, signer) in proptest::sample::select(signers()),
        body in proptest::collection::vec(any::<u8>(), 0..200),
        key in "[a-zA-Z0-9]{1,80}",
        other in "[a-zA-Z0-9]{1,80}",
        bit in any::<proptest::sample::Index>(),
    ) {
        let (key, other) = (signer.key(&key), signer.key(&other));
        let value = signer.sign(&key, &body);
        prop_assert!(signer.proves(&value, &key, &body));
        let proved = |body: &[u8], keys: &[&str]| {
            let value = (signer.header, value.as_bytes());
            is_proved((source, signer), &[value], body, &signer.secrets(keys))
        };
        let live = [&*other, &*key];
        prop_assert!(proved(&body, &live));
        prop_assert_eq!(proved(&body, &[&other]), key == other);
        let mut longer = body.clone();
        longer.push(0);
        prop_assert_eq!(proved(&longer, &live), !signer.binds_body);
        if !body.is_empty() {
            let mut changed = body.clone();
            let bit = bit.index(body.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(proved(&changed, &live), !signer.binds_body);
        }
    }

    #[test]
    fn no_headers_panic(
        (source, signer) in proptest::sample::select(signers()),
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..3),
        body in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let values = values.iter().filter(|value| HeaderValue::from_bytes(value).is_ok());
        let values: Vec<_> = values.map(|value| (signer.header, &**value)).collect();
        let secrets = signer.secrets(&[SIGNING_KEY]);
        prop_assert!(!is_proved((source, signer), &values, &body, &secrets));
    }

    #[test]
    // requirement: check-panics
    fn no_bytes_panic_and_none_of_them_are_made_up(
        source in any_source(),
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Ok(split) = split(source, &body) {
            prop_assert_eq!(complaints_about_any(source, &split, &body), Vec::<String>::new());
        }
    }

    #[test]
    fn no_json_panics_and_all_of_it_is_accounted_for(source in any_source(), body in json()) {
        match split(source, body.as_bytes()) {
            Ok(split) => {
                prop_assert_eq!(complaints_about_any(source, &split, body.as_bytes()), Vec::<String>::new());
                if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(&body) {
                    prop_assert!(split.events.len() + split.bad.len() >= elements.len());
                }
            }
            Err(reason) => prop_assert_eq!(reason, Unreadable::NoEventList),
        }
    }

    #[test]
    // requirement: verbatim-split
    fn what_orderspace_packs_is_split_into_the_same_bytes(
        events in proptest::collection::vec((event_type(), record()), 0..6),
    ) {
        let join = |events: &[(String, String)]| {
            events.iter().fold(delivery(), |body, (kind, record)| body.event(kind, record)).body()
        };
        let body = join(&events);
        let split = split(Source::Orderspace, &body).unwrap();
        prop_assert_eq!(&split.bad, &vec![]);
        let again = split.events.iter();
        let again = again.map(|event| (event.event_type.to_string(), event.record.get().to_owned()));
        prop_assert_eq!(join(&again.collect::<Vec<_>>()), body.clone());
        prop_assert_eq!(complaints_about_any(Source::Orderspace, &split, &body), Vec::<String>::new());
    }

    #[test]
    fn what_a_source_of_one_event_packs_is_split_into_the_same_bytes(
        which in any::<proptest::sample::Index>(),
        record in record(),
    ) {
        let none = HeaderMap::new();
        for (source, begin, end, part) in [
            (Source::Ordermentum, r#"{"event":"@","timestamp":"2026-11-20T12:00:00Z","data":"#, " } ", false),
            (Source::OneStock, "", "", true),
            (Source::OneStock, r#"{"topic":"@","message":"#, "}", false),
        ] {
            let row = which.get(facts(source).types);
            let begin = begin.replace('@', row.name);
            let body = format!("{begin}{record}{end}");
            let part = if part { row.name } else { "" };
            let split = protocol(source).split(Delivery { headers: &none, part, body: body.as_bytes() }).unwrap();
            prop_assert_eq!(&split.bad, &vec![]);
            let [event] = &split.events[..] else { panic!("{body}") };
            prop_assert_eq!(event.event_type.as_str(), row.name);
            prop_assert_eq!(&event.meaning, &row.meaning());
            prop_assert_eq!(format!("{begin}{}{end}", event.record), &*body);
            prop_assert_eq!(complaints_about_any(source, &split, body.as_bytes()), Vec::<String>::new());
        }
    }

    #[test]
    // requirement: check-panics
    fn a_delivery_that_is_damaged_on_the_way_never_panics(
        source in any_source(),
        which in any::<proptest::sample::Index>(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        length in any::<proptest::sample::Index>(),
    ) {
        let small: Vec<_> = FIXTURES.get_or_init(all_small)[&source].iter().collect();
        let mut body = which.get(&small).to_vec();
        for (place, byte) in damage {
            let place = place.index(body.len());
            body[place] = byte;
        }
        body.truncate(body.len() / 2 + length.index(body.len() / 2 + 1));
        if let Ok(split) = split(source, &body) {
            prop_assert_eq!(complaints_about_any(source, &split, &body), Vec::<String>::new());
        }
    }
}

static FIXTURES: std::sync::OnceLock<BTreeMap<Source, Vec<Vec<u8>>>> = std::sync::OnceLock::new();

/// The bodies of every source that are neither empty nor large.
fn all_small() -> BTreeMap<Source, Vec<Vec<u8>>> {
    let small = |source| {
        let bodies = fixtures(source)
            .all()
            .into_iter()
            .map(|fixture| fixture.body);
        let bodies = bodies.filter(|body| (1..10_000).contains(&body.len()));
        (source, bodies.collect())
    };
    Source::ALL.into_iter().map(small).collect()
}
