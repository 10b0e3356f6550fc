//! [`Receipts`], [`Markers`] and [`CheckClaims`]: bodies are kept byte for byte, a marker is held by one attempt at a time, failed deliveries count.

use std::future::Future;

use domain::account::{AccountName, TokenHash, UrlToken, WebhookId};
use domain::delivery::KeptDelivery;
use domain::identity::{BodyHash, DeliveryId};
use domain::ports::{CheckClaims, DeliveryFailure, Marker, MarkerKey, Markers, Receipt, Receipts};
use domain::signature::{Assurance, Form};
use domain::timestamp::Timestamp;
use http::{HeaderMap, HeaderValue};

use super::delivery_id;
use crate::fakes::FakeReceipts;

/// A receipt as a reader of the table finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadReceipt {
    /// The registration that the first attempt came by, as text.
    pub registration: String,
    /// The source's webhook of that registration.
    pub webhook: Option<String>,
    /// What proved the first attempt, as text.
    pub proof: String,
    /// When the first attempt came in, as text.
    pub received: String,
    /// The body's hash, as text.
    pub hash: String,
    /// How many events were recognised in it.
    pub events: usize,
    /// The form in which the first attempt was signed, where its source has several.
    pub form: Option<String>,
    /// What it takes to split it again.
    pub kept: KeptDelivery,
}

/// What reads what the suite keeps.
pub trait ReceiptReader: Sync {
    /// A receipt.
    fn receipt(
        &self,
        account: &AccountName,
        delivery: DeliveryId,
    ) -> impl Future<Output = Option<ReadReceipt>> + Send;

    /// How many failed deliveries an account has.
    fn failures(&self, account: &AccountName) -> impl Future<Output = usize> + Send;
}

impl ReceiptReader for FakeReceipts {
    async fn receipt(&self, account: &AccountName, delivery: DeliveryId) -> Option<ReadReceipt> {
        let mut kept = self.kept().into_iter();
        let kept = kept.find(|kept| kept.account == *account && kept.delivery == delivery)?;
        Some(ReadReceipt {
            registration: kept.registration.to_string(),
            webhook: kept.webhook.map(|webhook| webhook.to_string()),
            proof: kept.assurance.as_str().to_owned(),
            received: kept.received.to_string(),
            hash: kept.hash.to_string(),
            events: kept.events,
            form: kept.form.map(|form| form.0.to_owned()),
            kept: KeptDelivery {
                headers: kept.headers,
                part: kept.part,
                body: kept.body,
            },
        })
    }

    async fn failures(&self, account: &AccountName) -> usize {
        let failures = self.failures();
        failures
            .iter()
            .filter(|failure| failure.account == *account)
            .count()
    }
}

/// Holds an implementation of [`Receipts`], [`Markers`] and [`CheckClaims`] to its contract. The table knows nothing
/// of the accounts `acme` and `other` yet.
///
/// # Panics
/// It breaks it.
pub async fn receipts(
    receipts: &(impl Receipts + Markers + CheckClaims),
    reader: &impl ReceiptReader,
) {
    bodies_are_kept_as_they_came(receipts, reader).await;
    a_marker_is_held_by_one(receipts).await;
    of_two_leases_at_once_one_is_had(receipts).await;
    a_check_is_claimed_once_in_its_time(receipts).await;
    strikes_count(receipts, reader).await;
}

fn account(name: &str) -> AccountName {
    name.parse().unwrap()
}

fn token(number: u8) -> TokenHash {
    UrlToken::from_random(&[number; 32]).hash()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_795_176_000_000 + millis)
}

