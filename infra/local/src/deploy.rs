//! Deploys the built template onto the emulator with `sam deploy`, and asks what came of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use http::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::aws::{Aws, EVENT_SOURCE_MAPPINGS};
use crate::build;
use crate::emulator::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, endpoint};
use crate::job;
use crate::outputs::Outputs;
use crate::places::Places;
use crate::progress::Progress;
use crate::tools::Tools;
use calls::{Access, Calls, cloudformation};

/// The name of the local stack.
pub const STACK_NAME: &str = "orderhook";

/// After how many seconds `sam deploy` asks again how far a stack is: an emulator takes no longer.
const POLL_DELAY_S: &str = "0.5";

/// Deploys `template` onto the emulator on `port`, where there is no stack yet.
///
/// # Errors
/// `sam deploy` fails, with the end of its output.
pub async fn deploy(
    places: &Places,
    tools: &Tools,
    template: &Path,
    port: u16,
    source_urls: &[String],
    parameters: &[String],
    progress: Progress,
) -> Result<Outputs> {
    let outputs = update(
        places,
        tools,
        template,
        port,
        source_urls,
        parameters,
        progress,
    )
    .await?;
    switch_on_expiry(&outputs).await?;
    switch_on_backups(&outputs).await?;
    Ok(outputs)
}

/// Deploys `template` onto the emulator on `port`, also over the stack that is there.
///
/// # Errors
/// `sam deploy` fails, with the end of its output.
pub async fn update(
    places: &Places,
    tools: &Tools,
    template: &Path,
    port: u16,
    source_urls: &[String],
    parameters: &[String],
    progress: Progress,
) -> Result<Outputs> {
    let mut step = progress.step("Deploying the stack (sam deploy)");
    let log = places.log_of("deploy");
    std::fs::write(&log, "").with_context(|| format!("{} could not be written", log.display()))?;
    let mut command = sam(tools, port, places);
    command
        .arg("deploy")
        .arg("--config-file")
        .arg(no_settings(places)?)
        .arg("--template-file")
        .arg(template)
        .args(["--stack-name", STACK_NAME])
        .args([
            "--resolve-s3",
            "--capabilities",
            "CAPABILITY_IAM",
            "--no-confirm-changeset",
        ])
        .args(["--no-progressbar", "--no-fail-on-empty-changeset"])
        .arg("--parameter-overrides")
        .arg(format!("Architecture={}", build::architecture()?))
        // The emulator speaks plain http, and its functions are reached below one path.
        .args([
            "TlsOnly=false",
            &format!("GatewayBaseUrl={}/_aws/execute-api", endpoint(port)),
        ])
        .arg(format!("SourceUrls={}", source_urls.join(",")))
        .args(parameters.iter().map(|parameter| quoted(parameter)));
    let mut resources = 0;
    job::succeed("sam deploy", command, &log, |line| {
        if line.starts_with("CREATE_COMPLETE") || line.starts_with("UPDATE_COMPLETE") {
            resources += 1;
            step.update(&format!("{resources} resources"));
        }
    })
    .await?;
    let outputs = Outputs {
        endpoint_url: endpoint(port),
        region: REGION.to_owned(),
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        simulator_url: None,
        emulator_pid: None,
        simulators: BTreeMap::new(),
        proxy_url: None,
        stack_name: STACK_NAME.to_owned(),
        stack: stack_outputs(port).await?,
    };
    limit_concurrency(&outputs).await?;
    step.done("");
    Ok(outputs)
}

/// A file of settings without any: those of the project's own are about stacks on AWS.
fn no_settings(places: &Places) -> Result<PathBuf> {
    let path = places.state.join("samconfig.toml");
    std::fs::write(&path, "version = 0.1\n")
        .with_context(|| format!("{} could not be written", path.display()))?;
    Ok(path)
}

/// The emulator on this port, before anything is deployed.
///
/// # Errors
/// No HTTP client can be made.
pub fn emulator_of(port: u16) -> Result<Aws> {
    Aws::new(&endpoint(port), REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY)
}

