//! That the published example consumers keep what `infra/docs/consumers.md` asks of a consumer.
//!
//! Deliveries go through the stack, so that the messages are those of a team's queue. Each consumer then gets them on a queue
//! of its own: every message twice, the newest first. What it says and what is in its table afterwards is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::aws::Aws;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use super::report::Outcome;
use crate::demo::examples::Example;
use crate::demo::{queue, story};
use crate::job;
use crate::outputs::Outputs;
use crate::places::Places;
use crate::progress::Progress;
use crate::teams;
use crate::tools::{Tools, without_cargos_own};

/// Where the consumers are.
const CLIENTS: &str = "infra/events/clients";

/// What npm and node need of the TypeScript one.
const OF_NODE: [&str; 5] = [
    "consumer.mjs",
    "orderhook-events.d.ts",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
];

/// How long nothing new may come to the team's queue.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a consumer may take for a few messages.
const CONSUMER_PATIENCE: Duration = Duration::from_secs(120);

/// More than a message of a queue may have, with the template's default.
const LARGE_NOTE: usize = 300_000;

/// The record of the fixtures of orders.
const FIXTURE_ORDER: &str = "or_l5DYqeDn";

/// One of the consumers.
struct Consumer {
    language: &'static str,
    command: Command,
}

/// Runs the consumers of both languages.
///
/// # Errors
/// A consumer keeps something else than what it was sent; the stack does not answer.
pub(super) async fn run(
    places: &Places,
    tools: &Tools,
    outputs: &Outputs,
    progress: Progress,
) -> Result<Outcome> {
    let log = places.log_of("consumers");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    for program in ["node", "npm"] {
        if !answers(program).await {
            return Ok(Outcome::NotChecked(format!(
                "{program} is not installed, with which the TypeScript consumer runs: see https://nodejs.org"
            )));
        }
    }
    let folder = match node_folder(places, &log, progress).await? {
        Ok(folder) => folder,
        Err(why) => return Ok(Outcome::NotChecked(why)),
    };
    let mut python = tools.sam_program("python");
    python.arg(places.root.join(CLIENTS).join("python/consumer.py"));
    // No compiled files beside the source.
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    let mut node = Command::new("node");
    node.arg("consumer.mjs").current_dir(folder);
    without_cargos_own(&mut node);

    let aws = outputs.aws()?;
    let account = story::account_name("consumers")?;
    let messages = messages(places, outputs, &aws, &account, progress).await?;
    let consumers = [
        Consumer {
            language: "python",
            command: python,
        },
        Consumer {
            language: "typescript",
            command: node,
        },
    ];
    for consumer in consumers {
        let language = consumer.language;
        let step = progress.step(format!("Running the consumer in {language}"));
        let seen = consumed(outputs, &aws, &account, consumer, &messages, &log).await?;
        let problems = seen.problems(&account, &messages)?;
        ensure!(
            problems.is_empty(),
            "the consumer in {language}: {}",
            problems.join("; ")
        );
        step.done("");
    }
    Ok(Outcome::Passed(format!(
        "Python and TypeScript keep the state of {} events, each sent twice and out of order",
        messages.len()
    )))
}

async fn answers(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output().await;
    output.is_ok_and(|output| output.status.success())
}

/// A folder with the TypeScript consumer and what it needs, held against its types; or why there is none.
async fn node_folder(
    places: &Places,
    log: &Path,
    progress: Progress,
) -> Result<Result<PathBuf, String>> {
    let folder = places.tools.join("consumer");
    std::fs::create_dir_all(&folder)?;
    for file in OF_NODE {
        let from = places.root.join(CLIENTS).join("typescript").join(file);
        std::fs::copy(&from, folder.join(file))
            .with_context(|| format!("{} could not be copied", from.display()))?;
    }
    let npm = |arguments: &[&str]| {
        let mut command = Command::new("npm");
        command.args(arguments).current_dir(&folder);
        without_cargos_own(&mut command);
        command
    };
    let step = progress.step("Installing what the TypeScript consumer needs");
    let install = npm(&["ci", "--no-audit", "--no-fund"]);
    if !job::run(install, log, |_| {}).await?.success() {
        return Ok(Err(format!(
            "npm could not install what the TypeScript consumer needs; see {}",
            log.display()
        )));
    }
    step.done("");
    let check = npm(&["run", "check"]);
    job::succeed("the TypeScript consumer's types", check, log, |_| {}).await?;
    Ok(Ok(folder))
}

