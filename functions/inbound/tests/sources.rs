//! What sources bring that no release serves yet: times and ids of their own, greetings, parts, and signatures that are but
//! observed.

mod world;

use domain::account::{KeysVersion, TokenEntry, TokenStatus, UrlToken};
use domain::envelope::Envelope;
use domain::provenance::Sequence;
use domain::signature::{Assurance, Policy, SigningKeys};
use domain::source::Source;
use domain::timestamp::Timestamp;
use rstest::rstest;
use testkit::fakes::Fault;
use testkit::gateway::{HookRequest, RECEIVED_MILLIS, hook};
use testkit::signing::sign_in_hex;
use world::source::{observing, requiring};
use world::{KEY, WEBHOOK, World, entry, world_of};

fn signed(world: &World, body: &str) -> HookRequest {
    hook(world.token.expose(), body).header("x-signature", &sign_in_hex(KEY, body.as_bytes()))
}

fn order(world: &World, body: &str) -> HookRequest {
    signed(world, body).header("x-topic", "order_updated")
}

/// The gateway received it at 2026-11-20T12:00:00.123Z.
#[rstest]
#[case::dated(Some("2026-11-20T11:00:00Z"), "order_updated", Some(RECEIVED_MILLIS - 3_600_123))]
#[case::of_a_type_that_is_not_known(Some("2026-11-20T11:00:00Z"), "order_paid", Some(RECEIVED_MILLIS - 3_600_123))]
#[case::by_a_clock_that_runs_ahead(
    Some("2030-01-01T00:00:00Z"),
    "order_updated",
    Some(RECEIVED_MILLIS)
)]
#[case::before_1970(Some("1969-01-01T00:00:00Z"), "order_updated", Some(0))]
#[case::unreadable(Some("yesterday"), "order_updated", None)]
#[case::undated(None, "order_updated", None)]
#[case::of_a_kind_that_is_not_timed(Some("2026-11-20T11:00:00Z"), "product_updated", None)]
#[tokio::test(start_paused = true)]
async fn an_event_has_its_place_by_the_source_s_time(
    #[case] at: Option<&str>,
    #[case] topic: &str,
    #[case] place: Option<u64>,
) {
    let world = world_of(requiring);
    let body = serde_json::json!({ "id": "evt_1", "at": at, "record": {} }).to_string();
    let request = signed(&world, &body).header("x-topic", topic);
    assert_eq!(world.post(&request).await.status, 202);
    let sent = &world.queue("orders")[0];
    let envelope = Envelope::parse(&sent.body).unwrap();
    let provenance = &envelope.provenance;
    assert_eq!(provenance.id, Some("evt_1".parse().unwrap()));
    assert_eq!(provenance.time, at.and_then(|at| at.parse().ok()));
    let place = place.map(|at| Sequence::new(Timestamp::from_millis(at), envelope.id));
    assert_eq!(provenance.sequence, place);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_which_the_source_says_nothing_says_nothing_of_it() {
    let world = world_of(requiring);
    let request = order(&world, r#"{"record":{}}"#);
    assert_eq!(world.post(&request).await.status, 202);
    let body = &world.queue("orders")[0].body;
    for member in ["sourceid", "sourcetime", "sequence", "sourcetype"] {
        assert!(!body.contains(member), "{body}");
    }
}

fn greeting(token: &UrlToken) -> HookRequest {
    hook(token.expose(), "{}").header("x-greeting", "1")
}

#[tokio::test(start_paused = true)]
async fn a_greeting_by_a_known_token_costs_one_read_and_leaves_nothing() {
    for protocols in [requiring, observing] {
        let world = world_of(protocols);
        let answered = world.post(&greeting(&world.token)).await;
        assert_eq!((answered.status, &*answered.word), (202, "accepted"));
        assert_eq!(world.calls(), [("tokens.find".to_owned(), 1)].into());
        world.post(&greeting(&world.token)).await;
        assert_eq!(world.calls().len(), 1, "what the token is for is believed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_greeting_by_any_other_token_is_unauthorized() {
    let world = world_of(requiring);
    let unknown = greeting(&UrlToken::from_random(&[8; 32]));
    let unknown = world.post(&unknown).await;
    assert_eq!((unknown.status, &*unknown.word), (401, "unauthorized"));
    world.register(&world.token, Some(WEBHOOK), TokenStatus::Retired);
    assert_eq!(world.post(&greeting(&world.token)).await.status, 401);
    let unavailable = Fault::transient("ServiceUnavailable");
    world.on("tokens.find").always().fault(unavailable);
    let other = UrlToken::from_random(&[9; 32]);
    assert_eq!(world.post(&greeting(&other)).await.status, 503);
    assert_eq!(world.calls().len(), 1);
}

#[rstest]
#[case("order_updated", 202)]
#[case("return_parcel_created@v3", 202)]
#[case("a.b-c", 202)]
#[case("Order", 401)]
#[case("a b", 401)]
#[case("", 401)]
#[case(&"a".repeat(64), 202)]
#[case(&"a".repeat(65), 401)]
#[tokio::test(start_paused = true)]
async fn a_part_of_another_alphabet_is_an_unknown_url(#[case] part: &str, #[case] status: u16) {
    let world = world_of(requiring);
    let request = signed(&world, r#"{"record":{}}"#).with_part(part);
    let answered = world.post(&request).await;
    assert_eq!(answered.status, status);
    match status {
        202 => {
            let event_type = world.queue("orders")[0].envelope().event_type.to_string();
            assert_eq!(event_type, part, "the source reads the part");
        }
        _ => {
            assert_eq!(answered.word, "unauthorized");
            assert!(world.calls().is_empty(), "nothing is looked up for it");
        }
    }
}

const BODY: &str = r#"{"record":{}}"#;

fn with_signature(world: &World, signature: Option<&str>) -> HookRequest {
    let request = hook(world.token.expose(), BODY).header("x-topic", "order_updated");
    match signature {
        Some(signature) => request.header("x-signature", signature),
        None => request,
    }
}

fn reversed() -> String {
    BODY.chars().rev().collect()
}

/// Lets the account say what becomes of unproved deliveries.
fn ask_for(world: &World, policy: Policy) {
    let entry = TokenEntry {
        policy: Some(policy),
        ..entry(&world.account, Some(WEBHOOK), TokenStatus::Live)
    };
    world.tokens.put(world.token.hash(), entry);
}

/// By what a delivery is proved, if it is taken.
async fn assurance(world: &World, signature: Option<&str>) -> Option<Assurance> {
    let answered = world.post(&with_signature(world, signature)).await;
    let kept = world.receipts.kept();
    assert_eq!(kept.len(), usize::from(answered.status == 202));
    kept.first().map(|kept| kept.assurance)
}

#[rstest]
#[case::right(Some(sign_in_hex(KEY, BODY.as_bytes())), Assurance::Signature)]
#[case::right_in_another_form(Some(sign_in_hex(KEY, reversed().as_bytes())), Assurance::Signature)]
#[case::wrong(Some(sign_in_hex("other", BODY.as_bytes())), Assurance::UrlToken)]
#[case::malformed(Some("?".to_owned()), Assurance::UrlToken)]
#[case::twice(
    Some([sign_in_hex(KEY, BODY.as_bytes()), sign_in_hex(KEY, BODY.as_bytes())].join(",")),
    Assurance::UrlToken
)]
#[case::none(None, Assurance::UrlToken)]
#[tokio::test(start_paused = true)]
async fn where_signatures_are_observed_none_is_refused(
    #[case] signature: Option<String>,
    #[case] expected: Assurance,
) {
    let world = world_of(observing);
    let proved = assurance(&world, signature.as_deref()).await;
    assert_eq!(proved, Some(expected));
    // An account may ask for more than its source.
    let world = world_of(observing);
    ask_for(&world, Policy::Require);
    let proved = assurance(&world, signature.as_deref()).await;
    let by_signature = expected == Assurance::Signature;
    assert_eq!(proved, by_signature.then_some(expected));
}

/// A signature for later proves nothing; one of long ago does, since a source may send again what it signed once.
#[rstest]
#[case::at_once(0, true)]
#[case::as_clocks_differ(300_000, true)]
#[case::later(300_001, false)]
#[case::much_later(4_000_000_000_000, false)]
#[case::a_week_ago(-7 * 24 * 3_600_000, true)]
#[case::long_ago(-1_795_176_000_000, true)]
#[tokio::test(start_paused = true)]
async fn a_signature_that_was_made_ahead_of_its_time_proves_nothing(
    #[case] ahead: i64,
    #[case] proves: bool,
) {
    const RECEIVED: u64 = 1_795_176_000_000;
    let signature = sign_in_hex(KEY, BODY.as_bytes());
    for protocols in [requiring, observing] {
        let world = world_of(protocols);
        let signed_at = RECEIVED.saturating_add_signed(ahead).to_string();
        let request = with_signature(&world, Some(&signature)).at(RECEIVED);
        let answered = world.post(&request.header("x-signed-at", &signed_at)).await;
        let is_required = protocols(Source::Orderspace).facts().policy == Policy::Require;
        let kept = world.receipts.kept();
        let by = kept.first().map(|kept| kept.assurance);
        let expected = match (proves, is_required) {
            (true, _) => Some(Assurance::Signature),
            (false, false) => Some(Assurance::UrlToken),
            (false, true) => None,
        };
        assert_eq!(by, expected);
        let status = if expected.is_some() { 202 } else { 401 };
        assert_eq!(answered.status, status);
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_never_asks_for_less_than_its_source() {
    let world = world_of(requiring);
    ask_for(&world, Policy::Observe);
    let wrong = sign_in_hex("other", BODY.as_bytes());
    for signature in [None, Some("?"), Some(&*wrong)] {
        assert_eq!(assurance(&world, signature).await, None);
    }
}

/// Keys decide nothing where signatures are observed: a delivery is not put off for their sake.
#[tokio::test(start_paused = true)]
async fn where_signatures_are_observed_keys_may_be_missing() {
    let right = sign_in_hex(KEY, BODY.as_bytes());
    let by_token = Some(Assurance::UrlToken);
    for (signature, reads) in [(Some(&*right), 1), (None, 0)] {
        // None are stored.
        let world = world_of(observing);
        world.keys.replace(&world.account, SigningKeys::default());
        assert_eq!(assurance(&world, signature).await, by_token);
        let read = world.calls().get("keys.read").copied().unwrap_or_default();
        assert_eq!(read, reads, "keys are read where they may better the proof");
        // The token's entry names newer ones.
        let world = world_of(observing);
        let newer = TokenEntry {
            keys: KeysVersion::new(7),
            ..entry(&world.account, Some(WEBHOOK), TokenStatus::Live)
        };
        world.tokens.put(world.token.hash(), newer);
        assert_eq!(assurance(&world, signature).await, by_token);
        // They cannot be read, or are not read in time.
        for fault in [Fault::transient("ServiceUnavailable"), Fault::hang()] {
            let world = world_of(observing);
            world.on("keys.read").always().fault(fault);
            assert_eq!(assurance(&world, signature).await, by_token);
        }
    }
}

#[rstest]
#[case::the_first(KEY, reversed(), Some("reversed"))]
#[case::the_second(KEY, BODY.to_owned(), Some("raw"))]
#[case::none("other", BODY.to_owned(), None)]
#[tokio::test(start_paused = true)]
async fn the_form_that_fitted_is_kept(
    #[case] key: &str,
    #[case] message: String,
    #[case] form: Option<&str>,
) {
    let world = world_of(observing);
    let signature = sign_in_hex(key, message.as_bytes());
    let answered = world.post(&with_signature(&world, Some(&signature))).await;
    assert_eq!(answered.status, 202);
    let kept = world.receipts.kept();
    assert_eq!(kept[0].form.map(|form| form.0), form);
}

/// What a delivery was split by is kept with it, and nothing else of its request.
#[tokio::test(start_paused = true)]
async fn a_receipt_is_split_as_its_delivery_was() {
    let world = world_of(requiring);
    for (part, topic) in [("orders", Some("order_updated")), ("order_paid", None)] {
        let request = signed(&world, BODY).with_part(part).header("x-other", "1");
        let request = match topic {
            Some(topic) => request.header("x-topic", topic),
            None => request,
        };
        assert_eq!(world.post(&request).await.status, 202);
    }
    let mut kept = world.receipts.kept();
    kept.sort_by_key(|kept| kept.part.clone());
    let expected: [(&str, &[&str]); 2] = [("order_paid", &[]), ("order_updated", &["x-topic"])];
    assert_eq!(kept.len(), expected.len());
    for (kept, (event_type, headers)) in kept.into_iter().zip(expected) {
        let names: Vec<&str> = kept.headers.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, headers, "no signature, and no other");
        let kept = domain::delivery::KeptDelivery {
            headers: kept.headers,
            part: kept.part,
            body: kept.body,
        };
        let protocol = requiring(Source::Orderspace);
        let split = protocol.split(kept.delivery()).unwrap();
        assert_eq!(split.events[0].event_type.as_str(), event_type);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_split_is_kept_with_its_headers_for_whoever_looks_into_quarantine() {
    let world = world_of(requiring);
    let request = signed(&world, "?")
        .with_part("orders")
        .header("x-topic", "order_updated");
    assert_eq!(world.post(&request).await.status, 202);
    assert_eq!(world.queue("quarantine").len(), 1);
    let kept = &world.receipts.kept()[0];
    assert_eq!(kept.part, "orders");
    assert_eq!(kept.headers["x-topic"], "order_updated");
}
