//! CK_MECHANISM and its parameter structures → mechanisms of the core.
//!
//! Parameters are copied out of the caller's memory once, by [`Parameter`]; everything after that works on copies. A
//! length that is not exactly the structure's, a pointer that is null where bytes are announced, and sizes that no
//! mechanism needs are CKR_MECHANISM_PARAM_INVALID before anything is allocated.

mod cipher;
mod companions;
mod dh;
mod ec;
mod kdf;
mod pqc;
mod rsa;
mod tls;

pub(crate) use companions::Companions;

use std::mem::{MaybeUninit, size_of};

use cryptoki_sys::{
    CK_BYTE, CK_FLAGS, CK_MECHANISM, CK_MECHANISM_TYPE, CK_ULONG, CKR_KEY_TYPE_INCONSISTENT, CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID,
};
use libkmss::backend::Verb;
use libkmss::key::Key;
use libkmss::mechanism::{
    BlockCipher, EcMechanism, Hash, KdfMechanism, MacMechanism, Mechanism, PqcMechanism, RsaMechanism, Sm2Mechanism,
};
use libkmss::operation::Chosen;

use crate::mechanisms::{Profile, Shape};
use crate::rv::{Result, Rv};

use super::template::u64_of;

/// Longest buffer that a parameter may point to (additional data of GCM, labels, info): 16 MiB.
pub(super) const MAX_BUFFER: usize = 1 << 24;

/// Parses the mechanism that a caller gave for `verb`, with `key` where it uses one (PKCS#11 3.2, 3.5 and the
/// mechanisms' own sections).
///
/// CKR_MECHANISM_INVALID where it is not offered for the verb, CKR_KEY_TYPE_INCONSISTENT where the key does not fit it,
/// CKR_MECHANISM_PARAM_INVALID for parameters that it cannot have.
///
/// # Safety
/// The parameter, and every buffer that the parameter names, is readable for the length given with it.
pub(crate) unsafe fn parse(raw: &CK_MECHANISM, verb: Verb, key: Option<&Key>, profile: Profile) -> Result<Chosen> {
    let row = profile.offer(raw.mechanism, verb).ok_or(Rv(CKR_MECHANISM_INVALID))?;
    if key.is_some_and(|k| !row.shape.takes(k.key_type)) {
        return Err(Rv(CKR_KEY_TYPE_INCONSISTENT));
    }
    let parameter = Parameter::new(raw, profile)?;
    let mechanism = match row.shape {
        Shape::Generate(key_type) => parameter.absent(Mechanism::Generate(key_type)),
        Shape::Digest(hash) => parameter.absent(Mechanism::Digest(hash)),
        Shape::RsaPkcs => parameter.absent(Mechanism::Rsa(RsaMechanism::Pkcs)),
        Shape::RsaX509 => parameter.absent(Mechanism::Rsa(RsaMechanism::X509)),
        Shape::RsaPkcsHash(hash) => parameter.absent(Mechanism::Rsa(RsaMechanism::PkcsHash(hash))),
        Shape::Pss(hash) => parameter.pss(hash),
        Shape::Oaep => parameter.oaep(),
        Shape::RsaAesKeyWrap => parameter.rsa_aes_key_wrap(),
        Shape::Ecdsa(hash) => parameter.absent(Mechanism::Ec(EcMechanism::Ecdsa { hash })),
        Shape::EdDsa => parameter.eddsa(),
        Shape::Ecdh => parameter.ecdh(verb),
        Shape::EcdhAesKeyWrap => parameter.ecdh_aes_key_wrap(),
        Shape::Hkdf(into) => parameter.hkdf(into),
        Shape::Kbkdf(rounds) => parameter.kbkdf(rounds),
        Shape::Pbkdf2 => parameter.pbkdf2(),
        Shape::Splice(splice) => parameter.splice(splice),
        Shape::PublicKey => parameter.absent(Mechanism::Kdf(KdfMechanism::PublicKey)),
        Shape::Dh => parameter.dh(),
        Shape::Tls(step) => parameter.tls(step),
        Shape::Sm2Digest => parameter.absent(Mechanism::Sm2(Sm2Mechanism::SignDigest)),
        Shape::Sm2Message => parameter.sm2_identity().map(|id| Mechanism::Sm2(Sm2Mechanism::SignSm3 { id })),
        Shape::Sm2MessageDer => parameter.sm2_identity().map(|id| Mechanism::Sm2(Sm2Mechanism::SignSm3Der { id })),
        Shape::Sm2Encrypt => parameter.absent(Mechanism::Sm2(Sm2Mechanism::Encrypt)),
        Shape::Cipher(cipher, mode) => parameter.cipher(mode, verb).map(|m| Mechanism::Cipher(cipher, m)),
        Shape::ChaCha20Poly1305 => parameter.chacha(),
        Shape::EncryptData { chained } => parameter.encrypt_data(chained),
        Shape::Hmac(hash, length) => {
            parameter.mac_length(length, hash.len()).map(|len| Mechanism::Mac(MacMechanism::Hmac { hash, len }))
        }
        Shape::Cmac(length) => parameter
            .mac_length(length, BlockCipher::BLOCK)
            .map(|len| Mechanism::Mac(MacMechanism::Cmac { cipher: BlockCipher::Aes, len })),
        Shape::MlDsa(given) => parameter.pqc_signature(given).map(|how| Mechanism::Pqc(PqcMechanism::MlDsa(how))),
        Shape::MlKem => parameter.absent(Mechanism::Pqc(PqcMechanism::MlKem)),
        Shape::SlhDsa(given) => parameter.pqc_signature(given).map(|how| Mechanism::Pqc(PqcMechanism::SlhDsa(how))),
        Shape::Gmac => parameter.gmac(),
    }?;
    Ok(Chosen { mechanism, number: Some(u64_of(row.number())) })
}

