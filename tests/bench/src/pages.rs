//! The pages that a run writes: what the functions take beside their peers, and what a million events cost.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::budgets;
use crate::cost::{self, Case, Entrance, Invocation, Line};
use crate::items;
use crate::measure::{ALL_FORMATS, DICTIONARY};
use crate::payloads::{FIFTY, FIFTY_LARGER, ONE, ONE_LARGER};
use crate::peers::{NODE, PYTHON};
use crate::run::{CONSUMER, EMPTY, INBOUND, INBOUND_DICTIONARY, Report, Warm};
use crate::splitting::Splitting;
use crate::stand::Traffic;

/// Where the README's table is placed: between these lines.
pub const MARKERS: (&str, &str) = ("<!-- benchmark -->", "<!-- /benchmark -->");

/// What a run writes.
#[derive(Debug)]
pub struct Pages {
    /// `infra/docs/performance.md`.
    pub performance: String,
    /// `infra/docs/cost.md`.
    pub cost: String,
    /// The README's table.
    pub readme: String,
}

impl Pages {
    /// Writes them.
    ///
    /// # Errors
    /// Something was not measured.
    pub fn of(report: &Report) -> Result<Self> {
        Ok(Self {
            performance: performance(report)?,
            cost: cost_page(report)?,
            readme: readme(report)?,
        })
    }
}

/// A text with another between its markers, if it has them.
pub fn placed(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(MARKERS.0)?;
    let (_, after) = rest.split_once(MARKERS.1)?;
    let (begin, end) = MARKERS;
    Some(format!("{before}{begin}\n{table}{end}{after}"))
}

const HEAD: &str = "Written by `cargo benchmark`; do not edit.";

const HOW: &str = "\
The functions' release programs, a Python function and a Node function with AWS's own SDKs, and an empty program
(`lambda_http`, same profile) are started and invoked as Lambda does it, on one machine in one run, against a stand that plays
DynamoDB, SQS, Secrets Manager and S3 over TLS. So figures are to be compared within this page: another machine, and Lambda's
share of a processor, give others. Processor time is the kernel's account of the threads; what a program waits for AWS is not
in it. What else runs on the machine only adds to a time, so a time is the quickest of several rounds.

Python and Node do inbound's work: they read the URL token and the keys once, verify the HMAC, look for a retry marker, split,
send ten messages a call, keep the receipt. A run in which one of them makes fewer calls or sends other messages than inbound
is not published. They do less where that is hard to do in their language: they parse and print a record where inbound passes
its bytes on, write no metrics, and check no sizes. boto3 is the SAM CLI's, and the SDK for JavaScript is pinned in
`tests/bench/peers/node`; their loops around the runtime API are shorter than AWS's own.

TLS: the functions trust Amazon's roots alone, and the variable that would change that does not exist. A copy of each program
has the stand's certificate in the place of one of the roots, byte for byte as long; nothing else of it differs.
";

