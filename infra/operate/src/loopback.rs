//! A server on this machine that plays AWS: it answers as it was set to, and keeps what it was asked.
//!
//! For tests alone. A request is known by the service in its signature and the operation: `sqs GetQueueAttributes`,
//! `sts GetCallerIdentity`, and where the operation is a path, `lambda GET /2016-08-19/account-settings/`.
#![allow(
    clippy::expect_used,
    reason = "a test stops where its server cannot be made"
)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};

use calls::{Access, Calls, Retries};

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Reply {
    /// Success, with JSON.
    #[must_use]
    pub fn json(body: &Value) -> Self {
        Self::status(200, body.to_string())
    }

    /// Success, with XML or anything else.
    #[must_use]
    pub fn text(body: impl Into<String>) -> Self {
        Self::status(200, body)
    }

    /// Any status.
    #[must_use]
    pub fn status(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Service and operation.
    pub action: String,
    /// The path with its query.
    pub path: String,
    /// The body.
    pub body: String,
}

struct Rule {
    action: String,
    containing: String,
    replies: VecDeque<Reply>,
}

/// Something that answers requests by what happened before.
type Player = Box<dyn FnMut(&Seen) -> Option<Reply> + Send>;

#[derive(Default)]
struct Script {
    rules: Vec<Rule>,
    player: Option<Player>,
    seen: Vec<Seen>,
    is_forgetful: bool,
}

/// The server. It ends with the test.
#[derive(Clone)]
pub struct Loopback {
    endpoint: String,
    script: Arc<Mutex<Script>>,
}

impl Loopback {
    /// Starts a server that answers nothing yet.
    ///
    /// # Panics
    /// No port can be had.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port of this machine");
        let address = listener.local_addr().expect("the port's address");
        let script = Arc::new(Mutex::new(Script::default()));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            endpoint: format!("http://{address}"),
            script,
        }
    }

    /// The server's address.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// How to call it.
    #[must_use]
    pub fn access(&self) -> Access {
        Access::fixed(&self.endpoint, "eu-west-1", "AKID", "marker-secret-key")
    }

    /// A caller of it, which waits for milliseconds where AWS is given seconds.
    ///
    /// # Panics
    /// No HTTP client can be made.
    #[must_use]
    pub fn calls(&self) -> Calls {
        let retries = Retries {
            attempts: 3,
            first: Duration::from_millis(1),
            longest: Duration::from_millis(2),
        };
        Calls::with_retries(self.access(), retries).expect("a client for 127.0.0.1 can be made")
    }

    /// Answers an action so from now on.
    pub fn on(&self, action: &str, reply: Reply) -> &Self {
        self.on_each(action, "", [reply])
    }

    /// Answers an action so where its path or body contains a text. What was said last counts.
    pub fn on_containing(&self, action: &str, containing: &str, reply: Reply) -> &Self {
        self.on_each(action, containing, [reply])
    }

    /// Answers an action with each of these in turn, and then with the last of them.
    pub fn on_each(
        &self,
        action: &str,
        containing: &str,
        replies: impl IntoIterator<Item = Reply>,
    ) -> &Self {
        self.script().rules.push(Rule {
            action: action.to_owned(),
            containing: containing.to_owned(),
            replies: replies.into_iter().collect(),
        });
        self
    }

    /// Answers what no rule answers so: for services that remember.
    pub fn play(&self, player: impl FnMut(&Seen) -> Option<Reply> + Send + 'static) -> &Self {
        self.script().player = Some(Box::new(player));
        self
    }

    /// Keeps no request from now on: for tests that count memory.
    pub fn forget_requests(&self) -> &Self {
        self.script().is_forgetful = true;
        self
    }

    /// Everything that it was asked.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.script().seen.clone()
    }

    /// What it was asked of one action.
    #[must_use]
    pub fn seen_of(&self, action: &str) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|seen| seen.action == action);
        seen
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> http::Response<axum::body::Body> {
    let body = String::from_utf8_lossy(&body).into_owned();
    let action = action(&method, &uri, &headers, &body);
    let path = uri.to_string();
    let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
    let fits = |rule: &&mut Rule| {
        rule.action == action
            && (path.contains(&rule.containing) || body.contains(&rule.containing))
    };
    let reply =
        script
            .rules
            .iter_mut()
            .rev()
            .find(fits)
            .and_then(|rule| match rule.replies.len() {
                0 | 1 => rule.replies.front().cloned(),
                _ => rule.replies.pop_front(),
            });
    let seen = Seen { action, path, body };
    let played = || script.player.as_mut().and_then(|player| player(&seen));
    let reply = reply.or_else(played);
    let reply =
        reply.unwrap_or_else(|| Reply::status(501, format!("nothing was set for {}", seen.action)));
    if !script.is_forgetful {
        script.seen.push(seen);
    }
    let mut response = http::Response::new(axum::body::Body::from(reply.body));
    *response.status_mut() = http::StatusCode::from_u16(reply.status).expect("a status");
    for (name, value) in reply.headers {
        let value = http::HeaderValue::from_str(&value).expect("a header's value");
        response.headers_mut().insert(name, value);
    }
    response
}

