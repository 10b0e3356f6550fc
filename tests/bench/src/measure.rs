//! Runs the programs on the stand: what they are started with, and which runs are clean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use local::build;
use local::emulator::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use local::places::Places;
use local::progress::Progress;
use local::refusal::Refusal;
use local::template::Template;
use local::tools::Tools;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use testkit::signing::SIGNING_KEY;
use testkit::sqs_event;

use crate::payloads::{self, FIFTY, Payload, TOKEN};
use crate::program::{Launch, Program, Taken};
use crate::stand::{Message, Stand, Traffic};

/// The region that the programs believe to be in.
const REGION: &str = "us-east-1";

/// The functions that are measured.
const FUNCTIONS: [&str; 4] = ["inbound", "consumer", "subscriptions", "erasure"];

/// The tables and queues, by the stand's names for them.
const RECEIPTS: &str = "receipts";
const RECORDS: &str = "records";
const TEAM: &str = "team";

/// How often something is done for a count.
const COUNTED: usize = 5;

/// How the consumer keeps records, as the guard counts it.
pub const FORMATS: [&str; 2] = ["native", "compact"];

/// Compact records and receipts, compressed with a dictionary.
pub const DICTIONARY: &str = "compact, dictionary";

/// Every way to keep records, as the pages show it.
pub const ALL_FORMATS: [&str; 3] = ["native", "compact", DICTIONARY];

