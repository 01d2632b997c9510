//! Mechanisms that own their parameters.

use std::ffi::c_void;
use std::mem::size_of_val;
use std::ptr;

use cryptoki_sys::*;

/// A mechanism and everything its parameter points at.
#[derive(Debug, Clone)]
pub struct Mech {
    /// CKM_…
    pub kind: CK_MECHANISM_TYPE,
    parameter: Parameter,
}

#[derive(Debug, Clone)]
enum Parameter {
    None,
    Bytes(Vec<u8>),
    Ulong(CK_ULONG),
    Pss(CK_RSA_PKCS_PSS_PARAMS),
    Oaep { hash: CK_MECHANISM_TYPE, mgf: CK_RSA_PKCS_MGF_TYPE, label: Vec<u8> },
    Gcm { iv: Vec<u8>, aad: Vec<u8>, tag_bits: CK_ULONG },
    Ctr(CK_AES_CTR_PARAMS),
    Ccm { nonce: Vec<u8>, aad: Vec<u8>, tag: CK_ULONG, length: CK_ULONG },
    ChaCha { nonce: Vec<u8>, aad: Vec<u8> },
    Data { iv: Option<[u8; 16]>, data: Vec<u8> },
    Ecdh { kdf: CK_EC_KDF_TYPE, info: Vec<u8>, point: Vec<u8> },
    EdDsa { prehash: bool, context: Vec<u8> },
    RsaAes { bits: CK_ULONG, hash: CK_MECHANISM_TYPE, mgf: CK_RSA_PKCS_MGF_TYPE },
    EcdhAes { bits: CK_ULONG, kdf: CK_EC_KDF_TYPE, info: Vec<u8> },
    Hkdf { hash: CK_MECHANISM_TYPE, salt: Vec<u8>, info: Vec<u8> },
    Context { hedge: CK_HEDGE_TYPE, context: Vec<u8>, hash: Option<CK_MECHANISM_TYPE> },
}

impl Mech {
    /// Without a parameter.
    #[must_use]
    pub fn new(kind: CK_MECHANISM_TYPE) -> Self {
        Self { kind, parameter: Parameter::None }
    }

    /// With bytes: an IV.
    #[must_use]
    pub fn bytes(kind: CK_MECHANISM_TYPE, bytes: &[u8]) -> Self {
        Self { kind, parameter: Parameter::Bytes(bytes.to_vec()) }
    }

    /// With a CK_ULONG: the length of a `…_GENERAL` MAC.
    #[must_use]
    pub fn ulong(kind: CK_MECHANISM_TYPE, value: CK_ULONG) -> Self {
        Self { kind, parameter: Parameter::Ulong(value) }
    }

    /// RSA-PSS.
    #[must_use]
    pub fn pss(kind: CK_MECHANISM_TYPE, hash: CK_MECHANISM_TYPE, mgf: CK_RSA_PKCS_MGF_TYPE, salt: CK_ULONG) -> Self {
        Self { kind, parameter: Parameter::Pss(CK_RSA_PKCS_PSS_PARAMS { hashAlg: hash, mgf, sLen: salt }) }
    }

    /// RSA-OAEP.
    #[must_use]
    pub fn oaep(hash: CK_MECHANISM_TYPE, mgf: CK_RSA_PKCS_MGF_TYPE, label: &[u8]) -> Self {
        Self { kind: CKM_RSA_PKCS_OAEP, parameter: Parameter::Oaep { hash, mgf, label: label.to_vec() } }
    }

    /// AES-GCM.
    #[must_use]
    pub fn gcm(iv: &[u8], aad: &[u8], tag_bits: CK_ULONG) -> Self {
        Self { kind: CKM_AES_GCM, parameter: Parameter::Gcm { iv: iv.to_vec(), aad: aad.to_vec(), tag_bits } }
    }

    /// AES-CCM of a message of this length.
    #[must_use]
    pub fn ccm(nonce: &[u8], aad: &[u8], tag: CK_ULONG, length: usize) -> Self {
        let parameter = Parameter::Ccm { nonce: nonce.to_vec(), aad: aad.to_vec(), tag, length: length as CK_ULONG };
        Self { kind: CKM_AES_CCM, parameter }
    }

    /// ChaCha20-Poly1305.
    #[must_use]
    pub fn chacha(nonce: &[u8], aad: &[u8]) -> Self {
        let parameter = Parameter::ChaCha { nonce: nonce.to_vec(), aad: aad.to_vec() };
        Self { kind: CKM_CHACHA20_POLY1305, parameter }
    }

