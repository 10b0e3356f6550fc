//! Signing keys as the secret store keeps them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use domain::account::{AccountName, KeysVersion, TokenHash};
use domain::ports::{Keys, PortError};
use domain::signature::{LiveSecrets, MacKey, RegistrationKeys, SigningKeys};

use super::lock;
use super::script::{Journal, Script};

/// Signing keys by account.
#[derive(Debug)]
pub struct FakeKeys {
    script: Script,
    keys: Mutex<BTreeMap<AccountName, SigningKeys>>,
}

impl Default for FakeKeys {
    fn default() -> Self {
        Self {
            script: Script::new("keys", &[("read", "keys.read")]),
            keys: Mutex::default(),
        }
    }
}

impl FakeKeys {
    /// Keys that write into a journal which others share.
    #[must_use]
    pub fn sharing(journal: &Journal) -> Self {
        let mut keys = Self::default();
        keys.script.share(journal);
        keys
    }

    /// The faults; calls are distinguished by the account.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// How often each operation was called.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.script.calls()
    }

    /// Stores a registration's live MAC keys, beside those of the account's other registrations.
    pub fn put(&self, account: &AccountName, token: TokenHash, version: u64, keys: &[&str]) {
        let secrets = LiveSecrets {
            macs: keys.iter().map(|key| MacKey::new(*key)).collect(),
            shared: Vec::new(),
        };
        self.put_secrets(account, token, version, secrets);
    }

    /// Stores a registration's live secrets of whatever kind, beside those of the account's other registrations.
    pub fn put_secrets(
        &self,
        account: &AccountName,
        token: TokenHash,
        version: u64,
        secrets: LiveSecrets,
    ) {
        let keys = RegistrationKeys {
            version: KeysVersion::new(version),
            secrets,
        };
        let mut held = lock(&self.keys);
        held.entry(account.clone())
            .or_default()
            .put(token, None, keys);
    }

    /// Stores an account's keys, in place of those before.
    pub fn replace(&self, account: &AccountName, keys: SigningKeys) {
        lock(&self.keys).insert(account.clone(), keys);
    }

    /// Forgets an account's keys.
    pub fn remove(&self, account: &AccountName) {
        lock(&self.keys).remove(account);
    }
}

impl Keys for FakeKeys {
    async fn read(&self, account: &AccountName) -> Result<SigningKeys, PortError> {
        let begun = self.script.begin("read", account.as_str()).await?;
        let keys = lock(&self.keys).get(account).cloned();
        begun.done(keys.unwrap_or_default())
    }
}
