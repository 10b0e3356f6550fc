//! Signing keys, and the one algorithm that every source uses: HMAC-SHA256, keyed with the characters of the key as they
//! are printed (nothing is decoded). How the message is made and the digest written is each source's own.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::random;

/// Length of the signing keys that a source generates.
pub(crate) const SIGNING_KEY_LENGTH: usize = 40;

/// A webhook's signing key. It has no `Display`, and its `Debug` hides the value.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(String);

impl SigningKey {
    /// Takes a key as the source shows it. Any text is a key, because no source promises an alphabet.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// A fresh key: 40 letters and digits, the shape of Orderspace's.
    pub fn generate() -> Self {
        Self(random::alphanumeric(SIGNING_KEY_LENGTH))
    }

    /// The key itself, for the API answers that contain it and for receivers that have to verify.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The HMAC-SHA256 of a message.
    pub fn mac(&self, message: &[u8]) -> [u8; 32] {
        #[expect(
            clippy::expect_used,
            reason = "HMAC is defined for keys of every length"
        )]
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("a key of any length");
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "7R2gNdE4GU8K06WXPV9lOXBic9mSs5LjKMsk46eW";

    #[test]
    fn a_generated_key_has_forty_letters_and_digits_and_differs_from_the_next() {
        let key = SigningKey::generate();
        assert_eq!(key.reveal().len(), 40);
        assert!(key.reveal().chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(key, SigningKey::generate());
    }

    #[test]
    fn debug_hides_the_key() {
        assert!(!format!("{:?}", SigningKey::new(KEY)).contains(KEY));
    }
}
