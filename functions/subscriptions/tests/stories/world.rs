//! The world of a story: a simulated Orderspace, stores in memory, and whatever can go wrong with both.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use domain::account::{AccountName, TokenEntry, TokenHash, TokenStatus, UrlToken, WebhookId};
use domain::erasure::{Begun, Erasure, ErasureId, Erasures};
use domain::identity::DeliveryId;
use domain::ports::{Keys, PortError, QueueUrl};
use domain::route::Routes;
use domain::signature::{Assurance, LiveSecrets, MacKey, SigningKeys};
use domain::source::Source;
use domain::subscription::{
    Access, Account, Accounts, AllAccounts, Api, ApiCall, ApiError, Apis, Arrival, Baseline,
    Caller, Credentials, Deliveries, Endpoint, FailedDelivery, IfUnknown, Lease, LeaseOwner,
    Leased, Leases, NewWebhook, OauthSecret, OurSecret, RegisteredWebhook, Removed, Saved, Secrets,
    WebhookChange,
};
use domain::timestamp::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use simulator::control::{NewSite, WebhookStatus};
use simulator::{Door, Fault, FaultKind, LoggedRequest, Simulator};
use sources::apideck::api::{Apideck, ApideckUrls};
use sources::facts;
use sources::http::HttpClient;
use sources::onestock::api::OneStock;
use sources::ordermentum::api::{Ordermentum, OrdermentumUrls};
use sources::orderspace::api::{Orderspace, OrderspaceUrls};
use subscriptions::account_events::TeamQueues;
use subscriptions::event::{EventError, dispatch};
use subscriptions::health::Health;
use subscriptions::schedule::Schedule;
use subscriptions::{Settings, Subscriptions};
use testkit::fakes::{FakeErasures, FakeQueues};
use testkit::openapi::{Description, Operation};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// The account that stories are of, unless they say otherwise.
pub(crate) fn acme() -> AccountName {
    "acme".parse().unwrap()
}

pub(crate) const CHECKS: &str = "https://sqs.eu-west-1.amazonaws.com/000000000000/checks";
pub(crate) const CHECKS_ARN: &str = "arn:aws:sqs:eu-west-1:000000000000:checks";
pub(crate) const HOOKS: &str = "https://hooks.example.com/hooks";
/// The supplier of Ordermentum's accounts.
pub(crate) const SUPPLIER: &str = "5c1f0a52-3b7e-4d0a-9a51-2d7f6f0c1e11";
pub(crate) const START: u64 = 1_795_176_000_000;

/// What happens to one call to the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// It is not done, and says so.
    Refused,
    /// It is done, and the answer is lost.
    Lost,
    /// The function dies before it is done.
    DeathBefore,
    /// The function dies after it is done.
    DeathAfter,
}

impl Mishap {
    pub(crate) const ALL: [Self; 4] = [
        Self::Refused,
        Self::Lost,
        Self::DeathBefore,
        Self::DeathAfter,
    ];
}

/// Counts all calls to the outside, and lets one of them go wrong.
#[derive(Default)]
pub(crate) struct Fate {
    calls: AtomicUsize,
    planned: Mutex<Option<(usize, Mishap)>>,
    died: Notify,
}

impl Fate {
    /// Lets the call number `nth` (from 0, counted from now) go wrong.
    pub(crate) fn plan(&self, nth: usize, mishap: Mishap) {
        self.calls.store(0, Ordering::SeqCst);
        *self.planned.lock().unwrap() = Some((nth, mishap));
    }

    /// Whether the planned mishap has happened; nothing more goes wrong after this.
    pub(crate) fn end(&self) -> bool {
        self.planned.lock().unwrap().take().is_none()
    }

    async fn meet<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>>,
        error: impl FnOnce() -> E,
    ) -> Result<T, E> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let mishap = {
            let mut planned = self.planned.lock().unwrap();
            let due = matches!(*planned, Some((nth, _)) if nth == number);
            if due { planned.take() } else { None }
        };
        match mishap.map(|(_, mishap)| mishap) {
            None => work.await,
            Some(Mishap::Refused) => Err(error()),
            Some(Mishap::Lost) => {
                let _ = work.await;
                Err(error())
            }
            Some(Mishap::DeathBefore) => {
                self.died.notify_one();
                std::future::pending().await
            }
            Some(Mishap::DeathAfter) => {
                let _ = work.await;
                self.died.notify_one();
                std::future::pending().await
            }
        }
    }

    async fn store<T>(&self, work: impl Future<Output = T>) -> Result<T, PortError> {
        let work = async { Ok(work.await) };
        self.meet(work, || {
            PortError::transient("a call to a store", "timeout")
        })
        .await
    }
}

#[derive(Default)]
struct Table {
    accounts: BTreeMap<AccountName, Account>,
    leases: BTreeMap<AccountName, (LeaseOwner, Timestamp)>,
    tokens: Vec<(TokenHash, TokenEntry)>,
    /// Accounts that cannot be read whole.
    damaged: BTreeSet<AccountName>,
}

impl Table {
    fn entry(&self, token: &TokenHash) -> Option<TokenEntry> {
        let known = self.tokens.iter().find(|(hash, _)| hash == token);
        known.map(|(_, entry)| entry.clone())
    }
}

/// The accounts table, in memory.
#[derive(Default)]
pub(crate) struct MemoryAccounts {
    table: Mutex<Table>,
    saves: AtomicUsize,
    pub(crate) erasures: FakeErasures,
    fate: Arc<Fate>,
}

impl MemoryAccounts {
    /// One call to the table.
    async fn call<T>(&self, work: impl FnOnce(&mut Table) -> T) -> Result<T, PortError> {
        let work = async { work(&mut self.table.lock().unwrap()) };
        self.fate.store(work).await
    }
}

