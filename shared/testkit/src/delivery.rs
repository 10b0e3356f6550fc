//! Bodies of deliveries, element by element.

/// A delivery in today's shape, so far without elements.
#[must_use]
pub fn delivery() -> Delivery {
    Delivery::default()
}

/// The body of a delivery in the making.
#[derive(Debug, Clone, Default)]
pub struct Delivery {
    elements: Vec<String>,
}

impl Delivery {
    /// Adds an event whose record stands under the kind's name, as documented.
    #[must_use]
    pub fn event(self, event_type: &str, record: &str) -> Self {
        self.element(element(event_type, record))
    }

    /// Adds an element as it stands, event or not.
    #[must_use]
    pub fn element(mut self, json: impl Into<String>) -> Self {
        self.elements.push(json.into());
        self
    }

    /// Adds `count` orders, `or_00000` and on: enough to fill batches.
    #[must_use]
    pub fn orders(self, count: usize) -> Self {
        (0..count).fold(self, |delivery, number| {
            let record = format!(r#"{{"id":"or_{number:05}","number":{number}}}"#);
            delivery.event("order.created", &record)
        })
    }

    /// The body in today's shape: a list of elements.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        format!("[{}]", self.elements.join(",")).into_bytes()
    }
}

/// One element in today's shape.
#[must_use]
pub fn element(event_type: &str, record: &str) -> String {
    let kind = kind(event_type);
    format!(r#"{{"event":"{event_type}","data":{{"{kind}":{record}}}}}"#)
}

fn kind(event_type: &str) -> &str {
    event_type
        .rsplit_once('.')
        .map_or(event_type, |(kind, _)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_look_as_documented() {
        let body = delivery()
            .event("order.deleted", r#"{"id":"or_1"}"#)
            .element("7")
            .orders(1)
            .body();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"[{"event":"order.deleted","data":{"order":{"id":"or_1"}}},7,{"event":"order.created","data":{"order":{"id":"or_00000","number":0}}}]"#
        );
    }
}
