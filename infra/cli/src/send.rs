//! `orderhook send`: a genuine delivery to one's own stack.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use domain::event::EventType;
use operate::accounts::named;
use operate::calls::now;
use operate::send::{HookUrl, Sent, send};
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
it stands where the webhook is registered. It is never an argument. Orderspace's accounts alone can be sent to so far.

Examples:
  orderhook send order.created --account sandbox
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
    /// The file of the record, as the source would send it [default: an id alone].
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
    let record = record(arguments)?;
    let stack = target.stack().await?;
    let source = kept::source_of(&target.calls, &stack, &account).await?;
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
        Some(false) => "\n  the record does not have it yet",
        None => "",
    };
    if let Some(event) = &sent.event {
        text += &format!("\nIts whole way: orderhook trace {event}");
    }
    text
}

/// The record: that of the file, or one with an id alone; with the members that are set.
fn record(arguments: &Send) -> Result<Box<RawValue>, Error> {
    let usage =
        |what: &str, error: &dyn std::fmt::Display| Error::Usage(format!("{what}: {error}"));
    let text = match &arguments.data {
        None => {
            let id = format!(
                "test_{:x}",
                OffsetDateTime::from(now()).unix_timestamp_nanos() / 1_000_000
            );
            serde_json::json!({ "id": id }).to_string()
        }
        Some(path) => {
            let what = path.display().to_string();
            let length = std::fs::metadata(path)
                .map_err(|error| usage(&what, &error))?
                .len();
            if length > LONGEST_RECORD {
                return Err(usage(&what, &"it is larger than any delivery"));
            }
            std::fs::read_to_string(path).map_err(|error| usage(&what, &error))?
        }
    };
    // As it stands, where nothing is set: spellings of numbers are part of a test.
    if arguments.set.is_empty() {
        let record: Box<RawValue> =
            serde_json::from_str(&text).map_err(|error| usage("the record", &error))?;
        return match record.get().starts_with('{') {
            true => Ok(record),
            false => Err(usage("the record", &"it is no JSON object")),
        };
    }
    let mut record: Map<String, Value> =
        serde_json::from_str(&text).map_err(|error| usage("the record", &error))?;
    for member in &arguments.set {
        let (name, value) = member
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| usage("--set", &"NAME=VALUE"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        record.insert(name.to_owned(), value);
    }
    serde_json::value::to_raw_value(&record).map_err(|error| usage("the record", &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn arguments(set: &[&str], data: Option<PathBuf>) -> Send {
        Send {
            event: "order.created".to_owned(),
            account: "acme".to_owned(),
            set: set.iter().map(|text| (*text).to_owned()).collect(),
            data,
            url_file: None,
            wait: 0,
        }
    }

    #[test]
    fn a_record_of_a_file_is_sent_as_it_stands_unless_something_is_set() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("order.json");
        std::fs::write(&path, r#"{"id":"or_1", "net":20.10}"#).unwrap();
        let plain = record(&arguments(&[], Some(path.clone()))).unwrap();
        assert_eq!(plain.get(), r#"{"id":"or_1", "net":20.10}"#);
        let set = record(&arguments(
            &["number=7", "status=new", "note=a=b"],
            Some(path),
        ))
        .unwrap();
        let set: Value = serde_json::from_str(set.get()).unwrap();
        assert_eq!(
            (&set["number"], &set["status"], &set["note"]),
            (&7.into(), &"new".into(), &"a=b".into())
        );
        let made = record(&arguments(&[], None)).unwrap();
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
        let refused = record(&arguments(set, Some(path)));
        assert!(matches!(refused, Err(Error::Usage(_))), "{refused:?}");
    }
}
