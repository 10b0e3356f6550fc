//! The event of API Gateway or of a Function URL (both payload 2.0), made into a request and the answer made into its response.
//!
//! `lambda_http` builds a URI out of host, path and query, and panics where they make none; it panics on a body that is no
//! base64, too. All of them are what anybody on the internet may send. Nothing here needs the URI: the route's parameters
//! say what was asked for. So the event is cleaned before it becomes a request.
//!
//! A Function URL has no routes. What the gateway makes of `POST /hooks/{source}/{token}` and of
//! `POST /hooks/{source}/{token}/{part}` is made here of its method and path, so that whoever reads a request need not know
//! which way it came. The gateway gives a path without escapes, a Function URL as it was sent.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::subscription::unescaped;
use domain::trace::XRayHeader;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::http::header::HOST;
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, Method};
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, Request, Response};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// The header that a scheme would be taken from.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The route of every event of a Function URL. No API of ours has a route of this name.
pub const FUNCTION_URL: &str = "$default";

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

    /// The request in an event; `None` for what is none of the gateway's or a Function URL's, or has a body that cannot be
    /// read. Its URI says nothing; one by a Function URL that no route of the gateway fits has no path parameters. The [`XRayHeader`] of its invocation is among its extensions: unlike a header, nobody can send one.
    #[must_use]
    pub fn into_request(self) -> Option<Request> {
        let mut event = self.event?;
        if event.route_key.as_deref()? == FUNCTION_URL {
            let path = event.raw_path.as_deref().unwrap_or_default();
            event.path_parameters = parameters_of(&event.request_context.http.method, path);
        }
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

/// The parameters that the gateway would give with a webhook's route; none where the request fits none of them.
fn parameters_of(method: &Method, path: &str) -> HashMap<String, String> {
    let path = unescaped(path);
    let segments: Option<Vec<&str>> = path
        .strip_prefix("/hooks/")
        .filter(|_| method == Method::POST)
        .map(|rest| rest.split('/').collect());
    let segments = segments.filter(|segments| {
        (2..=3).contains(&segments.len()) && segments.iter().all(|segment| !segment.is_empty())
    });
    let names = ["source", "token", "part"].map(str::to_owned);
    let values = segments.into_iter().flatten().map(str::to_owned);
    names.into_iter().zip(values).collect()
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
    // requirement: unauthenticated-no-panic
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

    /// The example of AWS's page on Function URLs, with these members in place of its own.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>
    fn by_url(method: &str, path: &str) -> Value {
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
            "cookies": ["cookie1", "cookie2"],
            "headers": { "header1": "value1", "header2": "value1,value2" },
            "queryStringParameters": { "parameter1": "value1,value2", "parameter2": "value" },
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "<urlid>",
                "authentication": null,
                "authorizer": { "iam": {
                    "accessKey": "AKIA...", "accountId": "111122223333", "callerId": "AIDA...", "cognitoIdentity": null,
                    "principalOrgId": null, "userArn": "arn:aws:iam::111122223333:user/example-user", "userId": "AIDA..."
                } },
                "domainName": "<url-id>.lambda-url.us-west-2.on.aws",
                "domainPrefix": "<url-id>",
                "http": {
                    "method": method, "path": path, "protocol": "HTTP/1.1",
                    "sourceIp": "123.123.123.123", "userAgent": "agent"
                },
                "requestId": "id",
                "routeKey": "$default",
                "stage": "$default",
                "time": "12/Mar/2020:19:03:58 +0000",
                "timeEpoch": 1_583_348_638_390_u64,
            },
            "body": "Hello from client!",
            "pathParameters": null,
            "isBase64Encoded": false,
            "stageVariables": null,
        })
    }

    fn parameters(request: &Request) -> [Option<String>; 3] {
        let parameters = request.path_parameters_ref();
        let parameter = |name| Some(parameters?.first(name)?.to_owned());
        ["source", "token", "part"].map(parameter)
    }

    #[rstest]
    #[case::a_delivery("POST", "/hooks/orderspace/tok", [Some("orderspace"), Some("tok"), None])]
    #[case::with_a_part("POST", "/hooks/onestock/tok/a@v3", [Some("onestock"), Some("tok"), Some("a@v3")])]
    #[case::with_escapes("POST", "/hooks/%6Fnestock/t%2Do%5Fk/a%40v3", [Some("onestock"), Some("t-o_k"), Some("a@v3")])]
    #[case::an_escaped_slash("POST", "/hooks/orderspace/tok%2Fpart", [Some("orderspace"), Some("tok%2Fpart"), None])]
    #[case::another_source("POST", "/hooks/elsewhere/tok", [Some("elsewhere"), Some("tok"), None])]
    #[case::the_example_s("POST", "/my/path", [None; 3])]
    #[case::the_admin_api("POST", "/v1/accounts/acme/check", [None; 3])]
    #[case::no_token("POST", "/hooks/orderspace", [None; 3])]
    #[case::an_empty_token("POST", "/hooks/orderspace/", [None; 3])]
    #[case::an_empty_source("POST", "/hooks//tok", [None; 3])]
    #[case::an_empty_part("POST", "/hooks/orderspace/tok/", [None; 3])]
    #[case::too_much("POST", "/hooks/orderspace/tok/part/more", [None; 3])]
    #[case::in_capitals("POST", "/HOOKS/orderspace/tok", [None; 3])]
    #[case::something_before("POST", "/x/hooks/orderspace/tok", [None; 3])]
    #[case::two_slashes("POST", "//hooks/orderspace/tok", [None; 3])]
    #[case::nothing("POST", "", [None; 3])]
    #[case::any_bytes("POST", "/hooks/\u{0} é%/%zz%F/%", [Some("\u{0} é%"), Some("%zz%F"), Some("%")])]
    #[case::read("GET", "/hooks/orderspace/tok", [None; 3])]
    #[case::looked_at("HEAD", "/hooks/orderspace/tok", [None; 3])]
    #[case::asked_by_a_browser("OPTIONS", "/hooks/orderspace/tok", [None; 3])]
    #[case::a_method_of_their_own("BREW", "/hooks/orderspace/tok", [None; 3])]
    // requirement: unauthenticated-no-panic
    fn a_function_url_s_path_has_the_parameters_of_the_gateway_s_routes(
        #[case] method: &str,
        #[case] path: &str,
        #[case] expected: [Option<&str>; 3],
    ) {
        let event = by_url(method, path);
        let request = GatewayEvent::parse(&event.to_string())
            .into_request()
            .unwrap();
        assert_eq!(
            parameters(&request),
            expected.map(|one| one.map(str::to_owned))
        );
        assert!(matches!(request.body(), Body::Text(body) if body == "Hello from client!"));
        assert_eq!(request.headers()["header2"], "value1,value2");
    }

    #[test]
    fn parameters_that_a_function_url_s_event_brings_itself_count_for_nothing() {
        let mut event = by_url("GET", "/");
        event["pathParameters"] = json!({ "source": "orderspace", "token": "tok" });
        let request = GatewayEvent::parse(&event.to_string()).into_request();
        assert_eq!(parameters(&request.unwrap()), [None, None, None]);
    }

    #[rstest]
    #[case::no_path("rawPath")]
    #[case::no_cookies("cookies")]
    #[case::no_body("body")]
    #[case::no_headers("headers")]
    #[case::no_parameters("pathParameters")]
    #[case::no_query("queryStringParameters")]
    #[case::no_version("version")]
    // requirement: unauthenticated-no-panic
    fn a_function_url_s_event_may_leave_a_member_out(
        #[case] member: &str,
        #[values(false, true)] is_null: bool,
    ) {
        let mut event = by_url("POST", "/hooks/orderspace/tok");
        match is_null {
            true => event[member] = Value::Null,
            false => drop(event.as_object_mut().unwrap().remove(member)),
        }
        let request = GatewayEvent::parse(&event.to_string()).into_request();
        let [source, ..] = parameters(&request.unwrap());
        let expected = (member != "rawPath").then(|| "orderspace".to_owned());
        assert_eq!(source, expected);
    }

    #[test]
    fn a_function_url_s_body_may_come_in_base64() {
        let mut event = by_url("POST", "/hooks/orderspace/tok");
        event["isBase64Encoded"] = json!(true);
        event["body"] = json!("/wA=");
        let request = GatewayEvent::parse(&event.to_string()).into_request();
        assert!(matches!(request.unwrap().body(), Body::Binary(body) if body == &[0xFF, 0]));
        event["body"] = json!("!");
        assert!(
            GatewayEvent::parse(&event.to_string())
                .into_request()
                .is_none()
        );
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
    // requirement: unauthenticated-no-panic
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
