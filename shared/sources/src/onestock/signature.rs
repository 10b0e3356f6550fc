//! OneStock's signatures: <https://onestock.atlassian.net/wiki/spaces/DOCUMENTAT/pages/620429319/>.
//!
//! The header is `Onestock-Signature: t={seconds},h0={tag},h1={tag},h2={tag}`, with a tag for each of up to three keys, the
//! newest first. What the tags are made over and how they are written is not published, and the documentation's example
//! separates them by a point and by a comma. So each way of writing and of signing is tried that it may mean.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::delivery::Request;
use domain::signature::{Form, LiveSecrets, MOST_TAGS, Offer, ProofError, Tags};
use domain::timestamp::Timestamp;
use http::HeaderMap;

use crate::only_value;

const SIGNATURE_HEADER: &str = "onestock-signature";
/// What a printed example has before the header's value.
const PREFIX: &[u8] = b"onestock-signature=";

/// Over the time, a point and the body.
const TIME_POINT_BODY: Form = Form("time.body");
/// Over the time and the body.
const TIME_BODY: Form = Form("time+body");
/// Over the body.
const BODY: Form = Form("body");
/// Over the time alone, as the documentation's words are. The body is not bound to it.
const TIME: Form = Form("time");

/// Every form that the documentation may mean, the likeliest first.
static FORMS: [Form; 4] = [TIME_POINT_BODY, TIME_BODY, BODY, TIME];

/// Reads the signature that a request offers. While its form is not known, one that cannot be read is as good as none.
pub(super) fn offer(headers: &HeaderMap) -> Offer {
    let tags = read(headers).map(|signature| Tags::several(signature.tags));
    match tags {
        Ok(Some(tags)) => Offer::Macs {
            tags,
            forms: &FORMS,
        },
        Ok(None) | Err(ProofError::Missing | ProofError::Malformed) => Offer::Nothing,
    }
}

/// The header of a body that is signed at a time, in the likeliest form, with a tag for each live key.
pub(super) fn header(
    secrets: &LiveSecrets,
    at: Timestamp,
    body: &[u8],
) -> Option<(&'static str, String)> {
    let seconds = (at.millis() / 1000).to_string();
    let signed = [seconds.as_bytes(), b".", body].concat();
    let mut value = format!("t={seconds}");
    for (generation, key) in secrets.macs.iter().take(MOST_TAGS).enumerate() {
        value += &format!(",h{generation}={}", hex::encode(key.sign(&signed)?));
    }
    (!secrets.macs.is_empty()).then_some((SIGNATURE_HEADER, value))
}

/// The bytes over which a tag of this form was made.
pub(super) fn signed<'a>(request: Request<'a>, form: Form) -> Option<Cow<'a, [u8]>> {
    let time = read(request.headers).ok()?.time;
    let body = request.body;
    match form {
        TIME_POINT_BODY => Some(Cow::Owned([time, b".", body].concat())),
        TIME_BODY => Some(Cow::Owned([time, body].concat())),
        BODY => Some(Cow::Borrowed(body)),
        TIME => Some(Cow::Borrowed(time)),
        _ => None,
    }
}

/// When the request was signed, as it says: `t`, in seconds. Whether that is the time of the attempt or of the message is not
/// known.
pub(super) fn signed_at(headers: &HeaderMap) -> Option<Timestamp> {
    let time = read(headers).ok()?.time;
    let seconds: u64 = std::str::from_utf8(time).ok()?.parse().ok()?;
    Some(Timestamp::from_millis(seconds.saturating_mul(1000)))
}

/// What the header says.
struct Signature<'a> {
    /// Seconds since 1970, as they were written: 1 to 12 digits.
    time: &'a [u8],
    tags: Vec<[u8; 32]>,
}

