//! The `simulator` command as its users run it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop"
)]

mod receiver;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use receiver::{Receiver, Reply};
use serde_json::{Value, json};
use simulator::SigningKey;
use tempfile::TempDir;

const COMMAND: &str = env!("CARGO_BIN_EXE_simulator");
const KEY: &str = "7R2gNdE4GU8K06WXPV9lOXBic9mSs5LjKMsk46eW";

/// A command that is ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn serve(arguments: &[&str]) -> (Self, String) {
        let mut child = Command::new(COMMAND)
            .arg("serve")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        let running = Self(child);
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let url = ready["url"].as_str().unwrap().to_owned();
        (running, url)
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    fn ended(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still running");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

async fn status(url: &str) -> Option<u16> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(url).send().await.ok()?;
    Some(answer.status().as_u16())
}

#[rstest::rstest]
#[case("TERM")]
#[case("INT")]
#[tokio::test]
async fn serve_says_when_it_is_ready_and_ends_on_a_signal(#[case] name: &str) {
    let (mut running, url) = Running::serve(&["--site", "acme:s3cret", "--site", "b:c"]);
    assert!(url.starts_with("http://127.0.0.1:"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .post(format!("{url}/oauth/token"))
        .form(&[
            ("grant_type", "client_credentials"),
            ("client_id", "acme"),
            ("client_secret", "s3cret"),
        ])
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    running.signal(name);
    assert!(running.ended().success());
    assert_eq!(status(&format!("{url}/_simulator/health")).await, None);
}

#[rstest::rstest]
#[case("orderspace", "/oauth/token", 404)]
#[case("ordermentum", "/v1/webhooks", 401)]
#[case("apideck", "/webhook/webhooks", 401)]
#[case("onestock", "/webhooks", 401)]
#[case("stackone", "/accounts", 401)]
#[tokio::test]
async fn serve_plays_the_chosen_source(
    #[case] source: &str,
    #[case] path: &str,
    #[case] expected: u16,
) {
    let (_running, url) = Running::serve(&["--source", source]);
    assert_eq!(status(&format!("{url}{path}")).await, Some(expected));
}

#[tokio::test]
async fn serve_ends_with_its_parent() {
    // The shell starts the simulator, tells its process id, and ends when its own input does.
    let script = "\"$0\" serve --stop-with-parent & echo $! >&2; read -r line";
    let mut shell = Command::new("sh")
        .args(["-c", script, COMMAND])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let read = |pipe: &mut dyn std::io::Read| {
        let mut line = String::new();
        BufReader::new(pipe).read_line(&mut line).unwrap();
        line
    };
    let id = read(&mut shell.stderr.take().unwrap());
    let ready: Value = serde_json::from_str(&read(&mut shell.stdout.take().unwrap())).unwrap();
    let health = format!("{}/_simulator/health", ready["url"].as_str().unwrap());
    assert_eq!(status(&health).await, Some(200));

    drop(shell.stdin.take());
    shell.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while status(&health).await.is_some() {
        if Instant::now() >= deadline {
            Command::new("kill").arg(id.trim()).status().unwrap();
            panic!("still running after its parent");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), format!("{KEY}\n")).unwrap();
        Self { folder }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs in a thread of its own, because the receiver lives in this one.
    async fn send(&self, receiver: &Receiver, files: &[PathBuf], arguments: &[&str]) -> Output {
        let mut command = Command::new(COMMAND);
        command
            .args(["send", "--retry-delay", "1", "--endpoint", &receiver.url])
            .arg("--key-file")
            .arg(self.folder.path().join("key"))
            .args(arguments)
            .args(files);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }
}

const ONE: &str = r#"[{"event":"order.created","data":{"order":{"id":"or_1"}}}]"#;
const TWO: &str = r#"{"event":"product.deleted", "data":{"product":{"id":"pr_1"}}}"#;

#[tokio::test]
async fn send_packs_the_files_events_and_tells_each_attempt() {
    let files = Files::new();
    let paths = [files.write("one.json", ONE), files.write("two.json", TWO)];
    let receiver = Receiver::start(&[Reply::Status(503)]).await;
    let output = files.send(&receiver, &paths, &[]).await;

    assert_eq!(output.status.code(), Some(0));
    let body = format!("{},{TWO}]", ONE.trim_end_matches(']'));
    assert_eq!(receiver.texts(), [body.clone(), body.clone()]);
    let got = &receiver.received()[0];
    assert_eq!(got.signature(), SigningKey::new(KEY).sign(&got.body));
    let printed = String::from_utf8(output.stdout).unwrap();
    let bytes = body.len();
    assert_eq!(
        printed,
        format!(
            "delivery 1 attempt 1: 503 an answer (2 events, {bytes} bytes)\n\
             delivery 1 attempt 2: 200 an answer (2 events, {bytes} bytes)\n"
        )
    );
}

#[tokio::test]
async fn send_answers_programs_in_json_and_fails_when_a_delivery_does() {
    let files = Files::new();
    let paths = [files.write("one.json", ONE)];
    let receiver = Receiver::start(&[Reply::Status(401); 9]).await;
    let arguments = ["--json", "--wrong-key", "--disable-after", "2"];
    let output = files.send(&receiver, &paths, &arguments).await;

    assert_eq!(output.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["accepted"], false);
    assert_eq!(document["enabled"], false);
    assert_eq!(
        document["deliveries"][0]["attempts"][1],
        json!({"delivery": 1, "attempt": 2, "events": 1, "bytes": ONE.len(),
               "outcome": {"answered": {"status": 401, "body": "an answer"}}})
    );
    let got = &receiver.received()[0];
    assert_ne!(got.signature(), SigningKey::new(KEY).sign(&got.body));
}

#[rstest::rstest]
#[case::twice(&["--twice"], &[ONE, ONE])]
#[case::old_shape(&["--old-shape"], &[r#"{"event":"order.created","data":{"orders":[{"id":"or_1"}]}}"#])]
#[case::late(&["--late", "5"], &[ONE])]
#[case::reorder(&["--reorder", "1"], &[ONE])]
#[case::rebatch_split(&["--rebatch"], &[ONE])]
#[case::rebatch_merge(&["--rebatch=merge"], &[ONE])]
#[case::raw(&["--raw"], &[ONE])]
#[tokio::test]
async fn send_has_the_senders_switches(#[case] arguments: &[&str], #[case] bodies: &[&str]) {
    let files = Files::new();
    files.write("one.json", ONE);
    let receiver = Receiver::start(&[]).await;
    let folder = files.folder.path().to_owned();
    let output = files.send(&receiver, &[folder], arguments).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(receiver.texts(), bodies);
}

#[tokio::test]
async fn send_raw_takes_what_is_no_delivery() {
    let files = Files::new();
    files.write("b.json", "[{");
    files.write("a.json", "[]\n");
    let receiver = Receiver::start(&[]).await;
    let folder = files.folder.path().to_owned();
    let output = files.send(&receiver, &[folder], &["--raw"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(receiver.texts(), ["[]\n", "[{"]);
}

#[tokio::test]
async fn send_says_what_is_missing_and_sends_nothing() {
    let files = Files::new();
    let receiver = Receiver::start(&[]).await;
    let missing = files.folder.path().join("none.json");
    let output = files.send(&receiver, &[missing], &[]).await;
    assert_eq!(output.status.code(), Some(2));
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("none.json"), "{printed}");

    files.write("key", "\n");
    let path = files.write("one.json", ONE);
    let output = files.send(&receiver, &[path], &[]).await;
    assert_eq!(output.status.code(), Some(2));
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(printed.contains("signing key is empty"), "{printed}");
    assert!(receiver.received().is_empty());
}

#[test]
fn help_teaches() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["send", "--help"]] {
        let output = Command::new(COMMAND).args(arguments).output().unwrap();
        assert!(output.status.success());
        assert!(output.stdout.len() > 400, "{arguments:?}");
    }
}
