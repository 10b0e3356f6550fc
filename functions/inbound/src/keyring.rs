//! The keyring: which account a URL token stands for, and which keys its deliveries may be signed with.
//!
//! Keys hang on the registration, that is on the URL token's hash: one request is judged by one registration's keys.
//!
//! Both are cached, each for an absolute time that use does not extend. A token's entry is believed for ten seconds,
//! so that an account that was disconnected is refused that soon everywhere; where the table does not answer, as long
//! as its keys. The entry names the version of its keys: older ones do not count, and are read again. When no key
//! fits, the keys are read once more, but at most once per account in [`Limits::reread`]: unauthenticated requests cannot
//! make us read secrets at will, not even while the reads fail.
//!
//! Where a source's signatures are but observed, keys decide nothing: there may be none yet, and whatever they do not prove
//! the URL token does.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::account::{AccountName, TokenEntry, TokenHash};
use domain::delivery::Delivery;
use domain::ports::{Keys, Tokens};
use domain::signature::{LiveSecrets, Offer, Policy, Screened, SigningKeys, Verified};
use domain::source::Source;
use http::HeaderMap;
use tokio::time::{Instant, timeout};
use tracing::{Span, warn};

use crate::answer::{NotReady, Unverified};
use crate::report::Report;
use crate::request::Posted;

/// How long what was read is believed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Keys are read again after this time, however often they were used.
    pub keep: Duration,
    /// Keys that did not fit are read again at most this often.
    pub reread: Duration,
}

/// How long what a token stands for is believed, also that it stands for nothing: a token may be given out or taken back
/// at any time.
const ENTRIES_BELIEVED: Duration = Duration::from_secs(10);

/// How long keys that could not be read are not asked for again. It is short, for a delivery that comes in this time is
/// refused, perhaps although they could be read again.
const UNREADABLE: Duration = Duration::from_millis(200);

/// How long keys are waited for that can only better a proof.
const OBSERVING: Duration = Duration::from_secs(1);

/// The most entries that either cache holds: a flood of made-up tokens must not fill the memory.
const MOST_ENTRIES: usize = 4096;

/// The keyring, shared by all requests of an instance.
#[derive(Debug)]
pub struct Keyring<'p, T, K> {
    tokens: &'p T,
    keys: &'p K,
    limits: Limits,
    known_tokens: Mutex<Cache<TokenHash, Option<TokenEntry>>>,
    /// None for keys that could not be read.
    known_keys: Mutex<Cache<AccountName, Option<Arc<SigningKeys>>>>,
}

/// A delivery that was proved, and by which registration it came.
#[derive(Debug)]
pub(crate) struct Proven<'a> {
    pub(crate) entry: TokenEntry,
    pub(crate) registration: TokenHash,
    pub(crate) proof: Verified<'a>,
    /// Those of its headers by which it is split.
    pub(crate) headers: HeaderMap,
}

impl Proven<'_> {
    /// The delivery as its receipt will have it: whatever is made of it now can be made of it again.
    pub(crate) fn delivery(&self) -> Delivery<'_> {
        Delivery {
            headers: &self.headers,
            ..self.proof.delivery()
        }
    }
}

/// A request by a known token that is let in.
#[expect(
    clippy::large_enum_variant,
    reason = "it is made once a request, and never kept"
)]
#[derive(Debug)]
pub(crate) enum Admitted<'a> {
    Delivery(Proven<'a>),
    Greeting,
}

/// A registration that takes deliveries.
#[derive(Debug)]
struct Registered {
    hash: TokenHash,
    entry: TokenEntry,
    /// Since when that is known.
    known_since: Instant,
}

/// Why a request is not a proven delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unverified(Unverified),
    /// The token is this account's, and no key of it made the signature.
    WrongSignature(AccountName),
    NotReady(NotReady),
}

impl<'p, T: Tokens, K: Keys> Keyring<'p, T, K> {
    pub(crate) fn new(tokens: &'p T, keys: &'p K, limits: Limits) -> Self {
        Self {
            tokens,
            keys,
            limits,
            known_tokens: Mutex::default(),
            known_keys: Mutex::default(),
        }
    }

