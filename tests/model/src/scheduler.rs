//! The scheduler: runs everything that happens in a schedule, one step at a time, in an order that the seed decides.
//!
//! Handlers, the source and queues are tasks. Whatever one of them does to the world it does after it has
//! waited for its turn ([`Agenda::turn`]). Turns are given one by one, by time and, within a millisecond, by a
//! word of the seed; between two turns every task runs until it waits. So neither the order in which tasks
//! are polled nor the moment at which one asked for its turn can change a story.
//!
//! Time is tokio's, paused: handlers' own timers are real, and the clock jumps to the next of all timers.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::lock;

/// A task.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    /// Tasks that were added and not yet taken in. A scheduler and its tasks live in one thread, and tasks need
    /// not be able to leave it.
    static ADDED: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
}

/// Who waits for a turn, by time and word.
#[derive(Debug)]
pub struct Agenda {
    start: Instant,
    waiting: Mutex<BTreeMap<Place, (Waker, Arc<AtomicBool>)>>,
}

/// A millisecond, the word that decides within it, and, should two words be equal, the order of asking.
type Place = (u64, u64, u64);

impl Agenda {
    /// An agenda that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            waiting: Mutex::default(),
        }
    }

    /// Milliseconds since the beginning.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The moment that lies so many milliseconds after the beginning.
    #[must_use]
    pub fn instant(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    /// Waits for the turn at this millisecond, or at once if it is past.
    pub fn turn(&self, at: u64, word: u64) -> Turn<'_> {
        Turn {
            agenda: self,
            at,
            word,
            asked: None,
        }
    }

    /// Adds a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        ADDED.with_borrow_mut(|added| added.push(Box::pin(task)));
    }

    fn next_time(&self) -> Option<u64> {
        lock(&self.waiting).keys().next().map(|place| place.0)
    }

    fn give_turn(&self) {
        let first = lock(&self.waiting).pop_first();
        if let Some((_, (waker, given))) = first {
            given.store(true, Ordering::Relaxed);
            waker.wake();
        }
    }
}

impl Default for Agenda {
    fn default() -> Self {
        Self::new()
    }
}

/// The wait for a turn. Who stops waiting gives up his place.
#[derive(Debug)]
pub struct Turn<'a> {
    agenda: &'a Agenda,
    at: u64,
    word: u64,
    asked: Option<(Place, Arc<AtomicBool>)>,
}

impl Future for Turn<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((_, given)) = &self.asked {
            return if given.load(Ordering::Relaxed) {
                Poll::Ready(())
            } else {
                Poll::Pending
            };
        }
        let mut waiting = lock(&self.agenda.waiting);
        let at = self.at.max(self.agenda.now());
        let mut place = (at, self.word, 0);
        while waiting.contains_key(&place) {
            place.2 += 1;
        }
        let given = Arc::new(AtomicBool::new(false));
        waiting.insert(place, (cx.waker().clone(), Arc::clone(&given)));
        drop(waiting);
        self.asked = Some((place, given));
        Poll::Pending
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some((place, given)) = &self.asked
            && !given.load(Ordering::Relaxed)
        {
            lock(&self.agenda.waiting).remove(place);
        }
    }
}

/// Which tasks have something to do.
#[derive(Default)]
struct Ready {
    tasks: Mutex<VecDeque<usize>>,
    scheduler: Mutex<Option<Waker>>,
}

struct TaskWaker {
    task: usize,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            lock(&self.ready.tasks).push_back(self.task);
        }
        if let Some(scheduler) = lock(&self.ready.scheduler).take() {
            scheduler.wake();
        }
    }
}