/// Lets a function keep records and receipts in this format.
pub fn keep_in(format: &str, variables: &mut BTreeMap<String, String>) {
    let (records, dictionary) = match format {
        DICTIONARY => ("compact", "1"),
        other => (other, "none"),
    };
    let both = [
        ("RECORD_FORMAT", records),
        ("COMPRESSION_DICTIONARY", dictionary),
    ];
    variables.extend(both.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

/// Where the functions' programs are: they are built, unless those that are there are to be taken.
///
/// # Errors
/// They cannot be built, or are not there.
pub async fn programs(
    places: &Places,
    tools: &Tools,
    built: bool,
    progress: Progress,
) -> Result<[(&'static str, PathBuf); FUNCTIONS.len()]> {
    if !built {
        return build::programs(places, tools, progress).await;
    }
    let mut programs = FUNCTIONS.map(|function| (function, PathBuf::new()));
    for (function, path) in &mut programs {
        *path = there(places, function).await?;
    }
    Ok(programs)
}

/// The program of a function.
///
/// # Errors
/// There is none.
pub fn program_of<'p>(programs: &'p [(&str, PathBuf)], function: &str) -> Result<&'p PathBuf> {
    let found = programs.iter().find(|(name, _)| *name == function);
    let (_, program) = found.with_context(|| format!("{function} has no program"))?;
    Ok(program)
}

/// The program of a function that was built before.
///
/// # Errors
/// A [`Refusal`] where there is none.
pub async fn there(places: &Places, name: &str) -> Result<PathBuf> {
    let target = build::target_directory(places, Path::new("cargo")).await?;
    let path = target.join("lambda").join(name).join("bootstrap");
    match path.is_file() {
        true => Ok(path),
        false => Err(Refusal::error(format!(
            "{} is not there. Without --built it is made.",
            places.shown(&path)
        ))),
    }
}

/// The hash that the accounts table knows the deliveries' token by.
pub fn token() -> String {
    hex::encode(Sha256::digest(TOKEN))
}

/// Endpoints that know the deliveries' account.
///
/// # Errors
/// No port can be had.
pub async fn stand(tls: Option<tokio_rustls::TlsAcceptor>) -> Result<Stand> {
    Stand::start(tls, token(), SIGNING_KEY).await
}

/// The variables of a function: those that the template gives it, with the stand's queues and tables.
pub fn variables(template: &Template, function: &str, stand: &Stand) -> BTreeMap<String, String> {
    let mut variables = template.variables(function);
    for (name, value) in &mut variables {
        if let Some(queue) = name.strip_suffix("_QUEUE_URL") {
            *value = stand.queue(&queue.to_lowercase());
        } else if let Some(table) = name.strip_suffix("_TABLE") {
            *value = table.to_lowercase();
        }
    }
    let routes = serde_json::json!([
        { "team": TEAM, "queue": stand.queue(TEAM), "types": ["*"], "accounts": ["*"] }
    ]);
    let own = [
        ("ROUTES", routes.to_string()),
        ("OVERSIZE_BUCKET", "oversize".to_owned()),
        ("SIGNING_SECRET_PREFIX", "bench/signing/".to_owned()),
        ("STACK_NAME", "bench".to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512".to_owned()),
    ];
    variables.extend(own.map(|(name, value)| (name.to_owned(), value)));
    variables
}

/// How a function's program is started.
pub fn launch(
    name: &'static str,
    program: &Path,
    variables: BTreeMap<String, String>,
    folder: &Path,
) -> Launch {
    Launch {
        name,
        command: vec![program.into()],
        variables,
        folder: folder.to_path_buf(),
    }
}

/// Gives a program a delivery, and returns what that took and what the stand was asked for.
///
/// # Errors
/// The run is not clean: nothing is published of it.
pub async fn deliver(
    program: &mut Program,
    stand: &Stand,
    payload: &Payload,
    event: &str,
) -> Result<(Taken, Traffic)> {
    let (answer, taken) = program.invoke(event).await?;
    let traffic = stand.take();
    delivered(payload, &answer, &traffic)?;
    Ok((taken, traffic))
}

/// Whether a delivery was taken: answered with 200, each event sent, the receipt kept.
///
/// # Errors
/// It was not.
pub fn delivered(payload: &Payload, answer: &Value, traffic: &Traffic) -> Result<()> {
    let name = payload.name;
    let status = answer.get("statusCode").and_then(Value::as_u64);
    ensure!(status == Some(200), "{name} was answered with {answer}");
    ensure!(
        traffic.messages.len() == payload.events,
        "{name} has {} events, and {} were sent",
        payload.events,
        traffic.messages.len()
    );
    let receipts = traffic.items.iter().filter(|item| item.table == RECEIPTS);
    ensure!(receipts.count() == 1, "{name} has not one receipt");
    Ok(())
}

/// Gives the consumer a batch, and returns what that took and what the stand was asked for.
///
/// # Errors
/// The run is not clean: nothing is published of it.
pub async fn consume(
    program: &mut Program,
    stand: &Stand,
    size: usize,
    event: &str,
) -> Result<(Taken, Traffic)> {
    let (answer, taken) = program.invoke(event).await?;
    let traffic = stand.take();
    consumed(size, &answer, &traffic)?;
    Ok((taken, traffic))
}

/// Whether a batch was handled: no message failed, each was forwarded, and each record was written.
///
/// # Errors
/// It was not.
pub fn consumed(size: usize, answer: &Value, traffic: &Traffic) -> Result<()> {
    let failed = answer.get("batchItemFailures").and_then(Value::as_array);
    ensure!(
        failed.is_some_and(Vec::is_empty),
        "messages failed: {answer}"
    );
    let forwarded = traffic.messages.iter().filter(|sent| sent.queue == TEAM);
    let forwarded = forwarded.count();
    ensure!(
        forwarded == size,
        "{forwarded} of {size} messages were forwarded"
    );
    let records = traffic.items.iter().filter(|item| item.table == RECORDS);
    let records = records.count();
    ensure!(records == size, "{records} of {size} records were written");
    Ok(())
}

/// Whether a peer did as much as the product: every call at least as often, messages that say the same, and a receipt.
///
/// # Errors
/// It did less.
pub fn same_work(peer: &str, payload: &Payload, its: &Traffic, ours: &Traffic) -> Result<()> {
    for (call, count) in &ours.calls {
        let its = its.calls.get(call).copied().unwrap_or(0);
        ensure!(
            its >= *count,
            "{peer} does less work: {its} calls of {call} for {}, where the product makes {count}",
            payload.name
        );
    }
    let [its_messages, our_messages] = [its, ours].map(|traffic| said(&traffic.messages));
    ensure!(
        its_messages? == our_messages?,
        "{peer} sends other messages than the product for {}",
        payload.name
    );
    let [its_receipt, our_receipt] = [its, ours].map(|traffic| {
        let receipt = traffic.items.iter().find(|item| item.table == RECEIPTS)?;
        let events = receipt.attributes.get("events")?.clone();
        let body = receipt.attributes.get("body")?.get("B")?.as_str()?;
        (body.len() > 20).then_some(events)
    });
    ensure!(
        its_receipt.is_some() && its_receipt == our_receipt,
        "{peer} keeps another receipt than the product for {}",
        payload.name
    );
    Ok(())
}

/// What messages say, in no order and without the ids that each program makes. Numbers are compared as numbers: a peer prints
/// `20.0` as its language does.
fn said(messages: &[Message]) -> Result<Vec<String>> {
    let said = messages.iter().map(|message| {
        let mut body: Value =
            serde_json::from_str(&message.body).context("a message is no JSON")?;
        for member in ["id", "deliveryid"] {
            let id = body.get_mut(member).map(Value::take);
            ensure!(id.is_some(), "a message has no {member}");
        }
        Ok(format!("{} {}", message.queue, as_numbers(body)))
    });
    let mut said: Vec<String> = said.collect::<Result<_>>()?;
    said.sort_unstable();
    Ok(said)
}

fn as_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(values) => values.into_iter().map(as_numbers).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, as_numbers(value)))
            .collect(),
        other => other,
    }
}

