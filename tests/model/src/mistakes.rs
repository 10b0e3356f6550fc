//! Proof that the check can fail: each file in `mistakes/` is a mistake that somebody could make, as a patch of
//! the product's sources. It is made in a copy, built there, and has to be caught.
//!
//! The copy lies in the target directory and shares it, so that nothing is compiled twice but what changes; it
//! leaves out the functions' programs and adapters, with the SDK behind them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::workers;

/// Which mistakes to make.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only those whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// How many schedules each has for being caught.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    schedules: u64,
}

/// A mistake.
struct Mistake {
    name: String,
    /// What it is, in a sentence.
    what: String,
    /// The invariants, by their first words, of which one has to catch it.
    by: Vec<String>,
    /// The test that has to catch it instead, where no schedule can.
    caught_by_test: Option<Test>,
    files: Vec<Changed>,
}

/// A test of one of the copied packages.
struct Test {
    package: String,
    /// The target in that package, as `cargo test` takes it.
    target: Vec<String>,
    name: String,
}

/// What a patch does to one file.
struct Changed {
    path: PathBuf,
    /// Texts and what stands in their places.
    hunks: Vec<(String, String)>,
}

/// The packages that are copied.
const PACKAGES: [&str; 9] = [
    "shared/domain",
    "shared/sources",
    "shared/runtime",
    "shared/testkit",
    "functions/inbound",
    "functions/consumer",
    "functions/subscriptions",
    "tests/simulator",
    "tests/model",
];

/// Those among them whose tests can be named.
const TESTED: [&str; 3] = ["shared/domain", "shared/sources", "functions/subscriptions"];

/// What tests read from elsewhere, as it stands.
const READ: [&str; 2] = ["tests/fixtures", "infra/events"];

/// What their sources include from elsewhere.
const INCLUDED: [&str; 1] = ["infra/admin-api.openapi.yaml"];

/// Makes each mistake in turn. `true` if all are caught.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).context("there is no workspace")?;
    let copy = Copy::new(root)?;
    let mistakes = read_all(&here.join("mistakes"), options.only.as_deref())?;
    ensure!(
        !mistakes.is_empty(),
        "there is no such mistake in {}",
        here.join("mistakes").display()
    );
    println!(
        "{:34}{:24}{:>8}  what is wrong",
        "mistake", "caught by", "seed"
    );
    // Without a mistake nothing must be caught: the copy is the product.
    copy.restore(&[])?;
    let program = copy.build()?;
    if let Some((seed, what)) = workers::any_broken(&program, 500)? {
        bail!("the copy breaks without any mistake: seed {seed}, {what}");
    }
    for test in mistakes.iter().flat_map(|mistake| &mistake.caught_by_test) {
        ensure!(copy.passes(test)?, "{} fails without a mistake", test.name);
    }
    let mut good = true;
    // While a mistake meets its schedules, the next one is compiled.
    let mut trial: Option<Trial> = None;
    for (number, mistake) in mistakes.iter().enumerate() {
        let place = || format!("mistakes/{}.patch", mistake.name);
        copy.restore(&mistake.files).with_context(place)?;
        if let Some(test) = &mistake.caught_by_test {
            let passes = copy.passes(test).with_context(place)?;
            good &= !passes;
            mistake.print(if passes { "NOTHING" } else { "its test" }, "-");
            continue;
        }
        let program = copy.build().with_context(place)?;
        let program = copy.keep(&program, number % 2)?;
        if let Some(trial) = trial.take() {
            good &= trial.ends_well()?;
        }
        let schedules = options.schedules;
        trial = Some(Trial {
            mistake,
            caught: thread::spawn(move || workers::any_broken(&program, schedules)),
        });
    }
    if let Some(trial) = trial {
        good &= trial.ends_well()?;
    }
    match good {
        true => println!("every mistake is caught: {} mistakes", mistakes.len()),
        false => println!("not every mistake is caught as it should be"),
    }
    Ok(good)
}

/// A mistake that meets its schedules.
struct Trial<'m> {
    mistake: &'m Mistake,
    caught: thread::JoinHandle<anyhow::Result<Option<(u64, String)>>>,
}

