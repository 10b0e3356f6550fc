//! The example deliveries, and what each of them must lead to, as the fixtures' manifest says.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// The folders with deliveries as Orderspace sends or sent them. What is made up is for the tests.
const FOLDERS: [&str; 3] = ["current/", "seed/", "variants-2025/"];

/// One example delivery.
#[derive(Clone, Debug)]
pub struct Example {
    /// Its file, below the fixtures.
    pub file: String,
    /// What it is, in a sentence.
    pub what: String,
    /// The body, exact to the byte.
    pub body: String,
    /// The events in it.
    pub events: Vec<ExampleEvent>,
}

/// One event of a delivery.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ExampleEvent {
    /// Its type, such as `order.created`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The lane that it must take.
    pub lane: String,
    /// The record that it is about: `order/or_1`, or with `/*` at the end where that part is made at run time.
    pub subject: String,
}

impl ExampleEvent {
    /// The kind of record.
    pub fn kind(&self) -> &str {
        self.subject.split('/').next().unwrap_or_default()
    }

    /// Whether the event deletes its record.
    pub fn deletes(&self) -> bool {
        self.event_type.ends_with(".deleted")
    }
}

#[derive(Deserialize)]
struct Manifest {
    files: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    what: String,
    #[serde(default)]
    good: Vec<ExampleEvent>,
}

/// Reads the examples of the three folders, in the manifest's order.
///
/// # Errors
/// A file is missing or not as the manifest says.
pub fn read(fixtures: &Path) -> Result<Vec<Example>> {
    let manifest = fixtures.join("manifest.json");
    let text = std::fs::read(&manifest)
        .with_context(|| format!("{} could not be read", manifest.display()))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).context("the fixtures' manifest is not as expected")?;
    let examples = manifest
        .files
        .into_iter()
        .filter(|entry| FOLDERS.iter().any(|folder| entry.file.starts_with(folder)))
        .map(|entry| {
            let path = fixtures.join(&entry.file);
            let body = std::fs::read_to_string(&path)
                .with_context(|| format!("{} could not be read", path.display()))?;
            Ok(Example {
                file: entry.file,
                what: entry.what,
                body,
                events: entry.good,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    if examples.is_empty() {
        bail!(
            "the fixtures' manifest names no delivery in {}",
            FOLDERS.join(", ")
        );
    }
    Ok(examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixtures() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/orderspace")
    }

    #[test]
    fn every_file_of_the_folders_is_an_example_with_events() {
        let examples = read(&fixtures()).unwrap();
        for folder in FOLDERS {
            let files = std::fs::read_dir(fixtures().join(folder)).unwrap().count();
            let named = examples
                .iter()
                .filter(|example| example.file.starts_with(folder))
                .count();
            assert_eq!(files, named, "{folder}");
        }
        for example in examples {
            assert!(
                !example.events.is_empty(),
                "{} holds no event",
                example.file
            );
        }
    }

    #[test]
    fn the_examples_take_every_lane_but_other() {
        let examples = read(&fixtures()).unwrap();
        let mut lanes: Vec<String> = examples
            .into_iter()
            .flat_map(|example| example.events)
            .map(|event| event.lane)
            .collect();
        lanes.sort();
        lanes.dedup();
        assert_eq!(
            lanes,
            ["billing", "customers", "inventory", "orders", "products"]
        );
    }
}
