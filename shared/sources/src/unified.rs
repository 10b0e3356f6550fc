//! The three resources of unified commerce events, and how a source's record is read for them.
//!
//! Fields and enumerations are Apideck's: <https://developers.apideck.com/apis/ecommerce/reference>. The JSON Schema is
//! `infra/events/orderhook-unified.schema.json`. A resource has all of its members always. A field that the source leaves
//! out, sends empty, or sends as something else than it documents is `null`: one odd field never costs the others, and
//! nothing is made up. Amounts are texts of the numbers' own digits.
//!
//! A record without an id has no unified form: it is the one member that a resource must have.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use domain::decimal::{Amount, Decimal};
use domain::provenance::SourceTime;
use domain::unified::{Unified, UnifiedType};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::json::{Members, object, text_of, time_of};

/// The most elements of a list that are read. A rendering says much of an element that says nothing: without a bound, a
/// list of three megabytes would become half a gigabyte. A longer list is `null`.
const MOST_ELEMENTS: usize = 10_000;

/// The most e-mail addresses of one record.
const MOST_EMAILS: usize = 1_000;

/// A list of which no source that is mapped tells the elements: `[]` where it has no such thing, `null` where it may.
type NoElements = Option<[(); 0]>;

/// An order, `EcommerceOrder`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) order_number: Option<String>,
    pub(crate) currency: Option<String>,
    pub(crate) discounts: NoElements,
    pub(crate) sub_total: Option<String>,
    pub(crate) shipping_cost: Option<String>,
    pub(crate) coupon_discount: Option<String>,
    pub(crate) total_discount: Option<String>,
    pub(crate) total_tax: Option<String>,
    pub(crate) total_amount: Option<String>,
    pub(crate) refunded_amount: Option<String>,
    pub(crate) tax_inclusive: Option<bool>,
    pub(crate) status: Option<OrderStatus>,
    pub(crate) payment_status: Option<PaymentStatus>,
    pub(crate) fulfillment_status: Option<FulfillmentStatus>,
    pub(crate) payment_method: Option<String>,
    pub(crate) customer: Option<OrderCustomer>,
    pub(crate) billing_address: Option<OrderAddress>,
    pub(crate) shipping_address: Option<OrderAddress>,
    pub(crate) tracking: NoElements,
    pub(crate) line_items: Option<Vec<LineItem>>,
    pub(crate) note: Option<String>,
    pub(crate) refunds: NoElements,
    pub(crate) created_at: Option<String>,
    pub(crate) updated_at: Option<String>,
}

/// Of Apideck's words those that a mapping uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OrderStatus {
    Active,
    Completed,
    Cancelled,
    Unknown,
    Other,
}

/// Of Apideck's words those that a mapping uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentStatus {
    Pending,
    Paid,
    Partial,
    Unknown,
}

/// Of Apideck's words those that a mapping uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FulfillmentStatus {
    Pending,
    Shipped,
    Partial,
    Delivered,
    Cancelled,
    Unknown,
}

/// Who has ordered.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct OrderCustomer {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) company_name: Option<String>,
    pub(crate) phone_numbers: Option<Vec<Phone>>,
    pub(crate) emails: Option<Vec<Email>>,
}

/// An address of an order.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct OrderAddress {
    pub(crate) line1: Option<String>,
    pub(crate) line2: Option<String>,
    pub(crate) company_name: Option<String>,
    pub(crate) city: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) postal_code: Option<String>,
    pub(crate) country: Option<String>,
}

/// What has been ordered.
#[derive(Debug, Default, Serialize)]
pub(crate) struct LineItem {
    pub(crate) id: Option<String>,
    pub(crate) product_id: Option<String>,
    pub(crate) variant_id: Option<String>,
    pub(crate) sku: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) options: Option<Vec<OptionValue>>,
    pub(crate) quantity: Option<String>,
    pub(crate) unit_price: Option<String>,
    pub(crate) tax_rate: Option<String>,
    pub(crate) tax_amount: Option<String>,
    pub(crate) is_refunded: Option<bool>,
    pub(crate) refunded_amount: Option<String>,
    pub(crate) refunded_quantity: Option<String>,
    pub(crate) sub_total: Option<String>,
    pub(crate) total_amount: Option<String>,
    pub(crate) discounts: NoElements,
}

/// A value of an option, such as a size.
#[derive(Debug, Default, Serialize)]
pub(crate) struct OptionValue {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) value: Option<String>,
}

