//! STS: who calls.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>

use super::xml::{find, text};
use super::{Calls, Error, Service};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The AWS account's number.
    pub account: String,
    /// The user or the role's session.
    pub arn: String,
}

/// Who calls.
///
/// # Errors
/// [`Error`] says what went wrong.
pub async fn identity(calls: &Calls) -> Result<Identity, Error> {
    let reply = calls.query(Service::Sts, "GetCallerIdentity", &[]).await?;
    reply.read(|root| {
        let result = find(root, "GetCallerIdentityResult")?;
        Some(Identity {
            account: text(result, "Account")?.to_owned(),
            arn: text(result, "Arn")?.to_owned(),
        })
    })
}
