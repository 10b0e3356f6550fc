//! The control of a lane's message: what an operator asks of the consumer for this message, besides the event itself.
//!
//! It travels in attributes of the message, and the body stays the envelope alone: a consumer of a release that does not
//! know an attribute forwards the event as any other, and a message that comes back from a dead-letter queue has them still.
//!
//! | attribute | asks |
//! |---|---|
//! | `only` | that the event goes to this team alone |
//! | `job` | that the event is marked as replayed, by this job |
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>

use thiserror::Error;

use crate::account::AccountName;
use crate::provenance::ReplayJobId;

/// The attribute with the name of the only team that is to get the event.
pub const ONLY: &str = "only";
/// The attribute with the id of the job that sends the event again.
pub const JOB: &str = "job";

/// What is asked for one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    /// The only team that is to get the event; all whose routes take it, if there is none.
    pub only: Option<String>,
    /// The job that sends the event again.
    pub job: Option<ReplayJobId>,
}

/// An attribute that asks for nothing that can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the attribute {0} of the message is malformed")]
pub struct ControlError(pub &'static str);

impl Control {
    /// Reads the attributes `only` and `job`.
    ///
    /// # Errors
    /// One of them is malformed. What it was to restrict must not go to everybody, so this is no message without it.
    pub fn parse(only: Option<&str>, job: Option<&str>) -> Result<Self, ControlError> {
        if only == Some("") {
            return Err(ControlError(ONLY));
        }
        let job = job.map(str::parse).transpose();
        Ok(Self {
            only: only.map(str::to_owned),
            job: job.map_err(|_| ControlError(JOB))?,
        })
    }

    /// The attributes of a message that asks for this.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        let only = self.only.clone().map(|only| (ONLY, only));
        let job = self.job.as_ref().map(|job| (JOB, job.to_string()));
        only.into_iter().chain(job).collect()
    }

    /// The message group in a lane: replays are a tenant of their own, so that fair queues keep them from delaying what
    /// the account's source sends meanwhile.
    ///
    /// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html>
    #[must_use]
    pub fn group(&self, account: &AccountName) -> String {
        match self.job {
            Some(_) => format!("{account}~replay"),
            None => account.to_string(),
        }
    }

    /// Whether a team may get the event, as far as its route takes it.
    #[must_use]
    pub fn admits(&self, team: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == team)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(None, None, "acme", true)]
    #[case::one_team(Some("sales"), None, "acme", true)]
    #[case::another_team(Some("ledger"), None, "acme", false)]
    #[case::a_job(None, Some("r01-a2"), "acme~replay", true)]
    #[case::both(Some("sales"), Some("r01"), "acme~replay", true)]
    fn what_is_asked_is_read_as_it_was_written(
        #[case] only: Option<&str>,
        #[case] job: Option<&str>,
        #[case] group: &str,
        #[case] sales: bool,
    ) {
        let control = Control::parse(only, job).unwrap();
        let attributes = control.attributes();
        let named = |name| {
            let mut found = attributes.iter().filter(|(held, _)| *held == name);
            let value = found.next().map(|(_, value)| value.as_str());
            assert!(found.next().is_none());
            value
        };
        assert_eq!((named("only"), named("job")), (only, job));
        assert_eq!(
            Control::parse(named("only"), named("job")),
            Ok(control.clone())
        );
        assert_eq!(control.group(&"acme".parse().unwrap()), group);
        assert_eq!(control.admits("sales"), sales);
    }

    #[rstest]
    #[case::no_team(Some(""), None, ONLY)]
    #[case::no_job(None, Some(""), JOB)]
    #[case::no_id_of_a_job(None, Some("a b"), JOB)]
    fn what_is_malformed_is_refused(
        #[case] only: Option<&str>,
        #[case] job: Option<&str>,
        #[case] attribute: &'static str,
    ) {
        assert_eq!(Control::parse(only, job), Err(ControlError(attribute)));
    }
}