/// What a mechanism computes that is chosen for messages, by one of the `CKF_MESSAGE_…` flags (PKCS#11 3.2, 5.9 and so on).
/// Parameters come with each message; what is given here may be NULL.
///
/// As [`parse`].
pub(crate) fn parse_messages(raw: &CK_MECHANISM, flag: CK_FLAGS, key: Option<&Key>, profile: Profile) -> Result<Shape> {
    let row = profile.row(raw.mechanism).filter(|r| r.offers_flags(flag)).ok_or(Rv(CKR_MECHANISM_INVALID))?;
    if key.is_some_and(|k| !row.shape.takes(k.key_type)) {
        return Err(Rv(CKR_KEY_TYPE_INCONSISTENT));
    }
    Parameter::new(raw, profile).map(|_| row.shape)
}

const INVALID: Rv = Rv(CKR_MECHANISM_PARAM_INVALID);

/// The parameter of a mechanism, still in the caller's memory.
///
/// INVARIANT: made by [`parse`] alone, whose contract says that the parameter and the buffers it names are readable.
struct Parameter {
    at: *const CK_BYTE,
    len: usize,
    profile: Profile,
}

impl Parameter {
    fn new(raw: &CK_MECHANISM, profile: Profile) -> Result<Self> {
        let len = usize::try_from(raw.ulParameterLen).map_err(|_| INVALID)?;
        if (raw.pParameter.is_null() && len != 0) || len > MAX_BUFFER {
            return Err(INVALID);
        }
        Ok(Self { at: raw.pParameter.cast_const().cast(), len, profile })
    }

    /// `value`, where no parameter was given.
    fn absent<T>(&self, value: T) -> Result<T> {
        if self.len == 0 { Ok(value) } else { Err(INVALID) }
    }

    /// The hash that a number in the parameter names.
    fn hash(&self, number: CK_MECHANISM_TYPE) -> Result<Hash> {
        self.profile.hash(number).ok_or(INVALID)
    }

    /// A copy of the parameter's bytes.
    fn bytes(&self) -> Result<Vec<u8>> {
        self.buffer(self.at, self.len)
    }

    /// A structure that a field of the parameter points to.
    const fn behind<T: Plain>(&self, at: *const T) -> Self {
        Self { at: at.cast(), len: size_of::<T>(), profile: self.profile }
    }

    /// A copy of the parameter as one of the structures of PKCS#11.
    fn structure<T: Plain>(&self) -> Result<T> {
        if self.at.is_null() || self.len != size_of::<T>() {
            return Err(INVALID);
        }
        let mut copy = MaybeUninit::<T>::uninit();
        // SAFETY: the parameter is readable for `len` bytes by the contract of `parse`, `len` is the size of T, and a
        // fresh local does not overlap it. T is `Plain`: every bit pattern of its fields is a value of its type.
        unsafe {
            std::ptr::copy_nonoverlapping(self.at, copy.as_mut_ptr().cast::<CK_BYTE>(), size_of::<T>());
            Ok(copy.assume_init())
        }
    }

    /// A copy of a buffer that the parameter names (or of itself); `len` was bounded before.
    fn buffer(&self, at: *const CK_BYTE, len: usize) -> Result<Vec<u8>> {
        Ok(self.borrowed(at, len)?.to_vec())
    }

    /// As [`Self::buffer`], without the copy.
    #[expect(clippy::unused_self, reason = "the receiver is the proof that `parse` was given readable buffers")]
    fn borrowed(&self, at: *const CK_BYTE, len: usize) -> Result<&[u8]> {
        if len == 0 {
            return Ok(&[]);
        }
        if at.is_null() {
            return Err(INVALID);
        }
        // SAFETY: not null, and readable for `len` bytes by the contract of `parse` (see the type's invariant); bytes
        // need no alignment.
        Ok(unsafe { std::slice::from_raw_parts(at, len) })
    }

    /// A copy of an array that the parameter names; of `max` elements at most.
    #[expect(clippy::unused_self, reason = "the receiver is the proof that `parse` was given readable buffers")]
    fn array<T: Plain>(&self, at: *const T, count: CK_ULONG, max: usize) -> Result<Vec<T>> {
        let count = bounded(count, max)?;
        if count != 0 && at.is_null() {
            return Err(INVALID);
        }
        // SAFETY: not null where there are elements, and readable for all of them by the contract of `parse` (see the
        // type's invariant); alignment is not assumed. T is `Plain`: every bit pattern of its fields is a value.
        Ok((0..count).map(|i| unsafe { at.add(i).read_unaligned() }).collect())
    }
}

/// Structures whose fields are integers, bytes and raw pointers only, so that any bytes make a value.
trait Plain: Copy {}

/// Length in bytes of the AES key that a hybrid wrapping asks for in bits.
const fn aes_len(bits: CK_ULONG) -> Result<usize> {
    match bits {
        128 => Ok(16),
        192 => Ok(24),
        256 => Ok(32),
        _ => Err(INVALID),
    }
}

fn bounded(value: CK_ULONG, max: usize) -> Result<usize> {
    usize::try_from(value).ok().filter(|v| *v <= max).ok_or(INVALID)
}

#[cfg(test)]
mod tests;
