//! What the documents say of the project is true of it.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::source::Source;
use local::template::Template;
use local::template::cost::Idle;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Every document, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let root = root();
    let docs = std::fs::read_dir(root.join("infra/docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let outer = ["README.md", "CONTRIBUTING.md"].map(|name| root.join(name));
    let sources = Source::ALL.map(|source| root.join(readme(source)));
    outer
        .into_iter()
        .chain(sources)
        .chain(docs)
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// Where the page about a source is.
fn readme(source: Source) -> String {
    format!("shared/sources/src/{source}/README.md")
}

/// The targets of a document's links that lie in the project.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://"))
}

/// A heading as GitHub makes an anchor of it.
fn anchor(heading: &str) -> String {
    let lower = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = lower
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    for (path, text) in documents() {
        for link in links(&text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", path.display());
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&target).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                let is_there = headings.any(|line| anchor(line) == heading);
                assert!(is_there, "{}: {link}", path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} links");
}

/// A parameter, an alarm or a queue that a document names is in the template, under that name.
#[test]
fn what_is_named_is_in_the_template() {
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    let endings = [
        "Seconds",
        "Minutes",
        "Hours",
        "Days",
        "Timeout",
        "Memory",
        "Concurrency",
        "Alarm",
        "Email",
    ];
    let mut seen = 0;
    for (path, text) in documents() {
        // What an update takes away is there no more.
        if path.ends_with("upgrading.md") {
            continue;
        }
        for name in text.split('`').skip(1).step_by(2) {
            let is_name = name.chars().all(char::is_alphanumeric)
                && name.starts_with(char::is_uppercase)
                && endings.iter().any(|ending| name.ends_with(ending));
            if is_name {
                let found = template.contains(&format!("  {name}:"));
                assert!(found, "{}: {name} is not in template.yaml", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen} names");
}

fn template() -> Template {
    let text = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    Template::parse(&text).unwrap()
}

/// What a stack costs while nothing happens is what the template makes of it.
#[test]
fn the_readme_says_what_an_idle_stack_costs() {
    let template = template();
    let idle = Idle::of(&template);
    let alarms = template.of_kind("AWS::CloudWatch::Alarm").count();
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        format!("{:.2} dollars a month", idle.total()),
        format!(
            "{:.2} for {alarms} alarms over {} metrics",
            idle.alarms, idle.alarm_metrics
        ),
        format!("{:.2} for the polling", idle.polling),
        format!("{:.2} for metrics", idle.metrics),
    ] {
        assert!(readme.contains(&text), "{text}");
    }
}

/// Who is woken by an alarm finds it in the runbook, with the words of its mail: `${Id}` is `Id` there.
#[test]
fn the_runbook_says_of_every_alarm_what_its_mail_says() {
    let runbook = std::fs::read_to_string(root().join("infra/docs/operations.md")).unwrap();
    let runbook = runbook.replace('`', "").replace("\\|", "|");
    let rows: BTreeMap<&str, &str> = runbook
        .lines()
        .filter_map(|line| {
            line.strip_prefix("| ")?
                .strip_suffix(" |")?
                .split_once(" | ")
        })
        .filter(|(name, _)| name.ends_with("Alarm"))
        .collect();
    let template = template();
    let mut seen = 0;
    for alarm in template.of_kind("AWS::CloudWatch::Alarm") {
        let description = alarm
            .property("/AlarmDescription/Fn::Sub")
            .as_str()
            .unwrap();
        let mut parts = description.split("${");
        let mut text = parts.next().unwrap().to_owned();
        for part in parts {
            let (name, after) = part.split_once('}').unwrap();
            let id = name.strip_prefix("AWS::").unwrap_or(name);
            text.push_str(id.split('.').next().unwrap());
            text.push_str(after);
        }
        let text = text
            .replacen(". Look at: ", " | ", 1)
            .replacen(". Type: ", " | ", 1);
        assert_eq!(rows.get(alarm.id), Some(&text.as_str()), "{}", alarm.id);
        seen += 1;
    }
    assert_eq!(
        rows.len(),
        seen,
        "the runbook has alarms that there are not"
    );
}

/// Who chooses a source reads the README's table, and who connects to it the table of fields.
#[test]
fn every_source_is_in_the_tables_that_users_read() {
    let text = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let (overview, accounts) = (text("README.md"), text("infra/docs/accounts.md"));
    for source in Source::ALL {
        let link = format!("]({}) | ", readme(source));
        let is_row = |line: &str| line.starts_with("| [") && line.contains(&link);
        let rows = overview.lines().filter(|line| is_row(line)).count();
        assert_eq!(rows, 1, "the table of sources in README.md: {source}");
        let field = format!("| `{source}` | ");
        let rows = accounts
            .lines()
            .filter(|line| line.starts_with(&field))
            .count();
        assert_eq!(rows, 1, "the table of fields in accounts.md: {source}");
    }
}
