//! From events to Orderspace's request bodies: packing into batches, and the two body shapes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::EventText;
use crate::orderspace::events::plural;
use crate::payload::{PackError, Payload};
use crate::switches::{Shape, Switches};

/// Packs events into bodies of the switches' shape and batch size, in order.
pub(crate) fn pack(events: &[EventText], switches: &Switches) -> Result<Vec<Payload>, PackError> {
    let size = switches.batch_size.max(1);
    let payload = |events: &[EventText], body: String| Payload::new(events.to_vec(), body);
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
    PackError::NotInShape {
        name: name.unwrap_or("-").to_owned(),
        needs: r#"{"event","data":{"<kind>":{..}}}"#,
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
}
