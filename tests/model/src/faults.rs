//! What can go wrong, where, and how often it did.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::run::add;

/// A step of a handler: a call of a port, or a part of the way to and from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Step {
    /// The source's request on its way to inbound.
    Request,
    /// Inbound looks a URL token up.
    FindToken,
    /// Inbound reads signing keys.
    ReadKeys,
    /// Inbound looks for a retry marker.
    ReadMarker,
    /// Inbound leases a retry marker.
    LeaseMarker,
    /// Inbound keeps a receipt.
    KeepReceipt,
    /// Inbound keeps a large record.
    PutLarge,
    /// Inbound sends to a lane.
    SendLane,
    /// Inbound sends to quarantine.
    SendQuarantine,
    /// Inbound removes a retry marker.
    RemoveMarker,
    /// Inbound leaves a retry marker.
    LeaveMarker,
    /// Inbound counts a failed delivery.
    DeliveryFailure,
    /// Inbound's answer on its way to the source.
    Answer,
    /// A message on its way from a lane to a consumer.
    Receive,
    /// The consumer reads a large record.
    GetLarge,
    /// The consumer deletes a record.
    DeleteRecord,
    /// The consumer updates a record.
    UpdateRecord,
    /// The consumer sends to a team's standard queue.
    SendTeam,
    /// The consumer sends to a team's FIFO queue.
    SendFifo,
    /// The consumer sends to the undelivered queue.
    SendUndelivered,
    /// The consumer delays what failed.
    Delay,
    /// The consumer's report on its way to the poller.
    Report,
}

impl Step {
    /// Every step in the order of the way, and what the table names it.
    pub const ALL: [(Self, &'static str); 22] = [
        (Self::Request, "orderspace: request"),
        (Self::FindToken, "inbound: tokens.find"),
        (Self::ReadKeys, "inbound: keys.read"),
        (Self::ReadMarker, "inbound: receipts.marker"),
        (Self::LeaseMarker, "inbound: receipts.lease"),
        (Self::KeepReceipt, "inbound: receipts.keep"),
        (Self::PutLarge, "inbound: oversize.put"),
        (Self::SendLane, "inbound: send, lane"),
        (Self::SendQuarantine, "inbound: send, quarantine"),
        (Self::RemoveMarker, "inbound: receipts.unmark"),
        (Self::LeaveMarker, "inbound: receipts.mark"),
        (Self::DeliveryFailure, "inbound: receipts.record_failure"),
        (Self::Answer, "orderspace: answer"),
        (Self::Receive, "lane: receive"),
        (Self::GetLarge, "consumer: oversize.get"),
        (Self::DeleteRecord, "consumer: records.delete"),
        (Self::UpdateRecord, "consumer: records.update"),
        (Self::SendTeam, "consumer: send, team"),
        (Self::SendFifo, "consumer: send, FIFO team"),
        (Self::SendUndelivered, "consumer: send, undelivered"),
        (Self::Delay, "consumer: lane.delay"),
        (Self::Report, "lane: report"),
    ];

    /// The step as the table names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Whether it sends a batch of messages.
    #[must_use]
    pub fn is_send(self) -> bool {
        matches!(
            self,
            Self::SendLane
                | Self::SendQuarantine
                | Self::SendTeam
                | Self::SendFifo
                | Self::SendUndelivered
        )
    }

    /// How many times the usual rate of faults a step has that is only reached after other faults, so that
    /// each of its cells is met often enough.
    pub(crate) fn weight(self) -> u64 {
        match self {
            Self::LeaseMarker | Self::RemoveMarker => 5,
            Self::SendUndelivered | Self::LeaveMarker | Self::DeliveryFailure => 3,
            Self::SendQuarantine | Self::PutLarge | Self::GetLarge | Self::DeleteRecord => 3,
            Self::FindToken | Self::ReadKeys => 2,
            _ => 1,
        }
    }
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Kind {
    /// Nothing is done; the answer says that it may pass.
    Refused,
    /// As refused, and so is every such call of anybody for a while.
    Throttled,
    /// Some messages of a batch are refused.
    Part,
    /// A message is refused for what it is, alone or with its whole batch.
    Content,
    /// The work is done, and the answer is a time-out.
    Lost,
    /// Nothing is done, and no answer comes.
    Hung,
    /// No answer comes, and the work is done some time after nobody waits for it any more.
    Late,
    /// The answer takes its time.
    Slow,
    /// The handler ends before the work.
    CrashBefore,
    /// The handler ends after the work.
    CrashAfter,
    /// The call panics.
    Panic,
    /// It comes a second time while the first is still worked on.
    TwiceAtOnce,
    /// It comes a second time after the first was dealt with.
    TwiceAfter,
    /// It is overtaken.
    Reordered,
}

impl Kind {
    /// Every kind, and what the table names it.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Refused, "refused"),
        (Self::Throttled, "throttled"),
        (Self::Part, "part"),
        (Self::Content, "content"),
        (Self::Lost, "lost"),
        (Self::Hung, "hung"),
        (Self::Late, "late"),
        (Self::Slow, "slow"),
        (Self::CrashBefore, "crash<"),
        (Self::CrashAfter, "crash>"),
        (Self::Panic, "panic"),
        (Self::TwiceAtOnce, "twice="),
        (Self::TwiceAfter, "twice>"),
        (Self::Reordered, "reorder"),
    ];

    /// The kind as the table names it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Why a kind of fault cannot meet a step. The one table of what is left out.
#[must_use]
pub fn unreachable(step: Step, kind: Kind) -> Option<&'static str> {
    use Kind as K;
    use Step as S;
    match (step, kind) {
        (S::Request, K::Part | K::Content) => {
            Some("the gateway takes a request as a whole, and refuses none for what it says")
        }
        (S::Request, K::Hung) => {
            Some("is `lost` before it arrives: to the source the two are one time-out")
        }
        (S::Request, K::Late) => Some("is `slow`: inbound cannot tell since when it is under way"),
        (S::Request | S::Answer, K::CrashBefore | K::CrashAfter | K::Panic) => Some(
            "no code of ours runs there; a crash before the first and after the last call is in those rows",
        ),
        (S::Answer, K::Refused | K::Throttled | K::Part | K::Content | K::Hung | K::Late) => {
            Some("an answer arrives, late or not; what the source does not get is `lost`")
        }
        (S::Answer, K::TwiceAtOnce | K::TwiceAfter | K::Reordered) => {
            Some("one connection carries one request and one answer")
        }
        (S::Receive, K::Refused | K::Throttled | K::Part | K::Content | K::Hung | K::Late) => {
            Some("a message that is not handed over stays in its queue: that is `slow`")
        }
        (S::Receive, K::Panic) => Some("no code of ours runs there"),
        (S::Receive, K::CrashBefore | K::CrashAfter) => Some(
            "a function that ends before its first call is `lost`: the batch was received and nothing was done",
        ),
        (S::Report, K::Lost) => None,
        (S::Request | S::Receive, K::TwiceAtOnce | K::TwiceAfter | K::Reordered) => None,
        (S::Report, _) => Some("the poller gets the report or does not: that is `lost`"),
        (_, K::TwiceAtOnce | K::TwiceAfter | K::Reordered) => {
            Some("a call is made once and by one; what comes twice is requests and messages")
        }
        (S::SendQuarantine, K::Part) => Some("a delivery has one message in quarantine"),
        (_, K::Part) if !step.is_send() => {
            Some("the call has one entry, or none that could be refused alone")
        }
        (_, K::Content) if !step.is_send() => {
            Some("nothing else tells content from other refusals: it is treated as `refused`")
        }
        (S::FindToken | S::ReadKeys | S::ReadMarker | S::GetLarge, K::Late) => {
            Some("a read that nobody waits for changes nothing: it is `hung`")
        }
        _ => None,
    }
}

/// The kinds that can meet a step.
#[must_use]
pub fn kinds(step: Step) -> Vec<Kind> {
    let kinds = Kind::ALL.into_iter().map(|(kind, _)| kind);
    kinds
        .filter(|kind| unreachable(step, *kind).is_none())
        .collect()
}

/// How often each kind of fault met each step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Row by row.
    met: Vec<u64>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self {
            met: vec![0; Step::ALL.len() * Kind::ALL.len()],
        }
    }
}

