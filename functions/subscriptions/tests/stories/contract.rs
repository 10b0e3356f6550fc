//! What the stores in memory and the adapters for AWS both have to do.

use domain::account::{AccountName, KeysVersion, TokenHash, TokenStatus, UrlToken, WebhookId};
use domain::identity::DeliveryId;
use domain::ports::QueueUrl;
use domain::signature::{MacKey, RegistrationKeys, SigningKeys};
use domain::source::Source;
use domain::subscription::{
    Access, AccessToken, Account, AccountEvent, AccountEventKind, Accounts, AllAccounts,
    Credentials, Desired, EventSelection, IfUnknown, LastError, Lease, LeaseOwner, Leased,
    OauthSecret, Principal, Registration, RegistrationState, Saved, Secrets, Silence, Unsent,
};
use domain::timestamp::Timestamp;

fn name(name: &str) -> AccountName {
    name.parse().unwrap()
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_795_176_000_000).plus_seconds(seconds)
}

fn lease(account: &str, owner: u8, until: Timestamp) -> Lease {
    Lease {
        account: name(account),
        owner: LeaseOwner::from_random(&[owner; 16]),
        until,
    }
}

fn token(number: u8) -> TokenHash {
    UrlToken::from_random(&[number; 32]).hash()
}

fn registration(number: u8, webhook: Option<&str>, state: RegistrationState) -> Registration {
    Registration {
        token: token(number),
        webhook: webhook.map(WebhookId::new),
        keys: KeysVersion::new(number.into()),
        state,
        part: if number == 3 { "vault" } else { "" }.to_owned(),
    }
}

fn account(account: &str) -> Account {
    let source = Source::Orderspace;
    let events = EventSelection::stored(vec!["order.created".to_owned()]).unwrap();
    Account::new(name(account), source, events, at(0))
}

