//! The words of the language. Parser, formatter, suggestions and the editors' grammar all draw on these tables.

use std::sync::OnceLock;

use crate::key::Action;
use crate::mechanism::{Hash, KeyType};

/// Words that begin a statement.
pub(crate) const STARTERS: [&str; 6] = ["allow", "deny", "role", "grant", "policy", "timezone"];

/// Words that begin a clause of a rule.
pub(crate) const CLAUSES: [&str; 9] = ["for", "when", "require", "at", "audit", "expire", "notify", "mask", "because"];

/// What a condition asks about.
pub(crate) const SUBJECTS: [&str; 16] = [
    "mechanism",
    "process",
    "tenant",
    "namespace",
    "context",
    "time",
    "weekday",
    "date",
    "size",
    "uid",
    "rate",
    "key",
    "source",
    "mfa",
    "interactive",
    "fips",
];

/// All other words with a meaning.
pub(crate) const OTHERS: [&str; 38] = [
    "to",
    "anyone",
    "with",
    "using",
    "signature",
    "any",
    "keys",
    "tagged",
    "of",
    "type",
    "in",
    "only",
    "and",
    "or",
    "not",
    "is",
    "between",
    "before",
    "after",
    "has",
    "age",
    "bits",
    "session",
    "per",
    "most",
    "as",
    "all",
    "but",
    "approvals",
    "within",
    "includes",
    "inherits",
    "version",
    "data",
    "characters",
    "approval",
    "signatures",
    "types",
];

/// Roles of which nobody holds two.
pub(crate) const EXCLUSIVE: [&str; 3] = ["system-administrator", "security-administrator", "auditor"];

/// The kinds of principals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Service,
    User,
    Role,
    Group,
    Process,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Service, Self::User, Self::Role, Self::Group, Self::Process];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::User => "user",
            Self::Role => "role",
            Self::Group => "group",
            Self::Process => "process",
        }
    }
}

/// Several actions under one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// What a key computes.
    Use,
    /// What makes, changes and ends keys.
    Administer,
    /// Logging in and out, PINs.
    Authenticate,
    /// Every action.
    Anything,
}

impl Group {
    pub(crate) const ALL: [Self; 4] = [Self::Use, Self::Administer, Self::Authenticate, Self::Anything];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Administer => "administer",
            Self::Authenticate => "authenticate",
            Self::Anything => "anything",
        }
    }

    /// The actions, each a bit.
    pub(crate) fn mask(self) -> u32 {
        ACTIONS
            .into_iter()
            .filter(|action| self == Self::Anything || group(*action) == Some(self))
            .fold(0, |mask, action| mask | bit(action))
    }
}

/// Every action, in the order of their bits.
pub(crate) const ACTIONS: [Action; 22] = [
    Action::Find,
    Action::Generate,
    Action::Import,
    Action::Export,
    Action::Sign,
    Action::Verify,
    Action::Encrypt,
    Action::Decrypt,
    Action::Wrap,
    Action::Unwrap,
    Action::Derive,
    Action::Encapsulate,
    Action::Decapsulate,
    Action::Digest,
    Action::Random,
    Action::Manage,
    Action::ChangeState,
    Action::Destroy,
    Action::Login,
    Action::Logout,
    Action::SetPin,
    Action::Initialize,
];

/// The narrowest group that an action belongs to. A new action finds its place here, and in [`ACTIONS`].
const fn group(action: Action) -> Option<Group> {
    match action {
        Action::Sign
        | Action::Verify
        | Action::Encrypt
        | Action::Decrypt
        | Action::Wrap
        | Action::Unwrap
        | Action::Derive
        | Action::Encapsulate
        | Action::Decapsulate => Some(Group::Use),
        Action::Generate
        | Action::Import
        | Action::Manage
        | Action::ChangeState
        | Action::Destroy
        | Action::Initialize => Some(Group::Administer),
        Action::Login | Action::Logout | Action::SetPin => Some(Group::Authenticate),
        Action::Find | Action::Export | Action::Digest | Action::Random => None,
    }
}

/// The bit of an action in masks; 0 for one that [`ACTIONS`] does not have, which no rule matches then.
pub(crate) fn bit(action: Action) -> u32 {
    ACTIONS.iter().position(|one| *one == action).map_or(0, |place| 1 << place)
}

/// Texts that conditions compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TextField {
    Mechanism,
    Process,
    Tenant,
    Namespace,
    /// One entry of the encryption context.
    Context(String),
}

/// Numbers that conditions compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberField {
    /// Minutes since midnight in the policy's time zone.
    Time,
    /// 0 is Monday.
    Weekday,
    /// Days since 1970-01-01.
    Date,
    Size,
    Uid,
    /// Milliseconds.
    KeyAge,
    KeyBits,
    LastSecond,
    LastMinute,
}

/// What is either so or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    Mfa,
    Interactive,
    Fips,
    SessionKey,
}

impl Flag {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Mfa => "mfa",
            Self::Interactive => "interactive",
            Self::Fips => "fips",
            Self::SessionKey => "session key",
        }
    }
}

