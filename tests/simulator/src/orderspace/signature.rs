//! How Orderspace signs a delivery: `X-Orderspace-Signature` is the standard, padded base64 of an HMAC-SHA256 over
//! the raw body, keyed with the characters of the signing key as they are printed (nothing is decoded).
//!
//! <https://apidocs.orderspace.com/#webhooks>

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::random;

/// Name of the header that carries the signature, in the lower case that HTTP libraries want.
pub const SIGNATURE_HEADER: &str = "x-orderspace-signature";

/// Length of the signing keys that Orderspace generates.
pub const SIGNING_KEY_LENGTH: usize = 40;

/// A webhook's signing key. It has no `Display`, and its `Debug` hides the value.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(String);

impl SigningKey {
    /// Takes a key as Orderspace shows it. Any text is a key, because the provider promises no alphabet.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// A fresh key of the provider's shape: 40 letters and digits.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random::alphanumeric(SIGNING_KEY_LENGTH).map(Self)
    }

    /// The key itself, for the API answers that contain it and for receivers that have to verify.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Signs the exact bytes of a body and returns the header's value.
    pub fn sign(&self, body: &[u8]) -> String {
        #[expect(
            clippy::expect_used,
            reason = "HMAC is defined for keys of every length"
        )]
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_bytes()).expect("a key of any length");
        mac.update(body);
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const KEY: &str = "7R2gNdE4GU8K06WXPV9lOXBic9mSs5LjKMsk46eW";

    #[rstest]
    #[case::one_event(
        r#"[{"event":"inventory_level.updated","data":{"inventory_level":{"sku":"AD01-10","on_hand":20.0,"on_hand_adjustment":10.0,"available":20.0,"available_adjustment":10.0}}}]"#,
        "Ufy9m/nEdY0PASnAr137O+ZisTfU6hd5RaRFjI2lrgg="
    )]
    #[case::escapes_stay_as_written(
        r#"[{"event":"customer.deleted","data":{"customer":{"id":"cu_dnwz8gnx","company_name":"Fish \u0026 Chips \u003cLtd\u003e","deleted":true}}}]"#,
        "i69fHQziwW8Ve8QphGj39agOHUQEkfammrBpPI1X0rA="
    )]
    #[case::utf8(
        r#"[{"event":"customer.deleted","data":{"customer":{"id":"cu_dnwz8gnx","company_name":"Panadería 日本 🥐","deleted":true}}}]"#,
        "XalnjRSTfLzTUdZLMlDC8DvIXQejfAp4PJH/oMPOxdM="
    )]
    #[case::mixed_types(
        r#"[{"event":"order.deleted","data":{"order":{"id":"or_l5DYqeDn","number":1204,"deleted":true}}},{"event":"product.deleted","data":{"product":{"id":"pr_lj3pwm1n","code":"AD01","name":"Alexa Dress","deleted":true}}}]"#,
        "xOVVEmgsMnLPv6Cwxdqv+tS2jJfGT6DiburmkDBogYk="
    )]
    fn signs_like_orderspace(#[case] body: &str, #[case] signature: &str) {
        assert_eq!(SigningKey::new(KEY).sign(body.as_bytes()), signature);
    }

    #[test]
    fn a_generated_key_has_forty_letters_and_digits_and_differs_from_the_next() {
        let key = SigningKey::generate().unwrap();
        assert_eq!(key.reveal().len(), 40);
        assert!(key.reveal().chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(key, SigningKey::generate().unwrap());
    }

    #[test]
    fn debug_hides_the_key() {
        assert!(!format!("{:?}", SigningKey::new(KEY)).contains(KEY));
    }
}
