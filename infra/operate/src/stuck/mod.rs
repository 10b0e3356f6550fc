//! What waits for a person: undelivered events, dead letters and quarantined deliveries, as one list.
//!
//! | room | looked at | released |
//! |---|---|---|
//! | undelivered | without taking: hidden for [`HIDDEN_SECONDS`], then given back | into the event's lane, for the one team that missed it |
//! | dead letters of a lane | the same | into that lane, as they are |
//! | quarantine | the same | split again from the receipt, the named parts into their lanes |
//!
//! A message is deleted only after the lanes accepted what it stands for. Killed at any point, nothing is lost: what is
//! hidden comes back by itself, and what was sent and not deleted yet is sent again under its own id, at most one batch. No
//! queue is ever purged, and receiving harms nothing: none of these queues has a redrive policy of its own.

mod message;
mod release;
mod room;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use serde::Serialize;
use time::OffsetDateTime;

pub use message::{Entry, Notice};
pub use release::{Done, Left, Options, drop_all, release};
pub use room::Room;

use crate::kept;
use crate::stack::Stack;
use calls::sqs::{self, Message};
use calls::{Calls, Error};
use message::Waiting;

/// How long a message is hidden that is only looked at.
pub const HIDDEN_SECONDS: u32 = 20;

/// How long a receive waits for a message. Only one that waits asks all of SQS's servers, so that its empty answer means
/// something. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html>
const WAIT_SECONDS: u32 = 1;

/// After how many receives in a row that bring nothing new a queue was seen whole.
const FRUITLESS: u32 = 3;

/// The most bytes of a body that are shown of a delivery that was not understood.
const EXCERPT: usize = 4096;

/// Which of what waits is meant; everything where nothing is said.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The rooms; all where it names none.
    pub rooms: Vec<Room>,
    /// The team that missed the event. Only undelivered events have one.
    pub team: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// What the event is about, such as `order/or_1`.
    pub subject: Option<String>,
    /// The queue's ids of messages, ids of events or of deliveries.
    pub ids: BTreeSet<String>,
}

impl Filter {
    /// The rooms that are meant: a team is only in one of them.
    #[must_use]
    pub fn rooms(&self) -> Vec<Room> {
        let all = match self.rooms.is_empty() {
            true => Room::all(),
            false => self.rooms.clone(),
        };
        let is_meant = |room: &Room| self.team.is_none() || *room == Room::Undelivered;
        all.into_iter().filter(is_meant).collect()
    }

    /// Whether it says anything but rooms.
    #[must_use]
    pub fn chooses(&self) -> bool {
        self.team.is_some()
            || self.account.is_some()
            || self.subject.is_some()
            || !self.ids.is_empty()
    }

    fn fits(&self, entry: &Entry) -> bool {
        let is =
            |wanted: &Option<String>, there: &Option<String>| wanted.is_none() || wanted == there;
        let is_named = || {
            let names = [
                Some(&entry.message),
                entry.event.as_ref(),
                entry.delivery.as_ref(),
            ];
            names.into_iter().flatten().any(|id| self.ids.contains(id))
        };
        is(&self.team, &entry.team)
            && is(&self.account, &entry.account)
            && is(&self.subject, &entry.subject)
            && (self.ids.is_empty() || is_named())
    }
}

/// A room as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomState {
    /// Which.
    pub room: Room,
    /// Messages in it, by the queue's own count.
    pub messages: u64,
    /// How long a message is kept, in seconds.
    pub kept_seconds: Option<u64>,
    /// Whether all of them were looked at.
    pub is_whole: bool,
}

/// What waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The rooms that were looked at.
    pub rooms: Vec<RoomState>,
    /// What of it is meant, the oldest first in each room.
    pub entries: Vec<Entry>,
}

impl Listing {
    /// Whether something may be there that was not seen: beyond the limit, or hidden by somebody else.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.rooms.iter().all(|room| room.is_whole)
    }
}

/// Lists what waits, without taking it: at most `limit` messages of each room are looked at, and all are given back.
///
/// # Errors
/// [`Error`] says what went wrong; what was hidden then is seen again after [`HIDDEN_SECONDS`].
pub async fn list(
    calls: &Calls,
    stack: &Stack,
    filter: &Filter,
    limit: usize,
) -> Result<Listing, Error> {
    let rooms = filter.rooms();
    let looks = rooms
        .iter()
        .map(|room| room_of(calls, stack, *room, filter, limit));
    let rooms = try_join_all(looks).await?;
    let mut listing = Listing::default();
    for (state, entries) in rooms {
        listing.rooms.push(state);
        listing.entries.extend(entries);
    }
    Ok(listing)
}

