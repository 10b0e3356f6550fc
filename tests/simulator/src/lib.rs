//! Orderspace as its documentation describes it, on the local machine: an OAuth endpoint, the webhook API, and a
//! sender that signs and retries.
//!
//! Role: the counterpart that a webhook receiver is developed and tested against. It promises the documented bodies
//! and error forms, byte-exact events, and faults on request. It refuses to listen on anything but 127.0.0.1. Where
//! Orderspace's behaviour is not published, it is a setting.
//!
//! - [`Sender`]: deliveries without a server, for tests in the process
//! - [`fixtures`]: deliveries from files
//!
//! <https://apidocs.orderspace.com>

pub mod events;
pub mod fixtures;
mod health;
mod journal;
mod parcel;
mod random;
mod rate_limit;
mod sender;
mod signature;
mod switches;

pub use events::{EVENT_NAMES, EventText, EventTextError};
pub use health::{Health, Standing};
pub use journal::{Attempt, DeliveryReport, End, Journal, Outcome, Report};
pub use parcel::{PackError, RawDelivery, Signing};
pub use rate_limit::RateLimit;
pub use sender::{Sender, SenderError, Target};
pub use signature::{SIGNATURE_HEADER, SIGNING_KEY_LENGTH, SigningKey};
pub use switches::{Rebatch, Repeat, RetryPolicy, Shape, Switches};
