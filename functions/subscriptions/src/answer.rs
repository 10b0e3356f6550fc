//! Answers: one table from what happened to a status, and one from what happened to the message that the caller reads.

use domain::account::{AccountName, WebhookId};
use domain::erasure::Erasure;
use domain::ports::{ErrorKind, PortError};
use domain::source::Source;
use domain::subscription::{Account, ApiError, Endpoint};
use domain::timestamp::Timestamp;
use lambda_http::http::{HeaderValue, StatusCode};
use lambda_http::{Body, Response};
use serde::Serialize;

use crate::view::{AccountList, Detail, ErasureView, Full};
use sources::{Facts, facts};

/// When it is worth asking again where another call holds the account, in seconds.
const BUSY_SECONDS: u64 = 5;

/// Why a call did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The request is malformed.
    Invalid {
        /// Where, if one field is to blame.
        field: Option<&'static str>,
        /// What is wrong with it.
        message: String,
    },
    /// There is no such route.
    NoRoute,
    /// There is no such account.
    UnknownAccount(AccountName),
    /// Another call changes the account.
    Busy {
        /// Until when at most.
        until: Timestamp,
    },
    /// Another call took over, because this one took too long.
    Overtaken,
    /// The credentials belong to another site than the account is connected to.
    OtherSite(Source),
    /// The account is not connected, and the call is about one that is.
    NotConnected,
    /// The account has no confirmed webhook that another could take over from.
    NothingToRotate,
    /// The webhook that another has taken over from is the only one that brings deliveries.
    SilentSuccessor {
        /// The account's source.
        source: Source,
        /// The webhook that has taken over.
        new: WebhookId,
        /// The webhook that has to stay.
        old: WebhookId,
    },
    /// The source keeps a webhook otherwise than it was asked to, and was asked once.
    KeptOtherwise {
        /// The account's source.
        source: Source,
        /// The webhook.
        webhook: WebhookId,
    },
    /// The account's secret is not there.
    NoCredentials(Source),
    /// The account was connected to another source.
    OtherSource,
    /// The source's webhooks are registered by a person, and the call is about those that are not.
    Manual(Source),
    /// The source's webhooks are not registered by a person, and the call is about those that are.
    NotManual(Source),
    /// The account would go on receiving while it is erased.
    StillConnected(AccountName),
    /// The account is being erased.
    BeingErased(AccountName),
    /// There is no such erasure.
    NoErasure(AccountName),
    /// This release cannot connect accounts to the source.
    NoApi(Source),
    /// The source did not do what it was asked.
    Api(Source, ApiError),
    /// The time for the call is over.
    OutOfTime(Source),
    /// One of our own stores did not do what it was asked.
    Store(PortError),
    /// The operating system gave no random bytes.
    Randomness,
}

