//! A function's program, run as Lambda runs it: it asks the runtime API for an event, and answers.
//!
//! Its processor time is the kernel's account of its threads, read while it waits for the next event.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, StatusCode};
use local::job;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::stand::Stand;

/// How long a program may take to ask for its first event, or to answer, also where its instructions are counted.
const PATIENCE: Duration = Duration::from_secs(180);

/// The pause between two readings of the processor time, which have to be the same.
const SETTLED: Duration = Duration::from_millis(2);

/// How often it is read until it is taken as it is.
const READINGS: usize = 200;

/// How far an event's deadline is in the future, in milliseconds: a count of instructions takes its time.
const DEADLINE_MS: u128 = 60_000;

/// How a program is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its name in the pages.
    pub name: &'static str,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// Its variables, without those of the stand.
    pub variables: BTreeMap<String, String>,
    /// Where it runs.
    pub folder: PathBuf,
}

/// What an invocation took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Processor time.
    pub cpu: Duration,
    /// Bytes that it wrote to its log.
    pub log_bytes: u64,
}

/// A program that runs.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
    polls: UnboundedReceiver<()>,
    events: UnboundedSender<String>,
    answers: UnboundedReceiver<(bool, String)>,
    server: JoinHandle<()>,
    last: Taken,
}

impl Program {
    /// Starts it, and waits until it asks for its first event. Also returns what that took.
    ///
    /// # Errors
    /// It cannot be started, or ends before it asks.
    pub async fn start(launch: &Launch, stand: &Stand, scratch: &Path) -> Result<(Self, Taken)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (polled, polls) = unbounded_channel();
        let (events, waiting) = unbounded_channel();
        let (answered, answers) = unbounded_channel();
        let api = Arc::new(Api {
            polled,
            events: Mutex::new(waiting),
            answered,
        });
        let router = Router::new().fallback(serve).with_state(api);
        let server = tokio::spawn(async move {
            // It ends with the program.
            drop(axum::serve(listener, router).await);
        });
        let log = scratch.join(format!("{}.log", launch.name.replace(' ', "-")));
        let file = File::create(&log)
            .with_context(|| format!("{} could not be written", log.display()))?;
        let (path, arguments) = launch.command.split_first().context("no program")?;
        let child = Command::new(path)
            .args(arguments)
            .env_clear()
            .envs(&launch.variables)
            .envs(stand.variables())
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .current_dir(&launch.folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} could not be started", launch.name))?;
        let mut program = Self {
            name: launch.name,
            child,
            log,
            polls,
            events,
            answers,
            server,
            last: Taken::default(),
        };
        let taken = program.polled().await?;
        Ok((program, taken))
    }

    /// Gives it an event, and returns its answer and what that took, once it asks for the next.
    ///
    /// # Errors
    /// It ends, reports an error or answers with no JSON.
    pub async fn invoke(&mut self, event: &str) -> Result<(Value, Taken)> {
        self.events.send(event.to_owned())?;
        let taken = self.polled().await?;
        let (is_answer, text) = self
            .answers
            .try_recv()
            .with_context(|| format!("{} asked for the next event without an answer", self.name))?;
        ensure!(is_answer, "{} reported an error: {text}", self.name);
        let answer = serde_json::from_str(&text)
            .with_context(|| format!("{} answered with no JSON: {text}", self.name))?;
        Ok((answer, taken))
    }

    /// Ends it.
    ///
    /// # Errors
    /// It has ended already.
    pub async fn stop(mut self) -> Result<()> {
        kill_process(self.pid()?, Signal::TERM)?;
        self.child.wait().await?;
        Ok(())
    }

    /// Waits until it asks for an event, and returns what it took since it last did.
    async fn polled(&mut self) -> Result<Taken> {
        tokio::select! {
            polled = timeout(PATIENCE, self.polls.recv()) => {
                polled.with_context(|| format!("{} asked for no event", self.name))?;
            }
            ended = self.child.wait() => bail!(
                "{} ended with {}\n{}",
                self.name,
                ended?,
                job::tail(&self.log, 0)?
            ),
        }
        let now = Taken {
            cpu: self.settled().await?,
            log_bytes: self.log.metadata()?.len(),
        };
        let taken = Taken {
            cpu: now.cpu.saturating_sub(self.last.cpu),
            log_bytes: now.log_bytes.saturating_sub(self.last.log_bytes),
        };
        self.last = now;
        Ok(taken)
    }

    fn pid(&self) -> Result<Pid> {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(id.try_into().ok()?));
        pid.with_context(|| format!("{} is gone", self.name))
    }

    /// The processor time, once it stands still: the program sends its request before it sleeps.
    async fn settled(&self) -> Result<Duration> {
        let tasks = PathBuf::from(format!("/proc/{}/task", self.pid()?.as_raw_nonzero()));
        let mut last = processor_time(&tasks)?;
        for _ in 0..READINGS {
            sleep(SETTLED).await;
            let now = processor_time(&tasks)?;
            if now == last {
                break;
            }
            last = now;
        }
        Ok(last)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The processor time of the threads in a folder of `/proc`.
/// <https://docs.kernel.org/scheduler/sched-stats.html>
fn processor_time(tasks: &Path) -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir(tasks)? {
        // A thread may end meanwhile.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        let on_processor = text.split_whitespace().next();
        nanoseconds += on_processor
            .and_then(|number| number.parse::<u64>().ok())
            .context("this kernel keeps no account of its threads")?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// The runtime API of one program.
struct Api {
    polled: UnboundedSender<()>,
    events: Mutex<UnboundedReceiver<String>>,
    answered: UnboundedSender<(bool, String)>,
}

async fn serve(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if head.method == Method::GET && path.ends_with("/runtime/invocation/next") {
        // Gone only with the program.
        let _ = api.polled.send(());
        return match api.events.lock().await.recv().await {
            Some(event) => next(event),
            None => empty(StatusCode::GONE),
        };
    }
    let text = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let _ = api.answered.send((path.ends_with("/response"), text));
    empty(StatusCode::ACCEPTED)
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn next(event: String) -> Response {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let deadline = (now.as_millis() + DEADLINE_MS).to_string();
    let headers = [
        (
            "lambda-runtime-aws-request-id",
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        ),
        ("lambda-runtime-deadline-ms", &deadline),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:bench",
        ),
        ("content-type", "application/json"),
    ];
    let response = headers
        .iter()
        .fold(Response::builder(), |response, (name, value)| {
            response.header(*name, *value)
        });
    let response = response.body(Body::from(event));
    response.unwrap_or_else(|_| empty(StatusCode::INTERNAL_SERVER_ERROR))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    async fn started(script: &str, scratch: &Path) -> Result<(Program, Taken)> {
        let stand = Stand::start(None, String::new(), "").await?;
        let launch = Launch {
            name: "script",
            command: vec!["/bin/bash".into(), "-c".into(), script.into()],
            variables: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            folder: scratch.to_path_buf(),
        };
        Program::start(&launch, &stand, scratch).await
    }

    /// Bash's own TCP: asks for an event, answers it and asks for the next, which it waits for.
    fn script(word: &str, answer: &str) -> String {
        format!(
            "ask() {{ exec 3<>/dev/tcp/${{AWS_LAMBDA_RUNTIME_API%:*}}/${{AWS_LAMBDA_RUNTIME_API#*:}}
               printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: a\r\n\r\n' >&3
               read -r line <&3; }}
             ask; echo a line
             exec 4<>/dev/tcp/${{AWS_LAMBDA_RUNTIME_API%:*}}/${{AWS_LAMBDA_RUNTIME_API#*:}}
             printf 'POST /2018-06-01/runtime/invocation/1/{word} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{answer}' >&4
             read -r line <&4; ask",
            answer.len()
        )
    }

    #[rstest]
    #[case::ends("echo sorry; exit 3", "exit status: 3")]
    #[case::says_why("echo sorry", "sorry")]
    #[tokio::test]
    async fn a_program_that_does_not_ask_is_an_error(#[case] script: &str, #[case] why: &str) {
        let scratch = tempfile::tempdir().unwrap();
        let error = started(script, scratch.path()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }

    #[tokio::test]
    async fn an_answer_comes_with_what_it_took() {
        let scratch = tempfile::tempdir().unwrap();
        let script = script("response", r#"{"statusCode":200}"#);
        let (mut program, taken) = started(&script, scratch.path()).await.unwrap();
        assert!(taken.cpu > Duration::ZERO);
        let (answer, taken) = program.invoke("{}").await.unwrap();
        assert_eq!(answer, serde_json::json!({ "statusCode": 200 }));
        assert_eq!(taken.log_bytes, 7);
        program.stop().await.unwrap();
    }

    #[rstest]
    #[case::an_error("error", r#"{"errorMessage":"no"}"#, "reported an error")]
    #[case::no_json("response", "no", "answered with no JSON")]
    #[tokio::test]
    async fn an_answer_that_is_none_is_an_error(
        #[case] word: &str,
        #[case] answer: &str,
        #[case] why: &str,
    ) {
        let scratch = tempfile::tempdir().unwrap();
        let script = script(word, answer);
        let (mut program, _) = started(&script, scratch.path()).await.unwrap();
        let error = program.invoke("{}").await.unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
