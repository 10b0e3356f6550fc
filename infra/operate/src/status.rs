//! The state of a stack on one screen: what flows, what waits, who is connected, what rings.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

use crate::accounts::{Accounts, List};
use crate::queues::{self, Queue, Role};
use crate::stack::Stack;
use calls::cloudwatch::{self, Alarm};
use calls::sqs::Attributes;
use calls::{Calls, Error};

/// A lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LaneStatus {
    /// Its name.
    pub lane: String,
    /// Events that wait for the consumer.
    pub waiting: Option<u64>,
    /// Events that the consumer has in work, or that wait for their next attempt.
    pub in_work: Option<u64>,
    /// Age of the oldest, in seconds.
    pub oldest_seconds: Option<i64>,
    /// Events that failed too often.
    pub dead: Option<u64>,
}

/// A waiting room that is not empty, or that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomStatus {
    /// Its name.
    pub room: String,
    /// What waits for a person.
    pub messages: Option<u64>,
    /// Age of the oldest, in seconds.
    pub oldest_seconds: Option<i64>,
    /// In how many seconds the oldest is forgotten.
    pub forgotten_in_seconds: Option<i64>,
}

/// An account that needs a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountStatus {
    /// Its name.
    pub account: String,
    /// What is the matter.
    pub matter: String,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The stack's name.
    pub stack: String,
    /// CloudFormation's word for it.
    pub state: String,
    /// The release that is deployed.
    pub version: Option<String>,
    /// The lanes.
    pub lanes: Vec<LaneStatus>,
    /// Waiting rooms with something in them.
    pub waiting: Vec<RoomStatus>,
    /// How many accounts are in which state.
    pub accounts: BTreeMap<String, usize>,
    /// Accounts that need a look.
    pub unwell: Vec<AccountStatus>,
    /// Names of alarms that ring.
    pub ringing: Vec<String>,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
}

impl Status {
    /// Whether somebody has to do something.
    #[must_use]
    pub fn needs_somebody(&self) -> bool {
        !(self.waiting.is_empty() && self.ringing.is_empty() && self.unwell.is_empty())
    }
}

/// Looks at everything: about twenty calls.
///
/// # Errors
/// [`Error::OlderStack`] where the stack does not say its parts. What cannot be looked at is in [`Status::unseen`].
pub async fn status(calls: &Calls, stack: &Stack, now: OffsetDateTime) -> Result<Status, Error> {
    let accounts = Accounts::of(calls, stack)?;
    let (queues, listed, alarms) = futures::join!(
        queues::read(calls, stack, now),
        accounts.list(),
        alarms(calls, stack)
    );
    let queues = queues?;
    let mut unseen = Vec::new();
    for queue in &queues {
        if let Err(error) = &queue.attributes {
            unseen.push(format!("{}: {error}", queue.role.title()));
        }
    }
    let mut seen = |what: &str, error: Error| unseen.push(format!("{what}: {error}"));
    let listed = listed.unwrap_or_else(|error| {
        seen("accounts", error);
        List::default()
    });
    let alarms = alarms.unwrap_or_else(|error| {
        seen("alarms", error);
        Vec::new()
    });
    let mut states = BTreeMap::new();
    for account in &listed.accounts {
        *states.entry(account.state.clone()).or_insert(0) += 1;
    }
    let ringing = alarms.into_iter().filter(|alarm| alarm.state == "ALARM");
    Ok(Status {
        stack: stack.name.clone(),
        state: stack.status.clone(),
        version: stack.version().map(str::to_owned),
        lanes: lanes(&queues),
        waiting: queues.iter().filter_map(room).collect(),
        accounts: states,
        unwell: unwell(&listed),
        ringing: ringing.map(|alarm| alarm.name).collect(),
        unseen,
    })
}

/// All alarms of a stack.
///
/// # Errors
/// [`Error`] says what went wrong.
pub async fn alarms(calls: &Calls, stack: &Stack) -> Result<Vec<Alarm>, Error> {
    let prefix = format!("{}-", stack.name);
    let (mut alarms, mut next) = (Vec::new(), None::<String>);
    loop {
        let page = cloudwatch::alarms(calls, &prefix, next.as_deref()).await?;
        alarms.extend(page.alarms);
        match page.next {
            // A token that comes round again would never end.
            Some(token) if next.as_ref() != Some(&token) => next = Some(token),
            _ => return Ok(alarms),
        }
    }
}

/// Accounts that need a look, with what is the matter.
#[must_use]
pub fn unwell(listed: &List) -> Vec<AccountStatus> {
    let unreadable = listed.unreadable.iter().map(|account| AccountStatus {
        account: account.account.clone(),
        matter: account.explanation.clone(),
    });
    let accounts = listed.accounts.iter().filter_map(|account| {
        let matter = account.last_error.as_ref().or(account.suspect.as_ref())?;
        Some(AccountStatus {
            account: account.account.clone(),
            matter: matter.message.clone(),
        })
    });
    unreadable.chain(accounts).collect()
}

fn lanes(queues: &[Queue]) -> Vec<LaneStatus> {
    let lane = |queue: &Queue| {
        let Role::Lane(lane) = queue.role else {
            return None;
        };
        let attributes = queue.attributes.as_ref().ok();
        let dead = queues
            .iter()
            .find(|other| other.role == Role::DeadLetters(lane));
        Some(LaneStatus {
            lane: lane.as_str().to_owned(),
            waiting: attributes.map(Attributes::visible),
            in_work: attributes.map(Attributes::hidden),
            oldest_seconds: queue.oldest.map(time::Duration::whole_seconds),
            dead: dead.and_then(Queue::messages),
        })
    };
    queues.iter().filter_map(lane).collect()
}

fn room(queue: &Queue) -> Option<RoomStatus> {
    let messages = queue.messages();
    if !queue.role.is_waiting_room() || messages.is_none_or(|messages| messages == 0) {
        return None;
    }
    Some(RoomStatus {
        room: queue.role.title(),
        messages,
        oldest_seconds: queue.oldest.map(time::Duration::whole_seconds),
        forgotten_in_seconds: queues::forgotten_in(queue).map(time::Duration::whole_seconds),
    })
}
