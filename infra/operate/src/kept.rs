//! What the stack has kept of events, read back: deliveries in receipts, records in their table, and what is too large for
//! either in the bucket.
//!
//! The forms are those that `shared/aws` writes. It needs AWS's SDK, which this library does without.

use std::io::Read as _;
use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::account::AccountName;
use domain::delivery::KeptDelivery;
use domain::envelope::DataRef;
use domain::identity::DeliveryId;
use domain::ports::Receipt;
use domain::source::Source;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use serde_json::value::RawValue;
use zstd::stream::read::Decoder;
use zstd::zstd_safe::get_dict_id_from_frame;

use crate::accounts::Accounts;
use crate::stack::Stack;
use calls::dynamodb::{self, Item};
use calls::{Calls, Error, s3};

/// The largest content, in bytes: a delivery is at most 6 MB.
const LARGEST: u64 = 16 * 1024 * 1024;
/// The window that may be asked for, as a power of two: that of [`LARGEST`].
const LARGEST_WINDOW: u32 = 24;
/// The dictionary whose id is 1, with which some is packed: `shared/aws` has it, and says which there are.
const DICTIONARY: (u32, &[u8]) = (
    1,
    include_bytes!("../../../shared/aws/dictionaries/1.zstd-dictionary"),
);
/// The levels of a record in a map.
const LEVELS: usize = 32;

/// The system that an account is connected to: one call of the admin API.
///
/// # Errors
/// [`Error::NotFound`] where there is no such account; [`Error::Unreadable`] where this release does not know its source.
pub async fn source_of(
    calls: &Calls,
    stack: &Stack,
    account: &AccountName,
) -> Result<Source, Error> {
    let (shown, _) = Accounts::of(calls, stack)?.show(account).await?;
    Source::named(&shown.source).ok_or_else(|| {
        let reason = format!("this release knows no source {:?}", shown.source);
        Error::unreadable(format!("account {account}"), reason)
    })
}

/// The delivery of an account's receipt; none where there is none, or none any more.
///
/// # Errors
/// [`Error::Unreadable`] where the item is no receipt.
pub async fn delivery(
    calls: &Calls,
    stack: &Stack,
    account: &AccountName,
    id: DeliveryId,
) -> Result<Option<KeptDelivery>, Error> {
    let partition = Receipt::partition_of(account, &id.first_seen().day());
    delivery_at(calls, stack, &partition, &id.to_string()).await
}

/// The same by the receipt's key.
///
/// # Errors
/// [`Error::Unreadable`] where the item is no receipt.
pub async fn delivery_at(
    calls: &Calls,
    stack: &Stack,
    pk: &str,
    sk: &str,
) -> Result<Option<KeptDelivery>, Error> {
    let key = Item::key(&[("pk", pk), ("sk", sk)]);
    let item = dynamodb::get(calls, stack.output("ReceiptsTable")?, &key, &[]).await?;
    match item {
        Some(item) => read_delivery(calls, stack, &item).await.map(Some),
        None => Ok(None),
    }
}

/// The delivery that an item of the receipts table holds: its body, and the headers and the part by which it is split.
///
/// # Errors
/// [`Error::Unreadable`] where the item is no receipt, or its bytes are gone.
pub async fn read_delivery(
    calls: &Calls,
    stack: &Stack,
    item: &Item,
) -> Result<KeptDelivery, Error> {
    let what = || format!("receipt {}", item.text("sk").unwrap_or_default());
    let body = match item.base64("body") {
        Some(packed) => unpack(packed).map_err(|reason| Error::unreadable(what(), reason))?,
        None => object(calls, stack, item.text("dataref"), &what()).await?,
    };
    let headers = match item.attribute("headers") {
        None => Some(HeaderMap::new()),
        Some(stored) => headers(stored),
    };
    let part = match item.attribute("part") {
        None => Some(""),
        Some(_) => item.text("part"),
    };
    match (headers, part) {
        (Some(headers), Some(part)) => Ok(KeptDelivery {
            headers,
            part: part.to_owned(),
            body,
        }),
        _ => Err(Error::unreadable(
            what(),
            "its headers or its part are of another form",
        )),
    }
}

