//! Apideck, a unified API to many commerce systems: <https://developers.apideck.com/guides/webhooks>.

#[cfg(feature = "api")]
pub mod api;
mod canonical;
mod hook;
#[cfg(feature = "api")]
mod wire;

use std::borrow::Cow;

use domain::delivery::{Delivery, Request, Split, Unreadable};
use domain::event::{Effect, EventType, Meaning, TypeRow};
use domain::identity::{BodyHash, RetryKey};
use domain::lane::Lane;
use domain::signature::{Form, LiveSecrets, Policy, ProofError, Screened};
use domain::subscription::{CredentialField, KeyOrigin, LifeCycle};
use domain::timestamp::Timestamp;
use serde_json::value::RawValue;

use crate::{Facts, Protocol, SignedDelivery, by_last_dot};

/// What the types of commerce events begin with.
const ECOMMERCE: &str = "ecommerce.";
/// What the types of events begin with that are about connections.
const VAULT: &str = "vault.";

static FACTS: Facts = Facts {
    title: "Apideck",
    // Any 2xx is taken.
    success: 200,
    policy: Policy::Require,
    // Neither is signed. They are kept for whoever looks into a delivery that was not understood.
    headers: &[hook::TYPE_HEADER, hook::ID_HEADER],
    life_cycle: LifeCycle {
        credentials: &[
            CredentialField {
                name: "api_key",
                is_secret: true,
            },
            CredentialField {
                name: "app_id",
                is_secret: false,
            },
        ],
        // One key for all of an application's webhooks. No call shows it, and no call changes it.
        keys: KeyOrigin::Credential("api_key"),
        rotates: true,
        enables: true,
        // The ninth retry would come after the 24 hours that an event is kept for.
        attempts: Some(9),
        quiet_seconds: 60,
    },
    types: {
        use Effect::{Delete, Fact, State};
        use Lane::{Customers, Orders, Other, Products};
        &[
            row("ecommerce.order.created", "order", State, Orders),
            row("ecommerce.order.updated", "order", State, Orders),
            row("ecommerce.order.deleted", "order", Delete, Orders),
            row("ecommerce.product.created", "product", State, Products),
            row("ecommerce.product.updated", "product", State, Products),
            row("ecommerce.product.deleted", "product", Delete, Products),
            row("ecommerce.customer.created", "customer", State, Customers),
            row("ecommerce.customer.updated", "customer", State, Customers),
            row("ecommerce.customer.deleted", "customer", Delete, Customers),
            row("vault.connection.created", "connection", State, Other),
            row("vault.connection.updated", "connection", State, Other),
            row("vault.connection.disabled", "connection", State, Other),
            row("vault.connection.deleted", "connection", Delete, Other),
            row("vault.connection.callable", "connection", State, Other),
            row("vault.connection.revoked", "connection", State, Other),
            row("vault.connection.migrated", "connection", State, Other),
            // These say how an attempt went, not what a connection has become.
            row(
                "vault.connection.token_refresh.failed",
                "connection",
                Fact,
                Other,
            ),
            row(
                "vault.connection.token_refresh.pending",
                "connection",
                Fact,
                Other,
            ),
            row(
                "vault.connection.token_refresh.recovered",
                "connection",
                Fact,
                Other,
            ),
            row(
                "vault.connection.downstream.degraded",
                "connection",
                Fact,
                Other,
            ),
            row(
                "vault.connection.downstream.recovered",
                "connection",
                Fact,
                Other,
            ),
        ]
    },
};

/// A row of the table. Every payload says when its event occurred, so every kind is ordered by that: a record that a
/// connector archives and brings back is there again.
const fn row(name: &'static str, kind: &'static str, effect: Effect, lane: Lane) -> TypeRow {
    crate::row(name, kind, effect, lane).timed()
}

/// Apideck's webhooks.
#[derive(Debug)]
pub struct Apideck;

impl Protocol for Apideck {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn screen(&self, request: Request<'_>) -> Result<Screened, ProofError> {
        match hook::is_greeting(request) {
            true => Ok(Screened::Greeting),
            false => hook::offer(request.headers).map(Screened::Delivery),
        }
    }

