//! What the sources send: elements about few records with few contents, so that equal bytes, changes there and
//! back, and events about one record meet often.

use std::sync::Arc;

use crate::oracle::rfc3339;
use crate::plan::WALL;
use crate::rng::Rng;

/// An element of a delivery.
#[derive(Debug, Clone)]
pub struct Element {
    /// What happened at Orderspace, counted over the schedule: two elements with equal bytes differ here.
    pub occurrence: u32,
    /// The event, unless the element is none.
    pub event: Option<Arc<Event>>,
    /// The element's JSON.
    pub json: Arc<str>,
}

/// An event, as its sender knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub event_type: &'static str,
    /// What it is about.
    pub about: About,
    /// The record's bytes.
    pub record: String,
    /// Who sends it.
    pub sender: Sender,
    /// When the record changed by the sender's clock, in milliseconds since 1970, if it says so.
    pub changed: Option<u64>,
}

/// A source whose accounts the schedules have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sender {
    /// Signs the body. Its deliveries are lists, and say nothing of time.
    #[default]
    Orderspace,
    /// Repeats a secret in a header. A delivery is one object, mostly with the time of its record's last change.
    Ordermentum,
}

impl Sender {
    /// Its name in paths and types.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orderspace => "orderspace",
            Self::Ordermentum => "ordermentum",
        }
    }
}

/// Which record an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// One with an identity of its own.
    Record(&'static str, String),
    /// A payment: the invoice, and a number for what else tells it from others.
    Payment(&'static str, u32),
    /// One that cannot be named.
    Nothing(&'static str),
}

impl About {
    /// The kind of record.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Record(kind, _) | Self::Nothing(kind) => kind,
            Self::Payment(..) => "payment",
        }
    }
}

impl Event {
    /// Whether it says that the record is no more.
    #[must_use]
    pub fn deletes(&self) -> bool {
        self.event_type.ends_with(".deleted")
    }

    /// Whether another says the same of the same record.
    #[must_use]
    pub fn says_what(&self, other: &Self) -> bool {
        self.event_type == other.event_type && self.record == other.record
    }
}

impl Element {
    /// Whether it has an event of this sender.
    fn is_of(&self, sender: Sender) -> bool {
        let event = self.event.as_ref();
        event.is_some_and(|event| event.sender == sender)
    }
}

/// The bytes of a delivery, and what is in them.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its elements; none where the body is no list.
    pub elements: Vec<Element>,
    /// The body.
    pub body: Arc<[u8]>,
    /// Whether the body can be read at all.
    pub readable: bool,
}

/// A body that is no list of events.
#[must_use]
pub fn unreadable(rng: &mut Rng) -> Delivery {
    let body = rng.pick(&["not json", "{}", "[{\"event\":", "7"]);
    Delivery {
        elements: Vec::new(),
        body: body.as_bytes().into(),
        readable: false,
    }
}

/// A delivery of these elements. `spacing` varies the bytes, and nothing else.
#[must_use]
pub fn delivery(elements: Vec<Element>, spacing: u64) -> Delivery {
    let (open, between, close) = match spacing % 3 {
        0 => ("[", ",", "]"),
        1 => ("[ ", ", ", " ]"),
        _ => ("[\r\n  ", ",\r\n  ", "\r\n]"),
    };
    let (open, close) = match &*elements {
        // A delivery of one object is no list.
        [only] if only.is_of(Sender::Ordermentum) => (&open[1..], &close[..close.len() - 1]),
        _ => (open, close),
    };
    let json: Vec<&str> = elements.iter().map(|element| &*element.json).collect();
    let body = [open, &json.join(between), close].concat();
    Delivery {
        body: body.into_bytes().into(),
        elements,
        readable: true,
    }
}

