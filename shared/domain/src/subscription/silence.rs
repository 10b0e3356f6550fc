//! Silence: a source that has disabled a webhook says nothing, and neither does one that has nothing to say. What
//! tells them apart is what is usual at that hour of that weekday.
//!
//! | | |
//! |---|---|
//! | what is kept | for each of the week's 168 hours (UTC, so no day has 23 or 25) how many deliveries are usual: a running mean that the last weeks make up, each hour counted up to 16 |
//! | what a silence weighs | how many deliveries are usual from the last one until now, hour by hour |
//! | what is too long | more than 8 deliveries missed, and more than three times as many as in any silence that was none of our worry |
//!
//! So a week-end at which nothing ever comes weighs nothing, however long it is, and a busy hour weighs the more.
//! Three times the worst that was usual makes a rule that each account sets for itself: one that brings its
//! deliveries in bursts has long silences, and one that ticks like a clock has none. Eight missed deliveries of
//! a source without any memory are a matter of chance once in three thousand times.
//!
//! In the first two weeks nothing is too long: the first one fills the hours, the second tells what silences are
//! usual. A day off in the middle of the week is no different from a dead webhook, and is reported once. Every silence
//! is learned from, up to a week of it, so an account that became slower is reported a few times and then known for it.

use crate::identity::DeliveryId;
use crate::timestamp::Timestamp;

/// The hours of a week. The first is Thursday 00:00 UTC, with which 1970 began.
pub const HOURS: usize = 168;
/// One delivery, in the units in which means are kept.
const ONE: u64 = 1024;
/// The most that an hour counts: what comes above that comes in bursts, and says nothing of the silence after it.
const FULL_HOUR: u16 = 16;
/// How many weeks the running mean is made up of.
const WEEKS: u64 = 4;
/// The same where the hours were a part of a silence that was too long: the account may have changed for good.
const WEEKS_IF_SUSPECT: u64 = 2;
/// So many missed deliveries at least are no coincidence.
const FEWEST_MISSED: u64 = 8 * ONE;
/// So many times the usual silence is too long.
const TIMES_USUAL: u64 = 3;
/// The hours that have to be known before anything is too long: two weeks.
const HISTORY: u32 = 2 * 168;
/// By how much a silence that was usual is forgotten each week: seven eighths are left.
const FORGETTING: (u64, u64) = (7, 8);
/// If nobody looked for longer than this, what came meanwhile is not known, and looking begins anew.
const LONGEST_PAUSE: u64 = 3 * DAY;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const WEEK_HOURS: u64 = 168;

/// When an account's deliveries usually come, and when the last one did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// What is usual in each hour of the week, in 1024ths of a delivery.
    pub usual: [u16; HOURS],
    /// How many hours made it.
    pub hours: u32,
    /// The deliveries in the hour of the last one, as far as they count.
    pub tally: u16,
    /// The weight of the longest usual silence, in 1024ths of a delivery.
    pub longest: u64,
    /// The last delivery.
    pub last: Option<DeliveryId>,
    /// Since when it is known what comes.
    pub watched_since: Timestamp,
    /// Until when the receipts were read.
    pub read_until: Timestamp,
    /// The silence that is going on, if it is too long.
    pub suspect: Option<Silence>,
}

/// A silence that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// When it was noticed.
    pub noticed: Timestamp,
    /// How many deliveries were usual in it by then.
    pub missed: u64,
}

