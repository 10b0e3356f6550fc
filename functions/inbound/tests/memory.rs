//! The least memory that a deployment may give the function is enough for the largest delivery.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

mod world;

use domain::timestamp::Timestamp;
use peak_alloc::PeakAlloc;
use rstest::rstest;
use runtime::gateway::GatewayEvent;
use testkit::gateway::RECEIVED_MILLIS;
use tokio::sync::Mutex;
use world::world;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The largest event that Lambda hands over, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LARGEST_INVOCATION: usize = 6 * 1024 * 1024;

/// `InboundMemory` at its least, in bytes.
const LEAST: usize = 256 << 20;

/// What the program takes besides: its code, the runtime, connections.
const PROGRAM: usize = 50 << 20;

/// The allocator counts for the whole process, so one delivery is measured at a time.
static MEASURING: Mutex<()> = Mutex::const_new(());

/// Bodies with as many values as can be, under which memory grows most.
#[rstest]
#[case::elements("[", "0", "]")]
#[case::objects("[", "{}", "]")]
#[case::broken_numbers("[1e999,", "0", "]")]
#[case::records(r#"[{"event":"order.created","data":{"orders":["#, "0", "]}}]")]
#[case::members(r#"[{"event":"order.created","data":{"#, r#""":0"#, "}}]")]
#[case::members_of_a_record(r#"[{"event":"order.created","data":{"order":{"#, r#""":0"#, "}}}]")]
#[case::lists(r#"[{"event":"order.created","data":{"order":{"id":["#, "[]", "]}}}]")]
#[tokio::test(start_paused = true)]
// requirement: parameters-keep-promises
async fn a_delivery_of_six_megabytes_fits(
    #[case] begin: &str,
    #[case] value: &str,
    #[case] end: &str,
) {
    let _alone = MEASURING.lock().await;
    let world = world();
    // Some of them are quotes, which the gateway's event escapes.
    let quotes = value.matches('"').count();
    let count = (LARGEST_INVOCATION - 8192) / (value.len() + quotes + 1);
    let values = format!("{value},").repeat(count - 1);
    let body = format!("{begin}{values}{value}{end}");
    let event = world.signed(body).to_json();
    assert!((LARGEST_INVOCATION - 8192..=LARGEST_INVOCATION).contains(&event.len()));
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let now = Timestamp::from_millis(RECEIVED_MILLIS);
    let answer = world
        .function
        .respond(GatewayEvent::parse(&event), now)
        .await;
    assert_eq!(answer["statusCode"], 200);
    let peak = ALLOCATOR.peak_usage() - before + event.len();
    assert!(peak < LEAST - PROGRAM, "{} MB", peak >> 20);
}
