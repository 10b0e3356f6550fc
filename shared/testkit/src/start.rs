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

use crate::releases::{self, Release};

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

/// A function's program, held against the variables that it may meet.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The function, as the releases' environments name it.
    pub function: &'static str,
    /// The program's file.
    pub path: &'static str,
    /// The variables without which it starts all the same.
    pub with_default: &'static [&'static str],
}

impl Program {
    /// The variables of the release that is being made.
    fn current(&self) -> BTreeMap<String, String> {
        let release = releases::all().into_iter().find(Release::is_current);
        let variables = release.and_then(|release| release.environment(self.function));
        variables.expect("the release that is being made has an environment")
    }

    /// Holds that it starts with the variables of every release: Lambda replaces code and variables one after the other,
    /// so the programs of a release start with the variables of the release before it.
    ///
    /// # Panics
    /// It does not.
    pub fn assert_starts_with_every_release(&self) {
        let mut started = 0;
        for release in releases::all() {
            let Some(variables) = release.environment(self.function) else {
                continue;
            };
            if let Err(printed) = start(self.path, &variables) {
                panic!("with the variables of {}: {printed}", release.version);
            }
            started += 1;
        }
        assert!(started > 0, "no release has variables of {}", self.function);
    }

    /// Holds that it starts with a variable that it does not know: going back, it meets those of the release to come.
    ///
    /// # Panics
    /// It does not.
    pub fn assert_starts_with_an_unknown_variable(&self) {
        let mut variables = self.current();
        variables.insert("OF_A_RELEASE_TO_COME".to_owned(), "x".to_owned());
        assert_eq!(start(self.path, &variables), Ok(()));
    }

    /// Holds that without a variable, or with an empty one, it has a default, or names it and ends.
    ///
    /// # Panics
    /// It does not.
    pub fn assert_defaults_or_names_what_is_missing(&self) {
        for name in self.current().keys() {
            for given in [None, Some("")] {
                let mut variables = self.current();
                variables.remove(name);
                variables.extend(given.map(|value| (name.clone(), value.to_owned())));
                let started = start(self.path, &variables);
                if self.with_default.contains(&name.as_str()) {
                    assert_eq!(started, Ok(()), "without {name}");
                } else {
                    let printed = started.expect_err(name);
                    assert!(printed.contains(name.as_str()), "{name}: {printed}");
                }
            }
        }
    }

    /// Holds that it ends, and names the variable, where it has a value that it cannot have.
    ///
    /// # Panics
    /// It does not, or has no such variable.
    pub fn assert_refuses(&self, name: &str, value: &str) {
        let mut variables = self.current();
        let replaced = variables.insert(name.to_owned(), value.to_owned());
        assert!(replaced.is_some(), "{name} is not one of its variables");
        let printed = start(self.path, &variables).expect_err(name);
        assert!(printed.contains(name), "{printed}");
    }
}
