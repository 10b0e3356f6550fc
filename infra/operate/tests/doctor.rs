//! The doctor on a stack that is well, and on one where one thing is not.

#![allow(clippy::unwrap_used, reason = "a test stops where it is")]

use operate::doctor::Verdict::{Denied, Fail, Warn};
use operate::doctor::{Depth, Finding, Report, Verdict, doctor};
use operate::loopback::{Loopback, Reply, UNSIGNED_HOOK, queue, queue_url};
use operate::{Error, Exit};
use rstest::rstest;
use serde_json::{Value, json};

const DEEP: Depth = Depth {
    deep: true,
    mail: false,
};

async fn well() -> Loopback {
    let aws = Loopback::start().await;
    aws.play_stack();
    aws
}

async fn look(aws: &Loopback) -> Report {
    look_at(aws, Depth::default()).await
}

async fn look_at(aws: &Loopback, depth: Depth) -> Report {
    let now = time::OffsetDateTime::from(calls::now());
    doctor(&aws.calls(), "orderhook", now, depth).await.unwrap()
}

fn of<'a>(report: &'a Report, check: &str) -> Vec<&'a Finding> {
    let findings = report.findings.iter();
    findings.filter(|finding| finding.check == check).collect()
}

/// The queue of the team sales has its ARN.
fn play_team_queue(aws: &Loopback) {
    let arn = json!({ "QueueArn": "arn:aws:sqs:eu-west-1:1:sales" });
    let url = queue_url(aws.endpoint(), "sales");
    aws.on_containing("sqs GetQueueAttributes", &url, queue(0, &arn));
}

#[tokio::test]
async fn a_stack_that_is_well_takes_fewer_than_fifty_calls() {
    let aws = well().await;
    let report = look(&aws).await;
    let mut unwell: Vec<&Finding> = report.findings.iter().collect();
    unwell.retain(|finding| !matches!(finding.verdict, Verdict::Ok | Verdict::Skipped));
    assert!(unwell.is_empty(), "{unwell:?}");
    assert_eq!(report.exit(), Exit::Done);
    assert!(report.calls < 50, "{} calls", report.calls);
    assert_eq!(report.calls, aws.seen().len());
    // A limit of executions is what no emulator has.
    assert_eq!(of(&report, "concurrency")[0].verdict, Verdict::Skipped);
    assert!(report.findings.len() >= 13, "{:?}", report.findings);
}

#[tokio::test]
async fn nothing_is_changed() {
    let aws = well().await;
    look_at(&aws, DEEP).await;
    let reads = ["Get", "Describe", "List", "Simulate", "GET"];
    for seen in aws.seen() {
        let operation = seen.action.split(' ').nth(1).unwrap_or_default();
        let is_read = reads.iter().any(|read| operation.starts_with(read));
        assert!(is_read || seen.action == UNSIGNED_HOOK, "{}", seen.action);
    }
}

const SUBSCRIPTIONS: &str = "sns ListSubscriptionsByTopic";
const NO_SUBSCRIPTION: &str =
    "<R><ListSubscriptionsByTopicResult><Subscriptions/></ListSubscriptionsByTopicResult></R>";
const UNCONFIRMED: &str = "<R><ListSubscriptionsByTopicResult><Subscriptions><member><SubscriptionArn>PendingConfirmation</SubscriptionArn><Protocol>email</Protocol><Endpoint>ops@example.com</Endpoint></member></Subscriptions></ListSubscriptionsByTopicResult></R>";
const ALARMS: &str = "monitoring DescribeAlarms";
const NO_ALARM: &str = "<R><DescribeAlarmsResult><MetricAlarms/></DescribeAlarmsResult></R>";
const RINGING: &str = "<R><DescribeAlarmsResult><MetricAlarms><member><AlarmName>orderhook-A-1</AlarmName><StateValue>ALARM</StateValue><AlarmDescription>Correct the queue.</AlarmDescription></member></MetricAlarms></DescribeAlarmsResult></R>";
const UNAUTHORIZED: &str = "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>";

