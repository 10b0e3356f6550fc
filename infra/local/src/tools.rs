//! Installs the emulator and the SAM CLI into two virtual environments below `.local/tools/`, at pinned versions with
//! the hashes of their files; [`cargo-lambda`](Tools::install_cargo_lambda) and [`checkov`](Tools::checkov) into further ones
//! when they are asked for. One more environment has pip, and installs into all the others.
//!
//! An environment is used again as long as its list of requirements and the Python that made it are the same; a marker,
//! written last, tells. Nothing is installed outside the project.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::job;
use crate::places::Places;
use crate::progress::Progress;
use crate::refusal::Refusal;

/// The names under which a machine may have a Python that is new enough.
const PYTHONS: [&str; 5] = [
    "python3",
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
];

/// Prints its version as two numbers; fails where `venv` or its installer is missing, which Debian ships apart.
const PROBE: &str = "import sys, venv, ensurepip; print(sys.version_info[0], sys.version_info[1])";

/// Written into an environment when everything is installed.
const MARKER: &str = ".installed";

/// The environments that every command needs, and where the builder's is.
#[derive(Clone, Debug)]
pub struct Tools {
    emulator: PathBuf,
    sam: PathBuf,
    cargo_lambda: PathBuf,
}

impl Tools {
    /// Makes sure that both environments are there and complete.
    ///
    /// # Errors
    /// A [`Refusal`] when no usable Python is found; an error with the end of pip's output when an installation fails.
    pub async fn install(places: &Places, progress: Progress) -> Result<Self> {
        let tools = Self::at(places);
        for (what, directory, requirements) in [
            (
                "the emulator (ministack)",
                &tools.emulator,
                include_str!("../emulator-requirements.txt"),
            ),
            (
                "the SAM CLI and cfn-lint",
                &tools.sam,
                include_str!("../sam-requirements.txt"),
            ),
        ] {
            install(what, directory, requirements, places, progress).await?;
        }
        Ok(tools)
    }

    /// Makes sure that cargo-lambda's environment is there and complete. With its linker it takes 470 MB, and only a build
    /// for AWS needs it.
    ///
    /// # Errors
    /// Those of [`Tools::install`].
    pub async fn install_cargo_lambda(&self, places: &Places, progress: Progress) -> Result<()> {
        let requirements = include_str!("../cargo-lambda-requirements.txt");
        let directory = &self.cargo_lambda;
        install("cargo-lambda", directory, requirements, places, progress).await
    }

    /// The Python of checkov's environment, which is installed if it is not there. It has 290 MB and takes
    /// minutes, and a release alone needs it.
    ///
    /// # Errors
    /// Those of [`Tools::install`].
    pub async fn checkov(places: &Places, progress: Progress) -> Result<PathBuf> {
        let directory = places.tools.join("checkov");
        let requirements = include_str!("../checkov-requirements.txt");
        install("checkov", &directory, requirements, places, progress).await?;
        Ok(directory.join("bin/python"))
    }

    /// Where the environments are, installed or not.
    pub fn at(places: &Places) -> Self {
        Self {
            emulator: places.tools.join("emulator"),
            sam: places.tools.join("sam"),
            cargo_lambda: places.tools.join("cargo-lambda"),
        }
    }

    /// The directory of the emulator's programs.
    pub fn emulator_programs(&self) -> PathBuf {
        self.emulator.join("bin")
    }

    /// Runs a Python module of the SAM environment. By module, because a script's first line must not be longer than
    /// some kernels read, and a project can lie deep.
    pub fn sam_module(&self, module: &str) -> Command {
        let mut command = self.sam_program("python");
        command.args(["-m", module]);
        command
    }

    /// Runs a Python script of the SAM environment that is no module; not by its first line either.
    pub fn sam_script(&self, name: &str) -> Command {
        let mut command = self.sam_program("python");
        command.arg(self.sam.join("bin").join(name));
        command
    }

    /// Runs a program of the SAM environment. What it starts finds the environment's other programs, and cargo-lambda where
    /// that is installed.
    pub fn sam_program(&self, name: &str) -> Command {
        self.program(&self.sam, name)
    }

    /// Runs cargo-lambda, which [`Tools::install_cargo_lambda`] installs.
    pub fn cargo_lambda(&self) -> Command {
        self.program(&self.cargo_lambda, "cargo-lambda")
    }

