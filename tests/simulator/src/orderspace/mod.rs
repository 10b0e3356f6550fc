//! What is Orderspace's own: its bodies and errors, its OAuth endpoint, its webhook API and how it signs.

pub(crate) mod answers;
pub mod events;
pub(crate) mod oauth;
pub(crate) mod signature;
pub(crate) mod webhooks;
