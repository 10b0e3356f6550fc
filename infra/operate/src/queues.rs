//! The stack's queues: how much is in each, how old it is, and how each is set.

use domain::lane::Lane;
use futures::StreamExt as _;
use futures::stream;
use time::{Duration, OffsetDateTime};

use crate::stack::Stack;
use calls::cloudwatch::{self, Metric};
use calls::sqs::{self, Attributes};
use calls::{Calls, Error};

/// How many calls are under way at a time.
pub(crate) const AT_ONCE: usize = 8;

/// How far back a metric is looked for: SQS writes one a minute, and some minutes late.
const METRIC_MINUTES: i64 = 15;

/// What a queue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Events of a lane.
    Lane(Lane),
    /// Events of a lane that failed too often.
    DeadLetters(Lane),
    /// Deliveries that were not understood.
    Quarantine,
    /// Events that a team's queue refused.
    Undelivered,
    /// Accounts that are to be checked.
    Checks,
    /// Checks that failed too often.
    DeadChecks,
}

impl Role {
    /// All queues of a stack.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let lanes = Lane::ALL.into_iter().map(Self::Lane);
        let dead = Lane::ALL.into_iter().map(Self::DeadLetters);
        let others = [
            Self::Quarantine,
            Self::Undelivered,
            Self::Checks,
            Self::DeadChecks,
        ];
        lanes.chain(dead).chain(others).collect()
    }

    /// Whether what is in it waits for a person.
    #[must_use]
    pub fn is_waiting_room(self) -> bool {
        match self {
            Self::Lane(_) | Self::Checks => false,
            Self::DeadLetters(_) | Self::Quarantine | Self::Undelivered | Self::DeadChecks => true,
        }
    }

    /// Its name in sentences and tables.
    #[must_use]
    pub fn title(self) -> String {
        match self {
            Self::Lane(lane) => format!("lane {}", lane.as_str()),
            Self::DeadLetters(lane) => format!("dead letters of {}", lane.as_str()),
            Self::Quarantine => "quarantine".to_owned(),
            Self::Undelivered => "undelivered".to_owned(),
            Self::Checks => "checks".to_owned(),
            Self::DeadChecks => "dead checks".to_owned(),
        }
    }

    /// The queue's URL.
    ///
    /// # Errors
    /// [`Error::OlderStack`] where the stack does not say it.
    pub fn url(self, stack: &Stack) -> Result<&str, Error> {
        match self {
            Self::Lane(lane) => stack.lane_queue(lane),
            Self::DeadLetters(lane) => stack.dead_letters(lane),
            Self::Quarantine => stack.output("QuarantineQueueUrl"),
            Self::Undelivered => stack.output("UndeliveredQueueUrl"),
            Self::Checks => stack.output("CheckQueueUrl"),
            Self::DeadChecks => stack.output("CheckDlqUrl"),
        }
    }
}

/// A queue as it was found.
#[derive(Debug)]
pub struct Queue {
    /// What it is for.
    pub role: Role,
    /// Its settings and counts, or why they cannot be seen.
    pub attributes: Result<Attributes, Error>,
    /// The age of its oldest message by CloudWatch's last minutes; none where that is not known, or it is empty.
    pub oldest: Option<Duration>,
}

impl Queue {
    /// Messages in it; none where it could not be looked at.
    #[must_use]
    pub fn messages(&self) -> Option<u64> {
        self.attributes.as_ref().ok().map(Attributes::messages)
    }
}

/// All queues of a stack: a call each, and one for the ages.
///
/// # Errors
/// [`Error::OlderStack`] where the stack does not say its queues. What one queue answers is in its place.
pub async fn read(calls: &Calls, stack: &Stack, now: OffsetDateTime) -> Result<Vec<Queue>, Error> {
    let queues: Result<Vec<(Role, &str)>, Error> = Role::all()
        .into_iter()
        .map(|role| Ok((role, role.url(stack)?)))
        .collect();
    let queues = queues?;
    let metrics: Vec<Metric> = queues.iter().map(|(_, url)| age_of(url)).collect();
    let from = now - Duration::minutes(METRIC_MINUTES);
    let attributes = stream::iter(queues.iter().map(|(role, url)| async move {
        let attributes = sqs::attributes(calls, url).await;
        (*role, attributes)
    }));
    let attributes = attributes.buffered(AT_ONCE).collect::<Vec<_>>();
    let ages = cloudwatch::latest(calls, &metrics, from, now);
    let (attributes, ages) = futures::join!(attributes, ages);
    // Counts are worth showing without ages.
    let mut ages = ages.unwrap_or_default().into_iter();
    let queue = |(role, attributes): (Role, Result<Attributes, Error>)| {
        let age = ages.next().flatten().filter(|age| *age > 0.0);
        let is_empty = attributes
            .as_ref()
            .is_ok_and(|attributes| attributes.messages() == 0);
        Queue {
            role,
            attributes,
            oldest: age
                .filter(|_| !is_empty)
                .and_then(Duration::checked_seconds_f64),
        }
    };
    Ok(attributes.into_iter().map(queue).collect())
}

fn age_of(queue: &str) -> Metric {
    Metric {
        namespace: "AWS/SQS".to_owned(),
        name: "ApproximateAgeOfOldestMessage".to_owned(),
        dimensions: vec![("QueueName".to_owned(), sqs::name_of(queue).to_owned())],
        statistic: "Maximum".to_owned(),
    }
}

/// How long until the oldest message of a queue is forgotten.
#[must_use]
pub fn forgotten_in(queue: &Queue) -> Option<Duration> {
    let kept = queue.attributes.as_ref().ok()?.retention_seconds()?;
    let kept = Duration::seconds(i64::try_from(kept).ok()?);
    Some((kept - queue.oldest?).max(Duration::ZERO))
}
