//! Routes: which team's queue gets which events.

use serde::Deserialize;
use thiserror::Error;

use crate::account::AccountName;
use crate::event::EventType;
use crate::ports::QueueUrl;
use crate::source::Source;
use crate::subscription::AccountEventKind;
use crate::unified::UnifiedType;

/// What the names of events about accounts begin with (`orderhook.account.connected`). A pattern that begins so fits no
/// event of a source, whatever a source calls its own, and no source has this name.
pub const ACCOUNT_EVENT_PREFIX: &str = "orderhook.";

/// One team's interest: a queue or a topic, and what goes to it.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub struct Route {
    /// The team's name, for logs and the undelivered queue.
    pub team: String,
    /// The URL of the team's queue, or the ARN of its topic; one that ends in `.fifo` gets group and deduplication ids.
    pub queue: QueueUrl,
    /// Event types: `order.created`, `order.*`, or `*` for all; with the source's name before it, `onestock.*`, those of
    /// that source alone. A route of unified events may also name the unified types, `ecommerce.order.*`.
    pub types: Vec<Pattern>,
    /// Account names, or `*` for all.
    pub accounts: Vec<Pattern>,
    /// The sources; all where the route names none.
    sources: Vec<Named>,
    /// The form of the events.
    pub format: Format,
}

/// A route as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    team: String,
    #[serde(default)]
    queue: Option<QueueUrl>,
    #[serde(default)]
    topic: Option<QueueUrl>,
    types: Vec<Pattern>,
    accounts: Vec<Pattern>,
    #[serde(default = "every_source")]
    sources: Vec<Named>,
    #[serde(default)]
    format: Format,
}

impl TryFrom<Written> for Route {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let team = written.team;
        let queue = match (written.queue, written.topic) {
            (Some(queue), None) => queue,
            (None, Some(topic)) if topic.is_topic() => topic,
            (None, Some(topic)) => {
                return Err(format!(
                    "the topic {topic:?} of team {team:?} is no ARN of an SNS topic"
                ));
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(format!(
                    "team {team:?} needs a \"queue\" or a \"topic\", and not both"
                ));
            }
        };
        Ok(Self {
            team,
            queue,
            types: written.types,
            accounts: written.accounts,
            sources: written.sources,
            format: written.format,
        })
    }
}

/// The form in which a team gets events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The record as the source sent it.
    #[default]
    Native,
    /// The unified resource. An event that has none does not go to the route.
    Unified,
}

/// A source by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Named(Source);

impl TryFrom<String> for Named {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let source = Source::named(&name);
        source
            .map(Self)
            .ok_or_else(|| format!("there is no source {name:?}"))
    }
}

fn every_source() -> Vec<Named> {
    Source::ALL.map(Named).to_vec()
}

impl Route {
    /// Whether the team wants events of this type from this source's account, by the source's own name of the type.
    #[must_use]
    pub fn takes(&self, source: Source, event_type: &EventType, account: &AccountName) -> bool {
        let fits = |pattern: &Pattern| pattern.fits(source, event_type);
        self.concerns(source, account) && self.types.iter().any(fits)
    }

    /// Whether the team may want the unified form of such events: by the source's own name of the type, or by a unified
    /// name, which is known once the event is rendered.
    #[must_use]
    pub fn may_take_unified(
        &self,
        source: Source,
        event_type: &EventType,
        account: &AccountName,
    ) -> bool {
        let names_one = || UnifiedType::ALL.iter().any(|unified| self.names(*unified));
        self.format == Format::Unified
            && self.concerns(source, account)
            && (self.takes(source, event_type, account) || names_one())
    }

    /// Whether the team wants the unified form of such events, now that its type is known.
    #[must_use]
    pub fn takes_unified(
        &self,
        source: Source,
        event_type: &EventType,
        account: &AccountName,
        unified: UnifiedType,
    ) -> bool {
        self.format == Format::Unified
            && self.concerns(source, account)
            && (self.takes(source, event_type, account) || self.names(unified))
    }

