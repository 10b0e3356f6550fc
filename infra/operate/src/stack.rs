//! A deployed stack, found by its name through its outputs.

use std::collections::BTreeMap;

use domain::lane::Lane;
use time::OffsetDateTime;

use calls::cloudformation::{self, Resource};
use calls::{Calls, Error};

/// The name that a stack has where nobody says another.
pub const DEFAULT_NAME: &str = "orderhook";

/// The release that this library is of.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A deployed stack.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub id: String,
    /// `CREATE_COMPLETE`, `UPDATE_ROLLBACK_COMPLETE` and so on.
    pub status: String,
    /// When it was created or last updated.
    pub changed: Option<OffsetDateTime>,
    parameters: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
}

/// One of the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Takes deliveries.
    Inbound,
    /// Applies and forwards events.
    Consumer,
    /// Keeps webhooks registered, and answers the admin API.
    Subscriptions,
    /// Erases accounts and records.
    Erasure,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Inbound,
        Self::Consumer,
        Self::Subscriptions,
        Self::Erasure,
    ];

    /// Its name in sentences and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Consumer => "consumer",
            Self::Subscriptions => "subscriptions",
            Self::Erasure => "erasure",
        }
    }

    /// What the names of its outputs begin with.
    fn output(self) -> &'static str {
        match self {
            Self::Inbound => "Inbound",
            Self::Consumer => "Consumer",
            Self::Subscriptions => "Subscriptions",
            Self::Erasure => "Erasure",
        }
    }
}

impl Stack {
    /// Finds a stack by its name: one call.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none of this name in the region.
    pub async fn find(calls: &Calls, name: &str) -> Result<Self, Error> {
        let described = cloudformation::stack(calls, name).await?;
        Ok(Self {
            name: name.to_owned(),
            id: described.id,
            status: described.status,
            changed: described.changed,
            parameters: described.parameters,
            outputs: described.outputs,
        })
    }

    /// One output of the template.
    ///
    /// # Errors
    /// [`Error::OlderStack`] where the stack has no such output: it is of another release.
    pub fn output(&self, name: &str) -> Result<&str, Error> {
        let output = self.outputs.get(name).map(String::as_str);
        output.ok_or_else(|| Error::OlderStack {
            stack: self.name.clone(),
            output: name.to_owned(),
        })
    }

    /// The same stack with another output: a test's own queue in place of the one that all tests share.
    #[cfg(feature = "loopback")]
    #[must_use]
    pub fn with_output(mut self, name: &str, value: &str) -> Self {
        self.outputs.insert(name.to_owned(), value.to_owned());
        self
    }

    /// One parameter that the stack was deployed with.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// A parameter that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.parameter(name)?.parse().ok()
    }

    /// The release that is deployed; none where the stack is of one before it said so.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.outputs.get("Version").map(String::as_str)
    }

    /// Says so where the stack is of another release than this command, which may read what it keeps otherwise.
    #[must_use]
    pub fn other_release(&self) -> Option<String> {
        let deployed = self.version();
        (deployed != Some(VERSION)).then(|| {
            let deployed = deployed.unwrap_or("0.1.0");
            format!(
                "stack {} is of release {deployed}, and this command of {VERSION}",
                self.name
            )
        })
    }

    /// The AWS account's number, from the stack's ARN.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.id.split(':').nth(4)
    }

    /// The URL of a lane's queue.
    ///
    /// # Errors
    /// [`Error::OlderStack`] where the stack does not say it.
    pub fn lane_queue(&self, lane: Lane) -> Result<&str, Error> {
        self.output(&format!("{}QueueUrl", titled(lane.as_str())))
    }

    /// The URL of a lane's dead-letter queue.
    ///
    /// # Errors
    /// [`Error::OlderStack`] where the stack does not say it.
    pub fn dead_letters(&self, lane: Lane) -> Result<&str, Error> {
        self.output(&format!("{}DlqUrl", titled(lane.as_str())))
    }

    /// The name of a function.
    ///
    /// # Errors
    /// [`Error::OlderStack`] where the stack does not say it.
    pub fn function(&self, function: Function) -> Result<&str, Error> {
        self.output(&format!("{}FunctionName", function.output()))
    }

    /// The log group of a function.
    ///
    /// # Errors
    /// [`Error::OlderStack`] where the stack does not say it.
    pub fn log_group(&self, function: Function) -> Result<&str, Error> {
        self.output(&format!("{}LogGroup", function.output()))
    }

    /// All resources of the stack, a page a call.
    ///
    /// # Errors
    /// [`Error`] says what went wrong.
    pub async fn resources(&self, calls: &Calls) -> Result<Vec<Resource>, Error> {
        let (mut resources, mut next) = (Vec::new(), None);
        loop {
            let page = cloudformation::resources(calls, &self.name, next.as_deref()).await?;
            resources.extend(page.resources);
            match page.next {
                // A token that comes round again would never end.
                Some(token) if next.as_ref() != Some(&token) => next = Some(token),
                _ => return Ok(resources),
            }
        }
    }
}

fn titled(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next();
    first
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        std::fs::read_to_string(path).unwrap()
    }

    fn has_output(name: &str) -> bool {
        let template = template();
        let (_, outputs) = template.split_once("\nOutputs:\n").unwrap();
        outputs
            .lines()
            .any(|line| line.starts_with(&format!("  {name}:")))
    }

    /// What the doctor compares queues with where it is no parameter.
    #[test]
    fn the_template_sets_its_queues_as_the_doctor_expects() {
        let template = template();
        let count = |text: &str| template.matches(text).count();
        assert_eq!(count("maxReceiveCount: 100 }"), Lane::ALL.len());
        assert_eq!(count("maxReceiveCount: 20 }"), 1);
        // Six dead-letter queues of lanes, that of checks, quarantine, undelivered, and the example team's.
        assert_eq!(count("MessageRetentionPeriod: 1209600"), 10);
        assert_eq!(count("VisibilityTimeout: 180\n"), 1);
        assert_eq!(count("MessageRetentionPeriod: 86400\n"), 1);
    }

    #[test]
    fn the_template_says_this_release() {
        assert!(template().contains(&format!("  Version: {{ Value: \"{VERSION}\",")));
    }

    #[test]
    fn the_template_has_every_output_that_is_asked_for() {
        let lanes = Lane::ALL.map(|lane| titled(lane.as_str()));
        let lanes = lanes
            .iter()
            .flat_map(|lane| [format!("{lane}QueueUrl"), format!("{lane}DlqUrl")]);
        let functions = Function::ALL.map(Function::output);
        let functions = functions
            .iter()
            .flat_map(|name| [format!("{name}FunctionName"), format!("{name}LogGroup")]);
        for name in lanes.chain(functions) {
            assert!(has_output(&name), "{name}");
        }
        assert!(!has_output("Nothing"));
    }
}
