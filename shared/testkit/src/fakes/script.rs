//! What a fake was asked, and what a test has it do about it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::ports::{ErrorKind, PortError};

use super::lock;

/// The order of events over several fakes: who was asked what, and when it was done.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<Step>>>);

/// One step of a [`Journal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Port and operation, such as `receipts.keep`.
    pub call: &'static str,
    /// A queue's URL, an account, a key: what it was about.
    pub scope: String,
    /// Whether the work was now done; otherwise the call begins here.
    pub done: bool,
}

impl Journal {
    /// The steps so far.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        lock(&self.0).clone()
    }

    /// Whether `first` was done before `second` began, for the first of either; `false` if one is missing.
    #[must_use]
    pub fn is_done_before(
        &self,
        first: impl Fn(&Step) -> bool,
        second: impl Fn(&Step) -> bool,
    ) -> bool {
        let steps = self.steps();
        let done = steps.iter().position(|step| step.done && first(step));
        let begun = steps.iter().position(|step| !step.done && second(step));
        matches!((done, begun), (Some(done), Some(begun)) if done < begun)
    }

    fn note(&self, call: &'static str, scope: &str, done: bool) {
        let scope = scope.to_owned();
        lock(&self.0).push(Step { call, scope, done });
    }
}

/// What goes wrong in one call.
#[derive(Clone, Debug)]
pub struct Fault {
    delay: Duration,
    act: Act,
}

#[derive(Clone, Debug)]
enum Act {
    Nothing,
    Refuse(ErrorKind, String),
    Lose(ErrorKind, String),
    Entries(Entries, ErrorKind, String),
    Hang,
    Panic,
}

#[derive(Clone)]
pub(super) enum Entries {
    At(Vec<usize>),
    With(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl Entries {
    pub(super) fn contain(&self, position: usize, body: &str) -> bool {
        match self {
            Self::At(positions) => positions.contains(&position),
            Self::With(predicate) => predicate(body),
        }
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(positions) => write!(f, "{positions:?}"),
            Self::With(_) => f.write_str("by their bodies"),
        }
    }
}

impl Fault {
    fn new(act: Act) -> Self {
        Self {
            delay: Duration::ZERO,
            act,
        }
    }

    /// Nothing goes wrong: lets one call pass before the next fault.
    #[must_use]
    pub fn nothing() -> Self {
        Self::new(Act::Nothing)
    }

    /// Nothing is done; asking again can help.
    #[must_use]
    pub fn transient(code: &str) -> Self {
        Self::new(Act::Refuse(ErrorKind::Transient, code.to_owned()))
    }

    /// Nothing is done, and nothing will be.
    #[must_use]
    pub fn permanent(code: &str) -> Self {
        Self::new(Act::Refuse(ErrorKind::Permanent, code.to_owned()))
    }

    /// The place is gone, or closed to us.
    #[must_use]
    pub fn closed(code: &str) -> Self {
        Self::new(Act::Refuse(ErrorKind::Closed, code.to_owned()))
    }

    /// The work is done, and the answer is lost: a time-out after the fact.
    #[must_use]
    pub fn lost() -> Self {
        Self::new(Act::Lose(ErrorKind::Transient, "timeout".to_owned()))
    }

    /// The call does its work but for the entries of a batch at these positions.
    #[must_use]
    pub fn entries(positions: &[usize], kind: ErrorKind, code: &str) -> Self {
        let entries = Entries::At(positions.to_vec());
        Self::new(Act::Entries(entries, kind, code.to_owned()))
    }

    /// The call does its work but for the entries of a batch with such bodies.
    #[must_use]
    pub fn entries_with(
        predicate: impl Fn(&str) -> bool + Send + Sync + 'static,
        kind: ErrorKind,
        code: &str,
    ) -> Self {
        let entries = Entries::With(Arc::new(predicate));
        Self::new(Act::Entries(entries, kind, code.to_owned()))
    }

    /// The call never ends.
    #[must_use]
    pub fn hang() -> Self {
        Self::new(Act::Hang)
    }

    /// The call panics.
    #[must_use]
    pub fn panic() -> Self {
        Self::new(Act::Panic)
    }

