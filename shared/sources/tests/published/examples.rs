//! One message of every type of every source, of every unified type, and of every event about accounts.

use std::collections::BTreeMap;

use domain::delivery::Delivery;
use domain::envelope::{Content, Envelope, Marks};
use domain::event::Event;
use domain::identity::DeliveryId;
use domain::provenance::{Provenance, Sequence};
use domain::record::Subject;
use domain::source::Source;
use domain::subscription::{AccountEvent, AccountEventKind, State};
use domain::timestamp::Timestamp;
use domain::unified::UnifiedType;
use http::{HeaderMap, HeaderName};
use jsonschema::Validator;
use rstest::rstest;
use serde_json::{Value, json};
use sources::protocol;
use testkit::fixtures::{Expected, Fixture, Fixtures};

use super::{published, schema};

const FOLDER: &str = "examples";

/// When the examples came, in milliseconds since 1970: 2026-11-20T12:00:00.123Z, as everywhere in the documentation.
const RECEIVED: u64 = 1_795_176_000_123;

/// The messages by their types.
pub(super) fn all() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for source in Source::ALL {
        let fixtures = Fixtures::of(source.as_str()).all();
        for row in protocol(source).facts().types {
            let (native, unified) = of_type(source, row.name, &fixtures);
            all.insert(format!("{source}.{}", row.name), native);
            // Of the sources that have a unified type, the first shows it.
            if let Some((event_type, text)) = unified {
                all.entry(event_type.as_str().to_owned()).or_insert(text);
            }
        }
    }
    all.extend(AccountEventKind::ALL.map(about_account));
    all
}

/// A source's event of this type, and its unified form where it has one.
fn of_type(
    source: Source,
    name: &str,
    fixtures: &[Fixture],
) -> (String, Option<(UnifiedType, String)>) {
    let fixture = with_type(name, fixtures)
        .unwrap_or_else(|| panic!("no fixture of {source} has an event {name}"));
    let mut headers = HeaderMap::new();
    for (name, value) in &fixture.headers {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, value.parse().unwrap());
    }
    let delivery = Delivery {
        headers: &headers,
        part: &fixture.part,
        body: &fixture.body,
    };
    let protocol = protocol(source);
    let split = protocol.split(delivery).unwrap();
    let is_it = |event: &&Event<'_>| event.event_type.as_str() == name;
    let event = split.events.iter().find(is_it).unwrap();
    let envelope = envelope(source, event);
    let unified = protocol.unified(&event.event_type, event.record);
    let unified = unified.map(|unified| {
        let text = envelope.to_unified(&unified).to_text();
        (unified.event_type, text)
    });
    (envelope.to_text().to_text(), unified)
}

/// The first fixture with an event of this type; what the source sends goes before what is made up.
fn with_type<'f>(name: &str, fixtures: &'f [Fixture]) -> Option<&'f Fixture> {
    let has = |fixture: &&Fixture| match &fixture.expected {
        Expected::Events(events) => events.good.iter().any(|good| good.event_type == name),
        Expected::Unreadable(_) | Expected::Undecided { .. } => false,
    };
    let with = fixtures.iter().filter(has);
    with.min_by_key(|fixture| !fixture.name.starts_with("current/"))
}

fn envelope<'a>(source: Source, event: &Event<'a>) -> Envelope<'a> {
    let received = Timestamp::from_millis(RECEIVED);
    let id = DeliveryId::new(received, &[1; 10]).event(event.index);
    let is_timed = protocol(source).facts().is_timed(&event.meaning);
    let dated = event.source_time.as_ref().filter(|_| is_timed);
    Envelope {
        id,
        source,
        account: "acme".parse().unwrap(),
        event_type: event.event_type.clone(),
        subject: Subject::new(&event.meaning.kind, event.record_id.as_ref(), id),
        provenance: Provenance {
            id: event.source_id.clone(),
            time: event.source_time.clone(),
            sequence: dated.map(|time| Sequence::of_source_time(time, id)),
            event_type: None,
        },
        marks: Marks::default(),
        content: Content::Inline(event.record),
    }
}