/// A batch of so many messages like those that were sent to a lane, each another event of another record: the consumer
/// writes a record once for a batch.
///
/// # Errors
/// None was sent, or what was sent is no event; more are asked for than there are different ids.
pub fn batch(lane: &[Message], size: usize) -> Result<String> {
    let queue = &lane
        .first()
        .context("no message was sent to the lane")?
        .queue;
    let mut batch = sqs_event::batch(&format!("arn:aws:sqs:{REGION}:000000000000:{queue}"));
    let rounds = (0..).flat_map(|round| lane.iter().map(move |message| (round, message)));
    for (round, message) in rounds.take(size) {
        batch = batch.message(&in_round(&message.body, round)?);
    }
    Ok(batch.to_json())
}

/// A message as it could have come by another delivery, about another record.
fn in_round(body: &str, round: u32) -> Result<String> {
    if round == 0 {
        return Ok(body.to_owned());
    }
    let event: Value = serde_json::from_str(body)?;
    let text = |member| event.get(member).and_then(Value::as_str);
    let delivery = text("deliveryid").context("a message has no deliveryid")?;
    let (_, record) = text("subject")
        .and_then(|subject| subject.split_once('/'))
        .context("a message has no subject")?;
    // Ids of payloads are digits of hexadecimal numbers.
    let letter = ('g'..='z').nth(usize::try_from(round)?);
    let letter = letter.context("more messages than there are different ids")?;
    let other = delivery
        .get(..32)
        .map(|begin| format!("{begin}{round:04x}"));
    let other = other.context("a deliveryid is no UUID")?;
    let rest = record.get(1..).context("a record has no id")?;
    let body = body.replace(delivery, &other);
    Ok(body.replace(record, &format!("{letter}{rest}")))
}

/// The middle one.
pub fn median<T: Copy + PartialOrd>(values: &[T]) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    sorted.get(sorted.len() / 2).copied()
}

/// The least of several times for the same work; none for none.
pub fn quickest(times: &[Duration]) -> Duration {
    times.iter().min().copied().unwrap_or_default()
}

