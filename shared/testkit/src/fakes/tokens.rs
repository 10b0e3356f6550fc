//! URL tokens as the accounts table knows them.

use std::collections::HashMap;

use domain::account::{TokenEntry, TokenHash};
use domain::ports::{PortError, Tokens};

use super::{Fake, Kept};

/// URL tokens by their hashes. The scope of a call is the token's hash.
pub type FakeTokens = Fake<State>;

/// URL tokens by their hashes.
#[derive(Debug, Default)]
pub struct State(HashMap<TokenHash, TokenEntry>);

impl Kept for State {
    const CALLS: &'static [&'static str] = &["tokens.find"];
}

impl FakeTokens {
    /// Stores what a token stands for.
    pub fn put(&self, token: TokenHash, entry: TokenEntry) {
        self.state().0.insert(token, entry);
    }

    /// Forgets a token.
    pub fn remove(&self, token: &TokenHash) {
        self.state().0.remove(token);
    }
}

impl Tokens for FakeTokens {
    async fn find(&self, token: &TokenHash) -> Result<Option<TokenEntry>, PortError> {
        let begun = self.script.begin("find", &token.to_string()).await?;
        let entry = self.state().0.get(token).cloned();
        begun.done(entry)
    }
}
