//! What is required, read from `tests/REQUIREMENTS.md`, and which tests show it: those that say so above their function.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// What a line above a test begins with that shows requirements.
const MARK: &str = "// requirement: ";

/// The folders in which tests are looked for.
const FOLDERS: [&str; 4] = ["shared", "functions", "infra", "tests"];

/// One sentence that the project is held to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The chapter that it stands in.
    pub chapter: String,
    /// Its short name, for ever the same: the table of the last run is compared by it.
    pub id: String,
    /// What holds.
    pub says: String,
    /// What shows it.
    pub shown: Shown,
}

/// How a requirement is seen to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// By tests and checks of a run, all of them.
    Here {
        /// Whether tests have to be there that say so.
        tests: bool,
        /// Checks of `cargo verify`, by their names.
        checks: Vec<String>,
    },
    /// Not on this machine.
    OnAws {
        /// How to see it where it can be seen.
        how: String,
        /// What the emulator lacks.
        why: String,
    },
    /// It is not a fault but meant, for this reason.
    Meant(String),
}

impl Shown {
    fn parse(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix("on AWS: ") {
            let (how, why) = rest.split_once(" Here: ").context("no ` Here: `")?;
            return Ok(Self::OnAws {
                how: how.to_owned(),
                why: why.to_owned(),
            });
        }
        if let Some(why) = text.strip_prefix("by design: ") {
            return Ok(Self::Meant(why.to_owned()));
        }
        let (mut tests, mut checks) = (false, Vec::new());
        for part in text.split(", ") {
            match (part, part.strip_prefix("check ")) {
                ("tests", _) => tests = true,
                (_, Some(check)) => checks.push(check.to_owned()),
                (other, None) => bail!("{other:?} shows nothing"),
            }
        }
        Ok(Self::Here { tests, checks })
    }
}

/// Reads the table of requirements.
///
/// # Errors
/// A row is none, or two have one id.
pub(super) fn read(text: &str) -> Result<Vec<Requirement>> {
    let (mut chapter, mut requirements) = ("", Vec::new());
    let mut ids = BTreeSet::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            chapter = title;
        }
        let Some(row) = line.strip_prefix("| `") else {
            continue;
        };
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let [id, says, shown] = cells.as_slice() else {
            bail!("{line} has not three cells");
        };
        let id = id.trim_end_matches('`');
        ensure!(ids.insert(id), "two requirements are named {id}");
        requirements.push(Requirement {
            chapter: chapter.to_owned(),
            id: id.to_owned(),
            says: (*says).to_owned(),
            shown: Shown::parse(shown).with_context(|| format!("the requirement {id}"))?,
        });
    }
    ensure!(!requirements.is_empty(), "there are no requirements");
    Ok(requirements)
}

/// A test that shows requirements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The requirements' ids.
    pub shows: Vec<String>,
    /// The package.
    pub package: String,
    /// The test's function.
    pub function: String,
}

impl Proof {
    /// Whether this is a test of a run, or a case of it: its binary and its name, as nextest has them. Of two tests of a
    /// package with one name, both have to pass.
    pub fn is(&self, binary: &str, name: &str) -> bool {
        let rest = binary.strip_prefix(&self.package);
        let is_of_package = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
        is_of_package && name.split("::").any(|part| part == self.function)
    }
}

impl std::fmt::Display for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.package, self.function)
    }
}

/// Finds the tests of the project below `root` that show requirements.
///
/// # Errors
/// A file cannot be read, or a mark stands above no test.
pub(super) fn proofs(root: &Path) -> Result<Vec<Proof>> {
    let mut proofs = Vec::new();
    let mut directories: Vec<PathBuf> = FOLDERS.iter().map(|folder| root.join(folder)).collect();
    while let Some(directory) = directories.pop() {
        let entries = std::fs::read_dir(&directory)
            .with_context(|| format!("{} cannot be read", directory.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("{} cannot be read", path.display()))?;
                if text.contains(MARK) {
                    let found = in_file(root, &path, &text);
                    proofs.extend(found.with_context(|| path.display().to_string())?);
                }
            }
        }
    }
    proofs.sort_by(|one, other| {
        (&one.package, &one.function).cmp(&(&other.package, &other.function))
    });
    Ok(proofs)
}

