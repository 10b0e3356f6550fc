//! The local stack: the same template, deployed onto an emulator on this machine, and the commands that use it.
//!
//! Role: `cargo demo`, `cargo local` and `cargo verify`. Promise: on a machine with Rust and Python they need nothing
//! else installed, they keep everything below one state directory, and they leave nothing
//! running. They refuse to touch a process or a port that they did not start or choose.
//!
//! One module per job: [`tools`] installs, [`build`] compiles, [`emulator`] and [`simulator`] run, [`deploy`] deploys,
//! [`outputs`] tells others where everything is, [`aws`] calls the emulator, [`stack`] puts these in order, [`demo`] and
//! [`verify`] use it.

pub mod aws;
pub mod build;
pub mod cli;
pub mod connecting;
pub mod demo;
pub mod deploy;
pub mod emulator;
pub mod interrupt;
pub mod job;
pub mod outputs;
pub mod places;
pub mod ports;
pub mod program;
pub mod progress;
pub mod proxy;
pub mod refusal;
pub mod simulator;
pub mod stack;
pub mod teams;
pub mod template;
pub mod tools;
pub mod verify;
