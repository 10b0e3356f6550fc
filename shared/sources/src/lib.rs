//! The sources: how each system's webhooks are proved, split and named, and how its own API is called.
//!
//! A source is one folder here, one name in [`domain::source::Source`] and one arm in [`protocol`]. Nothing else knows which
//! source it serves: what differs is asked of [`Protocol`].

#![warn(clippy::too_many_lines)]

#[cfg(feature = "api")]
mod answers;
pub mod apideck;
#[cfg(feature = "api")]
pub mod http;
mod json;
mod objects;
pub mod onestock;
pub mod ordermentum;
pub mod orderspace;
pub mod routes;
mod scan;
#[cfg(feature = "api")]
mod source_urls;
pub mod stackone;
pub mod unified;

use std::borrow::Cow;
use std::fmt;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use domain::account::AccountName;
use domain::delivery::{Delivery, Request, Split, Unreadable};
use domain::envelope::{Content, Envelope, Marks};
use domain::event::{Effect, Event, EventType, Meaning, TypeRow};
use domain::identity::{BodyHash, DeliveryId, RetryKey};
use domain::lane::Lane;
use domain::provenance::{Provenance, Sequence};
use domain::record::Subject;
use domain::signature::{Form, LiveSecrets, Policy, ProofError, Screened};
use domain::source::Source;
#[cfg(feature = "api")]
use domain::subscription::{Api, Apis};
use domain::subscription::{CredentialField, EventSelection, LifeCycle, Part};
use domain::timestamp::Timestamp;
use domain::unified::Unified;
use serde_json::value::RawValue;

#[cfg(feature = "api")]
pub use source_urls::{SourceUrls, SourceUrlsError};

/// What is fixed for a source.
#[derive(Debug)]
pub struct Facts {
    /// The source's name in sentences to people.
    pub title: &'static str,
    /// The HTTP status that the source takes for success. Any other makes it send again.
    pub success: u16,
    /// The event types that this release knows, and what each means.
    pub types: &'static [TypeRow],
    /// What becomes of a request that offers no proof but its URL token.
    pub policy: Policy,
    /// The headers, names in lower case, that a delivery is split by. A receipt keeps them; a credential or a signature is
    /// never one of them.
    pub headers: &'static [&'static str],
    /// What the life of a webhook depends on.
    pub life_cycle: LifeCycle,
}

impl Facts {
    /// The row of a type that this release knows.
    #[must_use]
    pub fn row(&self, event_type: &EventType) -> Option<&'static TypeRow> {
        self.named(event_type.as_str())
    }

    /// The row of a type of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&'static TypeRow> {
        self.types.iter().find(|row| row.name == name)
    }

    /// Those of a request's headers that a delivery may be split by, and that a receipt keeps.
    #[must_use]
    pub fn kept(&self, headers: &HeaderMap) -> HeaderMap {
        let is_kept =
            |(name, _): &(&HeaderName, &HeaderValue)| self.headers.contains(&name.as_str());
        let kept = headers.iter().filter(is_kept);
        // Appended, so that a header that stands twice is kept twice.
        kept.fold(HeaderMap::new(), |mut kept, (name, value)| {
            kept.append(name, value.clone());
            kept
        })
    }

    /// Whether events of this meaning are ordered by the source's own time. All of one kind are, or none: a type that this
    /// release does not know goes by the rows of its kind.
    #[must_use]
    pub fn is_timed(&self, meaning: &Meaning) -> bool {
        let mut rows = self.types.iter();
        meaning.timed || rows.any(|row| row.timed && row.kind == meaning.kind)
    }
}

/// How a source's webhooks are read. Nothing here judges whether a request is genuine: [`domain::signature`] does.
pub trait Protocol: Sync {
    /// What is fixed for the source.
    fn facts(&self) -> &'static Facts;

    /// Reads what a request offers as proof, or that it is a greeting. It is called before anything is looked up, so it has to
    /// be cheap.
    ///
    /// # Errors
    /// The request offers nothing where the source's policy requires proof, or what cannot be right under any key. Where the
    /// policy is to observe, that is [`Offer::Nothing`](domain::signature::Offer::Nothing): the URL token proves it.
    fn screen(&self, request: Request<'_>) -> Result<Screened, ProofError>;

    /// The bytes over which a MAC of this form was made. `None` where the request has no such form.
    fn signed<'a>(&self, request: Request<'a>, form: Form) -> Option<Cow<'a, [u8]>>;

    /// When a request says that it was signed; `None` where it does not say. A signature of a time that is far ahead of the
    /// time of receipt proves nothing; one of the past does, since some sources send again for days what they signed once.
    fn signed_at(&self, _request: Request<'_>) -> Option<Timestamp> {
        None
    }

