//! The template's policies for people, each with the permissions enforced: what a command needs is in the policy that its
//! refusal names, and nobody may do more than that.
//!
//! Every command runs as users that have these policies and nothing else, on the stack of all tests.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at what it does not expect"
)]

use calls::Policy;
use e2e::scratch::unique;
use e2e::team::TeamEvent;
use e2e::{Stack, World, until};
use local::aws::Aws;
use operate::{Exit, Target};
use orderhook::given::{Ended, give};
use serde_json::{Value, json};
use testkit::delivery::delivery;

/// The version of IAM's API.
const IAM: &str = "2010-05-08";

/// The users: each policy with those that it goes with.
const USERS: [&[Policy]; 5] = [
    &[],
    &[Policy::Read],
    &[Policy::Read, Policy::Payload],
    &[Policy::Read, Policy::Payload, Policy::Act],
    &[Policy::Read, Policy::Payload, Policy::Admin],
];

/// A user that has some of the stack's policies.
struct User {
    policies: &'static [Policy],
    name: String,
    key: String,
    target: Target,
    aws: Aws,
}

fn element_of<'x>(xml: &'x str, name: &str) -> &'x str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0
}

impl User {
    async fn with(stack: &Stack, policies: &'static [Policy]) -> Self {
        let iam = stack.outputs.aws().unwrap();
        let name = unique("operator-");
        let user = [("UserName", name.as_str())];
        iam.query("iam", "CreateUser", IAM, &user).await.unwrap();
        for policy in policies {
            let input = [
                ("UserName", name.as_str()),
                ("PolicyArn", stack.output(&format!("{policy}Arn"))),
            ];
            let attached = iam.query("iam", "AttachUserPolicy", IAM, &input).await;
            attached.unwrap();
        }
        let made = iam.query_text("iam", "CreateAccessKey", IAM, &user).await;
        let made = made.unwrap();
        let key = element_of(&made, "AccessKeyId").to_owned();
        let secret = element_of(&made, "SecretAccessKey");
        let outputs = &stack.outputs;
        Self {
            policies,
            target: stack.target_as(&key, secret),
            aws: Aws::new(&outputs.endpoint_url, &outputs.region, &key, secret).unwrap(),
            name,
            key,
        }
    }

    async fn remove(&self, stack: &Stack) {
        let iam = stack.outputs.aws().unwrap();
        let name = self.name.as_str();
        for policy in self.policies {
            let arn = stack.output(&format!("{policy}Arn"));
            let input = [("UserName", name), ("PolicyArn", arn)];
            let detached = iam.query("iam", "DetachUserPolicy", IAM, &input).await;
            detached.unwrap();
        }
        let key = [("UserName", name), ("AccessKeyId", self.key.as_str())];
        let user = [("UserName", name)];
        for (action, input) in [("DeleteAccessKey", &key[..]), ("DeleteUser", &user[..])] {
            iam.query("iam", action, IAM, input).await.unwrap();
        }
    }

    /// The policy that a refusal has to name, of what a command needs: the first that the user lacks.
    fn lacks(&self, needs: &[Policy]) -> Option<Policy> {
        let mut needs = needs.iter().copied();
        needs.find(|needed| !self.policies.contains(needed))
    }
}

async fn every_user(stack: &Stack) -> Vec<User> {
    let mut users = Vec::new();
    for policies in USERS {
        users.push(User::with(stack, policies).await);
    }
    users
}

