//! OpenSC's pkcs11-tool.

use super::openssl;
use super::scene::{SIGNER, SIGNER_ID, Scene, TOKEN};
use crate::error::Error;

/// Lists the keys, signs a digest, and has plain OpenSSL verify.
pub(super) fn sign(scene: &Scene<'_>) -> Result<Vec<String>, Error> {
    let tool = || {
        let job = scene.client("pkcs11-tool").env("KMSS_PIN", scene.pin());
        job.arg("--module").arg(scene.module()).args(["--token-label", TOKEN, "--login", "--pin", "env:KMSS_PIN"])
    };
    let objects = tool().arg("--list-objects").run()?.stdout;
    let keys = objects.lines().filter(|line| line.starts_with("Private Key Object")).count();
    let message = scene.message()?;
    scene.plain_openssl(&["dgst", "-sha256", "-binary", "-out", "message.sha256", message]).run()?;
    tool()
        .args(["--sign", "--mechanism", "ECDSA", "--id", SIGNER_ID, "--signature-format", "openssl"])
        .args(["--input-file", "message.sha256", "--output-file", "tool.sig"])
        .run()?;
    scene.signed(SIGNER);
    openssl::verify(scene, SIGNER, "tool.sig")?;
    Ok(vec![format!("lists {keys} private keys"), format!("ECDSA with `{SIGNER}`; plain OpenSSL verifies it")])
}
