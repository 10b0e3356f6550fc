//! Identity, made at the door: Orderspace sends no event id, no delivery id and no time of change.
//!
//! A delivery id is a UUIDv7 (RFC 9562, section 5.7) whose time is the gateway's, so ids sort by first
//! sight. An event id adds the event's position in its delivery. Deliveries whose gateway times are equal are
//! unordered: the rest of the id is random.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;
use uuid::Uuid;

use crate::timestamp::{Timestamp, put_digits};

/// One delivery as first seen. Its text is the UUID in lower case with hyphens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(Uuid);

/// The text is no [`DeliveryId`] or [`EventId`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no id: a delivery id is a UUIDv7, an event id adds '.' and five digits")]
pub struct IdError(String);

impl DeliveryId {
    /// Makes the id of a delivery that arrived at `at`, from 10 random bytes.
    #[must_use]
    pub fn new(at: Timestamp, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(at.millis(), random).into_uuid())
    }

    /// The length of an id's text, in bytes.
    pub const LENGTH: usize = 36;

    /// The id's text: all that is sent and stored says it, some more than once.
    fn text(self) -> [u8; Self::LENGTH] {
        let mut text = *b"00000000-0000-0000-0000-000000000000";
        let mut bytes = self.0.as_bytes().iter();
        for group in [0..8, 9..13, 14..18, 19..23, 24..36] {
            let digits = text.get_mut(group).unwrap_or_default();
            for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(&mut bytes) {
                *pair = [byte >> 4, byte & 0xF].map(|digit| match digit {
                    0..=9 => b'0' + digit,
                    _ => b'a' + digit - 10,
                });
            }
        }
        text
    }

    /// When the delivery was first seen: the time inside the id.
    #[must_use]
    pub fn first_seen(self) -> Timestamp {
        let [a, b, c, d, e, f, ..] = *self.0.as_bytes();
        Timestamp::from_millis(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    /// The id of the event at `index` in this delivery.
    #[must_use]
    pub fn event(self, index: EventIndex) -> EventId {
        EventId {
            delivery: self,
            index,
        }
    }
}

impl FromStr for DeliveryId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = Uuid::try_parse(text)
            .ok()
            .filter(|uuid| uuid.get_version_num() == 7);
        match uuid.map(Self) {
            // One id has one spelling: compared as text it must sort and match.
            Some(id) if id.text() == *text.as_bytes() => Ok(id),
            _ => Err(IdError(text.to_owned())),
        }
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An event's position in its delivery, counted from 0 over all elements, readable or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventIndex(u32);

impl EventIndex {
    /// The largest index that five digits can say.
    pub const LAST: u32 = 99_999;

    /// The index, or `None` where five digits do not suffice.
    #[must_use]
    pub fn new(index: usize) -> Option<Self> {
        u32::try_from(index)
            .ok()
            .filter(|index| *index <= Self::LAST)
            .map(Self)
    }

    /// The index, or the last one where five digits do not suffice.
    #[must_use]
    pub fn saturating(index: usize) -> Self {
        Self::new(index).unwrap_or(Self(Self::LAST))
    }

    /// The position as a number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// One event as first seen: `{delivery id}.{index}`, the index five digits, so that ids sort as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    delivery: DeliveryId,
    index: EventIndex,
}

impl EventId {
    /// The delivery that brought the event.
    #[must_use]
    pub fn delivery(self) -> DeliveryId {
        self.delivery
    }

    /// The event's position in it.
    #[must_use]
    pub fn index(self) -> EventIndex {
        self.index
    }

    /// Six bytes by which an event is distinguished from others of its record: the last ones of its delivery's time, random
    /// bytes and its position, one over the other.
    #[must_use]
    pub fn fingerprint(self) -> [u8; 6] {
        let (time, random) = self.delivery.0.as_u64_pair();
        let [_, _, fingerprint @ ..] = (time ^ random ^ u64::from(self.index.0)).to_be_bytes();
        fingerprint
    }
}

impl FromStr for EventId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || IdError(text.to_owned());
        let (delivery, index) = text.split_once('.').ok_or_else(refused)?;
        if index.len() != 5 || !index.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(refused());
        }
        let index = index
            .parse()
            .ok()
            .and_then(EventIndex::new)
            .ok_or_else(refused)?;
        Ok(delivery.parse::<DeliveryId>()?.event(index))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'.'; DeliveryId::LENGTH + 1 + 5];
        let (delivery, index) = text.split_at_mut(DeliveryId::LENGTH);
        delivery.copy_from_slice(&self.delivery.text());
        put_digits(
            index.get_mut(1..).unwrap_or_default(),
            u64::from(self.index.0),
        );
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// SHA-256 of a delivery's body: what a retry is recognised by. Its text is 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BodyHash([u8; 32]);

impl BodyHash {
    /// The hash of the body's bytes as they were signed.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a retry of a delivery is recognised by. Its text is 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RetryKey([u8; 32]);

/// The key of a source whose retries repeat the delivery's bytes.
impl From<BodyHash> for RetryKey {
    fn from(body: BodyHash) -> Self {
        Self(body.0)
    }
}

impl RetryKey {
    /// The key of a source whose retries repeat the event's id, and perhaps nothing else. No body has it but one that
    /// begins with a zero byte, which is no delivery.
    #[must_use]
    pub fn of_event_id(id: &str) -> Self {
        let hash = Sha256::new().chain_update([0]).chain_update(id);
        Self(hash.finalize().into())
    }

