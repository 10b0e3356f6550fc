//! What holds for every input, target by target. A law that breaks is a panic, which the fuzzer keeps with its input.
//!
//! Each function is also an ordinary function: the input of a finding goes into a test of the crate that was at fault.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::delivery::{Delivery, MOST_EVENTS, Request};
use domain::envelope::{Content, Envelope, Marks};
use domain::event::Event;
use domain::identity::DeliveryId;
use domain::provenance::Provenance;
use domain::record::Subject;
use domain::signature::{Form, LiveSecrets, MacKey, Offer, Screened};
use domain::source::Source;
use domain::timestamp::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};
use sources::protocol;
use testkit::signing::{SIGNING_KEY, Signer, sign, sign_in_hex};

#[cfg(feature = "aws")]
pub mod gateway;
#[cfg(feature = "aws")]
pub mod records;

const SOURCE: Source = Source::Orderspace;

/// What a request of a source with this proof offers.
fn offer(source: Source, proof: &[u8]) -> Option<Offer> {
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static(Signer::of(source.as_str()).header),
        HeaderValue::from_bytes(proof).ok()?,
    );
    let request = Request { headers: &headers, part: "", body: b"" };
    match protocol(source).screen(request).ok()? {
        Screened::Delivery(offer) => Some(offer),
        Screened::Greeting => None,
    }
}

fn is_genuine(source: Source, offer: &Offer, body: &[u8]) -> bool {
    let (headers, source) = (HeaderMap::new(), protocol(source));
    let request = Request { headers: &headers, part: "", body };
    let secrets = LiveSecrets::from(MacKey::new(SIGNING_KEY));
    let signed = |request, form| source.signed(request, form);
    let policy = source.facts().policy;
    offer.verify(request, &secrets, policy, signed).is_some()
}

fn delivery<'a>(headers: &'a HeaderMap, body: &'a [u8]) -> Delivery<'a> {
    Delivery { headers, part: "", body }
}

/// What is verified is what was signed. The first line stands for a header, the rest for a body; and of the body's own
/// signature the first two bytes change one character.
pub fn signature(data: &[u8]) {
    let (header, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (&[][..], data),
    };
    let right = sign(SIGNING_KEY, body);
    if let Some(offer) = offer(SOURCE, header) {
        let is_right = header.trim_ascii() == right.as_bytes();
        assert_eq!(is_genuine(SOURCE, &offer, body), is_right);
    }
    let [place, change, rest @ ..] = data else {
        return;
    };
    let right = sign(SIGNING_KEY, rest);
    let genuine = offer(SOURCE, right.as_bytes()).expect("a signature is one");
    assert!(is_genuine(SOURCE, &genuine, rest));
    let mut damaged = right.clone().into_bytes();
    let place = usize::from(*place) % damaged.len();
    damaged[place] ^= *change;
    if let Some(offer) = offer(SOURCE, &damaged) {
        let is_same = STANDARD.decode(damaged.trim_ascii()).ok() == STANDARD.decode(&right).ok();
        assert_eq!(is_genuine(SOURCE, &offer, rest), is_same);
    }
}

/// Apideck's sorted texts are the body in another order: no byte but white space is lost, none is made, the value is the
/// same, and sorting again changes nothing. What is signed in such a form verifies, however the body is spaced; a damaged
/// signature does not. The first two bytes change one character of the signature, the rest is the body.
pub fn canonical(data: &[u8]) {
    let [place, change, body @ ..] = data else {
        return;
    };
    for form in SORTED_FORMS {
        let Some(sorted) = sorted(body, form) else {
            continue;
        };
        assert_eq!(counts(&sorted), counts(body));
        assert!(sorted.len() <= body.len());
        assert_eq!(self::sorted(&sorted, form).as_deref(), Some(&*sorted));
        let texts = (std::str::from_utf8(&sorted), std::str::from_utf8(body));
        let (Ok(own), Ok(sent)) = texts else {
            panic!("what is sorted is text");
        };
        assert_eq!(value(own), value(sent));
        let right = sign_in_hex(SIGNING_KEY, &sorted);
        let genuine = offer(Source::Apideck, right.as_bytes()).expect("a signature is one");
        assert!(is_genuine(Source::Apideck, &genuine, body));
        assert!(is_genuine(Source::Apideck, &genuine, &sorted));
        let mut damaged = right.clone().into_bytes();
        let place = usize::from(*place) % damaged.len();
        damaged[place] ^= *change;
        if let Some(offer) = offer(Source::Apideck, &damaged) {
            let is_same = damaged.trim_ascii().eq_ignore_ascii_case(right.as_bytes());
            assert_eq!(is_genuine(Source::Apideck, &offer, body), is_same);
        }
    }
}

