//! How Orderspace signs a delivery: `X-Orderspace-Signature` is the standard, padded base64 of an HMAC-SHA256 over
//! the raw body.
//!
//! <https://apidocs.orderspace.com/#webhooks>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::key::SigningKey;

/// Name of the header that carries the signature, in the lower case that HTTP libraries want.
pub(crate) const SIGNATURE_HEADER: &str = "x-orderspace-signature";

impl SigningKey {
    /// Signs the exact bytes of a body as Orderspace does, and returns the header's value.
    pub fn sign(&self, body: &[u8]) -> String {
        STANDARD.encode(self.mac(body))
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
}