/// A product, `EcommerceProduct`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) status: Option<Activity>,
    pub(crate) price: Option<String>,
    pub(crate) sku: Option<String>,
    pub(crate) inventory_quantity: Option<String>,
    pub(crate) images: Option<Vec<Image>>,
    pub(crate) weight: Option<String>,
    pub(crate) weight_unit: Option<String>,
    pub(crate) options: Option<Vec<ProductOption>>,
    pub(crate) variants: Option<Vec<Variant>>,
    pub(crate) tags: NoElements,
    pub(crate) categories: Option<Vec<Category>>,
    pub(crate) created_at: Option<String>,
    pub(crate) updated_at: Option<String>,
}

/// Whether a product or a customer is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Activity {
    Active,
    Archived,
}

/// A picture of a product.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Image {
    pub(crate) id: Option<String>,
    pub(crate) url: Option<String>,
}

/// What a product can be chosen by.
#[derive(Debug, Default, Serialize)]
pub(crate) struct ProductOption {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) values: Vec<String>,
}

/// One form of a product.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Variant {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) price: Option<String>,
    pub(crate) sku: Option<String>,
    pub(crate) inventory_quantity: Option<String>,
    pub(crate) weight: Option<String>,
    pub(crate) weight_unit: Option<String>,
    pub(crate) options: Option<Vec<OptionValue>>,
    pub(crate) images: NoElements,
}

/// A group of products.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Category {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
}

/// A customer, `EcommerceCustomer`.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) company_name: Option<String>,
    pub(crate) status: Option<Activity>,
    pub(crate) currency: Option<String>,
    pub(crate) emails: Option<Vec<Email>>,
    pub(crate) phone_numbers: Option<Vec<Phone>>,
    pub(crate) addresses: Option<Vec<CustomerAddress>>,
    pub(crate) orders: NoElements,
    pub(crate) created_at: Option<String>,
    pub(crate) updated_at: Option<String>,
}

/// An address of a customer.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct CustomerAddress {
    /// No source says what for: always `other`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) id: Option<String>,
    pub(crate) line1: Option<String>,
    pub(crate) line2: Option<String>,
    pub(crate) city: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) postal_code: Option<String>,
    pub(crate) country: Option<String>,
}

impl Default for CustomerAddress {
    fn default() -> Self {
        Self {
            kind: "other",
            id: None,
            line1: None,
            line2: None,
            city: None,
            state: None,
            postal_code: None,
            country: None,
        }
    }
}

/// An e-mail address.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Email {
    id: Option<String>,
    email: String,
    #[serde(rename = "type")]
    kind: EmailKind,
}

/// Of Apideck's words those that a mapping uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EmailKind {
    Primary,
    Work,
    Billing,
    Other,
}

/// A telephone number, as one text: what in it is a country or an extension is not guessed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Phone {
    id: Option<String>,
    country_code: Option<String>,
    area_code: Option<String>,
    number: String,
    extension: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The list of a record's one telephone number; none without one.
pub(crate) fn phones(number: Option<String>) -> Option<Vec<Phone>> {
    let phone = |number| Phone {
        id: None,
        country_code: None,
        area_code: None,
        number,
        extension: None,
        kind: "primary",
    };
    number.map(|number| vec![phone(number)])
}

/// E-mail addresses, each once.
#[derive(Debug, Default)]
pub(crate) struct Emails {
    seen: BTreeSet<String>,
    list: Vec<Email>,
}

impl Emails {
    /// Adds the addresses of a field, which may have several with commas between them.
    pub(crate) fn add(&mut self, field: Option<String>, kind: EmailKind) {
        let field = field.unwrap_or_default();
        for email in field.split(',').map(str::trim) {
            if self.list.len() > MOST_EMAILS {
                return;
            }
            if !email.is_empty() && self.seen.insert(email.to_owned()) {
                self.list.push(Email {
                    id: None,
                    email: email.to_owned(),
                    kind,
                });
            }
        }
    }

    /// The addresses; none where there is none, or more than a record can have.
    pub(crate) fn list(self) -> Option<Vec<Email>> {
        (1..=MOST_EMAILS)
            .contains(&self.list.len())
            .then_some(self.list)
    }
}

/// What there is to say; `None` where all of it is absent.
pub(crate) fn unless_empty<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// A resource as an event.
pub(crate) fn event(event_type: UnifiedType, resource: &impl Serialize) -> Option<Unified> {
    Some(Unified {
        event_type,
        resource: serde_json::to_string(resource).ok()?,
    })
}

