//! A stack on the server of [`loopback`](crate::loopback): queues that hide what is received, tables, a bucket, routes and
//! accounts. For tests alone.
//!
//! Time does not pass in it: what is hidden stays so until it is given back, or until [`LoopbackStack::show_all`] says that
//! all times of hiding are over.
#![allow(
    clippy::indexing_slicing,
    reason = "what a request does not say reads as null"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::lane::Lane;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use crate::loopback::{Loopback, Reply, Seen};
use crate::stack::VERSION;
use calls::Calls;

/// A message of a queue.
#[derive(Debug, Clone)]
pub struct Stored {
    /// The queue's id of it.
    pub id: String,
    /// The body.
    pub body: String,
    /// What is attached, as it was sent.
    pub attributes: Value,
    /// The group.
    pub group: Option<String>,
    /// Milliseconds since 1970.
    pub sent: u64,
    /// Whether somebody received it and has not given it back.
    pub is_hidden: bool,
    handle: String,
    receives: u64,
}

impl Stored {
    /// A text that is attached.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.get("StringValue")?.as_str()
    }
}

/// What the stack has.
#[derive(Debug, Default)]
pub struct State {
    /// Messages by queue, named by the end of its URL.
    pub queues: BTreeMap<String, Vec<Stored>>,
    /// Items by table.
    pub tables: BTreeMap<String, Vec<Map<String, Value>>>,
    /// Objects by path, `/bucket/key`.
    pub objects: BTreeMap<String, String>,
    /// Accounts and their sources.
    pub accounts: BTreeMap<String, String>,
    /// The routes.
    pub routes: String,
    /// The release that is deployed.
    pub version: String,
    /// Its parameters, as far as a test asks for them.
    pub parameters: BTreeMap<String, String>,
    /// Queues that accept nothing.
    pub refusing: Vec<String>,
    /// Whether what is received is shown again at once: as where looking takes longer than messages are hidden.
    pub is_forgetful: bool,
    /// Secrets by name.
    pub secrets: BTreeMap<String, String>,
    next: u64,
    calls: usize,
    killed_at: Option<usize>,
}

/// The stack.
#[derive(Clone)]
pub struct LoopbackStack {
    /// The server.
    pub server: Loopback,
    state: Arc<Mutex<State>>,
    killed: Arc<Notify>,
}

/// When messages are sent here, in milliseconds: each a second after the one before.
const FIRST_SENT: u64 = 1_795_176_000_000;

impl LoopbackStack {
    /// Starts an empty stack of this release, named `shop`.
    pub async fn start() -> Self {
        let stack = Self {
            server: Loopback::start().await,
            state: Arc::default(),
            killed: Arc::default(),
        };
        stack.with(|state| {
            "[]".clone_into(&mut state.routes);
            VERSION.clone_into(&mut state.version);
            let parameters = [("ReceiptTtlDays", "30"), ("InlineLimitBytes", "250000")];
            let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
            state.parameters.extend(parameters);
        });
        stack.play_first(|_| None);
        stack
    }

