//! Orderspace's orders, products and customers in the unified form.
//!
//! | type | becomes |
//! |---|---|
//! | `order.*`, `product.*`, `customer.*` that are documented | the same verb |
//! | `dispatch`, `invoice`, `payment`, `inventory_level` | nothing: none of them is an order or a product |
//!
//! Not documented, and so read with care: whether `paid` and `dispatched` of an order line count pieces.
//!
//! <https://apidocs.orderspace.com>

use std::collections::{BTreeMap, BTreeSet};

use domain::decimal::Amount;
use domain::unified::{UNIFIED_PREFIX, Unified, UnifiedType};
use serde_json::value::RawValue;

use crate::json::text_of;
use crate::unified::{
    Activity, Category, Customer, CustomerAddress, Deleted, EmailKind, Emails, FulfillmentStatus,
    Image, LineItem, OptionValue, Order, OrderAddress, OrderCustomer, OrderStatus, PaymentStatus,
    Product, ProductOption, Record, Variant, event, phones, unless_empty,
};

/// The most options of an order line that are read.
const MOST_OPTIONS: usize = 50;

/// The unified form of an event; none for a type that has none, and for a record without an id.
pub(crate) fn unified(event_type: &str, record: &RawValue) -> Option<Unified> {
    let has_name =
        |unified: &UnifiedType| unified.as_str().strip_prefix(UNIFIED_PREFIX) == Some(event_type);
    let unified = UnifiedType::ALL.into_iter().find(has_name)?;
    let record = Record::read(record)?;
    let id = record.id("id")?;
    match unified {
        UnifiedType::OrderCreated | UnifiedType::OrderUpdated => {
            event(unified, &order(id, &record))
        }
        UnifiedType::ProductCreated | UnifiedType::ProductUpdated => {
            event(unified, &product(id, &record))
        }
        UnifiedType::CustomerCreated | UnifiedType::CustomerUpdated => {
            event(unified, &customer(id, &record))
        }
        UnifiedType::OrderDeleted | UnifiedType::ProductDeleted | UnifiedType::CustomerDeleted => {
            event(unified, &Deleted { id })
        }
    }
}

fn order(id: String, record: &Record<'_>) -> Order {
    let lines = Lines::of(record);
    let (net, gross) = (record.amount("net_total"), record.amount("gross_total"));
    let tax = gross.zip(net).and_then(|(gross, net)| gross.minus(net));
    let status = record.text("status");
    let status = status.as_deref().map(order_status);
    let name = record.text("company_name");
    let mut emails = Emails::default();
    if let Some(fields) = record.record("email_addresses") {
        add_emails(&mut emails, &fields);
    }
    let customer = OrderCustomer {
        id: record.id("customer_id"),
        name: name.clone(),
        company_name: name,
        phone_numbers: phones(record.text("phone")),
        emails: emails.list(),
        ..OrderCustomer::default()
    };
    Order {
        id,
        order_number: record.id("number"),
        currency: record.currency("currency"),
        discounts: Some([]),
        sub_total: lines.sum(false),
        shipping_cost: lines.sum(true),
        total_tax: tax.map(|tax| tax.to_string()),
        total_amount: record.plain("gross_total"),
        // Prices of lines are net.
        tax_inclusive: Some(false),
        status,
        payment_status: Some(match lines.progress("paid") {
            Some(Progress::All) => PaymentStatus::Paid,
            Some(Progress::Some) => PaymentStatus::Partial,
            Some(Progress::None) => PaymentStatus::Pending,
            None => PaymentStatus::Unknown,
        }),
        fulfillment_status: Some(match (status, lines.progress("dispatched")) {
            (Some(OrderStatus::Cancelled), _) => FulfillmentStatus::Cancelled,
            (_, Some(Progress::All)) => FulfillmentStatus::Shipped,
            (_, Some(Progress::Some)) => FulfillmentStatus::Partial,
            (_, Some(Progress::None)) => FulfillmentStatus::Pending,
            (_, None) => FulfillmentStatus::Unknown,
        }),
        customer: unless_empty(customer),
        billing_address: order_address(record.record("billing_address")),
        shipping_address: order_address(record.record("shipping_address")),
        tracking: Some([]),
        line_items: lines.items(),
        note: record.text("customer_note"),
        refunds: Some([]),
        created_at: record.time("created"),
        ..Order::default()
    }
}

