//! Where the echo is: a Unix socket, or an address with certificates on both sides.

use std::path::PathBuf;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, ServerTlsConfig, Uri};

use crate::Error;

/// The wire.
#[derive(clap::Args, Clone)]
pub(crate) struct Wire {
    /// A Unix socket
    #[arg(long, conflicts_with = "address")]
    pub(crate) unix: Option<PathBuf>,
    /// An address for TLS, such as 127.0.0.1:8443; it is called `localhost`
    #[arg(long, required_unless_present = "unix")]
    pub(crate) address: Option<String>,
    /// Authority of the other side, PEM
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Own certificate, PEM
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// Own key, PEM
    #[arg(long)]
    key: Option<PathBuf>,
}

impl Wire {
    fn identity(&self) -> Result<(Certificate, Identity), Error> {
        let (Some(ca), Some(certificate), Some(key)) = (&self.ca, &self.certificate, &self.key) else {
            return Err("TLS takes --ca, --certificate and --key".into());
        };
        let identity = Identity::from_pem(std::fs::read(certificate)?, std::fs::read(key)?);
        Ok((Certificate::from_pem(std::fs::read(ca)?), identity))
    }

    pub(crate) fn server_tls(&self) -> Result<ServerTlsConfig, Error> {
        let (ca, identity) = self.identity()?;
        Ok(ServerTlsConfig::new().identity(identity).client_ca_root(ca))
    }

    /// One connection.
    pub(crate) async fn connect(&self) -> Result<Channel, Error> {
        if let Some(path) = self.unix.clone() {
            let connector = tower::service_fn(move |_: Uri| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            return Ok(Endpoint::from_static("http://localhost").connect_with_connector(connector).await?);
        }
        let address = self.address.as_deref().unwrap_or_default();
        let (ca, identity) = self.identity()?;
        let tls = ClientTlsConfig::new().domain_name("localhost").ca_certificate(ca).identity(identity);
        Ok(Endpoint::new(format!("https://{address}"))?.tls_config(tls)?.tcp_nodelay(true).connect().await?)
    }
}