    /// Runs a program with both environments on its PATH. cargo-lambda's comes first: it finds its linker by `python3 -m
    /// ziglang`, and only its own Python has that.
    fn program(&self, environment: &Path, name: &str) -> Command {
        let mut command = Command::new(environment.join("bin").join(name));
        let ours = [&self.cargo_lambda, &self.sam].map(|environment| environment.join("bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        if let Ok(path) = std::env::join_paths(ours.into_iter().chain(std::env::split_paths(&path)))
        {
            command.env("PATH", path);
        }
        command.env("SAM_CLI_TELEMETRY", "0");
        without_cargos_own(&mut command);
        command
    }
}

/// Takes away what `cargo run` set for this program, so that a cargo further down works as if started from a shell.
pub fn without_cargos_own(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || matches!(
                &*text,
                "CARGO" | "CARGO_BIN_NAME" | "CARGO_CRATE_NAME" | "LD_LIBRARY_PATH"
            )
        {
            command.env_remove(&name);
        }
    }
}

fn is_installed(directory: &Path, fingerprint: &str) -> bool {
    std::fs::read_to_string(directory.join(MARKER)).is_ok_and(|marker| marker == fingerprint)
        && is_of_its_python(directory)
}

/// Whether a virtual environment is read by the Python that it is run with: it dies with the one that it was made from, and one
/// of another version that took its place looks for packages elsewhere.
fn is_of_its_python(directory: &Path) -> bool {
    let Ok(python) = directory.join("bin/python").canonicalize() else {
        return false;
    };
    let name = python.file_name().unwrap_or_default();
    let has_version = name.to_string_lossy().starts_with("python3.");
    !has_version || directory.join("lib").join(name).is_dir()
}

/// Two commands at the same time must not install into the same directory.
async fn lock(places: &Places, progress: Progress) -> Result<std::fs::File> {
    let lock = std::fs::File::create(places.tools.join("lock"))?;
    if lock.try_lock().is_ok() {
        return Ok(lock);
    }
    let step = progress.step("Waiting for another command that installs the tools");
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await??;
    step.done("");
    Ok(lock)
}

/// Installs these requirements into an environment, unless it has them.
async fn install(
    what: &str,
    directory: &Path,
    requirements: &str,
    places: &Places,
    progress: Progress,
) -> Result<()> {
    let _lock = lock(places, progress).await?;
    if is_installed(directory, &fingerprint(requirements)) {
        return Ok(());
    }
    let pip = pip(places, progress).await?;
    make(what, directory, requirements, Some(&pip), places, progress).await
}

/// The Python of the environment that has pip, which is made if it is not there.
async fn pip(places: &Places, progress: Progress) -> Result<PathBuf> {
    let directory = places.tools.join("pip");
    let requirements = include_str!("../pip-requirements.txt");
    if !is_installed(&directory, &fingerprint(requirements)) {
        make("pip", &directory, requirements, None, places, progress).await?;
    }
    Ok(directory.join("bin/python"))
}

/// Makes an environment in place of the one that is there, and installs these requirements into it: with the pip of another
/// environment's Python, or with the one that comes with Python.
async fn make(
    what: &str,
    directory: &Path,
    requirements: &str,
    pip: Option<&Path>,
    places: &Places,
    progress: Progress,
) -> Result<()> {
    let log = &places.log_of("tools");
    let python = find_python().await?;
    let mut step = progress.step(format!("Installing {what}"));
    step.update("making a virtual environment");
    let mut venv = Command::new(&python);
    venv.args(["-m", "venv", "--clear"])
        // A pip of its own would have to be installed first, which takes seconds.
        .args(pip.map(|_| "--without-pip"))
        .arg(directory);
    job::succeed("making the virtual environment", venv, log, |_| {}).await?;

    let list = directory.join("requirements.txt");
    std::fs::write(&list, requirements)?;
    let own = directory.join("bin/python");
    let mut command = Command::new(pip.unwrap_or(&own));
    command.args(["-m", "pip"]);
    if pip.is_some() {
        command.arg("--python").arg(&own);
    }
    command.args([
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
        // Python compiles what it runs when it runs it first; most of the packages' modules it never runs.
        "--no-compile",
        // A file that is not the one that was pinned is not installed, nor one that is not in the list: it is complete.
        "--require-hashes",
        "--no-deps",
        "-r",
    ]);
    command.arg(&list);
    let packages = requirements
        .lines()
        .filter(|line| line.contains("=="))
        .count();
    let mut collected = 0;
    job::succeed("pip", command, log, |line| {
        if let Some(rest) = line.strip_prefix("Collecting ") {
            collected += 1;
            let name = rest.split_whitespace().next().unwrap_or_default();
            step.update(&format!("{collected} of {packages}: {name}"));
        } else if line.starts_with("Installing collected") {
            step.update("unpacking");
        }
    })
    .await?;
    std::fs::write(directory.join(MARKER), fingerprint(requirements))
        .context("the environment could not be marked as complete")?;
    step.done("");
    Ok(())
}

fn fingerprint(requirements: &str) -> String {
    hex::encode(Sha256::digest(requirements))
}

/// A Python that is new enough and can make virtual environments.
async fn find_python() -> Result<PathBuf> {
    let mut seen = Vec::new();
    for name in PYTHONS {
        let Some(path) = job::on_path(name) else {
            continue;
        };
        let Ok(output) = Command::new(&path).args(["-c", PROBE]).output().await else {
            continue;
        };
        let printed = String::from_utf8_lossy(&output.stdout);
        match judge(output.status.success(), &printed) {
            Verdict::Good => return Ok(path),
            Verdict::TooOld(version) => seen.push(format!("{name} is {version}")),
            Verdict::NoVenv => seen.push(format!("{name} has no venv module")),
        }
    }
    let found = if seen.is_empty() {
        "none was found on the PATH".to_owned()
    } else {
        seen.join(", ")
    };
    Err(Refusal::error(format!(
        "Python 3.10 or newer with the venv module is needed to install the emulator and the SAM CLI below .local/, and \
         {found}. On Debian and Ubuntu: `apt install python3 python3-venv`; elsewhere see https://www.python.org/downloads/."
    )))
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    TooOld(String),
    NoVenv,
}

fn judge(success: bool, printed: &str) -> Verdict {
    if !success {
        return Verdict::NoVenv;
    }
    let mut numbers = printed.split_whitespace().map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (3, 10) => Verdict::Good,
        (Some(Ok(major)), Some(Ok(minor))) => Verdict::TooOld(format!("{major}.{minor}")),
        _ => Verdict::NoVenv,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(true, "3 10\n", Verdict::Good)]
    #[case(true, "3 14\n", Verdict::Good)]
    #[case(true, "3 9\n", Verdict::TooOld("3.9".to_owned()))]
    #[case(true, "2 7\n", Verdict::TooOld("2.7".to_owned()))]
    #[case(false, "", Verdict::NoVenv)]
    #[case(true, "nonsense", Verdict::NoVenv)]
    fn pythons_are_judged_by_version_and_venv(
        #[case] success: bool,
        #[case] printed: &str,
        #[case] verdict: Verdict,
    ) {
        assert_eq!(judge(success, printed), verdict);
    }

