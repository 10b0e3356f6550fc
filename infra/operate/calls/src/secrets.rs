//! Secrets Manager: the signing keys of an account, for a delivery to one's own stack.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::{Calls, Error, Service};

/// Without `Debug`: it holds the secret until it is where it cannot print.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    secret_string: String,
}

/// A secret that is text.
///
/// # Errors
/// [`Error::NotFound`] where there is none of this name; [`Error::Permission`] where the caller may not read it.
pub async fn text(calls: &Calls, name: &str) -> Result<SecretString, Error> {
    let input = json!({ "SecretId": name });
    let answer = calls.json(Service::SecretsManager, "GetSecretValue", &input);
    let named = |error: Error| match error {
        // The parser's words could repeat a part of it.
        Error::Unreadable { what, .. } => Error::unreadable(what, "it is no secret that is text"),
        other => other.naming(format!("secret {name}")),
    };
    let answer: Answer = answer.await.map_err(named)?;
    Ok(answer.secret_string.into())
}
