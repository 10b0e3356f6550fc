//! Routes: which call a request is, by the gateway's route key. The path is not looked at: a stage or a custom
//! domain changes it.

use domain::account::AccountName;
use domain::erasure::ErasureId;
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
    Erase(AccountName),
    ShowErasure(AccountName, ErasureId),
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
            "GET /v1/accounts/{account}/erasure/{erasure}" => {
                let account = account()?;
                match parameter(request, "erasure").parse() {
                    Ok(erasure) => Ok(Self::ShowErasure(account, erasure)),
                    Err(_) => Err(Failure::NoErasure(account)),
                }
            }
            "POST /v1/accounts/{account}/{action}" => match parameter(request, "action") {
                "check" => Ok(Self::Check(account()?)),
                "rotate" => Ok(Self::Rotate(account()?)),
                "endpoint" => Ok(Self::Endpoint(account()?)),
                "erasure" => Ok(Self::Erase(account()?)),
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
            | Self::Endpoint(name)
            | Self::Erase(name)
            | Self::ShowErasure(name, _) => Some(name),
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
            Self::Erase(_) => "erase",
            Self::ShowErasure(..) => "show_erasure",
        }
    }
}

fn parameter<'r>(request: &'r Request, name: &str) -> &'r str {
    let parameters = request.path_parameters_ref();
    parameters
        .and_then(|parameters| parameters.first(name))
        .unwrap_or_default()
}
