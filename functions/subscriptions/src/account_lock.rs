//! The lock of an account: whoever changes one holds its lease, and says in the account how far it got.
//!
//! | a call | ends with |
//! |---|---|
//! | that changed nothing, and says why | [`AccountLock::release`] |
//! | whose desired state is kept, whether or not it is reached | [`AccountLock::conclude`] |
//! | that only entered what it did | [`AccountLock::end`] |
//!
//! Each gives the lease back. A call that dies leaves it to end by itself, and the next one goes on.

use std::collections::BTreeSet;

use domain::account::{AccountName, TokenHash};
use domain::identity::DeliveryId;
use domain::ports::PortError;
use domain::signature::Policy;
use domain::subscription::{
    Account, AccountEvent, Accounts, ApiError, Desired, EventSelection, IfUnknown, LastError,
    Lease, LeaseOwner, Leased, Leases, Principal, Saved, Silence, Unsent,
};
use domain::timestamp::Timestamp;
use runtime::metrics::{self, Metric};
use sources::{facts, parts};
use tracing::{info, warn};

use crate::account_events::Announce;
use crate::answer::{Failure, Outcome};
use crate::history::{Act, Finding, Note};

/// How long a lease is good for, in seconds: longer than the function can run, so that two calls never change
/// one account at once.
const LEASE_SECONDS: u64 = 45;

/// The most URL tokens whose entries are saved with an account at once: a transaction has at most 100 items.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
pub(crate) const MOST_TOKENS: usize = 90;

/// How long it may stay unsaved until when receipts were read, in milliseconds: what is not saved is read again.
const LONGEST_UNSAVED_MILLIS: u64 = 12 * 3_600_000;

/// Where accounts are kept, and where teams are sent what happens to them.
pub(crate) struct Ports<'p, A> {
    pub(crate) accounts: &'p A,
    pub(crate) events: &'p dyn Announce,
    /// Whose call it is; none of a check that nobody called for.
    pub(crate) by: Option<Principal>,
}

impl<A> Clone for Ports<'_, A> {
    fn clone(&self) -> Self {
        let by = self.by.clone();
        Self { by, ..*self }
    }
}

/// An account that this call may change, its lease, and whether there is something to save.
pub(crate) struct AccountLock<'p, A> {
    accounts: &'p A,
    events: &'p dyn Announce,
    by: Option<Principal>,
    lease: Lease,
    pub(crate) account: Account,
    pub(crate) now: Timestamp,
    /// Whether the account is in no table yet.
    is_new: bool,
    is_changed: bool,
    /// Whether there is something to save that nobody would call a change.
    is_observed: bool,
    /// Tokens whose entries have yet to follow the account. A save that went wrong leaves them to the next.
    tokens: Vec<TokenHash>,
    /// How many entries the history has of this moment.
    noted: usize,
}