/// One thing is not well: the check that finds it, its verdict, and a word of what it says or advises.
#[rstest]
#[case::door_open("door", UNSIGNED_HOOK, Reply::status(200, "{}"), Fail, "200")]
#[case::door_in_trouble("door", UNSIGNED_HOOK, Reply::status(503, "{}"), Fail, "503")]
#[case::function_failed("function inbound", "lambda GET /2015-03-31/functions/inbound/configuration",
    Reply::json(&json!({ "FunctionName": "inbound", "State": "Failed", "StateReason": "no such image" })), Fail, "no such image")]
#[case::function_gone(
    "function consumer",
    "lambda GET /2015-03-31/functions/consumer/configuration",
    Reply::status(404, "{}"),
    Fail,
    "function consumer does not exist"
)]
#[case::lane_unread("event sources", "lambda GET /2015-03-31/event-source-mappings/",
    Reply::json(&json!({ "EventSourceMappings": [] })), Fail, "nothing reads lane orders")]
#[case::schedule_disabled("schedules", "scheduler GET /schedules/watch",
    Reply::json(&json!({ "Name": "watch", "State": "DISABLED" })), Fail, "watch is disabled")]
#[case::nobody_reads_the_alarms(
    "mail",
    SUBSCRIPTIONS,
    Reply::text(NO_SUBSCRIPTION),
    Warn,
    "AlarmEmail"
)]
#[case::mail_not_confirmed(
    "mail",
    SUBSCRIPTIONS,
    Reply::text(UNCONFIRMED),
    Warn,
    "ops@example.com"
)]
#[case::alarm("alarms", ALARMS, Reply::text(RINGING), Fail, "Correct the queue.")]
#[case::no_alarms("alarms", ALARMS, Reply::text(NO_ALARM), Warn, "none")]
#[case::no_route("teams", "ssm GetParameter", Reply::json(&json!({ "Parameter": { "Value": "[]" } })), Warn, "no route")]
#[case::broken_routes("teams", "ssm GetParameter", Reply::json(&json!({ "Parameter": { "Value": "[{}]" } })), Fail, "routes")]
#[case::no_account("accounts", "execute-api GET /v1/accounts", Reply::json(&json!({ "accounts": [], "unreadable": [] })), Warn, "accounts connect")]
#[case::unreadable_account("account acme", "execute-api GET /v1/accounts",
    Reply::json(&json!({ "accounts": [], "unreadable": [{ "account": "acme", "explanation": "roll forward" }] })), Fail, "roll forward")]
#[case::no_backup("backups", "dynamodb DescribeContinuousBackups", Reply::json(&json!({})), Fail, "RecordsTable")]
#[case::no_expiry("backups", "dynamodb DescribeTimeToLive", Reply::json(&json!({})), Fail, "expires_at")]
#[case::no_permission(
    "mail",
    SUBSCRIPTIONS,
    Reply::status(403, UNAUTHORIZED),
    Denied,
    "sns:ListSubscriptionsByTopic"
)]
#[tokio::test]
async fn one_thing_that_is_not_well_is_found(
    #[case] check: &str,
    #[case] action: &str,
    #[case] reply: Reply,
    #[case] verdict: Verdict,
    #[case] word: &str,
) {
    let aws = well().await;
    aws.on(action, reply);
    assert_found(&look(&aws).await, check, verdict, word);
}

#[rstest]
#[case::taken_back("UPDATE_ROLLBACK_COMPLETE", Warn, "taken back")]
#[case::failed("UPDATE_ROLLBACK_FAILED", Fail, "FAILED")]
#[tokio::test]
async fn an_update_that_went_wrong_is_found(
    #[case] status: &str,
    #[case] verdict: Verdict,
    #[case] word: &str,
) {
    let aws = well().await;
    aws.on("cloudformation DescribeStacks", stack_of(&aws, status));
    assert_found(&look(&aws).await, "stack", verdict, word);
}

