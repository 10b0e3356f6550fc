//! What `samconfig.toml` says about where a stack is: the SAM CLI's answers of the last guided deployment.
//!
//! <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-cli-config.html>

use std::path::Path;

use calls::Error;

/// The file's name.
pub const FILE: &str = "samconfig.toml";

/// Where a stack is, as far as the file says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SamConfig {
    /// The stack's name.
    pub stack_name: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The AWS profile.
    pub profile: Option<String>,
}

impl SamConfig {
    /// Reads the file of a directory; nothing where there is none.
    ///
    /// # Errors
    /// [`Error::Unreadable`] where it is no TOML.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::unreadable(path.display().to_string(), error)),
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let file: toml::Table =
            toml::from_str(text).map_err(|error| Error::unreadable(FILE, error.message()))?;
        // What is said for deployments counts before what is said for all commands.
        let parameter = |name: &str| {
            ["deploy", "global"].iter().find_map(|command| {
                let parameters = file.get("default")?.get(command)?.get("parameters")?;
                Some(parameters.get(name)?.as_str()?.to_owned())
            })
        };
        Ok(Self {
            stack_name: parameter("stack_name"),
            region: parameter("region"),
            profile: parameter("profile"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing("", None)]
    #[case::global("[default.global.parameters]\nstack_name = \"a\"", Some("a"))]
    #[case::deploy(
        "[default.global.parameters]\nstack_name = \"a\"\n[default.deploy.parameters]\nstack_name = \"b\"",
        Some("b")
    )]
    #[case::other_type("[default.deploy.parameters]\nstack_name = 1", None)]
    #[case::no_tables("default = 1", None)]
    fn a_stacks_name(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(
            SamConfig::parse(text).unwrap().stack_name.as_deref(),
            expected
        );
    }

    #[test]
    fn a_file_that_is_no_toml_is_named() {
        let error = SamConfig::parse("[default").unwrap_err();
        assert!(error.to_string().contains(FILE), "{error}");
    }

    #[test]
    fn a_directory_without_the_file_says_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(
            SamConfig::read(directory.path()).unwrap(),
            SamConfig::default()
        );
    }

    #[test]
    fn the_repositorys_own_file_names_the_default() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let stack = SamConfig::read(&root).unwrap().stack_name;
        assert_eq!(stack.as_deref(), Some(crate::stack::DEFAULT_NAME));
    }
}
