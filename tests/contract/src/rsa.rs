//! RSA.

use libkmss::error::ErrorKind;
use libkmss::mechanism::{Hash, Mechanism, Oaep, Pss, RsaMechanism};

use crate::behaviour::{Behaviour, Group};
use crate::bench::{Bench, rsa};
use crate::signing::{Message, flip, signs};
use crate::verdict::{Check, refused, same};

/// A DigestInfo of SHA-256 (RFC 8017, 9.2, note 1).
const DIGEST_INFO: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20\
    0123456789abcdef0123456789abcdef";
/// A ready hash of 32 bytes.
const HASH_32: &[u8] = b"0123456789abcdef0123456789abcdef";
/// One of 48.
const HASH_48: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef";
/// What fits into one block of any padding.
const SHORT: &[u8] = b"a session key, say";

pub(crate) fn behaviours() -> Vec<Behaviour> {
    let mut all = vec![
        signing("RSA_PKCS", RsaMechanism::Pkcs, Message::Exact(DIGEST_INFO)),
        signing("RSA_X_509", RsaMechanism::X509, Message::Exact(HASH_32)),
    ];
    for hash in [Hash::Sha1, Hash::Sha224, Hash::Sha256, Hash::Sha384, Hash::Sha512, Hash::Sha3_256] {
        let how = RsaMechanism::PkcsHash(hash);
        all.push(signing(Mechanism::Rsa(how.clone()).name(), how, Message::Any));
    }
    for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let how = pss(hash, hash, hash.len(), true);
        all.push(signing(Mechanism::Rsa(how.clone()).name(), how, Message::Any));
    }
    all.extend([
        signing("RSA_PKCS_PSS of a ready SHA-256", pss(Hash::Sha256, Hash::Sha256, 32, false), Message::Exact(HASH_32)),
        signing("RSA_PKCS_PSS of a ready SHA-384", pss(Hash::Sha384, Hash::Sha384, 48, false), Message::Exact(HASH_48)),
        signing("SHA256_RSA_PKCS_PSS without salt", pss(Hash::Sha256, Hash::Sha256, 0, true), Message::Any),
        signing("SHA256_RSA_PKCS_PSS with a salt of 20 bytes", pss(Hash::Sha256, Hash::Sha256, 20, true), Message::Any),
        signing("SHA256_RSA_PKCS_PSS with MGF1 of SHA-1", pss(Hash::Sha256, Hash::Sha1, 32, true), Message::Any),
        encrypting("RSA_PKCS", RsaMechanism::Pkcs),
        encrypting("RSA_PKCS_OAEP of SHA-1", oaep(Hash::Sha1, Hash::Sha1, b"")),
        encrypting("RSA_PKCS_OAEP of SHA-256", oaep(Hash::Sha256, Hash::Sha256, b"")),
        encrypting("RSA_PKCS_OAEP of SHA-256 with MGF1 of SHA-1", oaep(Hash::Sha256, Hash::Sha1, b"")),
        encrypting("RSA_PKCS_OAEP with a label", oaep(Hash::Sha256, Hash::Sha256, b"label")),
    ]);
    all
}

fn signing(label: &str, how: RsaMechanism, message: Message) -> Behaviour {
    signs(Group::Rsa, label, rsa(2048), Mechanism::Rsa(how), message)
}

const fn pss(hash: Hash, mgf: Hash, salt_len: usize, message: bool) -> RsaMechanism {
    RsaMechanism::Pss { pss: Pss { hash, mgf, salt_len }, message }
}

pub(crate) fn oaep(hash: Hash, mgf: Hash, label: &[u8]) -> RsaMechanism {
    RsaMechanism::Oaep(Oaep { hash, mgf, label: label.to_vec() })
}

fn encrypting(label: &str, how: RsaMechanism) -> Behaviour {
    let name = format!("a key of RSA 2048 decrypts by {label}");
    Behaviour::new(Group::Rsa, name, move |bench| decrypts(bench, &how))
}

fn decrypts(bench: &Bench<'_>, how: &RsaMechanism) -> Check {
    let pair = bench.pair(&rsa(2048))?;
    let mirror = bench.mirror(&pair.public)?;
    // What is ambiguous by design tells nothing where it was altered.
    let told = !matches!(how, RsaMechanism::Pkcs);
    let how = Mechanism::Rsa(how.clone());
    let ciphertext = bench.reference.encrypt(&mirror, &how, &[SHORT])?;
    same("what comes back", &bench.tested.decrypt(&pair.private, &how, &[&ciphertext])?, &SHORT.to_vec())?;
    let own = bench.tested.encrypt(&pair.public, &how, &[SHORT])?;
    same("the length of the ciphertext", &own.len(), &256)?;
    same("what comes back of its own", &bench.tested.decrypt(&pair.private, &how, &[&own])?, &SHORT.to_vec())?;
    if told {
        let mut altered = ciphertext.clone();
        flip(&mut altered);
        let kinds = [ErrorKind::EncryptedDataInvalid, ErrorKind::EncryptedDataLength];
        refused("an altered ciphertext", bench.tested.decrypt(&pair.private, &how, &[&altered]), &kinds)?;
    }
    let long = [7; 256];
    let kinds = [ErrorKind::DataLength, ErrorKind::DataInvalid];
    refused("more than fits", bench.tested.encrypt(&pair.public, &how, &[&long]), &kinds)
}
