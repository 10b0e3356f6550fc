//! What the linters do not see in `template.yaml`: values that must fit together, and promises that one deleted line breaks.
//!
//! `sam validate` and `cfn-lint` know the shape of a template. They pass a queue whose visibility is shorter than its
//! consumer's run, a mistyped property inside a SAM event, or a table that is deleted with its stack. [`rules`] has one
//! function for each such thing.

mod alarm_rules;
pub mod alarms;
pub mod cost;
pub mod parameters;
pub mod rules;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Number, Value, json};

/// Where a function has its variables.
const VARIABLES: &str = "/Environment/Variables";

/// The function that answers an attribute of a resource.
const GET_ATT: &str = "Fn::GetAtt";

/// What leaves its member or item out.
const NO_VALUE: &str = "AWS::NoValue";

/// What stands for the name of something that is not deployed.
const UNKNOWN: &str = "x";

/// What stands for the URL of a function that is not deployed: AWS ends it with a slash.
const UNKNOWN_URL: &str = "https://x.lambda-url.x.on.aws/";

/// A template, with the short forms of functions written out: `!Ref X` is `{"Ref": "X"}`.
#[derive(Clone, Debug)]
pub struct Template(Value);

/// Something wrong in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static str,
    /// Where: a resource, a parameter or an output.
    pub place: String,
    /// What is wrong and what to do.
    pub text: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} [{}]", self.place, self.text, self.rule)
    }
}

/// Everything that is wrong with a template, and how many rules were asked.
pub fn check(template: &Template) -> (Vec<Finding>, usize) {
    let mut findings = rules::check(template);
    findings.extend(parameters::check(template));
    (findings, rules::count() + parameters::count())
}

/// One resource of a template.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// Its logical id.
    pub id: &'a str,
    body: &'a Value,
}

impl<'a> Resource<'a> {
    /// Its type.
    pub fn kind(&self) -> &'a str {
        self.attribute("Type").as_str().unwrap_or_default()
    }

    /// An attribute beside `Properties`, or `Null`.
    pub fn attribute(&self, name: &str) -> &'a Value {
        self.body.get(name).unwrap_or(&Value::Null)
    }

    /// A property by its path, such as `/ScalingConfig/MaximumConcurrency`, or `Null`.
    pub fn property(&self, path: &str) -> &'a Value {
        self.attribute("Properties")
            .pointer(path)
            .unwrap_or(&Value::Null)
    }
}

impl Template {
    /// Reads a template's YAML.
    ///
    /// # Errors
    /// It is not YAML, or holds what a template cannot.
    pub fn parse(yaml: &str) -> Result<Self> {
        let documents = Yaml::load_from_str(yaml).context("the template is not YAML")?;
        let document = documents.first().context("the template is empty")?;
        Ok(Self(value(document)?))
    }

    /// The template with the functions' code in archives, `functions/x.zip` in place of `functions/x/`.
    pub fn with_archives(mut self) -> Self {
        let resources = self.0.get_mut("Resources").and_then(Value::as_object_mut);
        for resource in resources.into_iter().flat_map(Map::values_mut) {
            if let Some(code) = resource.pointer_mut("/Properties/CodeUri")
                && let Some(folder) = code.as_str()
            {
                *code = Value::String(format!("{}.zip", folder.trim_end_matches('/')));
            }
        }
        self
    }

    /// The template as JSON, with every function in its long form.
    ///
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-getatt.html>
    pub fn to_json(&self) -> String {
        long(&self.0).to_string()
    }

    /// The template as it is deployed with these parameters, each `Name=Value`, in place of the defaults.
    ///
    /// # Errors
    /// It has no such parameter, or one is not written like that.
    pub fn with_parameters(mut self, parameters: &[String]) -> Result<Self> {
        for parameter in parameters {
            let (name, value) = parameter
                .split_once('=')
                .with_context(|| format!("{parameter} is not written as Name=Value"))?;
            self.set_parameter(name, value.to_owned())?;
        }
        Ok(self)
    }

    /// Gives a parameter another default.
    fn set_parameter(&mut self, name: &str, value: String) -> Result<()> {
        let declared = self
            .0
            .pointer_mut(&format!("/Parameters/{name}"))
            .and_then(Value::as_object_mut)
            .with_context(|| format!("the template has no parameter {name}"))?;
        declared.insert("Default".to_owned(), Value::String(value));
        Ok(())
    }

