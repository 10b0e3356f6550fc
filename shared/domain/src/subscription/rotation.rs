//! Rotation: when the old webhook may go.
//!
//! While two webhooks of ours are at the source, each brings every event, so either alone suffices. The old one
//! goes as soon as the new one has shown that its deliveries arrive and are accepted. Inbound makes no call for
//! this: the receipts name the registration by whose URL a delivery came.
//!
//! | the receipts since the new one took over | the old one |
//! |---|---|
//! | the new one brought a delivery that was accepted | goes |
//! | it did, but one of the old one's was refused and has not come again | goes when its time is over: that the source brings it again once its webhook is deleted is nowhere said |
//! | neither brought any | goes when its time is over |
//! | the old one did, the new one did not | stays: it is the only one that works |
//! | cannot be read | stays until they can |
//!
//! A receipt names the registration of its first attempt. Where both webhooks bring the same bytes and the first was
//! refused, the second takes over the identity and with it the receipt: the new webhook may then count as the
//! one whose delivery was accepted though it was the old one's. It has shown all the same that its signature is
//! good, and the source still has its delivery to retry.

use crate::subscription::{Arrival, FailedDelivery, Registration};
use crate::timestamp::Timestamp;

/// How long after the new webhook took over a delivery of the old one alone says nothing, in seconds: the event
/// may be older than the new webhook, or its delivery by that one still be under way.
const MARGIN_SECONDS: u64 = 15 * 60;

/// What the receipts say of the two webhooks of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Nothing is known.
    Unknown,
    /// Neither has brought a delivery.
    Silence,
    /// The new one has brought a delivery that was accepted.
    New,
    /// It has, and the old one has yet to bring again what was refused.
    OldOwes,
    /// Only the old one brings deliveries, though both should.
    OldAlone,
}

impl Evidence {
    /// Reads it from the latest receipts and failed deliveries.
    #[must_use]
    pub fn read(
        new: &Registration,
        old: &Registration,
        since: Timestamp,
        arrivals: &[Arrival],
        failed: &[FailedDelivery],
    ) -> Self {
        let of = |registration: &Registration| {
            let of_one = arrivals
                .iter()
                .filter(|arrival| arrival.is_by(registration));
            of_one.collect::<Vec<_>>()
        };
        let from = since.plus_seconds(MARGIN_SECONDS);
        if of(new)
            .iter()
            .any(|arrival| arrival.accepted(failed).is_some())
        {
            let is_owed = |arrival: &&Arrival| arrival.accepted(failed).is_none();
            if of(old).iter().any(is_owed) {
                Self::OldOwes
            } else {
                Self::New
            }
        } else if of(old)
            .iter()
            .any(|arrival| arrival.delivery.first_seen() > from)
        {
            Self::OldAlone
        } else {
            Self::Silence
        }
    }

