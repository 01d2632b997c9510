//! Python: python-pkcs11 and PyKCS11 from PyPI.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use kmss_tests::built;
use kmss_tests::home::{Home, PIN};

const TOKEN: &str = "python";

fn python(script: &str, contentment: &str) {
    if built::only_kmss("Ed25519 key and GCM tag that these programs ask for") {
        return;
    }
    let Some(folder) = built::clients("python") else { return };
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "rsa1", "rsa:2048", "01");
    home.generate(TOKEN, "ec1", "ec:p256", "02");
    let python = home.program(folder.join("bin/python").to_str().unwrap());
    let python = python.arg(built::workspace().join("tests/python").join(script)).arg(built::module());
    python.args([TOKEN, PIN]).succeed().mentions(contentment);
    home.audit_is_whole();
}

#[test]
fn python_pkcs11_is_content_with_ten_threads_too() {
    python("use_python_pkcs11.py", "python-pkcs11 is content");
}

#[test]
fn pykcs11_is_content() {
    python("use_pykcs11.py", "PyKCS11 is content");
}
