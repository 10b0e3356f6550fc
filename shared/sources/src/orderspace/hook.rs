//! Orderspace's deliveries: <https://apidocs.orderspace.com/#webhook-events>.
//!
//! A delivery is a JSON list of up to 50 events of mixed types, each
//! `{"event": "order.created", "data": {"order": {…}}}`. An earlier form of the interface had one type a
//! delivery and a list of records, `{"event": "order.created", "data": {"orders": […]}}`. Both are read,
//! also mixed and also past 50, since what was signed and sent must not be lost to a form.
//!
//! The body is read as JSON once, to find the records' bytes, and copied never. What is JSON by then is scanned for the
//! record's identity, which is cheaper.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde::de::{IgnoredAny, MapAccess};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use domain::decimal::Decimal;
use domain::delivery::{BadElement, ElementFault, Split, Unreadable};
use domain::event::{Event, EventType, Meaning};
use domain::record::RecordId;
use domain::signature::{LiveSecrets, Offer, ProofError, Tags};

use super::{FACTS, RAW_BODY, meaning};
use crate::json::{First, FromMembers, Name, ObjectOr, object, text_in, text_of};
use crate::scan::values;
use crate::{SignedDelivery, only_value};

/// Base64 of the body's HMAC-SHA256 under the webhook's signing key.
const SIGNATURE_HEADER: &str = "x-orderspace-signature";

/// Reads the signature that a request offers.
pub(super) fn offer(headers: &HeaderMap) -> Result<Offer, ProofError> {
    let tag = STANDARD
        .decode(only_value(headers, SIGNATURE_HEADER)?)
        .map_err(|_| ProofError::Malformed)?;
    let tag = tag.try_into().map_err(|_| ProofError::Malformed)?;
    Ok(Offer::Macs {
        tags: Tags::one(tag),
        forms: &[RAW_BODY],
    })
}

/// A delivery of one event, as Orderspace sends it.
pub(super) fn signed_delivery(
    secrets: &LiveSecrets,
    event_type: &EventType,
    record: &RawValue,
) -> Option<SignedDelivery> {
    let kind = meaning(event_type).kind;
    // Types and kinds have no character that JSON escapes.
    let body = format!(r#"[{{"event":"{event_type}","data":{{"{kind}":{record}}}}}]"#);
    let tag = secrets.macs.first()?.sign(body.as_bytes())?;
    Some(SignedDelivery {
        headers: vec![(SIGNATURE_HEADER, STANDARD.encode(tag))],
        body: body.into_bytes(),
    })
}

pub(super) fn split(body: &[u8]) -> Result<Split<'_>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::NotJson)?;
    let mut split = Split::default();
    for element in elements(text)? {
        match element.read() {
            Ok((event_type, meaning, records)) => {
                for record in records.iter() {
                    let index = split.next_index()?;
                    if record.get().starts_with('{') {
                        let record_id = record_id(&meaning.kind, record);
                        split.events.push(Event {
                            index,
                            event_type: event_type.clone(),
                            meaning: meaning.clone(),
                            record_id,
                            source_id: None,
                            source_time: None,
                            record,
                        });
                    } else {
                        split.bad.push(BadElement {
                            index,
                            reason: ElementFault::NoRecord,
                        });
                    }
                }
            }
            Err(reason) => {
                let index = split.next_index()?;
                split.bad.push(BadElement { index, reason });
            }
        }
    }
    Ok(split)
}

/// The elements of a body in today's form; a bare object counts as a list of one.
fn elements(text: &str) -> Result<Vec<Element<'_>>, Unreadable> {
    let not_json = |_| Unreadable::NotJson;
    match text.trim_ascii_start().bytes().next() {
        Some(b'[') => {
            if let Ok(elements) = serde_json::from_str::<First<ObjectOr<Element<'_>>>>(text) {
                return Ok(elements
                    .0
                    .into_iter()
                    .map(|element| element.0.unwrap_or_default())
                    .collect());
            }
            // An element that is a number out of range or a broken string stops the one pass over all of
            // them, and may still be JSON. The others are good, so take them one by one.
            let elements = serde_json::from_str::<First<&RawValue>>(text).map_err(not_json)?;
            Ok(elements
                .0
                .into_iter()
                .map(|raw| object(raw).unwrap_or_default())
                .collect())
        }
        Some(b'{') => {
            let raw: &RawValue = serde_json::from_str(text).map_err(not_json)?;
            match object::<Element<'_>>(raw) {
                Some(element) if element.event.is_some() && element.members.is_some() => {
                    Ok(vec![element])
                }
                _ => Err(Unreadable::NoEventList),
            }
        }
        _ => {
            serde_json::from_str::<&RawValue>(text).map_err(not_json)?;
            Err(Unreadable::NoEventList)
        }
    }
}

