//! Private keys as PKCS #8 (RFC 5958).

use std::mem::MaybeUninit;
use std::ptr::null_mut;

use aws_lc_sys as sys;

use super::ec::EcKey;
use super::owned::Owned;
use super::rsa::Rsa;
use super::{Failed, bn, check, failed};
use crate::mechanism::Curve;
use crate::secret::Secret;

/// A private key that was parsed.
pub(in super::super) enum PrivateKey {
    /// RSA, checked for consistency.
    Rsa(Rsa),
    /// A scalar or seed on a curve, of the field's length.
    Ec(Curve, Secret),
}

/// Parses a PrivateKeyInfo with nothing behind it.
pub(in super::super) fn parse_pkcs8(der: &[u8]) -> Result<PrivateKey, Failed> {
    let mut cbs = MaybeUninit::<sys::CBS>::uninit();
    // SAFETY: initialises the reader on a slice that outlives it.
    unsafe { sys::CBS_init(cbs.as_mut_ptr(), der.as_ptr(), der.len()) };
    // SAFETY: the reader was initialised.
    let pkey = unsafe { Owned::new(sys::EVP_parse_private_key(cbs.as_mut_ptr())) }?;
    // SAFETY: the reader was initialised and only reads the slice.
    if unsafe { sys::CBS_len(cbs.as_ptr()) } != 0 {
        return Err(Failed);
    }
    // SAFETY: the key is alive.
    match unsafe { sys::EVP_PKEY_id(pkey.as_ptr()) } {
        sys::EVP_PKEY_RSA => {
            // SAFETY: the function counts the reference it returns.
            let rsa = unsafe { Owned::new(sys::EVP_PKEY_get1_RSA(pkey.as_ptr())) }?;
            Ok(PrivateKey::Rsa(Rsa::adopt(rsa)))
        }
        sys::EVP_PKEY_EC => scalar_of(&pkey),
        sys::EVP_PKEY_ED25519 => seed_of(&pkey, Curve::Ed25519),
        sys::EVP_PKEY_X25519 => seed_of(&pkey, Curve::X25519),
        _ => Err(Failed),
    }
}

/// An RSA private key.
pub(in super::super) fn rsa_to_pkcs8(rsa: &Rsa) -> Result<Secret, Failed> {
    marshal(&rsa.to_pkey()?)
}

/// A private key on a NIST curve.
pub(in super::super) fn ec_to_pkcs8(ec: &EcKey) -> Result<Secret, Failed> {
    // SAFETY: a constructor.
    let pkey = unsafe { Owned::new(sys::EVP_PKEY_new()) }?;
    // SAFETY: both are alive; the function counts its reference.
    check(unsafe { sys::EVP_PKEY_set1_EC_KEY(pkey.as_ptr(), ec.as_ptr()) })?;
    marshal(&pkey)
}

/// A seed of Ed25519 or X25519 (RFC 8410).
pub(in super::super) fn seed_to_pkcs8(curve: Curve, seed: &[u8]) -> Result<Secret, Failed> {
    let id = match curve {
        Curve::Ed25519 => sys::EVP_PKEY_ED25519,
        Curve::X25519 => sys::EVP_PKEY_X25519,
        _ => return Err(Failed),
    };
    // SAFETY: the slice is valid for its length; no engine.
    marshal(&unsafe { Owned::new(sys::EVP_PKEY_new_raw_private_key(id, null_mut(), seed.as_ptr(), seed.len())) }?)
}

fn scalar_of(pkey: &Owned<sys::EVP_PKEY>) -> Result<PrivateKey, Failed> {
    // SAFETY: the key is alive and keeps ownership of all that is read here.
    let (nid, scalar) = unsafe {
        let ec = sys::EVP_PKEY_get0_EC_KEY(pkey.as_ptr());
        if ec.is_null() {
            return Err(failed());
        }
        (sys::EC_GROUP_get_curve_name(sys::EC_KEY_get0_group(ec)), sys::EC_KEY_get0_private_key(ec))
    };
    let curve = match nid {
        sys::NID_X9_62_prime256v1 => Curve::P256,
        sys::NID_secp384r1 => Curve::P384,
        sys::NID_secp521r1 => Curve::P521,
        sys::NID_secp256k1 => Curve::Secp256k1,
        _ => return Err(Failed),
    };
    if scalar.is_null() {
        return Err(Failed);
    }
    // SAFETY: the scalar belongs to the key, which is alive.
    Ok(PrivateKey::Ec(curve, unsafe { bn::padded_secret_of(scalar, curve.field_len()) }?))
}

fn seed_of(pkey: &Owned<sys::EVP_PKEY>, curve: Curve) -> Result<PrivateKey, Failed> {
    let seed = Secret::filled(curve.field_len(), |out| {
        let mut len = out.len();
        // SAFETY: the buffer is valid for the length given, which the function keeps to.
        check(unsafe { sys::EVP_PKEY_get_raw_private_key(pkey.as_ptr(), out.as_mut_ptr(), &raw mut len) })?;
        if len == out.len() { Ok(()) } else { Err(Failed) }
    })?;
    Ok(PrivateKey::Ec(curve, seed))
}

fn marshal(pkey: &Owned<sys::EVP_PKEY>) -> Result<Secret, Failed> {
    let mut cbb = MaybeUninit::<sys::CBB>::zeroed();
    // SAFETY: initialises the writer; aws-lc wipes its buffers whenever it frees them.
    check(unsafe { sys::CBB_init(cbb.as_mut_ptr(), 256) })?;
    let (mut data, mut len) = (null_mut(), 0);
    // SAFETY: the writer was initialised; on success the bytes are ours.
    let done = unsafe {
        sys::EVP_marshal_private_key(cbb.as_mut_ptr(), pkey.as_ptr()) == 1
            && sys::CBB_finish(cbb.as_mut_ptr(), &raw mut data, &raw mut len) == 1
    };
    if !done {
        // SAFETY: frees what the writer holds, at most once.
        unsafe { sys::CBB_cleanup(cbb.as_mut_ptr()) };
        return Err(failed());
    }
    // SAFETY: the writer gave out `len` bytes at `data`.
    let secret = Secret::copy_of(unsafe { std::slice::from_raw_parts(data, len) });
    // SAFETY: the bytes are ours and not used again.
    unsafe { sys::OPENSSL_free(data.cast()) };
    Ok(secret)
}