/// What is left of a resource that is deleted.
#[derive(Debug, Serialize)]
pub(crate) struct Deleted {
    pub(crate) id: String,
}

/// A record as its fields are asked for. Of a name that stands twice the last one counts.
#[derive(Debug)]
pub(crate) struct Record<'a>(BTreeMap<Cow<'a, [u8]>, &'a RawValue>);

impl<'a> Record<'a> {
    /// Reads an object; `None` for any other JSON.
    pub(crate) fn read(json: &'a RawValue) -> Option<Self> {
        let members: Members<'a> = object(json)?;
        let members = members.into_iter().map(|(name, value)| (name.0, value));
        Some(Self(members.collect()))
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name.as_bytes()).copied()
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let text = text_of(self.get(name)?)?;
        (!text.is_empty()).then(|| text.into_owned())
    }

    /// An id or a number that names something: a text, or a whole number.
    pub(crate) fn id(&self, name: &str) -> Option<String> {
        let json = self.get(name)?.get();
        if json.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(json.to_owned());
        }
        self.text(name)
    }

    /// The characters of a number, which some sources put into a text.
    fn number(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.get(name)?;
        if value.get().starts_with('"') {
            text_of(value)
        } else {
            Some(Cow::Borrowed(value.get()))
        }
    }

    /// A number as it stands, without an exponent.
    pub(crate) fn plain(&self, name: &str) -> Option<String> {
        Decimal::parse(&self.number(name)?)?.plain()
    }

    /// A number to calculate with.
    pub(crate) fn amount(&self, name: &str) -> Option<Amount> {
        Amount::parse(&self.number(name)?)
    }

    /// Yes or no.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)?.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// A time in RFC 3339, as it is spelled.
    pub(crate) fn time(&self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        text.parse::<SourceTime>().ok().map(|_| text)
    }

    /// A moment in any of the ways in which sources write one, in RFC 3339.
    pub(crate) fn moment(&self, name: &str) -> Option<String> {
        time_of(self.get(name)?).map(|moment| moment.to_string())
    }

    /// A code of a currency in ISO 4217.
    pub(crate) fn currency(&self, name: &str) -> Option<String> {
        let code = self.text(name)?;
        let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        is_code.then_some(code)
    }

    /// An object.
    pub(crate) fn record(&self, name: &str) -> Option<Self> {
        Self::read(self.get(name)?)
    }

    /// The elements of a list; none for what is no list, and for one of too many elements.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<&'a RawValue>> {
        let list: Elements<'a> = serde_json::from_str(self.get(name)?.get()).ok()?;
        list.0
    }

    /// The elements of a list that are objects.
    pub(crate) fn records(&self, name: &str) -> Option<Vec<Self>> {
        let list = self.list(name)?;
        Some(list.into_iter().filter_map(Self::read).collect())
    }

    /// The members that are texts, by their names. A name that is no Unicode text is left out.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, Cow<'a, str>)> {
        self.0.iter().filter_map(|(name, value)| {
            let name = std::str::from_utf8(name).ok()?;
            let text = text_of(value).filter(|text| !text.is_empty())?;
            Some((name, text))
        })
    }
}

