//! Erasures as the accounts table keeps them, beside the accounts and URL tokens that they delete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use domain::account::AccountName;
use domain::erasure::{
    Begun, Cursor, Erasure, ErasureId, ErasureJobs, Erasures, Page, Removal, RunningErasures,
};
use domain::ports::PortError;
use domain::timestamp::Timestamp;

use super::script::Script;
use super::{lock, page};

#[derive(Debug, Default)]
struct Table {
    erasures: BTreeMap<(AccountName, ErasureId), Erasure>,
    accounts: BTreeMap<AccountName, Removal>,
    tokens: BTreeSet<(AccountName, String)>,
    unreadable: usize,
}

/// Erasures that can be read.
#[derive(Debug)]
pub struct FakeErasures {
    script: Script,
    table: Mutex<Table>,
}

impl Default for FakeErasures {
    fn default() -> Self {
        Self {
            script: Script::new(
                "erasures",
                &[
                    ("find", "erasures.find"),
                    ("begin", "erasures.begin"),
                    ("running", "erasures.running"),
                    ("advance", "erasures.advance"),
                    ("erase_tokens", "erasures.erase_tokens"),
                    ("erase_account", "erasures.erase_account"),
                ],
            ),
            table: Mutex::default(),
        }
    }
}

impl FakeErasures {
    /// The faults; calls are distinguished by the account.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// Keeps an account, and what deleting it comes to while it is there.
    pub fn keep_account(&self, account: &AccountName, removal: Removal) {
        lock(&self.table).accounts.insert(account.clone(), removal);
    }

    /// Keeps a retired URL token of an account.
    pub fn keep_token(&self, account: &AccountName, token: &str) {
        let token = (account.clone(), token.to_owned());
        lock(&self.table).tokens.insert(token);
    }

    /// Keeps so many erasures that cannot be read.
    pub fn keep_unreadable(&self, count: usize) {
        lock(&self.table).unreadable = count;
    }

    /// The accounts that are there.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountName> {
        lock(&self.table).accounts.keys().cloned().collect()
    }

    /// Whose tokens are there.
    #[must_use]
    pub fn tokens(&self) -> Vec<AccountName> {
        let table = lock(&self.table);
        table
            .tokens
            .iter()
            .map(|(account, _)| account.clone())
            .collect()
    }

    /// Every erasure.
    #[must_use]
    pub fn erasures(&self) -> Vec<Erasure> {
        lock(&self.table).erasures.values().cloned().collect()
    }
}

impl Erasures for FakeErasures {
    async fn erasure(
        &self,
        account: &AccountName,
        id: &ErasureId,
    ) -> Result<Option<Erasure>, PortError> {
        let begun = self.script.begin("find", account.as_str()).await?;
        let found = lock(&self.table)
            .erasures
            .get(&(account.clone(), id.clone()))
            .cloned();
        begun.done(found)
    }

    async fn begin_erasure(&self, erasure: &Erasure) -> Result<Begun, PortError> {
        let account = &erasure.account;
        let begun = self.script.begin("begin", account.as_str()).await?;
        let kept = {
            let mut table = lock(&self.table);
            let key = (account.clone(), erasure.id.clone());
            match table.erasures.get(&key).filter(|known| known.is_running()) {
                Some(running) => Begun::Running(Box::new(running.clone())),
                None => {
                    table.erasures.insert(key, erasure.clone());
                    Begun::Now
                }
            }
        };
        begun.done(kept)
    }
}

impl ErasureJobs for FakeErasures {
    async fn running(&self) -> Result<RunningErasures, PortError> {
        let begun = self.script.begin("running", "").await?;
        let running = {
            let table = lock(&self.table);
            let erasures = table.erasures.values();
            RunningErasures {
                erasures: erasures
                    .filter(|known| known.is_running())
                    .cloned()
                    .collect(),
                unreadable: table.unreadable,
            }
        };
        begun.done(running)
    }

    async fn advance(&self, seen: &Erasure, next: &Erasure) -> Result<bool, PortError> {
        let account = &seen.account;
        let begun = self.script.begin("advance", account.as_str()).await?;
        let is_kept = {
            let mut table = lock(&self.table);
            let key = (account.clone(), seen.id.clone());
            let is_seen = table.erasures.get(&key) == Some(seen);
            if is_seen {
                table.erasures.insert(key, next.clone());
            }
            is_seen
        };
        begun.done(is_kept)
    }

    async fn erase_tokens(
        &self,
        account: &AccountName,
        after: Option<&Cursor>,
    ) -> Result<Page, PortError> {
        let begun = self.script.begin("erase_tokens", account.as_str()).await?;
        let page = {
            let mut table = lock(&self.table);
            let all = table.tokens.iter().map(|(_, token)| token.clone());
            let (tokens, next) = page(all.collect(), after);
            let before = table.tokens.len();
            table
                .tokens
                .retain(|(owner, token)| owner != account || !tokens.contains(token));
            let erased = u64::try_from(before - table.tokens.len()).expect("few tokens");
            Page { erased, next }
        };
        begun.done(page)
    }

    async fn erase_account(
        &self,
        account: &AccountName,
        _now: Timestamp,
    ) -> Result<Removal, PortError> {
        let begun = self.script.begin("erase_account", account.as_str()).await?;
        let removal = {
            let mut table = lock(&self.table);
            let removal = table.accounts.get(account).copied();
            let removal = removal.unwrap_or(Removal::Gone);
            if removal == Removal::Gone {
                table.accounts.remove(account);
            }
            removal
        };
        begun.done(removal)
    }
}
