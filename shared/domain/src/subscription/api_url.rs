//! URLs of APIs that a caller names: whatever they lead to is called in this function's name.

use std::str::FromStr;

use thiserror::Error;
use url::{Host, Url};

/// Names at which only private networks answer.
/// <https://www.iana.org/assignments/special-use-domain-names>
const PRIVATE: [&str; 9] = [
    "localhost",
    "local",
    "internal",
    "lan",
    "home",
    "home.arpa",
    "localdomain",
    "corp",
    "intranet",
];

/// The longest URL that is taken, in characters.
const LONGEST: usize = 512;

/// An address of an API that a caller may name: `https`, by a public name, at the usual port. It is normalised, and has no
/// slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUrl(String);

/// A text that is no [`ApiUrl`]. The error does not repeat it.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error(
    "it has to be an https URL with a public host name, such as https://api.example.com/v2; no user, no port, no IP address, \
     no query"
)]
pub struct ApiUrlError;

impl FromStr for ApiUrl {
    type Err = ApiUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        // The parser would read a backslash as a slash, and a user that is empty as none.
        if !is_plain || text.contains(['\\', '@']) {
            return Err(ApiUrlError);
        }
        let url = Url::parse(text).map_err(|_| ApiUrlError)?;
        let is_bare = url.query().is_none() && url.fragment().is_none();
        // The parser drops the port 443, and reads every spelling of an IPv4 address as one.
        if url.scheme() != "https" || url.port().is_some() || !is_bare {
            return Err(ApiUrlError);
        }
        match url.host() {
            Some(Host::Domain(name)) if is_public(name) => {
                Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
            }
            _ => Err(ApiUrlError),
        }
    }
}

impl ApiUrl {
    /// The URL, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a name has more than one label, and none of the ends that only private networks know.
fn is_public(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_private = |end: &str| {
        let rest = name.strip_suffix(end);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    name.contains('.')
        && !name.split('.').any(str::is_empty)
        && !PRIVATE.into_iter().any(is_private)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("https://api.example.com", "https://api.example.com")]
    #[case::slash("https://api.example.com/", "https://api.example.com")]
    #[case::path("https://api.example.com/v2/", "https://api.example.com/v2")]
    #[case::upper_case("HTTPS://API.Example.com/V2", "https://api.example.com/V2")]
    #[case::usual_port("https://api.example.com:443/v2", "https://api.example.com/v2")]
    #[case::dots("https://api.example.com/a/../v2", "https://api.example.com/v2")]
    #[case::like_a_private_name("https://mylocal.example.com", "https://mylocal.example.com")]
    #[case::home_inside("https://home.example.com", "https://home.example.com")]
    fn public_addresses_are_normalised(#[case] text: &str, #[case] normal: &str) {
        assert_eq!(text.parse::<ApiUrl>().unwrap().as_str(), normal);
    }

    #[rstest]
    #[case::nothing("")]
    #[case::no_url("shop.example.net")]
    #[case::http("http://api.example.com")]
    #[case::file("file:///etc/passwd")]
    #[case::user("https://user@api.example.com")]
    #[case::empty_user("https://@api.example.com")]
    #[case::password("https://user:password@api.example.com")]
    #[case::ipv4("https://169.254.169.254")]
    #[case::ipv4_as_a_number("https://2852039166")]
    #[case::ipv4_in_hex("https://0xa9.0xfe.0xa9.0xfe")]
    #[case::ipv4_short("https://127.1")]
    #[case::ipv6("https://[::1]")]
    #[case::port("https://api.example.com:8443")]
    #[case::http_port("https://api.example.com:80")]
    #[case::localhost("https://localhost")]
    #[case::below_localhost("https://a.localhost")]
    #[case::local("https://printer.local")]
    #[case::internal("https://metadata.google.internal")]
    #[case::internal_with_a_dot("https://metadata.google.internal.")]
    #[case::in_capitals("https://METADATA.GOOGLE.INTERNAL")]
    #[case::lan("https://nas.lan")]
    #[case::home("https://nas.home")]
    #[case::localdomain("https://a.localdomain")]
    #[case::single_label("https://intranet-api")]
    #[case::single_label_with_a_dot("https://example.")]
    #[case::query("https://api.example.com/?a=b")]
    #[case::fragment("https://api.example.com/#a")]
    #[case::backslash("https://api.example.com\\@localhost")]
    #[case::space(" https://shop.example.net")]
    #[case::line_break("https://api.exa\nmple.com")]
    #[case::not_ascii("https://api.éxample.com")]
    #[case::too_long(&format!("https://api.example.com/{}", "a".repeat(512)))]
    fn what_could_lead_elsewhere_is_refused(#[case] text: &str) {
        let error = text.parse::<ApiUrl>().unwrap_err();
        assert!(text.is_empty() || !error.to_string().contains(text));
    }
}
