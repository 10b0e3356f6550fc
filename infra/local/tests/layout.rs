//! The layout of the product: which crate knows of what.
#![allow(
    clippy::unwrap_used,
    reason = "what cannot be read stops the test where it is"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;

/// What the functions are made of.
const PRODUCT: [&str; 8] = [
    "functions/inbound",
    "functions/consumer",
    "functions/subscriptions",
    "functions/erasure",
    "shared/domain",
    "shared/sources",
    "shared/aws",
    "shared/runtime",
];

/// Where a decision may depend on which source it is: the names, and the table of protocols.
const BY_SOURCE: [&str; 2] = ["shared/domain/src/source.rs", "shared/sources/src/lib.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `cargo tree` prints: a crate in each line, with its version and its features.
fn tree(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none"])
        .args(["--format", "{p} [{f}]"])
        .args(arguments)
        // As a package is built: with the features that it asks for, not those of all its neighbours.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A file of the product, without its tests.
struct Code {
    path: String,
    text: String,
}

/// The files in `src` of these crates.
fn code(crates: &[&str]) -> Vec<Code> {
    let mut code = Vec::new();
    let mut folders: Vec<PathBuf> = crates
        .iter()
        .map(|name| root().join(name).join("src"))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension() == Some(OsStr::new("rs")) {
                let text = fs::read_to_string(&path).unwrap();
                let end = text.find("#[cfg(test)]\nmod tests").unwrap_or(text.len());
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap();
                code.push(Code {
                    path: path.to_owned(),
                    text: text[..end].to_owned(),
                });
            }
        }
    }
    assert!(code.len() > crates.len(), "no code was found");
    code
}

/// The lines that `is_wrong`, with their places.
fn lines(code: &[Code], is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in code {
        for (number, line) in file.text.lines().enumerate() {
            if is_wrong(line) {
                found.push(format!("{}:{}: {line}", file.path, number + 1));
            }
        }
    }
    found
}

/// The sources that have a folder.
fn sources() -> Vec<String> {
    let entries = fs::read_dir(root().join("shared/sources/src")).unwrap();
    let folders = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    let names = folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let names: Vec<String> = names.collect();
    assert!(names.contains(&"orderspace".to_owned()), "{names:?}");
    names
}

/// Whether a line has an arm or a pattern for one source.
fn is_arm(line: &str) -> bool {
    let names = line.split("Source::").skip(1);
    let mut rests = names.map(|rest| rest.trim_start_matches(char::is_alphanumeric).trim_start());
    let is_pattern = line.contains("matches!(") || line.contains("if let ");
    rests.any(|rest| {
        is_pattern || rest.starts_with("=>") || (rest.starts_with('|') && !rest.starts_with("||"))
    })
}

/// Of the functions, only `subscriptions` calls the sources' APIs: a second HTTP client would be code for nothing in the
/// others, and more of it where the internet can reach it. `api` is the feature of `sources` that brings it.
#[rstest]
#[case::inbound("inbound", false)]
#[case::consumer("consumer", false)]
#[case::subscriptions("subscriptions", true)]
fn only_subscriptions_has_the_sources_http_client(#[case] function: &str, #[case] expected: bool) {
    let tree = tree(&["--package", function, "--edges", "normal"]);
    assert!(tree.contains("sources v"), "{tree}");
    let has_client = tree.lines().any(|line| line.starts_with("reqwest v"));
    assert_eq!(has_client, expected, "{tree}");
}

#[test]
fn functions_name_no_source() {
    let sources = sources();
    let named = lines(&code(&PRODUCT[..4]), |line| {
        let line = line.to_lowercase();
        sources.iter().any(|source| line.contains(source))
    });
    assert!(
        named.is_empty(),
        "a source is known in its own folder alone: {named:#?}"
    );
}

#[test]
fn one_table_decides_by_source() {
    let mut code = code(&PRODUCT);
    code.retain(|file| !BY_SOURCE.contains(&&*file.path));
    let arms = lines(&code, is_arm);
    assert!(arms.is_empty(), "ask the source's protocol: {arms:#?}");
}

