//! The accounts table: `account#{name}` holds an account and the lease on it, `token#{hash}` what a URL token
//! stands for. Both are written in one transaction, so they never tell different stories.
//!
//! An item with a lease and nothing else is a name that is about to become an account; no reader takes it for
//! one.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::{delete_item::DeleteItemError, put_item::PutItemError};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use domain::account::{AccountName, KeysVersion, TokenEntry, TokenHash, TokenStatus, WebhookId};
use domain::ports::{PortError, QueueUrl};
use domain::signature::Policy;
use domain::source::Source;
use domain::subscription::{
    Account, AccountEvent, AccountEventKind, Accounts, AllAccounts, Baseline, Desired, Entry,
    EventSelection, HOURS, IfUnknown, LastError, Lease, Leased, Leases, Orphan, Principal,
    Registration, RegistrationState, Saved, Silence, State, Unsent,
};
use domain::timestamp::Timestamp;

use super::tokens::{token_entry, token_item};
use super::{Item, PK, is_permanent, keys, number, number_of, text, text_of};
use crate::failure::port_error;

const LEASING: &str = "leasing an account";
const SAVING: &str = "saving an account";
const RELEASING: &str = "giving an account's lease back";
const READING: &str = "reading an account";
const LISTING: &str = "listing the accounts";
const READING_TOKEN: &str = "reading what a URL token stands for";
const READING_TOKENS: &str = "reading the URL tokens of an account";

/// The code of a failed condition, in an error and in a transaction's reasons.
const CONDITION_FAILED: &str = "ConditionalCheckFailed";

/// The accounts in one table.
#[derive(Debug, Clone)]
pub struct DynamoAccounts {
    pub(super) client: Client,
    pub(super) table: String,
}

impl DynamoAccounts {
    /// Keeps accounts in this table.
    #[must_use]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self {
            client,
            table: table.into(),
        }
    }

    pub(super) async fn get(
        &self,
        what: &'static str,
        key: AttributeValue,
    ) -> Result<Option<Item>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(PK, key)
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error(what, &error, is_permanent))?;
        Ok(answer.item)
    }
}

