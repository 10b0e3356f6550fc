//! The plan: what is left to do between an account and what its source has.

use crate::account::{TokenHash, WebhookId};
use crate::signature::MacKey;
use crate::subscription::{Account, Endpoint, Evidence, HooksUrl, Registration, Standing};
use crate::timestamp::Timestamp;

/// A webhook as the source shows it.
#[derive(Debug, Clone)]
pub struct RegisteredWebhook {
    /// The source's id.
    pub id: WebhookId,
    /// Where it is sent to.
    pub endpoint: Endpoint,
    /// The event types it is subscribed to, as the source spells them.
    pub events: Vec<String>,
    /// What its deliveries are signed with.
    pub key: MacKey,
}

/// A webhook at the source that is ours: its endpoint ends in a token of this account. One that somebody pointed
/// elsewhere is theirs now.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The webhook.
    pub webhook: RegisteredWebhook,
    /// The token that it was registered with. What became of it is in the account; a token that is not there is
    /// retired.
    pub token: TokenHash,
}

/// Something to do. Every step can be repeated, and the order of a plan matters.
#[derive(Debug, Clone)]
pub enum Step<'a> {
    /// Register a webhook with a new token: there is none that could be used, or it is to be replaced.
    Register,
    /// Give the webhook the endpoint and events it shall have.
    Correct(&'a Seen),
    /// Make this the account's webhook: keep its key, then say so in its token's entry.
    Confirm(&'a Seen),
    /// Keep the key of a webhook that another takes over from.
    Hold(&'a Seen),
    /// Take a webhook of ours away that is one too many.
    Remove(&'a Seen),
    /// Take the webhook away that another has taken over from.
    Relieve(&'a Seen),
    /// No longer take deliveries by these tokens.
    Retire(Vec<TokenHash>),
    /// Take retries of deliveries by these tokens for a while: their webhooks are gone.
    Replace(Vec<TokenHash>),
}

/// Plans the way to exactly one webhook for the account's events; to two of them while one takes over from the
/// other.
///
/// `seen` are the webhooks of ours that the source has, newest first. A confirmed webhook is kept before one
/// whose registration was never confirmed, and the newer before the older. `evidence` is about the rotation that
/// is under way.
///
/// A plan asks the source to register at most one webhook, to correct at most as many as are kept, and to remove
/// each of the others.
#[must_use]
pub fn plan<'a>(
    account: &Account,
    hooks: &HooksUrl,
    seen: &'a [Seen],
    evidence: Evidence,
    now: Timestamp,
) -> Vec<Step<'a>> {
    let is_seen = |token: TokenHash| seen.iter().any(|seen| seen.token == token);
    // Where ours is gone and somebody registered another one with its token, that one is no webhook to wait for.
    let is_there = |registration: &Registration| {
        let mut seen = seen.iter().filter(|seen| seen.token == registration.token);
        seen.any(|seen| Some(&seen.webhook.id) == registration.webhook.as_ref())
    };
    let chosen = choose(account, seen);
    let chosen_token = chosen.map(|chosen| chosen.token);
    // What the receipts say is about the webhook in use, so another one has yet to show itself.
    let is_in_use = account.live().map(|live| live.token) == chosen_token;
    let evidence = if is_in_use {
        evidence
    } else {
        Evidence::Unknown
    };

    let mut given_up = Vec::new();
    let mut retired = Vec::new();
    let mut replaced = Vec::new();
    let mut staying = Vec::new();
    let mut relieved = Vec::new();
    for registration in &account.registrations {
        let token = registration.token;
        match registration.standing {
            _ if Some(token) == chosen_token => {}
            Standing::Pending if is_seen(token) => retired.push(token),
            Standing::Pending => given_up.push(token),
            Standing::Leaving if is_there(registration) => staying.push(token),
            Standing::Retiring { until, .. } if is_there(registration) => {
                if evidence.lets_go(until, now) {
                    relieved.push(token);
                    replaced.push(token);
                } else {
                    staying.push(token);
                }
            }
            // Deliveries of a webhook that is gone may still be tried again for a while.
            Standing::Live | Standing::Leaving | Standing::Retiring { .. } => replaced.push(token),
            Standing::Grace { until } if until <= now => given_up.push(token),
            Standing::Grace { .. } => {}
        }
    }
    let staying: Vec<&Seen> = staying
        .into_iter()
        .filter_map(|token| named(account, seen, token))
        .collect();

    let mut steps = Vec::new();
    // Before another is registered, so that attempts without end do not pile up tokens. If the source comes to
    // know one of these late, it is recognised by its entry and removed.
    if !given_up.is_empty() {
        steps.push(Step::Retire(given_up));
    }
    let differs = |seen: &Seen| {
        !account.events.is(&seen.webhook.events)
            || !hooks.holds(account.source, &seen.webhook.endpoint)
    };
    // What is in service comes first: a registration that does not succeed must not keep it from being mended.
    for old in &staying {
        if differs(old) {
            steps.push(Step::Correct(old));
        }
        steps.push(Step::Hold(old));
    }
    match chosen {
        Some(chosen) => {
            if differs(chosen) {
                steps.push(Step::Correct(chosen));
            }
            steps.push(Step::Confirm(chosen));
        }
        None => steps.push(Step::Register),
    }
    let is_kept = |seen: &Seen| {
        let mut kept = chosen.into_iter().chain(staying.iter().copied());
        kept.any(|kept| kept.webhook.id == seen.webhook.id)
    };
    for other in seen.iter().filter(|seen| !is_kept(seen)) {
        steps.push(if relieved.contains(&other.token) {
            Step::Relieve(other)
        } else {
            Step::Remove(other)
        });
    }
    if !replaced.is_empty() {
        steps.push(Step::Replace(replaced));
    }
    if !retired.is_empty() {
        steps.push(Step::Retire(retired));
    }
    steps
}

/// The webhook to be used. One that is to be replaced is none.
fn choose<'a>(account: &Account, seen: &'a [Seen]) -> Option<&'a Seen> {
    let stands = |seen: &&Seen, wanted: Standing| {
        let registration = account.registration(&seen.token);
        registration.is_some_and(|registration| registration.standing == wanted)
    };
    let first = |wanted| seen.iter().find(|seen| stands(seen, wanted));
    let chosen = first(Standing::Live).or_else(|| first(Standing::Pending))?;
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
    use crate::account::UrlToken;
    use crate::event::{Effect, TypeRow};
    use crate::lane::Lane;
    use crate::source::Source;
    use crate::subscription::EventSelection;
    use rstest::rstest;

    const NOW: u64 = 1_000_000;

    const KNOWN: [TypeRow; 2] = [row("order.created"), row("order.updated")];

    const fn row(name: &'static str) -> TypeRow {
        TypeRow {
            name,
            kind: "order",
            effect: Effect::State,
            lane: Lane::Orders,
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

    fn account(registrations: &[(u8, Option<&str>, Standing)]) -> Account {
        let events = EventSelection::all(&KNOWN);
        let mut account = Account::new("acme".parse().unwrap(), Source::Orderspace, events, now());
        for (number, webhook, standing) in registrations {
            account.register(Registration {
                token: token(*number).hash(),
                webhook: webhook.map(WebhookId::new),
                standing: *standing,
            });
        }
        account
    }

    fn seen(id: &str, number: u8) -> Seen {
        Seen {
            webhook: RegisteredWebhook {
                id: WebhookId::new(id),
                endpoint: hooks().endpoint(Source::Orderspace, &token(number)),
                events: KNOWN.iter().rev().map(|row| row.name.to_owned()).collect(),
                key: MacKey::new("k"),
            },
            token: token(number).hash(),
        }
    }

    /// A plan in short: the step's name and what it is about.
    fn told(steps: &[Step<'_>]) -> Vec<String> {
        steps
            .iter()
            .map(|step| match step {
                Step::Register => "register".to_owned(),
                Step::Correct(seen) => format!("correct {}", seen.webhook.id),
                Step::Confirm(seen) => format!("confirm {}", seen.webhook.id),
                Step::Hold(seen) => format!("hold {}", seen.webhook.id),
                Step::Relieve(seen) => format!("relieve {}", seen.webhook.id),
                Step::Remove(seen) => format!("remove {}", seen.webhook.id),
                Step::Retire(tokens) => format!("retire {}", tokens.len()),
                Step::Replace(tokens) => format!("replace {}", tokens.len()),
            })
            .collect()
    }

    const LIVE: Standing = Standing::Live;
    const PENDING: Standing = Standing::Pending;

    fn grace(until: u64) -> Standing {
        Standing::Grace {
            until: Timestamp::from_millis(until),
        }
    }

    #[rstest]
    #[case::nothing_yet(&[], &[], &["register"])]
    #[case::all_is_well(&[(1, Some("wh_1"), LIVE)], &[seen("wh_1", 1)], &["confirm wh_1"])]
    #[case::the_answer_was_lost(&[(1, None, PENDING)], &[seen("wh_1", 1)], &["confirm wh_1"])]
    #[case::the_request_was_lost(&[(1, None, PENDING)], &[], &["retire 1", "register"])]
    #[case::deleted_behind_our_back(&[(1, Some("wh_1"), LIVE)], &[], &["register", "replace 1"])]
    #[case::two_attempts_got_through(
        &[(1, None, PENDING), (2, None, PENDING)],
        &[seen("wh_2", 2), seen("wh_1", 1)],
        &["confirm wh_2", "remove wh_1", "retire 1"]
    )]
    #[case::the_confirmed_one_is_kept(
        &[(1, Some("wh_1"), LIVE), (2, None, PENDING)],
        &[seen("wh_2", 2), seen("wh_1", 1)],
        &["confirm wh_1", "remove wh_2", "retire 1"]
    )]
    #[case::a_late_one_of_a_retired_token(
        &[(1, Some("wh_1"), LIVE)],
        &[seen("wh_2", 2), seen("wh_1", 1)],
        &["confirm wh_1", "remove wh_2"]
    )]
    #[case::grace_goes_on(
        &[(1, Some("wh_1"), grace(NOW + 1)), (2, Some("wh_2"), LIVE)],
        &[seen("wh_2", 2)],
        &["confirm wh_2"]
    )]
    #[case::grace_is_over(
        &[(1, Some("wh_1"), grace(NOW)), (2, Some("wh_2"), LIVE)],
        &[seen("wh_2", 2)],
        &["retire 1", "confirm wh_2"]
    )]
    fn plans(
        #[case] registrations: &[(u8, Option<&str>, Standing)],
        #[case] seen: &[Seen],
        #[case] expected: &[&str],
    ) {
        let steps = plan(
            &account(registrations),
            &hooks(),
            seen,
            Evidence::Unknown,
            now(),
        );
        assert_eq!(told(&steps), expected);
    }

    const LEAVING: Standing = Standing::Leaving;

    fn retiring(until: u64) -> Standing {
        Standing::Retiring {
            since: Timestamp::from_millis(0),
            until: Timestamp::from_millis(until),
        }
    }

    #[rstest]
    #[case::asked_for(
        &[(1, Some("wh_1"), LEAVING)], &[seen("wh_1", 1)],
        Evidence::Unknown, &["hold wh_1", "register"]
    )]
    #[case::the_answer_was_lost(
        &[(1, Some("wh_1"), LEAVING), (2, None, PENDING)], &[seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::Unknown, &["hold wh_1", "confirm wh_2"]
    )]
    #[case::the_request_was_lost(
        &[(1, Some("wh_1"), LEAVING), (2, None, PENDING)], &[seen("wh_1", 1)],
        Evidence::Unknown, &["retire 1", "hold wh_1", "register"]
    )]
    #[case::the_old_one_was_deleted_meanwhile(
        &[(1, Some("wh_1"), LEAVING)], &[], Evidence::Unknown, &["register", "replace 1"]
    )]
    #[case::both_deliver(
        &[(1, Some("wh_1"), retiring(NOW + 1)), (2, Some("wh_2"), LIVE)], &[seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::Silence, &["hold wh_1", "confirm wh_2"]
    )]
    #[case::the_new_one_has_delivered(
        &[(1, Some("wh_1"), retiring(NOW + 1)), (2, Some("wh_2"), LIVE)], &[seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::New, &["confirm wh_2", "relieve wh_1", "replace 1"]
    )]
    #[case::its_time_is_over(
        &[(1, Some("wh_1"), retiring(NOW)), (2, Some("wh_2"), LIVE)], &[seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::Silence, &["confirm wh_2", "relieve wh_1", "replace 1"]
    )]
    #[case::it_is_the_only_one_that_works(
        &[(1, Some("wh_1"), retiring(NOW)), (2, Some("wh_2"), LIVE)], &[seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::OldAlone, &["hold wh_1", "confirm wh_2"]
    )]
    #[case::the_removal_was_not_entered(
        &[(1, Some("wh_1"), retiring(NOW)), (2, Some("wh_2"), LIVE)], &[seen("wh_2", 2)],
        Evidence::New, &["confirm wh_2", "replace 1"]
    )]
    #[case::the_new_one_was_deleted(
        &[(1, Some("wh_1"), retiring(NOW)), (2, Some("wh_2"), LIVE)], &[seen("wh_1", 1)],
        Evidence::New, &["hold wh_1", "register", "replace 1"]
    )]
    #[case::both_were_deleted(
        &[(1, Some("wh_1"), retiring(NOW)), (2, Some("wh_2"), LIVE)], &[],
        Evidence::New, &["register", "replace 2"]
    )]
    #[case::somebody_used_the_address_again(
        &[(1, Some("wh_1"), LIVE)], &[seen("wh_9", 1), seen("wh_1", 1)],
        Evidence::Unknown, &["confirm wh_1", "remove wh_9"]
    )]
    #[case::and_took_the_place_of_the_old_one(
        &[(1, Some("wh_1"), LEAVING)], &[seen("wh_9", 1)],
        Evidence::Unknown, &["register", "remove wh_9", "replace 1"]
    )]
    #[case::or_that_of_the_old_one(
        &[(1, Some("wh_1"), retiring(NOW + 1)), (2, Some("wh_2"), LIVE)],
        &[seen("wh_9", 1), seen("wh_2", 2), seen("wh_1", 1)],
        Evidence::Silence, &["hold wh_1", "confirm wh_2", "remove wh_9"]
    )]
    fn plans_of_a_rotation(
        #[case] registrations: &[(u8, Option<&str>, Standing)],
        #[case] seen: &[Seen],
        #[case] evidence: Evidence,
        #[case] expected: &[&str],
    ) {
        let steps = plan(&account(registrations), &hooks(), seen, evidence, now());
        assert_eq!(told(&steps), expected);
    }

    #[test]
    fn what_is_on_its_way_out_is_corrected_too() {
        let account = account(&[
            (1, Some("wh_1"), retiring(NOW + 1)),
            (2, Some("wh_2"), LIVE),
        ]);
        let mut both = [seen("wh_2", 2), seen("wh_1", 1)];
        for seen in &mut both {
            seen.webhook.events.pop();
        }
        let steps = plan(&account, &hooks(), &both, Evidence::Silence, now());
        let expected = ["correct wh_1", "hold wh_1", "correct wh_2", "confirm wh_2"];
        assert_eq!(told(&steps), expected);
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
        moved.webhook.endpoint = Endpoint::new(url);
        for seen in [fewer, moved] {
            let seen = [seen];
            let steps = plan(&account, &hooks(), &seen, Evidence::Unknown, now());
            assert_eq!(told(&steps), ["correct wh_1", "confirm wh_1"]);
        }
    }
}
