//! Deliveries made up from a seed: what Orderspace could send, with a mark in each record by which it is found again.
//!
//! No two records are equal in their bytes, so an event that turns up twice under different ids is one that was sent
//! twice. A few deliveries hold what nobody can understand.

use crate::rng::Rng;

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

/// Every kind.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> + Clone {
    TYPES.iter().map(|(kind, ..)| *kind)
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Its mark, which no other event has.
    pub(crate) mark: usize,
    /// Its type, as Orderspace names it.
    pub(crate) name: &'static str,
    /// Its record's kind.
    pub(crate) kind: &'static str,
    /// The subject's key, or what the key begins with where the rest is of the product's making.
    pub(crate) key: Key,
    /// The record, byte for byte.
    pub(crate) record: String,
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
}

/// What stands in a delivery.
#[derive(Clone, Debug)]
pub(crate) enum Element {
    /// An event.
    Good(Event),
    /// Something that is none.
    Bad,
}

/// One delivery as planned.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// Whose: the account's number.
    pub(crate) account: usize,
    /// Its elements with their texts.
    pub(crate) elements: Vec<(Element, String)>,
    /// The body in place of elements, where nobody can read any.
    pub(crate) unreadable: Option<String>,
    /// Whether a retry sends its halves as deliveries of their own.
    pub(crate) splits: bool,
    /// Whether it comes again although it was accepted.
    pub(crate) comes_again: bool,
}

impl Delivery {
    /// The body of a part of it, as the simulator writes it.
    pub(crate) fn body(&self, part: std::ops::Range<usize>) -> String {
        if let Some(body) = &self.unreadable {
            return body.clone();
        }
        let texts: Vec<&str> = self
            .elements
            .get(part)
            .unwrap_or_default()
            .iter()
            .map(|(_, text)| text.as_str())
            .collect();
        format!("[{}]", texts.join(","))
    }
}

/// Deliveries of together `events` events, from `accounts` accounts. The number in a mark is the event's place.
pub(crate) fn deliveries(rng: &mut Rng, events: usize, accounts: usize) -> Vec<Delivery> {
    let mut made = 0;
    let mut deliveries = Vec::new();
    let records = (events / accounts.max(1) / EVENTS_A_RECORD).max(2);
    while made < events {
        let account = rng.below(accounts);
        let size = match rng.below(10) {
            0..6 => rng.between(1, 3),
            6..9 => rng.between(4, 15),
            _ => rng.between(25, 50),
        }
        .min(events - made);
        let mut elements = Vec::with_capacity(size + 1);
        for _ in 0..size {
            let event = event(rng, account, records, made);
            let text = format!(
                r#"{{"event":"{}","data":{{"{}":{}}}}}"#,
                event.name, event.kind, event.record
            );
            elements.push((Element::Good(event), text));
            made += 1;
        }
        if rng.percent(1) {
            let place = rng.below(elements.len() + 1);
            let text = format!(r#"{{"no":"event","beside":{made}}}"#);
            elements.insert(place, (Element::Bad, text));
        }
        deliveries.push(Delivery {
            account,
            splits: elements.len() > 1 && rng.percent(20),
            comes_again: rng.percent(2),
            elements,
            unreadable: None,
        });
        if rng.percent(1) {
            deliveries.push(Delivery {
                account,
                elements: Vec::new(),
                unreadable: Some(format!("no delivery at all, number {made}")),
                splits: false,
                comes_again: false,
            });
        }
    }
    deliveries
}

/// One event about one of so many records of each kind.
pub(crate) fn event(rng: &mut Rng, account: usize, records: usize, mark: usize) -> Event {
    let mut weight = rng.below(100);
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
    let name = if rng.percent(5) {
        names.last()
    } else {
        names.get(rng.below(names.len().min(2)))
    };
    let name = *name.unwrap_or(&"order.updated");
    let number = rng.below(records);
    about(rng, kind, name, &format!("{account}-{number}"), mark)
}

/// An event of this type about this record.
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
        name,
        kind,
        key,
        record,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_plan_has_every_kind_and_no_two_equal_records() {
        let plan = deliveries(&mut Rng::new(1), 3000, 5);
        let events: Vec<&Event> = plan
            .iter()
            .flat_map(|delivery| &delivery.elements)
            .filter_map(|(element, _)| match element {
                Element::Good(event) => Some(event),
                Element::Bad => None,
            })
            .collect();
        assert_eq!(events.len(), 3000);
        let records: BTreeSet<&str> = events.iter().map(|event| event.record.as_str()).collect();
        assert_eq!(records.len(), 3000);
        let names: BTreeSet<&str> = events.iter().map(|event| event.name).collect();
        let all = TYPES.iter().flat_map(|(_, names, _)| *names);
        assert_eq!(names, all.copied().collect());
        assert_eq!(TYPES.iter().map(|(.., share)| share).sum::<usize>(), 100);
        assert!(plan.iter().any(|delivery| delivery.unreadable.is_some()));
        assert!(plan.iter().any(|delivery| delivery.splits));
        for delivery in &plan {
            assert!(delivery.elements.len() <= 51);
            if delivery.unreadable.is_none() {
                let body = delivery.body(0..delivery.elements.len());
                serde_json::from_str::<Vec<serde_json::Value>>(&body).unwrap();
            }
        }
    }
}
