//! Whatever values a deployment gives the parameters, the template's rules are kept: each number has bounds, each
//! parameter an effect, and the rules hold in the corners of what the bounds allow.
//!
//! Apart from [`super::rules`], because a local stack is deployed with values outside the bounds, to be worth waiting
//! for, and its rules have to hold all the same.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::rules::{self, Complaints, Rule};
use super::{Finding, Template, integer};

/// Every rule by name.
const RULES: [(&str, Rule); 4] = [
    ("ranges", ranges),
    ("used", used),
    ("presented", presented),
    ("corners", corners),
];

/// How many combinations of values are tried. Each parameter has one of three values in each, so any three of them meet
/// with any values of theirs, but for one case in eighty thousand.
const COMBINATIONS: usize = 300;

/// What is wrong with a template's parameters.
pub fn check(template: &Template) -> Vec<Finding> {
    rules::findings(&RULES, template)
}

/// How many rules there are.
pub fn count() -> usize {
    RULES.len()
}

/// A parameter's least and greatest value, and the one between them that it has where none is given.
#[derive(Clone, Debug)]
struct Values<'a> {
    name: &'a str,
    values: [i64; 3],
}

fn parameters(template: &Template) -> impl Iterator<Item = (&str, &Value)> {
    let parameters = template.at("/Parameters").as_object();
    parameters
        .into_iter()
        .flatten()
        .map(|(name, declared)| (name.as_str(), declared))
}

/// The parameters that are numbers, with what keeps one from having known values.
fn numbers(template: &Template) -> Vec<(&str, Result<Values<'_>>)> {
    let of_number = |declared: &Value| -> Result<[i64; 3]> {
        let member = |member: &str| {
            let number = declared.get(member).and_then(integer);
            number.with_context(|| format!("it has no {member} that is a number"))
        };
        let default = member("Default")?;
        let (least, greatest) = match declared.get("AllowedValues").and_then(Value::as_array) {
            None => (member("MinValue")?, member("MaxValue")?),
            Some(values) => {
                let values: Vec<i64> = values.iter().filter_map(integer).collect();
                ensure!(
                    values.contains(&default),
                    "its Default {default} is not allowed"
                );
                let least = values.iter().min().copied().unwrap_or(default);
                (least, values.iter().max().copied().unwrap_or(default))
            }
        };
        ensure!(
            (least..=greatest).contains(&default),
            "its Default {default} is outside {least} to {greatest}"
        );
        Ok([least, default, greatest])
    };
    parameters(template)
        .filter(|(_, declared)| declared.get("Type").and_then(Value::as_str) == Some("Number"))
        .map(|(name, declared)| {
            let values = of_number(declared).map(|values| Values { name, values });
            (name, values)
        })
        .collect()
}

/// Without bounds a number can be what no rule allows, and nothing refuses it before it is deployed.
fn ranges(template: &Template, complaints: &mut Complaints) {
    for (name, values) in numbers(template) {
        if let Err(error) = values {
            complaints.add(name, error.to_string());
        }
    }
}

