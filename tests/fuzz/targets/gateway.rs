//! See [`fuzz::gateway::gateway`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::gateway::gateway(data));
