//! What is printed: text for people, or JSON for programs; warnings beside it.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

/// Whether to print colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Where a person reads the output on a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a piece of text stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// All is well.
    Good,
    /// Worth a look.
    Doubtful,
    /// Something is wrong.
    Bad,
    /// Less important than what is beside it.
    Quiet,
    /// A heading.
    Strong,
}

/// Where a command prints.
pub struct Screen {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    json: bool,
    has_color: bool,
    width: u16,
    is_interactive: bool,
    is_terminal: bool,
}

/// The width of a table that nobody sees on a terminal.
const WIDE: u16 = 160;

impl Screen {
    /// Standard output and error.
    #[must_use]
    pub fn of_terminal(json: bool, color: Color) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let (_, columns) = console::Term::stdout().size();
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            json,
            has_color: match color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => is_terminal && !no_color,
            },
            width: if is_terminal { columns.max(60) } else { WIDE },
            is_interactive: io::stdin().is_terminal() && io::stderr().is_terminal(),
            is_terminal,
        }
    }

    /// Whether the output goes to a terminal, which bytes that are no text would upset.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// The same screen with nobody who reads its output, for tests.
    #[must_use]
    pub fn as_closed(self) -> Self {
        Self {
            out: Box::new(Closed),
            ..self
        }
    }

    /// The same screen as a terminal, for tests.
    #[must_use]
    pub fn as_terminal(self) -> Self {
        Self {
            is_terminal: true,
            ..self
        }
    }

    /// Whether JSON is wanted.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person can be asked.
    #[must_use]
    pub fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    /// Prints the text, or the document where JSON is wanted.
    ///
    /// # Errors
    /// Nobody reads the output.
    pub fn show(&mut self, text: &str, document: &impl Serialize) -> io::Result<()> {
        match self.json {
            true => {
                let document = serde_json::to_string_pretty(document)?;
                writeln!(self.out, "{document}")?;
            }
            false => writeln!(self.out, "{}", text.trim_end_matches('\n'))?,
        }
        self.out.flush()
    }

    /// Prints a line, or the document on one line where JSON is wanted: for what goes on.
    ///
    /// # Errors
    /// Nobody reads the output.
    pub fn line(&mut self, text: &str, document: &impl Serialize) -> io::Result<()> {
        match self.json {
            true => writeln!(self.out, "{}", serde_json::to_string(document)?)?,
            false => writeln!(self.out, "{text}")?,
        }
        self.out.flush()
    }

    /// Prints bytes as they are.
    ///
    /// # Errors
    /// Nobody reads the output.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// Says something beside the output: progress, and what is worth knowing.
    pub fn note(&mut self, text: &str) {
        // Where nobody reads it, nothing is lost.
        let _ = writeln!(self.err, "{text}");
    }

    /// Shows how far a command is, on one line beside the output: where a person watches.
    pub fn progress(&mut self, text: &str) {
        if self.is_interactive && !self.json {
            let _ = write!(self.err, "\r{text}\u{1b}[K");
            let _ = self.err.flush();
        }
    }

    /// Ends the line of [`Screen::progress`].
    pub fn end_progress(&mut self) {
        if self.is_interactive && !self.json {
            let _ = writeln!(self.err);
        }
    }

    /// Says why a command ends.
    pub fn complain(&mut self, text: &str) {
        let _ = writeln!(self.err, "orderhook: {text}");
    }

    /// Asks a question on the line beside the output, without ending the line.
    pub fn ask(&mut self, question: &str) {
        let _ = write!(self.err, "{question} ");
        let _ = self.err.flush();
    }

    /// A text as it stands out.
    #[must_use]
    pub fn tone(&self, tone: Tone, text: &str) -> String {
        let styled = console::style(text).force_styling(self.has_color);
        match tone {
            Tone::Good => styled.green().to_string(),
            Tone::Doubtful => styled.yellow().to_string(),
            Tone::Bad => styled.red().bold().to_string(),
            Tone::Quiet => styled.dim().to_string(),
            Tone::Strong => styled.bold().to_string(),
        }
    }

    /// A table without borders, as wide as the terminal at the most.
    #[must_use]
    pub fn table(&self, header: &[&str], rows: Vec<Vec<String>>) -> String {
        let mut table = Table::new();
        table
            .load_style(comfy_table::presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width);
        table.set_header(header.iter().copied());
        table.add_rows(rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let lines: Vec<String> = table
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        lines.join("\n")
    }

    /// A screen whose output a test reads.
    #[must_use]
    pub fn of_test(json: bool) -> (Self, Printed) {
        let printed = Printed::default();
        let screen = Self {
            out: Box::new(Shared(Arc::clone(&printed.out))),
            err: Box::new(Shared(Arc::clone(&printed.err))),
            json,
            has_color: false,
            width: 120,
            is_interactive: false,
            is_terminal: false,
        };
        (screen, printed)
    }
}

/// What a screen of a test was given.
#[derive(Debug, Default)]
pub struct Printed {
    out: Arc<Mutex<Vec<u8>>>,
    err: Arc<Mutex<Vec<u8>>>,
}

impl Printed {
    /// Standard output.
    #[must_use]
    pub fn out(&self) -> String {
        text_of(&self.out)
    }

    /// Standard error.
    #[must_use]
    pub fn err(&self) -> String {
        text_of(&self.err)
    }
}

fn text_of(bytes: &Mutex<Vec<u8>>) -> String {
    let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An output that nobody reads any more.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stop;

    #[test]
    fn a_closed_pipe_is_a_quiet_end() {
        let (screen, printed) = Screen::of_test(false);
        let mut screen = screen.as_closed();
        let stop: Stop = screen.show("text", &()).unwrap_err().into();
        assert!(matches!(stop, Stop::Closed));
        assert!(printed.err().is_empty());
    }

    #[test]
    fn text_or_json_and_never_both() {
        let (mut screen, printed) = Screen::of_test(false);
        screen.show("a\n", &1).unwrap();
        assert_eq!(printed.out(), "a\n");
        let (mut screen, printed) = Screen::of_test(true);
        screen.show("a", &[1]).unwrap();
        screen.line("b", &[2]).unwrap();
        assert_eq!(printed.out(), "[\n  1\n]\n[2]\n");
    }

    #[test]
    fn a_tone_is_a_colour_only_where_colours_are_wanted() {
        let (mut screen, _) = Screen::of_test(false);
        assert_eq!(screen.tone(Tone::Bad, "FAIL"), "FAIL");
        screen.has_color = true;
        assert!(screen.tone(Tone::Bad, "FAIL").contains("\u{1b}["));
    }

    #[test]
    fn a_table_has_no_borders_and_no_blanks_at_the_end() {
        let (screen, _) = Screen::of_test(false);
        let rows = vec![
            vec!["a".to_owned(), "1".to_owned()],
            vec!["longer".to_owned(), String::new()],
        ];
        assert_eq!(
            screen.table(&["name", "n"], rows),
            "name    n\na       1\nlonger"
        );
    }
}
