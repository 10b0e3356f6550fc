//! What a delivery takes besides its calls to AWS, beside what no receiver can do without: the MAC over the body, and one pass
//! over it as JSON.
//!
//! `cargo bench --package sources --bench splitting` measures the time. With `count 50-orders split 24` it does that work
//! so many times and nothing else, for a tool that counts instructions: `cargo benchmark` does both.
#![allow(clippy::panic, reason = "a benchmark that fails has no figures")]

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use domain::account::AccountName;
use domain::delivery::{Delivery, Request};
use domain::envelope::{Body, InlineLimit};
use domain::identity::DeliveryId;
use domain::signature::{LiveSecrets, MacKey, Policy, Screened};
use domain::source::Source;
use domain::timestamp::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::de::IgnoredAny;
use sources::{Protocol, protocol};
use testkit::fixtures;
use testkit::gateway::RECEIVED_MILLIS;
use testkit::signing::{SIGNING_KEY, sign};

/// What may travel in a message, as the template has it.
const INLINE_LIMIT_BYTES: usize = 250_000;

/// A genuine delivery.
struct Genuine {
    protocol: &'static dyn Protocol,
    account: AccountName,
    secrets: LiveSecrets,
    headers: HeaderMap,
    body: Vec<u8>,
    events: usize,
}

impl Genuine {
    fn new(body: Vec<u8>, events: usize) -> Self {
        let name = HeaderName::from_static("x-orderspace-signature");
        let tag = HeaderValue::from_str(&sign(SIGNING_KEY, &body));
        Self {
            protocol: protocol(Source::Orderspace),
            account: must("the account", "acme".parse()),
            secrets: MacKey::new(SIGNING_KEY).into(),
            headers: HeaderMap::from_iter([(name, must("the signature", tag))]),
            body,
            events,
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            headers: &self.headers,
            part: "",
            body: black_box(&self.body),
        }
    }

    /// Proves it, as inbound does.
    fn verify(&self) {
        let request = self.request();
        let Ok(Screened::Delivery(offer)) = self.protocol.screen(request) else {
            panic!("the delivery offers no proof");
        };
        let signed = |request, form| self.protocol.signed(request, form);
        let verified = offer.verify(request, &self.secrets, Policy::Require, signed);
        assert!(verified.is_some(), "the signature is refused");
    }

    /// Splits it and makes its events' messages, as inbound does; the number of those that a queue would take.
    fn split(&self) -> usize {
        let Request {
            headers,
            part,
            body,
        } = self.request();
        let delivery = Delivery {
            headers,
            part,
            body,
        };
        let split = must("the split", self.protocol.split(delivery));
        let delivery = DeliveryId::new(Timestamp::from_millis(RECEIVED_MILLIS), &[7; 10]);
        let limit = InlineLimit::new(INLINE_LIMIT_BYTES);
        let facts = self.protocol.facts();
        let texts = split.events.iter().map(|event| {
            sources::envelope(Source::Orderspace, facts, &self.account, delivery, event).to_text()
        });
        let texts: Vec<Body<'_>> = texts.collect();
        texts.iter().filter(|text| limit.admits(text)).count()
    }

    /// One pass over the body as JSON.
    fn pass(&self) {
        let passed = serde_json::from_slice::<IgnoredAny>(black_box(&self.body));
        must("the body", passed);
    }

    /// Does the work, and has all of it done.
    fn work(&self, name: &str) {
        match name {
            "pass" => self.pass(),
            "split" => assert_eq!(self.split(), self.events),
            "floor" => {
                let key = self.secrets.macs.first();
                black_box(key.and_then(|key| key.sign(black_box(&self.body))));
                self.pass();
            }
            "take" => {
                self.verify();
                assert_eq!(self.split(), self.events);
            }
            _ => panic!("{name} is none of {WORK:?}"),
        }
    }
}

/// Each with what it is compared with: splitting and making messages with a pass over the JSON; these with the proof, with the
/// MAC and the pass.
const WORK: [&str; 4] = ["split", "pass", "take", "floor"];

fn deliveries() -> [(&'static str, Genuine); 3] {
    let order = fixtures::body("current/order.created.json");
    let element = order
        .strip_prefix(b"[")
        .and_then(|list| list.strip_suffix(b"]"));
    let element = element.unwrap_or_default();
    let fifty = [b"[", &*vec![element; 50].join(&b','), b"]"].concat();
    let levels = fixtures::body("made/events-50.json");
    [
        ("1-order", Genuine::new(order, 1)),
        ("50-orders", Genuine::new(fifty, 50)),
        ("50-stock-levels", Genuine::new(levels, 50)),
    ]
}

fn must<T, E: std::fmt::Debug>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error:?}"))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let deliveries = deliveries();
    if let ["count", wanted, work, times] = *arguments {
        let found = deliveries.iter().find(|(name, _)| *name == wanted);
        let Some((_, delivery)) = found else {
            panic!("there is no delivery {wanted}");
        };
        for _ in 0..must("the times", times.parse::<u32>()) {
            delivery.work(work);
        }
        return;
    }
    let criterion = Criterion::default()
        .sample_size(30)
        .measurement_time(Duration::from_millis(500))
        .warm_up_time(Duration::from_millis(200));
    let mut criterion = criterion.configure_from_args();
    for (name, delivery) in &deliveries {
        let mut group = criterion.benchmark_group(*name);
        for work in WORK {
            group.bench_function(work, |bencher| bencher.iter(|| delivery.work(work)));
        }
        group.finish();
    }
    criterion.final_summary();
}
