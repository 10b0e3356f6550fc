//! The adapters of subscriptions on the local stack's emulator, held to the contract of the stores in memory.
//!
//! Each test makes tables and secrets of its own on the stack that `ORDERHOOK_OUTPUTS` or `.local/outputs.json`
//! describes.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

#[path = "../../../functions/subscriptions/tests/stories/contract.rs"]
mod contract;

use aws::dynamo::accounts::DynamoAccounts;
use aws::dynamo::receipts::read::DynamoDeliveries;
use aws::dynamo::receipts::write::DynamoReceipts;
use aws::dynamo::tokens::DynamoTokens;
use aws::s3::S3Oversize;
use aws::secrets::SigningSecrets;
use aws::secrets::write::AccountSecrets;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::account::{AccountName, KeysVersion, UrlToken};
use domain::identity::{BodyHash, DeliveryId};
use domain::ports::{DeliveryFailure, Keys as _, Receipt, Receipts as _, Tokens as _};
use domain::signature::{Assurance, RegistrationKeys, SigningKeys};
use domain::source::Source;
use domain::subscription::{
    Account, Arrival, Deliveries as _, EventSelection, IfUnknown, Lease, LeaseOwner, Leases as _,
    Registration, RegistrationState, Secrets as _,
};
use domain::timestamp::Timestamp;
use e2e::scratch::Scratch;

async fn place(test: &str) -> Scratch {
    Scratch::of(&format!("subscriptions-{test}")).await
}

#[tokio::test]
async fn accounts() {
    let place = place("accounts").await;
    place.make_table(&["pk"]).await;
    let (aws, table) = (&place.aws, &place.name);
    let accounts = DynamoAccounts::new(aws.dynamo(), table);
    contract::accounts(&accounts).await;
    place.drop_table().await;
}

/// What subscriptions writes is what inbound reads.
#[tokio::test]
async fn tokens_and_keys_are_read_by_inbound() {
    let place = place("tokens").await;
    place.make_table(&["pk"]).await;
    let (aws, table) = (&place.aws, &place.name);
    let accounts = DynamoAccounts::new(aws.dynamo(), table);
    let now = Timestamp::from_millis(1_795_176_000_000);
    let name: AccountName = "acme".parse().unwrap();
    let lease = Lease {
        account: name.clone(),
        owner: LeaseOwner::from_random(&[1; 16]),
        until: now.plus_seconds(45),
    };
    accounts
        .lease(&lease, now, IfUnknown::Reserve)
        .await
        .unwrap();
    let token = UrlToken::from_random(&[1; 32]).hash();
    let events = EventSelection::all(sources::protocol(Source::Orderspace).facts().types);
    let mut account = Account::new(name.clone(), Source::Orderspace, events, now);
    for (webhook, state) in [
        (None, RegistrationState::Pending),
        (Some("wh_1"), RegistrationState::Live),
    ] {
        account.register(Registration {
            token,
            webhook: webhook.map(domain::account::WebhookId::new),
            keys: KeysVersion::new(7),
            state,
            part: String::new(),
        });
        accounts.save(&account, &lease, &[token]).await.unwrap();
        let read = DynamoTokens::new(aws.dynamo(), table).find(&token).await;
        assert_eq!(read.unwrap(), Some(account.entry(&token)));
    }
    place.drop_table().await;

    let (oauth, signing) = (format!("{table}/oauth/"), format!("{table}/signing/"));
    let secrets = AccountSecrets::new(aws.secrets(), oauth, &signing, 7);
    let token = UrlToken::from_random(&[1; 32]).hash();
    let mut keys = SigningKeys::default();
    keys.put(token, None, RegistrationKeys::default());
    secrets.put_keys(&name, &keys).await.unwrap();
    let inbound = SigningSecrets::new(aws.secrets(), signing);
    assert!(inbound.read(&name).await.unwrap().same(&keys));
    secrets.retire(&name).await.unwrap();
    let retired = inbound.read(&name).await.unwrap();
    assert!(retired.same(&SigningKeys::default()));
}

