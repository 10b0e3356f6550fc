//! Arguments and output of the `simulator` command.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the command's output"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::json;
use simulator::control::NewSite;
use simulator::fixtures;
use simulator::{
    Attempt, EventText, Journal, Outcome, RawDelivery, Rebatch, Repeat, RetryPolicy, Sender, Shape,
    Signing, SigningKey, Simulator, Source, Switches, Target,
};
use tokio::signal::unix::{SignalKind, signal};

const KEY_VARIABLE: &str = "SIMULATOR_SIGNING_KEY";

/// How often the parent is looked for. Being adopted raises no signal that safe code could wait for.
const PARENT_INTERVAL: Duration = Duration::from_millis(200);

/// A source of webhooks on this machine: its API, and the sender of webhooks.
#[derive(Parser)]
#[command(
    name = "simulator",
    version,
    after_help = "\
Examples:
  simulator serve --port 8700 --site demo:demo-secret
  curl -s -X POST http://127.0.0.1:8700/_simulator/sites/demo/deliver \\
       -d '{\"events\":[{\"event\":\"order.deleted\",\"data\":{\"order\":{\"id\":\"or_1\",\"number\":1,\"deleted\":true}}}]}'
  SIMULATOR_SIGNING_KEY=... simulator send --endpoint http://127.0.0.1:8080/hooks/x order-created.json"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve a source's API and the control API under /_simulator/ on 127.0.0.1.
    ///
    /// Prints one line of JSON, {"url":"http://127.0.0.1:PORT"}, when it accepts connections, and ends on SIGTERM or
    /// SIGINT. The URL is the base of all of the source's hosts; with Orderspace, of both the identity host
    /// (/oauth/token) and the API host (/v1).
    Serve(Serve),
    /// Send event files to an endpoint as Orderspace would: signed, in batches, with retries.
    ///
    /// Exits with 0 only if every delivery ended in status 200, with 1 if one did not, with 2 if nothing was sent.
    Send(Box<Send>),
}

#[derive(Args)]
struct Serve {
    /// Port on 127.0.0.1; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The source to play.
    #[arg(long, value_enum, default_value_t)]
    source: Source,
    /// A site's credentials: for Orderspace client id and secret; for Ordermentum user and password, which is also the
    /// API key; for Apideck application id and API key; for OneStock site id and password; for StackOne account id and
    /// API key. May be given several times. More can be made by POST /_simulator/sites.
    #[arg(long = "site", value_name = "CLIENT_ID:CLIENT_SECRET")]
    sites: Vec<Site>,
    /// End when the process that started this one ends.
    #[arg(long)]
    stop_with_parent: bool,
}

#[derive(Clone)]
struct Site {
    client_id: String,
    client_secret: String,
}

impl std::str::FromStr for Site {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((id, secret)) if !id.is_empty() && !secret.is_empty() => Ok(Self {
                client_id: id.to_owned(),
                client_secret: secret.to_owned(),
            }),
            _ => Err("expected CLIENT_ID:CLIENT_SECRET"),
        }
    }
}

#[derive(Args)]
struct Send {
    /// Event files, or folders of which the *.json files are taken (not those of folders within): each a JSON array of
    /// events, or one event; with --raw, anything.
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
    /// Where to send.
    #[arg(long, value_name = "URL")]
    endpoint: String,
    /// File with the webhook's signing key; without it, the key is read from SIMULATOR_SIGNING_KEY.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Send each file's bytes as one delivery, whatever is in it.
    #[arg(long, conflicts_with_all = ["rebatch", "old_shape", "rails_escapes", "batch_size"])]
    raw: bool,
    /// Send each delivery twice.
    #[arg(long)]
    twice: bool,
    /// With --twice: both at the same time.
    #[arg(long, requires = "twice")]
    at_once: bool,
    /// Wait before the first delivery.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    late: u64,
    /// Shuffle the deliveries.
    #[arg(long, value_name = "SEED")]
    reorder: Option<u64>,
    /// Sign with another key.
    #[arg(long)]
    wrong_key: bool,
    /// Cut a failed batch anew for its retry.
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "split")]
    rebatch: Option<Recut>,
    /// Send the early draft's bodies, one per event type.
    #[arg(long)]
    old_shape: bool,
    /// Write & < > as \u0026 and so on.
    #[arg(long)]
    rails_escapes: bool,
    /// Most events in one delivery.
    #[arg(long, value_name = "N", default_value_t = 50)]
    batch_size: usize,
    /// Deliveries under way at the same time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    in_flight: usize,
    /// Wait before the first retry; each further wait is twice as long, up to a minute.
    #[arg(long, value_name = "MS", default_value_t = 1_000)]
    retry_delay: u64,
    /// Time for one answer.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    timeout: u64,
    /// Failures in a row after which the webhook counts as disabled and sending stops.
    #[arg(long, value_name = "N", default_value_t = 5)]
    disable_after: u32,
    /// Print one JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Recut {
    Split,
    Merge,
}

/// Prints why nothing was done.
pub(crate) fn complain(error: &anyhow::Error) -> ExitCode {
    eprintln!("simulator: {error:#}");
    ExitCode::from(2)
}

