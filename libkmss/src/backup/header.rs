//! The header of an archive: what it is, who has shares of its key, and a MAC that binds all of it to that key.
//!
//! ```text
//! magic (8) ‖ format (1) ‖ suite (1) ‖ needed (1) ‖ shares (1) ‖ archive (16) ‖ salt (32) ‖ epoch (8) ‖ created (8) ‖
//! length of the tenant (2) ‖ tenant ‖ digest of each share (16 each) ‖ MAC (32)
//! ```
//! Numbers are big-endian.

use std::fmt;
use std::io::{self, Read};

use subtle::ConstantTimeEq as _;

use super::{ArchiveKey, MAGIC, MOST_SHARES, damaged};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::secret::Secret;
use crate::suite::{HASH_LEN, Suite};
use crate::tenant::push_hex;

/// The format written today. Format 1 is the same without rules and counted uses, and is read, too.
const FORMAT: u8 = 2;
/// Length of what stands before the tenant.
const FIXED: usize = 8 + 4 + 16 + 32 + 8 + 8 + 2;
/// Longest name of a tenant in bytes.
const LONGEST: usize = 256;
/// Length of a share's digest in bytes.
pub(super) const DIGEST: usize = 16;

/// Names one archive; random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveId(pub [u8; 16]);

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = String::with_capacity(32);
        push_hex(&mut digits, &self.0);
        f.write_str(&digits)
    }
}

impl fmt::Debug for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What an archive says of itself before anybody opens it. Genuine once [`Self::admit`] took a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveHeader {
    pub(super) format: u8,
    /// The suite of the home that it is of, and of the archive.
    pub suite: Suite,
    /// How many shares open it.
    pub needed: u8,
    /// How many there are.
    pub shares: u8,
    /// Which archive it is.
    pub archive: ArchiveId,
    salt: [u8; 32],
    /// How many archives of the tenant there were before, and one: an archive of a lower one is older.
    pub epoch: u64,
    /// When it was begun.
    pub created: Timestamp,
    /// The tenant.
    pub tenant: String,
    /// What each share's value hashes to, in their order.
    pub(super) digests: Vec<[u8; DIGEST]>,
    mac: [u8; HASH_LEN],
}

/// What a new archive is to say of itself.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveTerms<'a> {
    /// The suite.
    pub suite: Suite,
    /// How many shares open it.
    pub needed: u8,
    /// How many there are.
    pub shares: u8,
    /// Its epoch.
    pub epoch: u64,
    /// When it is begun.
    pub created: Timestamp,
    /// The tenant.
    pub tenant: &'a str,
}

impl ArchiveHeader {
    /// The header of a new archive, without digests of shares and MAC: [`split`](super::split) gives it these.
    ///
    /// # Errors
    /// [`ErrorKind::Arguments`] for shares or a tenant that cannot be; the random source fails.
    pub fn new(said: ArchiveTerms<'_>, random: &dyn Random) -> Result<Self> {
        let ArchiveTerms { suite, needed, shares, epoch, created, tenant } = said;
        if !(2..=shares).contains(&needed) || shares > MOST_SHARES {
            let why = format!("the key is split into 2 to {MOST_SHARES} shares, of which 2 or more open the archive");
            return Err(Error::new(ErrorKind::Arguments, why));
        }
        if tenant.is_empty() || tenant.len() > LONGEST || tenant.chars().any(char::is_control) {
            return Err(Error::new(ErrorKind::Arguments, "no tenant has such a name"));
        }
        let (mut archive, mut salt) = ([0; 16], [0; 32]);
        random.fill(&mut archive)?;
        random.fill(&mut salt)?;
        Ok(Self {
            format: FORMAT,
            suite,
            needed,
            shares,
            archive: ArchiveId(archive),
            salt,
            epoch,
            created,
            tenant: tenant.to_owned(),
            digests: Vec::new(),
            mac: [0; HASH_LEN],
        })
    }

    /// Takes the digests of the shares in, and puts the MAC under `key`.
    pub(super) fn settle(&mut self, digests: Vec<[u8; DIGEST]>, key: &ArchiveKey) -> Result<()> {
        self.digests = digests;
        self.mac = self.mac_under(key)?;
        Ok(())
    }

