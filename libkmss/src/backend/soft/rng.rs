//! Randomness: aws-lc's generator and nothing between it and the caller. It is seeded by the operating system, survives
//! `fork` and notices restored snapshots by itself.

use aws_lc_rs::error::Unspecified;
use sm2::elliptic_curve::rand_core::{TryCryptoRng, TryRng};

use crate::error::{Error, ErrorKind, Result};
use crate::os::apart_from_forks;
use crate::random::Random;

/// aws-lc's generator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Generator;

fn fill(out: &mut [u8]) -> Result<(), Unspecified> {
    apart_from_forks(|| aws_lc_rs::rand::fill(out))
}

impl Random for Generator {
    fn fill(&self, out: &mut [u8]) -> Result<()> {
        fill(out).map_err(|_| Error::new(ErrorKind::BackendUnavailable, "the random generator failed"))
    }
}

/// Whether this thread may still compute here: as the process ends, aws-lc aborts it where a thread asks for its first
/// random byte. Doors ask at every entry, in which this costs two loads.
#[inline]
#[must_use]
pub fn may_enter() -> bool {
    // A generator that fails says so to whoever needs it.
    crate::os::may_enter(|| {
        let _ = fill(&mut [0]);
    })
}

/// The generator as the RustCrypto crates want it.
pub(super) struct CryptoRng;

/// The generator failed.
#[derive(Debug, thiserror::Error)]
#[error("the random generator failed")]
pub(super) struct RandomError;

impl TryRng for CryptoRng {
    type Error = RandomError;

    fn try_next_u32(&mut self) -> Result<u32, RandomError> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, RandomError> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), RandomError> {
        fill(out).map_err(|_| RandomError)
    }
}

impl TryCryptoRng for CryptoRng {}
