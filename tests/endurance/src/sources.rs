//! The sources of a run, and what each sends besides Orderspace: its types, its bodies, its ids and its times.
//!
//! | source | a delivery | its events are ordered by | success |
//! |---|---|---|---|
//! | Orderspace | a list of events | first sight | 200 |
//! | Ordermentum | one event | the record's `updatedAt`, else the delivery's `timestamp` | 200 |
//! | Apideck | one event with an id; each attempt has its number in the bytes | `occurred_at` | 200 |
//! | OneStock | one message, whose members tell its topic | `date`, except a shipment's | 202 |
//! | StackOne | one event around a record | `event_date` | 200 |
//!
//! Their times are drawn apart from the order of sending: before it, equal, missing, or in a far future.

use simulator::Source;
use testkit::rng::Rng;

use crate::events::{Event, Key};

/// Every source, Orderspace first.
pub(crate) const ALL: [Source; 5] = [
    Source::Orderspace,
    Source::Ordermentum,
    Source::Apideck,
    Source::Onestock,
    Source::Stackone,
];

/// The sources of so many accounts: one of each, then as many of Orderspace, and so on.
pub(crate) fn of_accounts(count: usize) -> Vec<Source> {
    let rest = std::iter::repeat_n(Source::Orderspace, ALL.len());
    ALL.into_iter().chain(rest).cycle().take(count).collect()
}

/// Its name in paths and types.
pub(crate) fn name(source: Source) -> &'static str {
    match source {
        Source::Orderspace => "orderspace",
        Source::Ordermentum => "ordermentum",
        Source::Apideck => "apideck",
        Source::Onestock => "onestock",
        Source::Stackone => "stackone",
    }
}

/// The status that says to it that a delivery was taken.
pub(crate) fn success(source: Source) -> u16 {
    match source {
        Source::Onestock => 202,
        Source::Orderspace | Source::Ordermentum | Source::Apideck | Source::Stackone => 200,
    }
}

/// Deliveries of one account that are under way at the same time. OneStock's wait for those before them.
pub(crate) fn in_flight(source: Source) -> usize {
    match source {
        Source::Onestock => 1,
        Source::Orderspace | Source::Ordermentum | Source::Apideck | Source::Stackone => 2,
    }
}

/// Whether its events about records of this kind are in the order of its own times, by its documentation.
pub(crate) fn is_timed(source: Source, kind: &str) -> bool {
    match source {
        Source::Orderspace => false,
        Source::Ordermentum | Source::Apideck | Source::Stackone => true,
        Source::Onestock => matches!(kind, "order" | "parcel"),
    }
}

/// The types that it sends, each with its record's kind. Orderspace's are in the events' own table.
pub(crate) fn types(source: Source) -> &'static [(&'static str, &'static str)] {
    match source {
        Source::Orderspace => &[],
        Source::Ordermentum => &[
            ("order_created", "order"),
            ("order_updated", "order"),
            ("purchaser_updated", "purchaser"),
            ("credit_note_cancelled", "credit_note"),
        ],
        Source::Apideck => &[
            ("ecommerce.order.created", "order"),
            ("ecommerce.order.updated", "order"),
            ("ecommerce.order.deleted", "order"),
            ("ecommerce.customer.updated", "customer"),
            ("ecommerce.customer.deleted", "customer"),
        ],
        Source::Onestock => &[
            ("order_state_changed", "order"),
            ("parcel_state_changed", "parcel"),
            ("shipment_created", "shipment"),
        ],
        Source::Stackone => &[
            ("order.created", "order"),
            ("order.updated", "order"),
            ("order.deleted", "order"),
            ("product.updated", "product"),
            ("product.deleted", "product"),
        ],
    }
}

/// What its accounts select.
pub(crate) fn selected(source: Source) -> Vec<&'static str> {
    match source {
        Source::Orderspace | Source::Stackone => vec!["*"],
        Source::Ordermentum | Source::Apideck | Source::Onestock => {
            types(source).iter().map(|(name, _)| *name).collect()
        }
    }
}

/// When something happened, as its source says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// In milliseconds since 1970.
    pub(crate) at: u64,
    /// As the event carries it on.
    pub(crate) text: String,
}

