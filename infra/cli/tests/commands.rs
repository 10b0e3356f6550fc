//! The commands as operators give them, against a server that plays AWS and the admin API.

#![allow(clippy::unwrap_used, reason = "a test stops where it is")]

mod operator;

use clap::Parser as _;
use operate::Exit;
use operate::loopback::{Loopback, Reply, queue, queue_url};
use operator::{assert_has, enter, give};
use orderhook::cli::Cli;
use orderhook::given::Ended;
use orderhook::screen::Screen;
use rstest::rstest;
use serde_json::{Value, json};

const CONNECT: &str = "execute-api PUT /v1/accounts/acme";
const CHANGE: &str = "execute-api PATCH /v1/accounts/acme";
const DISCONNECT: &str = "execute-api DELETE /v1/accounts/acme";
const SHOW: &str = "execute-api GET /v1/accounts/acme";
const CHECK: &str = "execute-api POST /v1/accounts/acme/check";
const ROTATE: &str = "execute-api POST /v1/accounts/acme/rotate";
const ENDPOINT: &str = "execute-api POST /v1/accounts/acme/endpoint";
const ERASE: &str = "execute-api POST /v1/accounts/acme/erasure";

async fn well() -> Loopback {
    let aws = Loopback::start().await;
    aws.play_stack();
    aws
}

fn account(state: &str) -> Value {
    json!({
        "account": "acme", "source": "orderspace", "state": state, "explanation": "as it should be", "events": ["order.created"],
        "unselected_events": [], "webhook": "wh_1", "rotation": null, "proof": "require", "created": "2026-11-20T12:00:00.000Z",
        "changed": "2026-11-20T12:00:00.000Z", "last_error": null, "suspect": null, "history": [],
    })
}

fn secret_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[tokio::test]
async fn doctor_on_a_stack_that_is_well() {
    let aws = well().await;
    let ended = give(&aws, &["doctor"]).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.out);
    assert!(ended.out.contains("all is well"), "{}", ended.out);
    let ended = give(&aws, &["doctor", "--json"]).await;
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["stack"], "orderhook");
    assert!(report["calls"].as_u64().unwrap() < 50, "{report}");
}

#[tokio::test]
async fn status_shows_what_waits() {
    let aws = well().await;
    assert_eq!(give(&aws, &["status"]).await.exit, Exit::Done);
    let url = queue_url(aws.endpoint(), "Undelivered");
    let settings = json!({ "MessageRetentionPeriod": "1209600" });
    aws.on_containing("sqs GetQueueAttributes", &url, queue(306, &settings));
    let ended = give(&aws, &["status"]).await;
    assert_eq!(ended.exit, Exit::Left);
    assert_has(&ended.out, &["undelivered", "306"]);
    let ended = give(&aws, &["status", "--json"]).await;
    let state: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(state["waiting"][0]["messages"], 306);
    assert_eq!(state["accounts"]["connected"], 1);
    assert_eq!(state["lanes"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn status_shows_what_can_be_seen_where_a_permission_is_missing() {
    let aws = well().await;
    let forbidden = Reply::status(403, r#"{"message":"Forbidden"}"#);
    aws.on("execute-api GET /v1/accounts", forbidden);
    let ended = give(&aws, &["status"]).await;
    assert_has(&ended.out, &["execute-api:Invoke", "orders"]);
}

#[tokio::test]
async fn accounts_are_listed_with_what_needs_a_look() {
    let aws = well().await;
    let ended = give(&aws, &["accounts", "list"]).await;
    assert_eq!(ended.exit, Exit::Done);
    assert_has(&ended.out, &["acme", "connected"]);
    let unreadable = json!({ "accounts": [], "unreadable": [{ "account": "beau", "explanation": "roll forward" }] });
    aws.on("execute-api GET /v1/accounts", Reply::json(&unreadable));
    let ended = give(&aws, &["accounts", "list"]).await;
    assert_eq!(ended.exit, Exit::Left);
    assert!(ended.out.contains("roll forward"), "{}", ended.out);
}

#[tokio::test]
async fn an_account_is_shown_as_the_api_describes_it() {
    let aws = well().await;
    let mut document = account("connected");
    document["a_member_of_a_later_release"] = json!(1);
    aws.on(SHOW, Reply::json(&document));
    let ended = give(&aws, &["accounts", "show", "acme", "--json"]).await;
    assert_eq!(ended.exit, Exit::Done);
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap(), document);
}

#[tokio::test]
async fn an_account_that_does_not_exist_is_not_found() {
    let aws = well().await;
    let missing = json!({ "message": "there is no account acme" });
    aws.on(SHOW, Reply::status(404, missing.to_string()));
    let ended = give(&aws, &["accounts", "show", "acme"]).await;
    assert_eq!(ended.exit, Exit::NotFound);
    assert_eq!(ended.err, "account acme does not exist");
}

#[rstest]
#[case::orderspace(&["--client-id", "9f"], "marker-a", json!({ "source": "orderspace", "client_id": "9f", "client_secret": "marker-a" }))]
#[case::ordermentum(&["--source", "ordermentum", "--supplier-id", "s"], "marker-a", json!({ "source": "ordermentum", "supplier_id": "s", "api_key": "marker-a" }))]
#[case::ordermentum_login(&["--source", "ordermentum", "--supplier-id", "s", "--username", "u"], "marker-a\nmarker-b",
    json!({ "source": "ordermentum", "supplier_id": "s", "username": "u", "api_key": "marker-a", "password": "marker-b" }))]
#[case::onestock(&["--source", "onestock", "--api-url", "https://x/v2", "--site-id", "c1", "--user-id", "u", "--proof", "observe"], "marker-a",
    json!({ "source": "onestock", "api_url": "https://x/v2", "site_id": "c1", "user_id": "u", "password": "marker-a", "proof": "observe" }))]
