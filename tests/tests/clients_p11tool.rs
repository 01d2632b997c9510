//! GnuTLS's p11tool: Edwards keys, which it asks for in its own way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};
use kmss_tests::program::installed;

#[test]
fn it_makes_an_ed25519_pair_and_signs_with_it() {
    if built::only_kmss("Edwards keys by the number of their signatures") || !installed("p11tool") {
        return;
    }
    let home = Home::with_token("gnutls");
    let tool = |words: &str| {
        home.program("p11tool")
            .env("GNUTLS_PIN", PIN)
            .arg("--provider")
            .arg(built::module())
            .words("--batch")
            .words(words)
    };
    tool("--login --generate-privkey=Ed25519 --label=edwards pkcs11:token=gnutls")
        .succeed()
        .mentions("BEGIN PUBLIC KEY");
    let listed = tool("--login --list-all pkcs11:token=gnutls").succeed();
    listed.mentions("edwards");
    // It signs with the private key and verifies with the public one; left alone, it would look for Ed25519 with SHA-256.
    tool("--login --test-sign --hash=SHA512 pkcs11:token=gnutls;object=edwards;type=private").succeed();
}
