//! Builds the functions as `sam build` does, with cargo's progress in view.
//!
//! `sam build` keeps cargo's output to itself until it fails, and the first build takes minutes. So each function is first
//! built with the very command that `sam build` will use, in the very same directories; then `sam build` finds
//! everything compiled and only packs.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::job;
use crate::places::Places;
use crate::progress::Progress;
use crate::refusal::Refusal;
use crate::tools::{Tools, without_cargos_own};

/// The packages that are functions, which are also the names of their programs.
const FUNCTIONS: [&str; 3] = ["inbound", "consumer", "subscriptions"];

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

/// Builds the functions' programs, and returns each function with the place of its program.
///
/// # Errors
/// A [`Refusal`] without cargo; an error with the end of the output when something does not compile.
pub async fn programs(
    places: &Places,
    tools: &Tools,
    progress: Progress,
) -> Result<[(&'static str, PathBuf); FUNCTIONS.len()]> {
    let architecture = architecture()?;
    let cargo = job::on_path("cargo").ok_or_else(|| {
        Refusal::error(
            "cargo is not on the PATH. Install Rust from https://rustup.rs and open a new shell.",
        )
    })?;
    let log = places.log_of("build");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let target = target_directory(places, &cargo).await?;
    for function in FUNCTIONS {
        let mut step = progress.step(format!("Building {function} for {architecture}"));
        let mut command = tools.sam_program("cargo-lambda");
        command
            .args(["lambda", "build", "--release"])
            .args((architecture == "arm64").then_some("--arm64"))
            .args(["--bin", function])
            .env("CARGO_TARGET_DIR", &target)
            .current_dir(places.root.join("functions").join(function));
        let mut compiled = 0;
        job::succeed(&format!("the build of {function}"), command, &log, |line| {
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
    }
    let program = |function| target.join("lambda").join(function).join("bootstrap");
    Ok(FUNCTIONS.map(|function| (function, program(function))))
}

/// Builds everything, and returns the template that `sam deploy` takes.
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
pub(crate) async fn target_directory(places: &Places, cargo: &std::path::Path) -> Result<PathBuf> {
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
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    metadata
        .get("target_directory")
        .and_then(serde_json::Value::as_str)
        .map(PathBuf::from)
        .context("cargo metadata names no target directory")
}