impl Erasures for MemoryAccounts {
    async fn erasure(
        &self,
        account: &AccountName,
        id: &ErasureId,
    ) -> Result<Option<Erasure>, PortError> {
        self.fate.store(self.erasures.erasure(account, id)).await?
    }

    async fn begin_erasure(&self, erasure: &Erasure) -> Result<Begun, PortError> {
        self.fate
            .store(self.erasures.begin_erasure(erasure))
            .await?
    }
}

impl Leases for MemoryAccounts {
    async fn lease(
        &self,
        lease: &Lease,
        now: Timestamp,
        if_unknown: IfUnknown,
    ) -> Result<Leased, PortError> {
        self.call(|table| {
            let account = table.accounts.get(&lease.account).cloned();
            if account.is_none() && if_unknown == IfUnknown::Refuse {
                return Leased::Unknown;
            }
            match table.leases.get(&lease.account) {
                Some((owner, until)) if *until > now && *owner != lease.owner => {
                    Leased::Held { until: *until }
                }
                _ => {
                    let held = (lease.owner.clone(), lease.until);
                    table.leases.insert(lease.account.clone(), held);
                    let account = account.map(Box::new);
                    match table.damaged.contains(&lease.account) {
                        true => Leased::Unreadable(account),
                        false => Leased::Taken(account),
                    }
                }
            }
        })
        .await
    }

    async fn save(
        &self,
        account: &Account,
        lease: &Lease,
        tokens: &[TokenHash],
    ) -> Result<Saved, PortError> {
        self.call(|table| {
            self.saves.fetch_add(1, Ordering::SeqCst);
            let owner = table.leases.get(&account.name).map(|(owner, _)| owner);
            if owner != Some(&lease.owner) {
                return Saved::LeaseLost;
            }
            for hash in tokens {
                table.tokens.retain(|(known, _)| known != hash);
                table.tokens.push((*hash, account.entry(hash)));
            }
            table.accounts.insert(account.name.clone(), account.clone());
            table.damaged.remove(&account.name);
            Saved::Yes
        })
        .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), PortError> {
        self.call(|table| {
            let owner = table.leases.get(&lease.account).map(|(owner, _)| owner);
            if owner == Some(&lease.owner) {
                table.leases.remove(&lease.account);
            }
        })
        .await
    }
}

impl Accounts for MemoryAccounts {
    async fn find(&self, name: &AccountName) -> Result<Option<Account>, PortError> {
        let is_damaged = self.table.lock().unwrap().damaged.contains(name);
        let found = self.call(|table| table.accounts.get(name).cloned()).await?;
        match is_damaged {
            true => Err(PortError::unreadable("reading an account")),
            false => Ok(found),
        }
    }

    async fn list(&self) -> Result<AllAccounts, PortError> {
        self.call(|table| {
            let (damaged, accounts): (Vec<_>, Vec<_>) = table
                .accounts
                .values()
                .cloned()
                .partition(|account| table.damaged.contains(&account.name));
            let open = table.tokens.iter().map(|(_, entry)| entry);
            let open = open.filter(|entry| entry.status != TokenStatus::Retired);
            let lost = open.filter(|entry| !table.accounts.contains_key(&entry.account));
            let lost = lost.map(|entry| entry.account.clone());
            let damaged = damaged.into_iter().map(|account| account.name);
            let unreadable: BTreeSet<_> = damaged.chain(lost).collect();
            let unreadable = unreadable.into_iter().collect();
            AllAccounts {
                accounts,
                unreadable,
            }
        })
        .await
    }

    async fn token(&self, token: &TokenHash) -> Result<Option<TokenEntry>, PortError> {
        self.call(|table| table.entry(token)).await
    }

    async fn open_tokens(
        &self,
        account: &AccountName,
    ) -> Result<Vec<(TokenHash, TokenEntry)>, PortError> {
        self.call(|table| {
            let mut open = table.tokens.clone();
            open.retain(|(_, entry)| {
                entry.account == *account && entry.status != TokenStatus::Retired
            });
            open.sort_by_key(|(token, _)| *token);
            open
        })
        .await
    }
}

/// Secrets of one kind.
struct Vault<T> {
    secrets: Mutex<BTreeMap<AccountName, T>>,
    puts: AtomicUsize,
    /// Whether what is kept cannot be read, until it is put anew.
    is_garbled: AtomicBool,
    fate: Arc<Fate>,
}

impl<T: Clone> Vault<T> {
    fn new(fate: &Arc<Fate>) -> Self {
        Self {
            secrets: Mutex::default(),
            puts: AtomicUsize::default(),
            is_garbled: AtomicBool::default(),
            fate: fate.clone(),
        }
    }

    fn kept(&self, account: &AccountName) -> Option<T> {
        self.secrets.lock().unwrap().get(account).cloned()
    }

    async fn read(&self, account: &AccountName) -> Result<Option<T>, PortError> {
        if self.is_garbled.load(Ordering::SeqCst) {
            return Err(PortError::unreadable("reading a secret"));
        }
        self.fate.store(async { self.kept(account) }).await
    }

    async fn put(&self, account: &AccountName, secret: &T) -> Result<(), PortError> {
        let work = async {
            self.puts.fetch_add(1, Ordering::SeqCst);
            let mut secrets = self.secrets.lock().unwrap();
            secrets.insert(account.clone(), secret.clone());
            self.is_garbled.store(false, Ordering::SeqCst);
        };
        self.fate.store(work).await
    }

    async fn retire(&self, account: &AccountName) -> Result<(), PortError> {
        let work = async { drop(self.secrets.lock().unwrap().remove(account)) };
        self.fate.store(work).await
    }
}

/// The secrets, in memory.
pub(crate) struct MemorySecrets {
    oauth: Vault<OauthSecret>,
    keys: Vault<SigningKeys>,
}

