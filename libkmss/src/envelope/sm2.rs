//! SM2 keys in envelopes (GM/T 0009, 7.4: SM2EnvelopedKey): the private key under a fresh SM4 key, and that one under somebody's SM2
//! key.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Decode as _, Reader as _, SliceReader};
use sm2::SecretKey;
use sm2::elliptic_curve::sec1::ToSec1Point as _;
use sm4::Sm4;
use sm4::cipher::{BlockCipherDecrypt as _, KeyInit as _};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::key::KeyComponents;
use crate::mechanism::Curve;
use crate::secret::Secret;

/// SM4, and SM4 in ECB mode (GM/T 0006).
const SM4: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("1.2.156.10197.1.104"), ObjectIdentifier::new_unwrap("1.2.156.10197.1.104.1")];
/// Length of a number of the curve in bytes.
const FIELD: usize = 32;
/// Length of a block, and of a key, of SM4 in bytes.
const BLOCK: usize = 16;

/// An envelope as it is read.
#[derive(Debug)]
pub struct Sm2Envelope {
    /// The SM4 key, encrypted: C1 ‖ C3 ‖ C2.
    pub wrapped: Vec<u8>,
    /// The public key that the private one is to have, as a point that is written out in full.
    point: Vec<u8>,
    /// The private key under the SM4 key.
    sealed: Vec<u8>,
}

impl Sm2Envelope {
    /// Reads one (DER).
    ///
    /// # Errors
    /// [`ErrorKind::WrappedKeyInvalid`] for what is none, or has another cipher than SM4 in ECB mode.
    pub fn parse(der: &[u8]) -> Result<Self> {
        let none = || Error::new(ErrorKind::WrappedKeyInvalid, "this is no SM2 enveloped key (GM/T 0009)");
        let mut reader = SliceReader::new(der).map_err(|_| none())?;
        let read = reader.sequence(|inner| {
            let cipher = inner.sequence(|algorithm| {
                let oid = ObjectIdentifier::decode(algorithm)?;
                let _: Option<AnyRef<'_>> = Option::decode(algorithm)?;
                Ok::<_, der::Error>(oid)
            })?;
            let wrapped = inner.sequence(|c| {
                let (x, y) = (UintRef::decode(c)?, UintRef::decode(c)?);
                let (hash, text): (&OctetStringRef, &OctetStringRef) = (c.decode()?, c.decode()?);
                Ok::<_, der::Error>((x, y, hash.as_bytes(), text.as_bytes()))
            })?;
            let (public, private) = (BitStringRef::decode(inner)?, BitStringRef::decode(inner)?);
            Ok::<_, der::Error>((cipher, wrapped, public, private))
        });
        let (cipher, (x, y, hash, text), public, private) = read.map_err(|_| none())?;
        if !reader.is_finished() || hash.len() != FIELD {
            return Err(none());
        }
        if !SM4.contains(&cipher) {
            let why = format!("the envelope's cipher (OID {cipher}) is not SM4 in ECB mode");
            return Err(Error::new(ErrorKind::WrappedKeyInvalid, why));
        }
        let mut wrapped = vec![4];
        for number in [x, y] {
            let digits = number.as_bytes();
            let room = FIELD.checked_sub(digits.len()).ok_or_else(none)?;
            wrapped.extend(std::iter::repeat_n(0, room));
            wrapped.extend_from_slice(digits);
        }
        wrapped.extend_from_slice(hash);
        wrapped.extend_from_slice(text);
        let point = public.as_bytes().ok_or_else(none)?.to_vec();
        let sealed = private.as_bytes().ok_or_else(none)?.to_vec();
        if point.len() != 1 + 2 * FIELD || (sealed.len() != FIELD && sealed.len() != 2 * FIELD) {
            return Err(none());
        }
        Ok(Self { wrapped, point, sealed })
    }

    /// The private key, with the SM4 key that was in [`Self::wrapped`]. It is that of the public key which the envelope names: nothing
    /// else authenticates what was opened, so that nothing else is ever given out.
    ///
    /// # Errors
    /// [`ErrorKind::WrappedKeyInvalid`] with one sentence, whatever does not fit.
    pub fn open(&self, key: &[u8]) -> Result<KeyComponents> {
        let cipher = Sm4::new_from_slice(key).map_err(|_| unfit())?;
        let mut plain = Zeroizing::new(self.sealed.clone());
        for block in plain.chunks_exact_mut(BLOCK) {
            cipher.decrypt_block(block.try_into().map_err(|_| unfit())?);
        }
        // Others fill the number up to the longest that their structures hold.
        let room = plain.len().checked_sub(FIELD).ok_or_else(unfit)?;
        let (filling, scalar) = plain.split_at_checked(room).ok_or_else(unfit)?;
        if filling.iter().any(|byte| *byte != 0) {
            return Err(unfit());
        }
        let public = SecretKey::from_slice(scalar).map_err(|_| unfit())?.public_key();
        if public.to_sec1_point(false).as_bytes() != self.point {
            return Err(unfit());
        }
        Ok(KeyComponents::EcPrivate { curve: Curve::Sm2, scalar: Secret::copy_of(scalar) })
    }
}

/// The error for an envelope that does not open.
fn unfit() -> Error {
    let why = "the envelope does not open: it was wrapped under another key, or changed";
    Error::new(ErrorKind::WrappedKeyInvalid, why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use sm4::cipher::BlockCipherEncrypt as _;

    use super::*;

    const KEY: [u8; BLOCK] = [3; BLOCK];

    fn point(scalar: &[u8]) -> Vec<u8> {
        SecretKey::from_slice(scalar).unwrap().public_key().to_sec1_point(false).as_bytes().to_vec()
    }

    fn envelope(plain: &[u8], point: Vec<u8>) -> Sm2Envelope {
        let mut sealed = plain.to_vec();
        let cipher = Sm4::new_from_slice(&KEY).unwrap();
        sealed.chunks_exact_mut(BLOCK).for_each(|block| cipher.encrypt_block(block.try_into().unwrap()));
        Sm2Envelope { wrapped: Vec::new(), point, sealed }
    }

    #[test]
    fn no_key_comes_out_but_that_of_the_public_key_in_the_envelope() {
        let scalar = [7; FIELD];
        let filled = [[0; FIELD], scalar].concat();
        for plain in [&scalar[..], &filled] {
            let opened = envelope(plain, point(&scalar)).open(&KEY).unwrap();
            assert!(
                matches!(opened, KeyComponents::EcPrivate { curve: Curve::Sm2, scalar: out } if out.expose() == scalar)
            );
        }
        let unfit = [
            envelope(&scalar, point(&[8; FIELD])),
            envelope(&[0; FIELD], point(&scalar)),
            envelope(&[0xFF; FIELD], point(&scalar)),
        ];
        for bad in unfit {
            assert_eq!(bad.open(&KEY).unwrap_err().kind(), ErrorKind::WrappedKeyInvalid);
        }
        assert_eq!(
            envelope(&scalar, point(&scalar)).open(&[4; BLOCK]).unwrap_err().kind(),
            ErrorKind::WrappedKeyInvalid
        );
    }
}
