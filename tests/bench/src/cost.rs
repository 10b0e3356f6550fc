//! What a million events cost, from what was counted. List prices of us-east-1, functions on arm64, without free tiers.

use crate::stand::Units;

/// A price: what it is for, dollars, for how many, and where it is said.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    /// What is paid.
    pub what: &'static str,
    /// Dollars.
    pub dollars: f64,
    /// For so many.
    pub per: f64,
    /// The unit, as the page names it.
    pub unit: &'static str,
    /// AWS's page.
    pub page: &'static str,
}

impl Price {
    fn of(self, many: f64) -> f64 {
        self.dollars * many / self.per
    }
}

const MILLION: f64 = 1e6;

/// For how many a price is, and their name on the page.
type Unit = (f64, &'static str);
const REQUESTS: Unit = (MILLION, "million requests");
const UNITS: Unit = (MILLION, "million units");
const CALLS: Unit = (MILLION, "million calls");
const OBJECTS: Unit = (MILLION, "million objects");
const GIGABYTE_SECONDS: Unit = (1.0, "gigabyte-second");
const GIGABYTES: Unit = (1e9, "gigabyte");

const GATEWAY_PAGE: &str = "https://aws.amazon.com/api-gateway/pricing/";
const LAMBDA_PAGE: &str = "https://aws.amazon.com/lambda/pricing/";
const SQS_PAGE: &str = "https://aws.amazon.com/sqs/pricing/";
const DYNAMO_PAGE: &str = "https://aws.amazon.com/dynamodb/pricing/on-demand/";
const SECRETS_PAGE: &str = "https://aws.amazon.com/secrets-manager/pricing/";
const S3_PAGE: &str = "https://aws.amazon.com/s3/pricing/";
const LOGS_PAGE: &str = "https://aws.amazon.com/cloudwatch/pricing/";

const fn price(what: &'static str, dollars: f64, (per, unit): Unit, page: &'static str) -> Price {
    Price {
        what,
        dollars,
        per,
        unit,
        page,
    }
}

const HTTP_API: Price = price("API Gateway, HTTP API", 1.00, REQUESTS, GATEWAY_PAGE);
const INVOCATION: Price = price("Lambda, requests", 0.20, REQUESTS, LAMBDA_PAGE);
const DURATION: Price = price(
    "Lambda, duration on arm64",
    0.000_013_333_4,
    GIGABYTE_SECONDS,
    LAMBDA_PAGE,
);
const SQS: Price = price("SQS, requests of 64 KB", 0.40, REQUESTS, SQS_PAGE);
const FAIR: Price = price(
    "SQS, fair queues (messages with a group)",
    0.10,
    REQUESTS,
    SQS_PAGE,
);
const WRITE: Price = price("DynamoDB, write units", 0.625, UNITS, DYNAMO_PAGE);
const READ: Price = price("DynamoDB, read units", 0.125, UNITS, DYNAMO_PAGE);
const SECRET: Price = price("Secrets Manager, calls", 5.00, CALLS, SECRETS_PAGE);
const PUT: Price = price("S3, objects put", 5.00, OBJECTS, S3_PAGE);
const LOGS: Price = price("CloudWatch Logs, taken in", 0.50, GIGABYTES, LOGS_PAGE);

/// Every price that the model uses.
pub const PRICES: [Price; 10] = [
    HTTP_API, INVOCATION, DURATION, SQS, FAIR, WRITE, READ, SECRET, PUT, LOGS,
];

/// Memory at which Lambda gives a function one processor, in megabytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
pub const ONE_PROCESSOR_MB: f64 = 1769.0;

/// Seconds that an invocation waits for AWS's answers: an assumption, for no emulator has AWS's times.
pub const WAITS: f64 = 0.020;

/// A message's share of what a batch costs: full batches of so many.
pub const BATCH: f64 = 10.0;

/// What one invocation of a function took, by what was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Invocation {
    /// Seconds of processor time.
    pub cpu: f64,
    /// The function's memory, in megabytes.
    pub memory: f64,
    /// Bytes of its log.
    pub log_bytes: f64,
    /// What the services bill.
    pub units: Units,
}

impl Invocation {
    /// Gigabyte-seconds: the processor's time, stretched to the share of one that the memory gives, and the waiting.
    fn duration(&self) -> f64 {
        let share = (self.memory / ONE_PROCESSOR_MB).min(1.0);
        (self.cpu / share + WAITS) * self.memory / 1024.0
    }
}

/// What deliveries come in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// The template's HTTP API.
    Gateway,
    /// A Function URL, which costs nothing of its own.
    FunctionUrl,
}

/// What is delivered, and what it takes.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What deliveries come in by.
    pub entrance: Entrance,
    /// Events of a delivery.
    pub events: f64,
    /// Inbound's invocation for a delivery.
    pub inbound: Invocation,
    /// The consumer's for a full batch.
    pub consumer: Invocation,
}

