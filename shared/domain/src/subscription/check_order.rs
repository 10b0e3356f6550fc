//! Check orders: messages that ask for the check of one account.

use crate::account::AccountName;
use crate::envelope::Body;
use crate::ports::Message;

/// A message for the check queue: `{"account":"{name}"}`.
#[must_use]
pub fn check_order(account: &AccountName) -> Message<'static> {
    // The alphabet of names needs no escapes.
    let text = format!(r#"{{"account":"{account}"}}"#);
    Message {
        text: Body::whole(text),
        group: Some(account.to_string()),
        deduplication: None,
        attributes: Vec::new(),
        trace: None,
    }
}
