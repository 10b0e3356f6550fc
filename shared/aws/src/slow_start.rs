//! Slow start: calls that are made side by side share a few connections at first, instead of opening one each.
//!
//! A function has a fraction of a processor, and TLS handshakes take it up: nine of them were 2.6 of the 9.3 milliseconds
//! from a start to the answer to a first batch. So no more calls of one host are under way than its window has room for, and
//! the window doubles when it is full, but not twice within a pause. A few invocations later each call of a batch has its
//! connection. Where a service does not answer, calls wait for a few pauses at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

/// How fast a window grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long it stays as it is: several calls go over a connection in that time.
    pub(crate) pause: Duration,
    /// How long a new connection may take. The HTTP client gives a connection that becomes free to the call that is opening
    /// one, and keeps the new one for later. A call that is admitted in between finds neither, and would open another.
    pub(crate) opening: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            pause: Duration::from_millis(50),
            opening: Duration::from_millis(15),
        }
    }
}

/// After so long without a call the window is as at the start. The HTTP client keeps an idle connection no longer.
const IDLE: Duration = Duration::from_secs(90);

/// A window of this size is no limit any more.
const WIDEST: usize = 64;

/// The longest answer that is read before the next call may have its connection, in bytes.
const SHORT: u64 = 64 * 1024;

/// The windows of all hosts.
#[derive(Clone, Debug)]
pub(crate) struct SlowStart {
    pace: Pace,
    windows: Arc<Mutex<HashMap<String, Arc<Window>>>>,
}

impl SlowStart {
    /// Starts without any window; each will grow at this pace.
    pub(crate) fn at(pace: Pace) -> Self {
        Self {
            pace,
            windows: Arc::default(),
        }
    }

    /// The connector, within the windows.
    pub(crate) fn over(&self, connector: SharedHttpConnector) -> SharedHttpConnector {
        SharedHttpConnector::new(Windowed {
            connector,
            hosts: self.clone(),
        })
    }

    /// The window of the host of a URL.
    fn window(&self, url: &str) -> Arc<Window> {
        let host = url.split('/').nth(2).unwrap_or_default();
        let mut windows = locked(&self.windows);
        if let Some(window) = windows.get(host) {
            return Arc::clone(window);
        }
        let window = Arc::new(Window::at(self.pace));
        windows.insert(host.to_owned(), Arc::clone(&window));
        window
    }
}

#[derive(Debug)]
struct Windowed {
    connector: SharedHttpConnector,
    hosts: SlowStart,
}

impl HttpConnector for Windowed {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let window = self.hosts.window(request.uri());
        let connector = self.connector.clone();
        HttpConnectorFuture::new(async move {
            let room = Window::enter(window).await;
            let answered = match connector.call(request).await {
                Ok(answer) => read(answer).await,
                refused => refused,
            };
            // The HTTP client takes a connection back in a task of its own, which runs now. A call that came before it would
            // open another connection.
            if room.is_waited_for() {
                yield_now().await;
            }
            answered
        })
    }
}

/// Reads a short answer to its end: until then nothing else can be sent over its connection.
async fn read(mut answer: HttpResponse) -> Result<HttpResponse, ConnectorError> {
    if is_short(&answer) {
        let body = ByteStream::new(answer.take_body()).collect().await;
        let body = body.map_err(|error| ConnectorError::io(error.into()))?;
        *answer.body_mut() = SdkBody::from(body.into_bytes());
    }
    Ok(answer)
}

fn is_short(answer: &HttpResponse) -> bool {
    let length = answer.headers().get("content-length");
    let length = length.and_then(|length| length.parse::<u64>().ok());
    length.is_some_and(|length| length <= SHORT)
}

