//! `orderhook logs`: the lines of a function's log, by its function's name.

use calls::logs;
use clap::{Args, ValueEnum};
use operate::log_lines::{json, phrase_pattern, time};
use operate::stack::Function;
use operate::{Exit, Target};
use serde_json::{Map, Value};

use crate::Stop;
use crate::screen::{Screen, Tone};
use crate::span::{Span, short};

/// How far back where nothing is said: an hour.
const USUAL: u64 = 3_600;

/// A function's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Named {
    /// Takes deliveries.
    Inbound,
    /// Applies and forwards events.
    Consumer,
    /// Keeps webhooks registered, and answers the admin API.
    Subscriptions,
    /// Erases accounts and records.
    Erasure,
}

impl Named {
    fn function(self) -> Function {
        match self {
            Self::Inbound => Function::Inbound,
            Self::Consumer => Function::Consumer,
            Self::Subscriptions => Function::Subscriptions,
            Self::Erasure => Function::Erasure,
        }
    }
}

/// Arguments of `logs`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  orderhook logs consumer --since 2h --filter order/or_1\n  orderhook logs --troubles"
)]
pub struct Logs {
    /// The function; all of them, one after the other, where it is left out.
    #[arg(value_enum)]
    pub function: Option<Named>,
    /// From when until when [default: the last hour].
    #[command(flatten)]
    pub span: Span,
    /// Only lines with this text.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Only warnings and errors.
    #[arg(long)]
    pub troubles: bool,
    /// How many lines of a function at the most.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub limit: usize,
}

/// Prints lines, a page of the log in memory.
///
/// # Errors
/// What the stack or AWS answered, or that nobody reads the output.
pub async fn run(arguments: &Logs, target: &Target, screen: &mut Screen) -> Result<Exit, Stop> {
    let window = arguments.span.window(USUAL)?;
    let stack = target.stack().await?;
    let pattern = arguments
        .filter
        .as_deref()
        .map(phrase_pattern)
        .unwrap_or_default();
    let functions = match arguments.function {
        Some(named) => vec![named.function()],
        None => Function::ALL.to_vec(),
    };
    for function in functions {
        let filter = logs::Filter {
            group: stack.log_group(function)?,
            pattern: &pattern,
            from_ms: i64::try_from(window.from.millis()).ok(),
            to_ms: i64::try_from(window.to.millis()).ok(),
            ..logs::Filter::default()
        };
        let (mut next, mut shown): (Option<String>, usize) = (None, 0);
        'pages: loop {
            let page = logs::filter(&target.calls, &filter, next.as_deref()).await?;
            for event in &page.events {
                if !fits(arguments, &event.message) {
                    continue;
                }
                if shown == arguments.limit {
                    screen.note(&format!(
                        "({} has more: say --limit, or a shorter time)",
                        function.as_str()
                    ));
                    break 'pages;
                }
                shown += 1;
                print(function, &event.message, screen)?;
            }
            match page.next_token {
                Some(token) if next.as_ref() != Some(&token) => next = Some(token),
                _ => break,
            }
        }
    }
    Ok(Exit::Done)
}

/// A log's pattern leaves case and some characters out, so lines are looked at again.
fn fits(arguments: &Logs, line: &str) -> bool {
    let has_text = |text: &String| line.contains(text.as_str());
    let is_trouble = || matches!(level(line).as_deref(), Some("WARN" | "ERROR"));
    arguments.filter.as_ref().is_none_or(has_text) && (!arguments.troubles || is_trouble())
}

fn level(line: &str) -> Option<String> {
    let members: Map<String, Value> = serde_json::from_str(line).ok()?;
    Some(members.get("level")?.as_str()?.to_owned())
}

fn print(function: Function, line: &str, screen: &mut Screen) -> Result<(), Stop> {
    let line = line.trim_end();
    match json(line) {
        Some(document) => screen.line(&text(function, line, screen), &document)?,
        None => screen.line(line, &line)?,
    }
    Ok(())
}

/// `11-26 10:41:02.770  consumer  INFO  batch  {"lane":"orders", …}`.
fn text(function: Function, line: &str, screen: &Screen) -> String {
    let Ok(mut members) = serde_json::from_str::<Map<String, Value>>(line) else {
        return line.to_owned();
    };
    let at = time(&members).unwrap_or_default();
    members.remove("timestamp");
    let mut take = |name: &str| match members.remove(name) {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let (level, message) = (take("level"), take("message"));
    let tone = match level.as_str() {
        "ERROR" => Tone::Bad,
        "WARN" => Tone::Doubtful,
        _ => Tone::Quiet,
    };
    let rest = Value::Object(members).to_string();
    let level = screen.tone(tone, &format!("{level:<5}"));
    format!(
        "{}  {:<13}  {level}  {message}  {rest}",
        short(&at),
        function.as_str()
    )
}
