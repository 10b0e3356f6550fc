//! The native form of a record: a DynamoDB map with exact decimals, which expressions, exports and the console
//! can look into.
//!
//! Numbers stay text from end to end: no floating point touches a price. What a map cannot say is told as
//! [`Unfit`] before anything is sent, and the record takes another form.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::decimal::Decimal;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

/// The levels that an attribute may have: a value inside the record's object is on the second.
const LEVELS: usize = 32;
/// The digits that a number may have, without zeros at its ends.
const DIGITS: usize = 38;
/// The powers of ten that a number's first digit may stand for.
const POWERS: std::ops::RangeInclusive<i64> = -130..=125;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 65_535;

/// Why a map cannot say what the record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Unfit {
    #[error("the record is nested over {LEVELS} levels")]
    Levels,
    #[error("a number has over {DIGITS} digits")]
    Digits,
    #[error("a number is too large or too small")]
    Power,
    #[error("a member has an empty name, or too long a one")]
    Name,
    #[error("two members have one name")]
    Repeated,
    #[error("a text has half of a surrogate pair, or the record is no JSON")]
    Text,
    #[error("the record is too large for an item")]
    Size,
}

/// An attribute that no JSON becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the attribute is none that a record becomes")]
pub(crate) struct Foreign;

/// Converts JSON text to an attribute of at most `limit` bytes, as DynamoDB counts them.
pub(crate) fn to_attribute(json: &str, limit: usize) -> Result<AttributeValue, Unfit> {
    let json: &RawValue = serde_json::from_str(json).map_err(|_| Unfit::Text)?;
    Conversion { left: limit }.value(json, 1)
}

/// A conversion, with the bytes that are left to it.
struct Conversion {
    left: usize,
}

impl Conversion {
    fn spend(&mut self, bytes: usize) -> Result<(), Unfit> {
        self.left = self.left.checked_sub(bytes).ok_or(Unfit::Size)?;
        Ok(())
    }

