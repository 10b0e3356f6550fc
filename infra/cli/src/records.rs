//! `orderhook records`: the current state of records, and what they were before.

use clap::{Args, Subcommand};
use operate::records::{self, Condition, History, List, Record, State, indented};
use operate::trace::{self, What};
use operate::{Error, Exit, Target, kept};

use crate::Stop;
use crate::screen::{Screen, Tone};
use crate::span::{Span, account, short};
use crate::words::of;

/// How far back a record's history goes where nothing is said: three days.
const USUAL: u64 = 3 * 86_400;

/// Commands about records.
#[derive(Debug, Clone, Subcommand)]
#[command(
    after_help = "Examples:\n  orderhook records get order or_1 --account acme\n  orderhook records list order --account acme --where status=new\n  orderhook records history order/or_1 --account acme --since 7d"
)]
pub enum Records {
    /// Print a record as it is now.
    Get(One),
    /// List the records of a kind.
    List(ListArguments),
    /// Show what each event changed in a record, as far as logs and receipts go back.
    History(HistoryArguments),
}

/// Which record.
#[derive(Debug, Clone, Args)]
pub struct One {
    /// Its kind, such as order; or kind and id: order/or_1.
    pub kind: String,
    /// Its id.
    pub id: Option<String>,
    /// Whose it is.
    #[arg(long, value_name = "NAME")]
    pub account: String,
}

/// Arguments of `records list`.
#[derive(Debug, Clone, Args)]
pub struct ListArguments {
    /// The kind, such as order.
    pub kind: String,
    /// Whose they are.
    #[arg(long, value_name = "NAME")]
    pub account: String,
    /// Only those whose member has this value: status=new, customer.name=Ann. Every record of the kind is read.
    #[arg(long = "where", value_name = "MEMBER=VALUE")]
    pub conditions: Vec<String>,
    /// How many records at the most.
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: usize,
}

/// Arguments of `records history`.
#[derive(Debug, Clone, Args)]
pub struct HistoryArguments {
    /// Which record.
    #[command(flatten)]
    pub one: One,
    /// From when until when the log is looked at [default: the last 3d].
    #[command(flatten)]
    pub span: Span,
}

/// Runs a command about records.
///
/// # Errors
/// What the stack or AWS answered, or that nobody reads the output.
pub async fn run(command: &Records, target: &Target, screen: &mut Screen) -> Result<Exit, Stop> {
    match command {
        Records::Get(arguments) => get(arguments, target, screen).await,
        Records::List(arguments) => list(arguments, target, screen).await,
        Records::History(arguments) => history(arguments, target, screen).await,
    }
}

async fn get(arguments: &One, target: &Target, screen: &mut Screen) -> Result<Exit, Stop> {
    let owner = account(&arguments.account)?;
    let key = records::key(&owner, &arguments.kind, arguments.id.as_deref())?;
    let stack = target.stack().await?;
    let record = records::get(&target.calls, &stack, &key).await?;
    if !screen.is_json() {
        screen.note(&state_text(&record.state));
    }
    let text = record
        .data
        .as_ref()
        .map_or_else(String::new, |data| indented(data.get()));
    screen.show(&text, &record)?;
    Ok(Exit::Done)
}

fn state_text(state: &State) -> String {
    let from = match (&state.event, &state.event_type) {
        (Some(event), Some(kind)) => format!("{kind}, event {event}"),
        (Some(event), None) => format!("event {event}"),
        (None, _) => "no event but a delete was seen".to_owned(),
    };
    let deleted = match state.deleted {
        true => " · deleted",
        false => "",
    };
    format!(
        "{}/{} of {} · {from}{deleted}",
        state.kind, state.id, state.account
    )
}

async fn list(
    arguments: &ListArguments,
    target: &Target,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let owner = account(&arguments.account)?;
    let conditions: Result<Vec<Condition>, Error> = arguments
        .conditions
        .iter()
        .map(|text| text.parse())
        .collect();
    let conditions = conditions?;
    let stack = target.stack().await?;
    let mut pages = List::of(&target.calls, &stack, owner, &arguments.kind, conditions);
    let mut shown = 0;
    let mut is_cut = false;
    'pages: while let Some(page) = pages.next_page().await? {
        for record in page {
            if shown == arguments.limit {
                is_cut = true;
                break 'pages;
            }
            screen.line(&record_line(&record), &record)?;
            shown += 1;
        }
    }
    let more = match is_cut {
        true => "; there are more: say --limit",
        false => "",
    };
    screen.note(&format!(
        "{} of {} read{more}",
        of(shown, "record"),
        pages.read
    ));
    Ok(Exit::Done)
}

fn record_line(record: &Record) -> String {
    let state = &record.state;
    let received = state
        .received
        .as_deref()
        .map_or_else(|| "-".to_owned(), short);
    let deleted = match state.deleted {
        true => "  deleted",
        false => "",
    };
    let from = state.event_type.as_deref().unwrap_or("-");
    format!("{received}  {}/{}  {from}{deleted}", state.kind, state.id)
}

async fn history(
    arguments: &HistoryArguments,
    target: &Target,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let owner = account(&arguments.one.account)?;
    let key = records::key(&owner, &arguments.one.kind, arguments.one.id.as_deref())?;
    let window = arguments.span.window(USUAL)?;
    let what = What::parse(&format!("{}/{}", key.kind, key.id.as_str()))?;
    let stack = target.stack().await?;
    let traced = trace::trace(&target.calls, &stack, &what, Some(&owner), window).await?;
    let source = kept::source_of(&target.calls, &stack, &owner).await?;
    let logged = traced.steps.iter().map(|step| step.event);
    // Where the log is gone, the record still says which event was the last.
    let last = traced
        .record
        .as_ref()
        .and_then(|record| record.event.as_deref());
    let last = last.and_then(|event| event.parse().ok());
    let events: Vec<_> = logged.chain(last).collect();
    let mut versions = History::of(&target.calls, &stack, owner, source, events);
    let mut is_first = true;
    while let Some(version) = versions.next_version().await? {
        if screen.is_json() {
            screen.line("", &version)?;
            continue;
        }
        let kind = version
            .event_type
            .as_deref()
            .unwrap_or("its receipt is gone");
        let head = format!("{}  {kind}  {}", short(&version.received), version.event);
        screen.line(&screen.tone(Tone::Strong, &head), &())?;
        let lines = match (is_first, version.difference.is_empty()) {
            (true, _) => version
                .data
                .iter()
                .flat_map(|data| records::lines_of(data))
                .collect(),
            (false, false) => version.difference,
            (false, true) if version.data.is_some() => vec!["(nothing is different)".to_owned()],
            (false, true) => Vec::new(),
        };
        for line in lines {
            screen.line(&format!("  {line}"), &())?;
        }
        is_first &= version.data.is_none();
    }
    if !traced.is_complete {
        screen
            .note("the log of this time is too large to be read whole: some events may be missing");
    }
    Ok(Exit::Done)
}
