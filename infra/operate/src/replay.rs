//! Replay: events that came once, sent into their lanes again, with the ids and times that they had.
//!
//! | rule | because |
//! |---|---|
//! | under the same ids, marked as replayed | a team that drops repeats by id drops what it has |
//! | through the lanes | a lost records table is rebuilt, and one that is there cannot be turned back |
//! | for one team by the attribute `only` | the other teams get nothing |
//! | in the message group `{account}~replay` | fair queues keep the replay from delaying what comes meanwhile |
//! | the oldest first, at a rate | ids sort by first sight, so that the last one that was accepted is the whole checkpoint |
//!
//! Nothing is kept of a replay anywhere. One that was cut off goes on after the last id that it reported; killed at any
//! point, at most one batch is sent twice.
//!
//! A replay of the *state* is for a new team: each record that is not deleted once, as its table has it now, under the id of
//! the event that set it. It goes by kinds and records, so that its checkpoint is a subject.
//!
//! A replay of all accounts goes through them by their names, each from its oldest event on: ids of two accounts need no
//! order, and only one account's page is in memory. Its checkpoint is the account and, behind a slash, that account's.

use std::collections::{BTreeMap, VecDeque};

use domain::account::AccountName;
use domain::control::Control;
use domain::delivery::KeptDelivery;
use domain::envelope::{Content, Envelope, Marks};
use domain::event::EventType;
use domain::identity::{DeliveryId, EventId};
use domain::ports::Receipt;
use domain::provenance::{Provenance, ReplayJobId, Sequence};
use domain::record::{RecordId, Subject};
use domain::route::{Format, Pattern, Route, Routes};
use domain::source::Source;
use domain::timestamp::Timestamp;
use serde::Serialize;
use serde_json::json;
use sources::{Facts, Protocol, protocol};

use crate::accounts::Accounts;
use crate::kept;
use crate::lane_sender::{LaneMessage, LaneSender, Rate, control};
use crate::stack::Stack;
use calls::dynamodb::{self, Item};
use calls::{Calls, Error, ssm};

/// The longest span that is replayed without further ado, in days.
const LONGEST_SPAN_DAYS: u64 = 31;

/// How long receipts are kept where the stack does not say it, in days.
const RECEIPT_TTL_DAYS: u64 = 30;

const DAY_MILLIS: u64 = 86_400_000;

/// What is to be replayed.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose events.
    pub whose: Whose,
    /// Which of them.
    pub what: What,
    /// Event types, as routes name them; all where there are none.
    pub types: Vec<Pattern>,
    /// What the events are about; anything where it is none.
    pub subject: Option<Subject>,
    /// The only team that gets them; all whose routes take them where it is none.
    pub team: Option<String>,
    /// At most so many events a second.
    pub rate: u32,
    /// The job, by which FIFO queues tell this replay from another.
    pub job: ReplayJobId,
    /// Whether a span of more than 31 days is meant.
    pub is_long: bool,
}

/// Whose events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// One account's.
    One(AccountName),
    /// Those of all accounts of the stack, connected or not.
    All {
        /// The account in which an earlier run was cut off: those before it are done, and what that run reported is one of
        /// its events.
        from: Option<AccountName>,
    },
}

/// An account whose events are read.
#[derive(Debug)]
struct Owner {
    account: AccountName,
    source: Source,
}

impl Owner {
    fn protocol(&self) -> &'static dyn Protocol {
        protocol(self.source)
    }

    fn facts(&self) -> &'static Facts {
        self.protocol().facts()
    }
}

/// Which events of an account.
#[derive(Debug, Clone)]
pub enum What {
    /// Those of the deliveries that were first seen in a span, from and until; after an event, where a run was cut off.
    Span {
        /// The first moment.
        from: Timestamp,
        /// The moment behind the last.
        to: Timestamp,
        /// The last event that an earlier run reported.
        after: Option<EventId>,
    },
    /// Those of one delivery.
    Delivery {
        /// Which.
        id: DeliveryId,
        /// The last event that an earlier run reported.
        after: Option<EventId>,
    },
    /// The current state of every record; after a record, where a run was cut off.
    State {
        /// The last record that an earlier run reported.
        after: Option<Subject>,
    },
}

