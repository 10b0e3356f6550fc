//! Apideck's deliveries: <https://developers.apideck.com/guides/webhooks>.
//!
//! A delivery is one JSON object, `{"payload":{…}}`. It names what changed, and has little more of it than the id; only
//! events of the vault have the whole connection.
//!
//! | what | stands in |
//! |---|---|
//! | the type | `event_type` of the payload; the header of that name is not signed, so it decides nothing |
//! | the record | the payload; the whole object where it has none |
//! | whose record it is | `consumer_id` and `service_id`, then `entity_id`: one webhook brings the events of all consumers and connectors. Of a connection `entity_id` says all three |
//! | the source's event id | `event_id` |
//! | the source's time | `occurred_at` |

use std::borrow::Cow;

use domain::delivery::{ElementFault, Request, Split, Unreadable};
use domain::event::EventType;
use domain::identity::{BodyHash, RetryKey};
use domain::provenance::SourceEventId;
use domain::record::RecordId;
use domain::signature::{Form, LiveSecrets, Offer, ProofError, Tags};
use http::HeaderMap;
use serde_json::value::RawValue;

use super::canonical::{InLists, canonical};
use super::{VAULT, meaning};
use crate::json::{fields, id_of, text_of, time_of};
use crate::objects::{self, Read};
use crate::{SignedDelivery, only_value};

/// The HMAC-SHA256 under the application's API key, in hexadecimal digits.
const SIGNATURE_HEADER: &str = "x-apideck-signature";
/// The type, which is not signed.
pub(super) const TYPE_HEADER: &str = "x-apideck-event-type";
/// An id of the request, which is not signed.
pub(super) const ID_HEADER: &str = "x-apideck-idempotency-key";

/// The body with all its objects sorted: what the guide says.
const SORTED: Form = Form("sorted_json");
/// The body with its objects sorted but for those in lists: what the guide's helper makes.
const SORTED_BUT_LISTS: Form = Form("sorted_json_but_lists");
/// The body as it stands: what the reference's headers say.
const RAW_BODY: Form = Form("raw_body");

/// The type that the validation of a URL has.
const VALIDATION: &[u8] = b"apideck.subscription.created";
/// The longest validation that is looked for, in bytes: the documented one has 37.
const LONGEST_VALIDATION: usize = 1024;

/// Reads the signature that a request offers: 64 hexadecimal digits of either case.
pub(super) fn offer(headers: &HeaderMap) -> Result<Offer, ProofError> {
    let mut tag = [0; 32];
    hex::decode_to_slice(only_value(headers, SIGNATURE_HEADER)?, &mut tag)
        .map_err(|_| ProofError::Malformed)?;
    Ok(Offer::Macs {
        tags: Tags::one(tag),
        forms: &[SORTED, SORTED_BUT_LISTS, RAW_BODY],
    })
}

