//! HTTP, over TLS by rustls on aws-lc where the URL says so.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::error::AnchorError;

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer that is read.
const LONGEST: u64 = 1 << 20;

/// Sends requests.
pub(crate) struct Client(ureq::Agent);

/// What a server answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body, where the server took what was sent.
    pub(crate) fn accepted(self, url: &str) -> Result<Vec<u8>, AnchorError> {
        match self.status {
            200..300 => Ok(self.body),
            status => Err(AnchorError::Status { url: shown(url), status }),
        }
    }
}

impl Client {
    /// A client that believes the certificates of `ca_file`, or those of the system.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, AnchorError> {
        let wrong = |path: &Path| AnchorError::Certificates(path.display().to_string());
        let roots: Vec<CertificateDer<'static>> = match ca_file {
            Some(path) => CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|_| wrong(path))?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        if let Some(path) = ca_file.filter(|_| roots.is_empty()) {
            return Err(wrong(path));
        }
        let roots: Vec<_> = roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::new_with_certs(&roots));
        let agent = ureq::Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("kmss/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self(agent))
    }

    /// Posts `body`.
    pub(crate) fn post(&self, url: &str, content_type: &str, body: &[u8]) -> Result<Answer, AnchorError> {
        let failed = |e: ureq::Error| AnchorError::Http { url: shown(url), source: Box::new(e) };
        let response = self.0.post(url).header("content-type", content_type).send(body).map_err(failed)?;
        let status = response.status().as_u16();
        let body = response.into_body().into_with_config().limit(LONGEST).read_to_vec().map_err(failed)?;
        Ok(Answer { status, body })
    }
}

/// The URL without what may be secret in it.
pub(crate) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).unwrap_or((rest, ""));
    format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
}