/// Holds an implementation of [`Accounts`] to its contract. The table is empty at first.
pub(crate) async fn accounts(accounts: &impl Accounts) {
    let take = async |lease: &Lease, now, if_unknown| {
        accounts.lease(lease, at(now), if_unknown).await.unwrap()
    };
    let save = async |account: &Account, lease: &Lease, tokens: &[TokenHash]| {
        accounts.save(account, lease, tokens).await.unwrap()
    };
    let find = async || accounts.find(&name("acme")).await.unwrap();
    let entry = async |number| accounts.token(&token(number)).await.unwrap();

    // A name that nobody uses is refused or reserved; reserving makes no account.
    let mine = lease("acme", 1, at(45));
    let reserved = Leased::Taken(None);
    assert_eq!(take(&mine, 0, IfUnknown::Refuse).await, Leased::Unknown);
    assert_eq!(take(&mine, 0, IfUnknown::Reserve).await, reserved);
    assert_eq!(find().await, None);
    assert_eq!(accounts.list().await.unwrap(), AllAccounts::default());

    // One call at a time; the same one may ask again, as after a lost answer.
    let yours = lease("acme", 2, at(46));
    let held = Leased::Held { until: at(45) };
    assert_eq!(take(&yours, 1, IfUnknown::Reserve).await, held);
    assert_eq!(take(&mine, 1, IfUnknown::Reserve).await, reserved);

    // What was only reserved is free again after the release.
    accounts.release(&mine).await.unwrap();
    assert_eq!(take(&yours, 1, IfUnknown::Refuse).await, Leased::Unknown);
    assert_eq!(take(&yours, 1, IfUnknown::Reserve).await, reserved);

    // Only the holder saves: the account and its tokens together.
    let mut acme = account("acme");
    acme.register(registration(1, None, RegistrationState::Pending));
    let first = [token(1)];
    assert_eq!(save(&acme, &mine, &first).await, Saved::LeaseLost);
    assert_eq!(save(&acme, &mine, &[]).await, Saved::LeaseLost);
    assert_eq!(find().await, None);
    assert_eq!(entry(1).await, None);
    assert_eq!(save(&acme, &yours, &first).await, Saved::Yes);
    assert_eq!(find().await.as_ref(), Some(&acme));
    let pending = entry(1).await.unwrap();
    assert_eq!(pending.status, TokenStatus::Pending);
    assert_eq!(pending.webhook, None);

    // Everything of an account survives, and its tokens follow.
    let expired = RegistrationState::Expired { until: at(9) };
    acme.register(registration(1, Some("wh_1"), expired));
    acme.register(registration(2, Some("wh_2"), RegistrationState::Live));
    acme.register(registration(3, Some("wh_3"), RegistrationState::Replacing));
    let (since, until) = (at(6), at(7));
    let draining = RegistrationState::Draining { since, until };
    acme.register(registration(4, Some("wh_4"), draining));
    acme.desired = Desired::Disconnected { done: false };
    acme.last_error = Some(LastError {
        at: at(3),
        message: "é is out of order".to_owned(),
    });
    acme.quiet_until = Some(at(60));
    acme.note_orphans(&[token(7), token(8)], at(5));
    let ops = Principal::new("arn:aws:iam::111122223333:user/ops");
    acme.note(at(4), "something", ops.as_ref());
    let (kind, state) = (AccountEventKind::Failed, acme.state());
    let event = AccountEvent::new(&acme.name, at(4), 1, kind, "something", state);
    let queues = ["q/a", "q/b.fifo"].map(QueueUrl::new).into();
    acme.remember_unsent(Unsent { event, queues });
    let arrivals = [0, 30].map(|seconds| DeliveryId::new(at(seconds), &[1; 10]));
    acme.baseline.observe(&arrivals, at(60));
    acme.baseline.suspect = Some(Silence {
        noticed: at(61),
        missed: 9,
    });
    let both = [token(1), token(2)];
    assert_eq!(save(&acme, &yours, &both).await, Saved::Yes);
    assert_eq!(find().await.as_ref(), Some(&acme));
    assert_eq!(entry(1).await.unwrap().status, TokenStatus::Grace);
    let live = entry(2).await.unwrap();
    assert_eq!(live.status, TokenStatus::Live);
    assert_eq!(live.webhook, Some(WebhookId::new("wh_2")));
    acme.registrations.clear();
    acme.last_error = None;
    acme.orphans.clear();
    acme.unsent.clear();
    acme.quiet_until = None;
    assert_eq!(save(&acme, &yours, &both).await, Saved::Yes);
    assert_eq!(find().await.as_ref(), Some(&acme));
    let retired = entry(2).await.unwrap();
    assert_eq!(retired.status, TokenStatus::Retired);
    assert_eq!(retired.webhook, None);

    // An account whose item is lost is found by the entries of its tokens that are not retired.
    assert_eq!(accounts.open_tokens(&name("acme")).await.unwrap(), []);
    acme.register(registration(5, Some("wh_5"), RegistrationState::Live));
    acme.register(registration(6, None, RegistrationState::Pending));
    let more = [token(5), token(6)];
    assert_eq!(save(&acme, &yours, &more).await, Saved::Yes);
    let mut expected = more.map(|token| (token, acme.entry(&token)));
    expected.sort_by_key(|(token, _)| *token);
    assert_eq!(accounts.open_tokens(&name("acme")).await.unwrap(), expected);
    assert_eq!(accounts.open_tokens(&name("acm")).await.unwrap(), []);
    acme.registrations.clear();
    assert_eq!(save(&acme, &yours, &more).await, Saved::Yes);
    assert_eq!(accounts.open_tokens(&name("acme")).await.unwrap(), []);

    // A lease that is outlived is taken over, with the account; its old holder changes nothing more.
    let third = lease("acme", 3, at(91));
    let held = Leased::Held { until: at(46) };
    assert_eq!(take(&third, 45, IfUnknown::Refuse).await, held);
    let taken = Leased::Taken(Some(Box::new(acme.clone())));
    assert_eq!(take(&third, 46, IfUnknown::Refuse).await, taken);
    assert_eq!(save(&acme, &yours, &both).await, Saved::LeaseLost);
    accounts.release(&yours).await.unwrap();
    let held = Leased::Held { until: at(91) };
    assert_eq!(take(&mine, 47, IfUnknown::Refuse).await, held);
    accounts.release(&third).await.unwrap();
    accounts.release(&third).await.unwrap();
    assert_eq!(find().await.as_ref(), Some(&acme));
    assert_eq!(take(&mine, 47, IfUnknown::Refuse).await, taken);
    accounts.release(&mine).await.unwrap();

    // Accounts are listed by name, and nothing else is.
    let mut names = vec!["acme".to_owned()];
    for number in 0..12_u8 {
        let other = account(&format!("zz-{number:02}"));
        let lease = lease(other.name.as_str(), 9, at(45));
        take(&lease, 0, IfUnknown::Reserve).await;
        assert_eq!(save(&other, &lease, &[]).await, Saved::Yes);
        names.push(other.name.to_string());
    }
    take(&lease("reserved", 9, at(45)), 0, IfUnknown::Reserve).await;
    let listed = accounts.list().await.unwrap();
    assert!(listed.unreadable.is_empty());
    let listed = listed.accounts.iter();
    let listed: Vec<String> = listed.map(|account| account.name.to_string()).collect();
    assert_eq!(listed, names);
}

