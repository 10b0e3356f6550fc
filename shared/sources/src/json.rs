//! Reading JSON member by member, with every value borrowed from the text as it stands.
//!
//! `serde`'s derived readers refuse what they did not expect, and one odd member must not cost the others: names need
//! not be Unicode, a name may stand twice (the last one counts, as in most readers of JSON), and a value of another
//! kind than was hoped for is no error.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use domain::delivery::MOST_EVENTS;
use domain::provenance::SourceTime;
use domain::timestamp::Timestamp;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object, in their order.
pub(crate) type Members<'a> = Vec<(Name<'a>, &'a RawValue)>;

/// The characters of a JSON string; `None` for anything else and for a string with a lone surrogate.
pub(crate) fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    text_in(value.get())
}

/// The characters of a JSON string, of a text that is JSON.
pub(crate) fn text_in(json: &str) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    // Without an escape they stand as they are.
    let plain = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    if let Some(plain) = plain
        && !plain.as_bytes().contains(&b'\\')
    {
        return Some(Cow::Borrowed(plain));
    }
    serde_json::from_str::<Text<'_>>(json)
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

/// Reads a member that has to be there, and may be null.
#[cfg(feature = "api")]
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer)
}

/// The first moment that is taken for one, in milliseconds: the year 1971. Programs write a time that was never set as the
/// first moment of their calendar (1970, the year 1), and an event must not be ordered by that.
const FIRST_MILLIS: u64 = 365 * 24 * 3600 * 1000;
/// The first moment that is taken for one, as RFC 3339 begins.
const FIRST_YEAR: &str = "1971";
/// The largest number that counts seconds: 10¹¹ seconds are the year 5138, and 10¹¹ milliseconds the year 1973.
const LAST_SECONDS: u64 = 100_000_000_000;

/// A moment: a text in RFC 3339, as it stands; or seconds or milliseconds since 1970, as a number or in a text, spelled in
/// RFC 3339. `None` where it is none of them, or not between 1971 and 9999.
pub(crate) fn time_of(value: &RawValue) -> Option<SourceTime> {
    let text = match value.get().bytes().next() {
        Some(b'"') => text_of(value)?,
        _ => Cow::Borrowed(value.get()),
    };
    let text = text.trim_ascii();
    if let Some(millis) = millis_of(text) {
        let moment = Timestamp::from_millis(millis);
        // A moment that cannot be said becomes the last one that can.
        let is_sayable = moment.millis() == millis && millis >= FIRST_MILLIS;
        return is_sayable.then(|| moment.to_string().parse().ok())?;
    }
    text.parse()
        .ok()
        .filter(|_| text.get(..4).is_some_and(|year| year >= FIRST_YEAR))
}

/// The milliseconds that a decimal number of seconds or milliseconds says; what is less than one is dropped.
fn millis_of(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    if whole > LAST_SECONDS {
        return Some(whole);
    }
    let thousandths = format!("{fraction:0<3}");
    let thousandths: u64 = thousandths.get(..3)?.parse().ok()?;
    whole.checked_mul(1000)?.checked_add(thousandths)
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
    use proptest::prelude::*;
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

    #[rstest]
    #[case::text("\"2026-11-20T12:10:00Z\"", Some("2026-11-20T12:10:00Z"))]
    #[case::text_with_offset(
        "\"2026-11-20T12:10:00.5+01:00\"",
        Some("2026-11-20T12:10:00.5+01:00")
    )]
    #[case::text_with_space("\" 2026-11-20T12:10:00Z\\n\"", Some("2026-11-20T12:10:00Z"))]
    #[case::text_in_the_future("\"9999-12-31T23:59:59Z\"", Some("9999-12-31T23:59:59Z"))]
    #[case::escaped(r#""2026-11-20\u005412:10:00Z""#, Some("2026-11-20T12:10:00Z"))]
    #[case::seconds("1795176000", Some("2026-11-20T12:00:00.000Z"))]
    #[case::milliseconds("1795176000123", Some("2026-11-20T12:00:00.123Z"))]
    #[case::seconds_as_text("\"1795176000\"", Some("2026-11-20T12:00:00.000Z"))]
    #[case::milliseconds_as_text("\"1795176000123\"", Some("2026-11-20T12:00:00.123Z"))]
    #[case::parts_of_a_second("1795176000.12", Some("2026-11-20T12:00:00.120Z"))]
    #[case::smaller_parts("1795176000.123999", Some("2026-11-20T12:00:00.123Z"))]
    #[case::parts_of_a_millisecond("1795176000123.9", Some("2026-11-20T12:00:00.123Z"))]
    #[case::the_most_seconds("100000000000", Some("5138-11-16T09:46:40.000Z"))]
    #[case::the_fewest_milliseconds("100000000001", Some("1973-03-03T09:46:40.001Z"))]
    #[case::the_last_moment("253402300799999", Some("9999-12-31T23:59:59.999Z"))]
    #[case::after_the_last_moment("253402300800000", None)]
    #[case::out_of_range("99999999999999999999999999", None)]
    #[case::the_first_moment("31536000", Some("1971-01-01T00:00:00.000Z"))]
    #[case::before_the_first_moment("31535999", None)]
    #[case::never_set("0", None)]
    #[case::never_set_text("\"1970-01-01T00:00:00Z\"", None)]
    #[case::never_set_in_another_calendar("\"0001-01-01T00:00:00Z\"", None)]
    #[case::before_1970("-1795176000", None)]
    #[case::exponent("1.795176e9", None)]
    #[case::no_offset("\"2026-11-20T12:10:00\"", None)]
    #[case::a_space_for_t_and_no_offset("\"2026-11-20 12:10:00\"", None)]
    #[case::a_day("\"2026-11-20\"", None)]
    #[case::no_such_day("\"2026-02-30T12:00:00Z\"", None)]
    #[case::words("\"Friday\"", None)]
    #[case::empty("\"\"", None)]
    #[case::a_point("\".\"", None)]
    #[case::two_points("\"1.2.3\"", None)]
    #[case::null("null", None)]
    #[case::truth("true", None)]
    #[case::list("[1795176000]", None)]
    #[case::object("{\"date\":1795176000}", None)]
    #[case::lone_surrogate(r#""\ud800""#, None)]
    fn times(#[case] json: &str, #[case] time: Option<&str>) {
        let read = time_of(raw(json)).map(|time| time.to_string());
        assert_eq!(read.as_deref(), time);
    }

    proptest! {
        #[test]
        fn a_moment_reads_the_same_in_every_spelling(millis in LAST_SECONDS + 1..253_402_300_800_000_u64) {
            let moment = Timestamp::from_millis(millis).to_string();
            let (seconds, thousandths) = (millis / 1000, millis % 1000);
            for json in [
                format!("\"{moment}\""),
                format!("{millis}"),
                format!("\"{millis}\""),
                format!("{seconds}.{thousandths:03}"),
            ] {
                // A number of seconds that is not below the limit would be read as milliseconds.
                if seconds > LAST_SECONDS && json.contains(&format!("{seconds}.")) {
                    continue;
                }
                let read = time_of(raw(&json)).map(|time| time.to_string());
                prop_assert_eq!(read.as_deref(), Some(&*moment), "{}", json);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,50}") {
            let json = serde_json::to_string(&text).unwrap();
            let _: Option<SourceTime> = time_of(raw(&json));
        }
    }
}
