//! TLS 1.3 with certificates on both sides, read from files that may change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use libkmss::error::{Error, ErrorKind, Result};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{ServerConfig as TlsConfig, WebPkiClientVerifier};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::config::ServerConfig;

/// Most names of a certificate that are looked at.
const MAX_NAMES: usize = 64;

/// The files, and what was made of them last.
pub(super) struct Tls {
    files: Files,
    state: RwLock<State>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Vec<PathBuf>,
    client_crl: Vec<PathBuf>,
}

struct State {
    config: Arc<TlsConfig>,
    /// Of each file, when it was changed and how long it is.
    marks: Vec<Mark>,
}

type Mark = Option<(SystemTime, u64)>;

impl Tls {
    /// Reads the files that `config` names; `None` where it names none.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for what cannot be read or does not fit together.
    pub(super) fn open(config: &ServerConfig) -> Result<Option<Self>> {
        let (Some(certificate), Some(key)) = (config.certificate.clone(), config.key.clone()) else { return Ok(None) };
        let (client_ca, client_crl) = (config.client_ca.clone(), config.client_crl.clone());
        let files = Files { certificate, key, client_ca, client_crl };
        let state = State { marks: files.marks(), config: files.read()? };
        Ok(Some(Self { files, state: RwLock::new(state) }))
    }

    /// What new connections are to use.
    pub(super) fn current(&self) -> Arc<TlsConfig> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// Reads the files again where one has changed; says whether there is something new. Where they are not usable, what was
    /// read before stays.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn look_again(&self) -> Result<bool> {
        let marks = self.files.marks();
        if marks == self.state.read().unwrap_or_else(PoisonError::into_inner).marks {
            return Ok(false);
        }
        let read = self.files.read();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // Said once of each change.
        state.marks = marks;
        state.config = read?;
        Ok(true)
    }
}

impl Files {
    fn marks(&self) -> Vec<Mark> {
        let all = [&self.certificate, &self.key].into_iter().chain(&self.client_ca).chain(&self.client_crl);
        all.map(|file| fs::metadata(file).and_then(|data| Ok((data.modified()?, data.len()))).ok()).collect()
    }

    fn read(&self) -> Result<Arc<TlsConfig>> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| unusable(&self.key, e))?;
        let mut roots = RootCertStore::empty();
        for file in &self.client_ca {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|e| unusable(file, e))?;
            }
        }
        let mut lists = Vec::new();
        for file in &self.client_crl {
            let read = CertificateRevocationListDer::pem_file_iter(file).map_err(|e| unusable(file, e))?;
            let read = read.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| unusable(file, e))?;
            // Without any, nobody would be held against a list.
            if read.is_empty() {
                return Err(unusable(file, "it holds no revocation list"));
            }
            lists.extend(read);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let bad = |e: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Config, "the certificates of the server cannot be used").with_source(e)
        };
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .with_crls(lists)
            .build()
            .map_err(|e| bad(e.into()))?;
        let mut config = TlsConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|e| bad(e.into()))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|e| bad(e.into()))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed connection would keep an identity that new files may not admit any more.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).map_err(|e| unusable(file, e))?;
    let all = read.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| unusable(file, e))?;
    if all.is_empty() { Err(unusable(file, "it holds no certificate")) } else { Ok(all) }
}

fn unusable(file: &Path, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Config, format!("`{}` cannot be used", file.display())).with_source(why)
}

/// The names of a certificate that somebody can be known by: URIs first, then DNS names, then mail addresses, each in the order
/// of the certificate (RFC 5280, 4.2.1.6).
///
/// # Errors
/// [`ErrorKind::Denied`] for a certificate without any.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>> {
    let none = || {
        Error::new(ErrorKind::Denied, "the certificate has no name of a client: a URI, a DNS name or a mail address")
    };
    let certificate = Certificate::from_der(certificate).map_err(|_| none())?;
    let found = certificate.tbs_certificate().get_extension::<SubjectAltName>().map_err(|_| none())?;
    let SubjectAltName(all) = found.map(|(_, names)| names).ok_or_else(none)?;
    let (mut uris, mut hosts, mut mails) = (Vec::new(), Vec::new(), Vec::new());
    for name in all.iter().take(MAX_NAMES) {
        match name {
            GeneralName::UniformResourceIdentifier(uri) => uris.push(format!("URI:{}", uri.as_str())),
            GeneralName::DnsName(host) => hosts.push(format!("DNS:{}", host.as_str())),
            GeneralName::Rfc822Name(mail) => mails.push(format!("email:{}", mail.as_str())),
            _ => {}
        }
    }
    uris.append(&mut hosts);
    uris.append(&mut mails);
    if uris.is_empty() { Err(none()) } else { Ok(uris) }
}
