//! `neighbours`: what a burst does to those beside it, as a count of messages and not as a time.
//!
//! Of each order it is counted how many foreign messages reached the team after the order was answered with 200 and
//! before the order itself did: those were served before it. Beside it stands how many were waiting when it came.
//! Across lanes the first must be a small part of the second. Within a lane it is told and not judged: that one
//! account's burst does not delay another's messages is the work of SQS's fair queues, which no emulator has; what can
//! be seen is that every message names its account as its group.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html>

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use futures::{StreamExt as _, stream};
use local::progress::{Progress, seconds};
use serde::{Deserialize, Serialize};
use simulator::Target;

use crate::accounts;
use crate::collect::{self, QueueMessage};
use crate::events::{Delivery, Element, about};
use crate::faults::{Boxes, show};
use crate::log::{Attempt, Log};
use crate::rng::Rng;
use crate::sending::{self, Sent};
use crate::test_stack::TestStack;

/// The stock events of a long run.
pub(crate) const STOCK: u32 = 10_000;
/// Events in one delivery of a burst, as many as Orderspace sends.
const BATCH: usize = 50;
/// Deliveries of the burst that are under way at the same time.
const IN_FLIGHT: usize = 4;
/// A backlog below this is none to be kept from an order.
const BACKLOG: usize = 200;
/// Messages in a lane that may be orders of this moment and no backlog.
const FEW: usize = 20;
/// Across lanes an order may wait for this share of the foreign messages that wait with it, in hundredths.
const LARGEST_SHARE: usize = 25;

/// Arguments of `neighbours`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Neighbours {
    /// Stock events that come while orders do.
    #[arg(long, default_value_t = STOCK, value_parser = clap::value_parser!(u32).range(500..=1_000_000))]
    pub(crate) stock: u32,
    /// Orders of one account that come while another account's do, in the same lane.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u32).range(500..=1_000_000))]
    orders: u32,
    /// Makes the events.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Minutes after which the run ends as broken.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) minutes: u64,
}

/// What one order met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Met {
    /// Foreign messages that waited when the order was answered.
    waiting: usize,
    /// Foreign messages that reached the team before it, from then on.
    served_before: usize,
}

/// What a burst did.
#[derive(Debug, Serialize)]
struct Story {
    burst: usize,
    orders: Vec<Met>,
}

/// What a run came to.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    seed: u64,
    seconds: u64,
    across_lanes: Story,
    in_one_lane: Story,
    messages_whose_group_was_seen: usize,
    pub(crate) problems: Vec<String>,
}

/// Runs it.
///
/// # Errors
/// The stack does not do what every run needs.
pub(crate) async fn run(
    stack: &TestStack,
    arguments: &Neighbours,
    progress: Progress,
) -> Result<Outcome> {
    let begun = Instant::now();
    let rng = Rng::new(arguments.seed);
    let mut problems = Vec::new();
    let (stock, orders) = (
        usize::try_from(arguments.stock)?,
        usize::try_from(arguments.orders)?,
    );

    let mut groups = Groups::default();
    let stock = burst(&mut rng.apart(1), "inventory_level", stock);
    let across_lanes = tell(
        stack,
        "Inventory",
        stock,
        &mut groups,
        &mut problems,
        progress,
    )
    .await?;
    let orders = burst(&mut rng.apart(2), "order", orders);
    let in_one_lane = tell(
        stack,
        "Orders",
        orders,
        &mut groups,
        &mut problems,
        progress,
    )
    .await?;

    judge_across_lanes(&across_lanes, &mut problems);
    if in_one_lane.orders.is_empty() {
        problems
            .push("no order met another account's burst: this run proves too little".to_owned());
    }
    for (account, group) in &groups.others {
        problems.push(format!("a message of {account} has the group {group:?}"));
    }
    if groups.seen == 0 {
        problems.push("no message's group was seen: this run proves too little".to_owned());
    }
    Ok(Outcome {
        seed: arguments.seed,
        seconds: begun.elapsed().as_secs(),
        across_lanes,
        in_one_lane,
        messages_whose_group_was_seen: groups.seen,
        problems,
    })
}

