//! `orderhook trace`: the whole way of an event, a delivery or a record.

use clap::Args;
use operate::fate::Fate;
use operate::trace::{self, Came, Step, Trace, What};
use operate::{Exit, Target};

use crate::Stop;
use crate::deliveries::record_text;
use crate::screen::Screen;
use crate::span::{Span, millis, said_account, short};
use crate::words::of;

/// How far back logs are looked at for a record where nothing is said: three days.
const USUAL: u64 = 3 * 86_400;

/// Arguments of `trace`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  orderhook trace order/or_l5DYqeDn --account acme --since 3d\n  orderhook trace 019a1f8f-b000-7000-8000-000000000000.00003\n  orderhook trace 1204 --account acme"
)]
pub struct TraceArguments {
    /// An event id, a delivery id, a record as kind/id, or an order number.
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// Whose it is; an order number is looked for in one account.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// From when until when the logs are looked at for a record [default: the last 3d].
    #[command(flatten)]
    pub span: Span,
}

/// Follows what is asked about. Ends with 1 where some of it waits.
///
/// # Errors
/// What the stack or AWS answered, or that nobody reads the output.
pub async fn run(
    arguments: &TraceArguments,
    target: &Target,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let what = What::parse(&arguments.what)?;
    let account = said_account(arguments.account.as_deref())?;
    let window = arguments.span.window(USUAL)?;
    let stack = target.stack().await?;
    let traced = trace::trace(&target.calls, &stack, &what, account.as_ref(), window).await?;
    screen.show(&text(&traced), &traced)?;
    if !traced.is_complete {
        screen.note("the log of this time is too large to be read whole: choose a shorter one with --since and --until");
    }
    if let Some(earlier) = &traced.earlier {
        let account = traced.account.as_deref().unwrap_or_default();
        screen.note(&format!(
            "{} before these; they: orderhook trace {} --account {account} --since {} --until {}",
            crate::deliveries::of_deliveries(earlier.deliveries),
            traced.what,
            traced.since,
            earlier.until
        ));
    }
    Ok(match traced.waiting.is_empty() {
        true => Exit::Done,
        false => Exit::Left,
    })
}

fn text(traced: &Trace) -> String {
    let mut head = vec![traced.what.clone()];
    head.extend(traced.account.clone());
    if let Some(record) = &traced.record {
        let name = format!("{}/{}", record.kind, record.id);
        if name != traced.what {
            head.push(name);
        }
        head.push(match record.deleted {
            true => "now: deleted".to_owned(),
            false => "now: not deleted".to_owned(),
        });
        head.extend(
            record
                .event
                .as_ref()
                .map(|event| format!("from event {event}")),
        );
    }
    let mut lines = vec![head.join(" · ")];
    if traced.records_read > 0 {
        lines.push(format!(
            "found by its number in {}",
            of(traced.records_read, "record")
        ));
    }
    lines.push(String::new());
    if traced.steps.is_empty() {
        lines.push(format!("  no event in the log since {}", traced.since));
    }
    for step in &traced.steps {
        lines.extend(step_text(step));
    }
    if !traced.waiting.is_empty() {
        lines.push(String::new());
    }
    for (team, count) in &traced.waiting {
        let number = usize::try_from(*count).unwrap_or(usize::MAX);
        lines.push(format!(
            "{} set aside for team {team} → orderhook stuck release --team {team}",
            of(number, "event")
        ));
    }
    lines.join("\n")
}

fn step_text(step: &Step) -> [String; 2] {
    let number = step.event.index().get() + 1;
    let first = format!(
        "  {}  {}  {}  {}",
        short(&step.received),
        step.r#type,
        step.event,
        came_text(&step.came, number),
    );
    let second = match (&step.fate, &step.record) {
        (Some(fate), _) => fate_text(fate),
        (None, Some(record)) => format!("not in the log; its record: {}", record_text(record)),
        (None, None) => "not in the log".to_owned(),
    };
    [
        first.trim_end().to_owned(),
        format!("                      {second}"),
    ]
}

/// `1 of 3, by wh_1, refused 2× queue_refused, 200 in 48 ms`.
fn came_text(came: &Came, number: u32) -> String {
    let mut parts = Vec::new();
    // Elements that are no events have positions too.
    parts.extend(
        came.of
            .map(|all| format!("{number} of {}", all.max(u64::from(number)))),
    );
    parts.extend(came.webhook.as_ref().map(|webhook| format!("by {webhook}")));
    let refused = came.refused.iter();
    parts.extend(refused.map(|(cause, count)| format!("refused {count}× {cause}")));
    match (came.answer, came.duration_ms) {
        (Some(status), Some(took)) => parts.push(format!("{status} in {}", millis(took))),
        (Some(status), None) => parts.push(status.to_string()),
        (None, _) => {}
    }
    if let Some(attempts) = came.attempts.filter(|attempts| *attempts > 1) {
        parts.push(format!("came {attempts} times"));
    }
    parts.join(", ")
}

fn fate_text(fate: &Fate) -> String {
    let mut parts = vec![match fate.after_ms {
        Some(after) => format!("{} after {}", fate.outcome, millis(after)),
        None => fate.outcome.clone(),
    }];
    if fate.possible_duplicate {
        parts.push("possible duplicate".to_owned());
    }
    if fate.replayed {
        parts.push("replayed".to_owned());
    }
    if fate.again {
        parts.push("its message comes again".to_owned());
    }
    let teams = teams(fate);
    if !teams.is_empty() {
        parts.push(teams);
    }
    parts.join(" · ")
}

/// `sales, warehouse · finance: set aside`.
#[must_use]
pub fn teams(fate: &Fate) -> String {
    let accepted: Vec<&str> = fate.teams.iter().map(String::as_str).collect();
    let accepted = (!accepted.is_empty()).then(|| accepted.join(", "));
    let waiting = fate.waiting.iter().map(|team| format!("{team}: set aside"));
    accepted
        .into_iter()
        .chain(waiting)
        .collect::<Vec<_>>()
        .join(" · ")
}