fn performance(report: &Report) -> Result<String> {
    let mut page =
        format!("# What the functions take\n\n{HEAD} What it costs: [cost](cost.md).\n\n{HOW}\n");
    let empty = report.start(EMPTY)?;
    page.push_str("## Start\n\nProcessor time from `exec` until the first event is asked for.\n\n");
    page.push_str(
        "| program | without TLS | × empty | with TLS | × empty | connections opened | zipped |\n",
    );
    page.push_str("|---|---|---|---|---|---|---|\n");
    for start in &report.starts {
        let zipped = report
            .zipped
            .get(start.program)
            .copied()
            .map_or("–".to_owned(), megabytes);
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {zipped} |",
            start.program,
            millis(start.plain),
            times(start.plain, empty.plain),
            millis(start.tls),
            times(start.tls, empty.plain),
            start.connections,
        )?;
    }
    page.push_str("\n## A warm delivery\n\n");
    page.push_str("| payload | bytes | program | processor time | × inbound | instructions | calls | request bytes | log bytes | connections of the first |\n");
    page.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    for delivery in &report.deliveries {
        let ours = report.delivery(INBOUND, delivery.payload)?;
        writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            delivery.payload,
            delivery.bytes,
            delivery.program,
            millis(delivery.warm.cpu),
            times(delivery.warm.cpu, ours.warm.cpu),
            millions(delivery.warm.instructions),
            delivery.warm.traffic.asked(),
            delivery.warm.traffic.request_bytes,
            delivery.warm.log_bytes,
            delivery.warm.first_connections,
        )?;
    }
    page.push_str("\n## A warm batch\n\nOf the consumer, which updates each record and forwards each event to one team.\n\n");
    page.push_str("| messages | of | records | processor time a message | instructions a message | calls | request bytes | log bytes a message | connections of the first |\n");
    page.push_str("|---|---|---|---|---|---|---|---|---|\n");
    for batch in &report.batches {
        let size = u32::try_from(batch.size)?;
        writeln!(
            page,
            "| {size} | {} | {} | {} | {} | {} | {} | {:.0} | {} |",
            batch.payload,
            batch.format,
            millis(batch.warm.cpu / size),
            millions(batch.warm.instructions.map(|count| count / u64::from(size))),
            batch.warm.traffic.asked(),
            batch.warm.traffic.request_bytes,
            float(batch.warm.log_bytes) / f64::from(size),
            batch.warm.first_connections,
        )?;
    }
    page.push_str("\nInstructions are callgrind's, without TLS, where SHA-256 is made in software: Lambda's processors have instructions for it.\n");
    page.push_str("\n## Without AWS\n\nWhat inbound does with a delivery besides its calls to AWS: proof, splitting, messages. Beside it what no receiver can \
                   do without: a MAC over the body, and one pass over it as JSON. Neither has the hash of the body that a retry is \
                   recognised by, which takes as long as the MAC. Time is criterion's.\n\n");
    page.push_str("| payload | split and make messages | one pass | × | all of it | MAC and pass | × |\n|---|---|---|---|---|---|---|\n");
    for Splitting {
        payload,
        split,
        pass,
        take,
        floor,
    } in &report.splitting
    {
        writeln!(
            page,
            "| {payload} | {} | {} | {:.2} | {} | {} | {:.2} |",
            millions(Some(split.instructions)),
            millions(Some(pass.instructions)),
            split.instructions_over(*pass),
            micros(take.time),
            micros(floor.time),
            take.time_over(*floor),
        )?;
    }
    page.push_str("\n## Items\n\nBytes by DynamoDB's rules; a write costs a unit for each KB that was begun.\n\n");
    page.push_str("| item | largest | units |\n|---|---|---|\n");
    for payload in [ONE, ONE_LARGER, FIFTY, FIFTY_LARGER] {
        for (program, how) in [(INBOUND, ""), (INBOUND_DICTIONARY, ", dictionary")] {
            let traffic = &report.delivery(program, payload)?.warm.traffic;
            writeln!(page, "| receipt of {payload}{how} {}", sizes(traffic))?;
        }
    }
    for batch in report.batches.iter().filter(|batch| batch.size == 10) {
        writeln!(
            page,
            "| record of {}, {} {}",
            batch.payload,
            batch.format,
            sizes(&batch.warm.traffic)
        )?;
    }
    page.push_str(&budgets::section(report)?);
    Ok(page)
}

fn sizes(traffic: &Traffic) -> String {
    let largest = traffic.items.iter().map(crate::stand::Item::bytes).max();
    let largest = largest.unwrap_or_default();
    format!("| {largest} | {} |", items::write_units(largest))
}

/// Deliveries of one and of fifty, of both sizes of records.
pub const DELIVERED: [(&str, &str); 4] = [
    (ONE, FIFTY),
    (ONE_LARGER, FIFTY_LARGER),
    (FIFTY, FIFTY),
    (FIFTY_LARGER, FIFTY_LARGER),
];

/// A delivery and the batches that come of it, to be paid for.
///
/// # Errors
/// It was not measured.
pub fn case(
    report: &Report,
    entrance: Entrance,
    (payload, messages): (&str, &str),
    format: &str,
) -> Result<Case> {
    let program = match format {
        DICTIONARY => INBOUND_DICTIONARY,
        _ => INBOUND,
    };
    let delivery = report.delivery(program, payload)?;
    let batch = report.batch(format, messages, 10)?;
    let memory = |function| {
        let memory = report.memory.get(function).copied();
        memory.with_context(|| format!("the memory of {function} is not known"))
    };
    Ok(Case {
        entrance,
        events: f64::from(u32::try_from(delivery.events)?),
        inbound: invocation(&delivery.warm, memory(INBOUND)?),
        consumer: invocation(&batch.warm, memory(CONSUMER)?),
    })
}

