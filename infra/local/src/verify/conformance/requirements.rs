//! What is required, and what shows that it holds.
//!
//! The promises, the table of answers, identity, order, the consumer, the envelope, the records, subscriptions, sizes and
//! budgets, each as sentences that one test can break. A requirement without a proof in this very run is not kept; what no
//! emulator can show says so, and how to see it on AWS.

/// One sentence that the project is held to.
#[derive(Clone, Copy, Debug)]
pub struct Requirement {
    /// Its short name, for ever the same: the table of the last run is compared by it.
    pub id: &'static str,
    /// What holds.
    pub says: &'static str,
    /// What shows it.
    pub seen: Seen,
}

/// How a requirement is seen to hold.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// By tests and checks of this run, all of them.
    By(&'static [Proof]),
    /// Not on this machine.
    OnAws {
        /// What the emulator lacks.
        why: &'static str,
        /// How to see it where it can be seen.
        how: &'static str,
    },
    /// It is not a fault but meant, for this reason.
    Meant(&'static str),
}

/// One thing that shows a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A test, with every case of it: the binary as nextest names it, and the test's path in it.
    Test(&'static str, &'static str),
    /// A check of `cargo verify`, by its name.
    Check(&'static str),
}

use Proof::{Check, Test};
use Seen::{By, Meant, OnAws};

const fn is(id: &'static str, says: &'static str, seen: Seen) -> Requirement {
    Requirement { id, says, seen }
}

const INBOUND: &str = "inbound::answers";
const CONSUMER: &str = "consumer::batches";
const INBOUND_SIZES: &str = "inbound::sizes";
const CONSUMER_SIZES: &str = "consumer::sizes";
const ANSWERS: &str = "e2e::answers";
const FLOW: &str = "e2e::flow";
const ADMIN: &str = "subscriptions::stories";

/// Every requirement, by chapter.
pub const CHAPTERS: &[(&str, &[Requirement])] = &[
    ("200 means durable", DURABLE),
    ("Nothing acknowledged is lost", NOTHING_LOST),
    ("State does not depend on luck", STATE),
    ("Nothing is dropped as a repeat", REPEATS),
    ("Verbatim", VERBATIM),
    ("Secrets stay secret", SECRETS),
    (
        "Unauthenticated requests cost next to nothing",
        UNAUTHENTICATED,
    ),
    ("The answers of inbound", ANSWER_TABLE),
    ("The envelope and the teams", ENVELOPE),
    ("Records", RECORDS),
    ("Subscriptions", SUBSCRIPTIONS),
    ("Sizes", SIZES),
    ("Budgets", BUDGETS),
    ("The checks themselves", CHECKS),
    ("The platform", PLATFORM),
];

const DURABLE: &[Requirement] = &[
    is(
        "durable-counted",
        "200 is answered only when as many messages were accepted as there are events, and the receipt is kept beside them",
        By(&[
            Test(INBOUND, "a_genuine_delivery_is_split_into_lanes_and_kept"),
            Test(ANSWERS, "a_verified_delivery_is_accepted_with_its_receipt"),
            Check("model"),
        ]),
    ),
    is(
        "durable-partial",
        "A batch of which a queue refuses a part is sent again in that part alone, and an entry without a result was not accepted",
        By(&[
            Test(
                "runtime",
                "enqueue::tests::only_the_refused_entries_are_sent_again",
            ),
            Test(
                "runtime",
                "enqueue::tests::a_permanent_refusal_is_final_and_a_missing_answer_is_none",
            ),
        ]),
    ),
    is(
        "durable-refused",
        "A queue that refuses for now, by any of its errors, is 503 and never 200, while the other lanes still get theirs",
        By(&[
            Test(INBOUND, "every_lane_gets_through_although_one_refuses"),
            Test(
                ANSWERS,
                "a_queue_that_refuses_for_now_fails_the_delivery_and_the_retry_keeps_its_ids",
            ),
        ]),
    ),
    is(
        "durable-lost-answer",
        "A message whose answer was lost is sent again under its id",
        By(&[Test(
            ANSWERS,
            "a_message_whose_answer_was_lost_is_sent_again_with_its_id",
        )]),
    ),
    is(
        "durable-quarantine",
        "What is not understood is kept first, and then a quarantine message points at it",
        By(&[
            Test(
                INBOUND,
                "what_is_genuine_and_not_understood_is_quarantined_behind_its_receipt",
            ),
            Test(
                ANSWERS,
                "what_is_not_understood_is_accepted_and_quarantined",
            ),
        ]),
    ),
    is(
        "durable-pointer",
        "What travels behind a pointer is in the bucket before the pointer is sent; a bucket that refuses is 503",
        By(&[
            Test(INBOUND, "a_large_event_that_cannot_be_kept_is_a_refusal"),
            Test(
                ANSWERS,
                "a_large_event_whose_store_refuses_fails_the_delivery",
            ),
        ]),
    ),
];

const NOTHING_LOST: &[Requirement] = &[
    is(
        "lost-schedules",
        "Over 100,000 random schedules of deliveries, teams and faults every acknowledged event reaches every subscribed team, \
         or waits behind an alarm; every fault meets every step where it can be",
        By(&[
            Check("model"),
            Test("model::schedules", "two_thousand_schedules_hold"),
        ]),
    ),
    is(
        "lost-faults",
        "While calls fail and functions die, every event that was answered with 200 is in the team's queue or waits with a \
         reason, and every record is what an independent oracle makes of the deliveries",
        By(&[Check("faults")]),
    ),
    is(
        "lost-neighbours",
        "A burst in one lane delays no other lane, which has its own queue and readers; every message names its account as its \
         group, by which SQS's fair queues keep one account's burst from delaying another's",
        By(&[
            Test(INBOUND, "a_genuine_delivery_is_split_into_lanes_and_kept"),
            Check("template rules"),
        ]),
    ),
    is(
        "lost-order-of-steps",
        "A message leaves its lane only after its record is applied and every team's queue, or the undelivered queue, has it",
        By(&[
            Test(
                CONSUMER,
                "a_record_that_cannot_be_written_is_not_forwarded_and_comes_again",
            ),
            Test(CONSUMER, "what_neither_queue_accepts_comes_again"),
        ]),
    ),
    is(
        "lost-crash",
        "A crash, a panic or a lost answer between the steps repeats the event under its id",
        By(&[
            Test(
                "model::stories",
                "a_forward_that_is_interrupted_is_done_again",
            ),
            Test(
                CONSUMER,
                "a_write_whose_answer_was_lost_is_repeated_without_harm",
            ),
            Test(
                CONSUMER,
                "a_panic_while_forwarding_fails_what_that_team_wanted",
            ),
        ]),
    ),
    is(
        "lost-team",
        "A team whose queue refuses stops no other; its events wait in the undelivered queue under its name",
        By(&[
            Test(CONSUMER, "a_team_whose_queue_is_gone_stops_nobody"),
            Test(
                "e2e::isolation",
                "what_a_teams_queue_refuses_waits_for_that_team_alone",
            ),
            Test(
                "e2e::resend",
                "a_team_whose_queue_was_deleted_gets_what_it_missed_and_the_other_misses_nothing",
            ),
        ]),
    ),
    is(
        "lost-gone-queue",
        "What is for a team's queue that is gone or closed is set aside at once, and slows nobody",
        By(&[
            Test(CONSUMER, "a_team_s_queue_that_is_gone_is_set_aside_at_once"),
            Test(
                "runtime",
                "enqueue::tests::a_queue_that_is_closed_is_asked_once",
            ),
        ]),
    ),
    is(
        "lost-crash-outage",
        "A function that cannot start makes no dead letters for eight hours, whatever its parameters",
        By(&[
            Test(
                "local",
                "template::rules::tests::a_broken_template_is_caught",
            ),
            Test(
                "local",
                "template::rules::tests::the_projects_template_keeps_every_rule",
            ),
        ]),
    ),
    is(
        "lost-expiry",
        "What points at a receipt or an object expires before it, and markers and tokens last as long as a delivery is sent again, whatever the parameters",
        By(&[
            Check("template rules"),
            Test(
                "local",
                "template::rules::tests::objects_outlast_the_pointers_to_them",
            ),
            Test(
                "local",
                "template::rules::tests::a_broken_template_is_caught",
            ),
        ]),
    ),
    is(
        "resend-complete",
        "Sending a team's events again never says that nothing is left while something is",
        By(&[
            Test(
                "e2e::resend",
                "whatever_lies_in_front_of_it_a_team_s_event_is_sent_again",
            ),
            Test(
                "e2e::resend",
                "right_after_a_failed_run_everything_is_there",
            ),
            Test(
                "e2e::resend",
                "what_somebody_else_hides_is_not_called_nothing",
            ),
        ]),
    ),
    is(
        "lost-unreadable",
        "A message that nobody can read fails alone and ends whole in the dead-letter queue",
        By(&[
            Test(CONSUMER, "one_message_cannot_harm_another"),
            Test(
                "e2e::isolation",
                "a_message_that_nobody_can_read_dies_alone_and_whole",
            ),
        ]),
    ),
    is(
        "lost-outage",
        "A failed message waits longer each time, so that a passing outage makes no dead letter",
        By(&[
            Test(CONSUMER, "what_failed_waits_longer_each_time"),
            Test("consumer", "backoff::tests::delays_grow_up_to_a_limit"),
            Test(
                "e2e::isolation",
                "a_transient_failure_of_the_records_table_makes_no_dead_letter_and_loses_nothing",
            ),
            Check("template rules"),
        ]),
    ),
    is(
        "lost-response",
        "A batch's answer names what failed as Lambda wants it named, and starts from all failed",
        By(&[Test(
            CONSUMER,
            "the_response_names_failures_as_lambda_wants_them",
        )]),
    ),
    is(
        "lost-budget",
        "Whatever hangs, a batch ends inside its time",
        By(&[
            Test(CONSUMER, "whatever_hangs_the_batch_ends_in_time"),
            Test(CONSUMER, "a_record_that_hangs_leaves_time_for_the_others"),
        ]),
    ),
    is(
        "lost-examples",
        "Every example event is seen at its record and at a team; a consumer that is stopped is noticed",
        By(&[Check("examples"), Check("stopped consumer")]),
    ),
];

const STATE: &[Requirement] = &[
    is(
        "state-order",
        "Any order, batching and repetition leaves a record as the event first seen last says",
        By(&[
            Test(
                "domain",
                "fold::tests::any_order_batching_and_repetition_gives_the_same_state",
            ),
            Test(
                CONSUMER,
                "the_order_of_arrival_does_not_matter_and_nothing_is_dropped",
            ),
            Test(
                FLOW,
                "events_that_overtake_each_other_end_as_the_last_first_seen",
            ),
        ]),
    ),
    is(
        "model-truth",
        "Where a record says something earlier than the last event of Orderspace that was answered 200, one of seven known causes explains it, and each is counted",
        By(&[
            Check("model"),
            Test(
                "model::stories",
                "a_record_behind_orderspace_is_counted_by_its_cause",
            ),
            Check("faults"),
            Test(
                "endurance::bin/endurance",
                "oracle::tests::a_record_that_a_retry_overtook_is_counted_by_its_cause",
            ),
        ]),
    ),
    is(
        "state-delete",
        "A delete is final, and what was known last stays readable",
        By(&[
            Test(
                CONSUMER,
                "a_delete_is_final_and_what_was_known_stays_readable",
            ),
            Test(
                "model::stories",
                "an_update_after_a_delete_does_not_bring_the_record_back",
            ),
            Test(FLOW, "a_delete_is_final"),
        ]),
    ),
    is(
        "state-overlap",
        "Two batches that write one record at the same time leave what the later event says",
        By(&[Test(
            CONSUMER,
            "an_update_that_comes_between_a_batchs_delete_and_its_update_is_no_harm",
        )]),
    ),
    is(
        "state-ids",
        "Event ids sort by the gateway's milliseconds and then by position, as bytes and as text",
        By(&[Test(
            "domain",
            "identity::tests::ids_sort_by_time_then_position_also_as_text",
        )]),
    ),
    is(
        "state-clocks",
        "Events of two deliveries that are closer than the gateway's clocks agree are unordered",
        Meant(
            "Orderspace sends no time of change. What is known is when a delivery came in; teams read so in infra/docs/consumers.md.",
        ),
    ),
];

const REPEATS: &[Requirement] = &[
    is(
        "repeat-retry",
        "The retry of a refused delivery has the ids of its first attempt, and its place",
        By(&[
            Test(INBOUND, "a_delivery_refused_half_way_keeps_its_identity"),
            Test(
                "model::stories",
                "a_retry_that_comes_after_later_events_keeps_its_place",
            ),
            Test(FLOW, "a_delivery_that_was_refused_half_way_keeps_its_place"),
        ]),
    ),
    is(
        "repeat-lease",
        "A retry marker serves one attempt at a time, ends with its expiry, and can be taken over from an attempt that died",
        By(&[
            Test(
                INBOUND,
                "a_marker_serves_one_attempt_at_a_time_and_not_for_ever",
            ),
            Test(
                INBOUND,
                "a_lease_that_outlived_its_function_can_be_taken_over",
            ),
        ]),
    ),
    is(
        "repeat-unreadable-marker",
        "A marker that cannot be read costs the identity and not the delivery, and does not outlive the success",
        By(&[
            Test(INBOUND, "an_unreadable_marker_is_no_reason_to_refuse"),
            Test(
                INBOUND,
                "a_marker_that_could_not_be_read_does_not_outlive_the_success",
            ),
        ]),
    ),
    is(
        "repeat-equal-bytes",
        "Without a marker equal bytes are new events: stock that goes 20, 10, 20 is three",
        By(&[
            Test(
                "model::stories",
                "stock_that_goes_there_and_back_is_three_events",
            ),
            Test(
                "model::stories",
                "the_same_bytes_after_a_retry_are_a_new_delivery",
            ),
            Test(FLOW, "stock_that_goes_and_comes_back_is_three_events"),
        ]),
    ),
    is(
        "repeat-mark",
        "A new event whose type and bytes equal one of the record's last eight contents that another event brought carries possibleduplicate, also when it is taken twice",
        By(&[
            Test(CONSUMER, "equal_content_is_marked_and_never_dropped"),
            Test(
                CONSUMER,
                "a_mark_survives_a_second_run_also_where_batches_interleave",
            ),
            Test(
                FLOW,
                "an_accepted_delivery_that_comes_again_is_a_possible_duplicate",
            ),
        ]),
    ),
    is(
        "repeat-earlier",
        "A, B, and A again, each answered with 200: the third is marked, counted as one of an earlier content, and the order stays that of first sight",
        By(&[
            Test(
                "domain",
                "fold::tests::there_and_back_again_is_three_events_and_the_third_is_marked",
            ),
            Test("domain", "fold::tests::eight_contents_are_remembered"),
            Test(
                "domain",
                "fold::tests::a_late_event_is_a_duplicate_of_a_later_one",
            ),
            Test(
                "aws",
                "dynamo::records::tests::what_is_remembered_is_at_most_150_bytes",
            ),
            Test("e2e::rotation", "a_team_sees_what_both_webhooks_bring"),
        ]),
    ),
    is(
        "repeat-marker-registration",
        "A retry marker says nothing to the deliveries of another registration, also not after DELETE and PUT",
        By(&[
            Test(
                INBOUND,
                "a_marker_of_another_registration_gives_nothing_its_identity",
            ),
            Test(
                "aws",
                "dynamo::keys::tests::no_account_is_named_so_that_its_items_lie_with_others",
            ),
        ]),
    ),
    is(
        "repeat-captured",
        "A genuine delivery that is sent again by whoever captured it is taken again, and marked as a possible duplicate",
        Meant(
            "Orderspace signs neither a time nor a number. To drop what was seen before would drop stock that comes back; \
             teams drop what they have by id.",
        ),
    ),
];

const VERBATIM: &[Requirement] = &[
    is(
        "verbatim-split",
        "What is split and joined again is the same bytes: unknown members, numbers, escapes and spaces included",
        By(&[
            Test(
                "sources::contract",
                "what_orderspace_packs_is_split_into_the_same_bytes",
            ),
            Test("domain", "envelope::tests::what_is_written_reads_back"),
        ]),
    ),
    is(
        "verbatim-fixtures",
        "Every fixture arrives at the team's queue byte for byte",
        By(&[
            Test("e2e::fixtures", "the_documented_and_the_broken"),
            Test("e2e::fixtures", "whatever_else_a_provider_could_send"),
            Test("e2e::fixtures", "the_generated_ones"),
            Test("e2e::fixtures", "no_fixture_is_left_out"),
        ]),
    ),
    is(
        "verbatim-forms",
        "Today's list and the earlier object with a plural give the same events, past fifty too",
        By(&[
            Test(
                "sources",
                "orderspace::hook::tests::both_forms_give_the_same_events",
            ),
            Test(
                "sources",
                "orderspace::hook::tests::a_thousand_events_are_taken",
            ),
            Test(FLOW, "every_type_goes_all_the_way"),
        ]),
    ),
    is(
        "verbatim-unknown-type",
        "An event type that nobody knows goes by the lane for others, with its name and its record",
        By(&[Test(
            ANSWERS,
            "an_unknown_type_is_forwarded_by_the_lane_for_others",
        )]),
    ),
    is(
        "verbatim-sqs-characters",
        "A record with characters that no queue carries travels by a pointer to its bytes",
        By(&[
            Test("domain", "envelope::tests::characters_that_sqs_takes"),
            Test(INBOUND, "what_a_queue_cannot_carry_goes_by_a_pointer"),
        ]),
    ),
];

const SECRETS: &[Requirement] = &[
    is(
        "secret-logs",
        "No log of the stack holds a token, signing key, client secret, access token or signature, at the lowest log level",
        By(&[Test("e2e::secrets", "no_log_of_the_stack_holds_a_secret")]),
    ),
    is(
        "secret-libraries",
        "Libraries cannot log below warn, whatever the log level",
        By(&[Test(
            "runtime",
            "telemetry::tests::libraries_are_capped_at_any_level",
        )]),
    ),
    is(
        "secret-admin",
        "The admin API logs and answers no secret, not even one that Orderspace repeats in an error",
        By(&[
            Test("subscriptions::secrecy", "no_secret_is_logged_or_answered"),
            Test(
                ADMIN,
                "troubles::orderspace_s_own_words_are_passed_on_without_the_endpoint",
            ),
        ]),
    ),
    is(
        "secret-print",
        "What holds a secret does not print it",
        By(&[
            Test(
                "domain",
                "account::tests::a_token_is_known_by_its_hash_and_never_printed",
            ),
            Test(
                "domain",
                "subscription::credentials::tests::nothing_secret_prints",
            ),
            Test(
                "aws",
                "secrets::stored::tests::keys_are_read_by_webhook_and_do_not_print",
            ),
        ]),
    ),
    is(
        "secret-permissions",
        "The function that faces the internet may read signing keys only; access logs have no path; every role has its own actions",
        By(&[Check("template rules")]),
    ),
    is(
        "secret-rotation",
        "A key that changed is picked up by one read, and no key is believed for ever",
        By(&[
            Test(INBOUND, "a_key_that_changed_is_picked_up_by_one_read"),
            Test(
                INBOUND,
                "keys_are_not_believed_for_ever_however_often_they_are_used",
            ),
        ]),
    ),
];

const UNAUTHENTICATED: &[Requirement] = &[
    is(
        "stranger-answer",
        "An unknown or retired token and a missing, wrong, repeated or misspelt signature get one and the same 401",
        By(&[
            Test(
                INBOUND,
                "unauthenticated_requests_are_all_answered_alike_and_cost_one_check_at_most",
            ),
            Test(
                ANSWERS,
                "unauthenticated_requests_get_one_answer_and_leave_no_trace",
            ),
        ]),
    ),
    is(
        "stranger-write",
        "A request that is not verified causes one cached read for an unknown token and no write or message; a known token with a wrong signature asks for its account's check, once in five minutes",
        By(&[
            Test(
                INBOUND,
                "wrong_signatures_ask_for_one_check_in_five_minutes",
            ),
            Test(
                INBOUND,
                "unauthenticated_requests_are_all_answered_alike_and_cost_one_check_at_most",
            ),
            Test(INBOUND, "unknown_tokens_cost_one_cached_read_each"),
        ]),
    ),
    is(
        "stranger-secrets",
        "Wrong signatures cannot make us read secrets at will",
        By(&[
            Test(
                INBOUND,
                "wrong_signatures_do_not_make_us_read_secrets_at_will",
            ),
            Test(
                ANSWERS,
                "unauthenticated_requests_cannot_make_us_read_secrets_at_will",
            ),
        ]),
    ),
    is(
        "stranger-no-panic",
        "Whatever bytes the gateway hands over, a request is answered and nothing panics",
        By(&[
            Test(INBOUND, "odd_requests_are_answered"),
            Test(
                "runtime",
                "gateway::tests::whatever_is_sent_becomes_a_request",
            ),
            Test("runtime", "gateway::tests::what_is_no_event_is_no_request"),
            Check("panics"),
        ]),
    ),
    is(
        "stranger-time",
        "With a known token, which key, tag or byte is wrong changes neither the calls nor how many bytes are compared",
        By(&[
            Test(
                "domain",
                "signature::tests::a_wrong_tag_costs_the_same_wherever_it_is_wrong",
            ),
            Test(
                "domain",
                "signature::tests::a_wrong_secret_costs_the_same_wherever_it_is_wrong",
            ),
            Test(
                INBOUND,
                "unauthenticated_requests_are_all_answered_alike_and_cost_one_check_at_most",
            ),
        ]),
    ),
    is(
        "secret-revoked",
        "A URL whose account was disconnected is 401 ten seconds later everywhere, and a flood of unknown tokens has no keys read",
        By(&[
            Test(
                INBOUND,
                "a_retired_token_is_refused_ten_seconds_later_everywhere",
            ),
            Test(
                INBOUND,
                "a_flood_of_unknown_tokens_makes_no_keys_be_read_again",
            ),
            Test(
                "e2e::admin",
                "a_url_is_refused_ten_seconds_after_its_account_was_disconnected",
            ),
        ]),
    ),
    is(
        "stranger-signature",
        "What is signed verifies, any flipped bit is refused, a signature has one spelling, and without keys nothing is genuine",
        By(&[
            Test(
                "sources::contract",
                "what_is_signed_verifies_and_nothing_else",
            ),
            Test(
                "sources::contract",
                "every_signed_body_verifies_and_none_with_a_bit_changed",
            ),
            Test(
                "sources::contract",
                "a_request_offers_one_signature_or_none",
            ),
            Test("sources::contract", "without_keys_nothing_is_genuine"),
        ]),
    ),
    is(
        "stranger-raw-bytes",
        "The bytes that were signed are those that are verified, also where the gateway encodes them in base64",
        By(&[
            Test(INBOUND, "a_body_in_base64_is_verified_as_it_was_signed"),
            Test(
                ANSWERS,
                "the_bytes_that_were_signed_are_the_bytes_that_are_verified",
            ),
        ]),
    ),
];

const ANSWER_TABLE: &[Requirement] = &[
    is(
        "answer-not-list",
        "Verified, but no JSON or no list of events: 200, receipt first, quarantine with the reason",
        By(&[Test(
            INBOUND,
            "what_is_genuine_and_not_understood_is_quarantined_behind_its_receipt",
        )]),
    ),
    is(
        "answer-too-many",
        "More than a thousand events: 200, quarantined as a whole",
        By(&[
            Test(
                INBOUND,
                "a_thousand_and_one_events_are_quarantined_as_a_whole",
            ),
            Test(ANSWERS, "too_many_events_are_quarantined_as_a_whole"),
        ]),
    ),
    is(
        "answer-bad-elements",
        "Some elements not recognisable: 200, the good ones queued, the bad ones quarantined by position and reason",
        By(&[
            Test(INBOUND, "bad_elements_are_quarantined_and_the_others_go_on"),
            Test(ANSWERS, "bad_elements_are_quarantined_and_good_ones_go_on"),
        ]),
    ),
    is(
        "answer-empty",
        "An empty list: 200 and a receipt",
        By(&[
            Test(INBOUND, "an_empty_list_is_kept_and_accepted"),
            Test(ANSWERS, "an_empty_list_is_accepted_and_kept"),
        ]),
    ),
    is(
        "answer-keys-missing",
        "The token is known and its keys are not held yet, or cannot be read: 503, and the retry is taken",
        By(&[
            Test(
                INBOUND,
                "a_delivery_before_its_key_comes_again_and_is_taken",
            ),
            Test(
                ANSWERS,
                "without_keys_it_is_asked_to_come_again_and_then_accepted",
            ),
            Test(ANSWERS, "what_cannot_be_read_is_not_answered_with_401"),
        ]),
    ),
    is(
        "answer-lasting",
        "A queue refuses one event for its content: 200, that event by the oversize path, quarantine if even that fails",
        By(&[
            Test(
                INBOUND,
                "an_event_that_no_queue_takes_travels_apart_or_goes_to_quarantine",
            ),
            Test(
                ANSWERS,
                "an_event_whose_content_a_queue_refuses_goes_by_the_oversize_path",
            ),
            Test(ANSWERS, "an_event_that_no_queue_takes_is_quarantined"),
        ]),
    ),
    is(
        "answer-receipt",
        "A receipt alone is no reason to refuse, unless something points at it",
        By(&[
            Test(
                INBOUND,
                "a_receipt_alone_is_no_reason_to_refuse_unless_something_points_at_it",
            ),
            Test(ANSWERS, "a_lost_receipt_does_not_cost_the_delivery"),
            Test(ANSWERS, "what_needs_its_receipt_is_refused_without_it"),
        ]),
    ),
    is(
        "answer-budget",
        "Whatever hangs, the answer comes inside the budget of time",
        By(&[
            Test(INBOUND, "whatever_hangs_the_answer_comes_in_time"),
            Test(ANSWERS, "a_queue_that_is_too_slow_uses_up_the_budget"),
        ]),
    ),
];

const ENVELOPE: &[Requirement] = &[
    is(
        "envelope-schema",
        "Every message that a team gets keeps the published schema",
        By(&[
            Test("domain", "envelope::tests::reads_as_documented"),
            Test("e2e::fixtures", "the_documented_and_the_broken"),
            Test(FLOW, "every_type_goes_all_the_way"),
        ]),
    ),
    is(
        "envelope-attributes",
        "Type, account and subject are message attributes to filter by, the subject only where its characters are allowed",
        By(&[
            Test(FLOW, "messages_have_attributes_to_filter_by"),
            Test(
                "domain",
                "envelope::tests::a_subject_of_any_characters_can_be_sent",
            ),
        ]),
    ),
    is(
        "envelope-fifo",
        "A FIFO queue gets one group per record, the event's id for deduplication, and a batch in the order of first sight",
        By(&[
            Test(
                CONSUMER,
                "an_event_becomes_a_record_and_reaches_the_teams_that_want_it",
            ),
            Test(
                CONSUMER,
                "a_fifo_queue_gets_a_batch_in_the_order_of_first_sight",
            ),
        ]),
    ),
    is(
        "envelope-routes",
        "A route needs type and account, and a misspelt one stops the start",
        By(&[
            Test("domain", "route::tests::a_route_needs_type_and_account"),
            Test("domain", "route::tests::patterns"),
            Test(
                "domain",
                "route::tests::a_misspelt_field_is_an_error_not_a_team_without_events",
            ),
        ]),
    ),
];

const RECORDS: &[Requirement] = &[
    is(
        "record-forms",
        "A record reads back as the same JSON from a map, from compressed text and from the bucket",
        By(&[
            Test(
                "aws",
                "dynamo::records::tests::every_form_reads_back_as_the_same_record",
            ),
            Test("e2e::sizes", "a_record_reads_back_in_every_form"),
        ]),
    ),
    is(
        "record-limits",
        "What no map holds (38 digits, 32 levels, empty names, 400 KB) falls back to the compact form, and then to the bucket",
        By(&[
            Test("aws", "dynamo::records::native::tests::limits"),
            Test(
                "aws",
                "dynamo::records::native::tests::thirty_two_levels_fit_and_more_are_refused_without_following_them",
            ),
            Test("e2e::contract", "records_as_maps"),
            Test("e2e::contract", "records_as_compressed_text"),
        ]),
    ),
    is(
        "record-keys",
        "Each kind is named as documented; a record without a usable key is forwarded and has no record",
        By(&[
            Test("sources", "orderspace::hook::tests::identities"),
            Test(CONSUMER, "an_event_without_a_record_is_only_forwarded"),
        ]),
    ),
    is(
        "record-payments",
        "Payments are distinguished by value; equal ones may both be real, and the record counts them",
        By(&[
            Test(
                "sources",
                "orderspace::hook::tests::payments_are_told_apart_by_value",
            ),
            Test(CONSUMER, "equal_payments_may_both_be_real"),
            Test(FLOW, "equal_payments_are_both_kept"),
        ]),
    ),
    is(
        "record-collected",
        "A payment that collects no more events, because no item has room for them, is still forwarded with its state",
        By(&[Test(
            "e2e::sizes",
            "a_payment_that_collects_no_more_events_still_has_them_forwarded",
        )]),
    ),
    is(
        "record-invoice",
        "An invoice's record does not learn of its payments",
        Meant(
            "Orderspace sends no event for it. infra/docs/consumers.md asks teams to add up the payments.",
        ),
    ),
];

const SUBSCRIPTIONS: &[Requirement] = &[
    is(
        "subscription-one",
        "Connecting registers one webhook, and the same call again changes nothing",
        By(&[
            Test(ADMIN, "connecting::the_first_connect_registers_one_webhook"),
            Test(ADMIN, "connecting::the_same_call_again_changes_nothing"),
            Test(
                "e2e::admin",
                "connecting_again_changes_nothing_and_another_selection_is_set",
            ),
        ]),
    ),
    is(
        "provider-answers",
        "Whatever form the source's API answers in, it is read or refused with a sentence, and nobody is asked again and again",
        By(&[
            Test(
                "sources::orderspace_api",
                "a_token_s_life_is_read_in_every_form",
            ),
            Test(
                "sources::orderspace_api",
                "only_an_oauth_server_refuses_credentials",
            ),
            Test("sources::orderspace_api", "every_page_is_read"),
            Test("sources::orderspace_api", "removing"),
            Test("sources::orderspace_api", "a_permission_that_is_missing"),
            Test(
                "sources::orderspace_api",
                "a_pause_is_as_long_as_the_source_says",
            ),
            Test(
                ADMIN,
                "checking::an_endpoint_in_another_spelling_is_the_same",
            ),
            Test(
                ADMIN,
                "checking::what_the_source_keeps_otherwise_is_asked_for_once",
            ),
        ]),
    ),
    is(
        "provider-foreign-entries",
        "A webhook of another integration may have any form in the list",
        By(&[
            Test(
                "sources::orderspace_api",
                "foreign_entries_may_have_any_form",
            ),
            Test(
                "sources::orderspace_api",
                "an_entry_that_may_be_ours_and_has_no_id_is_no_missing_webhook",
            ),
        ]),
    ),
    is(
        "upgrade-envelope",
        "What another release stored is read, or waits for the release that knows it: envelopes, accounts, tokens, markers, receipts, records and secrets, of every release and with members of one to come",
        By(&[
            Test("domain::releases", "envelopes_of_every_release_are_read"),
            Test("domain::releases", "an_envelope_of_a_release_to_come_waits"),
            Test("aws::releases", "accounts_of_every_release_are_read"),
            Test("aws::releases", "tokens_of_every_release_are_read"),
            Test("aws::releases", "markers_of_every_release_are_read"),
            Test("aws::releases", "receipts_of_every_release_are_read"),
            Test("aws::releases", "records_of_every_release_are_read"),
            Test("aws::releases", "signing_secrets_of_every_release_are_read"),
            Test("aws::releases", "oauth_secrets_of_every_release_are_read"),
            Test("aws::releases", "words_of_a_release_to_come_are_unreadable"),
        ]),
    ),
    is(
        "upgrade-items",
        "An account, keys or credentials that cannot be read can be connected anew or removed, are listed, and leave no lease; an entry that is gone is written anew",
        By(&[
            Test(
                ADMIN,
                "damaged::an_account_that_cannot_be_read_is_listed_and_left_alone",
            ),
            Test(
                ADMIN,
                "damaged::an_account_that_cannot_be_read_is_connected_anew",
            ),
            Test(
                ADMIN,
                "damaged::an_account_that_cannot_be_read_is_disconnected",
            ),
            Test(
                ADMIN,
                "damaged::signing_keys_that_cannot_be_read_come_from_the_source_again",
            ),
            Test(
                ADMIN,
                "damaged::credentials_that_cannot_be_read_are_replaced",
            ),
            Test(
                ADMIN,
                "damaged::entries_of_url_tokens_that_are_gone_are_written_anew",
            ),
        ]),
    ),
    is(
        "subscription-crash",
        "A failure after any step leaves a state from which the next run converges, without a second webhook",
        By(&[
            Test(ADMIN, "crashes::a_first_connect"),
            Test(ADMIN, "crashes::a_change_of_events"),
            Test(ADMIN, "crashes::a_disconnect"),
            Test(ADMIN, "crashes::a_check_of_a_missing_webhook"),
        ]),
    ),
    is(
        "subscription-repair",
        "A webhook that is missing, wrong or disabled behind our back is repaired by the check",
        By(&[
            Test(ADMIN, "checking::a_missing_webhook_is_registered_again"),
            Test(ADMIN, "checking::other_events_are_corrected"),
            Test(ADMIN, "checking::another_key_is_taken_over"),
            Test(
                "e2e::lifecycle",
                "a_deleted_webhook_is_healed_and_the_next_delivery_arrives",
            ),
        ]),
    ),
    is(
        "subscription-others",
        "Nobody else's webhook is ever touched",
        By(&[
            Test(ADMIN, "checking::somebody_else_s_webhook_is_never_touched"),
            Test(ADMIN, "connecting::webhooks_of_others_are_left_alone"),
        ]),
    ),
    is(
        "subscription-lease",
        "Of two calls at once one is answered with 409 and asked to retry, and whoever was overtaken saves nothing",
        By(&[
            Test(
                ADMIN,
                "connecting::of_two_calls_at_once_one_is_told_to_come_again",
            ),
            Test(ADMIN, "crashes::whoever_is_overtaken_saves_nothing"),
            Test(
                ADMIN,
                "crashes::fifty_callers_at_once_cause_one_token_request",
            ),
        ]),
    ),
    is(
        "subscription-disconnect",
        "Disconnecting leaves nothing but the history, and deliveries are answered 401",
        By(&[
            Test(ADMIN, "disconnecting::nothing_is_left_but_the_history"),
            Test(
                "e2e::admin",
                "after_disconnecting_deliveries_are_answered_401",
            ),
        ]),
    ),
    is(
        "subscription-strikes",
        "Refused deliveries are shown with cause and time until one is accepted",
        By(&[
            Test(
                ADMIN,
                "failed_deliveries::failed_deliveries_are_shown_with_cause_and_time_until_a_delivery_is_accepted",
            ),
            Test(
                "e2e::lifecycle",
                "refused_deliveries_are_shown_until_one_is_accepted",
            ),
        ]),
    ),
    is(
        "subscription-signed",
        "Without a signature the admin API allows nothing",
        By(&[Test("e2e::admin", "without_a_signature_nothing_is_allowed")]),
    ),
];

const SIZES: &[Requirement] = &[
    is(
        "size-inline",
        "At the inline limit an event still travels in its message, one byte more sends it behind a pointer",
        By(&[
            Test(
                "domain",
                "envelope::tests::the_limit_counts_what_comes_on_top",
            ),
            Test(INBOUND_SIZES, "the_inline_limit_is_kept_to_the_byte"),
            Test("e2e::sizes", "the_inline_limit_decides"),
        ]),
    ),
    is(
        "size-headroom",
        "What travels whole fits a team's queue of that limit with the longest attributes and a mark",
        By(&[
            Test(
                CONSUMER_SIZES,
                "what_travels_whole_fits_the_team_s_queue_with_attributes_and_marks",
            ),
            Test(CONSUMER_SIZES, "a_team_s_limit_decides_to_the_byte"),
        ]),
    ),
    is(
        "size-request",
        "The largest request that Lambda hands over is taken whole, plain and in base64, as one event and as fifty",
        By(&[
            Test(
                INBOUND_SIZES,
                "the_largest_request_that_lambda_hands_over_is_taken_whole",
            ),
            Test(
                "e2e::sizes",
                "a_delivery_at_the_platforms_limit_goes_through",
            ),
            Test(
                "e2e::sizes",
                "one_event_of_nearly_five_megabytes_goes_through",
            ),
        ]),
    ),
    is(
        "size-events",
        "A thousand events are taken from a delivery, one more sends it to quarantine",
        By(&[Test(INBOUND_SIZES, "a_thousand_events_are_the_most")]),
    ),
    is(
        "size-batch",
        "A batch of messages keeps to ten entries and to 1 MiB, attributes included",
        By(&[
            Test("runtime", "enqueue::tests::batches_keep_to_both_limits"),
            Test(
                "runtime",
                "enqueue::tests::attributes_count_with_their_names_and_types",
            ),
            Test(
                CONSUMER_SIZES,
                "a_batch_of_the_largest_events_is_sent_in_as_many_calls_as_it_takes",
            ),
        ]),
    ),
    is(
        "size-item",
        "A record is a map up to the last byte that an item has for it, compressed text up to the same, and in the bucket beyond",
        By(&[
            Test(
                "aws",
                "dynamo::records::tests::a_map_holds_a_record_up_to_its_last_byte",
            ),
            Test(
                "aws",
                "dynamo::records::tests::compressed_text_holds_a_record_up_to_its_last_byte",
            ),
            Test("e2e::sizes", "a_map_is_used_up_to_its_last_byte"),
        ]),
    ),
    is(
        "size-keys",
        "A key of 1,024 bytes is a record's, a longer one is none; a type has at most 100 characters",
        By(&[
            Test(INBOUND_SIZES, "a_key_is_a_record_s_up_to_the_last_byte"),
            Test(
                INBOUND_SIZES,
                "an_event_type_is_one_up_to_its_last_character",
            ),
            Test("e2e::sizes", "a_record_s_key_is_used_up_to_its_last_byte"),
        ]),
    ),
    is(
        "size-invocation",
        "Ten thousand messages in one invocation are all applied and forwarded, of one record or of as many; bad ones fail alone",
        By(&[
            Test(CONSUMER, "ten_thousand_messages_in_one_invocation"),
            Test(CONSUMER_SIZES, "ten_thousand_messages_about_one_record"),
            Test(
                CONSUMER_SIZES,
                "among_ten_thousand_messages_the_unreadable_ones_fail_alone",
            ),
        ]),
    ),
];

const BUDGETS: &[Requirement] = &[
    is(
        "budget-inbound",
        "A warm delivery makes the calls of its budget and no other",
        By(&[
            Test(
                INBOUND,
                "the_calls_of_a_warm_delivery_are_those_of_the_budget",
            ),
            Test(
                "e2e::budgets",
                "a_warm_delivery_costs_no_more_calls_than_its_budget",
            ),
            Test("e2e::budgets", "a_known_token_is_not_looked_up_again"),
        ]),
    ),
    is(
        "budget-consumer",
        "A batch makes one write per record and a send per team and ten messages",
        By(&[
            Test(CONSUMER, "the_calls_of_a_batch_are_those_of_the_budget"),
            Test(
                "e2e::budgets",
                "a_consumers_batch_costs_no_more_calls_than_its_budget",
            ),
        ]),
    ),
];

const CHECKS: &[Requirement] = &[
    is(
        "check-panics",
        "No bytes make signature, splitting, envelope or records panic",
        By(&[
            Test(
                "sources::contract",
                "no_bytes_panic_and_none_of_them_are_made_up",
            ),
            Test(
                "sources::contract",
                "a_delivery_that_is_damaged_on_the_way_never_panics",
            ),
            Test(
                "domain",
                "envelope::tests::nothing_that_arrives_in_a_queue_panics",
            ),
            Test("aws", "dynamo::records::native::tests::no_text_panics"),
        ]),
    ),
    is(
        "check-fakes",
        "The fakes refuse what AWS and the emulator refuse: one suite for each port runs on both",
        By(&[
            Test(
                "testkit",
                "contract::queues::tests::the_fake_keeps_the_contract_and_refuses_what_sqs_refuses",
            ),
            Test(
                "testkit",
                "contract::receipts::tests::the_fake_keeps_the_contract",
            ),
            Test("e2e::contract", "queues"),
            Test("e2e::contract", "receipts"),
            Test("e2e::contract", "tokens"),
            Test("e2e::contract", "keys"),
            Test("e2e::contract", "oversize"),
            Test("e2e::contract", "redelivery"),
        ]),
    ),
    is(
        "check-mistakes",
        "The checks can fail: each known mistake, put into a copy of the code, breaks a named invariant of the schedules",
        By(&[Check("mistakes")]),
    ),
    is(
        "check-misuse",
        "A check that is misused, or whose stack goes away, says so and leaves no process behind",
        By(&[
            Test(
                "endurance::misuse",
                "what_cannot_be_run_ends_with_two_and_says_why",
            ),
            Test(
                "endurance::misuse",
                "a_port_that_is_taken_is_said_before_anything_is_built",
            ),
            Test(
                "endurance::misuse",
                "an_emulator_that_ends_during_the_run_is_said",
            ),
            Test("model::schedules", "options_that_make_no_sense_are_refused"),
            Check("emulator gone"),
        ]),
    ),
    is(
        "check-template",
        "The template is valid and keeps the project's own rules, each of which was seen to fail",
        By(&[
            Check("sam validate"),
            Check("cfn-lint"),
            Check("template rules"),
            Test(
                "local",
                "template::rules::tests::a_broken_template_is_caught",
            ),
        ]),
    ),
];

const PLATFORM: &[Requirement] = &[
    is(
        "platform-413",
        "Above 6 MB of serialised event the platform answers 413 in our place",
        OnAws {
            why: "The emulator has no payload limit.",
            how: "POST a signed body of 5.9 MB without quotes and one of 6.3 MB: 200 and 413, and the alarm on 4xx rings.",
        },
    ),
    is(
        "platform-fair",
        "A burst of one account does not delay another's events",
        OnAws {
            why: "The emulator has no fair queues; that each message carries its account as its group is tested.",
            how: "Send 100,000 stock events of one account and one order of another; compare ApproximateAgeOfOldestMessage \
                  with its quiet-groups metric.",
        },
    ),
    is(
        "platform-alarms",
        "Queue ages, dead letters and refusals raise their alarms",
        OnAws {
            why: "The emulator publishes no SQS and API Gateway metrics; that the alarms are there is a template rule.",
            how: "Send a message that is no event to a lane's dead-letter queue and wait for the mail to AlarmEmail.",
        },
    ),
    is(
        "platform-concurrency",
        "MaximumConcurrency and the batching window bound what a lane does at once",
        OnAws {
            why: "The emulator takes neither into account and caps batches at ten; large batches are handed over directly.",
            how: "Put 50,000 messages in a lane and read ConcurrentExecutions of the consumer.",
        },
    ),
    is(
        "platform-ttl",
        "Receipts and markers disappear after their time to live",
        OnAws {
            why: "The emulator removes nothing by itself; expiry of markers is compared in code, and tested.",
            how: "Look for a receipt 32 days after its delivery.",
        },
    ),
    is(
        "platform-iam",
        "A signature of the admin API that does not fit its request is refused",
        OnAws {
            why: "The emulator refuses unsigned calls and unknown keys, but does not check the signature.",
            how: "Call the admin API with curl --aws-sigv4 and another region than the stack's: 403.",
        },
    ),
    is(
        "platform-retention",
        "Tables can be restored to a point in time, and survive the stack",
        OnAws {
            why: "The emulator stores point-in-time recovery without effect; that it is set is a template rule.",
            how: "aws dynamodb restore-table-to-point-in-time, and aws cloudformation delete-stack on a copy.",
        },
    ),
];
