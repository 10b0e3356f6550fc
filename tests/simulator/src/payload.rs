//! From events to request bodies: packing into batches, the two body shapes, Rails' escapes, and raw deliveries.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::orderspace::events::{EventText, plural};
use crate::orderspace::signature::{SIGNATURE_HEADER, SigningKey};
use crate::switches::{Shape, Switches};

/// Why events could not be packed.
#[derive(Debug, Error)]
pub enum PackError {
    /// The old shape needs the event's name and its record.
    #[error(
        "the event {name} has no {{\"event\",\"data\":{{\"<kind>\":{{..}}}}}} form; send it in the current shape"
    )]
    NoOldShape {
        /// The event's name, or a dash.
        name: String,
    },
    /// A header of a raw delivery is not a header.
    #[error("the header {name} is not a valid HTTP header; change its name or value")]
    Header {
        /// The name as given.
        name: String,
    },
}

/// How a raw delivery is signed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signing {
    /// With the webhook's key.
    #[default]
    Proper,
    /// With another key.
    WrongKey,
    /// No signature header, unless the chosen headers have one.
    Omit,
}

/// Bytes that a test wants to see on the wire, whatever they are.
#[derive(Clone, Debug, Default)]
pub struct RawDelivery {
    /// The body.
    pub body: Vec<u8>,
    /// Headers, in order. A name given here replaces the sender's own header of that name, and may be given twice.
    pub headers: Vec<(String, String)>,
    /// The signature.
    pub signing: Signing,
}

/// One request to be made.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) events: Vec<EventText>,
    pub(crate) body: Vec<u8>,
    headers: Vec<(HeaderName, HeaderValue)>,
    signing: Signing,
}

impl Payload {
    /// The headers to send, signed with the given key of the webhook.
    pub(crate) fn headers(&self, key: &SigningKey, other_key: &SigningKey) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        let signature = match self.signing {
            Signing::Proper => Some(key.sign(&self.body)),
            Signing::WrongKey => Some(other_key.sign(&self.body)),
            Signing::Omit => None,
        };
        if let Some(mut value) = signature.and_then(|text| HeaderValue::try_from(text).ok()) {
            value.set_sensitive(true);
            headers.insert(SIGNATURE_HEADER, value);
        }
        for (name, _) in &self.headers {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        headers
    }
}

/// Packs a raw delivery.
pub(crate) fn raw(delivery: &RawDelivery) -> Result<Payload, PackError> {
    let headers = delivery
        .headers
        .iter()
        .map(|(name, value)| {
            let bad = || PackError::Header { name: name.clone() };
            Ok((
                HeaderName::try_from(name.as_str()).map_err(|_| bad())?,
                HeaderValue::try_from(value.as_str()).map_err(|_| bad())?,
            ))
        })
        .collect::<Result<_, PackError>>()?;
    Ok(Payload {
        events: Vec::new(),
        body: delivery.body.clone(),
        headers,
        signing: delivery.signing.clone(),
    })
}

/// Packs events into bodies of the switches' shape and batch size, in order.
pub(crate) fn pack(events: &[EventText], switches: &Switches) -> Result<Vec<Payload>, PackError> {
    let size = switches.batch_size.max(1);
    let signing = if switches.wrong_key {
        Signing::WrongKey
    } else {
        Signing::Proper
    };
    let payload = |events: &[EventText], body: String| Payload {
        events: events.to_vec(),
        body: if switches.rails_escapes {
            rails_escaped(&body).into_bytes()
        } else {
            body.into_bytes()
        },
        headers: Vec::new(),
        signing: signing.clone(),
    };
    match switches.shape {
        Shape::Current => Ok(events
            .chunks(size)
            .map(|batch| payload(batch, array(batch)))
            .collect()),
        Shape::Old => {
            let mut payloads = Vec::new();
            for group in by_name(events)? {
                for batch in group.chunks(size) {
                    payloads.push(payload(batch, old_shape(batch)?));
                }
            }
            Ok(payloads)
        }
    }
}

fn array(events: &[EventText]) -> String {
    let texts: Vec<&str> = events.iter().map(EventText::as_str).collect();
    format!("[{}]", texts.join(","))
}

/// Events by name, names in the order of their first event.
fn by_name(events: &[EventText]) -> Result<Vec<Vec<EventText>>, PackError> {
    let mut groups: Vec<(&str, Vec<EventText>)> = Vec::new();
    for event in events {
        let name = event.name().ok_or_else(|| no_old_shape(None))?;
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, group)) => group.push(event.clone()),
            None => groups.push((name, vec![event.clone()])),
        }
    }
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

fn no_old_shape(name: Option<&str>) -> PackError {
    PackError::NoOldShape {
        name: name.unwrap_or("-").to_owned(),
    }
}

#[derive(Deserialize)]
struct Shaped<'a> {
    #[serde(borrow)]
    data: BTreeMap<String, &'a RawValue>,
}