    /// The bytes that an archive begins with.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.body();
        bytes.extend_from_slice(&self.mac);
        bytes
    }

    fn body(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let suite = match self.suite {
            Suite::Nist => 1,
            Suite::Gm => 2,
        };
        bytes.extend_from_slice(&[self.format, suite, self.needed, self.shares]);
        bytes.extend_from_slice(&self.archive.0);
        bytes.extend_from_slice(&self.salt);
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.extend_from_slice(&self.created.0.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(self.tenant.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(self.tenant.as_bytes());
        bytes.extend(self.digests.iter().flatten());
        bytes
    }

    /// Reads a header from the beginning of an archive. Nobody has vouched for it yet.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] for what is none, [`ErrorKind::TooNew`]; [`ErrorKind::Storage`] where it cannot be read.
    pub fn read(archive: &mut dyn Read) -> Result<Self> {
        let none = || damaged("this is no archive of KMSS, or only the beginning of one");
        let mut exactly = |into: &mut [u8]| {
            archive.read_exact(into).map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => none(),
                _ => unreadable(e),
            })
        };
        let mut fixed = [0; FIXED];
        exactly(&mut fixed)?;
        let (magic, rest) = fixed.split_first_chunk::<8>().ok_or_else(none)?;
        let ([format, suite, needed, shares], rest) = rest.split_first_chunk::<4>().ok_or_else(none)?;
        if *magic != MAGIC {
            return Err(none());
        }
        if *format > FORMAT {
            let why =
                format!("the archive has format {format}, and this KMSS reads up to {FORMAT}: use the newer KMSS");
            return Err(Error::new(ErrorKind::TooNew, why));
        }
        let suite = match (*format, *suite) {
            (1..=FORMAT, 1) => Suite::Nist,
            (1..=FORMAT, 2) => Suite::Gm,
            _ => return Err(none()),
        };
        let (archive_id, rest) = rest.split_first_chunk().ok_or_else(none)?;
        let (salt, rest) = rest.split_first_chunk().ok_or_else(none)?;
        let (epoch, rest) = rest.split_first_chunk().ok_or_else(none)?;
        let (created, rest) = rest.split_first_chunk().ok_or_else(none)?;
        let len = usize::from(u16::from_be_bytes(*rest.first_chunk().ok_or_else(none)?));
        if !(2..=*shares).contains(needed) || *shares > MOST_SHARES || !(1..=LONGEST).contains(&len) {
            return Err(none());
        }
        let mut tenant = vec![0; len];
        exactly(&mut tenant)?;
        let tenant = String::from_utf8(tenant).map_err(|_| none())?;
        if tenant.chars().any(char::is_control) {
            return Err(none());
        }
        let mut digests = vec![[0; DIGEST]; usize::from(*shares)];
        digests.iter_mut().try_for_each(|digest| exactly(digest))?;
        let mut mac = [0; HASH_LEN];
        exactly(&mut mac)?;
        Ok(Self {
            format: *format,
            suite,
            needed: *needed,
            shares: *shares,
            archive: ArchiveId(*archive_id),
            salt: *salt,
            epoch: u64::from_be_bytes(*epoch),
            created: Timestamp(u64::from_be_bytes(*created)),
            tenant,
            digests,
            mac,
        })
    }

    /// Whether `key` is the archive's, and everything in the header as it was written.
    ///
    /// # Errors
    /// [`ErrorKind::EncryptedDataInvalid`] where not.
    pub fn admit(&self, key: &ArchiveKey) -> Result<()> {
        if self.mac_under(key)?.ct_eq(&self.mac).into() {
            return Ok(());
        }
        let why = "the key is not that of this archive, or the archive's header was changed";
        Err(Error::new(ErrorKind::EncryptedDataInvalid, why))
    }

    fn mac_under(&self, key: &ArchiveKey) -> Result<[u8; HASH_LEN]> {
        let authority = self.derive(key, b"kmss/1 archive header", HASH_LEN)?;
        self.suite.mac(&authority, &[&self.body()])
    }

    /// `len` bytes from the archive's key, for `purpose` alone.
    pub(super) fn derive(&self, key: &ArchiveKey, purpose: &[u8], len: usize) -> Result<Secret> {
        let info = [purpose, &[0], &self.archive.0, &self.salt].concat();
        self.suite.expand(key.secret(), &info, len)
    }
}

/// The error for an archive that cannot be read.
pub(super) fn unreadable(e: io::Error) -> Error {
    Error::new(ErrorKind::Storage, "the archive cannot be read").with_source(e)
}