fn order_status(status: &str) -> OrderStatus {
    match status {
        "new" | "invoiced" | "released" | "part_fulfilled" | "preorder" => OrderStatus::Active,
        "fulfilled" => OrderStatus::Completed,
        "cancelled" => OrderStatus::Cancelled,
        "standing_order" => OrderStatus::Other,
        _ => OrderStatus::Unknown,
    }
}

/// How far an order's lines have come.
enum Progress {
    None,
    Some,
    All,
}

/// An order's lines, shipping among them; none where the order has no list of them.
struct Lines<'a>(Option<Vec<Option<Record<'a>>>>);

impl<'a> Lines<'a> {
    fn of(record: &Record<'a>) -> Self {
        let lines = record.list("order_lines");
        Self(lines.map(|lines| lines.into_iter().map(Record::read).collect()))
    }

    /// The lines, if all of them can be read: a sum of some of them would be another sum.
    fn all(&self) -> Option<impl Iterator<Item = &Record<'a>>> {
        let lines = self.0.as_ref()?;
        let lines = lines.iter().map(Option::as_ref);
        Some(lines.collect::<Option<Vec<_>>>()?.into_iter())
    }

    /// The sum of the lines that are shipping, or of those that are not.
    fn sum(&self, shipping: bool) -> Option<String> {
        let mut sum = Amount::ZERO;
        for line in self.all()?.filter(|line| is_shipping(line) == shipping) {
            sum = sum.plus(line.amount("sub_total")?)?;
        }
        Some(sum.to_string())
    }

    /// How many of the pieces ordered are counted by this field. None where a line lacks it, or nothing is ordered.
    fn progress(&self, field: &str) -> Option<Progress> {
        let (mut all, mut any, mut ordered) = (true, false, false);
        for line in self.all()?.filter(|line| !is_shipping(line)) {
            let (quantity, done) = (line.amount("quantity")?, line.amount(field)?);
            if quantity.is_positive() {
                ordered = true;
                all &= done.reaches(quantity)?;
                any |= done.is_positive();
            }
        }
        ordered.then_some(match (all, any) {
            (true, _) => Progress::All,
            (false, true) => Progress::Some,
            (false, false) => Progress::None,
        })
    }

    /// What has been ordered.
    fn items(&self) -> Option<Vec<LineItem>> {
        let lines = self.0.as_ref()?.iter().flatten();
        Some(lines.filter(|line| !is_shipping(line)).map(item).collect())
    }
}

fn is_shipping(line: &Record<'_>) -> bool {
    line.flag("shipping") == Some(true)
}

fn item(line: &Record<'_>) -> LineItem {
    let (net, tax) = (line.amount("sub_total"), line.amount("tax_amount"));
    let total = net.zip(tax).and_then(|(net, tax)| net.plus(tax));
    let rate = line.amount("tax_rate").and_then(Amount::hundredth);
    LineItem {
        id: line.id("id"),
        sku: line.text("sku"),
        name: line.text("name"),
        options: Some(options(&line.text("options").unwrap_or_default())),
        quantity: line.plain("quantity"),
        unit_price: line.plain("unit_price"),
        tax_rate: rate.map(|rate| rate.to_string()),
        tax_amount: line.plain("tax_amount"),
        sub_total: line.plain("sub_total"),
        total_amount: total.map(|total| total.to_string()),
        discounts: Some([]),
        ..LineItem::default()
    }
}

/// The options in a text such as `Size: 16, Colour: Red`. Where a part has not exactly one `: ` a name or a value may
/// have a comma in it, and where it ends is a guess: then there are none.
fn options(text: &str) -> Vec<OptionValue> {
    let option = |part: &str| {
        let (name, value) = part.split_once(": ")?;
        let is_clear = !name.is_empty() && !value.is_empty() && !value.contains(": ");
        is_clear.then(|| OptionValue {
            id: None,
            name: Some(name.to_owned()),
            value: Some(value.to_owned()),
        })
    };
    let parts = text.split(", ").take(MOST_OPTIONS + 1);
    let options: Option<Vec<_>> = parts.map(option).collect();
    options
        .filter(|options| options.len() <= MOST_OPTIONS)
        .unwrap_or_default()
}

