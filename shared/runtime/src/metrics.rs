//! Metrics: counters in the log, in `CloudWatch`'s embedded metric format. They cost no call.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::io::Write as _;

use serde_json::{Map, Value, json};

use crate::clock;

/// The namespace of all of Orderhook's metrics.
const NAMESPACE: &str = "Orderhook";

/// Counts something, by dimensions of few values each: never by account, delivery or record.
pub fn count(name: &str, value: usize, dimensions: &[(&str, &str)]) {
    write(&line(
        clock::now().millis(),
        name,
        value,
        "Count",
        dimensions,
    ));
}

/// Says how long something took or how old it is, in seconds.
pub fn seconds(name: &str, value: u64) {
    write(&line(clock::now().millis(), name, value, "Seconds", &[]));
}

fn write(line: &Value) {
    // A metric that cannot be written must not cost the delivery that it is about.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn line(
    millis: u64,
    name: &str,
    value: impl Into<Value>,
    unit: &str,
    dimensions: &[(&str, &str)],
) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let directive = json!({
        "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": [{ "Name": name, "Unit": unit }],
    });
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({ "Timestamp": millis, "CloudWatchMetrics": [directive] }),
    );
    line.insert(name.to_owned(), value.into());
    line.extend(
        dimensions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value))),
    );
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_cloudwatch_reads() {
        assert_eq!(
            line(7, "Deliveries", 1, "Count", &[("Outcome", "accepted")]),
            json!({
                "_aws": { "Timestamp": 7, "CloudWatchMetrics": [{
                    "Namespace": "Orderhook",
                    "Dimensions": [["Outcome"]],
                    "Metrics": [{ "Name": "Deliveries", "Unit": "Count" }],
                }]},
                "Deliveries": 1,
                "Outcome": "accepted",
            })
        );
        let age = line(7, "RetryMarkerAge", 86_400_u64, "Seconds", &[]);
        let metric = &age["_aws"]["CloudWatchMetrics"][0]["Metrics"][0];
        assert_eq!(metric["Unit"], "Seconds");
        assert_eq!(age["RetryMarkerAge"], 86_400);
    }
}
