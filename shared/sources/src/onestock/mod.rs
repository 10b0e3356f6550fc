//! OneStock, an order management system: <https://onestock.atlassian.net/wiki/spaces/DOCUMENTAT/pages/620429319/>.

#[cfg(feature = "api")]
pub mod api;
mod hook;
mod signature;
mod topics;
mod unified;

use std::borrow::Cow;

use domain::delivery::{Delivery, Request, Split, Unreadable, is_part};
use domain::event::{EventType, Meaning};
use domain::identity::{BodyHash, RetryKey};
use domain::signature::{Form, LiveSecrets, Policy, ProofError, Screened};
use domain::subscription::{CredentialField, KeyOrigin, LifeCycle};
use domain::timestamp::Timestamp;
use domain::unified::Unified;
use serde_json::value::RawValue;

use crate::{Facts, Protocol, SignedDelivery};

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

    fn signed_at(&self, request: Request<'_>) -> Option<Timestamp> {
        signature::signed_at(request.headers)
    }

    fn split<'a>(&self, delivery: Delivery<'a>) -> Result<Split<'a>, Unreadable> {
        hook::split(delivery)
    }

    fn retry_key(&self, delivery: Delivery<'_>, body: BodyHash) -> RetryKey {
        hook::retry_key(delivery, body)
    }

    fn signed_delivery(
        &self,
        secrets: &LiveSecrets,
        event_type: &EventType,
        record: &RawValue,
        at: Timestamp,
    ) -> Option<SignedDelivery> {
        hook::signed_delivery(secrets, event_type, record, at)
    }

    fn meaning(&self, event_type: &EventType) -> Meaning {
        topics::meaning(event_type)
    }

    /// A topic that a message does not tell has a URL of its own, which names it.
    fn part<'t>(&self, event_type: &'t str) -> &'t str {
        match topics::row_of(event_type).is_none() || topics::is_ambiguous(event_type) {
            true => event_type,
            false => "",
        }
    }

    /// A site's workflow can have topics of its own. Their names are known to the site alone; this one has to fit a URL.
    fn is_custom(&self, event_type: &str) -> bool {
        let is_type = event_type.parse::<EventType>().is_ok();
        is_type && is_part(event_type) && event_type != topics::UNKNOWN
    }

    fn unified(&self, event_type: &EventType, record: &RawValue) -> Option<Unified> {
        unified::unified(event_type.as_str(), record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::shared("order_state_changed", "")]
    #[case::a_version_that_is_standard("return_parcel_created@v3", "")]
    #[case::looks_like_others("candidates_added", "candidates_added")]
    #[case::import("stock_import_completed", "stock_import_completed")]
    #[case::of_a_site("gift_wrapped", "gift_wrapped")]
    #[case::another_version("order_state_changed@v2", "order_state_changed@v2")]
    fn a_topic_that_no_message_tells_is_a_part(#[case] topic: &str, #[case] part: &str) {
        assert_eq!(OneStock.part(topic), part);
    }

    #[rstest]
    #[case::plain("gift_wrapped", true)]
    #[case::version("gift_wrapped@v2", true)]
    #[case::longest(&"x".repeat(64), true)]
    #[case::too_long(&"x".repeat(65), false)]
    #[case::empty("", false)]
    #[case::all("*", false)]
    #[case::upper_case("Gift_wrapped", false)]
    #[case::space("gift wrapped", false)]
    #[case::slash("gift/wrapped", false)]
    #[case::what_nothing_tells(topics::UNKNOWN, false)]
    fn a_topic_of_a_site_s_own_fits_a_url(#[case] topic: &str, #[case] fits: bool) {
        assert_eq!(OneStock.is_custom(topic), fits);
    }
}