    /// The resources, by logical id.
    pub fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        self.0
            .get("Resources")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(id, body)| Resource { id, body })
    }

    /// The resources of one type.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = Resource<'a>> {
        self.resources()
            .filter(move |resource| resource.kind() == kind)
    }

    /// One resource.
    pub fn resource(&self, id: &str) -> Option<Resource<'_>> {
        self.resources().find(|resource| resource.id == id)
    }

    /// A value anywhere in the template, or `Null`.
    pub fn at(&self, path: &str) -> &Value {
        self.0.pointer(path).unwrap_or(&Value::Null)
    }

    /// A function's property, from the function or from `Globals`.
    pub fn of_function<'a>(&'a self, function: Resource<'a>, path: &str) -> &'a Value {
        match function.property(path) {
            Value::Null => self.at(&format!("/Globals/Function{path}")),
            own => own,
        }
    }

    /// The variables of the function with this program, as parameters' defaults make them. A name that is known only once
    /// something is deployed is `x`.
    pub fn variables(&self, binary: &str) -> BTreeMap<String, String> {
        let function = self.resources().find(|resource| {
            let built = resource
                .attribute("Metadata")
                .pointer("/BuildProperties/Binary");
            built.and_then(Value::as_str) == Some(binary)
        });
        let own = function.map_or(&Value::Null, |function| function.property(VARIABLES));
        let global = self.at(&format!("/Globals/Function{VARIABLES}"));
        let all = [global, own].into_iter().filter_map(Value::as_object);
        all.flatten()
            .map(|(name, value)| (name.clone(), self.text(value)))
            .collect()
    }

    /// What a value says, as far as it is known before anything is deployed.
    pub fn text(&self, value: &Value) -> String {
        let function = value
            .as_object()
            .and_then(|functions| functions.iter().next());
        let known = match function {
            None => {
                return value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
            }
            Some((function, argument)) => match (function.as_str(), argument) {
                ("Ref", Value::String(name)) => self.at(&format!("/Parameters/{name}/Default")),
                ("Fn::If", Value::Array(parts)) => {
                    self.branch(parts).or(parts.last()).unwrap_or(&Value::Null)
                }
                (GET_ATT, Value::String(name)) => name
                    .split_once('.')
                    .and_then(|(id, name)| Some(self.resource(id)?.property(&format!("/{name}"))))
                    .unwrap_or(&Value::Null),
                ("Fn::Sub", Value::String(text)) => {
                    let mut parts = text.split("${");
                    let mut known = parts.next().unwrap_or_default().to_owned();
                    for part in parts {
                        let (name, after) = part.split_once('}').unwrap_or((part, ""));
                        let parameter = self.at(&format!("/Parameters/{name}/Default"));
                        match (parameter, name.ends_with(".FunctionUrl")) {
                            (Value::Null, true) => known.push_str(UNKNOWN_URL),
                            (Value::Null, false) => known.push_str(UNKNOWN),
                            (value, _) => known.push_str(&self.text(value)),
                        }
                        known.push_str(after);
                    }
                    return known;
                }
                _ => &Value::Null,
            },
        };
        match known {
            Value::Null => UNKNOWN.to_owned(),
            known => self.text(known),
        }
    }

    /// The branch of an `Fn::If` that is taken with the parameters' values; `None` where that cannot be said.
    fn branch<'v>(&self, parts: &'v [Value]) -> Option<&'v Value> {
        match parts {
            [Value::String(condition), met, unmet] => match self.is_met(condition)? {
                true => Some(met),
                false => Some(unmet),
            },
            _ => None,
        }
    }

    /// Whether a condition is met with the parameters' values; `None` where that cannot be said.
    pub fn is_met(&self, condition: &str) -> Option<bool> {
        let declared = self.at(&format!("/Conditions/{condition}"));
        parameters::is_true(self, declared).ok()
    }

    /// A value with the branches that are taken in place of each `Fn::If`, and without what is `AWS::NoValue` in a list.
    pub fn resolved(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => {
                let items = items.iter().map(|item| self.resolved(item));
                items
                    .filter(|item| referred(item) != Some(NO_VALUE))
                    .collect()
            }
            Value::Object(members) => {
                let parts = members.get("Fn::If").and_then(Value::as_array);
                match parts.and_then(|parts| self.branch(parts)) {
                    Some(branch) => self.resolved(branch),
                    None => {
                        let members = members.iter();
                        let members =
                            members.map(|(name, value)| (name.clone(), self.resolved(value)));
                        Value::Object(members.collect())
                    }
                }
            }
            value => value.clone(),
        }
    }

    /// A number, or the default of the parameter that is referred to.
    pub fn number(&self, value: &Value) -> Option<i64> {
        let value = match value.get("Ref").and_then(Value::as_str) {
            Some(parameter) => self.at(&format!("/Parameters/{parameter}/Default")),
            None => value,
        };
        integer(value)
    }

    /// The least and the greatest number that this can be: by the bounds of the parameter that is referred to, and by its
    /// default. A bound that is not given is as far as numbers go.
    pub fn range(&self, value: &Value) -> Option<(i64, i64)> {
        let number = self.number(value)?;
        let Some(parameter) = value.get("Ref").and_then(Value::as_str) else {
            return Some((number, number));
        };
        let bound = |name| integer(self.at(&format!("/Parameters/{parameter}/{name}")));
        let least = bound("MinValue").unwrap_or(i64::MIN);
        let greatest = bound("MaxValue").unwrap_or(i64::MAX);
        Some((number.min(least), number.max(greatest)))
    }

    /// The least number that this may be on AWS: by the bound of the parameter that is referred to. A value that was chosen
    /// for a local stack may be less, to be worth waiting for.
    pub fn least(&self, value: &Value) -> Option<i64> {
        let least = value.get("Ref").and_then(Value::as_str).map(|parameter| {
            integer(self.at(&format!("/Parameters/{parameter}/MinValue"))).unwrap_or(i64::MIN)
        });
        least.or_else(|| self.number(value))
    }
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The logical id in `!Ref X`, `!GetAtt X.Arn` or `!Sub ${X.Arn}/..`.
pub fn referred(value: &Value) -> Option<&str> {
    if let Some(id) = value.get("Ref").and_then(Value::as_str) {
        return Some(id);
    }
    if let Some(text) = value.get("Fn::Sub").and_then(Value::as_str) {
        let inside = text.split_once("${")?.1.split_once('}')?.0;
        return inside.split('.').next();
    }
    match value.get(GET_ATT)? {
        Value::String(text) => text.split('.').next(),
        Value::Array(parts) => parts.first()?.as_str(),
        _ => None,
    }
}

