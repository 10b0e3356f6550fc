//! Sources: the systems whose webhooks are received.
//!
//! A source says how a request is verified, how a body is split, how a record is named, which answer means
//! success and which lane a type takes. It is one module here and one arm in each table below; nothing else
//! in the flow knows which source it serves.

mod orderspace;

use std::fmt;

use http::HeaderMap;
use thiserror::Error;

use crate::account::WebhookId;
use crate::event::{Event, EventType};
use crate::identity::EventIndex;
use crate::lane::Lane;
use crate::record::Recurrence;
use crate::signature::SigningKeys;

/// The most events that are taken from one delivery. More are no delivery that any source documents.
pub const MOST_EVENTS: usize = 1000;

/// A system that sends webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Orderspace, a wholesale ordering platform: <https://apidocs.orderspace.com>.
    Orderspace,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 1] = [Self::Orderspace];

    /// The source's name, as in webhook URLs, CloudEvents sources and types.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Orderspace => "orderspace",
        }
    }

    /// The source's name as people know it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Orderspace => "Orderspace",
        }
    }

    /// The source of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }

    /// The status that this source takes for success. Any other makes it send again.
    #[must_use]
    pub fn success(self) -> u16 {
        match self {
            Self::Orderspace => orderspace::SUCCESS,
        }
    }

    /// The event types that this release knows.
    #[must_use]
    pub fn event_types(self) -> &'static [&'static str] {
        match self {
            Self::Orderspace => &orderspace::EVENT_TYPES,
        }
    }

    /// The lane of an event type.
    #[must_use]
    pub fn lane(self, event_type: &EventType) -> Lane {
        match self {
            Self::Orderspace => orderspace::lane(event_type),
        }
    }

    /// What equal events about one record of this kind mean.
    #[must_use]
    pub fn recurrence(self, kind: &str) -> Recurrence {
        match self {
            Self::Orderspace => orderspace::recurrence(kind),
        }
    }

    /// Reads what the request offers as proof, before any key is looked up.
    ///
    /// # Errors
    /// No proof, or one that cannot be right under any key.
    pub fn proof(self, headers: &HeaderMap) -> Result<Proof, ProofError> {
        match self {
            Self::Orderspace => orderspace::proof(headers),
        }
    }

    /// Splits a verified delivery into its events.
    ///
    /// # Errors
    /// A body in which no events are recognised, or with more than [`MOST_EVENTS`].
    pub fn split<'a>(self, delivery: &Verified<'a>) -> Result<Split<'a>, Unreadable> {
        match self {
            Self::Orderspace => orderspace::split(delivery.body),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a request offers as proof that it is genuine: so far an HMAC-SHA256 over the raw body.
#[derive(Clone)]
pub struct Proof([u8; 32]);

/// A request without usable proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The signature header is missing.
    #[error("the request has no signature")]
    Missing,
    /// There is more than one signature header, or it is not what the source's signatures look like.
    #[error("the request's signature is malformed")]
    Malformed,
}

impl Proof {
    /// Checks the raw bytes of a body against every live key.
    #[must_use]
    pub fn verify<'a>(&self, body: &'a [u8], keys: &SigningKeys) -> Option<Verified<'a>> {
        let signer = keys.signer(body, &self.0)?;
        Some(Verified {
            body,
            webhook: signer.clone(),
        })
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(_)")
    }
}

/// A delivery whose signature was checked; [`Proof::verify`] is the only way to get one.
#[derive(Debug, Clone)]
pub struct Verified<'a> {
    body: &'a [u8],
    webhook: WebhookId,
}

impl<'a> Verified<'a> {
    /// The body's bytes, as they were signed.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The webhook whose key signed it.
    #[must_use]
    pub fn webhook(&self) -> &WebhookId {
        &self.webhook
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
    fn a_source_takes_its_own_status_for_success() {
        assert_eq!(Source::Orderspace.success(), 200);
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
