//! `orderhook status`: the stack on one screen.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args;
use operate::status::{Status as State, status};
use operate::{Exit, Target};
use time::OffsetDateTime;

use crate::Stop;
use crate::screen::{Screen, Tone};
use crate::words::{count, span};

/// How long `--watch` waits between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Arguments of `status`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exits with 1 when something waits for a person: a waiting room is not empty, an alarm rings, an account needs a look.

Examples:
  orderhook status
  orderhook status --watch          again every five seconds, until Ctrl-C
  orderhook status --json | jq .waiting")]
pub struct Status {
    /// Look again every five seconds, until Ctrl-C.
    #[arg(long)]
    pub watch: bool,
}

/// Shows the stack.
///
/// # Errors
/// There is no such stack, AWS cannot be asked, or nobody reads the output.
pub async fn run(arguments: &Status, target: &Target, screen: &mut Screen) -> Result<Exit, Stop> {
    let stack = target.stack().await?;
    loop {
        let now = OffsetDateTime::from(calls::now());
        let state = status(&target.calls, &stack, now).await?;
        let text = text(&state, screen);
        if !arguments.watch {
            screen.show(&text, &state)?;
            return Ok(match state.needs_somebody() {
                true => Exit::Left,
                false => Exit::Done,
            });
        }
        screen.line(&format!("{text}\n"), &state)?;
        tokio::time::sleep(PAUSE).await;
    }
}

fn text(state: &State, screen: &Screen) -> String {
    let version = state.version.as_deref().unwrap_or("unknown");
    let mut text = format!(
        "stack {}  {}  version {version}\n\n",
        screen.tone(Tone::Strong, &state.stack),
        state.state
    );
    let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), count);
    let age = |seconds: Option<i64>| {
        seconds.map_or_else(
            || "-".to_owned(),
            |seconds| span(time::Duration::seconds(seconds)),
        )
    };
    let lanes = state.lanes.iter().map(|lane| {
        vec![
            lane.lane.clone(),
            number(lane.waiting),
            number(lane.in_work),
            age(lane.oldest_seconds),
            number(lane.dead),
        ]
    });
    let header = ["lane", "waiting", "in work", "oldest", "dead"];
    let _ = writeln!(text, "{}\n", screen.table(&header, lanes.collect()));
    match state.waiting.is_empty() {
        true => text.push_str("nothing waits for a person\n"),
        false => {
            let rooms = state.waiting.iter().map(|room| {
                vec![
                    room.room.clone(),
                    number(room.messages),
                    age(room.oldest_seconds),
                    age(room.forgotten_in_seconds),
                ]
            });
            let header = ["waits for a person", "how many", "oldest", "forgotten in"];
            let _ = writeln!(text, "{}", screen.table(&header, rooms.collect()));
        }
    }
    let accounts = state
        .accounts
        .iter()
        .map(|(state, count)| format!("{count} {state}"));
    let accounts: Vec<String> = accounts.collect();
    let accounts = if accounts.is_empty() {
        "none".to_owned()
    } else {
        accounts.join(", ")
    };
    let _ = writeln!(text, "\naccounts: {accounts}");
    for account in &state.unwell {
        let name = screen.tone(Tone::Bad, &account.account);
        let _ = writeln!(text, "  {name}: {}", account.matter);
    }
    match state.ringing.is_empty() {
        true => text.push_str("alarms: none rings\n"),
        false => {
            let _ = writeln!(
                text,
                "alarms: {}",
                screen.tone(Tone::Bad, &state.ringing.join(", "))
            );
        }
    }
    for unseen in &state.unseen {
        let _ = writeln!(text, "not seen: {unseen}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use operate::status::{AccountStatus, LaneStatus, RoomStatus};

    #[test]
    fn everything_on_one_screen() {
        let lane = |lane: &str, waiting| LaneStatus {
            lane: lane.to_owned(),
            waiting,
            in_work: Some(3),
            oldest_seconds: Some(187_200),
            dead: Some(0),
        };
        let state = State {
            stack: "orderhook".to_owned(),
            state: "UPDATE_COMPLETE".to_owned(),
            version: Some("0.2.0".to_owned()),
            lanes: vec![lane("orders", Some(1_204)), lane("billing", None)],
            waiting: vec![RoomStatus {
                room: "undelivered".to_owned(),
                messages: Some(306),
                oldest_seconds: Some(187_200),
                forgotten_in_seconds: None,
            }],
            accounts: [("connected".to_owned(), 4)].into(),
            unwell: vec![AccountStatus {
                account: "acme".to_owned(),
                matter: "no deliveries".to_owned(),
            }],
            ringing: vec!["orderhook-UndeliveredAlarm-1".to_owned()],
            unseen: vec!["lane billing: not allowed".to_owned()],
        };
        let (screen, _) = Screen::of_test(false);
        insta::assert_snapshot!(text(&state, &screen), @r"
        stack orderhook  UPDATE_COMPLETE  version 0.2.0

        lane     waiting  in work  oldest   dead
        orders   1,204    3        2 d 4 h  0
        billing  ?        3        2 d 4 h  0

        waits for a person  how many  oldest   forgotten in
        undelivered         306       2 d 4 h  -

        accounts: 4 connected
          acme: no deliveries
        alarms: orderhook-UndeliveredAlarm-1
        not seen: lane billing: not allowed
        ");
        assert!(state.needs_somebody());
    }
}
