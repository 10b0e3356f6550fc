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

/// What a run has to say. Serialized, it is the figures that a program reads.
pub(crate) trait Run: Serialize {
    /// The figures for a person: what, and how many.
    fn lines(&self) -> Vec<(String, String)>;
    /// The figures that matter most, in one line.
    fn summary(&self) -> String;
    /// The promises that it found broken, and why it proves too little.
    fn problems(&self) -> &[String];
}

/// A figure for a person.
pub(crate) fn line(what: &str, value: &impl ToString) -> (String, String) {
    (what.to_owned(), value.to_string())
}

impl Report {
    /// The report of a run.
    ///
    /// # Errors
    /// Its figures are no JSON.
    pub(crate) fn of(run: &impl Run) -> Result<Self> {
        Ok(Self {
            lines: run.lines(),
            figures: serde_json::to_value(run)?,
            summary: run.summary(),
            problems: run.problems().to_vec(),
        })
    }

    /// The report of a run that came to no end.
    pub(crate) fn unfinished(problem: String) -> Self {
        Self {
            lines: Vec::new(),
            figures: Value::Null,
            summary: String::new(),
            problems: vec![problem],
        }
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
