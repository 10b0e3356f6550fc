//! [`Keys`]: an account's live keys, and none where there are none.

use std::collections::BTreeMap;
use std::future::Future;

use domain::account::{AccountName, KeysVersion, UrlToken, WebhookId};
use domain::ports::Keys;
use domain::signature::{MacKey, RegistrationKeys, SigningKeys};

use crate::fakes::FakeKeys;

/// What writes the keys that the suite reads.
pub trait KeyStore: Sync {
    /// Stores an account's keys, in place of those before.
    fn put(&self, account: &AccountName, keys: &SigningKeys) -> impl Future<Output = ()> + Send;
}

impl KeyStore for FakeKeys {
    async fn put(&self, account: &AccountName, keys: &SigningKeys) {
        self.replace(account, keys.clone());
    }
}

/// The keys of registrations, each with its number, its webhook and its version.
fn of(registrations: &[(u8, Option<&str>, u64, &str)]) -> SigningKeys {
    let mut keys = SigningKeys::default();
    for (number, webhook, version, key) in registrations {
        let token = UrlToken::from_random(&[*number; 32]).hash();
        let webhook = webhook.map(WebhookId::new);
        let of_one = RegistrationKeys {
            version: KeysVersion::new(*version),
            secrets: MacKey::new(*key).into(),
        };
        keys.put(token, webhook.as_ref(), of_one);
    }
    keys
}

/// Holds an implementation of [`Keys`] to its contract. The accounts `acme` and `other` have no keys yet.
///
/// # Panics
/// It breaks it.
pub async fn keys(keys: &impl Keys, store: &impl KeyStore) {
    let acme: AccountName = "acme".parse().unwrap();
    let other: AccountName = "other".parse().unwrap();
    let nobody: AccountName = "nobody".parse().unwrap();
    let holds = async |account: &AccountName, expected: &SigningKeys| {
        let read = keys.read(account).await.unwrap();
        assert!(read.same(expected), "{account} has other keys");
    };
    holds(&nobody, &SigningKeys::default()).await;
    let one = of(&[(1, Some("wh_1"), 7, "one")]);
    let odd = of(&[(1, None, 0, "é\"\\ other")]);
    store.put(&acme, &one).await;
    store.put(&other, &odd).await;
    holds(&acme, &one).await;
    holds(&other, &odd).await;
    let two = of(&[(2, Some("wh_2"), 9, "two"), (1, Some("wh_1"), 7, "one")]);
    store.put(&acme, &two).await;
    holds(&acme, &two).await;
    let before = BTreeMap::from([(WebhookId::new("wh_1"), MacKey::new("one"))]);
    let before = SigningKeys::stored(BTreeMap::new(), before);
    store.put(&acme, &before).await;
    holds(&acme, &before).await;
    store.put(&acme, &SigningKeys::default()).await;
    holds(&acme, &SigningKeys::default()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_fake_keeps_the_contract() {
        let fake = FakeKeys::default();
        keys(&fake, &fake).await;
    }
}
