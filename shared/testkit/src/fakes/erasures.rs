//! Erasures as the accounts table keeps them, beside the accounts and URL tokens that they delete.

use std::collections::{BTreeMap, BTreeSet};

use domain::account::AccountName;
use domain::erasure::{
    Begun, Cursor, Erasure, ErasureId, ErasureJobs, Erasures, Page, Removal, RunningErasures,
};
use domain::ports::PortError;
use domain::timestamp::Timestamp;

use super::{Fake, Kept, page};

/// Erasures that can be read. The scope of a call is the account.
pub type FakeErasures = Fake<Table>;

/// What the table has.
#[derive(Debug, Default)]
pub struct Table {
    erasures: BTreeMap<(AccountName, ErasureId), Erasure>,
    accounts: BTreeMap<AccountName, Removal>,
    tokens: BTreeSet<(AccountName, String)>,
    unreadable: usize,
}

impl Kept for Table {
    const CALLS: &'static [&'static str] = &[
        "erasures.find",
        "erasures.begin",
        "erasures.running",
        "erasures.advance",
        "erasures.erase_tokens",
        "erasures.erase_account",
    ];
}

impl FakeErasures {
    /// Keeps an account, and what deleting it comes to while it is there.
    pub fn keep_account(&self, account: &AccountName, removal: Removal) {
        self.state().accounts.insert(account.clone(), removal);
    }

    /// Keeps a retired URL token of an account.
    pub fn keep_token(&self, account: &AccountName, token: &str) {
        let token = (account.clone(), token.to_owned());
        self.state().tokens.insert(token);
    }

    /// Keeps so many erasures that cannot be read.
    pub fn keep_unreadable(&self, count: usize) {
        self.state().unreadable = count;
    }

    /// The accounts that are there.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountName> {
        self.state().accounts.keys().cloned().collect()
    }

    /// Whose tokens are there.
    #[must_use]
    pub fn tokens(&self) -> Vec<AccountName> {
        let tokens = self.state().tokens.clone().into_iter();
        tokens.map(|(account, _)| account).collect()
    }

    /// Every erasure.
    #[must_use]
    pub fn erasures(&self) -> Vec<Erasure> {
        self.state().erasures.values().cloned().collect()
    }
}

impl Erasures for FakeErasures {
    async fn erasure(
        &self,
        account: &AccountName,
        id: &ErasureId,
    ) -> Result<Option<Erasure>, PortError> {
        let begun = self.script.begin("find", account.as_str()).await?;
        let key = (account.clone(), id.clone());
        begun.done(self.state().erasures.get(&key).cloned())
    }

    async fn begin_erasure(&self, erasure: &Erasure) -> Result<Begun, PortError> {
        let account = &erasure.account;
        let begun = self.script.begin("begin", account.as_str()).await?;
        let mut table = self.state();
        let key = (account.clone(), erasure.id.clone());
        let known = table.erasures.get(&key);
        if let Some(running) = known.filter(|known| known.is_running()) {
            return begun.done(Begun::Running(Box::new(running.clone())));
        }
        table.erasures.insert(key, erasure.clone());
        begun.done(Begun::Now)
    }
}

impl ErasureJobs for FakeErasures {
    async fn running(&self) -> Result<RunningErasures, PortError> {
        let begun = self.script.begin("running", "").await?;
        let mut erasures = self.erasures();
        erasures.retain(Erasure::is_running);
        let unreadable = self.state().unreadable;
        begun.done(RunningErasures {
            erasures,
            unreadable,
        })
    }

    async fn advance(&self, seen: &Erasure, next: &Erasure) -> Result<bool, PortError> {
        let account = &seen.account;
        let begun = self.script.begin("advance", account.as_str()).await?;
        let mut table = self.state();
        let key = (account.clone(), seen.id.clone());
        let is_seen = table.erasures.get(&key) == Some(seen);
        if is_seen {
            table.erasures.insert(key, next.clone());
        }
        begun.done(is_seen)
    }

    async fn erase_tokens(
        &self,
        account: &AccountName,
        after: Option<&Cursor>,
    ) -> Result<Page, PortError> {
        let begun = self.script.begin("erase_tokens", account.as_str()).await?;
        let kept = &mut self.state().tokens;
        let all = kept.iter().map(|(_, token)| token.clone());
        let (tokens, next) = page(all.collect(), after);
        let erased = kept.extract_if(.., |(owner, token)| {
            owner == account && tokens.contains(token)
        });
        let erased = erased.count() as u64;
        begun.done(Page { erased, next })
    }

    async fn erase_account(
        &self,
        account: &AccountName,
        _now: Timestamp,
    ) -> Result<Removal, PortError> {
        let begun = self.script.begin("erase_account", account.as_str()).await?;
        let accounts = &mut self.state().accounts;
        let removal = accounts.get(account).copied();
        let removal = removal.unwrap_or(Removal::Gone);
        if removal == Removal::Gone {
            accounts.remove(account);
        }
        begun.done(removal)
    }
}
