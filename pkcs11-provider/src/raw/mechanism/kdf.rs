//! Parameters of key derivation (PKCS#11 3.2, 6.37, 6.42, 6.43 and 6.62).

use cryptoki_sys as c;
use cryptoki_sys::{
    CK_FALSE, CK_HKDF_PARAMS, CK_KEY_DERIVATION_STRING_DATA, CK_MECHANISM_TYPE, CK_OBJECT_HANDLE,
    CK_PKCS5_PBKD2_PARAMS2, CK_PRF_DATA_PARAM, CK_SP800_108_COUNTER_FORMAT, CK_SP800_108_DKM_LENGTH_FORMAT,
    CK_SP800_108_FEEDBACK_KDF_PARAMS, CK_SP800_108_KDF_PARAMS, CK_ULONG, CKF_HKDF_SALT_DATA, CKF_HKDF_SALT_KEY,
    CKF_HKDF_SALT_NULL,
};
use libkmss::mechanism::{
    BlockCipher, Hash, Hkdf, HkdfSalt, Kbkdf, KbkdfInput, KbkdfMode, KdfMechanism, MacMechanism, Mechanism,
    NumberFormat, Pbkdf2,
};
use libkmss::secret::Secret;

use super::{INVALID, MAX_BUFFER, Parameter, Plain, bounded};
use crate::mechanisms::{Into, Length, Rounds, Shape, Splice};
use crate::rv::Result;

/// Most pieces of which the input of SP 800-108 is made.
const MAX_PIECES: usize = 64;
/// Longest password of PBKDF2, and longest data of the simple mechanisms.
const MAX_SECRET: usize = 1 << 16;
/// From here on, a password's length can be a pointer to one: see [`Parameter::pbkdf2`].
const LOWEST_POINTER: CK_ULONG = 1 << 20;

impl Parameter {
    /// CK_HKDF_PARAMS (PKCS#11 3.2, 6.62.2).
    pub(super) fn hkdf(&self, into: Into) -> Result<Mechanism> {
        let p: CK_HKDF_PARAMS = self.structure()?;
        let (extract, expand) = (p.bExtract != CK_FALSE, p.bExpand != CK_FALSE);
        let hash = self.hash(p.prfHashMechanism)?;
        if !extract && !expand {
            return Err(INVALID);
        }
        let salt = match p.ulSaltType {
            CKF_HKDF_SALT_NULL => HkdfSalt::Zeros,
            CKF_HKDF_SALT_DATA => HkdfSalt::Bytes(self.buffer(p.pSalt, bounded(p.ulSaltLen, MAX_BUFFER)?)?),
            CKF_HKDF_SALT_KEY => HkdfSalt::Key,
            // An expansion alone looks at no salt, and callers leave the type at 0 then.
            0 if !extract => HkdfSalt::Zeros,
            _ => return Err(INVALID),
        };
        let info = self.buffer(p.pInfo, bounded(p.ulInfoLen, MAX_BUFFER)?)?;
        let hkdf = Hkdf { hash, extract, expand, salt, info };
        Ok(Mechanism::Kdf(match into {
            Into::Key => KdfMechanism::Hkdf(hkdf),
            Into::Data => KdfMechanism::HkdfData(hkdf),
        }))
    }

    /// The key that is the salt of HKDF.
    pub(super) fn hkdf_salt(&self) -> Result<Vec<CK_OBJECT_HANDLE>> {
        let p: CK_HKDF_PARAMS = self.structure()?;
        Ok(if p.ulSaltType == CKF_HKDF_SALT_KEY { vec![p.hSaltKey] } else { Vec::new() })
    }

