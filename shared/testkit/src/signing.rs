//! Signs as the sources do, without the code that verifies: the two can only agree by both being right.
//!
//! <https://apidocs.orderspace.com/#webhook-events>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::signature::{Assurance, LiveSecrets, MacKey, Place, SharedSecret};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use serde_json::value::RawValue;
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

/// How a source proves its requests: by signing them, or by repeating a secret.
#[derive(Debug, Clone, Copy)]
pub struct Signer {
    /// The header of the proof, as HTTP/2 and API Gateway write it.
    pub header: &'static str,
    /// What it proves a request by.
    pub assurance: Assurance,
    /// Whether it proves one body and no other.
    pub binds_body: bool,
    sign: fn(&str, &[u8]) -> String,
    proves: fn(&str, &str, &[u8]) -> bool,
}

impl Signer {
    /// The source of that name, by the first of its ways.
    ///
    /// # Panics
    /// How it signs is not known here.
    #[must_use]
    pub fn of(source: &str) -> Self {
        let first = Self::all_of(source).first();
        *first.unwrap_or_else(|| panic!("how {source} signs is not known"))
    }

    /// The way of the source that uses this header, or the first.
    ///
    /// # Panics
    /// The source has no such way.
    #[must_use]
    pub fn at(source: &str, header: Option<&str>) -> Self {
        let Some(header) = header else {
            return Self::of(source);
        };
        let all = Self::all_of(source);
        let found = all.iter().find(|signer| signer.header == header);
        *found.unwrap_or_else(|| panic!("{source} proves nothing by {header}"))
    }

    /// Every way in which the source proves its requests.
    #[must_use]
    pub fn all_of(source: &str) -> &'static [Self] {
        match source {
            "apideck" => &[Self::APIDECK],
            "orderspace" => &[Self::ORDERSPACE],
            "ordermentum" => &[Self::ORDERMENTUM_HEADER, Self::ORDERMENTUM_BASIC],
            "onestock" => &[Self::ONESTOCK],
            "stackone" => &[Self::STACKONE],
            _ => &[],
        }
    }

    const APIDECK: Self = Self {
        header: "x-apideck-signature",
        assurance: Assurance::Signature,
        binds_body: true,
        sign: |key, body| hex(&mac(key, &sorted(body))),
        proves: |value, key, body| {
            let texts = [sorted(body), sorted_but_lists(body), body.to_vec()];
            from_hex(value).is_some_and(|tag| texts.iter().any(|text| tag == mac(key, text)))
        },
    };

    const ORDERSPACE: Self = Self {
        header: SIGNATURE_HEADER,
        assurance: Assurance::Signature,
        binds_body: true,
        sign: |key, body| STANDARD.encode(mac(key, body)),
        proves: |value, key, body| {
            STANDARD
                .decode(value)
                .is_ok_and(|tag| tag == mac(key, body))
        },
    };

    const ORDERMENTUM_HEADER: Self = Self {
        header: "x-orderhook-key",
        assurance: Assurance::SharedSecret,
        binds_body: false,
        sign: |secret, _| secret.to_owned(),
        proves: |value, secret, _| !secret.is_empty() && value == secret,
    };

    const ORDERMENTUM_BASIC: Self = Self {
        header: "authorization",
        assurance: Assurance::SharedSecret,
        binds_body: false,
        sign: |secret, _| secret.to_owned(),
        // The scheme may be in another case.
        proves: |value, secret, _| match (value.split_once(' '), secret.split_once(' ')) {
            (Some((scheme, credentials)), Some((own_scheme, own))) => {
                scheme.to_lowercase() == own_scheme.to_lowercase() && credentials.trim() == own
            }
            _ => false,
        },
    };

    const ONESTOCK: Self = Self {
        header: "onestock-signature",
        assurance: Assurance::Signature,
        binds_body: true,
        sign: |key, body| {
            let signed = [ONESTOCK_TIME.as_bytes(), b".", body].concat();
            format!("t={ONESTOCK_TIME},h0={}", hex(&mac(key, &signed)))
        },
        proves: onestock_proves,
    };

    const STACKONE: Self = Self {
        header: "x-stackone-signature",
        assurance: Assurance::Signature,
        binds_body: true,
        sign: |key, body| URL_SAFE_NO_PAD.encode(mac(key, body)),
        proves: |value, key, body| in_base64(value).is_some_and(|tag| tag == mac(key, body)),
    };

    /// What proves a body under a key: the header's value.
    #[must_use]
    pub fn sign(self, key: &str, body: &[u8]) -> String {
        (self.sign)(key, body)
    }

    /// Whether a header's value proves a body under a key, by a reader of its own.
    #[must_use]
    pub fn proves(self, value: &str, key: &str, body: &[u8]) -> bool {
        (self.proves)(value.trim(), key, body)
    }

    /// The live secrets of a webhook that proves its requests in this way.
    #[must_use]
    pub fn secrets(self, keys: &[&str]) -> LiveSecrets {
        let shared = |place| {
            let secrets = keys.iter().map(|key| SharedSecret::new(place, *key));
            LiveSecrets {
                macs: Vec::new(),
                shared: secrets.collect(),
            }
        };
        match (self.assurance, self.header) {
            (Assurance::SharedSecret, "authorization") => shared(Place::Basic),
            (Assurance::SharedSecret, _) => shared(Place::Header),
            (Assurance::Signature | Assurance::UrlToken, _) => LiveSecrets {
                macs: keys.iter().map(|key| MacKey::new(*key)).collect(),
                shared: Vec::new(),
            },
        }
    }

    /// A key that such a webhook could have, made of letters and digits.
    #[must_use]
    pub fn key(self, text: &str) -> String {
        match self.header {
            "authorization" => format!("Basic {}", STANDARD.encode(format!("orderhook:{text}"))),
            _ => text.to_owned(),
        }
    }
}

