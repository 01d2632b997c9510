//! The chunks of an archive: STREAM (Hoang, Reyhanitabar, Rogaway, Vizár: Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance, 2015) over the suite's AEAD, with a counter of 32 bits and a flag for the last chunk.
//!
//! Each chunk has 64 KiB of plaintext but the last, which has 0 to 64 KiB. The nonce is seven zero bytes, the chunk's number
//! (4, big-endian) and 1 for the last chunk or 0; there are no associated data, since the key is this archive's alone and the
//! header has a MAC under a key of its own.

use std::io::{Read, Write};

use zeroize::{Zeroize as _, Zeroizing};

use super::header::unreadable;
use super::{ArchiveHeader, ArchiveKey, damaged};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::suite::{Aead, NONCE_LEN, TAG_LEN};

/// Bytes of plaintext in a chunk that is not the last.
pub(super) const CHUNK: usize = 64 << 10;

fn aead(header: &ArchiveHeader, key: &ArchiveKey) -> Result<Aead> {
    let derived = header.derive(key, b"kmss/1 archive chunks", header.suite.aead_key_len())?;
    Aead::new(header.suite, &derived)
}

fn nonce(number: u32, last: bool) -> [u8; NONCE_LEN] {
    let [a, b, c, d] = number.to_be_bytes();
    [0, 0, 0, 0, 0, 0, 0, a, b, c, d, u8::from(last)]
}

fn next(number: u32) -> Result<u32> {
    number.checked_add(1).ok_or_else(|| Error::new(ErrorKind::DataLength, "an archive has at most 256 TiB"))
}

/// Writes an archive.
pub struct ArchiveWriter<'a> {
    aead: Aead,
    number: u32,
    plain: Zeroizing<Vec<u8>>,
    sealed: Vec<u8>,
    out: &'a mut dyn Write,
}

impl<'a> ArchiveWriter<'a> {
    /// Writes the header, and makes ready for what comes.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] where it cannot be written.
    pub fn begin(header: &ArchiveHeader, key: &ArchiveKey, out: &'a mut dyn Write) -> Result<Self> {
        out.write_all(&header.encode()).map_err(unwritable)?;
        let plain = Zeroizing::new(Vec::with_capacity(CHUNK));
        Ok(Self { aead: aead(header, key)?, number: 0, plain, sealed: Vec::with_capacity(CHUNK + TAG_LEN), out })
    }

    /// Takes bytes in.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            // A full chunk waits for the next byte: it may be the last.
            if self.plain.len() == CHUNK {
                self.flush(false)?;
            }
            let room = CHUNK.saturating_sub(self.plain.len()).min(bytes.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.plain.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Ends the archive. Without this nobody takes it for a whole one.
    ///
    /// # Errors
    /// As [`Self::begin`].
    pub fn finish(mut self) -> Result<()> {
        self.flush(true)?;
        self.out.flush().map_err(unwritable)
    }

    fn flush(&mut self, last: bool) -> Result<()> {
        self.sealed.clear();
        self.aead.seal(&nonce(self.number, last), &[], &self.plain, &mut self.sealed)?;
        self.plain.zeroize();
        self.number = if last { self.number } else { next(self.number)? };
        self.out.write_all(&self.sealed).map_err(unwritable)
    }
}

fn unwritable(e: std::io::Error) -> Error {
    Error::new(ErrorKind::Storage, "the archive cannot be written").with_source(e)
}

/// Reads an archive, chunk by chunk, none of which is shown before its tag was right.
pub struct ArchiveReader<'a> {
    aead: Aead,
    number: u32,
    /// The chunk that is read from, and how much of it was.
    open: Secret,
    read: usize,
    ended: bool,
    /// What follows it, as it is in the archive.
    ahead: Vec<u8>,
    archive: &'a mut dyn Read,
}

impl<'a> ArchiveReader<'a> {
    /// Makes ready to read what follows the header.
    ///
    /// # Errors
    /// [`ErrorKind::EncryptedDataInvalid`] for another key or a changed header; those of reading.
    pub fn begin(header: &ArchiveHeader, key: &ArchiveKey, archive: &'a mut dyn Read) -> Result<Self> {
        header.admit(key)?;
        let open = Secret::new(Vec::new());
        let mut reader =
            Self { aead: aead(header, key)?, number: 0, open, read: 0, ended: false, ahead: Vec::new(), archive };
        reader.ahead = reader.sealed()?;
        reader.advance()?;
        Ok(reader)
    }

    /// Up to a chunk of the archive with its tag.
    fn sealed(&mut self) -> Result<Vec<u8>> {
        let mut sealed = Vec::with_capacity(CHUNK + TAG_LEN);
        let most = (CHUNK + TAG_LEN) as u64;
        (&mut *self.archive).take(most).read_to_end(&mut sealed).map_err(unreadable)?;
        Ok(sealed)
    }

    /// Opens the next chunk.
    fn advance(&mut self) -> Result<()> {
        let following = self.sealed()?;
        let last = following.is_empty();
        let sealed = std::mem::replace(&mut self.ahead, following);
        if sealed.len() < TAG_LEN || (!last && sealed.len() < CHUNK + TAG_LEN) {
            return Err(damaged("it ends too early"));
        }
        let opened = self.aead.open(&nonce(self.number, last), &[], &sealed);
        self.open = opened.map_err(|_| damaged("a part of it was changed, moved, or is missing"))?;
        (self.read, self.ended) = (0, last);
        self.number = if last { self.number } else { next(self.number)? };
        Ok(())
    }

    /// Fills `into`; `false` where the archive ends before the first byte of it.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where it ends within, or a chunk does not open; [`ErrorKind::Storage`].
    pub fn fill(&mut self, into: &mut [u8]) -> Result<bool> {
        let mut filled = 0;
        while filled < into.len() {
            let rest = self.open.expose().get(self.read..).unwrap_or_default();
            if rest.is_empty() {
                if self.ended {
                    return if filled == 0 { Ok(false) } else { Err(damaged("its last item is not whole")) };
                }
                self.advance()?;
                continue;
            }
            let wanted = into.get_mut(filled..).unwrap_or_default();
            let count = rest.len().min(wanted.len());
            wanted.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            (filled, self.read) = (filled + count, self.read + count);
        }
        Ok(true)
    }
}
