//! Unified events: whatever a source sends, its unified form is what the published schema says.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use domain::delivery::Delivery;
use domain::source::Source;
use domain::unified::{Unified, UnifiedType};
use http::HeaderMap;
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sources::{facts, protocol};
use testkit::fixtures::Fixtures;

/// The published schema of one resource, closed: a rendering has all of its members and no other.
fn schema_of(resource: &str) -> Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../infra/events/orderhook-unified.schema.json");
    let mut schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    schema["anyOf"] = json!([{ "$ref": format!("#/$defs/{resource}") }]);
    close(&mut schema["$defs"]);
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema).unwrap()
}

fn close(schema: &mut Value) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let names: Vec<String> = properties.keys().cloned().collect();
        let members = schema.as_object_mut().unwrap();
        members.insert("required".to_owned(), json!(names));
        members.insert("additionalProperties".to_owned(), json!(false));
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(close),
        Value::Array(elements) => elements.iter_mut().for_each(close),
        _ => {}
    }
}

/// What of a rendering the schema does not admit.
fn errors(unified: &Unified) -> Vec<String> {
    static SCHEMAS: LazyLock<[(&str, Validator); 4]> = LazyLock::new(|| {
        ["order", "product", "customer", "id_only"].map(|name| (name, schema_of(name)))
    });
    let name = unified.event_type.as_str();
    let resource = match name.strip_suffix(".deleted") {
        Some(_) => "id_only",
        None => name.split('.').nth(1).unwrap(),
    };
    let value: Value = serde_json::from_str(&unified.resource).unwrap();
    let (_, schema) = SCHEMAS.iter().find(|(of, _)| *of == resource).unwrap();
    let errors = schema.iter_errors(&value);
    let errors = errors.map(|error| format!("{}: {error}", error.instance_path()));
    errors.collect()
}

fn pretty(unified: &Unified) -> String {
    let value: Value = serde_json::from_str(&unified.resource).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// The events of a delivery in the unified form, each with its native type.
fn renderings(source: Source, body: &[u8]) -> Vec<(String, Unified)> {
    let headers = HeaderMap::new();
    let delivery = Delivery {
        headers: &headers,
        part: "",
        body,
    };
    let protocol = protocol(source);
    let Ok(split) = protocol.split(delivery) else {
        return Vec::new();
    };
    let render = |event: &domain::event::Event<'_>| {
        let unified = protocol.unified(&event.event_type, event.record)?;
        Some((event.event_type.to_string(), unified))
    };
    split.events.iter().filter_map(render).collect()
}

/// The unified events that a source's events become.
fn unified_types(source: Source) -> &'static [UnifiedType] {
    use UnifiedType::{CustomerCreated, CustomerUpdated, OrderCreated, OrderUpdated};
    match source {
        // Its events name an entity, and say nothing of it.
        Source::Apideck => &[],
        Source::Orderspace | Source::StackOne => &UnifiedType::ALL,
        Source::Ordermentum => &[OrderCreated, OrderUpdated, CustomerCreated, CustomerUpdated],
        Source::OneStock => &[OrderUpdated],
    }
}

#[test]
fn every_fixture_renders_as_the_schema_says() {
    for source in Source::ALL {
        let mut snapshot = String::new();
        let mut seen = BTreeSet::new();
        let mut types = BTreeSet::new();
        for fixture in Fixtures::of(source.as_str()).all() {
            // What is made of one template is shown once.
            let is_generated = !fixture.name.contains('/');
            let mut is_shown = false;
            for (native, unified) in renderings(source, &fixture.body) {
                let errors = errors(&unified);
                assert!(errors.is_empty(), "{}: {errors:?}", fixture.name);
                types.insert(unified.event_type);
                // What several fixtures have in common is shown once, and a large one by its size.
                if !seen.insert(unified.resource.clone()) || (is_generated && is_shown) {
                    continue;
                }
                is_shown = true;
                let shown = match unified.resource.len() {
                    0..=20_000 => pretty(&unified),
                    bytes => format!("{bytes} bytes"),
                };
                let (name, event_type) = (&fixture.name, unified.event_type);
                writeln!(snapshot, "{name}: {native} is {event_type}\n{shown}\n").unwrap();
            }
        }
        insta::assert_snapshot!(source.as_str(), snapshot);
        let expected: BTreeSet<UnifiedType> = unified_types(source).iter().copied().collect();
        assert_eq!(types, expected, "{source}");
    }
}

