//! What consuming teams are given in `infra/events`, made from the fixtures and the schemas: one example of every message,
//! `asyncapi.yaml`, and the messages as types of Python and TypeScript. A file that is not what would be made now fails its
//! test. To write them anew:
//!
//! ```sh
//! ORDERHOOK_WRITE_EVENTS=1 cargo test --package sources --test published
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it does not expect"
)]

mod asyncapi;
mod examples;
mod models;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The variable that asks for the files to be written.
const WRITE: &str = "ORDERHOOK_WRITE_EVENTS";

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/events")
}

/// A published schema: `event`, `account` or `unified`.
fn schema(name: &str) -> Value {
    let path = events().join(format!("orderhook-{name}.schema.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Holds files below `infra/events` against what they have to be, or writes them where that is asked for. Where `folder` is
/// given, it has no other file.
fn published(files: &BTreeMap<String, String>, folder: Option<&str>) {
    let is_to_write = std::env::var_os(WRITE).is_some();
    let there: BTreeSet<String> = folder.map_or_else(BTreeSet::new, files_in);
    for old in there.iter().filter(|old| !files.contains_key(*old)) {
        assert!(is_to_write, "{old} is made from nothing: {}", how_to());
        std::fs::remove_file(events().join(old)).unwrap();
    }
    for (name, text) in files {
        let path = events().join(name);
        if is_to_write {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let is = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(&is == text, "{name} is out of date: {}", how_to());
    }
}

fn how_to() -> String {
    format!("write it anew with {WRITE}=1 cargo test --package sources --test published")
}

fn files_in(folder: &str) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(events().join(folder)) else {
        return BTreeSet::new();
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap())
    };
    entries.map(name).collect()
}

/// The members of an object by their names, so that no feature of the JSON library decides on their order.
fn members(value: &Value) -> BTreeMap<&str, &Value> {
    let members = value.as_object().into_iter().flatten();
    members
        .map(|(name, value)| (name.as_str(), value))
        .collect()
}
