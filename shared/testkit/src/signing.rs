//! Signs as Orderspace does, without the code that verifies: the two can only agree by both being right.
//!
//! <https://apidocs.orderspace.com/#webhook-events>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
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
    /// The bytes that are signed of a body.
    signed: fn(&[u8]) -> Vec<u8>,
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
            "apideck" => Self {
                header: "x-apideck-signature",
                signed: sorted,
                encode: |tag| hex(&tag),
                decode: from_hex,
            },
            "orderspace" => Self {
                header: SIGNATURE_HEADER,
                signed: <[u8]>::to_vec,
                encode: |tag| STANDARD.encode(tag),
                decode: |text| STANDARD.decode(text).ok(),
            },
            "stackone" => Self {
                header: "x-stackone-signature",
                signed: <[u8]>::to_vec,
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
        (self.encode)(mac(key, &(self.signed)(body)))
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

/// The JSON of a body with the members of its objects sorted by name, printed anew. What is no object or list is signed as it
/// stands. Numbers and names that another program prints otherwise are not to be signed so.
fn sorted(body: &[u8]) -> Vec<u8> {
    match serde_json::from_slice(body) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => sorted_value(value).to_string().into(),
        _ => body.to_vec(),
    }
}

fn sorted_value(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<_, _> = members.into_iter().collect();
            let members = members.into_iter();
            Value::Object(
                members
                    .map(|(name, value)| (name, sorted_value(value)))
                    .collect(),
            )
        }
        Value::Array(items) => items.into_iter().map(sorted_value).collect(),
        other => other,
    }
}

/// SHA-256 in lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !text.len().is_multiple_of(2) {
        return None;
    }
    let digits = (0..text.len()).step_by(2).map(|at| text.get(at..at + 2));
    digits
        .map(|digits| u8::from_str_radix(digits?, 16).ok())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
