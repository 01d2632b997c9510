//! A mechanism for each shape, with the best parameters it can have: what is forbidden of it is never offered.

use libkmss::mechanism::{
    BlockCipher, Ccm, CipherMode, Ctr, EcMechanism, Gcm, Hash, MacMechanism, Mechanism, Oaep, PqcHash, PqcInput,
    PqcMechanism, PqcSignature, Pss, RsaMechanism,
};

use super::{Given, Mode, Shape};

impl Shape {
    /// Whether the approval of a shape without a sample hangs on its parameters alone.
    pub(super) const fn is_approved(self) -> bool {
        matches!(
            self,
            Self::EdDsa
                | Self::Ecdh
                | Self::EcdhAesKeyWrap
                | Self::RsaAesKeyWrap
                | Self::Hkdf(_)
                | Self::Kbkdf(_)
                | Self::Pbkdf2
                | Self::Splice(_)
                | Self::PublicKey
                | Self::Dh
        )
    }

    /// The mechanism; `None` for shapes whose weaknesses do not hang on their parameters, or that nobody judged: they are
    /// forbidden with what is not approved, unless they [are](Self::is_approved).
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
            Self::Gcm => CipherMode::Gcm(Gcm { iv: vec![0; 12], aad: Vec::new(), tag_len: 16 }),
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