/// This check finds something, and no other does.
#[track_caller]
fn assert_found(report: &Report, check: &str, verdict: Verdict, word: &str) {
    let found = of(report, check);
    let fits = |finding: &&Finding| {
        finding.verdict == verdict
            && (finding.summary.contains(word)
                || finding.todo.iter().any(|todo| todo.contains(word)))
    };
    assert!(found.iter().any(fits), "{check}: {:?}", report.findings);
    let mut unwell: Vec<&Finding> = report.findings.iter().collect();
    unwell.retain(|finding| finding.check != check && finding.verdict > Verdict::Skipped);
    assert!(unwell.is_empty(), "only {check}: {unwell:?}");
    let exit = match verdict {
        Fail => Exit::Left,
        Denied => Exit::Denied,
        _ => Exit::Done,
    };
    assert_eq!(report.exit(), exit);
}

const DENIED: &str = "<R><SimulatePrincipalPolicyResult><EvaluationResults><member><EvalDecision>implicitDeny</EvalDecision></member></EvaluationResults></SimulatePrincipalPolicyResult></R>";

fn stack_of(aws: &Loopback, status: &str) -> Reply {
    stack_with(aws, status, "")
}

fn stack_with(aws: &Loopback, status: &str, arns: &str) -> Reply {
    let outputs = operate::loopback::outputs(aws.endpoint()).into_iter();
    let outputs = outputs.map(|(name, value)| {
        format!("<member><OutputKey>{name}</OutputKey><OutputValue>{value}</OutputValue></member>")
    });
    let outputs: String = outputs.collect();
    Reply::text(format!(
        "<R><DescribeStacksResult><Stacks><member><StackId>arn:aws:cloudformation:eu-west-1:1:stack/orderhook/1</StackId>
        <Parameters><member><ParameterKey>TeamQueueArns</ParameterKey><ParameterValue>{arns}</ParameterValue></member></Parameters>
        <StackStatus>{status}</StackStatus><Outputs>{outputs}</Outputs></member></Stacks></DescribeStacksResult></R>"
    ))
}

#[rstest]
#[case::undelivered("Undelivered", "stuck list")]
#[case::dead_letters("OrdersDlq", "stuck list")]
#[case::dead_checks("CheckDlq", "log of subscriptions")]
#[tokio::test]
async fn what_waits_for_a_person_is_counted(#[case] name: &str, #[case] todo: &str) {
    let aws = well().await;
    let settings = json!({ "MessageRetentionPeriod": "1209600" });
    let url = format!("{}\"", queue_url(aws.endpoint(), name));
    aws.on_containing("sqs GetQueueAttributes", &url, queue(306, &settings));
    let report = look(&aws).await;
    let found = of(&report, "waiting");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].verdict, Fail);
    assert!(found[0].summary.contains("306"), "{found:?}");
    assert!(found[0].todo[0].contains(todo), "{found:?}");
}

#[rstest]
#[case::visibility(json!({ "VisibilityTimeout": "30" }), "visibility is 30, not 290")]
#[case::retention(json!({ "MessageRetentionPeriod": "60" }), "retention is 60, not 864000")]
#[case::redrive(json!({ "RedrivePolicy": "{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-west-1:1:other\",\"maxReceiveCount\":100}" }), "redrives to arn:aws:sqs:eu-west-1:1:other")]
#[case::receives(json!({ "RedrivePolicy": "{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-west-1:1:OrdersDlq\",\"maxReceiveCount\":3}" }), "after 3, not 100")]
#[case::no_redrive(json!({ "RedrivePolicy": null }), "no redrive policy")]
#[tokio::test]
async fn a_setting_that_was_changed_by_hand_is_named(#[case] change: Value, #[case] word: &str) {
    let aws = well().await;
    let mut settings = json!({
        "MessageRetentionPeriod": "864000", "VisibilityTimeout": "290",
        "RedrivePolicy": "{\"deadLetterTargetArn\":\"arn:aws:sqs:eu-west-1:1:OrdersDlq\",\"maxReceiveCount\":100}",
    });
    for (name, value) in change.as_object().unwrap() {
        match value.is_null() {
            true => drop(settings.as_object_mut().unwrap().remove(name)),
            false => settings[name] = value.clone(),
        }
    }
    let url = queue_url(aws.endpoint(), "OrdersQueue");
    aws.on_containing("sqs GetQueueAttributes", &url, queue(0, &settings));
    let report = look(&aws).await;
    let found = of(&report, "settings");
    assert_eq!(found[0].verdict, Fail);
    assert!(found[0].summary.contains("lane orders"), "{found:?}");
    assert!(found[0].summary.contains(word), "{found:?}");
}

