//! The running admin API, held against its description: every answer that it describes is brought about and is as
//! described.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

use aws_sdk_dynamodb::types::AttributeValue;
use e2e::proxy::{Fault as AwsFault, Rule};
use e2e::{Operator, World};
use http::Method;
use local::aws::Answer;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::{Door, Fault, FaultKind};
use testkit::openapi::{Description, Operation};
use testkit::signing::OTHER_SIGNING_KEY;

/// The emulator's gateway takes a body of any size, and its throttle is all tests' own. What fails our stores for the list fails it for all tests.
fn is_out_of_reach(operation: &Operation, status: u16) -> bool {
    matches!(status, 413 | 429) || (operation.path == "/v1/accounts" && matches!(status, 500 | 503))
}

/// A call of the API about an operator's account.
struct Call<'a> {
    operation: &'a Operation,
    operator: &'a Operator,
    /// The account's name in the path.
    name: String,
    /// The erasure's id in it.
    erasure: String,
}

impl<'a> Call<'a> {
    fn new(operation: &'a Operation, operator: &'a Operator) -> Self {
        Self {
            operation,
            operator,
            name: operator.account.clone(),
            erasure: "account".to_owned(),
        }
    }

    fn method(&self) -> Method {
        self.operation.method.parse().unwrap()
    }

    fn path(&self) -> String {
        let path = self.operation.path.strip_prefix("/v1").unwrap();
        path.replace("{account}", &self.name)
            .replace("{erasure}", &self.erasure)
    }

    fn body(&self) -> Option<Value> {
        match self.operation.method.as_str() {
            "PUT" => Some(self.operator.desired(&["*"])),
            "PATCH" => Some(json!({ "events": ["order.created"] })),
            "POST" if self.operation.path.ends_with("/erasure") => Some(an_order()),
            _ => None,
        }
    }

    async fn send(&self) -> Answer {
        self.send_with(self.body()).await
    }

    async fn send_with(&self, body: Option<Value>) -> Answer {
        let stack = &self.operator.stack;
        let (method, path) = (self.method(), self.path());
        stack.admin(method, &path, body.as_ref()).await
    }

    /// The same without a signature.
    async fn unsigned(&self) -> Answer {
        let stack = &self.operator.stack;
        let url = format!("{}{}", stack.output("AdminUrl"), self.path());
        let answer = stack.http.request(self.method(), url).body("{}").send();
        let answer = answer.await.unwrap();
        Answer {
            status: answer.status().as_u16(),
            retry_after: None,
            body: answer.json().await.unwrap_or_default(),
        }
    }
}

/// What is to be erased of an account that is connected.
fn an_order() -> Value {
    json!({ "subject": "order/or_1" })
}

/// Asks for an erasure, and returns its id.
async fn erase(operator: &Operator) -> String {
    let order = an_order();
    let answer = operator.call(Method::POST, "/erasure", Some(&order)).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.body["erasure"].as_str().unwrap().to_owned()
}

async fn trouble(operator: &Operator, door: Door, kind: FaultKind) {
    let faults = [Fault::on(door, kind)];
    operator.site.set_faults(&faults).await.unwrap();
}

/// Lets an account's item be one that no release wrote.
async fn damage(operator: &Operator, key: &str) {
    let update = operator.stack.dynamo.update_item();
    let update = update
        .table_name(operator.stack.output("AccountsTable"))
        .key("pk", AttributeValue::S(key.to_owned()))
        .update_expression("SET created = :created")
        .expression_attribute_values(":created", AttributeValue::S("long ago".to_owned()));
    update.send().await.unwrap();
}

/// An operator with a manual account.
async fn manual() -> Operator {
    let operator = Operator::new().await;
    let desired = json!({
        "source": "stackone", "signing_secrets": [OTHER_SIGNING_KEY], "events": ["*"],
    });
    let answer = operator.put(&desired).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    operator
}

