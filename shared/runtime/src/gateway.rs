//! API Gateway's event (payload 2.0), made into a request and the answer made into its response.
//!
//! `lambda_http` builds a URI out of host, path and query, and panics where they make none; it panics on a body that is no
//! base64, too. All of them are what anybody on the internet may send. Nothing here needs the URI: the route's parameters
//! say what was asked for. So the event is cleaned before it becomes a request.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::trace::XRayHeader;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::http::header::HOST;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue};
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, Request, Response};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The header that a scheme would be taken from.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// An event as it came.
#[derive(Debug)]
pub struct GatewayEvent {
    event: Option<ApiGatewayV2httpRequest>,
    trace: Option<XRayHeader>,
}

impl<'de> Deserialize<'de> for GatewayEvent {
    /// Whatever is JSON is taken: an error here would be the function's, and it is the caller's.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::parse(event.get()))
    }
}

impl GatewayEvent {
    /// Reads an event, without the headers that HTTP does not know: whoever adds one keeps nothing from being read.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let event = serde_json::from_str(text).ok().or_else(|| {
            let mut event: Value = serde_json::from_str(text).ok()?;
            let members = event.as_object_mut()?;
            members.remove("cookies");
            members.remove("queryStringParameters");
            if let Some(Value::Object(headers)) = members.get_mut("headers") {
                headers.retain(|name, value| is_header(name, value));
            }
            serde_json::from_value(event).ok()
        });
        Self { event, trace: None }
    }

    /// The event, with the X-Ray header of the invocation that brought it, as far as that is one.
    #[must_use]
    pub fn traced(self, header: Option<&str>) -> Self {
        let trace = header.and_then(|header| header.parse().ok());
        Self { trace, ..self }
    }

    /// The request in an event; `None` for what is none of the gateway's, or has a body that cannot be read. Its URI says
    /// nothing. The [`XRayHeader`] of its invocation is among its extensions: unlike a header, nobody can send one.
    #[must_use]
    pub fn into_request(self) -> Option<Request> {
        let mut event = self.event?;
        event.route_key.as_ref()?;
        event.raw_path = Some("/".to_owned());
        event.raw_query_string = None;
        event.query_string_parameters = Default::default();
        event.request_context.domain_name = None;
        event.request_context.stage = None;
        drop_headers(&mut event.headers);
        let bytes = match event.is_base64_encoded {
            true => Some(
                STANDARD
                    .decode(event.body.take().unwrap_or_default())
                    .ok()?,
            ),
            false => None,
        };
        let mut request: Request = LambdaRequest::ApiGatewayV2(event).into();
        if let Some(bytes) = bytes {
            *request.body_mut() = Body::Binary(bytes);
        }
        if let Some(trace) = self.trace {
            request.extensions_mut().insert(trace);
        }
        Some(request)
    }
}

fn is_header(name: &str, value: &Value) -> bool {
    let is_value = |value: &str| HeaderValue::from_str(value).is_ok();
    HeaderName::from_bytes(name.as_bytes()).is_ok() && value.as_str().is_some_and(is_value)
}

/// What `lambda_http` makes a URI of.
fn drop_headers(headers: &mut HeaderMap) {
    headers.remove(HOST);
    headers.remove(FORWARDED_PROTO);
}

