//! Where the sources' APIs are: each at its own addresses, unless the configuration names others.

use std::str::FromStr;

use thiserror::Error;

use crate::apideck::api::ApideckUrls;
use crate::ordermentum::api::OrdermentumUrls;
use crate::orderspace::api::OrderspaceUrls;

/// The addresses of the sources' APIs. Read from a list such as
/// `orderspace=http://127.0.0.1:8700,orderspace-identity=http://127.0.0.1:8701`, of which the later entry counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceUrls {
    /// Orderspace's, by the names `orderspace` and `orderspace-identity`.
    pub orderspace: OrderspaceUrls,
    /// Apideck's, by the name `apideck`.
    pub apideck: ApideckUrls,
    /// Ordermentum's, by the names `ordermentum` and `ordermentum-login`.
    pub ordermentum: OrdermentumUrls,
    /// What stands in for the address that a caller gives of OneStock, by the name `onestock`: for a local stack alone. A
    /// caller gives a public address all the same.
    pub onestock: Option<String>,
}

/// An entry that is no address of a source. It is named by its place, since a mistake may have put a secret there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SourceUrlsError {
    /// It is for no source.
    #[error(
        "entry {0} is for no source's API; the names are orderspace, orderspace-identity, ordermentum, ordermentum-login, \
         onestock, apideck"
    )]
    UnknownName(usize),
    /// It is no `NAME=URL`, or its URL is none.
    #[error(
        "entry {0} has to be NAME=URL with an http or https URL without query, such as \
         orderspace=https://api.example.com"
    )]
    Malformed(usize),
}

impl SourceUrls {
    fn named(&mut self, name: &str) -> Option<&mut String> {
        match name {
            "orderspace" => Some(&mut self.orderspace.api),
            "orderspace-identity" => Some(&mut self.orderspace.identity),
            "apideck" => Some(&mut self.apideck.api),
            "ordermentum" => Some(&mut self.ordermentum.api),
            "ordermentum-login" => Some(&mut self.ordermentum.login),
            "onestock" => Some(self.onestock.get_or_insert_default()),
            _ => None,
        }
    }
}

impl FromStr for SourceUrls {
    type Err = SourceUrlsError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let mut urls = Self::default();
        for (entry, place) in list.split(',').zip(1..) {
            let entry = entry.split_once('=');
            let (name, url) = entry.ok_or(SourceUrlsError::Malformed(place))?;
            let known = urls.named(name.trim());
            let known = known.ok_or(SourceUrlsError::UnknownName(place))?;
            *known = address(url.trim()).ok_or(SourceUrlsError::Malformed(place))?;
        }
        Ok(urls)
    }
}

/// A URL that a path can follow.
fn address(url: &str) -> Option<String> {
    let url = url.trim_end_matches('/');
    let host = url.strip_prefix("https://");
    let host = host.or_else(|| url.strip_prefix("http://"))?;
    let is_one = !host.is_empty() && !host.starts_with('/') && !host.contains(['?', '#', ' ']);
    is_one.then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_source_is_at_its_own_addresses_unless_the_list_names_others() {
        let own = SourceUrls::default().orderspace;
        assert_eq!(own.api, "https://api.orderspace.com");
        assert_eq!(own.identity, "https://identity.orderspace.com");
        let urls: SourceUrls =
            "orderspace=http://127.0.0.1:8700/, orderspace-identity=https://x.example/a"
                .parse()
                .unwrap();
        assert_eq!(urls.orderspace.api, "http://127.0.0.1:8700");
        assert_eq!(urls.orderspace.identity, "https://x.example/a");
        let urls: SourceUrls = "orderspace=http://a.example,orderspace=http://b.example"
            .parse()
            .unwrap();
        assert_eq!(urls.orderspace.api, "http://b.example");
        assert_eq!(urls.orderspace.identity, own.identity);
    }

    #[test]
    fn apideck_is_at_its_own_address_unless_the_list_names_another() {
        let own = SourceUrls::default();
        assert_eq!(own.apideck.api, "https://unify.apideck.com");
        let urls: SourceUrls = "apideck=http://127.0.0.1:8702/".parse().unwrap();
        assert_eq!(urls.apideck.api, "http://127.0.0.1:8702");
    }

    #[test]
    fn ordermentum_and_onestock_can_be_elsewhere() {
        let own = SourceUrls::default();
        assert_eq!(own.ordermentum.api, "https://api.ordermentum.com");
        assert_eq!(own.ordermentum.login, "https://app.ordermentum.com");
        assert_eq!(own.onestock, None, "a caller names the address");
        let list = "ordermentum=http://a.example/,ordermentum-login=http://b.example,onestock=http://c.example/v2";
        let urls: SourceUrls = list.parse().unwrap();
        assert_eq!(urls.ordermentum.api, "http://a.example");
        assert_eq!(urls.ordermentum.login, "http://b.example");
        assert_eq!(urls.onestock.as_deref(), Some("http://c.example/v2"));
        assert_eq!(urls.orderspace, own.orderspace);
    }

    #[rstest]
    #[case::another_source(
        "orderspace=http://a.example,shop=http://a.example",
        SourceUrlsError::UnknownName(2)
    )]
    #[case::no_name("=http://a.example", SourceUrlsError::UnknownName(1))]
    #[case::no_url("orderspace", SourceUrlsError::Malformed(1))]
    #[case::nothing_after_the_comma("orderspace=http://a.example,", SourceUrlsError::Malformed(2))]
    #[case::no_scheme("orderspace=a.example", SourceUrlsError::Malformed(1))]
    #[case::another_scheme("orderspace=ftp://a.example", SourceUrlsError::Malformed(1))]
    #[case::no_host("orderspace=https://", SourceUrlsError::Malformed(1))]
    #[case::an_empty_host("orderspace=https:///v1", SourceUrlsError::Malformed(1))]
    #[case::a_query(
        "orderspace=https://a.example?key=marker",
        SourceUrlsError::Malformed(1)
    )]
    #[case::a_space("orderspace=https://a.example /b", SourceUrlsError::Malformed(1))]
    fn what_is_no_address_of_a_source_is_refused_by_its_place(
        #[case] list: &str,
        #[case] expected: SourceUrlsError,
    ) {
        let error = list.parse::<SourceUrls>().unwrap_err();
        assert_eq!(error, expected);
        assert!(!error.to_string().contains("marker"));
    }
}