    /// Splits a delivery into its events.
    ///
    /// # Errors
    /// No events are recognised in the body, or more than [`domain::delivery::MOST_EVENTS`].
    fn split<'a>(&self, delivery: Delivery<'a>) -> Result<Split<'a>, Unreadable>;

    /// By what a retry of a delivery is recognised: by its bytes, unless the source's retries change them.
    /// `body` is the hash of those bytes.
    fn retry_key(&self, _delivery: Delivery<'_>, body: BodyHash) -> RetryKey {
        body.into()
    }

    /// A delivery of one event as the source would send it, with what proves it: for operators who try their stack. `at` is
    /// when it is sent. `None` where these secrets have none that the source proves its deliveries with, and for a source
    /// that this release only reads.
    fn signed_delivery(
        &self,
        _secrets: &LiveSecrets,
        _event_type: &EventType,
        _record: &RawValue,
        _at: Timestamp,
    ) -> Option<SignedDelivery> {
        None
    }

    /// What an event of this type means, whether or not this release knows the type.
    fn meaning(&self, event_type: &EventType) -> Meaning;

    /// The name of the [`Part`] of an account whose webhook brings this type; empty where one webhook can bring it with
    /// others. What this release calls a part is the same in every later one: it stands in URLs.
    fn part<'t>(&self, _event_type: &'t str) -> &'t str {
        ""
    }

    /// Whether a name that this release does not know can be selected: a site may have types of its own.
    fn is_custom(&self, _event_type: &str) -> bool {
        false
    }

    /// Credentials that an integration may have besides those of [`LifeCycle::credentials`]: all of them, or none.
    fn optional_credentials(&self) -> &'static [CredentialField] {
        &[]
    }

    /// The unified form of an event: a pure function of its type and its record. `None` where the type has none, and where
    /// the record has no id; whatever else is wrong with a record costs the field and not the event.
    fn unified(&self, _event_type: &EventType, _record: &RawValue) -> Option<Unified> {
        None
    }
}

/// A delivery as a source would send it.
#[derive(Clone)]
pub struct SignedDelivery {
    /// The headers, by name: what proves it, and what names its topic where the body does not.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Without the proof, and without what customers ordered.
impl fmt::Debug for SignedDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        f.debug_struct("SignedDelivery")
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for dyn Protocol + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.facts().title)
    }
}

/// A table of sources: [`protocol`], or a test's own.
pub type Protocols = fn(Source) -> &'static dyn Protocol;

/// The table of sources.
#[must_use]
pub fn protocol(source: Source) -> &'static dyn Protocol {
    match source {
        Source::Apideck => &apideck::Apideck,
        Source::Orderspace => &orderspace::Orderspace,
        Source::Ordermentum => &ordermentum::Ordermentum,
        Source::OneStock => &onestock::OneStock,
        Source::StackOne => &stackone::StackOne,
    }
}

/// A row of a source's table.
const fn row(name: &'static str, kind: &'static str, effect: Effect, lane: Lane) -> TypeRow {
    TypeRow {
        name,
        kind,
        effect,
        lane,
        timed: false,
    }
}

/// What a type means that reads as `{kind}.{verb}`: a delete by its verb, and a kind of which no table says a lane.
fn by_last_dot(event_type: &EventType) -> Meaning {
    let name = event_type.as_str();
    let (kind, verb) = name.rsplit_once('.').unwrap_or((name, ""));
    Meaning {
        kind: kind.to_owned().into(),
        effect: match verb {
            "deleted" => Effect::Delete,
            _ => Effect::State,
        },
        lane: Lane::Other,
        timed: false,
    }
}

/// The value of a header that a request must have exactly once, without space around it. Of two values, one could have
/// been added on the way.
fn only_value<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a [u8], ProofError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes().trim_ascii()),
        (Some(_), Some(_)) => Err(ProofError::Malformed),
        (None, _) => Err(ProofError::Missing),
    }
}

/// What is fixed for a source.
#[must_use]
pub fn facts(source: Source) -> &'static Facts {
    protocol(source).facts()
}

/// The envelope of an event, as it goes into its lane: the same one whenever the delivery is split.
#[must_use]
pub fn envelope<'a>(
    source: Source,
    facts: &Facts,
    account: &AccountName,
    delivery: DeliveryId,
    event: &Event<'a>,
) -> Envelope<'a> {
    let id = delivery.event(event.index);
    // Without a time that can be read the consumer orders the event by first sight, as it does where kinds are not timed.
    let time = event.source_time.as_ref();
    let dated = time.filter(|_| facts.is_timed(&event.meaning));
    Envelope {
        id,
        source,
        account: account.clone(),
        event_type: event.event_type.clone(),
        subject: Subject::new(&event.meaning.kind, event.record_id.as_ref(), id),
        provenance: Provenance {
            id: event.source_id.clone(),
            time: event.source_time.clone(),
            sequence: dated.map(|time| Sequence::of_source_time(time, id)),
            event_type: None,
        },
        marks: Marks::default(),
        content: Content::Inline(event.record),
    }
}

