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

use serde_json::json;
use simulator::FaultKind;
use testkit::log::Log;
use tracing::level_filters::LevelFilter;

use world::World;

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

    world.next("POST", FaultKind::Cut).await;
    answers += &world.connect().await.body.to_string();
    remember(&world).await;
    world.next("GET", FaultKind::TimeOutMs(5_000)).await;
    answers += &world.connect().await.body.to_string();
    answers += &world.connect().await.body.to_string();
    world.revoke_access_tokens().await;
    answers += &world
        .put("acme", &world.desired(&["order.created"]))
        .await
        .body
        .to_string();
    remember(&world).await;
    let mut wrong = world.desired(&["*"]);
    wrong["source"] = json!(world.site.client_secret);
    answers += &world.put("acme", &wrong).await.body.to_string();
    answers += &world.show("acme").await.body.to_string();
    answers += &world
        .call("GET /v1/accounts", json!({}), None)
        .await
        .body
        .to_string();
    answers += &world.disconnect().await.body.to_string();

    let log = captured.text();
    assert!(
        log.contains("POST /v1/webhooks") && log.contains("request_id"),
        "{log}"
    );
    assert!(secrets.len() >= 6, "{}", secrets.len());
    for secret in secrets {
        assert!(secret.len() > 20);
        assert!(!log.contains(&secret), "a secret is in the log");
        assert!(!answers.contains(&secret), "a secret is in an answer");
    }
}
