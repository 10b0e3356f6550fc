//! Health: what our own tables say of an account's deliveries. The source says nothing of it.
//!
//! That something cannot be read here must not keep a webhook from being repaired: it is logged and counted, and
//! the next check reads again.

use std::collections::BTreeSet;

use domain::account::AccountName;
use domain::identity::DeliveryId;
use domain::ports::PortError;
use domain::signature::Assurance;
use domain::subscription::{
    Account, Arrival, Deliveries, Evidence, FailedDelivery, Registration, Rotation, failed_run,
};
use domain::timestamp::Timestamp;
use runtime::metrics::{self, Metric};
use sources::facts;
use tracing::warn;

use crate::Settings;

/// The most failed deliveries that are looked at: far more than a source takes before it disables a webhook.
const MOST_FAILED: usize = 200;
/// The most receipts of a day that are looked at for one that was accepted.
const MOST_RECEIPTS: usize = 100;
/// The most failed deliveries whose own receipts are looked at.
const MOST_LOOKUPS: usize = 20;

const DAY_MILLIS: u64 = 86_400_000;

/// What is known of accounts' deliveries.
pub struct Health<'p, D> {
    pub(crate) deliveries: &'p D,
    /// So many failed deliveries in a row raise an alarm.
    alarm: usize,
}

impl<'p, D: Deliveries> Health<'p, D> {
    /// Reads it from these deliveries.
    pub fn new(deliveries: &'p D, settings: &Settings) -> Self {
        Self {
            deliveries,
            alarm: settings.failures_alarm,
        }
    }

    /// The last delivery, as far as today's and yesterday's receipts and the last check know it.
    pub(crate) async fn last_delivery(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<Option<DeliveryId>, PortError> {
        // A receipt's partition is a day. What is older than yesterday's, the last check has noted.
        let mut last = self.last_of(&account.name, &now.day()).await?;
        if last.is_none() {
            last = self.last_of(&account.name, &yesterday(now)).await?;
        }
        Ok(last.max(account.baseline.last))
    }

    /// The last delivery of a day (`yyyy-mm-dd`, UTC).
    pub(crate) async fn last_of(
        &self,
        name: &AccountName,
        day: &str,
    ) -> Result<Option<DeliveryId>, PortError> {
        let newest = self.deliveries.arrivals(name, day, 1).await?;
        Ok(newest.first().map(|arrival| arrival.delivery))
    }

    /// What proved a delivery to be genuine, as far as its receipt says.
    pub(crate) async fn assurance(
        &self,
        account: &Account,
        delivery: DeliveryId,
    ) -> Result<Option<Assurance>, PortError> {
        let arrival = self.deliveries.arrival(&account.name, delivery).await?;
        Ok(arrival.and_then(|arrival| arrival.assurance))
    }

    /// The deliveries that failed since the last one that was accepted, newest first.
    pub(crate) async fn failed_run(
        &self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<Vec<FailedDelivery>, PortError> {
        let failed = self.failed(name).await?;
        if failed.is_empty() {
            return Ok(failed);
        }
        let mut arrivals = self.recent(name, now).await?;
        let run = failed_run(&failed, &arrivals);
        // A delivery that was refused may be older than these days, and its retry accepted since.
        let is_known = |delivery| {
            arrivals
                .iter()
                .any(|known: &Arrival| known.delivery == delivery)
        };
        let refused: BTreeSet<_> = run
            .iter()
            .map(|failed| failed.delivery)
            .filter(|delivery| !is_known(*delivery))
            .collect();
        for delivery in refused.into_iter().rev().take(MOST_LOOKUPS) {
            arrivals.extend(self.deliveries.arrival(name, delivery).await?);
        }
        Ok(failed_run(&failed, &arrivals))
    }

    /// The latest failed deliveries, newest first, whether or not one was accepted since.
    async fn failed(&self, name: &AccountName) -> Result<Vec<FailedDelivery>, PortError> {
        self.deliveries.failed(name, MOST_FAILED).await
    }

    /// The newest receipts of today and yesterday.
    async fn recent(&self, name: &AccountName, now: Timestamp) -> Result<Vec<Arrival>, PortError> {
        let (today, yesterday) = (now.day(), yesterday(now));
        let newest = self.deliveries.arrivals(name, &today, MOST_RECEIPTS);
        let mut arrivals = newest.await?;
        if arrivals.len() < MOST_RECEIPTS {
            let before = self.deliveries.arrivals(name, &yesterday, MOST_RECEIPTS);
            arrivals.extend(before.await?);
        }
        Ok(arrivals)
    }

    /// Whether one of the latest deliveries came by this registration. One that cannot be read is read by the next check.
    pub(crate) async fn has_delivered(
        &self,
        name: &AccountName,
        registration: &Registration,
        now: Timestamp,
    ) -> bool {
        match self.recent(name, now).await {
            Ok(arrivals) => arrivals.iter().any(|arrival| arrival.is_by(registration)),
            Err(error) => {
                warn!(account = %name, %error, "whether the URL brings deliveries cannot be read");
                metrics::count(Metric::HealthUnread, 1);
                false
            }
        }
    }

    /// Counts an account whose deliveries keep being refused, for the alarm.
    pub(crate) async fn watch_failures(&self, account: &Account, now: Timestamp) {
        let name = &account.name;
        let alarm = facts(account.source).life_cycle.failures_alarm(self.alarm);
        match self.failed_run(name, now).await {
            Ok(run) if run.len() >= alarm => {
                let causes: BTreeSet<&str> =
                    run.iter().map(|failed| failed.cause.as_str()).collect();
                warn!(account = %name, failed = run.len(), ?causes, "deliveries keep being refused");
                metrics::count(Metric::FailedDeliveryRuns, 1);
            }
            Ok(_) => {}
            Err(error) => {
                warn!(account = %name, %error, "whether deliveries are refused cannot be read");
                metrics::count(Metric::HealthUnread, 1);
            }
        }
    }

    /// What the receipts say of a rotation that is under way.
    pub(crate) async fn evidence(&self, account: &Account, now: Timestamp) -> Evidence {
        let Some(Rotation::Overlap { old, since, .. }) = account.rotation() else {
            return Evidence::Unknown;
        };
        let Some(new) = account.live() else {
            return Evidence::Unknown;
        };
        let name = &account.name;
        let read = async {
            let arrivals = self.recent(name, now).await?;
            Ok::<_, PortError>((arrivals, self.failed(name).await?))
        };
        match read.await {
            Ok((arrivals, failed)) => Evidence::read(new, old, since, &arrivals, &failed),
            Err(error) => {
                warn!(account = %name, %error, "whether the new webhook delivers cannot be read");
                metrics::count(Metric::HealthUnread, 1);
                Evidence::Unknown
            }
        }
    }
}

fn yesterday(now: Timestamp) -> String {
    Timestamp::from_millis(now.millis().saturating_sub(DAY_MILLIS)).day()
}
