//! Deliveries of sources that send one event a request: a JSON object. A list of such objects is taken for several events,
//! since what was proved must not be lost to a form that nobody has described.

use domain::delivery::{BadElement, ElementFault, Split, Unreadable};
use domain::event::{Event, EventType, Meaning};
use domain::provenance::SourceTime;
use domain::record::RecordId;
use serde_json::value::RawValue;

use crate::json::First;

/// What a source reads from an object.
pub(crate) struct Read<'a> {
    pub(crate) event_type: EventType,
    pub(crate) meaning: Meaning,
    pub(crate) record_id: Option<RecordId>,
    pub(crate) source_time: Option<SourceTime>,
    pub(crate) record: &'a RawValue,
}

/// Splits a body into the events that `read` finds in its object, or in the elements of its list.
pub(crate) fn split<'a>(
    body: &'a [u8],
    read: impl Fn(&'a RawValue) -> Result<Read<'a>, ElementFault>,
) -> Result<Split<'a>, Unreadable> {
    let body: &RawValue = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
    let mut split = Split::default();
    if body.get().starts_with('[') {
        let elements: First<&RawValue> =
            serde_json::from_str(body.get()).map_err(|_| Unreadable::NotJson)?;
        for element in elements.0 {
            add(&mut split, read(element))?;
        }
    } else {
        // One object is the whole delivery: where it is no event, there is none.
        let read = read(body).map_err(|_| Unreadable::NoEventList)?;
        add(&mut split, Ok(read))?;
    }
    Ok(split)
}

/// Adds an element: an event, or what is wrong with it.
fn add<'a>(
    split: &mut Split<'a>,
    element: Result<Read<'a>, ElementFault>,
) -> Result<(), Unreadable> {
    let index = split.next_index()?;
    match element {
        Ok(read) => split.events.push(Event {
            index,
            event_type: read.event_type,
            meaning: read.meaning,
            record_id: read.record_id,
            source_id: None,
            source_time: read.source_time,
            record: read.record,
        }),
        Err(reason) => split.bad.push(BadElement { index, reason }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::Effect;
    use domain::lane::Lane;
    use rstest::rstest;

    /// Takes every object for a ping.
    fn read(element: &RawValue) -> Result<Read<'_>, ElementFault> {
        if !element.get().starts_with('{') {
            return Err(ElementFault::NotAnObject);
        }
        Ok(Read {
            event_type: "ping".parse().unwrap(),
            meaning: Meaning {
                kind: "ping".into(),
                effect: Effect::Fact,
                lane: Lane::Other,
                timed: false,
            },
            record_id: None,
            source_time: None,
            record: element,
        })
    }

    fn indexes(body: &str) -> Result<(Vec<u32>, Vec<u32>), Unreadable> {
        let split = split(body.as_bytes(), read)?;
        let good = split.events.iter().map(|event| event.index.get());
        let bad = split.bad.iter().map(|bad| bad.index.get());
        Ok((good.collect(), bad.collect()))
    }

    #[rstest]
    #[case::one(" {}\n", vec![0], vec![])]
    #[case::list("[{}, 7, {}, null, []]", vec![0, 2], vec![1, 3, 4])]
    #[case::no_element("[]", vec![], vec![])]
    fn objects_are_events(#[case] body: &str, #[case] good: Vec<u32>, #[case] bad: Vec<u32>) {
        assert_eq!(indexes(body), Ok((good, bad)));
    }

    #[rstest]
    #[case::empty("", Unreadable::NotJson)]
    #[case::cut("{\"a\":", Unreadable::NotJson)]
    #[case::cut_list("[{}", Unreadable::NotJson)]
    #[case::two_values("{} {}", Unreadable::NotJson)]
    #[case::byte_order_mark("\u{feff}{}", Unreadable::NotJson)]
    #[case::form_encoded("payload=%7B%7D", Unreadable::NotJson)]
    #[case::number("7", Unreadable::NoEventList)]
    #[case::text("\"order_created\"", Unreadable::NoEventList)]
    #[case::null("null", Unreadable::NoEventList)]
    fn what_is_no_delivery(#[case] body: &str, #[case] reason: Unreadable) {
        assert_eq!(indexes(body), Err(reason));
    }

    #[rstest]
    #[case::at_the_limit(1000, true)]
    #[case::one_more(1001, false)]
    fn a_thousand_events_are_taken(#[case] count: usize, #[case] taken: bool) {
        let list = |element: &str| format!("[{}]", vec![element; count].join(","));
        assert_eq!(indexes(&list("{}")).is_ok(), taken);
        assert_eq!(indexes(&list("0")).is_ok(), taken);
    }
}
