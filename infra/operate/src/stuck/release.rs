//! Releasing and dropping: windows of messages, the oldest first, in batches of one call each.
//!
//! A batch goes into the lanes and is deleted then, before the next one begins, so that whatever ends a run ends it with at
//! most one batch that is sent a second time.
//!
//! Dead letters go the same way, and not by [`StartMessageMoveTask`], which would move a whole queue on SQS's side: it has no
//! filter, so it takes the messages of other accounts along, and what is no envelope, which dies again after a hundred
//! receives more; it cannot say what it moved, what it left and why; and its pace is the lane's risk until somebody cancels
//! it. What it would save is a call for each ten messages, at a rate that the lanes bound anyway.
//!
//! [`StartMessageMoveTask`]: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use domain::account::AccountName;
use domain::control::Control;
use domain::delivery::KeptDelivery;
use domain::identity::{DeliveryId, EventId};
use domain::route::Routes;
use domain::source::Source;
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::message::{Content, Entry, Notice, Waiting};
use super::{FRUITLESS, Filter, Room, WAIT_SECONDS, give_back, time_there};
use crate::kept;
use crate::lane_sender::{LaneMessage, LaneSender, Rate, control};
use crate::stack::Stack;
use calls::sqs::{self, Message};
use calls::{Calls, Error, ssm};

/// How long the messages of a window are hidden.
const WINDOW_SECONDS: u32 = 30;

/// How much of that time a window may take to be sent, at the rate that is allowed.
const SENDING_SECONDS: u32 = 10;

/// By how much this machine may misjudge AWS's clock, whose header has whole seconds.
const CLOCK_TOLERANCE: time::Duration = time::Duration::seconds(2);

/// The most messages of a window.
const LARGEST_WINDOW: usize = 500;

/// How a run is bounded.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// At most so many events a second.
    pub rate: u32,
    /// At most so many messages.
    pub most: usize,
}

/// A message that stays, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Left {
    /// What it is.
    #[serde(flatten)]
    pub entry: Entry,
    /// Why it stays.
    pub reason: String,
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Messages that are gone from their rooms: released, or dropped.
    pub messages: u64,
    /// Events that the lanes accepted.
    pub events: u64,
    /// Messages that were meant and stay.
    pub left: Vec<Left>,
    /// Messages that somebody else hides in the rooms: another run, or one that was killed.
    pub hidden: u64,
    /// Messages of the rooms that were not looked at: what was looked at came round again before them.
    pub unseen: u64,
    /// Whether it ended because no more was allowed.
    pub is_cut_off: bool,
}

impl Done {
    /// Whether nothing of what was meant is left, as far as can be seen.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.left.is_empty() && self.hidden == 0 && self.unseen == 0 && !self.is_cut_off
    }
}

/// What becomes of a message.
enum Action<'w> {
    Release,
    Drop(&'w mut (dyn Write + Send)),
}

/// Releases what is meant: into the lanes, the oldest first. `progress` is called after every batch.
///
/// # Errors
/// [`Error`] says what went wrong. What was released until then is gone from its room; all else is there.
pub async fn release(
    calls: &Calls,
    stack: &Stack,
    filter: &Filter,
    options: Options,
    progress: &mut (dyn FnMut(&Done) + Send),
) -> Result<Done, Error> {
    run(calls, stack, filter, options, Action::Release, progress).await
}

/// Drops what is meant. Each message is written to `kept` as one line of JSON, and deleted when that has succeeded.
///
/// # Errors
/// [`Error`] says what went wrong. What was dropped until then is in `kept`; all else is in its room.
pub async fn drop_all(
    calls: &Calls,
    stack: &Stack,
    filter: &Filter,
    options: Options,
    kept: &mut (dyn Write + Send),
    progress: &mut (dyn FnMut(&Done) + Send),
) -> Result<Done, Error> {
    run(calls, stack, filter, options, Action::Drop(kept), progress).await
}