#[case::apideck(&["--source", "apideck", "--app-id", "a"], "marker-a", json!({ "source": "apideck", "app_id": "a", "api_key": "marker-a" }))]
#[case::stackone(&["--source", "stackone", "--signing-secrets", "2"], "marker-a\nmarker-b", json!({ "source": "stackone", "signing_secrets": ["marker-a", "marker-b"] }))]
#[tokio::test]
async fn every_source_is_connected(
    #[case] options: &[&str],
    #[case] secrets: &str,
    #[case] expected: Value,
) {
    let aws = well().await;
    aws.on(CONNECT, Reply::json(&account("connected")));
    let file = secret_file(secrets);
    let path = file.path().to_str().unwrap();
    let mut line = vec!["accounts", "connect", "acme", "--secret-file", path];
    line.extend(options);
    line.extend(["--events", "order.created,order.updated"]);
    let ended = give(&aws, &line).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    let said = ended.out + &ended.err;
    assert!(!said.contains("marker"), "{said}");
    let sent = &aws.seen_of(CONNECT)[0].body;
    let mut expected = expected;
    expected["events"] = json!(["order.created", "order.updated"]);
    assert_eq!(serde_json::from_str::<Value>(sent).unwrap(), expected);
}

async fn connect(aws: &Loopback) -> Ended {
    let file = secret_file("marker");
    let path = file.path().display();
    let line = format!("accounts connect acme --client-id 9f --secret-file {path}");
    enter(aws, &line).await
}

