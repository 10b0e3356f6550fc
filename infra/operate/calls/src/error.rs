//! What can go wrong with a call, kept apart so that a command's exit code and its advice follow from it.

use std::fmt;

use super::policy::having;

/// A call, or what it is needed for, did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are no credentials, or AWS does not accept them.
    #[error(
        "no usable AWS credentials: {0}; sign in (`aws sso login`) or choose a profile with --profile"
    )]
    Credentials(String),
    /// The caller may not do this.
    #[error("not allowed: the caller needs permission {action}{} ({message})", having(.action))]
    Permission {
        /// The action as IAM names it, such as `sqs:GetQueueAttributes`; of the admin API with the method,
        /// `execute-api:Invoke on GET`.
        action: String,
        /// What the service answered.
        message: String,
    },
    /// There is no such thing.
    #[error("{what} does not exist")]
    NotFound {
        /// What was asked for, by kind and name.
        what: String,
    },
    /// No answer, or only that the service is overloaded or in trouble, after all attempts.
    #[error("{action} got no answer: {reason}")]
    Unreachable {
        /// The action as IAM names it.
        action: String,
        /// What was seen instead of an answer.
        reason: String,
    },
    /// The service refuses what was asked, for another reason than permission.
    #[error("{action} was refused with {status} {code}: {message}")]
    Service {
        /// The action as IAM names it.
        action: String,
        /// The HTTP status.
        status: u16,
        /// The service's name of the error; empty where it gave none.
        code: String,
        /// What the service answered.
        message: String,
    },
    /// An answer, or something that is stored, is not what it has to be.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// What cannot be read.
        what: String,
        /// Why.
        reason: String,
    },
    /// The stack is of a release that lacks something this command needs.
    #[error("stack {stack} has no output {output}: update it (sam build && sam deploy)")]
    OlderStack {
        /// The stack's name.
        stack: String,
        /// The output that is missing.
        output: String,
    },
    /// What the operator gave cannot be right.
    #[error("{0}")]
    Usage(String),
    /// Something is wrong or is left, and the sentence says what to do.
    #[error("{0}")]
    Refused(String),
}

/// How a command ends. The numbers are part of the command's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is done, all is well.
    Done,
    /// Something is wrong, or something is left to do.
    Left,
    /// The command line cannot be right.
    Usage,
    /// No credentials, or a permission is missing.
    Denied,
    /// There is no such thing.
    NotFound,
    /// AWS, or a source, does not answer.
    Unreachable,
    /// Interrupted by the operator.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Left => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::NotFound => 4,
            Self::Unreachable => 5,
            Self::Interrupted => 130,
        }
    }
}

impl Error {
    /// How a command ends that meets this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Credentials(_) | Self::Permission { .. } => Exit::Denied,
            Self::NotFound { .. } => Exit::NotFound,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Service { .. }
            | Self::Unreadable { .. }
            | Self::OlderStack { .. }
            | Self::Refused(_) => Exit::Left,
            Self::Usage(_) => Exit::Usage,
        }
    }

    /// An answer or a stored thing that is not what it has to be.
    pub fn unreadable(what: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Unreadable {
            what: what.into(),
            reason: reason.to_string(),
        }
    }

    /// The same error with a name for what does not exist; other errors stay.
    #[must_use]
    pub fn naming(self, what: impl Into<String>) -> Self {
        match self {
            Self::NotFound { .. } => Self::NotFound { what: what.into() },
            other => other,
        }
    }
}

/// What an unsuccessful answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Credentials,
    Permission,
    NotFound,
    /// Too many requests: the same later succeeds, and nothing was done.
    Throttled,
    /// The service is in trouble: the same later may succeed, and something may have been done.
    Transient,
    Other,
}