fn order_address(address: Option<Record<'_>>) -> Option<OrderAddress> {
    let address = address?;
    unless_empty(OrderAddress {
        line1: address.text("line1"),
        line2: address.text("line2"),
        company_name: address.text("company_name"),
        city: address.text("city"),
        state: address.text("state"),
        postal_code: address.text("postal_code"),
        country: address.text("country"),
    })
}

/// Adds the addresses to which Orderspace sends papers of each sort.
fn add_emails(emails: &mut Emails, fields: &Record<'_>) {
    emails.add(fields.text("orders"), EmailKind::Primary);
    emails.add(fields.text("invoices"), EmailKind::Billing);
    emails.add(fields.text("dispatches"), EmailKind::Other);
}

fn product(id: String, record: &Record<'_>) -> Product {
    let variants = record.records("product_variants");
    let only = match variants.as_deref() {
        Some([only]) => Some(only),
        _ => None,
    };
    let categories = record.records("categories").map(|categories| {
        let category = |category: &Record<'_>| Category {
            id: category.id("id"),
            name: category.text("name"),
        };
        categories.iter().map(category).collect()
    });
    Product {
        id,
        name: record.text("name"),
        description: record.text("description"),
        status: record.flag("active").map(|is_active| match is_active {
            true => Activity::Active,
            false => Activity::Archived,
        }),
        price: only.and_then(|only| only.plain("unit_price")),
        sku: only
            .and_then(|only| only.text("sku"))
            .or_else(|| record.text("code")),
        images: record.list("images").map(images),
        options: product_options(record, variants.as_deref().unwrap_or_default()),
        variants: variants
            .as_deref()
            .map(|variants| variants.iter().map(variant).collect()),
        tags: Some([]),
        categories,
        ..Product::default()
    }
}

/// Pictures, by their addresses or as objects that have one.
fn images(list: Vec<&RawValue>) -> Vec<Image> {
    let image = |json| {
        let url = match text_of(json) {
            Some(url) if !url.is_empty() => url.into_owned(),
            _ => Record::read(json)?.text("url")?,
        };
        Some(Image {
            id: None,
            url: Some(url),
        })
    };
    list.into_iter().filter_map(image).collect()
}

/// The options by the product's order of their names, with the values that its variants have, in the variants' order.
fn product_options(record: &Record<'_>, variants: &[Record<'_>]) -> Option<Vec<ProductOption>> {
    let names = record.list("variant_options")?;
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let options: Vec<_> = variants
        .iter()
        .filter_map(|v| v.record("options"))
        .collect();
    for (name, value) in options.iter().flat_map(Record::texts) {
        if seen.insert((name, value.clone())) {
            values
                .entry(name.to_owned())
                .or_default()
                .push(value.into_owned());
        }
    }
    let names: Vec<_> = names.into_iter().filter_map(text_of).collect();
    let mut shown = BTreeSet::new();
    let option = |name: &str| ProductOption {
        id: None,
        name: Some(name.to_owned()),
        values: values.remove(name).unwrap_or_default(),
    };
    let is_first = |name: &&str| !name.is_empty() && shown.insert((*name).to_owned());
    let names = names.iter().map(AsRef::as_ref).filter(is_first);
    Some(names.map(option).collect())
}

fn variant(variant: &Record<'_>) -> Variant {
    let options = variant.record("options").map(|options| {
        let option = |(name, value): (&str, std::borrow::Cow<'_, str>)| OptionValue {
            id: None,
            name: Some(name.to_owned()),
            value: Some(value.into_owned()),
        };
        options.texts().map(option).collect::<Vec<_>>()
    });
    let values = options.iter().flatten();
    let values: Vec<&str> = values.filter_map(|one| one.value.as_deref()).collect();
    Variant {
        id: variant.id("id"),
        name: Some(values.join(" / ")).filter(|name| !name.is_empty()),
        price: variant.plain("unit_price"),
        sku: variant.text("sku"),
        weight: variant.plain("weight"),
        options,
        ..Variant::default()
    }
}

