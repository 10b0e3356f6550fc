//! What a source sends about an event besides the record, as an envelope carries it on.
//!
//! Each is CloudEvents' extension of an attribute's name: `sourceid`, `sourcetime`, `sequence`, `sourcetype`.
//! <https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/sequence.md>

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::event::EventType;
use crate::identity::EventId;
use crate::timestamp::Timestamp;

/// The longest id that a source may give its events, in bytes.
pub const LONGEST_SOURCE_EVENT_ID: usize = 256;
/// The longest time that a source may send, in characters: RFC 3339 bounds no fraction of a second.
const LONGEST_SOURCE_TIME: usize = 40;
/// The digits of a sequence's milliseconds: as many as the last moment has that a [`Timestamp`] can say.
const SEQUENCE_DIGITS: usize = 15;

/// What a source sends about an event besides the record, each only where it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The source's own id of the event.
    pub id: Option<SourceEventId>,
    /// When the source says that it happened.
    pub time: Option<SourceTime>,
    /// The event's place in the order that follows from that time.
    pub sequence: Option<Sequence>,
    /// The type that the source gave the event, where the envelope has another.
    pub event_type: Option<SourceType>,
}

/// A text that is not what its attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the text is malformed")]
pub struct ProvenanceError;

/// A source's own id of an event: 1 to 256 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEventId(String);

impl FromStr for SourceEventId {
    type Err = ProvenanceError;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let fits = (1..=LONGEST_SOURCE_EVENT_ID).contains(&id.len());
        if !fits || id.chars().any(char::is_control) {
            return Err(ProvenanceError);
        }
        Ok(Self(id.to_owned()))
    }
}

impl fmt::Display for SourceEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A moment in RFC 3339, spelled as the source or its protocol spelled it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTime(String);

impl FromStr for SourceTime {
    type Err = ProvenanceError;

    fn from_str(time: &str) -> Result<Self, Self::Err> {
        if time.len() > LONGEST_SOURCE_TIME || OffsetDateTime::parse(time, &Rfc3339).is_err() {
            return Err(ProvenanceError);
        }
        Ok(Self(time.to_owned()))
    }
}

impl SourceTime {
    /// The moment, to the millisecond; what lies before 1970 becomes its first millisecond.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        let nanos = OffsetDateTime::parse(&self.0, &Rfc3339)
            .map_or(0, OffsetDateTime::unix_timestamp_nanos);
        let millis = u64::try_from(nanos.max(0) / 1_000_000);
        Timestamp::from_millis(millis.unwrap_or(u64::MAX))
    }
}

impl fmt::Display for SourceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event's place among the events of its record: by a time, then by its id. As text,
/// `{15 digits of milliseconds}.{event id}`, it sorts the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence {
    at: Timestamp,
    event: EventId,
}

impl Sequence {
    /// The place of an event that is ordered by this time.
    #[must_use]
    pub fn new(at: Timestamp, event: EventId) -> Self {
        Self { at, event }
    }

    /// The place of an event that the source dates: by that time, but never behind its first sight. A source whose
    /// clock runs ahead would else keep a record from changing until that time has come.
    #[must_use]
    pub fn of_source_time(time: &SourceTime, event: EventId) -> Self {
        let first_seen = event.delivery().first_seen();
        Self::new(time.timestamp().min(first_seen), event)
    }

    /// The place of an event by first sight: such places sort as the events' ids.
    #[must_use]
    pub fn of_first_sight(event: EventId) -> Self {
        Self::new(event.delivery().first_seen(), event)
    }

    /// The time by which the event is ordered.
    #[must_use]
    pub fn at(self) -> Timestamp {
        self.at
    }

    /// The event whose place it is.
    #[must_use]
    pub fn event(self) -> EventId {
        self.event
    }
}

impl FromStr for Sequence {
    type Err = ProvenanceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (digits, event) = text.split_once('.').ok_or(ProvenanceError)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let millis = digits.parse().map_err(|_| ProvenanceError)?;
        let at = Timestamp::from_millis(millis);
        // One place has one spelling: compared as text it must sort and match.
        if digits.len() != SEQUENCE_DIGITS || !is_number || at.millis() != millis {
            return Err(ProvenanceError);
        }
        let event = event.parse().map_err(|_| ProvenanceError)?;
        Ok(Self { at, event })
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:015}.{}", self.at.millis(), self.event)
    }
}

/// A type with the name of the source that gave it, such as `stackone.order.created`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceType(String);