impl Baseline {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            usual: [0; HOURS],
            hours: 0,
            tally: 0,
            longest: 0,
            last: None,
            watched_since: now,
            read_until: now,
            suspect: None,
        }
    }

    /// The days (UTC) whose receipts may tell of deliveries that came since the last look, oldest first.
    #[must_use]
    pub fn days(&self, now: Timestamp) -> Vec<String> {
        // A receipt is written some seconds after its delivery came in.
        let from = self.read_until.millis().saturating_sub(HOUR);
        let from = from.max(now.millis().saturating_sub(LONGEST_PAUSE));
        (from / DAY..=now.millis() / DAY)
            .map(|day| Timestamp::from_millis(day.saturating_mul(DAY)).day())
            .collect()
    }

    /// Takes in what came since the last look. Says whether that ended a silence that was too long.
    pub fn observe(&mut self, arrivals: &[DeliveryId], now: Timestamp) -> bool {
        let mut arrivals: Vec<DeliveryId> = arrivals.to_vec();
        arrivals.sort_unstable();
        let was_suspect = self.suspect.is_some();
        let pause = now.millis().saturating_sub(self.read_until.millis());
        if pause > LONGEST_PAUSE {
            self.tally = 0;
            self.watched_since = now;
        }
        for id in arrivals {
            if self.last.is_none_or(|last| last < id) {
                self.take(id);
            }
        }
        self.read_until = self.read_until.max(now);
        was_suspect && self.suspect.is_none()
    }

    fn take(&mut self, id: DeliveryId) {
        let at = id.first_seen();
        if at >= self.watched_since {
            let since = self.silent_since();
            // One that was too long is not usual, whether anybody looked in time or not.
            if self.suspect.is_none() && !self.is_too_long(since, at) {
                self.longest = self.longest.max(self.weight(since, at));
            }
            self.learn(at);
            self.tally = self.tally.saturating_add(1).min(FULL_HOUR);
        }
        self.suspect = None;
        self.last = Some(id);
    }

    /// Makes the hours since the last delivery a part of what is usual.
    fn learn(&mut self, until: Timestamp) {
        let first = self.silent_since().millis() / HOUR;
        let last = (until.millis() / HOUR).min(first.saturating_add(WEEK_HOURS));
        let most = self.suspect.map_or(WEEKS, |_| WEEKS_IF_SUSPECT);
        for hour in first..last {
            let weeks = (u64::from(self.hours) / WEEK_HOURS + 1).min(most);
            if let Some(usual) = self.usual.get_mut(of_week(hour)) {
                let sum = u64::from(*usual) * (weeks - 1) + u64::from(self.tally) * ONE;
                *usual = u16::try_from(sum / weeks).unwrap_or(u16::MAX);
            }
            self.tally = 0;
            self.hours = self.hours.saturating_add(1);
            if u64::from(self.hours).is_multiple_of(WEEK_HOURS) {
                self.longest = self.longest / FORGETTING.1 * FORGETTING.0;
            }
        }
    }

    /// Since when nothing came, as far as anybody looked.
    #[must_use]
    pub fn silent_since(&self) -> Timestamp {
        let last = self.last.map(DeliveryId::first_seen);
        last.unwrap_or(self.watched_since).max(self.watched_since)
    }

    /// Notices a silence that has become too long, and returns it. It is noticed once, and over with the next
    /// delivery.
    pub fn notice(&mut self, now: Timestamp) -> Option<Silence> {
        if self.suspect.is_some() || !self.is_too_long(self.silent_since(), now) {
            return None;
        }
        self.suspect = Some(Silence {
            noticed: now,
            missed: self.weight(self.silent_since(), now) / ONE,
        });
        self.suspect
    }

    /// Whether it would be too long if nothing came from then until now.
    #[must_use]
    pub fn is_too_long(&self, since: Timestamp, now: Timestamp) -> bool {
        let bound = FEWEST_MISSED.max(self.longest.saturating_mul(TIMES_USUAL));
        self.hours >= HISTORY && self.weight(since, now) > bound
    }

    /// How many deliveries are usual from one moment to another, in 1024ths.
    fn weight(&self, from: Timestamp, to: Timestamp) -> u64 {
        let (from, to) = (from.millis(), to.millis());
        let weeks = to.saturating_sub(from) / (WEEK_HOURS * HOUR);
        let of_week_sum: u64 = self.usual.iter().copied().map(u64::from).sum();
        let from = from.saturating_add(weeks * WEEK_HOURS * HOUR);
        let rest: u64 = (from / HOUR..=to / HOUR)
            .map(|hour| {
                let begin = from.max(hour * HOUR);
                let end = to.min((hour + 1) * HOUR);
                let usual = self.usual.get(of_week(hour)).copied().unwrap_or_default();
                u64::from(usual) * end.saturating_sub(begin) / HOUR
            })
            .sum();
        weeks.saturating_mul(of_week_sum).saturating_add(rest)
    }
}

