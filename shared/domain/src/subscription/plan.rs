//! The plan: what is left to do between an account and what its source has.

use sha2::{Digest as _, Sha256};

use crate::account::{TokenHash, WebhookId};
use crate::identity::ContentHash;
use crate::signature::MacKey;
use crate::subscription::{
    Account, Endpoint, Evidence, HooksUrl, LifeCycle, Registration, RegistrationState,
};
use crate::timestamp::Timestamp;

/// A webhook as the source shows it.
#[derive(Debug, Clone)]
pub struct RegisteredWebhook {
    /// The source's id.
    pub id: WebhookId,
    /// Where it is sent to; `None` where the source does not show it.
    pub endpoint: Option<Endpoint>,
    /// The event types it is subscribed to, as the source spells them.
    pub events: Vec<String>,
    /// What its deliveries are signed with; `None` where the source does not show it.
    pub key: Option<MacKey>,
    /// The name or description that it was registered with, where the source keeps one. Ours holds
    /// [`TokenHash::label`].
    pub label: Option<String>,
    /// Whether it is sent to.
    pub condition: Condition,
}

/// Whether a webhook is sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It is; or the source does not show that it is not.
    Active,
    /// Somebody stopped it, and may have had a reason: it is left alone.
    Paused,
    /// The source stopped it.
    Disabled {
        /// Why, in the source's words, where it says so.
        reason: Option<String>,
        /// What helps. Which reason allows what is for the source's client to say.
        remedy: Remedy,
    },
}

/// What helps a webhook that was disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Enabling it, where the source has a call for it.
    Enable,
    /// Another webhook in its place.
    Replace,
    /// A person: it was a person who disabled it, or something that only a person can change.
    Person,
}

/// A webhook at the source that is ours: it was registered with a token of this account. One that somebody pointed
/// elsewhere is theirs now.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The webhook.
    pub webhook: RegisteredWebhook,
    /// The token that it was registered with. What became of it is in the account; a token that is not there is
    /// retired.
    pub token: TokenHash,
}

impl Seen {
    /// Recognises a webhook that was registered at an address of ours, whether or not its token is known.
    ///
    /// | the source | ours is |
    /// |---|---|
    /// | shows the endpoint | what is sent to an address of this installation; or what we registered, with its token, at an address that the installation had before |
    /// | does not | what we registered, by its id, or by its label where the answer to the registration was lost |
    #[must_use]
    pub fn recognise(
        account: &Account,
        hooks: &HooksUrl,
        webhook: RegisteredWebhook,
    ) -> Option<Self> {
        let known = account.registration_of(&webhook.id).map(|own| own.token);
        let token = match &webhook.endpoint {
            Some(endpoint) => {
                let token = endpoint.token()?.hash();
                let is_ours = known == Some(token) || hooks.holds(account.source, endpoint);
                is_ours.then_some(token)?
            }
            None => {
                let labelled = webhook.label.as_deref();
                let labelled = labelled.and_then(|label| account.registration_labelled(label));
                match (known, labelled) {
                    (Some(known), Some(labelled)) if moved(account, &known, &labelled) => labelled,
                    (known, labelled) => known.or(labelled)?,
                }
            }
        };
        Some(Self { webhook, token })
    }
}

/// Whether a webhook that is to be replaced was given the URL of the registration that is to take over, and the answer to
/// that was lost: its label names it.
fn moved(account: &Account, from: &TokenHash, to: &TokenHash) -> bool {
    let state = |token| account.registration(token).map(|own| own.state);
    state(from) == Some(RegistrationState::Replacing)
        && state(to) == Some(RegistrationState::Pending)
}

