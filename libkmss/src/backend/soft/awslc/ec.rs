//! Keys on the NIST curves: ECDSA (FIPS 186-5) and ECDH (SP 800-56A).

use std::ptr::{null, null_mut};

use aws_lc_sys as sys;

use super::bn::{self, Bn};
use super::owned::Owned;
use super::{Failed, check, failed};
use crate::mechanism::Curve;
use crate::os::apart_from_forks;
use crate::secret::Secret;

/// A public key on P-256, P-384 or P-521, perhaps with its private key.
pub(in super::super) struct EcKey {
    key: Owned<sys::EC_KEY>,
    curve: Curve,
}

// SAFETY: aws-lc's functions on a constant EC_KEY are safe from several threads at once; after the constructors nothing
// changes the key.
unsafe impl Sync for EcKey {}

impl EcKey {
    /// Makes a key pair.
    pub(in super::super) fn generate(curve: Curve) -> Result<Self, Failed> {
        let ec = Self::empty(curve)?;
        // SAFETY: the key is alive and has its group.
        check(apart_from_forks(|| unsafe { sys::EC_KEY_generate_key(ec.key.as_ptr()) }))?;
        Ok(ec)
    }

    /// From a scalar between 1 and the order; the public point is computed.
    pub(in super::super) fn from_scalar(curve: Curve, scalar: &[u8]) -> Result<Self, Failed> {
        let ec = Self::empty(curve)?;
        let scalar = Bn::from_bytes(scalar)?;
        // SAFETY: key and integer are alive; the function copies, and refuses values out of range.
        check(unsafe { sys::EC_KEY_set_private_key(ec.key.as_ptr(), scalar.as_ptr()) })?;
        let point = ec.new_point()?;
        // SAFETY: all are alive; the null arguments say that only the generator is multiplied.
        check(unsafe { sys::EC_POINT_mul(ec.group(), point.as_ptr(), scalar.as_ptr(), null(), null(), null_mut()) })?;
        ec.with_point(&point)
    }

    /// From a public point, compressed or not, which must be on the curve.
    pub(in super::super) fn from_point(curve: Curve, encoded: &[u8]) -> Result<Self, Failed> {
        let ec = Self::empty(curve)?;
        let point = ec.decode_point(encoded)?;
        ec.with_point(&point)
    }

    pub(super) const fn as_ptr(&self) -> *mut sys::EC_KEY {
        self.key.as_ptr()
    }

    pub(in super::super) const fn curve(&self) -> Curve {
        self.curve
    }

    /// Whether there is a private key.
    pub(in super::super) fn is_private(&self) -> bool {
        // SAFETY: the key is alive.
        !unsafe { sys::EC_KEY_get0_private_key(self.key.as_ptr()) }.is_null()
    }

    /// The scalar, of the field's length.
    pub(in super::super) fn scalar(&self) -> Result<Secret, Failed> {
        // SAFETY: the key is alive.
        let scalar = unsafe { sys::EC_KEY_get0_private_key(self.key.as_ptr()) };
        if scalar.is_null() {
            return Err(Failed);
        }
        // SAFETY: the integer belongs to the key, which outlives the call.
        unsafe { bn::padded_secret_of(scalar, self.curve.field_len()) }
    }

    /// The public point, uncompressed.
    pub(in super::super) fn point(&self) -> Result<Vec<u8>, Failed> {
        let mut out = vec![0; self.curve.point_len()];
        // SAFETY: the key is alive and has a point; the buffer is valid for its length.
        let n = unsafe {
            sys::EC_POINT_point2oct(
                self.group(),
                sys::EC_KEY_get0_public_key(self.key.as_ptr()),
                sys::point_conversion_form_t::POINT_CONVERSION_UNCOMPRESSED,
                out.as_mut_ptr(),
                out.len(),
                null_mut(),
            )
        };
        if n == out.len() { Ok(out) } else { Err(failed()) }
    }

