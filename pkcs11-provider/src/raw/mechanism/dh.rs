//! Parameters of Diffie-Hellman (PKCS#11 3.2, 6.4.5).

use libkmss::mechanism::{DhMechanism, Mechanism};

use super::{INVALID, Parameter};
use crate::raw::octet_string;
use crate::rv::Result;

/// Longest public value: that of the largest group, with a sign byte.
const MAX_PUBLIC: usize = 1025;

impl Parameter {
    /// The other side's public value.
    pub(super) fn dh(&self) -> Result<Mechanism> {
        if self.len > MAX_PUBLIC {
            return Err(INVALID);
        }
        let public = octet_string::stripped(&self.bytes()?).to_vec();
        if public.is_empty() {
            return Err(INVALID);
        }
        Ok(Mechanism::Dh(DhMechanism::Derive { public }))
    }
}
