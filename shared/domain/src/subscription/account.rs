//! What is kept of an account: its desired state, our registrations at the source, and how it went.

use std::collections::BTreeSet;

use crate::account::{AccountName, KeysVersion, TokenEntry, TokenHash, TokenStatus, WebhookId};
use crate::event::TypeRow;
use crate::signature::Policy;
use crate::source::Source;
use crate::subscription::{Baseline, EventSelection, MOST_UNSENT, Part, Unsent};
use crate::timestamp::Timestamp;

/// The most history entries that are kept; older ones are forgotten.
pub const LONGEST_HISTORY: usize = 50;

/// An account: what was asked for, and what of it is known to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The operator's name for it.
    pub name: AccountName,
    /// The source whose webhooks it receives.
    pub source: Source,
    /// What the operator asked for last.
    pub desired: Desired,
    /// The event types that its webhook shall be subscribed to.
    pub events: EventSelection,
    /// The URL tokens that the source was told, or was about to be told. Retired ones are known by their own
    /// entries only.
    pub registrations: Vec<Registration>,
    /// When it was first connected.
    pub created: Timestamp,
    /// When anything here changed last.
    pub changed: Timestamp,
    /// Why the desired state is not reached yet, or what was left behind in reaching it.
    pub last_error: Option<LastError>,
    /// Webhooks at our own addresses whose tokens belong to nobody.
    pub orphans: Vec<Orphan>,
    /// Until when the source asked to be left alone.
    pub quiet_until: Option<Timestamp>,
    /// What could not be corrected of its webhooks, by [`difference`](super::difference): the source was asked, and
    /// keeps them otherwise.
    pub uncorrected: BTreeSet<String>,
    /// What becomes of requests that offer no proof but the URL, where the operator chose.
    pub policy: Option<Policy>,
    /// Whether the source does not list the site's webhooks, so that only silence shows what became of ours.
    pub is_unlisted: bool,
    /// What keeps our webhook from delivering and is not ours to repair, in plain words.
    pub stopped: Option<String>,
    /// When deliveries usually come.
    pub baseline: Baseline,
    /// What happened, oldest first; at most [`LONGEST_HISTORY`] entries.
    pub history: Vec<Entry>,
    /// What of it teams are yet to be sent, oldest first; at most [`MOST_UNSENT`] events.
    pub unsent: Vec<Unsent>,
}

/// What an operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Desired {
    /// Exactly one webhook of ours, for the selected events.
    Connected,
    /// No webhook of ours, and no delivery taken.
    Disconnected {
        /// Whether all of it is done, the secrets' deletion included.
        done: bool,
    },
}

/// A URL token, and the webhook that was registered with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The token's hash.
    pub token: TokenHash,
    /// The webhook, once the source has named it.
    pub webhook: Option<WebhookId>,
    /// The version of its keys that was stored last.
    pub keys: KeysVersion,
    /// How far it got.
    pub state: RegistrationState,
    /// The name of the [`Part`] that it brings; empty for the one without a name.
    pub part: String,
}

/// A webhook that is sent to an address of ours and has a token that this installation does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orphan {
    /// The token's hash.
    pub token: TokenHash,
    /// When it was noticed.
    pub first_seen: Timestamp,
}

/// How long an unknown token has to stay unknown before its webhook is taken away, in seconds: whatever is being
/// restored or moved at this moment is known again by then.
const STRANGER_SECONDS: u64 = 3600;

impl Orphan {
    /// Whether it was unknown for so long that nobody will come to know it.
    #[must_use]
    pub fn is_stray(&self, now: Timestamp) -> bool {
        self.first_seen.plus_seconds(STRANGER_SECONDS) < now
    }
}

/// How far a registration got. Mirrors [`TokenStatus`], which also knows the retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationState {
    /// The source may know of it, or not: the answer has not been seen.
    Pending,
    /// The source's webhook, in use.
    Live,
    /// In use, until another is registered that takes over from it.
    Replacing,
    /// Another webhook has taken over. This one stays at the source until that one has brought a delivery, so
    /// that nothing is lost should it bring none.
    Draining {
        /// When the other took over.
        since: Timestamp,
        /// How long it waits for that delivery.
        until: Timestamp,
    },
    /// The webhook was replaced; retries of its deliveries are taken until then.
    Expired {
        /// The end of the grace.
        until: Timestamp,
    },
}

