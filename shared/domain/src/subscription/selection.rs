//! Selections: the event types that an account's webhook is subscribed to.

use thiserror::Error;

use crate::event::TypeRow;

/// Event types of one source, each once. Never empty. A selection that was stored may name types that this release does
/// not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSelection(Vec<String>);

/// What can be selected of a source.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// The source's name for people.
    pub title: &'static str,
    /// The types that this release knows, in the source's own order.
    pub known: &'a [TypeRow],
    /// Those of them that one webhook can bring together: what `*` stands for.
    pub shared: &'a [TypeRow],
}

/// A list of names that is no [`EventSelection`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EventSelectionError {
    /// Nothing is selected.
    #[error("the list is empty; name at least one event type, or \"*\" for all")]
    Empty,
    /// `*` stands for all types that share a webhook, so none of them can stand beside it.
    #[error(
        "\"*\" stands for all event types that can share a webhook: it has to stand alone, or beside types that need one of \
         their own"
    )]
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

    /// Reads what a caller asks for, a list of names out of those that the source has; `*` stands for every type known today
    /// that can share a webhook. `is_custom` says whether a name that is not known may be a type of a site's own; those come
    /// last, by name.
    ///
    /// # Errors
    /// An empty list, an unknown type, or `*` beside what it stands for.
    pub fn parse<S: AsRef<str>>(
        choice: Choice<'_>,
        is_custom: impl Fn(&str) -> bool,
        names: &[S],
    ) -> Result<Self, EventSelectionError> {
        let Choice { known, shared, .. } = choice;
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let of = |rows: &[TypeRow], name: &str| rows.iter().any(|row| row.name == name);
        let stars = names.iter().filter(|name| **name == "*").count();
        let is_covered = |name: &&str| *name != "*" && of(shared, name);
        if names.is_empty() {
            return Err(EventSelectionError::Empty);
        }
        if stars > 1 || (stars == 1 && names.iter().any(is_covered)) {
            return Err(EventSelectionError::StarBesideOthers);
        }
        let is_known = |name: &str| name == "*" || of(known, name) || is_custom(name);
        if let Some(unlisted) = names.iter().find(|name| !is_known(name)) {
            let known: Vec<&str> = known.iter().map(|row| row.name).collect();
            return Err(EventSelectionError::Unknown {
                name: unlisted.chars().take(80).collect(),
                title: choice.title,
                known: known.join(", "),
            });
        }
        let is_chosen =
            |row: &&TypeRow| names.contains(&row.name) || (stars == 1 && of(shared, row.name));
        let chosen = known.iter().filter(is_chosen);
        let mut chosen: Vec<String> = chosen.map(|row| row.name.to_owned()).collect();
        let is_own = |name: &&str| *name != "*" && !of(known, name);
        let mut own: Vec<&str> = names.iter().copied().filter(is_own).collect();
        own.sort_unstable();
        own.dedup();
        chosen.extend(own.into_iter().map(str::to_owned));
        Ok(Self(chosen))
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

    /// A source of which the last type needs a webhook of its own, and a site may have types of its own.
    fn parse<S: AsRef<str>>(names: &[S]) -> Result<EventSelection, EventSelectionError> {
        let choice = Choice {
            title: "Example",
            known: &KNOWN,
            shared: &KNOWN[..2],
        };
        EventSelection::parse(choice, |name| name.starts_with("own."), names)
    }

    #[test]
    fn a_star_is_every_type_known_today_that_can_share_a_webhook() {
        let all = parse(&["*"]).unwrap();
        assert_eq!(all.names(), ["order.created", "order.updated"]);
        let more = parse(&["own.b", "invoice.created", "*", "own.a", "own.b"]).unwrap();
        let expected = [
            "order.created",
            "order.updated",
            "invoice.created",
            "own.a",
            "own.b",
        ];
        assert_eq!(more.names(), expected);
    }

    #[test]
    fn a_type_of_a_site_s_own_comes_last() {
        let some = parse(&["own.z", "order.updated", "own.a"]).unwrap();
        assert_eq!(some.names(), ["order.updated", "own.a", "own.z"]);
        assert_eq!(parse(&["own.z"]).unwrap().names(), ["own.z"]);
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
    #[case::star_twice(&["*", "*"], "alone")]
    #[case::unknown_beside_a_star(&["*", "invoice.updated"], "\"invoice.updated\"")]
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
