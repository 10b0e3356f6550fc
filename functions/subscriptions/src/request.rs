//! Requests: what a caller sent, read field by field so that a complaint names its field and repeats no value
//! that may be secret.

use domain::account::AccountName;
use domain::erasure::record_of;
use domain::record::{LONGEST_RECORD_ID, Subject};
use domain::signature::{LiveSecrets, MacKey, Policy};
use domain::source::Source;
use domain::subscription::{
    ApiUrl, Choice, CredentialField, Credentials, EventSelection, LifeCycle, MOST_PARTS, Principal,
};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt as _};
use serde_json::{Map, Value};
use sources::{facts, parts, protocol, shared_types};

use crate::answer::Failure;

/// What `PUT /v1/accounts/{account}` asks for.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) source: Source,
    pub(crate) credentials: Credentials,
    pub(crate) events: EventSelection,
    /// What becomes of unproved requests, where that is chosen.
    pub(crate) policy: Option<Policy>,
}

/// What `PATCH /v1/accounts/{account}` asks for. What it may ask for depends on the account's source.
pub(crate) struct Change(Map<String, Value>);

const EVENTS: &str = "events";
const PROOF: &str = "proof";
const SIGNING_SECRETS: &str = "signing_secrets";

/// What signing secrets are kept as.
const SECRET_NAMES: [&str; 2] = ["signing_secret", "second_signing_secret"];

/// The account's name as it stands in the path; empty where there is none.
pub(crate) fn account_of(request: &Request) -> &str {
    let parameters = request.path_parameters_ref();
    parameters
        .and_then(|parameters| parameters.first("account"))
        .unwrap_or_default()
}

/// Who signed the request, as the gateway says it; none where it names nobody.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
pub(crate) fn caller_of(request: &Request) -> Option<Principal> {
    let Some(RequestContext::ApiGatewayV2(context)) = request.request_context_ref() else {
        return None;
    };
    let identity = context.authorizer.as_ref()?.iam.as_ref()?;
    Principal::new(identity.user_arn.as_deref()?)
}

const SUBJECT: &str = "subject";

/// The record that `POST /v1/accounts/{account}/erasure` is about; none where it is about the whole account.
pub(crate) fn subject_of(
    request: &Request,
    account: &AccountName,
) -> Result<Option<Subject>, Failure> {
    let body = bytes_of(request);
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let body = object(body, &[SUBJECT])?;
    only(&body, &[SUBJECT])?;
    if body.is_empty() {
        return Ok(None);
    }
    // A null is no account's erasure: whoever sends it meant a record.
    let subject = Subject::parse(text(&body, SUBJECT)?).ok();
    let subject = subject.filter(|subject| record_of(account, subject).is_some());
    subject.map(Some).ok_or_else(|| {
        let message = format!(
            "subject has to be a kind, '/' and a record's id of at most {LONGEST_RECORD_ID} bytes, such as order/or_1"
        );
        refuse(Some(SUBJECT), message)
    })
}

impl Connect {
    pub(crate) fn read(request: &Request, rules: Rules) -> Result<Self, Failure> {
        Self::parse(bytes_of(request), rules)
    }

    fn parse(body: &[u8], rules: Rules) -> Result<Self, Failure> {
        let fields = |sources: &[Source]| rules.fields(sources);
        let body = object(body, &fields(&Source::ALL))?;
        let named = body.get("source").and_then(Value::as_str);
        let named = named.and_then(Source::named);
        let taken = named.map_or_else(|| fields(&Source::ALL), |source| fields(&[source]));
        only(&body, &taken)?;
        let source = named.ok_or_else(|| unknown_source(&body))?;
        let life_cycle = (rules.life_cycle)(source);
        let credentials = match life_cycle.is_manual() {
            true => signing_secrets(&body)?.ok_or_else(|| missing(SIGNING_SECRETS))?,
            false => {
                let optional = protocol(source).optional_credentials();
                credentials(&body, life_cycle.credentials, optional)?
            }
        };
        let policy = rules.policy(&body, source)?;
        let events = selection(source, &body)?;
        Ok(Self {
            source,
            credentials,
            events,
            policy,
        })
    }
}

/// What requests are read by: the facts of the sources, as far as requests depend on them.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) life_cycle: fn(Source) -> &'static LifeCycle,
    pub(crate) policy: fn(Source) -> Policy,
}

