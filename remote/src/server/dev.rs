//! A throw-away server for trying things out: a home, an authority and certificates in a folder that goes with it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use libkmss::auth::Credential;
use libkmss::config::Config;
use libkmss::error::{Error, ErrorKind, Result};
use libkmss::kms::Kms;
use libkmss::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};

use super::config::{NamespaceConfig, ServerConfig};
use super::run;

/// The namespace that is served.
const NAMESPACE: &str = "dev";
/// The client's name, and what it makes of it as a principal.
const CLIENT: &str = "client.dev";

/// Serves a new namespace `dev` on loopback and on a Unix socket until it is told to stop, and prints how to get in.
///
/// # Errors
/// As [`run`]; [`ErrorKind::Storage`] where the folder cannot be written.
pub fn dev(port: u16) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("kmssd-dev-").tempdir().map_err(unwritable)?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).map_err(unwritable)?;
    let file = |name: &str| folder.path().join(name);
    let mut config = Config::load()?.at(file("home"));
    // Nothing of it is anybody's but this server's.
    config.principals.clear();
    config.quotas.clear();
    config.hsms.clear();
    config.hsm_groups.clear();
    config.remotes.clear();
    config.policy.admins = vec![format!("service:{CLIENT}")];
    let (officer, user) = found(&config)?;
    write(&file("so-pin"), officer.as_bytes())?;
    write(&file("pin"), user.as_bytes())?;
    certificates(&file)?;
    let address = match port {
        // Whoever is told the port needs it before the server listens.
        0 => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr()).map_err(unwritable)?,
        port => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
    };
    let server = ServerConfig {
        listen: vec![address],
        unix: Some(file("kmssd.sock")),
        unix_mode: 0o600,
        certificate: Some(file("server.pem")),
        key: Some(file("server.key")),
        client_ca: vec![file("ca.pem")],
        namespaces: vec![NamespaceConfig {
            name: NAMESPACE.to_owned(),
            pin_file: Some(file("pin")),
            ..NamespaceConfig::default()
        }],
        ..ServerConfig::default()
    };
    println!("{}", welcome(folder.path(), address));
    run(config, server.checked()?)
}

/// Makes the home with its namespace; returns the officer's PIN and the user's.
fn found(config: &Config) -> Result<(String, String)> {
    let kms = Kms::create(config, None)?;
    let drawn = || -> Result<String> {
        let id = kms.draft(libkmss::key::Storage::Stored)?.id;
        Ok(id.to_string().split_at(16).0.to_owned())
    };
    let (officer, user) = (drawn()?, drawn()?);
    let secret = |pin: &str| Secret::copy_of(pin.as_bytes());
    let namespace = kms.initialize(None, NAMESPACE, &secret(&officer))?;
    let entered = kms.login(&kms.enter(&namespace, 0)?, &Credential::OfficerPin(&secret(&officer)))?;
    kms.set_user_pin(&entered, "user", &secret(&user))?;
    kms.close()?;
    Ok((officer, user))
}

fn certificates(file: &dyn Fn(&str) -> PathBuf) -> Result<()> {
    let bad = |e: rcgen::Error| Error::new(ErrorKind::Internal, "a certificate cannot be made").with_source(e);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(bad)?).map_err(bad)?;
    write(&file("ca.pem"), authority.pem().as_bytes())?;
    let issue = |name: &str, names: Vec<SanType>, purpose| -> Result<()> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().map_err(bad)?;
        let certificate = params.signed_by(&key, &authority).map_err(bad)?;
        write(&file(&format!("{name}.pem")), certificate.pem().as_bytes())?;
        write(&file(&format!("{name}.key")), key.serialize_pem().as_bytes())
    };
    let dns = |name: &str| name.try_into().map(SanType::DnsName).map_err(bad);
    let server = vec![dns("localhost")?, SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
    issue("server", server, ExtendedKeyUsagePurpose::ServerAuth)?;
    issue("client", vec![dns(CLIENT)?], ExtendedKeyUsagePurpose::ClientAuth)
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .map_err(unwritable)
}

fn unwritable(e: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, "the folder of the throw-away server cannot be written").with_source(e)
}

fn welcome(folder: &Path, address: SocketAddr) -> String {
    let at = folder.display();
    format!(
        "A throw-away server for the namespace `{NAMESPACE}`; everything is in `{at}` and goes with it.\n\
         \n\
         Over the Unix socket, as yourself (kmss.toml of a client):\n\
         \n\
         [[remote]]\n\
         name = \"dev\"\n\
         uris = [\"unix:{at}/kmssd.sock\"]\n\
         namespace = \"{NAMESPACE}\"\n\
         \n\
         Over TLS, as `service:{CLIENT}`, who is also its administrator:\n\
         \n\
         [[remote]]\n\
         name = \"dev\"\n\
         uris = [\"https://localhost:{port}\"]\n\
         namespace = \"{NAMESPACE}\"\n\
         ca = \"{at}/ca.pem\"\n\
         certificate = \"{at}/client.pem\"\n\
         key = \"{at}/client.key\"\n\
         \n\
         Then `kmss token init dev --backend dev` makes a token whose keys are on this server.\n\
         \n\
         Or the command asks the server itself (docs/command.md, \"Against a server\"), as the administrator:\n\
         \n\
         export KMSS_SERVER=https://localhost:{port} KMSS_SERVER_CA={at}/ca.pem\n\
         export KMSS_SERVER_CERT={at}/client.pem KMSS_SERVER_KEY={at}/client.key\n\
         kmss key generate first --token {NAMESPACE} --type ec:p256\n\
         kmss key disable first --token {NAMESPACE} --so-pin-file {at}/so-pin\n\
         \n\
         It stops with Ctrl-C.\n",
        port = address.port()
    )
}
