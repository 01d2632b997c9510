//! Big integers, as far as taking incomplete RSA keys in needs them.

use aws_lc_sys as sys;
use std::cmp::Ordering;

use super::owned::Owned;
use super::{Failed, check};
use crate::os::apart_from_forks;
use crate::secret::Secret;

/// A big integer, wiped when dropped.
pub(super) struct Bn(Owned<sys::BIGNUM>);

impl Bn {
    /// Zero.
    pub(super) fn new() -> Result<Self, Failed> {
        // SAFETY: a constructor.
        unsafe { Owned::new(sys::BN_new()) }.map(Self)
    }

    /// From big-endian bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Failed> {
        // SAFETY: a null result pointer asks for a new integer.
        unsafe { Owned::new(sys::BN_bin2bn(bytes.as_ptr(), bytes.len(), std::ptr::null_mut())) }.map(Self)
    }

    pub(super) const fn as_ptr(&self) -> *mut sys::BIGNUM {
        self.0.as_ptr()
    }

    pub(super) fn into_raw(self) -> *mut sys::BIGNUM {
        self.0.into_raw()
    }

    /// Big-endian without leading zeros.
    pub(super) fn to_secret(&self) -> Result<Secret, Failed> {
        // SAFETY: the integer is alive.
        unsafe { secret_of(self.as_ptr()) }
    }

    pub(super) fn is_odd(&self) -> bool {
        // SAFETY: the integer is alive.
        unsafe { sys::BN_is_odd(self.as_ptr()) == 1 }
    }

    pub(super) fn is_one(&self) -> bool {
        // SAFETY: the integer is alive.
        unsafe { sys::BN_is_one(self.as_ptr()) == 1 }
    }

    pub(super) fn is_zero(&self) -> bool {
        // SAFETY: the integer is alive.
        unsafe { sys::BN_is_zero(self.as_ptr()) == 1 }
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        // SAFETY: both integers are alive.
        unsafe { sys::BN_cmp(self.as_ptr(), other.as_ptr()) }.cmp(&0)
    }

    /// self − 1
    pub(super) fn minus_one(&self) -> Result<Self, Failed> {
        let one = Self::from_bytes(&[1])?;
        let r = Self::new()?;
        // SAFETY: all integers are alive.
        check(unsafe { sys::BN_sub(r.as_ptr(), self.as_ptr(), one.as_ptr()) })?;
        Ok(r)
    }

    /// self >> bits
    pub(super) fn shifted_right(&self, bits: i32) -> Result<Self, Failed> {
        let r = Self::new()?;
        // SAFETY: both integers are alive.
        check(unsafe { sys::BN_rshift(r.as_ptr(), self.as_ptr(), bits) })?;
        Ok(r)
    }

    /// Number of zero bits below the lowest one.
    pub(super) fn low_zero_bits(&self) -> i32 {
        // SAFETY: the integer is alive.
        unsafe { sys::BN_count_low_zero_bits(self.as_ptr()) }
    }

    /// A random integer below self.
    pub(super) fn random_below(&self) -> Result<Self, Failed> {
        let r = Self::new()?;
        // SAFETY: both integers are alive.
        check(apart_from_forks(|| unsafe { sys::BN_rand_range(r.as_ptr(), self.as_ptr()) }))?;
        Ok(r)
    }
}

/// Scratch memory for the operations that want it.
pub(super) struct Arithmetic(Owned<sys::BN_CTX>);

/// An operation of two operands and scratch memory.
type Binary = unsafe extern "C" fn(
    *mut sys::BIGNUM,
    *const sys::BIGNUM,
    *const sys::BIGNUM,
    *mut sys::BN_CTX,
) -> std::os::raw::c_int;

impl Arithmetic {
    pub(super) fn new() -> Result<Self, Failed> {
        // SAFETY: a constructor.
        unsafe { Owned::new(sys::BN_CTX_new()) }.map(Self)
    }

