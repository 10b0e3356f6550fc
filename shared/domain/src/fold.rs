//! The fold: what the events about one record make of it.
//!
//! A record is the product of two things that only grow, so any order, batching or repetition of its events
//! gives the same state:
//!
//! - its data, which is that of the last event that is not a delete;
//! - its delete. Where events are ordered by first sight, any delete is final: nothing takes it back. Where they are
//!   ordered by the source's own time, the last delete counts, and the record is deleted while that is later than its
//!   data: what a source archives it may bring back. The last known data stays readable.
//!
//! An event's place in the order is its [`Sequence`]: by the source's time where its kind is timed, else by first
//! sight, which is the order of the events' ids.
//!
//! Beside its data it remembers its last contents, and of each the event that brought it ([`Memory`]). They decide
//! nothing but the mark of what may be delivered twice.

use crate::identity::{ContentHash, EventId};
use crate::provenance::Sequence;

/// One event as the fold sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The event's id.
    pub id: EventId,
    /// Its place, where its kind is ordered by the source's own time; all events of a record have one, or none has.
    pub sequence: Option<Sequence>,
    /// Whether it says that the record is no more.
    pub delete: bool,
    /// What it says, in a hash.
    pub hash: ContentHash,
}

impl Change {
    /// The event's place among the events of its record.
    #[must_use]
    pub fn order(&self) -> Sequence {
        let by_id = || Sequence::of_first_sight(self.id);
        self.sequence.unwrap_or_else(by_id)
    }
}

/// What a group of events about one record comes to: at most one write of data and one delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The updates, once each and in their order. The record takes the data of the last one.
    pub updates: Vec<Change>,
    /// The delete that counts: the first of the group, or the last where the source's time orders them.
    pub delete: Option<Change>,
}

/// Folds the events about one record.
#[must_use]
pub fn fold(changes: &[Change]) -> Folded {
    Folded {
        updates: in_order(changes, false),
        delete: delete_of(changes),
    }
}

/// The delete of a group that counts.
fn delete_of(changes: &[Change]) -> Option<Change> {
    let deletes = in_order(changes, true);
    let (first, last) = (deletes.first()?, deletes.last()?);
    Some(match last.sequence {
        None => *first,
        Some(_) => *last,
    })
}

/// The updates, or the deletes, once each and in their order.
fn in_order(changes: &[Change], delete: bool) -> Vec<Change> {
    let mut changes: Vec<_> = changes
        .iter()
        .filter(|change| change.delete == delete)
        .copied()
        .collect();
    changes.sort_by_key(Change::order);
    changes.dedup_by_key(|change| change.id);
    changes
}

/// The most contents that a record remembers.
pub const MOST_REMEMBERED: usize = 8;

/// A content and the event that brought it, short enough to remember eight: 4 bytes of the event's place among those of its
/// record, in units of 1,024 milliseconds, 6 of its id ([`EventId::fingerprint`]) and 5 of the content's hash. Two contents
/// that share the last would be marked as possibly equal, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    place: [u8; 4],
    event: [u8; 6],
    content: [u8; 5],
}

impl Said {
    /// In bytes.
    pub const LENGTH: usize = 15;

    /// What an event says.
    #[must_use]
    pub fn by(change: &Change) -> Self {
        Self {
            place: Self::place(change),
            event: change.id.fingerprint(),
            ..Self::by_somebody(&change.hash)
        }
    }

    /// A content whose event is not known.
    #[must_use]
    pub fn by_somebody(content: &ContentHash) -> Self {
        let content = content.as_bytes().first_chunk();
        Self {
            place: [0; 4],
            event: [0; 6],
            content: content.copied().unwrap_or_default(),
        }
    }

    /// Takes the bytes as they were stored.
    #[must_use]
    pub fn stored(bytes: &[u8]) -> Option<Self> {
        let (place, rest) = bytes.split_first_chunk()?;
        let (event, rest) = rest.split_first_chunk()?;
        Some(Self {
            place: *place,
            event: *event,
            content: rest.try_into().ok()?,
        })
    }