impl<'p, A: Accounts> AccountLock<'p, A> {
    /// Takes the lease of an account that exists.
    pub(crate) async fn acquire(
        ports: Ports<'p, A>,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        match Self::acquire_or_salvage(ports, name, now).await? {
            (lock, false) => Ok(lock),
            (lock, true) => Err(unreadable(lock.accounts, &lock.lease).await),
        }
    }

    /// Takes the lease of an account that is to be removed, also of one that cannot be read whole, and of one of which only
    /// the entries of URL tokens are left.
    pub(crate) async fn acquire_to_remove(
        ports: Ports<'p, A>,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let (mut lock, is_salvaged) = match Self::acquire_or_salvage(ports.clone(), name, now).await
        {
            Err(Failure::UnknownAccount(_)) => return Self::acquire_lost(ports, name, now).await,
            lock => lock?,
        };
        if is_salvaged {
            // What was done cannot be known, so all of it is done again.
            lock.account.desired = Desired::Connected;
            lock.note(Note::Salvaged, SALVAGED);
        }
        Ok(lock)
    }

    /// Takes the lease of an account, and says whether it holds only what could be read of it.
    async fn acquire_or_salvage(
        ports: Ports<'p, A>,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<(Self, bool), Failure> {
        let (lease, account, is_salvaged) =
            match take(ports.accounts, name, now, IfUnknown::Refuse).await? {
                (lease, Found::Account(account)) => (lease, account, false),
                (lease, Found::Unreadable(Some(account))) => (lease, account, true),
                (lease, Found::Unreadable(None)) => {
                    return Err(unreadable(ports.accounts, &lease).await);
                }
                (_, Found::Nothing) => return Err(Failure::UnknownAccount(name.clone())),
            };
        Ok((Self::new(ports, lease, account, now), is_salvaged))
    }

    /// Takes the lease of an account whose item is gone while entries of its URL tokens are there.
    async fn acquire_lost(
        ports: Ports<'p, A>,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let unknown = || Failure::UnknownAccount(name.clone());
        let left = ports.accounts.open_tokens(name).await?;
        // They say the source, and which events it is to bring does not matter any more.
        let source = left.first().map(|(_, entry)| entry.source);
        let source = source.ok_or_else(unknown)?;
        let new = Account::new(
            name.clone(),
            source,
            EventSelection::all(facts(source).types),
            now,
        );
        Self::acquire_or_reserve(ports, new, now).await
    }

    /// Takes the lease of an account, or reserves the name of one that does not exist. Then this one takes its place,
    /// and nothing of it is kept until it is saved. One that cannot be read whole goes on with what can be read of it, and one
    /// whose item is gone with the entries of its URL tokens.
    pub(crate) async fn acquire_or_reserve(
        ports: Ports<'p, A>,
        new: Account,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let (lease, found) = take(ports.accounts, &new.name, now, IfUnknown::Reserve).await?;
        let (account, is_new, is_salvaged) = match found {
            Found::Account(account) => (account, false, false),
            Found::Nothing => match ports.accounts.open_tokens(&new.name).await {
                Ok(left) => {
                    let is_lost = !left.is_empty();
                    let mut account = new;
                    account.adopt_entries(left, now);
                    (account, true, is_lost)
                }
                Err(error) => {
                    give_back(ports.accounts, &lease).await;
                    return Err(error.into());
                }
            },
            Found::Unreadable(Some(account)) => (account, true, true),
            Found::Unreadable(None) => (new, true, true),
        };
        let mut lock = Self::new(ports, lease, account, now);
        lock.is_new = is_new;
        if is_salvaged {
            lock.note(Note::Salvaged, SALVAGED);
        }
        Ok(lock)
    }

    fn new(
        Ports {
            accounts,
            events,
            by,
        }: Ports<'p, A>,
        lease: Lease,
        account: Account,
        now: Timestamp,
    ) -> Self {
        let of_now = account.history.iter().filter(|entry| entry.at == now);
        Self {
            accounts,
            events,
            by,
            noted: of_now.count(),
            lease,
            account,
            now,
            is_new: false,
            is_changed: false,
            is_observed: false,
            tokens: Vec::new(),
        }
    }

    /// Ends a call that changed nothing, because of this failure.
    pub(crate) async fn release(self, failure: Failure) -> Result<Outcome, Failure> {
        self.give_back().await;
        Err(failure)
    }

    /// Ends a call whose desired state is kept: enters whether it is reached.
    pub(crate) async fn conclude(
        mut self,
        reached: Result<(), Failure>,
    ) -> Result<Outcome, Failure> {
        let reached = match reached {
            Ok(()) => self.mark_converged().await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &reached {
            self.record_failure(failure).await;
        }
        if reached != Err(Failure::Overtaken) {
            self.send_account_events().await;
        }
        self.give_back().await;
        let account = Box::new(self.account);
        Ok(match reached {
            Ok(()) => Outcome::Done(account),
            Err(failure) => Outcome::Unfinished(account, failure),
        })
    }

    /// Ends a call that did what it had to and changed nothing at the source.
    pub(crate) async fn end(mut self) {
        self.send_account_events().await;
        self.give_back().await;
    }

    /// Gives the lease back. If that does not work it ends by itself, so the call's answer stays what it is.
    async fn give_back(&self) {
        give_back(self.accounts, &self.lease).await;
    }

    /// Keeps the desired state of being connected for these events.
    pub(crate) async fn select(&mut self, events: EventSelection) -> Result<(), Failure> {
        let is_connected = self.account.desired == Desired::Connected;
        // Whoever selects events, also the same, wants them asked for.
        self.leave_uncorrected(BTreeSet::new());
        if !self.is_new && is_connected && self.account.events == events {
            return self.save_changes().await;
        }
        // Where the source shows nothing of the webhook, it cannot be corrected: another one gets the events.
        if self.account.is_unlisted && is_connected {
            self.rotate_changed(&events);
        }
        self.account.connect_for(events, self.now);
        self.save(&[]).await
    }

    /// Lets another webhook take over from each that is to bring other events than before.
    fn rotate_changed(&mut self, events: &EventSelection) {
        let source = self.account.source;
        let wanted = parts(source, events);
        for before in parts(source, &self.account.events) {
            let now = wanted.iter().find(|part| part.name == before.name);
            let is_changed = now.is_some_and(|now| now.events != before.events);
            if is_changed && self.account.of_part(&before).rotation().is_none() {
                self.account.rotate_part(&before.name);
            }
        }
    }

    /// Enters that the webhook of a token brings this part; it is saved with the next save.
    pub(crate) fn move_to_part(&mut self, token: &TokenHash, part: &str) {
        self.is_changed |= self.account.move_to_part(token, part);
    }

    /// Keeps what becomes of unproved requests, if that is chosen; it is saved with the next save, and with it the entries
    /// of all tokens: that is where deliveries are judged.
    pub(crate) fn choose_policy(&mut self, policy: Option<Policy>) {
        let Some(policy) = policy.filter(|policy| self.account.policy != Some(*policy)) else {
            return;
        };
        self.account.policy = Some(policy);
        let tokens = self.account.registrations.iter().map(|own| own.token);
        self.tokens.extend(tokens);
        self.note(Note::Chosen, match policy {
            Policy::Require => "deliveries without a signature that fits are refused from now on",
            Policy::Observe => "deliveries without a signature that fits are taken from now on: their URL proves them",
        });
    }

    /// Saves the account if there is something to save.
    pub(crate) async fn save_changes(&mut self) -> Result<(), Failure> {
        match self.is_changed {
            true => self.save(&[]).await,
            false => Ok(()),
        }
    }

    /// Enters something that happened; it is saved with the next save.
    pub(crate) fn note(&mut self, note: Note, what: impl Into<String>) {
        let what = what.into();
        info!(what, "happened");
        self.remember(note, &what);
        self.account.note(self.now, what, self.by.as_ref());
        self.is_changed = true;
    }

    /// Remembers what teams are to be sent of an entry, if any of them wants it.
    fn remember(&mut self, note: Note, what: &str) {
        let (kind, position) = (note.event(), self.noted);
        self.noted += 1;
        let queues = self.events.queues(&self.account, kind);
        if queues.is_empty() {
            return;
        }
        let (name, state) = (&self.account.name, self.account.state());
        let event = AccountEvent::new(name, self.now, position, kind, what, state);
        let given_up = self.account.remember_unsent(Unsent { event, queues });
        if given_up > 0 {
            warn!(given_up, "more account events wait than are kept");
            metrics::count(Metric::AccountEventsGivenUp, given_up);
        }
    }

    /// Sends teams what they have yet to be sent. What their queues do not take stays in the account: the next call sends
    /// it, also where this one dies in between, so a team may get an event twice.
    async fn send_account_events(&mut self) {
        // What is not stored did not happen.
        if self.account.unsent.is_empty() || self.is_changed {
            return;
        }
        let left = self.events.send(&self.account).await;
        if left == self.account.unsent {
            return;
        }
        self.account.unsent = left;
        if let Err(failure) = self.write(&[]).await {
            warn!(
                error = failure.message(),
                "that account events are sent is not entered; they are sent again"
            );
        }
    }

    /// Enters what is not as it shall be. While an error keeps it so, it is found again and again, and entered
    /// once.
    pub(crate) fn found(&mut self, finding: Finding, what: impl Into<String>) {
        metrics::count_by(Metric::SubscriptionFindings, 1, &[finding.as_str()]);
        let what = format!("found: {}", what.into());
        let is_known = self.account.last_error.is_some()
            && self.account.history.iter().any(|entry| entry.what == what);
        if !is_known {
            self.note(Note::Found(finding), what);
        }
    }

    /// Remembers what the source keeps otherwise than it was asked to, and forgets what is as it shall be.
    pub(crate) fn leave_uncorrected(&mut self, uncorrected: BTreeSet<String>) {
        self.is_observed |= self.account.uncorrected != uncorrected;
        self.account.uncorrected = uncorrected;
    }

    /// Enters why the webhook in use is not sent to, once, or that it is again.
    pub(crate) fn set_stopped(&mut self, stopped: Option<String>) {
        if self.account.stopped == stopped {
            return;
        }
        match &stopped {
            Some(what) => self.found(Finding::Disabled, what.clone()),
            None => self.note(Note::Resumed, "the webhook is sent to again"),
        }
        self.account.stopped = stopped;
        self.is_changed = true;
    }

    /// Enters whether the source lists its webhooks.
    pub(crate) fn set_unlisted(&mut self, is_unlisted: bool) {
        if self.account.is_unlisted == is_unlisted {
            return;
        }
        self.account.is_unlisted = is_unlisted;
        let title = facts(self.account.source).title;
        self.note(Note::Listing, match is_unlisted {
            true => format!(
                "{title} does not list the site's webhooks: whether ours is there and enabled only its deliveries show"
            ),
            false => format!("{title} lists the site's webhooks"),
        });
    }

    /// Enters what was done.
    pub(crate) fn acted(&mut self, act: Act, what: impl Into<String>) {
        metrics::count_by(Metric::SubscriptionActs, 1, &[act.as_str()]);
        self.note(Note::Did(act), what);
    }

    /// Enters the unknown tokens that the source has webhooks for; those that are strays by now are returned.
    pub(crate) fn note_orphans(&mut self, tokens: &[TokenHash]) -> Vec<TokenHash> {
        let is_known = |account: &Account, token: &TokenHash| {
            account.orphans.iter().any(|known| known.token == *token)
        };
        let count = tokens
            .iter()
            .filter(|token| !is_known(&self.account, token))
            .count();
        if count > 0 {
            self.found(
                Finding::Orphan,
                format!("{count} webhooks at our address with tokens that nobody knows; they are removed if that is still so in an hour"),
            );
        }
        self.is_changed |= self.account.note_orphans(tokens, self.now);
        let orphans = self.account.orphans.iter();
        orphans
            .filter(|orphan| orphan.is_stray(self.now))
            .map(|orphan| orphan.token)
            .collect()
    }

    /// Takes in which deliveries came since the last check. Enters a silence that has become too long, and returns
    /// it; and enters when it is over.
    pub(crate) fn observe(&mut self, arrivals: &[DeliveryId]) -> Option<Silence> {
        let baseline = &mut self.account.baseline;
        let unsaved = self
            .now
            .millis()
            .saturating_sub(baseline.read_until.millis());
        self.is_observed |= !arrivals.is_empty() || unsaved > LONGEST_UNSAVED_MILLIS;
        let is_over = baseline.observe(arrivals, self.now);
        let silence = baseline.notice(self.now);
        let since = baseline.silent_since();
        if is_over {
            self.note(Note::Arriving, "deliveries arrive again");
        }
        if let Some(silence) = silence {
            let missed = silence.missed;
            self.note(
                Note::Silent,
                format!("suspect: no delivery since {since}, where {missed} or more are usual"),
            );
        }
        silence
    }

    /// Saves the account, and with it what these tokens stand for.
    pub(crate) async fn save(&mut self, tokens: &[TokenHash]) -> Result<(), Failure> {
        self.account.changed = self.now;
        self.write(tokens).await
    }

    async fn write(&mut self, tokens: &[TokenHash]) -> Result<(), Failure> {
        self.tokens.extend(tokens);
        // A transaction refuses to write one item twice.
        self.tokens.sort_unstable();
        self.tokens.dedup();
        // What is written is the account as it is now, so a call that dies in between leaves entries for a check to correct.
        while self.tokens.len() > MOST_TOKENS {
            let chunk: Vec<TokenHash> = self.tokens.iter().take(MOST_TOKENS).copied().collect();
            let saved = self.accounts.save(&self.account, &self.lease, &chunk);
            match saved.await? {
                Saved::Yes => drop(self.tokens.drain(..chunk.len())),
                Saved::LeaseLost => return Err(Failure::Overtaken),
            }
        }
        match self
            .accounts
            .save(&self.account, &self.lease, &self.tokens)
            .await?
        {
            Saved::Yes => {
                self.is_changed = false;
                self.is_observed = false;
                self.tokens.clear();
                Ok(())
            }
            Saved::LeaseLost => Err(Failure::Overtaken),
        }
    }

    /// Enters that the account is connected as it shall be, and saves if anything is new. One that is disconnected
    /// was saved with what had to be left behind.
    async fn mark_converged(&mut self) -> Result<(), Failure> {
        if self.account.desired != Desired::Connected {
            return Ok(());
        }
        let had_failed = self.account.last_error.take().is_some();
        let was_quiet = self.account.quiet_until.take().is_some();
        if self.is_changed || had_failed || was_quiet {
            self.save(&[]).await?;
        } else if self.is_observed {
            self.write(&[]).await?;
        }
        Ok(())
    }

    /// Enters why the desired state is not reached yet, and saves it as well as that goes: the caller is answered in
    /// any case.
    async fn record_failure(&mut self, failure: &Failure) {
        // Within a pause that the source asked for, nothing new is known.
        if matches!(failure, Failure::Api(_, ApiError::TooManyRequests { .. }))
            && self.account.is_quiet(self.now)
            && self.account.last_error.is_some()
            && !self.is_changed
        {
            return;
        }
        let message = failure.message();
        if let Failure::Api(source, ApiError::TooManyRequests { pause }) = failure
            && !self.account.is_quiet(self.now)
        {
            let pause = facts(*source).life_cycle.pause(*pause);
            self.account.quiet_until = Some(self.now.plus_seconds(pause));
        }
        let last = self.account.last_error.as_ref();
        if last.is_none_or(|last| last.message != message) {
            self.note(Note::NotFinished, format!("not finished: {message}"));
            self.account.last_error = Some(LastError {
                at: self.now,
                message,
            });
        }
        // Whoever took over knows better how things stand.
        if *failure == Failure::Overtaken {
            return;
        }
        if let Err(error) = self.save(&[]).await {
            warn!(error = error.message(), "the failure is not entered");
        }
    }
}

