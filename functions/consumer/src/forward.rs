//! Forwarding: every event to every team whose route fits, whatever it did to its record.
//!
//! A team's queue that refuses does not stop the others: after a few tries the event goes to the undelivered
//! queue, with the team's name, and can be sent again for that team alone. A queue that is gone or closed to us is tried
//! once a batch: what is for it is set aside at once, and nobody waits for it.
//!
//! A route of unified events gets a second rendering of the same events ([`rendering`](crate::rendering)), each in the same
//! envelope. Teams that take events as they are do not wait for it.
//!
//! A message may ask for one team alone ([`Control`](domain::control::Control)). If no route has its name, the event is set
//! aside for it, so that it can be released once the route is there again.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;

use domain::control::Control;
use domain::envelope::{Body, Envelope, is_sendable, json_string};
use domain::fold::Verdict;
use domain::identity::EventId;
use domain::ports::{ClaimCheck, Message, Queues};
use domain::route::{Format, Route};
use futures::FutureExt as _;
use futures::future::{join, join_all};
use runtime::enqueue::enqueue;
use runtime::metrics::{Metric, count};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::{error, warn};

use crate::apply::Arrived;
use crate::backoff::Failure;
use crate::config::Config;
use crate::rendering::{NotRendered, Rendering, Renderings, render};

/// Which teams have an event.
#[derive(Debug, Default)]
pub(crate) struct Forwarded<'c> {
    /// The teams whose queues accepted it.
    pub(crate) teams: Vec<&'c str>,
    /// The teams that it was set aside for.
    pub(crate) undelivered: Vec<String>,
    /// Whether a team has it neither way: then its message has to come again.
    pub(crate) again: bool,
}

impl Forwarded<'_> {
    /// Whether its message is done.
    pub(crate) fn state(&self) -> Result<(), Failure> {
        match self.again {
            true => Err(Failure::Transient),
            false => Ok(()),
        }
    }
}

/// What became of the events at one route, by their positions in the batch.
#[derive(Debug, Default)]
struct Sent {
    accepted: Vec<usize>,
    undelivered: Vec<usize>,
    again: Vec<usize>,
}

/// Sends events to the teams, and says of each message of the batch, by its position, which have it.
pub(crate) async fn forward<'c, Q: Queues, O: ClaimCheck>(
    queues: &Q,
    oversize: &O,
    config: &'c Config,
    applied: &[(Arrived<'_>, Verdict)],
    deadline: Instant,
) -> HashMap<usize, Forwarded<'c>> {
    let mut forwarded: HashMap<usize, Forwarded<'c>> = applied
        .iter()
        .map(|(arrived, _)| (arrived.position, Forwarded::default()))
        .collect();
    let native = forward_in(Format::Native, queues, config, applied, None, deadline);
    let unified = async {
        let begun = Instant::now();
        let rendering = begun + deadline.saturating_duration_since(begun) / 2;
        let events = applied.iter().map(|(arrived, _)| arrived);
        let renderings = render(oversize, config, events, rendering).await;
        let renderings = Some(&renderings);
        forward_in(
            Format::Unified,
            queues,
            config,
            applied,
            renderings,
            deadline,
        )
        .await
    };
    let (native, unified) = join(native, unified).await;
    set_aside_for_nobody(queues, config, applied, deadline, &mut forwarded).await;
    for (team, sent) in native.into_iter().chain(unified) {
        for position in sent.accepted {
            add(&mut forwarded.entry(position).or_default().teams, team);
        }
        for position in sent.undelivered {
            let undelivered = &mut forwarded.entry(position).or_default().undelivered;
            if !undelivered.iter().any(|known| known == team) {
                undelivered.push(team.to_owned());
            }
        }
        for position in sent.again {
            forwarded.entry(position).or_default().again = true;
        }
    }
    forwarded
}

