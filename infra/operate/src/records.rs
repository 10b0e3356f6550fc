//! Records: the current state of one or of many, and what a record was before, from the deliveries that made it.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;

use domain::account::AccountName;
use domain::identity::EventId;
use domain::record::{RecordId, RecordKey};
use domain::source::Source;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use sources::protocol;

use crate::kept;
use crate::stack::Stack;
use calls::dynamodb::{self, Item};
use calls::{Calls, Error};

/// Records of one page where no data is read.
const PAGE: u32 = 100;
/// What is read of a record that is listed without its data.
const STATE: &str =
    "pk, sk, event_id, event_type, received_at, deleted, deleted_by, #compact, dataref";
/// The most lines on either side that are compared line by line.
const MOST_COMPARED: usize = 2_000;

/// A record's state, without its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// Whose it is.
    pub account: String,
    /// Its kind.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Whether it is deleted.
    pub deleted: bool,
    /// The event whose data it has; none where only a delete was seen.
    pub event: Option<String>,
    /// That event's type.
    pub event_type: Option<String>,
    /// When that event was first received.
    pub received: Option<String>,
    /// The delete that arrived first.
    pub deleted_by: Option<String>,
}

/// A record.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// Its state.
    #[serde(flatten)]
    pub state: State,
    /// Its data; none where only a delete was seen, and where it was not asked for.
    pub data: Option<Box<RawValue>>,
}

/// A record's key, from `order or_1` or `order/or_1`.
///
/// # Errors
/// [`Error::Usage`] where the kind or the id cannot be one.
pub fn key(account: &AccountName, kind: &str, id: Option<&str>) -> Result<RecordKey, Error> {
    let unusable =
        || Error::Usage("a record is a kind and an id: order or_1, or order/or_1".to_owned());
    let (kind, id) = match id {
        Some(id) => (kind, id),
        None => kind.split_once('/').ok_or_else(unusable)?,
    };
    if kind.is_empty() || kind.contains(['/', '#']) {
        return Err(unusable());
    }
    Ok(RecordKey {
        account: account.clone(),
        kind: kind.to_owned(),
        id: RecordId::new(id).map_err(|error| Error::Usage(error.to_string()))?,
    })
}

fn state(account: &AccountName, kind: &str, item: &Item) -> Option<State> {
    let text = |name: &str| item.text(name).map(str::to_owned);
    Some(State {
        account: account.to_string(),
        kind: kind.to_owned(),
        id: text("sk")?,
        deleted: item.boolean("deleted").unwrap_or(false),
        event: text("event_id"),
        event_type: text("event_type"),
        received: text("received_at"),
        deleted_by: text("deleted_by"),
    })
}

async fn data(calls: &Calls, stack: &Stack, item: &Item) -> Result<Option<Box<RawValue>>, Error> {
    let forms = ["data", "compact", "dataref"];
    match forms.iter().any(|form| item.attribute(form).is_some()) {
        true => kept::read_record(calls, stack, item).await.map(Some),
        // Only a delete was seen.
        false => Ok(None),
    }
}

/// A record, with its data: one call, and one more where it is too large for the table.
///
/// # Errors
/// [`Error::NotFound`] where there is no such record.
pub async fn get(calls: &Calls, stack: &Stack, key: &RecordKey) -> Result<Record, Error> {
    let place = Item::key(&[("pk", &key.partition()), ("sk", key.id.as_str())]);
    let found = dynamodb::get(calls, stack.output("RecordsTable")?, &place, &[]).await?;
    let missing = || Error::NotFound {
        what: format!("record {key}"),
    };
    let item = found.ok_or_else(missing)?;
    Ok(Record {
        state: state(&key.account, &key.kind, &item).ok_or_else(missing)?,
        data: data(calls, stack, &item).await?,
    })
}

/// The state of a record without its data; none where there is no such record: one call.
///
/// # Errors
/// [`Error::NotFound`] where there is no such table.
pub async fn find(calls: &Calls, stack: &Stack, key: &RecordKey) -> Result<Option<State>, Error> {
    let place = Item::key(&[("pk", &key.partition()), ("sk", key.id.as_str())]);
    let attributes = [
        "sk",
        "event_id",
        "event_type",
        "received_at",
        "deleted",
        "deleted_by",
    ];
    let table = stack.output("RecordsTable")?;
    let item = dynamodb::get(calls, table, &place, &attributes).await?;
    Ok(item.and_then(|item| state(&key.account, &key.kind, &item)))
}

