//! Following events as they pass, by the functions' logs and receipts. No message is taken from any queue.
//!
//! A log is asked from the latest line that was seen less [`OVERLAP`], since lines of several instances arrive out of their
//! order; which lines were seen already is remembered.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use domain::account::AccountName;
use domain::envelope::Envelope;
use domain::identity::{DeliveryId, EventId};
use domain::ports::Receipt;
use domain::route::{Pattern, Routes};
use domain::source::Source;
use domain::timestamp::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use sources::protocol;
use url::{Host, Url};

use crate::accounts::Accounts;
use crate::kept;
use crate::log_lines::{self, DeliveryLine, EventLine, phrase_pattern};
use crate::stack::{Function, Stack};
use calls::dynamodb::{self, BATCH, Item};
use calls::{Calls, Error, logs, ssm};

/// How far before the latest line that was seen a log is asked again, in milliseconds.
pub const OVERLAP: i64 = 10_000;
/// Lines that are remembered, so that none is shown twice.
pub const REMEMBERED: usize = 50_000;
/// How long a process of a developer may take to answer.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Those that a team's queue accepted or that were set aside for it.
    pub team: Option<String>,
    /// Those of types that one of these patterns fits; all where there is none.
    pub types: Vec<Pattern>,
    /// Those of an account.
    pub account: Option<AccountName>,
}

impl Wanted {
    /// Reads patterns of types as routes have them: `order.created`, `order.*` or `*`.
    ///
    /// # Errors
    /// [`Error::Usage`] where one is empty.
    pub fn patterns(texts: &[String]) -> Result<Vec<Pattern>, Error> {
        if texts.iter().any(String::is_empty) {
            return Err(Error::Usage("an empty --types fits no event".to_owned()));
        }
        let patterns = serde_json::to_value(texts).and_then(serde_json::from_value);
        patterns.map_err(|error| Error::Usage(error.to_string()))
    }

    fn takes(&self, event: &EventLine) -> bool {
        let is_team =
            |team: &String| event.teams.contains(team) || event.undelivered.contains(team);
        self.team.as_ref().is_none_or(is_team)
            && (self.types.is_empty()
                || self
                    .types
                    .iter()
                    .any(|pattern| pattern.matches(&event.r#type)))
            && self.concerns(Some(&event.account))
    }

    fn concerns(&self, account: Option<&str>) -> bool {
        self.account
            .as_ref()
            .is_none_or(|wanted| account == Some(wanted.as_str()))
    }
}

/// Makes sure that a team exists: one that does not would be followed for ever and never get anything. One call.
///
/// # Errors
/// [`Error::NotFound`] where no route is for it.
pub async fn check_team(calls: &Calls, stack: &Stack, team: &str) -> Result<(), Error> {
    let name = stack.output("RoutesParameter")?;
    let text = ssm::parameter(calls, name).await?;
    let routes = Routes::parse(&text);
    let routes = routes.map_err(|error| Error::unreadable(format!("parameter {name}"), error))?;
    match routes.all().iter().any(|route| route.team == team) {
        true => Ok(()),
        false => Err(Error::NotFound {
            what: format!("a route for team {team}"),
        }),
    }
}

/// Something that passed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Passed {
    /// An event was worked on.
    Event {
        /// What the consumer says of it.
        #[serde(flatten)]
        line: EventLine,
        /// What it is about, where that was asked for and its receipt is there.
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Box<RawValue>>,
        /// The envelope as its lane had it, where it is to be forwarded.
        #[serde(skip)]
        envelope: Option<String>,
    },
    /// A delivery was not accepted.
    Refused {
        /// What inbound says of it.
        #[serde(flatten)]
        line: DeliveryLine,
    },
}

/// What passed since the time before.
#[derive(Debug, Clone, Default)]
pub struct Tick {
    /// In the order of the logs: first the refused deliveries.
    pub passed: Vec<Passed>,
    /// Whether there is more to be read at once.
    pub is_behind: bool,
}

/// A log that is followed.
#[derive(Debug)]
struct Followed {
    group: String,
    phrase: &'static str,
    from_ms: i64,
    latest_ms: i64,
    next: Option<String>,
}

/// Follows the logs of a stack.
#[derive(Debug)]
pub struct Tail<'a> {
    calls: &'a Calls,
    stack: &'a Stack,
    wanted: Wanted,
    followed: Vec<Followed>,
    seen: Seen,
    /// Whether events are read from receipts.
    has_data: bool,
    /// The source of every account; none until it is asked for.
    sources: Option<BTreeMap<String, Source>>,
    /// What passed and was not answered yet, since its data could not be read.
    pending: Vec<Passed>,
}

impl<'a> Tail<'a> {
    /// Follows from a moment on. Deliveries that were refused are followed too, unless one team's events are: they are
    /// nobody's yet.
    ///
    /// # Errors
    /// [`Error::OlderStack`] where the stack does not say its log groups.
    pub fn of(
        calls: &'a Calls,
        stack: &'a Stack,
        wanted: Wanted,
        from: Timestamp,
        has_data: bool,
    ) -> Result<Self, Error> {
        let from_ms = i64::try_from(from.millis()).unwrap_or(i64::MAX);
        let follow = |function, phrase| {
            Ok::<_, Error>(Followed {
                group: stack.log_group(function)?.to_owned(),
                phrase,
                from_ms,
                latest_ms: from_ms,
                next: None,
            })
        };
        let mut followed = Vec::new();
        if wanted.team.is_none() {
            followed.push(follow(Function::Inbound, "delivery")?);
        }
        followed.push(follow(Function::Consumer, "batch")?);
        Ok(Self {
            calls,
            stack,
            wanted,
            followed,
            seen: Seen::new(REMEMBERED),
            has_data,
            sources: None,
            pending: Vec::new(),
        })
    }