/// Reads the header. A part that is not known is left out, and one that stands twice could have been added on the way.
fn read(headers: &HeaderMap) -> Result<Signature<'_>, ProofError> {
    let value = only_value(headers, SIGNATURE_HEADER)?;
    let value = match value.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => value,
    };
    let mut time = None;
    let mut tags = [None; MOST_TAGS];
    for part in parts(value) {
        let equals = part.iter().position(|byte| *byte == b'=');
        let Some((name, text)) = equals.and_then(|at| Some((part.get(..at)?, part.get(at + 1..)?)))
        else {
            continue;
        };
        let is_first = match name {
            b"t" => time.replace(seconds(text)?).is_none(),
            [b'h', digit @ b'0'..=b'9'] => match tags.get_mut(usize::from(digit - b'0')) {
                Some(place) => place.replace(tag(text)?).is_none(),
                None => true,
            },
            _ => true,
        };
        if !is_first {
            return Err(ProofError::Malformed);
        }
    }
    let tags: Vec<_> = tags.into_iter().flatten().collect();
    match time {
        Some(time) if !tags.is_empty() => Ok(Signature { time, tags }),
        _ => Err(ProofError::Malformed),
    }
}

/// The parts of the header's value: between commas, and between points where a tag begins behind them.
fn parts(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let value = rest?;
        let is_end = |at: &usize| match value.get(*at..) {
            Some([b',', ..]) => true,
            Some([b'.', b'h', digit, b'=', ..]) => digit.is_ascii_digit(),
            _ => false,
        };
        let end = (0..value.len()).find(is_end);
        rest = end.and_then(|end| value.get(end + 1..));
        value
            .get(..end.unwrap_or(value.len()))
            .map(<[u8]>::trim_ascii)
    })
}

fn seconds(text: &[u8]) -> Result<&[u8], ProofError> {
    let is_number = (1..=12).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    is_number.then_some(text).ok_or(ProofError::Malformed)
}

