//! Stories of connecting and disconnecting, told against a simulated Orderspace that keeps its own state.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a story that cannot go on stops where it is"
)]

mod account_events;
mod apideck;
mod checking;
mod connecting;
mod contract;
mod crashes;
mod damaged;
mod described;
mod disconnecting;
mod each_source;
mod erasing;
mod failed_deliveries;
mod manual;
mod manual_crashes;
mod memory;
mod onestock;
mod ordermentum;
mod rotating;
mod scheduling;
mod sequences;
mod showing;
mod silence;
mod troubles;
mod world;