impl FromStr for SourceType {
    type Err = ProvenanceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (source, event_type) = text.split_once('.').ok_or(ProvenanceError)?;
        let is_name = source.starts_with(|first: char| first.is_ascii_lowercase())
            && source
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
        if !is_name || event_type.parse::<EventType>().is_err() {
            return Err(ProvenanceError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest id of a replay job, in characters: with an event's id it has to fit a FIFO queue's deduplication id.
pub const LONGEST_REPLAY_JOB_ID: usize = 64;

/// The operator's job that sent an event again: 1 to 64 letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayJobId(String);

impl FromStr for ReplayJobId {
    type Err = ProvenanceError;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let fits = (1..=LONGEST_REPLAY_JOB_ID).contains(&id.len());
        if !fits || !id.bytes().all(allowed) {
            return Err(ProvenanceError);
        }
        Ok(Self(id.to_owned()))
    }
}

impl fmt::Display for ReplayJobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{DeliveryId, EventIndex};
    use proptest::prelude::*;
    use rstest::rstest;

    const EVENT: &str = "01a1f8d3-ea7b-7101-8101-010101010101.00007";

    #[rstest]
    #[case("evt_1", true)]
    #[case("é 日本 \u{FFFE}", true)]
    #[case("", false)]
    #[case("a\nb", false)]
    #[case(&"a".repeat(256), true)]
    #[case(&"a".repeat(257), false)]
    fn ids_of_sources(#[case] text: &str, #[case] good: bool) {
        assert_eq!(text.parse::<SourceEventId>().is_ok(), good);
    }

    #[rstest]
    #[case("2026-11-20T12:00:00Z", true)]
    #[case("2026-11-20T12:00:00.123456789+05:30", true)]
    #[case("2026-11-20T12:00:00", false)]
    #[case("2026-11-20", false)]
    #[case("2026-02-30T12:00:00Z", false)]
    #[case("1795176000123", false)]
    #[case(&format!("2026-11-20T12:00:00.{}Z", "0".repeat(19)), true)]
    #[case(&format!("2026-11-20T12:00:00.{}Z", "0".repeat(20)), false)]
    fn times_of_sources(#[case] text: &str, #[case] good: bool) {
        assert_eq!(text.parse::<SourceTime>().is_ok(), good);
    }

    #[rstest]
    #[case("2026-11-20T12:00:00Z", 1_795_176_000_000)]
    #[case("2026-11-20T17:30:00.1239999+05:30", 1_795_176_000_123)]
    #[case::before_1970("1969-12-31T23:59:59.999Z", 0)]
    #[case::long_before("0001-01-01T00:00:00Z", 0)]
    #[case::the_last("9999-12-31T23:59:59.999999Z", 253_402_300_799_999)]
    #[case::behind_the_year_9999_in_utc("9999-12-31T23:59:59-23:59", 253_402_300_799_999)]
    fn times_of_sources_in_milliseconds(#[case] text: &str, #[case] millis: u64) {
        let time: SourceTime = text.parse().unwrap();
        assert_eq!(time.timestamp().millis(), millis);
    }

    /// First seen at 2026-11-20T12:00:00.123Z.
    #[rstest]
    #[case::dated_before("2026-11-20T11:00:00Z", 1_795_172_400_000)]
    #[case::at_first_sight("2026-11-20T12:00:00.123Z", 1_795_176_000_123)]
    #[case::by_a_clock_that_runs_ahead("2030-01-01T00:00:00Z", 1_795_176_000_123)]
    fn no_place_is_behind_first_sight(#[case] time: &str, #[case] millis: u64) {
        let event: EventId = EVENT.parse().unwrap();
        let place = Sequence::of_source_time(&time.parse().unwrap(), event);
        assert_eq!(place, Sequence::new(Timestamp::from_millis(millis), event));
        assert_eq!((place.at().millis(), place.event()), (millis, event));
    }

    #[rstest]
    #[case(&format!("001795176000123.{EVENT}"), true)]
    #[case(&format!("253402300799999.{EVENT}"), true)]
    #[case::behind_the_year_9999(&format!("253402300800000.{EVENT}"), false)]
    #[case::fourteen_digits(&format!("01795176000123.{EVENT}"), false)]
    #[case::a_sign(&format!("+01795176000123.{EVENT}"), false)]
    #[case::no_event("001795176000123", false)]
    #[case::another_event("001795176000123.7", false)]
    fn sequences(#[case] text: &str, #[case] good: bool) {
        assert_eq!(text.parse::<Sequence>().is_ok(), good);
    }

    #[rstest]
    #[case("stackone.order.created", true)]
    #[case("onestock.return_parcel_created@v3", true)]
    #[case("order", false)]
    #[case(".order", false)]
    #[case("stackone.", false)]
    #[case("Stackone.order", false)]
    #[case("1stock.order", false)]
    #[case("stackone.order created", false)]
    fn types_of_sources(#[case] text: &str, #[case] good: bool) {
        assert_eq!(text.parse::<SourceType>().is_ok(), good);
    }

    #[rstest]
    #[case("r01a2-7", true)]
    #[case("", false)]
    #[case("a.b", false)]
    #[case(&"a".repeat(64), true)]
    #[case(&"a".repeat(65), false)]
    fn replay_jobs(#[case] text: &str, #[case] good: bool) {
        assert_eq!(text.parse::<ReplayJobId>().is_ok(), good);
    }

    proptest! {
        #[test]
        fn places_sort_by_time_then_by_event_also_as_text(
            times in proptest::array::uniform2(0..=253_402_300_799_999_u64),
            seen in proptest::array::uniform2(0..=0xFFFF_FFFF_u64),
        ) {
            let [a, b] = [0, 1].map(|i| {
                let delivery = DeliveryId::new(Timestamp::from_millis(seen[i]), &[1; 10]);
                let event = delivery.event(EventIndex::new(0).unwrap());
                Sequence::new(Timestamp::from_millis(times[i]), event)
            });
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
        }

        #[test]
        fn places_by_first_sight_sort_as_the_events_ids(
            seen in proptest::array::uniform2(0..4_u64),
            random in proptest::array::uniform2(any::<[u8; 10]>()),
            positions in proptest::array::uniform2(0..3_usize),
        ) {
            let [a, b] = [0, 1].map(|i| {
                let delivery = DeliveryId::new(Timestamp::from_millis(seen[i]), &random[i]);
                delivery.event(EventIndex::new(positions[i]).unwrap())
            });
            let [at_a, at_b] = [a, b].map(Sequence::of_first_sight);
            prop_assert_eq!(at_a.cmp(&at_b), a.cmp(&b));
        }
    }
}
