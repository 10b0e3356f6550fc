//! The keys of items: every partition key is written here and nowhere else.
//!
//! | table | partition key | sort key |
//! |---|---|---|
//! | accounts | `account#{account}` | |
//! | accounts | `token#{SHA-256 of the token, hex}`: the token itself is stored nowhere | |
//! | accounts | `erasure#{account}#{`[`ErasureId`]`}` | |
//! | receipts | [`Receipt::partition_of`]: `{account}#{yyyy-mm-dd}` | delivery id |
//! | receipts | `#retry#{account}` | `{SHA-256 of the token, hex}#{SHA-256 of the body, hex}` |
//! | receipts | `#check` | account |
//! | receipts | `#failed delivery#{account}` | `{milliseconds, 13 digits}#{delivery id}` |
//! | records | [`RecordKey::partition`]: `{account}#{kind}` | record id |
//!
//! What is not a receipt begins with `#`, as no account's name does: an account may be named `retry`, and another like
//! a day.
//!
//! [`RecordKey::partition`]: domain::record::RecordKey::partition

use aws_sdk_dynamodb::types::AttributeValue;
use domain::account::{AccountName, TokenHash};
use domain::erasure::ErasureId;
use domain::ports::{MarkerKey, Receipt};

use super::text;

const ACCOUNT: &str = "account#";
const TOKEN: &str = "token#";
const ERASURE: &str = "erasure#";

/// An account and its lease, in the accounts table.
pub(crate) fn account(name: &AccountName) -> AttributeValue {
    text(format!("{ACCOUNT}{name}"))
}

/// What the key of every account begins with.
pub(crate) fn any_account() -> AttributeValue {
    text(ACCOUNT)
}

/// The account that a key of the accounts table names, if it is an account's.
pub(crate) fn account_named(key: &str) -> Option<AccountName> {
    key.strip_prefix(ACCOUNT)?.parse().ok()
}

/// What the key of every URL token begins with.
pub(crate) fn any_token() -> AttributeValue {
    text(TOKEN)
}

/// Whether a key of the accounts table is a token's.
pub(crate) fn is_token(key: &str) -> bool {
    key.starts_with(TOKEN)
}

/// The token that a key of the accounts table names, if it is a token's.
pub(crate) fn token_named(key: &str) -> Option<TokenHash> {
    key.strip_prefix(TOKEN)?.parse().ok()
}

/// What a URL token stands for, in the accounts table.
pub(crate) fn token(token: &TokenHash) -> AttributeValue {
    text(format!("{TOKEN}{token}"))
}

/// An erasure, in the accounts table.
pub(crate) fn erasure(account: &AccountName, id: &ErasureId) -> AttributeValue {
    text(format!("{ERASURE}{account}#{id}"))
}

/// What the key of every erasure begins with.
pub(crate) fn any_erasure() -> AttributeValue {
    text(ERASURE)
}

/// The erasure that a key of the accounts table names, if it is an erasure's.
pub(crate) fn erasure_named(key: &str) -> Option<(AccountName, ErasureId)> {
    let (account, id) = key.strip_prefix(ERASURE)?.split_once('#')?;
    Some((account.parse().ok()?, id.parse().ok()?))
}

/// The deliveries of an account that were first seen on a day (`yyyy-mm-dd`, UTC), in the receipts table.
pub(crate) fn receipts(account: &AccountName, day: &str) -> AttributeValue {
    text(Receipt::partition_of(account, day))
}

/// The retry markers of an account, in the receipts table.
pub(crate) fn markers(account: &AccountName) -> AttributeValue {
    text(format!("#retry#{account}"))
}

/// One of them.
pub(crate) fn marker(key: MarkerKey<'_>) -> AttributeValue {
    text(format!("{}#{}", key.registration, key.retry))
}

/// Who may ask for an account's check, in the receipts table; the sort key is the account's name.
pub(crate) fn check_claims() -> AttributeValue {
    text("#check")
}

/// The failed deliveries of an account, in the receipts table.
pub(crate) fn failed_deliveries(account: &AccountName) -> AttributeValue {
    text(format!("#strike#{account}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    // requirement: repeat-marker-registration
    fn no_account_is_named_so_that_its_items_lie_with_others() {
        let names = ["retry", "strike", "acme", "2026-11-20", "a", "0"];
        let names = names.map(|name| name.parse::<AccountName>().unwrap());
        let days = ["2026-11-20", "2026-11-21"];
        let mut partitions: Vec<_> = names
            .iter()
            .flat_map(|name| {
                let receipts = days.map(|day| receipts(name, day));
                receipts
                    .into_iter()
                    .chain([markers(name), failed_deliveries(name)])
            })
            .chain([check_claims()])
            .map(|key| key.as_s().unwrap().clone())
            .collect();
        let all = partitions.len();
        partitions.sort();
        partitions.dedup();
        assert_eq!(partitions.len(), all);
        assert!("#".parse::<AccountName>().is_err());
        assert!("#retry#a".parse::<AccountName>().is_err());
    }
}
