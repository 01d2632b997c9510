//! CBC with ciphertext stealing, variant CS1 (SP 800-38A addendum): as long as the plaintext, and plain CBC where that is
//! whole blocks.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::buffer::front;
use super::cipher::{Engine, aes_block, aes_cbc};
use super::keys::SecretKey;
use crate::backend::Ciphering;
use crate::error::{Error, ErrorKind, Result};

const BLOCK: usize = 16;

/// An operation under way. The last one or two blocks are held back: they change places at the end.
pub(super) struct Stealing {
    key: Arc<SecretKey>,
    engine: Engine,
    encrypt: bool,
    held: Zeroizing<[u8; 2 * BLOCK]>,
    held_len: usize,
}

impl Stealing {
    pub(super) fn new(key: &Arc<SecretKey>, iv: &[u8; BLOCK], encrypt: bool) -> Result<Self> {
        let engine = aes_cbc(key, iv, encrypt)?;
        Ok(Self { key: Arc::clone(key), engine, encrypt, held: Zeroizing::new([0; 2 * BLOCK]), held_len: 0 })
    }

    fn hold(&mut self, input: &[u8]) -> Result<()> {
        let room = self.held.get_mut(self.held_len..).and_then(|room| room.get_mut(..input.len()));
        room.ok_or_else(broken)?.copy_from_slice(input);
        self.held_len += input.len();
        Ok(())
    }

    /// The last 17 to 32 bytes.
    fn tail(&mut self, out: &mut [u8]) -> Result<()> {
        let rest = self.held_len - BLOCK;
        let (first, second) = self.held.split_at(BLOCK);
        if self.encrypt {
            let mut last = Zeroizing::new([0; BLOCK]);
            front(&mut *last, rest)?.copy_from_slice(second.get(..rest).ok_or_else(broken)?);
            let mut stolen = [0; BLOCK];
            self.engine.process(first, &mut stolen)?;
            let (short, whole) = out.split_at_mut_checked(rest).ok_or_else(broken)?;
            short.copy_from_slice(stolen.get(..rest).ok_or_else(broken)?);
            return self.engine.process(&*last, whole);
        }
        // What is here: the front of the last block but one, and the last block. Decrypting that yields the rest.
        let (short, whole) =
            self.held.get(..self.held_len).and_then(|all| all.split_at_checked(rest)).ok_or_else(broken)?;
        let whole = whole.try_into().map_err(|_| broken())?;
        let inner = aes_block(&self.key, whole, false)?;
        let mut stolen = inner.clone();
        front(&mut *stolen, rest)?.copy_from_slice(short);
        let (block, last) = out.split_at_mut_checked(BLOCK).ok_or_else(broken)?;
        self.engine.process(&*stolen, block)?;
        last.iter_mut().zip(inner.iter().zip(short)).for_each(|(out, (a, b))| *out = a ^ b);
        Ok(())
    }
}

impl Ciphering for Stealing {
    fn update_len(&self, input: usize) -> usize {
        self.held_len.saturating_add(input).saturating_sub(BLOCK + 1) / BLOCK * BLOCK
    }

    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let len = self.update_len(input.len());
        let mut out = front(out, len)?;
        if len == 0 {
            self.hold(input)?;
            return Ok(0);
        }
        let (head, mut input) = input.split_at_checked((BLOCK - self.held_len % BLOCK) % BLOCK).ok_or_else(broken)?;
        self.hold(head)?;
        while self.held_len > 0 && !out.is_empty() {
            let (now, later) = out.split_at_mut_checked(BLOCK).ok_or_else(broken)?;
            self.engine.process(self.held.get(..BLOCK).ok_or_else(broken)?, now)?;
            self.held.copy_within(BLOCK.., 0);
            self.held_len -= BLOCK;
            out = later;
        }
        let (now, later) = input.split_at_checked(out.len()).ok_or_else(broken)?;
        self.engine.process(now, out)?;
        input = later;
        self.hold(input)?;
        Ok(len)
    }

    fn finish_len(&self, input: usize) -> usize {
        self.held_len.saturating_add(input)
    }

    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let all = self.finish_len(input.len());
        if all < BLOCK {
            let kind = if self.encrypt { ErrorKind::DataLength } else { ErrorKind::EncryptedDataLength };
            return Err(Error::new(kind, "ciphertext stealing needs a whole block"));
        }
        let out = front(out, all)?;
        let done = self.update(input, out)?;
        let rest = out.get_mut(done..).ok_or_else(broken)?;
        if self.held_len == BLOCK {
            self.engine.process(self.held.get(..BLOCK).ok_or_else(broken)?, rest)?;
        } else {
            self.tail(rest)?;
        }
        Ok(all)
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Internal, "a cipher lost count of its blocks")
}
