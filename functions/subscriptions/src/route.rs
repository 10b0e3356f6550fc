//! Routes: which call a request is, by the gateway's route key. The path is not looked at: a stage or a custom
//! domain changes it.

use domain::account::AccountName;
use lambda_http::Request;
use lambda_http::RequestExt as _;
use lambda_http::request::RequestContext;

use crate::answer::Failure;
use crate::request;

/// A call of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    List,
    Show(AccountName),
    Connect(AccountName),
    Disconnect(AccountName),
    Change(AccountName),
    Check(AccountName),
    Rotate(AccountName),
    Endpoint(AccountName),
}

impl Route {
    pub(crate) fn read(request: &Request) -> Result<Self, Failure> {
        let context = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => Some(context),
            _ => None,
        };
        let key = context
            .and_then(|context| context.route_key.as_deref())
            .unwrap_or_default();
        let account = || {
            let name = request::account_of(request).parse::<AccountName>();
            name.map_err(|error| Failure::Invalid {
                field: Some("account"),
                message: error.to_string(),
            })
        };
        match key {
            "GET /v1/accounts" => Ok(Self::List),
            "GET /v1/accounts/{account}" => Ok(Self::Show(account()?)),
            "PUT /v1/accounts/{account}" => Ok(Self::Connect(account()?)),
            "DELETE /v1/accounts/{account}" => Ok(Self::Disconnect(account()?)),
            "PATCH /v1/accounts/{account}" => Ok(Self::Change(account()?)),
            "POST /v1/accounts/{account}/{action}" => match action(request).as_str() {
                "check" => Ok(Self::Check(account()?)),
                "rotate" => Ok(Self::Rotate(account()?)),
                "endpoint" => Ok(Self::Endpoint(account()?)),
                _ => Err(Failure::NoRoute),
            },
            _ => Err(Failure::NoRoute),
        }
    }

    /// The account that the call is about, if it is about one.
    pub(crate) fn account(&self) -> Option<&AccountName> {
        match self {
            Self::Show(name)
            | Self::Connect(name)
            | Self::Disconnect(name)
            | Self::Change(name)
            | Self::Check(name)
            | Self::Rotate(name)
            | Self::Endpoint(name) => Some(name),
            Self::List => None,
        }
    }

    /// The call in one word, for logs and metrics.
    pub(crate) fn call(&self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Show(_) => "show",
            Self::Connect(_) => "connect",
            Self::Disconnect(_) => "disconnect",
            Self::Change(_) => "change",
            Self::Check(_) => "check",
            Self::Rotate(_) => "rotate",
            Self::Endpoint(_) => "endpoint",
        }
    }
}

fn action(request: &Request) -> String {
    let parameters = request.path_parameters_ref();
    parameters
        .and_then(|parameters| parameters.first("action"))
        .unwrap_or_default()
        .to_owned()
}
