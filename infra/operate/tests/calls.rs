//! Calls against a server that plays AWS: what is tried again, what is counted, and what each failure means.
//! They are here and not in `calls` because the server is the operators' library's.

#![allow(clippy::unwrap_used, reason = "a test stops where it is")]

use calls::{admin, cloudwatch, dynamodb, lambda, logs, s3, sns, sqs, ssm, sts};
use operate::loopback::{Loopback, Reply};
use operate::{Error, Exit, Stack};
use rstest::rstest;
use serde_json::{Value, json};

const IDENTITY: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>
    <Arn>arn:aws:iam::123:user/op</Arn><Account>123</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

fn json_error(code: &str) -> Reply {
    let body = json!({ "__type": format!("com.amazonaws.x#{code}"), "message": "because" });
    Reply::status(400, body.to_string())
}

#[tokio::test]
async fn a_throttled_call_is_made_again_and_every_attempt_counts() {
    let aws = Loopback::start().await;
    let throttled = json_error("ThrottlingException");
    let broken = Reply::status(503, "<html>");
    let parameter = Reply::json(&json!({ "Parameter": { "Value": "[]" } }));
    aws.on_each("ssm GetParameter", "", [throttled, broken, parameter]);
    let calls = aws.calls();
    assert_eq!(ssm::parameter(&calls, "routes").await.unwrap(), "[]");
    assert_eq!(calls.count(), 3);
    assert_eq!(calls.counts().get("ssm:GetParameter"), Some(&3));
    assert!(aws.seen().iter().all(|seen| seen.body.contains("routes")));
}

#[tokio::test]
async fn a_call_that_stays_throttled_is_unreachable() {
    let aws = Loopback::start().await;
    aws.on("ssm GetParameter", json_error("ThrottlingException"));
    let calls = aws.calls();
    let error = ssm::parameter(&calls, "routes").await.unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable);
    assert_eq!(calls.count(), 3);
}

#[rstest]
#[case::permission(json_error("AccessDeniedException"), Exit::Denied, "ssm:GetParameter")]
#[case::expired(json_error("ExpiredTokenException"), Exit::Denied, "credentials")]
#[case::missing(json_error("ParameterNotFound"), Exit::NotFound, "parameter routes")]
#[case::refused(json_error("ValidationException"), Exit::Left, "ValidationException")]
#[case::no_json(Reply::text("<html>"), Exit::Left, "ssm:GetParameter")]
#[case::other_json(Reply::json(&json!({ "Parameter": null })), Exit::Left, "ssm:GetParameter")]
#[case::header(Reply::status(400, "{}").with("x-amzn-errortype", "ParameterNotFound:http://x"), Exit::NotFound, "routes")]
#[tokio::test]
async fn a_failure_says_what_it_is_about(
    #[case] reply: Reply,
    #[case] exit: Exit,
    #[case] named: &str,
) {
    let aws = Loopback::start().await;
    aws.on("ssm GetParameter", reply);
    let calls = aws.calls();
    let error = ssm::parameter(&calls, "routes").await.unwrap_err();
    assert_eq!(error.exit(), exit, "{error}");
    assert!(error.to_string().contains(named), "{error}");
    // Nothing of this is better the second time.
    assert_eq!(calls.count(), 1);
    assert!(!format!("{error:?} {calls:?}").contains("marker"));
}

#[tokio::test]
async fn nobody_answers() {
    let aws = Loopback::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let access = operate::Access::fixed(&address, "eu-west-1", "a", "b");
    let retries = calls::Retries {
        attempts: 2,
        first: std::time::Duration::from_millis(1),
        longest: std::time::Duration::from_millis(1),
    };
    let calls = operate::Calls::with_retries(access, retries).unwrap();
    let error = sts::identity(&calls).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable, "{error}");
    assert_eq!(calls.count(), 2);
    assert!(aws.seen().is_empty());
}

#[tokio::test]
async fn the_clock_is_compared_with_the_first_answer() {
    let aws = Loopback::start().await;
    let date = "Fri, 20 Nov 2026 12:00:00 GMT";
    let reply = Reply::text(IDENTITY).with("date", date);
    aws.on("sts GetCallerIdentity", reply);
    let calls = aws.calls();
    assert_eq!(calls.skew_ms(), None);
    let identity = sts::identity(&calls).await.unwrap();
    assert_eq!(identity.account, "123");
    assert_eq!(identity.arn, "arn:aws:iam::123:user/op");
    let here = time::OffsetDateTime::from(calls::now());
    let there = calls::instant("2026-11-20T12:00:00Z").unwrap();
    let expected = (there - here).whole_milliseconds();
    assert!((calls.skew_ms().unwrap() - expected).abs() < 60_000);
}

