//! Key derivation: HKDF (RFC 5869), the X9.63 KDF (SEC 1, 3.6.1), the one-step KDF of SP 800-56C, PBKDF2 (RFC 8018) and the
//! simple mechanisms of PKCS#11 (3.2, 6.43).

use std::sync::Arc;

use hkdf::Hkdf as HkdfOf;
use sm3::Sm3;
use zeroize::{Zeroize, Zeroizing};

use super::awslc::{self, hkdf_expand, hkdf_extract};
use super::cipher;
use super::digest::Hasher;
use super::keys::SecretKey;
use crate::error::{Error, ErrorKind, Result};
use crate::mechanism::{BlockCipher, CipherMode, EcdhKdf, Hash, Hkdf, HkdfSalt, Pbkdf2};
use crate::secret::Secret;

/// Most rounds of HMAC that PBKDF2 computes in one call: some ten seconds of the caller's own thread.
const MAX_ROUNDS: u64 = 1 << 25;

/// Derives `len` bytes from the secret `input` by HKDF; without `len`, as many as the hash has.
pub(super) fn hkdf(mechanism: &Hkdf, input: &Secret, others: &[&Secret], len: Option<usize>) -> Result<Secret> {
    let Hkdf { hash, extract, expand, salt, info } = mechanism;
    let len = len.unwrap_or(hash.len());
    let max = if *expand { 255 * hash.len() } else { hash.len() };
    if len == 0 || len > max {
        return Err(too_long());
    }
    let extracted = extract.then(|| run_extract(*hash, salt, others, input)).transpose()?;
    let prk = extracted.as_ref().unwrap_or(input);
    if *expand {
        return run_expand(*hash, prk, info, len);
    }
    Ok(Secret::copy_of(prk.expose().get(..len).ok_or_else(too_long)?))
}

fn run_extract(hash: Hash, salt: &HkdfSalt, others: &[&Secret], input: &Secret) -> Result<Secret> {
    let salt: &[u8] = match salt {
        // RFC 5869, 2.2: an absent salt is a string of zeros, and so is to HMAC an empty one.
        HkdfSalt::Zeros => &[],
        HkdfSalt::Bytes(bytes) => bytes,
        HkdfSalt::Key => others.first().ok_or_else(super::wrong_key)?.expose(),
    };
    if hash == Hash::Sm3 {
        let (mut prk, _) = HkdfOf::<Sm3>::extract(Some(salt), input.expose());
        let secret = Secret::copy_of(&prk);
        prk.as_mut_slice().zeroize();
        return Ok(secret);
    }
    Ok(hkdf_extract(hash, salt, input.expose())?)
}

/// HKDF-Expand.
fn run_expand(hash: Hash, prk: &Secret, info: &[u8], len: usize) -> Result<Secret> {
    if hash != Hash::Sm3 {
        return Ok(hkdf_expand(hash, prk.expose(), info, len)?);
    }
    let kdf = HkdfOf::<Sm3>::from_prk(prk.expose())
        .map_err(|_| Error::new(ErrorKind::KeySize, "the key is shorter than the hash of HKDF"))?;
    Secret::filled(len, |out| kdf.expand(info, out).map_err(|_| too_long()))
}

/// Makes `len` bytes by encrypting `data` (PKCS#11 3.2, 6.44): the leading ones count. Without `len`, all of them.
pub(super) fn encrypt_data(
    key: &Arc<SecretKey>,
    cipher: BlockCipher,
    iv: Option<&[u8; 16]>,
    data: &[u8],
    len: Option<usize>,
) -> Result<Secret> {
    if data.is_empty() || data.len() > MAX_LEN || !data.len().is_multiple_of(BlockCipher::BLOCK) {
        return Err(super::parameter("the data to be encrypted has whole blocks, and not too many of them"));
    }
    let mode = iv.map_or(CipherMode::Ecb, |iv| CipherMode::Cbc { iv: *iv });
    let mut operation = cipher::start(key, cipher, &mode, true)?;
    let all = Secret::filled(data.len(), |out| operation.finish(data, out).map(|_| ()))?;
    let wanted = all.expose().get(..len.unwrap_or(data.len())).ok_or_else(too_long)?;
    Ok(Secret::copy_of(wanted))
}