    /// The bytes to store.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let parts = self.place.into_iter().chain(self.event).chain(self.content);
        for (to, from) in bytes.iter_mut().zip(parts) {
            *to = from;
        }
        bytes
    }

    /// Whether this is what was said, whoever said it.
    #[must_use]
    pub fn is(&self, content: &ContentHash) -> bool {
        self.content == Self::by_somebody(content).content
    }

    /// The [fingerprint](EventId::fingerprint) of the event.
    #[must_use]
    pub fn event(&self) -> [u8; 6] {
        self.event
    }

    /// The bytes of an event's place, the highest first: they sort as the places do.
    fn place(change: &Change) -> [u8; 4] {
        let unit = change.order().at().millis() >> 10;
        u32::try_from(unit).unwrap_or(u32::MAX).to_be_bytes()
    }
}

/// What a record remembers: its last contents, the newest first. Events that came too late for its data are not among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory([Option<Said>; MOST_REMEMBERED]);

impl Memory {
    /// Takes contents as they were stored, the newest first.
    #[must_use]
    pub fn stored(said: impl Iterator<Item = Said>) -> Self {
        let mut memory = Self::default();
        for (slot, said) in memory.0.iter_mut().zip(said) {
            *slot = Some(said);
        }
        memory
    }

    /// The contents, the newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Said> {
        self.0.iter().flatten()
    }

    /// The memory after these events, in their order.
    #[must_use]
    pub fn after(&self, events: &[Change]) -> Self {
        let newest = events.iter().rev().map(Said::by);
        Self::stored(newest.chain(self.iter().copied()))
    }

    /// Whether the newest content is this event's.
    #[must_use]
    pub fn ends_with(&self, event: &Change) -> bool {
        let newest = self.iter().next();
        newest.is_some_and(|newest| newest.event == event.id.fingerprint())
    }
}

/// What the table knew of a record before a write, or in place of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// The event whose data the record has.
    pub latest: Option<KnownEvent>,
    /// What it remembers.
    pub memory: Memory,
    /// The event that was the first to delete it, in order of arrival.
    pub deleted: Option<(EventId, ContentHash)>,
    /// The place of the last delete, where the source's time orders them.
    pub deleted_sequence: Option<Sequence>,
}

impl Known {
    /// Whether the record is deleted: by any delete, or where deletes have places by one that is later than its data.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        let is_later = |delete| self.latest.is_none_or(|latest| latest.order() < delete);
        self.deleted.is_some() && self.deleted_sequence.is_none_or(is_later)
    }
}

/// The event whose data a record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownEvent {
    /// Its id.
    pub id: EventId,
    /// Its place, where its kind is ordered by the source's own time.
    pub sequence: Option<Sequence>,
    /// What it said.
    pub hash: ContentHash,
}

impl KnownEvent {
    /// The event's place among the events of its record.
    #[must_use]
    pub fn order(&self) -> Sequence {
        let by_id = || Sequence::of_first_sight(self.id);
        self.sequence.unwrap_or_else(by_id)
    }

    /// Whether another event is later, by that one's order: by id where it has no place.
    #[must_use]
    pub fn is_before(&self, change: &Change) -> bool {
        match change.sequence {
            None => self.id < change.id,
            Some(_) => self.order() < change.order(),
        }
    }
}

impl From<Change> for KnownEvent {
    fn from(change: Change) -> Self {
        Self {
            id: change.id,
            sequence: change.sequence,
            hash: change.hash,
        }
    }
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
    /// Whether it says just what another event of the record said, of those that are remembered.
    pub possible_duplicate: bool,
    /// Whether that was an earlier content than the record's last: a retry whose first answer was lost, or there and back
    /// again.
    pub repeats_earlier: bool,
}

/// Judges each event of a group, in the group's order, by what the table knew before the group was applied.
///
/// An event that the record remembers is compared with older contents only, so its mark is the same when its message comes
/// again, while the content that it equals is remembered too; its outcome may differ. An event that came too late is
/// compared with all that is remembered, unless it may be a forgotten one: of several events with equal contents, the one
/// that was applied first is never marked.
#[must_use]
pub fn judge(changes: &[Change], known: &Known) -> Vec<Verdict> {
    let updates = in_order(changes, false);
    let history = history(&updates, known);
    let mut seen = Vec::with_capacity(changes.len());
    changes
        .iter()
        .map(|change| {
            let again = seen.contains(&change.id);
            seen.push(change.id);
            if change.delete {
                judge_delete(change, again, changes, known)
            } else {
                judge_update(change, again, (&updates, &history), known)
            }
        })
        .collect()
}