fn about_account(kind: AccountEventKind) -> (String, String) {
    use AccountEventKind::{Changed, Connected, Disconnected, Failed, Repaired, Suspect};
    let (what, status) = match kind {
        Connected => ("connected: webhook wh_1 is registered", State::Connected),
        Changed => ("changed: the events are order.*", State::Connected),
        Suspect => (
            "suspect: no delivery since 2026-11-20T09:00:00.000Z, where 9 or more are usual",
            State::Connected,
        ),
        Failed => (
            "found: webhook wh_1 is missing at Orderspace",
            State::Connected,
        ),
        Repaired => ("deliveries arrive again", State::Connected),
        Disconnected => ("disconnected: no webhook is left", State::Disconnected),
    };
    let account = "acme".parse().unwrap();
    let at = Timestamp::from_millis(RECEIVED);
    let event = AccountEvent::new(&account, at, 0, kind, what, status);
    let text = event.to_text(&account, Source::Orderspace).to_text();
    (kind.as_str().to_owned(), text)
}

/// The message with line breaks and indents between its tokens, which stay as they are.
fn indented(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut is_string, mut is_escaped) = (0_usize, false, false);
    let mut characters = json.chars().peekable();
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.push_str(&"  ".repeat(depth));
    };
    while let Some(character) = characters.next() {
        if is_string {
            text.push(character);
            is_string = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
            continue;
        }
        match character {
            ' ' | '\n' | '\r' | '\t' => {}
            '"' => {
                is_string = true;
                text.push(character);
            }
            '{' | '[' => {
                text.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                match characters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => text.push(end),
                    None => {
                        depth += 1;
                        line(&mut text, depth);
                    }
                }
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut text, depth);
                text.push(character);
            }
            ',' => {
                text.push(character);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ => text.push(character),
        }
    }
    text.push('\n');
    text
}

/// A published schema that admits no member that it does not describe.
fn closed(name: &str) -> Validator {
    let mut schema = schema(name);
    schema["additionalProperties"] = json!(false);
    let options = jsonschema::options().should_validate_formats(true);
    options.build(&schema).unwrap()
}

#[test]
fn there_is_an_example_of_every_type() {
    let files = all().into_iter();
    let files = files.map(|(name, text)| (format!("{FOLDER}/{name}.json"), indented(&text)));
    published(&files.collect(), Some(FOLDER));
}

#[test]
fn the_examples_are_what_the_schemas_describe() {
    let (event, account) = (closed("event"), closed("account"));
    let unified = jsonschema::validator_for(&schema("unified")).unwrap();
    let mut unified_types = 0;
    for (name, text) in all() {
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(message["type"], name.as_str());
        let schema = match name.starts_with("orderhook.") {
            true => &account,
            false => &event,
        };
        let valid = schema.validate(&message);
        valid.unwrap_or_else(|error| panic!("{name}: {error}"));
        if name.starts_with("ecommerce.") {
            unified_types += 1;
            assert!(unified.is_valid(&message["data"]), "{name}");
        }
    }
    assert_eq!(unified_types, UnifiedType::ALL.len());
}

#[rstest]
#[case::nothing_inside(r#"{"a":{ },"b":[]}"#, "{\n  \"a\": {},\n  \"b\": []\n}\n")]
#[case::marks_in_strings(
    r#"["{,:}","\"[","\\"]"#,
    "[\n  \"{,:}\",\n  \"\\\"[\",\n  \"\\\\\"\n]\n"
)]
#[case::spellings(
    r#"{"n": 20.0,"t":"\u00e9"}"#,
    "{\n  \"n\": 20.0,\n  \"t\": \"\\u00e9\"\n}\n"
)]
fn indenting_keeps_the_tokens(#[case] json: &str, #[case] expected: &str) {
    assert_eq!(indented(json), expected);
}
