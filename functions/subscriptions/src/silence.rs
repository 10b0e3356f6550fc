//! Silence: accounts whose deliveries stay away for longer than is usual. [`domain::subscription::Baseline`]
//! decides what is too long.
//!
//! Each check reads which deliveries came since the one before, and in the same run compares the account with its
//! source: a suspect account is checked at once. Where checks are far apart, the schedule looks in between, by what
//! the last check learned, and sends whoever has become silent to be checked ([`crate::schedule`]).
//!
//! The source does not show that it has disabled a webhook. So a silence may go on after a check that found nothing
//! to repair, and the account says so until the next delivery.

use domain::identity::DeliveryId;
use domain::ports::PortError;
use domain::subscription::{Account, Deliveries, Desired, Silence};
use domain::timestamp::Timestamp;
use runtime::metrics::{self, Metric};
use tracing::warn;

use crate::health::Health;

/// The most deliveries that one check reads. An account with more is busy, and not silent.
const MOST: usize = 1000;

impl<D: Deliveries> Health<'_, D> {
    /// The deliveries since the last one that the account knows of; `None` if they cannot be read.
    pub(crate) async fn arrivals(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Option<Vec<DeliveryId>> {
        let arrivals = self.read_arrivals(account, now).await;
        if let Err(error) = &arrivals {
            warn!(%error, "whether deliveries stay away cannot be read");
            metrics::count(Metric::HealthUnread, 1);
        }
        arrivals.ok()
    }

    async fn read_arrivals(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let (deliveries, name) = (self.deliveries, &account.name);
        let mut found = Vec::new();
        for day in account.baseline.days(now) {
            let left = MOST.saturating_sub(found.len());
            if left == 0 {
                break;
            }
            let after = account.baseline.last;
            found.extend(deliveries.since(name, &day, after, left).await?);
        }
        if found.len() == MOST {
            // What lies between is not counted, and when the last one came is known all the same.
            found.extend(self.last_of(name, &now.day()).await?);
        }
        Ok(found)
    }

    /// Counts a silence that was noticed now, for the alarm.
    pub(crate) fn report_silence(&self, account: &Account, silence: Silence) {
        let since = account.baseline.silent_since();
        warn!(%since, missed = silence.missed, "deliveries stay away");
        metrics::count(Metric::Silences, 1);
    }

    /// Whether an account has become silent since it was checked last.
    pub(crate) async fn has_become_silent(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<bool, PortError> {
        let baseline = &account.baseline;
        let since = baseline.silent_since();
        if account.desired != Desired::Connected
            || baseline.suspect.is_some()
            || !baseline.is_too_long(since, now)
        {
            return Ok(false);
        }
        for day in baseline.days(now).iter().rev() {
            if let Some(last) = self.last_of(&account.name, day).await? {
                return Ok(baseline.is_too_long(since.max(last.first_seen()), now));
            }
        }
        Ok(true)
    }
}
