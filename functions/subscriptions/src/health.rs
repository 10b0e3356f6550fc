//! Health: what our own tables say of an account's deliveries. The source says nothing of it.

use std::collections::BTreeSet;

use domain::account::AccountName;
use domain::ports::PortError;
use domain::subscription::{Accounts, Arrival, Deliveries, Secrets, Struck, strike_run};
use domain::timestamp::Timestamp;
use tracing::warn;

use crate::Subscriptions;

/// The most strikes that are looked at: far more than a source takes before it disables a webhook.
const MOST_STRIKES: usize = 200;
/// The most receipts of a day that are looked at for one that was accepted.
const MOST_RECEIPTS: usize = 100;
/// The most refused deliveries whose own receipts are looked at.
const MOST_LOOKUPS: usize = 20;

const DAY_MILLIS: u64 = 86_400_000;

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    /// The strikes since the last delivery that was accepted, newest first.
    pub(crate) async fn strike_run(
        &self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<Vec<Struck>, PortError> {
        let strikes = self.latest_strikes(name).await?;
        if strikes.is_empty() {
            return Ok(strikes);
        }
        let mut arrivals = self.recent(name, now).await?;
        let run = strike_run(&strikes, &arrivals);
        // A delivery that was refused may be older than these days, and its retry accepted since.
        let is_known = |delivery| {
            arrivals
                .iter()
                .any(|known: &Arrival| known.delivery == delivery)
        };
        let refused: BTreeSet<_> = run
            .iter()
            .map(|strike| strike.delivery)
            .filter(|delivery| !is_known(*delivery))
            .collect();
        for delivery in refused.into_iter().rev().take(MOST_LOOKUPS) {
            arrivals.extend(self.deliveries.arrival(name, delivery).await?);
        }
        Ok(strike_run(&strikes, &arrivals))
    }

    /// The latest strikes, newest first, whether or not a delivery was accepted since.
    pub(crate) async fn latest_strikes(
        &self,
        name: &AccountName,
    ) -> Result<Vec<Struck>, PortError> {
        self.deliveries.strikes(name, MOST_STRIKES).await
    }

    /// The newest receipts of today and yesterday.
    pub(crate) async fn recent(
        &self,
        name: &AccountName,
        now: Timestamp,
    ) -> Result<Vec<Arrival>, PortError> {
        let today = now.day();
        let yesterday = Timestamp::from_millis(now.millis().saturating_sub(DAY_MILLIS)).day();
        let newest = self.deliveries.arrivals(name, &today, MOST_RECEIPTS);
        let mut arrivals = newest.await?;
        if arrivals.len() < MOST_RECEIPTS {
            let before = self.deliveries.arrivals(name, &yesterday, MOST_RECEIPTS);
            arrivals.extend(before.await?);
        }
        Ok(arrivals)
    }

    /// Counts an account whose deliveries keep being refused, for the alarm. That this cannot be told must not
    /// keep its webhook from being mended.
    pub(crate) async fn watch_strikes(&self, name: &AccountName, now: Timestamp) {
        match self.strike_run(name, now).await {
            Ok(run) if run.len() >= self.settings.strikes_alarm => {
                let causes: BTreeSet<&str> =
                    run.iter().map(|strike| strike.cause.as_str()).collect();
                warn!(account = %name, strikes = run.len(), ?causes, "deliveries keep being refused");
                runtime::metrics::count("StrikeRuns", 1, &[("Stack", &self.settings.stack)]);
            }
            Ok(_) => {}
            Err(error) => {
                warn!(account = %name, %error, "whether deliveries are refused cannot be told");
                runtime::metrics::count("HealthUnread", 1, &[]);
            }
        }
    }
}
