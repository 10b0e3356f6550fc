//! The words for what happens to an account: in its history as sentences, in metrics as these.

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