    /// Reads or changes what it has.
    pub fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A caller of it.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.server.calls()
    }

    /// Starts a stack with these routes and one account, `acme` of Orderspace.
    pub async fn with_account(routes: &str) -> Self {
        let stack = Self::start().await;
        stack.with(|state| {
            routes.clone_into(&mut state.routes);
            let account = ("acme".to_owned(), "orderspace".to_owned());
            state.accounts.extend([account]);
        });
        stack
    }

    /// Puts an item into a table, in DynamoDB's JSON. What is no object is none.
    pub fn put_item(&self, table: &str, item: &Value) {
        let item = item.as_object().cloned();
        self.with(|state| {
            let items = state.tables.entry(table.to_owned()).or_default();
            items.extend(item);
        });
    }

    /// Answers with a player of the test's own what that one answers, and the rest as before.
    pub fn play_first(&self, mut player: impl FnMut(&Seen) -> Option<Reply> + Send + 'static) {
        let hooks = format!("{}/hooks", self.server.endpoint());
        let admin = format!("{}/v1", self.server.endpoint());
        let (state, killed) = (Arc::clone(&self.state), Arc::clone(&self.killed));
        self.server.play(move |seen| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let reply = player(seen).or_else(|| state.answer(seen, &hooks, &admin));
            state.calls += 1;
            if state.killed_at.is_some_and(|at| state.calls >= at) {
                killed.notify_one();
            }
            reply
        });
    }

    /// Puts a message into a queue.
    pub fn put(&self, queue: &str, body: impl Into<String>) {
        let body = body.into();
        self.with(|state| state.push(queue, body, json!({}), None));
    }

    /// The messages of a queue.
    #[must_use]
    pub fn queue(&self, queue: &str) -> Vec<Stored> {
        self.with(|state| state.queues.get(queue).cloned().unwrap_or_default())
    }

    /// Ends all times of hiding.
    pub fn show_all(&self) {
        self.with(|state| {
            let messages = state.queues.values_mut().flatten();
            messages.for_each(|message| message.is_hidden = false);
        });
    }

    /// Runs something until it ends, or until it has been answered so many calls from now on, of which it gets no further
    /// answer: as a process that is killed. `None` where it was killed.
    pub async fn killed_after<T>(&self, calls: usize, run: impl Future<Output = T>) -> Option<T> {
        self.with(|state| (state.calls, state.killed_at) = (0, Some(calls)));
        let ended = tokio::select! {
            biased;
            () = self.killed.notified() => None,
            ended = run => Some(ended),
        };
        self.with(|state| state.killed_at = None);
        ended
    }
}

impl State {
    fn push(&mut self, queue: &str, body: String, attributes: Value, group: Option<String>) {
        self.next += 1;
        let number = self.next;
        self.queues
            .entry(queue.to_owned())
            .or_default()
            .push(Stored {
                id: format!("m{number:05}"),
                body,
                attributes,
                group,
                sent: FIRST_SENT + number * 1000,
                is_hidden: false,
                handle: String::new(),
                receives: 0,
            });
    }

