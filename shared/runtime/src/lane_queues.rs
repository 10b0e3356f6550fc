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

    /// The lane of a queue, by the queue's ARN: an ARN and a URL end in the queue's name.
    #[must_use]
    pub fn lane(&self, arn: &str) -> Option<Lane> {
        let (_, name) = arn.rsplit_once(':')?;
        Lane::ALL
            .into_iter()
            .find(|lane| self.of(*lane).name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn queues() -> LaneQueues {
        let url =
            |lane: &str| format!("https://sqs.eu-west-1.amazonaws.com/000000000000/{lane}-1A2B");
        LaneQueues::read(&Variables::from([
            ("CUSTOMERS_QUEUE_URL", &*url("customers")),
            ("ORDERS_QUEUE_URL", &*url("orders")),
            ("BILLING_QUEUE_URL", &*url("billing")),
            ("PRODUCTS_QUEUE_URL", &*url("products")),
            ("INVENTORY_QUEUE_URL", &*url("inventory")),
            ("OTHER_QUEUE_URL", &*url("other")),
        ]))
        .unwrap()
    }

    #[test]
    fn a_lane_is_known_by_the_arn_of_its_queue() {
        for lane in Lane::ALL {
            let arn = format!("arn:aws:sqs:eu-west-1:000000000000:{lane}-1A2B");
            assert_eq!(queues().lane(&arn), Some(lane));
            assert!(
                queues()
                    .of(lane)
                    .as_str()
                    .ends_with(&format!("/{lane}-1A2B"))
            );
        }
    }

    #[rstest]
    #[case::nothing("")]
    #[case::no_arn("orders-1A2B")]
    #[case::no_name("arn:aws:sqs:eu-west-1:000000000000:")]
    #[case::of_another_queue("arn:aws:sqs:eu-west-1:000000000000:orders")]
    #[case::of_a_longer_name("arn:aws:sqs:eu-west-1:000000000000:my-orders-1A2B")]
    fn an_arn_of_another_queue_is_of_no_lane(#[case] arn: &str) {
        assert_eq!(queues().lane(arn), None);
    }
}
