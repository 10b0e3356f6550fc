//! `outputs.json`: how to reach a stack that is up. Written when it is ready, removed when it goes.

use std::collections::BTreeMap;
use std::path::Path;

use crate::aws::Aws;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// The stack's own outputs, and how to reach the emulator that it runs on.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Outputs {
    /// Where the AWS calls go.
    pub endpoint_url: String,
    /// The region of the stack.
    pub region: String,
    /// The emulator's administrator; not a secret.
    pub access_key_id: String,
    /// The same.
    pub secret_access_key: String,
    /// Orderspace, as the functions see it, when it is the built-in simulator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulator_url: Option<String>,
    /// Every source that a built-in simulator plays, by its name, with the simulator's address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub simulators: BTreeMap<String, String>,
    /// What stands between the functions and the emulator, on a stack for tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<String>,
    /// The emulator's process, whose children the functions are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emulator_pid: Option<i32>,
    /// The name of the deployed stack, which begins the names of its secrets.
    pub stack_name: String,
    /// The outputs of the template, by name.
    #[serde(flatten)]
    pub stack: BTreeMap<String, String>,
}

impl Outputs {
    /// A caller of the emulator.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn aws(&self) -> Result<Aws> {
        Aws::new(
            &self.endpoint_url,
            &self.region,
            &self.access_key_id,
            &self.secret_access_key,
        )
    }

    /// One output of the template.
    ///
    /// # Errors
    /// The template has no such output.
    pub fn get(&self, name: &str) -> Result<&str> {
        self.stack
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("the stack has no output {name}"))
    }

    /// Reads the file of a stack that is up.
    ///
    /// # Errors
    /// A [`Refusal`] when there is none; an error when it cannot be understood.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|_| {
            Refusal::error(format!(
                "No stack is up: {} does not exist. Start one with `cargo local up`.",
                path.display()
            ))
        })?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is not what `cargo local up` writes", path.display()))
    }

    /// Writes the file so that a reader sees all of it or none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let beside = path.with_extension("json.new");
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        std::fs::write(&beside, text)
            .with_context(|| format!("{} could not be written", beside.display()))?;
        std::fs::rename(&beside, path)
            .with_context(|| format!("{} could not be written", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs() -> Outputs {
        Outputs {
            endpoint_url: "http://127.0.0.1:4566".to_owned(),
            region: "eu-west-1".to_owned(),
            access_key_id: "test".to_owned(),
            secret_access_key: "test".to_owned(),
            simulator_url: None,
            simulators: BTreeMap::new(),
            proxy_url: None,
            emulator_pid: Some(4_321),
            stack_name: "orderhook".to_owned(),
            stack: BTreeMap::from([("HooksUrl".to_owned(), "http://x/hooks".to_owned())]),
        }
    }

    #[test]
    fn the_file_is_flat_and_reads_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outputs.json");
        outputs().write(&path).unwrap();
        let flat: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(flat.get("EndpointUrl").unwrap(), "http://127.0.0.1:4566");
        assert_eq!(flat.get("HooksUrl").unwrap(), "http://x/hooks");
        assert_eq!(flat.get("EmulatorPid").unwrap(), 4_321);
        assert!(!flat.contains_key("SimulatorUrl"));
        let back = Outputs::read(&path).unwrap();
        assert_eq!(back.get("HooksUrl").unwrap(), "http://x/hooks");
        assert_eq!(back.emulator_pid, Some(4_321));
        assert!(
            back.get("Missing")
                .unwrap_err()
                .to_string()
                .contains("Missing")
        );
    }

    #[test]
    fn the_simulators_are_kept_by_source() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outputs.json");
        let url = "http://127.0.0.1:8701".to_owned();
        let simulators = BTreeMap::from([("onestock".to_owned(), url)]);
        let written = Outputs {
            simulators: simulators.clone(),
            ..outputs()
        };
        written.write(&path).unwrap();
        let text: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(text["Simulators"]["onestock"], "http://127.0.0.1:8701");
        let back = Outputs::read(&path).unwrap();
        assert_eq!(back.simulators, simulators);
        assert_eq!(back.stack, written.stack);
    }

    #[test]
    fn without_a_file_no_stack_is_up() {
        let directory = tempfile::tempdir().unwrap();
        let error = Outputs::read(&directory.path().join("outputs.json")).unwrap_err();
        assert!(error.downcast_ref::<Refusal>().is_some());
    }
}
