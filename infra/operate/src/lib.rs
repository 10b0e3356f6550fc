//! The operators' library: what the `orderhook` command asks and does, as typed answers. It prints nothing.
//!
//! Role: everything that decides. [`calls`] asks AWS, [`stack`] finds a stack by its name, and each further module answers
//! one question of operators. `infra/cli` gives it a command line and prints.

pub mod accounts;
pub mod aws;
pub mod calls;
pub mod doctor;
pub mod kept;
pub mod lane_sender;
#[cfg(feature = "loopback")]
pub mod loopback;
#[cfg(feature = "loopback")]
pub mod loopback_stack;
pub mod queues;
pub mod replay;
pub mod samconfig;
pub mod send;
pub mod stack;
pub mod status;
pub mod stuck;
pub mod target;
pub mod teams;

pub use calls::{Access, Calls, Error, Exit};
pub use stack::Stack;
pub use target::{Options, Target};
