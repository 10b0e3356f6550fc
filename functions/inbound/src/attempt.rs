//! An attempt at a delivery, and its identity: new, or that of an attempt that was refused.
//!
//! Before a verified delivery is refused, a retry marker is left under the hash of its body. The next delivery
//! of the same bytes leases the marker, takes over the identity and, after its own success, removes the
//! marker; without a marker equal bytes are new events.

use domain::account::AccountName;
use domain::identity::{BodyHash, DeliveryId};
use domain::ports::{Marker, PortError, Receipts};
use domain::timestamp::Timestamp;
use runtime::deadline::in_time;
use tokio::time::Instant;
use tracing::warn;

use crate::answer::Refused;
use crate::request::Posted;

/// One attempt at a delivery.
#[derive(Debug)]
pub struct Attempt {
    delivery: DeliveryId,
    hash: BodyHash,
    /// Until when this attempt holds the marker that gave it its identity.
    lease: Option<Timestamp>,
}

impl Attempt {
    /// Begins an attempt: with the identity of a refused one where it left a marker, else with a new one.
    pub(crate) async fn begin<R: Receipts>(
        receipts: &R,
        account: &AccountName,
        posted: &Posted<'_>,
        now: Timestamp,
        lease_seconds: u64,
        deadline: Instant,
    ) -> Result<Self, getrandom::Error> {
        let hash = BodyHash::of(posted.body);
        let until = now.plus_seconds(lease_seconds);
        let taken = take_marker(receipts, account, &hash, now, until);
        let taken = in_time(deadline, "reading a retry marker", taken)
            .await
            .unwrap_or_else(|error| {
                warn!(%account, %error, "whether this is a retry is not known; it is taken as new");
                runtime::metrics::count("RetryMarkersUnread", 1, &[]);
                None
            });
        if let Some(delivery) = taken {
            return Ok(Self {
                delivery,
                hash,
                lease: Some(until),
            });
        }
        let mut random = [0; 10];
        getrandom::fill(&mut random)?;
        Ok(Self {
            delivery: DeliveryId::new(posted.received, &random),
            hash,
            lease: None,
        })
    }

    pub(crate) fn delivery(&self) -> DeliveryId {
        self.delivery
    }

    pub(crate) fn hash(&self) -> BodyHash {
        self.hash
    }

    /// Ends a successful attempt. A marker that stays would give its identity to the next delivery of these
    /// bytes, which teams would then drop as a repeat: rather have this one come again.
    pub(crate) async fn succeed<R: Receipts>(
        &self,
        receipts: &R,
        account: &AccountName,
        deadline: Instant,
    ) -> Result<(), Refused> {
        let Some(until) = self.lease else {
            return Ok(());
        };
        let unmarked = receipts.unmark(account, &self.hash, until);
        in_time(deadline, "removing a retry marker", unmarked).await.map_err(|error| {
            warn!(%account, delivery.id = %self.delivery, %error, "the retry marker could not be removed");
            Refused::MarkerKept
        })
    }

    /// Ends a refused attempt: leaves its identity to the next one.
    pub(crate) async fn fail<R: Receipts>(
        &self,
        receipts: &R,
        account: &AccountName,
        expires: Timestamp,
    ) -> Result<(), PortError> {
        let free = Timestamp::from_millis(0);
        let marker = Marker {
            delivery: self.delivery,
            expires,
            leased_until: free,
        };
        receipts.mark(account, &self.hash, &marker).await
    }
}

/// The identity in a marker that is valid and that nobody holds, once it is ours.
async fn take_marker<R: Receipts>(
    receipts: &R,
    account: &AccountName,
    hash: &BodyHash,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<DeliveryId>, PortError> {
    let Some(marker) = receipts.marker(account, hash).await? else {
        return Ok(None);
    };
    if marker.expires <= now || marker.leased_until > now {
        return Ok(None);
    }
    Ok(receipts
        .lease(account, hash, &marker, until)
        .await?
        .then_some(marker.delivery))
}
