//! What the product may take: each budget beside what a run measured, and why one is missed.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cost::{self, Entrance};
use crate::measure::DICTIONARY;
use crate::pages::{DELIVERED, case};
use crate::payloads::{FIFTY, FIFTY_LARGER, LEVELS, ONE, ONE_LARGER};
use crate::peers::PYTHON;
use crate::run::{CONSUMER, EMPTY, ERASURE, INBOUND, Report, SUBSCRIPTIONS};
use crate::splitting::Splitting;

/// The budgets of a page, row by row.
#[derive(Default)]
struct Table {
    rows: String,
    /// Why budgets are missed, each reason once.
    missed: Vec<&'static str>,
}

impl Table {
    /// What something takes beside the most that it may take, and why it is more than that.
    fn add(
        &mut self,
        what: &str,
        measured: f64,
        most: f64,
        unit: &str,
        why: &'static str,
    ) -> Result<()> {
        // As it is printed: what shows as the budget has kept it.
        let is_kept = (measured * 100.0).round() <= (most * 100.0).round();
        let kept = if is_kept { "kept" } else { "missed" };
        let figures = format!("{measured:.2}{unit} | {most:.2}{unit}");
        writeln!(self.rows, "| {what} | {figures} | {kept} |")?;
        if !is_kept && !self.missed.contains(&why) {
            self.missed.push(why);
        }
        Ok(())
    }
}

/// The section of the page.
///
/// # Errors
/// Something was not measured.
pub fn section(report: &Report) -> Result<String> {
    let mut section = format!(
        "
## Budgets

Those in milliseconds are for a machine on which the Python function takes {:.1} ms for fifty orders; on another they are larger or
smaller in proportion.

| what | measured | at most | |
|---|---|---|---|
",
        millis(PYTHON_TOOK)
    );
    let Table { rows, missed } = budgets(report)?;
    section.push_str(&rows);
    for why in missed {
        write!(section, "\n{why}\n")?;
    }
    Ok(section)
}

/// What a delivery of fifty took the Python function on the machine that the goals in milliseconds were set on. Another machine
/// is slower or faster by what it takes there, and so are the goals.
const PYTHON_TOOK: Duration = Duration::from_micros(11_400);

const SIZE: &str = "A package is the SDK for one to four services, TLS (AWS-LC) and the functions' own code, in about that \
order. What was tried: fat LTO, one unit of code generation, the SDK for size.";
const START: &str = "A start is, by callgrind: a third for the table of AWS's partitions, which each crate of the SDK parses for \
itself; 29 % for the calls that open connections; a sixth for relocations, which a program at a random address needs; 7 % for \
the roots of trust. What was tried: no loader of configurations, one connector, roots parsed once, S3 without a client of its \
own.";
const FIRST: &str = "What is sent side by side needs a connection each while none is open. What was tried: a window for each host, \
which lets calls wait for an open connection.";
const WARM: &str = "Most of a warm invocation is the SDK's: each call is built, signed, sent and read by about 0.1 M \
instructions, and TLS encrypts it.";
const LOG: &str = "A line names what `orderhook trace` looks for.";
const INSTRUCTIONS: &str = "Under callgrind SHA-256 is made in software: over the delivery for its proof, and over what each call \
sends for its signature. Lambda's processors have instructions for it.";
const SPLITTING: &str = "Small records are mostly their messages: an envelope is three times a stock level's bytes. What was tried: one \
pass over the JSON that keeps where records lie, ids found without a reader, an envelope written piece by piece, no list where a \
delivery has one record an event.";
const DOLLARS: &str = "The line by line account is in [cost](cost.md). A delivery pays 0.06 dollars of its 0.125 for reads because \
its retry marker is read consistently: a retry that comes at once keeps its ids by that. `FairQueues=false`, for a stack of one \
account, saves 0.10.";

/// How many passes over the body as JSON it takes to split a delivery and to make its events' messages, at most.
const SPLITTING_AT_MOST: [(&str, f64); 3] = [(ONE_LARGER, 3.0), (FIFTY_LARGER, 2.5), (LEVELS, 4.0)];

/// How many times a MAC and a pass all takes that is done besides calls to AWS, at most. Of stock levels that would say
/// nothing: their messages are three times their bytes, whoever makes them.
const WITHOUT_AWS_AT_MOST: [(&str, f64); 2] = [(ONE_LARGER, 2.0), (FIFTY_LARGER, 2.0)];