/// The tests of one file that show requirements.
fn in_file(root: &Path, path: &Path, text: &str) -> Result<Vec<Proof>> {
    let mut marked = marks(text)?.into_iter().peekable();
    if marked.peek().is_none() {
        return Ok(Vec::new());
    }
    let manifest = path
        .ancestors()
        .skip(1)
        .take_while(|directory| *directory != root)
        .find(|directory| directory.join("Cargo.toml").exists())
        .context("it belongs to no package")?;
    let package = std::fs::read_to_string(manifest.join("Cargo.toml"))?;
    let package = package
        .lines()
        .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
        .context("its package has no name")?;
    Ok(marked
        .map(|(shows, function)| Proof {
            shows,
            package: package.to_owned(),
            function,
        })
        .collect())
}

/// The ids of each mark, and the function below it.
fn marks(text: &str) -> Result<Vec<(Vec<String>, String)>> {
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(ids) = line.strip_prefix(MARK) else {
            continue;
        };
        let below = lines.next().unwrap_or_default();
        let function = below.strip_prefix("async ").unwrap_or(below);
        let function = function
            .strip_prefix("fn ")
            .and_then(|rest| rest.split(['(', '<']).next())
            .with_context(|| format!("{line} stands above no test but above {below:?}"))?;
        let ids = ids.split(", ").map(str::to_owned).collect();
        found.push((ids, function.to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_row_says_what_shows_it() {
        let table = "\n## One\n\n| requirement | says | shown by |\n|---|---|---|\n\
                     | `a-b` | It holds | tests, check model |\n| `c` | So it is | by design: it is meant |\n\
                     ## Two\n| `d` | It is seen | on AWS: Look there. Here: Nothing shows it. |\n";
        let read = read(table).unwrap();
        let shown: Vec<_> = read
            .iter()
            .map(|one| (one.chapter.as_str(), one.id.as_str(), one.shown.clone()))
            .collect();
        let by = Shown::Here {
            tests: true,
            checks: vec!["model".to_owned()],
        };
        let aws = Shown::OnAws {
            how: "Look there.".to_owned(),
            why: "Nothing shows it.".to_owned(),
        };
        let meant = Shown::Meant("it is meant".to_owned());
        assert_eq!(
            shown,
            [("One", "a-b", by), ("One", "c", meant), ("Two", "d", aws)]
        );
    }

    #[rstest]
    #[case::nothing("# Requirements")]
    #[case::a_cell_too_few("| `a` | It holds |")]
    #[case::a_proof_that_is_none("| `a` | It holds | chance |")]
    #[case::no_way_to_see_it("| `a` | It holds | on AWS: look |")]
    #[case::twice("| `a` | It holds | tests |\n| `a` | It holds | tests |")]
    fn a_table_that_is_none_is_refused(#[case] table: &str) {
        assert!(read(table).is_err());
    }

    #[rstest]
    #[case("runtime", "enqueue::tests::keeps", true)]
    #[case("runtime", "enqueue::tests::keeps::case_1", true)]
    #[case("runtime", "enqueue::tests::keeps_more", false)]
    #[case("runtime::bin/runtime", "tests::keeps", true)]
    #[case("runtime::answers", "keeps::case_2", true)]
    #[case("runtimes", "keeps", false)]
    #[case("other::answers", "keeps", false)]
    fn a_test_is_found_by_its_package_and_name(
        #[case] binary: &str,
        #[case] name: &str,
        #[case] same: bool,
    ) {
        let proof = Proof {
            shows: Vec::new(),
            package: "runtime".to_owned(),
            function: "keeps".to_owned(),
        };
        assert_eq!(proof.is(binary, name), same);
    }

    #[test]
    fn a_mark_stands_above_a_test() {
        let text = format!("    {MARK}a, b-c\n    async fn keeps(\n{MARK}d\nfn goes<T>() {{}}\n");
        let found = marks(&text).unwrap();
        let marked = |ids: &[&str], function: &str| {
            let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
            (ids, function.to_owned())
        };
        assert_eq!(
            found,
            [marked(&["a", "b-c"], "keeps"), marked(&["d"], "goes")]
        );
        assert!(marks(&format!("{MARK}a\nstruct Keeps;")).is_err());
        assert!(marks(&format!("{MARK}a")).is_err());
    }
}