/// One element as it stands, before anything is asked of it. Where a name stands twice the last one counts,
/// as in most readers of JSON.
#[derive(Default)]
struct Element<'a> {
    object: bool,
    event: Option<&'a RawValue>,
    members: Option<Members<'a>>,
}

impl<'a> Element<'a> {
    /// The event type and its records: one today, several in the earlier form.
    fn read(self) -> Result<(EventType, Meaning, Records<'a>), ElementFault> {
        if !self.object {
            return Err(ElementFault::NotAnObject);
        }
        let name = self
            .event
            .and_then(text_of)
            .filter(|name| !name.is_empty())
            .ok_or(ElementFault::NoType)?;
        let row = FACTS.named(&name);
        let (event_type, meaning) = match row {
            Some(row) => (row.event_type(), row.meaning()),
            None => {
                let event_type = name.parse().map_err(|_| ElementFault::MalformedType)?;
                let meaning = meaning(&event_type);
                (event_type, meaning)
            }
        };
        let members = self.members.ok_or(ElementFault::NoRecord)?;
        let records = match records_among(&meaning.kind, row.is_some(), &members) {
            [None, None] => return Err(ElementFault::NoRecord),
            [Some(record), None] if !record.get().starts_with('[') => Records::One(record),
            named => Records::listed(named)?,
        };
        Ok((event_type, meaning, records))
    }
}

/// The records of an element.
enum Records<'a> {
    /// The one of today's form: a list of it would cost more than its event.
    One(&'a RawValue),
    /// Those of the earlier form.
    Several(Vec<&'a RawValue>),
}

impl<'a> Records<'a> {
    /// Those in lists, and those beside them.
    fn listed(named: [Option<&'a RawValue>; 2]) -> Result<Self, ElementFault> {
        let mut records = Vec::new();
        for record in named.into_iter().flatten() {
            if record.get().starts_with('[') {
                let list: First<&RawValue> =
                    serde_json::from_str(record.get()).map_err(|_| ElementFault::NoRecord)?;
                records.extend(list.0);
            } else {
                records.push(record);
            }
        }
        Ok(Self::Several(records))
    }

    fn iter(&self) -> impl Iterator<Item = &'a RawValue> {
        match self {
            Self::One(record) => std::slice::from_ref(record),
            Self::Several(records) => records,
        }
        .iter()
        .copied()
    }
}

/// The members of `data`. There is one, but for what no page describes.
struct Members<'a> {
    first: Option<Member<'a>>,
    others: Vec<Member<'a>>,
}

type Member<'a> = (Name<'a>, &'a RawValue);

impl<'a> Members<'a> {
    fn iter(&self) -> impl DoubleEndedIterator<Item = &Member<'a>> {
        self.first.iter().chain(&self.others)
    }
}

impl<'de> FromMembers<'de> for Members<'de> {
    fn from_members<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut members = Self {
            first: map.next_entry()?,
            others: Vec::new(),
        };
        if members.first.is_some() {
            while let Some(member) = map.next_entry()? {
                members.others.push(member);
            }
        }
        Ok(members)
    }
}

/// The record inside an event that another system passes on as it stands, if the event has this type and one record.
pub(crate) fn relayed<'a>(event: &'a RawValue, event_type: &EventType) -> Option<&'a RawValue> {
    let (inner, _, records) = object::<Element<'_>>(event)?.read().ok()?;
    let mut records = records.iter();
    match (records.next(), records.next()) {
        (Some(record), None) if inner == *event_type && record.get().starts_with('{') => {
            Some(record)
        }
        _ => None,
    }
}