async fn run(
    calls: &Calls,
    stack: &Stack,
    filter: &Filter,
    options: Options,
    action: Action<'_>,
    progress: &mut (dyn FnMut(&Done) + Send),
) -> Result<Done, Error> {
    let sender = match action {
        Action::Release => Some(LaneSender::new(calls, stack)?),
        Action::Drop(_) => None,
    };
    let teams = match action {
        Action::Release => teams(calls, stack).await?,
        Action::Drop(_) => BTreeSet::new(),
    };
    let mut run = Run {
        calls,
        stack,
        filter,
        options,
        sender,
        teams,
        sources: BTreeMap::new(),
        rate: Rate::new(options.rate),
        action,
        done: Done::default(),
        began: None,
    };
    for room in filter.rooms() {
        run.room(room, progress).await?;
    }
    Ok(run.done)
}

/// The teams that routes name: one call.
async fn teams(calls: &Calls, stack: &Stack) -> Result<BTreeSet<String>, Error> {
    let name = stack.output("RoutesParameter")?;
    let text = ssm::parameter(calls, name).await?;
    let routes = Routes::parse(&text)
        .map_err(|error| Error::unreadable(format!("parameter {name}"), error))?;
    Ok(routes
        .all()
        .iter()
        .map(|route| route.team.clone())
        .collect())
}

struct Run<'a, 'w> {
    calls: &'a Calls,
    stack: &'a Stack,
    filter: &'a Filter,
    options: Options,
    sender: Option<LaneSender<'a>>,
    teams: BTreeSet<String>,
    sources: BTreeMap<AccountName, Source>,
    rate: Rate,
    action: Action<'w>,
    done: Done,
    /// What is set aside while this runs is another run's: a team whose queue refuses still would keep it from ending.
    began: Option<OffsetDateTime>,
}

/// What is known of a room while it is worked through.
#[derive(Default)]
struct Seen {
    /// Messages that stay, with the handles that they are given back by.
    others: BTreeMap<String, String>,
    /// Whether a receive found nothing more to see.
    is_exhausted: bool,
}

/// What a message comes to.
enum Plan {
    /// These events, after which the message goes. A reason says what of it cannot be released, so that it stays.
    Send(Vec<LaneMessage>, Option<String>),
    /// Nothing can be released.
    Stay(String),
}

impl Run<'_, '_> {
    /// Works through a room, and gives back what stays, whatever ended the work.
    async fn room(
        &mut self,
        room: Room,
        progress: &mut (dyn FnMut(&Done) + Send),
    ) -> Result<(), Error> {
        let queue = room.url(self.stack)?.to_owned();
        let mut seen = Seen::default();
        let worked = self.windows(room, &queue, &mut seen, progress).await;
        let handles = seen.others.values().map(String::as_str).collect();
        let given = give_back(self.calls, &queue, handles).await;
        worked.and(given)?;
        let attributes = sqs::attributes(self.calls, &queue).await?;
        self.done.hidden = self.done.hidden.saturating_add(attributes.hidden());
        if !seen.is_exhausted && !self.done.is_cut_off {
            let others = u64::try_from(seen.others.len()).unwrap_or(u64::MAX);
            let unseen = attributes.visible().saturating_sub(others);
            self.done.unseen = self.done.unseen.saturating_add(unseen);
        }
        Ok(())
    }