/// The record that an item of the records table holds, as JSON: byte for byte where it is kept as text, and equal in value
/// where it is kept as a map.
///
/// # Errors
/// [`Error::Unreadable`] where the item is no record.
pub async fn read_record(
    calls: &Calls,
    stack: &Stack,
    item: &Item,
) -> Result<Box<RawValue>, Error> {
    let what = || {
        let [pk, sk] = ["pk", "sk"].map(|name| item.text(name).unwrap_or_default());
        format!("record {pk}/{sk}")
    };
    let text = match (item.attribute("data"), item.base64("compact")) {
        (Some(map), _) => {
            let mut json = String::new();
            write(&mut json, map, 1)
                .ok_or_else(|| Error::unreadable(what(), "it is no map of a record"))?;
            json
        }
        (None, Some(packed)) => {
            let bytes = unpack(packed).map_err(|reason| Error::unreadable(what(), reason))?;
            String::from_utf8(bytes).map_err(|error| Error::unreadable(what(), error))?
        }
        (None, None) => {
            let bytes = object(calls, stack, item.text("dataref"), &what()).await?;
            String::from_utf8(bytes).map_err(|error| Error::unreadable(what(), error))?
        }
    };
    RawValue::from_string(text).map_err(|error| Error::unreadable(what(), error))
}

/// What a reference points at. One to another bucket is not followed, whoever wrote it.
async fn object(
    calls: &Calls,
    stack: &Stack,
    place: Option<&str>,
    what: &str,
) -> Result<Vec<u8>, Error> {
    let bucket = stack.output("OversizeBucket")?;
    let place = place.and_then(DataRef::parse);
    match place.as_ref().and_then(DataRef::object) {
        Some((named, key)) if named == bucket => s3::get(calls, bucket, key).await,
        _ => Err(Error::unreadable(
            what,
            "it has no bytes, and refers to none of the stack's",
        )),
    }
}

/// Unpacks what is stored compressed: base64 of a Zstandard frame, which bounds neither itself nor what it becomes.
fn unpack(packed: &str) -> Result<Vec<u8>, String> {
    let packed = STANDARD.decode(packed).map_err(|error| error.to_string())?;
    let dictionary: &[u8] = match get_dict_id_from_frame(&packed).map(NonZeroU32::get) {
        None => &[],
        Some(id) if id == DICTIONARY.0 => DICTIONARY.1,
        Some(other) => {
            return Err(format!(
                "it is packed with dictionary {other}, which this release does not have"
            ));
        }
    };
    let read = || -> std::io::Result<Vec<u8>> {
        let mut decoder = Decoder::with_dictionary(&*packed, dictionary)?;
        decoder.window_log_max(LARGEST_WINDOW)?;
        let mut bytes = Vec::new();
        decoder.take(LARGEST + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| error.to_string())?;
    match u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST) {
        true => Ok(bytes),
        false => Err("it holds more than is ever kept".to_owned()),
    }
}

/// Headers as they were kept: by name, a list of texts or bytes.
fn headers(stored: &Value) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, values) in stored.get("M")?.as_object()? {
        let name: HeaderName = name.parse().ok()?;
        for value in values.get("L")?.as_array()? {
            let bytes = match (value.get("S"), value.get("B")) {
                (Some(text), _) => text.as_str()?.as_bytes().to_vec(),
                (None, Some(bytes)) => STANDARD.decode(bytes.as_str()?).ok()?,
                (None, None) => return None,
            };
            headers.append(&name, HeaderValue::from_bytes(&bytes).ok()?);
        }
    }
    Some(headers)
}

/// Writes an attribute as JSON: members by name, numbers as DynamoDB gives them, so that no price becomes a float.
fn write(json: &mut String, attribute: &Value, level: usize) -> Option<()> {
    if level > LEVELS {
        return None;
    }
    let attribute = attribute.as_object().filter(|members| members.len() == 1)?;
    let (form, value) = attribute.iter().next()?;
    match form.as_str() {
        "S" => json.push_str(&serde_json::to_string(value.as_str()?).ok()?),
        "N" => json.push_str(number(value.as_str()?)?),
        "BOOL" => json.push_str(if value.as_bool()? { "true" } else { "false" }),
        "NULL" => json.push_str("null"),
        "L" => {
            json.push('[');
            for (position, element) in value.as_array()?.iter().enumerate() {
                if position > 0 {
                    json.push(',');
                }
                write(json, element, level + 1)?;
            }
            json.push(']');
        }
        "M" => {
            let mut members: Vec<_> = value.as_object()?.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            json.push('{');
            for (position, (name, value)) in members.into_iter().enumerate() {
                if position > 0 {
                    json.push(',');
                }
                json.push_str(&serde_json::to_string(name).ok()?);
                json.push(':');
                write(json, value, level + 1)?;
            }
            json.push('}');
        }
        _ => return None,
    }
    Some(())
}

