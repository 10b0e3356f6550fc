//! Deliveries made up from a seed: what the sources could send, with a mark in each record by which it is found again.
//! Orderspace's are made here, those of the others in [`crate::sources`].
//!
//! No two records are equal in their bytes, so an event that turns up twice under different ids is one that was sent
//! twice. A few deliveries hold what nobody can understand.

use std::borrow::Cow;
use std::collections::BTreeSet;

use simulator::Source;
use testkit::rng::Rng;

use crate::sources::{self, Moment};

/// The kinds of records, each with its types. The lanes follow from these.
const TYPES: [(&str, &[&str], usize); 8] = [
    (
        "order",
        &["order.created", "order.updated", "order.deleted"],
        26,
    ),
    (
        "customer",
        &["customer.created", "customer.updated", "customer.deleted"],
        14,
    ),
    (
        "product",
        &["product.created", "product.updated", "product.deleted"],
        12,
    ),
    ("inventory_level", &["inventory_level.updated"], 24),
    ("invoice", &["invoice.created", "invoice.deleted"], 8),
    ("payment", &["payment.created"], 6),
    ("dispatch", &["dispatch.created"], 6),
    ("quote", &["quote.created", "quote.updated"], 4),
];

/// Events that one record gets, on average: enough for orders of arrival to matter.
const EVENTS_A_RECORD: usize = 6;

/// Of the records of an account, the others have one in so many: each of their deliveries has one event.
const FEWER_RECORDS: usize = 8;

/// Every kind.
pub(crate) fn kinds() -> BTreeSet<&'static str> {
    let others = sources::ALL.into_iter().flat_map(sources::types);
    let others = others.map(|(_, kind)| *kind);
    TYPES.iter().map(|(kind, ..)| *kind).chain(others).collect()
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Its mark, which no other event has.
    pub(crate) mark: usize,
    /// Who sends it.
    pub(crate) source: Source,
    /// Its type, as its source names it.
    pub(crate) name: &'static str,
    /// Its record's kind.
    pub(crate) kind: &'static str,
    /// The subject's key, or what the key begins with where the rest is of the product's making.
    pub(crate) key: Key,
    /// The record, byte for byte, as the first attempt has it.
    pub(crate) record: String,
    /// Where in the record the attempt's number stands, if its source writes one.
    pub(crate) counter: Option<usize>,
    /// The source's own id of it.
    pub(crate) source_id: Option<String>,
    /// When it happened, where the source says so.
    pub(crate) time: Option<Moment>,
}

/// What names a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// This.
    Is(String),
    /// A text that begins with the first, and is the same where the second is the same.
    Begins(String, String),
}

impl Event {
    pub(crate) fn is_delete(&self) -> bool {
        self.name.ends_with(".deleted")
    }

    /// Whether its record's events are in the order of their source's times.
    pub(crate) fn is_timed(&self) -> bool {
        sources::is_timed(self.source, self.kind)
    }

    /// Its time, where its place among its record's events is by that, in milliseconds since 1970.
    pub(crate) fn counting_time(&self) -> Option<u64> {
        let time = self.time.as_ref().filter(|_| self.is_timed());
        time.map(|time| time.at)
    }

    /// The record as an attempt has it, counted from 1.
    pub(crate) fn record_of(&self, attempt: usize) -> Cow<'_, str> {
        let parts = self.counter.and_then(|at| {
            let (before, rest) = self.record.split_at_checked(at)?;
            Some((before, rest.strip_prefix('1')?))
        });
        match parts {
            Some((before, after)) if attempt != 1 => format!("{before}{attempt}{after}").into(),
            _ => Cow::Borrowed(&self.record),
        }
    }

    /// Which of so many attempts has this record.
    pub(crate) fn attempt_that_says(&self, record: &str, attempts: usize) -> Option<usize> {
        (1..=attempts).find(|attempt| self.record_of(*attempt) == record)
    }

    /// The element of a delivery of Orderspace's.
    pub(crate) fn in_orderspace(&self) -> String {
        format!(
            r#"{{"event":"{}","data":{{"{}":{}}}}}"#,
            self.name, self.kind, self.record
        )
    }
}

/// What stands in a delivery: an event, or something that is none, and its text.
pub(crate) type Element = (Option<Event>, String);

/// One delivery as planned.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// Whose: the account's number.
    pub(crate) account: usize,
    /// Who sends it.
    pub(crate) source: Source,
    /// Its elements.
    pub(crate) elements: Vec<Element>,
    /// The body in place of elements, where nobody can read any.
    pub(crate) unreadable: Option<String>,
    /// Whether a retry sends its halves as deliveries of their own.
    pub(crate) splits: bool,
    /// Whether it comes again although it was accepted.
    pub(crate) comes_again: bool,
}

