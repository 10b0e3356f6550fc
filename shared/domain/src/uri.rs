//! Text in a URI: what is reserved there becomes percent codes. <https://www.rfc-editor.org/rfc/rfc3986#section-2>

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but unreserved characters.
const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// All but unreserved characters and slashes.
const RESERVED_IN_PATH: AsciiSet = RESERVED.remove(b'/');

/// A text as a value in a query.
#[must_use]
pub fn query_value(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// A text as a path: its slashes stay. So S3 wants an object's key, and signs it.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
#[must_use]
pub fn path(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED_IN_PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::unreserved("A-z.0_9~", "A-z.0_9~")]
    #[case::reserved("a b#?%é+=&$", "a%20b%23%3F%25%C3%A9%2B%3D%26%24")]
    #[case::encoded("%2F", "%252F")]
    #[case::controls("a\r\nb\0", "a%0D%0Ab%00")]
    #[case::another_plane("\u{1f4e6}", "%F0%9F%93%A6")]
    fn what_is_reserved_becomes_percent_codes(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(query_value(text), expected);
        assert_eq!(path(text), expected);
    }

    #[rstest]
    #[case::a_key("events/acme/a b#?%é.json", "events/acme/a%20b%23%3F%25%C3%A9.json")]
    #[case::segments("/a//b/../c", "/a//b/../c")]
    fn a_path_keeps_its_slashes(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(path(text), expected);
    }

    #[rstest]
    #[case::an_id("5c1f0a52-3b7e.A_z~", "5c1f0a52-3b7e.A_z~")]
    #[case::another_parameter("a&pageNo=2", "a%26pageNo%3D2")]
    #[case::a_fragment("a#b?c/%", "a%23b%3Fc%2F%25")]
    #[case::not_ascii("é", "%C3%A9")]
    fn a_value_stays_one_value(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(query_value(text), expected);
    }
}
