//! The sources for the local stack: a simulator of each in this process, or somebody's URLs.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::ValueEnum as _;
use simulator::{Simulator, Source};

/// The name of Orderspace's API among the addresses of sources.
pub const ORDERSPACE: &str = "orderspace";
/// The name of where Orderspace gives out access tokens.
pub const IDENTITY: &str = "orderspace-identity";

/// The names of a source's addresses, as the parameter `SourceUrls` of template.yaml takes them.
#[must_use]
pub fn addresses(source: Source) -> &'static [&'static str] {
    match source {
        Source::Orderspace => &[ORDERSPACE, IDENTITY],
        // Its API, and where users log in.
        Source::Ordermentum => &["ordermentum", "ordermentum-login"],
        Source::Apideck => &["apideck"],
        Source::Onestock => &["onestock"],
        // Its webhooks are registered by hand: no function calls it.
        Source::Stackone => &[],
    }
}

/// The name of a source, as in webhook URLs.
#[must_use]
pub fn name(source: Source) -> String {
    let value = source.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// The sources that a simulator plays: those of which some address is not among these `NAME=URL`.
#[must_use]
pub fn needed(source_urls: &[String]) -> Vec<Source> {
    let is_named = |name: &&str| {
        let mut names = source_urls.iter().filter_map(|entry| entry.split_once('='));
        names.any(|(known, _)| known == *name)
    };
    let is_elsewhere = |source: &Source| {
        let names = addresses(*source);
        !names.is_empty() && names.iter().all(is_named)
    };
    let all = Source::value_variants().iter().copied();
    all.filter(|source| !is_elsewhere(source)).collect()
}

/// The addresses of the sources that are played at these URLs, as `NAME=URL`.
#[must_use]
pub fn source_urls(simulators: &BTreeMap<String, String>) -> Vec<String> {
    let played = Source::value_variants().iter();
    let played = played.filter_map(|source| Some((*source, simulators.get(&name(*source))?)));
    played
        .flat_map(|(source, url)| {
            addresses(source)
                .iter()
                .map(move |name| format!("{name}={url}"))
        })
        .collect()
}

/// Starts a simulator on a free port for each of these sources; by the source's name.
///
/// # Errors
/// The machine has no port to give.
pub async fn start(sources: &[Source]) -> Result<BTreeMap<String, Simulator>> {
    let mut simulators = BTreeMap::new();
    for source in sources {
        simulators.insert(name(*source), Simulator::start_as(*source, 0).await?);
    }
    Ok(simulators)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|entry| (*entry).to_owned()).collect()
    }

    #[test]
    fn a_simulator_stands_in_until_every_address_of_its_source_is_named() {
        let names = |entries: &[&str]| -> Vec<String> {
            needed(&owned(entries)).into_iter().map(name).collect()
        };
        let all = [
            "orderspace",
            "ordermentum",
            "apideck",
            "onestock",
            "stackone",
        ];
        assert_eq!(names(&[]), all);
        assert_eq!(names(&["orderspace=http://127.0.0.1:1"]), all);
        assert_eq!(names(&["orderspace-identity=http://127.0.0.1:1"]), all);
        assert_eq!(
            names(&["orderspace=http://a", "orderspace-identity=http://a"]),
            all[1..]
        );
        assert_eq!(
            names(&[
                "apideck=http://a",
                "onestock=http://a",
                "stackone=http://a",
                "ordermentum",
                "ordermentum-login=http://a"
            ]),
            ["orderspace", "ordermentum", "stackone"],
            "nothing calls StackOne, and an entry without a URL names nothing"
        );
    }

    #[test]
    fn every_source_has_a_name_of_its_own_that_its_webhook_urls_have() {
        for source in domain::source::Source::ALL {
            let mut played = Source::value_variants().iter().copied();
            assert!(
                played.any(|known| name(known) == source.as_str()),
                "{source}"
            );
        }
        assert_eq!(
            Source::value_variants().len(),
            domain::source::Source::ALL.len()
        );
    }

    #[test]
    fn the_functions_are_given_the_addresses_of_what_is_played() {
        let at = |name: &str, port: u16| (name.to_owned(), format!("http://127.0.0.1:{port}"));
        let simulators =
            BTreeMap::from([at("orderspace", 1), at("onestock", 2), at("stackone", 3)]);
        assert_eq!(
            source_urls(&simulators),
            [
                "orderspace=http://127.0.0.1:1",
                "orderspace-identity=http://127.0.0.1:1",
                "onestock=http://127.0.0.1:2"
            ]
        );
        assert_eq!(source_urls(&BTreeMap::new()), Vec::<String>::new());
    }
}
