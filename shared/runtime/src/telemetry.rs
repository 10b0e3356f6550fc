//! Logs: one JSON object a line, for `CloudWatch` Logs Insights.
//!
//! Libraries never log below `WARN` here, whatever the configuration says: at `TRACE` the Lambda runtime
//! prints raw events and the SDK prints its requests, and both hold tokens, signatures and payloads.
//!
//! A line has the fields of its innermost span under `span`, and of no other: what its lines are about stands in an inner
//! span as well. Our spans are there at any level, for an error needs its account no less than a trace.

use std::io;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

/// Our own crates: the only ones whose level can be chosen.
const OURS: [&str; 7] = [
    "domain",
    "sources",
    // Targets are compared by their beginnings, and the SDK's crates begin with `aws_`.
    "aws::",
    "runtime",
    "inbound",
    "consumer",
    "subscriptions",
];

/// A subscriber that writes our crates' events from `level` upwards.
pub fn subscriber<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(OURS.map(|target| (target, level)));
    let spans = filter_fn(|metadata| {
        metadata.is_span() && OURS.iter().any(|ours| metadata.target().starts_with(ours))
    });
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(writer);
    tracing_subscriber::registry().with(tracing_subscriber::Layer::with_filter(
        lines,
        targets.or(spans.with_max_level_hint(LevelFilter::INFO)),
    ))
}

/// Starts logging to standard output. A second call changes nothing.
pub fn init(level: LevelFilter) {
    // It is an error only where a subscriber is there already, and then that one serves.
    let _ = tracing::subscriber::set_global_default(subscriber(level, io::stdout));
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    // requirement: secret-libraries
    fn libraries_are_capped_at_any_level() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = subscriber(LevelFilter::TRACE, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "inbound::answer", account = "acme", "ours");
            tracing::info!(target: "lambda_runtime::layers", "theirs, with a payload");
            tracing::trace!(target: "aws_smithy_runtime", "theirs, with a request");
            tracing::warn!(target: "hyper", "theirs, a warning");
        });
        let lines = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        assert!(
            lines.contains("\"account\":\"acme\"") && lines.contains("theirs, a warning"),
            "{lines}"
        );
        assert_eq!(lines.lines().count(), 2, "{lines}");
    }
}