/// Sets aside what is for a team of which no route knows.
async fn set_aside_for_nobody<Q: Queues>(
    queues: &Q,
    config: &Config,
    applied: &[(Arrived<'_>, Verdict)],
    deadline: Instant,
    forwarded: &mut HashMap<usize, Forwarded<'_>>,
) {
    let mut refused: BTreeMap<&str, Vec<Refused<'_, '_>>> = BTreeMap::new();
    for (arrived, verdict) in applied {
        let Some(team) = arrived.control.only.as_deref() else {
            continue;
        };
        if config.routes.all().iter().any(|route| route.team == team) {
            continue;
        }
        arrived
            .span()
            .in_scope(|| warn!(team, "an event for a team that no route names"));
        let text = marked(arrived, verdict).to_text().to_text();
        let one = (arrived, text, NO_TEAM.to_owned());
        refused.entry(team).or_default().push(one);
    }
    for (team, refused) in refused {
        let mut sent = Sent::default();
        set_aside(queues, config, (team, ""), &refused, deadline, &mut sent).await;
        for position in sent.undelivered {
            let undelivered = &mut forwarded.entry(position).or_default().undelivered;
            undelivered.push(team.to_owned());
        }
        for position in sent.again {
            forwarded.entry(position).or_default().again = true;
        }
    }
}

/// Adds a team once: it may have several routes.
fn add<'c>(teams: &mut Vec<&'c str>, team: &'c str) {
    if !teams.contains(&team) {
        teams.push(team);
    }
}

/// Sends to all teams that take events in this form, and says what became of the events at each.
async fn forward_in<'c, Q: Queues>(
    format: Format,
    queues: &Q,
    config: &'c Config,
    applied: &[(Arrived<'_>, Verdict)],
    renderings: Option<&Renderings>,
    deadline: Instant,
) -> Vec<(&'c str, Sent)> {
    let routes = config.routes.all().iter();
    let routes = routes.filter(|route| route.format == format);
    let teams = routes.map(|route| {
        let forwarding = forward_to(queues, config, route, applied, renderings, deadline);
        AssertUnwindSafe(forwarding)
            .catch_unwind()
            .map(move |sent| {
                let sent = sent.unwrap_or_else(|_| {
                    error!(team = route.team, "panic while forwarding");
                    Sent {
                        again: applied
                            .iter()
                            .map(|(arrived, _)| arrived.position)
                            .collect(),
                        ..Sent::default()
                    }
                });
                (route.team.as_str(), sent)
            })
    });
    join_all(teams).await
}

/// What a route gets of an event.
enum Share<'r> {
    /// Nothing: the route is for others.
    None,
    /// Nothing: the route is for unified events, and the event has no unified form.
    NotUnified,
    /// Nothing yet: the unified form could not be made.
    NotRendered,
    /// The event as it is.
    Native,
    /// Its unified form.
    Unified(&'r Rendering),
}

fn share<'r>(
    route: &Route,
    arrived: &Arrived<'_>,
    renderings: Option<&'r Renderings>,
) -> Share<'r> {
    let Envelope {
        source,
        event_type,
        account,
        ..
    } = &arrived.envelope;
    if !arrived.control.admits(&route.team) {
        return Share::None;
    }
    let takes = route.takes(*source, event_type, account);
    let rendering = match renderings {
        None if takes => return Share::Native,
        None => return Share::None,
        Some(renderings) => renderings.get(&arrived.position),
    };
    match rendering {
        Some(Ok(Some(rendering)))
            if route.takes_unified(*source, event_type, account, rendering.event_type()) =>
        {
            Share::Unified(rendering)
        }
        Some(Ok(None)) if takes => Share::NotUnified,
        Some(Err(NotRendered)) if route.may_take_unified(*source, event_type, account) => {
            Share::NotRendered
        }
        _ => Share::None,
    }
}

/// Sends to one team what its route takes.
async fn forward_to<Q: Queues>(
    queues: &Q,
    config: &Config,
    route: &Route,
    applied: &[(Arrived<'_>, Verdict)],
    renderings: Option<&Renderings>,
    deadline: Instant,
) -> Sent {
    let (mut sent, mut not_unified) = (Sent::default(), 0);
    let mut events: Vec<(&Arrived<'_>, Envelope<'_>, Option<&Rendering>)> = Vec::new();
    for (arrived, verdict) in applied {
        let rendering = match share(route, arrived, renderings) {
            Share::Native => None,
            Share::Unified(rendering) => Some(rendering),
            Share::NotUnified => {
                not_unified += 1;
                continue;
            }
            Share::NotRendered => {
                sent.again.push(arrived.position);
                continue;
            }
            Share::None => continue,
        };
        events.push((arrived, marked(arrived, verdict), rendering));
    }
    count(Metric::NotUnified, not_unified);
    if events.is_empty() {
        return sent;
    }
    // A FIFO queue keeps the order in which it is sent to.
    events.sort_by_key(|(_, envelope, _)| envelope.id);
    let messages: Vec<Message<'_>> = events
        .iter()
        .map(|(arrived, envelope, rendering)| message(arrived, envelope, route, *rendering))
        .collect();
    let patience = deadline.min(Instant::now() + config.patience);
    let answers = enqueue(queues, &route.queue, &messages, patience).await;
    let mut refused = Vec::new();
    for (((arrived, ..), message), answer) in events.iter().zip(&messages).zip(answers) {
        match answer {
            Ok(()) => sent.accepted.push(arrived.position),
            Err(reason) => {
                arrived
                    .span()
                    .in_scope(|| warn!(team = route.team, %reason, "a team's queue refuses"));
                refused.push((*arrived, message.text.to_text(), reason.code));
            }
        }
    }
    let to = (route.team.as_str(), route.queue.as_str());
    set_aside(queues, config, to, &refused, deadline, &mut sent).await;
    sent
}

/// The event as teams get it.
fn marked<'m>(arrived: &Arrived<'m>, verdict: &Verdict) -> Envelope<'m> {
    let mut envelope = arrived.envelope.clone();
    // What was found out when the event came first is true also when it comes again.
    envelope.marks.possible_duplicate |= verdict.possible_duplicate;
    envelope
}

