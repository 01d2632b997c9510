//! HTTP: batches of records as JSON, signed as "Standard Webhooks" asks (specification 1.0.0): receivers check them with any
//! library of that name.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use libkmss::audit::Followed;
use libkmss::clock::Clock;
use libkmss::config::{ForwardConfig, RecordFormat};
use sha2::Sha256;
use ureq::tls::{ClientCert, RootCerts, TlsConfig};
use zeroize::Zeroizing;

use super::{Destination, tls};
use crate::batch::batch_id;
use crate::error::ForwardError;
use crate::format::render;

/// Who we are.
const SENDER: &str = concat!("kmss/", env!("CARGO_PKG_VERSION"));
/// How a secret begins that Standard Webhooks' tools made.
const SECRET_PREFIX: &str = "whsec_";
/// Fewest bytes of a secret.
const SHORTEST_SECRET: usize = 24;

/// A receiver of POST requests.
pub(super) struct Webhook {
    url: String,
    format: RecordFormat,
    agent: ureq::Agent,
    secret: Option<Zeroizing<Vec<u8>>>,
    clock: Arc<dyn Clock>,
}

/// The body of a request: a JSON object with the records as they were rendered.
fn body(format: RecordFormat, id: &str, batch: &[Followed]) -> String {
    let host = batch.first().and_then(|followed| followed.writer.host.as_deref());
    let host = serde_json::Value::from(host);
    let records = batch.iter().flat_map(|followed| render(format, followed)).map(|text| match format {
        RecordFormat::Cef => serde_json::Value::from(text).to_string(),
        RecordFormat::Json | RecordFormat::Ocsf => text,
    });
    let records = records.collect::<Vec<_>>().join(",");
    format!("{{\"batch\":\"{id}\",\"host\":{host},\"sender\":\"{SENDER}\",\"records\":[{records}]}}")
}

impl Webhook {
    pub(super) fn new(config: &ForwardConfig, url: &str, clock: Arc<dyn Clock>) -> Result<Self, ForwardError> {
        let mut tls_config = TlsConfig::builder().unversioned_rustls_crypto_provider(tls::provider());
        if url.starts_with("https:") {
            let roots = tls::roots(config.ca_file.as_deref())?;
            let roots: Vec<_> = roots.iter().map(|der| ureq::tls::Certificate::from_der(der).to_owned()).collect();
            tls_config = tls_config.root_certs(RootCerts::new_with_certs(&roots));
            if let Some((certificate, key)) = &config.client {
                let chain = tls::certificates(certificate)?;
                let chain: Vec<_> = chain.iter().map(|der| ureq::tls::Certificate::from_der(der).to_owned()).collect();
                let text = tls::secret_file(key)?;
                let key = ureq::tls::PrivateKey::from_pem(&text).map_err(|e| ForwardError::File {
                    path: key.clone(),
                    what: format!("holds no private key: {e}"),
                })?;
                tls_config = tls_config.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
            }
        }
        let agent = ureq::Agent::config_builder()
            .tls_config(tls_config.build())
            .timeout_global(Some(Duration::from_secs(u64::from(config.timeout_s))))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(SENDER)
            .build()
            .new_agent();
        let secret = config.secret_file.as_deref().map(secret).transpose()?;
        Ok(Self { url: url.to_owned(), format: config.format, agent, secret, clock })
    }
}

/// The secret of a file: as Standard Webhooks' tools write it, or any bytes.
fn secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, ForwardError> {
    let wrong = |what: String| ForwardError::File { path: path.to_owned(), what };
    let bytes = tls::secret_file(path)?;
    let text = bytes.trim_ascii_end();
    let secret = match text.strip_prefix(SECRET_PREFIX.as_bytes()) {
        Some(encoded) => std::str::from_utf8(encoded).ok().and_then(|encoded| Base64::decode_vec(encoded).ok()),
        None => Some(text.to_vec()),
    };
    let secret = Zeroizing::new(secret.ok_or_else(|| wrong("holds no Base64 behind `whsec_`".to_owned()))?);
    if secret.len() < SHORTEST_SECRET {
        return Err(wrong(format!("holds a secret of fewer than {SHORTEST_SECRET} bytes")));
    }
    Ok(secret)
}

/// The value of `webhook-signature`.
fn signature(secret: &[u8], id: &str, timestamp: u64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", Base64::encode_string(&mac.finalize().into_bytes())))
}

/// The URL without what may be secret in it.
fn place(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

impl Destination for Webhook {
    fn send(&mut self, batch: &[Followed]) -> Result<(), ForwardError> {
        let place = place(&self.url);
        let id = batch_id(batch);
        let body = body(self.format, &id, batch);
        let timestamp = self.clock.now().0 / 1000;
        let mut request = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", timestamp.to_string());
        if let Some(signature) =
            self.secret.as_ref().and_then(|secret| signature(secret, &id, timestamp, body.as_bytes()))
        {
            request = request.header("webhook-signature", signature);
        }
        let sent = request.send(&body);
        let response = sent.map_err(|e| ForwardError::Http { place: place.clone(), source: Box::new(e) })?;
        let status = response.status().as_u16();
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = header.and_then(|text| text.trim().parse().ok());
        // What it says is read, so that the connection can serve again.
        let _ = response.into_body().into_with_config().limit(64 * 1024).read_to_vec();
        if (200..300).contains(&status) { Ok(()) } else { Err(ForwardError::Status { place, status, retry_after }) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        // The example of the specification's reference libraries.
        let secret = Base64::decode_vec("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_a_url_may_hold_in_secret_is_told_to_nobody() {
        assert_eq!(place("https://user:pass@host:8/path?token=1#x"), "https://host:8/path");
        assert_eq!(place("https://host"), "https://host");
    }

    #[test]
    fn secrets_are_read_as_they_are_handed_out_and_short_ones_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "").unwrap();
        assert!(secret(&path).unwrap_err().to_string().contains("chmod o-rwx"));
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(&path, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        assert_eq!(secret(&path).unwrap().len(), 24);
        std::fs::write(&path, "0123456789abcdefghijklmnopqrst\n").unwrap();
        assert_eq!(secret(&path).unwrap().len(), 30);
        for bad in ["short", "whsec_====", ""] {
            std::fs::write(&path, bad).unwrap();
            assert!(secret(&path).is_err(), "{bad}");
        }
    }
}