async fn bodies_are_kept_as_they_came(receipts: &impl Receipts, reader: &impl ReceiptReader) {
    let (acme, other) = (account("acme"), account("other"));
    let (webhook, another) = (WebhookId::new("wh_1"), WebhookId::new("wh_2"));
    // Does not compress below what an item holds.
    let mut noise = 1_u32;
    let large: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    })
    .take(1_500_000)
    .collect();
    let bodies: [&[u8]; 5] = [
        b"[]",
        b"",
        b"\xFF\x00\r\n",
        "日本 🥐 \u{FFFF}".as_bytes(),
        &large,
    ];
    let none = HeaderMap::new();
    let mut some = HeaderMap::new();
    let odd = HeaderValue::from_bytes(b"\xFF\t").unwrap();
    for value in [HeaderValue::from_static("order_created"), odd] {
        some.append("x-topic", value);
    }
    some.append("x-version", "caf\u{e9}".parse().unwrap());
    some.append("x-empty", HeaderValue::from_static(""));
    // The first came without any, the others with headers, a part and a form of their own.
    let headers = |number| if number > 0 { &some } else { &none };
    let part = |number| if number > 0 { "orders@v3" } else { "" };
    let form = |number| (number > 0).then_some(Form("raw"));
    for (number, body) in (0..).zip(bodies) {
        let receipt = Receipt {
            account: &acme,
            delivery: delivery_id(number),
            registration: token(1),
            webhook: Some(&webhook).filter(|_| number > 0),
            assurance: Assurance::UrlToken,
            form: form(number),
            received: at(number),
            hash: BodyHash::of(body),
            events: 3,
            headers: headers(number),
            part: part(number),
            body,
        };
        receipts.keep(&receipt).await.unwrap();
        // A retry is kept like the first attempt, and a lost answer makes the call come twice.
        let retry = Receipt {
            registration: token(2),
            webhook: Some(&another).filter(|_| number > 0),
            assurance: Assurance::Signature,
            received: at(number + 60_000),
            ..receipt
        };
        receipts.keep(&retry).await.unwrap();
    }
    for (number, body) in (0..).zip(bodies) {
        let kept = reader.receipt(&acme, delivery_id(number)).await.unwrap();
        assert!(kept.kept.body == body, "body {number} is not what was kept");
        let expected = ReadReceipt {
            registration: token(1).to_string(),
            webhook: (number > 0).then(|| "wh_1".to_owned()),
            proof: "url_token".to_owned(),
            received: at(number).to_string(),
            hash: BodyHash::of(body).to_string(),
            events: 3,
            form: form(number).map(|form| form.0.to_owned()),
            kept: KeptDelivery {
                headers: headers(number).clone(),
                part: part(number).to_owned(),
                body: body.to_vec(),
            },
        };
        assert!(
            kept == expected,
            "receipt {number} is not that of the first attempt"
        );
        assert_eq!(reader.receipt(&other, delivery_id(number)).await, None);
    }
}

