//! `orderhook`: the operators' command.

use std::path::Path;

use clap::Parser as _;
use orderhook::cli::Cli;
use orderhook::screen::Screen;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cli = Cli::parse();
    let mut screen = Screen::of_terminal(cli.global.json, cli.global.color);
    let exit = orderhook::run(&cli, Path::new("."), &mut screen).await;
    // Not by returning: a prompt that was interrupted still waits for its line.
    std::process::exit(i32::from(exit.code()));
}
