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
    let line = line(clock::now().millis(), name, value, dimensions);
    // A metric that cannot be written must not cost the delivery that it is about.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn line(millis: u64, name: &str, value: usize, dimensions: &[(&str, &str)]) -> Value {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let directive = json!({
        "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": [{ "Name": name, "Unit": "Count" }],
    });
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({ "Timestamp": millis, "CloudWatchMetrics": [directive] }),
    );
    line.insert(name.to_owned(), json!(value));
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
            line(7, "Deliveries", 1, &[("Outcome", "accepted")]),
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
    }
}
