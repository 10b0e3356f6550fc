//! `cargo verify`.
use crate::{cli::Verify, places::Places, progress::Progress};
/// Stub.
pub async fn run(_p: &Places, _a: &Verify, _g: Progress) -> anyhow::Result<std::process::ExitCode> {
    Ok(std::process::ExitCode::FAILURE)
}
/// Stub.
pub fn places(p: &Places) -> anyhow::Result<Places> {
    Places::of(Some(&p.state.join("verify")))
}
