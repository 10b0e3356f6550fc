//! Stories that the schedules must hold among all others, told one by one: what was sent, what went wrong, and
//! what the teams got.
#![allow(clippy::unwrap_used, reason = "what a story does not have ends it")]

use model::checks::Broken;
use model::deliveries::{order, payment, stock};
use model::faults::{Kind, Step};
use model::plan::Plan;
use model::run::{Outcome, run};
use model::truth::Cause;
use rstest::rstest;

/// Runs a story that has to hold.
fn told(plan: Plan) -> Outcome {
    let outcome = run(plan, true);
    let broken: Option<&Broken> = outcome.broken.as_ref();
    assert!(broken.is_none(), "{broken:?}\n{}", outcome.story.join("\n"));
    outcome
}

/// What the first team got, by request and position, without how often.
fn events(outcome: &Outcome) -> Vec<(usize, u32)> {
    let first = outcome.received.first().unwrap().iter();
    first
        .map(|(request, index, _)| (*request, *index))
        .collect()
}

fn assert_has(outcome: &Outcome, line: &str) {
    let story = &outcome.story;
    let is_there = story.iter().any(|said| said.contains(line));
    assert!(is_there, "no {line:?} in {story:?}");
}

const A: &str = "20";
const B: &str = "10";

#[test]
// requirement: repeat-equal-bytes
fn stock_that_goes_there_and_back_is_three_events() {
    let plan = Plan::story()
        .delivers(0, vec![stock("A 1", A)])
        .delivers(1_000, vec![stock("A 1", B)])
        .delivers(2_000, vec![stock("A 1", A)]);
    let outcome = told(plan);
    assert_eq!(events(&outcome), [(0, 0), (1, 0), (2, 0)]);
    // It may be a retry of the first, whose answer was lost.
    assert_has(&outcome, "is with all, marked as a possible duplicate");
}

#[test]
fn two_real_equal_payments_are_two_events_and_the_second_is_marked() {
    let plan = Plan::story()
        .delivers(0, vec![payment("iv_1", 0, true)])
        .delivers(60_000, vec![payment("iv_1", 0, true)]);
    let outcome = told(plan);
    assert_eq!(events(&outcome), [(0, 0), (1, 0)]);
    assert_has(&outcome, "is with all, marked as a possible duplicate");
}

#[test]
// requirement: state-delete
fn an_update_after_a_delete_does_not_bring_the_record_back() {
    let plan = Plan::story()
        .delivers(0, vec![order("order.created", "or_1", "new")])
        .delivers(20_000, vec![order("order.deleted", "or_1", "gone")])
        .delivers(40_000, vec![order("order.updated", "or_1", "late")]);
    // That the record is deleted, with the last data, is held by the oracle.
    assert_eq!(events(&told(plan)), [(0, 0), (1, 0), (2, 0)]);
}

#[test]
// requirement: repeat-retry
fn a_retry_that_comes_after_later_events_keeps_its_place() {
    let plan = Plan::story()
        .delivers(
            0,
            vec![order("order.updated", "or_1", "first"), stock("A 1", A)],
        )
        .delivers(2_000, vec![order("order.updated", "or_1", "second")])
        .fault(Step::SendLane, 0, &[Some(Kind::Hung), Some(Kind::Hung)]);
    let outcome = told(plan);
    assert_has(&outcome, "attempt 0 is answered 503");
    assert_has(&outcome, "attempt 2 is answered 200");
    // The retry is the third request, and its events have the identity of the first.
    assert_eq!(events(&outcome), [(0, 0), (0, 1), (1, 0)]);
}

#[test]
fn a_delivery_that_was_queued_by_half_is_completed_under_the_same_ids() {
    let plan = Plan::story()
        .delivers(
            0,
            vec![
                order("order.created", "or_1", "new"),
                stock("A 1", A),
                payment("iv_1", 0, true),
            ],
        )
        .fault(Step::SendLane, 0, &[None, Some(Kind::Hung)]);
    let outcome = told(plan);
    assert_has(&outcome, "attempt 0 is answered 503");
    assert_eq!(events(&outcome), [(0, 0), (0, 1), (0, 2)]);
}

#[rstest]
#[case::before_the_team(Kind::CrashBefore)]
#[case::after_the_team(Kind::CrashAfter)]
#[case::without_its_answer(Kind::Lost)]
#[case::by_a_panic(Kind::Panic)]
// requirement: lost-crash
fn a_forward_that_is_interrupted_is_done_again(#[case] kind: Kind) {
    let plan = Plan::story()
        .delivers(0, vec![order("order.created", "or_1", "new")])
        .fault_anywhere(Step::SendTeam, &[Some(kind)]);
    let outcome = told(plan);
    assert_has(&outcome, "fault");
    assert_eq!(events(&outcome), [(0, 0)]);
}

#[rstest]
#[case::that_refuses_for_good(Kind::Content)]
#[case::that_does_not_answer(Kind::Hung)]
fn a_team_does_not_stop_the_other(#[case] kind: Kind) {
    let plan = Plan::story()
        .delivers(0, vec![order("order.created", "or_1", "new")])
        .fault_anywhere(Step::SendTeam, &[Some(kind)]);
    let outcome = told(plan);
    assert_has(&outcome, "is undelivered for all");
    assert_has(&outcome, "is with ledger.fifo");
}

#[test]
// requirement: repeat-equal-bytes
fn the_same_bytes_after_a_retry_are_a_new_delivery() {
    let plan = Plan::story()
        .delivers(0, vec![stock("A 1", A)])
        .delivers(30_000, vec![stock("A 1", A)])
        .fault(Step::SendLane, 0, &[Some(Kind::Lost), Some(Kind::Hung)]);
    let outcome = told(plan);
    assert_has(&outcome, "attempt 0 is answered 503");
    // The retry has the first request's identity, the second delivery its own.
    assert_eq!(events(&outcome), [(0, 0), (2, 0)]);
}

/// A record is in the order of first sight; what is sent again although it was taken is seen for the first time last.
#[test]
// requirement: model-truth
fn a_record_behind_orderspace_is_counted_by_its_cause() {
    let plan = Plan::story()
        .delivers(0, vec![stock("A 1", A)])
        .delivers(1_000, vec![stock("A 1", B)])
        .fault_anywhere(Step::Answer, &[Some(Kind::Lost)]);
    let outcome = told(plan);
    assert_eq!(events(&outcome), [(0, 0), (1, 0), (2, 0)]);
    let stale = Cause::ALL.map(|(cause, _)| u64::from(cause == Cause::SentAgain));
    assert_eq!(outcome.counts.stale, stale);
}
