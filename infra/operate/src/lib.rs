//! The operators' library: what the `orderhook` command asks and does, as typed answers. It prints nothing.
//!
//! Role: everything that decides. The crate [`calls`] asks AWS. Here [`stack`] finds a stack by its name, and each further module answers
//! one question of operators. `infra/cli` gives it a command line and prints.

pub mod accounts;
pub mod deliveries;
pub mod doctor;
pub mod fate;
pub mod kept;
pub mod lane_sender;
pub mod log_lines;
#[cfg(feature = "loopback")]
pub mod loopback;
#[cfg(feature = "loopback")]
pub mod loopback_stack;
pub mod queues;
pub mod records;
pub mod replay;
pub mod samconfig;
pub mod send;
pub mod stack;
pub mod status;
pub mod stuck;
pub mod tail;
pub mod target;
pub mod teams;
pub mod trace;
pub mod when;

pub use calls::{Access, Calls, Error, Exit};
pub use stack::Stack;
pub use target::{Options, Target};
