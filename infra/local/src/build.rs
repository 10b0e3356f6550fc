//! Builds the functions, with cargo's progress in view: for this machine, or as they are deployed to AWS.
//!
//! For this machine they are built like the tests, without optimisation of the SDK, which takes a third of the time.
//!
//! For AWS `sam build` builds them. It keeps cargo's output to itself until it fails, and the first build takes minutes. So
//! each function is first built with the very command that `sam build` will use, in the very same directories; then
//! `sam build` finds everything compiled and only packs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::process::Command;

use crate::job;
use crate::places::Places;
use crate::progress::{Progress, Step};
use crate::refusal::Refusal;
use crate::template::Template;
use crate::tools::{Tools, without_cargos_own};

/// The packages that are functions, which are also the names of their programs.
const FUNCTIONS: [&str; 4] = ["inbound", "consumer", "subscriptions", "erasure"];

/// Packs programs, `x/bootstrap` into `x.zip`.
const PACKER: &str = include_str!("pack.py");

/// The functions' processor, as the template names it.
///
/// # Errors
/// A [`Refusal`] where the emulator cannot run a function.
pub fn architecture() -> Result<&'static str> {
    // The emulator runs a function as a process of this machine.
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("x86_64"),
        ("linux", "aarch64") => Ok("arm64"),
        (system, processor) => Err(Refusal::error(format!(
            "The local stack runs the functions as Linux processes on x86_64 or arm64, and this is {system} on \
             {processor}. Use a Linux machine, a virtual one or a container."
        ))),
    }
}

/// Which build of the functions a stack runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Build {
    /// The one that is made soonest.
    #[default]
    Quick,
    /// The one that is deployed to AWS.
    Release,
}

/// Builds the functions for this machine, and returns the template that `sam deploy` takes once they are packed: it lies
/// beside them as the project's template lies beside their sources. Another template may take the project's place.
///
/// # Errors
/// A [`Refusal`] without cargo; an error with the end of the output when something does not compile.
pub async fn quick(
    places: &Places,
    template: Option<&Path>,
    progress: Progress,
) -> Result<PathBuf> {
    let cargo = cargo()?;
    let log = places.log_of("build");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let mut command = Command::new(&cargo);
    command
        .args(["build", "--locked"])
        .args(FUNCTIONS.iter().flat_map(|name| ["--bin", name]))
        .current_dir(&places.root);
    without_cargos_own(&mut command);
    let step = progress.step("Building the functions");
    compile("the build of the functions", command, &log, step).await?;
    let programs = target_directory(places, &cargo).await?.join("debug");
    let directory = places.state.join("build");
    for function in FUNCTIONS {
        let folder = directory.join("functions").join(function);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{} could not be created", folder.display()))?;
        let bootstrap = folder.join("bootstrap");
        strip(&programs.join(function), &bootstrap).await?;
    }
    beside_programs(places, template)
}

/// Packs the programs that [`quick`] built, each into an archive of its own, without compressing them: `sam deploy` takes an
/// archive as it is, and compresses what is in a folder for seconds.
///
/// # Errors
/// They cannot be packed.
pub async fn pack(places: &Places, tools: &Tools) -> Result<()> {
    let log = places.log_of("pack");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let mut command = tools.sam_program("python");
    command
        .args(["-c", PACKER])
        .args(FUNCTIONS)
        .current_dir(places.state.join("build/functions"));
    job::succeed("packing the functions", command, &log, |_| {}).await
}

/// The project's template, or the one that takes its place, beside the archives of [`pack`]. It is written as JSON: the SAM
/// CLI reads a template seven times, which takes it seconds where it is YAML.
///
/// # Errors
/// It cannot be read or written, or is no template.
pub fn beside_programs(places: &Places, template: Option<&Path>) -> Result<PathBuf> {
    let directory = places.state.join("build");
    let source = template.map_or_else(|| places.template(), Path::to_path_buf);
    let template = directory.join("template.json");
    let text = std::fs::read_to_string(&source)
        .with_context(|| format!("{} could not be read", source.display()))?;
    std::fs::write(&template, Template::parse(&text)?.with_archives().to_json())
        .with_context(|| format!("{} could not be written", template.display()))?;
    Ok(template)
}

/// Copies a program without its symbols, which make half of it, where the machine has a tool for that.
async fn strip(program: &Path, copy: &Path) -> Result<()> {
    if let Some(strip) = job::on_path("strip") {
        let mut command = Command::new(strip);
        command.arg("-o").arg(copy).arg(program).kill_on_drop(true);
        if command.status().await.is_ok_and(|status| status.success()) {
            return Ok(());
        }
    }
    std::fs::copy(program, copy)
        .with_context(|| format!("{} could not be copied", program.display()))?;
    Ok(())
}

/// Where cargo is.
///
/// # Errors
/// A [`Refusal`] where it is not on the PATH.
pub(crate) fn cargo() -> Result<PathBuf> {
    job::on_path("cargo").ok_or_else(|| {
        Refusal::error(
            "cargo is not on the PATH. Install Rust from https://rustup.rs and open a new shell.",
        )
    })
}

