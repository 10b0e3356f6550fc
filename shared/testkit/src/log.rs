//! What a function logs, taken down as its lines are printed.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;

use crate::fakes::lock;

/// A log. Its clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Takes down what this thread logs from `level` upwards, until the guard is dropped.
    #[must_use]
    pub fn capture(&self, level: LevelFilter) -> DefaultGuard {
        let log = self.clone();
        let subscriber = runtime::telemetry::subscriber(level, move || log.clone());
        tracing::subscriber::set_default(subscriber)
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(lock(&self.0).clone()).unwrap()
    }

    /// The lines of one level.
    #[must_use]
    pub fn lines(&self, level: &str) -> Vec<Value> {
        let text = self.text();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &Value| line["level"] == level)
            .collect()
    }

    /// The messages of one level, each with its span.
    #[must_use]
    pub fn messages(&self, level: &str) -> Vec<(String, Value)> {
        let lines = self.lines(level).into_iter();
        lines
            .map(|line| {
                let message = line["message"].as_str().unwrap().to_owned();
                (message, line["span"].clone())
            })
            .collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
