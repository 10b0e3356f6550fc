//! What connects an account of a source that a simulator plays: the body of `PUT /v1/accounts/{account}`.

use domain::source::Source;
use serde_json::{Value, json};

/// The address that OneStock's accounts are given, since each site has its own. The local stack calls its simulator in the
/// place of it.
const ONESTOCK_API: &str = "https://api.onestock-retail.com";

/// What connects an account for these events: `site` is the simulated site's client id, `secret` its client secret, whatever
/// the source calls them.
#[must_use]
pub fn desired(source: Source, site: &str, secret: &str, events: &[&str]) -> Value {
    let mut desired = match source {
        Source::Apideck => json!({ "api_key": secret, "app_id": site }),
        Source::Orderspace => json!({ "client_id": site, "client_secret": secret }),
        Source::Ordermentum => json!({ "api_key": secret, "supplier_id": site }),
        Source::OneStock => json!({
            "api_url": ONESTOCK_API, "site_id": site, "user_id": "orderhook", "password": secret,
        }),
        Source::StackOne => json!({ "signing_secrets": [secret] }),
    };
    if let Some(members) = desired.as_object_mut() {
        members.insert("source".to_owned(), json!(source.as_str()));
        members.insert("events".to_owned(), json!(events));
    }
    desired
}

/// The same for a program that shares no types with the product: the source by its name, as in webhook URLs. None where no
/// source is called so.
#[must_use]
pub fn desired_by_name(source: &str, site: &str, secret: &str, events: &[&str]) -> Option<Value> {
    Source::named(source).map(|source| desired(source, site, secret, events))
}
