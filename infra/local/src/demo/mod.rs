//! `cargo demo`.
use crate::{cli::Demo, places::Places, progress::Progress};
/// Stub.
pub async fn run(_p: &Places, _a: &Demo, _g: Progress) -> anyhow::Result<std::process::ExitCode> {
    Ok(std::process::ExitCode::FAILURE)
}
