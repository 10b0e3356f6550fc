//! Mistakes.
use clap::Args;

/// Which mistakes to try.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only those whose names contain this.
    #[arg(long)]
    only: Option<String>,
    /// How many schedules each may take to be caught.
    #[arg(long, default_value_t = 20_000)]
    schedules: u64,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    anyhow::bail!("{options:?}")
}
