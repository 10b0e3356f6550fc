//! What is to be sent: events in a body, or raw bytes.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use thiserror::Error;

use crate::event::EventText;

/// Why events could not be packed.
#[derive(Debug, Error)]
pub enum PackError {
    /// The chosen shape needs something that the event lacks.
    #[error("the event {name} has no {needs} form; send it in another shape")]
    NotInShape {
        /// The event's name, or a dash.
        name: String,
        /// What the shape needs.
        needs: &'static str,
    },
    /// A header of a raw delivery is not a header.
    #[error("the header {name} is not a valid HTTP header; change its name or value")]
    Header {
        /// The name as given.
        name: String,
    },
}

/// Bytes that a test wants to see on the wire, whatever they are.
#[derive(Clone, Debug, Default)]
pub struct RawDelivery {
    /// The body.
    pub body: Vec<u8>,
    /// Headers, in order. A name given here replaces the sender's own header of that name, and may be given twice.
    pub headers: Vec<(String, String)>,
}

/// One request to be made.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) events: Vec<EventText>,
    pub(crate) body: Vec<u8>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Payload {
    /// A body with the events that it holds.
    pub(crate) fn new(events: Vec<EventText>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            events,
            body: body.into(),
            headers: Vec::new(),
        }
    }

    /// Whether a test chose the bytes.
    pub(crate) fn is_raw(&self) -> bool {
        self.events.is_empty()
    }

    /// The headers to send: the source's own, but those that a test chose in their place.
    pub(crate) fn headers(&self, own: HeaderMap) -> HeaderMap {
        let mut headers = own;
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        for (name, _) in &self.headers {
            headers.remove(name);
        }
        for (name, value) in &self.headers {
            headers.append(name, value.clone());
        }
        headers
    }
}

/// Packs a raw delivery.
pub(crate) fn raw(delivery: &RawDelivery) -> Result<Payload, PackError> {
    let headers = delivery
        .headers
        .iter()
        .map(|(name, value)| {
            let bad = || PackError::Header { name: name.clone() };
            Ok((
                HeaderName::try_from(name.as_str()).map_err(|_| bad())?,
                HeaderValue::try_from(value.as_str()).map_err(|_| bad())?,
            ))
        })
        .collect::<Result<_, PackError>>()?;
    Ok(Payload {
        events: Vec::new(),
        body: delivery.body.clone(),
        headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_headers_replace_the_senders_own_and_may_come_twice() {
        let payload = raw(&RawDelivery {
            body: b"x".to_vec(),
            headers: vec![
                ("Content-Type".into(), "text/plain".into()),
                ("X-Orderspace-Signature".into(), "a".into()),
                ("X-Orderspace-Signature".into(), "b".into()),
            ],
        })
        .unwrap();
        let mut own = HeaderMap::new();
        own.insert("x-orderspace-signature", HeaderValue::from_static("c"));
        own.insert("x-kept", HeaderValue::from_static("d"));
        let headers = payload.headers(own);
        assert_eq!(headers["x-kept"], "d");
        assert_eq!(headers["content-type"], "text/plain");
        let signatures: Vec<_> = headers.get_all("x-orderspace-signature").iter().collect();
        assert_eq!(signatures, ["a", "b"]);
    }

    #[test]
    fn a_header_that_is_none_is_refused_by_name() {
        let error = raw(&RawDelivery {
            headers: vec![("x y".into(), "z".into())],
            ..RawDelivery::default()
        })
        .unwrap_err();
        assert!(error.to_string().contains("x y"));
    }
}
