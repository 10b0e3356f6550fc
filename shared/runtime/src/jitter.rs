//! Jitter: what failed together must not come again together.

/// A random number from 0 to 1, both included; 1 where the system gives no randomness.
#[must_use]
pub fn fraction() -> f64 {
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}