    /// The key of a source whose bodies do not say all: with another topic beside it, the same body is another message. No
    /// event's id begins with a second zero byte, nor has one.
    #[must_use]
    pub fn of_topic(topic: &str, body: BodyHash) -> Self {
        let hash = Sha256::new()
            .chain_update([0, 0])
            .chain_update(topic)
            .chain_update([0])
            .chain_update(body.0);
        Self(hash.finalize().into())
    }
}

impl fmt::Display for RetryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RetryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// SHA-256 over an event's type and its record's bytes, or the source's own id of the event where it has one: equal hashes
/// mean that an event says what another said. Its text is 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The hash of a type and a record. The zero byte between them can be part of neither.
    #[must_use]
    pub fn of(event_type: &str, record: &[u8]) -> Self {
        let hash = Sha256::new()
            .chain_update(event_type)
            .chain_update([0])
            .chain_update(record);
        Self(hash.finalize().into())
    }

    /// The hash of a type and the source's own id of the event: what the source sends twice says the same, also where its
    /// bytes differ. No record begins with the second zero byte.
    #[must_use]
    pub fn of_source_id(event_type: &str, id: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(event_type)
            .chain_update([0, 0])
            .chain_update(id);
        Self(hash.finalize().into())
    }

    /// The hash's 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash of these bytes; `None` where they are not 32.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl FromStr for ContentHash {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    proptest! {
        #[test]
        // requirement: state-ids
        fn ids_sort_by_time_then_position_also_as_text(
            times in proptest::array::uniform2(0..=0xFFFF_FFFF_u64),
            random in proptest::array::uniform2(any::<[u8; 10]>()),
            positions in proptest::array::uniform2(0..=99_999_usize),
        ) {
            let [a, b] = [0, 1].map(|i| {
                DeliveryId::new(Timestamp::from_millis(times[i]), &random[i])
                    .event(EventIndex::new(positions[i]).unwrap())
            });
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
            if times[0] != times[1] {
                prop_assert_eq!(a < b, times[0] < times[1]);
            }
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            let (uuid, index) = (a.delivery.0.as_hyphenated(), a.index.0);
            prop_assert_eq!(a.to_string(), format!("{uuid}.{index:05}"));
            prop_assert_eq!(a.delivery.to_string(), uuid.to_string());
            prop_assert_eq!(a.delivery().first_seen().millis(), times[0]);
        }
    }

    #[test]
    fn events_of_one_delivery_and_of_two_have_fingerprints_of_their_own() {
        let mut fingerprints = Vec::new();
        for (millis, random) in [(7, 1), (7, 2), (8, 1), (8, 2), (1_795_176_000_123, 1)] {
            let delivery = DeliveryId::new(Timestamp::from_millis(millis), &[random; 10]);
            for index in [0, 1, 49, 999] {
                let event = delivery.event(EventIndex::new(index).unwrap());
                fingerprints.push(event.fingerprint());
            }
        }
        let all = fingerprints.len();
        fingerprints.sort_unstable();
        fingerprints.dedup();
        assert_eq!(fingerprints.len(), all);
    }

    #[test]
    fn a_retry_is_recognised_by_its_bytes_or_by_its_id() {
        let body = RetryKey::from(BodyHash::of(b"evt_1"));
        assert_eq!(body.to_string(), BodyHash::of(b"evt_1").to_string());
        let id = RetryKey::of_event_id("evt_1");
        assert_eq!(id, RetryKey::of_event_id("evt_1"));
        assert!(id != body && id != RetryKey::of_event_id("evt_2"));
        let hash = BodyHash::of(b"evt_1");
        let [added, removed] = ["added", "removed"].map(|topic| RetryKey::of_topic(topic, hash));
        assert_eq!(added, RetryKey::of_topic("added", hash));
        assert!(added != removed && added != body && added != id);
        assert_ne!(added, RetryKey::of_topic("added", BodyHash::of(b"evt_2")));
    }

    #[test]
    fn hashes_are_hex_and_read_back() {
        // printf x | sha256sum
        let hex = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        assert_eq!(BodyHash::of(b"x").to_string(), hex);
        let content = ContentHash::of("order.created", b"x");
        assert_eq!(content.to_string().parse(), Ok(content));
        assert_eq!(ContentHash::from_bytes(content.as_bytes()), Some(content));
        assert_eq!(ContentHash::from_bytes(&[0; 31]), None);
    }

    #[rstest]
    #[case("")]
    #[case("0193b3c8-7c1a-7000-8000-000000000000")]
    #[case("0193b3c8-7c1a-7000-8000-000000000000.0")]
    #[case("0193b3c8-7c1a-7000-8000-000000000000.000000")]
    #[case("0193B3C8-7c1a-7000-8000-000000000000.00000")]
    #[case("0193b3c8-7c1a-4000-8000-000000000000.00000")]
    fn other_spellings_are_no_event_id(#[case] text: &str) {
        assert_eq!(
            text.parse::<EventId>(),
            Err(IdError(match text.split_once('.') {
                Some((delivery, index)) if index.len() == 5 => delivery.to_owned(),
                _ => text.to_owned(),
            }))
        );
    }

    #[test]
    fn content_is_equal_only_with_its_type() {
        let created = ContentHash::of("order.created", b"{}");
        assert_eq!(created, ContentHash::of("order.created", b"{}"));
        assert_ne!(created, ContentHash::of("order.updated", b"{}"));
        assert_ne!(created, ContentHash::of("order.created", b"{ }"));
        let by_id = ContentHash::of_source_id("order.created", "{}");
        assert_eq!(by_id, ContentHash::of_source_id("order.created", "{}"));
        assert_ne!(by_id, created, "an id is no record");
        assert_ne!(by_id, ContentHash::of_source_id("order.updated", "{}"));
        assert_ne!(by_id, ContentHash::of_source_id("order.created", "evt_1"));
    }
}