#[tokio::test]
async fn secrets() {
    let Scratch {
        aws, name: prefix, ..
    } = place("secrets").await;
    let (oauth, signing) = (format!("{prefix}/oauth/"), format!("{prefix}/signing/"));
    let secrets = AccountSecrets::new(aws.secrets(), oauth, signing, 7);
    contract::secrets(&secrets).await;
    secrets.retire(&"acme".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn the_last_delivery_of_a_day_is_found() {
    let place = place("receipts").await;
    place.make_table(&["pk", "sk"]).await;
    let (aws, table) = (&place.aws, &place.name);
    let deliveries = DynamoDeliveries::new(aws.dynamo(), table);
    let name: AccountName = "acme".parse().unwrap();
    let noon = Timestamp::from_millis(1_795_176_000_000);
    let ids = [0, 60, 30].map(|later| DeliveryId::new(noon.plus_seconds(later), &[1; 10]));
    let last = async |day: &str| {
        let newest = deliveries.arrivals(&name, day, 1).await.unwrap();
        newest.first().map(|arrival| arrival.delivery)
    };
    assert_eq!(last(&noon.day()).await, None);
    for id in ids {
        let call = aws.dynamo().put_item().table_name(table);
        let pk = AttributeValue::S(format!("{name}#{}", noon.day()));
        let call = call
            .item("pk", pk)
            .item("sk", AttributeValue::S(id.to_string()))
            .item("attempts", AttributeValue::N("1".to_owned()));
        call.send().await.unwrap();
    }
    assert_eq!(last(&noon.day()).await, Some(ids[1]));
    assert_eq!(last("2026-11-19").await, None);
    let since = async |after, most| {
        let day = noon.day();
        let found = deliveries.since(&name, &day, after, most).await;
        found.unwrap()
    };
    assert_eq!(since(None, 10).await, [ids[0], ids[2], ids[1]]);
    assert_eq!(since(None, 2).await, [ids[0], ids[2]]);
    assert_eq!(since(Some(ids[0]), 10).await, [ids[2], ids[1]]);
    assert_eq!(since(Some(ids[1]), 10).await, []);
    place.drop_table().await;
}

/// What inbound writes of an attempt is what subscriptions reads of it.
#[tokio::test]
async fn receipts_and_failed_deliveries_of_inbound_are_read() {
    let place = place("failures").await;
    place.make_table(&["pk", "sk"]).await;
    let (aws, table) = (&place.aws, &place.name);
    let oversize = S3Oversize::of(aws, "no-bucket");
    let receipts = DynamoReceipts::new(aws.dynamo(), table, oversize, 250_000, 86_400);
    let deliveries = DynamoDeliveries::new(aws.dynamo(), table);
    let name: AccountName = "acme".parse().unwrap();
    let noon = Timestamp::from_millis(1_795_176_000_000);
    let ids = [0, 60].map(|later| DeliveryId::new(noon.plus_seconds(later), &[1; 10]));
    let webhook = domain::account::WebhookId::new("wh_1");
    for delivery in [ids[0], ids[0], ids[1]] {
        let receipt = Receipt {
            account: &name,
            delivery,
            registration: UrlToken::from_random(&[1; 32]).hash(),
            webhook: Some(&webhook),
            assurance: Assurance::Signature,
            form: None,
            received: noon,
            hash: BodyHash::of(b"[]"),
            events: 0,
            headers: &http::HeaderMap::new(),
            part: "",
            body: b"[]",
        };
        receipts.keep(&receipt).await.unwrap();
    }
    for (seconds, cause) in [(1, "budget"), (2, "queue")] {
        let failure = DeliveryFailure {
            account: &name,
            delivery: ids[0],
            at: noon.plus_seconds(seconds),
            cause,
        };
        receipts.record_failure(&failure).await.unwrap();
    }
    let arrivals = deliveries.arrivals(&name, &noon.day(), 10).await.unwrap();
    let expected = [(ids[1], 1), (ids[0], 2)].map(|(delivery, attempts)| Arrival {
        delivery,
        registration: Some(UrlToken::from_random(&[1; 32]).hash()),
        webhook: Some(webhook.clone()),
        assurance: Some(Assurance::Signature),
        attempts,
    });
    assert_eq!(arrivals, expected);
    let newest = deliveries.arrivals(&name, &noon.day(), 1).await.unwrap();
    assert_eq!(newest, expected[..1]);
    let own = deliveries.arrival(&name, ids[0]).await.unwrap();
    assert_eq!(own.as_ref(), expected.last());
    let failures = deliveries.failed(&name, 10).await.unwrap();
    let causes = failures.iter().map(|failure| failure.cause.as_str());
    assert_eq!(causes.collect::<Vec<_>>(), ["queue", "budget"]);
    assert_eq!(failures[0].at, noon.plus_seconds(2));
    assert_eq!(failures[0].delivery, ids[0]);
    assert_eq!(deliveries.failed(&name, 1).await.unwrap(), failures[..1]);
    let other = "other".parse().unwrap();
    assert!(deliveries.failed(&other, 10).await.unwrap().is_empty());
    place.drop_table().await;
}
