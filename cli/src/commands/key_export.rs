//! `kmss key export-public`: the public half of a key, for others.

use std::path::Path;

use libkmss::key::{KeyClass, PublicComponents};
use libkmss::mechanism::Curve;
use serde_json::json;
use ssh_key::public::{EcdsaPublicKey, Ed25519PublicKey, KeyData, RsaPublicKey};
use ssh_key::{Mpint, PublicKey};
use x509_cert::der::pem::{LineEnding, encode_string};

use super::key;
use crate::args::{NamedKey, PublicFormat};
use crate::context::Context;
use crate::material;
use crate::output::{self, Failure};

/// Writes the public half.
///
/// # Errors
/// There is none, or the format has no way to write it.
pub(super) fn run(
    context: &Context,
    named: &NamedKey,
    format: PublicFormat,
    out: Option<&Path>,
) -> Result<(), Failure> {
    let objects = context.objects(&named.token.token)?;
    let found = key::require(&*objects, named)?;
    objects.close()?;
    let object = found.iter().find(|o| o.key().is_some_and(|k| k.class != KeyClass::Secret));
    let object = object.ok_or_else(|| format!("`{}` is a secret key: it has no public half", named.name))?;
    let public = &object.key().ok_or("the object is no key")?.primary()?.public;
    let bytes = encode(public, format, &named.name)?;
    let Some(path) = out else { return output::bytes(&bytes) };
    std::fs::write(path, bytes).map_err(|e| format!("cannot write `{}`: {e}", path.display()))?;
    if context.global.json {
        return output::json(&json!({ "name": named.name, "file": path }));
    }
    output::line(&format!("Wrote the public half of key `{}` to `{}`.", named.name, path.display()))
}

fn encode(public: &PublicComponents, format: PublicFormat, name: &str) -> Result<Vec<u8>, Failure> {
    let spki = || public.spki().ok_or("no standard says how to write the public half of this key");
    Ok(match format {
        PublicFormat::Der => spki()?,
        PublicFormat::Pem => encode_string("PUBLIC KEY", LineEnding::LF, &spki()?)?.into_bytes(),
        PublicFormat::Jwk => format!("{:#}\n", material::to_jwk(public, name)?).into_bytes(),
        PublicFormat::Ssh => format!("{}\n", open_ssh(public, name)?).into_bytes(),
    })
}

/// A line of authorized_keys (RFC 4253, 6.6; RFC 5656, 3.1; RFC 8709, 4).
fn open_ssh(public: &PublicComponents, name: &str) -> Result<String, Failure> {
    // The crate's errors are none of the standard library's without its `std`, which would bring half a dozen engines along.
    let unfit = |e: ssh_key::Error| format!("the key cannot be written for OpenSSH: {e}");
    let data = match public {
        PublicComponents::Rsa { modulus, exponent } => KeyData::Rsa(RsaPublicKey {
            e: Mpint::from_positive_bytes(exponent).map_err(unfit)?,
            n: Mpint::from_positive_bytes(modulus).map_err(unfit)?,
        }),
        PublicComponents::Ec { curve: Curve::P256 | Curve::P384 | Curve::P521, point } => {
            KeyData::Ecdsa(EcdsaPublicKey::from_sec1_bytes(point).map_err(unfit)?)
        }
        PublicComponents::Ec { curve: Curve::Ed25519, point } => {
            KeyData::Ed25519(Ed25519PublicKey::try_from(point.as_slice()).map_err(unfit)?)
        }
        _ => return Err("OpenSSH knows RSA, P-256, P-384, P-521 and Ed25519 keys only".into()),
    };
    // The comment is the rest of the line.
    let comment: String = name.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    Ok(PublicKey::new(data, comment).to_openssh().map_err(unfit)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_cannot_add_a_line_to_authorized_keys() {
        let key = PublicComponents::Ec { curve: Curve::Ed25519, point: vec![9; 32] };
        let line = open_ssh(&key, "a\nssh-rsa AAAA").unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.starts_with("ssh-ed25519 AAAA"), "{line}");
        assert!(open_ssh(&PublicComponents::None, "a").is_err());
    }
}
