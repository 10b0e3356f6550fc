//! `orderhook deliveries`: what came, what was answered, and what became of the events.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::identity::DeliveryId;
use domain::timestamp::Timestamp;
use operate::deliveries::{self, Answer, List, PAGE, RecordNow, Requests, Row, Shown};
use operate::log_lines::DeliveryLine;
use operate::{Error, Exit, Stack, Target};
use serde_json::json;

use crate::Stop;
use crate::screen::Screen;
use crate::span::{Span, account, said_account, short, size};
use crate::words::of;

/// What is listed of an account where nothing is said: a day.
const USUAL: u64 = 86_400;
/// What is listed of all accounts where nothing is said: an hour of inbound's log.
const USUAL_OF_ALL: u64 = 3_600;

/// Commands about deliveries.
#[derive(Debug, Clone, Subcommand)]
#[command(
    after_help = "Examples:\n  orderhook deliveries list --account acme --since 2h\n  orderhook deliveries show 019a1f8f-b000-7000-8000-000000000000\n  orderhook deliveries raw 019a1f8f-b000-7000-8000-000000000000 | jq"
)]
pub enum Deliveries {
    /// List what came: of an account the latest first, of all accounts the earliest first.
    List(ListArguments),
    /// Show a delivery: its events, its records, and the requests that brought it.
    Show(ShowArguments),
    /// Print a delivery's body, byte for byte as it came.
    Raw(RawArguments),
}

/// Arguments of `deliveries list`.
#[derive(Debug, Clone, Args)]
pub struct ListArguments {
    /// The account; all where it is left out.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// From when until when.
    #[command(flatten)]
    pub span: Span,
    /// How many deliveries at the most.
    #[arg(long, default_value_t = PAGE, value_name = "N")]
    pub limit: usize,
    /// Leave the logs out: neither sizes nor what became of events is shown.
    #[arg(long, requires = "account")]
    pub fast: bool,
}

/// Arguments of `deliveries show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArguments {
    /// The delivery's id.
    pub delivery: String,
    /// Whose it is; looked up in inbound's log where it is left out.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
}

/// Arguments of `deliveries raw`.
#[derive(Debug, Clone, Args)]
pub struct RawArguments {
    /// The delivery's id.
    pub delivery: String,
    /// Whose it is; looked up in inbound's log where it is left out.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Write to this file instead.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print to a terminal also what is no text.
    #[arg(long)]
    pub force: bool,
}

/// Runs a command about deliveries.
///
/// # Errors
/// What the stack or AWS answered, or that nobody reads the output.
pub async fn run(command: &Deliveries, target: &Target, screen: &mut Screen) -> Result<Exit, Stop> {
    match command {
        Deliveries::List(arguments) => list(arguments, target, screen).await,
        Deliveries::Show(arguments) => {
            let id = id(&arguments.delivery)?;
            let said = said_account(arguments.account.as_deref())?;
            let stack = target.stack().await?;
            let owner = deliveries::account_of(&target.calls, &stack, id, said).await?;
            let shown = deliveries::show(&target.calls, &stack, &owner, id).await?;
            let text = shown_text(&shown, screen);
            screen.show(&text, &shown)?;
            if let Some(other) = stack.other_release() {
                screen.note(&format!(
                    "{other}: it may have read other events out of this delivery than are shown"
                ));
            }
            Ok(Exit::Done)
        }
        Deliveries::Raw(arguments) => raw(arguments, target, screen).await,
    }
}

fn id(text: &str) -> Result<DeliveryId, Error> {
    text.parse()
        .map_err(|_| Error::Usage(format!("{text:?} is no delivery id")))
}

