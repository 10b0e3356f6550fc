//! `orderhook replay`: events that came once, sent again.

use std::fmt::Write as _;

use calls::now;
use clap::Args;
use domain::identity::{DeliveryId, EventId};
use domain::record::Subject;
use domain::route::Pattern;
use domain::timestamp::Timestamp;
use operate::accounts::named;
use operate::deliveries;
use operate::replay::{Counts, Replay as Prepared, Request, What, Whose};
use operate::when::moment;
use operate::{Error, Exit, Target};
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;

use crate::Stop;
use crate::prompt::agrees;
use crate::screen::Screen;
use crate::words::{bar, count, of};

/// Arguments of `replay`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Nothing is sent before you agree, or with --dry-run. One that was interrupted prints the line that goes on with it.

Examples:
  orderhook replay --account acme --from 2h --team sales
  orderhook replay --account acme --from 2026-11-25T08:00Z --to 2026-11-25T12:00Z --types 'order.*' --dry-run
  orderhook replay --account acme --record order/or_1 --from 3d
  orderhook replay --from 2h --types 'order.*'                      all accounts, one after another
  orderhook replay --delivery 01a1f8d3-ea7b-7101-8101-010101010101
  orderhook replay --account acme --state --team warehouse          what a new team begins with")]
pub struct Replay {
    /// Whose events [default: those of all accounts, in the order of their names].
    #[arg(long, value_name = "ACCOUNT", required_unless_present_any = ["from", "delivery", "state"])]
    pub account: Option<String>,
    /// From when on: 2h or 3d ago, a day, or 2026-11-25T08:00Z.
    #[arg(long, visible_alias = "since", value_name = "TIME", required_unless_present_any = ["delivery", "state"])]
    pub from: Option<String>,
    /// Until when [default: now].
    #[arg(long, visible_alias = "until", value_name = "TIME", requires = "from")]
    pub to: Option<String>,
    /// One delivery alone.
    #[arg(long, value_name = "ID", conflicts_with_all = ["from", "state"])]
    pub delivery: Option<String>,
    /// The current state of every record that is not deleted, each once: for a team that is new.
    #[arg(long, conflicts_with = "from", requires = "team")]
    pub state: bool,
    /// Event types, as routes name them: order.*, orderspace.order.created.
    #[arg(long, value_delimiter = ',', value_name = "TYPES")]
    pub types: Vec<String>,
    /// Events about one record.
    #[arg(long, value_name = "KIND/ID")]
    pub record: Option<String>,
    /// The only team that gets them [default: all whose routes take them].
    #[arg(long, value_name = "TEAM")]
    pub team: Option<String>,
    /// At most so many events a second.
    #[arg(long, default_value_t = 50, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// Go on behind this event, or with --state behind this record; ACCOUNT/ID where no --account is named.
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
    /// The job that goes on [default: a new one].
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    /// Count what would be sent, and send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// A span of more than 31 days is meant.
    #[arg(long)]
    pub yes_really: bool,
}

impl Replay {
    fn request(&self, now: Timestamp) -> Result<Request, Error> {
        let usage = |name: &str, error: String| Error::Usage(format!("{name}: {error}"));
        let subject = |name: &str, text: &str| {
            Subject::parse(text).map_err(|error| usage(name, error.to_string()))
        };
        let (whose, after) = self.whose()?;
        let event = || {
            let after = after.map(str::parse::<EventId>).transpose();
            after.map_err(|error| usage("--after", error.to_string()))
        };
        let what = match (&self.delivery, self.state) {
            (Some(id), _) => What::Delivery {
                id: id
                    .parse::<DeliveryId>()
                    .map_err(|error| usage("--delivery", error.to_string()))?,
                after: event()?,
            },
            (None, true) => What::State {
                after: after.map(|text| subject("--after", text)).transpose()?,
            },
            (None, false) => What::Span {
                from: moment(self.from.as_deref().unwrap_or_default(), now)?,
                to: match &self.to {
                    Some(to) => moment(to, now)?,
                    None => now,
                },
                after: event()?,
            },
        };
        let job = match &self.job {
            Some(job) => job.clone(),
            None => format!("r{:x}", now.millis()),
        };
        Ok(Request {
            whose,
            what,
            types: self
                .types
                .iter()
                .map(|name| pattern(name))
                .collect::<Result<_, _>>()?,
            subject: self
                .record
                .as_ref()
                .map(|text| subject("--record", text))
                .transpose()?,
            team: self.team.clone(),
            rate: self.rate,
            job: job
                .parse()
                .map_err(|_| Error::Usage(format!("{job:?} is no job: letters, digits and '-'")))?,
            is_long: self.yes_really,
        })
    }

