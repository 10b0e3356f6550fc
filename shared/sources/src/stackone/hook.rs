//! StackOne's deliveries: <https://docs.stackone.com/guides/webhooks>.
//!
//! A delivery is one JSON object, or a list of them. What documents and public clients show of its members differs, so each
//! is looked for where any of them has it, and what is proved is never refused for its shape.
//!
//! | what | stands in |
//! |---|---|
//! | the type | `event`, else `type`, else `event_type` |
//! | the record | the first object of `event_data`, `data`, `payload`, `raw_event`; else the whole object |
//! | the record, where Orderspace's own event is relayed | the record inside `raw_event` or `payload` |
//! | when it happened | `event_date`, else `sent_at` |
//! | whose record it is | `provider` and `account_id`, then `record_id`, else `record_remote_id`, else what the record says |

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::delivery::{ElementFault, Split, Unreadable};
use domain::event::EventType;
use domain::record::RecordId;
use domain::signature::{LiveSecrets, Offer, ProofError, Tags};
use domain::source::Source;
use domain::timestamp::Timestamp;
use http::HeaderMap;
use serde_json::value::RawValue;

use super::{RAW_BODY, meaning};
use crate::json::{fields, id_of, text_of, time_of};
use crate::objects::{self, Read};
use crate::{SignedDelivery, only_value, orderspace};

/// Base64url of the body's HMAC-SHA256 under a signing secret, without padding.
const SIGNATURE_HEADER: &str = "x-stackone-signature";

/// Reads the signature that a request offers. The vendor's samples write it without padding; padding and the other alphabet
/// of base64 say the same 32 bytes, so they are taken too.
pub(super) fn offer(headers: &HeaderMap) -> Result<Offer, ProofError> {
    let text = only_value(headers, SIGNATURE_HEADER)?;
    let url_safe: Vec<u8> = text
        .strip_suffix(b"=")
        .unwrap_or(text)
        .iter()
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        })
        .collect();
    let tag = URL_SAFE_NO_PAD
        .decode(url_safe)
        .map_err(|_| ProofError::Malformed)?;
    let tag = tag.try_into().map_err(|_| ProofError::Malformed)?;
    Ok(Offer::Macs {
        tags: Tags::one(tag),
        forms: &[RAW_BODY],
    })
}

/// The system and the account that a delivery of ours names: no provider's, so that it is nobody's record.
const OUR_PROVIDER: &str = "orderhook";
const OUR_ACCOUNT: &str = "test";

/// A delivery of one event, of an account of our own.
pub(super) fn signed_delivery(
    secrets: &LiveSecrets,
    event_type: &EventType,
    record: &RawValue,
    at: Timestamp,
) -> Option<SignedDelivery> {
    // Types have no character that JSON escapes.
    let body = format!(
        r#"{{"event":"{event_type}","provider":"{OUR_PROVIDER}","account_id":"{OUR_ACCOUNT}","event_date":"{at}","data":{record}}}"#
    );
    let tag = secrets.macs.first()?.sign(body.as_bytes())?;
    Some(SignedDelivery {
        headers: vec![(SIGNATURE_HEADER, URL_SAFE_NO_PAD.encode(tag))],
        body: body.into_bytes(),
    })
}

/// Splits a body into its events.
pub(super) fn split(body: &[u8]) -> Result<Split<'_>, Unreadable> {
    objects::split(body, read)
}

/// The members that are looked at.
const MEMBERS: [&str; 13] = [
    "event",
    "type",
    "event_type",
    "provider",
    "account_id",
    "record_id",
    "record_remote_id",
    "event_data",
    "data",
    "payload",
    "raw_event",
    "event_date",
    "sent_at",
];