#[rstest]
#[case::gone(
    400,
    "QueueDoesNotExist",
    Fail,
    "aws sqs create-queue --queue-name sales"
)]
#[case::foreign(403, "AccessDenied", Warn, "sqs:GetQueueAttributes")]
#[tokio::test]
async fn a_teams_queue_that_cannot_be_reached(
    #[case] status: u16,
    #[case] code: &str,
    #[case] verdict: Verdict,
    #[case] todo: &str,
) {
    let aws = well().await;
    let body = json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": "no" });
    let refused = Reply::status(status, body.to_string());
    let url = queue_url(aws.endpoint(), "sales");
    aws.on_containing("sqs GetQueueAttributes", &url, refused);
    let report = look(&aws).await;
    let found = of(&report, "team sales");
    assert_eq!(found[0].verdict, verdict, "{found:?}");
    assert!(found[0].todo[0].contains(todo), "{found:?}");
}

/// Where the template gives it already, deploying again changes nothing: a role is not compared with its template.
#[rstest]
#[case::left_out("", "add arn:aws:sqs:eu-west-1:1:sales to the parameter TeamQueueArns")]
#[case::taken_by_hand(
    "arn:aws:sqs:eu-west-1:1:other,arn:aws:sqs:eu-west-1:1:sales",
    "aws iam put-role-policy --role-name consumer --policy-name team-sales --policy-document '{\"Statement\":[{\"Action\":\"sqs:SendMessage*\""
)]
#[tokio::test]
async fn a_lost_permission_comes_back_where_it_belongs(#[case] arns: &str, #[case] todo: &str) {
    let aws = well().await;
    let stack = stack_with(&aws, "UPDATE_COMPLETE", arns);
    aws.on("cloudformation DescribeStacks", stack);
    aws.on("iam SimulatePrincipalPolicy", Reply::text(DENIED));
    play_team_queue(&aws);
    let report = look_at(&aws, DEEP).await;
    let found = of(&report, "team sales");
    assert!(found[0].todo[0].starts_with(todo), "{found:?}");
    assert_eq!(found[0].todo[1], "orderhook stuck release --team sales");
}

#[tokio::test]
async fn iam_is_asked_where_it_is_wanted() {
    let aws = well().await;
    aws.on("iam SimulatePrincipalPolicy", Reply::text(DENIED));
    play_team_queue(&aws);
    assert_eq!(of(&look(&aws).await, "team sales")[0].verdict, Verdict::Ok);
    let report = look_at(&aws, DEEP).await;
    let found = of(&report, "team sales");
    assert_eq!(found[0].verdict, Fail);
}

#[tokio::test]
async fn what_iam_does_not_say_is_not_taken_for_well() {
    let aws = well().await;
    let body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
    aws.on("iam SimulatePrincipalPolicy", Reply::status(403, body));
    play_team_queue(&aws);
    let report = look_at(&aws, DEEP).await;
    let found = of(&report, "team sales");
    assert_eq!(found[0].verdict, Warn);
    assert!(found[0].summary.contains("OperatorRead"), "{found:?}");
}