impl Moment {
    /// So many seconds after the noon before which nothing happens.
    pub(crate) fn after_noon(seconds: usize) -> Self {
        let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
        let seconds = u64::try_from(minutes * 60 + rest).unwrap_or_default();
        Self {
            at: NOON + seconds * 1000,
            text: format!("2024-11-20T12:{minutes:02}:{rest:02}.000Z"),
        }
    }

    /// A time that no run sees.
    pub(crate) fn far() -> Self {
        Self {
            at: 4_070_908_800_000,
            text: "2099-01-01T00:00:00.000Z".to_owned(),
        }
    }
}

/// 2024-11-20T12:00:00Z, in milliseconds.
const NOON: u64 = 1_732_104_000_000;

/// A time: of few, so that equal ones meet; seldom none, and seldom one that is still to come.
fn moment(rng: &mut Rng) -> Option<Moment> {
    match rng.below(25) {
        0 => None,
        1 => Some(Moment::far()),
        _ => Some(Moment::after_noon(rng.index(40))),
    }
}

/// A delivery's one event about one of so many records of each kind, and its text as the simulator's sender takes it. The
/// record is compact, because some sources write anew what they send.
pub(crate) fn element(
    rng: &mut Rng,
    source: Source,
    account: usize,
    records: usize,
    mark: usize,
) -> (Event, String) {
    let types = types(source);
    let drawn = types.get(rng.index(types.len())).copied();
    let (name, kind) = drawn.unwrap_or_default();
    let id = format!("{account}-{}", rng.index(records));
    let time = moment(rng);
    about(rng, source, (name, kind), &id, time.as_ref(), mark)
}