/// An element with an event.
#[must_use]
pub fn element(occurrence: u32, event: Event) -> Element {
    let (event_type, kind, record) = (event.event_type, event.about.kind(), &event.record);
    let json = match event.sender {
        Sender::Orderspace => {
            format!(r#"{{"event":"{event_type}","data":{{"{kind}":{record}}}}}"#)
        }
        Sender::Ordermentum => format!(r#"{{"event":"{event_type}","data":{record}}}"#),
    };
    Element {
        occurrence,
        json: json.into(),
        event: Some(Arc::new(event)),
    }
}

/// An element that is no event.
#[must_use]
pub fn bad_element(occurrence: u32, sender: Sender, rng: &mut Rng) -> Element {
    let json = rng.pick(&[
        "7",
        "null",
        r#"{"data":{"order":{"id":"or_1"}}}"#,
        match sender {
            Sender::Orderspace => r#"{"event":"order.created"}"#,
            // There it is an event whose record is the whole object.
            Sender::Ordermentum => r#"{"event":"order created"}"#,
        },
    ]);
    Element {
        occurrence,
        json: json.into(),
        event: None,
    }
}

/// What a record says besides its identity. Each has a spelling that a reader would not keep.
const CONTENTS: [&str; 4] = [
    r#""is":"a""#,
    r#""is":"b","total":20.0"#,
    r#""note":"Fish \u0026 Chips", "total":26.70"#,
    r#""name":"Panadería 日本 🥐","at":1e2"#,
];

/// An event like those that Orderspace sends. With `focused`, most are about one record, and what happens to
/// it at the same time meets.
#[must_use]
pub fn event(rng: &mut Rng, focused: bool) -> Event {
    let content = |rng: &mut Rng| match rng.below(24) {
        // Larger than the inline limit of a schedule.
        0 => format!(r#""long":"{}""#, "x".repeat(900)),
        // What no queue takes as text.
        1 => "\"odd\":\"\u{FFFF}\"".to_owned(),
        _ => rng.pick(&CONTENTS).to_owned(),
    };
    let named = |event_type: &'static str, kind: &'static str, id: String, content: String| Event {
        event_type,
        record: format!(r#"{{"id":"{id}",{content}}}"#),
        about: About::Record(kind, id),
        sender: Sender::Orderspace,
        changed: None,
    };
    if focused && rng.percent(75) {
        let id = "or_0".to_owned();
        return match rng.below(5) {
            0 => deleted("order.deleted", "order", &id),
            _ => named("order.updated", "order", id, content(rng)),
        };
    }
    match rng.below(100) {
        0..30 => {
            let sku = rng.pick(&["A 1", "B/2"]);
            stock(sku, rng.pick(&["10", "20", "20.0"]))
        }
        30..55 => {
            let id = format!("or_{}", rng.below(2));
            match rng.below(8) {
                0..2 => named("order.created", "order", id, content(rng)),
                2..6 => named("order.updated", "order", id, content(rng)),
                _ => deleted("order.deleted", "order", &id),
            }
        }
        55..70 => {
            let id = format!("cu_{}", rng.below(2));
            match rng.below(6) {
                0 => named("customer.created", "customer", id, content(rng)),
                1..5 => named("customer.updated", "customer", id, content(rng)),
                _ => deleted("customer.deleted", "customer", &id),
            }
        }
        70..82 => payment(
            "iv_1",
            u32::try_from(rng.below(2)).unwrap_or_default(),
            rng.percent(50),
        ),
        82..87 => match rng.below(3) {
            0 => deleted("invoice.deleted", "invoice", "iv_1"),
            _ => named(
                "invoice.created",
                "invoice",
                "iv_1".to_owned(),
                content(rng),
            ),
        },
        87..91 => match rng.below(3) {
            0 => deleted("product.deleted", "product", "pr_1"),
            _ => named(
                "product.updated",
                "product",
                "pr_1".to_owned(),
                content(rng),
            ),
        },
        91..94 => named(
            "dispatch.created",
            "dispatch",
            "di_1".to_owned(),
            content(rng),
        ),
        94..97 => named(
            "standing_order.paused",
            "standing_order",
            "so_1".to_owned(),
            content(rng),
        ),
        _ => Event {
            event_type: "order.created",
            record: r#"{"number":7}"#.to_owned(),
            about: About::Nothing("order"),
            sender: Sender::Orderspace,
            changed: None,
        },
    }
}

/// An event like those that Ordermentum sends. Few times are drawn, so that equal ones meet; some lie before what was sent
/// earlier, and some in the future, as by a clock that runs ahead.
#[must_use]
pub fn dated_event(rng: &mut Rng) -> Event {
    let (event_type, kind, id) = rng.pick(&[
        ("order_created", "order", "om-0"),
        ("order_updated", "order", "om-0"),
        ("order_updated", "order", "om-0"),
        ("order_updated", "order", "om-1"),
        ("purchaser_updated", "purchaser", "pu-0"),
        ("invoice_updated", "invoice", "in-0"),
        ("credit_note_cancelled", "credit_note", "cn-0"),
    ]);
    let changed = match rng.below(10) {
        0 => None,
        1 => Some(WALL + 86_400_000),
        _ => Some(WALL + rng.pick(&[0, 1, 5_000, 20_000, 60_000])),
    };
    let content = rng.pick(&CONTENTS);
    let record = match changed {
        Some(at) => {
            let at = rfc3339(at);
            format!(r#"{{"id":"{id}","updatedAt":"{at}",{content}}}"#)
        }
        None => format!(r#"{{"id":"{id}",{content}}}"#),
    };
    Event {
        event_type,
        record,
        about: About::Record(kind, id.to_owned()),
        sender: Sender::Ordermentum,
        changed,
    }
}

/// A stock level.
#[must_use]
pub fn stock(sku: &str, on_hand: &str) -> Event {
    Event {
        event_type: "inventory_level.updated",
        record: format!(r#"{{"sku":"{sku}","on_hand":{on_hand},"available":{on_hand}}}"#),
        about: About::Record("inventory_level", sku.to_owned()),
        sender: Sender::Orderspace,
        changed: None,
    }
}

/// A payment. The spelling of its amount does not tell it from another.
#[must_use]
pub fn payment(invoice: &'static str, which: u32, short: bool) -> Event {
    let amount = match (which, short) {
        (0, true) => "26.7",
        (0, false) => "26.70",
        (_, true) => "5",
        (_, false) => "5.00",
    };
    Event {
        event_type: "payment.created",
        record: format!(
            r#"{{"invoice_id":"{invoice}","payment_date":"2026-11-20","amount":{amount},"source":"card","reference":""}}"#
        ),
        about: About::Payment(invoice, which),
        sender: Sender::Orderspace,
        changed: None,
    }
}

fn deleted(event_type: &'static str, kind: &'static str, id: &str) -> Event {
    Event {
        event_type,
        record: format!(r#"{{"id":"{id}","deleted":true}}"#),
        about: About::Record(kind, id.to_owned()),
        sender: Sender::Orderspace,
        changed: None,
    }
}

/// An order's event with a content of its own.
#[must_use]
pub fn order(event_type: &'static str, id: &str, content: &str) -> Event {
    Event {
        event_type,
        record: format!(r#"{{"id":"{id}","is":"{content}"}}"#),
        about: About::Record("order", id.to_owned()),
        sender: Sender::Orderspace,
        changed: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(changed: Option<u64>) -> Event {
        let seeds = 0..1_000;
        let mut events = seeds.map(|seed| dated_event(&mut Rng::of(&[seed])));
        events.find(|event| event.changed == changed).unwrap()
    }

    #[test]
    fn a_delivery_of_one_object_is_no_list() {
        let elements = [1, 2].map(|occurrence| element(occurrence, dated(None)));
        let json = elements[0].json.to_string();
        assert!(json.starts_with(r#"{"event":""#) && json.contains(r#","data":{"id":""#));
        for (spacing, body) in [
            json.clone(),
            format!(" {json} "),
            format!("\r\n  {json}\r\n"),
        ]
        .into_iter()
        .enumerate()
        {
            let one = delivery(elements[..1].to_vec(), u64::try_from(spacing).unwrap());
            assert_eq!(*one.body, *body.as_bytes());
        }
        let both = delivery(elements.to_vec(), 0);
        assert!(both.body.starts_with(b"[{") && both.body.ends_with(b"}]"));
        let of_orderspace = delivery(vec![element(1, stock("A 1", "10"))], 0);
        assert!(of_orderspace.body.starts_with(b"[{"));
    }

    #[test]
    fn an_event_of_ordermentum_says_its_time() {
        let event = dated(Some(WALL + 5_000));
        let time = r#","updatedAt":"2026-11-20T12:00:05.000Z","#;
        assert!(event.record.contains(time), "{}", event.record);
        assert!(!dated(None).record.contains("updatedAt"));
    }
}
