//! kmssd in a process of its own, and what talks to it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use libkmss::config::PinSource;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use remote::proto;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use kmss_tests::built;
use kmss_tests::home::Home;
use kmss_tests::module::{HSM_LABEL, Module};
use kmss_tests::program::{Program, Running, free_port};

/// A server on a Unix socket, and where it is asked for, over TLS.
pub(crate) struct Kmssd {
    /// Its home, with the namespace `web`.
    pub(crate) home: Home,
    /// What it runs as.
    pub(crate) running: Option<Running>,
    /// Whoever issues certificates; absent where it has no TLS.
    pub(crate) authority: Option<Authority>,
    /// What it needs in its environment beside the home's variables.
    variables: Vec<(OsString, OsString)>,
    socket: PathBuf,
    port: u16,
    metrics: u16,
}

/// How a namespace is served in the tests.
const SERVED: &str = "[[server.namespace]]\nname = \"web\"\npin_env = \"KMSS_PIN\"\n";

impl Kmssd {
    /// One on a Unix socket; `settings` are those of `[server]`, `rules` what else the configuration says.
    pub(crate) fn start(settings: &str, rules: &str) -> Self {
        Self::begin(Home::with_token("web"), settings, rules, false, &[])
    }

    /// One on a Unix socket and over TLS.
    pub(crate) fn with_tls(settings: &str, rules: &str) -> Self {
        Self::begin(Home::with_token("web"), settings, rules, true, &[])
    }

    /// The same over this home, which has the namespace `web` among others.
    #[allow(dead_code, reason = "the tests of the command use it")]
    pub(crate) fn over(home: Home, settings: &str, rules: &str) -> Self {
        Self::begin(home, settings, rules, true, &[])
    }

    /// One on a Unix socket that serves the namespace `pay` beside `web`, with its keys in `module`; `hsm` says more of that.
    pub(crate) fn with_hsm(module: &Module, hsm: &str) -> Self {
        Self::with_rules(&Self::vault(module, hsm), "vault", &module.variables)
    }

    /// One that serves the namespace `pay` beside `web`, whose key material is sealed in `module`; `settings` are those of
    /// `[server]`.
    pub(crate) fn sealed_by(module: &Module, hsm: &str, settings: &str) -> Self {
        let rules = Self::vault(module, hsm);
        Self::with_token(&rules, "--seal in-device:vault", settings, &module.variables)
    }

    /// `module` as the `[[hsm]]` that is called `vault`.
    fn vault(module: &Module, hsm: &str) -> String {
        let config = module.config("vault");
        let Some(PinSource::File(pin)) = &config.pin else { panic!("the PIN is in a file") };
        let path = &module.path;
        format!(
            "[[hsm]]\nname = \"vault\"\nmodule = {path:?}\ntoken = {HSM_LABEL:?}\npin = {{ file = {pin:?} }}\n{hsm}\n"
        )
    }

    /// One whose namespace `pay` has its keys in `backend`, which `rules` describe.
    pub(crate) fn with_rules(rules: &str, backend: &str, variables: &[(OsString, OsString)]) -> Self {
        Self::with_token(rules, &format!("--backend {backend}"), "", variables)
    }

    fn with_token(rules: &str, options: &str, settings: &str, variables: &[(OsString, OsString)]) -> Self {
        let home = Home::with_token("web");
        fs::write(home.path().join("kmss.toml"), rules).expect("the home is ours");
        home.kmss(&format!("token init pay {options}")).envs(variables).succeed();
        let served = format!("{settings}[[server.namespace]]\nname = \"pay\"\npin_env = \"KMSS_PIN\"\n");
        Self::begin(home, &served, rules, false, variables)
    }

