//! A session with the source: an access token that is shared through the account's secret, used until shortly
//! before its end, and renewed once when it is refused all the same.

use domain::account::{AccountName, WebhookId};
use domain::source::Source;
use domain::subscription::{
    AccessToken, Account, Api, ApiError, Caller, Credentials, NewWebhook, OauthSecret, OurSecret,
    RegisteredWebhook, Removed, Secrets, WebhookChange,
};
use domain::timestamp::Timestamp;

use crate::answer::Failure;

/// The way to the source's API in one account's name. The account's lease is held.
pub(crate) struct Session<'s, S> {
    secrets: &'s S,
    api: &'s dyn Api,
    account: AccountName,
    source: Source,
    secret: OauthSecret,
    now: Timestamp,
    /// Whether the secret is the account's, so that a new token is kept there.
    is_kept: bool,
    /// Whether the token is of this very call: if it is refused, another will be refused too.
    is_renewed: bool,
}

impl<'s, S: Secrets> Session<'s, S> {
    /// A session with the account's own secret.
    pub(crate) fn kept(
        secrets: &'s S,
        api: &'s dyn Api,
        account: &Account,
        secret: OauthSecret,
        now: Timestamp,
    ) -> Self {
        Self {
            secrets,
            api,
            account: account.name.clone(),
            source: account.source,
            secret,
            now,
            is_kept: true,
            is_renewed: false,
        }
    }

    /// A session with credentials that have yet to prove themselves.
    pub(crate) fn offered(
        secrets: &'s S,
        api: &'s dyn Api,
        account: &Account,
        credentials: Credentials,
        now: Timestamp,
    ) -> Self {
        let secret = OauthSecret {
            credentials,
            access: None,
        };
        Self {
            is_kept: false,
            ..Self::kept(secrets, api, account, secret, now)
        }
    }

    /// Makes the credentials the account's own, with the token if there is one.
    pub(crate) async fn keep(&mut self) -> Result<(), Failure> {
        if !self.is_kept {
            self.secrets.put_oauth(&self.account, &self.secret).await?;
            self.is_kept = true;
        }
        Ok(())
    }

    /// An access token that is good for a call now.
    pub(crate) async fn token(&mut self) -> Result<AccessToken, Failure> {
        match &self.secret.access {
            // One that lives shorter than the margin serves the call that got it.
            Some(access) if self.is_renewed || access.is_usable(self.now) => {
                Ok(access.token.clone())
            }
            _ => self.renew().await,
        }
    }

    async fn renew(&mut self) -> Result<AccessToken, Failure> {
        let access = self
            .api
            .authenticate(&self.secret.credentials, self.now)
            .await
            .map_err(|error| Failure::Api(self.source, error))?;
        let token = access.token.clone();
        self.secret.access = Some(access);
        self.is_renewed = true;
        if self.is_kept {
            self.secrets.put_oauth(&self.account, &self.secret).await?;
        }
        Ok(token)
    }

    /// The value of a credential, where the source's keys are one of them.
    pub(crate) fn credential(&self, name: &str) -> Option<&str> {
        self.secret.credentials.get(name)
    }

    /// The secrets that we make for a registration and send with it.
    pub(crate) fn our_secrets(&self) -> &'static [OurSecret] {
        self.api.secrets()
    }

    /// Whether a webhook in use may be given another URL, where a second one beside it is refused.
    pub(crate) fn moves(&self) -> bool {
        self.api.moves()
    }

    pub(crate) async fn list(&mut self) -> Result<Vec<RegisteredWebhook>, Failure> {
        self.call(|api, caller| async move { api.list(&caller).await })
            .await
    }

    pub(crate) async fn create(
        &mut self,
        new: NewWebhook<'_>,
    ) -> Result<RegisteredWebhook, Failure> {
        self.call(|api, caller| async move { api.create(&caller, new).await })
            .await
    }

    pub(crate) async fn update(
        &mut self,
        webhook: &WebhookId,
        change: WebhookChange<'_>,
    ) -> Result<RegisteredWebhook, Failure> {
        self.call(|api, caller| async move { api.update(&caller, webhook, change).await })
            .await
    }

    pub(crate) async fn enable(
        &mut self,
        webhook: &WebhookId,
    ) -> Result<RegisteredWebhook, Failure> {
        self.call(|api, caller| async move { api.enable(&caller, webhook).await })
            .await
    }

    pub(crate) async fn remove(&mut self, webhook: &WebhookId) -> Result<Removed, Failure> {
        self.call(|api, caller| async move { api.remove(&caller, webhook).await })
            .await
    }

    /// Asks with a token, and once more with a new one if it is refused: nothing was done then.
    async fn call<T, F, Asked>(&mut self, ask: F) -> Result<T, Failure>
    where
        F: Fn(&'s dyn Api, Caller) -> Asked + Send,
        Asked: Future<Output = Result<T, ApiError>> + Send,
    {
        let token = self.token().await?;
        let mut answer = ask(self.api, self.caller(token)).await;
        if matches!(answer, Err(ApiError::AccessRefused)) && !self.is_renewed {
            let token = self.renew().await?;
            answer = ask(self.api, self.caller(token)).await;
        }
        answer.map_err(|error| Failure::Api(self.source, error))
    }

    fn caller(&self, token: AccessToken) -> Caller {
        let credentials = self.secret.credentials.clone();
        Caller { credentials, token }
    }
}