/// How many calls of a host may be under way.
#[derive(Debug)]
struct Window {
    state: Mutex<State>,
    /// A call has ended.
    ended: Notify,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    size: usize,
    /// Calls that are under way.
    busy: usize,
    /// Calls that wait.
    waiting: usize,
    /// When the size was last doubled.
    doubled: Option<Instant>,
    /// Connections that may be opened since, beside the first.
    unopened: usize,
    last_end: Option<Instant>,
}

impl State {
    fn at(pace: Pace) -> Self {
        Self {
            pace,
            size: 1,
            busy: 0,
            waiting: 0,
            doubled: None,
            unopened: 0,
            last_end: None,
        }
    }

    /// Makes room for a call, or says from when there may be more.
    fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        let is_idle = |end: Instant| now.duration_since(end) >= IDLE;
        if self.busy == 0 && self.last_end.is_some_and(is_idle) {
            self.size = 1;
        }
        let doubled = self
            .doubled
            .filter(|doubled| now < *doubled + self.pace.pause);
        let opening = doubled.filter(|doubled| now < *doubled + self.pace.opening);
        let room = match opening {
            Some(_) => self.size / 2,
            None => self.size,
        };
        if self.busy >= room && self.size < WIDEST {
            match (opening, doubled) {
                (Some(_), _) if self.unopened > 0 => self.unopened -= 1,
                (Some(doubled), _) => return Err(doubled + self.pace.opening),
                (None, Some(doubled)) => return Err(doubled + self.pace.pause),
                (None, None) => {
                    self.unopened = self.size - 1;
                    self.size *= 2;
                    self.doubled = Some(now);
                }
            }
        }
        self.busy += 1;
        Ok(())
    }
}

impl Window {
    fn at(pace: Pace) -> Self {
        Self {
            state: Mutex::new(State::at(pace)),
            ended: Notify::new(),
        }
    }

    /// Waits until there is room.
    async fn enter(window: Arc<Self>) -> Room {
        let mut waiting = None;
        loop {
            let admitted = locked(&window.state).admit(Instant::now());
            let Err(until) = admitted else { break };
            waiting.get_or_insert_with(|| Waiting::on(&window));
            // Whichever comes first: what matters is what the window is like then.
            drop(timeout_at(until, window.ended.notified()).await);
        }
        drop(waiting);
        Room(window)
    }
}

/// A call that waits.
struct Waiting<'w>(&'w Window);

impl<'w> Waiting<'w> {
    fn on(window: &'w Window) -> Self {
        locked(&window.state).waiting += 1;
        Self(window)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        locked(&self.0.state).waiting -= 1;
    }
}

/// A call's room in the window, until it has ended.
#[derive(Debug)]
struct Room(Arc<Window>);

impl Room {
    fn is_waited_for(&self) -> bool {
        locked(&self.0.state).waiting > 0
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut state = locked(&self.0.state);
        state.busy -= 1;
        state.last_end = Some(Instant::now());
        self.0.ended.notify_one();
    }
}

