//! The end of a verification, and signatures as clients shorten them.

use std::borrow::Cow;

use libkmss::backend::Verifying;
use libkmss::key::{Object, PublicComponents};
use libkmss::mechanism::{EcMechanism, Mechanism};

use crate::module::active::Ongoing;
use crate::rv::Result;

/// Checks the signature over `data`, behind what was added before.
pub(crate) fn finish(operation: &mut Ongoing<Box<dyn Verifying>>, data: &[u8], signature: &[u8]) -> Result<()> {
    let signature = operation.two_halves.map_or(Cow::Borrowed(signature), |len| widened(signature, len));
    operation.unfinished.finish(data, |verifying| {
        if !data.is_empty() {
            verifying.update(data)?;
        }
        verifying.finish(&signature)
    })?;
    Ok(())
}

/// Length of this key's ECDSA signatures; `None` for other mechanisms.
pub(crate) fn ecdsa_len(mechanism: &Mechanism, key: &Object) -> Option<usize> {
    match (mechanism, &key.key()?.primary().ok()?.public) {
        (Mechanism::Ec(EcMechanism::Ecdsa { .. }), PublicComponents::Ec { curve, .. }) => Some(2 * curve.field_len()),
        _ => None,
    }
}

/// An ECDSA signature of `len` bytes. One that is passed for verification may be shorter, of two equal halves without all
/// of their leading zeros (PKCS#11 3.2, 6.3.1); Java's is, whenever both halves begin with one.
fn widened(signature: &[u8], len: usize) -> Cow<'_, [u8]> {
    let (r, s) = signature.split_at(signature.len() / 2);
    if signature.is_empty() || r.len() != s.len() || signature.len() >= len {
        // Right as it is, or for the hall to refuse.
        return Cow::Borrowed(signature);
    }
    let zeros = vec![0; len / 2 - r.len()];
    Cow::Owned([&zeros, r, &zeros, s].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_halves_get_their_leading_zeros_back() {
        assert_eq!(*widened(&[1, 2, 3, 4], 4), [1, 2, 3, 4]);
        assert_eq!(*widened(&[1, 2], 4), [0, 1, 0, 2]);
        assert_eq!(*widened(&[1, 2, 3, 4], 8), [0, 0, 1, 2, 0, 0, 3, 4]);
    }

    #[test]
    fn what_is_no_two_halves_stays_as_it_is() {
        for odd in [&[][..], &[1], &[1, 2, 3], &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5, 6]] {
            assert_eq!(&*widened(odd, 4), odd);
        }
    }
}