impl Leases for DynamoAccounts {
    async fn lease(
        &self,
        lease: &Lease,
        now: Timestamp,
        if_unknown: IfUnknown,
    ) -> Result<Leased, PortError> {
        // Our own lease is taken again: an attempt of the SDK may have got through without its answer.
        let free =
            "(attribute_not_exists(lease_owner) OR lease_until <= :now OR lease_owner = :owner)";
        let condition = match if_unknown {
            IfUnknown::Reserve => free.to_owned(),
            IfUnknown::Refuse => format!("attribute_exists(wish) AND {free}"),
        };
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PK, keys::account(&lease.account))
            .update_expression("SET lease_owner = :owner, lease_until = :until")
            .condition_expression(condition)
            .expression_attribute_values(":owner", text(lease.owner.as_str()))
            .expression_attribute_values(":until", time(lease.until))
            .expression_attribute_values(":now", time(now))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(answer) => {
                let item = answer.attributes.unwrap_or_default();
                Ok(match account(&item) {
                    Ok(account) => Leased::Taken(account.map(Box::new)),
                    Err(Unreadable) => Leased::Unreadable(salvage(&item).map(Box::new)),
                })
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failure)) => {
                    let held = failure.item().filter(|item| item.contains_key("wish"));
                    Ok(match (held, if_unknown) {
                        (None, IfUnknown::Refuse) => Leased::Unknown,
                        _ => Leased::Held {
                            until: failure
                                .item()
                                .and_then(|item| time_of(item, "lease_until"))
                                .unwrap_or(now),
                        },
                    })
                }
                _ => Err(port_error(LEASING, &error, is_permanent)),
            },
        }
    }

    async fn save(
        &self,
        account: &Account,
        lease: &Lease,
        tokens: &[TokenHash],
    ) -> Result<Saved, PortError> {
        let mut item = item(account);
        item.insert("lease_owner".to_owned(), text(lease.owner.as_str()));
        item.insert("lease_until".to_owned(), time(lease.until));
        if tokens.is_empty() {
            let answer = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression("lease_owner = :owner")
                .expression_attribute_values(":owner", text(lease.owner.as_str()))
                .send()
                .await;
            return match answer {
                Ok(_) => Ok(Saved::Yes),
                Err(error) => match error.as_service_error() {
                    Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(Saved::LeaseLost),
                    _ => Err(port_error(SAVING, &error, is_permanent)),
                },
            };
        }

        let building = |_| PortError::permanent(SAVING, "construction");
        let account_put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("lease_owner = :owner")
            .expression_attribute_values(":owner", text(lease.owner.as_str()))
            .build()
            .map_err(building)?;
        let mut request = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().put(account_put).build());
        for hash in tokens {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(token_item(hash, &account.entry(hash))))
                .build()
                .map_err(building)?;
            request = request.transact_items(TransactWriteItem::builder().put(put).build());
        }
        match request.send().await {
            Ok(_) => Ok(Saved::Yes),
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled))
                    if cancelled
                        .cancellation_reasons()
                        .first()
                        .and_then(|reason| reason.code())
                        == Some(CONDITION_FAILED) =>
                {
                    Ok(Saved::LeaseLost)
                }
                _ => Err(port_error(SAVING, &error, is_permanent)),
            },
        }
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        let owner = text(lease.owner.as_str());
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(PK, keys::account(&lease.account))
            .update_expression("REMOVE lease_owner, lease_until")
            .condition_expression("lease_owner = :owner AND attribute_exists(wish)")
            .expression_attribute_values(":owner", owner.clone())
            .send()
            .await;
        match updated {
            Ok(_) => return Ok(()),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => {}
                _ => return Err(port_error(RELEASING, &error, is_permanent)),
            },
        }
        // Either the lease is no longer ours, or the name was only reserved.
        let deleted = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(PK, keys::account(&lease.account))
            .condition_expression("lease_owner = :owner AND attribute_not_exists(wish)")
            .expression_attribute_values(":owner", owner)
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(port_error(RELEASING, &error, is_permanent)),
            },
        }
    }
}

impl Accounts for DynamoAccounts {
    async fn find(&self, name: &AccountName) -> Result<Option<Account>, PortError> {
        let item = self.get(READING, keys::account(name)).await?;
        account(&item.unwrap_or_default()).map_err(|Unreadable| PortError::unreadable(READING))
    }

