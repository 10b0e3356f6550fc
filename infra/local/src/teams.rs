//! One team more on the local stack: it gets the unified events of the demonstration's accounts.
//!
//! It is added to the copy of the template that is deployed, as the template says to add a team. The template itself has one
//! example team, and a second one would cost every event another call.

/// The output that names the team's queue.
pub const OUTPUT: &str = "UnifiedTeamQueueUrl";

/// Where the example team stands in the template, and what is put behind that.
const PLACES: [(&str, &str); 5] = [
    (
        r#"{"team":"example","queue":"${ExampleTeamQueue}","types":["*"],"accounts":["*"]}"#,
        r#",
        {"team":"unified","queue":"${UnifiedTeamQueue}","types":["*"],"accounts":["demo-*"],"format":"unified"}"#,
    ),
    (
        "  ExampleTeamQueue:\n    Type: AWS::SQS::Queue\n    Properties: { MessageRetentionPeriod: 1209600, SqsManagedSseEnabled: true }\n",
        "\n  UnifiedTeamQueue:\n    Type: AWS::SQS::Queue\n    Properties: { MessageRetentionPeriod: 1209600, SqsManagedSseEnabled: true }\n",
    ),
    (
        "                  - !GetAtt ExampleTeamQueue.Arn\n",
        "                  - !GetAtt UnifiedTeamQueue.Arn\n",
    ),
    ("!Ref ExampleTeamQueue,", " !Ref UnifiedTeamQueue,"),
    (
        "  ExampleTeamQueueUrl: { Value: !Ref ExampleTeamQueue }\n",
        "  UnifiedTeamQueueUrl: { Value: !Ref UnifiedTeamQueue }\n",
    ),
];

/// The template with the team, or none where the example team is not in all places. A role of each function that sends to
/// teams names its queue.
#[must_use]
pub fn added_to(template: &str) -> Option<String> {
    let mut text = template.to_owned();
    for (place, more) in PLACES {
        if !text.contains(place) {
            return None;
        }
        text = text.replace(place, &[place, more].concat());
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Template, rules};
    use domain::route::{Format, Routes};

    const TEMPLATE: &str = include_str!("../../../template.yaml");

    #[test]
    fn the_project_s_template_takes_the_team_and_keeps_its_rules() {
        let template = Template::parse(&added_to(TEMPLATE).unwrap()).unwrap();
        assert_eq!(rules::check(&template), []);
        let text = template.text(template.resource("Routes").unwrap().property("/Value"));
        let routes = Routes::parse(&text).unwrap();
        let formats: Vec<(&str, Format)> = routes
            .all()
            .iter()
            .map(|route| (route.team.as_str(), route.format))
            .collect();
        assert_eq!(
            formats,
            [("example", Format::Native), ("unified", Format::Unified)]
        );
        let unified = &routes.all()[1];
        let order = "order.created".parse().unwrap();
        for (account, takes) in [("demo-1", true), ("demo", false), ("e2e-1", false)] {
            let account = account.parse().unwrap();
            let source = domain::source::Source::Ordermentum;
            assert_eq!(unified.takes(source, &order, &account), takes);
        }
        assert!(template.resource("UnifiedTeamQueue").is_some());
    }

    #[test]
    fn what_the_routes_may_be_admits_the_team() {
        let template = Template::parse(&added_to(TEMPLATE).unwrap()).unwrap();
        let routes = template.resource("Routes").unwrap();
        let pattern = routes.property("/AllowedPattern").as_str().unwrap();
        let text = template.text(routes.property("/Value"));
        assert!(
            regex::Regex::new(pattern).unwrap().is_match(&text),
            "{text}"
        );
    }

    #[test]
    fn every_role_that_may_send_to_the_example_team_may_send_to_this_one() {
        let count = |queue: &str| {
            let text = added_to(TEMPLATE).unwrap();
            text.matches(&format!("- !GetAtt {queue}.Arn\n")).count()
        };
        assert!(count("UnifiedTeamQueue") > 0);
        assert_eq!(count("UnifiedTeamQueue"), count("ExampleTeamQueue"));
    }

    #[test]
    fn a_template_with_other_teams_is_left_alone() {
        for (place, _) in PLACES {
            assert_eq!(added_to(&TEMPLATE.replace(place, "")), None, "{place}");
        }
        assert_eq!(added_to(""), None);
    }
}
