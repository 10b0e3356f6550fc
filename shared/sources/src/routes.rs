//! What is wrong with routes that can be read: a place that is sent to in vain, or a pattern that fits nothing.
//!
//! What is refused before a deployment is only reported when a function starts. Its other routes are good, and no event is
//! lost: what a team's place refuses waits in the undelivered queue, and a pattern that fits nothing takes nothing.

use domain::account::AccountName;
use domain::ports::QueueUrl;
use domain::route::{ACCOUNT_EVENT_PREFIX, Format, Pattern, Route, Routes};
use domain::source::Source;
use domain::subscription::AccountEventKind;
use domain::unified::UnifiedType;

use crate::facts;

/// How many known names are offered for one that is not.
const NEAREST: usize = 3;

/// The longest name of a queue, `.fifo` included; a topic's may have 256.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html>
const LONGEST_QUEUE_NAME: usize = 80;

const FIFO: &str = ".fifo";

/// Something wrong with a team's route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The team.
    pub team: String,
    /// What is wrong, and what to do.
    pub text: String,
    /// What it does to the team's events.
    pub harm: Harm,
}

/// What a problem does to a team's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Each is refused, and waits in the undelivered queue.
    Refused,
    /// None that this release knows goes to the team.
    Unknown,
}

/// What is wrong with the routes of a stack in this region.
#[must_use]
pub fn problems(routes: &Routes, region: &str) -> Vec<Problem> {
    let of = |route: &Route| {
        let place = place(&route.queue, region).map(|text| (text, Harm::Refused));
        let patterns = route
            .types
            .iter()
            .filter_map(|pattern| unfitting(route, pattern));
        let patterns = patterns.chain(empty(route)).chain(accounts(route));
        let patterns = patterns.map(|text| (text, Harm::Unknown));
        let all = place.into_iter().chain(patterns);
        let team = route.team.clone();
        all.map(move |(text, harm)| Problem {
            team: team.clone(),
            text,
            harm,
        })
        .collect::<Vec<_>>()
    };
    routes.all().iter().flat_map(of).collect()
}

/// What is wrong with where a team's events are sent.
fn place(queue: &QueueUrl, region: &str) -> Option<String> {
    let text = queue.as_str();
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    if !is_url && !queue.is_topic() {
        return Some(format!(
            "{text:?} is no queue: \"queue\" takes its URL, such as https://sqs.{region}.amazonaws.com/111122223333/sales, and \
             \"topic\" the ARN of an SNS topic"
        ));
    }
    if let Some(other) = region_of(text).filter(|other| *other != region) {
        return Some(format!(
            "{text:?} is in {other}, and this stack sends within {region} alone: take a queue there, or subscribe this one \
             to a topic there"
        ));
    }
    let name = text.rsplit(['/', ':']).next().unwrap_or_default();
    let bare = name.strip_suffix(FIFO).unwrap_or(name);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if bare.is_empty() || !bare.bytes().all(allowed) {
        return Some(format!(
            "{name:?} is no name of a queue or topic: letters, digits, hyphens and underscores, and {FIFO} at the end of one \
             that is first-in-first-out"
        ));
    }
    (!queue.is_topic() && name.len() > LONGEST_QUEUE_NAME).then(|| {
        format!("{name:?} has more than the {LONGEST_QUEUE_NAME} characters of a queue's name")
    })
}

/// The region that a queue's URL or a topic's ARN names; none of an address that is not AWS's.
fn region_of(place: &str) -> Option<&str> {
    if place.starts_with("arn:") {
        return place.split(':').nth(3);
    }
    let host = place.split("://").nth(1)?.split('/').next()?;
    match *host.split('.').collect::<Vec<_>>() {
        // The names of now, of FIPS, of dual stack, and of once.
        ["sqs" | "sqs-fips", region, "amazonaws" | "api", ..] => Some(region),
        [region, "queue", "amazonaws", ..] => Some(region),
        ["queue", "amazonaws", ..] => Some("us-east-1"),
        _ => None,
    }
}

/// That a route takes nothing because it names nothing.
fn empty(route: &Route) -> Option<String> {
    let missing = [
        ("types", route.types.is_empty()),
        ("accounts", route.accounts.is_empty()),
        ("sources", route.sources().next().is_none()),
    ];
    let (name, _) = missing.into_iter().find(|(_, missing)| *missing)?;
    Some(format!(
        "{name:?} is empty, so nothing goes to the team: \"*\" takes all"
    ))
}

/// The patterns of accounts that no account's name fits.
fn accounts(route: &Route) -> impl Iterator<Item = String> {
    let patterns = route.accounts.iter().filter(|pattern| {
        let name = pattern.as_str();
        let beginning = name.strip_suffix('*').unwrap_or(name);
        // Of an account's name every beginning is one too.
        name != "*" && beginning.parse::<AccountName>().is_err()
    });
    patterns.map(|pattern| {
        let name = pattern.as_str();
        format!("{name:?} fits no account: names have lower-case letters, digits and hyphens")
    })
}

