//! Compression of what is kept whole: the bodies of deliveries and records in their compact form.
//!
//! Zstandard (RFC 8878). What is unpacked is bounded, so that no stored bytes can fill the memory.
//!
//! A [`Dictionary`] has what such content says again and again, so that an order of 1.5 KB takes 400 bytes and fits into one of
//! DynamoDB's write units with the rest of its item. A frame names the dictionary that it was packed with, and whatever is
//! stored has to stay readable: a dictionary never changes and never goes; a better one gets the next number.

use std::io::{self, Read};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::LazyLock;

use thiserror::Error;
use zstd::bulk::Compressor;
use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::stream::read::Decoder;
use zstd::zstd_safe::get_dict_id_from_frame;

/// The largest content, in bytes: a delivery is at most 6 MB.
const LARGEST: u64 = 16 * 1024 * 1024;
/// The window that may be asked for, as a power of two: that of [`LARGEST`].
const LARGEST_WINDOW: u32 = 24;
/// Zstandard's own default, between size and time.
const LEVEL: i32 = 3;

/// The dictionary whose id is 1. The README beside it says how it was made.
const FIRST: &[u8] = include_bytes!("../../dictionaries/1.zstd-dictionary");
/// Its id, which its frames name.
const FIRST_ID: u32 = 1;

// Prepared once, and only where it is used: it takes longer than what is packed with it. `None` cannot be, as the bytes are
// those of a dictionary; a test reads them.
static FIRST_ENCODER: LazyLock<Option<EncoderDictionary<'static>>> =
    LazyLock::new(|| EncoderDictionary::try_copy(FIRST, LEVEL).ok());
static FIRST_DECODER: LazyLock<Option<DecoderDictionary<'static>>> =
    LazyLock::new(|| DecoderDictionary::try_copy(FIRST).ok());

/// The dictionary that content is packed with. Whatever it is packed with, it is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dictionary {
    /// None, which release 0.1.0 reads as well.
    #[default]
    None,
    /// The one whose id is 1.
    First,
}

/// A word that names no [`Dictionary`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a dictionary is `none` or `1`")]
pub struct DictionaryError;

impl FromStr for Dictionary {
    type Err = DictionaryError;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "none" => Ok(Self::None),
            "1" => Ok(Self::First),
            _ => Err(DictionaryError),
        }
    }
}

/// Packs bytes.
///
/// # Errors
/// Memory is short.
pub(crate) fn pack(bytes: &[u8], dictionary: Dictionary) -> io::Result<Vec<u8>> {
    match dictionary {
        Dictionary::None => zstd::bulk::compress(bytes, LEVEL),
        Dictionary::First => {
            let first = FIRST_ENCODER.as_ref().ok_or(io::ErrorKind::InvalidData)?;
            Compressor::with_prepared_dictionary(first)?.compress(bytes)
        }
    }
}

