//! Asking for an account's check, where a known token comes with a wrong signature: somebody may have changed the key at
//! the source, which counts every refusal. The check stores the key, and the source's retry is accepted.
//!
//! Anybody who knows a token can cause this, so it happens at most once in five minutes for an account, across all
//! instances: one write claims it, one message asks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::account::AccountName;
use domain::ports::{CheckClaims, PortError, QueueUrl, Queues};
use domain::subscription::check_order;
use domain::timestamp::Timestamp;
use runtime::deadline::in_time;
use runtime::metrics::Metric;
use tokio::time::Instant;
use tracing::{info, warn};

/// How long after a check was asked for no other is, in seconds.
const EVERY_SECONDS: u64 = 300;

/// What an instance knows of the checks that it asked for.
#[derive(Debug, Default)]
pub(crate) struct CheckRequests {
    /// When this instance last tried to claim an account's check, whatever came of it: what goes wrong must not be tried at
    /// will. Only names of accounts that exist come here.
    claimed: Mutex<HashMap<AccountName, Instant>>,
}

impl CheckRequests {
    /// Asks for an account's check, unless one was asked for a short time ago. The request is refused in any case, so
    /// what does not succeed is only logged.
    pub(crate) async fn ask<C: CheckClaims, Q: Queues>(
        &self,
        (claims, queues, queue): (&C, &Q, &QueueUrl),
        account: &AccountName,
        now: Timestamp,
        deadline: Instant,
    ) {
        if !self.is_due(account) {
            return;
        }
        let asking = async {
            let until = now.plus_seconds(EVERY_SECONDS);
            if !claims.claim_check(account, now, until).await? {
                return Ok(false);
            }
            let sent = queues.send(queue, &[check_order(account)]).await?;
            let refused = PortError::transient("asking for a check", "unanswered");
            sent.into_iter().next().unwrap_or(Err(refused))?;
            Ok(true)
        };
        match in_time(deadline, "asking for a check", asking).await {
            Ok(false) => {}
            Ok(true) => {
                info!("a wrong signature under a known token: its account will be checked");
                runtime::metrics::count(Metric::ChecksAsked, 1);
            }
            Err(error) => {
                warn!(%error, "a check could not be asked for; the next one is that of the schedule");
            }
        }
    }

    /// Whether this instance may try, and if so notes that it does.
    fn is_due(&self, account: &AccountName) -> bool {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        let every = Duration::from_secs(EVERY_SECONDS);
        if claimed.get(account).is_some_and(|at| at.elapsed() < every) {
            return false;
        }
        claimed.insert(account.clone(), Instant::now());
        true
    }
}
