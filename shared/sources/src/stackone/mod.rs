//! StackOne, a platform that relays events of many commerce systems: <https://docs.stackone.com/guides/webhooks>.

mod hook;

use std::borrow::Cow;

use domain::delivery::{Delivery, Request, Split, Unreadable};
use domain::event::{Effect, EventType, Meaning, TypeRow};
use domain::lane::Lane;
use domain::signature::{Form, LiveSecrets, Policy, ProofError, Screened};
use domain::subscription::{KeyOrigin, LifeCycle};
use domain::timestamp::Timestamp;
use domain::unified::Unified;
use serde_json::value::RawValue;

use crate::json::{fields, text_of};
use crate::{Facts, Protocol, SignedDelivery, by_last_dot, orderspace};

/// The way in which StackOne signs: an HMAC-SHA256 over the raw body.
const RAW_BODY: Form = Form("raw_body");

static FACTS: Facts = Facts {
    title: "StackOne",
    success: 200,
    policy: Policy::Require,
    headers: &[],
    // No public call registers a webhook: a person enters our URL on the dashboard, and gives us the `signing_secrets` that
    // it shows. There are no credentials to ask for.
    life_cycle: LifeCycle {
        credentials: &[],
        keys: KeyOrigin::TheirsGiven,
        rotates: false,
        enables: false,
        attempts: None,
        quiet_seconds: 60,
    },
    types: {
        use Effect::{Delete, Fact, Occurrence, State};
        use Lane::{Billing, Customers, Inventory, Orders, Other, Products};
        &[
            // Events of the platform.
            row("account.created", "account", State, Other),
            row("account.updated", "account", State, Other),
            row("account.deleted", "account", Delete, Other),
            row("account.error", "account", Fact, Other),
            row("account.expired", "account", Fact, Other),
            row("request.failed", "request", Fact, Other),
            // Events of connectors. Orderspace's are documented, and mean what they mean there.
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
            row("payment.created", "payment", Occurrence, Billing),
            row("product.created", "product", State, Products),
            row("product.updated", "product", State, Products),
            row("product.deleted", "product", Delete, Products),
        ]
    },
};

/// A row of the table. Wherever a delivery has a time, the events of a record are ordered by it; forms without one are
/// ordered by first sight. All of a kind have to agree, whoever relays it, so every kind does.
const fn row(name: &'static str, kind: &'static str, effect: Effect, lane: Lane) -> TypeRow {
    crate::row(name, kind, effect, lane).timed()
}

/// StackOne's webhooks.
#[derive(Debug)]
pub struct StackOne;

impl Protocol for StackOne {
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
        at: Timestamp,
    ) -> Option<SignedDelivery> {
        hook::signed_delivery(secrets, event_type, record, at)
    }

    fn meaning(&self, event_type: &EventType) -> Meaning {
        meaning(event_type)
    }

    fn unified(&self, event_type: &EventType, record: &RawValue) -> Option<Unified> {
        is_orderspace_s(event_type, record)
            .then(|| orderspace::unified(event_type.as_str(), record))?
    }
}

/// Whether a record is Orderspace's own, which is passed on as it stands. Nothing beside the record says whose it is; each
/// kind of Orderspace's has ids with a beginning of its own, and the other systems' ids have none of them.
fn is_orderspace_s(event_type: &EventType, record: &RawValue) -> bool {
    let beginning = match &*meaning(event_type).kind {
        "order" => "or_",
        "product" => "pr_",
        "customer" => "cu_",
        _ => return false,
    };
    let id = fields(record, ["id"]).and_then(|[id]| text_of(id?));
    id.is_some_and(|id| id.starts_with(beginning))
}

/// The row of a type that this release knows; any other reads as `{kind}.{verb}`, and takes the lane of a kind that is
/// known.
fn meaning(event_type: &EventType) -> Meaning {
    if let Some(row) = FACTS.row(event_type) {
        return row.meaning();
    }
    let meaning = by_last_dot(event_type);
    let of_kind = FACTS.types.iter().find(|row| row.kind == meaning.kind);
    Meaning {
        lane: of_kind.map_or(Lane::Other, |row| row.lane),
        timed: true,
        ..meaning
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::source::Source;
    use rstest::rstest;

    #[rstest]
    #[case("order.deleted", "order", Effect::Delete, Lane::Orders)]
    #[case("payment.created", "payment", Effect::Occurrence, Lane::Billing)]
    #[case("account.deleted", "account", Effect::Delete, Lane::Other)]
    #[case("account.error", "account", Effect::Fact, Lane::Other)]
    #[case::of_a_known_kind("order.paid", "order", Effect::State, Lane::Orders)]
    #[case::of_a_new_kind("refund.deleted", "refund", Effect::Delete, Lane::Other)]
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

    #[rstest]
    #[case::relayed("order.created", r#"{"id":"or_ex1","number":1001}"#, true)]
    #[case::deleted("product.deleted", r#"{"id":"pr_ex1","deleted":true}"#, true)]
    #[case::a_customer("customer.updated", r#"{"id":"cu_ex1"}"#, true)]
    #[case::of_another_provider("order.created", r#"{"id":"1001"}"#, false)]
    #[case::of_another_kind("order.created", r#"{"id":"pr_ex1"}"#, false)]
    #[case::without_a_form("dispatch.created", r#"{"id":"di_ex1"}"#, false)]
    #[case::without_an_id("order.created", r#"{"provider":"orderspace"}"#, false)]
    #[case::no_object("order.created", "7", false)]
    fn only_orderspace_s_records_have_a_unified_form(
        #[case] event_type: &str,
        #[case] record: &str,
        #[case] has: bool,
    ) {
        let event_type: EventType = event_type.parse().unwrap();
        let record = serde_json::from_str(record).unwrap();
        let unified = StackOne.unified(&event_type, record);
        assert_eq!(unified.is_some(), has);
        let at_orderspace = orderspace::unified(event_type.as_str(), record);
        assert!(!has || unified == at_orderspace);
    }

    /// But for its order: StackOne says when it happened, and Orderspace does not.
    #[test]
    fn what_is_relayed_from_orderspace_means_what_it_means_there() {
        for row in crate::protocol(Source::Orderspace).facts().types {
            let event_type: EventType = row.name.parse().unwrap();
            assert_eq!(meaning(&event_type), row.timed().meaning());
        }
    }
}
