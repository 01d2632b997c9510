//! TLS as we speak it: rustls on aws-lc, versions 1.2 and 1.3, the receiver's certificate always checked.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use libkmss::config::ForwardConfig;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use zeroize::Zeroizing;

use crate::error::ForwardError;

/// Largest file of a secret.
const LARGEST: u64 = 64 * 1024;

/// Our cryptography.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The certificates of a file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ForwardError> {
    let wrong = |what: String| ForwardError::File { path: path.to_owned(), what };
    let found = CertificateDer::pem_file_iter(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|e| wrong(format!("is no PEM: {e}")))?;
    if found.is_empty() { Err(wrong("holds no certificate".to_owned())) } else { Ok(found) }
}

/// The key of a file.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, ForwardError> {
    let wrong = |e| ForwardError::File { path: path.to_owned(), what: format!("holds no private key: {e}") };
    PrivateKeyDer::from_pem_slice(&secret_file(path)?).map_err(wrong)
}

/// What a file holds that nobody else may know.
pub(super) fn secret_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, ForwardError> {
    let wrong = |what: String| ForwardError::File { path: path.to_owned(), what };
    let unreadable = |e: io::Error| wrong(format!("cannot be read: {e}"));
    let mut file = File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if meta.mode() & 0o007 != 0 {
        return Err(wrong(format!("can be reached by everybody: run `chmod o-rwx {}`", path.display())));
    }
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(wrong("is no file of a secret".to_owned()));
    }
    // Enough from the start: a copy that was left behind by growing would not be wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(LARGEST).unwrap_or(0)));
    file.by_ref().take(LARGEST).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// Whom we believe: those of the file, else those of the system.
pub(super) fn roots(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, ForwardError> {
    match file {
        Some(file) => certificates(file),
        None => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                let what = "is not given, and the system has no certificates: install ca-certificates".to_owned();
                return Err(ForwardError::File { path: "ca_file".into(), what });
            }
            Ok(found.certs)
        }
    }
}

/// How we speak to the receiver of `config`.
pub(super) fn client(config: &ForwardConfig, place: &str) -> Result<Arc<ClientConfig>, ForwardError> {
    let failed = |source| ForwardError::Tls { place: place.to_owned(), source };
    let mut store = RootCertStore::empty();
    let roots = roots(config.ca_file.as_deref())?;
    let (added, _) = store.add_parsable_certificates(roots);
    if added == 0 {
        let path = config.ca_file.clone().unwrap_or_else(|| "ca_file".into());
        return Err(ForwardError::File { path, what: "holds no certificate that can be used".to_owned() });
    }
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(failed)?;
    let builder = builder.with_root_certificates(store);
    let client = match &config.client {
        Some((certificate, file)) => {
            builder.with_client_auth_cert(certificates(certificate)?, key(file)?).map_err(failed)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(client))
}
