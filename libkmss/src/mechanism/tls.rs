//! The key schedule of TLS 1.2 (RFC 5246, sections 5, 6.3, 7.4.9 and 8.1; RFC 5705; RFC 7627).

use super::Hash;
use super::kdf::Heritage;

/// A step of the key schedule. Hashes are those of the pseudorandom function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsMechanism {
    /// Makes a premaster secret for RSA: the client's version and 46 random bytes.
    Premaster {
        /// Major and minor version.
        version: [u8; 2],
    },
    /// The master secret of a premaster secret.
    Master {
        /// The hash.
        hash: Hash,
        /// What is hashed into it.
        binding: MasterBinding,
        /// Whether the premaster secret begins with a version, which the caller wants to know (RSA).
        versioned: bool,
    },
    /// The keys, MAC keys and initialisation vectors of a connection: client's and server's of each.
    KeyBlock {
        /// The hash.
        hash: Hash,
        /// The randoms.
        randoms: Randoms,
        /// Length of a MAC key in bytes; 0 for authenticated ciphers.
        mac_len: usize,
        /// Length of a cipher key in bytes; 0 for none.
        key_len: usize,
        /// Length of an initialisation vector in bytes; absent where none may be given out.
        iv_len: Option<usize>,
    },
    /// A key exported from a master secret (RFC 5705).
    Export {
        /// The hash.
        hash: Hash,
        /// The label.
        label: Vec<u8>,
        /// The randoms.
        randoms: Randoms,
        /// The context; absent and empty are different.
        context: Option<Vec<u8>>,
    },
    /// The data of a Finished message, a MAC over the hash of the handshake.
    Finished {
        /// The hash.
        hash: Hash,
        /// Length in bytes.
        len: usize,
        /// Whether the server says it.
        server: bool,
    },
}

/// What a master secret depends on beside the premaster secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterBinding {
    /// The randoms (RFC 5246, 8.1).
    Randoms(Randoms),
    /// The hash of the handshake so far (RFC 7627).
    Handshake(Vec<u8>),
}

/// The randoms of both hellos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Randoms {
    /// The client's.
    pub client: Vec<u8>,
    /// The server's.
    pub server: Vec<u8>,
}

impl TlsMechanism {
    /// Length of a premaster secret of RSA, and of every master secret.
    pub const MASTER_LEN: usize = 48;

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Premaster { .. } => "TLS_PRE_MASTER_KEY_GEN",
            Self::Master { binding: MasterBinding::Randoms(_), versioned: true, .. } => "TLS12_MASTER_KEY_DERIVE",
            Self::Master { binding: MasterBinding::Randoms(_), .. } => "TLS12_MASTER_KEY_DERIVE_DH",
            Self::Master { versioned: true, .. } => "TLS12_EXTENDED_MASTER_KEY_DERIVE",
            Self::Master { .. } => "TLS12_EXTENDED_MASTER_KEY_DERIVE_DH",
            Self::KeyBlock { iv_len: None, .. } => "TLS12_KEY_SAFE_DERIVE",
            Self::KeyBlock { .. } => "TLS12_KEY_AND_MAC_DERIVE",
            Self::Export { .. } => "TLS_KDF",
            Self::Finished { .. } => "TLS_MAC",
        }
    }

    /// See [`super::Mechanism::heritage`].
    pub(super) const fn heritage(&self) -> Heritage {
        match self {
            Self::Premaster { .. } | Self::Master { .. } | Self::Finished { .. } => Heritage::History,
            Self::KeyBlock { .. } => Heritage::Same,
            Self::Export { .. } => Heritage::AtLeast,
        }
    }
}
