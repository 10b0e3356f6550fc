//! The plan: what is left to do between an account and what its source has.

use crate::account::{TokenHash, TokenStatus, WebhookId};
use crate::signature::SigningKey;
use crate::subscription::{Account, Endpoint, HooksUrl, Standing};
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
    pub key: SigningKey,
}

/// A webhook at the source that is ours: its endpoint ends in a token of this account. One that somebody pointed
/// elsewhere is theirs now.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The webhook.
    pub webhook: RegisteredWebhook,
    /// The token that it was registered with.
    pub token: TokenHash,
    /// What the token's entry says.
    pub status: TokenStatus,
}

/// Something to do. Every step can be repeated, and the order of a plan matters.
#[derive(Debug, Clone)]
pub enum Step<'a> {
    /// Register a webhook with a new token: there is none that could be used.
    Register,
    /// Give the webhook the endpoint and events it shall have.
    Correct(&'a Seen),
    /// Make this the account's webhook: keep its key, then say so in its token's entry.
    Confirm(&'a Seen),
    /// Take a webhook of ours away that is one too many.
    Remove(&'a Seen),
    /// No longer take deliveries by these tokens.
    Retire(Vec<TokenHash>),
    /// Take retries of deliveries by these tokens for a while: their webhooks are gone.
    Replace(Vec<TokenHash>),
}

/// Plans the way to exactly one webhook for the account's events.
///
/// `seen` are the webhooks of ours that the source has, newest first. A confirmed webhook is kept before one
/// whose registration was never confirmed, and the newer before the older.
#[must_use]
pub fn plan<'a>(
    account: &Account,
    hooks: &HooksUrl,
    seen: &'a [Seen],
    now: Timestamp,
) -> Vec<Step<'a>> {
    let with_status = |wanted: TokenStatus| seen.iter().find(|seen| seen.status == wanted);
    let chosen = with_status(TokenStatus::Live).or_else(|| with_status(TokenStatus::Pending));
    let chosen_token = chosen.map(|chosen| chosen.token);
    let is_seen = |token: TokenHash| seen.iter().any(|seen| seen.token == token);

    let mut given_up = Vec::new();
    let mut retired = Vec::new();
    let mut replaced = Vec::new();
    for registration in &account.registrations {
        let token = registration.token;
        match registration.standing {
            _ if Some(token) == chosen_token => {}
            Standing::Pending if is_seen(token) => retired.push(token),
            Standing::Pending => given_up.push(token),
            // Deliveries of a webhook that is gone may still be tried again for a while.
            Standing::Live => replaced.push(token),
            Standing::Grace { until } if until <= now => given_up.push(token),
            Standing::Grace { .. } => {}
        }
    }

    let mut steps = Vec::new();
    // Before another is registered, so that attempts without end do not pile up tokens. If the source comes to
    // know one of these late, it is recognised by its entry and removed.
    if !given_up.is_empty() {
        steps.push(Step::Retire(given_up));
    }
    match chosen {
        Some(chosen) => {
            if !account.events.is(&chosen.webhook.events)
                || !hooks.holds(account.source, &chosen.webhook.endpoint)
            {
                steps.push(Step::Correct(chosen));
            }
            steps.push(Step::Confirm(chosen));
        }
        None => steps.push(Step::Register),
    }
    let is_other = |seen: &&Seen| chosen.is_none_or(|chosen| chosen.webhook.id != seen.webhook.id);
    steps.extend(seen.iter().filter(is_other).map(Step::Remove));
    if !replaced.is_empty() {
        steps.push(Step::Replace(replaced));
    }
    if !retired.is_empty() {
        steps.push(Step::Retire(retired));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::UrlToken;
    use crate::sources::Source;
    use crate::subscription::{EventSelection, Registration};
    use rstest::rstest;

    const NOW: u64 = 1_000_000;

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
        let events = EventSelection::all(Source::Orderspace);
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

    fn seen(id: &str, number: u8, status: TokenStatus) -> Seen {
        Seen {
            webhook: RegisteredWebhook {
                id: WebhookId::new(id),
                endpoint: hooks().endpoint(Source::Orderspace, &token(number)),
                events: Source::Orderspace
                    .event_types()
                    .iter()
                    .rev()
                    .map(|name| (*name).to_owned())
                    .collect(),
                key: SigningKey::new("k"),
            },
            token: token(number).hash(),
            status,
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
    #[case::all_is_well(&[(1, Some("wh_1"), LIVE)], &[seen("wh_1", 1, TokenStatus::Live)], &["confirm wh_1"])]
    #[case::the_answer_was_lost(&[(1, None, PENDING)], &[seen("wh_1", 1, TokenStatus::Pending)], &["confirm wh_1"])]
    #[case::the_request_was_lost(&[(1, None, PENDING)], &[], &["retire 1", "register"])]
    #[case::deleted_behind_our_back(&[(1, Some("wh_1"), LIVE)], &[], &["register", "replace 1"])]
    #[case::two_attempts_got_through(
        &[(1, None, PENDING), (2, None, PENDING)],
        &[seen("wh_2", 2, TokenStatus::Pending), seen("wh_1", 1, TokenStatus::Pending)],
        &["confirm wh_2", "remove wh_1", "retire 1"]
    )]
    #[case::the_confirmed_one_is_kept(
        &[(1, Some("wh_1"), LIVE), (2, None, PENDING)],
        &[seen("wh_2", 2, TokenStatus::Pending), seen("wh_1", 1, TokenStatus::Live)],
        &["confirm wh_1", "remove wh_2", "retire 1"]
    )]
    #[case::a_late_one_of_a_retired_token(
        &[(1, Some("wh_1"), LIVE)],
        &[seen("wh_2", 2, TokenStatus::Retired), seen("wh_1", 1, TokenStatus::Live)],
        &["confirm wh_1", "remove wh_2"]
    )]
    #[case::grace_goes_on(
        &[(1, Some("wh_1"), grace(NOW + 1)), (2, Some("wh_2"), LIVE)],
        &[seen("wh_2", 2, TokenStatus::Live)],
        &["confirm wh_2"]
    )]
    #[case::grace_is_over(
        &[(1, Some("wh_1"), grace(NOW)), (2, Some("wh_2"), LIVE)],
        &[seen("wh_2", 2, TokenStatus::Live)],
        &["retire 1", "confirm wh_2"]
    )]
    fn plans(
        #[case] registrations: &[(u8, Option<&str>, Standing)],
        #[case] seen: &[Seen],
        #[case] expected: &[&str],
    ) {
        let steps = plan(&account(registrations), &hooks(), seen, now());
        assert_eq!(told(&steps), expected);
    }

    #[test]
    fn what_differs_is_corrected_before_it_is_confirmed() {
        let account = account(&[(1, Some("wh_1"), LIVE)]);
        let mut fewer = seen("wh_1", 1, TokenStatus::Live);
        fewer.webhook.events.pop();
        let mut moved = seen("wh_1", 1, TokenStatus::Live);
        let url = format!(
            "https://old.example.com/hooks/orderspace/{}",
            token(1).expose()
        );
        moved.webhook.endpoint = Endpoint::new(url);
        for seen in [fewer, moved] {
            let seen = [seen];
            let steps = plan(&account, &hooks(), &seen, now());
            assert_eq!(told(&steps), ["correct wh_1", "confirm wh_1"]);
        }
    }
}
