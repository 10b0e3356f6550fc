//! `orderhook send`: a genuine delivery to one's own stack.

use std::path::PathBuf;
use std::time::Duration;

use calls::now;
use clap::Args;
use domain::event::EventType;
use operate::accounts::named;
use operate::send::{HookUrl, Sent, example, send};
use operate::{Error, Exit, Target, kept};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sources::protocol;
use time::OffsetDateTime;

use crate::Stop;
use crate::prompt::{SecretsFrom, agrees};
use crate::screen::Screen;

/// The longest record that is sent, in bytes: a delivery is at most 6 MB.
const LONGEST_RECORD: u64 = 5 * 1024 * 1024;

/// Arguments of `send`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
It changes a record: send to an account that is for tests. The webhook's URL is asked for, since its token is stored nowhere:
it stands where the webhook is registered. It is never an argument. What is sent is the published example of the type, with
the members that are set; it is proved as the account's source proves its deliveries.

Examples:
  orderhook send order.created --account sandbox
  orderhook send order_state_changed --account shop --set order_id=ORD-7
  orderhook send order.created --account sandbox --set number=7 --set status=new
  orderhook send order.updated --account sandbox --data order.json --url-file url.txt --yes")]
pub struct Send {
    /// The event's type, as the source names it.
    pub event: String,
    /// The account.
    #[arg(long, value_name = "ACCOUNT")]
    pub account: String,
    /// A member of the record: JSON, or else text.
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// The file of the record, as the source would send it [default: the example of the type, or an id alone].
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// The file of the webhook's URL; - is standard input.
    #[arg(long, value_name = "FILE")]
    pub url_file: Option<PathBuf>,
    /// How many seconds to wait until the record has the event.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub wait: u64,
}

/// Sends.
///
/// # Errors
/// The key or the record cannot be read, the stack does not answer, or nobody reads the output.
pub async fn run(
    arguments: &Send,
    yes: bool,
    target: &Target,
    screen: &mut Screen,
) -> Result<Exit, Stop> {
    let account = named(&arguments.account)?;
    let event_type: EventType = arguments
        .event
        .parse()
        .map_err(|error| Error::Usage(format!("{:?}: {error}", arguments.event)))?;
    let given = given(arguments)?;
    let members = members(&arguments.set)?;
    let stack = target.stack().await?;
    let source = kept::source_of(&target.calls, &stack, &account).await?;
    let record = record(given.or_else(|| example(source, &event_type)), members)?;
    let title = protocol(source).facts().title;
    let question = format!(
        "Send {event_type} to {account} as {title} would? It changes the record, and every team gets it."
    );
    if !agrees(&question, yes, screen).await? {
        return Ok(Exit::Left);
    }
    let from = SecretsFrom::chosen(arguments.url_file.as_deref(), screen);
    let url = from.read(&["the webhook's URL"], screen).await?;
    let url = url.into_iter().next();
    let url = url.ok_or_else(|| Error::Usage("there is no URL".to_owned()))?;
    let patience = Duration::from_secs(arguments.wait);
    let event = (&event_type, &*record);
    let sent = send(
        &target.calls,
        &stack,
        &account,
        &HookUrl::new(url),
        event,
        patience,
    )
    .await?;
    screen.show(&text(&sent), &sent)?;
    Ok(match sent.is_accepted && sent.is_applied != Some(false) {
        true => Exit::Done,
        false => Exit::Left,
    })
}

fn text(sent: &Sent) -> String {
    if !sent.is_accepted {
        return format!(
            "answered with {}: the source would send it again",
            sent.status
        );
    }
    let mut text = format!("answered with {}", sent.status);
    for (name, value) in [
        ("delivery", &sent.delivery),
        ("event", &sent.event),
        ("subject", &sent.subject),
    ] {
        if let Some(value) = value {
            text += &format!("\n  {name:<9} {value}");
        }
    }
    text += match sent.is_applied {
        Some(true) => "\n  the record has it",
        Some(false) => "\n  the record does not have it yet, or has what the source dates later",
        None => "",
    };
    if let Some(event) = &sent.event {
        text += &format!("\nIts whole way: orderhook trace {event}");
    }
    text
}

