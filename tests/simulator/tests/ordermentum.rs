//! Ordermentum's API and deliveries over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop"
)]

mod play;
mod receiver;

use play::{NONE, Play, defaults, with};
use receiver::{Receiver, Reply};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use simulator::control::{Deliver, NewSite, RawBody};
use simulator::{Door, End, Fault, FaultKind, Signing, Simulator, Source};

const SUPPLIER: &str = "5c1f0a52-3b7e-4d0a-9a51-2d7f6f0c1e11";
const ORDER: &str = r#"{"event":"order_created","timestamp":"2026-11-20T11:58:30Z","data":{"id":"3f6f","createdAt":"a","updatedAt":"b", "status":"Placed","total":150.250}}"#;

async fn play(settings: Value) -> Play {
    let play = Play::new(Source::Ordermentum, settings).await;
    play.with_headers(&[("x-api-key", "secret-1")])
}

fn webhook(url: &str) -> Value {
    json!({
        "url": url,
        "name": "orderhook/acme/0123456789abcdef",
        "events": ["order_created", "order_updated"],
        "entityId": SUPPLIER,
        "entityType": "supplier",
        "authentication": {"basicAuth": {"username": "orderhook", "password": "ordermentum-test-password-1"}},
        "headers": {"X-Orderhook-Key": "ordermentum-test-header-value-1"},
    })
}

async fn create(play: &Play, body: Value) -> Value {
    let (status, made) = play.call(Method::POST, "/v1/webhooks", body).await;
    assert_eq!(status, 201, "{made}");
    made
}

#[tokio::test]
async fn a_webhook_is_made_read_changed_and_deleted_and_hides_what_proves_deliveries() {
    let play = play(defaults()).await;
    let made = create(&play, webhook("https://example.com/hooks/x")).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(made["supplierId"], SUPPLIER);
    assert_eq!(made["deletedAt"], Value::Null);
    for hidden in ["url", "authentication", "headers"] {
        assert!(made.get(hidden).is_none(), "{hidden}");
    }
    let path = format!("/v1/webhooks/{id}");
    assert_eq!(
        play.call(Method::GET, &path, NONE).await,
        (200, made.clone())
    );

    let change = with(
        &webhook("https://example.com/y"),
        json!({"events": ["invoice_created"], "headers": null}),
    );
    let (status, changed) = play.call(Method::PUT, &path, change).await;
    assert_eq!(
        (status, &changed["events"]),
        (200, &json!(["invoice_created"]))
    );
    assert_eq!(changed["createdAt"], made["createdAt"]);
    assert_eq!(play.webhook().await.endpoint, "https://example.com/y");
    assert_eq!(play.webhook().await.details["headers"], Value::Null);

    let (status, deleted) = play.call(Method::DELETE, &path, NONE).await;
    assert_eq!((status, deleted["deletedAt"].is_string()), (200, true));
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_eq!(
            play.call(method, &path, webhook("https://a.b")).await.0,
            404
        );
    }
}

#[rstest]
#[case::empty(json!({}), "url, name, events")]
#[case::no_body(NONE, "url, name, events")]
#[case::not_https(json!({"url": "http://example.com"}), "url")]
#[case::url_is_no_text(json!({"url": 7}), "url")]
#[case::blank_name(json!({"name": " "}), "name")]
#[case::no_events(json!({"events": []}), "events")]
#[case::unknown_event(json!({"events": ["order_deleted"]}), "events")]
#[case::event_is_no_text(json!({"events": ["order_created", 7]}), "events")]
#[case::header_name(json!({"headers": {"a b": "c"}}), "headers")]
#[case::header_value(json!({"headers": {"a": "b\nc"}}), "headers")]
#[case::headers_are_a_list(json!({"headers": []}), "headers")]
#[case::half_of_the_credentials(json!({"authentication": {"basicAuth": {"username": "u"}}}), "authentication")]
#[tokio::test]
async fn what_is_not_acceptable_is_422(#[case] change: Value, #[case] named: &str) {
    let play = play(defaults()).await;
    let body = match change.as_object() {
        Some(members) if !members.is_empty() => with(&webhook("https://example.com"), change),
        _ => change,
    };
    let (status, answer) = play.call(Method::POST, "/v1/webhooks", body).await;
    assert_eq!(status, 422);
    assert_eq!(answer["message"], format!("not acceptable: {named}"));
    assert!(play.site.webhooks().await.unwrap().is_empty());
}