    async fn list(&self) -> Result<AllAccounts, PortError> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression(
                "(begins_with(pk, :account) AND attribute_exists(wish)) \
                 OR (begins_with(pk, :token) AND #status <> :retired)",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":account", keys::any_account())
            .expression_attribute_values(":token", keys::any_token())
            .expression_attribute_values(":retired", text(TokenStatus::Retired.as_str()))
            .into_paginator()
            .send();
        let mut all = AllAccounts::default();
        let mut of_tokens: BTreeSet<AccountName> = BTreeSet::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(LISTING, &error, is_permanent))?;
            for item in page.items() {
                if text_of(item, PK).is_some_and(keys::is_token) {
                    of_tokens.extend(text_of(item, "account").and_then(|name| name.parse().ok()));
                    continue;
                }
                match account(item) {
                    Ok(account) => all.accounts.extend(account),
                    Err(Unreadable) => {
                        let name = text_of(item, PK).and_then(keys::account_named);
                        all.unreadable.extend(name);
                    }
                }
            }
        }
        for name in all.accounts.iter().map(|known| &known.name) {
            of_tokens.remove(name);
        }
        for name in &all.unreadable {
            of_tokens.remove(name);
        }
        for name in of_tokens {
            // A scan is no snapshot: the account may have been written where it had already been.
            let item = self.get(LISTING, keys::account(&name)).await?;
            if !item.is_some_and(|item| item.contains_key("wish")) {
                all.unreadable.push(name);
            }
        }
        all.accounts.sort_by(|a, b| a.name.cmp(&b.name));
        all.unreadable.sort();
        Ok(all)
    }

    async fn token(&self, token: &TokenHash) -> Result<Option<TokenEntry>, PortError> {
        let Some(item) = self.get(READING_TOKEN, keys::token(token)).await? else {
            return Ok(None);
        };
        token_entry(&item)
            .map(Some)
            .ok_or_else(|| PortError::unreadable(READING_TOKEN))
    }

    async fn open_tokens(
        &self,
        account: &AccountName,
    ) -> Result<Vec<(TokenHash, TokenEntry)>, PortError> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .filter_expression(
                "begins_with(pk, :token) AND #account = :account AND #status <> :retired",
            )
            .expression_attribute_names("#account", "account")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":account", text(account.as_str()))
            .expression_attribute_values(":token", keys::any_token())
            .expression_attribute_values(":retired", text(TokenStatus::Retired.as_str()))
            .consistent_read(true)
            .into_paginator()
            .send();
        let mut open = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| port_error(READING_TOKENS, &error, is_permanent))?;
            // One that cannot be read takes no delivery either.
            let entries = page.items().iter().filter_map(|item| {
                let token = keys::token_named(text_of(item, PK)?)?;
                Some((token, token_entry(item)?))
            });
            open.extend(entries);
        }
        open.sort_by_key(|(token, _)| *token);
        Ok(open)
    }
}

fn time(at: Timestamp) -> AttributeValue {
    number(at.millis())
}

