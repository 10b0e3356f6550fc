//! Subscriptions: an account's webhook at its source, and how it gets there.
//!
//! The desired state is kept first ([`Account`]); everything after that only brings the source in line with
//! it. What the source has is observed ([`Seen`]), [`plan`] compares both and says what is left to do, and each
//! [`Step`] can be repeated. So a call that was cut short at any point is continued by the next one, and ends
//! with exactly one webhook of ours. Webhooks of others are never touched.

mod account;
mod account_event;
mod api;
mod api_url;
mod check_order;
mod credentials;
mod endpoint;
mod failed_deliveries;
mod life_cycle;
mod own_secrets;
mod part;
mod plan;
mod ports;
mod rotation;
mod selection;
mod silence;

pub use account::{
    Account, Desired, Entry, LONGEST_HISTORY, LastError, Orphan, Principal, Registration,
    RegistrationState, Rotation, State,
};
pub use account_event::{AccountEvent, AccountEventKind, MOST_UNSENT, Unsent};
pub use api::{Api, ApiCall, ApiError, Apis, NewWebhook, Removed, WebhookChange};
pub use api_url::{ApiUrl, ApiUrlError};
pub use check_order::check_order;
pub use credentials::{Access, AccessToken, Caller, CredentialError, Credentials, OauthSecret};
pub use endpoint::{Endpoint, HooksUrl, HooksUrlError, unescaped};
pub use failed_deliveries::{Arrival, FailedDelivery, failed_run};
pub use life_cycle::{CredentialField, KeyOrigin, LifeCycle};
pub use own_secrets::{OurSecret, basic_credentials};
pub use part::{MOST_PARTS, Part};
pub use plan::{Condition, RegisteredWebhook, Remedy, Seen, Step, difference, plan, plan_removal};
pub use ports::{
    Accounts, AllAccounts, Deliveries, IfUnknown, Lease, LeaseOwner, Leased, Leases, Saved, Secrets,
};
pub use rotation::Evidence;
pub use selection::{Choice, EventSelection, EventSelectionError};
pub use silence::{Baseline, HOURS, Silence};
