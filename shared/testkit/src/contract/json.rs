//! Whether two texts are the same JSON, whatever the spelling, exactly and to any depth that parsers take.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Whether two texts say the same: objects in any order, numbers by their exact value.
#[must_use]
pub fn is_same_json(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (Ok(a), Ok(b)) = (serde_json::from_str(a), serde_json::from_str(b)) else {
        return false;
    };
    same(a, b)
}

fn same(a: &RawValue, b: &RawValue) -> bool {
    let (a, b) = (a.get(), b.get());
    if a == b {
        return true;
    }
    match (a.as_bytes()[0], b.as_bytes()[0]) {
        (b'{', b'{') => {
            let members = |text| serde_json::from_str::<BTreeMap<String, &RawValue>>(text);
            let (Ok(a), Ok(b)) = (members(a), members(b)) else {
                return false;
            };
            a.len() == b.len()
                && a.iter()
                    .zip(&b)
                    .all(|((name_a, a), (name_b, b))| name_a == name_b && same(a, b))
        }
        (b'[', b'[') => {
            let items = |text| serde_json::from_str::<Vec<&RawValue>>(text);
            let (Ok(a), Ok(b)) = (items(a), items(b)) else {
                return false;
            };
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same(a, b))
        }
        (b'"', b'"') => {
            let text = |text| serde_json::from_str::<String>(text);
            matches!((text(a), text(b)), (Ok(a), Ok(b)) if a == b)
        }
        (b'-' | b'0'..=b'9', b'-' | b'0'..=b'9') => {
            a == b || matches!((number(a), number(b)), (Some(a), Some(b)) if a == b)
        }
        _ => false,
    }
}

/// Sign, significant digits and the power of ten of the last; `None` where that power is beyond reason.
fn number(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let to_the_last = digits.trim_end_matches('0');
    let significant = to_the_last.trim_start_matches('0');
    // Zero is zero, whatever its exponent.
    if significant.is_empty() {
        return Some((false, String::new(), 0));
    }
    let dropped = i64::try_from(digits.len() - to_the_last.len()).ok()?;
    let places = i64::try_from(fraction.len()).ok()?;
    let exponent: i64 = exponent.parse().ok()?;
    let power = exponent.checked_sub(places)?.checked_add(dropped)?;
    Some((whole.starts_with('-'), significant.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter_and_values_do() {
        let same = [
            (
                r#"{"a":1,"b":[20.0,"é"]}"#,
                r#"{ "b": [2e1, "\u00e9"], "a": 1.00 }"#,
            ),
            ("-0.0", "0"),
            (
                "12345678901234567890123456789012345678",
                "12345678901234567890123456789012345678.0",
            ),
            ("1200", "1.2E+3"),
            ("0", "-0E-99999999999999999999"),
            ("1E-99999999999999999999", "1E-99999999999999999999"),
        ];
        for (a, b) in same {
            assert!(is_same_json(a, b), "{a} {b}");
        }
        let different = [
            (
                "12345678901234567890123456789012345678",
                "12345678901234567890123456789012345679",
            ),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            ("[1,2]", "[2,1]"),
            ("1", "-1"),
            ("1", "10"),
            ("1", "\"1\""),
            ("[1]", "[1"),
        ];
        for (a, b) in different {
            assert!(!is_same_json(a, b), "{a} {b}");
        }
    }
}
