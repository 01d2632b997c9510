//! Parameters of TLS 1.2 (PKCS#11 3.2, 6.39.2 and 6.40.2).

use cryptoki_sys::{
    CK_FALSE, CK_MECHANISM_TYPE, CK_SSL3_RANDOM_DATA, CK_TLS_KDF_PARAMS, CK_TLS_MAC_PARAMS,
    CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS, CK_TLS12_KEY_MAT_PARAMS, CK_TLS12_MASTER_KEY_DERIVE_PARAMS, CK_ULONG,
    CK_VERSION,
};
use libkmss::mechanism::{Hash, MasterBinding, Mechanism, Randoms, TlsMechanism};

use super::{INVALID, Parameter, Plain, bounded};
use crate::mechanisms::Tls;
use crate::rv::Result;

/// Longest random, label or context, and hash of a handshake.
const MAX_SEED: usize = 1 << 16;
/// Longest key or initialisation vector of a key block, in bits.
const MAX_BITS: usize = 4096;
/// Longest Finished MAC.
const MAX_MAC: usize = 256;
/// Shortest: RFC 5246, 7.4.9.
const MIN_MAC: usize = 12;

impl Parameter {
    pub(super) fn tls(&self, step: Tls) -> Result<Mechanism> {
        Ok(Mechanism::Tls(match step {
            Tls::Premaster => {
                let version: CK_VERSION = self.structure()?;
                TlsMechanism::Premaster { version: [version.major, version.minor] }
            }
            Tls::Master { versioned } => {
                let p: CK_TLS12_MASTER_KEY_DERIVE_PARAMS = self.structure()?;
                if !versioned && !p.pVersion.is_null() {
                    return Err(INVALID);
                }
                let binding = MasterBinding::Randoms(self.randoms(&p.RandomInfo)?);
                TlsMechanism::Master { hash: self.tls_hash(p.prfHashMechanism)?, binding, versioned }
            }
            Tls::ExtendedMaster { versioned } => {
                let p: CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS = self.structure()?;
                let session = self.buffer(p.pSessionHash, bounded(p.ulSessionHashLen, MAX_SEED)?)?;
                if session.is_empty() || (!versioned && !p.pVersion.is_null()) {
                    return Err(INVALID);
                }
                let binding = MasterBinding::Handshake(session);
                TlsMechanism::Master { hash: self.tls_hash(p.prfHashMechanism)?, binding, versioned }
            }
            Tls::KeyBlock { with_ivs } => {
                let p: CK_TLS12_KEY_MAT_PARAMS = self.structure()?;
                if p.bIsExport != CK_FALSE || p.pReturnedKeyMaterial.is_null() {
                    return Err(INVALID);
                }
                TlsMechanism::KeyBlock {
                    hash: self.tls_hash(p.prfHashMechanism)?,
                    randoms: self.randoms(&p.RandomInfo)?,
                    mac_len: bytes(p.ulMacSizeInBits)?,
                    key_len: bytes(p.ulKeySizeInBits)?,
                    iv_len: if with_ivs { Some(bytes(p.ulIVSizeInBits)?) } else { None },
                }
            }
            Tls::Export => {
                let p: CK_TLS_KDF_PARAMS = self.structure()?;
                let context = self.buffer(p.pContextData, bounded(p.ulContextDataLength, MAX_SEED - 1)?)?;
                TlsMechanism::Export {
                    hash: self.tls_hash(p.prfMechanism)?,
                    label: self.buffer(p.pLabel, bounded(p.ulLabelLength, MAX_SEED)?)?,
                    randoms: self.randoms(&p.RandomInfo)?,
                    context: (!p.pContextData.is_null()).then_some(context),
                }
            }
            Tls::Finished => {
                let p: CK_TLS_MAC_PARAMS = self.structure()?;
                let len = bounded(p.ulMacLength, MAX_MAC)?;
                if len < MIN_MAC || !matches!(p.ulServerOrClient, 1 | 2) {
                    return Err(INVALID);
                }
                TlsMechanism::Finished {
                    hash: self.tls_hash(p.prfHashMechanism)?,
                    len,
                    server: p.ulServerOrClient == 1,
                }
            }
        }))
    }

    /// A hash of TLS 1.2. CKM_TLS_PRF, which means MD5 and SHA-1 together, is none.
    fn tls_hash(&self, number: CK_MECHANISM_TYPE) -> Result<Hash> {
        self.hash(number).and_then(|hash| if hash == Hash::Sm3 { Err(INVALID) } else { Ok(hash) })
    }

    fn randoms(&self, given: &CK_SSL3_RANDOM_DATA) -> Result<Randoms> {
        let read = |at, len| {
            let random = self.buffer(at, bounded(len, MAX_SEED)?)?;
            if random.is_empty() { Err(INVALID) } else { Ok(random) }
        };
        Ok(Randoms {
            client: read(given.pClientRandom.cast_const(), given.ulClientRandomLen)?,
            server: read(given.pServerRandom.cast_const(), given.ulServerRandomLen)?,
        })
    }
}

fn bytes(bits: CK_ULONG) -> Result<usize> {
    let bits = bounded(bits, MAX_BITS)?;
    if bits % 8 == 0 { Ok(bits / 8) } else { Err(INVALID) }
}

impl Plain for CK_VERSION {}
impl Plain for CK_TLS12_MASTER_KEY_DERIVE_PARAMS {}
impl Plain for CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS {}
impl Plain for CK_TLS12_KEY_MAT_PARAMS {}
impl Plain for CK_TLS_KDF_PARAMS {}
impl Plain for CK_TLS_MAC_PARAMS {}
