//! The guard: what a delivery, a batch and a start cost, held against `tests/scale.json`.
//!
//! Instructions are counted by [callgrind](https://valgrind.org/docs/manual/cl-manual.html) and the memory that is asked for
//! by [dhat](https://valgrind.org/docs/manual/dh-manual.html): unlike times they are the same on a busy machine. Another kind
//! of processor takes other instructions, so the file names the one that it is about. Calls to AWS, sizes of items and bytes
//! of the log are those of the programs on the [`stand`](crate::stand).

use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use local::build;
use local::emulator::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use local::job;
use local::places::Places;
use local::progress::{Progress, Step};
use local::template::Template;
use local::tools::{Tools, without_cargos_own};
use local::verify::report::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::measure::{self, each};

/// What is handled, and of how many events it is: arguments of the model's example `scale`.
const WORK: [(&str, &str); 9] = [
    ("delivery", "1"),
    ("delivery", "50"),
    ("orders", "50"),
    // What splitting costs, beside the one pass over the JSON that every reader has to pay.
    ("split-stock", "50"),
    ("pass-stock", "50"),
    ("split-orders", "50"),
    ("pass-orders", "50"),
    ("batch", "1"),
    ("batch", "10"),
];

/// How often it is handled in a short run, and how much more often in a long one.
const TIMES: (u64, u64) = (8, 16);

/// How long a program may take to ask for its first event, under callgrind.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// Where nothing listens: the discard port of this machine.
const NOBODY: &str = "http://127.0.0.1:9";

/// The request for an event. <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
const POLL: &str = "GET /2018-06-01/runtime/invocation/next ";

/// By how many per cent a figure may change unnoticed, where it is no count of calls. Two counts of the same instructions
/// differ too: hash maps have other seeds.
const TOLERANCE: f64 = 2.0;

/// The command that writes the file.
const WRITE: &str = "cargo benchmark guard --write";

/// Figures by what they are about.
type Figures = BTreeMap<String, u64>;

/// What is measured, as the file has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    /// The processor whose instructions these are.
    processor: String,
    /// Calls that handling a delivery or a batch makes: those of the ports, and those to AWS of the programs.
    calls: Figures,
    /// Instructions that it takes, on fakes.
    instructions: Figures,
    /// Bytes of memory that it asks for in all, on fakes: a copy that few instructions make is seen here.
    #[serde(default)]
    allocated_bytes: Figures,
    /// Bytes that it writes to the log, by the programs.
    #[serde(default)]
    log_bytes: Figures,
    /// Sizes of the items that it writes, by DynamoDB's rules.
    #[serde(default)]
    item_bytes: Figures,
    /// Instructions of a function from its start until it asks for its first event.
    start_instructions: Figures,
    /// A function's program as Lambda gets it.
    zipped_bytes: Figures,
}

impl Scale {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path)
            .with_context(|| format!("{} could not be read. {WRITE} writes it", path.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is not as it was written", path.display()))
    }

    fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(path, format!("{text}\n"))
            .with_context(|| format!("{} could not be written", path.display()))
    }

    /// The figures with their unit, and by how many per cent they may change unnoticed.
    fn parts(&self) -> [(&'static str, f64, &Figures); 7] {
        [
            ("calls", 0.0, &self.calls),
            ("instructions", TOLERANCE, &self.instructions),
            ("bytes allocated", TOLERANCE, &self.allocated_bytes),
            ("bytes logged", TOLERANCE, &self.log_bytes),
            ("bytes stored", TOLERANCE, &self.item_bytes),
            ("instructions to start", TOLERANCE, &self.start_instructions),
            ("bytes zipped", TOLERANCE, &self.zipped_bytes),
        ]
    }

    /// The figures that are others than those of `noted`, each in a sentence.
    fn changes(&self, noted: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for ((unit, tolerance, noted), (_, _, now)) in noted.parts().into_iter().zip(self.parts()) {
            let names: BTreeSet<&String> = noted.keys().chain(now.keys()).collect();
            for name in names {
                let (noted, now) = (noted.get(name), now.get(name));
                let [before, after] = [noted, now].map(|figure| figure.copied().unwrap_or(0));
                let change = percent(before, after);
                if noted.is_none() || now.is_none() || change.abs() > tolerance {
                    changes.push(format!(
                        "{name}: {after} {unit}, {before} are noted ({change:+.1} %)"
                    ));
                }
            }
        }
        changes
    }
}

