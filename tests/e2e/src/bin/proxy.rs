//! `proxy --listen PORT --to URL`: the proxy between the functions and the emulator, as a program.
//!
//! Prints `{"url":".."}` once it listens, and ends when its standard input is closed: with whoever started it.

#![allow(
    clippy::print_stdout,
    reason = "the ready line is what the program says"
)]

use std::io::{self, Write as _};

use clap::Parser;
use e2e::proxy::Proxy;
use serde_json::json;

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
    let arguments = Arguments::parse();
    let proxy = Proxy::start(arguments.listen, &arguments.to).await?;
    println!("{}", json!({ "url": proxy.url() }));
    io::stdout().flush()?;
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}
