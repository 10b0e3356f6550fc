//! Deliveries from files: each `*.json` file of a folder is the body of one delivery.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use thiserror::Error;

use crate::event::EventText;

/// A delivery body from a file, whole and split.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The file's name without `.json`.
    pub name: String,
    /// The file's bytes, for a raw delivery.
    pub body: Vec<u8>,
    /// The elements of the body's array in order, verbatim; for a body that is a bare object, that object.
    pub events: Vec<EventText>,
}

/// Why fixtures could not be read.
#[derive(Debug, Error)]
pub enum FixtureError {
    /// The file or folder could not be read.
    #[error("{} could not be read; check that it exists and may be read", path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The file holds neither a JSON array nor a JSON object.
    #[error("{} is not a delivery body; it must be a JSON array of events or one JSON object", path.display())]
    NotADelivery {
        /// The file.
        path: PathBuf,
        /// The parser's reason and position.
        #[source]
        source: serde_json::Error,
    },
    /// The folder has no `*.json` file, which is more likely a wrong path than an intention.
    #[error("{} holds no *.json file; check the path", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// Splits a delivery body into the verbatim texts of its events.
///
/// # Errors
/// The body is neither a JSON array nor a JSON object.
pub fn split(body: &[u8]) -> Result<Vec<EventText>, serde_json::Error> {
    let starts_an_array = body
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| *byte == b'[');
    if starts_an_array {
        let elements: Vec<Box<RawValue>> = serde_json::from_slice(body)?;
        return Ok(elements.into_iter().map(EventText::from).collect());
    }
    // Read as an object first: a bare number or text is not a delivery of any shape.
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body)?;
    let object: Box<RawValue> = serde_json::from_slice(body)?;
    Ok(vec![EventText::from(object)])
}

fn read(path: &Path) -> Result<Vec<u8>, FixtureError> {
    std::fs::read(path).map_err(|source| FixtureError::Unreadable {
        path: path.to_owned(),
        source,
    })
}

/// Reads one file.
///
/// # Errors
/// [`FixtureError`] names the file and what to do.
pub fn load_file(path: &Path) -> Result<Fixture, FixtureError> {
    let body = read(path)?;
    let events = split(&body).map_err(|source| FixtureError::NotADelivery {
        path: path.to_owned(),
        source,
    })?;
    let name = path
        .file_stem()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    Ok(Fixture { name, body, events })
}

/// The `*.json` files directly in a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, FixtureError> {
    let unreadable = |source| FixtureError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() && path.extension() == Some(OsStr::new("json")) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(FixtureError::Empty {
            path: folder.to_owned(),
        });
    }
    paths.sort();
    Ok(paths)
}

/// Reads every `*.json` file directly in a folder, in the order of their names.
///
/// # Errors
/// [`FixtureError`] for the first file that is not a delivery body, or for a folder without any.
pub fn load_folder(folder: &Path) -> Result<Vec<Fixture>, FixtureError> {
    files(folder)?.iter().map(|path| load_file(path)).collect()
}

/// Reads a file, or every `*.json` file directly in a folder, as bytes for raw deliveries, whatever they are.
///
/// # Errors
/// [`FixtureError`] for what cannot be read, or for a folder without any.
pub fn load_bodies(path: &Path) -> Result<Vec<Vec<u8>>, FixtureError> {
    let paths = if path.is_dir() {
        files(path)?
    } else {
        vec![path.to_owned()]
    };
    paths.iter().map(|path| read(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_is_read_in_the_order_of_names_and_split_verbatim() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("b.json"),
            "[{\"event\":\"order.deleted\", \"n\":1.0} ,\n {\"event\":\"x.y\"}]\n",
        )
        .unwrap();
        fs::write(folder.path().join("a.json"), r#"{"event":"z","data":{}}"#).unwrap();
        fs::write(folder.path().join("notes.txt"), "not a fixture").unwrap();

        let fixtures = load_folder(folder.path()).unwrap();

        let names: Vec<&str> = fixtures.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let texts: Vec<&str> = fixtures[1].events.iter().map(EventText::as_str).collect();
        assert_eq!(
            texts,
            [
                "{\"event\":\"order.deleted\", \"n\":1.0}",
                "{\"event\":\"x.y\"}"
            ]
        );
        assert_eq!(fixtures[0].events.len(), 1);
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            load_folder(folder.path()),
            Err(FixtureError::Empty { .. })
        ));
        fs::write(folder.path().join("broken.json"), "[{").unwrap();
        let error = load_folder(folder.path()).unwrap_err();
        assert!(error.to_string().contains("broken.json"), "{error}");
        fs::write(folder.path().join("broken.json"), "7").unwrap();
        assert!(load_folder(folder.path()).is_err());
    }

    #[test]
    fn bodies_are_read_whatever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load_bodies(folder.path()).is_err());
        fs::write(folder.path().join("b.json"), b"\xff[{").unwrap();
        fs::write(folder.path().join("a.json"), "").unwrap();
        assert_eq!(load_bodies(folder.path()).unwrap(), [&b""[..], b"\xff[{"]);
        let file = folder.path().join("b.json");
        assert_eq!(load_bodies(&file).unwrap(), [b"\xff[{"]);
    }
}
