//! Erasure: works off the erasures that the admin API keeps, a bounded piece after the other.
//!
//! A schedule invokes it. Each run reads which erasures are running and gives each of them a piece of work in turn, until
//! all are done or the time is over; the next run goes on where this one ended, wherever that was. It is a program of its
//! own so that what may delete records has a role of its own: nothing that faces requests can, and this can do nothing
//! else.
//!
//! | a piece of work | came to |
//! |---|---|
//! | a page of objects, records or URL tokens is deleted | its position is kept, and the next piece follows |
//! | the record has other data by now | of an event that arrived after the call: it stays, else the erasure begins again |
//! | a call holds the account | it waits for the next run |
//! | another run got further | it is that run's |
//! | a store does not answer | it waits for the next run, and is counted: an alarm rings |
//!
//! [`domain::erasure`] says what is erased and what is not.

#![warn(clippy::too_many_lines)]

pub mod config;

use std::collections::VecDeque;
use std::time::Duration;

use domain::erasure::{
    ErasableObjects, ErasableRecords, Erasure, ErasureJobs, Page, Position, Progress, Removal,
    Stage, Trace, record_of,
};
use domain::identity::EventId;
use domain::ports::PortError;
use domain::record::RecordKey;
use domain::timestamp::Timestamp;
use runtime::deadline::in_time;
use runtime::metrics::{self, Metric};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::Instant;
use tracing::{Instrument as _, error, info, info_span, warn};

/// So long before the end no piece of work begins: one page of a table takes seconds, and more while it is throttled.
const LAST_PIECE: Duration = Duration::from_secs(20);

/// Why a run came to nothing.
#[derive(Debug, Error)]
pub enum RunError {
    /// The event is none that this function is for.
    #[error("the event is no run of the schedule of erasures; see what invokes this function")]
    Unknown,
    /// The erasures cannot be listed.
    #[error("which erasures are running cannot be read: {0}")]
    Unlisted(#[source] PortError),
}

/// What a piece of work came to.
#[derive(Debug)]
enum Piece {
    /// It goes on, or is done.
    Next(Box<Erasure>),
    /// Another run has it.
    Elsewhere,
    /// The account is being changed.
    Held,
}

/// The function, with what it needs from the outside.
#[derive(Debug)]
pub struct Eraser<'p, J, R, O> {
    jobs: &'p J,
    records: &'p R,
    objects: &'p O,
    stack: String,
}

impl<'p, J: ErasureJobs, R: ErasableRecords, O: ErasableObjects> Eraser<'p, J, R, O> {
    /// Puts the function together; `stack` is the name by which its metrics are known.
    pub fn new(jobs: &'p J, records: &'p R, objects: &'p O, stack: String) -> Self {
        Self {
            jobs,
            records,
            objects,
            stack,
        }
    }

