//! RSA keys and their primitives (RFC 8017).

use std::os::raw::c_int;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_sys as sys;

use super::bn::{self, Bn};
use super::md::md_of;
use super::memory::in_vault;
use super::owned::Owned;
use super::{Failed, check};
use crate::mechanism::{Hash, Oaep, Pss};
use crate::os::{apart_from_forks, let_forks_be};
use crate::secret::Secret;

/// An RSA public key, perhaps with its private key.
pub(in super::super) struct Rsa {
    rsa: Owned<sys::RSA>,
    /// Whether the private key was used: aws-lc has made the values then that it keeps beside the key.
    used: AtomicBool,
}

// SAFETY: aws-lc locks what it caches in an RSA (Montgomery values, blinding); nothing else changes after construction.
unsafe impl Sync for Rsa {}

/// The numbers of a private key, big-endian without leading zeros. Values that are not known are empty.
pub(in super::super) struct RsaPrivate {
    pub(in super::super) n: Vec<u8>,
    pub(in super::super) e: Vec<u8>,
    pub(in super::super) d: Secret,
    pub(in super::super) p: Secret,
    pub(in super::super) q: Secret,
    pub(in super::super) dp: Secret,
    pub(in super::super) dq: Secret,
    pub(in super::super) qinv: Secret,
}

/// The paddings that take any bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum RawPadding {
    /// PKCS #1 v1.5, block type 1 for signatures and 2 for encryption.
    Pkcs1,
    /// None: the input is as long as the modulus.
    None,
}

impl RawPadding {
    const fn code(self) -> c_int {
        match self {
            Self::Pkcs1 => sys::RSA_PKCS1_PADDING,
            Self::None => sys::RSA_NO_PADDING,
        }
    }
}

/// aws-lc's functions from bytes to bytes under a padding.
type Raw = unsafe extern "C" fn(*mut sys::RSA, *mut usize, *mut u8, usize, *const u8, usize, c_int) -> c_int;

/// aws-lc's functions of an `EVP_PKEY_CTX` from bytes to bytes.
type Crypt = unsafe extern "C" fn(*mut sys::EVP_PKEY_CTX, *mut u8, *mut usize, *const u8, usize) -> c_int;

impl Rsa {
    /// Makes a key pair of `bits` (a multiple of 128) with the odd public exponent `e` of at most 32 bits.
    pub(in super::super) fn generate(bits: u32, e: &[u8]) -> Result<Self, Failed> {
        let bits = c_int::try_from(bits).map_err(|_| Failed)?;
        let e = Bn::from_bytes(e)?;
        // SAFETY: a constructor.
        let rsa = unsafe { Owned::new(sys::RSA_new()) }?;
        // SAFETY: a constructor.
        let told = unsafe { Owned::new(sys::BN_GENCB_new()) }?;
        // SAFETY: the callback is alive; what it calls takes no argument of ours.
        unsafe { sys::BN_GENCB_set(told.as_ptr(), Some(pass), null_mut()) };
        // SAFETY: key, exponent and callback are alive.
        check(apart_from_forks(|| unsafe { sys::RSA_generate_key_ex(rsa.as_ptr(), bits, e.as_ptr(), told.as_ptr()) }))?;
        Ok(Self::adopt(rsa))
    }

    /// From modulus and exponent, which are checked for plausibility.
    pub(in super::super) fn from_public(n: &[u8], e: &[u8]) -> Result<Self, Failed> {
        let (n, e) = (Bn::from_bytes(n)?, Bn::from_bytes(e)?);
        // SAFETY: both integers are alive; the function copies.
        unsafe { Owned::new(sys::RSA_new_public_key(n.as_ptr(), e.as_ptr())) }.map(Self::adopt)
    }

