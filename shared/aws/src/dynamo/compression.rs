//! Compression of what is kept whole: the bodies of deliveries and records in their compact form.
//!
//! Zstandard (RFC 8878). What is unpacked is bounded, so that no stored bytes can fill the memory.

use std::io::{self, Read};

/// The largest content, in bytes: a delivery is at most 6 MB.
const LARGEST: u64 = 16 * 1024 * 1024;
/// The window that may be asked for, as a power of two: that of [`LARGEST`].
const LARGEST_WINDOW: u32 = 24;
/// Zstandard's own default, between size and time.
const LEVEL: i32 = 3;

/// Packs bytes.
///
/// # Errors
/// Memory is short.
pub(crate) fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(bytes, LEVEL)
}

/// Unpacks what [`pack`] made.
///
/// # Errors
/// The bytes are no Zstandard frame, or hold more than is ever packed.
pub(crate) fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    decoder.window_log_max(LARGEST_WINDOW)?;
    let mut bytes = Vec::new();
    decoder.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST) {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::FileTooLarge.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_unpacks(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            prop_assert_eq!(unpack(&pack(&bytes).unwrap()).unwrap(), bytes);
        }

        #[test]
        fn stored_bytes_of_any_kind_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(unpack(&bytes).is_ok_and(|unpacked| unpacked.is_empty()) || unpack(&bytes).is_err());
        }
    }

    #[test]
    fn a_small_frame_that_unpacks_to_too_much_is_refused() {
        let most = vec![0; 16 * 1024 * 1024];
        assert_eq!(unpack(&pack(&most).unwrap()).unwrap().len(), most.len());
        let more = pack(&[&*most, &[0]].concat()).unwrap();
        assert!(more.len() < 4096);
        assert!(unpack(&more).is_err());
    }
}
