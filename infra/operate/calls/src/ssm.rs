//! Systems Manager: parameters.
//!
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>

use serde::Deserialize;
use serde_json::json;

use super::{Calls, Error, Service};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: String,
}

/// A parameter's value.
///
/// # Errors
/// [`Error::NotFound`] where there is none of this name.
pub async fn parameter(calls: &Calls, name: &str) -> Result<String, Error> {
    let input = json!({ "Name": name });
    let answer = calls.json(Service::Ssm, "GetParameter", &input);
    let named = |error: Error| error.naming(format!("parameter {name}"));
    let answer: Answer = answer.await.map_err(named)?;
    Ok(answer.parameter.value)
}