    /// The call takes so long before anything happens, by tokio's clock, which a test can pause.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

/// A rule under construction: to which calls a fault happens. Of its operation's calls, the next one, if
/// nothing else is said.
#[derive(Debug)]
#[must_use = "a rule does nothing until it is given its fault"]
pub struct Faults<'s> {
    script: &'s Script,
    rule: Rule,
}

#[derive(Debug, Clone)]
struct Rule {
    call: &'static str,
    scope: Option<String>,
    left: Option<usize>,
    fault: Fault,
}

impl Faults<'_> {
    /// Only calls about this: a queue's URL, an account, a key.
    pub fn within(mut self, scope: impl fmt::Display) -> Self {
        self.rule.scope = Some(scope.to_string());
        self
    }

    /// So many calls.
    pub fn times(mut self, count: usize) -> Self {
        self.rule.left = Some(count);
        self
    }

    /// Every call.
    pub fn always(mut self) -> Self {
        self.rule.left = None;
        self
    }

    /// Adds the rule behind those that there are.
    pub fn fault(mut self, fault: Fault) {
        self.rule.fault = fault;
        lock(&self.script.rules).push(self.rule);
    }
}

/// What a fake was asked, and what a test has it do about it.
///
/// Of all rules that fit a call, the first that is not used up happens.
///
/// ```
/// # use testkit::fakes::{FakeReceipts, Fault};
/// let receipts = FakeReceipts::default();
/// receipts.script().on("keep").times(2).fault(Fault::transient("ServiceUnavailable"));
/// ```
#[derive(Debug)]
pub struct Script {
    known: &'static [&'static str],
    calls: Mutex<BTreeMap<&'static str, usize>>,
    rules: Mutex<Vec<Rule>>,
    journal: Journal,
}

/// How a call goes on once its fault is known.
#[derive(Debug)]
pub(super) struct Begun<'s> {
    script: &'s Script,
    call: &'static str,
    scope: String,
    lost: Option<PortError>,
    entries: Option<(Entries, PortError)>,
}

impl Script {
    /// A script for the operations of a port, as journals name them.
    pub(super) fn new(known: &'static [&'static str]) -> Self {
        Self {
            known,
            calls: Mutex::default(),
            rules: Mutex::default(),
            journal: Journal::default(),
        }
    }

    pub(super) fn share(&mut self, journal: &Journal) {
        self.journal = journal.clone();
    }

    /// Begins a rule for an operation, such as `send`.
    ///
    /// # Panics
    /// The port has no such operation.
    pub fn on(&self, operation: &str) -> Faults<'_> {
        Faults {
            script: self,
            rule: Rule {
                call: self.find(operation),
                scope: None,
                left: Some(1),
                fault: Fault::nothing(),
            },
        }
    }

    /// Forgets all rules: from here on everything works.
    pub fn repair(&self) {
        lock(&self.rules).clear();
    }

    /// How often each operation was called, refused or not. What was never called is not in it.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        lock(&self.calls).clone()
    }

    fn find(&self, operation: &str) -> &'static str {
        let port_of = |call: &&'static str| call.strip_suffix(operation)?.strip_suffix('.');
        let call = self.known.iter().find(|call| port_of(call).is_some());
        call.unwrap_or_else(|| panic!("{operation:?} is none of {:?}", self.known))
    }

    /// Counts a call and lets its fault happen.
    pub(super) async fn begin(
        &self,
        operation: &'static str,
        scope: &str,
    ) -> Result<Begun<'_>, PortError> {
        let call = self.find(operation);
        *lock(&self.calls).entry(operation).or_default() += 1;
        self.journal.note(call, scope, false);
        let Fault { delay, act } = self.take(call, scope);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let mut begun = Begun {
            script: self,
            call,
            scope: scope.to_owned(),
            lost: None,
            entries: None,
        };
        let error = |kind, code| PortError {
            what: call,
            code,
            kind,
        };
        match act {
            Act::Nothing => {}
            Act::Refuse(kind, code) => return Err(error(kind, code)),
            Act::Lose(kind, code) => begun.lost = Some(error(kind, code)),
            Act::Entries(entries, kind, code) => begun.entries = Some((entries, error(kind, code))),
            Act::Hang => std::future::pending().await,
            Act::Panic => panic!("{call} was told to panic"),
        }
        Ok(begun)
    }

    fn take(&self, call: &str, scope: &str) -> Fault {
        let mut rules = lock(&self.rules);
        let fits = |rule: &&mut Rule| {
            rule.call == call
                && rule.left != Some(0)
                && rule.scope.as_deref().is_none_or(|only| only == scope)
        };
        match rules.iter_mut().find(fits) {
            Some(rule) => {
                rule.left = rule.left.map(|left| left - 1);
                rule.fault.clone()
            }
            None => Fault::nothing(),
        }
    }
}

