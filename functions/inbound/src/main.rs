//! The inbound function on Lambda: wiring.
fn main() {}
