//! The `simulator` command: a source on 127.0.0.1, or Orderspace's sender alone.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match cli::Cli::parse().run().await {
        Ok(code) => code,
        Err(error) => cli::complain(&error),
    }
}
