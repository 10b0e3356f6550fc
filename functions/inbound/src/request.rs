//! The request, read from the event of API Gateway or of a Function URL, which [`runtime::gateway`] makes alike.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use domain::account::UrlToken;
use domain::delivery::{self, is_part};
use domain::signature::{Offer, Policy, ProofError, Screened};
use domain::source::Source;
use domain::timestamp::Timestamp;
use domain::trace::{TRACEPARENT, Trace, XRayHeader};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt as _};
use runtime::gateway::FUNCTION_URL;
use sources::{Protocol, Protocols};
use tracing::Span;

use crate::answer::Unverified;
use crate::report::Report;

/// A request that has the form of a delivery. Nothing in it is trusted yet.
#[derive(Debug)]
pub(crate) struct Posted<'a> {
    pub(crate) source: Source,
    /// How the source's webhooks are read.
    pub(crate) protocol: &'static dyn Protocol,
    pub(crate) token: UrlToken,
    /// What it offers as proof, if it is no greeting.
    pub(crate) screened: Screened,
    /// When the gateway received it.
    pub(crate) received: Timestamp,
    /// What it is part of, by its invocation and by its sender.
    pub(crate) trace: Trace,
    /// The request itself. The runtime has undone the gateway's base64.
    pub(crate) request: delivery::Request<'a>,
}

impl<'a> Posted<'a> {
    /// Reads a request without looking anything up. `now` stands in where the gateway tells no time. `report` gets the
    /// source.
    pub(crate) fn read(
        protocols: Protocols,
        request: &'a Request,
        now: Timestamp,
        report: &Report,
    ) -> Result<Self, Unverified> {
        let context = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => Some(context),
            _ => None,
        };
        // The parameters, not the path: a stage or a custom domain changes the path.
        let parameters = request.path_parameters_ref();
        let parameter = |name| parameters.and_then(|parameters| parameters.first(name));
        let is_by_url = context.is_some_and(|c| c.route_key.as_deref() == Some(FUNCTION_URL));
        if is_by_url && parameter("token").is_none() {
            return Err(Unverified::NoRoute);
        }
        let source = parameter("source")
            .or_else(|| source_of_route(context?.route_key.as_deref()?))
            .and_then(Source::named)
            .ok_or(Unverified::UnknownToken)?;
        Span::current().record("source", source.as_str());
        let _ = report.source.set(source);
        let token = parameter("token").unwrap_or_default();
        let token = token.parse().map_err(|_| Unverified::UnknownToken)?;
        let part = match parameter("part") {
            None => "",
            Some(part) if is_part(part) => part,
            Some(_) => return Err(Unverified::UnknownToken),
        };
        let epoch = context
            .and_then(|context| u64::try_from(context.time_epoch).ok())
            .filter(|epoch| *epoch > 0);
        let body = body_of(request);
        let trace = trace_of(request);
        let request = delivery::Request {
            headers: request.headers(),
            part,
            body,
        };
        let protocol = protocols(source);
        let screened = match (protocol.screen(request), protocol.facts().policy) {
            (Ok(screened), _) => screened,
            // A source whose signatures are not published is never refused for one: the URL token proves what it sends.
            (Err(_), Policy::Observe) => Screened::Delivery(Offer::Nothing),
            (Err(ProofError::Missing), Policy::Require) => return Err(Unverified::NoSignature),
            (Err(ProofError::Malformed), Policy::Require) => {
                return Err(Unverified::MalformedSignature);
            }
        };
        Ok(Self {
            source,
            protocol,
            token,
            screened,
            received: epoch.map_or(now, Timestamp::from_millis),
            trace,
            request,
        })
    }
}

/// The bytes of a request's body.
pub(crate) fn body_of(request: &Request) -> &[u8] {
    match request.body() {
        Body::Text(text) => text.as_bytes(),
        Body::Binary(bytes) => bytes,
        // There is none.
        _ => &[],
    }
}

/// A `traceparent` that was sent twice is none.
fn trace_of(request: &Request) -> Trace {
    let mut parents = request.headers().get_all(TRACEPARENT).iter();
    let parent = parents.next().filter(|_| parents.next().is_none());
    Trace {
        header: request.extensions().get::<XRayHeader>().cloned(),
        ..Trace::read(None, parent.and_then(|parent| parent.to_str().ok()))
    }
}

/// The source that a route key of release 0.1 named itself, before `/{token}`: an update replaces the function's code a
/// while before its routes, and deliveries keep coming in between.
fn source_of_route(key: &str) -> Option<&str> {
    key.split('/').nth(2)
}
