//! Sources by name: the systems whose webhooks are received.
//!
//! Only the name is known here: it is stored, compared, and part of URLs and CloudEvents. Everything that a source does is
//! in its folder of the crate `sources`.

use std::fmt;

/// A system that sends webhooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Apideck, a unified API to many commerce systems: <https://developers.apideck.com>.
    Apideck,
    /// Orderspace, a wholesale ordering platform: <https://apidocs.orderspace.com>.
    Orderspace,
    /// Ordermentum, a wholesale ordering platform for food and beverage: <https://docs.ordermentum.io>.
    Ordermentum,
    /// OneStock, an order management system: <https://onestock.atlassian.net/wiki/spaces/DOCUMENTAT>.
    OneStock,
    /// StackOne, a platform that relays events of many commerce systems: <https://docs.stackone.com>.
    StackOne,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 5] = [
        Self::Apideck,
        Self::Orderspace,
        Self::Ordermentum,
        Self::OneStock,
        Self::StackOne,
    ];

    /// The source's name, as in webhook URLs, CloudEvents sources and types.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apideck => "apideck",
            Self::Orderspace => "orderspace",
            Self::Ordermentum => "ordermentum",
            Self::OneStock => "onestock",
            Self::StackOne => "stackone",
        }
    }

    /// The source of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_found_by_its_name_and_by_no_other() {
        for source in Source::ALL {
            assert_eq!(Source::named(&source.to_string()), Some(source));
        }
        assert_eq!(Source::named("Orderspace"), None);
        assert_eq!(Source::named(""), None);
    }
}