    /// Whether an old webhook may go that stays until then.
    #[must_use]
    pub fn lets_go(self, until: Timestamp, now: Timestamp) -> bool {
        match self {
            Self::New => true,
            Self::Silence | Self::OldOwes => until <= now,
            Self::OldAlone | Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{KeysVersion, TokenHash, UrlToken, WebhookId};
    use crate::identity::DeliveryId;
    use crate::subscription::RegistrationState;
    use rstest::rstest;

    const SINCE: u64 = 1_000_000;
    const LATE: u64 = SINCE + MARGIN_SECONDS * 1000 + 1;

    fn id(at: u64) -> DeliveryId {
        DeliveryId::new(Timestamp::from_millis(at), &[1; 10])
    }

    fn token(number: u8) -> TokenHash {
        UrlToken::from_random(&[number; 32]).hash()
    }

    fn registration(number: u8, webhook: &str) -> Registration {
        Registration {
            token: token(number),
            webhook: Some(WebhookId::new(webhook)),
            keys: KeysVersion::default(),
            state: RegistrationState::Live,
            part: String::new(),
        }
    }

    fn arrival(webhook: &str, at: u64, attempts: usize) -> Arrival {
        Arrival {
            delivery: id(at),
            registration: None,
            webhook: Some(WebhookId::new(webhook)),
            assurance: None,
            attempts,
        }
    }

    #[test]
    fn the_old_webhook_has_a_quarter_of_an_hour() {
        assert_eq!(MARGIN_SECONDS, 900);
    }

    #[rstest]
    #[case::nothing_came(&[], &[], Evidence::Silence)]
    #[case::the_new_one_delivered(&[("new", SINCE, 1)], &[], Evidence::New)]
    #[case::both_delivered(&[("old", LATE, 1), ("new", SINCE + 1, 1)], &[], Evidence::New)]
    #[case::the_new_one_was_refused(&[("new", LATE, 1)], &[LATE], Evidence::Silence)]
    #[case::and_then_accepted(&[("new", LATE, 2)], &[LATE], Evidence::New)]
    #[case::the_old_one_was_refused(&[("old", SINCE, 1), ("new", LATE, 1)], &[SINCE], Evidence::OldOwes)]
    #[case::and_came_again(&[("old", SINCE, 2), ("new", LATE, 1)], &[SINCE], Evidence::New)]
    #[case::the_old_one_delivered_before(&[("old", SINCE - 1, 1)], &[], Evidence::Silence)]
    #[case::or_just_after(&[("old", LATE - 1, 1)], &[], Evidence::Silence)]
    #[case::or_it_alone_delivers(&[("old", LATE, 1)], &[], Evidence::OldAlone)]
    #[case::a_third_one(&[("other", LATE, 1)], &[], Evidence::Silence)]
    fn evidence(
        #[case] arrivals: &[(&str, u64, usize)],
        #[case] recorded: &[u64],
        #[case] expected: Evidence,
    ) {
        let arrivals: Vec<_> = arrivals
            .iter()
            .map(|(webhook, at, attempts)| arrival(webhook, *at, *attempts))
            .collect();
        let failed: Vec<_> = recorded
            .iter()
            .map(|at| FailedDelivery {
                at: Timestamp::from_millis(*at),
                delivery: id(*at),
                cause: "budget".to_owned(),
            })
            .collect();
        let (new, old) = (registration(1, "new"), registration(2, "old"));
        let since = Timestamp::from_millis(SINCE);
        let read = Evidence::read(&new, &old, since, &arrivals, &failed);
        assert_eq!(read, expected);
        // The same where the receipts name the registration, whatever webhook they name.
        let named = arrivals.into_iter().map(|arrival| {
            let webhook = arrival.webhook.as_ref().map(WebhookId::as_str);
            let token = match webhook {
                Some("new") => new.token,
                Some("old") => old.token,
                _ => token(3),
            };
            Arrival {
                registration: Some(token),
                webhook: new.webhook.clone(),
                ..arrival
            }
        });
        let named: Vec<_> = named.collect();
        let read = Evidence::read(&new, &old, since, &named, &failed);
        assert_eq!(read, expected);
    }

    #[rstest]
    #[case::proven(Evidence::New, 0, true)]
    #[case::a_retry_is_owed(Evidence::OldOwes, 9, false)]
    #[case::a_retry_was_owed_for_long(Evidence::OldOwes, 10, true)]
    #[case::quiet(Evidence::Silence, 9, false)]
    #[case::quiet_for_long(Evidence::Silence, 10, true)]
    #[case::the_only_one_that_works(Evidence::OldAlone, 11, false)]
    #[case::unread(Evidence::Unknown, 11, false)]
    fn an_old_webhook_goes(#[case] evidence: Evidence, #[case] now: u64, #[case] goes: bool) {
        let at = Timestamp::from_millis;
        assert_eq!(evidence.lets_go(at(10), at(now)), goes);
    }
}
