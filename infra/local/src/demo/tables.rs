//! What the demonstration prints: tables for people, or one JSON document for programs.

#![allow(clippy::print_stdout, reason = "this is the command's output")]

use anyhow::Result;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use console::style;

use crate::demo::indent::indent;
use crate::demo::repairing::Repairing;
use crate::demo::story::Seen;
use crate::places::Places;

/// Lines of the example message that are shown.
const MESSAGE_LINES: usize = 45;

/// Prints everything as one JSON document.
///
/// # Errors
/// It cannot be written as JSON.
pub fn print_json(seen: &Seen) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(seen)?);
    Ok(())
}

/// Prints the tables.
pub fn print(seen: &Seen) {
    heading(
        "What Orderspace sent",
        &format!("to the account {}", seen.account),
    );
    let mut table = table(["delivery", "events", "answer"], &[1]);
    for delivery in &seen.deliveries {
        let statuses: Vec<String> = delivery.statuses.iter().map(u16::to_string).collect();
        table.add_row([
            delivery.file.trim_end_matches(".json").to_owned(),
            delivery.events.to_string(),
            statuses.join(", "),
        ]);
    }
    println!("{table}");

    heading("What the lanes did", "read from the queues");
    let mut table = self::table(
        [
            "lane",
            "sent",
            "in the team's queue",
            "waiting",
            "dead letters",
        ],
        &[1, 2, 3, 4],
    );
    for lane in &seen.lanes {
        table.add_row([
            lane.lane.clone(),
            lane.sent.to_string(),
            lane.reached.to_string(),
            lane.waiting.to_string(),
            lane.dead.to_string(),
        ]);
    }
    println!("{table}");
    println!(
        "  quarantine queue: {} messages, undelivered queue: {} messages",
        seen.quarantined, seen.undelivered
    );

    heading(
        "What the records table holds",
        "one item for each record, its last state",
    );
    let mut table = self::table(
        ["kind", "sent about", "found", "deleted", "such as"],
        &[1, 2, 3],
    );
    for kind in &seen.records {
        table.add_row([
            kind.kind.clone(),
            kind.expected.to_string(),
            kind.found.to_string(),
            kind.deleted.to_string(),
            kind.ids.first().map(|id| shortened(id)).unwrap_or_default(),
        ]);
    }
    println!("{table}");

    print_repairing(&seen.repairing);
    print_sources(seen);

    if let Some(message) = &seen.message {
        heading(
            "One message in the team's queue",
            "CloudEvents 1.0, with Orderspace's record in data",
        );
        let text = indent(message.get());
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().take(MESSAGE_LINES) {
            println!("  {line}");
        }
        if let Some(more @ 1..) = lines.len().checked_sub(MESSAGE_LINES) {
            println!("  {}", style(format!("... and {more} more lines")).dim());
        }
    }
}

fn print_repairing(repairing: &Repairing) {
    heading(
        "What was repaired",
        "a disabled webhook, which Orderspace tells nobody of",
    );
    let missing = || "not seen".to_owned();
    let statuses = |statuses: &[u16]| match statuses {
        [] => "nothing comes".to_owned(),
        some => some
            .iter()
            .map(u16::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    };
    let mut table = table(["step", "seen"], &[]);
    table.add_row(["Orderspace disables", repairing.disabled.as_str()]);
    table.add_row([
        "a delivery meanwhile",
        statuses(&repairing.while_disabled).as_str(),
    ]);
    table.add_row([
        "the check says".to_owned(),
        repairing.found.clone().unwrap_or_else(missing),
    ]);
    table.add_row([
        "the check registers".to_owned(),
        repairing.registered.clone().unwrap_or_else(missing),
    ]);
    table.add_row(["the next delivery", statuses(&repairing.next).as_str()]);
    let event = if repairing.reached {
        "in the team's queue"
    } else {
        "not in the team's queue"
    };
    table.add_row(["its event", event]);
    println!("{table}");
}

fn print_sources(seen: &Seen) {
    if seen.sources.is_empty() {
        return;
    }
    heading(
        "What the other sources sent",
        "one account and one delivery of each; unified is what a team gets that asks for one form of all",
    );
    let header = [
        "source",
        "event",
        "answer",
        "proved by",
        "record",
        "in the team's queue",
        "unified",
    ];
    let mut table = table(header, &[]);
    for one in &seen.sources {
        table.add_row(one.cells());
    }
    println!("{table}");
    if let Some(unified) = seen.sources.iter().find_map(|one| one.unified.as_ref()) {
        heading(
            "One unified event",
            "the same order, in the form of all sources",
        );
        for line in indent(unified.get()).lines().take(MESSAGE_LINES) {
            println!("  {line}");
        }
    }
}

/// Prints what was missing, and what to do next.
pub fn print_end(seen: &Seen, places: &Places, running: bool) {
    println!();
    if seen.problems.is_empty() {
        let events: usize = seen.lanes.iter().map(|lane| lane.reached).sum();
        println!(
            "{} {} deliveries, {events} events: every one was answered with 200, reached the team's queue and is in its record.",
            style("All of it was seen.").green().bold(),
            seen.deliveries.len()
        );
    } else {
        println!("{}", style("Not all of it was seen.").red().bold());
        for problem in &seen.problems {
            println!("  - {problem}");
        }
        let log = places.log_of("emulator");
        println!("  The functions' log is in {}.", places.shown(&log));
    }
    println!();
    println!("Next:");
    if !running {
        println!("  cargo local up        run a stack until Ctrl-C, for a look around");
    }
    println!("  cargo verify          run every check, with the tests of faults");
    println!("  template.yaml         what was deployed: `sam build && sam deploy` puts it on AWS");
}

fn heading(title: &str, detail: &str) {
    println!();
    println!("{}  {}", style(title).bold(), style(detail).dim());
}

fn table<const N: usize>(header: [&str; N], numbers: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(header);
    for column in numbers {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn shortened(id: &str) -> String {
    if id.chars().count() > 40 {
        id.chars().take(37).chain("...".chars()).collect()
    } else {
        id.to_owned()
    }
}
