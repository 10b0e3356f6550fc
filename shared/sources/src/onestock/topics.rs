//! OneStock's topics, which are its event types: <https://onestock.atlassian.net/wiki/spaces/DOCUMENTAT/pages/620429319/>.
//!
//! The messages of one entity's states share a record. A message that has a part of its entity (a difference, candidates,
//! errors) leaves none, since the last of them is not the entity's state.

use domain::event::{Effect, EventType, Meaning, TypeRow};
use domain::lane::Lane;

use crate::row;

/// The type of a message whose topic nothing tells.
pub(super) const UNKNOWN: &str = "unknown";

/// Whether other topics have messages of the same members, so that only a URL of its own would tell the topic.
pub(super) fn is_ambiguous(topic: &str) -> bool {
    match topic {
        "candidates_added" | "candidates_removed" | "rules_over" | "back_from_rules_over" => true,
        // Those have members of their own.
        "transfer_import_error_occurred" | "stock_import_error_occurred" => false,
        _ => topic.ends_with("_import_completed") || topic.ends_with("_import_error_occurred"),
    }
}

/// The standard topics. A site's workflow can have others.
pub(super) static TOPICS: &[TypeRow] = {
    use Effect::{Fact, State};
    use Lane::{Billing, Customers, Inventory, Orders, Other, Products};
    &[
        row("buffer_import_completed", "buffer_import", State, Inventory),
        row(
            "buffer_import_error_occurred",
            "buffer_import_error",
            Fact,
            Inventory,
        )
        .timed(),
        row(
            "async_buffer_import_error_occurred",
            "buffer_import_error",
            Fact,
            Inventory,
        )
        .timed(),
        row(
            "customer_import_completed",
            "customer_import",
            State,
            Customers,
        ),
        row(
            "customer_import_error_occurred",
            "customer_import_error",
            Fact,
            Customers,
        )
        .timed(),
        row(
            "async_customer_import_error_occurred",
            "customer_import_error",
            Fact,
            Customers,
        )
        .timed(),
        row(
            "transfer_import_completed",
            "transfer_import",
            State,
            Inventory,
        ),
        row(
            "transfer_import_error_occurred",
            "transfer_import_error",
            Fact,
            Inventory,
        )
        .timed(),
        row(
            "async_transfer_import_error_occurred",
            "transfer_import_error",
            Fact,
            Inventory,
        )
        .timed(),
        row("stock_import_completed", "stock_import", State, Inventory),
        row(
            "stock_import_error_occurred",
            "stock_import_error",
            Fact,
            Inventory,
        )
        .timed(),
        row(
            "async_stock_import_error_occurred",
            "stock_import_error",
            Fact,
            Inventory,
        )
        .timed(),
        row("item_import_completed", "item_import", State, Products),
        row(
            "item_import_error_occurred",
            "item_import_error",
            Fact,
            Products,
        )
        .timed(),
        row(
            "async_item_import_error_occurred",
            "item_import_error",
            Fact,
            Products,
        )
        .timed(),
        row(
            "stock_coverage_import_completed",
            "stock_coverage_import",
            State,
            Inventory,
        ),
        row(
            "stock_coverage_import_error_occurred",
            "stock_coverage_import_error",
            Fact,
            Inventory,
        )
        .timed(),
        row(
            "async_stock_coverage_import_error_occurred",
            "stock_coverage_import_error",
            Fact,
            Inventory,
        )
        .timed(),
        row(
            "stock_disposition_import_completed",
            "stock_disposition_import",
            State,
            Inventory,
        ),
        row(
            "stock_disposition_import_error_occurred",
            "stock_disposition_import_error",
            Fact,
            Inventory,
        )
        .timed(),
        row(
            "async_stock_disposition_import_error_occurred",
            "stock_disposition_import_error",
            Fact,
            Inventory,
        )
        .timed(),
        row("endpoint_import_completed", "endpoint_import", State, Other),
        row(
            "endpoint_import_error_occurred",
            "endpoint_import_error",
            Fact,
            Other,
        )
        .timed(),
        row(
            "async_endpoint_import_error_occurred",
            "endpoint_import_error",
            Fact,
            Other,
        )
        .timed(),
        row("user_import_completed", "user_import", State, Other),
        row(
            "user_import_error_occurred",
            "user_import_error",
            Fact,
            Other,
        )
        .timed(),
        row(
            "async_user_import_error_occurred",
            "user_import_error",
            Fact,
            Other,
        )
        .timed(),
        row("order_state_changed", "order", State, Orders).timed(),
        row("parcel_state_changed", "parcel", State, Orders).timed(),
        row(
            "line_item_group_state_changed",
            "line_item_group",
            Fact,
            Orders,
        )
        .timed(),
        row("order_entity_updated", "order_diff", Fact, Orders).timed(),
        row(
            "line_item_group_entity_updated",
            "line_item_group_diff",
            Fact,
            Orders,
        )
        .timed(),
        row("parcel_entity_updated", "parcel_diff", Fact, Orders).timed(),
        row("orchestration_rules_changed", "orchestration", Fact, Orders),
        row("candidates_added", "candidates", Fact, Orders),
        row("candidates_removed", "candidates", Fact, Orders),
        row("orchestration_rules_over", "orchestration", Fact, Orders),
        row("rules_over", "orchestration", Fact, Orders),
        row("back_from_rules_over", "orchestration", Fact, Orders),
        row("psp_error_occurred", "psp_error", Fact, Billing),
        row("container_state_changed", "container", State, Orders).timed(),
        row("operator_state_changed", "operator", State, Orders).timed(),
        row(
            "endpoint_order_state_changed",
            "endpoint_order",
            State,
            Orders,
        )
        .timed(),
        row("piece_group_state_changed", "piece_group", State, Orders).timed(),
        row("return_parcel_created", "return_parcel", Fact, Orders).timed(),
        row("return_parcel_created@v3", "return_parcel", Fact, Orders).timed(),
        row(
            "return_line_item_group_state_changed",
            "return_line_item_group",
            State,
            Orders,
        )
        .timed(),
        row(
            "return_parcel_state_changed",
            "return_parcel",
            State,
            Orders,
        )
        .timed(),
        row(
            "line_items_reservations_updated",
            "reservations",
            Fact,
            Inventory,
        ),
        row("carrier_error_occurred", "carrier_error", Fact, Other),
        row("tracking_link_created", "tracking_link", Fact, Orders),
        row("shipment_created", "shipment", State, Orders),
        row("stock_export_completed", "stock_export", State, Inventory),
    ]
};