#[tokio::test]
async fn connecting_goes_on_until_it_is_done() {
    let aws = well().await;
    let mut later = account("connecting");
    later["message"] = json!("the source wants a pause");
    let later = Reply::status(202, later.to_string()).with("retry-after", "0");
    let busy = Reply::status(409, r#"{"message":"busy"}"#).with("retry-after", "0");
    let done = Reply::json(&account("connected"));
    aws.on_each(CONNECT, "", [later, busy, done]);
    let ended = connect(&aws).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert!(ended.out.contains("acme: connected"), "{}", ended.out);
    assert_eq!(aws.seen_of(CONNECT).len(), 3);
}

#[tokio::test]
async fn what_is_not_done_in_time_is_left_to_the_schedule() {
    let aws = well().await;
    let mut later = account("connecting");
    later["message"] = json!("the source wants a pause");
    let later = Reply::status(202, later.to_string()).with("retry-after", "30");
    aws.on(CHECK, later);
    let ended = enter(&aws, "accounts check acme --wait 1").await;
    assert_eq!(ended.exit, Exit::Left);
    assert_has(&ended.err, &["the source wants a pause"]);
    assert_eq!(aws.seen_of(CHECK).len(), 1);
}

#[rstest]
#[case::no_client_id(&["accounts", "connect", "acme"], "--client-id")]
#[case::bad_name(&["accounts", "connect", "Acme!", "--client-id", "x"], "Acme!")]
#[case::a_missing_secret(&["accounts", "events", "acme", "--signing-secrets", "2", "--secret-file", "/dev/null"], "signing_secret")]
#[case::of_another_source(&["accounts", "connect", "acme", "--client-id", "x", "--app-id", "y"], "--app-id")]
#[tokio::test]
async fn a_command_line_that_cannot_be_right_asks_nobody(
    #[case] line: &[&str],
    #[case] word: &str,
) {
    let aws = well().await;
    let ended = give(&aws, line).await;
    assert_eq!(ended.exit, Exit::Usage);
    assert!(ended.err.contains(word), "{}", ended.err);
    assert!(aws.seen().is_empty());
}

#[rstest]
#[case::refused(422, Exit::Left)]
#[case::malformed(400, Exit::Usage)]
#[case::source_in_trouble(502, Exit::Unreachable)]
#[case::ours(500, Exit::Left)]
#[tokio::test]
async fn a_refusal_is_said_in_the_apis_words(#[case] status: u16, #[case] exit: Exit) {
    let aws = well().await;
    let body = json!({ "message": "Orderspace refuses the credentials" });
    aws.on(CONNECT, Reply::status(status, body.to_string()));
    let ended = connect(&aws).await;
    assert_eq!(ended.exit, exit);
    assert_has(&ended.err, &["Orderspace refuses the credentials"]);
    assert!(!ended.err.contains("marker"));
}

#[tokio::test]
async fn disconnecting_is_asked_for_twice() {
    let aws = well().await;
    aws.on(DISCONNECT, Reply::json(&account("disconnected")));
    let ended = give(&aws, &["accounts", "disconnect", "acme"]).await;
    assert_eq!(ended.exit, Exit::Usage);
    assert!(ended.err.contains("--yes"), "{}", ended.err);
    assert!(aws.seen_of(DISCONNECT).is_empty());
    let ended = give(&aws, &["accounts", "disconnect", "acme", "--yes"]).await;
    assert_eq!(ended.exit, Exit::Done);
    assert_eq!(aws.seen_of(DISCONNECT).len(), 1);
}

#[tokio::test]
async fn other_events_are_selected_and_a_rotation_is_begun() {
    let aws = well().await;
    aws.on(CHANGE, Reply::json(&account("connected")));
    aws.on(ROTATE, Reply::json(&account("connected")));
    let ended = enter(&aws, "accounts events acme order.created *").await;
    assert_eq!(ended.exit, Exit::Done);
    let sent = &aws.seen_of(CHANGE)[0].body;
    assert_eq!(sent, r#"{"events":["order.created","*"]}"#);
    let ended = enter(&aws, "accounts rotate acme").await;
    assert_eq!(ended.exit, Exit::Done);
}

#[rstest]
#[case::proof(&["--proof", "require"], "", json!({ "proof": "require" }))]
#[case::both(&["*", "--proof", "observe"], "", json!({ "events": ["*"], "proof": "observe" }))]
#[case::one_secret(&["--signing-secrets", "1"], "marker-a", json!({ "signing_secrets": ["marker-a"] }))]
#[case::two_secrets(&["--signing-secrets", "2"], "marker-a\nmarker-b", json!({ "signing_secrets": ["marker-a", "marker-b"] }))]
#[tokio::test]
async fn what_is_not_named_stays_as_it_is(
    #[case] options: &[&str],
    #[case] secrets: &str,
    #[case] expected: Value,
) {
    let aws = well().await;
    aws.on(CHANGE, Reply::json(&account("connected")));
    let file = secret_file(secrets);
    let mut line = vec!["accounts", "change", "acme"];
    line.extend(options);
    if !secrets.is_empty() {
        line.extend(["--secret-file", file.path().to_str().unwrap()]);
    }
    let ended = give(&aws, &line).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.err);
    assert!(!ended.all.contains("marker"), "{}", ended.all);
    let sent = &aws.seen_of(CHANGE)[0].body;
    assert_eq!(serde_json::from_str::<Value>(sent).unwrap(), expected);
}

#[rstest]
#[case::nothing(&[])]
#[case::a_secret_that_is_not_asked_for(&["*", "--secret-file", "f"])]
#[case::another_word(&["--proof", "never"])]
#[case::too_many(&["--signing-secrets", "3"])]
fn a_change_that_clap_refuses(#[case] options: &[&str]) {
    let line = [&["orderhook", "accounts", "events", "acme"][..], options].concat();
    assert!(Cli::try_parse_from(line).is_err());
}

#[tokio::test]
async fn an_endpoint_is_shown_once_and_never_asked_for_twice() {
    let aws = well().await;
    let mut made = account("waiting");
    made["endpoint"] = json!("https://x/hooks/stackone/marker");
    aws.on(ENDPOINT, Reply::json(&made));
    let ended = give(&aws, &["accounts", "endpoint", "acme"]).await;
    assert_eq!(ended.out, "https://x/hooks/stackone/marker\n");
    assert!(!ended.err.contains("marker"));
    aws.on(ENDPOINT, Reply::status(503, "{}"));
    let ended = enter(&aws, "accounts endpoint acme").await;
    assert_eq!(ended.exit, Exit::Unreachable);
    assert_eq!(aws.seen_of(ENDPOINT).len(), 2);
}

#[tokio::test]
async fn teams_and_their_queues() {
    let aws = well().await;
    let ended = give(&aws, &["teams", "list"]).await;
    assert_has(&ended.out, &["sales", "order.*"]);
    let ended = give(&aws, &["teams", "check"]).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.out);
    assert!(ended.out.contains("not seen"), "{}", ended.out);
    let line = json!({ "message": "batch", "events": [{ "teams": ["sales"], "age_ms": 1300, "undelivered": [] }] });
    let page = json!({ "events": [{ "message": line.to_string() }] });
    aws.on("logs FilterLogEvents", Reply::json(&page));
    let ended = give(&aws, &["teams", "check"]).await;
    assert_has(&ended.out, &["1 events, 95% within 1.3 s"]);
    let gone = json!({ "__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no" });
    let gone = Reply::status(400, gone.to_string());
    let url = queue_url(aws.endpoint(), "sales");
    aws.on_containing("sqs GetQueueAttributes", &url, gone);
    let ended = give(&aws, &["teams", "check"]).await;
    assert_eq!(ended.exit, Exit::Left);
    assert_has(&ended.out, &["does not exist", "release --team sales"]);
    let ended = give(&aws, &["teams", "check", "--json"]).await;
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["teams"][0]["queue"], "missing");
}