/// What a replay found, or what it has sent so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Deliveries, or records of a replay of the state, that were read.
    pub read: u64,
    /// Events in them.
    pub held: u64,
    /// Events that are chosen; those that the lanes accepted, once they are sent.
    pub events: u64,
    /// Chosen events by type.
    pub types: BTreeMap<String, u64>,
    /// Parts in which no event is recognised, and deliveries that cannot be split: they are in quarantine, and left out.
    pub unreadable: u64,
    /// Deleted records, which a replay of the state leaves out.
    pub deleted: u64,
    /// The id of the last event that was accepted, or the subject of the last record, behind `ACCOUNT/` in a replay of all
    /// accounts: what `--after` takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A replay that may be made.
#[derive(Debug)]
pub struct Replay<'a> {
    calls: &'a Calls,
    stack: &'a Stack,
    request: &'a Request,
    /// The accounts that are left to do, by name.
    owners: Vec<Owner>,
    /// The team's routes; none where all teams are meant.
    routes: Option<Vec<Route>>,
    sender: LaneSender<'a>,
    control: Control,
}

impl<'a> Replay<'a> {
    /// Checks whether what is asked for can be done whole: at most two calls, however many accounts are meant.
    ///
    /// # Errors
    /// [`Error::Usage`] where the span is none, is too long, or begins before the oldest receipt; [`Error::NotFound`] where
    /// there is no such team or account; [`Error::Refused`] where the stack is of another release, or cannot read one of
    /// its accounts.
    pub async fn prepare(
        calls: &'a Calls,
        stack: &'a Stack,
        request: &'a Request,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let sender = LaneSender::new(calls, stack)?;
        check_span(stack, request, now)?;
        let routes = match &request.team {
            Some(team) => Some(routes_of(calls, stack, team).await?),
            None => None,
        };
        Ok(Self {
            calls,
            stack,
            request,
            owners: owners(calls, stack, &request.whose).await?,
            routes,
            sender,
            control: control(request.team.as_deref(), Some(&request.job)),
        })
    }

