//! What every release stores: the examples of `tests/fixtures/releases`.
//!
//! A folder there is a release, a file in it a kind of stored form, and an example what the release wrote with what
//! a reader has to make of it. Whatever a folder holds is found by itself, so the readers of a release are held
//! against all releases before it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The release that is being built.
const CURRENT: &str = env!("CARGO_PKG_VERSION");

/// What is kept longer than the program that wrote it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The body of a message in a lane, in a team's queue or in a dead-letter queue.
    Envelope,
    /// An account's item.
    Account,
    /// The item of a URL token.
    Token,
    /// The item by which a retry keeps its identity.
    Marker,
    /// The item of a delivery as it came.
    Receipt,
    /// The item of a record.
    Record,
    /// The text of an account's secret with its signing keys.
    SigningSecret,
    /// The text of an account's secret with its authorization.
    OauthSecret,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Envelope,
        Self::Account,
        Self::Token,
        Self::Marker,
        Self::Receipt,
        Self::Record,
        Self::SigningSecret,
        Self::OauthSecret,
    ];

    fn file(self) -> &'static str {
        match self {
            Self::Envelope => "envelope.json",
            Self::Account => "account.json",
            Self::Token => "token.json",
            Self::Marker => "marker.json",
            Self::Receipt => "receipt.json",
            Self::Record => "record.json",
            Self::SigningSecret => "signing_secret.json",
            Self::OauthSecret => "oauth_secret.json",
        }
    }
}

/// The variables that a release's template gives its functions.
const ENVIRONMENT: &str = "environment.json";

/// A release with a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its version.
    pub version: String,
    folder: PathBuf,
}

/// A stored form, and what a reader has to make of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    pub what: String,
    /// The form, byte for byte.
    pub stored: Box<RawValue>,
    /// What is read from it.
    pub read: Value,
}

/// Every release.
///
/// # Panics
/// There is no folder for the release that is being built.
#[must_use]
pub fn all() -> Vec<Release> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/releases");
    let entries = std::fs::read_dir(folder).expect("the releases' folder");
    let mut releases: Vec<Release> = entries
        .map(|entry| entry.expect("an entry of the releases' folder"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| Release {
            version: entry.file_name().into_string().expect("a version"),
            folder: entry.path(),
        })
        .collect();
    releases.sort_by(|one, other| one.version.cmp(&other.version));
    assert!(
        releases.iter().any(Release::is_current),
        "tests/fixtures/releases has no folder {CURRENT}; its README.md says how to make one"
    );
    releases
}

/// What a release after this one may store: the examples of this one, with members that it does not know.
///
/// # Panics
/// There is no folder for the release that is being built.
#[must_use]
pub fn to_come(kind: Kind) -> Vec<(Release, Example)> {
    let current = all().into_iter().find(Release::is_current);
    let current = current.expect("the release that is being built");
    let next = Release {
        version: "a release to come".to_owned(),
        ..current.clone()
    };
    let examples = current.examples(kind).into_iter();
    let to_come = examples.map(|mut example| {
        let mut stored = example.item();
        add_members(kind, &mut stored);
        let text = RawValue::from_string(stored.to_string());
        example.stored = text.expect("what was written is JSON");
        (next.clone(), example)
    });
    to_come.collect()
}

/// Adds members that nobody knows: to the form, and to what it holds of its own. A record's data are its sender's.
fn add_members(kind: Kind, stored: &mut Value) {
    let is_item = !matches!(
        kind,
        Kind::Envelope | Kind::SigningSecret | Kind::OauthSecret
    );
    let unknown = match is_item {
        true => json!({ "M": { "since": { "S": "a release to come" } } }),
        false => json!({ "since": "a release to come" }),
    };
    stored["later"] = unknown.clone();
    match kind {
        Kind::Account => {
            let registrations = stored["registrations"]["L"].as_array_mut();
            for held in registrations.into_iter().flatten() {
                held["M"]["later"] = unknown.clone();
            }
        }
        Kind::SigningSecret => {
            let registrations = stored["registrations"].as_object_mut();
            for (_, held) in registrations.into_iter().flatten() {
                held["later"] = unknown.clone();
            }
        }
        _ => {}
    }
}

