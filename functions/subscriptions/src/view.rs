//! What callers see of accounts.

use std::collections::BTreeMap;

use domain::erasure::{Erasure, Progress};
use domain::identity::DeliveryId;
use domain::record::Subject;
use domain::signature::{Assurance, Policy};
use domain::subscription::{
    Account, AllAccounts, Entry, FailedDelivery, LastError, Principal, Registration,
    RegistrationState, Rotation, Silence, State,
};
use serde::Serialize;
use sources::{facts, parts, protocol, shared_types};

/// An account in a list. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    account: String,
    source: &'static str,
    /// `connecting`, `waiting`, `connected`, `disconnecting` or `disconnected`.
    state: &'static str,
    /// What that means, and what to do if anything is to be done.
    explanation: String,
    events: Vec<String>,
    /// Types that this release knows and the account has not selected.
    unselected_events: Vec<&'static str>,
    webhook: Option<String>,
    /// The webhooks, where event types need several; absent where one brings all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartView>,
    /// Null unless another webhook is taking over from one.
    rotation: Option<Turn>,
    /// What becomes of deliveries that offer no proof but their URL: `require` (they are refused) or `observe`.
    proof: &'static str,
    created: String,
    changed: String,
    last_error: Option<Happening>,
    /// Set while no delivery comes for much longer than is usual; with the time at which that was noticed.
    suspect: Option<Happening>,
}

/// What one of several webhooks brings.
#[derive(Debug, Clone, Serialize)]
struct PartView {
    /// What its URL names behind the token; empty for the webhook that brings all types which can share one.
    part: String,
    events: Vec<String>,
    /// Null until it is confirmed.
    webhook: Option<String>,
}

impl PartView {
    /// The parts of an account that has more than the one without a name.
    fn all(account: &Account) -> Vec<Self> {
        let parts = parts(account.source, &account.events);
        if parts.iter().all(|part| part.name.is_empty()) {
            return Vec::new();
        }
        let parts = parts.into_iter().map(|part| Self {
            webhook: webhook(&account.of_part(&part)),
            events: part.events.names().to_vec(),
            part: part.name,
        });
        parts.collect()
    }
}

/// The source's id of the webhook in use.
fn webhook(account: &Account) -> Option<String> {
    let live = account.live()?;
    live.webhook.as_ref().map(ToString::to_string)
}

/// A rotation that is under way.
#[derive(Debug, Clone, Serialize)]
struct Turn {
    /// The webhook that is on its way out.
    old_webhook: Option<String>,
    /// When the new one took over; null before that.
    since: Option<String>,
    /// How long the old one stays at the most; null before that.
    until: Option<String>,
    /// What it waits for.
    message: String,
}

impl Turn {
    fn of(account: &Account) -> Option<Self> {
        let rotation = account.rotation()?;
        let named =
            |registration: &Registration| registration.webhook.as_ref().map(ToString::to_string);
        let title = facts(account.source).title;
        Some(match rotation {
            Rotation::Begun { old } => Self {
                old_webhook: named(old),
                since: None,
                until: None,
                message: format!(
                    "another webhook is to be registered at {title}; until then nothing changes, and checks go on \
                     with it"
                ),
            },
            Rotation::Overlap { old, since, until } => Self {
                old_webhook: named(old),
                since: Some(since.to_string()),
                until: Some(until.to_string()),
                message: format!(
                    "both webhooks deliver, so events come twice, each time with an id of its own; the check after \
                     the first accepted delivery of the new one deletes the old one, or the first check after {until}"
                ),
            },
        })
    }
}

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
struct Happening {
    at: String,
    message: String,
    /// The ARN of whoever called for it; left out where a check did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// An account with its history, oldest first.
#[derive(Debug, Clone, Serialize)]
pub struct Full {
    #[serde(flatten)]
    summary: Summary,
    history: Vec<Happening>,
}

/// An account with its history and its last delivery.
#[derive(Debug, Clone, Serialize)]
pub struct Detail {
    #[serde(flatten)]
    full: Full,
    /// Null if none is known.
    last_delivery: Option<LastDelivery>,
    /// Verified deliveries that were refused since the last one that was accepted.
    strikes: Failures,
}

/// Refused deliveries, counted.
#[derive(Debug, Clone, Serialize)]
pub struct Failures {
    count: usize,
    causes: BTreeMap<String, usize>,
    /// The latest, newest first.
    latest: Vec<Failed>,
}

/// A delivery that was refused.
#[derive(Debug, Clone, Serialize)]
struct Failed {
    at: String,
    delivery: String,
    cause: String,
}

/// How many failed deliveries are shown one by one.
const SHOWN_FAILURES: usize = 10;

impl Failures {
    fn of(run: &[FailedDelivery]) -> Self {
        let mut causes = BTreeMap::new();
        for failed in run {
            *causes.entry(failed.cause.clone()).or_default() += 1;
        }
        let latest = run.iter().take(SHOWN_FAILURES).map(|failed| Failed {
            at: failed.at.to_string(),
            delivery: failed.delivery.to_string(),
            cause: failed.cause.clone(),
        });
        Self {
            count: run.len(),
            causes,
            latest: latest.collect(),
        }
    }
}

/// The last delivery: its id, when it was first seen, and what proved it.
#[derive(Debug, Clone, Serialize)]
pub struct LastDelivery {
    id: String,
    at: String,
    /// `signature`, `shared_secret` or `url_token`; null where its receipt does not say.
    proof: Option<&'static str>,
}

/// All accounts, by name.
#[derive(Debug, Clone, Serialize)]
pub struct AccountList {
    accounts: Vec<Summary>,
    /// Accounts that this release cannot read as they are kept, and what to do.
    unreadable: Vec<Unreadable>,
}

/// An account that cannot be read.
#[derive(Debug, Clone, Serialize)]
struct Unreadable {
    account: String,
    explanation: &'static str,
}

/// What to do about an account that cannot be read.
const UNREADABLE: &str = "this release cannot read what is kept of the account, and nobody checks it. Where a newer release \
                          wrote it, deploy that; where it is damaged, PUT connects the account anew and DELETE removes it";

impl Summary {
    fn of(account: &Account) -> Self {
        let parts = PartView::all(account);
        let first = parts.iter().find_map(|part| part.webhook.clone());
        Self {
            account: account.name.to_string(),
            source: account.source.as_str(),
            state: state(account),
            explanation: explanation(account),
            events: account.events.names().to_vec(),
            unselected_events: account.unselected(&shared_types(account.source)),
            webhook: first.or_else(|| webhook(account)),
            parts,
            rotation: Turn::of(account),
            proof: policy(account).as_str(),
            created: account.created.to_string(),
            changed: account.changed.to_string(),
            last_error: account.last_error.as_ref().map(Happening::from),
            suspect: account.baseline.suspect.map(|silence| Happening {
                at: silence.noticed.to_string(),
                message: silent(account, silence),
                by: None,
            }),
        }
    }
}

/// The state in one word. A manual account waits for a person before it is connected.
fn state(account: &Account) -> &'static str {
    match account.state() {
        State::Connecting if is_manual(account) => "waiting",
        state => state.as_str(),
    }
}