#[tokio::test]
async fn a_topic_is_looked_at_as_a_queue_is() {
    let aws = well().await;
    let topic = "arn:aws:sns:eu-west-1:123456789012:sales";
    let routes =
        json!([{ "team": "sales", "topic": topic, "types": ["order.*"], "accounts": ["*"] }]);
    let parameter = json!({ "Parameter": { "Value": routes.to_string() } });
    aws.on("ssm GetParameter", Reply::json(&parameter));
    let ended = give(&aws, &["teams", "check"]).await;
    assert_eq!(ended.exit, Exit::Done, "{}", ended.all);
    assert!(ended.out.contains("there, 1 subscribed"), "{}", ended.out);

    let nobody =
        "<R><ListSubscriptionsByTopicResult><Subscriptions/></ListSubscriptionsByTopicResult></R>";
    aws.on_containing("sns ListSubscriptionsByTopic", "sales", Reply::text(nobody));
    let ended = give(&aws, &["teams", "check"]).await;
    assert!(ended.out.contains("subscribes a queue"), "{}", ended.out);

    let gone =
        "<R><Error><Type>Sender</Type><Code>NotFound</Code><Message>no</Message></Error></R>";
    let gone = Reply::status(404, gone);
    aws.on_containing("sns ListSubscriptionsByTopic", "sales", gone);
    let ended = give(&aws, &["teams", "check"]).await;
    assert_eq!(ended.exit, Exit::Left, "{}", ended.all);
    assert_has(&ended.out, &["aws sns create-topic --name sales"]);
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let aws = well().await;
    let denied = json!({ "__type": "AccessDeniedException", "message": "User is not authorized" });
    aws.on("ssm GetParameter", Reply::status(400, denied.to_string()));
    let ended = give(&aws, &["teams", "list"]).await;
    assert_eq!(ended.exit, Exit::Denied);
    assert!(ended.err.contains("ssm:GetParameter"), "{}", ended.err);
}

#[tokio::test]
async fn without_a_local_stack_a_command_says_how_to_start_one() {
    let directory = tempfile::tempdir().unwrap();
    let cli = Cli::try_parse_from(["orderhook", "--local", "status"]).unwrap();
    let (mut screen, printed) = Screen::of_test(false);
    let exit = orderhook::run(&cli, directory.path(), &mut screen).await;
    assert_eq!(exit, Exit::NotFound);
    let said = printed.err();
    assert!(said.starts_with("orderhook: "), "{said}");
    assert!(said.contains("cargo local up"), "{said}");
    assert!(printed.out().is_empty());
}

#[tokio::test]
async fn a_local_stack_is_found_by_its_file() {
    let aws = well().await;
    let directory = tempfile::tempdir().unwrap();
    let outputs = json!({
        "EndpointUrl": aws.endpoint(), "Region": "eu-west-1", "AccessKeyId": "a", "SecretAccessKey": "b", "StackName": "orderhook",
    });
    std::fs::write(directory.path().join("o.json"), outputs.to_string()).unwrap();
    let cli = Cli::try_parse_from(["orderhook", "--local=o.json", "accounts", "list"]).unwrap();
    let (mut screen, printed) = Screen::of_test(false);
    let exit = orderhook::run(&cli, directory.path(), &mut screen).await;
    assert_eq!(exit, Exit::Done, "{}", printed.err());
    assert!(printed.out().contains("acme"));
}

