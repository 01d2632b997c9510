//! TLS: who is believed, who is asked to show a certificate, and files that change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libkmss::clock::SystemClock;
use libkmss::config::RemoteConfig;
use libkmss::error::ErrorKind;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::super::fleet::Fleet;
use super::server::{Fake, Listen};
use super::{ask, config};

/// An authority in a folder, with what it issued.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a certificate into `NAME.pem` and its key into `NAME.key`.
    fn issue(&self, name: &str, expired: bool) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        if expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// A server that shows `name` and wants a certificate of this authority.
    fn server(&self, name: &str) -> Fake {
        let read = |file: &Path| super::super::tls::certificates(file).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(read(&self.file("ca.pem")).remove(0)).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(read(&self.file(&format!("{name}.pem"))), key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Fake::start(Listen::Tcp("127.0.0.1:0".parse().unwrap(), Some(Arc::new(config))), "tls")
    }

    fn fleet(&self, server: &Fake, client: &str) -> Fleet {
        let config = RemoteConfig {
            ca: Some(self.file("ca.pem")),
            certificate: Some(self.file(&format!("{client}.pem"))),
            key: Some(self.file(&format!("{client}.key"))),
            ..config(&[format!("https://localhost:{}", server.address.unwrap().port())])
        };
        Fleet::new(&config, Arc::new(SystemClock::default())).unwrap()
    }
}

#[test]
fn both_sides_show_certificates_and_a_name_is_resolved() {
    let authority = Authority::new();
    authority.issue("server", false);
    authority.issue("client", false);
    let server = authority.server("server");
    let fleet = authority.fleet(&server, "client");
    for _ in 0..3 {
        assert_eq!(ask(&fleet, b"data").unwrap(), "tls");
    }
}

#[test]
fn an_expired_certificate_of_either_side_is_named() {
    let authority = Authority::new();
    for (name, expired) in [("server", false), ("old-server", true), ("client", false), ("old-client", true)] {
        authority.issue(name, expired);
    }
    for (server, client) in [("old-server", "client"), ("server", "old-client")] {
        let running = authority.server(server);
        let error = ask(&authority.fleet(&running, client), b"data").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BackendUnavailable);
        assert!(error.message().to_lowercase().contains("expired"), "{server}, {client}: {error}");
    }
}

#[test]
fn a_server_of_another_authority_is_not_believed() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    ours.issue("client", false);
    theirs.issue("server", false);
    let server = theirs.server("server");
    let error = ask(&ours.fleet(&server, "client"), b"data").unwrap_err();
    assert!(error.message().contains("certificate"), "{error}");
}

#[test]
fn a_certificate_that_was_renewed_on_the_disk_is_shown_from_then_on() {
    let authority = Authority::new();
    authority.issue("server", false);
    authority.issue("client", true);
    let server = authority.server("server");
    let fleet = authority.fleet(&server, "client");
    assert!(ask(&fleet, b"data").is_err());
    authority.issue("client", false);
    // The files are looked at each second, and an address in trouble is left alone for up to five.
    let served = (0..30).find_map(|_| {
        std::thread::sleep(Duration::from_millis(300));
        ask(&fleet, b"data").ok()
    });
    assert_eq!(served.as_deref(), Some("tls"));
}