#[rstest]
#[case::both_key("both", "x-api-key", "secret-1", 200)]
#[case::both_token("both", "authorization", "Bearer {}", 200)]
#[case::key_only("api_key", "x-api-key", "secret-1", 200)]
#[case::key_not_taken("bearer", "x-api-key", "secret-1", 401)]
#[case::wrong_key("both", "x-api-key", "secret-2", 401)]
#[case::wrong_token("both", "authorization", "Bearer x", 401)]
#[case::nothing("both", "accept", "*/*", 401)]
#[tokio::test]
async fn callers_are_known_by_key_or_token(
    #[case] access: &str,
    #[case] name: &'static str,
    #[case] value: &str,
    #[case] expected: u16,
) {
    let play = Play::new(Source::Ordermentum, json!({"access": access})).await;
    let login = json!({"username": "site-1", "password": "secret-1"});
    let (status, token) = play.call(Method::POST, "/v1/auth", login).await;
    assert_eq!(status, if access == "api_key" { 401 } else { 200 });
    let value = value.replace("{}", token["access_token"].as_str().unwrap_or_default());
    let play = play.with_headers(&[(name, &value)]);
    assert_eq!(
        play.call(Method::GET, "/v1/webhooks", NONE).await.0,
        expected
    );
}

#[tokio::test]
async fn a_token_lasts_a_day_and_wrong_passwords_get_none() {
    let play = Play::new(Source::Ordermentum, defaults()).await;
    for wrong in [
        json!({"username": "site-1", "password": "x"}),
        json!({"username": "site-2", "password": "secret-1"}),
        json!([]),
        NONE,
    ] {
        assert_eq!(play.call(Method::POST, "/v1/auth", wrong).await.0, 401);
    }
    let login = json!({"username": "site-1", "password": "secret-1"});
    let (_, token) = play.call(Method::POST, "/v1/auth", login).await;
    assert_eq!(token["token_type"], "Bearer");
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let play = play.with_headers(&[("authorization", &bearer)]);
    for (hours, expected) in [(23, 200), (1, 401)] {
        let by = std::time::Duration::from_secs(hours * 3_600);
        play.site.advance_clock(by).await.unwrap();
        assert_eq!(
            play.call(Method::GET, "/v1/webhooks", NONE).await.0,
            expected
        );
    }
}