async fn list(
    arguments: &ListArguments,
    target: &Target,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let Some(name) = &arguments.account else {
        let window = arguments.span.window(USUAL_OF_ALL)?;
        let stack = target.stack().await?;
        let requests = Requests::of(&target.calls, &stack, window)?;
        let until = arguments.span.until.as_deref();
        return list_all(requests, arguments.limit, until, screen).await;
    };
    let owner = account(name)?;
    let window = arguments.span.window(USUAL)?;
    let stack = target.stack().await?;
    let mut pages = List::of(&target.calls, &stack, owner, window, !arguments.fast);
    let (mut shown, mut is_complete) = (0, true);
    let mut failures_since = None;
    let mut last: Option<Row> = None;
    while shown < arguments.limit {
        let Some(mut page) = pages.next_page().await? else {
            last = None;
            break;
        };
        is_complete &= page.is_complete;
        failures_since = failures_since.or(page.failures_since.take());
        page.rows.truncate(arguments.limit - shown);
        if page.rows.is_empty() {
            continue;
        }
        match screen.is_json() {
            true => page.rows.iter().try_for_each(|row| screen.line("", row))?,
            false => {
                let text = rows_text(&page.rows, shown == 0, screen);
                screen.line(&text, &())?;
            }
        }
        shown += page.rows.len();
        last = page.rows.pop();
    }
    if !is_complete {
        screen.note("the logs of this time are too large to be read whole: some of what became of events is missing");
    }
    if let Some(since) = failures_since {
        screen.note(&format!(
            "refused attempts before {since} are not counted, they are too many for one look: for these say --until {since}"
        ));
    }
    match (shown, last) {
        (0, _) => screen.note(&format!(
            "no delivery of {name} between {} and {}",
            window.from, window.to
        )),
        (_, None) => screen.note(&format!(
            "{}, {} calls",
            of_deliveries(shown),
            target.calls.count()
        )),
        (_, Some(row)) => {
            // The moment of the last one once more: others may have it too.
            let seen = id(&row.delivery)?.first_seen();
            let until = Timestamp::from_millis(seen.millis() + 1);
            screen.note(&format!(
                "{}, {} calls; older: orderhook deliveries list --account {name} --since {} --until {until}",
                of_deliveries(shown),
                target.calls.count(),
                window.from,
            ));
        }
    }
    Ok(Exit::Done)
}

pub(crate) fn of_deliveries(number: usize) -> String {
    match number {
        1 => "1 delivery".to_owned(),
        _ => format!("{number} deliveries"),
    }
}

async fn list_all(
    mut requests: Requests<'_>,
    limit: usize,
    until: Option<&str>,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let mut shown = 0;
    while let Some(page) = requests.next_page().await? {
        for line in page {
            if shown == limit {
                let since = line.at.unwrap_or_default();
                let until = until.map_or_else(String::new, |until| format!(" --until {until}"));
                screen.note(&format!(
                    "{}; later: orderhook deliveries list --since {since}{until}",
                    of_deliveries(shown)
                ));
                return Ok(Exit::Done);
            }
            screen.line(&request_text(&line), &line)?;
            shown += 1;
        }
    }
    if shown == 0 {
        screen.note("no request came in this time");
    }
    Ok(Exit::Done)
}

fn request_text(line: &DeliveryLine) -> String {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let mut text = format!(
        "{}  {:<12}  {}  {}  {}",
        short(line.at.as_deref().unwrap_or("-")),
        or_none(line.account.clone()),
        or_none(line.delivery.map(|id| id.to_string())),
        or_none(line.answer.map(|status| status.to_string())),
        or_none(line.outcome.clone()),
    );
    if let Some(events) = line.events {
        text = format!(
            "{text}  {}",
            of(usize::try_from(events).unwrap_or(usize::MAX), "event")
        );
    }
    if let Some(cause) = &line.cause {
        text = format!("{text}  {cause}");
    }
    text
}

fn rows_text(rows: &[Row], has_header: bool, screen: &Screen) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            short(&row.received),
            row.delivery.clone(),
            row.events.to_string(),
            row.bytes.map_or_else(|| "-".to_owned(), size),
            answer(row),
            row.attempts.to_string(),
            became(row),
        ]
    });
    let header = [
        "received (UTC)",
        "delivery",
        "events",
        "bytes",
        "answer",
        "tries",
        "became",
    ];
    let text = screen.table(&header, cells.collect());
    match has_header {
        true => text,
        false => text
            .split_once('\n')
            .map_or_else(String::new, |(_, rows)| rows.to_owned()),
    }
}

fn answer(row: &Row) -> String {
    match (row.status, row.answer) {
        (Some(status), _) => status.to_string(),
        (None, Answer::Accepted) => "accepted".to_owned(),
        (None, Answer::Refused) => "refused".to_owned(),
    }
}

/// `4 applied, 1 waits: sales, refused 2× queue_refused`.
fn became(row: &Row) -> String {
    let mut parts = Vec::new();
    if row.outcome.as_deref() == Some("quarantined") {
        parts.push("quarantined".to_owned());
    }
    if let Some(became) = &row.became {
        let outcomes = became.outcomes.iter();
        parts.extend(outcomes.map(|(outcome, count)| format!("{count} {outcome}")));
        let waiting = became.waiting.iter();
        parts.extend(waiting.map(|(team, count)| format!("{count} waits: {team}")));
        if became.again > 0 {
            parts.push(format!("{} to come again", became.again));
        }
    }
    let refused = row.refused.iter();
    parts.extend(refused.map(|(cause, count)| format!("refused {count}× {cause}")));
    if row.answer == Answer::Refused {
        parts.push("the source sends again".to_owned());
    }
    match parts.is_empty() {
        true => "-".to_owned(),
        false => parts.join(", "),
    }
}