impl Rules {
    /// The fields of a request that connects to one of these sources; there are no others.
    fn fields(self, sources: &[Source]) -> Vec<&'static str> {
        let mut fields = vec!["source"];
        let mut add = |name| {
            if !fields.contains(&name) {
                fields.push(name);
            }
        };
        for source in sources {
            let life_cycle = (self.life_cycle)(*source);
            life_cycle
                .credentials
                .iter()
                .chain(protocol(*source).optional_credentials())
                .for_each(|field| add(field.name));
            if life_cycle.is_manual() {
                add(SIGNING_SECRETS);
            }
            if self.may_choose(*source) {
                add(PROOF);
            }
        }
        fields.push(EVENTS);
        fields
    }

    /// Whether an operator may choose what becomes of a source's unproved requests: not where the source proves all.
    fn may_choose(self, source: Source) -> bool {
        match (self.policy)(source) {
            Policy::Observe => true,
            Policy::Require => false,
        }
    }

    fn policy(self, body: &Map<String, Value>, source: Source) -> Result<Option<Policy>, Failure> {
        if !body.contains_key(PROOF) {
            return Ok(None);
        }
        if !self.may_choose(source) {
            let title = facts(source).title;
            let message = format!(
                "proof: every delivery of {title} is proved, so there is nothing to choose"
            );
            return Err(refuse(Some(PROOF), message));
        }
        let policy = text(body, PROOF)?.parse::<Policy>();
        // The parser's message repeats the value.
        let complaint = |_| refuse(Some(PROOF), "proof has to be require or observe".to_owned());
        policy.map(Some).map_err(complaint)
    }
}

/// The signing secrets in a request about a manual account, as credentials; none where it has no such field.
fn signing_secrets(body: &Map<String, Value>) -> Result<Option<Credentials>, Failure> {
    let complaint =
        |what: String| refuse(Some(SIGNING_SECRETS), format!("{SIGNING_SECRETS}{what}"));
    let Some(value) = body.get(SIGNING_SECRETS) else {
        return Ok(None);
    };
    let malformed = || complaint(" has to be a list of one or two texts".to_owned());
    let list = value.as_array().ok_or_else(malformed)?;
    let list: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
    let list = list.ok_or_else(malformed)?;
    let is_twice = matches!(list.as_slice(), [one, other] if one == other);
    if is_twice || !(1..=SECRET_NAMES.len()).contains(&list.len()) {
        return Err(malformed());
    }
    let named = SECRET_NAMES.into_iter().zip(list);
    let secrets = Credentials::of(named).map_err(|error| complaint(format!(": {error}")))?;
    Ok(Some(secrets))
}

/// The signing secrets of a manual account, as the keys of its registrations.
pub(crate) fn signing_keys(kept: &Credentials) -> LiveSecrets {
    let secrets = SECRET_NAMES.iter().filter_map(|name| kept.get(name));
    LiveSecrets {
        macs: secrets.map(MacKey::new).collect(),
        shared: Vec::new(),
    }
}

fn missing(field: &'static str) -> Failure {
    refuse(Some(field), format!("{field} is missing"))
}

fn unknown_source(body: &Map<String, Value>) -> Failure {
    text(body, "source").err().unwrap_or_else(|| {
        let known = Source::ALL.map(Source::as_str).join(", ");
        let message = format!("the source has to be one of: {known}");
        refuse(Some("source"), message)
    })
}

/// The event types that are selected.
fn selection(source: Source, body: &Map<String, Value>) -> Result<EventSelection, Failure> {
    let names = names(body)?;
    let complaint = |error: String| refuse(Some(EVENTS), format!("events: {error}"));
    let choice = Choice {
        title: facts(source).title,
        known: facts(source).types,
        shared: &shared_types(source),
    };
    let is_custom = |name: &str| protocol(source).is_custom(name);
    let events = EventSelection::parse(choice, is_custom, &names)
        .map_err(|error| complaint(error.to_string()))?;
    let count = parts(source, &events).len();
    if count > MOST_PARTS {
        return Err(complaint(format!(
            "they need {count} webhooks, since some need one of their own each, and an account has at most {MOST_PARTS}"
        )));
    }
    Ok(events)
}