/// What records have to say to be listed: a member, and its value as text. `customer.name=Ann` looks into an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    path: Vec<String>,
    value: String,
}

impl FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((path, value)) if !path.is_empty() => Ok(Self {
                path: path.split('.').map(str::to_owned).collect(),
                value: value.to_owned(),
            }),
            _ => Err(Error::Usage(format!(
                "{text:?} is no condition: write member=value"
            ))),
        }
    }
}

impl Condition {
    /// A member that has to have a value.
    #[must_use]
    pub fn new(member: &str, value: &str) -> Self {
        Self {
            path: vec![member.to_owned()],
            value: value.to_owned(),
        }
    }

    /// Whether a record says it. Texts are compared as they are, everything else as it is written.
    #[must_use]
    pub fn fits(&self, record: &RawValue) -> bool {
        let mut found = record;
        for name in &self.path {
            let members: Result<BTreeMap<Cow<'_, str>, &RawValue>, _> =
                serde_json::from_str(found.get());
            match members
                .ok()
                .and_then(|members| members.get(name.as_str()).copied())
            {
                Some(value) => found = value,
                None => return false,
            }
        }
        let text = found.get();
        match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(text).is_ok_and(|text| text == self.value),
            Some(b'{' | b'[') => false,
            _ => text == self.value,
        }
    }
}

/// The records of a kind, a page at a time.
#[derive(Debug)]
pub struct List<'a> {
    calls: &'a Calls,
    stack: &'a Stack,
    account: AccountName,
    kind: String,
    conditions: Vec<Condition>,
    next: Option<Item>,
    is_over: bool,
    /// Records that were read so far.
    pub read: usize,
}

impl<'a> List<'a> {
    /// The records of an account and kind that say all of this. Without conditions no data is read.
    #[must_use]
    pub fn of(
        calls: &'a Calls,
        stack: &'a Stack,
        account: AccountName,
        kind: &str,
        conditions: Vec<Condition>,
    ) -> Self {
        Self {
            calls,
            stack,
            account,
            kind: kind.to_owned(),
            conditions,
            next: None,
            is_over: false,
            read: 0,
        }
    }

    /// The next page; none at the end. One may be empty and not the last: one query, and with conditions a call for each record
    /// that is too large for the table.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where an item is no record.
    pub async fn next_page(&mut self) -> Result<Option<Vec<Record>>, Error> {
        if self.is_over {
            return Ok(None);
        }
        let mut input = json!({
            "TableName": self.stack.output("RecordsTable")?,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": { ":pk": { "S": format!("{}#{}", self.account, self.kind) } },
        });
        let has_data = !self.conditions.is_empty();
        if !has_data && let Some(input) = input.as_object_mut() {
            let state = STATE.replace(", #compact, dataref", "");
            input.insert("ProjectionExpression".to_owned(), json!(state));
            input.insert("Limit".to_owned(), json!(PAGE));
        }
        let page = dynamodb::query(self.calls, &input, self.next.as_ref()).await?;
        self.read += page.items.len();
        self.is_over = page.last_evaluated_key.is_none();
        self.next = page.last_evaluated_key;
        let mut records = Vec::new();
        for item in &page.items {
            let Some(state) = state(&self.account, &self.kind, item) else {
                continue;
            };
            let data = match has_data {
                true => data(self.calls, self.stack, item).await?,
                false => None,
            };
            let fits =
                |condition: &Condition| data.as_ref().is_some_and(|data| condition.fits(data));
            if self.conditions.iter().all(fits) {
                records.push(Record { state, data });
            }
        }
        Ok(Some(records))
    }
}

/// A state that a record was in: what an event said.
#[derive(Debug, Clone, Serialize)]
pub struct Version {
    /// The event.
    pub event: String,
    /// When it was first received.
    pub received: String,
    /// Its type; none where its receipt is gone.
    pub event_type: Option<String>,
    /// What it said, byte for byte; none where its receipt is gone.
    pub data: Option<Box<RawValue>>,
    /// What is different from the version before it: lines that begin with `-`, `+` or a space.
    pub difference: Vec<String>,
}

