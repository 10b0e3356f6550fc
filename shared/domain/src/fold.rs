//! The fold: what the events about one record make of it.
//!
//! A record is the product of two things that only grow, so any order, batching or repetition of its events
//! gives the same state:
//!
//! - its data, which is that of the event with the greatest id that is not a delete;
//! - whether any delete was seen. Nothing takes that back, and the last known data stays readable.

use crate::identity::{ContentHash, EventId};

/// One event as the fold sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The event's id.
    pub id: EventId,
    /// Whether it says that the record is no more.
    pub delete: bool,
    /// What it says, in a hash.
    pub hash: ContentHash,
}

/// What a group of events about one record comes to: at most one write of data and one delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// The event whose data the record takes, and the one before it in this group.
    pub latest: Option<Latest>,
    /// The first delete of the group.
    pub delete: Option<Change>,
}

/// The greatest event of a group that is not a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latest {
    /// The event.
    pub change: Change,
    /// The event before it, where that one is in the same group.
    pub previous: Option<Change>,
}

impl Latest {
    /// The same event, to be written after whatever the table has: another event lies between it and the one
    /// before it in its group.
    #[must_use]
    pub fn alone(self) -> Self {
        Self {
            previous: None,
            ..self
        }
    }

    /// Whether the table's event lies between this one and the one before it in its group.
    #[must_use]
    pub fn is_parted_by(&self, known: &Known) -> bool {
        match (self.previous, known.latest) {
            (Some(previous), Some(stored)) => previous.id < stored.id && stored.id < self.change.id,
            _ => false,
        }
    }
}

/// Folds the events about one record.
#[must_use]
pub fn fold(changes: &[Change]) -> Folded {
    let updates = in_order(changes, false);
    Folded {
        latest: updates.last().map(|&change| Latest {
            change,
            previous: updates.iter().rev().nth(1).copied(),
        }),
        delete: in_order(changes, true).first().copied(),
    }
}

/// The updates, or the deletes, once each and by id.
fn in_order(changes: &[Change], delete: bool) -> Vec<Change> {
    let mut changes: Vec<_> = changes
        .iter()
        .filter(|change| change.delete == delete)
        .copied()
        .collect();
    changes.sort_by_key(|change| change.id);
    changes.dedup_by_key(|change| change.id);
    changes
}

/// What the table knew of a record before a write, or in place of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// The event whose data the record has.
    pub latest: Option<KnownEvent>,
    /// The event that was the first to delete it, in order of arrival.
    pub deleted: Option<(EventId, ContentHash)>,
}

/// The event whose data a record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownEvent {
    /// Its id.
    pub id: EventId,
    /// What it said.
    pub hash: ContentHash,
    /// What the event before it had said.
    pub previous: Option<ContentHash>,
}

/// What an event did to its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The record now says what the event says.
    Applied,
    /// The record already said what a later event says.
    Stale,
    /// This very event had come before.
    Repeated,
    /// The event came after a delete: its data is kept, and the record stays deleted.
    AfterDelete,
    /// The event names no record: it is only forwarded.
    NoRecord,
}

impl Outcome {
    /// The outcome in one word, for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Stale => "stale",
            Self::Repeated => "repeated",
            Self::AfterDelete => "after_delete",
            Self::NoRecord => "no_record",
        }
    }
}

/// What is said of an event once its record is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What it did to the record.
    pub outcome: Outcome,
    /// Whether it says just what the record's previous event said.
    pub possible_duplicate: bool,
}

/// Judges each event of a group, in the group's order, by what the table knew before the group was applied.
///
/// The verdict of an event does not change when its message comes a second time: the table remembers what
/// the event before the latest one said.
#[must_use]
pub fn judge(changes: &[Change], known: &Known) -> Vec<Verdict> {
    let updates = in_order(changes, false);
    let mut seen = Vec::with_capacity(changes.len());
    changes
        .iter()
        .map(|change| {
            let again = seen.contains(&change.id);
            seen.push(change.id);
            if change.delete {
                judge_delete(change, again, changes, known)
            } else {
                judge_update(change, again, &updates, known)
            }
        })
        .collect()
}

fn judge_update(change: &Change, again: bool, updates: &[Change], known: &Known) -> Verdict {
    let before = updates.iter().rev().find(|other| other.id < change.id);
    let stored = known.latest;
    let previous = match (before, stored) {
        // It came before, and was judged then: the table remembers by what.
        (_, Some(stored)) if stored.id == change.id => stored.previous,
        // The table's event lies between this one and the group's, or the group has none before this one.
        (Some(before), Some(stored)) if before.id < stored.id && stored.id < change.id => {
            Some(stored.hash)
        }
        (None, Some(stored)) if stored.id < change.id => Some(stored.hash),
        (before, _) => before.map(|before| before.hash),
    };
    let repeated = again || stored.is_some_and(|stored| stored.id == change.id);
    let newest = updates.last().is_none_or(|last| last.id == change.id)
        && stored.is_none_or(|stored| stored.id < change.id);
    let outcome = match (repeated, newest, known.deleted) {
        (true, _, _) => Outcome::Repeated,
        (false, false, _) => Outcome::Stale,
        (false, true, Some(_)) => Outcome::AfterDelete,
        (false, true, None) => Outcome::Applied,
    };
    Verdict {
        outcome,
        possible_duplicate: previous == Some(change.hash),
    }
}

