//! A webhook's standing with the sender: enabled until several attempts in a row failed, or a delivery's attempts were
//! used up, as the source has it.
//!
//! Orderspace says only "after multiple failed attempts your webhook will be disabled"; number and window are not
//! published, so the number is a setting and the window is "in a row, over all deliveries of the webhook".

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// Whether a webhook is served, and how many attempts in a row it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// A disabled webhook gets no deliveries, and retries that were due are dropped.
    pub enabled: bool,
    /// Failed attempts since the last success.
    pub consecutive_failures: u32,
    /// Whether the sender disabled it, not a person.
    pub gave_up: bool,
    /// Whether its deliveries wait until it is enabled again.
    pub held: bool,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            enabled: true,
            consecutive_failures: 0,
            gave_up: false,
            held: false,
        }
    }
}

/// Shared by the site's state and by every delivery under way to the webhook.
#[derive(Debug, Default)]
pub struct Health(Mutex<Standing>);

impl Health {
    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The standing now.
    pub fn standing(&self) -> Standing {
        *self.lock()
    }

    /// Enables (and forgets failures) or disables by hand.
    pub fn set_enabled(&self, enabled: bool) {
        let mut standing = self.lock();
        *standing = Standing {
            enabled,
            consecutive_failures: if enabled {
                0
            } else {
                standing.consecutive_failures
            },
            ..Standing::default()
        };
    }

    /// Keeps deliveries back until it is enabled.
    pub fn hold(&self) {
        let mut standing = self.lock();
        standing.held = standing.enabled;
    }

    pub(crate) fn give_up(&self) {
        let mut standing = self.lock();
        standing.enabled = false;
        standing.gave_up = true;
    }

    pub(crate) fn succeeded(&self) {
        self.lock().consecutive_failures = 0;
    }

    pub(crate) fn failed(&self, disable_after: u32) {
        let mut standing = self.lock();
        standing.consecutive_failures = standing.consecutive_failures.saturating_add(1);
        if standing.consecutive_failures >= disable_after {
            standing.enabled = false;
            standing.gave_up = true;
        }
    }
}
