//! No secret is in a log, at any level, nor in an answer. A program of its own: who listens to the log listens to all of
//! the process.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the stories' world, of which this uses a part; what cannot go on stops where it is"
)]

#[path = "stories/world.rs"]
mod world;

use domain::account::UrlToken;
use serde_json::json;
use simulator::FaultKind;
use testkit::log::Log;
use tracing::level_filters::LevelFilter;

use world::{World, patch};

#[tokio::test]
// requirement: secret-admin
async fn no_secret_is_logged_or_answered() {
    let captured = Log::default();
    let _guard = captured.capture(LevelFilter::TRACE);

    let world = World::new().await;
    let mut answers = String::new();
    let mut secrets = vec![world.site.client_secret.clone()];
    let mut remember = async |world: &World| {
        for webhook in world.webhooks().await {
            secrets.push(webhook.signing_key);
            secrets.push(webhook.endpoint.rsplit('/').next().unwrap().to_owned());
        }
        if let Some(access) = world.oauth().and_then(|oauth| oauth.access) {
            secrets.push(access.token.expose().to_owned());
        }
    };

    world.next("POST", FaultKind::WorkThenTruncate).await;
    answers += &world.connect().await.body.to_string();
    remember(&world).await;
    world.next("GET", FaultKind::TimeOutMs(5_000)).await;
    answers += &world.connect().await.body.to_string();
    answers += &world.connect().await.body.to_string();
    world.revoke_access_tokens().await;
    let fewer = world.desired(&["order.created"]);
    answers += &world.put("acme", &fewer).await.body.to_string();
    remember(&world).await;
    let mut wrong = world.desired(&["*"]);
    wrong["source"] = json!(world.site.client_secret);
    answers += &world.put("acme", &wrong).await.body.to_string();
    answers += &world.show("acme").await.body.to_string();
    answers += &world.list().await.to_string();
    answers += &world.disconnect().await.body.to_string();

    let log = captured.text();
    assert!(log.contains("POST /v1/webhooks"), "{log}");
    assert!(log.contains("request_id"), "{log}");
    assert!(secrets.len() >= 6, "{}", secrets.len());
    for secret in secrets {
        assert!(secret.len() > 20);
        assert!(!log.contains(&secret), "a secret is in the log");
        assert!(!answers.contains(&secret), "a secret is in an answer");
    }
}

/// The endpoint's URL is in the one answer that makes it: in no log, and in no later answer. Neither are signing secrets.
#[tokio::test]
// requirement: secret-admin
async fn the_url_of_a_manual_account_is_shown_once() {
    let captured = Log::default();
    let _guard = captured.capture(LevelFilter::TRACE);

    let world = World::new().await;
    let secrets = ["marker-signing-secret-one", "marker-signing-secret-two"];
    let desired = json!({ "source": "stackone", "signing_secrets": [secrets[0]], "events": ["*"] });
    let answer = world.put("acme", &desired).await.expect(200);
    let mut answers = answer.body.to_string();
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let made = world.act("endpoint").await.expect(200);
        let url = made.body["endpoint"].as_str().unwrap();
        let token: UrlToken = url.rsplit('/').next().unwrap().parse().unwrap();
        let mut rest = made.body.clone();
        rest["endpoint"] = json!(null);
        let rest = rest.to_string();
        assert!(!rest.contains(token.expose()), "it is there once");
        answers += &rest;
        tokens.push(token);
    }
    world.deliver_to(tokens[1].hash());
    answers += &world.check().await.expect(200).body.to_string();
    let mut change = async |body| {
        let answer = world.try_call(patch(body)).await.unwrap();
        answers += &answer.body.to_string();
        answer.status
    };
    let status = change(json!({ "signing_secrets": secrets })).await;
    assert_eq!(status, 200);
    for refused in [
        json!({ "signing_secrets": [secrets[0], secrets[0]] }),
        json!({ "signing_secrets": secrets[0] }),
        json!({ "signing_secrets": [secrets[0], secrets[1], "third"] }),
        json!({ "signing_secrets": [secrets[0], 7] }),
    ] {
        let status = change(refused).await;
        assert_eq!(status, 400);
    }
    answers += &world.rotate().await.expect(409).body.to_string();
    answers += &world.show("acme").await.expect(200).body.to_string();
    answers += &world.list().await.to_string();
    world.lose_keys();
    world.lose_entries();
    answers += &world.check().await.expect(200).body.to_string();
    answers += &world.disconnect().await.expect(200).body.to_string();
    answers += &world.act("endpoint").await.expect(409).body.to_string();
    answers += &world.show("acme").await.expect(200).body.to_string();

    let log = captured.text();
    assert!(log.contains("acme"), "something was logged: {log}");
    let tokens = tokens.iter().map(UrlToken::expose);
    for secret in tokens.chain(secrets) {
        assert!(!log.contains(secret), "a secret is in the log");
        assert!(!answers.contains(secret), "a secret is in an answer");
    }
}