/// An invocation of a function with so much memory, in megabytes.
fn invocation(warm: &Warm, memory: f64) -> Invocation {
    Invocation {
        cpu: warm.cpu.as_secs_f64(),
        memory,
        log_bytes: float(warm.log_bytes),
        units: warm.traffic.units,
    }
}

const MODEL: &str = "\
Dollars for a million events, by list prices of us-east-1 without free tiers: what a warm delivery and a warm batch ask of AWS,
counted on a stand ([performance](performance.md)), times the prices below. One account, one team that takes everything, full
batches of ten, the template's defaults; with a dictionary, `CompressionDictionary` is 1. Not in it: what is stored, what the
team pays for its own queue's receives and deletes, and the first read of an account's keys in each instance every
`KeysTtlSeconds`. An idle stack: the README.

The floor is what any design pays that makes each event durable in a queue before it answers, handles full batches, keeps each
record's state and forwards each event: the endpoint, two invocations, four requests of SQS for ten messages (one to send what a
delivery has, if that is less), and one write unit a record. No receipts, no retry markers, no logs, no time of a processor.
";

fn cost_page(report: &Report) -> Result<String> {
    let mut page = format!("# What a million events cost\n\n{HEAD}\n\n{MODEL}\n");
    page.push_str("| a delivery | records | the endpoint: HTTP API | floor | a Function URL | floor |\n|---|---|---|---|---|---|\n");
    let formats = ALL_FORMATS;
    for delivered in DELIVERED {
        for format in formats {
            let [gateway, url] = [Entrance::Gateway, Entrance::FunctionUrl]
                .map(|entrance| case(report, entrance, delivered, format));
            let (gateway, url) = (gateway?, url?);
            writeln!(
                page,
                "| {} | {format} | {:.2} | {:.2} | {:.2} | {:.2} |",
                delivered.0,
                cost::total(&gateway.bill()),
                gateway.floor(),
                cost::total(&url.bill()),
                url.floor(),
            )?;
        }
    }
    page.push_str("\nThe Function URL is `WebhookDoor=function-url`: it has no throttle and no access log. `FairQueues=false` saves the line of \
                   fair queues.\n\n## Line by line\n\nWith the HTTP API.\n\n| line |");
    let mut bills: Vec<Vec<Line>> = Vec::new();
    for delivered in DELIVERED {
        for format in formats {
            write!(page, " {}, {format} |", delivered.0)?;
            bills.push(case(report, Entrance::Gateway, delivered, format)?.bill());
        }
    }
    writeln!(page, "\n|---|{}", "---|".repeat(bills.len()))?;
    for (row, (what, _)) in bills.first().context("no bill")?.iter().enumerate() {
        write!(page, "| {what} |")?;
        for bill in &bills {
            write!(
                page,
                " {:.3} |",
                bill.get(row).map_or(0.0, |(_, dollars)| *dollars)
            )?;
        }
        page.push('\n');
    }
    page.push_str("| **sum** |");
    for bill in &bills {
        write!(page, " **{:.2}** |", cost::total(bill))?;
    }
    page.push_str("\n\n## Prices\n\n| what | dollars | for a |\n|---|---|---|\n");
    for price in cost::PRICES {
        writeln!(
            page,
            "| [{}]({}) | {} | {} |",
            price.what, price.page, price.dollars, price.unit
        )?;
    }
    writeln!(
        page,
        "\nDuration is the processor time of this run at the memory's share of one processor ({} MB), and {:.0} ms in which an \
         invocation waits for AWS, which is assumed.",
        cost::ONE_PROCESSOR_MB,
        cost::WAITS * 1000.0
    )?;
    Ok(page)
}

