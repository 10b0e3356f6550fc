//! A stack that is up: what runs for it, how it starts and how it ends.
//!
//! The process that starts a stack runs it, and ends it when the [`Stack`] is dropped. All of it is kept in one state
//! directory, so that several stacks can live side by side. Its lock is held for as long as the stack is there: the kernel
//! lets go of it when the process ends, so that it never lies.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::simulator::Simulator;
use anyhow::{Context as _, Result};

use crate::aws::local_client;
use crate::build::Build;
use crate::outputs::Outputs;
use crate::places::Places;
use crate::program::Program;
use crate::progress::Progress;
use crate::refusal::Refusal;
use crate::teams::{self, Teams};
use crate::template::{Template, rules};
use crate::tools::Tools;
use crate::{build, deploy, emulator, job, ports, proxy, simulator};

/// How a stack is to be started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The emulator's port.
    pub port: u16,
    /// Addresses of the sources' APIs, as `NAME=URL`, in place of their simulators'.
    pub source_urls: Vec<String>,
    /// More template parameters, as `Name=Value`.
    pub parameters: Vec<String>,
    /// Which build of the functions it runs.
    pub build: Build,
    /// Whether the tests' proxy is to be built, and put between the functions and the emulator.
    pub proxy: bool,
    /// A template to deploy in place of the project's, with the quick build alone.
    pub template: Option<PathBuf>,
}

/// The name of the lock that a stack holds in its state directory.
const LOCK: &str = "lock";

/// A stack that this process runs. When it is dropped nothing is left running, and its data is gone: the emulator keeps it in
/// memory.
#[derive(Debug)]
pub struct Stack {
    /// How to reach it.
    pub outputs: Outputs,
    running: Running,
}

/// What runs for a stack that is up or being started.
#[derive(Debug)]
struct Running {
    places: Places,
    simulators: BTreeMap<String, Simulator>,
    programs: Vec<Program>,
    _lock: File,
}

impl Running {
    /// Takes the state directory, in which nothing runs yet.
    fn new(places: &Places) -> Result<Self> {
        let taken = format!(
            "A stack is up already in {}, or being started: once it is up, outputs.json there says how to reach it. End it with \
             Ctrl-C where it runs, or give this one a directory and a port of its own, for example `cargo local --state \
             .local/second up --port {}`.",
            places.shown(&places.state),
            ports::free()?
        );
        let running = Self {
            _lock: lock(places, LOCK, &taken)?,
            places: places.clone(),
            simulators: BTreeMap::new(),
            programs: Vec::new(),
        };
        // A process that was killed left them behind.
        running.clean()?;
        Ok(running)
    }

    /// Removes what describes the stack, and what the emulator unpacked: the functions' programs, a hundred megabytes a run.
    fn clean(&self) -> Result<()> {
        remove(&self.places.outputs())?;
        let _ = std::fs::remove_dir_all(self.places.scratch());
        Ok(std::fs::create_dir_all(self.places.scratch())?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = remove(&self.places.outputs());
        self.simulators.clear();
        // The latest first: the emulator's functions call through the proxy until they end.
        while self.programs.pop().is_some() {}
        let _ = self.clean();
    }
}

impl Stack {
    /// Starts a stack and returns when it is ready. If it does not get there, everything that was started is ended.
    ///
    /// # Errors
    /// A [`Refusal`] when something is in the way; an error when a step fails.
    pub async fn up(places: &Places, options: &Options, progress: Progress) -> Result<Self> {
        build::architecture()?;
        let mut running = Running::new(places)?;
        require_kept_rules(places, &options.parameters)?;
        ports::require_free(options.port)?;
        let outputs = Self::start(&mut running, options, progress).await?;
        Ok(Self { outputs, running })
    }