fn map<const N: usize>(members: [(&str, AttributeValue); N]) -> Item {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn time_of(item: &Item, name: &str) -> Option<Timestamp> {
    number_of(item, name).map(Timestamp::from_millis)
}

fn list_of<'a, T>(
    item: &'a Item,
    name: &str,
    read: impl Fn(&'a AttributeValue) -> Option<T>,
) -> Option<Vec<T>> {
    item.get(name)?.as_l().ok()?.iter().map(read).collect()
}

fn item(account: &Account) -> Item {
    let events = account.events.names().iter().map(text);
    let registrations = account.registrations.iter().map(registration_value);
    let history = account.history.iter().map(|entry| {
        let mut happened = map([("at", time(entry.at)), ("what", text(entry.what.as_str()))]);
        if let Some(by) = &entry.by {
            happened.insert("by".to_owned(), text(by.as_str()));
        }
        AttributeValue::M(happened)
    });
    let mut item = map([
        (PK, keys::account(&account.name)),
        ("source", text(account.source.as_str())),
        ("wish", text(desired_word(account.desired))),
        ("events", AttributeValue::L(events.collect())),
        ("registrations", AttributeValue::L(registrations.collect())),
        ("created", time(account.created)),
        ("changed", time(account.changed)),
        ("history", AttributeValue::L(history.collect())),
    ]);
    if let Some(error) = &account.last_error {
        let error = map([
            ("at", time(error.at)),
            ("message", text(error.message.as_str())),
        ]);
        item.insert("trouble".to_owned(), AttributeValue::M(error));
    }
    if !account.orphans.is_empty() {
        let orphans = account.orphans.iter().map(|orphan| {
            AttributeValue::M(map([
                ("token", text(orphan.token.to_string())),
                ("first_seen", time(orphan.first_seen)),
            ]))
        });
        let orphans = AttributeValue::L(orphans.collect());
        item.insert("strangers".to_owned(), orphans);
    }
    if let Some(until) = account.quiet_until {
        item.insert("quiet_until".to_owned(), time(until));
    }
    if !account.uncorrected.is_empty() {
        let differences = account.uncorrected.iter().cloned().collect();
        item.insert("uncorrected".to_owned(), AttributeValue::Ss(differences));
    }
    if let Some(policy) = account.policy {
        item.insert("policy".to_owned(), text(policy.as_str()));
    }
    if !account.unsent.is_empty() {
        let unsent = account.unsent.iter().map(unsent_value).collect();
        item.insert("unsent".to_owned(), AttributeValue::L(unsent));
    }
    if account.is_unlisted {
        item.insert("unlisted".to_owned(), AttributeValue::Bool(true));
    }
    if let Some(stopped) = &account.stopped {
        item.insert("stopped".to_owned(), text(stopped.as_str()));
    }
    item.insert("rhythm".to_owned(), baseline_value(&account.baseline));
    item
}

fn unsent_value(unsent: &Unsent) -> AttributeValue {
    let Unsent { event, queues } = unsent;
    let queues = queues.iter().map(ToString::to_string).collect();
    AttributeValue::M(map([
        ("id", text(event.id.to_string())),
        ("type", text(event.kind.as_str())),
        ("what", text(event.what.as_str())),
        ("status", text(event.status.as_str())),
        ("queues", AttributeValue::Ss(queues)),
    ]))
}

fn unsent(value: &AttributeValue) -> Option<Unsent> {
    let value = value.as_m().ok()?;
    let queues = value.get("queues")?.as_ss().ok()?;
    Some(Unsent {
        event: AccountEvent {
            id: text_of(value, "id")?.parse().ok()?,
            kind: AccountEventKind::named(text_of(value, "type")?)?,
            what: text_of(value, "what")?.to_owned(),
            status: State::named(text_of(value, "status")?)?,
        },
        queues: queues.iter().map(QueueUrl::new).collect(),
    })
}

fn baseline_value(baseline: &Baseline) -> AttributeValue {
    let usual: Vec<u8> = baseline
        .usual
        .iter()
        .flat_map(|usual| usual.to_be_bytes())
        .collect();
    let mut value = map([
        ("usual", AttributeValue::B(Blob::new(usual))),
        ("hours", number(baseline.hours.into())),
        ("tally", number(baseline.tally.into())),
        ("longest", number(baseline.longest)),
        ("watched_since", time(baseline.watched_since)),
        ("read_until", time(baseline.read_until)),
    ]);
    if let Some(last) = baseline.last {
        value.insert("last".to_owned(), text(last.to_string()));
    }
    if let Some(silence) = baseline.suspect {
        value.insert("noticed".to_owned(), time(silence.noticed));
        value.insert("missed".to_owned(), number(silence.missed));
    }
    AttributeValue::M(value)
}

fn baseline(value: &AttributeValue) -> Option<Baseline> {
    let value = value.as_m().ok()?;
    let (pairs, []) = value.get("usual")?.as_b().ok()?.as_ref().as_chunks::<2>() else {
        return None;
    };
    let usual: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    Some(Baseline {
        usual: <[u16; HOURS]>::try_from(usual).ok()?,
        hours: u32::try_from(number_of(value, "hours")?).ok()?,
        tally: u16::try_from(number_of(value, "tally")?).ok()?,
        longest: number_of(value, "longest")?,
        last: match text_of(value, "last") {
            None => None,
            Some(last) => Some(last.parse().ok()?),
        },
        watched_since: time_of(value, "watched_since")?,
        read_until: time_of(value, "read_until")?,
        suspect: match time_of(value, "noticed") {
            None => None,
            Some(noticed) => Some(Silence {
                noticed,
                missed: number_of(value, "missed")?,
            }),
        },
    })
}

fn desired_word(desired: Desired) -> &'static str {
    match desired {
        Desired::Connected => "connected",
        Desired::Disconnected { done: false } => "disconnecting",
        Desired::Disconnected { done: true } => "disconnected",
    }
}

fn desired(word: &str) -> Option<Desired> {
    match word {
        "connected" => Some(Desired::Connected),
        "disconnecting" => Some(Desired::Disconnected { done: false }),
        "disconnected" => Some(Desired::Disconnected { done: true }),
        _ => None,
    }
}

