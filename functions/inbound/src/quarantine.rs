//! Quarantine: what is genuine and was not understood. Its bytes are in the receipt; the message says where,
//! which part, and why.

use domain::delivery::{BadElement, Unreadable};
use domain::envelope::Body;
use domain::identity::EventIndex;
use domain::ports::{Message, QueueUrl, Queues, Receipt};
use runtime::enqueue::enqueue;
use runtime::metrics::{Metric, count};
use serde::Serialize;
use tokio::time::Instant;
use tracing::warn;

use crate::answer::Refused;

/// What of a delivery goes to quarantine.
#[derive(Debug)]
pub(crate) struct Quarantined {
    unreadable: Option<Unreadable>,
    elements: Vec<Element>,
}

/// An element of the delivery, by its position.
#[derive(Debug, Clone, Serialize)]
struct Element {
    index: u32,
    reason: &'static str,
}

/// The message. `receipt` is the key of the item in the receipts table.
#[derive(Debug, Serialize)]
struct Notice<'a> {
    account: &'a str,
    deliveryid: String,
    time: String,
    /// Why no part of the delivery could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Which parts could not be used, and why.
    #[serde(skip_serializing_if = "<[Element]>::is_empty")]
    elements: &'a [Element],
    receipt: Key,
}

#[derive(Debug, Serialize)]
struct Key {
    pk: String,
    sk: String,
}

impl Quarantined {
    pub(crate) fn new(unreadable: Option<Unreadable>, bad: &[BadElement]) -> Self {
        let element = |bad: &BadElement| Element {
            index: bad.index.get(),
            reason: bad.reason.as_str(),
        };
        Self {
            unreadable,
            elements: bad.iter().map(element).collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.unreadable.is_none() && self.elements.is_empty()
    }

    /// Adds events that no queue takes.
    pub(crate) fn add(&mut self, unsendable: Vec<EventIndex>) {
        let element = |index: EventIndex| Element {
            index: index.get(),
            reason: "refused_by_queue",
        };
        self.elements.extend(unsendable.into_iter().map(element));
    }

    /// Sends the message, if there is anything to say. The receipt has to be kept before.
    pub(crate) async fn send<Q: Queues>(
        &self,
        queues: &Q,
        queue: &QueueUrl,
        receipt: &Receipt<'_>,
        deadline: Instant,
    ) -> Result<(), Refused> {
        if self.is_empty() {
            return Ok(());
        }
        let reason = self.unreadable.map(Unreadable::as_str);
        count(Metric::Quarantined, self.elements.len().max(1));
        let notice = Notice {
            account: receipt.account.as_str(),
            deliveryid: receipt.delivery.to_string(),
            time: receipt.delivery.first_seen().to_string(),
            reason,
            elements: &self.elements,
            receipt: Key {
                pk: receipt.partition(),
                sk: receipt.delivery.to_string(),
            },
        };
        let text = serde_json::to_string(&notice).map_err(|_| Refused::QuarantineRefused)?;
        let message = Message {
            text: Body::whole(text),
            group: Some(receipt.account.to_string()),
            deduplication: None,
            attributes: Vec::new(),
            trace: None,
        };
        let answers = enqueue(queues, queue, &[message], deadline).await;
        match answers.into_iter().find_map(Result::err) {
            None => Ok(()),
            Some(error) => {
                warn!(%error, "the quarantine queue refuses");
                Err(Refused::QuarantineRefused)
            }
        }
    }
}
