//! Function processes of the stack, and their sudden end.
//!
//! The emulator runs a function as a child of its own. Only its children are ever ended: each is looked up again at the
//! moment of its end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use testkit::rng::Rng;

/// A function's process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Function {
    pid: i32,
    name: String,
}

/// Which functions are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Victims {
    /// All of them.
    All,
    /// Inbound alone: the consumer's messages would stay hidden for their lane's visibility timeout.
    Inbound,
}

/// Kills a function's process from time to time until it is dropped, and counts them by function.
pub(crate) async fn at_random(
    emulator: i32,
    victims: Victims,
    mut rng: Rng,
    every: Duration,
    killed: &RefCell<BTreeMap<String, u64>>,
) {
    let every = u64::try_from(every.as_millis()).unwrap_or(2_000);
    for turn in 0_u64.. {
        // One function of three, and the one that must not forget what it answered.
        let victims = if turn.is_multiple_of(3) {
            Victims::Inbound
        } else {
            victims
        };
        let pause = rng.between(every / 2, every + every / 2);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let functions = of_emulator(emulator, victims);
        let Some(function) = functions.get(rng.index(functions.len())) else {
            continue;
        };
        let pid = Pid::from_raw(function.pid).filter(|_| is_child(function.pid, emulator));
        if pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok()) {
            let mut killed = killed.borrow_mut();
            *killed.entry(short(&function.name)).or_default() += 1;
        }
    }
}

/// The function's name in the template: `orderhook-Consumer-1A2B` is `Consumer`.
fn short(name: &str) -> String {
    name.split('-').nth(1).unwrap_or(name).to_owned()
}

fn of_emulator(emulator: i32, victims: Victims) -> Vec<Function> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut functions: Vec<Function> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| is_child(*pid, emulator))
        .filter_map(|pid| {
            let name = name_of(pid)?;
            Some(Function { pid, name })
        })
        .filter(|function| victims == Victims::All || short(&function.name) == "Inbound")
        .collect();
    functions.sort_by(|one, other| (&one.name, one.pid).cmp(&(&other.name, other.pid)));
    functions
}

/// Whether a process is the emulator's child.
fn is_child(pid: i32, emulator: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The program's name stands in parentheses and may hold anything.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().nth(1) == Some(&emulator.to_string())
}

fn name_of(pid: i32) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok())
        .find_map(|entry| entry.strip_prefix("AWS_LAMBDA_FUNCTION_NAME="))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_children_that_are_functions_are_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut function = std::process::Command::new("sleep")
            .arg("60")
            .env("AWS_LAMBDA_FUNCTION_NAME", "orderhook-Consumer-1A2B")
            .spawn()
            .unwrap();
        let mut other = std::process::Command::new("sleep");
        let mut other = other.arg("60").spawn().unwrap();
        let pid = i32::try_from(function.id()).unwrap();
        // A child has its environment once it has become the other program.
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        let found = loop {
            let found = of_emulator(own, Victims::All);
            if !found.is_empty() || std::time::Instant::now() > deadline {
                break found;
            }
        };
        let inbound = of_emulator(own, Victims::Inbound);
        let others = of_emulator(pid, Victims::All);
        for child in [&mut function, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pid, pid);
        assert_eq!(short(&found[0].name), "Consumer");
        assert_eq!((inbound, others), (Vec::new(), Vec::new()));
    }
}
