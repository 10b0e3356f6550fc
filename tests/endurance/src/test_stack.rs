//! What a run stands on: a stack of its own, which it always stops, or one that is up, which it leaves as it was.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use local::aws::Aws;
use local::build::Build;
use local::outputs::Outputs;
use local::places::Places;
use local::ports;
use local::program;
use local::progress::Progress;
use local::refusal::Refusal;
use local::stack::{self, Options, Stack};
use serde_json::json;

use crate::disturb;

/// The lanes, as the stack's outputs begin.
pub(crate) const LANES: [&str; 6] = [
    "Customers",
    "Orders",
    "Billing",
    "Products",
    "Inventory",
    "Other",
];

/// Times that are short enough to wait for. They keep the ratios that the template's rules ask for.
const SHORT_TIMES: [&str; 5] = [
    "ConsumerTimeout=5",
    "ConsumerBatchingWindow=0",
    "FirstRetrySeconds=1",
    "InboundTimeout=5",
    "RetryLeaseSeconds=15",
];

/// A lane's visibility timeout in seconds: six times the consumer's time-out. The template asks for more, so that a function
/// that cannot start makes no dead messages overnight; it is set on the queues once they are there.
const SHORT_VISIBILITY: &str = "30";

/// A lane that hides a message for longer is not worth waiting for.
const LONGEST_VISIBILITY: u64 = 60;

/// Where a run is made.
#[derive(Clone, Debug, Args)]
pub(crate) struct Where {
    /// Directory of the stack's state. Default: .local/endurance, or .local with --running.
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    /// Port of the emulator on 127.0.0.1. Default: a free one.
    #[arg(long, global = true, conflicts_with = "running")]
    port: Option<u16>,
    /// Use the stack that is up in the state directory (`cargo local up --proxy`), and leave it up.
    #[arg(long, global = true)]
    running: bool,
    /// Run the functions as they are deployed to AWS, optimised. Their first build takes minutes more.
    #[arg(long, global = true, conflicts_with = "running")]
    release: bool,
}

/// A stack that is up.
#[derive(Debug)]
pub(crate) struct TestStack {
    /// How to reach it.
    pub(crate) outputs: Outputs,
    /// Calls to the emulator that go past the proxy.
    pub(crate) aws: Aws,
    /// The emulator's process id.
    pub(crate) emulator: i32,
    /// The proxy's address.
    pub(crate) proxy: String,
    /// What runs it, unless it was there before.
    own: Option<Stack>,
}

impl Where {
    /// The directories.
    ///
    /// # Errors
    /// They cannot be made.
    pub(crate) fn places(&self) -> Result<Places> {
        let shared = Places::of(None)?;
        match (&self.state, self.running) {
            (Some(state), _) => Places::of(Some(state)),
            (None, true) => Ok(shared),
            (None, false) => Places::of(Some(&shared.state.join("endurance"))),
        }
    }

    /// Whether the stack was there before.
    pub(crate) fn running(&self) -> bool {
        self.running
    }

    /// Finds the stack, or starts it.
    ///
    /// # Errors
    /// A [`Refusal`] when something is in the way.
    pub(crate) async fn find(
        &self,
        places: &Places,
        template: Option<&Path>,
        progress: Progress,
    ) -> Result<TestStack> {
        if template.is_some() && (self.running || self.release) {
            return Err(Refusal::error(
                "Another template goes on a stack of its own, with the quick build: leave --running and --release out.",
            ));
        }
        let own = if self.running {
            None
        } else {
            let port = self.port.map_or_else(ports::free, Ok)?;
            let options = Options {
                port,
                proxy: true,
                build: match self.release {
                    true => Build::Release,
                    false => Build::Quick,
                },
                parameters: SHORT_TIMES.map(str::to_owned).to_vec(),
                template: template.map(Path::to_path_buf),
                ..Options::default()
            };
            Some(Stack::up(places, &options, progress).await?)
        };
        let outputs = match &own {
            Some(stack) => stack.outputs.clone(),
            None => stack::running(places)?,
        };
        if own.is_some() {
            hide_for_a_short_time(&outputs).await?;
        }
        let proxy = outputs.proxy_url.clone().ok_or_else(|| {
            Refusal::error(
                "The stack was started without the proxy that makes faults. End it and start it with \
                 `cargo local up --proxy`.",
            )
        })?;
        let emulator = outputs.emulator_pid;
        Ok(TestStack {
            aws: outputs.aws()?,
            emulator: emulator.context("outputs.json has no EmulatorPid")?,
            outputs,
            proxy,
            own,
        })
    }
}

/// Deploys another template over the stack of these places, or the project's, with the same short times.
///
/// # Errors
/// It cannot be deployed.
pub(crate) async fn update(
    places: &Places,
    outputs: &Outputs,
    template: Option<&Path>,
    progress: Progress,
) -> Result<()> {
    let parameters = SHORT_TIMES.map(str::to_owned);
    Stack::update(places, outputs, template, &parameters, progress).await?;
    hide_for_a_short_time(outputs).await
}

/// Gives the lanes their short visibility timeout.
async fn hide_for_a_short_time(outputs: &Outputs) -> Result<()> {
    let aws = outputs.aws()?;
    for lane in LANES {
        let url = outputs.get(&format!("{lane}QueueUrl"))?;
        let set =
            json!({ "QueueUrl": url, "Attributes": { "VisibilityTimeout": SHORT_VISIBILITY } });
        aws.sqs("SetQueueAttributes", &set).await?;
    }
    Ok(())
}

impl TestStack {
    /// Leaves nothing behind: ends a stack that was started, or calms one that was there.
    ///
    /// # Errors
    /// The proxy does not answer.
    pub(crate) async fn leave(self) -> Result<()> {
        match self.own {
            Some(own) => drop(own),
            None => disturb::calm(&self.proxy).await?,
        }
        Ok(())
    }

    /// Whether the emulator runs.
    pub(crate) fn is_up(&self) -> bool {
        program::runs(self.emulator)
    }

    /// Returns once the emulator has ended.
    pub(crate) async fn gone(&self) {
        while self.is_up() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// One output of the template.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name)
    }

    /// A lane's queue.
    ///
    /// # Errors
    /// There is no such lane.
    pub(crate) fn lane(&self, lane: &str) -> Result<&str> {
        self.output(&format!("{lane}QueueUrl"))
    }

    /// How many messages all lanes have.
    ///
    /// # Errors
    /// A queue does not answer.
    pub(crate) async fn waiting_in_lanes(&self) -> Result<usize> {
        let mut sum = 0;
        for lane in LANES {
            sum += crate::collect::waiting(&self.aws, self.lane(lane)?).await?;
        }
        Ok(sum)
    }

    /// For how many seconds a lane hides a message, and whether that is too long to wait for.
    ///
    /// # Errors
    /// The queue does not answer.
    pub(crate) async fn visibility(&self) -> Result<(u64, bool)> {
        let attributes = crate::collect::attributes(&self.aws, self.lane("Orders")?).await?;
        let seconds = attributes.get("VisibilityTimeout");
        let seconds = seconds.and_then(|seconds| seconds.as_str()?.parse().ok());
        let seconds = seconds.unwrap_or(u64::MAX);
        Ok((seconds, seconds > LONGEST_VISIBILITY))
    }
}
