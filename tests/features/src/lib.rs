//! No code: a list of features, in `Cargo.toml`. With it a build of any program and a build of the tests use the same
//! compiled crates, as long as both select the whole workspace (`cargo build --bin X`, not `--package X`).
