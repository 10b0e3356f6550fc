//! URL tokens as the accounts table knows them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use domain::account::{TokenEntry, TokenHash};
use domain::ports::{PortError, Tokens};

use super::lock;
use super::script::{Journal, Script};

/// URL tokens by their hashes.
#[derive(Debug)]
pub struct FakeTokens {
    script: Script,
    entries: Mutex<HashMap<TokenHash, TokenEntry>>,
}

impl Default for FakeTokens {
    fn default() -> Self {
        Self {
            script: Script::new("tokens", &[("find", "tokens.find")]),
            entries: Mutex::default(),
        }
    }
}

impl FakeTokens {
    /// Tokens that write into a journal which others share.
    #[must_use]
    pub fn sharing(journal: &Journal) -> Self {
        let mut tokens = Self::default();
        tokens.script.share(journal);
        tokens
    }

    /// The faults; calls are distinguished by the token's hash.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// How often each operation was called.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.script.calls()
    }

    /// Stores what a token stands for.
    pub fn put(&self, token: TokenHash, entry: TokenEntry) {
        lock(&self.entries).insert(token, entry);
    }

    /// Forgets a token.
    pub fn remove(&self, token: &TokenHash) {
        lock(&self.entries).remove(token);
    }
}

impl Tokens for FakeTokens {
    async fn find(&self, token: &TokenHash) -> Result<Option<TokenEntry>, PortError> {
        let begun = self.script.begin("find", &token.to_string()).await?;
        let entry = lock(&self.entries).get(token).cloned();
        begun.done(entry)
    }
}
