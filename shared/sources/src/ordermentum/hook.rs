//! Ordermentum's deliveries: <https://docs.ordermentum.io/docs/registering-webhooks-for-order-events-1>.
//!
//! A delivery is one JSON object. One form of it is documented, and public clients read two others, so each member is looked
//! for where any of them has it.
//!
//! | what | stands in |
//! |---|---|
//! | the type | `event`, else `eventType` |
//! | the record | `data`, where that is an object; else the whole object |
//! | whose record it is | the record's `id`, else the id that is named after its kind, such as `orderId` |
//! | when it changed | the record's `updatedAt`, else the delivery's `timestamp` |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::delivery::{ElementFault, Split, Unreadable};
use domain::event::EventType;
use domain::record::RecordId;
use domain::signature::{LiveSecrets, Offer, Place, ProofError};
use domain::timestamp::Timestamp;
use http::HeaderMap;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::meaning;
use crate::json::{fields, id_of, text_of, time_of};
use crate::objects::{self, Read};
use crate::{SignedDelivery, only_value};

/// The header that has the credentials of the scheme `Basic`.
const AUTHORIZATION_HEADER: &str = "authorization";

/// The header that a registration asks Ordermentum to send with every delivery.
pub(super) const KEY_HEADER: &str = "x-orderhook-key";

/// Reads the credentials that a request offers: those in `Authorization`, those in our own header, or both. The secret
/// behind the first is the whole value, `Basic {base64 of user:password}`.
pub(super) fn offer(headers: &HeaderMap) -> Result<Offer, ProofError> {
    let basic = at_most_one(headers, AUTHORIZATION_HEADER)?;
    let header = at_most_one(headers, KEY_HEADER)?;
    if basic.is_none() && header.is_none() {
        return Err(ProofError::Missing);
    }
    Ok(Offer::Shared {
        basic: basic.map(basic_digest).transpose()?,
        header: header.map(header_digest).transpose()?,
    })
}

/// The value of a header that a request may have once.
fn at_most_one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a [u8]>, ProofError> {
    match only_value(headers, name) {
        Ok(value) => Ok(Some(value)),
        Err(ProofError::Missing) => Ok(None),
        Err(ProofError::Malformed) => Err(ProofError::Malformed),
    }
}

/// The digest of `Basic {credentials}`. The scheme's case says nothing, nor does the number of spaces behind it:
/// <https://www.rfc-editor.org/rfc/rfc9110#section-11.4>.
fn basic_digest(value: &[u8]) -> Result<[u8; 32], ProofError> {
    let (scheme, credentials) = value
        .split_at_checked(b"Basic".len())
        .ok_or(ProofError::Malformed)?;
    let text = credentials.trim_ascii_start();
    let is_apart = text.len() < credentials.len();
    // Base64 has no white space, so that is refused here too.
    if !scheme.eq_ignore_ascii_case(b"Basic") || !is_apart || STANDARD.decode(text).is_err() {
        return Err(ProofError::Malformed);
    }
    let digest = Sha256::new().chain_update(b"Basic ").chain_update(text);
    Ok(digest.finalize().into())
}

/// The digest of our own header's value.
fn header_digest(value: &[u8]) -> Result<[u8; 32], ProofError> {
    if value.is_empty() || value.iter().any(u8::is_ascii_whitespace) {
        return Err(ProofError::Malformed);
    }
    Ok(Sha256::digest(value).into())
}

/// A delivery of one event in the documented form, with a secret at each place at which one is live.
pub(super) fn signed_delivery(
    secrets: &LiveSecrets,
    event_type: &EventType,
    record: &RawValue,
    at: Timestamp,
) -> Option<SignedDelivery> {
    let header = |place, name| {
        let mut there = secrets.shared.iter();
        let secret = there.find(|secret| secret.place() == place)?;
        Some((name, secret.expose().to_owned()))
    };
    let headers = [
        header(Place::Basic, AUTHORIZATION_HEADER),
        header(Place::Header, KEY_HEADER),
    ];
    let headers: Vec<_> = headers.into_iter().flatten().collect();
    // Types have no character that JSON escapes.
    let body = format!(r#"{{"event":"{event_type}","timestamp":"{at}","data":{record}}}"#);
    (!headers.is_empty()).then(|| SignedDelivery {
        headers,
        body: body.into_bytes(),
    })
}

/// Splits a body into its events.
pub(super) fn split(body: &[u8]) -> Result<Split<'_>, Unreadable> {
    objects::split(body, read)
}