impl Failure {
    /// Whether it is about one webhook alone, so that the source may well do what it is asked about others.
    pub(crate) fn is_of_one_webhook(&self) -> bool {
        match self {
            Self::Api(_, error) => match error {
                ApiError::Invalid(_)
                | ApiError::NoSuchWebhook
                | ApiError::PermissionMissing
                | ApiError::BadAnswer { .. }
                | ApiError::NoSuchCall(_) => true,
                ApiError::CredentialsRefused
                | ApiError::AccessRefused
                | ApiError::TooManyRequests { .. }
                | ApiError::Down(_)
                | ApiError::TimeOut
                | ApiError::Unreachable => false,
            },
            _ => false,
        }
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// The status, unless the desired state is kept and only has to wait.
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::NoRoute | Self::UnknownAccount(_) | Self::NoErasure(_) => StatusCode::NOT_FOUND,
            Self::Busy { .. }
            | Self::Overtaken
            | Self::OtherSite(_)
            | Self::OtherSource
            | Self::NotConnected
            | Self::NothingToRotate
            | Self::Manual(_)
            | Self::NotManual(_)
            | Self::StillConnected(_)
            | Self::BeingErased(_)
            | Self::SilentSuccessor { .. }
            | Self::KeptOtherwise { .. }
            | Self::NoCredentials(_) => StatusCode::CONFLICT,
            Self::NoApi(_)
            | Self::Api(
                _,
                ApiError::CredentialsRefused | ApiError::PermissionMissing | ApiError::Invalid(_),
            ) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Randomness | Self::Api(_, ApiError::NoSuchCall(_)) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Api(
                _,
                ApiError::AccessRefused
                | ApiError::NoSuchWebhook
                | ApiError::Down(_)
                | ApiError::BadAnswer { .. },
            ) => StatusCode::BAD_GATEWAY,
            Self::Api(_, ApiError::Unreachable | ApiError::TooManyRequests { .. }) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Store(error) if error.is_unreadable() => StatusCode::CONFLICT,
            Self::Store(error) => match error.kind {
                ErrorKind::Permanent => StatusCode::INTERNAL_SERVER_ERROR,
                ErrorKind::Transient | ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::Api(_, ApiError::TimeOut) | Self::OutOfTime(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The message for the caller: what happened, and what to do.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "one table, a row a failure")]
    pub fn message(&self) -> String {
        match self {
            Self::Invalid { message, .. } => message.clone(),
            Self::NoRoute => "there is no such call; there are PUT, GET, PATCH and DELETE /v1/accounts/{account}, \
                              POST /v1/accounts/{account}/check, POST /v1/accounts/{account}/rotate, POST \
                              /v1/accounts/{account}/endpoint, POST /v1/accounts/{account}/erasure, GET \
                              /v1/accounts/{account}/erasure/{erasure} and GET /v1/accounts"
                .to_owned(),
            Self::UnknownAccount(name) => format!(
                "there is no account {name}; GET /v1/accounts lists them, PUT /v1/accounts/{name} connects one"
            ),
            Self::Busy { until } => format!(
                "another call is changing this account; ask again in a few seconds (it is free at {until} at the \
                 latest)"
            ),
            Self::Overtaken => "another call took over while this one took too long; look at the account and ask \
                                again if it is not as you want it"
                .to_owned(),
            Self::OtherSite(source) => format!(
                "the account is connected to another {} site: its webhook is not among those that these credentials \
                 see; disconnect it first, or connect under another name",
                facts(*source).title
            ),
            Self::NotConnected => "the account is disconnected; connect it with PUT first".to_owned(),
            Self::NothingToRotate => "there is no confirmed webhook that another could take over from; POST \
                                      /v1/accounts/{account}/check registers one, then rotate it"
                .to_owned(),
            Self::SilentSuccessor { source, new, old } => format!(
                "webhook {old} stays at {title}: webhook {new} has taken over from it, but no delivery of it was \
                 accepted while {old} brings them; look at {new} at {title}, delete it there if it is disabled, and \
                 the next check registers another",
                title = facts(*source).title
            ),
            Self::KeptOtherwise { source, webhook } => format!(
                "{title} keeps webhook {webhook} with other events or another address than it was asked to; it is not \
                 asked again. Look at the webhook at {title}, or select other events; PATCH and PUT ask anew",
                title = facts(*source).title
            ),
            Self::NoCredentials(source) => format!(
                "the account's credentials are gone; connect it again with PUT and its {}",
                facts(*source).life_cycle.credential_names()
            ),
            Self::OtherSource => "the account belongs to another source; disconnect it first, or connect under \
                                  another name"
                .to_owned(),
            Self::Manual(source) => format!(
                "webhooks are registered at {} by hand; POST /v1/accounts/{{account}}/endpoint makes another URL for it",
                facts(*source).title
            ),
            Self::NotManual(source) => format!(
                "the webhook's URL is registered at {} without anybody's help and is never shown; POST \
                 /v1/accounts/{{account}}/rotate changes it",
                facts(*source).title
            ),
            Self::StillConnected(name) => format!(
                "the account is connected, and would go on receiving while it is erased; DELETE /v1/accounts/{name} \
                 disconnects it, then ask again. One record can be erased all the same: give its subject"
            ),
            Self::BeingErased(name) => format!(
                "the account is being erased; GET /v1/accounts/{name}/erasure/account shows how far that is, and when it \
                 is done the account can be connected"
            ),
            Self::NoErasure(name) => format!(
                "there is no such erasure of {name}; POST /v1/accounts/{name}/erasure begins one, and its answer says its \
                 id"
            ),
            Self::NoApi(source) => format!(
                "this release cannot register webhooks at {}; deploy one that can, then ask again",
                facts(*source).title
            ),
            Self::Api(source, error) => refusal(facts(*source), error),
            Self::OutOfTime(source) => {
                format!("{} took too long; the same call goes on from here", facts(*source).title)
            }
            Self::Store(error) => refused(error),
            Self::Randomness => "the operating system gave no random bytes; ask again".to_owned(),
        }
    }

    /// What happened, for the log. A caller's own words stay out of it.
    fn cause(&self) -> String {
        match self {
            Self::Invalid { field, .. } => {
                format!("malformed request: {}", field.unwrap_or("body"))
            }
            Self::Api(_, error) => error.to_string(),
            Self::Store(error) => error.to_string(),
            Self::NoRoute
            | Self::UnknownAccount(_)
            | Self::Busy { .. }
            | Self::Overtaken
            | Self::OtherSite(_)
            | Self::OtherSource
            | Self::NotConnected
            | Self::NothingToRotate
            | Self::Manual(_)
            | Self::NotManual(_)
            | Self::StillConnected(_)
            | Self::BeingErased(_)
            | Self::NoErasure(_)
            | Self::SilentSuccessor { .. }
            | Self::KeptOtherwise { .. }
            | Self::NoCredentials(_)
            | Self::NoApi(_)
            | Self::OutOfTime(_)
            | Self::Randomness => self.message(),
        }
    }

    /// When asking again can help, in seconds, where that is known.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Busy { .. } => Some(BUSY_SECONDS),
            Self::Api(source, ApiError::TooManyRequests { pause }) => {
                Some(facts(*source).life_cycle.pause(*pause))
            }
            _ => None,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { field, .. } => *field,
            _ => None,
        }
    }
}