    fn answer(&mut self, seen: &Seen, hooks: &str, admin: &str) -> Option<Reply> {
        let (service, operation) = seen.action.split_once(' ')?;
        let input: Value = serde_json::from_str(&seen.body).unwrap_or_default();
        let queue = input["QueueUrl"].as_str().unwrap_or_default();
        let queue = queue.rsplit('/').next().unwrap_or_default().to_owned();
        match (service, operation) {
            ("sqs", "GetQueueAttributes") => Some(self.attributes(&queue)),
            ("sqs", "ReceiveMessage") => Some(self.receive(&queue)),
            ("sqs", operation) if operation.ends_with("Batch") => {
                Some(self.batch(&queue, operation, &input))
            }
            ("dynamodb", "GetItem") => Some(self.get(&input)),
            ("dynamodb", "Query") => Some(self.query(&input)),
            ("ssm", "GetParameter") => Some(Reply::json(
                &json!({ "Parameter": { "Value": self.routes } }),
            )),
            ("secretsmanager", "GetSecretValue") => {
                let secret = self.secrets.get(input["SecretId"].as_str()?);
                Some(match secret {
                    Some(secret) => Reply::json(&json!({ "SecretString": secret })),
                    None => Reply::status(400, r#"{"__type":"ResourceNotFoundException"}"#),
                })
            }
            ("cloudformation", "DescribeStacks") => Some(self.describe(hooks, admin)),
            ("execute-api", _) => Some(self.account(&seen.path)),
            ("s3", _) => self.object(operation.split(' ').next()?, seen),
            _ => None,
        }
    }

    fn attributes(&self, queue: &str) -> Reply {
        let messages = self.queues.get(queue).map_or(&[][..], Vec::as_slice);
        let hidden = messages.iter().filter(|message| message.is_hidden).count();
        Reply::json(&json!({ "Attributes": {
            "ApproximateNumberOfMessages": (messages.len() - hidden).to_string(),
            "ApproximateNumberOfMessagesNotVisible": hidden.to_string(),
            "MessageRetentionPeriod": "1209600",
        } }))
    }

    fn receive(&mut self, queue: &str) -> Reply {
        let is_forgetful = self.is_forgetful;
        let messages = self.queues.entry(queue.to_owned()).or_default();
        let shown = messages.iter_mut().filter(|message| !message.is_hidden);
        let mut received = Vec::new();
        for message in shown.take(10) {
            message.is_hidden = !is_forgetful;
            message.receives += 1;
            message.handle = format!("{}-{}", message.id, message.receives);
            received.push(json!({
                "MessageId": message.id, "ReceiptHandle": message.handle, "Body": message.body,
                "MessageAttributes": message.attributes,
                "Attributes": {
                    "SentTimestamp": message.sent.to_string(), "ApproximateReceiveCount": message.receives.to_string(),
                },
            }));
        }
        Reply::json(&json!({ "Messages": received }))
    }

    fn batch(&mut self, queue: &str, operation: &str, input: &Value) -> Reply {
        let entries = input["Entries"].as_array().cloned().unwrap_or_default();
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            let id = &entry["Id"];
            if operation == "SendMessageBatch" {
                if self.refusing.iter().any(|refusing| refusing == queue) {
                    failed.push(json!({ "Id": id, "Code": "Refused", "Message": "no" }));
                    continue;
                }
                let body = entry["MessageBody"].as_str().unwrap_or_default().to_owned();
                let group = entry["MessageGroupId"].as_str().map(str::to_owned);
                self.push(queue, body, entry["MessageAttributes"].clone(), group);
                successful.push(json!({ "Id": id }));
                continue;
            }
            let handle = entry["ReceiptHandle"].as_str().unwrap_or_default();
            let messages = self.queues.entry(queue.to_owned()).or_default();
            match messages.iter().position(|message| message.handle == handle) {
                None => failed.push(json!({ "Id": id, "Code": "ReceiptHandleIsInvalid" })),
                Some(place) if operation == "DeleteMessageBatch" => {
                    messages.remove(place);
                    successful.push(json!({ "Id": id }));
                }
                Some(place) => {
                    if let Some(message) = messages.get_mut(place) {
                        message.is_hidden = entry["VisibilityTimeout"] != 0;
                    }
                    successful.push(json!({ "Id": id }));
                }
            }
        }
        Reply::json(&json!({ "Successful": successful, "Failed": failed }))
    }

    fn items(&self, input: &Value) -> &[Map<String, Value>] {
        let table = input["TableName"].as_str().unwrap_or_default();
        self.tables.get(table).map_or(&[], Vec::as_slice)
    }

    fn get(&self, input: &Value) -> Reply {
        let is_meant = |item: &&Map<String, Value>| {
            item.get("pk") == input["Key"].get("pk") && item.get("sk") == input["Key"].get("sk")
        };
        let item = self.items(input).iter().find(is_meant);
        Reply::json(&match item {
            Some(item) => json!({ "Item": item }),
            None => json!({}),
        })
    }

