//! OneStock's orders in the unified form.
//!
//! | topic | becomes |
//! |---|---|
//! | `order_state_changed` | `order.updated`, with id, status and time alone |
//! | any other | nothing: parcels, items and imports are neither orders nor products |
//!
//! A message says which state an order has now, and nothing else of it. States are each site's own, so the status is
//! `other`: a team that knows its site maps them from the native event.
//!
//! <https://onestock.atlassian.net/wiki/spaces/DOCUMENTAT/pages/620429319/>

use domain::unified::{Unified, UnifiedType};
use serde_json::value::RawValue;

use crate::unified::{Order, OrderStatus, Record, event};

/// The unified form of an event; none for a topic that has none, and for a message without an order's id.
#[must_use]
pub(super) fn unified(event_type: &str, record: &RawValue) -> Option<Unified> {
    if event_type != "order_state_changed" {
        return None;
    }
    let record = Record::read(record)?;
    let order = Order {
        id: record.id("order_id")?,
        status: record.id("new_state").map(|_| OrderStatus::Other),
        updated_at: record.moment("date"),
        ..Order::default()
    };
    event(UnifiedType::OrderUpdated, &order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case::seconds(json!(1_795_176_000), json!("2026-11-20T12:00:00.000Z"))]
    #[case::milliseconds(json!(1_795_176_000_123_u64), json!("2026-11-20T12:00:00.123Z"))]
    #[case::seconds_as_text(json!("1795176000"), json!("2026-11-20T12:00:00.000Z"))]
    #[case::as_text(json!("2026-11-20T13:00:00+01:00"), json!("2026-11-20T13:00:00+01:00"))]
    #[case::negative(json!(-1), json!(null))]
    #[case::a_fraction(json!(1.5), json!(null))]
    #[case::beyond_all_years(json!(u64::MAX), json!(null))]
    #[case::words(json!("soon"), json!(null))]
    #[case::null(json!(null), json!(null))]
    fn a_state_of_an_order(#[case] date: Value, #[case] updated_at: Value) {
        let text = json!({ "order_id": "ORD-1001", "date": date, "old_state": "new", "new_state": "placed" }).to_string();
        let unified = unified("order_state_changed", serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(unified.event_type, UnifiedType::OrderUpdated);
        let order: Value = serde_json::from_str(&unified.resource).unwrap();
        assert_eq!(
            (&order["id"], &order["status"]),
            (&json!("ORD-1001"), &json!("other"))
        );
        assert_eq!(order["updated_at"], updated_at);
        let said = order
            .as_object()
            .unwrap()
            .values()
            .filter(|value| !value.is_null());
        assert_eq!(said.count(), 2 + usize::from(!updated_at.is_null()));
    }

    #[rstest]
    #[case::a_parcel("parcel_state_changed", r#"{"order_id":"1"}"#)]
    #[case::an_import("async_customer_import_completed", r#"{"import_id":"1"}"#)]
    #[case::no_id("order_state_changed", r#"{"date":1}"#)]
    #[case::no_object("order_state_changed", "[]")]
    fn what_has_no_unified_form(#[case] event_type: &str, #[case] record: &str) {
        assert_eq!(
            unified(event_type, serde_json::from_str(record).unwrap()),
            None
        );
    }
}