impl Delivery {
    /// One that can be read, and comes once and whole.
    pub(crate) fn new(account: usize, source: Source, elements: Vec<Element>) -> Self {
        Self {
            account,
            source,
            elements,
            unreadable: None,
            splits: false,
            comes_again: false,
        }
    }

    /// Whether a status says to its source that it was taken.
    pub(crate) fn is_taken_by(&self, status: Option<u16>) -> bool {
        status == Some(sources::success(self.source))
    }

    /// Its events.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        let elements = self.elements.iter();
        elements.filter_map(|(event, _)| event.as_ref())
    }

    /// The body of a part of it, as the simulator writes Orderspace's. Of the others only what nobody can read is looked at.
    pub(crate) fn body(&self, part: std::ops::Range<usize>) -> String {
        if let Some(body) = &self.unreadable {
            return body.clone();
        }
        let elements = self.elements.get(part).unwrap_or_default().iter();
        let texts: Vec<&str> = elements.map(|(_, text)| text.as_str()).collect();
        format!("[{}]", texts.join(","))
    }
}

/// Deliveries of together `events` events, from an account of each of these sources. The number in a mark is the event's
/// place.
pub(crate) fn deliveries(rng: &mut Rng, events: usize, sources: &[Source]) -> Vec<Delivery> {
    let mut made = 0;
    let mut deliveries = Vec::new();
    let records = (events / sources.len().max(1) / EVENTS_A_RECORD).max(2);
    while made < events {
        let account = rng.index(sources.len());
        let source = sources.get(account).copied().unwrap_or_default();
        let due = events - made;
        if source == Source::Orderspace {
            let delivery = of_orderspace(rng, account, records, made, due);
            made += delivery.events().count();
            deliveries.push(delivery);
        } else {
            let records = (records / FEWER_RECORDS).max(2);
            for _ in 0..rng.count(1, 4).min(due) {
                let (event, text) = sources::element(rng, source, account, records, made);
                deliveries.push(Delivery {
                    comes_again: rng.percent(2),
                    ..Delivery::new(account, source, vec![(Some(event), text)])
                });
                made += 1;
            }
        }
        // Of the others' turns there are fewer.
        let of_a_hundred = match source {
            Source::Orderspace => 1,
            _ => 3,
        };
        if rng.percent(of_a_hundred) {
            deliveries.push(Delivery {
                unreadable: Some(format!("no delivery at all, number {made}")),
                ..Delivery::new(account, source, Vec::new())
            });
        }
    }
    deliveries
}

