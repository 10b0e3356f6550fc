//! The throttle: so many requests a minute (Orderspace has 60), then 429 until 60 seconds have passed.
//!
//! <https://apidocs.orderspace.com/#throttling>

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Length of the window, and of the wait after the first refusal.
const WINDOW: Duration = Duration::from_secs(60);

/// The throttle of one site. Time is an argument, so a test needs no clock.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    /// Requests taken in any window.
    limit: usize,
    taken: VecDeque<Instant>,
    refused_until: Option<Instant>,
}

impl RateLimiter {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: VecDeque::new(),
            refused_until: None,
        }
    }

    /// Whether a request at `now` is served. Requests during the wait are refused but do not lengthen it.
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        match self.refused_until {
            Some(until) if now < until => return false,
            Some(_) => {
                self.refused_until = None;
                self.taken.clear();
            }
            None => {}
        }
        let is_past = |first: &mut Instant| now.duration_since(*first) >= WINDOW;
        while self.taken.pop_front_if(is_past).is_some() {}
        if self.taken.len() >= self.limit {
            self.refused_until = Some(now + WINDOW);
            return false;
        }
        self.taken.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(start: Instant) -> RateLimiter {
        let mut limiter = RateLimiter::new(60);
        for request in 0..60 {
            assert!(limiter.admits(start + Duration::from_millis(request)));
        }
        limiter
    }

    #[test]
    fn the_sixty_first_request_of_a_minute_is_refused() {
        let start = Instant::now();
        assert!(!spent(start).admits(start + Duration::from_secs(59)));
    }

    #[test]
    fn the_window_slides() {
        let start = Instant::now();
        assert!(spent(start).admits(start + Duration::from_secs(60)));
    }

    #[test]
    fn the_wait_counts_from_the_first_refusal_and_is_not_lengthened() {
        let start = Instant::now();
        let mut limiter = spent(start);
        let refused = start + Duration::from_secs(10);
        assert!(!limiter.admits(refused));
        for second in 1..60 {
            assert!(!limiter.admits(refused + Duration::from_secs(second)));
        }
        for _ in 0..60 {
            assert!(limiter.admits(refused + Duration::from_secs(60)));
        }
        assert!(!limiter.admits(refused + Duration::from_secs(60)));
    }
}