/// Runs a schedule until its first task, `main`, has ended, and ends the others with it.
pub fn perform<M, F>(begin: M)
where
    M: FnOnce(&Arc<Agenda>) -> F,
    F: Future<Output = ()> + 'static,
{
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
    else {
        return;
    };
    ADDED.take();
    runtime.block_on(async {
        let agenda = Arc::new(Agenda::new());
        let main = begin(&agenda);
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        agenda.spawn(async move {
            main.await;
            end.store(true, Ordering::Relaxed);
        });
        // One task of tokio's polls them all, so its budget for one task must not count.
        tokio::task::unconstrained(Scheduler::new(agenda, ended)).await;
    });
}

struct Scheduler {
    agenda: Arc<Agenda>,
    ended: Arc<AtomicBool>,
    tasks: Vec<Option<Task>>,
    wakers: Vec<Arc<TaskWaker>>,
    ready: Arc<Ready>,
    clock: Pin<Box<tokio::time::Sleep>>,
}

impl Scheduler {
    fn new(agenda: Arc<Agenda>, ended: Arc<AtomicBool>) -> Self {
        Self {
            clock: Box::pin(tokio::time::sleep_until(agenda.instant(0))),
            agenda,
            ended,
            tasks: Vec::new(),
            wakers: Vec::new(),
            ready: Arc::default(),
        }
    }

    /// Takes in the tasks that were added. They have something to do.
    fn welcome(&mut self) {
        for task in ADDED.take() {
            let number = self.tasks.len();
            self.tasks.push(Some(task));
            self.wakers.push(Arc::new(TaskWaker {
                task: number,
                queued: AtomicBool::new(true),
                ready: Arc::clone(&self.ready),
            }));
            lock(&self.ready.tasks).push_back(number);
        }
    }

    /// Runs every task until all of them wait.
    fn settle(&mut self) {
        loop {
            self.welcome();
            let Some(number) = lock(&self.ready.tasks).pop_front() else {
                return;
            };
            let (slot, waker) = (&mut self.tasks[number], &self.wakers[number]);
            waker.queued.store(false, Ordering::Relaxed);
            if let Some(task) = slot {
                let waker = Waker::from(Arc::clone(waker));
                if task
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_ready()
                {
                    *slot = None;
                }
            }
        }
    }
}

impl Future for Scheduler {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            *lock(&self.ready.scheduler) = Some(cx.waker().clone());
            self.settle();
            if self.ended.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            if let Some(at) = self.agenda.next_time() {
                if at <= self.agenda.now() {
                    self.agenda.give_turn();
                    continue;
                }
                let at = self.agenda.instant(at);
                if self.clock.deadline() != at || self.clock.is_elapsed() {
                    self.clock.as_mut().reset(at);
                }
                if self.clock.as_mut().poll(cx).is_ready() {
                    continue;
                }
            }
            if lock(&self.ready.tasks).is_empty() {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_by_time_and_word_whoever_asked_first() {
        let told: Arc<Mutex<Vec<&str>>> = Arc::default();
        let log = Arc::clone(&told);
        perform(|agenda| {
            let agenda = Arc::clone(agenda);
            async move {
                for (name, at, word) in [("late", 20, 0), ("second", 10, 7), ("first", 10, 3)] {
                    let (inner, log) = (Arc::clone(&agenda), Arc::clone(&log));
                    agenda.spawn(async move {
                        tokio::time::sleep(Duration::from_millis(10 - word)).await;
                        inner.turn(at, word).await;
                        lock(&log).push(name);
                    });
                }
                agenda.turn(30, 0).await;
            }
        });
        assert_eq!(*lock(&told), ["first", "second", "late"]);
    }

    #[test]
    fn who_stops_waiting_is_passed_over() {
        let told: Arc<Mutex<Vec<u64>>> = Arc::default();
        let log = Arc::clone(&told);
        perform(|agenda| {
            let agenda = Arc::clone(agenda);
            async move {
                let waiting = agenda.turn(50, 0);
                let waited = tokio::time::timeout(Duration::from_millis(5), waiting).await;
                assert!(waited.is_err());
                agenda.turn(60, 0).await;
                lock(&log).push(agenda.now());
            }
        });
        assert_eq!(*lock(&told), [60]);
    }
}