/// How many per cent the second number is more than the first.
fn percent(before: u64, after: u64) -> f64 {
    let [before, after] = [before, after].map(|number| number as f64);
    (after - before) / before.max(1.0) * 100.0
}

/// Measures, and holds it against the file, or writes the file.
///
/// # Errors
/// Something cannot be measured, or a figure is not the file's.
pub async fn run(
    places: &Places,
    tools: &Tools,
    write: bool,
    built: bool,
    progress: Progress,
) -> Result<Outcome> {
    let Some(valgrind) = job::on_path("valgrind") else {
        return Ok(Outcome::NotChecked(
            "valgrind, which counts instructions, is not installed: apt install valgrind"
                .to_owned(),
        ));
    };
    let path = places.root.join("tests/scale.json");
    let noted = match write {
        true => None,
        false => Some(Scale::read(&path)?),
    };
    if let Some(noted) = &noted
        && noted.processor != ARCH
    {
        return Ok(Outcome::NotChecked(format!(
            "the figures are those of {}, and this is {ARCH}",
            noted.processor
        )));
    }
    let (scale, spread) = measure(places, tools, valgrind, built, progress).await?;
    match noted {
        None => scale.write(&path)?,
        Some(noted) => {
            let changes = scale.changes(&noted);
            ensure!(
                changes.is_empty(),
                "{} figures are not those of tests/scale.json\n    {}\nIf the change is meant: {WRITE}",
                changes.len(),
                changes.join("\n    ")
            );
        }
    }
    let figures = scale.parts().map(|(.., figures)| figures.len());
    let figures: usize = figures.iter().sum();
    Ok(Outcome::Passed(format!(
        "{figures} figures; of two counts of instructions none differ by more than {spread:.2} %"
    )))
}

/// Everything that there is to measure, and by how many per cent two counts of the same instructions differed at most.
async fn measure(
    places: &Places,
    tools: &Tools,
    valgrind: PathBuf,
    built: bool,
    progress: Progress,
) -> Result<(Scale, f64)> {
    let log = places.log_of("scale");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let programs = measure::programs(places, tools, built, progress).await?;
    let example = example(places, &log, progress).await?;
    let template = tokio::fs::read_to_string(places.template()).await?;
    let template = Template::parse(&template)?;
    let mut step = progress.step("Counting instructions");
    let counter = Counter {
        valgrind,
        directory: places.scratch(),
        log,
    };
    let mut scale = Scale {
        processor: ARCH.to_owned(),
        ..Scale::default()
    };
    let mut spread = 0.0_f64;
    for (work, events) in WORK {
        let name = format!("{work} of {events}");
        step.update(&name);
        let work = Work {
            example: &example,
            arguments: [work, events],
            mistake: None,
        };
        let (first, _) = counter.instructions(work).await?;
        let (second, calls) = counter.instructions(work).await?;
        let calls = calls.into_iter();
        let calls = calls.map(|(call, count)| (format!("{name}: {call}"), count));
        scale.calls.extend(calls);
        let count = agreed(&name, [first, second], &mut spread)?;
        scale.instructions.insert(name.clone(), count);
        let bytes = counter.allocated(work).await?;
        scale.allocated_bytes.insert(name, bytes);
    }
    caught(&counter, &example, &scale, &mut step).await?;
    step.update("calls, items and logs of the programs");
    let seen = measure::counts(places, &template, &programs).await?;
    scale.calls.extend(seen.calls);
    scale.log_bytes = seen.log_bytes;
    scale.item_bytes = seen.item_bytes;
    for (function, program) in &programs {
        step.update(function);
        let mut variables = template.variables(function);
        if let Some(routes) = variables.get_mut("ROUTES") {
            *routes = QUEUE.to_owned();
        }
        let first = counter.start(program, &variables).await?;
        let second = counter.start(program, &variables).await?;
        let count = agreed(function, [first, second], &mut spread)?;
        let function = (*function).to_owned();
        scale.start_instructions.insert(function.clone(), count);
        let zipped = zipped(program, tools, &counter.directory, &counter.log).await?;
        scale.zipped_bytes.insert(function, zipped);
    }
    step.update("one more client");
    second_client_caught(&counter, &template, &programs, &scale).await?;
    step.done("");
    Ok((scale, spread))
}

/// The lesser of two counts of the same instructions; `spread` becomes the most that two such counts differ by.
fn agreed(name: &str, [first, second]: [u64; 2], spread: &mut f64) -> Result<u64> {
    let difference = percent(first, second).abs();
    ensure!(
        difference <= TOLERANCE,
        "{name}: {first} instructions, and {second} when counted again: something is not the same in each run"
    );
    *spread = spread.max(difference);
    Ok(first.min(second))
}

