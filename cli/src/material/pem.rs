//! PEM (RFC 7468), any number of blocks in one file.

use x509_cert::der::pem::decode_vec;
use zeroize::Zeroizing;

use super::{Incoming, Item, Passphrase, asn1};
use crate::output::Failure;

/// Everything in the file; parameters that OpenSSL writes before a key are passed over.
///
/// # Errors
/// A block that is damaged, unknown, or encrypted in OpenSSL's old way.
pub(super) fn parse(text: &str, passphrase: &Passphrase<'_>) -> Result<Vec<Incoming>, Failure> {
    let mut found = Vec::new();
    for block in blocks(text)? {
        if block.contains("Proc-Type:") {
            return Err("the key is encrypted in OpenSSL's old way; bring it into PKCS #8 first: \
                        openssl pkcs8 -topk8 -in FILE -out NEW-FILE"
                .into());
        }
        let (label, der) = decode_vec(block.as_bytes()).map_err(|e| format!("a PEM block is damaged: {e}"))?;
        let der = Zeroizing::new(der);
        found.push(match label {
            "PRIVATE KEY" => asn1::pkcs8(&der)?.into(),
            "ENCRYPTED PRIVATE KEY" => asn1::encrypted_pkcs8(&der, &passphrase()?)?.into(),
            "RSA PRIVATE KEY" => asn1::pkcs1(&der)?.into(),
            "EC PRIVATE KEY" => asn1::sec1(&der)?.into(),
            "PUBLIC KEY" => asn1::spki(&der)?.into(),
            "RSA PUBLIC KEY" => asn1::pkcs1_public(&der)?.into(),
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                Incoming { item: Item::Certificate(der.to_vec()), name: None, uses: None }
            }
            parameters if parameters.ends_with(" PARAMETERS") => continue,
            "OPENSSH PRIVATE KEY" => {
                return Err("OpenSSH's own format is not read; rewrite a copy with: \
                            ssh-keygen -p -m PKCS8 -f COPY-OF-THE-KEY"
                    .into());
            }
            other => return Err(format!("the file holds `{other}`, which is no key").into()),
        });
    }
    Ok(found)
}

/// The blocks of a text, from BEGIN to END; what lies between them is commentary.
fn blocks(text: &str) -> Result<Vec<&str>, Failure> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("-----BEGIN ") {
        let from = rest.get(begin..).unwrap_or_default();
        let end = from.find("-----END ").ok_or("a PEM block has no end")?;
        let tail = from.get(end..).unwrap_or_default();
        let line = tail.find('\n').unwrap_or(tail.len());
        let (block, next) = from.split_at_checked(end.saturating_add(line)).ok_or("a PEM block has no end")?;
        blocks.push(block.trim_end());
        rest = next;
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_block_of_a_file_is_found_and_the_text_between_is_not() {
        let text = "Bag\n-----BEGIN A-----\nAA==\n-----END A-----\nissuer\n-----BEGIN B-----\nAA==\n-----END B-----";
        let found = blocks(text).unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|b| b.starts_with("-----BEGIN") && b.ends_with("-----")));
        assert!(blocks("-----BEGIN A-----\nAA==\n").is_err());
    }

    #[test]
    fn old_encryption_and_foreign_formats_are_refused_with_a_cure() {
        let ask = || -> Result<libkmss::secret::Secret, Failure> { Err("nobody to ask".into()) };
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END RSA PRIVATE KEY-----\n";
        assert!(parse(old, &ask).err().unwrap().to_string().contains("pkcs8 -topk8"));
        let ssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nAA==\n-----END OPENSSH PRIVATE KEY-----\n";
        assert!(parse(ssh, &ask).err().unwrap().to_string().contains("ssh-keygen"));
    }
}