    /// Waits until a program of the stack ends by itself, and returns that as an error.
    pub async fn ended(&self) -> anyhow::Error {
        loop {
            if let Some(ended) = self.running.programs.iter().find_map(Program::ended) {
                return ended;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn start(
        running: &mut Running,
        options: &Options,
        progress: Progress,
    ) -> Result<Outputs> {
        let Running {
            places,
            simulators,
            programs,
            ..
        } = running;
        let (tools, template) = match options.build {
            // Neither needs the other.
            Build::Quick => {
                let installing = Tools::install(places, progress.beside_another());
                let template = options.template.as_deref();
                let building = build::quick(places, template, progress);
                let (tools, template) = tokio::try_join!(installing, building)?;
                build::pack(places, &tools).await?;
                (tools, template)
            }
            Build::Release if options.template.is_some() => {
                return Err(Refusal::error(
                    "Another template than the project's goes with the quick build alone.",
                ));
            }
            Build::Release => {
                let tools = Tools::install(places, progress).await?;
                let template = build::functions(places, &tools, progress).await?;
                (tools, template)
            }
        };

        let endpoint = emulator::endpoint(options.port);
        let proxy = match options.proxy {
            true => {
                let program = proxy::build(places, progress).await?;
                let port = ports::free()?;
                programs.push(proxy::start(places, &program, port, &endpoint).await?);
                Some(emulator::endpoint(port))
            }
            false => None,
        };
        let calls = proxy.as_ref().unwrap_or(&endpoint);
        let emulator = emulator::start(places, &tools, options.port, calls)?;
        let emulator_pid = emulator.pid();
        programs.push(emulator);
        let mut source_urls = options.source_urls.clone();
        *simulators = simulator::start(&simulator::needed(&source_urls)).await?;
        let simulators = simulators.iter();
        let simulators: BTreeMap<_, _> = simulators
            .map(|(source, simulator)| (source.clone(), simulator.url()))
            .collect();
        // Of two entries of one name the later counts.
        source_urls.splice(..0, simulator::source_urls(&simulators));
        if let Some(emulator) = programs.last() {
            emulator::wait(emulator, options.port, progress).await?;
        }
        let teams = match options.build {
            Build::Quick => teams::make(&deploy::emulator_of(options.port)?).await?,
            Build::Release => Teams::default(),
        };
        // Of two values of one parameter the later counts.
        let parameters = [&*teams.parameters, &*options.parameters].concat();
        let mut outputs = deploy::deploy(
            places,
            &tools,
            &template,
            options.port,
            &source_urls,
            &parameters,
            progress,
        )
        .await?;
        for (name, url) in teams.outputs {
            outputs.stack.entry(name.to_owned()).or_insert(url);
        }
        answers(&outputs, &places.log_of("emulator"), progress).await?;
        outputs.emulator_pid = Some(emulator_pid);
        outputs.proxy_url = proxy;
        outputs.simulator_url = simulators.get(simulator::ORDERSPACE).cloned();
        outputs.simulators = simulators;
        outputs.write(&places.outputs())?;
        Ok(outputs)
    }

    /// Deploys another template over a stack of the quick build that is up, with its programs as they are; without one,
    /// the project's.
    ///
    /// # Errors
    /// The template cannot be read or deployed.
    pub async fn update(
        places: &Places,
        outputs: &Outputs,
        template: Option<&Path>,
        parameters: &[String],
        progress: Progress,
    ) -> Result<()> {
        let template = build::beside_programs(places, template)?;
        let port = outputs.endpoint_url.rsplit(':').next().unwrap_or_default();
        let port = port.parse().context("the emulator's address has no port")?;
        let source_urls = simulator::source_urls(&outputs.simulators);
        let tools = Tools::at(places);
        deploy::update(
            places,
            &tools,
            &template,
            port,
            &source_urls,
            parameters,
            progress,
        )
        .await?;
        Ok(())
    }
}

/// How to reach the stack that another process runs in these places.
///
/// # Errors
/// A [`Refusal`] when there is none.
pub fn running(places: &Places) -> Result<Outputs> {
    let outputs = Outputs::read(&places.outputs())?;
    let lock = File::open(places.state.join(LOCK));
    let is_held =
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)));
    if !is_held {
        return Err(Refusal::error(format!(
            "The stack of {} is not running any more. Start one with `{}`.",
            places.shown(&places.state),
            places.command("up")
        )));
    }
    Ok(outputs)
}

/// Makes sure that parameters which depend on each other still fit together, such as a lane's visibility timeout and the
/// time-out of its consumer: on AWS too they would be deployed together, and the template's check sees the defaults only.
///
/// # Errors
/// A [`Refusal`] that names the rule, or the parameter that the template does not have.
fn require_kept_rules(places: &Places, parameters: &[String]) -> Result<()> {
    if parameters.is_empty() {
        return Ok(());
    }
    let path = places.template();
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{} could not be read", path.display()))?;
    let template = Template::parse(&text)?
        .with_parameters(parameters)
        .map_err(|error| Refusal::error(format!("A --parameter cannot be used: {error}.")))?;
    let findings: Vec<String> = rules::check(&template)
        .iter()
        .map(ToString::to_string)
        .collect();
    if findings.is_empty() {
        return Ok(());
    }
    Err(Refusal::error(format!(
        "With these parameters the template breaks its own rules:\n  {}",
        findings.join("\n  ")
    )))
}

/// Sees that inbound starts and answers: a request without an account gets the answer for unauthenticated requests.
async fn answers(outputs: &Outputs, log: &Path, progress: Progress) -> Result<()> {
    let step = progress.step("Waiting for the first answer");
    let url = format!("{}/orderspace/nobody", outputs.get("HooksUrl")?);
    let status = local_client()?.post(&url).body("[]").send().await?.status();
    if status.as_u16() != 401 {
        anyhow::bail!(
            "the deployed stack answered {status} to an unauthenticated request, where 401 is right. The end of the emulator's log, which \
             is also the functions':\n\n{}\n\nAll of it is in {}",
            job::tail(log, 0)?,
            log.display()
        );
    }
    step.done("an unauthenticated request got 401");
    Ok(())
}

/// Takes one of the state directory's locks, which the file holds until it is dropped.
///
/// # Errors
/// A [`Refusal`] that says `taken` when another command has it.
pub fn lock(places: &Places, name: &str, taken: &str) -> Result<File> {
    let file = File::create(places.state.join(name))?;
    file.try_lock().map_err(|_| Refusal::error(taken))?;
    Ok(file)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(error).with_context(|| format!("{} could not be removed", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[tokio::test]
    async fn a_state_directory_has_one_stack() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::of(Some(directory.path())).unwrap();
        let first = Running::new(&places).unwrap();
        let second = Stack::up(&places, &Options::default(), Progress::new()).await;
        let refused = second.unwrap_err();
        assert!(refused.downcast_ref::<Refusal>().is_some());
        for words in ["up already", "Ctrl-C", "--state", "--port"] {
            assert!(refused.to_string().contains(words), "{refused}");
        }
        drop(first);
        Running::new(&places).unwrap();
    }

    #[test]
    fn outputs_that_a_killed_process_left_behind_are_no_stack() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::of(Some(directory.path())).unwrap();
        let write = || {
            let outputs = r#"{"EndpointUrl":"http://127.0.0.1:1","Region":"eu-west-1","AccessKeyId":"test",
                "SecretAccessKey":"test","StackName":"orderhook"}"#;
            std::fs::write(places.outputs(), outputs).unwrap();
        };
        let none = |words: &str| {
            let refused = running(&places).unwrap_err();
            assert!(refused.downcast_ref::<Refusal>().is_some());
            assert!(refused.to_string().contains(words), "{refused}");
        };
        write();
        none("not running any more");
        let up = Running::new(&places).unwrap();
        none("No stack is up");
        write();
        assert_eq!(running(&places).unwrap().stack_name, "orderhook");
        drop(up);
        none("No stack is up");
        write();
        none("not running any more");
    }

