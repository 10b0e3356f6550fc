//! The rules, one function each. Every rule has a test that breaks the project's template and sees it caught.

use std::fmt::Display;

use calls::{NEEDS, Policy};
use domain::route::Routes;
use serde_json::Value;

use super::{Finding, Resource, Template, VARIABLES, alarm_rules, referred};

/// What a rule complains of: places, and what is wrong there.
#[derive(Debug, Default)]
pub(super) struct Complaints(pub(super) Vec<(String, String)>);

impl Complaints {
    pub(super) fn add(&mut self, place: &str, text: impl Into<String>) {
        self.0.push((place.to_owned(), text.into()));
    }

    /// Complains unless something holds.
    pub(super) fn require(&mut self, holds: bool, place: &str, text: impl Into<String>) {
        if !holds {
            self.add(place, text);
        }
    }

    /// Complains unless a property has a value.
    pub(super) fn require_value<T: Display>(&mut self, of: Resource<'_>, path: &str, value: T)
    where
        Value: PartialEq<T>,
    {
        let found = of.property(path);
        let text = || format!("{path} has to be {value}, and is {found}");
        if *found != value {
            self.add(of.id, text());
        }
    }
}

pub(super) type Rule = fn(&Template, &mut Complaints);

/// Every rule by name.
const RULES: [(&str, Rule); 33] = [
    ("visibility", visibility),
    ("inbound-times", inbound_times),
    ("receives", receives),
    ("dead-letters", dead_letters),
    ("partial-batches", partial_batches),
    ("concurrency", concurrency),
    ("event-properties", event_properties),
    ("event-sources", event_sources),
    ("runtime", runtime),
    ("roles", roles),
    ("permissions", permissions),
    ("people", people),
    ("retained", retained),
    ("no-fixed-names", no_fixed_names),
    ("tables", tables),
    ("bucket", bucket),
    ("queue-encryption", queue_encryption),
    ("access-log", access_log),
    ("routes", routes),
    ("order-of-routes", order_of_routes),
    ("function-urls", function_urls),
    ("teams", teams),
    ("floors", floors),
    ("alarms", alarm_rules::alarms),
    ("alarm-metrics", alarm_rules::alarm_metrics),
    ("alarm-windows", alarm_rules::alarm_windows),
    ("alarm-states", alarm_rules::alarm_states),
    ("alarm-words", alarm_rules::alarm_words),
    ("heartbeat", alarm_rules::heartbeat),
    ("logging", alarm_rules::logging),
    ("tracing", alarm_rules::tracing),
    ("asynchronous", alarm_rules::asynchronous),
    ("outputs", outputs),
];

/// SQS keeps nothing for longer.
const FOURTEEN_DAYS: i64 = 1_209_600;

/// How long SQS keeps a message of a queue that does not say so: four days.
const RETENTION: i64 = 345_600;

/// What a deployment has that is not there by default.
const MORE: &str = "WebhookDoor=function-url";

/// Everything that is wrong with a template, by default and with what is not there by default.
pub fn check(template: &Template) -> Vec<Finding> {
    let mut findings = as_given(template);
    if let Ok(more) = template.clone().with_parameters(&[MORE.to_owned()]) {
        let more = as_given(&more).into_iter();
        let more: Vec<Finding> = more.filter(|found| !findings.contains(found)).collect();
        findings.extend(more);
    }
    findings
}

/// What is wrong with a template as its parameters are.
pub(super) fn as_given(template: &Template) -> Vec<Finding> {
    findings(&RULES, template)
}

/// What some rules find in a template.
pub(super) fn findings(rules: &[(&'static str, Rule)], template: &Template) -> Vec<Finding> {
    let of_rule = |(rule, find): &(&'static str, Rule)| {
        let mut complaints = Complaints::default();
        find(template, &mut complaints);
        let rule = *rule;
        let found = complaints.0.into_iter();
        found.map(move |(place, text)| Finding { rule, place, text })
    };
    rules.iter().flat_map(of_rule).collect()
}

/// How many rules there are.
pub fn count() -> usize {
    RULES.len()
}

/// An event source, its function and its queue.
pub(super) struct Source<'a> {
    mapping: Resource<'a>,
    function: Option<Resource<'a>>,
    pub(super) queue: Option<Resource<'a>>,
}

impl<'a> Source<'a> {
    fn place(&self) -> &'a str {
        self.mapping.id
    }

    /// Whether the queue is one of those that events travel through to the teams.
    pub(super) fn is_lane(&self) -> bool {
        // What forwards events sets aside those that a team's queue refuses.
        self.function
            .is_some_and(|function| !variable(function, "UNDELIVERED_QUEUE_URL").is_null())
    }

    fn property(&self, path: &str) -> &'a Value {
        self.mapping.property(path)
    }

    /// How many seconds Lambda may wait for a batch to fill.
    fn window(&self, template: &Template) -> i64 {
        let window = template.number(self.property("/MaximumBatchingWindowInSeconds"));
        window.unwrap_or(0)
    }
}

/// A function's own variable, or `Null`.
fn variable<'a>(function: Resource<'a>, name: &str) -> &'a Value {
    function.property(&format!("{VARIABLES}/{name}"))
}

pub(super) fn functions(template: &Template) -> impl Iterator<Item = Resource<'_>> {
    template.of_kind("AWS::Serverless::Function")
}

pub(super) fn sources(template: &Template) -> Vec<Source<'_>> {
    let of =
        |mapping: Resource<'_>, path: &str| template.resource(referred(mapping.property(path))?);
    template
        .of_kind("AWS::Lambda::EventSourceMapping")
        .map(|mapping| Source {
            mapping,
            function: of(mapping, "/FunctionName"),
            queue: of(mapping, "/EventSourceArn"),
        })
        .collect()
}

/// A message must stay hidden for as long as Lambda may work and try again on it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>
fn visibility(template: &Template, complaints: &mut Complaints) {
    let timeout = |function| template.number(template.of_function(function, "/Timeout"));
    let sources = sources(template);
    let none = "no function has a queue as event source";
    complaints.require(!sources.is_empty(), "Resources", none);
    for source in &sources {
        let (Some(queue), Some(function)) = (source.queue, source.function) else {
            let text = "its queue or its function is not in this template";
            complaints.add(source.place(), text);
            continue;
        };
        let Some(timeout) = timeout(function) else {
            continue;
        };
        let window = source.window(template);
        let hidden = template.number(queue.property("/VisibilityTimeout"));
        let hidden = hidden.unwrap_or(30);
        let needed = 6 * timeout + window;
        let text = format!(
            "VisibilityTimeout is {hidden} s, but 6 × the function's {timeout} s + the window of {window} s are {needed} s"
        );
        complaints.require(hidden >= needed, queue.id, text);
    }
    for function in functions(template) {
        complaints.require(
            timeout(function).is_some(),
            function.id,
            "it has no Timeout",
        );
    }
}

/// The budget ends a delivery before its time-out does, and no second attempt takes over what the first still works on:
/// whatever values a deployment gives the parameters.
fn inbound_times(template: &Template, complaints: &mut Complaints) {
    for function in functions(template) {
        let budget = variable(function, "ANSWER_BUDGET_MS");
        if budget.is_null() {
            continue;
        }
        let (_, budget) = template.range(budget).unwrap_or((0, i64::MAX));
        let lease = template.range(variable(function, "RETRY_LEASE_SECONDS"));
        let (lease, _) = lease.unwrap_or((0, i64::MAX));
        let timeout = template.range(template.of_function(function, "/Timeout"));
        let (shortest, longest) = timeout.unwrap_or((3, 3));
        let text = format!("its budget of {budget} ms outlasts its Timeout of {shortest} s");
        complaints.require(budget < shortest.saturating_mul(1000), function.id, text);
        let text = format!("its retry lease of {lease} s ends within its Timeout of {longest} s");
        complaints.require(lease > longest, function.id, text);
    }
}

/// Receives count, not failures, and a failed message is received again soon. A function that cannot start makes no failure
/// of its own: each receive of a lane takes the visibility timeout, and all of them have to outlast a night.
fn receives(template: &Template, complaints: &mut Complaints) {
    const EIGHT_HOURS: i64 = 8 * 3600;
    for source in sources(template) {
        let Some(queue) = source.queue else {
            continue;
        };
        let shortest = template.least(queue.property("/VisibilityTimeout"));
        let shortest = shortest.unwrap_or(30);
        let text = match queue.property("/RedrivePolicy/maxReceiveCount").as_i64() {
            None => "maxReceiveCount must be a number written here".to_owned(),
            Some(few @ ..20) => format!(
                "maxReceiveCount is {few}; below 20, an outage of minutes makes dead letters"
            ),
            Some(count) if source.is_lane() && count.saturating_mul(shortest) < EIGHT_HOURS => {
                format!(
                    "{count} receives of {shortest} s are over before eight hours: a function that cannot start makes \
                     dead letters"
                )
            }
            Some(_) => continue,
        };
        complaints.add(queue.id, text);
    }
}