impl RegistrationState {
    /// The status of a token in this state.
    #[must_use]
    pub fn status(self) -> TokenStatus {
        match self {
            Self::Pending => TokenStatus::Pending,
            Self::Live | Self::Replacing => TokenStatus::Live,
            Self::Draining { .. } | Self::Expired { .. } => TokenStatus::Grace,
        }
    }
}

/// One webhook taking over from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation<'a> {
    /// Another is yet to be registered.
    Begun {
        /// The webhook in use.
        old: &'a Registration,
    },
    /// Both are at the source, and both are accepted.
    Overlap {
        /// The webhook that is on its way out.
        old: &'a Registration,
        /// When the new one took over.
        since: Timestamp,
        /// How long the old one stays without a delivery of the new one.
        until: Timestamp,
    },
}

/// Where an account is on the way to its desired state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// To be connected, without a confirmed webhook yet.
    Connecting,
    /// There is a confirmed webhook.
    Connected,
    /// To be disconnected, not all done.
    Disconnecting,
    /// Nothing of it is left but its history.
    Disconnected,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Connecting,
        Self::Connected,
        Self::Disconnecting,
        Self::Disconnected,
    ];

    /// The state of this name; `None` for any other text.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// The state in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Disconnecting => "disconnecting",
            Self::Disconnected => "disconnected",
        }
    }
}

/// Why a desired state is not reached, in plain words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// Since when.
    pub at: Timestamp,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What, in plain words.
    pub what: String,
    /// Who called the admin API for it; none where a check did it, and in entries of before 0.2.0.
    pub by: Option<Principal>,
}

/// Who called the admin API: the ARN of an IAM identity, and nothing else of it.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal(String);

/// The longest ARN.
const LONGEST_ARN: usize = 2048;

impl Principal {
    /// Takes the ARN; none where the text is no ARN.
    #[must_use]
    pub fn new(arn: &str) -> Option<Self> {
        let is_arn = arn.starts_with("arn:")
            && arn.len() <= LONGEST_ARN
            && arn.bytes().all(|byte| byte.is_ascii_graphic());
        is_arn.then(|| Self(arn.to_owned()))
    }

    /// The ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Account {
    /// An account that shall be connected, and of which nothing is done yet.
    #[must_use]
    pub fn new(name: AccountName, source: Source, events: EventSelection, now: Timestamp) -> Self {
        Self {
            name,
            source,
            desired: Desired::Connected,
            events,
            registrations: Vec::new(),
            created: now,
            changed: now,
            last_error: None,
            orphans: Vec::new(),
            quiet_until: None,
            uncorrected: BTreeSet::new(),
            policy: None,
            is_unlisted: false,
            stopped: None,
            baseline: Baseline::new(now),
            history: Vec::new(),
            unsent: Vec::new(),
        }
    }

    /// Goes on with what is left of an account whose item is gone: the entries of its URL tokens. They say its source.
    /// Of one in its grace nobody knows whether its webhook is at the source still: it is looked for.
    pub fn adopt_entries(&mut self, entries: Vec<(TokenHash, TokenEntry)>, now: Timestamp) {
        for (token, entry) in entries {
            let state = match entry.status {
                TokenStatus::Pending => RegistrationState::Pending,
                TokenStatus::Live => RegistrationState::Live,
                TokenStatus::Grace => RegistrationState::Draining {
                    since: now,
                    until: now,
                },
                TokenStatus::Retired => continue,
            };
            self.source = entry.source;
            self.policy = self.policy.or(entry.policy);
            self.register(Registration {
                token,
                webhook: entry.webhook,
                keys: entry.keys,
                state,
                // Where the source shows it, the webhook's URL names it.
                part: String::new(),
            });
        }
    }

    /// Desires to be connected for these events. What was usual for others, or before a disconnect, says nothing
    /// any more.
    pub fn connect_for(&mut self, events: EventSelection, now: Timestamp) {
        if self.desired != Desired::Connected || self.events != events {
            self.baseline = Baseline {
                last: self.baseline.last,
                ..Baseline::new(now)
            };
        }
        self.desired = Desired::Connected;
        self.events = events;
    }