fn registration_word(state: RegistrationState) -> &'static str {
    match state {
        RegistrationState::Pending => "pending",
        RegistrationState::Live => "live",
        RegistrationState::Replacing => "leaving",
        RegistrationState::Draining { .. } => "retiring",
        RegistrationState::Expired { .. } => "grace",
    }
}

fn registration_value(registration: &Registration) -> AttributeValue {
    let mut value = map([
        ("token", text(registration.token.to_string())),
        ("standing", text(registration_word(registration.state))),
    ]);
    match registration.state {
        RegistrationState::Pending | RegistrationState::Live | RegistrationState::Replacing => {}
        RegistrationState::Draining { since, until } => {
            value.insert("since".to_owned(), time(since));
            value.insert("until".to_owned(), time(until));
        }
        RegistrationState::Expired { until } => {
            value.insert("until".to_owned(), time(until));
        }
    }
    if let Some(webhook) = &registration.webhook {
        value.insert("webhook".to_owned(), text(webhook.as_str()));
    }
    if registration.keys != KeysVersion::default() {
        value.insert("keys".to_owned(), number(registration.keys.get()));
    }
    if !registration.part.is_empty() {
        value.insert("part".to_owned(), text(registration.part.as_str()));
    }
    AttributeValue::M(value)
}

fn registration(value: &AttributeValue) -> Option<Registration> {
    let value = value.as_m().ok()?;
    Some(Registration {
        token: text_of(value, "token")?.parse().ok()?,
        webhook: text_of(value, "webhook").map(WebhookId::new),
        keys: KeysVersion::new(number_of(value, "keys").unwrap_or_default()),
        part: text_of(value, "part").unwrap_or_default().to_owned(),
        state: match text_of(value, "standing")? {
            "pending" => RegistrationState::Pending,
            "live" => RegistrationState::Live,
            "leaving" => RegistrationState::Replacing,
            "retiring" => RegistrationState::Draining {
                since: time_of(value, "since")?,
                until: time_of(value, "until")?,
            },
            "grace" => RegistrationState::Expired {
                until: time_of(value, "until")?,
            },
            _ => return None,
        },
    })
}

/// An item that is an account and cannot be read.
struct Unreadable;

/// The account in an item; none where the item only holds a lease, or nothing.
fn account(item: &Item) -> Result<Option<Account>, Unreadable> {
    if !item.contains_key("wish") {
        return Ok(None);
    }
    read_account(item).map(Some).ok_or(Unreadable)
}

/// What can be read of an account that cannot be read whole: enough to register its webhook anew, or to remove it. `None`
/// where not even its source and its events are known.
fn salvage(item: &Item) -> Option<Account> {
    let name = keys::account_named(text_of(item, PK)?)?;
    let source = Source::named(text_of(item, "source")?)?;
    let events = list_of(item, "events", |name| name.as_s().ok().cloned())?;
    let events = EventSelection::stored(events)?;
    let created = time_of(item, "created").unwrap_or(Timestamp::from_millis(0));
    let registrations = item.get("registrations").and_then(|list| list.as_l().ok());
    let registrations = registrations.map_or(&[][..], Vec::as_slice);
    Some(Account {
        registrations: registrations.iter().filter_map(registration).collect(),
        desired: text_of(item, "wish")
            .and_then(desired)
            .unwrap_or(Desired::Connected),
        // Of two readings the one that proves more.
        policy: policy(item).unwrap_or(Some(Policy::Require)),
        ..Account::new(name, source, events, created)
    })
}

/// What the operator chose to become of unproved requests; `None` where that cannot be read.
fn policy(item: &Item) -> Option<Option<Policy>> {
    match text_of(item, "policy") {
        None => Some(None),
        Some(word) => Some(Some(word.parse().ok()?)),
    }
}

fn entry(value: &AttributeValue) -> Option<Entry> {
    let entry = value.as_m().ok()?;
    Some(Entry {
        at: time_of(entry, "at")?,
        what: text_of(entry, "what")?.to_owned(),
        by: text_of(entry, "by").and_then(Principal::new),
    })
}