    async fn windows(
        &mut self,
        room: Room,
        queue: &str,
        seen: &mut Seen,
        progress: &mut (dyn FnMut(&Done) + Send),
    ) -> Result<(), Error> {
        self.began
            .get_or_insert_with(|| time_there(self.calls) + CLOCK_TOLERANCE);
        loop {
            let mut window = BTreeMap::new();
            let gathered = self.gather(room, queue, seen, &mut window).await;
            let mut messages: Vec<Message> = window.into_values().collect();
            messages.sort_by_key(Message::sent);
            // Until it is done, whatever ends the work gives it back.
            for message in &messages {
                note(seen, message);
            }
            gathered?;
            if messages.is_empty() {
                return Ok(());
            }
            for batch in messages.chunks(self.rate.batch()) {
                let allowed = self.allowed();
                let batch = batch.get(..allowed).unwrap_or(batch);
                if batch.is_empty() {
                    self.done.is_cut_off = true;
                    return Ok(());
                }
                self.batch(room, queue, seen, batch).await?;
                progress(&self.done);
            }
        }
    }

    /// How many messages may still go.
    fn allowed(&self) -> usize {
        let gone = usize::try_from(self.done.messages).unwrap_or(usize::MAX);
        self.options.most.saturating_sub(gone)
    }

    /// Receives messages that are meant and new to this run. What else comes is noted, to be given back.
    async fn gather(
        &mut self,
        room: Room,
        queue: &str,
        seen: &mut Seen,
        window: &mut BTreeMap<String, Message>,
    ) -> Result<(), Error> {
        let largest = usize::try_from(self.options.rate.saturating_mul(SENDING_SECONDS));
        let largest = largest.map_or(LARGEST_WINDOW, |largest| largest.clamp(1, LARGEST_WINDOW));
        let largest = largest.min(self.allowed().max(1));
        let mut fruitless = 0;
        while window.len() < largest && fruitless < FRUITLESS {
            let messages = sqs::receive(self.calls, queue, WINDOW_SECONDS, WAIT_SECONDS).await?;
            seen.is_exhausted = messages.is_empty();
            if seen.is_exhausted {
                break;
            }
            let mut is_new = false;
            for message in messages {
                let id = message.message_id.clone();
                let was_seen = seen.others.contains_key(&id);
                is_new |= !was_seen && !window.contains_key(&id);
                let is_meant = self.filter.fits(&Waiting::read(room, &message).entry);
                if !was_seen && is_meant && self.is_of_before(&message) {
                    window.insert(id, message);
                    continue;
                }
                if !was_seen && is_meant {
                    let reason = "it was set aside after this run began".to_owned();
                    self.leave(room, &message, reason);
                }
                note(seen, &message);
            }
            fruitless = if is_new { 0 } else { fruitless + 1 };
        }
        Ok(())
    }

    /// Whether a message was there when the run began.
    fn is_of_before(&self, message: &Message) -> bool {
        match (message.sent(), self.began) {
            (Some(sent), Some(began)) => sent <= began,
            _ => true,
        }
    }

    /// Releases or drops one batch. What stays is noted with its reason.
    async fn batch(
        &mut self,
        room: Room,
        queue: &str,
        seen: &mut Seen,
        batch: &[Message],
    ) -> Result<(), Error> {
        let mut going: Vec<&Message> = Vec::new();
        let mut outgoing: Vec<LaneMessage> = Vec::new();
        // The messages that the entries of `outgoing` are of.
        let mut of: Vec<usize> = Vec::new();
        let mut reasons: BTreeMap<usize, String> = BTreeMap::new();
        for message in batch {
            let place = going.len();
            match self.plan(room, message).await? {
                Plan::Send(messages, reason) => {
                    of.extend(std::iter::repeat_n(place, messages.len()));
                    outgoing.extend(messages);
                    reasons.extend(reason.map(|reason| (place, reason)));
                }
                Plan::Stay(reason) => {
                    reasons.insert(place, reason);
                }
            }
            going.push(message);
        }
        self.rate.wait_for(outgoing.len()).await;
        if let Some(sender) = &self.sender {
            for (answer, place) in sender.send(&outgoing).await?.into_iter().zip(of) {
                match answer {
                    Ok(()) => self.done.events += 1,
                    Err(reason) => {
                        reasons
                            .entry(place)
                            .or_insert(format!("its lane refuses it: {reason}"));
                    }
                }
            }
        }
        let (mut gone, mut handles) = (Vec::new(), Vec::new());
        for (place, message) in going.into_iter().enumerate() {
            match reasons.remove(&place) {
                Some(reason) => self.leave(room, message, reason),
                None => {
                    gone.push(message);
                    handles.push(message.receipt_handle.as_str());
                }
            }
        }
        // One that is not deleted is released once more, under the same ids.
        let failed = sqs::delete(self.calls, queue, &handles).await?;
        for (index, message) in gone.into_iter().enumerate() {
            match failed.iter().find(|failed| failed.index == index) {
                Some(failed) => {
                    let reason = format!("it could not be deleted: {}", failed.code);
                    self.leave(room, message, reason);
                }
                None => {
                    seen.others.remove(&message.message_id);
                    self.done.messages += 1;
                }
            }
        }
        Ok(())
    }