    /// Works on the erasures that are running, until the deadline at most, and says how many are done and how many are left.
    /// `now` is the time of this invocation.
    ///
    /// # Errors
    /// See [`RunError`]. That one erasure fails is none: the others go on.
    pub async fn handle(
        &self,
        event: &Value,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Value, RunError> {
        // On the heap: futures within futures within futures are more than the compiler lays out.
        let work = Box::pin(async {
            if *event != json!({ "schedule": "erasure" }) {
                return Err(RunError::Unknown);
            }
            let (done, left) = self.run(now, deadline).await?;
            metrics::count_by(Metric::ScheduleRuns, 1, &["erasure"]);
            Ok(json!({ "done": done, "left": left }))
        });
        metrics::invocation(&self.stack, work).await
    }

    async fn run(&self, now: Timestamp, deadline: Instant) -> Result<(usize, usize), RunError> {
        let running = self.jobs.running().await.map_err(RunError::Unlisted)?;
        if running.unreadable > 0 {
            error!(
                count = running.unreadable,
                "an erasure cannot be read: a newer release wrote it, or it is damaged"
            );
            metrics::count(Metric::ErasuresFailed, running.unreadable);
        }
        let (mut done, mut left) = (0, running.unreadable);
        let mut waiting = VecDeque::from(running.erasures);
        while let Some(erasure) = waiting.pop_front() {
            if Instant::now() + LAST_PIECE > deadline {
                left += 1 + waiting.len();
                break;
            }
            let span = info_span!(
                "erase",
                account = erasure.account.as_str(),
                erasure = erasure.id.as_str()
            );
            // A piece each, so that a large account does not hold up a single record.
            match self
                .piece(&erasure, now, deadline)
                .instrument(span.clone())
                .await
            {
                Ok(Piece::Next(next)) if next.is_running() => waiting.push_back(*next),
                Ok(Piece::Next(next)) => {
                    let (records, objects) = (next.erased.records, next.erased.objects);
                    span.in_scope(|| info!(records, objects, "erased"));
                    done += 1;
                }
                Ok(Piece::Elsewhere | Piece::Held) => left += 1,
                Err(error) => {
                    span.in_scope(|| warn!(%error, "an erasure does not get on"));
                    metrics::count(Metric::ErasuresFailed, 1);
                    left += 1;
                }
            }
        }
        Ok((done, left))
    }

    /// Does one piece of work, and keeps that it is done.
    async fn piece(
        &self,
        erasure: &Erasure,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Piece, PortError> {
        let Progress::Running(position) = &erasure.progress else {
            return Ok(Piece::Elsewhere);
        };
        let work = Box::pin(async {
            match &erasure.subject {
                None => self.of_account(erasure, position, now).await,
                Some(subject) => match record_of(&erasure.account, subject) {
                    Some(key) => self.of_record(erasure, &key, position, now).await,
                    // The call took it, so it was once a subject that a record can have.
                    None => Err(PortError::unreadable("reading an erasure's subject")),
                },
            }
        });
        let Some(next) = in_time(deadline, "erasing", work).await? else {
            return Ok(Piece::Held);
        };
        Ok(match self.jobs.advance(erasure, &next).await? {
            true => Piece::Next(Box::new(next)),
            false => Piece::Elsewhere,
        })
    }

    /// The account's erasure after a piece of work; none where the account is held.
    async fn of_account(
        &self,
        erasure: &Erasure,
        Position { stage, after }: &Position,
        now: Timestamp,
    ) -> Result<Option<Erasure>, PortError> {
        let (account, after) = (&erasure.account, after.as_ref());
        let page = match stage {
            Stage::RecordObjects | Stage::EventObjects | Stage::UnifiedObjects => {
                let prefix = format!("{}/{account}/", folder(*stage));
                self.objects
                    .erase_objects(&prefix, &|_| true, after)
                    .await?
            }
            Stage::Records => self.records.erase_records(account, after).await?,
            Stage::Tokens => self.jobs.erase_tokens(account, after).await?,
            Stage::Account => match self.jobs.erase_account(account, now).await? {
                Removal::Held => return Ok(None),
                Removal::Gone => Page::default(),
                Removal::Connected => {
                    warn!("the account was connected again, and stays");
                    Page::default()
                }
            },
        };
        Ok(Some(erasure.after(*stage, page, now)))
    }

    /// The record's erasure after a piece of work. What events brought that arrived after the call stays: it is new.
    async fn of_record(
        &self,
        erasure: &Erasure,
        key: &RecordKey,
        Position { stage, after }: &Position,
        now: Timestamp,
    ) -> Result<Option<Erasure>, PortError> {
        let trace = self.records.trace(key).await?;
        let is_old = |event: &EventId| event.delivery().first_seen() <= erasure.begun;
        if *stage != Stage::Records {
            let events = trace.unwrap_or_default().events;
            let folder_of_record = key.folder();
            let is_chosen = |rest: &str| {
                let own = rest.strip_prefix(&folder_of_record);
                let event = own.unwrap_or(rest).parse::<EventId>().ok();
                event.is_some_and(|event| {
                    is_old(&event) && (own.is_some() || events.contains(&event.fingerprint()))
                })
            };
            let prefix = match stage {
                Stage::RecordObjects => key.objects_of_kind(),
                _ => format!("{}/{}/", folder(*stage), key.account),
            };
            let page = self
                .objects
                .erase_objects(&prefix, &is_chosen, after.as_ref());
            return Ok(Some(erasure.after(*stage, page.await?, now)));
        }
        let erased = match trace {
            None => 0,
            Some(Trace { latest, .. }) if latest.is_some_and(|latest| !is_old(&latest)) => 0,
            Some(Trace { latest, .. }) => {
                if !self.records.erase_record(key, latest).await? {
                    return Ok(Some(erasure.again()));
                }
                1
            }
        };
        let page = Page { erased, next: None };
        Ok(Some(erasure.after(*stage, page, now)))
    }
}

/// What the keys of a stage's objects begin with.
fn folder(stage: Stage) -> &'static str {
    match stage {
        Stage::EventObjects => "events",
        Stage::UnifiedObjects => "unified",
        Stage::RecordObjects | Stage::Records | Stage::Tokens | Stage::Account => "records",
    }
}
