//! Requests: what a caller sent, read field by field so that a complaint names its field and repeats no value
//! that may be secret.

use domain::source::Source;
use domain::subscription::{ClientIdError, Credentials, EventSelection};
use lambda_http::{Body, Request, RequestExt as _};
use serde_json::{Map, Value};
use sources::facts;

use crate::answer::Failure;

/// What `PUT /v1/accounts/{account}` asks for.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) source: Source,
    pub(crate) credentials: Credentials,
    pub(crate) events: EventSelection,
}

/// What `PATCH /v1/accounts/{account}` asks for. Which types there are depends on the account's source.
#[derive(Debug)]
pub(crate) struct Change(Vec<String>);

/// The account's name as it stands in the path; empty where there is none.
pub(crate) fn account_of(request: &Request) -> &str {
    let parameters = request.path_parameters_ref();
    parameters
        .and_then(|parameters| parameters.first("account"))
        .unwrap_or_default()
}

impl Connect {
    pub(crate) fn read(request: &Request) -> Result<Self, Failure> {
        Self::parse(bytes_of(request))
    }

    fn parse(body: &[u8]) -> Result<Self, Failure> {
        let body = object(body, &fields(&Source::ALL))?;
        let named = body.get("source").and_then(Value::as_str);
        let named = named.and_then(Source::named);
        if let Some(source) = named
            && facts(source).life_cycle.credentials.is_empty()
        {
            return Err(Failure::NoApi(source));
        }
        let taken = named.map_or_else(|| fields(&Source::ALL), |source| fields(&[source]));
        only(&body, &taken)?;
        let source = named.ok_or_else(|| unknown_source(&body))?;
        let credentials = credentials(&body, source)?;
        let known = facts(source);
        let names = names(&body)?;
        let events = EventSelection::parse(known.title, known.types, &names)
            .map_err(|error| refuse(Some("events"), format!("events: {error}")))?;
        Ok(Self {
            source,
            credentials,
            events,
        })
    }
}

/// The fields of a request that connects to one of these sources; there are no others.
fn fields(sources: &[Source]) -> Vec<&'static str> {
    let mut fields = vec!["source"];
    for source in sources {
        for field in facts(*source).life_cycle.credentials {
            if !fields.contains(&field.name) {
                fields.push(field.name);
            }
        }
    }
    fields.push("events");
    fields
}

fn unknown_source(body: &Map<String, Value>) -> Failure {
    text(body, "source").err().unwrap_or_else(|| {
        let known = Source::ALL.map(Source::as_str).join(", ");
        let message = format!("the source has to be one of: {known}");
        refuse(Some("source"), message)
    })
}

/// The credentials, by the names that the source has for them. What a session can use so far is a pair: one half that
/// names the integration, and a secret one.
fn credentials(body: &Map<String, Value>, source: Source) -> Result<Credentials, Failure> {
    match facts(source).life_cycle.credentials {
        [client, secret] if !client.is_secret && secret.is_secret => {
            let malformed = |name: &'static str| {
                move |error: ClientIdError| refuse(Some(name), format!("{name}: {error}"))
            };
            let id = text(body, client.name)?
                .parse()
                .map_err(malformed(client.name))?;
            Credentials::new(id, text(body, secret.name)?).map_err(malformed(secret.name))
        }
        _ => Err(Failure::NoApi(source)),
    }
}

impl Change {
    pub(crate) fn read(request: &Request) -> Result<Self, Failure> {
        let body = object(bytes_of(request), &["events"])?;
        only(&body, &["events"])?;
        Ok(Self(names(&body)?.into_iter().map(str::to_owned).collect()))
    }

    pub(crate) fn selection(&self, source: Source) -> Result<EventSelection, Failure> {
        let known = facts(source);
        EventSelection::parse(known.title, known.types, &self.0)
            .map_err(|error| refuse(Some("events"), format!("events: {error}")))
    }
}

fn bytes_of(request: &Request) -> &[u8] {
    match request.body() {
        Body::Text(text) => text.as_bytes(),
        Body::Binary(bytes) => bytes,
        _ => &[],
    }
}

/// A body that is an object; these are the fields that it shall have.
fn object(body: &[u8], fields: &[&str]) -> Result<Map<String, Value>, Failure> {
    // The parser's message could repeat a part of the body, and with it of the secret.
    serde_json::from_slice(body).map_err(|_| {
        let fields = fields.join(", ");
        let message = format!("the body has to be a JSON object with {fields}");
        refuse(None, message)
    })
}

