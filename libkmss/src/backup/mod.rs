//! Archives of a tenant (docs/backup.md): a header, a stream of items in sealed chunks, and a key that is split among custodians.
//!
//! Nothing here knows a store: what the items are made of, and where they go, is [`Kms::back_up`](crate::kms::Kms::back_up)'s and
//! [`Kms::restore`](crate::kms::Kms::restore)'s. Everything that is read is hostile until the header's MAC and the chunk's tag say
//! otherwise, and what they let through is parsed as strictly.

mod chunk;
mod file;
mod header;
mod item;
mod share;
mod summary;
#[cfg(test)]
mod tests;

use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;
use crate::secret::Secret;

pub use chunk::{ArchiveReader, ArchiveWriter};
pub use file::ArchiveFile;
pub use header::{ArchiveHeader, ArchiveId, ArchiveTerms};
pub use item::{Item, ItemKind, Items};
pub use share::{Share, combine, split};
pub(crate) use summary::owner;
pub use summary::{Manifest, NamespaceSummary, Policy, Summary, Totals};

/// What every archive begins with.
pub const MAGIC: [u8; 8] = *b"KMSSBKUP";
/// Length of an archive's key in bytes.
pub const KEY: usize = 32;
/// Most shares of a key, and most that are needed.
pub const MOST_SHARES: u8 = 32;

/// The key of one archive: random, used for nothing else.
pub struct ArchiveKey(Secret);

impl ArchiveKey {
    /// A fresh one.
    ///
    /// # Errors
    /// The random source fails.
    pub fn fresh(random: &dyn Random) -> Result<Self> {
        Secret::filled(KEY, |out| random.fill(out)).map(Self)
    }

    const fn secret(&self) -> &Secret {
        &self.0
    }
}

impl std::fmt::Debug for ArchiveKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArchiveKey(..)")
    }
}

/// The error for what is no archive, or no whole one.
fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("the archive cannot be trusted: {what}"))
}