/// The deliveries, each with one event: an order that is created, updated, and updated again just so; one that is too large
/// for a message; one that is deleted; and a stock level, which the consumers do not know.
fn deliveries(fixtures: &Path) -> Result<Vec<Example>> {
    let body = |file: &str| {
        let path = fixtures.join("orderspace/current").join(file);
        std::fs::read_to_string(&path)
            .with_context(|| format!("{} could not be read", path.display()))
    };
    let other =
        |file: &str, id: &str| Ok::<_, anyhow::Error>(body(file)?.replace(FIXTURE_ORDER, id));
    let large = {
        let note = format!(r#""internal_note":"{}""#, "n".repeat(LARGE_NOTE));
        other("order.created.json", "or_large")?.replacen(r#""internal_note":"""#, &note, 1)
    };
    ensure!(large.len() > LARGE_NOTE, "the fixture has no internal_note");
    let bodies = [
        ("order.created", body("order.created.json")?),
        ("order.updated", body("order.updated.json")?),
        ("order.updated", body("order.updated.json")?),
        ("order.created, large", large),
        (
            "order.created, to be deleted",
            other("order.created.json", "or_gone")?,
        ),
        ("order.deleted", other("order.deleted.json", "or_gone")?),
        (
            "inventory_level.updated",
            body("inventory_level.updated.json")?,
        ),
    ];
    let example = |(what, body): (&str, String)| Example {
        file: what.to_owned(),
        what: what.to_owned(),
        body,
        events: Vec::new(),
    };
    Ok(bodies.into_iter().map(example).collect())
}

/// Sends the deliveries and reads what the team's queue gets of them: the messages by their ids.
async fn messages(
    places: &Places,
    outputs: &Outputs,
    aws: &Aws,
    account: &str,
    progress: Progress,
) -> Result<BTreeMap<String, String>> {
    let deliveries = deliveries(&places.root.join("tests/fixtures"))?;
    let simulator = outputs.simulator_url.as_deref();
    let simulator = simulator.context("the stack has no simulator to send from")?;
    let site = story::connect(outputs, aws, simulator, account).await?;
    let sent = story::send(&site, &deliveries, progress).await?;
    if let Some(refused) = sent.iter().find(|delivery| !delivery.accepted()) {
        bail!("{} was answered with {:?}", refused.file, refused.statuses);
    }
    let team = outputs.get(teams::EXAMPLE)?;
    let is_ours = |body: &str| {
        let event = serde_json::from_str::<Value>(body).unwrap_or_default();
        event.get("account").and_then(Value::as_str) == Some(account)
    };
    let mut messages = BTreeMap::new();
    let mut others = Vec::new();
    let mut last = Instant::now();
    while messages.len() < deliveries.len() && last.elapsed() < PATIENCE {
        for body in queue::receive(aws, team, is_ours, &mut others).await? {
            let event: Value = serde_json::from_str(&body)?;
            messages.insert(text(&event, "/id").to_owned(), body);
            last = Instant::now();
        }
    }
    queue::give_back(aws, team, others).await?;
    ensure!(
        messages.len() == deliveries.len(),
        "{} of {} events reached the team's queue",
        messages.len(),
        deliveries.len()
    );
    let stored = messages
        .values()
        .filter(|body| body.contains(r#""dataref""#));
    ensure!(stored.count() == 1, "one record should be behind dataref");
    Ok(messages)
}

/// Gives a consumer the messages on a queue of its own, and lets it run until that is empty.
async fn consumed(
    outputs: &Outputs,
    aws: &Aws,
    account: &str,
    consumer: Consumer,
    messages: &BTreeMap<String, String>,
    log: &Path,
) -> Result<Consumed> {
    let Consumer {
        language,
        mut command,
    } = consumer;
    let name = format!("{account}-{language}");
    let made = aws
        .sqs("CreateQueue", &json!({ "QueueName": name }))
        .await?;
    let queue = text(&made, "/QueueUrl").to_owned();
    let table = json!({
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "pk", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
    });
    aws.dynamodb("CreateTable", &table).await?;
    for body in messages.values().rev().chain(messages.values()) {
        let input = json!({ "QueueUrl": queue, "MessageBody": body });
        aws.sqs("SendMessage", &input).await?;
    }
    command
        .env("QUEUE_URL", &queue)
        .env("TABLE", &name)
        .env("DRAIN", "1")
        .env("AWS_ENDPOINT_URL", &outputs.endpoint_url)
        .env("AWS_REGION", &outputs.region)
        .env("AWS_DEFAULT_REGION", &outputs.region)
        .env("AWS_ACCESS_KEY_ID", &outputs.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &outputs.secret_access_key)
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("AWS_PROFILE");
    let mut lines = Vec::new();
    let what = format!("the consumer in {language}");
    let ran = job::succeed(&what, command, log, |line| {
        lines.push(line.trim().to_owned());
    });
    tokio::time::timeout(CONSUMER_PATIENCE, ran)
        .await
        .with_context(|| format!("{what} does not end"))??;
    let input = json!({ "TableName": name, "ConsistentRead": true });
    let scanned = aws.dynamodb("Scan", &input).await?;
    let items = scanned.pointer("/Items").and_then(Value::as_array).cloned();
    aws.sqs("DeleteQueue", &json!({ "QueueUrl": queue }))
        .await?;
    aws.dynamodb("DeleteTable", &json!({ "TableName": name }))
        .await?;
    Ok(Consumed {
        lines,
        items: items.unwrap_or_default(),
    })
}

/// What a consumer said, a line for each message, and what was in its table at the end.
#[derive(Debug)]
struct Consumed {
    lines: Vec<String>,
    items: Vec<Value>,
}

impl Consumed {
    /// What is not as it must be after these messages, by their ids.
    fn problems(&self, account: &str, messages: &BTreeMap<String, String>) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        for (id, body) in messages {
            let event: Value = serde_json::from_str(body)?;
            let prefix = format!("{id} {} ", text(&event, "/type"));
            let said = self
                .lines
                .iter()
                .filter_map(|line| line.strip_prefix(&prefix));
            let said: Vec<&str> = said.collect();
            let is_order = text(&event, "/subject").starts_with("order/");
            // An older event is no change, so nothing has to remember it. One that was a change is known when it comes again.
            let is_right = match is_order {
                true => matches!(&*said, ["applied", "repeat"] | ["older", "older"]),
                false => *said == ["ignored", "ignored"],
            };
            if !is_right {
                problems.push(format!("{prefix}was sent twice and became {said:?}"));
            }
        }
        let records = [
            (FIXTURE_ORDER, "invoiced", false),
            ("or_large", "new", false),
            ("or_gone", "", true),
        ];
        let mut expected = BTreeSet::new();
        for (id, status, is_deleted) in records {
            let key = format!("{account}#order/{id}");
            let of_key = |item: &&Value| text(item, "/pk/S") == key;
            match self.items.iter().find(of_key) {
                Some(item)
                    if text(item, "/order_status/S") == status
                        && item.pointer("/is_deleted/BOOL") == Some(&json!(is_deleted)) => {}
                other => problems.push(format!(
                    "{key} should be {status:?}, deleted: {is_deleted}, and is {other:?}"
                )),
            }
            expected.insert(key);
        }
        let keys = self.items.iter().map(|item| text(item, "/pk/S"));
        let more = keys.filter(|key| !key.starts_with("event#") && !expected.contains(*key));
        problems.extend(more.map(|key| format!("{key} was kept, which is no order")));
        Ok(problems)
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use saphyr::{LoadableYamlNode as _, Scalar, Yaml};

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn message(id: &str, event_type: &str, subject: &str) -> (String, String) {
        let body = json!({ "id": id, "type": event_type, "subject": subject }).to_string();
        (id.to_owned(), body)
    }

    fn sent() -> BTreeMap<String, String> {
        BTreeMap::from([
            message("1", "orderspace.order.created", "order/or_l5DYqeDn"),
            message(
                "2",
                "orderspace.inventory_level.updated",
                "inventory_level/a",
            ),
        ])
    }

    fn consumed() -> Consumed {
        let item = |id: &str, status: &str, is_deleted: bool| {
            json!({
                "pk": { "S": format!("acme#order/{id}") },
                "order_status": { "S": status },
                "is_deleted": { "BOOL": is_deleted },
            })
        };
        let lines = [
            "1 orderspace.order.created applied",
            "2 orderspace.inventory_level.updated ignored",
            "1 orderspace.order.created repeat",
            "2 orderspace.inventory_level.updated ignored",
        ];
        Consumed {
            lines: lines.map(str::to_owned).to_vec(),
            items: vec![
                item(FIXTURE_ORDER, "invoiced", false),
                item("or_large", "new", false),
                item("or_gone", "", true),
                json!({ "pk": { "S": "event#acme#1" } }),
            ],
        }
    }

    #[test]
    fn what_a_consumer_must_keep_is_no_problem() {
        let problems = consumed().problems("acme", &sent()).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[rstest]
    #[case::applied_twice(|seen: &mut Consumed| seen.lines[2] = seen.lines[0].clone())]
    #[case::repeat_not_known(|seen: &mut Consumed| seen.lines[2] = "1 orderspace.order.created older".to_owned())]
    #[case::handled_once(|seen: &mut Consumed| drop(seen.lines.pop()))]
    #[case::failed(|seen: &mut Consumed| seen.lines[0] = "1 failed".to_owned())]
    #[case::unknown_type_kept(|seen: &mut Consumed| seen.lines[1] = "2 orderspace.inventory_level.updated applied".to_owned())]
    #[case::older_state(|seen: &mut Consumed| seen.items[0]["order_status"]["S"] = json!("new"))]
    #[case::not_behind_dataref(|seen: &mut Consumed| seen.items[1]["order_status"]["S"] = json!(""))]
    #[case::not_deleted(|seen: &mut Consumed| seen.items[2]["is_deleted"]["BOOL"] = json!(false))]
    #[case::missing(|seen: &mut Consumed| drop(seen.items.remove(1)))]
    #[case::more(|seen: &mut Consumed| seen.items[3]["pk"]["S"] = json!("acme#inventory_level/a"))]
    fn what_a_consumer_does_wrong_is_found(#[case] wrong: fn(&mut Consumed)) {
        let mut seen = consumed();
        wrong(&mut seen);
        assert!(!seen.problems("acme", &sent()).unwrap().is_empty());
    }

    #[test]
    fn the_deliveries_are_of_four_records_and_one_is_large() {
        let deliveries = deliveries(&root().join("tests/fixtures")).unwrap();
        for delivery in &deliveries {
            let body: Value = serde_json::from_str(&delivery.body).unwrap();
            assert_eq!(body.as_array().map(Vec::len), Some(1), "{}", delivery.what);
        }
        let with = |id: &str| {
            deliveries
                .iter()
                .filter(|one| one.body.contains(id))
                .count()
        };
        assert_eq!(
            (with(FIXTURE_ORDER), with("or_large"), with("or_gone")),
            (3, 1, 2)
        );
    }

    /// Every file that the folder of the TypeScript consumer needs is there, and no other is left behind.
    #[test]
    fn the_typescript_consumer_is_copied_whole() {
        let folder = root().join(CLIENTS).join("typescript");
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names = names.filter(|name| name != "node_modules");
        assert_eq!(
            names.collect::<BTreeSet<_>>(),
            OF_NODE.map(str::to_owned).into_iter().collect()
        );
    }

    /// The document is written by our own hand; another's parser reads it, and every file that it names is there.
    #[test]
    fn the_asyncapi_document_is_yaml_and_names_what_is_there() {
        let events = root().join("infra/events");
        let source = std::fs::read_to_string(events.join("asyncapi.yaml")).unwrap();
        let documents = Yaml::load_from_str(&source).unwrap();
        let mut texts = Vec::new();
        collect(&documents[0], &mut texts);
        let files = texts.iter().filter_map(|text| text.strip_prefix("./"));
        let files: BTreeSet<&str> = files.map(|file| file.split('#').next().unwrap()).collect();
        for file in &files {
            assert!(events.join(file).is_file(), "{file}");
        }
        let examples = std::fs::read_dir(events.join("examples")).unwrap().count();
        // The examples and the three schemas.
        assert_eq!(files.len(), examples + 3);
    }

    fn collect(yaml: &Yaml<'_>, texts: &mut Vec<String>) {
        match yaml {
            Yaml::Mapping(members) => members.iter().for_each(|(name, value)| {
                collect(name, texts);
                collect(value, texts);
            }),
            Yaml::Sequence(elements) => elements.iter().for_each(|value| collect(value, texts)),
            Yaml::Value(Scalar::String(text)) => texts.push(text.to_string()),
            _ => {}
        }
    }
}
