//! Deliveries: what a source sends in one request, and what it is split into.

use http::HeaderMap;
use thiserror::Error;

use crate::event::Event;
use crate::identity::EventIndex;

/// The most events that are taken from one delivery. More are no delivery that any source documents.
pub const MOST_EVENTS: usize = 1000;

/// The longest name of a part, in characters.
pub const LONGEST_PART: usize = 64;

/// Whether a text can name a part of a registration: 1 to 64 characters of `a-z`, `0-9`, `_`, `@`, `.` and `-`.
#[must_use]
pub fn is_part(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'@' | b'.' | b'-');
    (1..=LONGEST_PART).contains(&name.len()) && name.bytes().all(allowed)
}

/// A request as it came in. Nothing in it is trusted.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The headers, names in lower case.
    pub headers: &'a HeaderMap,
    /// The part of the registration that the URL names; empty where it names none.
    pub part: &'a str,
    /// The body, byte for byte as it was sent.
    pub body: &'a [u8],
}

/// A delivery that was proved to be genuine, now or when its receipt was written.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The headers, names in lower case. A receipt keeps those that the source's facts name, so nothing else may be read.
    pub headers: &'a HeaderMap,
    /// The part of the registration that it came by; empty where there is but one.
    pub part: &'a str,
    /// The body, byte for byte as it was sent.
    pub body: &'a [u8],
}

/// A delivery as its receipt keeps it: what it takes to split it again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptDelivery {
    /// The headers that were kept, names in lower case.
    pub headers: HeaderMap,
    /// The part of the registration that it came by; empty where there is but one.
    pub part: String,
    /// The body, byte for byte as it was sent.
    pub body: Vec<u8>,
}

impl KeptDelivery {
    /// The delivery: it was proved when its receipt was written.
    #[must_use]
    pub fn delivery(&self) -> Delivery<'_> {
        Delivery {
            headers: &self.headers,
            part: &self.part,
            body: &self.body,
        }
    }
}

/// A delivery, split.
#[derive(Debug, Clone, Default)]
pub struct Split<'a> {
    /// The events, in the order in which they stood.
    pub events: Vec<Event<'a>>,
    /// The elements in which no event was recognised.
    pub bad: Vec<BadElement>,
}

impl Split<'_> {
    /// The index of the next element.
    ///
    /// # Errors
    /// There are [`MOST_EVENTS`] elements already.
    pub fn next_index(&self) -> Result<EventIndex, Unreadable> {
        let index = self.events.len() + self.bad.len();
        EventIndex::new(index)
            .filter(|_| index < MOST_EVENTS)
            .ok_or(Unreadable::TooManyEvents)
    }
}

/// An element of a delivery in which no event was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadElement {
    /// The element's position, counted like an event's.
    pub index: EventIndex,
    /// What is wrong with it.
    pub reason: ElementFault,
}

/// Why no event was recognised in an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ElementFault {
    /// The element is not a JSON object.
    #[error("the element is not an object")]
    NotAnObject,
    /// There is no event type.
    #[error("the element has no event type")]
    NoType,
    /// The event type has characters that no event type has, or is too long.
    #[error("the element's event type is malformed")]
    MalformedType,
    /// There is no record.
    #[error("the element has no record")]
    NoRecord,
}

impl ElementFault {
    /// The reason in one word, for quarantine messages and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAnObject => "element_not_an_object",
            Self::NoType => "element_without_type",
            Self::MalformedType => "element_with_malformed_type",
            Self::NoRecord => "element_without_record",
        }
    }
}

/// Why a verified body is no delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// The body is not JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// The body is JSON, but holds no list of events.
    #[error("the body has no list of events")]
    NoEventList,
    /// The body has more than [`MOST_EVENTS`] elements.
    #[error("the body has more than {MOST_EVENTS} events")]
    TooManyEvents,
}

impl Unreadable {
    /// The reason in one word, for quarantine messages and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NoEventList => "no_event_list",
            Self::TooManyEvents => "too_many_events",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_one_to_64_characters_of_its_alphabet() {
        let long = "a".repeat(64);
        for good in ["a", "0", "return_parcel_created@v3", "a.b-c", &long] {
            assert!(is_part(good), "{good}");
        }
        let longer = "a".repeat(65);
        for bad in ["", "A", "a/b", "a b", "a#b", "%61", "é", "a\0", &longer] {
            assert!(!is_part(bad), "{bad}");
        }
    }

    #[test]
    fn a_delivery_has_a_thousand_elements_at_most() {
        let bad = |index| BadElement {
            index: EventIndex::new(index).unwrap(),
            reason: ElementFault::NoType,
        };
        let mut split = Split::default();
        for index in 0..MOST_EVENTS {
            assert_eq!(split.next_index(), Ok(EventIndex::new(index).unwrap()));
            split.bad.push(bad(index));
        }
        assert_eq!(split.next_index(), Err(Unreadable::TooManyEvents));
    }

    /// The words are in quarantine messages.
    #[test]
    fn faults_of_deliveries_have_their_words() {
        use Unreadable::{NoEventList, NotJson, TooManyEvents};
        assert_eq!(
            [NotJson, NoEventList, TooManyEvents].map(Unreadable::as_str),
            ["not_json", "no_event_list", "too_many_events"]
        );
    }

    /// The words are in quarantine messages.
    #[test]
    fn faults_of_elements_have_their_words() {
        use ElementFault::{MalformedType, NoRecord, NoType, NotAnObject};
        assert_eq!(
            [NotAnObject, NoType, MalformedType, NoRecord].map(ElementFault::as_str),
            [
                "element_not_an_object",
                "element_without_type",
                "element_with_malformed_type",
                "element_without_record",
            ]
        );
    }
}
