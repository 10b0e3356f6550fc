//! `tests/figures.json`: what the long commands found when they last ran, for the conformance table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::places::Places;

/// What a long command found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// All that it is about held; how much was tried.
    Held(String),
    /// Something did not, and what.
    Failed(String),
}

fn file(places: &Places) -> PathBuf {
    places.root.join("tests/figures.json")
}

/// What was found, by the commands' names.
///
/// # Errors
/// The file cannot be read, or is none that [`note`] wrote.
pub fn read(places: &Places) -> Result<BTreeMap<String, Found>> {
    let path = file(places);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} could not be read", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not as it was written", path.display()))
}

/// Notes what a long command found, in place of what it found before.
///
/// # Errors
/// The file cannot be read or written.
pub fn note(places: &Places, name: &str, found: Found) -> Result<()> {
    let mut figures = read(places)?;
    figures.insert(name.to_owned(), found);
    let path = file(places);
    let text = serde_json::to_string_pretty(&figures)?;
    std::fs::write(&path, format!("{text}\n"))
        .with_context(|| format!("{} could not be written", path.display()))
}