/// The names that a value refers to: parameters and resources by `Ref` and `Sub`, conditions by `If` and `Condition`.
#[derive(Debug, Default)]
struct Names<'a> {
    referred: BTreeSet<&'a str>,
    conditions: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(value: &'a Value) -> Self {
        let mut names = Self::default();
        names.read(value);
        names
    }

    fn read(&mut self, value: &'a Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.read(item)),
            Value::Object(members) => {
                for (name, value) in members {
                    match (name.as_str(), value) {
                        ("Ref", Value::String(name)) => {
                            self.referred.insert(name);
                        }
                        ("Fn::Sub", Value::String(text)) => self.read_text(text),
                        ("Fn::Sub", Value::Array(parts)) => {
                            if let Some(Value::String(text)) = parts.first() {
                                self.read_text(text);
                            }
                            self.read(value);
                        }
                        ("Condition", Value::String(name)) => {
                            self.conditions.insert(name);
                        }
                        ("Fn::If", Value::Array(parts)) => {
                            if let Some(Value::String(name)) = parts.first() {
                                self.conditions.insert(name);
                            }
                            self.read(value);
                        }
                        _ => self.read(value),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn read_text(&mut self, text: &'a str) {
        let names = text.split("${").skip(1).filter_map(|part| {
            let inside = part.split_once('}')?.0;
            inside.split('.').next()
        });
        self.referred.extend(names);
    }
}

/// A parameter without an effect makes whoever sets it believe in one.
fn used(template: &Template, complaints: &mut Complaints) {
    let deployed = ["/Resources", "/Globals", "/Outputs"].map(|part| Names::of(template.at(part)));
    let mut referred: BTreeSet<&str> = BTreeSet::new();
    let mut conditions: BTreeSet<&str> = BTreeSet::new();
    for names in &deployed {
        referred.extend(&names.referred);
        conditions.extend(&names.conditions);
    }
    // A condition may be made of others.
    let declared = template.at("/Conditions").as_object();
    let all: BTreeMap<&str, Names<'_>> = declared
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), Names::of(value)))
        .collect();
    loop {
        let inside: BTreeSet<&str> = conditions
            .iter()
            .filter_map(|name| all.get(name))
            .flat_map(|names| names.conditions.iter().copied())
            .collect();
        if inside.is_subset(&conditions) {
            break;
        }
        conditions.extend(inside);
    }
    for names in conditions.iter().filter_map(|name| all.get(name)) {
        referred.extend(&names.referred);
    }
    for (name, _) in parameters(template) {
        complaints.require(referred.contains(name), name, "nothing uses it");
    }
    for name in all.keys() {
        complaints.require(conditions.contains(name), name, "no resource has it");
    }
}

/// The console shows a parameter that no group has below all others, without a word on what it belongs to.
fn presented(template: &Template, complaints: &mut Complaints) {
    let groups = template.at("/Metadata/AWS::CloudFormation::Interface/ParameterGroups");
    let shown: Vec<&str> = groups
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|group| group.get("Parameters")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let declared: BTreeSet<&str> = parameters(template).map(|(name, _)| name).collect();
    for name in &declared {
        let groups = shown.iter().filter(|shown| *shown == name).count();
        let text = format!("{groups} groups of the interface have it instead of one");
        complaints.require(groups == 1, name, text);
    }
    for name in shown {
        let text = "the interface has it, and there is no such parameter";
        complaints.require(declared.contains(name), name, text);
    }
}

