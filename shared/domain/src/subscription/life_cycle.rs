//! What the life of a webhook depends on at each source: plain values.

/// The facts of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeCycle {
    /// What an integration proves itself with, in the order in which it is asked for.
    pub credentials: &'static [CredentialField],
    /// Where signing keys come from.
    pub keys: KeyOrigin,
    /// Whether a second webhook can be registered that takes over from the first.
    pub rotates: bool,
    /// Whether the API can enable a webhook again that the source disabled.
    pub enables: bool,
    /// After how many failed attempts at a delivery the source gives up; `None` where it does not say.
    pub attempts: Option<usize>,
    /// How long the source wants to be left alone after too many requests, in seconds, where its answer does not say.
    pub quiet_seconds: u64,
}

/// A part of an integration's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialField {
    /// Its name in a connect request.
    pub name: &'static str,
    /// Whether it must never be shown.
    pub is_secret: bool,
}

/// Where the key comes from that deliveries are signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrigin {
    /// The source makes it and shows it with the webhook.
    TheirsShown,
    /// We make it, and send it with the registration: [`Api::secrets`](super::Api::secrets) says what is wanted.
    OursSent,
    /// It is one of the credentials, by its field's name.
    Credential(&'static str),
    /// The source makes it, and an operator gives it to us. So is the rest of the life of its webhooks: a person registers
    /// them at the source ([`LifeCycle::is_manual`]).
    TheirsGiven,
}

impl CredentialField {
    /// Whether it is the address of the source's API, which has to be an [`ApiUrl`](super::ApiUrl). Its name says so.
    #[must_use]
    pub fn is_url(&self) -> bool {
        self.name.ends_with("_url")
    }
}

impl LifeCycle {
    /// Whether a person registers and removes the webhooks, because no call of the source does.
    #[must_use]
    pub fn is_manual(&self) -> bool {
        self.keys == KeyOrigin::TheirsGiven
    }

    /// The names of the credential fields, for a sentence.
    #[must_use]
    pub fn credential_names(&self) -> String {
        if self.is_manual() {
            return "signing_secrets".to_owned();
        }
        let names: Vec<&str> = self.credentials.iter().map(|field| field.name).collect();
        match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => String::new(),
        }
    }

    /// How long to leave the source alone after too many requests, in seconds: as long as it asked for.
    #[must_use]
    pub fn pause(&self, asked: Option<u64>) -> u64 {
        asked.unwrap_or(self.quiet_seconds)
    }

    /// How many failed deliveries in a row are too many: as configured, or fewer where that would leave no attempt
    /// to act before the source gives up.
    #[must_use]
    pub fn failures_alarm(&self, configured: usize) -> usize {
        let in_time = self
            .attempts
            .map(|attempts| attempts.saturating_sub(2).max(1));
        in_time.map_or(configured, |in_time| configured.min(in_time))
    }
}

/// The facts of a source that shows its keys and rotates.
#[cfg(test)]
pub(crate) const EXAMPLE: LifeCycle = LifeCycle {
    credentials: &[],
    keys: KeyOrigin::TheirsShown,
    rotates: true,
    enables: false,
    attempts: None,
    quiet_seconds: 60,
};

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::it_does_not_say(None, 3, 3)]
    #[case::it_gives_up_at_once(Some(1), 3, 1)]
    #[case::it_gives_up_soon(Some(3), 3, 1)]
    #[case::it_leaves_two_attempts(Some(4), 3, 2)]
    #[case::it_has_patience(Some(9), 3, 3)]
    fn the_alarm_rings_before_the_source_gives_up(
        #[case] attempts: Option<usize>,
        #[case] configured: usize,
        #[case] expected: usize,
    ) {
        let facts = LifeCycle {
            attempts,
            ..EXAMPLE
        };
        assert_eq!(facts.failures_alarm(configured), expected);
    }

    #[rstest]
    #[case::one(1, "a")]
    #[case::two(2, "a and b")]
    #[case::three(3, "a, b and c")]
    fn credential_fields_are_named_as_in_a_sentence(#[case] count: usize, #[case] said: &str) {
        const FIELDS: [CredentialField; 3] = [field("a"), field("b"), field("c")];
        const fn field(name: &'static str) -> CredentialField {
            CredentialField {
                name,
                is_secret: true,
            }
        }
        let facts = LifeCycle {
            credentials: &FIELDS[..count],
            ..EXAMPLE
        };
        assert_eq!(facts.credential_names(), said);
    }
}
