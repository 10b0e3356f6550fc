//! What was asked of AWS: the calls that hold a watched marker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::request::Request;

/// One call that held a marker. It has no body, so it holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Numbers the calls of a proxy in the order in which they began.
    pub number: u64,
    /// Service and operation, such as `sqs:SendMessageBatch` or `s3:PUT`.
    pub operation: String,
    /// The queue, table, secret or object.
    pub resource: String,
    /// Messages in a batch; 0 for anything else.
    pub entries: usize,
    /// The status of the answer; absent while it is under way, and where the connection was dropped.
    pub status: Option<u16>,
    /// The name of the fault that the call met.
    pub fault: Option<String>,
}

/// The most calls that are kept for a marker: a watch that nobody ends must not fill the memory.
const MOST_CALLS: usize = 100_000;

/// Everything that was counted.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    begun: u64,
    watches: BTreeMap<String, Vec<Call>>,
}

impl Ledger {
    pub(super) fn watch(&mut self, marker: String) {
        self.watches.entry(marker).or_default();
    }

    pub(super) fn forget(&mut self, marker: &str) {
        self.watches.remove(marker);
    }

    /// The calls that hold a marker; `None` if nobody watches it.
    pub(super) fn calls(&self, marker: &str) -> Option<&[Call]> {
        self.watches.get(marker).map(Vec::as_slice)
    }

    /// Notes a call that begins, and returns its number.
    pub(super) fn begin(&mut self, request: &Request, fault: Option<&str>) -> u64 {
        self.begun += 1;
        let number = self.begun;
        for (marker, calls) in &mut self.watches {
            if calls.len() < MOST_CALLS && request.contains(marker) {
                calls.push(Call {
                    number,
                    operation: request.operation.clone(),
                    resource: request.resource.clone(),
                    entries: request.entries,
                    status: None,
                    fault: fault.map(str::to_owned),
                });
            }
        }
        number
    }

    /// Notes the answer to a call.
    pub(super) fn answered(&mut self, number: u64, status: u16) {
        for calls in self.watches.values_mut() {
            // The call is among the last ones.
            if let Some(call) = calls.iter_mut().rev().find(|call| call.number == number) {
                call.status = Some(status);
            }
        }
    }
}
