//! The consumer function on Lambda: wiring.
fn main() {}
