//! One run: everything that the pages say, measured on one machine in one go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use local::build;
use local::places::Places;
use local::progress::Progress;
use local::template::Template;
use local::tools::Tools;
use serde_json::Value;

use crate::guard;
use crate::measure::{self, ALL_FORMATS, DICTIONARY, deliver, each, launch, median, quickest};
use crate::payloads::{self, FIFTY, FIFTY_LARGER, ONE, ONE_LARGER, Payload};
use crate::peers::{self, Peers};
use crate::program::{Launch, Program};
use crate::splitting::{self, Splitting};
use crate::stand::{Message, Stand, Traffic};
use crate::tls::Certificates;

/// How often each program is started.
const STARTS: usize = 21;
/// Deliveries and batches before any counts: what is cached is then there.
const WARM: usize = 20;
/// Rounds of which the quickest counts: in each, every program has its turn, and what else runs on the machine only adds.
const ROUNDS: usize = 15;
/// Deliveries of a round.
const EACH: u32 = 20;
/// Deliveries that are handled while instructions are counted, and how many more the second time.
const COUNTED: (u64, u64) = (4, 8);

/// How often a count is begun anew where a call ran out of time under valgrind.
const COUNT_ATTEMPTS: usize = 5;

/// The program that does nothing.
pub const EMPTY: &str = "empty program";
/// The product's functions, as the pages name them.
pub const INBOUND: &str = "inbound";
/// The same function, which compresses receipts with a dictionary.
pub const INBOUND_DICTIONARY: &str = "inbound, dictionary";
/// The function that applies and forwards.
pub const CONSUMER: &str = "consumer";
/// The function that registers webhooks.
pub const SUBSCRIPTIONS: &str = "subscriptions";
/// The function that erases.
pub const ERASURE: &str = "erasure";

/// What a start takes.
#[derive(Clone, Debug)]
pub struct Start {
    /// The program.
    pub program: &'static str,
    /// Processor time until the first event is asked for, without TLS.
    pub plain: Duration,
    /// The same, with TLS.
    pub tls: Duration,
    /// Connections that it opens.
    pub connections: u64,
}

/// What a program takes for an invocation, once it is warm.
#[derive(Clone, Debug)]
pub struct Warm {
    /// Processor time.
    pub cpu: Duration,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Instructions of the release program, where they were counted.
    pub instructions: Option<u64>,
    /// Connections that the first invocation after a start opens.
    pub first_connections: u64,
    /// What AWS was asked for.
    pub traffic: Traffic,
}

/// What a warm delivery takes.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The program.
    pub program: &'static str,
    /// The payload's name.
    pub payload: &'static str,
    /// Its events.
    pub events: usize,
    /// Its bytes.
    pub bytes: usize,
    /// What it takes.
    pub warm: Warm,
}

/// What a warm batch takes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// How records are kept.
    pub format: &'static str,
    /// The payload that its messages are of.
    pub payload: &'static str,
    /// Its messages.
    pub size: usize,
    /// What it takes.
    pub warm: Warm,
}

/// All that was measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// Starts, the empty program's first.
    pub starts: Vec<Start>,
    /// Deliveries.
    pub deliveries: Vec<Delivery>,
    /// Batches.
    pub batches: Vec<Batch>,
    /// What is done besides calls to AWS.
    pub splitting: Vec<Splitting>,
    /// Bytes of each function's archive.
    pub zipped: BTreeMap<&'static str, u64>,
    /// Memory of each function, in megabytes.
    pub memory: BTreeMap<&'static str, f64>,
}

impl Report {
    /// The delivery of a payload to a program.
    ///
    /// # Errors
    /// It was not measured.
    pub fn delivery(&self, program: &str, payload: &str) -> Result<&Delivery> {
        let mut all = self.deliveries.iter();
        all.find(|delivery| delivery.program == program && delivery.payload == payload)
            .with_context(|| format!("{payload} was not delivered to {program}"))
    }

    /// A batch of such messages.
    ///
    /// # Errors
    /// It was not measured.
    pub fn batch(&self, format: &str, payload: &str, size: usize) -> Result<&Batch> {
        let mut all = self.batches.iter();
        all.find(|batch| batch.format == format && batch.payload == payload && batch.size == size)
            .with_context(|| format!("no batch of {size} of {payload} was handled, {format}"))
    }

    /// What splitting a payload takes.
    ///
    /// # Errors
    /// It was not measured.
    pub fn splitting(&self, payload: &str) -> Result<&Splitting> {
        let mut all = self.splitting.iter();
        all.find(|splitting| splitting.payload == payload)
            .with_context(|| format!("{payload} was not split"))
    }