/// Why an event is set aside that is for a team of which no route knows.
const NO_TEAM: &str = "no_such_team";

/// An event that a team does not get: with the text of its message, and why.
type Refused<'a, 'm> = (&'a Arrived<'m>, String, String);

/// Sends to the undelivered queue what a team's queue refused, and notes what becomes of it.
async fn set_aside<Q: Queues>(
    queues: &Q,
    config: &Config,
    (team, queue): (&str, &str),
    refused: &[Refused<'_, '_>],
    deadline: Instant,
    sent: &mut Sent,
) {
    if refused.is_empty() {
        return;
    }
    let messages: Vec<Message<'_>> = refused
        .iter()
        .map(|(_, envelope, reason)| {
            let (name, queue, reason) =
                (json_string(team), json_string(queue), json_string(reason));
            let before =
                format!(r#"{{"team":{name},"queue":{queue},"reason":{reason},"envelope":"#);
            Message {
                text: Body::wrapping(before, envelope),
                group: Some(team.to_owned()).filter(|team| is_group(team)),
                deduplication: None,
                attributes: Vec::new(),
                trace: None,
            }
        })
        .collect();
    let answers = enqueue(queues, &config.undelivered, &messages, deadline).await;
    for ((arrived, _, _), answer) in refused.iter().zip(answers) {
        match answer {
            Ok(()) => {
                count(Metric::Undelivered, 1);
                sent.undelivered.push(arrived.position);
            }
            Err(error) => {
                arrived.span().in_scope(|| {
                    warn!(team, %error, "neither the team's queue nor the undelivered queue accepts an event");
                });
                sent.again.push(arrived.position);
            }
        }
    }
}

/// A team's message: the envelope, and attributes to filter by without parsing it.
fn message<'a>(
    arrived: &Arrived<'_>,
    envelope: &Envelope<'a>,
    route: &Route,
    rendering: Option<&'a Rendering>,
) -> Message<'a> {
    let source = envelope.source;
    let event_type = match rendering {
        None => format!("{source}.{}", envelope.event_type),
        Some(rendering) => rendering.event_type().to_string(),
    };
    let mut attributes = vec![
        ("type", event_type),
        ("account", envelope.account.to_string()),
    ];
    if is_sendable(envelope.subject.as_str()) {
        attributes.push(("subject", envelope.subject.to_string()));
    }
    if envelope.marks.replayed {
        attributes.push(("replayed", "true".to_owned()));
    }
    attributes.extend(arrived.trace.attribute());
    let fifo = route.queue.is_fifo();
    Message {
        text: match rendering {
            None => envelope.to_text(),
            Some(rendering) => rendering.body(envelope),
        },
        group: fifo.then(|| group(envelope)),
        // A queue of two routes gets both forms of an event, which have one id.
        deduplication: fifo
            .then(|| deduplication(envelope.id, &arrived.control, rendering.is_some())),
        attributes,
        trace: arrived.trace.header.clone(),
    }
}

/// The deduplication id of an event in a FIFO queue. A job sends on purpose what the queue may have seen a moment ago: what
/// it sends is a repeat only of its own.
fn deduplication(id: EventId, control: &Control, unified: bool) -> String {
    let mut text = id.to_string();
    if unified {
        text.push_str(".unified");
    }
    if let Some(job) = &control.job {
        text.extend([".", &job.to_string()]);
    }
    text
}

/// The message group of a record in a FIFO queue: its alphabet is ASCII and its length 128, a subject's are not.
fn group(envelope: &Envelope<'_>) -> String {
    let hash = Sha256::new()
        .chain_update(envelope.account.as_str())
        .chain_update([0])
        .chain_update(envelope.subject.as_str());
    hex::encode(hash.finalize())
}

/// Whether a text can name a message group.
fn is_group(text: &str) -> bool {
    !text.is_empty() && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("billing", true)]
    #[case("~!", true)]
    #[case("", false)]
    #[case("a team", false)]
    #[case("\u{7f}", false)]
    #[case("équipe", false)]
    #[case(&"x".repeat(128), true)]
    #[case(&"x".repeat(129), false)]
    fn a_group_is_named_as_sqs_allows(#[case] team: &str, #[case] good: bool) {
        assert_eq!(is_group(team), good);
    }
}
