//! Orderspace's event names.
//!
//! <https://apidocs.orderspace.com/#webhook-events>

/// The event names that a webhook may subscribe to.
pub const EVENT_NAMES: [&str; 14] = [
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "dispatch.created",
    "inventory_level.updated",
    "invoice.created",
    "invoice.deleted",
    "payment.created",
    "product.created",
    "product.updated",
    "product.deleted",
    "order.created",
    "order.updated",
    "order.deleted",
];

/// The key under which the earlier body shape lists records of a kind.
pub(crate) fn plural(kind: &str) -> String {
    match kind {
        "dispatch" => "dispatches".to_owned(),
        other => format!("{other}s"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("customer", "customers")]
    #[case("dispatch", "dispatches")]
    #[case("inventory_level", "inventory_levels")]
    fn plurals(#[case] kind: &str, #[case] expected: &str) {
        assert_eq!(plural(kind), expected);
    }
}