/// Brings an answer about, if anybody knows how.
async fn bring_about(operation: &Operation, status: u16) -> Answer {
    let needs_credentials = operation.method == "PUT";
    let operator = match (needs_credentials, status) {
        (true, 202 | 404 | 422) => Operator::new().await,
        (_, 404) => Operator::new().await,
        (_, 200) if operation.path.ends_with("/endpoint") => manual().await,
        _ => Operator::connected().await,
    };
    let mut call = Call::new(operation, &operator);
    let is_of_an_erasure = operation.path.ends_with("/{erasure}");
    let about = match is_of_an_erasure {
        true => format!("erasure#{}#account", operator.account),
        false => format!("account#{}", operator.account),
    };
    match status {
        200 | 202 if is_of_an_erasure => {
            call.erasure = erase(&operator).await;
            if status == 200 {
                operator.stack.run_erasures().await;
            }
            call.send().await
        }
        200 => call.send().await,
        202 => {
            trouble(&operator, Door::Api, FaultKind::Status(429)).await;
            call.send().await
        }
        400 => {
            call.name = "Not.A.Name".to_owned();
            call.send().await
        }
        403 => call.unsigned().await,
        404 => call.send().await,
        409 if operation.method == "GET" => {
            damage(&operator, &about).await;
            let answer = call.send().await;
            // What can be read of it is enough to remove its webhook.
            let gone = operator.call(Method::DELETE, "", None).await;
            assert_eq!(gone.status, 200, "{}", gone.body);
            assert!(operator.site.webhooks().await.unwrap().is_empty());
            if is_of_an_erasure {
                // Every run would count it.
                let table = operator.stack.output("AccountsTable");
                let call = operator.stack.dynamo.delete_item().table_name(table);
                let call = call.key("pk", AttributeValue::S(about));
                call.send().await.unwrap();
            }
            answer
        }
        409 => {
            // The first call stays at Orderspace for a while, and holds the lease.
            trouble(&operator, Door::Api, FaultKind::DelayMs(5_000)).await;
            let first = operator.call(Method::POST, "/check", None);
            let (_, answer) = tokio::join!(first, async {
                operator.site.forget_requests().await.unwrap();
                until_leased(&operator).await;
                call.send().await
            });
            answer
        }
        422 if needs_credentials => {
            let mut body = call.body().unwrap();
            body["client_secret"] = json!("wrong");
            call.send_with(Some(body)).await
        }
        422 if operation.method == "DELETE" => {
            let refusal = Fault::on(Door::Api, FaultKind::Unprocessable).method("DELETE");
            operator.site.set_faults(&[refusal]).await.unwrap();
            call.send().await
        }
        422 => {
            operator.site.revoke_tokens().await.unwrap();
            trouble(&operator, Door::Token, FaultKind::Refuse).await;
            call.send().await
        }
        500 | 503 => {
            let fault = match status {
                500 => AwsFault::refuse("ValidationException"),
                _ => AwsFault::Status(500),
            };
            let world = World::without_keys().await;
            let outage = world.disturb_by(Rule::new(fault).contains(about)).await;
            let answer = call.send().await;
            assert!(outage.met().await > 0);
            outage.end().await;
            answer
        }
        502 => {
            trouble(&operator, Door::Api, FaultKind::Status(500)).await;
            call.send().await
        }
        504 => {
            trouble(&operator, Door::Api, FaultKind::TimeOutMs(60_000)).await;
            call.send().await
        }
        other => panic!("nobody knows how to bring about {other} for {operation:?}"),
    }
}

/// Waits until a call holds the account's lease.
async fn until_leased(operator: &Operator) {
    let key = format!("account#{}", operator.account);
    e2e::until("the account is leased", async || {
        match operator.stack.account_item(&key).await {
            Some(item) if item.contains_key("lease_owner") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[rstest]
#[case::list("GET", "/v1/accounts")]
#[case::show("GET", "/v1/accounts/{account}")]
#[case::connect("PUT", "/v1/accounts/{account}")]
#[case::change("PATCH", "/v1/accounts/{account}")]
#[case::disconnect("DELETE", "/v1/accounts/{account}")]
#[case::check("POST", "/v1/accounts/{account}/check")]
#[case::rotate("POST", "/v1/accounts/{account}/rotate")]
#[case::endpoint("POST", "/v1/accounts/{account}/endpoint")]
#[case::erase("POST", "/v1/accounts/{account}/erasure")]
#[case::show_erasure("GET", "/v1/accounts/{account}/erasure/{erasure}")]
#[tokio::test]
async fn every_answer_that_is_described_is_given_as_described(
    #[case] method: &str,
    #[case] path: &str,
) {
    let described = Description::ours();
    let operations = described.operations();
    let is_it = |operation: &&Operation| operation.method == method && operation.path == path;
    let operation = operations.iter().find(is_it).unwrap();
    let mut brought_about = 0;
    for status in &operation.statuses {
        if is_out_of_reach(operation, *status) {
            continue;
        }
        let answer = bring_about(operation, *status).await;
        assert_eq!(answer.status, *status, "{method} {path}: {}", answer.body);
        let retry_after = answer.retry_after.as_deref();
        let held = described.hold(method, path, answer.status, retry_after, &answer.body);
        held.unwrap_or_else(|error| panic!("{error}"));
        brought_about += 1;
    }
    assert!(brought_about >= 2);
}

#[test]
fn every_call_that_is_described_is_told_above() {
    let source = include_str!("described.rs");
    for operation in Description::ours().operations() {
        let case = format!("(\"{}\", \"{}\")]", operation.method, operation.path);
        assert!(source.contains(&case), "there is no case for {case}");
    }
}

#[tokio::test]
async fn what_is_no_call_is_answered_with_404() {
    let operator = Operator::connected().await;
    let answer = operator.call(Method::POST, "/explode", None).await;
    assert_eq!(answer.status, 404, "{}", answer.body);
    let schema = json!({ "$ref": "#/components/schemas/Complaint" });
    let held = Description::ours().hold_value(&schema, &answer.body);
    assert_eq!(held, Ok(()));
}