/// The least that a parameter may be, and why.
const FLOORS: [(&str, i64, &str); 6] = [
    (
        "ReceiptTtlDays",
        15,
        "quarantine points at receipts for 14 days",
    ),
    (
        "FirstRetrySeconds",
        1,
        "without a delay, receives are used up while a table is throttled",
    ),
    (
        "RetryMarkerTtlSeconds",
        86_400,
        "a refused delivery is sent again for a day",
    ),
    (
        "TokenGraceHours",
        24,
        "a refused delivery is sent again for a day",
    ),
    (
        "InboundMemory",
        256,
        "a delivery of 6 MB needs 70 MB besides the program",
    ),
    (
        "ConsumerMemory",
        320,
        "a batch of pointers to the largest events needs 260 MB",
    ),
];

/// A parameter inside its range keeps every promise.
fn floors(template: &Template, complaints: &mut Complaints) {
    for (name, least, why) in FLOORS {
        if let Some(shortest) = template.least(&serde_json::json!({ "Ref": name })) {
            let text = format!("it may be {shortest}, and needs {least}: {why}");
            complaints.require(shortest >= least, name, text);
        }
    }
}

/// A message's age counts from its first sending, also in the dead-letter queue.
fn dead_letters(template: &Template, complaints: &mut Complaints) {
    let retention = |queue: Resource<'_>| {
        let seconds = template.number(queue.property("/MessageRetentionPeriod"));
        seconds.unwrap_or(RETENTION)
    };
    for queue in sources(template).iter().filter_map(|source| source.queue) {
        let dead = referred(queue.property("/RedrivePolicy/deadLetterTargetArn"));
        let Some(dead) = dead.and_then(|id| template.resource(id)) else {
            complaints.add(queue.id, "it has no dead-letter queue in this template");
            continue;
        };
        let kept = retention(dead);
        let text = format!("it keeps dead letters for {kept} s instead of 14 days");
        complaints.require(kept == FOURTEEN_DAYS, dead.id, text);
        let source = retention(queue);
        let text =
            format!("it keeps messages for {source} s, not shorter than its dead-letter queue");
        complaints.require(source < kept, queue.id, text);
    }
}

/// Without it one bad message repeats its whole batch.
fn partial_batches(template: &Template, complaints: &mut Complaints) {
    for source in sources(template) {
        let types = listed(Some(source.property("/FunctionResponseTypes")));
        complaints.require(
            types.iter().any(|one| *one == "ReportBatchItemFailures"),
            source.place(),
            "it does not report partial batches (ReportBatchItemFailures)",
        );
    }
}

/// Reserved concurrency makes the poller receive messages only to throttle them.
fn concurrency(template: &Template, complaints: &mut Complaints) {
    let sources = sources(template);
    for function in functions(template) {
        let polls = |source: &Source<'_>| {
            source
                .function
                .is_some_and(|polled| polled.id == function.id)
        };
        let reserved = template.of_function(function, "/ReservedConcurrentExecutions");
        complaints.require(
            reserved.is_null() || !sources.iter().any(polls),
            function.id,
            "it reserves concurrency; limit the event source instead (ScalingConfig.MaximumConcurrency)",
        );
    }
    for source in sources {
        let limit = template.range(source.property("/ScalingConfig/MaximumConcurrency"));
        complaints.require(
            matches!(limit, Some((2.., ..=1000))),
            source.place(),
            "it needs a ScalingConfig.MaximumConcurrency that cannot be outside 2 to 1000",
        );
    }
}

/// A filter deletes what it does not match, and SAM passes a mistyped property of a function's event by in silence: those
/// of a resource of its own are the linter's to judge.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-eventsourcemapping.html>
fn event_properties(template: &Template, complaints: &mut Complaints) {
    for source in sources(template) {
        complaints.require(
            source.property("/FilterCriteria").is_null(),
            source.place(),
            "it filters, and what a filter does not match is deleted",
        );
        let batch = template.number(source.property("/BatchSize")).unwrap_or(10);
        complaints.require(
            batch <= 10 || source.window(template) >= 1,
            source.place(),
            format!("a batch of {batch} needs a MaximumBatchingWindowInSeconds of at least 1"),
        );
    }
    for function in functions(template) {
        complaints.require(
            function.property("/Events").is_null(),
            function.id,
            "its Events must be resources of their own: AWS::Lambda::EventSourceMapping",
        );
    }
}

/// A queue with a dead-letter queue is read, by one function, and that knows its URL: without it messages that fail keep
/// the queue's visibility timeout, and of a queue that it does not know at all a consumer takes nothing.
fn event_sources(template: &Template, complaints: &mut Complaints) {
    let sources = sources(template);
    for queue in template.of_kind("AWS::SQS::Queue") {
        let reads = |source: &&Source<'_>| source.queue.is_some_and(|read| read.id == queue.id);
        let readers = sources.iter().filter(reads).count();
        complaints.require(
            readers == 1 || queue.property("/RedrivePolicy").is_null(),
            queue.id,
            format!("{readers} event sources read it instead of one"),
        );
    }
    for source in &sources {
        let (Some(function), Some(queue)) = (source.function, source.queue) else {
            continue;
        };
        let variables = function.property(VARIABLES).as_object();
        let knows = variables
            .into_iter()
            .flatten()
            .any(|(name, value)| name.ends_with("_QUEUE_URL") && referred(value) == Some(queue.id));
        let text = format!("it reads {} and has no variable with its URL", queue.id);
        complaints.require(knows, function.id, text);
    }
}

/// An unknown runtime passes both linters.
fn runtime(template: &Template, complaints: &mut Complaints) {
    for function in functions(template) {
        let built = &function.attribute("Metadata")["BuildMethod"];
        for (name, found, expected) in [
            (
                "Runtime",
                template.of_function(function, "/Runtime"),
                "provided.al2023",
            ),
            (
                "Handler",
                template.of_function(function, "/Handler"),
                "bootstrap",
            ),
            ("Metadata.BuildMethod", built, "rust-cargolambda"),
        ] {
            let text = format!("{name} is {found}, not {expected}");
            complaints.require(found == expected, function.id, text);
        }
    }
}

/// One role for one function: a shared one gives each what the other needs.
fn roles(template: &Template, complaints: &mut Complaints) {
    let mut seen: Vec<&str> = Vec::new();
    for function in functions(template) {
        match referred(function.property("/Role")).filter(|id| template.resource(id).is_some()) {
            None => complaints.add(
                function.id,
                "it has no role of this template; SAM's own allows more than it needs",
            ),
            Some(role) => {
                let text = format!("it shares {role} with another function");
                complaints.require(!seen.contains(&role), function.id, text);
                seen.push(role);
            }
        }
        complaints.require(
            function.property("/Policies").is_null(),
            function.id,
            "Policies have no effect beside a Role",
        );
    }
    // Where an account asks for a boundary, one role without it is refused with the whole stack.
    for role in template.of_kind("AWS::IAM::Role") {
        let boundary = role.property("/PermissionsBoundary").to_string();
        complaints.require(
            boundary.contains("\"PermissionsBoundary\""),
            role.id,
            "it does not take the parameter PermissionsBoundary",
        );
    }
}

/// Exact actions on exact resources, and no OAuth secret for what faces the internet.
fn permissions(template: &Template, complaints: &mut Complaints) {
    // AWS knows these without the star, which covers the batch; the emulator knows the batch by its own name.
    const BATCHED: [&str; 4] = [
        "sns:Publish*",
        "sqs:SendMessage*",
        "sqs:DeleteMessage*",
        "sqs:ChangeMessageVisibility*",
    ];
    // X-Ray knows no resources.
    const TRACES: [&str; 2] = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"];
    // Of what people read. AWS knows no resource of any but the first, and shows by that no composite alarm to who may see
    // one alarm alone. https://docs.aws.amazon.com/service-authorization/latest/reference/
    const LOOKS: [&str; 5] = [
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetMetricData",
        "lambda:GetAccountSettings",
        "lambda:ListEventSourceMappings",
        "logs:GetQueryResults",
    ];
    for role in template.resources() {
        let free: &[&str] = if role.id == Policy::Read.as_str() {
            &LOOKS
        } else if role.attribute("Condition") == "IsTraced" {
            &TRACES
        } else {
            &[]
        };
        for statement in allowed(role) {
            for name in texts(statement.get("Action")) {
                let text = format!("the action {name} allows more than one thing");
                let is_one = !name.contains('*') || BATCHED.contains(&name);
                complaints.require(is_one, role.id, text);
            }
            let is_known = |action: &&Value| free.iter().any(|free| *action == free);
            let actions = listed(statement.get("Action"));
            let is_free = !free.is_empty() && actions.iter().all(is_known);
            for resource in listed(statement.get("Resource")) {
                let text = resource.get("Fn::Sub").unwrap_or(resource);
                let text = text.as_str().unwrap_or_default();
                let is_everything = text == "*" || text.ends_with(":*");
                complaints.require(
                    is_free || !is_everything,
                    role.id,
                    format!("the resource {text} is everything"),
                );
            }
        }
    }
    let faces_the_internet = template
        .of_kind("AWS::ApiGatewayV2::Route")
        .filter(|route| route.property("/AuthorizationType") != "AWS_IAM")
        .filter_map(|route| {
            let integration = template.resource(referred(route.property("/Target"))?)?;
            let function = template.resource(referred(integration.property("/IntegrationUri"))?)?;
            template.resource(referred(function.property("/Role"))?)
        });
    for role in faces_the_internet {
        let text = role.body.to_string();
        complaints.require(
            !text.contains("/oauth/") && !text.contains(":secret:${AWS::StackName}/*"),
            role.id,
            "what faces the internet must not read OAuth secrets",
        );
        for statement in allowed(role) {
            let actions = texts(statement.get("Action"));
            let reads = ["dynamodb:GetItem", "dynamodb:DeleteItem"];
            let reads = reads.iter().any(|action| actions.contains(action));
            let keys = "/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys";
            let keys = texts(statement.pointer(keys));
            let is_bounded = !keys.is_empty()
                && keys
                    .iter()
                    .all(|key| key.starts_with("token#") || key.starts_with("#retry#"));
            complaints.require(
                is_bounded || !reads,
                role.id,
                "what faces the internet reads tokens and retry markers alone (dynamodb:LeadingKeys)",
            );
        }
    }
}

