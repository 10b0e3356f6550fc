//! Lanes: the queues between inbound and consumer, apart so that one kind of traffic cannot delay another.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A lane queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Customers created, changed or deleted.
    Customers,
    /// Orders and dispatches: people wait for these.
    Orders,
    /// Invoices and payments.
    Billing,
    /// Products: large records.
    Products,
    /// Stock: a bulk change is one event per SKU.
    Inventory,
    /// Every type that no other lane names: a type added tomorrow is kept today.
    Other,
}

impl Lane {
    /// All lanes, in the order in which people list them.
    pub const ALL: [Self; 6] = [
        Self::Customers,
        Self::Orders,
        Self::Billing,
        Self::Products,
        Self::Inventory,
        Self::Other,
    ];

    /// The lane's name, as in queue names, configuration and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Orders => "orders",
            Self::Billing => "billing",
            Self::Products => "products",
            Self::Inventory => "inventory",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no [`Lane`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no lane: customers, orders, billing, products, inventory or other")]
pub struct LaneError(String);

impl FromStr for Lane {
    type Err = LaneError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|lane| lane.as_str() == name)
            .ok_or_else(|| LaneError(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_read_by_its_name_and_by_no_other() {
        for lane in Lane::ALL {
            assert_eq!(lane.to_string().parse(), Ok(lane));
        }
        assert_eq!(
            "orders ".parse::<Lane>(),
            Err(LaneError("orders ".to_owned()))
        );
    }
}