/// A second delete says nothing new, whatever came between: it is measured by the first one.
fn judge_delete(change: &Change, again: bool, changes: &[Change], known: &Known) -> Verdict {
    let first = match known.deleted {
        Some(first) => first,
        None => in_order(changes, true)
            .first()
            .map_or((change.id, change.hash), |first| (first.id, first.hash)),
    };
    let repeated = again || known.deleted.is_some_and(|(id, _)| id == change.id);
    Verdict {
        outcome: match (repeated, known.deleted) {
            (true, _) => Outcome::Repeated,
            (false, Some(_)) => Outcome::AfterDelete,
            (false, None) => Outcome::Applied,
        },
        possible_duplicate: first.0 != change.id && first.1 == change.hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{DeliveryId, EventIndex};
    use crate::timestamp::Timestamp;
    use proptest::prelude::*;

    fn change(number: u64, content: u8, delete: bool) -> Change {
        let id = DeliveryId::new(Timestamp::from_millis(number), &[0; 10])
            .event(EventIndex::new(0).unwrap());
        Change {
            id,
            delete,
            hash: ContentHash::of(if delete { "x.deleted" } else { "x.updated" }, &[content]),
        }
    }

    fn update(number: u64, content: u8) -> Change {
        change(number, content, false)
    }

    /// A table that does what the real one does: a guarded write of data, an unguarded delete.
    #[derive(Default, Debug, Clone, Copy, PartialEq)]
    struct Table(Known);

    impl Table {
        fn take(&mut self, group: &[Change]) -> Vec<Verdict> {
            let before = self.0;
            let folded = fold(group);
            if let Some(delete) = folded.delete {
                self.0.deleted.get_or_insert((delete.id, delete.hash));
            }
            if let Some(latest) = folded.latest {
                let latest = if latest.is_parted_by(&before) {
                    latest.alone()
                } else {
                    latest
                };
                let Latest { change, previous } = latest;
                if self.0.latest.is_none_or(|stored| stored.id < change.id) {
                    let stored = self.0.latest.map(|stored| stored.hash);
                    let previous = previous.map(|previous| previous.hash).or(stored);
                    self.0.latest = Some(KnownEvent {
                        id: change.id,
                        hash: change.hash,
                        previous,
                    });
                }
            }
            judge(group, &before)
        }

        fn state(&self) -> (Option<(EventId, ContentHash)>, bool) {
            (
                self.0.latest.map(|latest| (latest.id, latest.hash)),
                self.0.deleted.is_some(),
            )
        }
    }

    proptest! {
        #[test]
        fn any_order_batching_and_repetition_gives_the_same_state(
            script in proptest::collection::vec((0..8_u64, 0..3_u8, proptest::bool::weighted(0.2)), 1..12),
            cuts in proptest::collection::vec(1..4_usize, 12),
            shuffled in any::<prop::sample::Index>(),
        ) {
            // One id is one event: what number says fixes the rest.
            let events: Vec<Change> = script.iter().map(|(number, ..)| {
                let (_, content, delete) = script.iter().find(|(other, ..)| other == number).unwrap();
                change(*number, *content, *delete)
            }).collect();
            let mut whole = Table::default();
            whole.take(&events);
            let mut turned = events.clone();
            turned.rotate_left(shuffled.index(events.len()));
            turned.reverse();
            turned.extend_from_slice(&events);
            let mut pieces = Table::default();
            let mut rest = &turned[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (group, more) = rest.split_at((*cut).min(rest.len()));
                pieces.take(group);
                rest = more;
            }
            prop_assert_eq!(whole.state(), pieces.state());
        }
    }

    #[test]
    fn there_and_back_again_is_three_events_and_no_duplicate() {
        let mut table = Table::default();
        let verdicts: Vec<_> = [update(1, b'a'), update(2, b'b'), update(3, b'a')]
            .iter()
            .flat_map(|event| table.take(&[*event]))
            .collect();
        let applied = Verdict {
            outcome: Outcome::Applied,
            possible_duplicate: false,
        };
        assert_eq!(verdicts, [applied; 3]);
    }

    #[test]
    fn a_new_event_that_says_the_same_is_marked_also_when_it_is_taken_twice() {
        let mut table = Table::default();
        table.take(&[update(1, b'a')]);
        let marked = |outcome| {
            vec![Verdict {
                outcome,
                possible_duplicate: true,
            }]
        };
        assert_eq!(table.take(&[update(2, b'a')]), marked(Outcome::Applied));
        assert_eq!(table.take(&[update(2, b'a')]), marked(Outcome::Repeated));
        let mut at_once = Table::default();
        let verdicts = at_once.take(&[update(2, b'a'), update(1, b'a')]);
        assert_eq!(
            verdicts[0],
            Verdict {
                outcome: Outcome::Applied,
                possible_duplicate: true
            }
        );
        assert_eq!(
            verdicts[1],
            Verdict {
                outcome: Outcome::Stale,
                possible_duplicate: false
            }
        );
    }

    proptest! {
        #[test]
        fn the_mark_of_the_latest_event_survives_a_second_run(
            stored in proptest::option::of((0..6_u64, 0..2_u8)),
            group in proptest::collection::btree_map(0..6_u64, 0..2_u8, 1..5),
        ) {
            let mut table = Table::default();
            if let Some((number, content)) = stored {
                table.take(&[update(number, *group.get(&number).unwrap_or(&content))]);
            }
            let group: Vec<_> = group.into_iter().map(|(number, content)| update(number, content)).collect();
            let first = table.take(&group);
            let second = table.take(&group);
            if table.0.latest.map(|latest| latest.id) == group.last().map(|last| last.id) {
                prop_assert_eq!(
                    first.last().map(|verdict| verdict.possible_duplicate),
                    second.last().map(|verdict| verdict.possible_duplicate)
                );
                // And when only the latest comes again.
                let alone = table.take(&group[group.len() - 1..]);
                prop_assert_eq!(
                    first.last().map(|verdict| verdict.possible_duplicate),
                    alone.last().map(|verdict| verdict.possible_duplicate)
                );
            }
        }
    }

    #[test]
    fn a_repeat_of_one_event_is_no_new_event() {
        let mut table = Table::default();
        let twice = table.take(&[update(1, b'a'), update(1, b'a')]);
        assert_eq!(
            twice.iter().map(|v| v.outcome).collect::<Vec<_>>(),
            [Outcome::Applied, Outcome::Repeated]
        );
        assert!(!twice[1].possible_duplicate);
    }

    #[test]
    fn a_late_event_is_stale_and_a_delete_is_final() {
        let mut table = Table::default();
        table.take(&[update(5, b'n')]);
        assert_eq!(table.take(&[update(3, b'o')])[0].outcome, Outcome::Stale);
        assert_eq!(
            table.take(&[change(6, b'd', true)])[0].outcome,
            Outcome::Applied
        );
        assert_eq!(
            table.take(&[update(7, b'z')])[0].outcome,
            Outcome::AfterDelete
        );
        assert_eq!(
            table.take(&[change(6, b'd', true)])[0].outcome,
            Outcome::Repeated
        );
        let second = table.take(&[change(9, b'd', true)])[0];
        assert_eq!(
            second,
            Verdict {
                outcome: Outcome::AfterDelete,
                possible_duplicate: true
            }
        );
        assert_eq!(
            table.state(),
            (Some((update(7, b'z').id, update(7, b'z').hash)), true)
        );
    }

    #[test]
    fn only_an_event_strictly_between_parts_a_group() {
        let latest = fold(&[update(2, 0), update(4, 1)]).latest.unwrap();
        let known = |number| Known {
            latest: Some(KnownEvent {
                id: update(number, 9).id,
                hash: update(number, 9).hash,
                previous: None,
            }),
            deleted: None,
        };
        let parted = |number| latest.is_parted_by(&known(number));
        assert_eq!(
            [1, 2, 3, 4, 5].map(parted),
            [false, false, true, false, false]
        );
    }

    #[test]
    fn an_event_is_no_duplicate_of_a_later_one() {
        let mut table = Table::default();
        table.take(&[update(5, 0)]);
        let late = table.take(&[update(3, 0)]);
        assert_eq!(
            (late[0].outcome, late[0].possible_duplicate),
            (Outcome::Stale, false)
        );
    }

    #[test]
    fn a_second_delete_that_says_something_else_is_no_duplicate() {
        let mut table = Table::default();
        let duplicates = |verdicts: Vec<Verdict>| verdicts[0].possible_duplicate;
        assert!(!duplicates(table.take(&[change(1, 0, true)])));
        assert!(!duplicates(table.take(&[change(2, 1, true)])));
        assert!(duplicates(table.take(&[change(3, 0, true)])));
        assert!(
            !duplicates(table.take(&[change(1, 0, true)])),
            "a repeat of the first"
        );
    }

    /// The words are dimensions of metrics.
    #[test]
    fn outcomes_have_their_words() {
        use Outcome::{AfterDelete, Applied, NoRecord, Repeated, Stale};
        let outcomes = [Applied, Stale, Repeated, AfterDelete, NoRecord];
        let words = ["applied", "stale", "repeated", "after_delete", "no_record"];
        assert_eq!(outcomes.map(Outcome::as_str), words);
    }
}
