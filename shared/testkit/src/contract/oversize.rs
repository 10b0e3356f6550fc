//! [`ClaimCheck`]: bytes come back as they were put.

use std::collections::BTreeSet;

use domain::envelope::DataRef;
use domain::ports::ClaimCheck;

use super::Laxity;

/// Holds an implementation of [`ClaimCheck`] to its contract.
///
/// # Panics
/// The implementation does not keep the contract.
pub async fn oversize(oversize: &impl ClaimCheck) {
    let large: Vec<u8> = (0..3_000_000_u32)
        .map(|n| n.to_le_bytes()[n as usize % 3])
        .collect();
    let longest = format!("events/{}", "k".repeat(1024 - "events/".len()));
    let objects: [(&str, &[u8]); 4] = [
        (
            "events/acme/0193b3c8-7c1a-7000-8000-000000000000.00000",
            b"{\"a\":\"\xEF\xBF\xBF\"}",
        ),
        (
            "receipts/acme/0193b3c8-7c1a-7000-8000-000000000000",
            b"\xFF\x00\r\n",
        ),
        ("empty", b""),
        (&longest, &large),
    ];
    let mut places = Vec::new();
    for (key, bytes) in objects {
        places.push(oversize.put(key, bytes).await.unwrap());
    }
    for (place, (key, bytes)) in places.iter().zip(objects) {
        assert_eq!(place.object().map(|(_, key)| key), Some(key));
        let got = oversize.get(place).await.unwrap();
        assert!(got == bytes, "{key} came back changed");
    }
    let again = oversize.put("empty", b"not any more").await.unwrap();
    assert_eq!(again, places[2]);
    assert_eq!(oversize.get(&again).await.unwrap(), b"not any more");
    let (bucket, _) = again.object().unwrap();
    for (bucket, key) in [(bucket, "nothing/here"), ("elsewhere", "empty")] {
        let got = oversize.get(&DataRef::new(bucket, key)).await;
        assert!(got.is_err(), "{bucket} has {key}");
    }
}

/// The refusals of S3 that an implementation does not have.
pub async fn oversize_laxity(oversize: &impl ClaimCheck) -> BTreeSet<Laxity> {
    let mut lax = BTreeSet::new();
    if oversize.put(&"k".repeat(1025), b"bytes").await.is_ok() {
        lax.insert(Laxity::LongObjectKey);
    }
    lax
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::FakeOversize;

    #[tokio::test]
    async fn the_fake_keeps_the_contract() {
        let fake = FakeOversize::default();
        oversize(&fake).await;
        assert_eq!(oversize_laxity(&fake).await, BTreeSet::new());
        assert_eq!(fake.objects()["empty"], b"not any more");
    }
}
