//! The queue of each lane, as the template gives them to the functions that send to them and read from them.

use domain::lane::Lane;
use domain::ports::QueueUrl;

use crate::config::{ConfigError, Variables};

/// The queue of each lane.
#[derive(Debug, Clone)]
pub struct LaneQueues {
    customers: QueueUrl,
    orders: QueueUrl,
    billing: QueueUrl,
    products: QueueUrl,
    inventory: QueueUrl,
    other: QueueUrl,
}

impl LaneQueues {
    /// Reads the queues' URLs.
    ///
    /// # Errors
    /// A variable that is missing, by its name.
    pub fn read(variables: &Variables) -> Result<Self, ConfigError> {
        let queue = |name| variables.text(name).map(QueueUrl::new);
        Ok(Self {
            customers: queue("CUSTOMERS_QUEUE_URL")?,
            orders: queue("ORDERS_QUEUE_URL")?,
            billing: queue("BILLING_QUEUE_URL")?,
            products: queue("PRODUCTS_QUEUE_URL")?,
            inventory: queue("INVENTORY_QUEUE_URL")?,
            other: queue("OTHER_QUEUE_URL")?,
        })
    }

    /// The queue of a lane.
    #[must_use]
    pub fn of(&self, lane: Lane) -> &QueueUrl {
        match lane {
            Lane::Customers => &self.customers,
            Lane::Orders => &self.orders,
            Lane::Billing => &self.billing,
            Lane::Products => &self.products,
            Lane::Inventory => &self.inventory,
            Lane::Other => &self.other,
        }
    }
}