/// What of a million events is paid for at most: how they come, how records are kept, and dollars.
const DOLLARS_AT_MOST: [(&str, Entrance, &str, f64); 10] = [
    (ONE, Entrance::Gateway, "native", 4.20),
    (ONE, Entrance::Gateway, "compact", 3.55),
    (ONE_LARGER, Entrance::Gateway, "compact", 3.55),
    (ONE_LARGER, Entrance::Gateway, DICTIONARY, 3.55),
    (FIFTY, Entrance::Gateway, "native", 1.70),
    (FIFTY, Entrance::Gateway, "compact", 1.05),
    (FIFTY_LARGER, Entrance::Gateway, "compact", 1.15),
    (FIFTY_LARGER, Entrance::Gateway, DICTIONARY, 1.15),
    (ONE, Entrance::FunctionUrl, "native", 3.20),
    (ONE, Entrance::FunctionUrl, "compact", 2.55),
];

fn budgets(report: &Report) -> Result<Table> {
    let mut budgets = Table::default();
    for function in [INBOUND, CONSUMER, SUBSCRIPTIONS, ERASURE] {
        let zipped = report.zipped.get(function).copied();
        let zipped = count(zipped.with_context(|| format!("{function} was not packed"))?)?;
        let what = format!("package, {function}");
        budgets.add(&what, zipped / 1e6, 4.5, " MB", SIZE)?;
    }
    let empty = report.start(EMPTY)?.plain.as_secs_f64();
    for function in [INBOUND, CONSUMER] {
        let start = report.start(function)?;
        for (how, time, most) in [("without", start.plain, 2.0), ("with", start.tls, 2.5)] {
            let what = format!("start of {function} {how} TLS");
            let measured = time.as_secs_f64() / empty;
            budgets.add(&what, measured, most, " × empty", START)?;
        }
    }
    let [one, fifty] = [ONE, FIFTY].map(|payload| report.delivery(INBOUND, payload));
    let (one, fifty) = (&one?.warm, &fifty?.warm);
    let [ten, thousand] = [10, 1_000].map(|size| report.batch("native", FIFTY, size));
    let (ten, thousand) = (&ten?.warm, &thousand?.warm);
    let python = report.delivery(PYTHON, FIFTY)?.warm.cpu;
    let machine = python.as_secs_f64() / PYTHON_TOOK.as_secs_f64();
    for (what, warm, most) in [
        ("delivery of 1 event", one, 0.0),
        ("delivery of 50 events", fifty, 1.0),
        ("batch of ten", ten, 1.0),
    ] {
        let what = format!("connections of the first {what}");
        budgets.add(&what, count(warm.first_connections)?, most, "", FIRST)?;
    }
    let counted = fifty.instructions.context("no instructions were counted")?;
    for (what, measured, most, unit, why) in [
        (
            "processor time of 50 events",
            millis(fifty.cpu),
            2.6 * machine,
            " ms",
            WARM,
        ),
        (
            "instructions of 50 events",
            count(counted)? / 1e6,
            15.0,
            " M",
            INSTRUCTIONS,
        ),
        (
            "processor time a message, batch of ten",
            millis(ten.cpu) / 10.0,
            0.25 * machine,
            " ms",
            WARM,
        ),
        (
            "processor time a message, batch of 1,000",
            millis(thousand.cpu) / 1e3,
            0.20 * machine,
            " ms",
            WARM,
        ),
    ] {
        budgets.add(what, measured, most, unit, why)?;
    }
    for (what, warm, events, most) in [
        ("a delivery of 1 event", one, 1.0, 300.0),
        ("an event in a batch of ten", ten, 10.0, 130.0),
    ] {
        let measured = count(warm.log_bytes)? / events;
        budgets.add(&format!("log of {what}"), measured, most, " bytes", LOG)?;
    }
    for (payload, most) in SPLITTING_AT_MOST {
        let Splitting { split, pass, .. } = report.splitting(payload)?;
        let what = format!("instructions of splitting {payload}");
        let measured = split.instructions_over(*pass);
        budgets.add(&what, measured, most, " × a pass", SPLITTING)?;
    }
    for (payload, most) in WITHOUT_AWS_AT_MOST {
        let Splitting { take, floor, .. } = report.splitting(payload)?;
        let what = format!("time besides calls to AWS, {payload}");
        let measured = take.time_over(*floor);
        budgets.add(&what, measured, most, " × MAC and pass", SPLITTING)?;
    }
    for (payload, entrance, format, most) in DOLLARS_AT_MOST {
        let mut delivered = DELIVERED.into_iter();
        let delivered = delivered.find(|(name, _)| *name == payload);
        let delivered = delivered.with_context(|| format!("{payload} is not paid for"))?;
        let bill = case(report, entrance, delivered, format)?.bill();
        let by = match entrance {
            Entrance::Gateway => "",
            Entrance::FunctionUrl => ", by a Function URL",
        };
        let what = format!("a million events, {payload} a delivery, {format}{by}");
        budgets.add(&what, cost::total(&bill), most, " dollars", DOLLARS)?;
    }
    Ok(budgets)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn count(number: u64) -> Result<f64> {
    Ok(f64::from(u32::try_from(number)?))
}
