//! What every release stored in DynamoDB and Secrets Manager, read by this one; and what this one stores, held
//! against its own examples, so that a changed form is noticed before it is released.
//!
//! The adapters are used as the functions use them, against services on this machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

mod service;
mod units;

use aws::dynamo::Item;
use aws::dynamo::accounts::DynamoAccounts;
use aws::dynamo::receipts::read::{DynamoDeliveries, read_body, read_delivery};
use aws::dynamo::receipts::write::DynamoReceipts;
use aws::dynamo::records::{DynamoRecords, RecordFormat, read_record};
use aws::dynamo::tokens::DynamoTokens;
use aws::secrets::SigningSecrets;
use aws::secrets::write::AccountSecrets;
use domain::account::{AccountName, TokenEntry, TokenHash, WebhookId};
use domain::fold::{Change, Known};
use domain::identity::{BodyHash, ContentHash, DeliveryId, EventId, EventIndex};
use domain::ports::{
    ClaimCheck as _, Keys as _, MarkerKey, Markers as _, Receipt, Receipts as _, Records as _,
    Tokens as _, Update,
};
use domain::record::{RecordId, RecordKey};
use domain::signature::{Form, MacKey, SigningKeys};
use domain::subscription::{
    Account, Accounts as _, Baseline, Deliveries as _, Entry, Lease, LeaseOwner, Leases as _,
    Registration, RegistrationState, Secrets as _,
};
use domain::timestamp::Timestamp;
use serde_json::{Value, json};
use testkit::fakes::FakeOversize;
use testkit::releases::{self, Example, Kind, Release};

use crate::service::Service;

const TABLE: &str = "table";

/// Every example of a kind, also of a release that is not there yet: while an update runs and after going back, its forms
/// are read by this one.
fn examples(kind: Kind) -> Vec<(Release, Example)> {
    let releases = releases::all().into_iter();
    let of = |release: Release| {
        let examples = release.examples(kind);
        examples
            .into_iter()
            .map(move |example| (release.clone(), example))
    };
    releases
        .flat_map(of)
        .chain(releases::to_come(kind))
        .collect()
}

/// What means something that this release does not know is not taken for something else.
#[tokio::test]
// requirement: upgrade-envelope
async fn words_of_a_release_to_come_are_unreadable() {
    let token = changed(Kind::Token, "status", "resting").await;
    let hash: TokenHash = token.1.text("hash").parse().unwrap();
    let tokens = DynamoTokens::new(token.0.aws.dynamo(), TABLE);
    assert!(tokens.find(&hash).await.is_err());
    for (member, word) in [("wish", "resting"), ("source", "a-source-to-come")] {
        let (service, example) = changed(Kind::Account, member, word).await;
        let accounts = DynamoAccounts::new(service.aws.dynamo(), TABLE);
        let name: AccountName = example.text("name").parse().unwrap();
        let error = accounts.find(&name).await.unwrap_err();
        assert!(error.is_unreadable(), "{member}: {error}");
    }
}

/// An example of this release with another word in it.
async fn changed(kind: Kind, member: &str, word: &str) -> (Service, Example) {
    let (_, example) = releases::to_come(kind).remove(0);
    let mut item = example.item();
    assert!(item[member]["S"].is_string(), "{item}");
    item[member]["S"] = json!(word);
    (Service::with_item(item).await, example)
}

/// The lease with which accounts are saved here.
fn lease(account: &AccountName) -> Lease {
    Lease {
        account: account.clone(),
        owner: LeaseOwner::from_random(&[0xA1; 16]),
        until: Timestamp::from_millis(1_795_176_060_000),
    }
}

fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

#[tokio::test]
// requirement: upgrade-envelope
async fn accounts_of_every_release_are_read() {
    for (release, example) in examples(Kind::Account) {
        let service = Service::with_item(example.item()).await;
        let accounts = DynamoAccounts::new(service.aws.dynamo(), TABLE);
        let name: AccountName = example.text("name").parse().unwrap();
        let account = accounts.find(&name).await.unwrap().expect(&example.what);
        release.expect_read(&example, &account_shown(&account));

        let lease = lease(&name);
        accounts.save(&account, &lease, &[]).await.unwrap();
        if example.item().get("lease_owner").is_none() {
            accounts.release(&lease).await.unwrap();
        }
        release.expect_written(&example, &service.item_like(&example.item()));
    }
}