/// The elements of a list, unless they are more than [`MOST_ELEMENTS`].
struct Elements<'a>(Option<Vec<&'a RawValue>>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementsVisitor;

        impl<'de> Visitor<'de> for ElementsVisitor {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                let mut is_too_long = false;
                while let Some(element) = seq.next_element()? {
                    is_too_long |= list.len() == MOST_ELEMENTS;
                    if !is_too_long {
                        list.push(element);
                    }
                }
                Ok(Elements((!is_too_long).then_some(list)))
            }
        }

        deserializer.deserialize_seq(ElementsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[rstest]
    #[case::a_text(r#"{"a":"x"}"#, Some("x"))]
    #[case::escapes(r#"{"\u0061":"\u00e9"}"#, Some("é"))]
    #[case::the_last_of_two(r#"{"a":"x","a":"y"}"#, Some("y"))]
    #[case::absent("{}", None)]
    #[case::null(r#"{"a":null}"#, None)]
    #[case::empty(r#"{"a":""}"#, None)]
    #[case::a_number(r#"{"a":7}"#, None)]
    #[case::an_object(r#"{"a":{}}"#, None)]
    #[case::a_lone_surrogate(r#"{"a":"\ud800"}"#, None)]
    #[case::beside_a_broken_name(r#"{"\ud800":1,"a":"x","b":1e999}"#, Some("x"))]
    fn texts(#[case] json: &str, #[case] expected: Option<&str>) {
        let record = Record::read(raw(json)).unwrap();
        assert_eq!(record.text("a").as_deref(), expected);
    }

    #[rstest]
    #[case("7", Some("7"), Some("7"))]
    #[case("30.0", Some("30.0"), None)]
    #[case("\"13.50\"", Some("13.50"), Some("13.50"))]
    #[case("1e3", Some("1000"), None)]
    #[case("\"x\"", None, Some("x"))]
    #[case("\"\"", None, None)]
    #[case("true", None, None)]
    #[case("[1]", None, None)]
    #[case("null", None, None)]
    fn numbers_and_ids(#[case] json: &str, #[case] number: Option<&str>, #[case] id: Option<&str>) {
        let json = format!(r#"{{"a":{json}}}"#);
        let record = Record::read(raw(&json)).unwrap();
        assert_eq!(record.plain("a").as_deref(), number);
        assert_eq!(record.amount("a").map(|a| a.to_string()).as_deref(), number);
        assert_eq!(record.id("a").as_deref(), id);
    }

    #[rstest]
    #[case("\"2026-11-20T12:00:00Z\"", true)]
    #[case("\"2026-11-20\"", false)]
    #[case("\"yesterday\"", false)]
    #[case("1795176000", false)]
    #[case("{}", false)]
    fn times(#[case] json: &str, #[case] good: bool) {
        let json = format!(r#"{{"a":{json}}}"#);
        let record = Record::read(raw(&json)).unwrap();
        assert_eq!(record.time("a").is_some(), good);
    }

    #[rstest]
    #[case("\"GBP\"", true)]
    #[case("\"gbp\"", false)]
    #[case("\"GB\"", false)]
    #[case("\"EURO\"", false)]
    fn currencies(#[case] json: &str, #[case] good: bool) {
        let json = format!(r#"{{"a":{json}}}"#);
        let record = Record::read(raw(&json)).unwrap();
        assert_eq!(record.currency("a").is_some(), good);
    }

    #[rstest]
    #[case::at_the_limit(MOST_ELEMENTS, true)]
    #[case::one_more(MOST_ELEMENTS + 1, false)]
    fn a_list_is_read_up_to_a_limit(#[case] count: usize, #[case] read: bool) {
        let json = format!(r#"{{"a":[{}],"b":7}}"#, vec!["{}"; count].join(","));
        let record = Record::read(raw(&json)).unwrap();
        assert_eq!(
            record.list("a").map(|list| list.len()),
            read.then_some(count)
        );
        assert!(record.list("b").is_none() && record.list("c").is_none());
    }

    #[test]
    fn only_objects_are_records() {
        for json in ["[]", "7", "\"a\"", "null", "true", "1e999"] {
            assert!(Record::read(raw(json)).is_none(), "{json}");
        }
        let record = Record::read(raw(r#"{"a":[{},7,null,{"b":1}]}"#)).unwrap();
        assert_eq!(record.records("a").unwrap().len(), 2);
    }

    #[test]
    fn an_email_address_is_said_once() {
        let mut emails = Emails::default();
        emails.add(
            Some(" a@x.com , b@x.com,,a@x.com".to_owned()),
            EmailKind::Primary,
        );
        emails.add(Some("b@x.com,c@x.com".to_owned()), EmailKind::Billing);
        emails.add(None, EmailKind::Other);
        let list = emails.list().unwrap();
        let list: Vec<_> = list.iter().map(|one| (&*one.email, one.kind)).collect();
        let expected = [
            ("a@x.com", EmailKind::Primary),
            ("b@x.com", EmailKind::Primary),
            ("c@x.com", EmailKind::Billing),
        ];
        assert_eq!(list, expected);
        assert!(Emails::default().list().is_none());
    }

    #[rstest]
    #[case::at_the_limit(MOST_EMAILS, true)]
    #[case::one_more(MOST_EMAILS + 1, false)]
    #[case::far_more(100_000, false)]
    fn email_addresses_have_a_limit(#[case] count: usize, #[case] read: bool) {
        let field: Vec<String> = (0..count).map(|n| format!("{n}@x.com")).collect();
        let mut emails = Emails::default();
        emails.add(Some(field.join(",")), EmailKind::Primary);
        assert_eq!(emails.list().is_some(), read);
    }
}