/// What is said of a record once a group is written, the newest first: what of the group is newer than the table's event,
/// and what the table remembers.
fn history(updates: &[Change], known: &Known) -> Vec<Said> {
    let is_newer = |change: &&Change| known.latest.is_none_or(|stored| stored.is_before(change));
    let newer = updates.iter().rev().filter(is_newer).map(Said::by);
    newer.chain(known.memory.iter().copied()).collect()
}

fn judge_update(
    change: &Change,
    again: bool,
    (updates, history): (&[Change], &[Said]),
    known: &Known,
) -> Verdict {
    let stored = known.latest;
    let repeated = again || stored.is_some_and(|stored| stored.id == change.id);
    let newest = updates.last().is_none_or(|last| last.id == change.id)
        && stored.is_none_or(|stored| stored.is_before(change));
    // Of deletes that have places, only one that is later keeps the record deleted.
    let is_later = |delete| change.order() < delete;
    let deleted = known.deleted.is_some() && known.deleted_sequence.is_none_or(is_later);
    let outcome = match (repeated, newest, deleted) {
        (true, _, _) => Outcome::Repeated,
        (false, false, _) => Outcome::Stale,
        (false, true, true) => Outcome::AfterDelete,
        (false, true, false) => Outcome::Applied,
    };
    let said = Said::by(change);
    let own = history.iter().position(|other| other.event == said.event);
    let remembered = history.get(..MOST_REMEMBERED).unwrap_or(history);
    let before = match own {
        Some(own) => history.get(own + 1..).unwrap_or_default(),
        None if may_be_forgotten(&said, remembered) => &[],
        None => remembered,
    };
    let mut before = before.iter();
    let is_equal = |other: &Said| other.is(&change.hash);
    let repeats_last = before.next().is_some_and(is_equal);
    let repeats_earlier = !repeats_last && before.any(is_equal);
    Verdict {
        outcome,
        possible_duplicate: repeats_last || repeats_earlier,
        repeats_earlier,
    }
}

/// Whether an event that is not remembered may have been: all that is remembered has a later place, or the same to a second.
/// What equals it then may be its own repeat, marked because of it.
fn may_be_forgotten(said: &Said, remembered: &[Said]) -> bool {
    remembered.len() == MOST_REMEMBERED && remembered.iter().all(|other| other.place >= said.place)
}