/// The hour of the week of an hour since 1970.
fn of_week(hour: u64) -> usize {
    usize::try_from(hour % WEEK_HOURS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// Monday 2026-11-16, 00:00 UTC.
    const MONDAY: u64 = 1_794_787_200_000;
    const MINUTE: u64 = 60_000;
    const WEEK: u64 = WEEK_HOURS * HOUR;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn id(millis: u64) -> DeliveryId {
        DeliveryId::new(at(millis), &[7; 10])
    }

    /// What becomes of an account that is looked at every quarter of an hour: when it was suspect, and when no
    /// more.
    struct Account {
        baseline: Baseline,
        now: u64,
        alerts: Vec<u64>,
        over: Vec<u64>,
    }

    impl Account {
        fn new() -> Self {
            Self {
                baseline: Baseline::new(at(MONDAY)),
                now: MONDAY,
                alerts: Vec::new(),
                over: Vec::new(),
            }
        }

        /// Goes on until then, with deliveries at these times.
        fn go(&mut self, until: u64, arrivals: impl IntoIterator<Item = u64>) {
            let mut arrivals: Vec<u64> = arrivals.into_iter().collect();
            arrivals.sort_unstable();
            let mut arrivals = arrivals.into_iter().peekable();
            while self.now < until {
                self.now += 15 * MINUTE;
                let mut came = Vec::new();
                while let Some(arrival) = arrivals.next_if(|arrival| *arrival <= self.now) {
                    came.push(id(arrival));
                }
                if self.baseline.observe(&came, at(self.now)) {
                    self.over.push(self.now);
                }
                if self.baseline.notice(at(self.now)).is_some() {
                    self.alerts.push(self.now);
                }
            }
        }

        /// Goes on for weeks of such days.
        fn weeks(&mut self, weeks: u64, day: impl Fn(u64) -> Vec<u64>) {
            for _ in 0..weeks * 7 {
                let midnight = self.now;
                let weekday = (midnight - MONDAY) / DAY % 7;
                let arrivals = day(weekday).into_iter().map(|time| midnight + time);
                self.go(midnight + DAY, arrivals);
            }
        }
    }

    /// From eight to six, Monday to Friday, every ten minutes.
    fn office(weekday: u64) -> Vec<u64> {
        match weekday {
            0..=4 => (48..108).map(|tenth| tenth * 10 * MINUTE).collect(),
            _ => Vec::new(),
        }
    }

    fn nothing(_: u64) -> Vec<u64> {
        Vec::new()
    }

    #[test]
    fn a_quiet_week_end_is_nothing_to_tell() {
        let mut account = Account::new();
        account.weeks(6, office);
        assert_eq!(account.alerts, Vec::<u64>::new());
    }

    #[test]
    fn an_office_that_does_not_open_is_told_once_on_the_same_morning() {
        let mut account = Account::new();
        account.weeks(3, office);
        account.go(account.now + 3 * DAY, []);
        // One is missed on Friday, and more than seven from eight to a quarter past nine on Monday.
        let morning = MONDAY + 3 * WEEK + 9 * HOUR + 15 * MINUTE;
        assert_eq!(account.alerts, [morning]);
        account.go(account.now + HOUR, [account.now + MINUTE]);
        assert_eq!(account.over.len(), 1);
        assert_eq!(account.baseline.suspect, None);
    }

    #[test]
    fn a_new_account_is_never_suspect() {
        let mut account = Account::new();
        account.weeks(3, nothing);
        assert_eq!((account.alerts.len(), account.baseline.hours), (0, 0));
        let mut account = Account::new();
        account.go(
            MONDAY + 13 * DAY,
            (1..13 * 144).map(|n| MONDAY + n * 10 * MINUTE),
        );
        account.weeks(3, nothing);
        assert_eq!(account.alerts, Vec::<u64>::new());
    }

    #[test]
    fn a_long_silence_is_not_usual_although_nobody_looked_in_time() {
        let minutes = |_| (0..24 * 60).map(|minute| minute * MINUTE).collect();
        let mut account = Account::new();
        account.weeks(3, minutes);
        let usual = account.baseline.longest;
        let back = account.now + DAY;
        account.baseline.observe(&[id(back)], at(back));
        assert!(account.baseline.longest <= usual);
    }

    #[test]
    fn a_busy_account_is_suspect_within_the_hour() {
        let minutes = |_| (0..24 * 60).map(|minute| minute * MINUTE).collect();
        let mut account = Account::new();
        account.weeks(3, minutes);
        let silent = account.now;
        account.go(silent + DAY, []);
        assert_eq!(account.alerts, [silent + 30 * MINUTE]);
        let noticed = account.baseline.suspect.unwrap();
        assert_eq!(
            (noticed.noticed, noticed.missed),
            (at(silent + 30 * MINUTE), 8)
        );
    }

    #[rstest]
    // An import each night, some time between one and three, and nothing else.
    #[case::nightly(|weekday| (0..200).map(|n| HOUR + weekday * 17 * MINUTE + n * 1000).collect())]
    // One delivery a day.
    #[case::daily(|weekday| vec![9 * HOUR + weekday * 40 * MINUTE])]
    // A week's deliveries on Tuesday.
    #[case::weekly(|weekday| if weekday == 1 { (0..500).map(|n| 10 * HOUR + n * 7000).collect() } else { Vec::new() })]
    fn what_comes_in_bursts_or_seldom_is_known_for_it(#[case] day: fn(u64) -> Vec<u64>) {
        let mut account = Account::new();
        account.weeks(12, day);
        assert_eq!(account.alerts, Vec::<u64>::new());
        account.go(account.now + 20 * WEEK, []);
        assert_eq!(
            account.alerts.len(),
            1,
            "a dead webhook is found all the same"
        );
    }

    #[test]
    fn an_account_that_became_slower_is_told_a_few_times_and_then_known() {
        let mut account = Account::new();
        account.weeks(4, office);
        account.weeks(30, |weekday| {
            if weekday == 2 {
                vec![10 * HOUR]
            } else {
                Vec::new()
            }
        });
        let alerts = account.alerts.len();
        assert!((1..=7).contains(&alerts), "{alerts}");
        account.weeks(10, |weekday| {
            if weekday == 2 {
                vec![10 * HOUR]
            } else {
                Vec::new()
            }
        });
        assert_eq!(account.alerts.len(), alerts);
    }

    #[test]
    fn the_last_hour_of_the_week_is_followed_by_the_first() {
        // Weeks begin on Thursday here, so the wrap is in the night to it.
        let mut baseline = Baseline::new(at(0));
        baseline.usual[HOURS - 1] = 1024;
        baseline.usual[0] = 2048;
        let wrap = 5 * WEEK;
        assert_eq!(baseline.weight(at(wrap - HOUR), at(wrap + HOUR)), 3072);
        assert_eq!(
            baseline.weight(at(wrap - HOUR / 2), at(wrap + HOUR / 2)),
            512 + 1024
        );
        assert_eq!(baseline.weight(at(wrap), at(wrap + HOUR)), 2048);
        assert_eq!(baseline.weight(at(wrap), at(wrap + 2 * WEEK)), 2 * 3072);
        assert_eq!(baseline.weight(at(wrap), at(wrap)), 0);
        assert_eq!(baseline.weight(at(wrap + HOUR), at(wrap)), 0);
    }

    #[test]
    fn an_hour_is_learned_when_it_is_over_and_counts_up_to_its_fill() {
        let mut baseline = Baseline::new(at(MONDAY));
        let ids: Vec<_> = (0..40).map(|n| id(MONDAY + n * MINUTE)).collect();
        baseline.observe(&ids, at(MONDAY + 50 * MINUTE));
        assert_eq!((baseline.tally, baseline.hours), (FULL_HOUR, 0));
        baseline.observe(&[id(MONDAY + 2 * HOUR)], at(MONDAY + 2 * HOUR));
        let monday = of_week(MONDAY / HOUR);
        assert_eq!(baseline.usual[monday..monday + 3], [16 * 1024, 0, 0]);
        assert_eq!((baseline.tally, baseline.hours), (1, 2));
        // Told twice, counted once.
        baseline.observe(&[id(MONDAY + 2 * HOUR), ids[3]], at(MONDAY + 2 * HOUR));
        assert_eq!(baseline.tally, 1);
    }

    #[test]
    fn what_came_while_nobody_looked_is_not_taken_for_silence() {
        let mut account = Account::new();
        account.weeks(3, office);
        let before = account.baseline.clone();
        let now = account.now + 5 * DAY + 12 * HOUR;
        let newest = id(now - 2 * HOUR);
        account.baseline.observe(&[newest], at(now));
        assert_eq!(account.baseline.usual, before.usual);
        assert_eq!(account.baseline.last, Some(newest));
        assert_eq!(account.baseline.notice(at(now)), None);
        assert_eq!(account.baseline.silent_since(), at(now));
    }

    #[rstest]
    #[case::the_same_hour(0, 15 * MINUTE, &["2026-11-15", "2026-11-16"])]
    #[case::noon(12 * HOUR, 12 * HOUR + 15 * MINUTE, &["2026-11-16"])]
    #[case::midnight(23 * HOUR + 50 * MINUTE, DAY + 5 * MINUTE, &["2026-11-16", "2026-11-17"])]
    #[case::long_ago(0, 30 * DAY, &["2026-12-13", "2026-12-14", "2026-12-15", "2026-12-16"])]
    fn only_days_since_the_last_look_are_read(
        #[case] read_until: u64,
        #[case] now: u64,
        #[case] expected: &[&str],
    ) {
        let mut baseline = Baseline::new(at(0));
        baseline.read_until = at(MONDAY + read_until);
        assert_eq!(baseline.days(at(MONDAY + now)), expected);
    }

    /// A source without memory, and a week with nights and a week-end: the worst that an honest account can be.
    #[rstest]
    fn chance_alone_is_not_told(
        #[values(1, 2, 3, 4, 5, 6)] seed: u64,
        #[values(1, 6, 60)] rate: u64,
    ) {
        let mut state = seed;
        let mut random = move || {
            // Knuth's numbers; the upper half is good enough for a test.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let mut account = Account::new();
        for day in 0..26 * 7_u64 {
            let mut arrivals = Vec::new();
            for minute in 0..24 * 60 {
                let is_open = day % 7 < 5 && (7 * 60..19 * 60).contains(&minute);
                if is_open && random() % 60 < rate.min(60) {
                    arrivals.push(account.now + minute * MINUTE);
                }
            }
            account.go(account.now + DAY, arrivals);
        }
        assert_eq!(account.alerts, Vec::<u64>::new());
        account.go(account.now + 4 * WEEK, []);
        assert_eq!(account.alerts.len(), 1);
    }

    proptest! {
        /// Whatever the source or the clock does, what is kept stays small and nothing panics.
        #[test]
        fn whatever_comes_is_taken(
            looks in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u32>(), 0..20)), 0..60),
        ) {
            let mut baseline = Baseline::new(at(MONDAY));
            for (now, arrivals) in looks {
                let now = at(MONDAY + u64::from(now));
                let ids: Vec<_> = arrivals.into_iter().map(|at| id(MONDAY + u64::from(at))).collect();
                let newest = ids.iter().max().copied().max(baseline.last);
                baseline.observe(&ids, now);
                prop_assert_eq!(baseline.last, newest);
                baseline.notice(now);
                prop_assert!(baseline.usual.iter().all(|usual| u64::from(*usual) <= u64::from(FULL_HOUR) * ONE));
                prop_assert!(baseline.tally <= FULL_HOUR);
                prop_assert!(baseline.days(now).len() <= 5);
                if baseline.hours < HISTORY {
                    prop_assert_eq!(baseline.suspect, None);
                }
            }
        }

        /// Deliveries that never stay away for longer than twice what they did before are never suspect.
        #[test]
        fn what_is_as_usual_is_never_suspect(
            gap in 1_u64..600,
            jitter in prop::collection::vec(0_u64..100, 300..400),
        ) {
            let mut account = Account::new();
            let mut next = MONDAY;
            let mut arrivals = Vec::new();
            for percent in jitter.iter().cycle() {
                next += gap * MINUTE * (50 + percent) / 100 + 1000;
                if next > MONDAY + 5 * WEEK { break; }
                arrivals.push(next);
            }
            account.go(MONDAY + 5 * WEEK, arrivals);
            prop_assert_eq!(account.alerts, Vec::<u64>::new());
        }
    }
}