impl MemorySecrets {
    pub(crate) fn new(fate: &Arc<Fate>) -> Self {
        Self {
            oauth: Vault::new(fate),
            keys: Vault::new(fate),
        }
    }

    /// How often a secret was put.
    pub(crate) fn puts(&self) -> usize {
        self.oauth.puts.load(Ordering::SeqCst) + self.keys.puts.load(Ordering::SeqCst)
    }
}

impl Keys for MemorySecrets {
    async fn read(&self, account: &AccountName) -> Result<SigningKeys, PortError> {
        Ok(self.keys.read(account).await?.unwrap_or_default())
    }
}

impl Secrets for MemorySecrets {
    async fn oauth(&self, account: &AccountName) -> Result<Option<OauthSecret>, PortError> {
        self.oauth.read(account).await
    }

    async fn put_oauth(
        &self,
        account: &AccountName,
        secret: &OauthSecret,
    ) -> Result<(), PortError> {
        self.oauth.put(account, secret).await
    }

    async fn put_keys(&self, account: &AccountName, keys: &SigningKeys) -> Result<(), PortError> {
        self.keys.put(account, keys).await
    }

    async fn retire(&self, account: &AccountName) -> Result<(), PortError> {
        self.keys.retire(account).await?;
        self.oauth.retire(account).await
    }
}

/// How a source shows a webhook.
type Shows = Arc<Mutex<fn(&mut RegisteredWebhook)>>;

/// A real client, whose calls can go wrong as well.
struct FatefulApi {
    api: Box<dyn Api>,
    fate: Arc<Fate>,
    shows: Shows,
}

impl FatefulApi {
    fn meet<'a, T: Send + 'a>(&'a self, call: ApiCall<'a, T>) -> ApiCall<'a, T> {
        Box::pin(self.fate.meet(call, || ApiError::TimeOut))
    }
}

impl Api for FatefulApi {
    fn secrets(&self) -> &'static [OurSecret] {
        self.api.secrets()
    }

    fn moves(&self) -> bool {
        self.api.moves()
    }

    fn authenticate<'a>(
        &'a self,
        credentials: &'a Credentials,
        now: Timestamp,
    ) -> ApiCall<'a, Access> {
        self.meet(self.api.authenticate(credentials, now))
    }

    fn list<'a>(&'a self, caller: &'a Caller) -> ApiCall<'a, Vec<RegisteredWebhook>> {
        self.meet(Box::pin(async move {
            let mut webhooks = self.api.list(caller).await?;
            let show = *self.shows.lock().unwrap();
            webhooks.iter_mut().for_each(show);
            Ok(webhooks)
        }))
    }

    fn create<'a>(
        &'a self,
        caller: &'a Caller,
        new: NewWebhook<'a>,
    ) -> ApiCall<'a, RegisteredWebhook> {
        self.meet(self.api.create(caller, new))
    }

    fn update<'a>(
        &'a self,
        caller: &'a Caller,
        webhook: &'a WebhookId,
        change: WebhookChange<'a>,
    ) -> ApiCall<'a, RegisteredWebhook> {
        self.meet(self.api.update(caller, webhook, change))
    }

    fn remove<'a>(&'a self, caller: &'a Caller, webhook: &'a WebhookId) -> ApiCall<'a, Removed> {
        self.meet(self.api.remove(caller, webhook))
    }

    fn enable<'a>(
        &'a self,
        caller: &'a Caller,
        webhook: &'a WebhookId,
    ) -> ApiCall<'a, RegisteredWebhook> {
        self.meet(self.api.enable(caller, webhook))
    }
}

/// What is kept of Orderspace's authorization.
#[allow(
    dead_code,
    reason = "of the programs with this world, one alone reads the access token"
)]
pub(crate) struct Authorization {
    pub(crate) client_id: String,
    pub(crate) access: Option<Access>,
}

/// Receipts and failed deliveries, in memory.
#[derive(Default)]
pub(crate) struct MemoryDeliveries {
    receipts: Mutex<BTreeMap<(String, DeliveryId), Arrival>>,
    failures: Mutex<Vec<(AccountName, FailedDelivery)>>,
    /// What was read since some other delivery.
    pub(crate) read: Mutex<Vec<DeliveryId>>,
    fate: Arc<Fate>,
}

impl Deliveries for MemoryDeliveries {
    async fn since(
        &self,
        account: &AccountName,
        day: &str,
        after: Option<DeliveryId>,
        most: usize,
    ) -> Result<Vec<DeliveryId>, PortError> {
        let partition = format!("{account}#{day}");
        self.fate
            .store(async {
                let receipts = self.receipts.lock().unwrap();
                let found: Vec<_> = receipts
                    .keys()
                    .filter(|(key, id)| *key == partition && after.is_none_or(|after| after < *id))
                    .map(|(_, id)| *id)
                    .take(most)
                    .collect();
                self.read.lock().unwrap().extend(&found);
                found
            })
            .await
    }

    async fn arrivals(
        &self,
        account: &AccountName,
        day: &str,
        most: usize,
    ) -> Result<Vec<Arrival>, PortError> {
        let partition = format!("{account}#{day}");
        self.fate
            .store(async {
                let receipts = self.receipts.lock().unwrap();
                let of_day = receipts
                    .iter()
                    .rev()
                    .filter(|((key, _), _)| *key == partition);
                of_day
                    .map(|(_, arrival)| arrival.clone())
                    .take(most)
                    .collect()
            })
            .await
    }

    async fn arrival(
        &self,
        account: &AccountName,
        delivery: DeliveryId,
    ) -> Result<Option<Arrival>, PortError> {
        let partition = format!("{account}#{}", delivery.first_seen().day());
        self.fate
            .store(async {
                let receipts = self.receipts.lock().unwrap();
                receipts.get(&(partition, delivery)).cloned()
            })
            .await
    }

