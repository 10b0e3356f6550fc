//! Random names and secrets of the provider's shapes, drawn from the operating system.

const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn fill(bytes: &mut [u8]) {
    #[expect(
        clippy::expect_used,
        reason = "without randomness there are no secrets, and so no simulator"
    )]
    getrandom::fill(bytes).expect("random bytes of the operating system");
}

/// `length` letters and digits, each equally likely.
pub(crate) fn alphanumeric(length: usize) -> String {
    // 248 is the largest multiple of 62 in a byte: what lies above would favour the first letters.
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        fill(&mut bytes);
        text.extend(
            bytes
                .iter()
                .filter(|byte| **byte < 248)
                .filter_map(|byte| ALPHABET.get(usize::from(byte % 62)))
                .map(|letter| char::from(*letter))
                .take(length - text.len()),
        );
    }
    text
}

/// A random UUID (version 4), the form of `X-Request-Id` and of many ids.
pub(crate) fn uuid() -> String {
    let mut bytes = [0_u8; 16];
    fill(&mut bytes);
    let bits =
        (u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let mut id = String::with_capacity(36);
    for (position, digit) in hex.chars().enumerate() {
        if matches!(position, 8 | 12 | 16 | 20) {
            id.push('-');
        }
        id.push(digit);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_a_version_4_uuid() {
        let id = uuid();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"));
        assert_ne!(id, uuid());
    }
}