    /// What passed since the time before: one call for each log, and where data is asked for, one for a hundred receipts.
    /// After an error the same is asked again: nothing is lost by it.
    ///
    /// # Errors
    /// [`Error`] says what went wrong.
    pub async fn tick(&mut self) -> Result<Tick, Error> {
        let mut tick = Tick {
            passed: std::mem::take(&mut self.pending),
            is_behind: false,
        };
        for followed in &mut self.followed {
            let pattern = phrase_pattern(followed.phrase);
            let filter = logs::Filter {
                group: &followed.group,
                pattern: &pattern,
                from_ms: Some(followed.from_ms),
                ..logs::Filter::default()
            };
            let page = logs::filter(self.calls, &filter, followed.next.as_deref()).await;
            let page = match page {
                Ok(page) => page,
                // What was read of other logs is shown; this log is asked again.
                Err(error) if tick.passed.is_empty() => {
                    followed.next = None;
                    return Err(error);
                }
                Err(_) => {
                    followed.next = None;
                    continue;
                }
            };
            for line in &page.events {
                followed.latest_ms = followed.latest_ms.max(line.timestamp);
                if self
                    .seen
                    .is_new(&(&followed.group, line.timestamp, &line.message))
                {
                    tick.passed.extend(passed(&self.wanted, &line.message));
                }
            }
            let token = page
                .next_token
                .filter(|token| followed.next.as_ref() != Some(token));
            followed.next = token;
            tick.is_behind |= followed.next.is_some();
            if followed.next.is_none() {
                let overlapping = followed.latest_ms.saturating_sub(OVERLAP);
                // Never back behind what was asked for first.
                followed.from_ms = followed.from_ms.max(overlapping);
            }
        }
        if self.has_data
            && let Err(error) = self.add_data(&mut tick.passed).await
        {
            self.pending = tick.passed;
            return Err(error);
        }
        Ok(tick)
    }