/// A line of the bill: what it is for, and dollars for a million events.
pub type Line = (&'static str, f64);

impl Case {
    /// The bill for a million events, line by line.
    pub fn bill(&self) -> Vec<Line> {
        let Self {
            events,
            inbound,
            consumer,
            ..
        } = *self;
        // Of one event.
        let each = |of: fn(&Invocation) -> f64| of(&inbound) / events + of(&consumer) / BATCH;
        let invocations = 1.0 / events + 1.0 / BATCH;
        // Lambda receives a lane's full batch by one request, and deletes it by another.
        let lanes = 2.0 / BATCH;
        let lines = [
            ("the endpoint", self.endpoint()),
            (INVOCATION.what, INVOCATION.of(invocations)),
            (DURATION.what, DURATION.of(each(Invocation::duration))),
            (SQS.what, SQS.of(each(|of| of.units.sqs) + lanes)),
            (FAIR.what, FAIR.of(each(|of| of.units.grouped))),
            (WRITE.what, WRITE.of(each(|of| of.units.writes))),
            (READ.what, READ.of(each(|of| of.units.reads))),
            (SECRET.what, SECRET.of(each(|of| of.units.secrets))),
            (PUT.what, PUT.of(each(|of| of.units.puts))),
            (LOGS.what, LOGS.of(each(|of| of.log_bytes))),
        ];
        let lines = lines.map(|(what, dollars)| (what, dollars * MILLION));
        lines.to_vec()
    }

    /// What any design pays that makes each event durable in a queue before it answers, handles events in full batches,
    /// keeps the state of each record and forwards each event: no logs, no receipts, no reads and no time of a processor.
    pub fn floor(&self) -> f64 {
        let sends = (self.events / BATCH).ceil() / self.events;
        let queues = SQS.of(sends + 3.0 / BATCH);
        let invocations = INVOCATION.of(1.0 / self.events + 1.0 / BATCH);
        (self.endpoint() + invocations + queues + WRITE.of(1.0)) * MILLION
    }

    /// What an event comes in by.
    fn endpoint(&self) -> f64 {
        match self.entrance {
            Entrance::Gateway => HTTP_API.of(1.0 / self.events),
            Entrance::FunctionUrl => 0.0,
        }
    }
}

/// The sum of a bill.
pub fn total(bill: &[Line]) -> f64 {
    bill.iter().map(|(_, dollars)| dollars).sum()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn case(entrance: Entrance, events: f64) -> Case {
        let invocation = |writes: f64, sqs: f64, log_bytes: f64| Invocation {
            cpu: 0.001,
            memory: 512.0,
            log_bytes,
            units: Units {
                writes,
                reads: 1.0,
                sqs,
                ..Units::default()
            },
        };
        Case {
            entrance,
            events,
            inbound: invocation(1.0, (events / 10.0).ceil(), 300.0),
            consumer: invocation(10.0, 1.0, 1_000.0),
        }
    }

    fn line(bill: &[Line], what: &str) -> f64 {
        bill.iter().find(|(name, _)| *name == what).unwrap().1
    }

    #[rstest]
    #[case::the_endpoint("the endpoint", 1.0)]
    // One for the delivery, and a tenth of the batch's.
    #[case::requests(INVOCATION.what, 0.22)]
    // Sent, received, deleted, forwarded.
    #[case::queues(SQS.what, 0.4 * (1.0 + 0.1 + 0.1 + 0.1))]
    // The receipt and the record.
    #[case::writes(WRITE.what, 0.625 * 2.0)]
    #[case::reads(READ.what, 0.125 * 1.1)]
    #[case::logs(LOGS.what, 0.5 * (300.0 + 100.0) / 1_000.0)]
    #[case::nothing_in_s3(PUT.what, 0.0)]
    fn a_single_event_pays_for_its_delivery(#[case] what: &str, #[case] dollars: f64) {
        let found = line(&case(Entrance::Gateway, 1.0).bill(), what);
        assert!((found - dollars).abs() < 1e-9, "{found}");
    }

    #[test]
    fn many_events_share_their_delivery() {
        let bill = case(Entrance::Gateway, 50.0).bill();
        assert!((line(&bill, "the endpoint") - 0.02).abs() < 1e-9);
        assert!((line(&bill, SQS.what) - 0.4 * (0.1 + 0.3)).abs() < 1e-9);
        assert!((line(&bill, WRITE.what) - 0.625 * (0.02 + 1.0)).abs() < 1e-9);
    }

    #[test]
    fn a_function_url_costs_what_the_gateway_does_not() {
        let [gateway, url] = [Entrance::Gateway, Entrance::FunctionUrl].map(|entrance| {
            let case = case(entrance, 1.0);
            (total(&case.bill()), case.floor())
        });
        assert!((gateway.0 - url.0 - 1.0).abs() < 1e-9);
        assert!((gateway.1 - url.1 - 1.0).abs() < 1e-9);
    }

    #[rstest]
    #[case(1.0, 1.0 + 0.22 + 0.4 * 1.3 + 0.625)]
    #[case(50.0, 0.02 + 0.2 * 0.12 + 0.4 * 0.4 + 0.625)]
    fn the_floor_is_below_the_bill(#[case] events: f64, #[case] floor: f64) {
        let case = case(Entrance::Gateway, events);
        assert!((case.floor() - floor).abs() < 1e-9, "{}", case.floor());
        assert!(case.floor() < total(&case.bill()));
    }

    #[test]
    fn less_memory_takes_longer() {
        let of = |memory| Invocation {
            cpu: 0.010,
            memory,
            ..Invocation::default()
        };
        // A tenth of a processor, and the waiting.
        let expected = (0.1 + WAITS) * 176.9 / 1024.0;
        assert!((of(176.9).duration() - expected).abs() < 1e-9);
        // Never faster than one thread.
        let expected = (0.010 + WAITS) * 3538.0 / 1024.0;
        assert!((of(3538.0).duration() - expected).abs() < 1e-9);
    }
}
