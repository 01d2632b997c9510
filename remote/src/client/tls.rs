//! TLS 1.3 to a server, with a certificate of our own, from files that are read again when they change.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libkmss::error::{Error, ErrorKind, Result};
use libkmss::os::{Lock, Rank};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Largest file that is read.
const LARGEST: u64 = 1 << 20;

/// Who is believed to be the server, and who we are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// The authorities that vouch for servers (PEM).
    pub(super) ca: Option<PathBuf>,
    /// Our certificate with what leads from it to an authority (PEM).
    pub(super) certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub(super) key: Option<PathBuf>,
}

/// The configuration made of the files as they are.
pub(super) struct TlsSource {
    files: TlsFiles,
    current: Lock<Option<Current>>,
    /// Number of the current configuration, and until when nobody looks at the files again, in microseconds of the monotonic
    /// clock: each call asks for it.
    edition: AtomicU64,
    fresh_until: AtomicU64,
}

#[derive(Clone)]
struct Current {
    looked: Duration,
    stamps: Vec<Stamp>,
    edition: u64,
    config: Arc<ClientConfig>,
}

/// What tells that a file is another one, or holds something else.
type Stamp = (u64, u64, i64, i64, u64);

impl TlsSource {
    pub(super) fn new(files: TlsFiles) -> Self {
        let (edition, fresh_until) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { files, current: Lock::new(Rank::Cache, None), edition, fresh_until }
    }

    /// The number of the configuration, which moves when the files change; 0 where they cannot be read.
    pub(super) fn edition(&self, now: Duration) -> u64 {
        if micros(now) < self.fresh_until.load(Ordering::Acquire) {
            return self.edition.load(Ordering::Acquire);
        }
        self.config(now).map_or(0, |(edition, _)| edition)
    }

    /// The configuration with its number, which moves when the files change. Where they cannot be read any more, the last
    /// one stays.
    pub(super) fn config(&self, now: Duration) -> Result<(u64, Arc<ClientConfig>)> {
        let known = self.current.lock().clone();
        if let Some(known) = &known
            && now.saturating_sub(known.looked) < LOOK
        {
            return Ok((known.edition, Arc::clone(&known.config)));
        }
        let stamps = self.files.each().map(stamp).collect::<Result<Vec<_>>>();
        let fresh = match (&known, stamps) {
            (Some(known), Ok(stamps)) if known.stamps == stamps => Ok(Current { looked: now, ..known.clone() }),
            (_, Ok(stamps)) => self.load().map(|config| Current {
                looked: now,
                stamps,
                edition: known.as_ref().map_or(1, |known| known.edition + 1),
                config: Arc::new(config),
            }),
            (_, Err(e)) => Err(e),
        };
        let fresh = match (fresh, known) {
            (Ok(fresh), _) => fresh,
            (Err(error), Some(known)) => {
                tracing::warn!(reason = %error.sentence(), "the files for TLS cannot be read again");
                Current { looked: now, ..known }
            }
            (Err(error), None) => return Err(error),
        };
        let mut current = self.current.lock();
        *current = Some(fresh.clone());
        self.edition.store(fresh.edition, Ordering::Release);
        self.fresh_until.store(micros(fresh.looked.saturating_add(LOOK)), Ordering::Release);
        drop(current);
        Ok((fresh.edition, fresh.config))
    }

    fn load(&self) -> Result<ClientConfig> {
        let ca =
            self.files.ca.as_deref().ok_or_else(|| bad("a server is reached by https, and no `ca` vouches for it"))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|e| unreadable(ca, e))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| bad("TLS 1.3 is not offered").with_source(e))?
            .with_root_certificates(roots);
        let mut config = match (&self.files.certificate, &self.files.key) {
            (Some(certificate), Some(key)) => {
                let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|e| unreadable(key, e))?;
                config
                    .with_client_auth_cert(certificates(certificate)?, private)
                    .map_err(|e| unreadable(certificate, e))?
            }
            (None, None) => config.with_no_client_auth(),
            _ => return Err(bad("a server has a `certificate` without a `key`, or the other way round: name both")),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl TlsFiles {
    fn each(&self) -> impl Iterator<Item = &Path> {
        [&self.ca, &self.certificate, &self.key].into_iter().flatten().map(PathBuf::as_path)
    }
}

fn stamp(path: &Path) -> Result<Stamp> {
    let m = fs::metadata(path).map_err(|e| unreadable(path, e))?;
    Ok((m.dev(), m.ino(), m.mtime(), m.mtime_nsec(), m.size()))
}

fn read(path: &Path) -> Result<zeroize::Zeroizing<Vec<u8>>> {
    let size = fs::metadata(path).map_err(|e| unreadable(path, e))?.len();
    if size > LARGEST {
        return Err(unreadable(path, "it is too large"));
    }
    fs::read(path).map(zeroize::Zeroizing::new).map_err(|e| unreadable(path, e))
}

pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(path)?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|e| unreadable(path, e))?;
    if found.is_empty() {
        return Err(unreadable(path, "it holds no certificate"));
    }
    Ok(found)
}

fn bad(what: &'static str) -> Error {
    Error::new(ErrorKind::Config, what)
}

fn unreadable(path: &Path, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Config, format!("`{}` cannot be used for TLS: {cause}", path.display()))
}
