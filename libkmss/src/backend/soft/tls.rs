//! The key schedule of TLS 1.2 (RFC 5246, RFC 5705, RFC 7627).

use std::sync::Arc;

use subtle::ConstantTimeEq;

use super::awslc::tls12_prf;
use super::buffer::front;
use super::derive::{Yield, size};
use super::keys::{Parsed, SecretKey};
use super::{material, parameter, unfit, wrong_key};
use crate::backend::{Signing, Verifying};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Expected;
use crate::mechanism::{Hash, KeyType, MasterBinding, Randoms, TlsMechanism};
use crate::secret::Secret;

/// Longest message of a Finished MAC in bytes; it is the hash of the handshake.
const MAX_MESSAGE: usize = 1 << 16;

/// The master secret of a premaster secret, and the version in front of the latter where the mechanism gives it out.
pub(super) fn master(mechanism: &TlsMechanism, premaster: &Secret, len: Option<usize>) -> Result<(Secret, Vec<u8>)> {
    let TlsMechanism::Master { hash, binding, versioned } = mechanism else {
        return Err(unfit(false));
    };
    if len.is_some_and(|len| len != TlsMechanism::MASTER_LEN) {
        return Err(Error::new(ErrorKind::TemplateInconsistent, "a master secret has 48 bytes"));
    }
    let version = match premaster.expose().get(..2) {
        Some(version) if *versioned && premaster.len() == TlsMechanism::MASTER_LEN => version.to_vec(),
        _ if *versioned => return Err(Error::new(ErrorKind::KeySize, "a premaster secret of RSA has 48 bytes")),
        _ => Vec::new(),
    };
    let secret = match binding {
        MasterBinding::Randoms(Randoms { client, server }) => {
            prf(*hash, premaster, b"master secret", (client, server), TlsMechanism::MASTER_LEN)?
        }
        MasterBinding::Handshake(hash_so_far) => {
            prf(*hash, premaster, b"extended master secret", (hash_so_far, &[]), TlsMechanism::MASTER_LEN)?
        }
    };
    Ok((secret, version))
}

/// Client's and server's MAC key, client's and server's cipher key; and both initialisation vectors one after the other.
pub(super) fn key_block(mechanism: &TlsMechanism, master: &Secret, wanted: &[Expected]) -> Result<Yield> {
    let TlsMechanism::KeyBlock { hash, randoms: Randoms { client, server }, mac_len, key_len, iv_len } = mechanism
    else {
        return Err(unfit(false));
    };
    let lengths = [*mac_len, *mac_len, *key_len, *key_len];
    if wanted.len() != lengths.len() {
        return Err(Error::new(ErrorKind::TemplateInconsistent, "a key block has four keys"));
    }
    let all = 2 * (mac_len + key_len + iv_len.unwrap_or(0));
    if all == 0 || all > material::MAX_SECRET {
        return Err(parameter("the key block has an impossible length"));
    }
    let block = prf(*hash, master, b"key expansion", (server, client), all)?;
    let mut rest = block.expose();
    let mut keys = Vec::with_capacity(lengths.len());
    for (len, expected) in lengths.into_iter().zip(wanted) {
        let (value, behind) = rest.split_at_checked(len).ok_or_else(size)?;
        rest = behind;
        keys.push(part(value, *expected)?);
    }
    Ok(Yield { keys, public: rest.to_vec() })
}

/// A key of a key block. Ciphers that authenticate have no MAC keys, and some suites no cipher: Java wants a handle all
/// the same, so that there is a key without bytes then.
fn part(value: &[u8], expected: Expected) -> Result<Parsed> {
    if expected.len.is_some_and(|len| len != value.len()) {
        return Err(Error::new(ErrorKind::TemplateInconsistent, "parameter and template differ in the key's length"));
    }
    if value.is_empty() {
        return Ok(material::nothing());
    }
    if !material::length_fits(expected.key_type, value.len()) {
        return Err(size());
    }
    material::from_secret(expected.key_type, Secret::copy_of(value))
}

/// A key exported from a master secret.
pub(super) fn export(mechanism: &TlsMechanism, master: &Secret, len: usize) -> Result<Secret> {
    let TlsMechanism::Export { hash, label, randoms: Randoms { client, server }, context } = mechanism else {
        return Err(unfit(false));
    };
    let mut seed = server.clone();
    if let Some(context) = context {
        let len = u16::try_from(context.len()).map_err(|_| parameter("a context has at most 65535 bytes"))?;
        seed.extend_from_slice(&len.to_be_bytes());
        seed.extend_from_slice(context);
    }
    prf(*hash, master, label, (client, &seed), len)
}

/// A Finished MAC under way, to be made or checked.
pub(super) struct Finished {
    key: Arc<SecretKey>,
    hash: Hash,
    label: &'static [u8],
    len: usize,
    message: Vec<u8>,
}

/// Starts a Finished MAC under the master secret `key`.
pub(super) fn finished(key: &Arc<SecretKey>, mechanism: &TlsMechanism) -> Result<Finished> {
    let TlsMechanism::Finished { hash, len, server } = mechanism else {
        return Err(unfit(false));
    };
    if key.key_type != KeyType::GenericSecret {
        return Err(wrong_key());
    }
    let label: &[u8] = if *server { b"server finished" } else { b"client finished" };
    Ok(Finished { key: Arc::clone(key), hash: *hash, label, len: *len, message: Vec::new() })
}

impl Finished {
    fn add(&mut self, data: &[u8]) -> Result<()> {
        if self.message.len().saturating_add(data.len()) > MAX_MESSAGE {
            return Err(Error::new(ErrorKind::DataLength, "the hash of a handshake is not that long"));
        }
        self.message.extend_from_slice(data);
        Ok(())
    }

    fn end(&self) -> Result<Secret> {
        prf(self.hash, &self.key.value, self.label, (&self.message, &[]), self.len)
    }
}

impl Signing for Finished {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.add(data)
    }

    fn signature_len(&self) -> usize {
        self.len
    }

    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        front(out, self.len)?.copy_from_slice(self.end()?.expose());
        Ok(self.len)
    }
}

impl Verifying for Finished {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.add(data)
    }

    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        if signature.len() != self.len {
            return Err(Error::new(ErrorKind::SignatureLength, "the MAC has a wrong length"));
        }
        let same = self.end()?.expose().ct_eq(signature);
        if same.into() { Ok(()) } else { Err(Error::new(ErrorKind::SignatureInvalid, "the MAC does not verify")) }
    }
}

fn prf(hash: Hash, secret: &Secret, label: &[u8], seeds: (&[u8], &[u8]), len: usize) -> Result<Secret> {
    if hash == Hash::Sm3 {
        return Err(parameter("TLS 1.2 has no pseudorandom function with SM3"));
    }
    Ok(tls12_prf(hash, secret.expose(), label, seeds, len)?)
}
