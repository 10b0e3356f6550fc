//! `orderhook`: the operators' command.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use orderhook::cli::Cli;
use orderhook::screen::Screen;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut screen = Screen::of_terminal(cli.global.json, cli.global.color);
    let exit = orderhook::run(&cli, Path::new("."), &mut screen).await;
    ExitCode::from(exit.code())
}