    /// Finds by which registration a request came, and checks the proof with its keys.
    /// `report` gets the account.
    pub(crate) async fn verify<'a>(
        &self,
        posted: &Posted<'a>,
        report: &Report,
    ) -> Result<Admitted<'a>, Refusal> {
        let hash = posted.token.hash();
        let (entry, known_since) = self.entry(&hash, posted.source, report).await?;
        let offer = match &posted.screened {
            Screened::Greeting => return Ok(Admitted::Greeting),
            Screened::Delivery(offer) => offer,
        };
        let registered = Registered {
            hash,
            entry,
            known_since,
        };
        let policy = posted.protocol.facts().policy;
        let proof = match registered.entry.policy_over(policy) {
            Policy::Require => self.prove(posted, offer, &registered).await?,
            Policy::Observe => self.observe(posted, offer, &registered).await?,
        };
        Ok(Admitted::Delivery(Proven {
            proof,
            entry: registered.entry,
            registration: hash,
            headers: posted.protocol.facts().kept(posted.request.headers),
        }))
    }

    /// Checks a proof with the registration's keys, and refuses what they do not prove.
    async fn prove<'a>(
        &self,
        posted: &Posted<'a>,
        offer: &Offer,
        registered: &Registered,
    ) -> Result<Verified<'a>, Refusal> {
        let account = &registered.entry.account;
        let (mut keys, is_fresh) = self.held_keys(account).await?;
        let mut judged = judge(posted, offer, registered, &keys);
        // The keys may have changed since they were read. Ask again, unless that was just now.
        if let Err(refusal) = &judged
            && !is_fresh
            && self.may_reread(account, refusal, registered.known_since)
        {
            keys = self.read_keys(account).await?;
            judged = judge(posted, offer, registered, &keys);
        }
        judged
    }

    /// Checks what is offered as far as keys are held. What they do not prove, whatever the reason, the URL token does.
    async fn observe<'a>(
        &self,
        posted: &Posted<'a>,
        offer: &Offer,
        registered: &Registered,
    ) -> Result<Verified<'a>, Refusal> {
        let proved = match offer {
            Offer::Nothing => None,
            Offer::Macs { .. } | Offer::Shared { .. } => {
                let proving = timeout(OBSERVING, self.prove(posted, offer, registered));
                proving.await.ok().and_then(Result::ok)
            }
        };
        let by_token = || {
            let none = LiveSecrets::default();
            by_secrets(posted, offer, registered, &none, Policy::Observe)
        };
        proved.map_or_else(by_token, Ok)
    }

    /// What the token stands for, and since when that is known.
    async fn entry(
        &self,
        token: &TokenHash,
        source: Source,
        report: &Report,
    ) -> Result<(TokenEntry, Instant), Refusal> {
        let known = lock(&self.known_tokens).get(token, ENTRIES_BELIEVED);
        let (entry, known_since) = match known {
            Some(known) => known,
            None => match self.tokens.find(token).await {
                Ok(entry) => {
                    let now = lock(&self.known_tokens).put(*token, entry.clone());
                    (entry, now)
                }
                Err(error) => {
                    warn!(%error, "the accounts table did not answer");
                    // What was known serves for a while: an outage must not cost genuine deliveries.
                    lock(&self.known_tokens)
                        .get(token, self.limits.keep)
                        .filter(|(entry, _)| entry.is_some())
                        .ok_or(Refusal::NotReady(NotReady::TokensUnreadable))?
                }
            },
        };
        // Another source's token is as good as none.
        let entry = entry
            .filter(|entry| entry.source == source)
            .ok_or(Refusal::Unverified(Unverified::UnknownToken))?;
        Span::current().record("account", entry.account.as_str());
        let _ = report.account.set(entry.account.clone());
        if !entry.status.takes_deliveries() {
            return Err(Refusal::Unverified(Unverified::Disconnected));
        }
        Ok((entry, known_since))
    }

    /// The account's keys, and whether they were read for this request.
    async fn held_keys(&self, account: &AccountName) -> Result<(Arc<SigningKeys>, bool), Refusal> {
        let known = lock(&self.known_keys).get(account, self.limits.keep);
        match known {
            Some((Some(keys), _)) => Ok((keys, false)),
            Some((None, failed)) if failed.elapsed() < UNREADABLE => {
                Err(Refusal::NotReady(NotReady::KeysUnreadable))
            }
            Some((None, _)) | None => {
                let keys = self.read_keys(account).await;
                if keys.is_err() {
                    lock(&self.known_keys).put(account.clone(), None);
                }
                Ok((keys?, true))
            }
        }
    }

    async fn read_keys(&self, account: &AccountName) -> Result<Arc<SigningKeys>, Refusal> {
        let keys = self.keys.read(account).await.map_err(|error| {
            warn!(%error, "the signing keys could not be read");
            Refusal::NotReady(NotReady::KeysUnreadable)
        })?;
        let keys = Arc::new(keys);
        lock(&self.known_keys).put(account.clone(), Some(Arc::clone(&keys)));
        Ok(keys)
    }

    /// Whether the account's keys may be read again; if so, the attempt is noted, and counts even if it fails. A token's entry
    /// that names newer keys comes from our own table, so it allows a read at once.
    fn may_reread(&self, account: &AccountName, refusal: &Refusal, known_since: Instant) -> bool {
        let names_newer = matches!(refusal, Refusal::NotReady(NotReady::KeysNotHeld));
        lock(&self.known_keys).touch(account, |asked| {
            (names_newer && asked < known_since) || asked.elapsed() >= self.limits.reread
        })
    }
}