/// A tag in hexadecimal digits, or in base64 of either alphabet, padded or not.
fn tag(text: &[u8]) -> Result<[u8; 32], ProofError> {
    let bytes = if text.len() == 64 {
        hex::decode(text).ok()
    } else {
        let url_safe: Vec<u8> = text
            .strip_suffix(b"=")
            .unwrap_or(text)
            .iter()
            .map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect();
        URL_SAFE_NO_PAD.decode(url_safe).ok()
    };
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(ProofError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;
    use rstest::rstest;

    /// `t.body` of the documented body, under a newer key and the one before it.
    const H0: &str = "7fb17dc91bbe4ba87aef4300e21d083c614d33302bdc5e84c3cf7b9063fd7099";
    const H1: &str = "10f5a0871e20fe98e809d3405d5ddc56aa9e937a034944ab8d8147f2652393b1";
    const H0_BASE64: &str = "f7F9yRu+S6h670MA4h0IPGFNMzAr3F6Ew897kGP9cJk=";

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(SIGNATURE_HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    /// The time and the tags that a header's value has.
    fn shown(value: &str) -> Option<(String, Vec<String>)> {
        let headers = headers(&[value.as_bytes()]);
        let signature = read(&headers).ok()?;
        let time = String::from_utf8(signature.time.to_vec()).unwrap();
        Some((time, signature.tags.iter().map(hex::encode).collect()))
    }

    #[rstest]
    #[case::as_documented(&format!("t=1795176000,h0={H0},h1={H1}"))]
    #[case::a_point_for_the_first_comma(&format!("t=1795176000.h0={H0},h1={H1}"))]
    #[case::points_for_all_commas(&format!("t=1795176000.h0={H0}.h1={H1}"))]
    #[case::with_the_header_s_name(&format!("Onestock-Signature=t=1795176000,h0={H0},h1={H1}"))]
    #[case::name_in_another_case(&format!("ONESTOCK-SIGNATURE=t=1795176000,h0={H0},h1={H1}"))]
    #[case::in_base64(&format!("t=1795176000,h0={H0_BASE64},h1={H1}"))]
    #[case::not_padded(&format!("t=1795176000,h0={},h1={H1}", H0_BASE64.trim_end_matches('=')))]
    #[case::in_the_other_alphabet(&format!("t=1795176000,h0={},h1={H1}", H0_BASE64.replace('+', "-")))]
    #[case::in_upper_case(&format!("t=1795176000,h0={},h1={H1}", H0.to_uppercase()))]
    #[case::in_another_order(&format!("h1={H1},h0={H0},t=1795176000"))]
    #[case::space_around(&format!(" t=1795176000 , h0={H0} ,\th1={H1} "))]
    #[case::more_parts(&format!("v=3,t=1795176000,h0={H0},h1={H1},h3=1,x,,=,h=1,h10=2"))]
    fn spellings_of_one_signature(#[case] value: &str) {
        let expected = ("1795176000".to_owned(), vec![H0.to_owned(), H1.to_owned()]);
        assert_eq!(shown(value), Some(expected));
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_part("1795176000")]
    #[case::no_tag("t=1795176000")]
    #[case::no_time(&format!("h0={H0}"))]
    #[case::no_known_tag(&format!("t=1795176000,h3={H0}"))]
    #[case::time_twice(&format!("t=1795176000,t=1795176000,h0={H0}"))]
    #[case::tag_twice(&format!("t=1795176000,h0={H0},h0={H0}"))]
    #[case::no_digits_of_time(&format!("t=,h0={H0}"))]
    #[case::thirteen_digits_of_time(&format!("t=1795176000123,h0={H0}"))]
    #[case::a_sign_of_time(&format!("t=+1795176000,h0={H0}"))]
    #[case::time_in_words(&format!("t=2026-11-20T12:00:00Z,h0={H0}"))]
    #[case::short_tag(&format!("t=1795176000,h0={}", &H0[..62]))]
    #[case::long_tag(&format!("t=1795176000,h0={H0}00"))]
    #[case::no_tag_digits(&format!("t=1795176000,h0={}g", &H0[..63]))]
    #[case::empty_tag("t=1795176000,h0=")]
    #[case::one_tag_is_wrong(&format!("t=1795176000,h0={H0},h1=9876"))]
    #[case::padded_twice(&format!("t=1795176000,h0={H0_BASE64}="))]
    #[case::the_page_s_example("t=1704092400.h0=1234,h1=9876")]
    #[case::a_point_before_no_tag(&format!("t=1795176000.x=1,h0={H0}"))]
    #[case::space_inside(&format!("t=17951 76000,h0={H0}"))]
    fn what_is_no_signature_is_no_offer(#[case] value: &str) {
        assert_eq!(shown(value), None);
        assert!(matches!(
            offer(&headers(&[value.as_bytes()])),
            Offer::Nothing
        ));
    }

    #[test]
    fn two_headers_offer_nothing_and_neither_does_none() {
        let good = format!("t=1795176000,h0={H0}");
        let good = good.as_bytes();
        assert!(matches!(offer(&headers(&[good])), Offer::Macs { .. }));
        assert!(matches!(offer(&headers(&[good, good])), Offer::Nothing));
        assert!(matches!(offer(&headers(&[])), Offer::Nothing));
    }

    #[rstest]
    #[case("time.body", Some("17.{}"))]
    #[case("time+body", Some("17{}"))]
    #[case("body", Some("{}"))]
    #[case("time", Some("17"))]
    #[case("raw_body", None)]
    fn a_form_says_which_bytes_are_signed(#[case] form: &'static str, #[case] bytes: Option<&str>) {
        let headers = headers(&[format!("t=17,h0={H0}").as_bytes()]);
        let request = |headers| Request {
            headers,
            part: "",
            body: b"{}",
        };
        let made = signed(request(&headers), Form(form));
        assert_eq!(made.as_deref(), bytes.map(str::as_bytes));
        let none = HeaderMap::new();
        assert_eq!(signed(request(&none), Form(form)), None);
    }

    #[rstest]
    #[case::a_time("17", Some(17_000))]
    #[case::the_longest("999999999999", Some(999_999_999_999_000))]
    #[case::zeros("0000000017", Some(17_000))]
    #[case::milliseconds_are_too_long("1795176000123", None)]
    #[case::no_digits("", None)]
    fn the_time_of_signing_is_in_the_header(#[case] time: &str, #[case] millis: Option<u64>) {
        let headers = headers(&[format!("t={time},h0={H0}").as_bytes()]);
        let expected = millis.map(Timestamp::from_millis);
        assert_eq!(signed_at(&headers), expected);
        assert_eq!(signed_at(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn no_value_panics(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers = HeaderMap::new();
                headers.insert(SIGNATURE_HEADER, value);
                let _: Offer = offer(&headers);
            }
        }

        #[test]
        fn nothing_like_a_signature_panics(value in "(onestock-signature=)?([th.,=0-9a-f ]|h[0-9]=|t=){0,60}") {
            if let Some((time, tags)) = shown(&value) {
                prop_assert!((1..=12).contains(&time.len()));
                prop_assert!((1..=MOST_TAGS).contains(&tags.len()));
            }
        }
    }
}