/// That a pattern fits no type that this release knows, with the names that come nearest.
fn unfitting(route: &Route, pattern: &Pattern) -> Option<String> {
    // What most routes say is no work for a start.
    if pattern.as_str() == "*" {
        return None;
    }
    let known = known(route, pattern);
    if known.iter().any(|name| pattern.matches(name)) {
        return None;
    }
    let text = pattern.as_str();
    let wanted = text.trim_end_matches('*');
    let mut nearest: Vec<(usize, String)> = known
        .into_iter()
        .map(|name| (distance(wanted, &name, text.ends_with('*')), name))
        .collect();
    nearest.sort();
    nearest.dedup();
    let nearest: Vec<String> = nearest
        .into_iter()
        .take(NEAREST)
        .map(|(_, name)| name)
        .collect();
    Some(format!(
        "{text:?} fits no event of {}; the nearest are {}",
        sources(route),
        nearest.join(", ")
    ))
}

fn sources(route: &Route) -> String {
    let names: Vec<&str> = route
        .sources()
        .map(facts)
        .map(|facts| facts.title)
        .collect();
    match names.len() {
        all if all == Source::ALL.len() => "any source".to_owned(),
        _ => names.join(", "),
    }
}

/// Every name that a pattern of the route could fit.
fn known(route: &Route, pattern: &Pattern) -> Vec<String> {
    if pattern.is_reserved() || ACCOUNT_EVENT_PREFIX.starts_with(pattern.as_str()) {
        return AccountEventKind::ALL
            .map(|kind| kind.as_str().to_owned())
            .to_vec();
    }
    let native = route.sources().flat_map(|source| {
        let names = facts(source).types.iter().map(|row| row.name);
        names.flat_map(move |name| [name.to_owned(), format!("{source}.{name}")])
    });
    let mut known: Vec<String> = native.collect();
    if route.format == Format::Unified {
        known.extend(UnifiedType::ALL.map(|unified| unified.to_string()));
    }
    known
}

