//! The command as a process: interrupted anywhere, and with nobody who reads what it prints.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where it is"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use operate::Exit;
use operate::loopback::{Loopback, Reply};
use operate::loopback_stack::LoopbackStack;
use rstest::rstest;
use serde_json::json;
use tokio::time::{Instant, sleep};

/// How long a process may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command, on a stack of this server, with standard input that says nothing.
struct Process {
    child: Child,
    _directory: tempfile::TempDir,
}

impl Process {
    fn start(aws: &Loopback, stack: &str, line: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outputs.json");
        let outputs = json!({
            "EndpointUrl": aws.endpoint(), "Region": "eu-west-1", "AccessKeyId": "a", "SecretAccessKey": "b", "StackName": stack,
        });
        std::fs::write(&path, outputs.to_string()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_orderhook"))
            .arg(format!("--local={}", path.display()))
            .args(line)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            _directory: directory,
        }
    }

    fn interrupt(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status();
        assert!(sent.unwrap().success());
    }

    /// The exit code, and what was said beside the output.
    async fn end(mut self) -> (Option<i32>, String) {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if begun.elapsed() > PATIENCE => {
                    self.child.kill().unwrap();
                    panic!("it does not end");
                }
                None => sleep(Duration::from_millis(20)).await,
            }
        };
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        (status.code(), said)
    }
}

