//! Runs schedules.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's output"
)]
fn main() {
    let seed: u64 = std::env::args()
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(1);
    let n: u64 = std::env::args()
        .nth(2)
        .and_then(|s| s.parse().ok())
        .unwrap_or(1);
    let begun = std::time::Instant::now();
    let mut coverage = model::faults::Coverage::default();
    for seed in seed..seed + n {
        let outcome = model::run::run(model::plan::Plan::of(seed), n == 1);
        coverage.add(outcome.coverage.cells());
        if n == 1 || outcome.broken.is_some() {
            for line in &outcome.story {
                eprintln!("{line}");
            }
            eprintln!("seed {seed}: {:?} {:?}", outcome.broken, outcome.counts);
        }
    }
    eprintln!("{}\n{} ms", coverage.table(), begun.elapsed().as_millis());
}
