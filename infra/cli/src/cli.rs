//! The command line.

use std::io;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use operate::Exit;

use crate::screen::{Color, Screen};
use crate::{
    accounts, deliveries, doctor, logs, records, replay, send, status, stuck, tail, teams, trace,
};

/// What every help ends with.
const EXIT_CODES: &str = "\
Exit codes:
  0    done, and all is well
  1    something is wrong, or something is left to do
  2    the command line cannot be right
  3    no credentials, or a permission is missing
  4    there is no such thing
  5    AWS, or the source, does not answer
  130  interrupted";

const EXAMPLES: &str = "\
Examples:
  orderhook doctor                                    is everything as it has to be, and what is to be done?
  orderhook status                                    lanes, waiting rooms, accounts and alarms on one screen
  orderhook trace 1204 --account acme                 what became of order 1204?
  orderhook deliveries list --account acme            what came, and what became of it
  orderhook tail --team sales                         watch what a team gets
  orderhook accounts connect acme --client-id 9f2c…   asks for the secret, registers the webhook
  orderhook accounts show acme                        state, history, last delivery
  orderhook teams check                               can every team's queue be reached?
  orderhook stuck list                                what waits for a person, and what is to be done about it?
  orderhook stuck release --team sales                send what a team missed to it, once its queue is repaired
  orderhook status --local                            the stack of `cargo local up`";

/// Operates an Orderhook stack: is it well, what waits, and which accounts and teams are connected.
///
/// The stack is found by its name in the region of your AWS configuration: profiles, single sign-on, assumed roles and a
/// machine's own role are read as the AWS CLI reads them. Nothing is changed unless the command's name says so, and a
/// command that changes something asks first.
#[derive(Debug, Parser)]
#[command(name = "orderhook", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
#[command(disable_help_subcommand = true, propagate_version = true)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The stack's name [default: that of samconfig.toml, else orderhook].
    #[arg(long, global = true, env = "ORDERHOOK_STACK", value_name = "NAME")]
    pub stack: Option<String>,
    /// The profile of your AWS configuration.
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// The region [default: that of your AWS configuration].
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
    /// The local stack of `cargo local up`, or the one whose outputs this file has.
    #[arg(long, global = true, value_name = "PATH", num_args = 0..=1, require_equals = true,
        default_missing_value = calls::LOCAL_OUTPUTS)]
    pub local: Option<PathBuf>,
    /// Print one JSON document, or one a line where it goes on.
    #[arg(long, global = true)]
    pub json: bool,
    /// Whether to print colours.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
    /// Do not ask before something is changed.
    #[arg(long, short = 'y', global = true)]
    pub yes: bool,
}

impl Global {
    /// Which stack is meant.
    #[must_use]
    pub fn target(&self) -> operate::Options {
        operate::Options {
            stack: self.stack.clone(),
            profile: self.profile.clone(),
            region: self.region.clone(),
            local: self.local.clone(),
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check everything that has to be right, and say what is to be done where it is not.
    Doctor(doctor::Doctor),
    /// Show lanes, waiting rooms, accounts and alarms on one screen.
    Status(status::Status),
    /// Follow an event, a delivery or a record on its whole way: what became of order 1204?
    Trace(trace::TraceArguments),
    /// What came, what was answered, and what became of the events.
    #[command(subcommand)]
    Deliveries(deliveries::Deliveries),
    /// The current state of records, and what they were before.
    #[command(subcommand)]
    Records(records::Records),
    /// Follow events as they pass, without taking any from anybody.
    Tail(tail::TailArguments),
    /// Print the log of a function.
    Logs(logs::Logs),
    /// Connect accounts to their sources, and see how they are.
    #[command(subcommand)]
    Accounts(accounts::Accounts),
    /// Which team gets what, and whether its queue can be reached.
    #[command(subcommand)]
    Teams(teams::Teams),
    /// What waits for a person: list it, send it on, or give it up.
    #[command(subcommand)]
    Stuck(stuck::Stuck),
    /// Send events again that came once: to all teams, or to one; or what records are now, to a new team.
    Replay(Box<replay::Replay>),
    /// Send a genuine, signed delivery to this stack, as an account's source would.
    Send(send::Send),
    /// Print what a shell needs to complete these commands.
    Completions(Completions),
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  orderhook completions bash > ~/.local/share/bash-completion/completions/orderhook"
)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints a shell's completions.
///
/// # Errors
/// Nobody reads the output.
pub fn completions(arguments: &Completions, screen: &mut Screen) -> io::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "orderhook",
        &mut script,
    );
    screen.bytes(&script)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[rstest]
    #[case::nothing_said(&["orderhook", "status"], None)]
    #[case::no_path(&["orderhook", "--local", "status"], Some(".local/outputs.json"))]
    #[case::after_the_command(&["orderhook", "status", "--local"], Some(".local/outputs.json"))]
    #[case::path(&["orderhook", "--local=/x/o.json", "status"], Some("/x/o.json"))]
    fn the_local_stack(#[case] line: &[&str], #[case] expected: Option<&str>) {
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.global.local, expected.map(PathBuf::from));
    }

    #[test]
    fn the_help_documents_the_exit_codes_and_gives_examples() {
        let help = Cli::command().render_long_help().to_string();
        for code in [
            Exit::Done,
            Exit::Left,
            Exit::Usage,
            Exit::Denied,
            Exit::NotFound,
            Exit::Unreachable,
            Exit::Interrupted,
        ] {
            let row = format!("\n  {:<3}  ", code.code());
            assert!(help.contains(&row), "{row:?} in {help}");
        }
        assert!(help.contains("orderhook accounts connect acme"), "{help}");
    }

    #[test]
    fn no_secret_is_an_argument() {
        fn walk(command: &clap::Command, found: &mut Vec<String>) {
            let names = command
                .get_arguments()
                .map(|argument| argument.get_id().to_string());
            found.extend(
                names.filter(|name| ["secret", "password", "api_key"].contains(&name.as_str())),
            );
            command
                .get_subcommands()
                .for_each(|command| walk(command, found));
        }
        let mut found = Vec::new();
        walk(&Cli::command(), &mut found);
        assert!(found.is_empty(), "{found:?}");
    }

    #[rstest]
    #[case(Shell::Bash)]
    #[case(Shell::Zsh)]
    #[case(Shell::Fish)]
    fn a_shell_learns_the_commands(#[case] shell: Shell) {
        let (mut screen, printed) = Screen::of_test(false);
        completions(&Completions { shell }, &mut screen).unwrap();
        assert!(printed.out().contains("replay"));
    }
}
