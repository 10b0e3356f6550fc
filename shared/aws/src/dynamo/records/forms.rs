//! A record into each form and back, for the fuzzer: what is kept must read back as what was sent.

use super::{CONTENT_LIMIT, Dictionary, compact, native};

/// The record as it reads back from a map; none where no map holds it, an error where a map did and cannot be read.
#[must_use]
pub fn through_a_map(json: &str) -> Option<Result<String, String>> {
    let attribute = native::to_attribute(json, CONTENT_LIMIT).ok()?;
    Some(native::to_json(&attribute).map_err(|error| error.to_string()))
}

/// The record as it reads back from compressed text, without a dictionary and with one: none where they differ.
#[must_use]
pub fn through_compressed_text(json: &str) -> Option<String> {
    let through = |dictionary| compact::unpack(&compact::pack(json, dictionary).ok()?);
    let plain = through(Dictionary::None);
    (plain == through(Dictionary::First)).then_some(plain)?
}

/// Whether these bytes, found in a table, are taken for a record.
#[must_use]
pub fn unpacked(bytes: &[u8]) -> Option<String> {
    compact::unpack(bytes)
}
