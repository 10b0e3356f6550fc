//! An account that this call may change: it holds the account's lease.

use domain::account::{AccountName, TokenHash};
use domain::identity::DeliveryId;
use domain::subscription::{
    Account, Accounts, ApiError, IfUnknown, Lease, LeaseOwner, Leased, Saved, Silence, Trouble,
};
use domain::timestamp::Timestamp;
use tracing::{info, warn};

use crate::answer::{Failure, QUIET_SECONDS};

/// Something about the source that is not as the account wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The webhook is not there.
    Missing,
    /// The webhook has other events or another endpoint.
    Differs,
    /// The webhook is signed with another key than we hold.
    OtherKey,
    /// A webhook of ours is one too many.
    Stray,
    /// A webhook at our address has a token that nobody knows.
    Stranger,
}

impl Finding {
    fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Differs => "differs",
            Self::OtherKey => "other_key",
            Self::Stray => "stray",
            Self::Stranger => "stranger",
        }
    }
}

/// Something that was done at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A webhook was registered and is in use.
    Registered,
    /// A webhook was given its events and endpoint.
    Corrected,
    /// A webhook was removed.
    Removed,
    /// A webhook's new key is held.
    KeyTaken,
    /// Another webhook is wished for in place of the one in use.
    RotationBegun,
    /// A webhook has taken over from another.
    HandedOver,
    /// The webhook was removed that another has taken over from.
    Relieved,
}

impl Act {
    fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Corrected => "corrected",
            Self::Removed => "removed",
            Self::KeyTaken => "key_taken",
            Self::RotationBegun => "rotation_begun",
            Self::HandedOver => "handed_over",
            Self::Relieved => "relieved",
        }
    }
}

/// How long a lease is good for, in seconds: longer than the function can run, so that two calls never change
/// one account at once.
const LEASE_SECONDS: u64 = 45;

/// How long it may stay unsaved until when receipts were read, in milliseconds: what is not saved is read again.
const LONGEST_UNHEARD_MILLIS: u64 = 12 * 3_600_000;

/// Takes the account's lease. The account is `None` where there is none yet.
pub(crate) async fn take<A: Accounts>(
    accounts: &A,
    name: &AccountName,
    now: Timestamp,
    if_unknown: IfUnknown,
) -> Result<(Lease, Option<Account>), Failure> {
    let mut owner = [0; 16];
    getrandom::fill(&mut owner).map_err(|_| Failure::Randomness)?;
    let lease = Lease {
        account: name.clone(),
        owner: LeaseOwner::from_random(&owner),
        until: now.plus_seconds(LEASE_SECONDS),
    };
    match accounts.lease(&lease, now, if_unknown).await? {
        Leased::Taken(account) => Ok((lease, account.map(|account| *account))),
        Leased::Held { until } => Err(Failure::Busy { until }),
        Leased::Unknown => Err(Failure::UnknownAccount(name.clone())),
    }
}

/// Gives the lease back. If that does not work it ends by itself, so the call's answer stays what it is.
pub(crate) async fn release<A: Accounts>(accounts: &A, lease: &Lease) {
    if let Err(error) = accounts.release(lease).await {
        warn!(%error, "the lease is not given back; it ends by itself");
    }
}

/// The account, its lease, and whether there is something to save.
pub(crate) struct Held<'s, A> {
    accounts: &'s A,
    lease: &'s Lease,
    pub(crate) account: Account,
    pub(crate) now: Timestamp,
    is_changed: bool,
    /// Whether there is something to save that nobody would call a change.
    is_heard: bool,
    /// Tokens whose entries have yet to follow the account. A save that went wrong leaves them to the next.
    tokens: Vec<TokenHash>,
}

impl<'s, A: Accounts> Held<'s, A> {
    pub(crate) fn new(accounts: &'s A, lease: &'s Lease, account: Account, now: Timestamp) -> Self {
        Self {
            accounts,
            lease,
            account,
            now,
            is_changed: false,
            is_heard: false,
            tokens: Vec::new(),
        }
    }

    /// Enters something that happened; it is saved with the next save.
    pub(crate) fn note(&mut self, what: impl Into<String>) {
        let what = what.into();
        info!(what, "happened");
        self.account.note(self.now, what);
        self.is_changed = true;
    }