    /// The start of a program.
    ///
    /// # Errors
    /// It was not measured.
    pub fn start(&self, program: &str) -> Result<&Start> {
        let mut all = self.starts.iter();
        all.find(|start| start.program == program)
            .with_context(|| format!("{program} was not started"))
    }
}

/// What a run needs.
struct Bench<'p> {
    template: Template,
    programs: [(&'static str, PathBuf); 4],
    on_tls: [(&'static str, PathBuf); 4],
    empty: PathBuf,
    peers: Peers,
    root: String,
    plain: Stand,
    tls: Stand,
    scratch: PathBuf,
    valgrind: PathBuf,
    places: &'p Places,
    tools: &'p Tools,
    log: PathBuf,
}

/// Measures everything.
///
/// # Errors
/// A [`Refusal`](local::refusal::Refusal) where a tool is missing; an error where a program did less than it should.
pub async fn run(
    places: &Places,
    tools: &Tools,
    built: bool,
    progress: Progress,
) -> Result<Report> {
    let valgrind = peers::on_path("valgrind")?;
    let log = places.log_of("benchmark");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let peers = Peers::install(places, tools, progress).await?;
    let programs = measure::programs(places, tools, built, progress).await?;
    let empty = match built {
        true => measure::there(places, "empty").await?,
        false => {
            let folder = places.root.join("tests/bench/empty");
            build::program(places, tools, "empty", &folder, progress).await?
        }
    };
    let scratch = places.scratch().join("benchmark");
    std::fs::create_dir_all(&scratch)?;
    let certificates = Certificates::make(places, tools, &scratch, &log).await?;
    let mut on_tls = programs.clone();
    for (function, program) in &mut on_tls {
        *program = certificates.trusting(function, program)?;
    }
    let template = tokio::fs::read_to_string(places.template()).await?;
    let bench = Bench {
        template: Template::parse(&template)?,
        programs,
        on_tls,
        empty,
        peers,
        root: certificates.root().to_string_lossy().into_owned(),
        plain: measure::stand(None).await?,
        tls: measure::stand(Some(certificates.acceptor.clone())).await?,
        scratch,
        valgrind,
        places,
        tools,
        log,
    };
    let report = bench.report(progress).await;
    // The certificates are of no use any more. The programs' logs stay where something went wrong.
    if report.is_ok() {
        std::fs::remove_dir_all(&bench.scratch)?;
    }
    report
}

impl Bench<'_> {
    async fn report(&self, progress: Progress) -> Result<Report> {
        let step = progress.step("Starting programs");
        let starts = self.starts().await?;
        step.done("");
        let mut step = progress.step("Delivering");
        let mut deliveries = Vec::new();
        let mut lanes = BTreeMap::new();
        for payload in payloads::all(&self.places.root.join("tests/fixtures"))? {
            step.update(payload.name);
            deliveries.extend(self.deliveries(&payload).await?);
            let last = deliveries
                .iter()
                .rfind(|delivery| delivery.program == INBOUND);
            let messages = last.map(|delivery| delivery.warm.traffic.messages.clone());
            lanes.insert(payload.name, messages.unwrap_or_default());
        }
        step.done("");
        let mut step = progress.step("Handling batches");
        let mut batches = Vec::new();
        for format in ALL_FORMATS {
            for (payload, size) in [(FIFTY, 10), (FIFTY_LARGER, 10), (FIFTY, 1_000)] {
                step.update(&format!("{size} of {payload}, {format}"));
                let lane = lanes.get(payload).context("a payload was not delivered")?;
                batches.push(self.batch(format, payload, size, lane).await?);
            }
        }
        step.done("");
        let splitting = splitting::measured(
            self.places,
            &self.valgrind,
            &self.scratch,
            &self.log,
            progress,
        )
        .await?;
        let mut zipped = BTreeMap::new();
        let mut memory = BTreeMap::new();
        for (function, program) in &self.programs {
            let bytes = guard::zipped(program, self.tools, &self.scratch, &self.log).await?;
            zipped.insert(*function, bytes);
            memory.insert(*function, self.memory(function)?);
        }
        Ok(Report {
            starts,
            deliveries,
            batches,
            splitting,
            zipped,
            memory,
        })
    }

    fn memory(&self, function: &str) -> Result<f64> {
        let name = match function {
            INBOUND => "InboundMemory",
            CONSUMER => "ConsumerMemory",
            _ => "SubscriptionsMemory",
        };
        let memory = self.template.number(&serde_json::json!({ "Ref": name }));
        let memory = memory.and_then(|memory| i32::try_from(memory).ok());
        memory
            .map(f64::from)
            .with_context(|| format!("template.yaml has no {name}"))
    }

    /// How a function's program is started on a stand.
    fn function(&self, name: &'static str, stand: &Stand) -> Result<Launch> {
        let programs = match std::ptr::eq(stand, &self.tls) {
            true => &self.on_tls,
            false => &self.programs,
        };
        let program = measure::program_of(programs, name)?;
        let variables = measure::variables(&self.template, name, stand);
        Ok(launch(name, program, variables, &self.scratch))
    }

    fn peers(&self, stand: &Stand) -> [Launch; 2] {
        let variables = measure::variables(&self.template, INBOUND, stand);
        let root = std::ptr::eq(stand, &self.tls).then_some(self.root.as_str());
        self.peers.launches(&variables, root)
    }

    async fn starts(&self) -> Result<Vec<Start>> {
        let mut starts: Vec<Start> = Vec::new();
        let mut measured: BTreeMap<&str, [Vec<Duration>; 2]> = BTreeMap::new();
        for round in 0..STARTS {
            for (kind, stand) in [&self.plain, &self.tls].into_iter().enumerate() {
                let variables = measure::variables(&self.template, INBOUND, stand);
                let mut all = vec![launch(EMPTY, &self.empty, variables, &self.scratch)];
                for name in [INBOUND, CONSUMER, SUBSCRIPTIONS] {
                    all.push(self.function(name, stand)?);
                }
                all.extend(self.peers(stand));
                for start in all {
                    stand.take();
                    let (program, taken) = Program::start(&start, stand, &self.scratch).await?;
                    program.stop().await?;
                    let connections = stand.take().connections;
                    let measured = measured.entry(start.name).or_default();
                    if let Some(times) = measured.get_mut(kind) {
                        times.push(taken.cpu);
                    }
                    if (round, kind) == (0, 1) {
                        starts.push(Start {
                            program: start.name,
                            plain: Duration::ZERO,
                            tls: Duration::ZERO,
                            connections,
                        });
                    }
                }
            }
        }
        for start in &mut starts {
            let [plain, tls] = measured.get(start.program).context("a start is missing")?;
            start.plain = quickest(plain);
            start.tls = quickest(tls);
        }
        Ok(starts)
    }

    async fn deliveries(&self, payload: &Payload) -> Result<Vec<Delivery>> {
        let stand = &self.tls;
        let event = payload.event();
        let mut launches = vec![self.function(INBOUND, stand)?];
        if payload.of_peers {
            launches.extend(self.peers(stand));
        }
        // Those that are paid for on the page.
        if [ONE, ONE_LARGER, FIFTY, FIFTY_LARGER].contains(&payload.name) {
            let mut with_dictionary = self.function(INBOUND, stand)?;
            with_dictionary.name = INBOUND_DICTIONARY;
            measure::keep_in(DICTIONARY, &mut with_dictionary.variables);
            launches.push(with_dictionary);
        }
        let mut running = Vec::new();
        let mut deliveries: Vec<Delivery> = Vec::new();
        for start in &launches {
            let (mut program, _) = Program::start(start, stand, &self.scratch).await?;
            stand.take();
            let (_, first) = deliver(&mut program, stand, payload, &event).await?;
            let mut last = first.clone();
            for _ in 0..WARM {
                (_, last) = deliver(&mut program, stand, payload, &event).await?;
            }
            if let Some(ours) = deliveries.first() {
                measure::same_work(start.name, payload, &last, &ours.warm.traffic)?;
            }
            deliveries.push(Delivery {
                program: start.name,
                payload: payload.name,
                events: payload.events,
                bytes: payload.body.len(),
                warm: Warm {
                    cpu: Duration::ZERO,
                    log_bytes: 0,
                    instructions: None,
                    first_connections: first.connections,
                    traffic: last,
                },
            });
            running.push((program, Vec::new(), Vec::new()));
        }
        for _ in 0..ROUNDS {
            for (program, times, logged) in &mut running {
                let mut sum = Duration::ZERO;
                for _ in 0..EACH {
                    let (taken, _) = deliver(program, stand, payload, &event).await?;
                    sum += taken.cpu;
                    logged.push(taken.log_bytes);
                }
                times.push(sum / EACH);
            }
        }
        for (delivery, (program, times, logged)) in deliveries.iter_mut().zip(running) {
            program.stop().await?;
            delivery.warm.cpu = quickest(&times);
            delivery.warm.log_bytes = median(&logged).unwrap_or_default();
        }
        if [ONE, FIFTY].contains(&payload.name) {
            let counted = self
                .instructions(
                    self.function(INBOUND, &self.plain)?,
                    &event,
                    |answer, traffic| measure::delivered(payload, answer, traffic),
                )
                .await?;
            if let Some(ours) = deliveries.first_mut() {
                ours.warm.instructions = Some(counted);
            }
        }
        Ok(deliveries)
    }

    async fn batch(
        &self,
        format: &'static str,
        payload: &'static str,
        size: usize,
        lane: &[Message],
    ) -> Result<Batch> {
        let stand = &self.tls;
        let event = measure::batch(lane, size)?;
        let in_format = |mut launch: Launch| {
            measure::keep_in(format, &mut launch.variables);
            launch
        };
        let start = in_format(self.function(CONSUMER, stand)?);
        let (mut program, _) = Program::start(&start, stand, &self.scratch).await?;
        stand.take();
        let (_, first) = measure::consume(&mut program, stand, size, &event).await?;
        // A large batch is as many messages as a round of small ones.
        let (warm, each) = match size {
            0..=10 => (WARM, EACH),
            _ => (2, 2),
        };
        for _ in 0..warm {
            measure::consume(&mut program, stand, size, &event).await?;
        }
        let (mut times, mut logged) = (Vec::new(), Vec::new());
        let mut last = first.clone();
        for _ in 0..ROUNDS {
            let mut sum = Duration::ZERO;
            for _ in 0..each {
                let (taken, traffic) = measure::consume(&mut program, stand, size, &event).await?;
                sum += taken.cpu;
                logged.push(taken.log_bytes);
                last = traffic;
            }
            times.push(sum / each);
        }
        program.stop().await?;
        let instructions = match size {
            10 => {
                let start = in_format(self.function(CONSUMER, &self.plain)?);
                Some(
                    self.instructions(start, &event, |answer, traffic| {
                        measure::consumed(size, answer, traffic)
                    })
                    .await?,
                )
            }
            _ => None,
        };
        Ok(Batch {
            format,
            payload,
            size,
            warm: Warm {
                cpu: quickest(&times),
                log_bytes: median(&logged).unwrap_or_default(),
                instructions,
                first_connections: first.connections,
                traffic: last,
            },
        })
    }

    /// The instructions of the program for one event, once it is warm. Without TLS: valgrind has no processor that encrypts.
    async fn instructions(
        &self,
        mut start: Launch,
        event: &str,
        is_clean: impl Fn(&Value, &Traffic) -> Result<()>,
    ) -> Result<u64> {
        let output = self.scratch.join("callgrind.out");
        let mut command = vec![self.valgrind.clone().into_os_string()];
        for argument in ["--tool=callgrind", "--quiet"] {
            command.push(argument.into());
        }
        command.push(format!("--callgrind-out-file={}", output.display()).into());
        command.append(&mut start.command);
        start.command = command;
        // A program is fifty times slower so: what is left of its own time limits is to be enough on a busy machine, too.
        let patience = ("ANSWER_BUDGET_MS".to_owned(), "60000".to_owned());
        start.variables.extend([patience]);
        each(COUNTED, async |times| {
            let mut attempts = 1;
            loop {
                match self.counted(&start, event, times, &is_clean, &output).await {
                    // Only a run of its own: one that was not clean counts for nothing.
                    Err(_) if attempts < COUNT_ATTEMPTS => attempts += 1,
                    counted => return counted,
                }
            }
        })
        .await
    }

    /// The instructions of a program from its start until it has handled so many events.
    async fn counted(
        &self,
        start: &Launch,
        event: &str,
        times: u64,
        is_clean: &impl Fn(&Value, &Traffic) -> Result<()>,
        output: &Path,
    ) -> Result<u64> {
        let (mut program, _) = Program::start(start, &self.plain, &self.scratch).await?;
        for _ in 0..times {
            self.plain.take();
            let (answer, _) = program.invoke(event).await?;
            is_clean(&answer, &self.plain.take())?;
        }
        program.stop().await?;
        guard::counted(output, guard::instructions)
    }
}

/// Measures, and writes the pages.
///
/// # Errors
/// Those of [`run`]: nothing is written then.
pub async fn published(
    places: &Places,
    tools: &Tools,
    built: bool,
    progress: Progress,
) -> Result<()> {
    let report = run(places, tools, built, progress)
        .await
        .context("nothing is published of this run")?;
    let pages = crate::pages::Pages::of(&report)?;
    let docs = places.root.join("infra/docs");
    write(&docs.join("performance.md"), &pages.performance)?;
    write(&docs.join("cost.md"), &pages.cost)?;
    let readme = places.root.join("README.md");
    let text = std::fs::read_to_string(&readme)?;
    if let Some(text) = crate::pages::placed(&text, &pages.readme) {
        write(&readme, &text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} could not be written", path.display()))
}
