//! [`Tokens`]: what a URL token stands for.

use std::future::Future;

use domain::account::{KeysVersion, TokenEntry, TokenHash, TokenStatus, UrlToken, WebhookId};
use domain::ports::Tokens;
use domain::source::Source;

use crate::fakes::FakeTokens;

/// What writes the tokens that the suite finds.
pub trait TokenStore: Sync {
    /// Stores what a token stands for.
    fn put(&self, token: &TokenHash, entry: &TokenEntry) -> impl Future<Output = ()> + Send;
}

impl TokenStore for FakeTokens {
    async fn put(&self, token: &TokenHash, entry: &TokenEntry) {
        Self::put(self, *token, entry.clone());
    }
}

/// Holds an implementation of [`Tokens`] to its contract.
///
/// # Panics
/// It breaks it.
pub async fn tokens(tokens: &impl Tokens, store: &impl TokenStore) {
    let hash = |byte| UrlToken::from_random(&[byte; 32]).hash();
    let entry = |webhook: Option<&str>, status| TokenEntry {
        account: "acme".parse().unwrap(),
        source: match webhook {
            Some(_) => Source::Orderspace,
            None => Source::StackOne,
        },
        keys: KeysVersion::new(webhook.map_or(0, |_| 7)),
        webhook: webhook.map(WebhookId::new),
        status,
        policy: None,
    };
    let entries = [
        entry(None, TokenStatus::Pending),
        entry(Some("wh_1"), TokenStatus::Live),
        entry(Some("wh_1"), TokenStatus::Grace),
        entry(Some("wh_1"), TokenStatus::Retired),
        entry(None, TokenStatus::Retired),
    ];
    assert_eq!(tokens.find(&hash(1)).await.unwrap(), None);
    for entry in &entries {
        store.put(&hash(1), entry).await;
        assert_eq!(tokens.find(&hash(1)).await.unwrap().as_ref(), Some(entry));
    }
    assert_eq!(tokens.find(&hash(2)).await.unwrap(), None);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_fake_keeps_the_contract() {
        let fake = FakeTokens::default();
        tokens(&fake, &fake).await;
    }
}
