//! The receipts table: deliveries as they came, the markers that let a retry keep its identity, and failed deliveries.
//!
//! | item | holds |
//! |---|---|
//! | a receipt | `received`, `registration`, `webhook`, `proof`, `hash`, `events`, `attempts`, and the bytes as `body` (compressed) or `dataref`; where there are any, `form` (of the signature), `part` (of the registration) and `headers`: by name, the list of values, text or bytes |
//! | a retry marker | `delivery`, `expires`, `leased_until` (milliseconds), `attempts`, `holder` |
//! | a failed delivery | `cause` |
//!
//! Inbound writes them ([`write`]); subscriptions and operators read them ([`read`]).

pub mod read;
pub mod write;

/// The delivery's bytes, compressed.
const BODY: &str = "body";
/// Where the delivery's bytes are, if not in the item.
const DATAREF: &str = "dataref";
/// The registration that the delivery came by.
const REGISTRATION: &str = "registration";
/// The source's webhook of that registration, if it was known.
const WEBHOOK: &str = "webhook";
/// What proved the delivery to be genuine.
const PROOF: &str = "proof";
/// The form in which it was signed.
const FORM: &str = "form";
/// The part of the registration that the delivery came by.
const PART: &str = "part";
/// The headers by which the delivery is split.
const HEADERS: &str = "headers";
/// How many attempts were received.
const ATTEMPTS: &str = "attempts";
/// Why the delivery was refused.
const CAUSE: &str = "cause";