/// What work takes each time, by a count of it done `few` times and one of it done `more` times than that: what is done once
/// is in neither.
///
/// # Errors
/// It cannot be counted, or took no more when it was done more often.
pub async fn each(
    (few, more): (u64, u64),
    mut count: impl AsyncFnMut(u64) -> Result<u64>,
) -> Result<u64> {
    let short = count(few).await?;
    let long = count(few + more).await?;
    ensure!(
        long > short,
        "{} times took {long}, and {few} times {short}",
        few + more
    );
    Ok((long - short) / more)
}

/// What the guard counts of the programs on the stand.
#[derive(Debug, Default)]
pub struct Counts {
    /// Calls to AWS.
    pub calls: BTreeMap<String, u64>,
    /// Bytes of the log.
    pub log_bytes: BTreeMap<String, u64>,
    /// The largest item of a kind.
    pub item_bytes: BTreeMap<String, u64>,
}

impl Counts {
    fn add(&mut self, name: &str, logged: &[u64], traffic: &Traffic) {
        let calls = traffic.calls.iter();
        self.calls
            .extend(calls.map(|(call, count)| (format!("{name}: {call}"), *count)));
        self.log_bytes
            .insert(name.to_owned(), median(logged).unwrap_or(0));
        for item in &traffic.items {
            let kept = self.item_bytes.entry(format!("{name}: {}", item.table));
            let kept = kept.or_default();
            *kept = item.bytes().max(*kept);
        }
    }
}