/// Something to do. Every step can be repeated, and the order of a plan matters.
#[derive(Debug, Clone)]
pub enum Step<'a> {
    /// Register a webhook with a new token: there is none that could be used, or it is to be replaced.
    Register,
    /// Give the webhook the endpoint and events it shall have.
    Correct(&'a Seen),
    /// Enable the webhook again: the source disabled it.
    Enable(&'a Seen),
    /// Make this the account's webhook: keep its key, then say so in its token's entry.
    Adopt(&'a Seen),
    /// Keep the key of a webhook that another takes over from.
    StoreKey(&'a Seen),
    /// Take a webhook of ours away that is one too many.
    Remove(&'a Seen),
    /// Take the webhook away that another has taken over from.
    DeleteReplaced(&'a Seen),
    /// Take a webhook away that brings nothing which is selected any more.
    RemoveUnselected(&'a Seen),
    /// No longer take deliveries by these tokens.
    Retire(Vec<TokenHash>),
    /// Take retries of deliveries by these tokens for a while: their webhooks are gone.
    ExpireToken(Vec<TokenHash>),
}

/// Plans the way to exactly one webhook for the account's events; to two of them while one takes over from the
/// other.
///
/// `seen` are the webhooks of ours that the source has, newest first. A confirmed webhook is kept before one
/// whose registration was never confirmed, and the newer before the older. `evidence` is about the rotation that
/// is under way, `facts` about the source.
///
/// A plan asks the source to register at most one webhook, to correct and to enable at most as many as are kept, and
/// to remove each of the others.
#[must_use]
pub fn plan<'a>(
    account: &Account,
    hooks: &HooksUrl,
    seen: &'a [Seen],
    evidence: Evidence,
    facts: &LifeCycle,
    now: Timestamp,
) -> Vec<Step<'a>> {
    let chosen = choose(account, seen);
    let fates = Fates::of(account, seen, chosen, evidence, now);
    let staying = fates.staying.iter();
    let staying: Vec<&Seen> = staying
        .filter_map(|token| named(account, seen, *token))
        .collect();

    let mut steps = Vec::new();
    // Before another is registered, so that attempts without end do not pile up tokens. If the source comes to
    // know one of these late, it is recognised by its entry and removed.
    if !fates.given_up.is_empty() {
        steps.push(Step::Retire(fates.given_up));
    }
    // What is in service comes first: a registration that does not succeed must not keep it from being repaired.
    for old in &staying {
        steps.extend(repairs(account, hooks, facts, old));
        steps.push(Step::StoreKey(old));
    }
    match chosen {
        Some(chosen) => {
            steps.extend(repairs(account, hooks, facts, chosen));
            steps.push(Step::Adopt(chosen));
        }
        None => steps.push(Step::Register),
    }
    let is_kept = |seen: &Seen| {
        let mut kept = chosen.into_iter().chain(staying.iter().copied());
        kept.any(|kept| kept.webhook.id == seen.webhook.id)
    };
    for other in seen.iter().filter(|seen| !is_kept(seen)) {
        steps.push(if fates.let_go.contains(&other.token) {
            Step::DeleteReplaced(other)
        } else {
            Step::Remove(other)
        });
    }
    if !fates.replaced.is_empty() {
        steps.push(Step::ExpireToken(fates.replaced));
    }
    if !fates.retired.is_empty() {
        steps.push(Step::Retire(fates.retired));
    }
    steps
}

/// Plans the end of a part of which nothing is selected any more: its webhooks go, and retries of their deliveries are
/// taken for a while. `account` has this part alone, see [`Account::of_part`].
#[must_use]
pub fn plan_removal<'a>(account: &Account, seen: &'a [Seen], now: Timestamp) -> Vec<Step<'a>> {
    let mut steps: Vec<Step<'a>> = seen.iter().map(Step::RemoveUnselected).collect();
    let (mut expired, mut retired) = (Vec::new(), Vec::new());
    for registration in &account.registrations {
        match registration.state {
            RegistrationState::Live
            | RegistrationState::Replacing
            | RegistrationState::Draining { .. } => expired.push(registration.token),
            RegistrationState::Pending => retired.push(registration.token),
            RegistrationState::Expired { until } if until <= now => {
                retired.push(registration.token);
            }
            RegistrationState::Expired { .. } => {}
        }
    }
    if !expired.is_empty() {
        steps.push(Step::ExpireToken(expired));
    }
    if !retired.is_empty() {
        steps.push(Step::Retire(retired));
    }
    steps
}

/// What becomes of the account's tokens besides that of the chosen webhook.
#[derive(Default)]
struct Fates {
    /// Nothing came of them.
    given_up: Vec<TokenHash>,
    /// Another of ours is used in their place.
    retired: Vec<TokenHash>,
    /// Their webhooks are gone, or go now.
    replaced: Vec<TokenHash>,
    /// Their webhooks stay until another has shown itself.
    staying: Vec<TokenHash>,
    /// Their webhooks are there and may go.
    let_go: Vec<TokenHash>,
}

impl Fates {
    fn of(
        account: &Account,
        seen: &[Seen],
        chosen: Option<&Seen>,
        evidence: Evidence,
        now: Timestamp,
    ) -> Self {
        let is_seen = |token: TokenHash| seen.iter().any(|seen| seen.token == token);
        // Where ours is gone and somebody registered another one with its token, that one is no webhook to wait for.
        let is_there = |registration: &Registration| {
            let mut seen = seen.iter().filter(|seen| seen.token == registration.token);
            seen.any(|seen| Some(&seen.webhook.id) == registration.webhook.as_ref())
        };
        let chosen = chosen.map(|chosen| chosen.token);
        // What the receipts say is about the webhook in use, so another one has yet to show itself.
        let is_in_use = account.live().map(|live| live.token) == chosen;
        let evidence = if is_in_use {
            evidence
        } else {
            Evidence::Unknown
        };

        let mut fates = Self::default();
        for registration in &account.registrations {
            let token = registration.token;
            match registration.state {
                _ if Some(token) == chosen => {}
                RegistrationState::Pending if is_seen(token) => fates.retired.push(token),
                RegistrationState::Pending => fates.given_up.push(token),
                RegistrationState::Replacing if is_there(registration) => fates.staying.push(token),
                RegistrationState::Draining { until, .. } if is_there(registration) => {
                    if evidence.lets_go(until, now) {
                        fates.let_go.push(token);
                        fates.replaced.push(token);
                    } else {
                        fates.staying.push(token);
                    }
                }
                // Deliveries of a webhook that is gone may still be tried again for a while.
                RegistrationState::Live
                | RegistrationState::Replacing
                | RegistrationState::Draining { .. } => {
                    fates.replaced.push(token);
                }
                RegistrationState::Expired { until } if until <= now => fates.given_up.push(token),
                RegistrationState::Expired { .. } => {}
            }
        }
        fates
    }
}

/// What is to be repaired of a webhook that is kept. What was tried, and is kept otherwise by the source, is not tried in
/// every check.
fn repairs<'a>(
    account: &Account,
    hooks: &HooksUrl,
    facts: &LifeCycle,
    seen: &'a Seen,
) -> impl Iterator<Item = Step<'a>> + use<'a> {
    let webhook = &seen.webhook;
    let difference = difference(account, hooks, webhook);
    let correct = difference.filter(|found| !account.uncorrected.contains(found));
    let is_disabled = matches!(
        webhook.condition,
        Condition::Disabled {
            remedy: Remedy::Enable,
            ..
        }
    );
    let correct = correct.map(|_| Step::Correct(seen));
    let enable = (is_disabled && facts.enables).then_some(Step::Enable(seen));
    correct.into_iter().chain(enable)
}

/// What differs between a webhook as it is and as it shall be: SHA-256 of both, in hex. `None` where nothing does.
#[must_use]
pub fn difference(
    account: &Account,
    hooks: &HooksUrl,
    webhook: &RegisteredWebhook,
) -> Option<String> {
    let endpoint = webhook.endpoint.as_ref();
    let is_elsewhere = endpoint.is_some_and(|shown| !hooks.holds(account.source, shown));
    if !is_elsewhere && account.events.is(&webhook.events) {
        return None;
    }
    let mut kept = webhook.events.clone();
    kept.sort_unstable();
    let mut both = Sha256::new();
    let mut add = |part: &str| both.update(ContentHash::of("", part.as_bytes()).to_string());
    add(webhook.id.as_str());
    add(endpoint.map_or("", Endpoint::expose));
    add(hooks.as_str());
    for part in account
        .events
        .names()
        .iter()
        .chain([&String::new()])
        .chain(&kept)
    {
        add(part);
    }
    Some(hex::encode(both.finalize()))
}

/// The webhook to be used. One that is to be replaced is none.
fn choose<'a>(account: &Account, seen: &'a [Seen]) -> Option<&'a Seen> {
    let stands = |seen: &&Seen, wanted: RegistrationState| {
        let registration = account.registration(&seen.token);
        registration.is_some_and(|registration| registration.state == wanted)
    };
    let first = |wanted| seen.iter().find(|seen| stands(seen, wanted));
    let chosen = first(RegistrationState::Live).or_else(|| first(RegistrationState::Pending))?;
    named(account, seen, chosen.token)
}

