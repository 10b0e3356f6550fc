//! Orderspace, a wholesale ordering platform: <https://apidocs.orderspace.com>.

#[cfg(feature = "api")]
pub mod api;
mod hook;
mod unified;
#[cfg(feature = "api")]
mod wire;

use std::borrow::Cow;

use domain::delivery::{Delivery, Request, Split, Unreadable};
use domain::event::{Effect, EventType, Meaning};
use domain::lane::Lane;
use domain::signature::{Form, LiveSecrets, Policy, ProofError, Screened};
use domain::subscription::{CredentialField, KeyOrigin, LifeCycle};
use domain::timestamp::Timestamp;
use domain::unified::Unified;
use serde_json::value::RawValue;

use crate::{Facts, Protocol, SignedDelivery, by_last_dot, row};

pub(crate) use hook::{record_id, relayed};
pub(crate) use unified::unified;

/// The way in which Orderspace signs: an HMAC-SHA256 over the raw body.
const RAW_BODY: Form = Form("raw_body");

static FACTS: Facts = Facts {
    title: "Orderspace",
    // "HTTP 200 Success should be returned": 202 and 204 are retried like a failure.
    success: 200,
    policy: Policy::Require,
    headers: &[],
    life_cycle: LifeCycle {
        credentials: &[
            CredentialField {
                name: "client_id",
                is_secret: false,
            },
            CredentialField {
                name: "client_secret",
                is_secret: true,
            },
        ],
        keys: KeyOrigin::TheirsShown,
        rotates: true,
        // That a webhook is disabled is not shown, and no call to enable one is documented.
        enables: false,
        // "After multiple failed attempts": how many is nowhere said.
        attempts: None,
        // https://apidocs.orderspace.com/#throttling
        quiet_seconds: 60,
    },
    types: {
        use Effect::{Delete, Occurrence, State};
        use Lane::{Billing, Customers, Inventory, Orders, Products};
        &[
            row("customer.created", "customer", State, Customers),
            row("customer.updated", "customer", State, Customers),
            row("customer.deleted", "customer", Delete, Customers),
            row("dispatch.created", "dispatch", State, Orders),
            row(
                "inventory_level.updated",
                "inventory_level",
                State,
                Inventory,
            ),
            row("invoice.created", "invoice", State, Billing),
            row("invoice.deleted", "invoice", Delete, Billing),
            row("order.created", "order", State, Orders),
            row("order.updated", "order", State, Orders),
            row("order.deleted", "order", Delete, Orders),
            // A payment has no id of its own, so two real payments can be equal.
            row("payment.created", "payment", Occurrence, Billing),
            row("product.created", "product", State, Products),
            row("product.updated", "product", State, Products),
            row("product.deleted", "product", Delete, Products),
        ]
    },
};

/// Orderspace's webhooks.
#[derive(Debug)]
pub struct Orderspace;

impl Protocol for Orderspace {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn screen(&self, request: Request<'_>) -> Result<Screened, ProofError> {
        hook::offer(request.headers).map(Screened::Delivery)
    }

    fn signed<'a>(&self, request: Request<'a>, form: Form) -> Option<Cow<'a, [u8]>> {
        (form == RAW_BODY).then_some(Cow::Borrowed(request.body))
    }

    fn split<'a>(&self, delivery: Delivery<'a>) -> Result<Split<'a>, Unreadable> {
        hook::split(delivery.body)
    }

    fn signed_delivery(
        &self,
        secrets: &LiveSecrets,
        event_type: &EventType,
        record: &RawValue,
        _at: Timestamp,
    ) -> Option<SignedDelivery> {
        hook::signed_delivery(secrets, event_type, record)
    }

    fn meaning(&self, event_type: &EventType) -> Meaning {
        meaning(event_type)
    }

    fn unified(&self, event_type: &EventType, record: &RawValue) -> Option<Unified> {
        unified(event_type.as_str(), record)
    }
}

/// The row of a type that this release knows; a type that it does not know reads as all of Orderspace's do,
/// `{kind}.{verb}`.
pub(crate) fn meaning(event_type: &EventType) -> Meaning {
    if let Some(row) = FACTS.row(event_type) {
        return row.meaning();
    }
    let meaning = by_last_dot(event_type);
    match (&*meaning.kind, meaning.effect) {
        ("payment", Effect::State) => Meaning {
            effect: Effect::Occurrence,
            ..meaning
        },
        _ => meaning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("order.created", "order", Effect::State, Lane::Orders)]
    #[case(
        "inventory_level.updated",
        "inventory_level",
        Effect::State,
        Lane::Inventory
    )]
    #[case("customer.deleted", "customer", Effect::Delete, Lane::Customers)]
    #[case("payment.created", "payment", Effect::Occurrence, Lane::Billing)]
    #[case::of_a_new_kind("price.list.deleted", "price.list", Effect::Delete, Lane::Other)]
    #[case::of_more_payments("payment.refunded", "payment", Effect::Occurrence, Lane::Other)]
    #[case::of_payments_that_go("payment.deleted", "payment", Effect::Delete, Lane::Other)]
    #[case::of_a_known_kind("order.paid", "order", Effect::State, Lane::Other)]
    #[case::of_one_word("ping", "ping", Effect::State, Lane::Other)]
    #[case::of_a_verb_alone("deleted", "deleted", Effect::State, Lane::Other)]
    fn a_type_tells_what_its_events_mean(
        #[case] name: &str,
        #[case] kind: &str,
        #[case] effect: Effect,
        #[case] lane: Lane,
    ) {
        let found = meaning(&name.parse().unwrap());
        assert_eq!(
            (&*found.kind, found.effect, found.lane),
            (kind, effect, lane)
        );
    }
}