    /// Each level looks through its members once more, which [`LEVELS`] bounds.
    fn value(&mut self, json: &RawValue, level: usize) -> Result<AttributeValue, Unfit> {
        if level > LEVELS {
            return Err(Unfit::Levels);
        }
        let json = json.get();
        match json.as_bytes().first() {
            Some(b'{') => self.map(parse::<Members<'_>>(json)?, level),
            Some(b'[') => self.list(&parse::<Vec<&RawValue>>(json)?, level),
            Some(b'"') => {
                let text: String = parse(json)?;
                self.spend(text.len())?;
                Ok(AttributeValue::S(text))
            }
            Some(b'-' | b'0'..=b'9') => self.number(json),
            Some(b'n') => {
                self.spend(1)?;
                Ok(AttributeValue::Null(true))
            }
            _ => {
                self.spend(1)?;
                Ok(AttributeValue::Bool(parse(json)?))
            }
        }
    }

    fn map(
        &mut self,
        Members(members): Members<'_>,
        level: usize,
    ) -> Result<AttributeValue, Unfit> {
        self.spend(3)?;
        let mut map = HashMap::with_capacity(members.len());
        for (name, value) in members {
            if name.is_empty() || name.len() > LONGEST_NAME {
                return Err(Unfit::Name);
            }
            self.spend(name.len() + 1)?;
            let value = self.value(value, level + 1)?;
            if map.insert(name, value).is_some() {
                return Err(Unfit::Repeated);
            }
        }
        Ok(AttributeValue::M(map))
    }

    fn list(&mut self, elements: &[&RawValue], level: usize) -> Result<AttributeValue, Unfit> {
        self.spend(3)?;
        let elements = elements.iter().map(|element| {
            self.spend(1)?;
            self.value(element, level + 1)
        });
        Ok(AttributeValue::L(elements.collect::<Result<_, _>>()?))
    }

    fn number(&mut self, text: &str) -> Result<AttributeValue, Unfit> {
        let number = Decimal::parse(text).ok_or(Unfit::Text)?;
        if number.is_zero() {
            // However it is written: DynamoDB looks at the exponent even of a zero.
            self.spend(2)?;
            return Ok(AttributeValue::N("0".to_owned()));
        }
        let digits = number.digits();
        if digits > DIGITS {
            return Err(Unfit::Digits);
        }
        if !number
            .first_power()
            .is_some_and(|power| POWERS.contains(&power))
        {
            return Err(Unfit::Power);
        }
        // Two digits a byte, one byte more, and one each for a sign and for digits that do not pair.
        self.spend(digits.div_ceil(2) + 3)?;
        Ok(AttributeValue::N(text.to_owned()))
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Unfit> {
    serde_json::from_str(json).map_err(|_| Unfit::Text)
}

/// The members of an object as they stand, also two of one name.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// Converts an attribute back to JSON text: equal in value, members by name, numbers as DynamoDB gives them.
pub(crate) fn to_json(attribute: &AttributeValue) -> Result<String, Foreign> {
    let mut json = String::new();
    write(&mut json, attribute, 1)?;
    Ok(json)
}

fn write(json: &mut String, attribute: &AttributeValue, level: usize) -> Result<(), Foreign> {
    if level > LEVELS {
        return Err(Foreign);
    }
    match attribute {
        AttributeValue::S(text) => json.push_str(&quoted(text)?),
        AttributeValue::N(number) if is_number(number) => json.push_str(number),
        AttributeValue::Bool(truth) => json.push_str(if *truth { "true" } else { "false" }),
        AttributeValue::Null(_) => json.push_str("null"),
        AttributeValue::L(elements) => {
            json.push('[');
            for (position, element) in elements.iter().enumerate() {
                if position > 0 {
                    json.push(',');
                }
                write(json, element, level + 1)?;
            }
            json.push(']');
        }
        AttributeValue::M(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            json.push('{');
            for (position, (name, value)) in members.into_iter().enumerate() {
                if position > 0 {
                    json.push(',');
                }
                json.push_str(&quoted(name)?);
                json.push(':');
                write(json, value, level + 1)?;
            }
            json.push('}');
        }
        _ => return Err(Foreign),
    }
    Ok(())
}

fn quoted(text: &str) -> Result<String, Foreign> {
    serde_json::to_string(text).map_err(|_| Foreign)
}

fn is_number(text: &str) -> bool {
    let starts_as_one = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    starts_as_one && serde_json::from_str::<&RawValue>(text).is_ok_and(|json| json.get() == text)
}

#[cfg(test)]
mod tests {
    use super::super::json::{any_json, canonical};
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const ROOMY: usize = 1 << 20;

    fn native(json: &str) -> Result<AttributeValue, Unfit> {
        to_attribute(json, ROOMY)
    }

    proptest! {
        #[test]
        fn every_record_that_fits_reads_back_equal_in_value(json in any_json()) {
            let attribute = native(&json);
            prop_assert!(attribute.is_ok(), "{:?}: {}", attribute, json);
            let back = to_json(&attribute.unwrap()).unwrap();
            prop_assert_eq!(canonical(&back), canonical(&json));
        }

        #[test]
        // requirement: check-panics
        fn no_text_panics(text in "\\PC*", json in "[\\[\\]{}\":,0-9eE+.\\-ntf\\\\ud8]{0,60}") {
            // Whatever the text is, an attribute of it is one that can be read.
            for text in [text, json] {
                if let Ok(attribute) = native(&text) {
                    prop_assert_eq!(canonical(&to_json(&attribute).unwrap()), canonical(&text));
                }
            }
        }
    }

    #[test]
    fn a_record_becomes_what_one_would_write_by_hand() {
        let attribute = native(r#" {"id":"or_1","net":20.10,"tags":[true,null],"n":{"-":-1E+2}} "#);
        let map = |members: &[(&str, AttributeValue)]| {
            let members = members
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()));
            AttributeValue::M(members.collect())
        };
        let number = |text: &str| AttributeValue::N(text.to_owned());
        let expected = map(&[
            ("id", AttributeValue::S("or_1".to_owned())),
            ("net", number("20.10")),
            (
                "tags",
                AttributeValue::L(vec![AttributeValue::Bool(true), AttributeValue::Null(true)]),
            ),
            ("n", map(&[("-", number("-1E+2"))])),
        ]);
        assert_eq!(attribute.as_ref(), Ok(&expected));
        assert_eq!(
            to_json(&expected).unwrap(),
            r#"{"id":"or_1","n":{"-":-1E+2},"net":20.10,"tags":[true,null]}"#
        );
    }

    #[rstest]
    #[case::thirty_eight_digits("12345678901234567890123456789012345678", None)]
    #[case::thirty_nine("123456789012345678901234567890123456789", Some(Unfit::Digits))]
    #[case::zeros_are_no_digits("1000000000000000000000000000000000000000000", None)]
    #[case::zeros_behind_the_point("1.0000000000000000000000000000000000000000000", None)]
    #[case::largest("9.9e125", None)]
    #[case::larger("1e126", Some(Unfit::Power))]
    #[case::smallest("-1e-130", None)]
    #[case::smaller("1e-131", Some(Unfit::Power))]
    #[case::written_long("10e-131", None)]
    #[case::beyond_64_bits("1e99999999999999999999", Some(Unfit::Power))]
    #[case::below_64_bits("1e-99999999999999999999", Some(Unfit::Power))]
    #[case::zero_with_any_exponent("-0.00e999", None)]
    #[case::float_would_round("0.1234567890123456789", None)]
    #[case::empty_name(r#"{"a":{"":1}}"#, Some(Unfit::Name))]
    #[case::empty_text(r#"{"a":""}"#, None)]
    #[case::repeated(r#"{"a":1,"b":2,"a":1}"#, Some(Unfit::Repeated))]
    #[case::repeated_by_an_escape(r#"{"a":1,"\u0061":1}"#, Some(Unfit::Repeated))]
    #[case::half_a_pair(r#"{"a":"\ud800"}"#, Some(Unfit::Text))]
    #[case::half_a_pair_in_a_name(r#"{"\udc00":1}"#, Some(Unfit::Text))]
    #[case::pair(r#"{"a":"\ud83e\udd50"}"#, None)]
    #[case::noncharacter("{\"a\":\"\u{FFFF}\"}", None)]
    #[case::no_json("{\"a\":}", Some(Unfit::Text))]
    #[case::two_values("{} {}", Some(Unfit::Text))]
    // requirement: record-limits
    fn limits(#[case] json: &str, #[case] unfit: Option<Unfit>) {
        let attribute = native(json);
        assert_eq!(attribute.as_ref().err().copied(), unfit);
        if let Ok(attribute) = attribute {
            assert_eq!(canonical(&to_json(&attribute).unwrap()), canonical(json));
        }
    }

    fn nested(levels: usize) -> String {
        format!("{}1{}", "[".repeat(levels - 1), "]".repeat(levels - 1))
    }

    #[test]
    // requirement: record-limits
    fn thirty_two_levels_fit_and_more_are_refused_without_following_them() {
        let deepest = native(&nested(LEVELS)).unwrap();
        assert_eq!(to_json(&deepest).unwrap(), nested(LEVELS));
        assert_eq!(native(&nested(LEVELS + 1)), Err(Unfit::Levels));
        assert_eq!(native(&nested(100_000)), Err(Unfit::Levels));
        let too_deep = (0..LEVELS).fold(AttributeValue::Null(true), |inner, _| {
            AttributeValue::L(vec![inner])
        });
        assert_eq!(to_json(&too_deep), Err(Foreign));
    }

    #[rstest]
    #[case::text(r#""abc""#, 3)]
    #[case::characters_count_as_utf_8(r#""é\u00e9""#, 4)]
    #[case::null("null", 1)]
    #[case::truth("false", 1)]
    #[case::map(r#"{"ab":"cd"}"#, 3 + 2 + 1 + 2)]
    #[case::list("[null,null]", 3 + 2 + 2)]
    fn size_counts_as_dynamodb_counts(#[case] json: &str, #[case] size: usize) {
        assert!(to_attribute(json, size).is_ok());
        assert_eq!(to_attribute(json, size - 1), Err(Unfit::Size));
    }

    #[rstest]
    #[case(AttributeValue::N("NaN".to_owned()))]
    #[case(AttributeValue::N("1 ".to_owned()))]
    #[case(AttributeValue::N("null".to_owned()))]
    #[case(AttributeValue::Ss(vec!["a".to_owned()]))]
    #[case(AttributeValue::L(vec![AttributeValue::Bs(vec![])]))]
    fn what_no_json_becomes_is_foreign(#[case] attribute: AttributeValue) {
        assert_eq!(to_json(&attribute), Err(Foreign));
    }
}
