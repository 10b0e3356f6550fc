//! The law of convergence: whatever was called, whatever Orderspace did and wherever the function died, one check
//! leaves the account as it shall be, and asks no more of Orderspace than is documented.
//!
//! A sequence is made of calls, each of which may go wrong at any one call to the outside, of misbehaviour of
//! Orderspace and of others at the site, of deliveries, and of time. Then Orderspace behaves again and what was
//! leased or throttled is over, and one check has to do. Two states need more than a check, and say so:
//!
//! | state | what is done |
//! |---|---|
//! | the function died before the first credentials were kept | the connect is repeated: nobody else has them |
//! | the old webhook of a rotation alone delivers | the operator deletes the new one at Orderspace, as `last_error` says |

use std::collections::BTreeSet;

use domain::account::{TokenHash, TokenStatus, UrlToken};
use domain::subscription::{Desired, RegistrationState, Rotation, State};
use proptest::prelude::*;
use serde_json::json;
use simulator::control::WebhookStatus;
use simulator::{Door, Fault, FaultKind};
use subscriptions::MOST_REQUESTS;

use crate::world::{Answer, HOOKS, Mishap, World, act, delete, patch, put};

/// A call, and where it goes wrong.
#[derive(Debug, Clone, Copy)]
struct Call {
    action: Action,
    mishap: Option<(usize, Mishap)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Connect(usize),
    Change(usize),
    Rotate,
    Check,
    Disconnect,
}

/// What happens to one of the site's webhooks, counted from the newest.
#[derive(Debug, Clone, Copy)]
enum Misdeed {
    Disable,
    Delete,
    ChangeEvents,
    ChangeKey,
    PointElsewhere,
    PointToAnOldAddress,
    /// Somebody registers another one for the same endpoint.
    Copy,
}

#[derive(Debug, Clone)]
enum Happening {
    Call(Call),
    Misdeed(Misdeed, usize),
    /// A webhook of somebody else, elsewhere.
    Foreign,
    /// A webhook at our address, with a token that nobody knows.
    Stray,
    /// A webhook at our address, with a token that we had once.
    Revenant(usize),
    Fault(Fault),
    RevokeAccess,
    /// One of the webhooks brings a delivery, and it is accepted.
    Delivery(usize),
    Time(usize),
}

const SELECTIONS: [&[&str]; 3] = [
    &["*"],
    &["order.created"],
    &["order.created", "order.updated"],
];

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0..SELECTIONS.len()).prop_map(Action::Connect),
        2 => (0..SELECTIONS.len()).prop_map(Action::Change),
        5 => Just(Action::Rotate),
        4 => Just(Action::Check),
        2 => Just(Action::Disconnect),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let mishap = (0..12_usize, prop::sample::select(Mishap::ALL.to_vec()));
    (action(), prop::option::weighted(0.4, mishap))
        .prop_map(|(action, mishap)| Call { action, mishap })
}

fn misdeed() -> impl Strategy<Value = Misdeed> {
    prop::sample::select(vec![
        Misdeed::Disable,
        Misdeed::Delete,
        Misdeed::Delete,
        Misdeed::ChangeEvents,
        Misdeed::ChangeKey,
        Misdeed::PointElsewhere,
        Misdeed::PointToAnOldAddress,
        Misdeed::Copy,
    ])
}

fn fault() -> impl Strategy<Value = Fault> {
    let kind = prop_oneof![
        6 => prop::sample::select(vec![
            FaultKind::Refuse,
            FaultKind::Status(403),
            FaultKind::Status(422),
            FaultKind::Status(429),
            FaultKind::Status(500),
            FaultKind::Status(503),
            FaultKind::Html,
            FaultKind::WorkThenTruncate,
            FaultKind::WorkThenStatus(500),
            FaultKind::DelayMs(20),
        ]),
        // These take a second each.
        1 => prop::sample::select(vec![FaultKind::TimeOutMs(3_000), FaultKind::WorkThenTimeOutMs(3_000)]),
    ];
    let door = prop::sample::select(vec![
        Door::Token,
        Door::Api,
        Door::Api,
        Door::Api,
        Door::Any,
    ]);
    let method = prop::option::of(prop::sample::select(vec!["GET", "POST", "PUT", "DELETE"]));
    (door, kind, method, 1..3_u32).prop_map(|(door, kind, method, times)| {
        let fault = Fault::on(door, kind).times(times);
        match method {
            Some(method) if door == Door::Api => fault.method(method),
            _ => fault,
        }
    })
}