impl Trial<'_> {
    /// Waits for its end and prints it. `true` if the mistake was caught by what has to catch it.
    fn ends_well(self) -> anyhow::Result<bool> {
        let Ok(caught) = self.caught.join() else {
            bail!("the schedules of {} cannot be run", self.mistake.name);
        };
        let (by, seed) = match &caught? {
            Some((seed, what)) => {
                let by = what.split([' ', ':']).next().unwrap_or_default();
                (by.to_owned(), seed.to_string())
            }
            None => ("NOTHING".to_owned(), "-".to_owned()),
        };
        let good = self.mistake.by.contains(&by);
        let by = match good || seed == "-" {
            true => by,
            false => format!("{by}, NOT {}", self.mistake.by.join("/")),
        };
        self.mistake.print(&by, &seed);
        Ok(good)
    }
}

/// The sources with a mistake among them.
struct Copy {
    root: PathBuf,
    place: PathBuf,
    target: PathBuf,
    manifest: String,
}

impl Copy {
    fn new(root: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program does not know where it is")?;
        // It was built in a target directory.
        let target = program.ancestors().nth(2).context("no target directory")?;
        let place = target.join("mistakes");
        fs::create_dir_all(&place).with_context(|| format!("{}", place.display()))?;
        let manifest = read(&root.join("Cargo.toml"))?;
        Ok(Self {
            root: root.to_owned(),
            manifest: workspace(&manifest),
            place,
            target: target.to_owned(),
        })
    }

