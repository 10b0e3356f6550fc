//! An operator who gives commands to a server that plays AWS.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a harness: each file uses its own part"
)]

use operate::Target;
use operate::loopback::Loopback;
use orderhook::given::{self, Ended};
use orderhook::screen::Screen;

/// Gives a command on a screen that was changed.
pub async fn give_to(aws: &Loopback, line: &[&str], change: fn(Screen) -> Screen) -> Ended {
    let target = Target {
        name: "orderhook".to_owned(),
        calls: aws.calls(),
    };
    given::give_on(&target, line, change).await
}

/// Gives a command, word by word.
pub async fn give(aws: &Loopback, line: &[&str]) -> Ended {
    give_to(aws, line, |screen| screen).await
}

/// Gives a command as it is typed: no word of it has a space.
pub async fn enter(aws: &Loopback, line: &str) -> Ended {
    give(aws, &line.split(' ').collect::<Vec<_>>()).await
}

/// Holds that a text has all of these words.
#[track_caller]
pub fn assert_has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
}