    #[rstest]
    #[case::none(&[], None)]
    #[case::that_fit(&["ConsumerTimeout=5", "LaneVisibilityTimeout=31"], None)]
    #[case::a_run_that_outlasts_the_visibility(&["LaneVisibilityTimeout=31"], Some("VisibilityTimeout is 31 s"))]
    #[case::a_window_too_many(&["ConsumerTimeout=5", "LaneVisibilityTimeout=30"], Some("[visibility]"))]
    #[case::a_budget_beyond_the_time_out(&["InboundTimeout=4", "AnswerBudgetMs=4000"], Some("[inbound-times]"))]
    #[case::a_misspelt_one(&["ConsumerTimeOut=5"], Some("no parameter ConsumerTimeOut"))]
    fn parameters_keep_the_rules(#[case] parameters: &[&str], #[case] refused: Option<&str>) {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::of(Some(directory.path())).unwrap();
        let parameters: Vec<String> = parameters.iter().map(|text| (*text).to_owned()).collect();
        let outcome = require_kept_rules(&places, &parameters);
        match refused {
            None => outcome.unwrap(),
            Some(words) => {
                let error = outcome.unwrap_err();
                assert!(error.downcast_ref::<Refusal>().is_some());
                assert!(error.to_string().contains(words), "{error}");
            }
        }
    }
}
