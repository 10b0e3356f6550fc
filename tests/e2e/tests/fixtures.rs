//! Every delivery that `tests/fixtures/orderspace` holds, through the whole stack: the answer, the events that a
//! team gets, quarantine, receipt and records agree with the manifest, and every message keeps to the published
//! schema.

use e2e::story;
use futures::{StreamExt as _, stream};
use rstest::rstest;
use testkit::fixtures::{self, Fixture};

/// How many fixtures of one test are on their way at the same time. Other tests are too.
const AT_ONCE: usize = 3;

/// The fixtures whose names begin so.
fn of(place: &str) -> Vec<Fixture> {
    let mut all = fixtures::all();
    all.retain(|fixture| fixture.name.starts_with(place));
    all
}

async fn tell(fixtures: Vec<Fixture>) {
    let stories = fixtures.iter().map(story::tell);
    stream::iter(stories)
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<()>>()
        .await;
}

#[rstest]
#[case::of_today("current/", 14)]
#[case::of_the_seeds("seed/", 14)]
#[case::of_2025("variants-2025/", 6)]
#[case::signed("signatures/", 4)]
#[case::bad_elements("made/bad-", 9)]
#[case::either_way("made/either-", 6)]
#[tokio::test]
// requirement: verbatim-fixtures, envelope-schema
async fn the_documented_and_the_broken(#[case] place: &str, #[case] at_least: usize) {
    let fixtures = of(place);
    assert!(fixtures.len() >= at_least, "{} fixtures", fixtures.len());
    tell(fixtures).await;
}

#[tokio::test]
// requirement: verbatim-fixtures
async fn whatever_else_a_provider_could_send() {
    let mut fixtures = of("made/");
    fixtures.retain(|fixture| {
        !fixture.name.starts_with("made/bad-") && !fixture.name.starts_with("made/either-")
    });
    assert!(fixtures.len() >= 50, "{} fixtures", fixtures.len());
    tell(fixtures).await;
}

#[rstest]
#[tokio::test]
// requirement: verbatim-fixtures
async fn the_generated_ones(
    #[values(
        "events-1000",
        "events-1001",
        "orders-50",
        "product-500-kb",
        "product-noise-1-mb",
        "order-2-mb",
        "deep-record",
        "deep-list",
        "deep-unclosed"
    )]
    name: &str,
) {
    story::tell(&fixtures::named(name)).await;
}

#[test]
// requirement: verbatim-fixtures
fn no_fixture_is_left_out() {
    let told = [
        "current/",
        "seed/",
        "variants-2025/",
        "signatures/",
        "made/",
    ];
    let mut left = fixtures::all();
    left.retain(|fixture| !told.iter().any(|place| fixture.name.starts_with(place)));
    let names: Vec<&str> = left.iter().map(|fixture| fixture.name.as_str()).collect();
    let generated = [
        "events-1000",
        "events-1001",
        "orders-50",
        "product-500-kb",
        "product-noise-1-mb",
        "order-2-mb",
        "deep-record",
        "deep-list",
        "deep-unclosed",
    ];
    assert_eq!(names, generated, "give each generated one a case above");
}
