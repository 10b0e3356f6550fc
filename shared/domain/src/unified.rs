//! Unified commerce events: one form of an order, a product and a customer for every source.
//!
//! Names and fields are those of Apideck's unified ecommerce API: <https://developers.apideck.com/apis/ecommerce/reference>.
//! A unified event is a second rendering of a native one, made for the teams that ask for it. It is never stored.

use std::fmt;

/// What happened to which resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnifiedType {
    /// An order is new.
    OrderCreated,
    /// An order has changed.
    OrderUpdated,
    /// An order is no more.
    OrderDeleted,
    /// A product is new.
    ProductCreated,
    /// A product has changed.
    ProductUpdated,
    /// A product is no more.
    ProductDeleted,
    /// A customer is new.
    CustomerCreated,
    /// A customer has changed.
    CustomerUpdated,
    /// A customer is no more.
    CustomerDeleted,
}

/// What every unified type begins with. No source has this name.
pub const UNIFIED_PREFIX: &str = "ecommerce.";

impl UnifiedType {
    /// Every type.
    pub const ALL: [Self; 9] = [
        Self::OrderCreated,
        Self::OrderUpdated,
        Self::OrderDeleted,
        Self::ProductCreated,
        Self::ProductUpdated,
        Self::ProductDeleted,
        Self::CustomerCreated,
        Self::CustomerUpdated,
        Self::CustomerDeleted,
    ];

    /// The type as an envelope says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrderCreated => "ecommerce.order.created",
            Self::OrderUpdated => "ecommerce.order.updated",
            Self::OrderDeleted => "ecommerce.order.deleted",
            Self::ProductCreated => "ecommerce.product.created",
            Self::ProductUpdated => "ecommerce.product.updated",
            Self::ProductDeleted => "ecommerce.product.deleted",
            Self::CustomerCreated => "ecommerce.customer.created",
            Self::CustomerUpdated => "ecommerce.customer.updated",
            Self::CustomerDeleted => "ecommerce.customer.deleted",
        }
    }
}

impl fmt::Display for UnifiedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event in the unified form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unified {
    /// What happened.
    pub event_type: UnifiedType,
    /// The resource as JSON text, of the schema `infra/events/orderhook-unified.schema.json`.
    pub resource: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    #[test]
    fn nine_types_are_three_resources_with_three_verbs() {
        let mut expected = Vec::new();
        for resource in ["order", "product", "customer"] {
            for verb in ["created", "updated", "deleted"] {
                expected.push(format!("ecommerce.{resource}.{verb}"));
            }
        }
        let names = UnifiedType::ALL.map(|unified| unified.to_string());
        assert_eq!(names.as_slice(), expected);
        assert!(names.iter().all(|name| name.starts_with(UNIFIED_PREFIX)));
        assert_eq!(Source::named("ecommerce"), None);
    }
}
