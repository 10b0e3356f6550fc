//! What the sources send: elements about few records with few contents, so that equal bytes, changes there and
//! back, and events about one record meet often.

use std::sync::Arc;

use testkit::rng::Rng;

use crate::oracle::rfc3339;
use crate::plan::WALL;

/// An element of a delivery.
#[derive(Debug, Clone)]
pub struct Element {
    /// What happened at Orderspace, counted over the schedule: two elements with equal bytes differ here.
    pub occurrence: u32,
    /// The event, unless the element is none.
    pub event: Option<Arc<Event>>,
    /// The element's JSON.
    pub json: Arc<str>,
    /// What its sender says beside the body.
    pub outside: Outside,
}

/// What of a delivery stands beside its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside {
    /// Headers that are not signed.
    pub header: Option<(&'static str, &'static str)>,
    /// What stands in the URL behind the token; empty for nothing.
    pub part: &'static str,
}

/// A moment as a sender says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// In milliseconds since 1970.
    pub at: u64,
    /// As the envelope has to spell it.
    pub text: String,
}

impl Moment {
    /// A moment that is spelled as we spell our own.
    #[must_use]
    pub fn at(at: u64) -> Self {
        Self {
            at,
            text: rfc3339(at),
        }
    }
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
    /// When the record changed by the sender's clock, if it says so.
    pub changed: Option<Moment>,
    /// The sender's own id of the event, by which it says the same again in other bytes.
    pub source_id: Option<String>,
}

/// A source whose accounts the schedules have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(usize)]
pub enum Sender {
    /// Signs the body. Its deliveries are lists, and say nothing of time.
    #[default]
    Orderspace,
    /// Repeats a secret in a header. A delivery is one object, mostly with the time of its record's last change.
    Ordermentum,
    /// Signs the sorted JSON. A delivery is one object with an id, and its retries count themselves in its bytes.
    Apideck,
    /// Signs nobody knows how: its URL proves it. The topic stands in the URL, in a header, or follows from the members.
    OneStock,
    /// Signs by one of two secrets, and relays other systems' events.
    StackOne,
}

impl Sender {
    /// Every sender, its name in paths and types, and its name to people.
    pub const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Orderspace, "orderspace", "Orderspace"),
        (Self::Ordermentum, "ordermentum", "Ordermentum"),
        (Self::Apideck, "apideck", "Apideck"),
        (Self::OneStock, "onestock", "OneStock"),
        (Self::StackOne, "stackone", "StackOne"),
    ];

    /// Its name in paths and types.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Its name to people.
    #[must_use]
    pub fn title(self) -> &'static str {
        Self::ALL[self as usize].2
    }

    /// The one status that it takes for success.
    #[must_use]
    pub fn success(self) -> u16 {
        match self {
            Self::OneStock => 202,
            Self::Orderspace | Self::Ordermentum | Self::Apideck | Self::StackOne => 200,
        }
    }
}

/// Which record an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// One with an identity of its own.
    Record(&'static str, String),
    /// A payment: the invoice, and a number for what else tells it from others.
    Payment(&'static str, u64),
    /// One that cannot be named.
    Nothing(&'static str),
    /// Something that happened to what has this identity, and leaves no record.
    Fact(&'static str, String),
}

impl About {
    /// The kind of record.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Record(kind, _) | Self::Nothing(kind) | Self::Fact(kind, _) => kind,
            Self::Payment(..) => "payment",
        }
    }

    /// Whether there is a record of it.
    #[must_use]
    pub fn leaves_a_record(&self) -> bool {
        matches!(self, Self::Record(..) | Self::Payment(..))
    }
}

impl Event {
    /// An event of Orderspace's.
    fn new(event_type: &'static str, about: About, record: String) -> Self {
        Self {
            event_type,
            about,
            record,
            sender: Sender::Orderspace,
            changed: None,
            source_id: None,
        }
    }

    /// Whether it says that the record is no more.
    #[must_use]
    pub fn deletes(&self) -> bool {
        self.event_type.ends_with(".deleted")
    }

    /// Whether another says the same of the same record: by the sender's id of the event, where it has one.
    #[must_use]
    pub fn says_what(&self, other: &Self) -> bool {
        let same = match (&self.source_id, &other.source_id) {
            (Some(id), Some(other)) => id == other,
            (None, None) => self.record == other.record,
            _ => false,
        };
        self.event_type == other.event_type && same
    }

    /// Whether these bytes are its record: as it was sent first, or with the number of a retry.
    #[must_use]
    pub fn is(&self, record: &str) -> bool {
        if self.record == record {
            return true;
        }
        let Some((before, after)) = self.record.split_once(FIRST_ATTEMPT) else {
            return false;
        };
        let number = record
            .strip_prefix(before)
            .and_then(|rest| rest.strip_prefix(ATTEMPT))
            .and_then(|rest| rest.strip_suffix(after));
        number.is_some_and(|number| number.parse::<u8>().is_ok())
    }
}

/// The member in which Apideck counts its attempts.
const ATTEMPT: &str = r#""execution_attempt":"#;
/// The same, as it is first sent.
const FIRST_ATTEMPT: &str = r#""execution_attempt":1"#;

impl Element {
    /// Whether it is an event of a sender that sends one object a delivery.
    fn is_alone(&self) -> bool {
        let event = self.event.as_ref();
        event.is_some_and(|event| event.sender != Sender::Orderspace)
    }
}

/// The bytes of a delivery, and what is in them.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    /// Its elements; none where the body is no list.
    pub elements: Vec<Element>,
    /// The body.
    pub body: Arc<[u8]>,
    /// Whether the body can be read at all.
    pub readable: bool,
    /// What stands beside the body.
    pub outside: Outside,
    /// What a retry of it has too, and no other delivery but one that could be a retry.
    pub retry: Arc<[u8]>,
}