    async fn failed(
        &self,
        account: &AccountName,
        most: usize,
    ) -> Result<Vec<FailedDelivery>, PortError> {
        self.fate
            .store(async {
                let failures = self.failures.lock().unwrap();
                let own = failures.iter().rev().filter(|(name, _)| name == account);
                own.map(|(_, failure)| failure.clone()).take(most).collect()
            })
            .await
    }
}

/// An answer of the function.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// What the answer tells a person of the account.
    #[track_caller]
    pub(crate) fn explanation(&self) -> &str {
        self.body["explanation"].as_str().unwrap()
    }

    /// The message of what went wrong last with the account; empty if nothing did.
    pub(crate) fn last_error(&self) -> &str {
        self.body["last_error"]["message"]
            .as_str()
            .unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Holds that the message has these words.
    #[track_caller]
    pub(crate) fn assert_says(&self, words: &str) {
        assert_has(self.message(), words);
    }

    /// Holds that the explanation has these words.
    #[track_caller]
    pub(crate) fn assert_explains(&self, words: &str) {
        assert_has(self.explanation(), words);
    }
}

#[track_caller]
pub(crate) fn assert_has(text: &str, words: &str) {
    assert!(text.contains(words), "{words:?} is not in {text}");
}

/// A call of the admin API: its route, what stands in it, and its body.
pub(crate) type Call = (&'static str, Value, Option<Value>);

pub(crate) fn put(desired: Value) -> Call {
    let parameters = json!({ "account": "acme" });
    ("PUT /v1/accounts/{account}", parameters, Some(desired))
}

pub(crate) fn patch(change: Value) -> Call {
    let parameters = json!({ "account": "acme" });
    ("PATCH /v1/accounts/{account}", parameters, Some(change))
}

pub(crate) fn delete() -> Call {
    let parameters = json!({ "account": "acme" });
    ("DELETE /v1/accounts/{account}", parameters, None)
}

pub(crate) fn act(action: &str) -> Call {
    let parameters = json!({ "account": "acme", "action": action });
    ("POST /v1/accounts/{account}/{action}", parameters, None)
}

/// Tells a story for every call to the outside that `call` makes, and for each way in which that call goes wrong. `begin`
/// makes the world and what the story has to remember of it; `go_on` gets where it went wrong. More than `least` calls
/// are made.
pub(crate) async fn each_mishap<S>(
    least: usize,
    begin: impl AsyncFn() -> (World, S),
    call: impl Fn(&World) -> Call,
    go_on: impl AsyncFn(&World, S, &str),
) {
    /// More calls than any story makes; a story that reaches it would not end.
    const TOO_MANY: usize = 60;
    for mishap in Mishap::ALL {
        for nth in 0.. {
            assert!(nth < TOO_MANY, "the story does not end");
            let (world, remembered) = begin().await;
            world.fate.plan(nth, mishap);
            world.try_call(call(&world)).await;
            if !world.fate.end() {
                assert!(nth > least, "only {nth} calls");
                break;
            }
            // The lease of a call that died is outlived.
            world.pass(46);
            go_on(&world, remembered, &format!("{mishap:?} at {nth}")).await;
        }
    }
}

/// What was held for a URL when Apideck called it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub(crate) takes_deliveries: bool,
    pub(crate) keys: Vec<String>,
}

/// Where Apideck validates our URL, while it makes a webhook.
pub(crate) struct Greeter {
    listener: TcpListener,
    /// What a greeting by a URL that is known is answered with.
    pub(crate) status: AtomicU16,
    pub(crate) greetings: Mutex<Vec<Greeting>>,
}

pub(crate) struct World {
    pub(crate) source: Source,
    pub(crate) simulator: Simulator,
    pub(crate) site: simulator::control::Credentials,
    pub(crate) accounts: MemoryAccounts,
    pub(crate) secrets: MemorySecrets,
    pub(crate) deliveries: MemoryDeliveries,
    pub(crate) queues: FakeQueues,
    /// Which teams are sent account events: none, unless a story says so.
    pub(crate) routes: Routes,
    pub(crate) apis: Apis,
    /// What the source shows of webhooks other than Orderspace does.
    pub(crate) shows: Shows,
    pub(crate) greeter: Option<Greeter>,
    pub(crate) fate: Arc<Fate>,
    pub(crate) now: AtomicUsize,
    pub(crate) hooks: &'static str,
    pub(crate) budget: Option<Duration>,
    client: reqwest::Client,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world in which the account is connected.
    pub(crate) async fn connected() -> Self {
        let world = Self::new().await;
        world.connect().await.expect(200);
        world
    }

    /// A world whose site is in some way unlike the usual.
    pub(crate) async fn with(change: impl FnOnce(&mut NewSite)) -> Self {
        let mut site = NewSite::default();
        change(&mut site);
        Self::at(Source::Orderspace, site, "").await
    }

    /// A world whose function is told another address of Orderspace than the simulator's.
    pub(crate) async fn misconfigured(path: &str) -> Self {
        Self::at(Source::Orderspace, NewSite::default(), path).await
    }

    /// A world in which this source is played, with these settings of its simulator.
    pub(crate) async fn playing(source: Source, settings: Value) -> Self {
        let site = NewSite {
            settings,
            ..NewSite::default()
        };
        let mut world = Self::at(source, site, "").await;
        if source == Source::Apideck {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let hooks = format!("http://{}/hooks", listener.local_addr().unwrap());
            // It lives as long as the program, as a constant does.
            world.hooks = Box::leak(hooks.into_boxed_str());
            world.greeter = Some(Greeter {
                listener,
                status: AtomicU16::new(200),
                greetings: Mutex::default(),
            });
        }
        world
    }

