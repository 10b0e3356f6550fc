//! What Orderhook knows about commerce webhooks, without knowing where it runs.
//!
//! Bytes become trusted types here, once: [`signature`] judges whether a delivery is genuine, [`identity`] names
//! deliveries and events, [`record`] names what an event is about, [`envelope`] is what travels through the
//! queues, [`fold`] decides what a record becomes, and [`route`] which teams get to see an event.
//!
//! What differs from source to source is in the crate `sources`, which reads requests and splits deliveries.
//!
//! Nothing here reads a clock, an environment variable or a network: time, names and random bytes come in as
//! arguments. [`ports`] says what the functions need from the outside, in the words of this crate.

#![warn(clippy::too_many_lines)]

pub mod account;
pub mod control;
pub mod decimal;
pub mod delivery;
pub mod envelope;
pub mod erasure;
pub mod event;
pub mod fold;
pub mod identity;
pub mod lane;
pub mod ports;
pub mod provenance;
pub mod record;
pub mod route;
pub mod signature;
pub mod source;
pub mod subscription;
pub mod timestamp;
pub mod trace;
pub mod unified;
pub mod uri;