    fn binary(&self, f: Binary, a: &Bn, b: &Bn) -> Result<Bn, Failed> {
        let r = Bn::new()?;
        // SAFETY: all are alive, and `f` is one of aws-lc's functions of this shape.
        check(unsafe { f(r.as_ptr(), a.as_ptr(), b.as_ptr(), self.0.as_ptr()) })?;
        Ok(r)
    }

    /// a · b
    pub(super) fn mul(&self, a: &Bn, b: &Bn) -> Result<Bn, Failed> {
        self.binary(sys::BN_mul, a, b)
    }

    /// a mod m
    pub(super) fn modulo(&self, a: &Bn, m: &Bn) -> Result<Bn, Failed> {
        self.binary(sys::BN_nnmod, a, m)
    }

    /// Greatest common divisor.
    pub(super) fn gcd(&self, a: &Bn, b: &Bn) -> Result<Bn, Failed> {
        self.binary(sys::BN_gcd, a, b)
    }

    /// ⌊a / b⌋
    pub(super) fn div(&self, a: &Bn, b: &Bn) -> Result<Bn, Failed> {
        let r = Bn::new()?;
        // SAFETY: all are alive; a null remainder is not wanted.
        check(unsafe { sys::BN_div(r.as_ptr(), std::ptr::null_mut(), a.as_ptr(), b.as_ptr(), self.0.as_ptr()) })?;
        Ok(r)
    }

    /// a⁻¹ mod m
    pub(super) fn inverse(&self, a: &Bn, m: &Bn) -> Result<Bn, Failed> {
        let r = Bn::new()?;
        // SAFETY: all are alive; the function returns its first argument or null.
        let done = unsafe { sys::BN_mod_inverse(r.as_ptr(), a.as_ptr(), m.as_ptr(), self.0.as_ptr()) };
        if done.is_null() { Err(super::failed()) } else { Ok(r) }
    }

    /// a · b mod m
    pub(super) fn mod_mul(&self, a: &Bn, b: &Bn, m: &Bn) -> Result<Bn, Failed> {
        let r = Bn::new()?;
        // SAFETY: all are alive.
        check(unsafe { sys::BN_mod_mul(r.as_ptr(), a.as_ptr(), b.as_ptr(), m.as_ptr(), self.0.as_ptr()) })?;
        Ok(r)
    }

    /// aᵉ mod m in constant time; m is odd and a below it.
    pub(super) fn mod_exp(&self, a: &Bn, e: &Bn, m: &Bn) -> Result<Bn, Failed> {
        let r = Bn::new()?;
        // SAFETY: all are alive; a null Montgomery context is made on the spot.
        check(unsafe {
            sys::BN_mod_exp_mont_consttime(
                r.as_ptr(),
                a.as_ptr(),
                e.as_ptr(),
                m.as_ptr(),
                self.0.as_ptr(),
                std::ptr::null(),
            )
        })?;
        Ok(r)
    }
}

/// Big-endian bytes without leading zeros.
///
/// # Safety
/// `bn` points to a live integer, or is null (then there are no bytes).
pub(super) unsafe fn secret_of(bn: *const sys::BIGNUM) -> Result<Secret, Failed> {
    if bn.is_null() {
        return Ok(Secret::copy_of(&[]));
    }
    // SAFETY: by the contract.
    let len = unsafe { sys::BN_num_bytes(bn) } as usize;
    // SAFETY: by the contract.
    unsafe { padded_secret_of(bn, len) }
}

/// Big-endian bytes, `len` of them.
///
/// # Safety
/// `bn` points to a live integer.
pub(super) unsafe fn padded_secret_of(bn: *const sys::BIGNUM, len: usize) -> Result<Secret, Failed> {
    // SAFETY: by the contract, and the buffer has the length that is given.
    Secret::filled(len, |out| check(unsafe { sys::BN_bn2bin_padded(out.as_mut_ptr(), out.len(), bn) }))
}
