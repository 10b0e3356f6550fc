//! Events: what a delivery is split into.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;
use thiserror::Error;

use crate::identity::EventIndex;
use crate::lane::Lane;
use crate::provenance::{SourceEventId, SourceTime};
use crate::record::RecordId;

/// The longest event type, in characters.
pub const LONGEST_EVENT_TYPE: usize = 100;

/// A source's name of what happened, such as `order.created` or `parcel_created@v3`: letters, digits,
/// `.`, `_`, `-` and `@`.
///
/// Any such name is taken, known or not: a type that a source adds tomorrow passes today. The alphabet keeps
/// types safe in table keys, queue attributes and CloudEvents types.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Cow<'static, str>);

/// A name that is no [`EventType`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "an event type has 1 to {LONGEST_EVENT_TYPE} characters: letters, digits, '.', '_', '-' and '@', and begins with its kind"
)]
pub struct EventTypeError;

impl EventType {
    /// The type as the source wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventType {
    type Err = EventTypeError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@');
        let fits = (1..=LONGEST_EVENT_TYPE).contains(&name.len()) && name.bytes().all(allowed);
        // Without a kind there is no subject, and what has none is read by nobody behind the lane.
        if !fits || name.starts_with('.') {
            return Err(EventTypeError);
        }
        Ok(Self(Cow::Owned(name.to_owned())))
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an event says about its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The record's whole state.
    State,
    /// The record is no more.
    Delete,
    /// Something that happened and can happen again just so (two payments of one amount): the record also collects the
    /// ids of the events that made it.
    Occurrence,
    /// Something that is forwarded and leaves no record.
    Fact,
}

impl Effect {
    /// The effect in one word, as fixtures have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Delete => "delete",
            Self::Occurrence => "occurrence",
            Self::Fact => "fact",
        }
    }
}

/// What an event type means: one row of a source's table, or what the source's rule says of a type that it does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// The kind of record, such as `order`.
    pub kind: Cow<'static, str>,
    /// What an event of this type says about it.
    pub effect: Effect,
    /// The lane that such events take.
    pub lane: Lane,
    /// Whether such events are ordered by the source's own time.
    pub timed: bool,
}

/// An event type that a source documents, and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeRow {
    /// The type as the source writes it.
    pub name: &'static str,
    /// The kind of record.
    pub kind: &'static str,
    /// What an event of this type says about it.
    pub effect: Effect,
    /// The lane that such events take.
    pub lane: Lane,
    /// Whether such events are ordered by the source's own time. All types of one kind agree on it.
    pub timed: bool,
}

impl TypeRow {
    /// The row of a type whose events are ordered by the source's own time.
    #[must_use]
    pub const fn timed(self) -> Self {
        Self {
            timed: true,
            ..self
        }
    }

    /// The row's type.
    #[must_use]
    pub const fn event_type(&self) -> EventType {
        EventType(Cow::Borrowed(self.name))
    }

    /// The row's meaning.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        Meaning {
            kind: Cow::Borrowed(self.kind),
            effect: self.effect,
            lane: self.lane,
            timed: self.timed,
        }
    }
}

/// One event of a delivery, borrowed from its body.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// Where in the delivery it stood.
    pub index: EventIndex,
    /// What happened.
    pub event_type: EventType,
    /// What that means.
    pub meaning: Meaning,
    /// To which record, where the record has a usable identity.
    pub record_id: Option<RecordId>,
    /// The source's own id of the event, where it gives one.
    pub source_id: Option<SourceEventId>,
    /// When the source says that it happened.
    pub source_time: Option<SourceTime>,
    /// The record, byte for byte as it was sent.
    pub record: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// The words are in the fixtures' tables.
    #[test]
    fn effects_have_their_words() {
        let all = [
            Effect::State,
            Effect::Delete,
            Effect::Occurrence,
            Effect::Fact,
        ];
        assert_eq!(
            all.map(Effect::as_str),
            ["state", "delete", "occurrence", "fact"]
        );
    }

    #[rstest]
    #[case("order.created")]
    #[case("order_created")]
    #[case("return_parcel_created@v3")]
    #[case(&"a".repeat(100))]
    fn names_of_every_source_are_types(#[case] name: &str) {
        assert_eq!(name.parse::<EventType>().unwrap().as_str(), name);
    }

    #[rstest]
    #[case("")]
    #[case("order created")]
    #[case("order#created")]
    #[case("order/created")]
    #[case("order:created")]
    #[case("commandé")]
    #[case::without_a_kind(".updated")]
    #[case(&"a".repeat(101))]
    fn a_name_that_fits_no_key_is_no_type(#[case] name: &str) {
        assert_eq!(name.parse::<EventType>(), Err(EventTypeError));
    }
}
