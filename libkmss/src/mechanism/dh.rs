//! Diffie-Hellman over a prime field, in named groups only (SP 800-56A, appendix D).

/// A group of RFC 7919, whose primes are safe; others are not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum DhGroup {
    Ffdhe2048,
    Ffdhe3072,
    Ffdhe4096,
    Ffdhe6144,
    Ffdhe8192,
}

impl DhGroup {
    /// Every group, for tables and tests.
    pub const ALL: [Self; 5] = [Self::Ffdhe2048, Self::Ffdhe3072, Self::Ffdhe4096, Self::Ffdhe6144, Self::Ffdhe8192];

    /// Size of the prime in bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Ffdhe2048 => 2048,
            Self::Ffdhe3072 => 3072,
            Self::Ffdhe4096 => 4096,
            Self::Ffdhe6144 => 6144,
            Self::Ffdhe8192 => 8192,
        }
    }

    /// The name in RFC 7919.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ffdhe2048 => "ffdhe2048",
            Self::Ffdhe3072 => "ffdhe3072",
            Self::Ffdhe4096 => "ffdhe4096",
            Self::Ffdhe6144 => "ffdhe6144",
            Self::Ffdhe8192 => "ffdhe8192",
        }
    }
}

/// Key agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DhMechanism {
    /// The shared secret, as long as the prime, of which leading bytes are removed where fewer are asked for
    /// (PKCS#11 3.2, 6.4.5).
    Derive {
        /// The other side's public value, big-endian.
        public: Vec<u8>,
    },
}

impl DhMechanism {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Derive { .. } => "DH_PKCS_DERIVE",
        }
    }
}