    /// From all eight numbers, which are checked against each other.
    pub(in super::super) fn from_private(key: &RsaPrivate) -> Result<Self, Failed> {
        let (n, e) = (Bn::from_bytes(&key.n)?, Bn::from_bytes(&key.e)?);
        let number = |secret: &Secret| Bn::from_bytes(secret.expose());
        let (d, p, q) = (number(&key.d)?, number(&key.p)?, number(&key.q)?);
        let (dp, dq, qinv) = (number(&key.dp)?, number(&key.dq)?, number(&key.qinv)?);
        // SAFETY: all integers are alive; the function copies.
        let rsa = unsafe {
            sys::RSA_new_private_key(
                n.as_ptr(),
                e.as_ptr(),
                d.as_ptr(),
                p.as_ptr(),
                q.as_ptr(),
                dp.as_ptr(),
                dq.as_ptr(),
                qinv.as_ptr(),
            )
        };
        // SAFETY: the function returned a key of ours, or null.
        unsafe { Owned::new(rsa) }.map(Self::adopt)
    }

    /// Takes a key over that aws-lc parsed.
    pub(super) const fn adopt(rsa: Owned<sys::RSA>) -> Self {
        Self { rsa, used: AtomicBool::new(false) }
    }

    pub(super) const fn as_ptr(&self) -> *mut sys::RSA {
        self.rsa.as_ptr()
    }

    /// Length of the modulus in bytes.
    pub(in super::super) fn len(&self) -> usize {
        // SAFETY: the key is alive.
        unsafe { sys::RSA_size(self.as_ptr()) as usize }
    }

    /// Length of the modulus in bits.
    pub(in super::super) fn bits(&self) -> u32 {
        // SAFETY: the key is alive.
        unsafe { sys::RSA_bits(self.as_ptr()) }
    }

    /// Whether there is a private key.
    pub(in super::super) fn is_private(&self) -> bool {
        let mut d = null();
        // SAFETY: the key is alive and keeps ownership of what is read; null says that the others are not wanted.
        unsafe { sys::RSA_get0_key(self.as_ptr(), null_mut(), null_mut(), &raw mut d) };
        !d.is_null()
    }

    /// Modulus and exponent.
    pub(in super::super) fn public(&self) -> Result<(Vec<u8>, Vec<u8>), Failed> {
        let (mut n, mut e) = (null(), null());
        // SAFETY: the key is alive and keeps ownership of what is read; null says that d is not wanted.
        unsafe { sys::RSA_get0_key(self.as_ptr(), &raw mut n, &raw mut e, null_mut()) };
        // SAFETY: both are null or belong to the key, which is alive.
        let bytes = |number| unsafe { bn::secret_of(number) }.map(|bytes| bytes.expose().to_vec());
        Ok((bytes(n)?, bytes(e)?))
    }

    /// All numbers; those of the private key are empty in a public one.
    pub(in super::super) fn numbers(&self) -> Result<RsaPrivate, Failed> {
        let (mut n, mut e, mut d, mut p) = (null(), null(), null(), null());
        let (mut q, mut dp, mut dq, mut qinv) = (null(), null(), null(), null());
        // SAFETY: the key is alive and keeps ownership of what is read.
        unsafe {
            sys::RSA_get0_key(self.as_ptr(), &raw mut n, &raw mut e, &raw mut d);
            sys::RSA_get0_factors(self.as_ptr(), &raw mut p, &raw mut q);
            sys::RSA_get0_crt_params(self.as_ptr(), &raw mut dp, &raw mut dq, &raw mut qinv);
        }
        // SAFETY: each is null or belongs to the key, which is alive.
        let bytes = |number| unsafe { bn::secret_of(number) };
        Ok(RsaPrivate {
            n: bytes(n)?.expose().to_vec(),
            e: bytes(e)?.expose().to_vec(),
            d: bytes(d)?,
            p: bytes(p)?,
            q: bytes(q)?,
            dp: bytes(dp)?,
            dq: bytes(dq)?,
            qinv: bytes(qinv)?,
        })
    }

    /// Pads and applies the private key; writes to the front of `out` (of the modulus length at least).
    pub(in super::super) fn sign_raw(&self, pad: RawPadding, data: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        self.private(|| self.raw(sys::RSA_sign_raw, pad, data, out))
    }

    /// Applies the public key and takes the padding of a signature off.
    pub(in super::super) fn recover(&self, pad: RawPadding, data: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        self.raw(sys::RSA_verify_raw, pad, data, out)
    }