#[rstest]
#[case::arm("        Source::Orderspace => &orderspace::Orderspace,", true)]
#[case::alternative("Source::Orderspace | Source::StackOne => 1", true)]
#[case::pattern("if matches!(source, Source::StackOne) {", true)]
#[case::value("let source = Source::Orderspace;", false)]
#[case::every("for source in Source::ALL {", false)]
fn an_arm_is_known(#[case] line: &str, #[case] expected: bool) {
    assert_eq!(is_arm(line), expected);
}

#[test]
fn a_main_is_wiring() {
    let mains = code(&PRODUCT[..4])
        .into_iter()
        .filter(|file| file.path.ends_with("/main.rs"));
    let long: Vec<_> = mains
        .map(|main| (main.path, main.text.lines().count()))
        .collect();
    assert_eq!(long.len(), 4, "{long:?}");
    assert!(
        long.iter().all(|(_, lines)| *lines < 40),
        "what is more than wiring belongs where it can be tested: {long:?}"
    );
}

/// A port that asks for much is hard to fake and hides who needs what. A source's `Api` is as large as its provider's.
#[test]
fn a_port_has_at_most_four_methods() {
    let mut ports = Vec::new();
    for file in code(&["shared/domain"]) {
        for port in file.text.split("\npub trait ").skip(1) {
            let name: String = port.chars().take_while(|c| c.is_alphanumeric()).collect();
            let end = port.find("\n}").unwrap();
            let methods = port[..end].matches("\n    fn ").count();
            ports.push((name, methods));
        }
    }
    assert!(ports.len() > 10, "{ports:?}");
    ports.retain(|(name, methods)| *methods > 4 && name != "Api");
    assert!(
        ports.is_empty(),
        "a port for each of their users: {ports:?}"
    );
}

/// The crates of others in a build, each with its features.
fn features(build: &[&str]) -> BTreeSet<String> {
    tree(build)
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .map(|line| line.replace(" (proc-macro)", ""))
        .filter(|line| line.contains(" [") && !line.contains(" (/"))
        .collect()
}

/// What programs and tests have in common is compiled once: minutes of the first `cargo verify`.
#[test]
fn programs_and_tests_use_the_same_features() {
    let programs = features(&["--workspace", "--edges", "no-dev"]);
    assert!(programs.len() > 200, "{programs:?}");
    let tests = features(&["--workspace", "--edges", "all"]);
    let other: Vec<_> = programs.difference(&tests).collect();
    assert!(
        other.is_empty(),
        "tests switch on more features of these crates: add them to tests/features/Cargo.toml: {other:#?}"
    );
}

/// A crate that two functions build with other features is compiled for each of them, with all that stands on it: the SDK
/// takes minutes of `sam build`.
#[test]
fn functions_use_the_same_features() {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for function in ["inbound", "consumer", "subscriptions", "erasure"] {
        for line in features(&["--package", function, "--edges", "normal,build"]) {
            let (name, features) = line.split_once(" [").unwrap();
            let found = found.entry(name.to_owned()).or_default();
            found.insert(features.to_owned());
        }
    }
    assert!(found.len() > 150, "{found:?}");
    // Each takes the events that it is invoked with, and little stands on them.
    found.retain(|name, features| features.len() > 1 && !name.starts_with("aws_lambda_events v"));
    assert!(
        found.is_empty(),
        "name these features where all functions have them, in shared/aws/Cargo.toml: {found:#?}"
    );
}

/// An operator's first build takes seconds, and has nothing in it that belongs to this machine's stack.
#[test]
fn the_operators_command_has_nothing_of_the_local_stack() {
    let tree = tree(&["--package", "orderhook", "--edges", "normal"]);
    let packages: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(packages.contains(&"operate"), "{tree}");
    let local = ["local", "simulator", "testkit", "aws-sdk-sqs"];
    assert!(
        !packages.iter().any(|package| local.contains(package)),
        "{tree}"
    );
}
