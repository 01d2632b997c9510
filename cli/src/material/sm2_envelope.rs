//! SM2 keys in envelopes (GM/T 0009, 7.4: SM2EnvelopedKey): the private key under a fresh SM4 key, and that one under somebody's SM2
//! key.

use libkmss::key::{KeyComponents, PublicComponents};
use libkmss::mechanism::Curve;
use libkmss::secret::Secret;
use sm4::Sm4;
use sm4::cipher::{BlockCipherDecrypt as _, KeyInit as _};
use x509_cert::der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef, UintRef};
use x509_cert::der::{Decode as _, Reader as _, SliceReader};
use zeroize::Zeroizing;

use crate::output::Failure;

/// SM4, and SM4 in ECB mode (GM/T 0006).
const SM4: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("1.2.156.10197.1.104"), ObjectIdentifier::new_unwrap("1.2.156.10197.1.104.1")];
/// Length of a number of the curve in bytes.
const FIELD: usize = 32;
/// Length of a block, and of a key, of SM4 in bytes.
const BLOCK: usize = 16;

/// An envelope as it is read.
pub(crate) struct Envelope {
    /// The SM4 key, encrypted: C1 ‖ C3 ‖ C2.
    pub(crate) wrapped: Vec<u8>,
    /// The public key that the private one is to have, as a point that is written out in full.
    point: Vec<u8>,
    /// The private key under the SM4 key.
    sealed: Vec<u8>,
}

impl Envelope {
    /// Reads one (DER).
    ///
    /// # Errors
    /// It is none, or another cipher than SM4 in ECB mode.
    pub(crate) fn parse(der: &[u8]) -> Result<Self, Failure> {
        let none = || Failure::from("the file is no SM2 enveloped key (GM/T 0009)");
        let mut reader = SliceReader::new(der).map_err(|_| none())?;
        let read = reader.sequence(|inner| {
            let cipher = inner.sequence(|algorithm| {
                let oid = ObjectIdentifier::decode(algorithm)?;
                let _: Option<AnyRef<'_>> = Option::decode(algorithm)?;
                Ok::<_, x509_cert::der::Error>(oid)
            })?;
            let wrapped = inner.sequence(|c| {
                let (x, y) = (UintRef::decode(c)?, UintRef::decode(c)?);
                let (hash, text): (&OctetStringRef, &OctetStringRef) = (c.decode()?, c.decode()?);
                Ok::<_, x509_cert::der::Error>((x, y, hash.as_bytes(), text.as_bytes()))
            })?;
            let (public, private) = (BitStringRef::decode(inner)?, BitStringRef::decode(inner)?);
            Ok::<_, x509_cert::der::Error>((cipher, wrapped, public, private))
        });
        let (cipher, (x, y, hash, text), public, private) = read.map_err(|_| none())?;
        if !reader.is_finished() || hash.len() != FIELD {
            return Err(none());
        }
        if !SM4.contains(&cipher) {
            return Err(format!("the envelope's cipher (OID {cipher}) is not SM4 in ECB mode").into());
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

    /// The private key, with the SM4 key that was in [`Self::wrapped`].
    ///
    /// # Errors
    /// One sentence, whatever does not fit.
    pub(crate) fn open(&self, key: &[u8]) -> Result<KeyComponents, Failure> {
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
        Ok(KeyComponents::EcPrivate { curve: Curve::Sm2, scalar: Secret::copy_of(scalar) })
    }

    /// Whether `public` is the public key that the envelope names.
    pub(crate) fn is_of(&self, public: &PublicComponents) -> bool {
        matches!(public, PublicComponents::Ec { curve: Curve::Sm2, point } if *point == self.point)
    }
}

/// The error for an envelope that does not open.
pub(crate) fn unfit() -> Failure {
    "the envelope does not open: it was wrapped under another key, or changed".into()
}