/// What a refusal of one of our own stores means, and what to do.
fn refused(error: &PortError) -> String {
    if error.is_unreadable() {
        return format!(
            "{error}: this release cannot read what is kept of the account. Where a newer release wrote it, deploy that; \
             where it is damaged, PUT connects the account anew and DELETE removes it"
        );
    }
    match error.kind {
        ErrorKind::Transient => format!("{error}; ask again, the same call goes on from here"),
        ErrorKind::Permanent | ErrorKind::Closed => {
            format!("{error}; look into this function's log and correct it, then ask again")
        }
    }
}

/// What the source's answer means, and what to do.
fn refusal(source: &Facts, error: &ApiError) -> String {
    let title = source.title;
    match error {
        ApiError::CredentialsRefused => format!(
            "{title} refuses the credentials; compare {} with those of the integration there, and connect again \
             with them",
            source.life_cycle.credential_names()
        ),
        ApiError::AccessRefused => format!(
            "{title} refuses an access token that it has just given out; see that the integration may read and \
             write there, then ask again"
        ),
        ApiError::Invalid(message) => {
            format!(
                "{title} does not accept the webhook: {message}; correct what it names and ask again"
            )
        }
        ApiError::NoSuchWebhook => {
            "the webhook went away while it was being changed; ask again, and another is registered"
                .to_owned()
        }
        ApiError::TooManyRequests { pause } => format!(
            "{title} takes no more requests for {} seconds; ask again after that",
            source.life_cycle.pause(*pause)
        ),
        ApiError::PermissionMissing => format!(
            "{title} does not let the integration do this; give it permission to read and write webhooks there, then \
             ask again"
        ),
        ApiError::Down(status) => {
            format!("{title} is in trouble (status {status}); ask again later")
        }
        ApiError::BadAnswer { asked, found } => format!(
            "what answers in {title}'s place is not its API: {asked} was answered with {found}; check the configured \
             addresses, or ask again later"
        ),
        ApiError::NoSuchCall(what) => {
            format!("{title} has no call to {what}; do that there by hand, then ask again")
        }
        ApiError::TimeOut => format!("{title} did not answer in time; ask again later"),
        ApiError::Unreachable => format!(
            "{title} cannot be reached; check the configured addresses and the network, or ask again later"
        ),
    }
}