/// Each call of the operators' command is allowed by the policy that a refusal names, and by none before it; nobody gets
/// credentials of a source.
fn people(template: &Template, complaints: &mut Complaints) {
    let policy = |policy: Policy| {
        let found = template.resource(policy.as_str());
        found.filter(|found| found.kind() == POLICY)
    };
    // What a receipt has besides its body, its headers and where they lie.
    const LISTED: [&str; 8] = [
        "pk", "sk", "events", "attempts", "proof", "webhook", "part", "cause",
    ];
    for statement in policy(Policy::Read).map(allowed).unwrap_or_default() {
        let queries = texts(statement.get("Action")).contains(&"dynamodb:Query");
        let select = statement.pointer("/Condition/StringEquals/dynamodb:Select");
        let keys = "/Condition/ForAllValues:StringEquals/dynamodb:Attributes";
        let keys = listed(statement.pointer(keys));
        let is_listed = |name: &&Value| LISTED.iter().any(|listed| *name == listed);
        let names = !keys.is_empty() && keys.iter().all(is_listed);
        complaints.require(
            !queries || (names && select.is_some_and(|select| select == "SPECIFIC_ATTRIBUTES")),
            Policy::Read.as_str(),
            "who looks queries what is no payload (dynamodb:Attributes)",
        );
    }
    for role in Policy::ALL {
        let Some(found) = policy(role) else {
            let text = "the operators' command names this policy, and there is none";
            complaints.add(role.as_str(), text);
            continue;
        };
        let output = format!("{role}Arn");
        let value = template.at(&format!("/Outputs/{output}/Value"));
        complaints.require(
            referred(value) == Some(role.as_str()),
            &output,
            "it has to be the ARN of the policy",
        );
        complaints.require(
            !found.body.to_string().contains("/oauth/"),
            role.as_str(),
            "nobody needs credentials of a source to operate",
        );
    }
    for (action, needed) in NEEDS {
        for role in Policy::ALL.into_iter().filter(|role| *role <= needed) {
            let allows = policy(role).is_some_and(|found| allows(found, action));
            // For attributes that are no payload, which its condition says.
            let is_narrower = action == "dynamodb:Query" && role == Policy::Read;
            if role == needed {
                let text = format!("it does not allow {action}");
                complaints.require(allows, role.as_str(), text);
            } else if !is_narrower {
                let text = format!("{action} is for {needed}");
                complaints.require(!allows, role.as_str(), text);
            }
        }
    }
}

/// Whether a policy has an action; `on` names the method of a request to the admin API.
fn allows(policy: Resource<'_>, action: &str) -> bool {
    let (action, method) = match action.split_once(" on ") {
        Some((action, method)) => (action, format!("/{method}/")),
        None => (action, String::new()),
    };
    allowed(policy).into_iter().any(|statement| {
        let has_action = texts(statement.get("Action")).into_iter().any(|allowed| {
            let family = allowed.strip_suffix('*');
            family.map_or(allowed == action, |family| action.starts_with(family))
        });
        has_action && statement["Resource"].to_string().contains(&method)
    })
}

/// The type of a policy that stands by itself.
const POLICY: &str = "AWS::IAM::ManagedPolicy";

/// The statements of a role's or a policy's own documents, those too that depend on a condition.
pub(super) fn allowed(role: Resource<'_>) -> Vec<&Value> {
    let documents: Vec<&Value> = match role.kind() {
        "AWS::IAM::Role" => listed(Some(role.property("/Policies")))
            .into_iter()
            .filter_map(|policy| policy.get("PolicyDocument"))
            .collect(),
        POLICY => vec![role.property("/PolicyDocument")],
        _ => Vec::new(),
    };
    documents
        .into_iter()
        .flat_map(|document| listed(document.get("Statement")))
        .flat_map(branches)
        .collect()
}

/// What a value may be: both branches of an `Fn::If`, or itself.
fn branches(value: &Value) -> Vec<&Value> {
    match value.get("Fn::If") {
        None => vec![value],
        branches => listed(branches).into_iter().skip(1).collect(),
    }
}

/// Data outlives its stack; but what a first deployment made before it failed holds none, and would stand in the way of the
/// next.
fn retained(template: &Template, complaints: &mut Complaints) {
    let tables = template.of_kind("AWS::DynamoDB::Table");
    for resource in tables.chain(template.of_kind("AWS::S3::Bucket")) {
        for (policy, value) in [
            ("DeletionPolicy", "RetainExceptOnCreate"),
            ("UpdateReplacePolicy", "Retain"),
        ] {
            let text = format!("{policy} is not {value}");
            complaints.require(resource.attribute(policy) == value, resource.id, text);
        }
    }
}

/// A fixed name keeps a second stack from standing beside the first, and a retained resource from being replaced.
fn no_fixed_names(template: &Template, complaints: &mut Complaints) {
    const NAMES: [&str; 10] = [
        "TableName",
        "BucketName",
        "QueueName",
        "FunctionName",
        "RoleName",
        "ManagedPolicyName",
        "LogGroupName",
        "TopicName",
        "AlarmName",
        "Name",
    ];
    for resource in template.resources() {
        for name in NAMES {
            let value = resource.property(&format!("/{name}"));
            // What refers to something else is a link to it, or the stack's own name as a label.
            let is_fixed = value.is_string() || value.get("Fn::Sub").is_some();
            complaints.require(!is_fixed, resource.id, format!("it has a fixed {name}"));
        }
    }
}

/// On demand, recoverable, protected by parameter, encrypted with the key that AWS owns and charges nothing for; and the
/// receipts expire.
fn tables(template: &Template, complaints: &mut Complaints) {
    const RECOVERY: &str = "/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled";
    let mut expiring = 0;
    for table in template.of_kind("AWS::DynamoDB::Table") {
        complaints.require_value(table, "/BillingMode", "PAY_PER_REQUEST");
        complaints.require_value(table, RECOVERY, true);
        complaints.require(
            table.property("/SSESpecification").is_null(),
            table.id,
            "its SSESpecification means a key of KMS, which is charged for each call",
        );
        complaints.require(
            !table.property("/DeletionProtectionEnabled").is_null(),
            table.id,
            "it does not take the parameter DeletionProtection",
        );
        if table.property("/TimeToLiveSpecification/Enabled") == true {
            expiring += 1;
            complaints.require_value(
                table,
                "/TimeToLiveSpecification/AttributeName",
                "expires_at",
            );
        }
    }
    let text = format!("{expiring} tables expire; it must be the receipts alone");
    complaints.require(expiring == 1, "Resources", text);
}

/// What expires in the bucket, and by which parameter.
const EXPIRING: [(&str, &str); 3] = [
    ("receipts/", "ReceiptTtlDays"),
    ("events/", "OversizeExpiryDays"),
    ("unified/", "OversizeExpiryDays"),
];

