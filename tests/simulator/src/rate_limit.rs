//! The throttle: so many requests a minute (Orderspace has 60), then 429 until 60 seconds have passed.
//!
//! <https://apidocs.orderspace.com/#throttling>

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many requests are taken in how long. The wait after a refusal is as long as the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit {
    /// Requests taken in any window.
    pub(crate) requests: usize,
    /// Length of the window, and of the wait after the first refusal.
    pub(crate) window: Duration,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            requests: 60,
            window: Duration::from_secs(60),
        }
    }
}

/// The throttle of one site. Time is an argument, so a test needs no clock.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limit: RateLimit,
    taken: VecDeque<Instant>,
    refused_until: Option<Instant>,
}

impl RateLimiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
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
        while self
            .taken
            .front()
            .is_some_and(|first| now.duration_since(*first) >= self.limit.window)
        {
            self.taken.pop_front();
        }
        if self.taken.len() >= self.limit.requests {
            self.refused_until = Some(now + self.limit.window);
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
        let mut limiter = RateLimiter::new(RateLimit::default());
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
