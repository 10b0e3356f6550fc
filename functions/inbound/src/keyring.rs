//! The keyring: which account a URL token stands for, and which keys its deliveries may be signed with.
//!
//! Both are cached, each for an absolute time, so that a rotation is noticed. When no key fits, the keys are
//! read once more, but per account at most once in a given time: a stranger cannot make us re-read secrets, also not
//! while they cannot be read. Keys that are older than what we know of the token do not count: a webhook has its token
//! before it has its key.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::account::{AccountName, TokenEntry, TokenHash, WebhookId};
use domain::ports::{Keys, Tokens};
use domain::signature::{LiveSecrets, SigningKeys, Verified};
use sources::protocol;
use tokio::time::Instant;
use tracing::{Span, warn};

use crate::answer::{NotReady, Unverified};
use crate::request::Posted;

/// How long what was read is believed.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Keys and tokens are read again after this time, however often they were used.
    pub keep: Duration,
    /// Keys that did not fit are read again at most this often, unless the token became known after them.
    pub reread: Duration,
}

/// How long keys that could not be read are not asked for again. It is short, for a delivery that comes in this time is
/// refused, perhaps although they could be read again.
const UNREADABLE: Duration = Duration::from_millis(200);

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
    known_keys: Mutex<Cache<AccountName, Option<SigningKeys>>>,
}

/// A delivery that was proved, and whose it is.
#[derive(Debug)]
pub(crate) struct Proven<'a> {
    pub(crate) account: AccountName,
    pub(crate) webhook: WebhookId,
    pub(crate) proof: Verified<'a>,
}

/// Why a request is not a proven delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unverified(Unverified),
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

    /// Finds whose request it is, and checks the proof.
    pub(crate) async fn verify<'a>(&self, posted: &Posted<'a>) -> Result<Proven<'a>, Refusal> {
        let (entry, known_since) = self.entry(&posted.token.hash()).await?;
        let account = entry.account.clone();
        let mut held = self.held_keys(&account).await;
        if let Ok((keys, fresh)) = &held {
            if let Some((webhook, proof)) = prove(posted, keys) {
                return Ok(Proven {
                    account,
                    webhook,
                    proof,
                });
            }
            // The keys may have changed since they were read. Ask again, unless that was just now.
            if !fresh && self.may_reread(&account, known_since) {
                held = self.read_keys(&account).await.map(|keys| (keys, true));
                if let Ok((keys, _)) = &held
                    && let Some((webhook, proof)) = prove(posted, keys)
                {
                    return Ok(Proven {
                        account,
                        webhook,
                        proof,
                    });
                }
            }
        }
        Err(match held {
            Err(refusal) => refusal,
            Ok((keys, _))
                if entry
                    .webhook
                    .as_ref()
                    .is_some_and(|webhook| keys.holds(webhook)) =>
            {
                Refusal::Unverified(Unverified::WrongSignature)
            }
            Ok(_) => Refusal::NotReady(NotReady::KeysNotHeld),
        })
    }

    /// What the token stands for, and since when that is known. A token that stands for nothing is remembered as well,
    /// for a short time: the table may not have shown yet what was just stored.
    async fn entry(&self, token: &TokenHash) -> Result<(TokenEntry, Instant), Refusal> {
        let known = lock(&self.known_tokens)
            .get(token, self.limits.keep)
            .filter(|(entry, read)| entry.is_some() || read.elapsed() < self.limits.reread);
        let (entry, known_since) = match known {
            Some(known) => known,
            None => {
                let entry = self.tokens.find(token).await.map_err(|error| {
                    warn!(%error, "the accounts table did not answer");
                    Refusal::NotReady(NotReady::TokensUnreadable)
                })?;
                let now = lock(&self.known_tokens).put(*token, entry.clone());
                (entry, now)
            }
        };
        let entry = entry.ok_or(Refusal::Unverified(Unverified::UnknownToken))?;
        Span::current().record("account", entry.account.as_str());
        if !entry.status.takes_deliveries() {
            return Err(Refusal::Unverified(Unverified::Disconnected));
        }
        Ok((entry, known_since))
    }

    /// The account's keys, and whether they were read for this request.
    async fn held_keys(&self, account: &AccountName) -> Result<(SigningKeys, bool), Refusal> {
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

    async fn read_keys(&self, account: &AccountName) -> Result<SigningKeys, Refusal> {
        let keys = self.keys.read(account).await.map_err(|error| {
            warn!(%error, "the signing keys could not be read");
            Refusal::NotReady(NotReady::KeysUnreadable)
        })?;
        lock(&self.known_keys).put(account.clone(), Some(keys.clone()));
        Ok(keys)
    }

    /// Whether the account's keys may be read again for a token that is known since then, and if so notes that they
    /// are: a read that does not succeed counts as one.
    fn may_reread(&self, account: &AccountName, known_since: Instant) -> bool {
        lock(&self.known_keys).touch(account, |asked| {
            asked < known_since || asked.elapsed() >= self.limits.reread
        })
    }
}

/// Tries the key of every webhook, so that the time taken does not tell which one fits.
fn prove<'a>(posted: &Posted<'a>, keys: &SigningKeys) -> Option<(WebhookId, Verified<'a>)> {
    let protocol = protocol(posted.source);
    let policy = protocol.facts().policy;
    let mut found = None;
    for (webhook, key) in keys.iter() {
        let secrets = LiveSecrets::from(key.clone());
        let signed = |request, form| protocol.signed(request, form);
        if let Some(proof) = posted
            .offer
            .verify(posted.request, &secrets, policy, signed)
        {
            found = Some((webhook.clone(), proof));
        }
    }
    found
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

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    fn get(&self, key: &K, keep: Duration) -> Option<(V, Instant)> {
        self.0
            .get(key)
            .filter(|read| read.at.elapsed() < keep)
            .map(|read| (read.value.clone(), read.at))
    }

    fn put(&mut self, key: K, value: V) -> Instant {
        if self.0.len() >= MOST_ENTRIES {
            self.0.clear();
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