/// Nothing in here panics between two changes.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// So many calls at once, of which none ends: how many are under way at once, and how many after each pause.
    fn side_by_side(state: &mut State, calls: usize, begin: Instant) -> Vec<usize> {
        let mut now = begin;
        let mut under_way = Vec::new();
        while state.busy < calls {
            let mut until = now;
            while state.busy < calls {
                match state.admit(now) {
                    Ok(()) => {}
                    Err(later) => {
                        until = later;
                        break;
                    }
                }
            }
            if under_way.last() != Some(&state.busy) {
                under_way.push(state.busy);
            }
            now = until;
        }
        under_way
    }

    #[rstest]
    #[case::one(1, &[1])]
    #[case::two(2, &[2])]
    #[case::ten(10, &[2, 4, 8, 10])]
    #[case::no_limit_at_last(1_000, &[2, 4, 8, 16, 32, 1_000])]
    fn where_none_ends_twice_as_many_are_under_way_after_each_pause(
        #[case] calls: usize,
        #[case] expected: &[usize],
    ) {
        let mut state = State::at(Pace::default());
        assert_eq!(side_by_side(&mut state, calls, Instant::now()), expected);
    }

    #[test]
    fn what_waits_says_until_when() {
        let (mut state, now) = (State::at(Pace::default()), Instant::now());
        let after = |millis| now + Duration::from_millis(millis);
        assert_eq!([0, 0].map(|_| state.admit(now)), [Ok(()), Ok(())]);
        assert_eq!(state.admit(now), Err(after(15)));
        assert_eq!(state.admit(after(15)), Err(after(50)));
        assert_eq!(state.admit(after(49)), Err(after(50)));
        assert_eq!(state.admit(after(50)), Ok(()));
    }

    /// Otherwise the HTTP client would open one more: see [`Pace::opening`].
    #[test]
    fn while_connections_are_opened_one_that_becomes_free_is_not_counted_on() {
        let (mut state, now) = (State::at(Pace::default()), Instant::now());
        let after = |millis| now + Duration::from_millis(millis);
        assert_eq!([0, 0].map(|_| state.admit(now)), [Ok(()), Ok(())]);
        state.busy -= 1;
        assert_eq!(state.admit(after(1)), Err(after(15)));
        state.busy -= 1;
        assert_eq!(state.admit(after(2)), Ok(()));
        assert_eq!(state.admit(after(3)), Err(after(15)));
        assert_eq!(state.admit(after(15)), Ok(()));
    }

    #[rstest]
    #[case::just_used(89, 10)]
    #[case::idle(90, 2)]
    fn after_a_long_pause_it_begins_anew(#[case] seconds: u64, #[case] expected: usize) {
        let (mut state, begin) = (State::at(Pace::default()), Instant::now());
        side_by_side(&mut state, 10, begin);
        let end = begin + Duration::from_secs(1);
        (state.busy, state.last_end) = (0, Some(end));
        let later = end + Duration::from_secs(seconds);
        assert_eq!(side_by_side(&mut state, 10, later)[0], expected);
    }

    async fn room(window: &Arc<Window>) -> Room {
        Window::enter(Arc::clone(window)).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_ends_or_is_given_up_leaves_its_room() {
        let window = Arc::new(Window::at(Pace::default()));
        let (first, second) = (room(&window).await, room(&window).await);
        let given_up = tokio::time::timeout(Duration::from_millis(1), room(&window)).await;
        assert!(given_up.is_err() && !first.is_waited_for());
        let begin = Instant::now();
        let next = tokio::spawn({
            let window = Arc::clone(&window);
            async move { room(&window).await }
        });
        yield_now().await;
        assert!(first.is_waited_for());
        drop((first, second));
        drop(next.await.unwrap());
        assert_eq!(begin.elapsed(), Duration::ZERO);
        assert_eq!(locked(&window.state).busy, 0);
    }

    #[test]
    fn a_host_has_one_window() {
        let hosts = SlowStart::at(Pace::default());
        let window = hosts.window("https://a.example/x?y=https://b.example/");
        for (url, is_same) in [
            ("https://a.example", true),
            ("https://a.example:444/x", false),
            ("https://b.example/x", false),
            ("", false),
        ] {
            assert_eq!(Arc::ptr_eq(&window, &hosts.window(url)), is_same, "{url}");
        }
    }

    #[rstest]
    #[case::nothing(Some("0"), true)]
    #[case::at_the_limit(Some("65536"), true)]
    #[case::longer(Some("65537"), false)]
    #[case::of_no_length(None, false)]
    #[case::of_a_length_that_is_none(Some("-1"), false)]
    fn an_answer_is_short_by_its_length(#[case] length: Option<&str>, #[case] expected: bool) {
        let mut answer = HttpResponse::new(http::StatusCode::OK.into(), SdkBody::empty());
        if let Some(length) = length {
            let headers = answer.headers_mut();
            headers.insert("content-length", length.to_owned());
        }
        assert_eq!(is_short(&answer), expected);
    }
}
