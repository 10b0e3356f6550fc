//! Asking for an erasure: what is kept of it, what is answered, and what must not be done meanwhile.

use domain::erasure::{Begun, Erasure, ErasureId, ErasureJobs as _, Erasures as _, Page, Progress};
use rstest::rstest;
use serde_json::{Value, json};
use simulator::FaultKind;

use crate::world::{Answer, Call, World, acme, each_mishap, gateway_event, put};

const SUBJECT: &str = "customer/cu_1";

async fn disconnected() -> World {
    let world = World::connected().await;
    world.disconnect().await.expect(200);
    world
}

fn erase(body: Option<Value>) -> Call {
    let parameters = json!({ "account": "acme", "action": "erasure" });
    ("POST /v1/accounts/{account}/{action}", parameters, body)
}

impl World {
    async fn erase(&self, subject: Option<&str>) -> Answer {
        let body = subject.map(|subject| json!({ "subject": subject }));
        self.try_call(erase(body)).await.unwrap()
    }

    async fn show_erasure(&self, id: &str) -> Answer {
        let parameters = json!({ "account": "acme", "erasure": id });
        let route = "GET /v1/accounts/{account}/erasure/{erasure}";
        self.call(route, parameters, None).await
    }

    /// The other function works it off.
    async fn work_off_erasures(&self) {
        for erasure in self.accounts.erasures.running().await.unwrap().erasures {
            let mut next = erasure;
            while let Progress::Running(position) = next.progress.clone() {
                let seen = next.clone();
                next = seen.after(position.stage, Page::default(), self.now());
                assert!(self.accounts.erasures.advance(&seen, &next).await.unwrap());
            }
        }
    }
}

#[tokio::test]
async fn a_record_of_a_connected_account_is_to_be_erased() {
    let world = World::connected().await;
    let answer = world.erase(Some(SUBJECT)).await.expect(202).body;
    assert_eq!(answer["state"], "running");
    assert_eq!(answer["subject"], SUBJECT);
    assert_eq!(answer["erases"], json!(["record", "objects"]));
    // 30 days of receipts and large events, 35 of restoring.
    let remains = json!({
        "receipts_until": "2026-12-20T12:00:00.000Z",
        "large_events_until": "2026-12-20T12:00:00.000Z",
        "backups_until": "2026-12-25T12:00:00.000Z",
    });
    assert_eq!(answer["remains"], remains);
    let id = answer["erasure"].as_str().unwrap();
    assert_eq!(world.show_erasure(id).await.expect(202).body, answer);
    // Who asked is said for longer than which record it was.
    let history = world.history();
    let last = history.last().unwrap();
    assert!(last.contains("a record of kind customer"), "{last}");
    assert!(last.contains(id), "{last}");
    assert!(!last.contains("cu_1"), "{last}");
    world.work_off_erasures().await;
    let shown = world.show_erasure(id).await.expect(200).body;
    assert_eq!(shown["state"], "done");
    assert_eq!(shown["subject"], Value::Null);
    world.assert_connected(&world.webhooks().await);
    assert!(!world.is_leased());
}

#[tokio::test]
async fn the_same_call_is_the_same_erasure_until_it_is_done() {
    let world = World::connected().await;
    let first = world.erase(Some(SUBJECT)).await.expect(202).body;
    world.pass(60);
    assert_eq!(world.erase(Some(SUBJECT)).await.expect(202).body, first);
    let other = world.erase(Some("customer/cu_2")).await.expect(202).body;
    assert_ne!(other["erasure"], first["erasure"]);
    let entries = world.history().len();
    world.work_off_erasures().await;
    let again = world.erase(Some(SUBJECT)).await.expect(202).body;
    assert_eq!(again["erasure"], first["erasure"]);
    assert_ne!(again["begun"], first["begun"]);
    assert_eq!(world.history().len(), entries + 1);
}

#[tokio::test]
async fn an_account_that_receives_is_not_erased() {
    let world = World::connected().await;
    for body in [None, Some(json!({}))] {
        let answer = world.try_call(erase(body)).await.unwrap().expect(409);
        let message = answer.message();
        assert!(message.contains("DELETE /v1/accounts/acme"), "{message}");
    }
    assert_eq!(world.accounts.erasures.erasures(), []);
    assert!(!world.is_leased());
    world.assert_connected(&world.webhooks().await);
}

#[tokio::test]
async fn a_disconnected_account_is_to_be_erased_and_not_connected_before_that_is_done() {
    let world = disconnected().await;
    let answer = world.erase(None).await.expect(202).body;
    assert_eq!(answer["erasure"], "account");
    let all = ["records", "objects", "url_tokens", "account"];
    assert_eq!(answer["erases"], json!(all));
    assert_eq!(answer["remains"]["large_events_until"], Value::Null);
    assert_eq!(world.erase(None).await.expect(202).body, answer);
    let refused = world.connect().await.expect(409);
    refused.assert_says("/erasure/account");
    assert!(world.webhooks().await.is_empty());
    assert!(!world.is_leased());
    // Another account is none of it.
    world.connect_too("beta", &["*"]).await;
    world.work_off_erasures().await;
    world.lose_account("acme");
    // A name that was erased is as good as new.
    world.connect().await.expect(200);
}

#[tokio::test]
async fn what_arrived_late_of_an_erased_account_is_erased_too() {
    let world = disconnected().await;
    world.erase(None).await.expect(202);
    world.work_off_erasures().await;
    world.lose_account("acme");
    let shown = world.show_erasure("account").await.expect(200);
    assert_eq!(shown.body["state"], "done");
    world.pass(60);
    assert_eq!(world.erase(None).await.expect(202).body["state"], "running");
    world.erase(Some(SUBJECT)).await.expect(404);
    assert_eq!(world.account(), None);
}

