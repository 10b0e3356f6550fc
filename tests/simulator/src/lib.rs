//! A source of webhooks as its documentation describes it, on the local machine: its API, and a sender that signs and
//! retries. One simulator plays one [`Source`].
//!
//! Role: the counterpart that a webhook receiver is developed and tested against. It promises the documented bodies
//! and error forms, byte-exact events, and faults on request. It refuses to listen on anything but 127.0.0.1. Where
//! a source's behaviour is not published, it is a setting.
//!
//! - [`Simulator`]: the server, started in the process or by `cargo local`
//! - [`control`]: the API by which tests steer it, and [`Control`], its client
//! - [`Sender`]: deliveries without a server, for tests in the process
//! - [`fixtures`]: the events of a delivery that is written down
//!
//! What is one source's own is in its module; the engine asks it by one table, [`Source`].

mod api;
mod apideck;
mod clock;
pub mod control;
mod control_client;
mod door;
mod event;
mod faults;
pub mod fixtures;
mod health;
mod journal;
mod json;
mod key;
mod onestock;
mod ordermentum;
pub mod orderspace;
mod payload;
mod random;
mod rate_limit;
mod sender;
mod server;
mod site;
mod source;
mod stackone;
mod switches;
mod world;

pub use control_client::{Control, ControlError, SiteControl};
pub use event::{EventText, EventTextError};
pub use faults::{Door, Fault, FaultKind};
pub use health::{Health, Standing};
pub use journal::{Attempt, DeliveryReport, End, Journal, Outcome, Report};
pub use key::SigningKey;
pub use orderspace::events::EVENT_NAMES;
pub use payload::{PackError, RawDelivery};
pub use sender::{Sender, SenderError, Target};
pub use server::{Simulator, SimulatorError};
pub use site::{LoggedRequest, RunReport};
pub use source::Source;
pub use switches::{Rebatch, Repeat, RetryPolicy, Shape, Switches};
