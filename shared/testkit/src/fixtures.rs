//! The deliveries of `tests/fixtures/{source}`, with what the manifest says of each.
//!
//! A body whose size or hash is not the manifest's stops the test: the bytes are the fixture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::signing::sha256_hex;

/// One delivery and how it must be read.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The file below the folder of fixtures, or the name of a generated body.
    pub name: String,
    /// What it shows, in a sentence.
    pub what: String,
    /// The part of the registration that its URL names.
    pub part: String,
    /// Its headers, names in lower case, as far as the source is split by them.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// How it must be read.
    pub expected: Expected,
}

/// How a body must be read.
#[derive(Debug, Clone)]
pub enum Expected {
    /// No events are recognised in it, for this reason.
    Unreadable(String),
    /// It is a list of elements, good or bad, and either is right for each.
    Undecided {
        /// How many there are.
        elements: usize,
    },
    /// It is a list of events.
    Events(ExpectedEvents),
}

/// The events that a body holds.
#[derive(Debug, Clone)]
pub struct ExpectedEvents {
    /// How many elements there are, good and bad.
    pub elements: usize,
    /// The events.
    pub good: Vec<Good>,
    /// Positions of the elements that are none.
    pub bad: Vec<u32>,
    /// Pairs of positions: events about one record.
    pub same_subject: Vec<[u32; 2]>,
    /// Pairs of positions: events about different records.
    pub different_subject: Vec<[u32; 2]>,
    /// Pairs of positions: events that say the same.
    pub equal_bytes: Vec<[u32; 2]>,
    /// Pairs of positions: events that do not.
    pub different_bytes: Vec<[u32; 2]>,
}

/// An event that a body holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Good {
    /// Its position.
    pub index: u32,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its lane.
    pub lane: String,
    /// What it says about its record: `state`, `delete`, `occurrence` or `fact`.
    pub effect: String,
    /// Its subject; ends in `/*` where the last part is made at run time.
    pub subject: String,
    /// When the source says that it happened; the empty text where it must say nothing. Not compared where it is not
    /// given.
    pub time: Option<String>,
    /// The record's first byte, and the one after its last; not given for large bodies.
    pub at: Option<[usize; 2]>,
    /// Whether SQS takes the record as text.
    #[serde(default = "yes")]
    pub sqs_text: bool,
}

fn yes() -> bool {
    true
}

/// A body with its key and its signature.
#[derive(Debug, Clone)]
pub struct SignatureVector {
    /// What it shows.
    pub name: String,
    /// The header of the signature; none where the source has but one.
    pub header: Option<String>,
    /// The signing key's characters, or the shared secret.
    pub key: String,
    /// The signature, or whatever proves the request: the header's value.
    pub signature: String,
    /// Whether it proves this body and no other.
    pub binds_body: bool,
    /// The body.
    pub body: Vec<u8>,
}

/// Every delivery of Orderspace: the files and the generated ones.
#[must_use]
pub fn all() -> Vec<Fixture> {
    Fixtures::of(ORDERSPACE).all()
}

/// The delivery of Orderspace's of that name.
///
/// # Panics
/// There is none.
#[must_use]
pub fn named(name: &str) -> Fixture {
    Fixtures::of(ORDERSPACE).named(name)
}

/// The body of the delivery of Orderspace's of that name.
#[must_use]
pub fn body(name: &str) -> Vec<u8> {
    named(name).body
}

/// Orderspace's signed bodies.
#[must_use]
pub fn signature_vectors() -> Vec<SignatureVector> {
    Fixtures::of(ORDERSPACE).signature_vectors()
}

const ORDERSPACE: &str = "orderspace";

/// What gives the body of an entry of the manifest, by its name.
type Body = fn(&Fixtures, &str) -> Vec<u8>;

/// The fixtures of one source.
#[derive(Debug, Clone)]
pub struct Fixtures {
    folder: PathBuf,
}

impl Fixtures {
    /// The fixtures of the source of that name.
    ///
    /// # Panics
    /// There is no folder for it.
    #[must_use]
    pub fn of(source: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
        let folder = folder
            .join(source)
            .canonicalize()
            .unwrap_or_else(|error| panic!("{source} has no folder of fixtures: {error}"));
        Self { folder }
    }

