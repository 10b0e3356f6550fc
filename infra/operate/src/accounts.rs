//! Accounts: what the stack's admin API says of them, and what it is asked to do.
//!
//! Described by `infra/admin-api.openapi.yaml`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use domain::account::AccountName;
use domain::erasure::{ErasureId, record_of};
use domain::record::Subject;
use domain::source::Source;
use domain::subscription::CredentialField;
use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sources::{facts, protocol};

use crate::stack::Stack;
use calls::admin::{self, Answer};
use calls::{Calls, Error};

/// The field of a manual account's signing secrets.
const SIGNING_SECRETS: &str = "signing_secrets";

/// How long to wait where the API asks for patience and does not say for how long.
const USUAL_WAIT: Duration = Duration::from_secs(2);

/// Something that happened, and when (RFC 3339).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Happening {
    /// When.
    pub at: String,
    /// What.
    pub message: String,
}

/// Another webhook is taking over.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Rotation {
    /// The one that is on its way out.
    pub old_webhook: Option<String>,
    /// Until when it stays at the most; none before another has taken over.
    pub until: Option<String>,
    /// What it waits for.
    pub message: String,
}

/// The last verified delivery.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct LastDelivery {
    /// Its id.
    pub id: String,
    /// When it was first seen.
    pub at: String,
    /// What proved it.
    pub proof: Option<String>,
}

/// Verified deliveries that were not accepted since the last one that was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct FailedDeliveries {
    /// How many.
    pub count: u64,
    /// How many for which cause.
    #[serde(default)]
    pub causes: BTreeMap<String, u64>,
}

/// What is deleted of an account, or of one of its records, before it expires by itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Erasure {
    /// Whose.
    pub account: String,
    /// Its id.
    pub erasure: String,
    /// `running` or `done`.
    pub state: String,
    /// What was deleted so far.
    pub erased: Erased,
    /// What stays, and until when.
    pub remains: Remains,
}

/// What an erasure has deleted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Erased {
    /// Records.
    pub records: u64,
    /// Versions of objects.
    pub objects: u64,
}

/// What an erasure leaves, and when the last of it expires (RFC 3339).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Remains {
    /// Deliveries as they came.
    pub receipts_until: String,
    /// Large events of before those that the record still named; absent of an account's erasure.
    #[serde(default)]
    pub large_events_until: Option<String>,
    /// What the tables can be restored to.
    pub backups_until: String,
}

impl Erasure {
    /// Whether it is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == "done"
    }
}

/// An account. What only some answers have is absent from the others.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Account {
    /// The operator's name for it.
    pub account: String,
    /// The source's name.
    pub source: String,
    /// `connecting`, `waiting`, `connected`, `disconnecting` or `disconnected`.
    pub state: String,
    /// What that means, and what is to be done.
    pub explanation: String,
    /// Event types that are selected.
    #[serde(default)]
    pub events: Vec<String>,
    /// Event types that could be selected besides.
    #[serde(default)]
    pub unselected_events: Vec<String>,
    /// The source's id of the confirmed webhook.
    pub webhook: Option<String>,
    /// Whether another webhook is taking over.
    pub rotation: Option<Rotation>,
    /// What becomes of deliveries without proof: `require` or `observe`.
    #[serde(default)]
    pub proof: String,
    /// When it was connected first.
    #[serde(default)]
    pub created: String,
    /// When it was changed last.
    #[serde(default)]
    pub changed: String,
    /// What is not as it was asked for.
    pub last_error: Option<Happening>,
    /// Since when deliveries stay away.
    pub suspect: Option<Happening>,
    /// What happened to it, oldest first.
    #[serde(default)]
    pub history: Vec<Happening>,
    /// The last delivery that was verified.
    pub last_delivery: Option<LastDelivery>,
    /// Deliveries that were not accepted, by the name that the API has for them.
    #[serde(rename = "strikes")]
    pub failed_deliveries: Option<FailedDeliveries>,
}

