//! A table and a store of secrets on this machine: calls go the whole way through the SDK, and what they leave
//! behind is seen in DynamoDB's own JSON.
//!
//! Conditions are not looked at: the contract suites on the emulator do that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws::client::{Access, Aws};
use aws_sdk_dynamodb::config::Credentials;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

/// The services, and the way to them.
pub(crate) struct Service {
    kept: Arc<Mutex<Kept>>,
    /// The clients' configuration.
    pub(crate) aws: Aws,
}

#[derive(Default)]
struct Kept {
    items: BTreeMap<String, Value>,
    secrets: BTreeMap<String, String>,
    /// The attributes that the table takes for too large.
    refused: &'static [&'static str],
}

impl Service {
    /// Services that hold nothing.
    pub(crate) async fn start() -> Self {
        let kept = Arc::<Mutex<Kept>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&kept));
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        let access = Access {
            region: "eu-west-1".to_owned(),
            endpoint: Some(format!("http://{address}")),
            credentials: Credentials::new("id", "secret", None, None, "test"),
        };
        Self {
            kept,
            aws: Aws::new(access).unwrap(),
        }
    }

    /// Services that hold an item.
    pub(crate) async fn with_item(item: Value) -> Self {
        let service = Self::start().await;
        service.locked().items.insert(key(&item), item);
        service
    }

    /// Services that hold a secret.
    pub(crate) async fn with_secret(name: &str, text: &str) -> Self {
        let service = Self::start().await;
        let mut kept = service.locked();
        kept.secrets.insert(name.to_owned(), text.to_owned());
        drop(kept);
        service
    }

    /// Refuses items with one of these attributes.
    pub(crate) fn refuse(&self, attributes: &'static [&'static str]) {
        self.locked().refused = attributes;
    }

    /// The item with the key of this one.
    pub(crate) fn item_like(&self, item: &Value) -> Value {
        let kept = self.locked();
        kept.items.get(&key(item)).cloned().unwrap_or_default()
    }

    /// A secret's text.
    pub(crate) fn secret(&self, name: &str) -> String {
        self.locked().secrets[name].clone()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(item: &Value) -> String {
    format!("{} {}", item["pk"]["S"], item["sk"]["S"])
}

async fn answer(
    State(kept): State<Arc<Mutex<Kept>>>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let target = headers["x-amz-target"].to_str().unwrap();
    let (_, operation) = target.rsplit_once('.').unwrap();
    let call: Value = serde_json::from_str(&body).unwrap();
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    match kept.answer(operation, &call) {
        Ok(answer) => (StatusCode::OK, answer.to_string()),
        Err(code) => (
            StatusCode::BAD_REQUEST,
            json!({ "__type": code, "message": "refused" }).to_string(),
        ),
    }
}

impl Kept {
    fn answer(&mut self, operation: &str, call: &Value) -> Result<Value, &'static str> {
        let secret = || call["SecretId"].as_str().unwrap().to_owned();
        match operation {
            "GetItem" => Ok(match self.items.get(&key(&call["Key"])) {
                Some(item) => json!({ "Item": item }),
                None => json!({}),
            }),
            "PutItem" => {
                self.put(call);
                Ok(json!({}))
            }
            "TransactWriteItems" => {
                for write in call["TransactItems"].as_array().unwrap() {
                    self.put(&write["Put"]);
                }
                Ok(json!({}))
            }
            "UpdateItem" => {
                let before = self.items.get(&key(&call["Key"])).cloned();
                let after = updated(before.as_ref().unwrap_or(&call["Key"]), call);
                if self.refused.iter().any(|name| after.get(name).is_some()) {
                    return Err("com.amazonaws.dynamodb.v20120810#ValidationException");
                }
                self.items.insert(key(&after), after);
                Ok(match before {
                    Some(before) => json!({ "Attributes": before }),
                    None => json!({}),
                })
            }
            "GetSecretValue" => Ok(json!({ "SecretString": self.secrets[&secret()] })),
            "PutSecretValue" => {
                let text = call["SecretString"].as_str().unwrap();
                self.secrets.insert(secret(), text.to_owned());
                Ok(json!({}))
            }
            other => panic!("{other} is not answered here"),
        }
    }

    fn put(&mut self, put: &Value) {
        let item = &put["Item"];
        self.items.insert(key(item), item.clone());
    }
}

/// The item after an update expression of `SET`, `REMOVE` and `ADD`.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html>
fn updated(before: &Value, call: &Value) -> Value {
    let before = before.as_object().unwrap();
    let name = |word: &str| match word.starts_with('#') {
        true => call["ExpressionAttributeNames"][word]
            .as_str()
            .unwrap()
            .to_owned(),
        false => word.to_owned(),
    };
    let value = |word: &str| call["ExpressionAttributeValues"][word].clone();
    let mut after = before.clone();
    let expression = call["UpdateExpression"].as_str().unwrap();
    // Without its punctuation an expression is still read in one way only.
    let expression = expression.replace([',', '=', '(', ')'], " ");
    let mut words = expression.split_whitespace();
    let mut clause = "";
    while let Some(word) = words.next() {
        match (clause, word) {
            (_, "SET" | "REMOVE" | "ADD") => clause = word,
            ("SET", attribute) => {
                let new = match words.next().unwrap() {
                    "if_not_exists" => {
                        let (other, new) = (words.next().unwrap(), words.next().unwrap());
                        before.get(&name(other)).cloned().unwrap_or(value(new))
                    }
                    new => value(new),
                };
                after.insert(name(attribute), new);
            }
            ("REMOVE", attribute) => drop(after.remove(&name(attribute))),
            ("ADD", attribute) => {
                let more = value(words.next().unwrap());
                add(&mut after, name(attribute), &more);
            }
            _ => panic!("{expression} begins with no clause"),
        }
    }
    Value::Object(after)
}

fn add(item: &mut Map<String, Value>, attribute: String, more: &Value) {
    let sum = match (item.get(&attribute), &more["N"], &more["SS"]) {
        (None, ..) => more.clone(),
        (Some(there), Value::String(number), _) => {
            let numbers = [there["N"].as_str().unwrap(), number];
            let sum: u64 = numbers
                .iter()
                .map(|number| number.parse::<u64>().unwrap())
                .sum();
            json!({ "N": sum.to_string() })
        }
        (Some(there), _, Value::Array(members)) => {
            let mut all: Vec<&Value> = there["SS"].as_array().unwrap().iter().collect();
            all.extend(members);
            all.sort_by_key(|member| member.as_str());
            all.dedup();
            json!({ "SS": all })
        }
        _ => panic!("{more} cannot be added"),
    };
    item.insert(attribute, sum);
}
