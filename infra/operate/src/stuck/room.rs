//! The queues in which something waits for a person.

use std::fmt;
use std::str::FromStr;

use domain::lane::Lane;
use serde::{Serialize, Serializer};

use crate::queues::Role;
use crate::stack::Stack;
use calls::Error;

/// What the name of a room of dead letters begins with.
const DEAD_LETTERS: &str = "dead-letters";

/// A queue in which something waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Events that a team's queue refused.
    Undelivered,
    /// Events of a lane that failed too often.
    DeadLetters(Lane),
    /// Deliveries, or parts of them, that were not understood.
    Quarantine,
}

impl Room {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let dead = Lane::ALL.into_iter().map(Self::DeadLetters);
        [Self::Undelivered]
            .into_iter()
            .chain(dead)
            .chain([Self::Quarantine])
            .collect()
    }

    /// The queue's URL.
    ///
    /// # Errors
    /// [`Error::OlderStack`] where the stack does not say it.
    pub fn url(self, stack: &Stack) -> Result<&str, Error> {
        let role = match self {
            Self::Undelivered => Role::Undelivered,
            Self::DeadLetters(lane) => Role::DeadLetters(lane),
            Self::Quarantine => Role::Quarantine,
        };
        role.url(stack)
    }

    /// The rooms that a name stands for: `undelivered`, `quarantine`, `dead-letters`, or the dead letters of one lane,
    /// `dead-letters/orders`.
    ///
    /// # Errors
    /// [`Error::Usage`] for any other name.
    pub fn named(name: &str) -> Result<Vec<Self>, Error> {
        match name {
            "undelivered" => Ok(vec![Self::Undelivered]),
            "quarantine" => Ok(vec![Self::Quarantine]),
            DEAD_LETTERS => Ok(Lane::ALL.map(Self::DeadLetters).to_vec()),
            _ => {
                let lane = name.strip_prefix(DEAD_LETTERS);
                let lane = lane.and_then(|rest| rest.strip_prefix('/'));
                let lane = lane.and_then(|lane| Lane::from_str(lane).ok());
                let refused = || {
                    Error::Usage(format!(
                        "{name:?} is none of undelivered, quarantine, dead-letters and dead-letters/LANE"
                    ))
                };
                Ok(vec![Self::DeadLetters(lane.ok_or_else(refused)?)])
            }
        }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undelivered => f.write_str("undelivered"),
            Self::DeadLetters(lane) => write!(f, "{DEAD_LETTERS}/{lane}"),
            Self::Quarantine => f.write_str("quarantine"),
        }
    }
}

impl Serialize for Room {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_room_is_named_as_it_prints() {
        for room in Room::all() {
            assert_eq!(Room::named(&room.to_string()).unwrap(), [room]);
        }
        assert_eq!(Room::named("dead-letters").unwrap().len(), 6);
    }

    #[rstest]
    #[case("")]
    #[case("dead-letters/")]
    #[case("dead-letters/order")]
    #[case("dead-lettersorders")]
    #[case("orders")]
    fn no_other_name_is_one(#[case] name: &str) {
        assert!(matches!(Room::named(name), Err(Error::Usage(_))), "{name}");
    }
}
