//! Go: miekg/pkcs11 and crypto11, from Debian's packages of their sources.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};
use kmss_tests::program::{Program, needs, needs_file};

const TOKEN: &str = "go";

#[test]
fn a_program_signs_decrypts_seals_and_serves_tls() {
    if built::only_kmss("GCM with a nonce of the caller's") {
        return;
    }
    needs(&["go"]);
    needs_file("/usr/share/gocode/src/github.com/miekg/pkcs11");
    needs_file("/usr/share/gocode/src/github.com/ThalesIgnite/crypto11");
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "rsa1", "rsa:2048", "01");
    home.generate(TOKEN, "ec1", "ec:p256", "02");
    // Debian puts the sources where Go looked before it had modules; nothing is fetched.
    let go = Program::new("go").env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode").env("GOFLAGS", "");
    let go = go.env("GOCACHE", built::target().join("clients/go")).within(home.folder());
    let source = built::workspace().join("tests/go/main.go");
    go.words("build -o kmss-go").arg(source).patience(Duration::from_secs(600)).succeed();
    let program = home.program(home.file("kmss-go").to_str().unwrap()).arg(built::module()).args([TOKEN, PIN]);
    program.succeed().mentions("Go is content");
    home.audit_is_whole();
}