fn happening() -> impl Strategy<Value = Happening> {
    let seconds = prop::sample::select(vec![1, 46, 61, 1800, 3601, 24 * 3600, 72 * 3600 + 1]);
    prop_oneof![
        8 => call().prop_map(Happening::Call),
        4 => (misdeed(), 0..3_usize).prop_map(|(misdeed, which)| Happening::Misdeed(misdeed, which)),
        1 => Just(Happening::Foreign),
        1 => Just(Happening::Stray),
        1 => (0..4_usize).prop_map(Happening::Revenant),
        3 => fault().prop_map(Happening::Fault),
        1 => Just(Happening::RevokeAccess),
        2 => (0..3_usize).prop_map(Happening::Delivery),
        3 => seconds.prop_map(Happening::Time),
    ]
}

/// Most sequences begin with an account, so that there is something to go wrong.
fn sequence() -> impl Strategy<Value = Vec<Happening>> {
    let connect = Happening::Call(Call {
        action: Action::Connect(0),
        mishap: None,
    });
    let rest = prop::collection::vec(happening(), 1..12);
    (prop::bool::weighted(0.9), rest).prop_map(move |(is_connected, rest)| {
        let first = is_connected.then(|| connect.clone());
        first.into_iter().chain(rest).collect()
    })
}

/// The world, every endpoint of ours that Orderspace was ever told of, and the webhooks that others registered.
struct Story {
    world: World,
    endpoints: Vec<String>,
    theirs: Vec<String>,
}

fn token_of(webhook: &WebhookStatus) -> Option<TokenHash> {
    let token: UrlToken = webhook.endpoint.rsplit('/').next()?.parse().ok()?;
    Some(token.hash())
}

fn is_at_our_address(webhook: &&WebhookStatus) -> bool {
    webhook.endpoint.starts_with(HOOKS)
}

/// Webhooks that nobody of ours may touch.
fn foreign(webhooks: &[WebhookStatus]) -> Vec<WebhookStatus> {
    let is_foreign =
        |webhook: &&WebhookStatus| webhook.endpoint.starts_with("https://example.org/");
    webhooks.iter().filter(is_foreign).cloned().collect()
}

impl Story {
    async fn new() -> Self {
        Self {
            world: World::new().await,
            endpoints: Vec::new(),
            theirs: Vec::new(),
        }
    }

    async fn act(&self, action: Action) -> Option<Answer> {
        let call = match action {
            Action::Connect(selection) => put(self.world.desired(SELECTIONS[selection])),
            Action::Change(selection) => patch(json!({ "events": SELECTIONS[selection] })),
            Action::Rotate => act("rotate"),
            Action::Check => act("check"),
            Action::Disconnect => delete(),
        };
        self.world.try_call(call).await
    }

    async fn call(&mut self, call: Call) {
        let before = foreign(&self.world.webhooks().await);
        if let Some((nth, mishap)) = call.mishap {
            self.world.fate.plan(nth, mishap);
        }
        self.act(call.action).await;
        self.world.fate.end();
        let webhooks = self.world.webhooks().await;
        let after = foreign(&webhooks);
        assert_eq!(after, before, "somebody else's webhook was touched");
        for webhook in webhooks.iter().filter(is_at_our_address) {
            if !self.endpoints.contains(&webhook.endpoint) {
                self.endpoints.push(webhook.endpoint.clone());
            }
        }
    }

    async fn register_theirs(&mut self, endpoint: &str) {
        let webhook = self.world.add_foreign_webhook(endpoint).await;
        self.theirs.push(webhook.id);
    }

