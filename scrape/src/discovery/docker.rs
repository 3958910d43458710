//! Discovery from Docker: the containers of an engine, and the services, tasks and nodes of a swarm.

pub use self::config::{DockerSdConfig, DockerSwarmSdConfig};
pub(super) use self::containers::DockerDiscovery;
pub(super) use self::swarm::SwarmDiscovery;

mod api;
pub mod config;
mod containers;
mod swarm;