/// A delivery of Orderspace's with some of so many events that are due.
fn of_orderspace(
    rng: &mut Rng,
    account: usize,
    records: usize,
    made: usize,
    due: usize,
) -> Delivery {
    let size = match rng.below(10) {
        0..6 => rng.count(1, 3),
        6..9 => rng.count(4, 15),
        _ => rng.count(25, 50),
    }
    .min(due);
    let mut elements = Vec::with_capacity(size + 1);
    for mark in made..made + size {
        let event = event(rng, account, records, mark);
        let text = event.in_orderspace();
        elements.push((Some(event), text));
    }
    if rng.percent(1) {
        let place = rng.index(elements.len() + 1);
        let text = format!(r#"{{"no":"event","beside":{}}}"#, made + size);
        elements.insert(place, (None, text));
    }
    Delivery {
        splits: elements.len() > 1 && rng.percent(20),
        comes_again: rng.percent(2),
        ..Delivery::new(account, Source::Orderspace, elements)
    }
}

/// One event of Orderspace's about one of so many records of each kind.
pub(crate) fn event(rng: &mut Rng, account: usize, records: usize, mark: usize) -> Event {
    let mut weight = rng.index(100);
    let (kind, names) = TYPES
        .iter()
        .find_map(|(kind, names, share)| match weight.checked_sub(*share) {
            None => Some((*kind, *names)),
            Some(left) => {
                weight = left;
                None
            }
        })
        .unwrap_or(("order", &["order.updated"]));
    let name = match rng.percent(5) {
        true => names.last(),
        false => names.get(rng.index(names.len().min(2))),
    };
    let name = *name.unwrap_or(&"order.updated");
    let number = rng.index(records);
    about(rng, kind, name, &format!("{account}-{number}"), mark)
}

/// An event of Orderspace's, of this type about this record.
pub(crate) fn about(
    rng: &mut Rng,
    kind: &'static str,
    name: &'static str,
    id: &str,
    mark: usize,
) -> Event {
    let tint = rng.below(16);
    let rest = format!(r#""mark":{mark},"tint":"t{tint:x}""#);
    let (key, record) = match kind {
        "inventory_level" => {
            let on_hand = rng.below(1000);
            let record = format!(
                r#"{{"sku":"S {id}/x","on_hand":{on_hand}.0, "available":{on_hand},{rest}}}"#
            );
            (Key::Is(format!("S {id}/x")), record)
        }
        "payment" => {
            let cents = rng.below(3);
            let identity = format!(
                r#""invoice_id":"iv_{id}","payment_date":"2026-11-20","amount":26.7{cents},"source":"card","reference":null"#
            );
            let record = format!("{{{identity},{rest}}}");
            (Key::Begins(format!("iv_{id}/"), identity), record)
        }
        _ => {
            let short = kind.get(..2).unwrap_or(kind);
            let key = format!("{short}_{id}");
            let record = if name.ends_with(".deleted") {
                format!(r#"{{"id":"{key}","deleted":true,{rest}}}"#)
            } else {
                let body = match rng.below(5) {
                    0 => r#""note":"Fish \u0026 Chips, 3 \u00bd","lines":[{"quantity":1e2}]"#,
                    1 => r#" "total" : 1204.50 ,  "tags":["a","é",null,true]"#,
                    2 => r#""brand_new_field":{"deep":[[],{}]},"discount":-0.5"#,
                    _ => r#""status":"open","total":12.25"#,
                };
                format!(r#"{{"id":"{key}",{body},{rest}}}"#)
            };
            (Key::Is(key), record)
        }
    };
    Event {
        mark,
        source: Source::Orderspace,
        name,
        kind,
        key,
        record,
        counter: None,
        source_id: None,
        time: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_every_type_and_no_two_equal_records() {
        // Those of a long run: the rarest things are in it.
        const EVENTS: usize = 20_000;
        let plan = deliveries(&mut Rng::of(&[1]), EVENTS, &sources::of_accounts(10));
        let events: Vec<&Event> = plan.iter().flat_map(Delivery::events).collect();
        assert_eq!(events.len(), EVENTS);
        let marks: Vec<usize> = events.iter().map(|event| event.mark).collect();
        assert_eq!(marks, (0..EVENTS).collect::<Vec<_>>());
        let records: BTreeSet<&str> = events.iter().map(|event| event.record.as_str()).collect();
        assert_eq!(records.len(), EVENTS);
        let of = |source| events.iter().filter(move |event| event.source == source);
        let names: BTreeSet<&str> = of(Source::Orderspace).map(|event| event.name).collect();
        let all = TYPES.iter().flat_map(|(_, names, _)| *names);
        assert_eq!(names, all.copied().collect());
        assert_eq!(TYPES.iter().map(|(.., share)| share).sum::<usize>(), 100);
        for source in sources::ALL {
            let count = of(source).count();
            let is_most = source == Source::Orderspace;
            assert!(count >= EVENTS / 50, "{count}");
            assert_eq!(count > EVENTS / 2, is_most, "{count}");
            let of = |one: &Delivery| one.source == source;
            assert!(plan.iter().any(|one| of(one) && one.unreadable.is_some()));
        }
        assert!(plan.iter().any(|delivery| delivery.splits));
        for delivery in &plan {
            let most = match delivery.source {
                Source::Orderspace => 51,
                _ => 1,
            };
            assert!(delivery.elements.len() <= most);
            let mut events = delivery.events();
            assert!(events.all(|event| event.source == delivery.source));
            if delivery.unreadable.is_none() {
                let body = delivery.body(0..delivery.elements.len());
                serde_json::from_str::<Vec<serde_json::Value>>(&body).unwrap();
            }
        }
    }

    /// The short run of every change has each source too, whatever its seed.
    #[test]
    fn a_short_plan_has_every_source() {
        for seed in 0..20 {
            let plan = deliveries(&mut Rng::of(&[seed]), 1000, &sources::of_accounts(10));
            for source in sources::ALL {
                let of = plan.iter().filter(|delivery| delivery.source == source);
                assert!(of.flat_map(Delivery::events).count() >= 10, "{seed}");
            }
        }
    }

    #[test]
    fn one_source_alone_can_be_asked_for() {
        let plan = deliveries(&mut Rng::of(&[1]), 300, &[Source::Orderspace; 3]);
        let mut sources = plan.iter().map(|delivery| delivery.source);
        assert!(sources.all(|source| source == Source::Orderspace));
    }
}