/// A parameter as the SAM CLI takes it: a value that is not in quotes is cut at the first quote or space in it.
fn quoted(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, value)) if !value.starts_with(['\'', '"']) && value.contains(['"', ' ']) => {
            format!("{name}='{value}'")
        }
        _ => parameter.to_owned(),
    }
}

async fn stack_outputs(port: u16) -> Result<BTreeMap<String, String>> {
    let access = Access::fixed(&endpoint(port), REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY);
    let stack = cloudformation::stack(&Calls::new(access)?, STACK_NAME).await?;
    Ok(stack.outputs)
}

/// The emulator keeps a limit that is a parameter as text, which its poller cannot compare with a number. So each is set
/// once more.
async fn limit_concurrency(outputs: &Outputs) -> Result<()> {
    let aws = outputs.aws()?;
    let mappings = aws.lambda(Method::GET, EVENT_SOURCE_MAPPINGS, None).await?;
    let mappings = mappings
        .get("EventSourceMappings")
        .and_then(Value::as_array);
    for mapping in mappings.context("the emulator lists no event sources")? {
        let limit = mapping.pointer("/ScalingConfig/MaximumConcurrency");
        let Some(limit) = limit.and_then(Value::as_str) else {
            continue;
        };
        let limit: u32 = limit.parse().context("a limit that is no number")?;
        let id = mapping.get("UUID").and_then(Value::as_str);
        let path = format!("{EVENT_SOURCE_MAPPINGS}{}", id.unwrap_or_default());
        let input = json!({ "ScalingConfig": { "MaximumConcurrency": limit } });
        aws.lambda(Method::PUT, &path, Some(&input)).await?;
    }
    Ok(())
}

/// The emulator ignores the expiry that the template asks for, so it is switched on as an operator would.
async fn switch_on_expiry(outputs: &Outputs) -> Result<()> {
    outputs
        .aws()?
        .dynamodb(
            "UpdateTimeToLive",
            &json!({
                "TableName": outputs.get("ReceiptsTable")?,
                "TimeToLiveSpecification": { "AttributeName": "expires_at", "Enabled": true },
            }),
        )
        .await?;
    Ok(())
}

/// Nor does it take over that tables can be restored to any time, which the operators' command looks at.
async fn switch_on_backups(outputs: &Outputs) -> Result<()> {
    let aws = outputs.aws()?;
    for table in ["AccountsTable", "ReceiptsTable", "RecordsTable"] {
        let input = json!({
            "TableName": outputs.get(table)?,
            "PointInTimeRecoverySpecification": { "PointInTimeRecoveryEnabled": true },
        });
        aws.dynamodb("UpdateContinuousBackups", &input).await?;
    }
    Ok(())
}

/// The SAM CLI, pointed at the emulator and away from any AWS account that the shell may know.
fn sam(tools: &Tools, port: u16, places: &Places) -> Command {
    let mut command = tools.sam_module("samcli");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(&places.root)
        .env("AWS_ENDPOINT_URL", endpoint(port))
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_REGION", REGION)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("SAM_CLI_POLL_DELAY", POLL_DELAY_S)
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("no_proxy", "127.0.0.1,localhost");
    command
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("ConsumerTimeout=5", "ConsumerTimeout=5")]
    #[case::a_list("TeamQueueArns=a,b", "TeamQueueArns=a,b")]
    #[case::json(r#"Teams=[{"team":"a"}]"#, r#"Teams='[{"team":"a"}]'"#)]
    #[case::with_a_space("Teams=[ ]", "Teams='[ ]'")]
    #[case::quoted_already(r#"Teams='[{"team":"a"}]'"#, r#"Teams='[{"team":"a"}]'"#)]
    #[case::no_parameter("Teams", "Teams")]
    fn what_the_sam_cli_would_cut_is_quoted(#[case] parameter: &str, #[case] expected: &str) {
        assert_eq!(quoted(parameter), expected);
    }
}
