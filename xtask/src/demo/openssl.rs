//! OpenSSL's command with Debian's PKCS#11 engine.

use super::scene::{SIGNER, Scene, WEB};
use crate::error::Error;
use crate::process::Job;
use std::path::PathBuf;

/// The configuration by which OpenSSL loads the module; nginx uses it as well.
pub(super) fn config(scene: &Scene<'_>) -> Result<PathBuf, Error> {
    let text = format!(
        "openssl_conf = kmss\n\
         [kmss]\nengines = engines\n\
         [engines]\npkcs11 = pkcs11\n\
         [pkcs11]\nengine_id = pkcs11\nMODULE_PATH = {}\nPIN = {}\ninit = 0\n\
         [req]\ndistinguished_name = name\n\
         [name]\n",
        scene.module().display(),
        scene.pin()
    );
    scene.write_secret("openssl.cnf", &text)
}

/// `openssl` with the engine.
pub(super) fn engine(scene: &Scene<'_>, args: &[&str]) -> Result<Job, Error> {
    Ok(scene.client("openssl").env("OPENSSL_CONF", config(scene)?).args(args))
}

/// One signature of `message.txt` with `key`, through the engine.
pub(super) fn dgst(scene: &Scene<'_>, key: &str) -> Result<Job, Error> {
    let (uri, message, out) = (Scene::uri(key, "private"), scene.message()?, format!("{key}.sig"));
    engine(scene, &["dgst", "-sha256", "-engine", "pkcs11", "-keyform", "engine", "-sign", &uri, "-out", &out, message])
}

/// `openssl dgst -sign` with both keys; plain OpenSSL verifies.
pub(super) fn sign_file(scene: &Scene<'_>) -> Result<Vec<String>, Error> {
    let mut shown = Vec::new();
    for key in [WEB, SIGNER] {
        dgst(scene, key)?.run()?;
        scene.signed(key);
        verify(scene, key, &format!("{key}.sig"))?;
        shown.push(format!("SHA-256 signature with `{key}`; plain OpenSSL verifies it"));
    }
    Ok(shown)
}

/// Verifies a signature of `message.txt` without the token.
pub(super) fn verify(scene: &Scene<'_>, key: &str, signature: &str) -> Result<(), Error> {
    let public = format!("{key}.pub");
    let message = scene.message()?;
    scene.plain_openssl(&["dgst", "-sha256", "-verify", &public, "-signature", signature, message]).run().map(drop)
}

/// `openssl req -new`: a certificate request whose signature comes from the token.
pub(super) fn request(scene: &Scene<'_>) -> Result<Vec<String>, Error> {
    let uri = Scene::uri(SIGNER, "private");
    let args = ["req", "-new", "-engine", "pkcs11", "-keyform", "engine", "-key", &uri];
    engine(scene, &args)?.args(["-subj", "/CN=signer.example", "-out", "request.pem"]).run()?;
    scene.signed(SIGNER);
    scene.plain_openssl(&["req", "-in", "request.pem", "-verify", "-noout"]).run()?;
    Ok(vec!["certificate request for CN=signer.example; plain OpenSSL verifies it".to_owned()])
}