fn is_manual(account: &Account) -> bool {
    facts(account.source).life_cycle.is_manual()
}

/// What becomes of unproved deliveries: the operator's choice, else the source's own policy.
fn policy(account: &Account) -> Policy {
    account.policy.unwrap_or(facts(account.source).policy)
}

/// What a manual account waits for.
fn waiting(account: &Account) -> String {
    let title = facts(account.source).title;
    match account.registrations.is_empty() {
        true => format!(
            "there is no URL yet: POST /v1/accounts/{}/endpoint makes one, to be registered at {title} by hand",
            account.name
        ),
        false => format!(
            "the URL has brought no delivery yet: register it at {title} by hand, with the signing secret that is kept \
             here; the check after the first delivery takes it for connected"
        ),
    }
}

/// What is to be known of a connected account's webhook besides its last error.
fn remarks(account: &Account) -> String {
    let title = facts(account.source).title;
    let mut words = String::new();
    if is_manual(account) && has_unused_url(account) {
        words += &format!(
            "; another URL was made and has brought no delivery yet: register it at {title} by hand. The one in use stays \
             so until then"
        );
    }
    if let Some(stopped) = &account.stopped {
        words += &format!("; {stopped}");
    }
    if account.is_unlisted {
        words += &format!(
            "; {title} does not list its webhooks, so that ours was removed or disabled shows by silence alone"
        );
    }
    let uncovered = uncovered(account);
    if !uncovered.is_empty() {
        words += &format!(
            "; not selected, and \"*\" does not select them, since each needs a webhook of its own: {}",
            uncovered.join(", ")
        );
    }
    if policy(account) == Policy::Observe {
        words += "; deliveries without a signature that fits are taken, proved by their URL alone";
    }
    words
}

/// Whether a URL waits for its first delivery.
fn has_unused_url(account: &Account) -> bool {
    let mut registrations = account.registrations.iter();
    registrations.any(|own| own.state == RegistrationState::Pending)
}

/// The event types that need a webhook of their own and are not selected.
fn uncovered(account: &Account) -> Vec<&'static str> {
    let protocol = protocol(account.source);
    let unselected = account.unselected(facts(account.source).types).into_iter();
    unselected
        .filter(|name| !protocol.part(name).is_empty())
        .collect()
}

/// The state in plain words.
fn explanation(account: &Account) -> String {
    let error = account.last_error.as_ref().map(|error| &error.message);
    match (account.state(), error) {
        (State::Connecting, None) if is_manual(account) => waiting(account),
        (State::Connecting, None) => "the webhook is being registered".to_owned(),
        (State::Connecting, Some(error)) => {
            format!("there is no confirmed webhook yet: {error}")
        }
        (State::Connected, error) => {
            let mut words = match is_manual(account) {
                true => "the URL brings deliveries, and they are taken".to_owned(),
                false => "the webhook is confirmed and its deliveries are taken".to_owned(),
            };
            if let Some(error) = error {
                words += &format!("; but not all is as it shall be: {error}");
            }
            words += &remarks(account);
            if let Some(silence) = account.baseline.suspect {
                words += &format!("; {}", silent(account, silence));
            }
            words
        }
        (State::Disconnecting, None) => {
            "the webhook and the secrets are being removed; its deliveries are taken until then"
                .to_owned()
        }
        (State::Disconnecting, Some(error)) => {
            format!("not everything is removed yet: {error}")
        }
        (State::Disconnected, None) => {
            "nothing is left but this history; PUT connects the account again".to_owned()
        }
        (State::Disconnected, Some(left)) => {
            format!("its deliveries are refused, and something was left behind: {left}")
        }
    }
}