fn action(method: &Method, uri: &Uri, headers: &HeaderMap, body: &str) -> String {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scope = header("authorization").and_then(|value| value.split("Credential=").nth(1));
    let service = scope.and_then(|scope| scope.split('/').nth(3));
    let service = service.unwrap_or("unsigned");
    if service == "unsigned" && uri.path().starts_with("/hooks/") {
        return UNSIGNED_HOOK.to_owned();
    }
    let target = header("x-amz-target").and_then(|target| target.split('.').nth(1));
    let query = body.strip_prefix("Action=");
    let query = query.and_then(|query| query.split('&').next());
    match target.or(query) {
        Some(operation) => format!("{service} {operation}"),
        None => format!("{service} {method} {}", uri.path()),
    }
}

/// The outputs of a stack whose parts this server plays, by name.
#[must_use]
pub fn outputs(endpoint: &str) -> Vec<(String, String)> {
    let mut outputs: Vec<(String, String)> = [
        ("HooksUrl", format!("{endpoint}/hooks")),
        ("AdminUrl", format!("{endpoint}/v1")),
        ("AccountsTable", "accounts".to_owned()),
        ("ReceiptsTable", "receipts".to_owned()),
        ("RecordsTable", "records".to_owned()),
        ("OversizeBucket", "oversize".to_owned()),
        (
            "AlarmTopicArn",
            "arn:aws:sns:eu-west-1:123456789012:alarms".to_owned(),
        ),
        ("Version", crate::stack::VERSION.to_owned()),
        ("RoutesParameter", "routes".to_owned()),
        ("AccessLogGroup", "access".to_owned()),
        ("CheckScheduleName", "check".to_owned()),
        ("WatchScheduleName", "watch".to_owned()),
        ("ErasureScheduleName", "erasure".to_owned()),
        (
            "ConsumerRoleArn",
            "arn:aws:iam::123456789012:role/consumer".to_owned(),
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    for queue in [
        "Customers",
        "Orders",
        "Billing",
        "Products",
        "Inventory",
        "Other",
        "Check",
    ] {
        for kind in ["Queue", "Dlq"] {
            outputs.push((
                format!("{queue}{kind}Url"),
                queue_url(endpoint, &format!("{queue}{kind}")),
            ));
        }
    }
    for queue in ["Quarantine", "Undelivered"] {
        outputs.push((format!("{queue}QueueUrl"), queue_url(endpoint, queue)));
    }
    for function in ["Inbound", "Consumer", "Subscriptions", "Erasure"] {
        outputs.push((format!("{function}FunctionName"), function.to_lowercase()));
        outputs.push((
            format!("{function}LogGroup"),
            format!("{}-log", function.to_lowercase()),
        ));
    }
    outputs
}

/// The URL of one of the stack's queues.
#[must_use]
pub fn queue_url(endpoint: &str, name: &str) -> String {
    format!("{endpoint}/123456789012/{name}")
}

/// What a queue answers that has so many messages.
#[must_use]
pub fn queue(messages: u64, settings: &Value) -> Reply {
    let mut attributes = json!({ "ApproximateNumberOfMessages": messages.to_string() });
    if let (Some(attributes), Some(settings)) = (attributes.as_object_mut(), settings.as_object()) {
        attributes.extend(settings.clone());
    }
    Reply::json(&json!({ "Attributes": attributes }))
}

impl Loopback {
    /// Plays a stack named `orderhook` that is well in everything: each answer can be replaced by another one.
    pub fn play_stack(&self) -> &Self {
        let endpoint = self.endpoint.clone();
        self.play_release(crate::stack::VERSION);
        self.on(
            "sts GetCallerIdentity",
            Reply::text(
                "<R><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/op</Arn><Account>123456789012</Account></GetCallerIdentityResult></R>",
            ),
        );
        self.play_queues(&endpoint);
        self.play_functions();
        self.on(
            "monitoring GetMetricData",
            Reply::text("<R><GetMetricDataResult><MetricDataResults/></GetMetricDataResult></R>"),
        );
        self.on(
            "monitoring DescribeAlarms",
            Reply::text(
                "<R><DescribeAlarmsResult><MetricAlarms><member><AlarmName>orderhook-UndeliveredAlarm-1</AlarmName><StateValue>OK</StateValue>
                <AlarmDescription>A team's queue refuses events.</AlarmDescription></member></MetricAlarms></DescribeAlarmsResult></R>",
            ),
        );
        self.on(
            "sns ListSubscriptionsByTopic",
            Reply::text(
                "<R><ListSubscriptionsByTopicResult><Subscriptions><member><SubscriptionArn>arn:aws:sns:eu-west-1:1:alarms:1</SubscriptionArn>
                <Protocol>email</Protocol><Endpoint>ops@example.com</Endpoint></member></Subscriptions></ListSubscriptionsByTopicResult></R>",
            ),
        );
        let routes = json!([{ "team": "sales", "queue": queue_url(&endpoint, "sales"), "types": ["order.*"], "accounts": ["*"] }]);
        self.on(
            "ssm GetParameter",
            Reply::json(&json!({ "Parameter": { "Value": routes.to_string() } })),
        );
        let account = json!({
            "account": "acme", "source": "orderspace", "state": "connected", "explanation": "its deliveries are taken",
            "events": ["order.created"], "unselected_events": [], "webhook": "wh_1", "rotation": null, "proof": "require",
            "created": "2026-11-20T12:00:00.000Z", "changed": "2026-11-20T12:00:00.000Z", "last_error": null, "suspect": null,
        });
        self.on(
            "execute-api GET /v1/accounts",
            Reply::json(&json!({ "accounts": [account], "unreadable": [] })),
        );
        self.on(
            "dynamodb DescribeContinuousBackups",
            Reply::json(&json!({ "ContinuousBackupsDescription": { "PointInTimeRecoveryDescription": { "PointInTimeRecoveryStatus": "ENABLED" } } })),
        );
        self.on(
            "dynamodb DescribeTimeToLive",
            Reply::json(&json!({ "TimeToLiveDescription": { "TimeToLiveStatus": "ENABLED" } })),
        );
        self
    }

    /// Plays the same stack as one that a release of this version deployed.
    pub fn play_release(&self, version: &str) -> &Self {
        let output = |(name, value): &(String, String)| {
            let value = if name == "Version" { version } else { value };
            format!(
                "<member><OutputKey>{name}</OutputKey><OutputValue>{value}</OutputValue></member>"
            )
        };
        let outputs: String = outputs(&self.endpoint).iter().map(output).collect();
        let parameters: String = [
            ("LaneVisibilityTimeout", "290"),
            ("LaneRetentionSeconds", "864000"),
            ("LaneAgeAlarmSeconds", "900"),
            ("Architecture", "arm64"),
            ("LogRetentionDays", "30"),
            ("ReceiptTtlDays", "30"),
        ]
        .iter()
        .map(|(name, value)| {
            format!("<member><ParameterKey>{name}</ParameterKey><ParameterValue>{value}</ParameterValue></member>")
        })
        .collect();
        self.on(
            "cloudformation DescribeStacks",
            Reply::text(format!(
                "<R><DescribeStacksResult><Stacks><member>
                <StackId>arn:aws:cloudformation:eu-west-1:123456789012:stack/orderhook/1</StackId><StackStatus>UPDATE_COMPLETE</StackStatus>
                <CreationTime>2026-11-20T12:00:00Z</CreationTime><Parameters>{parameters}</Parameters><Outputs>{outputs}</Outputs>
                </member></Stacks></DescribeStacksResult></R>"
            )),
        );
        self
    }

    fn play_queues(&self, endpoint: &str) {
        let waiting = json!({ "MessageRetentionPeriod": "1209600", "VisibilityTimeout": "30" });
        self.on("sqs GetQueueAttributes", queue(0, &waiting));
        let redrive = |dead: &str, receives: u32| {
            let target = format!("arn:aws:sqs:eu-west-1:123456789012:{dead}");
            json!({ "deadLetterTargetArn": target, "maxReceiveCount": receives }).to_string()
        };
        for lane in [
            "Customers",
            "Orders",
            "Billing",
            "Products",
            "Inventory",
            "Other",
        ] {
            let settings = json!({
                "MessageRetentionPeriod": "864000", "VisibilityTimeout": "290", "RedrivePolicy": redrive(&format!("{lane}Dlq"), 100),
            });
            let url = queue_url(endpoint, &format!("{lane}Queue"));
            self.on_containing("sqs GetQueueAttributes", &url, queue(0, &settings));
        }
        let settings = json!({
            "MessageRetentionPeriod": "86400", "VisibilityTimeout": "180", "RedrivePolicy": redrive("CheckDlq", 20),
        });
        let url = queue_url(endpoint, "CheckQueue");
        self.on_containing("sqs GetQueueAttributes", &url, queue(0, &settings));
    }

    fn play_functions(&self) {
        for function in ["inbound", "consumer", "subscriptions", "erasure"] {
            self.on(
                &format!("lambda GET /2015-03-31/functions/{function}/configuration"),
                Reply::json(&json!({
                    "FunctionName": function, "State": "Active", "LastUpdateStatus": "Successful", "Architectures": ["arm64"],
                })),
            );
        }
        let source = |queue: &str| json!({ "UUID": format!("uuid-{queue}"), "EventSourceArn": format!("arn:aws:sqs:eu-west-1:123456789012:{queue}"), "State": "Enabled" });
        let lanes: Vec<Value> = [
            "Customers",
            "Orders",
            "Billing",
            "Products",
            "Inventory",
            "Other",
        ]
        .iter()
        .map(|lane| source(&format!("{lane}Queue")))
        .collect();
        let path = "lambda GET /2015-03-31/event-source-mappings/";
        self.on_containing(
            path,
            "consumer",
            Reply::json(&json!({ "EventSourceMappings": lanes })),
        );
        let checks = [source("CheckQueue")];
        self.on_containing(
            path,
            "subscriptions",
            Reply::json(&json!({ "EventSourceMappings": checks })),
        );
        for schedule in ["check", "watch", "erasure"] {
            self.on(
                &format!("scheduler GET /schedules/{schedule}"),
                Reply::json(&json!({ "Name": schedule, "State": "ENABLED" })),
            );
        }
        self.on(UNSIGNED_HOOK, Reply::status(401, "{}"));
    }
}

/// The action of a request to a hook, whatever its token is.
pub const UNSIGNED_HOOK: &str = "unsigned hook";
