//! A proxy between the functions and AWS: it notes what they ask, and does to a call what a network, a
//! throttle or an outage may do to it.
//!
//! Role: the functions' `AWS_ENDPOINT_URL` points here, and the proxy passes everything on to the emulator.
//! Promise: without a rule that fits, bytes pass unchanged in both directions. It listens on 127.0.0.1 alone,
//! keeps no body, and writes nothing but its ready line.
//!
//! It is steered below `/_proxy`, by [`ProxyControl`] or by hand:
//!
//! | request | does |
//! |---|---|
//! | `GET health` | `{"status":"ok"}` |
//! | `GET rules` · `POST rules` · `DELETE rules` | list · add one ([`Rule`]; answers `{"id":n}`) · remove all |
//! | `DELETE rules/{id}` | remove one |
//! | `POST watches` `{"marker":".."}` · `DELETE watches` `{"marker":".."}` | note calls that hold the marker from now on · forget them |
//! | `POST calls` `{"marker":".."}` | the calls noted ([`Call`]), in the order in which they began |
//!
//! A marker is looked for in the path and the body of a call, of S3's calls in the path alone: an account's name, a
//! token's hash, a word in a record. It stands in a body and never in a path of this API, because it may hold any
//! character.

mod calls;
mod client;
mod fault;
mod line;
mod request;
mod rules;
mod server;

pub use calls::Call;
pub use client::{ProxyControl, ProxyError};
pub use fault::Fault;
pub use rules::{ActiveRule, Rule};
pub use server::Proxy;
