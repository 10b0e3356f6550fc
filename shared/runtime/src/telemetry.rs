//! Logs: one JSON object a line, for `CloudWatch` Logs Insights.
//!
//! Libraries never log below `WARN` here, whatever the configuration says: at `TRACE` the Lambda runtime
//! prints raw events and the SDK prints its requests, and both hold tokens, signatures and payloads.
//!
//! A line has the fields of its innermost span under `span`, and of no other: what its lines are about stands in an inner
//! span as well. Our spans are there at any level, for an error needs its account no less than a trace.
//!
//! `level` and `timestamp` are what Lambda's own filter of levels reads.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html>

use std::fmt::{self, Debug};
use std::io;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use crate::clock;

/// Our own crates: the only ones whose level can be chosen.
const OURS: [&str; 8] = [
    "domain",
    "sources",
    // Targets are compared by their beginnings, and the SDK's crates begin with `aws_`.
    "aws::",
    "runtime",
    "inbound",
    "consumer",
    "subscriptions",
    "erasure",
];

/// A subscriber that writes our crates' events from `level` upwards.
pub fn subscriber<W>(level: LevelFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_targets(OURS.map(|target| (target, level)));
    // A filter of the whole and not of the one layer: such a layer's answer to `enabled!` is always yes where two subscribers
    // differ.
    let filter = filter_fn(move |metadata| {
        let is_ours = || OURS.iter().any(|ours| metadata.target().starts_with(ours));
        targets.would_enable(metadata.target(), metadata.level()) || metadata.is_span() && is_ours()
    });
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(Line)
        .with_writer(writer);
    tracing_subscriber::registry()
        .with(lines)
        .with(filter.with_max_level_hint(level.max(LevelFilter::INFO)))
}

/// The form of a line: a JSON object.
#[derive(Debug)]
struct Line;

impl<S: Subscriber + for<'s> LookupSpan<'s>> FormatEvent<S, JsonFields> for Line {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (metadata, now) = (event.metadata(), clock::now());
        write!(
            writer,
            r#"{{"timestamp":"{now}","level":"{}""#,
            metadata.level()
        )?;
        let mut members = Members {
            writer: writer.by_ref(),
            written: Ok(()),
        };
        event.record(&mut members);
        members.written?;
        write!(writer, r#","target":"{}""#, metadata.target())?;
        if let Some(span) = context.lookup_current() {
            write!(writer, r#","span":{{"name":"{}""#, span.name())?;
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            let fields = fields.and_then(|fields| {
                let fields = fields.fields.strip_prefix('{')?.strip_suffix('}')?;
                (!fields.is_empty()).then_some(fields)
            });
            if let Some(fields) = fields {
                write!(writer, ",{fields}")?;
            }
            writer.write_char('}')?;
        }
        writeln!(writer, "}}")
    }
}

/// The fields of an event, written as members. Names are our own, and have nothing that JSON escapes.
struct Members<'w> {
    writer: Writer<'w>,
    written: fmt::Result,
}

impl Members<'_> {
    fn write(&mut self, field: &Field, json: impl fmt::Display) {
        let writer = &mut self.writer;
        let write = |()| write!(writer, r#","{}":{json}"#, field.name());
        self.written = self.written.and_then(write);
    }

    fn write_text(&mut self, field: &Field, text: &str) {
        self.write(field, domain::envelope::json_string(text));
    }
}

impl Visit for Members<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write_text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write_text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no number for what is none.
        self.write(field, serde_json::Value::from(value));
    }
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

    /// What a piece of work logs at `INFO`.
    fn logged(work: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        tracing::subscriber::with_default(
            subscriber(LevelFilter::INFO, move || writer.clone()),
            work,
        );
        let lines = buffer.0.lock().unwrap().clone();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn a_line_is_an_object_with_its_fields_and_those_of_its_span() {
        let text = logged(|| {
            let error = io::Error::other("of \"its\" own");
            let span = tracing::info_span!(target: "inbound", "delivery", account = "acme", later = tracing::field::Empty);
            let _entered = span.entered();
            tracing::Span::current().record("later", 7);
            tracing::warn!(
                target: "inbound::answer",
                name = "a \"b\"\n\\",
                many = 3_u64,
                few = -3,
                yes = true,
                part = 0.5,
                none = f64::NAN,
                cause = ?Some(1),
                %error,
                absent = None::<u64>,
                event.r#type = "order.created",
                "a {}",
                "message"
            );
        });
        let mut line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let at = line["timestamp"].take();
        assert!(at.as_str().is_some_and(|at| at.len() == 24), "{at}");
        assert_eq!(
            line,
            serde_json::json!({
                "timestamp": null,
                "level": "WARN",
                "message": "a message",
                "name": "a \"b\"\n\\",
                "many": 3,
                "few": -3,
                "yes": true,
                "part": 0.5,
                "none": null,
                "cause": "Some(1)",
                "error": "of \"its\" own",
                "event.type": "order.created",
                "target": "inbound::answer",
                "span": { "name": "delivery", "account": "acme", "later": 7 },
            })
        );
    }

    #[test]
    fn a_line_outside_of_spans_has_none() {
        let text = logged(|| tracing::info!(target: "consumer", "started"));
        assert!(
            text.ends_with("\"message\":\"started\",\"target\":\"consumer\"}\n"),
            "{text}"
        );
        let text = logged(|| {
            let _entered = tracing::info_span!(target: "consumer", "batch").entered();
            tracing::info!(target: "consumer", "started");
        });
        assert!(text.ends_with("\"span\":{\"name\":\"batch\"}}\n"), "{text}");
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