/// What is wrong with how long the bucket keeps what is in it: pointers outlive their objects, or records expire.
fn lifecycle(bucket: Resource<'_>, complaints: &mut Complaints) {
    let rules = listed(Some(bucket.property("/LifecycleConfiguration/Rules")));
    let rules: Vec<&Value> = rules.into_iter().flat_map(branches).collect();
    let prefix = |rule: &Value| rule["Prefix"].as_str().unwrap_or_default().to_owned();
    let expiring: Vec<(String, &str)> = rules
        .iter()
        .filter_map(|rule| {
            let parameter = referred(rule.get("ExpirationInDays")?);
            Some((prefix(rule), parameter.unwrap_or_default()))
        })
        .collect();
    let wanted = EXPIRING.map(|(prefix, parameter)| (prefix.to_owned(), parameter));
    for rule in &expiring {
        let text = format!("{:?} must not expire by {:?}", rule.0, rule.1);
        complaints.require(wanted.contains(rule), bucket.id, text);
    }
    for rule in &wanted {
        let text = format!("{:?} does not expire by {}", rule.0, rule.1);
        complaints.require(expiring.contains(rule), bucket.id, text);
    }
    for kept in EXPIRING
        .map(|(prefix, _)| prefix)
        .into_iter()
        .chain(["records/"])
    {
        let ends = |rule: &&Value| {
            prefix(rule) == kept && rule.get("NoncurrentVersionExpiration").is_some()
        };
        let text = format!("earlier versions of {kept:?} never expire");
        complaints.require(rules.iter().any(ends), bucket.id, text);
    }
}

/// Nobody else reads it, it is encrypted, what is overwritten or deleted comes back, and each prefix is kept for as long as
/// something points at it.
fn bucket(template: &Template, complaints: &mut Complaints) {
    const ENCRYPTION: &str =
        "/BucketEncryption/ServerSideEncryptionConfiguration/0/ServerSideEncryptionByDefault";
    for bucket in template.of_kind("AWS::S3::Bucket") {
        for block in [
            "BlockPublicAcls",
            "BlockPublicPolicy",
            "IgnorePublicAcls",
            "RestrictPublicBuckets",
        ] {
            let path = format!("/PublicAccessBlockConfiguration/{block}");
            complaints.require_value(bucket, &path, true);
        }
        let is_encrypted = !bucket.property(ENCRYPTION).is_null();
        complaints.require(is_encrypted, bucket.id, "it is not encrypted");
        complaints.require_value(bucket, "/VersioningConfiguration/Status", "Enabled");
        lifecycle(bucket, complaints);
    }
}

fn queue_encryption(template: &Template, complaints: &mut Complaints) {
    for queue in template.of_kind("AWS::SQS::Queue") {
        complaints.require_value(queue, "/SqsManagedSseEnabled", true);
    }
}

/// The path of a hook holds its account's secret token. Browsers have no business here.
fn access_log(template: &Template, complaints: &mut Complaints) {
    const LEAKS: [&str; 5] = [
        "$context.path",
        "$context.http.path",
        "$context.domain",
        "rawPath",
        "$context.protocol",
    ];
    // The second is who called the admin API.
    const NEEDED: [&str; 2] = ["$context.routeKey", "$context.identity.userArn"];
    const LIMITS: [(&str, &str); 2] = [
        ("ThrottlingRateLimit", "ThrottlingRate"),
        ("ThrottlingBurstLimit", "ThrottlingBurst"),
    ];
    let stages: Vec<Resource<'_>> = template.of_kind("AWS::ApiGatewayV2::Stage").collect();
    let text = format!("there are {} API stages instead of one", stages.len());
    complaints.require(stages.len() == 1, "Resources", text);
    for stage in stages {
        let format = stage.property("/AccessLogSettings/Format").as_str();
        let format = format.unwrap_or_default();
        for needed in NEEDED {
            let text = format!("its access log does not say {needed}");
            complaints.require(format.contains(needed), stage.id, text);
        }
        for leak in LEAKS {
            let text = format!("its access log tells {leak}, which may hold a token");
            complaints.require(!format.contains(leak), stage.id, text);
        }
        for (limit, parameter) in LIMITS {
            let default = stage.property(&format!("/DefaultRouteSettings/{limit}"));
            complaints.require(!default.is_null(), stage.id, format!("it has no {limit}"));
            for hook in OPEN {
                let settings = stage.property("/RouteSettings").get(hook);
                let own = settings.and_then(|settings| referred(settings.get(limit)?));
                let text = format!("{hook} shares its limits with the admin API");
                complaints.require(own == Some(parameter), stage.id, text);
            }
        }
    }
    for api in template.of_kind("AWS::ApiGatewayV2::Api") {
        let is_closed = api.property("/CorsConfiguration").is_null();
        complaints.require(is_closed, api.id, "CORS is on");
    }
}

/// The routes of deliveries.
const OPEN: [&str; 2] = [
    "POST /hooks/{source}/{token}",
    "POST /hooks/{source}/{token}/{part}",
];

/// The routes are made one after the other, each once the gateway may invoke its function, and the stage after them all: an
/// API that is changed side by side refuses, and a stage cannot limit a route that is not there.
fn order_of_routes(template: &Template, complaints: &mut Complaints) {
    const ROUTE: &str = "AWS::ApiGatewayV2::Route";
    let depends = |resource: Resource<'_>, kind: &str| {
        let on = texts(Some(resource.attribute("DependsOn"))).into_iter();
        let on = on.filter_map(|id| template.resource(id));
        let mut on = on.filter(|found| found.kind() == kind);
        on.next().map(|found| found.id)
    };
    let mut before: Vec<(&str, Option<&str>)> = Vec::new();
    for route in template.of_kind(ROUTE) {
        complaints.require(
            depends(route, "AWS::Lambda::Permission").is_some(),
            route.id,
            "it may be there before the gateway may invoke its function (DependsOn)",
        );
        before.push((route.id, depends(route, ROUTE)));
    }
    // A chain: one route waits for none, and no two for the same.
    let waits_for = |id: Option<&str>| before.iter().filter(|(_, earlier)| *earlier == id).count();
    for (route, earlier) in &before {
        complaints.require(
            waits_for(*earlier) <= 1,
            route,
            "another route is made at the same time (DependsOn)",
        );
    }
    for stage in template.of_kind("AWS::ApiGatewayV2::Stage") {
        let last = depends(stage, ROUTE);
        complaints.require(
            last.is_some() && waits_for(last) == 0,
            stage.id,
            "it does not wait for the last route (DependsOn)",
        );
    }
}

/// The hooks are open, all other routes ask for an IAM signature.
fn routes(template: &Template, complaints: &mut Complaints) {
    const SIGNED: [&str; 7] = [
        "GET /v1/accounts",
        "PUT /v1/accounts/{account}",
        "GET /v1/accounts/{account}",
        "PATCH /v1/accounts/{account}",
        "DELETE /v1/accounts/{account}",
        "POST /v1/accounts/{account}/{action}",
        "GET /v1/accounts/{account}/erasure/{erasure}",
    ];
    let mut keys = Vec::new();
    for route in template.of_kind("AWS::ApiGatewayV2::Route") {
        let key = route.property("/RouteKey").as_str().unwrap_or_default();
        keys.push(key);
        let expected = match OPEN.contains(&key) {
            true => "NONE",
            false => "AWS_IAM",
        };
        complaints.require_value(route, "/AuthorizationType", expected);
    }
    for key in SIGNED.into_iter().chain(OPEN) {
        let text = format!("there is no route {key}");
        complaints.require(keys.contains(&key), "Resources", text);
    }
}

/// Whoever may invoke a function without a signature does so by its URL alone, and no webhook is registered at a URL that
/// still refuses. <https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html>
fn function_urls(template: &Template, complaints: &mut Complaints) {
    let public: Vec<Resource<'_>> = template
        .of_kind("AWS::Lambda::Permission")
        .filter(|permission| permission.property("/Principal") == "*")
        .collect();
    for permission in &public {
        let is_by_url = match permission.property("/Action").as_str() {
            Some("lambda:InvokeFunctionUrl") => {
                permission.property("/FunctionUrlAuthType") == "NONE"
            }
            Some("lambda:InvokeFunction") => permission.property("/InvokedViaFunctionUrl") == true,
            _ => false,
        };
        let text = "everybody may invoke the function, and not by its URL alone";
        complaints.require(is_by_url, permission.id, text);
    }
    for url in template.of_kind("AWS::Lambda::Url") {
        let function = referred(url.property("/TargetFunctionArn"));
        let condition = url.attribute("Condition");
        complaints.require(
            !condition.is_null(),
            url.id,
            "it is there whether or not anybody asked for it (Condition)",
        );
        complaints.require_value(url, "/AuthType", "NONE");
        complaints.require_value(url, "/InvokeMode", "BUFFERED");
        complaints.require(url.property("/Cors").is_null(), url.id, "CORS is on");
        let mut registers =
            functions(template).filter(|one| !variable(*one, "HOOKS_URL").is_null());
        let waits = registers.next();
        let waits = waits.map(|registers| texts(Some(registers.attribute("DependsOn"))));
        for action in ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"] {
            let permission = public.iter().find(|permission| {
                permission.property("/Action") == action
                    && referred(permission.property("/FunctionName")) == function
                    && permission.attribute("Condition") == condition
            });
            let Some(permission) = permission else {
                complaints.add(url.id, format!("nobody may call it: {action} is missing"));
                continue;
            };
            complaints.require(
                waits
                    .as_ref()
                    .is_none_or(|waits| waits.contains(&permission.id)),
                permission.id,
                "webhooks may be registered before it is there (DependsOn)",
            );
        }
    }
}

