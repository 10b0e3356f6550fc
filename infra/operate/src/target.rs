//! Which stack is meant, and as whom it is asked.

use std::path::{Path, PathBuf};

use crate::samconfig::SamConfig;
use crate::stack::{DEFAULT_NAME, Stack};
use calls::{Access, Calls, Error, Local};

/// What an operator said about it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The stack's name.
    pub stack: Option<String>,
    /// The AWS profile.
    pub profile: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The file of a local stack's outputs, where a local stack is meant.
    pub local: Option<PathBuf>,
}

/// The stack that is meant, not looked for yet.
#[derive(Debug, Clone)]
pub struct Target {
    /// The stack's name.
    pub name: String,
    /// How it is asked.
    pub calls: Calls,
}

impl Target {
    /// What an operator means who works in `directory`: what was said, else what `samconfig.toml` says, else the default
    /// name and what the AWS CLI would take.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no region; [`Error::NotFound`] where the local stack is not up.
    pub async fn of(options: &Options, directory: &Path) -> Result<Self, Error> {
        if let Some(path) = &options.local {
            let local = Local::read(&directory.join(path))?;
            return Ok(Self {
                calls: Calls::new(local.access())?,
                name: options.stack.clone().unwrap_or(local.stack_name),
            });
        }
        let config = SamConfig::read(directory)?;
        let profile = options.profile.as_deref().or(config.profile.as_deref());
        let mut access = Access::from_environment(profile, options.region.as_deref()).await;
        if let (Err(Error::Usage(_)), Some(region)) = (&access, &config.region) {
            access = Access::from_environment(profile, Some(region)).await;
        }
        Ok(Self {
            name: name(options, &config),
            calls: Calls::new(access?)?,
        })
    }

    /// Finds the stack.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none of this name in the region.
    pub async fn stack(&self) -> Result<Stack, Error> {
        Stack::find(&self.calls, &self.name).await
    }
}

fn name(options: &Options, config: &SamConfig) -> String {
    let said = options.stack.as_ref().or(config.stack_name.as_ref());
    said.map_or_else(|| DEFAULT_NAME.to_owned(), String::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Some("said"), Some("written"), "said")]
    #[case(None, Some("written"), "written")]
    #[case(None, None, DEFAULT_NAME)]
    fn what_is_said_counts_before_what_is_written(
        #[case] said: Option<&str>,
        #[case] written: Option<&str>,
        #[case] expected: &str,
    ) {
        let options = Options {
            stack: said.map(str::to_owned),
            ..Options::default()
        };
        let config = SamConfig {
            stack_name: written.map(str::to_owned),
            ..SamConfig::default()
        };
        assert_eq!(name(&options, &config), expected);
    }

    #[tokio::test]
    async fn a_local_stack_is_named_by_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let text = r#"{"EndpointUrl":"http://127.0.0.1:1","Region":"eu-west-1","AccessKeyId":"a","SecretAccessKey":"b","StackName":"here"}"#;
        std::fs::write(directory.path().join("o.json"), text).unwrap();
        let mut options = Options {
            local: Some("o.json".into()),
            ..Options::default()
        };
        let target = Target::of(&options, directory.path()).await.unwrap();
        assert_eq!(target.name, "here");
        assert!(target.calls.is_emulated());
        options.stack = Some("other".to_owned());
        let target = Target::of(&options, directory.path()).await.unwrap();
        assert_eq!(target.name, "other");
    }
}