fn account_shown(account: &Account) -> Value {
    let registrations = account.registrations.iter().map(registration_shown);
    let history = account.history.iter();
    json!({
        "name": account.name.as_str(),
        "source": account.source.as_str(),
        "state": account.state().as_str(),
        "events": account.events.names(),
        "registrations": registrations.collect::<Vec<_>>(),
        "created": account.created.to_string(),
        "changed": account.changed.to_string(),
        "last_error": account.last_error.as_ref().map(|error| json!({
            "at": error.at.to_string(),
            "message": error.message,
        })),
        "orphaned": account.orphans.iter().map(|orphan| json!({
            "token": orphan.token.to_string(),
            "first_seen": orphan.first_seen.to_string(),
        })).collect::<Vec<_>>(),
        "quiet_until": text(account.quiet_until),
        "traffic": traffic_shown(&account.baseline),
        "history": history.map(entry_shown).collect::<Vec<_>>(),
    })
}

fn entry_shown(entry: &Entry) -> Value {
    let mut shown = json!({ "at": entry.at.to_string(), "what": entry.what });
    if let Some(by) = &entry.by {
        shown["by"] = by.as_str().into();
    }
    shown
}

fn registration_shown(registration: &Registration) -> Value {
    let (state, since, until) = match registration.state {
        RegistrationState::Pending => ("pending", None, None),
        RegistrationState::Live => ("live", None, None),
        RegistrationState::Replacing => ("replacing", None, None),
        RegistrationState::Draining { since, until } => ("draining", Some(since), Some(until)),
        RegistrationState::Expired { until } => ("expired", None, Some(until)),
    };
    let mut shown = json!({
        "token": registration.token.to_string(),
        "webhook": registration.webhook.as_ref().map(WebhookId::as_str),
        "keys": registration.keys.get(),
        "state": state,
        "since": text(since),
        "until": text(until),
    });
    if !registration.part.is_empty() {
        shown["part"] = json!(registration.part);
    }
    shown
}

fn traffic_shown(traffic: &Baseline) -> Value {
    let usual = traffic.usual.iter().enumerate();
    json!({
        "usual": usual
            .filter(|(_, usual)| **usual > 0)
            .map(|(hour, usual)| json!([hour, usual]))
            .collect::<Vec<_>>(),
        "hours": traffic.hours,
        "tally": traffic.tally,
        "longest": traffic.longest,
        "last": traffic.last.map(|last| last.to_string()),
        "watched_since": traffic.watched_since.to_string(),
        "read_until": traffic.read_until.to_string(),
        "silence": traffic.suspect.map(|silence| json!({
            "noticed": silence.noticed.to_string(),
            "missed": silence.missed,
        })),
    })
}

#[tokio::test]
// requirement: upgrade-envelope
async fn tokens_of_every_release_are_read() {
    for (release, example) in examples(Kind::Token) {
        let service = Service::with_item(example.item()).await;
        let hash: TokenHash = example.text("hash").parse().unwrap();
        let tokens = DynamoTokens::new(service.aws.dynamo(), TABLE);
        let entry = tokens.find(&hash).await.unwrap().expect(&example.what);
        release.expect_read(&example, &token_shown(&hash, &entry));
        let accounts = DynamoAccounts::new(service.aws.dynamo(), TABLE);
        assert_eq!(accounts.token(&hash).await.unwrap(), Some(entry.clone()));

        if release.is_current() {
            // The entry is written with its account.
            let account = account_of(&release, &entry.account).await;
            let lease = lease(&account.name);
            accounts.save(&account, &lease, &[hash]).await.unwrap();
        }
        release.expect_written(&example, &service.item_like(&example.item()));
    }
}

async fn account_of(release: &Release, name: &AccountName) -> Account {
    let mut examples = release.examples(Kind::Account).into_iter();
    let example = examples.find(|example| example.text("name") == name.as_str());
    let service = Service::with_item(example.expect("the token's account").item()).await;
    let accounts = DynamoAccounts::new(service.aws.dynamo(), TABLE);
    accounts.find(name).await.unwrap().unwrap()
}

fn token_shown(hash: &TokenHash, entry: &TokenEntry) -> Value {
    json!({
        "hash": hash.to_string(),
        "account": entry.account.as_str(),
        "source": entry.source.as_str(),
        "webhook": entry.webhook.as_ref().map(WebhookId::as_str),
        "keys": entry.keys.get(),
        "status": entry.status.as_str(),
    })
}

fn receipts(service: &Service, inline_limit: usize) -> DynamoReceipts<FakeOversize> {
    const THIRTY_DAYS: u64 = 30 * 24 * 3600;
    DynamoReceipts::new(
        service.aws.dynamo(),
        TABLE,
        FakeOversize::default(),
        inline_limit,
        THIRTY_DAYS,
    )
}