/// A delivery of one event. The record is the payload, whose type is entered where it has none.
pub(super) fn signed_delivery(
    secrets: &LiveSecrets,
    event_type: &EventType,
    record: &RawValue,
) -> Option<SignedDelivery> {
    let [named] = fields(record, ["event_type"])?;
    let members = record.get().strip_prefix('{')?;
    let body = match (named, members.trim_ascii_start()) {
        (Some(_), _) => format!(r#"{{"payload":{record}}}"#),
        // Types have no character that JSON escapes.
        (None, "}") => format!(r#"{{"payload":{{"event_type":"{event_type}"}}}}"#),
        (None, _) => format!(r#"{{"payload":{{"event_type":"{event_type}",{members}}}"#),
    };
    let signed = signed(body.as_bytes(), SORTED)?;
    let tag = secrets.macs.first()?.sign(&signed)?;
    Some(SignedDelivery {
        headers: vec![
            (SIGNATURE_HEADER, hex::encode(tag)),
            (TYPE_HEADER, event_type.to_string()),
        ],
        body: body.into_bytes(),
    })
}

/// The signed bytes of a form.
pub(super) fn signed(body: &[u8], form: Form) -> Option<Cow<'_, [u8]>> {
    match form {
        SORTED => canonical(body, InLists::Sorted).map(Cow::Owned),
        SORTED_BUT_LISTS => canonical(body, InLists::Kept).map(Cow::Owned),
        RAW_BODY => Some(Cow::Borrowed(body)),
        _ => None,
    }
}

/// Whether a request only asks whether somebody answers: Apideck sends it while a webhook is created and when its URL
/// changes, and leaves the webhook disabled without a success.
///
/// The header that says so is not signed, so a request that has an event in it is none.
pub(super) fn is_greeting(request: Request<'_>) -> bool {
    if only_value(request.headers, TYPE_HEADER) != Ok(VALIDATION)
        || request.body.len() > LONGEST_VALIDATION
    {
        return false;
    }
    if request.body.trim_ascii().is_empty() {
        return true;
    }
    let object = serde_json::from_slice::<&RawValue>(request.body).ok();
    let event = object.and_then(|object| fields(object, ["payload", "event_type"]));
    matches!(event, Some([None, None]))
}

/// Splits a body into its events.
pub(super) fn split(body: &[u8]) -> Result<Split<'_>, Unreadable> {
    let mut split = objects::split(body, read)?;
    for event in &mut split.events {
        event.source_id = event_id(event.record);
    }
    Ok(split)
}

/// What a retry is recognised by: `execution_attempt` counts up, so its bytes may be others.
pub(super) fn retry_key(body: &[u8], hash: BodyHash) -> RetryKey {
    let object = serde_json::from_slice::<&RawValue>(body).ok();
    let record = object.and_then(record_of);
    match record.and_then(event_id) {
        Some(id) => RetryKey::of_event_id(&id.to_string()),
        None => hash.into(),
    }
}

/// The record in an element; `None` where it is no object.
fn record_of(element: &RawValue) -> Option<&RawValue> {
    let [payload] = fields(element, ["payload"])?;
    let payload = payload.filter(|payload| payload.get().starts_with('{'));
    Some(payload.unwrap_or(element))
}

/// The source's id of the event that a record is of.
fn event_id(record: &RawValue) -> Option<SourceEventId> {
    let [id] = fields(record, ["event_id"])?;
    id_of(id?)?.parse().ok()
}

fn read(element: &RawValue) -> Result<Read<'_>, ElementFault> {
    let names = [
        "event_type",
        "consumer_id",
        "service_id",
        "entity_id",
        "occurred_at",
    ];
    let record = record_of(element).ok_or(ElementFault::NotAnObject)?;
    let [event_type, consumer, service, entity, occurred] =
        fields(record, names).ok_or(ElementFault::NotAnObject)?;
    let name = event_type
        .and_then(text_of)
        .filter(|name| !name.is_empty())
        .ok_or(ElementFault::NoType)?;
    let event_type: EventType = name.parse().map_err(|_| ElementFault::MalformedType)?;
    let [consumer, service, entity] = [consumer, service, entity].map(|id| id.and_then(id_of));
    let record_id = if name.starts_with(VAULT) {
        entity.and_then(|entity| RecordId::new(entity).ok())
    } else {
        key(consumer.as_deref(), service.as_deref(), entity.as_deref())
    };
    Ok(Read {
        meaning: meaning(&event_type),
        event_type,
        record_id,
        source_time: occurred.and_then(time_of),
        record,
    })
}

/// A record's identity: another consumer's system may have a record of the same id.
fn key(consumer: Option<&str>, service: Option<&str>, entity: Option<&str>) -> Option<RecordId> {
    let (consumer, service) = (segment(consumer?), segment(service?));
    RecordId::new(format!("{consumer}/{service}/{}", entity?)).ok()
}