/// Unpacks what [`pack`] made, of this release or of another.
///
/// # Errors
/// The bytes are no Zstandard frame, were packed with a dictionary that this release does not have, or hold more than is ever
/// packed.
pub(crate) fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut decoder = match get_dict_id_from_frame(packed).map(NonZeroU32::get) {
        None => Decoder::with_buffer(packed)?,
        Some(FIRST_ID) => {
            let first = FIRST_DECODER.as_ref().ok_or(io::ErrorKind::InvalidData)?;
            Decoder::with_prepared_dictionary(packed, first)?
        }
        Some(other) => {
            let reason =
                format!("packed with dictionary {other}, which this release does not have");
            return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
        }
    };
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
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;
    use zstd::zstd_safe::get_dict_id_from_dict;

    const ALL: [Dictionary; 2] = [Dictionary::None, Dictionary::First];

    proptest! {
        #[test]
        fn what_is_packed_unpacks(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            for dictionary in ALL {
                prop_assert_eq!(&unpack(&pack(&bytes, dictionary).unwrap()).unwrap(), &bytes);
            }
        }

        #[test]
        fn stored_bytes_of_any_kind_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(unpack(&bytes).is_ok_and(|unpacked| unpacked.is_empty()) || unpack(&bytes).is_err());
        }

        /// A frame without its checksum may still unpack, to something else, but not to too much.
        #[test]
        fn a_broken_frame_does_not_panic(
            dictionary in prop::sample::select(ALL.to_vec()),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            end in any::<prop::sample::Index>(),
        ) {
            let mut packed = pack(ORDER.as_bytes(), dictionary).unwrap();
            *at.get_mut(&mut packed) = byte;
            prop_assert!(unpack(&packed).is_err() || unpack(&packed).is_ok_and(|bytes| bytes.len() < 1 << 20));
            let packed = pack(ORDER.as_bytes(), dictionary).unwrap();
            let end = end.index(packed.len());
            prop_assert!(unpack(&packed[..end]).is_err() || end == 0);
        }
    }

    /// An order such as no documentation has it.
    const ORDER: &str = r#"{"id":"or_7pXw2LmQ","number":58213,"created":"2026-03-17T09:41:22Z","status":"invoiced","customer_id":"cu_mz83kd0q","company_name":"Blackwater Fine Foods Ltd","phone":"+44 161 496 0843","email_addresses":{"orders":"purchasing@blackwaterfoods.example","dispatches":"warehouse@blackwaterfoods.example","invoices":"accounts@blackwaterfoods.example"},"delivery_date":"2026-03-21","reference":"PO 99-1188","internal_note":"Call before 7am","customer_po_number":"99-1188","customer_note":"Leave with concierge","standing_order_id":null,"shipping_type":"Pallet, next day","currency":"GBP","net_total":993.6,"gross_total":993.6}"#;

    #[rstest]
    #[case::without("KLUv/SAhCQEAeyJpZCI6Im9yXzEiLCJzdGF0dXMiOiJyZWxlYXNlZCJ9")]
    #[case::with_the_first("KLUv/SEBIb0AAFByZWxlYXNlZCJ9A3wABNd4Aq1zVZUB")]
    fn what_was_packed_stays_readable(#[case] stored: &str) {
        use base64::Engine as _;
        let packed = base64::engine::general_purpose::STANDARD
            .decode(stored)
            .unwrap();
        let bytes = unpack(&packed).unwrap();
        assert_eq!(bytes, br#"{"id":"or_1","status":"released"}"#);
    }

    /// Whatever was packed with it needs it as it was.
    #[test]
    fn the_dictionary_is_the_one_that_it_always_was() {
        let hash = domain::identity::BodyHash::of(FIRST).to_string();
        assert_eq!(
            hash,
            "010e625babf0f80869ae390a127fb63414f4c83b6c4530327513afdcaefc30ca"
        );
    }

    #[test]
    fn a_frame_names_its_dictionary_and_one_that_is_not_known_is_refused_by_its_number() {
        assert_eq!(
            get_dict_id_from_dict(FIRST).map(NonZeroU32::get),
            Some(FIRST_ID)
        );
        let packed = pack(ORDER.as_bytes(), Dictionary::None).unwrap();
        assert_eq!(get_dict_id_from_frame(&packed), None);
        let mut packed = pack(ORDER.as_bytes(), Dictionary::First).unwrap();
        assert_eq!(
            get_dict_id_from_frame(&packed).map(NonZeroU32::get),
            Some(FIRST_ID)
        );
        // The byte after the magic number and the descriptor: the id.
        assert_eq!(std::mem::replace(&mut packed[5], 77), 1);
        let error = unpack(&packed).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("dictionary 77"), "{error}");
    }

    /// Frames one after the other are read with the dictionary of the first: none of ours is, and none may read as something
    /// else.
    #[test]
    fn frames_of_several_dictionaries_are_no_content() {
        let [plain, first] = ALL.map(|dictionary| pack(ORDER.as_bytes(), dictionary).unwrap());
        assert!(unpack(&[plain, first].concat()).is_err());
    }

    #[test]
    fn words_name_dictionaries() {
        assert_eq!("none".parse(), Ok(Dictionary::None));
        assert_eq!("1".parse(), Ok(Dictionary::First));
        for word in ["", "0", "2", "01", "None"] {
            assert_eq!(word.parse::<Dictionary>(), Err(DictionaryError), "{word}");
        }
        assert_eq!(Dictionary::default(), Dictionary::None);
    }

    #[test]
    fn a_small_frame_that_unpacks_to_too_much_is_refused() {
        let most = vec![0; 16 * 1024 * 1024];
        for dictionary in ALL {
            let packed = pack(&most, dictionary).unwrap();
            assert_eq!(unpack(&packed).unwrap().len(), most.len());
            let more = pack(&[&*most, &[0]].concat(), dictionary).unwrap();
            assert!(more.len() < 4096);
            assert!(unpack(&more).is_err());
        }
    }

    /// The fixtures' files, of every source.
    fn fixtures() -> Vec<PathBuf> {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push(path),
                }
            }
        }
        files
    }

    #[test]
    fn every_fixture_unpacks_whatever_it_is_packed_with() {
        let files = fixtures();
        assert!(files.len() > 300, "{}", files.len());
        for file in files {
            let bytes = fs::read(&file).unwrap();
            for dictionary in ALL {
                let packed = pack(&bytes, dictionary).unwrap();
                assert_eq!(
                    unpack(&packed).unwrap(),
                    bytes,
                    "{} {dictionary:?}",
                    file.display()
                );
            }
        }
    }

    /// What it is for, also of content that it was not made from.
    #[test]
    fn content_is_a_third_smaller_with_the_dictionary() {
        let [plain, first] =
            ALL.map(|dictionary| pack(ORDER.as_bytes(), dictionary).unwrap().len());
        assert!(first * 3 <= plain * 2, "{first} of {plain} bytes");
    }
}