    /// Adds what events are about, from their receipts.
    async fn add_data(&mut self, passed: &mut [Passed]) -> Result<(), Error> {
        let wanted = passed.iter().filter_map(|passed| match passed {
            Passed::Event { line, .. } => {
                let account: AccountName = line.account.parse().ok()?;
                Some((account, line.id.delivery()))
            }
            Passed::Refused { .. } => None,
        });
        let deliveries: BTreeSet<(AccountName, DeliveryId)> = wanted.collect();
        if deliveries.is_empty() {
            return Ok(());
        }
        let sources = self.sources(&deliveries).await?;
        let keys: Vec<(Item, AccountName, DeliveryId)> = deliveries
            .into_iter()
            .map(|(account, id)| {
                let pk = Receipt::partition_of(&account, &id.first_seen().day());
                let key = Item::key(&[("pk", &pk), ("sk", &id.to_string())]);
                (key, account, id)
            })
            .collect();
        let table = self.stack.output("ReceiptsTable")?;
        let mut found: BTreeMap<EventId, (Box<RawValue>, String)> = BTreeMap::new();
        for keys in keys.chunks(BATCH) {
            let asked: Vec<Item> = keys.iter().map(|(key, ..)| key.clone()).collect();
            for item in dynamodb::batch_get(self.calls, table, &asked, &[]).await? {
                let id = item.text("sk");
                let owner = keys
                    .iter()
                    .find(|(key, ..)| key.text("pk") == item.text("pk") && key.text("sk") == id);
                let Some((_, account, id)) = owner else {
                    continue;
                };
                if let Some(source) = sources.get(account.as_str()) {
                    self.split(&item, *source, account, *id, &mut found).await?;
                }
            }
        }
        for passed in passed {
            if let Passed::Event {
                line,
                data,
                envelope,
            } = passed
                && let Some((record, text)) = found.get(&line.id)
            {
                *data = Some(record.clone());
                *envelope = Some(text.clone());
            }
        }
        Ok(())
    }