/// An id as a segment of a key. Consumers' ids are the application's own, and with a slash in one of them, two keys could
/// read as one.
fn segment(id: &str) -> Cow<'_, str> {
    if id.contains(['/', '%']) {
        Cow::Owned(id.replace('%', "%25").replace('/', "%2F"))
    } else {
        Cow::Borrowed(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::Effect;
    use http::HeaderValue;
    use rstest::rstest;

    const TAG: &str = "c333ac9568997aff0aa35d91b5002171903473aea417483c3670e0bc0873e64e";

    fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[rstest]
    #[case::as_it_is_sent(TAG, true)]
    #[case::upper_case(&TAG.to_uppercase(), true)]
    #[case::space_around(&format!(" {TAG}\t"), true)]
    #[case::base64("wzOslWiZev8Ko12RtQAhcZA0c66kF0g8NnDgvAhz5k4=", false)]
    #[case::cut(&TAG[..63], false)]
    #[case::half(&TAG[..32], false)]
    #[case::one_more(&format!("{TAG}0"), false)]
    #[case::one_byte_more(&format!("{TAG}00"), false)]
    #[case::another_digit(&TAG.replace('c', "g"), false)]
    #[case::prefixed(&format!("sha256={TAG}"), false)]
    #[case::empty("", false)]
    fn spellings_of_a_signature(#[case] value: &str, #[case] good: bool) {
        let offered = offer(&headers(&[(SIGNATURE_HEADER, value)]));
        assert_eq!(offered.is_ok(), good);
    }

    #[test]
    fn every_form_that_is_offered_can_be_made_and_no_other() {
        let body = br#"{"b":[{"d":1,"c":2}],"a":3}"#;
        let Ok(Offer::Macs { forms, .. }) = offer(&headers(&[(SIGNATURE_HEADER, TAG)])) else {
            panic!("no MAC is offered")
        };
        let made = forms.iter().map(|form| signed(body, *form).unwrap());
        let made: Vec<_> = made
            .map(|text| String::from_utf8(text.into_owned()).unwrap())
            .collect();
        let expected = [
            r#"{"a":3,"b":[{"c":2,"d":1}]}"#,
            r#"{"a":3,"b":[{"d":1,"c":2}]}"#,
            r#"{"b":[{"d":1,"c":2}],"a":3}"#,
        ];
        assert_eq!(made, expected);
        assert_eq!(signed(body, Form("sorted")), None);
    }

    const TYPED: (&str, &str) = (TYPE_HEADER, "apideck.subscription.created");

    #[rstest]
    #[case::as_it_is_documented(&[TYPED], r#"{"message":"Validating delivery URL"}"#, true)]
    #[case::another_message(&[TYPED], r#"{"message":{"text":"?"},"more":[1]}"#, true)]
    #[case::an_empty_object(&[TYPED], "{}", true)]
    #[case::nothing(&[TYPED], " \n", true)]
    #[case::without_its_type(&[], r#"{"message":"Validating delivery URL"}"#, false)]
    #[case::of_another_type(&[(TYPE_HEADER, "ecommerce.order.created")], "{}", false)]
    #[case::type_in_another_case(&[(TYPE_HEADER, "Apideck.Subscription.Created")], "{}", false)]
    #[case::type_twice(&[TYPED, TYPED], "{}", false)]
    #[case::with_an_event(&[TYPED], r#"{"payload":{"event_type":"ecommerce.order.created"}}"#, false)]
    #[case::with_a_payload_that_is_none(&[TYPED], r#"{"payload":null}"#, false)]
    #[case::with_an_event_without_payload(&[TYPED], r#"{"event_type":"ecommerce.order.created"}"#, false)]
    #[case::a_list(&[TYPED], "[{}]", false)]
    #[case::a_text(&[TYPED], "\"Validating delivery URL\"", false)]
    #[case::no_json(&[TYPED], "Validating delivery URL", false)]
    #[case::cut(&[TYPED], r#"{"message":"#, false)]
    fn greetings(#[case] with: &[(&'static str, &str)], #[case] body: &str, #[case] is: bool) {
        let headers = headers(with);
        let request = Request {
            headers: &headers,
            part: "",
            body: body.as_bytes(),
        };
        assert_eq!(is_greeting(request), is);
    }

    #[rstest]
    #[case::at_the_limit(LONGEST_VALIDATION, true)]
    #[case::one_more(LONGEST_VALIDATION + 1, false)]
    #[case::a_megabyte(1 << 20, false)]
    fn a_greeting_is_short(#[case] length: usize, #[case] is: bool) {
        let headers = headers(&[TYPED]);
        let frame = r#"{"message":""}"#.len();
        let body = format!(r#"{{"message":"{}"}}"#, "x".repeat(length - frame));
        let request = Request {
            headers: &headers,
            part: "",
            body: body.as_bytes(),
        };
        assert_eq!(is_greeting(request), is);
    }

    fn body(members: &str) -> String {
        format!(r#"{{"payload":{{"event_type":"ecommerce.order.updated"{members}}}}}"#)
    }

    /// The record's id, the source's event id and the source's time of a body's one event.
    fn shown(body: &str) -> [Option<String>; 3] {
        let split = split(body.as_bytes()).unwrap();
        let [event] = &*split.events else {
            panic!("{body} is not one event")
        };
        [
            event.record_id.as_ref().map(|id| id.as_str().to_owned()),
            event.source_id.as_ref().map(ToString::to_string),
            event.source_time.as_ref().map(ToString::to_string),
        ]
    }

    #[rstest]
    #[case::texts(
        r#","consumer_id":"c","service_id":"s","entity_id":"e""#,
        Some("c/s/e")
    )]
    #[case::numbers(r#","consumer_id":1,"service_id":2,"entity_id":30"#, Some("1/2/30"))]
    #[case::slashes(
        r#","consumer_id":"a/b","service_id":"50%","entity_id":"e/f%""#,
        Some("a%2Fb/50%25/e/f%")
    )]
    #[case::an_escape_of_the_consumer_s(
        r#","consumer_id":"a%2Fb","service_id":"s","entity_id":"e""#,
        Some("a%252Fb/s/e")
    )]
    #[case::the_last_of_two(
        r#","consumer_id":"c","service_id":"s","entity_id":"e","entity_id":"f""#,
        Some("c/s/f")
    )]
    #[case::no_consumer(r#","service_id":"s","entity_id":"e""#, None)]
    #[case::no_service(r#","consumer_id":"c","entity_id":"e""#, None)]
    #[case::no_entity(r#","consumer_id":"c","service_id":"s""#, None)]
    #[case::null(r#","consumer_id":null,"service_id":"s","entity_id":"e""#, None)]
    #[case::empty(r#","consumer_id":"c","service_id":"","entity_id":"e""#, None)]
    #[case::empty_entity(r#","consumer_id":"c","service_id":"s","entity_id":"""#, None)]
    #[case::a_fraction(r#","consumer_id":"c","service_id":"s","entity_id":1.5"#, None)]
    #[case::an_object(r#","consumer_id":"c","service_id":"s","entity_id":{"id":"e"}"#, None)]
    #[case::a_list(r#","consumer_id":["c"],"service_id":"s","entity_id":"e""#, None)]
    #[case::lone_surrogate(r#","consumer_id":"c","service_id":"s","entity_id":"\ud800""#, None)]
    fn record_ids(#[case] members: &str, #[case] id: Option<&str>) {
        assert_eq!(shown(&body(members))[0].as_deref(), id);
    }

    #[rstest]
    #[case::as_long_as_fits(1020, true)]
    #[case::one_more(1021, false)]
    #[case::two_thousand(2000, false)]
    fn a_key_has_a_longest_id(#[case] length: usize, #[case] fits: bool) {
        let id = "x".repeat(length);
        let members = format!(r#","consumer_id":"c","service_id":"s","entity_id":"{id}""#);
        let key = fits.then(|| format!("c/s/{id}"));
        assert_eq!(shown(&body(&members))[0], key);
    }

    #[test]
    fn a_connection_s_id_is_whole_by_itself() {
        let connection = r#"{"payload":{"event_type":"vault.connection.updated","service_id":"apideck-vault","consumer_id":"c","entity_id":"ecommerce+shopify+c/1"}}"#;
        assert_eq!(
            shown(connection)[0].as_deref(),
            Some("ecommerce+shopify+c/1")
        );
        let without = r#"{"payload":{"event_type":"vault.connection.updated","consumer_id":"c"}}"#;
        assert_eq!(shown(without)[0], None);
    }

    #[rstest]
    #[case::text(r#","event_id":"evt-1""#, Some("evt-1"))]
    #[case::number(r#","event_id":17"#, Some("17"))]
    #[case::missing("", None)]
    #[case::null(r#","event_id":null"#, None)]
    #[case::empty(r#","event_id":"""#, None)]
    #[case::an_object(r#","event_id":{}"#, None)]
    #[case::a_control_character(r#","event_id":"a\nb""#, None)]
    fn event_ids_and_retries(#[case] members: &str, #[case] id: Option<&str>) {
        let body = body(members);
        assert_eq!(shown(&body)[1].as_deref(), id);
        let hash = BodyHash::of(body.as_bytes());
        let expected = id.map_or_else(|| hash.into(), RetryKey::of_event_id);
        assert_eq!(retry_key(body.as_bytes(), hash), expected);
    }

    #[test]
    fn an_event_id_has_a_longest_length() {
        for (length, fits) in [(256, true), (257, false), (2000, false)] {
            let id = "x".repeat(length);
            let body = body(&format!(r#","event_id":"{id}""#));
            assert_eq!(shown(&body)[1].is_some(), fits, "{length}");
        }
    }

    #[test]
    fn a_retry_is_recognised_though_its_attempt_is_counted() {
        let key = |members: &str| {
            let body = body(members);
            retry_key(body.as_bytes(), BodyHash::of(body.as_bytes()))
        };
        let first = key(r#","event_id":"e","execution_attempt":1"#);
        assert_eq!(first, key(r#","event_id":"e","execution_attempt":2"#));
        assert_ne!(first, key(r#","event_id":"f","execution_attempt":1"#));
        assert_ne!(
            key(r#","execution_attempt":1"#),
            key(r#","execution_attempt":2"#)
        );
    }

    #[rstest]
    #[case::no_json("payload=1")]
    #[case::a_list(r#"[{"payload":{"event_id":"e"}}]"#)]
    #[case::a_number("7")]
    #[case::empty("")]
    #[case::elsewhere(r#"{"payload":{},"event_id":"e"}"#)]
    fn a_retry_without_an_id_is_recognised_by_its_bytes(#[case] body: &str) {
        let hash = BodyHash::of(body.as_bytes());
        assert_eq!(retry_key(body.as_bytes(), hash), hash.into());
    }

    #[rstest]
    #[case::as_documented(
        r#","occurred_at":"2026-11-20T12:00:00.000Z""#,
        Some("2026-11-20T12:00:00.000Z")
    )]
    #[case::an_offset(
        r#","occurred_at":"2026-11-20T12:00:00+01:00""#,
        Some("2026-11-20T12:00:00+01:00")
    )]
    #[case::milliseconds(r#","occurred_at":1795176000123"#, Some("2026-11-20T12:00:00.123Z"))]
    #[case::missing("", None)]
    #[case::null(r#","occurred_at":null"#, None)]
    #[case::no_offset(r#","occurred_at":"2026-11-20T12:00:00""#, None)]
    #[case::a_day(r#","occurred_at":"2026-11-20""#, None)]
    #[case::words(r#","occurred_at":"yesterday""#, None)]
    #[case::an_object(r#","occurred_at":{"at":1}"#, None)]
    fn times(#[case] members: &str, #[case] time: Option<&str>) {
        assert_eq!(shown(&body(members))[2].as_deref(), time);
    }

    /// A header could have been changed on the way: what is signed alone says the type.
    #[test]
    fn the_type_is_the_signed_one() {
        let body = r#"{"payload":{"event_type":"ecommerce.order.deleted"}}"#;
        let split = split(body.as_bytes()).unwrap();
        assert_eq!(
            split.events[0].event_type.as_str(),
            "ecommerce.order.deleted"
        );
        assert_eq!(split.events[0].meaning.effect, Effect::Delete);
        assert_eq!(
            super::split(br#"{"payload":{"event_id":"e"}}"#).unwrap_err(),
            Unreadable::NoEventList
        );
    }

    /// Only proof is bounded by the size of a body: what is proved is read, whatever its size.
    #[test]
    fn a_body_of_over_256_kib_is_read_and_has_but_its_raw_form() {
        let members = format!(
            r#","consumer_id":"c","service_id":"s","entity_id":"e","note":"{}""#,
            "x".repeat(300_000)
        );
        let body = body(&members);
        assert_eq!(shown(&body)[0].as_deref(), Some("c/s/e"));
        assert_eq!(signed(body.as_bytes(), SORTED), None);
        assert_eq!(signed(body.as_bytes(), SORTED_BUT_LISTS), None);
        assert_eq!(
            signed(body.as_bytes(), RAW_BODY).as_deref(),
            Some(body.as_bytes())
        );
    }
}
