//! What the operators' command and the local stack have in common: AWS, asked in a few plain signed requests.

pub mod aws;
