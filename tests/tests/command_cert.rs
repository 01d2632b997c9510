//! `kmss cert` with SM2 keys, as OpenSSL sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use kmss_tests::built;
use kmss_tests::home::Home;
use kmss_tests::program::Program;

const TOKEN: &str = "main";

#[test]
fn sm2_requests_and_certificates_hold_before_openssl() {
    if built::only_kmss("SM2 certificates") {
        return;
    }
    let home = Home::with_token(TOKEN);
    home.generate(TOKEN, "s", "sm2", "01");
    let openssl = |line: &str| Program::new("openssl").within(home.folder()).words(line);
    let subject = "--subject CN=s.test,O=Acme,C=CN --dns s.test --dns 127.0.0.1";
    home.kmss(&format!("cert request s --token {TOKEN} {subject} --out")).arg(home.file("s.csr")).succeed();
    let read = openssl("req -in s.csr -verify -vfyopt distid:1234567812345678 -noout -text").succeed();
    read.mentions("SM2-with-SM3").mentions("DNS:s.test").mentions("IP Address:127.0.0.1").mentions("verify OK");
    // Another identity must not verify: the signature covers who signs.
    let other = openssl("req -in s.csr -verify -vfyopt distid:someone -noout").run().all();
    assert!(other.contains("verify failure"), "{other}");
    let sign = format!("cert self-signed s --token {TOKEN} {subject} --days 30 --out");
    home.kmss(&sign).arg(home.file("s.pem")).succeed();
    // `openssl verify` passes the identity on to no certificate that it trusts, so the signature is checked by hand.
    let outline = openssl("asn1parse -in s.pem").succeed().text();
    let last = outline.lines().rfind(|line| line.contains("BIT STRING")).unwrap();
    let offset = last.split(':').next().unwrap().trim();
    openssl("asn1parse -in s.pem -noout -strparse 4 -out tbs.der").succeed();
    openssl(&format!("asn1parse -in s.pem -noout -strparse {offset} -out signature")).succeed();
    openssl("x509 -in s.pem -noout -pubkey -out s.pub").succeed();
    let verify = "pkeyutl -verify -pubin -inkey s.pub -sigfile signature -rawin -in tbs.der -digest sm3";
    openssl(&format!("{verify} -pkeyopt distid:1234567812345678")).succeed().mentions("Verified Successfully");
    openssl("verify -x509_strict -CAfile s.pem s.pem").succeed();
    let text = openssl("x509 -in s.pem -noout -text -checkhost s.test").succeed();
    text.mentions("SM2-with-SM3").mentions("does match").mentions("CA:FALSE").mentions("CN = s.test, O = Acme, C = CN");
    home.kmss(&format!("cert list --token {TOKEN}")).succeed().mentions("CN=s.test");
    home.audit_is_whole();
}
