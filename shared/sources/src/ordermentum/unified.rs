//! Ordermentum's orders and purchasers in the unified form.
//!
//! | type | becomes |
//! |---|---|
//! | `order_created`, `order_updated` | `order.created`, `order.updated` |
//! | `purchaser_created`, `purchaser_updated` | `customer.created`, `customer.updated` |
//! | `invoice_*`, `credit_note_*` | nothing |
//!
//! A record may be whole, or thin: its id, its total and its times alone. Of a thin one nothing is said about its status,
//! which is not the same as an unknown status. Ordermentum prints `{}` where it means `null`. Inferred, not documented:
//! the members of `retailerAddress`.
//!
//! <https://docs.ordermentum.io>

use domain::unified::{Unified, UnifiedType};
use serde_json::value::RawValue;

use crate::unified::{
    Activity, Customer, CustomerAddress, EmailKind, Emails, FulfillmentStatus, LineItem, Order,
    OrderAddress, OrderCustomer, OrderStatus, PaymentStatus, Record, event, phones, unless_empty,
};

/// The unified form of an event; none for a type that has none, and for a record without an id.
#[must_use]
pub(super) fn unified(event_type: &str, record: &RawValue) -> Option<Unified> {
    let unified = match event_type {
        "order_created" => UnifiedType::OrderCreated,
        "order_updated" => UnifiedType::OrderUpdated,
        "purchaser_created" => UnifiedType::CustomerCreated,
        "purchaser_updated" => UnifiedType::CustomerUpdated,
        _ => return None,
    };
    let record = Record::read(record)?;
    let id = record.id("id")?;
    match unified {
        UnifiedType::OrderCreated | UnifiedType::OrderUpdated => {
            event(unified, &order(id, &record))
        }
        _ => event(unified, &customer(id, &record)),
    }
}

fn order(id: String, record: &Record<'_>) -> Order {
    let status = record.text("status");
    let is = |word: &str| {
        status
            .as_ref()
            .is_some_and(|status| status.eq_ignore_ascii_case(word))
    };
    let is_set = |name: &str| record.text(name).is_some();
    let is_cancelled = is_set("cancelledAt") || is("Cancelled");
    let is_delivered = is_set("deliveredAt");
    let is_paid = is_set("paidAt") || is("Paid");
    let is_whole = status.is_some();
    Order {
        id,
        order_number: record.id("orderNumber").or_else(|| record.id("number")),
        sub_total: record.plain("subtotal"),
        shipping_cost: record
            .plain("totalFreight")
            .or_else(|| record.plain("freight")),
        total_tax: record.plain("totalGst"),
        total_amount: record.plain("total"),
        status: match (is_cancelled, is_delivered, is_whole) {
            (true, _, _) => Some(OrderStatus::Cancelled),
            (false, true, _) => Some(OrderStatus::Completed),
            (false, false, true) => Some(OrderStatus::Active),
            (false, false, false) => None,
        },
        payment_status: match (is_paid, is_whole) {
            (true, _) => Some(PaymentStatus::Paid),
            (false, true) => Some(PaymentStatus::Pending),
            (false, false) => None,
        },
        fulfillment_status: match (is_delivered, is_cancelled, is_whole) {
            (true, _, _) => Some(FulfillmentStatus::Delivered),
            (false, true, _) => Some(FulfillmentStatus::Cancelled),
            (false, false, true) => Some(FulfillmentStatus::Unknown),
            (false, false, false) => None,
        },
        payment_method: record.text("paymentMethodType"),
        customer: order_customer(record),
        shipping_address: record.record("retailerAddress").and_then(|address| {
            unless_empty(OrderAddress {
                line1: address.text("street1"),
                line2: address.text("street2"),
                company_name: None,
                city: address.text("suburb"),
                state: address.text("state"),
                postal_code: address.id("postcode"),
                country: address.text("country"),
            })
        }),
        line_items: record
            .records("lineItems")
            .map(|lines| lines.iter().map(item).collect()),
        note: record.text("comment"),
        created_at: record.time("createdAt"),
        updated_at: record.time("updatedAt"),
        ..Order::default()
    }
}