fn silent(account: &Account, silence: Silence) -> String {
    if is_manual(account) || account.is_unlisted {
        return format!(
            "no delivery came since {}, where {} or more are usual. {} shows nothing of the webhook to us: look there \
             whether it is enabled",
            account.baseline.silent_since(),
            silence.missed,
            facts(account.source).title
        );
    }
    format!(
        "no delivery came since {}, where {} or more are usual. The webhook was compared with {}'s list, which \
         does not show whether it was disabled: if there was something to deliver, rotate it",
        account.baseline.silent_since(),
        silence.missed,
        facts(account.source).title
    )
}

impl Full {
    /// What is shown of an account.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            summary: Summary::of(account),
            history: account.history.iter().map(Happening::from).collect(),
        }
    }
}

impl Detail {
    /// What is shown of an account and its last delivery.
    #[must_use]
    pub fn of(
        account: &Account,
        last_delivery: Option<LastDelivery>,
        failed: &[FailedDelivery],
    ) -> Self {
        Self {
            full: Full::of(account),
            last_delivery,
            strikes: Failures::of(failed),
        }
    }
}

impl LastDelivery {
    /// What is shown of a delivery.
    #[must_use]
    pub fn of(id: DeliveryId, assurance: Option<Assurance>) -> Self {
        Self {
            id: id.to_string(),
            at: id.first_seen().to_string(),
            proof: assurance.map(Assurance::as_str),
        }
    }
}

impl AccountList {
    /// What is shown of all accounts.
    #[must_use]
    pub fn of(all: &AllAccounts) -> Self {
        let unreadable = all.unreadable.iter().map(|name| Unreadable {
            account: name.to_string(),
            explanation: UNREADABLE,
        });
        Self {
            accounts: all.accounts.iter().map(Summary::of).collect(),
            unreadable: unreadable.collect(),
        }
    }
}

impl From<&LastError> for Happening {
    fn from(error: &LastError) -> Self {
        Self {
            at: error.at.to_string(),
            message: error.message.clone(),
            by: None,
        }
    }
}

impl From<&Entry> for Happening {
    fn from(entry: &Entry) -> Self {
        Self {
            at: entry.at.to_string(),
            message: entry.what.clone(),
            by: entry.by.as_ref().map(|by| by.as_str().to_owned()),
        }
    }
}

/// An erasure, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct ErasureView<'e> {
    account: &'e str,
    /// By which it is shown again.
    erasure: &'e str,
    /// The record's subject, while it runs. Left out of an account's, and once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'e str>,
    /// `running` or `done`.
    state: &'static str,
    begun: String,
    /// Null while it runs.
    ended: Option<String>,
    /// The ARN of whoever asked for it; left out where the gateway named nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'e str>,
    /// What is deleted.
    erases: &'static [&'static str],
    /// What is deleted so far.
    erased: ErasedView,
    /// What is not deleted, and when the last of it expires.
    remains: RemainsView,
}

#[derive(Debug, Serialize)]
struct ErasedView {
    records: u64,
    objects: u64,
}

#[derive(Debug, Serialize)]
struct RemainsView {
    receipts_until: String,
    /// Null where large events never expire; left out of an account's erasure, which deletes all.
    #[serde(skip_serializing_if = "Option::is_none")]
    large_events_until: Option<Option<String>>,
    backups_until: String,
}

impl<'e> ErasureView<'e> {
    pub(crate) fn of(erasure: &'e Erasure) -> Self {
        let (state, ended) = match &erasure.progress {
            Progress::Running(_) => ("running", None),
            Progress::Done(at) => ("done", Some(at.to_string())),
        };
        let is_whole = erasure.id.is_whole();
        let remains = &erasure.remains;
        let events = remains.events.map(|until| until.to_string());
        Self {
            account: erasure.account.as_str(),
            erasure: erasure.id.as_str(),
            subject: erasure.subject.as_ref().map(Subject::as_str),
            state,
            begun: erasure.begun.to_string(),
            ended,
            by: erasure.by.as_ref().map(Principal::as_str),
            erases: match is_whole {
                true => &["records", "objects", "url_tokens", "account"],
                false => &["record", "objects"],
            },
            erased: ErasedView {
                records: erasure.erased.records,
                objects: erasure.erased.objects,
            },
            remains: RemainsView {
                receipts_until: remains.receipts.to_string(),
                large_events_until: (!is_whole).then_some(events),
                backups_until: remains.backups.to_string(),
            },
        }
    }
}
