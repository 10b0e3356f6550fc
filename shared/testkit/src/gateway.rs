//! Requests as API Gateway's HTTP API, or a Function URL, hands them to Lambda, payload format 2.0, as JSON text.
//!
//! Names of headers come in lower case, a header that was sent twice comes as one with a comma, and a body
//! whose content type is not a known text comes in base64.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::signing::{SIGNATURE_HEADER, sign};

/// The gateway's time of a request, unless a test sets another: 2026-11-20T12:00:00.123Z.
pub const RECEIVED_MILLIS: u64 = 1_795_176_000_123;

/// A delivery on its way through the gateway.
#[must_use]
pub fn hook(token: &str, body: impl Into<Vec<u8>>) -> HookRequest {
    HookRequest {
        source: "orderspace".to_owned(),
        token: token.to_owned(),
        part: None,
        body: body.into(),
        headers: BTreeMap::from([
            ("content-type".to_owned(), "application/json".to_owned()),
            ("host".to_owned(), "hooks.example.com".to_owned()),
        ]),
        millis: RECEIVED_MILLIS,
        base64: false,
        is_by_url: false,
    }
}

/// A request to `POST /hooks/{source}/{token}`, or to `POST /hooks/{source}/{token}/{part}`.
#[derive(Debug, Clone)]
pub struct HookRequest {
    source: String,
    token: String,
    part: Option<String>,
    body: Vec<u8>,
    headers: BTreeMap<String, String>,
    millis: u64,
    base64: bool,
    is_by_url: bool,
}

impl HookRequest {
    /// Posts to another source's URL than Orderspace's.
    #[must_use]
    pub fn of_source(mut self, source: &str) -> Self {
        source.clone_into(&mut self.source);
        self
    }

    /// Adds a part behind the token.
    #[must_use]
    pub fn with_part(mut self, part: &str) -> Self {
        self.part = Some(part.to_owned());
        self
    }

    /// Adds the signature that Orderspace would send for this body.
    #[must_use]
    pub fn signed(self, key: &str) -> Self {
        let signature = sign(key, &self.body);
        self.header(SIGNATURE_HEADER, &signature)
    }

    /// Adds a header; a second one of its name is joined to the first, as the gateway does.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .entry(name.to_ascii_lowercase())
            .and_modify(|values| {
                values.push(',');
                values.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
        self
    }

    /// Sets the gateway's time, in milliseconds since 1970.
    #[must_use]
    pub fn at(mut self, millis: u64) -> Self {
        self.millis = millis;
        self
    }

    /// Lets the body come in base64, as the gateway sends what it does not take for text.
    #[must_use]
    pub fn in_base64(mut self) -> Self {
        self.base64 = true;
        self
    }

    /// Lets it come by a Function URL, which has one route for everything and no parameters.
    #[must_use]
    pub fn by_function_url(mut self) -> Self {
        self.is_by_url = true;
        self
    }

    /// The payload. A body that is no UTF-8 comes in base64 whether asked or not, since JSON has no other way.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut route = "POST /hooks/{source}/{token}".to_owned();
        let mut path = format!("/hooks/{}/{}", self.source, self.token);
        let mut parameters = json!({ "source": self.source, "token": self.token });
        if let Some(part) = &self.part {
            route.push_str("/{part}");
            path = format!("{path}/{part}");
            parameters["part"] = json!(part);
        }
        let mut payload = json!({
            "version": "2.0",
            "routeKey": route,
            "rawPath": path,
            "rawQueryString": "",
            "headers": self.headers,
            "pathParameters": parameters,
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "abcdef1234",
                "domainName": "hooks.example.com",
                "domainPrefix": "hooks",
                "http": {
                    "method": "POST",
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "Orderspace",
                },
                "requestId": "JKJaXmPLvHcESHA=",
                "routeKey": route,
                "stage": "$default",
                "time": "20/Nov/2026:12:00:00 +0000",
                "timeEpoch": self.millis,
            },
            "isBase64Encoded": false,
        });
        if self.is_by_url {
            payload["routeKey"] = json!("$default");
            payload["pathParameters"] = Value::Null;
            payload["stageVariables"] = Value::Null;
            let context = &mut payload["requestContext"];
            context["accountId"] = json!("anonymous");
            context["authentication"] = Value::Null;
            context["domainName"] = json!("a1b2c3.lambda-url.eu-west-1.on.aws");
            context["domainPrefix"] = json!("a1b2c3");
            context["routeKey"] = json!("$default");
        }
        match std::str::from_utf8(&self.body) {
            // The gateway leaves the member out where there is no body.
            Ok("") => {}
            Ok(text) if !self.base64 => payload["body"] = Value::from(text),
            _ => {
                payload["body"] = Value::from(STANDARD.encode(&self.body));
                payload["isBase64Encoded"] = Value::Bool(true);
            }
        }
        payload.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(request: &HookRequest) -> Value {
        serde_json::from_str(&request.to_json()).unwrap()
    }

    #[test]
    fn a_payload_carries_what_was_sent() {
        let request = hook("tok", "[\"é\"]").signed("key").at(7);
        let plain = payload(&request);
        assert_eq!(plain["body"], "[\"é\"]");
        assert_eq!(plain["isBase64Encoded"], false);
        assert_eq!(
            plain["pathParameters"],
            json!({ "source": "orderspace", "token": "tok" })
        );
        assert_eq!(plain["requestContext"]["timeEpoch"], 7);
        assert_eq!(
            plain["headers"][SIGNATURE_HEADER],
            sign("key", "[\"é\"]".as_bytes())
        );
        let encoded = payload(&request.in_base64());
        assert_eq!(encoded["body"], STANDARD.encode("[\"é\"]"));
        assert_eq!(encoded["isBase64Encoded"], true);
    }

    #[test]
    fn a_part_has_a_route_of_its_own() {
        let parted = payload(&hook("tok", "").of_source("ordermentum").with_part("7"));
        assert_eq!(parted["routeKey"], "POST /hooks/{source}/{token}/{part}");
        assert_eq!(parted["rawPath"], "/hooks/ordermentum/tok/7");
        assert_eq!(
            parted["pathParameters"],
            json!({ "source": "ordermentum", "token": "tok", "part": "7" })
        );
        assert_eq!(parted["requestContext"]["routeKey"], parted["routeKey"]);
    }

    #[test]
    fn a_function_url_has_no_parameters() {
        let plain = payload(&hook("tok", "[]").with_part("7").by_function_url());
        assert_eq!(plain["routeKey"], "$default");
        assert_eq!(plain["requestContext"]["routeKey"], "$default");
        assert_eq!(plain["rawPath"], "/hooks/orderspace/tok/7");
        assert_eq!(plain["pathParameters"], Value::Null);
        assert_eq!(plain["body"], "[]");
    }

    #[test]
    fn odd_requests_come_as_the_gateway_sends_them() {
        assert_eq!(payload(&hook("tok", "")).get("body"), None);
        assert_eq!(payload(&hook("tok", [0xFF]))["isBase64Encoded"], true);
        let twice = hook("tok", "x").header("X-A", "1").header("x-a", "2");
        assert_eq!(payload(&twice)["headers"]["x-a"], "1,2");
    }
}
