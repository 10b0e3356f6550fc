//! `proxy --listen PORT --to URL`: the proxy between the functions and the emulator, as a program.
//!
//! Prints `{"url":".."}` once it listens, and ends on SIGTERM or SIGINT.

#![allow(
    clippy::print_stdout,
    reason = "the ready line is what the program says"
)]

use std::io::Write as _;

use clap::Parser;
use e2e::proxy::Proxy;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// Passes AWS calls on, notes them, and injects faults by rules that are set below /_proxy.
#[derive(Debug, Parser)]
#[command(name = "proxy", version)]
struct Arguments {
    /// The port on 127.0.0.1 to listen on; 0 takes any.
    #[arg(long, value_name = "PORT")]
    listen: u16,
    /// Where calls are passed on to, such as http://127.0.0.1:4566.
    #[arg(long, value_name = "URL")]
    to: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // Before the ready line: whoever reads it may send a signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let arguments = Arguments::parse();
    let proxy = Proxy::start(arguments.listen, &arguments.to).await?;
    println!("{}", json!({ "url": proxy.url() }));
    std::io::stdout().flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
