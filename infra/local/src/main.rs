//! `cargo demo`, `cargo local` and `cargo verify`.
#![allow(clippy::print_stdout, reason = "this is the commands' output")]

use std::io::Write as _;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;
use local::cli::{Cli, Command, Up};
use local::interrupt::{abandoned, interrupted, unless};
use local::places::Places;
use local::progress::Progress;
use local::simulator::{IDENTITY, ORDERSPACE};
use local::stack::{Options, Stack};
use local::{demo, refusal, verify};

// Not on one thread: the simulators answer while a command is at work.
#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(code) => code,
        Err(error) => {
            let word = console::style("error:").for_stderr().red().bold();
            // The terminal may be gone.
            let _ = writeln!(std::io::stderr(), "{word} {error:#}");
            ExitCode::from(refusal::exit_code(&error))
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode> {
    let places = Places::of(cli.state.as_deref())?;
    let progress = Progress::new();
    match cli.command {
        Command::Up(arguments) => up(&places, arguments, progress).await,
        Command::Demo(arguments) => {
            unless(interrupted(), demo::run(&places, &arguments, progress)).await
        }
        Command::Verify(arguments) => {
            unless(interrupted(), verify::run(&places, &arguments, progress)).await
        }
    }
}

/// Starts a stack and runs it until it is to end.
async fn up(places: &Places, arguments: Up, progress: Progress) -> Result<ExitCode> {
    let mut end = pin!(async {
        tokio::select! {
            () = interrupted() => {}
            () = abandoned() => {}
        }
    });
    let options = options(arguments);
    let stack = unless(&mut end, Stack::up(places, &options, progress)).await?;
    announce(places, &stack);
    tokio::select! {
        error = stack.ended() => return Err(error.context("the stack has ended with one of its programs")),
        () = end => {}
    }
    drop(stack);
    let _ = writeln!(std::io::stderr(), "The stack has ended.");
    Ok(ExitCode::SUCCESS)
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
        "Ctrl-C ends it. In another terminal, `{}` sends the example events through it.",
        places.command("demo --running")
    );
}
