//! What a run says at its end: a table and a verdict for a person, or one JSON document.

use std::process::ExitCode;

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use serde::Serialize;
use serde_json::{Value, json};

/// Problems that are shown; a run that breaks one promise breaks it often.
const SHOWN: usize = 20;

/// A run's figures and what it found broken.
#[derive(Debug)]
pub(crate) struct Report {
    lines: Vec<(String, String)>,
    figures: Value,
    /// The figures that matter most, in one line.
    summary: String,
    problems: Vec<String>,
}

impl Report {
    /// A report of these lines; the figures are what a program reads.
    ///
    /// # Errors
    /// The figures are none.
    pub(crate) fn new(
        lines: Vec<(String, String)>,
        figures: &impl Serialize,
        summary: String,
        problems: Vec<String>,
    ) -> Result<Self> {
        Ok(Self {
            lines,
            figures: serde_json::to_value(figures)?,
            summary,
            problems,
        })
    }

    /// Prints it. The code is 0 only where nothing is broken.
    pub(crate) fn print(&self, as_json: bool) -> ExitCode {
        let held = self.problems.is_empty();
        if as_json {
            let document =
                json!({ "held": held, "figures": self.figures, "problems": self.problems });
            println!("{document:#}");
        } else {
            let mut table = Table::new();
            table.load_style(UTF8_BORDERS_ONLY);
            for (what, value) in &self.lines {
                table.add_row([what, value]);
            }
            println!("{table}");
            for problem in self.problems.iter().take(SHOWN) {
                println!("BROKEN: {problem}");
            }
            if self.problems.len() > SHOWN {
                println!("... and {} more", self.problems.len() - SHOWN);
            }
            match self.problems.len() {
                0 => println!("Every promise held: {}.", self.summary),
                count => println!("{count} problems."),
            }
        }
        if held {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