/// The forms of Apideck's signatures that sort.
const SORTED_FORMS: [Form; 2] = [Form("sorted_json"), Form("sorted_json_but_lists")];

fn sorted(body: &[u8], form: Form) -> Option<Vec<u8>> {
    let headers = HeaderMap::new();
    let request = Request { headers: &headers, part: "", body };
    let text = protocol(Source::Apideck).signed(request, form);
    text.map(|text| text.into_owned())
}

/// How often each byte stands in a text, white space aside.
fn counts(text: &[u8]) -> [usize; 256] {
    let mut counts = [0; 256];
    for byte in text.iter().filter(|byte| !b" \t\r\n".contains(byte)) {
        counts[usize::from(*byte)] += 1;
    }
    counts
}

/// The value of a text; none where a reader has no number or text for what it spells.
fn value(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(text).ok()
}

/// Every element is an event or a bad one, once and in order; every record is a part of the body, and an object.
pub fn split(body: &[u8]) {
    let headers = HeaderMap::new();
    let Ok(split) = protocol(SOURCE).split(delivery(&headers, body)) else {
        return;
    };
    let good = split.events.iter().map(|event| event.index.get());
    let bad = split.bad.iter().map(|bad| bad.index.get());
    let mut positions: Vec<u32> = good.chain(bad).collect();
    positions.sort_unstable();
    assert!(positions.len() <= MOST_EVENTS);
    assert!(
        (0..)
            .zip(&positions)
            .all(|(expected, position)| expected == *position)
    );
    assert!(split.events.is_sorted_by_key(|event| event.index));
    for event in &split.events {
        let record = event.record.get();
        let begin = (record.as_ptr() as usize).wrapping_sub(body.as_ptr() as usize);
        assert_eq!(
            body.get(begin..begin + record.len()),
            Some(record.as_bytes())
        );
        assert!(record.starts_with('{') && record.ends_with('}'));
    }
}

/// An envelope reads back as what was written; what is no envelope is refused, and never read as another.
pub fn envelope(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(envelope) = Envelope::parse(text)
    {
        reads_back(&envelope);
    }
    let headers = HeaderMap::new();
    let split = protocol(SOURCE).split(delivery(&headers, data));
    for event in &split.unwrap_or_default().events {
        reads_back(&around(event));
    }
}

fn around<'a>(event: &Event<'a>) -> Envelope<'a> {
    let delivery = DeliveryId::new(Timestamp::from_millis(1_795_176_000_123), &[1; 10]);
    let id = delivery.event(event.index);
    Envelope {
        id,
        source: SOURCE,
        account: "acme".parse().expect("a name"),
        event_type: event.event_type.clone(),
        subject: Subject::new(&event.meaning.kind, event.record_id.as_ref(), id),
        provenance: Provenance::default(),
        marks: Marks::default(),
        content: Content::Inline(event.record),
    }
}

fn reads_back(envelope: &Envelope<'_>) {
    for possible_duplicate in [false, true] {
        let mut envelope = envelope.clone();
        envelope.marks.possible_duplicate = possible_duplicate;
        let text = envelope.to_text();
        let written = text.to_text();
        assert_eq!(written.len(), text.len());
        let read = Envelope::parse(&written).expect("what was written reads back");
        assert_eq!(read.to_text().to_text(), written);
        assert_eq!(read.id, envelope.id);
        assert_eq!(read.account, envelope.account);
        assert_eq!(read.event_type, envelope.event_type);
        assert_eq!(read.subject, envelope.subject);
        assert_eq!(read.marks, envelope.marks);
        match (&read.content, &envelope.content) {
            (Content::Inline(read), Content::Inline(sent)) => assert_eq!(read.get(), sent.get()),
            (Content::Stored(read), Content::Stored(sent)) => assert_eq!(read, sent),
            other => panic!("one content was read as another: {other:?}"),
        }
    }
}