fn stack_reply() -> Reply {
    Reply::text(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackId>arn:aws:cloudformation:eu-west-1:123:stack/shop/1</StackId>
        <StackName>shop</StackName><StackStatus>UPDATE_COMPLETE</StackStatus><CreationTime>2026-11-20T12:00:00.000000Z</CreationTime>
        <LastUpdatedTime>2026-11-21T12:00:00Z</LastUpdatedTime>
        <Parameters><member><ParameterKey>LogRetentionDays</ParameterKey><ParameterValue>30</ParameterValue></member></Parameters>
        <Outputs><member><OutputKey>AdminUrl</OutputKey><OutputValue>https://x/v1</OutputValue></member>
        <member><OutputKey>OrdersQueueUrl</OutputKey><OutputValue>https://q/orders</OutputValue></member></Outputs>
        </member></Stacks></DescribeStacksResult></DescribeStacksResponse>",
    )
}

#[tokio::test]
async fn a_stack_is_found_by_its_name_through_its_outputs() {
    let aws = Loopback::start().await;
    aws.on("cloudformation DescribeStacks", stack_reply());
    let calls = aws.calls();
    let stack = Stack::find(&calls, "shop").await.unwrap();
    assert_eq!(calls.count(), 1);
    assert!(aws.seen()[0].body.contains("StackName=shop"));
    assert_eq!(stack.status, "UPDATE_COMPLETE");
    assert_eq!(stack.changed.unwrap().unix_timestamp(), 1_795_262_400);
    assert_eq!(stack.account(), Some("123"));
    assert_eq!(stack.number("LogRetentionDays"), Some(30));
    let orders = stack.lane_queue(domain::lane::Lane::Orders);
    assert_eq!(orders.unwrap(), "https://q/orders");
    let older = stack.log_group(operate::stack::Function::Inbound);
    let older = older.unwrap_err();
    assert!(older.to_string().contains("InboundLogGroup"), "{older}");
    assert_eq!(stack.version(), None);
}

#[tokio::test]
async fn a_stack_that_is_not_there_is_named_with_its_region() {
    let aws = Loopback::start().await;
    let body = "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>
        <Message>Stack with id shop does not exist</Message></Error></ErrorResponse>";
    aws.on("cloudformation DescribeStacks", Reply::status(400, body));
    let error = Stack::find(&aws.calls(), "shop").await.unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound);
    assert_eq!(
        error.to_string(),
        "stack shop in region eu-west-1 (--stack and --region choose another) does not exist"
    );
}

