//! Silence: accounts whose deliveries stay away for longer than is usual. What is too long says
//! [`domain::subscription::Rhythm`].
//!
//! Each check reads which deliveries came since the one before, and in the same run compares the account with its
//! source: a suspect account is checked at once. Where checks are far apart, the schedule looks in between, by what
//! the last check learned, and sends whoever has become silent to be checked ([`crate::schedule`]).
//!
//! The source does not show that it has disabled a webhook. So a silence may go on after a check that found nothing
//! to mend, and the account says so until the next delivery.

use domain::identity::DeliveryId;
use domain::ports::PortError;
use domain::subscription::{Account, Accounts, Deliveries, Secrets, Wish};
use domain::timestamp::Timestamp;
use tracing::warn;

use crate::Subscriptions;
use crate::held::Held;

/// The most deliveries that one check reads. Beyond that it is a busy account, and knows it.
const MOST: usize = 1000;

impl<A: Accounts, S: Secrets, D: Deliveries> Subscriptions<'_, A, S, D> {
    /// Takes in what came since the last check. That it cannot be read must not keep the webhook from being mended.
    pub(crate) async fn watch_silence(&self, held: &mut Held<'_, A>) {
        match arrivals(self.deliveries, &held.account, held.now).await {
            Ok(arrivals) => {
                if let Some(silence) = held.hear(&arrivals) {
                    let since = held.account.rhythm.silent_since();
                    warn!(%since, missed = silence.missed, "deliveries stay away");
                    runtime::metrics::count("Silences", 1, &[("Stack", &self.settings.stack)]);
                }
            }
            Err(error) => {
                warn!(%error, "whether deliveries stay away cannot be told");
                runtime::metrics::count("HealthUnread", 1, &[]);
            }
        }
    }
}

/// The deliveries since the last one that the account knows of.
async fn arrivals<D: Deliveries>(
    deliveries: &D,
    account: &Account,
    now: Timestamp,
) -> Result<Vec<DeliveryId>, PortError> {
    let mut found = Vec::new();
    for day in account.rhythm.days(now) {
        let left = MOST.saturating_sub(found.len());
        if left == 0 {
            break;
        }
        let after = account.rhythm.last;
        found.extend(deliveries.since(&account.name, &day, after, left).await?);
    }
    if found.len() == MOST {
        // What lies between is not counted, and when the last one came is known all the same.
        found.extend(deliveries.last(&account.name, &now.day()).await?);
    }
    Ok(found)
}

/// Whether an account has become silent since it was checked last.
pub(crate) async fn has_become_silent<D: Deliveries>(
    deliveries: &D,
    account: &Account,
    now: Timestamp,
) -> Result<bool, PortError> {
    let rhythm = &account.rhythm;
    let since = rhythm.silent_since();
    if account.wish != Wish::Connected
        || rhythm.suspect.is_some()
        || !rhythm.is_too_long(since, now)
    {
        return Ok(false);
    }
    for day in rhythm.days(now).iter().rev() {
        if let Some(last) = deliveries.last(&account.name, day).await? {
            return Ok(rhythm.is_too_long(since.max(last.first_seen()), now));
        }
    }
    Ok(true)
}