/// Builds the model's example. The model's own build has compiled all that it needs.
async fn example(places: &Places, log: &Path, progress: Progress) -> Result<PathBuf> {
    let mut step = progress.step("Building the example that handles deliveries and batches");
    let mut command = Command::new("cargo");
    without_cargos_own(&mut command);
    command
        .args(["build", "--example", "scale", "--locked"])
        // The project's own profile, whatever the machine's configuration of cargo puts in its place.
        .args(["--config", "Cargo.toml"])
        .env("CARGO_INCREMENTAL", "0")
        .current_dir(&places.root);
    job::succeed("cargo build", command, log, |line| step.update(line.trim())).await?;
    step.done("");
    let target = build::target_directory(places, Path::new("cargo")).await?;
    Ok(target.join("debug/examples/scale"))
}

/// What the example handles: arguments of the program.
#[derive(Clone, Copy)]
struct Work<'w> {
    example: &'w Path,
    /// What, and how many events of it.
    arguments: [&'w str; 2],
    mistake: Option<&'w str>,
}

/// Counts instructions.
struct Counter {
    valgrind: PathBuf,
    directory: PathBuf,
    log: PathBuf,
}

impl Counter {
    /// Runs a program under a tool of valgrind's, without anything of this process's environment.
    fn command(&self, tool: &str, program: &Path) -> Command {
        let mut command = Command::new(&self.valgrind);
        command
            .arg("--quiet")
            .arg(format!("--tool={tool}"))
            .arg(format!("--{tool}-out-file={}", self.output().display()))
            .arg(program)
            .env_clear()
            .current_dir(&self.directory);
        command
    }

    fn output(&self) -> PathBuf {
        self.directory.join("valgrind.out")
    }

    /// The same for the example that handles something so often.
    fn handling(&self, tool: &str, work: Work<'_>, times: u64) -> Command {
        let mut command = self.command(tool, work.example);
        command.args(work.arguments).arg(times.to_string());
        command.args(work.mistake);
        command
    }

    /// The instructions that the example takes each time, and the calls that it makes.
    async fn instructions(&self, work: Work<'_>) -> Result<(u64, Figures)> {
        let mut calls = None;
        let count = each(TIMES, async |times| {
            calls = None;
            let command = self.handling("callgrind", work, times);
            job::succeed("the example", command, &self.log, |line| {
                if let Some(json) = line.strip_prefix("calls: ") {
                    calls = Some(serde_json::from_str(json));
                }
            })
            .await?;
            ensure!(calls.is_some(), "the example reported no calls");
            counted(&self.output(), instructions)
        })
        .await?;
        Ok((count, calls.context("the example reported no calls")??))
    }

    /// The bytes of memory that the example asks for each time.
    async fn allocated(&self, work: Work<'_>) -> Result<u64> {
        each(TIMES, async |times| {
            let command = self.handling("dhat", work, times);
            job::succeed("the example", command, &self.log, |_| {}).await?;
            counted(&self.output(), allocated)
        })
        .await
    }

    /// The instructions of a function's program until it asks for an event. Its connections to AWS are refused: were they
    /// answered, it would depend on the answers' moments how many are opened.
    async fn start(&self, program: &Path, variables: &BTreeMap<String, String>) -> Result<u64> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let log = std::fs::File::options().append(true).open(&self.log)?;
        let mut child = self
            .command("callgrind", program)
            .envs(variables)
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            .env("AWS_ENDPOINT_URL", NOBODY)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "scale")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("valgrind could not be started")?;
        let _open = tokio::select! {
            polled = polled(&listener) => polled?,
            ended = child.wait() => bail!(
                "{} ended with {} before it asked for an event\n{}",
                program.display(),
                ended?,
                job::tail(&self.log, 0)?
            ),
            () = tokio::time::sleep(START_PATIENCE) => bail!(
                "{} did not ask for an event in {} s",
                program.display(),
                START_PATIENCE.as_secs()
            ),
        };
        let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        kill_process(pid.context("the program is gone")?, Signal::TERM)?;
        child.wait().await?;
        counted(&self.output(), instructions)
    }
}

/// Waits until an event is asked for. The connection must stay open until the program is ended: it would notice.
async fn polled(listener: &TcpListener) -> Result<BufReader<TcpStream>> {
    loop {
        let (stream, _) = listener.accept().await?;
        let mut request = BufReader::new(stream);
        let mut line = String::new();
        request.read_line(&mut line).await?;
        if line.starts_with(POLL) {
            return Ok(request);
        }
    }
}