/// The standard topic of that name.
pub(super) fn row_of(name: &str) -> Option<&'static TypeRow> {
    TOPICS.iter().find(|row| row.name == name)
}

/// The row of a standard topic. Another version of one (`{topic}@{version}`) means what the topic means. Of the rest, the
/// documentation describes two families by what they say of any entity; everything else is forwarded and leaves no record.
pub(super) fn meaning(event_type: &EventType) -> Meaning {
    let name = event_type.as_str();
    let topic = match name.split_once('@') {
        Some((topic, _)) if !topic.is_empty() => topic,
        _ => name,
    };
    if let Some(row) = row_of(name).or_else(|| row_of(topic)) {
        return row.meaning();
    }
    let entity = |ending| topic.strip_suffix(ending).filter(|it| !it.is_empty());
    if let Some(entity) = entity("_state_changed") {
        return of_entity(entity, entity.to_owned(), Effect::State);
    }
    if let Some(entity) = entity("_entity_updated") {
        return of_entity(entity, format!("{entity}_diff"), Effect::Fact);
    }
    Meaning {
        kind: topic.to_owned().into(),
        effect: Effect::Fact,
        lane: Lane::Other,
        timed: false,
    }
}

/// What a topic means that this release knows by its ending: it takes the lane of an entity that another topic is about.
fn of_entity(entity: &str, kind: String, effect: Effect) -> Meaning {
    let of_kind = |kind: &str| TOPICS.iter().find(|row| row.kind == kind);
    Meaning {
        effect,
        lane: of_kind(entity).map_or(Lane::Other, |row| row.lane),
        // All types of one kind agree on it.
        timed: of_kind(&kind).is_none_or(|row| row.timed),
        kind: kind.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::collections::BTreeMap;

    #[rstest]
    #[case("order_state_changed", false)]
    #[case("return_parcel_created@v3", false)]
    #[case::with_members_of_its_own("stock_import_error_occurred", false)]
    #[case::with_members_of_its_own_too("transfer_import_error_occurred", false)]
    #[case("async_stock_import_error_occurred", true)]
    #[case("stock_import_completed", true)]
    #[case("candidates_added", true)]
    #[case("candidates_removed", true)]
    #[case("rules_over", true)]
    #[case("back_from_rules_over", true)]
    #[case("orchestration_rules_over", false)]
    #[case::of_a_site("gift_wrapped", false)]
    fn topics_that_share_a_shape_are_ambiguous(#[case] topic: &str, #[case] expected: bool) {
        assert_eq!(is_ambiguous(topic), expected);
        assert_eq!(
            TOPICS.iter().filter(|row| is_ambiguous(row.name)).count(),
            29
        );
    }

    #[test]
    fn the_catalogue_is_whole_and_its_kinds_agree_on_time() {
        assert_eq!(TOPICS.len(), 53);
        assert_eq!(TOPICS.iter().filter(|row| row.timed).count(), 32);
        let deletes = TOPICS.iter().any(|row| row.effect == Effect::Delete);
        assert!(!deletes, "no topic says that a record is gone");
        let mut timed = BTreeMap::new();
        for row in TOPICS {
            let first = timed.entry(row.kind).or_insert(row.timed);
            assert_eq!(*first, row.timed, "{}", row.name);
        }
    }

    #[rstest]
    #[case::state("order_state_changed", "order", Effect::State, Lane::Orders, true)]
    #[case::import(
        "item_import_completed",
        "item_import",
        Effect::State,
        Lane::Products,
        false
    )]
    #[case::error(
        "async_customer_import_error_occurred",
        "customer_import_error",
        Effect::Fact,
        Lane::Customers,
        true
    )]
    #[case::version(
        "return_parcel_created@v3",
        "return_parcel",
        Effect::Fact,
        Lane::Orders,
        true
    )]
    #[case::another_version(
        "return_parcel_created@v4",
        "return_parcel",
        Effect::Fact,
        Lane::Orders,
        true
    )]
    #[case::a_version_of_a_state(
        "order_state_changed@v2",
        "order",
        Effect::State,
        Lane::Orders,
        true
    )]
    #[case::a_version_of_no_name(
        "order_state_changed@",
        "order",
        Effect::State,
        Lane::Orders,
        true
    )]
    #[case::a_state_of_another_entity(
        "store_state_changed",
        "store",
        Effect::State,
        Lane::Other,
        true
    )]
    #[case::a_state_of_a_known_entity_without_times(
        "shipment_state_changed",
        "shipment",
        Effect::State,
        Lane::Orders,
        false
    )]
    #[case::a_difference_of_a_known_entity(
        "container_entity_updated",
        "container_diff",
        Effect::Fact,
        Lane::Orders,
        true
    )]
    #[case::a_difference_of_another_entity(
        "store_entity_updated@v2",
        "store_diff",
        Effect::Fact,
        Lane::Other,
        true
    )]
    #[case::an_ending_alone("_state_changed", "_state_changed", Effect::Fact, Lane::Other, false)]
    #[case::a_version_alone("@v3", "@v3", Effect::Fact, Lane::Other, false)]
    #[case::a_custom_topic("gift_wrapped", "gift_wrapped", Effect::Fact, Lane::Other, false)]
    #[case::that_seems_to_delete(
        "order_deleted",
        "order_deleted",
        Effect::Fact,
        Lane::Other,
        false
    )]
    #[case::nothing_tells(UNKNOWN, UNKNOWN, Effect::Fact, Lane::Other, false)]
    fn a_topic_tells_what_its_messages_mean(
        #[case] name: &str,
        #[case] kind: &str,
        #[case] effect: Effect,
        #[case] lane: Lane,
        #[case] timed: bool,
    ) {
        let expected = Meaning {
            kind: kind.to_owned().into(),
            effect,
            lane,
            timed,
        };
        assert_eq!(meaning(&name.parse().unwrap()), expected);
    }
}
