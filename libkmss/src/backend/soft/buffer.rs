//! Bytes held back until an operation ends, and operations that work on all of them at once.

use zeroize::Zeroize;

use crate::backend::Ciphering;
use crate::error::{Error, ErrorKind, Result};

/// Most bytes that are held back for one operation: 256 MiB. What is longer goes through in a single part.
pub(in crate::backend) const MAX_HELD: usize = 1 << 28;

/// A growing buffer that leaves no copies behind when it grows or goes.
#[derive(Default)]
pub(in crate::backend) struct Buffer(Vec<u8>);

impl Buffer {
    /// Appends `data`; refuses with `kind` where more than `max` bytes would be held.
    pub(in crate::backend) fn push(&mut self, data: &[u8], max: usize, kind: ErrorKind) -> Result<()> {
        let len = self.0.len().saturating_add(data.len());
        if len > max {
            return Err(Error::new(kind, "the data is too long for the mechanism"));
        }
        if len > self.0.capacity() {
            let mut larger = Vec::new();
            larger
                .try_reserve_exact(len.max(2 * self.0.capacity()).max(64))
                .map_err(|_| Error::new(ErrorKind::Memory, "there is not enough memory to hold the data back"))?;
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
        self.0.extend_from_slice(data);
        Ok(())
    }

    pub(in crate::backend) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(in crate::backend) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A computation on all of the input.
pub(super) trait Transform: Send {
    /// Longest input that can work, and the error for what is longer.
    fn limit(&self) -> (usize, ErrorKind);

    /// Upper bound of the output for `input` bytes.
    fn output_len(&self, input: usize) -> usize;

    /// Computes to the front of `out`, which has [`Self::output_len`] bytes at least; returns the output's length.
    fn run(&self, input: &[u8], out: &mut [u8]) -> Result<usize>;
}

/// A [`Transform`] as an operation: parts are buffered, a single part is not copied.
pub(super) struct Whole<T> {
    transform: T,
    held: Buffer,
}

impl<T: Transform> Whole<T> {
    pub(super) fn new(transform: T) -> Self {
        Self { transform, held: Buffer::default() }
    }
}

impl<T: Transform> Ciphering for Whole<T> {
    fn update_len(&self, _input: usize) -> usize {
        0
    }

    fn update(&mut self, input: &[u8], _out: &mut [u8]) -> Result<usize> {
        let (max, kind) = self.transform.limit();
        self.held.push(input, max, kind)?;
        Ok(0)
    }

    fn finish_len(&self, input: usize) -> usize {
        self.transform.output_len(self.held.len().saturating_add(input))
    }

    fn finish(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let (max, kind) = self.transform.limit();
        let need = self.finish_len(input.len());
        let out = front(out, need)?;
        if self.held.len() == 0 && input.len() <= max {
            return self.transform.run(input, out);
        }
        self.held.push(input, max, kind)?;
        self.transform.run(self.held.as_slice(), out)
    }
}

/// The first `len` bytes of an output buffer.
pub(super) fn front(out: &mut [u8], len: usize) -> Result<&mut [u8]> {
    out.get_mut(..len).ok_or_else(|| Error::new(ErrorKind::BufferTooSmall, "the output buffer is too small"))
}
