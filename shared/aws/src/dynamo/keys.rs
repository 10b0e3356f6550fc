//! The keys of items: every partition key is written here and nowhere else.
//!
//! | table | partition key | sort key |
//! |---|---|---|
//! | accounts | `account#{account}` | |
//! | accounts | `token#{SHA-256 of the token, hex}`: the token itself is stored nowhere | |
//! | receipts | [`Receipt::partition_of`]: `{account}#{yyyy-mm-dd}` | delivery id |
//! | receipts | `retry#{account}` | SHA-256 of the body, hex |
//! | receipts | `strike#{account}` | `{milliseconds, 13 digits}#{delivery id}` |
//! | records | [`RecordKey::partition`]: `{account}#{kind}` | record id |
//!
//! [`RecordKey::partition`]: domain::record::RecordKey::partition

use aws_sdk_dynamodb::types::AttributeValue;
use domain::account::{AccountName, TokenHash};
use domain::ports::Receipt;

use super::text;

const ACCOUNT: &str = "account#";

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

/// What a URL token stands for, in the accounts table.
pub(crate) fn token(token: &TokenHash) -> AttributeValue {
    text(format!("token#{token}"))
}

/// The deliveries of an account that were first seen on a day (`yyyy-mm-dd`, UTC), in the receipts table.
pub(crate) fn receipts(account: &AccountName, day: &str) -> AttributeValue {
    text(Receipt::partition_of(account, day))
}

/// The retry markers of an account, in the receipts table.
pub(crate) fn markers(account: &AccountName) -> AttributeValue {
    text(format!("retry#{account}"))
}

/// The failed deliveries of an account, in the receipts table.
pub(crate) fn failed_deliveries(account: &AccountName) -> AttributeValue {
    text(format!("strike#{account}"))
}
