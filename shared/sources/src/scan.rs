//! The members of an object that was read before: a [`RawValue`] is JSON already, so what is looked for in it need not
//! be proved again. It takes a third of the instructions of another pass by a reader of JSON.
//!
//! Text that is no JSON does not get here. Were it to, it would be read as far as it makes sense: nothing panics.

use serde_json::value::RawValue;

use crate::json::Name;

/// The values of some members of an object, each as it stands; `None` for what is no object. Where a name stands twice the
/// last one counts.
pub(crate) fn values<'a, const N: usize>(
    object: &'a RawValue,
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let text = object.get();
    let bytes = text.as_bytes();
    let mut values = [None; N];
    let mut at = space_end(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    loop {
        at = space_end(bytes, at + 1);
        let name_from = match bytes.get(at)? {
            b'"' => at,
            // An object without members; of one with members, each leads to the next.
            _ => return Some(values),
        };
        let (name_end, is_escaped) = string_end(bytes, name_from + 1)?;
        let from = space_end(bytes, space_end(bytes, name_end) + 1);
        let end = value_end(bytes, from)?;
        let position = match is_escaped {
            false => {
                let name = bytes.get(name_from + 1..name_end - 1)?;
                names.iter().position(|wanted| wanted.as_bytes() == name)
            }
            true => {
                let name: Name<'_> = serde_json::from_str(text.get(name_from..name_end)?).ok()?;
                names
                    .iter()
                    .position(|wanted| *wanted.as_bytes() == *name.0)
            }
        };
        if let Some(value) = position.and_then(|position| values.get_mut(position)) {
            *value = text.get(from..end);
        }
        at = space_end(bytes, end);
        if bytes.get(at) != Some(&b',') {
            return Some(values);
        }
    }
}

/// Where the space ends that may begin here.
fn space_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Where the value ends that begins here.
fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at + 1).map(|(end, _)| end),
        b'{' | b'[' => nested_end(bytes, at),
        _ => {
            while let Some(byte) = bytes.get(at)
                && !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
            {
                at += 1;
            }
            Some(at)
        }
    }
}

/// Where the object or the list ends that begins here.
fn nested_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at + 1)?.0;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// One in each of a word's bytes.
const ONES: u64 = u64::MAX / 255;

/// Where the string ends, behind its closing quote, whose first character this is; and whether it has an escape. Eight
/// bytes are looked at together.
fn string_end(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut is_escaped = false;
    loop {
        let byte = match bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            Some(chunk) => {
                let word = u64::from_le_bytes(*chunk);
                let found = zeros(word ^ (ONES * u64::from(b'"')))
                    | zeros(word ^ (ONES * u64::from(b'\\')));
                if found == 0 {
                    at += 8;
                    continue;
                }
                // The first byte that is found is never a wrong one: only those after it can be.
                at += usize::try_from(found.trailing_zeros() / 8).ok()?;
                bytes.get(at)?
            }
            None => bytes.get(at)?,
        };
        match byte {
            b'"' => return Some((at + 1, is_escaped)),
            b'\\' => {
                is_escaped = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

/// The highest bit of each byte that is zero. A byte above such a one may be marked too, by the borrow.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::json::fields;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[rstest]
    #[case::empty("{}", [None, None])]
    #[case::one(r#"{"id":"a"}"#, [Some(r#""a""#), None])]
    #[case::null(r#"{"id":null}"#, [Some("null"), None])]
    #[case::both(r#"{ "sku" :1.50e3 , "id":true}"#, [Some("true"), Some("1.50e3")])]
    #[case::twice(r#"{"id":"a","id":"b"}"#, [Some(r#""b""#), None])]
    #[case::nested_ones_are_others(r#"{"a":{"id":"n"},"b":[{"sku":1}],"id":"o"}"#, [Some(r#""o""#), None])]
    #[case::an_object(r#"{"id":{"a":[1,{}],"b":"}"},"sku":[]}"#, [Some(r#"{"a":[1,{}],"b":"}"}"#), Some("[]")])]
    #[case::brackets_in_texts(r#"{"a":"{[","id":"]}\"","b":"\\"}"#, [Some(r#""]}\"""#), None])]
    #[case::escaped_names(r#"{"\u0069d":"a","s\u006bu":2,"\"id":3}"#, [Some(r#""a""#), Some("2")])]
    #[case::names_that_begin_alike(r#"{"i":1,"idd":2,"":3,"ID":4}"#, [None, None])]
    #[case::a_name_that_is_no_text(r#"{"\ud800":1,"id":2}"#, [Some("2"), None])]
    #[case::a_long_text(r#"{"a":"0123456789012345678901234567890123456789","id":7}"#, [Some("7"), None])]
    #[case::over_lines("{\n\t\"id\"\r\n:\n [ 1 ]\n,\"sku\" : \"é\"\n}", [Some("[ 1 ]"), Some("\"é\"")])]
    fn members_are_found(#[case] json: &str, #[case] expected: [Option<&str>; 2]) {
        assert_eq!(values(raw(json), ["id", "sku"]), Some(expected));
    }

    #[rstest]
    #[case("[]")]
    #[case("7")]
    #[case("null")]
    #[case(r#""{\"id\":1}""#)]
    fn what_is_no_object_has_no_members(#[case] json: &str) {
        assert_eq!(values(raw(json), ["id"]), None);
    }

    /// JSON of every kind, with the names that are looked for among others.
    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            r#""([a-z"{}\[\],: é🥐]|\\\\|\\"|\\n|\\u00e9|\\ud800){0,20}""#
                .prop_filter("it is JSON", |text| serde_json::from_str::<&RawValue>(text)
                    .is_ok()),
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,4})?",
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let name = prop_oneof![
                Just(r#""id""#.to_owned()),
                Just(r#""\u0069d""#.to_owned()),
                Just(r#""sku""#.to_owned()),
                "\"[a-z]{0,12}\"",
            ];
            let space = || "[ \t\r\n]{0,2}";
            let member = (space(), name, space(), space(), inner.clone(), space())
                .prop_map(|(a, name, b, c, value, d)| format!("{a}{name}{b}:{c}{value}{d}"));
            prop_oneof![
                proptest::collection::vec(inner, 0..5)
                    .prop_map(|values| format!("[ {} ]", values.join(" ,"))),
                proptest::collection::vec(member, 0..6)
                    .prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_reader_of_json_finds(json in any_json()) {
            let names = ["id", "sku"];
            let read = fields(raw(&json), names);
            let read = read.map(|found| found.map(|value| value.map(RawValue::get)));
            prop_assert_eq!(values(raw(&json), names), read, "{}", json);
        }
    }
}