/// Makes `len` bytes of a shared secret; without `len`, as many as the secret has.
///
/// Without a KDF, PKCS#11 3.1, 6.3.17 truncates "from the leading end": the trailing bytes stay.
pub(super) fn after_agreement(kdf: EcdhKdf, shared: &Secret, info: &[u8], len: Option<usize>) -> Result<Secret> {
    let len = len.unwrap_or(shared.len());
    match kdf {
        EcdhKdf::Null => {
            let skip = shared.len().checked_sub(len).filter(|_| len > 0).ok_or_else(too_long)?;
            Ok(Secret::copy_of(shared.expose().get(skip..).unwrap_or_default()))
        }
        EcdhKdf::X963(hash) => counted(hash, shared, info, len, false),
        EcdhKdf::Concatenation(hash) => counted(hash, shared, info, len, true),
    }
}

/// Hashes of the shared secret, a counter and `info`. The counter follows the secret in X9.63 and goes first in SP 800-56C
/// (revision 2, 4.1, option 1).
fn counted(hash: Hash, shared: &Secret, info: &[u8], len: usize, counter_first: bool) -> Result<Secret> {
    if len == 0 || len > MAX_LEN {
        return Err(too_long());
    }
    Secret::filled(len, |out| {
        for (counter, chunk) in (1_u32..).zip(out.chunks_mut(hash.len())) {
            let mut hasher = Hasher::new(hash);
            let counter = counter.to_be_bytes();
            let (first, second) =
                if counter_first { (&counter[..], shared.expose()) } else { (shared.expose(), &counter[..]) };
            for part in [first, second, info] {
                hasher.update(part)?;
            }
            let mut block = Zeroizing::new([0; 64]);
            hasher.finish(&[], &mut *block)?;
            chunk.copy_from_slice(block.get(..chunk.len()).unwrap_or_default());
        }
        Ok(())
    })
}

/// A key of a password.
pub(super) fn pbkdf2(mechanism: &Pbkdf2, len: usize) -> Result<Secret> {
    let Pbkdf2 { hash, password, salt, iterations } = mechanism;
    let blocks = len.div_ceil(hash.len()) as u64;
    if *iterations == 0 || blocks.saturating_mul(u64::from(*iterations)) > MAX_ROUNDS {
        return Err(super::parameter("PBKDF2 takes 1 iteration up to 2^25 over all blocks of the key"));
    }
    if *hash == Hash::Sm3 {
        return Err(super::parameter("PBKDF2 is not offered with SM3"));
    }
    Ok(awslc::pbkdf2(*hash, password.expose(), salt, *iterations, len)?)
}

/// The first `len` bytes of `first` followed by `second`; without `len`, all.
pub(super) fn joined(first: &Secret, second: &Secret, len: Option<usize>) -> Result<Secret> {
    let all = first.len().saturating_add(second.len());
    let len = len.unwrap_or(all);
    if len == 0 || len > all || len > MAX_LEN {
        return Err(too_long());
    }
    Secret::filled(len, |out| {
        let source = first.expose().iter().chain(second.expose());
        out.iter_mut().zip(source).for_each(|(out, byte)| *out = *byte);
        Ok(())
    })
}

/// The first `len` bytes of `key` combined with `data`; without `len`, as many as both have.
pub(super) fn xored(key: &Secret, data: &Secret, len: Option<usize>) -> Result<Secret> {
    let most = key.len().min(data.len());
    let len = len.unwrap_or(most);
    if len == 0 || len > most {
        return Err(too_long());
    }
    Secret::filled(len, |out| {
        let source = key.expose().iter().zip(data.expose());
        out.iter_mut().zip(source).for_each(|(out, (a, b))| *out = a ^ b);
        Ok(())
    })
}

/// `len` bytes of `key` from bit `first_bit` on, around its end (PKCS#11 3.2, 6.43.7).
pub(super) fn extracted(key: &Secret, first_bit: u64, len: usize) -> Result<Secret> {
    let bits = key.len() as u64 * 8;
    if first_bit >= bits {
        return Err(super::parameter("the key has not that many bits"));
    }
    if len == 0 || len > key.len() {
        return Err(too_long());
    }
    let (skip, shift) = (usize::try_from(first_bit / 8).unwrap_or(usize::MAX), first_bit % 8);
    Secret::filled(len, |out| {
        let high = key.expose().iter().cycle().skip(skip);
        let low = key.expose().iter().cycle().skip(skip + 1);
        for (out, (high, low)) in out.iter_mut().zip(high.zip(low)) {
            let pair = u16::from_be_bytes([*high, *low]);
            *out = (pair << shift).to_be_bytes()[0];
        }
        Ok(())
    })
}

/// Longest secret in bytes that is made.
const MAX_LEN: usize = super::material::MAX_SECRET;

fn too_long() -> Error {
    Error::new(ErrorKind::KeySize, "the mechanism cannot yield a key of this length")
}