    /// A key from encrypted data: in CBC mode with an IV, else in ECB mode.
    #[must_use]
    pub fn encrypt_data(iv: Option<[u8; 16]>, data: &[u8]) -> Self {
        let kind = if iv.is_some() { CKM_AES_CBC_ENCRYPT_DATA } else { CKM_AES_ECB_ENCRYPT_DATA };
        Self { kind, parameter: Parameter::Data { iv, data: data.to_vec() } }
    }

    /// AES-CTR.
    #[must_use]
    pub fn ctr(bits: CK_ULONG, counter: [u8; 16]) -> Self {
        Self { kind: CKM_AES_CTR, parameter: Parameter::Ctr(CK_AES_CTR_PARAMS { ulCounterBits: bits, cb: counter }) }
    }

    /// ECDH1 without a KDF.
    #[must_use]
    pub fn ecdh(point: &[u8]) -> Self {
        Self::ecdh_with(CKM_ECDH1_DERIVE, CKD_NULL, &[], point)
    }

    /// ECDH1, with or without the cofactor, and a KDF with its shared data.
    #[must_use]
    pub fn ecdh_with(kind: CK_MECHANISM_TYPE, kdf: CK_EC_KDF_TYPE, info: &[u8], point: &[u8]) -> Self {
        Self { kind, parameter: Parameter::Ecdh { kdf, info: info.to_vec(), point: point.to_vec() } }
    }

    /// EdDSA with its parameter.
    #[must_use]
    pub fn eddsa(prehash: bool, context: &[u8]) -> Self {
        Self { kind: CKM_EDDSA, parameter: Parameter::EdDsa { prehash, context: context.to_vec() } }
    }

    /// Wrapping under an AES key that RSA-OAEP encrypts.
    #[must_use]
    pub fn rsa_aes(bits: CK_ULONG, hash: CK_MECHANISM_TYPE, mgf: CK_RSA_PKCS_MGF_TYPE) -> Self {
        Self { kind: CKM_RSA_AES_KEY_WRAP, parameter: Parameter::RsaAes { bits, hash, mgf } }
    }

    /// Wrapping under an AES key that ECDH agrees on.
    #[must_use]
    pub fn ecdh_aes(bits: CK_ULONG, kdf: CK_EC_KDF_TYPE, info: &[u8]) -> Self {
        Self { kind: CKM_ECDH_AES_KEY_WRAP, parameter: Parameter::EcdhAes { bits, kdf, info: info.to_vec() } }
    }

    /// HKDF, extract and expand, with a salt given as data.
    #[must_use]
    pub fn hkdf(hash: CK_MECHANISM_TYPE, salt: &[u8], info: &[u8]) -> Self {
        let parameter = Parameter::Hkdf { hash, salt: salt.to_vec(), info: info.to_vec() };
        Self { kind: CKM_HKDF_DERIVE, parameter }
    }

    /// The same parameter under another number.
    #[must_use]
    pub fn named(self, kind: CK_MECHANISM_TYPE) -> Self {
        Self { kind, ..self }
    }

    /// A post-quantum signature: CK_SIGN_ADDITIONAL_CONTEXT, with a hash CK_HASH_SIGN_ADDITIONAL_CONTEXT.
    #[must_use]
    pub fn context(
        kind: CK_MECHANISM_TYPE,
        hedge: CK_HEDGE_TYPE,
        context: &[u8],
        hash: Option<CK_MECHANISM_TYPE>,
    ) -> Self {
        Self { kind, parameter: Parameter::Context { hedge, context: context.to_vec(), hash } }
    }