fn read(element: &RawValue) -> Result<Read<'_>, ElementFault> {
    let [
        event,
        plain_type,
        event_type,
        provider,
        account,
        record_id,
        remote_id,
        event_data,
        data,
        payload,
        raw_event,
        event_date,
        sent_at,
    ] = fields(element, MEMBERS).ok_or(ElementFault::NotAnObject)?;

    let name = [event, plain_type, event_type]
        .into_iter()
        .flatten()
        .filter_map(text_of)
        .find(|name| !name.is_empty())
        .ok_or(ElementFault::NoType)?;
    let event_type: EventType = name.parse().map_err(|_| ElementFault::MalformedType)?;
    let meaning = meaning(&event_type);
    let source_time = [event_date, sent_at]
        .into_iter()
        .flatten()
        .find_map(time_of);
    let provider = provider.and_then(text_of);
    let account = account.and_then(id_of);

    let is_orderspace = provider.as_deref() == Some(Source::Orderspace.as_str());
    let relayed = [raw_event, payload].into_iter().flatten();
    let relayed = relayed
        .filter(|_| is_orderspace)
        .find_map(|inner| orderspace::relayed(inner, &event_type));
    let mut places = [event_data, data, payload, raw_event].into_iter().flatten();
    let record = relayed.or_else(|| places.find(|value| value.get().starts_with('{')));

    let own = || match (relayed, record) {
        (Some(record), _) => {
            orderspace::record_id(&meaning.kind, record).map(|id| id.as_str().to_owned())
        }
        (None, Some(record)) => {
            let [id] = fields(record, ["id"])?;
            id_of(id?).map(Cow::into_owned)
        }
        (None, None) => None,
    };
    let record_id = if meaning.kind == "account" {
        account.and_then(|account| RecordId::new(account).ok())
    } else {
        let given = [record_id, remote_id].into_iter().flatten().find_map(id_of);
        let id = given.map(Cow::into_owned).or_else(own);
        key(provider.as_deref(), account.as_deref(), id.as_deref())
    };
    Ok(Read {
        event_type,
        meaning,
        record_id,
        source_time,
        record: record.unwrap_or(element),
    })
}