async fn asked(aws: &Loopback, action: &str) {
    let begun = Instant::now();
    while aws.seen_of(action).is_empty() {
        assert!(begun.elapsed() < PATIENCE, "nobody asked {action}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A stack whose work takes longer than anybody waits.
async fn slow() -> Loopback {
    let aws = Loopback::start().await;
    aws.play_stack();
    let nothing = Reply::json(&json!({ "events": [] }));
    aws.on("logs FilterLogEvents", nothing);
    let later = json!({
        "account": "acme", "source": "orderspace", "state": "connecting", "explanation": "", "events": [], "unselected_events": [],
        "webhook": null, "rotation": null, "last_error": null, "suspect": null, "message": "the source wants a pause",
    });
    let later = Reply::status(202, later.to_string()).with("retry-after", "30");
    aws.on("execute-api POST /v1/accounts/acme/check", later);
    aws
}

#[rstest]
#[case::tail(&["tail", "--since", "1h"], "logs FilterLogEvents")]
#[case::status(&["status", "--watch"], "monitoring DescribeAlarms")]
#[case::waiting_for_a_source(&["accounts", "check", "acme"], "execute-api POST /v1/accounts/acme/check")]
#[tokio::test]
async fn ctrl_c_ends_what_goes_on(#[case] line: &[&str], #[case] action: &str) {
    let aws = slow().await;
    let process = Process::start(&aws, "orderhook", line);
    asked(&aws, action).await;
    sleep(Duration::from_millis(100)).await;
    process.interrupt();
    let (code, said) = process.end().await;
    assert_eq!(code, Some(i32::from(Exit::Interrupted.code())), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// A stack whose undelivered queue and whose receipts of today hold more than is sent in a second.
async fn full() -> LoopbackStack {
    let routes = r#"[{"team":"sales","queue":"http://q/0/sales","types":["*"],"accounts":["*"]}]"#;
    let stack = LoopbackStack::with_account(routes).await;
    for number in 0..9 {
        let id = format!("01a1f8d3-ea7b-7101-8101-010101010101.0000{number}");
        let envelope = json!({
            "specversion": "1.0", "id": id, "source": "/orderspace/acme", "type": "orderspace.order.created",
            "subject": format!("order/or_{number}"), "time": "2026-11-20T12:00:00.123Z", "datacontenttype": "application/json",
            "account": "acme", "deliveryid": "01a1f8d3-ea7b-7101-8101-010101010101", "data": { "id": format!("or_{number}") },
        });
        let record = json!({
            "pk": { "S": "acme#order" }, "sk": { "S": format!("or_{number}") }, "data": { "M": {} }, "event_id": { "S": id },
            "event_type": { "S": "order.created" },
        });
        stack.put_item("records", &record);
        let message = json!({ "team": "sales", "queue": "q", "reason": "QueueDoesNotExist", "envelope": envelope });
        stack.put("undelivered", message.to_string());
    }
    stack
}

#[rstest]
#[case::replay(&["replay", "--account", "acme", "--state", "--team", "sales", "--yes", "--rate", "1"],
    "Goes on with: orderhook replay --account acme --team sales --after order/or_")]
#[case::release(&["stuck", "release", "--team", "sales", "--yes", "--rate", "1"], "the same command goes on")]
#[tokio::test]
async fn ctrl_c_says_how_to_go_on(#[case] line: &[&str], #[case] word: &str) {
    let stack = full().await;
    let process = Process::start(&stack.server, "shop", line);
    asked(&stack.server, "sqs SendMessageBatch").await;
    sleep(Duration::from_millis(300)).await;
    process.interrupt();
    let (code, said) = process.end().await;
    assert_eq!(code, Some(i32::from(Exit::Interrupted.code())), "{said}");
    assert!(said.contains(word), "{said}");
    let sent = stack.queue("orders").len();
    assert!((1..9).contains(&sent), "{sent} were sent");
}

#[rstest]
#[case::one_page(&["records", "list", "order", "--account", "acme", "--json"])]
#[case::that_goes_on(&["replay", "--account", "acme", "--state", "--team", "sales", "--yes", "--json", "--rate", "20"])]
#[tokio::test]
async fn a_reader_that_leaves_ends_nothing_badly(#[case] line: &[&str]) {
    let stack = full().await;
    let mut process = Process::start(&stack.server, "shop", line);
    let printed = process.child.stdout.take().unwrap();
    // Beside the server, which answers on this thread. The pipe is closed with the first line.
    let first = tokio::task::spawn_blocking(|| BufReader::new(printed).lines().next());
    let first = first.await.unwrap().unwrap().unwrap();
    assert!(first.starts_with('{'), "{first}");
    let (code, said) = process.end().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(!said.contains("pipe"), "{said}");
}

/// What is wrong is said in one line, with what to do, before anything is changed.
#[rstest]
#[case::no_stack(
    "cloudformation DescribeStacks",
    400,
    "<R><Error><Code>ValidationError</Code><Message>Stack with id orderhook does not exist</Message></Error></R>",
    Exit::NotFound,
    "--stack"
)]
#[case::expired(
    "cloudformation DescribeStacks",
    403,
    "<R><Error><Code>ExpiredToken</Code><Message>expired</Message></Error></R>",
    Exit::Denied,
    "aws sso login"
)]
#[case::no_permission(
    "cloudformation DescribeStacks",
    403,
    "<R><Error><Code>AccessDenied</Code><Message>no</Message></Error></R>",
    Exit::Denied,
    "cloudformation:DescribeStacks"
)]
#[case::aws_in_trouble(
    "cloudformation DescribeStacks",
    503,
    "<R><Error><Code>ServiceUnavailable</Code><Message>later</Message></Error></R>",
    Exit::Unreachable,
    "got no answer"
)]
#[case::no_account(
    "execute-api GET /v1/accounts/acme",
    404,
    r#"{"message":"there is no account acme"}"#,
    Exit::NotFound,
    "account acme does not exist"
)]
#[tokio::test]
async fn every_command_says_in_one_line_what_is_wrong(
    #[case] action: &str,
    #[case] status: u16,
    #[case] body: &str,
    #[case] exit: Exit,
    #[case] word: &str,
) {
    let aws = slow().await;
    aws.on(action, Reply::status(status, body));
    let of_an_account: [&[&str]; 3] = [
        &["accounts", "show", "acme"],
        &["replay", "--account", "acme", "--from", "1h", "--yes"],
        &["send", "order.created", "--account", "acme", "--yes"],
    ];
    let of_a_stack: [&[&str]; 8] = [
        &["status"],
        &["trace", "order/or_1"],
        &["deliveries", "list"],
        &["records", "list", "order", "--account", "acme"],
        &["tail"],
        &["logs"],
        &["teams", "list"],
        &["stuck", "release", "--all", "--yes"],
    ];
    let is_of_an_account = action.starts_with("execute-api");
    let others = of_a_stack.iter().filter(|_| !is_of_an_account);
    let lines = of_an_account.iter().chain(others);
    let running = lines.map(|line| (line, Process::start(&aws, "orderhook", line)));
    let running: Vec<_> = running.collect();
    for (line, process) in running {
        let (code, said) = process.end().await;
        assert_eq!(code, Some(i32::from(exit.code())), "{line:?}: {said}");
        assert!(said.contains(word), "{line:?}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{line:?}: {said}");
        assert!(said.starts_with("orderhook: "), "{line:?}: {said}");
    }
    let changing = ["sqs SendMessageBatch", "sqs DeleteMessageBatch"];
    assert!(changing.iter().all(|action| aws.seen_of(action).is_empty()));
}