fn erasure(state: &str) -> Value {
    json!({
        "account": "acme", "erasure": "0f2c4a6e8b1d3f5a7c9e0b2d4f6a8c0e", "subject": "order/or_1", "state": state,
        "begun": "2026-11-20T12:00:00.000Z", "ended": null, "erases": ["record", "objects"],
        "erased": { "records": 1, "objects": 2 },
        "remains": {
            "receipts_until": "2026-12-20T12:00:00.000Z", "large_events_until": null,
            "backups_until": "2026-12-25T12:00:00.000Z",
        },
    })
}

#[rstest]
#[case::a_record(&["--subject", "order/or_1"], "running", json!({ "subject": "order/or_1" }), Exit::Left)]
#[case::done_at_once(&["--subject", "order/or_1"], "done", json!({ "subject": "order/or_1" }), Exit::Done)]
#[case::an_account(&[], "running", Value::Null, Exit::Left)]
#[tokio::test]
async fn what_is_erased_is_said_with_what_stays(
    #[case] options: &[&str],
    #[case] state: &str,
    #[case] body: Value,
    #[case] exit: Exit,
) {
    let aws = well().await;
    let document = erasure(state);
    aws.on(ERASE, Reply::status(202, document.to_string()));
    let mut line = vec!["accounts", "erase", "acme", "--yes"];
    line.extend(options);
    let ended = give(&aws, &line).await;
    assert_eq!(ended.exit, exit, "{}", ended.err);
    assert_has(&ended.out, &["2026-12-20T12:00:00.000Z"]);
    assert_has(&ended.err, &["would delete", "stay"]);
    let seen = aws.seen_of(ERASE);
    let sent: Value = serde_json::from_str(&seen[0].body).unwrap_or_default();
    assert_eq!((seen.len(), sent), (1, body));
    line.push("--json");
    let ended = give(&aws, &line).await;
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap(), document);
}

/// Nobody is there to agree.
#[tokio::test]
async fn nothing_is_erased_without_a_yes() {
    let aws = well().await;
    let ended = enter(&aws, "accounts erase acme --subject order/or_1").await;
    assert_ne!(ended.exit, Exit::Done);
    assert!(aws.seen_of(ERASE).is_empty());
    assert_has(&ended.err, &["would delete order/or_1"]);
}

#[rstest]
#[case::no_id("order/")]
#[case::no_kind("/or_1")]
#[case::no_slash("or_1")]
#[case::a_kind_with_a_space("or der/or_1")]
#[tokio::test]
async fn what_is_no_subject_asks_nobody(#[case] subject: &str) {
    let aws = well().await;
    let line = ["accounts", "erase", "acme", "--yes", "--subject", subject];
    let ended = give(&aws, &line).await;
    assert_eq!(ended.exit, Exit::Usage);
    assert!(aws.seen().is_empty());
}

#[tokio::test]
async fn an_account_that_is_connected_is_not_erased() {
    let aws = well().await;
    let refused = json!({ "message": "the account is connected; DELETE it first" });
    aws.on(ERASE, Reply::status(409, refused.to_string()));
    let ended = give(&aws, &["accounts", "erase", "acme", "--yes"]).await;
    assert!(ended.err.contains("DELETE it first"), "{}", ended.err);
    assert_eq!(ended.exit.code(), 1);
}

#[rstest]
#[case::running("running", Exit::Left)]
#[case::done("done", Exit::Done)]
#[tokio::test]
async fn how_far_an_erasure_is_is_shown_and_nothing_erased(
    #[case] state: &str,
    #[case] exit: Exit,
) {
    let aws = well().await;
    let id = "0f2c4a6e8b1d3f5a7c9e0b2d4f6a8c0e";
    let action = format!("execute-api GET /v1/accounts/acme/erasure/{id}");
    aws.on(&action, Reply::json(&erasure(state)));
    let ended = give(&aws, &["accounts", "erase", "acme", "--show", id]).await;
    assert_eq!(ended.exit, exit, "{}", ended.err);
    assert_has(&ended.out, &["1 records and 2 objects"]);
    assert!(aws.seen_of(ERASE).is_empty());
    let another = "accounts erase acme --show ../../beta/erasure/account";
    assert_eq!(enter(&aws, another).await.exit, Exit::Usage);
}