impl Delivery {
    /// The event at a position, if one is there.
    #[must_use]
    pub fn event(&self, index: u32) -> Option<&Arc<Event>> {
        self.elements.get(index as usize)?.event.as_ref()
    }

    /// A body without events.
    fn without_events(body: &str, outside: Outside) -> Self {
        let body: Arc<[u8]> = body.as_bytes().into();
        Self {
            outside,
            retry: Arc::clone(&body),
            body,
            ..Self::default()
        }
    }
}

/// A body that is no list of events.
#[must_use]
pub fn unreadable(rng: &mut Rng, sender: Sender) -> Delivery {
    let body = rng.pick(&["not json", "[{\"event\":", "7", "{}"]);
    let body = match sender {
        // There any object is a message.
        Sender::OneStock => body.replace("{}", "\"\""),
        _ => body.to_owned(),
    };
    Delivery::without_events(&body, Outside::default())
}

/// What Apideck posts to ask whether somebody answers.
#[must_use]
pub fn greeting(rng: &mut Rng) -> Delivery {
    let body = rng.pick(&[r#"{"message":"Validating delivery URL"}"#, "{}", ""]);
    let header = Some(("x-apideck-event-type", GREETING_TYPE));
    Delivery::without_events(body, Outside { header, part: "" })
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
        [only] if only.is_alone() => (&open[1..], &close[..close.len() - 1]),
        _ => (open, close),
    };
    let json: Vec<&str> = elements.iter().map(|element| &*element.json).collect();
    let body: Arc<[u8]> = [open, &json.join(between), close]
        .concat()
        .into_bytes()
        .into();
    let outside = elements.first().map(|first| first.outside.clone());
    let outside = outside.unwrap_or_default();
    Delivery {
        retry: retry_of(&elements, &body, &outside),
        body,
        elements,
        readable: true,
        outside,
    }
}

/// By what a retry is recognised: by the sender's id of a delivery's one event, else by the bytes. The same bytes under two
/// topics are two messages.
fn retry_of(elements: &[Element], body: &Arc<[u8]>, outside: &Outside) -> Arc<[u8]> {
    let first = elements.iter().find_map(|element| element.event.as_ref());
    let id = first.and_then(|first| first.source_id.as_ref());
    // Also of what is no message: only OneStock names a topic.
    let topic = match outside.header {
        Some((name, topic)) if name.ends_with("onestock-topic") => topic,
        Some(_) => "",
        None => outside.part,
    };
    match (elements, id) {
        ([_], Some(id)) => ["id ", id].concat().into_bytes().into(),
        _ if !topic.is_empty() => [topic.as_bytes(), b"\0", body].concat().into(),
        _ => Arc::clone(body),
    }
}

/// The delivery as it is sent the so many-th time: Apideck counts its attempts in the bytes.
#[must_use]
pub fn counted(delivery: &Delivery, attempt: u64) -> Delivery {
    let is_counted = |element: &Element| element.json.contains(ATTEMPT);
    if !delivery.elements.iter().any(is_counted) {
        return delivery.clone();
    }
    let number = format!("{ATTEMPT}{attempt}");
    let elements = delivery.elements.iter().map(|element| {
        let mut element = element.clone();
        if let Some((before, after)) = element.json.split_once(ATTEMPT) {
            let after = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
            element.json = [before, &number, after].concat().into();
        }
        element
    });
    self::delivery(elements.collect(), 0)
}

/// An element like those that a source sends under what stands beside the body, now and then one that is no event. With
/// `focused`, most are about one record.
#[must_use]
pub fn drawn(
    occurrence: u32,
    sender: Sender,
    outside: &Outside,
    rng: &mut Rng,
    focused: bool,
) -> Element {
    if rng.percent(4) {
        return bad_element(occurrence, sender, outside, rng);
    }
    match sender {
        Sender::Orderspace => element(occurrence, event(rng, focused)),
        Sender::Ordermentum => element(occurrence, dated_event(rng)),
        Sender::Apideck => of_apideck(occurrence, rng),
        Sender::OneStock => of_onestock(occurrence, outside, rng),
        Sender::StackOne => of_stackone(occurrence, rng, focused),
    }
}

/// An element with an event of a source whose forms need nothing else.
#[must_use]
pub fn element(occurrence: u32, event: Event) -> Element {
    let (event_type, kind, record) = (event.event_type, event.about.kind(), &event.record);
    let json = match event.sender {
        Sender::Orderspace => in_orderspace(event_type, kind, record),
        Sender::Ordermentum => format!(r#"{{"event":"{event_type}","data":{record}}}"#),
        Sender::Apideck => format!(r#"{{"payload":{record}}}"#),
        Sender::OneStock | Sender::StackOne => record.clone(),
    };
    element_of(occurrence, event, json)
}

fn element_of(occurrence: u32, event: Event, json: String) -> Element {
    Element {
        occurrence,
        json: json.into(),
        event: Some(Arc::new(event)),
        outside: Outside::default(),
    }
}

fn in_orderspace(event_type: &str, kind: &str, record: &str) -> String {
    format!(r#"{{"event":"{event_type}","data":{{"{kind}":{record}}}}}"#)
}

/// An element that is no event.
fn bad_element(occurrence: u32, sender: Sender, outside: &Outside, rng: &mut Rng) -> Element {
    let object = r#"{"data":{"order":{"id":"or_1"}}}"#;
    let (object, other) = match sender {
        Sender::Orderspace => (object, r#"{"event":"order.created"}"#),
        // There it is an event whose record is the whole object.
        Sender::Ordermentum => (object, r#"{"event":"order created"}"#),
        Sender::Apideck => (object, r#"{"payload":{"event_id":"e"}}"#),
        // There every object is a message.
        Sender::OneStock => ("[]", r#""order_state_changed""#),
        Sender::StackOne => (object, r#"{"event":7,"provider":"orderspace"}"#),
    };
    let json = rng.pick(&["7", "null", object, other]);
    Element {
        occurrence,
        json: json.into(),
        event: None,
        outside: outside.clone(),
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
fn event(rng: &mut Rng, focused: bool) -> Event {
    let content = |rng: &mut Rng| match rng.below(24) {
        // Larger than the inline limit of a schedule.
        0 => format!(r#""long":"{}""#, "x".repeat(900)),
        // What no queue takes as text.
        1 => "\"odd\":\"\u{FFFF}\"".to_owned(),
        _ => rng.pick(&CONTENTS).to_owned(),
    };
    if focused && rng.percent(75) {
        return match rng.below(5) {
            0 => deleted("order.deleted", "or_0"),
            _ => named("order.updated", "or_0", &content(rng)),
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
                0..2 => named("order.created", &id, &content(rng)),
                2..6 => named("order.updated", &id, &content(rng)),
                _ => deleted("order.deleted", &id),
            }
        }
        55..70 => {
            let id = format!("cu_{}", rng.below(2));
            match rng.below(6) {
                0 => named("customer.created", &id, &content(rng)),
                1..5 => named("customer.updated", &id, &content(rng)),
                _ => deleted("customer.deleted", &id),
            }
        }
        70..82 => payment("iv_1", rng.below(2), rng.percent(50)),
        82..87 => match rng.below(3) {
            0 => deleted("invoice.deleted", "iv_1"),
            _ => named("invoice.created", "iv_1", &content(rng)),
        },
        87..91 => match rng.below(3) {
            0 => deleted("product.deleted", "pr_1"),
            _ => named("product.updated", "pr_1", &content(rng)),
        },
        91..94 => named("dispatch.created", "di_1", &content(rng)),
        94..97 => named("standing_order.paused", "so_1", &content(rng)),
        _ => {
            let record = r#"{"number":7}"#.to_owned();
            Event::new("order.created", About::Nothing("order"), record)
        }
    }
}

/// An event like those that Ordermentum sends. Few times are drawn, so that equal ones meet; some lie before what was sent
/// earlier, and some in the future, as by a clock that runs ahead.
fn dated_event(rng: &mut Rng) -> Event {
    let (event_type, kind, id) = rng.pick(&[
        ("order_created", "order", "om-0"),
        ("order_updated", "order", "om-0"),
        ("order_updated", "order", "om-0"),
        ("order_updated", "order", "om-1"),
        ("purchaser_updated", "purchaser", "pu-0"),
        ("invoice_updated", "invoice", "in-0"),
        ("credit_note_cancelled", "credit_note", "cn-0"),
    ]);
    let changed = moment(rng).map(Moment::at);
    let content = rng.pick(&CONTENTS);
    let time = changed.as_ref().map_or(String::new(), |time| {
        format!(r#""updatedAt":"{}","#, time.text)
    });
    let record = format!(r#"{{"id":"{id}",{time}{content}}}"#);
    Event {
        sender: Sender::Ordermentum,
        changed,
        ..Event::new(event_type, About::Record(kind, id.to_owned()), record)
    }
}

/// When something happened at a source, in milliseconds: few times, so that equal ones meet.
fn moment(rng: &mut Rng) -> Option<u64> {
    match rng.below(10) {
        0 => None,
        1 => Some(WALL + 86_400_000),
        _ => Some(WALL + rng.pick(&[0, 1, 5_000, 20_000, 60_000])),
    }
}

/// A member in which a source says a time, and the time that it is to be read as.
fn time_member(name: &str, rng: &mut Rng) -> (String, Option<Moment>) {
    let Some(at) = moment(rng) else {
        let none = rng.pick(&["null", "0", "\"\"", "\"20/11/2026\"", "{}", "\"soon\""]);
        return match rng.below(2) {
            0 => (String::new(), None),
            _ => (format!(r#""{name}":{none},"#), None),
        };
    };
    let (value, moment) = match rng.below(6) {
        // Whole seconds.
        0 => ((at / 1000).to_string(), Moment::at(at / 1000 * 1000)),
        1 => (format!("\"{}\"", at / 1000), Moment::at(at / 1000 * 1000)),
        2 => (at.to_string(), Moment::at(at)),
        3 => (format!("\"{at}\""), Moment::at(at)),
        // In another zone, and spelled on as it stands.
        4 => {
            let text = rfc3339(at + 3_600_000).replace('Z', "+01:00");
            (format!("\"{text}\""), Moment { at, text })
        }
        _ => (format!("\"{}\"", rfc3339(at)), Moment::at(at)),
    };
    (format!(r#""{name}":{value},"#), Some(moment))
}

/// What Apideck's records say. They are signed sorted, and printed anew by the sender.
const PLAIN: [&str; 3] = [
    r#""entity_type":"a""#,
    r#""entity_url":"https://example.com/b""#,
    r#""resource":{"b":1,"a":[{"d":2,"c":"é"}]}"#,
];

/// An element like those that Apideck sends. It has hardly more than ids, and the type is in a header too, which anybody
/// could have changed.
fn of_apideck(occurrence: u32, rng: &mut Rng) -> Element {
    let (event_type, kind) = rng.pick(&[
        ("ecommerce.order.updated", "order"),
        ("ecommerce.order.updated", "order"),
        ("ecommerce.order.created", "order"),
        ("ecommerce.order.deleted", "order"),
        ("ecommerce.customer.updated", "customer"),
        ("ecommerce.customer.deleted", "customer"),
        ("ecommerce.product.updated", "product"),
        ("vault.connection.updated", "connection"),
        ("vault.connection.token_refresh.failed", "connection"),
    ]);
    let (consumer, segment) = rng.pick(&[("c1", "c1"), ("c1", "c1"), ("a/b", "a%2Fb")]);
    let entity = rng.pick(&["e0", "e0", "e1"]);
    let id = match kind {
        "connection" => entity.to_owned(),
        _ => format!("{segment}/shop/{entity}"),
    };
    let (time, changed) = time_member("occurred_at", rng);
    let source_id = rng.percent(90).then(|| format!("evt-{occurrence}"));
    let counted = match &source_id {
        Some(id) => format!(r#""event_id":"{id}",{FIRST_ATTEMPT},"#),
        None => String::new(),
    };
    let content = rng.pick(&PLAIN);
    let record = format!(
        r#"{{{counted}"service_id":"shop","consumer_id":"{consumer}",{time}"entity_id":"{entity}","event_type":"{event_type}",{content}}}"#
    );
    let about = match event_type {
        "vault.connection.token_refresh.failed" => About::Fact(kind, id),
        _ => About::Record(kind, id),
    };
    let event = Event {
        sender: Sender::Apideck,
        changed,
        source_id,
        ..Event::new(event_type, about, record)
    };
    let named = match rng.below(10) {
        0 => FORGED_TYPE,
        1 => GREETING_TYPE,
        _ => event_type,
    };
    let header = Some(("x-apideck-event-type", named));
    Element {
        outside: Outside { header, part: "" },
        ..element(occurrence, event)
    }
}

/// The type that a greeting of Apideck's has, beside its body.
const GREETING_TYPE: &str = "apideck.subscription.created";

/// A type that no event of a schedule has.
pub const FORGED_TYPE: &str = "ecommerce.product.created";

/// What a delivery of OneStock says beside its body: nothing, or the topic of all its messages.
#[must_use]
pub fn onestock_outside(rng: &mut Rng) -> Outside {
    let topic = rng.pick(&[
        "candidates_added",
        "candidates_removed",
        "order_state_changed",
        "parcel_state_changed",
        "stock_export_completed",
    ]);
    let (header, part) = match rng.below(10) {
        0..3 => (None, topic),
        3..6 => (Some(rng.pick(&["onestock-topic", "x-onestock-topic"])), ""),
        _ => (None, ""),
    };
    let header = header.map(|name| (name, topic));
    Outside { header, part }
}

/// The same bytes under the other of two topics whose messages look alike; other elements as they are.
#[must_use]
pub fn under_another_topic(element: Element) -> Element {
    let other = |topic| match topic {
        "candidates_added" => "candidates_removed",
        "candidates_removed" => "candidates_added",
        topic => topic,
    };
    let Outside { header, part } = element.outside;
    if header.is_none() && part.is_empty() {
        return element;
    }
    let event = element.event.map(|event| {
        Arc::new(Event {
            event_type: other(event.event_type),
            ..(*event).clone()
        })
    });
    Element {
        outside: Outside {
            header: header.map(|(name, topic)| (name, other(topic))),
            part: other(part),
        },
        event,
        ..element
    }
}

/// A message like those that OneStock sends, under what its delivery says beside the body.
fn of_onestock(occurrence: u32, outside: &Outside, rng: &mut Rng) -> Element {
    let topic = outside.header.map_or(outside.part, |(_, topic)| topic);
    let topic = match topic {
        "" => rng.pick(&[
            "order_state_changed",
            "order_state_changed",
            "parcel_state_changed",
            "line_item_group_state_changed",
            "shipment_created",
            "stock_export_completed",
            "candidates_added",
            "gift_wrapped",
        ]),
        topic => topic,
    };
    let (mut time, mut changed) = time_member("date", rng);
    if changed.is_none() && rng.percent(50) {
        let (later, moment) = time_member("last_update", rng);
        (time, changed) = (time + &later, moment);
    }
    let content = rng.pick(&CONTENTS);
    let number = rng.below(2);
    let state = r#""old_state":"a","new_state":"b""#;
    let about = match topic {
        "order_state_changed" => About::Record("order", format!("os-{number}")),
        "parcel_state_changed" => About::Record("parcel", format!("pa-{number}")),
        "line_item_group_state_changed" => {
            About::Fact("line_item_group", format!("os-0/i{number}"))
        }
        "shipment_created" => About::Record("shipment", format!("sh-{number}")),
        "stock_export_completed" => About::Record("stock_export", number.to_string()),
        "gift_wrapped" => About::Fact("gift_wrapped", format!("g{number}")),
        _ => About::Fact("candidates", format!("os-{number}")),
    };
    let members = match topic {
        "order_state_changed" => format!(r#""order_id":"os-{number}",{state}"#),
        "parcel_state_changed" => {
            format!(r#""order_id":"os-0",{state},"parcel_id":"pa-{number}""#)
        }
        "line_item_group_state_changed" => {
            format!(r#""order_id":"os-0","order_item_id":"i{number}",{state}"#)
        }
        "shipment_created" => format!(r#""shipment_id":"sh-{number}","carrier":"c""#),
        "stock_export_completed" => format!(r#""export_id":{number},"exported_lines_count":5"#),
        "gift_wrapped" => format!(r#""entity_id":"g{number}""#),
        _ => format!(r#""order_id":"os-{number}","endpoint_ids":[1]"#),
    };
    // What the request names beside its body counts before a member.
    let is_named = topic == "candidates_added" || rng.percent(10);
    let named = match (is_named, *outside == Outside::default()) {
        (true, true) if topic != "gift_wrapped" => format!(r#""topic":"{topic}","#),
        (true, false) => r#""topic":"shipment_created","#.to_owned(),
        _ => String::new(),
    };
    let record = format!("{{{named}{time}{members},{content}}}");
    let json = match topic {
        "gift_wrapped" => format!(r#"{{"topic":"gift_wrapped","message":{record}}}"#),
        _ => record.clone(),
    };
    let event = Event {
        sender: Sender::OneStock,
        changed,
        ..Event::new(topic, about, record)
    };
    Element {
        outside: outside.clone(),
        ..element_of(occurrence, event, json)
    }
}

/// An element like those that StackOne sends: mostly an event of Orderspace's that it relays.
fn of_stackone(occurrence: u32, rng: &mut Rng, focused: bool) -> Element {
    let name = rng.pick(&["event_date", "event_date", "sent_at"]);
    let (time, changed) = time_member(name, rng);
    let type_member = rng.pick(&["event", "type", "event_type"]);
    let content = rng.pick(&CONTENTS);
    let (event_type, about, record, json) = match rng.below(10) {
        0..6 => {
            let inner = event(rng, focused);
            let place = rng.pick(&["payload", "raw_event"]);
            let (event_type, record) = (inner.event_type, inner.record);
            let relayed = in_orderspace(event_type, inner.about.kind(), &record);
            let json = format!(
                r#"{{"{type_member}":"{event_type}","provider":"orderspace","account_id":"9",{time}"{place}":{relayed}}}"#
            );
            let about = match inner.about {
                About::Record(kind, id) => About::Record(kind, format!("orderspace/9/{id}")),
                About::Payment(_, which) => About::Payment("orderspace/9/iv_1", which),
                about => about,
            };
            (event_type, about, record, json)
        }
        6..9 => {
            let event_type = rng.pick(&["order.updated", "order.updated", "order.deleted"]);
            let id = format!("r{}", rng.below(2));
            let record = format!(r#"{{"id":"{id}",{content}}}"#);
            let (given, place) = rng.pick(&[("record_id", "data"), ("x", "event_data")]);
            let json = format!(
                r#"{{"provider":"shopify","account_id":7,{time}"{type_member}":"{event_type}","{given}":"{id}","{place}":{record}}}"#
            );
            let about = About::Record("order", format!("shopify/7/{id}"));
            (event_type, about, record, json)
        }
        _ => {
            let event_type = rng.pick(&["account.updated", "account.deleted", "account.error"]);
            let json = format!(
                r#"{{"{type_member}":"{event_type}",{time}"account_id":"acc-1",{content}}}"#
            );
            let about = match event_type {
                "account.error" => About::Fact("account", "acc-1".to_owned()),
                _ => About::Record("account", "acc-1".to_owned()),
            };
            (event_type, about, json.clone(), json)
        }
    };
    let event = Event {
        sender: Sender::StackOne,
        changed,
        ..Event::new(event_type, about, record)
    };
    element_of(occurrence, event, json)
}

/// A stock level.
#[must_use]
pub fn stock(sku: &str, on_hand: &str) -> Event {
    let about = About::Record("inventory_level", sku.to_owned());
    let record = format!(r#"{{"sku":"{sku}","on_hand":{on_hand},"available":{on_hand}}}"#);
    Event::new("inventory_level.updated", about, record)
}

/// A payment. The spelling of its amount does not tell it from another.
#[must_use]
pub fn payment(invoice: &'static str, which: u64, short: bool) -> Event {
    let amount = match (which, short) {
        (0, true) => "26.7",
        (0, false) => "26.70",
        (_, true) => "5",
        (_, false) => "5.00",
    };
    let record = format!(
        r#"{{"invoice_id":"{invoice}","payment_date":"2026-11-20","amount":{amount},"source":"card","reference":""}}"#
    );
    Event::new("payment.created", About::Payment(invoice, which), record)
}

/// An event about a record with an id of its own. Its type begins with the record's kind.
fn named(event_type: &'static str, id: &str, content: &str) -> Event {
    let (kind, _) = event_type.split_once('.').unwrap();
    let record = format!(r#"{{"id":"{id}",{content}}}"#);
    Event::new(event_type, About::Record(kind, id.to_owned()), record)
}

fn deleted(event_type: &'static str, id: &str) -> Event {
    named(event_type, id, r#""deleted":true"#)
}

/// An order's event with a content of its own.
#[must_use]
pub fn order(event_type: &'static str, id: &str, content: &str) -> Event {
    named(event_type, id, &format!(r#""is":"{content}""#))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dated(changed: Option<u64>) -> Event {
        let changed = changed.map(Moment::at);
        let seeds = 0..1_000;
        let mut events = seeds.map(|seed| dated_event(&mut Rng::of(&[seed])));
        events.find(|event| event.changed == changed).unwrap()
    }

    #[test]
    fn a_delivery_of_one_object_is_no_list() {
        let elements = [1, 2].map(|occurrence| element(occurrence, dated(None)));
        let json = elements[0].json.to_string();
        assert!(json.starts_with(r#"{"event":""#) && json.contains(r#","data":{"id":""#));
        for (spacing, (open, close)) in (0..).zip([("", ""), (" ", " "), ("\r\n  ", "\r\n")]) {
            let one = delivery(elements[..1].to_vec(), spacing);
            assert_eq!(*one.body, *[open, &json, close].concat().as_bytes());
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

    fn of_a_kind(
        mut draw: impl FnMut(&mut Rng) -> Element,
        wanted: impl Fn(&Event) -> bool,
    ) -> Element {
        let mut drawn = (0..2_000).map(|seed| draw(&mut Rng::of(&[seed])));
        let is_wanted =
            |element: &Element| element.event.as_ref().is_some_and(|event| wanted(event));
        drawn.find(is_wanted).unwrap()
    }

    /// Its id stays what the attempt's number does not.
    #[test]
    fn a_retry_of_apideck_counts_itself() {
        let has_id = |event: &Event| event.source_id.is_some();
        let element = of_a_kind(|rng| of_apideck(7, rng), has_id);
        let first = delivery(vec![element.clone()], 0);
        let third = counted(&first, 3);
        assert_eq!(*first.retry, *b"id evt-7");
        assert_eq!(first.retry, third.retry);
        assert_ne!(first.body, third.body);
        let event = element.event.unwrap();
        let record = event
            .record
            .replace(FIRST_ATTEMPT, r#""execution_attempt":3"#);
        assert!(third.elements[0].json.contains(&record));
        assert!(event.is(&event.record) && event.is(&record));
        assert!(!event.is(&record.replace("shop", "shap")));
        assert!(!event.is(&record.replace(":3", ":x")));
        let without = of_a_kind(|rng| of_apideck(7, rng), |event| !has_id(event));
        let alone = delivery(vec![without], 0);
        assert_eq!(counted(&alone, 3).body, alone.body);
        assert_eq!(alone.retry, alone.body);
        let both = delivery(
            vec![element_of(1, (*event).clone(), event.record.clone()); 2],
            0,
        );
        assert_eq!(both.retry, both.body);
    }

    /// The same bytes under another topic are another message.
    #[test]
    fn a_topic_beside_the_body_is_part_of_what_a_retry_repeats() {
        let under = |part: &'static str| {
            let outside = Outside { header: None, part };
            let draw = |rng: &mut Rng| of_onestock(1, &outside, rng);
            delivery(vec![of_a_kind(draw, |event| event.changed.is_none())], 0)
        };
        let [added, removed] = ["candidates_added", "candidates_removed"].map(under);
        let of = |delivery: &Delivery| delivery.elements[0].event.clone().unwrap().event_type;
        assert_eq!(
            [&added, &removed].map(of),
            ["candidates_added", "candidates_removed"]
        );
        assert!(added.retry != removed.retry && added.retry != added.body);
        assert_eq!(under("").retry, under("").body);
    }
}
