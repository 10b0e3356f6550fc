//! An attempt at a delivery, and its identity: new, or that of an attempt that was refused.
//!
//! Before a verified delivery is refused, a retry marker is left for the bytes of its body. The next delivery of the same
//! bytes by the same registration leases the marker, takes over the identity and, after its own success, removes the
//! marker; without a marker equal bytes are new events.

use std::time::Duration;

use domain::identity::DeliveryId;
use domain::ports::{Marker, MarkerKey, Markers, PortError};
use domain::timestamp::Timestamp;
use runtime::deadline::in_time;
use runtime::metrics::Metric;
use tokio::time::Instant;
use tracing::warn;

use crate::answer::Refused;

/// One attempt at a delivery.
#[derive(Debug)]
pub struct Attempt<'a> {
    delivery: DeliveryId,
    /// The first is 1.
    number: u32,
    key: MarkerKey<'a>,
    begun: Timestamp,
    /// Until when it holds the marker, if it does.
    until: Timestamp,
    marker: Held,
}

/// What an attempt knows of the retry marker for its bytes.
#[derive(Debug)]
enum Held {
    /// There was none for it.
    No,
    /// It holds the marker that gave it its identity.
    Ours,
    /// The table did not answer in time: there may be one.
    Unknown,
}

/// How long a success waits for the removal of a marker of which it does not know.
const SWEEPING: Duration = Duration::from_millis(300);

impl<'a> Attempt<'a> {
    /// Begins an attempt: with the identity of a refused one where it left a marker, else with a new one.
    pub(crate) async fn begin<M: Markers>(
        markers: &M,
        key: MarkerKey<'a>,
        received: Timestamp,
        now: Timestamp,
        lease_seconds: u64,
        deadline: Instant,
    ) -> Result<Self, getrandom::Error> {
        let until = now.plus_seconds(lease_seconds);
        let taken = take_marker(markers, key, now, until);
        let (taken, marker) = match in_time(deadline, "reading a retry marker", taken).await {
            Ok(Some(marker)) => (Some(marker), Held::Ours),
            Ok(None) => (None, Held::No),
            Err(error) => {
                warn!(%error, "whether this is a retry is not known; it is taken as new");
                runtime::metrics::count(Metric::RetryMarkersUnread, 1);
                (None, Held::Unknown)
            }
        };
        let number = taken.map_or(0, |marker| marker.attempts).saturating_add(1);
        let delivery = match taken {
            Some(Marker { delivery, .. }) => {
                let first_seen = delivery.first_seen().millis();
                let age = now.millis().saturating_sub(first_seen) / 1000;
                runtime::metrics::observe(Metric::RetryMarkerAge, age);
                delivery
            }
            None => {
                let mut random = [0; 10];
                getrandom::fill(&mut random)?;
                DeliveryId::new(received, &random)
            }
        };
        Ok(Self {
            delivery,
            number,
            key,
            begun: now,
            until,
            marker,
        })
    }

    pub(crate) fn delivery(&self) -> DeliveryId {
        self.delivery
    }

    /// Which attempt at the delivery it is, as far as the marker knows; the first is 1.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Ends a successful attempt. A marker that stays would give its identity to the next delivery of these
    /// bytes, which teams would then drop as a repeat: rather have this one come again.
    pub(crate) async fn succeed<M: Markers>(
        &self,
        markers: &M,
        deadline: Instant,
    ) -> Result<(), Refused> {
        match self.marker {
            Held::No => return Ok(()),
            Held::Ours => {}
            Held::Unknown => {
                self.sweep(markers, deadline).await;
                return Ok(());
            }
        }
        let unmarked = markers.unmark(self.key, self.until);
        in_time(deadline, "removing a retry marker", unmarked)
            .await
            .map_err(|error| {
                warn!(%error, "the retry marker could not be removed");
                Refused::MarkerKept
            })
    }

    /// Removes a marker that could not be read when it was wanted, unless somebody else holds it. The table may
    /// be down, and that is no reason to refuse: what stays is counted.
    async fn sweep<M: Markers>(&self, markers: &M, deadline: Instant) {
        let deadline = deadline.min(Instant::now() + SWEEPING);
        let swept = async {
            let Some(marker) = markers.find(self.key).await? else {
                return Ok(());
            };
            let held = marker.leased_until;
            // A lease whose answer did not come is this attempt's own.
            if held <= self.begun || held == self.until {
                markers.unmark(self.key, held).await?;
            }
            Ok(())
        };
        if let Err(error) = in_time(deadline, "removing a retry marker", swept).await {
            warn!(%error, "a retry marker may have stayed");
            runtime::metrics::count(Metric::RetryMarkersKept, 1);
        }
    }

    /// Ends a refused attempt: leaves its identity to the next one. A marker of another attempt stays as it is. It has the
    /// identity of an earlier one of which this one did not know; or of a later one, where this write was under way for
    /// longer than the attempt that it is of.
    pub(crate) async fn fail<M: Markers>(
        &self,
        markers: &M,
        expires: Timestamp,
    ) -> Result<(), PortError> {
        let free = Timestamp::from_millis(0);
        let marker = Marker {
            delivery: self.delivery,
            expires,
            leased_until: free,
            attempts: self.number,
        };
        markers
            .mark(self.key, &marker, self.begun, self.until)
            .await
    }
}

/// A marker that is valid and that nobody holds, once it is ours.
async fn take_marker<M: Markers>(
    markers: &M,
    key: MarkerKey<'_>,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Marker>, PortError> {
    let Some(marker) = markers.find(key).await? else {
        return Ok(None);
    };
    if marker.expires <= now || marker.leased_until > now {
        return Ok(None);
    }
    Ok(markers.lease(key, &marker, until).await?.then_some(marker))
}
