//! What subscriptions need from our own stores: the accounts table, the secrets, and the time of the last delivery.

use std::fmt;
use std::future::Future;

use crate::account::{AccountName, TokenEntry, TokenHash};
use crate::erasure::Erasures;
use crate::identity::DeliveryId;
use crate::ports::{Keys, PortError};
use crate::signature::SigningKeys;
use crate::subscription::{Account, Arrival, FailedDelivery, OauthSecret};
use crate::timestamp::Timestamp;

/// Who holds a lease: 16 random bytes, one per call.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseOwner(String);

impl LeaseOwner {
    /// Makes an owner out of random bytes.
    #[must_use]
    pub fn from_random(bytes: &[u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }

    /// The owner as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LeaseOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The right to change one account. Whoever outlives it may be overtaken, and then saves nothing more.
#[derive(Debug, Clone)]
pub struct Lease {
    /// Which account.
    pub account: AccountName,
    /// Who holds it.
    pub owner: LeaseOwner,
    /// Until when nobody else can take it.
    pub until: Timestamp,
}

/// What taking a lease comes to where there is no such account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfUnknown {
    /// The name is leased: the account is about to be made.
    Reserve,
    /// Nothing is written.
    Refuse,
}

/// What taking a lease came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leased {
    /// It is ours; with the account, if it exists.
    Taken(Option<Box<Account>>),
    /// It is ours, and the account cannot be read as it is kept; with what of it can, if that is enough to go on.
    Unreadable(Option<Box<Account>>),
    /// Another call holds it.
    Held {
        /// Until then, unless it is given back before.
        until: Timestamp,
    },
    /// There is no such account, and it was not to be reserved.
    Unknown,
}

/// What saving an account came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is saved.
    Yes,
    /// The lease is somebody else's by now: nothing was written.
    LeaseLost,
}

/// The leases of accounts, and what only their holder may do.
pub trait Leases: Sync {
    /// Takes the account's lease, if nobody holds it at `now`, and reads the account.
    ///
    /// # Errors
    /// The table did not answer; the lease may be taken, and ends by itself.
    fn lease(
        &self,
        lease: &Lease,
        now: Timestamp,
        if_unknown: IfUnknown,
    ) -> impl Future<Output = Result<Leased, PortError>> + Send;

    /// Saves an account and the entries of these tokens of it, all or nothing, if the lease is still ours.
    ///
    /// # Errors
    /// The table did not answer; whether it is saved is not known.
    fn save(
        &self,
        account: &Account,
        lease: &Lease,
        tokens: &[TokenHash],
    ) -> impl Future<Output = Result<Saved, PortError>> + Send;

    /// Gives the lease back, if it is still ours. A name that was only reserved is free again.
    ///
    /// # Errors
    /// It may not be given back, and ends by itself.
    fn release(&self, lease: &Lease) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// All accounts, each list by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllAccounts {
    /// Those that can be read.
    pub accounts: Vec<Account>,
    /// Those that cannot be read as they are kept.
    pub unreadable: Vec<AccountName>,
}

/// The accounts table.
pub trait Accounts: Leases + Erasures {
    /// Reads an account.
    ///
    /// # Errors
    /// The table did not answer, or holds what cannot be read.
    fn find(
        &self,
        name: &AccountName,
    ) -> impl Future<Output = Result<Option<Account>, PortError>> + Send;

    /// Reads all accounts.
    ///
    /// # Errors
    /// The table did not answer.
    fn list(&self) -> impl Future<Output = Result<AllAccounts, PortError>> + Send;

    /// What a URL token stands for, read consistently.
    ///
    /// # Errors
    /// The table did not answer, or holds what cannot be read.
    fn token(
        &self,
        token: &TokenHash,
    ) -> impl Future<Output = Result<Option<TokenEntry>, PortError>> + Send;

    /// The entries of an account's URL tokens that are not retired, read consistently. All entries are looked at: it is for
    /// an account whose item is gone.
    ///
    /// # Errors
    /// The table did not answer.
    fn open_tokens(
        &self,
        account: &AccountName,
    ) -> impl Future<Output = Result<Vec<(TokenHash, TokenEntry)>, PortError>> + Send;
}

/// The secrets of accounts. Those scheduled for deletion are not there, but come back when they are put.
/// Signing keys are read as inbound reads them.
pub trait Secrets: Keys {
    /// An account's authorization.
    ///
    /// # Errors
    /// The store did not answer, or holds what cannot be read.
    fn oauth(
        &self,
        account: &AccountName,
    ) -> impl Future<Output = Result<Option<OauthSecret>, PortError>> + Send;

    /// Keeps an account's authorization, in place of the one before.
    ///
    /// # Errors
    /// It may not be kept.
    fn put_oauth(
        &self,
        account: &AccountName,
        secret: &OauthSecret,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Keeps an account's signing keys, in place of those before.
    ///
    /// # Errors
    /// They may not be kept.
    fn put_keys(
        &self,
        account: &AccountName,
        keys: &SigningKeys,
    ) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Schedules the deletion of both secrets; what is not there needs none.
    ///
    /// # Errors
    /// One of them may still be there.
    fn retire(&self, account: &AccountName) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// When deliveries came.
pub trait Deliveries: Sync {
    /// The deliveries of a day that were first seen after another one, oldest first, at most so many. Nothing
    /// else of them is read.
    ///
    /// # Errors
    /// The table did not answer.
    fn since(
        &self,
        account: &AccountName,
        day: &str,
        after: Option<DeliveryId>,
        most: usize,
    ) -> impl Future<Output = Result<Vec<DeliveryId>, PortError>> + Send;

    /// The receipts of a day, newest first, at most so many.
    ///
    /// # Errors
    /// The table did not answer.
    fn arrivals(
        &self,
        account: &AccountName,
        day: &str,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Arrival>, PortError>> + Send;

    /// The receipt of one delivery.
    ///
    /// # Errors
    /// The table did not answer.
    fn arrival(
        &self,
        account: &AccountName,
        delivery: DeliveryId,
    ) -> impl Future<Output = Result<Option<Arrival>, PortError>> + Send;

    /// An account's failed deliveries, newest first, at most so many.
    ///
    /// # Errors
    /// The table did not answer.
    fn failed(
        &self,
        account: &AccountName,
        most: usize,
    ) -> impl Future<Output = Result<Vec<FailedDelivery>, PortError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_its_bytes_in_hex() {
        let owner = LeaseOwner::from_random(&[0xa7; 16]);
        assert_eq!(owner.as_str(), "a7".repeat(16));
    }
}
