//! Signatures: proof that a delivery comes from who knows the signing key.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::account::WebhookId;

/// A webhook's signing key, as the source gave it. Does not print.
#[derive(Clone)]
pub struct SigningKey(SecretString);

impl SigningKey {
    /// Takes the key's characters; their bytes are the HMAC key, nothing is decoded.
    #[must_use]
    pub fn new(key: impl Into<String>) -> Self {
        Self(SecretString::from(key.into()))
    }

    /// The key's characters, for the one place that stores them.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether `signature` is the HMAC-SHA256 of `message` under this key; compared in constant time.
    fn signed(&self, message: &[u8], signature: &[u8; 32]) -> bool {
        // HMAC takes a key of any length, so the other arm is never reached; refusing is its safe reading.
        match Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes()) {
            Ok(mac) => mac.chain_update(message).verify_slice(signature).is_ok(),
            Err(_) => false,
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(_)")
    }
}

/// The live signing keys of an account, by webhook: several while one replaces another.
#[derive(Debug, Clone, Default)]
pub struct SigningKeys(Vec<(WebhookId, SigningKey)>);

impl SigningKeys {
    /// Whether the key of this webhook is among them.
    #[must_use]
    pub fn holds(&self, webhook: &WebhookId) -> bool {
        self.0.iter().any(|(id, _)| id == webhook)
    }

    /// The webhooks and their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&WebhookId, &SigningKey)> {
        self.0.iter().map(|(id, key)| (id, key))
    }

    /// The webhook whose key signed the message, if one did. Every key is tried, so the time taken does not
    /// tell which one fits.
    pub(crate) fn signer(&self, message: &[u8], signature: &[u8; 32]) -> Option<&WebhookId> {
        let mut signer = None;
        for (webhook, key) in &self.0 {
            if key.signed(message, signature) {
                signer = Some(webhook);
            }
        }
        signer
    }
}

impl FromIterator<(WebhookId, SigningKey)> for SigningKeys {
    fn from_iter<I: IntoIterator<Item = (WebhookId, SigningKey)>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_held_by_their_webhooks() {
        let webhook = |id: &str| WebhookId::new(id);
        let keys: SigningKeys = [(webhook("wh_1"), SigningKey::new("k"))]
            .into_iter()
            .collect();
        assert!(keys.holds(&webhook("wh_1")));
        assert!(!keys.holds(&webhook("wh_2")));
        let listed: Vec<_> = keys
            .iter()
            .map(|(id, key)| (id.as_str(), key.expose()))
            .collect();
        assert_eq!(listed, [("wh_1", "k")]);
        assert!(!SigningKeys::default().holds(&webhook("wh_1")));
    }
}
