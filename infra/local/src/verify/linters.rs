//! Programs of others that look at the template, at what the project is made of and at what it was built into.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::process::Command;

use super::report::Outcome;
use crate::emulator::REGION;
use crate::job;
use crate::places::Places;
use crate::progress::Progress;
use crate::tools::{Tools, without_cargos_own};

/// Makes SAM's template the one that CloudFormation gets.
const TRANSFORM: &str = "infra/local/transform.py";

/// What checkov leaves out, with reasons.
const CHECKOV: &str = "infra/local/checkov.yaml";

/// checkov on the resources that SAM makes of the template.
///
/// # Errors
/// A finding that `checkov.yaml` does not leave out; a template that SAM cannot transform.
pub(super) async fn checkov(places: &Places, tools: &Tools, progress: Progress) -> Result<Outcome> {
    let log = places.log_of("checkov");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let python = Tools::checkov(places, progress).await?;
    let transformed = places.scratch().join("transformed.json");
    let mut transform = tools.sam_program("python");
    transform
        .arg(places.root.join(TRANSFORM))
        .arg(places.template())
        .arg(&transformed)
        .env("AWS_DEFAULT_REGION", REGION);
    job::succeed("SAM's transform", transform, &log, |_| {}).await?;
    let mut command = Command::new(python);
    command
        .args(["-m", "checkov.main", "--config-file"])
        .arg(places.root.join(CHECKOV))
        .arg("--file")
        .arg(&transformed);
    let mut passed = None;
    job::succeed("checkov", command, &log, |line| {
        passed = passed.take().or_else(|| passed_checks(line));
    })
    .await?;
    match passed {
        None | Some(0) => bail!("checkov checked nothing; see {}", log.display()),
        Some(passed) => Ok(Outcome::Passed(format!("{passed} checks passed"))),
    }
}

/// The figure in `Passed checks: 63, Failed checks: 0, Skipped checks: 0`.
fn passed_checks(line: &str) -> Option<u64> {
    let figures = line.trim().strip_prefix("Passed checks: ")?;
    figures.split(',').next()?.parse().ok()
}

/// Known weaknesses of the crates, by a list that has to be fetched.
///
/// # Errors
/// A crate of the lock file is in the list.
pub(super) async fn advisories(places: &Places) -> Result<Outcome> {
    let log = places.log_of("advisories");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let today = today().await?;
    let fetched = job::run(cargo(places, &["deny", "fetch", "db"]), &log, |_| {}).await?;
    if !fetched.success() {
        return Ok(Outcome::NotChecked(format!(
            "on {today} the list could not be fetched from https://github.com/rustsec/advisory-db"
        )));
    }
    let check = cargo(places, &["deny", "check", "advisories"]);
    job::succeed("cargo deny", check, &log, |_| {}).await?;
    Ok(Outcome::Passed(format!(
        "no crate is in the list of {today}"
    )))
}

fn cargo(places: &Places, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(&places.root);
    without_cargos_own(&mut command);
    command
}

/// The day in UTC, as the machine's own program says it.
async fn today() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%F"]).output().await;
    let output = output.context("`date` could not be started")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// That the programs which were packed are for the processor that the template's `Architecture` was deployed with: Lambda
/// takes any file, and one of another processor fails at its first invocation.
///
/// # Errors
/// One is for another processor, or is no program; there is none.
pub(super) fn processor(places: &Places, architecture: &str) -> Result<Outcome> {
    let directory = places.state.join("build");
    let programs = programs_in(&directory)?;
    ensure!(
        !programs.is_empty(),
        "no program was built in {}",
        places.shown(&directory)
    );
    for program in &programs {
        let shown = places.shown(program);
        let mut header = [0; HEADER];
        let mut file = std::fs::File::open(program)?;
        std::io::Read::read_exact(&mut file, &mut header)
            .with_context(|| format!("{shown} is too short for a program"))?;
        match machine(&header) {
            Some(found) if found == architecture => {}
            found => bail!(
                "{shown} is built for {}, and the template's Architecture is {architecture}",
                found.unwrap_or("no processor that Lambda has")
            ),
        }
    }
    Ok(Outcome::Passed(format!(
        "{} programs for {architecture}",
        programs.len()
    )))
}

/// The functions' programs below a directory. Lambda calls each of them `bootstrap`.
fn programs_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut programs = Vec::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("{} could not be read", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() == "bootstrap" {
                programs.push(entry.path());
            }
        }
    }
    Ok(programs)
}

/// The bytes of a program's header that say what it is for.
const HEADER: usize = 20;

/// The processor of a 64-bit little-endian ELF program, as the template names it: `e_machine`.
/// <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>
fn machine(header: &[u8; HEADER]) -> Option<&'static str> {
    let [0x7f, b'E', b'L', b'F', 2, 1, .., low, high] = *header else {
        return None;
    };
    match u16::from_le_bytes([low, high]) {
        62 => Some("x86_64"),
        183 => Some("arm64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn header(machine: u16) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        header[18..].copy_from_slice(&machine.to_le_bytes());
        header
    }

    #[rstest]
    #[case::x86_64(header(62), Some("x86_64"))]
    #[case::arm64(header(183), Some("arm64"))]
    #[case::of_32_bits(header(40), None)]
    #[case::a_script(*b"#!/bin/sh\nexec other", None)]
    fn a_programs_processor_is_in_its_header(
        #[case] header: [u8; HEADER],
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(machine(&header), expected);
    }

    #[rstest]
    #[case::of_the_same(&[("a", 62), ("b", 62)], true)]
    #[case::one_of_another(&[("a", 62), ("b", 183)], false)]
    #[case::none(&[], false)]
    fn every_program_is_for_the_templates_processor(
        #[case] programs: &[(&str, u16)],
        #[case] good: bool,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::of(Some(directory.path())).unwrap();
        std::fs::create_dir_all(places.state.join("build/functions")).unwrap();
        for (name, machine) in programs {
            let folder = places.state.join("build/functions").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("bootstrap"), header(*machine)).unwrap();
        }
        assert_eq!(processor(&places, "x86_64").is_ok(), good);
    }

    #[test]
    fn what_is_too_short_for_a_program_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::of(Some(directory.path())).unwrap();
        std::fs::create_dir_all(places.state.join("build")).unwrap();
        std::fs::write(places.state.join("build/bootstrap"), b"\x7fELF").unwrap();
        assert!(processor(&places, "x86_64").is_err());
    }

    #[rstest]
    #[case("Passed checks: 63, Failed checks: 0, Skipped checks: 0", Some(63))]
    #[case("\tPASSED for resource: AWS::S3::Bucket.B", None)]
    #[case("Passed checks: many", None)]
    fn checkovs_figure_is_read(#[case] line: &str, #[case] expected: Option<u64>) {
        assert_eq!(passed_checks(line), expected);
    }

    /// A comment above each check that is left out says why, in a sentence.
    #[test]
    fn whatever_checkov_leaves_out_has_a_reason() {
        let text = include_str!("../../checkov.yaml");
        let (_, skipped) = text.split_once("skip-check:\n").unwrap();
        let mut reason = String::new();
        let mut count = 0;
        for line in skipped.lines().map(str::trim) {
            if let Some(comment) = line.strip_prefix('#') {
                reason.push_str(comment);
            } else {
                let name = line.strip_prefix("- ").unwrap();
                assert!(name.starts_with("CKV"), "{name}");
                assert!(
                    reason.len() > 40 && reason.ends_with('.'),
                    "{name}: {reason}"
                );
                reason.clear();
                count += 1;
            }
        }
        assert!(count > 0);
    }
}