/// A number that is one in JSON as well.
fn number(text: &str) -> Option<&str> {
    let starts = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let is_whole = || serde_json::from_str::<&RawValue>(text).is_ok_and(|json| json.get() == text);
    (starts && is_whole()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    fn packed(bytes: &[u8]) -> String {
        STANDARD.encode(zstd::bulk::compress(bytes, 3).unwrap())
    }

    #[test]
    fn what_is_packed_unpacks_and_a_small_frame_of_too_much_is_refused() {
        assert_eq!(unpack(&packed(b"{}")).unwrap(), b"{}");
        let most = vec![0; 16 * 1024 * 1024];
        assert_eq!(unpack(&packed(&most)).unwrap().len(), most.len());
        assert!(unpack(&packed(&[&*most, &[0]].concat())).is_err());
    }

    fn packed_with(dictionary: &[u8], bytes: &[u8]) -> Vec<u8> {
        let mut compressor = zstd::bulk::Compressor::with_dictionary(3, dictionary).unwrap();
        compressor.compress(bytes).unwrap()
    }

    #[test]
    fn what_is_packed_with_the_dictionary_unpacks() {
        let order = br#"{"id":"or_1","status":"released"}"#;
        // What `shared/aws` writes.
        let stored = "KLUv/SEBIb0AAFByZWxlYXNlZCJ9A3wABNd4Aq1zVZUB";
        assert_eq!(unpack(stored).unwrap(), order);
        let most = vec![0; 16 * 1024 * 1024];
        let frame = |bytes: &[u8]| STANDARD.encode(packed_with(DICTIONARY.1, bytes));
        assert_eq!(unpack(&frame(&most)).unwrap().len(), most.len());
        assert!(unpack(&frame(&[&*most, &[0]].concat())).is_err());
    }

    #[test]
    fn a_dictionary_that_is_not_known_is_named() {
        let mut frame = packed_with(DICTIONARY.1, b"{\"id\":\"or_1\",\"status\":\"released\"}");
        // The byte after the magic number and the descriptor: the id.
        assert_eq!(std::mem::replace(&mut frame[5], 77), 1);
        let reason = unpack(&STANDARD.encode(&frame)).unwrap_err();
        assert!(reason.contains("dictionary 77"), "{reason}");
        assert!(unpack(&STANDARD.encode(&frame[..7])).is_err());
    }

    proptest! {
        #[test]
        fn no_stored_text_panics(text in "\\PC*", bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(unpack(&text).is_ok_and(|bytes| bytes.is_empty()) || unpack(&text).is_err());
            let frame = unpack(&STANDARD.encode(&bytes));
            prop_assert!(frame.is_err() || frame.is_ok_and(|unpacked| unpacked.is_empty()));
        }
    }

    #[rstest]
    #[case(json!({ "M": { "b": { "N": "20.10" }, "a": { "L": [{ "BOOL": true }, { "NULL": true }] } } }), Some(r#"{"a":[true,null],"b":20.10}"#))]
    #[case(json!({ "S": "a\"b" }), Some(r#""a\"b""#))]
    #[case::no_number(json!({ "N": "1 2" }), None)]
    #[case::not_json(json!({ "N": "+1" }), None)]
    #[case::another_form(json!({ "SS": ["a"] }), None)]
    #[case::two_forms(json!({ "S": "a", "N": "1" }), None)]
    #[case::no_attribute(json!(7), None)]
    fn a_map_becomes_json(#[case] attribute: Value, #[case] expected: Option<&str>) {
        let mut text = String::new();
        let written = write(&mut text, &attribute, 1).map(|()| text);
        assert_eq!(written.as_deref(), expected);
    }

    #[rstest]
    #[case(json!({ "M": { "x-topic": { "L": [{ "S": "a" }, { "B": "Yg==" }] } } }), Some(2))]
    #[case::no_map(json!({ "S": "x-topic" }), None)]
    #[case::no_list(json!({ "M": { "x-topic": { "S": "a" } } }), None)]
    #[case::no_name(json!({ "M": { "x topic": { "L": [] } } }), None)]
    #[case::no_value(json!({ "M": { "x-topic": { "L": [{ "S": "a\nb" }] } } }), None)]
    #[case::no_text(json!({ "M": { "x-topic": { "L": [{ "BOOL": true }] } } }), None)]
    fn headers_read_back(#[case] stored: Value, #[case] expected: Option<usize>) {
        assert_eq!(headers(&stored).map(|headers| headers.len()), expected);
    }
}