/// The consumer can read which team gets what: with a word misspelt it would not start, and lanes would fill.
fn teams(template: &Template, complaints: &mut Complaints) {
    let readers = functions(template)
        .filter_map(|function| template.resource(referred(variable(function, "ROUTES"))?));
    for parameter in readers {
        // As a first deployment makes it, with the example team; and as the parameter says, where it names teams.
        let values = branches(parameter.property("/Value")).into_iter();
        let values = values.map(|value| template.text(value));
        let mut wrong = values
            .filter(|text| !text.is_empty())
            .filter_map(|text| Routes::parse(&text).err());
        if let Some(error) = wrong.next() {
            complaints.add(parameter.id, error.to_string());
        }
    }
    complaints.require(
        !template.at("/Parameters/Teams/AllowedPattern").is_null(),
        "Teams",
        "it has no AllowedPattern that refuses what cannot be read",
    );
}

/// Names that other programs read.
fn outputs(template: &Template, complaints: &mut Complaints) {
    const LANES: [&str; 6] = [
        "Customers",
        "Orders",
        "Billing",
        "Products",
        "Inventory",
        "Other",
    ];
    const OTHERS: [&str; 9] = [
        "HooksUrl",
        "AdminUrl",
        "AccountsTable",
        "ReceiptsTable",
        "RecordsTable",
        "OversizeBucket",
        "QuarantineQueueUrl",
        "UndeliveredQueueUrl",
        "ExampleTeamQueueUrl",
    ];
    let of_lane = |lane| [format!("{lane}QueueUrl"), format!("{lane}DlqUrl")];
    let of_lanes = LANES.into_iter().flat_map(of_lane);
    for name in OTHERS.into_iter().map(str::to_owned).chain(of_lanes) {
        let value = template.at(&format!("/Outputs/{name}/Value"));
        complaints.require(!value.is_null(), &name, "this output is missing");
    }
}

/// One value or a list of them.
pub(super) fn listed(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
    }
}