impl Account {
    /// Whether nothing about it needs a person. Neither a disconnected account nor one that waits for its first delivery
    /// does.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let has_failures = self
            .failed_deliveries
            .as_ref()
            .is_some_and(|failed| failed.count > 0);
        self.last_error.is_none() && self.suspect.is_none() && !has_failures
    }
}

/// An account that the deployed release cannot read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Unreadable {
    /// The operator's name for it.
    pub account: String,
    /// What is to be done.
    pub explanation: String,
}

/// All accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct List {
    /// Those that can be read, by name.
    pub accounts: Vec<Account>,
    /// Those that cannot.
    #[serde(default)]
    pub unreadable: Vec<Unreadable>,
}

/// What came of a request to change an account.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The account as it is now.
    pub account: Account,
    /// The API's own document of it.
    pub document: Value,
    /// What it still waits for; none where it is as it was asked for.
    pub pending: Option<String>,
}

/// The URL that is to be registered at the source. Its last segment is a secret: it prints only where it is asked to.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The URL, for the person who registers it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl")
    }
}

/// What an operator gives to connect an account, without its secrets.
#[derive(Debug, Clone)]
pub struct Wanted {
    source: Source,
    given: BTreeMap<&'static str, String>,
    secrets: Vec<&'static str>,
    signing_secrets: usize,
    events: Vec<String>,
    proof: Option<String>,
}

/// What an operator said on the command line: credentials that are no secrets, by their fields' names.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Credentials by their fields' names.
    pub fields: BTreeMap<String, String>,
    /// Event types; all of them where it is empty.
    pub events: Vec<String>,
    /// What becomes of deliveries without proof, where the source leaves the choice.
    pub proof: Option<String>,
    /// How many signing secrets a manual account has: two while one replaces the other.
    pub signing_secrets: usize,
}

impl Wanted {
    /// Compares what was given with what the source needs.
    ///
    /// # Errors
    /// [`Error::Usage`] names what is missing or what the source does not have.
    pub fn of(source: Source, given: Given) -> Result<Self, Error> {
        let (facts, optional) = (facts(source), protocol(source).optional_credentials());
        let required = facts.life_cycle.credentials;
        let has = |field: &CredentialField| given.fields.contains_key(field.name);
        // All of the optional ones belong together: one that is given asks for the others.
        let optional = if optional.iter().any(has) {
            optional
        } else {
            &[]
        };
        let is_manual = facts.life_cycle.is_manual();
        let fields: Vec<&CredentialField> = match is_manual {
            true => Vec::new(),
            false => required.iter().chain(optional).collect(),
        };
        let known = |name: &String| {
            fields
                .iter()
                .any(|field| field.name == name && !field.is_secret)
        };
        if let Some(unknown) = given.fields.keys().find(|name| !known(name)) {
            return Err(Error::Usage(format!(
                "{} has no {}; it takes {}",
                facts.title,
                option(unknown),
                taken(&fields)
            )));
        }
        let mut texts = BTreeMap::new();
        for field in fields.iter().filter(|field| !field.is_secret) {
            let value = given.fields.get(field.name).ok_or_else(|| {
                let title = facts.title;
                Error::Usage(format!("{title} needs {}", option(field.name)))
            })?;
            texts.insert(field.name, value.clone());
        }
        let secrets = fields.iter().filter(|field| field.is_secret);
        let signing_secrets = if is_manual {
            given.signing_secrets.clamp(1, 2)
        } else {
            0
        };
        Ok(Self {
            source,
            given: texts,
            secrets: secrets.map(|field| field.name).collect(),
            signing_secrets,
            events: match given.events.is_empty() {
                true => vec!["*".to_owned()],
                false => given.events,
            },
            proof: given.proof,
        })
    }

