//! A stack that is up: what runs for it, how it starts and how it ends.
//!
//! All of it is kept in one state directory, so that several stacks can live side by side. Whatever was started is
//! written down at once: a command that dies half-way leaves a list from which `cargo local down` can clean up.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::build::Build;
use crate::detached::Detached;
use crate::outputs::Outputs;
use crate::places::Places;
use crate::progress::Progress;
use crate::refusal::Refusal;
use crate::teams::{self, Teams};
use crate::template::{Template, rules};
use crate::tools::Tools;
use crate::{build, deploy, emulator, job, ports, proxy, simulator};
use operate::aws::local_client;

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

/// The processes of one state directory.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Processes {
    processes: Vec<Detached>,
}

/// A stack that is up.
#[derive(Debug)]
pub struct Stack {
    places: Places,
    /// How to reach it.
    pub outputs: Outputs,
}

impl Stack {
    /// Starts a stack and returns when it is ready. If it does not get there, everything that was started is stopped.
    ///
    /// # Errors
    /// A [`Refusal`] when something is in the way; an error when a step fails.
    pub async fn up(places: &Places, options: &Options, progress: Progress) -> Result<Self> {
        build::architecture()?;
        let _lock = lock(
            places,
            "lock",
            "Another command is starting a stack in this directory at this moment. Wait for it, or choose another directory \
             with --state.",
        )?;
        if Self::is_up(places)? {
            return Err(Refusal::error(format!(
                "A stack is up already: {} says how to reach it. Stop it with `{}`, or give this one a directory and a port of \
                 its own, for example `cargo local --state .local/second up --port {}`.",
                places.shown(&places.outputs()),
                places.command("down"),
                ports::free()?
            )));
        }
        require_kept_rules(places, &options.parameters)?;
        remove(&places.outputs())?;
        remove(&list_of(places))?;
        ports::require_free(options.port)?;
        match Self::start(places, options, progress).await {
            Ok(stack) => Ok(stack),
            Err(error) => stop_all(places).await.and(Err(error)),
        }
    }

    async fn start(places: &Places, options: &Options, progress: Progress) -> Result<Self> {
        let (tools, template) = match options.build {
            // Neither needs the other.
            Build::Quick => {
                let installing = Tools::install(places, progress.beside_another());
                let template = options.template.as_deref();
                tokio::try_join!(installing, build::quick(places, template, progress))?
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

        let log = places.log_of("emulator");
        let endpoint = emulator::endpoint(options.port);
        let proxy = match options.proxy {
            true => {
                let program = proxy::build(places, progress).await?;
                let port = ports::free()?;
                let process = proxy::start(places, &program, port, &endpoint)?;
                write_down(places, &process)?;
                let url = emulator::endpoint(port);
                proxy::wait(places, &process, &url).await?;
                Some(url)
            }
            false => None,
        };
        let calls = proxy.as_ref().unwrap_or(&endpoint);
        let emulator = emulator::start(places, &tools, options.port, calls)?;
        write_down(places, &emulator)?;
        let mut source_urls = options.source_urls.clone();
        let needed = simulator::needed(&source_urls);
        let step = progress.step("Starting the sources' simulators");
        let simulators =
            simulator::start(places, &needed, |process| write_down(places, process)).await?;
        let played: Vec<&str> = simulators.keys().map(String::as_str).collect();
        step.done(&played.join(", "));
        // Of two entries of one name the later counts.
        source_urls.splice(..0, simulator::source_urls(&simulators));
        emulator::wait(&emulator, options.port, &log, progress).await?;
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
        answers(&outputs, &log, progress).await?;
        outputs.proxy_url = proxy;
        outputs.simulator_url = simulators.get(simulator::ORDERSPACE).cloned();
        outputs.simulators = simulators;
        outputs.write(&places.outputs())?;
        Ok(Self {
            places: places.clone(),
            outputs,
        })
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

    /// The stack that is up in these places.
    ///
    /// # Errors
    /// A [`Refusal`] when there is none.
    pub fn running(places: &Places) -> Result<Self> {
        let outputs = Outputs::read(&places.outputs())?;
        if !Self::is_up(places)? {
            return Err(Refusal::error(format!(
                "The stack of {} is not running any more. Clean up with `{}`, then `{}`.",
                places.shown(&places.state),
                places.command("down"),
                places.command("up")
            )));
        }
        Ok(Self {
            places: places.clone(),
            outputs,
        })
    }

    /// Stops the stack. Its data is gone: the emulator keeps it in memory.
    ///
    /// # Errors
    /// A process does not end.
    pub async fn down(&self) -> Result<()> {
        stop_all(&self.places).await?;
        Ok(())
    }

    /// Whether anything runs for these places.
    fn is_up(places: &Places) -> Result<bool> {
        Ok(processes(places)?.iter().any(Detached::runs))
    }
}

/// Ends whatever runs for these places, and returns the names of what was running.
///
/// # Errors
/// A process does not end.
pub async fn stop_all(places: &Places) -> Result<Vec<String>> {
    let processes = processes(places)?;
    remove(&places.outputs())?;
    let mut stopped = Vec::new();
    // The latest first: a simulator must not lose the gateway while it sends.
    for process in processes.iter().rev() {
        let ran = process.runs();
        process.stop().await?;
        if ran {
            stopped.push(process.name.clone());
        }
    }
    remove(&list_of(places))?;
    // What the emulator unpacked: the functions' programs, a hundred megabytes a run.
    let _ = std::fs::remove_dir_all(places.scratch());
    std::fs::create_dir_all(places.scratch())?;
    Ok(stopped)
}

/// The processes that were started for these places.
///
/// # Errors
/// Their list is damaged.
pub fn processes(places: &Places) -> Result<Vec<Detached>> {
    Ok(read_list(places)?.processes)
}

/// One of the processes that run for these places, by its name.
///
/// # Errors
/// A [`Refusal`] when it does not run.
pub fn process(places: &Places, name: &str) -> Result<Detached> {
    let running = processes(places)?
        .into_iter()
        .find(|process| process.name == name && process.runs());
    running.ok_or_else(|| {
        Refusal::error(format!(
            "The {name} of the stack in {} does not run.",
            places.shown(&places.state)
        ))
    })
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

fn list_of(places: &Places) -> PathBuf {
    places.state.join("processes.json")
}

fn read_list(places: &Places) -> Result<Processes> {
    match std::fs::read(list_of(places)) {
        Ok(text) => serde_json::from_slice(&text).with_context(|| {
            format!(
                "{} is damaged; end the processes in it, then delete it",
                list_of(places).display()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Processes::default()),
        Err(error) => Err(error.into()),
    }
}

fn write_down(places: &Places, process: &Detached) -> Result<()> {
    let mut list = read_list(places)?;
    list.processes.push(process.clone());
    std::fs::write(list_of(places), serde_json::to_vec_pretty(&list)?)
        .with_context(|| format!("{} could not be written", list_of(places).display()))
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
