//! Ports of this machine: one that is free, and whether a chosen one is.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result};

use crate::refusal::Refusal;

/// A port that nothing listens on at this moment.
///
/// # Errors
/// The machine has no port to give.
pub fn free() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .context("no free port on 127.0.0.1; close some programs and try again")?;
    Ok(listener.local_addr()?.port())
}

/// Makes sure that nothing listens on `port`.
///
/// # Errors
/// A [`Refusal`] when something does.
pub fn require_free(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(Refusal::error(format!(
                "Port {port} on 127.0.0.1 is in use by another program. Choose another one with --port, for example \
             `cargo local up --port {}`.",
                free()?
            )))
        }
        Err(error) => Err(Refusal::error(format!(
            "Port {port} on 127.0.0.1 cannot be used: {error}. Choose another one with --port."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_with_a_listener_is_refused_and_free_again_afterwards() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let refused = require_free(port).unwrap_err();
        assert!(refused.to_string().contains(&port.to_string()), "{refused}");
        assert!(refused.downcast_ref::<Refusal>().is_some());
        drop(listener);
        require_free(port).unwrap();
    }
}
