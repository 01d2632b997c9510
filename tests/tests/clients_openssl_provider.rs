//! OpenSSL 3 through its pkcs11-provider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};
use kmss_tests::program::{Program, Said, free_port, listens, needs};

const TOKEN: &str = "provider";
const KEYS: [(&str, &str, &str); 3] = [("rsa1", "rsa:2048", "01"), ("ec1", "ec:p256", "02"), ("ed1", "ed25519", "03")];

/// The provider: Debian's where it is installed, else the one that `cargo xtask setup` fetched.
fn provider() -> Option<PathBuf> {
    let file = "usr/lib/x86_64-linux-gnu/ossl-modules/pkcs11.so";
    let installed = PathBuf::from("/").join(file);
    if installed.exists() { Some(installed) } else { built::clients("provider").map(|folder| folder.join(file)) }
}

/// A home with keys, the configuration in `openssl.cnf`, and the keys' public halves and certificates in files that
/// the provider made.
fn home() -> Option<Home> {
    if built::only_kmss("Ed25519 key that OpenSSL finds") {
        return None;
    }
    let provider = provider()?;
    let home = Home::with_token(TOKEN);
    let text = format!(
        "openssl_conf = o\n[o]\nproviders = p\n[p]\ndefault = d\npkcs11 = k\n[d]\nactivate = 1\n[k]\nmodule = {}\n\
         pkcs11-module-path = {}\npkcs11-module-token-pin = {PIN}\nactivate = 1\n[req]\ndistinguished_name = dn\n[dn]\n",
        provider.display(),
        built::module().display()
    );
    fs::write(home.file("openssl.cnf"), text).unwrap();
    fs::write(home.file("msg"), "signed by way of a provider").unwrap();
    for (key, kind, id) in KEYS {
        home.generate(TOKEN, key, kind, id);
        let public = format!("pkcs11:token={TOKEN};object={key};type=public");
        openssl(&home, &format!("pkey -pubin -pubout -in {public} -out {key}.pub")).succeed();
        let certificate = "req -new -x509 -days 9 -subj /CN=localhost -addext subjectAltName=DNS:localhost";
        openssl(&home, &format!("{certificate} -key {} -out {key}.crt", private(key))).succeed();
        judge(&home, &format!("verify -CAfile {key}.crt {key}.crt"));
    }
    Some(home)
}

fn private(key: &str) -> String {
    format!("pkcs11:token={TOKEN};object={key};type=private")
}

fn openssl(home: &Home, line: &str) -> Program {
    home.program("openssl").env("OPENSSL_CONF", home.file("openssl.cnf")).words(line)
}

/// Plain openssl, which knows no provider but its own.
#[track_caller]
fn judge(home: &Home, line: &str) -> Said {
    Program::new("openssl").env("OPENSSL_CONF", "/dev/null").within(home.folder()).words(line).succeed()
}

#[test]
fn it_signs_decrypts_and_agrees() {
    let Some(home) = home() else { return };
    let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32";
    for (key, hash, options) in [
        ("rsa1", "sha256", ""),
        ("rsa1", "sha512", ""),
        ("ec1", "sha256", ""),
        ("ec1", "sha384", ""),
        ("rsa1", "sha256", pss),
    ] {
        openssl(&home, &format!("dgst -{hash} {options} -sign {} -out sig msg", private(key))).succeed();
        judge(&home, &format!("dgst -{hash} {options} -verify {key}.pub -signature sig msg")).mentions("Verified OK");
    }
    openssl(&home, &format!("pkeyutl -sign -rawin -inkey {} -in msg -out sig", private("ed1"))).succeed();
    judge(&home, "pkeyutl -verify -rawin -pubin -inkey ed1.pub -in msg -sigfile sig");
    let oaep = "-pkeyopt rsa_padding_mode:oaep";
    let sha256 = format!("{oaep} -pkeyopt rsa_oaep_md:sha256");
    for padding in ["-pkeyopt rsa_padding_mode:pkcs1", oaep, &sha256] {
        judge(&home, &format!("pkeyutl -encrypt -pubin -inkey rsa1.pub {padding} -in msg -out sealed"));
        let open = format!("pkeyutl -decrypt -inkey {} {padding} -in sealed -out opened", private("rsa1"));
        openssl(&home, &open).succeed();
        assert_eq!(fs::read(home.file("opened")).unwrap(), fs::read(home.file("msg")).unwrap(), "{padding}");
    }
    judge(&home, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out peer.pem");
    judge(&home, "pkey -in peer.pem -pubout -out peer.pub");
    judge(&home, "pkeyutl -derive -inkey peer.pem -peerkey ec1.pub -out theirs");
    openssl(&home, &format!("pkeyutl -derive -inkey {} -peerkey peer.pub -out ours", private("ec1"))).succeed();
    assert_eq!(fs::read(home.file("ours")).unwrap(), fs::read(home.file("theirs")).unwrap());
    home.audit_is_whole();
}

#[test]
fn s_server_shakes_hands_with_keys_of_three_types() {
    let Some(home) = home() else { return };
    needs(&["curl"]);
    for (key, ..) in KEYS {
        for protocol in ["-tls1_2", "-tls1_3"] {
            let port = free_port();
            let server =
                format!("s_server -key {} -cert {key}.crt -accept 127.0.0.1:{port} -www {protocol}", private(key));
            let mut server = openssl(&home, &server).keep_running();
            server.wait_until("listening", || listens(port));
            let curl = Program::new("curl").words("-sS --resolve").arg(format!("localhost:{port}:127.0.0.1"));
            let curl = curl.arg("--cacert").arg(home.file(&format!("{key}.crt")));
            let said = curl.arg(format!("https://localhost:{port}/")).run();
            assert!(said.success(), "{key} {protocol}: {said}\n{}", server.said());
        }
    }
}