    /// Whose events, and behind which of them: of all accounts `--after` names the account too.
    fn whose(&self) -> Result<(Whose, Option<&str>), Error> {
        let after = self.after.as_deref();
        if let Some(account) = &self.account {
            return Ok((Whose::One(named(account)?), after));
        }
        // A delivery has one account, which is looked up once the stack is known.
        let Some(after) = after.filter(|_| self.delivery.is_none()) else {
            return Ok((Whose::All { from: None }, after));
        };
        let (account, place) = after.split_once('/').ok_or_else(|| {
            let message = "--after: without --account it is ACCOUNT/ID, as the run that was cut off printed it";
            Error::Usage(message.to_owned())
        })?;
        let from = Some(named(account)?);
        Ok((Whose::All { from }, Some(place)))
    }

    /// The line that goes on behind the last event that was accepted.
    fn line(&self, request: &Request, after: Option<&str>) -> String {
        let mut line = "orderhook replay".to_owned();
        let mut option = |name: &str, value: &str| {
            // Writing to a String cannot end in an error.
            let _ = write!(line, " --{name} {}", quoted(value));
        };
        if let Whose::One(account) = &request.whose {
            option("account", account.as_str());
        }
        match &request.what {
            What::Span { from, to, .. } => {
                option("from", &from.to_string());
                option("to", &to.to_string());
            }
            What::Delivery { id, .. } => option("delivery", &id.to_string()),
            What::State { .. } => {}
        }
        if !self.types.is_empty() {
            option("types", &self.types.join(","));
        }
        let others = [
            ("record", self.record.as_deref()),
            ("team", self.team.as_deref()),
            ("after", after.or(self.after.as_deref())),
            ("job", Some(&*request.job.to_string())),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                option(name, value);
            }
        }
        option("rate", &self.rate.to_string());
        for (flag, is_set) in [("state", self.state), ("yes-really", self.yes_really)] {
            if is_set {
                let _ = write!(line, " --{flag}");
            }
        }
        line
    }
}

/// A word of a command line, as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._:/,".contains(letter);
    match word.chars().all(is_plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// A pattern of types.
fn pattern(text: &str) -> Result<Pattern, Error> {
    let pattern = serde_json::from_value(json!(text));
    pattern.map_err(|error| Error::Usage(format!("--types: {error}")))
}

/// A step of a replay, or its end: a line of the JSON output.
#[derive(Serialize)]
struct Step<'a> {
    job: String,
    is_done: bool,
    #[serde(flatten)]
    counts: &'a Counts,
}

/// Replays.
///
/// # Errors
/// What is asked for cannot be done whole, AWS cannot be asked, or nobody reads the output.
pub async fn run(
    arguments: &Replay,
    yes: bool,
    target: &Target,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let millis = OffsetDateTime::from(now()).unix_timestamp_nanos() / 1_000_000;
    let now = Timestamp::from_millis(u64::try_from(millis).unwrap_or_default());
    let mut request = arguments.request(now)?;
    let stack = target.stack().await?;
    if let (What::Delivery { id, .. }, Whose::All { .. }) = (&request.what, &request.whose) {
        let owner = deliveries::account_of(&target.calls, &stack, *id, None).await?;
        request.whose = Whose::One(owner);
    }
    let prepared = Prepared::prepare(&target.calls, &stack, &request, now).await?;
    let mut all = None;
    if arguments.dry_run || !yes {
        let counts = prepared.count().await?;
        let text = found(&counts, &request, prepared.accounts());
        if arguments.dry_run || counts.events == 0 {
            screen.show(&text, &counts)?;
            return Ok(Exit::Done);
        }
        screen.note(&text);
        let question = format!(
            "Replay {} at {}/s ({} s)?",
            events(counts.events),
            request.rate,
            counts.events.div_ceil(u64::from(request.rate))
        );
        if !agrees(&question, yes, screen).await? {
            return Ok(Exit::Left);
        }
        all = Some(counts.events);
    }
    send(arguments, &request, &prepared, all, screen).await
}