/// Judges a request by the keys of its registration. Where they are older than the version that the token's entry names,
/// what they prove is not known: the new ones are not held yet.
fn judge<'a>(
    posted: &Posted<'a>,
    offer: &Offer,
    registered: &Registered,
    keys: &SigningKeys,
) -> Result<Verified<'a>, Refusal> {
    let entry = &registered.entry;
    let held = keys
        .of(&registered.hash, entry.webhook.as_ref())
        .filter(|held| held.version >= entry.keys)
        .ok_or(Refusal::NotReady(NotReady::KeysNotHeld))?;
    by_secrets(posted, offer, registered, &held.secrets, Policy::Require)
}

/// How far ahead of the time of receipt a signature may be made, in seconds: as much as clocks may
/// differ. What is dated later than that was not signed by the clock that it claims.
const MOST_AHEAD_SECONDS: u64 = 5 * 60;

/// Judges a request by these secrets.
fn by_secrets<'a>(
    posted: &Posted<'a>,
    offer: &Offer,
    registered: &Registered,
    secrets: &LiveSecrets,
    policy: Policy,
) -> Result<Verified<'a>, Refusal> {
    let protocol = posted.protocol;
    let latest = posted.received.plus_seconds(MOST_AHEAD_SECONDS);
    let is_ahead = |request| protocol.signed_at(request).is_some_and(|at| at > latest);
    let signed = |request, form| match is_ahead(request) {
        true => None,
        false => protocol.signed(request, form),
    };
    offer
        .verify(posted.request, secrets, policy, signed)
        .ok_or_else(|| Refusal::WrongSignature(registered.entry.account.clone()))
}

/// No code under these locks can panic half-way through a change, so a poisoned one is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Values with the time at which they were read.
#[derive(Debug)]
struct Cache<K, V>(HashMap<K, Read<V>>);

#[derive(Debug)]
struct Read<V> {
    value: V,
    at: Instant,
    asked: Instant,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Hash + Eq, V: Clone> Cache<K, V> {
    fn get(&self, key: &K, keep: Duration) -> Option<(V, Instant)> {
        self.0
            .get(key)
            .filter(|read| read.at.elapsed() < keep)
            .map(|read| (read.value.clone(), read.at))
    }

    fn put(&mut self, key: K, value: V) -> Instant {
        if self.0.len() >= MOST_ENTRIES && !self.0.contains_key(&key) {
            let oldest = self.0.iter().min_by_key(|(_, read)| read.at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.0.remove(&oldest);
            }
        }
        let now = Instant::now();
        self.0.insert(
            key,
            Read {
                value,
                at: now,
                asked: now,
            },
        );
        now
    }

    fn touch(&mut self, key: &K, is_due: impl FnOnce(Instant) -> bool) -> bool {
        match self.0.get_mut(key) {
            Some(read) if is_due(read.asked) => {
                read.asked = Instant::now();
                true
            }
            Some(_) => false,
            None => true,
        }
    }
}