/// When OneStock signs, in seconds since 1970.
const ONESTOCK_TIME: &str = "1795176000";

/// Reads OneStock's header: a time and up to three tags, which may be made in any of four ways.
fn onestock_proves(value: &str, key: &str, body: &[u8]) -> bool {
    let mut text = value.to_owned();
    let name = "onestock-signature=";
    if text.to_lowercase().starts_with(name) {
        text.drain(..name.len());
    }
    for digit in 0..10 {
        text = text.replace(&format!(".h{digit}="), &format!(",h{digit}="));
    }
    let all: Vec<(&str, &str)> = text
        .split(',')
        .filter_map(|part| part.trim().split_once('='))
        .collect();
    let of = |wanted: &str| {
        let found = all.iter().filter(|(name, _)| *name == wanted);
        found.map(|(_, text)| *text).collect::<Vec<_>>()
    };
    let [time] = of("t")[..] else { return false };
    if time.is_empty() || time.len() > 12 || !time.chars().all(|c| c.is_ascii_digit()) {
        return false;
    }
    let tags = ["h0", "h1", "h2"].map(of);
    if tags.iter().any(|found| found.len() > 1) {
        return false;
    }
    let tags: Option<Vec<_>> = tags.concat().into_iter().map(in_hex_or_base64).collect();
    let Some(tags) = tags else { return false };
    let time = time.as_bytes();
    let signed = [
        [time, b".", body].concat(),
        [time, body].concat(),
        body.to_vec(),
        time.to_vec(),
    ];
    signed
        .iter()
        .any(|signed| tags.iter().any(|tag| *tag == mac(key, signed)))
}

/// The bytes of a tag of 32 bytes.
fn in_hex_or_base64(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 {
        return in_base64(text).filter(|tag| tag.len() == 32);
    }
    from_hex(text)
}

/// The bytes of base64 in either alphabet, with or without padding.
fn in_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_suffix('=').unwrap_or(text);
    let text = text.replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(text).ok()
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

/// The JSON of a body with the members of its objects sorted by name, printed anew. What is no object or list is
/// signed as it stands. Numbers and names that another program prints otherwise are not to be signed so.
fn sorted(body: &[u8]) -> Vec<u8> {
    match serde_json::from_slice(body) {
        Ok(mut value @ (Value::Object(_) | Value::Array(_))) => {
            value.sort_all_objects();
            value.to_string().into()
        }
        _ => body.to_vec(),
    }
}

/// The same, with objects that are in a list as they stand.
fn sorted_but_lists(body: &[u8]) -> Vec<u8> {
    fn sorted(raw: &RawValue) -> String {
        let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()) else {
            return raw.get().to_owned();
        };
        let members = members
            .into_iter()
            .map(|(name, value)| format!("{}:{}", Value::from(name), sorted(value)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(raw) => sorted(raw).into_bytes(),
        Err(_) => body.to_vec(),
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