    async fn at(source: Source, site: NewSite, path: &str) -> Self {
        let played = match source {
            Source::Orderspace => simulator::Source::Orderspace,
            Source::Ordermentum => simulator::Source::Ordermentum,
            Source::Apideck => simulator::Source::Apideck,
            Source::OneStock => simulator::Source::Onestock,
            Source::StackOne => simulator::Source::Stackone,
        };
        let simulator = Simulator::start_as(played, 0).await.unwrap();
        let site = simulator.create_site(site).unwrap();
        let second = Duration::from_secs(1);
        let http = HttpClient::with_timeouts(facts(source).title, second, second);
        let (api, login) = (format!("{}{path}", simulator.url()), simulator.url());
        let client: Box<dyn Api> = match source {
            Source::Orderspace => {
                let identity = login;
                Box::new(Orderspace::new(http, OrderspaceUrls { api, identity }))
            }
            Source::Ordermentum => Box::new(Ordermentum::new(http, OrdermentumUrls { api, login })),
            Source::Apideck => Box::new(Apideck::new(http, ApideckUrls { api })),
            Source::OneStock => Box::new(OneStock::new(http, Some(format!("{api}/v2")))),
            Source::StackOne => panic!("nothing calls it"),
        };
        let fate = Arc::<Fate>::default();
        let shows: Shows = Arc::new(Mutex::new(|_| {}));
        let api = FatefulApi {
            api: client,
            fate: fate.clone(),
            shows: shows.clone(),
        };
        Self {
            source,
            shows,
            greeter: None,
            accounts: MemoryAccounts {
                fate: fate.clone(),
                ..MemoryAccounts::default()
            },
            secrets: MemorySecrets::new(&fate),
            deliveries: MemoryDeliveries {
                fate: fate.clone(),
                ..MemoryDeliveries::default()
            },
            queues: FakeQueues::default(),
            routes: Routes::default(),
            apis: Apis::from_iter([(source, Box::new(api) as Box<dyn Api>)]),
            fate,
            now: AtomicUsize::new(usize::try_from(START).unwrap()),
            hooks: HOOKS,
            budget: None,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            simulator,
            site,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst).try_into().unwrap())
    }

    /// Lets time pass for the function; Orderspace has its own clock.
    pub(crate) fn pass(&self, seconds: usize) {
        self.now.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.hooks.parse().unwrap());
        settings.budget = self.budget.unwrap_or(settings.budget);
        settings
    }

    /// Calls the function; `None` if it died.
    pub(crate) async fn try_call(&self, (route, parameters, body): Call) -> Option<Answer> {
        let event = gateway_event(route, &parameters, body.map(|body| body.to_string()));
        let response = tokio::select! {
            response = self.invoke(event) => response.unwrap(),
            () = self.fate.died.notified() => return None,
            never = self.greet() => match never {},
        };
        let headers = &response["headers"];
        assert_eq!(headers["content-type"], "application/json");
        let answer = Answer {
            status: response["statusCode"].as_u64().unwrap().try_into().unwrap(),
            retry_after: headers["retry-after"].as_str().map(str::to_owned),
            body: serde_json::from_str(response["body"].as_str().unwrap()).unwrap(),
        };
        hold_against_the_description(route, &parameters, &answer);
        Some(answer)
    }

    /// The greetings by Apideck so far.
    pub(crate) fn greetings(&self) -> MutexGuard<'_, Vec<Greeting>> {
        self.greeter.as_ref().unwrap().greetings.lock().unwrap()
    }

    /// Answers whoever calls our URL as inbound does: by what is stored for its token.
    async fn greet(&self) -> std::convert::Infallible {
        let Some(greeter) = &self.greeter else {
            return std::future::pending().await;
        };
        loop {
            let (mut stream, _) = greeter.listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(br#"{"message":"Validating delivery URL"}"#) {
                let count = stream.read_buf(&mut request).await.unwrap();
                assert_ne!(count, 0, "{}", String::from_utf8_lossy(&request));
            }
            let request = String::from_utf8(request).unwrap();
            let path = request.split(' ').nth(1).unwrap();
            let token = path.strip_prefix("/hooks/apideck/").unwrap();
            // A part may follow.
            let token: UrlToken = token.split('/').next().unwrap().parse().unwrap();
            let entry = self.token_entry(&token);
            let greeting = Greeting {
                takes_deliveries: entry.is_some_and(|entry| entry.status.takes_deliveries()),
                keys: self.macs_of(&token),
            };
            let status = match greeting.takes_deliveries {
                true => greeter.status.load(Ordering::SeqCst),
                false => 401,
            };
            greeter.greetings.lock().unwrap().push(greeting);
            let answer =
                format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    /// Invokes the function with an event, as Lambda does.
    pub(crate) async fn invoke(&self, event: Value) -> Result<Value, EventError> {
        let settings = self.settings();
        let health = Health::new(&self.deliveries, &settings);
        let teams = TeamQueues::new(&self.queues, self.routes.clone());
        let function = Subscriptions::new(
            &self.accounts,
            &self.secrets,
            &self.apis,
            &health,
            &teams,
            settings,
        );
        let schedule = Schedule::new(&self.accounts, &health, &self.queues, QueueUrl::new(CHECKS));
        dispatch(&function, &schedule, event, self.now()).await
    }

    /// Invokes the function with the messages that wait in the check queue, and empties it. Returns the
    /// positions of those that come again.
    pub(crate) async fn work_off_checks(&self) -> Vec<usize> {
        let messages = self.queues.messages(&QueueUrl::new(CHECKS)).into_iter();
        let empty = testkit::sqs_event::batch(CHECKS_ARN);
        let batch = messages.fold(empty, |batch, message| batch.message(&message.body));
        self.queues.purge();
        let event = serde_json::from_str(&batch.to_json()).unwrap();
        let answer = self.invoke(event).await.unwrap();
        let failures = answer["batchItemFailures"].as_array().unwrap();
        let again = |position: &usize| {
            let id = testkit::sqs_event::message_id(*position);
            failures.contains(&json!({ "itemIdentifier": id }))
        };
        (0..batch.len()).filter(again).collect()
    }

    pub(crate) async fn call(
        &self,
        route: &'static str,
        parameters: Value,
        body: Option<Value>,
    ) -> Answer {
        self.try_call((route, parameters, body)).await.unwrap()
    }

    pub(crate) fn desired(&self, events: &[&str]) -> Value {
        let (id, secret) = (&self.site.client_id, &self.site.client_secret);
        let mut desired = match self.source {
            Source::Orderspace => json!({ "client_id": id, "client_secret": secret }),
            Source::Ordermentum => json!({ "api_key": secret, "supplier_id": SUPPLIER }),
            Source::Apideck => json!({ "api_key": secret, "app_id": id }),
            Source::OneStock => json!({
                "api_url": "https://api.example.com/v2", "site_id": id, "user_id": "ops", "password": secret,
            }),
            Source::StackOne => json!({ "signing_secrets": [secret] }),
        };
        desired["source"] = json!(self.source.as_str());
        desired["events"] = json!(events);
        desired
    }

    pub(crate) async fn put(&self, account: &str, desired: &Value) -> Answer {
        let (route, _, body) = put(desired.clone());
        self.call(route, json!({ "account": account }), body).await
    }

    pub(crate) async fn connect(&self) -> Answer {
        self.put("acme", &self.desired(&["*"])).await
    }

    pub(crate) async fn disconnect(&self) -> Answer {
        self.try_call(delete()).await.unwrap()
    }

    pub(crate) async fn change(&self, events: &[&str]) -> Answer {
        let change = json!({ "events": events });
        self.try_call(patch(change)).await.unwrap()
    }

    pub(crate) async fn act(&self, action: &str) -> Answer {
        self.try_call(act(action)).await.unwrap()
    }

    pub(crate) async fn check(&self) -> Answer {
        self.act("check").await
    }

    pub(crate) async fn rotate(&self) -> Answer {
        self.act("rotate").await
    }

    /// A delivery of this webhook is accepted now.
    pub(crate) fn deliver_by(&self, webhook: &str) {
        let mut random = [0; 10];
        getrandom::fill(&mut random).unwrap();
        let id = DeliveryId::new(self.now(), &random);
        self.attempt("acme", id, Some(webhook));
    }

    /// What happened to the account, oldest first.
    pub(crate) fn history(&self) -> Vec<String> {
        let history = self.account().unwrap().history;
        history.into_iter().map(|entry| entry.what).collect()
    }

    /// The same as one text.
    pub(crate) fn notes(&self) -> String {
        self.history().join("; ")
    }

    /// Holds that the history has these words.
    #[track_caller]
    pub(crate) fn assert_noted(&self, words: &str) {
        assert_has(&self.notes(), words);
    }

    /// What is answered to whoever asks for all accounts.
    pub(crate) async fn list(&self) -> Value {
        let answer = self.call("GET /v1/accounts", json!({}), None).await;
        answer.expect(200).body
    }

    /// Connects another account of the site.
    pub(crate) async fn connect_too(&self, account: &str, events: &[&str]) {
        self.put(account, &self.desired(events)).await.expect(200);
    }

    pub(crate) async fn show(&self, account: &str) -> Answer {
        let parameters = json!({ "account": account });
        self.call("GET /v1/accounts/{account}", parameters, None)
            .await
    }

    /// Asks the simulator something of the site, and gets what it answers.
    async fn control(&self, method: Method, path: &str, body: Value) -> reqwest::Response {
        let (simulator, site) = (self.simulator.url(), &self.site.client_id);
        let url = format!("{simulator}/_simulator/sites/{site}/{path}");
        let mut request = self.client.request(method, url);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer
    }

    /// The webhooks of the site, as Orderspace sees them.
    pub(crate) async fn webhooks(&self) -> Vec<WebhookStatus> {
        let answer = self.control(Method::GET, "webhooks", Value::Null).await;
        answer.json().await.unwrap()
    }

    pub(crate) async fn remove_webhook(&self, id: &str) {
        let path = format!("webhooks/{id}");
        self.control(Method::DELETE, &path, Value::Null).await;
    }

    /// The newest webhook of the site.
    pub(crate) async fn newest_webhook(&self) -> WebhookStatus {
        self.webhooks().await.remove(0)
    }

    /// The only webhook of the site.
    pub(crate) async fn only_webhook(&self) -> WebhookStatus {
        let mut webhooks = self.webhooks().await;
        assert_eq!(webhooks.len(), 1, "{webhooks:?}");
        webhooks.remove(0)
    }

    /// The webhook of the site that is not this one.
    pub(crate) async fn webhook_beside(&self, known: &WebhookStatus) -> WebhookStatus {
        let mut webhooks = self.webhooks().await.into_iter();
        let other = webhooks.find(|webhook| webhook.id != known.id);
        other.unwrap()
    }

    /// Somebody removes the newest webhook at the source.
    pub(crate) async fn lose_webhook(&self) -> WebhookStatus {
        let newest = self.newest_webhook().await;
        self.remove_webhook(&newest.id).await;
        newest
    }

    pub(crate) async fn change_webhook(&self, id: &str, change: Value) {
        let path = format!("webhooks/{id}");
        self.control(Method::PATCH, &path, change).await;
    }

    pub(crate) async fn add_foreign_webhook(&self, endpoint: &str) -> WebhookStatus {
        let body = json!({ "endpoint": endpoint });
        let answer = self.control(Method::POST, "webhooks", body).await;
        answer.json().await.unwrap()
    }

    pub(crate) async fn fault(&self, fault: Fault) {
        self.control(Method::POST, "faults", json!(fault)).await;
    }

    /// The next request of this method to the API goes wrong in this way.
    pub(crate) async fn next(&self, method: &str, kind: FaultKind) {
        self.fault(Fault::on(Door::Api, kind).method(method).times(1))
            .await;
    }

    pub(crate) async fn clear_faults(&self) {
        self.control(Method::DELETE, "faults", Value::Null).await;
    }

    pub(crate) async fn revoke_access_tokens(&self) {
        self.control(Method::DELETE, "tokens", Value::Null).await;
    }

    pub(crate) async fn change_settings(&self, settings: Value) {
        self.control(Method::PUT, "settings", settings).await;
    }

    pub(crate) async fn advance_orderspace(&self, millis: u64) {
        let body = json!({ "advance_ms": millis });
        self.control(Method::POST, "clock", body).await;
    }

    /// What Orderspace was asked since the last look, as `METHOD path -> status`.
    pub(crate) async fn asked(&self) -> Vec<String> {
        let answer = self.control(Method::GET, "requests", Value::Null).await;
        let log: Vec<LoggedRequest> = answer.json().await.unwrap();
        self.control(Method::DELETE, "requests", Value::Null).await;
        log.into_iter()
            .map(|request| {
                let path = match request.path.strip_prefix("/v1/webhooks/") {
                    Some(_) => "/v1/webhooks/{id}",
                    None => &request.path,
                };
                let status = request.status.unwrap_or_default();
                format!("{} {path} -> {status}", request.method)
            })
            .collect()
    }

    pub(crate) fn account(&self) -> Option<Account> {
        let table = self.accounts.table.lock().unwrap();
        table.accounts.get(&acme()).cloned()
    }

    /// Gives the account a past of three weeks with a delivery every ten minutes, up to now.
    pub(crate) fn live_for_three_weeks(&self) {
        const TEN_MINUTES: u64 = 600_000;
        let now = self.now().millis();
        let begun = now - 3 * 7 * 86_400_000;
        let mut baseline = Baseline::new(Timestamp::from_millis(begun));
        for day in 0..21 {
            let midnight = begun + day * 86_400_000;
            let times = (1..=144).map(|n| Timestamp::from_millis(midnight + n * TEN_MINUTES));
            let ids: Vec<_> = times.map(|at| DeliveryId::new(at, &[1; 10])).collect();
            baseline.observe(&ids, Timestamp::from_millis(midnight + 86_400_000));
        }
        let mut table = self.accounts.table.lock().unwrap();
        table.accounts.get_mut(&acme()).unwrap().baseline = baseline;
    }

    pub(crate) fn token_entry(&self, token: &UrlToken) -> Option<TokenEntry> {
        self.accounts.table.lock().unwrap().entry(&token.hash())
    }

    pub(crate) fn status_of(&self, token: &UrlToken) -> TokenStatus {
        self.token_entry(token).unwrap().status
    }

    pub(crate) fn token_statuses(&self) -> Vec<TokenStatus> {
        let table = self.accounts.table.lock().unwrap();
        let mut statuses: Vec<_> = table.tokens.iter().map(|(_, entry)| entry.status).collect();
        statuses.sort_by_key(|status| status.as_str());
        statuses
    }

    /// How often an account was saved.
    pub(crate) fn saves(&self) -> usize {
        self.accounts.saves.load(Ordering::SeqCst)
    }

    /// Everything that is known of URL tokens.
    pub(crate) fn token_entries(&self) -> Vec<(TokenHash, TokenEntry)> {
        self.accounts.table.lock().unwrap().tokens.clone()
    }

    /// What is kept of the account can be read no more.
    pub(crate) fn damage(&self, account: &str) {
        let mut table = self.accounts.table.lock().unwrap();
        table.damaged.insert(account.parse().unwrap());
    }

    /// Whether a call holds a lease.
    pub(crate) fn is_leased(&self) -> bool {
        !self.accounts.table.lock().unwrap().leases.is_empty()
    }

    /// Somebody deletes the account's row, and leaves what the table says of its URL tokens.
    pub(crate) fn lose_account(&self, account: &str) {
        let mut table = self.accounts.table.lock().unwrap();
        table.accounts.remove(&account.parse().unwrap());
    }

    /// Somebody deletes what the table says of URL tokens.
    pub(crate) fn lose_entries(&self) {
        self.accounts.table.lock().unwrap().tokens.clear();
    }

    /// What is kept of the signing keys, or of the authorization, can be read no more.
    pub(crate) fn garble(&self, keys: bool, oauth: bool) {
        let secrets = &self.secrets;
        secrets.keys.is_garbled.store(keys, Ordering::SeqCst);
        secrets.oauth.is_garbled.store(oauth, Ordering::SeqCst);
    }

    /// Somebody deletes the account's signing keys.
    pub(crate) fn lose_keys(&self) {
        self.secrets.keys.secrets.lock().unwrap().clear();
    }

    /// All that is kept of the account's signing keys.
    pub(crate) fn signing_keys(&self) -> SigningKeys {
        self.secrets.keys.kept(&acme()).unwrap_or_default()
    }

    /// A delivery of this registration is accepted now.
    pub(crate) fn deliver_to(&self, token: TokenHash) {
        let id = DeliveryId::new(self.now(), &[2; 10]);
        self.attempt("acme", id, None);
        let mut receipts = self.deliveries.receipts.lock().unwrap();
        let arrival = receipts.values_mut().find(|arrival| arrival.delivery == id);
        arrival.unwrap().registration = Some(token);
    }

    /// The secrets that are held for the registration with this token.
    pub(crate) fn held_of(&self, token: &UrlToken) -> LiveSecrets {
        let keys = self.signing_keys();
        let account = self.account();
        let registration = account
            .as_ref()
            .and_then(|own| own.registration(&token.hash()));
        let webhook = registration.and_then(|own| own.webhook.as_ref());
        let held = keys.of(&token.hash(), webhook);
        held.map(|held| held.secrets.clone()).unwrap_or_default()
    }

    /// Those of them that deliveries are signed with.
    pub(crate) fn macs_of(&self, token: &UrlToken) -> Vec<String> {
        let macs = self.held_of(token).macs;
        macs.iter().map(|key| key.expose().to_owned()).collect()
    }

    pub(crate) fn keys(&self) -> Vec<(String, String)> {
        let keys = self.signing_keys();
        let shown = |(id, key): (&WebhookId, &MacKey)| (id.to_string(), key.expose().to_owned());
        keys.by_webhook().iter().map(shown).collect()
    }

    pub(crate) fn oauth(&self) -> Option<Authorization> {
        let kept = self.secrets.oauth.kept(&acme())?;
        let client_id = kept.credentials.get("client_id");
        Some(Authorization {
            client_id: client_id.unwrap_or_default().to_owned(),
            access: kept.access,
        })
    }

    pub(crate) fn deliver(&self, account: &str, at: Timestamp) -> DeliveryId {
        let id = DeliveryId::new(at, &[1; 10]);
        self.attempt(account, id, None);
        id
    }

    /// Enters an attempt at a delivery into its receipt.
    pub(crate) fn attempt(&self, account: &str, id: DeliveryId, webhook: Option<&str>) {
        let mut receipts = self.deliveries.receipts.lock().unwrap();
        let key = (format!("{account}#{}", id.first_seen().day()), id);
        let arrival = receipts.entry(key).or_insert_with(|| Arrival {
            delivery: id,
            registration: None,
            webhook: webhook.map(WebhookId::new),
            assurance: Some(Assurance::Signature),
            attempts: 0,
        });
        arrival.attempts += 1;
    }

    /// A delivery is refused now.
    pub(crate) fn refuse(&self, account: &str, id: DeliveryId, cause: &str) {
        self.attempt(account, id, None);
        self.record_failure(account, id, cause);
    }

    /// The last attempt at a delivery was refused.
    pub(crate) fn record_failure(&self, account: &str, id: DeliveryId, cause: &str) {
        let failure = FailedDelivery {
            at: self.now(),
            delivery: id,
            cause: cause.to_owned(),
        };
        let mut failures = self.deliveries.failures.lock().unwrap();
        failures.push((account.parse().unwrap(), failure));
    }

    /// How it has to be after a connect, however it got there: one webhook of ours, whose key we hold and
    /// whose token is live.
    #[track_caller]
    pub(crate) fn assert_connected(&self, webhooks: &[WebhookStatus]) {
        let ours: Vec<_> = webhooks
            .iter()
            .filter(|webhook| webhook.endpoint.starts_with(self.hooks))
            .collect();
        let [webhook] = ours.as_slice() else {
            panic!("{ours:?}");
        };
        let account = self.account().unwrap();
        let events = account.events.names();
        assert!(account.events.is(&webhook.events), "{:?}", webhook.events);
        assert!(!events.is_empty());
        let entry = self.token_entry(&token_of(webhook)).unwrap();
        assert_eq!(entry.status, TokenStatus::Live);
        assert_eq!(entry.account, account.name);
        assert_eq!(entry.webhook, Some(WebhookId::new(webhook.id.as_str())));
        let live = self.token_statuses();
        let live = live.iter().filter(|status| **status == TokenStatus::Live);
        assert_eq!(live.count(), 1);
        let key = (webhook.id.clone(), webhook.signing_key.clone());
        assert!(self.keys().contains(&key));
        assert_eq!(account.state(), domain::subscription::State::Connected);
        assert_eq!(account.last_error, None);
        assert!(self.oauth().is_some());
    }
}

/// The token in a webhook's URL.
pub(crate) fn token_of(webhook: &WebhookStatus) -> UrlToken {
    Endpoint::new(webhook.endpoint.as_str()).token().unwrap()
}

/// Every answer in every story is one that the admin API's description has.
fn hold_against_the_description(route: &str, parameters: &Value, answer: &Answer) {
    let (method, path) = route.split_once(' ').unwrap();
    let action = parameters["action"].as_str().unwrap_or_default();
    let path = path.replace("{action}", action);
    let described = Description::ours();
    let is_known = |operation: &Operation| operation.method == method && operation.path == path;
    if !described.operations().iter().any(is_known) {
        assert_eq!(answer.status, 404, "{method} {path} is not described");
        return;
    }
    let retry_after = answer.retry_after.as_deref();
    let held = described.hold(method, &path, answer.status, retry_after, &answer.body);
    held.unwrap_or_else(|error| panic!("{error}"));
}

pub(crate) fn gateway_event(route: &str, parameters: &Value, body: Option<String>) -> Value {
    let (method, _) = route.split_once(' ').unwrap();
    let mut event = json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": "/some-stage/not/looked/at",
        "rawQueryString": "",
        "headers": { "content-type": "application/json", "host": "admin.example.com" },
        "pathParameters": parameters,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "abcdef1234",
            "domainName": "admin.example.com",
            "domainPrefix": "admin",
            "http": {
                "method": method, "path": "/some-stage/not/looked/at", "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "test",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": route,
            "stage": "some-stage",
            "time": "20/Nov/2026:12:00:00 +0000",
            "timeEpoch": START,
        },
        "isBase64Encoded": false,
    });
    if let Some(body) = body {
        event["body"] = Value::from(body);
    }
    event
}