fn read_account(item: &Item) -> Option<Account> {
    let source = Source::named(text_of(item, "source")?)?;
    let events = list_of(item, "events", |name| name.as_s().ok().cloned())?;
    let history = list_of(item, "history", entry)?;
    let last_error = match item.get("trouble") {
        None => None,
        Some(error) => {
            let error = error.as_m().ok()?;
            Some(LastError {
                at: time_of(error, "at")?,
                message: text_of(error, "message")?.to_owned(),
            })
        }
    };
    let changed = time_of(item, "changed")?;
    let orphans = match item.get("strangers") {
        None => Vec::new(),
        Some(_) => list_of(item, "strangers", |orphan| {
            let orphan = orphan.as_m().ok()?;
            Some(Orphan {
                token: text_of(orphan, "token")?.parse().ok()?,
                first_seen: time_of(orphan, "first_seen")?,
            })
        })?,
    };
    Some(Account {
        name: keys::account_named(text_of(item, PK)?)?,
        source,
        desired: desired(text_of(item, "wish")?)?,
        events: EventSelection::stored(events)?,
        registrations: list_of(item, "registrations", registration)?,
        created: time_of(item, "created")?,
        changed,
        last_error,
        orphans,
        quiet_until: time_of(item, "quiet_until"),
        // Where it cannot be read, the source is asked once more.
        uncorrected: item
            .get("uncorrected")
            .and_then(|differences| differences.as_ss().ok())
            .map(|differences| differences.iter().cloned().collect())
            .unwrap_or_default(),
        policy: policy(item)?,
        // The next check finds both out anew.
        is_unlisted: matches!(item.get("unlisted"), Some(AttributeValue::Bool(true))),
        stopped: text_of(item, "stopped").map(str::to_owned),
        // An account without one is learned anew, and so is one whose baseline cannot be read: it is no reason not
        // to check it.
        baseline: item
            .get("rhythm")
            .and_then(baseline)
            .unwrap_or_else(|| Baseline::new(changed)),
        history,
        // What cannot be read is not sent: that is no reason not to check the account.
        unsent: item
            .get("unsent")
            .and_then(|unsent| unsent.as_l().ok())
            .map(|all| all.iter().filter_map(unsent).collect())
            .unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::UrlToken;
    use domain::identity::DeliveryId;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn full_account() -> Account {
        let source = Source::Orderspace;
        let events = ["order.created", "order.updated"].map(str::to_owned);
        let events = EventSelection::stored(events.to_vec()).unwrap();
        let mut full = Account::new("acme".parse().unwrap(), source, events, at(1));
        full.desired = Desired::Disconnected { done: false };
        full.changed = at(2);
        let message = "out of order".to_owned();
        full.last_error = Some(LastError { at: at(3), message });
        full.quiet_until = Some(at(4));
        full.policy = Some(Policy::Require);
        full.is_unlisted = true;
        full.stopped = Some("paused".to_owned());
        full.baseline = Baseline {
            usual: std::array::from_fn(|hour| u16::try_from(hour * 97).unwrap()),
            hours: 400,
            tally: 3,
            longest: 12_345,
            last: Some(DeliveryId::new(at(9), &[1; 10])),
            watched_since: at(8),
            read_until: at(10),
            suspect: Some(Silence {
                noticed: at(11),
                missed: 9,
            }),
        };
        full.note_orphans(&[UrlToken::from_random(&[9; 32]).hash()], at(7));
        let draining = RegistrationState::Draining {
            since: at(8),
            until: at(9),
        };
        for (number, state) in [
            (1, RegistrationState::Pending),
            (2, RegistrationState::Live),
            (3, RegistrationState::Expired { until: at(5) }),
            (4, RegistrationState::Replacing),
            (5, draining),
        ] {
            full.register(Registration {
                token: UrlToken::from_random(&[number; 32]).hash(),
                webhook: (number > 1).then(|| WebhookId::new("wh_1")),
                keys: KeysVersion::new((number % 2).into()),
                state,
                part: if number == 2 { "vault" } else { "" }.to_owned(),
            });
        }
        full.note(at(6), "something", None);
        let by = Principal::new("arn:aws:sts::111122223333:assumed-role/Admin/ops@example.com");
        full.note(at(7), "something else", by.as_ref());
        let mut queues = ["q/a", "q/b.fifo"].map(QueueUrl::new).to_vec();
        for (position, kind) in AccountEventKind::ALL.into_iter().enumerate() {
            let state = full.state();
            let event = AccountEvent::new(&full.name, at(6), position, kind, "something", state);
            full.remember_unsent(Unsent {
                event,
                queues: queues.iter().cloned().collect(),
            });
            queues.truncate(1);
        }
        full
    }

    #[test]
    fn an_account_reads_back_as_it_was() {
        let full = full_account();
        assert_eq!(account(&item(&full)).ok().flatten(), Some(full.clone()));
        let mut plain = full;
        plain.last_error = None;
        plain.quiet_until = None;
        plain.policy = None;
        plain.unsent.clear();
        plain.is_unlisted = false;
        plain.stopped = None;
        plain.baseline = Baseline::new(at(12));
        plain.desired = Desired::Connected;
        assert_eq!(account(&item(&plain)).ok().flatten(), Some(plain));
    }

    /// The release before reads what it wrote, as long as there are no parts.
    #[test]
    fn a_registration_without_a_part_is_stored_as_before_there_were_any() {
        let mut full = full_account();
        let shown = |account: &Account| {
            let item = item(account);
            let registrations = list_of(&item, "registrations", |own| own.as_m().ok().cloned());
            registrations.unwrap()
        };
        let has_part = |own: &&Item| own.contains_key("part");
        assert_eq!(shown(&full).iter().filter(has_part).count(), 1);
        for registration in &mut full.registrations {
            registration.part.clear();
        }
        assert_eq!(shown(&full).iter().filter(has_part).count(), 0);
    }

    #[test]
    fn an_account_without_a_readable_rhythm_begins_to_learn_one() {
        let full = full_account();
        let mut old = item(&full);
        old.remove("rhythm");
        let expected = Baseline::new(full.changed);
        assert_eq!(
            account(&old).ok().flatten().unwrap().baseline,
            expected.clone()
        );
        let short = map([("usual", AttributeValue::B(Blob::new([1; 5])))]);
        old.insert("rhythm".to_owned(), AttributeValue::M(short));
        assert_eq!(account(&old).ok().flatten().unwrap().baseline, expected);
    }

    #[test]
    fn an_unsent_event_that_cannot_be_read_leaves_the_others() {
        let full = full_account();
        for broken in [
            text("no map"),
            AttributeValue::M(map([("id", text("none"))])),
            AttributeValue::M(map([
                ("id", text(full.unsent[0].event.id.to_string())),
                ("type", text("orderhook.account.moved")),
                ("what", text("of a newer release")),
                ("status", text("connected")),
                ("queues", AttributeValue::Ss(vec!["q/a".to_owned()])),
            ])),
        ] {
            let mut item = item(&full);
            let Some(AttributeValue::L(unsent)) = item.get_mut("unsent") else {
                panic!("no list");
            };
            unsent.insert(1, broken);
            assert_eq!(account(&item).ok().flatten(), Some(full.clone()));
            item.insert("unsent".to_owned(), text("no list"));
            let read = account(&item).ok().flatten().unwrap();
            assert_eq!(read.unsent, []);
        }
    }

    #[test]
    fn a_reserved_name_is_no_account_and_a_broken_one_is_an_error() {
        let reserved = map([(PK, text("account#acme")), ("lease_owner", text("me"))]);
        assert!(matches!(account(&reserved), Ok(None)));
        let mut broken = item(&full_account());
        broken.insert("wish".to_owned(), text("sold"));
        assert!(account(&broken).is_err());
    }
}