/// The size of a program in the archive that SAM would upload.
///
/// # Errors
/// It cannot be packed.
pub async fn zipped(program: &Path, tools: &Tools, folder: &Path, log: &Path) -> Result<u64> {
    let archive = folder.join("scale.zip");
    let mut command = tools.sam_module("zipfile");
    command.arg("-c").arg(&archive).arg(program);
    job::succeed("zipping", command, log, |_| {}).await?;
    Ok(archive.metadata()?.len())
}

/// What a tool of valgrind's counted; takes its output away, so that it cannot pass for that of another run.
///
/// # Errors
/// There is no output, or no total in it.
pub fn counted(output: &Path, total: fn(&str) -> Option<u64>) -> Result<u64> {
    let text = std::fs::read_to_string(output)
        .with_context(|| format!("valgrind did not write {}", output.display()))?;
    std::fs::remove_file(output)?;
    total(&text).context("valgrind wrote no total")
}

/// The number in callgrind's output. <https://valgrind.org/docs/manual/cl-format.html>
pub fn instructions(output: &str) -> Option<u64> {
    let total = output
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))?;
    total.trim().parse().ok()
}

/// The bytes in dhat's output, which has them by the places that asked for them (`tb`).
fn allocated(output: &str) -> Option<u64> {
    let output: serde_json::Value = serde_json::from_str(output).ok()?;
    let places = output.get("pps")?.as_array()?.iter();
    places.map(|place| place.get("tb")?.as_u64()).sum()
}

/// Mistakes of the kind that a change can bring, done by the example for each event that it handles; each has to be noticed.
const MISTAKES: [&str; 2] = ["clone-the-body", "log-a-line"];

/// That the guard would notice each of the mistakes.
async fn caught(counter: &Counter, example: &Path, scale: &Scale, step: &mut Step) -> Result<()> {
    let arguments = ["delivery", "50"];
    let name = arguments.join(" of ");
    for mistake in MISTAKES {
        step.update(mistake);
        let mut wrong = scale.clone();
        let work = Work {
            example,
            arguments,
            mistake: Some(mistake),
        };
        let (count, _) = counter.instructions(work).await?;
        let bytes = counter.allocated(work).await?;
        wrong.instructions.insert(name.clone(), count);
        wrong.allocated_bytes.insert(name.clone(), bytes);
        ensure!(
            !wrong.changes(scale).is_empty(),
            "the mistake {mistake} goes unnoticed: {count} instructions and {bytes} bytes with it"
        );
    }
    Ok(())
}

/// The routes of a start that is counted: one team with a queue.
const QUEUE: &str = r#"[{"team":"a","queue":"https://sqs.eu-west-1.amazonaws.com/000000000000/a","types":["*"],"accounts":["*"]}]"#;

/// One team with a topic: the consumer then makes one more client while it starts, that of SNS.
const TOPIC: &str = r#"[{"team":"a","topic":"arn:aws:sns:eu-west-1:000000000000:a","types":["*"],"accounts":["*"]}]"#;

