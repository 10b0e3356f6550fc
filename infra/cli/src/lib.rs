//! What operators do by hand, as commands.
//!
//! Role: the acts that an alarm asks for and the console cannot do well. Promise: an envelope is passed on byte for
//! byte, and nothing leaves the queue where it waits before another queue has accepted it.

pub mod resend;