/// One body for events of one name. The records keep their text; only the frame around them is new.
fn old_shape(events: &[EventText]) -> Result<String, PackError> {
    let mut records = Vec::with_capacity(events.len());
    let mut frame = None;
    for event in events {
        let refused = || no_old_shape(event.name());
        let shaped: Shaped<'_> = serde_json::from_str(event.as_str()).map_err(|_| refused())?;
        let name = event.name().ok_or_else(refused)?;
        let (kind, record) = shaped.data.first_key_value().ok_or_else(refused)?;
        records.push(record.get());
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        frame.get_or_insert_with(|| (quoted(name), quoted(&plural(kind))));
    }
    let (name, list) = frame.ok_or_else(|| no_old_shape(None))?;
    let records = records.join(",");
    Ok(format!(
        r#"{{"event":{name},"data":{{{list}:[{records}]}}}}"#
    ))
}

/// These characters stand in JSON only inside strings, so replacing them in the text keeps the meaning.
fn rails_escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '&' => escaped.push_str("\\u0026"),
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(texts: &[&str]) -> Vec<EventText> {
        texts
            .iter()
            .map(|text| EventText::parse(*text).unwrap())
            .collect()
    }

    fn bodies(events: &[EventText], switches: &Switches) -> Vec<String> {
        pack(events, switches)
            .unwrap()
            .into_iter()
            .map(|payload| String::from_utf8(payload.body).unwrap())
            .collect()
    }

    #[test]
    fn a_hundred_and_one_events_make_batches_of_fifty() {
        let many = vec![EventText::parse("{}").unwrap(); 101];
        let sizes: Vec<usize> = pack(&many, &Switches::default())
            .unwrap()
            .iter()
            .map(|payload| payload.events.len())
            .collect();
        assert_eq!(sizes, [50, 50, 1]);
    }

    #[test]
    fn an_array_holds_the_texts_as_they_are() {
        let mixed = events(&[r#"{ "event":"a.b" , "n":1.0}"#, "7"]);
        assert_eq!(
            bodies(&mixed, &Switches::default()),
            [r#"[{ "event":"a.b" , "n":1.0},7]"#]
        );
    }

    #[test]
    fn the_old_shape_has_one_body_per_name_and_keeps_each_records_text() {
        let mixed = events(&[
            r#"{"event":"order.created","data":{"order":{"id":"or_1", "t":1.0}}}"#,
            r#"{"event":"inventory_level.updated","data":{"inventory_level":{"sku":"A"}}}"#,
            r#"{"event":"order.created","data":{"order":{"id":"or_2"}}}"#,
        ]);
        let old = Switches {
            shape: Shape::Old,
            ..Switches::default()
        };
        assert_eq!(
            bodies(&mixed, &old),
            [
                r#"{"event":"order.created","data":{"orders":[{"id":"or_1", "t":1.0},{"id":"or_2"}]}}"#,
                r#"{"event":"inventory_level.updated","data":{"inventory_levels":[{"sku":"A"}]}}"#,
            ]
        );
        assert!(pack(&events(&["{}"]), &old).is_err());
        assert!(pack(&events(&[r#"{"event":"a.b","data":{}}"#]), &old).is_err());
    }

    #[test]
    fn rails_escapes_change_the_text_and_not_the_meaning() {
        let fish = events(&["{\"n\":\"Fish & Chips <Ltd>\u{2028}\"}"]);
        let switches = Switches {
            rails_escapes: true,
            ..Switches::default()
        };
        let escaped = bodies(&fish, &switches).remove(0);
        assert_eq!(
            escaped,
            r#"[{"n":"Fish \u0026 Chips \u003cLtd\u003e\u2028"}]"#
        );
        let meaning: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(meaning[0]["n"], "Fish & Chips <Ltd>\u{2028}");
    }

    #[test]
    fn chosen_headers_replace_the_senders_own_and_may_come_twice() {
        let payload = raw(&RawDelivery {
            body: b"x".to_vec(),
            headers: vec![
                ("Content-Type".into(), "text/plain".into()),
                ("X-Orderspace-Signature".into(), "a".into()),
                ("X-Orderspace-Signature".into(), "b".into()),
            ],
            signing: Signing::Proper,
        })
        .unwrap();
        let key = SigningKey::new("k");
        let headers = payload.headers(&key, &key);
        assert_eq!(headers["content-type"], "text/plain");
        let signatures: Vec<_> = headers.get_all(SIGNATURE_HEADER).iter().collect();
        assert_eq!(signatures, ["a", "b"]);
    }

    #[test]
    fn a_header_that_is_none_is_refused_by_name() {
        let error = raw(&RawDelivery {
            headers: vec![("x y".into(), "z".into())],
            ..RawDelivery::default()
        })
        .unwrap_err();
        assert!(error.to_string().contains("x y"));
    }
}
