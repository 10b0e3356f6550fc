//! The words for what happens to an account: in its history as sentences, in metrics as these, and to teams as account
//! events.

use domain::subscription::AccountEventKind;

/// Something about the source that is not as it shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The webhook is not there.
    Missing,
    /// The webhook has other events or another endpoint.
    Differs,
    /// The source disabled the webhook.
    Disabled,
    /// The webhook is signed with another key than we hold.
    OtherKey,
    /// The signing keys that are kept cannot be read.
    KeysUnreadable,
    /// What the table says of a URL token is gone, or not what the account says.
    EntryLost,
    /// A webhook of ours is one too many.
    Stray,
    /// A webhook at our address has a token that nobody knows.
    Orphan,
}

impl Finding {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Differs => "differs",
            Self::Disabled => "disabled",
            Self::OtherKey => "other_key",
            Self::KeysUnreadable => "keys_unreadable",
            Self::EntryLost => "entry_lost",
            Self::Stray => "stray",
            Self::Orphan => "stranger",
        }
    }
}

/// Something that was done at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A webhook was registered and is in use.
    Registered,
    /// A webhook was given its events and endpoint.
    Corrected,
    /// A webhook was enabled again.
    Enabled,
    /// A webhook was removed.
    Removed,
    /// A webhook's new key is held.
    KeyTaken,
    /// Another webhook is to take over from the one in use.
    RotationBegun,
    /// A webhook has taken over from another.
    HandedOver,
    /// The webhook was removed that another has taken over from.
    ReplacedDeleted,
}

impl Act {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Corrected => "corrected",
            Self::Enabled => "enabled",
            Self::Removed => "removed",
            Self::KeyTaken => "key_taken",
            Self::RotationBegun => "rotation_begun",
            Self::HandedOver => "handed_over",
            Self::ReplacedDeleted => "relieved",
        }
    }
}

/// What an entry of the history is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// Something is not as it shall be.
    Found(Finding),
    /// Something was done at the source.
    Did(Act),
    /// All of ours is withdrawn.
    Disconnected,
    /// The operator chose or kept something else.
    Chosen,
    /// A URL was made, to be registered by hand.
    EndpointMade,
    /// A webhook is gone as it had to be; only retries of its deliveries are taken.
    Expired,
    /// A webhook could not be removed, and a person has to.
    LeftBehind,
    /// The source began or ceased to list its webhooks.
    Listing,
    /// The account goes on with what could be read of it.
    Salvaged,
    /// Deliveries stay away for longer than is usual.
    Silent,
    /// They arrive again.
    Arriving,
    /// The source sends to the webhook again.
    Resumed,
    /// The desired state is not reached.
    NotFinished,
}

impl Note {
    /// What teams are sent of it.
    pub(crate) fn event(self) -> AccountEventKind {
        match self {
            Self::Did(Act::Registered) => AccountEventKind::Connected,
            Self::Did(
                Act::Removed | Act::RotationBegun | Act::HandedOver | Act::ReplacedDeleted,
            )
            | Self::Chosen
            | Self::EndpointMade
            | Self::Expired
            | Self::LeftBehind
            | Self::Listing
            // A webhook too many brings events twice, and takes none away.
            | Self::Found(Finding::Stray | Finding::Orphan) => AccountEventKind::Changed,
            Self::Silent | Self::Salvaged => AccountEventKind::Suspect,
            Self::Found(
                Finding::Missing
                | Finding::Differs
                | Finding::Disabled
                | Finding::OtherKey
                | Finding::KeysUnreadable
                | Finding::EntryLost,
            )
            | Self::NotFinished => AccountEventKind::Failed,
            Self::Did(Act::Corrected | Act::Enabled | Act::KeyTaken)
            | Self::Arriving
            | Self::Resumed => AccountEventKind::Repaired,
            Self::Disconnected => AccountEventKind::Disconnected,
        }
    }
}