#[tokio::test]
// requirement: upgrade-envelope
async fn markers_of_every_release_are_read() {
    for (release, example) in examples(Kind::Marker) {
        let service = Service::with_item(example.item()).await;
        let account: AccountName = example.text("account").parse().unwrap();
        // Those of 0.1.0 lay with the account's name alone, and live a day: nothing of this release finds them.
        if release.version == "0.1.0" {
            continue;
        }
        let registration = example.text("registration").parse().unwrap();
        let key = MarkerKey {
            account: &account,
            registration,
            retry: BodyHash::of(example.text("body").as_bytes()).into(),
        };
        let receipts = receipts(&service, 0);
        let found = receipts.find(key).await.unwrap();
        let marker = found.expect(&example.what);
        let read = json!({
            "account": account.as_str(),
            "registration": registration.to_string(),
            "body": example.text("body"),
            "delivery": marker.delivery.to_string(),
            "expires": marker.expires.to_string(),
            "leased_until": marker.leased_until.to_string(),
            "attempts": marker.attempts,
        });
        release.expect_read(&example, &read);

        let now = marker.delivery.first_seen();
        let free = Timestamp::from_millis(0);
        let left = domain::ports::Marker {
            leased_until: free,
            ..marker
        };
        receipts.mark(key, &left, now, now).await.unwrap();
        let mut written = service.item_like(&example.item());
        if let Some(holder) = example.item().get("holder") {
            let until = marker.leased_until;
            assert!(receipts.lease(key, &left, until).await.unwrap());
            written = service.item_like(&example.item());
            // It is random: only its form can be equal.
            let drawn = written["holder"]["S"].as_str().unwrap();
            assert!(drawn.len() == 16 && drawn.bytes().all(|byte| byte.is_ascii_hexdigit()));
            written["holder"] = holder.clone();
        }
        release.expect_written(&example, &written);
    }
}

/// The item, as readers that are given one get it.
async fn item_of(service: &Service, example: &Example) -> Item {
    item_at(service, &example.item()).await
}

async fn item_at(service: &Service, key: &Value) -> Item {
    let mut call = service.aws.dynamo().get_item().table_name(TABLE);
    for name in ["pk", "sk"] {
        let value = key[name]["S"].as_str().unwrap().to_owned();
        call = call.key(name, aws_sdk_dynamodb::types::AttributeValue::S(value));
    }
    call.send().await.unwrap().item.unwrap()
}

/// The store with the object that an example points at.
async fn store_of(example: &Example, content: &str) -> FakeOversize {
    let store = FakeOversize::default();
    if let Some(place) = example.item()["dataref"]["S"].as_str() {
        let key = place.strip_prefix("s3://oversize/").unwrap();
        store.put(key, content.as_bytes()).await.unwrap();
    }
    store
}

#[tokio::test]
// requirement: upgrade-envelope
async fn receipts_of_every_release_are_read() {
    for (release, example) in examples(Kind::Receipt) {
        let service = Service::with_item(example.item()).await;
        let account: AccountName = example.text("account").parse().unwrap();
        let delivery: DeliveryId = example.text("delivery").parse().unwrap();
        let deliveries = DynamoDeliveries::new(service.aws.dynamo(), TABLE);
        let arrival = deliveries.arrival(&account, delivery).await.unwrap();
        let arrival = arrival.expect(&example.what);
        let item = item_of(&service, &example).await;
        let store = store_of(&example, example.text("body")).await;
        let body = read_body(&item, &store).await.unwrap();
        let kept = read_delivery(&item, &store).await.unwrap();
        assert_eq!(kept.body, body);
        let mut read = json!({
            "account": account.as_str(),
            "delivery": arrival.delivery.to_string(),
            "webhook": arrival.webhook.as_ref().map(WebhookId::as_str),
            "attempts": arrival.attempts,
            "body": String::from_utf8(body.clone()).unwrap(),
        });
        // Not every source has them.
        if !kept.part.is_empty() {
            read["part"] = json!(kept.part);
        }
        if !kept.headers.is_empty() {
            let shown = |name: &http::HeaderName| {
                let values = kept.headers.get_all(name).iter();
                let values = values.map(|value| json!(String::from_utf8_lossy(value.as_bytes())));
                (name.to_string(), values.collect::<Value>())
            };
            read["headers"] = kept.headers.keys().map(shown).collect();
        }
        release.expect_read(&example, &read);

        if release.is_current() {
            let inline = example.item().get("body").is_some();
            let written = Service::start().await;
            let receipts = receipts(&written, if inline { 250_000 } else { 0 });
            for attempt in 0..arrival.attempts {
                let receipt = Receipt {
                    account: &account,
                    delivery,
                    registration: arrival.registration.unwrap(),
                    webhook: arrival.webhook.as_ref(),
                    assurance: arrival.assurance.unwrap(),
                    form: form_of(&example),
                    received: delivery.first_seen().plus_seconds(30 * attempt as u64),
                    hash: BodyHash::of(&body),
                    events: example.item()["events"]["N"]
                        .as_str()
                        .unwrap()
                        .parse()
                        .unwrap(),
                    headers: &kept.headers,
                    part: &kept.part,
                    body: &body,
                };
                receipts.keep(&receipt).await.unwrap();
            }
            let item = item_of(&written, &example).await;
            if inline {
                assert_eq!(read_body(&item, &store).await.unwrap(), body);
            }
            let mut written = written.item_like(&example.item());
            if inline {
                // Another version of the compression may find other bytes for the same.
                written["body"] = example.item()["body"].clone();
            }
            release.expect_written(&example, &written);
        }
    }
}