    fn leave(&mut self, room: Room, message: &Message, reason: String) {
        let entry = Waiting::read(room, message).entry;
        self.done.left.push(Left { entry, reason });
    }

    async fn plan(&mut self, room: Room, message: &Message) -> Result<Plan, Error> {
        let waiting = Waiting::read(room, message);
        if let Action::Drop(kept) = &mut self.action {
            keep(&mut **kept, &waiting.entry, message)?;
            return Ok(Plan::Send(Vec::new(), None));
        }
        let team = waiting.entry.team.as_deref();
        let team = match (room, team) {
            (Room::Undelivered, Some(team)) if !self.teams.contains(team) => {
                return Ok(Plan::Stay(format!("no route names team {team}")));
            }
            (_, team) => team,
        };
        let control = control(team, None);
        match &waiting.content {
            Content::Event(envelope, text) => {
                let mut released = LaneSender::as_it_is(envelope, text, &control);
                if let Room::DeadLetters(lane) = room {
                    released.lane = lane;
                    // What was asked for it when it was sent is asked for it still.
                    released.message.message_attributes = message.message_attributes.clone();
                    let group = message.attributes.get("MessageGroupId").cloned();
                    released.message.message_group_id = group.or(released.message.message_group_id);
                }
                Ok(Plan::Send(vec![released], None))
            }
            Content::Unified {
                source,
                account,
                event,
                possible_duplicate,
            } => {
                self.native(source, account, event, *possible_duplicate, &control)
                    .await
            }
            Content::Notice(notice) => self.quarantined(notice, &control).await,
            Content::Unreadable(why) => Ok(Plan::Stay(why.clone())),
        }
    }

    /// The native form of an event that was set aside in its unified one: the consumer renders it once more.
    async fn native(
        &self,
        source: &str,
        account: &str,
        event: &str,
        possible_duplicate: bool,
        control: &Control,
    ) -> Result<Plan, Error> {
        let source = source
            .strip_prefix('/')
            .and_then(|path| path.split('/').next())
            .and_then(Source::named);
        let named = (
            source,
            account.parse::<AccountName>(),
            event.parse::<EventId>(),
        );
        let (Some(source), Ok(account), Ok(event)) = named else {
            return Ok(Plan::Stay(
                "it names no source, account or event".to_owned(),
            ));
        };
        let kept = kept::delivery(self.calls, self.stack, &account, event.delivery()).await?;
        let Some(kept) = kept else {
            return Ok(Plan::Stay(
                "it is in its unified form, and the receipt with its native one is gone".to_owned(),
            ));
        };
        let delivery = event.delivery();
        let wanted = |id: EventId| id == event;
        let (messages, _) = self
            .split(
                source,
                &account,
                delivery,
                &kept,
                wanted,
                control,
                possible_duplicate,
            )
            .await?;
        match messages.is_empty() {
            true => Ok(Plan::Stay("its delivery has no such event".to_owned())),
            false => Ok(Plan::Send(messages, None)),
        }
    }