    /// Pads and applies the public key.
    pub(in super::super) fn encrypt(&self, pad: RawPadding, data: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        apart_from_forks(|| self.raw(sys::RSA_encrypt, pad, data, out))
    }

    /// Applies the private key and takes the padding off.
    pub(in super::super) fn decrypt(&self, pad: RawPadding, data: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        self.private(|| self.raw(sys::RSA_decrypt, pad, data, out))
    }

    /// RSASSA-PKCS1-v1_5 of a ready digest; `out` holds the modulus length at least.
    pub(in super::super) fn sign_pkcs1(&self, hash: Hash, digest: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        if out.len() < self.len() {
            return Err(Failed);
        }
        let (nid, mut len) = (nid(hash)?, 0);
        // SAFETY: `out` holds the modulus length, as just checked, and `digest` is valid for its length.
        self.private(|| unsafe {
            let (at, room) = (digest.as_ptr(), out.as_mut_ptr());
            check(sys::RSA_sign(nid, at, digest.len(), room, &raw mut len, self.as_ptr()))
        })?;
        Ok(len as usize)
    }

    /// Checks RSASSA-PKCS1-v1_5 over a ready digest.
    pub(in super::super) fn verify_pkcs1(&self, hash: Hash, digest: &[u8], signature: &[u8]) -> Result<(), Failed> {
        // SAFETY: both slices are valid for their lengths, the key is alive.
        check(unsafe {
            sys::RSA_verify(
                nid(hash)?,
                digest.as_ptr(),
                digest.len(),
                signature.as_ptr(),
                signature.len(),
                self.as_ptr(),
            )
        })
    }

    /// RSASSA-PSS of a ready digest (of `pss.hash`'s length); `out` holds the modulus length at least.
    pub(in super::super) fn sign_pss(&self, pss: Pss, digest: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        let (md, mgf, salt) = pss_parameters(pss)?;
        let mut len = 0;
        // SAFETY: the slices are valid for their lengths, which the function keeps to; the table entries are static.
        self.private(|| unsafe {
            let (room, size) = (out.as_mut_ptr(), out.len());
            let (at, length) = (digest.as_ptr(), digest.len());
            check(sys::RSA_sign_pss_mgf1(self.as_ptr(), &raw mut len, room, size, at, length, md, mgf, salt))
        })?;
        Ok(len)
    }

    /// Checks RSASSA-PSS over a ready digest.
    pub(in super::super) fn verify_pss(&self, pss: Pss, digest: &[u8], signature: &[u8]) -> Result<(), Failed> {
        let (md, mgf, salt) = pss_parameters(pss)?;
        // SAFETY: the slices are valid for their lengths; the table entries are static.
        check(unsafe {
            sys::RSA_verify_pss_mgf1(
                self.as_ptr(),
                digest.as_ptr(),
                digest.len(),
                md,
                mgf,
                salt,
                signature.as_ptr(),
                signature.len(),
            )
        })
    }

    /// RSAES-OAEP with the public key.
    pub(in super::super) fn encrypt_oaep(&self, oaep: &Oaep, data: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        let ctx = self.context()?;
        // SAFETY: the context is alive.
        check(unsafe { sys::EVP_PKEY_encrypt_init(ctx.as_ptr()) })?;
        apart_from_forks(|| crypt_oaep(sys::EVP_PKEY_encrypt, &ctx, oaep, data, out))
    }

    /// RSAES-OAEP with the private key.
    pub(in super::super) fn decrypt_oaep(&self, oaep: &Oaep, data: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        let ctx = self.context()?;
        // SAFETY: the context is alive.
        check(unsafe { sys::EVP_PKEY_decrypt_init(ctx.as_ptr()) })?;
        self.private(|| crypt_oaep(sys::EVP_PKEY_decrypt, &ctx, oaep, data, out))
    }

    /// The key as an `EVP_PKEY` that shares it.
    pub(super) fn to_pkey(&self) -> Result<Owned<sys::EVP_PKEY>, Failed> {
        // SAFETY: a constructor.
        let pkey = unsafe { Owned::new(sys::EVP_PKEY_new()) }?;
        // SAFETY: both are alive; the function counts its reference.
        check(unsafe { sys::EVP_PKEY_set1_RSA(pkey.as_ptr(), self.as_ptr()) })?;
        Ok(pkey)
    }