/// An answer as the gateway wants it. Bodies are text.
#[must_use]
pub fn response(response: &Response<Body>) -> Value {
    let headers = response.headers().iter().map(|(name, value)| {
        let value = value.to_str().unwrap_or_default();
        (name.as_str().to_owned(), Value::from(value))
    });
    let body = match response.body() {
        Body::Text(text) => text.as_str(),
        _ => "",
    };
    json!({
        "statusCode": response.status().as_u16(),
        "headers": headers.collect::<Map<_, _>>(),
        "body": body,
        "isBase64Encoded": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::RequestExt as _;
    use rstest::rstest;

    /// An event with these members in place of its own.
    fn event(changes: &Value) -> String {
        let mut event = json!({
            "version": "2.0",
            "routeKey": "POST /hooks/{source}/{token}",
            "rawPath": "/hooks/orderspace/x",
            "rawQueryString": "",
            "headers": { "host": "hooks.example.com", "x-a": "1" },
            "pathParameters": { "source": "orderspace", "token": "x" },
            "requestContext": {
                "domainName": "hooks.example.com",
                "http": {
                    "method": "POST", "path": "/hooks/orderspace/x", "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1", "userAgent": "a"
                },
                "stage": "$default",
                "timeEpoch": 7,
            },
            "body": "[]",
            "isBase64Encoded": false,
        });
        for (name, value) in changes.as_object().unwrap() {
            event[name] = value.clone();
        }
        event.to_string()
    }

    #[rstest]
    #[case::quote_in_the_query(json!({ "rawQueryString": "\"" }))]
    #[case::any_bytes_in_the_query(json!({ "rawQueryString": "\u{0}\u{7f} é<>`{|}^\\#" }))]
    #[case::any_bytes_in_the_path(json!({ "rawPath": "//\u{0} é\"<>`{|}^\\?#[" }))]
    #[case::no_path(json!({ "rawPath": "" }))]
    #[case::odd_host(json!({ "headers": { "host": "[::" } }))]
    #[case::host_with_a_port_of_words(json!({ "headers": { "host": "a:b:c@d/e?f" } }))]
    #[case::odd_scheme(json!({ "headers": { "host": "a.b", "x-forwarded-proto": "htt ps://" } }))]
    #[case::two_schemes(json!({ "headers": { "x-forwarded-proto": "https,http", "x-forwarded-host": "{", "forwarded": "for=\"_\"" } }))]
    #[case::a_header_beyond_ascii(json!({ "headers": { "x-b": "é" } }))]
    #[case::a_header_with_control_characters(json!({ "headers": { "x-b": "\u{0}\n" } }))]
    #[case::a_header_without_a_name(json!({ "headers": { "": "1", "a b": "2" } }))]
    #[case::cookies(json!({ "cookies": ["a=\n", "b=é"] }))]
    #[case::cookies_of_no_kind(json!({ "cookies": 7 }))]
    #[case::parameters(json!({ "pathParameters": { "token": "é\u{0}" }, "queryStringParameters": { "\"": "\"" } }))]
    // requirement: stranger-no-panic
    fn whatever_is_sent_becomes_a_request(#[case] changes: Value) {
        let request = GatewayEvent::parse(&event(&changes))
            .into_request()
            .unwrap();
        assert!(matches!(request.body(), Body::Text(body) if body == "[]"));
        assert_eq!(request.uri(), "/");
    }

    #[test]
    fn what_is_needed_is_kept() {
        let plain = GatewayEvent::parse(&event(&json!({})))
            .into_request()
            .unwrap();
        assert_eq!(plain.headers()["x-a"], "1");
        let parameters = plain.path_parameters_ref().unwrap();
        assert_eq!(parameters.first("source"), Some("orderspace"));
        assert_eq!(plain.method(), "POST");
        let encoded = json!({ "body": "W10=", "isBase64Encoded": true });
        let encoded = GatewayEvent::parse(&event(&encoded))
            .into_request()
            .unwrap();
        assert!(matches!(encoded.body(), Body::Binary(body) if body == b"[]"));
    }

    #[test]
    fn the_trace_is_the_invocation_s_and_no_header_s() {
        const TRACE: &str =
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let sent = event(&json!({ "headers": { "x-amzn-trace-id": TRACE } }));
        let traced = |header| {
            let request = GatewayEvent::parse(&sent).traced(header).into_request();
            let trace = request.unwrap().extensions().get::<XRayHeader>().cloned();
            trace.map(|trace| trace.to_string())
        };
        assert_eq!(traced(Some(TRACE)).as_deref(), Some(TRACE));
        assert_eq!(traced(Some("Root=1")), None);
        assert_eq!(traced(None), None);
    }

    #[rstest]
    #[case::no_json("{")]
    #[case::no_event("{}")]
    #[case::no_object("[7]")]
    #[case::another_event(r#"{"Records":[]}"#)]
    // requirement: stranger-no-panic
    fn what_is_no_event_is_no_request(#[case] event: &str) {
        assert!(GatewayEvent::parse(event).into_request().is_none());
    }

    #[test]
    fn a_body_that_is_no_base64_is_no_request() {
        let changes = json!({ "body": "!", "isBase64Encoded": true });
        assert!(
            GatewayEvent::parse(&event(&changes))
                .into_request()
                .is_none()
        );
    }

    #[test]
    fn an_event_is_read_as_lambda_hands_it_over() {
        let read: GatewayEvent = serde_json::from_slice(event(&json!({})).as_bytes()).unwrap();
        assert!(read.into_request().is_some());
    }
}