/// The webhook with this token. Where somebody registered a second one with it, ours is the one that the account
/// names.
fn named<'a>(account: &Account, seen: &'a [Seen], token: TokenHash) -> Option<&'a Seen> {
    let name = account.registration(&token)?.webhook.as_ref();
    let with_token = || seen.iter().filter(move |seen| seen.token == token);
    with_token()
        .find(|seen| Some(&seen.webhook.id) == name)
        .or_else(|| with_token().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{KeysVersion, UrlToken};
    use crate::event::{Effect, TypeRow};
    use crate::lane::Lane;
    use crate::source::Source;
    use crate::subscription::EventSelection;
    use crate::subscription::life_cycle::EXAMPLE;
    use rstest::rstest;

    const NOW: u64 = 1_000_000;

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

    fn now() -> Timestamp {
        Timestamp::from_millis(NOW)
    }

    fn hooks() -> HooksUrl {
        "https://example.com/hooks".parse().unwrap()
    }

    fn token(number: u8) -> UrlToken {
        UrlToken::from_random(&[number; 32])
    }

    fn account(registrations: &[(u8, Option<&str>, RegistrationState)]) -> Account {
        let events = EventSelection::all(&KNOWN);
        let mut account = Account::new("acme".parse().unwrap(), Source::Orderspace, events, now());
        for (number, webhook, state) in registrations {
            account.register(Registration {
                token: token(*number).hash(),
                webhook: webhook.map(WebhookId::new),
                keys: KeysVersion::default(),
                state: *state,
                part: String::new(),
            });
        }
        account
    }

    fn seen(id: &str, number: u8) -> Seen {
        Seen {
            webhook: RegisteredWebhook {
                id: WebhookId::new(id),
                endpoint: Some(hooks().endpoint(Source::Orderspace, &token(number))),
                events: KNOWN.iter().rev().map(|row| row.name.to_owned()).collect(),
                key: Some(MacKey::new("k")),
                label: None,
                condition: Condition::Active,
            },
            token: token(number).hash(),
        }
    }

    /// A plan in short: the step's name and what it is about.
    fn described(steps: &[Step<'_>]) -> Vec<String> {
        steps
            .iter()
            .map(|step| match step {
                Step::Register => "register".to_owned(),
                Step::Correct(seen) => format!("correct {}", seen.webhook.id),
                Step::Enable(seen) => format!("enable {}", seen.webhook.id),
                Step::Adopt(seen) => format!("adopt {}", seen.webhook.id),
                Step::StoreKey(seen) => format!("store_key {}", seen.webhook.id),
                Step::DeleteReplaced(seen) => format!("delete_replaced {}", seen.webhook.id),
                Step::Remove(seen) => format!("remove {}", seen.webhook.id),
                Step::RemoveUnselected(seen) => format!("remove_unselected {}", seen.webhook.id),
                Step::Retire(tokens) => format!("retire {}", tokens.len()),
                Step::ExpireToken(tokens) => format!("expire_token {}", tokens.len()),
            })
            .collect()
    }

    const LIVE: RegistrationState = RegistrationState::Live;
    const PENDING: RegistrationState = RegistrationState::Pending;

    fn expired(until: u64) -> RegistrationState {
        RegistrationState::Expired {
            until: Timestamp::from_millis(until),
        }
    }

    #[rstest]
    #[case::nothing_yet(&[], &[], &["register"])]
    #[case::all_is_well(&[(1, Some("wh_1"), LIVE)], &[seen("wh_1", 1)], &["adopt wh_1"])]
    #[case::the_answer_was_lost(&[(1, None, PENDING)], &[seen("wh_1", 1)], &["adopt wh_1"])]
    #[case::the_request_was_lost(&[(1, None, PENDING)], &[], &["retire 1", "register"])]
    #[case::deleted_behind_our_back(&[(1, Some("wh_1"), LIVE)], &[], &["register", "expire_token 1"])]
    #[case::two_attempts_got_through(
        &[(1, None, PENDING), (2, None, PENDING)],
        &[seen("wh_2", 2), seen("wh_1", 1)],
        &["adopt wh_2", "remove wh_1", "retire 1"]
    )]
    #[case::the_confirmed_one_is_kept(
        &[(1, Some("wh_1"), LIVE), (2, None, PENDING)],
        &[seen("wh_2", 2), seen("wh_1", 1)],
        &["adopt wh_1", "remove wh_2", "retire 1"]
    )]
    #[case::a_late_one_of_a_retired_token(
        &[(1, Some("wh_1"), LIVE)],
        &[seen("wh_2", 2), seen("wh_1", 1)],
        &["adopt wh_1", "remove wh_2"]
    )]
    #[case::grace_goes_on(
        &[(1, Some("wh_1"), expired(NOW + 1)), (2, Some("wh_2"), LIVE)],
        &[seen("wh_2", 2)],
        &["adopt wh_2"]
    )]
    #[case::grace_is_over(
        &[(1, Some("wh_1"), expired(NOW)), (2, Some("wh_2"), LIVE)],
        &[seen("wh_2", 2)],
        &["retire 1", "adopt wh_2"]
    )]
    fn plans(
        #[case] registrations: &[(u8, Option<&str>, RegistrationState)],
        #[case] seen: &[Seen],
        #[case] expected: &[&str],
    ) {
        let steps = plan(
            &account(registrations),
            &hooks(),
            seen,
            Evidence::Unknown,
            &EXAMPLE,
            now(),
        );
        assert_eq!(described(&steps), expected);
    }

    const REPLACING: RegistrationState = RegistrationState::Replacing;

    fn draining(until: u64) -> RegistrationState {
        RegistrationState::Draining {
            since: Timestamp::from_millis(0),
            until: Timestamp::from_millis(until),
        }
    }

    #[rstest]
    #[case::asked_for(
        &[(1, Some("wh_1"), REPLACING)], &[seen("wh_1", 1)],
        Evidence::Unknown, &["store_key wh_1", "register"]
    )]
    #[case::the_answer_was_lost(
        &[(1, Some("wh_1"), REPLACING), (2, None, PENDING)], &[seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::Unknown, &["store_key wh_1", "adopt wh_2"]
    )]
    #[case::the_request_was_lost(
        &[(1, Some("wh_1"), REPLACING), (2, None, PENDING)], &[seen("wh_1", 1)],
        Evidence::Unknown, &["retire 1", "store_key wh_1", "register"]
    )]
    #[case::the_old_one_was_deleted_meanwhile(
        &[(1, Some("wh_1"), REPLACING)], &[], Evidence::Unknown, &["register", "expire_token 1"]
    )]
    #[case::both_deliver(
        &[(1, Some("wh_1"), draining(NOW + 1)), (2, Some("wh_2"), LIVE)], &[seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::Silence, &["store_key wh_1", "adopt wh_2"]
    )]
    #[case::the_new_one_has_delivered(
        &[(1, Some("wh_1"), draining(NOW + 1)), (2, Some("wh_2"), LIVE)], &[seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::New, &["adopt wh_2", "delete_replaced wh_1", "expire_token 1"]
    )]
    #[case::its_time_is_over(
        &[(1, Some("wh_1"), draining(NOW)), (2, Some("wh_2"), LIVE)], &[seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::Silence, &["adopt wh_2", "delete_replaced wh_1", "expire_token 1"]
    )]
    #[case::it_is_the_only_one_that_works(
        &[(1, Some("wh_1"), draining(NOW)), (2, Some("wh_2"), LIVE)], &[seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::OldAlone, &["store_key wh_1", "adopt wh_2"]
    )]
    #[case::the_removal_was_not_entered(
        &[(1, Some("wh_1"), draining(NOW)), (2, Some("wh_2"), LIVE)], &[seen("wh_2", 2)],
        Evidence::New, &["adopt wh_2", "expire_token 1"]
    )]
    #[case::the_new_one_was_deleted(
        &[(1, Some("wh_1"), draining(NOW)), (2, Some("wh_2"), LIVE)], &[seen("wh_1", 1)],
        Evidence::New, &["store_key wh_1", "register", "expire_token 1"]
    )]
    #[case::both_were_deleted(
        &[(1, Some("wh_1"), draining(NOW)), (2, Some("wh_2"), LIVE)], &[],
        Evidence::New, &["register", "expire_token 2"]
    )]
    #[case::somebody_used_the_address_again(
        &[(1, Some("wh_1"), LIVE)], &[seen("wh_9", 1), seen("wh_1", 1)],
        Evidence::Unknown, &["adopt wh_1", "remove wh_9"]
    )]
    #[case::and_took_the_place_of_the_old_one(
        &[(1, Some("wh_1"), REPLACING)], &[seen("wh_9", 1)],
        Evidence::Unknown, &["register", "remove wh_9", "expire_token 1"]
    )]
    #[case::or_that_of_the_old_one(
        &[(1, Some("wh_1"), draining(NOW + 1)), (2, Some("wh_2"), LIVE)],
        &[seen("wh_9", 1), seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::Silence, &["store_key wh_1", "adopt wh_2", "remove wh_9"]
    )]
    fn plans_of_a_rotation(
        #[case] registrations: &[(u8, Option<&str>, RegistrationState)],
        #[case] seen: &[Seen],
        #[case] evidence: Evidence,
        #[case] expected: &[&str],
    ) {
        let steps = plan(
            &account(registrations),
            &hooks(),
            seen,
            evidence,
            &EXAMPLE,
            now(),
        );
        assert_eq!(described(&steps), expected);
    }

    #[rstest]
    #[case::in_use(
        &[(1, Some("wh_1"), LIVE)], &[seen("wh_1", 1)],
        &["remove_unselected wh_1", "expire_token 1"]
    )]
    #[case::in_a_rotation(
        &[(1, Some("wh_1"), draining(NOW + 1)), (2, Some("wh_2"), LIVE)],
        &[seen("wh_2", 2), seen("wh_1", 1)],
        &["remove_unselected wh_2", "remove_unselected wh_1", "expire_token 2"]
    )]
    #[case::the_answer_was_lost(
        &[(1, None, PENDING)], &[seen("wh_1", 1)], &["remove_unselected wh_1", "retire 1"]
    )]
    #[case::gone_already(&[(1, Some("wh_1"), LIVE)], &[], &["expire_token 1"])]
    #[case::to_be_replaced(&[(1, Some("wh_1"), REPLACING)], &[], &["expire_token 1"])]
    #[case::grace_goes_on(&[(1, Some("wh_1"), expired(NOW + 1))], &[], &[])]
    #[case::grace_is_over(&[(1, Some("wh_1"), expired(NOW))], &[], &["retire 1"])]
    #[case::nothing_is_left(&[], &[], &[])]
    fn plans_for_what_is_no_longer_selected(
        #[case] registrations: &[(u8, Option<&str>, RegistrationState)],
        #[case] seen: &[Seen],
        #[case] expected: &[&str],
    ) {
        let steps = plan_removal(&account(registrations), seen, now());
        assert_eq!(described(&steps), expected);
    }

    #[test]
    fn what_is_on_its_way_out_is_corrected_too() {
        let account = account(&[
            (1, Some("wh_1"), draining(NOW + 1)),
            (2, Some("wh_2"), LIVE),
        ]);
        let mut both = [seen("wh_2", 2), seen("wh_1", 1)];
        for seen in &mut both {
            seen.webhook.events.pop();
        }
        let steps = plan(
            &account,
            &hooks(),
            &both,
            Evidence::Silence,
            &EXAMPLE,
            now(),
        );
        let expected = [
            "correct wh_1",
            "store_key wh_1",
            "correct wh_2",
            "adopt wh_2",
        ];
        assert_eq!(described(&steps), expected);
    }

    #[test]
    fn what_differs_is_corrected_before_it_is_confirmed() {
        let account = account(&[(1, Some("wh_1"), LIVE)]);
        let mut fewer = seen("wh_1", 1);
        fewer.webhook.events.pop();
        let mut moved = seen("wh_1", 1);
        let url = format!(
            "https://old.example.com/hooks/orderspace/{}",
            token(1).expose()
        );
        moved.webhook.endpoint = Some(Endpoint::new(url));
        for seen in [fewer, moved] {
            let seen = [seen];
            let steps = plan(
                &account,
                &hooks(),
                &seen,
                Evidence::Unknown,
                &EXAMPLE,
                now(),
            );
            assert_eq!(described(&steps), ["correct wh_1", "adopt wh_1"]);
        }
    }

    fn disabled(id: &str, number: u8) -> Seen {
        let mut seen = seen(id, number);
        seen.webhook.condition = Condition::Disabled {
            reason: Some("too many failures".to_owned()),
            remedy: Remedy::Enable,
        };
        seen
    }

    #[rstest]
    #[case::the_one_in_use(
        true, &[(1, Some("wh_1"), LIVE)], &[disabled("wh_1", 1)], &["enable wh_1", "adopt wh_1"]
    )]
    #[case::the_api_cannot(false, &[(1, Some("wh_1"), LIVE)], &[disabled("wh_1", 1)], &["adopt wh_1"])]
    #[case::both_of_a_rotation(
        true,
        &[(1, Some("wh_1"), draining(NOW + 1)), (2, Some("wh_2"), LIVE)],
        &[disabled("wh_2", 2), disabled("wh_1", 1)],
        &["enable wh_1", "store_key wh_1", "enable wh_2", "adopt wh_2"]
    )]
    #[case::not_one_too_many(
        true,
        &[(1, Some("wh_1"), LIVE), (2, None, PENDING)],
        &[disabled("wh_2", 2), seen("wh_1", 1)],
        &["adopt wh_1", "remove wh_2", "retire 1"]
    )]
    fn what_the_source_disabled_is_enabled_where_its_api_can(
        #[case] enables: bool,
        #[case] registrations: &[(u8, Option<&str>, RegistrationState)],
        #[case] seen: &[Seen],
        #[case] expected: &[&str],
    ) {
        let facts = LifeCycle { enables, ..EXAMPLE };
        let account = account(registrations);
        let steps = plan(&account, &hooks(), seen, Evidence::Silence, &facts, now());
        assert_eq!(described(&steps), expected);
    }

    #[test]
    fn what_somebody_paused_is_left_alone_and_what_differs_is_corrected_before_it_is_enabled() {
        let facts = LifeCycle {
            enables: true,
            ..EXAMPLE
        };
        let account = account(&[(1, Some("wh_1"), LIVE)]);
        let mut paused = seen("wh_1", 1);
        paused.webhook.condition = Condition::Paused;
        let mut differs = disabled("wh_1", 1);
        differs.webhook.events.pop();
        for (seen, expected) in [
            ([paused], vec!["adopt wh_1"]),
            ([differs], vec!["correct wh_1", "enable wh_1", "adopt wh_1"]),
        ] {
            let steps = plan(&account, &hooks(), &seen, Evidence::Unknown, &facts, now());
            assert_eq!(described(&steps), expected);
        }
    }

    #[test]
    fn where_a_webhook_is_sent_to_is_no_difference_if_the_source_does_not_show_it() {
        let account = account(&[(1, Some("wh_1"), LIVE)]);
        let mut hidden = [seen("wh_1", 1)];
        hidden[0].webhook.endpoint = None;
        let facts = &EXAMPLE;
        let steps = plan(&account, &hooks(), &hidden, Evidence::Unknown, facts, now());
        assert_eq!(described(&steps), ["adopt wh_1"]);
    }

    #[rstest]
    #[case::by_its_id("wh_1", None, Some(1))]
    #[case::by_its_id_before_its_label("wh_1", Some(2), Some(1))]
    #[case::by_its_label("wh_9", Some(2), Some(2))]
    #[case::a_label_of_somebody_else("wh_9", Some(3), None)]
    #[case::nothing_that_we_know("wh_9", None, None)]
    fn a_webhook_without_a_visible_endpoint_is_recognised(
        #[case] id: &str,
        #[case] labelled: Option<u8>,
        #[case] expected: Option<u8>,
    ) {
        let account = account(&[(1, Some("wh_1"), LIVE), (2, None, PENDING)]);
        let mut webhook = seen(id, 7).webhook;
        webhook.endpoint = None;
        webhook.label = labelled.map(|number| format!("ours/{}", token(number).hash().label()));
        let recognised = Seen::recognise(&account, &hooks(), webhook);
        let expected = expected.map(|number| token(number).hash());
        assert_eq!(recognised.map(|seen| seen.token), expected);
    }

    #[rstest]
    #[case::in_use(LIVE, 1)]
    #[case::to_be_replaced(REPLACING, 2)]
    fn a_webhook_whose_move_was_not_answered_is_recognised_by_its_label(
        #[case] state: RegistrationState,
        #[case] expected: u8,
    ) {
        let account = account(&[(1, Some("wh_1"), state), (2, None, PENDING)]);
        let mut webhook = seen("wh_1", 7).webhook;
        webhook.endpoint = None;
        webhook.label = Some(format!("ours/{}", token(2).hash().label()));
        let recognised = Seen::recognise(&account, &hooks(), webhook).unwrap();
        assert_eq!(recognised.token, token(expected).hash());
        if state == REPLACING {
            let seen = [recognised];
            let steps = plan(
                &account,
                &hooks(),
                &seen,
                Evidence::Unknown,
                &EXAMPLE,
                now(),
            );
            assert_eq!(described(&steps), ["adopt wh_1", "expire_token 1"]);
        }
    }

    #[rstest]
    #[case::at_our_address("wh_9", "https://example.com/hooks", 7, true)]
    #[case::registered_at_an_address_of_before("wh_1", "https://old.example.com/hooks", 1, true)]
    #[case::with_another_token_there("wh_1", "https://old.example.com/hooks", 7, false)]
    #[case::somebody_else_s("wh_9", "https://example.org/hooks", 1, false)]
    fn a_webhook_is_recognised_by_its_endpoint(
        #[case] id: &str,
        #[case] site: &str,
        #[case] number: u8,
        #[case] is_ours: bool,
    ) {
        let account = account(&[(1, Some("wh_1"), LIVE)]);
        let mut webhook = seen(id, number).webhook;
        let site: HooksUrl = site.parse().unwrap();
        webhook.endpoint = Some(site.endpoint(Source::Orderspace, &token(number)));
        // A label says nothing where the endpoint is shown.
        webhook.label = Some(token(1).hash().label());
        let recognised = Seen::recognise(&account, &hooks(), webhook);
        let expected = is_ours.then(|| token(number).hash());
        assert_eq!(recognised.map(|seen| seen.token), expected);
    }
}