/// A value in which each attribute is named by a list: as one text only YAML has it.
fn long(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(long).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, member)| {
                let attribute = member.as_str().and_then(|text| text.split_once('.'));
                let member = match attribute {
                    Some((resource, attribute)) if name == GET_ATT => json!([resource, attribute]),
                    _ => long(member),
                };
                (name.clone(), member)
            });
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

fn value(yaml: &Yaml<'_>) -> Result<Value> {
    Ok(match yaml {
        Yaml::Value(scalar) => match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(boolean) => Value::Bool(*boolean),
            Scalar::Integer(integer) => Value::Number((*integer).into()),
            Scalar::FloatingPoint(float) => {
                Number::from_f64(**float).map_or(Value::Null, Value::Number)
            }
            Scalar::String(text) => Value::String(text.to_string()),
        },
        Yaml::Sequence(items) => Value::Array(items.iter().map(value).collect::<Result<_>>()?),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, entry) in entries {
                let key = match value(key)? {
                    Value::String(key) => key,
                    other => other.to_string(),
                };
                map.insert(key, value(entry)?);
            }
            Value::Object(map)
        }
        Yaml::Tagged(tag, inner) => {
            let name = match tag.suffix.as_str() {
                "Ref" => "Ref".to_owned(),
                "Condition" => "Condition".to_owned(),
                function => format!("Fn::{function}"),
            };
            Value::Object(Map::from_iter([(name, value(inner)?)]))
        }
        Yaml::Representation(text, ..) => Value::String(text.to_string()),
        Yaml::Alias(_) | Yaml::BadValue => {
            bail!("the template uses YAML that CloudFormation does not take")
        }
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_code_of_functions_can_be_in_archives() {
        let template = "Resources:\n  A: {Properties: {CodeUri: functions/a/, Timeout: 5}}\n  B: {Type: Queue}\n";
        let template = Template::parse(template).unwrap().with_archives();
        let a = template.resource("A").unwrap();
        assert_eq!(a.property("/CodeUri"), "functions/a.zip");
        assert_eq!(a.property("/Timeout"), 5);
    }

    #[test]
    fn json_has_the_long_form_of_every_function() {
        let template = "Outputs:\n  A: !GetAtt B.C.D\n  E: !Sub '${B.C}'\n  F: [!Ref G, 2012-10-17, 1, true]\n";
        let template = Template::parse(template).unwrap();
        let expected = json!({ "Outputs": {
            "A": { "Fn::GetAtt": ["B", "C.D"] },
            "E": { "Fn::Sub": "${B.C}" },
            "F": [{ "Ref": "G" }, "2012-10-17", 1, true],
        }});
        let written: Value = serde_json::from_str(&template.to_json()).unwrap();
        assert_eq!(written, expected);
    }

    #[test]
    fn short_forms_are_written_out() {
        let template = Template::parse(
            "A: !Ref B\nC: !GetAtt D.Arn\nE: !Sub '${F.Arn}/*'\nG: !If [H, 1, !Ref AWS::NoValue]\nI: !Sub ${J}\n",
        )
        .unwrap();
        assert_eq!(template.at("/A"), &json!({"Ref": "B"}));
        assert_eq!(referred(template.at("/A")), Some("B"));
        assert_eq!(referred(template.at("/C")), Some("D"));
        assert_eq!(referred(template.at("/E")), Some("F"));
        assert_eq!(referred(template.at("/I")), Some("J"));
        assert_eq!(
            template.at("/G"),
            &json!({"Fn::If": ["H", 1, {"Ref": "AWS::NoValue"}]})
        );
    }

    #[test]
    fn a_parameter_takes_the_place_of_its_default() {
        let template =
            || Template::parse("Parameters:\n  P:\n    Default: 30\nA: !Ref P\n").unwrap();
        let with = |parameter: &str| template().with_parameters(&[parameter.to_owned()]);
        let changed = with("P=7").unwrap();
        assert_eq!(changed.number(changed.at("/A")), Some(7));
        for wrong in ["Q=7", "P"] {
            assert!(with(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_may_be_a_parameters_default() {
        let template =
            Template::parse("Parameters:\n  P:\n    Default: 30\nA: !Ref P\nB: '7'\nC: x\n")
                .unwrap();
        assert_eq!(template.number(template.at("/A")), Some(30));
        assert_eq!(template.number(template.at("/B")), Some(7));
        assert_eq!(template.number(template.at("/C")), None);
    }

    #[test]
    fn a_functions_variables_are_what_is_known_of_them() {
        let text = include_str!("../../../../template.yaml");
        let template = Template::parse(text).unwrap();
        let inbound = template.variables("inbound");
        assert_eq!(inbound["LOG_LEVEL"], "info");
        assert_eq!(inbound["INLINE_LIMIT_BYTES"], "250000");
        assert_eq!(inbound["SIGNING_SECRET_PREFIX"], "x/signing/");
        assert_eq!(inbound["RECEIPTS_TABLE"], "x");
        let routes = &template.variables("consumer")["ROUTES"];
        let routes: Value = serde_json::from_str(routes).unwrap();
        assert_eq!(routes[0]["queue"], "x");
    }

    const DOMAIN: &str = "DomainName=hooks.example.com";
    const CERTIFICATE: &str = "CertificateArn=arn:aws:acm:eu-west-1:111122223333:certificate/1a2b";

    #[rstest]
    #[case::by_default(&[], "https://x.execute-api.x.x/hooks")]
    #[case::at_a_domain(&[DOMAIN, CERTIFICATE], "https://hooks.example.com/hooks")]
    #[case::at_a_function_url(&["WebhookDoor=function-url"], "https://x.lambda-url.x.on.aws/hooks")]
    #[case::not_at_the_domain(&["WebhookDoor=function-url", DOMAIN, CERTIFICATE], "https://x.lambda-url.x.on.aws/hooks")]
    #[case::on_the_way_back(&["WebhookDoor=gateway-and-function-url"], "https://x.execute-api.x.x/hooks")]
    #[case::back_at_the_domain(&["WebhookDoor=gateway-and-function-url", DOMAIN, CERTIFICATE], "https://hooks.example.com/hooks")]
    #[case::on_an_emulator(&["WebhookDoor=function-url", "GatewayBaseUrl=http://127.0.0.1:1/a"], "http://127.0.0.1:1/a/x/hooks")]
    // requirement: parameters-keep-promises
    fn webhooks_are_registered_where_the_parameters_say(
        #[case] parameters: &[&str],
        #[case] expected: &str,
    ) {
        let text = include_str!("../../../../template.yaml");
        let parameters: Vec<String> = parameters.iter().map(|&set| set.to_owned()).collect();
        let template = Template::parse(text).unwrap().with_parameters(&parameters);
        let template = template.unwrap();
        assert_eq!(template.variables("subscriptions")["HOOKS_URL"], expected);
        assert_eq!(
            template.text(template.at("/Outputs/HooksUrl/Value")),
            expected
        );
        // The URL is there for as long as anything may come by it, and the gateway's routes always.
        let is_there = template.is_met("HasFunctionUrl");
        let is_asked_for = parameters.iter().any(|set| set.starts_with("WebhookDoor="));
        assert_eq!(is_there, Some(is_asked_for));
        for route in template.of_kind("AWS::ApiGatewayV2::Route") {
            assert!(route.attribute("Condition").is_null(), "{}", route.id);
        }
    }
}
