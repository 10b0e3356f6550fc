//! Sources as no release serves them: what the receiving side does for a source is held against these.

use std::borrow::Cow;

use domain::delivery::{BadElement, Delivery, ElementFault, Request, Split, Unreadable};
use domain::event::{Effect, Event, EventType, Meaning, TypeRow};
use domain::identity::{BodyHash, RetryKey};
use domain::lane::Lane;
use domain::record::RecordId;
use domain::signature::{Form, Offer, Policy, ProofError, Screened, Tags};
use domain::source::Source;
use domain::subscription::{KeyOrigin, LifeCycle};
use domain::timestamp::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use sources::{Facts, Protocol};

const SIGNATURE: &str = "x-signature";
const TOPIC: &str = "x-topic";
const GREETING: &str = "x-greeting";
const SIGNED_AT: &str = "x-signed-at";

/// A source that signs in two forms, dates its orders, names the type in a header, and greets.
struct Example {
    facts: Facts,
}

const fn row(name: &'static str, kind: &'static str, timed: bool) -> TypeRow {
    TypeRow {
        name,
        kind,
        effect: Effect::State,
        lane: Lane::Orders,
        timed,
    }
}

const TYPES: &[TypeRow] = &[
    row("order_updated", "order", true),
    row("product_updated", "product", false),
];

const fn example(policy: Policy) -> Example {
    Example {
        facts: Facts {
            title: "An example",
            success: 202,
            policy,
            headers: &[TOPIC],
            life_cycle: LifeCycle {
                credentials: &[],
                keys: KeyOrigin::TheirsGiven,
                rotates: false,
                enables: false,
                attempts: None,
                quiet_seconds: 60,
            },
            types: TYPES,
        },
    }
}

static REQUIRING: Example = example(Policy::Require);
static OBSERVING: Example = example(Policy::Observe);

/// Sources that have to be proved.
pub fn requiring(_: Source) -> &'static dyn Protocol {
    &REQUIRING
}

/// Sources whose signatures are observed.
pub fn observing(_: Source) -> &'static dyn Protocol {
    &OBSERVING
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    at: Option<String>,
    #[serde(borrow)]
    record: &'a RawValue,
}

impl Protocol for Example {
    fn facts(&self) -> &'static Facts {
        match self.facts.policy {
            Policy::Require => &REQUIRING.facts,
            Policy::Observe => &OBSERVING.facts,
        }
    }

    fn screen(&self, request: Request<'_>) -> Result<Screened, ProofError> {
        if request.headers.contains_key(GREETING) {
            return Ok(Screened::Greeting);
        }
        let Some(signature) = request.headers.get(SIGNATURE) else {
            return Err(ProofError::Missing);
        };
        let mut tag = [0; 32];
        hex::decode_to_slice(signature, &mut tag).map_err(|_| ProofError::Malformed)?;
        Ok(Screened::Delivery(Offer::Macs {
            tags: Tags::one(tag),
            forms: &[Form("reversed"), Form("raw")],
        }))
    }

    fn signed<'a>(&self, request: Request<'a>, form: Form) -> Option<Cow<'a, [u8]>> {
        match form.0 {
            "raw" => Some(Cow::Borrowed(request.body)),
            "reversed" => Some(request.body.iter().rev().copied().collect()),
            _ => None,
        }
    }

    fn signed_at(&self, request: Request<'_>) -> Option<Timestamp> {
        let at = request.headers.get(SIGNED_AT)?.to_str().ok()?;
        Some(Timestamp::from_millis(at.parse().ok()?))
    }

    fn split<'a>(&self, delivery: Delivery<'a>) -> Result<Split<'a>, Unreadable> {
        let body: Body<'a> =
            serde_json::from_slice(delivery.body).map_err(|_| Unreadable::NotJson)?;
        let mut split = Split::default();
        let index = split.next_index()?;
        let topic = delivery.headers.get(TOPIC);
        let name = topic
            .and_then(|topic| topic.to_str().ok())
            .unwrap_or(delivery.part);
        let Ok(event_type) = name.parse::<EventType>() else {
            let reason = ElementFault::NoType;
            split.bad.push(BadElement { index, reason });
            return Ok(split);
        };
        split.events.push(Event {
            index,
            meaning: self.meaning(&event_type),
            event_type,
            record_id: RecordId::new("or_1").ok(),
            source_id: body.id.and_then(|id| id.parse().ok()),
            source_time: body.at.and_then(|at| at.parse().ok()),
            record: body.record,
        });
        Ok(split)
    }

    fn retry_key(&self, delivery: Delivery<'_>, body: BodyHash) -> RetryKey {
        let read = serde_json::from_slice::<Body<'_>>(delivery.body);
        let id = read.ok().and_then(|body| body.id);
        id.map_or(body.into(), |id| RetryKey::of_event_id(&id))
    }

    fn meaning(&self, event_type: &EventType) -> Meaning {
        let known = self.facts.row(event_type).map(TypeRow::meaning);
        known.unwrap_or_else(|| Meaning {
            kind: "order".into(),
            effect: Effect::State,
            lane: Lane::Orders,
            timed: false,
        })
    }
}