/// Counts what a delivery and a batch make the programs do, once they are warm.
///
/// # Errors
/// A run is not clean.
pub async fn counts(
    places: &Places,
    template: &Template,
    programs: &[(&'static str, PathBuf)],
) -> Result<Counts> {
    let scratch = places.scratch();
    let stand = stand(None).await?;
    let mut counts = Counts::default();
    let mut lane = Vec::new();
    let start = launch(
        "inbound",
        program_of(programs, "inbound")?,
        variables(template, "inbound", &stand),
        &scratch,
    );
    let (mut inbound, _) = Program::start(&start, &stand, &scratch).await?;
    let payloads = payloads::all(&places.root.join("tests/fixtures"))?;
    for payload in payloads.iter().filter(|payload| payload.of_peers) {
        let event = payload.event();
        // The first delivery asks for the keys.
        stand.take();
        deliver(&mut inbound, &stand, payload, &event).await?;
        let mut logged = Vec::new();
        let mut last = Traffic::default();
        for _ in 0..COUNTED {
            let (taken, traffic) = deliver(&mut inbound, &stand, payload, &event).await?;
            logged.push(taken.log_bytes);
            last = traffic;
        }
        counts.add(&format!("inbound, {}", payload.name), &logged, &last);
        if payload.name == FIFTY {
            lane = last.messages;
        }
    }
    inbound.stop().await?;
    for format in FORMATS {
        let mut variables = variables(template, "consumer", &stand);
        keep_in(format, &mut variables);
        let program = program_of(programs, "consumer")?;
        let start = launch("consumer", program, variables, &scratch);
        let (mut consumer, _) = Program::start(&start, &stand, &scratch).await?;
        stand.take();
        let event = batch(&lane, 10)?;
        let mut logged = Vec::new();
        let mut last = Traffic::default();
        for _ in 0..COUNTED {
            let (taken, traffic) = consume(&mut consumer, &stand, 10, &event).await?;
            logged.push(taken.log_bytes);
            last = traffic;
        }
        counts.add(&format!("consumer, batch of 10, {format}"), &logged, &last);
        consumer.stop().await?;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::stand::Item;

    const ORDERS: &str = "orders";

    /// A format of the pages is what a deployment would set, by variables that the functions have.
    #[rstest]
    #[case("native", "native", "none")]
    #[case("compact", "compact", "none")]
    #[case(DICTIONARY, "compact", "1")]
    fn a_format_is_the_variables_of_both_functions(
        #[case] format: &str,
        #[case] records: &str,
        #[case] dictionary: &str,
    ) {
        let template = include_str!("../../../template.yaml");
        let template = Template::parse(template).unwrap();
        for (name, value) in [
            ("RECORD_FORMAT", records),
            ("COMPRESSION_DICTIONARY", dictionary),
        ] {
            let mut variables = template.variables("consumer");
            assert!(variables.contains_key(name), "{name}");
            keep_in(format, &mut variables);
            assert_eq!(variables[name], value);
        }
        let inbound = template.variables("inbound");
        assert!(inbound.contains_key("COMPRESSION_DICTIONARY"));
    }

    fn payload() -> Payload {
        Payload {
            name: "2 orders",
            body: "[]".to_owned(),
            events: 2,
            of_peers: true,
        }
    }

    fn message(id: u32, data: &Value) -> Message {
        Message {
            queue: ORDERS.to_owned(),
            body: json!({ "id": id, "deliveryid": id, "data": data }).to_string(),
        }
    }

    fn item(table: &str, attributes: Value) -> Item {
        let attributes = serde_json::from_value(attributes).unwrap();
        Item {
            table: table.to_owned(),
            attributes,
        }
    }

    fn receipt(events: &str, body: &str) -> Item {
        item(
            RECEIPTS,
            json!({ "events": { "N": events }, "body": { "B": body } }),
        )
    }

    /// What a clean delivery of two events leaves.
    fn traffic() -> Traffic {
        Traffic {
            calls: BTreeMap::from([("sqs.SendMessageBatch".to_owned(), 1)]),
            messages: vec![
                message(1, &json!({ "a": 20.0 })),
                message(2, &json!({ "b": 1 })),
            ],
            items: vec![receipt("2", &"A".repeat(40))],
            ..Traffic::default()
        }
    }

    #[test]
    fn a_delivery_that_was_taken_is_clean() {
        delivered(&payload(), &json!({ "statusCode": 200 }), &traffic()).unwrap();
    }

    #[rstest]
    #[case::refused(json!({ "statusCode": 503 }), "was answered with")]
    #[case::no_status(json!({}), "was answered with")]
    #[case::a_text(json!({ "statusCode": "200" }), "was answered with")]
    fn an_answer_that_is_not_200_is_not_published(#[case] answer: Value, #[case] why: &str) {
        let error = delivered(&payload(), &answer, &traffic()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }

    #[rstest]
    #[case::an_event_is_lost(|traffic: &mut Traffic| drop(traffic.messages.pop()), "1 were sent")]
    #[case::an_event_is_sent_twice(
        |traffic: &mut Traffic| traffic.messages.push(message(3, &json!({}))),
        "3 were sent"
    )]
    #[case::no_receipt(|traffic: &mut Traffic| traffic.items.clear(), "not one receipt")]
    #[case::a_failed_delivery_besides(
        |traffic: &mut Traffic| traffic.items.push(receipt("2", "")),
        "not one receipt"
    )]
    fn a_delivery_that_did_less_is_not_published(
        #[case] change: fn(&mut Traffic),
        #[case] why: &str,
    ) {
        let mut traffic = traffic();
        change(&mut traffic);
        let error = delivered(&payload(), &json!({ "statusCode": 200 }), &traffic).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }

    #[test]
    fn a_peer_that_does_the_same_may_print_numbers_otherwise() {
        let mut its = traffic();
        its.messages = vec![
            message(8, &json!({ "b": 1.0 })),
            message(9, &json!({ "a": 20 })),
        ];
        its.items = vec![receipt("2", &"B".repeat(60))];
        its.calls.insert("dynamodb.Query".to_owned(), 1);
        same_work("the peer", &payload(), &its, &traffic()).unwrap();
    }

    #[rstest]
    #[case::a_call_less(|its: &mut Traffic| its.calls.clear(), "does less work: 0 calls")]
    #[case::another_message(
        |its: &mut Traffic| its.messages = vec![message(1, &json!({ "a": 20 })), message(2, &json!({}))],
        "sends other messages"
    )]
    #[case::another_lane(
        |its: &mut Traffic| its.messages.iter_mut().for_each(|sent| sent.queue = "other".to_owned()),
        "sends other messages"
    )]
    #[case::a_message_less(|its: &mut Traffic| drop(its.messages.pop()), "sends other messages")]
    #[case::a_message_without_an_id(
        |its: &mut Traffic| its.messages.iter_mut().for_each(|sent| sent.body = "{}".to_owned()),
        "has no id"
    )]
    #[case::no_receipt(|its: &mut Traffic| its.items.clear(), "keeps another receipt")]
    #[case::an_empty_receipt(
        |its: &mut Traffic| its.items = vec![receipt("2", "")],
        "keeps another receipt"
    )]
    #[case::a_receipt_of_fewer_events(
        |its: &mut Traffic| its.items = vec![receipt("1", &"A".repeat(40))],
        "keeps another receipt"
    )]
    fn a_peer_that_does_less_is_not_published(#[case] change: fn(&mut Traffic), #[case] why: &str) {
        let mut its = traffic();
        change(&mut its);
        let error = same_work("the peer", &payload(), &its, &traffic()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }

    #[rstest]
    #[case::a_message_failed(json!({ "batchItemFailures": [{ "itemIdentifier": "1" }] }), 1, 1, false)]
    #[case::no_answer(json!({}), 1, 1, false)]
    #[case::not_forwarded(json!({ "batchItemFailures": [] }), 0, 1, false)]
    #[case::no_record(json!({ "batchItemFailures": [] }), 1, 0, false)]
    #[case::handled(json!({ "batchItemFailures": [] }), 1, 1, true)]
    fn a_batch_that_did_less_is_not_published(
        #[case] answer: Value,
        #[case] forwarded: usize,
        #[case] records: usize,
        #[case] is_clean: bool,
    ) {
        let sent = Message {
            queue: TEAM.to_owned(),
            body: String::new(),
        };
        let traffic = Traffic {
            messages: vec![sent; forwarded],
            items: vec![item(RECORDS, json!({})); records],
            ..Traffic::default()
        };
        assert_eq!(consumed(1, &answer, &traffic).is_ok(), is_clean);
    }

    #[test]
    fn a_batch_has_as_many_records_as_messages() {
        let body = r#"{"id":"01a1f8d3-ea7b-7101-8101-010101010101.00007","deliveryid":"01a1f8d3-ea7b-7101-8101-010101010101","subject":"order/0123456789a","data":{"id":"0123456789a"}}"#;
        let lane = [Message {
            queue: ORDERS.to_owned(),
            body: body.to_owned(),
        }];
        let event: Value = serde_json::from_str(&batch(&lane, 20).unwrap()).unwrap();
        let records = event["Records"].as_array().unwrap();
        let bodies: Vec<Value> = records
            .iter()
            .map(|record| serde_json::from_str(record["body"].as_str().unwrap()).unwrap())
            .collect();
        for member in ["/id", "/deliveryid", "/subject", "/data/id"] {
            let all: std::collections::BTreeSet<&str> = bodies
                .iter()
                .map(|body| body.pointer(member).unwrap().as_str().unwrap())
                .collect();
            assert_eq!(all.len(), 20, "{member}");
        }
        batch(&lane, 21).unwrap_err();
        batch(&[], 10).unwrap_err();
        batch(&[message(1, &json!({}))], 2).unwrap_err();
    }

    #[tokio::test]
    async fn what_is_done_once_is_not_counted() {
        let count = each((4, 8), async |times| Ok(100 + 5 * times));
        assert_eq!(count.await.unwrap(), 5);
        each((4, 8), async |_| Ok(100)).await.unwrap_err();
    }

    #[test]
    fn the_quickest_is_the_least() {
        let times = [3, 1, 2].map(Duration::from_millis);
        assert_eq!(quickest(&times), Duration::from_millis(1));
        assert_eq!(quickest(&[]), Duration::ZERO);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[3, 1, 2]), Some(2));
        assert_eq!(median::<u64>(&[]), None);
    }
}