    /// Pages of two items, so that every caller has to turn one.
    fn query(&self, input: &Value) -> Reply {
        let values = &input["ExpressionAttributeValues"];
        let text = |item: &Map<String, Value>, name: &str| {
            let value = item.get(name).and_then(|value| value["S"].as_str());
            value.unwrap_or_default().to_owned()
        };
        let bound = |name: &str| values[name]["S"].as_str();
        let mut items: Vec<&Map<String, Value>> = self.items(input).iter().collect();
        items.retain(|item| {
            let sk = text(item, "sk");
            Some(text(item, "pk").as_str()) == bound(":pk")
                && bound(":from").is_none_or(|from| sk.as_str() >= from)
                && bound(":to").is_none_or(|to| sk.as_str() <= to)
        });
        items.sort_by_key(|item| text(item, "sk"));
        let start = input["ExclusiveStartKey"]["sk"]["S"].as_str();
        items.retain(|item| start.is_none_or(|start| text(item, "sk").as_str() > start));
        let page: Vec<_> = items.iter().take(2).collect();
        let mut answer = json!({ "Items": page });
        if let (true, Some(last)) = (items.len() > 2, page.last()) {
            answer["LastEvaluatedKey"] = json!({ "pk": last.get("pk"), "sk": last.get("sk") });
        }
        Reply::json(&answer)
    }

    fn account(&self, path: &str) -> Reply {
        let shown = |name: &str, source: &str| {
            json!({
                "account": name, "source": source, "state": "connected", "explanation": "well", "is_suspect": false,
                "events": ["*"], "unselected_events": [], "created": "2026-11-01T00:00:00.000Z",
                "changed": "2026-11-01T00:00:00.000Z", "proof": "require", "history": [],
            })
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        match self.accounts.get(name) {
            None if name == "accounts" => {
                let accounts = self.accounts.iter();
                let accounts: Vec<Value> =
                    accounts.map(|(name, source)| shown(name, source)).collect();
                Reply::json(&json!({ "accounts": accounts, "unreadable": [] }))
            }
            None => Reply::status(404, r#"{"error":"not_found","message":"no such account"}"#),
            Some(source) => Reply::json(&shown(name, source)),
        }
    }

    fn object(&mut self, method: &str, seen: &Seen) -> Option<Reply> {
        match method {
            "PUT" => {
                self.objects.insert(seen.path.clone(), seen.body.clone());
                Some(Reply::text(""))
            }
            _ => Some(match self.objects.get(&seen.path) {
                Some(object) => Reply::text(object.clone()),
                None => Reply::status(404, "<Error><Code>NoSuchKey</Code></Error>"),
            }),
        }
    }

    fn describe(&self, hooks: &str, admin: &str) -> Reply {
        let mut outputs: Vec<(String, String)> = [
            ("HooksUrl", hooks),
            ("AdminUrl", admin),
            ("ReceiptsTable", "receipts"),
            ("RecordsTable", "records"),
            ("OversizeBucket", "bucket"),
            ("QuarantineQueueUrl", "http://q/0/quarantine"),
            ("UndeliveredQueueUrl", "http://q/0/undelivered"),
            ("RoutesParameter", "routes"),
            ("Version", &self.version),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        for lane in Lane::ALL {
            let name = lane.as_str();
            let (first, rest) = name.split_at(1);
            let title = format!("{}{rest}", first.to_uppercase());
            outputs.push((format!("{title}QueueUrl"), format!("http://q/0/{name}")));
            outputs.push((format!("{title}DlqUrl"), format!("http://q/0/{name}-dlq")));
        }
        let output = |(name, value): &(String, String)| {
            format!(
                "<member><OutputKey>{name}</OutputKey><OutputValue>{value}</OutputValue></member>"
            )
        };
        let outputs: String = outputs.iter().map(output).collect();
        let parameter = |(name, value): (&String, &String)| {
            format!(
                "<member><ParameterKey>{name}</ParameterKey><ParameterValue>{value}</ParameterValue></member>"
            )
        };
        let parameters: String = self.parameters.iter().map(parameter).collect();
        Reply::text(format!(
            "<DescribeStacksResponse><DescribeStacksResult><Stacks><member>\
             <StackId>arn:aws:cloudformation:eu-west-1:123:stack/shop/1</StackId><StackName>shop</StackName>\
             <StackStatus>UPDATE_COMPLETE</StackStatus><CreationTime>2026-11-20T12:00:00Z</CreationTime>\
             <Parameters>{parameters}</Parameters>\
             <Outputs>{outputs}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
        ))
    }
}
