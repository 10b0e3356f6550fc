//! JSON objects whose members keep their order and their text, so that a source's frame can be put around a record
//! without writing the record again.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// An object as its members. A name that stands twice stands twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object(pub(crate) Vec<(String, Box<RawValue>)>);

/// A value as raw text.
pub(crate) fn raw(value: impl Into<Value>) -> Box<RawValue> {
    serde_json::value::to_raw_value(&value.into()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// The texts of a list.
pub(crate) fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    let texts = texts.filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

impl Object {
    /// The object of a text, if it is one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.get())
    }

    /// A member that is an object itself.
    pub(crate) fn object(&self, name: &str) -> Option<Self> {
        self.get(name).and_then(Self::parse)
    }

    /// Sets a member in its place, or at the end.
    pub(crate) fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// The same, if there is none of the name.
    pub(crate) fn set_missing(&mut self, name: &str, value: impl FnOnce() -> Value) {
        if self.get(name).is_none() {
            self.set(name, raw(value()));
        }
    }

    /// The object as a member's value.
    pub(crate) fn into_raw(self) -> Box<RawValue> {
        RawValue::from_string(self.to_string()).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}:{}", Value::from(name.as_str()), value.get())?;
        }
        f.write_str("}")
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_their_text() {
        let text = r#"{ "z": 1.50,"a":{"b" : "\u0026"}, "z":2}"#;
        let mut object = Object::parse(text).unwrap();
        assert_eq!(
            object.to_string(),
            r#"{"z":1.50,"a":{"b" : "\u0026"},"z":2}"#
        );
        object.set("a", raw(7));
        object.set_missing("n", || Value::from("é\""));
        object.set_missing("n", || Value::Null);
        assert_eq!(object.to_string(), r#"{"z":1.50,"a":7,"z":2,"n":"é\""}"#);
        assert!(object.object("a").is_none() && Object::parse("[]").is_none());
    }
}
