//! Receipts, retry markers and failed deliveries as the receipts table keeps them.

use std::collections::{BTreeMap, HashMap};

use domain::account::{AccountName, TokenHash, WebhookId};
use domain::identity::{BodyHash, DeliveryId, RetryKey};
use domain::ports::{
    CheckClaims, DeliveryFailure, Marker, MarkerKey, Markers, PortError, Receipt, Receipts,
};
use domain::signature::{Assurance, Form};
use domain::timestamp::Timestamp;
use http::HeaderMap;

use super::{Fake, Kept};

/// A delivery that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReceipt {
    /// Whose delivery.
    pub account: AccountName,
    /// Which one.
    pub delivery: DeliveryId,
    /// The registration that the first attempt came by.
    pub registration: TokenHash,
    /// The source's webhook of that registration, if it was known.
    pub webhook: Option<WebhookId>,
    /// What proved the first attempt.
    pub assurance: Assurance,
    /// In which form the first attempt was signed, where its source has several.
    pub form: Option<Form>,
    /// When the first attempt that was kept came in.
    pub received: Timestamp,
    /// The body's hash.
    pub hash: BodyHash,
    /// How many events were recognised in it.
    pub events: usize,
    /// The headers by which it is split.
    pub headers: HeaderMap,
    /// The part of the registration that it came by.
    pub part: String,
    /// The body.
    pub body: Vec<u8>,
    /// How often it was kept.
    pub attempts: usize,
}

/// A failed delivery that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFailure {
    /// Whose delivery.
    pub account: AccountName,
    /// Which one.
    pub delivery: DeliveryId,
    /// When it was refused.
    pub at: Timestamp,
    /// The cause in one word.
    pub cause: &'static str,
}

/// Receipts that can be read. The scope of a call is the account.
pub type FakeReceipts = Fake<State>;

/// A marker's key, without a borrow.
type StoredKey = (AccountName, TokenHash, RetryKey);

/// The items.
#[derive(Debug, Default)]
pub struct State {
    kept: BTreeMap<(AccountName, DeliveryId), KeptReceipt>,
    markers: HashMap<StoredKey, Marker>,
    claims: HashMap<AccountName, Timestamp>,
    failures: Vec<RecordedFailure>,
}

impl Kept for State {
    const CALLS: &'static [&'static str] = &[
        "receipts.keep",
        "receipts.marker",
        "receipts.lease",
        "receipts.mark",
        "receipts.unmark",
        "receipts.record_failure",
        "receipts.claim_check",
    ];
}

impl FakeReceipts {
    /// The deliveries that were kept, by account and delivery id.
    #[must_use]
    pub fn kept(&self) -> Vec<KeptReceipt> {
        self.state().kept.values().cloned().collect()
    }

    /// The marker for such bytes, without counting the question.
    #[must_use]
    pub fn marker_of(&self, account: &AccountName, body: &[u8]) -> Option<Marker> {
        let hash = RetryKey::from(BodyHash::of(body));
        let state = self.state();
        let mut markers = state.markers.iter();
        let found = markers.find(|((of, _, bytes), _)| of == account && *bytes == hash);
        found.map(|(_, marker)| *marker)
    }

    /// How many markers there are.
    #[must_use]
    pub fn marker_count(&self) -> usize {
        self.state().markers.len()
    }

    /// The failed deliveries, in the order in which they were counted.
    #[must_use]
    pub fn failures(&self) -> Vec<RecordedFailure> {
        self.state().failures.clone()
    }
}

impl Receipts for FakeReceipts {
    async fn keep(&self, receipt: &Receipt<'_>) -> Result<(), PortError> {
        let begun = self.script.begin("keep", receipt.account.as_str()).await?;
        let key = (receipt.account.clone(), receipt.delivery);
        self.state()
            .kept
            .entry(key)
            .or_insert_with(|| KeptReceipt {
                account: receipt.account.clone(),
                delivery: receipt.delivery,
                registration: receipt.registration,
                webhook: receipt.webhook.cloned(),
                assurance: receipt.assurance,
                form: receipt.form,
                received: receipt.received,
                hash: receipt.hash,
                events: receipt.events,
                headers: receipt.headers.clone(),
                part: receipt.part.to_owned(),
                body: receipt.body.to_vec(),
                attempts: 0,
            })
            .attempts += 1;
        begun.done(())
    }

    async fn record_failure(&self, failure: &DeliveryFailure<'_>) -> Result<(), PortError> {
        let begun = self
            .script
            .begin("record_failure", failure.account.as_str())
            .await?;
        self.state().failures.push(RecordedFailure {
            account: failure.account.clone(),
            delivery: failure.delivery,
            at: failure.at,
            cause: failure.cause,
        });
        begun.done(())
    }
}

impl Markers for FakeReceipts {
    async fn find(&self, key: MarkerKey<'_>) -> Result<Option<Marker>, PortError> {
        let begun = self.script.begin("marker", key.account.as_str()).await?;
        let marker = self.state().markers.get(&stored(key)).copied();
        begun.done(marker)
    }

    async fn lease(
        &self,
        key: MarkerKey<'_>,
        seen: &Marker,
        until: Timestamp,
    ) -> Result<bool, PortError> {
        let begun = self.script.begin("lease", key.account.as_str()).await?;
        let taken = match self.state().markers.get_mut(&stored(key)) {
            Some(marker) if marker == seen => {
                marker.leased_until = until;
                true
            }
            _ => false,
        };
        begun.done(taken)
    }

    async fn mark(
        &self,
        key: MarkerKey<'_>,
        marker: &Marker,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), PortError> {
        let begun = self.script.begin("mark", key.account.as_str()).await?;
        let mut state = self.state();
        let key = stored(key);
        let present = state.markers.get(&key);
        if present.is_none_or(|present| present.leased_until == until || present.expires <= now) {
            state.markers.insert(key, *marker);
        }
        begun.done(())
    }

    async fn unmark(&self, key: MarkerKey<'_>, until: Timestamp) -> Result<(), PortError> {
        let begun = self.script.begin("unmark", key.account.as_str()).await?;
        let mut state = self.state();
        let key = stored(key);
        let present = state.markers.get(&key);
        if present.is_some_and(|present| present.leased_until == until) {
            state.markers.remove(&key);
        }
        begun.done(())
    }
}

impl CheckClaims for FakeReceipts {
    async fn claim_check(
        &self,
        account: &AccountName,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, PortError> {
        let begun = self.script.begin("claim_check", account.as_str()).await?;
        let claims = &mut self.state().claims;
        let is_free = claims.get(account).is_none_or(|until| *until <= now);
        if is_free {
            claims.insert(account.clone(), until);
        }
        begun.done(is_free)
    }
}

fn stored(key: MarkerKey<'_>) -> StoredKey {
    (key.account.clone(), key.registration, key.retry)
}
