//! Reading JSON member by member, with every value borrowed from the text as it stands.
//!
//! `serde`'s derived readers refuse what they did not expect, and one odd member must not cost the others: names need not be
//! Unicode, a name may stand twice (the last one counts, as in most readers of JSON), and a value of another kind than
//! was hoped for is no error.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use domain::delivery::MOST_EVENTS;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, in their order.
pub(crate) type Members<'a> = Vec<(Name<'a>, &'a RawValue)>;

/// The characters of a JSON string; `None` for anything else and for a string with a lone surrogate.
pub(crate) fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    serde_json::from_str::<Text<'_>>(value.get())
        .ok()
        .map(|text| text.0)
}

/// An id, which may be a string or a whole number; `None` for anything else and for an empty string.
pub(crate) fn id_of(value: &RawValue) -> Option<Cow<'_, str>> {
    let text = value.get();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Cow::Borrowed(text));
    }
    text_of(value).filter(|id| !id.is_empty())
}

/// A member's name as bytes: JSON allows names that are no Unicode text.
#[derive(serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Name<'a>(#[serde(borrow)] pub(crate) Cow<'a, [u8]>);

/// The values of some members of an object.
pub(crate) fn fields<'a, const N: usize>(
    object: &'a RawValue,
    names: [&str; N],
) -> Option<[Option<&'a RawValue>; N]> {
    struct Fields<'n, const N: usize>([&'n str; N]);

    impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
        type Value = [Option<&'de RawValue>; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a record")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut values = [None; N];
            while let Some(name) = map.next_key::<Name<'de>>()? {
                let wanted = self
                    .0
                    .iter()
                    .position(|wanted| *name.0 == *wanted.as_bytes());
                match wanted.and_then(|position| values.get_mut(position)) {
                    Some(value) => *value = Some(map.next_value()?),
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(values)
        }
    }

    serde_json::Deserializer::from_str(object.get())
        .deserialize_map(Fields(names))
        .ok()
}

/// What can be read from the members of an object.
pub(crate) trait FromMembers<'de>: Sized {
    fn from_members<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error>;
}

impl<'de> FromMembers<'de> for Members<'de> {
    fn from_members<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        let mut members = Self::with_capacity(1);
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

/// The elements of a list, as far as a delivery can have them and one more, by which it is known for too long. Those after
/// are read, and not kept: in six megabytes there may be three million.
pub(crate) struct First<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FirstVisitor(PhantomData))
    }
}

struct FirstVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstVisitor<T> {
    type Value = First<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut first = Vec::new();
        while first.len() <= MOST_EVENTS {
            match seq.next_element()? {
                Some(element) => first.push(element),
                None => return Ok(First(first)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(First(first))
    }
}

pub(crate) fn object<'a, T: FromMembers<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str::<ObjectOr<T>>(raw.get())
        .ok()
        .and_then(|object| object.0)
}

/// What was read from an object, or `None` from any other JSON: one odd element must not stop the others.
pub(crate) struct ObjectOr<T>(pub(crate) Option<T>);

impl<'de, T: FromMembers<'de>> Deserialize<'de> for ObjectOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(ObjectVisitor(PhantomData))
            .map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: FromMembers<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::from_members(map).map(Some)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
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
    #[case("\"a\"", Some("a"))]
    #[case("17", Some("17"))]
    #[case("1.7", None)]
    #[case("-1", None)]
    #[case("\"\"", None)]
    #[case("null", None)]
    #[case("{}", None)]
    #[case::lone_surrogate(r#""\ud800""#, None)]
    fn ids_are_strings_or_whole_numbers(#[case] json: &str, #[case] id: Option<&str>) {
        assert_eq!(id_of(raw(json)).as_deref(), id);
    }
}
