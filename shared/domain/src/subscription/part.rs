//! Parts: which event types of an account share a webhook.
//!
//! At most sources one webhook brings all types: the account has one part, and its name is empty. Where a type needs a
//! webhook of its own (its deliveries do not say their type, or the source has webhooks for a group of types alone), it is
//! of another part, which the webhook's URL names behind the token. Each part has registrations of its own, with a token and
//! keys of their own, and the same life.

use crate::subscription::EventSelection;

/// The most parts that an account may have: each is a webhook at the source, and one or two tokens that are stored together.
pub const MOST_PARTS: usize = 40;

/// A part of an account: what one webhook brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name in a URL; empty for the part that brings all types which can share a webhook.
    pub name: String,
    /// The types that it brings.
    pub events: EventSelection,
}

impl Part {
    /// Divides a selection by the name of each type's part: the part without a name comes first, the others in the
    /// selection's order, and so do the types in each.
    #[must_use]
    pub fn divide(events: &EventSelection, part_of: impl Fn(&str) -> String) -> Vec<Self> {
        let mut parts: Vec<(String, Vec<String>)> = Vec::new();
        for event_type in events.names() {
            let name = part_of(event_type);
            match parts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, events)) => events.push(event_type.clone()),
                None => parts.push((name, vec![event_type.clone()])),
            }
        }
        // Stable: the others stay in their order.
        parts.sort_by_key(|(name, _)| !name.is_empty());
        let parts = parts.into_iter().filter_map(|(name, events)| {
            let events = EventSelection::stored(events)?;
            Some(Self { name, events })
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(names: &[&str]) -> EventSelection {
        EventSelection::stored(names.iter().map(|name| (*name).to_owned()).collect()).unwrap()
    }

    #[test]
    fn a_selection_is_divided_by_the_parts_of_its_types() {
        let part_of = |name: &str| match name.strip_prefix("own.") {
            Some(own) => own.to_owned(),
            None => String::new(),
        };
        let events = selection(&["own.b", "order", "own.a", "product"]);
        let parts = Part::divide(&events, part_of);
        let shown: Vec<_> = parts
            .iter()
            .map(|part| (part.name.as_str(), part.events.clone()))
            .collect();
        let expected = [
            ("", selection(&["order", "product"])),
            ("b", selection(&["own.b"])),
            ("a", selection(&["own.a"])),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_selection_of_one_webhook_is_one_part_as_it_is() {
        let events = selection(&["z", "a", "m"]);
        let [part] = &Part::divide(&events, |_| String::new())[..] else {
            panic!("one part");
        };
        assert_eq!((part.name.as_str(), &part.events), ("", &events));
    }
}
