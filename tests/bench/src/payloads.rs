//! What is delivered: deliveries of Orderspace, made from the fixtures.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::de::IgnoredAny;
use sha2::{Digest as _, Sha256};
use testkit::gateway::{RECEIVED_MILLIS, hook};
use testkit::signing::SIGNING_KEY;

/// The token in the URL of every delivery.
pub const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// More than a message may have, with the template's default.
const LARGE_NOTE: usize = 300_000;

/// A delivery.
#[derive(Clone, Debug)]
pub struct Payload {
    /// Its name in the pages.
    pub name: &'static str,
    /// The body.
    pub body: String,
    /// How many events it has.
    pub events: usize,
    /// Whether the peers handle it, too: orders only.
    pub of_peers: bool,
}

impl Payload {
    fn new(name: &'static str, body: String) -> Result<Self> {
        let events: Vec<IgnoredAny> =
            serde_json::from_str(&body).with_context(|| format!("{name} is no list"))?;
        Ok(Self {
            name,
            events: events.len(),
            body,
            of_peers: false,
        })
    }

    /// The gateway's event: the body, signed.
    pub fn event(&self) -> String {
        let request = hook(TOKEN, self.body.clone()).signed(SIGNING_KEY);
        request.at(RECEIVED_MILLIS).to_json()
    }
}

/// One order of 1.2 KB.
pub const ONE: &str = "1 order";
/// Fifty of them.
pub const FIFTY: &str = "50 orders";
/// One order of 1.5 KB.
pub const ONE_LARGER: &str = "1 order, 1.5 KB";
/// Fifty of them.
pub const FIFTY_LARGER: &str = "50 orders, 1.5 KB";

/// Fifty stock levels: many small records.
pub const LEVELS: &str = "50 stock levels";

/// What differs between orders, as the fixture has it, and how many letters are put in its place: fifty equal orders would
/// compress to the size of one.
const DIFFERENT: [(&str, usize); 12] = [
    ("or_l5DYqeDn", 11),
    ("1204", 4),
    ("cu_gpbOljAn", 11),
    ("or_68ogydlx", 11),
    ("Sample Customer", 15),
    ("07911 123456", 12),
    ("sample@orderspace.com", 21),
    ("34 Edgar Buildings", 18),
    ("336 Hargrave Rd", 15),
    ("ol_NdOLvlpw", 11),
    ("AM-D-CHR-10", 11),
    ("Amelia Dress", 12),
];

/// The one of them that is a number.
const NUMBER: &str = "1204";

/// What the fixture's second line begins and ends with.
const SECOND_LINE: (&str, &str) = (r#",{"id":"ol_9mq3971w""#, r#"],"currency""#);

/// Every payload.
///
/// # Errors
/// A fixture cannot be read, or is another than it was.
pub fn all(fixtures: &Path) -> Result<Vec<Payload>> {
    let read = |file: &str| -> Result<String> {
        let path = fixtures.join("orderspace").join(file);
        std::fs::read_to_string(&path)
            .with_context(|| format!("{} could not be read", path.display()))
    };
    let fixture = read("current/order.created.json")?;
    let larger = fixture.trim().trim_start_matches('[').trim_end_matches(']');
    let second_line = larger.find(SECOND_LINE.0).zip(larger.find(SECOND_LINE.1));
    let second_line = second_line.context("the fixture of an order has no second line")?;
    let smaller = larger.get(..second_line.0).zip(larger.get(second_line.1..));
    let smaller = smaller.map(|(begin, end)| format!("{begin}{end}"));
    let smaller = smaller.context("the fixture of an order has its lines elsewhere")?;
    let orders = |order: &str, count: u32| {
        let orders: Vec<String> = (0..count).map(|number| another(order, number)).collect();
        format!("[{}]", orders.join(","))
    };
    let note = format!(r#""internal_note":"{}""#, "n".repeat(LARGE_NOTE));
    let large = larger.replacen(r#""internal_note":"""#, &note, 1);
    ensure!(
        large.len() > LARGE_NOTE,
        "the fixture of an order has no note"
    );
    let of_peers = |payload| Payload {
        of_peers: true,
        ..payload
    };
    Ok(vec![
        of_peers(Payload::new(ONE, orders(&smaller, 1))?),
        of_peers(Payload::new(FIFTY, orders(&smaller, 50))?),
        Payload::new(ONE_LARGER, orders(larger, 1))?,
        Payload::new(FIFTY_LARGER, orders(larger, 50))?,
        Payload::new(LEVELS, read("made/events-50.json")?)?,
        Payload::new("one of every type", read("made/all-types.json")?)?,
        Payload::new("1 order of 300 KB", orders(&large, 1))?,
    ])
}

/// An order like this one, with what differs between orders made from a number.
fn another(order: &str, number: u32) -> String {
    DIFFERENT
        .iter()
        .fold(order.to_owned(), |order, (text, length)| {
            let instead = match *text {
                NUMBER => (1204 + number).to_string(),
                _ => word(number, text, *length),
            };
            order.replace(text, &instead)
        })
}

/// So many letters and digits, another word for each number and text.
fn word(number: u32, text: &str, length: usize) -> String {
    let digest = hex::encode(Sha256::digest(format!("{text}{number}")));
    digest.chars().take(length).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn payloads_are_what_they_are_named() {
        let all = all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")).unwrap();
        let of = |name: &str| all.iter().find(|payload| payload.name == name).unwrap();
        let size = |name: &str| of(name).body.len() / of(name).events;
        assert_eq!((of(ONE).events, of(FIFTY).events), (1, 50));
        assert!((1_150..1_300).contains(&size(FIFTY)), "{}", size(FIFTY));
        assert!(
            (1_450..1_600).contains(&size(ONE_LARGER)),
            "{}",
            size(ONE_LARGER)
        );
        let events: Vec<Value> = serde_json::from_str(&of(FIFTY).body).unwrap();
        let ids: BTreeSet<_> = events
            .iter()
            .map(|event| event["data"]["order"]["id"].to_string())
            .collect();
        assert_eq!(ids.len(), 50);
        let names: BTreeSet<_> = all.iter().map(|payload| payload.name).collect();
        assert_eq!(names.len(), all.len());
    }
}