/// The credentials, by the names that the source has for them. Of the optional ones all are given or none. No complaint
/// repeats a value.
fn credentials(
    body: &Map<String, Value>,
    fields: &'static [CredentialField],
    optional: &'static [CredentialField],
) -> Result<Credentials, Failure> {
    let mut given = Vec::new();
    let has_optional = optional.iter().any(|field| body.contains_key(field.name));
    let optional = optional.iter().filter(|_| has_optional);
    for field in fields.iter().chain(optional) {
        let name = field.name;
        let value = text(body, name)?;
        let value = match field.is_url() {
            false => value.to_owned(),
            true => {
                let url: Result<ApiUrl, _> = value.parse();
                let url = url.map_err(|error| refuse(Some(name), format!("{name}: {error}")))?;
                url.as_str().to_owned()
            }
        };
        // Each by itself, so that a complaint names its field.
        Credentials::of([(name, &value)])
            .map_err(|error| refuse(Some(name), format!("{name}: {error}")))?;
        given.push((name, value));
    }
    Credentials::of(given).map_err(|error| refuse(None, error.to_string()))
}

impl Change {
    pub(crate) fn read(request: &Request) -> Result<Self, Failure> {
        Self::parse(bytes_of(request))
    }

    fn parse(body: &[u8]) -> Result<Self, Failure> {
        let fields = [EVENTS, PROOF, SIGNING_SECRETS];
        let body = object(body, &fields)?;
        only(&body, &fields)?;
        if body.is_empty() {
            return Err(missing(EVENTS));
        }
        Ok(Self(body))
    }

    /// The events that are selected, if any are.
    pub(crate) fn selection(&self, source: Source) -> Result<Option<EventSelection>, Failure> {
        if !self.0.contains_key(EVENTS) {
            return Ok(None);
        }
        selection(source, &self.0).map(Some)
    }

    /// What is chosen to become of unproved requests, if anything is.
    pub(crate) fn policy(&self, source: Source, rules: Rules) -> Result<Option<Policy>, Failure> {
        rules.policy(&self.0, source)
    }