    fn context(&self) -> Result<Owned<sys::EVP_PKEY_CTX>, Failed> {
        let pkey = self.to_pkey()?;
        // SAFETY: the context counts its reference to the key; no engine.
        unsafe { Owned::new(sys::EVP_PKEY_CTX_new(pkey.as_ptr(), null_mut())) }
    }

    /// Uses the private key. The first time aws-lc makes what it keeps beside the key, in the vault as the key itself.
    fn private<R>(&self, f: impl FnOnce() -> R) -> R {
        if self.used.load(Ordering::Relaxed) {
            return apart_from_forks(f);
        }
        let result = in_vault(|| apart_from_forks(f));
        self.used.store(true, Ordering::Relaxed);
        result
    }

    fn raw(&self, f: Raw, pad: RawPadding, data: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        let mut len = 0;
        // SAFETY: the slices are valid for their lengths, which `f`, one of aws-lc's functions of this shape, keeps to.
        check(unsafe {
            f(self.as_ptr(), &raw mut len, out.as_mut_ptr(), out.len(), data.as_ptr(), data.len(), pad.code())
        })?;
        Ok(len)
    }
}

/// Between two steps of the search for primes, which may take seconds.
unsafe extern "C" fn pass(_: c_int, _: c_int, _: *mut sys::BN_GENCB) -> c_int {
    let_forks_be();
    1
}

fn crypt_oaep(
    f: Crypt,
    ctx: &Owned<sys::EVP_PKEY_CTX>,
    oaep: &Oaep,
    data: &[u8],
    out: &mut [u8],
) -> Result<usize, Failed> {
    let (hash, mgf) = (md_of(oaep.hash)?, md_of(oaep.mgf)?);
    // SAFETY: the context is alive and initialised, the table entries are static.
    unsafe {
        check(sys::EVP_PKEY_CTX_set_rsa_padding(ctx.as_ptr(), sys::RSA_PKCS1_OAEP_PADDING))?;
        check(sys::EVP_PKEY_CTX_set_rsa_oaep_md(ctx.as_ptr(), hash))?;
        check(sys::EVP_PKEY_CTX_set_rsa_mgf1_md(ctx.as_ptr(), mgf))?;
    }
    if !oaep.label.is_empty() {
        // SAFETY: copies `label.len()` readable bytes into memory of aws-lc's allocator, or returns null.
        let label = unsafe { sys::OPENSSL_memdup(oaep.label.as_ptr().cast(), oaep.label.len()) };
        if label.is_null() {
            return Err(Failed);
        }
        // SAFETY: the context takes the label over.
        let code = unsafe { sys::EVP_PKEY_CTX_set0_rsa_oaep_label(ctx.as_ptr(), label.cast(), oaep.label.len()) };
        if code != 1 {
            // SAFETY: on failure the label is still ours.
            unsafe { sys::OPENSSL_free(label) };
            return Err(super::failed());
        }
    }
    let mut len = out.len();
    // SAFETY: the slices are valid for their lengths, which `f`, one of aws-lc's functions of this shape, keeps to.
    check(unsafe { f(ctx.as_ptr(), out.as_mut_ptr(), &raw mut len, data.as_ptr(), data.len()) })?;
    Ok(len)
}

type PssParameters = (*const sys::EVP_MD, *const sys::EVP_MD, c_int);

fn pss_parameters(pss: Pss) -> Result<PssParameters, Failed> {
    // A non-negative length means itself; negative ones would mean special cases.
    Ok((md_of(pss.hash)?, md_of(pss.mgf)?, c_int::try_from(pss.salt_len).map_err(|_| Failed)?))
}

/// aws-lc's number of a hash.
fn nid(hash: Hash) -> Result<c_int, Failed> {
    // SAFETY: the entry is static.
    Ok(unsafe { sys::EVP_MD_type(md_of(hash)?) })
}