/// Delivers an order, and returns the event as the team got it.
async fn delivered(world: &World) -> TeamEvent {
    let body = delivery().event("order.created", r#"{"id":"or_1"}"#);
    world.deliver(&body.body()).await;
    world.team.wait_for(1).await.remove(0)
}

/// Whether something was not allowed, be it one of the things that a command looks at.
fn is_refused(ended: &Ended) -> bool {
    let words = ["not allowed", "\"denied\""];
    ended.exit == Exit::Denied || words.iter().any(|words| ended.all.contains(words))
}

/// Puts a message into the undelivered queue, and answers its id.
async fn put_undelivered(stack: &Stack, body: &str) -> String {
    let queue = stack.output("UndeliveredQueueUrl");
    stack.put_message(queue, body).await
}

#[tokio::test]
// requirement: secret-people
async fn each_command_works_with_its_policy_and_names_it_without() {
    use Policy::{Act, Admin, Payload, Read};
    let world = World::connected().await;
    let stack = &world.stack;
    let event = delivered(&world).await;
    let account = world.account.as_str();
    let traced = format!("trace order/or_1 --account {account} --since 30m");
    until("the log has the event", async || {
        let words: Vec<&str> = traced.split(' ').collect();
        let ended = give(&stack.target(), &words).await;
        match ended.out.contains(&event.id) {
            true => Ok(()),
            false => Err(ended.all),
        }
    })
    .await;
    let unreadable = put_undelivered(stack, &format!("no event of {account}")).await;
    let envelope = &event.message.body;
    let again = format!(r#"{{"team":"example","queue":"q","reason":"x","envelope":{envelope}}}"#);
    let again = put_undelivered(stack, &again).await;
    let file = |name: &str| {
        let path = stack.directory.join(format!("{account}.{name}"));
        path.to_str().unwrap().to_owned()
    };
    let (url, kept) = (file("url"), file("dropped"));
    std::fs::write(&url, world.url()).unwrap();
    let delivery = &event.delivery;
    let table: [(&[Policy], String); 26] = [
        (&[Read], "doctor --json".to_owned()),
        (&[Read], "status".to_owned()),
        (&[Read], "teams list".to_owned()),
        (&[Read], "teams check".to_owned()),
        (&[Read], "accounts list".to_owned()),
        (&[Read], format!("accounts show {account}")),
        (
            &[Read],
            format!("deliveries list --account {account} --since 30m"),
        ),
        (&[Read], "logs consumer --since 5m".to_owned()),
        (&[Read, Payload], format!("deliveries show {delivery}")),
        (
            &[Read, Payload],
            format!("deliveries raw {delivery} --account {account}"),
        ),
        (&[Read, Payload], traced),
        (
            &[Read, Payload],
            format!("trace order/or_1 --account {account} --since 3d"),
        ),
        (
            &[Read, Payload],
            format!("records get order or_1 --account {account}"),
        ),
        (
            &[Read, Payload],
            format!("records list order --account {account}"),
        ),
        (
            &[Read, Payload],
            format!("records history order/or_1 --account {account} --since 30m"),
        ),
        (&[Read, Act], format!("stuck list --account {account}")),
        (&[Read, Act], format!("stuck show {again}")),
        (
            &[Read, Act],
            format!("stuck drop {unreadable} --yes --keep {kept}"),
        ),
        (&[Read, Act], format!("stuck release {again} --yes")),
        (
            &[Read, Payload],
            format!("replay --account {account} --delivery {delivery} --dry-run"),
        ),
        (
            &[Read, Payload, Act],
            format!("replay --account {account} --delivery {delivery} --yes"),
        ),
        (&[Read, Admin], format!("accounts check {account}")),
        (
            &[Read, Admin],
            format!("accounts events {account} order.created order.updated"),
        ),
        (
            &[Read, Admin, Payload],
            format!("send order.created --account {account} --yes --url-file {url}"),
        ),
        (
            &[Read, Admin],
            format!("accounts erase {account} --subject order/or_1 --yes"),
        ),
        (
            &[Read, Admin],
            format!("accounts disconnect {account} --yes"),
        ),
    ];
    let users = every_user(stack).await;
    let mut wrong = Vec::new();
    for (needs, line) in &table {
        let words: Vec<&str> = line.split(' ').collect();
        for user in &users {
            let ended = give(&user.target, &words).await;
            let policies = user.policies;
            match user.lacks(needs) {
                None if is_refused(&ended) => {
                    wrong.push(format!("{line} with {policies:?}: {}", ended.all));
                }
                Some(lacking)
                    if ended.exit != Exit::Denied || !ended.all.contains(lacking.as_str()) =>
                {
                    wrong.push(format!(
                        "{line} with {policies:?} lacks {lacking}: {:?} {}",
                        ended.exit, ended.all
                    ));
                }
                _ => {}
            }
        }
    }
    // What was replayed and sent came through the lanes.
    world.team.wait_for_messages(3).await;
    for user in &users {
        user.remove(stack).await;
    }
    std::fs::remove_file(&url).unwrap();
    // Not there where another test had the message in its hands just then.
    let _ = std::fs::remove_file(&kept);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
// requirement: secret-people
async fn nobody_may_do_more_than_the_policies_say() {
    let world = World::connected().await;
    let stack = &world.stack;
    let event = delivered(&world).await;
    let account = world.account.as_str();
    let event: Value = serde_json::from_str(&event.message.body).unwrap();
    let day = event["time"].as_str().unwrap().get(..10).unwrap();
    let receipts = stack.output("ReceiptsTable");
    let query = |more: Value| {
        let mut input = json!({
            "TableName": receipts, "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": { ":pk": { "S": format!("{account}#{day}") } },
        });
        for (name, value) in more.as_object().unwrap() {
            input[name] = value.clone();
        }
        ("dynamodb", "DynamoDB_20120810.Query", input)
    };
    let listed = json!({ "Select": "SPECIFIC_ATTRIBUTES", "ProjectionExpression": "sk, attempts" });
    let bodies = json!({ "Select": "SPECIFIC_ATTRIBUTES", "ProjectionExpression": "sk, body" });
    let receive = |queue| {
        let input = json!({ "QueueUrl": stack.output(queue), "VisibilityTimeout": 0 });
        ("sqs", "AmazonSQS.ReceiveMessage", input)
    };
    let send = |queue| {
        let input = json!({ "QueueUrl": stack.output(queue), "MessageBody": "x" });
        ("sqs", "AmazonSQS.SendMessage", input)
    };
    let secret = |kind: &str| {
        let input = json!({ "SecretId": world.secret_name(kind) });
        ("secretsmanager", "secretsmanager.GetSecretValue", input)
    };
    let key = json!({ "pk": { "S": format!("{account}#order") }, "sk": { "S": "or_1" } });
    let record = json!({ "TableName": stack.output("RecordsTable"), "Key": key });
    let of = |operation: &'static str, input: Value| ("dynamodb", operation, input);
    let scan = |table| json!({ "TableName": stack.output(table) });
    // Which of the users, whether it may, and what.
    let table = [
        (1, true, query(listed)),
        (1, false, query(json!({}))),
        (1, false, query(bodies)),
        (
            1,
            false,
            query(json!({ "ProjectionExpression": "sk, attempts", "Select": "ALL_ATTRIBUTES" })),
        ),
        (1, false, of("DynamoDB_20120810.GetItem", record.clone())),
        (2, true, of("DynamoDB_20120810.GetItem", record.clone())),
        (
            2,
            false,
            of("DynamoDB_20120810.Scan", scan("AccountsTable")),
        ),
        (2, false, of("DynamoDB_20120810.DeleteItem", record.clone())),
        (2, false, receive("QuarantineQueueUrl")),
        (3, true, receive("QuarantineQueueUrl")),
        (3, false, receive("ExampleTeamQueueUrl")),
        (3, false, receive("OrdersQueueUrl")),
        (3, false, send("ExampleTeamQueueUrl")),
        (3, false, send("CheckQueueUrl")),
        (3, false, secret("signing")),
        (3, false, of("DynamoDB_20120810.DeleteItem", record)),
        (4, true, secret("signing")),
        (4, false, secret("oauth")),
        (4, false, receive("QuarantineQueueUrl")),
    ];
    let users = every_user(stack).await;
    let mut wrong = Vec::new();
    for (user, may, (service, operation, input)) in &table {
        let user = &users[*user];
        let answer = user.aws.json(service, operation, input).await;
        let refused = match &answer {
            Ok(_) => false,
            Err(error) => {
                let words = ["AccessDenied", "refused with 403"];
                words.iter().any(|words| error.to_string().contains(words))
            }
        };
        if refused == *may || (*may && answer.is_err()) {
            let policies = user.policies;
            wrong.push(format!("{operation} {input} with {policies:?}: {answer:?}"));
        }
    }
    for user in &users {
        user.remove(stack).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