impl Release {
    /// Whether it is the release that is being built.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.version == CURRENT
    }

    /// The examples of a kind.
    ///
    /// # Panics
    /// There are none, or the file is not one of examples.
    #[must_use]
    pub fn examples(&self, kind: Kind) -> Vec<Example> {
        let examples: Vec<Example> = self.parse(kind.file());
        assert!(!examples.is_empty(), "{}: no {kind:?}", self.version);
        examples
    }

    fn parse<T: DeserializeOwned>(&self, file: &str) -> T {
        let path = self.folder.join(file);
        let text = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The variables that the release's template gives a function, with values as they are on AWS; `None` where the
    /// release has no such function.
    ///
    /// # Panics
    /// The file is missing, or is not one of variables.
    #[must_use]
    pub fn environment(&self, function: &str) -> Option<BTreeMap<String, String>> {
        let mut functions: BTreeMap<String, _> = self.parse(ENVIRONMENT);
        functions.remove(function)
    }

    /// Holds what was read against what an example says. Of a release before this one, only what its folder names
    /// is asked for: it knows nothing of what came later.
    ///
    /// # Panics
    /// They differ.
    pub fn expect_read(&self, example: &Example, read: &Value) {
        let agrees = if self.is_current() {
            example.read == *read
        } else {
            says(read, &example.read)
        };
        assert!(
            agrees,
            "{}, {}: expected {:#}, read {read:#}",
            self.version, example.what, example.read
        );
    }

    /// Holds what was written against an example, if this is the release that is being built.
    ///
    /// # Panics
    /// They differ: the stored form has changed.
    pub fn expect_written(&self, example: &Example, written: &Value) {
        if self.is_current() {
            assert!(
                example.item() == *written,
                "{}, {}: this release writes {written:#}",
                self.version,
                example.what
            );
        }
    }
}

impl Example {
    /// The stored form as a value.
    ///
    /// # Panics
    /// It is nested too deeply.
    #[must_use]
    pub fn item(&self) -> Value {
        serde_json::from_str(self.stored.get()).expect("what is JSON is a value")
    }

    /// A text among what is read.
    ///
    /// # Panics
    /// There is none of that name.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.read[name]
            .as_str()
            .unwrap_or_else(|| panic!("{}: {name} is missing", self.what))
    }
}

/// Whether a value says all that was expected, and perhaps more.
fn says(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Object(members), Value::Object(expected)) => expected
            .iter()
            .all(|(name, expected)| members.get(name).is_some_and(|value| says(value, expected))),
        (Value::Array(elements), Value::Array(expected)) => {
            let mut pairs = elements.iter().zip(expected);
            elements.len() == expected.len() && pairs.all(|(value, expected)| says(value, expected))
        }
        _ => value == expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_has_examples_of_every_kind_and_nothing_else() {
        for release in all() {
            let mut expected: Vec<&str> = Kind::ALL.iter().map(|kind| kind.file()).collect();
            expected.push(ENVIRONMENT);
            expected.sort_unstable();
            let files = std::fs::read_dir(&release.folder).unwrap();
            let mut files: Vec<String> = files
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort_unstable();
            assert_eq!(files, expected, "{}", release.version);
            for kind in Kind::ALL {
                assert!(!release.examples(kind).is_empty());
            }
        }
    }

    /// Variables that a template no longer had although the programs of the release before needed them, and what that
    /// cost. None is to be added: a variable goes one release after its last reader.
    const GONE_TOO_SOON: [(&str, &str, &str); 2] = [
        // Going back to 0.1.0, subscriptions does not start until its variables are changed too, moments after its code.
        ("0.2.0", "subscriptions", "ORDERSPACE_API_URL"),
        ("0.2.0", "subscriptions", "ORDERSPACE_IDENTITY_URL"),
    ];

    /// Lambda changes code and variables one after the other. Going back, the programs of the release before start with
    /// the variables of this one.
    #[test]
    fn a_release_keeps_every_variable_of_the_release_before() {
        let releases = all();
        for pair in releases.windows(2) {
            let [before, after] = pair else {
                panic!("windows of two");
            };
            for function in ["inbound", "consumer", "subscriptions", "erasure"] {
                let Some(needed) = before.environment(function) else {
                    continue;
                };
                let given = after.environment(function).unwrap();
                let gone = needed.keys().filter(|name| {
                    !given.contains_key(*name)
                        && !GONE_TOO_SOON.contains(&(&after.version, function, name.as_str()))
                });
                let gone: Vec<&String> = gone.collect();
                assert_eq!(gone, [""; 0], "{function} in {}", after.version);
            }
        }
    }

    #[test]
    fn a_release_before_this_one_is_asked_for_what_its_folder_names() {
        let read = json!({ "a": [{ "b": 1, "later": 2 }], "later": 3 });
        assert!(says(&read, &json!({ "a": [{ "b": 1 }] })));
        for other in [
            json!({ "a": [{ "b": 2 }] }),
            json!({ "a": [] }),
            json!({ "c": null }),
        ] {
            assert!(!says(&read, &other), "{other}");
        }
    }
}
