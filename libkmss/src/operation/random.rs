//! Random bytes.

use super::{Hall, Operation, Request, Target};
use crate::error::Result;
use crate::key::Action;
use crate::permit::Permit;

/// Fills `out` with random bytes.
#[derive(Debug)]
pub struct DrawRandom<'a> {
    /// Where the bytes go.
    pub out: &'a mut [u8],
}

impl Operation for DrawRandom<'_> {
    type Running = ();

    fn request(&self) -> Request {
        Request { data_len: Some(self.out.len() as u64), ..Request::new(Action::Random, Target::Namespace) }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<()> {
        hall.software()?.random(permit, self.out)
    }
}

/// Mixes bytes into the random source.
#[derive(Debug)]
pub struct SeedRandom<'a> {
    /// The bytes.
    pub seed: &'a [u8],
}

impl Operation for SeedRandom<'_> {
    type Running = ();

    fn request(&self) -> Request {
        Request { data_len: Some(self.seed.len() as u64), ..Request::new(Action::Random, Target::Namespace) }
    }

    fn start(self, hall: &Hall, permit: &Permit) -> Result<()> {
        hall.software()?.seed_random(permit, self.seed)
    }
}