/// The event types that one webhook of an account can bring together: those that `*` stands for.
#[must_use]
pub fn shared_types(source: Source) -> Vec<TypeRow> {
    let protocol = protocol(source);
    let shares = |row: &&TypeRow| protocol.part(row.name).is_empty();
    protocol
        .facts()
        .types
        .iter()
        .filter(shares)
        .copied()
        .collect()
}

/// The parts of an account of this source with this selection: each is a webhook.
#[must_use]
pub fn parts(source: Source, events: &EventSelection) -> Vec<Part> {
    let protocol = protocol(source);
    Part::divide(events, |name| protocol.part(name).to_owned())
}

/// The API of every source that accounts can be connected to.
///
#[cfg(feature = "api")]
#[must_use]
pub fn apis(urls: SourceUrls) -> Apis {
    let shared = http::HttpClient::new(facts(Source::Orderspace).title);
    let client = |source| shared.of(facts(source).title);
    let orderspace = orderspace::api::Orderspace::new(client(Source::Orderspace), urls.orderspace);
    let orderspace: Box<dyn Api> = Box::new(orderspace);
    let ordermentum =
        ordermentum::api::Ordermentum::new(client(Source::Ordermentum), urls.ordermentum);
    let ordermentum: Box<dyn Api> = Box::new(ordermentum);
    let onestock = onestock::api::OneStock::new(client(Source::OneStock), urls.onestock);
    let onestock: Box<dyn Api> = Box::new(onestock);
    let apideck = apideck::api::Apideck::new(client(Source::Apideck), urls.apideck);
    let apideck: Box<dyn Api> = Box::new(apideck);
    Apis::from_iter([
        (Source::Orderspace, orderspace),
        (Source::Ordermentum, ordermentum),
        (Source::OneStock, onestock),
        (Source::Apideck, apideck),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_is_not_known_is_timed_as_its_kind_is() {
        static FACTS: Facts = Facts {
            title: "A source",
            success: 200,
            types: &[
                row("order.created", "order", Effect::State, Lane::Orders).timed(),
                row("product.created", "product", Effect::State, Lane::Products),
            ],
            policy: Policy::Require,
            headers: &[],
            life_cycle: LifeCycle {
                credentials: &[],
                keys: domain::subscription::KeyOrigin::TheirsGiven,
                rotates: false,
                enables: false,
                attempts: None,
                quiet_seconds: 60,
            },
        };
        let is_timed = |name: &str| {
            let event_type: EventType = name.parse().unwrap();
            let row = FACTS.row(&event_type).map(TypeRow::meaning);
            FACTS.is_timed(&row.unwrap_or_else(|| by_last_dot(&event_type)))
        };
        assert!(is_timed("order.created") && is_timed("order.paid"));
        assert!(!is_timed("product.created") && !is_timed("product.sold") && !is_timed("ping"));
    }

    #[test]
    fn parts_have_names_that_a_url_can_have_and_types_of_a_site_s_own_have_parts_of_their_own() {
        use domain::delivery::is_part;
        for source in Source::ALL {
            let all = EventSelection::all(facts(source).types);
            let parts = parts(source, &all);
            assert_eq!(parts[0].name, "", "{source}");
            assert_eq!(parts[0].events, EventSelection::all(&shared_types(source)));
            assert!(parts[1..].iter().all(|part| is_part(&part.name)));
            let expected = match source {
                Source::OneStock => 30,
                Source::Apideck => 2,
                Source::Orderspace | Source::Ordermentum | Source::StackOne => 1,
            };
            assert_eq!(parts.len(), expected, "{source}");
            assert!(parts.len() <= domain::subscription::MOST_PARTS);
            let is_custom = protocol(source).is_custom("gift_wrapped");
            assert_eq!(is_custom, source == Source::OneStock, "{source}");
        }
    }

    #[test]
    fn all_types_of_one_kind_are_timed_or_none() {
        for source in Source::ALL {
            for row in facts(source).types {
                assert_eq!(row.name.parse(), Ok(row.event_type()));
                assert_eq!(
                    facts(source).is_timed(&row.meaning()),
                    row.timed,
                    "{}",
                    row.name
                );
            }
        }
    }
}