/// The members of `data` that hold records: those that are named after the kind, in the singular and in the plural. A
/// type that this release does not know may name its record otherwise, if it is the only one.
fn records_among<'a>(
    kind: &str,
    is_known: bool,
    members: &Members<'a>,
) -> [Option<&'a RawValue>; 2] {
    let singular = last_named(members, |name| name == kind.as_bytes());
    let plural = last_named(members, |name| is_plural(name, kind));
    match (singular, plural, &members.first) {
        (None, None, Some((_, only))) if !is_known && members.others.is_empty() => {
            [Some(*only), None]
        }
        _ => [singular, plural],
    }
}

/// The last member of this name. A `null` says that there is none.
fn last_named<'a>(members: &Members<'a>, is_named: impl Fn(&[u8]) -> bool) -> Option<&'a RawValue> {
    members
        .iter()
        .rev()
        .find(|(member, _)| is_named(&member.0))
        .map(|(_, record)| *record)
        .filter(|record| record.get() != "null")
}

/// Whether it is the kind's plural, as the earlier form named its lists.
fn is_plural(name: &[u8], kind: &str) -> bool {
    match kind {
        "dispatch" => name == b"dispatches",
        _ => name.strip_suffix(b"s") == Some(kind.as_bytes()),
    }
}

/// The identity of a record of this kind, where the record tells one that fits a key.
pub(crate) fn record_id(kind: &str, record: &RawValue) -> Option<RecordId> {
    match kind {
        "inventory_level" => {
            let [sku] = values(record, ["sku"])?;
            RecordId::new(text_in(sku?)?).ok()
        }
        "payment" => payment_id(record),
        _ => {
            let [id] = values(record, ["id"])?;
            RecordId::new(text_in(id?)?).ok()
        }
    }
}

/// A payment has no id: what tells it from the invoice's other payments stands in for one. A field that is
/// absent, `null` or empty is the same.
fn payment_id(record: &RawValue) -> Option<RecordId> {
    let names = [
        "invoice_id",
        "payment_date",
        "amount",
        "source",
        "reference",
    ];
    let [invoice, date, amount, source, reference] = values(record, names)?;
    let invoice = text_in(invoice?)?;
    let mut hash = Sha256::new();
    for field in [date, amount, source, reference] {
        let field = field.map(canonical).unwrap_or_default();
        // Each with its length, so that no two lists of fields read as one.
        hash.update(u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(&*field);
    }
    let hash = hex::encode(hash.finalize());
    let (short, _) = hash.split_at_checked(32)?;
    RecordId::new(format!("{invoice}/{short}"))
        .ok()
        .filter(|_| !invoice.is_empty())
}

/// One spelling for equal values: strings by their characters, numbers by their value, whatever else as it is.
fn canonical(value: &str) -> Cow<'_, str> {
    match value.bytes().next() {
        Some(b'n') => Cow::Borrowed(""),
        Some(b'"') => text_in(value).unwrap_or(Cow::Borrowed(value)),
        _ => Decimal::parse(value)
            .and_then(|number| number.canonical())
            .map_or(Cow::Borrowed(value), Cow::Owned),
    }
}

