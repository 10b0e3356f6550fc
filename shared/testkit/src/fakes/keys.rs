//! Signing keys as the secret store keeps them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use domain::account::{AccountName, WebhookId};
use domain::ports::{Keys, PortError};
use domain::signature::{MacKey, SigningKeys};

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

    /// The faults; calls are told apart by the account.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// How often each operation was called.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.script.calls()
    }

    /// Stores an account's live keys by webhook, in place of those before.
    pub fn put(&self, account: &AccountName, keys: &[(&str, &str)]) {
        let keys = keys.iter();
        let keys = keys.map(|(webhook, key)| (WebhookId::new(*webhook), MacKey::new(*key)));
        lock(&self.keys).insert(account.clone(), keys.collect());
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
