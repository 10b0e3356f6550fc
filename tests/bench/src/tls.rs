//! TLS on this machine, without a way into the product: it trusts Amazon's roots alone, which are part of its programs.
//!
//! A copy of a program gets the stand's certificate in the place of one of them. Both are as long, so nothing else of the
//! program changes, and it parses as many roots as it does on AWS. The peers have a variable for that.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use local::job;
use local::places::Places;
use local::tools::Tools;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

use crate::stand;

/// The root whose place is taken, below the project.
const ROOT: &str = "shared/aws/roots/starfield-services-root-ca-g2.pem";

/// The certificates of one run.
pub struct Certificates {
    folder: PathBuf,
    /// The root that the programs have, as text and as bytes.
    theirs: [Vec<u8>; 2],
    /// What takes its place, in the same forms.
    ours: [Vec<u8>; 2],
    /// What the stand's endpoints present.
    pub acceptor: TlsAcceptor,
}

impl Certificates {
    /// Makes them.
    ///
    /// # Errors
    /// They cannot be made, or not as long as the root.
    pub async fn make(places: &Places, tools: &Tools, folder: &Path, log: &Path) -> Result<Self> {
        let pem = std::fs::read(places.root.join(ROOT)).with_context(|| format!("no {ROOT}"))?;
        let text = String::from_utf8_lossy(&pem);
        let lines: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD
            .decode(lines)
            .with_context(|| format!("{ROOT} is no PEM"))?;
        let mut command = Command::new(tools.emulator_programs().join("python"));
        command
            .arg(places.root.join("tests/bench/tls/certificates.py"))
            .arg(folder)
            .arg(der.len().to_string());
        job::succeed("making certificates", command, log, |_| {}).await?;
        let ours = [
            std::fs::read(folder.join("root.pem"))?,
            std::fs::read(folder.join("root.der"))?,
        ];
        Ok(Self {
            acceptor: stand::tls(folder)?,
            folder: folder.to_path_buf(),
            theirs: [pem, der],
            ours,
        })
    }

    /// The certificate that the peers are to trust.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root.pem")
    }

    /// A copy of a program that trusts the stand in the place of a root.
    ///
    /// # Errors
    /// The program does not have the root.
    pub fn trusting(&self, name: &str, program: &Path) -> Result<PathBuf> {
        let bytes = std::fs::read(program)
            .with_context(|| format!("{} could not be read", program.display()))?;
        let forms = self.theirs.iter().zip(&self.ours);
        let mut copies = forms.filter_map(|(theirs, ours)| replaced(&bytes, theirs, ours));
        let copy = copies
            .next()
            .with_context(|| format!("{name} does not have {ROOT} once, as text or as bytes"))?;
        ensure!(
            copy.len() == bytes.len(),
            "a copy of {name} is of another size"
        );
        let path = self.folder.join(format!("{name}-on-the-stand"));
        // In place of an earlier one, which keeps its permissions.
        std::fs::copy(program, &path)?;
        std::fs::write(&path, copy)?;
        Ok(path)
    }
}

/// The bytes with another part in the place of one that they have once; both are as long.
fn replaced(bytes: &[u8], part: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    if part.is_empty() || part.len() != other.len() {
        return None;
    }
    let mut places = (0..bytes.len().checked_sub(part.len())? + 1)
        .filter(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(part)));
    let (at, None) = (places.next()?, places.next()) else {
        return None;
    };
    let mut copy = bytes.to_vec();
    copy.get_mut(at..at + part.len())?.copy_from_slice(other);
    Some(copy)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::once("a root b", "root", "ours", Some("a ours b"))]
    #[case::at_the_end("a root", "root", "ours", Some("a ours"))]
    #[case::all("root", "root", "ours", Some("ours"))]
    #[case::not_there("a b", "root", "ours", None)]
    #[case::shorter_than_it("ro", "root", "ours", None)]
    #[case::twice("root root", "root", "ours", None)]
    #[case::of_another_length("a root b", "root", "mine!", None)]
    #[case::nothing("a", "", "", None)]
    fn a_root_is_replaced_where_it_is_once(
        #[case] bytes: &str,
        #[case] part: &str,
        #[case] other: &str,
        #[case] expected: Option<&str>,
    ) {
        let found = replaced(bytes.as_bytes(), part.as_bytes(), other.as_bytes());
        assert_eq!(found.as_deref(), expected.map(str::as_bytes));
    }
}