/// What an account's history says where it goes on without all that was kept of it.
const SALVAGED: &str =
    "what was kept of the account could not be read whole; it goes on with the rest";

/// What there is under a name.
enum Found {
    Account(Account),
    Nothing,
    /// An account that cannot be read whole, with what of it can.
    Unreadable(Option<Account>),
}

async fn give_back<A: Leases>(accounts: &A, lease: &Lease) {
    if let Err(error) = accounts.release(lease).await {
        warn!(%error, "the lease is not given back; it ends by itself");
    }
}

/// Gives the lease of an account back that cannot be read, and says so.
async fn unreadable<A: Leases>(accounts: &A, lease: &Lease) -> Failure {
    give_back(accounts, lease).await;
    Failure::Store(PortError::unreadable("reading an account"))
}

/// Takes the account's lease.
async fn take<A: Leases>(
    accounts: &A,
    name: &AccountName,
    now: Timestamp,
    if_unknown: IfUnknown,
) -> Result<(Lease, Found), Failure> {
    let mut owner = [0; 16];
    getrandom::fill(&mut owner).map_err(|_| Failure::Randomness)?;
    let lease = Lease {
        account: name.clone(),
        owner: LeaseOwner::from_random(&owner),
        until: now.plus_seconds(LEASE_SECONDS),
    };
    match accounts.lease(&lease, now, if_unknown).await? {
        Leased::Taken(Some(account)) => Ok((lease, Found::Account(*account))),
        Leased::Taken(None) => Ok((lease, Found::Nothing)),
        Leased::Unreadable(account) => {
            Ok((lease, Found::Unreadable(account.map(|account| *account))))
        }
        Leased::Held { until } => Err(Failure::Busy { until }),
        Leased::Unknown => Err(Failure::UnknownAccount(name.clone())),
    }
}