    /// CK_SP800_108_KDF_PARAMS, or CK_SP800_108_FEEDBACK_KDF_PARAMS (PKCS#11 3.2, 6.42.2).
    pub(super) fn kbkdf(&self, rounds: Rounds) -> Result<Mechanism> {
        let (prf, pieces) = self.kbkdf_pieces(rounds)?;
        let mode = match rounds {
            Rounds::Counter => KbkdfMode::Counter,
            Rounds::Feedback => {
                let p: CK_SP800_108_FEEDBACK_KDF_PARAMS = self.structure()?;
                KbkdfMode::Feedback { iv: self.buffer(p.pIV, bounded(p.ulIVLen, MAX_BUFFER)?)? }
            }
            Rounds::DoublePipeline => KbkdfMode::DoublePipeline,
        };
        let mut keys = 0..;
        let mut input = Vec::with_capacity(pieces.len());
        for piece in &pieces {
            input.push(match piece.type_ {
                c::CK_SP800_108_ITERATION_VARIABLE if rounds == Rounds::Counter => {
                    KbkdfInput::Counter(self.counter(piece)?)
                }
                // The standard's own samples give a counter's format here, which means nothing.
                c::CK_SP800_108_ITERATION_VARIABLE => KbkdfInput::Previous,
                c::CK_SP800_108_COUNTER if rounds != Rounds::Counter => KbkdfInput::Counter(self.counter(piece)?),
                c::CK_SP800_108_DKM_LENGTH => self.derived_length(piece)?,
                c::CK_SP800_108_BYTE_ARRAY => {
                    KbkdfInput::Bytes(self.buffer(piece.pValue.cast(), bounded(piece.ulValueLen, MAX_BUFFER)?)?)
                }
                c::CK_SP800_108_KEY_HANDLE => KbkdfInput::Key(keys.next().ok_or(INVALID)?),
                _ => return Err(INVALID),
            });
        }
        let count = |f: fn(&KbkdfInput) -> bool| input.iter().filter(|piece| f(piece)).count();
        let counters = count(|piece| matches!(piece, KbkdfInput::Counter(_)));
        let previous = count(|piece| matches!(piece, KbkdfInput::Previous));
        let lengths = count(|piece| matches!(piece, KbkdfInput::Length { .. }));
        let complete = if rounds == Rounds::Counter { counters == 1 } else { previous == 1 && counters <= 1 };
        if !complete || lengths > 1 {
            return Err(INVALID);
        }
        Ok(Mechanism::Kdf(KdfMechanism::Kbkdf(Kbkdf { mode, prf, input })))
    }

    /// The keys that are part of the input of SP 800-108, in their order.
    pub(super) fn kbkdf_keys(&self, rounds: Rounds) -> Result<Vec<CK_OBJECT_HANDLE>> {
        let (_, pieces) = self.kbkdf_pieces(rounds)?;
        let keys = pieces.iter().filter(|piece| piece.type_ == c::CK_SP800_108_KEY_HANDLE);
        keys.map(|piece| self.pointed(piece)).collect()
    }

    fn kbkdf_pieces(&self, rounds: Rounds) -> Result<(MacMechanism, Vec<CK_PRF_DATA_PARAM>)> {
        let (prf, at, count) = if rounds == Rounds::Feedback {
            let p: CK_SP800_108_FEEDBACK_KDF_PARAMS = self.structure()?;
            (p.prfType, p.pDataParams, p.ulNumberOfDataParams)
        } else {
            let p: CK_SP800_108_KDF_PARAMS = self.structure()?;
            (p.prfType, p.pDataParams, p.ulNumberOfDataParams)
        };
        Ok((self.pseudorandom(prf)?, self.array(at.cast_const(), count, MAX_PIECES)?))
    }

    /// The MAC that is a pseudorandom function of SP 800-108.
    fn pseudorandom(&self, number: CK_MECHANISM_TYPE) -> Result<MacMechanism> {
        match self.profile.row(number).map(|row| row.shape) {
            Some(Shape::Hmac(hash, Length::Full)) => Ok(MacMechanism::Hmac { hash, len: hash.len() }),
            Some(Shape::Cmac(Length::Full)) => {
                Ok(MacMechanism::Cmac { cipher: BlockCipher::Aes, len: BlockCipher::BLOCK })
            }
            _ => Err(INVALID),
        }
    }

    fn counter(&self, piece: &CK_PRF_DATA_PARAM) -> Result<NumberFormat> {
        let p: CK_SP800_108_COUNTER_FORMAT = self.pointed(piece)?;
        number_format(p.bLittleEndian != CK_FALSE, p.ulWidthInBits)
    }

    fn derived_length(&self, piece: &CK_PRF_DATA_PARAM) -> Result<KbkdfInput> {
        let p: CK_SP800_108_DKM_LENGTH_FORMAT = self.pointed(piece)?;
        let of_rounds = match p.dkmLengthMethod {
            c::CK_SP800_108_DKM_LENGTH_SUM_OF_KEYS => false,
            c::CK_SP800_108_DKM_LENGTH_SUM_OF_SEGMENTS => true,
            _ => return Err(INVALID),
        };
        Ok(KbkdfInput::Length { of_rounds, format: number_format(p.bLittleEndian != CK_FALSE, p.ulWidthInBits)? })
    }

