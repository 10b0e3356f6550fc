//! What every implementation of a port has to do: the fakes of [`crate::fakes`], and the adapters on an
//! emulator or on AWS.
//!
//! One suite per port. A suite asserts what the functions rely on and nothing else; where a port only writes,
//! the test brings the eyes that read. Content that AWS refuses is sent by the suites too; which of it an
//! implementation lets through is its [`Laxity`], compared with a list, so that the list cannot go stale.

mod json;
mod keys;
mod oversize;
mod queues;
mod receipts;
mod records;
mod redelivery;
mod tokens;
mod topics;

pub use json::is_same_json;
pub use keys::{KeyStore, keys};
pub use oversize::{oversize, oversize_laxity};
pub use queues::{QueueReader, QueueSet, queue_laxity, queues};
pub use receipts::{ReadReceipt, ReceiptReader, receipts};
pub use records::{ReadRecord, RecordReader, record_laxity, records};
pub use redelivery::{Lane, MESSAGES as LANE_MESSAGES, redelivery};
pub use tokens::{TokenStore, tokens};
pub use topics::topics;

use domain::identity::{DeliveryId, EventId, EventIndex};
use domain::timestamp::Timestamp;

/// What AWS refuses. An implementation that takes it is lax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Laxity {
    /// A message without a body.
    EmptyBody,
    /// A body with U+FFFF, which is no character of XML.
    BodyCharacter,
    /// A body with a raw control character.
    BodyControl,
    /// A message of one byte more than 1 MiB.
    LargeMessage,
    /// A batch whose bodies have one byte more than 1 MiB.
    LargeBatch,
    /// A batch of 1 MiB, and an attribute besides.
    LargeAttributes,
    /// A message group of 129 characters.
    LongGroup,
    /// A message group with a space.
    GroupWithSpace,
    /// A message group outside ASCII.
    GroupOutsideAscii,
    /// A deduplication id of 129 characters.
    LongDeduplication,
    /// A deduplication id outside ASCII.
    DeduplicationOutsideAscii,
    /// A deduplication id on a standard queue.
    DeduplicationOnStandardQueue,
    /// A FIFO queue's message without a group.
    FifoWithoutGroup,
    /// A FIFO queue's message without a deduplication id.
    FifoWithoutDeduplication,
    /// An attribute without a value.
    EmptyAttribute,
    /// An attribute whose value has U+FFFF.
    AttributeCharacter,
    /// An attribute whose value has a raw control character.
    AttributeControl,
    /// An attribute whose name is reserved for AWS.
    ReservedAttributeName,
    /// An attribute whose name has a space.
    AttributeNameWithSpace,
    /// Eleven attributes.
    ElevenAttributes,
    /// An object's key of more than 1,024 bytes.
    LongObjectKey,
    /// A partition key of more than 2,048 bytes.
    LongPartitionKey,
}

impl Laxity {
    /// Whether the refusal is of the content, so that sending again cannot help; otherwise the program or the
    /// queue has to become another.
    fn is_of_content(self) -> bool {
        !matches!(
            self,
            Self::EmptyBody
                | Self::DeduplicationOnStandardQueue
                | Self::FifoWithoutGroup
                | Self::FifoWithoutDeduplication
        )
    }

    /// What [`queue_laxity`] can find.
    pub const OF_QUEUES: [Self; 20] = [
        Self::EmptyBody,
        Self::BodyCharacter,
        Self::BodyControl,
        Self::LargeMessage,
        Self::LargeBatch,
        Self::LargeAttributes,
        Self::LongGroup,
        Self::GroupWithSpace,
        Self::GroupOutsideAscii,
        Self::LongDeduplication,
        Self::DeduplicationOutsideAscii,
        Self::DeduplicationOnStandardQueue,
        Self::FifoWithoutGroup,
        Self::FifoWithoutDeduplication,
        Self::EmptyAttribute,
        Self::AttributeCharacter,
        Self::AttributeControl,
        Self::ReservedAttributeName,
        Self::AttributeNameWithSpace,
        Self::ElevenAttributes,
    ];
    /// What [`oversize_laxity`] can find.
    pub const OF_OVERSIZE: [Self; 1] = [Self::LongObjectKey];
    /// What [`record_laxity`] can find.
    pub const OF_RECORDS: [Self; 1] = [Self::LongPartitionKey];
}

/// What the emulator of the local stack (ministack 1.5.33) lets through: there only the fakes tell what AWS
/// would say.
pub const EMULATOR_LAXITY: &[Laxity] = &[
    // It counts the bodies' bytes alone, and looks at nothing but bodies.
    Laxity::LargeAttributes,
    Laxity::LongGroup,
    Laxity::GroupWithSpace,
    Laxity::GroupOutsideAscii,
    Laxity::LongDeduplication,
    Laxity::DeduplicationOutsideAscii,
    Laxity::DeduplicationOnStandardQueue,
    Laxity::EmptyAttribute,
    Laxity::AttributeCharacter,
    Laxity::AttributeControl,
    Laxity::ReservedAttributeName,
    Laxity::AttributeNameWithSpace,
    Laxity::ElevenAttributes,
    Laxity::LongObjectKey,
];

/// An event id for the suites: the first event of the delivery of that millisecond.
fn event_id(millis: u64) -> EventId {
    let index = EventIndex::new(0).expect("zero has five digits");
    delivery_id(millis).event(index)
}

/// The delivery of that millisecond.
fn delivery_id(millis: u64) -> DeliveryId {
    DeliveryId::new(Timestamp::from_millis(1_795_176_000_000 + millis), &[7; 10])
}
