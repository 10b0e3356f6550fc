//! Does nothing. Without a build script cargo takes no account of build dependencies.

fn main() {}