    /// Makes the copy equal to the sources but for what these change. What is equal already is not touched, so
    /// that it is not compiled again.
    fn restore(&self, changed: &[Changed]) -> anyhow::Result<()> {
        write(&self.place.join("Cargo.toml"), &self.manifest)?;
        let lock = self.place.join("Cargo.lock");
        if !lock.exists() {
            write(&lock, &read(&self.root.join("Cargo.lock"))?)?;
        }
        for folder in READ {
            let place = self.place.join(folder);
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent)?;
            }
            if !place.exists() {
                std::os::unix::fs::symlink(self.root.join(folder), &place)?;
            }
        }
        for file in INCLUDED {
            write(&self.place.join(file), &read(&self.root.join(file))?)?;
        }
        let mut open: Vec<&Changed> = changed.iter().collect();
        for package in PACKAGES {
            let manifest = Path::new(package).join("Cargo.toml");
            write(
                &self.place.join(&manifest),
                &stripped(package, &read(&self.root.join(&manifest))?),
            )?;
            let mut sources = files(&self.root.join(package).join("src"))?;
            let tests = self.root.join(package).join("tests");
            if TESTED.contains(&package) && tests.is_dir() {
                sources.extend(files(&tests)?);
            }
            for file in sources {
                let path = file.strip_prefix(&self.root)?;
                if package.starts_with("functions/") && path.ends_with("src/main.rs") {
                    continue;
                }
                let mut text = read(&file)?;
                if let Some(at) = open.iter().position(|changed| changed.path == path) {
                    text = open.remove(at).apply(&text)?;
                }
                write(&self.place.join(path), &text)?;
            }
        }
        match open.first() {
            Some(missing) => bail!("there is no file {}", missing.path.display()),
            None => Ok(()),
        }
    }

    fn build(&self) -> anyhow::Result<PathBuf> {
        let output = self.cargo(&["build", "--package", "model", "--bin", "model-mistaken"])?;
        ensure!(
            output.status.success(),
            "the copy does not compile:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(self.target.join("debug/model-mistaken"))
    }

    /// Copies a program that was built, so that building the next one leaves it alone.
    fn keep(&self, program: &Path, number: usize) -> anyhow::Result<PathBuf> {
        let kept = self.place.join(format!("program-{number}"));
        fs::copy(program, &kept).with_context(|| format!("{}", kept.display()))?;
        Ok(kept)
    }

    /// Whether a test of the copy passes.
    ///
    /// # Errors
    /// The copy does not compile, or there is no such test.
    fn passes(&self, test: &Test) -> anyhow::Result<bool> {
        let mut arguments = vec!["test", "--package", &test.package];
        arguments.extend(test.target.iter().map(String::as_str));
        arguments.extend(["--", "--exact", &test.name]);
        let output = self.cargo(&arguments)?;
        let said = String::from_utf8_lossy(&output.stdout);
        match (said.contains("1 passed"), said.contains("1 failed")) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => bail!(
                "{} did not run:\n{said}{}",
                test.name,
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }

    fn cargo(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let (command, arguments) = arguments.split_first().context("no command of cargo's")?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args([command, "--quiet", "--offline"])
            .args(arguments)
            .current_dir(&self.place)
            .env("CARGO_TARGET_DIR", &self.target)
            // A mistake changes a line or two. The project's own builds are not made in increments: the guard counts their
            // instructions.
            .env("CARGO_INCREMENTAL", "1")
            .stdin(Stdio::null())
            .output()
            .context("cargo cannot be started")
    }
}

/// Whether a package of this name lies in one of these folders.
fn is_among(folders: &[&str], name: &str) -> bool {
    folders
        .iter()
        .any(|folder| Path::new(folder).ends_with(name))
}

/// The workspace's manifest with the copied members alone, and without the optimisation of what is compiled
/// anew for each mistake.
fn workspace(manifest: &str) -> String {
    let mut text = String::new();
    let mut members = false;
    for line in manifest.lines() {
        let optimised = line.split_once(" = { opt-level");
        if line.starts_with("members") {
            members = true;
            text.push_str(&format!("members = {PACKAGES:?}\n"));
        } else if members {
            members = !line.starts_with(']');
        } else if !optimised.is_some_and(|(name, _)| is_among(&PACKAGES, name)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// A package's manifest without what the copy leaves out.
fn stripped(package: &str, manifest: &str) -> String {
    let mut text = String::new();
    let mut left_out = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            // Development dependencies may name packages that are not copied; benchmarks and functions' programs are not copied.
            left_out = (line == "[dev-dependencies]" && !TESTED.contains(&package))
                || (line == "[[bin]]" && package.starts_with("functions/"))
                || line == "[[bench]]";
        }
        if !left_out && !line.starts_with("aws.") && !line.starts_with("criterion.") {
            text.push_str(line);
            text.push('\n');
        }
    }
    if package == "tests/model" {
        text.push_str("\n[[bin]]\nname = \"model-mistaken\"\npath = \"src/main.rs\"\n");
    }
    text
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{}", path.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("{}", path.display()))
}

fn read_all(folder: &Path, only: Option<&str>) -> anyhow::Result<Vec<Mistake>> {
    let mut mistakes = Vec::new();
    for path in files(folder)? {
        let stem = path.file_stem().unwrap_or_default();
        let name = stem.to_string_lossy();
        let is_patch = path.extension() == Some("patch".as_ref());
        if is_patch && only.is_none_or(|part| name.contains(part)) {
            let mistake = Mistake::read(&name, &read(&path)?);
            mistakes.push(mistake.with_context(|| format!("{}", path.display()))?);
        }
    }
    Ok(mistakes)
}

impl Mistake {
    /// Reads a unified diff with two lines before it: what the mistake is, and `Caught by:` which invariants, or `Caught by
    /// test:` a package, the target in it, and the test's name.
    fn read(name: &str, text: &str) -> anyhow::Result<Self> {
        let mut lines = text.lines();
        let what = lines.next().context("an empty file")?.to_owned();
        let line = lines.next().context("there is no second line")?;
        let (by, caught_by_test) = match line.split_once(": ") {
            Some(("Caught by", by)) => (by.split(", ").map(str::to_owned).collect(), None),
            Some(("Caught by test", test)) => (Vec::new(), Some(Test::read(test)?)),
            _ => bail!("the second line is no `Caught by:`"),
        };
        let mut files: Vec<Changed> = Vec::new();
        for line in lines {
            if let Some(path) = line.strip_prefix("+++ b/") {
                files.push(Changed {
                    path: PathBuf::from(path.split('\t').next().unwrap_or(path)),
                    hunks: Vec::new(),
                });
            } else if let Some(file) = files.last_mut() {
                file.line(line);
            }
        }
        ensure!(
            files.iter().any(|file| !file.hunks.is_empty()),
            "a patch without a hunk"
        );
        Ok(Self {
            name: name.to_owned(),
            what,
            by,
            caught_by_test,
            files,
        })
    }

    /// What caught it, and at which seed.
    fn print(&self, by: &str, seed: &str) {
        println!("{:34}{by:24}{seed:>8}  {}", self.name, self.what);
    }
}

impl Test {
    fn read(text: &str) -> anyhow::Result<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [package, target @ .., name] = &*words else {
            bail!("a test has a package and a name");
        };
        let is_copied = is_among(&TESTED, package);
        ensure!(is_copied, "the tests of {package} are not copied");
        Ok(Self {
            package: (*package).to_owned(),
            target: target.iter().map(|word| (*word).to_owned()).collect(),
            name: (*name).to_owned(),
        })
    }
}

impl Changed {
    fn line(&mut self, line: &str) {
        if line.starts_with("@@") {
            self.hunks.push((String::new(), String::new()));
            return;
        }
        let Some((before, after)) = self.hunks.last_mut() else {
            return;
        };
        let (is_before, is_after, rest) = match (line.strip_prefix('-'), line.strip_prefix('+')) {
            (Some(rest), _) => (true, false, rest),
            (_, Some(rest)) => (false, true, rest),
            _ => (true, true, line.strip_prefix(' ').unwrap_or(line)),
        };
        for (text, takes) in [(before, is_before), (after, is_after)] {
            if takes {
                text.push_str(rest);
                text.push('\n');
            }
        }
    }

    /// Applies the hunks by their text: where the lines stand does not matter, that they stand once does.
    fn apply(&self, text: &str) -> anyhow::Result<String> {
        let mut text = text.to_owned();
        for (before, after) in &self.hunks {
            let found = text.matches(before.as_str()).count();
            ensure!(
                found == 1,
                "the patch does not fit {} any more: its lines stand there {found} times:\n{before}",
                self.path.display()
            );
            text = text.replacen(before.as_str(), after, 1);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the check was asked to catch before anything else. The first line of each patch says what it is.
    const ASKED: [&str; 22] = [
        "answer-before-the-queue",
        "refused-entries-ignored",
        "marker-removed-too-soon",
        "marker-never-removed",
        "lease-shared",
        "expiry-ignored",
        "repeat-dropped",
        "write-without-a-guard",
        "fold-by-arrival",
        "forward-before-apply",
        "one-team-stops-the-others",
        "empty-list-of-failures",
        "unreadable-acknowledged",
        "panic-swallowed",
        "source-kind-by-the-last-dot",
        "source-time-ignored",
        "source-time-ahead-of-first-sight",
        "source-retry-by-its-bytes",
        "source-webhook-by-its-key",
        "source-secret-stored-after-create",
        "source-paused-webhook-enabled",
        "source-type-of-an-unsigned-header",
    ];

    #[test]
    fn a_mistake_names_what_has_to_catch_it() {
        let of =
            |by: &str| Mistake::read("m", &format!("What.\n{by}\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n"));
        let by_invariants = of("Caught by: state, marks").unwrap();
        assert_eq!(by_invariants.by, ["state", "marks"]);
        assert!(by_invariants.caught_by_test.is_none());
        let by_test = of("Caught by test: domain --lib a::b").unwrap();
        let test = by_test.caught_by_test.unwrap();
        assert_eq!((&*test.package, &*test.name), ("domain", "a::b"));
        assert_eq!(test.target, ["--lib"]);
        for wrong in [
            "Caught by test: domain",
            "Caught by test: another --lib a::b",
            "Caught",
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_asked_for_is_there_and_fits() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).unwrap();
        let mistakes = read_all(&here.join("mistakes"), None).unwrap();
        for asked in ASKED {
            let is_there = mistakes.iter().any(|mistake| mistake.name == asked);
            assert!(is_there, "{asked}");
        }
        for mistake in &mistakes {
            for file in &mistake.files {
                let product = file.path.starts_with("functions") || file.path.starts_with("shared");
                assert!(product, "{}: not the product's", mistake.name);
                file.apply(&read(&root.join(&file.path)).unwrap()).unwrap();
            }
        }
    }
}