#[tokio::test]
async fn a_test_mail_is_sent_only_where_it_is_wanted() {
    let aws = well().await;
    aws.on("sns Publish", Reply::text("<R/>"));
    look(&aws).await;
    assert!(aws.seen_of("sns Publish").is_empty());
    let depth = Depth {
        deep: false,
        mail: true,
    };
    let report = look_at(&aws, depth).await;
    assert_eq!(aws.seen_of("sns Publish").len(), 1);
    assert!(of(&report, "mail")[0].summary.contains("test"));
}

#[tokio::test]
async fn a_clock_that_is_off_is_named() {
    let aws = well().await;
    let identity = "<R><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/op</Arn><Account>1</Account></GetCallerIdentityResult></R>";
    let identity = Reply::text(identity);
    // Both of the first two calls, since they are made at the same time.
    let date = "Fri, 20 Nov 2020 12:00:00 GMT";
    aws.on("sts GetCallerIdentity", identity.with("date", date));
    let stack = stack_of(&aws, "CREATE_COMPLETE").with("date", date);
    aws.on("cloudformation DescribeStacks", stack);
    let report = look(&aws).await;
    assert_eq!(of(&report, "clock")[0].verdict, Fail);
}

/// One account is connected, with this last error and these failed deliveries.
fn play_account(aws: &Loopback, last_error: &Value, failed: &Value) {
    let mut account = json!({
        "account": "acme", "source": "orderspace", "state": "connected", "explanation": "x", "webhook": "w", "rotation": null,
        "last_error": last_error, "suspect": null,
    });
    let list = json!({ "accounts": [account], "unreadable": [] });
    aws.on("execute-api GET /v1/accounts", Reply::json(&list));
    let members = account.as_object_mut().unwrap();
    members.insert("strikes".to_owned(), failed.clone());
    aws.on("execute-api GET /v1/accounts/acme", Reply::json(&account));
}

#[tokio::test]
async fn an_account_in_trouble_is_looked_at() {
    let aws = well().await;
    let error = json!({ "at": "t", "message": "the webhook is gone" });
    let failed = json!({ "count": 7, "causes": { "budget": 7 } });
    play_account(&aws, &error, &failed);
    let report = look(&aws).await;
    let found = of(&report, "account acme");
    assert_eq!(found[0].verdict, Fail);
    let summary = &found[0].summary;
    assert!(summary.contains("the webhook is gone"), "{found:?}");
    assert!(summary.contains('7'), "{found:?}");
    let todo = &found[0].todo;
    assert_eq!(todo[0], "orderhook accounts show acme");
    assert_eq!(todo[1], "orderhook accounts check acme");
    let rotate = ": orderhook accounts rotate acme";
    assert!(todo[2].ends_with(rotate), "{found:?}");
}

/// A source disables a webhook whose deliveries fail, and the list of accounts does not say that they do.
#[rstest]
#[case::failing(3, Fail)]
#[case::well(0, Verdict::Ok)]
#[tokio::test]
async fn deliveries_that_fail_are_found_before_the_account_says_so(
    #[case] failed: u64,
    #[case] verdict: Verdict,
) {
    let aws = well().await;
    let failed = json!({ "count": failed, "causes": {} });
    play_account(&aws, &Value::Null, &failed);
    let report = look(&aws).await;
    assert!(report.calls < 50, "{} calls", report.calls);
    let check = match verdict {
        Fail => "account acme",
        _ => "accounts",
    };
    assert_eq!(of(&report, check)[0].verdict, verdict);
}

#[tokio::test]
async fn without_a_stack_there_is_nothing_to_look_at() {
    let aws = well().await;
    let body = "<ErrorResponse><Error><Code>ValidationError</Code><Message>Stack with id other does not exist</Message></Error></ErrorResponse>";
    let missing = Reply::status(400, body);
    aws.on_containing("cloudformation DescribeStacks", "other", missing);
    let now = time::OffsetDateTime::from(calls::now());
    let error = doctor(&aws.calls(), "other", now, Depth::default()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}
