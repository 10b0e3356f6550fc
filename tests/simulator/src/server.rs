//! The simulator as an HTTP server on 127.0.0.1: the hosts of one source and the control API on one port.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::{Router, middleware};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::control::{self, Credentials, NewSite};
use crate::door;
use crate::sender::{Sender, SenderError};
use crate::source::Source;
use crate::switches::RetryPolicy;
use crate::world::World;

/// How long open requests may take after a stop; a fault may hold one for minutes.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// Why a simulator could not be started or a site not created.
#[derive(Debug, Error)]
pub enum SimulatorError {
    /// The port could not be bound.
    #[error("port {port} on 127.0.0.1 could not be bound; choose another, or 0 for any free one")]
    Bind {
        /// The port that was asked for.
        port: u16,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The sender could not be made.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// The settings are not the source's.
    #[error("the source has no such settings; the cause names them")]
    Settings(#[source] serde_json::Error),
    /// The client id is taken.
    #[error("there is a site with the client id {client_id} already; choose another")]
    SiteTaken {
        /// The client id.
        client_id: String,
    },
}

/// A running simulator. It stops when it is dropped.
pub struct Simulator {
    address: SocketAddr,
    world: World,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl fmt::Debug for Simulator {
    // Its state holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Simulator {
    /// Starts as Orderspace on a port of 127.0.0.1, or on any free one with 0. It accepts connections when this returns.
    ///
    /// # Errors
    /// [`SimulatorError::Bind`] when the port is taken; otherwise a fault of the machine.
    pub async fn start(port: u16) -> Result<Self, SimulatorError> {
        Self::start_as(Source::Orderspace, port).await
    }

    /// Starts as a source on a port of 127.0.0.1, or on any free one with 0.
    ///
    /// # Errors
    /// As [`Simulator::start`].
    pub async fn start_as(source: Source, port: u16) -> Result<Self, SimulatorError> {
        let bind = |source| SimulatorError::Bind { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let world = World::new(source, Sender::new(RetryPolicy::default())?);
        let (stop, stopped) = oneshot::channel::<()>();
        let routes = routes(world.clone());
        let task = tokio::spawn(async move {
            // A dropped sender stops as well: both mean that nobody wants the server any more.
            let stopped = async {
                let _ = stopped.await;
            };
            let _ = axum::serve(listener, routes)
                .with_graceful_shutdown(stopped)
                .await;
        });
        Ok(Self {
            address,
            world,
            stop: Some(stop),
            task,
        })
    }

    /// `http://127.0.0.1:{port}`, the base of both the identity and the API host.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Creates a site, as `POST /_simulator/sites` does.
    ///
    /// # Errors
    /// [`SimulatorError::SiteTaken`] or [`SimulatorError::Settings`].
    pub fn create_site(&self, new: NewSite) -> Result<Credentials, SimulatorError> {
        let client_id = new.client_id.clone().unwrap_or_default();
        let provider = self.world.provider();
        provider
            .check_settings(&new.settings)
            .map_err(SimulatorError::Settings)?;
        control::create(&self.world, new).ok_or(SimulatorError::SiteTaken { client_id })
    }

    /// Stops: takes no more connections, gives open requests a moment, then ends them.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        let _ = tokio::time::timeout(STOP_PATIENCE, &mut self.task).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn routes(world: World) -> Router {
    Router::new()
        .nest("/_simulator", control::routes())
        .merge(world.provider().routes())
        .layer(middleware::from_fn(door::number))
        .with_state(world)
}
