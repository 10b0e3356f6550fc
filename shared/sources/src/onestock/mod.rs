//! OneStock, an order management system: <https://onestock.atlassian.net/wiki/spaces/DOCUMENTAT/pages/620429319/>.

#[cfg(feature = "api")]
pub mod api;
mod hook;
mod signature;
mod topics;
mod unified;

use std::borrow::Cow;

use domain::delivery::{Delivery, Request, Split, Unreadable};
use domain::event::{EventType, Meaning};
use domain::identity::{BodyHash, RetryKey};
use domain::signature::{Form, Policy, ProofError, Screened};
use domain::subscription::{CredentialField, KeyOrigin, LifeCycle};
use domain::unified::Unified;
use serde_json::value::RawValue;

use crate::{Facts, Protocol};

static FACTS: Facts = Facts {
    title: "OneStock",
    // "202" within 15 seconds; six failed retries disable the webhook, and until then nothing overtakes the message.
    success: 202,
    // The form of the signature is not published: to refuse what fits none of our readings could stop a site's messages.
    policy: Policy::Observe,
    headers: &hook::TOPIC_HEADERS,
    life_cycle: LifeCycle {
        credentials: &[
            CredentialField {
                name: "api_url",
                is_secret: false,
            },
            CredentialField {
                name: "site_id",
                is_secret: false,
            },
            CredentialField {
                name: "user_id",
                is_secret: false,
            },
            CredentialField {
                name: "password",
                is_secret: true,
            },
        ],
        // The registering call takes a `hash_key`.
        keys: KeyOrigin::OursSent,
        rotates: true,
        enables: true,
        // The first attempt, and one after each of six intervals.
        attempts: Some(7),
        // Nothing is said of a 429.
        quiet_seconds: 60,
    },
    types: topics::TOPICS,
};

/// OneStock's webhooks.
#[derive(Debug)]
pub struct OneStock;

impl Protocol for OneStock {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn screen(&self, request: Request<'_>) -> Result<Screened, ProofError> {
        Ok(Screened::Delivery(signature::offer(request.headers)))
    }

    fn signed<'a>(&self, request: Request<'a>, form: Form) -> Option<Cow<'a, [u8]>> {
        signature::signed(request, form)
    }

    fn split<'a>(&self, delivery: Delivery<'a>) -> Result<Split<'a>, Unreadable> {
        hook::split(delivery)
    }

    fn retry_key(&self, delivery: Delivery<'_>, body: BodyHash) -> RetryKey {
        hook::retry_key(delivery, body)
    }

    fn meaning(&self, event_type: &EventType) -> Meaning {
        topics::meaning(event_type)
    }

    fn needs_own_webhook(&self, event_type: &str) -> Option<&'static str> {
        topics::is_ambiguous(event_type).then_some("a delivery of it does not say its type")
    }

    fn unified(&self, event_type: &EventType, record: &RawValue) -> Option<Unified> {
        unified::unified(event_type.as_str(), record)
    }
}