    fn signed<'a>(&self, request: Request<'a>, form: Form) -> Option<Cow<'a, [u8]>> {
        hook::signed(request.body, form)
    }

    fn split<'a>(&self, delivery: Delivery<'a>) -> Result<Split<'a>, Unreadable> {
        hook::split(delivery.body)
    }

    /// A webhook is for one unified API. That of `ecommerce` is not named: there were accounts before there were parts.
    fn part<'t>(&self, event_type: &'t str) -> &'t str {
        match event_type.split_once('.') {
            Some((api, _)) if !event_type.starts_with(ECOMMERCE) => api,
            _ => "",
        }
    }

    fn retry_key(&self, delivery: Delivery<'_>, body: BodyHash) -> RetryKey {
        hook::retry_key(delivery.body, body)
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
}

/// The row of a type that this release knows. Any other reads as `{unified API}.{kind}.{verb}`, and takes the lane of
/// a kind that is known. The kinds of other unified APIs keep their API's name: a customer of `accounting` is another
/// record than one of `ecommerce`.
fn meaning(event_type: &EventType) -> Meaning {
    if let Some(row) = FACTS.row(event_type) {
        return row.meaning();
    }
    let meaning = by_last_dot(event_type);
    let kind = [ECOMMERCE, VAULT]
        .into_iter()
        .find_map(|api| meaning.kind.strip_prefix(api))
        .filter(|kind| !kind.is_empty())
        .unwrap_or(&meaning.kind);
    let of_kind = FACTS.types.iter().find(|row| row.kind == kind);
    Meaning {
        lane: of_kind.map_or(Lane::Other, |row| row.lane),
        kind: kind.to_owned().into(),
        effect: meaning.effect,
        timed: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("ecommerce.order.created", "order", Effect::State, Lane::Orders)]
    #[case("ecommerce.product.deleted", "product", Effect::Delete, Lane::Products)]
    #[case(
        "ecommerce.customer.updated",
        "customer",
        Effect::State,
        Lane::Customers
    )]
    #[case("vault.connection.deleted", "connection", Effect::Delete, Lane::Other)]
    #[case(
        "vault.connection.token_refresh.failed",
        "connection",
        Effect::Fact,
        Lane::Other
    )]
    #[case::a_new_verb("ecommerce.order.paid", "order", Effect::State, Lane::Orders)]
    #[case::a_new_verb_of_the_vault(
        "vault.connection.paused",
        "connection",
        Effect::State,
        Lane::Other
    )]
    #[case::a_new_kind("ecommerce.refund.deleted", "refund", Effect::Delete, Lane::Other)]
    #[case::of_another_api(
        "accounting.customer.deleted",
        "accounting.customer",
        Effect::Delete,
        Lane::Other
    )]
    #[case::a_kind_without_an_api("order.updated", "order", Effect::State, Lane::Orders)]
    #[case::an_api_alone("ecommerce.updated", "ecommerce", Effect::State, Lane::Other)]
    #[case::no_kind("ecommerce..updated", "ecommerce.", Effect::State, Lane::Other)]
    #[case::of_one_word("ping", "ping", Effect::State, Lane::Other)]
    fn a_type_tells_what_its_events_mean(
        #[case] name: &str,
        #[case] kind: &str,
        #[case] effect: Effect,
        #[case] lane: Lane,
    ) {
        let found = meaning(&name.parse().unwrap());
        assert_eq!(
            (&*found.kind, found.effect, found.lane, found.timed),
            (kind, effect, lane, true)
        );
    }

    #[test]
    fn each_unified_api_is_a_part() {
        let shared = crate::shared_types(domain::source::Source::Apideck);
        assert_eq!(shared.len(), 9);
        assert!(shared.iter().all(|row| row.name.starts_with(ECOMMERCE)));
        for row in FACTS.types {
            let is_ecommerce = row.name.starts_with(ECOMMERCE);
            let part = if is_ecommerce { "" } else { "vault" };
            assert_eq!(Apideck.part(row.name), part, "{}", row.name);
        }
        assert_eq!(Apideck.part("ping"), "");
    }

    #[test]
    fn a_delivery_s_headers_and_credentials_are_kept_apart() {
        for header in FACTS.headers {
            assert!(header.starts_with("x-apideck-") && !header.contains("signature"));
        }
        let secret = FACTS
            .life_cycle
            .credentials
            .iter()
            .find(|field| field.is_secret);
        assert_eq!(secret.map(|field| field.name), Some("api_key"));
        assert_eq!(
            FACTS.life_cycle.keys,
            KeyOrigin::Credential("api_key"),
            "what signs is a credential"
        );
    }
}
