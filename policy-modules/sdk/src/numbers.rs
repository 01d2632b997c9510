//! Actions and key types by their numbers (docs/policy-abi.md, sections 4.1 and 4.3).

/// Names for the numbers of one kind, each documented by its word.
macro_rules! numbers {
    ($kind:ident: $($name:ident = $number:literal $word:literal,)*) => {
        impl $kind {
            $(#[doc = concat!("`", $word, "`.")]
            pub const $name: Self = Self($number);)*

            /// Its word; empty for one that this crate does not know.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($number => $word,)*
                    _ => "",
                }
            }

            /// All that this crate knows.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

pub(crate) use numbers;

/// What is done. A host of a later version may know more actions than are named here: take such a one for something
/// that the policy cannot judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action(pub u32);

numbers! { Action:
    FIND = 1 "find",
    GENERATE = 2 "generate",
    IMPORT = 3 "import",
    EXPORT = 4 "export",
    SIGN = 5 "sign",
    VERIFY = 6 "verify",
    ENCRYPT = 7 "encrypt",
    DECRYPT = 8 "decrypt",
    WRAP = 9 "wrap",
    UNWRAP = 10 "unwrap",
    DERIVE = 11 "derive",
    ENCAPSULATE = 12 "encapsulate",
    DECAPSULATE = 13 "decapsulate",
    DIGEST = 14 "digest",
    RANDOM = 15 "random",
    MANAGE = 16 "manage",
    CHANGE_STATE = 17 "change-state",
    DESTROY = 18 "destroy",
    LOGIN = 19 "login",
    LOGOUT = 20 "logout",
    SET_PIN = 21 "set-pin",
    INITIALIZE = 22 "initialize",
    TOKENIZE = 23 "tokenize",
    DETOKENIZE = 24 "detokenize",
    READ_MASKED = 25 "read-masked",
    DERIVE_CHILD = 26 "derive-child",
}

/// The type of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyType(pub u32);

numbers! { KeyType:
    RSA = 1 "RSA",
    EC = 2 "EC",
    EDWARDS = 3 "Edwards",
    MONTGOMERY = 4 "Montgomery",
    SM2 = 5 "SM2",
    DH = 6 "DH",
    ML_DSA = 7 "ML-DSA",
    ML_KEM = 8 "ML-KEM",
    SLH_DSA = 9 "SLH-DSA",
    AES = 10 "AES",
    AES_XTS = 11 "AES-XTS",
    CHACHA20 = 12 "ChaCha20",
    SM4 = 13 "SM4",
    GENERIC = 14 "generic",
    HMAC = 15 "HMAC",
    HKDF = 16 "HKDF",
}
