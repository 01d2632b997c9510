//! Diffie-Hellman over a prime field, in named groups only (SP 800-56A, appendix D).

mod primes;

/// A group whose prime is safe and whose generator is 2: those of RFC 7919, and the MODP groups of RFC 3526 that Java and
/// IKE use. Others are not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum DhGroup {
    Ffdhe2048,
    Ffdhe3072,
    Ffdhe4096,
    Ffdhe6144,
    Ffdhe8192,
    Modp2048,
    Modp3072,
    Modp4096,
    Modp6144,
    Modp8192,
}

impl DhGroup {
    /// Every group, for tables and tests.
    pub const ALL: [Self; 10] = [
        Self::Ffdhe2048,
        Self::Ffdhe3072,
        Self::Ffdhe4096,
        Self::Ffdhe6144,
        Self::Ffdhe8192,
        Self::Modp2048,
        Self::Modp3072,
        Self::Modp4096,
        Self::Modp6144,
        Self::Modp8192,
    ];

    /// The generator of every group.
    pub const BASE: u8 = 2;

    /// The group with this prime and base, both big-endian without leading zeros.
    #[must_use]
    pub fn find(prime: &[u8], base: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|group| base == [Self::BASE] && group.prime() == prime)
    }

    /// Size of the prime in bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Ffdhe2048 | Self::Modp2048 => 2048,
            Self::Ffdhe3072 | Self::Modp3072 => 3072,
            Self::Ffdhe4096 | Self::Modp4096 => 4096,
            Self::Ffdhe6144 | Self::Modp6144 => 6144,
            Self::Ffdhe8192 | Self::Modp8192 => 8192,
        }
    }

    /// The prime p = 2q + 1, q prime, big-endian.
    #[must_use]
    pub const fn prime(self) -> &'static [u8] {
        match self {
            Self::Ffdhe2048 => &primes::FFDHE_2048,
            Self::Ffdhe3072 => &primes::FFDHE_3072,
            Self::Ffdhe4096 => &primes::FFDHE_4096,
            Self::Ffdhe6144 => &primes::FFDHE_6144,
            Self::Ffdhe8192 => &primes::FFDHE_8192,
            Self::Modp2048 => &primes::MODP_2048,
            Self::Modp3072 => &primes::MODP_3072,
            Self::Modp4096 => &primes::MODP_4096,
            Self::Modp6144 => &primes::MODP_6144,
            Self::Modp8192 => &primes::MODP_8192,
        }
    }

    /// Bits of a private value where nobody asks for more: twice the strength of the group (RFC 7919, appendix A), and
    /// as many as the strongest attack on the discrete logarithm of a short exponent demands.
    #[must_use]
    pub const fn private_bits(self) -> u32 {
        match self.bits() {
            2048 => 256,
            3072 => 288,
            4096 => 328,
            6144 => 376,
            _ => 416,
        }
    }

    /// The name in RFC 7919, or the usual one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ffdhe2048 => "ffdhe2048",
            Self::Ffdhe3072 => "ffdhe3072",
            Self::Ffdhe4096 => "ffdhe4096",
            Self::Ffdhe6144 => "ffdhe6144",
            Self::Ffdhe8192 => "ffdhe8192",
            Self::Modp2048 => "modp2048",
            Self::Modp3072 => "modp3072",
            Self::Modp4096 => "modp4096",
            Self::Modp6144 => "modp6144",
            Self::Modp8192 => "modp8192",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_prime_and_base_alone() {
        for group in DhGroup::ALL {
            assert_eq!(DhGroup::find(group.prime(), &[2]), Some(group));
            assert_eq!(DhGroup::find(group.prime(), &[5]), None);
            assert_eq!(group.prime().len() * 8, group.bits() as usize);
            let mut other = group.prime().to_vec();
            other.iter_mut().rev().take(1).for_each(|last| *last ^= 2);
            assert_eq!(DhGroup::find(&other, &[2]), None);
        }
    }
}
