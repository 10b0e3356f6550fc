//! A function's program as Lambda starts it: with these variables and no others, until it asks for its first event or
//! ends.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What a program asks for once it is ready.
const POLL: &str = "GET /2018-06-01/runtime/invocation/next ";

/// How long a start may take. The machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Nobody listens here: a connection is refused at once, and no start depends on one.
const NOBODY: &str = "http://127.0.0.1:9";

/// Ends the program, whatever the test does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts a program, and returns once it asks for an event.
///
/// # Errors
/// It ends instead: with what it printed.
///
/// # Panics
/// It can neither be started nor be waited for.
pub fn start(program: &str, variables: &BTreeMap<String, String>) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
    let address = listener.local_addr().expect("a bound port has an address");
    let mut child = Command::new(program)
        .env_clear()
        .envs(variables)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_ENDPOINT_URL", NOBODY)
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "function")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut out = child.stdout.take().expect("its output is a pipe");
    let mut err = child.stderr.take().expect("its errors are a pipe");
    let mut running = Running(child);
    // Read at once: a program whose pipe is full waits.
    let printed = thread::spawn(move || {
        let errors = thread::spawn(move || {
            let mut text = Vec::new();
            err.read_to_end(&mut text).map(|_| text)
        });
        let mut text = Vec::new();
        out.read_to_end(&mut text).expect("a pipe can be read");
        let errors = errors.join().expect("a reader ends");
        text.extend(errors.expect("a pipe can be read"));
        String::from_utf8_lossy(&text).into_owned()
    });
    let (asked, ready) = channel();
    // Ends with the program's connection, or with the test's process.
    thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            if let Some(open) = asks_for_an_event(stream) {
                drop(asked.send(open));
                return;
            }
        }
    });
    let begun = Instant::now();
    loop {
        match ready.recv_timeout(LOOK) {
            Ok(_open) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => panic!("the runtime's interface is gone"),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if running
            .0
            .try_wait()
            .expect("a child can be asked")
            .is_some()
        {
            return Err(printed.join().expect("a reader ends"));
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "{program} neither asked for an event nor ended in {} s",
            PATIENCE.as_secs()
        );
    }
}

/// The connection of a program that asks for an event. It stays open for as long as the program is to run.
fn asks_for_an_event(stream: TcpStream) -> Option<BufReader<TcpStream>> {
    let mut request = BufReader::new(stream);
    let mut line = String::new();
    request.read_line(&mut line).ok()?;
    line.starts_with(POLL).then_some(request)
}