/// What `Rules` refuses is not deployed. <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html>
fn is_deployed(template: &Template) -> Result<bool> {
    let rules = template.at("/Rules").as_object();
    for rule in rules.into_iter().flatten().map(|(_, rule)| rule) {
        let applies = match rule.get("RuleCondition") {
            None => true,
            Some(condition) => is_true(template, condition)?,
        };
        let assertions = rule.get("Assertions").and_then(Value::as_array);
        for assertion in assertions.context("a rule has no Assertions")? {
            let assert = assertion
                .get("Assert")
                .context("an assertion has no Assert")?;
            if applies && !is_true(template, assert)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// What a function of a condition comes to with the parameters' values.
pub(super) fn is_true(template: &Template, condition: &Value) -> Result<bool> {
    let function = condition
        .as_object()
        .and_then(|functions| functions.iter().next());
    let Some((name, argument)) = function else {
        bail!("{condition} is no condition");
    };
    if let ("Condition", Value::String(name)) = (name.as_str(), argument) {
        return is_true(template, template.at(&format!("/Conditions/{name}")));
    }
    let arguments = argument
        .as_array()
        .with_context(|| format!("{name} has no list"))?;
    let all = || {
        let all = arguments.iter().map(|one| is_true(template, one));
        all.collect::<Result<Vec<bool>>>()
    };
    match (name.as_str(), arguments.as_slice()) {
        ("Fn::Equals", [left, right]) => Ok(template.text(left) == template.text(right)),
        ("Fn::Contains", [Value::Array(items), item]) => {
            let item = template.text(item);
            Ok(items.iter().any(|other| template.text(other) == item))
        }
        ("Fn::Not", [condition]) => Ok(!is_true(template, condition)?),
        ("Fn::And", _) => Ok(!all()?.contains(&false)),
        ("Fn::Or", _) => Ok(all()?.contains(&true)),
        _ => bail!("{name} is not understood here; add it to is_true()"),
    }
}

/// A combination of values, each by its place among the parameter's [`Values`].
type Combination = Vec<usize>;

/// The combinations that are tried: every parameter alone at its ends, all of them together, then a fixed sequence that
/// looks random.
fn combinations(parameters: usize) -> Vec<Combination> {
    const LEAST: usize = 0;
    const DEFAULT: usize = 1;
    const GREATEST: usize = 2;
    let mut all = vec![
        vec![DEFAULT; parameters],
        vec![LEAST; parameters],
        vec![GREATEST; parameters],
    ];
    for which in 0..parameters {
        for end in [LEAST, GREATEST] {
            let at = |place| if place == which { end } else { DEFAULT };
            all.push((0..parameters).map(at).collect());
        }
    }
    // xorshift: https://www.jstatsoft.org/article/view/v008i14
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from((state >> 33) % 3).unwrap_or(DEFAULT)
    };
    all.extend((0..COMBINATIONS).map(|_| (0..parameters).map(|_| next()).collect()));
    all
}

/// What a template's rules say once its parameters have these values. Nothing where its `Rules` refuse them.
fn with_values(
    template: &mut Template,
    parameters: &[Values<'_>],
    combination: &Combination,
) -> Result<Vec<Finding>> {
    for (parameter, place) in parameters.iter().zip(combination) {
        if let Some(value) = parameter.values.get(*place) {
            template.set_parameter(parameter.name, value.to_string())?;
        }
    }
    if !is_deployed(template)? {
        return Ok(Vec::new());
    }
    Ok(rules::as_given(template))
}

/// Values that are each within their bounds, and together break a rule.
fn corners(template: &Template, complaints: &mut Complaints) {
    let known: Vec<Values<'_>> = numbers(template)
        .into_iter()
        .filter_map(|(_, values)| values.ok())
        .collect();
    // What is wrong with the defaults is a finding of the rule itself.
    let already = rules::check(template);
    let mut found: BTreeSet<(&str, String)> = BTreeSet::new();
    // Every combination sets every one of the parameters anew.
    let mut tried = template.clone();
    for combination in combinations(known.len()) {
        let findings = match with_values(&mut tried, &known, &combination) {
            Ok(findings) => findings,
            Err(error) => return complaints.add("Rules", error.to_string()),
        };
        for finding in findings {
            let is_known = already
                .iter()
                .any(|other| other.rule == finding.rule && other.place == finding.place);
            if !is_known && found.insert((finding.rule, finding.place.clone())) {
                let text = explained(&mut tried, &known, combination.clone(), &finding);
                complaints.add(&finding.place, text);
            }
        }
    }
}

/// A finding with the values that it takes: those that do not matter go back to their defaults.
fn explained(
    template: &mut Template,
    parameters: &[Values<'_>],
    mut combination: Combination,
    finding: &Finding,
) -> String {
    let mut text = finding.text.clone();
    for which in 0..parameters.len() {
        let mut simpler = combination.clone();
        if let Some(place) = simpler.get_mut(which) {
            *place = 1;
        }
        let findings = with_values(template, parameters, &simpler).unwrap_or_default();
        let same = findings
            .into_iter()
            .find(|other| other.rule == finding.rule && other.place == finding.place);
        if let Some(same) = same {
            combination = simpler;
            text = same.text;
        }
    }
    let values: Vec<String> = parameters
        .iter()
        .zip(&combination)
        .filter(|(_, place)| **place != 1)
        .filter_map(|(parameter, place)| {
            let value = parameter.values.get(*place)?;
            Some(format!("{}={value}", parameter.name))
        })
        .collect();
    format!(
        "with {} rule {} says: {text}",
        values.join(", "),
        finding.rule
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TEXT: &str = include_str!("../../../../template.yaml");

    fn ours() -> Template {
        Template::parse(TEXT).unwrap()
    }

    #[test]
    // requirement: parameters-keep-promises
    fn the_projects_parameters_keep_every_rule() {
        assert_eq!(check(&ours()), []);
    }

    /// What a rule says of a template.
    fn said(rule: Rule, template: &Template) -> Vec<(String, String)> {
        let mut complaints = Complaints::default();
        rule(template, &mut complaints);
        complaints.0
    }

    /// A template with the parameters that a rule is tried with, and resources that use them.
    fn small(parameters: &str, resources: &str) -> Template {
        let text = format!("Parameters:\n{parameters}\nResources:\n{resources}\n");
        Template::parse(&text).unwrap()
    }

    #[rstest]
    #[case::bounded("{ Type: Number, Default: 3, MinValue: 1, MaxValue: 9 }", None)]
    #[case::listed("{ Type: Number, Default: 3, AllowedValues: [1, 3] }", None)]
    #[case::a_text("{ Type: String, Default: x }", None)]
    #[case::as_text("{ Type: Number, Default: '3', MinValue: '1', MaxValue: '9' }", None)]
    #[case::without_least("{ Type: Number, Default: 3, MaxValue: 9 }", Some("no MinValue"))]
    #[case::without_greatest("{ Type: Number, Default: 3, MinValue: 1 }", Some("no MaxValue"))]
    #[case::without_default("{ Type: Number, MinValue: 1, MaxValue: 9 }", Some("no Default"))]
    #[case::below(
        "{ Type: Number, Default: 0, MinValue: 1, MaxValue: 9 }",
        Some("outside 1 to 9")
    )]
    #[case::above(
        "{ Type: Number, Default: 10, MinValue: 1, MaxValue: 9 }",
        Some("outside 1 to 9")
    )]
    #[case::not_listed(
        "{ Type: Number, Default: 2, AllowedValues: [1, 3] }",
        Some("not allowed")
    )]
    #[case::no_number(
        "{ Type: Number, Default: soon, MinValue: 1, MaxValue: 9 }",
        Some("no Default")
    )]
    fn a_number_has_bounds_and_is_within_them(#[case] declared: &str, #[case] wrong: Option<&str>) {
        let template = small(&format!("  P: {declared}"), "  R: { Type: x }");
        let complaints = said(ranges, &template);
        match wrong {
            None => assert_eq!(complaints, []),
            Some(words) => {
                assert_eq!(complaints.len(), 1);
                assert!(complaints[0].1.contains(words), "{complaints:?}");
            }
        }
    }

    #[rstest]
    #[case::by_name("{ Type: x, Properties: { A: !Ref P } }", true)]
    #[case::in_a_text("{ Type: x, Properties: { A: !Sub 'a ${P} b' } }", true)]
    #[case::in_a_text_with_names("{ Type: x, Properties: { A: !Sub ['a ${P}', { B: c }] } }", true)]
    #[case::by_a_condition("{ Type: x, Condition: Both }", true)]
    #[case::by_a_choice("{ Type: x, Properties: { A: !If [Both, 1, 2] } }", true)]
    #[case::in_a_list("{ Type: x, Properties: { A: [{ B: !Ref P }] } }", true)]
    #[case::nowhere("{ Type: x, Properties: { A: P } }", false)]
    #[case::another("{ Type: x, Properties: { A: !Sub '${PP}' } }", false)]
    fn a_parameter_that_nothing_uses_is_found(#[case] resource: &str, #[case] is_used: bool) {
        let text = format!(
            "Parameters:\n  P: {{ Type: String }}\nConditions:\n  Both: !And [{{ Condition: One }}, !Equals [a, b]]\n  \
             One: !Equals [!Ref P, '']\nResources:\n  R: {resource}\n"
        );
        let complaints = said(used, &Template::parse(&text).unwrap());
        let found = complaints.iter().any(|(place, _)| place == "P");
        assert_eq!(found, !is_used, "{complaints:?}");
    }

    #[rstest]
    #[case::shown("[{ Parameters: [P] }]", 0)]
    #[case::hidden("[]", 1)]
    #[case::twice("[{ Parameters: [P] }, { Parameters: [P] }]", 1)]
    #[case::another("[{ Parameters: [P, Q] }]", 1)]
    fn a_parameter_is_shown_in_one_group(#[case] groups: &str, #[case] wrong: usize) {
        let text = format!(
            "Metadata:\n  AWS::CloudFormation::Interface:\n    ParameterGroups: {groups}\nParameters:\n  P: {{ Type: String }}\n"
        );
        let complaints = said(presented, &Template::parse(&text).unwrap());
        assert_eq!(complaints.len(), wrong);
    }

    #[rstest]
    #[case::equal("!Equals [!Ref P, '0']", true)]
    #[case::unequal("!Equals [!Ref P, '1']", false)]
    #[case::one_of("!Contains [['7', '0'], !Ref P]", true)]
    #[case::none_of("!Contains [['7'], !Ref P]", false)]
    #[case::not("!Not [!Equals [!Ref P, '1']]", true)]
    #[case::both("!And [!Equals [!Ref P, '0'], !Equals [a, b]]", false)]
    #[case::either("!Or [!Equals [!Ref P, '0'], !Equals [a, b]]", true)]
    #[case::by_name("{ Condition: C }", true)]
    fn a_condition_is_judged(#[case] condition: &str, #[case] expected: bool) {
        let text = format!(
            "Parameters:\n  P: {{ Type: Number, Default: 0 }}\nConditions:\n  C: !Equals [a, a]\nX: {condition}\n"
        );
        let template = Template::parse(&text).unwrap();
        assert_eq!(is_true(&template, template.at("/X")).unwrap(), expected);
    }

    #[rstest]
    #[case("!RefAll AWS::EC2::VPC::Id")]
    #[case("!Equals [a]")]
    #[case("{ Condition: Missing }")]
    #[case("x")]
    fn a_condition_that_cannot_be_judged_is_said(#[case] condition: &str) {
        let template = Template::parse(&format!("X: {condition}\n")).unwrap();
        assert!(is_true(&template, template.at("/X")).is_err());
    }

    #[test]
    fn every_two_values_of_every_two_parameters_meet() {
        const PARAMETERS: usize = 40;
        let all = combinations(PARAMETERS);
        for first in 0..PARAMETERS {
            for second in 0..first {
                let pairs: BTreeSet<_> = all.iter().map(|one| (one[first], one[second])).collect();
                assert_eq!(pairs.len(), 9, "{first} and {second}");
            }
        }
    }

    /// Each bound is fine by itself.
    #[rstest]
    #[case::a_run_that_outlasts_the_visibility("ConsumerTimeout", "60")]
    #[case::a_window_that_does("ConsumerBatchingWindow", "120")]
    #[case::a_lane_that_outlasts_its_dead_letters("LaneRetentionSeconds", "1209600")]
    // requirement: parameters-keep-promises
    fn values_that_break_a_rule_together_are_found(#[case] parameter: &str, #[case] most: &str) {
        let Template(mut whole) = ours();
        whole["Parameters"][parameter]["MaxValue"] = Value::String(most.to_owned());
        let complaints = said(corners, &Template(whole));
        let named = format!("{parameter}={most}");
        assert!(
            complaints.iter().any(|(_, text)| text.contains(&named)),
            "{complaints:?}"
        );
    }

    /// A batch of more than ten without a window is refused by the template's own `Rules`.
    #[test]
    fn values_that_the_template_refuses_are_no_corner() {
        let Template(mut whole) = ours();
        assert_eq!(said(corners, &Template(whole.clone())), []);
        whole.as_object_mut().unwrap().remove("Rules");
        let complaints = said(corners, &Template(whole));
        assert!(
            complaints
                .iter()
                .any(|(_, text)| text.contains("ConsumerBatchingWindow=0")),
            "{complaints:?}"
        );
    }
}