/// Refuses what has a field that is none of these.
fn only(body: &Map<String, Value>, fields: &[&str]) -> Result<(), Failure> {
    match body.keys().find(|name| !fields.contains(&name.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let unknown: String = unknown.chars().take(40).collect();
            let fields = fields.join(", ");
            let message = format!("there is no field {unknown:?}; there are {fields}");
            Err(refuse(None, message))
        }
    }
}

fn refuse(field: Option<&'static str>, message: String) -> Failure {
    Failure::Invalid { field, message }
}

fn text<'a>(body: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, Failure> {
    match body.get(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(refuse(Some(field), format!("{field} has to be a text"))),
        None => Err(refuse(Some(field), format!("{field} is missing"))),
    }
}

fn names(body: &Map<String, Value>) -> Result<Vec<&str>, Failure> {
    let complaint = || {
        refuse(
            Some("events"),
            "events has to be a list of event types, or [\"*\"] for all".to_owned(),
        )
    };
    let list = body.get("events").and_then(Value::as_array);
    let list = list.ok_or_else(complaint)?;
    list.iter()
        .map(|name| name.as_str().ok_or_else(complaint))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn good() -> Value {
        json!({"source": "orderspace", "client_id": "id", "client_secret": "marker-secret", "events": ["*"]})
    }

    #[test]
    fn a_good_request_is_understood() {
        let wanted = Connect::parse(good().to_string().as_bytes()).unwrap();
        assert_eq!(wanted.source, Source::Orderspace);
        assert_eq!(wanted.credentials.client_id.as_str(), "id");
        assert_eq!(wanted.credentials.expose_secret(), "marker-secret");
        assert_eq!(wanted.events.names().len(), 14);
        assert!(!format!("{wanted:?}").contains("marker-secret"));
    }

    #[rstest]
    #[case::unknown_source("source", json!("shopify"), "orderspace")]
    #[case::source_of_another_type("source", json!(1), "text")]
    #[case::source_missing("source", Value::Null, "missing")]
    #[case::empty_client_id("client_id", json!(""), "visible ASCII")]
    #[case::client_id_with_line_break("client_id", json!("a\nb"), "visible ASCII")]
    #[case::client_id_missing("client_id", Value::Null, "missing")]
    #[case::secret_as_a_number("client_secret", json!(31_337), "text")]
    #[case::secret_with_space("client_secret", json!("marker secret"), "visible ASCII")]
    #[case::secret_missing("client_secret", Value::Null, "missing")]
    #[case::events_missing("events", Value::Null, "list")]
    #[case::events_empty("events", json!([]), "empty")]
    #[case::events_as_text("events", json!("*"), "list")]
    #[case::events_of_numbers("events", json!([1]), "list")]
    #[case::event_unknown("events", json!(["order.created", "order.paid"]), "\"order.paid\"")]
    #[case::star_beside_others("events", json!(["*", "order.created"]), "alone")]
    fn a_complaint_names_its_field(
        #[case] field: &'static str,
        #[case] value: Value,
        #[case] said: &str,
    ) {
        let mut body = good();
        if value.is_null() {
            body.as_object_mut().unwrap().remove(field);
        } else {
            body[field] = value;
        }
        match Connect::parse(body.to_string().as_bytes()).unwrap_err() {
            Failure::Invalid {
                field: named,
                message,
            } => {
                assert_eq!(named, Some(field));
                assert!(
                    message.contains(said) && message.contains(field),
                    "{message}"
                );
                assert!(
                    !message.contains("marker") && !message.contains("31337"),
                    "{message}"
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_source_without_a_life_cycle_is_refused_with_a_sentence() {
        let mut body = good();
        body["source"] = json!("stackone");
        let error = Connect::parse(body.to_string().as_bytes()).unwrap_err();
        assert_eq!(error, Failure::NoApi(Source::StackOne));
        assert!(error.message().contains("StackOne"), "{}", error.message());
    }

    #[rstest]
    #[case::nothing("")]
    #[case::no_json("marker-secret")]
    #[case::a_list("[]")]
    #[case::cut(r#"{"client_secret":"marker-secret"#)]
    #[case::unknown_field(r#"{"source":"orderspace","client_id":"i","client_secret":"marker-secret","events":["*"],"evnts":1}"#)]
    fn what_is_no_such_object_is_refused_without_repeating_it(#[case] body: &str) {
        let error = Connect::parse(body.as_bytes()).unwrap_err();
        let message = error.message();
        assert!(
            message.contains("client_id") && !message.contains("marker"),
            "{message}"
        );
    }
}