/// Events of one kind, each about a record of its own, in full deliveries.
fn burst(rng: &mut Rng, kind: &'static str, count: usize) -> Vec<Delivery> {
    let name = match kind {
        "order" => "order.created",
        _ => "inventory_level.updated",
    };
    let marks: Vec<usize> = (0..count).collect();
    marks
        .chunks(BATCH)
        .map(|marks| {
            let events = marks
                .iter()
                .map(|mark| about(rng, kind, name, &mark.to_string(), *mark));
            delivery(0, events.collect())
        })
        .collect()
}

fn delivery(account: usize, events: Vec<crate::events::Event>) -> Delivery {
    let elements = events.into_iter().map(|event| {
        let text = format!(
            r#"{{"event":"{}","data":{{"{}":{}}}}}"#,
            event.name, event.kind, event.record
        );
        (Element::Good(event), text)
    });
    Delivery {
        account,
        elements: elements.collect(),
        unreadable: None,
        splits: false,
        comes_again: false,
    }
}

/// Message groups that were seen in a lane.
#[derive(Debug, Default)]
struct Groups {
    seen: usize,
    others: Vec<(String, Option<String>)>,
}

impl Groups {
    /// Looks at a lane until it is dropped.
    async fn look(&mut self, stack: &TestStack, lane: &str) -> Result<()> {
        loop {
            let found = collect::groups(&stack.aws, stack.lane(lane)?).await?;
            for (account, group) in found {
                self.seen += 1;
                if group.as_ref() != Some(&account) {
                    self.others.push((account, group));
                }
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
}

/// Sends a burst, and single orders of another account for as long as the burst is on its way.
async fn tell(
    stack: &TestStack,
    lane: &str,
    deliveries: Vec<Delivery>,
    groups: &mut Groups,
    problems: &mut Vec<String>,
    progress: Progress,
) -> Result<Story> {
    let accounts = accounts::connect(stack, 2, progress).await?;
    let boxes = Boxes::new(stack, &accounts.marker)?;
    let mut log = Log {
        accounts: accounts.names,
        deliveries,
        ..Log::default()
    };
    let [bursting, neighbour] = accounts.targets.as_slice() else {
        bail!("two accounts were to be connected");
    };
    let burst: usize = log.deliveries.iter().map(|one| one.elements.len()).sum();
    let mut step = progress.step(format!(
        "Sending {burst} events to the lane {lane}, and orders of another account"
    ));
    let (sent, is_sent) = (Sent::default(), AtomicBool::new(false));
    let burst_sent = async {
        let sender = &sending::sender()?;
        let sent = &sent;
        let work = log.deliveries.iter().enumerate();
        let work =
            work.map(|(number, delivery)| sending::one(sender, bursting, number, delivery, sent));
        let attempts: Vec<Result<Vec<Attempt>>> = stream::iter(work)
            .buffer_unordered(IN_FLIGHT)
            .collect()
            .await;
        is_sent.store(true, Ordering::Relaxed);
        let attempts: Vec<Vec<Attempt>> = attempts.into_iter().collect::<Result<_>>()?;
        Ok::<_, anyhow::Error>(attempts.concat())
    };
    let ordering = orders_meanwhile(stack, lane, neighbour, log.deliveries.len(), &is_sent);
    let (attempts, orders) = tokio::select! {
        both = async { futures::try_join!(burst_sent, ordering) } => both?,
        looked = groups.look(stack, lane) => {
            looked?;
            bail!("the looking ended before the sending did");
        }
        () = boxes.keep_collecting() => bail!("the collecting ended before the sending did"),
        () = show(&mut step, || format!(
            "{} deliveries accepted, {} events with the team",
            sent.deliveries.load(Ordering::Relaxed),
            boxes.team.count()
        )) => bail!("the display ended before the sending did"),
    };
    step.done(&format!("{} orders came meanwhile", orders.0.len()));
    let first_order = log.deliveries.len();
    log.attempts = [attempts, orders.1].concat();
    log.deliveries.extend(orders.0);
    boxes.drain(stack, progress).await?;
    let judgement = boxes.judge(stack, &log, &boxes.dead_letters()).await?;
    problems.extend(judgement.problems);
    let messages = boxes.team.messages();
    Ok(Story {
        burst,
        orders: count(&log, first_order, &messages),
    })
}

/// Single orders, one after the other, until the burst is sent and hardly anything of it is left.
async fn orders_meanwhile(
    stack: &TestStack,
    lane: &str,
    target: &Target,
    first: usize,
    is_sent: &AtomicBool,
) -> Result<(Vec<Delivery>, Vec<Attempt>)> {
    let sender = sending::sender()?;
    let sent = Sent::default();
    let mut rng = Rng::new(0);
    let (mut deliveries, mut attempts) = (Vec::new(), Vec::new());
    loop {
        let number = first + deliveries.len();
        let mark = 20_000_000 + number;
        let order = about(&mut rng, "order", "order.created", &mark.to_string(), mark);
        let order = delivery(1, vec![order]);
        attempts.extend(sending::one(&sender, target, number, &order, &sent).await?);
        deliveries.push(order);
        let waiting = collect::waiting(&stack.aws, stack.lane(lane)?).await?;
        if is_sent.load(Ordering::Relaxed) && waiting < FEW {
            return Ok((deliveries, attempts));
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

/// What each order met that met anything to speak of.
fn count(log: &Log, first_order: usize, messages: &[QueueMessage]) -> Vec<Met> {
    #[derive(Deserialize)]
    struct Marked {
        data: Mark,
    }
    #[derive(Deserialize)]
    struct Mark {
        mark: usize,
    }
    let mut reached: BTreeMap<usize, u64> = BTreeMap::new();
    for message in messages {
        if let Ok(marked) = serde_json::from_str::<Marked>(&message.body) {
            let at = reached.entry(marked.data.mark).or_insert(message.sent);
            *at = message.sent.min(*at);
        }
    }
    // When each foreign event was accepted, and when it reached the team.
    let mut foreign = Vec::new();
    let mut orders = Vec::new();
    for attempt in log.attempts.iter().filter(|one| one.status == Some(200)) {
        let elements = log
            .deliveries
            .get(attempt.delivery)
            .and_then(|delivery| delivery.elements.get(attempt.part.clone()));
        for (element, _) in elements.into_iter().flatten() {
            let Element::Good(event) = element else {
                continue;
            };
            let Some(at) = reached.get(&event.mark) else {
                continue;
            };
            if attempt.delivery >= first_order {
                orders.push((attempt.before, *at));
            } else {
                foreign.push((attempt.before, *at));
            }
        }
    }
    orders
        .iter()
        .map(|(accepted, at)| Met {
            waiting: foreign
                .iter()
                .filter(|(came, left)| came <= accepted && left > accepted)
                .count(),
            served_before: foreign
                .iter()
                .filter(|(_, left)| left > accepted && left < at)
                .count(),
        })
        .filter(|met| met.waiting >= BACKLOG)
        .collect()
}

fn judge_across_lanes(story: &Story, problems: &mut Vec<String>) {
    if story.orders.is_empty() {
        problems
            .push("no order met a backlog in another lane: this run proves too little".to_owned());
    }
    let (before, waiting) = story.orders.iter().fold((0, 0), |(before, waiting), met| {
        (before + met.served_before, waiting + met.waiting)
    });
    if before * 100 > waiting * LARGEST_SHARE {
        problems.push(format!(
            "orders waited for {before} of {waiting} messages of another lane, more than {LARGEST_SHARE} of a hundred"
        ));
    }
}

/// Least, middle and most of some counts.
fn spread(counts: impl Iterator<Item = usize>) -> String {
    let mut counts: Vec<usize> = counts.collect();
    counts.sort_unstable();
    match (counts.first(), counts.get(counts.len() / 2), counts.last()) {
        (Some(least), Some(middle), Some(most)) => {
            format!("least {least}, median {middle}, most {most}")
        }
        _ => "none".to_owned(),
    }
}

impl Outcome {
    /// The run in one line.
    pub(crate) fn summary(&self) -> String {
        let told = |story: &Story, foreign: &str| {
            let served = spread(story.orders.iter().map(|met| met.served_before));
            let (orders, burst) = (story.orders.len(), story.burst);
            format!("{orders} orders met {burst} {foreign}, served before an order: {served}")
        };
        format!(
            "{}; {}",
            told(&self.across_lanes, "stock events in another lane"),
            told(&self.in_one_lane, "orders of another account in their own")
        )
    }

    /// The report, line by line.
    pub(crate) fn lines(&self) -> Vec<(String, String)> {
        let mut lines = vec![
            ("seed".to_owned(), self.seed.to_string()),
            (
                "time".to_owned(),
                seconds(Duration::from_secs(self.seconds)),
            ),
        ];
        for (title, story) in [
            ("across lanes: stock events", &self.across_lanes),
            ("in one lane: another account's orders", &self.in_one_lane),
        ] {
            let orders = || story.orders.iter();
            lines.extend([
                (title.to_owned(), story.burst.to_string()),
                (
                    "  orders that met a backlog".to_owned(),
                    orders().count().to_string(),
                ),
                (
                    "  foreign messages that waited".to_owned(),
                    spread(orders().map(|met| met.waiting)),
                ),
                (
                    "  foreign messages served before the order".to_owned(),
                    spread(orders().map(|met| met.served_before)),
                ),
            ]);
        }
        lines.push((
            "messages grouped by their account".to_owned(),
            self.messages_whose_group_was_seen.to_string(),
        ));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_served_before_an_order_is_counted_from_its_acceptance() {
        let mut rng = Rng::new(1);
        let mut log = Log {
            accounts: vec!["a".to_owned(), "b".to_owned()],
            deliveries: burst(&mut rng, "inventory_level", 400),
            ..Log::default()
        };
        let first = log.deliveries.len();
        let order = about(&mut rng, "order", "order.created", "1", 1000);
        log.deliveries.push(delivery(1, vec![order]));
        let attempt = |delivery: usize, elements: usize, before: u64| Attempt {
            delivery,
            part: 0..elements,
            after: 0,
            before,
            status: Some(200),
        };
        log.attempts = (0..first)
            .map(|number| attempt(number, BATCH, 100))
            .collect();
        log.attempts.push(attempt(first, 1, 150));
        // One foreign message reaches the team every millisecond from 101 on, the order at 180.
        let message = |mark: usize, sent: u64| QueueMessage {
            body: format!(r#"{{"data":{{"mark":{mark}}}}}"#),
            sent,
        };
        let mut messages: Vec<QueueMessage> = (0..400)
            .map(|mark| message(mark, 101 + mark as u64))
            .collect();
        messages.push(message(1000, 180));
        let met = Met {
            waiting: 350,
            served_before: 29,
        };
        assert_eq!(count(&log, first, &messages), [met]);
        let mut problems = Vec::new();
        let story = |orders| Story { burst: 400, orders };
        judge_across_lanes(&story(vec![met]), &mut problems);
        assert_eq!(problems, Vec::<String>::new());
        judge_across_lanes(
            &story(vec![Met {
                waiting: 350,
                served_before: 300,
            }]),
            &mut problems,
        );
        judge_across_lanes(&story(Vec::new()), &mut problems);
        assert_eq!(problems.len(), 2);
    }
}
