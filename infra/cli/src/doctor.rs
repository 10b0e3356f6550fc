//! `orderhook doctor`: a line for each check, with what is to be done.

use std::fmt::Write as _;

use clap::Args;
use operate::doctor::{Depth, Finding, Report, Verdict, doctor};
use operate::{Exit, Target};
use time::OffsetDateTime;

use crate::Stop;
use crate::screen::{Screen, Tone};
use crate::words::of;

/// Arguments of `doctor`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Changes nothing. Exits with 0 when nothing is wrong (warnings may be left), with 1 when something is, and with 3 when \
something could not be looked at.

Examples:
  orderhook doctor
  orderhook doctor --deep           ask IAM too whether the consumer may send to every team's queue
  orderhook doctor --mail           send a test to those who get the alarms
  orderhook doctor --json | jq '.findings[] | select(.verdict == \"fail\")'")]
pub struct Doctor {
    /// Ask IAM whether the consumer's role may send to each team's queue.
    #[arg(long)]
    pub deep: bool,
    /// Send a test message to those who get the alarms.
    #[arg(long)]
    pub mail: bool,
}

/// Checks the stack.
///
/// # Errors
/// There is no such stack, AWS cannot be asked, or nobody reads the output.
pub async fn run(arguments: &Doctor, target: &Target, screen: &mut Screen) -> Result<Exit, Stop> {
    let depth = Depth {
        deep: arguments.deep,
        mail: arguments.mail,
    };
    let now = OffsetDateTime::from(calls::now());
    let report = doctor(&target.calls, &target.name, now, depth).await?;
    let text = text(&report, screen);
    screen.show(&text, &report)?;
    Ok(report.exit())
}

fn text(report: &Report, screen: &Screen) -> String {
    let version = report.version.as_deref().unwrap_or("unknown");
    let mut text = format!(
        "stack {} in {}, account {}, as {}; version {version} (this command: {})\n\n",
        screen.tone(Tone::Strong, &report.stack),
        report.region,
        shortened(&report.account),
        report.caller,
        report.command_version
    );
    let width = report
        .findings
        .iter()
        .map(|finding| finding.check.chars().count());
    let width = width.max().unwrap_or_default();
    for finding in &report.findings {
        let _ = writeln!(text, "{}", line(finding, width, screen));
        for todo in &finding.todo {
            let _ = writeln!(text, "        {:width$}  \u{2192} {todo}", "");
        }
    }
    let _ = write!(text, "\n{}", sum(report));
    text
}

fn line(finding: &Finding, width: usize, screen: &Screen) -> String {
    let (word, tone) = match finding.verdict {
        Verdict::Ok => ("ok  ", Tone::Good),
        Verdict::Skipped => ("-   ", Tone::Quiet),
        Verdict::Warn => ("WARN", Tone::Doubtful),
        Verdict::Denied => ("DENY", Tone::Bad),
        Verdict::Fail => ("FAIL", Tone::Bad),
    };
    let word = screen.tone(tone, word);
    format!("  {word}  {:width$}  {}", finding.check, finding.summary)
}

fn sum(report: &Report) -> String {
    let counts = [
        (Verdict::Fail, "problem"),
        (Verdict::Denied, "missing permission"),
        (Verdict::Warn, "warning"),
    ];
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(verdict, word)| (report.count(verdict), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| of(count, word))
        .collect();
    let found = match counts.is_empty() {
        true => "all is well".to_owned(),
        false => counts.join(", "),
    };
    let seconds = report.took_ms / 1000;
    let tenths = report.took_ms % 1000 / 100;
    format!(
        "{found} ({seconds}.{tenths} s, {})",
        of(report.calls, "call")
    )
}

/// An AWS account's number is no secret, and still better not in every screenshot.
fn shortened(account: &str) -> String {
    match (account.get(..4), account.get(8..)) {
        (Some(first), Some(last)) if account.len() == 12 => format!("{first}\u{2026}{last}"),
        _ => account.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &str, verdict: Verdict, todo: &[&str]) -> Finding {
        Finding {
            check: check.to_owned(),
            verdict,
            summary: "summary".to_owned(),
            todo: todo.iter().map(|todo| (*todo).to_owned()).collect(),
        }
    }

    fn report(findings: Vec<Finding>) -> Report {
        Report {
            stack: "orderhook".to_owned(),
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
            caller: "arn:aws:iam::1:user/op".to_owned(),
            version: Some("0.2.0".to_owned()),
            command_version: "0.2.0",
            findings,
            calls: 37,
            took_ms: 2_140,
        }
    }

    #[test]
    fn a_line_for_each_check_with_what_is_to_be_done() {
        let (screen, _) = Screen::of_test(false);
        let report = report(vec![
            finding("stack", Verdict::Ok, &[]),
            finding("team sales", Verdict::Fail, &["create it again"]),
            finding("mail", Verdict::Warn, &["open the mail"]),
            finding("concurrency", Verdict::Skipped, &[]),
        ]);
        insta::assert_snapshot!(text(&report, &screen), @r"
        stack orderhook in eu-west-1, account 1234…9012, as arn:aws:iam::1:user/op; version 0.2.0 (this command: 0.2.0)

          ok    stack        summary
          FAIL  team sales   summary
                             → create it again
          WARN  mail         summary
                             → open the mail
          -     concurrency  summary

        1 problem, 1 warning (2.1 s, 37 calls)
        ");
    }

    #[test]
    fn a_stack_that_is_well_says_so() {
        let well = report(vec![finding("stack", Verdict::Ok, &[])]);
        assert_eq!(sum(&well), "all is well (2.1 s, 37 calls)");
        assert_eq!(well.exit(), Exit::Done);
        let denied = report(vec![finding("mail", Verdict::Denied, &[])]);
        assert_eq!(denied.exit(), Exit::Denied);
        let wrong = report(vec![
            finding("a", Verdict::Denied, &[]),
            finding("b", Verdict::Fail, &[]),
        ]);
        assert_eq!(wrong.exit(), Exit::Left);
    }
}