/// The table that a chooser looks for.
fn readme(report: &Report) -> Result<String> {
    let mut table =
        "| | Orderhook | Python (boto3) | Node (@aws-sdk) |\n|---|---|---|---|\n".to_owned();
    let programs = [INBOUND, PYTHON, NODE];
    let mut row = |what: &str, of: &dyn Fn(&str) -> Result<Duration>| -> Result<()> {
        let figures: Vec<Duration> = programs
            .iter()
            .map(|name| of(name))
            .collect::<Result<_>>()?;
        let ours = figures.first().copied().unwrap_or_default();
        let figures = figures.iter().enumerate().map(|(at, figure)| match at {
            0 => millis(*figure),
            _ => format!("{} ({} ×)", millis(*figure), times(*figure, ours)),
        });
        let figures: Vec<String> = figures.collect();
        writeln!(table, "| {what} | {} |", figures.join(" | "))?;
        Ok(())
    };
    row("processor time to start", &|name| {
        Ok(report.start(name)?.tls)
    })?;
    row("… for a delivery of one order", &|name| {
        Ok(report.delivery(name, ONE)?.warm.cpu)
    })?;
    row("… for a delivery of fifty", &|name| {
        Ok(report.delivery(name, FIFTY)?.warm.cpu)
    })?;
    let dollars = |payload| -> Result<f64> {
        let case = case(report, Entrance::Gateway, (payload, FIFTY), "compact")?;
        Ok(cost::total(&case.bill()))
    };
    writeln!(
        table,
        "\nA million events cost {:.2} dollars with one in each delivery and {:.2} with fifty (compact records). \
         [How it was measured](infra/docs/performance.md), [line by line](infra/docs/cost.md).",
        dollars(ONE)?,
        dollars(FIFTY)?
    )?;
    Ok(table)
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    match millis {
        ..10.0 => format!("{millis:.2} ms"),
        ..100.0 => format!("{millis:.1} ms"),
        _ => format!("{millis:.0} ms"),
    }
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

fn times(time: Duration, of: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() / of.as_secs_f64())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", float(bytes) / 1e6)
}

fn millions(count: Option<u64>) -> String {
    count.map_or("–".to_owned(), |count| {
        format!("{:.2} M", float(count) / 1e6)
    })
}