    /// The names of the secrets that are to be asked for, in their order.
    #[must_use]
    pub fn secrets(&self) -> Vec<&'static str> {
        match self.signing_secrets {
            0 => self.secrets.clone(),
            count => signing_secret_names(count),
        }
    }

    /// The request, with a secret for each of [`Self::secrets`].
    ///
    /// # Errors
    /// [`Error::Usage`] where there are more or fewer.
    pub fn with(&self, secrets: &[SecretString]) -> Result<Connect, Error> {
        let names = self.secrets();
        if secrets.len() != names.len() {
            let message = format!("{} secrets are needed: {}", names.len(), names.join(", "));
            return Err(Error::Usage(message));
        }
        let mut body = Map::from_iter([
            ("source".to_owned(), json!(self.source.as_str())),
            ("events".to_owned(), json!(self.events)),
        ]);
        body.extend(
            self.given
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value))),
        );
        if let Some(proof) = &self.proof {
            body.insert("proof".to_owned(), json!(proof));
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the request is what the secrets are given for"
        )]
        let texts = secrets.iter().map(|secret| json!(secret.expose_secret()));
        match self.signing_secrets {
            0 => body.extend(names.into_iter().map(str::to_owned).zip(texts)),
            _ => {
                let list: Vec<Value> = texts.collect();
                body.insert(SIGNING_SECRETS.to_owned(), json!(list));
            }
        }
        Ok(Connect(Value::Object(body)))
    }
}

/// What of an account is changed. What is empty stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Event types by the source's own names, or `*`.
    pub events: Vec<String>,
    /// What becomes of deliveries without proof, where the source leaves the choice: `require` or `observe`.
    pub proof: Option<String>,
    /// The signing secrets of a manual account: two while one replaces the other.
    pub signing_secrets: Vec<SecretString>,
}

impl Changes {
    fn body(&self) -> Value {
        let mut body = Map::new();
        if !self.events.is_empty() {
            body.insert("events".to_owned(), json!(self.events));
        }
        if let Some(proof) = &self.proof {
            body.insert("proof".to_owned(), json!(proof));
        }
        if !self.signing_secrets.is_empty() {
            #[expect(
                clippy::disallowed_methods,
                reason = "the request is what the secrets are given for"
            )]
            let secrets = self
                .signing_secrets
                .iter()
                .map(|secret| json!(secret.expose_secret()));
            body.insert(SIGNING_SECRETS.to_owned(), secrets.collect());
        }
        Value::Object(body)
    }
}

/// The names by which signing secrets are asked for.
#[must_use]
pub fn signing_secret_names(count: usize) -> Vec<&'static str> {
    let names = ["signing_secret", "second_signing_secret"];
    names.into_iter().take(count).collect()
}

/// A request to connect an account. It holds secrets, and does not print.
pub struct Connect(Value);

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connect")
    }
}

fn option(field: &str) -> String {
    format!("--{}", field.replace('_', "-"))
}

fn taken(fields: &[&CredentialField]) -> String {
    let options = fields.iter().filter(|field| !field.is_secret);
    let options: Vec<String> = options.map(|field| option(field.name)).collect();
    match options.is_empty() {
        true => "only secrets".to_owned(),
        false => options.join(", "),
    }
}

/// The accounts of a stack.
#[derive(Debug, Clone)]
pub struct Accounts<'a> {
    calls: &'a Calls,
    admin_url: &'a str,
}

impl<'a> Accounts<'a> {
    /// The accounts of a stack.
    ///
    /// # Errors
    /// [`Error::OlderStack`] where the stack does not say where its admin API is.
    pub fn of(calls: &'a Calls, stack: &'a Stack) -> Result<Self, Error> {
        Ok(Self {
            calls,
            admin_url: stack.output("AdminUrl")?,
        })
    }

    /// All of them: one call.
    ///
    /// # Errors
    /// [`Error`] says what went wrong.
    pub async fn list(&self) -> Result<List, Error> {
        let answer = self.call(Method::GET, "/accounts", None).await?;
        match answer.status {
            200 => parsed(answer.body),
            _ => Err(refusal(&answer, "the accounts")),
        }
    }