async fn send(
    arguments: &Replay,
    request: &Request,
    prepared: &Prepared<'_>,
    all: Option<u64>,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let mut after: Option<String> = None;
    let job = request.job.to_string();
    let mut progress = |counts: &Counts| {
        after.clone_from(&counts.after);
        let step = Step {
            job: job.clone(),
            is_done: false,
            counts,
        };
        if screen.is_json() {
            // Where nobody reads it, the replay goes on all the same.
            let _ = screen.line("", &step);
        }
        let line = match all {
            Some(all) => bar(counts.events, all),
            None => count(counts.events),
        };
        screen.progress(&format!(
            "  {line}  {}",
            counts.after.as_deref().unwrap_or_default()
        ));
    };
    let ended = tokio::select! {
        ended = prepared.run(&mut progress) => Some(ended),
        _ = tokio::signal::ctrl_c() => None,
    };
    screen.end_progress();
    let goes_on = |after: Option<String>| arguments.line(request, after.as_deref());
    match ended {
        Some(Ok(counts)) => {
            let whom = match &request.team {
                Some(team) => format!("for team {team} alone"),
                None => "for all teams whose routes take them".to_owned(),
            };
            let text = format!(
                "{} went into their lanes {whom}, under their own ids, by job {job}.",
                events(counts.events)
            );
            let step = Step {
                job,
                is_done: true,
                counts: &counts,
            };
            screen.line(&text, &step)?;
            Ok(Exit::Done)
        }
        Some(Err(error)) => {
            screen.note(&format!("Goes on with: {}", goes_on(after)));
            Err(error.into())
        }
        None => {
            screen.note(&format!("Interrupted. Goes on with: {}", goes_on(after)));
            Ok(Exit::Interrupted)
        }
    }
}

/// What a dry run says.
fn found(counts: &Counts, request: &Request, accounts: usize) -> String {
    let (from, left_out) = match request.what {
        What::State { .. } => (
            format!("{} records", count(counts.read)),
            format!("{} deleted", count(counts.deleted)),
        ),
        What::Span { .. } | What::Delivery { .. } => (
            format!("{} deliveries", count(counts.read)),
            format!(
                "{} parts or deliveries in quarantine",
                count(counts.unreadable)
            ),
        ),
    };
    let takes = match &request.team {
        Some(team) => format!(" that the routes of team {team} take"),
        None => String::new(),
    };
    let of_all = match request.whose {
        Whose::One(_) => String::new(),
        Whose::All { .. } => format!(" of {}", of(accounts, "account")),
    };
    let mut text = format!(
        "{from}{of_all} hold {}, {} of them asked for{takes}",
        events(counts.held),
        count(counts.events)
    );
    for (name, number) in &counts.types {
        let _ = write!(text, "\n  {name} {}", count(*number));
    }
    if counts.deleted > 0 || counts.unreadable > 0 {
        let _ = write!(text, "\n  left out: {left_out}");
    }
    text
}