/// Runs a build and shows what it is at.
///
/// # Errors
/// Something does not compile, with the end of the output.
pub(crate) async fn compile(
    what: &str,
    command: Command,
    log: &Path,
    mut step: Step,
) -> Result<()> {
    let mut compiled = 0;
    job::succeed(what, command, log, |line| {
        let line = line.trim_start();
        if let Some(package) = line.strip_prefix("Compiling ") {
            compiled += 1;
            let name = package.split(" (").next().unwrap_or(package);
            step.update(&format!("{compiled} crates compiled, at {name}"));
        } else if line.starts_with("Blocking")
            || line.starts_with("Downloading")
            || line.starts_with("Updating")
        {
            step.update(line);
        }
    })
    .await?;
    step.done(&match compiled {
        0 => "nothing had changed".to_owned(),
        1 => "1 crate compiled".to_owned(),
        count => format!("{count} crates compiled"),
    });
    Ok(())
}

/// Builds the functions' programs for AWS, and returns each function with the place of its program.
///
/// # Errors
/// A [`Refusal`] without cargo; an error with the end of the output when something does not compile.
pub async fn programs(
    places: &Places,
    tools: &Tools,
    progress: Progress,
) -> Result<[(&'static str, PathBuf); FUNCTIONS.len()]> {
    let log = places.log_of("build");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let mut programs = FUNCTIONS.map(|function| (function, PathBuf::new()));
    for (function, path) in &mut programs {
        let folder = places.root.join("functions").join(*function);
        *path = program(places, tools, function, &folder, progress).await?;
    }
    Ok(programs)
}

/// Builds one program for AWS in the folder of its package, and returns the place of it.
///
/// # Errors
/// Those of [`programs`].
pub async fn program(
    places: &Places,
    tools: &Tools,
    name: &str,
    folder: &Path,
    progress: Progress,
) -> Result<PathBuf> {
    let architecture = architecture()?;
    let target = target_directory(places, &cargo()?).await?;
    tools.install_cargo_lambda(places, progress).await?;
    let step = progress.step(format!("Building {name} for {architecture}"));
    let mut command = tools.cargo_lambda();
    command
        .args(["lambda", "build", "--release"])
        .args((architecture == "arm64").then_some("--arm64"))
        .args(["--bin", name])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(folder);
    let log = places.log_of("build");
    compile(&format!("the build of {name}"), command, &log, step).await?;
    Ok(target.join("lambda").join(name).join("bootstrap"))
}

/// Builds the functions for AWS and packs them, and returns the template that `sam deploy` takes.
///
/// # Errors
/// Those of [`programs`]; an error with the end of the output when they cannot be packed.
pub async fn functions(places: &Places, tools: &Tools, progress: Progress) -> Result<PathBuf> {
    programs(places, tools, progress).await?;
    let architecture = architecture()?;
    let log = places.log_of("build");
    let step = progress.step("Packing the functions (sam build)");
    let directory = places.state.join("build");
    let mut command = tools.sam_module("samcli");
    command
        .arg("build")
        .arg("--template-file")
        .arg(places.template())
        .arg("--build-dir")
        .arg(&directory)
        .args([
            "--parameter-overrides",
            &format!("Architecture={architecture}"),
        ])
        .current_dir(&places.root);
    job::succeed("sam build", command, &log, |_| {}).await?;
    step.done("");
    Ok(directory.join("template.yaml"))
}

/// The workspace's target directory, found as `sam build` finds it.
///
/// # Errors
/// Cargo does not say it.
pub async fn target_directory(places: &Places, cargo: &Path) -> Result<PathBuf> {
    metadata(places, cargo)
        .await?
        .get("target_directory")
        .and_then(Value::as_str)
        .map(PathBuf::from)
        .context("cargo metadata names no target directory")
}

/// What cargo says of the workspace's own packages.
async fn metadata(places: &Places, cargo: &Path) -> Result<Value> {
    let mut command = Command::new(cargo);
    command
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(&places.root);
    without_cargos_own(&mut command);
    let output = command
        .output()
        .await
        .context("cargo could not be started")?;
    if !output.status.success() {
        bail!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata prints no JSON")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the functions have to be made with.
    const ASKED_FOR: [&str; 12] = [
        "aws-config",
        "aws-sdk-dynamodb",
        "aws-sdk-secretsmanager",
        "aws-sdk-sqs",
        "hmac",
        "lambda_http",
        "lambda_runtime",
        "serde",
        "serde_json",
        "sha2",
        "tokio",
        "tracing",
    ];

    /// The packages that a function or one of the workspace's crates that it is made of names as its dependencies, without
    /// those of its tests and its build.
    fn dependencies(metadata: &Value) -> BTreeSet<&str> {
        let packages = metadata["packages"].as_array().unwrap();
        let mut found = BTreeSet::new();
        let mut crates = FUNCTIONS.to_vec();
        while let Some(name) = crates.pop() {
            let package = packages.iter().find(|package| package["name"] == name);
            let dependencies = package.unwrap()["dependencies"].as_array().unwrap();
            for dependency in dependencies.iter().filter(|one| one["kind"].is_null()) {
                let name = dependency["name"].as_str().unwrap();
                if found.insert(name) && dependency["path"].is_string() {
                    crates.push(name);
                }
            }
        }
        found
    }

    #[tokio::test]
    async fn the_functions_use_every_package_that_was_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::of(Some(directory.path())).unwrap();
        let metadata = metadata(&places, Path::new("cargo")).await.unwrap();
        let found = dependencies(&metadata);
        let missing: Vec<_> = ASKED_FOR
            .into_iter()
            .filter(|package| !found.contains(package))
            .collect();
        assert_eq!(missing, [""; 0]);
        // A package that tests alone use is none of theirs.
        assert!(found.contains("domain") && !found.contains("testkit"));
    }
}
