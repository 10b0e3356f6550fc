//! The answers, in one table. To a source there are two: its success status, and any other, which makes it
//! send again and, after several, disables the webhook. So the table answers anything else only where a retry helps.

use lambda_http::{Body, Response};
use runtime::metrics::{Metric, count, count_by};

/// What a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Every event is durable.
    Accepted {
        /// The HTTP status that the source takes for success.
        success: u16,
    },
    /// What was not understood is kept in quarantine; every other event is durable.
    Quarantined {
        /// The HTTP status that the source takes for success.
        success: u16,
    },
    /// It is a greeting by a known token: there is nothing to keep.
    Greeted {
        /// The HTTP status that the source takes for success.
        success: u16,
    },
    /// Nothing proves that the source sent it. All causes have one answer, so that it gives no hint; but what has not even
    /// the form of a webhook's URL is answered as by the gateway.
    Unverified(Unverified),
    /// The token is known, and the proof cannot be checked yet.
    NotReady(NotReady),
    /// It is genuine, and not all of it is durable.
    Refused(Refused),
}

/// Why a request counts as unauthenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// What the gateway sent is no request, or its body cannot be read.
    MalformedRequest,
    /// It came by the Function URL, and the gateway has no route for its method and path.
    NoRoute,
    /// The URL names no source, has no token, or has one that we never made.
    UnknownToken,
    /// The account was disconnected.
    Disconnected,
    /// The request has no signature.
    NoSignature,
    /// It has two, or one that is malformed.
    MalformedSignature,
    /// No live key made it.
    WrongSignature,
}

/// Why a proof cannot be checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// The webhook was registered a moment ago, and its key is not stored yet.
    KeysNotHeld,
    /// The secret could not be read.
    KeysUnreadable,
    /// The accounts table could not be read.
    TokensUnreadable,
    /// The time budget was spent before anything was known.
    OutOfTime,
    /// The system gave no random bytes for an id.
    NoRandomness,
}

/// Why a genuine delivery was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// A lane queue did not accept an event, and may later.
    QueueRefused,
    /// The store for large events did not take one.
    OversizeRefused,
    /// The quarantine queue did not accept its message.
    QuarantineRefused,
    /// Something would have pointed at the receipt, and it is not kept.
    NoReceipt,
    /// The retry marker is still there: the next delivery of these bytes would be taken for this one.
    MarkerKept,
}

impl Unverified {
    /// The cause in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedRequest => "malformed_request",
            Self::NoRoute => "no_route",
            Self::UnknownToken => "unknown_token",
            Self::Disconnected => "disconnected",
            Self::NoSignature => "no_signature",
            Self::MalformedSignature => "malformed_signature",
            Self::WrongSignature => "wrong_signature",
        }
    }
}

impl NotReady {
    /// The cause in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeysNotHeld => "keys_not_held",
            Self::KeysUnreadable => "keys_unreadable",
            Self::TokensUnreadable => "tokens_unreadable",
            Self::OutOfTime => "not_verified_in_time",
            Self::NoRandomness => "no_randomness",
        }
    }
}

impl Refused {
    /// The cause in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueRefused => "queue_refused",
            Self::OversizeRefused => "oversize_refused",
            Self::QuarantineRefused => "quarantine_refused",
            Self::NoReceipt => "no_receipt",
            Self::MarkerKept => "marker_kept",
        }
    }
}

impl Answer {
    /// The table: status and body.
    fn status_and_word(self) -> (u16, &'static str) {
        match self {
            Self::Accepted { success }
            | Self::Quarantined { success }
            | Self::Greeted { success } => (success, "accepted"),
            // The gateway's own answer, so that neither way in shows what is behind it.
            Self::Unverified(Unverified::NoRoute) => (404, r#"{"message":"Not Found"}"#),
            Self::Unverified(
                Unverified::MalformedRequest
                | Unverified::UnknownToken
                | Unverified::Disconnected
                | Unverified::NoSignature
                | Unverified::MalformedSignature
                | Unverified::WrongSignature,
            ) => (401, "unauthorized"),
            Self::NotReady(
                NotReady::KeysNotHeld
                | NotReady::KeysUnreadable
                | NotReady::TokensUnreadable
                | NotReady::OutOfTime
                | NotReady::NoRandomness,
            )
            | Self::Refused(
                Refused::QueueRefused
                | Refused::OversizeRefused
                | Refused::QuarantineRefused
                | Refused::NoReceipt
                | Refused::MarkerKept,
            ) => (503, "retry"),
        }
    }

    /// The HTTP status.
    pub(crate) fn status(self) -> u16 {
        self.status_and_word().0
    }

    /// What became of the request, in one word.
    pub(crate) fn outcome(self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Quarantined { .. } => "quarantined",
            Self::Greeted { .. } => "greeted",
            Self::Unverified(_) => "unauthenticated",
            Self::NotReady(_) | Self::Refused(_) => "refused",
        }
    }

    /// Why it is no success.
    pub(crate) fn cause(self) -> Option<&'static str> {
        match self {
            Self::Accepted { .. } | Self::Quarantined { .. } | Self::Greeted { .. } => None,
            Self::Unverified(cause) => Some(cause.as_str()),
            Self::NotReady(cause) => Some(cause.as_str()),
            Self::Refused(cause) => Some(cause.as_str()),
        }
    }

    /// Counts the answer, and what is no success by its cause. A greeting is no delivery.
    pub(crate) fn count(self) {
        match self {
            Self::Accepted { .. } | Self::Quarantined { .. } => count(Metric::Deliveries, 1),
            Self::Greeted { .. } => {}
            Self::Unverified(cause) => count_by(Metric::Unauthenticated, 1, &[cause.as_str()]),
            Self::NotReady(cause) => count_by(Metric::DeliveriesRefused, 1, &[cause.as_str()]),
            Self::Refused(cause) => count_by(Metric::DeliveriesRefused, 1, &[cause.as_str()]),
        }
    }

    /// The answer as the gateway takes it.
    #[must_use]
    pub fn to_response(self) -> Response<Body> {
        let (status, word) = self.status_and_word();
        let mut response = Response::new(Body::from(word));
        // Every status in the table is one; if it were not, asking for a retry is the safe answer.
        *response.status_mut() =
            http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::SERVICE_UNAVAILABLE);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The causes are dimensions of metrics, and an operator searches logs for them.
    #[test]
    fn causes_have_their_words() {
        use NotReady::{KeysNotHeld, KeysUnreadable, NoRandomness, OutOfTime, TokensUnreadable};
        use Unverified::{
            Disconnected, MalformedSignature, NoSignature, UnknownToken, WrongSignature,
        };
        let unauthenticated = [
            UnknownToken,
            Disconnected,
            NoSignature,
            MalformedSignature,
            WrongSignature,
        ];
        assert_eq!(
            unauthenticated.map(Unverified::as_str),
            [
                "unknown_token",
                "disconnected",
                "no_signature",
                "malformed_signature",
                "wrong_signature"
            ]
        );
        let not_ready = [
            KeysNotHeld,
            KeysUnreadable,
            TokensUnreadable,
            OutOfTime,
            NoRandomness,
        ];
        assert_eq!(
            not_ready.map(NotReady::as_str),
            [
                "keys_not_held",
                "keys_unreadable",
                "tokens_unreadable",
                "not_verified_in_time",
                "no_randomness"
            ]
        );
    }
}
