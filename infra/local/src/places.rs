//! Where everything is kept: the project, the state of one stack, the tools that all stacks share.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The directories that a stack uses.
#[derive(Clone, Debug)]
pub struct Places {
    /// The project: where `template.yaml` is.
    pub root: PathBuf,
    /// One stack's own directory. Two stacks with different ones live side by side.
    pub state: PathBuf,
    /// The installed tools, shared by every stack of this project.
    pub tools: PathBuf,
}

impl Places {
    /// The places of the stack that keeps its state in `state`, or in `.local/`.
    ///
    /// # Errors
    /// The state directory cannot be created.
    pub fn of(state: Option<&Path>) -> Result<Self> {
        // Known at compile time, so that the commands work from any directory.
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest
            .ancestors()
            .nth(2)
            .context("this package is not where it was built: infra/local of the project")?
            .to_path_buf();
        let shared = root.join(".local");
        let state = match state {
            Some(chosen) => std::path::absolute(chosen)?,
            None => shared.clone(),
        };
        let places = Self {
            tools: shared.join("tools"),
            root,
            state,
        };
        for directory in [places.log(), places.scratch(), places.tools.clone()] {
            std::fs::create_dir_all(&directory)
                .with_context(|| format!("{} could not be created", directory.display()))?;
        }
        Ok(places)
    }

    /// The directory of the logs.
    pub fn log(&self) -> PathBuf {
        self.state.join("log")
    }

    /// The log file of one program.
    pub fn log_of(&self, program: &str) -> PathBuf {
        self.log().join(format!("{program}.log"))
    }

    /// The temporary directory of what the stack runs, so that nothing is left in the machine's own.
    pub fn scratch(&self) -> PathBuf {
        self.state.join("tmp")
    }

    /// Where others read how to reach the stack.
    pub fn outputs(&self) -> PathBuf {
        self.state.join("outputs.json")
    }

    /// `template.yaml`.
    pub fn template(&self) -> PathBuf {
        self.root.join("template.yaml")
    }

    /// A command of `cargo local` for this stack, as the reader would type it.
    pub fn command(&self, command: &str) -> String {
        if self.state == self.root.join(".local") {
            format!("cargo local {command}")
        } else {
            format!("cargo local --state {} {command}", self.shown(&self.state))
        }
    }

    /// A path as the reader would type it: relative to the project where it is inside.
    pub fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}
