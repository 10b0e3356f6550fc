//! Signs as Orderspace does, without the code that verifies: the two can only agree by both being right.
//!
//! <https://apidocs.orderspace.com/#webhook-events>

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// The header of the signature, as HTTP/2 and API Gateway write it.
pub const SIGNATURE_HEADER: &str = "x-orderspace-signature";

/// A signing key of the shape that Orderspace makes: the one of its documentation's examples.
pub const SIGNING_KEY: &str = "7R2gNdE4GU8K06WXPV9lOXBic9mSs5LjKMsk46eW";

/// A second key, as it is live while one replaces another.
pub const OTHER_SIGNING_KEY: &str = "k3Yq0ZtB5nVwXc8RjLh2Mf7UoPa1Ds6Ge9Ti4Wbv";

/// The signature of a body under a key: padded base64 of the HMAC-SHA256, 44 characters.
#[must_use]
pub fn sign(key: &str, body: &[u8]) -> String {
    Signer::of("orderspace").sign(key, body)
}

/// How a source signs.
#[derive(Debug, Clone, Copy)]
pub struct Signer {
    /// The header of the signature, as HTTP/2 and API Gateway write it.
    pub header: &'static str,
    encode: fn([u8; 32]) -> String,
    decode: fn(&str) -> Option<Vec<u8>>,
}

impl Signer {
    /// The source of that name.
    ///
    /// # Panics
    /// How it signs is not known here.
    #[must_use]
    pub fn of(source: &str) -> Self {
        match source {
            "orderspace" => Self {
                header: SIGNATURE_HEADER,
                encode: |tag| STANDARD.encode(tag),
                decode: |text| STANDARD.decode(text).ok(),
            },
            "stackone" => Self {
                header: "x-stackone-signature",
                encode: |tag| URL_SAFE_NO_PAD.encode(tag),
                // Both alphabets, with or without padding.
                decode: |text| {
                    let text = text.strip_suffix('=').unwrap_or(text);
                    let text = text.replace('+', "-").replace('/', "_");
                    URL_SAFE_NO_PAD.decode(text).ok()
                },
            },
            other => panic!("how {other} signs is not known"),
        }
    }

    /// The signature of a body under a key.
    #[must_use]
    pub fn sign(self, key: &str, body: &[u8]) -> String {
        (self.encode)(mac(key, body))
    }

    /// The bytes that a signature writes; none where it is not how the source writes any.
    #[must_use]
    pub fn decoded(self, signature: &str) -> Option<Vec<u8>> {
        (self.decode)(signature.trim())
    }
}

/// The signature in hexadecimal digits, which Orderspace does not send.
#[must_use]
pub fn sign_in_hex(key: &str, body: &[u8]) -> String {
    hex(&mac(key, body))
}

fn mac(key: &str, body: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes every key");
    mac.chain_update(body).finalize().into_bytes().into()
}

/// SHA-256 in lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