    async fn split(
        &self,
        item: &Item,
        source: Source,
        account: &AccountName,
        id: DeliveryId,
        found: &mut BTreeMap<EventId, (Box<RawValue>, String)>,
    ) -> Result<(), Error> {
        let kept = match kept::read_delivery(self.calls, self.stack, item).await {
            Ok(kept) => kept,
            // The event is shown without its data: no later attempt reads more.
            Err(Error::Unreadable { .. } | Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let protocol = protocol(source);
        // What cannot be split is in quarantine, and the consumer had nothing of it.
        let Ok(split) = protocol.split(kept.delivery()) else {
            return Ok(());
        };
        for event in &split.events {
            let envelope: Envelope<'_> =
                sources::envelope(source, protocol.facts(), account, id, event);
            let text = envelope.to_text().to_text();
            found.insert(envelope.id, (event.record.to_owned(), text));
        }
        Ok(())
    }

    /// The source of every account; asked for again where one of the deliveries is of an account that is new.
    async fn sources(
        &mut self,
        deliveries: &BTreeSet<(AccountName, DeliveryId)>,
    ) -> Result<BTreeMap<String, Source>, Error> {
        let is_known = |sources: &BTreeMap<String, Source>| {
            deliveries
                .iter()
                .all(|(account, _)| sources.contains_key(account.as_str()))
        };
        match self.sources.as_ref().filter(|sources| is_known(sources)) {
            Some(sources) => Ok(sources.clone()),
            None => {
                let listed = Accounts::of(self.calls, self.stack)?.list().await?;
                let sources: BTreeMap<String, Source> = listed
                    .accounts
                    .into_iter()
                    .filter_map(|account| Some((account.account, Source::named(&account.source)?)))
                    .collect();
                self.sources = Some(sources.clone());
                Ok(sources)
            }
        }
    }
}

/// What a line says that is wanted.
fn passed(wanted: &Wanted, line: &str) -> Vec<Passed> {
    let events = log_lines::events(line).into_iter();
    let mut passed: Vec<Passed> = events
        .filter(|event| wanted.takes(event))
        .map(|line| Passed::Event {
            line,
            data: None,
            envelope: None,
        })
        .collect();
    // What is not proved may be anybody's, and is no delivery that comes again.
    let refused = log_lines::delivery(line).filter(|line| {
        line.outcome.as_deref() == Some("refused") && wanted.concerns(line.account.as_deref())
    });
    passed.extend(refused.map(|line| Passed::Refused { line }));
    passed
}

/// Lines that were seen, the latest so many of them.
#[derive(Debug)]
struct Seen {
    most: usize,
    hasher: RandomState,
    order: VecDeque<u64>,
    hashes: HashSet<u64>,
}

impl Seen {
    fn new(most: usize) -> Self {
        Self {
            most,
            hasher: RandomState::new(),
            order: VecDeque::new(),
            hashes: HashSet::new(),
        }
    }

    /// Remembers a line, and answers whether it was unknown.
    fn is_new(&mut self, line: &(&String, i64, &String)) -> bool {
        let hash = self.hasher.hash_one(line);
        if !self.hashes.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
        true
    }
}

/// A developer's process on this machine, which gets envelopes.
#[derive(Debug, Clone)]
pub struct Forward {
    url: Url,
    http: reqwest::Client,
}

impl Forward {
    /// A process at an address of this machine. Payloads leave it for nowhere else, not even through a proxy or a redirect.
    ///
    /// # Errors
    /// [`Error::Usage`] for any other address.
    pub fn to(url: &str) -> Result<Self, Error> {
        let refused = || {
            Error::Usage(format!(
                "--forward {url}: only http://127.0.0.1:PORT/, http://[::1]:PORT/ or http://localhost:PORT/"
            ))
        };
        let parsed = Url::parse(url).map_err(|_| refused())?;
        let is_here = match parsed.host() {
            Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let is_plain = parsed.username().is_empty() && parsed.password().is_none();
        if !is_here || !is_plain || parsed.scheme() != "http" {
            return Err(refused());
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(FORWARD_TIMEOUT)
            .build();
        Ok(Self {
            url: parsed,
            http: http.map_err(|error| Error::unreadable("the HTTP client", error))?,
        })
    }

    /// Posts an envelope.
    ///
    /// # Errors
    /// What to say of it: the process does not answer, or refuses.
    pub async fn post(&self, envelope: &str) -> Result<(), String> {
        let request = self
            .http
            .post(self.url.clone())
            .header("content-type", "application/cloudevents+json");
        match request.body(envelope.to_owned()).send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!(
                "{} answered {}",
                self.url,
                answer.status().as_u16()
            )),
            Err(_) => Err(format!("{} does not answer", self.url)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("http://127.0.0.1:3000/events", true)]
    #[case("http://127.1.2.3:3000", true)]
    #[case("http://[::1]:3000/", true)]
    #[case("http://localhost:3000/", true)]
    #[case("https://127.0.0.1:3000/", false)]
    #[case("http://10.0.0.1:3000/", false)]
    #[case("http://example.com/", false)]
    #[case("http://localhost.example.com/", false)]
    #[case("http://127.0.0.1.example.com/", false)]
    #[case("http://127.0.0.1@example.com/", false)]
    #[case("http://user:word@127.0.0.1/", false)]
    #[case("http://0.0.0.0:3000/", false)]
    #[case("file:///etc/passwd", false)]
    #[case("127.0.0.1:3000", false)]
    #[case("", false)]
    fn only_this_machine_gets_payloads(#[case] url: &str, #[case] allowed: bool) {
        assert_eq!(Forward::to(url).is_ok(), allowed);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut seen = Seen::new(2);
        let (group, lines) = ("g".to_owned(), ["a", "b", "c"].map(str::to_owned));
        assert!(seen.is_new(&(&group, 1, &lines[0])));
        assert!(!seen.is_new(&(&group, 1, &lines[0])));
        assert!(
            seen.is_new(&(&group, 2, &lines[0])),
            "another moment is another line"
        );
        assert!(seen.is_new(&(&group, 1, &lines[1])));
        assert_eq!(seen.hashes.len(), 2);
        assert!(
            seen.is_new(&(&group, 1, &lines[0])),
            "the oldest is forgotten"
        );
    }
}