impl<'de> FromMembers<'de> for Element<'de> {
    fn from_members<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut element = Self {
            object: true,
            ..Self::default()
        };
        while let Some(name) = map.next_key::<Name<'de>>()? {
            match &*name.0 {
                b"event" => element.event = Some(map.next_value()?),
                b"data" => element.members = map.next_value::<ObjectOr<Members<'de>>>()?.0,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(element)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    type Good = Vec<(u32, String, Option<String>)>;
    type Bad = Vec<(u32, ElementFault)>;

    fn subjects(body: &str) -> (Good, Bad) {
        let split = split(body.as_bytes()).unwrap();
        let id = |event: &Event<'_>| event.record_id.as_ref().map(|id| id.as_str().to_owned());
        (
            split
                .events
                .iter()
                .map(|e| (e.index.get(), e.event_type.to_string(), id(e)))
                .collect(),
            split
                .bad
                .iter()
                .map(|bad| (bad.index.get(), bad.reason))
                .collect(),
        )
    }

    #[test]
    // requirement: verbatim-forms
    fn both_forms_give_the_same_events() {
        let today = r#"[{"event":"dispatch.created","data":{"dispatch":{"id":"di_1"}}},
                        {"event":"dispatch.created","data":{"dispatch":{"id":"di_2"}}}]"#;
        let earlier =
            r#"{"event":"dispatch.created","data":{"dispatches":[{"id":"di_1"},{"id":"di_2"}]}}"#;
        assert_eq!(subjects(today), subjects(earlier));
        assert_eq!(subjects(today).0.len(), 2);
    }

    #[test]
    fn records_in_the_singular_and_in_the_plural_are_all_taken() {
        let body = r#"[{"event":"order.created","data":{"orders":[{"id":"or_2"},{"id":"or_3"}],"order":{"id":"or_1"}}},
            {"event":"order.created","data":{"order":{"id":"or_4"},"orders":7}},
            {"event":"order.created","data":{"order":null,"orders":[{"id":"or_5"}]}},
            {"event":"order.created","data":{"order":null}}]"#;
        let (good, bad) = subjects(body);
        let ids: Vec<_> = good
            .iter()
            .filter_map(|(index, _, id)| Some((*index, id.as_deref()?)))
            .collect();
        let expected = [
            (0, "or_1"),
            (1, "or_2"),
            (2, "or_3"),
            (3, "or_4"),
            (5, "or_5"),
        ];
        assert_eq!(ids, expected);
        let no_record = |index| (index, ElementFault::NoRecord);
        assert_eq!(bad, [no_record(4), no_record(6)]);
    }

    #[test]
    fn one_bad_element_leaves_the_others_and_their_positions() {
        let body = r#"[7, {"event":"order.created","data":{"order":{"id":"or_1"}}}, 1e400, "\ud800", null, [{}],
            {"data":{"order":{"id":"or_2"}}}, {"event":"","data":{}}, {"event":"a b","data":{"a b":{}}},
            {"event":"order.created","data":[]}, {"event":"order.created","data":{"customer":{"id":"cu_1"}}},
            {"event":"order.updated","data":{"order":{"id":"or_3"}},"more":{"\ud800":1e400}}]"#;
        let (good, bad) = subjects(body);
        assert_eq!(
            good,
            [
                (1, "order.created".to_owned(), Some("or_1".to_owned())),
                (11, "order.updated".to_owned(), Some("or_3".to_owned())),
            ]
        );
        use ElementFault::{MalformedType, NoRecord, NoType, NotAnObject};
        let faults = [
            (0, NotAnObject),
            (2, NotAnObject),
            (3, NotAnObject),
            (4, NotAnObject),
            (5, NotAnObject),
        ];
        let more = [
            (6, NoType),
            (7, NoType),
            (8, MalformedType),
            (9, NoRecord),
            (10, NoRecord),
        ];
        assert_eq!(bad, [faults, more].concat());
    }

    #[rstest]
    #[case("", Unreadable::NotJson)]
    #[case("not json", Unreadable::NotJson)]
    #[case("[{}", Unreadable::NotJson)]
    #[case("[] []", Unreadable::NotJson)]
    #[case("\u{feff}[]", Unreadable::NotJson)]
    #[case("{}", Unreadable::NoEventList)]
    #[case("7", Unreadable::NoEventList)]
    #[case("1e400", Unreadable::NoEventList)]
    #[case(r#"{"event":"order.created"}"#, Unreadable::NoEventList)]
    fn what_is_no_delivery(#[case] body: &str, #[case] reason: Unreadable) {
        assert_eq!(split(body.as_bytes()).unwrap_err(), reason);
    }

    #[test]
    fn bytes_that_are_no_text_are_no_json() {
        assert_eq!(split(b"[\"\xff\"]").unwrap_err(), Unreadable::NotJson);
    }

    #[rstest]
    #[case::at_the_limit(1000, true)]
    #[case::one_more(1001, false)]
    // requirement: verbatim-forms
    fn a_thousand_events_are_taken(#[case] count: usize, #[case] taken: bool) {
        let one = r#"{"event":"order.created","data":{"order":{"id":"or_1"}}}"#;
        let body = format!("[{}]", vec![one; count].join(","));
        assert_eq!(split(body.as_bytes()).is_ok(), taken);
        let bad = format!("[{}]", vec!["1"; count].join(","));
        assert_eq!(split(bad.as_bytes()).is_ok(), taken);
        let records = vec![r#"{"id":"or_1"}"#; count].join(",");
        let earlier = format!(r#"{{"event":"order.created","data":{{"orders":[{records}]}}}}"#);
        assert_eq!(split(earlier.as_bytes()).is_ok(), taken);
    }

    #[rstest]
    #[case::plain("order", r#"{"id":"or_1"}"#, Some("or_1"))]
    #[case::escaped("order", r#"{"i\u0064":"or\u005f1"}"#, Some("or_1"))]
    #[case::the_last_of_two("order", r#"{"id":"or_1","id":"or_2"}"#, Some("or_2"))]
    #[case::beside_a_broken_name("order", r#"{"\ud800":1,"id":"or_1"}"#, Some("or_1"))]
    #[case::inner_ids_are_others("order", r#"{"lines":[{"id":"ol_1"}]}"#, None)]
    #[case::a_number("order", r#"{"id":1}"#, None)]
    #[case::empty("order", r#"{"id":""}"#, None)]
    #[case::lone_surrogate("order", r#"{"id":"\ud800"}"#, None)]
    #[case::stock("inventory_level", r#"{"id":"x","sku":"A 1 🥐"}"#, Some("A 1 🥐"))]
    #[case::stock_without_sku("inventory_level", r#"{"id":"x","sku":""}"#, None)]
    #[case::payment_without_invoice("payment", r#"{"amount":1}"#, None)]
    // requirement: record-keys
    fn identities(#[case] kind: &str, #[case] record: &str, #[case] id: Option<&str>) {
        let record: &RawValue = serde_json::from_str(record).unwrap();
        assert_eq!(record_id(kind, record).as_ref().map(RecordId::as_str), id);
    }

    #[rstest]
    #[case::spelling(r#""amount":26.7"#, r#""amount":26.70"#, true)]
    #[case::exponent(r#""amount":26.7"#, r#""amount":2.67e+1"#, true)]
    #[case::zero(r#""amount":0"#, r#""amount":-0.00"#, true)]
    #[case::absent_is_empty(r#""amount":1"#, r#""amount":1,"reference":"","source":null"#, true)]
    #[case::description_is_no_identity(r#""amount":1"#, r#""amount":1,"description":"x""#, true)]
    #[case::amount(r#""amount":26.7"#, r#""amount":26.71"#, false)]
    #[case::sign(r#""amount":26.7"#, r#""amount":-26.7"#, false)]
    #[case::tens(r#""amount":1"#, r#""amount":10"#, false)]
    #[case::fields_keep_apart(r#""source":"ab""#, r#""source":"a","reference":"b""#, false)]
    #[case::huge(
        r#""amount":1e99999999999999999999"#,
        r#""amount":1e99999999999999999998"#,
        false
    )]
    // requirement: record-payments
    fn payments_are_told_apart_by_value(#[case] a: &str, #[case] b: &str, #[case] same: bool) {
        let id = |fields: &str| {
            let record = format!(r#"{{"invoice_id":"iv_1",{fields}}}"#);
            record_id("payment", serde_json::from_str(&record).unwrap()).unwrap()
        };
        assert_eq!(id(a) == id(b), same);
        assert!(id(a).as_str().starts_with("iv_1/"));
    }

    #[test]
    fn a_type_that_is_not_known_may_name_its_record_as_it_likes_if_it_is_the_only_one() {
        let element = |data: &str| format!(r#"[{{"event":"refund.created","data":{data}}}]"#);
        let (good, bad) = subjects(&element(r#"{"credit":{"id":"re_1"}}"#));
        assert_eq!(
            good,
            [(0, "refund.created".to_owned(), Some("re_1".to_owned()))]
        );
        assert_eq!(bad, []);
        let (_, bad) = subjects(&element(r#"{"credit":{"id":"re_1"},"note":{}}"#));
        assert_eq!(bad, [(0, ElementFault::NoRecord)]);
    }

    /// A record keeps its key from release to release: a payment that is sent again must not become another one.
    #[test]
    fn a_payment_s_key_stays_what_it_is() {
        let payment = r#"{"invoice_id":"iv_1","payment_date":"2021-04-24","amount":26.70,"source":"card","reference":"pi_1"}"#;
        let body = format!(r#"[{{"event":"payment.created","data":{{"payment":{payment}}}}}]"#);
        let (good, _) = subjects(&body);
        assert_eq!(
            good[0].2.as_deref(),
            Some("iv_1/67b52c8c25e3c62d687d44ff3872edbb")
        );
    }
}
