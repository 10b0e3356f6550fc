//! `upgrade`: an earlier template is updated to the project's and back again, while events flow; none is lost.
//!
//! The programs are the project's all the time. Lambda changes code and variables one after the other, so they meet the
//! variables of the template before in every update; and going back they meet them for good.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use clap::Args;
use local::places::Places;
use local::progress::Progress;
use serde::Serialize;
use simulator::Source;
use testkit::rng::Rng;

use crate::accounts;
use crate::events;
use crate::faults::Boxes;
use crate::log::{Attempt, Log};
use crate::oracle::Figures;
use crate::report::{Run, line};
use crate::sending::{self, Sent};
use crate::test_stack::{self, TestStack};

/// Accounts that the events come from.
const ACCOUNTS: usize = 3;
/// More events than can be sent while the stack is updated twice.
const EVENTS: usize = 20_000;
/// Deliveries that are sent before it is looked again whether the update has ended.
const AT_ONCE: usize = 6;

/// Arguments of `upgrade`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Upgrade {
    /// The earlier template, such as what `git show v1:template.yaml` wrote into a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// Makes the deliveries.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Minutes after which the run ends as broken.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) minutes: u64,
}

/// What a run came to.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// Deliveries that were sent during each change, by what changed.
    during: Vec<(String, usize)>,
    requests: usize,
    refused: usize,
    #[serde(flatten)]
    figures: Figures,
    /// Broken promises, and what makes the run prove nothing.
    pub(crate) problems: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// The stack does not do what every run needs, or a template cannot be deployed.
pub(crate) async fn run(
    places: &Places,
    stack: &TestStack,
    upgrade: &Upgrade,
    progress: Progress,
) -> Result<Outcome> {
    let rng = Rng::of(&[upgrade.seed]);
    // The earlier template may know no other source.
    let sources = [Source::Orderspace; ACCOUNTS];
    let accounts = accounts::connect(stack, &sources, progress).await?;
    let mut log = Log {
        deliveries: events::deliveries(&mut rng.apart(1), EVENTS, &sources),
        accounts: accounts.names.clone(),
        ..Log::default()
    };
    let boxes = Boxes::new(stack, &accounts.marker)?;
    let sent = Sent::default();
    let mut from = 0;
    let mut during = Vec::new();
    let changes = [
        ("before", None),
        ("the update", Some(None)),
        ("going back", Some(Some(upgrade.from.as_path()))),
        ("after", None),
    ];
    for (what, change) in changes {
        let is_over = Cell::new(false);
        let changing = async {
            let changed = match change {
                // A while on the template as it is.
                None => Ok(()),
                Some(template) => {
                    test_stack::update(places, &stack.outputs, template, progress).await
                }
            };
            is_over.set(true);
            changed
        };
        let sending = async {
            let mut attempts = Vec::new();
            let begin = from;
            loop {
                let end = (from + AT_ONCE).min(log.deliveries.len());
                let now = log.deliveries.get(from..end).unwrap_or_default();
                if now.is_empty() {
                    bail!("every event was sent before {what} had ended");
                }
                let made = sending::send(&accounts, now, &sent).await?;
                attempts.extend(made.into_iter().map(|attempt| Attempt {
                    delivery: attempt.delivery + from,
                    ..attempt
                }));
                from = end;
                if is_over.get() {
                    return Ok::<_, anyhow::Error>((attempts, end - begin));
                }
            }
        };
        let (attempts, count) = tokio::select! {
            both = async { tokio::join!(changing, sending) } => {
                both.0?;
                both.1?
            }
            () = boxes.keep_collecting() => bail!("the collecting ended before {what} did"),
        };
        log.attempts.extend(attempts);
        during.push((what.to_owned(), count));
    }
    // What was planned and not sent is none of the run's.
    log.deliveries.truncate(from);
    boxes.drain(stack, progress).await?;
    let judgement = boxes.judge(stack, &log).await?;
    let mut problems = judgement.problems;
    let dead = judgement.figures.ids_dead;
    if dead > 0 {
        problems.push(format!("{dead} events are in dead-letter queues"));
    }
    if during.iter().any(|(_, count)| *count == 0) {
        problems.push("nothing was sent during a change: this run proves too little".to_owned());
    }
    Ok(Outcome {
        during,
        requests: sent.requests.load(Ordering::Relaxed),
        refused: sent.refused.load(Ordering::Relaxed),
        figures: judgement.figures,
        problems,
    })
}

impl Run for Outcome {
    fn summary(&self) -> String {
        format!(
            "{} events during an update and going back, none lost",
            self.figures.events_accepted
        )
    }

    fn lines(&self) -> Vec<(String, String)> {
        let during = self.during.iter();
        let counts = during.map(|(what, count)| line(&format!("deliveries: {what}"), count));
        let figures = &self.figures;
        let others = [
            ("requests", self.requests),
            ("  of these not answered with 200", self.refused),
            ("events answered with 200", figures.events_accepted),
            ("  in the team's queue", figures.ids_in_the_teams_queue),
            ("  undelivered, with a reason", figures.ids_undelivered),
            ("records compared", figures.records_compared),
        ];
        let others = others.map(|(what, count)| line(what, &count));
        counts.chain(others).collect()
    }

    fn problems(&self) -> &[String] {
        &self.problems
    }
}