/// What events said of a record, the earliest first. Two versions are in memory.
#[derive(Debug)]
pub struct History<'a> {
    calls: &'a Calls,
    stack: &'a Stack,
    account: AccountName,
    source: Source,
    events: VecDeque<EventId>,
    before: Vec<String>,
}

impl<'a> History<'a> {
    /// The versions that these events made, in the order of their ids.
    #[must_use]
    pub fn of(
        calls: &'a Calls,
        stack: &'a Stack,
        account: AccountName,
        source: Source,
        events: impl IntoIterator<Item = EventId>,
    ) -> Self {
        let mut events: Vec<EventId> = events.into_iter().collect();
        events.sort_unstable();
        events.dedup();
        Self {
            calls,
            stack,
            account,
            source,
            events: events.into(),
            before: Vec::new(),
        }
    }

    /// The next version; none at the end: a call, and one more where the delivery is too large for the table.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where an item is no receipt.
    pub async fn next_version(&mut self) -> Result<Option<Version>, Error> {
        let Some(event) = self.events.pop_front() else {
            return Ok(None);
        };
        let delivery = event.delivery();
        let kept = kept::delivery(self.calls, self.stack, &self.account, delivery).await?;
        let mut version = Version {
            event: event.to_string(),
            received: delivery.first_seen().to_string(),
            event_type: None,
            data: None,
            difference: Vec::new(),
        };
        let Some(kept) = kept else {
            return Ok(Some(version));
        };
        let Ok(split) = protocol(self.source).split(kept.delivery()) else {
            return Ok(Some(version));
        };
        let found = split
            .events
            .iter()
            .find(|found| found.index == event.index());
        if let Some(found) = found {
            let lines = lines_of(found.record);
            version.event_type = Some(found.event_type.to_string());
            version.difference = difference(&self.before, &lines);
            version.data = Some(found.record.to_owned());
            self.before = lines;
        }
        Ok(Some(version))
    }
}

/// JSON over several lines. Numbers stay as they are written.
#[must_use]
pub fn lines_of(record: &RawValue) -> Vec<String> {
    indented(record.get()).lines().map(str::to_owned).collect()
}

