//! A mechanism for each shape, with the best parameters it can have: what is forbidden of it is never offered.

use libkmss::mechanism::{
    BlockCipher, Ccm, CipherMode, Ctr, DhMechanism, EcMechanism, EcdhKdf, Gcm, Hash, Hkdf, HkdfSalt, Kbkdf, KbkdfMode,
    KdfMechanism, MacMechanism, MasterBinding, Mechanism, Oaep, Pbkdf2, PqcHash, PqcInput, PqcMechanism, PqcSignature,
    Pss, Randoms, RsaMechanism, TlsMechanism,
};
use libkmss::secret::Secret;

use super::{Given, Into, Mode, Shape, Tls};

impl Shape {
    /// The mechanism; `None` for shapes that no approved algorithm has, which are forbidden with what is not approved.
    pub(super) fn sample(self) -> Option<Mechanism> {
        Some(match self {
            Self::Generate(key_type) => Mechanism::Generate(key_type),
            Self::Digest(hash) => Mechanism::Digest(hash),
            Self::RsaPkcs => Mechanism::Rsa(RsaMechanism::Pkcs),
            Self::RsaX509 => Mechanism::Rsa(RsaMechanism::X509),
            Self::RsaPkcsHash(hash) => Mechanism::Rsa(RsaMechanism::PkcsHash(hash)),
            Self::Pss(fixed) => {
                let hash = fixed.unwrap_or(Hash::Sha256);
                let pss = Pss { hash, mgf: hash, salt_len: hash.len() };
                Mechanism::Rsa(RsaMechanism::Pss { pss, message: fixed.is_some() })
            }
            Self::Oaep => {
                let oaep = Oaep { hash: Hash::Sha256, mgf: Hash::Sha256, label: Vec::new() };
                Mechanism::Rsa(RsaMechanism::Oaep(oaep))
            }
            Self::Ecdsa(hash) => Mechanism::Ec(EcMechanism::Ecdsa { hash }),
            Self::EdDsa => Mechanism::Ec(EcMechanism::PURE_EDDSA),
            Self::Ecdh => {
                let (public, shared_info) = (Vec::new(), Vec::new());
                Mechanism::Ec(EcMechanism::Ecdh { kdf: EcdhKdf::Null, public, shared_info })
            }
            Self::EcdhAesKeyWrap => {
                let (kdf, shared_info) = (EcdhKdf::X963(Hash::Sha256), Vec::new());
                Mechanism::Ec(EcMechanism::AesKeyWrap { kdf, shared_info, aes_len: 32 })
            }
            Self::RsaAesKeyWrap => {
                let oaep = Oaep { hash: Hash::Sha256, mgf: Hash::Sha256, label: Vec::new() };
                Mechanism::Rsa(RsaMechanism::AesKeyWrap { oaep, aes_len: 32 })
            }
            Self::Hkdf(into) => {
                let hkdf =
                    Hkdf { hash: Hash::Sha256, extract: true, expand: true, salt: HkdfSalt::Zeros, info: Vec::new() };
                Mechanism::Kdf(match into {
                    Into::Key => KdfMechanism::Hkdf(hkdf),
                    Into::Data => KdfMechanism::HkdfData(hkdf),
                })
            }
            Self::Kbkdf(_) => {
                let prf = MacMechanism::Hmac { hash: Hash::Sha256, len: Hash::Sha256.len() };
                Mechanism::Kdf(KdfMechanism::Kbkdf(Kbkdf { mode: KbkdfMode::Counter, prf, input: Vec::new() }))
            }
            Self::Pbkdf2 => Mechanism::Kdf(KdfMechanism::Pbkdf2(Pbkdf2 {
                hash: Hash::Sha256,
                password: Secret::copy_of(&[]),
                salt: Vec::new(),
                iterations: 1,
            })),
            Self::PublicKey => Mechanism::Kdf(KdfMechanism::PublicKey),
            Self::Dh => Mechanism::Dh(DhMechanism::Derive { public: Vec::new() }),
            Self::Tls(Tls::Master { versioned }) => {
                let randoms = Randoms { client: Vec::new(), server: Vec::new() };
                let binding = MasterBinding::Randoms(randoms);
                Mechanism::Tls(TlsMechanism::Master { hash: Hash::Sha256, binding, versioned })
            }
            Self::Tls(_) => Mechanism::Tls(TlsMechanism::Finished { hash: Hash::Sha256, len: 12, server: false }),
            Self::Gmac => Mechanism::Mac(MacMechanism::Gmac { iv: vec![0; 12], len: 16 }),
            Self::Cipher(cipher, mode) => Mechanism::Cipher(cipher, mode.sample()),
            Self::Hmac(hash, _) => Mechanism::Mac(MacMechanism::Hmac { hash, len: hash.len() }),
            Self::MlKem => Mechanism::Pqc(PqcMechanism::MlKem),
            Self::MlDsa(given) => Mechanism::Pqc(PqcMechanism::MlDsa(given.sample())),
            Self::SlhDsa(given) => Mechanism::Pqc(PqcMechanism::SlhDsa(given.sample())),
            Self::Cmac(_) => Mechanism::Mac(MacMechanism::Cmac { cipher: BlockCipher::Aes, len: BlockCipher::BLOCK }),
            _ => return None,
        })
    }
}

impl Given {
    const fn sample(self) -> PqcSignature {
        PqcSignature::plain(match self {
            Self::Message => PqcInput::Message,
            Self::Hashed(hash) => PqcInput::Hashed(hash),
            Self::Digest => PqcInput::Digest(PqcHash::Sha256),
        })
    }
}

impl Mode {
    fn sample(self) -> CipherMode {
        match self {
            Self::Ecb => CipherMode::Ecb,
            Self::Cbc => CipherMode::Cbc { iv: [0; 16] },
            Self::CbcPad => CipherMode::CbcPad { iv: [0; 16] },
            Self::Ctr => CipherMode::Ctr(Ctr { counter_bits: 128, block: [0; 16] }),
            Self::Gcm => CipherMode::Gcm(Gcm { iv: vec![0; 12].into(), aad: Vec::new(), tag_len: 16 }),
            Self::CbcCs1 => CipherMode::CbcCs1 { iv: [0; 16] },
            Self::Ofb => CipherMode::Ofb { iv: [0; 16] },
            Self::Cfb(segment) => CipherMode::Cfb { segment, iv: [0; 16] },
            Self::Ccm => CipherMode::Ccm(Ccm { nonce: vec![0; 12], aad: Vec::new(), tag_len: 16, data_len: None }),
            Self::Xts => CipherMode::Xts { tweak: [0; 16] },
            Self::KeyWrap => CipherMode::KeyWrap { iv: [0; 8] },
            Self::KeyWrapPad => CipherMode::KeyWrapPad,
        }
    }
}