    /// One of them, with its history and its last delivery; and the API's own document of it.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none of this name.
    pub async fn show(&self, account: &AccountName) -> Result<(Account, Value), Error> {
        let answer = self.call(Method::GET, &path(account, ""), None).await?;
        match answer.status {
            200 => Ok((parsed(answer.body.clone())?, answer.body)),
            _ => Err(refusal(&answer, account.as_str())),
        }
    }

    /// Connects an account, or connects it again with other credentials or events. Where the source or another call asks
    /// for patience, the same call is made again until `patience` is over: it goes on where it was.
    ///
    /// # Errors
    /// [`Error`] says what went wrong, and what is to be done.
    pub async fn connect(
        &self,
        account: &AccountName,
        wanted: &Connect,
        patience: Duration,
    ) -> Result<Outcome, Error> {
        let path = path(account, "");
        self.persist(Method::PUT, &path, Some(&wanted.0), account, patience)
            .await
    }

    /// Changes what is given, and leaves the rest as it is.
    ///
    /// # Errors
    /// [`Error`] says what went wrong, and what is to be done.
    pub async fn change(
        &self,
        account: &AccountName,
        changes: &Changes,
        patience: Duration,
    ) -> Result<Outcome, Error> {
        let body = changes.body();
        let path = path(account, "");
        self.persist(Method::PATCH, &path, Some(&body), account, patience)
            .await
    }

    /// Compares the account with its source and corrects what differs.
    ///
    /// # Errors
    /// [`Error`] says what went wrong, and what is to be done.
    pub async fn check(&self, account: &AccountName, patience: Duration) -> Result<Outcome, Error> {
        let path = path(account, "/check");
        self.persist(Method::POST, &path, None, account, patience)
            .await
    }

    /// Has another webhook take over. The same call goes on with a rotation that is under way.
    ///
    /// # Errors
    /// [`Error`] says what went wrong, and what is to be done.
    pub async fn rotate(
        &self,
        account: &AccountName,
        patience: Duration,
    ) -> Result<Outcome, Error> {
        let path = path(account, "/rotate");
        self.persist(Method::POST, &path, None, account, patience)
            .await
    }

    /// Removes the webhook at the source and the account's secrets.
    ///
    /// # Errors
    /// [`Error`] says what went wrong, and what is to be done.
    pub async fn disconnect(
        &self,
        account: &AccountName,
        patience: Duration,
    ) -> Result<Outcome, Error> {
        let path = path(account, "");
        self.persist(Method::DELETE, &path, None, account, patience)
            .await
    }

    /// Makes a URL for a manual account, which is answered this once. It is not asked twice: another call would make
    /// another URL.
    ///
    /// # Errors
    /// [`Error`] says what went wrong, and what is to be done.
    pub async fn endpoint(&self, account: &AccountName) -> Result<SecretUrl, Error> {
        let answer = self
            .call(Method::POST, &path(account, "/endpoint"), None)
            .await?;
        let url = answer.body.get("endpoint").and_then(Value::as_str);
        match (answer.status, url) {
            (200, Some(url)) => Ok(SecretUrl(url.to_owned())),
            (200, None) => Err(Error::unreadable("the admin API's answer", "it has no URL")),
            _ => Err(refusal(&answer, account.as_str())),
        }
    }

    /// Asks for the erasure of an account, or of one record of it by its subject such as `order/or_1`. The same call again
    /// answers with the erasure that is under way.
    ///
    /// # Errors
    /// [`Error::Refused`] where the account is still connected; [`Error::Usage`] where no record has the subject.
    pub async fn erase(
        &self,
        account: &AccountName,
        subject: Option<&str>,
    ) -> Result<(Erasure, Value), Error> {
        let body = subject.map(|subject| json!({ "subject": subject }));
        let path = path(account, "/erasure");
        let answer = self.call(Method::POST, &path, body.as_ref()).await?;
        erasure(answer, account)
    }

    /// How far an erasure is.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none of this id.
    pub async fn erasure(
        &self,
        account: &AccountName,
        id: &str,
    ) -> Result<(Erasure, Value), Error> {
        let path = path(account, &format!("/erasure/{id}"));
        let answer = self.call(Method::GET, &path, None).await?;
        erasure(answer, account)
    }

