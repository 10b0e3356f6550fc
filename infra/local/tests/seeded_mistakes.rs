//! Twelve mistakes that are easily made in `template.yaml`, each in a copy of it, and the rule of `cargo verify` that
//! finds it.
#![allow(
    clippy::panic,
    reason = "a mistake that cannot be made in the template stops its case"
)]

use local::template::{Template, check};
use rstest::rstest;

const TEMPLATE: &str = include_str!("../../../template.yaml");

/// A copy of the template in which a text, from the first place after a line on, is another.
fn with_mistake(after: &str, good: &str, wrong: &str) -> String {
    let from = TEMPLATE
        .find(after)
        .unwrap_or_else(|| panic!("{after} is not in the template"));
    let (before, rest) = TEMPLATE.split_at(from);
    assert!(rest.contains(good), "{good} does not follow {after}");
    format!("{before}{}", rest.replacen(good, wrong, 1))
}

#[rstest]
#[case::a_visibility_below_six_time_outs(
    "visibility",
    "\n  LaneVisibilityTimeout:",
    "Default: 290",
    "Default: 120"
)]
#[case::a_time_out_that_may_outlast_the_visibility(
    "corners",
    "\n  ConsumerTimeout:",
    "MaxValue: 45",
    "MaxValue: 900"
)]
#[case::a_number_without_an_upper_bound("ranges", "\n  RetryLeaseSeconds:", ", MaxValue: 900", "")]
#[case::a_parameter_that_does_nothing(
    "used",
    "\n  Consumer:",
    "FIRST_RETRY_SECONDS: !Ref FirstRetrySeconds",
    "FIRST_RETRY_SECONDS: \"2\""
)]
#[case::few_receives(
    "receives",
    "\n  OrdersQueue:",
    "maxReceiveCount: 100",
    "maxReceiveCount: 3"
)]
#[case::whole_batches(
    "partial-batches",
    "\n  OrdersSource:",
    "      FunctionResponseTypes: [ReportBatchItemFailures]\n",
    ""
)]
#[case::reserved_concurrency_of_what_reads_queues(
    "concurrency",
    "\n  Consumer:",
    "Timeout: !Ref ConsumerTimeout",
    "Timeout: !Ref ConsumerTimeout\n      ReservedConcurrentExecutions: 5"
)]
#[case::a_misspelt_runtime("runtime", "\nGlobals:", "provided.al2023", "provided.al2032")]
#[case::more_actions_than_are_needed(
    "permissions",
    "\n  ConsumerRole:",
    "dynamodb:UpdateItem",
    "dynamodb:*"
)]
#[case::credentials_within_reach_of_the_internet(
    "permissions",
    "\n  InboundRole:",
    "/signing/*",
    "/oauth/*"
)]
#[case::a_table_that_goes_with_its_stack(
    "retained",
    "\n  RecordsTable:",
    "DeletionPolicy: Retain",
    "DeletionPolicy: Delete"
)]
#[case::an_open_admin_route(
    "routes",
    "\n  AccountPutRoute:",
    "AuthorizationType: AWS_IAM",
    "AuthorizationType: NONE"
)]
// requirement: check-template
fn a_seeded_mistake_is_found(
    #[case] rule: &str,
    #[case] after: &str,
    #[case] good: &str,
    #[case] wrong: &str,
) {
    let Ok(template) = Template::parse(&with_mistake(after, good, wrong)) else {
        panic!("the copy is no YAML");
    };
    let (findings, _) = check(&template);
    let rules: Vec<&str> = findings.iter().map(|finding| finding.rule).collect();
    assert!(rules.contains(&rule), "{rule} found nothing: {findings:?}");
}

/// Without a mistake there is nothing to be found, so that what is found above is the mistake.
#[test]
fn the_template_itself_is_without_findings() {
    let Ok(template) = Template::parse(TEMPLATE) else {
        panic!("the template is no YAML");
    };
    assert_eq!(check(&template).0, []);
}
