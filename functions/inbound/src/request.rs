//! The request, read from API Gateway's event.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use domain::account::UrlToken;
use domain::delivery;
use domain::signature::{Offer, ProofError};
use domain::source::Source;
use domain::timestamp::Timestamp;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt as _};
use sources::{Protocol, Protocols};
use tracing::Span;

use crate::answer::Unverified;

/// A request that has the form of a delivery. Nothing in it is trusted yet.
#[derive(Debug)]
pub(crate) struct Posted<'a> {
    pub(crate) source: Source,
    /// How the source's webhooks are read.
    pub(crate) protocol: &'static dyn Protocol,
    pub(crate) token: UrlToken,
    /// What it offers as proof.
    pub(crate) offer: Offer,
    /// When the gateway received it.
    pub(crate) received: Timestamp,
    /// The request itself. The runtime has undone the gateway's base64.
    pub(crate) request: delivery::Request<'a>,
}

impl<'a> Posted<'a> {
    /// Reads a request without looking anything up. `now` stands in where the gateway tells no time.
    pub(crate) fn read(
        protocols: Protocols,
        request: &'a Request,
        now: Timestamp,
    ) -> Result<Self, Unverified> {
        let context = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => Some(context),
            _ => None,
        };
        // The parameters, not the path: a stage or a custom domain changes the path.
        let parameters = request.path_parameters_ref();
        let parameter = |name| parameters.and_then(|parameters| parameters.first(name));
        let source = parameter("source")
            .or_else(|| source_of_route(context?.route_key.as_deref()?))
            .and_then(Source::named)
            .ok_or(Unverified::UnknownToken)?;
        Span::current().record("source", source.as_str());
        let token = parameter("token").unwrap_or_default();
        let token = token.parse().map_err(|_| Unverified::UnknownToken)?;
        let epoch = context
            .and_then(|context| u64::try_from(context.time_epoch).ok())
            .filter(|epoch| *epoch > 0);
        let body = match request.body() {
            Body::Text(text) => text.as_bytes(),
            Body::Binary(bytes) => bytes,
            // There is none.
            _ => &[][..],
        };
        let request = delivery::Request {
            headers: request.headers(),
            part: "",
            body,
        };
        let protocol = protocols(source);
        let offer = protocol.screen(request).map_err(|error| match error {
            ProofError::Missing => Unverified::NoSignature,
            ProofError::Malformed => Unverified::MalformedSignature,
        })?;
        Ok(Self {
            source,
            protocol,
            token,
            offer,
            received: epoch.map_or(now, Timestamp::from_millis),
            request,
        })
    }
}

/// The source that a route key of release 0.1 named itself, before `/{token}`: an update replaces the function's code a
/// while before its routes, and deliveries keep coming in between.
fn source_of_route(key: &str) -> Option<&str> {
    key.split('/').nth(2)
}