    /// Makes a call again while it is answered that it can go on later.
    async fn persist(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        account: &AccountName,
        patience: Duration,
    ) -> Result<Outcome, Error> {
        let mut left = patience;
        loop {
            let answer = self.call(method.clone(), path, body).await?;
            if let Some(wait) = patience_wanted(&answer)
                && wait <= left
            {
                left -= wait;
                tokio::time::sleep(wait).await;
                continue;
            }
            let pending = match answer.status {
                200 => None,
                202 => Some(message(&answer.body)),
                _ => return Err(refusal(&answer, account.as_str())),
            };
            return Ok(Outcome {
                account: parsed(answer.body.clone())?,
                document: answer.body,
                pending,
            });
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        admin::call(self.calls, self.admin_url, method, path, body).await
    }
}

fn erasure(answer: Answer, account: &AccountName) -> Result<(Erasure, Value), Error> {
    match answer.status {
        200 | 202 => Ok((parsed(answer.body.clone())?, answer.body)),
        _ => Err(refusal(&answer, account.as_str())),
    }
}

/// An id of an erasure, as its answer says it.
///
/// # Errors
/// [`Error::Usage`] where none can have it.
pub fn erasure_id(id: &str) -> Result<ErasureId, Error> {
    id.parse()
        .map_err(|error| Error::Usage(format!("{id:?}: {error}")))
}

/// A subject of a record, such as `order/or_1`.
///
/// # Errors
/// [`Error::Usage`] where no record can have it.
pub fn subject(account: &AccountName, subject: &str) -> Result<(), Error> {
    let parsed = Subject::parse(subject).ok();
    match parsed.is_some_and(|subject| record_of(account, &subject).is_some()) {
        true => Ok(()),
        false => Err(Error::Usage(format!(
            "{subject:?} is no subject: a kind, '/' and a record's id, such as order/or_1"
        ))),
    }
}

/// A name of an account.
///
/// # Errors
/// [`Error::Usage`] where no account can have it.
pub fn named(name: &str) -> Result<AccountName, Error> {
    name.parse()
        .map_err(|error| Error::Usage(format!("{name:?}: {error}")))
}

fn path(account: &AccountName, action: &str) -> String {
    format!("/accounts/{}{action}", account.as_str())
}

/// How long to wait before the same call, where it can help.
fn patience_wanted(answer: &Answer) -> Option<Duration> {
    let said = answer.retry_after.map(Duration::from_secs);
    match answer.status {
        202 => Some(said.unwrap_or(USUAL_WAIT)),
        // A busy account, or a source that wants a pause; without a time, waiting does not help.
        409 | 503 => said,
        504 => Some(USUAL_WAIT),
        _ => None,
    }
}

fn message(body: &Value) -> String {
    let message = body.get("message").and_then(Value::as_str);
    message
        .unwrap_or("the admin API did not say why")
        .to_owned()
}

fn parsed<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, Error> {
    serde_json::from_value(body).map_err(|error| Error::unreadable("the admin API's answer", error))
}

/// What an answer means that is neither done nor under way.
fn refusal(answer: &Answer, what: &str) -> Error {
    let message = message(&answer.body);
    match answer.status {
        400 => Error::Usage(message),
        404 => Error::NotFound {
            what: format!("account {what}"),
        },
        502..=504 => Error::Unreachable {
            action: format!("the admin API ({what})"),
            reason: message,
        },
        _ => Error::Refused(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn given(fields: &[(&str, &str)]) -> Given {
        let fields = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Given {
            fields: fields.collect(),
            signing_secrets: 1,
            ..Given::default()
        }
    }

    #[rstest]
    #[case(Source::Orderspace, &[("client_id", "9f")], &["client_secret"])]
    #[case(Source::Ordermentum, &[("supplier_id", "s")], &["api_key"])]
    #[case(Source::Ordermentum, &[("supplier_id", "s"), ("username", "u")], &["api_key", "password"])]
    #[case(Source::OneStock, &[("api_url", "https://x"), ("site_id", "c"), ("user_id", "u")], &["password"])]
    #[case(Source::Apideck, &[("app_id", "a")], &["api_key"])]
    #[case(Source::StackOne, &[], &["signing_secret"])]
    fn every_source_is_asked_for_its_secrets(
        #[case] source: Source,
        #[case] fields: &[(&str, &str)],
        #[case] secrets: &[&str],
    ) {
        let wanted = Wanted::of(source, given(fields)).unwrap();
        assert_eq!(wanted.secrets(), secrets);
        let markers: Vec<SecretString> = secrets
            .iter()
            .map(|name| format!("marker-{name}").into())
            .collect();
        let connect = wanted.with(&markers).unwrap();
        assert!(!format!("{connect:?} {wanted:?}").contains("marker"));
        let body = connect.0;
        assert_eq!(body["source"], source.as_str());
        assert_eq!(body["events"], json!(["*"]));
        for (name, value) in fields {
            assert_eq!(body[*name], *value);
        }
        match source {
            Source::StackOne => assert_eq!(body[SIGNING_SECRETS], json!(["marker-signing_secret"])),
            _ => secrets
                .iter()
                .for_each(|name| assert_eq!(body[*name], format!("marker-{name}"))),
        }
        assert!(wanted.with(&[]).is_err());
    }

    #[test]
    fn two_signing_secrets_while_one_replaces_the_other() {
        let given = Given {
            signing_secrets: 2,
            ..Given::default()
        };
        let wanted = Wanted::of(Source::StackOne, given).unwrap();
        let connect = wanted
            .with(&["a".to_owned().into(), "b".to_owned().into()])
            .unwrap();
        assert_eq!(connect.0[SIGNING_SECRETS], json!(["a", "b"]));
    }

    #[rstest]
    #[case::missing(Source::Orderspace, &[], "needs --client-id")]
    #[case::of_another_source(Source::Apideck, &[("client_id", "x")], "no --client-id; it takes --app-id")]
    #[case::a_secret_in_the_open(Source::Orderspace, &[("client_secret", "marker")], "no --client-secret")]
    #[case::manual(Source::StackOne, &[("client_id", "x")], "only secrets")]
    fn what_does_not_belong_to_the_source(
        #[case] source: Source,
        #[case] fields: &[(&str, &str)],
        #[case] named: &str,
    ) {
        let error = Wanted::of(source, given(fields)).unwrap_err();
        assert!(matches!(&error, Error::Usage(_)), "{error}");
        assert!(error.to_string().contains(named), "{error}");
        assert!(!error.to_string().contains("marker"), "{error}");
    }

    #[rstest]
    #[case(400, "usage", 2)]
    #[case(404, "no account", 4)]
    #[case(409, "busy", 1)]
    #[case(422, "credentials", 1)]
    #[case(500, "our fault", 1)]
    #[case(502, "source in trouble", 5)]
    #[case(503, "unavailable", 5)]
    #[case(504, "slow", 5)]
    fn a_refusals_exit_code(#[case] status: u16, #[case] message: &str, #[case] code: u8) {
        let answer = Answer {
            status,
            body: json!({ "message": message }),
            retry_after: None,
        };
        assert_eq!(refusal(&answer, "acme").exit().code(), code);
    }

    #[rstest]
    #[case(202, Some(3), Some(3))]
    #[case(202, None, Some(2))]
    #[case(409, Some(1), Some(1))]
    #[case(409, None, None)]
    #[case(503, None, None)]
    #[case(200, Some(1), None)]
    fn when_the_same_call_helps(
        #[case] status: u16,
        #[case] retry_after: Option<u64>,
        #[case] seconds: Option<u64>,
    ) {
        let answer = Answer {
            status,
            body: Value::Null,
            retry_after,
        };
        assert_eq!(patience_wanted(&answer), seconds.map(Duration::from_secs));
    }
}
