//! Puts the published examples of events into the program: it is installed alone, and sends them.
#![allow(clippy::print_stdout, reason = "cargo reads it")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let from = |name: &str| env::var(name).map_err(io::Error::other);
    let folder = Path::new(&from("CARGO_MANIFEST_DIR")?).join("../events/examples");
    println!("cargo::rerun-if-changed={}", folder.display());
    let files: io::Result<Vec<_>> = fs::read_dir(&folder)?
        .map(|file| Ok(file?.path()))
        .collect();
    let mut files = files?;
    files.sort();
    let mut table = "&[\n".to_owned();
    for file in files {
        let name = file.file_stem().map(|name| name.to_string_lossy());
        let (name, path) = (name.unwrap_or_default(), file.display().to_string());
        // Writing to a String cannot end in an error.
        let _ = writeln!(table, "    ({name:?}, include_str!({path:?})),");
    }
    let path = Path::new(&from("OUT_DIR")?).join("examples.rs");
    fs::write(path, table + "]\n")
}