/// An event of this type about this record, at this time.
pub(crate) fn about(
    rng: &mut Rng,
    source: Source,
    (name, kind): (&'static str, &'static str),
    id: &str,
    time: Option<&Moment>,
    mark: usize,
) -> (Event, String) {
    let tint = rng.below(16);
    let rest = format!(r#""mark":{mark},"tint":"t{tint:x}""#);
    let says = time.map(|time| format!(r#""{}""#, time.text));
    let member = |name: &str, value: &Option<String>| {
        let value = value.as_ref();
        value.map_or_else(String::new, |value| format!(r#""{name}":{value},"#))
    };
    let event = |key: String, record: String| Event {
        mark,
        source,
        name,
        kind,
        key: Key::Is(key),
        record,
        counter: None,
        source_id: None,
        time: time.cloned(),
    };
    match source {
        Source::Orderspace => {
            let event = crate::events::about(rng, kind, name, id, mark);
            let text = event.in_orderspace();
            (event, text)
        }
        Source::Ordermentum => {
            let time_member = member("updatedAt", &says);
            let record = format!(r#"{{"id":"om-{id}",{time_member}{rest}}}"#);
            // The delivery's own time counts where the record has none.
            let sent = Moment::after_noon(0);
            let text = format!(
                r#"{{"event":"{name}","timestamp":"{}","data":{record}}}"#,
                sent.text
            );
            let time = time.cloned().or(Some(sent));
            let event = event(format!("om-{id}"), record);
            (Event { time, ..event }, text)
        }
        Source::Apideck => {
            let source_id = format!("evt-{mark}");
            let before = format!(r#"{{"event_id":"{source_id}","execution_attempt":"#);
            let occurred = says.as_deref().unwrap_or("null");
            let record = format!(
                r#"{before}1,"service_id":"shopify","consumer_id":"c1","unified_api":"ecommerce","event_type":"{name}","entity_type":"{kind}","entity_id":"e{id}","occurred_at":{occurred},{rest}}}"#
            );
            let text = format!(r#"{{"payload":{record}}}"#);
            let event = Event {
                source_id: Some(source_id),
                counter: Some(before.len()),
                ..event(format!("c1/shopify/e{id}"), record)
            };
            (event, text)
        }
        Source::Onestock => {
            let seconds = time.map(|time| (time.at / 1000).to_string());
            let date = member("date", &seconds);
            let (key, members) = match kind {
                "parcel" => (
                    format!("pa-{id}"),
                    format!(
                        r#""order_id":"os-1","parcel_id":"pa-{id}","old_state":"new","new_state":"sent""#
                    ),
                ),
                "shipment" => (
                    format!("sh-{id}"),
                    format!(r#""shipment_id":"sh-{id}","carrier":"c""#),
                ),
                _ => (
                    format!("os-{id}"),
                    format!(r#""order_id":"os-{id}","old_state":"new","new_state":"sent""#),
                ),
            };
            let record = format!("{{{members},{date}{rest}}}");
            let text = format!(r#"{{"event":"{name}","data":{record}}}"#);
            (event(key, record), text)
        }
        Source::Stackone => {
            let date = member("event_date", &says);
            let record = format!(r#"{{"id":"s{id}",{rest}}}"#);
            let text = format!(
                r#"{{"event":"{name}",{date}"provider":"shopify","account_id":"45","record_id":"s{id}","data":{record}}}"#
            );
            (event(format!("shopify/45/s{id}"), record), text)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn event(source: Source, time: Option<&Moment>) -> (Event, String) {
        let (name, kind) = types(source)[0];
        about(&mut Rng::of(&[1]), source, (name, kind), "0-1", time, 7)
    }

    #[test]
    fn accounts_are_of_every_source_and_most_of_orderspace() {
        let sources = of_accounts(10);
        for source in ALL {
            let count = sources.iter().filter(|one| **one == source).count();
            assert_eq!(count, if source == Source::Orderspace { 6 } else { 1 });
        }
        assert_eq!(of_accounts(5), ALL);
    }

    #[test]
    fn names_are_those_by_which_the_stack_knows_the_sources() {
        for source in ALL {
            assert_eq!(local::simulator::name(source), name(source));
        }
    }

    /// What a source may write anew has no space that it would leave out.
    #[test]
    fn a_text_holds_the_record_byte_for_byte_and_is_compact() {
        for source in ALL.into_iter().filter(|one| *one != Source::Orderspace) {
            for time in [None, Some(Moment::after_noon(75)), Some(Moment::far())] {
                let (event, text) = event(source, time.as_ref());
                serde_json::from_str::<Value>(&text).unwrap();
                assert!(text.contains(&event.record), "{text}");
                assert!(!event.record.contains(' '), "{}", event.record);
                let says = match source {
                    Source::Onestock => time.as_ref().map(|time| (time.at / 1000).to_string()),
                    _ => time.as_ref().map(|time| time.text.clone()),
                };
                assert!(says.is_none_or(|says| text.contains(&says)), "{text}");
                let expected = match source {
                    Source::Ordermentum => time.or(Some(Moment::after_noon(0))),
                    _ => time,
                };
                assert_eq!(event.time, expected);
            }
        }
        let Moment { at, text } = Moment::after_noon(75);
        assert_eq!(at, NOON + 75_000);
        assert_eq!(text, "2024-11-20T12:01:15.000Z");
    }

    #[test]
    fn only_the_number_of_the_attempt_changes_apidecks_bytes() {
        let (event, _) = event(Source::Apideck, None);
        assert_eq!(event.record_of(1), event.record);
        let tenth = event.record_of(10).into_owned();
        assert!(tenth.contains(r#""execution_attempt":10,"service_id""#));
        assert!(tenth.contains(r#""event_id":"evt-7""#));
        assert_eq!(event.attempt_that_says(&tenth, 10), Some(10));
        assert_eq!(event.attempt_that_says(&tenth, 9), None);
        let (other, _) = self::event(Source::Stackone, None);
        assert_eq!(other.record_of(10), other.record);
        assert_eq!(other.attempt_that_says(&other.record, 3), Some(1));
    }

    #[test]
    fn every_type_and_every_sort_of_time_is_drawn() {
        for source in ALL.into_iter().filter(|one| *one != Source::Orderspace) {
            let mut rng = Rng::of(&[3]);
            let drawn = (0..500).map(|mark| element(&mut rng, source, 1, 4, mark).0);
            let drawn: Vec<Event> = drawn.collect();
            let names: BTreeSet<&str> = drawn.iter().map(|event| event.name).collect();
            assert_eq!(names, types(source).iter().map(|(name, _)| *name).collect());
            let times = drawn.iter().filter_map(|event| event.time.as_ref());
            let times: BTreeSet<u64> = times.map(|time| time.at).collect();
            assert_eq!(times.len(), 41);
            let has_none = drawn.iter().any(|event| event.time.is_none());
            assert_eq!(has_none, source != Source::Ordermentum);
        }
    }
}