    /// The signing secrets of a manual account, if they are replaced.
    pub(crate) fn signing_secrets(
        &self,
        source: Source,
        rules: Rules,
    ) -> Result<Option<Credentials>, Failure> {
        let given = signing_secrets(&self.0)?;
        if given.is_some() && !(rules.life_cycle)(source).is_manual() {
            let title = facts(source).title;
            let message = format!("{SIGNING_SECRETS}: the keys of {title} are not given by hand");
            return Err(refuse(Some(SIGNING_SECRETS), message));
        }
        Ok(given)
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
    use domain::subscription::KeyOrigin;
    use rstest::rstest;
    use serde_json::json;

    const URL_AND_KEY: LifeCycle = LifeCycle {
        credentials: &[
            CredentialField {
                name: "api_url",
                is_secret: false,
            },
            CredentialField {
                name: "site_id",
                is_secret: false,
            },
            CredentialField {
                name: "password",
                is_secret: true,
            },
        ],
        keys: KeyOrigin::OursSent,
        rotates: true,
        enables: false,
        attempts: None,
        quiet_seconds: 60,
    };

    /// The facts as they are.
    const RULES: Rules = Rules {
        life_cycle: |source| &facts(source).life_cycle,
        policy: |source| facts(source).policy,
    };

    /// Facts of a source that is given its API's address, and of which not every delivery is proved.
    const OTHER: Rules = Rules {
        life_cycle: |_| &URL_AND_KEY,
        policy: |_| Policy::Observe,
    };

    fn parse(body: &str) -> Result<Connect, Failure> {
        Connect::parse(body.as_bytes(), RULES)
    }

    fn with(body: &Value, field: &str, value: Value) -> String {
        let mut body = body.clone();
        match value {
            Value::Null => drop(body.as_object_mut().unwrap().remove(field)),
            value => body[field] = value,
        }
        body.to_string()
    }

    #[track_caller]
    fn assert_names(error: Failure, field: &str) {
        let Failure::Invalid {
            field: named,
            message,
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(named, Some(field), "{message}");
        assert!(message.contains(field), "{message}");
        assert!(!message.contains("marker"), "{message}");
    }

    fn other() -> Value {
        json!({
            "source": "stackone", "api_url": "https://API.example.com:443/v2/", "site_id": "c1", "password": "marker-password",
            "events": ["*"], "proof": "require",
        })
    }

    #[test]
    fn credentials_are_what_the_source_names_and_its_address_is_normalised() {
        let wanted = Connect::parse(other().to_string().as_bytes(), OTHER).unwrap();
        let given = ["api_url", "site_id", "password"].map(|name| wanted.credentials.get(name));
        let expected = ["https://api.example.com/v2", "c1", "marker-password"];
        assert_eq!(given, expected.map(Some));
        assert_eq!(wanted.policy, Some(Policy::Require));
        assert!(!format!("{wanted:?}").contains("marker"));
        let silent = with(&other(), "proof", Value::Null);
        let wanted = Connect::parse(silent.as_bytes(), OTHER).unwrap();
        assert_eq!(wanted.policy, None);
    }

    #[rstest]
    #[case::address_missing("api_url", Value::Null)]
    #[case::address_of_a_number("api_url", json!(1))]
    #[case::address_inside("api_url", json!("https://marker.internal"))]
    #[case::address_in_the_clear("api_url", json!("http://marker.example.com"))]
    #[case::address_of_metadata("api_url", json!("https://169.254.169.254/marker"))]
    #[case::site_missing("site_id", Value::Null)]
    #[case::site_empty("site_id", json!(""))]
    #[case::password_missing("password", Value::Null)]
    #[case::password_as_a_list("password", json!(["marker"]))]
    #[case::password_too_long("password", json!("marker".repeat(100)))]
    #[case::proof_unknown("proof", json!("marker"))]
    #[case::proof_as_a_flag("proof", json!(true))]
    fn a_wrong_field_is_named_and_not_repeated(#[case] field: &str, #[case] value: Value) {
        let body = with(&other(), field, value);
        assert_names(Connect::parse(body.as_bytes(), OTHER).unwrap_err(), field);
    }

    #[test]
    fn a_field_of_another_source_is_refused() {
        let body = with(&other(), "client_secret", json!("marker"));
        let error = Connect::parse(body.as_bytes(), OTHER).unwrap_err();
        assert!(
            error
                .message()
                .contains("\"client_secret\"; there are source, api_url")
        );
        assert!(!error.message().contains("marker"));
    }

    fn ordermentum() -> Value {
        json!({ "source": "ordermentum", "api_key": "marker-key", "supplier_id": "s1", "events": ["*"] })
    }

    #[test]
    fn optional_credentials_are_all_given_or_none() {
        let wanted = parse(&ordermentum().to_string()).unwrap();
        assert_eq!(wanted.credentials.get("username"), None);
        let mut both = ordermentum();
        both["username"] = json!("ops@example.com");
        assert_names(parse(&both.to_string()).unwrap_err(), "password");
        both["password"] = json!("marker-password");
        let wanted = parse(&both.to_string()).unwrap();
        assert_eq!(wanted.credentials.get("username"), Some("ops@example.com"));
        assert_eq!(wanted.credentials.get("password"), Some("marker-password"));
        let alone = with(&both, "username", Value::Null);
        assert_names(parse(&alone).unwrap_err(), "username");
        let missing = with(&both, "api_key", Value::Null);
        assert_names(parse(&missing).unwrap_err(), "api_key");
    }

    fn onestock(events: &Value) -> String {
        json!({
            "source": "onestock", "api_url": "https://api.example.com/v2", "site_id": "c1", "user_id": "ops",
            "password": "marker-password", "events": events,
        })
        .to_string()
    }

    #[test]
    fn types_that_need_a_webhook_of_their_own_are_named_beside_a_star() {
        let all = parse(&onestock(&json!(["*"]))).unwrap().events;
        assert_eq!(all.names().len(), 24);
        let has = |name: &str| all.names().iter().any(|known| known == name);
        assert!(has("order_state_changed") && has("stock_import_error_occurred"));
        assert!(!has("stock_import_completed") && !has("candidates_added"));
        let more = json!(["*", "rules_over", "gift_wrapped", "item_import_completed"]);
        let more = parse(&onestock(&more)).unwrap().events;
        assert_eq!(more.names().len(), 27);
        assert_eq!(more.names().last().unwrap(), "gift_wrapped");
        assert_eq!(parts(Source::OneStock, &more).len(), 4);
        let every = facts(Source::OneStock).types.iter().map(|row| row.name);
        let every: Vec<&str> = every.collect();
        let every = parse(&onestock(&json!(every))).unwrap().events;
        assert_eq!(every.names().len(), 53);
    }

    #[test]
    fn an_account_has_so_many_webhooks_and_no_more() {
        let names = |count: usize| -> Vec<String> {
            (0..count).map(|number| format!("own_{number}")).collect()
        };
        let most = parse(&onestock(&json!(names(MOST_PARTS)))).unwrap().events;
        assert_eq!(most.names().len(), MOST_PARTS);
        let error = parse(&onestock(&json!(names(MOST_PARTS + 1)))).unwrap_err();
        assert!(
            error.message().contains("41 webhooks"),
            "{}",
            error.message()
        );
        assert_names(error, "events");
        let error = parse(&onestock(&json!(["*", "Gift Wrapped"]))).unwrap_err();
        assert_names(error, "events");
    }

    #[test]
    fn a_type_of_a_site_s_own_is_unknown_where_sites_have_none() {
        for name in ["gift_wrapped", "vault.connection.created"] {
            let mut body = good();
            body["events"] = json!([name]);
            assert_names(parse(&body.to_string()).unwrap_err(), "events");
        }
    }

    fn manual() -> Value {
        json!({ "source": "stackone", "signing_secrets": ["marker-1", "marker-2"], "events": ["*"] })
    }

    #[test]
    fn the_signing_secrets_of_a_manual_account_are_its_keys() {
        let wanted = parse(&manual().to_string()).unwrap();
        let keys = signing_keys(&wanted.credentials).macs;
        let keys: Vec<_> = keys.iter().map(MacKey::expose).collect();
        assert_eq!(keys, ["marker-1", "marker-2"]);
        let one = parse(&with(&manual(), "signing_secrets", json!(["marker-3"]))).unwrap();
        assert_eq!(signing_keys(&one.credentials).macs.len(), 1);
    }

    #[rstest]
    #[case::missing(Value::Null)]
    #[case::a_text(json!("marker"))]
    #[case::none(json!([]))]
    #[case::three(json!(["marker", "b", "c"]))]
    #[case::twice_the_same(json!(["marker", "marker"]))]
    #[case::empty(json!([""]))]
    #[case::null(json!(["marker", null]))]
    #[case::with_a_space(json!(["marker 1"]))]
    #[case::too_long(json!(["marker".repeat(100)]))]
    fn signing_secrets_are_one_or_two_texts(#[case] value: Value) {
        let body = with(&manual(), "signing_secrets", value.clone());
        assert_names(parse(&body).unwrap_err(), "signing_secrets");
        if !value.is_null() {
            let change = json!({ "signing_secrets": value }).to_string();
            let change = Change::parse(change.as_bytes()).unwrap();
            let error = change.signing_secrets(Source::StackOne, RULES).unwrap_err();
            assert_names(error, "signing_secrets");
        }
    }

    #[test]
    fn what_cannot_be_changed_of_a_source_is_named() {
        let change = Change::parse(br#"{"signing_secrets":["marker"],"proof":"require"}"#).unwrap();
        assert_names(
            change
                .signing_secrets(Source::Orderspace, RULES)
                .unwrap_err(),
            "signing_secrets",
        );
        assert_names(
            change.policy(Source::Orderspace, RULES).unwrap_err(),
            "proof",
        );
        assert_eq!(
            change.policy(Source::Orderspace, OTHER).unwrap(),
            Some(Policy::Require)
        );
        assert_eq!(change.selection(Source::Orderspace).unwrap(), None);
    }

    #[rstest]
    #[case::nothing("{}")]
    #[case::another_field(r#"{"source":"orderspace"}"#)]
    #[case::no_object("[]")]
    fn a_change_has_something_to_change(#[case] body: &str) {
        assert!(Change::parse(body.as_bytes()).is_err());
    }

    fn good() -> Value {
        json!({"source": "orderspace", "client_id": "id", "client_secret": "marker-secret", "events": ["*"]})
    }

    #[test]
    fn a_good_request_is_understood() {
        let wanted = parse(&good().to_string()).unwrap();
        assert_eq!(wanted.source, Source::Orderspace);
        assert_eq!(wanted.credentials.get("client_id"), Some("id"));
        assert_eq!(
            wanted.credentials.get("client_secret"),
            Some("marker-secret")
        );
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
        match parse(&body.to_string()).unwrap_err() {
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

    #[rstest]
    #[case::nothing("")]
    #[case::no_json("marker-secret")]
    #[case::a_list("[]")]
    #[case::cut(r#"{"client_secret":"marker-secret"#)]
    #[case::unknown_field(r#"{"source":"orderspace","client_id":"i","client_secret":"marker-secret","events":["*"],"evnts":1}"#)]
    fn what_is_no_such_object_is_refused_without_repeating_it(#[case] body: &str) {
        let error = parse(body).unwrap_err();
        let message = error.message();
        assert!(
            message.contains("client_id") && !message.contains("marker"),
            "{message}"
        );
    }
}