fn customer(id: String, record: &Record<'_>) -> Customer {
    let name = record.text("company_name");
    let mut emails = Emails::default();
    for buyer in record.records("buyers").unwrap_or_default() {
        emails.add(buyer.text("email_address"), EmailKind::Work);
    }
    if let Some(fields) = record.record("email_addresses") {
        add_emails(&mut emails, &fields);
    }
    let addresses = record.records("addresses").map(|addresses| {
        let address = |address: &Record<'_>| {
            unless_empty(CustomerAddress {
                line1: address.text("line1"),
                line2: address.text("line2"),
                city: address.text("city"),
                state: address.text("state"),
                postal_code: address.text("postal_code"),
                country: address.text("country"),
                ..CustomerAddress::default()
            })
        };
        addresses.iter().filter_map(address).collect()
    });
    Customer {
        id,
        name: name.clone(),
        company_name: name,
        status: match record.text("status").as_deref() {
            Some("new" | "active") => Some(Activity::Active),
            Some("closed") => Some(Activity::Archived),
            _ => None,
        },
        emails: emails.list(),
        phone_numbers: phones(record.text("phone")),
        addresses,
        created_at: record.time("created_at").or_else(|| record.time("created")),
        ..Customer::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn rendered(event_type: &str, record: &Value) -> Value {
        let text = record.to_string();
        let record = serde_json::from_str(&text).unwrap();
        let unified = unified(event_type, record).unwrap();
        assert_eq!(
            unified.event_type.as_str(),
            format!("ecommerce.{event_type}")
        );
        serde_json::from_str(&unified.resource).unwrap()
    }

    fn order_of(fields: &Value) -> Value {
        let mut record = json!({ "id": "or_1" });
        let members = record.as_object_mut().unwrap();
        members.extend(fields.as_object().unwrap().clone());
        rendered("order.created", &record)
    }

    #[rstest]
    #[case::new("new", "active")]
    #[case::invoiced("invoiced", "active")]
    #[case::released("released", "active")]
    #[case::part_fulfilled("part_fulfilled", "active")]
    #[case::preorder("preorder", "active")]
    #[case::fulfilled("fulfilled", "completed")]
    #[case::cancelled("cancelled", "cancelled")]
    #[case::standing_order("standing_order", "other")]
    #[case::of_tomorrow("on_the_moon", "unknown")]
    fn statuses(#[case] status: &str, #[case] unified: &str) {
        assert_eq!(order_of(&json!({ "status": status }))["status"], unified);
    }

    /// Lines as (quantity, paid and dispatched).
    #[rstest]
    #[case::all(json!([[2, 2], [1, 1.0]]), "paid", "shipped")]
    #[case::more_than_all(json!([[2, 3]]), "paid", "shipped")]
    #[case::some(json!([[2, 1], [1, 0]]), "partial", "partial")]
    #[case::all_of_one(json!([[2, 2], [1, 0]]), "partial", "partial")]
    #[case::none(json!([[2, 0], [1, 0]]), "pending", "pending")]
    #[case::of_a_line_without_pieces(json!([[0, 0], [1, 1]]), "paid", "shipped")]
    #[case::of_no_pieces(json!([[0, 0]]), "unknown", "unknown")]
    #[case::of_no_lines(json!([]), "unknown", "unknown")]
    #[case::not_said(json!([[1, null], [1, 1]]), "unknown", "unknown")]
    #[case::of_how_many(json!([[null, 1]]), "unknown", "unknown")]
    #[case::in_words(json!([[1, "one"]]), "unknown", "unknown")]
    fn progress_counts_pieces(#[case] lines: Value, #[case] paid: &str, #[case] sent: &str) {
        let lines: Vec<Value> = lines.as_array().unwrap().iter().map(|line| {
            json!({ "quantity": line[0], "paid": line[1], "dispatched": line[1], "shipping": false })
        }).collect();
        let mut lines = lines;
        // Shipping is paid and not dispatched, and counts for neither.
        lines.push(json!({ "quantity": 1, "paid": 1, "dispatched": 0, "shipping": true }));
        let order = order_of(&json!({ "order_lines": lines }));
        assert_eq!(order["payment_status"], paid);
        assert_eq!(order["fulfillment_status"], sent);
        let order = order_of(&json!({ "order_lines": lines, "status": "cancelled" }));
        assert_eq!(order["fulfillment_status"], "cancelled");
    }

    #[test]
    fn amounts_are_exact() {
        let text = r#"{"id":"or_1","net_total":0.1,"gross_total":0.30,"order_lines":[
            {"sub_total":0.1,"tax_amount":0.2,"tax_rate":17.5,"quantity":3,"unit_price":1e-1},
            {"sub_total":0.2,"shipping":true},{"sub_total":0.25,"shipping":null}]}"#;
        let unified = unified("order.updated", serde_json::from_str(text).unwrap()).unwrap();
        let order: Value = serde_json::from_str(&unified.resource).unwrap();
        assert_eq!(order["total_tax"], "0.20");
        assert_eq!(order["total_amount"], "0.30");
        assert_eq!(order["sub_total"], "0.35");
        assert_eq!(order["shipping_cost"], "0.2");
        let item = &order["line_items"][0];
        assert_eq!(item["total_amount"], "0.3");
        assert_eq!(item["tax_rate"], "0.175");
        assert_eq!(
            (&item["quantity"], &item["unit_price"]),
            (&json!("3"), &json!("0.1"))
        );
        assert_eq!(order["line_items"].as_array().unwrap().len(), 2);
    }

    #[rstest]
    #[case::a_line_without_an_amount(json!([{ "sub_total": 1 }, {}]), 2)]
    #[case::a_line_that_is_none(json!([{ "sub_total": 1 }, 7]), 1)]
    #[case::an_amount_beyond_reckoning(json!([{ "sub_total": "1e300" }]), 1)]
    fn a_sum_that_cannot_be_had_is_null(#[case] lines: Value, #[case] items: usize) {
        let order = order_of(&json!({ "order_lines": lines }));
        assert_eq!(order["sub_total"], Value::Null);
        assert_eq!(order["line_items"].as_array().unwrap().len(), items);
    }

    #[test]
    fn without_lines_there_are_no_sums() {
        let order = order_of(&json!({ "order_lines": { "sub_total": 1 } }));
        for member in ["sub_total", "shipping_cost", "line_items"] {
            assert_eq!(order[member], Value::Null, "{member}");
        }
        assert_eq!(order["payment_status"], "unknown");
        let order = order_of(&json!({ "order_lines": [] }));
        assert_eq!(order["sub_total"], "0");
        assert_eq!(order["line_items"], json!([]));
    }

    #[rstest]
    #[case("Size: 16, Colour: Red", json!([["Size", "16"], ["Colour", "Red"]]))]
    #[case("Size: 16", json!([["Size", "16"]]))]
    #[case("", json!([]))]
    #[case("Size: 16, large", json!([]))]
    #[case("Size: 16: 18", json!([]))]
    #[case("Size: ", json!([]))]
    #[case(": 16", json!([]))]
    #[case(&vec!["a: b"; 51].join(", "), json!([]))]
    fn options_of_a_line(#[case] text: &str, #[case] expected: Value) {
        let options: Vec<_> = options(text)
            .into_iter()
            .map(|option| json!([option.name, option.value]))
            .collect();
        assert_eq!(json!(options), expected);
    }

    #[test]
    fn whoever_ordered_is_the_customer() {
        let order = order_of(&json!({
            "customer_id": "cu_1", "company_name": "Acme", "phone": "12",
            "email_addresses": { "orders": "a@x.com,b@x.com", "invoices": "c@x.com", "dispatches": "a@x.com" },
            "billing_address": { "line1": "", "country": null }, "shipping_address": { "line1": "1 Road", "contact_name": "X" },
        }));
        let customer = &order["customer"];
        assert_eq!(
            (&customer["id"], &customer["name"]),
            (&json!("cu_1"), &json!("Acme"))
        );
        let emails: Vec<_> = customer["emails"]
            .as_array()
            .unwrap()
            .iter()
            .map(|email| json!([email["email"], email["type"]]))
            .collect();
        assert_eq!(
            json!(emails),
            json!([
                ["a@x.com", "primary"],
                ["b@x.com", "primary"],
                ["c@x.com", "billing"]
            ])
        );
        assert_eq!(customer["phone_numbers"][0]["number"], "12");
        assert_eq!(
            order["billing_address"],
            Value::Null,
            "nothing stands in it"
        );
        assert_eq!(order["shipping_address"]["line1"], "1 Road");
        assert_eq!(order_of(&json!({}))["customer"], Value::Null);
    }

    #[test]
    fn one_variant_is_the_product() {
        let variant = |sku: &str| json!({ "id": "pv_1", "sku": sku, "unit_price": 32.0, "weight": 0.5, "options": { "Size": "10" } });
        let one = json!({ "id": "pr_1", "code": "AD", "active": true, "product_variants": [variant("AD-10")],
            "images": ["https://x/1", { "url": "https://x/2" }, 7, {}, ""] });
        let product = rendered("product.created", &one);
        assert_eq!(
            (&product["sku"], &product["price"]),
            (&json!("AD-10"), &json!("32.0"))
        );
        assert_eq!(product["status"], "active");
        let urls: Vec<_> = product["images"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["url"])
            .collect();
        assert_eq!(urls, ["https://x/1", "https://x/2"]);
        let two = json!({ "id": "pr_1", "code": "AD", "active": 1, "product_variants": [variant("AD-10"), variant("AD-12")] });
        let product = rendered("product.created", &two);
        assert_eq!(
            (&product["sku"], &product["price"]),
            (&json!("AD"), &Value::Null)
        );
        assert_eq!(product["status"], Value::Null);
        assert_eq!(product["variants"][1]["name"], "10");
        assert_eq!(product["variants"][1]["weight"], "0.5");
    }

    #[test]
    fn options_of_a_product_are_those_of_its_variants() {
        let product = rendered(
            "product.updated",
            &json!({
                "id": "pr_1", "variant_options": ["Size", "Colour", "Size", "Cut", "", 7],
                "product_variants": [
                    { "options": { "Colour": "Red", "Size": "10" } }, { "options": { "Colour": "Red", "Size": "8" } },
                    { "options": { "Colour": "Blue", "Size": "10", "Other": "x" } }, { "options": 7 }, {},
                ],
            }),
        );
        let options: Vec<_> = product["options"]
            .as_array()
            .unwrap()
            .iter()
            .map(|option| json!([option["name"], option["values"]]))
            .collect();
        assert_eq!(
            json!(options),
            json!([
                ["Size", ["10", "8"]],
                ["Colour", ["Red", "Blue"]],
                ["Cut", []]
            ])
        );
        assert_eq!(product["variants"][0]["name"], "Red / 10");
        assert_eq!(product["variants"].as_array().unwrap().len(), 5);
    }

    #[rstest]
    #[case(json!("new"), json!("active"))]
    #[case(json!("active"), json!("active"))]
    #[case(json!("closed"), json!("archived"))]
    #[case(json!("of tomorrow"), json!(null))]
    #[case(json!(7), json!(null))]
    fn customers_are_active_or_archived(#[case] status: Value, #[case] expected: Value) {
        let record = json!({ "id": "cu_1", "status": status, "created": "2025-07-03T20:51:50Z", "created_at": "soon",
            "buyers": [{ "email_address": "a@x.com" }, 7, { "email_address": 7 }], "email_addresses": { "orders": "a@x.com,b@x.com" } });
        let customer = rendered("customer.updated", &record);
        assert_eq!(customer["status"], expected);
        assert_eq!(customer["created_at"], "2025-07-03T20:51:50Z");
        let kinds: Vec<_> = customer["emails"]
            .as_array()
            .unwrap()
            .iter()
            .map(|email| &email["type"])
            .collect();
        assert_eq!(kinds, ["work", "primary"]);
    }

    #[test]
    fn of_what_is_deleted_the_id_is_left() {
        let record = json!({ "id": "x_1", "number": 7, "deleted": true });
        for kind in ["order", "product", "customer"] {
            assert_eq!(
                rendered(&format!("{kind}.deleted"), &record),
                json!({ "id": "x_1" })
            );
        }
    }

    #[rstest]
    #[case::a_dispatch("dispatch.created", r#"{"id":"di_1"}"#)]
    #[case::stock("inventory_level.updated", r#"{"id":"x"}"#)]
    #[case::a_type_of_tomorrow("order.paid", r#"{"id":"or_1"}"#)]
    #[case::a_unified_type("ecommerce.order.created", r#"{"id":"or_1"}"#)]
    #[case::no_id("order.created", r#"{"number":1}"#)]
    #[case::an_empty_id("order.created", r#"{"id":""}"#)]
    #[case::an_id_of_another_type("order.deleted", r#"{"id":{}}"#)]
    #[case::no_object("order.created", "[]")]
    fn what_has_no_unified_form(#[case] event_type: &str, #[case] record: &str) {
        let record = serde_json::from_str(record).unwrap();
        assert_eq!(unified(event_type, record), None);
    }
}
