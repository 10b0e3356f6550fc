//! Signing keys as the secret store keeps them.

use std::collections::BTreeMap;

use domain::account::{AccountName, KeysVersion, TokenHash};
use domain::ports::{Keys, PortError};
use domain::signature::{LiveSecrets, MacKey, RegistrationKeys, SigningKeys};

use super::{Fake, Kept};

/// Signing keys by account. The scope of a call is the account.
pub type FakeKeys = Fake<State>;

/// Signing keys by account.
#[derive(Debug, Default)]
pub struct State(BTreeMap<AccountName, SigningKeys>);

impl Kept for State {
    const CALLS: &'static [&'static str] = &["keys.read"];
}

impl FakeKeys {
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
        let mut held = self.state();
        let of_account = held.0.entry(account.clone()).or_default();
        of_account.put(token, None, keys);
    }

    /// Stores an account's keys, in place of those before.
    pub fn replace(&self, account: &AccountName, keys: SigningKeys) {
        self.state().0.insert(account.clone(), keys);
    }

    /// Forgets an account's keys.
    pub fn remove(&self, account: &AccountName) {
        self.state().0.remove(account);
    }
}

impl Keys for FakeKeys {
    async fn read(&self, account: &AccountName) -> Result<SigningKeys, PortError> {
        let begun = self.script.begin("read", account.as_str()).await?;
        let keys = self.state().0.get(account).cloned();
        begun.done(keys.unwrap_or_default())
    }
}