impl Coverage {
    /// Counts one.
    pub fn count(&mut self, step: Step, kind: Kind) {
        self.met[step as usize * Kind::ALL.len() + kind as usize] += 1;
    }

    /// How often a kind met a step.
    #[must_use]
    pub fn of(&self, step: Step, kind: Kind) -> u64 {
        self.met[step as usize * Kind::ALL.len() + kind as usize]
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        add(&mut self.met, &other.met);
    }

    /// How many faults there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.met.iter().sum()
    }

    /// The cells that were met less often than asked, though they can be.
    #[must_use]
    pub fn below(&self, least: u64) -> Vec<(Step, Kind, u64)> {
        let mut below = Vec::new();
        for (step, _) in Step::ALL {
            let met = kinds(step)
                .into_iter()
                .map(|kind| (step, kind, self.of(step, kind)));
            below.extend(met.filter(|(.., met)| *met < least));
        }
        below
    }

    /// How often the cell was met that was met least, among those that can be.
    #[must_use]
    pub fn least(&self) -> u64 {
        let cells = self.below(u64::MAX);
        let met = cells.iter().map(|(.., met)| *met);
        met.min().unwrap_or_default()
    }

    /// The table, with a dot where a kind cannot meet a step.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("{:28}", "step");
        for (_, name) in Kind::ALL {
            let _ = write!(text, "{name:>10}");
        }
        text.push('\n');
        for (step, name) in Step::ALL {
            let _ = write!(text, "{name:28}");
            for (kind, _) in Kind::ALL {
                let met = match unreachable(step, kind) {
                    None => self.of(step, kind).to_string(),
                    Some(_) => "·".to_owned(),
                };
                let _ = write!(text, "{met:>10}");
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliveries::Sender;
    use crate::plan::Habit;
    use crate::truth::Cause;

    /// What is counted by value is printed by position.
    #[test]
    fn every_value_stands_at_its_number() {
        let numbers = [
            Step::ALL.map(|(step, _)| step as usize).to_vec(),
            Kind::ALL.map(|(kind, _)| kind as usize).to_vec(),
            Habit::ALL.map(|(habit, _)| habit as usize).to_vec(),
            Cause::ALL.map(|(cause, _)| cause as usize).to_vec(),
            Sender::ALL.map(|(sender, ..)| sender as usize).to_vec(),
        ];
        for numbers in numbers {
            assert_eq!(numbers, Vec::from_iter(0..numbers.len()));
        }
    }

    #[test]
    fn every_step_can_be_met_by_something_and_a_missing_cell_is_found() {
        let mut coverage = Coverage::default();
        for (step, _) in Step::ALL {
            assert!(!kinds(step).is_empty(), "{step:?}");
            for kind in kinds(step) {
                coverage.count(step, kind);
            }
        }
        assert!(coverage.below(1).is_empty());
        assert_eq!(coverage.least(), 1);
        let empty = Coverage::default();
        assert_eq!(empty.below(1).len() as u64, coverage.total());
        assert!(coverage.table().contains("inbound: receipts.unmark"));
    }
}