    /// How many accounts it reads.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.owners.len()
    }

    /// Counts what would be sent. Nothing is changed.
    ///
    /// # Errors
    /// [`Error`] says what went wrong.
    pub async fn count(&self) -> Result<Counts, Error> {
        let mut counts = Counts::default();
        let mut events = Events::new(self);
        while events.next(&mut counts).await? {
            for event in events.take() {
                counts.note(&event);
            }
        }
        Ok(counts)
    }

    /// Sends it. `progress` is called after every batch that the lanes accepted.
    ///
    /// # Errors
    /// [`Error`] says what went wrong. All that was reported before is accepted, and at most one batch more.
    pub async fn run(&self, progress: &mut (dyn FnMut(&Counts) + Send)) -> Result<Counts, Error> {
        let mut counts = Counts::default();
        let mut rate = Rate::new(self.request.rate);
        let mut waiting: VecDeque<Chosen> = VecDeque::new();
        let mut events = Events::new(self);
        loop {
            let has_more = events.next(&mut counts).await?;
            waiting.extend(events.take());
            while waiting.len() >= rate.batch() || (!has_more && !waiting.is_empty()) {
                let length = waiting.len().min(rate.batch());
                let batch: Vec<Chosen> = waiting.drain(..length).collect();
                rate.wait_for(batch.len()).await;
                self.send(&batch, &mut counts).await?;
                progress(&counts);
            }
            if !has_more {
                return Ok(counts);
            }
        }
    }

    async fn send(&self, batch: &[Chosen], counts: &mut Counts) -> Result<(), Error> {
        let mut messages: Vec<LaneMessage> = Vec::with_capacity(batch.len());
        for chosen in batch {
            let mut envelope = Envelope::parse(&chosen.text)
                .map_err(|error| Error::unreadable(format!("event {}", chosen.id), error))?;
            envelope.marks = Marks {
                replayed: true,
                ..Marks::default()
            };
            messages.push(self.sender.message(envelope, &self.control).await?);
        }
        let answers = self.sender.send(&messages).await?;
        for (chosen, answer) in batch.iter().zip(answers) {
            if let Err(reason) = answer {
                let id = chosen.id;
                return Err(Error::Refused(format!(
                    "event {id} was refused by its lane: {reason}"
                )));
            }
        }
        for chosen in batch {
            counts.note(chosen);
            counts.after = Some(chosen.checkpoint.clone());
        }
        Ok(())
    }

    /// Whether an event is asked for, and by the team's routes as well where one team is.
    fn chooses(&self, owner: &Owner, event_type: &EventType, subject: &Subject) -> bool {
        let Owner { account, source } = owner;
        let source = *source;
        let native = format!("{source}.{event_type}");
        let mut types = self.request.types.iter();
        let is_named =
            |pattern: &Pattern| pattern.matches(event_type.as_str()) || pattern.matches(&native);
        let takes = |route: &Route| match route.format {
            Format::Native => route.takes(source, event_type, account),
            Format::Unified => route.may_take_unified(source, event_type, account),
        };
        let mut routes = self.routes.iter().flatten();
        (self.request.types.is_empty() || types.any(is_named))
            && self
                .request
                .subject
                .as_ref()
                .is_none_or(|wanted| wanted == subject)
            && (self.routes.is_none() || routes.any(takes))
    }

    /// What `--after` takes behind an event or a record of an account.
    fn checkpoint(&self, owner: &Owner, place: &str) -> String {
        match self.request.whose {
            Whose::One(_) => place.to_owned(),
            Whose::All { .. } => format!("{}/{place}", owner.account),
        }
    }

    /// Whether an earlier run was cut off in this account.
    fn goes_on_in(&self, owner: &Owner) -> bool {
        match &self.request.whose {
            Whose::One(_) => true,
            Whose::All { from } => from.as_ref() == Some(&owner.account),
        }
    }
}

/// The accounts that are meant and not done, by name: one call of the admin API.
async fn owners(calls: &Calls, stack: &Stack, whose: &Whose) -> Result<Vec<Owner>, Error> {
    let from = match whose {
        Whose::One(account) => {
            let source = kept::source_of(calls, stack, account).await?;
            let account = account.clone();
            return Ok(vec![Owner { account, source }]);
        }
        Whose::All { from } => from,
    };
    let list = Accounts::of(calls, stack)?.list().await?;
    let unknown = |name: &str| {
        Error::Refused(format!(
            "this release cannot read account {name}, so that a replay of all accounts would leave it out: name one with --account"
        ))
    };
    if let Some(unreadable) = list.unreadable.first() {
        return Err(unknown(&unreadable.account));
    }
    let mut owners = Vec::new();
    for listed in list.accounts {
        let account: AccountName = listed
            .account
            .parse()
            .map_err(|_| unknown(&listed.account))?;
        let source = Source::named(&listed.source).ok_or_else(|| unknown(&listed.account))?;
        if from.as_ref().is_none_or(|from| account >= *from) {
            owners.push(Owner { account, source });
        }
    }
    owners.sort_by(|one, other| one.account.cmp(&other.account));
    match (owners.is_empty(), from) {
        (true, None) => Err(Error::NotFound {
            what: "an account of this stack".to_owned(),
        }),
        _ => Ok(owners),
    }
}