    /// What a piece points to.
    fn pointed<T: Plain>(&self, piece: &CK_PRF_DATA_PARAM) -> Result<T> {
        if usize::try_from(piece.ulValueLen) != Ok(size_of::<T>()) {
            return Err(INVALID);
        }
        self.array(piece.pValue.cast_const().cast(), 1, 1)?.pop().ok_or(INVALID)
    }

    /// CK_PKCS5_PBKD2_PARAMS2, or CK_PKCS5_PBKD2_PARAMS (PKCS#11 3.2, 6.37.4). They have one size and differ in the
    /// password's length, which the older one points to. No password is as long as the lowest address of a program.
    pub(super) fn pbkdf2(&self) -> Result<Mechanism> {
        let p: CK_PKCS5_PBKD2_PARAMS2 = self.structure()?;
        let len = if p.ulPasswordLen < LOWEST_POINTER {
            p.ulPasswordLen
        } else {
            let at = usize::try_from(p.ulPasswordLen).map_err(|_| INVALID)?;
            if at % align_of::<CK_ULONG>() != 0 {
                return Err(INVALID);
            }
            self.array(std::ptr::with_exposed_provenance::<CK_ULONG>(at), 1, 1)?.pop().ok_or(INVALID)?
        };
        let hash = match p.prf {
            c::CKP_PKCS5_PBKD2_HMAC_SHA1 => Hash::Sha1,
            c::CKP_PKCS5_PBKD2_HMAC_SHA224 => Hash::Sha224,
            c::CKP_PKCS5_PBKD2_HMAC_SHA256 => Hash::Sha256,
            c::CKP_PKCS5_PBKD2_HMAC_SHA384 => Hash::Sha384,
            c::CKP_PKCS5_PBKD2_HMAC_SHA512 => Hash::Sha512,
            c::CKP_PKCS5_PBKD2_HMAC_SHA512_224 => Hash::Sha512_224,
            c::CKP_PKCS5_PBKD2_HMAC_SHA512_256 => Hash::Sha512_256,
            _ => return Err(INVALID),
        };
        if p.saltSource != c::CKZ_SALT_SPECIFIED || p.ulPrfDataLen != 0 {
            return Err(INVALID);
        }
        let iterations = u32::try_from(p.iterations).ok().filter(|n| *n > 0).ok_or(INVALID)?;
        let password = Secret::new(self.buffer(p.pPassword.cast(), bounded(len, MAX_SECRET)?)?);
        let salt = self.buffer(p.pSaltSourceData.cast(), bounded(p.ulSaltSourceDataLen, MAX_BUFFER)?)?;
        Ok(Mechanism::Kdf(KdfMechanism::Pbkdf2(Pbkdf2 { hash, password, salt, iterations })))
    }

    /// A key's handle, CK_KEY_DERIVATION_STRING_DATA, or CK_EXTRACT_PARAMS (PKCS#11 3.2, 6.43.2).
    pub(super) fn splice(&self, splice: Splice) -> Result<Mechanism> {
        Ok(Mechanism::Kdf(match splice {
            Splice::Key => {
                self.handle()?;
                KdfMechanism::ConcatenateKey
            }
            Splice::Append => KdfMechanism::AppendData(self.data()?),
            Splice::Prepend => KdfMechanism::PrependData(self.data()?),
            Splice::Xor => KdfMechanism::Xor(self.data()?),
            Splice::Extract => KdfMechanism::Extract { first_bit: super::u64_of(self.structure()?) },
        }))
    }

    /// A parameter that is an object's handle.
    pub(super) fn handle(&self) -> Result<CK_OBJECT_HANDLE> {
        self.structure()
    }

    fn data(&self) -> Result<Secret> {
        let p: CK_KEY_DERIVATION_STRING_DATA = self.structure()?;
        Ok(Secret::new(self.buffer(p.pData, bounded(p.ulLen, MAX_SECRET)?)?))
    }
}

fn number_format(little_endian: bool, bits: CK_ULONG) -> Result<NumberFormat> {
    let bits = bounded(bits, 64)?;
    if bits == 0 || bits % 8 != 0 { Err(INVALID) } else { Ok(NumberFormat { little_endian, len: bits / 8 }) }
}

impl Plain for CK_HKDF_PARAMS {}
impl Plain for CK_PKCS5_PBKD2_PARAMS2 {}
impl Plain for CK_PRF_DATA_PARAM {}
impl Plain for CK_SP800_108_COUNTER_FORMAT {}
impl Plain for CK_SP800_108_DKM_LENGTH_FORMAT {}
impl Plain for CK_SP800_108_KDF_PARAMS {}
impl Plain for CK_SP800_108_FEEDBACK_KDF_PARAMS {}
