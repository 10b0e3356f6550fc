//! Which of the template's policies for people has the permission that a call needs.

use std::fmt;

/// A managed policy of the stack, by its name in the template. Each adds to the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Looks at everything but bodies and records.
    Read,
    /// Reads bodies and records.
    Payload,
    /// Lists, releases, drops and replays events.
    Act,
    /// Changes accounts, and sends as their sources do.
    Admin,
}

/// Every call that the command makes and the policy that allows it. `dynamodb:Query` is in [`Policy::Read`] too, for
/// attributes of receipts that are no payload: what is refused beside that needs [`Policy::Payload`].
pub const NEEDS: [(&str, Policy); 32] = [
    ("cloudformation:DescribeStacks", Policy::Read),
    ("cloudwatch:DescribeAlarms", Policy::Read),
    ("cloudwatch:GetMetricData", Policy::Read),
    ("dynamodb:DescribeContinuousBackups", Policy::Read),
    ("dynamodb:DescribeTimeToLive", Policy::Read),
    ("execute-api:Invoke on GET", Policy::Read),
    ("iam:SimulatePrincipalPolicy", Policy::Read),
    ("lambda:GetAccountSettings", Policy::Read),
    ("lambda:GetFunctionConfiguration", Policy::Read),
    ("lambda:ListEventSourceMappings", Policy::Read),
    ("logs:FilterLogEvents", Policy::Read),
    ("logs:GetQueryResults", Policy::Read),
    ("logs:StartQuery", Policy::Read),
    ("scheduler:GetSchedule", Policy::Read),
    ("sns:ListSubscriptionsByTopic", Policy::Read),
    ("sqs:GetQueueAttributes", Policy::Read),
    ("ssm:GetParameter", Policy::Read),
    ("dynamodb:BatchGetItem", Policy::Payload),
    ("dynamodb:GetItem", Policy::Payload),
    ("dynamodb:Query", Policy::Payload),
    ("s3:GetObject", Policy::Payload),
    ("s3:PutObject", Policy::Act),
    ("sns:Publish", Policy::Act),
    ("sqs:ChangeMessageVisibilityBatch", Policy::Act),
    ("sqs:DeleteMessageBatch", Policy::Act),
    ("sqs:ReceiveMessage", Policy::Act),
    ("sqs:SendMessageBatch", Policy::Act),
    ("execute-api:Invoke on DELETE", Policy::Admin),
    ("execute-api:Invoke on PATCH", Policy::Admin),
    ("execute-api:Invoke on POST", Policy::Admin),
    ("execute-api:Invoke on PUT", Policy::Admin),
    ("secretsmanager:GetSecretValue", Policy::Admin),
];

impl Policy {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Payload, Self::Act, Self::Admin];

    /// Its name in the template; that of the output with its ARN ends in `Arn`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "OperatorRead",
            Self::Payload => "OperatorPayload",
            Self::Act => "OperatorAct",
            Self::Admin => "OperatorAdmin",
        }
    }

    /// The policy that has a permission; none where no policy of the stack does.
    #[must_use]
    pub fn of(action: &str) -> Option<Self> {
        let mut needs = NEEDS.iter();
        needs
            .find(|(needed, _)| *needed == action)
            .map(|(_, policy)| *policy)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a refusal says of the policy that would have allowed it.
pub(super) fn having(action: &str) -> String {
    Policy::of(action).map_or_else(String::new, |policy| {
        format!(", which the stack's policy {policy} has")
    })
}