/// One text or a list of them.
pub(super) fn texts(value: Option<&Value>) -> Vec<&str> {
    let values = listed(value).into_iter();
    values.filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use domain::source::Source;
    use regex_lite::Regex;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn ours() -> Template {
        Template::parse(include_str!("../../../../template.yaml")).unwrap()
    }

    /// The project's template with one value replaced, or removed by `Null`.
    fn broken(path: &str, value: Value) -> Template {
        let Template(mut whole) = ours();
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = whole
            .pointer_mut(parent)
            .unwrap_or_else(|| panic!("{path} is not in the template"));
        match (parent, value) {
            (Value::Object(map), Value::Null) => {
                assert!(map.remove(name).is_some(), "{path} is not in the template");
            }
            (Value::Object(map), value) => {
                map.insert(name.to_owned(), value);
            }
            (Value::Array(items), value) => {
                let index: usize = name.parse().unwrap();
                items[index] = value;
            }
            (other, _) => panic!("{path} leads through {other}"),
        }
        Template(whole)
    }

    /// What AWS refuses to deploy by the pattern, and what the consumer could not read.
    #[rstest]
    #[case::none("[]", true)]
    #[case::one(
        r#"[{"team":"a","queue":"https://q/a","types":["*"],"accounts":["*"]}]"#,
        true
    )]
    #[case::in_another_order(
        r#"[ { "queue":"q", "accounts":["a","b"], "types":["order.*", "*"], "team":"a" } ]"#,
        true
    )]
    #[case::two(
        "[\n{\"team\":\"a\",\"queue\":\"q\",\"types\":[\"*\"],\"accounts\":[\"*\"]},\n\
         {\"team\":\"b\",\"queue\":\"q\",\"types\":[\"*\"],\"accounts\":[\"*\"]}\n]\n",
        true
    )]
    #[case::unified(
        r#"[{"team":"a","queue":"q","types":["*"],"accounts":["*"],"format":"unified"}]"#,
        true
    )]
    #[case::of_sources_in_any_order(
        r#"[{"format":"native","team":"a","queue":"q","sources":["stackone","orderspace"],"types":["*"],"accounts":["*"]}]"#,
        true
    )]
    #[case::of_account_events(
        r#"[{"team":"a","queue":"q","types":["orderhook.account.*"],"accounts":["*"]}]"#,
        true
    )]
    #[case::a_format_that_there_is_not(
        r#"[{"team":"a","queue":"q","types":["*"],"accounts":["*"],"format":"unifed"}]"#,
        false
    )]
    #[case::a_source_that_there_is_not(
        r#"[{"team":"a","queue":"q","types":["*"],"accounts":["*"],"sources":["orderspcae"]}]"#,
        false
    )]
    #[case::a_member_for_another(
        r#"[{"team":"a","queue":"q","types":["*"],"format":"unified"}]"#,
        false
    )]
    #[case::misspelt(r#"[{"team":"a","quue":"q","types":["*"],"accounts":["*"]}]"#, false)]
    #[case::a_member_too_few(r#"[{"team":"a","queue":"q","types":["*"]}]"#, false)]
    #[case::a_member_too_many(
        r#"[{"team":"a","queue":"q","types":["*"],"accounts":["*"],"fifo":"x"}]"#,
        false
    )]
    #[case::text_for_a_list(r#"[{"team":"a","queue":"q","types":"*","accounts":["*"]}]"#, false)]
    #[case::no_list(r#"{"team":"a","queue":"q","types":["*"],"accounts":["*"]}"#, false)]
    #[case::no_json("teams: a", false)]
    #[case::cut(r#"[{"team":"a","queue":"q","types":["*"],"accounts":["*"]}"#, false)]
    // requirement: parameters-keep-promises
    fn routes_that_cannot_be_read_are_refused_before_they_are_deployed(
        #[case] routes: &str,
        #[case] good: bool,
    ) {
        let template = ours();
        let pattern = template.at("/Parameters/Teams/AllowedPattern");
        let pattern = pattern.as_str().unwrap();
        assert_eq!(Regex::new(pattern).unwrap().is_match(routes), good);
        assert_eq!(Routes::parse(routes).is_ok(), good);
    }

    /// A route may name every source that there is.
    #[test]
    fn the_routes_pattern_knows_every_source() {
        let template = ours();
        let pattern = template.at("/Parameters/Teams/AllowedPattern");
        let pattern = pattern.as_str().unwrap();
        let pattern = Regex::new(pattern).unwrap();
        for source in Source::ALL {
            let route = format!(
                r#"[{{"team":"a","queue":"q","types":["*"],"accounts":["*"],"sources":["{source}"]}}]"#
            );
            assert!(pattern.is_match(&route), "{source}");
        }
        // Where no team is named yet, the example team is.
        assert!(pattern.is_match(""));
    }

    /// Lanes keep a message for twelve days at most, and a dead-letter, undelivered or team's queue for fourteen.
    #[test]
    // requirement: lost-expiry
    fn objects_outlast_the_pointers_to_them() {
        let template = ours();
        let pattern = template.at("/Parameters/OversizeExpiryDays/AllowedPattern");
        let pattern = Regex::new(pattern.as_str().unwrap()).unwrap();
        let longest = template.at("/Parameters/LaneRetentionSeconds/MaxValue");
        let waits = (longest.as_i64().unwrap() + FOURTEEN_DAYS) / 86_400;
        for days in 0..=3650 {
            let good = days == 0 || days >= 30;
            assert_eq!(pattern.is_match(&days.to_string()), good, "{days}");
            assert!(!good || days == 0 || days > waits);
        }
    }

    #[test]
    // requirement: lost-crash-outage
    fn the_projects_template_keeps_every_rule() {
        assert_eq!(check(&ours()), []);
    }

    #[rstest]
    #[case::a_visibility_that_is_too_short("visibility", "/Parameters/LaneVisibilityTimeout/Default", json!(180))]
    #[case::a_function_time_out_that_has_grown("visibility", "/Parameters/ConsumerTimeout/Default", json!(49))]
    #[case::a_window_that_has_grown("visibility", "/Parameters/ConsumerBatchingWindow/Default", json!(111))]
    #[case::the_default_visibility("visibility", "/Resources/OrdersQueue/Properties/VisibilityTimeout", json!(null))]
    #[case::a_function_without_time_out("visibility", "/Resources/Inbound/Properties/Timeout", json!(null))]
    #[case::a_lease_within_the_time_out("inbound-times", "/Parameters/RetryLeaseSeconds/Default", json!(10))]
    #[case::a_budget_beyond_the_time_out("inbound-times", "/Parameters/AnswerBudgetMs/Default", json!(10_000))]
    #[case::a_lease_that_may_be_shorter("inbound-times", "/Parameters/RetryLeaseSeconds/MinValue", json!(14))]
    #[case::a_budget_that_may_be_longer("inbound-times", "/Parameters/AnswerBudgetMs/MaxValue", json!(4000))]
    #[case::few_receives("receives", "/Resources/BillingQueue/Properties/RedrivePolicy/maxReceiveCount", json!(19))]
    #[case::receives_of_a_short_night("receives", "/Resources/BillingQueue/Properties/RedrivePolicy/maxReceiveCount", json!(99))]
    #[case::receives_that_may_be_short("receives", "/Parameters/LaneVisibilityTimeout/MinValue", json!(287))]
    #[case::receipts_that_quarantine_outlasts("floors", "/Parameters/ReceiptTtlDays/MinValue", json!(14))]
    #[case::no_delay("floors", "/Parameters/FirstRetrySeconds/MinValue", json!(0))]
    #[case::markers_that_retries_outlast("floors", "/Parameters/RetryMarkerTtlSeconds/MinValue", json!(86_399))]
    #[case::a_grace_that_retries_outlast("floors", "/Parameters/TokenGraceHours/MinValue", json!(23))]
    #[case::little_memory_of_inbound("floors", "/Parameters/InboundMemory/MinValue", json!(255))]
    #[case::little_memory_of_the_consumer("floors", "/Parameters/ConsumerMemory/MinValue", json!(319))]
    #[case::a_misspelt_route("teams", "/Resources/Routes/Properties/Value/Fn::If/2", json!(r#"[{"team":"a","quue":"q","types":["*"],"accounts":["*"]}]"#))]
    #[case::routes_that_nothing_refuses("teams", "/Parameters/Teams/AllowedPattern", json!(null))]
    #[case::receives_by_parameter("receives", "/Resources/BillingQueue/Properties/RedrivePolicy/maxReceiveCount", json!({"Ref": "ConsumerBatchSize"}))]
    #[case::no_redrive("dead-letters", "/Resources/OtherQueue/Properties/RedrivePolicy", json!(null))]
    #[case::a_short_lived_dead_letter_queue("dead-letters", "/Resources/OtherDlq/Properties/MessageRetentionPeriod", json!(345_600))]
    #[case::a_source_that_keeps_as_long("dead-letters", "/Parameters/LaneRetentionSeconds/Default", json!(1_209_600))]
    #[case::whole_batches("partial-batches", "/Resources/OrdersSource/Properties/FunctionResponseTypes", json!(null))]
    #[case::a_limit_that_may_be_too_low("concurrency", "/Parameters/OrdersConcurrency/MinValue", json!(1))]
    #[case::a_limit_that_may_be_too_high("concurrency", "/Parameters/OrdersConcurrency/MaxValue", json!(1001))]
    #[case::reserved_concurrency("concurrency", "/Resources/Consumer/Properties/ReservedConcurrentExecutions", json!(5))]
    #[case::reserved_concurrency_for_all("concurrency", "/Globals/Function/ReservedConcurrentExecutions", json!(5))]
    #[case::no_limit("concurrency", "/Resources/OrdersSource/Properties/ScalingConfig", json!(null))]
    #[case::a_filter("event-properties", "/Resources/OrdersSource/Properties/FilterCriteria", json!({}))]
    #[case::a_large_batch_without_window("event-properties", "/Resources/SubscriptionsCheck/Properties/BatchSize", json!(50))]
    #[case::an_event_of_sam("event-properties", "/Resources/Consumer/Properties/Events", json!({"Lane": {"Type": "SQS"}}))]
    #[case::a_lane_that_nobody_reads("event-sources", "/Resources/OrdersSource", json!(null))]
    #[case::a_lane_that_two_read("event-sources", "/Resources/OrdersSource/Properties/EventSourceArn", json!({"Fn::GetAtt": "BillingQueue.Arn"}))]
    #[case::a_lane_that_its_function_does_not_know("event-sources", "/Resources/Consumer/Properties/Environment/Variables/ORDERS_QUEUE_URL", json!(null))]
    #[case::an_unknown_runtime("runtime", "/Globals/Function/Runtime", json!("provided.al2032"))]
    #[case::another_handler("runtime", "/Resources/Inbound/Properties/Handler", json!("main"))]
    #[case::no_build_method("runtime", "/Resources/Inbound/Metadata", json!(null))]
    #[case::a_shared_role("roles", "/Resources/Consumer/Properties/Role", json!({"Fn::GetAtt": "InboundRole.Arn"}))]
    #[case::sams_own_role("roles", "/Resources/Consumer/Properties/Role", json!(null))]
    #[case::every_action("permissions", "/Resources/InboundRole/Properties/Policies/0/PolicyDocument/Statement/1/Action", json!("dynamodb:*"))]
    #[case::a_family_of_actions("permissions", "/Resources/InboundRole/Properties/Policies/0/PolicyDocument/Statement/1/Action", json!("dynamodb:Get*"))]
    #[case::every_resource("permissions", "/Resources/ConsumerRole/Properties/Policies/0/PolicyDocument/Statement/0/Resource", json!("*"))]
    #[case::an_oauth_secret_for_inbound("permissions", "/Resources/InboundRole/Properties/Policies/0/PolicyDocument/Statement/7/Resource", json!({"Fn::Sub": "arn:aws:secretsmanager:eu:1:secret:x/oauth/*"}))]
    #[case::every_account_for_inbound("permissions", "/Resources/InboundRole/Properties/Policies/0/PolicyDocument/Statement/1/Condition", json!(null))]
    #[case::receipts_for_inbound("permissions", "/Resources/InboundRole/Properties/Policies/0/PolicyDocument/Statement/2/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys", json!(["*"]))]
    #[case::everything_for_people("permissions", "/Resources/OperatorAct/Properties/PolicyDocument/Statement/0/Resource", json!("*"))]
    #[case::more_than_looks_on_everything("permissions", "/Resources/OperatorRead/Properties/PolicyDocument/Statement/1/Action/0", json!("sqs:GetQueueAttributes"))]
    #[case::a_policy_that_is_gone("people", "/Resources/OperatorAct", json!(null))]
    #[case::a_policy_without_its_output("people", "/Outputs/OperatorAdminArn", json!(null))]
    #[case::a_call_that_nobody_may_make("people", "/Resources/OperatorPayload/Properties/PolicyDocument/Statement/0/Action", json!(["dynamodb:GetItem", "dynamodb:Query"]))]
    #[case::a_method_that_nobody_may_use("people", "/Resources/OperatorAdmin/Properties/PolicyDocument/Statement/0/Resource/1", json!("x"))]
    #[case::payloads_for_who_looks("people", "/Resources/OperatorRead/Properties/PolicyDocument/Statement/2/Action", json!(["lambda:GetFunctionConfiguration", "dynamodb:GetItem"]))]
    #[case::bodies_for_who_looks("people", "/Resources/OperatorRead/Properties/PolicyDocument/Statement/12/Condition/ForAllValues:StringEquals/dynamodb:Attributes/0", json!("body"))]
    #[case::whole_items_for_who_looks("people", "/Resources/OperatorRead/Properties/PolicyDocument/Statement/12/Condition/StringEquals", json!({}))]
    #[case::credentials_for_people("people", "/Resources/OperatorAdmin/Properties/PolicyDocument/Statement/1/Resource", json!({"Fn::Sub": "arn:aws:secretsmanager:eu:1:secret:x/oauth/*"}))]
    #[case::every_queue_by_a_condition("permissions", "/Resources/ConsumerRole/Properties/Policies/0/PolicyDocument/Statement/7/Fn::If/1/Resource", json!("*"))]
    #[case::an_unbounded_role("roles", "/Resources/ConsumerRole/Properties/PermissionsBoundary", json!(null))]
    #[case::a_table_that_a_failed_creation_leaves("retained", "/Resources/RecordsTable/DeletionPolicy", json!("Retain"))]
    #[case::a_table_that_dies_with_the_stack("retained", "/Resources/RecordsTable/DeletionPolicy", json!("Delete"))]
    #[case::a_table_that_dies_with_a_replacement("retained", "/Resources/RecordsTable/UpdateReplacePolicy", json!(null))]
    #[case::a_bucket_that_dies_with_the_stack("retained", "/Resources/OversizeBucket/DeletionPolicy", json!(null))]
    #[case::a_table_name("no-fixed-names", "/Resources/RecordsTable/Properties/TableName", json!("records"))]
    #[case::a_function_name("no-fixed-names", "/Resources/Inbound/Properties/FunctionName", json!("inbound"))]
    #[case::a_parameter_name("no-fixed-names", "/Resources/Routes/Properties/Name", json!("/orderhook/routes"))]
    #[case::a_provisioned_table("tables", "/Resources/RecordsTable/Properties/BillingMode", json!("PROVISIONED"))]
    #[case::a_table_without_recovery("tables", "/Resources/RecordsTable/Properties/PointInTimeRecoverySpecification", json!(null))]
    #[case::a_key_of_kms("tables", "/Resources/RecordsTable/Properties/SSESpecification", json!({"SSEEnabled": true}))]
    #[case::a_table_that_cannot_be_protected("tables", "/Resources/RecordsTable/Properties/DeletionProtectionEnabled", json!(null))]
    #[case::no_versions("bucket", "/Resources/OversizeBucket/Properties/VersioningConfiguration", json!(null))]
    #[case::records_in_the_bucket_that_expire("bucket", "/Resources/OversizeBucket/Properties/LifecycleConfiguration/Rules/4/ExpirationInDays", json!({"Ref": "OversizeExpiryDays"}))]
    #[case::everything_in_the_bucket_expires("bucket", "/Resources/OversizeBucket/Properties/LifecycleConfiguration/Rules/0/ExpirationInDays", json!({"Ref": "OversizeExpiryDays"}))]
    #[case::receipts_in_the_bucket_that_stay("bucket", "/Resources/OversizeBucket/Properties/LifecycleConfiguration/Rules/1/Prefix", json!("receipt/"))]
    #[case::events_that_expire_with_receipts("bucket", "/Resources/OversizeBucket/Properties/LifecycleConfiguration/Rules/2/Fn::If/1/ExpirationInDays", json!({"Ref": "ReceiptTtlDays"}))]
    #[case::versions_that_stay("bucket", "/Resources/OversizeBucket/Properties/LifecycleConfiguration/Rules/1/NoncurrentVersionExpiration", json!(null))]
    #[case::receipts_that_stay("tables", "/Resources/ReceiptsTable/Properties/TimeToLiveSpecification", json!(null))]
    #[case::records_that_expire("tables", "/Resources/RecordsTable/Properties/TimeToLiveSpecification", json!({"AttributeName": "expires_at", "Enabled": true}))]
    #[case::a_public_bucket("bucket", "/Resources/OversizeBucket/Properties/PublicAccessBlockConfiguration/BlockPublicPolicy", json!(false))]
    #[case::an_unencrypted_bucket("bucket", "/Resources/OversizeBucket/Properties/BucketEncryption", json!(null))]
    #[case::an_unencrypted_queue("queue-encryption", "/Resources/OrdersDlq/Properties/SqsManagedSseEnabled", json!(null))]
    #[case::a_path_in_the_access_log("access-log", "/Resources/Stage/Properties/AccessLogSettings/Format", json!("$context.routeKey $context.path"))]
    #[case::no_route_in_the_access_log("access-log", "/Resources/Stage/Properties/AccessLogSettings/Format", json!("$context.status"))]
    #[case::no_throttle("access-log", "/Resources/Stage/Properties/DefaultRouteSettings", json!(null))]
    #[case::one_limit_for_all("access-log", "/Resources/Stage/Properties/RouteSettings", json!(null))]
    #[case::a_limit_of_the_admin_api("access-log", "/Resources/Stage/Properties/RouteSettings/POST ~1hooks~1{source}~1{token}/ThrottlingRateLimit", json!({"Ref": "AdminThrottlingRate"}))]
    #[case::callers_without_a_name("access-log", "/Resources/Stage/Properties/AccessLogSettings/Format", json!("$context.routeKey"))]
    #[case::a_route_before_its_permission("order-of-routes", "/Resources/HookRoute/DependsOn", json!([]))]
    #[case::routes_side_by_side("order-of-routes", "/Resources/AccountGetRoute/DependsOn", json!(["SubscriptionsPermission", "AccountsListRoute"]))]
    #[case::a_route_that_waits_for_none("order-of-routes", "/Resources/AccountGetRoute/DependsOn", json!("SubscriptionsPermission"))]
    #[case::a_stage_that_does_not_wait("order-of-routes", "/Resources/Stage/DependsOn", json!(null))]
    #[case::a_url_that_is_always_there("function-urls", "/Resources/InboundUrl/Condition", json!(null))]
    #[case::a_signed_url("function-urls", "/Resources/InboundUrl/Properties/AuthType", json!("AWS_IAM"))]
    #[case::a_url_that_streams("function-urls", "/Resources/InboundUrl/Properties/InvokeMode", json!("RESPONSE_STREAM"))]
    #[case::a_url_for_browsers("function-urls", "/Resources/InboundUrl/Properties/Cors", json!({"AllowOrigins": ["*"]}))]
    #[case::a_url_of_another_function("function-urls", "/Resources/InboundUrl/Properties/TargetFunctionArn", json!({"Fn::GetAtt": "Consumer.Arn"}))]
    #[case::a_url_that_nobody_may_call("function-urls", "/Resources/InboundUrlPermission", json!(null))]
    #[case::a_url_that_may_not_invoke("function-urls", "/Resources/InboundUrlInvokePermission", json!(null))]
    #[case::a_function_that_everybody_may_invoke("function-urls", "/Resources/InboundUrlInvokePermission/Properties/InvokedViaFunctionUrl", json!(null))]
    #[case::a_permission_that_is_always_there("function-urls", "/Resources/InboundUrlPermission/Condition", json!(null))]
    #[case::webhooks_before_their_url("function-urls", "/Resources/Subscriptions/DependsOn", json!(["InboundUrlPermission"]))]
    #[case::a_url_without_alarm("alarms", "/Resources/ApiErrorsAlarm/Properties/Metrics/2", json!({"Ref": "AWS::NoValue"}))]
    #[case::a_url_whose_refusals_are_the_platform_s("alarms", "/Resources/UnexplainedRefusalsAlarm/Properties/Metrics/3/Fn::If/1/MetricStat/Metric/MetricName", json!("UrlRequestCount"))]
    #[case::a_series_that_is_left_out_with_a_url("alarm-windows", "/Resources/UnexplainedRefusalsAlarm/Properties/Metrics/8/Expression/Fn::If/1", json!("SUM([every, explained])"))]
    #[case::cors("access-log", "/Resources/Api/Properties/CorsConfiguration", json!({"AllowOrigins": ["*"]}))]
    #[case::an_open_admin_route("routes", "/Resources/AccountPutRoute/Properties/AuthorizationType", json!("NONE"))]
    #[case::a_signed_hook("routes", "/Resources/HookRoute/Properties/AuthorizationType", json!("AWS_IAM"))]
    #[case::a_hook_of_one_source("routes", "/Resources/HookRoute/Properties/RouteKey", json!("POST /hooks/orderspace/{token}"))]
    #[case::a_signed_part("routes", "/Resources/HookPartRoute/Properties/AuthorizationType", json!("AWS_IAM"))]
    #[case::a_missing_part("routes", "/Resources/HookPartRoute", json!(null))]
    #[case::a_missing_route("routes", "/Resources/AccountPatchRoute", json!(null))]
    #[case::a_right_of_tracing_without_tracing("permissions", "/Resources/TracingPolicy/Condition", json!(null))]
    #[case::more_than_tracing_on_everything("permissions", "/Resources/TracingPolicy/Properties/PolicyDocument/Statement/0/Action/0", json!("dynamodb:GetItem"))]
    #[case::dead_letters_without_alarm("alarms", "/Resources/DeadLettersAlarm", json!(null))]
    #[case::a_dead_letter_queue_left_out("alarms", "/Resources/DeadLettersAlarm/Properties/Metrics/1/MetricStat/Metric/Dimensions/0/Value", json!({"Fn::GetAtt": "BillingDlq.QueueName"}))]
    #[case::dead_letters_that_ring_late("alarms", "/Resources/DeadLettersAlarm/Properties/DatapointsToAlarm", json!(60))]
    #[case::a_queue_that_does_not_ring_again("alarms", "/Resources/WaitingThreeDaysAlarm/Properties/Metrics/7/MetricStat/Metric/Dimensions/0/Value", json!({"Fn::GetAtt": "QuarantineQueue.QueueName"}))]
    #[case::a_week_that_is_none("alarms", "/Resources/WaitingSevenDaysAlarm/Properties/DatapointsToAlarm", json!(160))]
    #[case::an_alarm_that_tells_nobody("alarms", "/Resources/QuarantineAlarm/Properties/AlarmActions", json!(null))]
    #[case::a_lane_without_age("alarms", "/Resources/BacklogAlarm", json!(null))]
    #[case::a_lane_without_flight("alarms", "/Resources/InFlightAlarm", json!(null))]
    #[case::a_flight_beyond_the_ceiling("alarms", "/Resources/InFlightAlarm/Properties/Threshold", json!(120_000))]
    #[case::a_function_without_alarm("alarms", "/Resources/FunctionErrorsAlarm", json!(null))]
    #[case::a_function_without_throttles("alarms", "/Resources/FunctionThrottlesAlarm", json!(null))]
    #[case::a_table_without_alarm("alarms", "/Resources/TablesThrottledAlarm/Properties/Metrics/0/MetricStat/Metric/Dimensions/0/Value", json!({"Ref": "RecordsTable"}))]
    #[case::metrics_that_nobody_misses("alarms", "/Resources/MetricsLostAlarm", json!(null))]
    #[case::an_api_without_alarm("alarms", "/Resources/ApiErrorsAlarm/Properties/Metrics/0/MetricStat/Metric/MetricName", json!("4xx"))]
    #[case::an_api_that_rings_late("alarms", "/Resources/ApiErrorsAlarm/Properties/DatapointsToAlarm", json!(3))]
    #[case::refusals_of_the_platform("alarms", "/Resources/UnexplainedRefusalsAlarm", json!(null))]
    #[case::a_metric_of_ours_without_alarm("alarms", "/Resources/SilenceAlarm", json!(null))]
    #[case::a_metric_that_nobody_writes("alarm-metrics", "/Resources/SilenceAlarm/Properties/MetricName", json!("Silence"))]
    #[case::an_alarm_for_all_stacks("alarm-metrics", "/Resources/FailedDeliveriesAlarm/Properties/Dimensions", json!(null))]
    #[case::a_metric_by_what_it_is_not_published_by("alarm-metrics", "/Resources/RetriedAlarm/Properties/Dimensions", json!([{"Name": "Stack", "Value": {"Ref": "AWS::StackName"}}, {"Name": "Account", "Value": "acme"}]))]
    #[case::a_schedule_that_there_is_not("alarm-metrics", "/Resources/CheckRunsAlarm/Properties/Dimensions/1/Value", json!("checks"))]
    #[case::a_metric_of_rest_apis("alarm-metrics", "/Resources/ApiErrorsAlarm/Properties/Metrics/0/MetricStat/Metric/MetricName", json!("5XXError"))]
    #[case::a_queue_by_its_url("alarm-metrics", "/Resources/QuarantineAlarm/Properties/Dimensions/0/Name", json!("QueueUrl"))]
    #[case::a_function_for_a_queue("alarm-metrics", "/Resources/QuarantineAlarm/Properties/Dimensions/0/Value", json!({"Ref": "Inbound"}))]
    #[case::a_sum_of_depths("alarm-metrics", "/Resources/QuarantineAlarm/Properties/Statistic", json!("Sum"))]
    #[case::a_metric_that_no_filter_makes("alarm-metrics", "/Resources/TurnedAway", json!(null))]
    #[case::a_dashboard_that_shows_nothing("alarm-metrics", "/Resources/Dashboard/Properties/DashboardBody", json!({"Fn::Sub": r#"{"widgets":[{"properties":{"stat":"Sum","metrics":[["Orderhook","Accepted","Stack","${AWS::StackName}"]]}}]}"#}))]
    #[case::a_dashboard_that_is_no_json("alarm-metrics", "/Resources/Dashboard/Properties/DashboardBody", json!({"Fn::Sub": "{"}))]
    #[case::no_dashboard("alarm-metrics", "/Resources/Dashboard", json!(null))]
    #[case::a_window_of_more_than_a_day("alarm-windows", "/Resources/RetriedAlarm/Properties/EvaluationPeriods", json!(289))]
    #[case::a_window_of_more_than_a_week("alarm-windows", "/Resources/WaitingSevenDaysAlarm/Properties/EvaluationPeriods", json!(169))]
    #[case::a_window_that_may_be_more_than_a_day("alarm-windows", "/Parameters/CheckEveryMinutes/MaxValue", json!(481))]
    #[case::more_datapoints_than_periods("alarm-windows", "/Resources/RetriedAlarm/Properties/DatapointsToAlarm", json!(13))]
    #[case::half_a_minute("alarm-windows", "/Resources/RetriedAlarm/Properties/Period", json!(30))]
    #[case::periods_that_differ("alarm-windows", "/Resources/BacklogAlarm/Properties/Metrics/0/MetricStat/Period", json!(300))]
    #[case::nothing_watched("alarm-windows", "/Resources/BacklogAlarm/Properties/Metrics/7/ReturnData", json!(false))]
    #[case::two_watched("alarm-windows", "/Resources/BacklogAlarm/Properties/Metrics/0/ReturnData", json!(true))]
    #[case::a_series_that_is_left_out("alarm-windows", "/Resources/UnexplainedRefusalsAlarm/Properties/Metrics/2/Expression", json!("-1 * every"))]
    #[case::a_search_in_an_alarm("alarm-windows", "/Resources/BacklogAlarm/Properties/Metrics/7/Expression", json!("SEARCH('x', 'Sum', 60) + METRICS()"))]
    #[case::math_on_the_local_stack("alarm-windows", "/Resources/BacklogAlarm/Condition", json!(null))]
    #[case::a_table_that_rings_once("alarm-windows", "/Resources/TablesThrottledAlarm/Properties/Metrics/6/Expression", json!("SUM(METRICS())"))]
    #[case::an_all_clear_after_a_count("alarm-states", "/Resources/SilenceAlarm/Properties/OKActions", json!([{"Ref": "AlarmTopic"}]))]
    #[case::a_heartbeat_that_may_stop("alarm-states", "/Resources/WatchRunsAlarm/Properties/TreatMissingData", json!("notBreaching"))]
    #[case::an_alarm_that_rings_for_nothing("alarm-states", "/Resources/SilenceAlarm/Properties/TreatMissingData", json!("breaching"))]
    #[case::an_alarm_that_says_nothing("alarm-words", "/Resources/SilenceAlarm/Properties/AlarmDescription", json!("An account is silent."))]
    #[case::a_command_that_there_is_not("alarm-words", "/Resources/SilenceAlarm/Properties/AlarmDescription", json!({"Fn::Sub": "An account. Look at: its GET. Type: orderhook mend"}))]
    #[case::a_description_that_aws_refuses("alarm-words", "/Resources/SilenceAlarm/Properties/AlarmDescription", json!(format!("{} Look at: x. Type: aws logs tail x", "An account. ".repeat(90))))]
    #[case::a_schedule_that_nobody_misses("heartbeat", "/Resources/WatchRunsAlarm", json!(null))]
    #[case::a_schedule_that_is_missed_too_soon("heartbeat", "/Resources/CheckRunsAlarm/Properties/Period", json!(60))]
    #[case::a_schedule_by_the_time_of_another("heartbeat", "/Resources/CheckRunsAlarm/Properties/EvaluationPeriods", json!({"Ref": "WatchEveryMinutes"}))]
    #[case::a_mail_for_each_check("heartbeat", "/Resources/FailedDeliveriesAlarm/Properties/EvaluationPeriods", json!(1))]
    #[case::lines_of_text("logging", "/Globals/Function/LoggingConfig/LogFormat", json!("Text"))]
    #[case::a_line_for_every_start("logging", "/Globals/Function/LoggingConfig/SystemLogLevel", json!("INFO"))]
    #[case::metrics_that_are_dropped("logging", "/Globals/Function/LoggingConfig/ApplicationLogLevel", json!("WARN"))]
    #[case::details_that_are_dropped("logging", "/Globals/Function/LoggingConfig/ApplicationLogLevel", json!(null))]
    #[case::a_function_of_no_stack("logging", "/Globals/Function/Environment/Variables/STACK_NAME", json!(null))]
    #[case::metrics_of_another_stack("logging", "/Globals/Function/Environment/Variables/STACK_NAME", json!("orderhook"))]
    #[case::no_log_group_of_its_own("logging", "/Resources/Consumer/Properties/LoggingConfig", json!(null))]
    #[case::a_function_that_cannot_trace("tracing", "/Resources/ConsumerRole/Properties/ManagedPolicyArns", json!(null))]
    #[case::a_right_to_trace_at_all_times("tracing", "/Resources/ConsumerRole/Properties/ManagedPolicyArns", json!([{"Ref": "TracingPolicy"}]))]
    #[case::a_function_that_always_traces("tracing", "/Resources/Inbound/Properties/Tracing", json!("Active"))]
    #[case::retries_for_hours("asynchronous", "/Resources/SubscriptionsAsync", json!(null))]
    #[case::old_runs("asynchronous", "/Resources/SubscriptionsAsync/Properties/MaximumEventAgeInSeconds", json!(21_600))]
    #[case::many_retries("asynchronous", "/Resources/SubscriptionsAsync/Properties/MaximumRetryAttempts", json!(2))]
    #[case::runs_that_fail_unseen("asynchronous", "/Resources/SubscriptionsAsync/Properties/DestinationConfig/OnFailure/Destination", json!({"Fn::GetAtt": "CheckQueue.Arn"}))]
    #[case::a_destination_without_permission("asynchronous", "/Resources/SubscriptionsRole/Properties/Policies/0/PolicyDocument/Statement/2/Action", json!("sqs:GetQueueUrl"))]
    #[case::a_missing_output("outputs", "/Outputs/OrdersDlqUrl", json!(null))]
    // requirement: lost-crash-outage, lost-expiry, check-template, parameters-keep-promises
    fn a_broken_template_is_caught(#[case] rule: &str, #[case] path: &str, #[case] value: Value) {
        let findings = check(&broken(path, value));
        assert!(
            findings.iter().any(|finding| finding.rule == rule),
            "{rule} did not notice {path}; found {findings:?}"
        );
    }

    #[test]
    fn every_rule_has_a_case_above() {
        let source: String = include_str!("rules.rs").split_whitespace().collect();
        for (rule, _) in RULES {
            assert!(
                source.contains(&format!("(\"{rule}\",\"/")),
                "no case breaks {rule}"
            );
        }
    }
}
