//! Sending as the sources do, by the simulator's sender, with each attempt in the log.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::Result;
use futures::{StreamExt as _, stream};
use simulator::{
    End, EventText, Journal, RawDelivery, Rebatch, RetryPolicy, Sender, Switches, Target,
};

use crate::accounts::Accounts;
use crate::events::Delivery;
use crate::log::{Attempt, now};
use crate::sources;

/// A source's patience, shortened: it comes again until it is answered with its status of success.
fn policy() -> RetryPolicy {
    RetryPolicy {
        first_delay_ms: 150,
        factor: 1.6,
        max_delay_ms: 3_000,
        timeout_ms: 12_000,
        max_attempts: 200,
        disable_after: u32::MAX,
    }
}

/// What is shown while deliveries are sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Deliveries that have ended.
    pub(crate) deliveries: AtomicUsize,
    /// Requests.
    pub(crate) requests: AtomicUsize,
    /// Requests among them that were not answered with success.
    pub(crate) refused: AtomicUsize,
}

/// Sends every delivery, each account's in its order, and returns all attempts.
pub(crate) async fn send(
    accounts: &Accounts,
    deliveries: &[Delivery],
    sent: &Sent,
) -> Result<Vec<Attempt>> {
    let senders = accounts.sources.iter();
    let senders = senders.map(|source| Sender::patient(*source, policy()));
    let senders: Vec<Sender> = senders.collect::<Result<_, _>>()?;
    let targets = accounts.sources.iter().zip(&accounts.targets);
    let each = targets.zip(&senders).enumerate();
    let by_account = each.map(|(account, ((source, target), sender))| {
        let own = deliveries
            .iter()
            .enumerate()
            .filter(move |(_, delivery)| delivery.account == account);
        stream::iter(own)
            .map(move |(number, delivery)| one(sender, target, number, delivery, sent))
            .buffer_unordered(sources::in_flight(*source))
    });
    let attempts: Vec<Result<Vec<Attempt>>> =
        stream::select_all(by_account.map(Box::pin)).collect().await;
    let attempts: Vec<Vec<Attempt>> = attempts.into_iter().collect::<Result<_>>()?;
    Ok(attempts.concat())
}

/// One delivery, and once more where its source sends what it has sent.
async fn one(
    sender: &Sender,
    target: &Target,
    number: usize,
    delivery: &Delivery,
    sent: &Sent,
) -> Result<Vec<Attempt>> {
    let mut attempts = once(sender, target, number, delivery, sent).await?;
    if delivery.comes_again {
        attempts.extend(once(sender, target, number, delivery, sent).await?);
    }
    sent.deliveries.fetch_add(1, Ordering::Relaxed);
    Ok(attempts)
}

async fn once(
    sender: &Sender,
    target: &Target,
    number: usize,
    delivery: &Delivery,
    sent: &Sent,
) -> Result<Vec<Attempt>> {
    let (ended, ends) = mpsc::channel();
    let journal = Journal::with_observer(move |_| ended.send(now()).unwrap_or_default());
    let begun = now();
    if delivery.unreadable.is_some() {
        let raw = RawDelivery {
            body: delivery.body(0..0).into_bytes(),
            ..RawDelivery::default()
        };
        sender.send_raw_into(&journal, target, &[raw]).await?;
    } else {
        let texts: Vec<EventText> = delivery
            .elements
            .iter()
            .map(|(_, text)| EventText::parse(text.as_str()))
            .collect::<Result<_, _>>()?;
        let switches = Switches {
            rebatch: if delivery.splits {
                Rebatch::Split
            } else {
                Rebatch::Never
            },
            batch_size: texts.len().max(1),
            ..Switches::default()
        };
        let sender = sender.clone().with_switches(switches);
        sender.send_into(&journal, target, &texts).await?;
    }
    let report = journal.report();
    // One sending makes its requests one after the other, so the journal's deliveries have them in the order of time.
    let mut parts = Parts::new(delivery.elements.len());
    let mut attempts = Vec::new();
    let mut ends = ends.try_iter();
    let mut after = begun;
    for entry in &report.deliveries {
        let part = parts.next(entry.end == End::Rebatched);
        for attempt in &entry.attempts {
            let status = attempt.outcome.status();
            let before = ends.next().unwrap_or(after);
            sent.requests.fetch_add(1, Ordering::Relaxed);
            if !delivery.is_taken_by(status) {
                sent.refused.fetch_add(1, Ordering::Relaxed);
            }
            attempts.push(Attempt {
                delivery: number,
                part: part.clone(),
                after,
                before,
                status,
            });
            after = before;
        }
    }
    Ok(attempts)
}

/// Which part of a delivery each of a sending's deliveries has: all of it, or of one that failed the two halves, after
/// everything else of its round.
struct Parts {
    due: VecDeque<Range<usize>>,
}

impl Parts {
    fn new(elements: usize) -> Self {
        Self {
            due: std::iter::once(0..elements).collect(),
        }
    }

    fn next(&mut self, goes_on_in_halves: bool) -> Range<usize> {
        let part = self.due.pop_front().unwrap_or(0..0);
        if goes_on_in_halves {
            let middle = part.start + part.len().div_ceil(2);
            self.due.push_back(part.start..middle);
            if middle < part.end {
                self.due.push_back(middle..part.end);
            }
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_part_goes_on_in_halves_after_its_round() {
        let mut parts = Parts::new(5);
        assert_eq!(parts.next(true), 0..5);
        assert_eq!(parts.next(true), 0..3);
        assert_eq!(parts.next(false), 3..5);
        assert_eq!(parts.next(true), 0..2);
        assert_eq!(parts.next(false), 2..3);
        assert_eq!(parts.next(false), 0..1);
        assert_eq!(parts.next(false), 1..2);
        let mut parts = Parts::new(1);
        assert_eq!(parts.next(true), 0..1);
        assert_eq!(parts.next(false), 0..1);
    }
}
