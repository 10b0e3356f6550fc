//! The events of a delivery that is written down, such as a file of the fixtures.

use serde_json::value::RawValue;

use crate::event::EventText;

/// Splits a delivery body into the verbatim texts of its events.
///
/// # Errors
/// The body is neither a JSON array nor a JSON object.
pub fn split(body: &[u8]) -> Result<Vec<EventText>, serde_json::Error> {
    let starts_an_array = body
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| *byte == b'[');
    if starts_an_array {
        let elements: Vec<Box<RawValue>> = serde_json::from_slice(body)?;
        return Ok(elements.into_iter().map(EventText::from).collect());
    }
    // Read as an object first: a bare number or text is not a delivery of any shape.
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body)?;
    let object: Box<RawValue> = serde_json::from_slice(body)?;
    Ok(vec![EventText::from(object)])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::list("[{\"n\":1.0} ,\n {}]\n", &["{\"n\":1.0}", "{}"])]
    #[case::object(r#"{"event":"z", "data":{}}"#, &[r#"{"event":"z", "data":{}}"#])]
    fn events_are_split_verbatim(#[case] body: &str, #[case] expected: &[&str]) {
        let events = split(body.as_bytes()).unwrap();
        let texts: Vec<&str> = events.iter().map(EventText::as_str).collect();
        assert_eq!(texts, expected);
    }

    #[rstest]
    #[case::cut("[{")]
    #[case::number("7")]
    #[case::empty("")]
    fn what_is_no_delivery_is_refused(#[case] body: &str) {
        assert!(split(body.as_bytes()).is_err());
    }
}