    /// Where the account is.
    #[must_use]
    pub fn state(&self) -> State {
        match self.desired {
            Desired::Connected if self.live().is_some() => State::Connected,
            Desired::Connected => State::Connecting,
            Desired::Disconnected { done: false } => State::Disconnecting,
            Desired::Disconnected { done: true } => State::Disconnected,
        }
    }

    /// Whether the source asked to be left alone for longer than now.
    #[must_use]
    pub fn is_quiet(&self, now: Timestamp) -> bool {
        self.quiet_until.is_some_and(|until| now < until)
    }

    /// For how many seconds more the source wants to be left alone, if it does.
    #[must_use]
    pub fn quiet_seconds(&self, now: Timestamp) -> Option<u64> {
        let until = self.quiet_until.filter(|until| now < *until)?;
        Some((until.millis() - now.millis()).div_ceil(1000))
    }

    /// The registration in use: the newest, where one was replaced and that is not yet entered.
    #[must_use]
    pub fn live(&self) -> Option<&Registration> {
        let newest = |state: RegistrationState| {
            let mut registrations = self.registrations.iter().rev();
            registrations.find(|registration| registration.state == state)
        };
        newest(RegistrationState::Live).or_else(|| newest(RegistrationState::Replacing))
    }

    /// The rotation that is under way.
    #[must_use]
    pub fn rotation(&self) -> Option<Rotation<'_>> {
        self.registrations
            .iter()
            .find_map(|registration| match registration.state {
                RegistrationState::Replacing => Some(Rotation::Begun { old: registration }),
                RegistrationState::Draining { since, until } => Some(Rotation::Overlap {
                    old: registration,
                    since,
                    until,
                }),
                RegistrationState::Pending
                | RegistrationState::Live
                | RegistrationState::Expired { .. } => None,
            })
    }

    /// The account as if it had this part alone: with its registrations and its events.
    #[must_use]
    pub fn of_part(&self, part: &Part) -> Self {
        let mut alone = Self {
            events: part.events.clone(),
            ..self.clone()
        };
        alone.registrations.retain(|own| own.part == part.name);
        alone
    }

    /// Desires another webhook in place of each that is in use. Says whether there is one to be replaced.
    pub fn rotate(&mut self) -> bool {
        self.rotate_where(|_| true)
    }

    /// Desires another webhook in place of the one in use for this part. Says whether there is one to be replaced.
    pub fn rotate_part(&mut self, part: &str) -> bool {
        self.rotate_where(|registration| registration.part == part)
    }

    fn rotate_where(&mut self, is_chosen: impl Fn(&Registration) -> bool) -> bool {
        let mut is_any = false;
        for registration in &mut self.registrations {
            if registration.state == RegistrationState::Live && is_chosen(registration) {
                registration.state = RegistrationState::Replacing;
                is_any = true;
            }
        }
        is_any
    }

    /// Enters that a webhook is in use from now on. Those of its part that it takes over from wait for its first delivery
    /// until then; their tokens are returned.
    pub fn hand_over(
        &mut self,
        to: Registration,
        now: Timestamp,
        until: Timestamp,
    ) -> Vec<TokenHash> {
        let mut waiting = Vec::new();
        for registration in &mut self.registrations {
            if matches!(
                registration.state,
                RegistrationState::Replacing | RegistrationState::Draining { .. }
            ) && registration.token != to.token
                && registration.part == to.part
            {
                registration.state = RegistrationState::Draining { since: now, until };
                waiting.push(registration.token);
            }
        }
        self.register(to);
        waiting
    }

    /// The registration of a token, unless it is retired.
    #[must_use]
    pub fn registration(&self, token: &TokenHash) -> Option<&Registration> {
        self.registrations
            .iter()
            .find(|registration| registration.token == *token)
    }

    /// The registration of a webhook.
    #[must_use]
    pub fn registration_of(&self, webhook: &WebhookId) -> Option<&Registration> {
        self.registrations
            .iter()
            .find(|registration| registration.webhook.as_ref() == Some(webhook))
    }

    /// The token of the registration that a webhook's label names.
    #[must_use]
    pub fn registration_labelled(&self, label: &str) -> Option<TokenHash> {
        let mut tokens = self.registrations.iter().map(|own| own.token);
        tokens.find(|token| label.contains(&token.label()))
    }

    /// What the table says of a token of this account.
    #[must_use]
    pub fn entry(&self, token: &TokenHash) -> TokenEntry {
        let registration = self.registration(token);
        TokenEntry {
            account: self.name.clone(),
            source: self.source,
            keys: registration.map_or_else(KeysVersion::default, |registration| registration.keys),
            webhook: registration.and_then(|registration| registration.webhook.clone()),
            status: registration.map_or(TokenStatus::Retired, |registration| {
                registration.state.status()
            }),
            policy: self.policy,
        }
    }

    /// Enters that the webhook of a token brings this part. Says whether that is new.
    pub fn move_to_part(&mut self, token: &TokenHash, part: &str) -> bool {
        let mut registrations = self.registrations.iter_mut();
        let moved = registrations.find(|own| own.token == *token && own.part != part);
        if let Some(registration) = moved {
            part.clone_into(&mut registration.part);
            return true;
        }
        false
    }

    /// Enters a registration, or replaces that of the same token.
    pub fn register(&mut self, registration: Registration) {
        self.forget(&registration.token.clone());
        self.registrations.push(registration);
    }

    /// Forgets a registration: its token's entry says `retired` from now on.
    pub fn forget(&mut self, token: &TokenHash) {
        self.registrations
            .retain(|registration| registration.token != *token);
    }

    /// Enters which unknown tokens the source has webhooks for. The time of those that were there before stays.
    /// Says whether anything is new.
    pub fn note_orphans(&mut self, tokens: &[TokenHash], now: Timestamp) -> bool {
        let known = |token: &TokenHash| self.orphans.iter().find(|known| known.token == *token);
        let met: Vec<Orphan> = tokens
            .iter()
            .map(|token| {
                known(token).copied().unwrap_or(Orphan {
                    token: *token,
                    first_seen: now,
                })
            })
            .collect();
        let is_new = met != self.orphans;
        self.orphans = met;
        is_new
    }

    /// The types, out of those that this release knows, that the account is not subscribed to.
    #[must_use]
    pub fn unselected(&self, known: &[TypeRow]) -> Vec<&'static str> {
        let is_selected = |row: &&TypeRow| self.events.names().iter().any(|name| name == row.name);
        let unselected = known.iter().filter(|row| !is_selected(row));
        unselected.map(|row| row.name).collect()
    }

    /// Enters something that happened, and whose call did it.
    pub fn note(&mut self, at: Timestamp, what: impl Into<String>, by: Option<&Principal>) {
        self.history.push(Entry {
            at,
            what: what.into(),
            by: by.cloned(),
        });
        let excess = self.history.len().saturating_sub(LONGEST_HISTORY);
        self.history.drain(..excess);
    }

    /// Remembers an account event that is yet to be sent. Returns how many older ones are given up for it.
    pub fn remember_unsent(&mut self, unsent: Unsent) -> usize {
        self.unsent.push(unsent);
        let excess = self.unsent.len().saturating_sub(MOST_UNSENT);
        self.unsent.drain(..excess);
        excess
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Effect;
    use crate::identity::DeliveryId;
    use crate::lane::Lane;

    const KNOWN: [TypeRow; 2] = [row("order.created"), row("order.updated")];

    const fn row(name: &'static str) -> TypeRow {
        TypeRow {
            name,
            kind: "order",
            effect: Effect::State,
            lane: Lane::Orders,
            timed: false,
        }
    }

    fn account() -> Account {
        Account::new(
            "acme".parse().unwrap(),
            Source::Orderspace,
            EventSelection::all(&KNOWN),
            Timestamp::from_millis(0),
        )
    }

    #[test]
    fn a_principal_is_an_arn_and_nothing_else() {
        let role = "arn:aws:sts::111122223333:assumed-role/Admin/ops@example.com";
        assert_eq!(
            Principal::new(role).map(|principal| principal.0),
            Some(role.to_owned())
        );
        let long = format!("arn:{}", "x".repeat(2045));
        for other in [
            "",
            "AIDACKCEVSQ6C2EXAMPLE",
            "arn:aws:iam::1:user/a\nb",
            "arn:é",
            &long,
        ] {
            assert_eq!(Principal::new(other), None, "{other}");
        }
    }

    #[test]
    fn history_is_bounded_and_keeps_the_newest() {
        let mut account = account();
        for number in 0..=LONGEST_HISTORY {
            account.note(Timestamp::from_millis(0), number.to_string(), None);
        }
        assert_eq!(account.history.len(), LONGEST_HISTORY);
        assert_eq!(
            account.history.last().unwrap().what,
            LONGEST_HISTORY.to_string()
        );
    }

    #[test]
    fn unsent_events_are_bounded_and_the_oldest_given_up() {
        use crate::subscription::{AccountEvent, AccountEventKind};
        let mut account = account();
        let given_up = (0..MOST_UNSENT + 2).map(|position| {
            let (name, at) = (&account.name.clone(), Timestamp::from_millis(0));
            let kind = AccountEventKind::Changed;
            let event = AccountEvent::new(name, at, position, kind, "", account.state());
            let queues = [crate::ports::QueueUrl::new("q")].into();
            account.remember_unsent(Unsent { event, queues })
        });
        assert_eq!(given_up.sum::<usize>(), 2);
        assert_eq!(account.unsent.len(), MOST_UNSENT);
        assert_eq!(account.unsent.first().unwrap().event.id.index().get(), 2);
    }

    #[test]
    fn what_is_usual_is_forgotten_with_the_selection_it_was_usual_for() {
        let mut account = account();
        account.baseline.hours = 400;
        account.connect_for(EventSelection::all(&KNOWN), Timestamp::from_millis(1));
        assert_eq!(account.baseline.hours, 400);
        let fewer = EventSelection::all(&KNOWN[..1]);
        let last = Some(DeliveryId::new(Timestamp::from_millis(1), &[1; 10]));
        account.baseline.last = last;
        account.connect_for(fewer.clone(), Timestamp::from_millis(2));
        // When the last delivery came stays known.
        let anew = Baseline {
            last,
            ..Baseline::new(Timestamp::from_millis(2))
        };
        assert_eq!(account.baseline, anew);
        account.baseline.hours = 400;
        account.desired = Desired::Disconnected { done: true };
        account.connect_for(fewer, Timestamp::from_millis(3));
        assert_eq!(account.baseline.hours, 0);
        assert_eq!(account.desired, Desired::Connected);
    }

    #[test]
    fn what_is_left_of_an_account_is_adopted_with_its_source_and_its_choice() {
        let token = |number| crate::account::UrlToken::from_random(&[number; 32]).hash();
        let at = Timestamp::from_millis;
        let entry = |number: u8, status| {
            let entry = TokenEntry {
                account: "acme".parse().unwrap(),
                source: Source::OneStock,
                webhook: Some(WebhookId::new(number.to_string())),
                keys: KeysVersion::new(number.into()),
                status,
                policy: Some(Policy::Require),
            };
            (token(number), entry)
        };
        let mut account = account();
        account.adopt_entries(Vec::new(), at(5));
        assert_eq!(account.source, Source::Orderspace);
        let entries = vec![
            entry(1, TokenStatus::Pending),
            entry(2, TokenStatus::Live),
            entry(3, TokenStatus::Grace),
            entry(4, TokenStatus::Retired),
        ];
        account.adopt_entries(entries.clone(), at(5));
        assert_eq!(
            (account.source, account.policy),
            (Source::OneStock, Some(Policy::Require))
        );
        let (since, until) = (at(5), at(5));
        let states: Vec<_> = account.registrations.iter().map(|own| own.state).collect();
        let draining = RegistrationState::Draining { since, until };
        let expected = [
            RegistrationState::Pending,
            RegistrationState::Live,
            draining,
        ];
        assert_eq!(states, expected);
        for (token, entry) in &entries[..3] {
            assert_eq!(
                account.entry(token),
                *entry,
                "nothing of it changes by that"
            );
        }
    }

    #[test]
    fn an_orphan_is_a_stray_after_more_than_an_hour_in_a_row() {
        let token = crate::account::UrlToken::from_random(&[1; 32]).hash();
        let mut account = account();
        let at = Timestamp::from_millis;
        assert!(account.note_orphans(&[token], at(1000)));
        assert!(!account.note_orphans(&[token], at(3_600_000)));
        assert!(!account.orphans[0].is_stray(at(3_601_000)));
        assert!(account.orphans[0].is_stray(at(3_601_001)));
        assert!(account.note_orphans(&[], at(3_601_001)));
        assert!(account.note_orphans(&[token], at(3_601_001)));
        assert!(!account.orphans[0].is_stray(at(7_000_000)));
    }

    #[test]
    fn a_rotation_hands_over_from_one_webhook_to_the_next() {
        let mut account = account();
        assert!(!account.rotate(), "there is nothing to replace");
        let at = Timestamp::from_millis;
        let registration = |number, state| Registration {
            token: crate::account::UrlToken::from_random(&[number; 32]).hash(),
            webhook: Some(WebhookId::new(number.to_string())),
            keys: KeysVersion::default(),
            state,
            part: String::new(),
        };
        let (old, new) = (
            registration(1, RegistrationState::Live),
            registration(2, RegistrationState::Live),
        );
        account.register(old.clone());
        assert_eq!(account.rotation(), None);
        assert!(account.rotate());
        let leaving = registration(1, RegistrationState::Replacing);
        assert_eq!(account.rotation(), Some(Rotation::Begun { old: &leaving }));
        assert_eq!(account.live(), Some(&leaving), "it is still in use");
        assert_eq!(account.state(), State::Connected);
        assert_eq!(
            account.hand_over(new.clone(), at(5), at(9)),
            [leaving.token]
        );
        assert_eq!(account.live(), Some(&new));
        let (since, until) = (at(5), at(9));
        let old = registration(1, RegistrationState::Draining { since, until });
        assert_eq!(
            account.rotation(),
            Some(Rotation::Overlap {
                old: &old,
                since,
                until
            })
        );
        assert!(account.entry(&old.token).status.takes_deliveries());
        // A third that takes over from the second is waited for anew.
        account.hand_over(registration(3, RegistrationState::Live), at(7), at(11));
        let waits = account.registration(&old.token).unwrap().state;
        let (since, until) = (at(7), at(11));
        assert_eq!(waits, RegistrationState::Draining { since, until });
    }

    #[test]
    fn the_state_follows_what_is_desired_and_registered() {
        let mut account = account();
        assert_eq!(account.state(), State::Connecting);
        let token = crate::account::UrlToken::from_random(&[1; 32]).hash();
        let mut registration = Registration {
            token,
            webhook: None,
            keys: KeysVersion::default(),
            state: RegistrationState::Pending,
            part: String::new(),
        };
        account.register(registration.clone());
        assert_eq!(account.state(), State::Connecting);
        registration.state = RegistrationState::Live;
        account.register(registration);
        assert_eq!(account.registrations.len(), 1);
        assert_eq!(account.state(), State::Connected);
        account.desired = Desired::Disconnected { done: false };
        assert_eq!(account.state(), State::Disconnecting);
        account.forget(&token);
        assert_eq!(account.entry(&token).status, TokenStatus::Retired);
        account.desired = Desired::Disconnected { done: true };
        assert_eq!(account.state(), State::Disconnected);
    }

    #[test]
    fn states_have_their_words() {
        use State::{Connected, Connecting, Disconnected, Disconnecting};
        let states = [Connecting, Connected, Disconnecting, Disconnected];
        let words = ["connecting", "connected", "disconnecting", "disconnected"];
        assert_eq!(states.map(State::as_str), words);
    }

    #[test]
    fn an_account_is_quiet_until_the_moment_that_the_source_named() {
        let mut account = account();
        let at = Timestamp::from_millis;
        assert!(!account.is_quiet(at(0)));
        account.quiet_until = Some(at(5));
        assert_eq!(
            [4, 5, 6].map(|now| account.is_quiet(at(now))),
            [true, false, false]
        );
    }

    #[test]
    fn the_last_delivery_is_known_whatever_is_forgotten() {
        let mut account = account();
        let last = DeliveryId::new(Timestamp::from_millis(1), &[1; 10]);
        account.baseline.last = Some(last);
        account.desired = Desired::Disconnected { done: true };
        let events = account.events.clone();
        account.connect_for(events, Timestamp::from_millis(2));
        assert_eq!(account.baseline.last, Some(last));
    }

    #[test]
    fn what_is_not_selected_is_what_the_release_knows_and_the_account_lacks() {
        let mut account = account();
        assert_eq!(account.unselected(&KNOWN), [""; 0]);
        account.events = EventSelection::all(&KNOWN[..1]);
        assert_eq!(account.unselected(&KNOWN), ["order.updated"]);
    }

    #[test]
    fn a_registration_is_found_by_its_webhook_and_one_that_is_renewed_waits_for_nobody() {
        let mut account = account();
        let at = Timestamp::from_millis;
        let registration = |number, state| Registration {
            token: crate::account::UrlToken::from_random(&[number; 32]).hash(),
            webhook: Some(WebhookId::new(number.to_string())),
            keys: KeysVersion::default(),
            state,
            part: String::new(),
        };
        account.register(registration(1, RegistrationState::Live));
        account.register(registration(2, RegistrationState::Live));
        let found = account.registration_of(&WebhookId::new("2"));
        assert_eq!(found, Some(&registration(2, RegistrationState::Live)));
        assert_eq!(account.registration_of(&WebhookId::new("3")), None);
        assert!(account.rotate());
        // The webhook that takes over was itself about to leave.
        let waiting = account.hand_over(registration(2, RegistrationState::Live), at(5), at(9));
        assert_eq!(waiting, [registration(1, RegistrationState::Live).token]);
        assert_eq!(
            account.live(),
            Some(&registration(2, RegistrationState::Live))
        );
    }

    #[test]
    fn each_part_of_an_account_rotates_by_itself() {
        let mut account = account();
        let at = Timestamp::from_millis;
        let registration = |number, part: &str| Registration {
            token: crate::account::UrlToken::from_random(&[number; 32]).hash(),
            webhook: Some(WebhookId::new(number.to_string())),
            keys: KeysVersion::default(),
            state: RegistrationState::Live,
            part: part.to_owned(),
        };
        account.register(registration(1, ""));
        account.register(registration(2, "a"));
        assert!(!account.rotate_part("b"));
        assert!(account.rotate_part("a"));
        let part = |name: &str| Part {
            name: name.to_owned(),
            events: EventSelection::all(&KNOWN[..1]),
        };
        let alone = account.of_part(&part("a"));
        assert_eq!(alone.events, part("a").events);
        assert_eq!(alone.registrations.len(), 1);
        assert!(alone.rotation().is_some());
        let other = account.of_part(&part(""));
        assert_eq!(other.rotation(), None);
        assert_eq!(other.live(), Some(&registration(1, "")));
        assert_eq!(account.of_part(&part("b")).live(), None);
        // All of them at once, and each hands over for itself.
        assert!(account.rotate());
        let waiting = account.hand_over(registration(3, "a"), at(5), at(9));
        assert_eq!(waiting, [registration(2, "").token]);
        let other = account.of_part(&part(""));
        assert!(matches!(other.rotation(), Some(Rotation::Begun { .. })));
        let waiting = account.hand_over(registration(4, ""), at(5), at(9));
        assert_eq!(waiting, [registration(1, "").token]);
    }

    #[test]
    fn a_registration_is_moved_to_the_part_that_its_url_names() {
        let mut account = account();
        let token = crate::account::UrlToken::from_random(&[1; 32]).hash();
        assert!(!account.move_to_part(&token, "a"));
        account.register(Registration {
            token,
            webhook: None,
            keys: KeysVersion::default(),
            state: RegistrationState::Live,
            part: String::new(),
        });
        assert!(account.move_to_part(&token, "a"));
        assert!(!account.move_to_part(&token, "a"));
        assert_eq!(account.registration(&token).unwrap().part, "a");
    }
}