/// The form that an example of a receipt was signed in.
fn form_of(example: &Example) -> Option<Form> {
    let known = [Form("h1")];
    let item = example.item();
    let name = item.get("form")?["S"].as_str().unwrap();
    Some(known.into_iter().find(|form| form.0 == name).unwrap())
}

#[tokio::test]
// requirement: upgrade-envelope
async fn records_of_every_release_are_read() {
    for (release, example) in examples(Kind::Record) {
        let stored = example.item();
        let service = Service::with_item(stored.clone()).await;
        let item = item_of(&service, &example).await;
        let content = example.read["record"].as_str().unwrap_or_default();
        let store = store_of(&example, content).await;
        let record = read_record(&item, &store).await.unwrap();
        let key = record_key(&example);
        let records = DynamoRecords::new(
            service.aws.dynamo(),
            TABLE,
            FakeOversize::default(),
            RecordFormat::Native,
        );
        // Whatever is written, the answer is what was known before.
        let known = records.delete(&key, &any_delete()).await.unwrap();
        release.expect_read(
            &example,
            &record_shown(&example, &key, record.as_deref(), &known),
        );

        if release.is_current() {
            let written = Service::start().await;
            write_record(&written, &stored, &key, record.as_deref(), &known).await;
            let mut written = written.item_like(&stored);
            if let (Some(packed), Some(_)) = (stored.get("compact"), written.get("compact")) {
                let rewritten = Service::with_item(written.clone()).await;
                let item = item_of(&rewritten, &example).await;
                assert_eq!(read_record(&item, &store).await.unwrap(), record);
                // Another version of the compression may find other bytes for the same.
                written["compact"] = packed.clone();
            }
            release.expect_written(&example, &written);
        }
    }
}

fn record_key(example: &Example) -> RecordKey {
    let item = example.item();
    let partition = item["pk"]["S"].as_str().unwrap();
    let (account, kind) = partition.split_once('#').unwrap();
    RecordKey {
        account: account.parse().unwrap(),
        kind: kind.to_owned(),
        id: RecordId::new(item["sk"]["S"].as_str().unwrap()).unwrap(),
    }
}

fn any_delete() -> Change {
    let delivery = DeliveryId::new(Timestamp::from_millis(0), &[0; 10]);
    Change {
        id: delivery.event(EventIndex::new(0).unwrap()),
        sequence: None,
        delete: true,
        hash: ContentHash::of("", b""),
    }
}

/// An event that the examples of this release remember.
fn earlier() -> Change {
    let delivery = DeliveryId::new(Timestamp::from_millis(1_795_176_000_000), &[9; 10]);
    Change {
        id: delivery.event(EventIndex::new(0).unwrap()),
        sequence: None,
        delete: false,
        hash: ContentHash::of("order.created", b"{}"),
    }
}

fn record_shown(example: &Example, key: &RecordKey, record: Option<&str>, known: &Known) -> Value {
    let event = known.latest.map(|latest| {
        let mut event = json!({ "id": latest.id.to_string(), "hash": latest.hash.to_string() });
        // Release 0.1.0 kept a whole hash; of it, as much is remembered as of any other content.
        if let Some(previous) = example.read["event"].get("previous_hash") {
            let said = known.memory.iter().nth(1);
            let content = previous.as_str().map(|hash| hash.parse().unwrap());
            let is_remembered = content.is_some_and(|hash| said.is_some_and(|said| said.is(&hash)));
            let is_known = is_remembered || (content.is_none() && said.is_none());
            event["previous_hash"] = if is_known {
                previous.clone()
            } else {
                json!("forgotten")
            };
        }
        if let Some(place) = latest.sequence {
            event["sequence"] = json!(place.to_string());
        }
        event
    });
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let memory = known.memory.iter().map(|said| hex(&said.to_bytes()));
    json!({
        "key": key.to_string(),
        "record": record,
        "event": event,
        "memory": memory.collect::<Vec<_>>(),
        "deleted": known.deleted.map(|(id, hash)| {
            let mut deleted = json!({ "by": id.to_string(), "hash": hash.to_string() });
            if let Some(place) = known.deleted_sequence {
                deleted["sequence"] = json!(place.to_string());
            }
            deleted
        }),
    })
}