    #[rstest]
    #[case(include_str!("../pip-requirements.txt"), "pip")]
    #[case(include_str!("../emulator-requirements.txt"), "ministack")]
    #[case(include_str!("../sam-requirements.txt"), "aws-sam-cli")]
    #[case(include_str!("../cargo-lambda-requirements.txt"), "cargo-lambda")]
    #[case(include_str!("../checkov-requirements.txt"), "checkov")]
    fn every_requirement_is_pinned_with_hashes(#[case] requirements: &str, #[case] expected: &str) {
        let text: Vec<&str> = requirements
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        // A requirement's hashes stand on lines of their own, continued by a backslash.
        let text = text.join("\n").replace("\\\n", " ");
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let is_expected = |line: &&str| line.starts_with(&format!("{expected}=="));
        assert!(lines.iter().any(is_expected), "{expected} is missing");
        for line in lines {
            assert!(line.contains("=="), "{line} is not pinned");
            let hashes: Vec<&str> = line
                .split("--hash=sha256:")
                .skip(1)
                .map(str::trim)
                .collect();
            assert!(!hashes.is_empty(), "{line} has no hash");
            for hash in hashes {
                let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
                assert!(is_hash, "{hash} of {line}");
            }
        }
    }

    #[test]
    fn an_environment_is_complete_only_with_the_marker_of_these_requirements() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("bin")).unwrap();
        std::fs::write(directory.path().join("bin/python"), "").unwrap();
        assert!(!is_installed(directory.path(), "abc"));
        std::fs::write(directory.path().join(MARKER), "abc").unwrap();
        assert!(is_installed(directory.path(), "abc"));
        assert!(!is_installed(directory.path(), "def"));
    }

    /// A distribution's new release has another Python under the same name.
    #[test]
    fn an_environment_of_another_python_is_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let packages = directory.path().join("lib/python3.11");
        std::fs::create_dir_all(packages).unwrap();
        std::fs::create_dir(directory.path().join("bin")).unwrap();
        std::fs::write(directory.path().join(MARKER), "abc").unwrap();
        let python = directory.path().join("bin/python");
        for (name, expected) in [("python3.11", true), ("python3.13", false)] {
            let real = directory.path().join(name);
            std::fs::write(&real, "").unwrap();
            std::os::unix::fs::symlink(&real, &python).unwrap();
            assert_eq!(is_installed(directory.path(), "abc"), expected, "{name}");
            std::fs::remove_file(&python).unwrap();
        }
        assert!(!is_installed(directory.path(), "abc"));
    }
}