fn float(number: u64) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::payloads::LEVELS;
    use crate::run::{Batch, Delivery, ERASURE, SUBSCRIPTIONS, Start};
    use crate::splitting::Work;
    use crate::stand::Units;

    use super::*;

    fn report() -> Report {
        let start = |program, millis| Start {
            program,
            plain: Duration::from_millis(millis),
            tls: Duration::from_millis(millis + 1),
            connections: 3,
        };
        let units = Units {
            writes: 2.0,
            sqs: 1.0,
            ..Units::default()
        };
        let traffic = Traffic {
            units,
            ..Traffic::default()
        };
        let warm = |millis, log_bytes, instructions| Warm {
            cpu: Duration::from_millis(millis),
            log_bytes,
            instructions,
            first_connections: 1,
            traffic: traffic.clone(),
        };
        let delivery = |program, payload, events, millis| Delivery {
            program,
            payload,
            events,
            bytes: 1_200,
            warm: warm(millis, 300, Some(1_234_567)),
        };
        let batch = |format, payload, size| Batch {
            format,
            payload,
            size,
            warm: warm(2, 1_000, None),
        };
        let batches = ALL_FORMATS.map(|format| {
            let kinds = [(FIFTY, 10), (FIFTY_LARGER, 10), (FIFTY, 1_000)];
            kinds.map(|(payload, size)| batch(format, payload, size))
        });
        let work = |micros| Work {
            time: Duration::from_micros(micros),
            instructions: 1_000_000 * micros,
        };
        let splitting = |payload, split| Splitting {
            payload,
            split: work(split),
            pass: work(2),
            take: work(9),
            floor: work(6),
        };
        let memory = [INBOUND, CONSUMER, SUBSCRIPTIONS].map(|function| (function, 512.0));
        Report {
            starts: vec![
                start(EMPTY, 1),
                start(INBOUND, 3),
                start(CONSUMER, 2),
                start(PYTHON, 300),
                start(NODE, 150),
            ],
            deliveries: vec![
                delivery(INBOUND, ONE, 1, 1),
                delivery(PYTHON, ONE, 1, 10),
                delivery(NODE, ONE, 1, 5),
                delivery(INBOUND, FIFTY, 50, 4),
                delivery(PYTHON, FIFTY, 50, 40),
                delivery(NODE, FIFTY, 50, 20),
                delivery(INBOUND, ONE_LARGER, 1, 1),
                delivery(INBOUND, FIFTY_LARGER, 50, 4),
                delivery(INBOUND_DICTIONARY, ONE, 1, 1),
                delivery(INBOUND_DICTIONARY, FIFTY, 50, 4),
                delivery(INBOUND_DICTIONARY, ONE_LARGER, 1, 1),
                delivery(INBOUND_DICTIONARY, FIFTY_LARGER, 50, 4),
            ],
            batches: batches.concat(),
            splitting: vec![
                splitting(ONE_LARGER, 6),
                splitting(FIFTY_LARGER, 4),
                splitting(LEVELS, 8),
            ],
            zipped: BTreeMap::from([
                (INBOUND, 3_500_000),
                (CONSUMER, 4_600_000),
                (SUBSCRIPTIONS, 4_500_000),
                (ERASURE, 4_500_000),
            ]),
            memory: BTreeMap::from(memory),
        }
    }

    #[test]
    fn pages_say_what_was_measured() {
        let pages = Pages::of(&report()).unwrap();
        for row in [
            "| inbound | 3.00 ms | 3.0 | 4.00 ms | 4.0 | 3 | 3.50 MB |",
            "| 50 orders | 1200 | Python (boto3) | 40.0 ms | 10.0 | 1.23 M |",
            "| 10 | 50 orders | native | 0.20 ms | – |",
            "| package, inbound | 3.50 MB | 4.50 MB | kept |",
            "| package, consumer | 4.60 MB | 4.50 MB | missed |",
            "| start of consumer without TLS | 2.00 × empty | 2.00 × empty | kept |",
            "| 50 orders, 1.5 KB | 4.00 M | 2.00 M | 2.00 | 9.0 µs | 6.0 µs | 1.50 |",
            "| instructions of splitting 50 stock levels | 4.00 × a pass | 4.00 × a pass | kept |",
            "| time besides calls to AWS, 1 order, 1.5 KB | 1.50 × MAC and pass | 2.00 × MAC and pass | kept |",
        ] {
            assert!(
                pages.performance.contains(row),
                "{row}\n{}",
                pages.performance
            );
        }
        // Two rows of one kind are missed for one reason.
        let reasons = pages.performance.matches("A start is, by callgrind");
        assert_eq!(reasons.count(), 1, "{}", pages.performance);
        // The line of the endpoint is a dollar where each event has its own delivery, and a fiftieth where fifty share one.
        assert!(
            pages.cost.contains(
                "| the endpoint | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 | 1.000 | 0.020 |"
            ),
            "{}",
            pages.cost
        );
        let rows = pages
            .cost
            .lines()
            .filter(|line| line.starts_with("| 50 orders"));
        assert_eq!(rows.count(), 6);
        let row =
            "| … for a delivery of one order | 1.00 ms | 10.0 ms (10.0 ×) | 5.00 ms (5.0 ×) |";
        assert!(pages.readme.contains(row), "{}", pages.readme);
    }

    #[test]
    fn what_was_not_measured_is_not_published() {
        let mut report = report();
        report
            .deliveries
            .retain(|delivery| delivery.program != NODE);
        let error = Pages::of(&report).unwrap_err();
        assert_eq!(
            error.to_string(),
            "1 order was not delivered to Node (@aws-sdk)"
        );
    }

    #[test]
    fn a_table_is_placed_between_its_markers() {
        let (begin, end) = MARKERS;
        let text = format!("a\n{begin}\nold\n{end}\nb\n");
        assert_eq!(
            placed(&text, "| new |\n"),
            Some(format!("a\n{begin}\n| new |\n{end}\nb\n"))
        );
        assert_eq!(placed("a\nb\n", "| new |\n"), None);
        assert_eq!(placed(&format!("{end} {begin}"), "| new |\n"), None);
    }
}