    /// Enters what is not as it shall be. While trouble keeps it so, it is found again and again, and entered
    /// once.
    pub(crate) fn found(&mut self, finding: Finding, what: impl Into<String>) {
        runtime::metrics::count("SubscriptionFindings", 1, &[("Finding", finding.as_str())]);
        let what = format!("found: {}", what.into());
        let is_known = self.account.trouble.is_some()
            && self.account.history.iter().any(|entry| entry.what == what);
        if !is_known {
            self.note(what);
        }
    }

    /// Enters what was done.
    pub(crate) fn acted(&mut self, act: Act, what: impl Into<String>) {
        runtime::metrics::count("SubscriptionActs", 1, &[("Act", act.as_str())]);
        self.note(what);
    }

    /// Enters the unknown tokens that the source has webhooks for; those that are strays by now are returned.
    pub(crate) fn meet_strangers(&mut self, tokens: &[TokenHash]) -> Vec<TokenHash> {
        let is_known = |account: &Account, token: &TokenHash| {
            account.strangers.iter().any(|known| known.token == *token)
        };
        let count = tokens
            .iter()
            .filter(|token| !is_known(&self.account, token))
            .count();
        if count > 0 {
            self.found(
                Finding::Stranger,
                format!("{count} webhooks at our address with tokens that nobody knows; they are removed if that is still so in an hour"),
            );
        }
        self.is_changed |= self.account.meet_strangers(tokens, self.now);
        let strays = self.account.strangers.iter();
        strays
            .filter(|stranger| stranger.is_stray(self.now))
            .map(|stranger| stranger.token)
            .collect()
    }

    /// Takes in which deliveries came since the last check. Enters a silence that has become too long, and returns
    /// it; and enters when it is over.
    pub(crate) fn hear(&mut self, arrivals: &[DeliveryId]) -> Option<Silence> {
        let rhythm = &mut self.account.rhythm;
        let unread = self.now.millis().saturating_sub(rhythm.read_until.millis());
        self.is_heard |= !arrivals.is_empty() || unread > LONGEST_UNHEARD_MILLIS;
        let is_over = rhythm.hear(arrivals, self.now);
        let silence = rhythm.notice(self.now);
        let since = rhythm.silent_since();
        if is_over {
            self.note("deliveries come again");
        }
        if let Some(silence) = silence {
            let missed = silence.missed;
            self.note(format!(
                "suspect: no delivery since {since}, where {missed} or more are usual"
            ));
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
        match self
            .accounts
            .save(&self.account, self.lease, &self.tokens)
            .await?
        {
            Saved::Yes => {
                self.is_changed = false;
                self.is_heard = false;
                self.tokens.clear();
                Ok(())
            }
            Saved::LeaseLost => Err(Failure::Overtaken),
        }
    }

    /// Enters that the wish is fulfilled, and saves if anything is new.
    pub(crate) async fn settle(&mut self) -> Result<(), Failure> {
        let was_in_trouble = self.account.trouble.take().is_some();
        let was_quiet = self.account.quiet_until.take().is_some();
        if self.is_changed || was_in_trouble || was_quiet {
            self.save(&[]).await?;
        } else if self.is_heard {
            self.write(&[]).await?;
        }
        Ok(())
    }

    /// Enters why the wish is not fulfilled yet, and saves it as well as that goes: the caller is told in any
    /// case.
    pub(crate) async fn regret(&mut self, failure: &Failure) {
        let message = failure.message();
        if matches!(failure, Failure::Api(ApiError::TooManyRequests))
            && !self.account.is_quiet(self.now)
        {
            self.account.quiet_until = Some(self.now.plus_seconds(QUIET_SECONDS));
        }
        let is_known = self
            .account
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.message == message);
        if !is_known {
            self.note(format!("not finished: {message}"));
            self.account.trouble = Some(Trouble {
                at: self.now,
                message,
            });
        }
        // Whoever took over knows better how things stand.
        if *failure == Failure::Overtaken {
            return;
        }
        if let Err(error) = self.save(&[]).await {
            warn!(error = error.message(), "the trouble is not entered");
        }
    }
}