/// JSON with a line for each member and element. What is between them changes, and nothing else: no number is read.
#[must_use]
pub fn indented(json: &str) -> String {
    let (mut text, mut depth) = (String::with_capacity(json.len() * 2), 0_usize);
    let mut letters = json.chars().peekable();
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                text.push('"');
                while let Some(inner) = letters.next() {
                    text.push(inner);
                    match inner {
                        '\\' => text.extend(letters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                text.push(letter);
                while letters.next_if(|next| next.is_whitespace()).is_some() {}
                match letters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => text.push(end),
                    None => {
                        depth += 1;
                        line(&mut text, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut text, depth);
                text.push(letter);
            }
            ',' => {
                text.push(',');
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            space if space.is_whitespace() => {}
            other => text.push(other),
        }
    }
    text
}

/// What is different between two texts, by lines: those that went with `-`, those that came with `+`, and one line before and
/// after a change with a space. Nothing where nothing is different.
#[must_use]
pub fn difference(before: &[String], after: &[String]) -> Vec<String> {
    let same_start = before
        .iter()
        .zip(after)
        .take_while(|(one, other)| one == other)
        .count();
    let rest = (
        before.get(same_start..).unwrap_or_default(),
        after.get(same_start..).unwrap_or_default(),
    );
    let same_end = rest
        .0
        .iter()
        .rev()
        .zip(rest.1.iter().rev())
        .take_while(|(one, other)| one == other)
        .count();
    let middle = |lines: &[String]| {
        lines
            .get(..lines.len() - same_end)
            .unwrap_or_default()
            .to_vec()
    };
    let (went, came) = (middle(rest.0), middle(rest.1));
    if went.is_empty() && came.is_empty() {
        return Vec::new();
    }
    let mut marked = Vec::new();
    let context = |index: Option<usize>| {
        index
            .and_then(|index| after.get(index))
            .map(|line| format!(" {line}"))
    };
    marked.extend(context(same_start.checked_sub(1)));
    marked.extend(compared(&went, &came));
    marked.extend(context(Some(after.len() - same_end)));
    marked
}

/// The shortest way from one text to another, by their longest common subsequence of lines.
fn compared(went: &[String], came: &[String]) -> Vec<String> {
    let minus = |line: &String| format!("-{line}");
    let plus = |line: &String| format!("+{line}");
    if went.len().saturating_mul(came.len()) > MOST_COMPARED * MOST_COMPARED {
        return went
            .iter()
            .map(minus)
            .chain(came.iter().map(plus))
            .collect();
    }
    // common[i][j]: the length of the longest common subsequence of went[i..] and came[j..].
    let width = came.len() + 1;
    let mut common = vec![0_u32; (went.len() + 1) * width];
    let at = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    for (i, one) in went.iter().enumerate().rev() {
        for (j, other) in came.iter().enumerate().rev() {
            let length = match one == other {
                true => at(&common, i + 1, j + 1) + 1,
                false => at(&common, i + 1, j).max(at(&common, i, j + 1)),
            };
            if let Some(cell) = common.get_mut(i * width + j) {
                *cell = length;
            }
        }
    }
    let (mut i, mut j, mut marked) = (0, 0, Vec::new());
    loop {
        match (went.get(i), came.get(j)) {
            (Some(one), Some(other)) if one == other => {
                marked.push(format!(" {one}"));
                (i, j) = (i + 1, j + 1);
            }
            (Some(one), Some(_)) if at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                marked.push(minus(one));
                i += 1;
            }
            (_, Some(other)) => {
                marked.push(plus(other));
                j += 1;
            }
            (Some(one), None) => {
                marked.push(minus(one));
                i += 1;
            }
            (None, None) => return marked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::Value;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[rstest]
    #[case("status=new", true)]
    #[case("net=20.10", true)]
    #[case("paid=true", true)]
    #[case("note=null", true)]
    #[case("customer.name=Ann", true)]
    #[case("customer=Ann", false)]
    #[case("status=old", false)]
    #[case("missing=", false)]
    #[case("status.x=new", false)]
    fn conditions(#[case] condition: &str, #[case] fits: bool) {
        let record = raw(
            r#"{"status":"new","net":20.10,"paid":true,"note":null,"customer":{"name":"Ann"}}"#,
        );
        assert_eq!(condition.parse::<Condition>().unwrap().fits(&record), fits);
    }

    #[rstest]
    #[case("status")]
    #[case("=new")]
    #[case("")]
    fn no_condition(#[case] text: &str) {
        assert!(matches!(text.parse::<Condition>(), Err(Error::Usage(_))));
    }

    #[rstest]
    #[case("order", Some("or_1"), Some("acme#order/or_1"))]
    #[case("order/or_1", None, Some("acme#order/or_1"))]
    #[case("order/a/b", None, Some("acme#order/a/b"))]
    #[case("order", None, None)]
    #[case("", Some("or_1"), None)]
    #[case("a#b", Some("or_1"), None)]
    #[case("order", Some(""), None)]
    fn keys(#[case] kind: &str, #[case] id: Option<&str>, #[case] expected: Option<&str>) {
        let found = key(&"acme".parse().unwrap(), kind, id);
        assert_eq!(found.ok().map(|key| key.to_string()).as_deref(), expected);
    }

    #[test]
    fn json_is_indented_and_no_number_is_read() {
        let json = r#" {"a" : 1.50,"b":[ ],"c":{"d":"x, {\"}","e":[1E+2,null]},"f":{}} "#;
        let expected = "{\n  \"a\": 1.50,\n  \"b\": [],\n  \"c\": {\n    \"d\": \"x, {\\\"}\",\n    \"e\": [\n      1E+2,\n      null\n    ]\n  },\n  \"f\": {}\n}";
        assert_eq!(indented(json), expected);
        let same: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(same, serde_json::from_str::<Value>(json).unwrap());
    }

    fn lines(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[rstest]
    #[case("a b c", "a b c", "")]
    #[case("a b c", "a x c", " a -b +x  c")]
    #[case("a b c d e", "a c d x e", " a -b  c  d +x  e")]
    #[case("", "a b", "+a +b")]
    #[case("a a", "a", " a -a")]
    fn differences(#[case] before: &str, #[case] after: &str, #[case] expected: &str) {
        assert_eq!(
            difference(&lines(before), &lines(after)).join(" "),
            expected
        );
    }
}