/// A team's routes.
async fn routes_of(calls: &Calls, stack: &Stack, team: &str) -> Result<Vec<Route>, Error> {
    let name = stack.output("RoutesParameter")?;
    let text = ssm::parameter(calls, name).await?;
    let routes = Routes::parse(&text)
        .map_err(|error| Error::unreadable(format!("parameter {name}"), error))?;
    let routes = routes.all().iter().filter(|route| route.team == team);
    let routes: Vec<Route> = routes.cloned().collect();
    match routes.is_empty() {
        true => Err(Error::NotFound {
            what: format!("a route of team {team}"),
        }),
        false => Ok(routes),
    }
}

/// Whether everything that is asked for can still be there.
fn check_span(stack: &Stack, request: &Request, now: Timestamp) -> Result<(), Error> {
    let (from, to) = match &request.what {
        What::Span { from, to, .. } => (*from, *to),
        What::Delivery { id, .. } => (id.first_seen(), id.first_seen().plus_seconds(1)),
        What::State { .. } if request.team.is_none() => {
            let message = "the state is for a new team: name it with --team";
            return Err(Error::Usage(message.to_owned()));
        }
        What::State { .. } => return Ok(()),
    };
    if from >= to {
        return Err(Error::Usage(format!("{from} is not before {to}")));
    }
    let kept = stack.number("ReceiptTtlDays").unwrap_or(RECEIPT_TTL_DAYS);
    let oldest = now.millis().saturating_sub(kept.saturating_mul(DAY_MILLIS));
    if from.millis() < oldest {
        let oldest = Timestamp::from_millis(oldest);
        return Err(Error::Usage(format!(
            "receipts are kept for {kept} days, so that nothing is whole before {oldest}; what records are now: --state"
        )));
    }
    let span = to.millis().saturating_sub(from.millis());
    if span > LONGEST_SPAN_DAYS * DAY_MILLIS && !request.is_long {
        return Err(Error::Usage(format!(
            "{} days are a long span: give --yes-really if they are meant",
            span / DAY_MILLIS
        )));
    }
    Ok(())
}

/// An event that is chosen.
#[derive(Debug)]
struct Chosen {
    id: EventId,
    event_type: EventType,
    checkpoint: String,
    /// Its envelope as text: the delivery that it borrows from is given up meanwhile.
    text: String,
}

impl Chosen {
    fn of(envelope: &Envelope<'_>, checkpoint: String) -> Self {
        Self {
            id: envelope.id,
            event_type: envelope.event_type.clone(),
            checkpoint,
            text: envelope.to_text().to_text(),
        }
    }
}

impl Counts {
    fn note(&mut self, chosen: &Chosen) {
        self.events += 1;
        *self.types.entry(chosen.event_type.to_string()).or_default() += 1;
    }
}

/// What is chosen, a delivery or a page of records at a time.
struct Events<'r, 'a> {
    replay: &'r Replay<'a>,
    /// Accounts that are not begun.
    owners: std::slice::Iter<'r, Owner>,
    /// The account whose page this is.
    owner: Option<&'r Owner>,
    /// What is left to ask for of it: days of receipts, or kinds of records.
    partitions: VecDeque<Partition>,
    page: VecDeque<Item>,
    next: Option<Item>,
    chosen: Vec<Chosen>,
}

/// A partition of a table, and which of its items.
struct Partition {
    table: &'static str,
    key: String,
    /// The first sort key, where not all are meant. A record after which a run goes on is left out later.
    from: Option<String>,
    to: Option<String>,
}

impl<'r, 'a> Events<'r, 'a> {
    fn new(replay: &'r Replay<'a>) -> Self {
        Self {
            replay,
            owners: replay.owners.iter(),
            owner: None,
            partitions: VecDeque::new(),
            page: VecDeque::new(),
            next: None,
            chosen: Vec::new(),
        }
    }

    /// What the last step brought.
    fn take(&mut self) -> Vec<Chosen> {
        std::mem::take(&mut self.chosen)
    }