async fn a_marker_is_held_by_one(receipts: &impl Markers) {
    let (acme, other) = (account("acme"), account("other"));
    let key = MarkerKey {
        account: &acme,
        registration: token(1),
        retry: BodyHash::of(b"refused").into(),
    };
    let free = Marker {
        delivery: delivery_id(1),
        expires: at(86_400_000),
        leased_until: at(0),
        attempts: 3,
    };
    let held = |until| Marker {
        leased_until: at(until),
        ..free
    };
    let read = async || receipts.find(key).await.unwrap();
    let lease = async |seen: &Marker, until| receipts.lease(key, seen, at(until)).await.unwrap();

    assert_eq!(read().await, None);
    assert!(!lease(&free, 15_000).await, "there is nothing to hold");
    assert_eq!(read().await, None, "a lease makes no marker");
    receipts.unmark(key, at(0)).await.unwrap();

    let mark = async |marker: &Marker, now, until| {
        let marked = receipts.mark(key, marker, at(now), at(until));
        marked.await.unwrap();
    };
    let other_delivery = Marker {
        delivery: delivery_id(9),
        ..free
    };
    mark(&free, 0, 15_000).await;
    assert_eq!(read().await, Some(free));
    mark(&other_delivery, 1, 15_001).await;
    assert_eq!(
        read().await,
        Some(free),
        "an attempt that did not see it does not replace it"
    );
    let elsewhere = [
        MarkerKey {
            account: &other,
            ..key
        },
        MarkerKey {
            registration: token(2),
            ..key
        },
        MarkerKey {
            retry: BodyHash::of(b"something else").into(),
            ..key
        },
    ];
    for key in elsewhere {
        assert_eq!(receipts.find(key).await.unwrap(), None);
    }

    assert!(lease(&free, 15_000).await);
    assert_eq!(read().await, Some(held(15_000)));
    assert!(
        !lease(&free, 16_000).await,
        "it was seen as free, and is held"
    );
    assert!(
        lease(&held(15_000), 30_000).await,
        "a lease that ran out can be taken over"
    );
    for others in [15_000, 31_000] {
        receipts.unmark(key, at(others)).await.unwrap();
    }
    assert_eq!(
        read().await,
        Some(held(30_000)),
        "who lost the lease takes nothing away"
    );
    let of_another = Marker {
        delivery: delivery_id(2),
        ..held(30_000)
    };
    assert!(
        !lease(&of_another, 45_000).await,
        "another delivery's marker was seen"
    );

    mark(&other_delivery, 14_999, 29_999).await;
    assert_eq!(
        read().await,
        Some(held(30_000)),
        "an attempt from before, whose write comes late, takes it from nobody"
    );
    mark(&free, 15_000, 30_000).await;
    assert_eq!(
        read().await,
        Some(free),
        "an attempt that is refused again gives it back"
    );
    mark(&other_delivery, 86_399_999, 86_414_999).await;
    assert_eq!(read().await, Some(free));
    mark(&other_delivery, 86_400_000, 86_415_000).await;
    assert_eq!(
        read().await,
        Some(other_delivery),
        "one that has expired is replaced"
    );
    mark(&free, 86_400_000, 0).await;
    assert!(lease(&free, 45_000).await);
    receipts.unmark(key, at(45_000)).await.unwrap();
    assert_eq!(read().await, None);
    receipts.unmark(key, at(45_000)).await.unwrap();
}

async fn of_two_leases_at_once_one_is_had(receipts: &impl Markers) {
    let acme = account("acme");
    for round in 0..5 {
        let key = MarkerKey {
            account: &acme,
            registration: token(1),
            retry: BodyHash::of(format!("race {round}").as_bytes()).into(),
        };
        let free = Marker {
            delivery: delivery_id(3),
            expires: at(86_400_000),
            leased_until: at(0),
            attempts: 1,
        };
        let marked = receipts.mark(key, &free, at(0), at(15_000)).await;
        marked.unwrap();
        // The same end for both: two requests can come in the same millisecond.
        let (a, b) = tokio::join!(
            receipts.lease(key, &free, at(15_000)),
            receipts.lease(key, &free, at(15_000)),
        );
        assert!(a.unwrap() != b.unwrap(), "both or none hold the marker");
    }
}

async fn strikes_count(receipts: &impl Receipts, reader: &impl ReceiptReader) {
    let (acme, other) = (account("acme"), account("other"));
    for (delivery, millis) in [(1, 10), (1, 20), (2, 20)] {
        let failure = DeliveryFailure {
            account: &acme,
            delivery: delivery_id(delivery),
            at: at(millis),
            cause: "queue",
        };
        receipts.record_failure(&failure).await.unwrap();
    }
    assert_eq!(reader.failures(&acme).await, 3);
    assert_eq!(reader.failures(&other).await, 0);
}

async fn a_check_is_claimed_once_in_its_time(receipts: &impl CheckClaims) {
    let (acme, other) = (account("acme"), account("other"));
    let claim = async |of, now, until| receipts.claim_check(of, at(now), at(until)).await.unwrap();
    assert!(claim(&acme, 0, 300_000).await);
    assert!(!claim(&acme, 299_999, 600_000).await);
    assert!(claim(&other, 1, 300_001).await);
    assert!(claim(&acme, 300_000, 600_000).await);
    assert!(!claim(&acme, 300_001, 600_001).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    // requirement: check-fakes
    async fn the_fake_keeps_the_contract() {
        let fake = FakeReceipts::default();
        receipts(&fake, &fake).await;
        assert_eq!(fake.marker_count(), 5);
        assert!(fake.kept().iter().all(|kept| kept.attempts == 2));
    }
}