/// What is meant of a room. It is looked at also where its count says that nothing is there, since the count lags behind.
async fn room_of(
    calls: &Calls,
    stack: &Stack,
    room: Room,
    filter: &Filter,
    limit: usize,
) -> Result<(RoomState, Vec<Entry>), Error> {
    let queue = room.url(stack)?;
    let attributes = sqs::attributes(calls, queue).await?;
    let seen = look(calls, queue, limit).await?;
    let count = u64::try_from(seen.len()).unwrap_or(u64::MAX);
    let state = RoomState {
        room,
        messages: attributes.messages().max(count),
        kept_seconds: attributes.retention_seconds(),
        is_whole: count >= attributes.messages(),
    };
    let entries = seen
        .iter()
        .map(|message| Waiting::read(room, message).entry);
    let mut entries: Vec<Entry> = entries.filter(|entry| filter.fits(entry)).collect();
    entries.sort_by_key(|entry| entry.sent);
    Ok((state, entries))
}

/// Receives what is in a queue until nothing new comes, and gives it back.
async fn look(calls: &Calls, queue: &str, limit: usize) -> Result<Vec<Message>, Error> {
    let mut seen: BTreeMap<String, Message> = BTreeMap::new();
    let mut fruitless = 0;
    let received = loop {
        if seen.len() >= limit || fruitless == FRUITLESS {
            break Ok(());
        }
        let messages = match sqs::receive(calls, queue, HIDDEN_SECONDS, WAIT_SECONDS).await {
            Ok(messages) if messages.is_empty() => break Ok(()),
            Ok(messages) => messages,
            Err(error) => break Err(error),
        };
        let before = seen.len();
        // The newest handle of a message is the one that it is given back by.
        seen.extend(
            messages
                .into_iter()
                .map(|message| (message.message_id.clone(), message)),
        );
        fruitless = match seen.len() > before {
            true => 0,
            false => fruitless + 1,
        };
    };
    let handles = seen.values().map(|message| message.receipt_handle.as_str());
    let given = give_back(calls, queue, handles.collect()).await;
    received.and(given)?;
    Ok(seen.into_values().collect())
}

/// Shows messages in their queue again. One whose time of hiding is over is there already.
async fn give_back(calls: &Calls, queue: &str, handles: Vec<&str>) -> Result<(), Error> {
    for handles in handles.chunks(sqs::BATCH) {
        sqs::change_visibility(calls, queue, handles, 0).await?;
    }
    Ok(())
}

/// One thing that waits, with everything that is known of it.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// What it is.
    #[serde(flatten)]
    pub entry: Entry,
    /// The message's body.
    pub body: String,
    /// Of a quarantined delivery, how its bytes begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_begins: Option<String>,
    /// Of a quarantined delivery, the parts that were not understood, as far as they can be found in its bytes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<u32, String>,
}

/// Shows what waits under an id: the queue's id of a message, an event's or a delivery's.
///
/// # Errors
/// [`Error::NotFound`] where nothing that was looked at has this id.
pub async fn show(
    calls: &Calls,
    stack: &Stack,
    id: &str,
    limit: usize,
) -> Result<Vec<Shown>, Error> {
    let filter = Filter {
        ids: BTreeSet::from([id.to_owned()]),
        ..Filter::default()
    };
    let looks = Room::all().into_iter().map(|room| async move {
        let seen = look(calls, room.url(stack)?, limit).await?;
        Ok::<_, Error>((room, seen))
    });
    let mut found = Vec::new();
    for (room, messages) in try_join_all(looks).await? {
        for message in messages {
            let waiting = Waiting::read(room, &message);
            if filter.fits(&waiting.entry) {
                found.push(shown(calls, stack, &waiting, message.body.clone()).await?);
            }
        }
    }
    match found.is_empty() {
        true => Err(Error::NotFound {
            what: format!("something that waits under {id}"),
        }),
        false => Ok(found),
    }
}

async fn shown(
    calls: &Calls,
    stack: &Stack,
    waiting: &Waiting<'_>,
    body: String,
) -> Result<Shown, Error> {
    let mut shown = Shown {
        entry: waiting.entry.clone(),
        body,
        delivery_begins: None,
        parts: BTreeMap::new(),
    };
    let Some(notice) = waiting.notice() else {
        return Ok(shown);
    };
    let kept = kept::delivery_at(calls, stack, &notice.receipt.pk, &notice.receipt.sk).await?;
    let Some(kept) = kept else {
        return Ok(shown);
    };
    let begins = kept.body.get(..EXCERPT).unwrap_or(&kept.body);
    shown.delivery_begins = Some(String::from_utf8_lossy(begins).into_owned());
    let elements: Vec<&serde_json::value::RawValue> =
        serde_json::from_slice(&kept.body).unwrap_or_default();
    let part = |index: u32| {
        let element = elements.get(usize::try_from(index).ok()?)?;
        Some((index, element.get().chars().take(EXCERPT).collect()))
    };
    let indexes = notice.elements.iter().map(|element| element.index);
    shown.parts = indexes.filter_map(part).collect();
    Ok(shown)
}

/// AWS's time, as far as this machine knows it.
fn time_there(calls: &Calls) -> OffsetDateTime {
    let skew = calls.skew_ms().and_then(|skew| i64::try_from(skew).ok());
    OffsetDateTime::from(calls::now()) + time::Duration::milliseconds(skew.unwrap_or_default())
}
