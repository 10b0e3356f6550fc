//! The least memory that a deployment may give the function is enough for a batch of the largest events.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

mod world;

use domain::envelope::DataRef;
use domain::ports::ClaimCheck as _;
use peak_alloc::PeakAlloc;
use world::{stored, world};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// `ConsumerMemory` at its least, in bytes.
const LEAST: usize = 320 << 20;

/// What the program takes besides: its code, the runtime, connections.
const PROGRAM: usize = 50 << 20;

/// An event's record as large as a delivery of 6 MB in base64 can bring it, in bytes.
const LARGEST_RECORD: usize = 4_400_000;

#[tokio::test(start_paused = true)]
// requirement: parameters-keep-promises
async fn a_batch_of_pointers_to_the_largest_records_fits() {
    let world = world();
    let mut bodies = Vec::new();
    for number in 0..64 {
        let id = format!("or_{number}");
        let text = "x".repeat(LARGEST_RECORD);
        let key = format!("records/{id}");
        let record = format!(r#"{{"id":"{id}","text":"{text}"}}"#);
        world.oversize.put(&key, record.as_bytes()).await.unwrap();
        let place = DataRef::new("oversize", &key);
        bodies.push(stored(number, "order.updated", &id, place));
    }
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    assert!(world.take(&bodies).await.is_empty());
    // The fake table keeps what a real one would.
    let kept = ALLOCATOR.current_usage() - before;
    assert!(kept >= 64 * LARGEST_RECORD, "{} MB are kept", kept >> 20);
    let peak = ALLOCATOR.peak_usage() - before - kept;
    assert!(peak < LEAST - PROGRAM, "{} MB", peak >> 20);
}
