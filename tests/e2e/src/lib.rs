//! End-to-end tests: stories that the real stack plays on this machine.
//!
//! Role: what the tests in `tests/` share. All of them run at the same time on one stack, so each has a
//! [`World`] of its own: an account, and what came of its deliveries in the real queues and tables. Nothing here
//! waits for a fixed time: what has to come about is asked for until it has, or until a deadline.
//!
//! | module | has |
//! |---|---|
//! | [`stack`] | where the stack is, and clients for all of it |
//! | [`world`] | one test's account: connecting it, posting as Orderspace does |
//! | [`operator`] | one test's account of any source, before it is connected: calling the admin API |
//! | [`provider`] | the source's side of it: registering webhooks, having the source send |
//! | [`queue_reader`] | reading queues that all tests share |
//! | [`team`] | what a team's queue holds: events, held against the published schema |
//! | [`tables`] | records, receipts, retry markers and failed deliveries |
//! | [`story`] | a fixture's whole way, held against the manifest |
//! | [`proxy`] | what stands between the functions and AWS, counts and disturbs |
//! | [`scratch`] | queues and tables of one test's own |
//! | [`waiting`] | asking until it is so |
//!
//! The stack is the one that `ORDERHOOK_OUTPUTS` or `.local/outputs.json` describes. Without one every test fails
//! and says how to get one.

pub mod operator;
pub mod provider;
pub mod proxy;
pub mod queue_reader;
pub mod scratch;
pub mod stack;
pub mod story;
pub mod tables;
pub mod team;
pub mod waiting;
pub mod world;

pub use operator::Operator;
pub use stack::Stack;
pub use waiting::until;
pub use world::World;