    fn begin(home: Home, settings: &str, rules: &str, tls: bool, variables: &[(OsString, OsString)]) -> Self {
        let (socket, port, metrics) = (home.file("kmssd.sock"), free_port(), free_port());
        let mut config = format!("{rules}\n[server]\nunix = \"{}\"\nunix_mode = \"0666\"\n", socket.display());
        config += &format!("metrics = \"127.0.0.1:{metrics}\"\n");
        let authority = tls.then(|| {
            let authority = Authority::new();
            let (certificate, key) = authority.issue(&["DNS:localhost"], 0);
            write(&home.file("ca.pem"), &authority.pem());
            write(&home.file("server.pem"), &certificate);
            write(&home.file("server.key"), &key);
            let file = |name: &str| home.file(name).display().to_string();
            config += &format!(
                "listen = [\"127.0.0.1:{port}\"]\ncertificate = {:?}\nkey = {:?}\nclient_ca = [{:?}]\nreload_s = 1\n",
                file("server.pem"),
                file("server.key"),
                file("ca.pem")
            );
            authority
        });
        let config = format!("{config}\n{settings}\n{SERVED}");
        fs::write(home.path().join("kmss.toml"), config).expect("the home is ours");
        let variables = variables.to_vec();
        let mut server = Self { home, running: None, authority, variables, socket, port, metrics };
        server.run();
        server
    }

    /// Starts it.
    pub(crate) fn run(&mut self) {
        let mut running =
            Program::new(built::server()).envs(&self.home.variables()).envs(&self.variables).keep_running();
        let socket = self.socket.clone();
        running.wait_until("listening", || StdUnixStream::connect(&socket).is_ok());
        self.running = Some(running);
    }

    /// Somebody who talks to it over the Unix socket.
    pub(crate) fn client(&self) -> Client {
        let socket = self.socket.clone();
        let connect = tower::service_fn(move |_: http::Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        Client::new(Endpoint::from_static("http://kmssd"), connect)
    }

    /// Somebody who talks to it over TLS, with a certificate and its key (PEM), or without.
    pub(crate) fn tls_client(&self, identity: Option<&(String, String)>) -> Client {
        self.tls_client_of(Endpoint::from_static("http://kmssd"), identity)
    }

    /// Somebody who asks, and takes nothing of what is answered.
    #[allow(dead_code, reason = "the tests of the command have none")]
    pub(crate) fn deaf_client(&self, identity: &(String, String)) -> Client {
        self.tls_client_of(Endpoint::from_static("http://kmssd").initial_stream_window_size(0), Some(identity))
    }

    fn tls_client_of(&self, endpoint: Endpoint, identity: Option<&(String, String)>) -> Client {
        let authority = self.authority.as_ref().expect("the server has TLS");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3 is there")
            .with_root_certificates(roots);
        let mut config = match identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => config
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
                )
                .expect("the key fits"),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (config, port) = (Arc::new(config), self.port);
        let connect = tower::service_fn(move |_: http::Uri| {
            let connector = TlsConnector::from(Arc::clone(&config));
            async move {
                let stream = TcpStream::connect(("127.0.0.1", port)).await?;
                let name = ServerName::try_from("localhost").expect("a name");
                connector.connect(name, stream).await.map(TokioIo::new)
            }
        });
        Client::new(endpoint, connect)
    }

    /// What it says at its metrics' address.
    pub(crate) fn metrics(&self) -> String {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.metrics)).expect("it listens");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        text
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &PathBuf {
        &self.socket
    }

    /// Its TLS port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

/// Writes a file at once: whoever reads it never sees half of it.
fn write(path: &PathBuf, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("the folder is ours");
    fs::rename(new, path).expect("the folder is ours");
}

