//! Applying events to their records: one guarded write per record and batch.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use domain::control::Control;
use domain::envelope::{Content, Envelope};
use domain::event::Effect;
use domain::fold::{Change, Known, Outcome, Verdict, fold, judge};
use domain::identity::{ContentHash, EventId};
use domain::lane::Lane;
use domain::ports::{ClaimCheck, PortError, Records, Update, Written};
use domain::provenance::Sequence;
use domain::record::RecordKey;
use domain::trace::Trace;
use futures::{FutureExt as _, StreamExt as _, stream};
use runtime::deadline::in_time;
use sources::Protocol;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, error, info_span, warn};

/// How many records are read from the store or written to the table at the same time.
const MOST_AT_ONCE: usize = 64;

/// A readable message of the batch.
#[derive(Debug)]
pub struct Arrived<'m> {
    /// Its position in the batch.
    pub position: usize,
    /// The event.
    pub envelope: Envelope<'m>,
    /// What an operator asks for it.
    pub control: Control,
    /// What its delivery was part of.
    pub trace: Trace,
    /// The lane that it came through.
    lane: Lane,
    /// What its type says about its record.
    effect: Effect,
    /// Its place among the events of its record, where its kind is ordered by the source's own time.
    sequence: Option<Sequence>,
    /// The record, where it did not fit into the message.
    fetched: Option<String>,
}

impl<'m> Arrived<'m> {
    pub(crate) fn new(
        position: usize,
        lane: Lane,
        mut envelope: Envelope<'m>,
        (control, trace): (Control, Trace),
        protocol: &dyn Protocol,
    ) -> Self {
        envelope.marks.replayed |= control.job.is_some();
        let meaning = protocol.meaning(&envelope.event_type);
        // An event without a place has no time that could be read: it goes by first sight.
        let place = || {
            let sequence = envelope.provenance.sequence;
            sequence.unwrap_or_else(|| Sequence::of_first_sight(envelope.id))
        };
        let sequence = protocol.facts().is_timed(&meaning).then(place);
        Self {
            position,
            envelope,
            control,
            trace,
            lane,
            effect: meaning.effect,
            sequence,
            fetched: None,
        }
    }

    /// The span of the event, for what is logged of it alone: of most, nothing is. A line has the fields of its innermost span
    /// alone, so the lane of the batch is repeated.
    pub(crate) fn span(&self) -> Span {
        let envelope = &self.envelope;
        info_span!(
            "event",
            lane = self.lane.as_str(),
            account = envelope.account.as_str(),
            event.id = %envelope.id,
            event.r#type = envelope.event_type.as_str(),
        )
    }

    /// The record that the event is about; none where it names none, or leaves none.
    fn record_key(&self) -> Option<RecordKey> {
        let envelope = &self.envelope;
        match self.effect {
            Effect::Fact => None,
            Effect::State | Effect::Delete | Effect::Occurrence => {
                envelope.subject.record(&envelope.account, envelope.id)
            }
        }
    }

    fn record(&self) -> &str {
        match (&self.envelope.content, &self.fetched) {
            (Content::Inline(record), _) => record.get(),
            (Content::Stored(_), fetched) => fetched.as_deref().unwrap_or_default(),
        }
    }

    fn change(&self) -> Change {
        let event_type = self.envelope.event_type.as_str();
        Change {
            id: self.envelope.id,
            sequence: self.sequence,
            delete: self.effect == Effect::Delete,
            hash: match &self.envelope.provenance.id {
                Some(id) => ContentHash::of_source_id(event_type, &id.to_string()),
                None => ContentHash::of(event_type, self.record().as_bytes()),
            },
        }
    }
}

/// Applies events, and returns those that are applied with what is to be said of each. The others failed.
pub(crate) async fn apply<'m, R: Records, O: ClaimCheck>(
    records: &R,
    oversize: &O,
    arrived: Vec<Arrived<'m>>,
    deadline: Instant,
) -> Vec<(Arrived<'m>, Verdict)> {
    let mut groups: BTreeMap<Option<RecordKey>, Vec<Arrived<'m>>> = BTreeMap::new();
    for one in arrived {
        groups.entry(one.record_key()).or_default().push(one);
    }
    let groups = stream::iter(groups).map(|(key, group)| async move {
        // There is no record, so nothing to read and nothing to write.
        let Some(key) = key else {
            return group.into_iter().map(|one| (one, NO_RECORD)).collect();
        };
        let (account, kind, events) = (&key.account, &key.kind, group.len());
        let applying = apply_group(records, oversize, &key, group, deadline);
        let applied = AssertUnwindSafe(applying).catch_unwind().await;
        applied.unwrap_or_else(|_| {
            error!(%account, kind, events, "panic while writing a record");
            Vec::new()
        })
    });
    groups.buffer_unordered(MOST_AT_ONCE).concat().await
}

