//! Failed deliveries: verified, and answered with a failure. The source counts them, never says so, and
//! disables the webhook after several, so we count them too.
//!
//! Success writes nothing for this: that a delivery was accepted is read from its receipt.
//!
//! | receipt | the delivery was accepted |
//! |---|---|
//! | it never failed | when it was first seen |
//! | it has more attempts than failed | after the last of those that failed |
//! | otherwise | not yet |
//!
//! An attempt whose receipt could not be written makes a delivery look refused for longer than it was, never
//! accepted before it was: the next delivery that is accepted at once ends the run in any case.

use crate::account::{TokenHash, WebhookId};
use crate::identity::DeliveryId;
use crate::signature::Assurance;
use crate::subscription::Registration;
use crate::timestamp::Timestamp;

/// A verified delivery that was answered with a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedDelivery {
    /// When it was refused.
    pub at: Timestamp,
    /// Which one.
    pub delivery: DeliveryId,
    /// The cause in one word.
    pub cause: String,
}

/// What the receipt of a delivery says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Which one.
    pub delivery: DeliveryId,
    /// The registration that it came by; `None` where release 0.1.0 wrote the receipt.
    pub registration: Option<TokenHash>,
    /// The source's webhook, if it was known.
    pub webhook: Option<WebhookId>,
    /// What proved it; `None` where release 0.1.0 wrote the receipt.
    pub assurance: Option<Assurance>,
    /// How often it came.
    pub attempts: usize,
}

impl Arrival {
    /// Whether the delivery came by this registration.
    #[must_use]
    pub fn is_by(&self, registration: &Registration) -> bool {
        match self.registration {
            Some(token) => token == registration.token,
            None => self.webhook.is_some() && self.webhook == registration.webhook,
        }
    }

    /// When the delivery was accepted, as far as the failed attempts say; `None` if it was not.
    #[must_use]
    pub fn accepted(&self, failed: &[FailedDelivery]) -> Option<Timestamp> {
        let own = failed
            .iter()
            .filter(|failure| failure.delivery == self.delivery);
        match own.clone().map(|failure| failure.at).max() {
            None => Some(self.delivery.first_seen()),
            Some(last) => (self.attempts > own.count()).then_some(last),
        }
    }
}

/// What failed since the last delivery that was accepted, in the order in which they are given.
#[must_use]
pub fn failed_run(failed: &[FailedDelivery], arrivals: &[Arrival]) -> Vec<FailedDelivery> {
    let accepted = arrivals
        .iter()
        .filter_map(|arrival| arrival.accepted(failed))
        .max();
    let is_later =
        |failure: &&FailedDelivery| accepted.is_none_or(|accepted| failure.at > accepted);
    failed.iter().filter(is_later).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn id(millis: u64) -> DeliveryId {
        DeliveryId::new(Timestamp::from_millis(millis), &[1; 10])
    }

    fn failure(at: u64, delivery: u64) -> FailedDelivery {
        FailedDelivery {
            at: Timestamp::from_millis(at),
            delivery: id(delivery),
            cause: "budget".to_owned(),
        }
    }

    fn arrival(delivery: u64, attempts: usize) -> Arrival {
        Arrival {
            delivery: id(delivery),
            registration: None,
            webhook: None,
            assurance: None,
            attempts,
        }
    }

    #[rstest]
    #[case::none(&[], &[], 0)]
    #[case::never_accepted(&[(20, 20), (10, 10)], &[(10, 1), (20, 1)], 2)]
    #[case::without_receipts(&[(20, 20), (10, 10)], &[], 2)]
    #[case::accepted_since(&[(20, 20), (10, 10)], &[(30, 1)], 0)]
    #[case::accepted_between(&[(20, 20), (10, 10)], &[(15, 1)], 1)]
    #[case::accepted_before(&[(20, 20), (10, 10)], &[(5, 1)], 2)]
    #[case::the_retry_was_accepted(&[(20, 10), (10, 10)], &[(10, 3)], 0)]
    #[case::the_retry_was_refused(&[(20, 10), (10, 10)], &[(10, 2)], 2)]
    #[case::an_older_retry_was_accepted(&[(20, 20), (15, 10), (10, 10)], &[(10, 3), (20, 1)], 1)]
    fn runs(
        #[case] failed: &[(u64, u64)],
        #[case] arrivals: &[(u64, usize)],
        #[case] expected: usize,
    ) {
        let failed: Vec<_> = failed.iter().map(|(at, id)| failure(*at, *id)).collect();
        let arrivals: Vec<_> = arrivals.iter().map(|(id, n)| arrival(*id, *n)).collect();
        assert_eq!(failed_run(&failed, &arrivals).len(), expected);
    }

    proptest! {
        /// Told as it happens: each delivery is refused some times and then accepted or not, one after the other.
        #[test]
        fn a_run_is_what_was_refused_since_the_last_success(
            deliveries in prop::collection::vec((0_usize..4, any::<bool>()), 0..12),
        ) {
            let (mut failed, mut arrivals, mut expected, mut now) = (Vec::new(), Vec::new(), 0, 1000);
            for (refusals, is_accepted) in deliveries {
                now += 10;
                let delivery = now;
                for _ in 0..refusals {
                    now += 10;
                    failed.insert(0, failure(now, delivery));
                    expected += 1;
                }
                let attempts = refusals + usize::from(is_accepted);
                if attempts > 0 {
                    arrivals.push(arrival(delivery, attempts));
                }
                if is_accepted {
                    expected = 0;
                }
            }
            prop_assert_eq!(failed_run(&failed, &arrivals).len(), expected);
        }
    }
}