/// That the guard would notice a client more in a function's start.
async fn second_client_caught(
    counter: &Counter,
    template: &Template,
    programs: &[(&str, PathBuf)],
    scale: &Scale,
) -> Result<()> {
    let function = "consumer";
    let program = measure::program_of(programs, function)?;
    let mut variables = template.variables(function);
    variables.insert("ROUTES".to_owned(), TOPIC.to_owned());
    let with = counter.start(program, &variables).await?;
    let without = scale.start_instructions.get(function).copied();
    let without = without.context("the consumer's start was not counted")?;
    ensure!(
        percent(without, with) > TOLERANCE,
        "one more client goes unnoticed: {function} starts in {with} instructions with it, in {without} without"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn scale() -> Scale {
        let figures = |name: &str, figure| Figures::from([(name.to_owned(), figure)]);
        Scale {
            processor: "x86_64".to_owned(),
            calls: figures("delivery of 50: queues.send", 5),
            instructions: figures("delivery of 50", 6_000_000),
            allocated_bytes: figures("delivery of 50", 400_000),
            log_bytes: figures("inbound, 1 order", 300),
            item_bytes: figures("receipt, 1 order", 900),
            start_instructions: figures("inbound", 20_000_000),
            zipped_bytes: figures("inbound", 4_000_000),
        }
    }

    #[rstest]
    #[case::one_more_call("calls", 6, Some("queues.send: 6 calls, 5 are noted (+20.0 %)"))]
    #[case::one_call_less("calls", 4, Some("queues.send: 4 calls, 5 are noted (-20.0 %)"))]
    #[case::a_loop(
        "instructions",
        6_150_000,
        Some("delivery of 50: 6150000 instructions, 6000000 are noted (+2.5 %)")
    )]
    #[case::another_machine("instructions", 6_060_000, None)]
    #[case::a_slow_start(
        "start_instructions",
        21_000_000,
        Some("inbound: 21000000 instructions to start, 20000000 are noted (+5.0 %)")
    )]
    #[case::a_quick_start("start_instructions", 19_000_000, Some("(-5.0 %)"))]
    // A client more.
    #[case::a_second_client("start_instructions", 24_000_000, Some("(+20.0 %)"))]
    #[case::a_copy_of_the_body(
        "allocated_bytes",
        412_000,
        Some("delivery of 50: 412000 bytes allocated, 400000 are noted (+3.0 %)")
    )]
    #[case::a_longer_line("log_bytes", 309, Some("bytes logged, 300 are noted (+3.0 %)"))]
    #[case::a_time_of_more_digits("log_bytes", 302, None)]
    #[case::an_attribute("item_bytes", 927, Some("bytes stored, 900 are noted (+3.0 %)"))]
    #[case::a_large_program(
        "zipped_bytes",
        4_100_000,
        Some("inbound: 4100000 bytes zipped, 4000000 are noted (+2.5 %)")
    )]
    fn a_figure_that_changes_is_named(
        #[case] part: &str,
        #[case] figure: u64,
        #[case] expected: Option<&str>,
    ) {
        let mut changed = serde_json::to_value(scale()).unwrap();
        for value in changed[part].as_object_mut().unwrap().values_mut() {
            *value = figure.into();
        }
        let changed: Scale = serde_json::from_value(changed).unwrap();
        let changes = changed.changes(&scale());
        match expected {
            None => assert_eq!(changes, [""; 0]),
            Some(words) => {
                assert_eq!(changes.len(), 1, "{changes:?}");
                assert!(changes[0].contains(words), "{changes:?}");
            }
        }
    }

    #[test]
    fn a_figure_that_is_new_or_gone_is_named() {
        let empty = Scale::default();
        assert_eq!(scale().changes(&empty).len(), 7);
        assert_eq!(empty.changes(&scale()).len(), 7);
        let mut other = scale();
        other
            .calls
            .insert("delivery of 50: keys.read".to_owned(), 0);
        assert_eq!(
            other.changes(&scale()),
            ["delivery of 50: keys.read: 0 calls, 0 are noted (+0.0 %)"]
        );
    }

    #[test]
    fn counts_that_do_not_agree_are_none() {
        let mut spread = 0.0;
        assert_eq!(agreed("a", [1_000, 990], &mut spread).unwrap(), 990);
        assert_eq!(agreed("b", [1_000, 1_005], &mut spread).unwrap(), 1_000);
        assert!((spread - 1.0).abs() < 1e-9, "{spread}");
        let error = agreed("c", [1_000, 1_021], &mut spread).unwrap_err();
        assert!(error.to_string().starts_with("c: 1000 "), "{error}");
    }

    #[test]
    fn callgrinds_total_is_read() {
        let output = "version: 1\nsummary: 7\n\nfn=(1) main\n4 12\n\ntotals: 160836689\n";
        assert_eq!(instructions(output), Some(160_836_689));
        assert_eq!(instructions("version: 1\nfn=(1) main\n4 12\n"), None);
    }

    #[test]
    fn dhats_bytes_are_added_up() {
        let output = r#"{"dhatFileVersion":2,"pps":[{"tb":7,"tbk":1},{"tb":5,"tbk":2}]}"#;
        assert_eq!(allocated(output), Some(12));
        assert_eq!(allocated(r#"{"pps":[{"tbk":1}]}"#), None);
        assert_eq!(allocated("{"), None);
    }

    #[tokio::test]
    async fn nothing_but_the_request_for_an_event_is_taken_for_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let program = async {
            let mut kept = Vec::new();
            for request in ["GET / HTTP/1.1\r\n\r\n", &format!("{POLL}HTTP/1.1\r\n\r\n")] {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                kept.push(stream);
            }
            kept
        };
        let (polled, kept) = tokio::join!(polled(&listener), program);
        let polled = polled.unwrap();
        assert_eq!(
            polled.get_ref().peer_addr().unwrap(),
            kept[1].local_addr().unwrap()
        );
    }
}