#[rstest]
#[case::first("", 25, Some(1), 30, 2)]
#[case::second("?pageNo=2", 5, Some(26), 30, 2)]
#[case::beyond("?pageNo=9&pageSize=10", 0, None, 30, 3)]
#[case::small("?pageNo=3&pageSize=2", 2, Some(5), 30, 15)]
#[case::other_supplier("?supplierId=x", 0, None, 0, 0)]
#[tokio::test]
async fn the_list_comes_in_pages(
    #[case] query: &str,
    #[case] length: usize,
    #[case] first: Option<usize>,
    #[case] total: usize,
    #[case] pages: usize,
) {
    let play = play(defaults()).await;
    for number in 1..=30 {
        let name = json!({"name": format!("webhook {number}")});
        create(&play, with(&webhook("https://example.com"), name)).await;
    }
    let (status, list) = play
        .call(Method::GET, &format!("/v1/webhooks{query}"), NONE)
        .await;
    assert_eq!(status, 200);
    let data = list["data"].as_array().unwrap();
    assert_eq!(data.len(), length);
    let name = data.first().map(|webhook| webhook["name"].clone());
    assert_eq!(name, first.map(|number| json!(format!("webhook {number}"))));
    assert_eq!(list["meta"]["totalResults"], total);
    assert_eq!(list["meta"]["totalPages"], pages);
    assert_eq!(
        play.call(Method::GET, "/v1/webhooks?pageNo=0", NONE)
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn the_unpublished_is_a_setting() {
    let play = play(json!({"shows_url": true, "lists_deleted": true, "one_webhook_per_event": true, "create_status": 200})).await;
    let post = async || {
        play.call(
            Method::POST,
            "/v1/webhooks",
            webhook("https://example.com/a"),
        )
        .await
    };
    let (status, made) = post().await;
    assert_eq!(
        (status, &made["url"]),
        (200, &json!("https://example.com/a"))
    );
    assert_eq!(post().await.0, 422, "a second webhook for an event");
    let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());
    assert_eq!(play.call(Method::DELETE, &path, NONE).await.0, 200);
    let (_, list) = play.call(Method::GET, "/v1/webhooks", NONE).await;
    assert!(list["data"][0]["deletedAt"].is_string());
    assert_eq!(play.call(Method::GET, &path, NONE).await.0, 404);
    assert_eq!(post().await.0, 200, "the deleted one is in nobody's way");
    let unknown = play
        .site
        .change_settings(&json!({"shows_urls": true}))
        .await;
    assert!(unknown.is_err());
}

#[rstest]
#[case::refused(FaultKind::Refuse, 401)]
#[case::down(FaultKind::Status(503), 503)]
#[case::not_acceptable(FaultKind::Unprocessable, 422)]
#[tokio::test]
async fn a_fault_is_met_and_logged(#[case] fault: FaultKind, #[case] status: u16) {
    let play = play(defaults()).await;
    let faults = [Fault::on(Door::Api, fault).times(1)];
    play.site.set_faults(&faults).await.unwrap();
    let body = webhook("https://example.com");
    let (answered, error) = play.call(Method::POST, "/v1/webhooks", body).await;
    assert_eq!((answered, error["message"].is_string()), (status, true));
    assert!(play.site.webhooks().await.unwrap().is_empty());
    assert_eq!(play.site.requests().await.unwrap()[0].status, Some(status));
    create(&play, webhook("https://example.com")).await;
}

#[tokio::test]
async fn too_many_requests_unknown_paths_and_broken_bodies() {
    let simulator = Simulator::start_as(Source::Ordermentum, 0).await.unwrap();
    let new = NewSite {
        client_secret: Some("k".into()),
        requests_per_minute: Some(3),
        ..NewSite::default()
    };
    simulator.create_site(new).unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = async |path: &str, body: &'static str| {
        let url = format!("{}{path}", simulator.url());
        let request = client.post(url).header("x-api-key", "k").body(body);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(call("/v1/webhooks", "{").await, 400);
    assert_eq!(call("/v1/orders", "").await, 404);
    assert_eq!(call("/v1/webhooks/x", "").await, 404);
    assert_eq!(call("/v1/webhooks", "{}").await, 422);
    assert_eq!(call("/v1/webhooks", "{}").await, 429);
}

#[rstest]
#[case::as_written(defaults(), ORDER)]
#[case::thin(json!({"thin": true}), r#"{"event":"order_created","timestamp":"2026-11-20T11:58:30Z","data":{"id":"3f6f","createdAt":"a","updatedAt":"b","total":150.250}}"#)]
#[case::flat(json!({"shape": "flat"}), r#"{"event":"order_created","id":"3f6f","createdAt":"a","updatedAt":"b","status":"Placed","total":150.250}"#)]
#[case::flat_other_name(json!({"shape": "flat_event_type", "thin": true}), r#"{"eventType":"order_created","entityId":"5c1f0a52-3b7e-4d0a-9a51-2d7f6f0c1e11","entityType":"supplier","id":"3f6f","createdAt":"a","updatedAt":"b","total":150.250}"#)]
#[tokio::test]
async fn a_delivery_has_the_registered_credentials_and_one_of_three_shapes(
    #[case] settings: Value,
    #[case] expected: &str,
) {
    let play = play(settings).await;
    let receiver = Receiver::start(&[]).await;
    create(&play, webhook(&receiver.url)).await;
    let runs = play
        .deliver(&[ORDER, r#"{"event":"invoice_created","data":{}}"#])
        .await;
    assert!(runs[0].accepted);
    assert_eq!(
        receiver.texts(),
        [expected],
        "nothing that was not selected"
    );
    let headers = &receiver.received()[0].headers;
    assert_eq!(
        headers["authorization"],
        "Basic b3JkZXJob29rOm9yZGVybWVudHVtLXRlc3QtcGFzc3dvcmQtMQ=="
    );
    assert_eq!(
        headers["x-orderhook-key"],
        "ordermentum-test-header-value-1"
    );
    assert_eq!(headers["content-type"], "application/json");
}

#[rstest]
#[case::right(Signing::Proper, Some("Basic b3JkZXJob29rOnBhOnNzIHfDtnJk"))]
#[case::omitted(Signing::Omit, None)]
#[tokio::test]
async fn a_raw_body_is_proved_as_asked(#[case] signing: Signing, #[case] expected: Option<&str>) {
    let play = play(defaults()).await;
    let receiver = Receiver::start(&[]).await;
    let basic = json!({"authentication": {"basicAuth": {"username": "orderhook", "password": "pa:ss wörd"}}});
    create(&play, with(&webhook(&receiver.url), basic)).await;
    let raw = |signing| RawBody {
        text: Some("{".to_owned()),
        signing,
        ..RawBody::default()
    };
    play.run(Deliver {
        raw: vec![raw(signing), raw(Signing::WrongKey)],
        ..Deliver::default()
    })
    .await;
    let got = receiver.received();
    let basic = got[0]
        .headers
        .get("authorization")
        .map(|value| value.to_str().unwrap());
    assert_eq!((got[0].text(), basic), ("{", expected));
    let wrong = &got[1].headers;
    assert!(
        wrong["authorization"]
            .to_str()
            .unwrap()
            .starts_with("Basic ")
    );
    assert_ne!(wrong["authorization"], "Basic b3JkZXJob29rOnBhOnNzIHfDtnJk");
    assert_ne!(wrong["x-orderhook-key"], "ordermentum-test-header-value-1");
}

#[rstest]
#[case::dropped(json!({}), 3, End::GaveUp, true)]
#[case::disabled(json!({"disables": true}), 3, End::Disabled, false)]
#[case::three_retries(json!({"attempts": 4}), 4, End::GaveUp, true)]
#[tokio::test]
async fn three_attempts_then_the_event_is_lost(
    #[case] settings: Value,
    #[case] attempts: usize,
    #[case] end: End,
    #[case] enabled: bool,
) {
    let play = play(settings).await;
    let receiver = Receiver::start(&[Reply::Status(503); 4]).await;
    let made = create(&play, webhook(&receiver.url)).await;
    let runs = play.deliver(&[ORDER]).await;
    assert_eq!(runs[0].deliveries.deliveries[0].end, end);
    assert_eq!(receiver.received().len(), attempts);
    assert_eq!(play.webhook().await.enabled, enabled);
    let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());
    let seen = play.call(Method::GET, &path, NONE).await;
    assert_eq!(seen, (200, made), "the API does not show it");
}

#[rstest]
#[case::same_bytes(false)]
#[case::new_timestamp(true)]
#[tokio::test]
async fn any_2xx_is_taken_and_a_retry_may_have_a_timestamp_of_its_own(#[case] is_new: bool) {
    let play = play(json!({"new_timestamp": is_new})).await;
    let receiver = Receiver::start(&[Reply::Status(500), Reply::Status(204)]).await;
    create(&play, webhook(&receiver.url)).await;
    let runs = play.deliver(&[ORDER]).await;
    assert_eq!(runs[0].deliveries.statuses(), [500, 204]);
    assert!(runs[0].accepted);
    let texts = receiver.texts();
    assert_eq!(texts[0], ORDER);
    assert_eq!(texts[1] == ORDER, !is_new);
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(read(&texts[1])["data"], read(ORDER)["data"]);
}