fn read(element: &RawValue) -> Result<Read<'_>, ElementFault> {
    let [event, event_type, timestamp, data] =
        fields(element, ["event", "eventType", "timestamp", "data"])
            .ok_or(ElementFault::NotAnObject)?;
    let name = [event, event_type]
        .into_iter()
        .flatten()
        .filter_map(text_of)
        .find(|name| !name.is_empty())
        .ok_or(ElementFault::NoType)?;
    let event_type: EventType = name.parse().map_err(|_| ElementFault::MalformedType)?;
    let meaning = meaning(&event_type);
    let record = data
        .filter(|data| data.get().starts_with('{'))
        .unwrap_or(element);

    let of_kind = id_member(&meaning.kind);
    let [id, id_of_kind, updated] =
        fields(record, ["id", of_kind, "updatedAt"]).unwrap_or_default();
    let id = [id, id_of_kind].into_iter().flatten().find_map(id_of);
    let source_time = [updated, timestamp].into_iter().flatten().find_map(time_of);
    Ok(Read {
        event_type,
        meaning,
        record_id: id.and_then(|id| RecordId::new(id).ok()),
        source_time,
        record,
    })
}

/// The member that has a record's id where `id` does not, as a public client reads it.
fn id_member(kind: &str) -> &'static str {
    match kind {
        "order" => "orderId",
        "purchaser" => "purchaserId",
        "invoice" => "invoiceId",
        "credit_note" => "creditNoteId",
        _ => "id",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::record::LONGEST_RECORD_ID;
    use http::HeaderValue;
    use rstest::rstest;

    const CREDENTIALS: &str = "b3JkZXJob29rOm9yZGVybWVudHVtLXRlc3QtcGFzc3dvcmQtMQ==";
    const KEY: &str = "ordermentum-test-header-value-1";

    fn offered(headers: &[(&'static str, &str)]) -> Result<[bool; 2], ProofError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let Offer::Shared { basic, header } = offer(&map)? else {
            panic!("another offer")
        };
        let is = |digest: Option<[u8; 32]>, expected: &str| {
            digest == Some(Sha256::digest(expected.as_bytes()).into())
        };
        Ok([is(basic, &format!("Basic {CREDENTIALS}")), is(header, KEY)])
    }

    #[rstest]
    #[case::as_it_is_sent(&format!("Basic {CREDENTIALS}"), Ok([true, false]))]
    #[case::in_lower_case(&format!("basic {CREDENTIALS}"), Ok([true, false]))]
    #[case::in_upper_case(&format!("BASIC {CREDENTIALS}"), Ok([true, false]))]
    #[case::space_around(&format!(" Basic   {CREDENTIALS}\t"), Ok([true, false]))]
    #[case::other_credentials("Basic b3JkZXJob29rOm90aGVy", Ok([false, false]))]
    #[case::no_colon("Basic b3JkZXJob29r", Ok([false, false]))]
    #[case::no_space(&format!("Basic{CREDENTIALS}"), Err(ProofError::Malformed))]
    #[case::no_credentials("Basic ", Err(ProofError::Malformed))]
    #[case::half_a_scheme("Bas", Err(ProofError::Malformed))]
    #[case::another_scheme(&format!("Bearer {CREDENTIALS}"), Err(ProofError::Malformed))]
    #[case::a_scheme_as_long(&format!("Token {CREDENTIALS}"), Err(ProofError::Malformed))]
    #[case::no_scheme(CREDENTIALS, Err(ProofError::Malformed))]
    #[case::space_inside("Basic b3JkZXJob29r Om90aGVy", Err(ProofError::Malformed))]
    #[case::tab_inside("Basic b3JkZXJob29r\tOm90aGVy", Err(ProofError::Malformed))]
    #[case::not_padded("Basic b3JkZXJob29yOg", Err(ProofError::Malformed))]
    #[case::no_base64("Basic orderhook:secret", Err(ProofError::Malformed))]
    #[case::a_list(&format!("Basic {CREDENTIALS}, Basic {CREDENTIALS}"), Err(ProofError::Malformed))]
    #[case::empty("", Err(ProofError::Malformed))]
    fn spellings_of_basic_credentials(
        #[case] value: &str,
        #[case] expected: Result<[bool; 2], ProofError>,
    ) {
        assert_eq!(offered(&[("authorization", value)]), expected);
    }

    #[rstest]
    #[case::as_it_is_sent(KEY, Ok([false, true]))]
    #[case::space_around(&format!("\t{KEY} "), Ok([false, true]))]
    #[case::another_case(&KEY.to_uppercase(), Ok([false, false]))]
    #[case::space_inside("ordermentum-test header-value-1", Err(ProofError::Malformed))]
    #[case::empty(" ", Err(ProofError::Malformed))]
    fn spellings_of_our_header(
        #[case] value: &str,
        #[case] expected: Result<[bool; 2], ProofError>,
    ) {
        assert_eq!(offered(&[("x-orderhook-key", value)]), expected);
    }

    #[test]
    fn each_place_is_read_once_and_neither_stands_for_the_other() {
        let basic = format!("Basic {CREDENTIALS}");
        let (basic, key) = (("authorization", &*basic), ("x-orderhook-key", KEY));
        assert_eq!(offered(&[basic, key]), Ok([true, true]));
        assert_eq!(offered(&[]), Err(ProofError::Missing));
        let other = ("x-ordermentum-signature", KEY);
        assert_eq!(offered(&[other]), Err(ProofError::Missing));
        let bearer = ("authorization", "Bearer abc");
        for twice in [[basic, basic], [key, key], [bearer, key]] {
            assert_eq!(offered(&twice), Err(ProofError::Malformed));
        }
        assert_eq!(
            offered(&[("authorization", KEY)]),
            Err(ProofError::Malformed)
        );
        let at_the_other_place = offered(&[("x-orderhook-key", CREDENTIALS)]);
        assert_eq!(at_the_other_place, Ok([false, false]));
    }

    /// Bytes that are no text are no panic.
    #[test]
    fn any_bytes_of_a_header_are_read() {
        for name in ["authorization", "x-orderhook-key"] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_bytes(b"Basi\xe9 \xff").unwrap());
            let is_header = name == "x-orderhook-key";
            // White space inside.
            assert!(offer(&headers).is_err(), "{name}");
            headers.insert(name, HeaderValue::from_bytes(b"\xe9\xff").unwrap());
            assert_eq!(offer(&headers).is_ok(), is_header, "{name}");
        }
    }

    type Shown = (String, Option<String>, Option<String>, String);

    fn one(body: &str) -> Shown {
        let split = split(body.as_bytes()).unwrap();
        let [event] = &*split.events else {
            panic!("{body} is not one event")
        };
        (
            event.event_type.to_string(),
            event.record_id.as_ref().map(|id| id.as_str().to_owned()),
            event.source_time.as_ref().map(ToString::to_string),
            event.record.get().to_owned(),
        )
    }

    #[rstest]
    #[case::event(r#"{"event":"order_created"}"#, "order_created")]
    #[case::event_type(r#"{"eventType":"order_created"}"#, "order_created")]
    #[case::event_first(r#"{"eventType":"a","event":"b"}"#, "b")]
    #[case::no_name_in_the_first(r#"{"event":"","eventType":"a"}"#, "a")]
    #[case::null_in_the_first(r#"{"event":null,"eventType":"a"}"#, "a")]
    #[case::an_object_in_the_first(r#"{"event":{"name":"b"},"eventType":"a"}"#, "a")]
    #[case::the_last_of_two(r#"{"event":"a","event":"b"}"#, "b")]
    #[case::unknown(r#"{"event":"refund_created"}"#, "refund_created")]
    fn types(#[case] body: &str, #[case] name: &str) {
        assert_eq!(one(body).0, name);
    }

    #[rstest]
    #[case::none("{}")]
    #[case::number(r#"{"event":7}"#)]
    #[case::empty(r#"{"event":"","eventType":""}"#)]
    #[case::malformed(r#"{"event":"order created"}"#)]
    #[case::lone_surrogate(r#"{"event":"\ud800"}"#)]
    #[case::in_another_member(r#"{"type":"order_created","data":{"event":"order_created"}}"#)]
    #[case::too_long(&format!(r#"{{"event":"{}"}}"#, "a".repeat(101)))]
    fn an_object_without_a_type_is_no_delivery(#[case] body: &str) {
        assert_eq!(split(body.as_bytes()).unwrap_err(), Unreadable::NoEventList);
    }

    #[rstest]
    #[case::wrapped(r#"{"event":"order_created","data":{"id":"o"}}"#, r#"{"id":"o"}"#)]
    #[case::nothing_in_it(r#"{"event":"order_created","data":{}}"#, "{}")]
    #[case::flat(
        r#"{"event":"order_created","id":"o"}"#,
        r#"{"event":"order_created","id":"o"}"#
    )]
    #[case::null(
        r#"{"event":"order_created","id":"o","data":null}"#,
        r#"{"event":"order_created","id":"o","data":null}"#
    )]
    #[case::list(
        r#"{"event":"order_created","data":[{"id":"o"}]}"#,
        r#"{"event":"order_created","data":[{"id":"o"}]}"#
    )]
    fn records(#[case] body: &str, #[case] record: &str) {
        assert_eq!(one(body).3, record);
    }

    #[rstest]
    #[case::uuid("order_created", r#""id":"3f6f1b9e""#, Some("3f6f1b9e"))]
    #[case::number("order_created", r#""id":17"#, Some("17"))]
    #[case::unusable_number("order_created", r#""id":1.5"#, None)]
    #[case::missing("order_created", r#""total":1"#, None)]
    #[case::null("order_created", r#""id":null"#, None)]
    #[case::empty("order_created", r#""id":"""#, None)]
    #[case::object("order_created", r#""id":{"id":"o"}"#, None)]
    #[case::named_after_its_kind("order_created", r#""orderId":"o""#, Some("o"))]
    #[case::id_first("order_created", r#""orderId":"o","id":"i""#, Some("i"))]
    #[case::null_before_it("order_created", r#""id":null,"orderId":"o""#, Some("o"))]
    #[case::purchaser("purchaser_updated", r#""purchaserId":"p","orderId":"o""#, Some("p"))]
    #[case::invoice("invoice_created", r#""orderId":"o","invoiceId":"i""#, Some("i"))]
    #[case::an_order_of_an_invoice("invoice_created", r#""orderId":"o""#, None)]
    #[case::credit_note("credit_note_created", r#""creditNoteId":"c""#, Some("c"))]
    #[case::unknown_kind("refund_created", r#""id":"r""#, Some("r"))]
    #[case::the_last_of_two("order_created", r#""id":"a","id":"b""#, Some("b"))]
    fn identities(#[case] name: &str, #[case] members: &str, #[case] id: Option<&str>) {
        let wrapped = format!(r#"{{"event":"{name}","data":{{{members}}}}}"#);
        assert_eq!(one(&wrapped).1.as_deref(), id);
        let flat = format!(r#"{{"event":"{name}",{members}}}"#);
        assert_eq!(one(&flat).1.as_deref(), id);
    }

    #[rstest]
    #[case::at_the_limit(LONGEST_RECORD_ID, true)]
    #[case::one_more(LONGEST_RECORD_ID + 1, false)]
    #[case::many_more(2000, false)]
    fn an_id_that_fits_no_key_is_none(#[case] length: usize, #[case] good: bool) {
        let id = "x".repeat(length);
        let (_, found, _, record) = one(&format!(
            r#"{{"event":"order_created","data":{{"id":"{id}"}}}}"#
        ));
        assert_eq!(found, good.then_some(id));
        assert_eq!(record.len(), length + 9);
    }

    #[rstest]
    #[case::of_the_record(
        r#""updatedAt":"2026-11-20T12:03:10.340Z""#,
        Some("2026-11-20T12:03:10.340Z")
    )]
    #[case::of_the_delivery("", Some("2026-11-20T11:58:30Z"))]
    #[case::null(r#""updatedAt":null"#, Some("2026-11-20T11:58:30Z"))]
    #[case::unreadable(r#""updatedAt":"yesterday""#, Some("2026-11-20T11:58:30Z"))]
    #[case::object(r#""updatedAt":{}"#, Some("2026-11-20T11:58:30Z"))]
    #[case::in_the_future(r#""updatedAt":"2099-01-01T00:00:00Z""#, Some("2099-01-01T00:00:00Z"))]
    #[case::number(r#""updatedAt":1795176000123"#, Some("2026-11-20T12:00:00.123Z"))]
    #[case::that_it_was_made_is_no_change(
        r#""createdAt":"2026-11-20T12:03:10.340Z""#,
        Some("2026-11-20T11:58:30Z")
    )]
    fn times_of_a_change(#[case] members: &str, #[case] time: Option<&str>) {
        let body = format!(
            r#"{{"event":"order_created","timestamp":"2026-11-20T11:58:30Z","data":{{{members}}}}}"#
        );
        assert_eq!(one(&body).2.as_deref(), time);
    }

    #[test]
    fn a_delivery_without_a_readable_time_has_none() {
        for timestamp in ["null", "\"\"", "\"soon\"", "0", "{}", "[1]"] {
            let body =
                format!(r#"{{"event":"order_created","timestamp":{timestamp},"data":{{}}}}"#);
            assert_eq!(one(&body).2, None, "{timestamp}");
        }
        assert_eq!(one(r#"{"event":"order_created"}"#).2, None);
    }
}