fn order_customer(record: &Record<'_>) -> Option<OrderCustomer> {
    let purchaser = record.record("purchaser");
    let of_purchaser = |name: &str| purchaser.as_ref()?.text(name);
    let mut emails = Emails::default();
    emails.add(of_purchaser("retailerEmail"), EmailKind::Primary);
    unless_empty(OrderCustomer {
        id: record.id("purchaserId"),
        name: record.text("retailerName"),
        company_name: of_purchaser("retailerLegalName"),
        phone_numbers: phones(of_purchaser("retailerPhone")),
        emails: emails.list(),
        ..OrderCustomer::default()
    })
}

fn item(line: &Record<'_>) -> LineItem {
    LineItem {
        id: line.id("id"),
        product_id: line.id("productId"),
        sku: line.text("SKU"),
        name: line.text("name"),
        quantity: line.plain("quantity"),
        unit_price: line.plain("price"),
        sub_total: line.plain("subtotal"),
        ..LineItem::default()
    }
}

fn customer(id: String, record: &Record<'_>) -> Customer {
    let mut emails = Emails::default();
    emails.add(record.text("retailerEmail"), EmailKind::Primary);
    let line1 = record.text("retailerAddressLine");
    let address = |line1| CustomerAddress {
        line1: Some(line1),
        ..CustomerAddress::default()
    };
    Customer {
        id,
        name: record
            .text("retailerTradingName")
            .or_else(|| record.text("name")),
        company_name: record.text("retailerLegalName"),
        status: record
            .flag("disabled")
            .map(|is_disabled| match is_disabled {
                true => Activity::Archived,
                false => Activity::Active,
            }),
        emails: emails.list(),
        phone_numbers: phones(record.text("retailerPhone")),
        addresses: line1.map(|line1| vec![address(line1)]),
        created_at: record.time("createdAt"),
        updated_at: record.time("updatedAt"),
        ..Customer::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    const ORDER: &str = r#"{"id":"3f6f1b9e-7a44-4c1d-8f0e-1a2b3c4d5e01","createdAt":"2026-11-20T11:58:30.120Z","updatedAt":"2026-11-20T12:03:10.340Z","orderNumber":"OM1001","status":"Placed","purchaserId":"8d2b6f3e","retailerName":"Corner Cafe","retailerAddress":{"street1":"1 Example Street","street2":"","suburb":"Sampleton","state":"NSW","postcode":2000,"country":"Australia"},"comment":{},"freight":10.5,"totalFreight":10.50,"subtotal":135.0,"totalGst":4.75,"total":150.25,"paymentMethodType":"card","paidAt":{},"cancelledAt":null,"purchaser":{"retailerEmail":"accounts@example.com","retailerPhone":"+61200000000","retailerLegalName":"Corner Cafe Example Pty Ltd"},"lineItems":[{"id":"a1c0ffee","name":"Sourdough 1 kg","SKU":"BRD-001","productId":"b2c0ffee","price":"13.50","quantity":10,"subtotal":"135.00"}]}"#;

    fn rendered(event_type: &str, record: &Value) -> Value {
        let text = record.to_string();
        rendered_text(event_type, &text)
    }

    fn rendered_text(event_type: &str, record: &str) -> Value {
        let unified = unified(event_type, serde_json::from_str(record).unwrap()).unwrap();
        serde_json::from_str(&unified.resource).unwrap()
    }

    #[test]
    fn a_whole_order() {
        let order = rendered_text("order_created", ORDER);
        assert_eq!(order["order_number"], "OM1001");
        let amounts = ["sub_total", "shipping_cost", "total_tax", "total_amount"];
        let amounts = amounts.map(|name| &order[name]);
        assert_eq!(amounts, ["135.0", "10.50", "4.75", "150.25"]);
        let customer = &order["customer"];
        assert_eq!(customer["id"], "8d2b6f3e");
        assert_eq!(customer["company_name"], "Corner Cafe Example Pty Ltd");
        assert_eq!(customer["emails"][0]["email"], "accounts@example.com");
        assert_eq!(order["shipping_address"]["city"], "Sampleton");
        assert_eq!(order["shipping_address"]["postal_code"], "2000");
        assert_eq!(order["line_items"][0]["sku"], "BRD-001");
        assert_eq!(order["line_items"][0]["unit_price"], "13.50");
        assert_eq!(order["note"], Value::Null, "printed as an empty object");
    }

    #[rstest]
    #[case::placed(json!({}), ["active", "pending", "unknown"])]
    #[case::paid_by_its_status(json!({ "status": "paid" }), ["active", "paid", "unknown"])]
    #[case::paid_by_its_time(json!({ "paidAt": "2026-11-20T12:03:09.000Z" }), ["active", "paid", "unknown"])]
    #[case::cancelled_by_its_status(json!({ "status": "CANCELLED" }), ["cancelled", "pending", "cancelled"])]
    #[case::cancelled_by_its_time(json!({ "cancelledAt": "2026-11-20T12:03:09.000Z" }), ["cancelled", "pending", "cancelled"])]
    #[case::delivered(json!({ "deliveredAt": "2026-11-20T12:03:09.000Z" }), ["completed", "pending", "delivered"])]
    fn statuses(#[case] fields: Value, #[case] expected: [&str; 3]) {
        let mut record: Value = serde_json::from_str(ORDER).unwrap();
        let members = record.as_object_mut().unwrap();
        members.extend(fields.as_object().unwrap().clone());
        let order = rendered("order_updated", &record);
        let found = ["status", "payment_status", "fulfillment_status"].map(|name| &order[name]);
        assert_eq!(found, expected);
    }

    #[test]
    fn a_thin_order_says_what_it_says_and_no_more() {
        let record = json!({ "id": "1", "createdAt": "2026-11-20T11:58:30.120Z", "updatedAt": "2026-11-20T11:58:30.120Z", "total": 150.25 });
        let order = rendered("order_created", &record);
        let said = order
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| !value.is_null());
        let said: Vec<_> = said.map(|(name, _)| name.as_str()).collect();
        assert_eq!(said, ["created_at", "id", "total_amount", "updated_at"]);
    }

    #[rstest]
    #[case(json!(false), json!("active"))]
    #[case(json!(true), json!("archived"))]
    #[case(json!({}), json!(null))]
    fn purchasers(#[case] disabled: Value, #[case] status: Value) {
        let record = json!({ "id": "8d2b", "name": "Cafe", "retailerTradingName": "Corner Cafe", "retailerLegalName": "Corner Pty",
            "retailerPhone": "+612", "retailerEmail": "a@x.com", "retailerAddressLine": "1 Street", "disabled": disabled });
        let customer = rendered("purchaser_updated", &record);
        assert_eq!(customer["status"], status);
        assert_eq!(customer["name"], "Corner Cafe");
        assert_eq!(customer["company_name"], "Corner Pty");
        assert_eq!(customer["emails"][0]["email"], "a@x.com");
        assert_eq!(customer["phone_numbers"][0]["number"], "+612");
        assert_eq!(customer["addresses"][0]["line1"], "1 Street");
        assert_eq!(customer["addresses"][0]["type"], "other");
        let plain = rendered(
            "purchaser_created",
            &json!({ "id": "8d2b", "name": "Cafe" }),
        );
        assert_eq!(
            (&plain["name"], &plain["addresses"]),
            (&json!("Cafe"), &json!(null))
        );
    }

    #[rstest]
    #[case("invoice_created", r#"{"id":"1"}"#)]
    #[case("credit_note_updated", r#"{"id":"1"}"#)]
    #[case("order.created", r#"{"id":"1"}"#)]
    #[case("order_created", r#"{"total":1}"#)]
    #[case("order_created", "7")]
    fn what_has_no_unified_form(#[case] event_type: &str, #[case] record: &str) {
        assert_eq!(
            unified(event_type, serde_json::from_str(record).unwrap()),
            None
        );
    }
}