    /// Hands the C form to `call`; it is valid for that long.
    pub fn with<T>(&self, call: impl FnOnce(*mut CK_MECHANISM) -> T) -> T {
        match &self.parameter {
            Parameter::None => self.give(ptr::null::<c_void>(), 0, call),
            Parameter::Bytes(bytes) => self.give(bytes.as_ptr(), bytes.len(), call),
            Parameter::Ulong(value) => self.give(value, size_of_val(value), call),
            Parameter::Pss(parameters) => self.give(parameters, size_of_val(parameters), call),
            Parameter::Ctr(parameters) => self.give(parameters, size_of_val(parameters), call),
            Parameter::Oaep { hash, mgf, label } => {
                let parameters = CK_RSA_PKCS_OAEP_PARAMS {
                    hashAlg: *hash,
                    mgf: *mgf,
                    source: CKZ_DATA_SPECIFIED,
                    pSourceData: pointer(label).cast(),
                    ulSourceDataLen: label.len() as CK_ULONG,
                };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
            Parameter::Gcm { iv, aad, tag_bits } => {
                let parameters = CK_GCM_PARAMS {
                    pIv: pointer(iv),
                    ulIvLen: iv.len() as CK_ULONG,
                    ulIvBits: iv.len() as CK_ULONG * 8,
                    pAAD: pointer(aad),
                    ulAADLen: aad.len() as CK_ULONG,
                    ulTagBits: *tag_bits,
                };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
            Parameter::Ccm { nonce, aad, tag, length } => {
                let parameters = CK_CCM_PARAMS {
                    ulDataLen: *length,
                    pNonce: pointer(nonce),
                    ulNonceLen: nonce.len() as CK_ULONG,
                    pAAD: pointer(aad),
                    ulAADLen: aad.len() as CK_ULONG,
                    ulMACLen: *tag,
                };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
            Parameter::ChaCha { nonce, aad } => {
                let parameters = CK_SALSA20_CHACHA20_POLY1305_PARAMS {
                    pNonce: pointer(nonce),
                    ulNonceLen: nonce.len() as CK_ULONG,
                    pAAD: pointer(aad),
                    ulAADLen: aad.len() as CK_ULONG,
                };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
            Parameter::Data { iv: Some(iv), data } => {
                let parameters =
                    CK_AES_CBC_ENCRYPT_DATA_PARAMS { iv: *iv, pData: pointer(data), length: data.len() as CK_ULONG };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
            Parameter::Data { iv: None, data } => {
                let parameters = CK_KEY_DERIVATION_STRING_DATA { pData: pointer(data), ulLen: data.len() as CK_ULONG };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
            Parameter::EdDsa { prehash, context } => {
                let parameters = CK_EDDSA_PARAMS {
                    phFlag: CK_BBOOL::from(*prehash),
                    ulContextDataLen: context.len() as CK_ULONG,
                    pContextData: pointer(context),
                };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
            Parameter::RsaAes { bits, hash, mgf } => {
                let mut oaep = CK_RSA_PKCS_OAEP_PARAMS {
                    hashAlg: *hash,
                    mgf: *mgf,
                    source: CKZ_DATA_SPECIFIED,
                    pSourceData: ptr::null_mut(),
                    ulSourceDataLen: 0,
                };
                let parameters = CK_RSA_AES_KEY_WRAP_PARAMS { ulAESKeyBits: *bits, pOAEPParams: &raw mut oaep };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
            Parameter::EcdhAes { bits, kdf, info } => {
                let parameters = CK_ECDH_AES_KEY_WRAP_PARAMS {
                    ulAESKeyBits: *bits,
                    kdf: *kdf,
                    ulSharedDataLen: info.len() as CK_ULONG,
                    pSharedData: pointer(info),
                };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
            Parameter::Ecdh { kdf, info, point } => {
                let parameters = CK_ECDH1_DERIVE_PARAMS {
                    kdf: *kdf,
                    ulSharedDataLen: info.len() as CK_ULONG,
                    pSharedData: pointer(info),
                    ulPublicDataLen: point.len() as CK_ULONG,
                    pPublicData: pointer(point),
                };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
            Parameter::Context { hedge, context, hash } => {
                let (at, len) = (pointer(context), context.len() as CK_ULONG);
                if let Some(hash) = *hash {
                    let parameters =
                        CK_HASH_SIGN_ADDITIONAL_CONTEXT { hedgeVariant: *hedge, pContext: at, ulContextLen: len, hash };
                    return self.give(&raw const parameters, size_of_val(&parameters), call);
                }
                let parameters = CK_SIGN_ADDITIONAL_CONTEXT { hedgeVariant: *hedge, pContext: at, ulContextLen: len };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
            Parameter::Hkdf { hash, salt, info } => {
                let parameters = CK_HKDF_PARAMS {
                    bExtract: CK_TRUE,
                    bExpand: CK_TRUE,
                    prfHashMechanism: *hash,
                    ulSaltType: CKF_HKDF_SALT_DATA,
                    pSalt: pointer(salt),
                    ulSaltLen: salt.len() as CK_ULONG,
                    hSaltKey: 0,
                    pInfo: pointer(info),
                    ulInfoLen: info.len() as CK_ULONG,
                };
                self.give(&raw const parameters, size_of_val(&parameters), call)
            }
        }
    }

    fn give<P, T>(&self, parameter: *const P, length: usize, call: impl FnOnce(*mut CK_MECHANISM) -> T) -> T {
        let mut mechanism = CK_MECHANISM {
            mechanism: self.kind,
            pParameter: parameter.cast_mut().cast(),
            ulParameterLen: length as CK_ULONG,
        };
        call(&raw mut mechanism)
    }
}

impl From<CK_MECHANISM_TYPE> for Mech {
    fn from(kind: CK_MECHANISM_TYPE) -> Self {
        Self::new(kind)
    }
}

fn pointer(bytes: &[u8]) -> *mut u8 {
    if bytes.is_empty() { ptr::null_mut() } else { bytes.as_ptr().cast_mut() }
}
