//! The `simulator` command: Orderspace on 127.0.0.1, or its sender alone.

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