fn shown_text(shown: &Shown, screen: &Screen) -> String {
    let part = match shown.part.as_str() {
        "" => String::new(),
        part => format!(" · part {part}"),
    };
    let mut lines = vec![format!(
        "{} · {} of {}{part} · {} · {}",
        shown.delivery,
        shown.account,
        shown.source,
        short(&shown.received),
        size(u64::try_from(shown.bytes).unwrap_or(u64::MAX)),
    )];
    lines.extend(shown.requests.iter().map(|line| {
        let cause = line
            .cause
            .as_deref()
            .map_or_else(String::new, |cause| format!(" ({cause})"));
        format!(
            "  {}  attempt {} answered {}{cause}",
            short(line.at.as_deref().unwrap_or("-")),
            line.attempt.unwrap_or(1),
            line.answer.unwrap_or(0),
        )
    }));
    if let Some(reason) = shown.unreadable {
        lines.push(format!(
            "  no events: {reason}; it is in quarantine → orderhook stuck list"
        ));
    }
    let bad = shown.bad.iter();
    lines.extend(bad.map(|element| {
        format!(
            "  element {} is no event: {}; it is in quarantine",
            element.index, element.reason
        )
    }));
    if !shown.events.is_empty() {
        let rows = shown.events.iter().map(|event| {
            let (outcome, teams) = match &event.fate {
                Some(fate) => (fate.outcome.clone(), crate::trace::teams(fate)),
                None => ("not in the log".to_owned(), String::new()),
            };
            vec![
                event.id.get(37..).unwrap_or_default().to_owned(),
                event.r#type.clone(),
                event.subject.clone(),
                event.lane.to_owned(),
                outcome,
                record_text(&event.record),
                teams,
            ]
        });
        let header = [
            "event",
            "type",
            "subject",
            "lane",
            "outcome",
            "record now",
            "teams",
        ];
        lines.push(screen.table(&header, rows.collect()));
    }
    lines.join("\n")
}

/// What a record is now, as far as it concerns an event.
#[must_use]
pub fn record_text(record: &RecordNow) -> String {
    match record {
        RecordNow::None => "-".to_owned(),
        RecordNow::Missing => "there is none".to_owned(),
        RecordNow::Current => "as this event says".to_owned(),
        RecordNow::Later { event } => format!("later: {event}"),
        RecordNow::Earlier { event } => format!("still {event}"),
        RecordNow::Deleted => "deleted".to_owned(),
    }
}

async fn raw(arguments: &RawArguments, target: &Target, screen: &mut Screen) -> Result<Exit, Stop> {
    let id = id(&arguments.delivery)?;
    let said = said_account(arguments.account.as_deref())?;
    let stack: Stack = target.stack().await?;
    let owner = deliveries::account_of(&target.calls, &stack, id, said).await?;
    let kept = deliveries::raw(&target.calls, &stack, &owner, id).await?;
    if let Some(path) = &arguments.output {
        let written = std::fs::write(path, &kept.body);
        written.map_err(|error| Error::Usage(format!("{}: {error}", path.display())))?;
        let count = kept.body.len();
        let document = json!({ "file": path, "bytes": count });
        screen.show(
            &format!("{count} bytes are in {}", path.display()),
            &document,
        )?;
        return Ok(Exit::Done);
    }
    if screen.is_terminal() && !arguments.force && !is_text(&kept.body) {
        let message = "the body is no text, which a terminal may take for commands: write it to a file with -o, or say --force";
        return Err(Error::Usage(message.to_owned()).into());
    }
    screen.bytes(&kept.body)?;
    Ok(Exit::Done)
}

/// Whether bytes are text that a terminal shows as it is.
fn is_text(bytes: &[u8]) -> bool {
    let is_shown = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t');
    std::str::from_utf8(bytes).is_ok_and(|text| text.chars().all(is_shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(b"{\"a\":\"\xc3\xa9\"}\r\n\t", true)]
    #[case(b"", true)]
    #[case(b"\x1b[2J", false)]
    #[case(b"\x9b2J", false)]
    #[case(b"\xc2\x9b2J", false)]
    #[case(b"\xff\xfe", false)]
    #[case(b"a\0b", false)]
    fn what_a_terminal_shows(#[case] bytes: &[u8], #[case] expected: bool) {
        assert_eq!(is_text(bytes), expected);
    }
}
