//! The description of the admin API has the calls of the code, and no others. That the answers are as described is
//! seen in every story.

use std::collections::BTreeSet;

use testkit::openapi::Description;

/// The text that an arm of a `match` is for.
fn matched(line: &str) -> Option<&str> {
    let (text, _) = line.trim_start().strip_prefix('"')?.split_once("\" => ")?;
    Some(text)
}

#[test]
fn the_calls_are_those_of_the_code() {
    let source = include_str!("../../src/route.rs");
    let texts = source.lines().filter_map(matched);
    let (routes, actions): (Vec<&str>, Vec<&str>) = texts.partition(|text| text.contains(" /v1/"));
    assert!(
        routes.len() >= 6 && actions.len() >= 2,
        "{routes:?} {actions:?}"
    );
    let calls: BTreeSet<String> = routes
        .iter()
        .flat_map(|route| match route.strip_suffix("{action}") {
            Some(route) => actions
                .iter()
                .map(|action| format!("{route}{action}"))
                .collect(),
            None => vec![(*route).to_owned()],
        })
        .collect();
    let described: BTreeSet<String> = Description::ours()
        .operations()
        .iter()
        .map(|operation| format!("{} {}", operation.method, operation.path))
        .collect();
    assert_eq!(calls, described);
}
