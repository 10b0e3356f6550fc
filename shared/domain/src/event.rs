//! Events: what a delivery is split into.

use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;
use thiserror::Error;

use crate::identity::EventIndex;
use crate::record::RecordId;

/// The longest event type, in characters.
pub const LONGEST_EVENT_TYPE: usize = 100;

/// A source's name of what happened, such as `order.created` or `parcel_created@v3`: letters, digits,
/// `.`, `_`, `-` and `@`.
///
/// Any such name is taken, known or not: a type that a source adds tomorrow passes today. The alphabet keeps
/// types safe in table keys, queue attributes and CloudEvents types.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(String);

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

    /// The kind of record the event is about: what stands before the last dot.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.rsplit_once('.').map_or(&*self.0, |(kind, _)| kind)
    }

    /// Whether the event says that its record is no more.
    #[must_use]
    pub fn is_delete(&self) -> bool {
        matches!(self.0.rsplit_once('.'), Some((_, "deleted")))
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
        Ok(Self(name.to_owned()))
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

/// One event of a delivery, borrowed from its body.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// Where in the delivery it stood.
    pub index: EventIndex,
    /// What happened.
    pub event_type: EventType,
    /// To which record, where the record has a usable identity.
    pub record_id: Option<RecordId>,
    /// The record, byte for byte as it was sent.
    pub record: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("order.created", "order", false)]
    #[case("inventory_level.updated", "inventory_level", false)]
    #[case("customer.deleted", "customer", true)]
    #[case("price.list.deleted", "price.list", true)]
    #[case("ping", "ping", false)]
    #[case("return_parcel_created@v3", "return_parcel_created@v3", false)]
    #[case("deleted", "deleted", false)]
    fn a_type_tells_its_kind_and_whether_it_deletes(
        #[case] name: &str,
        #[case] kind: &str,
        #[case] delete: bool,
    ) {
        let event_type: EventType = name.parse().unwrap();
        assert_eq!((event_type.kind(), event_type.is_delete()), (kind, delete));
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
