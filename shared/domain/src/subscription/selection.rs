//! Selections: the event types that an account's webhook is subscribed to.

use thiserror::Error;

use crate::event::TypeRow;

/// Event types of one source, each once. Never empty. A selection that was stored may name types that this release does
/// not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSelection(Vec<String>);

/// A list of names that is no [`EventSelection`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventSelectionError {
    /// Nothing is selected.
    #[error("the list is empty; name at least one event type, or \"*\" for all")]
    Empty,
    /// `*` stands for all types, so nothing can stand beside it.
    #[error("\"*\" stands for all event types and has to stand alone")]
    StarBesideOthers,
    /// A type that the source does not have.
    #[error("{name:?} is no event type of {title}; it has {known}")]
    Unknown {
        /// What was asked for, shortened.
        name: String,
        /// The source's name for people.
        title: &'static str,
        /// The types there are.
        known: String,
    },
}

impl EventSelection {
    /// Every type that this release knows, in the source's own order.
    #[must_use]
    pub fn all(known: &[TypeRow]) -> Self {
        Self(known.iter().map(|row| row.name.to_owned()).collect())
    }

    /// Reads what a caller asks for, a list of names out of those that the source called `title` has; `["*"]` stands for
    /// every type known today.
    ///
    /// # Errors
    /// An empty list, an unknown type, or `*` beside others.
    pub fn parse<S: AsRef<str>>(
        title: &'static str,
        known: &[TypeRow],
        names: &[S],
    ) -> Result<Self, EventSelectionError> {
        if names.is_empty() {
            return Err(EventSelectionError::Empty);
        }
        if names.iter().any(|name| name.as_ref() == "*") {
            return match names {
                [_] => Ok(Self::all(known)),
                _ => Err(EventSelectionError::StarBesideOthers),
            };
        }
        let is_known = |name: &str| known.iter().any(|row| row.name == name);
        if let Some(unlisted) = names.iter().find(|name| !is_known(name.as_ref())) {
            let known: Vec<&str> = known.iter().map(|row| row.name).collect();
            return Err(EventSelectionError::Unknown {
                name: unlisted.as_ref().chars().take(80).collect(),
                title,
                known: known.join(", "),
            });
        }
        let is_chosen = |row: &&TypeRow| names.iter().any(|name| name.as_ref() == row.name);
        let chosen = known.iter().filter(is_chosen);
        Ok(Self(chosen.map(|row| row.name.to_owned()).collect()))
    }

    /// Reads what was stored, in whichever release; `None` for an empty list.
    #[must_use]
    pub fn stored(names: Vec<String>) -> Option<Self> {
        (!names.is_empty()).then_some(Self(names))
    }

    /// The types by name.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether these names are this selection, in whatever order and however often.
    #[must_use]
    pub fn is(&self, names: &[String]) -> bool {
        self.0
            .iter()
            .all(|name| names.iter().any(|other| other == name))
            && names
                .iter()
                .all(|name| self.0.iter().any(|other| other == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Effect;
    use crate::lane::Lane;
    use rstest::rstest;

    const KNOWN: [TypeRow; 3] = [
        row("order.created"),
        row("order.updated"),
        row("invoice.created"),
    ];

    const fn row(name: &'static str) -> TypeRow {
        TypeRow {
            name,
            kind: "any",
            effect: Effect::State,
            lane: Lane::Other,
            timed: false,
        }
    }

    fn parse<S: AsRef<str>>(names: &[S]) -> Result<EventSelection, EventSelectionError> {
        EventSelection::parse("Example", &KNOWN, names)
    }

    #[test]
    fn a_star_is_every_type_known_today() {
        let all = parse(&["*"]).unwrap();
        assert_eq!(all.names(), KNOWN.map(|row| row.name));
    }

    #[test]
    fn order_and_repeats_mean_nothing() {
        let names = ["order.updated", "order.created", "order.updated"];
        let selection = parse(&names).unwrap();
        assert_eq!(selection.names(), ["order.created", "order.updated"]);
        assert!(selection.is(&names.map(str::to_owned)));
        assert!(!selection.is(&["order.created".to_owned()]));
        assert!(!selection.is(&["order.created", "order.updated", "x.y"].map(str::to_owned)));
    }

    #[rstest]
    #[case::nothing(&[], "empty")]
    #[case::unknown(&["order.created", "invoice.updated"], "\"invoice.updated\"")]
    #[case::star_beside(&["*", "order.created"], "alone")]
    fn what_is_no_selection_is_named(#[case] names: &[&str], #[case] said: &str) {
        let error = parse(names).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }

    #[test]
    fn a_stored_type_that_this_release_does_not_know_stays() {
        let names = vec!["order.created".to_owned(), "refund.created".to_owned()];
        let stored = EventSelection::stored(names.clone()).unwrap();
        assert_eq!(stored.names(), names);
        assert!(stored.is(&names));
        assert_eq!(EventSelection::stored(Vec::new()), None);
    }
}
