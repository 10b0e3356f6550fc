//! The peers: functions in Python and for Node, with AWS's own SDKs, that do the work of inbound.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use local::job;
use local::places::Places;
use local::progress::Progress;
use local::refusal::Refusal;
use local::tools::{Tools, without_cargos_own};
use tokio::process::Command;

use crate::program::Launch;

/// Where they are in the project.
const PEERS: &str = "tests/bench/peers";

/// What npm and node need.
const OF_NODE: [&str; 3] = ["handler.mjs", "package.json", "package-lock.json"];

/// The peer in Python; boto3 is part of the SAM CLI's environment, pinned with the hashes of its files.
pub const PYTHON: &str = "Python (boto3)";
/// The peer for Node, whose packages `npm ci` installs by their lock file.
pub const NODE: &str = "Node (@aws-sdk)";

/// The peers' commands.
#[derive(Debug)]
pub struct Peers {
    python: Vec<OsString>,
    node: Vec<OsString>,
    folder: PathBuf,
}

impl Peers {
    /// Installs what they need.
    ///
    /// # Errors
    /// A [`Refusal`] where Node or npm is missing; an error with the end of npm's output.
    pub async fn install(places: &Places, tools: &Tools, progress: Progress) -> Result<Self> {
        let [node, npm] = [on_path("node")?, on_path("npm")?];
        let log = places.log_of("benchmark");
        let folder = places.tools.join("bench-peer");
        std::fs::create_dir_all(&folder)?;
        for file in OF_NODE {
            let from = places.root.join(PEERS).join("node").join(file);
            std::fs::copy(&from, folder.join(file))
                .with_context(|| format!("{} could not be copied", from.display()))?;
        }
        let step = progress.step("Installing what the peers need");
        let mut install = Command::new(npm);
        install
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&folder);
        without_cargos_own(&mut install);
        job::succeed("npm ci", install, &log, |_| {}).await?;
        step.done("");
        let python = tools
            .sam_program("python")
            .as_std()
            .get_program()
            .to_owned();
        let script = places.root.join(PEERS).join("python/handler.py");
        Ok(Self {
            // No compiled file beside the script: a script's own code is compiled at each start, also on Lambda.
            python: vec![python, "-B".into(), script.into()],
            node: vec![node.into(), folder.join("handler.mjs").into()],
            folder,
        })
    }

    /// How they are started, with these variables, to trust this certificate.
    pub fn launches(
        &self,
        variables: &BTreeMap<String, String>,
        root: Option<&str>,
    ) -> [Launch; 2] {
        let of = |name, command: &[OsString], trust: &str| {
            let mut variables = variables.clone();
            if let Some(root) = root {
                variables.insert(trust.to_owned(), root.to_owned());
            }
            Launch {
                name,
                command: command.to_vec(),
                variables,
                folder: self.folder.clone(),
            }
        };
        [
            of(PYTHON, &self.python, "AWS_CA_BUNDLE"),
            of(NODE, &self.node, "NODE_EXTRA_CA_CERTS"),
        ]
    }
}

/// Where a program is that has to be there.
///
/// # Errors
/// A [`Refusal`] where it is not.
pub fn on_path(program: &str) -> Result<PathBuf> {
    job::on_path(program).ok_or_else(|| {
        Refusal::error(format!(
            "{program} is not installed, without which nothing is published. Valgrind: apt install valgrind; node and \
             npm: https://nodejs.org"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_a_refusal() {
        let error = on_path("orderhook-has-no-such-tool").unwrap_err();
        assert_eq!(local::refusal::exit_code(&error), local::refusal::NOT_TRIED);
        on_path("cargo").unwrap();
    }
}