fn usage(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Usage(format!("{what}: {error}"))
}

/// The record of the file, if one is named.
fn given(arguments: &Send) -> Result<Option<Box<RawValue>>, Error> {
    let Some(path) = &arguments.data else {
        return Ok(None);
    };
    let what = path.display().to_string();
    let length = std::fs::metadata(path)
        .map_err(|error| usage(&what, &error))?
        .len();
    if length > LONGEST_RECORD {
        return Err(usage(&what, &"it is larger than any delivery"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| usage(&what, &error))?;
    let record: Box<RawValue> =
        serde_json::from_str(&text).map_err(|error| usage("the record", &error))?;
    match record.get().starts_with('{') {
        true => Ok(Some(record)),
        false => Err(usage("the record", &"it is no JSON object")),
    }
}

/// The members that are set: JSON, or else text.
fn members(set: &[String]) -> Result<Vec<(String, Value)>, Error> {
    let member = |member: &String| {
        let (name, value) = member
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| usage("--set", &"NAME=VALUE"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        Ok((name.to_owned(), value))
    };
    set.iter().map(member).collect()
}

/// A record, or one with an id alone where there is none, with the members that are set.
fn record(
    base: Option<Box<RawValue>>,
    members: Vec<(String, Value)>,
) -> Result<Box<RawValue>, Error> {
    let unusable = |error: serde_json::Error| usage("the record", &error);
    let base = match base {
        Some(base) => base,
        None => {
            let millis = OffsetDateTime::from(now()).unix_timestamp_nanos() / 1_000_000;
            let record = serde_json::json!({ "id": format!("test_{millis:x}") });
            serde_json::value::to_raw_value(&record).map_err(unusable)?
        }
    };
    // As it stands, where nothing is set: spellings of numbers are part of a test.
    if members.is_empty() {
        return Ok(base);
    }
    let mut record: Map<String, Value> = serde_json::from_str(base.get()).map_err(unusable)?;
    record.extend(members);
    serde_json::value::to_raw_value(&record).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// What is sent where this is said: its own record, and the members that are set.
    fn said(set: &[&str], data: Option<PathBuf>) -> Result<Box<RawValue>, Error> {
        let arguments = Send {
            event: "order.created".to_owned(),
            account: "acme".to_owned(),
            set: set.iter().map(|text| (*text).to_owned()).collect(),
            data,
            url_file: None,
            wait: 0,
        };
        let given = given(&arguments)?;
        record(given, members(&arguments.set)?)
    }

    #[test]
    fn a_record_of_a_file_is_sent_as_it_stands_unless_something_is_set() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("order.json");
        std::fs::write(&path, r#"{"id":"or_1", "net":20.10}"#).unwrap();
        let plain = said(&[], Some(path.clone())).unwrap();
        assert_eq!(plain.get(), r#"{"id":"or_1", "net":20.10}"#);
        let set = said(&["number=7", "status=new", "note=a=b"], Some(path)).unwrap();
        let set: Value = serde_json::from_str(set.get()).unwrap();
        assert_eq!(
            (&set["number"], &set["status"], &set["note"]),
            (&7.into(), &"new".into(), &"a=b".into())
        );
        let made = said(&[], None).unwrap();
        assert!(made.get().starts_with(r#"{"id":"test_"#));
    }

    #[rstest]
    #[case::no_json("nothing", &[])]
    #[case::a_list("[]", &[])]
    #[case::a_list_with_members("[]", &["a=1"])]
    #[case::no_member("{}", &["a"])]
    #[case::no_name("{}", &["=1"])]
    #[case::empty("", &[])]
    fn what_is_no_record_is_a_usage_error(#[case] text: &str, #[case] set: &[&str]) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("order.json");
        std::fs::write(&path, text).unwrap();
        let refused = said(set, Some(path));
        assert!(matches!(refused, Err(Error::Usage(_))), "{refused:?}");
    }
}
