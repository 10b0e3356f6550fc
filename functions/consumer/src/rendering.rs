//! The unified form of events, for the teams whose routes ask for it.
//!
//! It is made anew of each event's record, and never stored but where it does not fit into a message. A record that travels
//! apart is read once more, after it was applied: a batch must not hold such records while it is forwarded, so only
//! [`MOST_AT_ONCE`] of them are in memory together.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::envelope::{Body, Content, DataRef, Envelope};
use domain::ports::{ClaimCheck, PortError};
use domain::unified::{Unified, UnifiedType};
use futures::{FutureExt as _, StreamExt as _, stream};
use runtime::deadline::in_time;
use serde_json::value::RawValue;
use sources::protocol;
use tokio::time::Instant;
use tracing::{Instrument as _, error, warn};

use crate::apply::Arrived;
use crate::config::Config;

/// How many events are rendered at the same time.
const MOST_AT_ONCE: usize = 4;

/// The most bytes of a batch's unified resources that are kept in memory. What comes on top is kept apart as what does not
/// fit into a message is: a rendering may be several times as large as its record.
const MOST_BYTES: usize = 16 << 20;

/// An event in the unified form.
#[derive(Debug)]
pub(crate) enum Rendering {
    /// It fits into a message.
    Inline(Unified),
    /// It is kept apart.
    Stored(UnifiedType, DataRef),
}

impl Rendering {
    /// What happened.
    pub(crate) fn event_type(&self) -> UnifiedType {
        match self {
            Self::Inline(unified) => unified.event_type,
            Self::Stored(event_type, _) => *event_type,
        }
    }

    /// The team's message.
    pub(crate) fn body(&self, envelope: &Envelope<'_>) -> Body<'_> {
        match self {
            Self::Inline(unified) => envelope.to_unified(unified),
            Self::Stored(event_type, place) => envelope.to_unified_pointer(*event_type, place),
        }
    }
}

/// Why there is no rendering of an event that has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NotRendered;

/// What became of each event, by its position in the batch; `None` for an event that has no unified form.
pub(crate) type Renderings = HashMap<usize, Result<Option<Rendering>, NotRendered>>;

/// Renders the events that a route of unified events may take.
pub(crate) async fn render<'m: 'e, 'e, O: ClaimCheck>(
    oversize: &O,
    config: &Config,
    events: impl Iterator<Item = &'e Arrived<'m>>,
    deadline: Instant,
) -> Renderings {
    let is_wanted = |arrived: &&'e Arrived<'m>| {
        let Envelope {
            source,
            event_type,
            account,
            ..
        } = &arrived.envelope;
        let mut routes = config.routes.all().iter();
        routes.any(|route| route.may_take_unified(*source, event_type, account))
    };
    let room = &AtomicUsize::new(MOST_BYTES);
    let rendering = events.filter(is_wanted).map(|arrived| async move {
        let rendering = render_one(oversize, config, room, arrived, deadline);
        let rendering = AssertUnwindSafe(rendering.instrument(arrived.span()));
        let rendered = rendering.catch_unwind().await;
        let rendered = rendered.unwrap_or_else(|_| {
            arrived
                .span()
                .in_scope(|| error!("panic while rendering an event"));
            Err(NotRendered)
        });
        (arrived.position, rendered)
    });
    // Collected first: a future that borrows the iterator could not move between threads.
    let rendering: Vec<_> = rendering.collect();
    stream::iter(rendering)
        .buffer_unordered(MOST_AT_ONCE)
        .collect()
        .await
}

async fn render_one<O: ClaimCheck>(
    oversize: &O,
    config: &Config,
    room: &AtomicUsize,
    arrived: &Arrived<'_>,
    deadline: Instant,
) -> Result<Option<Rendering>, NotRendered> {
    let envelope = &arrived.envelope;
    let unified = match &envelope.content {
        Content::Inline(record) => unified(envelope, record),
        Content::Stored(place) => {
            let getting = in_time(deadline, "reading a large event", oversize.get(place));
            let bytes = getting.await.map_err(failed)?;
            let record = serde_json::from_slice(&bytes)
                .map_err(|_| failed(PortError::permanent("reading a large event", "not_json")))?;
            unified(envelope, record)
        }
    };
    let Some(unified) = unified else {
        return Ok(None);
    };
    let bytes = unified.resource.len();
    let fits = config.inline_limit.admits(&envelope.to_unified(&unified));
    let takes = |left: usize| left.checked_sub(bytes);
    if fits
        && room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, takes)
            .is_ok()
    {
        return Ok(Some(Rendering::Inline(unified)));
    }
    // By the event's id, so that a second run replaces what the first one kept.
    let key = format!("unified/{}/{}", envelope.account, envelope.id);
    let put = oversize.put(&key, unified.resource.as_bytes());
    let kept = in_time(deadline, "keeping a large unified event", put).await;
    let place = kept.map_err(failed)?;
    Ok(Some(Rendering::Stored(unified.event_type, place)))
}

fn unified(envelope: &Envelope<'_>, record: &RawValue) -> Option<Unified> {
    protocol(envelope.source).unified(&envelope.event_type, record)
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn failed(error: PortError) -> NotRendered {
    warn!(%error, "no unified event");
    NotRendered
}
