//! `orderhook tail`: events as they pass, without taking any from anybody.

use std::time::Duration;

use clap::Args;
use operate::log_lines::{DeliveryLine, EventLine};
use operate::records::indented;
use operate::tail::{Forward, Passed, Tail, Wanted, check_team};
use operate::when::{moment, now, seconds_of};
use operate::{Error, Exit, Target};
use tokio::time::{Instant, sleep};

use crate::Stop;
use crate::screen::{Screen, Tone};
use crate::span::{millis, said_account, short};

/// How long to wait between two looks at the logs.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest wait, while AWS asks for fewer calls or does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Arguments of `tail`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  orderhook tail --team sales --types 'order.*'\n  orderhook tail --since 2h --json --show-data | jq .data\n  orderhook tail --forward http://127.0.0.1:3000/events"
)]
pub struct TailArguments {
    /// Start in the past: 2h, 3d, or 2026-11-26T10:00Z [default: now].
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only what a team gets, or what was set aside for it.
    #[arg(long, value_name = "NAME")]
    pub team: Option<String>,
    /// Only these types, as in routes: order.created, 'order.*'.
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Only an account's.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Show what events are about, from their receipts.
    #[arg(long)]
    pub show_data: bool,
    /// Post each event's envelope to a process of this machine.
    #[arg(long, value_name = "URL")]
    pub forward: Option<String>,
    /// End after so long: 30s, 10m. With 0s, once the logs are read [default: at Ctrl-C].
    #[arg(long = "for", value_name = "TIME")]
    pub duration: Option<String>,
}

/// Follows events until it is interrupted, or until `--for` is over.
///
/// # Errors
/// What the stack or AWS answered at the start, a permission that is missing, or that nobody reads the output.
pub async fn run(
    arguments: &TailArguments,
    target: &Target,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let wanted = Wanted {
        team: arguments.team.clone(),
        types: Wanted::patterns(&arguments.types)?,
        account: said_account(arguments.account.as_deref())?,
    };
    let from = match &arguments.since {
        Some(text) => moment(text, now())?,
        None => now(),
    };
    let forward = arguments.forward.as_deref().map(Forward::to).transpose()?;
    let end = end(arguments.duration.as_deref())?;
    let stack = target.stack().await?;
    if let Some(team) = &arguments.team {
        check_team(&target.calls, &stack, team).await?;
    }
    let has_data = arguments.show_data || forward.is_some();
    let mut tail = Tail::of(&target.calls, &stack, wanted, from, has_data)?;
    screen.note(
        "following the logs, some seconds behind; nothing is taken from any queue. Ctrl-C ends.",
    );
    let mut pause = PAUSE;
    loop {
        let is_behind = match tail.tick().await {
            Ok(tick) => {
                pause = PAUSE;
                for passed in &tick.passed {
                    show(passed, arguments.show_data, screen)?;
                    post(passed, forward.as_ref(), screen).await;
                }
                tick.is_behind
            }
            Err(error @ Error::Unreachable { .. }) => {
                pause = (pause * 2).min(LONGEST_PAUSE);
                screen.note(&format!(
                    "({error}; slower now: every {} s)",
                    pause.as_secs()
                ));
                false
            }
            Err(error) => return Err(error.into()),
        };
        if !is_behind {
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(Exit::Done);
            }
            sleep(pause).await;
        }
    }
}

fn end(duration: Option<&str>) -> Result<Option<Instant>, Error> {
    let Some(text) = duration else {
        return Ok(None);
    };
    let unusable = || Error::Usage(format!("--for {text:?} is no time: write 30s or 10m"));
    let seconds = seconds_of(text).ok_or_else(unusable)?;
    let end = Instant::now().checked_add(Duration::from_secs(seconds));
    end.map(Some).ok_or_else(unusable)
}

fn show(passed: &Passed, shows_data: bool, screen: &mut Screen) -> Result<(), Stop> {
    let text = match passed {
        Passed::Event { line, data, .. } => {
            let mut text = event_text(line, screen);
            if shows_data {
                let data = data.as_ref();
                let data = data.map_or_else(
                    || "(its receipt is gone)".to_owned(),
                    |data| indented(data.get()),
                );
                for data in data.lines() {
                    text.push_str("\n    ");
                    text.push_str(data);
                }
            }
            text
        }
        Passed::Refused { line } => refused_text(line, screen),
    };
    match passed {
        // Data that is read to be forwarded is not printed.
        Passed::Event { line, .. } if !shows_data => {
            let bare = Passed::Event {
                line: line.clone(),
                data: None,
                envelope: None,
            };
            screen.line(&text, &bare)?;
        }
        passed => screen.line(&text, passed)?,
    }
    Ok(())
}

fn event_text(line: &EventLine, screen: &Screen) -> String {
    let tone = match line.outcome.as_str() {
        "failed" => Tone::Bad,
        "stale" | "repeated" => Tone::Quiet,
        _ => Tone::Good,
    };
    let mut text = format!(
        "{}  {:<10}  {:<18}  {:<24}  {}",
        short(line.at.as_deref().unwrap_or("-")),
        line.account,
        line.r#type,
        line.subject,
        screen.tone(tone, &line.outcome),
    );
    let age = line.age_ms.map(millis);
    let marks = [
        (line.possible_duplicate, "possible duplicate"),
        (line.replayed, "replayed"),
        (line.again, "comes again"),
    ];
    let marks = marks.into_iter().filter(|(is_so, _)| *is_so);
    let marks = marks.map(|(_, mark)| mark.to_owned());
    let waiting = line
        .undelivered
        .iter()
        .map(|team| format!("{team}: set aside"));
    for part in age.into_iter().chain(marks).chain(waiting) {
        text.push_str("  ");
        text.push_str(&part);
    }
    text
}

fn refused_text(line: &DeliveryLine, screen: &Screen) -> String {
    let account = line.account.as_deref().unwrap_or("?");
    let cause = line.cause.as_deref().unwrap_or("?");
    let text = format!(
        "{}  ({account}: a delivery was refused: {cause}; the source sends it again)",
        short(line.at.as_deref().unwrap_or("-"))
    );
    screen.tone(Tone::Doubtful, &text)
}

/// Posts an event's envelope. What does not arrive is said, and ends nothing.
async fn post(passed: &Passed, forward: Option<&Forward>, screen: &mut Screen) {
    let (Some(forward), Passed::Event { line, envelope, .. }) = (forward, passed) else {
        return;
    };
    let posted = match envelope {
        Some(envelope) => forward.post(envelope).await,
        None => Err("its receipt is gone".to_owned()),
    };
    if let Err(reason) = posted {
        screen.note(&format!("({} is not forwarded: {reason})", line.id));
    }
}