    /// The parts that a notice names, read by this release.
    async fn quarantined(&mut self, notice: &Notice, control: &Control) -> Result<Plan, Error> {
        let ids = (
            notice.account.parse::<AccountName>(),
            notice.deliveryid.parse(),
        );
        let (Ok(account), Ok(delivery)) = ids else {
            return Ok(Plan::Stay("it names no account or delivery".to_owned()));
        };
        let delivery: DeliveryId = delivery;
        let (pk, sk) = (&notice.receipt.pk, &notice.receipt.sk);
        let Some(kept) = kept::delivery_at(self.calls, self.stack, pk, sk).await? else {
            return Ok(Plan::Stay("its receipt is gone".to_owned()));
        };
        let source = match self.sources.get(&account) {
            Some(source) => *source,
            None => {
                let source = kept::source_of(self.calls, self.stack, &account).await?;
                self.sources.insert(account.clone(), source);
                source
            }
        };
        let named: BTreeSet<u32> = notice
            .elements
            .iter()
            .map(|element| element.index)
            .collect();
        let is_whole = notice.reason.is_some();
        let wanted = |id: EventId| is_whole || named.contains(&id.index().get());
        let split = self.split(source, &account, delivery, &kept, wanted, control, false);
        let (messages, bad) = match split.await {
            Ok(split) => split,
            Err(Error::Unreadable { reason, .. }) => {
                return Ok(Plan::Stay(format!(
                    "this release cannot read it either: {reason}"
                )));
            }
            Err(error) => return Err(error),
        };
        let left = match is_whole {
            true => bad.len(),
            false => named.len().saturating_sub(messages.len()),
        };
        let reason = match (messages.len(), left) {
            (0, 0) => Some("it names no part that is an event".to_owned()),
            (_, 0) => None,
            (sent, left) => Some(format!(
                "{sent} of its parts were released; this release cannot read the other {left}"
            )),
        };
        Ok(Plan::Send(messages, reason))
    }

    /// Splits a delivery, and makes messages of the events that are wanted. Answers also the positions of what is no event.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a delivery is split by, and for what"
    )]
    async fn split(
        &self,
        source: Source,
        account: &AccountName,
        delivery: DeliveryId,
        kept: &KeptDelivery,
        wanted: impl Fn(EventId) -> bool,
        control: &Control,
        possible_duplicate: bool,
    ) -> Result<(Vec<LaneMessage>, Vec<u32>), Error> {
        let Some(sender) = &self.sender else {
            return Ok((Vec::new(), Vec::new()));
        };
        let protocol = sources::protocol(source);
        let split = protocol
            .split(kept.delivery())
            .map_err(|error| Error::unreadable(format!("delivery {delivery}"), error))?;
        let mut messages = Vec::new();
        for event in &split.events {
            if wanted(delivery.event(event.index)) {
                let mut envelope =
                    sources::envelope(source, protocol.facts(), account, delivery, event);
                envelope.marks.possible_duplicate = possible_duplicate;
                messages.push(sender.message(envelope, control).await?);
            }
        }
        let bad = split.bad.iter().map(|bad| bad.index.get());
        Ok((messages, bad.collect()))
    }
}

fn note(seen: &mut Seen, message: &Message) {
    seen.others
        .insert(message.message_id.clone(), message.receipt_handle.clone());
}

/// Writes a message that is dropped, so that it can be looked at later.
fn keep(kept: &mut (dyn Write + Send), entry: &Entry, message: &Message) -> Result<(), Error> {
    let sent = message.sent().and_then(|sent| sent.format(&Rfc3339).ok());
    let line = json!({
        "room": entry.room, "message": message.message_id, "sent": sent, "body": message.body,
        "attributes": message.message_attributes,
    });
    let written = writeln!(kept, "{line}").and_then(|()| kept.flush());
    written.map_err(|error| Error::unreadable("the file of what is dropped", error))
}
