//! IAM: what a role may do.
//!
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>

use super::xml::{find, members, text};
use super::{Calls, Error, Service};

/// Whether a role's own policies allow an action on a resource. What the resource's policy says is not asked.
///
/// # Errors
/// [`Error::NotFound`] where there is no such role.
pub async fn allows(
    calls: &Calls,
    role: &str,
    action: &str,
    resource: &str,
) -> Result<bool, Error> {
    let input = [
        ("PolicySourceArn", role),
        ("ActionNames.member.1", action),
        ("ResourceArns.member.1", resource),
    ];
    let simulated = calls
        .query(Service::Iam, "SimulatePrincipalPolicy", &input)
        .await;
    let reply = simulated.map_err(|error| error.naming(format!("role {role}")))?;
    reply.read(|root| {
        let result = find(root, "SimulatePrincipalPolicyResult")?;
        let decision = members(result, "EvaluationResults").next()?;
        Some(text(decision, "EvalDecision")? == "allowed")
    })
}
