//! Selections: the event types that an account's webhook is subscribed to.

use thiserror::Error;

use crate::sources::Source;

/// Event types of one source, each once, in the source's own order. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSelection(Vec<&'static str>);

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
    #[error("{name:?} is no event type of {source_name}; it has {known}")]
    Unknown {
        /// What was asked for, shortened.
        name: String,
        /// The source.
        source_name: &'static str,
        /// The types there are.
        known: String,
    },
}

impl EventSelection {
    /// Every type that this release knows.
    #[must_use]
    pub fn all(source: Source) -> Self {
        Self(source.event_types().to_vec())
    }

    /// Reads a list of names; `["*"]` stands for every type known today.
    ///
    /// # Errors
    /// An empty list, an unknown type, or `*` beside others.
    pub fn parse<S: AsRef<str>>(source: Source, names: &[S]) -> Result<Self, EventSelectionError> {
        let known = source.event_types();
        if names.is_empty() {
            return Err(EventSelectionError::Empty);
        }
        if names.iter().any(|name| name.as_ref() == "*") {
            return match names {
                [_] => Ok(Self::all(source)),
                _ => Err(EventSelectionError::StarBesideOthers),
            };
        }
        if let Some(unlisted) = names.iter().find(|name| !known.contains(&name.as_ref())) {
            return Err(EventSelectionError::Unknown {
                name: unlisted.as_ref().chars().take(80).collect(),
                source_name: source.as_str(),
                known: known.join(", "),
            });
        }
        let chosen = |known: &&&str| names.iter().any(|name| name.as_ref() == **known);
        Ok(Self(known.iter().filter(chosen).copied().collect()))
    }

    /// The types by name.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
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
    use rstest::rstest;

    #[test]
    fn a_star_is_every_type_known_today() {
        let all = EventSelection::parse(Source::Orderspace, &["*"]).unwrap();
        assert_eq!(all.names(), Source::Orderspace.event_types());
    }

    #[test]
    fn order_and_repeats_mean_nothing() {
        let names = ["order.updated", "order.created", "order.updated"];
        let selection = EventSelection::parse(Source::Orderspace, &names).unwrap();
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
        let error = EventSelection::parse(Source::Orderspace, names).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}