const NO_RECORD: Verdict = Verdict {
    outcome: Outcome::NoRecord,
    possible_duplicate: false,
    repeats_earlier: false,
};

/// Applies the events about one record; all of them succeed or none.
async fn apply_group<'m, R: Records, O: ClaimCheck>(
    records: &R,
    oversize: &O,
    key: &RecordKey,
    group: Vec<Arrived<'m>>,
    deadline: Instant,
) -> Vec<(Arrived<'m>, Verdict)> {
    let mut group = fetch(oversize, group, deadline).await;
    if group.is_empty() {
        return Vec::new();
    }
    match in_time(deadline, "writing a record", write(records, key, &group)).await {
        Ok(verdicts) => {
            // What was fetched is written, and teams get the pointer: a batch must not gather megabytes.
            for arrived in &mut group {
                arrived.fetched = None;
            }
            group.into_iter().zip(verdicts).collect()
        }
        Err(error) => {
            let (account, kind, events) = (&key.account, &key.kind, group.len());
            warn!(%account, kind, events, %error, "a record is not written");
            Vec::new()
        }
    }
}

/// Gets the records that travel apart. An event whose record cannot be had is left out, and fails.
async fn fetch<'m, O: ClaimCheck>(
    oversize: &O,
    group: Vec<Arrived<'m>>,
    deadline: Instant,
) -> Vec<Arrived<'m>> {
    let mut fetched = Vec::with_capacity(group.len());
    for mut one in group {
        if let Content::Stored(place) = &one.envelope.content {
            let getting = in_time(deadline, "reading a large event", oversize.get(place));
            let got = getting.instrument(one.span()).await;
            let text = got.and_then(|bytes| {
                String::from_utf8(bytes)
                    .map_err(|_| PortError::permanent("reading a large event", "not_text"))
            });
            match text {
                Ok(text) => one.fetched = Some(text),
                Err(error) => {
                    one.span().in_scope(|| warn!(%error, "no record"));
                    continue;
                }
            }
        }
        fetched.push(one);
    }
    fetched
}

async fn write<R: Records>(
    records: &R,
    key: &RecordKey,
    group: &[Arrived<'_>],
) -> Result<Vec<Verdict>, PortError> {
    let changes: Vec<Change> = group.iter().map(Arrived::change).collect();
    let folded = fold(&changes);
    let occurrences: Vec<EventId> = group
        .iter()
        .filter(|one| one.effect == Effect::Occurrence)
        .map(|one| one.envelope.id)
        .collect();
    let mut known = None;
    if let Some(delete) = &folded.delete {
        known = Some(records.delete(key, delete).await?);
    }
    let mut open = &folded.updates[..];
    while let Some((latest, before)) = open.split_last()
        && let Some(one) = with_id(group, latest.id)
    {
        let update = Update {
            latest: *latest,
            before,
            event_type: one.envelope.event_type.as_str(),
            data: one.record(),
            occurrences: &occurrences,
        };
        let written = records.update(key, &update).await?;
        // A delete of this very group found what is known of deletes, the update what is known of data: between
        // the two others may have written.
        let found = *written.known();
        let known = known.get_or_insert(found);
        (known.latest, known.memory) = (found.latest, found.memory);
        open = match written {
            Written::New(_) => &[],
            Written::Kept(_) => newer(open, &found),
        };
    }
    Ok(judge(&changes, &known.unwrap_or_default()))
}

/// Those of a group's updates that the table's event does not make too late.
fn newer<'c>(updates: &'c [Change], known: &Known) -> &'c [Change] {
    let late = updates
        .partition_point(|update| known.latest.is_some_and(|stored| !stored.is_before(update)));
    updates.get(late..).unwrap_or_default()
}

fn with_id<'g, 'm>(group: &'g [Arrived<'m>], id: EventId) -> Option<&'g Arrived<'m>> {
    group.iter().find(|one| one.envelope.id == id)
}
