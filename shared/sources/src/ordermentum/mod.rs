//! Ordermentum, a wholesale ordering platform for food and beverage: <https://docs.ordermentum.io>.

#[cfg(feature = "api")]
pub mod api;
mod hook;
mod unified;

use std::borrow::Cow;

use domain::delivery::{Delivery, Request, Split, Unreadable};
use domain::event::{Effect, EventType, Meaning, TypeRow};
use domain::lane::Lane;
use domain::signature::{Form, LiveSecrets, Policy, ProofError, Screened};
use domain::subscription::{CredentialField, KeyOrigin, LifeCycle};
use domain::timestamp::Timestamp;
use domain::unified::Unified;
use serde_json::value::RawValue;

use crate::{Facts, Protocol, SignedDelivery, row};

static FACTS: Facts = Facts {
    title: "Ordermentum",
    // Any 2xx is a success.
    success: 200,
    policy: Policy::Require,
    headers: &[],
    life_cycle: LifeCycle {
        credentials: &[
            CredentialField {
                name: "api_key",
                is_secret: true,
            },
            CredentialField {
                name: "supplier_id",
                is_secret: false,
            },
        ],
        // The registering call takes credentials and headers that every delivery then has.
        keys: KeyOrigin::OursSent,
        rotates: true,
        // That a webhook is disabled is not shown, and no call to enable one is documented.
        enables: false,
        // "Fails after three unsuccessful attempts": whether the first is one of the three is not said, so it is.
        attempts: Some(3),
        // A 429 exists; how long it lasts is not said.
        quiet_seconds: 60,
    },
    // No type says that a record is gone: a cancelled credit note is one more state of it.
    types: {
        use Lane::{Billing, Customers, Orders};
        &[
            state("order_created", "order", Orders),
            state("order_updated", "order", Orders),
            state("purchaser_created", "purchaser", Customers),
            state("purchaser_updated", "purchaser", Customers),
            state("invoice_created", "invoice", Billing),
            state("invoice_updated", "invoice", Billing),
            state("credit_note_created", "credit_note", Billing),
            state("credit_note_updated", "credit_note", Billing),
            state("credit_note_completed", "credit_note", Billing),
            state("credit_note_cancelled", "credit_note", Billing),
        ]
    },
};

/// The row of a type that brings a state of its record, with the time of that state.
const fn state(name: &'static str, kind: &'static str, lane: Lane) -> TypeRow {
    row(name, kind, Effect::State, lane).timed()
}

/// Ordermentum's webhooks.
#[derive(Debug)]
pub struct Ordermentum;

impl Protocol for Ordermentum {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn screen(&self, request: Request<'_>) -> Result<Screened, ProofError> {
        hook::offer(request.headers).map(Screened::Delivery)
    }

    fn signed<'a>(&self, _request: Request<'a>, _form: Form) -> Option<Cow<'a, [u8]>> {
        // Nothing is signed: a delivery repeats what we sent when we registered.
        None
    }

    fn split<'a>(&self, delivery: Delivery<'a>) -> Result<Split<'a>, Unreadable> {
        hook::split(delivery.body)
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
        meaning(event_type)
    }

    /// The older way to an access token, where the API key is refused.
    fn optional_credentials(&self) -> &'static [CredentialField] {
        const LOGIN: [CredentialField; 2] = [
            CredentialField {
                name: "username",
                is_secret: false,
            },
            CredentialField {
                name: "password",
                is_secret: true,
            },
        ];
        &LOGIN
    }

    fn unified(&self, event_type: &EventType, record: &RawValue) -> Option<Unified> {
        unified::unified(event_type.as_str(), record)
    }
}

/// The row of a type that this release knows. Any other brings a state: of the kind that its name begins with, in that
/// kind's lane, or else of a kind of its own, which is the name without its last word.
fn meaning(event_type: &EventType) -> Meaning {
    if let Some(row) = FACTS.row(event_type) {
        return row.meaning();
    }
    let name = event_type.as_str();
    let of_kind = FACTS.types.iter().filter(|row| begins_with(name, row.kind));
    match of_kind.max_by_key(|row| row.kind.len()) {
        Some(row) => row.meaning(),
        None => {
            let kind = name.rsplit_once('_').map_or(name, |(kind, _)| kind);
            // A name that is one word behind a line has no other kind than itself.
            let kind = if kind.is_empty() { name } else { kind };
            Meaning {
                kind: kind.to_owned().into(),
                effect: Effect::State,
                lane: Lane::Other,
                timed: true,
            }
        }
    }
}

/// Whether a name is this kind's, or begins with it and goes on with another word.
fn begins_with(name: &str, kind: &str) -> bool {
    name.strip_prefix(kind)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("order_created", "order", Lane::Orders)]
    #[case("purchaser_updated", "purchaser", Lane::Customers)]
    #[case("invoice_created", "invoice", Lane::Billing)]
    #[case("credit_note_cancelled", "credit_note", Lane::Billing)]
    #[case::of_a_known_kind("order_archived", "order", Lane::Orders)]
    #[case::that_seems_to_delete("order_deleted", "order", Lane::Orders)]
    #[case::of_several_words("credit_note_sent_again", "credit_note", Lane::Billing)]
    #[case::of_another_version("invoice_updated@v2", "invoice", Lane::Billing)]
    #[case::of_another_spelling("order.updated", "order", Lane::Orders)]
    #[case::a_kind_alone("purchaser", "purchaser", Lane::Customers)]
    #[case::of_a_kind_that_begins_alike("orders_created", "orders", Lane::Other)]
    #[case::of_a_part_of_a_kind("credit_created", "credit", Lane::Other)]
    #[case::of_a_new_kind("refund_created", "refund", Lane::Other)]
    #[case::of_a_new_kind_of_two_words("price_list_deleted", "price_list", Lane::Other)]
    #[case::of_one_word("ping", "ping", Lane::Other)]
    #[case::of_a_word_behind_a_line("_created", "_created", Lane::Other)]
    #[case::of_a_dotted_delete("refund.deleted", "refund.deleted", Lane::Other)]
    fn every_type_brings_a_state(#[case] name: &str, #[case] kind: &str, #[case] lane: Lane) {
        let expected = Meaning {
            kind: kind.to_owned().into(),
            effect: Effect::State,
            lane,
            timed: true,
        };
        assert_eq!(meaning(&name.parse().unwrap()), expected);
    }
}