/// A delete is a possible duplicate of the record's first delete only. After a final delete, another delete changes nothing.
/// Where the source's time orders deletes, a delete is applied if nothing known of the record is later.
fn judge_delete(change: &Change, again: bool, changes: &[Change], known: &Known) -> Verdict {
    let counting = delete_of(changes).map(|delete| (delete.id, delete.hash));
    let first = known.deleted.or(counting);
    let stored = [
        known.deleted.map(|(id, _)| id),
        known.deleted_sequence.map(Sequence::event),
    ];
    let repeated = again || stored.contains(&Some(change.id));
    let is_last = || {
        let places = [
            known.latest.map(|latest| latest.order()),
            known.deleted_sequence,
        ];
        let mut others = changes
            .iter()
            .map(Change::order)
            .chain(places.into_iter().flatten());
        others.all(|other| other <= change.order())
    };
    let is_final = known.deleted.is_some() && known.deleted_sequence.is_none();
    Verdict {
        outcome: match (repeated, is_final, change.sequence) {
            (true, _, _) => Outcome::Repeated,
            (false, true, _) => Outcome::AfterDelete,
            (false, false, Some(_)) if !is_last() => Outcome::Stale,
            (false, false, _) => Outcome::Applied,
        },
        possible_duplicate: first.is_some_and(|(id, hash)| id != change.id && hash == change.hash),
        repeats_earlier: false,
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
            sequence: None,
            delete,
            hash: ContentHash::of(if delete { "x.deleted" } else { "x.updated" }, &[content]),
        }
    }

    /// An event that was first seen as the `number`th, and that the source dates.
    fn timed(number: u64, at: u64, content: u8, delete: bool) -> Change {
        let change = change(number, content, delete);
        Change {
            sequence: Some(Sequence::new(Timestamp::from_millis(at), change.id)),
            ..change
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
                // One without a place is final.
                if before.deleted.is_none() || before.deleted_sequence.is_some() {
                    self.0.deleted.get_or_insert((delete.id, delete.hash));
                    self.0.deleted_sequence = before.deleted_sequence.max(delete.sequence);
                }
            }
            let newer =
                |change: &&Change| before.latest.is_none_or(|stored| stored.is_before(change));
            let newer: Vec<Change> = folded.updates.iter().filter(newer).copied().collect();
            if let Some(latest) = newer.last() {
                self.0.memory = before.memory.after(&newer);
                self.0.latest = Some((*latest).into());
            }
            judge(group, &before)
        }

        fn state(&self) -> (Option<(EventId, ContentHash)>, bool) {
            (
                self.0.latest.map(|latest| (latest.id, latest.hash)),
                self.0.is_deleted(),
            )
        }
    }

    /// The table after these events, taken in another order, in pieces and twice.
    fn in_pieces(events: &[Change], cuts: &[usize], shift: usize) -> Table {
        let mut turned = events.to_vec();
        turned.rotate_left(shift);
        turned.reverse();
        turned.extend_from_slice(events);
        let mut table = Table::default();
        let mut rest = &turned[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (group, more) = rest.split_at((*cut).min(rest.len()));
            table.take(group);
            rest = more;
        }
        table
    }

    proptest! {
        #[test]
        // requirement: state-order
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
            let pieces = in_pieces(&events, &cuts, shuffled.index(events.len()));
            prop_assert_eq!(whole.state(), pieces.state());
        }

        /// The law above, where the source dates the events, also several by one time.
        #[test]
        fn what_a_source_dates_ends_in_the_same_state_too(
            script in proptest::collection::vec((0..8_u64, 0..4_u64, 0..3_u8, proptest::bool::weighted(0.4)), 1..12),
            cuts in proptest::collection::vec(1..4_usize, 12),
            shuffled in any::<prop::sample::Index>(),
        ) {
            let events: Vec<Change> = script.iter().map(|(number, ..)| {
                let (_, at, content, delete) = script.iter().find(|(other, ..)| other == number).unwrap();
                timed(*number, *at, *content, *delete)
            }).collect();
            let mut whole = Table::default();
            whole.take(&events);
            let pieces = in_pieces(&events, &cuts, shuffled.index(events.len()));
            prop_assert_eq!(whole.state(), pieces.state());
            prop_assert_eq!(whole.0.deleted_sequence, pieces.0.deleted_sequence);
            // The last event decides, by the source's time and then by first sight.
            let last = events.iter().max_by_key(|event| event.order()).unwrap();
            prop_assert_eq!(whole.0.is_deleted(), last.delete);
        }

        /// Without times the order is that of the ids, so nothing changes for a source that sends none.
        #[test]
        fn events_without_times_sort_as_their_ids(numbers in proptest::collection::vec(0..9_u64, 2)) {
            let [a, b] = [0, 1].map(|i| update(numbers[i], 0));
            prop_assert_eq!(a.order().cmp(&b.order()), a.id.cmp(&b.id));
            let known = KnownEvent::from(a);
            prop_assert_eq!(known.order(), a.order());
        }
    }

    #[test]
    fn an_old_state_that_comes_late_does_not_win_over_a_newer_one() {
        let mut table = Table::default();
        table.take(&[timed(1, 50, b'n', false)]);
        let late = table.take(&[timed(2, 40, b'o', false)]);
        assert_eq!(late, [verdict(Outcome::Stale, "")]);
        assert_eq!(table.0.latest.unwrap().id, update(1, 0).id);
        let newer = table.take(&[timed(3, 60, b'z', false)]);
        assert_eq!(newer, [verdict(Outcome::Applied, "")]);
    }

    #[test]
    fn what_a_source_archives_it_may_bring_back() {
        let outcomes = |table: &mut Table, event| table.take(&[event])[0].outcome;
        let mut table = Table::default();
        table.take(&[timed(1, 10, 0, false)]);
        let archived = timed(2, 20, 0, true);
        assert_eq!(outcomes(&mut table, archived), Outcome::Applied);
        assert!(table.0.is_deleted());
        // An update of before the delete that comes after it.
        let before = timed(3, 15, 1, false);
        assert_eq!(outcomes(&mut table, before), Outcome::AfterDelete);
        assert!(table.0.is_deleted());
        let back = timed(4, 30, 2, false);
        assert_eq!(outcomes(&mut table, back), Outcome::Applied);
        assert!(!table.0.is_deleted());
        assert_eq!(outcomes(&mut table, archived), Outcome::Repeated);
        assert_eq!(outcomes(&mut table, timed(5, 25, 3, true)), Outcome::Stale);
        assert!(!table.0.is_deleted());
        let again = timed(6, 40, 4, true);
        assert_eq!(outcomes(&mut table, again), Outcome::Applied);
        assert!(table.0.is_deleted());
        assert_eq!(outcomes(&mut table, again), Outcome::Repeated);
    }

    #[test]
    fn of_two_deletes_that_a_source_dates_the_later_counts_and_an_equal_one_is_marked() {
        let group = [timed(2, 30, 0, true), timed(1, 20, 0, true)];
        assert_eq!(fold(&group).delete, Some(group[0]));
        let verdicts = Table::default().take(&group);
        assert_eq!(
            verdicts,
            [
                verdict(Outcome::Applied, ""),
                verdict(Outcome::Stale, "last")
            ]
        );
    }

    /// A release that did not know that the kind is timed took the delete for final.
    #[test]
    fn a_delete_without_a_place_stays_final() {
        let mut table = Table::default();
        table.take(&[change(1, 0, true)]);
        let after = table.take(&[timed(2, 50, 0, false)]);
        assert_eq!(after, [verdict(Outcome::AfterDelete, "")]);
        assert!(table.0.is_deleted());
        let verdicts = table.take(&[timed(3, 60, 1, true)]);
        assert_eq!(verdicts[0].outcome, Outcome::AfterDelete);
    }

    fn verdict(outcome: Outcome, mark: &str) -> Verdict {
        Verdict {
            outcome,
            possible_duplicate: !mark.is_empty(),
            repeats_earlier: mark == "earlier",
        }
    }

    /// A retry whose first answer was lost cannot be told from stock that goes and comes back: it is marked.
    #[test]
    // requirement: repeat-earlier
    fn there_and_back_again_is_three_events_and_the_third_is_marked() {
        let mut table = Table::default();
        let verdicts: Vec<_> = [update(1, b'a'), update(2, b'b'), update(3, b'a')]
            .iter()
            .flat_map(|event| table.take(&[*event]))
            .collect();
        let applied = |mark| verdict(Outcome::Applied, mark);
        assert_eq!(verdicts, [applied(""), applied(""), applied("earlier")]);
        // Taken again, each is what it was.
        for (number, mark) in [(1, ""), (2, ""), (3, "earlier")] {
            let content = if number == 2 { b'b' } else { b'a' };
            let again = table.take(&[update(number, content)]);
            assert_eq!(again[0].possible_duplicate, !mark.is_empty(), "{number}");
        }
    }

    #[test]
    // requirement: repeat-earlier
    fn eight_contents_are_remembered() {
        let mut table = Table::default();
        for number in 1..=8 {
            table.take(&[update(number, u8::try_from(number).unwrap())]);
        }
        let mut one_more = table;
        assert!(table.take(&[update(9, 1)])[0].repeats_earlier);
        one_more.take(&[update(9, 9)]);
        assert!(
            !one_more.take(&[update(10, 1)])[0].possible_duplicate,
            "it is the ninth"
        );
        assert!(one_more.take(&[update(11, 3)])[0].possible_duplicate);
    }

    #[test]
    fn a_new_event_that_says_the_same_is_marked_also_when_it_is_taken_twice() {
        let mut table = Table::default();
        table.take(&[update(1, b'a')]);
        let marked = |outcome| vec![verdict(outcome, "last")];
        assert_eq!(table.take(&[update(2, b'a')]), marked(Outcome::Applied));
        assert_eq!(table.take(&[update(2, b'a')]), marked(Outcome::Repeated));
        let mut at_once = Table::default();
        let verdicts = at_once.take(&[update(2, b'a'), update(1, b'a')]);
        let expected = [
            verdict(Outcome::Applied, "last"),
            verdict(Outcome::Stale, ""),
        ];
        assert_eq!(verdicts, expected);
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
        assert_eq!(second, verdict(Outcome::AfterDelete, "last"));
        assert_eq!(
            table.state(),
            (Some((update(7, b'z').id, update(7, b'z').hash)), true)
        );
    }

    /// Of two copies that overtook each other, the one that comes second is marked, whichever is the older.
    #[test]
    // requirement: repeat-earlier
    fn a_late_event_is_a_duplicate_of_a_later_one() {
        let mut table = Table::default();
        assert!(!table.take(&[update(5, 0)])[0].possible_duplicate);
        let late = table.take(&[update(3, 0)]);
        assert_eq!(late, [verdict(Outcome::Stale, "last")]);
        assert_eq!(table.take(&[update(3, 0)]), late);
        assert!(!table.take(&[update(5, 0)])[0].possible_duplicate);
    }

    /// An event whose retries came under ids of their own, each marked because of it, until the record had forgotten it.
    #[test]
    fn a_forgotten_event_is_no_duplicate_of_its_own_retries() {
        let at = |second: u64, content| update(second * 1_024, content);
        let mut table = Table::default();
        let (first, other) = (at(1, b'a'), at(2, b'c'));
        let group = table.take(&[first, other]);
        assert_eq!(group[0], verdict(Outcome::Stale, ""));
        for second in 3..=10 {
            let content = [b'a', b'c', b'x', b'y'][usize::try_from(second % 4).unwrap()];
            let retry = table.take(&[at(second, content)])[0];
            assert!(retry.possible_duplicate || !b"ac".contains(&content));
            let again = table.take(&[first]);
            assert_eq!(again, [verdict(Outcome::Stale, "")], "after {second}");
        }
        // One whose place is behind that of another that is remembered was never remembered itself.
        let late = table.take(&[update(6 * 1_024 + 500, b'a')]);
        assert_eq!(late, [verdict(Outcome::Stale, "earlier")]);
    }

    proptest! {
        /// Whatever comes late, in groups and again: of the events with equal contents, one never has the mark.
        #[test]
        // requirement: repeat-mark
        fn of_equal_contents_one_is_never_marked(
            script in proptest::collection::vec((0..3_u8, 0..5_u64, any::<prop::sample::Index>()), 1..40),
            is_timed in any::<bool>(),
            cuts in proptest::collection::vec(1..4_usize, 80),
        ) {
            // About three in the time that a place is remembered by.
            let events: Vec<Change> = (0..).zip(&script).map(|(number, (content, late, _))| match is_timed {
                true => timed(number, 401 * number + 400 * late, *content, false),
                false => update(401 * number + 400 * late, *content),
            }).collect();
            // After each event one comes again.
            let again = |(number, (.., again)): (usize, &(u8, u64, prop::sample::Index))| {
                [events[number], events[again.index(number + 1)]]
            };
            let taken: Vec<Change> = script.iter().enumerate().flat_map(again).collect();
            let mut table = Table::default();
            let mut marked = Vec::new();
            let mut rest = &taken[..];
            for cut in cuts {
                let (group, more) = rest.split_at(cut.min(rest.len()));
                let verdicts = table.take(group);
                let with_mark = group.iter().zip(verdicts).filter(|(_, verdict)| verdict.possible_duplicate);
                marked.extend(with_mark.map(|(event, _)| event.id));
                rest = more;
            }
            for event in &events {
                let mut equal = events.iter().filter(|other| other.hash == event.hash);
                prop_assert!(equal.any(|equal| !marked.contains(&equal.id)), "{event:?}");
            }
        }
    }

    #[test]
    fn what_is_remembered_reads_back() {
        let events = [update(1, 0), update(2, 1)];
        let memory = Memory::default().after(&events);
        let stored = memory
            .iter()
            .map(|said| Said::stored(&said.to_bytes()).unwrap());
        assert_eq!(Memory::stored(stored), memory);
        assert!(memory.ends_with(&events[1]) && !memory.ends_with(&events[0]));
        assert_eq!(Said::stored(b"short"), None);
    }

    /// The release before kept the hash of one content, and not whose it was.
    #[test]
    fn a_content_of_somebody_is_another_event_s() {
        let before = update(1, 7);
        let known = Known {
            memory: Memory::stored([Said::by_somebody(&before.hash)].into_iter()),
            ..Known::default()
        };
        assert!(judge(&[update(2, 7)], &known)[0].possible_duplicate);
        assert!(!judge(&[update(2, 8)], &known)[0].possible_duplicate);
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