/// How many characters have to be inserted, left out or replaced to make one text of the other; of a beginning, of what is
/// as long in the other.
fn distance(wanted: &str, name: &str, is_beginning: bool) -> usize {
    let wanted: Vec<char> = wanted.chars().collect();
    let length = if is_beginning {
        wanted.len()
    } else {
        usize::MAX
    };
    let mut row: Vec<usize> = (0..=wanted.len()).collect();
    for (position, character) in name.chars().take(length).enumerate() {
        let mut diagonal = position;
        let mut left = position + 1;
        let mut next = vec![left];
        for (above, other) in row.iter().skip(1).zip(&wanted) {
            let replaced = diagonal + usize::from(character != *other);
            left = replaced.min(left + 1).min(above + 1);
            next.push(left);
            diagonal = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const QUEUE: &str = r#""queue":"https://sqs.eu-west-1.amazonaws.com/111122223333/sales""#;

    fn found(members: &str) -> Vec<(String, Harm)> {
        let route = format!(r#"[{{"team":"sales",{members}}}]"#);
        let routes = Routes::parse(&route).unwrap();
        let found = problems(&routes, "eu-west-1").into_iter();
        let found = found.inspect(|problem| assert_eq!(problem.team, "sales"));
        found.map(|problem| (problem.text, problem.harm)).collect()
    }

    #[rstest]
    #[case::here("https://sqs.eu-west-1.amazonaws.com/111122223333/sales")]
    #[case::fifo("https://sqs.eu-west-1.amazonaws.com/111122223333/sales.fifo")]
    #[case::of_once("https://eu-west-1.queue.amazonaws.com/111122223333/sales")]
    #[case::fips("https://sqs-fips.eu-west-1.amazonaws.com/111122223333/sales")]
    #[case::dual_stack("https://sqs.eu-west-1.api.aws/111122223333/sales")]
    #[case::an_emulator_s("http://127.0.0.1:4566/000000000000/sales")]
    fn a_queue_that_can_be_reached_is_no_problem(#[case] queue: &str) {
        let members = format!(r#""queue":"{queue}","types":["*"],"accounts":["*"]"#);
        assert_eq!(found(&members), []);
    }

    #[rstest]
    #[case::another_region(
        r#""queue":"https://sqs.us-east-1.amazonaws.com/1/sales""#,
        "is in us-east-1"
    )]
    #[case::another_region_of_once(
        r#""queue":"https://queue.amazonaws.com/1/sales""#,
        "is in us-east-1"
    )]
    #[case::a_topic_of_another_region(
        r#""topic":"arn:aws:sns:us-east-1:1:sales""#,
        "is in us-east-1"
    )]
    #[case::an_arn(r#""queue":"arn:aws:sqs:eu-west-1:1:sales""#, "takes its URL")]
    #[case::a_name(r#""queue":"sales""#, "takes its URL")]
    #[case::nothing(r#""queue":"""#, "takes its URL")]
    #[case::fifo_in_capitals(
        r#""queue":"https://sqs.eu-west-1.amazonaws.com/1/sales.FIFO""#,
        "first-in-first-out"
    )]
    #[case::fifo_in_the_middle(
        r#""queue":"https://sqs.eu-west-1.amazonaws.com/1/sales.fifo.old""#,
        "first-in-first-out"
    )]
    #[case::no_name(
        r#""queue":"https://sqs.eu-west-1.amazonaws.com/1/.fifo""#,
        "is no name"
    )]
    #[case::a_slash_too_many(
        r#""queue":"https://sqs.eu-west-1.amazonaws.com/1/sales/""#,
        "is no name"
    )]
    #[case::a_long_name(&format!(r#""queue":"https://sqs.eu-west-1.amazonaws.com/1/{}.fifo""#, "x".repeat(76)), "more than the 80")]
    fn a_place_that_refuses_is_named(#[case] place: &str, #[case] said: &str) {
        let found = found(&format!(r#"{place},"types":["*"],"accounts":["*"]"#));
        let [(text, Harm::Refused)] = &*found else {
            panic!("{found:?}")
        };
        assert!(text.contains(said), "{text}");
    }

    #[rstest]
    #[case::all(r#""types":["*"]"#)]
    #[case::a_type(r#""types":["order.created"]"#)]
    #[case::a_type_of_a_source(r#""types":["orderspace.order.created","stackone.*"]"#)]
    #[case::a_beginning(r#""types":["order.*","order*"]"#)]
    #[case::of_account_events(
        r#""types":["orderhook.account.*","orderhook.account.failed","orderhook.*"]"#
    )]
    #[case::a_unified_type(
        r#""types":["ecommerce.order.*"],"format":"unified","sources":["orderspace"]"#
    )]
    #[case::an_account(r#""types":["*"],"accounts":["acme","demo-*"]"#)]
    fn what_fits_something_is_no_problem(#[case] members: &str) {
        let accounts = match members.contains("accounts") {
            true => "",
            false => r#","accounts":["*"]"#,
        };
        assert_eq!(found(&format!("{QUEUE},{members}{accounts}")), []);
    }

    #[rstest]
    #[case::misspelt(r#""types":["order.craeted"]"#, &["\"order.craeted\" fits no event of any source", "order.created"])]
    #[case::a_misspelt_beginning(r#""types":["ordr.*"]"#, &["order.c"])]
    #[case::a_misspelt_source(r#""types":["orderspac.order.created"]"#, &["orderspace.order.created"])]
    #[case::of_another_source(r#""types":["order_created"],"sources":["orderspace"]"#, &["of Orderspace", "order.created"])]
    #[case::no_account_event(r#""types":["orderhook.account.fialed"]"#, &["orderhook.account.failed"])]
    #[case::a_unified_type_of_a_native_route(r#""types":["ecommerce.order.created"],"sources":["orderspace"]"#, &["fits no event"])]
    #[case::an_empty_one(r#""types":[""]"#, &["\"\" fits no event"])]
    #[case::a_star_in_the_middle(r#""types":["*.created"]"#, &["\"*.created\" fits no event"])]
    fn a_pattern_that_fits_nothing_is_named_with_what_is_near(
        #[case] members: &str,
        #[case] said: &[&str],
    ) {
        let found = found(&format!(r#"{QUEUE},{members},"accounts":["*"]"#));
        let [(text, Harm::Unknown)] = &*found else {
            panic!("{found:?}")
        };
        for words in said {
            assert!(text.contains(words), "{text}");
        }
    }

    #[rstest]
    #[case::no_types(r#""types":[],"accounts":["*"]"#, "\"types\" is empty")]
    #[case::no_accounts(r#""types":["*"],"accounts":[]"#, "\"accounts\" is empty")]
    #[case::no_sources(r#""types":["*"],"accounts":["*"],"sources":[]"#, "is empty")]
    #[case::an_account_in_capitals(
        r#""types":["*"],"accounts":["Acme"]"#,
        "\"Acme\" fits no account"
    )]
    #[case::an_empty_account(r#""types":["*"],"accounts":[""]"#, "\"\" fits no account")]
    fn a_route_that_takes_nothing_is_named(#[case] members: &str, #[case] said: &str) {
        let found = found(&format!("{QUEUE},{members}"));
        assert!(
            found
                .iter()
                .any(|(text, harm)| text.contains(said) && *harm == Harm::Unknown),
            "{found:?}"
        );
    }

    #[rstest]
    #[case("", "", false, 0)]
    #[case("order", "order", false, 0)]
    #[case("ordr", "order", false, 1)]
    #[case("oredr", "order", false, 2)]
    #[case("order.", "order.created", true, 0)]
    #[case("order.", "order.created", false, 7)]
    #[case("", "order", false, 5)]
    fn names_are_near_by_the_characters_that_differ(
        #[case] wanted: &str,
        #[case] name: &str,
        #[case] is_beginning: bool,
        #[case] expected: usize,
    ) {
        assert_eq!(distance(wanted, name, is_beginning), expected);
    }
}