fn events(number: u64) -> String {
    match number {
        1 => "1 event".to_owned(),
        _ => format!("{} events", count(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use operate::loopback_stack::LoopbackStack;
    use rstest::rstest;

    use crate::cli::{Cli, Command};

    const NOW: u64 = 1_795_176_000_000;

    fn parsed(line: &str) -> Result<Replay, clap::Error> {
        let words = ["orderhook", "replay"]
            .into_iter()
            .chain(line.split_whitespace());
        match Cli::try_parse_from(words)?.command {
            Command::Replay(replay) => Ok(*replay),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_line_that_goes_on_says_all_that_was_said() {
        let arguments = parsed(
            "--account acme --from 2h --types order.*,customer.created --team sales --rate 7",
        )
        .unwrap();
        let request = arguments.request(Timestamp::from_millis(NOW)).unwrap();
        let line = arguments.line(&request, Some("01a1f8d3-ea7b-7101-8101-010101010101.00007"));
        assert_eq!(
            line,
            "orderhook replay --account acme --from 2026-11-20T10:00:00.000Z --to 2026-11-20T12:00:00.000Z \
             --types 'order.*,customer.created' --team sales --after 01a1f8d3-ea7b-7101-8101-010101010101.00007 \
             --job r1a1f8d3ea00 --rate 7"
        );
        let again = parsed(&line.replace("orderhook replay ", "").replace('\'', "")).unwrap();
        let later = Timestamp::from_millis(NOW + 60_000);
        let again = again.request(later).unwrap();
        assert!(matches!(
            (again.what, request.what),
            (What::Span { from: a, to: b, after: Some(_) }, What::Span { from: c, to: d, .. }) if a == c && b == d
        ));
        assert_eq!((again.job, again.types), (request.job, request.types));
    }

    #[rstest]
    #[case::events("--from 2h", "acme/01a1f8d3-ea7b-7101-8101-010101010101.00007")]
    #[case::records("--state --team a", "acme/order/or_1")]
    fn all_accounts_go_on_in_the_one_that_was_cut_off(#[case] line: &str, #[case] after: &str) {
        let at = Timestamp::from_millis(NOW);
        let first = parsed(line).unwrap();
        let request = first.request(at).unwrap();
        assert_eq!(request.whose, Whose::All { from: None });
        let line = first.line(&request, Some(after));
        let second = parsed(&line.replace("orderhook replay ", "")).unwrap();
        let from = Some("acme".parse().unwrap());
        assert_eq!(second.request(at).unwrap().whose, Whose::All { from });
        assert_eq!(second.after.as_deref(), Some(after));
    }

    #[rstest]
    #[case::no_span("--account acme")]
    #[case::nothing_at_all("")]
    #[case::two_spans("--account acme --from 2h --state --team a")]
    #[case::state_without_team("--account acme --state")]
    #[case::no_rate("--account acme --from 2h --rate 0")]
    fn what_clap_refuses(#[case] line: &str) {
        assert!(parsed(line).is_err());
    }

    #[rstest]
    #[case::account("--account A --from 2h")]
    #[case::time("--account acme --from yesterday")]
    #[case::record("--account acme --from 2h --record or_1")]
    #[case::delivery("--account acme --delivery x")]
    #[case::after("--account acme --from 2h --after x")]
    #[case::after_of_a_state("--account acme --state --team a --after x")]
    #[case::after_without_its_account(
        "--from 2h --after 01a1f8d3-ea7b-7101-8101-010101010101.00007"
    )]
    #[case::after_of_no_account("--from 2h --after A/01a1f8d3-ea7b-7101-8101-010101010101.00007")]
    #[case::after_of_a_state_without_its_account("--state --team a --after order/or_1")]
    #[case::job("--account acme --from 2h --job a_b")]
    fn what_is_a_usage_error(#[case] line: &str) {
        let request = parsed(line).unwrap().request(Timestamp::from_millis(NOW));
        assert!(matches!(request, Err(Error::Usage(_))), "{request:?}");
    }

    #[tokio::test]
    async fn nothing_is_sent_before_somebody_agrees() {
        let routes = r#"[{"team":"sales","queue":"q","types":["*"],"accounts":["*"]}]"#;
        let stack = LoopbackStack::with_account(routes).await;
        let record = json!({
            "pk": { "S": "acme#order" }, "sk": { "S": "or_1" }, "data": { "M": {} },
            "event_id": { "S": "01a1f8d3-ea7b-7101-8101-010101010101.00000" }, "event_type": { "S": "order.created" },
        });
        stack.put_item("records", &record);
        let ran = async |line: &str, json: bool| {
            let words = [
                "orderhook",
                "replay",
                "--account",
                "acme",
                "--state",
                "--team",
                "sales",
            ];
            let cli =
                Cli::try_parse_from(words.into_iter().chain(line.split_whitespace())).unwrap();
            let (mut screen, printed) = Screen::of_test(json);
            let target = Target {
                name: "shop".to_owned(),
                calls: stack.calls(),
            };
            (crate::on(&cli, &target, &mut screen).await, printed)
        };
        let (refused, printed) = ran("", false).await;
        assert!(matches!(refused, Err(Stop::Failed(Error::Usage(_)))));
        assert!(
            printed.err().contains("1 of them asked for"),
            "{}",
            printed.err()
        );
        let (exit, printed) = ran("--dry-run", false).await;
        assert!(exit.unwrap() == Exit::Done && printed.out().contains("order.created 1"));
        assert!(stack.queue("orders").is_empty());
        let (exit, printed) = ran("--yes", true).await;
        assert_eq!(exit.unwrap(), Exit::Done);
        assert_eq!(stack.queue("orders").len(), 1);
        let lines: Vec<serde_json::Value> = printed
            .out()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!((lines.len(), &lines[0]["after"]), (2, &json!("order/or_1")));
        assert_eq!(lines[1]["is_done"], true);
    }
}