pub(crate) const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Units of data, the largest first.
pub(crate) const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Units of time in milliseconds, the largest first.
pub(crate) const DURATIONS: [(&str, u64); 5] =
    [("weeks", 7 * 86_400_000), ("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000), ("seconds", 1_000)];

/// The name of a key type, which all HMAC keys share.
pub(crate) type TypeName = &'static str;

/// Key types as policies name them.
pub(crate) const TYPES: [KeyType; 16] = [
    KeyType::Rsa,
    KeyType::Ec,
    KeyType::EcEdwards,
    KeyType::EcMontgomery,
    KeyType::Sm2,
    KeyType::Dh,
    KeyType::MlDsa,
    KeyType::MlKem,
    KeyType::SlhDsa,
    KeyType::Aes,
    KeyType::AesXts,
    KeyType::ChaCha20,
    KeyType::Sm4,
    KeyType::GenericSecret,
    KeyType::Hmac(Hash::Sha256),
    KeyType::Hkdf,
];

/// Names of mechanisms that do not follow from a hash or a cipher.
const MECHANISMS: [&str; 59] = [
    "RSA_PKCS",
    "RSA_X_509",
    "RSA_PKCS_PSS",
    "RSA_PKCS_OAEP",
    "RSA_AES_KEY_WRAP",
    "ECDSA",
    "EDDSA",
    "EDDSA_PH",
    "ECDH1_DERIVE",
    "ECDH_AES_KEY_WRAP",
    "SM2",
    "SM3_SM2",
    "SM3_SM2_DER",
    "SM2_ENCRYPT",
    "CHACHA20_POLY1305",
    "AES_GMAC",
    "HKDF_DERIVE",
    "HKDF_DATA",
    "SP800_108_COUNTER_KDF",
    "SP800_108_FEEDBACK_KDF",
    "SP800_108_DOUBLE_PIPELINE_KDF",
    "PKCS5_PBKD2",
    "CONCATENATE_BASE_AND_KEY",
    "CONCATENATE_BASE_AND_DATA",
    "CONCATENATE_DATA_AND_BASE",
    "XOR_BASE_AND_DATA",
    "EXTRACT_KEY_FROM_KEY",
    "PUB_KEY_FROM_PRIV_KEY",
    "TLS_PRE_MASTER_KEY_GEN",
    "TLS12_MASTER_KEY_DERIVE",
    "TLS12_MASTER_KEY_DERIVE_DH",
    "TLS12_EXTENDED_MASTER_KEY_DERIVE",
    "TLS12_EXTENDED_MASTER_KEY_DERIVE_DH",
    "TLS12_KEY_SAFE_DERIVE",
    "TLS12_KEY_AND_MAC_DERIVE",
    "TLS_KDF",
    "TLS_MAC",
    "DH_PKCS_DERIVE",
    "ML_KEM",
    "ML_DSA",
    "HASH_ML_DSA",
    "SLH_DSA",
    "HASH_SLH_DSA",
    "RSA_PKCS_KEY_PAIR_GEN",
    "EC_KEY_PAIR_GEN",
    "EC_EDWARDS_KEY_PAIR_GEN",
    "EC_MONTGOMERY_KEY_PAIR_GEN",
    "SM2_KEY_PAIR_GEN",
    "DH_PKCS_KEY_PAIR_GEN",
    "ML_DSA_KEY_PAIR_GEN",
    "ML_KEM_KEY_PAIR_GEN",
    "SLH_DSA_KEY_PAIR_GEN",
    "AES_KEY_GEN",
    "AES_XTS_KEY_GEN",
    "CHACHA20_KEY_GEN",
    "SM4_KEY_GEN",
    "GENERIC_SECRET_KEY_GEN",
    "HMAC_KEY_GEN",
    "HKDF_KEY_GEN",
];

/// What the block ciphers' mechanisms are called after the cipher.
const MODES: [&str; 16] = [
    "ECB",
    "CBC",
    "CBC_PAD",
    "CTS",
    "CTR",
    "OFB",
    "CFB1",
    "CFB8",
    "CFB128",
    "GCM",
    "CCM",
    "XTS",
    "KEY_WRAP",
    "KEY_WRAP_KWP",
    "ECB_ENCRYPT_DATA",
    "CBC_ENCRYPT_DATA",
];

/// Every name that a mechanism may have.
pub(crate) fn mechanisms() -> &'static [String] {
    static ALL: OnceLock<Vec<String>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all: Vec<String> = MECHANISMS.iter().map(|&name| name.to_owned()).collect();
        for cipher in ["AES", "SM4"] {
            all.extend(MODES.iter().map(|mode| format!("{cipher}_{mode}")));
            all.push(format!("{cipher}_CMAC"));
        }
        for hash in Hash::ALL.map(Hash::name) {
            all.push(hash.to_owned());
            all.push(format!("{hash}_RSA_PKCS"));
            all.push(format!("{hash}_RSA_PKCS_PSS"));
            all.push(format!("ECDSA_{hash}"));
            all.push(format!("{hash}_HMAC"));
        }
        let hashes = Hash::ALL.map(Hash::name);
        for hash in hashes.into_iter().chain(["SHAKE128", "SHAKE256"]) {
            all.push(format!("HASH_ML_DSA_{hash}"));
            all.push(format!("HASH_SLH_DSA_{hash}"));
        }
        all.sort_unstable();
        all.dedup();
        all
    })
}