/// What a call came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is as the caller asked.
    Done(Box<Account>),
    /// A URL was made. It is shown in the answer, and nowhere else.
    Endpoint(Box<Account>, Endpoint),
    /// The desired state is kept; the same call goes on from here.
    Unfinished(Box<Account>, Failure),
    /// Nothing was changed, or it is not known.
    Failed(Failure),
    Listed(AccountList),
    Shown(Box<Detail>),
    /// An erasure that is kept, and that another function works off or has worked off.
    Erasure(Box<Erasure>),
}

/// The body of an answer that is no success.
#[derive(Serialize)]
struct Complaint {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    #[serde(flatten)]
    account: Option<Full>,
}

/// The body of an answer with a URL.
#[derive(Serialize)]
struct Made<'a> {
    endpoint: &'a str,
    #[serde(flatten)]
    account: Full,
}

impl Outcome {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Done(_) | Self::Endpoint(..) | Self::Listed(_) | Self::Shown(_) => StatusCode::OK,
            Self::Erasure(erasure) if erasure.is_running() => StatusCode::ACCEPTED,
            Self::Erasure(_) => StatusCode::OK,
            // The desired state is kept and only has to wait.
            Self::Unfinished(_, Failure::Api(_, ApiError::TooManyRequests { .. })) => {
                StatusCode::ACCEPTED
            }
            Self::Unfinished(_, failure) | Self::Failed(failure) => failure.status(),
        }
    }

    pub(crate) fn cause(&self) -> Option<String> {
        match self {
            Self::Done(_)
            | Self::Endpoint(..)
            | Self::Listed(_)
            | Self::Shown(_)
            | Self::Erasure(_) => None,
            Self::Unfinished(_, failure) | Self::Failed(failure) => Some(failure.cause()),
        }
    }

    pub(crate) fn to_response(&self) -> Response<Body> {
        let body = match self {
            Self::Done(account) => serde_json::to_string(&Full::of(account)),
            Self::Endpoint(account, endpoint) => serde_json::to_string(&Made {
                endpoint: endpoint.expose(),
                account: Full::of(account),
            }),
            Self::Listed(list) => serde_json::to_string(list),
            Self::Shown(detail) => serde_json::to_string(detail),
            Self::Erasure(erasure) => serde_json::to_string(&ErasureView::of(erasure)),
            Self::Unfinished(account, failure) => serde_json::to_string(&Complaint {
                message: failure.message(),
                field: failure.field(),
                account: Some(Full::of(account)),
            }),
            Self::Failed(failure) => serde_json::to_string(&Complaint {
                message: failure.message(),
                field: failure.field(),
                account: None,
            }),
        };
        // Texts and lists of texts always serialise; an empty body is the safe reading of the other arm.
        let mut response = Response::new(Body::Text(body.unwrap_or_default()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let retry_after = match self {
            Self::Unfinished(_, failure) | Self::Failed(failure) => failure.retry_after(),
            Self::Done(_)
            | Self::Endpoint(..)
            | Self::Listed(_)
            | Self::Shown(_)
            | Self::Erasure(_) => None,
        };
        if let Some(seconds) = retry_after {
            headers.insert("retry-after", HeaderValue::from(seconds));
        }
        response
    }
}
