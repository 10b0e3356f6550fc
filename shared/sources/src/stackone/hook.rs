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
//! | whose record it is | `provider` and `account_id`, then `record_id`, else `record_remote_id`, else what the record says |

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::delivery::{BadElement, ElementFault, Split, Unreadable};
use domain::event::{Event, EventType};
use domain::record::RecordId;
use domain::signature::{Offer, ProofError, Tags};
use domain::source::Source;
use http::HeaderMap;
use serde_json::value::RawValue;

use super::{RAW_BODY, meaning};
use crate::json::{First, fields, id_of, text_of};
use crate::{only_value, orderspace};

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

/// Splits a body into its events.
pub(super) fn split(body: &[u8]) -> Result<Split<'_>, Unreadable> {
    let body: &RawValue = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
    let mut split = Split::default();
    match body.get().bytes().next() {
        Some(b'[') => {
            let elements: First<&RawValue> =
                serde_json::from_str(body.get()).map_err(|_| Unreadable::NotJson)?;
            for element in elements.0 {
                add(&mut split, element)?;
            }
        }
        _ => {
            add(&mut split, body)?;
            // One object is the whole delivery.
            if split.events.is_empty() {
                return Err(Unreadable::NoEventList);
            }
        }
    }
    Ok(split)
}

/// Adds an element: an event, or what is wrong with it.
fn add<'a>(split: &mut Split<'a>, element: &'a RawValue) -> Result<(), Unreadable> {
    let index = split.next_index()?;
    match read(element) {
        Ok((event_type, record_id, record)) => split.events.push(Event {
            index,
            meaning: meaning(&event_type),
            event_type,
            record_id,
            source_id: None,
            source_time: None,
            record,
        }),
        Err(reason) => split.bad.push(BadElement { index, reason }),
    }
    Ok(())
}

/// The members that are looked at.
const MEMBERS: [&str; 11] = [
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
];

type Read<'a> = (EventType, Option<RecordId>, &'a RawValue);

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
    ] = fields(element, MEMBERS).ok_or(ElementFault::NotAnObject)?;

    let name = [event, plain_type, event_type]
        .into_iter()
        .flatten()
        .filter_map(text_of)
        .find(|name| !name.is_empty())
        .ok_or(ElementFault::NoType)?;
    let event_type: EventType = name.parse().map_err(|_| ElementFault::MalformedType)?;
    let kind = meaning(&event_type).kind;
    let provider = provider.and_then(text_of);
    let account = account.and_then(id_of);

    let is_orderspace = provider.as_deref() == Some(Source::Orderspace.as_str());
    let relayed = [raw_event, payload].into_iter().flatten();
    let relayed = relayed
        .filter(|_| is_orderspace)
        .find_map(|inner| orderspace::relayed(inner, &event_type));
    let mut places = [event_data, data, payload, raw_event].into_iter().flatten();
    let record = relayed.or_else(|| places.find(|value| value.get().starts_with('{')));

    if kind == "account" {
        let id = account.and_then(|account| RecordId::new(account).ok());
        return Ok((event_type, id, record.unwrap_or(element)));
    }
    let own = || match (relayed, record) {
        (Some(record), _) => orderspace::record_id(&kind, record).map(|id| id.as_str().to_owned()),
        (None, Some(record)) => {
            let [id] = fields(record, ["id"])?;
            id_of(id?).map(Cow::into_owned)
        }
        (None, None) => None,
    };
    let given = [record_id, remote_id].into_iter().flatten().find_map(id_of);
    let id = given.map(Cow::into_owned).or_else(own);
    Ok((
        event_type,
        key(provider.as_deref(), account.as_deref(), id.as_deref()),
        record.unwrap_or(element),
    ))
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

    #[rstest]
    #[case::at_the_limit(1000, true)]
    #[case::one_more(1001, false)]
    fn a_thousand_events_are_taken(#[case] count: usize, #[case] taken: bool) {
        let body = format!("[{}]", vec![r#"{"event":"ping"}"#; count].join(","));
        assert_eq!(split(body.as_bytes()).is_ok(), taken);
    }
}
