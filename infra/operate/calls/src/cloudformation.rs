//! CloudFormation: a stack, its outputs and its resources.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html>

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::xml::{find, members, text};
use super::{Calls, Error, Service, instant};

/// A stack as CloudFormation describes it.
#[derive(Debug, Clone)]
pub struct Described {
    /// The stack's ARN.
    pub id: String,
    /// `CREATE_COMPLETE`, `UPDATE_ROLLBACK_COMPLETE` and so on.
    pub status: String,
    /// When it was created or last updated.
    pub changed: Option<OffsetDateTime>,
    /// Parameters by name.
    pub parameters: BTreeMap<String, String>,
    /// Outputs by name.
    pub outputs: BTreeMap<String, String>,
}

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its name in the template.
    pub logical: String,
    /// Its name in the account; empty where it has none yet.
    pub physical: String,
    /// Its type, such as `AWS::SQS::Queue`.
    pub kind: String,
}

/// One page of a stack's resources.
#[derive(Debug, Clone)]
pub struct Resources {
    /// The resources.
    pub resources: Vec<Resource>,
    /// What the next page is asked with; none on the last one.
    pub next: Option<String>,
}

/// A stack by its name.
///
/// # Errors
/// [`Error::NotFound`] where there is none of this name in the region.
pub async fn stack(calls: &Calls, name: &str) -> Result<Described, Error> {
    let described = calls
        .query(
            Service::CloudFormation,
            "DescribeStacks",
            &[("StackName", name)],
        )
        .await;
    let region = calls.region();
    let reply = described.map_err(|error| {
        error.naming(format!(
            "stack {name} in region {region} (--stack and --region choose another)"
        ))
    })?;
    reply.read(|root| {
        let stack = members(find(root, "DescribeStacksResult")?, "Stacks").next()?;
        let pairs = |list, key, value| {
            members(stack, list)
                .filter_map(|member| {
                    Some((
                        text(member, key)?.to_owned(),
                        text(member, value)?.to_owned(),
                    ))
                })
                .collect()
        };
        let changed = text(stack, "LastUpdatedTime").or_else(|| text(stack, "CreationTime"));
        Some(Described {
            id: text(stack, "StackId")?.to_owned(),
            status: text(stack, "StackStatus")?.to_owned(),
            changed: changed.and_then(instant),
            parameters: pairs("Parameters", "ParameterKey", "ParameterValue"),
            outputs: pairs("Outputs", "OutputKey", "OutputValue"),
        })
    })
}

/// A page of a stack's resources: the first, or the one that `next` names.
///
/// # Errors
/// [`Error::NotFound`] where there is no such stack.
pub async fn resources(calls: &Calls, stack: &str, next: Option<&str>) -> Result<Resources, Error> {
    let mut input = vec![("StackName", stack)];
    input.extend(next.map(|next| ("NextToken", next)));
    let listed = calls
        .query(Service::CloudFormation, "ListStackResources", &input)
        .await;
    let reply = listed.map_err(|error| error.naming(format!("stack {stack}")))?;
    reply.read(|root| {
        let result = find(root, "ListStackResourcesResult")?;
        let resource = |member| {
            Some(Resource {
                logical: text(member, "LogicalResourceId")?.to_owned(),
                physical: text(member, "PhysicalResourceId")
                    .unwrap_or_default()
                    .to_owned(),
                kind: text(member, "ResourceType")?.to_owned(),
            })
        };
        Some(Resources {
            resources: members(result, "StackResourceSummaries")
                .filter_map(resource)
                .collect(),
            next: text(result, "NextToken")
                .filter(|token| !token.is_empty())
                .map(str::to_owned),
        })
    })
}