#[tokio::test]
async fn resources_come_page_by_page_and_a_token_that_comes_round_ends_it() {
    let aws = Loopback::start().await;
    aws.on("cloudformation DescribeStacks", stack_reply());
    let page = |name: &str| {
        Reply::text(format!(
            "<R><ListStackResourcesResult><StackResourceSummaries><member><LogicalResourceId>{name}</LogicalResourceId>
            <ResourceType>AWS::SQS::Queue</ResourceType></member></StackResourceSummaries><NextToken>same</NextToken>
            </ListStackResourcesResult></R>"
        ))
    };
    let pages = ["a", "b", "c"].map(page);
    aws.on_each("cloudformation ListStackResources", "", pages);
    let calls = aws.calls();
    let stack = Stack::find(&calls, "shop").await.unwrap();
    let resources = stack.resources(&calls).await.unwrap();
    let names: Vec<&str> = resources.iter().map(|one| one.logical.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[tokio::test]
async fn a_queues_attributes_are_numbers_written_as_text() {
    let aws = Loopback::start().await;
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:1:d","maxReceiveCount":"100"}"#;
    let attributes = json!({ "Attributes": {
        "ApproximateNumberOfMessages": "2", "ApproximateNumberOfMessagesNotVisible": "3", "VisibilityTimeout": "290",
        "MessageRetentionPeriod": "864000", "RedrivePolicy": policy, "QueueArn": "arn:aws:sqs:eu-west-1:1:q",
    } });
    aws.on("sqs GetQueueAttributes", Reply::json(&attributes));
    let queue = sqs::attributes(&aws.calls(), "http://q/q").await.unwrap();
    let counts = (queue.visible(), queue.hidden(), queue.messages());
    assert_eq!(counts, (2, 3, 5));
    let redrive = queue.redrive().unwrap();
    assert_eq!(redrive.target, "arn:aws:sqs:eu-west-1:1:d");
    assert_eq!(redrive.receives, 100);
}

#[tokio::test]
async fn an_entry_of_a_batch_that_the_answer_leaves_out_was_not_done() {
    let aws = Loopback::start().await;
    let answer = json!({ "Successful": [{ "Id": "0" }], "Failed": [{ "Id": "2", "Code": "InternalError", "SenderFault": false }] });
    aws.on("sqs DeleteMessageBatch", Reply::json(&answer));
    let calls = aws.calls();
    let delete = async |handles| sqs::delete(&calls, "http://q/q", handles).await.unwrap();
    let failed = delete(&["a", "b", "c"][..]).await;
    let failed = failed
        .iter()
        .map(|entry| (entry.index, entry.code.as_str()));
    let expected = [(1, "NoAnswer"), (2, "InternalError")];
    assert_eq!(failed.collect::<Vec<_>>(), expected);
    assert!(delete(&[]).await.is_empty());
    assert_eq!(calls.count(), 1, "an empty batch asks nobody");
}

#[tokio::test]
async fn a_message_comes_with_its_time_and_what_its_sender_attached() {
    let aws = Loopback::start().await;
    let answer = json!({ "Messages": [{
        "MessageId": "m", "ReceiptHandle": "r", "Body": "{}", "Attributes": { "SentTimestamp": "1795176000123" },
        "MessageAttributes": { "only": { "DataType": "String", "StringValue": "sales" } },
    }] });
    let answers = [answer, json!({})].map(|answer| Reply::json(&answer));
    aws.on_each("sqs ReceiveMessage", "", answers);
    let calls = aws.calls();
    let receive = async || sqs::receive(&calls, "http://q/q", 20, 0).await.unwrap();
    let messages = receive().await;
    let message = messages.first().unwrap();
    assert_eq!(message.sent().unwrap().unix_timestamp(), 1_795_176_000);
    assert_eq!(message.attribute("only"), Some("sales"));
    assert!(receive().await.is_empty());
}

#[tokio::test]
async fn keys_that_a_table_left_for_later_are_asked_for_again() {
    let aws = Loopback::start().await;
    let key = json!({ "pk": { "S": "b" } });
    let first = json!({ "Responses": { "t": [{ "pk": { "S": "a" } }] }, "UnprocessedKeys": { "t": { "Keys": [key] } } });
    let second = json!({ "Responses": { "t": [{ "pk": { "S": "b" } }] }, "UnprocessedKeys": {} });
    let answers = [first, second].map(|answer| Reply::json(&answer));
    aws.on_each("dynamodb BatchGetItem", "", answers);
    let keys = ["a", "b"].map(|name| dynamodb::Item::key(&[("pk", name)]));
    let items = dynamodb::batch_get(&aws.calls(), "t", &keys, &["pk"]).await;
    let items = items.unwrap();
    let names: Vec<&str> = items.iter().filter_map(|item| item.text("pk")).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(aws.seen()[0].body.contains("#p0"));
}

#[tokio::test]
async fn a_query_goes_on_where_the_page_before_ended() {
    let aws = Loopback::start().await;
    let first =
        json!({ "Items": [{ "n": { "N": "7" } }], "LastEvaluatedKey": { "pk": { "S": "z" } } });
    let pages = [first, json!({ "Items": [] })].map(|page| Reply::json(&page));
    aws.on_each("dynamodb Query", "", pages);
    let calls = aws.calls();
    let input = json!({ "TableName": "t" });
    let page = dynamodb::query(&calls, &input, None).await.unwrap();
    assert_eq!(page.items.first().unwrap().number("n"), Some(7));
    let next = dynamodb::query(&calls, &input, page.last_evaluated_key.as_ref()).await;
    let next = next.unwrap();
    assert!(next.items.is_empty() && next.last_evaluated_key.is_none());
    let (asked, start) = (
        &aws.seen()[1].body,
        r#""ExclusiveStartKey":{"pk":{"S":"z"}}"#,
    );
    assert!(asked.contains(start), "{asked}");
}

#[tokio::test]
async fn latest_values_stand_where_their_metrics_do() {
    let aws = Loopback::start().await;
    aws.on(
        "monitoring GetMetricData",
        Reply::text(
            "<R><GetMetricDataResult><MetricDataResults><member><Id>m1</Id><Values><member>12.5</member><member>3</member></Values></member>
            <member><Id>m0</Id><Values/></member><member><Id>m99</Id><Values><member>1</member></Values></member>
            </MetricDataResults></GetMetricDataResult></R>",
        ),
    );
    let metric = |queue: &str| cloudwatch::Metric {
        namespace: "AWS/SQS".to_owned(),
        name: "ApproximateAgeOfOldestMessage".to_owned(),
        dimensions: vec![("QueueName".to_owned(), queue.to_owned())],
        statistic: "Maximum".to_owned(),
    };
    let to = calls::instant("2026-11-20T12:00:00Z").unwrap();
    let metrics = [metric("a"), metric("b")];
    let calls = aws.calls();
    let latest = cloudwatch::latest(&calls, &metrics, to - time::Duration::minutes(10), to);
    assert_eq!(latest.await.unwrap(), [None, Some(12.5)]);
    assert!(aws.seen()[0].body.contains("QueueName"));
}

#[tokio::test]
async fn a_page_of_lines_may_be_empty_and_not_the_last() {
    let aws = Loopback::start().await;
    let line = json!({ "events": [{ "eventId": "e", "timestamp": 5, "message": "{}", "logStreamName": "s" }] });
    let pages = [json!({ "events": [], "nextToken": "t" }), line].map(|page| Reply::json(&page));
    aws.on_each("logs FilterLogEvents", "", pages);
    let calls = aws.calls();
    let filter = logs::Filter {
        group: "g",
        pattern: "\"order/or_1\"",
        from_ms: Some(1),
        ..logs::Filter::default()
    };
    let first = logs::filter(&calls, &filter, None).await.unwrap();
    let second = logs::filter(&calls, &filter, first.next_token.as_deref()).await;
    assert_eq!(second.unwrap().events.first().unwrap().timestamp, 5);
    let asked: Value = serde_json::from_str(&aws.seen()[1].body).unwrap();
    let expected = json!({ "logGroupName": "g", "filterPattern": "\"order/or_1\"", "startTime": 1, "nextToken": "t" });
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_function_that_is_not_there_is_named() {
    let aws = Loopback::start().await;
    let missing = Reply::status(404, r#"{"Type":"User","Message":"Function not found"}"#)
        .with("x-amzn-errortype", "ResourceNotFoundException");
    for name in ["in%20b", "inbound"] {
        let action = format!("lambda GET /2015-03-31/functions/{name}/configuration");
        aws.on(&action, missing.clone());
    }
    for name in ["in b", "inbound"] {
        let error = lambda::function(&aws.calls(), name).await.unwrap_err();
        assert_eq!(error.to_string(), format!("function {name} does not exist"));
    }
}

#[tokio::test]
async fn an_object_is_there_or_not() {
    let aws = Loopback::start().await;
    aws.on("s3 GET /b/events/a%20b", Reply::text("bytes"));
    let missing = "<Error><Code>NoSuchKey</Code><Message>no</Message></Error>";
    aws.on("s3 GET /b/gone", Reply::status(404, missing));
    aws.on("s3 HEAD /b/gone", Reply::status(404, ""));
    let calls = aws.calls();
    assert_eq!(s3::get(&calls, "b", "events/a b").await.unwrap(), b"bytes");
    let error = s3::get(&calls, "b", "gone").await.unwrap_err();
    assert_eq!(error.to_string(), "s3://b/gone does not exist");
    assert!(!s3::exists(&calls, "b", "gone").await.unwrap());
}

#[tokio::test]
async fn a_subscription_that_nobody_confirmed_is_known() {
    let aws = Loopback::start().await;
    aws.on(
        "sns ListSubscriptionsByTopic",
        Reply::text(
            "<R><ListSubscriptionsByTopicResult><Subscriptions><member><SubscriptionArn>PendingConfirmation</SubscriptionArn>
            <Protocol>email</Protocol><Endpoint>ops@example.com</Endpoint></member></Subscriptions></ListSubscriptionsByTopicResult></R>",
        ),
    );
    let subscriptions = sns::subscriptions(&aws.calls(), "arn:t").await.unwrap();
    assert!(!subscriptions.first().unwrap().is_confirmed);
}

#[rstest]
#[case::get("GET", 3)]
#[case::post("POST", 1)]
#[tokio::test]
async fn a_call_that_must_not_be_made_twice_is_not(#[case] method: &str, #[case] attempts: usize) {
    let aws = Loopback::start().await;
    let action = format!("execute-api {method} /v1/accounts/acme");
    aws.on(&action, Reply::status(503, r#"{"message":"later"}"#));
    let calls = aws.calls();
    let (url, method) = (format!("{}/v1", aws.endpoint()), method.parse().unwrap());
    let answer = admin::call(&calls, &url, method, "/accounts/acme", None).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body["message"], "later");
    assert_eq!(calls.count(), attempts);
}

#[tokio::test]
async fn the_gateways_refusal_is_a_missing_permission() {
    let aws = Loopback::start().await;
    let forbidden = Reply::status(403, r#"{"message":"Forbidden"}"#);
    aws.on("execute-api GET /v1/accounts", forbidden);
    let url = format!("{}/v1", aws.endpoint());
    let answer = admin::call(&aws.calls(), &url, http::Method::GET, "/accounts", None).await;
    let error = answer.unwrap_err();
    let is_named =
        matches!(&error, Error::Permission { action, .. } if action == "execute-api:Invoke on GET");
    assert!(is_named, "{error}");
}
