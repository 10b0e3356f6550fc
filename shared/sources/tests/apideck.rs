//! What is peculiar to Apideck: the forms of what it signs, and that its events have ids and times.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeSet;

use domain::delivery::{Delivery, Request};
use domain::identity::{BodyHash, RetryKey};
use domain::signature::{LiveSecrets, MacKey, Screened};
use domain::source::Source;
use http::{HeaderMap, HeaderValue};
use sources::apideck::Apideck;
use sources::{Protocol as _, facts};
use testkit::fixtures::Fixtures;
use testkit::signing::{OTHER_SIGNING_KEY, Signer, sign_in_hex};

const SIGNATURE_HEADER: &str = "x-apideck-signature";
const KEY: &str = "apideck-test-key-1";

/// Whether a body with this signature is genuine.
fn is_genuine(signature: &str, body: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    headers.insert(SIGNATURE_HEADER, HeaderValue::from_str(signature).unwrap());
    let request = Request {
        headers: &headers,
        part: "ecommerce",
        body,
    };
    let live = LiveSecrets {
        macs: [OTHER_SIGNING_KEY, KEY].map(MacKey::new).into(),
        shared: Vec::new(),
    };
    let signed = |request, form| Apideck.signed(request, form);
    let Ok(Screened::Delivery(offer)) = Apideck.screen(request) else {
        panic!("{signature} is no proof of a delivery")
    };
    let verified = offer.verify(request, &live, Apideck.facts().policy, signed);
    verified.is_some()
}

/// Which objects are sorted is not certain, so three forms are tried, and no others.
#[test]
fn a_signature_is_over_one_of_three_forms() {
    let body = br#"{"b":[{"z":1,"a":2}],"a":{"d":1,"c":2}}"#;
    let forms = [
        (r#"{"a":{"c":2,"d":1},"b":[{"a":2,"z":1}]}"#, true),
        (r#"{"a":{"c":2,"d":1},"b":[{"z":1,"a":2}]}"#, true),
        (r#"{"b":[{"z":1,"a":2}],"a":{"d":1,"c":2}}"#, true),
        // Sorted at the top alone, as no document says.
        (r#"{"a":{"d":1,"c":2},"b":[{"z":1,"a":2}]}"#, false),
        // Sorted, but with white space.
        (r#"{"a": {"c": 2, "d": 1}, "b": [{"a": 2, "z": 1}]}"#, false),
    ];
    for (signed, is_known) in forms {
        let tag = sign_in_hex(KEY, signed.as_bytes());
        for tag in [tag.to_uppercase(), tag] {
            assert_eq!(is_genuine(&tag, body), is_known, "{signed}");
        }
    }
}

/// Of a name that stands twice nobody knows which one was signed; as it stands, such a body is still what was signed.
#[test]
fn a_body_with_a_name_twice_is_genuine_only_as_it_stands() {
    let body = br#"{"b":1,"a":2,"b":3}"#;
    for (signed, is_known) in [
        (r#"{"a":2,"b":3}"#, false),
        (r#"{"a":2,"b":1,"b":3}"#, false),
        (r#"{"b":1,"a":2,"b":3}"#, true),
    ] {
        let tag = sign_in_hex(KEY, signed.as_bytes());
        assert_eq!(is_genuine(&tag, body), is_known, "{signed}");
    }
}

/// The signer of the tests sorts in another way: it reads values and prints them anew.
#[test]
fn the_signer_of_the_tests_agrees() {
    let signer = Signer::of("apideck");
    assert_eq!(signer.header, SIGNATURE_HEADER);
    for fixture in Fixtures::of("apideck").all() {
        // Numbers that no float holds, names that are no text and names that stand twice are signed as they stand.
        let signature = signer.sign(KEY, &fixture.body);
        let is_twice = fixture.name == "made/duplicate-names.json";
        let is_genuine_here = is_genuine(&signature, &fixture.body);
        assert_eq!(is_genuine_here, !is_twice, "{}", fixture.name);
        let other = signer.sign("another key", &fixture.body);
        assert!(!is_genuine(&other, &fixture.body), "{}", fixture.name);
    }
}

/// Every delivery as it is documented has an id and a time, a record by them, and a retry that is recognised.
#[test]
fn a_documented_delivery_has_its_id_and_its_time() {
    let (mut ids, headers) = (BTreeSet::new(), HeaderMap::new());
    let documented = Fixtures::of("apideck").all().into_iter();
    for fixture in documented.filter(|fixture| fixture.name.starts_with("current/")) {
        let delivery = Delivery {
            headers: &headers,
            part: "ecommerce",
            body: &fixture.body,
        };
        let split = Apideck.split(delivery).unwrap();
        let event = &split.events[0];
        let id = event.source_id.as_ref().unwrap().to_string();
        let time = event.source_time.as_ref().unwrap().to_string();
        assert!(time.starts_with("2026-11-20T12:"), "{time}");
        assert!(event.meaning.timed && event.record_id.is_some());
        let retry = Apideck.retry_key(delivery, BodyHash::of(&fixture.body));
        assert_eq!(retry, RetryKey::of_event_id(&id), "{}", fixture.name);
        assert!(ids.insert(id), "{} repeats an id", fixture.name);
    }
    assert_eq!(ids.len(), facts(Source::Apideck).types.len());
}