    /// Every delivery: the files and the generated ones.
    #[must_use]
    pub fn all(&self) -> Vec<Fixture> {
        let entries = self.entries();
        entries
            .map(|(entry, body)| self.fixture(entry, body))
            .collect()
    }

    /// What the manifest has, each with what gives its body.
    fn entries(&self) -> impl Iterator<Item = (Entry, Body)> {
        let manifest: Manifest = self.parse("manifest.json");
        let files = manifest.files.into_iter();
        let files = files.map(|entry| (entry, Self::read as Body));
        let generated = manifest.generated.into_iter();
        files.chain(generated.map(|entry| (entry, Self::generate as Body)))
    }

    fn fixture(&self, entry: Entry, body: Body) -> Fixture {
        let body = body(self, &entry.name);
        if let Some(bytes) = entry.bytes {
            assert_eq!(body.len(), bytes, "{} changed its size", entry.name);
        }
        if let Some(sha256) = &entry.sha256 {
            assert_eq!(&sha256_hex(&body), sha256, "{} changed", entry.name);
        }
        Fixture {
            name: entry.name.clone(),
            what: entry.what.clone(),
            part: entry.part.clone(),
            headers: entry.headers.clone(),
            body,
            expected: entry.expected(),
        }
    }

    /// The delivery of that name.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn named(&self, name: &str) -> Fixture {
        let found = self.entries().find(|(entry, _)| entry.name == name);
        let (entry, body) = found.unwrap_or_else(|| panic!("the manifest has no {name:?}"));
        self.fixture(entry, body)
    }

    /// The signed bodies.
    #[must_use]
    pub fn signature_vectors(&self) -> Vec<SignatureVector> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Vector {
            name: String,
            file: String,
            header: Option<String>,
            key: String,
            signature: String,
            #[serde(default = "yes")]
            binds_body: bool,
            bytes: usize,
        }

        self.parse::<Vec<Vector>>("signatures/vectors.json")
            .into_iter()
            .map(|vector| {
                let body = self.read(&format!("signatures/{}", vector.file));
                assert_eq!(body.len(), vector.bytes, "{} changed", vector.file);
                SignatureVector {
                    name: vector.name,
                    header: vector.header,
                    key: vector.key,
                    signature: vector.signature,
                    binds_body: vector.binds_body,
                    body,
                }
            })
            .collect()
    }

    /// Makes a body from its recipe.
    fn generate(&self, name: &str) -> Vec<u8> {
        let recipes: Vec<Generated> = self.parse("made/generated.json");
        let mut recipes = recipes.into_iter();
        let found = recipes.find(|generated| generated.name == name);
        let generated = found.unwrap_or_else(|| panic!("there is no recipe for {name:?}"));
        let recipe = generated.recipe;
        let text = String::from_utf8(self.read(&format!("made/{}", recipe.template)));
        let mut text = text.unwrap_or_else(|_| panic!("the template of {name} is no text"));
        for fill in &recipe.fill {
            text = text.replace(&fill.placeholder, &fill.text());
        }
        if let Some(count) = recipe.repeat {
            let copies = (0..count).map(|index| numbered(&text, index));
            text = format!("[{}]", copies.collect::<Vec<_>>().join(","));
        }
        let (size, hash) = (text.len(), sha256_hex(text.as_bytes()));
        assert_eq!(size, generated.bytes, "{name} came out in another size");
        assert_eq!(hash, generated.sha256, "{name} came out otherwise");
        text.into_bytes()
    }

    fn read(&self, file: &str) -> Vec<u8> {
        let path = self.folder.join(file);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn parse<T: DeserializeOwned>(&self, file: &str) -> T {
        serde_json::from_slice(&self.read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    files: Vec<Entry>,
    #[serde(default)]
    generated: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(alias = "file")]
    name: String,
    what: String,
    #[serde(default)]
    part: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    bytes: Option<usize>,
    sha256: Option<String>,
    readable: bool,
    reason: Option<String>,
    #[serde(default = "yes")]
    decided: bool,
    elements: Option<usize>,
    good: Option<Vec<Good>>,
    good_each: Option<GoodEach>,
    bad: Option<Vec<u32>>,
    #[serde(default)]
    same_subject: Vec<[u32; 2]>,
    #[serde(default)]
    different_subject: Vec<[u32; 2]>,
    #[serde(default)]
    equal_bytes: Vec<[u32; 2]>,
    #[serde(default)]
    different_bytes: Vec<[u32; 2]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoodEach {
    #[serde(rename = "type")]
    event_type: String,
    lane: String,
    effect: String,
    subject: String,
}

/// A text with a number in the place for it.
fn numbered(text: &str, number: u32) -> String {
    text.replace("@n@", &format!("{number:05}"))
}

impl GoodEach {
    fn at(&self, index: u32) -> Good {
        Good {
            index,
            event_type: numbered(&self.event_type, index),
            lane: self.lane.clone(),
            effect: self.effect.clone(),
            subject: numbered(&self.subject, index),
            time: None,
            at: None,
            sqs_text: true,
        }
    }
}

impl Entry {
    fn expected(self) -> Expected {
        let name = self.name;
        if !self.readable {
            let reason = self.reason;
            let reason = reason.unwrap_or_else(|| panic!("{name} gives no reason"));
            return Expected::Unreadable(reason);
        }
        let elements = self.elements;
        let elements = elements.unwrap_or_else(|| panic!("{name} does not count its elements"));
        if !self.decided {
            return Expected::Undecided { elements };
        }
        let good = match (self.good, self.good_each) {
            (Some(good), None) => good,
            (None, Some(each)) => (0..u32::try_from(elements).expect("few elements"))
                .map(|index| each.at(index))
                .collect(),
            _ => panic!("{name} has to give either good or good_each"),
        };
        let bad = self.bad.unwrap_or_else(|| panic!("{name} gives no bad"));
        assert_eq!(elements, good.len() + bad.len(), "{name} counts wrongly");
        Expected::Events(ExpectedEvents {
            elements,
            good,
            bad,
            same_subject: self.same_subject,
            different_subject: self.different_subject,
            equal_bytes: self.equal_bytes,
            different_bytes: self.different_bytes,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Generated {
    name: String,
    recipe: Recipe,
    bytes: usize,
    sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    template: String,
    #[serde(default)]
    fill: Vec<Fill>,
    repeat: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fill {
    placeholder: String,
    text: Option<String>,
    sha256_hex_of: Option<String>,
    times: usize,
}

impl Fill {
    fn text(&self) -> String {
        match (&self.text, self.sha256_hex_of.as_deref()) {
            (Some(text), None) => text.repeat(self.times),
            (None, Some("counter")) => (0..self.times)
                .map(|number| sha256_hex(number.to_string().as_bytes()))
                .collect(),
            _ => panic!("{} asks for an unknown filling", self.placeholder),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::signing::sign;

    #[test]
    fn every_file_is_in_the_manifest_and_every_entry_has_its_bytes() {
        let fixtures = all();
        let named = fixtures.iter().map(|fixture| fixture.name.clone());
        let named: BTreeSet<_> = named.collect();
        assert_eq!(named.len(), fixtures.len(), "a name stands twice");
        let mut files = BTreeSet::new();
        for place in ["current", "seed", "variants-2025", "made"] {
            for entry in std::fs::read_dir(Fixtures::of(ORDERSPACE).folder.join(place)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    files.insert(format!("{place}/{}", entry.file_name().to_str().unwrap()));
                }
            }
        }
        files.remove("made/generated.json");
        let missing: Vec<_> = files.difference(&named).collect();
        assert!(missing.is_empty(), "not in the manifest: {missing:?}");
        assert_eq!(body("made/list-empty.json"), b"[]");
    }

    #[test]
    fn the_signer_agrees_with_the_signed_bodies() {
        let vectors = signature_vectors();
        assert!(!vectors.is_empty());
        for vector in vectors {
            let signature = sign(&vector.key, &vector.body);
            assert_eq!(signature, vector.signature, "{}", vector.name);
        }
    }
}
