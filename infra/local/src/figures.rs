//! `tests/figures.json`: what the long commands found when they last ran, for the conformance table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::places::Places;

fn file(places: &Places) -> PathBuf {
    places.root.join("tests/figures.json")
}

/// Every figure by its name.
///
/// # Errors
/// The file is no object of texts.
pub fn read(places: &Places) -> Result<BTreeMap<String, String>> {
    let path = file(places);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} could not be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no object of texts", path.display()))
}

/// Notes what a long command found, in place of what it found before.
///
/// # Errors
/// The file cannot be read or written.
pub fn note(places: &Places, name: &str, found: &str) -> Result<()> {
    let mut figures = read(places)?;
    figures.insert(name.to_owned(), found.to_owned());
    let path = file(places);
    let text = serde_json::to_string_pretty(&figures)?;
    std::fs::write(&path, format!("{text}\n"))
        .with_context(|| format!("{} could not be written", path.display()))
}