/// What AWS's services answer, by the name of the error and else by the status.
///
/// <https://docs.aws.amazon.com/general/latest/gr/CommonErrors.html>
pub(crate) fn kind(status: u16, code: &str, message: &str) -> Kind {
    match code {
        "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "InvalidToken"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        | "TokenRefreshRequired"
        | "UnrecognizedClientException" => Kind::Credentials,
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "NotAuthorized"
        | "UnauthorizedOperation" => Kind::Permission,
        "BandwidthLimitExceeded"
        | "PriorRequestNotComplete"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "ThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException" => Kind::Throttled,
        "AWS.SimpleQueueService.NonExistentQueue"
        | "NoSuchBucket"
        | "NoSuchEntity"
        | "NoSuchKey"
        | "NotFound"
        | "NotFoundException"
        | "ParameterNotFound"
        | "QueueDoesNotExist"
        | "ResourceNotFound"
        | "ResourceNotFoundException" => Kind::NotFound,
        // CloudFormation has no name of its own for a stack that is not there.
        "ValidationError" if message.contains("does not exist") => Kind::NotFound,
        _ => match status {
            // The gateway has no name for it, but says so in a sentence.
            401 | 403 if is_about_credentials(message) => Kind::Credentials,
            401 | 403 => Kind::Permission,
            404 => Kind::NotFound,
            429 => Kind::Throttled,
            500 | 502..=504 => Kind::Transient,
            _ => Kind::Other,
        },
    }
}

fn is_about_credentials(message: &str) -> bool {
    [
        "security token",
        "signature",
        "Signature",
        "Missing Authentication Token",
    ]
    .iter()
    .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(400, "ExpiredTokenException", "", Kind::Credentials)]
    #[case(
        403,
        "",
        "The security token included in the request is invalid",
        Kind::Credentials
    )]
    #[case(403, "", "Forbidden", Kind::Permission)]
    #[case(400, "AccessDeniedException", "", Kind::Permission)]
    #[case(400, "ThrottlingException", "", Kind::Throttled)]
    #[case(429, "", "", Kind::Throttled)]
    #[case(400, "QueueDoesNotExist", "", Kind::NotFound)]
    #[case(
        400,
        "ValidationError",
        "Stack with id x does not exist",
        Kind::NotFound
    )]
    #[case(400, "ValidationError", "1 validation error", Kind::Other)]
    #[case(404, "", "", Kind::NotFound)]
    #[case(503, "", "", Kind::Transient)]
    #[case(501, "", "", Kind::Other)]
    fn an_answer_means(
        #[case] status: u16,
        #[case] code: &str,
        #[case] message: &str,
        #[case] expected: Kind,
    ) {
        assert_eq!(kind(status, code, message), expected);
    }

    #[rstest]
    #[case(
        "sqs:ReceiveMessage",
        "not allowed: the caller needs permission sqs:ReceiveMessage, which the stack's policy OperatorAct has (no)"
    )]
    #[case(
        "sqs:DeleteQueue",
        "not allowed: the caller needs permission sqs:DeleteQueue (no)"
    )]
    fn a_refusal_names_the_policy_that_the_caller_lacks(
        #[case] action: &str,
        #[case] expected: &str,
    ) {
        let error = Error::Permission {
            action: action.to_owned(),
            message: "no".to_owned(),
        };
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn every_error_has_its_exit_code() {
        let permission = Error::Permission {
            action: "sqs:GetQueueAttributes".to_owned(),
            message: String::new(),
        };
        let unreachable = Error::Unreachable {
            action: "sts:GetCallerIdentity".to_owned(),
            reason: String::new(),
        };
        let not_found = Error::NotFound {
            what: "stack x".to_owned(),
        };
        let service = Error::Service {
            action: "sqs:SendMessage".to_owned(),
            status: 400,
            code: String::new(),
            message: String::new(),
        };
        let codes = [
            Error::Credentials(String::new()),
            permission,
            not_found,
            unreachable,
            service,
            Error::Usage(String::new()),
            Error::Refused(String::new()),
        ]
        .map(|error| error.exit().code());
        assert_eq!(codes, [3, 3, 4, 5, 1, 2, 1]);
        assert_eq!(Exit::Done.code(), 0);
        assert_eq!(Exit::Interrupted.code(), 130);
    }
}
