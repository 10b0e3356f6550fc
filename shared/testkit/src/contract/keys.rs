//! [`Keys`]: an account's live keys, and none where there are none.

use std::future::Future;

use domain::account::AccountName;
use domain::ports::Keys;

use crate::fakes::FakeKeys;

/// What writes the keys that the suite reads.
pub trait KeyStore: Sync {
    /// Stores an account's keys by webhook, in place of those before.
    fn put(&self, account: &AccountName, keys: &[(&str, &str)]) -> impl Future<Output = ()> + Send;
}

impl KeyStore for FakeKeys {
    async fn put(&self, account: &AccountName, keys: &[(&str, &str)]) {
        Self::put(self, account, keys);
    }
}

/// Holds an implementation of [`Keys`] to its contract. The accounts `acme` and `other` have no keys yet.
///
/// # Panics
/// It breaks it.
pub async fn keys(keys: &impl Keys, store: &impl KeyStore) {
    let acme: AccountName = "acme".parse().unwrap();
    let other: AccountName = "other".parse().unwrap();
    let nobody: AccountName = "nobody".parse().unwrap();
    let read = async |account: &AccountName| {
        let keys = keys.read(account).await.unwrap();
        let mut keys: Vec<_> = keys
            .iter()
            .map(|(webhook, key)| (webhook.to_string(), key.expose().to_owned()))
            .collect();
        keys.sort();
        keys
    };
    let pair = |webhook: &str, key: &str| (webhook.to_owned(), key.to_owned());
    assert_eq!(read(&nobody).await, []);
    store.put(&acme, &[("wh_1", "one")]).await;
    store.put(&other, &[("wh_1", "é\"\\ other")]).await;
    assert_eq!(read(&acme).await, [pair("wh_1", "one")]);
    assert_eq!(read(&other).await, [pair("wh_1", "é\"\\ other")]);
    store.put(&acme, &[("wh_2", "two"), ("wh_1", "one")]).await;
    assert_eq!(
        read(&acme).await,
        [pair("wh_1", "one"), pair("wh_2", "two")]
    );
    store.put(&acme, &[]).await;
    assert_eq!(read(&acme).await, []);
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
