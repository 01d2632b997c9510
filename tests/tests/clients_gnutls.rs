//! GnuTLS: p11tool, certtool, and gnutls-serv with its key in the token.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kmss_tests::built;
use kmss_tests::home::{Home, PIN, SO_PIN};
use kmss_tests::program::{Program, free_port, listens, needs};

const TOKEN: &str = "gnutls";

/// A GnuTLS program with the module under test as its only one.
fn gnutls(home: &Home, program: &str, words: &str) -> Program {
    let program = home.program(program).env("GNUTLS_PIN", PIN).env("GNUTLS_SO_PIN", SO_PIN);
    program.arg("--provider").arg(built::module()).words(words)
}

/// `p11tool --login`, ending with the URI of the token or of an object in it.
fn p11tool(home: &Home, words: &str, object: &str) -> Program {
    gnutls(home, "p11tool", "--login --batch").words(words).arg(format!("pkcs11:token={TOKEN}{object}"))
}

fn private(label: &str) -> String {
    format!("pkcs11:token={TOKEN};object={label};type=private")
}

/// Plain openssl, which knows no module.
#[track_caller]
fn judge(home: &Home, line: &str) {
    Program::new("openssl").within(home.folder()).words(line).succeed();
}

fn home() -> Home {
    needs(&["p11tool", "certtool", "gnutls-serv", "gnutls-cli"]);
    Home::with_token(TOKEN)
}

#[test]
fn p11tool_makes_lists_tries_renames_and_deletes_keys() {
    let home = home();
    let pairs = [
        ("rsa1", "rsa --bits 2048", "Type: Private key (RSA-2048)"),
        ("ec1", "ecdsa --curve secp256r1", "Type: Private key (EC/ECDSA-SECP256R1)"),
        ("ec2", "ecdsa --curve secp384r1", "Type: Private key (EC/ECDSA-SECP384R1)"),
    ];
    for (label, how, kind) in pairs {
        p11tool(&home, &format!("--generate-privkey={how} --label {label} --outfile {label}.pub"), "").succeed();
        judge(&home, &format!("pkey -pubin -in {label}.pub -noout"));
        let private = format!(";object={label};type=private");
        p11tool(&home, "--list-privkeys", &private).succeed().mentions(kind);
        let said = p11tool(&home, "--test-sign", &private).succeed();
        assert_eq!(said.all().matches("... ok").count(), 3, "{said}");
    }
    p11tool(&home, "--set-label renamed", ";object=ec2;type=private").succeed();
    p11tool(&home, "--set-id 7777", ";object=renamed;type=private").succeed();
    p11tool(&home, "--list-privkeys", ";object=renamed").succeed().mentions("ID: 77:77");
    p11tool(&home, "--delete", ";object=renamed;type=private").succeed();
    let list = p11tool(&home, "--list-all", "").succeed();
    assert!(!list.text().contains("object=renamed"), "{list}");
    assert_eq!(list.text().matches("type=private").count(), 2, "{list}");
    let public = gnutls(&home, "p11tool", "--list-all").arg(format!("pkcs11:token={TOKEN}")).succeed();
    assert!(!public.text().contains("type=private"), "private keys are listed without a login: {public}");
}

#[test]
fn p11tool_keeps_what_was_made_outside() {
    let home = home();
    judge(&home, "req -x509 -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=kept -out c.pem");
    p11tool(&home, "--write --load-privkey k.pem --label kept --id 05", "").succeed();
    p11tool(&home, "--write --load-certificate c.pem --label kept --id 05", "").succeed();
    p11tool(&home, "--write --secret-key 00112233445566778899aabbccddeeff --label secret", "").succeed();
    p11tool(&home, "--test-sign", ";object=kept;type=private").succeed().mentions("... ok");
    p11tool(&home, "--export --outfile back.pem", ";object=kept;type=cert").succeed();
    judge(&home, "verify -CAfile c.pem back.pem");
    p11tool(&home, "--list-all", ";object=secret").succeed().mentions("type=secret-key");
    p11tool(&home, "--export", ";object=kept;type=private").fail();
    p11tool(&home, "--generate-random 32", "").succeed();
    p11tool(&home, "--list-mechanisms", "").succeed().mentions("CKM_ECDSA");
}

#[test]
fn p11tool_initialises_a_token() {
    if built::only_kmss("spare slot under this model's name") {
        return;
    }
    needs(&["p11tool"]);
    let home = Home::new();
    gnutls(&home, "p11tool", "--batch --initialize --label made pkcs11:model=KMSS;token=").succeed();
    gnutls(&home, "p11tool", "--batch --initialize-pin pkcs11:token=made").succeed();
    // It ends with an error where it finds nothing, but the login has to be believed.
    let list = gnutls(&home, "p11tool", "--login --list-all pkcs11:token=made").fail();
    list.mentions("No matching objects");
    home.kmss("token list").succeed().mentions("made");
}

#[test]
fn certificates_requests_and_handshakes_have_their_key_in_the_token() {
    if built::only_kmss("Ed25519 key that GnuTLS finds") {
        return;
    }
    let home = home();
    let template = "cn = localhost\ndns_name = localhost\nca\nsigning_key\ntls_www_server\nexpiration_days = 9\n";
    std::fs::write(home.file("template"), template).unwrap();
    for (label, kind, id) in [("rsa1", "rsa:2048", "01"), ("ec1", "ec:p256", "02"), ("ed1", "ed25519", "03")] {
        home.generate(TOKEN, label, kind, id);
        let key = private(label);
        let key = format!("--load-privkey {key} --load-pubkey pkcs11:token={TOKEN};object={label};type=public");
        let certtool = |words: &str| gnutls(&home, "certtool", &format!("{words} {key} --template template"));
        certtool(&format!("--generate-self-signed --outfile {label}.crt")).succeed();
        judge(&home, &format!("verify -CAfile {label}.crt {label}.crt"));
        certtool(&format!("--generate-request --outfile {label}.csr")).succeed();
        judge(&home, &format!("req -verify -noout -in {label}.csr"));
        serves(&home, label);
    }
    home.audit_is_whole();
}

/// An echo server, called under TLS 1.3 and 1.2. It knows no option for its address.
fn serves(home: &Home, label: &str) {
    let port = free_port();
    let server = gnutls(home, "gnutls-serv", &format!("--echo -p {port} --x509certfile {label}.crt --x509keyfile"));
    let mut server = server.arg(private(label)).keep_running();
    server.wait_until("listening", || listens(port));
    for (priority, version) in [("NORMAL", "TLS1.3"), ("NORMAL:-VERS-ALL:+VERS-TLS1.2", "TLS1.2")] {
        let client = Program::new("gnutls-cli").within(home.folder()).args(["--priority", priority]);
        let client =
            client.words(&format!("--x509cafile {label}.crt -p {port} localhost")).input("echo of the token\n");
        let said = client.succeed();
        assert!(said.text().contains(&format!("({version}-X.509)")), "{said}\n{}", server.said());
        assert!(said.text().contains("echo of the token"), "{said}\n{}", server.said());
    }
}