/// Whoever issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Its certificate, PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate with these names (`URI:…`, `DNS:…`, `email:…`) and its key, both PEM. With `days` below 0 it ended so many
    /// days ago.
    pub(crate) fn issue(&self, names: &[&str], days: i64) -> (String, String) {
        let mut params = CertificateParams::default();
        for name in names {
            let (kind, value) = name.split_once(':').expect("a kind");
            let value = value.try_into().expect("a name");
            params.subject_alt_names.push(match kind {
                "URI" => SanType::URI(value),
                "DNS" => SanType::DnsName(value),
                _ => SanType::Rfc822Name(value),
            });
        }
        if days < 0 {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// Replaces a file of the server.
pub(crate) fn replace(server: &Kmssd, name: &str, text: &str) {
    write(&server.home.file(name), text);
}

/// Somebody who talks to a server.
pub(crate) struct Client {
    runtime: Runtime,
    /// The connection.
    pub(crate) channel: Channel,
}

impl Client {
    fn new<C, I>(endpoint: Endpoint, connect: C) -> Self
    where
        C: tower::Service<http::Uri, Response = I, Error = std::io::Error> + Send + 'static,
        C::Future: Send,
        I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("threads can be made");
        let guard = runtime.enter();
        let channel = endpoint.connect_with_connector_lazy(connect);
        drop(guard);
        Self { runtime, channel }
    }

    /// Waits for what `future` yields.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The services.
    pub(crate) fn keys(&self) -> proto::key_service_client::KeyServiceClient<Channel> {
        proto::key_service_client::KeyServiceClient::new(self.channel.clone())
    }

    /// See [`Self::keys`].
    pub(crate) fn crypto(&self) -> proto::crypto_service_client::CryptoServiceClient<Channel> {
        proto::crypto_service_client::CryptoServiceClient::new(self.channel.clone())
    }

    /// See [`Self::keys`].
    pub(crate) fn random(&self) -> proto::random_service_client::RandomServiceClient<Channel> {
        proto::random_service_client::RandomServiceClient::new(self.channel.clone())
    }

    /// See [`Self::keys`].
    pub(crate) fn admin(&self) -> proto::admin_service_client::AdminServiceClient<Channel> {
        proto::admin_service_client::AdminServiceClient::new(self.channel.clone())
    }

    /// See [`Self::keys`].
    pub(crate) fn audit(&self) -> proto::audit_service_client::AuditServiceClient<Channel> {
        proto::audit_service_client::AuditServiceClient::new(self.channel.clone())
    }

    /// See [`Self::keys`].
    #[allow(dead_code, reason = "the tests of the server use it")]
    pub(crate) fn lifecycle(&self) -> proto::lifecycle_service_client::LifecycleServiceClient<Channel> {
        proto::lifecycle_service_client::LifecycleServiceClient::new(self.channel.clone())
    }

    /// A P-256 pair of this name in `web`, the private half.
    pub(crate) fn pair(&self, name: &str) -> proto::Object {
        self.pair_in("web", name)
    }

    /// A P-256 pair of this name in `namespace`, the private half.
    pub(crate) fn pair_in(&self, namespace: &str, name: &str) -> proto::Object {
        let request = proto::GenerateKeyPairRequest {
            namespace: namespace.into(),
            spec: Some(p256()),
            private: Some(named(name)),
            public: Some(named(name)),
            request_id: Vec::new(),
        };
        let made = self.wait(self.keys().generate_key_pair(request)).expect("a pair").into_inner();
        made.private.expect("a private half")
    }
}

/// A P-256 pair.
pub(crate) fn p256() -> proto::KeySpec {
    proto::KeySpec { kind: Some(proto::key_spec::Kind::Ec(proto::Curve::P256.into())) }
}

/// A draft with a label.
pub(crate) fn named(name: &str) -> proto::Draft {
    proto::Draft { label: name.into(), ..proto::Draft::default() }
}

/// Names an object of `web`.
pub(crate) fn key(object: &proto::Object) -> Option<proto::KeyRef> {
    Some(proto::KeyRef { namespace: "web".into(), id: object.id.clone(), version: 0 })
}

/// ECDSA with SHA-256.
pub(crate) fn ecdsa() -> Option<proto::Mechanism> {
    let ecdsa = proto::Ecdsa { hash: proto::Hash::Sha256.into() };
    let kind = proto::ec_mechanism::Kind::Ecdsa(ecdsa);
    Some(proto::Mechanism { kind: Some(proto::mechanism::Kind::Ec(proto::EcMechanism { kind: Some(kind) })) })
}

/// A signature of `data` by the P-256 key.
pub(crate) fn sign(object: &proto::Object, data: &[u8], request_id: &[u8]) -> proto::SignRequest {
    proto::SignRequest {
        key: key(object),
        mechanism: ecdsa(),
        data: data.to_vec(),
        request_id: request_id.to_vec(),
        recoverable: false,
    }
}
