//! OpenSSL through Debian's PKCS#11 engine, with keys in the home and on a server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kmss_tests::home::Home;
use kmss_tests::openssl::{ENGINE, Engine, key_uri};
use kmss_tests::program::{Program, Said, free_port, listens, needs, needs_file};
use kmss_tests::remote::{Kept, Keys};
use kmss_tests::{built, wherever_the_keys_are};

const TOKEN: &str = "engine";

/// A home with an RSA and an EC pair, and a message.
fn home(keys: Keys) -> Kept {
    needs_file(ENGINE);
    let home = Kept::with_token(TOKEN, keys);
    home.generate(TOKEN, "rsa1", "rsa:2048", "01");
    home.generate(TOKEN, "ec1", "ec:p256", "02");
    std::fs::write(home.file("msg"), "signed in the token, believed outside").unwrap();
    home
}

/// Plain openssl, which knows no engine.
#[track_caller]
fn judge(home: &Home, line: &str) -> Said {
    Program::new("openssl").env("OPENSSL_CONF", "/dev/null").within(home.folder()).words(line).succeed()
}

wherever_the_keys_are!(
    dgst_signs_with_rsa_ec_and_pss,
    req_makes_requests_and_certificates,
    pkeyutl_decrypts_and_agrees,
    s_server_shakes_hands_with_keys_in_the_token,
    a_wrong_pin_gives_an_error_and_no_key,
);

fn dgst_signs_with_rsa_ec_and_pss(home: &Kept) {
    let engine = Engine::new(home);
    for key in ["rsa1", "ec1"] {
        let uri = format!("pkcs11:token={TOKEN};object={key}");
        engine
            .openssl(&format!("pkey -engine pkcs11 -inform engine -pubin -pubout -in {uri} -out {key}.pub"))
            .succeed();
    }
    let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1";
    for (key, hash, options) in [
        ("rsa1", "sha256", ""),
        ("rsa1", "sha512", ""),
        ("ec1", "sha256", ""),
        ("ec1", "sha384", ""),
        ("rsa1", "sha256", pss),
    ] {
        let uri = key_uri(TOKEN, key);
        engine.openssl(&format!("dgst -{hash} {{e}} {options} -sign {uri} -out sig msg")).succeed();
        judge(home, &format!("dgst -{hash} {options} -verify {key}.pub -signature sig msg")).mentions("Verified OK");
    }
    home.audits_are_whole();
}

fn req_makes_requests_and_certificates(home: &Kept) {
    let engine = Engine::new(home);
    for key in ["rsa1", "ec1"] {
        let uri = key_uri(TOKEN, key);
        engine.openssl(&format!("req -new -subj /CN={key}.test {{e}} -key {uri} -out {key}.csr")).succeed();
        judge(home, &format!("req -verify -noout -config /dev/null -in {key}.csr"));
        engine
            .openssl(&format!("req -new -x509 -days 9 -subj /CN={key}.test {{e}} -key {uri} -out {key}.crt"))
            .succeed();
        judge(home, &format!("verify -CAfile {key}.crt {key}.crt"));
    }
}

fn pkeyutl_decrypts_and_agrees(home: &Kept) {
    let engine = Engine::new(home);
    let public = format!("pkey -engine pkcs11 -inform engine -pubin -pubout -in pkcs11:token={TOKEN};object=");
    engine.openssl(&format!("{public}rsa1 -out rsa1.pub")).succeed();
    engine.openssl(&format!("{public}ec1 -out ec1.pub")).succeed();
    for padding in ["-pkeyopt rsa_padding_mode:pkcs1", "-pkeyopt rsa_padding_mode:oaep"] {
        judge(home, &format!("pkeyutl -encrypt -pubin -inkey rsa1.pub -in msg -out sealed {padding}"));
        let uri = key_uri(TOKEN, "rsa1");
        engine.openssl(&format!("pkeyutl -decrypt {{e}} -inkey {uri} {padding} -in sealed -out opened")).succeed();
        assert_eq!(std::fs::read(home.file("opened")).unwrap(), std::fs::read(home.file("msg")).unwrap(), "{padding}");
    }
    judge(home, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out peer.pem");
    judge(home, "pkey -in peer.pem -pubout -out peer.pub");
    judge(home, "pkeyutl -derive -inkey peer.pem -peerkey ec1.pub -out theirs");
    let uri = key_uri(TOKEN, "ec1");
    let derive = engine.openssl(&format!("pkeyutl -derive {{e}} -inkey {uri} -peerkey peer.pub -out ours")).run();
    if built::stand_in() && !derive.success() {
        built::skipped("the stand-in's keys do not derive unless asked to");
        return;
    }
    assert!(derive.success(), "{derive}");
    assert_eq!(std::fs::read(home.file("ours")).unwrap(), std::fs::read(home.file("theirs")).unwrap());
}

fn s_server_shakes_hands_with_keys_in_the_token(home: &Kept) {
    needs(&["curl"]);
    let engine = Engine::new(home);
    for (key, protocol) in [("rsa1", "-tls1_2"), ("rsa1", "-tls1_3"), ("ec1", "-tls1_2"), ("ec1", "-tls1_3")] {
        let uri = key_uri(TOKEN, key);
        let request = format!(
            "req -new -x509 -days 9 -subj /CN=localhost -addext subjectAltName=DNS:localhost {{e}} -key {uri} -out {key}.crt"
        );
        engine.openssl(&request).succeed();
        let port = free_port();
        let server = format!("s_server {{e}} -key {uri} -cert {key}.crt -accept 127.0.0.1:{port} -www {protocol}");
        let mut server = engine.openssl(&server).keep_running();
        server.wait_until("listening", || listens(port));
        for _ in 0..3 {
            let curl = Program::new("curl").words("-sS --resolve").arg(format!("localhost:{port}:127.0.0.1"));
            let curl =
                curl.arg("--cacert").arg(home.file(&format!("{key}.crt"))).arg(format!("https://localhost:{port}/"));
            let said = curl.run();
            assert!(said.success(), "{key} {protocol}: {said}\n{}", server.said());
        }
    }
}

fn a_wrong_pin_gives_an_error_and_no_key(home: &Kept) {
    let engine = Engine::new(home);
    let configuration = std::fs::read_to_string(engine.configuration()).unwrap();
    std::fs::write(engine.configuration(), configuration.replace(kmss_tests::home::PIN, "wrong-pin")).unwrap();
    let uri = key_uri(TOKEN, "rsa1");
    engine.openssl(&format!("dgst -sha256 {{e}} -sign {uri} -out sig msg")).fail();
    assert!(!home.file("sig").exists() || std::fs::read(home.file("sig")).unwrap().is_empty());
}