/// Writes the record again, in the form in which it is stored.
async fn write_record(
    service: &Service,
    stored: &Value,
    key: &RecordKey,
    record: Option<&str>,
    known: &Known,
) {
    let is_compact = stored.get("compact").is_some();
    if stored.get("dataref").is_some() {
        service.refuse(&["data", "compact"]);
    }
    let records = DynamoRecords::new(
        service.aws.dynamo(),
        TABLE,
        FakeOversize::default(),
        if is_compact {
            RecordFormat::Compact
        } else {
            RecordFormat::Native
        },
    );
    if let Some(latest) = known.latest {
        let before = [earlier()];
        let ids = stored["event_ids"]["SS"].as_array().cloned();
        let occurrences: Vec<EventId> = ids
            .unwrap_or_default()
            .iter()
            .map(|id| id.as_str().unwrap().parse().unwrap())
            .collect();
        let update = Update {
            latest: Change {
                id: latest.id,
                sequence: latest.sequence,
                delete: false,
                hash: latest.hash,
            },
            before: match known.memory.iter().count() {
                1 => &[],
                _ => &before,
            },
            event_type: stored["event_type"]["S"].as_str().unwrap(),
            data: record.unwrap(),
            occurrences: &occurrences,
        };
        records.update(key, &update).await.unwrap();
    }
    if let Some((id, hash)) = known.deleted {
        let delete = Change {
            id,
            sequence: known.deleted_sequence,
            delete: true,
            hash,
        };
        records.delete(key, &delete).await.unwrap();
    }
}

fn secrets(service: &Service) -> AccountSecrets {
    AccountSecrets::new(service.aws.secrets(), "oauth/", "signing/", 7)
}

#[tokio::test]
// requirement: upgrade-envelope
async fn signing_secrets_of_every_release_are_read() {
    let account: AccountName = "acme".parse().unwrap();
    for (release, example) in examples(Kind::SigningSecret) {
        let service = Service::with_secret("signing/acme", example.stored.get()).await;
        let inbound = SigningSecrets::new(service.aws.secrets(), "signing/");
        let keys = inbound.read(&account).await.unwrap();
        release.expect_read(&example, &keys_shown(&keys));
        let secrets = secrets(&service);
        let keys = secrets.read(&account).await.unwrap();
        release.expect_read(&example, &keys_shown(&keys));

        secrets.put_keys(&account, &keys).await.unwrap();
        let written = serde_json::from_str(&service.secret("signing/acme")).unwrap();
        release.expect_written(&example, &written);
    }
}

fn keys_shown(keys: &SigningKeys) -> Value {
    let registrations = keys.registrations().iter().map(|(token, held)| {
        let macs = held.secrets.macs.iter().map(MacKey::expose);
        let shown = json!({ "version": held.version.get(), "macs": macs.collect::<Vec<_>>() });
        (token.to_string(), shown)
    });
    let mut shown: serde_json::Map<String, Value> = keys
        .by_webhook()
        .iter()
        .map(|(webhook, key)| (webhook.as_str().to_owned(), json!(key.expose())))
        .collect();
    shown.insert("registrations".to_owned(), registrations.collect());
    shown.into()
}

#[tokio::test]
// requirement: upgrade-envelope
async fn oauth_secrets_of_every_release_are_read() {
    let account: AccountName = "acme".parse().unwrap();
    for (release, example) in examples(Kind::OauthSecret) {
        let service = Service::with_secret("oauth/acme", example.stored.get()).await;
        let secrets = secrets(&service);
        let secret = secrets.oauth(&account).await.unwrap();
        let secret = secret.expect(&example.what);
        let read = json!({
            "client_id": secret.credentials.get("client_id"),
            "client_secret": secret.credentials.get("client_secret"),
            "access": secret.access.as_ref().map(|access| json!({
                "token": access.token.expose(),
                "expires": access.expires.to_string(),
            })),
        });
        release.expect_read(&example, &read);

        secrets.put_oauth(&account, &secret).await.unwrap();
        let written = serde_json::from_str(&service.secret("oauth/acme")).unwrap();
        release.expect_written(&example, &written);
    }
}