    /// Signs a digest: r ‖ s to the front of `out`; returns the length.
    pub(in super::super) fn sign(&self, digest: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        let half = self.curve.field_len();
        let (r_out, rest) = out.split_at_mut_checked(half).ok_or(Failed)?;
        let s_out = rest.get_mut(..half).ok_or(Failed)?;
        // SAFETY: the slice is valid for its length, the key alive.
        let sig = apart_from_forks(|| unsafe {
            Owned::new(sys::ECDSA_do_sign(digest.as_ptr(), digest.len(), self.key.as_ptr()))
        })?;
        let (mut r, mut s) = (null(), null());
        // SAFETY: the signature is alive and keeps ownership of both integers.
        unsafe { sys::ECDSA_SIG_get0(sig.as_ptr(), &raw mut r, &raw mut s) };
        for (integer, out) in [(r, r_out), (s, s_out)] {
            // SAFETY: the integer lives as long as the signature; the buffer is valid for its length.
            check(unsafe { sys::BN_bn2bin_padded(out.as_mut_ptr(), out.len(), integer) })?;
        }
        Ok(2 * half)
    }

    /// Checks r ‖ s.
    pub(in super::super) fn verify(&self, digest: &[u8], signature: &[u8]) -> Result<(), Failed> {
        let (r, s) = signature.split_at_checked(self.curve.field_len()).ok_or(Failed)?;
        let (r, s) = (Bn::from_bytes(r)?, Bn::from_bytes(s)?);
        // SAFETY: a constructor.
        let sig = unsafe { Owned::new(sys::ECDSA_SIG_new()) }?;
        let (r, s) = (r.into_raw(), s.into_raw());
        // SAFETY: the signature takes both integers over; this fails only for null, which they are not.
        check(unsafe { sys::ECDSA_SIG_set0(sig.as_ptr(), r, s) })?;
        // SAFETY: the slice is valid for its length; signature and key are alive.
        check(unsafe { sys::ECDSA_do_verify(digest.as_ptr(), digest.len(), sig.as_ptr(), self.key.as_ptr()) })
    }

    /// The x coordinate shared with the owner of `peer`, a point that must be on the curve.
    pub(in super::super) fn agree(&self, peer: &[u8]) -> Result<Secret, Failed> {
        let peer = self.decode_point(peer)?;
        Secret::filled(self.curve.field_len(), |out| {
            // SAFETY: the buffer is valid for its length; point and key are alive; no KDF.
            let n = unsafe {
                sys::ECDH_compute_key(out.as_mut_ptr().cast(), out.len(), peer.as_ptr(), self.key.as_ptr(), None)
            };
            if usize::try_from(n) == Ok(out.len()) { Ok(()) } else { Err(failed()) }
        })
    }

    fn empty(curve: Curve) -> Result<Self, Failed> {
        let nid = match curve {
            Curve::P256 => sys::NID_X9_62_prime256v1,
            Curve::P384 => sys::NID_secp384r1,
            Curve::P521 => sys::NID_secp521r1,
            _ => return Err(Failed),
        };
        // SAFETY: a constructor.
        let key = unsafe { Owned::new(sys::EC_KEY_new_by_curve_name(nid)) }?;
        Ok(Self { key, curve })
    }

    fn group(&self) -> *const sys::EC_GROUP {
        // SAFETY: the key is alive; its group is a static table.
        unsafe { sys::EC_KEY_get0_group(self.key.as_ptr()) }
    }

    fn new_point(&self) -> Result<Owned<sys::EC_POINT>, Failed> {
        // SAFETY: a constructor; the group is static.
        unsafe { Owned::new(sys::EC_POINT_new(self.group())) }
    }

    fn decode_point(&self, encoded: &[u8]) -> Result<Owned<sys::EC_POINT>, Failed> {
        // aws-lc would also take the hybrid form of X9.62.
        let len = match encoded.first() {
            Some(4) => self.curve.point_len(),
            Some(2 | 3) => 1 + self.curve.field_len(),
            _ => return Err(Failed),
        };
        if encoded.len() != len {
            return Err(Failed);
        }
        let point = self.new_point()?;
        // SAFETY: the slice is valid for its length; the function refuses points off the curve.
        check(unsafe {
            sys::EC_POINT_oct2point(self.group(), point.as_ptr(), encoded.as_ptr(), encoded.len(), null_mut())
        })?;
        Ok(point)
    }

    fn with_point(self, point: &Owned<sys::EC_POINT>) -> Result<Self, Failed> {
        // SAFETY: both are alive; the function copies.
        check(unsafe { sys::EC_KEY_set_public_key(self.key.as_ptr(), point.as_ptr()) })?;
        // SAFETY: the key is alive.
        check(unsafe { sys::EC_KEY_check_key(self.key.as_ptr()) })?;
        Ok(self)
    }
}