    /// Reads one more item; `false` where there is none left.
    async fn next(&mut self, counts: &mut Counts) -> Result<bool, Error> {
        let item = loop {
            if let Some(item) = self.page.pop_front() {
                break item;
            }
            if !self.read_page().await? {
                return Ok(false);
            }
        };
        let Some(owner) = self.owner else {
            return Ok(false);
        };
        counts.read += 1;
        match self.replay.request.what {
            What::State { .. } => self.record(owner, &item, counts).await?,
            What::Span { .. } | What::Delivery { .. } => {
                self.delivery(owner, &item, counts).await?;
            }
        }
        Ok(true)
    }

    /// Reads one more page; `false` where there is none left.
    async fn read_page(&mut self) -> Result<bool, Error> {
        if self.partitions.is_empty() {
            let Some(owner) = self.owners.next() else {
                return Ok(false);
            };
            self.owner = Some(owner);
            self.partitions = partitions(self.replay, owner);
        }
        let Some(partition) = self.partitions.front() else {
            return Ok(true);
        };
        let (calls, stack) = (self.replay.calls, self.replay.stack);
        let mut condition = "pk = :pk".to_owned();
        let mut values = json!({ ":pk": { "S": partition.key } });
        match (&partition.from, &partition.to) {
            (Some(_), Some(_)) => condition.push_str(" AND sk BETWEEN :from AND :to"),
            (Some(_), None) => condition.push_str(" AND sk >= :from"),
            (None, _) => {}
        }
        if let Some(values) = values.as_object_mut() {
            for (name, bound) in [(":from", &partition.from), (":to", &partition.to)] {
                let bound = bound
                    .as_ref()
                    .map(|bound| (name.to_owned(), json!({ "S": bound })));
                values.extend(bound);
            }
        }
        let input = json!({
            "TableName": stack.output(partition.table)?, "ConsistentRead": true,
            "KeyConditionExpression": condition, "ExpressionAttributeValues": values,
        });
        let page = dynamodb::query(calls, &input, self.next.as_ref()).await?;
        self.page = page.items.into();
        self.next = page.last_evaluated_key;
        if self.next.is_none() {
            self.partitions.pop_front();
        }
        Ok(true)
    }

    /// Splits a delivery as it was split when it came.
    async fn delivery(
        &mut self,
        owner: &Owner,
        item: &Item,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        let replay = self.replay;
        let id = item.text("sk").unwrap_or_default();
        let id: DeliveryId = id
            .parse()
            .map_err(|error| Error::unreadable("a receipt's key", error))?;
        let kept: KeptDelivery = kept::read_delivery(replay.calls, replay.stack, item).await?;
        let Ok(split) = owner.protocol().split(kept.delivery()) else {
            counts.unreadable += 1;
            return Ok(());
        };
        counts.unreadable += u64::try_from(split.bad.len()).unwrap_or(u64::MAX);
        let after = match &replay.request.what {
            What::Span { after, .. } | What::Delivery { after, .. } => *after,
            What::State { .. } => None,
        };
        let after = after.filter(|_| replay.goes_on_in(owner));
        let (facts, account) = (owner.facts(), &owner.account);
        for event in &split.events {
            counts.held += 1;
            let envelope = sources::envelope(owner.source, facts, account, id, event);
            let is_behind = after.is_none_or(|after| envelope.id > after);
            if is_behind && replay.chooses(owner, &envelope.event_type, &envelope.subject) {
                let checkpoint = replay.checkpoint(owner, &envelope.id.to_string());
                self.chosen.push(Chosen::of(&envelope, checkpoint));
            }
        }
        Ok(())
    }

