//! Events as text. The simulator never re-serialises an event: what a test or a fixture wrote is what travels, so
//! that a receiver's "verbatim" promise can be held against it.

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

/// Why a text is not an event.
#[derive(Debug, Error)]
pub enum EventTextError {
    /// The text is not one JSON value. The parser's position is in the source.
    #[error(
        "the event's text is not one JSON value; send it as a raw delivery if that is intended"
    )]
    NotJson(#[source] serde_json::Error),
}

/// One event as its exact JSON text, without the whitespace around it.
#[derive(Clone, Debug)]
pub struct EventText {
    json: Box<RawValue>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    event: String,
}

impl EventText {
    /// Takes the text of one event. Any JSON value passes, so that malformed elements can be sent too.
    ///
    /// # Errors
    /// [`EventTextError::NotJson`] when the text is not one JSON value.
    pub fn parse(text: impl Into<String>) -> Result<Self, EventTextError> {
        RawValue::from_string(text.into())
            .map(Self::from)
            .map_err(EventTextError::NotJson)
    }

    /// The text, byte for byte.
    pub fn as_str(&self) -> &str {
        self.json.get()
    }

    pub(crate) fn to_raw_value(&self) -> Box<RawValue> {
        self.json.clone()
    }

    /// The event's name (its member `event`), where the text is an object that has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl From<Box<RawValue>> for EventText {
    fn from(json: Box<RawValue>) -> Self {
        let name = serde_json::from_str::<Named>(json.get())
            .ok()
            .map(|named| named.event);
        Self { json, name }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_text_survives_byte_for_byte() {
        let text = r#"{ "event" : "order.created","data":{"order":{"total":1.50,"n":"\u0026"}}}"#;
        let event = EventText::parse(format!("\n{text} ")).unwrap();
        assert_eq!(event.as_str(), text);
        assert_eq!(event.name(), Some("order.created"));
    }

    #[rstest]
    #[case::number("7")]
    #[case::no_name("{}")]
    #[case::name_is_no_text(r#"{"event":3}"#)]
    fn malformed_elements_pass_without_a_name(#[case] text: &str) {
        assert_eq!(EventText::parse(text).unwrap().name(), None);
    }

    #[rstest]
    #[case::cut("{\"event\":")]
    #[case::two_values("{} {}")]
    #[case::empty("")]
    fn text_that_is_not_one_value_is_refused(#[case] text: &str) {
        assert!(EventText::parse(text).is_err());
    }
}