    async fn misdeed(&mut self, misdeed: Misdeed, which: usize) {
        let webhooks = self.world.webhooks().await;
        let Some(webhook) = webhooks.get(which) else {
            return;
        };
        let id = &webhook.id;
        let segment = webhook.endpoint.rsplit('/').next().unwrap_or_default();
        let change = match misdeed {
            Misdeed::Delete => return self.world.remove_webhook(id).await,
            Misdeed::Copy => {
                let endpoint = webhook.endpoint.clone();
                return self.register_theirs(&endpoint).await;
            }
            Misdeed::Disable => json!({ "enabled": false }),
            Misdeed::ChangeEvents => json!({ "events": ["product.deleted"] }),
            Misdeed::ChangeKey => json!({ "new_signing_key": true }),
            Misdeed::PointElsewhere => json!({ "endpoint": "https://example.org/theirs" }),
            Misdeed::PointToAnOldAddress => {
                json!({ "endpoint": format!("https://old.example.com/hooks/orderspace/{segment}") })
            }
        };
        self.world.change_webhook(id, change).await;
    }

    async fn pass(&self, seconds: usize) {
        self.world.pass(seconds);
        let millis = u64::try_from(seconds * 1000).unwrap();
        self.world.advance_orderspace(millis).await;
    }

    async fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Call(call) => self.call(call).await,
            Happening::Misdeed(misdeed, which) => self.misdeed(misdeed, which).await,
            Happening::Foreign => {
                let endpoint = "https://example.org/orderspace/events";
                self.register_theirs(endpoint).await;
            }
            Happening::Stray => {
                let mut random = [0; 32];
                getrandom::fill(&mut random).unwrap();
                let token = UrlToken::from_random(&random);
                let endpoint = format!("{HOOKS}/orderspace/{}", token.expose());
                self.register_theirs(&endpoint).await;
            }
            Happening::Revenant(which) => {
                if let Some(endpoint) = self.endpoints.get(which).cloned() {
                    self.register_theirs(&endpoint).await;
                }
            }
            Happening::Fault(fault) => self.world.fault(fault).await,
            Happening::RevokeAccess => self.world.revoke_access_tokens().await,
            Happening::Delivery(which) => {
                let webhooks = self.world.webhooks().await;
                if let Some(webhook) = webhooks.get(which) {
                    self.world.deliver_by(&webhook.id);
                }
            }
            Happening::Time(seconds) => self.pass(seconds).await,
        }
    }

    /// Calls once with Orderspace as it should be, and counts what it was asked.
    async fn settle(&self, action: Action) -> Answer {
        let before = self.world.webhooks().await;
        self.world.asked().await;
        let answer = self.act(action).await.unwrap();
        let after = self.world.webhooks().await;
        assert_eq!(foreign(&after), foreign(&before));
        let asked = self.world.asked().await;
        let count = |start: &str| {
            let begins = |asked: &&String| asked.starts_with(start);
            asked.iter().filter(begins).count()
        };
        let removed = count("DELETE");
        assert!(asked.len() - removed <= MOST_REQUESTS, "{asked:?}");
        let expected = before.len() + count("POST /v1/webhooks") - removed;
        let left = after.len();
        assert_eq!(left, expected, "each removal takes one away: {asked:?}");
        answer
    }

    /// Orderspace behaves, leases and pauses are over, and one check has to do.
    async fn converge(&self) {
        let world = &self.world;
        world.clear_faults().await;
        self.pass(61).await;
        let Some(account) = world.account() else {
            assert!(world.oauth().is_none() && world.keys().is_empty());
            assert!(world.token_entries().is_empty());
            return;
        };
        if account.desired == Desired::Connected && world.oauth().is_none() {
            self.settle(Action::Check).await.expect(409);
            self.settle(Action::Connect(0)).await.expect(200);
        } else {
            let answer = self.settle(Action::Check).await;
            if answer.status == 409 {
                self.replace_the_silent_one(&answer).await;
            } else {
                answer.expect(200);
            }
        }
        self.assert_in_line().await;

        // A rotation ends with the first delivery of the new webhook.
        let account = world.account().unwrap();
        if account.rotation().is_some() {
            let new = account.live().unwrap().webhook.clone();
            world.deliver_by(new.unwrap().as_str());
            self.settle(Action::Check).await.expect(200);
            assert_eq!(world.account().unwrap().rotation(), None);
            self.assert_in_line().await;
        }

        // From there on there is nothing to do.
        let settled = world.account().unwrap();
        let is_connected = settled.desired == Desired::Connected;
        world.check().await.expect(200);
        let asked = world.asked().await;
        assert_eq!(asked.len(), usize::from(is_connected), "{asked:?}");
        let after = world.account().unwrap();
        assert_eq!(after.registrations, settled.registrations);
        assert_eq!(after.history, settled.history);
    }

    async fn replace_the_silent_one(&self, answer: &Answer) {
        let account = self.world.account().unwrap();
        let Some(Rotation::Overlap { until, .. }) = account.rotation() else {
            panic!("{}", answer.body);
        };
        assert!(until <= self.world.now(), "{}", answer.body);
        let new = account.live().unwrap().webhook.as_ref().unwrap();
        assert!(answer.message().contains(new.as_str()), "{}", answer.body);
        self.world.remove_webhook(new.as_str()).await;
        self.settle(Action::Check).await.expect(200);
    }

    async fn assert_in_line(&self) {
        let world = &self.world;
        let account = world.account().unwrap();
        let entries = world.token_entries();
        for (token, entry) in &entries {
            let named = account.entry(token);
            assert_eq!(*entry, named, "a token and its account disagree");
        }
        for registration in &account.registrations {
            let token = registration.token;
            assert!(entries.iter().any(|(known, _)| *known == token));
        }
        let webhooks = world.webhooks().await;
        let is_known = |webhook: &&WebhookStatus| {
            let token = token_of(webhook);
            entries.iter().any(|(known, _)| Some(*known) == token)
        };
        let ours = webhooks.iter().filter(is_at_our_address).filter(is_known);
        let ours: Vec<&WebhookStatus> = ours.collect();
        match account.state() {
            State::Connected => {}
            State::Disconnected => {
                let mut statuses = world.token_statuses().into_iter();
                assert!(statuses.all(|status| status == TokenStatus::Retired));
                assert!(world.oauth().is_none() && world.keys().is_empty());
                // What others registered later is answered with 401, and what could not be removed is told.
                let is_ours = |webhook: &&WebhookStatus| !self.theirs.contains(&webhook.id);
                let is_left = ours.into_iter().any(|webhook| is_ours(&webhook));
                assert!(!is_left || account.last_error.is_some(), "{webhooks:?}");
                return;
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(account.last_error, None);
        assert!(world.oauth().is_some());

        let mut served = Vec::new();
        for registration in &account.registrations {
            match registration.state {
                RegistrationState::Live => served.insert(0, registration),
                RegistrationState::Draining { .. } => served.push(registration),
                RegistrationState::Expired { until } => assert!(world.now() < until),
                RegistrationState::Pending | RegistrationState::Replacing => {
                    panic!("{registration:?}")
                }
            }
        }
        assert!(served.len() <= 2, "{served:?}");
        assert_eq!(served.len(), ours.len(), "{served:?} {ours:?}");
        assert_eq!(served[0].state, RegistrationState::Live);
        for registration in served {
            let token = Some(registration.token);
            let mut ours = ours.iter();
            let webhook = ours.find(|webhook| token_of(webhook) == token).unwrap();
            let id = registration.webhook.as_ref().unwrap();
            assert_eq!(webhook.id, id.as_str());
            assert!(account.events.is(&webhook.events), "{webhook:?}");
            let key = (webhook.id.clone(), webhook.signing_key.clone());
            assert!(world.keys().contains(&key), "{webhook:?}");
        }
        let keys: BTreeSet<String> = world.keys().into_iter().map(|(id, _)| id).collect();
        let named = account.registrations.iter();
        let named = named.filter_map(|registration| registration.webhook.as_ref());
        let named: BTreeSet<String> = named.map(ToString::to_string).collect();
        // A key for each webhook that is accepted, and no other.
        assert_eq!(keys, named);

        let orphans = webhooks.iter().filter(is_at_our_address);
        for webhook in orphans.filter(|webhook| !is_known(webhook)) {
            let token = token_of(webhook).unwrap();
            let mut met = account.orphans.iter();
            let met = met.find(|orphan| orphan.token == token).unwrap();
            assert!(!met.is_stray(world.now()), "{webhook:?}");
        }
    }
}

fn tell(sequence: Vec<Happening>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(async {
        let mut story = Story::new().await;
        for happening in sequence {
            story.happen(happening).await;
        }
        story.converge().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn one_check_converges(sequence in sequence()) {
        tell(sequence);
    }
}