/// The schema refuses: else that everything fits would say nothing.
#[test]
fn the_closed_schema_refuses_what_is_no_rendering() {
    let record = serde_json::from_str(r#"{"id":"1"}"#).unwrap();
    let event_type = "order_created".parse().unwrap();
    let good = protocol(Source::Ordermentum).unified(&event_type, record);
    let good: Value = serde_json::from_str(&good.unwrap().resource).unwrap();
    for (member, value) in [
        ("id", json!(null)),
        ("total_amount", json!(150.25)),
        ("total_amount", json!("1e3")),
        ("status", json!("Placed")),
        ("currency", json!("pounds")),
        ("created_at", json!("yesterday")),
        ("line_items", json!([{}])),
        ("extra", json!(1)),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        let unified = Unified {
            event_type: UnifiedType::OrderCreated,
            resource: bad.to_string(),
        };
        assert!(!errors(&unified).is_empty(), "{member}");
    }
}

/// The members that some mapping reads.
const NAMES: &[&str] = &[
    "id",
    "number",
    "currency",
    "order_lines",
    "net_total",
    "gross_total",
    "status",
    "company_name",
    "email_addresses",
    "customer_id",
    "phone",
    "billing_address",
    "shipping_address",
    "customer_note",
    "created",
    "created_at",
    "shipping",
    "sub_total",
    "tax_amount",
    "tax_rate",
    "quantity",
    "unit_price",
    "paid",
    "dispatched",
    "options",
    "sku",
    "name",
    "line1",
    "country",
    "orders",
    "invoices",
    "product_variants",
    "categories",
    "active",
    "code",
    "images",
    "url",
    "variant_options",
    "weight",
    "buyers",
    "email_address",
    "addresses",
    "orderNumber",
    "subtotal",
    "totalFreight",
    "totalGst",
    "total",
    "cancelledAt",
    "deliveredAt",
    "paidAt",
    "retailerAddress",
    "postcode",
    "lineItems",
    "purchaser",
    "retailerEmail",
    "disabled",
    "retailerAddressLine",
    "createdAt",
    "updatedAt",
    "order_id",
    "date",
    "new_state",
    "Size",
];

/// JSON text of all sorts, with numbers that no float holds.
fn any_json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        "\\PC{0,12}",
        Just("Size: 16, Colour: Red".to_owned()),
        Just("a@x.com, b@x.com".to_owned()),
        Just("2026-11-20T12:00:00Z".to_owned()),
        Just("13.50".to_owned()),
        Just("new".to_owned()),
        Just("GBP".to_owned()),
        Just("\u{FFFF}\u{0}\"".to_owned()),
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        "-?(0|[1-9][0-9]{0,45})(\\.[0-9]{1,45})?([eE][+-]?[0-9]{1,20})?",
        text.prop_map(|text| Value::from(text).to_string()),
        Just(r#""\ud800""#.to_owned()),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        let member = (proptest::sample::select(NAMES), inner.clone());
        let member = member.prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(|list| format!("[{}]", list.join(","))),
            proptest::collection::vec(member, 0..12)
                .prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn any_json_renders_as_the_schema_says_or_not_at_all(
        mut members in proptest::collection::vec((proptest::sample::select(NAMES), any_json()), 0..12),
        id in proptest::option::weighted(0.9, proptest::sample::select(&[r#""or_1""#, r#""pr_1""#, r#""cu_1""#, "17"][..])),
    ) {
        for name in ["id", "order_id"] {
            members.extend(id.map(|id| (name, id.to_owned())));
        }
        let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let text = format!("{{{}}}", members.join(","));
        let record: &RawValue = serde_json::from_str(&text).unwrap();
        let mut found = Vec::new();
        for source in Source::ALL {
            for row in facts(source).types {
                let event_type = row.name.parse().unwrap();
                found.extend(protocol(source).unified(&event_type, record));
            }
        }
        prop_assert!(id.is_none() || !found.is_empty());
        for unified in &found {
            let errors = errors(unified);
            prop_assert!(errors.is_empty(), "{:?} of {} from {}", errors, unified.resource, text);
        }
    }

    #[test]
    fn any_json_in_the_record_s_place_is_no_harm(json in any_json()) {
        let record: &RawValue = serde_json::from_str(&json).unwrap();
        for unified in UnifiedType::ALL {
            let name = unified.as_str().strip_prefix("ecommerce.").unwrap();
            let rendered = protocol(Source::Orderspace).unified(&name.parse().unwrap(), record);
            prop_assert!(rendered.is_none_or(|rendered| errors(&rendered).is_empty()));
        }
    }
}

/// Lists that say nothing of their elements grow the most.
#[test]
fn a_record_of_the_largest_size_makes_no_rendering_without_bound() {
    let lines = vec!["{}"; 1_400_000].join(",");
    let text = format!(r#"{{"id":"or_1","order_lines":[{lines}]}}"#);
    let record: &RawValue = serde_json::from_str(&text).unwrap();
    let event_type = "order.updated".parse().unwrap();
    let unified = protocol(Source::Orderspace).unified(&event_type, record);
    let unified = unified.unwrap();
    assert!(unified.resource.len() < 2_000, "{}", unified.resource.len());
    assert_eq!(errors(&unified), Vec::<String>::new());
}
