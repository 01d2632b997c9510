//! Diffie-Hellman in named groups (SP 800-56A, 5.6 and 5.7).

use std::ptr::{null, null_mut};

use aws_lc_sys as sys;

use super::bn::{self, Bn};
use super::owned::Owned;
use super::{Failed, check, failed};
use crate::mechanism::DhGroup;
use crate::os::apart_from_forks;
use crate::secret::Secret;

/// A public value in a group, perhaps with its private value.
pub(in super::super) struct DhKey {
    dh: Owned<sys::DH>,
    group: DhGroup,
}

// SAFETY: after the constructors nothing changes the key but the Montgomery context of the prime, which aws-lc makes once,
// under a lock of the key's own.
unsafe impl Sync for DhKey {}

impl DhKey {
    /// Makes a key pair whose private value has up to `private_bits` bits.
    pub(in super::super) fn generate(group: DhGroup, private_bits: u32) -> Result<Self, Failed> {
        // aws-lc makes short private values only where it is not told the order.
        let maker = parameters(group, false)?;
        // SAFETY: the object is alive.
        check(unsafe { sys::DH_set_length(maker.as_ptr(), private_bits) })?;
        // SAFETY: the object is alive and has prime and base.
        check(apart_from_forks(|| unsafe { sys::DH_generate_key(maker.as_ptr()) }))?;
        let made = Self { dh: maker, group };
        let private = made.private()?;
        Self::from_private(group, private.expose())
    }

    /// From a private value between 1 and the order; the public value is computed.
    pub(in super::super) fn from_private(group: DhGroup, private: &[u8]) -> Result<Self, Failed> {
        if private.len() > group.prime().len() {
            return Err(Failed);
        }
        let private = Bn::from_bytes(private)?;
        if private.is_zero() || private.compare(&order(group)?).is_ge() {
            return Err(Failed);
        }
        let dh = parameters(group, true)?;
        let raw = private.into_raw();
        // SAFETY: the object is alive and takes the integer over.
        check(unsafe { sys::DH_set0_key(dh.as_ptr(), null_mut(), raw) })?;
        // SAFETY: the object is alive; where there is a private value the function computes the public one.
        check(unsafe { sys::DH_generate_key(dh.as_ptr()) })?;
        Ok(Self { dh, group })
    }

    /// From a public value of the group's prime order.
    pub(in super::super) fn from_public(group: DhGroup, public: &[u8]) -> Result<Self, Failed> {
        let dh = parameters(group, true)?;
        let public = value(group, public)?;
        let mut faults = 0;
        // SAFETY: both are alive. The group has its order, so that the function raises the value to it.
        check(unsafe { sys::DH_check_pub_key(dh.as_ptr(), public.as_ptr(), &raw mut faults) })?;
        if faults != 0 {
            return Err(Failed);
        }
        let raw = public.into_raw();
        // SAFETY: the object is alive and takes the integer over.
        check(unsafe { sys::DH_set0_key(dh.as_ptr(), raw, null_mut()) })?;
        Ok(Self { dh, group })
    }

    pub(in super::super) const fn group(&self) -> DhGroup {
        self.group
    }

    /// Whether there is a private value.
    pub(in super::super) fn is_private(&self) -> bool {
        !self.values().1.is_null()
    }

    /// The public value, big-endian without leading zeros.
    pub(in super::super) fn public(&self) -> Result<Vec<u8>, Failed> {
        // SAFETY: the integer belongs to the key, which outlives the call.
        Ok(unsafe { bn::secret_of(self.values().0) }?.expose().to_vec())
    }

    /// The private value, big-endian without leading zeros.
    pub(in super::super) fn private(&self) -> Result<Secret, Failed> {
        let private = self.values().1;
        if private.is_null() {
            return Err(Failed);
        }
        // SAFETY: the integer belongs to the key, which outlives the call.
        unsafe { bn::secret_of(private) }
    }

    /// The secret shared with the owner of `peer`, as long as the prime. Values that are not of the group's prime order
    /// are refused, and so is a secret that everybody knows.
    pub(in super::super) fn agree(&self, peer: &[u8]) -> Result<Secret, Failed> {
        let peer = value(self.group, peer)?;
        let len = self.group.prime().len();
        Secret::filled(len, |out| {
            // SAFETY: the buffer has the length of the prime, which the function writes; both are alive.
            let n = unsafe { sys::DH_compute_key_padded(out.as_mut_ptr(), peer.as_ptr(), self.dh.as_ptr()) };
            if usize::try_from(n) == Ok(len) { Ok(()) } else { Err(failed()) }
        })
    }

    /// Public and private value; null where there is none.
    fn values(&self) -> (*const sys::BIGNUM, *const sys::BIGNUM) {
        let (mut public, mut private) = (null(), null());
        // SAFETY: the key is alive and keeps both integers.
        unsafe { sys::DH_get0_key(self.dh.as_ptr(), &raw mut public, &raw mut private) };
        (public, private)
    }
}

/// A value that is no longer than the prime, so that nothing huge is computed with.
fn value(group: DhGroup, bytes: &[u8]) -> Result<Bn, Failed> {
    if bytes.len() > group.prime().len() { Err(Failed) } else { Bn::from_bytes(bytes) }
}

/// q = (p − 1) / 2
fn order(group: DhGroup) -> Result<Bn, Failed> {
    Bn::from_bytes(group.prime())?.shifted_right(1)
}

fn parameters(group: DhGroup, with_order: bool) -> Result<Owned<sys::DH>, Failed> {
    // SAFETY: a constructor.
    let dh = unsafe { Owned::new(sys::DH_new()) }?;
    let (p, g) = (Bn::from_bytes(group.prime())?, Bn::from_bytes(&[DhGroup::BASE])?);
    let q = if with_order { order(group)?.into_raw() } else { null_mut() };
    // SAFETY: the object is alive and takes all integers over; it fails only without prime and base.
    check(unsafe { sys::DH_set0_pqg(dh.as_ptr(), p.into_raw(), q, g.into_raw()) })?;
    Ok(dh)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn aws_lc_knows_every_group_as_safe() {
        for group in DhGroup::ALL {
            let dh = parameters(group, true).unwrap();
            let mut faults = 0;
            // SAFETY: the object is alive.
            assert_eq!(unsafe { sys::DH_check(dh.as_ptr(), &raw mut faults) }, 1);
            assert_eq!(faults, 0, "{}", group.name());
        }
        // Here it computes, because the prime is none that it knows.
        let dh = parameters(DhGroup::Ffdhe2048, true).unwrap();
        let mut other = DhGroup::Ffdhe2048.prime().to_vec();
        *other.last_mut().unwrap() ^= 4;
        let p = Bn::from_bytes(&other).unwrap().into_raw();
        let mut faults = 0;
        // SAFETY: the object is alive and takes the integer over.
        unsafe {
            assert_eq!(sys::DH_set0_pqg(dh.as_ptr(), p, null_mut(), null_mut()), 1);
            assert_eq!(sys::DH_check(dh.as_ptr(), &raw mut faults), 1);
        }
        assert_ne!(faults, 0);
    }
}
