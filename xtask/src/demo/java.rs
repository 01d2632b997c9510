//! Java's own PKCS#11 provider: keytool, and a program that signs.

use super::scene::{SIGNER, Scene, TOKEN, WEB};
use crate::error::Error;
use crate::project::write;

/// Signs with every key that has a certificate, and verifies with Java's own software providers.
const PROGRAM: &str = include_str!("ListAndSign.java");

/// `keytool -list`, then a signature with each key.
pub(super) fn list_and_sign(scene: &Scene<'_>) -> Result<Vec<String>, Error> {
    let config =
        format!("name = KMSS\nlibrary = {}\nslotListIndex = 0\nattributes = compatibility\n", scene.module().display());
    write(&scene.file("java.cfg"), &config)?;
    write(&scene.file("ListAndSign.java"), PROGRAM)?;
    let keytool = scene.client("keytool").env("KMSS_PIN", scene.pin()).args(["-list", "-keystore", "NONE"]);
    let keytool = keytool.args(["-storetype", "PKCS11", "-storepass:env", "KMSS_PIN"]);
    let listed = keytool.args(["-addprovider", "SunPKCS11", "-providerArg", "java.cfg"]).run()?.stdout;
    let entries = listed.lines().filter(|line| line.contains("PrivateKeyEntry")).count();
    if entries != 2 {
        return Err(Error::check(format!("keytool lists {entries} keys of token `{TOKEN}`, not 2:\n{listed}")));
    }
    let java = scene.client("java").env("KMSS_PIN", scene.pin()).args(["ListAndSign.java", "java.cfg"]);
    let signed = java.run()?.stdout;
    let mut shown = vec!["keytool lists both keys with their certificates".to_owned()];
    for (key, algorithm) in [(WEB, "SHA256withRSA"), (SIGNER, "SHA256withECDSA")] {
        if !signed.lines().any(|line| line == format!("{key} {algorithm}")) {
            return Err(Error::check(format!("Java did not sign with `{key}`:\n{signed}")));
        }
        scene.signed(key);
        shown.push(format!("{algorithm} with `{key}`; Java's software provider verifies it"));
    }
    Ok(shown)
}