fn secret(secret: &str, access: Option<&str>) -> OauthSecret {
    OauthSecret {
        credentials: Credentials::of([("client_id", "id"), ("client_secret", secret)]).unwrap(),
        access: access.map(|token| Access {
            token: AccessToken::new(token),
            expires: at(1800),
        }),
    }
}

/// Keys by webhook, each of a registration of its own.
fn keys(keys: &[(&str, &str)]) -> SigningKeys {
    let mut held = SigningKeys::default();
    for (number, (webhook, key)) in (1..).zip(keys) {
        let token = UrlToken::from_random(&[number; 32]).hash();
        let of_one = RegistrationKeys {
            version: KeysVersion::new(number.into()),
            secrets: MacKey::new(*key).into(),
        };
        held.put(token, Some(&WebhookId::new(*webhook)), of_one);
    }
    held
}

/// Holds an implementation of [`Secrets`] to its contract. There are no secrets at first.
pub(crate) async fn secrets(secrets: &impl Secrets) {
    let acme = name("acme");
    let oauth = async || secrets.oauth(&acme).await.unwrap();
    let read = async || secrets.read(&acme).await.unwrap();
    let put_oauth = async |secret| secrets.put_oauth(&acme, &secret).await.unwrap();
    let put_keys = async |keys| secrets.put_keys(&acme, &keys).await.unwrap();
    assert!(oauth().await.is_none());
    assert!(read().await.same(&keys(&[])));
    secrets.retire(&acme).await.unwrap();

    for (kept, access) in [("one", None), ("two", Some("token"))] {
        put_oauth(secret(kept, access)).await;
        let found = oauth().await.unwrap();
        assert!(found.credentials.same(&secret(kept, None).credentials));
        let found = found.access;
        assert_eq!(found.as_ref().map(|access| access.token.expose()), access);
        assert!(found.is_none_or(|access| access.expires == at(1800)));
    }
    for kept in [
        &[("wh_1", "a")][..],
        &[("wh_1", "b"), ("wh_2", "c")],
        &[("wh_2", "c")],
    ] {
        put_keys(keys(kept)).await;
        assert!(read().await.same(&keys(kept)), "{kept:?}");
    }
    assert!(secrets.oauth(&name("other")).await.unwrap().is_none());

    // What is retired is not there, may be retired again, and comes back when it is put.
    for _ in 0..2 {
        secrets.retire(&acme).await.unwrap();
        assert!(oauth().await.is_none());
        assert!(read().await.same(&keys(&[])));
    }
    let third = secret("three", None);
    put_oauth(third.clone()).await;
    let found = oauth().await.unwrap();
    assert!(found.credentials.same(&third.credentials));
    assert!(read().await.same(&keys(&[])));
    put_keys(keys(&[("wh_3", "d")])).await;
    assert!(read().await.same(&keys(&[("wh_3", "d")])));
}
