//! The backend of processes that use keys of a server: the module, the C interface, the command, the agent, kmssd itself.
//!
//! It is a guest in its host's process: no thread, no runtime, no signal handler, one descriptor for each connection, and a
//! forked child that touches nothing of its parent's. Nothing is read, resolved or connected before a key of a server is
//! looked for (docs/remote.md).

mod address;
mod backend;
mod calls;
mod channel;
mod connection;
mod drive;
mod fleet;
mod health;
mod line;
mod mirror;
mod operator;
mod pool;
mod question;
mod running;
#[cfg(test)]
mod tests;
mod tls;
mod watched;
mod wire;

use std::sync::Arc;

use libkmss::backend::Backend;
use libkmss::clock::{Clock, SystemClock};
use libkmss::config::Config;
use libkmss::error::Result;
use libkmss::kms;

use self::backend::RemoteBackend;
use self::calls::Server;
pub use self::operator::{Access, Client, ClientError};
pub use self::question::{Question, Stream};

/// The backends of the servers that `config` names, for [`Kms::open_with`](libkmss::kms::Kms::open_with).
///
/// # Errors
/// [`ErrorKind::Config`](libkmss::error::ErrorKind::Config) for addresses that cannot be read.
pub fn backends(config: &Config) -> Result<Vec<Arc<dyn Backend>>> {
    if config.remotes.is_empty() {
        return Ok(Vec::new());
    }
    let software = kms::software()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let one = |config| {
        let server = Server::new(config, Arc::clone(&software), Arc::clone(&clock))?;
        Ok(Arc::new(RemoteBackend::new(Arc::new(server), Arc::clone(&software))) as Arc<dyn Backend>)
    };
    config.remotes.iter().map(one).collect()
}
