//! Account events: teams whose routes name them are sent what happens to an account.
//!
//! | what happens | the event |
//! |---|---|
//! | an entry of the history is stored | waits in the account, for the queues of the routes that name its type |
//! | the call that made it ends | is sent, before the account's lease is given back |
//! | a queue does not take it in time, or is gone | stays for that queue alone; the account's next call or check sends it |
//! | no route names the queue any more | is not sent there |
//! | the function dies after sending | is sent again under the same id |
//!
//! Sending has a short deadline and changes no answer: what is not sent is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::ports::{Message, QueueUrl, Queues};
use domain::route::Routes;
use domain::subscription::{Account, AccountEvent, AccountEventKind, Unsent};
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use runtime::enqueue::enqueue;
use runtime::metrics::{self, Metric};
use tokio::time::Instant;
use tracing::warn;

/// How long sending to all queues may take: the caller waits for it.
const SENDING: Duration = Duration::from_secs(2);

/// Where account events go. A trait with boxed futures, so that an account's lock need not know the type of the queues.
pub trait Announce: Sync {
    /// The queues that are to get events of this kind about this account.
    fn queues(&self, account: &Account, kind: AccountEventKind) -> BTreeSet<QueueUrl>;

    /// Sends what the account has not sent yet, and returns what still is not.
    fn send<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Vec<Unsent>>;
}

/// The teams' queues, by their routes.
#[derive(Debug)]
pub struct TeamQueues<'p, Q> {
    queues: &'p Q,
    routes: Routes,
}

impl<'p, Q: Queues> TeamQueues<'p, Q> {
    /// Sends to these queues by these routes.
    pub fn new(queues: &'p Q, routes: Routes) -> Self {
        Self { queues, routes }
    }

    /// Sends one queue what waits for it. Returns the positions of the events that it did not take.
    async fn send_to(
        &self,
        (queue, team): (&QueueUrl, &str),
        account: &Account,
        deadline: Instant,
    ) -> Vec<usize> {
        let waiting = account.unsent.iter().enumerate();
        let waiting = waiting.filter(|(_, unsent)| unsent.queues.contains(queue));
        let (positions, messages): (Vec<usize>, Vec<Message<'_>>) = waiting
            .map(|(position, unsent)| (position, message(account, &unsent.event, queue)))
            .unzip();
        let answers = enqueue(self.queues, queue, &messages, deadline).await;
        let mut left = Vec::new();
        for (position, answer) in positions.into_iter().zip(answers) {
            if let Err(reason) = answer {
                warn!(team, %reason, "a team's queue does not take an account event; the next check sends it");
                left.push(position);
            }
        }
        metrics::count(Metric::AccountEventsUnsent, left.len());
        left
    }

    async fn send_all(&self, account: &Account) -> Vec<Unsent> {
        let deadline = Instant::now() + SENDING;
        let routes = self.routes.all().iter();
        let named: BTreeMap<&QueueUrl, &str> = routes
            .map(|route| (&route.queue, route.team.as_str()))
            .collect();
        let is_waited_for =
            |queue: &QueueUrl| account.unsent.iter().any(|one| one.queues.contains(queue));
        let sent = named
            .into_iter()
            .filter(|(queue, _)| is_waited_for(queue))
            .map(|(queue, team)| async move {
                (queue, self.send_to((queue, team), account, deadline).await)
            });
        let mut left: BTreeMap<usize, BTreeSet<QueueUrl>> = BTreeMap::new();
        for (queue, positions) in join_all(sent).await {
            for position in positions {
                left.entry(position).or_default().insert(queue.clone());
            }
        }
        let unsent = account.unsent.iter().enumerate();
        unsent
            .filter_map(|(position, Unsent { event, .. })| {
                let (queues, event) = (left.remove(&position)?, event.clone());
                Some(Unsent { event, queues })
            })
            .collect()
    }
}

impl<Q: Queues> Announce for TeamQueues<'_, Q> {
    fn queues(&self, account: &Account, kind: AccountEventKind) -> BTreeSet<QueueUrl> {
        let routes = self.routes.all().iter();
        routes
            .filter(|route| route.takes_account_event(account.source, kind, &account.name))
            .map(|route| route.queue.clone())
            .collect()
    }

    fn send<'a>(&'a self, account: &'a Account) -> BoxFuture<'a, Vec<Unsent>> {
        self.send_all(account).boxed()
    }
}

/// A team's message: the envelope, and the attributes that every event has.
fn message(account: &Account, event: &AccountEvent, queue: &QueueUrl) -> Message<'static> {
    let subject = AccountEvent::subject(&account.name);
    let is_fifo = queue.is_fifo();
    Message {
        text: event.to_text(&account.name, account.source),
        // The alphabet of accounts' names is one of groups' as well.
        group: is_fifo.then(|| subject.clone()),
        deduplication: is_fifo.then(|| event.id.to_string()),
        attributes: vec![
            ("type", event.kind.as_str().to_owned()),
            ("account", account.name.to_string()),
            ("subject", subject),
        ],
        trace: None,
    }
}
