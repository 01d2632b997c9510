//! Actions, and what a key's attributes say of them.

use super::object::KeyClass;
use crate::mechanism::{KeyType, Mechanism};

/// What is done: the verb that policies, quotas and the audit speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Look objects up.
    Find,
    /// Make a key.
    Generate,
    /// Bring a key, certificate or data object in.
    Import,
    /// Read the secret part of an extractable key.
    Export,
    /// Sign or compute a MAC.
    Sign,
    /// Verify a signature or MAC.
    Verify,
    /// Encrypt.
    Encrypt,
    /// Decrypt.
    Decrypt,
    /// Wrap another key.
    Wrap,
    /// Unwrap a key.
    Unwrap,
    /// Derive a key.
    Derive,
    /// Make a shared secret for whoever holds the private key.
    Encapsulate,
    /// Recover an encapsulated secret.
    Decapsulate,
    /// Digest data.
    Digest,
    /// Draw random bytes.
    Random,
    /// Change, rename or copy an object.
    Manage,
    /// Disable, enable or otherwise move a key between states.
    ChangeState,
    /// Destroy an object.
    Destroy,
    /// Authenticate.
    Login,
    /// Give authentication up.
    Logout,
    /// Set or reset a PIN.
    SetPin,
    /// Make a namespace, or make it anew.
    Initialize,
    /// Put a token in the place of a value.
    Tokenize,
    /// Get the value of a token back.
    Detokenize,
    /// See the part of a token's value that its format lets many see.
    ReadMasked,
    /// Make the pair at a path of a seed.
    DeriveChild,
}

impl Action {
    /// The word in audit records and policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Find => "find",
            Self::Generate => "generate",
            Self::Import => "import",
            Self::Export => "export",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
            Self::Derive => "derive",
            Self::Encapsulate => "encapsulate",
            Self::Decapsulate => "decapsulate",
            Self::Digest => "digest",
            Self::Random => "random",
            Self::Manage => "manage",
            Self::ChangeState => "change-state",
            Self::Destroy => "destroy",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::SetPin => "set-pin",
            Self::Initialize => "initialize",
            Self::Tokenize => "tokenize",
            Self::Detokenize => "detokenize",
            Self::ReadMasked => "read-masked",
            Self::DeriveChild => "derive-child",
        }
    }

    /// Whether the action changes what exists, so that its intent is recorded before the effect.
    #[must_use]
    pub const fn has_effect(self) -> bool {
        matches!(
            self,
            Self::Generate
                | Self::Import
                | Self::Manage
                | Self::ChangeState
                | Self::Destroy
                | Self::SetPin
                | Self::Initialize
        )
    }

    /// Whether it protects something new: what a key does less and less well, the more it did of it.
    #[must_use]
    pub const fn protects(self) -> bool {
        matches!(self, Self::Sign | Self::Encrypt | Self::Wrap | Self::Derive | Self::Encapsulate | Self::Tokenize)
    }

    /// Whether its failure tells who tries something of what they gave: a padding, a tag, a signature, a token. Budgets count that.
    #[must_use]
    pub const fn is_attempt(self) -> bool {
        matches!(
            self,
            Self::Verify | Self::Decrypt | Self::Unwrap | Self::Decapsulate | Self::Detokenize | Self::ReadMasked
        )
    }

    /// Whether the data comes after the operation has begun.
    #[must_use]
    pub const fn streams(self) -> bool {
        matches!(
            self,
            Self::Sign
                | Self::Verify
                | Self::Encrypt
                | Self::Decrypt
                | Self::Digest
                | Self::Tokenize
                | Self::Detokenize
                | Self::ReadMasked
        )
    }

    /// The action of encrypting or decrypting by a mechanism: what keeps the format has words of its own, so that it is
    /// allowed by itself.
    #[must_use]
    pub const fn of_cipher(mechanism: &Mechanism, encrypt: bool) -> Self {
        match (mechanism, encrypt) {
            (Mechanism::Ff1(_), true) => Self::Tokenize,
            (Mechanism::Ff1(how), false) if how.is_masked() => Self::ReadMasked,
            (Mechanism::Ff1(_), false) => Self::Detokenize,
            (_, true) => Self::Encrypt,
            (_, false) => Self::Decrypt,
        }
    }
}

/// What a key may be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
#[expect(clippy::struct_excessive_bools, reason = "each is an attribute of its own in every standard")]
pub struct Usage {
    pub encrypt: bool,
    pub decrypt: bool,
    pub sign: bool,
    pub sign_recover: bool,
    pub verify: bool,
    pub verify_recover: bool,
    pub wrap: bool,
    pub unwrap: bool,
    pub derive: bool,
    #[serde(default)]
    pub encapsulate: bool,
    #[serde(default)]
    pub decapsulate: bool,
}