    /// Makes the event of a record that set its state.
    async fn record(
        &mut self,
        owner: &Owner,
        item: &Item,
        counts: &mut Counts,
    ) -> Result<(), Error> {
        let replay = self.replay;
        let (pk, sk) = (
            item.text("pk").unwrap_or_default(),
            item.text("sk").unwrap_or_default(),
        );
        let unreadable = |reason: &str| Error::unreadable(format!("record {pk}/{sk}"), reason);
        let kind = pk.split_once('#').map(|(_, kind)| kind);
        let kind = kind.ok_or_else(|| unreadable("its key has no kind"))?;
        let id = RecordId::new(sk).map_err(|_| unreadable("its key has no id"))?;
        if let What::State { after: Some(after) } = &replay.request.what
            && replay.goes_on_in(owner)
            && after.as_str() == format!("{kind}/{sk}")
        {
            return Ok(());
        }
        if item.boolean("deleted") == Some(true) {
            counts.deleted += 1;
            return Ok(());
        }
        // Of a record that only its delete is known of there is nothing to send.
        let Some(event) = item.text("event_id") else {
            counts.deleted += 1;
            return Ok(());
        };
        counts.held += 1;
        let event: EventId = event
            .parse()
            .map_err(|_| unreadable("the id of its event is none"))?;
        let event_type: EventType = item
            .text("event_type")
            .and_then(|name| name.parse().ok())
            .ok_or_else(|| unreadable("the type of its event is none"))?;
        let subject = Subject::new(kind, Some(&id), event);
        if !replay.chooses(owner, &event_type, &subject) {
            return Ok(());
        }
        let data = kept::read_record(replay.calls, replay.stack, item).await?;
        let sequence = item.text("sequence").and_then(|place| place.parse().ok());
        let envelope = Envelope {
            id: event,
            source: owner.source,
            account: owner.account.clone(),
            event_type,
            subject: subject.clone(),
            provenance: Provenance {
                sequence: sequence.filter(|place: &Sequence| place.event() == event),
                ..Provenance::default()
            },
            marks: Marks::default(),
            content: Content::Inline(&data),
        };
        let checkpoint = replay.checkpoint(owner, subject.as_str());
        self.chosen.push(Chosen::of(&envelope, checkpoint));
        Ok(())
    }
}

/// The partitions that hold what is asked for of an account, in the order in which they are read.
fn partitions(replay: &Replay<'_>, owner: &Owner) -> VecDeque<Partition> {
    let account = &owner.account;
    let goes_on = replay.goes_on_in(owner);
    let receipts = |day: &str, from: DeliveryId, to: DeliveryId| Partition {
        table: "ReceiptsTable",
        key: Receipt::partition_of(account, day),
        from: Some(from.to_string()),
        to: Some(to.to_string()),
    };
    match &replay.request.what {
        What::Span { from, to, after } => {
            let last = Timestamp::from_millis(to.millis().saturating_sub(1));
            let first = DeliveryId::new(*from, &[0; 10]);
            let after = after.filter(|_| goes_on);
            let first = after.map_or(first, |after| first.max(after.delivery()));
            let end = DeliveryId::new(last, &[0xFF; 10]);
            let days = first.first_seen().millis() / DAY_MILLIS..=last.millis() / DAY_MILLIS;
            let day = |day: u64| Timestamp::from_millis(day * DAY_MILLIS).day();
            days.map(|number| receipts(&day(number), first, end))
                .collect()
        }
        What::Delivery { id, .. } => VecDeque::from([receipts(&id.first_seen().day(), *id, *id)]),
        What::State { after } => {
            let mut kinds: Vec<&str> = owner.facts().types.iter().map(|row| row.kind).collect();
            kinds.sort_unstable();
            kinds.dedup();
            let after = after
                .as_ref()
                .filter(|_| goes_on)
                .and_then(|after| after.as_str().split_once('/'));
            let (last_kind, last_id) = after.unwrap_or_default();
            let kinds = kinds.into_iter().filter(|kind| *kind >= last_kind);
            let partition = |kind: &str| Partition {
                table: "RecordsTable",
                key: format!("{account}#{kind}"),
                from: (kind == last_kind).then(|| last_id.to_owned()),
                to: None,
            };
            kinds.map(partition).collect()
        }
    }
}