    /// Whether the team wants to know such things of this source's account. A route has to name them: `*` is for events of
    /// sources.
    #[must_use]
    pub fn takes_account_event(
        &self,
        source: Source,
        kind: AccountEventKind,
        account: &AccountName,
    ) -> bool {
        let names = |pattern: &Pattern| pattern.is_reserved() && pattern.matches(kind.as_str());
        self.concerns(source, account) && self.types.iter().any(names)
    }

    /// The sources whose events the route takes, in the order of [`Source::ALL`].
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        let named = |source: &Source| self.sources.contains(&Named(*source));
        Source::ALL.into_iter().filter(named)
    }

    fn concerns(&self, source: Source, account: &AccountName) -> bool {
        let mut accounts = self.accounts.iter();
        self.sources.contains(&Named(source))
            && accounts.any(|pattern| pattern.matches(account.as_str()))
    }

    fn names(&self, unified: UnifiedType) -> bool {
        let mut types = self.types.iter();
        types.any(|pattern| pattern.matches(unified.as_str()))
    }
}

/// A name, or a beginning of names that ends in `*`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Whether the pattern fits the name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.0,
        }
    }

    /// The pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern is for events about accounts.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(ACCOUNT_EVENT_PREFIX)
    }

    /// Whether the pattern fits a source's event: by the type alone, or with the source's name before it.
    fn fits(&self, source: Source, event_type: &EventType) -> bool {
        !self.is_reserved()
            && (self.matches(event_type.as_str())
                || self.matches(&format!("{source}.{event_type}")))
    }
}

