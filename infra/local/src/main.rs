//! `cargo demo`, `cargo local` and `cargo verify`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the commands' output"
)]

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser as _;
use local::cli::{Cli, Command, Up};
use local::interrupt::interrupted;
use local::places::Places;
use local::progress::Progress;
use local::simulator::{IDENTITY, ORDERSPACE};
use local::stack::{self, Options, Stack};
use local::{demo, refusal, simulator, verify};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(code) => code,
        Err(error) => {
            let word = console::style("error:").for_stderr().red().bold();
            eprintln!("{word} {error:#}");
            ExitCode::from(refusal::exit_code(&error))
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode> {
    if let Command::Simulator { source, port } = cli.command {
        simulator::serve(source, port).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let places = Places::of(cli.state.as_deref())?;
    let progress = Progress::new();
    let started_here = match &cli.command {
        Command::Up(_) => Some(places.clone()),
        Command::Demo(demo) if !demo.running => Some(places.clone()),
        Command::Verify(_) => Some(verify::places(&places)?),
        Command::Demo(_) | Command::Down | Command::Simulator { .. } => None,
    };
    tokio::select! {
        outcome = dispatch(cli.command, &places, progress) => return outcome,
        () = interrupted() => {}
    }
    if let Some(places) = started_here {
        stack::stop_all(&places).await?;
    }
    bail!("interrupted; nothing was left running")
}

async fn dispatch(command: Command, places: &Places, progress: Progress) -> Result<ExitCode> {
    match command {
        Command::Up(up) => {
            let started = Stack::up(places, &options(up), progress).await?;
            announce(places, &started);
            Ok(ExitCode::SUCCESS)
        }
        Command::Down => {
            let stopped = stack::stop_all(places).await?;
            if stopped.is_empty() {
                eprintln!("Nothing was running.");
            } else {
                eprintln!("Stopped: {}.", stopped.join(", "));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo(arguments) => demo::run(places, &arguments, progress).await,
        Command::Verify(arguments) => verify::run(places, &arguments, progress).await,
        Command::Simulator { .. } => Ok(ExitCode::SUCCESS),
    }
}

fn options(up: Up) -> Options {
    let build = up.build();
    let named = [(ORDERSPACE, up.api_url), (IDENTITY, up.identity_url)];
    let named = named
        .into_iter()
        .filter_map(|(name, url)| Some(format!("{name}={}", url?)));
    Options {
        build,
        port: up.port,
        source_urls: named.chain(up.source_urls).collect(),
        parameters: up.parameters,
        proxy: up.proxy,
        template: None,
    }
}

fn announce(places: &Places, stack: &Stack) {
    let outputs = places.outputs();
    println!("The stack is up.");
    println!();
    println!("  AWS calls        {}", stack.outputs.endpoint_url);
    for (label, name) in [("webhooks arrive", "HooksUrl"), ("admin API", "AdminUrl")] {
        if let Ok(url) = stack.outputs.get(name) {
            println!("  {label:<16} {url}");
        }
    }
    for (source, url) in &stack.outputs.simulators {
        println!("  {source:<16} {url} (simulated)");
    }
    println!("  all of it in     {}", places.shown(&outputs));
    println!();
    println!(
        "Next: `cargo demo --running` sends the example events through it; `cargo local down` stops it."
    );
}