impl Usage {
    /// What both allow.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            encrypt: self.encrypt && other.encrypt,
            decrypt: self.decrypt && other.decrypt,
            sign: self.sign && other.sign,
            sign_recover: self.sign_recover && other.sign_recover,
            verify: self.verify && other.verify,
            verify_recover: self.verify_recover && other.verify_recover,
            wrap: self.wrap && other.wrap,
            unwrap: self.unwrap && other.unwrap,
            derive: self.derive && other.derive,
            encapsulate: self.encapsulate && other.encapsulate,
            decapsulate: self.decapsulate && other.decapsulate,
        }
    }

    /// Everything a key of this type and class can do: what a key gets whose maker names no usage.
    #[must_use]
    pub const fn all_for(key_type: KeyType, class: KeyClass) -> Self {
        let mut usage = Self {
            encrypt: false,
            decrypt: false,
            sign: false,
            sign_recover: false,
            verify: false,
            verify_recover: false,
            wrap: false,
            unwrap: false,
            derive: false,
            encapsulate: false,
            decapsulate: false,
        };
        match (class, key_type) {
            (KeyClass::Private, KeyType::Rsa | KeyType::Sm2) => {
                usage.sign = true;
                usage.sign_recover = matches!(key_type, KeyType::Rsa);
                usage.decrypt = true;
                usage.unwrap = true;
            }
            (KeyClass::Public, KeyType::Rsa | KeyType::Sm2) => {
                usage.verify = true;
                usage.verify_recover = matches!(key_type, KeyType::Rsa);
                usage.encrypt = true;
                usage.wrap = true;
            }
            (KeyClass::Private, KeyType::Ec) => {
                usage.sign = true;
                usage.derive = true;
                usage.unwrap = true;
                usage.decapsulate = true;
            }
            (KeyClass::Public, KeyType::Ec) => {
                usage.verify = true;
                usage.derive = true;
                usage.wrap = true;
                usage.encapsulate = true;
            }
            (KeyClass::Private, KeyType::EcMontgomery) => {
                usage.derive = true;
                usage.unwrap = true;
                usage.decapsulate = true;
            }
            (KeyClass::Public, KeyType::EcMontgomery) => {
                usage.derive = true;
                usage.wrap = true;
                usage.encapsulate = true;
            }
            (KeyClass::Private, KeyType::EcEdwards | KeyType::MlDsa | KeyType::SlhDsa) => usage.sign = true,
            (KeyClass::Public, KeyType::EcEdwards | KeyType::MlDsa | KeyType::SlhDsa) => usage.verify = true,
            (KeyClass::Private | KeyClass::Public, KeyType::Dh) => usage.derive = true,
            (KeyClass::Private, KeyType::MlKem) => usage.decapsulate = true,
            (KeyClass::Public, KeyType::MlKem) => usage.encapsulate = true,
            (KeyClass::Secret, KeyType::Aes | KeyType::Sm4) => {
                usage.encrypt = true;
                usage.decrypt = true;
                usage.sign = true;
                usage.verify = true;
                usage.wrap = true;
                usage.unwrap = true;
                usage.derive = true;
            }
            (KeyClass::Secret, KeyType::AesXts) => {
                usage.encrypt = true;
                usage.decrypt = true;
            }
            (KeyClass::Secret, KeyType::ChaCha20) => {
                usage.encrypt = true;
                usage.decrypt = true;
                usage.wrap = true;
                usage.unwrap = true;
            }
            (KeyClass::Secret, _) => {
                usage.sign = true;
                usage.verify = true;
                usage.derive = true;
            }
            _ => {}
        }
        usage
    }

    /// This without wrapping, for namespaces that keep wrapping apart from decrypting: what a key gets there whose maker
    /// names no usage.
    #[must_use]
    pub const fn without_wrap(self) -> Self {
        Self { wrap: false, ..self }
    }

    /// Whether the attributes allow `action`; actions that no usage attribute governs are allowed.
    #[must_use]
    pub const fn allows(&self, action: Action) -> bool {
        match action {
            Action::Encrypt | Action::Tokenize => self.encrypt,
            Action::Decrypt | Action::Detokenize | Action::ReadMasked => self.decrypt,
            Action::Sign => self.sign,
            Action::Verify => self.verify,
            Action::Wrap => self.wrap,
            Action::Unwrap => self.unwrap,
            Action::Derive | Action::DeriveChild => self.derive,
            Action::Encapsulate => self.encapsulate,
            Action::Decapsulate => self.decapsulate,
            _ => true,
        }
    }

    /// Whether the attributes allow `action`, signing or verifying, with the data recovered from the signature.
    #[must_use]
    pub const fn allows_recovery(&self, action: Action) -> bool {
        match action {
            Action::Sign => self.sign_recover,
            Action::Verify => self.verify_recover,
            _ => false,
        }
    }
}

/// How a key's secret part is protected, and what is known of its past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is an attribute of its own in PKCS#11")]
pub struct Protection {
    /// The secret part cannot be read in clear.
    pub sensitive: bool,
    /// The key may be wrapped.
    pub extractable: bool,
    /// `sensitive` has been true since the key was generated.
    pub always_sensitive: bool,
    /// `extractable` has been false since the key was generated.
    pub never_extractable: bool,
    /// The key was generated here (or is a copy of one that was).
    pub local: bool,
    /// The key may wrap keys that demand a trusted wrapping key.
    pub trusted: bool,
    /// The key may only be wrapped by a trusted key.
    pub wrap_with_trusted: bool,
    /// The user authenticates for each use.
    pub always_authenticate: bool,
}

impl Protection {
    /// The same, and no weaker than `other` is in anything that may only grow stricter.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            sensitive: self.sensitive || other.sensitive,
            extractable: self.extractable && other.extractable,
            trusted: self.trusted && other.trusted,
            wrap_with_trusted: self.wrap_with_trusted || other.wrap_with_trusted,
            always_authenticate: self.always_authenticate || other.always_authenticate,
            ..self
        }
    }

    /// Whether it protects less than `other` did, in what may only grow stricter.
    #[must_use]
    pub const fn is_weaker_than(&self, other: Self) -> bool {
        (other.sensitive && !self.sensitive)
            || (!other.extractable && self.extractable)
            || (other.wrap_with_trusted && !self.wrap_with_trusted)
            || (other.always_authenticate && !self.always_authenticate)
    }
}
