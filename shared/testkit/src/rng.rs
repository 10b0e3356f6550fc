//! Random numbers from a seed: the same words give the same numbers, on every machine and in every run.
//!
//! A decision may have a stream of its own, named by words (the schedule, the actor, the call), rather than a share in one: so
//! it does not change when something else happens sooner or later.

/// A stream of numbers. The mixing is that of `SplitMix64`: <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The stream that these words name.
    #[must_use]
    pub fn of(words: &[u64]) -> Self {
        let none = 0x243F_6A88_85A3_08D3;
        Self(words.iter().fold(none, |state, word| step(state, *word)))
    }

    /// The stream that one more word names, of a stream that nothing was drawn from.
    #[must_use]
    pub fn apart(&self, word: u64) -> Self {
        Self(step(self.0, word))
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// A number from `first` to `last`, both included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// A number below `end`, as an index or a count; 0 if there is none.
    pub fn index(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.below(end)).unwrap_or_default()
    }

    /// A count from `least` to `most`, both included.
    pub fn count(&mut self, least: usize, most: usize) -> usize {
        least + self.index(most.saturating_sub(least) + 1)
    }

    /// Whether it happens, so many times in a hundred.
    pub fn percent(&mut self, cases: u64) -> bool {
        self.below(100) < cases
    }

    /// Whether it happens, so many times in a thousand.
    pub fn permille(&mut self, cases: u64) -> bool {
        self.below(1000) < cases
    }

    /// One of these.
    ///
    /// # Panics
    /// There are none.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        let position = self.index(choices.len());
        choices[position].clone()
    }

    /// These, in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

fn step(state: u64, word: u64) -> u64 {
    mix(state ^ word.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// A word for a text (FNV-1a).
#[must_use]
pub fn word(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_numbers_and_another_seed_others() {
        let draw = |words: &[u64]| {
            let mut rng = Rng::of(words);
            (0..8).map(|_| rng.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        assert_ne!(draw(&[1, 2]), draw(&[2, 1]));
        let rng = Rng::of(&[1]);
        assert_eq!(rng.apart(2).number(), Rng::of(&[1, 2]).number());
        assert_ne!(rng.apart(2).number(), rng.apart(3).number());
    }

    #[test]
    fn a_range_is_filled_to_both_ends_and_a_shuffle_loses_nothing() {
        let mut rng = Rng::of(&[7]);
        let mut seen = [false; 5];
        for _ in 0..200 {
            let number = rng.between(3, 7);
            seen[usize::try_from(number - 3).unwrap()] = true;
        }
        assert_eq!(seen, [true; 5]);
        let mut items: Vec<u8> = (0..20).collect();
        rng.shuffle(&mut items);
        assert_ne!(items, (0..20).collect::<Vec<u8>>());
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<u8>>());
    }
}