#[tokio::test]
async fn an_unknown_account_is_not_erased() {
    let world = World::new().await;
    for subject in [None, Some(SUBJECT)] {
        let answer = world.erase(subject).await.expect(404);
        answer.assert_says("no account acme");
    }
    world.show_erasure("account").await.expect(404);
    assert_eq!(world.accounts.erasures.erasures(), []);
    assert_eq!(world.account(), None);
}

#[rstest]
#[case::no_kind(json!({ "subject": "/cu_1" }))]
#[case::no_id(json!({ "subject": "customer/" }))]
#[case::no_slash(json!({ "subject": "customer" }))]
#[case::empty(json!({ "subject": "" }))]
#[case::a_kind_of_other_characters(json!({ "subject": "cust#omer/cu_1" }))]
#[case::a_number(json!({ "subject": 1 }))]
#[case::null(json!({ "subject": null }))]
#[case::a_list(json!({ "subject": ["customer/cu_1"] }))]
#[case::too_long(json!({ "subject": format!("customer/{}", "x".repeat(1025)) }))]
#[case::misspelt(json!({ "subjekt": "customer/cu_1" }))]
#[case::one_more_field(json!({ "subject": "customer/cu_1", "all": true }))]
#[case::no_object(json!(["customer/cu_1"]))]
#[tokio::test]
async fn what_is_no_subject_erases_nothing(#[case] body: Value) {
    let world = disconnected().await;
    world.try_call(erase(Some(body))).await.unwrap().expect(400);
    assert_eq!(world.accounts.erasures.erasures(), []);
}

#[rstest]
#[case::another_word("everything")]
#[case::of_nobody("0123456789abcdef0123456789abcdef")]
#[tokio::test]
async fn an_erasure_that_is_not_there_is_not_shown(#[case] id: &str) {
    let world = World::connected().await;
    world.show_erasure(id).await.expect(404);
}

/// Whoever asks is kept with the erasure.
#[tokio::test]
async fn an_erasure_says_who_asked_for_it() {
    let world = World::connected().await;
    let arn = "arn:aws:iam::111122223333:user/ops";
    let parameters = json!({ "account": "acme", "action": "erasure" });
    let body = json!({ "subject": SUBJECT }).to_string();
    let route = "POST /v1/accounts/{account}/{action}";
    let mut event = gateway_event(route, &parameters, Some(body));
    event["requestContext"]["authorizer"] = json!({ "iam": { "userArn": arn } });
    let answer = world.invoke(event).await.unwrap();
    assert_eq!(answer["statusCode"], 202, "{answer}");
    let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["by"], arn);
    let account = world.account().unwrap();
    let entry = account.history.last().unwrap();
    assert_eq!(entry.by.as_ref().unwrap().as_str(), arn);
}

/// Wherever the call is cut off, the same call leaves one erasure, and the account is whole.
#[tokio::test]
async fn whatever_cuts_the_call_off_the_same_call_goes_on() {
    let begin = async || (disconnected().await, ());
    let go_on = async |world: &World, (), what: &str| {
        assert_eq!(world.erase(None).await.status, 202, "{what}");
        let erasures = world.accounts.erasures.erasures();
        assert_eq!(erasures.len(), 1, "{what}");
        assert!(erasures[0].is_running(), "{what}");
        assert!(world.account().is_some(), "{what}");
    };
    each_mishap(4, begin, |_| erase(None), go_on).await;
}

/// A connect that has taken the account's lease before the erasure was asked for comes first.
#[tokio::test]
async fn an_erasure_and_a_connect_at_once_leave_one_of_them() {
    let world = disconnected().await;
    let connect = world.try_call(put(world.desired(&["*"])));
    let (connected, erased) = tokio::join!(connect, world.erase(None));
    let statuses = (connected.unwrap().status, erased.status);
    assert!(matches!(statuses, (200, 409) | (409, 202)), "{statuses:?}");
    let erasures = world.accounts.erasures.erasures();
    let is_erased = erasures.iter().any(Erasure::is_running);
    assert_eq!(is_erased, world.webhooks().await.is_empty());
}

/// An erasure that was begun in between is answered in place of a second.
#[tokio::test]
async fn two_calls_at_once_begin_one_erasure() {
    let world = World::connected().await;
    let calls = (0..5).map(|_| world.erase(Some(SUBJECT)));
    let answers = futures::future::join_all(calls).await;
    // A call that finds the account held asks again.
    let mut statuses = answers.iter().map(|answer| answer.status);
    assert!(statuses.all(|status| matches!(status, 202 | 409)));
    assert!(answers.iter().any(|answer| answer.status == 202));
    let erasures = world.accounts.erasures.erasures();
    let [erasure] = erasures.as_slice() else {
        panic!("{erasures:?}");
    };
    let begun = world.accounts.erasures.begin_erasure(erasure).await;
    assert_eq!(begun, Ok(Begun::Running(Box::new(erasure.clone()))));
    let id = ErasureId::of(erasure.subject.as_ref());
    let kept = world.accounts.erasures.erasure(&acme(), &id).await;
    assert!(kept.unwrap().is_some());
}

/// A disconnect that is not done is no reason to erase what it still needs.
#[tokio::test]
async fn an_account_that_is_being_disconnected_is_not_erased() {
    let world = World::connected().await;
    world.next("DELETE", FaultKind::Status(500)).await;
    world.disconnect().await.expect(502);
    world.erase(None).await.expect(409);
    assert_eq!(world.accounts.erasures.erasures(), []);
    world.disconnect().await.expect(200);
    world.erase(None).await.expect(202);
}