impl Cli {
    /// Runs the chosen command.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(serve) => serve.run().await,
            Command::Send(send) => send.run().await,
        }
    }
}

impl Serve {
    async fn run(self) -> anyhow::Result<ExitCode> {
        // Before the ready line: whoever reads it may send a signal at once.
        let parent = parent_id();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;

        let simulator = Simulator::start_as(self.source, self.port).await?;
        for site in self.sites {
            simulator.create_site(NewSite {
                client_id: Some(site.client_id),
                client_secret: Some(site.client_secret),
                ..NewSite::default()
            })?;
        }
        println!("{}", json!({ "url": simulator.url() }));
        std::io::stdout().flush()?;

        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = orphaned(parent), if self.stop_with_parent => {}
        }
        simulator.stop().await;
        Ok(ExitCode::SUCCESS)
    }
}

async fn orphaned(parent: u32) {
    while parent_id() == parent {
        tokio::time::sleep(PARENT_INTERVAL).await;
    }
}

impl Send {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let target = Target::new(&self.endpoint, self.key()?)?;
        let sender = Sender::new(self.policy())?.with_switches(self.switches());
        let journal = if self.json {
            Journal::default()
        } else {
            Journal::with_observer(|attempt| println!("{}", line(attempt)))
        };

        if self.raw {
            let bodies = self.bodies()?;
            sender.send_raw_into(&journal, &target, &bodies).await?;
        } else {
            let events = self.events()?;
            sender.send_into(&journal, &target, &events).await?;
        }

        let report = journal.report();
        let standing = target.health().standing();
        if self.json {
            let document = json!({
                "accepted": report.is_accepted(),
                "enabled": standing.enabled,
                "deliveries": report,
            });
            println!("{document}");
        } else if !standing.enabled {
            println!(
                "disabled after {} failed attempts in a row; what was left was not sent",
                standing.consecutive_failures
            );
        }
        Ok(if report.is_accepted() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn events(&self) -> anyhow::Result<Vec<EventText>> {
        let mut events = Vec::new();
        for path in &self.files {
            let fixtures = if path.is_dir() {
                fixtures::load_folder(path)?
            } else {
                vec![fixtures::load_file(path)?]
            };
            events.extend(fixtures.into_iter().flat_map(|fixture| fixture.events));
        }
        if events.is_empty() {
            bail!("the files hold no events; --raw sends their bytes as they are");
        }
        Ok(events)
    }

    fn bodies(&self) -> anyhow::Result<Vec<RawDelivery>> {
        let signing = if self.wrong_key {
            Signing::WrongKey
        } else {
            Signing::Proper
        };
        let mut deliveries = Vec::new();
        for path in &self.files {
            for body in fixtures::load_bodies(path)? {
                deliveries.push(RawDelivery {
                    body,
                    headers: Vec::new(),
                    signing: signing.clone(),
                });
            }
        }
        Ok(deliveries)
    }

    fn key(&self) -> anyhow::Result<SigningKey> {
        let key = match &self.key_file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("the key file {} could not be read", path.display()))?,
            None => std::env::var(KEY_VARIABLE).with_context(|| {
                format!("no signing key; give --key-file or set {KEY_VARIABLE}")
            })?,
        };
        // An editor ends the file with a line feed, which is not part of the key.
        let key = key.trim();
        if key.is_empty() {
            bail!("the signing key is empty; copy it from GET /v1/webhooks");
        }
        Ok(SigningKey::new(key))
    }

    fn policy(&self) -> RetryPolicy {
        RetryPolicy {
            first_delay_ms: self.retry_delay,
            timeout_ms: self.timeout,
            disable_after: self.disable_after,
            ..RetryPolicy::default()
        }
    }

    fn switches(&self) -> Switches {
        Switches {
            late_ms: self.late,
            repeat: match (self.twice, self.at_once) {
                (false, _) => Repeat::Once,
                (true, false) => Repeat::TwiceInTurn,
                (true, true) => Repeat::TwiceAtOnce,
            },
            reorder_seed: self.reorder,
            wrong_key: self.wrong_key,
            rebatch: match self.rebatch {
                None => Rebatch::Never,
                Some(Recut::Split) => Rebatch::Split,
                Some(Recut::Merge) => Rebatch::Merge,
            },
            shape: if self.old_shape {
                Shape::Old
            } else {
                Shape::Current
            },
            rails_escapes: self.rails_escapes,
            batch_size: self.batch_size,
            in_flight: self.in_flight,
        }
    }
}

/// One attempt as a person reads it.
fn line(attempt: &Attempt) -> String {
    let mut text = format!(
        "delivery {} attempt {}: {}",
        attempt.delivery, attempt.attempt, attempt.outcome
    );
    if let Outcome::Answered { body, .. } = &attempt.outcome {
        // The answer is an unauthenticated request text: nothing in it may steer the terminal.
        let shown: String = body
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .take(80)
            .collect();
        if !shown.trim().is_empty() {
            let _ = write!(text, " {}", shown.trim());
        }
    }
    let events = match attempt.events {
        1 => "1 event".to_owned(),
        many => format!("{many} events"),
    };
    let _ = write!(text, " ({events}, {} bytes)", attempt.bytes);
    text
}