/// A record's identity: another account of another provider may have a record of the same id.
fn key(provider: Option<&str>, account: Option<&str>, id: Option<&str>) -> Option<RecordId> {
    let (provider, account) = (provider?, account?);
    // With a slash in one of them, two keys could read as one.
    let is_plain = |part: &str| !part.is_empty() && !part.contains('/');
    if !is_plain(provider) || !is_plain(account) {
        return None;
    }
    RecordId::new(format!("{provider}/{account}/{}", id?)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use rstest::rstest;

    const TAG: &str = "dkBM6kn_KTLV551vcKgVuWMZmF2Ei_3VP1jozjBqIoc";

    #[rstest]
    #[case::as_the_samples_write_it(TAG, true)]
    #[case::padded(&format!("{TAG}="), true)]
    #[case::in_the_other_alphabet("dkBM6kn/KTLV551vcKgVuWMZmF2Ei/3VP1jozjBqIoc=", true)]
    #[case::padded_twice(&format!("{TAG}=="), false)]
    #[case::cut(&TAG[..42], false)]
    #[case::hex(
        "9a9aaa4fd665217b9a9aaa4fd665217b9a9aaa4fd665217b9a9aaa4fd665217b",
        false
    )]
    fn spellings_of_a_signature(#[case] value: &str, #[case] good: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE_HEADER, HeaderValue::from_str(value).unwrap());
        assert_eq!(offer(&headers).is_ok(), good);
    }

    /// The record's id and the source's time of a body's one event.
    fn shown(body: &str) -> [Option<String>; 2] {
        let split = split(body.as_bytes()).unwrap();
        let [event] = &*split.events else {
            panic!("{body} is not one event")
        };
        [
            event.record_id.as_ref().map(|id| id.as_str().to_owned()),
            event.source_time.as_ref().map(ToString::to_string),
        ]
    }

    #[rstest]
    #[case::both(
        r#","event_date":"2026-11-20T12:00:00.000Z","sent_at":"2026-11-20T12:00:01.000Z""#,
        Some("2026-11-20T12:00:00.000Z")
    )]
    #[case::sent_alone(
        r#","sent_at":"2026-11-20T12:00:01.000Z""#,
        Some("2026-11-20T12:00:01.000Z")
    )]
    #[case::sent_where_the_event_has_no_moment(
        r#","event_date":"2026-11-20","sent_at":"2026-11-20T12:00:01.000Z""#,
        Some("2026-11-20T12:00:01.000Z")
    )]
    #[case::sent_where_the_event_s_is_null(
        r#","event_date":null,"sent_at":"2026-11-20T12:00:01.000Z""#,
        Some("2026-11-20T12:00:01.000Z")
    )]
    #[case::milliseconds(r#","event_date":1795176000123"#, Some("2026-11-20T12:00:00.123Z"))]
    #[case::neither("", None)]
    #[case::words(r#","event_date":"today","sent_at":"now""#, None)]
    #[case::other_types(r#","event_date":{},"sent_at":[2026]"#, None)]
    fn times(#[case] members: &str, #[case] time: Option<&str>) {
        for body in [
            format!(r#"{{"event":"order.updated"{members}}}"#),
            format!(r#"{{"event":"account.updated"{members}}}"#),
            format!(r#"[{{"event":"order.updated"{members}}}]"#),
        ] {
            assert_eq!(shown(&body)[1].as_deref(), time, "{body}");
        }
    }

    /// What another system relays has times of its own, which are not those of the delivery.
    #[test]
    fn the_time_is_the_delivery_s_and_not_its_record_s() {
        let body = r#"{"event":"order.updated","provider":"orderspace","account_id":"45","raw_event":{"event":"order.updated","event_date":"2026-11-20T12:00:00Z","data":{"order":{"id":"or_1","sent_at":"2026-11-20T12:00:00Z"}}}}"#;
        assert_eq!(shown(body), [Some("orderspace/45/or_1".to_owned()), None]);
    }

    #[rstest]
    #[case::number(r#""account_id":45,"record_id":7"#, Some("shopify/45/7"))]
    #[case::remote_where_there_is_no_other(
        r#""account_id":"45","record_id":"","record_remote_id":"r""#,
        Some("shopify/45/r")
    )]
    #[case::its_own_where_the_given_are_null(
        r#""account_id":"45","record_id":null,"record_remote_id":null,"data":{"id":"own"}"#,
        Some("shopify/45/own")
    )]
    #[case::a_fraction(r#""account_id":"45","record_id":1.5"#, None)]
    #[case::an_object(r#""account_id":"45","record_id":{"id":"x"}"#, None)]
    #[case::an_account_that_is_a_list(r#""account_id":["45"],"record_id":"x""#, None)]
    #[case::an_account_with_a_slash(r#""account_id":"4/5","record_id":"x""#, None)]
    #[case::a_record_with_a_slash(r#""account_id":"45","record_id":"x/y""#, Some("shopify/45/x/y"))]
    fn record_ids(#[case] members: &str, #[case] id: Option<&str>) {
        let body = format!(r#"{{"event":"order.updated","provider":"shopify",{members}}}"#);
        assert_eq!(shown(&body)[0].as_deref(), id);
    }

    #[test]
    fn an_id_of_two_thousand_characters_is_no_key() {
        let id = "x".repeat(2000);
        for members in [
            format!(
                r#""event":"order.updated","provider":"shopify","account_id":"45","record_id":"{id}""#
            ),
            format!(r#""event":"account.updated","account_id":"{id}""#),
        ] {
            assert_eq!(shown(&format!("{{{members}}}"))[0], None);
        }
    }

    #[test]
    fn a_body_of_over_256_kib_is_read() {
        let note = "x".repeat(300_000);
        let body = format!(
            r#"{{"event":"order.updated","provider":"shopify","account_id":"45","data":{{"note":"{note}","id":"7"}}}}"#
        );
        assert_eq!(shown(&body)[0].as_deref(), Some("shopify/45/7"));
    }
}