/// A text that holds no routes.
#[derive(Debug, Error)]
#[error(
    "the routes are no JSON list of {{\"team\",\"queue\" or \"topic\",\"types\",\"accounts\"}} with or without \"sources\" and \"format\": {0}"
)]
pub struct RoutesError(#[from] serde_json::Error);

/// Every team's routes, as configured.
#[derive(Debug, Clone, Default)]
pub struct Routes(Vec<Route>);

impl Routes {
    /// Reads the routes from their JSON.
    ///
    /// # Errors
    /// Text that is no list of routes, or a route with a field that no route has.
    pub fn parse(json: &str) -> Result<Self, RoutesError> {
        Ok(Self(serde_json::from_str(json)?))
    }

    /// Whether a team has a topic.
    #[must_use]
    pub fn has_topics(&self) -> bool {
        self.0.iter().any(|route| route.queue.is_topic())
    }

    /// All of them, in the order of the configuration.
    #[must_use]
    pub fn all(&self) -> &[Route] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("*", "order.created", true)]
    #[case("order.*", "order.created", true)]
    #[case("order.*", "orders.created", false)]
    #[case("order.created", "order.created", true)]
    #[case("order.created", "order.created2", false)]
    #[case("", "order.created", false)]
    // requirement: envelope-routes
    fn patterns(#[case] pattern: &str, #[case] name: &str, #[case] fits: bool) {
        assert_eq!(Pattern(pattern.to_owned()).matches(name), fits);
    }

    #[test]
    // requirement: envelope-routes
    fn a_route_needs_type_and_account() {
        let routes = Routes::parse(
            r#"[{"team":"a","queue":"q/a","types":["order.*"],"accounts":["acme"]},
                {"team":"b","queue":"q/b","types":["*"],"accounts":["*"]}]"#,
        )
        .unwrap();
        let teams = |event_type: &str, account: &str| {
            let (event_type, account) = (event_type.parse().unwrap(), account.parse().unwrap());
            let wanted = routes
                .all()
                .iter()
                .filter(|route| route.takes(Source::Orderspace, &event_type, &account));
            wanted.map(|route| route.team.clone()).collect::<Vec<_>>()
        };
        assert_eq!(teams("order.created", "acme"), ["a", "b"]);
        assert_eq!(teams("order.created", "other"), ["b"]);
        assert_eq!(teams("product.created", "acme"), ["b"]);
    }

    #[test]
    // requirement: envelope-routes
    fn a_misspelt_field_is_an_error_not_a_team_without_events() {
        let refused = Routes::parse(r#"[{"team":"a","queue":"q","type":["*"],"accounts":["*"]}]"#);
        assert!(refused.is_err());
    }

    fn route(members: &str) -> Route {
        let json = format!(r#"[{{"team":"a","queue":"q","accounts":["*"],{members}}}]"#);
        Routes::parse(&json).unwrap().0.remove(0)
    }

    #[rstest]
    #[case::of_every_source(r#""types":["order.*"]"#, [true, true])]
    #[case::of_one_by_its_types(r#""types":["stackone.*"]"#, [false, true])]
    #[case::of_one_type_of_one(r#""types":["orderspace.order.created"]"#, [true, false])]
    #[case::of_one_by_its_name(r#""types":["*"],"sources":["stackone"]"#, [false, true])]
    #[case::of_both_by_name(r#""types":["order.created"],"sources":["stackone","orderspace"]"#, [true, true])]
    #[case::of_one_source_and_types_of_another(r#""types":["stackone.*"],"sources":["orderspace"]"#, [false, false])]
    #[case::of_no_source_that_there_is(r#""types":["onestoc.*"]"#, [false, false])]
    #[case::of_accounts(r#""types":["orderhook.*","orderhook.account.failed"]"#, [false, false])]
    fn a_route_may_name_sources(#[case] members: &str, #[case] taken: [bool; 2]) {
        let route = route(members);
        let (event_type, account) = ("order.created".parse().unwrap(), "acme".parse().unwrap());
        let sources = [Source::Orderspace, Source::StackOne];
        let found = sources.map(|source| route.takes(source, &event_type, &account));
        assert_eq!(found, taken);
        assert_eq!(route.format, Format::Native);
    }

    /// A source could send what looks like an event of ours.
    #[test]
    fn names_of_account_events_are_reserved() {
        let event_type: EventType = "orderhook.account.failed".parse().unwrap();
        let account = "acme".parse().unwrap();
        let takes = |types: &str| {
            let route = route(&format!(r#""types":["{types}"]"#));
            route.takes(Source::Orderspace, &event_type, &account)
        };
        assert!(!takes("orderhook.account.failed"));
        assert!(!takes("orderhook.account.*"));
        assert!(takes("*") && takes("orderspace.orderhook.account.failed"));
        assert_eq!(Source::named("orderhook"), None);
    }

    #[rstest]
    #[case::the_type(r#""types":["orderhook.account.failed"]"#, true)]
    #[case::all_types(r#""types":["orderhook.account.*"]"#, true)]
    #[case::beside_others(r#""types":["order.*","orderhook.account.f*"]"#, true)]
    #[case::in_either_form(r#""types":["orderhook.account.*"],"format":"unified""#, true)]
    #[case::of_its_source(r#""types":["orderhook.account.*"],"sources":["onestock"]"#, true)]
    #[case::of_another_source(r#""types":["orderhook.account.*"],"sources":["stackone"]"#, false)]
    #[case::another_type(r#""types":["orderhook.account.repaired"]"#, false)]
    #[case::everything(r#""types":["*"]"#, false)]
    #[case::a_beginning_of_the_prefix(r#""types":["order*","orderhook*"]"#, false)]
    #[case::nothing(r#""types":[]"#, false)]
    fn a_route_has_to_name_account_events(#[case] members: &str, #[case] taken: bool) {
        let (route, account) = (route(members), "acme".parse().unwrap());
        let kind = AccountEventKind::Failed;
        let found = route.takes_account_event(Source::OneStock, kind, &account);
        assert_eq!(found, taken);
    }

    #[test]
    fn a_route_of_account_events_has_its_accounts() {
        let json =
            r#"[{"team":"a","queue":"q","accounts":["acme"],"types":["orderhook.account.*"]}]"#;
        let routes = Routes::parse(json).unwrap();
        let takes = |account: &str| {
            let (route, account) = (routes.all().first().unwrap(), account.parse().unwrap());
            route.takes_account_event(Source::OneStock, AccountEventKind::Failed, &account)
        };
        assert!(takes("acme") && !takes("other"));
    }

    #[rstest]
    #[case::by_the_native_type(r#""types":["order.created"]"#, true, true)]
    #[case::by_the_prefixed_type(r#""types":["orderspace.*"]"#, true, true)]
    #[case::by_the_unified_type(r#""types":["ecommerce.order.*"]"#, true, true)]
    #[case::all(r#""types":["*"]"#, true, true)]
    #[case::by_another_unified_type(r#""types":["ecommerce.product.*"]"#, true, false)]
    #[case::by_another_native_type(r#""types":["product.*"]"#, false, false)]
    #[case::of_another_source(r#""types":["*"],"sources":["stackone"]"#, false, false)]
    fn a_route_of_unified_events(#[case] members: &str, #[case] may: bool, #[case] does: bool) {
        let (event_type, account) = ("order.created".parse().unwrap(), "acme".parse().unwrap());
        for (format, is_unified) in [("unified", true), ("native", false)] {
            let route = route(&format!(r#"{members},"format":"{format}""#));
            let source = Source::Orderspace;
            let found = route.may_take_unified(source, &event_type, &account);
            assert_eq!(found, may && is_unified, "{format}");
            let unified = UnifiedType::OrderCreated;
            let found = route.takes_unified(source, &event_type, &account, unified);
            assert_eq!(found, does && is_unified, "{format}");
        }
    }

    #[rstest]
    #[case::of_another_account(r#""accounts":["other"],"types":["*"]"#)]
    fn a_route_of_unified_events_has_its_accounts(#[case] members: &str) {
        let json = format!(r#"[{{"team":"a","queue":"q",{members},"format":"unified"}}]"#);
        let routes = Routes::parse(&json).unwrap();
        let route = routes.all().first().unwrap();
        let (event_type, account) = ("order.created".parse().unwrap(), "acme".parse().unwrap());
        assert!(!route.may_take_unified(Source::Orderspace, &event_type, &account));
    }

    const TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:stock.fifo";

    #[test]
    fn a_team_may_have_a_topic_in_place_of_a_queue() {
        let json = format!(
            r#"[{{"team":"a","topic":"{TOPIC}","types":["*"],"accounts":["*"]}},
                {{"team":"b","queue":"https://q/arn:aws:sns","types":["*"],"accounts":["*"]}}]"#
        );
        let routes = Routes::parse(&json).unwrap();
        let found = routes.all().iter().map(|route| &route.queue);
        let found: Vec<_> = found
            .map(|queue| (queue.as_str(), queue.is_topic(), queue.is_fifo()))
            .collect();
        let expected = [(TOPIC, true, true), ("https://q/arn:aws:sns", false, false)];
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case::neither("")]
    #[case::both(r#""queue":"q","topic":"arn:aws:sns:eu-west-1:111122223333:a","#)]
    #[case::no_topic(r#""topic":null,"#)]
    #[case::no_queue(r#""queue":null,"#)]
    #[case::a_topic_s_url(r#""topic":"https://sns.eu-west-1.amazonaws.com/111122223333/a","#)]
    #[case::a_queue_s_arn(r#""topic":"arn:aws:sqs:eu-west-1:111122223333:a","#)]
    #[case::a_number(r#""topic":1,"#)]
    #[case::twice(r#""queue":"q","queue":"q","#)]
    fn a_team_has_a_queue_or_a_topic(#[case] place: &str) {
        let json = format!(r#"[{{"team":"a",{place}"types":["*"],"accounts":["*"]}}]"#);
        assert!(Routes::parse(&json).is_err(), "{json}");
    }

    #[rstest]
    #[case::a_source_that_there_is_not(r#""sources":["orderspcae"]"#)]
    #[case::one_source_as_text(r#""sources":"orderspace""#)]
    #[case::no_sources(r#""sources":null"#)]
    #[case::a_format_that_there_is_not(r#""format":"unifed""#)]
    #[case::no_format(r#""format":null"#)]
    #[case::a_misspelt_member(r#""formats":"unified""#)]
    #[case::a_member_twice(r#""format":"unified","format":"unified""#)]
    fn what_a_route_cannot_say_is_an_error(#[case] member: &str) {
        let json =
            format!(r#"[{{"team":"a","queue":"q","types":["*"],"accounts":["*"],{member}}}]"#);
        assert!(Routes::parse(&json).is_err());
    }
}