impl Begun<'_> {
    /// Why the entry at this position is refused, if the script says so.
    pub(super) fn refusal(&self, position: usize, body: &str) -> Option<PortError> {
        let (entries, error) = self.entries.as_ref()?;
        entries.contain(position, body).then(|| error.clone())
    }

    /// A refusal of the content, in this call's name.
    pub(super) fn permanent(&self, code: &str) -> PortError {
        PortError::permanent(self.call, code)
    }

    /// A refusal by a place that is gone, in this call's name.
    pub(super) fn closed(&self, code: &str) -> PortError {
        PortError::closed(self.call, code)
    }

    /// A refusal that may pass, in this call's name.
    pub(super) fn transient(&self, code: &str) -> PortError {
        PortError::transient(self.call, code)
    }

    /// Ends the call after its work: with the answer, or with its loss.
    pub(super) fn done<T>(self, answer: T) -> Result<T, PortError> {
        assert!(
            self.entries.is_none() || matches!(self.call, "queues.send" | "redelivery.delay"),
            "{} has no entries that could be refused",
            self.call
        );
        self.script.journal.note(self.call, &self.scope, true);
        self.lost.map_or(Ok(answer), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Script {
        Script::new(&["store.get", "store.put"])
    }

    async fn call(script: &Script, scope: &str) -> Result<(), String> {
        let code = |error: PortError| error.code;
        let begun = script.begin("get", scope).await.map_err(code)?;
        begun.done(()).map_err(code)
    }

    #[tokio::test]
    async fn faults_happen_in_their_order_and_only_where_they_belong() {
        let script = store();
        script
            .on("get")
            .within("a")
            .times(2)
            .fault(Fault::transient("Busy"));
        script.on("put").always().fault(Fault::hang());
        script.on("get").within("a").fault(Fault::lost());
        assert_eq!(call(&script, "b").await, Ok(()));
        for expected in ["Busy", "Busy", "timeout"] {
            assert_eq!(call(&script, "a").await, Err(expected.to_owned()));
        }
        assert_eq!(call(&script, "a").await, Ok(()));
        assert_eq!(script.calls(), BTreeMap::from([("get", 5)]));
        script.on("get").always().fault(Fault::permanent("No"));
        script.repair();
        assert_eq!(call(&script, "a").await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn delays_take_virtual_time_and_hanging_takes_for_ever() {
        let script = store();
        let hour = Duration::from_secs(3600);
        script.on("get").fault(Fault::nothing().after(hour));
        let begin = tokio::time::Instant::now();
        assert_eq!(call(&script, "a").await, Ok(()));
        assert_eq!(begin.elapsed(), hour);
        script.on("get").fault(Fault::hang());
        assert!(
            tokio::time::timeout(hour, call(&script, "a"))
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn the_journal_tells_what_was_done_before_what() {
        let script = store();
        call(&script, "a").await.unwrap();
        script.on("get").fault(Fault::transient("Busy"));
        call(&script, "b").await.unwrap_err();
        call(&script, "c").await.unwrap();
        let about = |scope: &'static str| move |step: &Step| step.scope == scope;
        let journal = &script.journal;
        assert!(journal.is_done_before(about("a"), about("c")));
        assert!(!journal.is_done_before(about("c"), about("a")));
        assert!(!journal.is_done_before(about("b"), about("c")));
    }

    #[tokio::test]
    #[should_panic(expected = "store.get was told to panic")]
    async fn a_call_can_panic() {
        let script = store();
        script.on("get").fault(Fault::panic());
        call(&script, "a").await.unwrap();
    }

    #[test]
    #[should_panic(expected = "\"fly\" is none of [\"store.get\"")]
    fn an_operation_that_is_misspelt_stops_the_test() {
        let _ = store().on("fly");
    }
}
