//! URL tokens in the accounts table: one read by key for a delivery of an account that is not cached.

use aws_sdk_dynamodb::Client;
use domain::account::{KeysVersion, TokenEntry, TokenHash, WebhookId};
use domain::ports::{PortError, Tokens};
use domain::source::Source;

use super::{Item, MALFORMED_ITEM, PK, is_permanent, keys, number, number_of, text, text_of};
use crate::failure::port_error;

const FINDING: &str = "finding a URL token";

const ACCOUNT: &str = "account";
const SOURCE: &str = "source";
const STATUS: &str = "status";
const KEYS: &str = "keys";
const WEBHOOK: &str = "webhook";
const POLICY: &str = "policy";

/// The accounts table, as far as it knows tokens: `token#{hash}` with `account`, `source`, `status`, `keys` (the
/// version of the registration's keys), `webhook` once the source has named it, and `policy` where the account asks
/// for its own.
#[derive(Debug, Clone)]
pub struct DynamoTokens {
    client: Client,
    table: String,
}

impl DynamoTokens {
    /// Looks into this table.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }
}

impl Tokens for DynamoTokens {
    /// Eventually consistent, at half the price: a token is stored long before the source first uses it.
    async fn find(&self, token: &TokenHash) -> Result<Option<TokenEntry>, PortError> {
        let call = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(PK, keys::token(token));
        let answer = Box::pin(call.send())
            .await
            .map_err(|error| port_error(FINDING, &error, is_permanent))?;
        let entry = answer.item().map(|item| {
            token_entry(item).ok_or_else(|| PortError::transient(FINDING, MALFORMED_ITEM))
        });
        entry.transpose()
    }
}

/// The item of a URL token.
pub(super) fn token_item(hash: &TokenHash, entry: &TokenEntry) -> Item {
    let mut item = Item::from([
        (PK.to_owned(), keys::token(hash)),
        (ACCOUNT.to_owned(), text(entry.account.as_str())),
        (SOURCE.to_owned(), text(entry.source.as_str())),
        (STATUS.to_owned(), text(entry.status.as_str())),
    ]);
    if entry.keys != KeysVersion::default() {
        item.insert(KEYS.to_owned(), number(entry.keys.get()));
    }
    if let Some(webhook) = &entry.webhook {
        item.insert(WEBHOOK.to_owned(), text(webhook.as_str()));
    }
    if let Some(policy) = entry.policy {
        item.insert(POLICY.to_owned(), text(policy.as_str()));
    }
    item
}

/// What a URL token stands for; `None` where the item does not say it.
pub(super) fn token_entry(item: &Item) -> Option<TokenEntry> {
    Some(TokenEntry {
        account: text_of(item, ACCOUNT)?.parse().ok()?,
        // Release 0.1.0 knew one source.
        source: text_of(item, SOURCE).map_or(Some(Source::Orderspace), Source::named)?,
        keys: KeysVersion::new(number_of(item, KEYS).unwrap_or_default()),
        webhook: text_of(item, WEBHOOK).map(WebhookId::new),
        status: text_of(item, STATUS)?.parse().ok()?,
        // One that cannot be read might ask for more than is known here.
        policy: text_of(item, POLICY).map(str::parse).transpose().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::{TokenStatus, UrlToken};
    use domain::signature::Policy;

    fn item(attributes: &[(&str, &str)]) -> Item {
        attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), text(*value)))
            .collect()
    }

    #[test]
    fn an_entry_reads_with_and_without_its_webhook() {
        let pending = item(&[("account", "acme"), ("status", "pending")]);
        assert_eq!(
            token_entry(&pending),
            Some(TokenEntry {
                account: "acme".parse().unwrap(),
                source: Source::Orderspace,
                webhook: None,
                keys: KeysVersion::default(),
                status: TokenStatus::Pending,
                policy: None,
            })
        );
        let live = item(&[("account", "acme"), ("status", "live"), ("webhook", "wh_1")]);
        assert_eq!(
            token_entry(&live).unwrap().webhook,
            Some(WebhookId::new("wh_1"))
        );
    }

    #[test]
    fn an_entry_of_no_account_or_of_an_unknown_status_is_malformed() {
        assert_eq!(token_entry(&item(&[("status", "live")])), None);
        assert_eq!(
            token_entry(&item(&[("account", "a#b"), ("status", "live")])),
            None
        );
        assert_eq!(
            token_entry(&item(&[("account", "acme"), ("status", "asleep")])),
            None
        );
        let elsewhere = [
            ("account", "acme"),
            ("status", "live"),
            ("source", "nowhere"),
        ];
        assert_eq!(token_entry(&item(&elsewhere)), None);
        let asking = [("account", "acme"), ("status", "live"), ("policy", "trust")];
        assert_eq!(token_entry(&item(&asking)), None);
    }

    #[test]
    fn a_token_reads_back_as_it_was() {
        for status in [
            TokenStatus::Pending,
            TokenStatus::Live,
            TokenStatus::Grace,
            TokenStatus::Retired,
        ] {
            for webhook in [None, Some(WebhookId::new("wh_1"))] {
                let account = "acme".parse().unwrap();
                let entry = TokenEntry {
                    account,
                    source: Source::StackOne,
                    webhook,
                    keys: KeysVersion::new(7),
                    status,
                    policy: None,
                };
                for policy in [None, Some(Policy::Require), Some(Policy::Observe)] {
                    let entry = TokenEntry {
                        policy,
                        ..entry.clone()
                    };
                    let item = token_item(&UrlToken::from_random(&[1; 32]).hash(), &entry);
                    assert_eq!(item.contains_key(POLICY), policy.is_some());
                    assert_eq!(token_entry(&item), Some(entry));
                }
            }
        }
    }
}
