//! Apache with mod_ssl and its keys in the token, through OpenSSL's engine: a root parent and www-data children.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use kmss_tests::built;
use kmss_tests::home::Home;
use kmss_tests::openssl::{ENGINE, Engine, key_uri};
use kmss_tests::program::{Program, free_port, listens, needs, needs_file};

const TOKEN: &str = "web";
const KEYS: [(&str, &str, &str); 2] = [("rsa1", "rsa:2048", "01"), ("ec1", "ec:p256", "02")];

/// Apache's configuration: one virtual server for each key, as little else as possible.
fn configuration(home: &Home, ports: &[u16]) -> String {
    let folder = home.folder().display();
    let modules: String = ["mpm_event", "authz_core", "socache_shmcb", "ssl"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let servers: String = KEYS
        .iter()
        .zip(ports)
        .map(|((key, ..), port)| {
            let uri = key_uri(TOKEN, key);
            format!(
                "Listen 127.0.0.1:{port}\n<VirtualHost 127.0.0.1:{port}>\nSSLEngine on\n\
                 SSLCertificateFile {folder}/{key}.crt\nSSLCertificateKeyFile \"{uri}\"\n\
                 DocumentRoot {folder}/www/{key}\n</VirtualHost>\n"
            )
        })
        .collect();
    format!(
        "ServerRoot {folder}\nServerName localhost\nPidFile {folder}/apache.pid\nDefaultRuntimeDir {folder}\n\
         ErrorLog {folder}/error.log\nUser www-data\nGroup www-data\nMutex file:{folder} default\n{modules}\
         SSLCryptoDevice pkcs11\nSSLSessionCache none\nStartServers 2\nServerLimit 4\nThreadsPerChild 8\n\
         MaxRequestWorkers 32\n<Directory {folder}/www>\nRequire all granted\n</Directory>\n{servers}"
    )
}

#[test]
fn it_serves_with_both_keys_through_graceful_restarts() {
    if built::only_kmss("home that a group shares") {
        return;
    }
    if !built::is_root() {
        built::skipped("Apache with a root parent and www-data children takes root");
        return;
    }
    needs_file(ENGINE);
    needs_file("/usr/lib/apache2/modules/mod_ssl.so");
    needs(&["apache2", "curl"]);
    let home = Home::new();
    home.kmss("home init --group www-data").succeed();
    home.init_token(TOKEN);
    let engine = Engine::new(&home);
    for (key, kind, id) in KEYS {
        home.generate(TOKEN, key, kind, id);
        let sign = format!("cert self-sign {key} --token {TOKEN} --subject CN=localhost --dns localhost --out");
        home.kmss(&sign).arg(home.file(&format!("{key}.crt"))).succeed();
        fs::create_dir_all(home.file("www").join(key)).unwrap();
        fs::write(home.file("www").join(key).join("index.txt"), format!("{key} served\n")).unwrap();
    }
    let ports = KEYS.map(|_| free_port());
    fs::write(home.file("apache.conf"), configuration(&home, &ports)).unwrap();
    let apache = home.program("apache2").env("OPENSSL_CONF", engine.configuration()).words("-DFOREGROUND -f");
    let mut apache = apache.arg(home.file("apache.conf")).keep_running();
    apache.wait_until("listening", || ports.iter().all(|port| listens(*port)));
    let fetch = |key: &str, port: u16| {
        let curl = Program::new("curl").words("-sS --resolve").arg(format!("localhost:{port}:127.0.0.1"));
        let curl = curl.arg("--cacert").arg(home.file(&format!("{key}.crt")));
        curl.arg(format!("https://localhost:{port}/index.txt")).run()
    };
    let log = || fs::read_to_string(home.file("error.log")).unwrap_or_default();
    let serves = |times: usize| {
        for _ in 0..times {
            for ((key, ..), port) in KEYS.iter().zip(ports) {
                let said = fetch(key, port);
                assert!(said.success() && said.text() == format!("{key} served\n"), "{said}\n{}", log());
            }
        }
    };
    serves(5);
    // The parent reads the keys anew; old children finish, new ones are forked.
    for round in 1..=2 {
        apache.signal(libc::SIGUSR1);
        apache.wait_until("a graceful restart", || log().matches("resuming normal operations").count() > round);
        serves(3);
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| serves(5));
        }
    });
    let newest = home.audit(10);
    let signature = newest.iter().rev().find(|record| record["action"] == "sign").expect("signatures are in the trail");
    assert_eq!(signature["principal"], "user:www-data", "{signature}");
    // A disabled key serves no more handshake.
    home.kmss(&format!("key disable rsa1 --token {TOKEN}")).succeed();
    assert!(!fetch("rsa1", ports[0]).success(), "a disabled key served a handshake");
    home.kmss(&format!("key enable rsa1 --token {TOKEN}")).succeed();
    serves(1);
    for trouble in ["Segmentation fault", "Aborted", "panicked"] {
        assert!(!log().contains(trouble), "{}", log());
    }
    drop(apache);
    home.audit_is_whole();
}
